/* Weather: what the network does to its messages and its machines, until all is fine for ever. */
#include "sim/sim_int.h"

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
    sim->replay = sim_random_below(r, 3) == 0 ? (uint32_t)sim_random_below(r, 50000) : 0;
    sim->crash = sim_random_below(r, 3) > 0 ? (uint32_t)sim_random_between(r, 500, 10000) : 0;
    sim->delay_least_us = sim_random_between(r, 100, 2000);
    sim->delay_most_us = sim->delay_least_us + sim_random_below(r, 60000);
    sim->delay_rare_us = sim_random_between(r, 1000, 3000000);
    if (sim_random_below(r, 4) == 0) /* no better than the time-outs */
        sim->delay_most_us = sim->delay_least_us + sim->timing.view_timeout_ms * 500;
    /* Who has lost its votes is one of the f that the others must do without. */
    if (sim->crash > 0 && sim->f > sim->result->liars && sim_random_below(r, 4) == 0)
        sim->disk_faults = (unsigned)sim_random_between(r, 1, sim->f - sim->result->liars);
    choose_hated(sim);
    sim->heal_us = sim->now_us + sim_random_between(r, 4000000, 20000000);
    sim_put(sim, (struct sim_event){.at_us = sim->heal_us, .kind = SIM_HEAL});
    sim->weather_us = sim_random_below(r, 2) == 0 ? 300000 : 4000000;
    sim->has_witnesses = sim->n >= 3 && sim_random_below(r, 3) == 0;
    sim->witness = sim->n;
    if (sim->has_witnesses)
        sim->weather_us = 4000 * (uint64_t)sim->timing.view_timeout_ms;
    if (sim->has_witnesses || sim_random_below(r, 4) > 0)
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

/* A phase in which one replica alone gets the votes of one kind, and so knows what nobody else
 * does; the one that knew in the phase before is cut off. What views must not forget is then known
 * to few, and to others each time. */
static void turn_to_witness(struct sim *sim)
{
    struct sim_random *r = &sim->random;
    for (unsigned i = 0; i < sim->n && sim->witness < sim->n; i++)
        if (i != sim->witness)
            sim->cut[i][sim->witness] = sim->cut[sim->witness][i] = true;
    unsigned next = (unsigned)sim_random_below(r, sim->n);
    sim->witness = next == sim->witness ? (next + 1) % sim->n : next;
    sim->hated = sim_random_below(r, 2) == 0 ? PBFT_MSG_PREPARE : PBFT_MSG_COMMIT;
    sim->hated_to = ~(UINT64_C(1) << sim->witness);
    sim->hated_loss = 1000000;
    sim_trace(sim, "witness %u of %s", sim->witness, pbft_message_topic(sim->hated));
}

/* Two sides, one replica alone, a few single links in one direction, or all whole. */
static void cut_links(struct sim *sim)
{
    struct sim_random *r = &sim->random;
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
    sim_trace(sim, "weather %u, sides %x", (unsigned)kind, (unsigned)sides);
}

void sim_weather_change(struct sim *sim)
{
    struct sim_random *r = &sim->random;
    if (sim->is_healed)
        return;
    join_all(sim);
    if (sim->has_witnesses)
        turn_to_witness(sim);
    else
        cut_links(sim);
    if (sim->crash > 0 && sim_random_below(r, 8) == 0)
        fail_power(sim);
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
