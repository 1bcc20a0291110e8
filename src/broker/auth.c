/* Enhanced authentication (5.0 section 4.12): a conversation of AUTH packets between a client and a
 * mechanism of the host, before the CONNACK, and again on the live connection when the client asks.
 *
 *     CONNECT with a method --> AUTHENTICATING --challenge--> CHALLENGED --AUTH--> AUTHENTICATING
 * ... AUTH (re-authenticate) -> AUTH_AT_HOST --challenge--> AUTH_AT_CLIENT --AUTH--> AUTH_AT_HOST
 * ...
 *
 * The second way leaves the connection in CONN_CONNECTED: what else the client sends goes on as
 * before. The method is that of the CONNECT packet throughout [MQTT-4.12.0-5], [MQTT-4.12.1-1]. A
 * re-authentication that fails ends the connection [MQTT-4.12.1-2], and so does one that makes the
 * client somebody else: its session, subscriptions and rights are its user's. */
#include "broker/broker_int.h"

#include <stdlib.h>

#define METHOD_BYTES_MAX 256

enum auth_turn { AUTH_IDLE, AUTH_AT_HOST, AUTH_AT_CLIENT };

struct auth {
    enum auth_turn turn; /* of a re-authentication */
    size_t method_n;
    uint8_t method[];
};

struct bytes auth_method(const struct conn *conn)
{
    return conn->auth == NULL ? bytes_of(NULL, 0)
                              : bytes_of(conn->auth->method, conn->auth->method_n);
}

void auth_free(struct conn *conn)
{
    free(conn->auth);
    conn->auth = NULL;
}

/* Ends the connection, as its state wants it to be told. */
static void fail(struct broker *b, struct conn *conn, uint8_t reason, const char *words)
{
    if (conn->state == CONN_CONNECTED)
        conn_end(b, conn, reason, words, CONN_TELL);
    else
        connect_refuse(b, conn, reason, words);
}

static void begin(struct broker *b, struct conn *conn, const struct broker_auth_request *request)
{
    if (!b->host.auth_begin(b->host.context, request) && conn->state != CONN_ENDING)
        fail(b, conn, MQTT_REASON_BAD_AUTHENTICATION_METHOD, "no such authentication method");
}

void auth_connect(struct broker *b, struct conn *conn, const struct broker_auth_request *request)
{
    struct bytes method = request->auth_method;
    if (b->host.auth_begin == NULL || method.n == 0 || method.n > METHOD_BYTES_MAX) {
        fail(b, conn, MQTT_REASON_BAD_AUTHENTICATION_METHOD, "no such authentication method");
        return;
    }
    conn->auth = calloc(1, sizeof *conn->auth + method.n);
    if (conn->auth == NULL) {
        fail(b, conn, MQTT_REASON_SERVER_BUSY, "out of memory");
        return;
    }
    conn->auth->method_n = method.n;
    memcpy(conn->auth->method, method.p, method.n);
    begin(b, conn, request);
}

/* Sends AUTH; false when the connection has ended by that. */
static bool send_auth(struct broker *b, struct conn *conn, uint8_t reason, struct bytes data)
{
    struct mqtt_packet packet = {.type = MQTT_AUTH, .end = {.reason = reason}};
    buf_reset(&b->answer_props);
    mqtt_props_append_text(&b->answer_props, MQTT_PROP_AUTH_METHOD, auth_method(conn));
    if (data.n != 0)
        mqtt_props_append_text(&b->answer_props, MQTT_PROP_AUTH_DATA, data);
    if (buf_status(&b->answer_props) != 0) {
        fail(b, conn, MQTT_REASON_SERVER_BUSY, "out of memory");
        return false;
    }
    packet.end.props.wire = buf_bytes(&b->answer_props);
    return conn_send(b, conn, &packet);
}

int broker_auth_challenge(struct broker *b, struct broker_conn conn_name, struct bytes data,
                          uint64_t now_ms)
{
    struct conn *conn = conn_get(b, conn_name);
    bool is_connecting = conn != NULL && conn->state == CONN_AUTHENTICATING && conn->auth != NULL;
    bool is_live = conn != NULL && conn->state == CONN_CONNECTED && conn->auth != NULL &&
                   conn->auth->turn == AUTH_AT_HOST;
    if (!is_connecting && !is_live)
        return SEALMQ_E_CLOSED;
    if (data.n > UINT16_MAX)
        return SEALMQ_E_ARG;
    broker_enter(b, now_ms);
    if (send_auth(b, conn, MQTT_REASON_CONTINUE_AUTHENTICATION, data)) {
        if (is_live)
            conn->auth->turn = AUTH_AT_CLIENT;
        else
            conn->state = CONN_CHALLENGED;
        conn_unblock(b, conn);
    }
    broker_leave(b);
    return 0;
}

