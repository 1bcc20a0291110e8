/* The inside of the block store. For src/store/blocks*.c and the audit only.
 *
 *   blocks.c        opening, writing
 *   blocks_index.c  which rows of the index follow from a block
 *   blocks_read.c   reading
 *   blocks_load.c   the chain from the store, all that is read of it checked
 *   blocks_log.c    the log of headers: its tiles, and paths from them
 *   blocks_snapshot.c  snapshots of the state
 *   blocks_prune.c  letting old bodies go
 *   blocks_begin.c  beginning with a snapshot, and the headers before it
 *
 * Invariants:
 * 1. Headers start at 1 (the block at height 0 follows from the genesis), or higher up where the
 *    store began with a snapshot, and leave none out up to the tip. Bodies are a run that ends at
 *    the tip.
 * 2. The index (requests, intervals, resolved) holds what blocks_index_walk says of the blocks
 * whose bodies are or were here, no more and no less. Both writing and checking go by that one
 *    function.
 * 3. The tile (level, at) holds the roots of the complete subtrees of 256^level leaves from number
 *    256 * at on, all 256 of them. Level 0 has a tile for every such run of headers that is here,
 *    level 1 for every such run of tiles.
 * 4. all_requests, all_records and all_size of a header are the sums over the blocks up to it whose
 *    bodies are or were here. */
#ifndef SEALMQ_STORE_BLOCKS_INT_H
#define SEALMQ_STORE_BLOCKS_INT_H

#include "store/blocks.h"
#include "store/file.h"
#include "store/sqlite.h"

enum blocks_statement {
    BLOCKS_PUT_HEADER,
    BLOCKS_PUT_BODY,
    BLOCKS_PUT_CHECKPOINT,
    BLOCKS_PUT_SLOT,
    BLOCKS_REMOVE_SLOT,
    BLOCKS_PUT_SENDER,
    BLOCKS_PUT_REQUEST,
    BLOCKS_PUT_INTERVAL,
    BLOCKS_PUT_RESOLVED,
    BLOCKS_TIP,
    BLOCKS_LOWEST,
    BLOCKS_TOTALS,
    BLOCKS_GET,
    BLOCKS_GET_HEADER,
    BLOCKS_EACH,
    BLOCKS_PUT_TILE,
    BLOCKS_GET_TILE,
    BLOCKS_PUT_SNAPSHOT,
    BLOCKS_PUT_CHUNK,
    BLOCKS_SNAPSHOT_UNTIL,
    BLOCKS_GET_CHUNK,
    BLOCKS_THIN_CHUNKS,
    BLOCKS_THIN_SNAPSHOTS,
    BLOCKS_PUT_META,
    BLOCKS_GET_META,
    BLOCKS_PRUNE_BODIES,
    BLOCKS_PRUNE_CHUNKS,
    BLOCKS_PRUNE_SNAPSHOTS,
    BLOCKS_NEWEST_CHECKPOINT,
    BLOCKS_CHECKPOINT_FROM,
    BLOCKS_GET_SLOT,
    BLOCKS_GET_SENDER,
    BLOCKS_GET_REQUEST,
    BLOCKS_GET_INTERVAL,
    BLOCKS_GET_RESOLVED,
    BLOCKS_COUNT_INDEX,
    BLOCKS_STATEMENTS,
};

struct block_store {
    sqlite3 *db;
    sqlite3_stmt *statements[BLOCKS_STATEMENTS];
    bool is_lazy; /* the newest step was begun so */
    int lock_fd;  /* the folder, locked by the writer; else -1 */
    char path[PATH_SIZE];
};

/* A row of `headers`. */
struct blocks_row {
    const struct block_header *header;
    const struct hash *hash;
    struct bytes header_wire, certificate;
    uint64_t records, size;
    struct block_store_totals all;
};
SEALMQ_MUST_CHECK int blocks_put_header(struct block_store *store, const struct blocks_row *row);
void blocks_totals_add(struct block_store_totals *totals, uint32_t requests, uint64_t records,
                       size_t size);

