/* PRE-PREPARE (PBFT section 4.2): the primary proposes a block; the others check it whole before
 * they vote. There are two ways to a proposal: a fresh one, whose header names this view, comes
 * from here; one that is proposed again comes with the NEW-VIEW (new_view.c) and is already
 * prepared. */
#include "consensus/pbft_int.h"

#define DAMAGED "block of a pre-prepare"

static bool has_proposal(const struct pbft *p)
{
    return p->proposal != NULL && p->proposal->view == p->view;
}

/* The new view's choice comes first, and nothing of it can be proposed below its height. */
static bool is_bound_by_new_view(const struct pbft *p)
{
    uint64_t height = next_height(p);
    return p->new_view.set && (height < p->new_view.height ||
                               (height == p->new_view.height && p->new_view.choice.again));
}

static bool can_propose(const struct pbft *p)
{
    return is_primary(p) && !p->changing && !has_proposal(p) && p->may_select &&
           !is_bound_by_new_view(p) && peers_height(p) <= tip_height(p) &&
           mempool_count(p->mempool) > 0;
}

/* An idle primary proposes at once. After a block it waits a little for more requests, unless there
 * are enough for a whole block. */
static uint64_t wait_until_ms(const struct pbft *p)
{
    if (!p->had_block || p->timing.batch_ms == 0 ||
        mempool_count(p->mempool) >= BLOCK_REQUESTS_MAX ||
        mempool_bytes(p->mempool) >= BLOCK_BYTES_MAX)
        return 0;
    return p->last_block_ms + p->timing.batch_ms;
}

uint64_t propose_deadline_ms(const struct pbft *p)
{
    if (!can_propose(p))
        return UINT64_MAX;
    uint64_t until_ms = wait_until_ms(p);
    return until_ms > p->now_ms ? until_ms : p->now_ms;
}

/* Puts the chosen requests into a block that names this view, and begins to work on it. */
static int begin_block(struct pbft *p, size_t count)
{
    struct block_header header;
    struct buf block = {0};
    int error = chain_plan_header(p->chain, p->selected, count, &header);
    if (error != 0)
        return error;
    int64_t parent_us = chain_tip(p->chain)->time_us;
    header.time_us = p->wall_us > parent_us ? p->wall_us : parent_us + 1;
    header.view = p->view;
    memcpy(header.proposer, p->id, sizeof(header.proposer));
    header.nonce = 0;
    error = block_encode(&header, p->selected, count, &block);
    if (error == 0)
        work_begin(p, &header, &block);
    buf_close(&block);
    return error;
}

static int make_proposal(struct pbft *p, struct bytes wire, struct proposal **out)
{
    struct block block;
    int error = block_decode(wire, &block);
    if (error == 0)
        error = chain_check_block(p->chain, &block, 0, -1);
    if (error != 0)
        return error;
    struct vote tuple;
    struct signature vote;
    vote_tuple(p, p->view, next_height(p), &block.hash, &tuple);
    vote_sign(p->key, PREPARE_LABEL, genesis_hash(p), &tuple, &vote);
    return proposal_new(p, p->view, next_height(p), &block.hash, &vote, wire, out);
}

/* Chooses requests and begins with a block of them; false when none can be proposed. */
static bool begin_proposal(struct pbft *p, int *error)
{
    size_t count = 0, before = mempool_count(p->mempool);
    *error = mempool_select(p->mempool, p->chain, BLOCK_BYTES_MAX, BLOCK_REQUESTS_MAX, p->selected,
                            &count);
    size_t dropped = before - mempool_count(p->mempool);
    if (dropped > 0)
        update_note(p, PBFT_NOTE_REQUEST_DROPPED, -1, SEALMQ_E_STALE, dropped, "never executable");
    if (*error == 0 && count != 0)
        *error = begin_block(p, count);
    return *error == 0 && count != 0;
}

