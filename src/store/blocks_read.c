#include "store/blocks_int.h"

int block_store_tip(struct block_store *store, uint64_t *height)
{
    sqlite3_stmt *tip = store->statements[BLOCKS_TIP];
    int error = db_next(tip);
    if (error == 0)
        error = db_column_u64(tip, 0, height);
    sqlite3_reset(tip);
    return error;
}

int block_store_lowest(struct block_store *store, uint64_t *header, uint64_t *body)
{
    uint64_t tip = 0;
    int error = block_store_tip(store, &tip);
    if (error != 0)
        return error;
    sqlite3_stmt *lowest = store->statements[BLOCKS_LOWEST];
    db_bind_u64(lowest, 1, tip + 1);
    error = db_next(lowest);
    if (error == 0)
        error = db_column_u64(lowest, 0, header);
    if (error == 0)
        error = db_column_u64(lowest, 1, body);
    sqlite3_reset(lowest);
    return error;
}

int blocks_totals_at(struct block_store *store, uint64_t height, struct block_store_totals *out)
{
    *out = (struct block_store_totals){0};
    if (height == 0)
        return 0;
    sqlite3_stmt *totals = store->statements[BLOCKS_TOTALS];
    db_bind_u64(totals, 1, height);
    int error = db_next(totals);
    if (error == 0)
        error = db_column_u64(totals, 0, &out->requests);
    if (error == 0)
        error = db_column_u64(totals, 1, &out->records);
    if (error == 0)
        error = db_column_u64(totals, 2, &out->bytes);
    sqlite3_reset(totals);
    return error;
}

int block_store_totals(struct block_store *store, struct block_store_totals *out)
{
    uint64_t tip = 0;
    int error = block_store_tip(store, &tip);
    return error != 0 ? error : blocks_totals_at(store, tip, out);
}

int blocks_append_block(sqlite3_stmt *statement, int header, int body, struct buf *out)
{
    struct bytes header_wire, body_wire;
    int error = db_column_blob(statement, header, &header_wire);
    if (error == 0)
        error = db_column_blob(statement, body, &body_wire);
    if (error == 0 && header_wire.n > HEADER_MAX)
        error = SEALMQ_E_CORRUPT;
    if (error != 0)
        return error;
    buf_append_str16(out, header_wire);
    buf_append_bytes(out, body_wire);
    return buf_status(out);
}

int blocks_append_blob(sqlite3_stmt *statement, int at, struct buf *out)
{
    struct bytes bytes;
    int error = db_column_blob(statement, at, &bytes);
    if (error != 0)
        return error;
    buf_append_bytes(out, bytes);
    return buf_status(out);
}

int block_store_get(struct block_store *store, uint64_t height, struct buf *block,
                    struct buf *certificate)
{
    if (height > INT64_MAX)
        return SEALMQ_E_NOTFOUND;
    sqlite3_stmt *get = store->statements[BLOCKS_GET];
    db_bind_u64(get, 1, height);
    int error = db_next(get);
    if (error == 0)
        error = blocks_append_block(get, 0, 1, block);
    if (error == 0 && certificate != NULL)
        error = blocks_append_blob(get, 2, certificate);
    sqlite3_reset(get);
    return error;
}

int block_store_get_header(struct block_store *store, uint64_t height, struct buf *header,
                           struct buf *certificate)
{
    if (height > INT64_MAX)
        return SEALMQ_E_NOTFOUND;
    sqlite3_stmt *get = store->statements[BLOCKS_GET_HEADER];
    db_bind_u64(get, 1, height);
    int error = db_next(get);
    if (error == 0)
        error = blocks_append_blob(get, 0, header);
    if (error == 0 && certificate != NULL)
        error = blocks_append_blob(get, 1, certificate);
    sqlite3_reset(get);
    return error;
}

/* Appends the note that the bound statement finds. */
static int get_note(sqlite3_stmt *get, struct buf *note)
{
    struct bytes text;
    int error = db_next(get);
    if (error == 0)
        error = db_column_text(get, 0, &text);
    if (error == 0) {
        buf_append_bytes(note, text);
        error = buf_status(note);
    }
    sqlite3_reset(get);
    return error;
}

int block_store_checkpoint_newest(struct block_store *store, struct buf *note)
{
    return get_note(store->statements[BLOCKS_NEWEST_CHECKPOINT], note);
}

int block_store_checkpoint_from(struct block_store *store, uint64_t min_size, struct buf *note)
{
    if (min_size > INT64_MAX)
        return SEALMQ_E_NOTFOUND;
    db_bind_u64(store->statements[BLOCKS_CHECKPOINT_FROM], 1, min_size);
    return get_note(store->statements[BLOCKS_CHECKPOINT_FROM], note);
}

int block_store_get_slot(struct block_store *store, int slot, struct buf *out)
{
    if (slot < 0 || slot >= BLOCK_STORE_SLOTS)
        return SEALMQ_E_ARG;
    sqlite3_stmt *get = store->statements[BLOCKS_GET_SLOT];
    db_bind_u64(get, 1, (uint64_t)slot);
    int error = db_next(get);
    if (error == 0)
        error = blocks_append_blob(get, 0, out);
    sqlite3_reset(get);
    return error;
}

int blocks_sender(struct block_store *store, struct bytes sender, uint64_t *out)
{
    sqlite3_stmt *get = store->statements[BLOCKS_GET_SENDER];
    db_bind_text(get, 1, sender);
    int error = db_next(get);
    if (error == 0)
        error = db_column_u64(get, 0, out);
    sqlite3_reset(get);
    return error;
}

int blocks_find(struct block_store *store, enum blocks_statement which, struct bytes sender,
                uint64_t number, struct blocks_place *out)
{
    uint64_t id;
    if (number > INT64_MAX || sender.n > ID_MAX)
        return SEALMQ_E_NOTFOUND;
    int error = blocks_sender(store, sender, &id);
    if (error != 0)
        return error;
    sqlite3_stmt *get = store->statements[which];
    db_bind_u64(get, 1, id);
    db_bind_u64(get, 2, number);
    uint64_t *const columns[] = {&out->height, &out->index, &out->leaf, &out->last, &out->first};
    error = db_next(get);
    for (int i = 0; error == 0 && i < 5; i++)
        error = db_column_u64(get, i, columns[i]);
    sqlite3_reset(get);
    if (error == 0 && (out->index > UINT32_MAX || out->leaf > UINT32_MAX))
        error = SEALMQ_E_CORRUPT;
    return error;
}

int block_store_find_request(struct block_store *store, struct bytes sender, uint64_t number,
                             uint64_t *height, uint32_t *index)
{
    struct blocks_place place;
    int error = blocks_find(store, BLOCKS_GET_REQUEST, sender, number, &place);
    if (error != 0)
        return error;
    *height = place.height;
    *index = (uint32_t)place.index;
    return 0;
}

int block_store_find_leaf(struct block_store *store, struct bytes gateway, uint64_t n,
                          uint64_t *height, uint32_t *request_index, uint32_t *leaf_index)
{
    struct blocks_place place;
    int error = blocks_find(store, BLOCKS_GET_RESOLVED, gateway, n, &place);
    if (error == SEALMQ_E_NOTFOUND) {
        /* the last interval that starts at n or before it: whether it reaches that far */
        error = blocks_find(store, BLOCKS_GET_INTERVAL, gateway, n, &place);
        if (error == 0 && place.last < n)
            error = SEALMQ_E_NOTFOUND;
    }
    if (error != 0)
        return error;
    *height = place.height;
    *request_index = (uint32_t)place.index;
    *leaf_index = (uint32_t)place.leaf;
    return 0;
}
