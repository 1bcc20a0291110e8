/* Validators that lie, up to f of them. A liar runs a production core like everyone, so that it
 * knows what to say; the lie is in what it sends. */
#include "sim/sim_int.h"

static void send_bytes(struct sim *sim, const struct sim_replica *replica,
                       enum pbft_message_kind kind, struct bytes bytes, unsigned to)
{
    struct sim_payload *payload;
    if (sim_payload_new(kind, bytes, &payload) != 0)
        sim->failed = SEALMQ_E_NOMEM;
    else
        sim_send(sim, replica->index, to, payload);
}

static void sign_vote(const struct sim *sim, const struct sim_replica *replica, const char *label,
                      struct msg_vote *m)
{
    struct vote tuple = {.view = m->view, .height = m->height, .header = m->header};
    validator_set_hash(&sim->genesis.validators, &tuple.validators);
    vote_sign(&replica->key, label, &sim->genesis.hash, &tuple, &m->signature);
}

/* A second block for the same view and height: the same requests a microsecond later. */
static bool make_other(struct sim *sim, struct sim_replica *replica, const struct msg_vote *m)
{
    struct block block;
    struct bytes requests[64];
    size_t n = 0;
    if (block_decode(m->block, &block) != 0 || block.request_count > 64)
        return false;
    struct bytes list = block.requests;
    while (n < block.request_count && block_requests_next(&list, &requests[n]))
        n++;
    struct block_header header = block.header;
    header.time_us++;
    struct buf wire = {0};
    struct block other;
    bool made = block_encode(&header, requests, n, &wire) == 0 &&
                block_decode(buf_bytes(&wire), &other) == 0;
    if (made) {
        struct msg_vote second = *m;
        second.header = other.hash;
        second.block = buf_bytes(&wire);
        sign_vote(sim, replica, PREPARE_LABEL, &second);
        buf_reset(&replica->other);
        message_encode_vote(&second, PBFT_MSG_PRE_PREPARE, &replica->other);
        replica->other_view = m->view;
        replica->other_height = m->height;
        replica->other_header = other.hash;
    }
    buf_close(&wire);
    return made;
}

/* Odd ones see one face, even ones the other; and both get the liar's votes for theirs. */
static void be_two_faced(struct sim *sim, struct sim_replica *replica,
                         const struct pbft_message *message, unsigned to)
{
    struct msg_vote m;
    bool is_vote = message->kind == PBFT_MSG_PREPARE || message->kind == PBFT_MSG_COMMIT;
    if ((!is_vote && message->kind != PBFT_MSG_PRE_PREPARE) || to % 2 == 0 ||
        message_decode_vote(message->bytes, message->kind, &m) != 0) {
        send_bytes(sim, replica, message->kind, message->bytes, to);
        return;
    }
    bool has_other =
        replica->other.n != 0 && replica->other_view == m.view && replica->other_height == m.height;
    if (message->kind == PBFT_MSG_PRE_PREPARE) {
        if (has_other || make_other(sim, replica, &m))
            send_bytes(sim, replica, message->kind, buf_bytes(&replica->other), to);
        return;
    }
    if (has_other) {
        m.header = replica->other_header;
        sign_vote(sim, replica, message->kind == PBFT_MSG_PREPARE ? PREPARE_LABEL : COMMIT_LABEL,
                  &m);
    }
    struct buf wire = {0};
    message_encode_vote(&m, message->kind, &wire);
    send_bytes(sim, replica, message->kind, buf_bytes(&wire), to);
    buf_close(&wire);
}

static void be_forgetful(struct sim *sim, struct sim_replica *replica,
                         const struct pbft_message *message, unsigned to)
{
    struct msg_view_change m;
    if (message->kind != PBFT_MSG_VIEW_CHANGE ||
        message_decode_view_change(message->bytes, &m) != 0) {
        send_bytes(sim, replica, message->kind, message->bytes, to);
        return;
    }
    m.prepared = false;
    struct hash validators;
    struct buf fields = {0}, wire = {0};
    validator_set_hash(&sim->genesis.validators, &validators);
    message_fields_view_change(&m, &fields);
    message_sign(PBFT_MSG_VIEW_CHANGE, (int)replica->index, buf_bytes(&fields), &replica->key,
                 &sim->genesis.hash, &validators, &wire);
    buf_append_str32(&wire, (struct bytes){0});
    send_bytes(sim, replica, message->kind, buf_bytes(&wire), to);
    buf_close(&fields);
    buf_close(&wire);
}

static void garble(struct sim *sim, struct sim_replica *replica, const struct pbft_message *message,
                   unsigned to)
{
    struct buf wire = {0};
    buf_append_bytes(&wire, message->bytes);
    for (uint64_t i = sim_random_below(&sim->random, 4); i > 0 && wire.n > 0; i--) {
        wire.p[sim_random_below(&sim->random, wire.n)] =
            (uint8_t)sim_random_below(&sim->random, 256);
        if (sim_random_below(&sim->random, 8) == 0)
            wire.n -= (size_t)sim_random_below(&sim->random, wire.n);
    }
    send_bytes(sim, replica, message->kind, buf_bytes(&wire), to);
    buf_close(&wire);
}

void sim_lie(struct sim *sim, struct sim_replica *replica, const struct pbft_message *message,
             unsigned to)
{
    switch (sim->liar) {
    case SIM_LIAR_SILENT:
        if (message->kind != PBFT_MSG_PRE_PREPARE)
            send_bytes(sim, replica, message->kind, message->bytes, to);
        break;
    case SIM_LIAR_TWO_FACED:
        be_two_faced(sim, replica, message, to);
        break;
    case SIM_LIAR_FORGETFUL:
        be_forgetful(sim, replica, message, to);
        break;
    case SIM_LIAR_GARBLING:
        garble(sim, replica, message, to);
        break;
    default:
        send_bytes(sim, replica, message->kind, message->bytes, to);
        break;
    }
}
