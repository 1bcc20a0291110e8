/* Memory that runs out, first in our own allocations, then in SQLite's: each is an error, nothing
 * leaks, and what was committed stays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "folder.h"
#include "lib/failing_memory.h"
#include "plant.h"
#include "store/audit.h"
#include "store/keyfile.h"
#include "store/outbox.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

struct job {
    struct plant *plant;
    char history[600], outbox[600], key[600];
};

static int add_one(struct history *history, struct bytes gateway, uint64_t n)
{
    struct hash recorded;
    const struct row row = {.device = BYTES_LIT("D1"),
                            .service = BYTES_LIT("CS"),
                            .name = BYTES_LIT("t"),
                            .unit = BYTES_LIT("C"),
                            .value = BYTES_LIT("36.5"),
                            .type = DATATYPE_DOUBLE,
                            .time_us = (int64_t)n};
    const struct history_report report = {
        .head = {.gateway = gateway, .topic = BYTES_LIT("t"), .n = n, .rows = 1},
        .account = gateway,
        .rows = &row};
    return history_add(history, &report, &recorded);
}

static int write_history(struct job *job)
{
    struct history *history;
    char why[512];
    int error = history_open(job->history, HISTORY_WRITE, &history, why, sizeof(why));
    if (error != 0)
        return error;
    error = history_begin(history);
    for (uint64_t n = 1; error == 0 && n <= 50; n++) {
        error = add_one(history, n % 2 == 0 ? BYTES_LIT("a/a") : BYTES_LIT("b/b"), n);
        if (error == SEALMQ_E_EXISTS)
            error = 0;
    }
    if (error == 0)
        error = history_commit(history);
    if (error != 0)
        history_rollback(history);
    history_close(history);
    return error;
}

static int audit(struct job *job)
{
    struct history *history;
    struct block_store *blocks = NULL;
    char why[512];
    struct audit_totals totals;
    const struct audit_options options = {.node = "broker/000"};
    int error = history_open(job->history, HISTORY_READ, &history, why, sizeof(why));
    if (error == 0)
        error = block_store_open(job->plant->folder, BLOCK_STORE_READ,
                                 &job->plant->network.genesis.hash, &blocks, why, sizeof(why));
    if (error == 0)
        error = audit_run(history, blocks, &job->plant->network.genesis, &options, &totals, why,
                          sizeof(why));
    if (error == 0) {
        assert_int_equal(totals.reports[AUDIT_UNSIGNED], 50);
        assert_int_equal(totals.blocks, 2);
    }
    history_close(history);
    block_store_close(blocks);
    return error;
}

static int use_outbox(struct job *job)
{
    struct outbox *outbox;
    char why[512];
    int error = outbox_open(job->outbox, "owner", &outbox, why, sizeof(why));
    if (error != 0)
        return error;
    error = outbox_begin(outbox);
    for (uint64_t i = 0; error == 0 && i < 20; i++)
        error = outbox_put(outbox, 1, i, BYTES_LIT("some value"));
    if (error == 0)
        error = outbox_commit(outbox);
    if (error != 0)
        outbox_rollback(outbox);
    outbox_close(outbox);
    return error;
}

static int use_files(struct job *job)
{
    uint8_t seed[SEED_SIZE] = {1};
    char id[ID_MAX + 1], why[512];
    struct sign_key key;
    unlink(job->key);
    int error = keyfile_write(job->key, "a/b", seed, why, sizeof(why));
    if (error == 0)
        error = keyfile_read(job->key, id, &key, why, sizeof(why));
    return error;
}

static void job_init(struct job *job, void **state)
{
    job->plant = plant_new(state);
    struct interval_leaf leaf = leaf_of(1, LEAF_PENDING);
    add_data(&job->plant->batch, &job->plant->network, 1, 1, &leaf, 1, NULL, 0);
    plant_block(job->plant);
    snprintf(job->history, sizeof(job->history), "%s/history.db", job->plant->folder);
    snprintf(job->outbox, sizeof(job->outbox), "%s/gateway.db", job->plant->folder);
    snprintf(job->key, sizeof(job->key), "%s/key", job->plant->folder);
}

static int (*const steps[])(struct job *job) = {write_history, audit, use_outbox, use_files};

static void every_failed_allocation_of_ours_is_an_error(void **state)
{
    struct job job;
    job_init(&job, state);
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        for (size_t n = 1;; n++) {
            memory_fail_at(n);
            int error = steps[i](&job);
            if (!memory_has_failed()) {
                assert_int_equal(error, 0);
                assert_true(n > 1);
                break;
            }
            /* a name that cannot be remembered is only looked up again */
            assert_true(error == SEALMQ_E_NOMEM || (i == 0 && error == 0));
        }
    }
    plant_free(job.plant);
}

static void every_size_of_memory_that_is_too_small_for_sqlite_is_an_error(void **state)
{
    struct job job;
    job_init(&job, state);
    for (size_t i = 0; i + 1 < sizeof(steps) / sizeof(steps[0]); i++) {
        unsigned failed = 0;
        int error;
        sqlite3_int64 room = 2000;
        do {
            sqlite3_hard_heap_limit64(sqlite3_memory_used() + room);
            error = steps[i](&job);
            sqlite3_hard_heap_limit64(0);
            assert_true(error == 0 || error == SEALMQ_E_NOMEM);
            failed += error != 0;
            room += 1500;
        } while (room < 600000);
        assert_int_equal(error, 0);
        assert_true(failed > 5);
    }
    plant_free(job.plant);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)
    const struct CMUnitTest tests[] = {
        T(every_failed_allocation_of_ours_is_an_error),
        T(every_size_of_memory_that_is_too_small_for_sqlite_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
