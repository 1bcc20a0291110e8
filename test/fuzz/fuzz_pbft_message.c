/* Any messages into a replica. Input: for each message u8 kind || u8 how || u16 length || bytes.
 * `how` 0 gives the bytes as they are; otherwise validator (how - 1) % 4 signs them as what the
 * kind has under its signature, so that what lies behind a valid signature is reached too. */
#include "consensus/message.h"
#include "consensus/pbft.h"

#include <stdio.h>
#include <stdlib.h>

#define NODES 4

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct genesis genesis;
static struct sign_key keys[NODES], log_key, cosigner_key, admin_key;
static struct hash validators;

static void make_network(void)
{
    char why[128];
    if (crypto_init() != 0)
        abort();
    snprintf(genesis.network, sizeof(genesis.network), "fuzz");
    genesis.created_us = 1;
    genesis.validators.n = NODES;
    for (unsigned i = 0; i < NODES; i++) {
        struct validator *v = &genesis.validators.v[i];
        struct sign_key derived;
        uint8_t seed[SEED_SIZE] = {(uint8_t)(i + 1)};
        sign_key_from_seed(seed, &keys[i]);
        snprintf(v->id, sizeof(v->id), "broker/n%u", i);
        snprintf(v->url, sizeof(v->url), "mqtt://127.0.0.1:%u", 1883 + i);
        v->key = keys[i].public_key;
        sign_key_derive(&keys[i], LOG_KEY_PURPOSE, &derived);
        v->log_key = derived.public_key;
        if (i == 1)
            log_key = derived;
        sign_key_derive(&keys[i], COSIGNER_KEY_PURPOSE, &derived);
        v->cosigner_key = derived.public_key;
        if (i == 1)
            cosigner_key = derived;
    }
    genesis.admin_count = genesis.admin_threshold = 1;
    snprintf(genesis.admins[0].id, sizeof(genesis.admins[0].id), "admin/a");
    sign_key_derive(&keys[0], "admin", &admin_key);
    genesis.admins[0].key = admin_key.public_key;
    genesis.parameters.anchor_interval_ms = 1000;
    if (genesis_seal(&genesis, why, sizeof(why)) != 0)
        abort();
    validator_set_hash(&genesis.validators, &validators);
}

/* u64 view || u64 height || hash || rest: a vote with its signature put in. */
static void sign_a_vote(enum pbft_message_kind kind, int sender, struct bytes bytes,
                        struct buf *out)
{
    struct reader r = reader_of(bytes);
    struct msg_vote m = {.sender = sender, .view = reader_u64(&r), .height = reader_u64(&r)};
    reader_copy(&r, m.header.b, HASH_SIZE);
    m.block = bytes_of(r.p, r.n);
    struct block block;
    if (kind == PBFT_MSG_PRE_PREPARE && block_decode(m.block, &block) == 0)
        m.header = block.hash;
    struct vote tuple = {.validators = validators, .view = m.view, .height = m.height};
    tuple.header = m.header;
    vote_sign(&keys[sender], kind == PBFT_MSG_COMMIT ? COMMIT_LABEL : PREPARE_LABEL, &genesis.hash,
              &tuple, &m.signature);
    message_encode_vote(&m, kind, out);
}

static void make_message(enum pbft_message_kind kind, uint8_t how, struct bytes bytes,
                         struct buf *out)
{
    int sender = (how - 1) % NODES;
    if (how == 0) {
        buf_append_bytes(out, bytes);
        return;
    }
    switch (kind) {
    case PBFT_MSG_PRE_PREPARE:
    case PBFT_MSG_PREPARE:
    case PBFT_MSG_COMMIT:
        sign_a_vote(kind, sender, bytes, out);
        break;
    case PBFT_MSG_VIEW_CHANGE:
    case PBFT_MSG_NEW_VIEW:
    case PBFT_MSG_STATUS:
    case PBFT_MSG_FETCH:
        message_sign(kind, sender, bytes, &keys[sender], &genesis.hash, &validators, out);
        if (kind == PBFT_MSG_VIEW_CHANGE || kind == PBFT_MSG_NEW_VIEW)
            buf_append_u32(out, 0);
        break;
    default:
        buf_append_bytes(out, bytes);
        break;
    }
}

static void feed(struct pbft *pbft, struct bytes data)
{
    struct reader r = reader_of(data);
    uint64_t now_ms = 10;
    for (int i = 0; i < 16 && r.n > 4 && reader_status(&r) == 0; i++) {
        enum pbft_message_kind kind = (enum pbft_message_kind)reader_u8(&r);
        uint8_t how = reader_u8(&r);
        struct bytes bytes = reader_str16(&r);
        struct buf wire = {0};
        make_message(kind, how, bytes, &wire);
        struct pbft_event event = {.kind = PBFT_EVENT_MESSAGE};
        event.now_ms = now_ms += how == 0 ? 1 : how * 10u;
        event.wall_us = 1000000 + (int64_t)now_ms * 1000;
        event.message.kind = kind;
        event.message.bytes = buf_bytes(&wire);
        event.message.peer = how % (NODES + 1) - 1;
        struct pbft_update update;
        if (pbft_step(pbft, &event, &update) != 0)
            abort(); /* a message is never an error of the step */
        buf_close(&wire);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool is_ready;
    if (!is_ready)
        make_network();
    is_ready = true;

    struct pbft_options options = {.id = "broker/n1",
                                   .key = &keys[1],
                                   .log_key = &log_key,
                                   .cosigner_key = &cosigner_key,
                                   .may_vote = true,
                                   .now_ms = 10};
    struct pbft *pbft;
    pbft_timing_default(&options.timing);
    if (chain_new(&genesis, &options.chain) != 0 || mempool_new(&options.mempool) != 0 ||
        pbft_new(&options, &pbft) != 0)
        abort();
    feed(pbft, bytes_of(data, size));
    pbft_free(pbft);
    mempool_free(options.mempool);
    chain_free(options.chain);
    return 0;
}
