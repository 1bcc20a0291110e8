/* Agreement and view change among four replicas of which one lies. docs/spec/model.md says what
 * this covers, what it leaves out, and which lines of src/consensus each step stands for.
 *
 * The state is what the three honest replicas have ever said, as sets of facts that only grow, and
 * what each of them remembers. A step reads any facts: so a message may come at any time after it
 * was sent, or never, or twice, and in any order. The liar has no state. Wherever a certificate is
 * counted its vote is there, for any block; what it says in a VIEW-CHANGE or NEW-VIEW is whatever
 * there is a certificate for. It is the primary of every view: it may do all that an honest primary
 * does, and propose several blocks besides. So agreement here is agreement for every order of
 * primaries.
 *
 * VIEWS, HEIGHTS and the rules to break are given with -D; test/model/run lists them. */

#ifndef VIEWS
#define VIEWS     3 /* 0 .. VIEWS - 1 */
#endif
#ifndef HEIGHTS
#define HEIGHTS   2 /* 1 .. HEIGHTS */
#endif
#ifndef QUORUM
#define QUORUM    3
#endif
#ifndef VC_QUORUM
#define VC_QUORUM QUORUM
#endif

/* All that is modelled of a block: whether it is the one that we look at, or another one. */
#define NOTHING   0
#define A         1
#define B         2
#define OTHER(x)  (3 - (x))

typedef replica {
    /* Said to all. */
    int prepares, commits; /* sets of (view, height, block) */
    int changes;           /* for each view to change to, and tip: what the VIEW-CHANGE claimed */
    /* Remembered, in the slots and the chain. */
    byte tip, view;
    bit changing;
    byte start, bound;   /* of the NEW-VIEW: its height, if above the tip, and its block; or 0 */
    byte proposal, proposal_view; /* at this height */
    byte prepared, prepared_view;
}

replica r[3];
byte final[HEIGHTS + 1]; /* what the first honest replica made final */

/* Scratch, without a meaning between steps. */
hidden byte i, v, top, best, best_view;

/* What must never be. */
hidden byte two_blocks_final, contradicts_vote, vote_against_final, choice_against_final;
hidden byte no_block_to_propose, not_final_after_healing;

#define SHIFT(v, h)        (((v) * HEIGHTS + (h) - 1) * 2)
#define SAID(set, v, h, x) (((set) >> (SHIFT(v, h) + (x) - 1)) & 1)
#define VOTES(kind, v, h, x) \
    (SAID(r[0].kind, v, h, x) + SAID(r[1].kind, v, h, x) + SAID(r[2].kind, v, h, x))
#define CERTIFIED(kind, v, h, x) (VOTES(kind, v, h, x) + 1 >= QUORUM)
#define HEIGHT(n)                (r[n].tip + 1)

/* What a VIEW-CHANGE claims. 0: was not sent; 1: nothing is prepared; else view and block. */
#define CLAIM_SHIFT(w, t)    ((((w) - 1) * (HEIGHTS + 1) + (t)) * 3)
#define CLAIM(n, w, t)       ((r[n].changes >> CLAIM_SHIFT(w, t)) & 7)
#define IS_PREPARED_IN(v, x) (1 + 2 * (v) + (x))

/* All views below w: is another block final at this height in one of them? */
inline look_for_other_final(found, w, height, x)
{
    found = 0;
    v = 0;
    do
    :: v < w ->
        found = found || CERTIFIED(commits, v, height, OTHER(x));
        v++
    :: else -> break
    od
}

/* ---- PREPARE ---- */

#ifdef VOTE_BELOW_START
#define IS_FREE(n) (r[n].start == 0 || HEIGHT(n) < r[n].start)
#else
#define IS_FREE(n) (r[n].start == 0)
#endif
#define MAY_VOTE_FOR(n, x) \
    (IS_FREE(n) || (HEIGHT(n) == r[n].start && r[n].bound == (x)))
#define HAS_PROPOSAL(n) (r[n].proposal != NOTHING && r[n].proposal_view == r[n].view)

/* The names A and B can be exchanged at each height, so that its first vote may be for A. */
#define AT(v, h) ((v) < VIEWS -> 3 << SHIFT(v, h) : 0)
#define HAS_VOTES(h) \
    ((r[0].prepares | r[1].prepares | r[2].prepares) & (AT(0, h) | AT(1, h) | AT(2, h) | AT(3, h)))

