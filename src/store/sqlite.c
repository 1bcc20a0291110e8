#include "store/sqlite.h"

#include "base/assert.h"
#include "store/file.h"
#include "store/store_int.h"

#include <ctype.h>
#include <errno.h>
#include <sys/stat.h>

#define BUSY_TIMEOUT_MS 5000
/* Longer strings, blobs and rows are refused before memory is taken for them. Blocks are the
 * longest that we write. */
#define DB_LENGTH_MAX   (32 * 1024 * 1024)
/* What a file of the write-ahead log may keep when it has been worked off. */
#define WAL_KEPT_BYTES  "67108864"

/* ---- errors ---- */

int db_error(sqlite3 *db, int code)
{
    switch (code & 0xff) {
    case SQLITE_OK:
    case SQLITE_ROW:
    case SQLITE_DONE:
        return 0;
    case SQLITE_NOMEM:
        return SEALMQ_E_NOMEM;
    case SQLITE_FULL:
        return SEALMQ_E_FULL;
    case SQLITE_IOERR:
        if (code == SQLITE_IOERR_NOMEM)
            return SEALMQ_E_NOMEM;
        /* Full quotas and limits of size come as errors of writing. SQLite keeps the system's
         * number for errors of statements, but not for those of commits. */
        if (store_errno_error(errno) == SEALMQ_E_FULL ||
            (db != NULL && store_errno_error(sqlite3_system_errno(db)) == SEALMQ_E_FULL))
            return SEALMQ_E_FULL;
        return SEALMQ_E_IO;
    case SQLITE_BUSY:
    case SQLITE_LOCKED:
        return SEALMQ_E_BUSY;
    case SQLITE_CANTOPEN:
    case SQLITE_READONLY:
    case SQLITE_PERM:
    case SQLITE_AUTH:
    case SQLITE_PROTOCOL:
        return SEALMQ_E_IO;
    case SQLITE_TOOBIG:
        return SEALMQ_E_LIMIT;
    default:
        ASSERT(code != SQLITE_MISUSE && code != SQLITE_RANGE);
        return SEALMQ_E_CORRUPT; /* _CORRUPT, _NOTADB, and tables that are not as we made them */
    }
}

int db_fail(sqlite3 *db, int code, const char *path, const struct db_kind *kind, char *why,
            size_t why_size)
{
    int error = db_error(db, code);
    const char *words = db == NULL ? sqlite3_errstr(code) : sqlite3_errmsg(db);
    switch (error) {
    case SEALMQ_E_CORRUPT:
        if ((code & 0xff) == SQLITE_NOTADB)
            store_why(why, why_size,
                      "%s is not %s: it is no SQLite database. Name another path, or put the right "
                      "file there from a backup",
                      path, kind->called);
        else
            store_why(why, why_size,
                      "%s is damaged (%s). Stop what uses it, and put a backup in its place; "
                      "sqlite3's .recover may save the rest",
                      path, words);
        break;
    case SEALMQ_E_BUSY:
        store_why(why, why_size, "%s is in use by another process: stop that first", path);
        break;
    case SEALMQ_E_FULL:
        store_why(why, why_size, "%s: no space left: make room on its disk", path);
        break;
    case SEALMQ_E_IO: {
        int number = db == NULL ? 0 : sqlite3_system_errno(db);
        store_why(why, why_size, "%s: %s%s%s", path, words, number == 0 ? "" : ": ",
                  number == 0 ? "" : strerror(number));
        break;
    }
    default:
        store_why(why, why_size, "%s: %s", path, sealmq_error_text(error));
        break;
    }
    return error;
}

/* ---- statements ---- */

int db_exec(sqlite3 *db, const char *sql)
{
    return db_error(db, sqlite3_exec(db, sql, NULL, NULL, NULL));
}

int db_prepare_all(sqlite3 *db, const char *const *sql, sqlite3_stmt **out, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = NULL;
    for (size_t i = 0; i < n; i++) {
        int code = sqlite3_prepare_v3(db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &out[i], NULL);
        if (code != SQLITE_OK) {
            db_finalize_all(out, n);
            return db_error(db, code);
        }
    }
    return 0;
}

void db_finalize_all(sqlite3_stmt **statements, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        sqlite3_finalize(statements[i]);
        statements[i] = NULL;
    }
}

/* Binding to our own statements fails for want of memory at most, and static bytes need none. */
static void must_bind(int code)
{
    ASSERT(code == SQLITE_OK);
}

