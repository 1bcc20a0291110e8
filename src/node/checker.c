/* Two queues and a list of results under one lock; what is being checked, and what was found good,
 * is the owner's own. Threads take a few requests at a time, so that lock and wake-up are paid for
 * several of them. */
#include "node/checker.h"

#include "base/assert.h"

#include <pthread.h>
#include <stdlib.h>
#include <unistd.h>

/* A failed HASH_ADD leaves hh.tbl NULL instead of ending the program. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#define CHECKS_A_TURN 8

struct check {
    UT_hash_handle hh; /* the owner's */
    struct check *next;
    struct check_result result;
    struct signature signature;
    size_t head_size;
    uint8_t head[];
};

struct check_queue {
    struct check *first, **last;
};

struct checker {
    struct checker_options options;
    pthread_t threads[CHECKER_THREADS_MAX];
    unsigned thread_count;
    /* the owner's */
    struct check *checks; /* by subject: all that were asked for and not told */
    struct check_subject *remembered;

    pthread_mutex_t lock;
    pthread_cond_t wake;
    struct check_queue urgent, ordinary, done;
    bool is_stopping;
};

static void queue_init(struct check_queue *queue)
{
    queue->first = NULL;
    queue->last = &queue->first;
}

static void queue_put(struct check_queue *queue, struct check *check)
{
    check->next = NULL;
    *queue->last = check;
    queue->last = &check->next;
}

static struct check *queue_take(struct check_queue *queue)
{
    struct check *check = queue->first;
    if (check == NULL)
        return NULL;
    queue->first = check->next;
    if (queue->first == NULL)
        queue->last = &queue->first;
    return check;
}

/* ---- the threads ---- */

static void verify(const struct checker *checker, struct check *check)
{
    struct request request = {.head = bytes_of(check->head, check->head_size)};
    check->result.error = request_verify(&request, &check->result.subject.key,
                                         checker->options.genesis, &check->signature);
}

static size_t take_some(struct checker *checker, struct check *taken[CHECKS_A_TURN])
{
    size_t count = 0;
    while (count < CHECKS_A_TURN) {
        struct check *check = queue_take(&checker->urgent);
        if (check == NULL)
            check = queue_take(&checker->ordinary);
        if (check == NULL)
            break;
        taken[count++] = check;
    }
    return count;
}

static void *checker_main(void *arg)
{
    struct checker *checker = arg;
    struct check *taken[CHECKS_A_TURN];
    pthread_mutex_lock(&checker->lock);
    while (!checker->is_stopping) {
        size_t count = take_some(checker, taken);
        if (count == 0) {
            pthread_cond_wait(&checker->wake, &checker->lock);
            continue;
        }
        pthread_mutex_unlock(&checker->lock);
        for (size_t i = 0; i < count; i++)
            verify(checker, taken[i]);
        pthread_mutex_lock(&checker->lock);
        for (size_t i = 0; i < count; i++)
            queue_put(&checker->done, taken[i]);
        checker->options.done(checker->options.context);
    }
    pthread_mutex_unlock(&checker->lock);
    return NULL;
}

/* ---- the owner ---- */

static unsigned thread_count(unsigned wanted)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    if (wanted == 0)
        wanted = processors > 0 ? (unsigned)processors : 1;
    return wanted < CHECKER_THREADS_MAX ? wanted : CHECKER_THREADS_MAX;
}

int checker_new(const struct checker_options *options, struct checker **out)
{
    *out = NULL;
    struct checker *checker = calloc(1, sizeof *checker);
    if (checker == NULL)
        return SEALMQ_E_NOMEM;
    checker->options = *options;
    pthread_mutex_init(&checker->lock, NULL);
    pthread_cond_init(&checker->wake, NULL);
    queue_init(&checker->urgent);
    queue_init(&checker->ordinary);
    queue_init(&checker->done);
    unsigned wanted = thread_count(options->threads);
    checker->remembered = calloc(CHECKER_REMEMBERED, sizeof *checker->remembered);
    while (checker->remembered != NULL && checker->thread_count < wanted) {
        pthread_t *thread = &checker->threads[checker->thread_count];
        if (pthread_create(thread, NULL, checker_main, checker) != 0)
            break;
        pthread_setname_np(*thread, "checker");
        checker->thread_count++;
    }
    if (checker->thread_count == 0) {
        checker_free(checker);
        return SEALMQ_E_NOMEM;
    }
    *out = checker;
    return 0;
}

void checker_free(struct checker *checker)
{
    if (checker == NULL)
        return;
    pthread_mutex_lock(&checker->lock);
    checker->is_stopping = true;
    pthread_cond_broadcast(&checker->wake);
    pthread_mutex_unlock(&checker->lock);
    for (unsigned i = 0; i < checker->thread_count; i++)
        pthread_join(checker->threads[i], NULL);
    struct check *check, *next;
    HASH_ITER (hh, checker->checks, check, next) {
        HASH_DEL(checker->checks, check);
        free(check);
    }
    pthread_cond_destroy(&checker->wake);
    pthread_mutex_destroy(&checker->lock);
    free(checker->remembered);
    free(checker);
}

/* Where a request is remembered. Its hash is of the sender's choosing only by trial, and all that
 * he wins is that one request is checked twice. */
static struct check_subject *place_of(const struct checker *checker, const struct hash *request)
{
    uint32_t number;
    memcpy(&number, request->b, sizeof number);
    return &checker->remembered[number % CHECKER_REMEMBERED];
}

static bool is_remembered(const struct checker *checker, const struct check_subject *subject)
{
    return memcmp(place_of(checker, &subject->request), subject, sizeof *subject) == 0;
}

int checker_ask(struct checker *checker, const struct request *request,
                const struct public_key *key, bool is_urgent)
{
    const struct check_subject subject = {request->hash, *key};
    struct check *check = NULL;
    if (is_remembered(checker, &subject))
        return 0;
    HASH_FIND(hh, checker->checks, &subject, sizeof subject, check);
    if (check != NULL)
        return SEALMQ_E_AGAIN;
    struct bytes list = request->signatures, signer;
    struct signature signature;
    if (!request_signatures_next(&list, &signer, &signature))
        return SEALMQ_E_SIGNATURE;
    check = malloc(sizeof *check + request->head.n);
    if (check == NULL)
        return SEALMQ_E_NOMEM;
    *check = (struct check){
        .result = {.subject = subject},
        .signature = signature,
        .head_size = request->head.n,
    };
    memcpy(check->head, request->head.p, request->head.n);
    HASH_ADD(hh, checker->checks, result.subject, sizeof subject, check);
    if (check->hh.tbl == NULL) {
        free(check);
        return SEALMQ_E_NOMEM;
    }
    pthread_mutex_lock(&checker->lock);
    queue_put(is_urgent ? &checker->urgent : &checker->ordinary, check);
    pthread_cond_signal(&checker->wake);
    pthread_mutex_unlock(&checker->lock);
    return SEALMQ_E_AGAIN;
}

size_t checker_count(const struct checker *checker)
{
    return HASH_COUNT(checker->checks);
}

bool checker_next(struct checker *checker, struct check_result *out)
{
    pthread_mutex_lock(&checker->lock);
    struct check *check = queue_take(&checker->done);
    pthread_mutex_unlock(&checker->lock);
    if (check == NULL)
        return false;
    ASSERT(checker->checks != NULL); /* it holds `check` */
    HASH_DEL(checker->checks, check);
    *out = check->result;
    free(check);
    if (out->error == 0)
        *place_of(checker, &out->subject.request) = out->subject;
    return true;
}
