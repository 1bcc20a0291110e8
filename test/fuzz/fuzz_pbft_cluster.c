/* Four replicas that talk to each other, and an adversary who has one validator's key and all
 * wires. The input says what is delivered, in which order, what is changed on the way, and what the
 * liar signs: so messages are true ones with something wrong in them, and the checks behind the
 * first are reached. Whatever comes, no step fails, and the three honest ones have the same blocks.
 *
 *   input = (u8 what || u8 a || u8 b)...
 *   what % 8:  0 to 2  message a of those on their way arrives at its receiver
 *              3       the same with byte 256 * (what / 8) + b (of its size) changed, by nobody's
 * key 4       the liar sends it, changed there, as its own: signed anew 5       a client asks node
 * a for something new 6       node a looks at its clock, b * 8 ms later 7       b zeros with a
 * first bytes of a message as kind a, to node what / 8 */
#include "consensus/message.h"
#include "consensus/pbft.h"

#include <stdio.h>
#include <stdlib.h>

#define NODES      4
#define HONEST     3
#define LIAR       3
#define QUEUE_MAX  512
#define STEPS_MAX  400
#define BLOCKS_MAX 16

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct wire {
    int from, to;
    enum pbft_message_kind kind;
    struct buf bytes;
};

struct node {
    struct chain *chain;
    struct mempool *mempool;
    struct pbft *pbft;
    struct buf blocks[BLOCKS_MAX], certificates[BLOCKS_MAX];
    size_t height;
};

static struct {
    struct genesis genesis;
    struct hash validators;
    struct sign_key keys[NODES], log_keys[NODES], cosigner_keys[NODES], admin;
} network;

static struct {
    struct node nodes[NODES];
    struct wire queue[QUEUE_MAX];
    size_t count;
    uint64_t now_ms, requests;
} world;

static void demand(bool holds)
{
    if (!holds)
        abort();
}

static void make_network(void)
{
    char why[128];
    struct genesis *g = &network.genesis;
    demand(crypto_init() == 0);
    snprintf(g->network, sizeof(g->network), "fuzz");
    g->created_us = 1;
    g->validators.n = NODES;
    for (unsigned i = 0; i < NODES; i++) {
        struct validator *v = &g->validators.v[i];
        uint8_t seed[SEED_SIZE] = {(uint8_t)(i + 1)};
        sign_key_from_seed(seed, &network.keys[i]);
        sign_key_derive(&network.keys[i], LOG_KEY_PURPOSE, &network.log_keys[i]);
        sign_key_derive(&network.keys[i], COSIGNER_KEY_PURPOSE, &network.cosigner_keys[i]);
        snprintf(v->id, sizeof(v->id), "broker/n%u", i);
        snprintf(v->url, sizeof(v->url), "mqtt://127.0.0.1:%u", 1883 + i);
        v->key = network.keys[i].public_key;
        v->log_key = network.log_keys[i].public_key;
        v->cosigner_key = network.cosigner_keys[i].public_key;
    }
    sign_key_derive(&network.keys[0], "admin", &network.admin);
    g->admin_count = g->admin_threshold = 1;
    snprintf(g->admins[0].id, sizeof(g->admins[0].id), "admin/a");
    g->admins[0].key = network.admin.public_key;
    g->parameters.anchor_interval_ms = 1000;
    demand(genesis_seal(g, why, sizeof(why)) == 0);
    validator_set_hash(&g->validators, &network.validators);
}

static void start(unsigned index)
{
    struct node *node = &world.nodes[index];
    struct pbft_options options = {.id = network.genesis.validators.v[index].id,
                                   .key = &network.keys[index],
                                   .log_key = &network.log_keys[index],
                                   .cosigner_key = &network.cosigner_keys[index],
                                   .may_vote = true,
                                   .now_ms = world.now_ms};
    pbft_timing_default(&options.timing);
    demand(chain_new(&network.genesis, &node->chain) == 0 && mempool_new(&node->mempool) == 0);
    options.chain = node->chain;
    options.mempool = node->mempool;
    demand(pbft_new(&options, &node->pbft) == 0);
}

static void put(int from, int to, enum pbft_message_kind kind, struct bytes bytes)
{
    if (world.count == QUEUE_MAX)
        return; /* lost */
    struct wire *wire = &world.queue[world.count++];
    *wire = (struct wire){.from = from, .to = to, .kind = kind};
    buf_append_bytes(&wire->bytes, bytes);
}

