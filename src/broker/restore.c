#include "broker/restore.h"

#include "broker/broker_int.h"

#include <stdlib.h>

void broker_restore_begin(struct broker *b, uint64_t session, uint64_t sequence)
{
    ASSERT(b->storing != NULL && b->storing->open.count == 0);
    if (session > b->next_session)
        b->next_session = session;
    if (sequence >= b->storing->open.base)
        b->storing->open.base = sequence + 1;
}

/* A stored time on the shard's clock; what is past is now. */
static uint64_t from_wall(const struct broker *b, uint64_t wall_ms)
{
    if (wall_ms == TIMER_NEVER)
        return TIMER_NEVER;
    int64_t at = (int64_t)(wall_ms > INT64_MAX ? INT64_MAX : wall_ms) - b->storing->wall_offset_ms;
    return at < (int64_t)b->now_ms ? b->now_ms : (uint64_t)at;
}

/* What a session that was connected becomes when its connection is lost, at the time of the start;
 * the others keep their times. */
static void set_times(struct broker *b, struct session *s, const struct journal_session *put)
{
    if (put->is_online) {
        s->expires_at_ms =
            s->expiry_s == UINT32_MAX ? TIMER_NEVER : b->now_ms + (uint64_t)s->expiry_s * 1000;
        s->will_at_ms =
            s->will == NULL ? TIMER_NEVER : b->now_ms + (uint64_t)s->will_delay_s * 1000;
    } else {
        s->expires_at_ms = from_wall(b, put->ends_at_ms);
        s->will_at_ms = s->will == NULL ? TIMER_NEVER : from_wall(b, put->will_at_ms);
    }
    timer_set(&b->timers, &s->timer,
              s->will_at_ms < s->expires_at_ms ? s->will_at_ms : s->expires_at_ms);
}

int broker_restore_session(struct broker *b, uint64_t number, const struct journal_session *put,
                           struct session **out)
{
    struct bytes client_id = bytes_of(put->text, put->client_id_n);
    struct bytes user_name = bytes_of(put->text + put->client_id_n, put->user_name_n);
    if (client_id.n > CLIENT_ID_BYTES_MAX || put->role > BROKER_ROLE_ADMIN)
        return SEALMQ_E_CORRUPT;
    if (session_find(b, client_id) != NULL)
        return SEALMQ_E_EXISTS;
    struct session *s;
    /* A limit that was lowered since does not make us forget what was promised. */
    uint64_t limit = b->budgets.sessions.most;
    b->budgets.sessions.most = INT64_MAX;
    int error = session_new(b, client_id, user_name, &s);
    b->budgets.sessions.most = limit;
    if (error != 0)
        return error;
    s->number = number;
    s->subscriber.is_durable = true;
    s->role = (enum broker_role)put->role;
    s->is_anonymous = put->is_anonymous;
    s->expiry_s = put->expiry_s;
    s->will_delay_s = put->will_delay_s;
    s->will = put->will;
    if (s->will != NULL)
        message_wait(&b->budgets.waiting_bytes, s->will);
    session_enter_offline(b, s);
    set_times(b, s, put);
    *out = s;
    if (put->is_online && storing_put_session(b, s, false) != 0)
        return SEALMQ_E_NOMEM;
    return 0;
}

int broker_restore_subscription(struct broker *b, struct session *s, struct bytes filter,
                                const struct subscription_options *options)
{
    return subscription_restore(b, s, filter, options);
}

int broker_restore_inflight(struct broker *b, struct session *s,
                            const struct journal_fetched *fetched, uint16_t packet_id,
                            enum inflight_state state)
{
    bool has_message = state == AWAIT_PUBACK || state == AWAIT_PUBREC;
    if (has_message != (fetched->message != NULL) || (!has_message && state != AWAIT_PUBCOMP))
        return SEALMQ_E_CORRUPT;
    struct delivery delivery = {
        .message = fetched->message,
        .sequence = fetched->sequence,
        .qos = state == AWAIT_PUBACK ? 1 : 2,
        .retain = fetched->retain,
        .is_stored = fetched->is_stored,
    };
    int error = 0;
    for (uint32_t i = 0; has_message && i < fetched->id_count && error == 0; i++)
        error = subscription_ids_add(&delivery.ids, fetched->ids[i]);
    if (error == 0)
        error = inflight_restore(&s->inflight, &delivery, packet_id, state);
    if (error != 0) {
        subscription_ids_release(delivery.ids);
        return error;
    }
    if (delivery.message != NULL)
        message_wait(&b->budgets.waiting_bytes, delivery.message);
    STAT_ADD(b, inflight, 1);
    return 0;
}

int broker_restore_received(struct session *s, uint16_t packet_id, unsigned shard, unsigned shards)
{
    if (packet_id == 0 || shards == 0 || shards > SHARDS_MAX || shard >= shards)
        return SEALMQ_E_CORRUPT;
    struct partial *partial = s->partial;
    while (partial != NULL && partial->packet_id != packet_id)
        partial = partial->next;
    if (partial == NULL) {
        partial = calloc(1, sizeof *partial);
        if (partial == NULL)
            return SEALMQ_E_NOMEM;
        partial->packet_id = packet_id;
        partial->by.count = (uint8_t)shards;
        partial->next = s->partial;
        s->partial = partial;
    }
    if (partial->by.count == shards)
        partial->by.shards |= UINT64_C(1) << shard;
    return 0;
}

int broker_restore_queue(struct broker *b, struct session *s, bool is_stored, uint32_t messages,
                         uint64_t bytes)
{
    if (messages == 0)
        return 0;
    int error = spill_begin(s, 1);
    if (error == 0)
        spill_count(b, s, is_stored, messages, bytes);
    return error;
}

int broker_restore_retained(struct broker *b, struct broker_message *message)
{
    struct publication p;
    publication_of(message, &p);
    int error = retained_apply(&b->retained, &p, false);
    publication_close(&p);
    return error;
}

int broker_restore_ended(struct broker *b, uint64_t number)
{
    return storing_forget_session(b, number);
}