/* What the host is shown of a client that is let in already. */
static struct broker_auth_request live_request(const struct conn *conn)
{
    const struct session *s = conn->session;
    return (struct broker_auth_request){
        .conn = conn->name,
        .version = conn->version,
        .client_id = session_client_id(s),
        .has_user_name = s->user_name_n != 0,
        .user_name = session_user_name(s),
        .peer = conn->peer,
        .auth_method = auth_method(conn),
        .is_again = true,
    };
}

static void go_on(struct broker *b, struct conn *conn, struct broker_auth_request *request,
                  const struct mqtt_end *auth)
{
    struct mqtt_prop data;
    if (mqtt_props_find(auth->props, MQTT_PROP_AUTH_DATA, &data))
        request->auth_data = data.text;
    if (auth->reason == MQTT_REASON_REAUTHENTICATE)
        begin(b, conn, request);
    else
        b->host.auth_continue(b->host.context, request);
}

void auth_input(struct broker *b, struct conn *conn, const struct mqtt_end *auth)
{
    struct mqtt_prop method;
    bool is_new = auth->reason == MQTT_REASON_REAUTHENTICATE;
    bool is_connecting = conn->state == CONN_CHALLENGED;
    if (conn->auth == NULL) { /* [MQTT-4.12.0-6] */
        fail(b, conn, MQTT_REASON_PROTOCOL_ERROR, "AUTH without an authentication method");
        return;
    }
    if (!mqtt_props_find(auth->props, MQTT_PROP_AUTH_METHOD, &method) ||
        !bytes_equal(method.text, auth_method(conn))) {
        fail(b, conn, MQTT_REASON_BAD_AUTHENTICATION_METHOD, "not the method of CONNECT");
        return;
    }
    enum auth_turn expected = is_new ? AUTH_IDLE : AUTH_AT_CLIENT;
    if (is_connecting ? is_new : conn->auth->turn != expected) {
        fail(b, conn, MQTT_REASON_PROTOCOL_ERROR, "AUTH out of turn");
        return;
    }
    struct broker_auth_request request;
    if (is_connecting) {
        conn->state = CONN_AUTHENTICATING;
        connect_request(conn, &request);
    } else {
        conn->auth->turn = AUTH_AT_HOST;
        request = live_request(conn);
    }
    go_on(b, conn, &request, auth);
}

/* Of the refusals of CONNACK, what DISCONNECT can say. */
static uint8_t disconnect_reason(uint8_t reason)
{
    switch (reason) {
    case MQTT_REASON_BAD_AUTHENTICATION_METHOD:
    case MQTT_REASON_SERVER_BUSY:
    case MQTT_REASON_QUOTA_EXCEEDED:
    case MQTT_REASON_USE_ANOTHER_SERVER:
    case MQTT_REASON_SERVER_MOVED:
    case MQTT_REASON_CONNECTION_RATE_EXCEEDED:
        return reason;
    default:
        return MQTT_REASON_NOT_AUTHORIZED;
    }
}

void auth_done_again(struct broker *b, struct conn *conn, const struct broker_grant *grant)
{
    if (conn->auth == NULL || conn->auth->turn == AUTH_IDLE)
        return;
    conn->auth->turn = AUTH_IDLE;
    const struct session *s = conn->session;
    if (grant->reason != MQTT_REASON_SUCCESS)
        conn_end_to(b, conn, disconnect_reason(grant->reason), "re-authentication failed",
                    grant->server_reference, CONN_TELL);
    else if (grant->role != s->role || !bytes_equal(grant->user_name, session_user_name(s)))
        conn_end(b, conn, MQTT_REASON_NOT_AUTHORIZED, "re-authenticated as somebody else",
                 CONN_TELL);
    else
        (void)send_auth(b, conn, MQTT_REASON_SUCCESS, grant->auth_data);
}
