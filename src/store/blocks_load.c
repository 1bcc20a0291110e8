/* The chain from the store. Nothing in the file is believed: every block must follow from the one
 * before, carry a quorum's commit votes, and have in the columns and tables beside it what follows
 * from it. */
#include "store/blocks_int.h"

#include "store/store_int.h"

struct loading {
    struct block_store *store;
    const struct blocks_visitor *visitor;
    struct chain *chain;
    struct certificate certificate;
    struct buf block;
    uint64_t index_rows[INDEX_TABLES]; /* that follow from the blocks so far */
    const char *fault;                 /* what is wrong, if the error alone does not say it */
};

static int check_index_row(void *context, const struct blocks_index_row *row)
{
    static const enum blocks_statement gets[INDEX_TABLES] = {
        [INDEX_REQUEST] = BLOCKS_GET_REQUEST,
        [INDEX_INTERVAL] = BLOCKS_GET_INTERVAL,
        [INDEX_RESOLVED] = BLOCKS_GET_RESOLVED,
    };
    struct loading *loading = context;
    struct blocks_place place;
    int error = blocks_find(loading->store, gets[row->table], row->sender, row->first, &place);
    if (error == 0 &&
        (place.height != row->height || place.index != row->index || place.leaf != row->leaf ||
         place.first != row->first || place.last != row->last))
        error = SEALMQ_E_CORRUPT;
    if (error == SEALMQ_E_NOTFOUND)
        error = SEALMQ_E_CORRUPT;
    if (error == SEALMQ_E_CORRUPT)
        loading->fault = "the index does not have what is in the block";
    loading->index_rows[row->table]++;
    return error;
}

static int check_certificate(struct loading *loading, const struct block *block, struct bytes wire)
{
    struct certificate *certificate = &loading->certificate;
    int error = certificate_decode(wire, certificate);
    if (error == 0 && (certificate->height != block->header.height ||
                       !hash_equal(&certificate->header, &block->hash)))
        error = SEALMQ_E_HASH;
    if (error == 0)
        error = certificate_verify(certificate, COMMIT_LABEL, chain_validators(loading->chain),
                                   &chain_genesis(loading->chain)->hash);
    if (error != 0)
        loading->fault = "its certificate is not one of this block by these validators";
    return error;
}

/* The columns that are there for people and for looking things up. */
static int check_columns(sqlite3_stmt *each, const struct block *block, uint64_t records)
{
    struct bytes hash;
    uint64_t time_us, request_count, record_count;
    int error = db_column_blob(each, 4, &hash);
    if (error == 0)
        error = db_column_u64(each, 5, &time_us);
    if (error == 0)
        error = db_column_u64(each, 6, &request_count);
    if (error == 0)
        error = db_column_u64(each, 7, &record_count);
    if (error == 0 && (!bytes_equal(hash, hash_bytes(&block->hash)) ||
                       (int64_t)time_us != block->header.time_us ||
                       request_count != block->request_count || record_count != records))
        error = SEALMQ_E_CORRUPT;
    return error;
}

/* Takes the block of the current row into the chain. */
static int load_block(struct loading *loading, sqlite3_stmt *each)
{
    struct block block;
    struct bytes certificate;
    uint64_t height, records;
    int error = db_column_u64(each, 3, &height);
    if (error == 0 && height != chain_height(loading->chain) + 1) {
        loading->fault = "the block is missing";
        return SEALMQ_E_CORRUPT;
    }
    buf_reset(&loading->block);
    if (error == 0)
        error = blocks_append_block(each, 0, 1, &loading->block);
    if (error == 0)
        error = block_decode(buf_bytes(&loading->block), &block);
    if (error == 0)
        error = db_column_blob(each, 2, &certificate);
    if (error == 0)
        error = check_certificate(loading, &block, certificate);
    if (error == 0)
        error = chain_append(loading->chain, &block);
    if (error == 0)
        error = blocks_index_walk(&block, check_index_row, loading, &records);
    if (error == 0) {
        error = check_columns(each, &block, records);
        if (error != 0)
            loading->fault = "the columns beside the block do not say what the block says";
    }
    if (error == 0 && loading->visitor->fn != NULL)
        error = loading->visitor->fn(loading->visitor->context, &block);
    return error;
}

