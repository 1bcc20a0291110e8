/* QoS 1 and 2 in both directions, windows, and what is sent again on the next connection. */
#include "world.h"

static struct mqtt_connect lasting(enum mqtt_version version, const char *id)
{
    static const uint8_t expiry[] = {MQTT_PROP_SESSION_EXPIRY, 0, 0, 14, 16};
    struct mqtt_connect connect = connect_as(version, id);
    connect.clean_start = false;
    connect.props.wire = bytes_of(expiry, sizeof expiry);
    return connect;
}

static struct mqtt_connect with_receive_maximum(const char *id, uint16_t most)
{
    static uint8_t props[8] = {MQTT_PROP_SESSION_EXPIRY, 0, 0, 14, 16, MQTT_PROP_RECEIVE_MAXIMUM};
    props[6] = (uint8_t)(most >> 8);
    props[7] = (uint8_t)most;
    struct mqtt_connect connect = connect_as(MQTT_V5, id);
    connect.clean_start = false;
    connect.props.wire = bytes_of(props, sizeof props);
    return connect;
}

static void qos_2_goes_through_exactly_once(enum mqtt_version version)
{
    struct world w;
    struct client a, b;
    world_init(&w, 1);
    world_start(&w);
    client_join(&a, &w, version, "a");
    client_subscribe(&a, "x", 2);
    client_join(&b, &w, version, "b");
    client_publish(&b, "x", "one", 2, 7, false);
    assert_int_equal(client_expect_ack(&b, MQTT_PUBREC, 7).reason, 0);
    /* Once more, before PUBREL: the same message. */
    client_publish(&b, "x", "one", 2, 7, false);
    assert_int_equal(client_expect_ack(&b, MQTT_PUBREC, 7).reason, 0);
    client_ack(&b, MQTT_PUBREL, 7, 0);
    assert_int_equal(client_expect_ack(&b, MQTT_PUBCOMP, 7).reason, 0);
    client_ack(&b, MQTT_PUBREL, 7, 0);
    assert_int_equal(client_expect_ack(&b, MQTT_PUBCOMP, 7).reason,
                     version == MQTT_V5 ? MQTT_REASON_PACKET_IDENTIFIER_NOT_FOUND : 0);
    /* After PUBREL the identifier is free for another. */
    client_publish(&b, "x", "two", 2, 7, false);
    (void)client_expect_ack(&b, MQTT_PUBREC, 7);

    struct mqtt_publish one = client_expect_publish(&a, "x", "one");
    assert_int_equal(one.qos, 2);
    struct mqtt_publish two = client_expect_publish(&a, "x", "two");
    client_expect_nothing(&a);
    client_ack(&a, MQTT_PUBREC, one.packet_id, 0);
    (void)client_expect_ack(&a, MQTT_PUBREL, one.packet_id);
    client_ack(&a, MQTT_PUBREC, one.packet_id, 0);
    (void)client_expect_ack(&a, MQTT_PUBREL, one.packet_id);
    client_ack(&a, MQTT_PUBCOMP, one.packet_id, 0);
    client_ack(&a, MQTT_PUBREC, two.packet_id, 0);
    (void)client_expect_ack(&a, MQTT_PUBREL, two.packet_id);
    client_ack(&a, MQTT_PUBCOMP, two.packet_id, 0);
    client_expect_nothing(&a);
    client_close(&a);
    client_close(&b);
    world_close(&w);
}

static void qos_2_goes_through_exactly_once_311(void **state)
{
    (void)state;
    qos_2_goes_through_exactly_once(MQTT_V311);
}

static void qos_2_goes_through_exactly_once_5(void **state)
{
    (void)state;
    qos_2_goes_through_exactly_once(MQTT_V5);
}

