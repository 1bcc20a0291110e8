/* Inside of the simulator; sim.h is its outside. */
#ifndef SEALMQ_SIM_SIM_INT_H
#define SEALMQ_SIM_SIM_INT_H

#include "base/assert.h"
#include "consensus/message.h"
#include "consensus/pbft.h"
#include "sim/random.h"
#include "sim/sim.h"

#define SIM_NODES_MAX    7
#define SIM_GATEWAYS_MAX 3

/* --- events: what happens when (queue.c) --- */

enum sim_event_kind {
    SIM_DELIVER,  /* payload to replica `to`, sent by `from` */
    SIM_TICK,     /* of replica `to` */
    SIM_VERIFIED, /* the answer to `verify` of replica `to` */
    SIM_SERVE,    /* replica `to` has read blocks for `from` */
    SIM_RESTART,
    SIM_WEATHER, /* partitions begin or end, links get worse or better */
    SIM_CLIENTS, /* they look around and send */
    SIM_HEAL,
};

/* Bytes on their way to several replicas. */
struct sim_payload {
    unsigned refs;
    enum pbft_message_kind kind;
    size_t n;
    uint8_t bytes[];
};

struct sim_event {
    uint64_t at_us;
    uint64_t order; /* of events at the same time */
    enum sim_event_kind kind;
    unsigned to, from;
    uint64_t life; /* of the replica for which it is meant */
    struct sim_payload *payload;
    struct hash header; /* VERIFIED */
    bool valid;
    uint64_t height, count; /* SERVE */
};

struct sim_queue {
    struct sim_event *heap;
    size_t n, capacity;
    uint64_t order;
};

/* Takes the event's payload reference, on failure too. SEALMQ_E_NOMEM. */
SEALMQ_MUST_CHECK int sim_queue_put(struct sim_queue *queue, struct sim_event event);
bool sim_queue_take(struct sim_queue *queue, struct sim_event *out);
void sim_queue_close(struct sim_queue *queue);
void sim_payload_release(struct sim_payload *payload);

/* --- the store of one replica (store.c) --- */

struct sim_stored {
    struct buf block, certificate;
};

struct sim_store {
    struct sim_stored *blocks; /* of heights 1, 2, ... */
    size_t n, capacity;
    struct buf slots[PBFT_SLOTS];
    struct buf checkpoint;
};

/* All of the update's writes, as one step. */
SEALMQ_MUST_CHECK int sim_store_apply(struct sim_store *store, const struct pbft_update *update);
void sim_store_close(struct sim_store *store);

/* --- what honest replicas have said (check.c) --- */

struct sim_said {
    enum pbft_message_kind kind;
    uint64_t view, height;
    struct hash header;
};

struct sim_replica {
    unsigned index;
    bool is_up, is_liar;
    uint64_t life; /* one more with each start */
    struct sign_key key, log_key, cosigner_key;
    struct sim_store store; /* survives crashes */
    struct chain *chain;    /* these three do not */
    struct mempool *mempool;
    struct pbft *pbft;
    uint64_t clock_start_us; /* monotonic clock: since then */
    int64_t wall_skew_us;
    uint64_t tick_us; /* the next that is queued; 0: none */
    uint64_t durable_height;

    struct sim_said *said;
    size_t said_count, said_capacity;
    uint64_t left_below; /* views below this were left */
    struct buf other;    /* a two-faced primary's other proposal */
    uint64_t other_view, other_height;
    struct hash other_header;
};

struct sim_gateway {
    char id[ID_MAX + 1];
    struct sign_key key;
    unsigned total;       /* requests it will send */
    unsigned made;        /* so many exist */
    struct buf *requests; /* wire forms, number 1 and up */
    uint64_t next_us;     /* when it makes one more */
};

struct sim {
    const struct sim_options *options;
    struct sim_result *result;
    struct sim_random random;
    struct sim_queue queue;
    uint64_t now_us;
    int failed; /* out of memory */

    unsigned n, f;
    struct genesis genesis;
    struct sign_key admin_key;
    struct sim_replica replicas[SIM_NODES_MAX];
    enum sim_liar liar;
    struct pbft_timing timing;

    /* Weather. */
    bool is_healed;
    uint64_t heal_us, end_us;
    uint32_t loss, duplication, damage, crash; /* millionths */
    uint64_t delay_least_us, delay_most_us, delay_rare_us;
    bool cut[SIM_NODES_MAX][SIM_NODES_MAX]; /* from, to */
    /* Messages of one kind are lost more often on their way to some. */
    enum pbft_message_kind hated;
    uint32_t hated_loss;
    uint64_t hated_to;   /* bits */
    uint64_t weather_us; /* changes at least so often */
    bool has_witnesses;  /* one replica at a time gets the votes (weather.c): */
    unsigned witness;    /* n: none yet */

    struct buf registrations[SIM_GATEWAYS_MAX];
    struct sim_gateway gateways[SIM_GATEWAYS_MAX];
    unsigned gateway_count;

    /* Header hashes by height, from the first replica to store each. */
    struct hash *agreed;
    size_t agreed_count, agreed_capacity;
};

__attribute__((format(printf, 2, 3))) void sim_trace(struct sim *sim, const char *format, ...);
/* Notes the first broken rule. */
__attribute__((format(printf, 3, 4))) void sim_broken(struct sim *sim, const char *rule,
                                                      const char *format, ...);
void sim_put(struct sim *sim, struct sim_event event);

/* replica.c */
SEALMQ_MUST_CHECK int sim_replica_start(struct sim *sim, struct sim_replica *replica);
void sim_replica_stop(struct sim_replica *replica);
void sim_replica_close(struct sim_replica *replica);
/* Gives the event to the core and carries out the update; the replica may be down afterwards. */
void sim_replica_step(struct sim *sim, struct sim_replica *replica, struct pbft_event *event);
void sim_replica_event(struct sim *sim, const struct sim_event *event);
/* Stops it, and lets it start again later. */
void sim_replica_crash(struct sim *sim, struct sim_replica *replica, const char *when);

/* network.c, weather.c */
void sim_send(struct sim *sim, unsigned from, unsigned to, struct sim_payload *payload);
SEALMQ_MUST_CHECK int sim_payload_new(enum pbft_message_kind kind, struct bytes bytes,
                                      struct sim_payload **out);
void sim_weather_start(struct sim *sim);
void sim_weather_change(struct sim *sim);
void sim_heal(struct sim *sim);
void sim_connected(struct sim *sim, unsigned a, unsigned b);

/* liar.c: sends a message of a lying replica, to one. */
void sim_lie(struct sim *sim, struct sim_replica *replica, const struct pbft_message *message,
             unsigned to);

/* clients.c */
SEALMQ_MUST_CHECK int sim_clients_start(struct sim *sim);
void sim_clients_act(struct sim *sim);
bool sim_clients_served(struct sim *sim);
void sim_clients_close(struct sim *sim);

/* check.c */
void sim_check_block(struct sim *sim, const struct sim_replica *replica, struct bytes wire);
void sim_check_message(struct sim *sim, struct sim_replica *replica,
                       const struct pbft_message *message);
void sim_check_restart(struct sim *sim, const struct sim_replica *replica);
/* Whether all is as it should be in the end; *what says what is not yet. */
bool sim_check_settled(struct sim *sim, char *what, size_t what_size);
void sim_check_stores(struct sim *sim);
/* Replays a store through an empty chain, certificates verified. */
SEALMQ_MUST_CHECK int sim_replay(const struct genesis *genesis, const struct sim_store *store,
                                 struct chain **out);

#endif
