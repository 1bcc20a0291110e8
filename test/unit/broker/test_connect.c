/* CONNECT and what comes of it: agreements, refusals, time-outs. */
#include "world.h"

static struct mqtt_prop find(struct mqtt_props props, enum mqtt_property id)
{
    struct mqtt_prop prop;
    assert_true(mqtt_props_find(props, id, &prop));
    return prop;
}

static bool has(struct mqtt_props props, enum mqtt_property id)
{
    struct mqtt_prop prop;
    return mqtt_props_find(props, id, &prop);
}

static void connack_says_what_was_agreed(void **state)
{
    (void)state;
    struct world w;
    struct client a;
    struct buf props = {0};
    world_init(&w, 1);
    w.limits.keep_alive_max_s = 30;
    w.limits.session_expiry_max_s = 100;
    w.limits.packet_bytes = 5000;
    world_start(&w);
    mqtt_props_append_number(&props, MQTT_PROP_SESSION_EXPIRY, 1000);
    struct mqtt_connect connect = connect_as(MQTT_V5, "a");
    connect.props.wire = buf_bytes(&props);
    struct mqtt_connack ack = client_connect(&a, &w, &connect);
    assert_false(ack.session_present);
    assert_int_equal(find(ack.props, MQTT_PROP_SESSION_EXPIRY).number, 100);
    assert_int_equal(find(ack.props, MQTT_PROP_SERVER_KEEP_ALIVE).number, 30);
    assert_int_equal(find(ack.props, MQTT_PROP_RECEIVE_MAXIMUM).number, w.limits.receive_maximum);
    assert_int_equal(find(ack.props, MQTT_PROP_MAXIMUM_PACKET_SIZE).number, 5000);
    assert_int_equal(find(ack.props, MQTT_PROP_TOPIC_ALIAS_MAXIMUM).number, w.limits.topic_aliases);
    assert_false(has(ack.props, MQTT_PROP_SHARED_AVAILABLE));
    assert_false(has(ack.props, MQTT_PROP_ASSIGNED_CLIENT_ID));
    assert_false(has(ack.props, MQTT_PROP_RETAIN_AVAILABLE));
    client_close(&a);
    buf_close(&props);
    world_close(&w);
}

static void client_without_id_gets_one_of_this_shard(void **state)
{
    (void)state;
    struct world w;
    struct client a[4];
    world_init(&w, 4);
    world_start(&w);
    for (unsigned i = 0; i < 4; i++) {
        struct mqtt_connect connect = connect_as(MQTT_V5, "");
        client_open(&a[i], &w, i, MQTT_V5);
        client_send(&a[i], &(struct mqtt_packet){.type = MQTT_CONNECT, .connect = connect});
        struct mqtt_packet ack = client_expect(&a[i], MQTT_CONNACK);
        assert_int_equal(ack.connack.reason, 0);
        struct bytes id = find(ack.connack.props, MQTT_PROP_ASSIGNED_CLIENT_ID).text;
        assert_int_equal(broker_shard_of(id, 4), i);
        struct broker_conn found;
        assert_int_equal(broker_find(w.shard[i], id, &found), 0);
        assert_int_equal(w.connected, i + 1);
    }
    for (unsigned i = 0; i < 4; i++)
        client_close(&a[i]);
    world_close(&w);
}

static void client_without_id_must_be_clean_in_311(void **state)
{
    (void)state;
    struct world w;
    struct client a;
    world_init(&w, 1);
    world_start(&w);
    struct mqtt_connect connect = connect_as(MQTT_V311, "");
    assert_int_equal(client_connect(&a, &w, &connect).reason, 0);
    client_close(&a);
    connect.clean_start = false;
    assert_int_equal(client_connect(&a, &w, &connect).reason, 2);
    client_expect_closed(&a);
    client_close(&a);
    world_close(&w);
}

