#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "folder.h"
#include "store/outbox.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define OWNER "devices/iot of plant"

static struct outbox *open_outbox(void **state)
{
    struct outbox *outbox;
    char why[512] = "";
    int error = outbox_open(folder_path(state, "gateway.db"), OWNER, &outbox, why, sizeof(why));
    if (error != 0)
        fail_msg("%s", why);
    return outbox;
}

static int append_entry(void *context, int kind, uint64_t key, struct bytes value)
{
    buf_printf(context, "%d/%llu=%.*s;", kind, (unsigned long long)key, (int)value.n,
               value.n == 0 ? "" : (const char *)value.p);
    return 0;
}

static void assert_holds(struct outbox *outbox, const char *want)
{
    struct buf text = {0};
    assert_int_equal(outbox_each(outbox, append_entry, &text), 0);
    assert_string_equal(buf_cstr(&text), want);
    buf_close(&text);
}

static void put(struct outbox *outbox, int kind, uint64_t key, const char *value)
{
    assert_int_equal(outbox_put(outbox, kind, key, bytes_str(value)), 0);
}

static void what_was_committed_is_there_after_reopening_in_order(void **state)
{
    struct outbox *outbox = open_outbox(state);
    assert_holds(outbox, "");
    assert_int_equal(outbox_begin(outbox), 0);
    put(outbox, 2, 7, "seven");
    put(outbox, 2, INT64_MAX, "last");
    put(outbox, 1, 9, "");
    put(outbox, 2, 3, "three");
    put(outbox, 2, 7, "seven again");
    assert_int_equal(outbox_remove(outbox, 2, 3), 0);
    assert_int_equal(outbox_remove(outbox, 2, 4), 0);
    assert_int_equal(outbox_commit(outbox), 0);
    outbox_close(outbox);
    outbox = open_outbox(state);
    assert_holds(outbox, "1/9=;2/7=seven again;2/9223372036854775807=last;");
    outbox_close(outbox);
}

static void a_rollback_leaves_nothing(void **state)
{
    struct outbox *outbox = open_outbox(state);
    assert_int_equal(outbox_begin(outbox), 0);
    put(outbox, 1, 1, "x");
    outbox_rollback(outbox);
    outbox_rollback(outbox);
    assert_holds(outbox, "");
    outbox_close(outbox);
}

static void a_key_that_the_database_cannot_hold_is_refused(void **state)
{
    struct outbox *outbox = open_outbox(state);
    assert_int_equal(outbox_put(outbox, 1, (uint64_t)INT64_MAX + 1, BYTES_LIT("x")), SEALMQ_E_ARG);
    assert_int_equal(outbox_remove(outbox, 1, UINT64_MAX), SEALMQ_E_ARG);
    outbox_close(outbox);
}

static int refuse_entry(void *context, int kind, uint64_t key, struct bytes value)
{
    (void)kind, (void)key, (void)value;
    ++*(int *)context;
    return SEALMQ_E_TYPE;
}

static void each_stops_at_the_callers_error(void **state)
{
    struct outbox *outbox = open_outbox(state);
    int calls = 0;
    put(outbox, 1, 1, "x");
    put(outbox, 1, 2, "y");
    assert_int_equal(outbox_each(outbox, refuse_entry, &calls), SEALMQ_E_TYPE);
    assert_int_equal(calls, 1);
    assert_holds(outbox, "1/1=x;1/2=y;");
    outbox_close(outbox);
}

static void assert_refused(const char *path, const char *owner, int error, const char *words)
{
    struct outbox *outbox;
    char why[512] = "";
    assert_int_equal(outbox_open(path, owner, &outbox, why, sizeof(why)), error);
    assert_null(outbox);
    assert_non_null(strstr(why, path));
    if (strstr(why, words) == NULL)
        fail_msg("'%s' does not say '%s'", why, words);
}

static void the_outbox_of_another_gateway_is_refused(void **state)
{
    outbox_close(open_outbox(state));
    assert_refused(folder_path(state, "gateway.db"), "devices/other of plant", SEALMQ_E_CONFLICT,
                   OWNER);
    outbox_close(open_outbox(state));
}

static void another_kind_of_database_is_refused_and_left_alone(void **state)
{
    const char *path = folder_path(state, "foreign.db");
    run_sql(path, "CREATE TABLE t(x); INSERT INTO t VALUES(5)");
    assert_refused(path, OWNER, SEALMQ_E_CORRUPT, "some other SQLite database");
    assert_int_equal(ask_sql(path, "SELECT x FROM t"), 5);
    assert_int_equal(ask_sql(path, "SELECT count(*) FROM sqlite_schema"), 1);
}

static void a_file_that_is_no_database_is_refused_and_left_alone(void **state)
{
    const char *path = folder_path(state, "notes.txt");
    static char text[5000];
    memset(text, 'a', sizeof(text));
    put_file(path, bytes_of(text, sizeof(text)), 0600);
    assert_refused(path, OWNER, SEALMQ_E_CORRUPT, "no SQLite database");
    struct buf now = get_file(path);
    assert_true(bytes_equal(buf_bytes(&now), bytes_of(text, sizeof(text))));
    buf_close(&now);
}

static void tables_of_a_newer_program_are_refused(void **state)
{
    outbox_close(open_outbox(state));
    const char *path = folder_path(state, "gateway.db");
    run_sql(path, "PRAGMA user_version=2");
    assert_refused(path, OWNER, SEALMQ_E_VERSION, "version 2");
}

