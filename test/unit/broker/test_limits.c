/* Everything that can grow has a limit, and a behaviour at the limit. */
#include "world.h"

static struct broker_stats stats_of(struct world *w)
{
    struct broker_stats stats;
    broker_stats_get(w->shard[0], &stats);
    return stats;
}

static struct mqtt_connect lasting(const char *id)
{
    static const uint8_t expiry[] = {MQTT_PROP_SESSION_EXPIRY, 0, 0, 14, 16};
    struct mqtt_connect connect = connect_as(MQTT_V5, id);
    connect.clean_start = false;
    connect.props.wire = bytes_of(expiry, sizeof expiry);
    return connect;
}

static void slow_client_loses_qos_0_and_its_qos_1_waits(void **state)
{
    (void)state;
    struct world w;
    struct client a, b;
    char payload[1001];
    world_init(&w, 1);
    w.limits.output_bytes = 10000;
    w.limits.inflight = 1000;
    w.limits.slow_publishers_ms = 0;
    world_start(&w);
    client_join(&a, &w, MQTT_V5, "a");
    client_join(&b, &w, MQTT_V5, "b");
    client_subscribe(&a, "x", 1);
    memset(payload, 'p', sizeof payload);
    payload[1000] = '\0';
    a.is_stuck = true;
    for (unsigned i = 0; i < 100; i++)
        client_publish(&b, "x", payload, 0, 0, false);
    uint64_t dropped = stats_of(&w).publishes_dropped_total;
    assert_in_range(dropped, 89, 91);
    for (uint16_t i = 1; i <= 20; i++)
        client_publish(&b, "x", payload, 1, i, false);
    assert_int_equal(stats_of(&w).publishes_dropped_total, dropped);
    client_unstick(&a);
    unsigned qos0 = 0, qos1 = 0;
    while (a.at < a.in.n) {
        struct mqtt_publish p = client_expect_publish(&a, "x", payload);
        qos0 += p.qos == 0;
        qos1 += p.qos == 1;
    }
    assert_int_equal(qos0, 100 - dropped);
    assert_int_equal(qos1, 20);
    client_close(&a);
    client_close(&b);
    world_close(&w);
}

static void queue_of_an_absent_client_drops_the_newest(void **state)
{
    (void)state;
    struct world w;
    struct client a, b;
    char payload[16];
    world_init(&w, 1);
    w.limits.queued_messages = 5;
    world_start(&w);
    struct mqtt_connect connect = lasting("a");
    (void)client_connect(&a, &w, &connect);
    client_subscribe(&a, "x", 1);
    client_close(&a);
    client_join(&b, &w, MQTT_V5, "b");
    for (uint16_t i = 1; i <= 8; i++) {
        snprintf(payload, sizeof payload, "%u", i);
        client_publish(&b, "x", payload, 1, i, false);
    }
    assert_int_equal(stats_of(&w).publishes_dropped_total, 3);
    (void)client_connect(&a, &w, &connect);
    for (unsigned i = 1; i <= 5; i++) {
        snprintf(payload, sizeof payload, "%u", i);
        (void)client_expect_publish(&a, "x", payload);
    }
    client_expect_nothing(&a);
    client_close(&a);
    client_close(&b);
    world_close(&w);
}

static void queue_is_limited_in_bytes_too(void **state)
{
    (void)state;
    struct world w;
    struct client a, b;
    world_init(&w, 1);
    w.limits.queued_bytes = 1000;
    world_start(&w);
    struct mqtt_connect connect = lasting("a");
    (void)client_connect(&a, &w, &connect);
    client_subscribe(&a, "x", 1);
    client_close(&a);
    client_join(&b, &w, MQTT_V5, "b");
    for (uint16_t i = 1; i <= 100; i++)
        client_publish(&b, "x", "payload", 1, i, false);
    assert_in_range(stats_of(&w).publishes_dropped_total, 80, 99);
    client_close(&b);
    world_close(&w);
}

