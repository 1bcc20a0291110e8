#include "unit/ledger/network.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

static struct network network;

static int setup(void **state)
{
    (void)state;
    network_make(&network, 4, 1);
    return 0;
}

/* A block that a change was made to, checked and appended: both must say the same, and the chain
 * must stay as it is unless it is fine. */
static int try_block(struct chain *chain, const struct buf *wire)
{
    struct block block;
    int error = block_decode(buf_bytes(wire), &block);
    assert_int_equal(error, 0);
    struct hash before, after;
    chain_state_root(chain, &before);
    uint64_t height = chain_height(chain);
    int checked = chain_check_block(chain, &block, 0, -1);
    assert_int_equal(chain_height(chain), height);
    error = chain_append(chain, &block);
    assert_int_equal(error, checked);
    chain_state_root(chain, &after);
    if (error != 0) {
        assert_int_equal(chain_height(chain), height);
        assert_true(hash_equal(&before, &after));
    }
    return error;
}

typedef void (*change_fn)(struct block_header *header);

static int try_change(struct chain *chain, change_fn change)
{
    struct block_header header;
    chain_next_header(chain, &header);
    header.time_us = chain_tip(chain)->time_us + 1;
    memcpy(header.proposer, "broker/000", sizeof("broker/000"));
    change(&header);
    struct buf wire = {0};
    assert_int_equal(block_encode(&header, NULL, 0, &wire), 0);
    int error = try_block(chain, &wire);
    buf_close(&wire);
    return error;
}

static void nothing(struct block_header *h)
{
    (void)h;
}
static void other_network(struct block_header *h)
{
    memcpy(h->network, "other", sizeof("other"));
}
static void same_height(struct block_header *h)
{
    h->height--;
}
static void later_height(struct block_header *h)
{
    h->height++;
}
static void other_parent(struct block_header *h)
{
    h->parent.b[0] ^= 1;
}
static void other_log(struct block_header *h)
{
    h->log_root.b[0] ^= 1;
}
static void other_state(struct block_header *h)
{
    h->state_root.b[0] ^= 1;
}
static void other_validators(struct block_header *h)
{
    h->validators.b[0] ^= 1;
}
static void other_next_validators(struct block_header *h)
{
    h->next_validators.b[0] ^= 1;
}
static void other_difficulty(struct block_header *h)
{
    h->difficulty++;
}
static void not_the_primary(struct block_header *h)
{
    h->view++;
}
static void not_a_validator(struct block_header *h)
{
    memcpy(h->proposer, "broker/zzz", sizeof("broker/zzz"));
}
static void same_time(struct block_header *h)
{
    h->time_us--;
}

static void headers_must_follow_from_the_chain(void **state)
{
    (void)state;
    struct chain *chain = network_chain(&network);
    assert_int_equal(try_change(chain, other_network), SEALMQ_E_NETWORK);
    assert_int_equal(try_change(chain, same_height), SEALMQ_E_STALE);
    assert_int_equal(try_change(chain, later_height), SEALMQ_E_AGAIN);
    assert_int_equal(try_change(chain, other_parent), SEALMQ_E_HASH);
    assert_int_equal(try_change(chain, other_log), SEALMQ_E_HASH);
    assert_int_equal(try_change(chain, other_state), SEALMQ_E_HASH);
    assert_int_equal(try_change(chain, other_validators), SEALMQ_E_HASH);
    assert_int_equal(try_change(chain, other_next_validators), SEALMQ_E_HASH);
    assert_int_equal(try_change(chain, other_difficulty), SEALMQ_E_PROTOCOL);
    assert_int_equal(try_change(chain, not_the_primary), SEALMQ_E_PROTOCOL);
    assert_int_equal(try_change(chain, not_a_validator), SEALMQ_E_PROTOCOL);
    assert_int_equal(try_change(chain, same_time), SEALMQ_E_PROTOCOL);
    assert_int_equal(try_change(chain, nothing), 0);
    assert_int_equal(chain_height(chain), 2);
    chain_free(chain);
}

