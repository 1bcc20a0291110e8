/* The outbox: a table of bytes, durable after each commit. The file belongs to one process at a
 * time, which SQLite's exclusive locking makes sure of: two gateways with one set of numbers would
 * sign two reports with the same one. */
#include "store/outbox.h"

#include "store/sqlite.h"
#include "store/store_int.h"

#include <stdlib.h>

static const struct db_kind outbox_kind = {
    .called = "a gateway's outbox",
    .application_id = 0x53654d4f, /* "SeMO" */
    .version = 1,
    .schema = "CREATE TABLE meta(key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;"
              "CREATE TABLE entries(kind INTEGER, key INTEGER, value BLOB NOT NULL,"
              " PRIMARY KEY(kind, key)) WITHOUT ROWID",
    .is_exclusive = true,
};

enum { GET_OWNER, SET_OWNER, PUT, REMOVE, EACH, STATEMENTS };
static const char *const statements[STATEMENTS] = {
    [GET_OWNER] = "SELECT value FROM meta WHERE key = 'owner'",
    [SET_OWNER] = "INSERT INTO meta(key, value) VALUES('owner', ?1)",
    [PUT] = ("INSERT INTO entries(kind, key, value) VALUES(?1, ?2, ?3)"
             " ON CONFLICT DO UPDATE SET value = excluded.value"),
    [REMOVE] = "DELETE FROM entries WHERE kind = ?1 AND key = ?2",
    [EACH] = "SELECT kind, key, value FROM entries ORDER BY kind, key",
};

struct outbox {
    sqlite3 *db;
    sqlite3_stmt *statements[STATEMENTS];
};

/* Compares the owner, or writes it into a file that has none yet. */
static int check_owner(struct outbox *outbox, const char *path, const char *owner, char *why,
                       size_t why_size)
{
    struct bytes recorded;
    sqlite3_stmt *get = outbox->statements[GET_OWNER];
    int error = db_next(get);
    if (error == SEALMQ_E_NOTFOUND) {
        db_bind_text(outbox->statements[SET_OWNER], 1, bytes_str(owner));
        error = db_run(outbox->statements[SET_OWNER]);
        if (error != 0)
            store_why(why, why_size, "%s: cannot be written: %s", path, sealmq_error_text(error));
        return error;
    }
    if (error == 0)
        error = db_column_text(get, 0, &recorded);
    if (error != 0) {
        store_why(why, why_size, "%s: %s", path, sealmq_error_text(error));
    } else if (!bytes_equal(recorded, bytes_str(owner))) {
        store_why(why, why_size, "%s is the outbox of %.*s, not of %s: name another path", path,
                  (int)recorded.n, (const char *)recorded.p, owner);
        error = SEALMQ_E_CONFLICT;
    }
    sqlite3_reset(get);
    return error;
}

int outbox_open(const char *path, const char *owner, struct outbox **out, char *why,
                size_t why_size)
{
    *out = NULL;
    struct outbox *outbox = calloc(1, sizeof(*outbox));
    if (outbox == NULL) {
        store_why(why, why_size, "%s: %s", path, sealmq_error_text(SEALMQ_E_NOMEM));
        return SEALMQ_E_NOMEM;
    }
    int error = db_open(path, DB_WRITE_OR_CREATE, &outbox_kind, &outbox->db, why, why_size);
    if (error == 0) {
        error = db_prepare_all(outbox->db, statements, outbox->statements, STATEMENTS);
        if (error != 0)
            (void)db_fail(outbox->db, sqlite3_extended_errcode(outbox->db), path, &outbox_kind, why,
                          why_size);
    }
    if (error == 0)
        error = check_owner(outbox, path, owner, why, why_size);
    if (error != 0) {
        outbox_close(outbox);
        return error;
    }
    *out = outbox;
    return 0;
}

void outbox_close(struct outbox *outbox)
{
    if (outbox == NULL)
        return;
    db_finalize_all(outbox->statements, STATEMENTS);
    db_close(outbox->db);
    free(outbox);
}

int outbox_begin(struct outbox *outbox)
{
    return db_begin(outbox->db);
}

int outbox_put(struct outbox *outbox, int kind, uint64_t key, struct bytes value)
{
    if (key > INT64_MAX)
        return SEALMQ_E_ARG;
    if (value.n > DB_LENGTH_MAX)
        return SEALMQ_E_LIMIT;
    sqlite3_stmt *put = outbox->statements[PUT];
    sqlite3_bind_int(put, 1, kind);
    db_bind_u64(put, 2, key);
    db_bind_blob(put, 3, value);
    return db_run(put);
}

int outbox_remove(struct outbox *outbox, int kind, uint64_t key)
{
    if (key > INT64_MAX)
        return SEALMQ_E_ARG;
    sqlite3_stmt *erase = outbox->statements[REMOVE];
    sqlite3_bind_int(erase, 1, kind);
    db_bind_u64(erase, 2, key);
    return db_run(erase);
}

int outbox_commit(struct outbox *outbox)
{
    return db_commit(outbox->db);
}

void outbox_rollback(struct outbox *outbox)
{
    db_rollback(outbox->db);
}

int outbox_each(struct outbox *outbox,
                int (*fn)(void *context, int kind, uint64_t key, struct bytes value), void *context)
{
    sqlite3_stmt *each = outbox->statements[EACH];
    int end, error = 0;
    while (error == 0 && (end = db_next(each)) == 0) {
        uint64_t kind, key;
        struct bytes value;
        error = db_column_u64(each, 0, &kind);
        if (error == 0 && kind > INT32_MAX)
            error = SEALMQ_E_CORRUPT;
        if (error == 0)
            error = db_column_u64(each, 1, &key);
        if (error == 0)
            error = db_column_blob(each, 2, &value);
        if (error == 0)
            error = fn(context, (int)kind, key, value);
    }
    sqlite3_reset(each);
    if (error != 0)
        return error;
    return end == SEALMQ_E_NOTFOUND ? 0 : end;
}
