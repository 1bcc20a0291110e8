/* Enhanced authentication (5.0 sections 3.15 and 4.12), with a mechanism "TWICE": the server asks
 * until the client has said "yes" twice, and ends it when it says "no". */
#include "world.h"

static unsigned yes_count;
static bool was_again;
static struct broker_conn deferred;

static void answer(struct world *w, struct broker *b, const struct broker_auth_request *request)
{
    struct broker_grant grant = w->grant;
    was_again = request->is_again;
    assert_true(bytes_equal(request->auth_method, BYTES_LIT("TWICE")));
    assert_true(bytes_equal(request->client_id, BYTES_LIT("a")));
    if (bytes_equal(request->auth_data, BYTES_LIT("later"))) {
        deferred = request->conn;
        return;
    }
    if (bytes_equal(request->auth_data, BYTES_LIT("yes")) && ++yes_count < 2) {
        assert_int_equal(broker_auth_challenge(b, request->conn, BYTES_LIT("sure?"), w->now_ms), 0);
        return;
    }
    if (yes_count < 2)
        grant.reason = MQTT_REASON_BAD_USER_NAME_OR_PASSWORD;
    grant.auth_data = BYTES_LIT("fine");
    broker_authenticated(b, request->conn, &grant, w->now_ms);
}

static bool begin(struct world *w, struct broker *b, const struct broker_auth_request *request)
{
    yes_count = 0;
    if (!bytes_equal(request->auth_method, BYTES_LIT("TWICE")))
        return false;
    if (request->auth_data.n == 0)
        assert_int_equal(broker_auth_challenge(b, request->conn, (struct bytes){0}, w->now_ms), 0);
    else
        answer(w, b, request);
    return true;
}

static void start(struct world *w)
{
    world_init(w, 1);
    w->auth_begin = begin;
    w->auth_continue = answer;
    world_start(w);
}

static void append_auth(struct buf *props, const char *method, const char *data)
{
    mqtt_props_append_text(props, MQTT_PROP_AUTH_METHOD, bytes_str(method));
    if (data != NULL)
        mqtt_props_append_text(props, MQTT_PROP_AUTH_DATA, bytes_str(data));
}

static void send_connect(struct client *c, struct world *w, const char *method, const char *data)
{
    struct buf props = {0};
    struct mqtt_connect connect = connect_as(MQTT_V5, "a");
    append_auth(&props, method, data);
    connect.props.wire = buf_bytes(&props);
    client_open(c, w, 0, MQTT_V5);
    client_send(c, &(struct mqtt_packet){.type = MQTT_CONNECT, .connect = connect});
    buf_close(&props);
}

static void send_auth(struct client *c, uint8_t reason, const char *method, const char *data)
{
    struct buf props = {0};
    append_auth(&props, method, data);
    client_send(c, &(struct mqtt_packet){.type = MQTT_AUTH,
                                         .end = {.reason = reason, .props = {buf_bytes(&props)}}});
    buf_close(&props);
}

static void expect_props(struct mqtt_props props, const char *data)
{
    struct mqtt_prop prop;
    assert_true(mqtt_props_find(props, MQTT_PROP_AUTH_METHOD, &prop));
    assert_true(bytes_equal(prop.text, BYTES_LIT("TWICE")));
    assert_int_equal(mqtt_props_find(props, MQTT_PROP_AUTH_DATA, &prop), data != NULL);
    if (data != NULL)
        assert_true(bytes_equal(prop.text, bytes_str(data)));
}

static void expect_auth(struct client *c, uint8_t reason, const char *data)
{
    struct mqtt_end end = client_expect(c, MQTT_AUTH).end;
    assert_int_equal(end.reason, reason);
    expect_props(end.props, data);
}

static void let_in(struct client *c, struct world *w)
{
    send_connect(c, w, "TWICE", "yes");
    expect_auth(c, MQTT_REASON_CONTINUE_AUTHENTICATION, "sure?");
    send_auth(c, MQTT_REASON_CONTINUE_AUTHENTICATION, "TWICE", "yes");
    struct mqtt_connack ack = client_expect(c, MQTT_CONNACK).connack;
    assert_int_equal(ack.reason, 0);
    expect_props(ack.props, "fine");
}