static void send_all(unsigned index, const struct pbft_update *update)
{
    for (size_t i = 0; i < update->message_count; i++) {
        const struct pbft_message *m = &update->messages[i];
        for (int to = 0; to < NODES; to++)
            if (to != (int)index && (m->to < 0 || m->to == to))
                put((int)index, to, m->kind, m->bytes);
    }
}

static void keep(struct node *node, const struct pbft_update *update)
{
    for (size_t i = 0; i < update->block_count && node->height < BLOCKS_MAX; i++) {
        buf_append_bytes(&node->blocks[node->height], update->blocks[i].block);
        buf_append_bytes(&node->certificates[node->height], update->blocks[i].certificate);
        node->height++;
    }
}

static bool is_signed(const struct node *node, struct bytes wire)
{
    struct block block;
    demand(block_decode(wire, &block) == 0);
    struct bytes list = block.requests, request_wire;
    while (block_requests_next(&list, &request_wire)) {
        struct request request;
        if (request_decode(request_wire, &request) != 0 ||
            chain_check_signatures(node->chain, &request) != 0)
            return false;
    }
    return true;
}

/* One event, and the answers that the core asks for. */
static void step(unsigned index, struct pbft_event event)
{
    struct node *node = &world.nodes[index];
    struct pbft_stored_block served[BLOCKS_MAX];
    for (int round = 0; round < 3; round++) {
        struct pbft_update update;
        event.now_ms = world.now_ms;
        event.wall_us = 1000000 + (int64_t)world.now_ms * 1000;
        int error = pbft_step(node->pbft, &event, &update);
        demand(error != SEALMQ_E_NOMEM && (error == 0 || event.kind == PBFT_EVENT_REQUEST));
        keep(node, &update);
        send_all(index, &update);
        event = (struct pbft_event){.kind = PBFT_EVENT_TICK};
        if (update.verify_block.n != 0) {
            event.kind = PBFT_EVENT_VERIFIED;
            event.verified.header = update.verify_header;
            event.verified.valid = is_signed(node, update.verify_block);
        } else if (update.serve.count != 0) {
            event.kind = PBFT_EVENT_SERVED;
            event.served.peer = update.serve.peer;
            event.served.blocks = served;
            for (size_t h = update.serve.from; h >= 1 && h <= node->height; h++) {
                struct pbft_stored_block *b = &served[event.served.n++];
                b->block = buf_bytes(&node->blocks[h - 1]);
                b->certificate = buf_bytes(&node->certificates[h - 1]);
            }
        } else {
            return;
        }
    }
}

static void arrive(int from, int to, enum pbft_message_kind kind, struct bytes bytes)
{
    struct request request;
    /* The host checks requests before the core sees them. */
    if (kind == PBFT_MSG_REQUEST && (request_decode(bytes, &request) != 0 ||
                                     chain_check_signatures(world.nodes[to].chain, &request) != 0))
        return;
    struct pbft_event event = {.kind = PBFT_EVENT_MESSAGE};
    event.message.kind = kind;
    event.message.bytes = bytes;
    event.message.peer = from;
    step((unsigned)to, event);
}

/* Takes the message out of the queue. */
static bool take(uint8_t which, struct wire *out)
{
    if (world.count == 0)
        return false;
    size_t i = which % world.count;
    *out = world.queue[i];
    world.queue[i] = world.queue[--world.count];
    return true;
}

static void change(struct buf *bytes, size_t at, uint8_t how)
{
    if (bytes->n != 0)
        bytes->p[at % bytes->n] ^= (uint8_t)(how | 1);
}

/* What the message says, in the liar's name and with its signature. */
static void sign_anew(struct wire *wire)
{
    struct buf made = {0};
    struct bytes bytes = buf_bytes(&wire->bytes);
    struct reader r = reader_of(bytes);
    (void)reader_u16(&r);
    (void)reader_u8(&r); /* version, kind, sender */
    if (wire->kind >= PBFT_MSG_PRE_PREPARE && wire->kind <= PBFT_MSG_COMMIT) {
        struct msg_vote m = {.sender = LIAR, .view = reader_u64(&r), .height = reader_u64(&r)};
        struct signature unused;
        reader_copy(&r, m.header.b, HASH_SIZE);
        reader_copy(&r, unused.b, SIGNATURE_SIZE);
        m.block = wire->kind == PBFT_MSG_PRE_PREPARE ? reader_str32(&r) : (struct bytes){0};
        struct block block;
        if (m.block.n != 0 && block_decode(m.block, &block) == 0)
            m.header = block.hash;
        struct vote tuple = {.validators = network.validators, .view = m.view, .height = m.height};
        tuple.header = m.header;
        vote_sign(&network.keys[LIAR], wire->kind == PBFT_MSG_COMMIT ? COMMIT_LABEL : PREPARE_LABEL,
                  &network.genesis.hash, &tuple, &m.signature);
        message_encode_vote(&m, wire->kind, &made);
    } else if (wire->kind >= PBFT_MSG_VIEW_CHANGE && wire->kind <= PBFT_MSG_FETCH) {
        struct bytes fields = reader_str32(&r);
        struct signature unused;
        reader_copy(&r, unused.b, SIGNATURE_SIZE);
        if (r.failed == 0) {
            message_sign(wire->kind, LIAR, fields, &network.keys[LIAR], &network.genesis.hash,
                         &network.validators, &made);
            buf_append_bytes(&made, bytes_of(r.p, r.n));
        }
    }
    if (made.n != 0) {
        buf_close(&wire->bytes);
        wire->bytes = made;
    }
}

