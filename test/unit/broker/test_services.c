/* The seam to the services: what they see, and their calling back from inside a call. */
#include "world.h"

static enum broker_verdict look(struct world *w, const struct broker_publish *in, uint64_t ticket,
                                uint8_t *reason)
{
    (void)ticket;
    (void)reason;
    *(struct broker_publish *)w->data = *in;
    assert_true(bytes_equal(in->topic, BYTES_LIT("devices/iot/RealTime")));
    assert_true(bytes_equal(in->payload, BYTES_LIT("sealed")));
    assert_true(bytes_equal(in->client_id, BYTES_LIT("devices/iot")));
    assert_true(bytes_equal(in->user_name, BYTES_LIT("account")));
    struct mqtt_prop prop;
    assert_true(mqtt_props_find(in->props, MQTT_PROP_CONTENT_TYPE, &prop));
    return BROKER_TAKEN;
}

static void service_sees_who_and_what(void **state)
{
    (void)state;
    struct world w;
    struct client a;
    struct buf props = {0};
    struct broker_publish seen;
    world_init(&w, 1);
    w.publish = look;
    w.data = &seen;
    w.grant.role = BROKER_ROLE_MEMBER;
    w.grant.user_name = BYTES_LIT("account");
    world_start(&w);
    client_join(&a, &w, MQTT_V5, "devices/iot");
    client_subscribe(&a, "#", 1);
    mqtt_props_append_text(&props, MQTT_PROP_CONTENT_TYPE, BYTES_LIT("s"));
    client_publish_props(&a, "devices/iot/RealTime", "sealed", 1, 4, buf_bytes(&props));
    assert_int_equal(client_expect_ack(&a, MQTT_PUBACK, 4).reason, 0);
    client_expect_nothing(&a);
    assert_int_equal(seen.role, BROKER_ROLE_MEMBER);
    assert_int_equal(seen.qos, 1);
    assert_int_equal(seen.version, MQTT_V5);
    assert_memory_equal(&seen.conn, &a.conn, sizeof a.conn);
    buf_close(&props);
    client_close(&a);
    world_close(&w);
}

static enum broker_verdict route_all(struct world *w, const struct broker_publish *in,
                                     uint64_t ticket, uint8_t *reason)
{
    (void)w;
    (void)in;
    (void)ticket;
    (void)reason;
    return BROKER_ROUTE;
}

/* How the client ends that connects with a will in this role: whether somebody hears of it. */
static bool is_will_heard(enum broker_role role, bool has_service)
{
    struct world w;
    struct client a, b;
    world_init(&w, 1);
    w.publish = has_service ? route_all : NULL;
    world_start(&w);
    client_join(&b, &w, MQTT_V5, "b");
    client_subscribe(&b, "#", 0);
    w.grant.role = role;
    struct mqtt_connect connect = connect_as(MQTT_V5, "devices/iot");
    connect.has_will = true;
    connect.will_retain = true;
    connect.will_topic = BYTES_LIT("chain/plant/head");
    connect.will_payload = BYTES_LIT("forged");
    (void)client_connect(&a, &w, &connect);
    client_close(&a);
    struct broker_stats stats;
    broker_stats_get(w.shard[0], &stats);
    bool is_heard = stats.retained != 0;
    if (is_heard)
        (void)client_expect_publish(&b, "chain/plant/head", "forged");
    client_expect_nothing(&b);
    client_close(&b);
    world_close(&w);
    return is_heard;
}

static void wills_do_not_go_around_the_services(void **state)
{
    (void)state;
    assert_true(is_will_heard(BROKER_ROLE_ORDINARY, true));
    assert_true(is_will_heard(BROKER_ROLE_VALIDATOR, false));
    assert_false(is_will_heard(BROKER_ROLE_MEMBER, true));
    assert_false(is_will_heard(BROKER_ROLE_APPLICANT, true));
    assert_false(is_will_heard(BROKER_ROLE_VALIDATOR, true));
    assert_false(is_will_heard(BROKER_ROLE_ADMIN, true));
}

static void an_applicant_sends_small_packets_only(void **state)
{
    (void)state;
    struct world w;
    struct client a;
    struct mqtt_prop prop;
    static char payload[32 * 1024];
    memset(payload, 'x', sizeof payload - 1);
    const enum broker_role roles[] = {BROKER_ROLE_MEMBER, BROKER_ROLE_APPLICANT};
    for (unsigned i = 0; i < 2; i++) {
        world_init(&w, 1);
        w.grant.role = roles[i];
        world_start(&w);
        struct mqtt_connect connect = connect_as(MQTT_V5, "devices/iot");
        struct mqtt_connack connack = client_connect(&a, &w, &connect);
        assert_true(mqtt_props_find(connack.props, MQTT_PROP_MAXIMUM_PACKET_SIZE, &prop));
        client_publish(&a, "devices/iot/key", "short", 0, 0, false);
        client_expect_nothing(&a);
        client_publish(&a, "devices/iot/key", payload, 0, 0, false);
        if (roles[i] == BROKER_ROLE_MEMBER) {
            assert_true(prop.number > sizeof payload);
            client_expect_nothing(&a);
        } else {
            assert_int_equal(prop.number, 16 * 1024);
            assert_int_equal(client_expect(&a, MQTT_DISCONNECT).end.reason,
                             MQTT_REASON_PACKET_TOO_LARGE);
            client_expect_closed(&a);
        }
        client_close(&a);
        world_close(&w);
    }
}

