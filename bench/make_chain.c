/* Makes a long chain in the block store of a node of a network that `sealmq init` made, as its
 * validators would have agreed on it: every block with valid requests, roots and a quorum's commit
 * votes. For measuring what a node does with many blocks.
 *
 *     make_chain NETWORK-FOLDER DATA-FOLDER BLOCKS
 *
 * BLOCKS is the height to reach; a store that is there is continued. A block holds one request, of
 * one record and an interval of one report, by one of 16 gateways in turn. Prints what it took. */
#include "give_up.h"

#include "ledger/note.h"
#include "ledger/record.h"
#include "store/blocks.h"
#include "store/keyfile.h"
#include "store/network_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define GATEWAYS      16
#define BLOCKS_A_STEP 512
#define BLOCK_US      10 /* headers of a million blocks stay within what a clock may be behind */
#define SLOT_VIEW     1  /* enum pbft_slot; view 0 */

struct maker {
    struct genesis genesis;
    struct sign_key validators[VALIDATORS_MAX], admin, gateways[GATEWAYS];
    char admin_id[ID_MAX + 1];
    struct chain *chain;
    struct block_store *store;
    uint64_t bytes;
};

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void must(int error, const char *what)
{
    if (error != 0)
        give_up("%s: %s", what, sealmq_error_text(error));
}

static void read_network(struct maker *m, const char *folder)
{
    char path[4096], why[512], id[ID_MAX + 1];
    snprintf(path, sizeof path, "%s/genesis.json", folder);
    if (genesis_file_read(path, &m->genesis, why, sizeof why) != 0)
        give_up("%s", why);
    snprintf(path, sizeof path, "%s/admin.key", folder);
    if (keyfile_read(path, m->admin_id, &m->admin, why, sizeof why) != 0)
        give_up("%s", why);
    for (size_t i = 0; i < m->genesis.validators.n; i++) {
        const char *letter = strrchr(m->genesis.validators.v[i].id, '/') + 1;
        snprintf(path, sizeof path, "%s/node-%s/node.key", folder, letter);
        if (keyfile_read(path, id, &m->validators[i], why, sizeof why) != 0)
            give_up("%s", why);
    }
    for (unsigned i = 0; i < GATEWAYS; i++) {
        uint8_t seed[SEED_SIZE] = {(uint8_t)(i + 1)};
        sign_key_from_seed(seed, &m->gateways[i]);
    }
}

static void gateway_id(unsigned index, char out[ID_MAX + 1])
{
    snprintf(out, ID_MAX + 1, "bench/g%u", index);
}

static void certify(const struct maker *m, const struct block *block, struct buf *out)
{
    const struct validator_set *set = &m->genesis.validators;
    struct certificate certificate = {
        .height = block->header.height, .header = block->hash, .n = validators_quorum(set->n)};
    struct vote vote = {.height = certificate.height, .header = certificate.header};
    validator_set_hash(set, &vote.validators);
    for (size_t i = 0; i < certificate.n; i++) {
        certificate.votes[i].validator = (uint8_t)i;
        vote_sign(&m->validators[i], COMMIT_LABEL, &m->genesis.hash, &vote,
                  &certificate.votes[i].signature);
    }
    certificate_encode(&certificate, out);
}

/* Appends a block of these requests to chain and store. */
static void add_block(struct maker *m, const struct bytes *requests, size_t n)
{
    struct block_header header;
    struct buf wire = {0}, certificate = {0};
    struct block block;
    chain_next_header(m->chain, &header);
    header.time_us = chain_tip(m->chain)->time_us + BLOCK_US;
    snprintf(header.proposer, sizeof header.proposer, "%s", m->genesis.validators.v[0].id);
    must(block_encode(&header, requests, n, &wire), "a block");
    must(block_decode(buf_bytes(&wire), &block), "a block");
    certify(m, &block, &certificate);
    must(chain_append(m->chain, &block), "the chain");
    must(block_store_put_block(m->store, buf_bytes(&wire), buf_bytes(&certificate)), "the store");
    if (block.header.height % SNAPSHOT_INTERVAL == 0) {
        must(block_store_put_snapshot(m->store, m->chain), "a snapshot");
        chain_forget_log(m->chain, block.header.height + 1 - SNAPSHOT_INTERVAL);
    }
    m->bytes += wire.n + certificate.n;
    buf_close(&wire);
    buf_close(&certificate);
}

static void add_register(struct maker *m, unsigned index)
{
    char id[ID_MAX + 1];
    struct buf wire = {0};
    gateway_id(index, id);
    must(request_make_register(bytes_str(m->admin_id),
                               chain_request_next(m->chain, bytes_str(m->admin_id)), bytes_str(id),
                               MEMBER_GATEWAY, &m->gateways[index].public_key, &m->admin,
                               &m->genesis.hash, &wire),
         "a registration");
    add_block(m, &(struct bytes){wire.p, wire.n}, 1);
    buf_close(&wire);
}

