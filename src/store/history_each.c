/* Reading the history back: the reports in the order of their key, the rows sorted into the same
 * order by SQLite, and the two merged; or few reports, each with its rows looked up. Nothing in the
 * file is believed to be what we wrote. */
#include "store/history_int.h"

#include <stdlib.h>

#define HASH_NONFATAL_OOM                                                                          \
    1 /* a failed HASH_ADD leaves hh.tbl NULL instead of ending the program                        \
       */
#include <uthash.h>

#define ITEMS_KEPT 65536 /* remembered between reports */

/* A gateway that exists, and a number that a report can have. All others are strays. */
#define KNOWN(table)                                                                               \
    "gateways.id = " table ".gateway AND typeof(gateways.name) = 'text'"                           \
    " AND typeof(" table ".n) = 'integer' AND " table ".n > 0"
#define REPORT_COLUMNS                                                                             \
    "reports.topic, reports.hash, reports.signature, reports.rows,"                                \
    " reports.received_us, reports.account, reports.marks"
/* what is found by a report's times and what all rows are searched for, alike */
#define ROW_COLUMNS "rows.n, rows.row, rows.time_us, rows.item, rows.val"
/* numbers that are none last: they are given as the highest one */
#define ROW_ORDER   "rows.row < 0, rows.row, rows.time_us"

enum { REPORTS, STRAY_REPORTS, ROWS, ITEM, FIND_REPORTS, FIND_ROWS, STATEMENTS };
static const char *const each_sql[STATEMENTS] = {
    [REPORTS] =
        "SELECT gateways.name, reports.n, " REPORT_COLUMNS
        " FROM gateways CROSS JOIN reports ON " KNOWN(
            "reports") " WHERE (?1 = '' OR gateways.name = ?1) AND reports.n BETWEEN ?2 AND ?3"
                       " ORDER BY gateways.name, reports.n",
    [STRAY_REPORTS] = "SELECT NULL, reports.n, " REPORT_COLUMNS " FROM reports"
                      " LEFT JOIN gateways ON " KNOWN("reports") " WHERE gateways.id IS NULL",
    [ROWS] = "SELECT gateways.name, " ROW_COLUMNS " FROM rows LEFT JOIN gateways ON " KNOWN(
        "rows") " WHERE (?1 = '' AND ?2 = 0 AND gateways.id IS NULL)"
                " OR (gateways.id IS NOT NULL AND (?1 = '' OR gateways.name = ?1)"
                " AND rows.n BETWEEN ?2 AND ?3)"
                " ORDER BY gateways.name, rows.n, " ROW_ORDER,
    [ITEM] = "SELECT device, service, name, datatype, unit FROM items WHERE id = ?1",
    [FIND_REPORTS] =
        "SELECT gateways.name, reports.n, " REPORT_COLUMNS
        ", reports.gateway, reports.first_us, reports.last_us FROM gateways CROSS JOIN reports "
        "ON " KNOWN("reports") " WHERE gateways.name = ?1 AND reports.n BETWEEN ?2 AND ?3"
                               " ORDER BY reports.n",
    [FIND_ROWS] = "SELECT NULL, " ROW_COLUMNS " FROM rows WHERE time_us BETWEEN ?1 AND ?2"
                  " AND gateway = ?3 AND n = ?4 ORDER BY " ROW_ORDER,
};

struct item_entry {
    int64_t id;
    struct row row; /* what all rows of the item have in common; its strings lie in `text` */
    bool is_damaged;
    UT_hash_handle hh;
    uint8_t text[];
};

struct each {
    sqlite3_stmt *statements[STATEMENTS];
    history_report_fn fn;
    void *context;
    struct item_entry *items;
    /* The rows of the report that is being put together, their values one after the other. */
    struct history_stored_row *rows;
    size_t *values_at;
    size_t row_count, row_capacity;
    struct buf values;
    /* Whether each cursor is on a row that was not used yet. */
    bool at_report, at_row;
};

/* ---- items ---- */