static void refusal_speaks_the_clients_version(void **state)
{
    (void)state;
    struct world w;
    struct client a;
    world_init(&w, 1);
    w.grant.reason = MQTT_REASON_BAD_USER_NAME_OR_PASSWORD;
    w.grant.reason_string = "challenge: 42";
    world_start(&w);
    struct mqtt_connect connect = connect_as(MQTT_V311, "a");
    assert_int_equal(client_connect(&a, &w, &connect).reason, 4);
    client_expect_closed(&a);
    client_close(&a);
    connect.version = MQTT_V5;
    struct mqtt_connack ack = client_connect(&a, &w, &connect);
    assert_int_equal(ack.reason, MQTT_REASON_BAD_USER_NAME_OR_PASSWORD);
    struct bytes words = find(ack.props, MQTT_PROP_REASON_STRING).text;
    assert_true(bytes_equal(words, BYTES_LIT("challenge: 42")));
    client_expect_closed(&a);
    client_close(&a);
    w.grant.reason = MQTT_REASON_NOT_AUTHORIZED;
    connect.version = MQTT_V311;
    assert_int_equal(client_connect(&a, &w, &connect).reason, 5);
    client_close(&a);
    assert_int_equal(w.connected, 0);
    assert_int_equal(w.disconnected, 0);
    struct broker_stats stats;
    broker_stats_get(w.shard[0], &stats);
    assert_int_equal(stats.connects_refused_total, 3);
    assert_int_equal(stats.sessions, 0);
    world_close(&w);
}

static void enhanced_authentication_is_refused(void **state)
{
    (void)state;
    struct world w;
    struct client a;
    struct buf props = {0};
    world_init(&w, 1);
    world_start(&w);
    mqtt_props_append_text(&props, MQTT_PROP_AUTH_METHOD, BYTES_LIT("SCRAM-SHA-1"));
    struct mqtt_connect connect = connect_as(MQTT_V5, "a");
    connect.props.wire = buf_bytes(&props);
    assert_int_equal(client_connect(&a, &w, &connect).reason,
                     MQTT_REASON_BAD_AUTHENTICATION_METHOD);
    client_expect_closed(&a);
    client_close(&a);
    buf_close(&props);
    world_close(&w);
}

static void input_waits_for_deferred_authentication(void **state)
{
    (void)state;
    struct world w;
    struct client a;
    world_init(&w, 1);
    w.defers_authentication = true;
    world_start(&w);
    struct mqtt_connect connect = connect_as(MQTT_V5, "a");
    client_open(&a, &w, 0, MQTT_V5);
    client_send(&a, &(struct mqtt_packet){.type = MQTT_CONNECT, .connect = connect});
    client_send(&a, &(struct mqtt_packet){.type = MQTT_PINGREQ});
    client_expect_nothing(&a);
    assert_false(broker_conn_wants_input(w.shard[0], a.conn));
    struct broker_grant grant = {0};
    broker_authenticated(w.shard[0], a.conn, &grant, w.now_ms);
    (void)client_expect(&a, MQTT_CONNACK);
    (void)client_expect(&a, MQTT_PINGRESP);
    client_close(&a);
    /* An answer for who has gone is no news. */
    client_open(&a, &w, 0, MQTT_V5);
    client_send(&a, &(struct mqtt_packet){.type = MQTT_CONNECT, .connect = connect});
    client_close(&a);
    broker_authenticated(w.shard[0], a.conn, &grant, w.now_ms);
    world_close(&w);
}

static void assigned_id_survives_deferred_authentication(void **state)
{
    (void)state;
    struct world w;
    struct client a;
    world_init(&w, 1);
    w.defers_authentication = true;
    world_start(&w);
    struct mqtt_connect connect = connect_as(MQTT_V5, "");
    connect.has_password = true;
    connect.password = BYTES_LIT("secret");
    client_open(&a, &w, 0, MQTT_V5);
    client_send(&a, &(struct mqtt_packet){.type = MQTT_CONNECT, .connect = connect});
    struct broker_grant grant = {0};
    broker_authenticated(w.shard[0], a.conn, &grant, w.now_ms);
    struct mqtt_packet ack = client_expect(&a, MQTT_CONNACK);
    struct bytes id = find(ack.connack.props, MQTT_PROP_ASSIGNED_CLIENT_ID).text;
    assert_int_equal(id.n, 29);
    struct broker_conn found;
    assert_int_equal(broker_find(w.shard[0], id, &found), 0);
    client_close(&a);
    world_close(&w);
}

