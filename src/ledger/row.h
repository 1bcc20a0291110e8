/* Rows of a report in canonical form, and the report hash over them.
 *
 * Report hash: RFC 6962 root over a head leaf and one leaf for each row, in the report's order.
 *   head = "sealmq-report-1" || 0x00 || str8 gateway || str16 topic || u64 n || u32 rows
 *   row  = str8 device || str8 service || str8 name || u8 datatype || str8 unit || i64 time_us ||
 *          str16 value
 * The topic is the part below the gateway's id ("500001/RealTime"). A value is kept as its text. */
#ifndef SEALMQ_LEDGER_ROW_H
#define SEALMQ_LEDGER_ROW_H

#include "base/limits.h"
#include "crypto/hash.h"
#include "crypto/sign.h"

/* The last microsecond of the year 9999; times are from 0 to this. */
#define EVENTTIME_LAST_US (INT64_C(253402300800) * 1000000 - 1)

enum datatype { DATATYPE_INT = 1, DATATYPE_DOUBLE, DATATYPE_BOOL, DATATYPE_STRING };

/* "int", ...; NULL for a number that is none. */
const char *datatype_name(enum datatype type);
SEALMQ_MUST_CHECK int datatype_parse(struct bytes name, enum datatype *out);
/* Whether the text is a value of the type: int -?digits within a signed 64 bits; double a JSON
 * number, less than 1.7976931348623158e308 either way; bool true or false; string any UTF-8 up to
 * VALUE_MAX_BYTES without NUL. SEALMQ_E_TYPE, SEALMQ_E_LIMIT. */
SEALMQ_MUST_CHECK int datatype_check(enum datatype type, struct bytes value);

/* Borrowed strings. */
struct row {
    struct bytes device, service, name, unit, value;
    enum datatype type;
    int64_t time_us;
};

/* What names and signs one report. */
struct report_head {
    struct bytes gateway; /* id */
    struct bytes topic;   /* below the id */
    uint64_t n;           /* capture number */
    uint32_t rows;
};

/* Whether all of the row is as a report may have it: names, lengths, time, and a value of its type.
 * SEALMQ_E_PARSE, _LIMIT, _TYPE. */
SEALMQ_MUST_CHECK int row_check(const struct row *row);
/* Appended; the row's lengths must be within the limits. */
void row_encode(const struct row *row, struct buf *out);
/* Reads one row and checks it; the strings are borrowed from the reader's input. The error is the
 * reader's status too. */
SEALMQ_MUST_CHECK int row_decode(struct reader *r, struct row *out);
/* Checks lengths and the type's number only, so that a damaged row of a history has a hash too (a
 * wrong one). SEALMQ_E_LIMIT, _TYPE. */
SEALMQ_MUST_CHECK int row_leaf(const struct row *row, struct hash *out);
/* SEALMQ_E_LIMIT. */
SEALMQ_MUST_CHECK int report_head_leaf(const struct report_head *head, struct hash *out);
/* leaves[0] is the head leaf, then one for each row. */
void report_hash(const struct hash *leaves, size_t n, struct hash *out);

/* The gateway's signature of a report: over the report hash. */
#define REPORT_LABEL "sealmq/report/1"
void report_sign(const struct sign_key *key, const struct hash *genesis, const struct hash *report,
                 struct signature *out);
SEALMQ_MUST_CHECK int report_verify(const struct public_key *key, const struct hash *genesis,
                                    const struct hash *report, const struct signature *signature);

#endif
