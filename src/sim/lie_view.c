/* View changes with proofs that prove nothing, and new views that begin with what the liar likes.
 */
#include "sim/lie.h"

/* The commit certificate of a height that the liar has. */
static struct bytes certificate_of(const struct sim_replica *replica, uint64_t height)
{
    return height == 0 || height > replica->store.n
               ? (struct bytes){0}
               : buf_bytes(&replica->store.blocks[height - 1].certificate);
}

/* Votes of everyone for anything, the liar's own among them being the only good one. */
static void make_up_votes(struct sim *sim, const struct sim_replica *replica, struct certificate *c)
{
    struct msg_vote m = {.view = c->view, .height = c->height, .header = c->header};
    size_t quorum = validators_quorum(sim->n);
    c->n = 0;
    for (unsigned i = 0; i < sim->n && c->n < quorum; i++) {
        lie_sign_vote(sim, replica, PBFT_MSG_PREPARE, &m);
        c->votes[c->n].validator = (uint8_t)i;
        c->votes[c->n].signature = m.signature;
        c->n++;
    }
}

/* One vote too few, one of them twice, or of one who is not there. */
static void spoil_votes(struct sim *sim, struct certificate *c)
{
    if (c->n < 2)
        return;
    size_t at = (size_t)sim_random_between(&sim->random, 1, c->n - 1);
    switch (sim_random_below(&sim->random, 5)) {
    case 0:
        c->n--;
        break;
    case 1:
        c->votes[at] = c->votes[at - 1];
        break;
    case 2:
        c->votes[at].signature = c->votes[at - 1].signature;
        break;
    case 3:
        c->votes[c->n - 1].validator = (uint8_t)(sim->n + 1);
        break;
    default:
        lie_spoil_signature(sim, &c->votes[at].signature);
        break;
    }
}

static void set_certificate(const struct certificate *c, struct buf *place, struct bytes *out)
{
    buf_reset(place);
    certificate_encode(c, place);
    *out = buf_bytes(place);
}

/* Always tells the same lie, so that nobody can wait for a better mood. */
static bool is_stubborn(const struct sim_replica *replica)
{
    return replica->habit % 2 == 0;
}

static void falsify_prepared(struct sim *sim, const struct sim_replica *replica,
                             struct msg_view_change *m, struct buf *place)
{
    struct certificate c = {0};
    if (m->prepared && certificate_decode(m->prepared_certificate, &c) != 0)
        return;
    uint64_t kind = is_stubborn(replica) || one_in(sim, 2) ? replica->habit / 3 % 5
                                                           : sim_random_below(&sim->random, 5);
    bool is_stale = kind == 1 && replica->stale.n != 0;
    if (!is_stale && (!m->prepared || kind == 0)) {
        c.view = m->view - 1;
        c.height = m->height + 1;
        if (sim->other_vote.height == c.height)
            c.header = sim->other_vote.header;
        else
            sim_random_bytes(&sim->random, c.header.b, HASH_SIZE);
    }
    if (is_stale) {
        if (certificate_decode(buf_bytes(&replica->stale), &c) != 0)
            return;
        if (one_in(sim, 4))
            c.height = m->height + 1;
    } else if (kind == 0 || !m->prepared)
        make_up_votes(sim, replica, &c);
    else if (kind == 2)
        c.view = m->view - 1 - sim_random_below(&sim->random, 2);
    else
        spoil_votes(sim, &c);
    m->prepared = true;
    m->block = (struct bytes){0};
    set_certificate(&c, place, &m->prepared_certificate);
}

static void falsify_tip(struct sim *sim, const struct sim_replica *replica,
                        struct msg_view_change *m, struct buf *place)
{
    struct certificate c = {.view = m->view - 1};
    if (m->height > 0 && certificate_decode(m->tip_certificate, &c) != 0)
        return;
    m->prepared = false;
    m->block = (struct bytes){0};
    if (m->height > 0 && one_in(sim, 3)) {
        spoil_votes(sim, &c);
    } else {
        /* Of a block that is proposed at the moment, or of one far above. */
        m->height += one_in(sim, 2) ? 1 : sim_random_between(&sim->random, 1, 5);
        if (sim->other_vote.height == m->height)
            c.header = sim->other_vote.header;
        else if (c.n == 0)
            sim_random_bytes(&sim->random, c.header.b, HASH_SIZE);
        c.height = m->height;
        if (c.n == 0 || one_in(sim, 2))
            make_up_votes(sim, replica, &c);
    }
    set_certificate(&c, place, &m->tip_certificate);
}