static void silence_before_connect_has_an_end(void **state)
{
    (void)state;
    struct world w;
    struct client a, b;
    world_init(&w, 1);
    w.limits.connect_timeout_ms = 500;
    w.defers_authentication = true;
    world_start(&w);
    client_open(&a, &w, 0, MQTT_V5);
    client_open(&b, &w, 0, MQTT_V5);
    struct mqtt_connect connect = connect_as(MQTT_V5, "b");
    client_send(&b, &(struct mqtt_packet){.type = MQTT_CONNECT, .connect = connect});
    world_advance(&w, 499);
    assert_false(a.is_closed);
    world_advance(&w, 1);
    client_expect_closed(&a);
    client_expect_closed(&b);
    client_close(&a);
    client_close(&b);
    world_close(&w);
}

static void second_connect_is_a_protocol_error(void **state)
{
    (void)state;
    struct world w;
    struct client a;
    world_init(&w, 1);
    world_start(&w);
    client_join(&a, &w, MQTT_V5, "a");
    struct mqtt_connect connect = connect_as(MQTT_V5, "a");
    client_send(&a, &(struct mqtt_packet){.type = MQTT_CONNECT, .connect = connect});
    assert_int_equal(client_expect(&a, MQTT_DISCONNECT).end.reason, MQTT_REASON_PROTOCOL_ERROR);
    client_expect_closed(&a);
    client_close(&a);
    world_close(&w);
}

static void other_protocols_and_versions_are_refused(void **state)
{
    (void)state;
    struct world w;
    struct client a;
    world_init(&w, 1);
    world_start(&w);
    client_open(&a, &w, 0, MQTT_V311);
    client_send_bytes(&a, BYTES_LIT("GET / HTTP/1.1\r\n\r\n"));
    client_expect_closed(&a);
    client_close(&a);
    /* 3.1 */
    client_open(&a, &w, 0, MQTT_V311);
    client_send_bytes(&a, BYTES_LIT("\x10\x0f\x00\x06MQIsdp\x03\x02\x00\x3c\x00\x01"
                                    "a"));
    assert_int_equal(client_expect(&a, MQTT_CONNACK).connack.reason, 1);
    client_expect_closed(&a);
    client_close(&a);
    /* 6 */
    client_open(&a, &w, 0, MQTT_V5);
    client_send_bytes(&a, BYTES_LIT("\x10\x0d\x00\x04MQTT\x06\x02\x00\x3c\x00\x01"
                                    "a"));
    assert_int_equal(client_expect(&a, MQTT_CONNACK).connack.reason,
                     MQTT_REASON_UNSUPPORTED_PROTOCOL_VERSION);
    client_expect_closed(&a);
    client_close(&a);
    /* 5.0 with a reserved flag */
    client_open(&a, &w, 0, MQTT_V5);
    client_send_bytes(&a, BYTES_LIT("\x10\x0e\x00\x04MQTT\x05\x03\x00\x3c\x00\x00\x01"
                                    "a"));
    assert_true(client_expect(&a, MQTT_CONNACK).connack.reason >= 0x80);
    client_expect_closed(&a);
    client_close(&a);
    /* anything but CONNECT first */
    client_open(&a, &w, 0, MQTT_V5);
    client_send(&a, &(struct mqtt_packet){.type = MQTT_PINGREQ});
    client_expect_closed(&a);
    client_close(&a);
    world_close(&w);
}

static void connect_packet_of_an_unknown_has_a_limit(void **state)
{
    (void)state;
    struct world w;
    struct client a;
    world_init(&w, 1);
    world_start(&w);
    client_open(&a, &w, 0, MQTT_V5);
    /* Remaining lengths of 200 MB and of 300 kB: refused before their bytes are there. */
    client_send_bytes(&a, BYTES_LIT("\x10\x80\x80\x80\x64\x00\x04MQTT"));
    client_expect_closed(&a);
    client_close(&a);
    client_open(&a, &w, 0, MQTT_V5);
    client_send_bytes(&a, BYTES_LIT("\x10\xe0\xa7\x12\x00\x04MQTT"));
    client_expect_closed(&a);
    client_close(&a);
    world_close(&w);
}

