/* NEW-VIEW (PBFT section 4.4): the primary of the view shows a quorum of VIEW-CHANGEs; what the
 * view starts with follows from them by pbft_choose, which everyone computes for himself. */
#include "consensus/pbft_int.h"

void view_enter(struct pbft *p, uint64_t view)
{
    ASSERT(view > p->view || (view == p->view && p->changing));
    p->view = view;
    p->changing = false;
    p->suspect = false;
    p->change_timer.running = false;
    p->watch.running = false;
    p->watch.look = true;
    p->may_select = true;
    buf_reset(&p->view_change);
    proposal_release(p, &p->candidate);
    p->to_verify = NULL;
    proposal_release(p, &p->new_view.proposal);
    p->new_view.set = false;
    buf_reset(&p->new_view.wire);
    for (size_t i = 0; i < p->n; i++)
        if (p->peers[i].view_change.view <= view)
            p->peers[i].view_change.set = false;
    update_dirty(p, PBFT_SLOT_VIEW);
    update_note(p, PBFT_NOTE_NEW_VIEW, primary_of(p, view), 0, view, NULL);
    p->reforward_ms = 0;
    request_reforward(p);
    p->again = true;
}

void new_view_send(struct pbft *p, int to)
{
    if (!p->new_view.set)
        return;
    if (to >= 0)
        p->peers[to].new_view_sent_ms = p->now_ms;
    update_send_copy(p, PBFT_MSG_NEW_VIEW, to, buf_bytes(&p->new_view.wire));
}

void new_view_heal(struct pbft *p, int to)
{
    if (is_due(p, p->peers[to].new_view_sent_ms, large_interval_ms(p, p->new_view.wire.n)))
        new_view_send(p, to);
}

/* The view has begun, as `wire` proves. Takes the proposal's reference; it may be NULL. */
static void begin(struct pbft *p, uint64_t view, const struct choice *choice,
                  struct proposal *proposal, struct bytes wire)
{
    view_enter(p, view);
    p->new_view.set = true;
    p->new_view.height = choice->height;
    p->new_view.choice = *choice;
    p->new_view.proposal = proposal;
    buf_append_bytes(&p->new_view.wire, wire);
    if (buf_status(&p->new_view.wire) != 0)
        p->failed = SEALMQ_E_NOMEM;
    update_dirty(p, PBFT_SLOT_NEW_VIEW);
}

struct left_out {
    size_t n;
    struct hash headers[VALIDATORS_MAX];
};

static bool is_left_out(const struct left_out *left_out, const struct view_change_claim *claim)
{
    for (size_t i = 0; i < left_out->n && claim->prepared; i++)
        if (hash_equal(&left_out->headers[i], &claim->prepared_header))
            return true;
    return false;
}

/* Fills in the VIEW-CHANGEs for this view that do not go beyond our own tip, if they are a quorum:
 * what a view built on the others would start with could not be proposed by us yet. */
static bool gather(struct pbft *p, const struct left_out *left_out, struct msg_new_view *m,
                   struct view_change_claim *claims)
{
    m->n = 0;
    for (size_t i = 0; i < p->n; i++) {
        const struct kept_view_change *kept = &p->peers[i].view_change;
        if (!kept->set || kept->view != p->view || kept->claim.height > tip_height(p) ||
            is_left_out(left_out, &kept->claim))
            continue;
        m->view_changes[m->n].head.signed_part = buf_bytes(&kept->signed_part);
        claims[m->n] = kept->claim;
        m->n++;
    }
    return m->n >= p->q;
}

/* A quorum whose choice we can propose: nothing, or the block *held. A block that we do not have is
 * asked for, and what claims it left out as long as it does not come. A block that may be final
 * cannot be left out, since f + 1 honest replicas claim it, and they give it; any other may be a
 * liar's who gives it to nobody. */