#ifdef PLAIN
#define HAS_NAME(n, x) 1
#else
#define HAS_NAME(n, x) (x == A || HAS_VOTES(HEIGHT(n)) != 0)
#endif

#define CAN_PREPARE(n, x) \
    (!r[n].changing && r[n].tip < HEIGHTS && !HAS_PROPOSAL(n) && MAY_VOTE_FOR(n, x))

inline prepare(n, x)
{
    printf("%d: PREPARE %d, height %d, view %d\n", n, x, HEIGHT(n), r[n].view);
#ifndef AGREEMENT_ONLY
    contradicts_vote = SAID(r[n].prepares, r[n].view, HEIGHT(n), OTHER(x));
    assert(!contradicts_vote);
    look_for_other_final(vote_against_final, r[n].view, HEIGHT(n), x);
    assert(!vote_against_final);
#endif
    r[n].prepares = r[n].prepares | (1 << (SHIFT(r[n].view, HEIGHT(n)) + (x) - 1));
    r[n].proposal = x;
    r[n].proposal_view = r[n].view
}

/* ---- COMMIT ---- */

#ifdef COMMIT_AFTER_LEAVING
#define MAY_COMMIT(n) (r[n].proposal != NOTHING)
#else
#define MAY_COMMIT(n) (!r[n].changing && HAS_PROPOSAL(n))
#endif
#define CAN_COMMIT(n)                                                                             \
    (MAY_COMMIT(n) && !(r[n].prepared != NOTHING && r[n].prepared_view == r[n].proposal_view) &&   \
     CERTIFIED(prepares, r[n].proposal_view, HEIGHT(n), r[n].proposal))

inline commit(n)
{
    printf("%d: COMMIT %d, height %d, view %d\n", n, r[n].proposal, HEIGHT(n), r[n].proposal_view);
#ifndef AGREEMENT_ONLY
    contradicts_vote = SAID(r[n].commits, r[n].proposal_view, HEIGHT(n), OTHER(r[n].proposal));
    assert(!contradicts_vote);
#endif
    r[n].commits =
        r[n].commits | (1 << (SHIFT(r[n].proposal_view, HEIGHT(n)) + r[n].proposal - 1));
    r[n].prepared = r[n].proposal;
    r[n].prepared_view = r[n].proposal_view
}

/* ---- VIEW-CHANGE ---- */

inline claim(n, tip_claimed)
{
    r[n].changes = (r[n].changes & ~(7 << CLAIM_SHIFT(r[n].view, tip_claimed))) |
        ((r[n].prepared == NOTHING -> 1 : IS_PREPARED_IN(r[n].prepared_view, r[n].prepared))
            << CLAIM_SHIFT(r[n].view, tip_claimed))
}

/* For whatever reason. */
inline leave(n, w)
{
    printf("%d: VIEW-CHANGE to %d, tip %d, prepared %d in view %d\n", n, w, r[n].tip,
           r[n].prepared, r[n].prepared_view);
    r[n].view = w;
    r[n].changing = 1;
    r[n].start = 0;
    r[n].bound = NOTHING;
    claim(n, r[n].tip)
}

/* ---- NEW-VIEW ----
 * A quorum is the liar and honest ones; what three honest ones give, two of them and a liar who
 * claims nothing give too. */

#ifdef CHOOSE_ANY_TIP
#define OTHER_TIPS(t) ((1 << (3 * (HEIGHTS + 1))) - 1 - (7 << (3 * (t))))
#else
#define OTHER_TIPS(t) ((1 << (3 * (t))) - 1)
#endif
/* Honest replica n has sent a VIEW-CHANGE(w) that leaves the choice to others, if T is t. */
#define CLAIMS_LESS(n, w, t) \
    (((r[n].changes >> CLAIM_SHIFT(w, 0)) & OTHER_TIPS(t)) != 0 || CLAIM(n, w, t) == 1)

#ifdef CHOOSE_ANY_CERTIFICATE
#define IS_BELOW(code, bv) 1
#else
#define IS_BELOW(code, bv) (code < IS_PREPARED_IN(bv, A))
#endif
#define AGREES(n, w, t, bv, x)                                                                    \
    (CLAIMS_LESS(n, w, t) || (CLAIM(n, w, t) > 1 && IS_BELOW(CLAIM(n, w, t), bv)) ||               \
     CLAIM(n, w, t) == IS_PREPARED_IN(bv, x))

