#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/text.h"
#include "folder.h"
#include "plant.h"
#include "store/audit.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define TIME_US NETWORK_CREATED_US
#define US      "broker/000"
#define TWO     "devices/two" /* a second gateway; signs with the network's `other` key */

/* What a report of this number looks like: three rows, those of 7 and up one. */
#define ROWS 3
static uint32_t rows_of(uint64_t n)
{
    return n < 7 ? ROWS : 1;
}

static void make_rows(uint64_t n, struct row rows[ROWS])
{
    static char values[ROWS][32];
    static const char *const names[ROWS] = {"t", "p", "state"};
    for (uint32_t i = 0; i < ROWS; i++) {
        snprintf(values[i], sizeof(values[i]), "%u.5", (unsigned)(n * 10 + i));
        rows[i] = (struct row){.device = i == 2 ? BYTES_LIT("D2") : BYTES_LIT("D1"),
                               .service = BYTES_LIT("CS"),
                               .name = bytes_str(names[i]),
                               .unit = BYTES_LIT("C"),
                               .value = bytes_str(i == 2 ? "running" : values[i]),
                               .type = i == 2 ? DATATYPE_STRING : DATATYPE_DOUBLE,
                               .time_us = TIME_US + (int64_t)(n * 1000 + i)};
    }
}

static void make_report(const struct network *network, const char *gateway, uint64_t n,
                        struct row rows[ROWS], struct history_report *out)
{
    struct hash leaves[ROWS + 1];
    make_rows(n, rows);
    *out = (struct history_report){.head = {.gateway = bytes_str(gateway),
                                            .topic = BYTES_LIT("RealTime"),
                                            .n = n,
                                            .rows = rows_of(n)},
                                   .account = bytes_str(gateway),
                                   .received_us = TIME_US + (int64_t)n,
                                   .rows = rows};
    assert_int_equal(report_head_leaf(&out->head, &leaves[0]), 0);
    for (uint32_t i = 0; i < out->head.rows; i++)
        assert_int_equal(row_leaf(&rows[i], &leaves[i + 1]), 0);
    report_hash(leaves, out->head.rows + 1, &out->hash);
    report_sign(strcmp(gateway, TWO) == 0 ? &network->other : &network->gateway,
                &network->genesis.hash, &out->hash, &out->signature);
}

static void store_reports(void **state, const struct network *network, const char *gateway,
                          const uint64_t *numbers, size_t count)
{
    struct history *history;
    struct hash recorded;
    char why[512];
    assert_int_equal(
        history_open(folder_path(state, "history.db"), HISTORY_WRITE, &history, why, sizeof(why)),
        0);
    assert_int_equal(history_begin(history), 0);
    for (size_t i = 0; i < count; i++) {
        struct row rows[ROWS];
        struct history_report report;
        make_report(network, gateway, numbers[i], rows, &report);
        assert_int_equal(history_add(history, &report, &recorded), 0);
    }
    assert_int_equal(history_commit(history), 0);
    history_close(history);
}

static struct interval_leaf leaf_for(const struct network *network, const char *gateway, uint64_t n,
                                     enum leaf_status status, const char *node)
{
    struct row rows[ROWS];
    struct history_report report;
    make_report(network, gateway, n, rows, &report);
    return (struct interval_leaf){
        .n = n, .status = status, .node = bytes_str(node), .report = report.hash};
}

/* Two gateways. Of GATEWAY this node acknowledged 1, 2, 6, 7 and, after it was pending, 4; another
 * node 3; 5 was dropped; 8 is stored but not covered; 9 is stored and pending. Of TWO this node
 * acknowledged 1 and 2. */
