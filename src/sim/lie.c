/* What all lies are made with. */
#include "sim/lie.h"

void lie_send(struct sim *sim, const struct sim_replica *replica, enum pbft_message_kind kind,
              struct bytes bytes, unsigned to)
{
    struct sim_payload *payload;
    if (to == replica->index)
        return;
    if (sim_payload_new(kind, bytes, &payload) != 0)
        sim->failed = SEALMQ_E_NOMEM;
    else
        sim_send(sim, replica->index, to, payload);
}

static void validators_hash(const struct sim_replica *replica, struct hash *out)
{
    validator_set_hash(chain_validators(replica->chain), out);
}

void lie_sign_vote(const struct sim *sim, const struct sim_replica *replica,
                   enum pbft_message_kind kind, struct msg_vote *m)
{
    struct vote tuple = {.view = m->view, .height = m->height, .header = m->header};
    validators_hash(replica, &tuple.validators);
    vote_sign(&replica->key, kind == PBFT_MSG_COMMIT ? COMMIT_LABEL : PREPARE_LABEL,
              &sim->genesis.hash, &tuple, &m->signature);
}

void lie_sign(const struct sim *sim, const struct sim_replica *replica, int sender,
              enum pbft_message_kind kind, struct buf *fields, struct buf *out)
{
    struct hash validators;
    validators_hash(replica, &validators);
    message_sign(kind, sender, buf_bytes(fields), &replica->key, &sim->genesis.hash, &validators,
                 out);
    buf_close(fields);
}

/* The order of the group, little-endian: s + order is another number for the same point. */
static const uint8_t group_order[32] = {
    0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0,    0x10};

void lie_spoil_signature(struct sim *sim, struct signature *signature)
{
    unsigned carry = 0;
    switch (sim_random_below(&sim->random, 4)) {
    case 0:
        memset(signature->b, 0, sizeof(signature->b));
        break;
    case 1:
        sim_random_bytes(&sim->random, signature->b, sizeof(signature->b));
        break;
    case 2:
        signature->b[sim_random_below(&sim->random, sizeof(signature->b))] ^= 1;
        break;
    default:
        for (size_t i = 0; i < sizeof(group_order); i++) {
            carry += (unsigned)signature->b[32 + i] + group_order[i];
            signature->b[32 + i] = (uint8_t)carry;
            carry >>= 8;
        }
        break;
    }
}

unsigned lie_victim(struct sim *sim)
{
    unsigned first = (unsigned)sim_random_below(&sim->random, sim->n);
    for (unsigned k = 0; k < sim->n; k++)
        if (!sim->replicas[(first + k) % sim->n].is_liar)
            return (first + k) % sim->n;
    return first;
}

void lie_garble(struct sim *sim, struct buf *wire)
{
    for (uint64_t i = sim_random_below(&sim->random, 4); i > 0 && wire->n > 0; i--) {
        wire->p[sim_random_below(&sim->random, wire->n)] =
            (uint8_t)sim_random_below(&sim->random, 256);
        if (one_in(sim, 8))
            wire->n -= (size_t)sim_random_below(&sim->random, wire->n);
    }
}
