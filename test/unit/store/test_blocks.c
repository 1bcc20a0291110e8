#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "folder.h"
#include "plant.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const struct record none[1];

/* Blocks 2 to 4: an item with one record, an interval with a pending report, and its resolution. */
static struct plant *plant_of_four_blocks(void **state)
{
    struct plant *plant = plant_new(state);
    struct item item = item_of(1, "D1", "t");
    add_describe(&plant->batch, &plant->network, 1, &item, 1);
    plant_block(plant);
    struct record record = record_of("D1", 1, "36.5");
    struct interval_leaf leaves[] = {leaf_of(1, LEAF_ACKNOWLEDGED), leaf_of(2, LEAF_PENDING),
                                     leaf_of(3, LEAF_DROPPED)};
    add_data(&plant->batch, &plant->network, 2, 1, leaves, 3, &record, 1);
    plant_block(plant);
    struct interval_leaf more[] = {leaf_of(2, LEAF_ACKNOWLEDGED), leaf_of(4, LEAF_ACKNOWLEDGED),
                                   leaf_of(5, LEAF_ACKNOWLEDGED)};
    add_data(&plant->batch, &plant->network, 3, 4, more, 3, none, 0);
    add_data(&plant->batch, &plant->network, 4, 6, NULL, 0, &record, 1);
    plant_block(plant);
    return plant;
}

static int load(struct plant *plant, uint64_t until, uint64_t *height, char *why, size_t why_size)
{
    struct chain *chain;
    int error = block_store_load_chain(plant->store, &plant->network.genesis, until, &chain, NULL,
                                       NULL, why, why_size);
    *height = error == 0 ? chain_height(chain) : 0;
    if (error == 0 && until == UINT64_MAX)
        assert_true(hash_equal(chain_tip_hash(chain), chain_tip_hash(plant->chain)));
    chain_free(chain);
    return error;
}

static void count_progress(void *context, uint64_t height, uint64_t tip)
{
    assert_int_equal(tip, 4);
    assert_int_equal(height, ++*(uint64_t *)context);
}

static void the_chain_comes_back_from_the_store(void **state)
{
    struct plant *plant = plant_of_four_blocks(state);
    struct chain *chain;
    char why[512];
    uint64_t height, calls = 0;
    for (int round = 0; round < 2; round++) {
        assert_int_equal(load(plant, UINT64_MAX, &height, why, sizeof(why)), 0);
        assert_int_equal(height, 4);
        assert_int_equal(load(plant, 4, &height, why, sizeof(why)), 0);
        assert_int_equal(height, 4);
        assert_int_equal(load(plant, 2, &height, why, sizeof(why)), 0);
        assert_int_equal(height, 2);
        assert_int_equal(load(plant, 0, &height, why, sizeof(why)), 0);
        assert_int_equal(height, 0);
        block_store_close(plant->store);
        plant->store = plant_open(plant, BLOCK_STORE_WRITE);
    }
    assert_int_equal(block_store_load_chain(plant->store, &plant->network.genesis, UINT64_MAX,
                                            &chain, count_progress, &calls, why, sizeof(why)),
                     0);
    assert_int_equal(calls, 4);
    chain_free(chain);
    plant_free(plant);
}