static struct plant *plant_with_history(void **state)
{
    struct plant *plant = plant_new(state);
    const struct network *network = &plant->network;
    add_register(&plant->batch, network, 2, TWO, &network->other);
    plant_block(plant);
    struct interval_leaf first[] = {
        leaf_for(network, GATEWAY, 1, LEAF_ACKNOWLEDGED, US),
        leaf_for(network, GATEWAY, 2, LEAF_ACKNOWLEDGED, US),
        leaf_for(network, GATEWAY, 3, LEAF_ACKNOWLEDGED, "broker/001"),
        leaf_for(network, GATEWAY, 4, LEAF_PENDING, ""),
        leaf_for(network, GATEWAY, 5, LEAF_DROPPED, ""),
    };
    add_data(&plant->batch, network, 1, 1, first, 5, NULL, 0);
    plant_block(plant);
    struct interval_leaf second[] = {
        leaf_for(network, GATEWAY, 4, LEAF_ACKNOWLEDGED, US),
        leaf_for(network, GATEWAY, 6, LEAF_ACKNOWLEDGED, US),
        leaf_for(network, GATEWAY, 7, LEAF_ACKNOWLEDGED, US),
        leaf_for(network, GATEWAY, 8, LEAF_PENDING, ""),
    };
    second[3].n = 8;
    add_data(&plant->batch, network, 2, 6, second, 4, NULL, 0);
    struct interval_leaf two[] = {leaf_for(network, TWO, 1, LEAF_ACKNOWLEDGED, US),
                                  leaf_for(network, TWO, 2, LEAF_ACKNOWLEDGED, US)};
    struct request_data data = {
        .sender = BYTES_LIT(TWO), .number = 1, .from = 1, .to = 2, .leaves = two, .leaf_count = 2};
    assert_int_equal(
        request_make_data(&data, &network->other, &network->genesis.hash, batch_add(&plant->batch)),
        0);
    plant_block(plant);
    const uint64_t numbers[] = {9, 1, 2, 4, 6, 7, 8}, two_numbers[] = {1, 2};
    store_reports(state, network, GATEWAY, numbers, 7);
    store_reports(state, network, TWO, two_numbers, 2);
    return plant;
}

struct seen {
    struct buf text;
    uint64_t progress;
};

/* After the colon the rows that offend: '-' those missing, '+' those that are too many. */
static void note_finding(void *context, const struct audit_finding *finding)
{
    static const char *const signs[] = {
        [AUDIT_ROW_CHANGED] = "", [AUDIT_ROW_MISSING] = "-", [AUDIT_ROW_SURPLUS] = "+"};
    struct seen *seen = context;
    buf_printf(&seen->text, "%s %.*s %llu row %lld of %zu at %llu",
               audit_verdict_name(finding->verdict), (int)finding->gateway.n,
               finding->gateway.n == 0 ? "" : (const char *)finding->gateway.p,
               (unsigned long long)finding->n, (long long)finding->row, finding->row_count,
               (unsigned long long)finding->height);
    for (size_t i = 0; i < finding->located_count; i++) {
        const struct audit_row *row = &finding->located[i];
        assert_true((row->stored == NULL) == (row->state == AUDIT_ROW_MISSING));
        assert_true(row->stored == NULL || row->stored->number == row->number);
        buf_printf(&seen->text, "%s %u%s", i == 0 ? ":" : "", row->number, signs[row->state]);
    }
    buf_append_cstr(&seen->text, "\n");
}

static void note_progress(void *context, uint64_t reports)
{
    struct seen *seen = context;
    assert_int_equal(reports, ++seen->progress);
}

static int run(void **state, struct plant *plant, struct audit_options *options,
               struct audit_totals *totals, struct seen *seen, char why[512])
{
    struct history *history;
    *seen = (struct seen){0};
    if (options->node == NULL)
        options->node = US;
    options->context = seen;
    options->finding = note_finding;
    options->progress = note_progress;
    why[0] = '\0';
    assert_int_equal(
        history_open(folder_path(state, "history.db"), HISTORY_READ, &history, why, 512), 0);
    struct block_store *blocks = plant_open(plant, BLOCK_STORE_READ);
    int error = audit_run(history, blocks, &plant->network.genesis, options, totals, why, 512);
    history_close(history);
    block_store_close(blocks);
    return error;
}

static void assert_finds(void **state, struct plant *plant, const char *want)
{
    struct audit_options options = {0};
    struct audit_totals totals;
    struct seen seen;
    char why[512];
    int error = run(state, plant, &options, &totals, &seen, why);
    if (error != 0)
        fail_msg("%s", why);
    const char *got = buf_cstr(&seen.text);
    assert_string_equal(got == NULL ? "" : got, want);
    assert_int_equal(audit_is_clean(&totals), want[0] == '\0');
    buf_close(&seen.text);
}

static void an_untouched_history_is_verified(void **state)
{
    struct plant *plant = plant_with_history(state);
    struct audit_options options = {0};
    struct audit_totals totals;
    struct seen seen;
    char why[512];
    assert_int_equal(run(state, plant, &options, &totals, &seen, why), 0);
    assert_int_equal(seen.text.n, 0);
    assert_int_equal(totals.reports[AUDIT_VERIFIED], 7);
    assert_int_equal(totals.rows[AUDIT_VERIFIED], 6 * ROWS + 1);
    assert_int_equal(totals.reports[AUDIT_UNANCHORED], 2);
    assert_int_equal(totals.rows[AUDIT_UNANCHORED], 2);
    assert_int_equal(totals.blocks, 4);
    assert_int_equal(seen.progress, 9);
    assert_true(audit_is_clean(&totals));
    buf_close(&seen.text);
    plant_free(plant);
}

struct change {
    const char *sql, *want;
};

