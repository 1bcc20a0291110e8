#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "cluster.h"

#include <stdio.h>
#include <stdlib.h>

static void key_from(uint8_t number, struct sign_key *out)
{
    uint8_t seed[SEED_SIZE] = {number, 7};
    sign_key_from_seed(seed, out);
}

static struct bytes copy_of(struct bytes b)
{
    uint8_t *p = malloc(b.n + 1);
    assert_non_null(p);
    if (b.n != 0)
        memcpy(p, b.p, b.n);
    return bytes_of(p, b.n);
}

static struct cluster *cluster_make(size_t n, size_t validators, uint8_t difficulty);

struct cluster *cluster_new(size_t n)
{
    return cluster_new_with(n, n);
}

struct cluster *cluster_new_with(size_t n, size_t validators)
{
    return cluster_make(n, validators, 0);
}

struct cluster *cluster_new_that_works(size_t n, uint8_t difficulty)
{
    return cluster_make(n, n, difficulty);
}

static struct cluster *cluster_make(size_t n, size_t validators, uint8_t difficulty)
{
    struct cluster *c = calloc(1, sizeof(*c));
    char why[128];
    assert_non_null(c);
    assert_int_equal(crypto_init(), 0);
    c->n = n;
    c->now_ms = 1000;
    c->wall_us = INT64_C(1700000000000000);
    c->verifies = true;
    pbft_timing_default(&c->timing);
    struct genesis *g = &c->genesis;
    snprintf(g->network, sizeof(g->network), "test");
    g->created_us = INT64_C(1600000000000000);
    g->validators.n = validators;
    for (size_t i = 0; i < n; i++) {
        struct node *node = &c->nodes[i];
        struct validator unused, *v = i < validators ? &g->validators.v[i] : &unused;
        key_from((uint8_t)(i + 1), &node->key);
        sign_key_derive(&node->key, LOG_KEY_PURPOSE, &node->log_key);
        sign_key_derive(&node->key, COSIGNER_KEY_PURPOSE, &node->cosigner_key);
        snprintf(node->id, sizeof(node->id), "broker/n%zu", i);
        memcpy(v->id, node->id, sizeof(v->id));
        snprintf(v->url, sizeof(v->url), "mqtt://127.0.0.1:%zu", 1883 + i);
        v->key = node->key.public_key;
        v->log_key = node->log_key.public_key;
        v->cosigner_key = node->cosigner_key.public_key;
        node->may_vote = true;
    }
    key_from(100, &c->admin);
    key_from(101, &c->gateway);
    g->admin_count = g->admin_threshold = 1;
    snprintf(g->admins[0].id, sizeof(g->admins[0].id), "admin/root");
    g->admins[0].key = c->admin.public_key;
    g->parameters.anchor_interval_ms = 60000;
    g->parameters.difficulty = difficulty;
    assert_int_equal(genesis_seal(g, why, sizeof(why)), 0);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(cluster_restart(c, i), 0);
    return c;
}

static void stop(struct node *node)
{
    pbft_free(node->pbft);
    mempool_free(node->mempool);
    chain_free(node->chain);
    node->pbft = NULL;
    node->mempool = NULL;
    node->chain = NULL;
}

void cluster_free(struct cluster *c)
{
    for (size_t i = 0; i < c->n; i++) {
        struct node *node = &c->nodes[i];
        stop(node);
        for (size_t k = 0; k < PBFT_SLOTS; k++)
            buf_close(&node->slots[k]);
        for (size_t k = 0; k < node->height; k++) {
            free((void *)(uintptr_t)node->stored[k].block.p);
            free((void *)(uintptr_t)node->stored[k].certificate.p);
        }
        buf_close(&node->checkpoint);
    }
    for (size_t i = c->first; i < c->count; i++)
        buf_close(&c->queue[i].bytes);
    free(c->queue);
    free(c);
}

int cluster_restart(struct cluster *c, size_t index)
{
    struct node *node = &c->nodes[index];
    stop(node);
    assert_int_equal(chain_new(&c->genesis, &node->chain), 0);
    assert_int_equal(mempool_new(&node->mempool), 0);
    for (size_t i = 0; i < node->height; i++) {
        struct block block;
        assert_int_equal(block_decode(node->stored[i].block, &block), 0);
        assert_int_equal(chain_append(node->chain, &block), 0);
    }
    const struct pbft_keys next = {&node->next_key, &node->next_log_key, &node->next_cosigner_key};
    struct pbft_options options = {.chain = node->chain,
                                   .mempool = node->mempool,
                                   .id = node->id,
                                   .key = &node->key,
                                   .log_key = &node->log_key,
                                   .cosigner_key = &node->cosigner_key,
                                   .timing = c->timing,
                                   .next_keys = node->has_next ? &next : NULL,
                                   .may_vote = node->may_vote,
                                   .now_ms = c->now_ms};
    for (size_t k = 0; k < PBFT_SLOTS; k++)
        options.slots[k] = buf_bytes(&node->slots[k]);
    if (node->height > 0)
        options.tip_certificate = node->stored[node->height - 1].certificate;
    node->deadline_ms = c->now_ms;
    return pbft_new(&options, &node->pbft);
}

