/* What the server says besides yes and no: reason strings, other servers, response information, and
 * payloads that are not what they are called. */
#include "world.h"

static bool has_text(struct mqtt_props props, enum mqtt_property id, const char *text)
{
    struct mqtt_prop prop;
    return mqtt_props_find(props, id, &prop) && bytes_equal(prop.text, bytes_str(text));
}

static bool has(struct mqtt_props props, enum mqtt_property id)
{
    struct mqtt_prop prop;
    return mqtt_props_find(props, id, &prop);
}

static bool nothing(const struct broker_subject *subject, enum broker_access access,
                    struct bytes topic)
{
    (void)subject;
    (void)access;
    (void)topic;
    return false;
}

/* CONNECT with one number property. */
static struct mqtt_connack join_with(struct client *c, struct world *w, const char *id,
                                     enum mqtt_property property, uint32_t number)
{
    struct buf props = {0};
    struct mqtt_connect connect = connect_as(MQTT_V5, id);
    mqtt_props_append_number(&props, property, number);
    connect.props.wire = buf_bytes(&props);
    struct mqtt_connack ack = client_connect(c, w, &connect);
    buf_close(&props);
    return ack;
}

static struct mqtt_suback subscribe_refused(struct client *c)
{
    struct mqtt_packet packet = {.type = MQTT_SUBSCRIBE};
    packet.subscribe = (struct mqtt_subscribe){.packet_id = 1, .filters = BYTES_LIT("\0\1t\0")};
    client_send(c, &packet);
    struct mqtt_suback ack = client_expect(c, MQTT_SUBACK).suback;
    assert_int_equal(ack.codes.p[0], MQTT_REASON_NOT_AUTHORIZED);
    return ack;
}

static void refusals_say_why(void **state)
{
    (void)state;
    struct world w;
    struct client a;
    world_init(&w, 1);
    w.authorize = nothing;
    world_start(&w);
    client_join(&a, &w, MQTT_V5, "a");
    client_publish(&a, "t", "x", 1, 1, false);
    struct mqtt_ack ack = client_expect_ack(&a, MQTT_PUBACK, 1);
    assert_int_equal(ack.reason, MQTT_REASON_NOT_AUTHORIZED);
    assert_true(has_text(ack.props, MQTT_PROP_REASON_STRING, "not authorized"));
    client_publish(&a, "t", "x", 2, 2, false);
    ack = client_expect_ack(&a, MQTT_PUBREC, 2);
    assert_true(has_text(ack.props, MQTT_PROP_REASON_STRING, "not authorized"));
    client_ack(&a, MQTT_PUBREL, 3, 0);
    ack = client_expect_ack(&a, MQTT_PUBCOMP, 3);
    assert_true(has_text(ack.props, MQTT_PROP_REASON_STRING, "packet identifier not found"));
    assert_true(has_text(subscribe_refused(&a).props, MQTT_PROP_REASON_STRING, "not authorized"));
    client_send_bytes(&a, BYTES_LIT("\x30\x01"
                                    "x"));
    struct mqtt_end end = client_expect(&a, MQTT_DISCONNECT).end;
    assert_true(has_text(end.props, MQTT_PROP_REASON_STRING, "malformed packet"));
    client_close(&a);
    world_close(&w);
}

static void client_that_wants_no_words_gets_none(void **state)
{
    (void)state;
    struct world w;
    struct client a;
    world_init(&w, 1);
    w.authorize = nothing;
    world_start(&w);
    assert_int_equal(join_with(&a, &w, "a", MQTT_PROP_REQUEST_PROBLEM_INFO, 0).reason, 0);
    client_publish(&a, "t", "x", 1, 1, false);
    struct mqtt_ack ack = client_expect_ack(&a, MQTT_PUBACK, 1);
    assert_int_equal(ack.reason, MQTT_REASON_NOT_AUTHORIZED);
    assert_int_equal(ack.props.wire.n, 0);
    assert_int_equal(subscribe_refused(&a).props.wire.n, 0);
    client_close(&a);
    world_close(&w);
}