/* The header after the snapshot with which the store began, and its certificate, appended: as long
 * as that block is not here they are what certifies it. SEALMQ_E_NOTFOUND. */
SEALMQ_MUST_CHECK int blocks_get_begun(struct block_store *store, struct buf *next,
                                       struct buf *certificate);

/* The sums as of a height. SEALMQ_E_NOTFOUND. */
SEALMQ_MUST_CHECK int blocks_totals_at(struct block_store *store, uint64_t height,
                                       struct block_store_totals *out);

/* Writes the tiles that the header of this height completes. */
SEALMQ_MUST_CHECK int blocks_put_tiles(struct block_store *store, uint64_t height);
/* The same where the header is the first of its run, and the last to come. */
SEALMQ_MUST_CHECK int blocks_put_tiles_from(struct block_store *store, uint64_t height);

/* The chain at the newest snapshot that is at or below `until` and has a certified header after it.
 * SEALMQ_E_NOTFOUND; _CORRUPT and others, `fault` then says in what. */
SEALMQ_MUST_CHECK int blocks_restore(struct block_store *store, const struct genesis *genesis,
                                     uint64_t until, struct chain **out, const char **fault);
/* That the certificate is one of commit votes for this header, by these validators. */
SEALMQ_MUST_CHECK int blocks_check_certificate(struct bytes wire, const struct block_header *header,
                                               const struct hash *hash, const struct chain *chain);

/* One row of the index. */
struct blocks_index_row {
    enum { INDEX_REQUEST, INDEX_INTERVAL, INDEX_RESOLVED, INDEX_TABLES } table;
    struct bytes sender;
    uint64_t first;  /* request number; first capture number of an interval; a resolved one */
    uint64_t last;   /* last capture number of an interval */
    uint64_t height; /* of the block */
    uint32_t index;  /* of the request in it */
    uint32_t leaf;   /* of the first, or the resolved one, among the request's leaves */
};
typedef int (*blocks_index_fn)(void *context, const struct blocks_index_row *row);
/* Gives all rows that follow from the block to `fn`, whose error stops it. *records is the number
 * of records in the block. What request_decode says of its requests. */
SEALMQ_MUST_CHECK int blocks_index_walk(const struct block *block, blocks_index_fn fn,
                                        void *context, uint64_t *records);

/* The number that stands for a sender. SEALMQ_E_NOTFOUND. */
SEALMQ_MUST_CHECK int blocks_sender(struct block_store *store, struct bytes sender, uint64_t *out);

/* What the index has for (sender, number): the request of that number, the interval that starts at
 * that capture number or is the last before it, or the resolved one. */
struct blocks_place {
    uint64_t height, index;
    uint64_t leaf; /* of `number`, or of the interval's last if it does not reach that far */
    uint64_t last, first;
};
SEALMQ_MUST_CHECK int blocks_find(struct block_store *store, enum blocks_statement which,
                                  struct bytes sender, uint64_t number, struct blocks_place *out);

/* Appends a block as put together from columns `header` and `body` of the current row. */
SEALMQ_MUST_CHECK int blocks_append_block(sqlite3_stmt *statement, int header, int body,
                                          struct buf *out);

/* Appends a column of the current row. */
SEALMQ_MUST_CHECK int blocks_append_blob(sqlite3_stmt *statement, int at, struct buf *out);

/* block_store_load_chain, which also hands every block to `fn` once it is checked; with `fn`, it
 * reads from the genesis on, and without, from a snapshot if there is one. */
typedef int (*blocks_fn)(void *context, const struct block *block);
struct blocks_visitor {
    blocks_fn fn;
    void (*progress)(void *context, uint64_t height, uint64_t tip);
    void *context;
};
SEALMQ_MUST_CHECK int blocks_load(struct block_store *store, const struct genesis *genesis,
                                  uint64_t until, const struct blocks_visitor *visitor,
                                  struct chain **out, char *why, size_t why_size);

#endif
