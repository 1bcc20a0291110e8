/* Makes proof files from a block store and a history: what `sealmq proof` writes. A proof shows the
 * state as it was at its block: it is made again from the snapshot before that. */
#ifndef SEALMQ_STORE_PROVE_H
#define SEALMQ_STORE_PROVE_H

#include "store/blocks.h"
#include "store/history.h"

/* A block and its certificate (may be NULL), appended, as block_store_get; the genesis block, which
 * every node makes itself and no store keeps, included. */
SEALMQ_MUST_CHECK int prove_read_block(struct block_store *store, const struct genesis *genesis,
                                       uint64_t height, struct buf *block, struct buf *certificate);

/* All append the proof file to `out`. SEALMQ_E_NOTFOUND (no such block, record, row, or no leaf for
 * it yet), SEALMQ_E_AGAIN (no checkpoint with a quorum covers the block yet), SEALMQ_E_CONFLICT
 * (what is stored is not what the chain says), SEALMQ_E_CORRUPT; `why` has the words. */
SEALMQ_MUST_CHECK int prove_block(struct block_store *store, const struct genesis *genesis,
                                  uint64_t height, struct buf *out, char *why, size_t why_size);
/* Record `record` of request `request` of the block at `height`, all from 0. */
SEALMQ_MUST_CHECK int prove_record(struct block_store *store, const struct genesis *genesis,
                                   uint64_t height, uint32_t request, uint32_t record,
                                   struct buf *out, char *why, size_t why_size);
/* Row `row` (from 0) of report (gateway, n). */
SEALMQ_MUST_CHECK int prove_row(struct block_store *store, struct history *history,
                                const struct genesis *genesis, struct bytes gateway, uint64_t n,
                                uint32_t row, struct buf *out, char *why, size_t why_size);
/* That the log of its first `old_size` headers has grown into the newest checkpoint with a quorum:
 * a consistency proof file (ledger/consistency.h). SEALMQ_E_NOTFOUND (0, or more than it covers),
 * _AGAIN (no checkpoint yet), _CONFLICT, _CORRUPT; NOTFOUND, too, when older headers are not here.
 */
SEALMQ_MUST_CHECK int prove_consistency(struct block_store *store, uint64_t old_size,
                                        struct buf *out, char *why, size_t why_size);
/* The newest record that a checkpoint covers and whose item was described in an earlier block.
 * SEALMQ_E_NOTFOUND. */
SEALMQ_MUST_CHECK int prove_find_newest_record(struct block_store *store, uint64_t *height,
                                               uint32_t *request, uint32_t *record, char *why,
                                               size_t why_size);

#endif