static void a_block_comes_back_byte_by_byte_with_its_certificate(void **state)
{
    struct plant *plant = plant_new(state);
    struct buf wire = {0}, certificate = {0}, got = {0}, got_certificate = {0};
    struct block block;
    add_interval(&plant->batch, &plant->network, 1, 1, 3);
    make_block(plant->chain, &plant->batch, &wire);
    assert_int_equal(block_decode(buf_bytes(&wire), &block), 0);
    plant_certify(plant, &block, &certificate);
    plant_block(plant);
    buf_append_cstr(&got, "before");
    assert_int_equal(block_store_get(plant->store, 2, &got, &got_certificate), 0);
    assert_int_equal(got.n, 6 + wire.n);
    assert_memory_equal(got.p + 6, wire.p, wire.n);
    assert_true(bytes_equal(buf_bytes(&got_certificate), buf_bytes(&certificate)));
    buf_reset(&got);
    assert_int_equal(block_store_get(plant->store, 2, &got, NULL), 0);
    assert_true(bytes_equal(buf_bytes(&got), buf_bytes(&wire)));
    buf_reset(&got);
    assert_int_equal(block_store_get(plant->store, 3, &got, NULL), SEALMQ_E_NOTFOUND);
    assert_int_equal(block_store_get(plant->store, 0, &got, NULL), SEALMQ_E_NOTFOUND);
    assert_int_equal(block_store_get(plant->store, UINT64_MAX, &got, NULL), SEALMQ_E_NOTFOUND);
    assert_int_equal(got.n, 0);
    uint64_t tip;
    assert_int_equal(block_store_tip(plant->store, &tip), 0);
    assert_int_equal(tip, 2);
    buf_close(&wire);
    buf_close(&certificate);
    buf_close(&got);
    buf_close(&got_certificate);
    plant_free(plant);
}

static void requests_and_leaves_are_found_where_they_are(void **state)
{
    static const struct {
        uint64_t n, height;
        uint32_t index, leaf;
    } leaves[] = {{1, 3, 0, 0}, {2, 4, 0, 0}, {3, 3, 0, 2}, {4, 4, 0, 1}, {5, 4, 0, 2}};
    struct plant *plant = plant_of_four_blocks(state);
    uint64_t height;
    uint32_t index, leaf;
    for (size_t i = 0; i < sizeof(leaves) / sizeof(leaves[0]); i++) {
        assert_int_equal(block_store_find_leaf(plant->store, BYTES_LIT(GATEWAY), leaves[i].n,
                                               &height, &index, &leaf),
                         0);
        assert_int_equal(height, leaves[i].height);
        assert_int_equal(index, leaves[i].index);
        assert_int_equal(leaf, leaves[i].leaf);
    }
    const uint64_t absent[] = {0, 6, 7, INT64_MAX, UINT64_MAX};
    for (size_t i = 0; i < sizeof(absent) / sizeof(absent[0]); i++)
        assert_int_equal(block_store_find_leaf(plant->store, BYTES_LIT(GATEWAY), absent[i], &height,
                                               &index, &leaf),
                         SEALMQ_E_NOTFOUND);
    assert_int_equal(
        block_store_find_leaf(plant->store, BYTES_LIT("devices/other"), 1, &height, &index, &leaf),
        SEALMQ_E_NOTFOUND);
    assert_int_equal(block_store_find_request(plant->store, BYTES_LIT(GATEWAY), 4, &height, &index),
                     0);
    assert_int_equal(height, 4);
    assert_int_equal(index, 1);
    assert_int_equal(
        block_store_find_request(plant->store, BYTES_LIT("admin/a"), 1, &height, &index), 0);
    assert_int_equal(height, 1);
    assert_int_equal(block_store_find_request(plant->store, BYTES_LIT(GATEWAY), 5, &height, &index),
                     SEALMQ_E_NOTFOUND);
    assert_int_equal(block_store_find_request(plant->store, (struct bytes){0}, 1, &height, &index),
                     SEALMQ_E_NOTFOUND);
    plant_free(plant);
}

static void only_the_next_block_is_taken(void **state)
{
    struct plant *plant = plant_of_four_blocks(state);
    struct buf wire = {0}, certificate = {0};
    assert_int_equal(block_store_get(plant->store, 4, &wire, &certificate), 0);
    assert_int_equal(block_store_begin(plant->store), 0);
    assert_int_equal(block_store_put_block(plant->store, buf_bytes(&wire), buf_bytes(&certificate)),
                     SEALMQ_E_CONFLICT);
    wire.n--;
    assert_int_not_equal(
        block_store_put_block(plant->store, buf_bytes(&wire), buf_bytes(&certificate)), 0);
    block_store_rollback(plant->store);
    buf_close(&wire);
    buf_close(&certificate);
    plant_free(plant);
}

