/* Bytes from a client: cut into packets, decoded in place, and handed to the file of their kind. */
#include "broker/broker_int.h"

bool conn_is_open_for_input(const struct broker *b, const struct conn *conn)
{
    if (conn->state != CONN_NEW && conn->state != CONN_CHALLENGED && conn->state != CONN_CONNECTED)
        return false;
    /* A service that has not answered holds its client back. A 5.0 client knows the receive maximum
     * and is ended when it exceeds it, so only its QoS 0 messages get here. */
    uint32_t most = b->limits.receive_maximum;
    if (conn->version == MQTT_V5)
        most *= 2;
    if (conn->paused_until_ms > b->now_ms)
        return false;
    /* While the server is full, answers go only to those who take them. */
    if (conn->output.bytes != 0 && !waiting_has_room_to_send(b, 1, 0))
        return false;
    return tickets_count(conn->tickets) < most && !storing_is_full(b) &&
           conn->output.bytes < b->limits.output_bytes + OUTPUT_ALLOWANCE;
}

static void end_as_malformed(struct broker *b, struct conn *conn, uint8_t reason)
{
    STAT_ADD(b, packets_malformed_total, 1);
    conn_end(b, conn, reason, NULL, CONN_TELL);
}

static void disconnect_input(struct broker *b, struct conn *conn, const struct mqtt_end *end)
{
    struct session *s = conn->session;
    struct mqtt_prop prop;
    ASSERT(s != NULL); /* a connected client has one */
    if (mqtt_props_find(end->props, MQTT_PROP_SESSION_EXPIRY, &prop)) {
        /* Section 3.14.2.2.2: what was 0 in CONNECT cannot become more. */
        if (s->expiry_s == 0 && prop.number != 0) {
            conn_end(b, conn, MQTT_REASON_PROTOCOL_ERROR,
                     "session expiry in DISCONNECT, but not in CONNECT", CONN_TELL);
            return;
        }
        s->expiry_s = prop.number < b->limits.session_expiry_max_s ? prop.number
                                                                   : b->limits.session_expiry_max_s;
    }
    conn->has_left = true;
    conn_end(b, conn, end->reason, "disconnected by the client", CONN_SILENT);
    if (end->reason == MQTT_REASON_SUCCESS)
        conn->will_is_wanted = false;
}

/* A packet of a connected client. */
static void handle(struct broker *b, struct conn *conn, const struct mqtt_packet *packet)
{
    switch (packet->type) {
    case MQTT_PUBLISH:
        publish_input(b, conn, &packet->publish);
        break;
    case MQTT_PUBACK:
    case MQTT_PUBREC:
    case MQTT_PUBREL:
    case MQTT_PUBCOMP:
        ack_input(b, conn, packet->type, &packet->ack);
        break;
    case MQTT_SUBSCRIBE:
        subscribe_input(b, conn, &packet->subscribe);
        break;
    case MQTT_UNSUBSCRIBE:
        unsubscribe_input(b, conn, &packet->unsubscribe);
        break;
    case MQTT_PINGREQ:
        (void)conn_send(b, conn, &(struct mqtt_packet){.type = MQTT_PINGRESP});
        break;
    case MQTT_DISCONNECT:
        disconnect_input(b, conn, &packet->end);
        break;
    case MQTT_AUTH:
        auth_input(b, conn, &packet->end);
        break;
    default:
        conn_end(b, conn, MQTT_REASON_PROTOCOL_ERROR, "not a packet that clients send", CONN_TELL);
        break;
    }
}

/* A packet of a client that was challenged: AUTH or DISCONNECT, nothing else [MQTT-3.1.2-30]. */
static void handle_challenged(struct broker *b, struct conn *conn, const struct mqtt_packet *packet)
{
    if (packet->type == MQTT_AUTH)
        auth_input(b, conn, &packet->end);
    else if (packet->type == MQTT_DISCONNECT)
        conn_end(b, conn, packet->end.reason, "disconnected by the client", CONN_SILENT);
    else
        connect_refuse(b, conn, MQTT_REASON_PROTOCOL_ERROR, "neither AUTH nor DISCONNECT");
}

