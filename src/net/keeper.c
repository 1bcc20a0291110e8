#include "net/keeper.h"

#include "base/assert.h"
#include "base/log.h"
#include "store/session_store.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

#define COMPONENT    "sessions"
#define PATH_MOST    4096
#define RETRY_S      1
#define LAST_TRIES   3 /* when the server stops */
#define SAY_AFTER_S  5 /* when the server stops */
#define LAZY_NS      200000000
#define FINISH_TURNS 1000
#define NS_PER_S     1000000000L
#define SHARDS_MOST  64

struct shard_slot {
    struct broker_journal *submitted, *stored;
};

struct keeper {
    struct keeper_options options;
    char path[PATH_MOST];
    struct session_store *store;
    pthread_t thread;
    bool has_thread;
    pthread_mutex_t lock;
    pthread_cond_t wake, over;
    /* under the lock */
    bool is_stopping;
    bool is_over; /* the thread will not be held up any more */
    struct shard_slot slots[SHARDS_MOST];
    /* read by anybody */
    atomic_bool is_failing;
    _Atomic uint64_t commits;
};

uint64_t keeper_wall_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000 + (uint64_t)t.tv_nsec / 1000000;
}

/* The pauses of a lazy keeper go by a clock that nobody sets. */
static void init_lock(struct keeper *keeper)
{
    pthread_condattr_t attributes;
    ASSERT(pthread_mutex_init(&keeper->lock, NULL) == 0);
    ASSERT(pthread_condattr_init(&attributes) == 0);
    ASSERT(pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC) == 0);
    ASSERT(pthread_cond_init(&keeper->wake, &attributes) == 0);
    ASSERT(pthread_cond_init(&keeper->over, &attributes) == 0);
    pthread_condattr_destroy(&attributes);
}

int keeper_new(const struct keeper_options *options, struct keeper **out, char *why,
               size_t why_size)
{
    ASSERT(options->shards <= SHARDS_MOST);
    *out = NULL;
    if (mkdir(options->folder, 0700) != 0 && errno != EEXIST) {
        snprintf(why, why_size, "%s: cannot be made: %s", options->folder, strerror(errno));
        return SEALMQ_E_IO;
    }
    struct keeper *keeper = calloc(1, sizeof *keeper);
    if (keeper == NULL)
        return SEALMQ_E_NOMEM;
    keeper->options = *options;
    keeper->options.folder = NULL;
    int n = snprintf(keeper->path, sizeof keeper->path, "%s/" KEEPER_FILE, options->folder);
    if (n < 0 || (size_t)n >= sizeof keeper->path) {
        snprintf(why, why_size, "%s: the path is too long", options->folder);
        free(keeper);
        return SEALMQ_E_ARG;
    }
    int error = session_store_open(keeper->path, !options->is_lazy, &keeper->store, why, why_size);
    if (error != 0) {
        free(keeper);
        return error;
    }
    init_lock(keeper);
    *out = keeper;
    return 0;
}

void keeper_free(struct keeper *keeper)
{
    if (keeper == NULL)
        return;
    ASSERT(!keeper->has_thread);
    for (unsigned i = 0; i < keeper->options.shards; i++) {
        broker_journal_free(keeper->slots[i].submitted);
        broker_journal_free(keeper->slots[i].stored);
    }
    session_store_close(keeper->store);
    pthread_mutex_destroy(&keeper->lock);
    pthread_cond_destroy(&keeper->wake);
    pthread_cond_destroy(&keeper->over);
    free(keeper);
}

/* Each shard tells the others its filters, before anybody publishes. False when nothing moved. */
static bool carry_parcels(struct broker *const *shards, unsigned count, uint64_t now_ms)
{
    bool any = false;
    for (unsigned from = 0; from < count; from++) {
        for (unsigned to = 0; to < count; to++) {
            struct broker_parcel *parcels = broker_take_parcels(shards[from], to);
            if (parcels == NULL)
                continue;
            broker_deliver_parcels(shards[to], parcels, now_ms);
            any = true;
        }
    }
    return any;
}

