#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/text.h"
#include "folder.h"
#include "store/history.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define GATEWAY BYTES_LIT("devices/iot")
#define OTHER   BYTES_LIT("devices/abc")
#define TIME_US INT64_C(1594046911000000)

static struct history *open_history(void **state, enum history_mode mode)
{
    struct history *history;
    char why[512] = "";
    int error = history_open(folder_path(state, "history.db"), mode, &history, why, sizeof(why));
    if (error != 0)
        fail_msg("%s", why);
    return history;
}

static struct row row_of(const char *name, enum datatype type, const char *value, int64_t time_us)
{
    return (struct row){.device = BYTES_LIT("D1"),
                        .service = BYTES_LIT("CS"),
                        .name = bytes_str(name),
                        .unit = BYTES_LIT("C"),
                        .value = bytes_str(value),
                        .type = type,
                        .time_us = time_us};
}

static struct history_report report_of(struct bytes gateway, uint64_t n, const struct row *rows,
                                       uint32_t count)
{
    struct history_report report = {
        .head = {.gateway = gateway, .topic = BYTES_LIT("RealTime"), .n = n, .rows = count},
        .account = BYTES_LIT("operator"),
        .received_us = TIME_US + 5,
        .rows = rows};
    hash_sha256(bytes_of(&n, sizeof(n)), &report.hash);
    memset(report.signature.b, (int)n, SIGNATURE_SIZE);
    return report;
}

static int add(struct history *history, struct bytes gateway, uint64_t n, const struct row *rows,
               uint32_t count)
{
    struct history_report report = report_of(gateway, n, rows, count);
    struct hash recorded;
    return history_add(history, &report, &recorded);
}

static int print_report(void *context, struct bytes gateway, uint64_t n,
                        const struct history_stored *stored, const struct history_stored_row *rows,
                        size_t row_count)
{
    struct buf *out = context;
    buf_printf(out, "%.*s %llu", (int)gateway.n, gateway.n == 0 ? "" : (const char *)gateway.p,
               (unsigned long long)n);
    if (stored == NULL)
        buf_printf(out, " none");
    else
        buf_printf(out, " %.*s %u%s", (int)stored->head.topic.n, (const char *)stored->head.topic.p,
                   stored->head.rows, stored->is_damaged ? "!" : "");
    for (size_t i = 0; i < row_count; i++)
        buf_printf(out, " %u:%.*s/%s/%.*s=%.*s%s", rows[i].number, (int)rows[i].row.device.n,
                   (const char *)rows[i].row.device.p, datatype_name(rows[i].row.type),
                   (int)rows[i].row.name.n, (const char *)rows[i].row.name.p,
                   (int)rows[i].row.value.n,
                   rows[i].row.value.n == 0 ? "" : (const char *)rows[i].row.value.p,
                   rows[i].is_damaged ? "!" : "");
    buf_append_cstr(out, "\n");
    return 0;
}

static void assert_reads(struct history *history, struct bytes gateway, uint64_t from, uint64_t to,
                         const char *want)
{
    struct buf text = {0};
    assert_int_equal(history_each(history, gateway, from, to, print_report, &text), 0);
    assert_string_equal(buf_cstr(&text), want);
    buf_close(&text);
}

static void reports_come_back_in_order_with_all_they_had(void **state)
{
    struct history *history = open_history(state, HISTORY_WRITE);
    struct row rows[] = {row_of("b", DATATYPE_DOUBLE, "36.5", TIME_US + 9),
                         row_of("a", DATATYPE_STRING, "", TIME_US),
                         row_of("a", DATATYPE_BOOL, "true", TIME_US + 4)};
    assert_int_equal(history_begin(history), 0);
    assert_int_equal(add(history, GATEWAY, 2, rows, 3), 0);
    assert_int_equal(add(history, GATEWAY, 1, rows, 1), 0);
    assert_int_equal(add(history, OTHER, 7, rows, 2), 0);
    assert_int_equal(add(history, GATEWAY, 3, NULL, 0), 0);
    assert_int_equal(history_commit(history), 0);
    const char *all =
        "devices/abc 7 RealTime 2 0:D1/double/b=36.5 1:D1/string/a=\n"
        "devices/iot 1 RealTime 1 0:D1/double/b=36.5\n"
        "devices/iot 2 RealTime 3 0:D1/double/b=36.5 1:D1/string/a= 2:D1/bool/a=true\n"
        "devices/iot 3 RealTime 0\n";
    assert_reads(history, (struct bytes){0}, 0, UINT64_MAX, all);
    history_close(history);
    history = open_history(state, HISTORY_READ);
    assert_reads(history, (struct bytes){0}, 0, UINT64_MAX, all);
    assert_reads(history, GATEWAY, 1, 1, "devices/iot 1 RealTime 1 0:D1/double/b=36.5\n");
    assert_reads(history, GATEWAY, 3, INT64_MAX, "devices/iot 3 RealTime 0\n");
    assert_reads(history, BYTES_LIT("devices/nobody"), 0, UINT64_MAX, "");
    assert_reads(history, GATEWAY, UINT64_MAX, UINT64_MAX, "");
    history_close(history);
}

