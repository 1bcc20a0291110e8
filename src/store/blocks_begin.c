/* A store that begins with a snapshot of the state: what certifies that, and the headers before it,
 * which come one by one downwards, each named by the one above it. */
#include "store/blocks_int.h"

#define META_BEGUN BYTES_LIT("begun")

int blocks_get_begun(struct block_store *store, struct buf *next, struct buf *certificate)
{
    struct bytes value;
    sqlite3_stmt *get = store->statements[BLOCKS_GET_META];
    db_bind_text(get, 1, META_BEGUN);
    int error = db_next(get);
    if (error == 0)
        error = db_column_blob(get, 0, &value);
    if (error == 0) {
        struct reader r = reader_of(value);
        buf_append_bytes(next, reader_str16(&r));
        buf_append_bytes(certificate, reader_str32(&r));
        error = reader_end(&r) != 0 ? SEALMQ_E_CORRUPT : buf_status(next);
    }
    if (error == 0)
        error = buf_status(certificate);
    sqlite3_reset(get);
    return error;
}

static int put_begun(struct block_store *store, struct bytes next, struct bytes certificate)
{
    struct buf value = {0};
    buf_append_str16(&value, next);
    buf_append_str32(&value, certificate);
    int error = buf_status(&value);
    if (error == 0) {
        db_bind_text(store->statements[BLOCKS_PUT_META], 1, META_BEGUN);
        db_bind_blob(store->statements[BLOCKS_PUT_META], 2, buf_bytes(&value));
        error = db_run(store->statements[BLOCKS_PUT_META]);
    }
    buf_close(&value);
    return error;
}

int block_store_begin_at(struct block_store *store, const struct chain *chain,
                         struct bytes certificate, struct bytes next, struct bytes next_certificate)
{
    struct buf header = {0};
    struct blocks_row row = {.header = chain_tip(chain), .hash = chain_tip_hash(chain)};
    uint64_t tip = 0;
    int error = block_store_tip(store, &tip);
    if (error == 0 && tip != 0)
        error = SEALMQ_E_CONFLICT;
    header_encode(chain_tip(chain), &header);
    if (error == 0)
        error = buf_status(&header);
    if (error == 0) {
        row.header_wire = buf_bytes(&header);
        row.certificate = certificate;
        error = blocks_put_header(store, &row);
    }
    if (error == 0)
        error = block_store_put_snapshot(store, chain);
    if (error == 0)
        error = put_begun(store, next, next_certificate);
    buf_close(&header);
    return error;
}

int block_store_put_header(struct block_store *store, struct bytes header_wire,
                           struct bytes certificate)
{
    struct buf above = {0};
    struct block_header header, next;
    struct hash hash;
    uint64_t lowest, body;
    int error = block_store_lowest(store, &lowest, &body);
    if (error == 0)
        error = block_store_get_header(store, lowest, &above, NULL);
    if (error == 0)
        error = header_decode(buf_bytes(&above), &next);
    if (error == 0)
        error = header_decode(header_wire, &header);
    if (error == 0) {
        header_hash(header_wire, &hash);
        if (header.height + 1 != lowest || header.height == 0 || !hash_equal(&hash, &next.parent))
            error = SEALMQ_E_CONFLICT;
    }
    const struct blocks_row row = {
        .header = &header, .hash = &hash, .header_wire = header_wire, .certificate = certificate};
    if (error == 0)
        error = blocks_put_header(store, &row);
    buf_close(&above);
    /* A tile's first leaf comes last; that of the first tile follows from the header at 1. */
    return error != 0 ? error
                      : blocks_put_tiles_from(store, header.height == 1 ? 0 : header.height);
}
