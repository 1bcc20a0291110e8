/* A message on its last step: from a publication to the output of one client, to its inflight
 * window, or to its queue.
 *
 * The PUBLISH packet is written into the output straight from the message's parts:
 *
 *     | fixed header | topic | packet id | properties: length, receiver's, message's | payload |
 *                                                                  copied, or by reference ^
 *
 * A topic alias may stand for the topic (broker/alias.h).
 *
 * What is slower than its messages come loses QoS 0 messages when its output is full; QoS 1 and 2
 * wait in the session's queue, and the newest is dropped and counted when the queue is full. */
#include "broker/broker_int.h"

struct publish_head {
    uint8_t qos;
    bool dup, retain;
    uint16_t packet_id;
};

/* The properties that are this receiver's own: expiry and subscription identifiers. */
static size_t own_props_size(const struct publication *p, const struct subscription_ids *ids)
{
    size_t size = p->view.expires_ms == TIMER_NEVER ? 0 : 5;
    for (uint32_t i = 0; ids != NULL && i < ids->count; i++)
        size += 1 + mqtt_varint_size(ids->id[i]);
    return size;
}

static uint8_t *put_varint(uint8_t *to, uint32_t v)
{
    while (v >= 128) {
        *to++ = (uint8_t)(v | 128);
        v >>= 7;
    }
    *to++ = (uint8_t)v;
    return to;
}

static uint8_t *put_u16(uint8_t *to, uint16_t v)
{
    *to++ = (uint8_t)(v >> 8);
    *to++ = (uint8_t)v;
    return to;
}

static uint8_t *put_bytes(uint8_t *to, struct bytes b)
{
    if (b.n != 0)
        memcpy(to, b.p, b.n);
    return to + b.n;
}

static uint8_t *put_own_props(uint8_t *to, const struct publication *p,
                              const struct subscription_ids *ids, uint64_t now_ms)
{
    if (p->view.expires_ms != TIMER_NEVER) {
        uint64_t left_ms = p->view.expires_ms > now_ms ? p->view.expires_ms - now_ms : 0;
        uint32_t left_s = (uint32_t)((left_ms + 999) / 1000);
        *to++ = MQTT_PROP_MESSAGE_EXPIRY;
        to = put_u16(to, (uint16_t)(left_s >> 16));
        to = put_u16(to, (uint16_t)left_s);
    }
    for (uint32_t i = 0; ids != NULL && i < ids->count; i++) {
        *to++ = MQTT_PROP_SUBSCRIPTION_ID;
        to = put_varint(to, ids->id[i]);
    }
    return to;
}

/* What a PUBLISH packet holds and how long it gets, before it is written. */
struct publish_layout {
    struct bytes topic; /* empty when the alias stands for it */
    struct alias alias;
    size_t props_n;
    size_t size;  /* behind the fixed header */
    size_t whole; /* SIZE_MAX: longer than a packet can be */
};

static void lay_out(const struct conn *conn, const struct publication *p,
                    const struct publish_head *head, const struct subscription_ids *ids,
                    struct publish_layout *out)
{
    out->topic = out->alias.is_known ? bytes_of(NULL, 0) : p->view.topic;
    out->props_n = 0;
    out->size = 2 + out->topic.n + (head->qos != 0 ? 2 : 0) + p->view.payload.n;
    out->whole = SIZE_MAX;
    if (conn->version == MQTT_V5) {
        out->props_n = own_props_size(p, ids) + p->view.props.n;
        if (out->alias.number != 0)
            out->props_n += 3;
        if (out->props_n > MQTT_REMAINING_LENGTH_MAX)
            return;
        out->size += mqtt_varint_size((uint32_t)out->props_n) + out->props_n;
    }
    if (out->size <= MQTT_REMAINING_LENGTH_MAX)
        out->whole = 1 + mqtt_varint_size((uint32_t)out->size) + out->size;
}

static struct alias choose_alias(const struct broker *b, struct conn *conn, struct publication *p)
{
    return aliases_choose(&conn->aliases, conn->aliases_most, publication_topic_hash(b, p),
                          p->view.topic);
}

