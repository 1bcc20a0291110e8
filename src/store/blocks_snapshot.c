/* Snapshots of the state in the store. */
#include "store/blocks_int.h"

#include "base/assert.h"

#define OLD_SNAPSHOTS 32

/* ---- writing ---- */

struct putting {
    struct block_store *store;
    uint64_t height;
};

static int put_chunk(void *context, uint32_t at, struct bytes chunk)
{
    const struct putting *putting = context;
    sqlite3_stmt *put = putting->store->statements[BLOCKS_PUT_CHUNK];
    db_bind_u64(put, 1, putting->height);
    db_bind_u64(put, 2, at);
    db_bind_blob(put, 3, chunk);
    return db_run(put);
}

/* Those before the two newest are kept evenly apart, so that the state at any height is not far
 * from one of them. */
static int thin_out(struct block_store *store, uint64_t newest)
{
    static const enum blocks_statement thins[] = {BLOCKS_THIN_CHUNKS, BLOCKS_THIN_SNAPSHOTS};
    uint64_t apart = SNAPSHOT_INTERVAL;
    while (newest / apart > OLD_SNAPSHOTS)
        apart *= 2;
    int error = 0;
    for (size_t i = 0; i < 2 && error == 0 && newest > SNAPSHOT_INTERVAL; i++) {
        db_bind_u64(store->statements[thins[i]], 1, apart);
        db_bind_u64(store->statements[thins[i]], 2, newest - SNAPSHOT_INTERVAL);
        error = db_run(store->statements[thins[i]]);
    }
    return error;
}

int block_store_put_snapshot(struct block_store *store, const struct chain *chain)
{
    struct putting putting = {store, chain_height(chain)};
    struct buf manifest = {0};
    int error = snapshot_make(chain, put_chunk, &putting, &manifest);
    if (error == 0) {
        db_bind_u64(store->statements[BLOCKS_PUT_SNAPSHOT], 1, putting.height);
        db_bind_blob(store->statements[BLOCKS_PUT_SNAPSHOT], 2, buf_bytes(&manifest));
        error = db_run(store->statements[BLOCKS_PUT_SNAPSHOT]);
    }
    buf_close(&manifest);
    return error != 0 ? error : thin_out(store, putting.height);
}

/* ---- reading ---- */

int block_store_get_snapshot(struct block_store *store, uint64_t until, uint64_t *height,
                             struct buf *manifest)
{
    sqlite3_stmt *get = store->statements[BLOCKS_SNAPSHOT_UNTIL];
    db_bind_u64(get, 1, until < INT64_MAX ? until : INT64_MAX);
    int error = db_next(get);
    if (error == 0)
        error = db_column_u64(get, 0, height);
    if (error == 0)
        error = blocks_append_blob(get, 1, manifest);
    sqlite3_reset(get);
    return error;
}

int block_store_get_chunk(struct block_store *store, uint64_t height, uint32_t at, struct buf *out)
{
    if (height > INT64_MAX)
        return SEALMQ_E_NOTFOUND;
    sqlite3_stmt *get = store->statements[BLOCKS_GET_CHUNK];
    db_bind_u64(get, 1, height);
    db_bind_u64(get, 2, at);
    int error = db_next(get);
    if (error == 0)
        error = blocks_append_blob(get, 0, out);
    sqlite3_reset(get);
    return error;
}

static int give_chunks(struct block_store *store, const struct snapshot *snapshot,
                       struct chain_restore *restore)
{
    struct buf chunk = {0};
    int error = 0;
    for (uint32_t at = 0; at < snapshot->chunk_count && error == 0; at++) {
        buf_reset(&chunk);
        error = block_store_get_chunk(store, snapshot->header.height, at, &chunk);
        if (error == 0)
            error = chain_restore_chunk(restore, buf_bytes(&chunk));
    }
    buf_close(&chunk);
    return error == SEALMQ_E_NOTFOUND ? SEALMQ_E_CORRUPT : error;
}

/* Once the state is there, its validators say whether they certified the header that it follows
 * from. */
static int end_restore(struct chain_restore *restore, struct bytes next_wire,
                       struct bytes certificate, struct chain **out, const char **fault)
{
    struct block_header next;
    struct hash hash;
    int error = header_decode(next_wire, &next);
    if (error == 0)
        error = chain_restore_end(restore, &next, out);
    if (error != 0)
        return error;
    header_hash(next_wire, &hash);
    error = blocks_check_certificate(certificate, &next, &hash, *out);
    if (error == 0)
        return 0;
    *fault = "the certificate of the block after it is not one by these validators";
    chain_free(*out);
    *out = NULL;
    return error;
}

static int restore_from(struct block_store *store, const struct genesis *genesis, uint64_t height,
                        struct bytes manifest, struct chain **out, const char **fault)
{
    struct snapshot snapshot;
    struct chain_restore *restore = NULL;
    struct buf next = {0}, certificate = {0};
    int error = snapshot_decode(manifest, &snapshot);
    if (error == 0 && snapshot.header.height != height)
        error = SEALMQ_E_CORRUPT;
    if (error == 0)
        error = chain_restore_begin(genesis, &snapshot, &restore);
    if (error == 0)
        error = give_chunks(store, &snapshot, restore);
    if (error == 0)
        error = block_store_get_header(store, snapshot.header.height + 1, &next, &certificate);
    if (error == SEALMQ_E_NOTFOUND)
        error = blocks_get_begun(store, &next, &certificate);
    if (error == 0)
        error = end_restore(restore, buf_bytes(&next), buf_bytes(&certificate), out, fault);
    chain_restore_free(restore);
    buf_close(&next);
    buf_close(&certificate);
    return error == SEALMQ_E_NOTFOUND ? SEALMQ_E_CORRUPT : error;
}

/* With a snapshot, and no block since. */
static bool has_just_begun(struct block_store *store, uint64_t tip)
{
    uint64_t header, body;
    return block_store_lowest(store, &header, &body) == 0 && body > tip;
}

int blocks_restore(struct block_store *store, const struct genesis *genesis, uint64_t until,
                   struct chain **out, const char **fault)
{
    struct buf manifest = {0};
    uint64_t tip, height;
    int error = block_store_tip(store, &tip);
    if (error == 0 && tip == 0)
        error = SEALMQ_E_NOTFOUND;
    bool has_begun = error == 0 && has_just_begun(store, tip);
    uint64_t newest = has_begun ? tip : tip - 1;
    if (error == 0)
        error =
            block_store_get_snapshot(store, until < newest ? until : newest, &height, &manifest);
    if (error == 0) {
        error = restore_from(store, genesis, height, buf_bytes(&manifest), out, fault);
        if (error != 0 && *fault == NULL)
            *fault = "the snapshot of the state is not the one that the chain is of";
    }
    buf_close(&manifest);
    return error;
}
