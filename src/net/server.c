/* The server as its owner sees it: made, started, stopped and freed on one thread. */
#include "net/net_int.h"

#include "base/assert.h"
#include "crypto/random.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

static unsigned default_workers(void)
{
    long n = sysconf(_SC_NPROCESSORS_ONLN);
    if (n < 1)
        return 1;
    return n < NET_WORKERS_DEFAULT_MAX ? (unsigned)n : NET_WORKERS_DEFAULT_MAX;
}

static int server_bind(struct net_server *server, const struct net_server_options *options,
                       char *why, size_t why_size)
{
    for (size_t i = 0; i < options->listener_count; i++) {
        int e = listener_bind(&options->listeners[i], &server->listeners[i], why, why_size);
        if (e != 0)
            return e;
        server->listener_count = i + 1;
    }
    return 0;
}

static int server_make(struct net_server *server, const struct net_server_options *options,
                       char *why, size_t why_size)
{
    ASSERT(pthread_mutex_init(&server->tls_lock, NULL) == 0);
    server->app = options->app;
    server->limits = options->limits;
    server->seed = random_u64();
    if (options->state_folder != NULL)
        server->durability =
            options->durability == NET_DURABILITY_LAZY ? BROKER_DURABLE_LAZY : BROKER_DURABLE_FULL;
    if (server->limits.connect_timeout_ms == 0) { /* a handshake without end is not to be had */
        struct broker_limits limits;
        broker_limits_default(&limits);
        server->limits.connect_timeout_ms = limits.connect_timeout_ms;
    }
    int e = sources_init(&server->sources, server->limits.connections_per_address, random_u64());
    if (e != 0)
        return e;
    unsigned count = options->workers != 0 ? options->workers : default_workers();
    server->listeners = calloc(options->listener_count, sizeof(*server->listeners));
    server->workers = calloc(count, sizeof(*server->workers));
    if (server->listeners == NULL || server->workers == NULL)
        return SEALMQ_E_NOMEM;
    e = server_bind(server, options, why, why_size);
    if (e != 0)
        return e;
    /* All know the final count from the start, since it decides who owns which client id. */
    server->worker_count = count;
    server->is_spread = options->is_spread;
    for (unsigned i = 0; i < count; i++) {
        e = worker_init(&server->workers[i], server, i, options->response_prefix);
        if (e != 0) {
            server->worker_count = i + 1;
            return e;
        }
    }
    return 0;
}

/* What fits a row of the store, with what stands around it. */
#define STORED_PACKET_MAX (31u * 1024 * 1024)

/* --- what is kept -------------------------------------------------------------------------- */

/* On the keeper's thread. A worker that has stopped is looked after in keeper_finish. */
static void on_stored(void *context, unsigned shard)
{
    struct net_server *server = context;
    struct net_worker *worker = &server->workers[shard];
    (void)!worker_post(worker, &worker->stored);
}

void server_keep_late_locked(struct net_server *server, unsigned to, struct broker_parcel *parcels)
{
    struct net_late *late = server->keeper == NULL ? NULL : malloc(sizeof *late);
    if (late == NULL) {
        broker_parcels_free(parcels);
        return;
    }
    *late = (struct net_late){server->late, to, parcels};
    server->late = late;
}

void server_keep_late(struct net_server *server, unsigned to, struct broker_parcel *parcels)
{
    pthread_mutex_lock(&server->late_lock);
    server_keep_late_locked(server, to, parcels);
    pthread_mutex_unlock(&server->late_lock);
}

/* Delivers what came too late, in its order; or drops it, when nothing is served any more. */
static void server_deliver_late(struct net_server *server, uint64_t now_ms)
{
    struct net_late *in_order = NULL;
    while (server->late != NULL) {
        struct net_late *late = server->late;
        server->late = late->next;
        late->next = in_order;
        in_order = late;
    }
    while (in_order != NULL) {
        struct net_late *late = in_order;
        in_order = late->next;
        broker_deliver_parcels(server->workers[late->to].broker, late->parcels, now_ms);
        free(late);
    }
}