static int keep_stored(void *context, struct bytes gateway, uint64_t n,
                       const struct history_stored *stored, const struct history_stored_row *rows,
                       size_t row_count)
{
    struct history_report want = report_of(GATEWAY, 5, NULL, 1);
    assert_true(bytes_equal(gateway, GATEWAY) && n == 5 && row_count == 1);
    assert_true(bytes_equal(stored->head.gateway, GATEWAY) && stored->head.n == 5);
    assert_memory_equal(&stored->hash, &want.hash, HASH_SIZE);
    assert_memory_equal(&stored->signature, &want.signature, SIGNATURE_SIZE);
    assert_true(bytes_equal(stored->account, want.account));
    assert_int_equal(stored->received_us, want.received_us);
    assert_int_equal(rows[0].row.time_us, TIME_US);
    ++*(int *)context;
    return SEALMQ_E_NOTFOUND; /* the caller's own, whichever it is */
}

static void the_callback_gets_hash_signature_and_times_and_may_stop(void **state)
{
    struct history *history = open_history(state, HISTORY_WRITE);
    struct row row = row_of("a", DATATYPE_INT, "1", TIME_US);
    assert_int_equal(add(history, GATEWAY, 5, &row, 1), 0);
    assert_int_equal(add(history, GATEWAY, 6, &row, 1), 0);
    int calls = 0;
    assert_int_equal(history_each(history, (struct bytes){0}, 0, UINT64_MAX, keep_stored, &calls),
                     SEALMQ_E_NOTFOUND);
    assert_int_equal(calls, 1);
    history_close(history);
}

static void values_come_back_byte_by_byte_whatever_they_are_stored_as(void **state)
{
    static const struct {
        enum datatype type;
        const char *text, *stored;
    } cases[] = {
        {DATATYPE_INT, "0", "integer"},
        {DATATYPE_INT, "-9223372036854775808", "integer"},
        {DATATYPE_INT, "9223372036854775807", "integer"},
        {DATATYPE_INT, "007", "text"},
        {DATATYPE_INT, "-0", "text"},
        {DATATYPE_DOUBLE, "36", "integer"},
        {DATATYPE_DOUBLE, "36.0", "real"},
        {DATATYPE_DOUBLE, "36.00", "text"},
        {DATATYPE_DOUBLE, "0.1", "real"},
        {DATATYPE_DOUBLE, "0.30000000000000004", "real"},
        {DATATYPE_DOUBLE, "0.3000000000000000400", "text"},
        {DATATYPE_DOUBLE, "-0.0", "text"},
        {DATATYPE_DOUBLE, "1e3", "text"},
        {DATATYPE_DOUBLE, "1e+20", "real"},
        {DATATYPE_DOUBLE, "1E+20", "text"},
        {DATATYPE_DOUBLE, "1.7976931348623157e+308", "real"},
        {DATATYPE_DOUBLE, "5e-324", "text"},
        {DATATYPE_DOUBLE, "4.94065645841247e-324", "real"},
        {DATATYPE_DOUBLE, "1e-400", "text"},
        {DATATYPE_DOUBLE, "9007199254740993", "integer"},
        {DATATYPE_DOUBLE, "9223372036854775808", "text"},
        {DATATYPE_DOUBLE, "123456789012345678901234567890123456789", "text"},
        {DATATYPE_BOOL, "true", "text"},
        {DATATYPE_BOOL, "false", "text"},
        {DATATYPE_STRING, "", "text"},
        {DATATYPE_STRING, "36", "text"},
        {DATATYPE_STRING, "36.5", "text"},
        {DATATYPE_STRING, "x'00'; DROP TABLE rows", "text"},
        {DATATYPE_STRING, "\xc3\xa9\xe2\x82\xac", "text"},
    };
    const size_t count = sizeof(cases) / sizeof(cases[0]);
    struct history *history = open_history(state, HISTORY_WRITE);
    struct buf want = {0};
    for (size_t i = 0; i < count; i++) {
        struct row row = row_of("v", cases[i].type, cases[i].text, TIME_US);
        assert_int_equal(add(history, GATEWAY, i + 1, &row, 1), 0);
        buf_printf(&want, "devices/iot %zu RealTime 1 0:D1/%s/v=%s\n", i + 1,
                   datatype_name(cases[i].type), cases[i].text);
    }
    assert_reads(history, GATEWAY, 0, UINT64_MAX, buf_cstr(&want));
    history_close(history);
    for (size_t i = 0; i < count; i++) {
        char sql[128];
        snprintf(sql, sizeof(sql), "SELECT typeof(val) = '%s' FROM rows WHERE n = %zu",
                 cases[i].stored, i + 1);
        if (ask_sql(folder_path(state, "history.db"), sql) != 1)
            fail_msg("'%s' is not stored as %s", cases[i].text, cases[i].stored);
    }
    buf_close(&want);
}