static void words_never_make_a_packet_too_large(void **state)
{
    (void)state;
    struct world w;
    struct client a;
    world_init(&w, 1);
    w.authorize = nothing;
    world_start(&w);
    /* A PUBACK with "not authorized" has 23 bytes. */
    for (uint32_t most = 22; most <= 23; most++) {
        assert_int_equal(join_with(&a, &w, "a", MQTT_PROP_MAXIMUM_PACKET_SIZE, most).reason, 0);
        client_publish(&a, "t", "x", 1, 1, false);
        struct mqtt_ack ack = client_expect_ack(&a, MQTT_PUBACK, 1);
        assert_int_equal(ack.reason, MQTT_REASON_NOT_AUTHORIZED);
        assert_int_equal(has(ack.props, MQTT_PROP_REASON_STRING), most == 23);
        client_close(&a);
    }
    world_close(&w);
}

static void clients_are_sent_to_another_server(void **state)
{
    (void)state;
    struct world w;
    struct client a;
    world_init(&w, 1);
    world_start(&w);
    w.grant = (struct broker_grant){.reason = MQTT_REASON_SERVER_MOVED,
                                    .server_reference = "other.example:1883"};
    struct mqtt_connect connect = connect_as(MQTT_V5, "a");
    struct mqtt_connack ack = client_connect(&a, &w, &connect);
    assert_int_equal(ack.reason, MQTT_REASON_SERVER_MOVED);
    assert_true(has_text(ack.props, MQTT_PROP_SERVER_REFERENCE, "other.example:1883"));
    assert_true(has_text(ack.props, MQTT_PROP_REASON_STRING, "server moved"));
    client_close(&a);
    connect.version = MQTT_V311;
    assert_int_equal(client_connect(&a, &w, &connect).reason, 3);
    client_close(&a);

    w.grant = (struct broker_grant){0};
    client_join(&a, &w, MQTT_V5, "a");
    broker_disconnect_to(w.shard[0], a.conn, MQTT_REASON_USE_ANOTHER_SERVER, NULL, "b.example",
                         w.now_ms);
    struct mqtt_end end = client_expect(&a, MQTT_DISCONNECT).end;
    assert_int_equal(end.reason, MQTT_REASON_USE_ANOTHER_SERVER);
    assert_true(has_text(end.props, MQTT_PROP_SERVER_REFERENCE, "b.example"));
    client_expect_closed(&a);
    client_close(&a);
    world_close(&w);
}

static void response_information_is_for_those_who_ask(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 3; round++) {
        struct world w;
        struct client a;
        world_init(&w, 1);
        w.response_prefix = round == 2 ? NULL : "answers";
        world_start(&w);
        struct mqtt_connack ack =
            join_with(&a, &w, "a", MQTT_PROP_REQUEST_RESPONSE_INFO, round == 1 ? 0 : 1);
        assert_int_equal(has_text(ack.props, MQTT_PROP_RESPONSE_INFO, "answers/a"), round == 0);
        assert_int_equal(has(ack.props, MQTT_PROP_RESPONSE_INFO), round == 0);
        client_close(&a);
        world_close(&w);
    }
}

