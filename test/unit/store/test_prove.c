#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "folder.h"
#include "plant.h"

#include "ledger/proof.h"
#include "store/prove.h"

#include <stdlib.h>
#include <string.h>

#define VALUES 3 /* rows of each report */

/* A plant whose gateway has reported and written to the chain:
 *   block 2  describes item 1
 *   block 3  record "20", reports 1 to 3: acknowledged, acknowledged, dropped
 *   block 4  describes item 2 and has a record of it, report 4 pending */
struct site {
    struct plant *plant;
    struct history *history;
    struct buf proof;
    char why[512];
};

static void history_at(void **state, struct site *site)
{
    assert_int_equal(history_open(folder_path(state, "history.db"), HISTORY_WRITE, &site->history,
                                  site->why, sizeof site->why),
                     0);
}

/* Stores report n; its hash. */
static struct hash report(struct site *site, uint64_t n)
{
    struct row rows[VALUES];
    struct hash leaves[VALUES + 1], recorded;
    static const char *const values[VALUES] = {"20", "21", "22"};
    for (size_t i = 0; i < VALUES; i++)
        rows[i] = (struct row){
            .device = BYTES_LIT("D1"),
            .service = BYTES_LIT("CS"),
            .name = BYTES_LIT("temperature"),
            .unit = BYTES_LIT("C"),
            .value = bytes_str(values[i]),
            .type = DATATYPE_INT,
            .time_us = INT64_C(1767225600000000) + (int64_t)i,
        };
    struct history_report stored = {
        .head = {.gateway = BYTES_LIT(GATEWAY), .topic = BYTES_LIT("x"), .n = n, .rows = VALUES},
        .account = BYTES_LIT(GATEWAY),
        .received_us = 1,
        .rows = rows,
    };
    assert_int_equal(report_head_leaf(&stored.head, &leaves[0]), 0);
    for (size_t i = 0; i < VALUES; i++)
        assert_int_equal(row_leaf(&rows[i], &leaves[i + 1]), 0);
    report_hash(leaves, VALUES + 1, &stored.hash);
    report_sign(&site->plant->network.gateway, &site->plant->network.genesis.hash, &stored.hash,
                &stored.signature);
    assert_int_equal(history_begin(site->history), 0);
    assert_int_equal(history_add(site->history, &stored, &recorded), 0);
    assert_int_equal(history_commit(site->history), 0);
    return stored.hash;
}

static void put_checkpoint(struct site *site)
{
    struct plant *plant = site->plant;
    struct buf note = {0};
    plant_checkpoint(plant, &note);
    assert_int_equal(block_store_begin(plant->store), 0);
    assert_int_equal(
        block_store_put_checkpoint(plant->store, chain_height(plant->chain) + 1, buf_bytes(&note)),
        0);
    assert_int_equal(block_store_commit(plant->store), 0);
    buf_close(&note);
}

static struct site *site_new(void **state)
{
    struct site *site = calloc(1, sizeof *site);
    assert_non_null(site);
    struct plant *plant = site->plant = plant_new(state);
    const struct network *network = &plant->network;
    history_at(state, site);
    struct item first = item_of(1, "D1", "temperature"), second = item_of(2, "D1", "humidity");
    add_describe(&plant->batch, network, 1, &first, 1);
    plant_block(plant);
    struct interval_leaf leaves[3] = {
        leaf_of(1, LEAF_ACKNOWLEDGED),
        leaf_of(2, LEAF_ACKNOWLEDGED),
        leaf_of(3, LEAF_DROPPED),
    };
    leaves[0].report = report(site, 1);
    leaves[1].report = report(site, 2);
    struct record record = record_of("D1", 1, "20");
    add_data(&plant->batch, network, 2, 1, leaves, 3, &record, 1);
    plant_block(plant);
    add_describe(&plant->batch, network, 3, &second, 1);
    struct interval_leaf pending = leaf_of(4, LEAF_PENDING);
    record = record_of("D1", 2, "60");
    add_data(&plant->batch, network, 4, 4, &pending, 1, &record, 1);
    plant_block(plant);
    return site;
}

static void site_free(struct site *site)
{
    buf_close(&site->proof);
    history_close(site->history);
    plant_free(site->plant);
    free(site);
}

static int block(struct site *site, uint64_t height)
{
    buf_reset(&site->proof);
    return prove_block(site->plant->store, &site->plant->network.genesis, height, &site->proof,
                       site->why, sizeof site->why);
}