static void client_id_too_long_is_refused(void **state)
{
    (void)state;
    struct world w;
    struct client a;
    static char id[1100];
    world_init(&w, 1);
    world_start(&w);
    memset(id, 'x', sizeof id - 1);
    struct mqtt_connect connect = connect_as(MQTT_V5, id);
    assert_int_equal(client_connect(&a, &w, &connect).reason,
                     MQTT_REASON_CLIENT_IDENTIFIER_NOT_VALID);
    client_close(&a);
    connect.client_id.n = 1024;
    assert_int_equal(client_connect(&a, &w, &connect).reason, 0);
    client_close(&a);
    world_close(&w);
}

static void connections_and_sessions_have_limits(void **state)
{
    (void)state;
    struct world w;
    struct client a, b, c;
    world_init(&w, 1);
    w.limits.connections = 2;
    w.limits.sessions = 1;
    world_start(&w);
    client_join(&a, &w, MQTT_V5, "a");
    struct mqtt_connect connect = connect_as(MQTT_V5, "b");
    assert_int_equal(client_connect(&b, &w, &connect).reason, MQTT_REASON_QUOTA_EXCEEDED);
    client_close(&b);
    client_open(&b, &w, 0, MQTT_V5);
    /* Some above the limit are told so, the others are not even opened. */
    assert_int_equal(client_connect(&c, &w, &connect).reason, MQTT_REASON_QUOTA_EXCEEDED);
    client_expect_closed(&c);
    client_close(&c);
    struct broker_conn refused[64], conn;
    for (unsigned i = 0; i < 64; i++)
        assert_int_equal(broker_open(w.shard[0], NULL, "x", w.now_ms, &refused[i]), 0);
    assert_int_equal(broker_open(w.shard[0], NULL, "x", w.now_ms, &conn), SEALMQ_E_LIMIT);
    for (unsigned i = 0; i < 64; i++)
        broker_closed(w.shard[0], refused[i], w.now_ms);
    client_close(&b);
    client_close(&a);
    client_join(&c, &w, MQTT_V5, "c");
    client_close(&c);
    world_close(&w);
}

static void name_of_a_closed_connection_stays_void(void **state)
{
    (void)state;
    struct world w;
    struct client a, b;
    world_init(&w, 1);
    world_start(&w);
    client_join(&a, &w, MQTT_V5, "a");
    struct broker_conn old = a.conn;
    client_close(&a);
    client_join(&b, &w, MQTT_V5, "b");
    assert_int_equal(b.conn.index, old.index);
    assert_int_not_equal(b.conn.generation, old.generation);
    struct broker_outgoing out = {.topic = BYTES_LIT("t")};
    assert_int_equal(broker_reply(w.shard[0], old, &out, w.now_ms), SEALMQ_E_CLOSED);
    assert_null(broker_conn_data(w.shard[0], old));
    broker_disconnect(w.shard[0], old, MQTT_REASON_ADMINISTRATIVE_ACTION, "x", w.now_ms);
    broker_closed(w.shard[0], old, w.now_ms);
    size_t consumed;
    assert_int_equal(broker_input(w.shard[0], old, BYTES_LIT("x"), w.now_ms, &consumed),
                     SEALMQ_E_CLOSED);
    client_expect_nothing(&b);
    broker_disconnect(w.shard[0], b.conn, MQTT_REASON_ADMINISTRATIVE_ACTION, "bye", w.now_ms);
    struct mqtt_packet end = client_expect(&b, MQTT_DISCONNECT);
    assert_int_equal(end.end.reason, MQTT_REASON_ADMINISTRATIVE_ACTION);
    assert_true(bytes_equal(find(end.end.props, MQTT_PROP_REASON_STRING).text, BYTES_LIT("bye")));
    client_expect_closed(&b);
    client_close(&b);
    world_close(&w);
}

static void reason_below_0x80_still_refuses(void **state)
{
    (void)state;
    struct world w;
    struct client a;
    world_init(&w, 1);
    w.grant.reason = MQTT_REASON_NO_MATCHING_SUBSCRIBERS;
    world_start(&w);
    struct mqtt_connect connect = connect_as(MQTT_V5, "a");
    assert_int_equal(client_connect(&a, &w, &connect).reason, MQTT_REASON_UNSPECIFIED_ERROR);
    client_expect_closed(&a);
    client_close(&a);
    world_close(&w);
}

