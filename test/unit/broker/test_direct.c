/* Shards that one thread runs: messages go from one to the other without a parcel. */
#include "broker/broker_int.h"
#include "world.h"

static void begin(struct world *w, struct client *a, struct client *b)
{
    char id[32];
    world_start(w);
    client_join(a, w, MQTT_V5, id_on_shard(0, 2, 1, id));
    client_join(b, w, MQTT_V5, id_on_shard(1, 2, 2, id));
    client_subscribe(b, "x", 2);
    world_set_direct(w, true);
    w->holds_parcels = true;
}

static void end(struct world *w, struct client *a, struct client *b)
{
    world_set_direct(w, false);
    w->holds_parcels = false;
    client_close(a);
    client_close(b);
    world_close(w);
}

static void a_message_comes_without_a_parcel(void **state)
{
    (void)state;
    struct world w;
    struct client a, b;
    world_init(&w, 2);
    begin(&w, &a, &b);
    client_publish(&a, "x", "0", 0, 0, false);
    client_expect_publish(&b, "x", "0");
    client_publish(&a, "x", "1", 1, 7, false);
    uint16_t id = client_expect_publish(&b, "x", "1").packet_id;
    client_ack(&b, MQTT_PUBACK, id, 0);
    assert_int_equal(client_expect_ack(&a, MQTT_PUBACK, 7).reason, MQTT_REASON_SUCCESS);
    client_publish(&a, "x", "2", 2, 8, false);
    client_expect_publish(&b, "x", "2");
    assert_null(broker_take_parcels(w.shard[0], 1));
    /* And not any more when they have parted. */
    world_set_direct(&w, false);
    client_publish(&a, "x", "3", 0, 0, false);
    client_expect_nothing(&b);
    assert_true(parcel_is_waiting(w.shard[0]));
    end(&w, &a, &b);
}

static void messages_stay_behind_what_waits_in_a_parcel(void **state)
{
    (void)state;
    struct world w;
    struct client a, b;
    world_init(&w, 2);
    begin(&w, &a, &b);
    client_publish(&a, "x", "kept", 0, 0, true);
    client_publish(&a, "x", "next", 0, 0, false);
    client_expect_nothing(&b);
    w.holds_parcels = false;
    world_turn(&w);
    client_expect_publish(&b, "x", "kept");
    client_expect_publish(&b, "x", "next");
    w.holds_parcels = true;
    client_publish(&a, "x", "direct", 0, 0, false);
    client_expect_publish(&b, "x", "direct");
    end(&w, &a, &b);
}

static void a_shard_that_is_visited_calls_no_other(void **state)
{
    (void)state;
    struct world w;
    struct client a, b;
    world_init(&w, 2);
    begin(&w, &a, &b);
    broker_visit_begin(w.shard[0]);
    client_publish(&a, "x", "1", 0, 0, false);
    client_expect_nothing(&b);
    assert_true(broker_visit_end(w.shard[0]));
    end(&w, &a, &b);
}

static enum broker_verdict publish_from_the_other(struct world *w, const struct broker_publish *in,
                                                  uint64_t ticket, uint8_t *reason)
{
    (void)ticket, (void)reason;
    struct broker_outgoing message = {.topic = BYTES_LIT("y"), .payload = in->payload};
    assert_int_equal(broker_publish(w->shard[1], &message, w->now_ms), 0);
    return BROKER_ROUTE;
}

static void a_shard_in_the_middle_of_something_is_not_called(void **state)
{
    (void)state;
    struct world w;
    struct client a, b;
    world_init(&w, 2);
    w.publish = publish_from_the_other;
    begin(&w, &a, &b);
    w.holds_parcels = false;
    client_subscribe(&a, "y", 0);
    w.holds_parcels = true;
    client_publish(&a, "x", "1", 0, 0, false);
    client_expect_publish(&b, "x", "1");
    client_expect_nothing(&a);
    w.holds_parcels = false;
    world_turn(&w);
    client_expect_publish(&a, "y", "1");
    end(&w, &a, &b);
}

static void who_is_cut_off_by_it_is_told_and_its_will_goes_out(void **state)
{
    (void)state;
    struct world w;
    struct client a, b, c;
    char id[32];
    world_init(&w, 2);
    w.limits.overflow = BROKER_DISCONNECT;
    w.limits.inflight = 1;
    w.limits.queued_messages = 2;
    w.limits.slow_publishers_ms = 0;
    begin(&w, &a, &b);
    w.holds_parcels = false;
    client_subscribe(&a, "will", 0);
    struct mqtt_connect connect = connect_as(MQTT_V5, id_on_shard(1, 2, 3, id));
    connect.has_will = true;
    connect.will_topic = BYTES_LIT("will");
    connect.will_payload = BYTES_LIT("gone");
    (void)client_connect(&c, &w, &connect);
    client_subscribe(&c, "z", 1);
    c.is_stuck = true;
    w.holds_parcels = true;
    unsigned before = w.disconnected;
    for (uint16_t i = 1; i <= 4; i++)
        client_publish(&a, "z", "1", 1, i, false);
    assert_int_equal(w.disconnected, before + 1);
    assert_int_equal(w.disconnect_reason, MQTT_REASON_QUOTA_EXCEEDED);
    for (uint16_t i = 1; i <= 4; i++)
        client_expect_ack(&a, MQTT_PUBACK, i);
    client_expect_nothing(&a);
    w.holds_parcels = false;
    world_turn(&w);
    client_expect_publish(&a, "will", "gone");
    client_close(&c);
    end(&w, &a, &b);
}

static void a_slow_receiver_slows_its_publisher(void **state)
{
    (void)state;
    struct world w;
    struct client a, b;
    static char large[1001];
    memset(large, 'x', sizeof large - 1);
    world_init(&w, 2);
    w.limits.output_bytes = 100000;
    begin(&w, &a, &b);
    b.is_stuck = true;
    for (unsigned i = 0; i < 400; i++)
        client_publish(&a, "x", large, 0, 0, false);
    struct broker_stats stats;
    broker_stats_get(w.shard[0], &stats);
    assert_int_equal(stats.inputs_paused_receivers_total, 1);
    assert_in_range(stats.messages_in_qos0_total, 70, 80);
    broker_stats_get(w.shard[1], &stats);
    assert_int_equal(stats.publishes_dropped_total, 0);
    end(&w, &a, &b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_message_comes_without_a_parcel),
        cmocka_unit_test(messages_stay_behind_what_waits_in_a_parcel),
        cmocka_unit_test(a_shard_that_is_visited_calls_no_other),
        cmocka_unit_test(a_shard_in_the_middle_of_something_is_not_called),
        cmocka_unit_test(who_is_cut_off_by_it_is_told_and_its_will_goes_out),
        cmocka_unit_test(a_slow_receiver_slows_its_publisher),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
