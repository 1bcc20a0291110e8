/* Whether the workers answer, and how fast: a call is posted to each, and timed. */
#ifndef SEALMQ_MONITOR_PROBE_H
#define SEALMQ_MONITOR_PROBE_H

#include "net/server.h"

#define PROBE_WORKERS_MAX 64
#define PROBE_WAIT_MS     1000 /* an answer that takes longer is none */

struct probe_result {
    unsigned workers;
    double seconds[PROBE_WORKERS_MAX]; /* below 0: no answer */
};

/* Waits for the answers, PROBE_WAIT_MS at most. Not on a worker's thread. SEALMQ_E_NOMEM */
SEALMQ_MUST_CHECK int probe_workers(struct net_server *server, struct probe_result *out);

#endif
