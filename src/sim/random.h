/* The simulator's own randomness: xoshiro256** seeded through splitmix64, so that a run is a
 * function of its seed on every machine. */
#ifndef SEALMQ_SIM_RANDOM_H
#define SEALMQ_SIM_RANDOM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sim_random {
    uint64_t s[4];
};

void sim_random_seed(struct sim_random *random, uint64_t seed);
uint64_t sim_random_next(struct sim_random *random);
/* 0 to n - 1; n >= 1. */
uint64_t sim_random_below(struct sim_random *random, uint64_t n);
/* least to most, both included. */
uint64_t sim_random_between(struct sim_random *random, uint64_t least, uint64_t most);
/* True in `millionths` of a million cases. */
bool sim_random_chance(struct sim_random *random, uint32_t millionths);
void sim_random_bytes(struct sim_random *random, void *out, size_t n);

#endif
