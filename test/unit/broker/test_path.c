/* The main path as conversations of packets: connect, subscribe, publish, retained, will, keep
 * alive, take-over, and the seam to the services. */
#include "world.h"

static void a_publish_reaches_who_has_subscribed(enum mqtt_version version)
{
    struct world w;
    struct client a, b;
    world_init(&w, 1);
    world_start(&w);
    client_join(&a, &w, version, "a");
    client_join(&b, &w, version, "b");
    client_subscribe(&a, "plant/+/temperature", 1);
    client_publish(&b, "plant/1/temperature", "21.5", 0, 0, false);
    struct mqtt_publish p = client_expect_publish(&a, "plant/1/temperature", "21.5");
    assert_int_equal(p.qos, 0);
    assert_false(p.retain);
    client_publish(&b, "plant/1/temperature", "22", 1, 9, false);
    assert_int_equal(client_expect_ack(&b, MQTT_PUBACK, 9).reason, 0);
    p = client_expect_publish(&a, "plant/1/temperature", "22");
    assert_int_equal(p.qos, 1);
    client_ack(&a, MQTT_PUBACK, p.packet_id, 0);
    client_publish(&b, "plant/1/pressure", "1", 1, 10, false);
    struct mqtt_ack ack = client_expect_ack(&b, MQTT_PUBACK, 10);
    assert_int_equal(ack.reason, version == MQTT_V5 ? MQTT_REASON_NO_MATCHING_SUBSCRIBERS : 0);
    client_expect_nothing(&a);
    client_expect_nothing(&b);
    client_close(&a);
    client_close(&b);
    world_close(&w);
}

static void publish_reaches_subscriber_311(void **state)
{
    (void)state;
    a_publish_reaches_who_has_subscribed(MQTT_V311);
}

static void publish_reaches_subscriber_5(void **state)
{
    (void)state;
    a_publish_reaches_who_has_subscribed(MQTT_V5);
}

static void retained_message_is_given_to_a_later_subscriber(void **state)
{
    (void)state;
    struct world w;
    struct client a, b;
    world_init(&w, 1);
    world_start(&w);
    client_join(&b, &w, MQTT_V311, "b");
    client_publish(&b, "state", "on", 1, 1, true);
    (void)client_expect_ack(&b, MQTT_PUBACK, 1);
    client_join(&a, &w, MQTT_V311, "a");
    client_subscribe(&a, "#", 1);
    struct mqtt_publish p = client_expect_publish(&a, "state", "on");
    assert_true(p.retain);
    assert_int_equal(p.qos, 1);
    client_publish(&b, "state", "", 0, 0, true);
    p = client_expect_publish(&a, "state", "");
    assert_false(p.retain);
    client_subscribe(&a, "state", 0);
    client_expect_nothing(&a);
    client_close(&a);
    client_close(&b);
    world_close(&w);
}

static void will_is_published_when_the_network_goes(void **state)
{
    (void)state;
    struct world w;
    struct client a, b;
    world_init(&w, 1);
    world_start(&w);
    client_join(&a, &w, MQTT_V311, "a");
    client_subscribe(&a, "gone/#", 0);
    struct mqtt_connect connect = connect_as(MQTT_V311, "b");
    connect.has_will = true;
    connect.will_topic = BYTES_LIT("gone/b");
    connect.will_payload = BYTES_LIT("bye");
    (void)client_connect(&b, &w, &connect);
    client_cut(&b);
    (void)client_expect_publish(&a, "gone/b", "bye");
    client_close(&b);
    (void)client_connect(&b, &w, &connect);
    client_send(&b, &(struct mqtt_packet){.type = MQTT_DISCONNECT});
    client_expect_closed(&b);
    client_expect_nothing(&a);
    client_close(&a);
    client_close(&b);
    world_close(&w);
}

static void silent_client_is_ended_after_one_and_a_half_keep_alives(void **state)
{
    (void)state;
    struct world w;
    struct client a;
    world_init(&w, 1);
    world_start(&w);
    struct mqtt_connect connect = connect_as(MQTT_V5, "a");
    connect.keep_alive_s = 10;
    (void)client_connect(&a, &w, &connect);
    world_advance(&w, 14000);
    client_send(&a, &(struct mqtt_packet){.type = MQTT_PINGREQ});
    (void)client_expect(&a, MQTT_PINGRESP);
    world_advance(&w, 14999);
    client_expect_nothing(&a);
    assert_false(a.is_closed);
    world_advance(&w, 1);
    assert_int_equal(client_expect(&a, MQTT_DISCONNECT).end.reason, MQTT_REASON_KEEP_ALIVE_TIMEOUT);
    client_expect_closed(&a);
    client_close(&a);
    world_close(&w);
}

