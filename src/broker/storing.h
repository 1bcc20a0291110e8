/* What a shard knows about its own durability: the open journal, the epochs that wait, and how far
 * the other shards are. One for each shard whose host keeps what it has on disk; see storing.c. */
#ifndef SEALMQ_BROKER_STORING_H
#define SEALMQ_BROKER_STORING_H

#include "broker/epochs.h"
#include "broker/journal.h"

struct conn;

/* Parcels of one other shard, by their numbers. */
struct inbound {
    uint64_t newest;      /* that has come */
    uint64_t in_taken;    /* the newest whose operations are in the journal that is being stored */
    uint64_t durable;     /* all up to here is stored */
    uint64_t wanted;      /* the newest whose sender waits for the word that it is */
    uint64_t told;        /* the word that was given */
    uint64_t next_number; /* of our next parcel for that shard */
};

struct storing {
    bool is_gating;   /* nothing is acknowledged before it is stored */
    bool is_touched;  /* something waits for the open journal, empty or not */
    bool is_taken;    /* the journal before the open one is being stored */
    uint64_t touches; /* how often anything had to be stored, here or elsewhere */
    int64_t wall_offset_ms;
    uint64_t stored; /* journals up to this one are */
    struct broker_journal open;
    struct epochs epochs;
    struct inbound inbound[EPOCHS_SHARDS_MAX];
    uint64_t confirmed[EPOCHS_SHARDS_MAX]; /* our parcels, by the shard that has stored them */
    struct conn **gated;                   /* connections with gates */
    uint32_t gated_count, gated_capacity;
};

#endif
