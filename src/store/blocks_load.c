/* The chain from the store. Nothing that is read of the file is believed: a snapshot must be the
 * one that the certified header after it is of; every block after it must follow from the one
 * before, carry a quorum's commit votes, and have in the columns and tables beside it what follows
 * from it.
 */
#include "store/blocks_int.h"

#include "store/store_int.h"

struct loading {
    struct block_store *store;
    const struct blocks_visitor *visitor;
    struct chain *chain;
    struct buf block;
    struct block_store_totals totals;
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

int blocks_check_certificate(struct bytes wire, const struct block_header *header,
                             const struct hash *hash, const struct chain *chain)
{
    struct certificate certificate;
    int error = certificate_decode(wire, &certificate);
    if (error == 0 &&
        (certificate.height != header->height || !hash_equal(&certificate.header, hash)))
        error = SEALMQ_E_HASH;
    if (error == 0)
        error = certificate_verify(&certificate, COMMIT_LABEL, chain_validators(chain),
                                   &chain_genesis(chain)->hash);
    return error;
}

static int check_certificate(struct loading *loading, const struct block *block, struct bytes wire)
{
    int error = blocks_check_certificate(wire, &block->header, &block->hash, loading->chain);
    if (error != 0)
        loading->fault = "its certificate is not one of this block by these validators";
    return error;
}

/* The columns that are there for people and for looking things up. */
static int check_columns(struct loading *loading, sqlite3_stmt *each, const struct block *block,
                         uint64_t records)
{
    size_t size = block->wire.n - 2 - block->header_wire.n;
    blocks_totals_add(&loading->totals, block->request_count, records, size);
    const uint64_t want[] = {(uint64_t)block->header.time_us,
                             block->request_count,
                             records,
                             size,
                             loading->totals.requests,
                             loading->totals.records,
                             loading->totals.bytes};
    struct bytes hash;
    int error = db_column_blob(each, 4, &hash);
    if (error == 0 && !bytes_equal(hash, hash_bytes(&block->hash)))
        error = SEALMQ_E_CORRUPT;
    for (int i = 0; error == 0 && i < (int)(sizeof want / sizeof want[0]); i++) {
        uint64_t value;
        error = db_column_u64(each, 5 + i, &value);
        if (error == 0 && value != want[i])
            error = SEALMQ_E_CORRUPT;
    }
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
    if (error == 0 && sqlite3_column_type(each, 1) == SQLITE_NULL) {
        loading->fault = loading->visitor->fn != NULL
                             ? "the body is not kept here any more: ask a node that keeps it"
                             : "the body is missing";
        return SEALMQ_E_CORRUPT;
    }
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
        error = check_columns(loading, each, &block, records);
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

/* The chain at a snapshot, and the sums up to it; or at the genesis. */
static int begin_chain(struct loading *loading, const struct genesis *genesis, uint64_t until)
{
    if (loading->visitor->fn != NULL)
        return chain_new(genesis, &loading->chain);
    int error = blocks_restore(loading->store, genesis, until, &loading->chain, &loading->fault);
    if (error == SEALMQ_E_NOTFOUND)
        return chain_new(genesis, &loading->chain);
    return error != 0
               ? error
               : blocks_totals_at(loading->store, chain_height(loading->chain), &loading->totals);
}

static int load_blocks(struct loading *loading, const struct genesis *genesis, uint64_t until)
{
    uint64_t tip = 0;
    int error = block_store_tip(loading->store, &tip);
    if (error == 0)
        error = begin_chain(loading, genesis, until);
    if (error != 0)
        return error;
    bool is_whole = chain_height(loading->chain) == 0 && until >= tip;
    sqlite3_stmt *each = loading->store->statements[BLOCKS_EACH];
    uint64_t from = chain_height(loading->chain);
    db_bind_u64(each, 1, from == 0 ? 0 : from + 1); /* there is nothing at 0 */
    db_bind_u64(each, 2, until < tip ? until : tip);
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
    return is_whole ? check_index_size(loading) : 0;
}

int blocks_load(struct block_store *store, const struct genesis *genesis, uint64_t until,
                const struct blocks_visitor *visitor, struct chain **out, char *why,
                size_t why_size)
{
    *out = NULL;
    struct loading loading = {.store = store, .visitor = visitor};
    int error = 0;
    /* One moment for all statements: blocks and index are of one height though a node writes. */
    bool is_ours = sqlite3_get_autocommit(store->db) != 0;
    if (is_ours)
        error = db_exec(store->db, "BEGIN");
    if (error == 0)
        error = load_blocks(&loading, genesis, until);
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