static void the_work_asked_for_must_be_done(void **state)
{
    (void)state;
    struct genesis genesis = network.genesis;
    genesis.parameters.difficulty = 6;
    assert_int_equal(genesis_seal(&genesis, NULL, 0), 0);
    struct chain *chain;
    assert_int_equal(chain_new(&genesis, &chain), 0);
    struct block_header header;
    chain_next_header(chain, &header);
    assert_int_equal(header.difficulty, 6);
    header.time_us = NETWORK_CREATED_US + 1;
    memcpy(header.proposer, "broker/000", sizeof("broker/000"));
    unsigned done = 0, not_done = 0;
    while (done == 0 || not_done == 0) {
        header.nonce++;
        struct buf wire = {0};
        struct block block;
        assert_int_equal(block_encode(&header, NULL, 0, &wire), 0);
        assert_int_equal(block_decode(buf_bytes(&wire), &block), 0);
        bool enough = block.hash.b[0] < 4;
        assert_int_equal(header_meets_difficulty(&block.hash, 6), enough);
        assert_int_equal(chain_check_block(chain, &block, 0, -1), enough ? 0 : SEALMQ_E_PROTOCOL);
        done += enough;
        not_done += !enough;
        buf_close(&wire);
    }
    chain_free(chain);
}

static void time_may_run_ahead_of_the_clock_only_so_far(void **state)
{
    (void)state;
    struct chain *chain = network_chain(&network);
    struct batch none = {0};
    struct buf wire = {0};
    make_block(chain, &none, &wire);
    struct block block;
    assert_int_equal(block_decode(buf_bytes(&wire), &block), 0);
    int64_t time = block.header.time_us;
    assert_int_equal(chain_check_block(chain, &block, time, 0), 0);
    assert_int_equal(chain_check_block(chain, &block, time - 1, 0), SEALMQ_E_AGAIN);
    assert_int_equal(chain_check_block(chain, &block, time - 60, 60), 0);
    assert_int_equal(chain_check_block(chain, &block, time - 61, 60), SEALMQ_E_AGAIN);
    assert_int_equal(chain_check_block(chain, &block, time + 1000, 0), 0);
    assert_int_equal(chain_check_block(chain, &block, 0, -1), 0);
    assert_int_equal(chain_check_block(chain, &block, INT64_MIN, 60), SEALMQ_E_AGAIN);
    assert_int_equal(chain_check_block(chain, &block, INT64_MAX, INT64_MAX), 0);
    assert_int_equal(chain_append(chain, &block), 0);
    buf_close(&wire);
    chain_free(chain);
}

static void a_block_with_one_bad_request_is_bad(void **state)
{
    (void)state;
    struct chain *chain = network_chain(&network);
    struct batch batch = {0};
    add_interval(&batch, &network, 1, 1, 3);
    add_interval(&batch, &network, 2, 4, 5);
    add_interval(&batch, &network, 3, 7, 9);
    struct buf wire = {0};
    make_block(chain, &batch, &wire);
    assert_int_equal(try_block(chain, &wire), SEALMQ_E_AGAIN);
    buf_reset(&wire);
    /* One that is no request at all, but framed like one: the root is over its frame. */
    uint8_t *p = batch.wires[2].p;
    p[4] = 99;
    make_block(chain, &batch, &wire);
    assert_int_equal(try_block(chain, &wire), SEALMQ_E_VERSION);
    buf_reset(&wire);
    batch.n = 2;
    make_block(chain, &batch, &wire);
    assert_int_equal(try_block(chain, &wire), 0);
    batch.n = 3;
    buf_close(&wire);
    batch_close(&batch);
    chain_free(chain);
}

/* --- tentative execution leaves nothing behind --- */

/* What a gateway knows about itself, to make requests that are mostly fine. */
struct gateway {
    uint64_t number, next;
    uint64_t pending[64];
    size_t pending_count;
    uint32_t items;
};

static unsigned pick(unsigned *seed, unsigned below)
{
    *seed = *seed * 1103515245u + 12345u;
    return (*seed >> 16) % below;
}

static void add_random_data(struct batch *batch, struct gateway *g, unsigned *seed)
{
    struct interval_leaf leaves[96];
    size_t n = 0;
    size_t kept = 0;
    for (size_t i = 0; i < g->pending_count; i++) {
        if (pick(seed, 3) == 0)
            leaves[n++] = leaf_of(g->pending[i], LEAF_ACKNOWLEDGED);
        else
            g->pending[kept++] = g->pending[i];
    }
    g->pending_count = kept;
    uint64_t from = g->next;
    for (unsigned i = pick(seed, 6); i > 0; i--) {
        enum leaf_status status = (enum leaf_status)(1 + pick(seed, 3));
        if (status == LEAF_PENDING && g->pending_count == 64)
            status = LEAF_DROPPED;
        if (status == LEAF_PENDING)
            g->pending[g->pending_count++] = g->next;
        leaves[n++] = leaf_of(g->next++, status);
    }
    struct record record = record_of("D1", 1 + pick(seed, g->items == 0 ? 1 : g->items), "1.5");
    add_data(batch, &network, g->number++, from, leaves, n, &record, g->items == 0 ? 0 : 1);
}

