/* The deterministic simulator: a whole network of production consensus cores, with their stores,
 * clocks, links and clients, driven by one seed. The same options give the same run, to the byte.
 *
 * Simulated are: message delay, loss, duplication, reordering, damage and replay; partitions and
 * one-way cuts; clocks that differ; crashes at any point of carrying out an update, after which
 * what was not yet durable is gone; stores that come back torn, or not at all; up to f validators
 * that lie, each in ways of its own; clients that send again until they are served. In one seed of
 * five an admin changes the set of validators meanwhile, and members' keys. After a while
 * everything heals, except that liars go on.
 *
 * Rules that are checked, all the time or at the end:
 *   agreement    no two honest replicas have different blocks at a height
 *   validity     each store replays through an empty chain, each certificate verifies, no block is
 *                from the future
 *   votes        no honest replica contradicts a vote that it sent, votes in a view it has left,
 *                hides from a view change what it committed to, or votes beside what a view began
 *                with
 *   durability   a restarted replica has all blocks that were final for it; from a torn store none
 *                starts
 *   once         no request is on the chain twice, and none that nobody sent
 *   receipts     what a checkpoint with a quorum told a client is on every honest chain in the end
 *   evidence     what an honest replica notes as misbehaviour names a liar
 *   progress     after healing all requests are executed within a bound, all honest replicas have
 *                the same height and a checkpoint of it with a quorum; but not those that are no
 *                members
 * Who is a validator, and what a quorum is, is asked of the set of the height (sets.c).
 *
 * Marks are situations that are hard and must be met: a run of many seeds in which one of them
 * never occurs has not tested what it should (docs/adr/041-simulator.md). */
#ifndef SEALMQ_SIM_SIM_H
#define SEALMQ_SIM_SIM_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* What liars do; each has a few of these. */
#define SIM_LIES(X)                                                                                \
    X(MUTE_PRIMARY, "proposes nothing")                                                            \
    X(EQUIVOCATES, "proposes two blocks at once")                                                  \
    X(SELECTIVE, "says some things to some")                                                       \
    X(DOUBLE_VOTES, "votes for several blocks")                                                    \
    X(REPLAYS, "says old things again")                                                            \
    X(FORGES, "signs for others")                                                                  \
    X(FORGETS, "hides what it has prepared")                                                       \
    X(FALSE_PROOFS, "false proofs in view changes")                                                \
    X(FALSE_VIEWS, "false new views")                                                              \
    X(FALSE_BLOCKS, "false blocks to catch up with")                                               \
    X(FALSE_STATUS, "false heights and views")                                                     \
    X(BAD_PROPOSALS, "proposes what is not valid")                                                 \
    X(WITHHOLDS, "keeps blocks back")                                                              \
    X(FALSE_CHECKPOINTS, "false checkpoints")                                                      \
    X(GARBLES, "damages what it sends")
enum sim_lie {
#define X(name, words) SIM_LIE_##name,
    SIM_LIES(X)
#undef X
        SIM_LIES_COUNT
};
const char *sim_lie_words(enum sim_lie lie);

#define SIM_MARKS(X)                                                                               \
    X(REPROPOSED, "a new view proposes a prepared block again")                                    \
    X(REPROPOSED_TWICE, "a block is proposed again by a second new view")                          \
    X(FINAL_REPROPOSED, "a block that is final somewhere is proposed again")                       \
    X(PREPARED_DROPPED, "a prepared block gives way to another")                                   \
    X(NEW_VIEW_ABOVE, "a new view begins above what a replica has")                                \
    X(VIEW_BY_CERTIFICATE, "a view is entered by a commit certificate")                            \
    X(CAUGHT_UP_CHANGING, "blocks are fetched during a view change")                               \
    X(BLOCK_FETCHED, "a new primary asks for a prepared block")                                    \
    X(CRASH_BEFORE_VOTE, "a crash between a vote's write and its sending")                         \
    X(CRASH_BEFORE_CHECKPOINT, "a crash between a block's write and its checkpoint")               \
    X(CRASH_BEFORE_CHANGE, "a crash between a view's leaving and saying so")                       \
    X(RESTART_PREPARED, "a restart with a prepared block")                                         \
    X(RESTART_CHANGING, "a restart during a view change")                                          \
    X(ALL_DOWN, "all honest replicas are down at once")                                            \
    X(STORE_LOST, "a replica whose store was lost follows without votes")                          \
    X(SLOT_TORN, "a torn slot is noticed")                                                         \
    X(LIAR_REPLACED, "an honest primary follows on a lying one")                                   \
    X(CHANGED_WAITING, "the primary changes while requests wait")                                  \
    X(FAR_VIEWS, "five views without a block")                                                     \
    X(SPLIT_VOTES, "honest replicas vote for two blocks of one view")                              \
    X(EVIDENCE, "evidence names a liar")                                                           \
    X(BAD_SIGNATURE, "a bad signature is refused")                                                 \
    X(BAD_PROPOSAL, "a bad proposal is refused")                                                   \
    X(BAD_VIEW_CHANGE, "a false view change is refused")                                           \
    X(BAD_NEW_VIEW, "a false new view is refused")                                                 \
    X(BAD_BLOCK, "a false block to catch up with is refused")                                      \
    X(BAD_CHECKPOINT, "a false checkpoint is refused")                                             \
    X(REPLAYED, "an old message comes again")                                                      \
    X(RECEIPT, "a client takes a receipt")                                                         \
    X(FALSE_RECEIPT, "a client refuses a false receipt")                                           \
    X(SET_CHANGED, "a change of the set is final")                                                 \
    X(SEVEN_TO_FOUR, "the set has grown to seven and is four again")                               \
    X(JOINER_VOTED, "a validator that joined votes")                                               \
    X(LEAVER_STOPPED, "a validator that left stops to vote")                                       \
    X(SET_AND_VIEW, "a view begins just after a change of the set")                                \
    X(CAUGHT_UP_SETS, "a change of the set is fetched")                                            \
    X(NEW_KEY_VOTED, "a validator votes with its new key")
enum sim_mark {
#define X(name, words) SIM_MARK_##name,
    SIM_MARKS(X)
#undef X
        SIM_MARKS_COUNT
};
const char *sim_mark_words(enum sim_mark mark);

struct sim_options {
    uint64_t seed;
    /* 0: the seed decides. */
    unsigned nodes;
    /* May be NULL: told what happens, in lines. */
    void (*trace)(void *context, const char *line);
    void *trace_context;
};

#define SIM_WHY_MAX 256

struct sim_result {
    bool held;
    const char *rule;      /* the broken one; NULL */
    char why[SIM_WHY_MAX]; /* what was seen */
    unsigned nodes, liars;
    uint32_t lies; /* of all of them: bits of enum sim_lie */
    uint64_t blocks, requests, view_changes, crashes, messages, lost, steps;
    uint64_t simulated_ms, healed_ms; /* of the whole run; from healing to the end */
    uint64_t marks[SIM_MARKS_COUNT];  /* how often each occurred */
};

/* SEALMQ_E_NOMEM; broken rules are no error but a result. */
SEALMQ_MUST_CHECK int sim_run(const struct sim_options *options, struct sim_result *out);

#endif