/* Writes one PUBLISH packet. SEALMQ_E_LIMIT: larger than the client takes; SEALMQ_E_NOMEM. Nothing
 * is written then. */
static int send_publish(struct broker *b, struct conn *conn, struct publication *p,
                        const struct publish_head *head, const struct subscription_ids *ids)
{
    struct publish_layout l = {0};
    if (conn->aliases_most != 0)
        l.alias = choose_alias(b, conn, p);
    lay_out(conn, p, head, ids, &l);
    if (l.whole > conn->packet_bytes && l.alias.number != 0 && !l.alias.is_known) {
        l.alias.number = 0; /* it is the new alias that makes it too long */
        lay_out(conn, p, head, ids, &l);
    }
    if (l.whole > conn->packet_bytes)
        return SEALMQ_E_LIMIT;

    bool by_reference = p->view.payload.n >= PAYLOAD_BY_REFERENCE;
    if (by_reference && publication_own(p) != 0)
        return SEALMQ_E_NOMEM;
    size_t room = by_reference ? l.whole - p->view.payload.n : l.whole;
    uint8_t *to = by_reference ? output_room_before(&b->pool, &conn->output, room, p->owned)
                               : output_room(&b->pool, &conn->output, room);
    if (to == NULL)
        return SEALMQ_E_NOMEM;
    *to++ = (uint8_t)(MQTT_PUBLISH << 4 | head->dup << 3 | head->qos << 1 | head->retain);
    to = put_varint(to, (uint32_t)l.size);
    to = put_u16(to, (uint16_t)l.topic.n);
    to = put_bytes(to, l.topic);
    if (head->qos != 0)
        to = put_u16(to, head->packet_id);
    if (conn->version == MQTT_V5) {
        to = put_varint(to, (uint32_t)l.props_n);
        if (l.alias.number != 0) {
            *to++ = MQTT_PROP_TOPIC_ALIAS;
            to = put_u16(to, l.alias.number);
        }
        to = put_own_props(to, p, ids, b->now_ms);
        to = put_bytes(to, p->view.props);
    }
    if (by_reference) {
        output_commit_before(&conn->output, room);
    } else {
        (void)put_bytes(to, p->view.payload);
        output_commit(&conn->output, room);
    }
    if (l.alias.number != 0)
        aliases_sent(conn->aliases, l.alias.number);
    STAT_ADD_AT(b, packets_out, MQTT_PUBLISH, 1);
    STAT_ADD_AT(b, messages_out_qos0_total, head->qos, 1);
    STAT_ADD(b, payload_bytes_out_total, p->view.payload.n);
    conn_mark_dirty(b, conn);
    return 0;
}

void deliver_count_dropped(struct broker *b, int error)
{
    if (error == SEALMQ_E_FULL)
        STAT_ADD(b, dropped_queue_full_total, 1);
    else if (error == SEALMQ_E_LIMIT)
        STAT_ADD(b, dropped_too_large_total, 1);
    else if (error == SEALMQ_E_BUSY)
        STAT_ADD(b, dropped_in_all_total, 1);
    else
        STAT_ADD(b, dropped_memory_total, 1);
}

static bool is_expired(const struct broker *b, const struct message_view *view)
{
    return view->expires_ms < b->now_ms;
}

/* Durable before sent: at QoS 2 the client remembers the packet identifier, so it must be that of
 * this message after a restart too. SEALMQ_E_NOMEM: the connection is ending. */
static int store_sent(struct broker *b, struct session *s, uint16_t packet_id)
{
    struct inflight_slot *slot = inflight_find(&s->inflight, packet_id);
    if (slot->delivery.sequence == 0)
        storing_add(b, s, &slot->delivery);
    storing_set_state(b, s, &slot->delivery, packet_id, slot->state);
    return slot->delivery.qos != 2 || storing_hold(b, s->conn) ? 0 : SEALMQ_E_NOMEM;
}

