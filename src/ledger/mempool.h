/* Requests that wait to be put into a block: one for each sender and number, signatures checked,
 * bounded in count and bytes, in all and for each sender. */
#ifndef SEALMQ_LEDGER_MEMPOOL_H
#define SEALMQ_LEDGER_MEMPOOL_H

#include "ledger/chain.h"

struct mempool;

SEALMQ_MUST_CHECK int mempool_new(struct mempool **out);
void mempool_free(struct mempool *pool);

/* Copies the wire form of a request whose signatures were checked under the chain as it is.
 * SEALMQ_E_EXISTS (the same request), _CONFLICT (same number, another request), _REPLAY (already on
 * the chain), _LIMIT (number past the sender's window), _FULL; what request_decode says; and what
 * chain_check_request says of one that can never execute. */
SEALMQ_MUST_CHECK int mempool_add(struct mempool *pool, const struct chain *chain,
                                  struct bytes wire, uint64_t now_ms);
bool mempool_has(const struct mempool *pool, const struct hash *request_hash);
size_t mempool_count(const struct mempool *pool);
size_t mempool_bytes(const struct mempool *pool);
/* When the oldest request came that would execute on the chain as it is; UINT64_MAX when there is
 * none. One that waits for another (a gap in numbers or in a history) is no reason to doubt the
 * primary. */
uint64_t mempool_oldest_ms(const struct mempool *pool);

/* Chooses requests that execute one after another on the chain: senders in turn, oldest first, in
 * order of numbers for each, up to max_count (the room in `out`) and max_bytes of a block (see
 * block_request_size; from REQUEST_BYTES_MAX + 4 on none is ever too large). Those that can never
 * execute any more are dropped. The result borrows from the pool until its next change.
 * SEALMQ_E_NOMEM. */
SEALMQ_MUST_CHECK int mempool_select(struct mempool *pool, struct chain *chain, size_t max_bytes,
                                     size_t max_count, struct bytes *out, size_t *count);
/* Drops what the chain has executed since, and what can never execute any more. Call after each
 * block. */
void mempool_prune(struct mempool *pool, const struct chain *chain);
/* Calls fn for each waiting request, oldest first (for re-sending). */
void mempool_each(const struct mempool *pool, void (*fn)(void *context, struct bytes wire),
                  void *context);

#endif
