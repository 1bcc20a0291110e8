/* The block store: SQLite file blocks.db with blocks, commit certificates, checkpoints, snapshots
 * of the state and the PBFT slots, written in one transaction. Open with any SQLite tool:
 *   headers(height PRIMARY KEY, header_hash, header, certificate, time_us, requests, records, size,
 *           all_requests, all_records, all_size)
 *   bodies(height PRIMARY KEY, body)    blocks: a view of both
 *   checkpoints(size PRIMARY KEY, note)    slots(slot PRIMARY KEY, bytes)    meta(key, value)
 *   senders(id, name)    requests(sender, number, height, idx)
 *   intervals(gateway, from_n, to_n, height, idx, leaf)    resolved(gateway, n, height, idx, leaf)
 *   tiles(level, at, hashes)    snapshots(height, manifest)    chunks(height, at, entries)
 * Heights start at 1: the block at height 0 follows from the genesis and is not stored.
 * One thread at a time, except that another connection may read (WAL). */
#ifndef SEALMQ_STORE_BLOCKS_H
#define SEALMQ_STORE_BLOCKS_H

#include "ledger/block.h"
#include "ledger/snapshot.h"

#define BLOCK_STORE_SLOTS 8

struct block_store;

enum block_store_mode {
    BLOCK_STORE_CREATE, /* a new one for this genesis; SEALMQ_E_EXISTS */
    BLOCK_STORE_WRITE,  /* SEALMQ_E_NOTFOUND, SEALMQ_E_NETWORK (another genesis) */
    BLOCK_STORE_READ,
};

/* `folder` holds blocks.db. SEALMQ_E_IO, _FULL, _CORRUPT, with words that name the file in `why`.
 */
SEALMQ_MUST_CHECK int block_store_open(const char *folder, enum block_store_mode mode,
                                       const struct hash *genesis, struct block_store **out,
                                       char *why, size_t why_size);
/* A new one in place of one that was lost: as BLOCK_STORE_CREATE, and the slot says so from its
 * first moment. What a crash leaves has the slot, or is refused as corrupt. */
SEALMQ_MUST_CHECK int block_store_remake(const char *folder, const struct hash *genesis, int slot,
                                         struct bytes bytes, struct block_store **out, char *why,
                                         size_t why_size);
void block_store_close(struct block_store *store);

/* One atomic durable step: everything between begin and commit. The writer has the folder for
 * itself (SEALMQ_E_BUSY when opening). block_store_put_block takes the next height only
 * (SEALMQ_E_CONFLICT). */
SEALMQ_MUST_CHECK int block_store_begin(struct block_store *store);
/* The same, but not durable with its commit: only with the next one that is, or block_store_sync.
 * What a power cut then takes are the newest such steps, none in part and none in the midst. */
SEALMQ_MUST_CHECK int block_store_begin_lazy(struct block_store *store);
/* Makes durable what was committed. Outside of a step. SEALMQ_E_IO. */
SEALMQ_MUST_CHECK int block_store_sync(struct block_store *store);
SEALMQ_MUST_CHECK int block_store_put_block(struct block_store *store, struct bytes block,
                                            struct bytes certificate);
SEALMQ_MUST_CHECK int block_store_put_checkpoint(struct block_store *store, uint64_t size,
                                                 struct bytes note);
SEALMQ_MUST_CHECK int block_store_put_slot(struct block_store *store, int slot,
                                           struct bytes bytes); /* empty: remove */
/* The state of the chain as it is, whose tip is the newest block. Some of the older snapshots go:
 * the two newest are kept, and before them at most 32, evenly apart. */
SEALMQ_MUST_CHECK int block_store_put_snapshot(struct block_store *store,
                                               const struct chain *chain);
/* An empty store begins with this chain, which was made of a snapshot: its tip's header, the
 * snapshot, and the next header, which certifies it. SEALMQ_E_CONFLICT when there are blocks. */
SEALMQ_MUST_CHECK int block_store_begin_at(struct block_store *store, const struct chain *chain,
                                           struct bytes certificate, struct bytes next,
                                           struct bytes next_certificate);
/* The header before the lowest one, which names it as its parent; without its body.
 * SEALMQ_E_CONFLICT: it is another. */
SEALMQ_MUST_CHECK int block_store_put_header(struct block_store *store, struct bytes header,
                                             struct bytes certificate);
/* How long bodies are kept: until the first of these is exceeded. 0: no limit. */
struct block_store_retain {
    uint64_t blocks; /* this many newest ones */
    uint64_t bytes;  /* of their bodies */
    int64_t age_us;  /* by the time in their headers */
};
/* The lowest body, and the height from which on bodies need to be kept: above the lowest only when
 * some may go. It is one above a certified snapshot, so that a start does not need those before. */
