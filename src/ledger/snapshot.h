/* State snapshots (docs/spec/snapshot.md): the state after a block as bytes, from which a chain
 * goes on without the blocks before. Every node makes the same bytes of the same height.
 *
 *   manifest = "sealmq/snapshot/1" || 0x00 || genesis hash || str16 header || edge || leaves ||
 *              u64 entries || u32 chunks || chunks * (32 bytes SHA-256 of the chunk)
 *   edge     = that of the log of headers before the last JOIN_BLOCKS: popcount(base) * 32 bytes
 *   leaves   = of those last ones, this header's included: (height + 1 - base) * 32 bytes
 *   chunk    = n * (str16 key || str32 value)
 *
 * Entries are in strictly ascending order of their keys over all chunks. A chunk is full when the
 * next entry would make it longer than SNAPSHOT_CHUNK_BYTES.
 *
 * What makes a snapshot true is the next block's certified header: it names this header as its
 * parent, and the roots of this log and of this state. Nothing else in a snapshot need be believed.
 */
#ifndef SEALMQ_LEDGER_SNAPSHOT_H
#define SEALMQ_LEDGER_SNAPSHOT_H

#include "ledger/chain.h"

/* Nodes make one at heights that are a multiple of this. */
#define SNAPSHOT_INTERVAL     4096
#define SNAPSHOT_CHUNK_BYTES  (256 * 1024)
#define SNAPSHOT_CHUNKS_MAX   65536
#define SNAPSHOT_MANIFEST_MAX (4096 + HEADER_MAX + (SNAPSHOT_CHUNKS_MAX + JOIN_BLOCKS) * HASH_SIZE)

/* A decoded manifest: borrows from its bytes. */
struct snapshot {
    struct hash genesis;
    struct bytes header_wire;
    struct block_header header;
    struct hash header_hash;
    struct merkle_edge edge; /* of the log before `leaves` */
    struct bytes leaves;     /* hashes, one behind another: up to header.height + 1 in all */
    uint64_t entries;
    uint32_t chunk_count;
    struct bytes chunk_hashes;
};

/* SEALMQ_E_PARSE, _SHORT, _VERSION, _LIMIT. */
SEALMQ_MUST_CHECK int snapshot_decode(struct bytes manifest, struct snapshot *out);
/* 0 or SEALMQ_E_HASH; `at` < chunk_count. */
SEALMQ_MUST_CHECK int snapshot_check_chunk(const struct snapshot *snapshot, uint32_t at,
                                           struct bytes chunk);
/* Whether the header of the next block says that this snapshot's header and log are right (the
 * state follows from the entries, and chain_restore_end checks it). 0 or SEALMQ_E_HASH. */
SEALMQ_MUST_CHECK int snapshot_check_next(const struct snapshot *snapshot,
                                          const struct block_header *next);

/* Makes one of the chain as it is, not during tentative execution. `chunk` gets the chunks in
 * order, borrowed for the call; its error ends it. The manifest is appended. SEALMQ_E_NOMEM,
 * SEALMQ_E_LIMIT (SNAPSHOT_CHUNKS_MAX). */
typedef int (*snapshot_chunk_fn)(void *context, uint32_t at, struct bytes chunk);
SEALMQ_MUST_CHECK int snapshot_make(const struct chain *chain, snapshot_chunk_fn chunk,
                                    void *context, struct buf *manifest);

/* A chain that is being made of a snapshot, chunk by chunk. */
struct chain_restore;
/* `genesis` is copied; `snapshot` and what it borrows must stay until the end. SEALMQ_E_NETWORK
 * (another genesis), _NOMEM. */
SEALMQ_MUST_CHECK int chain_restore_begin(const struct genesis *genesis,
                                          const struct snapshot *snapshot,
                                          struct chain_restore **out);
/* The next chunk. SEALMQ_E_HASH, and SEALMQ_E_PARSE, _SHORT, _LIMIT, _TYPE, _CONFLICT for entries
 * that no state has. After an error only chain_restore_free is left. */
SEALMQ_MUST_CHECK int chain_restore_chunk(struct chain_restore *restore, struct bytes chunk);
/* All chunks were given: the chain, at the snapshot's height, once its state root is the one in
 * `next`, the header of the block after it. SEALMQ_E_COUNT (chunks or entries are missing), _HASH,
 * _PARSE, _NOMEM. That `next` is certified, by chain_validators of the result, is for the caller to
 * check. */
SEALMQ_MUST_CHECK int chain_restore_end(struct chain_restore *restore,
                                        const struct block_header *next, struct chain **out);
void chain_restore_free(struct chain_restore *restore);

#endif
