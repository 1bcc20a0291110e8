/* The chain as a state machine: what is true after each block. Every node that applies the same
 * blocks has the same state and state root.
 *
 * State entries, as the state tree has them (values big-endian, docs/spec/state.md):
 *   "member/<id>"        role, status, keys with the heights from and until which they were valid
 *   "window/<sender>"    lowest request number not yet used, and a bitmap of those used above it
 *   "history/<gateway>"  next capture number to be covered, and the numbers that are pending
 *   "item/<gateway>/<num>" device, service, name, datatype, unit
 *   "validators", "parameters", "admins"
 *   "key/<hexadecimal>"  a log, cosigner or admin key, and whose it is for ever
 *
 * Requests change the state tentatively, between chain_begin and chain_rollback, or for good, in
 * chain_append; everything else here leaves the chain as it is. Whatever fails has changed nothing,
 * for want of memory too.
 *
 * Whatever governs the network (members and their keys, the set of validators, admins, parameters)
 * changes with the block after the one that says so: what holds for a block is what stands under
 * its state root. A member changes at most once in a block, and so do the set, the admins and the
 * parameters.
 *
 * Threads: one at a time may change a chain (chain_begin to chain_rollback, chain_append,
 * chain_check_block, chain_prove_state, and the two roots); meanwhile nobody else may use it.
 * Between changes any number may read it, chain_check_signatures included. */
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
    uint64_t since_height;   /* first block in which the key may sign */
    uint64_t revoked_height; /* last block in which it may; 0: active */
};

/* The chain at height 0, as the genesis says, which must be sealed. `genesis` is copied.
 * SEALMQ_E_NOMEM, SEALMQ_E_ARG (no validators or no admins). */
SEALMQ_MUST_CHECK int chain_new(const struct genesis *genesis, struct chain **out);
void chain_free(struct chain *chain);

const struct genesis *chain_genesis(const struct chain *chain);
uint64_t chain_height(const struct chain *chain);
const struct block_header *chain_tip(const struct chain *chain);
const struct hash *chain_tip_hash(const struct chain *chain);
/* Of the next block. */
const struct validator_set *chain_validators(const struct chain *chain);
const struct hash *chain_validators_hash(const struct chain *chain);
const struct admins_value *chain_admins(const struct chain *chain);
const struct genesis_parameters *chain_parameters(const struct chain *chain);
/* Who decides, or decided, the block at `height`: known of blocks that this set decides, and of the
 * last one that the set before it did. NULL: not known. */
const struct validator_set *chain_validators_at(const struct chain *chain, uint64_t height);
/* The first block that this set decides. */
uint64_t chain_validators_height(const struct chain *chain);
/* The last block that changed the admins. 0: none since the chain was made in memory. */
uint64_t chain_admins_height(const struct chain *chain);
void chain_state_root(const struct chain *chain, struct hash *out); /* for the next header */
void chain_log_root(const struct chain *chain, struct hash *out);   /* of all headers so far */
/* From its base on: that of the snapshot that the chain was made of, or what was not forgotten. */
const struct merkle_log *chain_log(const struct chain *chain);
/* The log's base becomes `base`, if it is lower, or what JOIN_BLOCKS leaves if that is less. */
void chain_forget_log(struct chain *chain, uint64_t base);

/* SEALMQ_E_NOTFOUND. */
SEALMQ_MUST_CHECK int chain_member(const struct chain *chain, struct bytes id, struct member *out);
/* The newest keys of an active member, the current one first; how many there are, at most `most`.
 * 0: no active member. */
size_t chain_member_keys(const struct chain *chain, struct bytes id, struct public_key *keys,
                         size_t most);
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
/* The height of the last block that executed a request of this id or changed it as a member. 0:
 * none since the chain was made in memory. */
uint64_t chain_changed_height(const struct chain *chain, struct bytes id);

/* Whether every signature that the request needs is there and valid in the next block: the
 * expensive part, which does not change the chain. Asked outside of tentative execution.
 * SEALMQ_E_UNKNOWN, _REVOKED, _SIGNATURE (the new key's own included), _DENIED (too few admins, or
 * not the sender's business). */