/* True things of some time ago. */
static void be_stale(struct sim *sim, const struct sim_replica *replica, struct msg_view_change *m)
{
    struct certificate c;
    if (m->height == 0)
        return;
    m->height -= sim_random_between(&sim->random, 1, m->height < 3 ? m->height : 3);
    m->tip_certificate = certificate_of(replica, m->height);
    m->prepared = false;
    m->block = (struct bytes){0};
    /* A commit certificate in the place of a prepared one; or what was prepared then. */
    if (one_in(sim, 3)) {
        m->prepared = true;
        m->prepared_certificate = certificate_of(replica, m->height + 1);
    } else if (replica->stale.n != 0 && certificate_decode(buf_bytes(&replica->stale), &c) == 0 &&
               c.view < m->view && c.height <= replica->store.n + 1) {
        m->height = c.height - 1;
        m->tip_certificate = certificate_of(replica, m->height);
        m->prepared = true;
        m->prepared_certificate = buf_bytes(&replica->stale);
    }
}

static void sign_view_change(const struct sim *sim, const struct sim_replica *replica,
                             const struct msg_view_change *m, struct buf *out)
{
    struct buf fields = {0};
    message_fields_view_change(m, &fields);
    lie_sign(sim, replica, (int)replica->index, PBFT_MSG_VIEW_CHANGE, &fields, out);
}

static void falsify(struct sim *sim, const struct sim_replica *replica, struct msg_view_change *m,
                    struct buf *place)
{
    switch (is_stubborn(replica) || one_in(sim, 2) ? replica->habit % 3
                                                   : sim_random_below(&sim->random, 3)) {
    case 0:
        falsify_prepared(sim, replica, m, place);
        break;
    case 1:
        falsify_tip(sim, replica, m, place);
        break;
    default:
        be_stale(sim, replica, m);
        break;
    }
}

static void keep_stale(struct sim *sim, struct sim_replica *replica,
                       const struct msg_view_change *m)
{
    if (!m->prepared || !(replica->stale.n == 0 || one_in(sim, 4)))
        return;
    buf_reset(&replica->stale);
    buf_append_bytes(&replica->stale, m->prepared_certificate);
}

void lie_view_change(struct sim *sim, struct sim_replica *replica, struct buf *wire)
{
    struct msg_view_change m;
    if (message_decode_view_change(buf_bytes(wire), &m) != 0)
        return;
    keep_stale(sim, replica, &m);
    struct buf place = {0}, out = {0}, block = {0};
    bool is_changed = false;
    if (tells(replica, SIM_LIE_WITHHOLDS) && m.block.n != 0) {
        m.block = (struct bytes){0};
        is_changed = true;
    }
    if (tells(replica, SIM_LIE_FORGETS) && m.prepared && !one_in(sim, 3)) {
        m.prepared = false;
        m.block = (struct bytes){0};
        is_changed = true;
    }
    if (tells(replica, SIM_LIE_FALSE_PROOFS) && (is_stubborn(replica) || one_in(sim, 2))) {
        falsify(sim, replica, &m, &place);
        is_changed = true;
    }
    if (is_changed) {
        buf_append_str32(&block, m.block);
        sign_view_change(sim, replica, &m, &out);
        buf_append_bytes(&out, buf_bytes(&block));
        buf_reset(wire);
        buf_append_bytes(wire, buf_bytes(&out));
    }
    buf_close(&place);
    buf_close(&out);
    buf_close(&block);
}

#define FAR_VIEW 1000000

/* Leaves for a view to come, with proofs of the kind above. */
void lie_leave_view(struct sim *sim, struct sim_replica *replica)
{
    struct msg_view_change m = {.view = replica->status.view};
    m.view += sim_random_between(&sim->random, 1, 2);
    if (one_in(sim, 4)) /* where there is no view to come */
        m.view = INT64_MAX - 1;
    m.height = replica->store.n;
    m.tip_certificate = certificate_of(replica, m.height);
    struct buf place = {0}, wire = {0};
    falsify(sim, replica, &m, &place);
    sign_view_change(sim, replica, &m, &wire);
    buf_append_str32(&wire, (struct bytes){0});
    for (unsigned to = 0; to < sim->n; to++)
        if (one_in(sim, 2) && buf_status(&wire) == 0)
            lie_send(sim, replica, PBFT_MSG_VIEW_CHANGE, buf_bytes(&wire), to);
    buf_close(&place);
    buf_close(&wire);
}

/* A NEW-VIEW of these VIEW-CHANGEs, with the liar's vote for `header` if it is to begin with that.
 */
static bool finish(const struct sim *sim, const struct sim_replica *replica, struct msg_new_view *m,
                   const struct choice *choice, struct bytes block, struct buf *wire)
{
    struct buf fields = {0}, out = {0};
    if (m->again) {
        struct msg_vote vote = {.view = m->view, .height = choice->height};
        vote.header = choice->header;
        lie_sign_vote(sim, replica, PBFT_MSG_PREPARE, &vote);
        m->vote = vote.signature;
    }
    message_fields_new_view(m, &fields);
    lie_sign(sim, replica, (int)replica->index, PBFT_MSG_NEW_VIEW, &fields, &out);
    buf_append_str32(&out, m->again ? block : (struct bytes){0});
    buf_reset(wire);
    buf_append_bytes(wire, buf_bytes(&out));
    buf_close(&out);
    return buf_status(wire) == 0;
}