static void queue(struct cluster *c, int from, int to, const struct pbft_message *m)
{
    if (c->down[from] || c->down[to])
        return;
    if (c->count == c->capacity) {
        c->capacity = c->capacity == 0 ? 64 : 2 * c->capacity;
        c->queue = realloc(c->queue, c->capacity * sizeof(*c->queue));
        assert_non_null(c->queue);
    }
    struct sent *sent = &c->queue[c->count++];
    *sent = (struct sent){.from = from, .to = to, .kind = m->kind};
    buf_append_bytes(&sent->bytes, m->bytes);
}

static int node_of(const struct cluster *c, const char *id)
{
    for (size_t i = 0; i < c->n; i++)
        if (id != NULL && strcmp(c->nodes[i].id, id) == 0)
            return (int)i;
    return -1;
}

static bool is_validator(const struct node *of, const struct node *who)
{
    return validator_set_find(chain_validators(of->chain), bytes_str(who->id)) >= 0;
}

static void carry_out(struct cluster *c, size_t index, const struct pbft_update *u)
{
    struct node *node = &c->nodes[index];
    for (size_t i = 0; i < u->write_count; i++) {
        struct buf *slot = &node->slots[u->writes[i].slot];
        buf_reset(slot);
        buf_append_bytes(slot, u->writes[i].bytes);
    }
    for (size_t i = 0; i < u->block_count; i++) {
        assert_true(node->height < sizeof(node->stored) / sizeof(node->stored[0]));
        node->stored[node->height++] = (struct pbft_stored_block){
            copy_of(u->blocks[i].block), copy_of(u->blocks[i].certificate)};
    }
    if (u->checkpoint.n != 0) {
        buf_reset(&node->checkpoint);
        buf_append_bytes(&node->checkpoint, u->checkpoint);
    }
    for (size_t i = 0; i < u->message_count; i++) {
        const struct pbft_message *m = &u->messages[i];
        if (m->kind == PBFT_MSG_PREPARE || m->kind == PBFT_MSG_COMMIT)
            node->votes_sent++;
        int to = m->to < 0 ? -1 : node_of(c, pbft_peer_id(node->pbft, m->to));
        assert_true(m->to < 0 || to >= 0);
        for (int other = 0; other < (int)c->n; other++)
            if (other != (int)index &&
                (m->to < 0 ? is_validator(node, &c->nodes[other]) : other == to))
                queue(c, (int)index, other, m);
    }
    for (size_t i = 0; i < u->note_count; i++) {
        node->noted[u->notes[i].kind]++;
        node->last_error = u->notes[i].error;
    }
    node->deadline_ms = u->deadline_ms;
}

static void serve(struct cluster *c, size_t index, int peer, uint64_t from, size_t count)
{
    struct node *node = &c->nodes[index];
    struct pbft_event event = {.kind = PBFT_EVENT_SERVED};
    assert_true(from >= 1 && from - 1 + count <= node->height);
    event.served.peer = peer;
    event.served.blocks = &node->stored[from - 1];
    event.served.n = count;
    (void)cluster_step(c, index, &event);
}

static void answer_verify(struct cluster *c, size_t index, struct bytes wire,
                          const struct hash *header)
{
    struct block block;
    assert_int_equal(block_decode(wire, &block), 0);
    struct pbft_event event = {.kind = PBFT_EVENT_VERIFIED};
    event.verified.header = *header;
    event.verified.valid = true;
    struct bytes list = block.requests, one;
    while (block_requests_next(&list, &one)) {
        struct request request;
        assert_int_equal(request_decode(one, &request), 0);
        if (chain_check_signatures(c->nodes[index].chain, &request) != 0)
            event.verified.valid = false;
    }
    (void)cluster_step(c, index, &event);
}