/* Sends at QoS 1 or 2 through the inflight window, which has room. A durable message that cannot be
 * sent is no longer stored. */
static int send_inflight(struct broker *b, struct session *s, struct publication *p,
                         const struct delivery_terms *terms)
{
    int error = publication_own(p);
    if (error != 0)
        return error;
    struct delivery delivery = {
        .message = p->owned,
        .ids = terms->ids,
        .group = terms->group,
        .sequence = terms->sequence,
        .state_op = terms->state_op,
        .qos = terms->qos,
        .retain = terms->retain,
    };
    uint16_t packet_id;
    bool is_durable = s->subscriber.is_durable;
    error = is_durable ? storing_reserve(b, 2) : 0;
    if (error == 0)
        error = inflight_add(&s->inflight, &delivery, &packet_id);
    if (error != 0)
        return error;
    if (is_durable)
        error = store_sent(b, s, packet_id);
    struct publish_head head = {.qos = terms->qos, .retain = terms->retain, .packet_id = packet_id};
    if (error == 0)
        error = send_publish(b, s->conn, p, &head, terms->ids);
    if (error != 0) {
        if (is_durable)
            storing_done(b, s, &inflight_find(&s->inflight, packet_id)->delivery);
        inflight_take_back(&s->inflight, packet_id);
        return error;
    }
    message_wait(&b->budgets.waiting_bytes, p->owned);
    subscription_ids_hold(terms->ids);
    group_name_hold(terms->group);
    STAT_ADD(b, inflight, 1);
    return 0;
}

struct queue_load deliver_queue_load(const struct session *s, bool is_stored)
{
    struct queue_load load = is_stored ? s->queue.stored : s->queue.live;
    if (s->spill != NULL) {
        const struct queue_load *more = is_stored ? &s->spill->stored : &s->spill->live;
        load.count += more->count;
        load.bytes += more->bytes;
    }
    return load;
}

bool deliver_queue_has_room(const struct broker *b, const struct session *s, size_t bytes,
                            bool is_stored)
{
    uint64_t most = b->limits.queued_messages + (is_stored ? b->retained.count : 0);
    uint64_t most_bytes = b->limits.queued_bytes + (is_stored ? b->retained.bytes : 0);
    struct queue_load load = deliver_queue_load(s, is_stored);
    return load.count < most && load.bytes + bytes <= most_bytes;
}

/* Leaves a message on disk; with room for the operation. */
static int spill(struct broker *b, struct session *s, struct delivery *delivery)
{
    int error = spill_begin(s, storing_position(b));
    if (error != 0)
        return error;
    storing_add(b, s, delivery);
    spill_count(b, s, delivery->is_stored, 1, message_size(&delivery->message->view));
    return 0;
}

void delivery_release(void *waiting_bytes, struct delivery *delivery)
{
    if (delivery->message != NULL)
        message_wait_no_more(waiting_bytes, delivery->message);
    subscription_ids_release(delivery->ids);
    group_name_release(delivery->group);
    *delivery = (struct delivery){0};
}

struct delivery deliver_take_first(struct broker *b, struct session *s)
{
    struct delivery first = queue_pop(&s->queue);
    STAT_SUB(b, queued, 1);
    STAT_SUB(b, queued_bytes, message_size(&first.message->view));
    return first;
}

/* Whether the limits in all allow for one more that waits. */
static bool server_has_room(struct broker *b, size_t bytes)
{
    struct budget *messages = &b->budgets.queued_messages;
    budget_set(messages, STAT_GET(b, queued));
    return budget_has_room(messages, 1, messages->most) &&
           waiting_has_room_to_queue(b, bytes + sizeof(struct delivery));
}

/* Makes room in the session's queue, as far as the policy has a way: 0, SEALMQ_E_FULL when the
 * session's own limits are reached, SEALMQ_E_BUSY when it is those in all. */
