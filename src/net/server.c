/* The server as its owner sees it: made, started, stopped and freed on one thread. */
#include "net/net_int.h"

#include "base/assert.h"

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
    if (server->limits.connect_timeout_ms == 0) { /* a handshake without end is not to be had */
        struct broker_limits limits;
        broker_limits_default(&limits);
        server->limits.connect_timeout_ms = limits.connect_timeout_ms;
    }
    unsigned count = options->workers != 0 ? options->workers : default_workers();
    server->listeners = calloc(options->listener_count, sizeof(*server->listeners));
    server->workers = calloc(count, sizeof(*server->workers));
    if (server->listeners == NULL || server->workers == NULL)
        return SEALMQ_E_NOMEM;
    int e = server_bind(server, options, why, why_size);
    if (e != 0)
        return e;
    /* All know the final count from the start, since it decides who owns which client id. */
    server->worker_count = count;
    for (unsigned i = 0; i < count; i++) {
        e = worker_init(&server->workers[i], server, i);
        if (e != 0) {
            server->worker_count = i + 1;
            return e;
        }
    }
    return 0;
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
    int e = server_make(server, options, why, why_size);
    if (e != 0) {
        if (why_size > 0 && why[0] == '\0')
            snprintf(why, why_size, "%s", sealmq_error_text(e));
        net_server_free(server);
        return e;
    }
    *out = server;
    return 0;
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
    int e = 0;
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
    server->is_running = false;
}

void net_server_free(struct net_server *server)
{
    if (server == NULL)
        return;
    net_server_stop(server, 0);
    for (unsigned i = 0; i < server->worker_count; i++)
        worker_close(&server->workers[i]);
    for (size_t i = 0; i < server->listener_count; i++)
        listener_close(&server->listeners[i]);
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
