/* Inside of the consensus core; pbft.h is its outside.
 *
 * Words. The *tip* is the newest final block; agreement is about height tip + 1, called *the
 * height*. A view lasts over heights: it changes when its primary is left, not with each block.
 *
 * Invariants, on which agreement rests (section 4.5.1 of the thesis gives the proof for the
 * published protocol; docs/spec/consensus.md shows what differs here):
 *
 *  1. For one (view, height) a replica signs at most one PREPARE and at most one COMMIT, for the
 * same header, and COMMIT only with a prepared certificate. Views and heights of what it signs
 * never fall.
 *  2. Every state from which a signature was made is written in the update that sends it.
 *  3. After VIEW-CHANGE(w) was signed, nothing of a view below w is signed. A later VIEW-CHANGE(w)
 *     may only know more: a higher tip.
 *  4. `proposal`, `prepared` and `candidate` are of the height, or NULL.
 *  5. View w > 0 is entered by a checked NEW-VIEW(w), or by a commit certificate of view w, and in
 *     the second case only for heights above that certificate's.
 *
 * Memory: for each validator a fixed number of votes, one VIEW-CHANGE, a few checkpoint lines; in
 * all at most a handful of blocks (proposal, candidate, prepared, buffered, new view's). No message
 * makes more room than that. */
#ifndef SEALMQ_CONSENSUS_PBFT_INT_H
#define SEALMQ_CONSENSUS_PBFT_INT_H

#include "base/assert.h"
#include "consensus/choose.h"
#include "consensus/message.h"
#include "consensus/pbft.h"

/* Votes kept of one validator and kind: at the height, one height on, and of views to come. */
#define VOTES_KEPT       4
/* Sizes for which a validator's checkpoint lines are kept: blocks may be faster than lines. */
#define CHECKPOINTS_KEPT 4
/* A peer that says nothing for so many status intervals is not heard any more. */
#define STATUS_MISSED    6
/* Blocks asked for at once; how many such ranges are on their way or wait for those before them,
 * and how many of one peer. Once the waiting ones have so many bytes, only the next range is asked
 * for. */
#define FETCH_BLOCKS     64
#define FETCH_RANGES     16
#define FETCH_PEER       4
#define FETCH_HELD_BYTES (16u * 1024 * 1024)
/* Fetched blocks that one step takes at most, for its update is one write to disk. */
#define FETCH_STEP       256
/* Ranges before the last one that a peer is given in half a resend interval. */
#define SERVED_BACK      4
/* A primary that makes blocks, but leaves out a request that could be in them, is left after this
 * many view time-outs. */
#define FAIRNESS_FACTOR  10
/* Waiting requests that are sent again to a primary that does not seem to know them. */
#define REFORWARD_COUNT  256
#define REFORWARD_BYTES  (1024 * 1024)
/* Tries at a header's difficulty in one step: a millisecond, so that nobody waits for this replica.
 * After a while they go on with a new block, which has the time and the requests of then: no try
 * knows of those before it, so nothing is lost. */
#define NONCE_TRIES      (1u << 12)
#define WORK_AGE_MAX_MS  1000
/* How many times the tries that are needed on average the timers allow for: one block in 3000 takes
 * longer. */
#define WORK_PATIENCE    8

enum vote_kind { VOTE_PREPARE, VOTE_COMMIT, VOTE_KINDS };

struct kept_vote {
    bool set;
    uint64_t view, height;
    struct hash header;
    struct signature signature;
};

/* A proposal with its block; shared by reference count, and kept for one more step after its last
 * release, because the update may refer to it. */
struct proposal {
    unsigned refs;
    uint64_t view; /* of the vote; the header's view is older when it was proposed again */
    uint64_t height;
    struct hash header;
    struct signature vote; /* of the primary of `view`, as PREPARE */
    struct buf wire;       /* PRE-PREPARE message */
    struct block block;    /* borrows from wire */
    struct proposal *next_dead;
};

/* The newest valid VIEW-CHANGE of a validator. */
struct kept_view_change {
    bool set;
    struct buf signed_part;
    struct view_change_claim claim;
    uint64_t view;
};

