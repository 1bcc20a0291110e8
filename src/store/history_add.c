/* Adding reports. A report that is there already is told from a new one by the database itself, so
 * that one earlier in the same batch counts too. */
#include "store/history_int.h"

#include "base/assert.h"
#include "base/id.h"

/* The number of a name: remembered, or in the database, or made. */
static int id_of(struct history *history, struct history_ids *ids, struct bytes name,
                 sqlite3_stmt *get, sqlite3_stmt *put, uint64_t *out)
{
    if (history_ids_get(ids, name, out) == 0)
        return 0;
    int error = db_next(get);
    if (error == 0)
        error = db_column_u64(get, 0, out);
    sqlite3_reset(get);
    if (error == SEALMQ_E_NOTFOUND) {
        error = db_run(put);
        *out = (uint64_t)sqlite3_last_insert_rowid(history->db);
    }
    if (error == 0)
        history_ids_put(ids, name, *out);
    return error;
}

static int gateway_id(struct history *history, struct bytes name, uint64_t *out)
{
    sqlite3_stmt *get = history->statements[HISTORY_GET_GATEWAY];
    sqlite3_stmt *put = history->statements[HISTORY_PUT_GATEWAY];
    db_bind_text(get, 1, name);
    db_bind_text(put, 1, name);
    return id_of(history, &history->gateways, name, get, put, out);
}

static void bind_item(sqlite3_stmt *statement, const struct row *row)
{
    db_bind_text(statement, 1, row->device);
    db_bind_text(statement, 2, row->service);
    db_bind_text(statement, 3, row->name);
    db_bind_text(statement, 4, bytes_str(datatype_name(row->type)));
    db_bind_text(statement, 5, row->unit);
}

static int item_id(struct history *history, const struct row *row, uint64_t *out)
{
    struct buf *key = &history->item_key;
    buf_reset(key);
    buf_append_str8(key, row->device);
    buf_append_str8(key, row->service);
    buf_append_str8(key, row->name);
    buf_append_u8(key, (uint8_t)row->type);
    buf_append_str8(key, row->unit);
    int error = buf_status(key);
    if (error != 0)
        return error;
    if (history_ids_get(&history->items, buf_bytes(key), out) == 0)
        return 0;
    sqlite3_stmt *get = history->statements[HISTORY_GET_ITEM];
    sqlite3_stmt *put = history->statements[HISTORY_PUT_ITEM];
    bind_item(get, row);
    bind_item(put, row);
    return id_of(history, &history->items, buf_bytes(key), get, put, out);
}

/* All that could not be stored as it is, or not be read again. */
static int check_report(const struct history_report *report)
{
    const struct report_head *head = &report->head;
    if (!id_is_valid(head->gateway) || head->n == 0 || head->n > SEQUENCE_MAX)
        return SEALMQ_E_ARG;
    if (head->rows > REPORT_ROWS_MAX || head->topic.n > TOPIC_MAX_BYTES ||
        report->account.n > VALUE_MAX_BYTES)
        return SEALMQ_E_LIMIT;
    for (uint32_t i = 0; i < head->rows; i++) {
        int error = row_check(&report->rows[i]);
        if (error != 0)
            return error;
    }
    return 0;
}

/* The first and last time of the rows; 0 of no rows. */
static void find_times(const struct history_report *report, int64_t *first, int64_t *last)
{
    *first = *last = report->head.rows == 0 ? 0 : report->rows[0].time_us;
    for (uint32_t i = 1; i < report->head.rows; i++) {
        int64_t at = report->rows[i].time_us;
        *first = at < *first ? at : *first;
        *last = at > *last ? at : *last;
    }
}

static int make_marks(const struct history_report *report, struct buf *out)
{
    buf_reset(out);
    for (uint32_t i = 0; i < report->head.rows; i++) {
        struct hash leaf;
        int error = row_leaf(&report->rows[i], &leaf);
        if (error != 0)
            return error;
        buf_append(out, leaf.b, HISTORY_MARK_SIZE);
    }
    return buf_status(out);
}