/* Each change made with plain SQL behind the node's back, and what must be said of it. */
static const struct change changes[] = {
    /* values, times, names */
    {"UPDATE rows SET val = 99.5 WHERE gateway = 1 AND n = 2 AND row = 1",
     "modified devices/iot 2 row 1 of 3 at 3: 1\n"},
    {"UPDATE rows SET val = 99.5 WHERE gateway = 1 AND n = 7",
     "modified devices/iot 7 row 0 of 1 at 4: 0\n"},
    {"UPDATE rows SET val = CAST(val AS TEXT) WHERE gateway = 1 AND n = 2 AND row = 1",
     "modified devices/iot 2 row 1 of 3 at 3: 1\n"},
    {"UPDATE rows SET val = 'stopped' WHERE gateway = 1 AND n = 4 AND row = 2",
     "modified devices/iot 4 row 2 of 3 at 4: 2\n"},
    {"UPDATE rows SET val = NULL WHERE gateway = 1 AND n = 2 AND row = 1",
     "modified devices/iot 2 row 1 of 3 at 3: 1\n"},
    {"UPDATE rows SET val = hex(zeroblob(5000)) WHERE gateway = 1 AND n = 2 AND row = 2",
     "modified devices/iot 2 row 2 of 3 at 3: 2\n"},
    {"UPDATE rows SET time_us = time_us + 1 WHERE gateway = 1 AND n = 2 AND row = 1",
     "modified devices/iot 2 row 1 of 3 at 3: 1\n"},
    {"UPDATE items SET unit = 'F' WHERE name = 'state'",
     "modified devices/iot 1 row 2 of 3 at 3: 2\nmodified devices/iot 2 row 2 of 3 at 3: 2\n"
     "modified devices/iot 4 row 2 of 3 at 4: 2\nmodified devices/iot 6 row 2 of 3 at 4: 2\n"
     "modified devices/two 1 row 2 of 3 at 4: 2\nmodified devices/two 2 row 2 of 3 at 4: 2\n"},
    {"INSERT INTO items SELECT 77, device, service, 'other', datatype, unit FROM items"
     " WHERE name = 'p'; UPDATE rows SET item = 77 WHERE gateway = 1 AND n = 6 AND row = 1",
     "modified devices/iot 6 row 1 of 3 at 4: 1\n"},
    {"INSERT INTO items SELECT 77, device, service, name, 'string', unit FROM items"
     " WHERE name = 'p'; UPDATE rows SET item = 77 WHERE gateway = 1 AND n = 6 AND row = 1",
     "modified devices/iot 6 row 1 of 3 at 4: 1\n"},
    {"UPDATE rows SET item = 77 WHERE gateway = 1 AND n = 6 AND row = 1",
     "modified devices/iot 6 row 1 of 3 at 4: 1\n"},
    {"UPDATE items SET datatype = 'number' WHERE name = 'state';"
     "DELETE FROM rows WHERE gateway = 2; DELETE FROM reports WHERE gateway = 2;"
     "DELETE FROM rows WHERE n IN (2, 4, 6); DELETE FROM reports WHERE n IN (2, 4, 6)",
     "modified devices/iot 1 row 2 of 3 at 3: 2\nmissing devices/iot 2 row -1 of 0 at 3\n"
     "missing devices/iot 4 row -1 of 0 at 4\nmissing devices/iot 6 row -1 of 0 at 4\n"
     "missing devices/two 1 row -1 of 0 at 4\nmissing devices/two 2 row -1 of 0 at 4\n"},
    /* rows that go, come, change places */
    {"DELETE FROM rows WHERE gateway = 1 AND n = 2 AND row = 1",
     "modified devices/iot 2 row 1 of 2 at 3: 1-\n"},
    {"DELETE FROM rows WHERE gateway = 1 AND n = 2 AND row = 2",
     "modified devices/iot 2 row 2 of 2 at 3: 2-\n"},
    {"DELETE FROM rows WHERE gateway = 1 AND n = 2 AND row = 2;"
     "UPDATE reports SET rows = 2 WHERE gateway = 1 AND n = 2",
     "modified devices/iot 2 row -1 of 2 at 3\n"},
    {"DELETE FROM rows WHERE gateway = 1 AND n = 2",
     "missing devices/iot 2 row -1 of 0 at 3: 0- 1- 2-\n"},
    {"INSERT INTO rows SELECT time_us, gateway, n, 3, item, val FROM rows"
     " WHERE gateway = 1 AND n = 2 AND row = 1",
     "modified devices/iot 2 row 3 of 4 at 3: 3+\n"},
    {"INSERT INTO rows SELECT time_us + 5, gateway, n, row, item, val FROM rows"
     " WHERE gateway = 1 AND n = 2 AND row = 1",
     "modified devices/iot 2 row 1 of 4 at 3: 1+\n"},
    {"UPDATE rows SET row = 9 WHERE gateway = 1 AND n = 2 AND row = 0;"
     "UPDATE rows SET row = 0 WHERE gateway = 1 AND n = 2 AND row = 1;"
     "UPDATE rows SET row = 1 WHERE gateway = 1 AND n = 2 AND row = 9",
     "modified devices/iot 2 row -1 of 3 at 3: 0 1\n"},
    {"CREATE TEMP TABLE was AS SELECT n, val FROM rows WHERE gateway = 1 AND row = 1;"
     "UPDATE rows SET val = (SELECT val FROM was WHERE was.n = 8 - rows.n)"
     " WHERE gateway = 1 AND n IN (2, 6) AND row = 1",
     "modified devices/iot 2 row 1 of 3 at 3: 1\nmodified devices/iot 6 row 1 of 3 at 4: 1\n"},
    {"UPDATE rows SET item = (SELECT id FROM items WHERE name = 'p')"
     " WHERE gateway = 1 AND n = 2 AND row = 0",
     "modified devices/iot 2 row 0 of 3 at 3: 0\n"},
    {"UPDATE rows SET n = 6, row = 3 WHERE gateway = 1 AND n = 2 AND row = 0",
     "modified devices/iot 2 row 0 of 2 at 3: 0-\nmodified devices/iot 6 row 3 of 4 at 4: 3+\n"},
    {"UPDATE rows SET gateway = 2 WHERE gateway = 1 AND n = 6",
     "missing devices/iot 6 row -1 of 0 at 4: 0- 1- 2-\nextra devices/two 6 row -1 of 3 at 0\n"},
    {"UPDATE rows SET gateway = 5 WHERE gateway = 1 AND n = 7",
     "extra  0 row 0 of 1 at 0\nmissing devices/iot 7 row 0 of 0 at 4: 0-\n"},
    {"INSERT INTO rows SELECT time_us, gateway, 700, row, item, val FROM rows"
     " WHERE gateway = 1 AND n = 2",
     "extra devices/iot 700 row -1 of 3 at 0\n"},
    {"INSERT INTO rows SELECT time_us, gateway, 3, row, item, val FROM rows"
     " WHERE gateway = 1 AND n = 2",
     "extra devices/iot 3 row -1 of 3 at 3\n"},
    /* reports that go, come, are numbered anew */
    {"DELETE FROM reports WHERE gateway = 1 AND n = 2", "missing devices/iot 2 row -1 of 3 at 3\n"},
    {"DELETE FROM reports WHERE n = 2 AND gateway = 1; DELETE FROM rows WHERE n = 2 AND gateway = "
     "1",
     "missing devices/iot 2 row -1 of 0 at 3\n"},
    {"DELETE FROM reports WHERE gateway = 2; DELETE FROM rows WHERE gateway = 2;"
     "DELETE FROM gateways WHERE id = 2",
     "missing devices/two 1 row -1 of 0 at 4\nmissing devices/two 2 row -1 of 0 at 4\n"},
    {"UPDATE gateways SET name = 'devices/six' WHERE id = 2",
     "unsigned devices/six 1 row -1 of 3 at 0\nunsigned devices/six 2 row -1 of 3 at 0\n"
     "missing devices/two 1 row -1 of 0 at 4\nmissing devices/two 2 row -1 of 0 at 4\n"},
    {"INSERT INTO reports SELECT gateway, 10, topic, hash, signature, rows, received_us, account,"
     " first_us, last_us, marks FROM reports WHERE gateway = 1 AND n = 2;"
     "INSERT INTO rows SELECT time_us, gateway, 10, row, item, val FROM rows"
     " WHERE gateway = 1 AND n = 2",
     "modified devices/iot 10 row -1 of 3 at 0\n"},
    {"INSERT INTO reports SELECT gateway, 10, topic, zeroblob(32), signature, rows, received_us,"
     " account, first_us, last_us, marks FROM reports WHERE gateway = 1 AND n = 2",
     "unsigned devices/iot 10 row -1 of 0 at 0\n"},
    {"INSERT INTO reports SELECT gateway, 5, topic, hash, signature, rows, received_us, account,"
     " first_us, last_us, marks FROM reports WHERE gateway = 1 AND n = 2",
     "extra devices/iot 5 row -1 of 0 at 3\n"},
    {"INSERT INTO reports SELECT gateway, 3, topic, zeroblob(32), signature, rows, received_us,"
     " account, first_us, last_us, marks FROM reports WHERE gateway = 1 AND n = 2",
     "extra devices/iot 3 row -1 of 0 at 3\n"},
    {"UPDATE reports SET n = -2 WHERE gateway = 1 AND n = 2",
     "extra  0 row -1 of 0 at 0\nmissing devices/iot 2 row -1 of 3 at 3\n"},
    {"UPDATE reports SET topic = 'Other' WHERE gateway = 1 AND n = 2",
     "modified devices/iot 2 row -1 of 3 at 3\n"},
    {"UPDATE reports SET hash = zeroblob(32) WHERE gateway = 1 AND n = 2",
     "modified devices/iot 2 row -1 of 3 at 3\n"},
    {"UPDATE reports SET rows = 4 WHERE gateway = 1 AND n = 2",
     "modified devices/iot 2 row -1 of 3 at 3\n"},
    {"UPDATE reports SET account = x'00' WHERE gateway = 1 AND n = 2",
     "modified devices/iot 2 row -1 of 3 at 3\n"},
    /* what the chain does not cover yet */
    {"UPDATE rows SET val = 1 WHERE gateway = 1 AND n = 9",
     "modified devices/iot 9 row 0 of 1 at 0: 0\n"},
    {"UPDATE reports SET signature = zeroblob(64) WHERE gateway = 1 AND n = 9",
     "unsigned devices/iot 9 row 0 of 1 at 0\n"},
    {"UPDATE reports SET hash = zeroblob(32) WHERE gateway = 1 AND n = 9",
     "modified devices/iot 9 row -1 of 1 at 0\n"},
    {"DELETE FROM reports WHERE gateway = 1 AND n = 9", "extra devices/iot 9 row 0 of 1 at 0\n"},
    {"UPDATE rows SET val = 1 WHERE gateway = 1 AND n = 8",
     "modified devices/iot 8 row 0 of 1 at 4: 0\n"},
    {"DELETE FROM rows WHERE gateway = 1 AND n = 8",
     "modified devices/iot 8 row 0 of 0 at 4: 0-\n"},
    {"DELETE FROM rows WHERE gateway = 1 AND n = 8; DELETE FROM reports WHERE n = 8", ""},
    {"DELETE FROM totals", ""},
};