static void the_same_report_exists_and_another_one_conflicts_in_one_batch_too(void **state)
{
    struct history *history = open_history(state, HISTORY_WRITE);
    struct row row = row_of("a", DATATYPE_INT, "1", TIME_US);
    struct history_report report = report_of(GATEWAY, 5, &row, 1), other = report;
    struct hash recorded;
    other.hash.b[0] ^= 1;
    for (int round = 0; round < 3; round++) {
        assert_int_equal(history_begin(history), 0);
        assert_int_equal(history_add(history, &report, &recorded),
                         round == 0 ? 0 : SEALMQ_E_EXISTS);
        assert_int_equal(history_add(history, &report, &recorded), SEALMQ_E_EXISTS);
        assert_int_equal(history_add(history, &other, &recorded), SEALMQ_E_CONFLICT);
        assert_true(hash_equal(&recorded, &report.hash));
        report.head.gateway = OTHER; /* the same number of another gateway is another report */
        if (round == 1)
            assert_int_equal(history_add(history, &report, &recorded), 0);
        report.head.gateway = GATEWAY;
        assert_int_equal(history_commit(history), 0);
        if (round == 0) {
            history_close(history);
            history = open_history(state, HISTORY_WRITE);
        }
    }
    uint64_t reports, rows;
    assert_int_equal(history_totals(history, &reports, &rows), 0);
    assert_int_equal(reports, 2);
    assert_int_equal(rows, 2);
    history_close(history);
}

static void totals_count_what_is_committed_and_what_the_batch_adds(void **state)
{
    struct history *history = open_history(state, HISTORY_WRITE);
    struct row rows[] = {row_of("a", DATATYPE_INT, "1", TIME_US),
                         row_of("b", DATATYPE_INT, "1", TIME_US)};
    uint64_t report_count, row_count;
    assert_int_equal(history_begin(history), 0);
    assert_int_equal(add(history, GATEWAY, 1, rows, 2), 0);
    assert_int_equal(history_commit(history), 0);
    assert_int_equal(history_begin(history), 0);
    assert_int_equal(add(history, GATEWAY, 2, rows, 1), 0);
    assert_int_equal(history_totals(history, &report_count, &row_count), 0);
    assert_int_equal(report_count, 2);
    assert_int_equal(row_count, 3);
    history_rollback(history);
    assert_int_equal(history_totals(history, &report_count, &row_count), 0);
    assert_int_equal(report_count, 1);
    assert_int_equal(row_count, 2);
    history_close(history);
}

static void a_rolled_back_batch_leaves_nothing_and_its_names_can_come_again(void **state)
{
    struct history *history = open_history(state, HISTORY_WRITE);
    struct row row = row_of("a", DATATYPE_INT, "1", TIME_US);
    assert_int_equal(history_begin(history), 0);
    assert_int_equal(add(history, GATEWAY, 1, &row, 1), 0);
    history_rollback(history);
    assert_reads(history, (struct bytes){0}, 0, UINT64_MAX, "");
    assert_int_equal(history_begin(history), 0);
    assert_int_equal(add(history, OTHER, 1, &row, 1), 0);
    assert_int_equal(add(history, GATEWAY, 1, &row, 1), 0);
    assert_int_equal(history_commit(history), 0);
    assert_reads(history, (struct bytes){0}, 0, UINT64_MAX,
                 "devices/abc 1 RealTime 1 0:D1/int/a=1\ndevices/iot 1 RealTime 1 0:D1/int/a=1\n");
    history_close(history);
}

static void what_could_not_be_read_again_is_refused_and_voids_nothing(void **state)
{
    struct history *history = open_history(state, HISTORY_WRITE);
    static char long_text[VALUE_MAX_BYTES + 2];
    memset(long_text, 'x', sizeof(long_text) - 1);
    struct row good = row_of("a", DATATYPE_INT, "1", TIME_US), bad;
    assert_int_equal(history_begin(history), 0);
    assert_int_equal(add(history, GATEWAY, 1, &good, 1), 0);
    assert_int_equal(add(history, GATEWAY, 0, &good, 1), SEALMQ_E_ARG);
    assert_int_equal(add(history, GATEWAY, (uint64_t)INT64_MAX + 1, &good, 1), SEALMQ_E_ARG);
    assert_int_equal(add(history, BYTES_LIT("nobody"), 1, &good, 1), SEALMQ_E_ARG);
    bad = row_of("a", DATATYPE_STRING, long_text, TIME_US);
    assert_int_equal(add(history, GATEWAY, 2, &bad, 1), SEALMQ_E_LIMIT);
    bad = row_of("a", DATATYPE_INT, "one", TIME_US);
    assert_int_equal(add(history, GATEWAY, 2, &bad, 1), SEALMQ_E_TYPE);
    bad = row_of("a/b", DATATYPE_INT, "1", TIME_US);
    assert_int_equal(add(history, GATEWAY, 2, &bad, 1), SEALMQ_E_PARSE);
    bad = row_of("a", DATATYPE_INT, "1", -1);
    assert_int_not_equal(add(history, GATEWAY, 2, &bad, 1), 0);
    struct history_report big = report_of(GATEWAY, 2, NULL, REPORT_ROWS_MAX + 1);
    struct hash recorded;
    assert_int_equal(history_add(history, &big, &recorded), SEALMQ_E_LIMIT);
    assert_int_equal(history_commit(history), 0);
    assert_reads(history, (struct bytes){0}, 0, UINT64_MAX,
                 "devices/iot 1 RealTime 1 0:D1/int/a=1\n");
    history_close(history);
}

