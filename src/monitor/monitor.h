/* What those see who watch a server: /metrics and /healthz over HTTP, and the $SYS tree over MQTT.
 *
 * One thread of its own does both; it asks the workers for nothing but to publish what has changed,
 * and to answer a probe when a watcher asks. */
#ifndef SEALMQ_MONITOR_MONITOR_H
#define SEALMQ_MONITOR_MONITOR_H

#include "base/bytes.h"
#include "base/health.h"
#include "net/server.h"

#define MONITOR_SYS_INTERVAL_S     10
#define MONITOR_SYS_INTERVAL_MAX_S 86400

struct monitor;

struct monitor_options {
    const char *address;     /* numeric; NULL: no HTTP */
    uint16_t port;           /* 0: any free one */
    unsigned sys_interval_s; /* seconds between updates of $SYS; 0: none */
    const char *version;
    struct net_server *server; /* borrowed, until monitor_free */
    struct health *health;     /* borrowed; NULL: only workers are watched */
    /* What the program adds, on the monitor's thread. Each may be NULL. `metrics` appends families
     * (monitor/metrics.h); `health` lines ("storage: cannot write\n"), none when all is well. */
    void *context;
    void (*append_metrics)(void *context, struct buf *out);
    void (*append_troubles)(void *context, struct buf *out);
};

/* Binds, so that errors show before anything runs. SEALMQ_E_ARG, SEALMQ_E_IO, SEALMQ_E_NOMEM, with
 * words in `why`. */
SEALMQ_MUST_CHECK int monitor_new(const struct monitor_options *options, struct monitor **out,
                                  char *why, size_t why_size);
/* Begins to answer and to publish. After net_server_start. */
SEALMQ_MUST_CHECK int monitor_start(struct monitor *monitor);
/* Ends it. Before net_server_stop; NULL is fine. */
void monitor_free(struct monitor *monitor);
/* The HTTP server's; 0 when there is none. */
uint16_t monitor_port(const struct monitor *monitor);

#endif