static void checkpoints_are_found_by_size(void **state)
{
    struct plant *plant = plant_new(state);
    struct buf note = {0};
    assert_int_equal(block_store_checkpoint_newest(plant->store, &note), SEALMQ_E_NOTFOUND);
    assert_int_equal(block_store_checkpoint_from(plant->store, 0, &note), SEALMQ_E_NOTFOUND);
    assert_int_equal(block_store_put_checkpoint(plant->store, 2, BYTES_LIT("two\n")), 0);
    assert_int_equal(block_store_put_checkpoint(plant->store, 9, BYTES_LIT("nine\n")), 0);
    assert_int_equal(block_store_put_checkpoint(plant->store, 2, BYTES_LIT("two, again\n")), 0);
    assert_int_equal(block_store_put_checkpoint(plant->store, UINT64_MAX, BYTES_LIT("x")),
                     SEALMQ_E_ARG);
    assert_int_equal(block_store_checkpoint_newest(plant->store, &note), 0);
    assert_int_equal(block_store_checkpoint_from(plant->store, 2, &note), 0);
    assert_int_equal(block_store_checkpoint_from(plant->store, 3, &note), 0);
    assert_int_equal(block_store_checkpoint_from(plant->store, 10, &note), SEALMQ_E_NOTFOUND);
    assert_int_equal(block_store_checkpoint_from(plant->store, UINT64_MAX, &note),
                     SEALMQ_E_NOTFOUND);
    assert_string_equal(buf_cstr(&note), "nine\ntwo, again\nnine\n");
    buf_close(&note);
    plant_free(plant);
}

static void slots_hold_what_was_put_last(void **state)
{
    struct plant *plant = plant_new(state);
    struct buf out = {0};
    assert_int_equal(block_store_get_slot(plant->store, 3, &out), SEALMQ_E_NOTFOUND);
    assert_int_equal(block_store_put_slot(plant->store, 3, BYTES_LIT("a")), 0);
    assert_int_equal(block_store_put_slot(plant->store, 3, BYTES_LIT("b\0c")), 0);
    assert_int_equal(block_store_put_slot(plant->store, 0, BYTES_LIT("z")), 0);
    assert_int_equal(block_store_get_slot(plant->store, 3, &out), 0);
    assert_true(bytes_equal(buf_bytes(&out), BYTES_LIT("b\0c")));
    assert_int_equal(block_store_put_slot(plant->store, 3, (struct bytes){0}), 0);
    assert_int_equal(block_store_get_slot(plant->store, 3, &out), SEALMQ_E_NOTFOUND);
    assert_int_equal(block_store_put_slot(plant->store, BLOCK_STORE_SLOTS, BYTES_LIT("x")),
                     SEALMQ_E_ARG);
    assert_int_equal(block_store_put_slot(plant->store, -1, BYTES_LIT("x")), SEALMQ_E_ARG);
    assert_int_equal(block_store_get_slot(plant->store, -1, &out), SEALMQ_E_ARG);
    buf_close(&out);
    plant_free(plant);
}

static void a_step_is_whole_or_not_at_all(void **state)
{
    struct plant *plant = plant_of_four_blocks(state);
    struct buf wire = {0}, certificate = {0}, out = {0};
    struct block block;
    add_interval(&plant->batch, &plant->network, 5, 6, 8);
    make_block(plant->chain, &plant->batch, &wire);
    assert_int_equal(block_decode(buf_bytes(&wire), &block), 0);
    plant_certify(plant, &block, &certificate);
    block_store_close(plant->store);
    plant->store = NULL;
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct block_store *store = plant_open(plant, BLOCK_STORE_WRITE);
        if (block_store_begin(store) != 0 ||
            block_store_put_block(store, buf_bytes(&wire), buf_bytes(&certificate)) != 0 ||
            block_store_put_slot(store, 1, BYTES_LIT("vote")) != 0 ||
            block_store_put_checkpoint(store, 6, BYTES_LIT("note")) != 0)
            _exit(1);
        kill(getpid(), SIGKILL);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    plant->store = plant_open(plant, BLOCK_STORE_WRITE);
    uint64_t height;
    uint32_t index;
    char why[512];
    assert_int_equal(load(plant, UINT64_MAX, &height, why, sizeof(why)), 0);
    assert_int_equal(height, 4);
    assert_int_equal(block_store_get_slot(plant->store, 1, &out), SEALMQ_E_NOTFOUND);
    assert_int_equal(block_store_checkpoint_newest(plant->store, &out), SEALMQ_E_NOTFOUND);
    assert_int_equal(block_store_find_request(plant->store, BYTES_LIT(GATEWAY), 5, &height, &index),
                     SEALMQ_E_NOTFOUND);
    plant_block(plant); /* and it can be stored now */
    assert_int_equal(load(plant, UINT64_MAX, &height, why, sizeof(why)), 0);
    assert_int_equal(height, 5);
    buf_close(&wire);
    buf_close(&certificate);
    buf_close(&out);
    plant_free(plant);
}