static void newer_connection_takes_over(void **state)
{
    (void)state;
    struct world w;
    struct client a, b;
    world_init(&w, 1);
    world_start(&w);
    client_join(&a, &w, MQTT_V5, "a");
    client_join(&b, &w, MQTT_V5, "a");
    assert_int_equal(client_expect(&a, MQTT_DISCONNECT).end.reason, MQTT_REASON_SESSION_TAKEN_OVER);
    client_expect_closed(&a);
    struct broker_conn found;
    assert_int_equal(broker_find(w.shard[0], BYTES_LIT("a"), &found), 0);
    assert_memory_equal(&found, &b.conn, sizeof found);
    assert_int_equal(w.connected, 2);
    assert_int_equal(w.disconnected, 1);
    client_close(&a);
    client_close(&b);
    world_close(&w);
}

static enum broker_verdict by_topic(struct world *w, const struct broker_publish *in,
                                    uint64_t ticket, uint8_t *reason)
{
    (void)w;
    (void)ticket;
    if (in->topic.p[0] == 'd')
        return BROKER_DEFER;
    if (in->topic.p[0] == 't') {
        *reason = MQTT_REASON_QUOTA_EXCEEDED;
        return BROKER_TAKEN;
    }
    return BROKER_ROUTE;
}

static void acknowledgements_leave_in_the_order_of_the_publishes(void **state)
{
    (void)state;
    struct world w;
    struct client a;
    world_init(&w, 1);
    w.publish = by_topic;
    world_start(&w);
    client_join(&a, &w, MQTT_V5, "a");
    client_publish(&a, "d/1", "x", 1, 1, false);
    client_publish(&a, "taken", "x", 1, 2, false);
    client_publish(&a, "d/2", "x", 0, 0, false);
    client_publish(&a, "d/3", "x", 1, 3, false);
    client_publish(&a, "routed", "x", 1, 4, false);
    assert_int_equal(w.ticket_count, 3);
    client_expect_nothing(&a);
    broker_acknowledge(w.shard[0], a.conn, w.tickets[2], MQTT_REASON_NOT_AUTHORIZED);
    client_expect_nothing(&a);
    broker_acknowledge(w.shard[0], a.conn, w.tickets[0], 0);
    assert_int_equal(client_expect_ack(&a, MQTT_PUBACK, 1).reason, 0);
    assert_int_equal(client_expect_ack(&a, MQTT_PUBACK, 2).reason, MQTT_REASON_QUOTA_EXCEEDED);
    client_expect_nothing(&a);
    broker_acknowledge(w.shard[0], a.conn, w.tickets[1], 0);
    broker_acknowledge(w.shard[0], a.conn, w.tickets[1], 0);
    broker_acknowledge(w.shard[0], a.conn, 4711, 0);
    assert_int_equal(client_expect_ack(&a, MQTT_PUBACK, 3).reason, MQTT_REASON_NOT_AUTHORIZED);
    assert_int_equal(client_expect_ack(&a, MQTT_PUBACK, 4).reason,
                     MQTT_REASON_NO_MATCHING_SUBSCRIBERS);
    client_expect_nothing(&a);
    client_close(&a);
    broker_acknowledge(w.shard[0], a.conn, w.tickets[1], 0);
    world_close(&w);
}

static void subscribers_on_other_shards_get_it(void **state)
{
    (void)state;
    struct world w;
    struct client a, b;
    char id[32];
    world_init(&w, 4);
    world_start(&w);
    client_join(&a, &w, MQTT_V5, id_on_shard(1, 4, 1, id));
    client_join(&b, &w, MQTT_V5, id_on_shard(3, 4, 2, id));
    client_subscribe(&a, "x/#", 1);
    client_publish(&b, "x/y", "hello", 1, 1, false);
    assert_int_equal(client_expect_ack(&b, MQTT_PUBACK, 1).reason, 0);
    (void)client_expect_publish(&a, "x/y", "hello");
    client_close(&a);
    client_publish(&b, "x/y", "hello", 1, 2, false);
    assert_int_equal(client_expect_ack(&b, MQTT_PUBACK, 2).reason,
                     MQTT_REASON_NO_MATCHING_SUBSCRIBERS);
    client_close(&b);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(publish_reaches_subscriber_311),
        cmocka_unit_test(publish_reaches_subscriber_5),
        cmocka_unit_test(retained_message_is_given_to_a_later_subscriber),
        cmocka_unit_test(will_is_published_when_the_network_goes),
        cmocka_unit_test(silent_client_is_ended_after_one_and_a_half_keep_alives),
        cmocka_unit_test(newer_connection_takes_over),
        cmocka_unit_test(acknowledgements_leave_in_the_order_of_the_publishes),
        cmocka_unit_test(subscribers_on_other_shards_get_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
