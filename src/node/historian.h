/* The thread that writes the history: takes what waits, stores it in one transaction, and says of
 * each report, on the worker that it came from, whether it is durable.
 *
 * The queue is bounded in reports and bytes, as a whole and for each gateway; over that a report is
 * refused (SEALMQ_E_BUSY), which the gateway is told, and sends it again later. */
#ifndef SEALMQ_NODE_HISTORIAN_H
#define SEALMQ_NODE_HISTORIAN_H

#include "broker/broker.h"
#include "device/service.h"
#include "net/server.h"

#define HISTORIAN_REPORTS_MAX 65536
#define HISTORIAN_BYTES_MAX   (64 * 1024 * 1024)
#define HISTORIAN_SHARE       4    /* a gateway gets no more than this part of the queue */
#define HISTORIAN_BATCH_MAX   4096 /* reports in one transaction */

struct historian;

/* One report on its way, and back with `error` and `recorded` set. */
struct historian_job {
    struct historian_job *next;
    struct historian *historian; /* that took it */
    struct net_worker *worker;
    struct broker_conn conn;
    uint64_t ticket;
    struct device_report report; /* points into this job's own memory */
    int64_t received_us;
    int error; /* as history_add says, or why the batch failed */
    struct hash recorded;
    size_t size_bytes; /* of this job with all it holds */
};

/* Calls `done` on the job's worker (worker_context as in net_worker_post), which takes the job over
 * and frees it with historian_job_free. */
struct historian_options {
    const char *path; /* history.db */
    void (*done)(void *worker_context, struct historian_job *job);
};

/* Opens the database, starts the thread. `why` names the file on failure. */
SEALMQ_MUST_CHECK int historian_new(const struct historian_options *options, struct historian **out,
                                    char *why, size_t why_size);
/* Stores what waits, ends the thread. After the workers have stopped: answers on their way use the
 * historian. */
void historian_free(struct historian *historian);

/* A deep copy of the report. */
SEALMQ_MUST_CHECK int historian_job_new(const struct device_report *report,
                                        struct historian_job **out);
void historian_job_free(struct historian_job *job);

/* Takes the job over. SEALMQ_E_BUSY: not taken. From any thread. */
SEALMQ_MUST_CHECK int historian_submit(struct historian *historian, struct historian_job *job);

struct historian_stats {
    uint64_t reports, rows; /* in the database */
    uint64_t waiting;
    uint64_t batches_total, failures_total, conflicts_total;
};
void historian_stats_get(struct historian *historian, struct historian_stats *out);

#endif
