/* Sessions: what is kept for a client that is away, for how long, and who gets it. */
#include "world.h"

static struct buf props;

static struct mqtt_connect lasting(const char *id, uint32_t expiry_s)
{
    struct mqtt_connect connect = connect_as(MQTT_V5, id);
    buf_reset(&props);
    mqtt_props_append_number(&props, MQTT_PROP_SESSION_EXPIRY, expiry_s);
    connect.props.wire = buf_bytes(&props);
    connect.clean_start = false;
    return connect;
}

static struct mqtt_connect lasting_311(const char *id)
{
    struct mqtt_connect connect = connect_as(MQTT_V311, id);
    connect.clean_start = false;
    return connect;
}

static uint64_t session_count(struct world *w)
{
    struct broker_stats stats;
    broker_stats_get(w->shard[0], &stats);
    return stats.sessions;
}

static void away(struct mqtt_connect connect)
{
    struct world w;
    struct client a, b;
    world_init(&w, 1);
    world_start(&w);
    assert_false(client_connect(&a, &w, &connect).session_present);
    client_subscribe(&a, "x", 1);
    client_close(&a);
    client_join(&b, &w, MQTT_V5, "b");
    client_publish(&b, "x", "0", 0, 0, false);
    client_publish(&b, "x", "1", 1, 1, false);
    client_publish(&b, "x", "2", 1, 2, false);
    client_publish(&b, "x", "3", 2, 3, false);
    client_ack(&b, MQTT_PUBREL, 3, 0);
    assert_true(client_connect(&a, &w, &connect).session_present);
    uint16_t one = client_expect_publish(&a, "x", "1").packet_id;
    uint16_t two = client_expect_publish(&a, "x", "2").packet_id;
    assert_int_not_equal(one, two);
    struct mqtt_publish three = client_expect_publish(&a, "x", "3");
    assert_int_equal(three.qos, 1);
    assert_false(three.dup);
    client_expect_nothing(&a);
    client_publish(&b, "x", "live", 0, 0, false);
    (void)client_expect_publish(&a, "x", "live");
    client_close(&a);
    /* A clean start throws it away. */
    connect.clean_start = true;
    assert_false(client_connect(&a, &w, &connect).session_present);
    client_publish(&b, "x", "4", 1, 4, false);
    client_expect_nothing(&a);
    client_close(&a);
    client_close(&b);
    world_close(&w);
}

static void messages_wait_for_a_client_that_is_away_5(void **state)
{
    (void)state;
    away(lasting("a", 3600));
}

static void messages_wait_for_a_client_that_is_away_311(void **state)
{
    (void)state;
    away(lasting_311("a"));
}

static void session_ends_when_it_expires(void **state)
{
    (void)state;
    struct world w;
    struct client a;
    world_init(&w, 1);
    world_start(&w);
    struct mqtt_connect connect = lasting("a", 10);
    (void)client_connect(&a, &w, &connect);
    client_subscribe(&a, "x", 1);
    world_advance(&w, 60000);
    client_close(&a);
    world_advance(&w, 9999);
    assert_int_equal(session_count(&w), 1);
    assert_true(client_connect(&a, &w, &connect).session_present);
    world_advance(&w, 50000);
    client_close(&a);
    world_advance(&w, 10000);
    assert_int_equal(session_count(&w), 0);
    assert_int_equal(broker_deadline(w.shard[0]), UINT64_MAX);
    assert_false(client_connect(&a, &w, &connect).session_present);
    client_close(&a);
    world_close(&w);
}

static void session_without_expiry_ends_with_its_connection(void **state)
{
    (void)state;
    struct world w;
    struct client a;
    world_init(&w, 1);
    world_start(&w);
    client_join(&a, &w, MQTT_V5, "a");
    client_subscribe(&a, "x", 1);
    client_close(&a);
    assert_int_equal(session_count(&w), 0);
    struct broker_stats stats;
    broker_stats_get(w.shard[0], &stats);
    assert_int_equal(stats.subscriptions, 0);
    world_close(&w);
}