static bool choose(struct pbft *p, struct msg_new_view *m, struct choice *choice,
                   struct proposal **held)
{
    struct view_change_claim claims[VALIDATORS_MAX];
    struct left_out left_out = {0};
    bool may_ask = is_due(p, p->block_asked_ms, p->timing.resend_interval_ms);
    *held = NULL;
    while (gather(p, &left_out, m, claims)) {
        if (pbft_choose(claims, m->n, choice) != 0) {
            update_note(p, PBFT_NOTE_MISBEHAVIOUR, -1, SEALMQ_E_CONFLICT, choice->height,
                        "two blocks prepared in one view");
            return false;
        }
        if (!choice->again || (*held = proposal_held(p, &choice->header)) != NULL)
            return true;
        if (may_ask)
            fetch_prepared_block(p, &choice->header, left_out.n == 0);
        left_out.headers[left_out.n++] = choice->header;
    }
    return false;
}

static int make(struct pbft *p, struct msg_new_view *m, const struct choice *choice,
                struct proposal *held, struct proposal **again, struct buf *wire)
{
    int error = 0;
    *again = NULL;
    if (choice->again) {
        struct vote tuple;
        vote_tuple(p, p->view, choice->height, &choice->header, &tuple);
        vote_sign(p->key, PREPARE_LABEL, genesis_hash(p), &tuple, &m->vote);
        m->again = true;
        error = proposal_new(p, p->view, choice->height, &choice->header, &m->vote,
                             held->block.wire, again);
        if (error != 0)
            return error;
    }
    struct buf fields = {0};
    message_fields_new_view(m, &fields);
    message_sign(PBFT_MSG_NEW_VIEW, p->self, buf_bytes(&fields), p->key, genesis_hash(p),
                 &p->validators, wire);
    buf_append_str32(wire, choice->again ? held->block.wire : (struct bytes){0});
    if (buf_status(&fields) != 0 || buf_status(wire) != 0)
        error = p->failed = SEALMQ_E_NOMEM;
    if (error != 0)
        proposal_release(p, again);
    buf_close(&fields);
    return error;
}

void new_view_check(struct pbft *p)
{
    if (!is_primary(p) || !p->changing)
        return;
    struct msg_new_view m = {.view = p->view};
    struct choice choice;
    struct proposal *held;
    if (!choose(p, &m, &choice, &held))
        return;
    struct proposal *again;
    struct buf wire = {0};
    if (make(p, &m, &choice, held, &again, &wire) == 0) {
        begin(p, p->view, &choice, again, buf_bytes(&wire));
        new_view_send(p, -1);
    }
    buf_close(&wire);
}

/* What was verified when it came need not be verified again. */
static int verify_part(struct pbft *p, const struct msg_view_change *vc,
                       struct view_change_claim *claim, struct certificate *tip_certificate)
{
    if ((size_t)vc->head.sender >= p->n)
        return SEALMQ_E_UNKNOWN;
    const struct kept_view_change *kept = &p->peers[vc->head.sender].view_change;
    if (kept->set && bytes_equal(buf_bytes(&kept->signed_part), vc->head.signed_part)) {
        *claim = kept->claim;
        return vc->height == 0 ? 0 : certificate_decode(vc->tip_certificate, tip_certificate);
    }
    return view_change_verify(p, vc, claim, tip_certificate);
}

/* The highest tip's certificate is kept in *tip. */
static int verify(struct pbft *p, const struct msg_new_view *m, struct choice *choice,
                  struct certificate *tip)
{
    struct view_change_claim claims[VALIDATORS_MAX];
    if (m->n < p->q)
        return SEALMQ_E_COUNT;
    int error = message_verify(PBFT_MSG_NEW_VIEW, &m->head, &validator_at(p, m->head.sender)->key,
                               genesis_hash(p), &p->validators);
    tip->height = 0;
    for (size_t i = 0; i < m->n && error == 0; i++) {
        struct certificate certificate = {0};
        error = verify_part(p, &m->view_changes[i], &claims[i], &certificate);
        if (error == 0 && certificate.height > tip->height)
            *tip = certificate;
    }
    if (error == 0)
        error = pbft_choose(claims, m->n, choice);
    if (error == 0 && m->again != choice->again)
        error = SEALMQ_E_PROTOCOL;
    if (error == 0 && m->again) {
        struct vote tuple;
        vote_tuple(p, m->view, choice->height, &choice->header, &tuple);
        error = vote_verify(&validator_at(p, m->head.sender)->key, PREPARE_LABEL, genesis_hash(p),
                            &tuple, &m->vote);
    }
    return error;
}

