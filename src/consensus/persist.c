/* What a replica must remember: from its slots and the newest block it goes on as if it had never
 * stopped, and signs nothing that contradicts what it signed before.
 *
 *   VIEW      u8 version (1) || u64 view || u8 changing
 *   PROPOSAL  PRE-PREPARE message
 *   PREPARED  str32 prepared certificate || str32 block (empty: the proposal's)
 *   NEW_VIEW  NEW-VIEW message
 *
 * A slot is not removed when its height or view is over: it says itself what it is of. */
#include "consensus/pbft_int.h"

#define SLOT_VERSION 1

static struct bytes encode_view(struct pbft *p)
{
    struct buf b = {0};
    buf_append_u8(&b, SLOT_VERSION);
    buf_append_u64(&b, p->view);
    buf_append_u8(&b, p->changing);
    if (buf_status(&b) != 0)
        p->failed = SEALMQ_E_NOMEM;
    struct bytes copy = update_copy(p, buf_bytes(&b));
    buf_close(&b);
    return copy;
}

static struct bytes encode_prepared(struct pbft *p)
{
    bool is_proposal =
        p->proposal != NULL && hash_equal(&p->proposal->header, &p->prepared.proposal->header);
    struct buf b = {0};
    buf_append_str32(&b, buf_bytes(&p->prepared.certificate));
    buf_append_str32(&b, is_proposal ? (struct bytes){0} : p->prepared.proposal->block.wire);
    if (buf_status(&b) != 0)
        p->failed = SEALMQ_E_NOMEM;
    struct bytes copy = update_copy(p, buf_bytes(&b));
    buf_close(&b);
    return copy;
}

void persist_collect(struct pbft *p)
{
    /* What became final or was left within this step is not worth a write. */
    if (p->proposal == NULL)
        p->dirty[PBFT_SLOT_PROPOSAL] = false;
    if (!p->prepared.set)
        p->dirty[PBFT_SLOT_PREPARED] = false;
    if (!p->new_view.set)
        p->dirty[PBFT_SLOT_NEW_VIEW] = false;
    for (int slot = 1; slot < PBFT_SLOTS; slot++) {
        if (!p->dirty[slot])
            continue;
        struct pbft_write *write = &p->writes[slot - 1];
        write->slot = (enum pbft_slot)slot;
        switch (write->slot) {
        case PBFT_SLOT_VIEW:
            write->bytes = encode_view(p);
            break;
        case PBFT_SLOT_PROPOSAL:
            write->bytes = buf_bytes(&p->proposal->wire);
            break;
        case PBFT_SLOT_PREPARED:
            write->bytes = encode_prepared(p);
            break;
        case PBFT_SLOT_NEW_VIEW:
            write->bytes = buf_bytes(&p->new_view.wire);
            break;
        case PBFT_SLOTS:
            break;
        }
    }
}

static int load_view(struct pbft *p, struct bytes slot)
{
    if (slot.n == 0) {
        /* From now on there is one: a host can tell a new store from one that lost its slots. */
        update_dirty(p, PBFT_SLOT_VIEW);
        return 0;
    }
    struct reader r = reader_of(slot);
    if (reader_u8(&r) != SLOT_VERSION)
        reader_fail(&r, SEALMQ_E_CORRUPT);
    p->view = reader_u64(&r);
    uint8_t changing = reader_u8(&r);
    if (p->view >= INT64_MAX || changing > 1)
        reader_fail(&r, SEALMQ_E_CORRUPT);
    p->changing = changing == 1;
    return reader_end(&r);
}

/* The blocks and the slots are written in one step, so that neither can be ahead of the other. */
static int check_place(const struct pbft *p, uint64_t view, uint64_t height)
{
    return height != next_height(p) || view > p->view ? SEALMQ_E_CORRUPT : 0;
}

static int load_proposal(struct pbft *p, struct bytes slot)
{
    struct msg_vote m;
    if (slot.n == 0)
        return 0;
    int error = message_decode_vote(slot, PBFT_MSG_PRE_PREPARE, &m);
    if (error != 0 || m.height <= tip_height(p))
        return error;
    error = check_place(p, m.view, m.height);
    if (error == 0 && m.sender != primary_of(p, m.view))
        error = SEALMQ_E_CORRUPT;
    if (error == 0)
        error = proposal_new(p, m.view, m.height, &m.header, &m.signature, m.block, &p->proposal);
    if (error == 0 && !hash_equal(&p->proposal->block.header.parent, chain_tip_hash(p->chain)))
        error = SEALMQ_E_CORRUPT;
    return error;
}