static struct item_entry *new_item(int64_t id, const struct row *row, bool is_damaged)
{
    size_t n = row->device.n + row->service.n + row->name.n + row->unit.n;
    struct item_entry *entry = calloc(1, sizeof(*entry) + n);
    if (entry == NULL)
        return NULL;
    entry->id = id;
    entry->row = *row;
    entry->is_damaged = is_damaged;
    uint8_t *p = entry->text;
    struct bytes *const strings[] = {&entry->row.device, &entry->row.service, &entry->row.name,
                                     &entry->row.unit};
    for (size_t i = 0; i < 4; i++) {
        if (strings[i]->n != 0)
            memcpy(p, strings[i]->p, strings[i]->n);
        strings[i]->p = p;
        p += strings[i]->n;
    }
    return entry;
}

/* Reads what stands in the items table. Names that are none become empty. */
static int read_item(sqlite3_stmt *get, struct row *row, bool *is_damaged)
{
    struct bytes *const strings[] = {&row->device, &row->service, &row->name, NULL, &row->unit};
    for (int i = 0; i < 5; i++) {
        struct bytes text;
        int error = db_column_text(get, i, &text);
        if (error == SEALMQ_E_NOMEM)
            return error;
        if (strings[i] == NULL)
            error = error == 0 ? datatype_parse(text, &row->type) : error;
        else if (error == 0 && text.n <= NAME_MAX_BYTES)
            *strings[i] = text;
        else
            error = SEALMQ_E_LIMIT;
        *is_damaged |= error != 0;
    }
    return 0;
}

static int find_item(struct each *each, int64_t id, struct item_entry **out)
{
    HASH_FIND(hh, each->items, &id, sizeof(id), *out);
    if (*out != NULL)
        return 0;
    struct row row = {.type = DATATYPE_STRING};
    bool is_damaged = false;
    sqlite3_stmt *get = each->statements[ITEM];
    sqlite3_bind_int64(get, 1, id);
    int error = db_next(get);
    if (error == 0)
        error = read_item(get, &row, &is_damaged);
    if (error == SEALMQ_E_NOTFOUND) {
        is_damaged = true;
        error = 0;
    }
    if (error == 0) {
        *out = new_item(id, &row, is_damaged);
        if (*out == NULL)
            error = SEALMQ_E_NOMEM;
    }
    sqlite3_reset(get);
    if (error != 0)
        return error;
    HASH_ADD(hh, each->items, id, sizeof(id), *out);
    if ((*out)->hh.tbl != NULL)
        return 0;
    free(*out);
    return SEALMQ_E_NOMEM;
}

static void forget_items(struct each *each)
{
    struct item_entry *entry, *next;
    HASH_ITER (hh, each->items, entry, next) {
        HASH_DEL(each->items, entry);
        free(entry);
    }
}

/* ---- rows ---- */

static bool reserve_row(struct each *each)
{
    if (each->row_count < each->row_capacity)
        return true;
    size_t capacity = each->row_capacity == 0 ? 64 : 2 * each->row_capacity;
    struct history_stored_row *rows = reallocarray(each->rows, capacity, sizeof(*rows));
    if (rows == NULL)
        return false;
    each->rows = rows;
    size_t *values_at = reallocarray(each->values_at, capacity, sizeof(*values_at));
    if (values_at == NULL)
        return false;
    each->values_at = values_at;
    each->row_capacity = capacity;
    return true;
}

/* The value's text, cut after one byte too many; a number's is in `number`. Tells whether it is
 * stored as this program would store it. */