static void list_shards(const struct net_server *server, struct broker **shards)
{
    for (unsigned i = 0; i < server->worker_count; i++)
        shards[i] = server->workers[i].broker;
}

static int server_open_keeper(struct net_server *server, const struct net_server_options *options,
                              char *why, size_t why_size)
{
    struct broker *shards[NET_WORKERS_MAX];
    const struct keeper_options keeper = {
        .folder = options->state_folder,
        .is_lazy = options->durability == NET_DURABILITY_LAZY,
        .shards = server->worker_count,
        .health = options->storage,
        .stored = on_stored,
        .context = server,
    };
    if (options->state_folder == NULL)
        return 0;
    if (options->limits.packet_bytes > STORED_PACKET_MAX) {
        snprintf(why, why_size,
                 "packets of up to %u bytes cannot be kept: at most %u, or no folder",
                 options->limits.packet_bytes, STORED_PACKET_MAX);
        return SEALMQ_E_ARG;
    }
    int e = keeper_new(&keeper, &server->keeper, why, why_size);
    list_shards(server, shards);
    if (e == 0)
        e = keeper_load(server->keeper, shards, uv_hrtime() / 1000000, &server->retained_counter,
                        why, why_size);
    return e;
}

/* All threads have ended: what they have left is stored. */
static void server_finish_keeper(struct net_server *server)
{
    struct broker *shards[NET_WORKERS_MAX];
    uint64_t now_ms = uv_hrtime() / 1000000;
    if (server->keeper == NULL)
        return;
    list_shards(server, shards);
    server_deliver_late(server, now_ms);
    keeper_finish(server->keeper, shards, now_ms);
}

bool net_server_store_is_failing(const struct net_server *server)
{
    return server->keeper != NULL && keeper_is_failing(server->keeper);
}

int net_server_new(const struct net_server_options *options, struct net_server **out, char *why,
                   size_t why_size)
{
    *out = NULL;
    if (why_size > 0)
        why[0] = '\0';
    if (options->listener_count == 0 || options->workers > NET_WORKERS_MAX ||
        options->app.authenticate == NULL || options->app.authorize == NULL) {
        snprintf(why, why_size, "%s",
                 options->listener_count == 0         ? "no address to listen on"
                 : options->workers > NET_WORKERS_MAX ? "more than 64 workers"
                                                      : "nobody decides about access");
        return SEALMQ_E_ARG;
    }
    struct net_server *server = calloc(1, sizeof(*server));
    if (server == NULL)
        return SEALMQ_E_NOMEM;
    pthread_mutex_init(&server->late_lock, NULL);
    int e = server_make(server, options, why, why_size);
    if (e == 0)
        e = server_open_keeper(server, options, why, why_size);
    if (e != 0) {
        if (why_size > 0 && why[0] == '\0')
            snprintf(why, why_size, "%s", sealmq_error_text(e));
        net_server_free(server);
        return e;
    }
    *out = server;
    return 0;
}

void net_server_redirect_at_stop(struct net_server *server, uint8_t reason, const char *reference)
{
    server->stop_reason = reason;
    server->stop_reference = reference;
}

/* Tells the first `count` workers to stop, and waits for them. */
static void server_join(struct net_server *server, unsigned count, unsigned drain_ms)
{
    for (unsigned i = 0; i < count; i++) {
        struct net_item *item = calloc(1, sizeof(*item));
        ASSERT(item != NULL); /* there is no way to stop without */
        item->kind = NET_ITEM_STOP;
        item->drain_ms = drain_ms;
        if (worker_post(&server->workers[i], item) != 0)
            free(item);
    }
    for (unsigned i = 0; i < count; i++)
        pthread_join(server->workers[i].thread, NULL);
    /* After all threads have ended, since until then they post to each other. */
    for (unsigned i = 0; i < count; i++)
        (void)uv_loop_close(&server->workers[i].loop);
}

