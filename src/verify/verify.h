/* Offline verification of one proof file against a policy: trusts nobody but the policy's keys. */
#ifndef SEALMQ_VERIFY_VERIFY_H
#define SEALMQ_VERIFY_VERIFY_H

#include "ledger/proof.h"

struct verify_result {
    enum proof_kind kind;
    struct block_header header;
    struct policy_result attested;
    struct checkpoint checkpoint;
    /* REQUEST, RECORD, ROW */
    char sender[ID_MAX + 1];
    uint64_t request_number;
    char fingerprint[FINGERPRINT_MAX]; /* of the key that signed; "" for kind REQUEST without state */
    /* RECORD and ROW, as text */
    char device[NAME_MAX_BYTES + 1], service[NAME_MAX_BYTES + 1], name[NAME_MAX_BYTES + 1];
    char unit[UNIT_MAX_BYTES + 1], datatype[8], value[VALUE_MAX_BYTES + 1];
    int64_t time_us;
    uint32_t item_num;       /* RECORD */
    uint64_t capture_number; /* ROW */
    char node[ID_MAX + 1];   /* ROW: who acknowledged the report */
    char why[160];           /* on failure: which step does not hold, in words */
};

/* `genesis_hash` is the network's (printed in the policy file as a comment, and given here because
 * the gateway's signature covers it). Steps: the note satisfies the policy; the header is in the
 * log; the request is in the block; its signature verifies under the key that the state had; the
 * record or row hangs under it. 0, or the error of the first step that fails. */
SEALMQ_MUST_CHECK int verify_proof(struct bytes proof, const struct policy *policy,
                                   const struct hash *genesis_hash, struct verify_result *out);

#endif