/* Whether the report that is there has the same hash. */
static int compare_hash(struct history *history, uint64_t gateway, uint64_t n,
                        const struct hash *hash, struct hash *recorded)
{
    struct bytes stored;
    sqlite3_stmt *get = history->statements[HISTORY_GET_HASH];
    db_bind_u64(get, 1, gateway);
    db_bind_u64(get, 2, n);
    int error = db_next(get);
    if (error == 0) {
        *recorded = (struct hash){0};
        /* A damaged one is another one: that must not stop the reports beside it. */
        if (db_column_blob(get, 0, &stored) == 0 && stored.n == HASH_SIZE)
            memcpy(recorded->b, stored.p, HASH_SIZE);
        error = hash_equal(recorded, hash) ? SEALMQ_E_EXISTS : SEALMQ_E_CONFLICT;
    }
    sqlite3_reset(get);
    return error == SEALMQ_E_NOTFOUND ? SEALMQ_E_CORRUPT : error;
}

static int put_report(struct history *history, uint64_t gateway,
                      const struct history_report *report, struct hash *recorded)
{
    sqlite3_stmt *put = history->statements[HISTORY_PUT_REPORT];
    int64_t first_us, last_us;
    int error = make_marks(report, &history->marks);
    if (error != 0)
        return error;
    find_times(report, &first_us, &last_us);
    db_bind_u64(put, 1, gateway);
    db_bind_u64(put, 2, report->head.n);
    db_bind_text(put, 3, report->head.topic);
    db_bind_blob(put, 4, hash_bytes(&report->hash));
    db_bind_blob(put, 5, bytes_of(report->signature.b, SIGNATURE_SIZE));
    db_bind_u64(put, 6, report->head.rows);
    sqlite3_bind_int64(put, 7, report->received_us);
    db_bind_text(put, 8, report->account);
    sqlite3_bind_int64(put, 9, first_us);
    sqlite3_bind_int64(put, 10, last_us);
    db_bind_blob(put, 11, buf_bytes(&history->marks));
    error = db_run(put);
    if (error == 0 && sqlite3_changes(history->db) == 0)
        error = compare_hash(history, gateway, report->head.n, &report->hash, recorded);
    return error;
}

static void bind_value(sqlite3_stmt *put, int at, const struct row *row)
{
    struct history_value value;
    history_value_of(row->type, row->value, &value);
    switch (value.type) {
    case SQLITE_INTEGER:
        sqlite3_bind_int64(put, at, value.integer);
        break;
    case SQLITE_FLOAT:
        sqlite3_bind_double(put, at, value.real);
        break;
    default:
        db_bind_text(put, at, value.text);
        break;
    }
}

static int put_row(struct history *history, uint64_t gateway, uint64_t n, uint32_t number,
                   const struct row *row)
{
    uint64_t item;
    int error = item_id(history, row, &item);
    if (error != 0)
        return error;
    sqlite3_stmt *put = history->statements[HISTORY_PUT_ROW];
    sqlite3_bind_int64(put, 1, row->time_us);
    db_bind_u64(put, 2, gateway);
    db_bind_u64(put, 3, n);
    db_bind_u64(put, 4, number);
    db_bind_u64(put, 5, item);
    bind_value(put, 6, row);
    return db_run(put);
}

int history_add(struct history *history, const struct history_report *report, struct hash *recorded)
{
    uint64_t gateway;
    int error = check_report(report);
    if (error != 0)
        return error;
    /* From here on errors are the database's: what passed is far below its own limits. */
    error = gateway_id(history, report->head.gateway, &gateway);
    if (error == 0)
        error = put_report(history, gateway, report, recorded);
    for (uint32_t i = 0; error == 0 && i < report->head.rows; i++)
        error = put_row(history, gateway, report->head.n, i, &report->rows[i]);
    if (error != 0)
        return error;
    history->reports_added++;
    history->rows_added += report->head.rows;
    return 0;
}