static void what_is_not_completed_is_sent_again_in_order(void **state)
{
    (void)state;
    struct world w;
    struct client a, b;
    world_init(&w, 1);
    world_start(&w);
    struct mqtt_connect connect = lasting(MQTT_V5, "a");
    (void)client_connect(&a, &w, &connect);
    client_subscribe(&a, "x", 2);
    client_join(&b, &w, MQTT_V5, "b");
    client_publish(&b, "x", "1", 1, 1, false);
    client_publish(&b, "x", "2", 2, 2, false);
    client_publish(&b, "x", "3", 2, 3, false);
    client_publish(&b, "x", "4", 1, 4, false);
    uint16_t id[5];
    const char *const payload[] = {"", "1", "2", "3", "4"};
    for (int i = 1; i <= 4; i++) {
        struct mqtt_publish p = client_expect_publish(&a, "x", payload[i]);
        assert_false(p.dup);
        id[i] = p.packet_id;
    }
    client_ack(&a, MQTT_PUBREC, id[2], 0);
    (void)client_expect_ack(&a, MQTT_PUBREL, id[2]);
    client_close(&a);
    assert_true(client_connect(&a, &w, &connect).session_present);
    struct mqtt_publish p = client_expect_publish(&a, "x", "1");
    assert_true(p.dup && p.packet_id == id[1] && p.qos == 1);
    (void)client_expect_ack(&a, MQTT_PUBREL, id[2]);
    p = client_expect_publish(&a, "x", "3");
    assert_true(p.dup && p.packet_id == id[3] && p.qos == 2);
    p = client_expect_publish(&a, "x", "4");
    assert_true(p.dup && p.packet_id == id[4]);
    client_ack(&a, MQTT_PUBACK, id[1], 0);
    client_ack(&a, MQTT_PUBCOMP, id[2], 0);
    client_ack(&a, MQTT_PUBREC, id[3], MQTT_REASON_QUOTA_EXCEEDED);
    client_ack(&a, MQTT_PUBACK, id[4], 0);
    client_expect_nothing(&a);
    client_close(&a);
    assert_true(client_connect(&a, &w, &connect).session_present);
    client_expect_nothing(&a);
    client_close(&a);
    client_close(&b);
    world_close(&w);
}

static void incoming_qos_2_is_remembered_across_connections(void **state)
{
    (void)state;
    struct world w;
    struct client a, b;
    world_init(&w, 1);
    world_start(&w);
    client_join(&a, &w, MQTT_V311, "a");
    client_subscribe(&a, "x", 0);
    struct mqtt_connect connect = lasting(MQTT_V311, "b");
    (void)client_connect(&b, &w, &connect);
    client_publish(&b, "x", "1", 2, 1, false);
    (void)client_expect_publish(&a, "x", "1");
    client_close(&b);
    (void)client_connect(&b, &w, &connect);
    client_publish(&b, "x", "1", 2, 1, false);
    (void)client_expect_ack(&b, MQTT_PUBREC, 1);
    client_ack(&b, MQTT_PUBREL, 1, 0);
    (void)client_expect_ack(&b, MQTT_PUBCOMP, 1);
    client_expect_nothing(&a);
    client_close(&a);
    client_close(&b);
    world_close(&w);
}

static void clients_receive_maximum_is_kept(void **state)
{
    (void)state;
    struct world w;
    struct client a, b;
    world_init(&w, 1);
    world_start(&w);
    struct mqtt_connect connect = with_receive_maximum("a", 2);
    (void)client_connect(&a, &w, &connect);
    client_subscribe(&a, "x", 2);
    client_join(&b, &w, MQTT_V5, "b");
    for (uint16_t i = 1; i <= 5; i++)
        client_publish(&b, "x", (const char *[]){"", "1", "2", "3", "4", "5"}[i], 1, i, false);
    struct mqtt_publish one = client_expect_publish(&a, "x", "1");
    struct mqtt_publish two = client_expect_publish(&a, "x", "2");
    client_expect_nothing(&a);
    /* QoS 0 does not count. */
    client_publish(&b, "x", "0", 0, 0, false);
    (void)client_expect_publish(&a, "x", "0");
    client_ack(&a, MQTT_PUBACK, two.packet_id, 0);
    (void)client_expect_publish(&a, "x", "3");
    client_expect_nothing(&a);
    client_ack(&a, MQTT_PUBACK, one.packet_id, 0);
    (void)client_expect_publish(&a, "x", "4");
    client_expect_nothing(&a);
    client_close(&a);
    /* Back with a smaller window: not even what was sent already fits at once. */
    connect = with_receive_maximum("a", 1);
    assert_true(client_connect(&a, &w, &connect).session_present);
    struct mqtt_publish p = client_expect_publish(&a, "x", "3");
    assert_true(p.dup);
    client_expect_nothing(&a);
    client_publish(&b, "x", "6", 1, 6, false);
    client_expect_nothing(&a);
    client_ack(&a, MQTT_PUBACK, p.packet_id, 0);
    p = client_expect_publish(&a, "x", "4");
    assert_true(p.dup);
    client_expect_nothing(&a);
    client_ack(&a, MQTT_PUBACK, p.packet_id, 0);
    p = client_expect_publish(&a, "x", "5");
    assert_false(p.dup);
    client_ack(&a, MQTT_PUBACK, p.packet_id, 0);
    (void)client_expect_publish(&a, "x", "6");
    client_close(&a);
    client_close(&b);
    world_close(&w);
}