static int load_prepared(struct pbft *p, struct bytes slot)
{
    if (slot.n == 0)
        return 0;
    struct reader r = reader_of(slot);
    struct bytes wire = reader_str32(&r);
    struct bytes block = reader_str32(&r);
    struct certificate certificate;
    int error = reader_end(&r);
    if (error == 0)
        error = certificate_decode(wire, &certificate);
    if (error != 0 || certificate.height <= tip_height(p))
        return error;
    error = check_place(p, certificate.view, certificate.height);
    if (error != 0)
        return error;
    const struct signature *vote = NULL;
    for (size_t i = 0; i < certificate.n; i++)
        if (certificate.votes[i].validator == primary_of(p, certificate.view))
            vote = &certificate.votes[i].signature;
    if (vote == NULL)
        return SEALMQ_E_CORRUPT;
    if (block.n != 0) {
        error = proposal_new(p, certificate.view, certificate.height, &certificate.header, vote,
                             block, &p->prepared.proposal);
        if (error != 0)
            return error;
    } else {
        if (p->proposal == NULL || !hash_equal(&p->proposal->header, &certificate.header))
            return SEALMQ_E_CORRUPT;
        p->prepared.proposal = proposal_keep(p->proposal);
    }
    p->prepared.set = true;
    p->prepared.view = certificate.view;
    buf_append_bytes(&p->prepared.certificate, wire);
    for (size_t i = 0; i < certificate.n; i++) {
        struct kept_vote v = {.view = certificate.view, .height = certificate.height};
        v.header = certificate.header;
        v.signature = certificate.votes[i].signature;
        if (certificate.votes[i].validator >= p->n ||
            vote_put(p, VOTE_PREPARE, certificate.votes[i].validator, &v) == SEALMQ_E_CONFLICT)
            return SEALMQ_E_CORRUPT;
    }
    return buf_status(&p->prepared.certificate);
}

static int load_tip(struct pbft *p)
{
    if (tip_height(p) == 0)
        return 0;
    struct certificate certificate;
    int error = certificate_decode(buf_bytes(&p->tip_certificate), &certificate);
    if (error != 0)
        return error;
    if (certificate.height != tip_height(p) ||
        !hash_equal(&certificate.header, chain_tip_hash(p->chain)) || certificate.view >= INT64_MAX)
        return SEALMQ_E_CORRUPT;
    if (certificate.view > p->view || (certificate.view == p->view && p->changing)) {
        p->view = certificate.view;
        p->changing = false;
    }
    return 0;
}

/* What we had said of the height, to be said again; the signatures come out the same. */
static int say_again(struct pbft *p)
{
    if (p->changing) {
        view_change_renew(p);
        return 0;
    }
    struct proposal *proposal = p->proposal;
    if (proposal == NULL || proposal->view != p->view)
        return 0;
    struct kept_vote vote = {.view = proposal->view, .height = proposal->height};
    vote.header = proposal->header;
    vote.signature = proposal->vote;
    if (vote_put(p, VOTE_PREPARE, primary_of(p, p->view), &vote) == SEALMQ_E_CONFLICT)
        return SEALMQ_E_CORRUPT;
    vote_cast(p, VOTE_PREPARE, p->view, proposal->height, &proposal->header);
    if (p->prepared.set && p->prepared.view == p->view)
        vote_cast(p, VOTE_COMMIT, p->view, proposal->height, &proposal->header);
    return 0;
}

int persist_load(struct pbft *p, const struct bytes slots[PBFT_SLOTS])
{
    int error = 0;
    /* What was signed as a validator binds one who comes back, too. */
    if (p->may_vote)
        error = load_view(p, slots[PBFT_SLOT_VIEW]);
    if (error == 0)
        error = load_tip(p);
    if (error == 0 && p->votes)
        error = load_proposal(p, slots[PBFT_SLOT_PROPOSAL]);
    if (error == 0 && p->votes)
        error = load_prepared(p, slots[PBFT_SLOT_PREPARED]);
    if (error == 0 && p->votes && slots[PBFT_SLOT_NEW_VIEW].n != 0)
        error = new_view_load(p, slots[PBFT_SLOT_NEW_VIEW]);
    if (error == 0 && p->votes)
        error = say_again(p);
    if (p->failed != 0)
        return p->failed;
    return error == 0 || error == SEALMQ_E_NOMEM ? error : SEALMQ_E_CORRUPT;
}