void propose(struct pbft *p)
{
    if (!can_propose(p)) {
        work_drop(p);
        return;
    }
    /* One block a step: a lone validator would otherwise never come back. */
    if (p->proposed_this_step || wait_until_ms(p) > p->now_ms)
        return;
    int error = 0;
    struct proposal *proposal = NULL;
    if (!work_is_current(p) && !begin_proposal(p, &error) && error == 0) {
        p->may_select = false;
        return;
    }
    if (error == 0 && !work_go_on(p))
        return;
    if (error == 0)
        error = make_proposal(p, buf_bytes(&p->work.block), &proposal);
    work_drop(p);
    p->proposed_this_step = true;
    if (error != 0) {
        if (error == SEALMQ_E_NOMEM)
            p->failed = error;
        p->may_select = false;
        update_note(p, PBFT_NOTE_REFUSED, p->self, error, next_height(p), "own proposal");
        return;
    }
    proposal_accept(p, proposal);
    update_send(p, PBFT_MSG_PRE_PREPARE, -1, buf_bytes(&proposal->wire));
    p->resend_ms = p->now_ms;
    for (size_t i = 0; i < p->n; i++)
        p->peers[i].block_sent_ms = p->now_ms;
}

void proposal_accept(struct pbft *p, struct proposal *proposal)
{
    ASSERT(!p->changing && proposal->view == p->view && proposal->height == next_height(p));
    ASSERT(!has_proposal(p));
    proposal_release(p, &p->proposal);
    p->proposal = proposal;
    update_dirty(p, PBFT_SLOT_PROPOSAL);
    if (p->prepared.set)
        update_dirty(p, PBFT_SLOT_PREPARED); /* its block may have been this slot's until now */
    p->again = true;

    /* The primary's PRE-PREPARE is its PREPARE. */
    int primary = primary_of(p, p->view);
    struct kept_vote vote = {.view = proposal->view, .height = proposal->height};
    vote.header = proposal->header;
    vote.signature = proposal->vote;
    int error = vote_put(p, VOTE_PREPARE, primary, &vote);
    ASSERT(error == 0 || error == SEALMQ_E_EXISTS || primary != p->self);
    if (p->votes && primary != p->self)
        vote_cast(p, VOTE_PREPARE, proposal->view, proposal->height, &proposal->header);
}

static void refuse(struct pbft *p, const struct proposal *proposal, int error, const char *words)
{
    p->suspect = true;
    update_note(p, PBFT_NOTE_REFUSED, primary_of(p, proposal->view), error, proposal->height,
                words);
}

/* Whether each of the block's requests waits in the mempool, which holds only what was checked. */
static bool knows_requests(struct pbft *p, const struct block *block)
{
    struct bytes list = block->requests, wire;
    while (block_requests_next(&list, &wire)) {
        struct bytes leaf;
        struct hash hash;
        if (request_leaf_of(wire, &leaf) != 0)
            return false;
        hash_leaf(leaf, &hash);
        if (!mempool_has(p->mempool, &hash))
            return false;
    }
    return true;
}

/* A fresh proposal of this view and height. Takes the reference. */
static void consider(struct pbft *p, struct proposal *proposal)
{
    const struct block_header *header = &proposal->block.header;
    int error = 0;
    if (has_proposal(p) || is_bound_by_new_view(p)) {
        const struct hash *ours =
            has_proposal(p) ? &p->proposal->header : &p->new_view.choice.header;
        bool same_height = has_proposal(p) || next_height(p) == p->new_view.height;
        if (same_height && !hash_equal(ours, &proposal->header)) {
            p->suspect = true;
            update_note(p, PBFT_NOTE_MISBEHAVIOUR, primary_of(p, proposal->view), SEALMQ_E_CONFLICT,
                        proposal->height, "another proposal for this view");
        }
        proposal_release(p, &proposal);
        return;
    }
    if (header->view != proposal->view ||
        !bytes_equal(bytes_str(header->proposer),
                     bytes_str(validator_at(p, primary_of(p, proposal->view))->id)))
        error = SEALMQ_E_PROTOCOL;
    else
        error = chain_check_block(p->chain, &proposal->block, p->wall_us,
                                  (int64_t)p->timing.time_ahead_ms * 1000);
    if (error == 0 && proposal->block.request_count == 0)
        error = SEALMQ_E_COUNT;
    if (error == SEALMQ_E_NOMEM)
        p->failed = error;
    if (error != 0) {
        if (proposal_check_requests(proposal) == 0)
            refuse(p, proposal, error, "proposal");
        else /* not the primary's doing, or not to be told from that */
            update_note(p, PBFT_NOTE_REFUSED, -1, error, proposal->height, DAMAGED);
        proposal_release(p, &proposal);
        return;
    }
    /* Who does not vote vouches for nothing, and waits for those who do. */
    if (!p->votes || knows_requests(p, &proposal->block)) {
        proposal_accept(p, proposal);
        return;
    }
    proposal_release(p, &p->candidate);
    p->candidate = proposal;
    p->to_verify = proposal;
}

