/* Snapshots: the manifest, and a chunk of entries, which the manifest made for it names. */
#include "ledger/snapshot.h"

#include "base/assert.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void make_genesis(struct genesis *out)
{
    char why[256];
    struct validator *validator = &out->validators.v[0];
    *out = (struct genesis){.network = "plant", .admin_count = 1, .admin_threshold = 1};
    out->parameters.anchor_interval_ms = 60000;
    out->validators.n = 1;
    memcpy(validator->id, "broker/a", sizeof("broker/a"));
    memcpy(validator->url, "mqtt://127.0.0.1:1883", sizeof("mqtt://127.0.0.1:1883"));
    memset(validator->key.b, 1, PUBLIC_KEY_SIZE);
    memset(validator->log_key.b, 2, PUBLIC_KEY_SIZE);
    memset(validator->cosigner_key.b, 3, PUBLIC_KEY_SIZE);
    memcpy(out->admins[0].id, "admin/a", sizeof("admin/a"));
    memset(out->admins[0].key.b, 4, PUBLIC_KEY_SIZE);
    int error = genesis_seal(out, why, sizeof(why));
    ASSERT(error == 0);
}

static int drop_chunk(void *context, uint32_t at, struct bytes chunk)
{
    (void)context;
    (void)at;
    (void)chunk;
    return 0;
}

/* The entries as the only chunk of a snapshot at the genesis. */
static void check_chunk(const struct genesis *genesis, struct bytes chunk)
{
    struct chain *chain, *restored;
    struct buf manifest = {0};
    struct snapshot snapshot;
    struct chain_restore *restore;
    struct block_header next;
    struct hash hash;
    int error = chain_new(genesis, &chain);
    if (error == 0)
        error = snapshot_make(chain, drop_chunk, NULL, &manifest);
    if (error == 0)
        error = snapshot_decode(buf_bytes(&manifest), &snapshot);
    ASSERT(error == 0 && snapshot.chunk_count == 1);
    hash_sha256(chunk, &hash);
    snapshot.chunk_hashes = hash_bytes(&hash);
    snapshot.entries = UINT64_MAX;
    error = chain_restore_begin(genesis, &snapshot, &restore);
    ASSERT(error == 0);
    error = chain_restore_chunk(restore, chunk);
    chain_next_header(chain, &next);
    if (error == 0)
        error = chain_restore_end(restore, &next, &restored);
    ASSERT(error != 0); /* it never has that many entries */
    chain_restore_free(restore);
    chain_free(chain);
    buf_close(&manifest);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct genesis genesis;
    struct snapshot snapshot;
    if (genesis.validators.n == 0)
        make_genesis(&genesis);
    (void)!snapshot_decode(bytes_of(data, size), &snapshot);
    check_chunk(&genesis, bytes_of(data, size));
    return 0;
}