struct kept_checkpoint {
    uint64_t size; /* 0: none */
    bool verified;
    struct hash root;
    size_t lines_n;
    uint8_t lines[CHECKPOINT_LINES_MAX];
};

struct peer {
    struct kept_vote votes[VOTE_KINDS][VOTES_KEPT];
    struct kept_view_change view_change;
    struct kept_checkpoint checkpoints[CHECKPOINTS_KEPT];
    uint64_t height; /* tip, as it claims */
    uint64_t keeps;  /* bodies from this height on, as it claims */
    bool heard;      /* ever */
    uint64_t heard_ms;
    /* When we last did something for it that costs more than it costs to ask. */
    uint64_t healed_ms, new_view_sent_ms, served_ms, served_from, block_sent_ms, status_sent_ms;
    unsigned served_back;    /* since served_ms */
    uint64_t fetch_after_ms; /* put aside: not asked again before then */
    uint32_t fetch_failures; /* ranges it did not give, or not right, since it last gave one */
};

/* Consecutive blocks that are asked for, or wait for those before them. */
struct fetch_range {
    enum { FETCH_NONE, FETCH_ASKED, FETCH_HELD } state;
    uint64_t from, count;
    int peer;
    uint64_t asked_ms;
    struct buf message; /* HELD: the BLOCKS message */
    struct hash set;    /* HELD: of the validators by whose keys the certificates were checked */
};

/* A member in no set of ours that asked for something. */
struct follower {
    char id[ID_MAX + 1]; /* empty: nobody */
    struct peer peer;
};

struct update_chunk;

struct pbft {
    /* Of the host. */
    struct chain *chain;
    struct mempool *mempool;
    char id[ID_MAX + 1];
    const struct sign_key *key, *log_key, *cosigner_key; /* those that the chain has for us */
    struct pbft_keys all_keys[2]; /* ours, and those that are to be; key NULL: none */
    struct pbft_timing timing;
    size_t message_bytes_max;
    bool may_vote;

    /* The validator set of the height. */
    int self; /* our index, or -1 */
    bool votes;
    size_t n, f, q;
    struct validator_set set; /* a copy: who was who when it changes */
    struct hash validators;
    struct peer *peers; /* n; ours too, with our own votes */
    struct follower followers[PBFT_FOLLOWERS_MAX];

    uint64_t now_ms;
    int64_t wall_us;
    int failed; /* once not 0, the core does nothing any more */
    bool again; /* something changed: look at every phase again */

    uint64_t view;
    bool changing; /* VIEW-CHANGE(view) is signed, NEW-VIEW(view) not seen */
    struct buf tip_certificate;

    struct proposal *proposal;  /* accepted, in proposal->view <= view */
    struct proposal *candidate; /* waits for the host to check its requests */
    struct proposal *buffered;  /* of the next height, or of the view we change to */
    struct {
        bool set;
        uint64_t view;
        struct buf certificate;
        struct proposal *proposal;
    } prepared;

    struct buf view_change;             /* our signed part; empty unless changing */
    struct proposal *view_change_block; /* of the best prepared certificate, for the new primary */
    struct {
        bool set;        /* of `view` */
        uint64_t height; /* the first height that the view decides */
        struct choice choice;
        struct proposal *proposal; /* what is proposed again; NULL when nothing */
        struct buf wire;
    } new_view;
    struct {
        struct buf block; /* what we are about to propose, without its nonce; empty: nothing */
        size_t header_size;
        uint8_t difficulty;
        uint64_t view, height, since_ms;
        uint64_t nonce; /* to be tried next */
        bool may_try;   /* in this step */
    } work;
    uint64_t keeps;  /* bodies that we keep: from this height on */
    bool may_select; /* mempool, tip or view changed since mempool_select found nothing */
    bool proposed_this_step;