static void ask(unsigned index)
{
    char id[32];
    uint8_t seed[SEED_SIZE] = {0xee, (uint8_t)world.requests};
    struct sign_key key;
    struct buf wire = {0};
    if (world.requests == 60)
        return;
    world.requests++;
    sign_key_from_seed(seed, &key);
    snprintf(id, sizeof(id), "devices/g%llu", (unsigned long long)world.requests);
    demand(request_make_register(BYTES_LIT("admin/a"), world.requests, bytes_str(id),
                                 MEMBER_GATEWAY, &key.public_key, &network.admin,
                                 &network.genesis.hash, &wire) == 0);
    step(index, (struct pbft_event){.kind = PBFT_EVENT_REQUEST, .request = buf_bytes(&wire)});
    buf_close(&wire);
}

static void act(uint8_t what, uint8_t a, uint8_t b)
{
    struct wire wire;
    switch (what % 8) {
    case 5:
        ask(a % NODES);
        return;
    case 6:
        world.now_ms += (uint64_t)b * 8;
        step(a % NODES, (struct pbft_event){.kind = PBFT_EVENT_TICK});
        return;
    case 7: {
        uint8_t zeros[256] = {1, a, (uint8_t)(what / 8 % NODES)};
        arrive(LIAR, what / 8 % NODES, (enum pbft_message_kind)a, bytes_of(zeros, b));
        return;
    }
    default:
        if (!take(a, &wire))
            return;
    }
    size_t at = 256u * (what / 8) + b;
    if (what % 8 >= 3)
        change(&wire.bytes, at, (uint8_t)(a ^ b));
    if (what % 8 == 4) {
        sign_anew(&wire);
        wire.from = LIAR;
    }
    if (buf_status(&wire.bytes) == 0)
        arrive(wire.from, wire.to, wire.kind, buf_bytes(&wire.bytes));
    buf_close(&wire.bytes);
}

static void check_agreement(void)
{
    for (unsigned i = 1; i < HONEST; i++) {
        const struct node *node = &world.nodes[i], *first = &world.nodes[0];
        for (size_t h = 0; h < node->height && h < first->height; h++) {
            struct block ours, theirs;
            demand(block_decode(buf_bytes(&first->blocks[h]), &ours) == 0 &&
                   block_decode(buf_bytes(&node->blocks[h]), &theirs) == 0);
            demand(hash_equal(&ours.hash, &theirs.hash));
        }
    }
}

static void end(void)
{
    for (size_t i = 0; i < world.count; i++)
        buf_close(&world.queue[i].bytes);
    for (unsigned i = 0; i < NODES; i++) {
        struct node *node = &world.nodes[i];
        pbft_free(node->pbft);
        mempool_free(node->mempool);
        chain_free(node->chain);
        for (size_t h = 0; h < BLOCKS_MAX; h++) {
            buf_close(&node->blocks[h]);
            buf_close(&node->certificates[h]);
        }
    }
    memset(&world, 0, sizeof(world));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool is_ready;
    if (!is_ready)
        make_network();
    is_ready = true;
    world.now_ms = 10;
    for (unsigned i = 0; i < NODES; i++)
        start(i);
    for (size_t i = 0; i + 3 <= size && i < 3 * STEPS_MAX; i += 3) {
        act(data[i], data[i + 1], data[i + 2]);
        if (world.nodes[0].height == BLOCKS_MAX || world.nodes[1].height == BLOCKS_MAX ||
            world.nodes[2].height == BLOCKS_MAX || world.nodes[3].height == BLOCKS_MAX)
            break;
    }
    check_agreement();
    end();
    return 0;
}
