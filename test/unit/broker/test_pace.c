/* Clients that are too fast are slowed, and nobody is held up for long by who does not take. */
#include "world.h"

static struct broker_stats stats_of(struct world *w)
{
    struct broker_stats sum = {0};
    for (unsigned i = 0; i < w->shards; i++) {
        struct broker_stats stats;
        broker_stats_get(w->shard[i], &stats);
        broker_stats_add(&sum, &stats);
    }
    return sum;
}

/* All at once, as a client that does not wait. */
static void flood(struct client *c, const char *topic, unsigned count, size_t bytes)
{
    struct buf out = {0};
    static char payload[2000];
    assert_true(bytes <= sizeof payload);
    memset(payload, 'p', sizeof payload);
    struct mqtt_packet packet = {.type = MQTT_PUBLISH};
    packet.publish =
        (struct mqtt_publish){.topic = bytes_str(topic), .payload = bytes_of(payload, bytes)};
    for (unsigned i = 0; i < count; i++)
        mqtt_encode(&packet, c->version, &out);
    client_send_bytes(c, buf_bytes(&out));
    buf_close(&out);
}

static void client_over_its_message_rate_is_slowed_not_refused(void **state)
{
    (void)state;
    struct world w;
    struct client a;
    world_init(&w, 1);
    w.limits.messages_per_second = 100;
    world_start(&w);
    world_advance(&w, 5000);
    client_join(&a, &w, MQTT_V5, "a");
    flood(&a, "x", 1000, 10);
    assert_in_range(stats_of(&w).messages_in_qos0_total, 100, 102);
    world_advance(&w, 1000);
    for (unsigned ms = 0; ms < 2000; ms += 10)
        world_advance(&w, 10);
    assert_in_range(stats_of(&w).messages_in_qos0_total, 295, 420);
    for (unsigned ms = 0; ms < 8000; ms += 10)
        world_advance(&w, 10);
    assert_int_equal(stats_of(&w).messages_in_qos0_total, 1000);
    assert_true(stats_of(&w).inputs_paused_rate_total > 100);
    assert_false(a.is_closed);
    client_close(&a);
    world_close(&w);
}

static void client_over_its_byte_rate_is_slowed_not_refused(void **state)
{
    (void)state;
    struct world w;
    struct client a;
    world_init(&w, 1);
    w.limits.bytes_per_second = 10000;
    world_start(&w);
    world_advance(&w, 5000);
    struct mqtt_connect connect = connect_as(MQTT_V311, "a");
    connect.keep_alive_s = 1; /* waiting for us is no silence */
    (void)client_connect(&a, &w, &connect);
    flood(&a, "x", 50, 1000);
    assert_in_range(stats_of(&w).messages_in_qos0_total, 9, 11);
    for (unsigned ms = 0; ms < 2000; ms += 10)
        world_advance(&w, 10);
    assert_in_range(stats_of(&w).messages_in_qos0_total, 28, 32);
    for (unsigned ms = 0; ms < 2500; ms += 10)
        world_advance(&w, 10);
    assert_int_equal(stats_of(&w).messages_in_qos0_total, 50);
    assert_false(a.is_closed);
    /* And then it is. */
    world_advance(&w, 3000);
    assert_true(a.is_closed);
    client_close(&a);
    world_close(&w);
}

static void client_id_that_connects_too_often_is_refused(void **state)
{
    (void)state;
    struct world w;
    struct client a, b;
    world_init(&w, 1);
    w.limits.connects_per_second = 3;
    world_start(&w);
    world_advance(&w, 5000);
    struct mqtt_connect connect = connect_as(MQTT_V5, "a");
    for (unsigned i = 0; i < 3; i++) {
        assert_int_equal(client_connect(&a, &w, &connect).reason, 0);
        client_close(&a);
    }
    assert_int_equal(client_connect(&a, &w, &connect).reason, MQTT_REASON_CONNECTION_RATE_EXCEEDED);
    client_close(&a);
    client_join(&b, &w, MQTT_V5, "b"); /* others may */
    world_advance(&w, 340);
    assert_int_equal(client_connect(&a, &w, &connect).reason, 0);
    client_close(&a);
    client_close(&b);
    world_close(&w);
}

static void publisher_waits_for_its_only_receiver(void **state)
{
    (void)state;
    struct world w;
    struct client a, b;
    world_init(&w, 1);
    w.limits.output_bytes = 100000;
    world_start(&w);
    client_join(&a, &w, MQTT_V5, "a");
    client_subscribe(&a, "x", 0);
    client_join(&b, &w, MQTT_V5, "b");
    a.is_stuck = true;
    flood(&b, "x", 400, 1000);
    /* It stops before anything is lost, and goes on when there is room. */
    assert_in_range(stats_of(&w).messages_in_qos0_total, 70, 80);
    assert_int_equal(stats_of(&w).publishes_dropped_total, 0);
    for (unsigned i = 0; i < 20; i++) {
        client_unstick(&a);
        a.is_stuck = true;
        world_advance(&w, 100);
    }
    assert_int_equal(stats_of(&w).messages_in_qos0_total, 400);
    assert_int_equal(stats_of(&w).publishes_dropped_total, 0);
    assert_true(stats_of(&w).inputs_paused_receivers_total > 0);
    client_close(&a);
    client_close(&b);
    world_close(&w);
}

