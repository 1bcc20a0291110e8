#include "sim/sim.h"

#include "crypto/sign_memory.h"
#include "sim/sim_int.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* After healing, all must be well within this time, doubled time-outs and liars as primaries
 * included. */
#define PROGRESS_BOUND_US UINT64_C(120000000)

/* All of a run's signatures, or nearly. */
#define SIGN_MEMORY_BITS 14

void sim_trace(struct sim *sim, const char *format, ...)
{
    if (sim->options->trace == NULL)
        return;
    char line[512];
    int n = snprintf(line, sizeof(line), "%10.4f ", (double)sim->now_us / 1e6);
    va_list args;
    va_start(args, format);
    vsnprintf(line + n, sizeof(line) - (size_t)n, format, args);
    va_end(args);
    sim->options->trace(sim->options->trace_context, line);
}

void sim_broken(struct sim *sim, const char *rule, const char *format, ...)
{
    struct sim_result *result = sim->result;
    if (!result->held)
        return;
    result->held = false;
    result->rule = rule;
    va_list args;
    va_start(args, format);
    vsnprintf(result->why, sizeof(result->why), format, args);
    va_end(args);
    sim_trace(sim, "broken: %s: %s", rule, result->why);
}

void sim_put(struct sim *sim, struct sim_event event)
{
    if (sim_queue_put(&sim->queue, event) != 0)
        sim->failed = SEALMQ_E_NOMEM;
}

static void make_key(struct sim *sim, struct sign_key *key)
{
    uint8_t seed[SEED_SIZE];
    sim_random_bytes(&sim->random, seed, sizeof(seed));
    sign_key_from_seed(seed, key);
}

static void derive(const struct sign_key *key, struct sign_key *log_key,
                   struct sign_key *cosigner_key)
{
    sign_key_derive(key, LOG_KEY_PURPOSE, log_key);
    sign_key_derive(key, COSIGNER_KEY_PURPOSE, cosigner_key);
}

static void make_replica(struct sim *sim, unsigned i)
{
    struct sim_replica *replica = &sim->replicas[i];
    struct validator *who = &replica->who;
    replica->index = i;
    replica->wall_skew_us =
        (int64_t)sim_random_below(&sim->random, 2 * SIM_SKEW_MAX_US) - SIM_SKEW_MAX_US;
    make_key(sim, &replica->key);
    derive(&replica->key, &replica->log_key, &replica->cosigner_key);
    if (sim->has_membership) {
        make_key(sim, &replica->next_key);
        derive(&replica->next_key, &replica->next_log_key, &replica->next_cosigner_key);
    }
    snprintf(who->id, sizeof(who->id), "broker/n%u", i);
    snprintf(who->url, sizeof(who->url), "mqtt://127.0.0.1:%u", 1883 + i);
    who->key = replica->key.public_key;
    who->log_key = replica->log_key.public_key;
    who->cosigner_key = replica->cosigner_key.public_key;
}

static int make_network(struct sim *sim)
{
    static const unsigned sizes[] = {4, 4, 4, 4, 4, 1, 2, 3, 5, 7};
    struct genesis *genesis = &sim->genesis;
    char why[128];
    sim->n = sizes[sim_random_below(&sim->random, sizeof(sizes) / sizeof(sizes[0]))];
    if (sim->options->nodes != 0)
        sim->n = sim->options->nodes;
    sim->f = (unsigned)validators_f(sim->n);
    snprintf(genesis->network, sizeof(genesis->network), "simulated");
    genesis->created_us = INT64_C(1600000000000000);
    genesis->validators.n = sim->n;
    sim_membership_choose(sim);
    for (unsigned i = 0; i < sim->n; i++) {
        make_replica(sim, i);
        if (i < genesis->validators.n)
            genesis->validators.v[i] = sim->replicas[i].who;
    }
    make_key(sim, &sim->admin_key);
    genesis->admin_count = genesis->admin_threshold = 1;
    snprintf(genesis->admins[0].id, sizeof(genesis->admins[0].id), "admin/root");
    genesis->admins[0].key = sim->admin_key.public_key;
    genesis->parameters.anchor_interval_ms = 60000;
    /* Blocks that need work, in one network of eight. */
    if (sim->options->seed % 8 == 7)
        genesis->parameters.difficulty = (uint8_t)(8 + sim->options->seed / 8 % 9);
    int error = genesis_seal(genesis, why, sizeof(why));
    sim->rules = *genesis;
    return error != 0 ? error : sim_sets_start(sim);
}