static void readings_are_for_people(void **state)
{
    struct history *history = open_history(state, HISTORY_WRITE);
    struct row rows[] = {row_of("a", DATATYPE_DOUBLE, "36.5", TIME_US + 250)};
    assert_int_equal(add(history, GATEWAY, 3, rows, 1), 0);
    history_close(history);
    assert_int_equal(
        ask_sql(folder_path(state, "history.db"),
                "SELECT count(*) FROM readings WHERE time = '2020-07-06T14:48:31.000250Z' AND"
                " gateway = 'devices/iot' AND device = 'D1' AND service = 'CS' AND item = 'a' AND"
                " value > 36 AND value < 37 AND unit = 'C' AND datatype = 'double' AND"
                " report_n = 3 AND row = 0 AND time_us = 1594046911000250"),
        1);
}

static void three_good_reports(void **state)
{
    struct history *history = open_history(state, HISTORY_WRITE);
    struct row rows[] = {row_of("a", DATATYPE_INT, "1", TIME_US),
                         row_of("b", DATATYPE_INT, "2", TIME_US)};
    assert_int_equal(history_begin(history), 0);
    for (uint64_t n = 1; n <= 3; n++)
        assert_int_equal(add(history, GATEWAY, n, rows, 2), 0);
    assert_int_equal(history_commit(history), 0);
    history_close(history);
}

#define ONE   "devices/iot 1 RealTime 2 0:D1/int/a=1 1:D1/int/b=2\n"
#define TWO   "devices/iot 2 RealTime 2 0:D1/int/a=1 1:D1/int/b=2\n"
#define THREE "devices/iot 3 RealTime 2 0:D1/int/a=1 1:D1/int/b=2\n"

static void what_was_changed_behind_us_is_read_as_it_is(void **state)
{
    static const struct {
        const char *sql, *want;
    } cases[] = {
        {"DELETE FROM reports WHERE n = 2",
         ONE "devices/iot 2 none 0:D1/int/a=1 1:D1/int/b=2\n" THREE},
        {"DELETE FROM rows WHERE n = 2", ONE "devices/iot 2 RealTime 2\n" THREE},
        {"UPDATE rows SET val = '1' WHERE n = 2 AND row = 0",
         ONE "devices/iot 2 RealTime 2 0:D1/int/a=1! 1:D1/int/b=2\n" THREE},
        {"UPDATE rows SET val = x'31' WHERE n = 2 AND row = 0",
         ONE "devices/iot 2 RealTime 2 0:D1/int/a=1! 1:D1/int/b=2\n" THREE},
        {"UPDATE rows SET val = NULL WHERE n = 2 AND row = 0",
         ONE "devices/iot 2 RealTime 2 0:D1/int/a=! 1:D1/int/b=2\n" THREE},
        {"UPDATE rows SET val = 1.0 WHERE n = 2 AND row = 0",
         ONE "devices/iot 2 RealTime 2 0:D1/int/a=1.0 1:D1/int/b=2\n" THREE},
        {"UPDATE rows SET item = 99 WHERE n = 2 AND row = 0",
         ONE "devices/iot 2 RealTime 2 0:/string/=1! 1:D1/int/b=2\n" THREE},
        {"UPDATE rows SET item = 'x' WHERE n = 2 AND row = 0",
         ONE "devices/iot 2 RealTime 2 0:/string/=1! 1:D1/int/b=2\n" THREE},
        {"UPDATE rows SET time_us = 'x' WHERE n = 2 AND row = 0",
         ONE "devices/iot 2 RealTime 2 0:D1/int/a=1! 1:D1/int/b=2\n" THREE},
        {"UPDATE rows SET row = -1 WHERE n = 2 AND row = 0",
         ONE "devices/iot 2 RealTime 2 1:D1/int/b=2 4294967295:D1/int/a=1!\n" THREE},
        {"UPDATE rows SET row = 7 WHERE n = 2 AND row = 0",
         ONE "devices/iot 2 RealTime 2 1:D1/int/b=2 7:D1/int/a=1\n" THREE},
        {"UPDATE rows SET n = 'x' WHERE n = 2 AND row = 0",
         " 0 none 0:D1/int/a=1\n" ONE "devices/iot 2 RealTime 2 1:D1/int/b=2\n" THREE},
        {"UPDATE rows SET gateway = 99 WHERE n = 2 AND row = 0",
         " 0 none 0:D1/int/a=1\n" ONE "devices/iot 2 RealTime 2 1:D1/int/b=2\n" THREE},
        {"UPDATE reports SET gateway = 99 WHERE n = 2",
         " 0 RealTime 2\n" ONE "devices/iot 2 none 0:D1/int/a=1 1:D1/int/b=2\n" THREE},
        {"UPDATE reports SET n = -2 WHERE n = 2",
         " 0 RealTime 2\n" ONE "devices/iot 2 none 0:D1/int/a=1 1:D1/int/b=2\n" THREE},
        {"UPDATE reports SET hash = 'x' WHERE n = 2",
         ONE "devices/iot 2 RealTime 2! 0:D1/int/a=1 1:D1/int/b=2\n" THREE},
        {"UPDATE reports SET rows = -1, topic = 5 WHERE n = 2",
         ONE "devices/iot 2 5 0! 0:D1/int/a=1 1:D1/int/b=2\n" THREE},
        {"UPDATE reports SET signature = zeroblob(63) WHERE n = 2",
         ONE "devices/iot 2 RealTime 2! 0:D1/int/a=1 1:D1/int/b=2\n" THREE},
        {"UPDATE items SET datatype = 'float' WHERE name = 'b';"
         "DELETE FROM rows WHERE n <> 2; DELETE FROM reports WHERE n <> 2",
         "devices/iot 2 RealTime 2 0:D1/int/a=1 1:D1/string/b=2!\n"},
        {"UPDATE items SET device = x'4431' WHERE name = 'b';"
         "DELETE FROM rows WHERE n <> 2; DELETE FROM reports WHERE n <> 2",
         "devices/iot 2 RealTime 2 0:D1/int/a=1 1:/int/b=2!\n"},
        {"UPDATE gateways SET name = x'41'",
         " 0 RealTime 2\n 0 RealTime 2\n 0 RealTime 2\n 0 none 0:D1/int/a=1\n 0 none "
         "1:D1/int/b=2\n 0 none 0:D1/int/a=1\n 0 none 1:D1/int/b=2\n 0 none 0:D1/int/a=1\n 0 none "
         "1:D1/int/b=2\n"},
        {"DELETE FROM totals", ONE TWO THREE},
    };
    const char *path = folder_path(state, "history.db");
    three_good_reports(state);
    struct buf good = get_file(path);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        put_file(path, buf_bytes(&good), 0600);
        run_sql(path, cases[i].sql);
        struct history *history = open_history(state, HISTORY_READ);
        print_message("%s\n", cases[i].sql);
        assert_reads(history, (struct bytes){0}, 0, UINT64_MAX, cases[i].want);
        history_close(history);
    }
    buf_close(&good);
}