static void tables_in_another_encoding_are_not_ours(void **state)
{
    const char *path = folder_path(state, "gateway.db");
    run_sql(path, "PRAGMA encoding = 'UTF-16le'; PRAGMA application_id = 1399147855;"
                  "PRAGMA user_version = 1; CREATE TABLE entries(kind, key, value, "
                  "PRIMARY KEY(kind, key)); CREATE TABLE meta(key, value)");
    assert_refused(path, OWNER, SEALMQ_E_CORRUPT, "some other SQLite database");
}

static void a_file_without_its_tables_is_refused(void **state)
{
    outbox_close(open_outbox(state));
    const char *path = folder_path(state, "gateway.db");
    run_sql(path, "DROP TABLE entries");
    assert_refused(path, OWNER, SEALMQ_E_CORRUPT, "no such table: entries");
}

static void a_damaged_file_is_refused_or_read_with_an_error_at_any_page(void **state)
{
    const char *path = folder_path(state, "gateway.db");
    struct outbox *outbox = open_outbox(state);
    char value[600];
    memset(value, 'v', sizeof(value));
    assert_int_equal(outbox_begin(outbox), 0);
    for (uint64_t i = 0; i < 40; i++)
        assert_int_equal(outbox_put(outbox, 1, i, bytes_of(value, sizeof(value))), 0);
    assert_int_equal(outbox_commit(outbox), 0);
    outbox_close(outbox);
    struct buf good = get_file(path);
    assert_true(good.n >= 6 * 4096);
    for (size_t page = 0; page < good.n / 4096; page++) {
        struct buf bad = get_file(path);
        memset(bad.p + page * 4096, 0xa5, 4096);
        const char *other = folder_path(state, "bad.db");
        put_file(other, buf_bytes(&bad), 0600);
        buf_close(&bad);
        char why[512];
        struct buf text = {0};
        int error = outbox_open(other, OWNER, &outbox, why, sizeof(why));
        if (error == 0) {
            error = outbox_each(outbox, append_entry, &text);
            outbox_close(outbox);
        }
        assert_int_equal(error, SEALMQ_E_CORRUPT);
        buf_close(&text);
    }
    buf_close(&good);
}

static void a_file_that_another_process_uses_is_refused(void **state)
{
    struct outbox *outbox = open_outbox(state);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct outbox *mine;
        char why[512];
        int error = outbox_open(folder_path(state, "gateway.db"), OWNER, &mine, why, sizeof(why));
        _exit(error == SEALMQ_E_BUSY && strstr(why, "in use") != NULL ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    outbox_close(outbox);
}

static void a_process_killed_before_commit_leaves_the_last_commit(void **state)
{
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct outbox *mine;
        char why[512];
        if (outbox_open(folder_path(state, "gateway.db"), OWNER, &mine, why, sizeof(why)) != 0 ||
            outbox_begin(mine) != 0 || outbox_put(mine, 1, 1, BYTES_LIT("kept")) != 0 ||
            outbox_commit(mine) != 0 || outbox_begin(mine) != 0 ||
            outbox_put(mine, 1, 2, BYTES_LIT("lost")) != 0)
            _exit(1);
        kill(getpid(), SIGKILL);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
    struct outbox *outbox = open_outbox(state);
    assert_holds(outbox, "1/1=kept;");
    outbox_close(outbox);
}

static void a_full_disk_is_told_and_takes_nothing_that_was_committed(void **state)
{
    struct outbox *outbox = open_outbox(state);
    static char value[20000];
    put(outbox, 1, 0, "kept");
    struct rlimit old, small = {300000, RLIM_INFINITY};
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small.rlim_max = old.rlim_max;
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    int error = 0;
    uint64_t n = 1;
    for (; error == 0 && n < 100; n++) {
        error = outbox_begin(outbox);
        if (error == 0)
            error = outbox_put(outbox, 1, n, bytes_of(value, sizeof(value)));
        if (error == 0)
            error = outbox_commit(outbox);
    }
    outbox_rollback(outbox);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(error, SEALMQ_E_FULL);
    /* and goes on when there is room again */
    assert_int_equal(outbox_begin(outbox), 0);
    for (uint64_t i = 1; i < n; i++)
        assert_int_equal(outbox_remove(outbox, 1, i), 0);
    assert_int_equal(outbox_commit(outbox), 0);
    assert_holds(outbox, "1/0=kept;");
    outbox_close(outbox);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)
    const struct CMUnitTest tests[] = {
        T(what_was_committed_is_there_after_reopening_in_order),
        T(a_rollback_leaves_nothing),
        T(a_key_that_the_database_cannot_hold_is_refused),
        T(each_stops_at_the_callers_error),
        T(the_outbox_of_another_gateway_is_refused),
        T(another_kind_of_database_is_refused_and_left_alone),
        T(a_file_that_is_no_database_is_refused_and_left_alone),
        T(tables_of_a_newer_program_are_refused),
        T(tables_in_another_encoding_are_not_ours),
        T(a_file_without_its_tables_is_refused),
        T(a_damaged_file_is_refused_or_read_with_an_error_at_any_page),
        T(a_file_that_another_process_uses_is_refused),
        T(a_process_killed_before_commit_leaves_the_last_commit),
        T(a_full_disk_is_told_and_takes_nothing_that_was_committed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