    /* Timers (timer.c). */
    uint32_t attempts; /* views left since the last block */
    bool suspect;      /* the primary of this view sent what no correct one sends */
    struct {
        bool running;
        uint64_t since_ms;
        bool look; /* mempool or tip changed: find out anew what waits */
        bool request_set;
        struct hash request; /* the oldest that could be in a block */
        uint64_t request_since_ms;
    } watch;
    struct {
        bool running;
        uint64_t since_ms;
    } change_timer;
    uint64_t status_ms, resend_ms, reforward_ms, last_block_ms;
    bool had_block; /* one became final since the start: last_block_ms means something */

    /* Catch-up (catch_up.c). */
    struct fetch_range ranges[FETCH_RANGES];
    bool is_held;   /* fetches nothing */
    int fetch_peer; /* asked last */
    bool behind;    /* some peer claims more than we have */
    uint64_t behind_since_ms;
    uint64_t noted_behind; /* height of the last PBFT_NOTE_BEHIND, 0 when caught up */
    uint64_t block_asked_ms;
    size_t block_asked_round;

    /* Checkpoints (checkpoint.c). */
    bool checkpoint_due;
    uint64_t checkpoint_size; /* newest that we signed */
    uint64_t set_from;        /* the set signs checkpoints of this size and larger ones */
    uint64_t stable_size;     /* newest with a quorum */

    /* The update under way (update.c). */
    struct update_chunk *chunks;
    struct proposal *dead;
    struct pbft_write writes[PBFT_SLOTS];
    bool dirty[PBFT_SLOTS];
    struct pbft_message *messages;
    size_t message_count, message_capacity;
    struct pbft_stored_block *blocks;
    size_t block_count, block_capacity;
    struct pbft_note *notes;
    size_t note_count, note_capacity;
    struct bytes checkpoint;
    struct proposal *to_verify;
    int serve_peer;
    uint64_t serve_from;
    size_t serve_count;

    struct bytes *selected; /* BLOCK_REQUESTS_MAX, for mempool_select */
};

static inline uint64_t tip_height(const struct pbft *p)
{
    return chain_height(p->chain);
}
static inline uint64_t next_height(const struct pbft *p)
{
    return chain_height(p->chain) + 1;
}
static inline int primary_of(const struct pbft *p, uint64_t view)
{
    return (int)(view % p->n);
}
static inline bool is_primary(const struct pbft *p)
{
    return p->votes && primary_of(p, p->view) == p->self;
}
static inline const struct validator *validator_at(const struct pbft *p, int index)
{
    return &chain_validators(p->chain)->v[index];
}
/* A validator, or a follower by its index from VALIDATORS_MAX on. */
static inline struct peer *peer_at(struct pbft *p, int index)
{
    return index < VALIDATORS_MAX ? &p->peers[index] : &p->followers[index - VALIDATORS_MAX].peer;
}
static inline const struct hash *genesis_hash(const struct pbft *p)
{
    return &chain_genesis(p->chain)->hash;
}
/* Not yet, or so long ago that it may be done again. A time of 0 is "never". */
static inline bool is_due(const struct pbft *p, uint64_t last_ms, uint64_t interval_ms)
{
    return last_ms == 0 || p->now_ms - last_ms >= interval_ms;
}

/* How long not to send the same large thing to the same peer again. */
static inline uint64_t large_interval_ms(const struct pbft *p, size_t size)
{
    return (uint64_t)p->timing.resend_interval_ms * (1 + size / (1024 * 1024));
}

/* member.c */
/* After each block: who decides the next one, and with which key we take part. */
void members_reload(struct pbft *p);
void members_close(struct pbft *p);
/* Whether a signed message that names its sender by id is by that member; its index then, as a
 * validator or as a follower, or an error. */
int member_verify(struct pbft *p, enum pbft_message_kind kind, const struct msg_signed *head,
                  struct bytes id);
/* Marks that `index` is there. */
void peer_heard(struct pbft *p, int index);
void peer_claims_height(struct pbft *p, int index, uint64_t tip);
/* The highest tip that f + 1 others claim, of whom one at least is honest. */
uint64_t peers_height(const struct pbft *p);

