/* Acknowledgements in both directions: those that we owe, which leave in the order of the PUBLISH
 * packets (tickets.h), and those that come, which move the state machines of inflight.h. */
#include "broker/broker_int.h"

/* PUBACK, PUBREC, PUBREL, PUBCOMP: two bytes of identifier, and in 5.0 a reason if it is not 0. */
static void send_ack(struct broker *b, struct conn *conn, enum mqtt_type type, uint16_t packet_id,
                     uint8_t reason)
{
    if (!storing_hold(b, conn))
        return;
    if (reason >= MQTT_REASON_UNSPECIFIED_ERROR && conn->version == MQTT_V5) {
        struct mqtt_packet packet = {.type = type,
                                     .ack = {.packet_id = packet_id, .reason = reason}};
        (void)conn_send_words(b, conn, &packet, &packet.ack.props, mqtt_reason_text(reason));
        return;
    }
    bool has_reason = conn->version == MQTT_V5 && reason != MQTT_REASON_SUCCESS;
    size_t size = has_reason ? 5 : 4;
    uint8_t *to = output_room(&b->pool, &conn->output, size);
    if (to == NULL) {
        conn_end(b, conn, MQTT_REASON_SERVER_BUSY, "out of memory", CONN_SILENT);
        return;
    }
    to[0] = (uint8_t)(type << 4 | (type == MQTT_PUBREL ? 2 : 0));
    to[1] = (uint8_t)(size - 2);
    to[2] = (uint8_t)(packet_id >> 8);
    to[3] = (uint8_t)packet_id;
    if (has_reason)
        to[4] = reason;
    output_commit(&conn->output, size);
    STAT_ADD_AT(b, packets_out, type, 1);
    conn_mark_dirty(b, conn);
}

static void count_acked(struct conn *conn)
{
    /* PUBREL may be for a message of an earlier connection, which was not counted on this one. */
    if (conn->unacked > 0)
        conn->unacked--;
}

/* The answer to a PUBLISH, now. */
static void answer(struct broker *b, struct conn *conn, uint8_t qos, uint16_t packet_id,
                   uint8_t reason)
{
    if (qos == 1) {
        count_acked(conn);
        send_ack(b, conn, MQTT_PUBACK, packet_id, reason);
    } else if (qos == 2) {
        if (reason >= 0x80 && conn->version == MQTT_V5) {
            count_acked(conn);
            if (packet_ids_remove(&conn->session->received, packet_id))
                (void)!storing_received(b, conn->session, packet_id, true);
        }
        send_ack(b, conn, MQTT_PUBREC, packet_id, reason);
    }
}

void acknowledge(struct broker *b, struct conn *conn, uint8_t qos, uint16_t packet_id,
                 uint8_t reason)
{
    if (tickets_count(conn->tickets) == 0) {
        answer(b, conn, qos, packet_id, reason);
        return;
    }
    uint64_t number;
    if (qos == 0)
        return;
    if (tickets_open(&conn->tickets, qos, packet_id, &number) != 0) {
        conn_end(b, conn, MQTT_REASON_SERVER_BUSY, "out of memory", CONN_TELL);
        return;
    }
    (void)tickets_complete(conn->tickets, number, reason);
}

void acknowledge_done(struct broker *b, struct conn *conn)
{
    struct ticket ticket;
    while (conn->state == CONN_CONNECTED && tickets_take_done(conn->tickets, &ticket))
        answer(b, conn, ticket.qos, ticket.packet_id, ticket.reason);
    conn_unblock(b, conn);
}

void broker_acknowledge(struct broker *b, struct broker_conn conn_name, uint64_t ticket,
                        uint8_t reason)
{
    struct conn *conn = conn_get(b, conn_name);
    if (conn == NULL || conn->state != CONN_CONNECTED)
        return;
    broker_enter(b, 0);
    if (tickets_complete(conn->tickets, ticket, reason))
        acknowledge_done(b, conn);
    broker_leave(b);
}

static void pubrel_input(struct broker *b, struct conn *conn, uint16_t packet_id)
{
    struct session *s = conn->session;
    bool is_known = packet_ids_remove(&s->received, packet_id);
    is_known |= session_take_partial(s, packet_id, NULL);
    if (is_known && storing_received(b, s, packet_id, true) != 0) {
        conn_end(b, conn, MQTT_REASON_SERVER_BUSY, "out of memory", CONN_TELL);
        return;
    }
    if (is_known)
        count_acked(conn);
    send_ack(b, conn, MQTT_PUBCOMP, packet_id,
             is_known ? MQTT_REASON_SUCCESS : MQTT_REASON_PACKET_IDENTIFIER_NOT_FOUND);
    conn_unblock(b, conn);
}

static int pubrec_input(struct broker *b, struct conn *conn, const struct mqtt_ack *ack)
{
    bool is_error = ack->reason >= 0x80;
    struct session *s = conn->session;
    struct inflight_slot *slot = inflight_find(&s->inflight, ack->packet_id);
    bool is_first = slot != NULL && slot->state == AWAIT_PUBREC;
    int error = inflight_pubrec(&s->inflight, ack->packet_id, is_error, delivery_release,
                                &b->budgets.waiting_bytes);
    if (error == 0 && !is_error && is_first)
        storing_set_state(b, s, &slot->delivery, ack->packet_id, AWAIT_PUBCOMP);
    if (error == 0 && !is_error)
        send_ack(b, conn, MQTT_PUBREL, ack->packet_id, MQTT_REASON_SUCCESS);
    else if (error == SEALMQ_E_NOTFOUND)
        send_ack(b, conn, MQTT_PUBREL, ack->packet_id, MQTT_REASON_PACKET_IDENTIFIER_NOT_FOUND);
    return error;
}

void ack_input(struct broker *b, struct conn *conn, enum mqtt_type type, const struct mqtt_ack *ack)
{
    struct session *s = conn->session;
    uint32_t before = s->inflight.count;
    struct delivery acked = {0}; /* what is stored of it is done with when it is completed */
    if (s->subscriber.is_durable && type != MQTT_PUBREL) {
        const struct inflight_slot *slot = inflight_find(&s->inflight, ack->packet_id);
        if (slot != NULL)
            acked = slot->delivery;
        if (storing_reserve(b, 2) != 0) {
            conn_end(b, conn, MQTT_REASON_SERVER_BUSY, "out of memory", CONN_TELL);
            return;
        }
    }
    int error = 0;
    switch (type) {
    case MQTT_PUBREL:
        pubrel_input(b, conn, ack->packet_id);
        return;
    case MQTT_PUBACK:
        error = inflight_puback(&s->inflight, ack->packet_id, delivery_release,
                                &b->budgets.waiting_bytes);
        break;
    case MQTT_PUBREC:
        error = pubrec_input(b, conn, ack);
        break;
    default:
        error = inflight_pubcomp(&s->inflight, ack->packet_id, delivery_release,
                                 &b->budgets.waiting_bytes);
        break;
    }
    conn->taken_ms = b->now_ms;
    STAT_SUB(b, inflight, before - s->inflight.count);
    if (before != s->inflight.count)
        storing_done(b, s, &acked);
    /* An unknown identifier may be an echo of an earlier connection; a known one in another state
     * is a client that has lost its way. */
    if (error == SEALMQ_E_PROTOCOL) {
        conn_end(b, conn, MQTT_REASON_PROTOCOL_ERROR, "acknowledgement of another kind", CONN_TELL);
        return;
    }
    deliver_waiting(b, s);
}
