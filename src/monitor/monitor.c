#include "monitor/monitor.h"

#include "base/assert.h"
#include "http/server.h"
#include "monitor/metrics.h"
#include "monitor/probe.h"
#include "monitor/sys_publisher.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <time.h>
#include <unistd.h>

struct monitor {
    struct monitor_options options;
    char *version;
    double started_s;
    struct http_server *http;        /* or NULL */
    struct sys_publisher *publisher; /* or NULL */
    uint64_t update_due_ms;          /* UINT64_MAX: never */
    int end_fd;                      /* readable when the thread is to end */
    bool is_running;
    pthread_t thread;
};

static uint64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* --- what HTTP clients get ----------------------------------------------------------------- */

static void append_workers(struct monitor *monitor, struct buf *out)
{
    struct net_server *server = monitor->options.server;
    struct probe_result probe;
    struct net_worker_stats stats[PROBE_WORKERS_MAX];
    char index[12];
    if (probe_workers(server, &probe) != 0) {
        out->failed = SEALMQ_E_NOMEM;
        return;
    }
    for (unsigned i = 0; i < probe.workers; i++)
        net_server_worker_stats(server, i, &stats[i]);
    metrics_family(out, "sealmq_worker_cpu_seconds_total", "counter",
                   "Processor time of each worker's thread.");
    for (unsigned i = 0; i < probe.workers; i++) {
        snprintf(index, sizeof index, "%u", i);
        metrics_sample(out, "sealmq_worker_cpu_seconds_total", "worker", index,
                       stats[i].cpu_seconds);
    }
    metrics_family(out, "sealmq_worker_turns_total", "counter", "Turns of each worker's loop.");
    for (unsigned i = 0; i < probe.workers; i++) {
        snprintf(index, sizeof index, "%u", i);
        metrics_sample(out, "sealmq_worker_turns_total", "worker", index,
                       (double)stats[i].turns_total);
    }
    metrics_family(
        out, "sealmq_worker_latency_seconds", "gauge",
        "How long each worker took to answer when this was asked; at least 1 when it did "
        "not.");
    for (unsigned i = 0; i < probe.workers; i++) {
        snprintf(index, sizeof index, "%u", i);
        metrics_sample(out, "sealmq_worker_latency_seconds", "worker", index,
                       probe.seconds[i] < 0 ? PROBE_WAIT_MS / 1000.0 : probe.seconds[i]);
    }
}

static void append_parts(struct monitor *monitor, struct buf *out)
{
    struct health *health = monitor->options.health;
    if (health == NULL || health->count == 0)
        return;
    metrics_family(out, "sealmq_healthy", "gauge", "Whether each part can do its work.");
    for (unsigned i = 0; i < health->count; i++)
        metrics_sample(out, "sealmq_healthy", "part", health->parts[i].name,
                       health_trouble(&health->parts[i]) == NULL);
}

static void answer_metrics(void *context, struct http_answer *answer)
{
    struct monitor *monitor = context;
    struct buf *out = &answer->body;
    struct broker_stats stats;
    answer->content_type = METRICS_CONTENT_TYPE;
    metrics_family(out, "sealmq_build_info", "gauge", "Always 1; the version is in the label.");
    metrics_sample(out, "sealmq_build_info", "version", monitor->version, 1);
    net_server_stats(monitor->options.server, &stats);
    broker_stats_append_metrics(&stats, out);
    append_workers(monitor, out);
    append_parts(monitor, out);
    if (monitor->options.append_metrics != NULL)
        monitor->options.append_metrics(monitor->options.context, out);
    metrics_append_process(out, monitor->started_s);
}

static void append_silent_workers(struct monitor *monitor, struct buf *out)
{
    struct probe_result probe;
    if (probe_workers(monitor->options.server, &probe) != 0) {
        out->failed = SEALMQ_E_NOMEM;
        return;
    }
    for (unsigned i = 0; i < probe.workers; i++) {
        if (probe.seconds[i] < 0)
            buf_printf(out, "worker %u: no answer for %d ms\n", i, PROBE_WAIT_MS);
    }
}

static void answer_healthz(void *context, struct http_answer *answer)
{
    struct monitor *monitor = context;
    struct health *health = monitor->options.health;
    append_silent_workers(monitor, &answer->body);
    for (unsigned i = 0; health != NULL && i < health->count; i++) {
        const char *trouble = health_trouble(&health->parts[i]);
        if (trouble != NULL)
            buf_printf(&answer->body, "%s: %s\n", health->parts[i].name, trouble);
    }
    if (monitor->options.append_troubles != NULL)
        monitor->options.append_troubles(monitor->options.context, &answer->body);
    if (answer->body.n != 0)
        answer->status = 503;
    else
        buf_append_cstr(&answer->body, "ok\n");
}