static void assert_finds_each(void **state, const struct change *list, size_t count)
{
    struct plant *plant = plant_with_history(state);
    const char *path = folder_path(state, "history.db");
    struct buf good = get_file(path);
    for (size_t i = 0; i < count; i++) {
        put_file(path, buf_bytes(&good), 0600);
        run_sql(path, list[i].sql);
        print_message("%.100s\n", list[i].sql);
        assert_finds(state, plant, list[i].want);
    }
    buf_close(&good);
    plant_free(plant);
}

static void each_change_is_found_and_named(void **state)
{
    assert_finds_each(state, changes, sizeof(changes) / sizeof(changes[0]));
}

#define VALUE     "UPDATE rows SET val = 99.5 WHERE gateway = 1 AND n = 2 AND row = 1;"
#define MARKS(to) "UPDATE reports SET marks = " to " WHERE gateway = 1 AND n = 2;"
#define ALL       "modified devices/iot 2 row -1 of 3 at 3\n"

/* What is said of rows when several are concerned, or the marks as well. */
static const struct change located[] = {
    {"UPDATE rows SET val = 99.5 WHERE gateway = 1 AND n = 2 AND row < 2",
     "modified devices/iot 2 row -1 of 3 at 3: 0 1\n"},
    {"UPDATE rows SET val = 'x' WHERE gateway = 1 AND n = 2",
     "modified devices/iot 2 row -1 of 3 at 3: 0 1 2\n"},
    {VALUE "DELETE FROM rows WHERE gateway = 1 AND n = 2 AND row = 0;"
           "INSERT INTO rows VALUES(5, 1, 2, 8, 1, 1)",
     "modified devices/iot 2 row -1 of 3 at 3: 0- 1 8+\n"},
    {"UPDATE rows SET row = row + 1 WHERE gateway = 1 AND n = 2;"
     "INSERT INTO rows VALUES(5, 1, 2, 0, 1, 1)",
     "modified devices/iot 2 row -1 of 4 at 3: 0 1 2 3+\n"},
    {"UPDATE rows SET row = 9 WHERE gateway = 1 AND n = 2 AND row = 2",
     "modified devices/iot 2 row -1 of 3 at 3: 2- 9+\n"},
    {"UPDATE rows SET row = -1 WHERE gateway = 1 AND n = 2 AND row = 0",
     "modified devices/iot 2 row -1 of 3 at 3: 0- 4294967295+\n"},
    {"UPDATE rows SET row = 1 WHERE gateway = 1 AND n = 2 AND row = 0",
     "modified devices/iot 2 row -1 of 3 at 3: 0- 1+\n"},
    /* the right one of two is told from the other, whichever comes first */
    {"INSERT INTO rows SELECT time_us - 5, gateway, n, row, item, val FROM rows"
     " WHERE gateway = 1 AND n = 2 AND row = 1",
     "modified devices/iot 2 row 1 of 4 at 3: 1+\n"},
    {"INSERT INTO rows SELECT time_us - 5, gateway, n, row, item, val FROM rows"
     " WHERE gateway = 1 AND n = 2 AND row = 1;" VALUE,
     "modified devices/iot 2 row 1 of 4 at 3: 1 1+\n"},
    {"DELETE FROM rows WHERE gateway = 1 AND n = 2 AND row <> 1",
     "modified devices/iot 2 row -1 of 1 at 3: 0- 2-\n"},
    /* who knows of the marks can hide the rows, and not that there was a change */
    {VALUE MARKS("CAST(substr(marks, 1, 4) || x'00112233' || substr(marks, 9) AS BLOB)"),
     "modified devices/iot 2 row 1 of 3 at 3: 1\n"},
    {VALUE MARKS("substr(marks, 1, 11)"), ALL},
    {VALUE MARKS("substr(marks, 1, 8)"), ALL},
    {VALUE MARKS("CAST(marks || x'00000000' AS BLOB)"), ALL},
    {VALUE MARKS("x''"), ALL},
    {VALUE MARKS("'text'"), ALL},
    {VALUE MARKS("7"), ALL},
    {"DELETE FROM rows WHERE gateway = 1 AND n = 2 AND row <> 1;" MARKS("x''"),
     "modified devices/iot 2 row -1 of 1 at 3\n"},
    {"UPDATE rows SET val = CAST(val AS TEXT) WHERE gateway = 1 AND n = 2 AND row = 1;"
     "UPDATE rows SET val = 99.5 WHERE gateway = 1 AND n = 2 AND row = 0;" MARKS("x''"),
     "modified devices/iot 2 row 1 of 3 at 3: 1\n"},
    {"UPDATE reports SET rows = 3000000, marks = zeroblob(12000000) WHERE gateway = 1 AND n = 2",
     ALL},
    /* and they make no right report wrong */
    {MARKS("zeroblob(12)"), ""},
    {MARKS("x'00'"), ""},
    {"UPDATE reports SET marks = 'text', first_us = 'x', last_us = -1", ""},
    {"UPDATE reports SET hash = zeroblob(32) WHERE gateway = 1 AND n = 2;" MARKS("zeroblob(12)"),
     ALL},
};

