/* The life of a network connection, as far as the shard sees it:
 *
 *     broker_open -> NEW --CONNECT--> AUTHENTICATING --granted--> CONNECTED
 *                     |                     |                         |
 *                     `-----------> ENDING <+-------------------------'    -> broker_closed
 *
 * Enhanced authentication goes to and fro between AUTHENTICATING and CHALLENGED (auth.c).
 *
 * ENDING: nothing is read any more; what is in the output is still written. The host closes the
 * socket then, or it was the host that said the peer has gone. */
#include "broker/broker_int.h"

#include <stdlib.h>

struct conn *conn_get(const struct broker *b, struct broker_conn name)
{
    if (name.index >= b->slot_count || name.generation == 0)
        return NULL;
    const struct conn_slot *slot = &b->slots[name.index];
    return slot->generation == name.generation ? slot->conn : NULL;
}

/* A free slot is at the head of the free list afterwards. */
static int reserve_slot(struct broker *b)
{
    if (b->free_slot != 0)
        return 0;
    if (b->slot_count == b->slot_capacity) {
        uint32_t capacity = b->slot_capacity == 0 ? 64 : b->slot_capacity * 2;
        struct conn_slot *slots = realloc(b->slots, capacity * sizeof *slots);
        if (slots == NULL)
            return SEALMQ_E_NOMEM;
        b->slots = slots;
        b->slot_capacity = capacity;
    }
    b->slots[b->slot_count++] = (struct conn_slot){0};
    b->free_slot = b->slot_count;
    return 0;
}

int broker_open(struct broker *b, void *host_data, const char *peer, uint64_t now_ms,
                struct broker_conn *out)
{
    *out = (struct broker_conn){0};
    const struct budget *in_all = &b->budgets.connections;
    bool is_over_limit = !budget_has_room(in_all, 1, in_all->most);
    if (is_over_limit && !budget_has_room(in_all, 1, in_all->most + CONNECTIONS_REFUSED))
        return SEALMQ_E_LIMIT;
    int error = reserve_slot(b);
    if (error != 0)
        return error;
    struct conn *conn = calloc(1, sizeof *conn);
    if (conn == NULL)
        return SEALMQ_E_NOMEM;
    error = timers_reserve(&b->timers);
    if (error != 0) {
        free(conn);
        return error;
    }
    broker_enter(b, now_ms);
    uint32_t index = b->free_slot - 1;
    struct conn_slot *slot = &b->slots[index];
    b->free_slot = slot->next_free;
    slot->conn = conn;
    slot->generation = slot->generation == UINT32_MAX ? 1 : slot->generation + 1;
    conn->name = (struct broker_conn){index, slot->generation};
    conn->host_data = host_data;
    conn->is_over_limit = is_over_limit;
    conn->version = MQTT_V311;
    conn->packet_bytes = MQTT_REMAINING_LENGTH_MAX + MQTT_FIXED_HEADER_MAX;
    conn->timer.kind = TIMER_CONNECTION;
    timer_set(&b->timers, &conn->timer, b->now_ms + b->limits.connect_timeout_ms);
    conn->peer = peer;
    STAT_ADD(b, connections, 1);
    STAT_ADD(b, connections_total, 1);
    *out = conn->name;
    broker_leave(b);
    return 0;
}

void broker_refuse_connect(struct broker *b, struct broker_conn conn_name)
{
    struct conn *conn = conn_get(b, conn_name);
    if (conn != NULL)
        conn->is_over_address_limit = true;
}

void *broker_conn_data(struct broker *b, struct broker_conn conn_name)
{
    struct conn *conn = conn_get(b, conn_name);
    return conn == NULL ? NULL : conn->host_data;
}

int broker_find(struct broker *b, struct bytes client_id, struct broker_conn *out)
{
    *out = (struct broker_conn){0};
    struct session *s = session_find(b, client_id);
    if (s == NULL || s->conn == NULL || s->conn->state != CONN_CONNECTED)
        return SEALMQ_E_NOTFOUND;
    *out = s->conn->name;
    return 0;
}

void conn_mark_dirty(struct broker *b, struct conn *conn)
{
    if (conn->is_dirty)
        return;
    conn->is_dirty = true;
    conn->dirty_next = NULL;
    conn->dirty_previous = b->dirty_last;
    if (b->dirty_last != NULL)
        b->dirty_last->dirty_next = conn;
    else
        b->dirty_first = conn;
    b->dirty_last = conn;
}