static void packet_over_the_limit_ends_the_connection(void **state)
{
    (void)state;
    struct world w;
    struct client a;
    world_init(&w, 1);
    w.limits.packet_bytes = 1000;
    world_start(&w);
    client_join(&a, &w, MQTT_V5, "a");
    /* The fixed header alone says it. */
    client_send_bytes(&a, BYTES_LIT("\x30\xe9\x07"));
    assert_int_equal(client_expect(&a, MQTT_DISCONNECT).end.reason, MQTT_REASON_PACKET_TOO_LARGE);
    client_expect_closed(&a);
    client_close(&a);
    world_close(&w);
}

static void client_is_not_sent_more_than_it_takes(void **state)
{
    (void)state;
    struct world w;
    struct client a, b;
    static const uint8_t props[] = {MQTT_PROP_MAXIMUM_PACKET_SIZE, 0, 0, 0, 60};
    world_init(&w, 1);
    world_start(&w);
    struct mqtt_connect connect = connect_as(MQTT_V5, "a");
    connect.props.wire = bytes_of(props, sizeof props);
    (void)client_connect(&a, &w, &connect);
    client_join(&b, &w, MQTT_V5, "b");
    client_subscribe(&a, "x", 1);
    char payload[100];
    memset(payload, 'p', sizeof payload);
    payload[54] = '\0';
    /* 1 + 1 + 2 + 1 + 2 + 1 = 8 bytes are around the payload at QoS 1, 6 at QoS 0. */
    client_publish(&b, "x", payload, 0, 0, false);
    (void)client_expect_publish(&a, "x", payload);
    client_publish(&b, "x", payload, 1, 1, false);
    client_expect_nothing(&a);
    payload[52] = '\0';
    client_publish(&b, "x", payload, 1, 2, false);
    (void)client_expect_publish(&a, "x", payload);
    assert_int_equal(stats_of(&w).publishes_dropped_total, 1);
    /* An answer that is too large ends the connection. */
    struct buf list = {0};
    for (unsigned i = 0; i < 100; i++) {
        buf_append_str16(&list, BYTES_LIT("y"));
        buf_append_u8(&list, 0);
    }
    struct mqtt_packet packet = {.type = MQTT_SUBSCRIBE};
    packet.subscribe = (struct mqtt_subscribe){.packet_id = 3, .filters = buf_bytes(&list)};
    client_send(&a, &packet);
    assert_int_equal(client_expect(&a, MQTT_DISCONNECT).end.reason, MQTT_REASON_PACKET_TOO_LARGE);
    buf_close(&list);
    client_close(&a);
    client_close(&b);
    world_close(&w);
}

static void client_back_with_less_room_loses_what_does_not_fit(void **state)
{
    (void)state;
    struct world w;
    struct client a, b;
    static const uint8_t props[] = {MQTT_PROP_SESSION_EXPIRY,      0, 0, 14, 16,
                                    MQTT_PROP_MAXIMUM_PACKET_SIZE, 0, 0, 0,  60};
    char payload[101];
    world_init(&w, 1);
    world_start(&w);
    struct mqtt_connect connect = lasting("a");
    (void)client_connect(&a, &w, &connect);
    client_subscribe(&a, "x", 1);
    client_join(&b, &w, MQTT_V5, "b");
    memset(payload, 'p', sizeof payload);
    payload[100] = '\0';
    client_publish(&b, "x", payload, 1, 1, false);
    client_publish(&b, "x", "small", 1, 2, false);
    client_close(&a);
    client_publish(&b, "x", payload, 1, 3, false);
    client_publish(&b, "x", "last", 1, 4, false);
    connect.props.wire = bytes_of(props, sizeof props);
    (void)client_connect(&a, &w, &connect);
    assert_true(client_expect_publish(&a, "x", "small").dup);
    (void)client_expect_publish(&a, "x", "last");
    client_expect_nothing(&a);
    assert_int_equal(stats_of(&w).publishes_dropped_total, 2);
    client_close(&a);
    client_close(&b);
    world_close(&w);
}