static void rows_that_offend_are_located_by_their_marks(void **state)
{
    assert_finds_each(state, located, sizeof(located) / sizeof(located[0]));
}

static void a_change_of_marks_as_well_hides_the_rows_and_not_the_change(void **state)
{
    struct plant *plant = plant_with_history(state);
    const char *path = folder_path(state, "history.db");
    struct row rows[ROWS];
    struct hash leaf;
    char sql[512], hex[2 * HISTORY_MARK_SIZE + 1];
    make_rows(2, rows);
    rows[1].value = BYTES_LIT("99.5");
    assert_int_equal(row_leaf(&rows[1], &leaf), 0);
    hex_encode(bytes_of(leaf.b, HISTORY_MARK_SIZE), hex);
    snprintf(sql, sizeof(sql),
             VALUE MARKS("CAST(substr(marks, 1, 4) || x'%s' || substr(marks, 9) AS BLOB)"), hex);
    run_sql(path, sql);
    assert_int_equal(ask_sql(path, "SELECT count(*) FROM reports WHERE length(marks) = 4 * rows"),
                     9);
    assert_finds(state, plant, ALL);
    run_sql(path, "UPDATE rows SET val = 98.5 WHERE gateway = 1 AND n = 2 AND row = 0");
    assert_finds(state, plant, "modified devices/iot 2 row 0 of 3 at 3: 0\n");
    plant_free(plant);
}