static void strays_are_not_given_when_not_all_is_asked_for(void **state)
{
    three_good_reports(state);
    run_sql(
        folder_path(state, "history.db"),
        "UPDATE rows SET gateway = 99 WHERE n = 2; UPDATE reports SET gateway = 99 WHERE n = 2");
    struct history *history = open_history(state, HISTORY_READ);
    assert_reads(history, (struct bytes){0}, 1, UINT64_MAX, ONE THREE);
    assert_reads(history, GATEWAY, 0, UINT64_MAX, ONE THREE);
    history_close(history);
}

static void assert_finds(struct history *history, struct bytes gateway, uint64_t from, uint64_t to,
                         const char *want)
{
    struct buf text = {0};
    assert_int_equal(history_find(history, gateway, from, to, print_report, &text), 0);
    const char *got = buf_cstr(&text);
    assert_string_equal(got == NULL ? "" : got, want);
    buf_close(&text);
}

static void few_reports_are_found_as_in_a_pass_over_all(void **state)
{
    struct history *history = open_history(state, HISTORY_WRITE);
    struct row rows[] = {row_of("b", DATATYPE_DOUBLE, "36.5", TIME_US + 9),
                         row_of("a", DATATYPE_STRING, "", TIME_US),
                         row_of("a", DATATYPE_BOOL, "true", TIME_US + 40000000)};
    assert_int_equal(history_begin(history), 0);
    for (uint64_t n = 1; n <= 9; n++) {
        assert_int_equal(add(history, GATEWAY, n, rows, (uint32_t)n % 4), 0);
        assert_int_equal(add(history, OTHER, n, rows, 3), 0);
        rows[1].time_us += 7;
    }
    assert_int_equal(history_commit(history), 0);
    for (uint64_t from = 0; from <= 10; from++) {
        struct buf text = {0};
        assert_int_equal(history_each(history, GATEWAY, from, 6, print_report, &text), 0);
        assert_finds(history, GATEWAY, from, 6, text.n == 0 ? "" : buf_cstr(&text));
        buf_close(&text);
    }
    assert_finds(history, GATEWAY, 5, 5, "devices/iot 5 RealTime 1 0:D1/double/b=36.5\n");
    assert_finds(history, GATEWAY, 9, UINT64_MAX, "devices/iot 9 RealTime 1 0:D1/double/b=36.5\n");
    assert_finds(history, GATEWAY, UINT64_MAX, UINT64_MAX, "");
    assert_finds(history, BYTES_LIT("devices/nobody"), 0, UINT64_MAX, "");
    assert_finds(history, (struct bytes){0}, 0, UINT64_MAX, "");
    history_close(history);
}