/* Rows of the index that no block explains. */
static int check_index_size(struct loading *loading)
{
    sqlite3_stmt *count = loading->store->statements[BLOCKS_COUNT_INDEX];
    int error = db_next(count);
    for (int i = 0; error == 0 && i < INDEX_TABLES; i++) {
        uint64_t rows;
        error = db_column_u64(count, i, &rows);
        if (error == 0 && rows != loading->index_rows[i]) {
            loading->fault = "the index has rows that are in no block";
            error = SEALMQ_E_CORRUPT;
        }
    }
    sqlite3_reset(count);
    return error;
}

static bool is_about_content(int error)
{
    switch (error) {
    case SEALMQ_E_NOMEM:
    case SEALMQ_E_IO:
    case SEALMQ_E_FULL:
    case SEALMQ_E_BUSY:
        return false;
    default:
        return true;
    }
}

static int load_blocks(struct loading *loading, uint64_t until)
{
    uint64_t tip;
    int error = block_store_tip(loading->store, &tip);
    if (error != 0)
        return error;
    sqlite3_stmt *each = loading->store->statements[BLOCKS_EACH];
    db_bind_u64(each, 1, until < tip ? until : tip);
    int end;
    while ((end = db_next(each)) == 0) {
        error = load_block(loading, each);
        if (error != 0)
            break;
        if (loading->visitor->progress != NULL)
            loading->visitor->progress(loading->visitor->context, chain_height(loading->chain),
                                       tip);
    }
    sqlite3_reset(each);
    if (end != SEALMQ_E_NOTFOUND)
        return end == 0 ? error : end;
    return until < tip ? 0 : check_index_size(loading);
}

int blocks_load(struct block_store *store, const struct genesis *genesis, uint64_t until,
                const struct blocks_visitor *visitor, struct chain **out, char *why,
                size_t why_size)
{
    *out = NULL;
    struct loading loading = {.store = store, .visitor = visitor};
    int error = chain_new(genesis, &loading.chain);
    /* One moment for all statements: blocks and index are of one height though a node writes. */
    bool is_ours = sqlite3_get_autocommit(store->db) != 0;
    if (error == 0 && is_ours)
        error = db_exec(store->db, "BEGIN");
    if (error == 0)
        error = load_blocks(&loading, until);
    if (is_ours)
        db_rollback(store->db);
    buf_close(&loading.block);
    if (error == 0) {
        *out = loading.chain;
        return 0;
    }
    uint64_t height = loading.chain == NULL ? 0 : chain_height(loading.chain) + 1;
    const char *words = sealmq_error_text(error);
    if (is_about_content(error)) {
        error = SEALMQ_E_CORRUPT;
        store_why(why, why_size,
                  "%s: damaged or changed at height %llu: %s%s%s. Put a backup in its place, or "
                  "let the node fetch the chain anew from the others",
                  store->path, (unsigned long long)height,
                  loading.fault == NULL ? "" : loading.fault, loading.fault == NULL ? "" : ": ",
                  words);
    } else {
        store_why(why, why_size, "%s: %s", store->path, words);
    }
    chain_free(loading.chain);
    return error;
}

int block_store_load_chain(struct block_store *store, const struct genesis *genesis, uint64_t until,
                           struct chain **out,
                           void (*progress)(void *context, uint64_t height, uint64_t tip),
                           void *context, char *why, size_t why_size)
{
    const struct blocks_visitor visitor = {.progress = progress, .context = context};
    return blocks_load(store, genesis, until, &visitor, out, why, why_size);
}