int cluster_step(struct cluster *c, size_t index, struct pbft_event *event)
{
    struct node *node = &c->nodes[index];
    struct pbft_update update;
    event->now_ms = c->now_ms;
    event->wall_us = c->wall_us;
    if (c->before != NULL)
        c->before(c, index);
    int error = pbft_step(node->pbft, event, &update);
    if (c->after != NULL)
        c->after(c, index, error, &update);
    carry_out(c, index, &update);
    node->asked_to_verify = update.verify_block.n != 0;
    int peer = update.serve.peer;
    uint64_t from = update.serve.from;
    size_t count = update.serve.count;
    if (error == SEALMQ_E_NOMEM) {
        assert_int_equal(cluster_restart(c, index), 0); /* as the contract says */
        return error;
    }
    if (node->asked_to_verify) {
        node->to_verify = update.verify_header;
        if (c->verifies) {
            struct bytes wire = copy_of(update.verify_block);
            answer_verify(c, index, wire, &node->to_verify);
            free((void *)(uintptr_t)wire.p);
            node->asked_to_verify = true;
        }
    }
    if (count > 0)
        serve(c, index, peer, from, count);
    return error;
}

int cluster_message(struct cluster *c, size_t index, enum pbft_message_kind kind,
                    struct bytes bytes, int from)
{
    struct pbft_event event = {.kind = PBFT_EVENT_MESSAGE};
    event.message.kind = kind;
    event.message.bytes = bytes;
    event.message.peer = from;
    return cluster_step(c, index, &event);
}

void cluster_tick(struct cluster *c, size_t index)
{
    struct pbft_event event = {.kind = PBFT_EVENT_TICK};
    (void)cluster_step(c, index, &event);
}

void cluster_deliver(struct cluster *c)
{
    while (c->first < c->count) {
        struct sent sent = c->queue[c->first++];
        bool passes = !c->down[sent.to] && (c->passes == NULL || c->passes(c, &sent));
        if (passes) {
            int from = validator_set_find(chain_validators(c->nodes[sent.to].chain),
                                          bytes_str(c->nodes[sent.from].id));
            (void)cluster_message(c, (size_t)sent.to, sent.kind, buf_bytes(&sent.bytes), from);
        }
        buf_close(&sent.bytes);
    }
    c->first = c->count = 0;
}

void cluster_run(struct cluster *c, uint64_t ms)
{
    for (uint64_t end_ms = c->now_ms + ms; c->now_ms < end_ms;) {
        c->now_ms += 10;
        c->wall_us += 10000;
        for (size_t i = 0; i < c->n; i++)
            if (!c->down[i] && c->nodes[i].deadline_ms <= c->now_ms)
                cluster_tick(c, i);
        cluster_deliver(c);
    }
}

void cluster_request(struct cluster *c, struct buf *out)
{
    char id[32];
    struct sign_key key;
    c->requests++;
    uint8_t seed[SEED_SIZE] = {110};
    memcpy(&seed[1], &c->requests, sizeof(c->requests));
    sign_key_from_seed(seed, &key);
    snprintf(id, sizeof(id), "devices/g%llu", (unsigned long long)c->requests);
    assert_int_equal(request_make_register(BYTES_LIT("admin/root"), c->requests, bytes_str(id),
                                           MEMBER_GATEWAY, &key.public_key, &c->admin,
                                           &c->genesis.hash, out),
                     0);
}

int cluster_submit_wire(struct cluster *c, size_t index, struct bytes wire)
{
    struct pbft_event event = {.kind = PBFT_EVENT_REQUEST, .request = wire};
    return cluster_step(c, index, &event);
}

int cluster_submit(struct cluster *c, size_t index)
{
    struct buf wire = {0};
    cluster_request(c, &wire);
    int error = cluster_submit_wire(c, index, buf_bytes(&wire));
    buf_close(&wire);
    return error;
}

struct pbft_status cluster_status(const struct cluster *c, size_t index)
{
    struct pbft_status status;
    pbft_status_get(c->nodes[index].pbft, &status);
    return status;
}

struct hash cluster_block_hash(const struct cluster *c, size_t index, size_t height)
{
    struct block block;
    assert_true(height >= 1 && height <= c->nodes[index].height);
    assert_int_equal(block_decode(c->nodes[index].stored[height - 1].block, &block), 0);
    return block.hash;
}

void cluster_assert_height(const struct cluster *c, size_t height)
{
    const struct node *first = NULL;
    for (size_t i = 0; i < c->n; i++) {
        const struct node *node = &c->nodes[i];
        if (c->down[i])
            continue;
        assert_int_equal(node->height, height);
        assert_int_equal(chain_height(node->chain), height);
        if (first == NULL)
            first = node;
        for (size_t h = 0; h < height; h++)
            assert_true(bytes_equal(first->stored[h].block, node->stored[h].block));
    }
}
