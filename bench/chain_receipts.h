/* Checks receipts as a gateway does: nothing but the policy is believed. A checkpoint comes with
 * many receipts; its signatures are verified once. */
#ifndef SEALMQ_BENCH_CHAIN_RECEIPTS_H
#define SEALMQ_BENCH_CHAIN_RECEIPTS_H

#include "ledger/note.h"
#include "ledger/proof.h"

#define NOTES_KEPT 256

struct receipts_checker {
    struct policy *policy;
    struct kept_note {
        struct hash hash; /* of the whole note; zero: none */
        struct checkpoint checkpoint;
    } notes[NOTES_KEPT];
};

/* 0 when `proof` proves that the request of this hash is on the chain; *height is its block's. */
SEALMQ_MUST_CHECK int receipts_check(struct receipts_checker *checker, struct bytes proof,
                                     const struct hash *request, uint64_t *height);

#endif
