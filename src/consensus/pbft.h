/* PBFT (Castro and Liskov 1999) as one step function without I/O: events in, an update out.
 *
 * One block is in agreement at a time. Height h is decided in views v = 0, 1, ...; the primary of
 * view v is validator v mod N. A replica at height h:
 *
 *   IDLE         nothing proposed in this view yet
 *   PROPOSED     a valid PRE-PREPARE was accepted and is durable; PREPARE sent
 *   PREPARED     a quorum of PREPAREs (the primary's PRE-PREPARE counts as its PREPARE); the
 *                prepared certificate is durable; COMMIT sent
 *   COMMITTED    a quorum of COMMITs: the block and its commit certificate are final; next height
 *   CHANGING     VIEW-CHANGE for view v+1 sent, no vote in older views any more, waiting for
 * NEW-VIEW
 *
 * and besides, FOLLOWING: fetches and checks certified blocks, votes for nothing (also the state of
 * a replica whose vote store was lost, and of a node that is not a validator).
 *
 * The set of validators is that of the chain's next block, and changes with blocks: who joins
 * begins to vote with the first block that its set decides, who leaves goes on FOLLOWING. Indexes
 * are those of the set as it is after the step; VALIDATORS_MAX and up are members that follow, see
 * pbft_peer_id.
 *
 * Contract with the host, for every update, in this order:
 *   1. write all of `writes`, blocks and checkpoint in one atomic step (skip when there are none),
 *      and make it durable, with all steps before it, if the update `must_be_durable`. A crash may
 *      take other steps, newest first: they hold blocks and checkpoints alone. Of each block a
 *      quorum keeps the prepared certificate until the block is durable there; so what is final
 *      stays so, and who has lost it gets it from others, or votes for it again;
 *   2. send `messages`;
 *   3. act on the rest.
 * and only then give the next event. So nothing is ever sent that a crash could make untrue.
 *
 * The chain and the mempool belong to the host, which must not change them while the core exists
 * other than by pbft_step (the core appends blocks, adds, chooses and prunes requests). */
#ifndef SEALMQ_CONSENSUS_PBFT_H
#define SEALMQ_CONSENSUS_PBFT_H

#include "ledger/chain.h"
#include "ledger/mempool.h"
#include "ledger/note.h"

struct pbft;

/* Message kinds; also the last level of the topic a message travels on (pbft_message_topic). */
enum pbft_message_kind {
    PBFT_MSG_REQUEST = 1, /* a forwarded request's wire form, without an envelope */
    PBFT_MSG_PRE_PREPARE,
    PBFT_MSG_PREPARE,
    PBFT_MSG_COMMIT,
    PBFT_MSG_CHECKPOINT,
    PBFT_MSG_VIEW_CHANGE,
    PBFT_MSG_NEW_VIEW,
    PBFT_MSG_STATUS, /* where I am: height, view; sent now and then and on connecting */
    PBFT_MSG_FETCH,  /* give me blocks from height.. */
    PBFT_MSG_BLOCKS, /* certified blocks */
    PBFT_MSG_ASK,    /* give me a part of a snapshot, or headers: between hosts (join.h) */
    PBFT_MSG_PART,   /* the answer to ASK */
};
/* "request", "pre-prepare", "prepare", "commit", "checkpoint", "view-change", "new-view",
 * "sync/status", "sync/fetch", "sync/blocks", "sync/ask", "sync/part": what follows
 * "chain/<network>/". NULL if none. */
const char *pbft_message_topic(enum pbft_message_kind kind);
/* SEALMQ_E_NOTFOUND. */
SEALMQ_MUST_CHECK int pbft_message_kind_of(struct bytes topic_suffix, enum pbft_message_kind *out);

/* What a replica keeps beside the blocks: a few blobs, each replaced whole. */
enum pbft_slot {
    PBFT_SLOT_VIEW = 1, /* the view, and whether it is still being changed to */
    PBFT_SLOT_PROPOSAL, /* the accepted PRE-PREPARE with its block: what PREPARE was signed for */
    PBFT_SLOT_PREPARED, /* prepared certificate (and its block, if not the proposal's): COMMIT's */
    PBFT_SLOT_NEW_VIEW, /* what this view began with */
    PBFT_SLOTS,
};