static int record(struct site *site, uint64_t height, uint32_t request, uint32_t index)
{
    buf_reset(&site->proof);
    return prove_record(site->plant->store, &site->plant->network.genesis, height, request, index,
                        &site->proof, site->why, sizeof site->why);
}

static int row(struct site *site, uint64_t n, uint32_t number)
{
    buf_reset(&site->proof);
    return prove_row(site->plant->store, site->history, &site->plant->network.genesis,
                     BYTES_LIT(GATEWAY), n, number, &site->proof, site->why, sizeof site->why);
}

static void assert_says(const struct site *site, const char *words)
{
    if (strstr(site->why, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", site->why, words);
}

static void every_block_can_be_proven_the_genesis_block_too(void **state)
{
    struct site *site = site_new(state);
    put_checkpoint(site);
    for (uint64_t height = 0; height <= 4; height++) {
        struct proof proof;
        assert_int_equal(block(site, height), 0);
        assert_int_equal(proof_parse(buf_bytes(&site->proof), &proof), 0);
        assert_int_equal(proof.kind, PROOF_BLOCK);
        assert_int_equal(proof.header.height, height);
        assert_int_equal(proof.log_index, height);
        proof_close(&proof);
    }
    assert_int_equal(block(site, 5), SEALMQ_E_NOTFOUND);
    assert_says(site, "no block 5");
    site_free(site);
}

static void a_block_is_read_as_it_was_agreed_on(void **state)
{
    struct site *site = site_new(state);
    struct buf wire = {0}, certificate = {0};
    for (uint64_t height = 0; height <= 4; height++) {
        struct block decoded;
        buf_reset(&wire);
        buf_reset(&certificate);
        assert_int_equal(prove_read_block(site->plant->store, &site->plant->network.genesis, height,
                                          &wire, &certificate),
                         0);
        assert_int_equal(block_decode(buf_bytes(&wire), &decoded), 0);
        assert_int_equal(decoded.header.height, height);
        assert_int_equal(certificate.n == 0, height == 0);
    }
    assert_int_equal(
        prove_read_block(site->plant->store, &site->plant->network.genesis, 5, &wire, NULL),
        SEALMQ_E_NOTFOUND);
    buf_close(&wire);
    buf_close(&certificate);
    site_free(site);
}

static void without_a_checkpoint_nothing_can_be_proven_yet(void **state)
{
    struct site *site = site_new(state);
    assert_int_equal(block(site, 1), SEALMQ_E_AGAIN);
    assert_says(site, "checkpoint");
    assert_int_equal(row(site, 1, 0), SEALMQ_E_AGAIN);
    uint64_t height;
    uint32_t request, index;
    assert_int_equal(prove_find_newest_record(site->plant->store, &height, &request, &index,
                                              site->why, sizeof site->why),
                     SEALMQ_E_NOTFOUND);
    site_free(site);
}

static void a_record_comes_with_its_senders_key_and_its_item(void **state)
{
    struct site *site = site_new(state);
    struct proof proof;
    put_checkpoint(site);
    assert_int_equal(record(site, 3, 0, 0), 0);
    assert_int_equal(proof_parse(buf_bytes(&site->proof), &proof), 0);
    assert_int_equal(proof.kind, PROOF_RECORD);
    assert_true(bytes_equal(proof.record.value, BYTES_LIT("20")));
    assert_int_equal(proof.state_count, 2);
    assert_true(bytes_equal(proof.state[0].key, BYTES_LIT("member/" GATEWAY)));
    assert_true(bytes_equal(proof.state[1].key, BYTES_LIT("item/" GATEWAY "/1")));
    proof_close(&proof);
    site_free(site);
}

static void a_record_whose_item_is_as_young_as_itself_has_no_proof(void **state)
{
    struct site *site = site_new(state);
    put_checkpoint(site);
    assert_int_equal(record(site, 4, 1, 0), SEALMQ_E_NOTFOUND);
    assert_says(site, "not known before block 4");
    site_free(site);
}

static void the_newest_record_is_one_that_can_be_proven(void **state)
{
    struct site *site = site_new(state);
    uint64_t height;
    uint32_t request, index;
    put_checkpoint(site);
    assert_int_equal(prove_find_newest_record(site->plant->store, &height, &request, &index,
                                              site->why, sizeof site->why),
                     0);
    assert_int_equal(record(site, height, request, index), 0);
    assert_int_equal(height, 3);
    site_free(site);
}

static void records_that_are_not_there_are_not_found(void **state)
{
    struct site *site = site_new(state);
    put_checkpoint(site);
    assert_int_equal(record(site, 3, 0, 1), SEALMQ_E_NOTFOUND);
    assert_int_equal(record(site, 3, 1, 0), SEALMQ_E_NOTFOUND);
    assert_int_equal(record(site, 2, 0, 0), SEALMQ_E_NOTFOUND); /* a description */
    assert_int_equal(record(site, 0, 0, 0), SEALMQ_E_NOTFOUND);
    assert_int_equal(record(site, 9, 0, 0), SEALMQ_E_NOTFOUND);
    site_free(site);
}

static void each_row_of_a_report_can_be_proven(void **state)
{
    struct site *site = site_new(state);
    put_checkpoint(site);
    for (uint32_t number = 0; number < VALUES; number++) {
        struct proof proof;
        assert_int_equal(row(site, 2, number), 0);
        assert_int_equal(proof_parse(buf_bytes(&site->proof), &proof), 0);
        assert_int_equal(proof.kind, PROOF_ROW);
        assert_int_equal(proof.row_number, number);
        assert_int_equal(proof.leaf.n, 2);
        assert_int_equal(proof.row.value.p[1], '0' + number);
        assert_true(bytes_equal(proof.report.topic, BYTES_LIT("x")));
        assert_int_equal(proof.state_count, 1);
        proof_close(&proof);
    }
    assert_int_equal(row(site, 2, VALUES), SEALMQ_E_NOTFOUND);
    site_free(site);
}

static void reports_that_the_chain_does_not_acknowledge_say_why(void **state)
{
    struct site *site = site_new(state);
    put_checkpoint(site);
    assert_int_equal(row(site, 3, 0), SEALMQ_E_AGAIN);
    assert_says(site, "dropped");
    assert_int_equal(row(site, 4, 0), SEALMQ_E_AGAIN);
    assert_says(site, "pending");
    assert_int_equal(row(site, 5, 0), SEALMQ_E_NOTFOUND);
    assert_says(site, "not covered");
    site_free(site);
}

static void a_history_that_was_changed_proves_nothing(void **state)
{
    struct site *site = site_new(state);
    put_checkpoint(site);
    history_close(site->history);
    run_sql(folder_path(state, "history.db"), "UPDATE rows SET val = 99 WHERE n = 1 AND row = 2");
    run_sql(folder_path(state, "history.db"), "DELETE FROM rows WHERE n = 2 AND row = 1");
    history_at(state, site);
    for (uint32_t number = 0; number < VALUES; number++) {
        assert_int_equal(row(site, 1, number), SEALMQ_E_CONFLICT);
        assert_says(site, "audit");
        assert_int_equal(row(site, 2, number), SEALMQ_E_CONFLICT);
    }
    history_close(site->history);
    run_sql(folder_path(state, "history.db"), "DELETE FROM rows WHERE n = 2");
    run_sql(folder_path(state, "history.db"), "DELETE FROM reports WHERE n = 2");
    history_at(state, site);
    assert_int_equal(row(site, 2, 0), SEALMQ_E_NOTFOUND);
    site_free(site);
}

static void blocks_that_were_changed_prove_nothing(void **state)
{
    struct site *site = site_new(state);
    put_checkpoint(site);
    block_store_close(site->plant->store);
    run_sql(folder_path(state, "blocks.db"),
            "UPDATE headers SET header = (SELECT header FROM headers WHERE height = 1)"
            " WHERE height = 2;"
            "UPDATE bodies SET body = (SELECT body FROM bodies WHERE height = 1)"
            " WHERE height = 2");
    site->plant->store = plant_open(site->plant, BLOCK_STORE_READ);
    int error = block(site, 4);
    assert_true(error == SEALMQ_E_CONFLICT || error == SEALMQ_E_CORRUPT);
    assert_int_equal(site->proof.n, 0);
    site_free(site);
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_setup, folder_teardown)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(every_block_can_be_proven_the_genesis_block_too),
        IN_FOLDER(a_block_is_read_as_it_was_agreed_on),
        IN_FOLDER(without_a_checkpoint_nothing_can_be_proven_yet),
        IN_FOLDER(a_record_comes_with_its_senders_key_and_its_item),
        IN_FOLDER(a_record_whose_item_is_as_young_as_itself_has_no_proof),
        IN_FOLDER(the_newest_record_is_one_that_can_be_proven),
        IN_FOLDER(records_that_are_not_there_are_not_found),
        IN_FOLDER(each_row_of_a_report_can_be_proven),
        IN_FOLDER(reports_that_the_chain_does_not_acknowledge_say_why),
        IN_FOLDER(a_history_that_was_changed_proves_nothing),
        IN_FOLDER(blocks_that_were_changed_prove_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
