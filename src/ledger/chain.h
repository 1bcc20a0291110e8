/* The chain as a state machine: what is true after each block. Every node that applies the same
 * blocks has the same state and state root.
 *
 * State entries, as the state tree has them (values big-endian, docs/spec/state.md):
 *   "member/<id>"        role, status, keys with the heights from and until which they were valid
 *   "window/<sender>"    lowest request number not yet used, and a bitmap of those used above it
 *   "history/<gateway>"  next capture number to be covered, and the numbers that are pending
 *   "item/<gateway>/<num>" device, service, name, datatype, unit
 *   "validators", "parameters", "admins"
 *
 * Changes are made between chain_begin and chain_commit or chain_rollback. */
#ifndef SEALMQ_LEDGER_CHAIN_H
#define SEALMQ_LEDGER_CHAIN_H

#include "ledger/block.h"
#include "ledger/merkle.h"
#include "ledger/state_entry.h"
#include "ledger/statetree.h"

struct chain;

struct member {
    char id[ID_MAX + 1];
    enum member_role role;
    enum member_status status;
    struct public_key key;   /* the current one, or the last */
    uint64_t since_height;   /* of the key */
    uint64_t revoked_height; /* 0: active */
};

/* The chain at height 0, as the genesis says. `genesis` is copied. */
SEALMQ_MUST_CHECK int chain_new(const struct genesis *genesis, struct chain **out);
void chain_free(struct chain *chain);

const struct genesis *chain_genesis(const struct chain *chain);
uint64_t chain_height(const struct chain *chain);
const struct block_header *chain_tip(const struct chain *chain);
const struct hash *chain_tip_hash(const struct chain *chain);
const struct validator_set *chain_validators(const struct chain *chain); /* for the next block */
void chain_state_root(const struct chain *chain, struct hash *out); /* for the next header */
void chain_log_root(const struct chain *chain, struct hash *out);   /* of all headers so far */
const struct merkle_log *chain_log(const struct chain *chain);

/* SEALMQ_E_NOTFOUND. */
SEALMQ_MUST_CHECK int chain_member(const struct chain *chain, struct bytes id, struct member *out);
typedef void (*chain_member_fn)(void *context, const struct member *member);
void chain_members_each(const struct chain *chain, chain_member_fn fn, void *context);
/* The item's strings are borrowed until the next change. SEALMQ_E_NOTFOUND. */
SEALMQ_MUST_CHECK int chain_item(const struct chain *chain, struct bytes gateway, uint32_t num,
                                 struct item *out);
/* Where a gateway's history stands: the next capture number to be covered, how many are pending. */
void chain_history_next(const struct chain *chain, struct bytes gateway, uint64_t *next,
                        size_t *pending);
/* The lowest request number that a sender has not used. */
uint64_t chain_request_next(const struct chain *chain, struct bytes sender);
bool chain_request_used(const struct chain *chain, struct bytes sender, uint64_t number);

/* Whether every signature that the request needs is there and valid under the state: the expensive
 * part, which does not change the chain. SEALMQ_E_UNKNOWN, _REVOKED, _SIGNATURE, _DENIED (too few
 * admins). */
SEALMQ_MUST_CHECK int chain_check_signatures(const struct chain *chain,
                                             const struct request *request);
/* The cheap part: number unused and in the window, sender active and of the right role, interval
 * starts where the last ended, pending ones known, items not redefined, record items described.
 * SEALMQ_E_REPLAY, _LIMIT (number too far ahead), _UNKNOWN, _REVOKED, _CONFLICT, _STALE. */
SEALMQ_MUST_CHECK int chain_check_request(const struct chain *chain,
                                          const struct request *request);

/* Tentative execution. chain_execute does chain_check_request and, if it is fine, makes the change;
 * between begin and commit/rollback only. */
void chain_begin(struct chain *chain);
SEALMQ_MUST_CHECK int chain_execute(struct chain *chain, const struct request *request);
void chain_rollback(struct chain *chain);

/* A header for the next block with all that follows from the chain filled in (network, height,
 * parent, roots but the requests root, validator hashes, difficulty). */
void chain_next_header(const struct chain *chain, struct block_header *out);

/* Checks a block as the next one, whole: header fields, difficulty, time after the parent's (and at
 * most `ahead_us` past now_us, unless ahead_us is negative), and every request executed in turn;
 * then leaves the chain as it was. Signatures of requests are not checked here: see
 * chain_check_signatures. */
SEALMQ_MUST_CHECK int chain_check_block(struct chain *chain, const struct block *block,
                                        int64_t now_us, int64_t ahead_us);
/* The same checks (without time against a clock), and the chain is one block longer. */
SEALMQ_MUST_CHECK int chain_append(struct chain *chain, const struct block *block);

/* A state entry with its path to the current state root, for proofs: appends to key, value. */
SEALMQ_MUST_CHECK int chain_prove_state(struct chain *chain, struct bytes key, struct buf *value,
                                        struct statetree_path *out);

#endif