static void rows_are_found_whatever_the_times_kept_with_their_report_say(void **state)
{
    static const struct {
        const char *sql, *want;
    } cases[] = {
        {"UPDATE reports SET first_us = 0, last_us = 0", TWO},
        {"UPDATE reports SET first_us = 'x', last_us = x'00'", TWO},
        {"UPDATE reports SET first_us = 0, last_us = 9223372036854775807", TWO},
        {"UPDATE reports SET last_us = first_us - 1", TWO},
        {"UPDATE rows SET time_us = 5 WHERE n = 2 AND row = 1", TWO},
        {"DELETE FROM rows WHERE n = 2 AND row = 1", "devices/iot 2 RealTime 2 0:D1/int/a=1\n"},
        {"DELETE FROM rows", "devices/iot 2 RealTime 2\n"},
        {"DELETE FROM reports WHERE n = 2", ""},
        {"UPDATE reports SET rows = 3", "devices/iot 2 RealTime 3 0:D1/int/a=1 1:D1/int/b=2\n"},
    };
    const char *path = folder_path(state, "history.db");
    three_good_reports(state);
    struct buf good = get_file(path);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        put_file(path, buf_bytes(&good), 0600);
        run_sql(path, cases[i].sql);
        struct history *history = open_history(state, HISTORY_READ);
        print_message("%s\n", cases[i].sql);
        assert_finds(history, GATEWAY, 2, 2, cases[i].want);
        history_close(history);
    }
    buf_close(&good);
}

static void marks_are_the_beginnings_of_the_rows_leaves(void **state)
{
    struct history *history = open_history(state, HISTORY_WRITE);
    struct row rows[] = {row_of("b", DATATYPE_DOUBLE, "36.5", TIME_US + 9),
                         row_of("a", DATATYPE_STRING, "", TIME_US)};
    char hex[2][2 * HISTORY_MARK_SIZE + 1], sql[256];
    assert_int_equal(add(history, GATEWAY, 1, NULL, 0), 0);
    assert_int_equal(add(history, GATEWAY, 2, rows, 2), 0);
    history_close(history);
    for (size_t i = 0; i < 2; i++) {
        struct hash leaf;
        assert_int_equal(row_leaf(&rows[i], &leaf), 0);
        hex_encode(bytes_of(leaf.b, HISTORY_MARK_SIZE), hex[i]);
    }
    snprintf(sql, sizeof(sql),
             "SELECT count(*) FROM reports WHERE (n = 1 AND marks = x'') OR (n = 2 AND marks ="
             " x'%s%s' AND first_us = 1594046911000000 AND last_us = 1594046911000009)",
             hex[0], hex[1]);
    assert_int_equal(ask_sql(folder_path(state, "history.db"), sql), 2);
}

static int count_rows(void *context, struct bytes gateway, uint64_t n,
                      const struct history_stored *stored, const struct history_stored_row *rows,
                      size_t row_count)
{
    (void)gateway, (void)n, (void)stored, (void)rows;
    *(size_t *)context += row_count;
    return 0;
}

static void more_rows_than_a_report_can_have_are_cut(void **state)
{
    three_good_reports(state);
    run_sql(folder_path(state, "history.db"),
            "WITH RECURSIVE c(i) AS (SELECT 2 UNION ALL SELECT i + 1 FROM c WHERE i < 70000)"
            " INSERT INTO rows SELECT 5, 1, 2, i, 1, 1 FROM c");
    struct history *history = open_history(state, HISTORY_READ);
    size_t count = 0;
    assert_int_equal(history_each(history, GATEWAY, 2, 2, count_rows, &count), 0);
    assert_int_equal(count, REPORT_ROWS_MAX + 1);
    history_close(history);
    run_sql(folder_path(state, "history.db"), "UPDATE reports SET first_us = 0");
    history = open_history(state, HISTORY_READ);
    count = 0;
    assert_int_equal(history_find(history, GATEWAY, 2, 2, count_rows, &count), 0);
    assert_int_equal(count, REPORT_ROWS_MAX + 1);
    history_close(history);
}

static void a_long_value_is_cut_after_one_byte_too_many(void **state)
{
    three_good_reports(state);
    run_sql(folder_path(state, "history.db"),
            "UPDATE rows SET val = hex(zeroblob(1000000)) WHERE n = 2 AND row = 0;"
            "DELETE FROM rows WHERE row = 1; DELETE FROM reports WHERE n <> 2;"
            "DELETE FROM rows WHERE n <> 2");
    struct history *history = open_history(state, HISTORY_READ);
    struct buf text = {0};
    assert_int_equal(history_each(history, GATEWAY, 2, 2, print_report, &text), 0);
    assert_in_range(text.n, VALUE_MAX_BYTES + 1, VALUE_MAX_BYTES + 100);
    buf_close(&text);
    history_close(history);
}

