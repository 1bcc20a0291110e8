/* What was done when, and until when it is durable everywhere.
 *
 * A shard's work is cut into epochs, numbered from 1. The open one ends when its journal or a
 * parcel with something of it is taken away. It needs its journal to be stored, and of each other
 * shard that was sent something to be kept the word that all up to that parcel is stored there.
 * Journals, parcels and words come in order, so epochs become complete in order.
 *
 * There is room for a fixed number of closed epochs. When it is used up, the newest two are put
 * together: what waits for the older one waits a little longer, which is safe. */
#ifndef SEALMQ_BROKER_EPOCHS_H
#define SEALMQ_BROKER_EPOCHS_H

#include <stdbool.h>
#include <stdint.h>

#define EPOCHS_CLOSED_MAX 32
#define EPOCHS_SHARDS_MAX 64

struct epoch {
    uint64_t number;  /* of the last one in here */
    uint64_t journal; /* that must be stored; 0: none */
    uint64_t bytes;   /* of what it has brought */
    uint64_t shards;  /* that must confirm */
    uint64_t parcel[EPOCHS_SHARDS_MAX];
};

struct epochs {
    struct epoch closed[EPOCHS_CLOSED_MAX]; /* a ring */
    unsigned first, count;
    struct epoch open;
    uint64_t completed;     /* all up to this one are */
    uint64_t waiting_bytes; /* of those that are not */
};

void epochs_init(struct epochs *epochs);
/* The open epoch needs journal `number`; and the parcel `number` for `shard`. */
void epochs_need_journal(struct epochs *epochs, uint64_t number, uint64_t bytes);
void epochs_need_parcel(struct epochs *epochs, unsigned shard, uint64_t number, uint64_t bytes);
/* Something of it is taken away: it ends, if it needs anything. */
void epochs_cut(struct epochs *epochs);
/* The oldest closed epoch needs what the open one does, too; and so do those behind it, as they
 * become complete in order. */
void epochs_widen(struct epochs *epochs);
/* Completes what can be: journals up to `stored` are, and of each other shard's parcels those up to
 * confirmed[shard]. True when any epoch has become complete. */
bool epochs_complete(struct epochs *epochs, uint64_t stored, const uint64_t *confirmed);
/* The newest epoch that needs anything and is not complete; 0: there is none. */
uint64_t epochs_newest(const struct epochs *epochs);

#endif
