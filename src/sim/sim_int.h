/* Inside of the simulator; sim.h is its outside. */
#ifndef SEALMQ_SIM_SIM_INT_H
#define SEALMQ_SIM_SIM_INT_H

#include "base/assert.h"
#include "consensus/choose.h"
#include "consensus/message.h"
#include "consensus/pbft.h"
#include "sim/random.h"
#include "sim/sim.h"

#define SIM_NODES_MAX    7
#define SIM_GATEWAYS_MAX 3

/* Requests that change who takes part, in one run. */
#define SIM_CHANGES_MAX 40

#define SIM_OLD_KEPT       64
#define SIM_PROPOSALS_KEPT 8

/* True time when a run begins, and how far from it a clock may be. */
#define SIM_WALL_START_US INT64_C(1700000000000000)
#define SIM_SKEW_MAX_US   INT64_C(2000000)

/* --- events: what happens when (queue.c) --- */

enum sim_event_kind {
    SIM_DELIVER,  /* payload to replica `to`, sent by `from` */
    SIM_TICK,     /* of replica `to` */
    SIM_VERIFIED, /* the answer to `verify` of replica `to` */
    SIM_SERVE,    /* replica `to` has read blocks for `from` */
    SIM_RESTART,
    SIM_WEATHER, /* partitions begin or end, links get worse or better */
    SIM_CLIENTS, /* they look around and send */
    SIM_LIE,     /* liars say something unasked */
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
    size_t synced; /* so many are durable; the others a crash may take */
    bool was_lost; /* once: votes that it does not have may have been sent */
    struct buf slots[PBFT_SLOTS];
    struct buf checkpoint;
};

/* All of the update's writes, as one step. */
SEALMQ_MUST_CHECK int sim_store_apply(struct sim_store *store, const struct pbft_update *update);
/* The blocks that are not durable are gone. */
void sim_store_lose_unsynced(struct sim_store *store);
/* Only the slots; the disk has torn them, or they could not be used. */
void sim_store_drop_slots(struct sim_store *store);
/* Cuts a slot short by at least a byte, and leaves at least one. false: no slot is long enough. */
bool sim_store_tear(struct sim_store *store, struct sim_random *random);
void sim_store_close(struct sim_store *store);

/* --- what honest replicas have said (check.c) --- */

struct sim_said {
    enum pbft_message_kind kind;
    uint64_t view, height;
    struct hash header;
};

struct sim_replica {
    unsigned index;
    struct validator who; /* as it was made: its id, and the keys that follow */
    bool is_up, is_liar;
    uint64_t life; /* one more with each start */
    struct sign_key key, log_key, cosigner_key;
    struct sign_key next_key, next_log_key, next_cosigner_key; /* where keys are exchanged */
    struct sim_store store;                                    /* survives crashes */
    struct chain *chain;                                       /* these three do not */
    struct mempool *mempool;
    struct pbft *pbft;
    uint64_t clock_start_us; /* monotonic clock: since then */
    int64_t wall_skew_us;
    uint64_t tick_us; /* the next that is queued; 0: none */
    uint64_t durable_height;

    struct sim_said *said;
    size_t said_count, said_capacity;
    uint64_t left_below; /* views below this were left */
    /* What the newest view that was entered by a NEW-VIEW began with; survives crashes. */
    struct {
        bool set;
        uint64_t view;
        struct choice choice;
    } bound;

    /* As it was after its last step (marks.c). */
    struct pbft_status status;
    uint64_t entered_view, block_view;

    uint64_t habit;         /* a number by which it prefers one false proof to others */
    uint32_t lies;          /* bits of enum sim_lie; 0: honest */
    uint32_t mute_kinds;    /* kinds of message not sent to: */
    uint32_t mute_to;       /* bits of replicas */
    struct buf stale;       /* a prepared certificate of an older height */
    struct buf view_change; /* of others, the newest that liars have: signed part */
    uint64_t view_change_view;
};

struct sim_gateway {
    char id[ID_MAX + 1];
    struct sign_key key;
    unsigned total;       /* requests it will send */
    unsigned made;        /* so many exist */
    struct buf *requests; /* wire forms, number 1 and up */
    struct buf bad;       /* signed, and can never execute; none until the gateway is registered */
    uint64_t next_us;     /* when it makes one more */
};

/* The set that decides a block: which replica the validator of each index is. */
struct sim_set {
    unsigned n;
    uint8_t replicas[SIM_NODES_MAX];
};

