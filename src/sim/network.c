/* Links: how messages travel, or do not. */
#include "sim/sim_int.h"

#include <stdlib.h>

int sim_payload_new(enum pbft_message_kind kind, struct bytes bytes, struct sim_payload **out)
{
    struct sim_payload *payload = malloc(sizeof(*payload) + bytes.n);
    *out = payload;
    if (payload == NULL)
        return SEALMQ_E_NOMEM;
    *payload = (struct sim_payload){.refs = 1, .kind = kind, .n = bytes.n};
    if (bytes.n != 0)
        memcpy(payload->bytes, bytes.p, bytes.n);
    return 0;
}

static uint64_t delay_us(struct sim *sim)
{
    uint64_t us = sim_random_between(&sim->random, sim->delay_least_us, sim->delay_most_us);
    if (!sim->is_healed && sim_random_chance(&sim->random, 20000))
        us += sim_random_below(&sim->random, sim->delay_rare_us);
    return us;
}

/* A bit turned over on the way. Takes the reference. */
static struct sim_payload *damaged(struct sim *sim, struct sim_payload *payload)
{
    struct sim_payload *copy;
    if (payload->n == 0 ||
        sim_payload_new(payload->kind, bytes_of(payload->bytes, payload->n), &copy) != 0)
        return payload;
    copy->bytes[sim_random_below(&sim->random, copy->n)] ^=
        (uint8_t)(1u << sim_random_below(&sim->random, 8));
    sim_payload_release(payload);
    return copy;
}

static bool is_lost(struct sim *sim, unsigned from, unsigned to, enum pbft_message_kind kind)
{
    return sim->cut[from][to] || sim_random_chance(&sim->random, sim->loss) ||
           (kind == sim->hated && ((sim->hated_to >> to) & 1) != 0 &&
            sim_random_chance(&sim->random, sim->hated_loss));
}

/* Old messages are any of the run so far, with the same chance for each. */
static void keep_old(struct sim *sim, struct sim_payload *payload)
{
    size_t at = sim->old_count++;
    if (at >= SIM_OLD_KEPT)
        at = (size_t)sim_random_below(&sim->random, sim->old_count);
    if (at >= SIM_OLD_KEPT)
        return;
    sim_payload_release(sim->old[at]);
    payload->refs++;
    sim->old[at] = payload;
}

static void send_old(struct sim *sim, unsigned from, unsigned to)
{
    size_t n = sim->old_count < SIM_OLD_KEPT ? sim->old_count : SIM_OLD_KEPT;
    struct sim_payload *old = sim->old[sim_random_below(&sim->random, n)];
    old->refs++;
    sim_mark(sim, SIM_MARK_REPLAYED);
    sim_put(sim, (struct sim_event){.at_us = sim->now_us + delay_us(sim),
                                    .kind = SIM_DELIVER,
                                    .to = to,
                                    .from = from,
                                    .payload = old});
}

void sim_send(struct sim *sim, unsigned from, unsigned to, struct sim_payload *payload)
{
    sim->result->messages++;
    if (!sim->is_healed && is_lost(sim, from, to, payload->kind)) {
        sim->result->lost++;
        sim_payload_release(payload);
        return;
    }
    if (!sim->is_healed && sim_random_chance(&sim->random, sim->damage))
        payload = damaged(sim, payload);
    keep_old(sim, payload);
    if (!sim->is_healed && sim_random_chance(&sim->random, sim->replay))
        send_old(sim, from, to);
    bool twice = !sim->is_healed && sim_random_chance(&sim->random, sim->duplication);
    for (int i = 0; i < (twice ? 2 : 1); i++) {
        payload->refs++;
        sim_put(sim, (struct sim_event){.at_us = sim->now_us + delay_us(sim),
                                        .kind = SIM_DELIVER,
                                        .to = to,
                                        .from = from,
                                        .payload = payload});
    }
    sim_payload_release(payload);
}

int sim_peer_index(const struct sim_replica *replica, const struct sim_replica *other)
{
    return validator_set_find(chain_validators(replica->chain), bytes_str(other->who.id));
}

void sim_connected(struct sim *sim, unsigned a, unsigned b)
{
    const unsigned ends[2][2] = {{a, b}, {b, a}};
    for (int i = 0; i < 2; i++) {
        struct sim_replica *replica = &sim->replicas[ends[i][0]];
        struct pbft_event step = {.kind = PBFT_EVENT_CONNECTED};
        if (!replica->is_up || sim->cut[a][b])
            continue;
        step.peer = sim_peer_index(replica, &sim->replicas[ends[i][1]]);
        sim_replica_step(sim, replica, &step);
    }
}
