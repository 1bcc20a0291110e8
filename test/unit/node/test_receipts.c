#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "plant.h"

#include "ledger/chain.h"
#include "ledger/proof.h"
#include "node/receipts.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A chain of one validator that registers gateways, and receipts for it. */
struct desk {
    struct plant plant;
    struct chain *chain;
    struct receipts *receipts;
    struct buf requests[8]; /* wire forms, since the last block */
    size_t count;
    uint64_t number;
    /* handed out */
    size_t given;
    char client[ID_MAX + 1];
    uint64_t last_number, height;
    struct buf proof;
};

static int setup(void **state)
{
    struct desk *desk = calloc(1, sizeof *desk);
    assert_non_null(desk);
    assert_int_equal(crypto_init(), 0);
    plant_make(&desk->plant, 1);
    assert_int_equal(chain_new(&desk->plant.genesis, &desk->chain), 0);
    assert_int_equal(receipts_new(&desk->receipts), 0);
    *state = desk;
    return 0;
}

static int teardown(void **state)
{
    struct desk *desk = *state;
    for (size_t i = 0; i < 8; i++)
        buf_close(&desk->requests[i]);
    buf_close(&desk->proof);
    receipts_free(desk->receipts);
    chain_free(desk->chain);
    free(desk);
    return 0;
}

static int prove_header(void *context, uint64_t height, uint64_t size, struct merkle_path *out)
{
    merkle_log_prove(chain_log(context), height, size, out);
    return 0;
}

/* A new request for the next block; its hash. */
static struct hash add_request(struct desk *desk)
{
    char id[32];
    struct request request;
    struct sign_key key = key_of((uint8_t)(100 + desk->number));
    struct buf *wire = &desk->requests[desk->count++];
    snprintf(id, sizeof id, "plant-a/gw%llu", (unsigned long long)desk->number);
    buf_reset(wire);
    assert_int_equal(request_make_register(BYTES_LIT("admin/ops"), ++desk->number, bytes_str(id),
                                           MEMBER_GATEWAY, &key.public_key, &desk->plant.admin,
                                           &desk->plant.genesis.hash, wire),
                     0);
    assert_int_equal(request_decode(buf_bytes(wire), &request), 0);
    return request.hash;
}

static void want(struct desk *desk, const struct hash *request, const char *client)
{
    assert_int_equal(receipts_want(desk->receipts, request, bytes_str(client)), 0);
}

/* A block of what was added, appended to the chain and shown to the receipts. */
static void make_block(struct desk *desk)
{
    struct block_header header;
    struct bytes wires[8];
    struct buf wire = {0};
    struct block block;
    chain_next_header(desk->chain, &header);
    header.time_us = chain_tip(desk->chain)->time_us + 1000;
    snprintf(header.proposer, sizeof header.proposer, "node/a");
    for (size_t i = 0; i < desk->count; i++)
        wires[i] = buf_bytes(&desk->requests[i]);
    assert_int_equal(block_encode(&header, wires, desk->count, &wire), 0);
    assert_int_equal(block_decode(buf_bytes(&wire), &block), 0);
    assert_int_equal(chain_append(desk->chain, &block), 0);
    assert_int_equal(receipts_block(desk->receipts, &block), 0);
    buf_close(&wire);
    desk->count = 0;
}

static void on_receipt(void *context, const struct receipt *receipt)
{
    struct desk *desk = context;
    desk->given++;
    assert_int_equal(bytes_to_cstr(receipt->client, desk->client, sizeof desk->client), 0);
    desk->last_number = receipt->number;
    desk->height = receipt->height;
    buf_reset(&desk->proof);
    buf_append_bytes(&desk->proof, receipt->proof);
}

/* A checkpoint over the whole chain so far, and what it brings. */
static size_t checkpoint(struct desk *desk)
{
    struct checkpoint checkpoint = {.size = chain_height(desk->chain) + 1};
    struct buf note = {0};
    checkpoint_origin("plant", checkpoint.origin);
    chain_log_root(desk->chain, &checkpoint.root);
    checkpoint_format(&checkpoint, &note);
    size_t before = desk->given;
    assert_int_equal(receipts_checkpoint(desk->receipts,
                                         &(struct receipts_log){prove_header, desk->chain},
                                         checkpoint.size, buf_bytes(&note), on_receipt, desk),
                     0);
    buf_close(&note);
    return desk->given - before;
}

static void a_receipt_comes_with_the_first_checkpoint_over_the_block(void **state)
{
    struct desk *desk = *state;
    add_request(desk);
    struct hash second = add_request(desk);
    want(desk, &second, "plant-a/gw1");
    assert_int_equal(checkpoint(desk), 0);
    make_block(desk);
    assert_int_equal(receipts_waiting(desk->receipts), 1);
    assert_int_equal(checkpoint(desk), 1);
    assert_string_equal(desk->client, "plant-a/gw1");
    assert_int_equal(desk->last_number, 2);
    assert_int_equal(desk->height, 1);
    assert_int_equal(receipts_waiting(desk->receipts), 0);
    assert_int_equal(checkpoint(desk), 0);
}