static void longest_session_stays_for_good(void **state)
{
    (void)state;
    struct world w;
    struct client a;
    world_init(&w, 1);
    w.limits.session_expiry_max_s = UINT32_MAX;
    world_start(&w);
    struct mqtt_connect connect = lasting("a", UINT32_MAX);
    (void)client_connect(&a, &w, &connect);
    client_close(&a);
    assert_int_equal(broker_deadline(w.shard[0]), UINT64_MAX);
    world_advance(&w, UINT64_C(1) << 40);
    assert_true(client_connect(&a, &w, &connect).session_present);
    client_close(&a);
    world_close(&w);
}

static void disconnect_can_change_the_expiry_but_not_begin_one(void **state)
{
    (void)state;
    struct world w;
    struct client a;
    struct buf end_props = {0};
    world_init(&w, 1);
    world_start(&w);
    struct mqtt_connect connect = lasting("a", 10);
    struct mqtt_packet end = {.type = MQTT_DISCONNECT};
    mqtt_props_append_number(&end_props, MQTT_PROP_SESSION_EXPIRY, 100);
    end.end.props.wire = buf_bytes(&end_props);
    (void)client_connect(&a, &w, &connect);
    client_send(&a, &end);
    client_expect_closed(&a);
    client_close(&a);
    world_advance(&w, 99999);
    assert_int_equal(session_count(&w), 1);
    world_advance(&w, 1);
    assert_int_equal(session_count(&w), 0);
    client_join(&a, &w, MQTT_V5, "a");
    client_send(&a, &end);
    assert_int_equal(client_expect(&a, MQTT_DISCONNECT).end.reason, MQTT_REASON_PROTOCOL_ERROR);
    client_expect_closed(&a);
    client_close(&a);
    buf_close(&end_props);
    world_close(&w);
}

static void take_over_moves_the_session(void **state)
{
    (void)state;
    struct world w;
    struct client a, b, c;
    world_init(&w, 1);
    world_start(&w);
    struct mqtt_connect connect = lasting("a", 100);
    (void)client_connect(&a, &w, &connect);
    client_subscribe(&a, "x", 1);
    client_join(&c, &w, MQTT_V5, "c");
    client_publish(&c, "x", "1", 1, 1, false);
    uint16_t id = client_expect_publish(&a, "x", "1").packet_id;
    assert_true(client_connect(&b, &w, &connect).session_present);
    assert_int_equal(client_expect(&a, MQTT_DISCONNECT).end.reason, MQTT_REASON_SESSION_TAKEN_OVER);
    client_expect_closed(&a);
    struct mqtt_publish again = client_expect_publish(&b, "x", "1");
    assert_true(again.dup);
    assert_int_equal(again.packet_id, id);
    client_close(&a);
    assert_int_equal(w.disconnect_reason, MQTT_REASON_SESSION_TAKEN_OVER);
    client_publish(&c, "x", "2", 1, 2, false);
    (void)client_expect_publish(&b, "x", "2");
    client_close(&b);
    client_close(&c);
    world_close(&w);
}

static void another_user_does_not_get_the_session(void **state)
{
    (void)state;
    struct world w;
    struct client a, b;
    world_init(&w, 1);
    w.grant.user_name = BYTES_LIT("alice");
    world_start(&w);
    struct mqtt_connect connect = lasting("a", 100);
    (void)client_connect(&a, &w, &connect);
    client_subscribe(&a, "secret", 1);
    client_close(&a);
    client_join(&b, &w, MQTT_V5, "b");
    client_publish(&b, "secret", "for alice", 1, 1, false);
    w.grant.user_name = BYTES_LIT("mallory");
    assert_false(client_connect(&a, &w, &connect).session_present);
    client_expect_nothing(&a);
    client_publish(&b, "secret", "for alice", 1, 2, false);
    client_expect_nothing(&a);
    client_close(&a);
    client_close(&b);
    world_close(&w);
}

static bool named_may_read(const struct broker_subject *subject, enum broker_access access,
                           struct bytes topic)
{
    (void)topic;
    return access == BROKER_WRITE || !subject->is_anonymous;
}

/* A name that nothing proves is not that of a user, but anonymous clients have rules of their own.
 */