SEALMQ_MUST_CHECK int chain_check_signatures(const struct chain *chain,
                                             const struct request *request);
/* The same in two halves for DATA and DESCRIBE, which bear one signature: the key that it must be
 * of in the next block; the rest is request_verify. SEALMQ_E_UNKNOWN, _REVOKED, _DENIED; _TYPE: it
 * is of another kind. */
SEALMQ_MUST_CHECK int chain_signer_key(const struct chain *chain, const struct request *request,
                                       struct public_key *out);
/* The cheap part: number unused and in the window, sender active and of the right role, interval
 * starts where the last ended, pending ones known, items not redefined, record items described,
 * values of their types.
 *
 * May pass later, when other requests have been executed: SEALMQ_E_LIMIT (number too far ahead, or
 * over PENDING_MAX), _AGAIN (interval starts past the next number; member, validators, admins or
 * parameters changed in this block already; the header that a joiner has seen is not here yet),
 * _NOTFOUND (record item not described yet).
 * Never will: SEALMQ_E_REPLAY, _STALE (interval starts before the next number; the header that a
 * joiner has seen is too old), _CONFLICT, _UNKNOWN, _REVOKED, _DENIED, _EXISTS, _FULL (members,
 * keys, items, validators), _COUNT (too few validators would be left), _TYPE. */
SEALMQ_MUST_CHECK int chain_check_request(const struct chain *chain, const struct request *request);
/* Whether a request that was refused with this error may pass later. */
static inline bool chain_error_may_pass(int error)
{
    return error == SEALMQ_E_LIMIT || error == SEALMQ_E_AGAIN || error == SEALMQ_E_NOTFOUND ||
           error == SEALMQ_E_NOMEM;
}

/* Tentative execution. chain_execute does chain_check_request and, if it is fine, makes the change;
 * between begin and rollback only. The state root stays that of the last block. */
void chain_begin(struct chain *chain);
SEALMQ_MUST_CHECK int chain_execute(struct chain *chain, const struct request *request);
void chain_rollback(struct chain *chain);

/* A header for the next block with all that follows from the chain filled in (network, height,
 * parent, roots but the requests root, validator hashes for a block that leaves the set as it is,
 * difficulty). Left to the proposer: time, view, proposer, nonce. */
void chain_next_header(const struct chain *chain, struct block_header *out);

/* The same for a block of these requests (wire forms), which say who decides the block after it.
 * SEALMQ_E_*: why one of them cannot be executed. Between changes, as chain_check_block. */
SEALMQ_MUST_CHECK int chain_plan_header(struct chain *chain, const struct bytes *requests, size_t n,
                                        struct block_header *out);

/* Checks a block as the next one, whole: header fields, difficulty, time after the parent's (and at
 * most `ahead_us` past now_us, unless ahead_us is negative), proposer the primary of the header's
 * view, and every request executed in turn; then leaves the chain as it was. Signatures of requests
 * are not checked here: see chain_check_signatures.
 * SEALMQ_E_NETWORK, _STALE (below the next height), _AGAIN (above it, or too far ahead in time),
 * _HASH (parent, roots, validators), _PROTOCOL (difficulty, proposer, time not after the parent's),
 * and what request_decode and chain_check_request say of its requests. */
SEALMQ_MUST_CHECK int chain_check_block(struct chain *chain, const struct block *block,
                                        int64_t now_us, int64_t ahead_us);
/* The same checks (without time against a clock), and the chain is one block longer. */
SEALMQ_MUST_CHECK int chain_append(struct chain *chain, const struct block *block);

/* The value of a state entry, appended, with its path to the current state root, for proofs. Not
 * during tentative execution. SEALMQ_E_NOTFOUND. */
SEALMQ_MUST_CHECK int chain_prove_state(struct chain *chain, struct bytes key, struct buf *value,
                                        struct statetree_path *out);

#endif