static void client_is_let_in_after_the_conversation(void **state)
{
    (void)state;
    struct world w;
    struct client a;
    start(&w);
    let_in(&a, &w);
    assert_false(was_again);
    client_subscribe(&a, "t", 0);
    client_close(&a);
    /* The server may speak first, and the client need not say anything at once. */
    send_connect(&a, &w, "TWICE", NULL);
    expect_auth(&a, MQTT_REASON_CONTINUE_AUTHENTICATION, NULL);
    send_auth(&a, MQTT_REASON_CONTINUE_AUTHENTICATION, "TWICE", "yes");
    expect_auth(&a, MQTT_REASON_CONTINUE_AUTHENTICATION, "sure?");
    send_auth(&a, MQTT_REASON_CONTINUE_AUTHENTICATION, "TWICE", "no");
    assert_int_equal(client_expect(&a, MQTT_CONNACK).connack.reason,
                     MQTT_REASON_BAD_USER_NAME_OR_PASSWORD);
    client_expect_closed(&a);
    client_close(&a);
    world_close(&w);
}

static void unknown_methods_are_refused(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 3; round++) {
        struct world w;
        struct client a;
        char long_name[400] = {0};
        memset(long_name, 'x', sizeof long_name - 1);
        world_init(&w, 1);
        w.auth_begin = round == 0 ? NULL : begin;
        w.auth_continue = answer;
        world_start(&w);
        send_connect(&a, &w, round == 2 ? long_name : "OTHER", "x");
        assert_int_equal(client_expect(&a, MQTT_CONNACK).connack.reason,
                         MQTT_REASON_BAD_AUTHENTICATION_METHOD);
        client_expect_closed(&a);
        client_close(&a);
        world_close(&w);
    }
}

static void challenged_client_sends_auth_or_disconnect_only(void **state)
{
    (void)state;
    struct world w;
    struct client a;
    start(&w);
    static const struct {
        uint8_t reason;
        const char *method;
        uint8_t answer;
    } wrong[] = {
        {MQTT_REASON_CONTINUE_AUTHENTICATION, "OTHER", MQTT_REASON_BAD_AUTHENTICATION_METHOD},
        {MQTT_REASON_REAUTHENTICATE, "TWICE", MQTT_REASON_PROTOCOL_ERROR},
    };
    for (size_t i = 0; i < 2; i++) {
        send_connect(&a, &w, "TWICE", "yes");
        expect_auth(&a, MQTT_REASON_CONTINUE_AUTHENTICATION, "sure?");
        send_auth(&a, wrong[i].reason, wrong[i].method, "yes");
        assert_int_equal(client_expect(&a, MQTT_CONNACK).connack.reason, wrong[i].answer);
        client_expect_closed(&a);
        client_close(&a);
    }
    send_connect(&a, &w, "TWICE", "yes");
    expect_auth(&a, MQTT_REASON_CONTINUE_AUTHENTICATION, "sure?");
    client_publish(&a, "t", "x", 0, 0, false);
    assert_int_equal(client_expect(&a, MQTT_CONNACK).connack.reason, MQTT_REASON_PROTOCOL_ERROR);
    client_close(&a);
    send_connect(&a, &w, "TWICE", "yes");
    expect_auth(&a, MQTT_REASON_CONTINUE_AUTHENTICATION, "sure?");
    client_send(&a, &(struct mqtt_packet){.type = MQTT_DISCONNECT});
    client_expect_closed(&a);
    client_close(&a);
    assert_int_equal(w.connected, 0);
    world_close(&w);
}

static void challenged_client_has_only_the_time_to_connect(void **state)
{
    (void)state;
    struct world w;
    struct client a;
    start(&w);
    send_connect(&a, &w, "TWICE", "yes");
    expect_auth(&a, MQTT_REASON_CONTINUE_AUTHENTICATION, "sure?");
    world_advance(&w, w.limits.connect_timeout_ms);
    client_expect_closed(&a);
    client_close(&a);
    world_close(&w);
}

static void what_comes_before_the_host_has_answered_waits(void **state)
{
    (void)state;
    struct world w;
    struct client a;
    start(&w);
    send_connect(&a, &w, "TWICE", "later");
    send_auth(&a, MQTT_REASON_CONTINUE_AUTHENTICATION, "TWICE", "yes");
    client_expect_nothing(&a);
    assert_int_equal(broker_auth_challenge(w.shard[0], deferred, BYTES_LIT("?"), w.now_ms), 0);
    expect_auth(&a, MQTT_REASON_CONTINUE_AUTHENTICATION, "?");
    expect_auth(&a, MQTT_REASON_CONTINUE_AUTHENTICATION, "sure?");
    /* It is the client's turn. */
    assert_int_equal(broker_auth_challenge(w.shard[0], deferred, BYTES_LIT("?"), w.now_ms),
                     SEALMQ_E_CLOSED);
    client_close(&a);
    assert_int_equal(broker_auth_challenge(w.shard[0], deferred, BYTES_LIT("?"), w.now_ms),
                     SEALMQ_E_CLOSED);
    world_close(&w);
}