static int make_room(struct broker *b, struct session *s, size_t bytes, bool is_stored)
{
    for (;;) {
        bool has_room = deliver_queue_has_room(b, s, bytes, is_stored);
        if (has_room && server_has_room(b, bytes))
            return 0;
        /* Only an older one of the same kind counts against the same limits. */
        bool drops_old = b->limits.overflow == BROKER_DROP_OLD && bytes <= b->limits.queued_bytes &&
                         s->queue.count != 0 && queue_first(&s->queue)->is_stored == is_stored;
        if (!drops_old)
            return has_room ? SEALMQ_E_BUSY : SEALMQ_E_FULL;
        struct delivery oldest = deliver_take_first(b, s);
        storing_done(b, s, &oldest);
        deliver_count_dropped(b, has_room ? SEALMQ_E_BUSY : SEALMQ_E_FULL);
        delivery_release(&b->budgets.waiting_bytes, &oldest);
    }
}

static int enqueue(struct broker *b, struct session *s, struct publication *p,
                   const struct delivery_terms *terms)
{
    int error = make_room(b, s, message_size(&p->view), terms->is_stored);
    if (error != 0) {
        if (b->limits.overflow == BROKER_DISCONNECT && s->conn != NULL &&
            s->conn->state == CONN_CONNECTED) {
            STAT_ADD(b, consumers_cut_off_total, 1);
            conn_end(b, s->conn, MQTT_REASON_QUOTA_EXCEEDED, "messages come faster than taken",
                     CONN_TELL);
        }
        return error;
    }
    error = publication_own(p);
    if (error != 0)
        return error;
    struct delivery delivery = {
        .message = p->owned,
        .ids = terms->ids,
        .group = terms->group,
        .qos = terms->qos,
        .retain = terms->retain,
        .is_stored = terms->is_stored,
    };
    if (s->subscriber.is_durable && terms->qos != 0) {
        error = storing_reserve(b, 1);
        if (error == 0 && spill_is_due(b, s))
            return spill(b, s, &delivery);
        if (error != 0)
            return error;
        storing_add(b, s, &delivery);
    }
    error = queue_push(&s->queue, &delivery);
    if (error != 0)
        storing_done(b, s, &delivery);
    if (error == 0) {
        message_wait(&b->budgets.waiting_bytes, p->owned);
        subscription_ids_hold(terms->ids);
        STAT_ADD(b, queued, 1);
        STAT_ADD(b, queued_bytes, message_size(&p->view));
        group_name_hold(terms->group);
    }
    return error;
}

/* Whether the client takes another message of this size now. */
static bool has_room(const struct broker *b, const struct session *s, uint8_t qos, size_t bytes)
{
    const struct inflight *window = &s->inflight;
    if (conn_output_is_full(b, s->conn))
        return false;
    return qos == 0 ||
           (inflight_sent_count(window) < s->conn->window && window->unsent_count == 0 &&
            (window->bytes == 0 || window->bytes + bytes <= b->limits.inflight_bytes));
}

/* Messages do not overtake what waits at their QoS; QoS 0 waits only for QoS 0. */
static bool is_behind(const struct session *s, uint8_t qos)
{
    return qos == 0 ? s->queue.qos0_count != 0 : s->queue.count != 0 || s->spill != NULL;
}

bool deliver_is_ready(const struct broker *b, const struct session *s, uint8_t qos, size_t bytes)
{
    return s->conn != NULL && s->conn->state == CONN_CONNECTED && !is_behind(s, qos) &&
           has_room(b, s, qos, bytes) && waiting_has_room_to_send(b, qos, s->conn->output.bytes);
}