void pre_prepare_verified(struct pbft *p, const struct hash *header, bool valid)
{
    if (p->candidate == NULL || !hash_equal(&p->candidate->header, header))
        return; /* of a view or height that is over */
    struct proposal *proposal = p->candidate;
    p->candidate = NULL;
    if (valid && !has_proposal(p)) {
        proposal_accept(p, proposal);
        return;
    }
    if (!valid)
        refuse(p, proposal, SEALMQ_E_SIGNATURE, "a request in the proposal");
    proposal_release(p, &proposal);
}

static bool is_known(const struct pbft *p, const struct msg_vote *m)
{
    struct proposal *const known[] = {p->proposal, p->candidate, p->buffered};
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
        if (known[i] != NULL && known[i]->view == m->view && known[i]->height == m->height &&
            hash_equal(&known[i]->header, &m->header))
            return true;
    return false;
}

void pre_prepare_receive(struct pbft *p, struct bytes bytes)
{
    struct msg_vote m;
    int error = message_decode_vote(bytes, PBFT_MSG_PRE_PREPARE, &m);
    if (error == 0 && ((size_t)m.sender >= p->n || m.sender != primary_of(p, m.view)))
        error = SEALMQ_E_UNKNOWN;
    if (error != 0) {
        update_note(p, PBFT_NOTE_REFUSED, -1, error, 0, "pre-prepare");
        return;
    }
    if (m.sender == p->self || m.height <= tip_height(p) || m.view < p->view || is_known(p, &m))
        return;
    struct vote tuple;
    vote_tuple(p, m.view, m.height, &m.header, &tuple);
    error = vote_verify(&validator_at(p, m.sender)->key, PREPARE_LABEL, genesis_hash(p), &tuple,
                        &m.signature);
    if (error != 0) {
        update_note(p, PBFT_NOTE_REFUSED, m.sender, error, m.height, "pre-prepare");
        return;
    }
    peer_heard(p, m.sender);
    peer_claims_height(p, m.sender, m.height - 1);
    /* A later view's proposal comes with its NEW-VIEW, or once we are there: those who have it send
     * it when our STATUS says that we do not. */
    if (m.view != p->view || m.height > next_height(p) + 1)
        return;
    struct kept_vote vote = {.view = m.view, .height = m.height, .header = m.header};
    vote.signature = m.signature;
    if (vote_put(p, VOTE_PREPARE, m.sender, &vote) == SEALMQ_E_CONFLICT) {
        p->suspect = true;
        update_note(p, PBFT_NOTE_MISBEHAVIOUR, m.sender, SEALMQ_E_CONFLICT, m.height,
                    "two proposals for one height and view");
        return;
    }
    struct proposal *proposal;
    error = proposal_new(p, m.view, m.height, &m.header, &m.signature, m.block, &proposal);
    if (error != 0) {
        /* The vote is the primary's, the block need not be: anyone could have put it there. */
        update_note(p, PBFT_NOTE_REFUSED, -1, error, m.height, DAMAGED);
        return;
    }
    if (p->changing || m.height > next_height(p)) {
        proposal_release(p, &p->buffered);
        p->buffered = proposal;
        return;
    }
    consider(p, proposal);
}

void pre_prepare_resume(struct pbft *p)
{
    struct proposal *proposal = p->buffered;
    if (proposal == NULL)
        return;
    if (proposal->height <= tip_height(p) || proposal->view < p->view) {
        proposal_release(p, &p->buffered);
    } else if (proposal->view == p->view && !p->changing && proposal->height == next_height(p)) {
        p->buffered = NULL;
        consider(p, proposal);
    }
}