void new_view_receive(struct pbft *p, struct bytes bytes)
{
    struct msg_new_view m;
    int error = message_decode_new_view(bytes, &m);
    if (error == 0 && ((size_t)m.head.sender >= p->n || m.head.sender != primary_of(p, m.view)))
        error = SEALMQ_E_UNKNOWN;
    if (error != 0) {
        update_note(p, PBFT_NOTE_REFUSED, -1, error, 0, "new-view");
        return;
    }
    if (m.head.sender == p->self || m.view < p->view || (m.view == p->view && !p->changing))
        return;
    struct choice choice;
    struct certificate tip;
    struct proposal *proposal = NULL;
    error = verify(p, &m, &choice, &tip);
    if (error == 0 && m.again)
        error = proposal_new(p, m.view, choice.height, &choice.header, &m.vote, m.block, &proposal);
    if (error == 0 && m.again)
        error = proposal_check_requests(proposal);
    if (error != 0) {
        proposal_release(p, &proposal);
        update_note(p, PBFT_NOTE_REFUSED, m.head.sender, error, m.view, "new-view");
        return;
    }
    peer_heard(p, m.head.sender);
    peer_claims_height(p, m.head.sender, choice.height - 1);
    begin(p, m.view, &choice, proposal, bytes);
    commit_by_certificate(p, &tip);
}

/* The choice is voted for when the chain has come to its height. It was checked by a quorum of
 * which most are honest; what is left to see is that it follows on our chain. Its time is no
 * matter any more. */
void new_view_resume(struct pbft *p)
{
    struct proposal *proposal = p->new_view.proposal;
    if (!p->new_view.set || proposal == NULL || p->changing || next_height(p) != proposal->height)
        return;
    if (p->proposal != NULL && p->proposal->view == p->view)
        return;
    int error = chain_check_block(p->chain, &proposal->block, 0, -1);
    if (error == SEALMQ_E_NOMEM)
        p->failed = error;
    if (error == 0) {
        proposal_accept(p, proposal_keep(proposal));
        return;
    }
    p->suspect = true;
    update_note(p, PBFT_NOTE_MISBEHAVIOUR, -1, error, proposal->height,
                "a prepared block that the chain refuses");
    proposal_release(p, &p->new_view.proposal);
}

int new_view_load(struct pbft *p, struct bytes wire)
{
    struct msg_new_view m;
    int error = message_decode_new_view(wire, &m);
    if (error != 0 || m.view != p->view || p->changing)
        return error; /* of a view that is over: nothing */
    if ((size_t)m.head.sender >= p->n ||
        message_verify(PBFT_MSG_NEW_VIEW, &m.head, &validator_at(p, m.head.sender)->key,
                       genesis_hash(p), &p->validators) != 0)
        return 0; /* of another set: the view goes on without it */
    struct view_change_claim claims[VALIDATORS_MAX];
    for (size_t i = 0; i < m.n; i++) {
        const struct msg_view_change *vc = &m.view_changes[i];
        struct certificate certificate;
        claims[i] = (struct view_change_claim){.height = vc->height, .prepared = vc->prepared};
        if (!vc->prepared)
            continue;
        error = certificate_decode(vc->prepared_certificate, &certificate);
        if (error != 0)
            return error;
        claims[i].prepared_view = certificate.view;
        claims[i].prepared_header = certificate.header;
    }
    struct choice choice;
    error = pbft_choose(claims, m.n, &choice);
    if (error == 0 && choice.again != m.again)
        error = SEALMQ_E_PROTOCOL;
    if (error == 0 && m.again && choice.height > tip_height(p))
        error = proposal_new(p, m.view, choice.height, &choice.header, &m.vote, m.block,
                             &p->new_view.proposal);
    if (error != 0)
        return error;
    p->new_view.set = true;
    p->new_view.height = choice.height;
    p->new_view.choice = choice;
    buf_append_bytes(&p->new_view.wire, wire);
    return buf_status(&p->new_view.wire);
}
