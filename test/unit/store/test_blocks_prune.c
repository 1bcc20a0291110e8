#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "folder.h"
#include "plant.h"

#include "store/prove.h"

#include <stdio.h>
#include <stdlib.h>

/* Blocks of an interval each, but block 2, which describes an item, and every fifth, which records
 * it; with a snapshot at each height that is a multiple of ten. */
static void grow(struct plant *plant, uint64_t to)
{
    while (chain_height(plant->chain) < to) {
        uint64_t height = chain_height(plant->chain) + 1;
        uint64_t number = chain_request_next(plant->chain, BYTES_LIT(GATEWAY));
        uint64_t covered;
        size_t pending;
        chain_history_next(plant->chain, BYTES_LIT(GATEWAY), &covered, &pending);
        if (height == 2) {
            struct item item = item_of(1, "D1", "t");
            add_describe(&plant->batch, &plant->network, number, &item, 1);
        } else if (height % 5 == 0) {
            struct record record = record_of("D1", 1, "36.5");
            struct interval_leaf leaf = leaf_of(covered, LEAF_ACKNOWLEDGED);
            add_data(&plant->batch, &plant->network, number, covered, &leaf, 1, &record, 1);
        } else {
            add_interval(&plant->batch, &plant->network, number, covered, covered);
        }
        plant_block(plant);
        if (height % 10 == 0) {
            assert_int_equal(block_store_begin(plant->store), 0);
            assert_int_equal(block_store_put_snapshot(plant->store, plant->chain), 0);
            assert_int_equal(block_store_commit(plant->store), 0);
        }
    }
}

static uint64_t prune_from(struct plant *plant, const struct block_store_retain *retain,
                           int64_t now_us)
{
    uint64_t lowest, from;
    assert_int_equal(block_store_prune_from(plant->store, retain, now_us, &lowest, &from), 0);
    return from;
}

static uint64_t prune(struct plant *plant, uint64_t from, size_t most)
{
    uint64_t lowest;
    assert_int_equal(block_store_begin(plant->store), 0);
    assert_int_equal(block_store_prune(plant->store, from, most, &lowest), 0);
    assert_int_equal(block_store_commit(plant->store), 0);
    return lowest;
}

static int load(struct plant *plant, uint64_t until, char *why, size_t why_size)
{
    struct chain *chain;
    int error = block_store_load_chain(plant->store, &plant->network.genesis, until, &chain, NULL,
                                       NULL, why, why_size);
    if (error == 0 && until >= chain_height(plant->chain))
        assert_true(hash_equal(chain_tip_hash(chain), chain_tip_hash(plant->chain)));
    chain_free(chain);
    return error;
}

static void what_is_kept_follows_from_number_size_and_age(void **state)
{
    struct plant *plant = plant_new(state);
    grow(plant, 45);
    const struct block_store_retain none = {0};
    assert_int_equal(prune_from(plant, &none, INT64_MAX), 1);
    /* so many blocks, and what is needed to start: one above a snapshot */
    assert_int_equal(prune_from(plant, &(struct block_store_retain){.blocks = 45}, 0), 1);
    assert_int_equal(prune_from(plant, &(struct block_store_retain){.blocks = 20}, 0), 21);
    assert_int_equal(prune_from(plant, &(struct block_store_retain){.blocks = 24}, 0), 21);
    assert_int_equal(prune_from(plant, &(struct block_store_retain){.blocks = 26}, 0), 11);
    assert_int_equal(prune_from(plant, &(struct block_store_retain){.blocks = 1}, 0), 41);
    struct block_store_totals all;
    assert_int_equal(block_store_totals(plant->store, &all), 0);
    assert_int_equal(prune_from(plant, &(struct block_store_retain){.bytes = all.bytes}, 0), 1);
    assert_int_equal(prune_from(plant, &(struct block_store_retain){.bytes = all.bytes / 2}, 0),
                     21);
    assert_int_equal(prune_from(plant, &(struct block_store_retain){.bytes = 1}, 0), 41);
    struct buf wire = {0};
    struct block_header header;
    assert_int_equal(block_store_get_header(plant->store, 32, &wire, NULL), 0);
    assert_int_equal(header_decode(buf_bytes(&wire), &header), 0);
    const struct block_store_retain hour = {.age_us = INT64_C(3600000000)};
    assert_int_equal(prune_from(plant, &hour, header.time_us + hour.age_us), 31);
    assert_int_equal(prune_from(plant, &hour, header.time_us), 1);
    assert_int_equal(prune_from(plant, &hour, INT64_MIN), 1);
    /* the first limit that is exceeded */
    const struct block_store_retain both = {.blocks = 26, .bytes = all.bytes / 2};
    assert_int_equal(prune_from(plant, &both, 0), 21);
    buf_close(&wire);
    plant_free(plant);
}