struct pbft_timing {
    uint32_t view_timeout_ms;     /* waiting requests without a new block: change the view; 1000 */
    uint32_t view_timeout_max_ms; /* doubling ends here; 30000 */
    uint32_t status_interval_ms;  /* below view_timeout_ms * 2 / 3; 500 */
    uint32_t resend_interval_ms;  /* own votes again while waiting; 500 */
    uint32_t time_ahead_ms;       /* a first proposal's time past our clock; 60000 */
    uint32_t batch_ms;            /* primary, busy: wait this long for more requests; 0: never */
    uint32_t nonce_tries_per_ms;  /* of the slowest validator, where blocks need work; 1000 */
};
void pbft_timing_default(struct pbft_timing *out);

/* Members in no set that are answered at the same time. */
#define PBFT_FOLLOWERS_MAX 16

/* A node's own key, with those for checkpoints that are derived from it. */
struct pbft_keys {
    const struct sign_key *key, *log_key, *cosigner_key;
};

struct pbft_options {
    struct chain *chain;                 /* at the newest block of the store */
    struct mempool *mempool;             /* requests whose signatures were checked */
    const char *id;                      /* ours; not among the validators: only follows */
    const struct sign_key *key;          /* borrowed until pbft_free, as all keys */
    const struct sign_key *log_key;      /* for checkpoints; NULL when only following */
    const struct sign_key *cosigner_key; /* likewise */
    const struct pbft_keys *next_keys;   /* ours once the chain says so; NULL: none */
    struct pbft_timing timing;
    bool may_vote;                  /* false: vote store lost; has to do with validators only */
    struct bytes slots[PBFT_SLOTS]; /* as last written; empty: none. Borrowed for the call */
    struct bytes tip_certificate;   /* commit certificate of the newest block; empty at 0 */
    size_t message_bytes_max;       /* of a BLOCKS message; 0: 4 MiB */
    uint64_t now_ms;
};

enum pbft_event_kind {
    PBFT_EVENT_MESSAGE,   /* from another node */
    PBFT_EVENT_REQUEST,   /* from a client of this node, signatures checked by the host */
    PBFT_EVENT_VERIFIED,  /* the answer to `verify` */
    PBFT_EVENT_SERVED,    /* the answer to `serve`: a BLOCKS message's worth of stored blocks */
    PBFT_EVENT_CONNECTED, /* a link to `peer` is up: say where we are */
    PBFT_EVENT_TICK,      /* the deadline has come (or any time) */
};

struct pbft_stored_block {
    struct bytes block;       /* wire form */
    struct bytes certificate; /* wire form; of COMMIT votes */
};

struct pbft_event {
    enum pbft_event_kind kind;
    uint64_t now_ms; /* monotonic */
    int64_t wall_us; /* of the wall clock: proposals' times */
    union {
        struct {
            enum pbft_message_kind kind;
            struct bytes bytes; /* borrowed for the call */
            /* Who delivered it, as the transport knows: validator index, or -1. A hint for where
             * to fetch from; what a message says is believed by its signature alone. A REQUEST
             * from a peer has had its signatures checked by the host, like a client's. */
            int peer;
        } message;
        struct bytes request; /* wire form */
        struct {
            struct hash header;
            bool valid; /* every request's signatures hold */
        } verified;
        struct {
            int peer;
            const struct pbft_stored_block *blocks; /* consecutive, may be fewer than asked */
            size_t n;
        } served;
        int peer; /* CONNECTED */
    };
};

struct pbft_write {
    enum pbft_slot slot;
    struct bytes bytes; /* empty: remove */
};

struct pbft_message {
    enum pbft_message_kind kind;
    int to; /* validator index, or -1: all others; VALIDATORS_MAX and up: see pbft_peer_id */
    struct bytes bytes;
};

