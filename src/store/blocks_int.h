/* The inside of the block store. For src/store/blocks*.c and the audit only.
 *
 *   blocks.c        opening, writing
 *   blocks_index.c  which rows of the index follow from a block
 *   blocks_read.c   reading
 *   blocks_load.c   the chain from the store, all of it checked
 *
 * Invariants:
 * 1. Heights start at 1 (the block at height 0 follows from the genesis) and leave none out.
 * 2. The index (requests, intervals, resolved) holds what blocks_index_walk says of the blocks, no
 *    more and no less. Both writing and checking go by that one function. */
#ifndef SEALMQ_STORE_BLOCKS_INT_H
#define SEALMQ_STORE_BLOCKS_INT_H

#include "store/blocks.h"
#include "store/file.h"
#include "store/sqlite.h"

enum blocks_statement {
    BLOCKS_PUT,
    BLOCKS_PUT_CHECKPOINT,
    BLOCKS_PUT_SLOT,
    BLOCKS_REMOVE_SLOT,
    BLOCKS_PUT_SENDER,
    BLOCKS_PUT_REQUEST,
    BLOCKS_PUT_INTERVAL,
    BLOCKS_PUT_RESOLVED,
    BLOCKS_TIP,
    BLOCKS_TOTALS,
    BLOCKS_GET,
    BLOCKS_EACH,
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
    int lock_fd; /* the folder, locked by the writer; else -1 */
    char path[PATH_SIZE];
};

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

/* block_store_load_chain, which also hands every block to `fn` (may be NULL) once it is checked. */
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
