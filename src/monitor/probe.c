#include "monitor/probe.h"

#include "base/assert.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

/* Belongs to all who hold a reference: a worker that is late answers to one that nobody reads. */
struct probe {
    pthread_mutex_t lock;
    pthread_cond_t answered;
    unsigned references;
    unsigned waiting;
    struct timespec asked;
    struct probe_result result;
};

struct question {
    struct probe *probe;
    unsigned worker;
};

static void release(struct probe *probe) /* holds the lock, gives it back */
{
    bool is_last = --probe->references == 0;
    pthread_mutex_unlock(&probe->lock);
    if (!is_last)
        return;
    pthread_cond_destroy(&probe->answered);
    pthread_mutex_destroy(&probe->lock);
    free(probe);
}

static double seconds_since(const struct timespec *begin)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)(now.tv_sec - begin->tv_sec) + (double)(now.tv_nsec - begin->tv_nsec) / 1e9;
}

/* On the worker. */
static void on_question(void *worker_context, void *argument)
{
    struct question *question = argument;
    struct probe *probe = question->probe;
    (void)worker_context;
    pthread_mutex_lock(&probe->lock);
    probe->result.seconds[question->worker] = seconds_since(&probe->asked);
    probe->waiting--;
    pthread_cond_signal(&probe->answered);
    release(probe);
    free(question);
}

static void ask(struct probe *probe, struct net_server *server, unsigned worker)
{
    struct question *question = calloc(1, sizeof *question);
    if (question == NULL)
        return;
    *question = (struct question){probe, worker};
    pthread_mutex_lock(&probe->lock);
    probe->references++;
    probe->waiting++;
    pthread_mutex_unlock(&probe->lock);
    if (net_worker_post(net_server_worker(server, worker), on_question, question) == 0)
        return;
    free(question);
    pthread_mutex_lock(&probe->lock);
    probe->waiting--;
    release(probe);
}

static struct probe *probe_new(unsigned workers)
{
    struct probe *probe = calloc(1, sizeof *probe);
    pthread_condattr_t attributes;
    if (probe == NULL)
        return NULL;
    ASSERT(pthread_mutex_init(&probe->lock, NULL) == 0);
    ASSERT(pthread_condattr_init(&attributes) == 0);
    ASSERT(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0);
    ASSERT(pthread_cond_init(&probe->answered, &attributes) == 0);
    pthread_condattr_destroy(&attributes);
    probe->references = 1;
    probe->result.workers = workers;
    for (unsigned i = 0; i < workers; i++)
        probe->result.seconds[i] = -1;
    clock_gettime(CLOCK_MONOTONIC, &probe->asked);
    return probe;
}

int probe_workers(struct net_server *server, struct probe_result *out)
{
    unsigned workers = net_server_workers(server);
    ASSERT(workers <= PROBE_WORKERS_MAX);
    struct probe *probe = probe_new(workers);
    if (probe == NULL)
        return SEALMQ_E_NOMEM;
    for (unsigned i = 0; i < workers; i++)
        ask(probe, server, i);
    struct timespec until = probe->asked;
    until.tv_sec += PROBE_WAIT_MS / 1000;
    pthread_mutex_lock(&probe->lock);
    while (probe->waiting > 0 &&
           pthread_cond_timedwait(&probe->answered, &probe->lock, &until) != ETIMEDOUT)
        continue;
    *out = probe->result;
    release(probe);
    return 0;
}