/* update.c: what the step gives back. All bytes stay until the next step begins. */
void update_begin(struct pbft *p);
void update_end(struct pbft *p, struct pbft_update *update);
void update_close(struct pbft *p);
struct bytes update_copy(struct pbft *p, struct bytes bytes);
/* `bytes` must stay until the next step; `to` -1: all others. */
void update_send(struct pbft *p, enum pbft_message_kind kind, int to, struct bytes bytes);
void update_send_copy(struct pbft *p, enum pbft_message_kind kind, int to, struct bytes bytes);
/* Takes what a buffer holds, and reports its failure. */
void update_send_buf(struct pbft *p, enum pbft_message_kind kind, int to, struct buf *buf);
void update_block(struct pbft *p, struct bytes block, struct bytes certificate);
void update_note(struct pbft *p, enum pbft_note_kind kind, int peer, int error, uint64_t value,
                 const char *words);
void update_dirty(struct pbft *p, enum pbft_slot slot);

/* persist.c */
void persist_collect(struct pbft *p);
SEALMQ_MUST_CHECK int persist_load(struct pbft *p, const struct bytes slots[PBFT_SLOTS]);

/* proposal.c */
/* Copies the block. SEALMQ_E_HASH when it is not the one that `header` names; block_decode's
 * errors; SEALMQ_E_NOMEM (also set in p->failed). */
SEALMQ_MUST_CHECK int proposal_new(struct pbft *p, uint64_t view, uint64_t height,
                                   const struct hash *header, const struct signature *vote,
                                   struct bytes block, struct proposal **out);
/* Whether its requests are whole. The header binds a request's head and signatures; what travels
 * beside them is bound by the head alone, so that a block of the right hash may be damaged there,
 * by whoever passed it on. request_decode's errors. */
SEALMQ_MUST_CHECK int proposal_check_requests(const struct proposal *proposal);
struct proposal *proposal_keep(struct proposal *proposal);
void proposal_release(struct pbft *p, struct proposal **slot);
/* A block that we hold with this hash, wherever we hold it; NULL. */
struct proposal *proposal_held(struct pbft *p, const struct hash *header);

/* vote.c */
void vote_tuple(const struct pbft *p, uint64_t view, uint64_t height, const struct hash *header,
                struct vote *out);
const char *vote_label(enum vote_kind kind);
/* 0; SEALMQ_E_EXISTS; SEALMQ_E_CONFLICT: another header for the same view and height;
 * SEALMQ_E_LIMIT: no room for one so far off. */
SEALMQ_MUST_CHECK int vote_put(struct pbft *p, enum vote_kind kind, int who,
                               const struct kept_vote *vote);
bool vote_find(const struct pbft *p, enum vote_kind kind, int who, uint64_t view, uint64_t height,
               struct kept_vote *out);
size_t vote_count(const struct pbft *p, enum vote_kind kind, uint64_t view, uint64_t height,
                  const struct hash *header);
/* A certificate of exactly q of them, with `must`'s among them (-1: anybody's). */
void vote_certificate(const struct pbft *p, enum vote_kind kind, uint64_t view, uint64_t height,
                      const struct hash *header, int must, struct certificate *out);
/* Signs our vote, keeps it, and sends it to all others. */
void vote_cast(struct pbft *p, enum vote_kind kind, uint64_t view, uint64_t height,
               const struct hash *header);
/* Our own vote for (view, height) to one peer or all, if there is one. */
void vote_resend(struct pbft *p, enum vote_kind kind, int to);
/* A PREPARE or COMMIT of somebody else. */
void vote_receive(struct pbft *p, enum vote_kind kind, struct bytes bytes);
/* Drops votes for heights that are final. */
void vote_prune(struct pbft *p);

/* work.c */
/* Takes the block's bytes out of the buffer: work on them begins, if there is any to do. */
void work_begin(struct pbft *p, const struct block_header *header, struct buf *block);
void work_drop(struct pbft *p);
/* Whether the block that is worked on could still be proposed as it is. */
bool work_is_current(const struct pbft *p);
/* Does a step's share. True when the block is done: p->work.block. */
bool work_go_on(struct pbft *p);
/* How much longer a proposal may take. */
uint64_t work_allowance_ms(const struct pbft *p);