static void unmark_dirty(struct broker *b, struct conn *conn)
{
    if (!conn->is_dirty)
        return;
    conn->is_dirty = false;
    if (conn->dirty_previous != NULL)
        conn->dirty_previous->dirty_next = conn->dirty_next;
    else
        b->dirty_first = conn->dirty_next;
    if (conn->dirty_next != NULL)
        conn->dirty_next->dirty_previous = conn->dirty_previous;
    else
        b->dirty_last = conn->dirty_previous;
    conn->dirty_next = conn->dirty_previous = NULL;
}

bool broker_next_dirty(struct broker *b, struct broker_conn *out)
{
    struct conn *conn = b->dirty_first;
    if (conn == NULL)
        return false;
    unmark_dirty(b, conn);
    *out = conn->name;
    return true;
}

bool conn_output_is_full(const struct broker *b, const struct conn *conn)
{
    return conn->output.bytes >= b->limits.output_bytes;
}

/* Appends bytes that are encoded already. */
static bool append_output(struct broker *b, struct conn *conn, struct bytes packet)
{
    uint8_t *room = output_room(&b->pool, &conn->output, packet.n);
    if (room == NULL)
        return false;
    memcpy(room, packet.p, packet.n);
    output_commit(&conn->output, packet.n);
    conn_mark_dirty(b, conn);
    return true;
}

bool conn_send(struct broker *b, struct conn *conn, const struct mqtt_packet *packet)
{
    buf_reset(&b->scratch);
    mqtt_encode(packet, conn->version, &b->scratch);
    if (buf_status(&b->scratch) == 0 && b->scratch.n <= conn->packet_bytes &&
        append_output(b, conn, buf_bytes(&b->scratch))) {
        STAT_ADD_AT(b, packets_out, packet->type, 1);
        return true;
    }
    bool is_too_large =
        buf_status(&b->scratch) != SEALMQ_E_NOMEM && b->scratch.n > conn->packet_bytes;
    if (is_too_large)
        conn_end(b, conn, MQTT_REASON_PACKET_TOO_LARGE, "answer larger than the client takes",
                 CONN_TELL);
    else
        conn_end(b, conn, MQTT_REASON_SERVER_BUSY, "out of memory", CONN_SILENT);
    return false;
}

bool conn_send_words(struct broker *b, struct conn *conn, struct mqtt_packet *packet,
                     struct mqtt_props *props, const char *words)
{
    bool is_wanted = packet->type == MQTT_CONNACK || !conn->no_problem_info;
    if (conn->version != MQTT_V5 || !is_wanted || words == NULL)
        return conn_send(b, conn, packet);
    if (props->wire.n == 0)
        buf_reset(&b->answer_props);
    size_t before = b->answer_props.n;
    mqtt_props_append_text(&b->answer_props, MQTT_PROP_REASON_STRING, bytes_str(words));
    props->wire = buf_bytes(&b->answer_props);
    buf_reset(&b->scratch);
    mqtt_encode(packet, conn->version, &b->scratch);
    if (buf_status(&b->answer_props) != 0 || buf_status(&b->scratch) != 0 ||
        b->scratch.n > conn->packet_bytes)
        props->wire.n = before;
    return conn_send(b, conn, packet);
}

/* Best effort: a connection that ends does so also without a DISCONNECT packet. What makes it too
 * large for the client is left out, first the words, then the reference. */
static void send_disconnect(struct broker *b, struct conn *conn, uint8_t reason, const char *words,
                            const char *reference)
{
    if (conn->no_problem_info)
        words = NULL;
    for (int extras = 2; extras >= 0; extras--) {
        struct mqtt_packet packet = {.type = MQTT_DISCONNECT, .end = {.reason = reason}};
        buf_reset(&b->answer_props);
        if (extras >= 1 && reference != NULL)
            mqtt_props_append_text(&b->answer_props, MQTT_PROP_SERVER_REFERENCE,
                                   bytes_str(reference));
        if (extras == 2 && words != NULL)
            mqtt_props_append_text(&b->answer_props, MQTT_PROP_REASON_STRING, bytes_str(words));
        packet.end.props.wire = buf_bytes(&b->answer_props);
        buf_reset(&b->scratch);
        mqtt_encode(&packet, conn->version, &b->scratch);
        if (buf_status(&b->answer_props) != 0 || buf_status(&b->scratch) != 0 ||
            b->scratch.n > conn->packet_bytes)
            continue;
        if (append_output(b, conn, buf_bytes(&b->scratch)))
            STAT_ADD_AT(b, packets_out, MQTT_DISCONNECT, 1);
        return;
    }
}

void conn_end(struct broker *b, struct conn *conn, uint8_t reason, const char *words,
              enum conn_tell tell)
{
    conn_end_to(b, conn, reason, words, NULL, tell);
}