static int read_value(sqlite3_stmt *rows, int at, enum datatype datatype,
                      char number[HISTORY_NUMBER_MAX], struct bytes *text, bool *is_as_written)
{
    struct history_value as_written;
    int type = sqlite3_column_type(rows, at);
    if (type == SQLITE_INTEGER) {
        history_integer_text(sqlite3_column_int64(rows, at), number);
        *text = bytes_str(number);
        *is_as_written = history_value_is_number(datatype);
        return 0;
    }
    if (type == SQLITE_FLOAT) {
        history_real_text(sqlite3_column_double(rows, at), number);
        *text = bytes_str(number);
        *is_as_written = history_value_is_number(datatype) &&
                         history_real_is_kept(sqlite3_column_double(rows, at));
        return 0;
    }
    const void *p = sqlite3_column_blob(rows, at);
    *text = bytes_of(p, (size_t)sqlite3_column_bytes(rows, at));
    if (p == NULL && text->n != 0)
        return SEALMQ_E_NOMEM;
    if (text->n > VALUE_MAX_BYTES)
        text->n = VALUE_MAX_BYTES + 1;
    history_value_of(datatype, *text, &as_written);
    *is_as_written = type == SQLITE_TEXT && as_written.type == SQLITE_TEXT;
    return 0;
}

/* Takes the row under the cursor `rows`. */
static int take_row(struct each *each, sqlite3_stmt *rows)
{
    struct item_entry *item;
    if (!reserve_row(each))
        return SEALMQ_E_NOMEM;
    int error = find_item(each, sqlite3_column_int64(rows, 4), &item);
    if (error != 0)
        return error;
    struct history_stored_row *out = &each->rows[each->row_count];
    uint64_t number;
    *out = (struct history_stored_row){.row = item->row, .is_damaged = item->is_damaged};
    if (db_column_u64(rows, 2, &number) != 0 || number > UINT32_MAX) {
        number = UINT32_MAX;
        out->is_damaged = true;
    }
    out->number = (uint32_t)number;
    out->row.time_us = sqlite3_column_int64(rows, 3);
    out->is_damaged |= sqlite3_column_type(rows, 3) != SQLITE_INTEGER ||
                       sqlite3_column_type(rows, 4) != SQLITE_INTEGER;
    char text[HISTORY_NUMBER_MAX];
    bool is_as_written;
    error = read_value(rows, 5, out->row.type, text, &out->row.value, &is_as_written);
    if (error != 0)
        return error;
    out->is_damaged |= !is_as_written;
    each->values_at[each->row_count] = each->values.n; /* its place is known when no more come */
    buf_append_bytes(&each->values, out->row.value);
    error = buf_status(&each->values);
    if (error == 0)
        each->row_count++;
    return error;
}

/* Hands out a report with the rows that were taken for it. */
static int give(struct each *each, struct bytes gateway, uint64_t n,
                const struct history_stored *stored)
{
    for (size_t i = 0; i < each->row_count; i++)
        each->rows[i].row.value.p = each->values.p + each->values_at[i];
    int error = each->fn(each->context, gateway, n, stored, each->rows, each->row_count);
    each->row_count = 0;
    buf_reset(&each->values);
    if (HASH_COUNT(each->items) > ITEMS_KEPT)
        forget_items(each);
    return error;
}

/* ---- reports ---- */

static bool read_blob(sqlite3_stmt *statement, int at, uint8_t *out, size_t size)
{
    struct bytes blob;
    if (db_column_blob(statement, at, &blob) != 0 || blob.n != size)
        return false;
    memcpy(out, blob.p, size);
    return true;
}

static void read_stored(sqlite3_stmt *reports, struct bytes gateway, uint64_t n,
                        struct history_stored *out)
{
    uint64_t rows;
    *out = (struct history_stored){.head = {.gateway = gateway, .n = n}};
    bool is_good = db_column_text(reports, 2, &out->head.topic) == 0;
    is_good &= read_blob(reports, 3, out->hash.b, HASH_SIZE);
    is_good &= read_blob(reports, 4, out->signature.b, SIGNATURE_SIZE);
    is_good &= db_column_u64(reports, 5, &rows) == 0 && rows <= UINT32_MAX;
    is_good &= sqlite3_column_type(reports, 6) == SQLITE_INTEGER;
    is_good &= db_column_text(reports, 7, &out->account) == 0;
    if (db_column_blob(reports, 8, &out->marks) != 0)
        out->marks = (struct bytes){0};
    out->head.rows = rows <= UINT32_MAX ? (uint32_t)rows : UINT32_MAX;
    out->received_us = sqlite3_column_int64(reports, 6);
    out->is_damaged = !is_good;
}

