#include "node/historian.h"

#include "base/assert.h"
#include "base/log.h"
#include "crypto/random.h"
#include "node/tally.h"
#include "store/history.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#define COMPONENT         "history"
#define DELIVERY_RETRY_NS 10000000

struct historian {
    struct historian_options options;
    struct history *history;
    pthread_t thread;
    pthread_mutex_t lock;
    pthread_cond_t wake;
    /* under the lock */
    struct historian_job *first, **last;
    struct tally waiting;
    struct tallies gateways; /* what is waiting, by gateway */
    bool is_stopping;
    struct historian_stats stats;
    /* the thread's own */
    bool is_failing; /* the last batch failed: said once in the log */
};

/* Copies bytes into the job's memory, which was measured to hold them. */
static struct bytes copy_into(uint8_t **at, struct bytes b)
{
    uint8_t *p = *at;
    if (b.n != 0)
        memcpy(p, b.p, b.n);
    *at += b.n;
    return bytes_of(p, b.n);
}

int historian_job_new(const struct device_report *report, struct historian_job **out)
{
    size_t rows = report->head.rows;
    size_t text =
        report->head.gateway.n + report->head.topic.n + report->account.n + report->json.n;
    for (size_t i = 0; i < rows; i++) {
        const struct row *row = &report->rows[i];
        text += row->device.n + row->service.n + row->name.n + row->unit.n + row->value.n;
    }
    size_t size = sizeof(struct historian_job) + rows * sizeof(struct row) + text;
    struct historian_job *job = malloc(size);
    if (job == NULL)
        return SEALMQ_E_NOMEM;
    *job = (struct historian_job){.report = *report, .size_bytes = size};
    struct row *copies = (struct row *)(job + 1);
    uint8_t *at = (uint8_t *)(copies + rows);
    job->report.head.gateway = copy_into(&at, report->head.gateway);
    job->report.head.topic = copy_into(&at, report->head.topic);
    job->report.account = copy_into(&at, report->account);
    job->report.json = copy_into(&at, report->json);
    job->report.rows = copies;
    for (size_t i = 0; i < rows; i++) {
        const struct row *row = &report->rows[i];
        copies[i] = *row;
        copies[i].device = copy_into(&at, row->device);
        copies[i].service = copy_into(&at, row->service);
        copies[i].name = copy_into(&at, row->name);
        copies[i].unit = copy_into(&at, row->unit);
        copies[i].value = copy_into(&at, row->value);
    }
    ASSERT((size_t)(at - (uint8_t *)job) == size);
    *out = job;
    return 0;
}

void historian_job_free(struct historian_job *job)
{
    free(job);
}

int historian_submit(struct historian *historian, struct historian_job *job)
{
    static const struct tally most = {HISTORIAN_REPORTS_MAX, HISTORIAN_BYTES_MAX};
    static const struct tally share = {HISTORIAN_REPORTS_MAX / HISTORIAN_SHARE,
                                       HISTORIAN_BYTES_MAX / HISTORIAN_SHARE};
    int error = 0;
    pthread_mutex_lock(&historian->lock);
    struct tally *own = tallies_of(&historian->gateways, job->report.head.gateway);
    if (historian->is_stopping || !tally_has_room(&historian->waiting, &most, job->size_bytes) ||
        !tally_has_room(own, &share, job->size_bytes)) {
        error = SEALMQ_E_BUSY;
    } else {
        job->historian = historian;
        job->next = NULL;
        *historian->last = job;
        historian->last = &job->next;
        tally_add(&historian->waiting, job->size_bytes);
        tally_add(own, job->size_bytes);
        pthread_cond_signal(&historian->wake);
    }
    pthread_mutex_unlock(&historian->lock);
    return error;
}

/* Waits for jobs and takes up to a batch of them; NULL when stopping and nothing is left. */
static struct historian_job *take_batch(struct historian *historian)
{
    pthread_mutex_lock(&historian->lock);
    while (historian->first == NULL && !historian->is_stopping)
        pthread_cond_wait(&historian->wake, &historian->lock);
    struct historian_job *batch = historian->first;
    struct historian_job **end = &historian->first;
    for (size_t n = 0; n < HISTORIAN_BATCH_MAX && *end != NULL; n++) {
        struct tally *own = tallies_of(&historian->gateways, (*end)->report.head.gateway);
        tally_take(&historian->waiting, (*end)->size_bytes);
        tally_take(own, (*end)->size_bytes);
        end = &(*end)->next;
    }
    if (batch != NULL) {
        historian->first = *end;
        *end = NULL;
        if (historian->first == NULL)
            historian->last = &historian->first;
    }
    pthread_mutex_unlock(&historian->lock);
    return batch;
}

/* What history_add says of one report, with nothing of it stored: no matter to those beside it, or
 * one gateway could have the reports of all others refused. */
static bool is_of_report(int error)
{
    switch (error) {
    case SEALMQ_E_EXISTS:
    case SEALMQ_E_CONFLICT:
    case SEALMQ_E_ARG:
    case SEALMQ_E_LIMIT:
    case SEALMQ_E_PARSE:
    case SEALMQ_E_TYPE:
        return true;
    default:
        return false;
    }
}

