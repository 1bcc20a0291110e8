#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "folder.h"
#include "plant.h"

#include <stdio.h>
#include <stdlib.h>

/* Three kinds of blocks in turn, so that the state has everything in it. */
static void grow(struct plant *plant, uint64_t to)
{
    while (chain_height(plant->chain) < to) {
        uint64_t height = chain_height(plant->chain) + 1;
        uint64_t number = chain_request_next(plant->chain, BYTES_LIT(GATEWAY));
        uint64_t covered;
        size_t pending;
        char name[24];
        chain_history_next(plant->chain, BYTES_LIT(GATEWAY), &covered, &pending);
        if (height % 3 == 0) {
            snprintf(name, sizeof(name), "n%llu", (unsigned long long)height);
            struct item item = item_of((uint32_t)height, "D1", name);
            add_describe(&plant->batch, &plant->network, number, &item, 1);
        } else {
            add_interval(&plant->batch, &plant->network, number, covered, covered + 1);
        }
        plant_block(plant);
    }
}

static void put_snapshot(struct plant *plant)
{
    assert_int_equal(block_store_begin(plant->store), 0);
    assert_int_equal(block_store_put_snapshot(plant->store, plant->chain), 0);
    assert_int_equal(block_store_commit(plant->store), 0);
}

static void count(void *context, uint64_t height, uint64_t tip)
{
    (void)height;
    (void)tip;
    ++*(size_t *)context;
}

/* How many blocks were replayed to get to `until`. */
static size_t replayed(struct plant *plant, uint64_t until)
{
    struct chain *chain;
    size_t calls = 0;
    char why[512] = "";
    int error = block_store_load_chain(plant->store, &plant->network.genesis, until, &chain, count,
                                       &calls, why, sizeof(why));
    if (error != 0)
        fail_msg("%s", why);
    uint64_t tip = chain_height(plant->chain);
    assert_int_equal(chain_height(chain), until < tip ? until : tip);
    if (until >= tip) {
        struct hash a, b;
        assert_true(hash_equal(chain_tip_hash(chain), chain_tip_hash(plant->chain)));
        chain_state_root(chain, &a);
        chain_state_root(plant->chain, &b);
        assert_true(hash_equal(&a, &b));
        chain_log_root(chain, &a);
        chain_log_root(plant->chain, &b);
        assert_true(hash_equal(&a, &b));
    }
    chain_free(chain);
    return calls;
}

static void a_start_replays_only_what_is_after_the_newest_snapshot(void **state)
{
    struct plant *plant = plant_new(state);
    grow(plant, 10);
    put_snapshot(plant);
    assert_int_equal(replayed(plant, UINT64_MAX), 10); /* nothing certifies it yet */
    grow(plant, 11);
    assert_int_equal(replayed(plant, UINT64_MAX), 1);
    grow(plant, 20);
    put_snapshot(plant);
    grow(plant, 25);
    assert_int_equal(replayed(plant, UINT64_MAX), 5);
    assert_int_equal(replayed(plant, 20), 0);
    assert_int_equal(replayed(plant, 19), 9);
    assert_int_equal(replayed(plant, 10), 0);
    assert_int_equal(replayed(plant, 9), 9);
    assert_int_equal(replayed(plant, 0), 0);
    plant_free(plant);
}

static void a_changed_snapshot_is_found(void **state)
{
    static const char *const cases[] = {
        "UPDATE snapshots SET manifest ="
        " CAST(substr(manifest, 1, 100) || x'00' || substr(manifest, 102) AS BLOB)",
        "UPDATE snapshots SET manifest = zeroblob(0)",
        "UPDATE snapshots SET manifest = 'text'",
        "UPDATE snapshots SET height = height - 1",
        "UPDATE chunks SET entries ="
        " CAST(substr(entries, 1, 50) || x'00' || substr(entries, 52) AS BLOB)",
        "UPDATE chunks SET at = 1",
        "DELETE FROM chunks",
        "UPDATE headers SET certificate = (SELECT certificate FROM headers WHERE height = 5)"
        " WHERE height = 11",
        "UPDATE headers SET header = (SELECT header FROM headers WHERE height = 12)"
        " WHERE height = 11",
    };
    struct plant *plant = plant_new(state);
    const char *path = folder_path(state, "blocks.db");
    grow(plant, 10);
    put_snapshot(plant);
    grow(plant, 12);
    block_store_close(plant->store);
    plant->store = NULL;
    struct buf good = get_file(path);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct chain *chain;
        char why[512] = "";
        put_file(path, buf_bytes(&good), 0600);
        run_sql(path, cases[i]);
        plant->store = plant_open(plant, BLOCK_STORE_READ);
        int error = block_store_load_chain(plant->store, &plant->network.genesis, UINT64_MAX,
                                           &chain, NULL, NULL, why, sizeof(why));
        if (error != SEALMQ_E_CORRUPT || why[0] == '\0')
            fail_msg("%s: %d '%s'", cases[i], error, why);
        block_store_close(plant->store);
        plant->store = NULL;
    }
    buf_close(&good);
    plant_free(plant);
}

static void paths_in_the_log_come_from_tiles_and_headers(void **state)
{
    struct plant *plant = plant_new(state);
    grow(plant, 600); /* two tiles, and 89 headers */
    const struct merkle_log *log = chain_log(plant->chain);
    static const uint64_t sizes[] = {1, 2, 255, 256, 257, 511, 512, 513, 600, 601};
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        struct hash root, want_root;
        merkle_log_root(log, sizes[s], &want_root);
        for (uint64_t height = 0; height < sizes[s]; height += 1 + height / 7) {
            struct merkle_path path, want;
            assert_int_equal(block_store_prove_log(plant->store, height, sizes[s], &path, &root),
                             0);
            merkle_log_prove(log, height, sizes[s], &want);
            assert_true(hash_equal(&root, &want_root));
            assert_int_equal(path.n, want.n);
            assert_memory_equal(path.hashes, want.hashes, want.n * HASH_SIZE);
        }
    }
    struct merkle_path path;
    assert_int_equal(block_store_prove_log(plant->store, 5, 602, &path, NULL), SEALMQ_E_NOTFOUND);
    plant_free(plant);
}

static void sums_are_those_of_all_blocks(void **state)
{
    struct plant *plant = plant_new(state);
    struct block_store_totals totals;
    grow(plant, 7);
    assert_int_equal(block_store_totals(plant->store, &totals), 0);
    assert_int_equal(totals.requests, 7);
    assert_int_equal(totals.records, 0);
    uint64_t header, body, bytes = 0;
    for (uint64_t height = 1; height <= 7; height++) {
        struct buf wire = {0}, head = {0};
        assert_int_equal(block_store_get(plant->store, height, &wire, NULL), 0);
        assert_int_equal(block_store_get_header(plant->store, height, &head, NULL), 0);
        bytes += wire.n - 2 - head.n;
        buf_close(&wire);
        buf_close(&head);
    }
    assert_int_equal(totals.bytes, bytes);
    assert_int_equal(block_store_lowest(plant->store, &header, &body), 0);
    assert_int_equal(header, 1);
    assert_int_equal(body, 1);
    plant_free(plant);
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_setup, folder_teardown)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(a_start_replays_only_what_is_after_the_newest_snapshot),
        IN_FOLDER(a_changed_snapshot_is_found),
        IN_FOLDER(paths_in_the_log_come_from_tiles_and_headers),
        IN_FOLDER(sums_are_those_of_all_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
