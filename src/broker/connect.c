/* CONNECT: from the packet to the CONNACK.
 *
 * The packet is checked, copied, and shown to the host's authentication, which answers at once or
 * later (broker_authenticated). Then an older connection of the same client id is taken over, the
 * session is resumed or made, and the CONNACK says what both sides have agreed on. */
#include "broker/broker_int.h"

#include <stdlib.h>

/* What a CONNECT asks for and what becomes of it, while it is worked on. */
struct connecting {
    struct mqtt_connect connect;
    struct bytes client_id; /* as assigned, when the client sent none */
    char assigned[40];
    bool is_assigned;
    uint32_t asked_expiry_s;
    uint32_t expiry_s;
    uint16_t receive_maximum;
    uint32_t packet_bytes;  /* what we take from it */
    struct bytes auth_data; /* for the CONNACK */
};

static void count_refused(struct broker *b, uint8_t reason)
{
    switch (reason) {
    case MQTT_REASON_BAD_USER_NAME_OR_PASSWORD:
        STAT_ADD(b, connects_bad_credentials_total, 1);
        break;
    case MQTT_REASON_NOT_AUTHORIZED:
        STAT_ADD(b, connects_not_authorized_total, 1);
        break;
    case MQTT_REASON_CLIENT_IDENTIFIER_NOT_VALID:
        STAT_ADD(b, connects_bad_client_id_total, 1);
        break;
    case MQTT_REASON_QUOTA_EXCEEDED:
    case MQTT_REASON_CONNECTION_RATE_EXCEEDED:
        STAT_ADD(b, connects_over_limit_total, 1);
        break;
    case MQTT_REASON_SERVER_BUSY:
    case MQTT_REASON_SERVER_UNAVAILABLE:
        STAT_ADD(b, connects_busy_total, 1);
        break;
    case MQTT_REASON_MALFORMED_PACKET:
    case MQTT_REASON_PROTOCOL_ERROR:
    case MQTT_REASON_UNSUPPORTED_PROTOCOL_VERSION:
    case MQTT_REASON_TOPIC_NAME_INVALID:
        STAT_ADD(b, connects_invalid_total, 1);
        break;
    default:
        STAT_ADD(b, connects_other_total, 1);
        break;
    }
}

static void refuse_to(struct broker *b, struct conn *conn, uint8_t reason, const char *words,
                      const char *reference)
{
    count_refused(b, reason);
    /* Only codes from 0x80 on refuse. */
    if (reason < 0x80)
        reason = MQTT_REASON_UNSPECIFIED_ERROR;
    struct mqtt_packet packet = {.type = MQTT_CONNACK, .connack = {.reason = reason}};
    if (conn->version != MQTT_V5)
        packet.connack.reason = mqtt_connect_return_code(reason);
    buf_reset(&b->answer_props);
    if (reference != NULL && strlen(reference) + 16 <= conn->packet_bytes)
        mqtt_props_append_text(&b->answer_props, MQTT_PROP_SERVER_REFERENCE, bytes_str(reference));
    if (buf_status(&b->answer_props) == 0)
        packet.connack.props.wire = buf_bytes(&b->answer_props);
    if (words == NULL)
        words = mqtt_reason_text(reason);
    if (conn_send_words(b, conn, &packet, &packet.connack.props, words))
        conn_end(b, conn, reason, "refused", CONN_SILENT);
}

static void refuse(struct broker *b, struct conn *conn, uint8_t reason, const char *words)
{
    refuse_to(b, conn, reason, words, NULL);
}

/* Answers a CONNECT that cannot be decoded, as far as its protocol has an answer. `version` is 0
 * when it broke before it said one. */
static void refuse_undecodable(struct broker *b, struct conn *conn, enum mqtt_version version,
                               int error, uint8_t reason)
{
    STAT_ADD(b, packets_malformed_total, 1);
    bool has_answer = version == MQTT_V5 || (version == MQTT_V311 && error == SEALMQ_E_VERSION) ||
                      (version == MQTT_V311 && reason == MQTT_REASON_CLIENT_IDENTIFIER_NOT_VALID);
    if (has_answer) {
        conn->version = version;
        refuse(b, conn, reason, NULL);
    } else {
        conn_end(b, conn, reason, NULL, CONN_SILENT);
    }
}