/* Adds every job of the batch; an error here is the batch's, not a job's. */
static int add_batch(struct history *history, struct historian_job *batch)
{
    for (struct historian_job *job = batch; job != NULL; job = job->next) {
        const struct history_report report = {
            .head = job->report.head,
            .hash = job->report.hash,
            .signature = job->report.signature,
            .account = job->report.account,
            .received_us = job->received_us,
            .rows = job->report.rows,
        };
        job->error = history_add(history, &report, &job->recorded);
        if (job->error != 0 && !is_of_report(job->error))
            return job->error;
    }
    return 0;
}

static int store_batch(struct history *history, struct historian_job *batch)
{
    int error = history_begin(history);
    if (error != 0)
        return error;
    error = add_batch(history, batch);
    if (error == 0)
        error = history_commit(history);
    if (error != 0)
        history_rollback(history);
    return error;
}

static void note_outcome(struct historian *historian, int error)
{
    if (error != 0 && !historian->is_failing)
        log_error(COMPONENT,
                  "reports cannot be stored: %s; they are refused, and gateways keep them and send "
                  "them again",
                  sealmq_error_text(error));
    if (error == 0 && historian->is_failing)
        log_info(COMPONENT, "reports are stored again");
    historian->is_failing = error != 0;
}

static void count_batch(struct historian *historian, const struct historian_job *batch, int error)
{
    pthread_mutex_lock(&historian->lock);
    historian->stats.batches_total++;
    if (error != 0)
        historian->stats.failures_total++;
    for (const struct historian_job *job = batch; error == 0 && job != NULL; job = job->next) {
        if (job->error == 0) {
            historian->stats.reports++;
            historian->stats.rows += job->report.head.rows;
        } else if (job->error == SEALMQ_E_CONFLICT) {
            historian->stats.conflicts_total++;
        }
    }
    pthread_mutex_unlock(&historian->lock);
}

static void free_jobs(struct historian_job *job)
{
    while (job != NULL) {
        struct historian_job *next = job->next;
        historian_job_free(job);
        job = next;
    }
}

/* On the worker: the list of its jobs, each handed to `done`. */
static void deliver(void *worker_context, void *arg)
{
    struct historian_job *job = arg;
    while (job != NULL) {
        struct historian_job *next = job->next;
        job->historian->options.done(worker_context, job);
        job = next;
    }
}

/* Sends the jobs of one worker, which it takes out of the batch, home in one delivery. */
static void deliver_to(struct net_worker *worker, struct historian_job **batch)
{
    struct historian_job *first = NULL, **last = &first, **at = batch;
    while (*at != NULL) {
        struct historian_job *job = *at;
        if (job->worker != worker) {
            at = &job->next;
            continue;
        }
        *at = job->next;
        job->next = NULL;
        *last = job;
        last = &job->next;
    }
    /* A report without an answer would hold up all acknowledgements of its client: it waits for
     * memory, and those behind it with it. */
    int error;
    while ((error = net_worker_post(worker, deliver, first)) == SEALMQ_E_NOMEM)
        nanosleep(&(struct timespec){.tv_nsec = DELIVERY_RETRY_NS}, NULL);
    if (error != 0)
        free_jobs(first); /* the worker has stopped, and its clients are gone */
}

static void *historian_main(void *arg)
{
    struct historian *historian = arg;
    struct historian_job *batch;
    while ((batch = take_batch(historian)) != NULL) {
        int error = store_batch(historian->history, batch);
        for (struct historian_job *job = batch; error != 0 && job != NULL; job = job->next)
            job->error = error;
        note_outcome(historian, error);
        count_batch(historian, batch, error);
        while (batch != NULL)
            deliver_to(batch->worker, &batch);
    }
    return NULL;
}

int historian_new(const struct historian_options *options, struct historian **out, char *why,
                  size_t why_size)
{
    struct historian *historian = calloc(1, sizeof *historian);
    if (historian == NULL)
        return SEALMQ_E_NOMEM;
    historian->options = *options;
    historian->last = &historian->first;
    random_bytes(&historian->gateways.seed, sizeof historian->gateways.seed);
    int error = history_open(options->path, HISTORY_WRITE, &historian->history, why, why_size);
    if (error == 0)
        error =
            history_totals(historian->history, &historian->stats.reports, &historian->stats.rows);
    if (error != 0) {
        history_close(historian->history);
        free(historian);
        return error;
    }
    pthread_mutex_init(&historian->lock, NULL);
    pthread_cond_init(&historian->wake, NULL);
    if (pthread_create(&historian->thread, NULL, historian_main, historian) != 0) {
        history_close(historian->history);
        free(historian);
        return SEALMQ_E_NOMEM;
    }
    pthread_setname_np(historian->thread, "history");
    *out = historian;
    return 0;
}

void historian_free(struct historian *historian)
{
    if (historian == NULL)
        return;
    pthread_mutex_lock(&historian->lock);
    historian->is_stopping = true;
    pthread_cond_signal(&historian->wake);
    pthread_mutex_unlock(&historian->lock);
    pthread_join(historian->thread, NULL);
    history_close(historian->history);
    pthread_cond_destroy(&historian->wake);
    pthread_mutex_destroy(&historian->lock);
    free(historian);
}

void historian_stats_get(struct historian *historian, struct historian_stats *out)
{
    pthread_mutex_lock(&historian->lock);
    *out = historian->stats;
    out->waiting = historian->waiting.items;
    pthread_mutex_unlock(&historian->lock);
}