static void an_older_checkpoint_brings_nothing(void **state)
{
    struct desk *desk = *state;
    struct hash request = add_request(desk);
    want(desk, &request, "plant-a/gw1");
    make_block(desk);
    assert_int_equal(receipts_checkpoint(desk->receipts,
                                         &(struct receipts_log){prove_header, desk->chain}, 1,
                                         BYTES_LIT("note"), on_receipt, desk),
                     0);
    assert_int_equal(desk->given, 0);
    assert_int_equal(checkpoint(desk), 1);
}

static void the_proof_is_of_the_request(void **state)
{
    struct desk *desk = *state;
    struct hash wanted = {0};
    for (int i = 0; i < 5; i++) {
        struct hash request = add_request(desk);
        if (i == 3)
            wanted = request;
    }
    want(desk, &wanted, "plant-a/gw1");
    make_block(desk);
    add_request(desk);
    make_block(desk);
    assert_int_equal(checkpoint(desk), 1);
    struct proof proof;
    struct hash leaf;
    assert_int_equal(proof_parse(buf_bytes(&desk->proof), &proof), 0);
    assert_int_equal(proof.kind, PROOF_REQUEST);
    assert_int_equal(proof.request_index, 3);
    assert_int_equal(proof.header.height, 1);
    assert_int_equal(proof.log_index, 1);
    hash_leaf(proof.request.leaf, &leaf);
    assert_true(hash_equal(&leaf, &wanted));
    proof_close(&proof);
}

static void wanting_twice_is_once_and_the_last_client_gets_it(void **state)
{
    struct desk *desk = *state;
    struct hash request = add_request(desk);
    want(desk, &request, "plant-a/gw1");
    want(desk, &request, "plant-a/gw2");
    assert_int_equal(receipts_waiting(desk->receipts), 1);
    make_block(desk);
    assert_int_equal(checkpoint(desk), 1);
    assert_string_equal(desk->client, "plant-a/gw2");
}

static void what_nobody_wants_is_not_kept(void **state)
{
    struct desk *desk = *state;
    add_request(desk);
    make_block(desk);
    assert_int_equal(receipts_waiting(desk->receipts), 0);
    assert_int_equal(checkpoint(desk), 0);
}

static void only_what_is_not_recorded_can_be_forgotten(void **state)
{
    struct desk *desk = *state;
    struct hash request = add_request(desk), other = {.b = {1}};
    assert_false(receipts_forget_unrecorded(desk->receipts, &request));
    want(desk, &request, "plant-a/gw1");
    want(desk, &other, "plant-a/gw1");
    make_block(desk);
    assert_false(receipts_forget_unrecorded(desk->receipts, &request));
    assert_true(receipts_forget_unrecorded(desk->receipts, &other));
    assert_false(receipts_forget_unrecorded(desk->receipts, &other));
    assert_int_equal(checkpoint(desk), 1);
}

static void the_oldest_is_forgotten_at_the_limit(void **state)
{
    struct desk *desk = *state;
    struct hash first = add_request(desk), second = add_request(desk), other = {0};
    want(desk, &first, "plant-a/gw1");
    want(desk, &second, "plant-a/gw2");
    for (uint32_t i = 0; i < RECEIPTS_MAX - 1; i++) {
        memcpy(other.b, &i, sizeof i);
        want(desk, &other, "plant-a/gw3");
    }
    assert_int_equal(receipts_waiting(desk->receipts), RECEIPTS_MAX);
    make_block(desk);
    assert_int_equal(checkpoint(desk), 1);
    assert_string_equal(desk->client, "plant-a/gw2");
}

static void an_id_that_is_too_long_is_refused(void **state)
{
    struct desk *desk = *state;
    struct hash request = add_request(desk);
    char id[ID_MAX + 2];
    memset(id, 'x', sizeof id);
    assert_int_equal(receipts_want(desk->receipts, &request, bytes_of(id, sizeof id)),
                     SEALMQ_E_LIMIT);
    assert_int_equal(receipts_waiting(desk->receipts), 0);
}

int main(void)
{
#define WITH_DESK(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_DESK(a_receipt_comes_with_the_first_checkpoint_over_the_block),
        WITH_DESK(an_older_checkpoint_brings_nothing),
        WITH_DESK(the_proof_is_of_the_request),
        WITH_DESK(wanting_twice_is_once_and_the_last_client_gets_it),
        WITH_DESK(what_nobody_wants_is_not_kept),
        WITH_DESK(only_what_is_not_recorded_can_be_forgotten),
        WITH_DESK(the_oldest_is_forgotten_at_the_limit),
        WITH_DESK(an_id_that_is_too_long_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