static void longest_topics_are_routed_without_the_cache(void **state)
{
    (void)state;
    struct world w;
    struct client a;
    static char topic[2049];
    world_init(&w, 1);
    world_start(&w);
    memset(topic, 't', sizeof topic - 1);
    client_join(&a, &w, MQTT_V5, "a");
    client_subscribe(&a, "+", 0);
    for (unsigned i = 0; i < 2; i++) {
        client_publish(&a, topic, "x", 0, 0, false);
        (void)client_expect_publish(&a, topic, "x");
    }
    client_close(&a);
    world_close(&w);
}

static void client_too_small_for_a_connack_is_closed(void **state)
{
    (void)state;
    struct world w;
    struct client a;
    static const uint8_t props[] = {MQTT_PROP_MAXIMUM_PACKET_SIZE, 0, 0, 0, 1};
    world_init(&w, 1);
    world_start(&w);
    struct mqtt_connect connect = connect_as(MQTT_V5, "a");
    connect.props.wire = bytes_of(props, sizeof props);
    client_open(&a, &w, 0, MQTT_V5);
    client_send(&a, &(struct mqtt_packet){.type = MQTT_CONNECT, .connect = connect});
    client_expect_closed(&a);
    assert_int_equal(stats_of(&w).sessions, 0);
    assert_int_equal(w.connected + w.disconnected, 0);
    client_close(&a);
    world_close(&w);
}

static void topics_and_filters_over_a_limit_are_refused(void **state)
{
    (void)state;
    struct world w;
    struct client a;
    world_init(&w, 1);
    w.limits.topic_levels = 3;
    w.limits.topic_bytes = 10;
    world_start(&w);
    client_join(&a, &w, MQTT_V5, "a");
    assert_int_equal(client_subscribe_code(&a, "a/b/c/d", 0), MQTT_REASON_TOPIC_FILTER_INVALID);
    assert_int_equal(client_subscribe_code(&a, "12345678901", 0), MQTT_REASON_TOPIC_FILTER_INVALID);
    client_subscribe(&a, "a/b/c", 0);
    client_subscribe(&a, "1234567890", 0);
    client_publish(&a, "a/b/c/d", "x", 1, 1, false);
    assert_int_equal(client_expect(&a, MQTT_DISCONNECT).end.reason, MQTT_REASON_TOPIC_NAME_INVALID);
    client_close(&a);
    struct mqtt_connect connect = connect_as(MQTT_V5, "a");
    connect.has_will = true;
    connect.will_topic = BYTES_LIT("a/b/c/d");
    assert_int_equal(client_connect(&a, &w, &connect).reason, MQTT_REASON_TOPIC_NAME_INVALID);
    client_close(&a);
    world_close(&w);
}

static void subscriptions_of_a_session_are_limited(void **state)
{
    (void)state;
    struct world w;
    struct client a;
    world_init(&w, 1);
    w.limits.subscriptions = 2;
    world_start(&w);
    client_join(&a, &w, MQTT_V5, "a");
    client_subscribe(&a, "1", 0);
    client_subscribe(&a, "2", 0);
    assert_int_equal(client_subscribe_code(&a, "3", 0), MQTT_REASON_QUOTA_EXCEEDED);
    client_subscribe(&a, "2", 1);
    assert_int_equal(stats_of(&w).subscriptions, 2);
    client_close(&a);
    world_close(&w);
}

static void what_the_filters_of_a_session_take_is_limited(void **state)
{
    (void)state;
    struct world w;
    struct client a;
    static char filter[60001];
    world_init(&w, 1);
    world_start(&w);
    client_join(&a, &w, MQTT_V5, "a");
    memset(filter, 'x', sizeof filter - 1);
    unsigned taken = 0;
    for (;; taken++) {
        filter[0] = (char)('A' + taken);
        if (client_subscribe_code(&a, filter, 0) != 0)
            break;
    }
    assert_int_equal(taken, 1024 * 1024 / 60000);
    /* One less makes room for one more. */
    filter[0] = 'A';
    struct buf list = {0};
    buf_append_u16(&list, (uint16_t)(sizeof filter - 1));
    buf_append(&list, filter, sizeof filter - 1);
    struct mqtt_packet packet = {
        .type = MQTT_UNSUBSCRIBE,
        .unsubscribe = {.packet_id = 9, .filters = buf_bytes(&list)},
    };
    client_send(&a, &packet);
    (void)client_expect(&a, MQTT_UNSUBACK);
    buf_close(&list);
    filter[0] = 'z';
    client_subscribe(&a, filter, 0);
    client_close(&a);
    world_close(&w);
}