static void bodies_go_and_headers_stay(void **state)
{
    struct plant *plant = plant_new(state);
    struct buf wire = {0}, certificate = {0};
    char why[512];
    uint64_t header, body;
    grow(plant, 45);
    assert_int_equal(prune(plant, 21, 7), 8);
    assert_int_equal(prune(plant, 21, 100), 21);
    assert_int_equal(prune(plant, 21, 100), 21);
    assert_int_equal(block_store_lowest(plant->store, &header, &body), 0);
    assert_int_equal(header, 1);
    assert_int_equal(body, 21);
    for (uint64_t height = 1; height <= 45; height++) {
        assert_int_equal(block_store_get_header(plant->store, height, &wire, &certificate), 0);
        assert_int_equal(block_store_get(plant->store, height, &wire, NULL),
                         height < 21 ? SEALMQ_E_NOTFOUND : 0);
        struct merkle_path path;
        assert_int_equal(block_store_prove_log(plant->store, height, 46, &path, NULL), 0);
    }
    assert_int_equal(load(plant, UINT64_MAX, why, sizeof(why)), 0);
    assert_int_equal(load(plant, 20, why, sizeof(why)), 0);
    assert_int_equal(load(plant, 19, why, sizeof(why)), SEALMQ_E_CORRUPT); /* asked by nobody */
    grow(plant, 63);
    assert_int_equal(prune_from(plant, &(struct block_store_retain){.blocks = 5}, 0), 51);
    assert_int_equal(load(plant, UINT64_MAX, why, sizeof(why)), 0);
    buf_close(&wire);
    buf_close(&certificate);
    plant_free(plant);
}

static void proofs_are_made_of_what_is_kept_and_else_say_where_to_ask(void **state)
{
    struct plant *plant = plant_new(state);
    const struct genesis *genesis = &plant->network.genesis;
    struct buf note = {0}, before = {0}, after = {0};
    char why[512];
    grow(plant, 45);
    plant_checkpoint(plant, &note);
    assert_int_equal(block_store_put_checkpoint(plant->store, 46, buf_bytes(&note)), 0);
    assert_int_equal(prove_record(plant->store, genesis, 15, 0, 0, &before, why, sizeof(why)), 0);
    assert_int_equal(prune(plant, 31, 100), 31);
    assert_int_equal(prove_record(plant->store, genesis, 15, 0, 0, &after, why, sizeof(why)),
                     SEALMQ_E_NOTFOUND);
    assert_non_null(strstr(why, "ask a node that does"));
    assert_int_equal(prove_record(plant->store, genesis, 35, 0, 0, &after, why, sizeof(why)), 0);
    buf_close(&note);
    buf_close(&before);
    buf_close(&after);
    plant_free(plant);
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_setup, folder_teardown)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(what_is_kept_follows_from_number_size_and_age),
        IN_FOLDER(bodies_go_and_headers_stay),
        IN_FOLDER(proofs_are_made_of_what_is_kept_and_else_say_where_to_ask),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
