/* The inside of the history. For src/store/history*.c only.
 *
 *   history.c        opening, transactions, totals
 *   history_add.c    adding reports
 *   history_each.c   reading them back
 *   history_value.c  how a value's text is stored
 *   history_ids.c    names to numbers, remembered */
#ifndef SEALMQ_STORE_HISTORY_INT_H
#define SEALMQ_STORE_HISTORY_INT_H

#include "store/history.h"
#include "store/sqlite.h"

struct history_id;

/* Names, as bytes, and the numbers that stand for them in the database. */
struct history_ids {
    struct history_id *first;
    size_t n;
};
/* SEALMQ_E_NOTFOUND. */
SEALMQ_MUST_CHECK int history_ids_get(const struct history_ids *ids, struct bytes name,
                                      uint64_t *out);
/* Remembers a name that is not there yet; for want of memory it does not. */
void history_ids_put(struct history_ids *ids, struct bytes name, uint64_t id);
void history_ids_clear(struct history_ids *ids);

enum history_statement {
    HISTORY_GET_GATEWAY,
    HISTORY_PUT_GATEWAY,
    HISTORY_GET_ITEM,
    HISTORY_PUT_ITEM,
    HISTORY_PUT_REPORT,
    HISTORY_GET_HASH,
    HISTORY_PUT_ROW,
    HISTORY_GET_TOTALS,
    HISTORY_ADD_TOTALS,
    HISTORY_STATEMENTS,
};

struct history {
    sqlite3 *db;
    sqlite3_stmt *statements[HISTORY_STATEMENTS];
    struct history_ids gateways, items; /* as in the database, the current batch included */
    struct buf item_key, marks;         /* of what is being added */
    uint64_t reports_added, rows_added; /* by the current batch */
};

/* How a value is stored. */
struct history_value {
    int type; /* SQLITE_INTEGER, SQLITE_FLOAT or SQLITE_TEXT */
    int64_t integer;
    double real;
    struct bytes text; /* borrowed */
};
#define HISTORY_NUMBER_MAX 32 /* the text of a number, with final zero */
void history_value_of(enum datatype type, struct bytes text, struct history_value *out);
/* Whether values of the type may be stored as numbers, and this REAL be one of them: not a zero
 * with a sign, which not every tool keeps. */
bool history_value_is_number(enum datatype type);
bool history_real_is_kept(double v);
/* The one text that a stored number stands for. */
void history_integer_text(int64_t v, char out[HISTORY_NUMBER_MAX]);
void history_real_text(double v, char out[HISTORY_NUMBER_MAX]);

#endif