static void the_rights_of_a_named_client_are_not_remembered_for_an_anonymous_one(void **state)
{
    (void)state;
    struct world w;
    struct client a, b;
    world_init(&w, 1);
    w.authorize = named_may_read;
    world_start(&w);
    struct mqtt_connect connect = lasting("a", 100);
    connect.has_user_name = true;
    connect.user_name = BYTES_LIT("x");
    (void)client_connect(&a, &w, &connect);
    client_subscribe(&a, "secret", 0);
    client_join(&b, &w, MQTT_V5, "b");
    client_publish(&b, "secret", "1", 0, 0, false);
    (void)client_expect_publish(&a, "secret", "1");
    client_close(&a);
    connect.has_user_name = false;
    assert_false(client_connect(&a, &w, &connect).session_present);
    client_publish(&b, "secret", "2", 0, 0, false);
    client_expect_nothing(&a);
    assert_int_equal(client_subscribe_code(&a, "secret", 0), MQTT_REASON_NOT_AUTHORIZED);
    client_close(&a);
    client_close(&b);
    world_close(&w);
}

static struct mqtt_connect with_will(struct mqtt_connect connect)
{
    connect.has_will = true;
    connect.will_topic = BYTES_LIT("will");
    connect.will_payload = BYTES_LIT("gone");
    connect.will_qos = 1;
    return connect;
}

static void will_waits_for_its_delay(void **state)
{
    (void)state;
    struct world w;
    struct client a, b;
    struct buf will = {0};
    world_init(&w, 1);
    world_start(&w);
    client_join(&b, &w, MQTT_V5, "b");
    client_subscribe(&b, "will", 1);
    mqtt_props_append_number(&will, MQTT_PROP_WILL_DELAY, 5);
    mqtt_props_append_number(&will, MQTT_PROP_MESSAGE_EXPIRY, 7);
    mqtt_props_append_text(&will, MQTT_PROP_CONTENT_TYPE, BYTES_LIT("text"));
    struct mqtt_connect connect = with_will(lasting("a", 100));
    connect.will_props.wire = buf_bytes(&will);
    (void)client_connect(&a, &w, &connect);
    client_close(&a);
    world_advance(&w, 4999);
    client_expect_nothing(&b);
    /* Who comes back in time is not gone. */
    (void)client_connect(&a, &w, &connect);
    world_advance(&w, 10000);
    client_expect_nothing(&b);
    client_close(&a);
    world_advance(&w, 5000);
    struct mqtt_publish p = client_expect_publish(&b, "will", "gone");
    assert_int_equal(p.qos, 1);
    struct mqtt_prop prop;
    assert_true(mqtt_props_find(p.props, MQTT_PROP_CONTENT_TYPE, &prop));
    assert_true(mqtt_props_find(p.props, MQTT_PROP_MESSAGE_EXPIRY, &prop));
    assert_int_equal(prop.number, 7);
    assert_false(mqtt_props_find(p.props, MQTT_PROP_WILL_DELAY, &prop));
    /* Once. */
    world_advance(&w, 60000);
    client_ack(&b, MQTT_PUBACK, p.packet_id, 0);
    client_send(&b, &(struct mqtt_packet){.type = MQTT_PINGREQ});
    (void)client_expect(&b, MQTT_PINGRESP);
    client_expect_nothing(&b);
    buf_close(&will);
    client_close(&b);
    world_close(&w);
}

static void will_is_due_when_the_session_ends(void **state)
{
    (void)state;
    struct world w;
    struct client a, b;
    struct buf will = {0};
    world_init(&w, 1);
    world_start(&w);
    client_join(&b, &w, MQTT_V5, "b");
    client_subscribe(&b, "will", 0);
    mqtt_props_append_number(&will, MQTT_PROP_WILL_DELAY, 50);
    struct mqtt_connect connect = with_will(lasting("a", 10));
    connect.will_props.wire = buf_bytes(&will);
    (void)client_connect(&a, &w, &connect);
    client_close(&a);
    world_advance(&w, 9999);
    client_expect_nothing(&b);
    world_advance(&w, 1);
    (void)client_expect_publish(&b, "will", "gone");
    /* A clean start ends the old session at once. */
    (void)client_connect(&a, &w, &connect);
    client_close(&a);
    connect.clean_start = true;
    (void)client_connect(&a, &w, &connect);
    (void)client_expect_publish(&b, "will", "gone");
    client_close(&a);
    client_close(&b);
    buf_close(&will);
    world_close(&w);
}