static void add_describe(struct maker *m, unsigned index)
{
    char id[ID_MAX + 1];
    struct buf wire = {0};
    const struct item item = {1,
                              BYTES_LIT("D3343134IE3B"),
                              BYTES_LIT("CS"),
                              BYTES_LIT("device_temperature"),
                              BYTES_LIT("C"),
                              DATATYPE_DOUBLE};
    gateway_id(index, id);
    must(request_make_describe(bytes_str(id), chain_request_next(m->chain, bytes_str(id)), &item, 1,
                               &m->gateways[index], &m->genesis.hash, &wire),
         "a description");
    add_block(m, &(struct bytes){wire.p, wire.n}, 1);
    buf_close(&wire);
}

static void add_data(struct maker *m, unsigned index)
{
    char id[ID_MAX + 1];
    struct buf wire = {0};
    uint64_t covered;
    size_t pending;
    gateway_id(index, id);
    chain_history_next(m->chain, bytes_str(id), &covered, &pending);
    struct record record = {.gateway = bytes_str(id),
                            .device = BYTES_LIT("D3343134IE3B"),
                            .num = 1,
                            .time_us = chain_tip(m->chain)->time_us,
                            .value = BYTES_LIT("36.5")};
    struct interval_leaf leaf = {.n = covered,
                                 .status = LEAF_ACKNOWLEDGED,
                                 .node = bytes_str(m->genesis.validators.v[0].id)};
    hash_sha256(bytes_of(&covered, sizeof covered), &leaf.report);
    const struct request_data data = {.sender = bytes_str(id),
                                      .number = chain_request_next(m->chain, bytes_str(id)),
                                      .records = &record,
                                      .record_count = 1,
                                      .from = covered,
                                      .to = covered,
                                      .leaves = &leaf,
                                      .leaf_count = 1};
    must(request_make_data(&data, &m->gateways[index], &m->genesis.hash, &wire), "a request");
    add_block(m, &(struct bytes){wire.p, wire.n}, 1);
    buf_close(&wire);
}

static void add_next(struct maker *m)
{
    uint64_t height = chain_height(m->chain) + 1;
    if (height <= GATEWAYS)
        add_register(m, (unsigned)height - 1);
    else if (height <= 2 * GATEWAYS)
        add_describe(m, (unsigned)height - GATEWAYS - 1);
    else
        add_data(m, (unsigned)(height % GATEWAYS));
}

static void open_store(struct maker *m, const char *folder)
{
    char why[512] = "";
    int error =
        block_store_open(folder, BLOCK_STORE_WRITE, &m->genesis.hash, &m->store, why, sizeof why);
    if (error == SEALMQ_E_NOTFOUND)
        error = block_store_open(folder, BLOCK_STORE_CREATE, &m->genesis.hash, &m->store, why,
                                 sizeof why);
    if (error == 0)
        error = block_store_load_chain(m->store, &m->genesis, UINT64_MAX, &m->chain, NULL, NULL,
                                       why, sizeof why);
    if (error != 0)
        give_up("%s", why);
}

/* The checkpoint of the chain as it is, cosigned by a quorum. */
static void put_checkpoint(struct maker *m)
{
    struct checkpoint checkpoint = {.size = chain_height(m->chain) + 1};
    struct buf note = {0};
    checkpoint_origin(m->genesis.network, checkpoint.origin);
    chain_log_root(m->chain, &checkpoint.root);
    checkpoint_format(&checkpoint, &note);
    buf_append_u8(&note, '\n');
    for (size_t i = 0; i < validators_quorum(m->genesis.validators.n); i++) {
        struct sign_key log_key, cosigner_key;
        sign_key_derive(&m->validators[i], LOG_KEY_PURPOSE, &log_key);
        sign_key_derive(&m->validators[i], COSIGNER_KEY_PURPOSE, &cosigner_key);
        checkpoint_sign(&checkpoint, &m->genesis.validators.v[i], &log_key, &cosigner_key,
                        (uint64_t)chain_tip(m->chain)->time_us / 1000000, &note);
    }
    must(buf_status(&note), "a checkpoint");
    must(block_store_put_checkpoint(m->store, checkpoint.size, buf_bytes(&note)), "a checkpoint");
    buf_close(&note);
}

static void make(struct maker *m, uint64_t to)
{
    static const uint8_t view[10] = {1};
    while (chain_height(m->chain) < to) {
        must(block_store_begin(m->store), "the store");
        for (unsigned i = 0; i < BLOCKS_A_STEP && chain_height(m->chain) < to; i++)
            add_next(m);
        put_checkpoint(m);
        must(block_store_put_slot(m->store, SLOT_VIEW, bytes_of(view, sizeof view)), "the store");
        must(block_store_commit(m->store), "the store");
    }
}

int main(int argc, char **argv)
{
    static struct maker maker;
    if (argc != 4)
        give_up("usage: make_chain NETWORK-FOLDER DATA-FOLDER BLOCKS");
    must(crypto_init(), "libsodium");
    read_network(&maker, argv[1]);
    double start = now_s();
    open_store(&maker, argv[2]);
    uint64_t from = chain_height(maker.chain);
    double opened = now_s();
    make(&maker, strtoull(argv[3], NULL, 10));
    double made = now_s();
    printf("opened at %llu in %.2f s; made %llu blocks of %.0f bytes in %.2f s\n",
           (unsigned long long)from, opened - start,
           (unsigned long long)(chain_height(maker.chain) - from),
           (double)maker.bytes / (double)(chain_height(maker.chain) - from + 1), made - opened);
    chain_free(maker.chain);
    block_store_close(maker.store);
    return 0;
}
