/* A record: one data item written to the chain,
 * "<gateway id>/<device id>/<item number>/<timestamp>/<value>"; the gateway id has a slash of its
 * own, the value is last and may hold slashes. */
#ifndef SEALMQ_LEDGER_RECORD_H
#define SEALMQ_LEDGER_RECORD_H

#include "base/limits.h"
#include "base/text.h"
#include "crypto/hash.h"

/* The longest text of a record. */
#define RECORD_TEXT_MAX                                                                            \
    (ID_MAX + 1 + NAME_MAX_BYTES + 1 + 10 + 1 + (EVENTTIME_MAX - 1) + 1 + VALUE_MAX_BYTES)

/* Borrowed strings. The value is UTF-8 without NUL; whether it fits the item's type is not known
 * here. */
struct record {
    struct bytes gateway;
    struct bytes device;
    uint32_t num; /* 1 and up */
    int64_t time_us;
    struct bytes value;
};

/* Appended. */
void record_format(const struct record *record, struct buf *out);
/* SEALMQ_E_PARSE, SEALMQ_E_LIMIT. Only the canonical form is taken. */
SEALMQ_MUST_CHECK int record_parse(struct bytes text, struct record *out);
/* The same for a text that record_parse has taken before, without its time, which is 0 in *out. */
void record_split(struct bytes text, struct record *out);
/* Leaf hash of the text form: the leaf of a request's tree of records. SEALMQ_E_PARSE or
 * SEALMQ_E_LIMIT when the record has no text that parses, SEALMQ_E_NOMEM. */
SEALMQ_MUST_CHECK int record_leaf(const struct record *record, struct hash *out);

#endif
