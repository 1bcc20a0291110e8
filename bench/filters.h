/* Made-up subscriptions: filters and topics of a size that is asked for, the same in every run. */
#ifndef SEALMQ_BENCH_FILTERS_H
#define SEALMQ_BENCH_FILTERS_H

#include "base/bytes.h"

#include <stdint.h>

/* Who subscribes to what. */
enum mix {
    /* plant/line/device/item: 84 % one item, 12 % a device with "#", 3.4 % an item of all devices
     * of a line, some lines, items of all plants and whole plants with "+" and "#". The number of
     * plants grows with the number of subscriptions, 5,000 to a plant. */
    MIX_PLANTS,
    /* "+" or a name at each of 7 levels, and a last level that is rare: a topic leads through all
     * 128 beginnings and matches one filter. */
    MIX_PLUS_7,
    /* The same with 16 levels: 65,536 beginnings. */
    MIX_PLUS_16,
};

/* Texts behind each other. */
struct texts {
    struct buf bytes;
    struct buf ends; /* of each; u32 in memory order */
    size_t count;
};
struct bytes texts_at(const struct texts *texts, size_t i);
void texts_close(struct texts *texts);

/* `count` filters, of which filter i belongs to subscriber i / FILTERS_PER_SUBSCRIBER; nobody has
 * one twice. */
#define FILTERS_PER_SUBSCRIBER 10
void make_filters(enum mix mix, size_t count, struct texts *out);
/* `count` topics that fit `filters` subscriptions of that mix. */
void make_topics(enum mix mix, size_t filters, size_t count, struct texts *out);

/* Pseudo-random, below `below`. */
uint32_t draw(uint64_t *state, uint32_t below);

#endif