/* A client id that is free and belongs to this shard. Cannot be guessed, nor does it repeat. */
static void assign_client_id(struct broker *b, struct connecting *c)
{
    static const char digits[] = "0123456789abcdef";
    struct bytes id;
    do {
        uint64_t number = ++b->next_assigned;
        uint64_t words[2] = {keyed_hash(&b->key, number, BYTES_LIT("id")),
                             keyed_hash(&b->key, number, BYTES_LIT("more"))};
        char *to = c->assigned;
        memcpy(to, "auto-", 5);
        to += 5;
        for (size_t i = 0; i < 24; i++)
            *to++ = digits[words[i / 16] >> (i % 16 * 4) & 15];
        id = bytes_of(c->assigned, (size_t)(to - c->assigned));
    } while (broker_shard_of(id, b->shards) != b->shard || session_find(b, id) != NULL);
    c->client_id = id;
    c->is_assigned = true;
}

static uint32_t min_u32(uint32_t a, uint32_t b)
{
    return a < b ? a : b;
}

/* Reads what the client wants. */
static void read_wishes(struct broker *b, struct conn *conn, struct connecting *c)
{
    const struct mqtt_connect *connect = &c->connect;
    struct mqtt_prop prop;
    conn->version = connect->version;
    c->receive_maximum = UINT16_MAX;
    /* 3.1.1: a session that is not clean stays until somebody cleans it, or as long as we keep any.
     */
    c->asked_expiry_s = connect->version == MQTT_V5 || connect->clean_start ? 0 : UINT32_MAX;
    for (struct mqtt_props rest = connect->props; mqtt_props_next(&rest, &prop);) {
        switch (prop.id) {
        case MQTT_PROP_SESSION_EXPIRY:
            c->asked_expiry_s = prop.number;
            break;
        case MQTT_PROP_RECEIVE_MAXIMUM:
            c->receive_maximum = (uint16_t)prop.number;
            break;
        case MQTT_PROP_MAXIMUM_PACKET_SIZE:
            conn->packet_bytes = min_u32(prop.number, conn->packet_bytes);
            break;
        case MQTT_PROP_TOPIC_ALIAS_MAXIMUM:
            conn->aliases_most = (uint16_t)min_u32(prop.number, b->limits.topic_aliases_sent);
            break;
        case MQTT_PROP_REQUEST_PROBLEM_INFO:
            conn->no_problem_info = prop.number == 0;
            break;
        default:
            break;
        }
    }
    c->expiry_s = min_u32(c->asked_expiry_s, b->limits.session_expiry_max_s);
    conn->window =
        c->receive_maximum < b->limits.inflight ? c->receive_maximum : b->limits.inflight;
    conn->keep_alive_s = connect->keep_alive_s;
    uint16_t most = b->limits.keep_alive_max_s;
    if (most != 0 && connect->version == MQTT_V5 &&
        (conn->keep_alive_s == 0 || conn->keep_alive_s > most))
        conn->keep_alive_s = most;
}

static bool check_client_id(struct broker *b, struct conn *conn, struct connecting *c)
{
    c->client_id = c->connect.client_id;
    if (c->client_id.n == 0) {
        assign_client_id(b, c);
        return true;
    }
    if (c->client_id.n > CLIENT_ID_BYTES_MAX) {
        refuse(b, conn, MQTT_REASON_CLIENT_IDENTIFIER_NOT_VALID, "client identifier too long");
        return false;
    }
    if (broker_shard_of(c->client_id, b->shards) != b->shard) {
        refuse(b, conn, MQTT_REASON_IMPLEMENTATION_SPECIFIC_ERROR, "connection on the wrong shard");
        return false;
    }
    return true;
}

static bool check_will(struct broker *b, struct conn *conn, const struct mqtt_connect *connect)
{
    if (!connect->has_will)
        return true;
    if (!publish_payload_is_as_said(connect->will_props, connect->will_payload)) {
        refuse(b, conn, MQTT_REASON_PAYLOAD_FORMAT_INVALID, "will payload is not UTF-8");
        return false;
    }
    if (publish_topic_is_within_limits(b, connect->will_topic))
        return true;
    refuse(b, conn, MQTT_REASON_TOPIC_NAME_INVALID, "will topic over a limit");
    return false;
}

/* Decodes the packet again, after authentication. It was valid the first time. */
static void reread(struct conn *conn, struct connecting *c)
{
    struct mqtt_packet packet;
    uint8_t reason;
    size_t size = 0;
    int error = mqtt_frame(buf_bytes(conn->connect), &size);
    if (error == 0)
        error =
            mqtt_decode(bytes_of(conn->connect->p, size), conn->version, true, &packet, &reason);
    ASSERT(error == 0 && packet.type == MQTT_CONNECT);
    c->connect = packet.connect;
    c->client_id = c->connect.client_id;
    if (c->client_id.n == 0) {
        c->client_id = bytes_of(conn->connect->p + size, conn->connect->n - size);
        c->is_assigned = true;
    }
}