void db_bind_blob(sqlite3_stmt *statement, int at, struct bytes b)
{
    ASSERT(b.n <= DB_LENGTH_MAX);
    must_bind(sqlite3_bind_blob(statement, at, b.n == 0 ? "" : (const char *)b.p, (int)b.n,
                                SQLITE_STATIC));
}

void db_bind_text(sqlite3_stmt *statement, int at, struct bytes b)
{
    ASSERT(b.n <= DB_LENGTH_MAX);
    must_bind(sqlite3_bind_text(statement, at, b.n == 0 ? "" : (const char *)b.p, (int)b.n,
                                SQLITE_STATIC));
}

void db_bind_u64(sqlite3_stmt *statement, int at, uint64_t v)
{
    ASSERT(v <= INT64_MAX);
    must_bind(sqlite3_bind_int64(statement, at, (sqlite3_int64)v));
}

int db_run(sqlite3_stmt *statement)
{
    int code = sqlite3_step(statement);
    int error = db_error(sqlite3_db_handle(statement), code);
    ASSERT(code != SQLITE_ROW);
    sqlite3_reset(statement);
    return error;
}

int db_next(sqlite3_stmt *statement)
{
    int code = sqlite3_step(statement);
    if (code == SQLITE_ROW)
        return 0;
    int error = db_error(sqlite3_db_handle(statement), code);
    sqlite3_reset(statement);
    return error == 0 ? SEALMQ_E_NOTFOUND : error;
}

static int column(sqlite3_stmt *statement, int at, int type, struct bytes *out)
{
    *out = (struct bytes){0};
    if (sqlite3_column_type(statement, at) != type)
        return SEALMQ_E_CORRUPT;
    const void *p = sqlite3_column_blob(statement, at);
    *out = bytes_of(p, (size_t)sqlite3_column_bytes(statement, at));
    return p == NULL && out->n != 0 ? SEALMQ_E_NOMEM : 0;
}

int db_column_blob(sqlite3_stmt *statement, int at, struct bytes *out)
{
    return column(statement, at, SQLITE_BLOB, out);
}

int db_column_text(sqlite3_stmt *statement, int at, struct bytes *out)
{
    return column(statement, at, SQLITE_TEXT, out);
}

int db_column_u64(sqlite3_stmt *statement, int at, uint64_t *out)
{
    *out = 0;
    if (sqlite3_column_type(statement, at) != SQLITE_INTEGER)
        return SEALMQ_E_CORRUPT;
    sqlite3_int64 v = sqlite3_column_int64(statement, at);
    if (v < 0)
        return SEALMQ_E_CORRUPT;
    *out = (uint64_t)v;
    return 0;
}

/* ---- transactions ---- */

int db_begin(sqlite3 *db)
{
    return db_exec(db, sqlite3_db_readonly(db, "main") == 1 ? "BEGIN" : "BEGIN IMMEDIATE");
}

int db_commit(sqlite3 *db)
{
    return db_exec(db, "COMMIT");
}

void db_rollback(sqlite3 *db)
{
    /* Some errors have rolled back already. Without memory or disk it works all the same: the
     * changes are not in the file yet. */
    if (sqlite3_get_autocommit(db) == 0)
        (void)sqlite3_exec(db, "ROLLBACK", NULL, NULL, NULL);
}

int db_sync_log(sqlite3 *db)
{
    sqlite3_file *log = NULL;
    int code = sqlite3_file_control(db, "main", SQLITE_FCNTL_JOURNAL_POINTER, &log);
    if (code == SQLITE_OK && log != NULL && log->pMethods != NULL)
        code = log->pMethods->xSync(log, SQLITE_SYNC_NORMAL);
    return db_error(db, code);
}

/* ---- opening ---- */

/* Appends `path` as it must be written in a URI. */
static void append_uri_path(struct buf *out, const char *path)
{
    for (const char *p = path; *p != '\0'; p++) {
        if (isalnum((unsigned char)*p) || strchr("/._-~+,=:@", *p) != NULL)
            buf_append_u8(out, (uint8_t)*p);
        else
            buf_printf(out, "%%%02X", (unsigned)(unsigned char)*p);
    }
}

static int open_uri(const char *path, const char *query, int flags, sqlite3 **out)
{
    struct buf uri = {0};
    buf_append_cstr(&uri, "file:");
    append_uri_path(&uri, path);
    buf_append_cstr(&uri, query);
    const char *text = buf_cstr(&uri);
    int code = SQLITE_NOMEM;
    *out = NULL;
    if (text != NULL)
        code = sqlite3_open_v2(
            text, out, flags | SQLITE_OPEN_URI | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE, NULL);
    buf_close(&uri);
    return code;
}