#ifdef CHOOSE_NOTHING
#define ALLOWS_NOTHING(n, w, t) (CLAIMS_LESS(n, w, t) || CLAIM(n, w, t) != 0)
#else
#define ALLOWS_NOTHING(n, w, t) CLAIMS_LESS(n, w, t)
#endif

#define TIP_IN(v, t) ((v) < VIEWS && (CERTIFIED(commits, v, t, A) || CERTIFIED(commits, v, t, B)))
#ifdef UNCHECKED_TIP
#define HAS_TIP(t) 1
#else
#define HAS_TIP(t) (t == 0 || final[t] || TIP_IN(0, t) || TIP_IN(1, t) || TIP_IN(2, t) || TIP_IN(3, t))
#endif
#ifdef UNCHECKED_PREPARED
#define HAS_PREPARED(v, h, x) 1
#else
#define HAS_PREPARED(v, h, x) CERTIFIED(prepares, v, h, x)
#endif

#define BEST_IN(bv, w, t, x)                                                                      \
    ((bv) < (w) && HAS_PREPARED(bv, t + 1, x) &&                                                  \
     AGREES(0, w, t, bv, x) + AGREES(1, w, t, bv, x) + AGREES(2, w, t, bv, x) + 1 >= VC_QUORUM)

#define CHOICE_IS_BLOCK(w, t, x) \
    (HAS_TIP(t) && (BEST_IN(0, w, t, x) || BEST_IN(1, w, t, x) || BEST_IN(2, w, t, x)))
#define CHOICE_IS_NOTHING(w, t)                                                                   \
    (HAS_TIP(t) &&                                                                                \
     ALLOWS_NOTHING(0, w, t) + ALLOWS_NOTHING(1, w, t) + ALLOWS_NOTHING(2, w, t) + 1 >= VC_QUORUM)

#define MAY_ENTER(n, w) (r[n].view < (w) || (r[n].view == (w) && r[n].changing))

/* What the NEW-VIEW still decides above this replica's tip. */
inline settle(n)
{
    if
    :: r[n].start <= r[n].tip || (r[n].start == HEIGHT(n) && r[n].bound == NOTHING) ->
        r[n].start = 0;
        r[n].bound = NOTHING
    :: else
    fi
}

inline enter_by_new_view(n, w, t, x)
{
    printf("%d: takes NEW-VIEW %d, from height %d, again %d\n", n, w, t + 1, x);
#ifndef AGREEMENT_ONLY
    i = t + 1;
    choice_against_final = 0;
    do
    :: i <= HEIGHTS ->
        v = 0;
        do
        :: v < w ->
            choice_against_final = choice_against_final ||
                (CERTIFIED(commits, v, i, A) && !(i == t + 1 && x == A)) ||
                (CERTIFIED(commits, v, i, B) && !(i == t + 1 && x == B));
            v++
        :: else -> break
        od;
        i++
    :: else -> break
    od;
    assert(!choice_against_final);
#endif
    r[n].view = w;
    r[n].changing = 0;
    r[n].start = t + 1;
    r[n].bound = x;
    settle(n)
}

/* ---- Final ---- */

#define CAN_FINISH(n, v, x) \
    (r[n].tip < HEIGHTS && ((v) < VIEWS && CERTIFIED(commits, v, HEIGHT(n), x)))

#ifdef ENTER_STALE_VIEW
#define CERTIFICATE_ENTERS(n, v) (v != r[n].view || r[n].changing)
#else
#define CERTIFICATE_ENTERS(n, v) MAY_ENTER(n, v)
#endif

inline finish(n, certificate_view, x)
{
    printf("%d: final %d, height %d, by COMMITs of view %d\n", n, x, HEIGHT(n), certificate_view);
    two_blocks_final = final[HEIGHT(n)] == OTHER(x);
    assert(!two_blocks_final);
    final[HEIGHT(n)] = x;
    r[n].tip++;
    r[n].proposal = NOTHING;
    r[n].proposal_view = 0;
    r[n].prepared = NOTHING;
    r[n].prepared_view = 0;
    if
    :: CERTIFICATE_ENTERS(n, certificate_view) ->
        r[n].view = certificate_view;
        r[n].changing = 0;
        r[n].start = 0;
        r[n].bound = NOTHING
    :: else ->
        settle(n);
        if
#ifdef RENEW_WITH_OLD_TIP
        :: r[n].changing -> claim(n, r[n].tip - 1)
#else
        :: r[n].changing -> claim(n, r[n].tip)
#endif
        :: else
        fi
    fi
}

