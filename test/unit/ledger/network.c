#include "unit/ledger/network.h"

#include "base/assert.h"

#include <stdio.h>

void network_key(uint8_t seed, unsigned index, struct sign_key *out)
{
    uint8_t bytes[SEED_SIZE];
    memset(bytes, seed, sizeof(bytes));
    bytes[SEED_SIZE - 2] = (uint8_t)(index >> 8);
    bytes[SEED_SIZE - 1] = (uint8_t)index;
    sign_key_from_seed(bytes, out);
}

static void derived(const struct sign_key *root, const char *purpose, struct public_key *out)
{
    struct sign_key key;
    sign_key_derive(root, purpose, &key);
    *out = key.public_key;
}

void network_make(struct network *network, size_t validators, unsigned threshold)
{
    int error = crypto_init();
    ASSERT(error == 0);
    *network = (struct network){0};
    struct genesis *genesis = &network->genesis;
    snprintf(genesis->network, sizeof(genesis->network), "plant");
    genesis->created_us = NETWORK_CREATED_US;
    genesis->parameters.anchor_interval_ms = 60000;
    genesis->validators.n = validators;
    for (size_t i = 0; i < validators; i++) {
        struct validator *v = &genesis->validators.v[i];
        network_key(1, (unsigned)i, &network->validators[i]);
        snprintf(v->id, sizeof(v->id), "broker/%03u", (unsigned)i);
        snprintf(v->url, sizeof(v->url), "mqtt://127.0.0.1:%u", 18830 + (unsigned)i);
        v->key = network->validators[i].public_key;
        derived(&network->validators[i], LOG_KEY_PURPOSE, &v->log_key);
        derived(&network->validators[i], COSIGNER_KEY_PURPOSE, &v->cosigner_key);
    }
    genesis->admin_count = 3;
    genesis->admin_threshold = threshold;
    for (unsigned i = 0; i < 3; i++) {
        network_key(2, i, &network->admins[i]);
        snprintf(genesis->admins[i].id, sizeof(genesis->admins[i].id), "admin/%c", 'a' + (char)i);
        genesis->admins[i].key = network->admins[i].public_key;
    }
    network_key(3, 0, &network->gateway);
    network_key(4, 0, &network->other);
    error = genesis_seal(genesis, NULL, 0);
    ASSERT(error == 0);
}

struct buf *batch_add(struct batch *batch)
{
    ASSERT(batch->n < sizeof(batch->wires) / sizeof(batch->wires[0]));
    struct buf *wire = &batch->wires[batch->n++];
    *wire = (struct buf){0};
    return wire;
}

void batch_close(struct batch *batch)
{
    while (batch->n > 0)
        buf_close(&batch->wires[--batch->n]);
}

struct request batch_last(const struct batch *batch)
{
    struct request request;
    int error = request_decode(buf_bytes(&batch->wires[batch->n - 1]), &request);
    ASSERT(error == 0);
    return request;
}

struct record record_of(const char *device, uint32_t num, const char *value)
{
    return (struct record){.gateway = BYTES_LIT(GATEWAY),
                           .device = bytes_str(device),
                           .num = num,
                           .time_us = NETWORK_CREATED_US,
                           .value = bytes_str(value)};
}

struct item item_of(uint32_t num, const char *device, const char *name)
{
    return (struct item){.num = num,
                         .device = bytes_str(device),
                         .service = BYTES_LIT("CS"),
                         .name = bytes_str(name),
                         .unit = BYTES_LIT("\xc2\xb0"
                                           "C"),
                         .type = DATATYPE_DOUBLE};
}

struct interval_leaf leaf_of(uint64_t n, enum leaf_status status)
{
    struct interval_leaf leaf = {.n = n, .status = status};
    if (status == LEAF_ACKNOWLEDGED)
        leaf.node = BYTES_LIT("broker/000");
    char text[24];
    snprintf(text, sizeof(text), "report %llu", (unsigned long long)n);
    hash_sha256(bytes_str(text), &leaf.report);
    return leaf;
}

void add_data(struct batch *batch, const struct network *network, uint64_t number, uint64_t from,
              const struct interval_leaf *leaves, size_t leaf_count, const struct record *records,
              size_t record_count)
{
    uint64_t to = from - 1;
    for (size_t i = 0; i < leaf_count; i++)
        if (leaves[i].n >= from)
            to = leaves[i].n;
    struct request_data data = {.sender = BYTES_LIT(GATEWAY),
                                .number = number,
                                .records = records,
                                .record_count = record_count,
                                .from = from,
                                .to = to,
                                .leaves = leaves,
                                .leaf_count = leaf_count};
    int error =
        request_make_data(&data, &network->gateway, &network->genesis.hash, batch_add(batch));
    ASSERT(error == 0);
}

void add_interval(struct batch *batch, const struct network *network, uint64_t number,
                  uint64_t from, uint64_t to)
{
    struct interval_leaf leaves[256];
    size_t n = 0;
    for (uint64_t i = from; i <= to; i++)
        leaves[n++] = leaf_of(i, LEAF_ACKNOWLEDGED);
    add_data(batch, network, number, from, leaves, n, NULL, 0);
}

