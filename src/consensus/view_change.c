/* VIEW-CHANGE (PBFT section 4.4): a replica leaves its view and says what a new one must know: its
 * newest final block with the commit certificate, and what is prepared at the height above with the
 * prepared certificate. The block itself goes only to who is to be primary. */
#include "consensus/pbft_int.h"

void view_change_start(struct pbft *p, uint64_t view)
{
    ASSERT(p->votes && view > p->view);
    p->view = view;
    p->changing = true;
    p->attempts++;
    p->suspect = false;
    p->change_timer.running = false;
    p->watch.running = false;
    proposal_release(p, &p->candidate);
    p->to_verify = NULL;
    proposal_release(p, &p->new_view.proposal);
    p->new_view.set = false;
    buf_reset(&p->new_view.wire);
    update_dirty(p, PBFT_SLOT_VIEW);
    update_note(p, PBFT_NOTE_VIEW_CHANGE, primary_of(p, view), 0, view, NULL);
    view_change_renew(p);
    p->again = true;
}

/* What it is made of is durable: the view (in this update or before), the prepared certificate, the
 * tip; and from the same of these come the same bytes. So a restarted replica repeats its words.
 *
 * Makes the signed part, which is kept as our own VIEW-CHANGE like those of others. */
void view_change_renew(struct pbft *p)
{
    ASSERT(p->votes && p->changing);
    struct msg_view_change m = {.view = p->view, .height = tip_height(p)};
    m.tip_certificate = buf_bytes(&p->tip_certificate);
    m.prepared = p->prepared.set;
    m.prepared_certificate = buf_bytes(&p->prepared.certificate);
    struct buf fields = {0};
    message_fields_view_change(&m, &fields);
    buf_reset(&p->view_change);
    message_sign(PBFT_MSG_VIEW_CHANGE, p->self, buf_bytes(&fields), p->key, genesis_hash(p),
                 &p->validators, &p->view_change);

    struct kept_view_change *kept = &p->peers[p->self].view_change;
    buf_reset(&kept->signed_part);
    buf_append_bytes(&kept->signed_part, buf_bytes(&p->view_change));
    kept->set = true;
    kept->view = p->view;
    kept->claim = (struct view_change_claim){.height = m.height, .prepared = m.prepared};
    if (m.prepared) {
        kept->claim.prepared_view = p->prepared.view;
        kept->claim.prepared_header = p->prepared.proposal->header;
    }
    if (buf_status(&fields) != 0 || buf_status(&p->view_change) != 0 ||
        buf_status(&kept->signed_part) != 0)
        p->failed = SEALMQ_E_NOMEM;
    buf_close(&fields);
    view_change_send(p, -1, false);
    if (m.prepared)
        view_change_send(p, primary_of(p, p->view), true);
    p->resend_ms = p->now_ms;
    p->again = true;
}

void view_change_send(struct pbft *p, int to, bool with_block)
{
    if (!p->votes || !p->changing)
        return;
    struct buf wire = {0};
    buf_append_bytes(&wire, buf_bytes(&p->view_change));
    bool has_block = with_block && p->prepared.set;
    buf_append_str32(&wire, has_block ? p->prepared.proposal->block.wire : (struct bytes){0});
    update_send_buf(p, PBFT_MSG_VIEW_CHANGE, to, &wire);
}

/* As the primary we show it to others in NEW-VIEW. A signature in it that does not hold would make
 * them refuse all of that, so that it is no matter then what we know besides. */
static bool is_to_be_shown(const struct pbft *p, const struct msg_view_change *m)
{
    return primary_of(p, m->view) == p->self;
}

/* Whether a certificate like this was verified before, or is our own. */
static bool is_known_prepared(const struct pbft *p, const struct certificate *certificate)
{
    if (p->prepared.set && p->prepared.view == certificate->view &&
        p->prepared.proposal->height == certificate->height &&
        hash_equal(&p->prepared.proposal->header, &certificate->header))
        return true;
    for (size_t i = 0; i < p->n; i++) {
        const struct kept_view_change *kept = &p->peers[i].view_change;
        if (kept->set && kept->claim.prepared && kept->claim.prepared_view == certificate->view &&
            kept->claim.height + 1 == certificate->height &&
            hash_equal(&kept->claim.prepared_header, &certificate->header))
            return true;
    }
    return false;
}

static int verify_tip(struct pbft *p, const struct msg_view_change *m, struct certificate *out)
{
    *out = (struct certificate){0};
    if (m->height == 0)
        return 0;
    int error = certificate_decode(m->tip_certificate, out);
    if (error != 0)
        return error;
    if (out->height != m->height || out->view >= INT64_MAX)
        return SEALMQ_E_CONFLICT;
    if (!is_to_be_shown(p, m) && out->height == tip_height(p) &&
        hash_equal(&out->header, chain_tip_hash(p->chain)))
        return 0; /* final here as well */
    const struct validator_set *set = chain_validators_at(p->chain, out->height);
    if (set == NULL)
        return 0; /* of a set long before, so that a block is final here at this height */
    return certificate_verify(out, COMMIT_LABEL, set, genesis_hash(p));
}

static int verify_prepared(struct pbft *p, const struct msg_view_change *m,
                           struct view_change_claim *claim)
{
    struct certificate certificate;
    int error = certificate_decode(m->prepared_certificate, &certificate);
    if (error != 0)
        return error;
    if (certificate.height != m->height + 1 || certificate.view >= m->view)
        return SEALMQ_E_CONFLICT;
    bool has_primary = false;
    for (size_t i = 0; i < certificate.n; i++)
        if (certificate.votes[i].validator == primary_of(p, certificate.view))
            has_primary = true;
    if (!has_primary)
        return SEALMQ_E_PROTOCOL;
    if (is_to_be_shown(p, m) || !is_known_prepared(p, &certificate))
        error = certificate_verify(&certificate, PREPARE_LABEL, chain_validators(p->chain),
                                   genesis_hash(p));
    claim->prepared = true;
    claim->prepared_view = certificate.view;
    claim->prepared_header = certificate.header;
    return error;
}