static void a_full_disk_voids_the_step_and_nothing_before(void **state)
{
    struct plant *plant = plant_of_four_blocks(state);
    static uint8_t big[1000000];
    struct rlimit old, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = (struct rlimit){300000, old.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    int error = block_store_begin(plant->store);
    if (error == 0)
        error = block_store_put_slot(plant->store, 1, bytes_of(big, sizeof(big)));
    if (error == 0)
        error = block_store_commit(plant->store);
    block_store_rollback(plant->store);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(error, SEALMQ_E_FULL);
    uint64_t height;
    char why[512];
    assert_int_equal(load(plant, UINT64_MAX, &height, why, sizeof(why)), 0);
    assert_int_equal(height, 4);
    add_interval(&plant->batch, &plant->network, 5, 6, 8);
    plant_block(plant);
    plant_free(plant);
}

static void assert_refused(struct plant *plant, enum block_store_mode mode,
                           const struct hash *genesis, int error, const char *words)
{
    struct block_store *store;
    char why[512] = "";
    assert_int_equal(block_store_open(plant->folder, mode, genesis, &store, why, sizeof(why)),
                     error);
    assert_null(store);
    assert_non_null(strstr(why, plant->folder));
    if (strstr(why, words) == NULL)
        fail_msg("'%s' does not say '%s'", why, words);
}

static void opening_says_what_is_wrong(void **state)
{
    struct plant *plant = plant_new(state);
    const struct hash *genesis = &plant->network.genesis.hash;
    struct hash other = *genesis;
    other.b[5] ^= 1;
    /* the folder is this store's for as long as it is open, but for readers */
    assert_refused(plant, BLOCK_STORE_WRITE, genesis, SEALMQ_E_BUSY, "in use");
    assert_refused(plant, BLOCK_STORE_CREATE, genesis, SEALMQ_E_BUSY, "in use");
    block_store_close(plant_open(plant, BLOCK_STORE_READ));
    block_store_close(plant->store);
    plant->store = NULL;
    assert_refused(plant, BLOCK_STORE_CREATE, genesis, SEALMQ_E_EXISTS, "there already");
    assert_refused(plant, BLOCK_STORE_WRITE, &other, SEALMQ_E_NETWORK, "another network");
    assert_refused(plant, BLOCK_STORE_READ, &other, SEALMQ_E_NETWORK, "another network");
    const char *path = folder_path(state, "blocks.db");
    put_file(path,
             BYTES_LIT("this is no database, but some text that somebody put here by mistake "
                       "or on purpose, and it is longer than the header of a database\n"),
             0600);
    assert_refused(plant, BLOCK_STORE_WRITE, genesis, SEALMQ_E_CORRUPT, "no SQLite database");
    assert_refused(plant, BLOCK_STORE_READ, genesis, SEALMQ_E_CORRUPT, "no SQLite database");
    assert_int_equal(unlink(path), 0);
    assert_refused(plant, BLOCK_STORE_WRITE, genesis, SEALMQ_E_NOTFOUND, "no such file");
    assert_refused(plant, BLOCK_STORE_READ, genesis, SEALMQ_E_NOTFOUND, "no such file");
    put_file(path, (struct bytes){0}, 0600); /* what a crash leaves of one that was being made */
    assert_refused(plant, BLOCK_STORE_WRITE, genesis, SEALMQ_E_NOTFOUND, "nothing in it");
    plant->store = plant_open(plant, BLOCK_STORE_CREATE);
    snprintf(plant->folder, sizeof(plant->folder), "%s", folder_path(state, "absent"));
    assert_refused(plant, BLOCK_STORE_WRITE, genesis, SEALMQ_E_NOTFOUND, "No such file");
    assert_refused(plant, BLOCK_STORE_READ, genesis, SEALMQ_E_NOTFOUND, "no such file");
    plant_free(plant);
}

static void a_store_whose_genesis_was_removed_is_refused(void **state)
{
    struct plant *plant = plant_new(state);
    block_store_close(plant->store);
    plant->store = NULL;
    run_sql(folder_path(state, "blocks.db"), "DELETE FROM meta");
    assert_refused(plant, BLOCK_STORE_WRITE, &plant->network.genesis.hash, SEALMQ_E_CORRUPT, "");
    plant_free(plant);
}

static void any_change_behind_the_store_is_found_and_its_height_named(void **state)
{
    static const struct {
        const char *sql, *words;
    } cases[] = {
        {"UPDATE bodies SET body = substr(body, 1, length(body) - 1) WHERE height = 3", "height 3"},
        {"UPDATE bodies SET body = CAST(substr(body, 1, 100) || x'00' || substr(body, 102) AS BLOB)"
         " WHERE height = 3",
         "height 3"},
        {"UPDATE headers SET header ="
         " CAST(substr(header, 1, 20) || x'ff' || substr(header, 22) AS BLOB)"
         " WHERE height = 2",
         "height 2"},
        {"UPDATE headers SET header = zeroblob(1000) WHERE height = 2", "height 2"},
        {"UPDATE headers SET header = 'text' WHERE height = 2", "height 2"},
        {"UPDATE headers SET certificate = zeroblob(0) WHERE height = 4", "certificate"},
        {"UPDATE headers SET certificate = (SELECT certificate FROM blocks WHERE height = 2)"
         " WHERE height = 4",
         "certificate"},
        {"UPDATE headers SET certificate ="
         " CAST(substr(certificate, 1, length(certificate) - 1) || x'00' AS BLOB)"
         " WHERE height = 4",
         "certificate"},
        {"DELETE FROM headers WHERE height = 2", "height 2: the block is missing"},
        {"DELETE FROM headers WHERE height = 1", "height 1: the block is missing"},
        {"UPDATE headers SET height = 9 WHERE height = 4", "height 4: the block is missing"},
        {"INSERT INTO headers SELECT 0, header_hash, header, certificate, time_us, requests,"
         " records, size, all_requests, all_records, all_size FROM headers WHERE height = 1;"
         "INSERT INTO bodies SELECT 0, body FROM bodies WHERE height = 1",
         "height 1"},
        {"INSERT INTO headers SELECT 5, header_hash, header, certificate, time_us, requests,"
         " records, size, all_requests, all_records, all_size FROM headers WHERE height = 4;"
         "INSERT INTO bodies SELECT 5, body FROM bodies WHERE height = 4",
         "height 5"},
        {"DELETE FROM bodies WHERE height = 3", "height 3: the body is missing"},
        {"UPDATE headers SET size = size + 1 WHERE height = 3", "columns"},
        {"UPDATE headers SET all_requests = 0 WHERE height = 3", "columns"},
        {"UPDATE headers SET all_records = all_records + 1 WHERE height = 4", "columns"},
        {"UPDATE headers SET all_size = 0 WHERE height = 2", "columns"},
        {"UPDATE headers SET header_hash = zeroblob(32) WHERE height = 3", "columns"},
        {"UPDATE headers SET time_us = time_us + 1 WHERE height = 3", "columns"},
        {"UPDATE headers SET requests = 7 WHERE height = 3", "columns"},
        {"UPDATE headers SET records = 7 WHERE height = 3", "columns"},
        {"UPDATE requests SET height = 2 WHERE number = 2", "index"},
        {"UPDATE requests SET idx = idx + 1 WHERE number = 2", "index"},
        {"DELETE FROM requests WHERE number = 2", "index"},
        {"INSERT INTO requests VALUES(1, 99, 2, 0)", "no block"},
        {"DELETE FROM resolved", "index"},
        {"UPDATE resolved SET leaf = 1", "index"},
        {"INSERT INTO resolved VALUES(2, 1, 3, 0, 0)", "no block"},
        {"UPDATE intervals SET to_n = to_n + 1 WHERE from_n = 4", "index"},
        {"UPDATE intervals SET from_n = from_n - 1 WHERE from_n = 4", "index"},
        {"UPDATE intervals SET leaf = 0 WHERE from_n = 4", "index"},
        {"UPDATE intervals SET leaf = -5 WHERE from_n = 4", "index"},
        {"INSERT INTO intervals VALUES(2, 100, 101, 3, 0, 0)", "no block"},
        {"UPDATE senders SET name = 'devices/ann' WHERE name = 'devices/iot'", "index"},
    };
    struct plant *plant = plant_of_four_blocks(state);
    const char *path = folder_path(state, "blocks.db");
    block_store_close(plant->store);
    plant->store = NULL;
    struct buf good = get_file(path);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char why[512] = "";
        uint64_t height;
        put_file(path, buf_bytes(&good), 0600);
        run_sql(path, cases[i].sql);
        plant->store = plant_open(plant, BLOCK_STORE_READ);
        int error = load(plant, UINT64_MAX, &height, why, sizeof(why));
        if (error != SEALMQ_E_CORRUPT || strstr(why, cases[i].words) == NULL ||
            strstr(why, path) == NULL)
            fail_msg("%s: %d '%s'", cases[i].sql, error, why);
        block_store_close(plant->store);
        plant->store = NULL;
    }
    buf_close(&good);
    plant_free(plant);
}