/* What a stranger's file must not be able to do: run code of its schema, take our memory. */
static int harden(sqlite3 *db)
{
    sqlite3_busy_timeout(db, BUSY_TIMEOUT_MS);
    sqlite3_limit(db, SQLITE_LIMIT_LENGTH, DB_LENGTH_MAX);
    sqlite3_db_config(db, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_TRUSTED_SCHEMA, 0, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_TRIGGER, 0, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_DQS_DML, 0, NULL);
    sqlite3_db_config(db, SQLITE_DBCONFIG_DQS_DDL, 0, NULL);
    return sqlite3_exec(db, "PRAGMA cell_size_check=ON", NULL, NULL, NULL);
}

static int read_int(sqlite3 *db, const char *sql, int *out)
{
    sqlite3_stmt *statement;
    int code = sqlite3_prepare_v2(db, sql, -1, &statement, NULL);
    if (code != SQLITE_OK)
        return code;
    code = sqlite3_step(statement);
    if (code == SQLITE_ROW) {
        *out = sqlite3_column_int(statement, 0);
        code = SQLITE_OK;
    }
    sqlite3_finalize(statement);
    return code;
}

struct identity {
    int application_id, version, tables, is_utf8;
};

static int identify(sqlite3 *db, struct identity *out)
{
    *out = (struct identity){0};
    int code = read_int(db, "PRAGMA application_id", &out->application_id);
    if (code == SQLITE_OK)
        code = read_int(db, "PRAGMA user_version", &out->version);
    if (code == SQLITE_OK)
        code = read_int(db, "SELECT count(*) FROM sqlite_schema", &out->tables);
    if (code == SQLITE_OK)
        code = read_int(db, "SELECT encoding = 'UTF-8' FROM pragma_encoding", &out->is_utf8);
    return code;
}

static bool is_fresh(const struct identity *identity)
{
    return identity->application_id == 0 && identity->version == 0 && identity->tables == 0;
}

/* Makes the tables in one transaction, unless another process has just done it. */
static int make_tables(sqlite3 *db, const struct db_kind *kind)
{
    struct identity identity;
    int code = sqlite3_exec(db, "BEGIN EXCLUSIVE", NULL, NULL, NULL);
    if (code == SQLITE_OK)
        code = identify(db, &identity);
    if (code == SQLITE_OK && is_fresh(&identity)) {
        char ids[96];
        snprintf(ids, sizeof(ids), "PRAGMA application_id=%d; PRAGMA user_version=%d",
                 kind->application_id, kind->version);
        code = sqlite3_exec(db, kind->schema, NULL, NULL, NULL);
        if (code == SQLITE_OK)
            code = sqlite3_exec(db, ids, NULL, NULL, NULL);
    }
    if (code == SQLITE_OK)
        code = sqlite3_exec(db, "COMMIT", NULL, NULL, NULL);
    if (code != SQLITE_OK)
        db_rollback(db);
    return code;
}

static int check_kind(const struct identity *identity, const char *path, const struct db_kind *kind,
                      char *why, size_t why_size)
{
    /* We make them in UTF-8, and take texts as the bytes that they are stored as. */
    if (identity->application_id != kind->application_id || identity->is_utf8 == 0) {
        store_why(why, why_size, "%s is not %s but some other SQLite database: name another path",
                  path, kind->called);
        return SEALMQ_E_CORRUPT;
    }
    if (identity->version != kind->version) {
        store_why(why, why_size,
                  "%s: its tables have version %d, this program knows %d: use the program that "
                  "wrote it, or a newer one",
                  path, identity->version, kind->version);
        return SEALMQ_E_VERSION;
    }
    return 0;
}

static int not_found(const char *path, const struct db_kind *kind, char *why, size_t why_size)
{
    store_why(why, why_size, "%s: there is no such file, or nothing in it: %s is expected there",
              path, kind->called);
    return SEALMQ_E_NOTFOUND;
}

/* WAL only when there are tables: a crash before that leaves a file that counts as missing. */
static int prepare_writing(sqlite3 *db)
{
    return sqlite3_exec(db,
                        "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL;"
                        "PRAGMA journal_size_limit=" WAL_KEPT_BYTES,
                        NULL, NULL, NULL);
}