int view_change_verify(struct pbft *p, const struct msg_view_change *m,
                       struct view_change_claim *claim, struct certificate *tip_certificate)
{
    if ((size_t)m->head.sender >= p->n)
        return SEALMQ_E_UNKNOWN;
    *claim = (struct view_change_claim){.height = m->height};
    int error =
        message_verify(PBFT_MSG_VIEW_CHANGE, &m->head, &validator_at(p, m->head.sender)->key,
                       genesis_hash(p), &p->validators);
    if (error == 0)
        error = verify_tip(p, m, tip_certificate);
    if (error == 0 && m->prepared)
        error = verify_prepared(p, m, claim);
    return error;
}

/* The block that came along, if we may need it to propose it again. */
static void keep_block(struct pbft *p, const struct msg_view_change *m,
                       const struct view_change_claim *claim)
{
    if (m->block.n == 0 || primary_of(p, m->view) != p->self || claim->height < tip_height(p) ||
        proposal_held(p, &claim->prepared_header) != NULL)
        return;
    const struct proposal *have = p->view_change_block;
    if (have != NULL && (have->height > claim->height + 1 ||
                         (have->height == claim->height + 1 && have->view >= claim->prepared_view)))
        return;
    struct proposal *proposal;
    struct signature no_vote = {0}; /* ours will be, in the new view */
    int error = proposal_new(p, claim->prepared_view, claim->height + 1, &claim->prepared_header,
                             &no_vote, m->block, &proposal);
    if (error == 0)
        error = proposal_check_requests(proposal);
    if (error != 0) {
        proposal_release(p, &proposal);
        update_note(p, PBFT_NOTE_REFUSED, -1, error, claim->height + 1, "block of a view-change");
        return;
    }
    proposal_release(p, &p->view_change_block);
    p->view_change_block = proposal;
    p->again = true;
}

/* Its sender has not heard that this view has begun. */
static void answer_late(struct pbft *p, const struct msg_view_change *m)
{
    const struct peer *peer = &p->peers[m->head.sender];
    if (p->changing || !p->new_view.set || m->view > p->view ||
        !is_due(p, peer->new_view_sent_ms, large_interval_ms(p, p->new_view.wire.n)))
        return;
    if (message_verify(PBFT_MSG_VIEW_CHANGE, &m->head, &validator_at(p, m->head.sender)->key,
                       genesis_hash(p), &p->validators) != 0)
        return;
    peer_heard(p, m->head.sender);
    new_view_send(p, m->head.sender);
}

void view_change_receive(struct pbft *p, struct bytes bytes)
{
    struct msg_view_change m;
    int error = message_decode_view_change(bytes, &m);
    if (error == 0 && (size_t)m.head.sender >= p->n)
        error = SEALMQ_E_UNKNOWN;
    if (error != 0) {
        update_note(p, PBFT_NOTE_REFUSED, -1, error, 0, "view-change");
        return;
    }
    if (m.head.sender == p->self)
        return;
    if (m.view < p->view || (m.view == p->view && !p->changing)) {
        answer_late(p, &m);
        return;
    }
    struct kept_view_change *kept = &p->peers[m.head.sender].view_change;
    if (kept->set && bytes_equal(buf_bytes(&kept->signed_part), m.head.signed_part)) {
        peer_heard(p, m.head.sender);
        keep_block(p, &m, &kept->claim);
        return;
    }
    if (kept->set &&
        (m.view < kept->view || (m.view == kept->view && m.height < kept->claim.height)))
        return;

    struct view_change_claim claim;
    struct certificate tip_certificate;
    error = view_change_verify(p, &m, &claim, &tip_certificate);
    if (error != 0) {
        update_note(p, PBFT_NOTE_REFUSED, m.head.sender, error, m.view, "view-change");
        return;
    }
    buf_reset(&kept->signed_part);
    buf_append_bytes(&kept->signed_part, m.head.signed_part);
    if (buf_status(&kept->signed_part) != 0)
        p->failed = SEALMQ_E_NOMEM;
    kept->set = true;
    kept->view = m.view;
    kept->claim = claim;
    p->again = true;
    peer_heard(p, m.head.sender);
    peer_claims_height(p, m.head.sender, m.height);
    keep_block(p, &m, &claim);
    if (m.height > 0)
        commit_by_certificate(p, &tip_certificate);
}

size_t view_change_count(const struct pbft *p, uint64_t at_least)
{
    size_t count = 0;
    for (size_t i = 0; i < p->n; i++)
        if (p->peers[i].view_change.set && p->peers[i].view_change.view >= at_least)
            count++;
    return count;
}

/* Section 4.5.2: f + 1 others in higher views: one of them at least is honest and had a reason, so
 * that this replica follows at once, into the highest view that so many have reached. */
void view_change_check(struct pbft *p)
{
    if (!p->votes)
        return;
    uint64_t best = p->view;
    for (size_t i = 0; i < p->n; i++) {
        const struct kept_view_change *kept = &p->peers[i].view_change;
        if (!kept->set || (int)i == p->self || kept->view <= best)
            continue;
        size_t others = 0;
        for (size_t j = 0; j < p->n; j++)
            if ((int)j != p->self && p->peers[j].view_change.set &&
                p->peers[j].view_change.view >= kept->view)
                others++;
        if (others >= p->f + 1)
            best = kept->view;
    }
    if (best > p->view)
        view_change_start(p, best);
}
