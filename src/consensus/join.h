/* A new node's way to the chain by a snapshot, without I/O: which peer is asked for what, and what
 * is believed of the answers. One join makes one chain, whose tip is the snapshot's header; blocks
 * after it are the core's business (pbft.h), headers before it the host's.
 *
 *   LOOKING   manifests are asked of all peers; one that its own certified next header makes true,
 * and of those the one of the greatest height that most peers give, is taken TAKING    chunks are
 * asked of the peers that gave it, several at once; each is checked against the manifest when it
 * comes, and goes into the chain in order DONE      the state root was that of the certified header
 *   NONE      nobody has a snapshot that can be checked: the chain is to be fetched from the
 * genesis
 *
 * A peer that is late or gives what does not hold is not asked again; when a whole snapshot turns
 * out wrong at its end, none of those that gave it is. Certificates are held against the validators
 * of the genesis: where these were changed since, a snapshot cannot be checked, and the join ends
 * with NONE. */
#ifndef SEALMQ_CONSENSUS_JOIN_H
#define SEALMQ_CONSENSUS_JOIN_H

#include "consensus/message.h"
#include "ledger/snapshot.h"

struct join;

enum join_state { JOIN_LOOKING, JOIN_TAKING, JOIN_DONE, JOIN_NONE };

/* `genesis` is borrowed until join_free; `self` is our index among its validators. SEALMQ_E_NOMEM.
 */
SEALMQ_MUST_CHECK int join_new(const struct genesis *genesis, int self, uint64_t now_ms,
                               struct join **out);
void join_free(struct join *join);

/* A peer that can be asked, heard of late; before each join_next. */
void join_peer(struct join *join, int peer, bool is_there);
/* The next thing to ask: false when there is none now. To be called until then, again after each
 * answer, and JOIN_STEP_MS later. */
#define JOIN_STEP_MS 250
bool join_next(struct join *join, uint64_t now_ms, int *peer, struct msg_ask *out);
/* A PART message, delivered by `peer`. 0, or why it is of no use: the peer is blamed for all but
 * SEALMQ_E_STALE (not asked for). SEALMQ_E_NOMEM leaves the join as it was. */
SEALMQ_MUST_CHECK int join_part(struct join *join, int peer, const struct msg_part *part,
                                uint64_t now_ms);

enum join_state join_state(const struct join *join);
/* Chunks so far, and in all; 0 of 0 as long as there is no manifest. */
void join_progress(const struct join *join, uint64_t *height, uint32_t *done, uint32_t *all);
/* What certifies the chain, borrowed from the join: the certificate of its tip, and the next
 * header, which makes the snapshot true, with its certificate. */
struct join_certified {
    struct bytes certificate, next, next_certificate;
};
/* In DONE, once: the chain, which the caller takes. */
struct chain *join_take(struct join *join, struct join_certified *out);

#endif