/* By which clients judge checkpoints of sizes from there on. */
struct sim_policy {
    uint64_t from;
    struct policy *policy;
};

/* What a replica is once all that was asked for is executed. */
enum sim_part { SIM_STRANGER, SIM_MEMBER, SIM_VALIDATOR, SIM_REVOKED };

/* A request that changes who takes part, or by which rules. */
struct sim_change {
    struct buf wire;
    int way;     /* of the set's size: 1, -1, or 0 */
    int replica; /* whom it is about; -1: nobody */
};

/* The log of headers, as a checkpoint with a quorum says it was. */
struct sim_receipt {
    uint64_t size;
    struct hash root;
};

struct sim {
    const struct sim_options *options;
    struct sim_result *result;
    struct sim_random random;
    struct sim_queue queue;
    uint64_t now_us;
    int failed; /* out of memory */

    unsigned n, f;       /* replicas; faults that every set bears */
    bool has_membership; /* sets change in this run (membership.c) */
    struct genesis genesis;
    struct sign_key admin_key;
    struct sim_replica replicas[SIM_NODES_MAX];
    struct pbft_timing timing;
    uint32_t lies; /* of all liars, who know of each other */

    /* Weather. */
    bool is_healed;
    uint64_t heal_us, end_us;
    uint32_t loss, duplication, damage, crash; /* millionths */
    uint64_t delay_least_us, delay_most_us, delay_rare_us;
    uint32_t replay;                        /* likewise: an old message comes as well */
    unsigned disk_faults;                   /* stores that may still be torn or lost */
    bool cut[SIM_NODES_MAX][SIM_NODES_MAX]; /* from, to */
    /* Messages of one kind are lost more often on their way to some. */
    enum pbft_message_kind hated;
    uint32_t hated_loss;
    uint64_t hated_to;   /* bits */
    uint64_t weather_us; /* changes at least so often */
    bool has_witnesses;  /* one replica at a time gets the votes (weather.c): */
    unsigned witness;    /* n: none yet */

    /* Old messages, for replay; and the newest proposals among them. */
    struct sim_payload *old[SIM_OLD_KEPT];
    size_t old_count;
    struct sim_payload *proposals[SIM_PROPOSALS_KEPT];
    size_t proposal_count;
    /* The liars' second block for one view and height, and who is shown which block. */
    struct buf other; /* PRE-PREPARE */
    struct msg_vote other_vote;
    uint32_t faces; /* bits of the replicas that are shown the second one */
    struct sim_said shown[SIM_NODES_MAX];

    struct buf registrations[SIM_GATEWAYS_MAX];
    struct sim_gateway gateways[SIM_GATEWAYS_MAX];
    unsigned gateway_count;

    /* By height, from the first replica to store each. */
    struct hash *agreed; /* header hashes */
    size_t agreed_count, agreed_capacity;
    struct chain *judge;  /* has just the agreed blocks */
    struct sim_set *sets; /* of heights 1 to agreed_count + 1 */
    size_t set_capacity;
    struct sim_policy *policies; /* in order of sizes */
    size_t policy_count, policy_capacity;
    struct sim_said reproposed; /* what a new view last proposed again */

    /* What clients took. */
    struct sim_receipt *receipts;
    size_t receipt_count, receipt_capacity;