static void live_client_proves_itself_again_while_it_works(void **state)
{
    (void)state;
    struct world w;
    struct client a;
    start(&w);
    let_in(&a, &w);
    for (unsigned round = 0; round < 2; round++) {
        send_auth(&a, MQTT_REASON_REAUTHENTICATE, "TWICE", "yes");
        expect_auth(&a, MQTT_REASON_CONTINUE_AUTHENTICATION, "sure?");
        assert_true(was_again);
        client_publish(&a, "t", "x", 1, 1, false);
        (void)client_expect_ack(&a, MQTT_PUBACK, 1);
        send_auth(&a, MQTT_REASON_CONTINUE_AUTHENTICATION, "TWICE", "yes");
        expect_auth(&a, MQTT_REASON_SUCCESS, "fine");
    }
    send_auth(&a, MQTT_REASON_REAUTHENTICATE, "TWICE", "no");
    assert_int_equal(client_expect(&a, MQTT_DISCONNECT).end.reason, MQTT_REASON_NOT_AUTHORIZED);
    client_expect_closed(&a);
    client_close(&a);
    world_close(&w);
}

static void live_client_cannot_become_somebody_else(void **state)
{
    (void)state;
    struct world w;
    struct client a;
    start(&w);
    let_in(&a, &w);
    w.grant.user_name = BYTES_LIT("mallory");
    send_auth(&a, MQTT_REASON_REAUTHENTICATE, "TWICE", "yes");
    expect_auth(&a, MQTT_REASON_CONTINUE_AUTHENTICATION, "sure?");
    send_auth(&a, MQTT_REASON_CONTINUE_AUTHENTICATION, "TWICE", "yes");
    assert_int_equal(client_expect(&a, MQTT_DISCONNECT).end.reason, MQTT_REASON_NOT_AUTHORIZED);
    client_close(&a);
    world_close(&w);
}

static void auth_out_of_turn_ends_a_live_connection(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 4; round++) {
        struct world w;
        struct client a;
        uint8_t expected = MQTT_REASON_PROTOCOL_ERROR;
        start(&w);
        let_in(&a, &w);
        if (round == 0) { /* nobody has asked */
            send_auth(&a, MQTT_REASON_CONTINUE_AUTHENTICATION, "TWICE", "yes");
        } else if (round == 1) {
            send_auth(&a, MQTT_REASON_REAUTHENTICATE, "OTHER", "yes");
            expected = MQTT_REASON_BAD_AUTHENTICATION_METHOD;
        } else if (round == 2) { /* the host is thinking */
            send_auth(&a, MQTT_REASON_REAUTHENTICATE, "TWICE", "later");
            send_auth(&a, MQTT_REASON_CONTINUE_AUTHENTICATION, "TWICE", "yes");
        } else { /* success is for the server to say */
            client_send_bytes(&a, BYTES_LIT("\xf0\x00"));
        }
        assert_int_equal(client_expect(&a, MQTT_DISCONNECT).end.reason, expected);
        client_expect_closed(&a);
        if (round == 2) /* too late */
            broker_authenticated(w.shard[0], deferred, &w.grant, w.now_ms);
        client_close(&a);
        world_close(&w);
    }
}

static void client_without_a_method_must_not_send_auth(void **state)
{
    (void)state;
    struct world w;
    struct client a;
    start(&w);
    client_join(&a, &w, MQTT_V5, "a");
    send_auth(&a, MQTT_REASON_REAUTHENTICATE, "TWICE", "yes");
    assert_int_equal(client_expect(&a, MQTT_DISCONNECT).end.reason, MQTT_REASON_PROTOCOL_ERROR);
    client_close(&a);
    /* An answer that nobody waits for changes nothing. */
    client_join(&a, &w, MQTT_V5, "a");
    w.grant.reason = MQTT_REASON_NOT_AUTHORIZED;
    broker_authenticated(w.shard[0], a.conn, &w.grant, w.now_ms);
    client_expect_nothing(&a);
    assert_false(a.is_closed);
    client_close(&a);
    world_close(&w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(client_is_let_in_after_the_conversation),
        cmocka_unit_test(unknown_methods_are_refused),
        cmocka_unit_test(challenged_client_sends_auth_or_disconnect_only),
        cmocka_unit_test(challenged_client_has_only_the_time_to_connect),
        cmocka_unit_test(what_comes_before_the_host_has_answered_waits),
        cmocka_unit_test(live_client_proves_itself_again_while_it_works),
        cmocka_unit_test(live_client_cannot_become_somebody_else),
        cmocka_unit_test(auth_out_of_turn_ends_a_live_connection),
        cmocka_unit_test(client_without_a_method_must_not_send_auth),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
