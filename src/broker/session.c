/* Sessions: what the protocol keeps for a client id, with or without a connection.
 *
 *     new -> online <-> offline -> ended
 *
 * A session without expiry ends as soon as it is offline. Offline, one timer stands for the earlier
 * of two times: when the will is due, and when the session expires; a session that ends publishes a
 * will that is still pending (section 3.1.2.5). A session belongs to a client id and a user name:
 * another user who comes with the same client id does not get it (connect.c). */
#include "broker/broker_int.h"

#include <stdlib.h>

struct bytes session_client_id(const struct session *s)
{
    return bytes_of(s->text, s->client_id_n);
}

struct bytes session_user_name(const struct session *s)
{
    return bytes_of(s->text + s->client_id_n, s->user_name_n);
}

struct broker_subject session_subject(const struct session *s)
{
    return (struct broker_subject){
        .role = s->role,
        .client_id = session_client_id(s),
        .user_name = session_user_name(s),
        .is_anonymous = s->is_anonymous,
    };
}

struct session *session_find(const struct broker *b, struct bytes client_id)
{
    struct table_link *link = table_find(&b->sessions, keyed_hash(&b->key, 0, client_id));
    for (; link != NULL; link = table_find_next(link)) {
        struct session *s = CONTAINER_OF(link, struct session, by_id);
        if (bytes_equal(session_client_id(s), client_id))
            return s;
    }
    return NULL;
}

/* Whether there may be one more session, if need be in the place of an older one. */
static bool make_room(struct broker *b)
{
    struct budget *in_all = &b->budgets.sessions;
    budget_set(in_all, b->sessions.count);
    if (!budget_has_room(in_all, 1, in_all->most) && b->limits.evicts_sessions &&
        b->offline_oldest != NULL) {
        STAT_ADD(b, sessions_evicted_total, 1);
        session_end(b, b->offline_oldest);
        budget_set(in_all, b->sessions.count);
    }
    return budget_has_room(in_all, 1, in_all->most);
}

int session_new(struct broker *b, struct bytes client_id, struct bytes user_name,
                struct session **out)
{
    if (user_name.n > UINT16_MAX || !make_room(b))
        return SEALMQ_E_LIMIT;
    ASSERT(client_id.n <= CLIENT_ID_BYTES_MAX);
    struct session *s = calloc(1, sizeof *s + client_id.n + user_name.n);
    if (s == NULL)
        return SEALMQ_E_NOMEM;
    int error = timers_reserve(&b->timers);
    if (error != 0) {
        free(s);
        return error;
    }
    s->timer.kind = TIMER_SESSION;
    s->will_at_ms = TIMER_NEVER;
    s->expires_at_ms = TIMER_NEVER;
    s->number = (uint64_t)b->shard << 56 | ++b->next_session;
    s->client_id_n = (uint16_t)client_id.n;
    s->user_name_n = (uint32_t)user_name.n;
    if (client_id.n != 0)
        memcpy(s->text, client_id.p, client_id.n);
    if (user_name.n != 0)
        memcpy(s->text + client_id.n, user_name.p, user_name.n);
    table_add(&b->sessions, &s->by_id, keyed_hash(&b->key, 0, client_id));
    *out = s;
    return 0;
}

static void leave_offline(struct broker *b, struct session *s)
{
    if (b->offline_oldest != s && s->offline_older == NULL)
        return;
    if (s->offline_older != NULL)
        s->offline_older->offline_newer = s->offline_newer;
    else
        b->offline_oldest = s->offline_newer;
    if (s->offline_newer != NULL)
        s->offline_newer->offline_older = s->offline_older;
    else
        b->offline_newest = s->offline_older;
    s->offline_older = s->offline_newer = NULL;
}

void session_enter_offline(struct broker *b, struct session *s)
{
    leave_offline(b, s);
    s->offline_older = b->offline_newest;
    if (s->offline_older != NULL)
        s->offline_older->offline_newer = s;
    else
        b->offline_oldest = s;
    b->offline_newest = s;
}

void session_resume(struct broker *b, struct session *s)
{
    will_drop(b, s);
    timer_clear(&b->timers, &s->timer);
    leave_offline(b, s);
}

bool session_take_partial(struct session *s, uint16_t packet_id, struct message_taken *out)
{
    for (struct partial **at = &s->partial; *at != NULL; at = &(*at)->next) {
        struct partial *partial = *at;
        if (partial->packet_id != packet_id)
            continue;
        if (out != NULL)
            *out = partial->by;
        *at = partial->next;
        free(partial);
        return true;
    }
    return false;
}

static void session_free(struct broker *b, struct session *s)
{
    table_remove(&b->sessions, &s->by_id);
    timer_clear(&b->timers, &s->timer);
    timers_release(&b->timers);
    STAT_SUB(b, inflight, s->inflight.count);
    STAT_SUB(b, queued, s->queue.count);
    STAT_SUB(b, queued_bytes, s->queue.live.bytes + s->queue.stored.bytes);
    spill_drop(b, s);
    inflight_close(&s->inflight, delivery_release, &b->budgets.waiting_bytes);
    queue_close(&s->queue, delivery_release, &b->budgets.waiting_bytes);
    packet_ids_close(&s->received);
    while (s->partial != NULL)
        (void)session_take_partial(s, s->partial->packet_id, NULL);
    will_drop(b, s);
    leave_offline(b, s);
    free(s);
}

void session_end(struct broker *b, struct session *s)
{
    ASSERT(s->conn == NULL);
    storing_end_session(b, s);
    /* First the subscriptions: the will of a client that is gone for good is not for itself. */
    unsubscribe_all(b, s);
    share_hand_over(b, s);
    will_publish(b, s);
    session_free(b, s);
}

static void set_timer(struct broker *b, struct session *s)
{
    timer_set(&b->timers, &s->timer,
              s->will_at_ms < s->expires_at_ms ? s->will_at_ms : s->expires_at_ms);
}

void session_detach(struct broker *b, struct session *s, bool will_is_wanted)
{
    if (!will_is_wanted)
        will_drop(b, s);
    if (s->expiry_s == 0) {
        session_end(b, s);
        return;
    }
    share_set_online(b, s, false);
    session_enter_offline(b, s);
    s->expires_at_ms =
        s->expiry_s == UINT32_MAX ? TIMER_NEVER : b->now_ms + (uint64_t)s->expiry_s * 1000;
    if (s->will != NULL && s->will_delay_s == 0)
        will_publish(b, s);
    else if (s->will != NULL)
        s->will_at_ms = b->now_ms + (uint64_t)s->will_delay_s * 1000;
    set_timer(b, s);
    /* Without memory it passes for connected: after a restart its time begins once more. */
    (void)!storing_put_session(b, s, false);
}

void session_timer(struct broker *b, struct session *s)
{
    ASSERT(s->conn == NULL);
    if (s->expires_at_ms <= b->now_ms) {
        STAT_ADD(b, sessions_expired_total, 1);
        session_end(b, s);
        return;
    }
    if (s->will_at_ms <= b->now_ms) {
        will_publish(b, s);
        /* Without memory the will may be published once more after a restart. */
        (void)!storing_put_session(b, s, false);
    }
    set_timer(b, s);
}

void session_free_all(struct broker *b)
{
    for (size_t i = 0; i < b->sessions.size; i++) {
        while (b->sessions.buckets[i] != NULL) {
            struct session *s = CONTAINER_OF(b->sessions.buckets[i], struct session, by_id);
            while (subtree_drop_one(&b->subtree, &s->subscriber, &b->scratch))
                continue;
            session_free(b, s);
        }
    }
}