static int open_writer(sqlite3 *db, const char *path, enum db_mode mode, const struct db_kind *kind,
                       char *why, size_t why_size)
{
    struct identity identity = {0};
    int code = SQLITE_OK;
    if (kind->is_exclusive)
        code = sqlite3_exec(db, "PRAGMA locking_mode=EXCLUSIVE", NULL, NULL, NULL);
    if (code == SQLITE_OK)
        code = identify(db, &identity);
    if (code != SQLITE_OK)
        return db_fail(db, code, path, kind, why, why_size);
    if (mode == DB_CREATE && !is_fresh(&identity)) {
        store_why(why, why_size, "%s is there already and is not overwritten", path);
        return SEALMQ_E_EXISTS;
    }
    if (is_fresh(&identity)) {
        if (mode == DB_WRITE)
            return not_found(path, kind, why, why_size);
        code = make_tables(db, kind);
        if (code == SQLITE_OK)
            code = identify(db, &identity);
        if (code != SQLITE_OK)
            return db_fail(db, code, path, kind, why, why_size);
    }
    int error = check_kind(&identity, path, kind, why, why_size);
    if (error != 0)
        return error;
    code = prepare_writing(db);
    return code == SQLITE_OK ? 0 : db_fail(db, code, path, kind, why, why_size);
}

static bool has_log(const char *path)
{
    char log[PATH_SIZE + 8];
    struct stat status;
    int n = snprintf(log, sizeof(log), "%s-wal", path);
    return n > 0 && (size_t)n < sizeof(log) && stat(log, &status) == 0 && status.st_size > 0;
}

/* Opens for reading. A file in WAL mode needs a -shm file beside it; where that can not be made (a
 * folder that is read-only) and no log waits to be worked off, the file alone is all there is and
 * nobody can be writing it. */
static int open_reader(const char *path, const struct db_kind *kind, sqlite3 **out, char *why,
                       size_t why_size)
{
    struct identity identity = {0};
    int code = open_uri(path, "?mode=ro", SQLITE_OPEN_READONLY, out);
    if (code == SQLITE_OK)
        code = harden(*out);
    if (code == SQLITE_OK)
        code = identify(*out, &identity);
    int primary = code & 0xff;
    if (primary == SQLITE_CANTOPEN || primary == SQLITE_READONLY) {
        if (has_log(path)) {
            store_why(why, why_size,
                      "%s cannot be read together with %s-wal here: copy both into a folder where "
                      "files can be made",
                      path, path);
            return SEALMQ_E_IO;
        }
        sqlite3_close(*out);
        code = open_uri(path, "?mode=ro&immutable=1", SQLITE_OPEN_READONLY, out);
        if (code == SQLITE_OK)
            code = harden(*out);
        if (code == SQLITE_OK)
            code = identify(*out, &identity);
    }
    if (code != SQLITE_OK)
        return db_fail(*out, code, path, kind, why, why_size);
    if (is_fresh(&identity))
        return not_found(path, kind, why, why_size);
    return check_kind(&identity, path, kind, why, why_size);
}

int db_open(const char *path, enum db_mode mode, const struct db_kind *kind, sqlite3 **out,
            char *why, size_t why_size)
{
    *out = NULL;
    struct stat status;
    bool may_create = mode == DB_CREATE || mode == DB_WRITE_OR_CREATE;
    if (!may_create && stat(path, &status) != 0 && store_errno_error(errno) == SEALMQ_E_NOTFOUND)
        return not_found(path, kind, why, why_size);
    int error = 0;
    if (mode == DB_READ) {
        error = open_reader(path, kind, out, why, why_size);
    } else {
        int flags = SQLITE_OPEN_READWRITE | (may_create ? SQLITE_OPEN_CREATE : 0);
        int code = open_uri(path, "", flags, out);
        if (code == SQLITE_OK && sqlite3_db_readonly(*out, "main") == 1)
            code = SQLITE_READONLY; /* SQLite opens a write-protected file all the same */
        if (code == SQLITE_OK)
            code = harden(*out);
        error = code == SQLITE_OK ? open_writer(*out, path, mode, kind, why, why_size)
                                  : db_fail(*out, code, path, kind, why, why_size);
    }
    if (error != 0) {
        sqlite3_close(*out);
        *out = NULL;
    }
    return error;
}

int db_open_temporary(sqlite3 **out)
{
    int flags =
        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    int code = sqlite3_open_v2("", out, flags, NULL);
    if (code == SQLITE_OK)
        code = sqlite3_exec(*out,
                            "PRAGMA journal_mode=OFF; PRAGMA synchronous=OFF;"
                            "PRAGMA cache_size=-32768",
                            NULL, NULL, NULL);
    if (code == SQLITE_OK)
        return 0;
    int error = db_error(*out, code);
    sqlite3_close(*out);
    *out = NULL;
    return error;
}

void db_close(sqlite3 *db)
{
    int code = sqlite3_close(db);
    ASSERT(code == SQLITE_OK);
}
