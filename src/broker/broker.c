/* A shard as a whole: its making and its end, and the frame around every call. */
#include "broker/broker_int.h"

#include <stdlib.h>

/* FNV-1a, folded. Part of how a server's state is spread over its shards: must not change. */
unsigned broker_shard_of(struct bytes client_id, unsigned shards)
{
    uint64_t h = UINT64_C(0xcbf29ce484222325);
    for (size_t i = 0; i < client_id.n; i++)
        h = (h ^ client_id.p[i]) * UINT64_C(0x100000001b3);
    h ^= h >> 32;
    return shards <= 1 ? 0 : (unsigned)(h % shards);
}

static bool options_are_valid(const struct broker_options *o)
{
    const struct broker_limits *l = &o->limits;
    return o->host.authenticate != NULL && o->host.authorize != NULL &&
           (o->host.auth_begin == NULL) == (o->host.auth_continue == NULL) &&
           o->retained_counter != NULL && o->shards >= 1 && o->shards <= SHARDS_MAX &&
           o->shard < o->shards && l->packet_bytes >= 16 &&
           l->packet_bytes <= MQTT_REMAINING_LENGTH_MAX && l->connections != 0 &&
           l->sessions != 0 && l->topic_levels != 0 && l->topic_bytes != 0 &&
           l->receive_maximum != 0 && l->inflight != 0 && l->output_bytes != 0 &&
           l->waiting_bytes != 0 && l->unstored_bytes != 0;
}

int broker_new(const struct broker_options *options, struct broker **out)
{
    *out = NULL;
    if (!options_are_valid(options))
        return SEALMQ_E_ARG;
    struct broker *b = calloc(1, sizeof *b);
    if (b == NULL)
        return SEALMQ_E_NOMEM;
    b->host = options->host;
    b->limits = options->limits;
    if (b->limits.topic_levels > TOPIC_LEVELS_MAX)
        b->limits.topic_levels = TOPIC_LEVELS_MAX;
    if (b->limits.topic_aliases_sent > ALIASES_MAX)
        b->limits.topic_aliases_sent = ALIASES_MAX;
    b->shard = options->shard;
    b->shards = options->shards;
    b->retained_counter = options->retained_counter;
    b->response_prefix = strdup(options->response_prefix == NULL ? "" : options->response_prefix);
    hash_key_from_seed(options->seed, &b->key);
    budgets_init(b, options->pools);
    b->pool.waiting = &b->budgets.waiting_bytes;
    int error = b->response_prefix == NULL ? SEALMQ_E_NOMEM : table_init(&b->sessions);
    if (error == 0)
        error = subtree_init(&b->subtree, b->key, b->shards);
    if (error == 0)
        error = retained_init(&b->retained, b->key, &b->timers);
    if (error == 0)
        error = route_cache_init(&b->routes);
    if (error == 0)
        error = pace_init(b);
    if (error == 0)
        error = storing_init(b, options->durability);
    if (error != 0) {
        broker_free(b);
        return error;
    }
    *out = b;
    return 0;
}

void broker_change_limits(struct broker *b, const struct broker_limits *limits)
{
    const struct broker_limits old = b->limits;
    b->limits = *limits;
    b->limits.packet_bytes = old.packet_bytes;
    b->limits.receive_maximum = old.receive_maximum;
    b->limits.topic_aliases = old.topic_aliases;
    b->limits.topic_aliases_sent = old.topic_aliases_sent;
    b->limits.topic_levels = old.topic_levels;
    b->limits.connections = old.connections;
    b->limits.sessions = old.sessions;
    b->limits.subscriptions_all = old.subscriptions_all;
    b->limits.queued_messages_all = old.queued_messages_all;
    b->limits.waiting_bytes = old.waiting_bytes;
    b->limits.passing_bytes = old.passing_bytes;
    b->limits.accepts_per_second = old.accepts_per_second;
    b->limits.connections_per_address = old.connections_per_address;
    b->limits.connects_per_second = old.connects_per_second;
    ASSERT(b->limits.inflight != 0 && b->limits.output_bytes != 0 && b->limits.topic_bytes != 0);
}