static void retained_messages_are_limited(void **state)
{
    (void)state;
    struct world w;
    struct client a;
    char payload[2001];
    world_init(&w, 1);
    w.limits.retained_messages = 2;
    w.limits.retained_bytes = 3000;
    world_start(&w);
    client_join(&a, &w, MQTT_V5, "a");
    client_subscribe(&a, "#", 0);
    client_publish(&a, "1", "x", 0, 0, true);
    client_publish(&a, "2", "x", 0, 0, true);
    (void)client_expect_publish(&a, "1", "x");
    (void)client_expect_publish(&a, "2", "x");
    client_publish(&a, "3", "x", 1, 1, true);
    assert_int_equal(client_expect_ack(&a, MQTT_PUBACK, 1).reason, MQTT_REASON_QUOTA_EXCEEDED);
    client_expect_nothing(&a);
    /* What is there may be replaced, and removed to make room. */
    client_publish(&a, "2", "y", 0, 0, true);
    (void)client_expect_publish(&a, "2", "y");
    client_publish(&a, "1", "", 0, 0, true);
    (void)client_expect_publish(&a, "1", "");
    client_publish(&a, "3", "x", 0, 0, true);
    (void)client_expect_publish(&a, "3", "x");
    memset(payload, 'p', sizeof payload);
    payload[2000] = '\0';
    client_publish(&a, "2", payload, 0, 0, true);
    (void)client_expect_publish(&a, "2", payload);
    client_publish(&a, "3", payload, 2, 2, true);
    assert_int_equal(client_expect_ack(&a, MQTT_PUBREC, 2).reason, MQTT_REASON_QUOTA_EXCEEDED);
    client_publish(&a, "2", payload, 0, 0, true);
    (void)client_expect_publish(&a, "2", payload);
    assert_int_equal(stats_of(&w).retained, 2);
    client_close(&a);
    world_close(&w);
}

static void who_asks_without_reading_is_not_heard_any_more(void **state)
{
    (void)state;
    struct world w;
    struct client a;
    world_init(&w, 1);
    w.limits.output_bytes = 1000;
    world_start(&w);
    struct mqtt_connect connect = connect_as(MQTT_V311, "a");
    connect.keep_alive_s = 10;
    (void)client_connect(&a, &w, &connect);
    a.is_stuck = true;
    struct buf pings = {0};
    for (unsigned i = 0; i < 100000; i++)
        buf_append(&pings, "\xc0\0", 2);
    client_send_bytes(&a, buf_bytes(&pings));
    assert_in_range(a.out.n, 100000, 199999);
    /* It reads again: the rest is taken. */
    a.is_stuck = false;
    struct broker_piece pieces[64];
    bool closing;
    size_t n = 0;
    size_t count = broker_output(w.shard[0], a.conn, pieces, 64, &closing);
    for (size_t i = 0; i < count; i++)
        n += pieces[i].n;
    assert_true(n > 1000 && n < 70000);
    broker_output_written(w.shard[0], a.conn, n);
    world_turn(&w);
    assert_int_equal(a.out.n, 0);
    /* Stuck for good: the keep alive ends it. */
    a.is_stuck = true;
    client_send_bytes(&a, buf_bytes(&pings));
    world_advance(&w, 20000);
    assert_int_equal(stats_of(&w).sessions, 0);
    buf_close(&pings);
    client_close(&a);
    world_close(&w);
}