static void dead_receiver_holds_nobody_up_for_more_than_a_second(void **state)
{
    (void)state;
    struct world w;
    struct client a, b;
    world_init(&w, 1);
    w.limits.output_bytes = 100000;
    world_start(&w);
    client_join(&a, &w, MQTT_V5, "a");
    client_subscribe(&a, "x", 0);
    client_join(&b, &w, MQTT_V5, "b");
    a.is_stuck = true;
    flood(&b, "x", 2000, 1000);
    for (unsigned ms = 0; ms < 1200; ms += 100)
        world_advance(&w, 100);
    assert_int_equal(stats_of(&w).messages_in_qos0_total, 2000);
    assert_int_equal(stats_of(&w).publishes_dropped_total, 1900);
    client_close(&a);
    client_close(&b);
    world_close(&w);
}

static void one_receiver_with_room_keeps_the_publisher_going(void **state)
{
    (void)state;
    struct world w;
    struct client a, b, c;
    world_init(&w, 1);
    w.limits.output_bytes = 100000;
    world_start(&w);
    client_join(&a, &w, MQTT_V5, "a");
    client_subscribe(&a, "x", 0);
    client_join(&c, &w, MQTT_V5, "c");
    client_subscribe(&c, "x", 0);
    client_join(&b, &w, MQTT_V5, "b");
    a.is_stuck = true;
    for (unsigned i = 0; i < 20; i++)
        flood(&b, "x", 50, 1000);
    assert_int_equal(stats_of(&w).messages_in_qos0_total, 1000);
    assert_int_equal(stats_of(&w).inputs_paused_receivers_total, 0);
    client_close(&a);
    client_close(&b);
    client_close(&c);
    world_close(&w);
}

static void publisher_waits_for_a_receiver_on_another_shard(void **state)
{
    (void)state;
    struct world w;
    struct client a, b;
    char id[32];
    world_init(&w, 2);
    w.limits.output_bytes = 100000;
    world_start(&w);
    client_join(&a, &w, MQTT_V5, id_on_shard(0, 2, 0, id));
    client_subscribe(&a, "x", 0);
    client_join(&b, &w, MQTT_V5, id_on_shard(1, 2, 0, id));
    a.is_stuck = true;
    for (unsigned i = 0; i < 20; i++)
        flood(&b, "x", 10, 1000);
    assert_in_range(stats_of(&w).messages_in_qos0_total, 70, 90);
    assert_int_equal(stats_of(&w).publishes_dropped_total, 0);
    for (unsigned i = 0; i < 40; i++) {
        client_unstick(&a);
        a.is_stuck = true;
        world_advance(&w, 100);
    }
    assert_int_equal(stats_of(&w).messages_in_qos0_total, 200);
    client_close(&a);
    client_close(&b);
    world_close(&w);
}

static void what_is_between_shards_is_bounded(void **state)
{
    (void)state;
    struct world w;
    struct client a, b;
    char id[32];
    world_init(&w, 2);
    w.limits.passing_bytes = 100000;
    world_start(&w);
    client_join(&a, &w, MQTT_V5, id_on_shard(0, 2, 0, id));
    client_subscribe(&a, "x", 0);
    client_join(&b, &w, MQTT_V5, id_on_shard(1, 2, 0, id));
    w.holds_parcels = true;
    flood(&b, "x", 1000, 1000);
    assert_in_range(stats_of(&w).messages_in_qos0_total, 70, 100);
    assert_in_range(stats_of(&w).passing_bytes, 90000, 120000);
    world_advance(&w, 1);
    assert_in_range(stats_of(&w).messages_in_qos0_total, 70, 100);
    w.holds_parcels = false;
    for (unsigned i = 0; i < 200; i++)
        world_advance(&w, 2);
    assert_int_equal(stats_of(&w).messages_in_qos0_total, 1000);
    assert_int_equal(stats_of(&w).publishes_dropped_total, 0);
    client_publish(&b, "nobody", "x", 0, 0, false); /* each shard counts when it is called */
    client_publish(&a, "nobody", "x", 0, 0, false);
    assert_in_range(stats_of(&w).passing_bytes, 0, 4000);
    client_close(&a);
    client_close(&b);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(client_over_its_message_rate_is_slowed_not_refused),
        cmocka_unit_test(client_over_its_byte_rate_is_slowed_not_refused),
        cmocka_unit_test(client_id_that_connects_too_often_is_refused),
        cmocka_unit_test(publisher_waits_for_its_only_receiver),
        cmocka_unit_test(dead_receiver_holds_nobody_up_for_more_than_a_second),
        cmocka_unit_test(one_receiver_with_room_keeps_the_publisher_going),
        cmocka_unit_test(publisher_waits_for_a_receiver_on_another_shard),
        cmocka_unit_test(what_is_between_shards_is_bounded),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