static void a_reader_sees_what_was_committed_while_the_writer_goes_on(void **state)
{
    struct history *history = open_history(state, HISTORY_WRITE);
    struct row rows[] = {row_of("a", DATATYPE_INT, "1", TIME_US),
                         row_of("b", DATATYPE_INT, "2", TIME_US)};
    assert_int_equal(add(history, GATEWAY, 1, rows, 2), 0);
    assert_int_equal(history_begin(history), 0);
    assert_int_equal(add(history, GATEWAY, 2, rows, 2), 0);
    struct history *reader = open_history(state, HISTORY_READ);
    assert_reads(reader, (struct bytes){0}, 0, UINT64_MAX, ONE);
    assert_int_equal(history_commit(history), 0);
    assert_reads(reader, (struct bytes){0}, 0, UINT64_MAX, ONE TWO);
    assert_int_not_equal(add(reader, GATEWAY, 3, rows, 2), 0);
    history_close(reader);
    history_close(history);
}

/* In a process of its own that the modes of files hold for, even when the test runs as root. */
static int read_as_nobody(const char *path, int want, const char *words)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        if (geteuid() == 0 && (setgid(65534) != 0 || setuid(65534) != 0))
            _exit(2);
        char why[512] = "";
        struct history *history;
        struct buf text = {0};
        int error = history_open(path, HISTORY_READ, &history, why, sizeof(why));
        if (error == 0) {
            error = history_each(history, (struct bytes){0}, 0, UINT64_MAX, print_report, &text);
            history_close(history);
        }
        const char *said = error == 0 ? buf_cstr(&text) : why;
        bool is_right = error == want && said != NULL && strstr(said, words) != NULL;
        if (!is_right)
            print_error("%d: %s\n", error, said);
        buf_close(&text);
        _exit(is_right ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    return status;
}

static void a_copy_without_its_log_in_a_read_only_folder_can_be_read(void **state)
{
    three_good_reports(state);
    assert_int_equal(chmod(*state, 0755), 0);
    const char *folder = folder_path(state, "backup ?#%");
    assert_int_equal(mkdir(folder, 0755), 0);
    const char *copy = folder_path(state, "backup ?#%/history.db");
    copy_file(folder_path(state, "history.db"), copy);
    assert_int_equal(chmod(copy, 0444), 0);
    assert_int_equal(chmod(folder, 0555), 0);
    assert_int_equal(read_as_nobody(copy, 0, ONE TWO THREE), 0);
    assert_int_equal(chmod(folder, 0755), 0);
}

static void a_log_that_cannot_be_read_in_a_read_only_folder_is_not_passed_over(void **state)
{
    three_good_reports(state);
    struct history *history = open_history(state, HISTORY_WRITE);
    struct row row = row_of("a", DATATYPE_INT, "1", TIME_US);
    assert_int_equal(history_begin(history), 0);
    assert_int_equal(add(history, GATEWAY, 4, &row, 1), 0);
    assert_int_equal(history_commit(history), 0);
    assert_int_equal(chmod(*state, 0755), 0);
    const char *folder = folder_path(state, "backup");
    assert_int_equal(mkdir(folder, 0755), 0);
    const char *copy = folder_path(state, "backup/history.db");
    const char *log = folder_path(state, "backup/history.db-wal");
    copy_file(folder_path(state, "history.db"), copy);
    copy_file(folder_path(state, "history.db-wal"), log);
    history_close(history);
    assert_int_equal(chmod(copy, 0444), 0);
    assert_int_equal(chmod(log, 0444), 0);
    assert_int_equal(chmod(folder, 0555), 0);
    assert_int_equal(read_as_nobody(copy, SEALMQ_E_IO, "copy both"), 0);
    assert_int_equal(chmod(folder, 0777), 0);
    assert_int_equal(read_as_nobody(copy, 0, "devices/iot 4"), 0);
}

static void a_missing_or_empty_file_is_not_found_when_only_reading(void **state)
{
    char why[512];
    struct history *history;
    const char *path = folder_path(state, "history.db");
    assert_int_equal(history_open(path, HISTORY_READ, &history, why, sizeof(why)),
                     SEALMQ_E_NOTFOUND);
    assert_non_null(strstr(why, path));
    put_file(path, (struct bytes){0}, 0600);
    assert_int_equal(history_open(path, HISTORY_READ, &history, why, sizeof(why)),
                     SEALMQ_E_NOTFOUND);
    three_good_reports(state); /* and a writer makes a history of it */
}