void conn_end_to(struct broker *b, struct conn *conn, uint8_t reason, const char *words,
                 const char *reference, enum conn_tell tell)
{
    if (conn->state == CONN_ENDING)
        return;
    if (words == NULL)
        words = mqtt_reason_text(reason);
    if (tell == CONN_TELL && conn->state == CONN_CONNECTED && conn->version == MQTT_V5)
        send_disconnect(b, conn, reason, words, reference);
    conn->will_is_wanted = conn->state == CONN_CONNECTED;
    conn->state = CONN_ENDING;
    conn->end_reason = reason;
    conn->end_words = words;
    timer_clear(&b->timers, &conn->timer);
    conn_mark_dirty(b, conn);
    conn->is_listed_ending = true;
    conn->ending_next = NULL;
    if (b->ending_last != NULL)
        b->ending_last->ending_next = conn;
    else
        b->ending_first = conn;
    b->ending_last = conn;
}

static void unlist_ending(struct broker *b, struct conn *conn)
{
    if (!conn->is_listed_ending)
        return;
    conn->is_listed_ending = false;
    struct conn *previous = NULL;
    for (struct conn *c = b->ending_first; c != conn; c = c->ending_next)
        previous = c;
    if (previous != NULL)
        previous->ending_next = conn->ending_next;
    else
        b->ending_first = conn->ending_next;
    if (b->ending_last == conn)
        b->ending_last = previous;
}

/* QoS 2 messages that a service has not answered for were not taken: the client sends them again on
 * its next connection, and they must not pass for duplicates then. */
static void forget_deferred(struct broker *b, struct conn *conn)
{
    struct ticket ticket;
    while (tickets_take(conn->tickets, &ticket)) {
        if (ticket.qos == 2 && packet_ids_remove(&conn->session->received, ticket.packet_id))
            (void)!storing_received(b, conn->session, ticket.packet_id, true);
    }
}

static void free_aliases(const struct broker *b, struct conn *conn)
{
    if (conn->topic_aliases == NULL)
        return;
    for (size_t i = 0; i < b->limits.topic_aliases; i++)
        free((void *)(uintptr_t)conn->topic_aliases[i].p);
    free(conn->topic_aliases);
    conn->topic_aliases = NULL;
}

void conn_detach(struct broker *b, struct conn *conn)
{
    ASSERT(conn->state == CONN_ENDING);
    unlist_ending(b, conn);
    connect_forget_packet(conn);
    struct session *s = conn->session;
    if (s == NULL)
        return;
    forget_deferred(b, conn);
    conn->session = NULL;
    s->conn = NULL;
    STAT_SUB(b, sessions_online, 1);
    if (conn->is_announced && b->host.disconnected != NULL) {
        struct broker_subject subject = session_subject(s);
        b->host.disconnected(b->host.context, conn->name, &subject, conn->peer, conn->end_reason,
                             conn->end_words);
    }
    session_detach(b, s, conn->will_is_wanted);
}

void conn_detach_listed(struct broker *b)
{
    while (b->ending_first != NULL)
        conn_detach(b, b->ending_first);
}

static void conn_free(struct broker *b, struct conn *conn)
{
    unmark_dirty(b, conn);
    storing_forget(b, conn);
    timer_clear(&b->timers, &conn->timer);
    timers_release(&b->timers);
    output_close(&b->pool, &conn->output);
    tickets_free(conn->tickets);
    free_aliases(b, conn);
    aliases_free(conn->aliases);
    auth_free(conn);
    connect_forget_packet(conn);
    struct conn_slot *slot = &b->slots[conn->name.index];
    slot->conn = NULL;
    slot->next_free = b->free_slot;
    b->free_slot = conn->name.index + 1;
    STAT_SUB(b, connections, 1);
    budgets_settle(b);
    free(conn);
}

void broker_closed(struct broker *b, struct broker_conn conn_name, uint64_t now_ms)
{
    struct conn *conn = conn_get(b, conn_name);
    if (conn == NULL)
        return;
    ASSERT(b->depth == 0);
    broker_enter(b, now_ms);
    conn_end(b, conn, MQTT_REASON_UNSPECIFIED_ERROR, "connection lost", CONN_SILENT);
    broker_leave(b);
    conn_free(b, conn);
}

void broker_disconnect(struct broker *b, struct broker_conn conn_name, uint8_t reason,
                       const char *words, uint64_t now_ms)
{
    broker_disconnect_to(b, conn_name, reason, words, NULL, now_ms);
}