static void will_at_disconnect(void **state)
{
    (void)state;
    struct world w;
    struct client a, b;
    world_init(&w, 1);
    world_start(&w);
    client_join(&b, &w, MQTT_V5, "b");
    client_subscribe(&b, "will", 0);
    struct mqtt_connect connect = with_will(lasting("a", 100));
    (void)client_connect(&a, &w, &connect);
    client_send(&a, &(struct mqtt_packet){.type = MQTT_DISCONNECT});
    client_close(&a);
    client_expect_nothing(&b);
    (void)client_connect(&a, &w, &connect);
    client_send(&a, &(struct mqtt_packet){.type = MQTT_DISCONNECT,
                                          .end = {.reason = MQTT_REASON_DISCONNECT_WITH_WILL}});
    client_close(&a);
    (void)client_expect_publish(&b, "will", "gone");
    /* A take-over is an end without DISCONNECT. */
    struct client c;
    (void)client_connect(&a, &w, &connect);
    (void)client_connect(&c, &w, &connect);
    (void)client_expect_publish(&b, "will", "gone");
    client_close(&a);
    client_expect_nothing(&b);
    client_close(&c);
    (void)client_expect_publish(&b, "will", "gone");
    client_close(&b);
    world_close(&w);
}

static bool no_wills(const struct broker_subject *subject, enum broker_access access,
                     struct bytes topic)
{
    (void)subject;
    return access != BROKER_WRITE || !bytes_equal(topic, BYTES_LIT("will"));
}

static void will_needs_the_right_to_publish(void **state)
{
    (void)state;
    struct world w;
    struct client a, b;
    world_init(&w, 1);
    w.authorize = no_wills;
    world_start(&w);
    client_join(&b, &w, MQTT_V5, "b");
    client_subscribe(&b, "will", 0);
    struct mqtt_connect connect = with_will(connect_as(MQTT_V5, "a"));
    (void)client_connect(&a, &w, &connect);
    client_close(&a);
    client_expect_nothing(&b);
    client_close(&b);
    world_close(&w);
}

static void retained_will_is_retained(void **state)
{
    (void)state;
    struct world w;
    struct client a, b;
    world_init(&w, 1);
    world_start(&w);
    struct mqtt_connect connect = with_will(connect_as(MQTT_V311, "a"));
    connect.will_retain = true;
    (void)client_connect(&a, &w, &connect);
    client_close(&a);
    client_join(&b, &w, MQTT_V311, "b");
    client_subscribe(&b, "will", 0);
    assert_true(client_expect_publish(&b, "will", "gone").retain);
    client_close(&b);
    world_close(&w);
}

static int close_props(void **state)
{
    (void)state;
    buf_close(&props);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_wait_for_a_client_that_is_away_5),
        cmocka_unit_test(messages_wait_for_a_client_that_is_away_311),
        cmocka_unit_test(session_ends_when_it_expires),
        cmocka_unit_test(session_without_expiry_ends_with_its_connection),
        cmocka_unit_test(longest_session_stays_for_good),
        cmocka_unit_test(disconnect_can_change_the_expiry_but_not_begin_one),
        cmocka_unit_test(take_over_moves_the_session),
        cmocka_unit_test(another_user_does_not_get_the_session),
        cmocka_unit_test(the_rights_of_a_named_client_are_not_remembered_for_an_anonymous_one),
        cmocka_unit_test(will_waits_for_its_delay),
        cmocka_unit_test(will_is_due_when_the_session_ends),
        cmocka_unit_test(will_at_disconnect),
        cmocka_unit_test(will_needs_the_right_to_publish),
        cmocka_unit_test(retained_will_is_retained),
    };
    return cmocka_run_group_tests(tests, NULL, close_props);
}
