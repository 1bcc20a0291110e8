/* Runs of many seeds by several processes, and what they come to. */
#ifndef SEALMQ_CLI_SIM_RUNS_H
#define SEALMQ_CLI_SIM_RUNS_H

#include "sim/sim.h"

#define SIM_JOBS_MAX 64

struct sim_totals {
    uint64_t runs, blocks, requests, view_changes, crashes, messages, lost, simulated_ms;
    uint64_t slowest_ms, slowest_seed; /* from healing to the end */
    uint64_t lied[SIM_LIES_COUNT];     /* runs with such a liar */
    uint64_t marks[SIM_MARKS_COUNT];   /* runs in which it occurred */
    bool is_broken;                    /* by the lowest seed of those that were run: */
    uint64_t broken_seed;
    struct sim_result broken;
};

/* Seeds first to first + count - 1, each jobs-th in a process of its own (jobs 1: in this one),
 * until one breaks a rule. `progress` may be NULL: told how many are done. SEALMQ_E_NOMEM;
 * SEALMQ_E_IO when a process cannot be had or dies. */
SEALMQ_MUST_CHECK int sim_runs(const struct sim_options *options, uint64_t first, uint64_t count,
                               unsigned jobs, void (*progress)(uint64_t done, uint64_t all),
                               struct sim_totals *out);

#endif
