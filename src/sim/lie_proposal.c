/* Proposals: two at once, ones that are not valid, ones that nobody waits for, and blocks kept
 * back. */
#include "sim/lie.h"

#include <stdlib.h>

#define REQUESTS_MAX 64

struct draft {
    struct block_header header;
    struct bytes requests[REQUESTS_MAX + 1];
    size_t n;
    struct buf spoiled; /* a request that was changed */
};

static bool draft_from(const struct msg_vote *m, struct draft *out)
{
    struct block block;
    *out = (struct draft){0};
    if (block_decode(m->block, &block) != 0 || block.request_count > REQUESTS_MAX)
        return false;
    out->header = block.header;
    struct bytes list = block.requests;
    while (block_requests_next(&list, &out->requests[out->n]))
        out->n++;
    return true;
}

/* The draft as the block of *m, signed; the PRE-PREPARE into `wire`. */
static bool finish(const struct sim *sim, const struct sim_replica *replica, struct draft *draft,
                   struct msg_vote *m, struct buf *wire)
{
    struct buf block_wire = {0};
    struct block block;
    bool made = block_encode(&draft->header, draft->requests, draft->n, &block_wire) == 0 &&
                block_decode(buf_bytes(&block_wire), &block) == 0;
    if (made) {
        m->header = block.hash;
        m->block = buf_bytes(&block_wire);
        lie_sign_vote(sim, replica, PBFT_MSG_PREPARE, m);
        struct buf proposal = {0};
        message_encode_vote(m, PBFT_MSG_PRE_PREPARE, &proposal);
        buf_reset(wire);
        buf_append_bytes(wire, buf_bytes(&proposal));
        buf_close(&proposal);
    }
    m->block = (struct bytes){0};
    buf_close(&block_wire);
    buf_close(&draft->spoiled);
    return made;
}

/* A request that this chain has executed, with a full history to choose from. */
static struct bytes some_executed(struct sim *sim, const struct sim_replica *replica)
{
    struct block block;
    struct bytes request = {0};
    if (replica->store.n == 0)
        return request;
    size_t at = (size_t)sim_random_below(&sim->random, replica->store.n);
    if (block_decode(buf_bytes(&replica->store.blocks[at].block), &block) != 0)
        return request;
    struct bytes list = block.requests;
    (void)block_requests_next(&list, &request);
    return request;
}

static void add(struct draft *draft, struct bytes request)
{
    if (request.n != 0 && draft->n < REQUESTS_MAX)
        draft->requests[draft->n++] = request;
}

static void spoil_request(struct sim *sim, struct draft *draft)
{
    struct bytes last = draft->requests[draft->n - 1];
    buf_append_bytes(&draft->spoiled, last);
    if (buf_status(&draft->spoiled) != 0)
        return;
    /* A request ends with its signature. */
    size_t at = draft->spoiled.n - 1 - (size_t)sim_random_below(&sim->random, SIGNATURE_SIZE);
    draft->spoiled.p[at] ^= (uint8_t)(1u << sim_random_below(&sim->random, 8));
    draft->requests[draft->n - 1] = buf_bytes(&draft->spoiled);
}

static void spoil(struct sim *sim, const struct sim_replica *replica, struct draft *draft)
{
    struct block_header *header = &draft->header;
    switch (sim_random_below(&sim->random, 11)) {
    case 0:
    case 1:
        if (draft->n > 0)
            spoil_request(sim, draft);
        break;
    case 2:
    case 3:
        add(draft, some_executed(sim, replica));
        break;
    case 4:
        if (draft->n > 0)
            add(draft, draft->requests[0]);
        break;
    case 5:
        draft->n = 0;
        break;
    case 6: /* ten minutes ahead */
        header->time_us = SIM_WALL_START_US + (int64_t)sim->now_us + INT64_C(600000000);
        break;
    case 7: /* before its parent */
        header->time_us = chain_tip(replica->chain)->time_us - 1;
        break;
    case 8:
        header->state_root.b[0] ^= 1;
        break;
    case 9:
        header->parent.b[0] ^= 1;
        break;
    default:
        add(draft,
            buf_bytes(&sim->gateways[sim_random_below(&sim->random, sim->gateway_count)].bad));
        break;
    }
}

/* A second block for the same view and height, the same for all who are shown it: the same requests
 * a microsecond later, or one that is not valid. */
static bool make_other(struct sim *sim, struct sim_replica *replica, const struct msg_vote *m)
{
    struct draft draft;
    if (sim->other.n != 0 && sim->other_vote.view == m->view && sim->other_vote.height == m->height)
        return true;
    if (!draft_from(m, &draft))
        return false;
    draft.header.time_us++;
    if (tells(replica, SIM_LIE_BAD_PROPOSALS))
        spoil(sim, replica, &draft);
    if (!tells(replica, SIM_LIE_EQUIVOCATES))
        sim->faces = UINT32_MAX;
    sim->other_vote = *m;
    return finish(sim, replica, &draft, &sim->other_vote, &sim->other);
}

