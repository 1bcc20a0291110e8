/* The log of headers as it lies in the store. Whole runs of 256 leaf hashes are kept as tiles, and
 * of 256 such runs their roots, so that a path among a million headers takes a few thousand hashes
 * and not a million. What is in no tile yet is hashed from the headers. */
#include "store/blocks_int.h"

#include "base/assert.h"

#define TILE        256
#define TILE_BYTES  (TILE * HASH_SIZE)
#define TILE_LEVELS 2

struct tile {
    enum { TILE_UNREAD, TILE_HERE, TILE_MISSING } state;
    uint64_t at;
    uint8_t hashes[TILE_BYTES];
};

struct log_reader {
    struct block_store *store;
    struct tile tiles[TILE_LEVELS]; /* the one read last of each level */
    struct buf header;
    int error; /* the first; then all hashes are zeros */
};

static void read_tile(struct log_reader *r, unsigned level, uint64_t at)
{
    struct tile *tile = &r->tiles[level];
    struct bytes hashes;
    if (r->error != 0 || (tile->state != TILE_UNREAD && tile->at == at))
        return;
    sqlite3_stmt *get = r->store->statements[BLOCKS_GET_TILE];
    db_bind_u64(get, 1, level);
    db_bind_u64(get, 2, at);
    int error = db_next(get);
    tile->at = at;
    tile->state = error == 0 ? TILE_HERE : TILE_MISSING;
    if (error == SEALMQ_E_NOTFOUND)
        return;
    if (error == 0)
        error = db_column_blob(get, 0, &hashes);
    if (error == 0 && hashes.n != TILE_BYTES)
        error = SEALMQ_E_CORRUPT;
    if (error == 0)
        memcpy(tile->hashes, hashes.p, TILE_BYTES);
    sqlite3_reset(get);
    r->error = error;
}

/* The genesis's leaf is all of the log that the first header names. */
static void leaf_of_header(struct log_reader *r, uint64_t height, struct hash *out)
{
    struct block_header first;
    buf_reset(&r->header);
    int error = block_store_get_header(r->store, height == 0 ? 1 : height, &r->header, NULL);
    if (error == 0 && height == 0) {
        error = header_decode(buf_bytes(&r->header), &first);
        if (error == 0)
            *out = first.log_root;
    } else if (error == 0) {
        hash_leaf(buf_bytes(&r->header), out);
    }
    r->error = error;
}

static void subtree(struct log_reader *r, unsigned level, uint64_t at, struct hash *out);

static void subtree_of_parts(struct log_reader *r, unsigned level, uint64_t at, struct hash *out)
{
    struct merkle_edge edge = {0};
    struct hash part;
    for (uint64_t i = 0; i < TILE && r->error == 0; i++) {
        subtree(r, level - 1, TILE * at + i, &part);
        merkle_edge_append(&edge, &part);
    }
    merkle_edge_root(&edge, out);
}

/* The root of the complete subtree `at` of 256^level leaves. */
static void subtree(struct log_reader *r, unsigned level, uint64_t at, struct hash *out)
{
    *out = (struct hash){{0}};
    if (level < TILE_LEVELS)
        read_tile(r, level, at / TILE);
    if (r->error != 0)
        return;
    if (level < TILE_LEVELS && r->tiles[level].state == TILE_HERE)
        memcpy(out->b, r->tiles[level].hashes + at % TILE * HASH_SIZE, HASH_SIZE);
    else if (level == 0)
        leaf_of_header(r, at, out);
    else
        subtree_of_parts(r, level, at, out);
}

/* A row of complete subtrees in order, equal neighbours joined: the binary form of what it spans.
 */
struct spans {
    unsigned n;
    unsigned height[64]; /* of 2^height leaves */
    struct hash hash[64];
};

