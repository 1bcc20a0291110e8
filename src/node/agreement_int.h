/* Inside the agreement thread: shared by agreement*.c only. */
#ifndef SEALMQ_NODE_AGREEMENT_INT_H
#define SEALMQ_NODE_AGREEMENT_INT_H

#include "consensus/join.h"
#include "net/link.h"
#include "node/agreement.h"
#include "node/checker.h"
#include "node/letters.h"
#include "node/refusals.h"
#include "store/blocks.h"

#include <pthread.h>
#include <stdatomic.h>
#include <uv.h>

/* In the block store beside the core's own: there when the store was lost once. A node that has
 * forgotten its votes must not vote, after the second start as after the first. */
#define AGREEMENT_SLOT_LOST (BLOCK_STORE_SLOTS - 1)
_Static_assert(AGREEMENT_SLOT_LOST >= PBFT_SLOTS, "the core's slots are others");

/* Links kept to validators that have left, so that they hear why. */
#define AGREEMENT_LEAVERS 8

/* The link to one other validator. */
struct peer {
    struct agreement *agreement;
    struct net_link *link; /* NULL: the place is free */
    int validator;         /* index in the set; -1: it has left, and the link goes at left_ms */
    uint64_t left_ms;
    bool knows_other_key; /* it refused the key that we think the chain has for us */
    char id[ID_MAX + 1];
    char url[URL_MAX_BYTES + 1];
};

/* agreement_keep.c */
struct agreement_keep {
    uint64_t low_since_ms; /* few full nodes; 0: enough */
    uint64_t pruned_ms;
    bool is_unfinished; /* there is more to be removed */
};

/* agreement_progress.c */
struct agreement_progress {
    bool is_running;
    uint64_t begun_ms, logged_ms;
    uint64_t blocks, bytes, logged_blocks, logged_bytes;
};

/* agreement_join.c */
struct agreement_join {
    struct join *work; /* NULL: none under way */
    uint64_t logged_ms;
    uint64_t headers_from; /* the lowest header that is here */
    int headers_peer;      /* asked for those before it */
    uint64_t headers_asked_ms;
};

/* agreement_parts.c */
#define PARTS_A_SECOND 256
struct agreement_served {
    uint64_t since_ms;
    unsigned n;
};

struct answer;
struct held;
struct proposal_check;

struct agreement {
    struct agreement_options options;
    char topic_prefix[NETWORK_MAX + 8]; /* "chain/<network>/" */
    pthread_t thread;
    bool is_started;
    atomic_bool is_stopping;

    pthread_mutex_t lock; /* over the mailbox, the status and the offences */
    struct letters letters;
    struct agreement_status status;
    struct offences offences;

    /* Over the chain and the checkpoint: written by the thread, read by those who ask. */
    pthread_rwlock_t chain_lock;

    /* from here on the thread's own */
    uv_loop_t loop;
    uv_async_t wake;
    uv_timer_t deadline;
    struct block_store *store;
    struct chain *chain;
    struct mempool *mempool;
    struct pbft *pbft;
    struct receipts *receipts;
    struct sign_key log_key, cosigner_key;
    struct sign_key next_log_key, next_cosigner_key;
    struct peer peers[VALIDATORS_MAX + AGREEMENT_LEAVERS];
    size_t peer_count;      /* places used so far, free ones among them */
    struct hash validators; /* the set that links and registry are of */
    struct buf checkpoint;  /* the newest with a quorum */
    uint64_t checkpoint_size;
    uv_timer_t head;        /* runs while the newest checkpoint is to be published yet */
    uint64_t head_ms;       /* of the last publishing */
    uint64_t unsynced_ms;   /* since when something is written, but not durable; 0: nothing is */
    struct answer *answers; /* for the core, in order */
    bool is_alone;          /* said in the log that the chain waits for others */
    struct agreement_status shown; /* the status under construction */
    struct refusals refusals;
    struct checker *checker;
    struct held *held; /* requests whose signatures are being checked */
    size_t held_count, held_bytes;
    struct proposal_check *proposal_check;
    struct agreement_keep keep;
    struct agreement_progress progress;
    struct agreement_join join;
    bool may_vote; /* as far as the store says */
    struct agreement_served served[VALIDATORS_MAX];
    bool is_broken; /* see options.failed */
};

uint64_t agreement_now_ms(void);
int64_t agreement_wall_us(void);

/* Ends this node's part in the agreement: see options.failed. */
void agreement_fail(struct agreement *agreement, const char *what, int error);

/* agreement_peers.c */
/* Makes and ends links so that they are those of the chain's validators: at the start, and when the
 * set has changed. */
void peers_follow(struct agreement *agreement);
/* Ends the links to those that left a while ago. */
void peers_sweep(struct agreement *agreement);
void peers_stop(struct agreement *agreement);
/* `to`: an index as the core has them, or -1 for all other validators. What is not connected does
 * not get it. */