static void a_block_of_too_few_or_foreign_votes_is_refused(void **state)
{
    struct plant *plant = plant_new(state);
    struct buf wire = {0}, certificate = {0};
    struct certificate votes;
    struct block block;
    char why[512];
    uint64_t height;
    for (int kind = 0; kind < 3; kind++) {
        buf_reset(&wire);
        buf_reset(&certificate);
        make_block(plant->chain, &plant->batch, &wire);
        assert_int_equal(block_decode(buf_bytes(&wire), &block), 0);
        plant_certify(plant, &block, &certificate);
        assert_int_equal(certificate_decode(buf_bytes(&certificate), &votes), 0);
        if (kind == 0)
            votes.n--;
        else if (kind == 1)
            votes.votes[2].validator = 3;
        else
            votes.view++;
        buf_reset(&certificate);
        certificate_encode(&votes, &certificate);
        assert_int_equal(block_store_begin(plant->store), 0);
        assert_int_equal(
            block_store_put_block(plant->store, buf_bytes(&wire), buf_bytes(&certificate)), 0);
        assert_int_equal(load(plant, UINT64_MAX, &height, why, sizeof(why)), SEALMQ_E_CORRUPT);
        assert_non_null(strstr(why, "height 2: its certificate"));
        block_store_rollback(plant->store);
    }
    buf_close(&wire);
    buf_close(&certificate);
    plant_free(plant);
}