static void remove_one(struct msg_new_view *m, size_t at)
{
    for (size_t i = at; i + 1 < m->n; i++)
        m->view_changes[i] = m->view_changes[i + 1];
    m->n--;
}

/* Too few, one twice, or another beginning than follows from them. */
static void spoil(struct sim *sim, struct msg_new_view *m, struct choice *choice,
                  struct bytes *block)
{
    switch (sim_random_below(&sim->random, 4)) {
    case 0:
        if (m->n > 1)
            remove_one(m, (size_t)sim_random_below(&sim->random, m->n));
        break;
    case 1:
        if (m->n > 1)
            m->view_changes[1] = m->view_changes[0];
        break;
    case 2:
        m->again = !m->again;
        break;
    default:
        m->again = true;
        break;
    }
    struct bytes other = lie_find_block(sim, &sim->other_vote.header);
    if (m->again && other.n != 0) {
        choice->header = sim->other_vote.header;
        *block = other;
    }
    if (m->again && block->n == 0)
        m->again = false;
}

bool lie_new_view(struct sim *sim, struct sim_replica *replica, struct buf *wire)
{
    struct msg_new_view m;
    struct choice choice;
    if (tells(replica, SIM_LIE_WITHHOLDS) && one_in(sim, 2))
        return false;
    if (!tells(replica, SIM_LIE_FALSE_VIEWS) || one_in(sim, 2) ||
        message_decode_new_view(buf_bytes(wire), &m) != 0 || sim_choice_of(&m, &choice) != 0)
        return true;
    struct buf copy = {0};
    buf_append_bytes(&copy, m.block);
    struct bytes block = buf_bytes(&copy);
    struct buf before = {0};
    buf_append_bytes(&before, buf_bytes(wire));
    if (message_decode_new_view(buf_bytes(&before), &m) == 0) {
        spoil(sim, &m, &choice, &block);
        (void)finish(sim, replica, &m, &choice, block, wire);
    }
    buf_close(&before);
    buf_close(&copy);
    return true;
}

/* Of those that are in *m as many as are needed. */
static void send_new_view(struct sim *sim, struct sim_replica *replica, struct msg_new_view *m)
{
    while (m->n > 1 && m->n > validators_quorum(sim->n))
        remove_one(m, (size_t)sim_random_below(&sim->random, m->n));
    struct buf wire = {0};
    struct choice choice;
    struct msg_new_view whole;
    if (m->n == 0 || !finish(sim, replica, m, NULL, (struct bytes){0}, &wire) ||
        message_decode_new_view(buf_bytes(&wire), &whole) != 0 ||
        sim_choice_of(&whole, &choice) != 0) {
        buf_close(&wire);
        return;
    }
    struct bytes block = {0};
    if (choice.again)
        block = lie_find_block(sim, &choice.header);
    m->again = choice.again && block.n != 0;
    if (one_in(sim, 2))
        spoil(sim, m, &choice, &block);
    if (finish(sim, replica, m, &choice, block, &wire))
        for (unsigned to = 0; to < sim->n; to++)
            if (one_in(sim, 2))
                lie_send(sim, replica, PBFT_MSG_NEW_VIEW, buf_bytes(&wire), to);
    buf_close(&wire);
}

/* A VIEW-CHANGE in somebody's name that knows of nothing. */
static void make_up_view_change(struct sim *sim, const struct sim_replica *replica, unsigned sender,
                                uint64_t view, struct buf *out)
{
    struct msg_view_change m = {.view = view};
    struct buf fields = {0};
    m.height = sim_random_below(&sim->random, replica->store.n + 1);
    m.tip_certificate = certificate_of(replica, m.height);
    message_fields_view_change(&m, &fields);
    lie_sign(sim, replica, (int)sender, PBFT_MSG_VIEW_CHANGE, &fields, out);
}

/* Those VIEW-CHANGEs for its view that suit it, of all that liars have heard; often enough of them,
 * and what follows from them, which is no lie at all. */
void lie_begin_view(struct sim *sim, struct sim_replica *replica)
{
    struct msg_new_view m = {0};
    for (unsigned i = 0; i < sim->n; i++) {
        uint64_t view = sim->replicas[i].view_change_view;
        if (view > m.view && view % sim->n == replica->index && view < FAR_VIEW)
            m.view = view;
    }
    if (m.view == 0)
        return;
    struct buf made_up[SIM_NODES_MAX] = {0};
    bool makes_up = tells(replica, SIM_LIE_FORGES) && one_in(sim, 2);
    for (unsigned i = 0; i < sim->n; i++) {
        const struct sim_replica *other = &sim->replicas[i];
        struct bytes part = {0};
        if (makes_up) {
            make_up_view_change(sim, replica, i, m.view, &made_up[i]);
            part = buf_bytes(&made_up[i]);
        } else if (other->view_change_view == m.view) {
            part = buf_bytes(&other->view_change);
        }
        if (part.n != 0)
            m.view_changes[m.n++].head.signed_part = part;
    }
    send_new_view(sim, replica, &m);
    for (unsigned i = 0; i < sim->n; i++)
        buf_close(&made_up[i]);
}