/* ---- Crash ----
 * All that is remembered is durable before anything that follows from it is said, so that a crash
 * changes nothing: a message that was made durable and not sent is one that nobody read. */

inline forget(n)
{
    printf("%d: crashes\n", n);
#ifdef FORGET_PROPOSAL
    r[n].proposal = NOTHING;
    r[n].proposal_view = 0;
#endif
#ifdef FORGET_PREPARED
    r[n].prepared = NOTHING;
    r[n].prepared_view = 0;
#endif
#ifdef FORGET_NEW_VIEW
    r[n].start = 0;
    r[n].bound = NOTHING;
#endif
#ifdef FORGET_VIEW
    r[n].view = r[n].proposal_view;
    r[n].changing = 0;
    r[n].start = 0;
    r[n].bound = NOTHING;
#endif
    skip
}

/* ---- Healing ----
 * From any state: the network heals, the honest replicas come to a view that nobody has been in,
 * whose primary is honest, and the liar sends nothing but a VIEW-CHANGE, with whatever certificate
 * there is for a block x prepared in view bv, to spoil it. One more height must become final. */

#define TOP_AT_LEAST(t) (r[0].tip >= (t) || r[1].tip >= (t) || r[2].tip >= (t))
#define TOP             (TOP_AT_LEAST(1) + TOP_AT_LEAST(2))
#define CAN_HEAL        (!TOP_AT_LEAST(HEIGHTS))
#define CAN_HEAL_WITH(bv, x) (CAN_HEAL && (bv) < VIEWS && HAS_PREPARED(bv, TOP + 1, x))

inline gather(n)
{
    r[n].view = VIEWS;
    r[n].changing = 0;
    if
    :: r[n].tip < top -> /* catches up */
        r[n].tip = top;
        r[n].proposal = NOTHING;
        r[n].prepared = NOTHING
    :: r[n].tip == top && r[n].prepared != NOTHING &&
       (best == NOTHING || r[n].prepared_view > best_view) ->
        best = r[n].prepared;
        best_view = r[n].prepared_view
    :: else
    fi
}

inline vote_after_healing(n)
{
    r[n].start = top + 1;
    r[n].bound = best;
    not_final_after_healing = !CAN_PREPARE(n, best);
    assert(!not_final_after_healing);
    prepare(n, best)
}

/* Nothing comes after it. */
inline clear(n)
{
    r[n].prepares = 0;
    r[n].commits = 0;
    r[n].changes = 0;
    r[n].tip = HEIGHTS;
    r[n].start = 0;
    r[n].bound = NOTHING;
    r[n].proposal = NOTHING;
    r[n].proposal_view = 0;
    r[n].prepared = NOTHING;
    r[n].prepared_view = 0
}

#define HOLDS(n, x) (r[n].proposal == x || r[n].prepared == x)

inline heal(bv, x)
{
    printf("healed; the liar shows %d prepared in view %d\n", x, bv);
    top = TOP;
    best = NOTHING;
    best_view = 0;
    gather(0);
    gather(1);
    gather(2);
    if
    :: x != NOTHING && (best == NOTHING || bv > best_view) ->
        /* Without the block the liar's VIEW-CHANGE is left out, since the others' are a quorum. */
        no_block_to_propose = !(HOLDS(0, x) || HOLDS(1, x) || HOLDS(2, x));
        if
        :: !no_block_to_propose -> best = x
        :: else
        fi;
#ifdef WAIT_FOR_BLOCK
        assert(!no_block_to_propose)
#endif
    :: else
    fi;
    if
    :: best == NOTHING ->
        best = A;
        look_for_other_final(vote_against_final, VIEWS, top + 1, B);
        assert(!vote_against_final)
    :: else
    fi;
    vote_after_healing(0);
    vote_after_healing(1);
    vote_after_healing(2);
    not_final_after_healing = !(CAN_COMMIT(0) && CAN_COMMIT(1) && CAN_COMMIT(2));
    assert(!not_final_after_healing);
    commit(0);
    commit(1);
    commit(2);
    not_final_after_healing = VOTES(commits, VIEWS, top + 1, best) < QUORUM;
    assert(!not_final_after_healing);
    clear(0);
    clear(1);
    clear(2);
    i = 0;
    do
    :: i <= HEIGHTS -> final[i] = NOTHING; i++
    :: else -> break
    od;
    skip
}

