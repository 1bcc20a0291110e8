/* What the stores share about SQLite: opening a file of ours, errors, statements, transactions.
 *
 * Files have an application id that says which of ours they are, and a version of their tables. A
 * file that exists but holds nothing counts as missing: it is what a crash leaves of a file that
 * was just being made. Writers use WAL and sync every commit (docs/adr/050-sqlite.md). */
#ifndef SEALMQ_STORE_SQLITE_H
#define SEALMQ_STORE_SQLITE_H

#include "base/bytes.h"

#include <sqlite3.h>

/* Longer strings, blobs and rows are refused before memory is taken for them. Blocks are the
 * longest that we write. */
#define DB_LENGTH_MAX (32 * 1024 * 1024)

struct db_kind {
    const char *called; /* for people: "a block store" */
    int application_id; /* of this kind of file */
    int version;        /* of its tables */
    const char *schema; /* SQL that makes them */
    bool is_exclusive;  /* no other process may even read it while it is open */
};

enum db_mode {
    DB_CREATE, /* SEALMQ_E_EXISTS */
    DB_WRITE,  /* SEALMQ_E_NOTFOUND */
    DB_WRITE_OR_CREATE,
    DB_READ, /* SEALMQ_E_NOTFOUND */
};

/* SEALMQ_E_IO, _FULL, _CORRUPT (damaged, or something else's file), _VERSION (of a newer program),
 * _BUSY (in use by another process), _NOMEM. `why` names the file and the mend. */
SEALMQ_MUST_CHECK int db_open(const char *path, enum db_mode mode, const struct db_kind *kind,
                              sqlite3 **out, char *why, size_t why_size);
/* A private database that is gone when it is closed; what it holds is not kept in memory only. */
SEALMQ_MUST_CHECK int db_open_temporary(sqlite3 **out);
/* All statements must be finalized before. NULL is fine. */
void db_close(sqlite3 *db);

/* The error that a result code of SQLite stands for; `db` may be NULL. */
int db_error(sqlite3 *db, int code);
/* The same, and words about it, for errors while opening. */
int db_fail(sqlite3 *db, int code, const char *path, const struct db_kind *kind, char *why,
            size_t why_size);

SEALMQ_MUST_CHECK int db_exec(sqlite3 *db, const char *sql);
/* Statements that are kept; n of them, all or none. Tables that are not as they should be are
 * SEALMQ_E_CORRUPT. */
SEALMQ_MUST_CHECK int db_prepare_all(sqlite3 *db, const char *const *sql, sqlite3_stmt **out,
                                     size_t n);
void db_finalize_all(sqlite3_stmt **statements, size_t n);

/* Begins to write, waiting for another writer for a while. */
SEALMQ_MUST_CHECK int db_begin(sqlite3 *db);
SEALMQ_MUST_CHECK int db_commit(sqlite3 *db); /* after an error: roll back */
void db_rollback(sqlite3 *db);
/* Syncs the write-ahead log, with all that was committed. SEALMQ_E_IO, _FULL. */
SEALMQ_MUST_CHECK int db_sync_log(sqlite3 *db);

/* Binding. The bytes, at most DB_LENGTH_MAX, must stay until the statement is run; empty ones are
 * not NULL. */
void db_bind_blob(sqlite3_stmt *statement, int at, struct bytes b);
void db_bind_text(sqlite3_stmt *statement, int at, struct bytes b);
/* Up to INT64_MAX. */
void db_bind_u64(sqlite3_stmt *statement, int at, uint64_t v);

/* Runs to the end a statement that gives no rows, and resets it. */
SEALMQ_MUST_CHECK int db_run(sqlite3_stmt *statement);
/* The next row: 0, or SEALMQ_E_NOTFOUND at the end; then and after errors it is reset. */
SEALMQ_MUST_CHECK int db_next(sqlite3_stmt *statement);

/* A column of the current row, borrowed until the next step. SEALMQ_E_CORRUPT when it is of another
 * type than asked for. */
SEALMQ_MUST_CHECK int db_column_blob(sqlite3_stmt *statement, int at, struct bytes *out);
SEALMQ_MUST_CHECK int db_column_text(sqlite3_stmt *statement, int at, struct bytes *out);
SEALMQ_MUST_CHECK int db_column_u64(sqlite3_stmt *statement, int at, uint64_t *out);

#endif
