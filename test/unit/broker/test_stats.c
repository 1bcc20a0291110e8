/* What is counted is what has happened, and gauges go back to nothing. */
#include "world.h"

static struct broker_stats stats_of(struct world *w)
{
    struct broker_stats stats;
    broker_stats_get(w->shard[0], &stats);
    return stats;
}

static struct mqtt_connect lasting(const char *id)
{
    static const uint8_t expiry[] = {MQTT_PROP_SESSION_EXPIRY, 0, 0, 0, 100};
    struct mqtt_connect connect = connect_as(MQTT_V5, id);
    connect.clean_start = false;
    connect.props.wire = bytes_of(expiry, sizeof expiry);
    return connect;
}

static void every_count_is_summed_over_shards(void **state)
{
    (void)state;
    struct broker_stats shard = {0}, sum = {0};
    uint64_t *words = (uint64_t *)(void *)&shard;
    for (size_t i = 0; i < BROKER_COUNTS; i++)
        words[i] = i + 1;
    broker_stats_add(&sum, &shard);
    broker_stats_add(&sum, &shard);
    assert_int_equal(sum.retained, shard.retained);
    assert_int_equal(sum.retained_bytes, shard.retained_bytes);
    sum.retained *= 2;
    sum.retained_bytes *= 2;
    assert_int_equal(sum.waiting_bytes, shard.waiting_bytes);
    sum.waiting_bytes *= 2;
    assert_int_equal(sum.passing_bytes, shard.passing_bytes);
    sum.passing_bytes *= 2;
    const uint64_t *sums = (const uint64_t *)(const void *)&sum;
    const size_t no_type_in = offsetof(struct broker_counts, packets_in) / sizeof(uint64_t);
    const size_t no_type_out = offsetof(struct broker_counts, packets_out) / sizeof(uint64_t);
    for (size_t i = 0; i < BROKER_COUNTS; i++) {
        if (i != no_type_in && i != no_type_out)
            assert_int_equal(sums[i], 2 * (i + 1));
    }
    assert_int_equal(sum.sessions, sum.sessions_online + sum.sessions_offline);
}

static void packets_and_messages_are_counted_by_kind(void **state)
{
    (void)state;
    struct world w;
    struct client a, b;
    world_init(&w, 1);
    world_start(&w);
    client_join(&a, &w, MQTT_V5, "a");
    client_join(&b, &w, MQTT_V5, "b");
    client_subscribe(&a, "x", 2);
    client_publish(&b, "x", "four", 0, 0, false);
    client_publish(&b, "x", "four", 1, 1, false);
    client_publish(&b, "x", "four", 1, 2, false);
    struct broker_stats s = stats_of(&w);
    assert_int_equal(s.connections, 2);
    assert_int_equal(s.connects_accepted_total, 2);
    assert_int_equal(s.sessions_online, 2);
    assert_int_equal(s.packets_in[MQTT_CONNECT], 2);
    assert_int_equal(s.packets_out[MQTT_CONNACK], 2);
    assert_int_equal(s.packets_in[MQTT_SUBSCRIBE], 1);
    assert_int_equal(s.packets_out[MQTT_SUBACK], 1);
    assert_int_equal(s.packets_in[MQTT_PUBLISH], 3);
    assert_int_equal(s.packets_out[MQTT_PUBLISH], 3);
    assert_int_equal(s.packets_out[MQTT_PUBACK], 2);
    assert_int_equal(s.messages_in_qos0_total, 1);
    assert_int_equal(s.messages_in_qos1_total, 2);
    assert_int_equal(s.messages_out_qos0_total, 1);
    assert_int_equal(s.messages_out_qos1_total, 2);
    assert_int_equal(s.payload_bytes_in_total, 12);
    assert_int_equal(s.payload_bytes_out_total, 12);
    assert_int_equal(s.inflight, 2);
    assert_int_equal(s.packets_in_total, 2 + 1 + 3);
    client_close(&a);
    client_close(&b);
    s = stats_of(&w);
    assert_int_equal(s.connections, 0);
    assert_int_equal(s.sessions, 0);
    assert_int_equal(s.inflight, 0);
    assert_int_equal(s.subscriptions, 0);
    world_close(&w);
}

static void inflight_and_queued_go_back_to_nothing(void **state)
{
    (void)state;
    struct world w;
    struct client a, b;
    world_init(&w, 1);
    w.limits.inflight = 1;
    world_start(&w);
    struct mqtt_connect connect = lasting("a");
    (void)client_connect(&a, &w, &connect);
    client_subscribe(&a, "x", 2);
    client_join(&b, &w, MQTT_V5, "b");
    for (uint16_t i = 1; i <= 3; i++)
        client_publish(&b, "x", "m", 2, i, false);
    assert_int_equal(stats_of(&w).inflight, 1);
    assert_int_equal(stats_of(&w).queued, 2);
    assert_true(stats_of(&w).queued_bytes > 0);
    for (unsigned i = 0; i < 3; i++) {
        struct mqtt_publish p = client_expect_publish(&a, "x", "m");
        client_ack(&a, MQTT_PUBREC, p.packet_id, 0);
        (void)client_expect_ack(&a, MQTT_PUBREL, p.packet_id);
        client_ack(&a, MQTT_PUBCOMP, p.packet_id, 0);
        client_ack(&a, MQTT_PUBCOMP, p.packet_id, 0); /* one too many changes nothing */
    }
    assert_int_equal(stats_of(&w).inflight, 0);
    assert_int_equal(stats_of(&w).queued, 0);
    assert_int_equal(stats_of(&w).queued_bytes, 0);
    for (uint16_t i = 4; i <= 6; i++)
        client_publish(&b, "x", "m", 1, i, false);
    client_close(&a);
    struct broker_stats s = stats_of(&w);
    assert_int_equal(s.sessions_offline, 1);
    assert_int_equal(s.inflight + s.queued, 3);
    world_advance(&w, 101 * 1000);
    s = stats_of(&w);
    assert_int_equal(s.sessions_offline, 0);
    assert_int_equal(s.sessions_expired_total, 1);
    assert_int_equal(s.inflight + s.queued + s.queued_bytes, 0);
    client_close(&b);
    world_close(&w);
}

static void the_text_has_a_help_and_a_type_once_for_each_metric(void **state)
{
    (void)state;
    struct broker_stats stats = {.connections = 7, .messages_in_qos1_total = 9};
    struct buf text = {0};
    broker_stats_append_metrics(&stats, &text);
    buf_append_u8(&text, '\0');
    assert_int_equal(buf_status(&text), 0);
    const char *t = (const char *)text.p;
    assert_non_null(strstr(t, "# TYPE sealmq_connections gauge\nsealmq_connections 7\n"));
    const char *type = strstr(t, "# TYPE sealmq_messages_received_total counter\n");
    assert_non_null(type);
    assert_null(strstr(type + 1, "# TYPE sealmq_messages_received_total "));
    assert_non_null(strstr(t, "\nsealmq_messages_received_total{qos=\"1\"} 9\n"));
    assert_non_null(strstr(t, "\nsealmq_packets_sent_total{type=\"auth\"} 0\n"));
    assert_null(strstr(t, "# HELP sealmq_connections \n"));
    buf_close(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_count_is_summed_over_shards),
        cmocka_unit_test(packets_and_messages_are_counted_by_kind),
        cmocka_unit_test(inflight_and_queued_go_back_to_nothing),
        cmocka_unit_test(the_text_has_a_help_and_a_type_once_for_each_metric),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
