/* Links and weather: how messages travel, and how that changes until it is fine for ever. */
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

void sim_connected(struct sim *sim, unsigned a, unsigned b)
{
    const unsigned ends[2][2] = {{a, b}, {b, a}};
    for (int i = 0; i < 2; i++) {
        struct sim_replica *replica = &sim->replicas[ends[i][0]];
        struct pbft_event step = {.kind = PBFT_EVENT_CONNECTED};
        step.peer = (int)ends[i][1];
        if (replica->is_up && !sim->cut[a][b])
            sim_replica_step(sim, replica, &step);
    }
}

/* One kind of message suffers most: a phase that some finish and others do not is where views must
 * not forget. */
static void choose_hated(struct sim *sim)
{
    static const enum pbft_message_kind kinds[] = {
        PBFT_MSG_COMMIT,      PBFT_MSG_COMMIT,   PBFT_MSG_COMMIT,      PBFT_MSG_PREPARE,
        PBFT_MSG_PRE_PREPARE, PBFT_MSG_NEW_VIEW, PBFT_MSG_VIEW_CHANGE, PBFT_MSG_BLOCKS,
    };
    sim->hated = kinds[sim_random_below(&sim->random, sizeof(kinds) / sizeof(kinds[0]))];
    sim->hated_to = sim_random_next(&sim->random);
    sim->hated_loss = 0;
    if (sim_random_below(&sim->random, 3) > 0)
        sim->hated_loss = (uint32_t)sim_random_between(&sim->random, 500000, 1000000);
}

void sim_weather_start(struct sim *sim)
{
    struct sim_random *r = &sim->random;
    /* Each kind of trouble is there in some runs, and nothing but one in a few of them. */
    sim->loss = sim_random_below(r, 3) > 0 ? (uint32_t)sim_random_below(r, 200000) : 0;
    sim->duplication = sim_random_below(r, 2) > 0 ? (uint32_t)sim_random_below(r, 100000) : 0;
    sim->damage = sim_random_below(r, 4) == 0 ? (uint32_t)sim_random_below(r, 20000) : 0;
    sim->crash = sim_random_below(r, 3) > 0 ? (uint32_t)sim_random_between(r, 500, 10000) : 0;
    sim->delay_least_us = sim_random_between(r, 100, 2000);
    sim->delay_most_us = sim->delay_least_us + sim_random_below(r, 60000);
    sim->delay_rare_us = sim_random_between(r, 1000, 3000000);
    if (sim_random_below(r, 4) == 0) /* no better than the time-outs */
        sim->delay_most_us = sim->delay_least_us + sim->timing.view_timeout_ms * 500;
    choose_hated(sim);
    sim->heal_us = sim->now_us + sim_random_between(r, 4000000, 20000000);
    sim_put(sim, (struct sim_event){.at_us = sim->heal_us, .kind = SIM_HEAL});
    sim->weather_us = sim_random_below(r, 2) == 0 ? 300000 : 4000000;
    if (sim_random_below(r, 4) > 0)
        sim_put(sim, (struct sim_event){.at_us = sim->now_us + sim_random_below(r, 3000000),
                                        .kind = SIM_WEATHER});
}

static void join_all(struct sim *sim)
{
    bool was[SIM_NODES_MAX][SIM_NODES_MAX];
    memcpy(was, sim->cut, sizeof(was));
    memset(sim->cut, 0, sizeof(sim->cut));
    for (unsigned a = 0; a < sim->n; a++)
        for (unsigned b = a + 1; b < sim->n; b++)
            if (was[a][b] || was[b][a])
                sim_connected(sim, a, b);
}

/* Many at once, so that what they knew together must have been durable. */
static void fail_power(struct sim *sim)
{
    for (unsigned i = 0; i < sim->n; i++) {
        struct sim_replica *replica = &sim->replicas[i];
        if (replica->is_up && !replica->is_liar && sim_random_below(&sim->random, 4) > 0)
            sim_replica_crash(sim, replica, "without power");
    }
}

/* Into two sides, one replica alone, a few single links in one direction, or whole again. */
void sim_weather_change(struct sim *sim)
{
    struct sim_random *r = &sim->random;
    if (sim->is_healed)
        return;
    join_all(sim);
    uint64_t kind = sim_random_below(r, 4);
    uint64_t sides = sim_random_below(r, 1u << sim->n);
    if (kind == 1)
        sides = 1u << sim_random_below(r, sim->n);
    for (unsigned a = 0; a < sim->n; a++) {
        for (unsigned b = 0; b < sim->n; b++) {
            if (a == b)
                continue;
            if (kind <= 1)
                sim->cut[a][b] = ((sides >> a) & 1) != ((sides >> b) & 1);
            else if (kind == 2)
                sim->cut[a][b] = sim_random_below(r, 4) == 0;
        }
    }
    choose_hated(sim);
    if (sim->crash > 0 && sim_random_below(r, 8) == 0)
        fail_power(sim);
    sim_trace(sim, "weather %u, sides %x", (unsigned)kind, (unsigned)sides);
    sim_put(sim,
            (struct sim_event){
                .at_us = sim->now_us + sim_random_between(r, sim->weather_us / 10, sim->weather_us),
                .kind = SIM_WEATHER});
}

void sim_heal(struct sim *sim)
{
    sim_trace(sim, "all heals");
    sim->is_healed = true;
    sim->delay_least_us = 200;
    sim->delay_most_us = 2000;
    join_all(sim);
}