static void an_older_copy_of_the_history_misses_what_came_since(void **state)
{
    struct plant *plant = plant_with_history(state);
    const char *path = folder_path(state, "history.db");
    struct buf old = get_file(path);
    struct interval_leaf more[] = {leaf_for(&plant->network, GATEWAY, 8, LEAF_ACKNOWLEDGED, US),
                                   leaf_for(&plant->network, GATEWAY, 9, LEAF_ACKNOWLEDGED, US),
                                   leaf_for(&plant->network, GATEWAY, 10, LEAF_ACKNOWLEDGED, US)};
    add_data(&plant->batch, &plant->network, 3, 9, more, 3, NULL, 0);
    plant_block(plant);
    const uint64_t numbers[] = {10};
    store_reports(state, &plant->network, GATEWAY, numbers, 1);
    assert_finds(state, plant, "");
    put_file(path, buf_bytes(&old), 0600);
    assert_finds(state, plant, "missing devices/iot 10 row -1 of 0 at 5\n");
    buf_close(&old);
    plant_free(plant);
}

static void another_report_of_the_same_number_is_evidence_against_the_gateway(void **state)
{
    struct plant *plant = plant_with_history(state);
    /* what node 1 acknowledged as 3, and the chain as 6, came here otherwise, and signed */
    struct history *history;
    struct row rows[ROWS];
    struct history_report report;
    struct hash leaves[ROWS + 1], recorded;
    char why[512];
    run_sql(folder_path(state, "history.db"), "DELETE FROM rows WHERE gateway = 1 AND n = 6;"
                                              "DELETE FROM reports WHERE gateway = 1 AND n = 6");
    assert_int_equal(
        history_open(folder_path(state, "history.db"), HISTORY_WRITE, &history, why, sizeof(why)),
        0);
    assert_int_equal(history_begin(history), 0);
    for (uint64_t n = 3; n <= 6; n += 3) {
        make_report(&plant->network, GATEWAY, n, rows, &report);
        rows[0].value = BYTES_LIT("0");
        assert_int_equal(report_head_leaf(&report.head, &leaves[0]), 0);
        for (uint32_t i = 0; i < ROWS; i++)
            assert_int_equal(row_leaf(&rows[i], &leaves[i + 1]), 0);
        report_hash(leaves, ROWS + 1, &report.hash);
        report_sign(&plant->network.gateway, &plant->network.genesis.hash, &report.hash,
                    &report.signature);
        assert_int_equal(history_add(history, &report, &recorded), 0);
    }
    assert_int_equal(history_commit(history), 0);
    history_close(history);
    assert_finds(state, plant,
                 "conflicting devices/iot 3 row -1 of 3 at 3\n"
                 "conflicting devices/iot 6 row -1 of 3 at 4\n");
    plant_free(plant);
}

