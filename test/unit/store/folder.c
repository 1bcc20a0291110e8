#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "crypto/sign.h"
#include "folder.h"

#include <fcntl.h>
#include <ftw.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

int folder_setup(void **state)
{
    const char *base = getenv("TMPDIR");
    char *path = malloc(256);
    if (path == NULL || crypto_init() != 0)
        return -1;
    snprintf(path, 256, "%s/sealmq-store-XXXXXX", base == NULL ? "/tmp" : base);
    *state = path;
    return mkdtemp(path) == NULL ? -1 : 0;
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *ftw)
{
    (void)status;
    (void)kind;
    (void)ftw;
    return remove(path);
}

int folder_teardown(void **state)
{
    int error = nftw(*state, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
    free(*state);
    return error;
}

const char *folder_path(void **state, const char *name)
{
    static char paths[8][512];
    static size_t turn;
    char *path = paths[turn++ % 8];
    snprintf(path, sizeof(paths[0]), "%s/%s", (const char *)*state, name);
    return path;
}

void put_file(const char *path, struct bytes content, unsigned mode)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content.p, content.n), content.n);
    assert_int_equal(fchmod(fd, (mode_t)mode), 0);
    assert_int_equal(close(fd), 0);
}

struct buf get_file(const char *path)
{
    struct buf out = {0};
    int fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    ssize_t got;
    do {
        uint8_t *p = buf_extend(&out, 65536);
        assert_non_null(p);
        got = read(fd, p, 65536);
        assert_true(got >= 0);
        out.n -= 65536 - (size_t)got;
    } while (got != 0);
    close(fd);
    return out;
}

void copy_file(const char *from, const char *to)
{
    struct buf content = get_file(from);
    put_file(to, buf_bytes(&content), 0600);
    buf_close(&content);
}

void run_sql(const char *path, const char *sql)
{
    sqlite3 *db;
    char *words = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, 5000);
    if (sqlite3_exec(db, sql, NULL, NULL, &words) != SQLITE_OK)
        fail_msg("%s: %s", sql, words);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
}

int64_t ask_sql(const char *path, const char *sql)
{
    sqlite3 *db;
    sqlite3_stmt *statement;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    assert_int_equal(sqlite3_prepare_v2(db, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t v = sqlite3_column_int64(statement, 0);
    sqlite3_finalize(statement);
    assert_int_equal(sqlite3_close(db), SQLITE_OK);
    return v;
}