int keeper_load(struct keeper *keeper, struct broker *const *shards, uint64_t now_ms,
                _Atomic uint64_t *retained_counter, char *why, size_t why_size)
{
    uint64_t wall_ms = keeper_wall_ms();
    uint64_t begin_ms = wall_ms;
    struct session_store_target target = {
        .shards = shards,
        .shard_count = keeper->options.shards,
        .wall_offset_ms = (int64_t)(wall_ms - now_ms),
        .now_ms = now_ms,
        .retained_counter = retained_counter,
    };
    struct session_store_loaded loaded;
    for (unsigned i = 0; i < keeper->options.shards; i++)
        broker_set_wall_clock(shards[i], wall_ms, now_ms);
    int error = session_store_load(keeper->store, &target, &loaded);
    if (error != 0) {
        snprintf(why, why_size, "%s: %s%s", keeper->path, sealmq_error_text(error),
                 error == SEALMQ_E_CORRUPT
                     ? ": put a backup in its place, or move it away to begin without sessions"
                     : "");
        return error;
    }
    for (unsigned turns = 0; turns < FINISH_TURNS; turns++) {
        if (!carry_parcels(shards, keeper->options.shards, now_ms))
            break;
    }
    log_info(COMPONENT,
             "%s: %llu sessions, %llu subscriptions, %llu messages waiting, %llu under way, "
             "%llu retained, in %llu ms",
             keeper->path, (unsigned long long)loaded.sessions,
             (unsigned long long)loaded.subscriptions, (unsigned long long)loaded.queued,
             (unsigned long long)loaded.inflight, (unsigned long long)loaded.retained,
             (unsigned long long)(keeper_wall_ms() - begin_ms));
    return 0;
}

/* ---- the thread ---- */

static int commit(struct keeper *keeper, struct broker_journal *const *journals, size_t count)
{
    int error = session_store_commit(keeper->store, journals, count);
    bool was_failing = atomic_exchange(&keeper->is_failing, error != 0);
    if (was_failing != (error != 0))
        health_set(keeper->options.health, error == 0 ? NULL : "cannot be written, see the log");
    if (error != 0 && !was_failing)
        log_error(COMPONENT,
                  "%s: cannot be written: %s%s. Clients wait for their acknowledgements; it is "
                  "tried again every second",
                  keeper->path, sealmq_error_text(error),
                  error == SEALMQ_E_FULL ? ": make room on its disk" : "");
    else if (error == 0 && was_failing)
        log_info(COMPONENT, "%s: is written again", keeper->path);
    if (error == 0)
        atomic_fetch_add(&keeper->commits, 1);
    return error;
}

/* Under the lock: until the time is up, or the server stops. */
static void wait_for(struct keeper *keeper, long ns)
{
    struct timespec until;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_nsec += ns;
    until.tv_sec += until.tv_nsec / NS_PER_S;
    until.tv_nsec %= NS_PER_S;
    while (!keeper->is_stopping &&
           pthread_cond_timedwait(&keeper->wake, &keeper->lock, &until) != ETIMEDOUT)
        continue;
}

/* Gathers what is submitted; 0 when stopping and there is nothing. */
static size_t gather(struct keeper *keeper, struct broker_journal **journals, unsigned *shards)
{
    size_t count = 0;
    pthread_mutex_lock(&keeper->lock);
    for (;;) {
        for (unsigned i = 0; i < keeper->options.shards; i++) {
            if (keeper->slots[i].submitted == NULL)
                continue;
            journals[count] = keeper->slots[i].submitted;
            shards[count++] = i;
            keeper->slots[i].submitted = NULL;
        }
        if (count != 0 || keeper->is_stopping)
            break;
        pthread_cond_wait(&keeper->wake, &keeper->lock);
    }
    pthread_mutex_unlock(&keeper->lock);
    return count;
}

/* False when it was given up, because the server stops. */
static bool commit_until_done(struct keeper *keeper, struct broker_journal *const *journals,
                              size_t count)
{
    for (int last_tries = 0; commit(keeper, journals, count) != 0;) {
        pthread_mutex_lock(&keeper->lock);
        if (keeper->is_stopping)
            last_tries++;
        if (last_tries <= LAST_TRIES) {
            struct timespec pause = {.tv_sec = RETRY_S};
            pthread_mutex_unlock(&keeper->lock);
            nanosleep(&pause, NULL);
            continue;
        }
        pthread_mutex_unlock(&keeper->lock);
        return false;
    }
    return true;
}

static void *keeper_main(void *argument)
{
    struct keeper *keeper = argument;
    struct broker_journal *journals[SHARDS_MOST];
    unsigned shards[SHARDS_MOST];
    size_t count;
    pthread_setname_np(pthread_self(), "sealmq-keeper");
    while ((count = gather(keeper, journals, shards)) != 0) {
        bool is_done = commit_until_done(keeper, journals, count);
        pthread_mutex_lock(&keeper->lock);
        for (size_t i = 0; i < count; i++) {
            struct shard_slot *slot = &keeper->slots[shards[i]];
            *(is_done ? &slot->stored : &slot->submitted) = journals[i];
        }
        if (keeper->options.is_lazy)
            wait_for(keeper, LAZY_NS);
        pthread_mutex_unlock(&keeper->lock);
        if (!is_done)
            break;
        for (size_t i = 0; i < count; i++)
            keeper->options.stored(keeper->options.context, shards[i]);
    }
    pthread_mutex_lock(&keeper->lock);
    keeper->is_over = true;
    pthread_cond_signal(&keeper->over);
    pthread_mutex_unlock(&keeper->lock);
    return NULL;
}

