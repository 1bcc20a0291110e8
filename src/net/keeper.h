/* The storage thread of a server: takes the journals of all shards and commits them together, so
 * that one sync of the disk serves all that has come while the one before it was under way.
 *
 * A disk that is full or fails stops nothing but what needs it: the batch is tried again once a
 * second, clients wait for their acknowledgements, and what comes meanwhile is bounded by the
 * shards' limits. */
#ifndef SEALMQ_NET_KEEPER_H
#define SEALMQ_NET_KEEPER_H

#include "base/health.h"
#include "broker/broker.h"

#define KEEPER_FILE "sessions.db"

struct keeper;

struct keeper_options {
    const char *folder; /* made if it is missing; copied */
    bool is_lazy;       /* commits are some time apart, and need not survive a power cut */
    unsigned shards;
    struct health_part *health; /* borrowed, or NULL */
    /* On the keeper's thread: a journal of the shard is stored and can be taken back. */
    void (*stored)(void *context, unsigned shard);
    void *context;
};

/* Opens the file; no thread yet. As session_store_open. */
SEALMQ_MUST_CHECK int keeper_new(const struct keeper_options *options, struct keeper **out,
                                 char *why, size_t why_size);
void keeper_free(struct keeper *keeper); /* NULL is fine */

/* Before keeper_start: fills the shards, new ones, from the file. */
SEALMQ_MUST_CHECK int keeper_load(struct keeper *keeper, struct broker *const *shards,
                                  uint64_t now_ms, _Atomic uint64_t *retained_counter, char *why,
                                  size_t why_size);
SEALMQ_MUST_CHECK int keeper_start(struct keeper *keeper);

/* A journal of the shard, which has none here; and taking it back when it is stored, NULL before.
 * From the shard's thread. */
void keeper_submit(struct keeper *keeper, unsigned shard, struct broker_journal *journal);
struct broker_journal *keeper_take_stored(struct keeper *keeper, unsigned shard);

/* Ends the thread, and then stores what the shards, whose threads have ended, still have. What
 * cannot be stored within a few tries is said in the log. */
void keeper_finish(struct keeper *keeper, struct broker *const *shards, uint64_t now_ms);

/* Whether the last try to store has failed. From any thread. */
bool keeper_is_failing(const struct keeper *keeper);
uint64_t keeper_commits(const struct keeper *keeper);

/* What the wall clock shows, in milliseconds. */
uint64_t keeper_wall_ms(void);

#endif