void connect_request(struct conn *conn, struct broker_auth_request *out)
{
    struct connecting c = {0};
    reread(conn, &c);
    *out = (struct broker_auth_request){
        .conn = conn->name,
        .version = conn->version,
        .client_id = c.client_id,
        .has_user_name = c.connect.has_user_name,
        .has_password = c.connect.has_password,
        .user_name = c.connect.user_name,
        .password = c.connect.password,
        .peer = conn->peer,
        .auth_method = auth_method(conn),
    };
}

void connect_refuse(struct broker *b, struct conn *conn, uint8_t reason, const char *words)
{
    refuse(b, conn, reason, words);
}

/* For after the authentication. An assigned id stands behind the packet. */
static int keep_packet(struct conn *conn, struct bytes packet, struct bytes assigned_id)
{
    conn->connect = calloc(1, sizeof *conn->connect);
    if (conn->connect == NULL)
        return SEALMQ_E_NOMEM;
    buf_append_bytes(conn->connect, packet);
    buf_append_bytes(conn->connect, assigned_id);
    return buf_status(conn->connect);
}

void connect_forget_packet(struct conn *conn)
{
    if (conn->connect != NULL)
        buf_wipe(conn->connect);
    free(conn->connect);
    conn->connect = NULL;
}

void connect_input(struct broker *b, struct conn *conn, struct bytes bytes)
{
    struct mqtt_packet packet;
    uint8_t reason = MQTT_REASON_MALFORMED_PACKET;
    int error = mqtt_decode(bytes, MQTT_V311, true, &packet, &reason);
    if (error != 0) {
        refuse_undecodable(b, conn, packet.connect.version, error, reason);
        return;
    }
    struct connecting c = {.connect = packet.connect};
    if (conn->is_over_limit || conn->is_over_address_limit) {
        conn->version = c.connect.version;
        refuse(b, conn, MQTT_REASON_QUOTA_EXCEEDED,
               conn->is_over_limit ? "too many connections" : "too many connections from there");
        return;
    }
    read_wishes(b, conn, &c);
    if (!check_client_id(b, conn, &c) || !check_will(b, conn, &c.connect))
        return;
    if (keep_packet(conn, bytes, c.is_assigned ? c.client_id : (struct bytes){0}) != 0) {
        refuse(b, conn, MQTT_REASON_SERVER_BUSY, NULL);
        return;
    }
    conn->state = CONN_AUTHENTICATING;
    struct broker_auth_request request;
    struct mqtt_prop prop;
    connect_request(conn, &request);
    if (!mqtt_props_find(c.connect.props, MQTT_PROP_AUTH_METHOD, &prop)) {
        b->host.authenticate(b->host.context, &request);
        return;
    }
    request.auth_method = prop.text;
    if (mqtt_props_find(c.connect.props, MQTT_PROP_AUTH_DATA, &prop))
        request.auth_data = prop.text;
    auth_connect(b, conn, &request);
}

static bool is_anonymous(const struct connecting *c, const struct broker_grant *grant)
{
    return !c->connect.has_user_name && grant->user_name.n == 0;
}

/* What a session has, and what is remembered of its rights, is one user's. A name that nothing has
 * proven is none, but not the same as none (acl.h). */
static bool is_same_user(const struct session *s, const struct connecting *c,
                         const struct broker_grant *grant)
{
    return bytes_equal(session_user_name(s), grant->user_name) && s->role == grant->role &&
           s->is_anonymous == is_anonymous(c, grant);
}

/* The session to go on with, NULL when a new one is to be made. Whoever was connected is not any
 * more afterwards. */
static struct session *take_over(struct broker *b, const struct connecting *c,
                                 const struct broker_grant *grant)
{
    struct session *s = session_find(b, c->client_id);
    if (s == NULL)
        return NULL;
    if (s->conn != NULL) {
        struct conn *old = s->conn;
        conn_end(b, old, MQTT_REASON_SESSION_TAKEN_OVER, "session taken over", CONN_TELL);
        conn_detach(b, old);
        s = session_find(b, c->client_id);
        if (s == NULL)
            return NULL;
    }
    if (c->connect.clean_start || !is_same_user(s, c, grant)) {
        session_end(b, s);
        return NULL;
    }
    session_resume(b, s);
    return s;
}

