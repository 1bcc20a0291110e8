#include "tally.h"

static uint64_t *word_of(struct lane *lane, uint64_t sequence)
{
    return &lane->missing[sequence % LANE_MEMORY / 64];
}

static void set_missing(struct lane *lane, uint64_t sequence, bool is_missing)
{
    uint64_t bit = UINT64_C(1) << sequence % 64;
    uint64_t *word = word_of(lane, sequence);
    *word = is_missing ? *word | bit : *word & ~bit;
}

static bool is_missing(struct lane *lane, uint64_t sequence)
{
    return lane->expected - sequence <= LANE_MEMORY &&
           (*word_of(lane, sequence) >> sequence % 64 & 1) != 0;
}

static void came_late(struct tally *tally, struct lane *lane, uint64_t sequence)
{
    if (!is_missing(lane, sequence)) {
        tally->duplicates++;
        return;
    }
    set_missing(lane, sequence, false);
    tally->lost--;
    tally->reordered++;
    tally->deliveries++;
}

uint64_t tally_arrival(struct tally *tally, struct lane *lane, uint64_t sequence)
{
    if (sequence < lane->expected) {
        came_late(tally, lane, sequence);
        return 0;
    }
    uint64_t jumped = sequence - lane->expected;
    uint64_t first = jumped < LANE_MEMORY ? lane->expected : sequence - LANE_MEMORY + 1;
    for (uint64_t i = first; i < sequence; i++)
        set_missing(lane, i, true);
    set_missing(lane, sequence, false);
    lane->expected = sequence + 1;
    tally->lost += jumped;
    tally->deliveries++;
    return jumped + 1;
}

void tally_end(struct tally *tally, const struct lane *lane, uint64_t sent)
{
    tally->lost += sent - lane->expected;
}

/* Linear below TIMES_STEPS, then TIMES_STEPS buckets for each power of two. */
static unsigned bucket_of(uint64_t ns)
{
    if (ns < TIMES_STEPS)
        return (unsigned)ns;
    unsigned shift = 63 - 7 - (unsigned)__builtin_clzll(ns);
    return (shift + 1) * TIMES_STEPS + (unsigned)(ns >> shift) % TIMES_STEPS;
}

static uint64_t bucket_end(unsigned bucket)
{
    if (bucket < TIMES_STEPS)
        return bucket;
    unsigned shift = bucket / TIMES_STEPS - 1;
    return ((uint64_t)TIMES_STEPS + bucket % TIMES_STEPS + 1) << shift;
}

void times_add(struct times *times, uint64_t ns)
{
    times->count++;
    times->buckets[bucket_of(ns)]++;
    if (ns > times->greatest)
        times->greatest = ns;
}

uint64_t times_at(const struct times *times, double fraction)
{
    uint64_t rank = (uint64_t)(fraction * (double)times->count);
    uint64_t passed = 0;
    for (unsigned i = 0; i < TIMES_BUCKETS; i++) {
        passed += times->buckets[i];
        if (passed > rank)
            return bucket_end(i) < times->greatest ? bucket_end(i) : times->greatest;
    }
    return times->greatest;
}
