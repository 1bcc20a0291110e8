/* PREPARE (PBFT section 4.2): with a quorum of PREPAREs, the primary's among them, a block is
 * prepared: no other one can be in this view. The certificate is durable before COMMIT is sent, for
 * a later view must be told of it. */
#include "consensus/pbft_int.h"

void prepare_check(struct pbft *p)
{
    const struct proposal *proposal = p->proposal;
    if (!p->votes || p->changing || proposal == NULL || proposal->view != p->view)
        return;
    if (p->prepared.set && p->prepared.view == p->view)
        return;
    struct kept_vote vote;
    int primary = primary_of(p, p->view);
    if (!vote_find(p, VOTE_PREPARE, primary, p->view, proposal->height, &vote) ||
        !hash_equal(&vote.header, &proposal->header))
        return;
    if (vote_count(p, VOTE_PREPARE, p->view, proposal->height, &proposal->header) < p->q)
        return;

    struct certificate certificate;
    vote_certificate(p, VOTE_PREPARE, p->view, proposal->height, &proposal->header, primary,
                     &certificate);
    prepared_clear(p);
    certificate_encode(&certificate, &p->prepared.certificate);
    if (buf_status(&p->prepared.certificate) != 0) {
        p->failed = SEALMQ_E_NOMEM;
        return;
    }
    p->prepared.set = true;
    p->prepared.view = p->view;
    p->prepared.proposal = proposal_keep(p->proposal);
    update_dirty(p, PBFT_SLOT_PREPARED);
    vote_cast(p, VOTE_COMMIT, p->view, proposal->height, &proposal->header);
    p->again = true;
}

void prepared_clear(struct pbft *p)
{
    p->prepared.set = false;
    buf_reset(&p->prepared.certificate);
    proposal_release(p, &p->prepared.proposal);
}
