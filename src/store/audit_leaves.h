/* What the chain says of every report, sorted: the leaves of all history intervals, in a temporary
 * database that SQLite keeps in memory while it is small and in a file when it is not. */
#ifndef SEALMQ_STORE_AUDIT_LEAVES_H
#define SEALMQ_STORE_AUDIT_LEAVES_H

#include "ledger/block.h"

struct audit_leaves;

enum audit_leaf_kind { AUDIT_LEAF_OURS, AUDIT_LEAF_OTHERS, AUDIT_LEAF_DROPPED, AUDIT_LEAF_PENDING };

struct audit_leaf {
    struct bytes gateway; /* borrowed until the next one */
    uint64_t n;
    enum audit_leaf_kind kind;
    struct hash report;
    uint64_t height; /* of the block that covers n */
};

/* `node` decides what is ours, `gateway` (empty: all) which leaves are kept; both borrowed. */
SEALMQ_MUST_CHECK int audit_leaves_new(struct bytes node, struct bytes gateway,
                                       struct audit_leaves **out);
void audit_leaves_free(struct audit_leaves *leaves);
/* Takes the leaves of the next block. A later leaf for the same number replaces an earlier one. */
SEALMQ_MUST_CHECK int audit_leaves_add(struct audit_leaves *leaves, const struct block *block);
/* After the last block: the leaves in order of (gateway, n). SEALMQ_E_NOTFOUND at the end. */
SEALMQ_MUST_CHECK int audit_leaves_next(struct audit_leaves *leaves, struct audit_leaf *out);

#endif