enum pbft_note_kind { /* things an operator would want to know, and the metrics count */
                      PBFT_NOTE_VIEW_CHANGE,  /* leaving a view: value = new view */
                      PBFT_NOTE_NEW_VIEW,     /* entered: value = view */
                      PBFT_NOTE_REFUSED,      /* a message or proposal was refused: peer, error */
                      PBFT_NOTE_MISBEHAVIOUR, /* two votes that cannot both be honest: peer */
                      PBFT_NOTE_BEHIND,       /* catching up: value = height to reach */
                      PBFT_NOTE_CAUGHT_UP,    /* value = height */
                      PBFT_NOTE_REQUEST_DROPPED, /* a request can never execute: error */
};
struct pbft_note {
    enum pbft_note_kind kind;
    int peer; /* validator index or -1 */
    int error;
    uint64_t value;
    const char *words; /* static, or NULL */
};

/* Borrowed from the core until the next step. */
struct pbft_update {
    const struct pbft_write *writes;
    size_t write_count;
    /* See step 1. True with `writes`, and when blocks stand for votes that were cast in this very
     * step. */
    bool must_be_durable;
    /* Newly final blocks, in order; step 1 of the contract says when they are durable. None but the
     * last has a height that is a multiple of SNAPSHOT_INTERVAL. */
    const struct pbft_stored_block *blocks;
    size_t block_count;
    /* A checkpoint with a quorum: a whole signed note; empty if none is new. As the blocks. */
    struct bytes checkpoint;

    const struct pbft_message *messages;
    size_t message_count;

    /* Please check every request signature of this proposal (chain_check_signatures, remembering
     * what was checked before) and answer with PBFT_EVENT_VERIFIED; empty if nothing to check.
     * Asked once for each proposal: without an answer the replica does not vote in this view. */
    struct bytes verify_block;
    struct hash verify_header;

    /* Please read stored blocks from this height on, for that peer; count 0 if nothing is asked. */
    struct {
        int peer;
        uint64_t from;
        size_t count;
    } serve;

    const struct pbft_note *notes;
    size_t note_count;
    uint64_t
        deadline_ms; /* give PBFT_EVENT_TICK then, if nothing comes before; UINT64_MAX: never */
};

/* SEALMQ_E_CORRUPT when a slot or the tip's certificate does not decode or contradicts the chain. A
 * validator without the key that the chain has for it only follows. */
SEALMQ_MUST_CHECK int pbft_new(const struct pbft_options *options, struct pbft **out);
void pbft_free(struct pbft *pbft);

/* Returns 0, or, for EVENT_REQUEST, why the request was not taken (SEALMQ_E_REPLAY, _CONFLICT,
 * _EXISTS, _FULL, ...). A bad message is no error of the step: it is noted. SEALMQ_E_NOMEM means a
 * step that stopped half-way: its update is empty, nothing of it was said or stored, and the core,
 * its chain and its mempool are to be made anew from the store, as after a crash; until then every
 * step fails. The update is valid in every case. */
SEALMQ_MUST_CHECK int pbft_step(struct pbft *pbft, const struct pbft_event *event,
                                struct pbft_update *update);

/* Whose index it is: a validator's of the set, or that of a member who follows and asked for
 * something. NULL: nobody's. */
const char *pbft_peer_id(const struct pbft *pbft, int peer);
/* Bodies of blocks are kept here from this height on: said in STATUS, that others ask elsewhere for
 * those before. 0 and 1: all. */
void pbft_keep(struct pbft *pbft, uint64_t lowest);

/* As long as it is held, no blocks are fetched: the host gets its chain by other means. */
void pbft_hold(struct pbft *pbft, bool is_held);

struct pbft_status {
    uint64_t height, view;
    const char *state; /* "idle", "proposed", "prepared", "changing", "following" */
    int primary;       /* validator index */
    bool votes;
    uint64_t stable_checkpoint; /* height */
    uint64_t peers_height;      /* highest that a weak quorum (f+1) claims */
    size_t waiting_requests;
    size_t peer_count; /* the validators */
    struct {
        uint64_t height, keeps; /* tip, and lowest body, as it says */
        bool is_heard;          /* of late; false of ourselves */
    } peers[VALIDATORS_MAX];
};
void pbft_status_get(const struct pbft *pbft, struct pbft_status *out);

#endif