static void add_random_describe(struct batch *batch, struct gateway *g, unsigned *seed)
{
    char names[4][16];
    struct item items[4];
    size_t n = 1 + pick(seed, 4);
    for (size_t i = 0; i < n; i++) {
        g->items++;
        snprintf(names[i], sizeof(names[i]), "n%u", (unsigned)(g->items * 7919u % 10007u));
        items[i] = item_of(g->items, "D1", names[i]);
    }
    add_describe(batch, &network, g->number++, items, n);
}

static void fill_batch(struct batch *batch, struct gateway *g, uint64_t *admin, unsigned *seed)
{
    for (unsigned i = 1 + pick(seed, 8); i > 0; i--) {
        unsigned what = pick(seed, 8);
        if (what == 0) {
            char id[32];
            struct sign_key key;
            network_key(20, (unsigned)*admin, &key);
            snprintf(id, sizeof(id), "devices/n%u", (unsigned)*admin);
            add_register(batch, &network, (*admin)++, id, &key);
        } else if (what < 3) {
            add_random_describe(batch, g, seed);
        } else {
            add_random_data(batch, g, seed);
        }
    }
}

/* Two chains get the same blocks; one of them also checks many blocks that it does not take, each
 * of which ends in one of several ways. Since entries are made from the state in memory, anything
 * left behind would show in the roots, or in which blocks are taken. */
static void what_was_checked_leaves_no_trace(void **state)
{
    (void)state;
    for (unsigned seed = 1; seed <= 20; seed++) {
        unsigned random = seed;
        struct chain *plain = network_chain(&network);
        struct chain *busy = network_chain(&network);
        struct gateway gateway = {.number = 1, .next = 1};
        uint64_t admin = 2;
        for (unsigned round = 0; round < 15; round++) {
            for (unsigned i = pick(&random, 3); i > 0; i--) {
                struct gateway forgotten = gateway;
                uint64_t forgotten_admin = admin;
                struct batch batch = {0};
                fill_batch(&batch, &forgotten, &forgotten_admin, &random);
                if (pick(&random, 2) == 0) /* the last one fails */
                    add_interval(&batch, &network, forgotten.number, forgotten.next + 5,
                                 forgotten.next + 6);
                struct buf wire = {0};
                make_block(busy, &batch, &wire);
                struct block block;
                assert_int_equal(block_decode(buf_bytes(&wire), &block), 0);
                (void)!chain_check_block(busy, &block, 0, -1);
                (void)!chain_check_block(busy, &block, 0, -1);
                buf_close(&wire);
                batch_close(&batch);
            }
            struct batch batch = {0};
            fill_batch(&batch, &gateway, &admin, &random);
            struct buf wire = {0};
            make_block(plain, &batch, &wire);
            struct block block;
            assert_int_equal(block_decode(buf_bytes(&wire), &block), 0);
            assert_int_equal(chain_append(plain, &block), 0);
            assert_int_equal(chain_append(busy, &block), 0);
            struct hash x, y;
            chain_state_root(plain, &x);
            chain_state_root(busy, &y);
            assert_true(hash_equal(&x, &y));
            buf_close(&wire);
            batch_close(&batch);
        }
        chain_free(plain);
        chain_free(busy);
    }
}

static void tentative_changes_are_seen_until_they_are_rolled_back(void **state)
{
    (void)state;
    struct chain *chain = network_chain(&network);
    struct batch batch = {0};
    struct item item = item_of(1, "D1", "t");
    add_describe(&batch, &network, 1, &item, 1);
    struct request request = batch_last(&batch);
    chain_begin(chain);
    assert_int_equal(chain_execute(chain, &request), 0);
    assert_int_equal(chain_execute(chain, &request), SEALMQ_E_REPLAY);
    assert_int_equal(chain_item(chain, BYTES_LIT(GATEWAY), 1, &item), 0);
    assert_int_equal(chain_request_next(chain, BYTES_LIT(GATEWAY)), 2);
    chain_rollback(chain);
    assert_int_equal(chain_item(chain, BYTES_LIT(GATEWAY), 1, &item), SEALMQ_E_NOTFOUND);
    assert_int_equal(chain_request_next(chain, BYTES_LIT(GATEWAY)), 1);
    batch_close(&batch);
    chain_free(chain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(headers_must_follow_from_the_chain),
        cmocka_unit_test(the_work_asked_for_must_be_done),
        cmocka_unit_test(time_may_run_ahead_of_the_clock_only_so_far),
        cmocka_unit_test(a_block_with_one_bad_request_is_bad),
        cmocka_unit_test(what_was_checked_leaves_no_trace),
        cmocka_unit_test(tentative_changes_are_seen_until_they_are_rolled_back),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