static void the_votes_for_another_block_of_the_same_height_do_not_count(void **state)
{
    struct plant *plant = plant_new(state);
    struct buf voted = {0}, stored = {0}, certificate = {0};
    struct block block;
    char why[512];
    uint64_t height;
    make_block(plant->chain, &plant->batch, &voted);
    assert_int_equal(block_decode(buf_bytes(&voted), &block), 0);
    plant_certify(plant, &block, &certificate);
    add_interval(&plant->batch, &plant->network, 1, 1, 3);
    make_block(plant->chain, &plant->batch, &stored);
    assert_int_equal(block_store_begin(plant->store), 0);
    assert_int_equal(
        block_store_put_block(plant->store, buf_bytes(&stored), buf_bytes(&certificate)), 0);
    assert_int_equal(load(plant, UINT64_MAX, &height, why, sizeof(why)), SEALMQ_E_CORRUPT);
    assert_non_null(strstr(why, "height 2: its certificate"));
    block_store_rollback(plant->store);
    buf_close(&voted);
    buf_close(&stored);
    buf_close(&certificate);
    plant_free(plant);
}

static void a_damaged_page_is_an_error_not_a_crash(void **state)
{
    struct plant *plant = plant_of_four_blocks(state);
    const char *path = folder_path(state, "blocks.db");
    block_store_close(plant->store);
    plant->store = NULL;
    struct buf good = get_file(path);
    unsigned refused = 0;
    for (size_t page = 0; page < good.n / 4096; page++) {
        put_file(path, buf_bytes(&good), 0600);
        struct buf bad = get_file(path);
        for (size_t i = 0; i < 4096; i++)
            bad.p[page * 4096 + i] = (uint8_t)(i * 7 + page);
        put_file(path, buf_bytes(&bad), 0600);
        buf_close(&bad);
        char why[512] = "";
        uint64_t height;
        int error = block_store_open(plant->folder, BLOCK_STORE_READ, &plant->network.genesis.hash,
                                     &plant->store, why, sizeof(why));
        if (error == 0)
            error = load(plant, UINT64_MAX, &height, why, sizeof(why));
        block_store_close(plant->store);
        plant->store = NULL;
        assert_true(error == 0 || error == SEALMQ_E_CORRUPT);
        refused += error != 0;
    }
    assert_true(refused >= 6);
    buf_close(&good);
    plant_free(plant);
}

