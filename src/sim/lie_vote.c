/* Votes for what one has not seen, for several blocks, and in others' names. */
#include "sim/lie.h"

/* With the block that this replica was shown, so that it counts there. */
static bool follow_faces(const struct sim *sim, const struct sim_replica *replica,
                         enum pbft_message_kind kind, unsigned to, struct msg_vote *m)
{
    const struct sim_said *shown = &sim->shown[to];
    uint32_t shows = (1u << SIM_LIE_EQUIVOCATES) | (1u << SIM_LIE_BAD_PROPOSALS);
    if ((sim->lies & shows) == 0 || shown->view != m->view || shown->height != m->height ||
        hash_equal(&shown->header, &m->header))
        return false;
    m->header = shown->header;
    lie_sign_vote(sim, replica, kind, m);
    return true;
}

static void send_vote(struct sim *sim, const struct sim_replica *replica,
                      enum pbft_message_kind kind, const struct msg_vote *m, unsigned to)
{
    struct buf wire = {0};
    message_encode_vote(m, kind, &wire);
    if (buf_status(&wire) != 0)
        sim->failed = SEALMQ_E_NOMEM;
    else
        lie_send(sim, replica, kind, buf_bytes(&wire), to);
    buf_close(&wire);
}

void lie_vote(struct sim *sim, struct sim_replica *replica, enum pbft_message_kind kind,
              unsigned to, struct buf *wire)
{
    struct msg_vote m;
    if (message_decode_vote(buf_bytes(wire), kind, &m) != 0)
        return;
    if (tells(replica, SIM_LIE_DOUBLE_VOTES)) {
        struct msg_vote more = m;
        enum pbft_message_kind other = kind;
        if (one_in(sim, 2))
            other = kind == PBFT_MSG_PREPARE ? PBFT_MSG_COMMIT : PBFT_MSG_PREPARE;
        else
            sim_random_bytes(&sim->random, more.header.b, HASH_SIZE);
        lie_sign_vote(sim, replica, other, &more);
        send_vote(sim, replica, other, &more, to);
    }
    if (follow_faces(sim, replica, kind, to, &m)) {
        buf_reset(wire);
        message_encode_vote(&m, kind, wire);
    }
}

static const struct msg_vote *some_proposal(struct sim *sim, struct msg_vote *out)
{
    size_t n = sim->proposal_count < SIM_PROPOSALS_KEPT ? sim->proposal_count : SIM_PROPOSALS_KEPT;
    if (n == 0)
        return NULL;
    const struct sim_payload *payload = sim->proposals[sim_random_below(&sim->random, n)];
    int error =
        message_decode_vote(bytes_of(payload->bytes, payload->n), PBFT_MSG_PRE_PREPARE, out);
    return error == 0 ? out : NULL;
}

/* For what was proposed to anybody, whether or not it is next; in that view, or another one. */
void lie_vote_unasked(struct sim *sim, struct sim_replica *replica)
{
    struct msg_vote m;
    if (some_proposal(sim, &m) == NULL)
        return;
    m.sender = (int)replica->index;
    if (one_in(sim, 3))
        m.view += sim_random_below(&sim->random, 3);
    if (one_in(sim, 6))
        m.height += sim_random_below(&sim->random, 3);
    enum pbft_message_kind kind = one_in(sim, 2) ? PBFT_MSG_PREPARE : PBFT_MSG_COMMIT;
    lie_sign_vote(sim, replica, kind, &m);
    for (unsigned to = 0; to < sim->n; to++)
        if (one_in(sim, 2))
            send_vote(sim, replica, kind, &m, to);
}

/* What a victim was shown last is what a vote matters for. */
static void forge_votes(struct sim *sim, struct sim_replica *replica)
{
    unsigned to = lie_victim(sim), from = lie_victim(sim);
    const struct sim_said *shown = &sim->shown[to];
    struct msg_vote m = {.sender = (int)from, .view = shown->view, .height = shown->height};
    m.header = shown->header;
    if (shown->height == 0 || one_in(sim, 3)) {
        if (some_proposal(sim, &m) == NULL)
            return;
        m.sender = (int)from;
    }
    if (one_in(sim, 8))
        m.sender = (int)sim_random_below(&sim->random, VALIDATORS_MAX);
    for (int commit = 0; commit < 2; commit++) {
        enum pbft_message_kind kind = commit ? PBFT_MSG_COMMIT : PBFT_MSG_PREPARE;
        lie_sign_vote(sim, replica, kind, &m);
        if (one_in(sim, 2))
            lie_spoil_signature(sim, &m.signature);
        send_vote(sim, replica, kind, &m, to);
    }
}

/* A height or view far off, as if others had said so. */
static void forge_status(struct sim *sim, struct sim_replica *replica)
{
    unsigned to = lie_victim(sim);
    for (unsigned from = 0; from < sim->n; from++) {
        struct msg_status m = {.height = 1000, .view = sim_random_below(&sim->random, 1000)};
        m.id = bytes_str(sim->genesis.validators.v[from].id);
        struct buf fields = {0}, wire = {0};
        message_fields_status(&m, &fields);
        lie_sign(sim, replica, (int)from, PBFT_MSG_STATUS, &fields, &wire);
        if (from != replica->index && from != to && buf_status(&wire) == 0)
            lie_send(sim, replica, PBFT_MSG_STATUS, buf_bytes(&wire), to);
        buf_close(&wire);
    }
}

/* Others leave their view, it seems. */
static void forge_view_change(struct sim *sim, struct sim_replica *replica)
{
    unsigned to = lie_victim(sim);
    uint64_t view = sim->replicas[to].status.view + sim_random_between(&sim->random, 1, 3);
    for (unsigned from = 0; from < sim->n; from++) {
        struct msg_view_change m = {.view = view};
        struct buf fields = {0}, wire = {0};
        message_fields_view_change(&m, &fields);
        lie_sign(sim, replica, (int)from, PBFT_MSG_VIEW_CHANGE, &fields, &wire);
        buf_append_str32(&wire, (struct bytes){0});
        if (from != replica->index && from != to && buf_status(&wire) == 0)
            lie_send(sim, replica, PBFT_MSG_VIEW_CHANGE, buf_bytes(&wire), to);
        buf_close(&wire);
    }
}

void lie_forge(struct sim *sim, struct sim_replica *replica)
{
    switch (sim_random_below(&sim->random, 4)) {
    case 0:
        forge_status(sim, replica);
        break;
    case 1:
        forge_view_change(sim, replica);
        break;
    default:
        for (uint64_t i = sim_random_below(&sim->random, 6); i > 0; i--)
            forge_votes(sim, replica);
        break;
    }
}