/* ---- Fewer states ----
 * States from which the same can come are made the same. That takes for granted that views do not
 * fall and nobody votes twice; PLAIN leaves all as it is, where a broken rule allows these. */

#ifndef PLAIN
c_code {
/* Has no more to say of this view and height. */
static int is_past(const struct replica *q, int view, int height)
{
    return q->view > view || q->tip >= height;
}

static void tidy_votes(int kind, int view, int height, int block, int *higher)
{
    int *set[3], bit = 1 << ((view * HEIGHTS + height - 1) * 2 + block), pair = 0;
    int votes = 0, may_come = 0, past = 0, tips = 0;
    pair = 3 << ((view * HEIGHTS + height - 1) * 2);
    for (int n = 0; n < 3; n++) {
        struct replica *q = &now.r[n];
        set[n] = kind == 0 ? &q->prepares : &q->commits;
        votes += (*set[n] & bit) != 0;
        may_come += !is_past(q, view, height) && (*set[n] & pair) == 0;
        past += is_past(q, view, height);
        tips += q->tip >= height;
    }
    int certified = votes + 1 >= QUORUM;
    /* Final everywhere; or nothing but a weaker proof of the same than that of a later view. */
    int useless = tips == 3 || (past == 3 && certified && *higher);
    if (!certified && votes + may_come + 1 < QUORUM)
        useless = 1;
    if (past == 3 && certified)
        *higher = 1;
    for (int n = 0; n < 3; n++) {
        if (!is_past(&now.r[n], view, height))
            continue;
        if (useless)
            *set[n] &= ~bit;
        else if (certified) /* no matter by whom */
            *set[n] |= bit;
    }
}

static void tidy_claims(void)
{
    int tip = now.r[0].tip;
    for (int n = 1; n < 3; n++)
        if (now.r[n].tip < tip)
            tip = now.r[n].tip;
    for (int w = 1; w < VIEWS; w++) {
        int may_enter = 0;
        for (int n = 0; n < 3; n++)
            may_enter += now.r[n].view < w || (now.r[n].view == w && now.r[n].changing);
        for (int n = 0; n < 3; n++)
            for (int t = 0; t <= HEIGHTS; t++) {
                int shift = ((w - 1) * (HEIGHTS + 1) + t) * 3;
                int claim = (now.r[n].changes >> shift) & 7;
                if (may_enter == 0)
                    claim = 0; /* the view has begun, or was left, everywhere */
                else if (claim > 1 && t < tip)
                    claim = 1; /* final everywhere */
                now.r[n].changes = (now.r[n].changes & ~(7 << shift)) | claim << shift;
            }
    }
}

static void sort(int a, int b)
{
    if (memcmp(&now.r[b], &now.r[a], sizeof(struct replica)) < 0) {
        struct replica swap = now.r[a];
        now.r[a] = now.r[b];
        now.r[b] = swap;
    }
}

static void tidy(void)
{
    for (int kind = 0; kind < 2; kind++)
        for (int height = 1; height <= HEIGHTS; height++)
            for (int block = 0; block < 2; block++)
                for (int view = VIEWS - 1, higher = 0; view >= 0; view--)
                    tidy_votes(kind, view, height, block, &higher);
    for (int n = 0; n < 3; n++) {
        struct replica *q = &now.r[n];
        int shift = (q->proposal_view * HEIGHTS + q->tip) * 2;
        if (q->proposal != 0 && q->proposal_view < q->view &&
            (q->prepares >> shift & q->proposal) == 0)
            q->proposal = q->proposal_view = 0; /* cannot be prepared any more */
    }
    tidy_claims();
    /* The honest replicas differ in nothing but what they said. */
    sort(0, 1);
    sort(1, 2);
    sort(0, 1);
}
}
#endif