static void words_are_for_those_who_want_them(void **state)
{
    (void)state;
    struct world w;
    struct client a;
    static const uint8_t props[] = {MQTT_PROP_REQUEST_PROBLEM_INFO, 0};
    world_init(&w, 1);
    w.grant.reason_string = "welcome";
    world_start(&w);
    struct mqtt_connect connect = connect_as(MQTT_V5, "a");
    connect.props.wire = bytes_of(props, sizeof props);
    struct mqtt_connack ack = client_connect(&a, &w, &connect);
    assert_true(bytes_equal(find(ack.props, MQTT_PROP_REASON_STRING).text, BYTES_LIT("welcome")));
    broker_disconnect(w.shard[0], a.conn, MQTT_REASON_SERVER_SHUTTING_DOWN, "bye", w.now_ms);
    struct mqtt_packet end = client_expect(&a, MQTT_DISCONNECT);
    assert_int_equal(end.end.reason, MQTT_REASON_SERVER_SHUTTING_DOWN);
    assert_false(has(end.end.props, MQTT_PROP_REASON_STRING));
    client_close(&a);
    world_close(&w);
}

static void packets_that_do_not_belong_end_the_connection(void **state)
{
    (void)state;
    struct world w;
    struct client a;
    static const struct {
        struct bytes bytes;
        uint8_t reason;
    } bad[] = {
        {BYTES_LIT("\xf0\x00"), MQTT_REASON_PROTOCOL_ERROR},                       /* AUTH */
        {BYTES_LIT("\x20\x03\x00\x00\x00"), MQTT_REASON_PROTOCOL_ERROR},           /* CONNACK */
        {BYTES_LIT("\xd0\x00"), MQTT_REASON_PROTOCOL_ERROR},                       /* PINGRESP */
        {BYTES_LIT("\x00\x00"), MQTT_REASON_MALFORMED_PACKET},                     /* type 0 */
        {BYTES_LIT("\xc0\xff\xff\xff\xff\x01"), MQTT_REASON_MALFORMED_PACKET},     /* length */
        {BYTES_LIT("\x80\x05\x00\x01\x00\x00\x00"), MQTT_REASON_MALFORMED_PACKET}, /* flags */
    };
    world_init(&w, 1);
    world_start(&w);
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        client_join(&a, &w, MQTT_V5, "a");
        client_send_bytes(&a, bad[i].bytes);
        assert_int_equal(client_expect(&a, MQTT_DISCONNECT).end.reason, bad[i].reason);
        client_expect_closed(&a);
        client_close(&a);
        client_join(&a, &w, MQTT_V311, "a");
        client_send_bytes(&a, bad[i].bytes);
        client_expect_closed(&a);
        client_close(&a);
    }
    world_close(&w);
}

static void server_can_end_with_everyone_still_there(void **state)
{
    (void)state;
    struct world w;
    static struct client a, b, c;
    struct broker_conn found;
    world_init(&w, 1);
    world_start(&w);
    client_join(&a, &w, MQTT_V5, "a");
    client_subscribe(&a, "#", 1);
    a.is_stuck = true;
    client_join(&b, &w, MQTT_V311, "b");
    client_publish(&b, "x", "payload", 1, 1, true);
    client_open(&c, &w, 0, MQTT_V5);
    assert_int_equal(broker_find(w.shard[0], BYTES_LIT("a"), &found), 0);
    assert_int_equal(broker_find(w.shard[0], BYTES_LIT("nobody"), &found), SEALMQ_E_NOTFOUND);
    world_close(&w);
    struct client *all[] = {&a, &b, &c};
    for (size_t i = 0; i < 3; i++) {
        buf_close(&all[i]->in);
        buf_close(&all[i]->out);
    }
}

static void options_out_of_range_are_refused(void **state)
{
    (void)state;
    struct broker_options options = {0};
    struct broker *b;
    assert_int_equal(broker_new(&options, &b), SEALMQ_E_ARG);
    assert_null(b);
    broker_free(NULL);
}