bool deliver(struct broker *b, struct publication *p, struct session *s,
             const struct delivery_terms *terms)
{
    bool is_online = s->conn != NULL && s->conn->state == CONN_CONNECTED;
    uint8_t qos = terms->qos;
    int error;
    if (is_expired(b, &p->view)) {
        STAT_ADD(b, messages_expired_total, 1);
        return true;
    }
    bool is_ready = deliver_is_ready(b, s, qos, message_size(&p->view));
    if (is_ready) {
        struct publish_head head = {.qos = 0, .retain = terms->retain};
        error = qos == 0 ? send_publish(b, s->conn, p, &head, terms->ids)
                         : send_inflight(b, s, p, terms);
    } else if (qos != 0
                   ? is_online || s->expiry_s != 0
                   : is_online && (terms->may_queue || terms->is_stored || is_behind(s, qos))) {
        error = enqueue(b, s, p, terms);
    } else if (is_online) {
        STAT_ADD(b, dropped_output_full_total, 1);
        pace_see_receiver(b, s, false);
        return false;
    } else {
        return true; /* nobody there, and nothing promised */
    }
    if (error != 0)
        deliver_count_dropped(b, error);
    pace_see_receiver(b, s, is_ready && error == 0);
    return error == 0;
}

/* Sends again what was not completed on an earlier connection. False when something is left. */
static bool resend(struct broker *b, struct session *s)
{
    struct conn *conn = s->conn;
    struct inflight_slot *slot;
    while ((slot = inflight_unsent(&s->inflight)) != NULL) {
        if (conn->state != CONN_CONNECTED || conn_output_is_full(b, conn))
            return false;
        if (slot->state == AWAIT_PUBCOMP) {
            struct mqtt_packet packet = {.type = MQTT_PUBREL,
                                         .ack = {.packet_id = slot->packet_id}};
            if (!storing_hold(b, conn) || !conn_send(b, conn, &packet))
                return false;
            inflight_resent(&s->inflight, slot);
            continue;
        }
        if (inflight_sent_count(&s->inflight) >= conn->window)
            return false;
        struct publication p;
        publication_of(slot->delivery.message, &p);
        struct publish_head head = {slot->delivery.qos, true, slot->delivery.retain,
                                    slot->packet_id};
        int error = SEALMQ_E_NOMEM;
        if (head.qos != 2 || storing_hold(b, conn))
            error = send_publish(b, conn, &p, &head, slot->delivery.ids);
        publication_close(&p);
        if (error == SEALMQ_E_LIMIT) {
            /* The client takes only smaller packets than before. */
            deliver_count_dropped(b, error);
            STAT_SUB(b, inflight, 1);
            storing_done(b, s, &slot->delivery);
            inflight_drop(&s->inflight, slot, delivery_release, &b->budgets.waiting_bytes);
            continue;
        }
        if (error != 0) {
            conn_end(b, conn, MQTT_REASON_SERVER_BUSY, "out of memory", CONN_SILENT);
            return false;
        }
        inflight_resent(&s->inflight, slot);
    }
    return true;
}

/* The first that waits may go now. One goes whatever the limits in all: so a full server empties.
 */
static bool first_may_go(const struct broker *b, const struct session *s)
{
    const struct delivery *first = queue_first(&s->queue);
    return has_room(b, s, first->qos, message_size(&first->message->view)) &&
           (s->conn->output.bytes == 0 || waiting_has_room_to_send(b, 1, 0));
}

void deliver_waiting(struct broker *b, struct session *s)
{
    if (s->inflight.unsent_count != 0 && !resend(b, s))
        return;
    while (s->queue.count != 0 && s->conn->state == CONN_CONNECTED && first_may_go(b, s)) {
        struct delivery first = deliver_take_first(b, s);
        if (is_expired(b, &first.message->view)) {
            STAT_ADD(b, messages_expired_total, 1);
            storing_done(b, s, &first);
        } else {
            struct publication p;
            publication_of(first.message, &p);
            struct publish_head head = {.qos = 0, .retain = first.retain};
            struct delivery_terms terms = {
                .qos = first.qos,
                .retain = first.retain,
                .ids = first.ids,
                .group = first.group,
                .sequence = first.sequence,
                .state_op = first.state_op,
            };
            int error = first.qos == 0 ? send_publish(b, s->conn, &p, &head, first.ids)
                                       : send_inflight(b, s, &p, &terms);
            publication_close(&p);
            if (error != 0)
                deliver_count_dropped(b, error);
        }
        delivery_release(&b->budgets.waiting_bytes, &first);
    }
    spill_fetch(b, s);
}
