/* The history: SQLite file history.db with every report a node has acknowledged.
 *   gateways(id INTEGER PRIMARY KEY, name)  items(id INTEGER PRIMARY KEY, device, service, name,
 *   datatype, unit)  reports(gateway, n, topic, hash, signature, rows, received_us, account,
 *   first_us, last_us, marks, PRIMARY KEY(gateway, n)) WITHOUT ROWID
 *   rows(time_us, gateway, n, row, item, val, PRIMARY KEY(time_us, gateway, n, row)) WITHOUT ROWID
 *   and the view `readings` that people query.
 * A value is stored as INTEGER or REAL where its text can be made again exactly from that, else as
 * TEXT. Writing is for one thread; any other connection may read.
 *
 * Two helps are kept with each report, and neither is evidence of anything: the time of its
 * earliest and its latest row, by which its rows are found quickly; and its `marks`, the first 4
 * bytes of each row's leaf hash, row i at offset 4 i, by which an audit names the row that was
 * changed. */
#ifndef SEALMQ_STORE_HISTORY_H
#define SEALMQ_STORE_HISTORY_H

#include "ledger/row.h"

struct history;

enum history_mode { HISTORY_WRITE /* creates it when missing */, HISTORY_READ };

SEALMQ_MUST_CHECK int history_open(const char *path, enum history_mode mode, struct history **out,
                                   char *why, size_t why_size);
void history_close(struct history *history);

#define HISTORY_MARK_SIZE 4 /* bytes of a row's leaf hash */

struct history_report {
    struct report_head head;
    struct hash hash;
    struct signature signature;
    struct bytes account; /* operating account (user name) */
    int64_t received_us;
    const struct row *rows;
};

/* Group commit: begin, many adds, commit (durable). A report is added whole or not at all.
 * history_add: 0; SEALMQ_E_EXISTS when (gateway, n) is there with the same hash (fine: acknowledge
 * again); SEALMQ_E_CONFLICT when with another hash (the stored one goes to *recorded);
 * SEALMQ_E_ARG, _LIMIT, _PARSE, _TYPE when the report is none that could be stored. Nothing of it
 * is then, and the batch may go on. Other errors (SEALMQ_E_FULL, _IO, _CORRUPT) void the batch:
 * roll back. */
SEALMQ_MUST_CHECK int history_begin(struct history *history);
SEALMQ_MUST_CHECK int history_add(struct history *history, const struct history_report *report,
                                  struct hash *recorded);
SEALMQ_MUST_CHECK int history_commit(struct history *history);
void history_rollback(struct history *history);

SEALMQ_MUST_CHECK int history_totals(struct history *history, uint64_t *reports, uint64_t *rows);

/* Reading back for audit and proofs, in order of (gateway name, n); rows of a report in order of
 * their number, taken from what the rows table really holds (which may be fewer or more than
 * reports.rows says; at most REPORT_ROWS_MAX + 1 are given). The callback's pointers are borrowed
 * for the call; non-zero return stops and is returned. `gateway` empty: all; n from..to inclusive.
 * Reports without rows, and rows without a report (then `stored` is NULL), are given too, and what
 * belongs to no gateway or has no possible number: one by one, first, with gateway "" and n 0, when
 * all are asked for from 0 on. Costs a pass over all rows, whatever is asked for, in memory that
 * does not grow with the file (sorting goes through temporary files). All is as of one moment. */
struct history_stored {
    struct report_head head; /* as stored in reports */
    struct hash hash;
    struct signature signature;
    struct bytes account;
    int64_t received_us;
    struct bytes marks; /* as they are: of any length, empty when the column is no blob */
    bool is_damaged;    /* a column is not what this program writes there, the helps aside */
};
struct history_stored_row {
    uint32_t number; /* the row's number in its report, 0 and up */
    struct row row;
    bool is_damaged; /* the item is missing, or a column is not what this program writes there, even
                        if its text is right (a number stored as text, say) */
};
typedef int (*history_report_fn)(void *context, struct bytes gateway, uint64_t n,
                                 const struct history_stored *stored,
                                 const struct history_stored_row *rows, size_t row_count);
SEALMQ_MUST_CHECK int history_each(struct history *history, struct bytes gateway, uint64_t from,
                                   uint64_t to, history_report_fn fn, void *context);
/* The same for few reports of one gateway, without the pass: a report's rows are looked up between
 * its first and last time. Should they not be as many as the report says, one pass over all rows is
 * made for it after all. Not given are rows without a report, and rows beyond those counted whose
 * time was changed: what asks whether anything was changed uses history_each. */
SEALMQ_MUST_CHECK int history_find(struct history *history, struct bytes gateway, uint64_t from,
                                   uint64_t to, history_report_fn fn, void *context);

#endif