int net_server_start(struct net_server *server)
{
    if (server->was_started)
        return SEALMQ_E_EXISTS;
    server->was_started = true;
    int e = server->keeper == NULL ? 0 : keeper_start(server->keeper);
    unsigned started = 0;
    while (e == 0 && started < server->worker_count) {
        e = worker_start(&server->workers[started]);
        if (e == 0)
            started++;
    }
    for (unsigned i = 0; i < started; i++) {
        uv_sem_wait(&server->workers[i].started);
        if (e == 0)
            e = server->workers[i].start_error;
    }
    /* Serving begins when all are ready, so that a failure shows before anybody has connected. */
    for (unsigned i = 0; e == 0 && i < started; i++) {
        struct net_item *item = calloc(1, sizeof(*item));
        if (item == NULL) {
            e = SEALMQ_E_NOMEM;
            break;
        }
        item->kind = NET_ITEM_SERVE;
        if (worker_post(&server->workers[i], item) != 0) {
            free(item);
            e = SEALMQ_E_CLOSED;
        }
    }
    if (e != 0) {
        server_join(server, started, 0);
        server_finish_keeper(server);
        return e;
    }
    server->is_running = true;
    return 0;
}

int net_server_set_tls(struct net_server *server, size_t listener, struct net_tls *tls)
{
    if (listener >= server->listener_count || tls == NULL || !server->listeners[listener].has_tls)
        return SEALMQ_E_ARG;
    pthread_mutex_lock(&server->tls_lock);
    struct net_tls *before = server->listeners[listener].tls;
    server->listeners[listener].tls = net_tls_ref(tls);
    pthread_mutex_unlock(&server->tls_lock);
    net_tls_unref(before);
    return 0;
}

const char *net_server_listener_name(const struct net_server *server, size_t listener)
{
    return listener < server->listener_count ? server->listeners[listener].name : "";
}

uint16_t net_server_port(const struct net_server *server, size_t listener)
{
    return listener < server->listener_count ? server->listeners[listener].port : 0;
}

void net_server_stop(struct net_server *server, unsigned drain_ms)
{
    if (!server->is_running)
        return;
    server_join(server, server->worker_count, drain_ms);
    server_finish_keeper(server);
    server->is_running = false;
}

void net_server_free(struct net_server *server)
{
    if (server == NULL)
        return;
    net_server_stop(server, 0);
    keeper_free(server->keeper);
    for (unsigned i = 0; i < server->worker_count; i++)
        worker_close(&server->workers[i]);
    pthread_mutex_destroy(&server->late_lock);
    for (size_t i = 0; i < server->listener_count; i++)
        listener_close(&server->listeners[i]);
    sources_close(&server->sources);
    pthread_mutex_destroy(&server->tls_lock);
    free(server->workers);
    free(server->listeners);
    free(server);
}

unsigned net_server_workers(const struct net_server *server)
{
    return server->worker_count;
}

struct net_worker *net_server_worker(struct net_server *server, unsigned index)
{
    ASSERT(index < server->worker_count);
    return &server->workers[index];
}

struct net_worker *net_server_owner(struct net_server *server, struct bytes client_id)
{
    return &server->workers[broker_shard_of(client_id, server->worker_count)];
}

void net_server_stats(struct net_server *server, struct broker_stats *out)
{
    *out = (struct broker_stats){0};
    for (unsigned i = 0; i < server->worker_count; i++) {
        struct broker_stats one;
        broker_stats_get(server->workers[i].broker, &one);
        broker_stats_add(out, &one);
    }
}

void net_server_worker_stats(struct net_server *server, unsigned index,
                             struct net_worker_stats *out)
{
    ASSERT(server->is_running && index < server->worker_count);
    struct net_worker *worker = &server->workers[index];
    clockid_t clock;
    struct timespec spent = {0};
    if (pthread_getcpuclockid(worker->thread, &clock) == 0)
        (void)clock_gettime(clock, &spent);
    *out = (struct net_worker_stats){
        .turns_total = atomic_load_explicit(&worker->turns, memory_order_relaxed),
        .cpu_seconds = (double)spent.tv_sec + (double)spent.tv_nsec / 1e9,
    };
}
