/* Offline verification of one proof file against a policy: trusts nobody but the policy's keys. */
#ifndef SEALMQ_VERIFY_VERIFY_H
#define SEALMQ_VERIFY_VERIFY_H

#include "ledger/proof.h"

/* What the proof shows. On an error all of it is zero but `why`. */
struct verify_result {
    enum proof_kind kind;
    struct block_header header;
    struct hash header_hash;
    struct policy_result attested;
    struct checkpoint checkpoint;
    /* REQUEST, RECORD, ROW */
    struct hash request; /* the request hash */
    enum request_kind request_kind;
    char sender[ID_MAX + 1];
    uint64_t request_number;
    char fingerprint[FINGERPRINT_MAX]; /* of the sender's key, whose signature was verified; "" for
                                          kind REQUEST without state entries: then no signature was
                                          verified here, only that the validators did */
    /* RECORD and ROW, as text */
    char device[NAME_MAX_BYTES + 1], service[NAME_MAX_BYTES + 1], name[NAME_MAX_BYTES + 1];
    char unit[UNIT_MAX_BYTES + 1], datatype[8], value[VALUE_MAX_BYTES + 1];
    int64_t time_us;
    uint32_t item_num; /* RECORD */
    /* ROW */
    uint64_t capture_number;
    char topic[TOPIC_MAX_BYTES + 1]; /* of the report, below the gateway's id */
    uint32_t row_number, rows;       /* which row of how many, from 0 */
    char node[ID_MAX + 1];           /* who acknowledged the report */
    char why[160];                   /* on failure: which step does not hold, in words */
};

/* `genesis_hash` is the network's (printed in the policy file as a comment, and given here because
 * the gateway's signature covers it). Steps, in this order:
 *   1. the file is well-formed                       SEALMQ_E_PARSE, _SHORT, _LIMIT, ...
 *   2. the checkpoint satisfies the policy           SEALMQ_E_SIGNATURE, _COUNT, _NETWORK
 *   3. the header is in the checkpoint's log, at the place of its height and for the same network
 *                                                    SEALMQ_E_HASH, _PARSE, _NETWORK, _CONFLICT
 *   4. the request is in the header's block          SEALMQ_E_HASH, _PARSE
 *   5. the state entries are under the header's state root, each is needed, none is missing
 *                                                    SEALMQ_E_HASH, _CONFLICT, _NOTFOUND
 *   6. the request's signatures are of keys that were valid then
 *                                                    SEALMQ_E_SIGNATURE, _REVOKED, _DENIED,
 * _UNKNOWN
 *   7. RECORD: it is the sender's, under the request's root, about the item, and of its type
 *      ROW: its report is acknowledged under the request's root; head and row are under the
 *      report's hash                                 SEALMQ_E_TYPE, _HASH, _PARSE, _CONFLICT
 * 0, or the error of the first step that fails. */
SEALMQ_MUST_CHECK int verify_proof(struct bytes proof, const struct policy *policy,
                                   const struct hash *genesis_hash, struct verify_result *out);

#endif