static void what_another_node_acknowledged_is_fine_here_and_not_missed(void **state)
{
    struct plant *plant = plant_with_history(state);
    const uint64_t numbers[] = {3};
    store_reports(state, &plant->network, GATEWAY, numbers, 1);
    assert_finds(state, plant, "");
    run_sql(folder_path(state, "history.db"), "UPDATE rows SET val = 7 WHERE n = 3 AND row = 0");
    assert_finds(state, plant, "modified devices/iot 3 row 0 of 3 at 3: 0\n");
    plant_free(plant);
}

static void the_same_history_is_another_matter_for_another_node(void **state)
{
    struct plant *plant = plant_with_history(state);
    struct audit_options options = {.node = "broker/001"};
    struct audit_totals totals;
    struct seen seen;
    char why[512];
    assert_int_equal(run(state, plant, &options, &totals, &seen, why), 0);
    assert_string_equal(buf_cstr(&seen.text), "missing devices/iot 3 row -1 of 0 at 3\n");
    assert_int_equal(totals.reports[AUDIT_VERIFIED], 7);
    buf_close(&seen.text);
    plant_free(plant);
}

static void one_gateway_can_be_audited_alone(void **state)
{
    struct plant *plant = plant_with_history(state);
    run_sql(
        folder_path(state, "history.db"),
        "UPDATE rows SET val = 7 WHERE n = 2 AND row = 0; UPDATE reports SET n = -1 WHERE n = 7");
    struct audit_options options = {.gateway = BYTES_LIT(TWO)};
    struct audit_totals totals;
    struct seen seen;
    char why[512];
    assert_int_equal(run(state, plant, &options, &totals, &seen, why), 0);
    assert_string_equal(buf_cstr(&seen.text), "modified devices/two 2 row 0 of 3 at 4: 0\n");
    assert_int_equal(totals.reports[AUDIT_VERIFIED], 1);
    assert_int_equal(seen.progress, 2);
    buf_close(&seen.text);
    plant_free(plant);
}

static void an_altered_chain_is_refused(void **state)
{
    static const char *const sql[] = {
        "DELETE FROM headers WHERE height = 3",
        "UPDATE headers SET certificate = x'00' WHERE height = 3",
        "UPDATE intervals SET to_n = to_n - 1 WHERE from_n = 1",
        "DELETE FROM resolved",
    };
    struct plant *plant = plant_with_history(state);
    const char *path = folder_path(state, "blocks.db");
    block_store_close(plant->store);
    plant->store = NULL;
    struct buf good = get_file(path);
    for (size_t i = 0; i < sizeof(sql) / sizeof(sql[0]); i++) {
        struct audit_options options = {0};
        struct audit_totals totals;
        struct seen seen;
        char why[512];
        put_file(path, buf_bytes(&good), 0600);
        run_sql(path, sql[i]);
        assert_int_equal(run(state, plant, &options, &totals, &seen, why), SEALMQ_E_CORRUPT);
        assert_non_null(strstr(why, path));
        assert_int_equal(seen.text.n, 0);
    }
    buf_close(&good);
    plant_free(plant);
}