static void a_reader_follows_the_writer(void **state)
{
    struct plant *plant = plant_new(state);
    struct block_store *reader = plant_open(plant, BLOCK_STORE_READ);
    uint64_t tip;
    assert_int_equal(block_store_tip(reader, &tip), 0);
    assert_int_equal(tip, 1);
    plant_block(plant);
    assert_int_equal(block_store_tip(reader, &tip), 0);
    assert_int_equal(tip, 2);
    assert_int_not_equal(block_store_put_slot(reader, 1, BYTES_LIT("x")), 0);
    block_store_close(reader);
    plant_free(plant);
}

static void write_on(void *context, uint64_t height, uint64_t tip)
{
    assert_int_equal(tip, 4);
    if (height == 2) {
        struct plant *plant = context;
        struct interval_leaf leaf = leaf_of(6, LEAF_ACKNOWLEDGED);
        add_data(&plant->batch, &plant->network, 5, 6, &leaf, 1, none, 0);
        plant_block(plant);
    }
}

static void a_reader_loads_one_moment_while_the_writer_goes_on(void **state)
{
    struct plant *plant = plant_of_four_blocks(state);
    struct block_store *reader = plant_open(plant, BLOCK_STORE_READ);
    struct chain *chain;
    char why[512] = "";
    if (block_store_load_chain(reader, &plant->network.genesis, UINT64_MAX, &chain, write_on, plant,
                               why, sizeof(why)) != 0)
        fail_msg("%s", why);
    assert_int_equal(chain_height(chain), 4);
    chain_free(chain);
    uint64_t tip;
    assert_int_equal(block_store_tip(reader, &tip), 0);
    assert_int_equal(tip, 5);
    block_store_close(reader);
    plant_free(plant);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)
    const struct CMUnitTest tests[] = {
        T(the_chain_comes_back_from_the_store),
        T(a_block_comes_back_byte_by_byte_with_its_certificate),
        T(requests_and_leaves_are_found_where_they_are),
        T(only_the_next_block_is_taken),
        T(checkpoints_are_found_by_size),
        T(slots_hold_what_was_put_last),
        T(a_step_is_whole_or_not_at_all),
        T(a_full_disk_voids_the_step_and_nothing_before),
        T(opening_says_what_is_wrong),
        T(a_store_whose_genesis_was_removed_is_refused),
        T(any_change_behind_the_store_is_found_and_its_height_named),
        T(a_block_of_too_few_or_foreign_votes_is_refused),
        T(the_votes_for_another_block_of_the_same_height_do_not_count),
        T(a_damaged_page_is_an_error_not_a_crash),
        T(a_reader_follows_the_writer),
        T(a_reader_loads_one_moment_while_the_writer_goes_on),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