inline done()
{
#ifdef PLAIN
    skip
#else
    c_code { tidy(); }
#endif
}

/* ---- All steps ---- */

#define EACH_REPLICA(STEP) STEP(0) STEP(1) STEP(2)

#define STEP_PREPARE(n)                                                                           \
    :: d_step { CAN_PREPARE(n, A) && HAS_NAME(n, A) -> prepare(n, A); done() }                   \
    :: d_step { CAN_PREPARE(n, B) && HAS_NAME(n, B) -> prepare(n, B); done() }

#define STEP_COMMIT(n) :: d_step { CAN_COMMIT(n) -> commit(n); done() }

#define FINISH(n, v)                                                                              \
    :: d_step { CAN_FINISH(n, v, A) -> finish(n, v, A); done() }                                  \
    :: d_step { CAN_FINISH(n, v, B) -> finish(n, v, B); done() }

#define LEAVE(n, w) :: d_step { r[n].view < w -> leave(n, w); done() }

#define ENTER_BLOCK(n, w, t, x)                                                                   \
    :: d_step { MAY_ENTER(n, w) && CHOICE_IS_BLOCK(w, t, x) ->                                    \
                enter_by_new_view(n, w, t, x); done() }
#define ENTER_NOTHING(n, w, t)                                                                    \
    :: d_step { MAY_ENTER(n, w) && CHOICE_IS_NOTHING(w, t) ->                                     \
                enter_by_new_view(n, w, t, NOTHING); done() }
#define ENTER_AT(n, w, t) ENTER_BLOCK(n, w, t, A) ENTER_BLOCK(n, w, t, B) ENTER_NOTHING(n, w, t)
#if HEIGHTS == 1
#define ENTER(n, w) ENTER_AT(n, w, 0) ENTER_NOTHING(n, w, 1)
#elif HEIGHTS == 2
#define ENTER(n, w) ENTER_AT(n, w, 0) ENTER_AT(n, w, 1) ENTER_NOTHING(n, w, 2)
#elif HEIGHTS == 3
#define ENTER(n, w) ENTER_AT(n, w, 0) ENTER_AT(n, w, 1) ENTER_AT(n, w, 2) ENTER_NOTHING(n, w, 3)
#endif

#if VIEWS == 2
#define EACH_VIEW(STEP, n)       STEP(n, 0) STEP(n, 1)
#define EACH_LATER_VIEW(STEP, n) STEP(n, 1)
#elif VIEWS == 3
#define EACH_VIEW(STEP, n)       STEP(n, 0) STEP(n, 1) STEP(n, 2)
#define EACH_LATER_VIEW(STEP, n) STEP(n, 1) STEP(n, 2)
#elif VIEWS == 4
#define EACH_VIEW(STEP, n)       STEP(n, 0) STEP(n, 1) STEP(n, 2) STEP(n, 3)
#define EACH_LATER_VIEW(STEP, n) STEP(n, 1) STEP(n, 2) STEP(n, 3)
#endif

#define STEP_FINISH(n) EACH_VIEW(FINISH, n)
#define STEP_LEAVE(n)  EACH_LATER_VIEW(LEAVE, n)
#define STEP_ENTER(n)  EACH_LATER_VIEW(ENTER, n)

#define STEP_FORGET(n) :: d_step { r[n].view < VIEWS -> forget(n); done() }

#define HEAL_WITH(n, v)                                                                           \
    :: d_step { CAN_HEAL_WITH(v, A) -> heal(v, A) }                                               \
    :: d_step { CAN_HEAL_WITH(v, B) -> heal(v, B) }
#define STEP_HEAL :: d_step { CAN_HEAL -> heal(0, NOTHING) } EACH_VIEW(HEAL_WITH, 0)

active proctype replicas()
{
end:
    do
    EACH_REPLICA(STEP_PREPARE)
    EACH_REPLICA(STEP_COMMIT)
    EACH_REPLICA(STEP_FINISH)
    EACH_REPLICA(STEP_LEAVE)
    EACH_REPLICA(STEP_ENTER)
#if defined(FORGET_PROPOSAL) || defined(FORGET_PREPARED) || defined(FORGET_NEW_VIEW) ||            \
    defined(FORGET_VIEW)
    EACH_REPLICA(STEP_FORGET)
#endif
#ifdef HEALING
    STEP_HEAL
#endif
    od
}
