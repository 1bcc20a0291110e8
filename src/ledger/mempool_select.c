/* Choosing the requests of a block.
 *
 * Senders take turns, the one whose next request waits longest first: each turn gives a sender one
 * request, so that many requests of one do not keep out the first of another. Within a sender the
 * numbers decide; a request that cannot be executed yet (its interval does not join on, its items
 * are described by a higher number) is passed over and tried once more when the turns are over.
 *
 * Every candidate is executed tentatively. What fails for good on that state may still be fine on
 * the chain's own (where the requests chosen before it are not executed), so it is only dropped
 * after it failed there too. */
#include "ledger/mempool_int.h"

#include "base/assert.h"

#include <stdlib.h>

#define SWEEPS 2

enum outcome { WAITING, CHOSEN, FAILED };

/* A sender's turns: the next place in its entries, and what became of those before it. */
struct turn {
    struct pool_sender *sender;
    uint64_t arrival; /* of its first entry */
    size_t at;
    bool is_over;
    uint8_t outcomes[MEMPOOL_SENDER_REQUESTS_MAX];
};

struct selection {
    struct chain *chain;
    struct turn *turns;
    size_t turn_count;
    size_t bytes_left, count_left;
    struct bytes *out;
    size_t count;
};

static int compare_turns(const void *a, const void *b)
{
    const struct turn *x = a;
    const struct turn *y = b;
    return x->arrival < y->arrival ? -1 : x->arrival > y->arrival;
}

static int start(struct selection *s, const struct mempool *pool)
{
    size_t n = HASH_COUNT(pool->senders);
    s->turns = calloc(n == 0 ? 1 : n, sizeof(*s->turns));
    if (s->turns == NULL)
        return SEALMQ_E_NOMEM;
    for (struct pool_sender *p = pool->senders; p != NULL; p = p->hh.next) {
        ASSERT(p->n != 0);
        s->turns[s->turn_count++] = (struct turn){.sender = p, .arrival = p->entries[0]->arrival};
    }
    qsort(s->turns, s->turn_count, sizeof(*s->turns), compare_turns);
    return 0;
}

/* Gives the sender its turn: chooses at most one request. SEALMQ_E_NOMEM ends the selection. */
static int take_turn(struct selection *s, struct turn *turn)
{
    struct pool_sender *sender = turn->sender;
    for (; turn->at < sender->n; turn->at++) {
        if (turn->outcomes[turn->at] != WAITING)
            continue;
        const struct request *request = &sender->entries[turn->at]->request;
        size_t size = block_request_size(request->wire.n);
        if (size > s->bytes_left)
            break; /* later numbers do not overtake it */
        int error = chain_execute(s->chain, request);
        if (error == SEALMQ_E_NOMEM)
            return error;
        if (error == 0) {
            turn->outcomes[turn->at++] = CHOSEN;
            s->out[s->count++] = request->wire;
            s->bytes_left -= size;
            s->count_left--;
            return 0;
        }
        if (!chain_error_may_pass(error))
            turn->outcomes[turn->at] = FAILED;
    }
    turn->is_over = true;
    return 0;
}

/* Turns until nobody has anything left that executes. */
static int sweep(struct selection *s)
{
    for (size_t i = 0; i < s->turn_count; i++) {
        s->turns[i].at = 0;
        s->turns[i].is_over = false;
    }
    for (bool again = true; again;) {
        again = false;
        for (size_t i = 0; i < s->turn_count && s->count_left > 0; i++) {
            if (s->turns[i].is_over)
                continue;
            int error = take_turn(s, &s->turns[i]);
            if (error != 0)
                return error;
            again = true;
        }
        if (s->count_left == 0)
            break;
    }
    return 0;
}

/* On the chain's own state again. Dropping an entry moves those after it, so from the back. */
static void drop_failed(const struct selection *s, struct mempool *pool)
{
    for (size_t i = 0; i < s->turn_count; i++) {
        const struct turn *turn = &s->turns[i];
        struct pool_sender *sender = turn->sender;
        for (size_t at = sender->n; at-- > 0;) {
            struct pool_entry *entry = sender->entries[at];
            if (turn->outcomes[at] != FAILED)
                continue;
            int error = chain_check_request(s->chain, &entry->request);
            bool is_last = sender->n == 1;
            if (error != 0 && !chain_error_may_pass(error))
                mempool_drop(pool, entry);
            if (is_last)
                break; /* the sender may be gone with it */
        }
    }
    mempool_update_oldest(pool);
}

int mempool_select(struct mempool *pool, struct chain *chain, size_t max_bytes, size_t max_count,
                   struct bytes *out, size_t *count)
{
    *count = 0;
    /* Signatures of a key that is no longer valid, and numbers used since, go first. */
    mempool_prune(pool, chain);
    struct selection s = {
        .chain = chain, .bytes_left = max_bytes, .count_left = max_count, .out = out};
    int error = start(&s, pool);
    if (error != 0)
        return error;
    chain_begin(chain);
    for (int i = 0; i < SWEEPS && error == 0; i++)
        error = sweep(&s);
    chain_rollback(chain);
    /* What was chosen before memory ran out is a good choice too. */
    if (error == 0 || s.count > 0) {
        drop_failed(&s, pool);
        *count = s.count;
        error = 0;
    }
    free(s.turns);
    return error;
}