/* ---- both together ---- */

/* Moves a cursor on: *at tells whether it is on a row. */
static int move(sqlite3_stmt *statement, bool *at)
{
    int error = db_next(statement);
    *at = error == 0;
    return error == SEALMQ_E_NOTFOUND ? 0 : error;
}

static int give_strays(struct each *each)
{
    sqlite3_stmt *reports = each->statements[STRAY_REPORTS], *rows = each->statements[ROWS];
    int end, error = 0;
    while (error == 0 && (end = db_next(reports)) == 0) {
        struct history_stored stored;
        read_stored(reports, (struct bytes){0}, 0, &stored);
        error = give(each, (struct bytes){0}, 0, &stored);
    }
    sqlite3_reset(reports);
    if (error == 0 && end != SEALMQ_E_NOTFOUND)
        error = end;
    while (error == 0 && each->at_row && sqlite3_column_type(rows, 0) == SQLITE_NULL) {
        error = take_row(each, rows);
        if (error == 0)
            error = give(each, (struct bytes){0}, 0, NULL);
        if (error == 0)
            error = move(rows, &each->at_row);
    }
    return error;
}

/* What a cursor is on: gateway (borrowed from it) and number. */
struct key {
    struct bytes gateway;
    uint64_t n;
};

static int read_key(sqlite3_stmt *statement, struct key *out)
{
    int error = db_column_text(statement, 0, &out->gateway);
    return error == 0 ? db_column_u64(statement, 1, &out->n) : error;
}

static int compare_keys(const struct key *a, const struct key *b)
{
    int c = bytes_compare(a->gateway, b->gateway);
    return c != 0 ? c : (a->n > b->n) - (a->n < b->n);
}

/* Takes all rows of `key`, a copy; past the most that a report may have they are left out. */
static int take_rows(struct each *each, const struct key *key)
{
    sqlite3_stmt *rows = each->statements[ROWS];
    int error = 0;
    while (error == 0 && each->at_row) {
        struct key at;
        error = read_key(rows, &at);
        if (error != 0 || compare_keys(&at, key) != 0)
            return error;
        if (each->row_count <= REPORT_ROWS_MAX)
            error = take_row(each, rows);
        if (error == 0)
            error = move(rows, &each->at_row);
    }
    return error;
}

/* The next report or rows without one, whichever comes first. */
static int give_next(struct each *each, struct buf *name)
{
    sqlite3_stmt *reports = each->statements[REPORTS], *rows = each->statements[ROWS];
    struct key report = {0}, row = {0};
    int error = each->at_report ? read_key(reports, &report) : 0;
    if (error == 0 && each->at_row)
        error = read_key(rows, &row);
    if (error != 0)
        return error;
    bool has_report = each->at_report && (!each->at_row || compare_keys(&report, &row) <= 0);
    struct key key = has_report ? report : row;
    /* a copy: the cursor over the rows moves on before they are given */
    buf_reset(name);
    buf_append_bytes(name, key.gateway);
    error = buf_status(name);
    key.gateway = buf_bytes(name);
    if (error == 0)
        error = take_rows(each, &key);
    if (error != 0)
        return error;
    if (!has_report)
        return give(each, key.gateway, key.n, NULL);
    struct history_stored stored;
    read_stored(reports, key.gateway, key.n, &stored);
    error = give(each, key.gateway, key.n, &stored);
    return error == 0 ? move(reports, &each->at_report) : error;
}

static void bind_range(sqlite3_stmt *statement, struct bytes gateway, uint64_t from, uint64_t to)
{
    db_bind_text(statement, 1, gateway);
    db_bind_u64(statement, 2, from);
    db_bind_u64(statement, 3, to < INT64_MAX ? to : INT64_MAX);
}