static void payload_that_is_called_text_must_be_text(void **state)
{
    (void)state;
    struct world w;
    struct client a, b;
    const struct bytes text = BYTES_LIT("\1\1"), bytes = BYTES_LIT("\1\0");
    struct broker_stats stats;
    world_init(&w, 1);
    world_start(&w);
    client_join(&a, &w, MQTT_V5, "a");
    client_join(&b, &w, MQTT_V5, "b");
    client_subscribe(&b, "t", 0);
    client_publish_props(&a, "t", "\xff", 0, 0, text);
    client_expect_nothing(&b);
    broker_stats_get(w.shard[0], &stats);
    assert_int_equal(stats.dropped_payload_format_total, 1);
    client_publish_props(&a, "t", "\xff", 1, 1, text);
    assert_int_equal(client_expect_ack(&a, MQTT_PUBACK, 1).reason,
                     MQTT_REASON_PAYLOAD_FORMAT_INVALID);
    client_publish_props(&a, "t", "\xff", 2, 2, text);
    assert_int_equal(client_expect_ack(&a, MQTT_PUBREC, 2).reason,
                     MQTT_REASON_PAYLOAD_FORMAT_INVALID);
    client_expect_nothing(&b);
    /* The identifier is free again. */
    client_publish_props(&a, "t", "\xc3\xa4", 2, 2, text);
    assert_int_equal(client_expect_ack(&a, MQTT_PUBREC, 2).reason, 0);
    (void)client_expect_publish(&b, "t", "\xc3\xa4");
    client_publish_props(&a, "t", "\xff", 0, 0, bytes);
    (void)client_expect_publish(&b, "t", "\xff");
    /* A zero character is text, too. */
    struct mqtt_packet packet = {.type = MQTT_PUBLISH};
    packet.publish = (struct mqtt_publish){
        .topic = BYTES_LIT("t"), .props = {text}, .payload = BYTES_LIT("a\0b\0")};
    client_send(&a, &packet);
    assert_int_equal(client_expect(&b, MQTT_PUBLISH).publish.payload.n, 4);
    client_close(&a);
    client_close(&b);
    world_close(&w);
}

static void will_that_is_called_text_must_be_text(void **state)
{
    (void)state;
    struct world w;
    struct client a;
    world_init(&w, 1);
    world_start(&w);
    struct mqtt_connect connect = connect_as(MQTT_V5, "a");
    connect.has_will = true;
    connect.will_topic = BYTES_LIT("t");
    connect.will_payload = BYTES_LIT("\xff");
    connect.will_props.wire = BYTES_LIT("\1\1");
    assert_int_equal(client_connect(&a, &w, &connect).reason, MQTT_REASON_PAYLOAD_FORMAT_INVALID);
    client_close(&a);
    connect.will_payload = BYTES_LIT("ok");
    assert_int_equal(client_connect(&a, &w, &connect).reason, 0);
    client_close(&a);
    world_close(&w);
}

static void receiver_that_is_cut_off_does_not_touch_what_others_get(void **state)
{
    (void)state;
    struct world w;
    struct client a, b, p;
    world_init(&w, 1);
    w.limits.inflight = 1;
    w.limits.queued_messages = 1;
    w.limits.overflow = BROKER_DISCONNECT;
    world_start(&w);
    client_join(&p, &w, MQTT_V5, "p");
    client_join(&a, &w, MQTT_V5, "a");
    client_join(&b, &w, MQTT_V5, "b");
    client_subscribe(&b, "t", 1);
    client_subscribe(&a, "t", 1); /* is served first */
    /* A message expiry makes the properties that are forwarded a copy. */
    for (uint16_t i = 1; i <= 3; i++) {
        client_publish_props(&p, "t", "x", 1, i,
                             BYTES_LIT("\x02\x00\x00\x00\x64\x03\x00\x05plain"));
        (void)client_expect_ack(&p, MQTT_PUBACK, i);
        struct mqtt_publish got = client_expect_publish(&b, "t", "x");
        assert_true(has_text(got.props, MQTT_PROP_CONTENT_TYPE, "plain"));
        client_ack(&b, MQTT_PUBACK, got.packet_id, 0);
    }
    assert_true(a.is_closed);
    client_close(&a);
    client_close(&b);
    client_close(&p);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refusals_say_why),
        cmocka_unit_test(client_that_wants_no_words_gets_none),
        cmocka_unit_test(words_never_make_a_packet_too_large),
        cmocka_unit_test(clients_are_sent_to_another_server),
        cmocka_unit_test(response_information_is_for_those_who_ask),
        cmocka_unit_test(payload_that_is_called_text_must_be_text),
        cmocka_unit_test(will_that_is_called_text_must_be_text),
        cmocka_unit_test(receiver_that_is_cut_off_does_not_touch_what_others_get),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
