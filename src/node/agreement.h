/* The agreement thread: runs the PBFT core on its own loop, with the block store and the links to
 * the other nodes. What the workers give it goes through a bounded mailbox.
 *
 * It keeps the core's contract: an update's writes and blocks are durable before its messages
 * leave. When the disk refuses, it waits and tries again, and the chain waits with it; reports do
 * not. */
#ifndef SEALMQ_NODE_AGREEMENT_H
#define SEALMQ_NODE_AGREEMENT_H

#include "consensus/pbft.h"
#include "node/offences.h"
#include "node/receipts.h"
#include "node/registry.h"
#include "store/blocks.h"

struct agreement;

struct agreement_options {
    const struct genesis *genesis; /* borrowed until free, like all here */
    const char *id;
    const struct sign_key *key;
    const struct sign_key *next_key; /* used once the chain has it for this node; NULL: none */
    const char *folder;              /* of blocks.db */
    struct registry *registry;
    uint32_t view_timeout_ms;         /* 0: the default */
    struct block_store_retain retain; /* of the bodies of blocks */
    bool join;                        /* with an empty store, begin with a snapshot of others */
    bool vote_again; /* whoever runs this node says that it may, after it lost its votes */
    void *context;
    /* On the agreement thread. The registry is up to date when they are called. */
    void (*member)(void *context, const struct member *member);
    void (*receipt)(void *context, const struct receipt *receipt);
    void (*refused)(void *context, struct bytes client, uint64_t number, int error);
    void (*publish)(void *context, const char *topic, struct bytes payload, bool retain);
    /* To one member, if it is connected here. May be NULL. */
    void (*send)(void *context, const char *member, const char *topic, struct bytes payload);
    /* Memory ran out in the middle of a step: this node no longer takes part, and its process must
     * end to begin again from what is stored. Once at most; what it was is in the log. */
    void (*failed)(void *context, int error);
};

/* Opens the block store and replays the chain; fills the registry. The thread starts with
 * agreement_start. `why` names what is wrong. */
SEALMQ_MUST_CHECK int agreement_new(const struct agreement_options *options, struct agreement **out,
                                    char *why, size_t why_size);
SEALMQ_MUST_CHECK int agreement_start(struct agreement *agreement);
void agreement_free(struct agreement *agreement); /* stops the thread */

/* From any thread; the bytes are copied. SEALMQ_E_BUSY when the mailbox is full, or too
 * much of the same source waits; SEALMQ_E_NOMEM. */
SEALMQ_MUST_CHECK int agreement_message(struct agreement *agreement, enum pbft_message_kind kind,
                                        int peer, struct bytes bytes);
/* A request of a client of this node; the answer is `receipt` or `refused`. */
SEALMQ_MUST_CHECK int agreement_request(struct agreement *agreement, struct bytes client,
                                        struct bytes wire);
/* An announcement to be passed on to the other nodes: the payload as it came. */
SEALMQ_MUST_CHECK int agreement_announce(struct agreement *agreement, struct bytes payload);

/* What this node says to become a validator at `url` (request.h, request_make_join), appended. From
 * any thread. */
SEALMQ_MUST_CHECK int agreement_join(struct agreement *agreement, const char *url, struct buf *out);

/* Who decides the next block. From any thread. */
void agreement_validators(struct agreement *agreement, struct validator_set *out);

struct agreement_status {
    struct pbft_status pbft;
    unsigned validators, peers_connected;
    char primary[ID_MAX + 1];
    uint64_t requests_total, records_total; /* on the chain */
    uint64_t receipts_total, refused_total, dropped_total;
    uint64_t bad_messages_total, view_changes_total;
    bool disk_waiting;
    uint64_t keeps;        /* bodies from this height on */
    bool is_prune_refused; /* older ones should go, and too few others keep them */
    unsigned full_nodes;   /* reachable, this one included if it is one */
    bool is_few_full;      /* fewer than there should be, for a while */
    uint64_t fetched_blocks_total;
    struct {
        uint64_t target; /* 0: not catching up */
        double blocks_per_s, bytes_per_s;
    } catch_up;
    struct hash tip;
    struct {
        char id[ID_MAX + 1];
        bool is_connected;
    } peers[VALIDATORS_MAX];
    unsigned peer_count;
};
/* As of the last step. From any thread. */
void agreement_status_get(struct agreement *agreement, struct agreement_status *out);
/* Messages of other nodes that were refused. From any thread. */
void agreement_offences_get(struct agreement *agreement, struct offences *out);

/* That the log of headers of size `from` is the beginning of that of size `to`. */
struct log_growth {
    uint64_t from, to;
    struct merkle_path path;
    struct hash root; /* at size `to` */
    struct buf note;  /* the newest checkpoint, when it is of size `to`; empty otherwise */
};
/* From any thread; `to` 0: the newest checkpoint's. SEALMQ_E_ARG (from is 0 or above to), _NOTFOUND
 * (not that many blocks yet, or a node that does not have the older ones), _AGAIN (no checkpoint
 * yet), _NOMEM. What succeeds is closed. */
SEALMQ_MUST_CHECK int agreement_log_growth(struct agreement *agreement, uint64_t from, uint64_t to,
                                           struct log_growth *out);
void log_growth_close(struct log_growth *growth);

/* The lowest unused request number of a sender, as of now. From any thread. */
uint64_t agreement_request_next(struct agreement *agreement, struct bytes sender);

#endif