static enum broker_verdict defer(struct world *w, const struct broker_publish *in, uint64_t ticket,
                                 uint8_t *reason)
{
    (void)w;
    (void)in;
    (void)ticket;
    (void)reason;
    return BROKER_DEFER;
}

static void servers_receive_maximum_is_enforced(void **state)
{
    (void)state;
    struct world w;
    struct client a;
    world_init(&w, 1);
    w.limits.receive_maximum = 2;
    w.publish = defer;
    world_start(&w);
    client_join(&a, &w, MQTT_V5, "a");
    client_publish(&a, "x", "1", 1, 1, false);
    client_publish(&a, "x", "2", 1, 2, false);
    client_expect_nothing(&a);
    broker_acknowledge(w.shard[0], a.conn, w.tickets[0], 0);
    (void)client_expect_ack(&a, MQTT_PUBACK, 1);
    client_publish(&a, "x", "3", 1, 3, false);
    client_expect_nothing(&a);
    client_publish(&a, "x", "4", 1, 4, false);
    assert_int_equal(client_expect(&a, MQTT_DISCONNECT).end.reason,
                     MQTT_REASON_RECEIVE_MAXIMUM_EXCEEDED);
    client_expect_closed(&a);
    client_close(&a);
    world_close(&w);
}

static void qos_2_counts_until_pubrel(void **state)
{
    (void)state;
    struct world w;
    struct client a;
    world_init(&w, 1);
    w.limits.receive_maximum = 2;
    world_start(&w);
    client_join(&a, &w, MQTT_V5, "a");
    for (uint16_t i = 1; i <= 10; i++) {
        client_publish(&a, "x", "1", 2, i, false);
        (void)client_expect_ack(&a, MQTT_PUBREC, i);
        client_ack(&a, MQTT_PUBREL, i, 0);
        (void)client_expect_ack(&a, MQTT_PUBCOMP, i);
    }
    for (uint16_t i = 1; i <= 2; i++) {
        client_publish(&a, "x", "1", 2, i, false);
        (void)client_expect_ack(&a, MQTT_PUBREC, i);
    }
    client_publish(&a, "x", "1", 2, 3, false);
    assert_int_equal(client_expect(&a, MQTT_DISCONNECT).end.reason,
                     MQTT_REASON_RECEIVE_MAXIMUM_EXCEEDED);
    client_close(&a);
    world_close(&w);
}

static void old_client_is_held_back_instead(void **state)
{
    (void)state;
    struct world w;
    struct client a;
    world_init(&w, 1);
    w.limits.receive_maximum = 2;
    w.publish = defer;
    world_start(&w);
    client_join(&a, &w, MQTT_V311, "a");
    for (uint16_t i = 1; i <= 5; i++)
        client_publish(&a, "x", "1", 1, i, false);
    assert_int_equal(w.ticket_count, 2);
    assert_false(broker_conn_wants_input(w.shard[0], a.conn));
    /* It is our silence, not the client's. */
    world_advance(&w, 600000);
    assert_false(a.is_closed);
    for (size_t i = 0; i < 5; i++) {
        broker_acknowledge(w.shard[0], a.conn, w.tickets[i], 0);
        (void)client_expect_ack(&a, MQTT_PUBACK, (uint16_t)(i + 1));
    }
    assert_int_equal(w.ticket_count, 5);
    client_close(&a);
    world_close(&w);
}

static void deferred_qos_0_holds_back_too(void **state)
{
    (void)state;
    struct world w;
    struct client a;
    world_init(&w, 1);
    w.limits.receive_maximum = 4;
    w.publish = defer;
    world_start(&w);
    client_join(&a, &w, MQTT_V5, "a");
    for (uint16_t i = 1; i <= 20; i++)
        client_publish(&a, "x", "1", 0, 0, false);
    assert_int_equal(w.ticket_count, 8);
    for (size_t i = 0; i < 20; i++) {
        broker_acknowledge(w.shard[0], a.conn, w.tickets[i], 0);
        world_turn(&w);
    }
    assert_int_equal(w.ticket_count, 20);
    client_expect_nothing(&a);
    client_close(&a);
    world_close(&w);
}