static void packet_input(struct broker *b, struct conn *conn, struct bytes bytes)
{
    STAT_ADD_AT(b, packets_in, bytes.p[0] >> 4, 1);
    if (conn->state == CONN_NEW) {
        connect_input(b, conn, bytes);
        return;
    }
    if (bytes.p[0] >> 4 == MQTT_CONNECT && conn->state == CONN_CONNECTED) {
        conn_end(b, conn, MQTT_REASON_PROTOCOL_ERROR, "second CONNECT", CONN_TELL);
        return;
    }
    struct mqtt_packet packet;
    uint8_t reason = MQTT_REASON_MALFORMED_PACKET;
    if (mqtt_decode(bytes, conn->version, true, &packet, &reason) != 0) {
        end_as_malformed(b, conn, reason);
        return;
    }
    if (conn->state == CONN_CHALLENGED) {
        handle_challenged(b, conn, &packet);
        return;
    }
    conn->last_input_ms = b->now_ms;
    handle(b, conn, &packet);
    pace_input(b, conn, bytes.n, packet.type == MQTT_PUBLISH);
}

/* What a stranger may make us hold for him is little, as it is before he has shown a token. */
uint32_t packet_bytes_max(const struct broker *b, enum broker_role role)
{
    uint32_t most = b->limits.packet_bytes;
    return role == BROKER_ROLE_APPLICANT && most > APPLICANT_BYTES_MAX ? APPLICANT_BYTES_MAX : most;
}

/* Handles the first packet of `in` if it is whole; its size, or 0 when there is nothing to do. */
static size_t first_packet(struct broker *b, struct conn *conn, struct bytes in)
{
    size_t most = b->limits.packet_bytes;
    if (conn->state == CONN_NEW) {
        /* Whoever does not begin with CONNECT speaks something else. */
        if (in.p[0] != MQTT_CONNECT << 4) {
            end_as_malformed(b, conn, MQTT_REASON_PROTOCOL_ERROR);
            return 0;
        }
    } else if (conn->session != NULL) {
        most = packet_bytes_max(b, conn->session->role);
    }
    if (conn->session == NULL && most > CONNECT_BYTES_MAX)
        most = CONNECT_BYTES_MAX;
    size_t size = 0;
    int error = mqtt_frame(in, &size);
    if (error != 0 && error != SEALMQ_E_AGAIN) {
        end_as_malformed(b, conn, MQTT_REASON_MALFORMED_PACKET);
        return 0;
    }
    if (size > most) {
        end_as_malformed(b, conn, MQTT_REASON_PACKET_TOO_LARGE);
        return 0;
    }
    if (error == SEALMQ_E_AGAIN)
        return 0;
    packet_input(b, conn, bytes_of(in.p, size));
    return size;
}

int broker_input(struct broker *b, struct broker_conn conn_name, struct bytes in, uint64_t now_ms,
                 size_t *consumed)
{
    *consumed = in.n;
    struct conn *conn = conn_get(b, conn_name);
    if (conn == NULL)
        return SEALMQ_E_CLOSED;
    broker_enter(b, now_ms);
    size_t at = 0;
    while (at < in.n && conn_is_open_for_input(b, conn)) {
        size_t size = first_packet(b, conn, bytes_of(in.p + at, in.n - at));
        if (size == 0)
            break;
        at += size;
    }
    conn->is_input_blocked = !conn_is_open_for_input(b, conn);
    bool is_ending = conn->state == CONN_ENDING;
    STAT_ADD(b, bytes_in_total, at);
    broker_leave(b);
    if (is_ending)
        return SEALMQ_E_CLOSED;
    *consumed = at;
    return 0;
}