void broker_free(struct broker *b)
{
    if (b == NULL)
        return;
    conn_free_all(b);
    if (b->sessions.buckets != NULL)
        session_free_all(b);
    table_close(&b->sessions);
    route_cache_close(&b->routes);
    subtree_close(&b->subtree);
    retained_close(&b->retained);
    output_pool_close(&b->pool);
    parcel_close(b);
    storing_close(b);
    timers_close(&b->timers);
    buf_close(&b->scratch);
    buf_close(&b->props);
    buf_close(&b->answer_props);
    free(b->response_prefix);
    budgets_close(b);
    pace_close(b);
    free(b->slots);
    free(b);
}

void broker_enter(struct broker *b, uint64_t now_ms)
{
    if (now_ms > b->now_ms)
        b->now_ms = now_ms;
    b->depth++;
}

/* What others may read of what only the shard's thread can look at. */
static void show_gauges(struct broker *b)
{
    STAT_SET(b, sessions_offline, b->sessions.count - STAT_GET(b, sessions_online));
    STAT_SET(b, subscriptions, b->subtree.count);
    STAT_SET(b, shared_subscriptions, b->subtree.shared_count);
    STAT_SET(b, retained, b->retained.count);
    STAT_SET(b, retained_bytes, b->retained.bytes);
}

void broker_leave(struct broker *b)
{
    ASSERT(b->depth > 0);
    if (b->depth == 1) {
        b->is_leaving = true;
        if (!b->is_visited)
            conn_detach_listed(b);
        b->is_leaving = false;
        budgets_settle(b);
        show_gauges(b);
    }
    if (--b->depth == 0)
        direct_leave(b);
}

void broker_visit_begin(struct broker *b)
{
    ASSERT(b->depth == 0);
    b->is_visited = true;
}

bool broker_visit_end(struct broker *b)
{
    b->is_visited = false;
    return b->ending_first != NULL || parcel_is_waiting(b) || storing_is_waiting(b);
}

uint64_t broker_deadline(const struct broker *b)
{
    return timers_deadline(&b->timers);
}

void broker_tick(struct broker *b, uint64_t now_ms)
{
    broker_enter(b, now_ms);
    struct timer *timer;
    while ((timer = timers_next_due(&b->timers, b->now_ms)) != NULL) {
        switch (timer->kind) {
        case TIMER_CONNECTION:
            conn_timer(b, CONTAINER_OF(timer, struct conn, timer));
            break;
        case TIMER_SESSION:
            session_timer(b, CONTAINER_OF(timer, struct session, timer));
            break;
        case TIMER_RETAINED:
            parcel_retained_expired(b, CONTAINER_OF(timer, struct retained_node, timer));
            break;
        }
    }
    broker_leave(b);
}

void broker_access_changed(struct broker *b)
{
    subtree_note_change_of_all(&b->subtree);
}

void broker_count_accept_pause(struct broker *b)
{
    STAT_ADD(b, accepts_paused_total, 1);
}

void broker_count_address_refused(struct broker *b)
{
    STAT_ADD(b, connections_refused_total, 1);
}

void broker_stats_get(const struct broker *b, struct broker_stats *out)
{
    *out = (struct broker_stats){0};
    uint64_t *words = (uint64_t *)(void *)out;
    for (size_t i = 0; i < BROKER_COUNTS; i++)
        words[i] = atomic_load_explicit(&b->counts[i], memory_order_relaxed);
    broker_stats_derive(out);
}

uint64_t broker_packet_count(const struct broker *b)
{
    size_t first = offsetof(struct broker_counts, packets_in) / sizeof(uint64_t);
    uint64_t count = 0;
    for (size_t i = first; i < BROKER_COUNTS; i++)
        count += atomic_load_explicit(&b->counts[i], memory_order_relaxed);
    return count;
}