/* Applicants are let in under any id that is not registered: they must not end the connections of
 * ordinary clients that use such an id. Those take over an applicant as they take over each other.
 */
static bool is_held_against(const struct broker *b, struct bytes client_id,
                            const struct broker_grant *grant)
{
    const struct session *s = session_find(b, client_id);
    return grant->role == BROKER_ROLE_APPLICANT && s != NULL && s->conn != NULL &&
           s->role != BROKER_ROLE_APPLICANT;
}

static void append_response_information(const struct broker *b, const struct connecting *c,
                                        struct buf *props)
{
    struct mqtt_prop asked;
    size_t n = strlen(b->response_prefix) + 1 + c->client_id.n;
    if (b->response_prefix[0] == '\0' || n > UINT16_MAX ||
        !mqtt_props_find(c->connect.props, MQTT_PROP_REQUEST_RESPONSE_INFO, &asked) ||
        asked.number == 0)
        return;
    buf_append_u8(props, MQTT_PROP_RESPONSE_INFO);
    buf_append_u16(props, (uint16_t)n);
    buf_append_cstr(props, b->response_prefix);
    buf_append_u8(props, '/');
    buf_append_bytes(props, c->client_id);
}

/* Appends the properties of a CONNACK that lets the client in. */
static void append_agreement(const struct broker *b, const struct conn *conn,
                             const struct connecting *c, struct buf *props)
{
    if (c->expiry_s != c->asked_expiry_s)
        mqtt_props_append_number(props, MQTT_PROP_SESSION_EXPIRY, c->expiry_s);
    if (b->limits.receive_maximum != UINT16_MAX)
        mqtt_props_append_number(props, MQTT_PROP_RECEIVE_MAXIMUM, b->limits.receive_maximum);
    mqtt_props_append_number(props, MQTT_PROP_MAXIMUM_PACKET_SIZE, c->packet_bytes);
    if (c->is_assigned)
        mqtt_props_append_text(props, MQTT_PROP_ASSIGNED_CLIENT_ID, c->client_id);
    if (b->limits.topic_aliases != 0)
        mqtt_props_append_number(props, MQTT_PROP_TOPIC_ALIAS_MAXIMUM, b->limits.topic_aliases);
    if (conn->keep_alive_s != c->connect.keep_alive_s)
        mqtt_props_append_number(props, MQTT_PROP_SERVER_KEEP_ALIVE, conn->keep_alive_s);
    append_response_information(b, c, props);
    if (conn->auth != NULL) {
        mqtt_props_append_text(props, MQTT_PROP_AUTH_METHOD, auth_method(conn));
        if (c->auth_data.n != 0)
            mqtt_props_append_text(props, MQTT_PROP_AUTH_DATA, c->auth_data);
    }
}

static bool send_connack(struct broker *b, struct conn *conn, const struct connecting *c,
                         bool session_present, const char *words)
{
    struct mqtt_packet packet = {.type = MQTT_CONNACK,
                                 .connack = {.session_present = session_present}};
    buf_reset(&b->answer_props);
    append_agreement(b, conn, c, &b->answer_props);
    if (buf_status(&b->answer_props) != 0) {
        conn_end(b, conn, MQTT_REASON_SERVER_BUSY, "out of memory", CONN_SILENT);
        return false;
    }
    packet.connack.props.wire = buf_bytes(&b->answer_props);
    return conn_send_words(b, conn, &packet, &packet.connack.props, words);
}

/* Makes the connection that of its session. */
static void attach(struct broker *b, struct conn *conn, struct session *s)
{
    s->conn = conn;
    s->expires_at_ms = TIMER_NEVER;
    conn->session = s;
    conn->state = CONN_CONNECTED;
    STAT_ADD(b, sessions_online, 1);
    STAT_ADD(b, connects_accepted_total, 1);
    share_set_online(b, s, true);
    conn->last_input_ms = conn->taken_ms = b->now_ms;
    if (conn->keep_alive_s != 0)
        timer_set(&b->timers, &conn->timer, b->now_ms + (uint64_t)conn->keep_alive_s * 1500);
    else
        timer_clear(&b->timers, &conn->timer);
}

/* Durable before sent: the CONNACK promises a session that is there after a restart. Sets what is
 * stored of it; `expiry_before` is put back when the client is not let in after all. */
