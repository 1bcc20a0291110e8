/* How much of a bounded queue each source holds, so that none leaves no room for the rest. Sources
 * share a fixed table by a keyed hash of their ids, so that counting costs no memory: two of them
 * may share one tally, and its bound. */
#ifndef SEALMQ_NODE_TALLY_H
#define SEALMQ_NODE_TALLY_H

#include "base/bytes.h"

#define TALLY_SLOTS 1024

struct tally {
    size_t items, bytes;
};

struct tallies {
    struct tally slot[TALLY_SLOTS];
    uint64_t seed; /* random: nobody shall know who shares a tally with whom */
};

static inline struct tally *tallies_of(struct tallies *tallies, struct bytes id)
{
    uint64_t hash = tallies->seed;
    for (size_t i = 0; i < id.n; i++) {
        hash = (hash ^ id.p[i]) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 29;
    }
    return &tallies->slot[hash % TALLY_SLOTS];
}

static inline bool tally_has_room(const struct tally *tally, const struct tally *most, size_t bytes)
{
    return tally->items < most->items && tally->bytes + bytes <= most->bytes;
}

static inline void tally_add(struct tally *tally, size_t bytes)
{
    tally->items++;
    tally->bytes += bytes;
}

static inline void tally_take(struct tally *tally, size_t bytes)
{
    tally->items--;
    tally->bytes -= bytes;
}

#endif