    /* What the admin is about (membership.c). */
    struct sim_change changes[SIM_CHANGES_MAX];
    unsigned change_count;
    enum sim_part parts[SIM_NODES_MAX];
    bool has_rotated[SIM_NODES_MAX];
    unsigned targets[3], target_count; /* sizes of the set, one after another */
    unsigned target;                   /* the next of them */
    struct sign_key second_admin_key;
    struct genesis rules; /* parameters and admins as they are once all is executed */
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
/* The index by which `replica` knows another; -1: no validator. */
int sim_peer_index(const struct sim_replica *replica, const struct sim_replica *other);

/* liar.c */
void sim_liars_choose(struct sim *sim);
/* Sends a message of a lying replica to one, in its own way. */
void sim_lie(struct sim *sim, struct sim_replica *replica, const struct pbft_message *message,
             unsigned to);
/* What liars say unasked. */
void sim_lie_unasked(struct sim *sim);
/* Something was delivered to `to`, and is known to all liars if that is one. */
void sim_liars_hear(struct sim *sim, struct sim_replica *to, struct sim_payload *payload);
/* New friends and enemies. */
void sim_liars_turn(struct sim *sim);

/* sets.c */
/* From the genesis on. */
SEALMQ_MUST_CHECK int sim_sets_start(struct sim *sim);
/* The next block is agreed: it and its certificate must be right by the set of its height. */
void sim_sets_add(struct sim *sim, const struct block *block, struct bytes certificate);
/* The set that decides the block at `height`, or, where that is not known yet, the newest. */
const struct sim_set *sim_set_at(const struct sim *sim, uint64_t height);
/* The replica that is meant by an index of the set that decides `height`. NULL: nobody. */
struct sim_replica *sim_member_at(struct sim *sim, uint64_t height, int index);
bool sim_is_validator(const struct sim *sim, uint64_t height, const struct sim_replica *replica);
/* Whether the block at `height`, which is agreed, changed the set. */
bool sim_changes_set(const struct sim *sim, uint64_t height);
/* Whether the note has a quorum of the set that was to sign a log of its size. */
SEALMQ_MUST_CHECK int sim_check_checkpoint(const struct sim *sim, struct bytes note,
                                           struct checkpoint *out);
void sim_sets_close(struct sim *sim);

/* membership.c */
/* Before the genesis is sealed. */
void sim_membership_choose(struct sim *sim);
void sim_membership_act(struct sim *sim);
bool sim_membership_done(const struct sim *sim);
/* Whether it must have all blocks in the end: a revoked one and a stranger get none. */
bool sim_is_told(const struct sim *sim, const struct sim_replica *replica);
void sim_membership_close(struct sim *sim);

/* clients.c */
/* The longest honest chain there is to look at; NULL. */
const struct chain *sim_clients_look(const struct sim *sim);
/* To some replicas. */
void sim_clients_submit(struct sim *sim, const struct buf *wire);
SEALMQ_MUST_CHECK int sim_clients_start(struct sim *sim);
void sim_clients_act(struct sim *sim);
bool sim_clients_served(struct sim *sim);
/* A replica shows a checkpoint to clients. */
void sim_clients_receipt(struct sim *sim, const struct sim_replica *replica, struct bytes note);
/* Requests that wait, as far as `chain` says: at most `max`. */
size_t sim_clients_waiting(const struct sim *sim, const struct chain *chain, struct bytes *out,
                           size_t max);
void sim_clients_close(struct sim *sim);

/* marks.c */
void sim_mark(struct sim *sim, enum sim_mark mark);
/* After a step whose update was carried out; `event` is what caused it. */
void sim_marks_step(struct sim *sim, struct sim_replica *replica, const struct pbft_event *event,
                    const struct pbft_update *update);
/* After a start. */
void sim_marks_start(struct sim *sim, struct sim_replica *replica);
/* After a replica has stopped. */
void sim_marks_stop(struct sim *sim);
/* Before a crash after the writes of `update`, with nothing of it sent. */
void sim_marks_crash(struct sim *sim, const struct pbft_update *update);

/* check.c */
void sim_check_block(struct sim *sim, const struct sim_replica *replica,
                     const struct pbft_stored_block *stored);
/* Room for one more. false: out of memory. */
bool sim_grow(void *array, size_t n, size_t *capacity, size_t size);
void sim_check_message(struct sim *sim, struct sim_replica *replica,
                       const struct pbft_message *message);
/* What was written may have begun a view. */
void sim_check_entered(struct sim *sim, struct sim_replica *replica, const struct pbft_event *event,
                       const struct pbft_update *update);
/* The NEW-VIEW by which this step has begun a view, if it was one: the message that came, or the
 * one that is sent. */
bool sim_find_new_view(const struct pbft_event *event, const struct pbft_update *update,
                       struct msg_new_view *out);
/* An honest replica notes something. */
void sim_check_note(struct sim *sim, const struct sim_replica *replica,
                    const struct pbft_note *note);
void sim_check_restart(struct sim *sim, const struct sim_replica *replica);
/* What a NEW-VIEW begins with, by the VIEW-CHANGEs in it. */
SEALMQ_MUST_CHECK int sim_choice_of(const struct msg_new_view *m, struct choice *out);
/* Whether all is as it should be in the end; *what says what is not yet. */
bool sim_check_settled(struct sim *sim, char *what, size_t what_size);
void sim_check_stores(struct sim *sim);
void sim_check_receipts(struct sim *sim);
/* Replays a store through an empty chain, certificates verified. */
SEALMQ_MUST_CHECK int sim_replay(const struct genesis *genesis, const struct sim_store *store,
                                 struct chain **out);

#endif
