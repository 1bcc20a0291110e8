/* What arrived, held against what was sent.
 *
 * A lane is the way from one publisher to one subscriber. Its messages are numbered without gaps,
 * and must come once each, in this order. A number that is jumped over counts as lost until it
 * comes after all, and then as reordered; one that comes again is a duplicate. */
#ifndef SEALMQ_BENCH_TALLY_H
#define SEALMQ_BENCH_TALLY_H

#include <stdbool.h>
#include <stdint.h>

#define LANE_MEMORY 4096 /* a late message further back counts as a duplicate */

struct lane {
    uint64_t expected;
    uint64_t missing[LANE_MEMORY / 64]; /* bits by number: jumped over, not come since */
};

struct tally {
    uint64_t deliveries; /* first arrivals */
    uint64_t lost, duplicates, reordered;
    uint64_t strays; /* what nobody sent, or with another length */
};

/* Number `sequence` came. Returns how many numbers from the old lane->expected on need not be
 * waited for any more: 1 when all is well. */
uint64_t tally_arrival(struct tally *tally, struct lane *lane, uint64_t sequence);
/* Nothing more comes, and `sent` were sent. */
void tally_end(struct tally *tally, const struct lane *lane, uint64_t sent);

/* Durations in nanoseconds, to within 1 %. */
#define TIMES_STEPS   128 /* of one power of two */
#define TIMES_BUCKETS (64 * TIMES_STEPS)
struct times {
    uint64_t count, greatest;
    uint64_t buckets[TIMES_BUCKETS];
};
void times_add(struct times *times, uint64_t ns);
/* The time that `fraction` of all did not exceed. */
uint64_t times_at(const struct times *times, double fraction);

#endif