static void deferred_qos_2_that_was_never_answered_is_new_again(void **state)
{
    (void)state;
    struct world w;
    struct client a;
    world_init(&w, 1);
    w.publish = defer;
    world_start(&w);
    struct mqtt_connect connect = lasting(MQTT_V5, "a");
    (void)client_connect(&a, &w, &connect);
    client_publish(&a, "x", "1", 2, 9, false);
    client_close(&a);
    broker_acknowledge(w.shard[0], a.conn, w.tickets[0], 0);
    (void)client_connect(&a, &w, &connect);
    client_publish(&a, "x", "1", 2, 9, false);
    assert_int_equal(w.ticket_count, 2);
    client_expect_nothing(&a);
    /* Refused: the identifier is free at once. */
    broker_acknowledge(w.shard[0], a.conn, w.tickets[1], MQTT_REASON_QUOTA_EXCEEDED);
    assert_int_equal(client_expect_ack(&a, MQTT_PUBREC, 9).reason, MQTT_REASON_QUOTA_EXCEEDED);
    client_publish(&a, "x", "1", 2, 9, false);
    assert_int_equal(w.ticket_count, 3);
    client_close(&a);
    world_close(&w);
}

static void acknowledgement_of_another_kind_ends_the_connection(void **state)
{
    (void)state;
    struct world w;
    struct client a, b;
    world_init(&w, 1);
    world_start(&w);
    client_join(&b, &w, MQTT_V5, "b");
    client_join(&a, &w, MQTT_V5, "a");
    client_subscribe(&a, "x", 2);
    client_publish(&b, "x", "1", 2, 1, false);
    uint16_t id = client_expect_publish(&a, "x", "1").packet_id;
    /* Of what is not there: ignored. */
    client_ack(&a, MQTT_PUBACK, (uint16_t)(id + 1), 0);
    client_ack(&a, MQTT_PUBCOMP, (uint16_t)(id + 1), 0);
    client_expect_nothing(&a);
    client_ack(&a, MQTT_PUBREC, (uint16_t)(id + 1), 0);
    assert_int_equal(client_expect_ack(&a, MQTT_PUBREL, (uint16_t)(id + 1)).reason,
                     MQTT_REASON_PACKET_IDENTIFIER_NOT_FOUND);
    client_ack(&a, MQTT_PUBACK, id, 0);
    assert_int_equal(client_expect(&a, MQTT_DISCONNECT).end.reason, MQTT_REASON_PROTOCOL_ERROR);
    client_expect_closed(&a);
    client_close(&a);
    client_close(&b);
    world_close(&w);
}

static void many_in_flight_keep_their_order(void **state)
{
    (void)state;
    struct world w;
    struct client a, b;
    world_init(&w, 1);
    w.limits.inflight = 60000;
    w.limits.queued_messages = 100000;
    world_start(&w);
    struct mqtt_connect connect = lasting(MQTT_V311, "a");
    (void)client_connect(&a, &w, &connect);
    client_subscribe(&a, "x", 1);
    client_join(&b, &w, MQTT_V5, "b");
    char payload[16];
    uint16_t last = 0;
    for (unsigned i = 0; i < 3000; i++) {
        snprintf(payload, sizeof payload, "%u", i);
        client_publish(&b, "x", payload, 1, 1, false);
        struct mqtt_publish p = client_expect_publish(&a, "x", payload);
        assert_int_not_equal(p.packet_id, last);
        last = p.packet_id;
        if (i % 3 == 0)
            client_ack(&a, MQTT_PUBACK, p.packet_id, 0);
    }
    client_close(&a);
    (void)client_connect(&a, &w, &connect);
    for (unsigned i = 0; i < 3000; i++) {
        if (i % 3 == 0)
            continue;
        snprintf(payload, sizeof payload, "%u", i);
        struct mqtt_publish p = client_expect_publish(&a, "x", payload);
        assert_true(p.dup);
        client_ack(&a, MQTT_PUBACK, p.packet_id, 0);
    }
    client_expect_nothing(&a);
    client_close(&a);
    client_close(&b);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(qos_2_goes_through_exactly_once_311),
        cmocka_unit_test(qos_2_goes_through_exactly_once_5),
        cmocka_unit_test(what_is_not_completed_is_sent_again_in_order),
        cmocka_unit_test(incoming_qos_2_is_remembered_across_connections),
        cmocka_unit_test(clients_receive_maximum_is_kept),
        cmocka_unit_test(servers_receive_maximum_is_enforced),
        cmocka_unit_test(qos_2_counts_until_pubrel),
        cmocka_unit_test(old_client_is_held_back_instead),
        cmocka_unit_test(deferred_qos_0_holds_back_too),
        cmocka_unit_test(deferred_qos_2_that_was_never_answered_is_new_again),
        cmocka_unit_test(acknowledgement_of_another_kind_ends_the_connection),
        cmocka_unit_test(many_in_flight_keep_their_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
