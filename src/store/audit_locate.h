/* Which rows of a report are not as they were signed. All that was signed is one hash of the whole
 * report, so this is told from the marks that were kept beside the rows: it helps people to find
 * the place, and no verdict depends on it. */
#ifndef SEALMQ_STORE_AUDIT_LOCATE_H
#define SEALMQ_STORE_AUDIT_LOCATE_H

#include "store/audit.h"

struct audit_located {
    struct audit_row *v; /* in order of their numbers */
    size_t n, capacity;
};

/* Replaces what `out` has, which points into `rows` then. Rows are as stored and in order of their
 * numbers, at most REPORT_ROWS_MAX + 1; `has_signed_hash`: they hash to what was signed, so that
 * none has another value. Nothing is located when the marks are not one for each row of the report;
 * only rows in a form that no node writes are then. SEALMQ_E_NOMEM. */
SEALMQ_MUST_CHECK int audit_locate(const struct history_stored *stored,
                                   const struct history_stored_row *rows, size_t row_count,
                                   bool has_signed_hash, struct audit_located *out);
void audit_located_close(struct audit_located *located);

#endif