static void an_applicant_leaves_no_session_behind(void **state)
{
    (void)state;
    struct world w;
    struct client a;
    struct buf props = {0};
    struct mqtt_prop prop = {.id = MQTT_PROP_SESSION_EXPIRY, .number = 3600};
    world_init(&w, 1);
    w.grant.role = BROKER_ROLE_APPLICANT;
    world_start(&w);
    mqtt_props_append(&props, &prop);
    struct mqtt_connect connect = connect_as(MQTT_V5, "devices/iot");
    connect.clean_start = false;
    connect.props.wire = buf_bytes(&props);
    struct mqtt_connack connack = client_connect(&a, &w, &connect);
    assert_true(mqtt_props_find(connack.props, MQTT_PROP_SESSION_EXPIRY, &prop));
    assert_int_equal(prop.number, 0);
    client_close(&a);
    connect = connect_as(MQTT_V311, "devices/iot");
    connect.clean_start = false;
    (void)client_connect(&a, &w, &connect);
    client_close(&a);
    struct broker_stats stats;
    broker_stats_get(w.shard[0], &stats);
    assert_int_equal(stats.sessions, 0);
    buf_close(&props);
    world_close(&w);
}

/* Calls everything that a service may call, on the connection that is being served. */
static enum broker_verdict call_back(struct world *w, const struct broker_publish *in,
                                     uint64_t ticket, uint8_t *reason)
{
    (void)reason;
    struct broker *b = w->shard[0];
    struct broker_outgoing reply = {
        .topic = BYTES_LIT("reply/topic"), .payload = in->payload, .qos = 1};
    struct broker_outgoing all = {
        .topic = BYTES_LIT("verified/x"), .payload = in->payload, .qos = 2, .retain = true};
    assert_int_equal(broker_reply(b, in->conn, &reply, w->now_ms), 0);
    assert_int_equal(broker_publish(b, &all, w->now_ms), 0);
    switch (in->payload.p[0]) {
    case 'a': /* acknowledged before the verdict */
        broker_acknowledge(b, in->conn, ticket, MQTT_REASON_QUOTA_EXCEEDED);
        return BROKER_DEFER;
    case 't':
        broker_acknowledge(b, in->conn, ticket, MQTT_REASON_QUOTA_EXCEEDED);
        return BROKER_TAKEN;
    case 'r':
        broker_acknowledge(b, in->conn, ticket, MQTT_REASON_QUOTA_EXCEEDED);
        return BROKER_ROUTE;
    case 'd': /* against the rules, but it must not break anything */
        broker_disconnect(b, in->conn, MQTT_REASON_ADMINISTRATIVE_ACTION, "out", w->now_ms);
        return BROKER_TAKEN;
    default:
        return BROKER_ROUTE;
    }
}

static void callbacks_may_come_back_in(void **state)
{
    (void)state;
    struct world w;
    struct client a;
    world_init(&w, 1);
    w.publish = call_back;
    world_start(&w);
    client_join(&a, &w, MQTT_V5, "a");
    client_subscribe(&a, "verified/#", 2);
    client_subscribe(&a, "routed", 0);
    const char *const payloads[] = {"a", "t", "r", "x"};
    for (unsigned i = 0; i < 4; i++) {
        client_publish(&a, "routed", payloads[i], 1, (uint16_t)(i + 1), false);
        (void)client_expect_publish(&a, "reply/topic", payloads[i]);
        struct mqtt_publish p = client_expect_publish(&a, "verified/x", payloads[i]);
        assert_int_equal(p.qos, 2);
        if (i < 3) {
            assert_int_equal(client_expect_ack(&a, MQTT_PUBACK, (uint16_t)(i + 1)).reason,
                             MQTT_REASON_QUOTA_EXCEEDED);
        }
        if (i >= 2)
            (void)client_expect_publish(&a, "routed", payloads[i]);
        if (i == 3)
            assert_int_equal(client_expect_ack(&a, MQTT_PUBACK, 4).reason, 0);
        client_expect_nothing(&a);
    }
    client_publish(&a, "routed", "d", 1, 9, false);
    (void)client_expect_publish(&a, "reply/topic", "d");
    (void)client_expect_publish(&a, "verified/x", "d");
    (void)client_expect(&a, MQTT_DISCONNECT);
    client_expect_closed(&a);
    client_close(&a);
    world_close(&w);
}