static int walk(struct each *each, struct bytes gateway, uint64_t from, uint64_t to)
{
    struct buf name = {0};
    bind_range(each->statements[REPORTS], gateway, from, to);
    bind_range(each->statements[ROWS], gateway, from, to);
    int error = move(each->statements[REPORTS], &each->at_report);
    if (error == 0)
        error = move(each->statements[ROWS], &each->at_row);
    if (error == 0 && gateway.n == 0 && from == 0)
        error = give_strays(each);
    while (error == 0 && (each->at_report || each->at_row))
        error = give_next(each, &name);
    buf_close(&name);
    return error;
}

/* ---- few of them ---- */

/* Takes all that a statement gives. */
static int take_all(struct each *each, sqlite3_stmt *rows)
{
    int error = 0, end = 0;
    while (error == 0 && each->row_count <= REPORT_ROWS_MAX && (end = db_next(rows)) == 0)
        error = take_row(each, rows);
    sqlite3_reset(rows);
    return error != 0 || end == SEALMQ_E_NOTFOUND ? error : end;
}

/* The report under the cursor. Its times are a help and may be wrong, or its rows have others: then
 * all rows are searched. */
static int find_rows(struct each *each, const struct history_stored *stored)
{
    sqlite3_stmt *reports = each->statements[FIND_REPORTS], *find = each->statements[FIND_ROWS];
    sqlite3_bind_int64(find, 1, sqlite3_column_int64(reports, 10));
    sqlite3_bind_int64(find, 2, sqlite3_column_int64(reports, 11));
    sqlite3_bind_int64(find, 3, sqlite3_column_int64(reports, 9));
    db_bind_u64(find, 4, stored->head.n);
    int error = take_all(each, find);
    if (error != 0 || each->row_count == stored->head.rows)
        return error;
    each->row_count = 0;
    buf_reset(&each->values);
    bind_range(each->statements[ROWS], stored->head.gateway, stored->head.n, stored->head.n);
    return take_all(each, each->statements[ROWS]);
}

static int find(struct each *each, struct bytes gateway, uint64_t from, uint64_t to)
{
    sqlite3_stmt *reports = each->statements[FIND_REPORTS];
    bind_range(reports, gateway, from, to);
    int error = move(reports, &each->at_report);
    while (error == 0 && each->at_report) {
        struct key key;
        struct history_stored stored;
        error = read_key(reports, &key);
        if (error != 0)
            break;
        read_stored(reports, key.gateway, key.n, &stored);
        error = find_rows(each, &stored);
        if (error == 0)
            error = give(each, key.gateway, key.n, &stored);
        if (error == 0)
            error = move(reports, &each->at_report);
    }
    return error;
}

typedef int (*reading_fn)(struct each *each, struct bytes gateway, uint64_t from, uint64_t to);

static int read_with(reading_fn reading, struct history *history, struct bytes gateway,
                     uint64_t from, uint64_t to, history_report_fn fn, void *context)
{
    if (from > INT64_MAX || gateway.n > ID_MAX)
        return 0;
    struct each each = {.fn = fn, .context = context};
    /* One moment for all statements, unless the caller has chosen one. */
    bool is_ours = sqlite3_get_autocommit(history->db) != 0;
    int error = is_ours ? db_exec(history->db, "BEGIN") : 0;
    if (error != 0)
        return error;
    error = db_prepare_all(history->db, each_sql, each.statements, STATEMENTS);
    if (error == 0)
        error = reading(&each, gateway, from, to);
    db_finalize_all(each.statements, STATEMENTS);
    if (is_ours)
        db_rollback(history->db);
    forget_items(&each);
    buf_close(&each.values);
    free(each.rows);
    free(each.values_at);
    return error;
}

int history_each(struct history *history, struct bytes gateway, uint64_t from, uint64_t to,
                 history_report_fn fn, void *context)
{
    return read_with(walk, history, gateway, from, to, fn, context);
}

int history_find(struct history *history, struct bytes gateway, uint64_t from, uint64_t to,
                 history_report_fn fn, void *context)
{
    return gateway.n == 0 ? 0 : read_with(find, history, gateway, from, to, fn, context);
}
