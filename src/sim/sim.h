/* The deterministic simulator: a whole network of production consensus cores, with their stores,
 * clocks, links and clients, driven by one seed. The same options give the same run, to the byte.
 *
 * Simulated are: message delay, loss, duplication, reordering and damage; partitions and one-way
 * cuts; clocks that differ; crashes at any point of carrying out an update, after which what was
 * not yet durable is gone; up to f validators that lie; clients that send again until they are
 * served. After a while everything heals.
 *
 * Rules that are checked, all the time or at the end:
 *   agreement    no two honest replicas have different blocks at a height
 *   validity     each store replays through an empty chain, each certificate verifies
 *   votes        no honest replica contradicts a vote that it sent, or votes in a view it has left
 *   durability   a restarted replica has all blocks that were final for it
 *   once         no request is on the chain twice, and none that nobody sent
 *   progress     after healing all requests are executed within a bound, all honest replicas have
 *                the same height and a checkpoint of it with a quorum */
#ifndef SEALMQ_SIM_SIM_H
#define SEALMQ_SIM_SIM_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What liars do. */
enum sim_liar {
    SIM_LIAR_NONE,
    SIM_LIAR_SILENT,    /* proposes nothing when it is the primary */
    SIM_LIAR_TWO_FACED, /* proposes and votes for two blocks at once */
    SIM_LIAR_FORGETFUL, /* hides in view changes what it has prepared */
    SIM_LIAR_GARBLING,  /* damages what it sends */
    SIM_LIARS
};

struct sim_options {
    uint64_t seed;
    /* 0: the seed decides. */
    unsigned nodes;
    /* May be NULL: told what happens, in lines. */
    void (*trace)(void *context, const char *line);
    void *trace_context;
};

#define SIM_WHY_MAX 256

struct sim_result {
    bool held;
    const char *rule;      /* the broken one; NULL */
    char why[SIM_WHY_MAX]; /* what was seen */
    unsigned nodes, liars;
    enum sim_liar liar;
    uint64_t blocks, requests, view_changes, crashes, messages, lost, steps;
    uint64_t simulated_ms, healed_ms; /* of the whole run; from healing to the end */
};

/* SEALMQ_E_NOMEM; broken rules are no error but a result. */
SEALMQ_MUST_CHECK int sim_run(const struct sim_options *options, struct sim_result *out);

#endif
