/* Validators that lie, up to f of them, who know of each other. A liar runs a production core like
 * everyone, so that it knows what to say; the lie is in what it sends, and in what it sends
 * unasked. */
#include "sim/lie.h"

#define UNASKED_EVERY_US 400000

const char *sim_lie_words(enum sim_lie lie)
{
    static const char *const words[] = {
#define X(name, text) text,
        SIM_LIES(X)
#undef X
    };
    return words[lie];
}

void sim_liars_choose(struct sim *sim)
{
    struct sim_random *r = &sim->random;
    if (sim->f == 0 || sim->has_membership || sim_random_below(r, 3) == 0)
        return;
    unsigned count = (unsigned)sim_random_between(r, 1, sim->f);
    for (unsigned k = 0; k < count; k++)
        sim->replicas[sim_random_below(r, sim->n)].is_liar = true;
    for (unsigned i = 0; i < sim->n; i++) {
        struct sim_replica *replica = &sim->replicas[i];
        if (!replica->is_liar)
            continue;
        sim->result->liars++;
        /* Few at a time, so that one lie does not keep the others from having an effect. */
        for (uint64_t lies = sim_random_between(r, 1, 4); lies > 0; lies--)
            replica->lies |= 1u << sim_random_below(r, SIM_LIES_COUNT);
        replica->habit = sim_random_below(r, 1000);
        sim->lies |= replica->lies;
    }
    sim->result->lies = sim->lies;
    sim_liars_turn(sim);
    sim_put(sim, (struct sim_event){.at_us = sim->now_us + sim_random_below(r, UNASKED_EVERY_US),
                                    .kind = SIM_LIE});
}

void sim_liars_turn(struct sim *sim)
{
    struct sim_random *r = &sim->random;
    sim->faces = (uint32_t)sim_random_next(r);
    for (unsigned i = 0; i < sim->n; i++) {
        struct sim_replica *replica = &sim->replicas[i];
        if (!replica->is_liar)
            continue;
        replica->mute_kinds = one_in(sim, 2) ? (uint32_t)sim_random_next(r)
                                             : 1u << sim_random_between(r, 1, PBFT_MSG_BLOCKS);
        replica->mute_to = (uint32_t)sim_random_next(r);
    }
}

static bool is_mute(const struct sim_replica *replica, enum pbft_message_kind kind, unsigned to)
{
    return (tells(replica, SIM_LIE_MUTE_PRIMARY) && kind == PBFT_MSG_PRE_PREPARE) ||
           (tells(replica, SIM_LIE_SELECTIVE) && ((replica->mute_kinds >> kind) & 1) != 0 &&
            ((replica->mute_to >> to) & 1) != 0);
}

void sim_lie(struct sim *sim, struct sim_replica *replica, const struct pbft_message *message,
             unsigned to)
{
    if (is_mute(replica, message->kind, to))
        return;
    bool is_said = true;
    struct buf wire = {0};
    buf_append_bytes(&wire, message->bytes);
    switch (message->kind) {
    case PBFT_MSG_PRE_PREPARE:
        is_said = lie_proposal(sim, replica, to, &wire);
        break;
    case PBFT_MSG_PREPARE:
    case PBFT_MSG_COMMIT:
        lie_vote(sim, replica, message->kind, to, &wire);
        break;
    case PBFT_MSG_VIEW_CHANGE:
        lie_view_change(sim, replica, &wire);
        break;
    case PBFT_MSG_NEW_VIEW:
        is_said = lie_new_view(sim, replica, &wire);
        break;
    case PBFT_MSG_STATUS:
        lie_status(sim, replica, &wire);
        break;
    case PBFT_MSG_BLOCKS:
        lie_blocks(sim, replica, &wire);
        break;
    case PBFT_MSG_CHECKPOINT:
        lie_checkpoint(sim, replica, &wire);
        break;
    case PBFT_MSG_REQUEST:
    case PBFT_MSG_FETCH:
    case PBFT_MSG_ASK:
    case PBFT_MSG_PART:
        break;
    }
    if (tells(replica, SIM_LIE_GARBLES) && one_in(sim, 2))
        lie_garble(sim, &wire);
    if (buf_status(&wire) != 0)
        sim->failed = SEALMQ_E_NOMEM;
    else if (is_said)
        lie_send(sim, replica, message->kind, buf_bytes(&wire), to);
    buf_close(&wire);
}