static void note_shown(struct sim *sim, unsigned to, const struct buf *wire)
{
    struct msg_vote m;
    if (message_decode_vote(buf_bytes(wire), PBFT_MSG_PRE_PREPARE, &m) == 0)
        sim->shown[to] = (struct sim_said){PBFT_MSG_PREPARE, m.view, m.height, m.header};
}

/* To some nothing at all, to some without the block. */
static bool hold_back(struct sim *sim, unsigned to, struct msg_vote *m, struct buf *wire)
{
    if (((sim->faces >> to) & 1) == 0)
        return true;
    if (one_in(sim, 2))
        return false;
    struct buf bare = {0};
    m->block = (struct bytes){0};
    message_encode_vote(m, PBFT_MSG_PRE_PREPARE, &bare);
    buf_reset(wire);
    buf_append_bytes(wire, buf_bytes(&bare));
    buf_close(&bare);
    return true;
}

bool lie_proposal(struct sim *sim, struct sim_replica *replica, unsigned to, struct buf *wire)
{
    struct msg_vote m;
    if (message_decode_vote(buf_bytes(wire), PBFT_MSG_PRE_PREPARE, &m) != 0)
        return true;
    if (m.sender != (int)replica->index)
        return !tells(replica, SIM_LIE_WITHHOLDS); /* passed on */
    bool has_other =
        (tells(replica, SIM_LIE_EQUIVOCATES) || tells(replica, SIM_LIE_BAD_PROPOSALS)) &&
        make_other(sim, replica, &m);
    if (has_other && ((sim->faces >> to) & 1) != 0) {
        buf_reset(wire);
        buf_append_bytes(wire, buf_bytes(&sim->other));
    } else if (tells(replica, SIM_LIE_WITHHOLDS) && !hold_back(sim, to, &m, wire)) {
        return false;
    }
    note_shown(sim, to, wire);
    return true;
}

static void make_header(const struct sim *sim, const struct sim_replica *replica,
                        const struct sim_replica *victim, struct block_header *header)
{
    chain_next_header(victim->chain, header);
    int64_t parent_us = chain_tip(victim->chain)->time_us;
    header->time_us = SIM_WALL_START_US + (int64_t)sim->now_us;
    if (header->time_us <= parent_us)
        header->time_us = parent_us + 1;
    header->view = victim->status.view;
    memcpy(header->proposer, sim->genesis.validators.v[replica->index].id,
           sizeof(header->proposer));
}

/* As the primary of the view in which the victim is, a block for its height, made of requests
 * that wait there: beside what the view began with, if it comes to that, and beside what was
 * proposed already. */
void lie_propose(struct sim *sim, struct sim_replica *replica, const struct sim_replica *victim)
{
    if (!victim->is_up || victim->status.primary != (int)replica->index)
        return;
    struct draft draft = {.n = 0};
    draft.n = sim_clients_waiting(sim, victim->chain, draft.requests, REQUESTS_MAX / 2);
    make_header(sim, replica, victim, &draft.header);
    if (tells(replica, SIM_LIE_BAD_PROPOSALS) && one_in(sim, 2))
        spoil(sim, replica, &draft);
    struct msg_vote m = {.sender = (int)replica->index, .view = victim->status.view};
    m.height = draft.header.height;
    struct buf wire = {0};
    if (draft.n == 0 || !finish(sim, replica, &draft, &m, &wire))
        buf_close(&draft.spoiled);
    bool to_all = one_in(sim, 2);
    for (unsigned to = 0; to < sim->n && wire.n != 0; to++) {
        if (to != victim->index && !to_all && one_in(sim, 2))
            continue;
        note_shown(sim, to, &wire);
        lie_send(sim, replica, PBFT_MSG_PRE_PREPARE, buf_bytes(&wire), to);
    }
    buf_close(&wire);
}

static bool block_of(struct bytes wire, const struct hash *header, struct bytes *out)
{
    struct msg_vote m;
    if (message_decode_vote(wire, PBFT_MSG_PRE_PREPARE, &m) != 0 || !hash_equal(&m.header, header))
        return false;
    *out = m.block;
    return m.block.n != 0;
}

struct bytes lie_find_block(const struct sim *sim, const struct hash *header)
{
    struct bytes block;
    if (block_of(buf_bytes(&sim->other), header, &block))
        return block;
    for (size_t i = 0; i < SIM_PROPOSALS_KEPT && i < sim->proposal_count; i++)
        if (block_of(bytes_of(sim->proposals[i]->bytes, sim->proposals[i]->n), header, &block))
            return block;
    for (unsigned i = 0; i < sim->n; i++)
        if (sim->replicas[i].is_liar &&
            block_of(buf_bytes(&sim->replicas[i].store.slots[PBFT_SLOT_PROPOSAL]), header, &block))
            return block;
    return (struct bytes){0};
}