/* --- the thread ---------------------------------------------------------------------------- */

static int timeout_of(struct monitor *monitor)
{
    int timeout = monitor->http != NULL ? http_server_timeout_ms(monitor->http) : -1;
    if (monitor->update_due_ms == UINT64_MAX)
        return timeout;
    uint64_t now = now_ms();
    uint64_t left = monitor->update_due_ms > now ? monitor->update_due_ms - now : 0;
    return timeout >= 0 && (uint64_t)timeout < left ? timeout : (int)left;
}

static void update_when_due(struct monitor *monitor)
{
    uint64_t now = now_ms();
    if (now < monitor->update_due_ms)
        return;
    monitor->update_due_ms = now + (uint64_t)monitor->options.sys_interval_s * 1000;
    sys_publisher_update(monitor->publisher, now);
}

static void *monitor_main(void *argument)
{
    struct monitor *monitor = argument;
    struct pollfd fds[2] = {{.fd = monitor->end_fd, .events = POLLIN}, {.fd = -1}};
    pthread_setname_np(pthread_self(), "sealmq-monitor");
    if (monitor->http != NULL)
        fds[1] = (struct pollfd){.fd = http_server_fd(monitor->http), .events = POLLIN};
    for (;;) {
        (void)poll(fds, 2, timeout_of(monitor));
        if (fds[0].revents != 0)
            return NULL;
        if (monitor->http != NULL)
            http_server_run(monitor->http);
        update_when_due(monitor);
    }
}

/* Signals are for the thread that asks for them. */
int monitor_start(struct monitor *monitor)
{
    sigset_t all, before;
    ASSERT(!monitor->is_running);
    if (monitor->publisher != NULL)
        monitor->update_due_ms = now_ms();
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&monitor->thread, NULL, monitor_main, monitor);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    monitor->is_running = rc == 0;
    return rc == 0 ? 0 : SEALMQ_E_IO;
}

/* --- made and freed ------------------------------------------------------------------------ */

static int listen_for_http(struct monitor *monitor, char *why, size_t why_size)
{
    const struct http_route routes[] = {
        {"/metrics", answer_metrics, monitor},
        {"/healthz", answer_healthz, monitor},
    };
    const struct http_options options = {
        .address = monitor->options.address,
        .port = monitor->options.port,
        .routes = routes,
        .route_count = sizeof routes / sizeof routes[0],
    };
    return http_server_new(&options, &monitor->http, why, why_size);
}

int monitor_new(const struct monitor_options *options, struct monitor **out, char *why,
                size_t why_size)
{
    struct timespec now;
    *out = NULL;
    if (why_size > 0)
        why[0] = '\0';
    ASSERT(options->sys_interval_s <= MONITOR_SYS_INTERVAL_MAX_S);
    struct monitor *monitor = calloc(1, sizeof *monitor);
    if (monitor == NULL)
        return SEALMQ_E_NOMEM;
    clock_gettime(CLOCK_REALTIME, &now);
    int64_t started_ms = (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
    monitor->started_s = (double)started_ms / 1000;
    monitor->options = *options;
    monitor->update_due_ms = UINT64_MAX;
    monitor->version = strdup(options->version);
    monitor->end_fd = eventfd(0, EFD_CLOEXEC);
    int error = monitor->version == NULL ? SEALMQ_E_NOMEM : monitor->end_fd < 0 ? SEALMQ_E_IO : 0;
    if (error == 0 && options->sys_interval_s != 0)
        error = sys_publisher_new(options->server, options->version, &monitor->publisher);
    if (error == 0 && options->address != NULL)
        error = listen_for_http(monitor, why, why_size);
    if (error != 0) {
        monitor_free(monitor);
        return error;
    }
    *out = monitor;
    return 0;
}

void monitor_free(struct monitor *monitor)
{
    if (monitor == NULL)
        return;
    if (monitor->is_running) {
        ASSERT(eventfd_write(monitor->end_fd, 1) == 0);
        pthread_join(monitor->thread, NULL);
    }
    http_server_free(monitor->http);
    sys_publisher_free(monitor->publisher);
    if (monitor->end_fd >= 0)
        close(monitor->end_fd);
    free(monitor->version);
    free(monitor);
}

uint16_t monitor_port(const struct monitor *monitor)
{
    return monitor->http != NULL ? http_server_port(monitor->http) : 0;
}
