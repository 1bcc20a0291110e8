/* A few replicas in memory, whose messages a test delivers, drops or changes as it likes. */
#ifndef TEST_CONSENSUS_CLUSTER_H
#define TEST_CONSENSUS_CLUSTER_H

#include "consensus/message.h"
#include "consensus/pbft.h"

#define NODES_MAX 8

struct sent {
    int from, to;
    enum pbft_message_kind kind;
    struct buf bytes;
};

struct node {
    char id[ID_MAX + 1]; /* "broker/n<index>" */
    struct sign_key key, log_key, cosigner_key;
    bool has_next; /* the next ones are given to the core as well */
    struct sign_key next_key, next_log_key, next_cosigner_key;
    struct chain *chain;
    struct mempool *mempool;
    struct pbft *pbft;
    bool may_vote;
    struct buf slots[PBFT_SLOTS];
    struct pbft_stored_block stored[512]; /* own copies */
    size_t height;
    struct buf checkpoint;
    size_t votes_sent;
    uint64_t deadline_ms;
    /* Of the last step. */
    bool asked_to_verify;
    struct hash to_verify;
    /* Since the test began. */
    size_t noted[PBFT_NOTE_REQUEST_DROPPED + 1];
    int last_error; /* of the last note */
};

struct cluster {
    struct genesis genesis;
    struct sign_key admin, gateway;
    size_t n;
    struct node nodes[NODES_MAX];
    struct pbft_timing timing;
    uint64_t now_ms;
    int64_t wall_us;
    bool down[NODES_MAX]; /* takes and sends nothing */
    bool verifies;        /* answers `verify` at once with whether the signatures hold */
    struct sent *queue;   /* in order of sending */
    size_t first, count, capacity;
    /* Asked for each message before it is delivered; NULL: all pass. */
    bool (*passes)(struct cluster *cluster, const struct sent *sent);
    uint64_t requests; /* made by cluster_request */
    /* Around each step of a core, if set. */
    void (*before)(struct cluster *cluster, size_t node);
    void (*after)(struct cluster *cluster, size_t node, int error,
                  const struct pbft_update *update);
};

struct cluster *cluster_new(size_t n);
/* n nodes, of which the first are the validators of the genesis. */
struct cluster *cluster_new_with(size_t n, size_t validators);
/* Blocks need this difficulty. Tries are made in ticks alone: cluster_run, not cluster_deliver. */
struct cluster *cluster_new_that_works(size_t n, uint8_t difficulty);
void cluster_free(struct cluster *cluster);
/* Makes the node's core anew from its slots and blocks. Returns pbft_new's result. */
int cluster_restart(struct cluster *cluster, size_t node);
/* One step, its update carried out: kept, and its messages queued. */
int cluster_step(struct cluster *cluster, size_t node, struct pbft_event *event);
int cluster_message(struct cluster *cluster, size_t node, enum pbft_message_kind kind,
                    struct bytes bytes, int from);
void cluster_tick(struct cluster *cluster, size_t node);
/* Delivers what is queued, and what that brings, until nothing is left. */
void cluster_deliver(struct cluster *cluster);
/* Time passes in small steps, with ticks where they are due and everything delivered. */
void cluster_run(struct cluster *cluster, uint64_t ms);
/* A new request (that registers some gateway), appended. */
void cluster_request(struct cluster *cluster, struct buf *out);
/* Gives the node a new request as its client; returns the step's result. */
int cluster_submit(struct cluster *cluster, size_t node);
/* A request of the admin's next number, made by the caller. */
int cluster_submit_wire(struct cluster *cluster, size_t node, struct bytes wire);
struct pbft_status cluster_status(const struct cluster *cluster, size_t node);
/* Header hash of the node's block. */
struct hash cluster_block_hash(const struct cluster *cluster, size_t node, size_t height);
/* All up have this height and the same blocks. */
void cluster_assert_height(const struct cluster *cluster, size_t height);

#endif