static void a_process_killed_before_commit_leaves_the_last_batch(void **state)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct history *history = open_history(state, HISTORY_WRITE);
        struct row rows[] = {row_of("a", DATATYPE_INT, "1", TIME_US),
                             row_of("b", DATATYPE_INT, "2", TIME_US)};
        if (history_begin(history) != 0 || add(history, GATEWAY, 1, rows, 2) != 0 ||
            history_commit(history) != 0 || history_begin(history) != 0)
            _exit(1);
        for (uint64_t n = 2; n < 2000; n++)
            if (add(history, GATEWAY, n, rows, 2) != 0)
                _exit(1);
        kill(getpid(), SIGKILL);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    struct history *history = open_history(state, HISTORY_WRITE);
    assert_reads(history, (struct bytes){0}, 0, UINT64_MAX, ONE);
    uint64_t reports, rows;
    assert_int_equal(history_totals(history, &reports, &rows), 0);
    assert_int_equal(reports, 1);
    history_close(history);
}

static void a_full_disk_voids_the_batch_and_nothing_before(void **state)
{
    struct history *history = open_history(state, HISTORY_WRITE);
    static char text[VALUE_MAX_BYTES + 1];
    memset(text, 'x', VALUE_MAX_BYTES);
    struct row rows[] = {row_of("a", DATATYPE_INT, "1", TIME_US),
                         row_of("b", DATATYPE_INT, "2", TIME_US)};
    struct row long_row = row_of("c", DATATYPE_STRING, text, TIME_US);
    assert_int_equal(add(history, GATEWAY, 1, rows, 2), 0);
    struct rlimit old, small;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = (struct rlimit){500000, old.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    int error = history_begin(history);
    for (uint64_t n = 2; error == 0 && n < 500; n++)
        error = add(history, GATEWAY, n, &long_row, 1);
    if (error == 0)
        error = history_commit(history);
    history_rollback(history);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(error, SEALMQ_E_FULL);
    assert_reads(history, (struct bytes){0}, 0, UINT64_MAX, ONE);
    assert_int_equal(history_begin(history), 0);
    assert_int_equal(add(history, GATEWAY, 2, rows, 2), 0);
    assert_int_equal(history_commit(history), 0);
    assert_reads(history, (struct bytes){0}, 0, UINT64_MAX, ONE TWO);
    history_close(history);
}

static void a_damaged_page_is_an_error_not_a_crash(void **state)
{
    struct history *history = open_history(state, HISTORY_WRITE);
    struct row rows[] = {row_of("a", DATATYPE_INT, "1", TIME_US),
                         row_of("b", DATATYPE_INT, "2", TIME_US)};
    assert_int_equal(history_begin(history), 0);
    for (uint64_t n = 1; n <= 200; n++)
        assert_int_equal(add(history, GATEWAY, n, rows, 2), 0);
    assert_int_equal(history_commit(history), 0);
    history_close(history);
    const char *path = folder_path(state, "history.db");
    struct buf good = get_file(path);
    unsigned refused = 0;
    for (size_t page = 0; page < good.n / 4096; page++) {
        struct buf bad = get_file(path);
        for (size_t i = 0; i < 4096; i++)
            bad.p[page * 4096 + i] = (uint8_t)(i * 7 + page);
        const char *other = folder_path(state, "bad.db");
        put_file(other, buf_bytes(&bad), 0600);
        buf_close(&bad);
        char why[512];
        struct buf text = {0};
        int error = history_open(other, HISTORY_READ, &history, why, sizeof(why));
        if (error == 0) {
            error = history_each(history, (struct bytes){0}, 0, UINT64_MAX, print_report, &text);
            history_close(history);
        }
        assert_true(error == 0 || error == SEALMQ_E_CORRUPT);
        refused += error != 0;
        buf_close(&text);
    }
    assert_true(refused >= 5); /* indexes that are not read may be damaged unseen */
    buf_close(&good);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)
    const struct CMUnitTest tests[] = {
        T(reports_come_back_in_order_with_all_they_had),
        T(the_callback_gets_hash_signature_and_times_and_may_stop),
        T(values_come_back_byte_by_byte_whatever_they_are_stored_as),
        T(the_same_report_exists_and_another_one_conflicts_in_one_batch_too),
        T(totals_count_what_is_committed_and_what_the_batch_adds),
        T(a_rolled_back_batch_leaves_nothing_and_its_names_can_come_again),
        T(what_could_not_be_read_again_is_refused_and_voids_nothing),
        T(readings_are_for_people),
        T(what_was_changed_behind_us_is_read_as_it_is),
        T(strays_are_not_given_when_not_all_is_asked_for),
        T(few_reports_are_found_as_in_a_pass_over_all),
        T(rows_are_found_whatever_the_times_kept_with_their_report_say),
        T(marks_are_the_beginnings_of_the_rows_leaves),
        T(more_rows_than_a_report_can_have_are_cut),
        T(a_long_value_is_cut_after_one_byte_too_many),
        T(a_reader_sees_what_was_committed_while_the_writer_goes_on),
        T(a_copy_without_its_log_in_a_read_only_folder_can_be_read),
        T(a_log_that_cannot_be_read_in_a_read_only_folder_is_not_passed_over),
        T(a_missing_or_empty_file_is_not_found_when_only_reading),
        T(a_process_killed_before_commit_leaves_the_last_batch),
        T(a_full_disk_voids_the_batch_and_nothing_before),
        T(a_damaged_page_is_an_error_not_a_crash),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