SEALMQ_MUST_CHECK int block_store_prune_from(struct block_store *store,
                                             const struct block_store_retain *retain,
                                             int64_t now_us, uint64_t *lowest, uint64_t *from);
/* Removes the lowest bodies, `most` at most, that are below `from`; *lowest is the lowest that is
 * left. What SQLite gets back so it uses again: the file does not shrink. */
SEALMQ_MUST_CHECK int block_store_prune(struct block_store *store, uint64_t from, size_t most,
                                        uint64_t *lowest);
SEALMQ_MUST_CHECK int block_store_commit(struct block_store *store);
void block_store_rollback(struct block_store *store);

/* Reading. Results are appended to the buffers (certificate may be NULL). SEALMQ_E_NOTFOUND. */
/* 0 as long as there is none. */
SEALMQ_MUST_CHECK int block_store_tip(struct block_store *store, uint64_t *height);
/* The lowest heights of which header and body are here; one above the tip when none is. */
SEALMQ_MUST_CHECK int block_store_lowest(struct block_store *store, uint64_t *header,
                                         uint64_t *body);
/* Sums over the blocks whose bodies are or were here. */
struct block_store_totals {
    uint64_t requests, records;
    uint64_t bytes; /* of bodies */
};
SEALMQ_MUST_CHECK int block_store_totals(struct block_store *store, struct block_store_totals *out);
/* SEALMQ_E_NOTFOUND, too, when the body of the block is not here. */
SEALMQ_MUST_CHECK int block_store_get(struct block_store *store, uint64_t height, struct buf *block,
                                      struct buf *certificate);
SEALMQ_MUST_CHECK int block_store_get_header(struct block_store *store, uint64_t height,
                                             struct buf *header, struct buf *certificate);
/* The path of a header in the log of the first `size` headers, and that log's root; either may be
 * NULL. SEALMQ_E_NOTFOUND when headers that it takes are not here. */
SEALMQ_MUST_CHECK int block_store_prove_log(struct block_store *store, uint64_t height,
                                            uint64_t size, struct merkle_path *path,
                                            struct hash *root);
/* The consistency proof from the first `old_size` headers to the first `size` of them (0 < old_size
 * <= size), and the later log's root. SEALMQ_E_NOTFOUND as above. */
SEALMQ_MUST_CHECK int block_store_prove_growth(struct block_store *store, uint64_t old_size,
                                               uint64_t size, struct merkle_path *path,
                                               struct hash *root);
/* The manifest of the newest snapshot that is at or below `until`, and one of its chunks.
 * SEALMQ_E_NOTFOUND. */
SEALMQ_MUST_CHECK int block_store_get_snapshot(struct block_store *store, uint64_t until,
                                               uint64_t *height, struct buf *manifest);
SEALMQ_MUST_CHECK int block_store_get_chunk(struct block_store *store, uint64_t height, uint32_t at,
                                            struct buf *out);
/* The newest checkpoint, or the first whose size is at least min_size. */
SEALMQ_MUST_CHECK int block_store_checkpoint_newest(struct block_store *store, struct buf *note);
SEALMQ_MUST_CHECK int block_store_checkpoint_from(struct block_store *store, uint64_t min_size,
                                                  struct buf *note);
SEALMQ_MUST_CHECK int block_store_get_slot(struct block_store *store, int slot, struct buf *out);
/* Where a request was recorded: index(sender, number) -> height, index in block. */
SEALMQ_MUST_CHECK int block_store_find_request(struct block_store *store, struct bytes sender,
                                               uint64_t number, uint64_t *height, uint32_t *index);
/* Which DATA request's interval has a leaf for (gateway, n): the last one that does. */
SEALMQ_MUST_CHECK int block_store_find_leaf(struct block_store *store, struct bytes gateway,
                                            uint64_t n, uint64_t *height, uint32_t *request_index,
                                            uint32_t *leaf_index);

/* Rebuilds the chain from the store up to height `until` (UINT64_MAX: to the tip): from the newest
 * snapshot that serves, or from the genesis, and the blocks after it. The snapshot is held against
 * the certified header that follows it, every block and its certificate are checked; `progress` may
 * be NULL. On SEALMQ_E_CORRUPT `why` names the height. */
SEALMQ_MUST_CHECK int
block_store_load_chain(struct block_store *store, const struct genesis *genesis, uint64_t until,
                       struct chain **out,
                       void (*progress)(void *context, uint64_t height, uint64_t tip),
                       void *context, char *why, size_t why_size);

#endif
