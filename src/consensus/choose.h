/* What a new view starts with: one pure function, the same for the primary that makes a NEW-VIEW
 * and for everyone who checks it (PBFT section 4.4, the computation of O). */
#ifndef SEALMQ_CONSENSUS_CHOOSE_H
#define SEALMQ_CONSENSUS_CHOOSE_H

#include "crypto/hash.h"

/* What one VIEW-CHANGE says, proved by its certificates. */
struct view_change_claim {
    uint64_t height; /* of its sender's newest final block */
    bool prepared;   /* has a prepared certificate for height + 1: */
    uint64_t prepared_view;
    struct hash prepared_header;
};

struct choice {
    uint64_t height; /* the first that the new view decides */
    bool again;      /* a block was prepared there, and is proposed again, byte for byte: */
    uint64_t prepared_view;
    struct hash header;
};

/* n >= 1. The result does not depend on the order of the claims. SEALMQ_E_CONFLICT when two claims
 * prove different blocks prepared in one view, which takes more than f liars. */
SEALMQ_MUST_CHECK int pbft_choose(const struct view_change_claim *claims, size_t n,
                                  struct choice *out);

#endif