static void retained_messages_beyond_the_output_wait(void **state)
{
    (void)state;
    struct world w;
    struct client a, b;
    char topic[16];
    world_init(&w, 1);
    w.limits.output_bytes = 100;
    w.limits.queued_messages = 5; /* the store's messages come on top */
    world_start(&w);
    client_join(&b, &w, MQTT_V5, "b");
    for (unsigned i = 0; i < 40; i++) {
        snprintf(topic, sizeof topic, "t/%u", i);
        client_publish(&b, topic, "retained", 0, 0, true);
    }
    client_join(&a, &w, MQTT_V5, "a");
    client_subscribe(&a, "t/#", 0);
    unsigned count = 0;
    while (a.at < a.in.n) {
        assert_true(client_expect(&a, MQTT_PUBLISH).publish.retain);
        count++;
    }
    assert_int_equal(count, 40);
    /* And a live message does not overtake them. */
    a.is_stuck = true;
    struct mqtt_packet packet = {.type = MQTT_SUBSCRIBE};
    packet.subscribe = (struct mqtt_subscribe){.packet_id = 3, .filters = BYTES_LIT("\0\3t/#\0")};
    client_send(&a, &packet);
    client_publish(&b, "t/39", "live", 0, 0, false);
    client_unstick(&a);
    (void)client_expect(&a, MQTT_SUBACK);
    unsigned live_at = 0;
    count = 0;
    while (a.at < a.in.n) {
        struct mqtt_publish p = client_expect(&a, MQTT_PUBLISH).publish;
        count++;
        if (!p.retain)
            live_at = count;
    }
    assert_int_equal(count, 41);
    assert_int_equal(live_at, 41);
    client_close(&a);
    client_close(&b);
    world_close(&w);
}

static void large_payloads_are_shared_not_copied(void **state)
{
    (void)state;
    struct world w;
    struct client a, b, c;
    static char payload[300001];
    world_init(&w, 1);
    world_start(&w);
    client_join(&a, &w, MQTT_V5, "a");
    client_join(&b, &w, MQTT_V311, "b");
    client_join(&c, &w, MQTT_V5, "c");
    client_subscribe(&a, "x", 1);
    client_subscribe(&b, "x", 0);
    for (size_t i = 0; i < sizeof payload - 1; i++)
        payload[i] = (char)('a' + i % 26);
    a.is_stuck = b.is_stuck = true;
    client_publish(&c, "x", payload, 1, 1, false);
    struct broker_piece of_a[4], of_b[4];
    bool closing;
    assert_int_equal(broker_output(w.shard[0], a.conn, of_a, 4, &closing), 2);
    assert_int_equal(broker_output(w.shard[0], b.conn, of_b, 4, &closing), 2);
    assert_ptr_equal(of_a[1].p, of_b[1].p);
    assert_int_equal(of_a[1].n, 300000);
    /* Written in parts of any size. */
    a.is_stuck = b.is_stuck = false;
    for (size_t step = 1;; step = step * 3 + 1) {
        struct broker_piece piece;
        if (broker_output(w.shard[0], a.conn, &piece, 1, &closing) == 0)
            break;
        size_t n = piece.n < step ? piece.n : step;
        buf_append(&a.in, piece.p, n);
        broker_output_written(w.shard[0], a.conn, n);
    }
    (void)client_expect_publish(&a, "x", payload);
    client_unstick(&b);
    (void)client_expect_publish(&b, "x", payload);
    client_close(&a);
    client_close(&b);
    client_close(&c);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(slow_client_loses_qos_0_and_its_qos_1_waits),
        cmocka_unit_test(queue_of_an_absent_client_drops_the_newest),
        cmocka_unit_test(queue_is_limited_in_bytes_too),
        cmocka_unit_test(packet_over_the_limit_ends_the_connection),
        cmocka_unit_test(client_is_not_sent_more_than_it_takes),
        cmocka_unit_test(client_back_with_less_room_loses_what_does_not_fit),
        cmocka_unit_test(longest_topics_are_routed_without_the_cache),
        cmocka_unit_test(client_too_small_for_a_connack_is_closed),
        cmocka_unit_test(topics_and_filters_over_a_limit_are_refused),
        cmocka_unit_test(subscriptions_of_a_session_are_limited),
        cmocka_unit_test(what_the_filters_of_a_session_take_is_limited),
        cmocka_unit_test(retained_messages_are_limited),
        cmocka_unit_test(who_asks_without_reading_is_not_heard_any_more),
        cmocka_unit_test(retained_messages_beyond_the_output_wait),
        cmocka_unit_test(large_payloads_are_shared_not_copied),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
