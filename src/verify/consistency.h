/* Offline verification that the log of headers has only grown since a checkpoint that one has. */
#ifndef SEALMQ_VERIFY_CONSISTENCY_H
#define SEALMQ_VERIFY_CONSISTENCY_H

#include "ledger/consistency.h"

struct consistency_result {
    struct checkpoint old, now;
    struct policy_result attested; /* of the later one */
    char why[160];                 /* on failure, in words */
};

/* `since` is what one has: a checkpoint (signed or not), or a proof file or consistency proof, for
 * the checkpoint in it. Its signatures are not checked: it is one's own, and what the answer is
 * about. `proof` is a consistency proof from it on; its checkpoint must satisfy the policy.
 *
 * SEALMQ_E_PARSE, _SHORT, _LIMIT, ...: not such files. SEALMQ_E_CONFLICT: the proof is not from
 * this size. SEALMQ_E_NETWORK: of another log, or one that the policy does not name.
 * SEALMQ_E_SIGNATURE, _COUNT: the later checkpoint. SEALMQ_E_HASH: the log that was seen is not
 * part of the later one. SEALMQ_E_NOMEM. On an error all of *out is zero but `why`. */
SEALMQ_MUST_CHECK int verify_consistency(struct bytes since, struct bytes proof,
                                         const struct policy *policy,
                                         struct consistency_result *out);

#endif