static void choose_timing(struct sim *sim)
{
    pbft_timing_default(&sim->timing);
    sim->timing.view_timeout_ms = (uint32_t)sim_random_between(&sim->random, 200, 1200);
    sim->timing.view_timeout_max_ms = 8000;
    if (sim_random_below(&sim->random, 4) == 0)
        sim->timing.batch_ms = 100;
}

static void restart(struct sim *sim, struct sim_replica *replica)
{
    if (replica->is_up)
        return;
    int error = sim_replica_start(sim, replica);
    if (error == SEALMQ_E_NOMEM)
        sim->failed = error;
    else if (error != 0)
        sim_broken(sim, "durability", "replica %u does not start again: %s", replica->index,
                   sealmq_error_text(error));
}

static void handle(struct sim *sim, const struct sim_event *event)
{
    switch (event->kind) {
    case SIM_RESTART:
        restart(sim, &sim->replicas[event->to]);
        break;
    case SIM_WEATHER:
        sim_weather_change(sim);
        break;
    case SIM_CLIENTS:
        sim_clients_act(sim);
        break;
    case SIM_LIE:
        sim_lie_unasked(sim);
        break;
    case SIM_HEAL:
        sim_heal(sim);
        break;
    default:
        sim_replica_event(sim, event);
        break;
    }
}

/* Until a rule is broken, or all is settled after healing. */
static void run(struct sim *sim)
{
    char what[SIM_WHY_MAX] = "";
    uint64_t looked_us = 0;
    struct sim_event event;
    while (sim->failed == 0 && sim->result->held && sim_queue_take(&sim->queue, &event)) {
        sim->now_us = event.at_us;
        handle(sim, &event);
        sim_payload_release(event.payload);
        if (!sim->is_healed || sim->now_us < looked_us + 50000)
            continue;
        looked_us = sim->now_us;
        if (sim_check_settled(sim, what, sizeof(what)))
            return;
        if (sim->now_us > sim->heal_us + PROGRESS_BOUND_US)
            sim_broken(sim, "progress", "%s", what);
    }
}

static int start(struct sim *sim)
{
    int error = make_network(sim);
    if (error != 0)
        return error;
    sim_liars_choose(sim);
    choose_timing(sim);
    sim_weather_start(sim);
    for (unsigned i = 0; i < sim->n && error == 0; i++)
        error = sim_replica_start(sim, &sim->replicas[i]);
    return error != 0 ? error : sim_clients_start(sim);
}

int sim_run(const struct sim_options *options, struct sim_result *out)
{
    *out = (struct sim_result){.held = true};
    struct sim *sim = calloc(1, sizeof(*sim));
    if (sim == NULL)
        return SEALMQ_E_NOMEM;
    sim->options = options;
    sim->result = out;
    sim->now_us = 1000;
    sim_random_seed(&sim->random, options->seed);
    struct sign_memory *memory, *before = NULL;
    int error = sign_memory_new(SIGN_MEMORY_BITS, &memory);
    if (error == 0) {
        before = sign_memory_use(memory);
        error = options->nodes > SIM_NODES_MAX ? SEALMQ_E_ARG : start(sim);
    }
    if (error == 0)
        run(sim);
    if (error == 0)
        error = sim->failed;
    if (error == 0)
        sim_check_stores(sim);
    if (error == 0)
        sim_check_receipts(sim);
    out->nodes = sim->n;
    out->blocks = sim->agreed_count;
    out->simulated_ms = sim->now_us / 1000;
    out->healed_ms = sim->is_healed ? (sim->now_us - sim->heal_us) / 1000 : 0;
    for (unsigned i = 0; i < sim->n && i < SIM_NODES_MAX; i++) {
        sim_replica_close(&sim->replicas[i]);
        free(sim->replicas[i].said);
    }
    for (size_t i = 0; i < SIM_OLD_KEPT; i++)
        sim_payload_release(sim->old[i]);
    for (size_t i = 0; i < SIM_PROPOSALS_KEPT; i++)
        sim_payload_release(sim->proposals[i]);
    buf_close(&sim->other);
    sim_sets_close(sim);
    sim_membership_close(sim);
    free(sim->receipts);
    sim_clients_close(sim);
    sim_queue_close(&sim->queue);
    if (memory != NULL)
        sign_memory_use(before);
    sign_memory_free(memory);
    free(sim->agreed);
    free(sim);
    return error;
}