void broker_disconnect_to(struct broker *b, struct broker_conn conn_name, uint8_t reason,
                          const char *words, const char *reference, uint64_t now_ms)
{
    struct conn *conn = conn_get(b, conn_name);
    if (conn == NULL)
        return;
    broker_enter(b, now_ms);
    bool is_new = conn->state != CONN_ENDING;
    conn_end_to(b, conn, reason, words, reference, CONN_TELL);
    if (is_new && b->depth == 1)
        conn_detach(b, conn);
    broker_leave(b);
    /* `words` are the caller's, and there may be a turn to come before they are used. */
    if (words != NULL && conn->end_words == words)
        conn->end_words = "disconnected by the server";
}

void conn_timer(struct broker *b, struct conn *conn)
{
    if (conn->state != CONN_CONNECTED) {
        conn_end(b, conn, MQTT_REASON_MAXIMUM_CONNECT_TIME, "no CONNECT in time", CONN_SILENT);
        return;
    }
    conn_unblock(b, conn); /* it may have been paused until now */
    if (conn->keep_alive_s == 0) {
        if (conn->paused_until_ms > b->now_ms)
            timer_set(&b->timers, &conn->timer, conn->paused_until_ms);
        return;
    }
    /* Packets do not move the timer; it looks at the time of the last one when it fires. Input that
     * waits for us is no silence of the client. */
    uint64_t allowed_ms = (uint64_t)conn->keep_alive_s * 1500;
    bool holds_itself_up = conn->gates == NULL && /* else it is our disk */
                           (conn_output_is_full(b, conn) ||
                            (conn->output.bytes != 0 && !waiting_has_room_to_send(b, 1, 0)));
    if (conn->is_input_blocked && !holds_itself_up)
        conn->last_input_ms = b->now_ms;
    uint64_t due_ms = conn->last_input_ms + allowed_ms;
    if (due_ms > b->now_ms) {
        bool is_paused = conn->paused_until_ms > b->now_ms && conn->paused_until_ms < due_ms;
        timer_set(&b->timers, &conn->timer, is_paused ? conn->paused_until_ms : due_ms);
    } else {
        conn_end(b, conn, MQTT_REASON_KEEP_ALIVE_TIMEOUT, "keep alive timeout", CONN_TELL);
    }
}

bool broker_conn_wants_input(struct broker *b, struct broker_conn conn_name)
{
    struct conn *conn = conn_get(b, conn_name);
    return conn != NULL && conn_is_open_for_input(b, conn);
}

void conn_unblock(struct broker *b, struct conn *conn)
{
    if (conn->is_input_blocked && conn_is_open_for_input(b, conn)) {
        conn->is_input_blocked = false;
        conn_mark_dirty(b, conn);
    }
}

/* Leaves only what stands before the first gate. */
static size_t cut_at_gate(const struct conn *conn, struct broker_piece *pieces, size_t count)
{
    uint64_t visible = gates_visible(conn->gates);
    for (size_t i = 0; i < count; i++) {
        if (visible == 0)
            return i;
        if (pieces[i].n > visible)
            pieces[i].n = (size_t)visible;
        visible -= pieces[i].n;
    }
    return count;
}

size_t broker_output(struct broker *b, struct broker_conn conn_name, struct broker_piece *pieces,
                     size_t most, bool *closing)
{
    struct conn *conn = conn_get(b, conn_name);
    *closing = conn == NULL || conn->state == CONN_ENDING;
    if (conn == NULL)
        return 0;
    size_t count = output_pieces(&conn->output, pieces, most);
    return conn->gates == NULL ? count : cut_at_gate(conn, pieces, count);
}

bool broker_output_is_held(struct broker *b, struct broker_conn conn_name)
{
    struct conn *conn = conn_get(b, conn_name);
    return conn != NULL && conn->gates != NULL;
}

bool broker_conn_has_left(const struct broker *b, struct broker_conn conn_name)
{
    const struct conn *conn = conn_get(b, conn_name);
    return conn != NULL && conn->has_left;
}

void broker_output_written(struct broker *b, struct broker_conn conn_name, size_t n)
{
    struct conn *conn = conn_get(b, conn_name);
    if (conn == NULL)
        return;
    broker_enter(b, 0);
    STAT_ADD(b, bytes_out_total, n);
    if (conn->output.bytes > b->limits.output_bytes / 2)
        conn->taken_ms = b->now_ms;
    output_written(&b->pool, &conn->output, n);
    if (conn->gates != NULL)
        gates_written(conn->gates, n);
    if (conn->state == CONN_CONNECTED)
        deliver_waiting(b, conn->session);
    conn_unblock(b, conn);
    broker_leave(b);
}

void conn_free_all(struct broker *b)
{
    for (uint32_t i = 0; i < b->slot_count; i++) {
        struct conn *conn = b->slots[i].conn;
        if (conn == NULL)
            continue;
        unlist_ending(b, conn);
        if (conn->session != NULL)
            conn->session->conn = NULL;
        conn_free(b, conn);
    }
}