static void keep_view_change(struct sim *sim, struct bytes bytes)
{
    struct msg_view_change m;
    if (message_decode_view_change(bytes, &m) != 0 || (unsigned)m.head.sender >= sim->n)
        return;
    struct sim_replica *sender = &sim->replicas[m.head.sender];
    if (sender->view_change.n != 0 && m.view < sender->view_change_view)
        return;
    buf_reset(&sender->view_change);
    buf_append_bytes(&sender->view_change, m.head.signed_part);
    sender->view_change_view = m.view;
}

static void keep_proposal(struct sim *sim, struct sim_payload *payload)
{
    struct sim_payload **place = &sim->proposals[sim->proposal_count++ % SIM_PROPOSALS_KEPT];
    sim_payload_release(*place);
    payload->refs++;
    *place = payload;
}

/* Who is behind can be told of blocks that the others would not look at. */
static void tempt(struct sim *sim, struct sim_replica *replica, struct bytes bytes)
{
    struct msg_status m;
    if (message_decode_status(bytes, &m) != 0 || m.height >= replica->store.n ||
        (unsigned)m.head.sender >= sim->n || sim->replicas[m.head.sender].is_liar || one_in(sim, 2))
        return;
    if (tells(replica, SIM_LIE_EQUIVOCATES) || tells(replica, SIM_LIE_FALSE_VIEWS))
        lie_propose(sim, replica, &sim->replicas[m.head.sender]);
}

void sim_liars_hear(struct sim *sim, struct sim_replica *to, struct sim_payload *payload)
{
    if (!to->is_liar)
        return;
    struct bytes bytes = bytes_of(payload->bytes, payload->n);
    if (payload->kind == PBFT_MSG_VIEW_CHANGE)
        keep_view_change(sim, bytes);
    else if (payload->kind == PBFT_MSG_PRE_PREPARE)
        keep_proposal(sim, payload);
    else if (payload->kind == PBFT_MSG_STATUS)
        tempt(sim, to, bytes);
}

static void replay(struct sim *sim, const struct sim_replica *replica)
{
    size_t n = sim->old_count < SIM_OLD_KEPT ? sim->old_count : SIM_OLD_KEPT;
    for (uint64_t i = n == 0 ? 0 : sim_random_below(&sim->random, 8); i > 0; i--) {
        const struct sim_payload *old = sim->old[sim_random_below(&sim->random, n)];
        lie_send(sim, replica, old->kind, bytes_of(old->bytes, old->n), lie_victim(sim));
        sim_mark(sim, SIM_MARK_REPLAYED);
    }
}

void sim_lie_unasked(struct sim *sim)
{
    if (one_in(sim, 8))
        sim_liars_turn(sim);
    for (unsigned i = 0; i < sim->n; i++) {
        struct sim_replica *replica = &sim->replicas[i];
        if (!replica->is_liar || !replica->is_up)
            continue;
        if (tells(replica, SIM_LIE_REPLAYS))
            replay(sim, replica);
        if (tells(replica, SIM_LIE_DOUBLE_VOTES))
            lie_vote_unasked(sim, replica);
        if (tells(replica, SIM_LIE_FORGES))
            lie_forge(sim, replica);
        if (tells(replica, SIM_LIE_FALSE_VIEWS))
            lie_begin_view(sim, replica);
        if (tells(replica, SIM_LIE_FALSE_PROOFS) && one_in(sim, 4))
            lie_leave_view(sim, replica);
        if (tells(replica, SIM_LIE_BAD_PROPOSALS) || tells(replica, SIM_LIE_EQUIVOCATES))
            lie_propose(sim, replica, &sim->replicas[lie_victim(sim)]);
        lie_sync_unasked(sim, replica);
    }
    sim_put(sim, (struct sim_event){.at_us = sim->now_us + UNASKED_EVERY_US / 4 +
                                             sim_random_below(&sim->random, UNASKED_EVERY_US),
                                    .kind = SIM_LIE});
}