static int run_against(void **state, struct plant *plant, const struct buf *note, char why[512])
{
    struct audit_options options = {.checkpoint = buf_bytes(note)};
    struct audit_totals totals;
    struct seen seen;
    int error = run(state, plant, &options, &totals, &seen, why);
    buf_close(&seen.text);
    return error;
}

static void a_checkpoint_tells_an_older_copy_of_everything_from_the_current_one(void **state)
{
    struct plant *plant = plant_with_history(state);
    struct buf older = {0}, current = {0};
    char why[512];
    const char *path = folder_path(state, "blocks.db");
    plant_checkpoint(plant, &older);
    block_store_close(plant->store);
    struct buf old = get_file(path);
    plant->store = plant_open(plant, BLOCK_STORE_WRITE);
    plant_block(plant);
    plant_checkpoint(plant, &current);
    assert_int_equal(run_against(state, plant, &older, why), 0);
    assert_int_equal(run_against(state, plant, &current, why), 0);
    block_store_close(plant->store);
    plant->store = NULL;
    put_file(path, buf_bytes(&old), 0600);
    assert_int_equal(run_against(state, plant, &older, why), 0);
    assert_int_equal(run_against(state, plant, &current, why), SEALMQ_E_CORRUPT);
    assert_non_null(strstr(why, "ends at height 4, but the checkpoint covers height 5"));
    current.p[current.n - 10] ^= 1;
    assert_int_not_equal(run_against(state, plant, &current, why), 0);
    assert_non_null(strstr(why, "not one of this network's validators"));
    buf_close(&older);
    buf_close(&current);
    buf_close(&old);
    plant_free(plant);
}

static void a_checkpoint_of_another_chain_is_refused(void **state)
{
    struct plant *plant = plant_with_history(state);
    struct buf note = {0};
    char why[512];
    /* the validators sign a fork: the same height with another block */
    struct chain *chain = plant->chain;
    assert_int_equal(chain_new(&plant->network.genesis, &plant->chain), 0);
    struct batch batch = {0};
    assert_int_equal(append_batch(plant->chain, &batch), 0);
    plant_checkpoint(plant, &note);
    chain_free(plant->chain);
    plant->chain = chain;
    assert_int_equal(run_against(state, plant, &note, why), SEALMQ_E_CORRUPT);
    assert_non_null(strstr(why, "other blocks than the checkpoint"));
    buf_close(&note);
    plant_free(plant);
}

static void a_damaged_history_ends_the_audit_with_its_name(void **state)
{
    struct plant *plant = plant_with_history(state);
    const char *path = folder_path(state, "history.db");
    struct buf bad = get_file(path);
    unsigned refused = 0;
    struct buf good = get_file(path);
    for (size_t page = 1; page < good.n / 4096; page++) {
        memcpy(bad.p, good.p, good.n);
        memset(bad.p + page * 4096, 0x5a, 4096);
        put_file(path, buf_bytes(&bad), 0600);
        struct audit_options options = {0};
        struct audit_totals totals;
        struct seen seen;
        char why[512];
        int error = run(state, plant, &options, &totals, &seen, why);
        assert_true(error == 0 || error == SEALMQ_E_CORRUPT);
        if (error != 0)
            assert_non_null(strstr(why, path));
        refused += error != 0;
        buf_close(&seen.text);
    }
    assert_true(refused >= 3);
    buf_close(&good);
    buf_close(&bad);
    plant_free(plant);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)
    const struct CMUnitTest tests[] = {
        T(an_untouched_history_is_verified),
        T(each_change_is_found_and_named),
        T(rows_that_offend_are_located_by_their_marks),
        T(a_change_of_marks_as_well_hides_the_rows_and_not_the_change),
        T(an_older_copy_of_the_history_misses_what_came_since),
        T(another_report_of_the_same_number_is_evidence_against_the_gateway),
        T(what_another_node_acknowledged_is_fine_here_and_not_missed),
        T(the_same_history_is_another_matter_for_another_node),
        T(one_gateway_can_be_audited_alone),
        T(an_altered_chain_is_refused),
        T(a_checkpoint_tells_an_older_copy_of_everything_from_the_current_one),
        T(a_checkpoint_of_another_chain_is_refused),
        T(a_damaged_history_ends_the_audit_with_its_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