void peers_send(struct agreement *agreement, int to, const char *suffix, struct bytes bytes);
/* A link came up: called by the peers, implemented by the stepping side. */
void agreement_peer_connected(struct agreement *agreement, int validator);
void agreement_show_status(struct agreement *agreement);
/* agreement_members.c: the key that the chain has for this node, if we hold it; ours otherwise. */
const struct sign_key *agreement_key(const struct agreement *agreement);
/* Whether there is a key of this node that the chain knows, as far as it can be told. */
SEALMQ_MUST_CHECK int members_check_key(const struct agreement *agreement, char *why,
                                        size_t why_size);
/* Tells the registry what the chain says of members and admins. */
SEALMQ_MUST_CHECK int members_load(struct agreement *agreement);
/* After a block with the request. */
void members_took(struct agreement *agreement, const struct request *request);
/* After a step: links and registry follow the set. */
void members_follow_set(struct agreement *agreement);

/* agreement_step.c: gives the core an event and does what it asks, until it asks no more. Returns
 * what pbft_step returned for the event, or SEALMQ_E_CLOSED. */
int agreement_step(struct agreement *agreement, const struct pbft_event *event);
/* The same without giving the answers that it asks for. */
int agreement_step_once(struct agreement *agreement, const struct pbft_event *event);
void agreement_tick(struct agreement *agreement);
/* Counts and logs something that was refused from the validator (-1: of nobody that is known). */
void agreement_blame(struct agreement *agreement, int validator, int error, const char *words);
/* Gives receipts for all that the newest checkpoint covers. */
void agreement_hand_out_receipts(struct agreement *agreement);
/* The newest checkpoint, retained on chain/<network>/head. */
void agreement_publish_head(struct agreement *agreement);

/* agreement_answers.c */
void answers_collect(struct agreement *agreement, const struct pbft_update *update);
void answers_give(struct agreement *agreement);
void answers_drop(struct agreement *agreement);
/* The answer to the core's question for a proposal's signatures. */
void answers_add_verified(struct agreement *agreement, const struct hash *header, bool valid);

/* agreement_requests.c: a request of a client, or passed on by another node. Takes the letter. */
void agreement_take_request(struct agreement *agreement, struct letter *letter);
/* Its signatures are good. Takes the letter. */
void agreement_take_signed(struct agreement *agreement, struct letter *letter,
                           const struct request *request);
/* Counts it, and tells the client. */
void agreement_refuse(struct agreement *agreement, const struct letter *letter, uint64_t number,
                      int error);

/* agreement_checks.c: signatures, which other threads check. */
#define HELD_MAX       512 /* requests; with more under check no client's letters are taken */
#define HELD_BYTES_MAX (16 * 1024 * 1024)
SEALMQ_MUST_CHECK int checks_start(struct agreement *agreement);
void checks_stop(struct agreement *agreement);
bool checks_have_room(const struct agreement *agreement);
/* 0: all signatures are good; SEALMQ_E_AGAIN: that is being found out. What
 * chain_check_signatures says, SEALMQ_E_NOMEM. */
SEALMQ_MUST_CHECK int checks_ask(struct agreement *agreement, const struct request *request,
                                 bool is_urgent);
/* Keeps the letter until its request is checked; then agreement_take_signed or a refusal. `request`
 * is the letter's, decoded. SEALMQ_E_NOMEM: the letter is still the caller's. */
SEALMQ_MUST_CHECK int checks_hold(struct agreement *agreement, struct letter *letter,
                                  const struct request *request);
/* Begins to check the requests of a proposal, in place of any other. */
void checks_begin_proposal(struct agreement *agreement, const struct hash *header,
                           struct bytes wire);
/* Goes on with what was checked. */
void checks_collect(struct agreement *agreement);

/* agreement_keep.c: what is kept here, and by how many. */
SEALMQ_MUST_CHECK int agreement_keep_start(struct agreement *agreement);
/* After each step. */
void agreement_keep_check(struct agreement *agreement);

/* agreement_progress.c: of catching up. */
void progress_begin(struct agreement *agreement, uint64_t target);
void progress_blocks(struct agreement *agreement, const struct pbft_update *update);
void progress_end(struct agreement *agreement, uint64_t height);

/* agreement_join.c: beginning with a snapshot. Once the core is there; after each step; a PART. */
SEALMQ_MUST_CHECK int agreement_join_start(struct agreement *agreement);
void agreement_join_check(struct agreement *agreement);
void agreement_take_part(struct agreement *agreement, int peer, struct bytes bytes);
/* agreement.c: the core made anew on this chain, which is taken over. */
SEALMQ_MUST_CHECK int agreement_renew(struct agreement *agreement, struct chain *chain);
/* agreement_parts.c: an ASK of another node. */
void agreement_take_ask(struct agreement *agreement, struct bytes bytes);

#endif
