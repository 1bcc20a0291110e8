/* The manifest of a snapshot, and making one of a chain. */
#include "ledger/snapshot.h"

#include "base/assert.h"
#include "ledger/chain_int.h"

#include <stdlib.h>

static const char label[] = "sealmq/snapshot/1"; /* its final 0 is part of it */

/* --- the manifest --- */

static unsigned edge_nodes(uint64_t size)
{
    return (unsigned)__builtin_popcountll(size);
}

static void read_edge(struct reader *r, uint64_t size, struct merkle_edge *out)
{
    *out = (struct merkle_edge){.size = size};
    for (unsigned i = 0; i < edge_nodes(size) && r->failed == 0; i++)
        reader_copy(r, out->nodes[i].b, HASH_SIZE);
}

int snapshot_decode(struct bytes manifest, struct snapshot *out)
{
    *out = (struct snapshot){0};
    struct reader r = reader_of(manifest);
    if (manifest.n > SNAPSHOT_MANIFEST_MAX)
        return SEALMQ_E_LIMIT;
    struct bytes said = reader_bytes(&r, sizeof(label));
    if (r.failed == 0 && !bytes_equal(said, bytes_of(label, sizeof(label))))
        return SEALMQ_E_VERSION;
    reader_copy(&r, out->genesis.b, HASH_SIZE);
    out->header_wire = reader_str16(&r);
    int error = reader_status(&r);
    if (error == 0)
        error = header_decode(out->header_wire, &out->header);
    if (error != 0)
        return error;
    header_hash(out->header_wire, &out->header_hash);
    uint64_t base = chain_join_base(out->header.height + 1);
    read_edge(&r, base, &out->edge);
    out->leaves = reader_bytes(&r, (size_t)(out->header.height + 1 - base) * HASH_SIZE);
    out->entries = reader_u64(&r);
    out->chunk_count = reader_u32(&r);
    if (out->chunk_count > SNAPSHOT_CHUNKS_MAX)
        reader_fail(&r, SEALMQ_E_LIMIT);
    out->chunk_hashes = reader_bytes(&r, out->chunk_count * (size_t)HASH_SIZE);
    return reader_end(&r);
}

int snapshot_check_chunk(const struct snapshot *snapshot, uint32_t at, struct bytes chunk)
{
    struct hash hash;
    ASSERT(at < snapshot->chunk_count);
    hash_sha256(chunk, &hash);
    struct bytes want = bytes_of(snapshot->chunk_hashes.p + at * (size_t)HASH_SIZE, HASH_SIZE);
    return bytes_equal(hash_bytes(&hash), want) ? 0 : SEALMQ_E_HASH;
}

int snapshot_check_next(const struct snapshot *snapshot, const struct block_header *next)
{
    struct hash log_root;
    struct merkle_edge edge = snapshot->edge;
    for (size_t i = 0; i < snapshot->leaves.n / HASH_SIZE; i++) {
        struct hash leaf;
        memcpy(leaf.b, snapshot->leaves.p + i * HASH_SIZE, HASH_SIZE);
        merkle_edge_append(&edge, &leaf);
    }
    merkle_edge_root(&edge, &log_root);
    return next->height == snapshot->header.height + 1 &&
                   hash_equal(&next->parent, &snapshot->header_hash) &&
                   hash_equal(&next->log_root, &log_root)
               ? 0
               : SEALMQ_E_HASH;
}

/* --- making one --- */

struct making {
    const struct chain *chain;
    snapshot_chunk_fn fn;
    void *context;
    struct buf chunk, hashes, value;
    uint64_t entries;
    uint32_t chunks;
};

static int end_chunk(struct making *making)
{
    struct hash hash;
    int error = buf_status(&making->chunk);
    if (error == 0 && making->chunks == SNAPSHOT_CHUNKS_MAX)
        error = SEALMQ_E_LIMIT;
    if (error == 0)
        error = making->fn(making->context, making->chunks, buf_bytes(&making->chunk));
    if (error != 0)
        return error;
    hash_sha256(buf_bytes(&making->chunk), &hash);
    buf_append_bytes(&making->hashes, hash_bytes(&hash));
    buf_reset(&making->chunk);
    making->chunks++;
    return 0;
}

static int add_entry(void *context, struct bytes key)
{
    struct making *making = context;
    buf_reset(&making->value);
    int error = chain_entry_value(making->chain, key, &making->value);
    ASSERT(error != SEALMQ_E_NOTFOUND);
    if (error == 0 && making->chunk.n != 0 &&
        making->chunk.n + 2 + key.n + 4 + making->value.n > SNAPSHOT_CHUNK_BYTES)
        error = end_chunk(making);
    if (error != 0)
        return error;
    buf_append_str16(&making->chunk, key);
    buf_append_str32(&making->chunk, buf_bytes(&making->value));
    making->entries++;
    return buf_status(&making->chunk);
}

static int write_manifest(const struct making *making, struct buf *out)
{
    const struct chain *chain = making->chain;
    struct buf header = {0};
    struct merkle_edge edge;
    size_t start = out->n;
    header_encode(&chain->tip, &header);
    merkle_log_edge(&chain->log, chain_join_base(chain->log.size), &edge);
    buf_append(out, label, sizeof(label));
    buf_append_bytes(out, hash_bytes(&chain->genesis.hash));
    buf_append_str16(out, buf_bytes(&header));
    for (unsigned i = 0; i < edge_nodes(edge.size); i++)
        buf_append_bytes(out, hash_bytes(&edge.nodes[i]));
    for (uint64_t at = edge.size; at < chain->log.size; at++) {
        struct hash leaf;
        merkle_log_leaf(&chain->log, at, &leaf);
        buf_append_bytes(out, hash_bytes(&leaf));
    }
    buf_append_u64(out, making->entries);
    buf_append_u32(out, making->chunks);
    buf_append_bytes(out, buf_bytes(&making->hashes));
    int error = buf_status(&header);
    if (error == 0)
        error = buf_status(&making->hashes);
    if (error == 0)
        error = buf_status(out);
    buf_close(&header);
    if (error != 0 && out->n > start)
        out->n = start;
    return error;
}

int snapshot_make(const struct chain *chain, snapshot_chunk_fn chunk, void *context,
                  struct buf *manifest)
{
    ASSERT(!chain->is_tentative);
    struct making making = {.chain = chain, .fn = chunk, .context = context};
    int error = chain_keys_each(chain, add_entry, &making);
    if (error == 0 && making.chunk.n != 0)
        error = end_chunk(&making);
    if (error == 0)
        error = write_manifest(&making, manifest);
    buf_close(&making.chunk);
    buf_close(&making.hashes);
    buf_close(&making.value);
    return error;
}