void add_describe(struct batch *batch, const struct network *network, uint64_t number,
                  const struct item *items, size_t count)
{
    int error = request_make_describe(BYTES_LIT(GATEWAY), number, items, count, &network->gateway,
                                      &network->genesis.hash, batch_add(batch));
    ASSERT(error == 0);
}

/* Replaces the last request by itself with the other admins' signatures. */
static void cosign_last(struct batch *batch, const struct network *network)
{
    for (unsigned i = 1; i < network->genesis.admin_threshold; i++) {
        struct buf *wire = &batch->wires[batch->n - 1];
        struct buf more = {0};
        int error = request_cosign(buf_bytes(wire), bytes_str(network->genesis.admins[i].id),
                                   &network->admins[i], &network->genesis.hash, &more);
        ASSERT(error == 0);
        buf_close(wire);
        *wire = more;
    }
}

void add_register(struct batch *batch, const struct network *network, uint64_t number,
                  const char *id, const struct sign_key *key)
{
    int error = request_make_register(BYTES_LIT("admin/a"), number, bytes_str(id), MEMBER_GATEWAY,
                                      &key->public_key, &network->admins[0], &network->genesis.hash,
                                      batch_add(batch));
    ASSERT(error == 0);
    cosign_last(batch, network);
}

void add_revoke(struct batch *batch, const struct network *network, uint64_t number, const char *id)
{
    int error = request_make_revoke(BYTES_LIT("admin/a"), number, bytes_str(id), BYTES_LIT("lost"),
                                    &network->admins[0], &network->genesis.hash, batch_add(batch));
    ASSERT(error == 0);
    cosign_last(batch, network);
}

struct validator network_validator(const char *id, const struct sign_key *key)
{
    struct validator validator = {.key = key->public_key, .url = "mqtt://127.0.0.1:18900"};
    snprintf(validator.id, sizeof(validator.id), "%s", id);
    derived(key, LOG_KEY_PURPOSE, &validator.log_key);
    derived(key, COSIGNER_KEY_PURPOSE, &validator.cosigner_key);
    return validator;
}

void add_join(struct batch *batch, const struct network *network, const struct chain *chain,
              uint64_t number, const char *id, const struct sign_key *key)
{
    struct validator validator = network_validator(id, key);
    struct buf join = {0};
    struct hash leaf;
    merkle_log_leaf(chain_log(chain), chain_height(chain), &leaf);
    int error = request_make_join(&validator, chain_height(chain), &leaf, key,
                                  &network->genesis.hash, &join);
    ASSERT(error == 0);
    error = request_make_register_validator(BYTES_LIT("admin/a"), number, buf_bytes(&join),
                                            &network->admins[0], &network->genesis.hash,
                                            batch_add(batch));
    ASSERT(error == 0);
    buf_close(&join);
    cosign_last(batch, network);
}

void add_demote(struct batch *batch, const struct network *network, uint64_t number, const char *id,
                const struct sign_key *key)
{
    add_register(batch, network, number, id, key);
}

void add_rotate(struct batch *batch, const struct network *network, uint64_t number, const char *id,
                enum member_role role, const struct sign_key *new_key, const struct sign_key *key)
{
    struct validator validator = network_validator(id, new_key);
    int error = request_make_rotate(bytes_str(id), number, bytes_str(id),
                                    role == MEMBER_VALIDATOR ? &validator : NULL, new_key, key,
                                    &network->genesis.hash, batch_add(batch));
    ASSERT(error == 0);
}

void add_configure(struct batch *batch, const struct network *network, uint64_t number,
                   enum configure_what what, struct bytes value)
{
    int error =
        request_make_configure(BYTES_LIT("admin/a"), number, what, value, &network->admins[0],
                               &network->genesis.hash, batch_add(batch));
    ASSERT(error == 0);
    cosign_last(batch, network);
}

void make_block(struct chain *chain, const struct batch *batch, struct buf *out)
{
    struct block_header header;
    struct bytes wires[64];
    for (size_t i = 0; i < batch->n; i++)
        wires[i] = buf_bytes(&batch->wires[i]);
    /* Of requests that cannot be executed, whoever takes the block says so. */
    (void)!chain_plan_header(chain, wires, batch->n, &header);
    header.time_us = chain_tip(chain)->time_us + 1000000;
    header.view = header.height;
    const struct validator_set *set = chain_validators(chain);
    memcpy(header.proposer, set->v[header.view % set->n].id, sizeof(header.proposer));
    int error = block_encode(&header, wires, batch->n, out);
    ASSERT(error == 0);
}

int append_batch(struct chain *chain, struct batch *batch)
{
    struct buf wire = {0};
    make_block(chain, batch, &wire);
    struct block block;
    int error = block_decode(buf_bytes(&wire), &block);
    ASSERT(error == 0);
    error = chain_append(chain, &block);
    buf_close(&wire);
    batch_close(batch);
    return error;
}

struct chain *network_chain(const struct network *network)
{
    struct chain *chain;
    int error = chain_new(&network->genesis, &chain);
    ASSERT(error == 0);
    struct batch batch = {0};
    add_register(&batch, network, 1, GATEWAY, &network->gateway);
    error = append_batch(chain, &batch);
    ASSERT(error == 0);
    return chain;
}