static int store_session(struct broker *b, struct session *s, const struct connecting *c,
                         const struct broker_grant *grant, uint32_t *expiry_before)
{
    *expiry_before = s->expiry_s;
    if (b->storing != NULL && c->expiry_s != 0)
        s->subscriber.is_durable = true;
    s->role = grant->role;
    s->is_anonymous = is_anonymous(c, grant);
    s->expiry_s = c->expiry_s;
    return storing_put_session(b, s, true);
}

static void let_in(struct broker *b, struct conn *conn, struct connecting *c,
                   const struct broker_grant *grant)
{
    uint64_t touches = storing_touches(b);
    if (storing_reserve(b, 4) != 0) {
        refuse(b, conn, MQTT_REASON_SERVER_BUSY, NULL);
        return;
    }
    storing_wait_for_all(b, conn); /* what an earlier connection of this client has caused */
    struct session *s = take_over(b, c, grant);
    bool session_present = s != NULL;
    uint32_t expiry_before = 0;
    int error = 0;
    if (s == NULL)
        error = session_new(b, c->client_id, grant->user_name, &s);
    struct broker_message *will = NULL;
    uint32_t will_delay_s = 0;
    if (error == 0)
        error = will_of_connect(b, &c->connect, s->number, &will, &will_delay_s);
    if (error == 0) {
        s->will = will;
        s->will_delay_s = will_delay_s;
        error = store_session(b, s, c, grant, &expiry_before);
    }
    if (error != 0) {
        if (s != NULL) {
            s->expiry_s = expiry_before;
            session_detach(b, s, false);
        }
        refuse(b, conn,
               error == SEALMQ_E_LIMIT ? MQTT_REASON_QUOTA_EXCEEDED : MQTT_REASON_SERVER_BUSY,
               error == SEALMQ_E_LIMIT ? "the server has no room for another session" : NULL);
        return;
    }
    storing_depend(b, conn, touches);
    if (!storing_hold(b, conn) ||
        !send_connack(b, conn, c, session_present, grant->reason_string)) {
        s->expiry_s = expiry_before;
        session_detach(b, s, false);
        return;
    }
    attach(b, conn, s);
    inflight_restart(&s->inflight);
    conn->is_announced = true;
    if (b->host.connected != NULL) {
        struct broker_subject subject = session_subject(s);
        b->host.connected(b->host.context, conn->name, &subject, conn->peer);
    }
    if (conn->state == CONN_CONNECTED)
        deliver_waiting(b, s);
}

struct bytes broker_conn_applying_id(struct broker *b, struct broker_conn conn_name)
{
    struct conn *conn = conn_get(b, conn_name);
    struct connecting c = {0};
    if (conn != NULL && (conn->state == CONN_AUTHENTICATING || conn->state == CONN_CHALLENGED))
        reread(conn, &c);
    return c.client_id;
}

void broker_authenticated(struct broker *b, struct broker_conn conn_name,
                          const struct broker_grant *grant, uint64_t now_ms)
{
    struct conn *conn = conn_get(b, conn_name);
    if (conn == NULL)
        return;
    if (conn->state == CONN_CONNECTED) {
        broker_enter(b, now_ms);
        auth_done_again(b, conn, grant);
        broker_leave(b);
        return;
    }
    if (conn->state != CONN_AUTHENTICATING && conn->state != CONN_CHALLENGED)
        return;
    broker_enter(b, now_ms);
    if (grant->reason != MQTT_REASON_SUCCESS) {
        refuse_to(b, conn, grant->reason, grant->reason_string, grant->server_reference);
    } else {
        struct connecting c = {0};
        reread(conn, &c);
        read_wishes(b, conn, &c);
        c.auth_data = grant->auth_data;
        /* Nobody vouches for an applicant: it must not leave anything behind, or strangers could
         * fill the room that all sessions share. */
        if (grant->role == BROKER_ROLE_APPLICANT)
            c.expiry_s = 0;
        c.packet_bytes = packet_bytes_max(b, grant->role);
        if (!pace_connect(b, c.client_id))
            refuse(b, conn, MQTT_REASON_CONNECTION_RATE_EXCEEDED,
                   "this client id connects too often");
        else if (is_held_against(b, c.client_id, grant))
            refuse(b, conn, MQTT_REASON_CLIENT_IDENTIFIER_NOT_VALID,
                   "another client is connected with this id");
        else
            let_in(b, conn, &c, grant);
    }
    connect_forget_packet(conn);
    conn_unblock(b, conn);
    broker_leave(b);
}
