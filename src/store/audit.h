/* The audit: does the history hold what the chain says, no more and no less?
 *
 * For each (gateway, n) the chain's last leaf is compared with the report's rows as stored:
 *   VERIFIED     hash built from the stored rows = the leaf's hash
 *   MODIFIED     rows are there, but hash to something else
 *   MISSING      the leaf says this node acknowledged it, but there is no report or no rows
 *   EXTRA        stored, but the chain covers n with a leaf that says it was dropped, or with
 * another node's acknowledgement; or rows without a report CONFLICTING  stored hash verifies under
 * the gateway's signature, but the chain has another UNANCHORED   stored, n not covered yet,
 * signature valid UNSIGNED     stored, not covered, and the signature is not the gateway's: added
 * behind the node RETIRED follows with retention. The block store is itself checked block by block
 * from the genesis (certificates, roots), and against a checkpoint note if one is given. */
#ifndef SEALMQ_STORE_AUDIT_H
#define SEALMQ_STORE_AUDIT_H

#include "store/blocks.h"
#include "store/history.h"

enum audit_verdict {
    AUDIT_VERIFIED,
    AUDIT_MODIFIED,
    AUDIT_MISSING,
    AUDIT_EXTRA,
    AUDIT_CONFLICTING,
    AUDIT_UNANCHORED,
    AUDIT_UNSIGNED,
    AUDIT_VERDICTS,
};
const char *audit_verdict_name(enum audit_verdict verdict);

enum audit_row_state {
    AUDIT_ROW_CHANGED, /* item, unit, value or time are not the signed ones */
    AUDIT_ROW_MISSING, /* not stored */
    AUDIT_ROW_SURPLUS, /* stored, though the report was signed without it */
};

/* A row that is not as it was signed. */
struct audit_row {
    uint32_t number;
    enum audit_row_state state;
    const struct history_stored_row *stored; /* NULL: missing */
};

struct audit_finding {
    enum audit_verdict verdict;
    struct bytes gateway;
    uint64_t n;
    /* The number of the row that offends, if it is one row alone (or the report's only one), else
     * -1. */
    int64_t row;
    /* Exactly the rows that offend, in order of their numbers, of a report that was MODIFIED or all
     * of whose rows are MISSING; a number comes more than once when there are several rows of it.
     * None where it cannot be told, and for other verdicts: then all of `rows` are suspect. Told by
     * the report's marks, so what knew of them could hide rows from this list, but not from the
     * verdict. */
    const struct audit_row *located;
    size_t located_count;
    bool is_as_signed; /* of a MODIFIED report: its rows do hash to what was signed, and something
                          else was changed: what is kept about it, or how a value is stored */
    const struct history_stored_row *rows; /* all, as stored; may be none */
    size_t row_count;
    struct hash stored, expected; /* hash built from the rows; the chain's */
    uint64_t height;              /* of the block that covers n; 0: none */
};

struct audit_totals {
    uint64_t reports[AUDIT_VERDICTS];
    uint64_t rows[AUDIT_VERDICTS];
    uint64_t blocks;
};

struct audit_options {
    const char *node;        /* whose database it is: its acknowledgements are looked for */
    struct bytes checkpoint; /* a note that the chain must contain; empty: none */
    struct bytes gateway;    /* empty: all */
    void *context;
    void (*finding)(void *context, const struct audit_finding *finding); /* all but VERIFIED and
                                                                            UNANCHORED */
    void (*progress)(void *context, uint64_t reports);                   /* may be NULL */
};

/* 0 when the audit ran to its end, whatever it found. SEALMQ_E_CORRUPT when the block store does
 * not hold together (`why` says where). */
SEALMQ_MUST_CHECK int audit_run(struct history *history, struct block_store *blocks,
                                const struct genesis *genesis, const struct audit_options *options,
                                struct audit_totals *totals, char *why, size_t why_size);
/* Whether anything is wrong (for the exit status). */
bool audit_is_clean(const struct audit_totals *totals);

#endif
