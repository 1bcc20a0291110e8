/* COMMIT (PBFT section 4.2): with a quorum of COMMITs a block is final. The quorum is its commit
 * certificate, which is stored with it; so every block is a stable state, and whoever has it needs
 * nobody's word. Counting the COMMITs of others is no vote: that goes on in a view that was left.
 */
#include "consensus/pbft_int.h"

void commit_check(struct pbft *p)
{
    struct proposal *proposal = p->proposal;
    if (proposal == NULL)
        return;
    if (vote_count(p, VOTE_COMMIT, proposal->view, proposal->height, &proposal->header) < p->q)
        return;
    struct certificate certificate;
    vote_certificate(p, VOTE_COMMIT, proposal->view, proposal->height, &proposal->header, -1,
                     &certificate);
    commit_by_certificate(p, &certificate);
}

void commit_by_certificate(struct pbft *p, const struct certificate *certificate)
{
    if (p->failed != 0 || certificate->height != next_height(p))
        return;
    struct proposal *proposal = proposal_held(p, &certificate->header);
    if (proposal == NULL)
        return;
    struct buf wire = {0};
    certificate_encode(certificate, &wire);
    if (buf_status(&wire) != 0)
        p->failed = SEALMQ_E_NOMEM;
    struct bytes copy = update_copy(p, buf_bytes(&wire));
    buf_close(&wire);
    if (p->failed != 0)
        return;
    /* Released in there, perhaps: it stays until the next step. */
    int error = commit_block(p, &proposal->block, copy, certificate->view);
    if (error != 0 && error != SEALMQ_E_NOMEM)
        update_note(p, PBFT_NOTE_MISBEHAVIOUR, -1, error, certificate->height,
                    "a certified block that the chain refuses");
}

/* What was of the height that is over. */
static void clear_height(struct pbft *p)
{
    uint64_t tip = tip_height(p);
    proposal_release(p, &p->proposal);
    proposal_release(p, &p->candidate);
    p->to_verify = NULL;
    prepared_clear(p);
    if (p->new_view.proposal != NULL && p->new_view.proposal->height <= tip)
        proposal_release(p, &p->new_view.proposal);
    if (p->view_change_block != NULL && p->view_change_block->height <= tip)
        proposal_release(p, &p->view_change_block);
    vote_prune(p);
}

int commit_block(struct pbft *p, const struct block *block, struct bytes certificate,
                 uint64_t certificate_view)
{
    int error = chain_append(p->chain, block);
    if (error != 0) {
        if (error == SEALMQ_E_NOMEM)
            p->failed = error;
        return error;
    }
    update_block(p, block->wire, certificate);
    buf_reset(&p->tip_certificate);
    buf_append_bytes(&p->tip_certificate, certificate);
    if (buf_status(&p->tip_certificate) != 0)
        p->failed = SEALMQ_E_NOMEM;
    clear_height(p);
    mempool_prune(p->mempool, p->chain);
    members_reload(p);
    p->checkpoint_due = true;
    p->again = true;
    timer_progress(p);
    /* A quorum has voted in that view, so that it is one to vote in, above this height. */
    if (certificate_view > p->view || (certificate_view == p->view && p->changing))
        view_enter(p, certificate_view);
    else if (p->changing && p->votes)
        view_change_renew(p);
    return 0;
}
