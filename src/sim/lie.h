/* The lies, one file for each family (lie_*.c), and what they have in common (lie.c). liar.c says
 * who tells which when. Buffers hold a message that is about to be sent: a lie changes it. */
#ifndef SEALMQ_SIM_LIE_H
#define SEALMQ_SIM_LIE_H

#include "sim/sim_int.h"

static inline bool tells(const struct sim_replica *replica, enum sim_lie lie)
{
    return ((replica->lies >> lie) & 1) != 0;
}
/* One in n. */
static inline bool one_in(struct sim *sim, uint64_t n)
{
    return sim_random_below(&sim->random, n) == 0;
}

/* lie.c */
void lie_send(struct sim *sim, const struct sim_replica *replica, enum pbft_message_kind kind,
              struct bytes bytes, unsigned to);
void lie_sign_vote(const struct sim *sim, const struct sim_replica *replica,
                   enum pbft_message_kind kind, struct msg_vote *m);
/* A signed message of `fields`, which are closed, into `out`: signed by the liar in its own name or
 * another's. */
void lie_sign(const struct sim *sim, const struct sim_replica *replica, int sender,
              enum pbft_message_kind kind, struct buf *fields, struct buf *out);
/* Damages a good signature, or makes one up. */
void lie_spoil_signature(struct sim *sim, struct signature *signature);
/* An honest replica, or any if there is none. */
unsigned lie_victim(struct sim *sim);
void lie_garble(struct sim *sim, struct buf *wire);

/* lie_proposal.c: false says that nothing is sent. */
bool lie_proposal(struct sim *sim, struct sim_replica *replica, unsigned to, struct buf *wire);
/* A proposal that nobody waits for, at a victim's place. */
void lie_propose(struct sim *sim, struct sim_replica *replica, const struct sim_replica *victim);
/* The block of a proposal that was seen; empty. */
struct bytes lie_find_block(const struct sim *sim, const struct hash *header);

/* lie_vote.c */
void lie_vote(struct sim *sim, struct sim_replica *replica, enum pbft_message_kind kind,
              unsigned to, struct buf *wire);
void lie_vote_unasked(struct sim *sim, struct sim_replica *replica);
/* A vote in somebody else's name. */
void lie_forge(struct sim *sim, struct sim_replica *replica);

/* lie_view.c */
void lie_view_change(struct sim *sim, struct sim_replica *replica, struct buf *wire);
bool lie_new_view(struct sim *sim, struct sim_replica *replica, struct buf *wire);
/* A NEW-VIEW of VIEW-CHANGEs that the liar has chosen. */
void lie_begin_view(struct sim *sim, struct sim_replica *replica);
void lie_leave_view(struct sim *sim, struct sim_replica *replica);

/* lie_sync.c */
void lie_status(struct sim *sim, struct sim_replica *replica, struct buf *wire);
void lie_blocks(struct sim *sim, struct sim_replica *replica, struct buf *wire);
void lie_checkpoint(struct sim *sim, struct sim_replica *replica, struct buf *wire);
void lie_sync_unasked(struct sim *sim, struct sim_replica *replica);

#endif
