/* A limit that all shards share: how much of something there may be in all.
 *
 * The pool counts what the shards have fetched from it; a shard fetches and returns in steps, so
 * that the counter which they share is touched rarely. What one shard has taken another may give
 * back (a message that changed hands): a shard's own numbers may be negative, their sum is right.
 *
 * Taking never fails: ask budget_has_room first where there is a way to refuse. The limit can be
 * passed by what other shards take between asking and taking. */
#ifndef SEALMQ_BROKER_BUDGET_H
#define SEALMQ_BROKER_BUDGET_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct budget {
    _Atomic uint64_t *pool; /* one for all shards; sum of `fetched` */
    uint64_t most;
    int64_t step;
    int64_t fetched, used; /* of this shard: used <= fetched */
};

/* `step` is what one shard may hold unused, about. With 1 the limit is exact. */
void budget_init(struct budget *budget, _Atomic uint64_t *pool, uint64_t most, uint64_t step);
/* Gives everything back. */
void budget_close(struct budget *budget);

/* Makes what is fetched fit what is used again; the two below call it. */
void budget_settle(struct budget *budget);

static inline void budget_take(struct budget *budget, uint64_t n)
{
    budget->used += (int64_t)n;
    if (budget->used > budget->fetched)
        budget_settle(budget);
}

static inline void budget_give(struct budget *budget, uint64_t n)
{
    budget->used -= (int64_t)n;
    if (budget->fetched - budget->used >= 2 * budget->step - 1)
        budget_settle(budget);
}

/* The same for what is counted elsewhere: this shard has `n`. */
static inline void budget_set(struct budget *budget, uint64_t n)
{
    if ((int64_t)n > budget->used)
        budget_take(budget, n - (uint64_t)budget->used);
    else if ((int64_t)n < budget->used)
        budget_give(budget, (uint64_t)budget->used - n);
}

/* What all shards have, about: of the others what they have fetched. */
static inline uint64_t budget_sum(const struct budget *budget)
{
    uint64_t pool = atomic_load_explicit(budget->pool, memory_order_relaxed);
    int64_t all = (int64_t)pool - budget->fetched + budget->used;
    return all < 0 ? 0 : (uint64_t)all;
}

/* Whether `n` more stay within `most`, the limit itself or a part of it. */
static inline bool budget_has_room(const struct budget *budget, uint64_t n, uint64_t most)
{
    return n <= most && budget_sum(budget) <= most - n;
}

#endif