static void reply_reaches_a_client_that_has_not_subscribed(void **state)
{
    (void)state;
    struct world w;
    struct client a, b;
    struct buf props = {0};
    world_init(&w, 1);
    world_start(&w);
    client_join(&a, &w, MQTT_V5, "a");
    client_join(&b, &w, MQTT_V5, "b");
    mqtt_props_append_text(&props, MQTT_PROP_CORRELATION_DATA, BYTES_LIT("7"));
    struct broker_outgoing out = {
        .topic = BYTES_LIT("a/x/success"),
        .payload = BYTES_LIT("done"),
        .props = buf_bytes(&props),
        .qos = 2,
    };
    assert_int_equal(broker_reply(w.shard[0], a.conn, &out, w.now_ms), 0);
    struct mqtt_publish p = client_expect_publish(&a, "a/x/success", "done");
    assert_int_equal(p.qos, 1);
    struct mqtt_prop prop;
    assert_true(mqtt_props_find(p.props, MQTT_PROP_CORRELATION_DATA, &prop));
    client_expect_nothing(&b);
    out.topic = BYTES_LIT("a/#");
    assert_int_equal(broker_reply(w.shard[0], a.conn, &out, w.now_ms), SEALMQ_E_ARG);
    assert_int_equal(broker_publish(w.shard[0], &out, w.now_ms), SEALMQ_E_ARG);
    out.topic = (struct bytes){0};
    assert_int_equal(broker_publish(w.shard[0], &out, w.now_ms), SEALMQ_E_ARG);
    buf_close(&props);
    client_close(&a);
    client_close(&b);
    world_close(&w);
}

static enum broker_verdict take_a(struct world *w, const struct broker_publish *in, uint64_t ticket,
                                  uint8_t *reason)
{
    (void)w;
    (void)ticket;
    *reason = MQTT_REASON_PAYLOAD_FORMAT_INVALID;
    return in->topic.p[0] == 'a' ? BROKER_TAKEN : BROKER_ROUTE;
}

static void refusal_by_a_service_cannot_be_told_in_311(void **state)
{
    (void)state;
    struct world w;
    struct client a;
    world_init(&w, 1);
    w.publish = take_a;
    world_start(&w);
    client_join(&a, &w, MQTT_V311, "a");
    client_publish(&a, "a", "x", 1, 1, false);
    (void)client_expect_ack(&a, MQTT_PUBACK, 1);
    client_publish(&a, "a", "x", 2, 2, false);
    (void)client_expect_ack(&a, MQTT_PUBREC, 2);
    client_publish(&a, "a", "x", 2, 2, false);
    (void)client_expect_ack(&a, MQTT_PUBREC, 2);
    client_ack(&a, MQTT_PUBREL, 2, 0);
    (void)client_expect_ack(&a, MQTT_PUBCOMP, 2);
    client_close(&a);
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

static bool no_writing_to_n(const struct broker_subject *subject, enum broker_access access,
                            struct bytes topic)
{
    (void)subject;
    return access != BROKER_WRITE || topic.p[0] != 'n';
}

static void refusals_wait_for_what_was_deferred_before(void **state)
{
    (void)state;
    struct world w;
    struct client a;
    world_init(&w, 1);
    w.publish = defer;
    w.authorize = no_writing_to_n;
    world_start(&w);
    client_join(&a, &w, MQTT_V5, "a");
    client_publish(&a, "x", "1", 1, 1, false);
    client_publish(&a, "n", "2", 1, 2, false);
    client_publish(&a, "n", "3", 2, 3, false);
    client_publish(&a, "n", "4", 0, 0, false);
    client_expect_nothing(&a);
    broker_acknowledge(w.shard[0], a.conn, w.tickets[0], 0);
    (void)client_expect_ack(&a, MQTT_PUBACK, 1);
    assert_int_equal(client_expect_ack(&a, MQTT_PUBACK, 2).reason, MQTT_REASON_NOT_AUTHORIZED);
    assert_int_equal(client_expect_ack(&a, MQTT_PUBREC, 3).reason, MQTT_REASON_NOT_AUTHORIZED);
    client_expect_nothing(&a);
    client_close(&a);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(service_sees_who_and_what),
        cmocka_unit_test(wills_do_not_go_around_the_services),
        cmocka_unit_test(an_applicant_leaves_no_session_behind),
        cmocka_unit_test(an_applicant_sends_small_packets_only),
        cmocka_unit_test(callbacks_may_come_back_in),
        cmocka_unit_test(reply_reaches_a_client_that_has_not_subscribed),
        cmocka_unit_test(refusals_wait_for_what_was_deferred_before),
        cmocka_unit_test(refusal_by_a_service_cannot_be_told_in_311),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