int keeper_start(struct keeper *keeper)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&keeper->thread, NULL, keeper_main, keeper);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    keeper->has_thread = rc == 0;
    return rc == 0 ? 0 : SEALMQ_E_IO;
}

void keeper_submit(struct keeper *keeper, unsigned shard, struct broker_journal *journal)
{
    pthread_mutex_lock(&keeper->lock);
    ASSERT(keeper->slots[shard].submitted == NULL && keeper->slots[shard].stored == NULL);
    keeper->slots[shard].submitted = journal;
    pthread_cond_signal(&keeper->wake);
    pthread_mutex_unlock(&keeper->lock);
}

struct broker_journal *keeper_take_stored(struct keeper *keeper, unsigned shard)
{
    pthread_mutex_lock(&keeper->lock);
    struct broker_journal *journal = keeper->slots[shard].stored;
    keeper->slots[shard].stored = NULL;
    pthread_mutex_unlock(&keeper->lock);
    return journal;
}

/* ---- the end ---- */

/* One round: what is stored goes back, parcels are carried, and the next journals are stored. False
 * when nothing is left, or nothing can be done. */
static bool finish_once(struct keeper *keeper, struct broker *const *shards, uint64_t now_ms)
{
    bool any = false;
    for (unsigned i = 0; i < keeper->options.shards; i++) {
        struct shard_slot *slot = &keeper->slots[i];
        if (slot->submitted != NULL)
            return false; /* was given up */
        if (slot->stored != NULL)
            broker_stored(shards[i], slot->stored, now_ms);
        slot->stored = NULL;
    }
    any = carry_parcels(shards, keeper->options.shards, now_ms);
    for (unsigned i = 0; i < keeper->options.shards; i++) {
        broker_set_wall_clock(shards[i], keeper_wall_ms(), now_ms);
        struct broker_journal *journal = broker_take_journal(shards[i]);
        if (journal == NULL)
            continue;
        any = true;
        bool is_done = commit_until_done(keeper, &journal, 1);
        *(is_done ? &keeper->slots[i].stored : &keeper->slots[i].submitted) = journal;
        if (!is_done) /* the others' turn would take as long, and end the same way */
            return false;
    }
    return any;
}

/* A disk that never answers holds the thread up for ever; who waits is told how to wait no more. */
static void join(struct keeper *keeper)
{
    struct timespec until;
    int error = 0;
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += SAY_AFTER_S;
    pthread_mutex_lock(&keeper->lock);
    while (!keeper->is_over && error != ETIMEDOUT)
        error = pthread_cond_timedwait(&keeper->over, &keeper->lock, &until);
    bool is_over = keeper->is_over;
    pthread_mutex_unlock(&keeper->lock);
    if (!is_over)
        log_warn(COMPONENT,
                 "%s: the disk has not answered for %d s; this waits for it. A second signal ends "
                 "at once: nothing is lost that was acknowledged, unless durability is lazy",
                 keeper->path, SAY_AFTER_S);
    pthread_join(keeper->thread, NULL);
}

void keeper_finish(struct keeper *keeper, struct broker *const *shards, uint64_t now_ms)
{
    pthread_mutex_lock(&keeper->lock);
    keeper->is_stopping = true;
    pthread_cond_signal(&keeper->wake);
    pthread_mutex_unlock(&keeper->lock);
    if (keeper->has_thread)
        join(keeper);
    keeper->has_thread = false;
    for (unsigned turns = 0; turns < FINISH_TURNS; turns++) {
        if (!finish_once(keeper, shards, now_ms))
            break;
    }
    if (keeper_is_failing(keeper))
        log_error(COMPONENT,
                  "%s: the last changes could not be written; nothing of them was "
                  "acknowledged, unless durability is lazy",
                  keeper->path);
}

bool keeper_is_failing(const struct keeper *keeper)
{
    return atomic_load(&keeper->is_failing);
}

uint64_t keeper_commits(const struct keeper *keeper)
{
    return atomic_load(&keeper->commits);
}