/* pre_prepare.c */
void pre_prepare_receive(struct pbft *p, struct bytes bytes);
void pre_prepare_verified(struct pbft *p, const struct hash *header, bool valid);
void pre_prepare_resume(struct pbft *p); /* what was buffered */
void propose(struct pbft *p);
/* The proposal is what we vote for at this height and view from now on. Takes the reference. */
void proposal_accept(struct pbft *p, struct proposal *proposal);
/* When the primary wants to propose; UINT64_MAX when it has no reason to. */
uint64_t propose_deadline_ms(const struct pbft *p);

/* prepare.c, commit.c */
void prepare_check(struct pbft *p);
void prepared_clear(struct pbft *p);
void commit_check(struct pbft *p);
/* `block` is final by `certificate` (checked, of the next height): appended to the chain. The bytes
 * must stay until the next step. 0, or why the chain refuses it. */
SEALMQ_MUST_CHECK int commit_block(struct pbft *p, const struct block *block,
                                   struct bytes certificate, uint64_t certificate_view);
/* The same by somebody else's certificate, if we hold the block. */
void commit_by_certificate(struct pbft *p, const struct certificate *certificate);

/* checkpoint.c */
void checkpoint_sign_tip(struct pbft *p);
void checkpoint_receive(struct pbft *p, struct bytes bytes);
void checkpoint_check(struct pbft *p);
void checkpoint_resend(struct pbft *p, int to);

/* view_change.c */
void view_change_start(struct pbft *p, uint64_t view);
/* Our VIEW-CHANGE anew, after the tip has moved. */
void view_change_renew(struct pbft *p);
void view_change_receive(struct pbft *p, struct bytes bytes);
void view_change_check(struct pbft *p); /* f + 1 others are in higher views */
/* To one peer, or all. With its block for whoever is to be primary. */
void view_change_send(struct pbft *p, int to, bool with_block);
/* Everything but the sender's own place: signature, certificates. Fills in what it claims. */
SEALMQ_MUST_CHECK int view_change_verify(struct pbft *p, const struct msg_view_change *message,
                                         struct view_change_claim *claim,
                                         struct certificate *tip_certificate);
size_t view_change_count(const struct pbft *p, uint64_t at_least);

/* new_view.c */
void new_view_check(struct pbft *p); /* as the primary: a quorum of VIEW-CHANGEs */
void new_view_receive(struct pbft *p, struct bytes bytes);
void new_view_resume(struct pbft *p); /* the tip has reached where it starts */
void new_view_send(struct pbft *p, int to);
/* The same to one who does not seem to have it, now and then. */
void new_view_heal(struct pbft *p, int to);
/* In view `view` from now on. */
void view_enter(struct pbft *p, uint64_t view);
/* What the slot says; not verified again. */
SEALMQ_MUST_CHECK int new_view_load(struct pbft *p, struct bytes wire);

/* request.c */
SEALMQ_MUST_CHECK int request_event(struct pbft *p, struct bytes wire, bool from_client);
void request_reforward(struct pbft *p); /* to the primary */
void request_retell(struct pbft *p);    /* to all */

/* status.c */
void status_send(struct pbft *p, int to);
void status_receive(struct pbft *p, struct bytes bytes);

/* catch_up.c */
void fetch_check(struct pbft *p);
void fetch_receive(struct pbft *p, struct bytes bytes);
void fetch_prepared_block(struct pbft *p, const struct hash *header, bool is_new_round);
void blocks_serve(struct pbft *p, int peer, const struct pbft_stored_block *blocks, size_t n);
/* `peer` is who delivered it, -1 when that is not known. */
void blocks_receive(struct pbft *p, struct bytes bytes, int peer);
/* Peers have other indexes: forgets what is asked for, and who gave what is held. */
void fetch_reset(struct pbft *p);
void fetch_close(struct pbft *p);
uint64_t fetch_deadline_ms(struct pbft *p);

/* timer.c */
void timer_check(struct pbft *p);  /* before the phases: what has run out */
void timer_update(struct pbft *p); /* after them: what runs now */
void timer_progress(struct pbft *p);
uint64_t timer_deadline_ms(struct pbft *p);

#endif