static void shard_of_an_id_never_changes(void **state)
{
    (void)state;
    /* FNV-1a 64, folded: these numbers are part of the format. */
    assert_int_equal(broker_shard_of(BYTES_LIT(""), 7), 6);
    assert_int_equal(broker_shard_of(BYTES_LIT("devices/iot"), 4), 0);
    assert_int_equal(broker_shard_of(BYTES_LIT("devices/iot"), 64), 52);
    assert_int_equal(broker_shard_of(BYTES_LIT("broker/a"), 64), 49);
    assert_int_equal(broker_shard_of(BYTES_LIT("devices/iot"), 1), 0);
    unsigned counts[8] = {0};
    for (unsigned i = 0; i < 8000; i++) {
        char id[32];
        snprintf(id, sizeof id, "devices/d%u", i);
        counts[broker_shard_of(bytes_str(id), 8)]++;
    }
    for (unsigned i = 0; i < 8; i++)
        assert_in_range(counts[i], 800, 1200);
}

static void an_applicant_does_not_take_over_a_client_of_another_role(void **state)
{
    (void)state;
    static const enum broker_role roles[] = {BROKER_ROLE_ORDINARY, BROKER_ROLE_MEMBER,
                                             BROKER_ROLE_ADMIN};
    for (size_t i = 0; i < sizeof roles / sizeof roles[0]; i++) {
        struct world w;
        struct client client, stranger, again, last;
        world_init(&w, 1);
        world_start(&w);
        w.grant.role = roles[i];
        client_join(&client, &w, MQTT_V5, "pump");
        w.grant.role = BROKER_ROLE_APPLICANT;
        client_open(&stranger, &w, 0, MQTT_V5);
        client_send(&stranger, &(struct mqtt_packet){.type = MQTT_CONNECT,
                                                     .connect = connect_as(MQTT_V5, "pump")});
        struct mqtt_packet ack = client_expect(&stranger, MQTT_CONNACK);
        assert_int_equal(ack.connack.reason, MQTT_REASON_CLIENT_IDENTIFIER_NOT_VALID);
        client_expect_closed(&stranger);
        client_expect_nothing(&client);
        client_close(&client);
        /* The other way round, and among applicants, it is as always. */
        client_join(&again, &w, MQTT_V5, "pump");
        client_close(&stranger);
        client_join(&stranger, &w, MQTT_V5, "pump");
        client_expect(&again, MQTT_DISCONNECT);
        client_expect_closed(&again);
        w.grant.role = roles[i];
        client_join(&last, &w, MQTT_V5, "pump");
        client_expect(&stranger, MQTT_DISCONNECT);
        client_expect_closed(&stranger);
        client_close(&again);
        client_close(&stranger);
        client_close(&last);
        world_close(&w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(connack_says_what_was_agreed),
        cmocka_unit_test(client_without_id_gets_one_of_this_shard),
        cmocka_unit_test(client_without_id_must_be_clean_in_311),
        cmocka_unit_test(refusal_speaks_the_clients_version),
        cmocka_unit_test(enhanced_authentication_is_refused),
        cmocka_unit_test(input_waits_for_deferred_authentication),
        cmocka_unit_test(assigned_id_survives_deferred_authentication),
        cmocka_unit_test(silence_before_connect_has_an_end),
        cmocka_unit_test(second_connect_is_a_protocol_error),
        cmocka_unit_test(other_protocols_and_versions_are_refused),
        cmocka_unit_test(connect_packet_of_an_unknown_has_a_limit),
        cmocka_unit_test(client_id_too_long_is_refused),
        cmocka_unit_test(connections_and_sessions_have_limits),
        cmocka_unit_test(name_of_a_closed_connection_stays_void),
        cmocka_unit_test(reason_below_0x80_still_refuses),
        cmocka_unit_test(words_are_for_those_who_want_them),
        cmocka_unit_test(packets_that_do_not_belong_end_the_connection),
        cmocka_unit_test(server_can_end_with_everyone_still_there),
        cmocka_unit_test(options_out_of_range_are_refused),
        cmocka_unit_test(shard_of_an_id_never_changes),
        cmocka_unit_test(an_applicant_does_not_take_over_a_client_of_another_role),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
