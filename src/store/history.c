#include "store/history_int.h"

#include "store/store_int.h"

#include <stdlib.h>

static const struct db_kind history_kind = {
    .called = "a history",
    .application_id = 0x53654d48, /* "SeMH" */
    .version = 2,
    /* `val` has no type, so that SQLite keeps each value as it was given. */
    .schema =
        "CREATE TABLE gateways(id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE);"
        "CREATE TABLE items(id INTEGER PRIMARY KEY, device TEXT NOT NULL, service TEXT NOT NULL,"
        " name TEXT NOT NULL, datatype TEXT NOT NULL, unit TEXT NOT NULL,"
        " UNIQUE(device, service, name, datatype, unit));"
        "CREATE TABLE reports(gateway INTEGER, n INTEGER, topic TEXT NOT NULL, hash BLOB NOT NULL,"
        " signature BLOB NOT NULL, rows INTEGER NOT NULL, received_us INTEGER NOT NULL,"
        " account TEXT NOT NULL, first_us INTEGER NOT NULL, last_us INTEGER NOT NULL,"
        " marks BLOB NOT NULL, PRIMARY KEY(gateway, n)) WITHOUT ROWID;"
        "CREATE TABLE rows(time_us INTEGER, gateway INTEGER, n INTEGER, row INTEGER,"
        " item INTEGER NOT NULL, val, PRIMARY KEY(time_us, gateway, n, row)) WITHOUT ROWID;"
        "CREATE TABLE totals(id INTEGER PRIMARY KEY, reports INTEGER NOT NULL,"
        " rows INTEGER NOT NULL);"
        "INSERT INTO totals VALUES(1, 0, 0);"
        "CREATE VIEW readings(time, gateway, device, service, item, value, unit, datatype,"
        " report_n, row, time_us) AS SELECT"
        " strftime('%Y-%m-%dT%H:%M:%S', rows.time_us / 1000000, 'unixepoch')"
        " || printf('.%06dZ', rows.time_us % 1000000), gateways.name, items.device,"
        " items.service, items.name, rows.val, items.unit, items.datatype, rows.n, rows.row,"
        " rows.time_us FROM rows LEFT JOIN gateways ON gateways.id = rows.gateway"
        " LEFT JOIN items ON items.id = rows.item",
};

static const char *const history_sql[HISTORY_STATEMENTS] = {
    [HISTORY_GET_GATEWAY] = "SELECT id FROM gateways WHERE name = ?1",
    [HISTORY_PUT_GATEWAY] = "INSERT INTO gateways(name) VALUES(?1)",
    [HISTORY_GET_ITEM] = "SELECT id FROM items WHERE device = ?1 AND service = ?2 AND name = ?3"
                         " AND datatype = ?4 AND unit = ?5",
    [HISTORY_PUT_ITEM] = "INSERT INTO items(device, service, name, datatype, unit)"
                         " VALUES(?1, ?2, ?3, ?4, ?5)",
    [HISTORY_PUT_REPORT] =
        "INSERT INTO reports(gateway, n, topic, hash, signature, rows, received_us, account,"
        " first_us, last_us, marks) VALUES(?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11)"
        " ON CONFLICT DO NOTHING",
    [HISTORY_GET_HASH] = "SELECT hash FROM reports WHERE gateway = ?1 AND n = ?2",
    [HISTORY_PUT_ROW] = "INSERT OR REPLACE INTO rows(time_us, gateway, n, row, item, val)"
                        " VALUES(?1, ?2, ?3, ?4, ?5, ?6)",
    [HISTORY_GET_TOTALS] = "SELECT reports, rows FROM totals WHERE id = 1",
    [HISTORY_ADD_TOTALS] = "INSERT INTO totals(id, reports, rows) VALUES(1, ?1, ?2)"
                           " ON CONFLICT DO UPDATE SET reports = reports + excluded.reports,"
                           " rows = rows + excluded.rows",
};

int history_open(const char *path, enum history_mode mode, struct history **out, char *why,
                 size_t why_size)
{
    *out = NULL;
    struct history *history = calloc(1, sizeof(*history));
    if (history == NULL) {
        store_why(why, why_size, "%s: %s", path, sealmq_error_text(SEALMQ_E_NOMEM));
        return SEALMQ_E_NOMEM;
    }
    int error = db_open(path, mode == HISTORY_READ ? DB_READ : DB_WRITE_OR_CREATE, &history_kind,
                        &history->db, why, why_size);
    if (error == 0) {
        error = db_exec(history->db, "PRAGMA cache_size=-32768");
        if (error == 0)
            error =
                db_prepare_all(history->db, history_sql, history->statements, HISTORY_STATEMENTS);
        if (error != 0)
            (void)db_fail(history->db, sqlite3_extended_errcode(history->db), path, &history_kind,
                          why, why_size);
    }
    if (error != 0) {
        history_close(history);
        return error;
    }
    *out = history;
    return 0;
}

void history_close(struct history *history)
{
    if (history == NULL)
        return;
    db_finalize_all(history->statements, HISTORY_STATEMENTS);
    db_close(history->db);
    history_ids_clear(&history->gateways);
    history_ids_clear(&history->items);
    buf_close(&history->item_key);
    buf_close(&history->marks);
    free(history);
}

int history_begin(struct history *history)
{
    history->reports_added = 0;
    history->rows_added = 0;
    return db_begin(history->db);
}

int history_commit(struct history *history)
{
    if (history->reports_added != 0) {
        sqlite3_stmt *add = history->statements[HISTORY_ADD_TOTALS];
        db_bind_u64(add, 1, history->reports_added);
        db_bind_u64(add, 2, history->rows_added);
        int error = db_run(add);
        if (error != 0)
            return error;
    }
    int error = db_commit(history->db);
    if (error == 0)
        history->reports_added = history->rows_added = 0;
    return error;
}

void history_rollback(struct history *history)
{
    db_rollback(history->db);
    /* what was remembered may have been written by this batch */
    history_ids_clear(&history->gateways);
    history_ids_clear(&history->items);
    history->reports_added = history->rows_added = 0;
}

int history_totals(struct history *history, uint64_t *reports, uint64_t *rows)
{
    *reports = *rows = 0;
    sqlite3_stmt *get = history->statements[HISTORY_GET_TOTALS];
    int error = db_next(get);
    if (error == 0)
        error = db_column_u64(get, 0, reports);
    if (error == 0)
        error = db_column_u64(get, 1, rows);
    sqlite3_reset(get);
    if (error != 0)
        return error == SEALMQ_E_NOTFOUND ? SEALMQ_E_CORRUPT : error;
    *reports += history->reports_added;
    *rows += history->rows_added;
    return 0;
}