static void spans_add(struct spans *spans, unsigned height, const struct hash *hash)
{
    struct hash joined = *hash;
    while (spans->n > 0 && spans->height[spans->n - 1] == height) {
        hash_node(&spans->hash[--spans->n], &joined, &joined);
        height++;
    }
    ASSERT(spans->n < 64);
    spans->height[spans->n] = height;
    spans->hash[spans->n++] = joined;
}

/* merkle_source's root: `from` is a multiple of what the range is filled up to, so that neighbours
 * that are equal are halves of one subtree. */
static void range_root(const void *leaves, uint64_t from, uint64_t to, struct hash *out)
{
    struct log_reader *r = *(struct log_reader *const *)leaves;
    struct spans spans = {0};
    struct hash hash;
    while (from < to && r->error == 0) {
        unsigned level = 0;
        uint64_t span = 1;
        while (level < TILE_LEVELS && from % (span * TILE) == 0 && to - from >= span * TILE) {
            span *= TILE;
            level++;
        }
        subtree(r, level, from / span, &hash);
        spans_add(&spans, 8 * level, &hash);
        from += span;
    }
    *out = (struct hash){{0}};
    if (spans.n == 0)
        return;
    *out = spans.hash[--spans.n];
    while (spans.n > 0)
        hash_node(&spans.hash[--spans.n], out, out);
}

int block_store_prove_log(struct block_store *store, uint64_t height, uint64_t size,
                          struct merkle_path *path, struct hash *root)
{
    static const struct log_reader unread;
    struct log_reader reader = unread, *at = &reader;
    struct merkle_source source = {range_root, &at};
    ASSERT(height < size);
    reader.store = store;
    if (root != NULL)
        range_root(&at, 0, size, root);
    if (path != NULL && reader.error == 0)
        merkle_source_prove(&source, size, height, path);
    buf_close(&reader.header);
    return reader.error;
}

int block_store_prove_growth(struct block_store *store, uint64_t old_size, uint64_t size,
                             struct merkle_path *path, struct hash *root)
{
    static const struct log_reader unread;
    struct log_reader reader = unread, *at = &reader;
    struct merkle_source source = {range_root, &at};
    ASSERT(old_size > 0 && old_size <= size);
    reader.store = store;
    range_root(&at, 0, size, root);
    if (reader.error == 0)
        merkle_source_prove_consistency(&source, size, old_size, path);
    buf_close(&reader.header);
    return reader.error;
}

/* The tile's 256 hashes, if all that they take is here. */
static int put_tile(struct block_store *store, unsigned level, uint64_t at)
{
    static const struct log_reader unread;
    struct log_reader reader = unread;
    uint8_t hashes[TILE_BYTES];
    reader.store = store;
    for (uint64_t i = 0; i < TILE && reader.error == 0; i++) {
        struct hash hash;
        subtree(&reader, level, TILE * at + i, &hash);
        memcpy(hashes + i * HASH_SIZE, hash.b, HASH_SIZE);
    }
    buf_close(&reader.header);
    if (reader.error != 0)
        return reader.error == SEALMQ_E_NOTFOUND ? 0 : reader.error;
    sqlite3_stmt *put = store->statements[BLOCKS_PUT_TILE];
    db_bind_u64(put, 1, level);
    db_bind_u64(put, 2, at);
    db_bind_blob(put, 3, bytes_of(hashes, sizeof hashes));
    return db_run(put);
}

int blocks_put_tiles(struct block_store *store, uint64_t height)
{
    uint64_t leaves = height + 1, span = TILE;
    int error = 0;
    for (unsigned level = 0; level < TILE_LEVELS && error == 0 && leaves % span == 0; level++) {
        error = put_tile(store, level, leaves / span - 1);
        span *= TILE;
    }
    return error;
}

int blocks_put_tiles_from(struct block_store *store, uint64_t height)
{
    uint64_t span = TILE;
    int error = 0;
    for (unsigned level = 0; level < TILE_LEVELS && error == 0 && height % span == 0; level++) {
        error = put_tile(store, level, height / span);
        span *= TILE;
    }
    return error;
}
