#include "consensus/join.h"

#include "base/assert.h"

#include <stdlib.h>

#define WINDOW       16 /* chunks that are asked for or wait for those before them */
#define PEER_CHUNKS  4  /* asked of one peer at once */
#define ANSWER_MS    3000
#define ASK_AGAIN_MS 1000
#define LOOK_MS      1500  /* for the others' manifests, once there is one */
#define GIVE_UP_MS   10000 /* without one that holds */

struct source {
    bool is_there, is_bad, has_answered;
    uint64_t asked_ms;
    struct buf answer; /* the manifest's part, checked; empty: it has none */
    uint64_t height;
    unsigned asked; /* chunks on their way */
};

struct slot {
    enum { SLOT_FREE, SLOT_ASKED, SLOT_HERE } state;
    int peer;
    uint64_t asked_ms;
    struct buf chunk;
};

struct join {
    const struct genesis *genesis;
    int self;
    enum join_state state;
    uint64_t begun_ms, found_ms;
    struct hash set;
    struct source sources[VALIDATORS_MAX];
    /* The snapshot that is taken. */
    struct buf answer; /* as the sources' */
    struct join_certified certified;
    struct snapshot snapshot;
    struct block_header next;
    struct chain_restore *restore;
    uint32_t first;            /* the chunk that goes into the chain next */
    struct slot slots[WINDOW]; /* chunk i in slot i % WINDOW, first <= i < first + WINDOW */
    struct chain *chain;
};

int join_new(const struct genesis *genesis, int self, uint64_t now_ms, struct join **out)
{
    struct join *join = calloc(1, sizeof *join);
    *out = join;
    if (join == NULL)
        return SEALMQ_E_NOMEM;
    join->genesis = genesis;
    join->self = self;
    join->begun_ms = now_ms;
    validator_set_hash(&genesis->validators, &join->set);
    return 0;
}

static void drop_snapshot(struct join *join)
{
    chain_restore_free(join->restore);
    join->restore = NULL;
    for (size_t i = 0; i < WINDOW; i++) {
        join->slots[i].state = SLOT_FREE;
        buf_close(&join->slots[i].chunk);
    }
    for (size_t i = 0; i < VALIDATORS_MAX; i++)
        join->sources[i].asked = 0;
    join->first = 0;
}

void join_free(struct join *join)
{
    if (join == NULL)
        return;
    drop_snapshot(join);
    for (size_t i = 0; i < VALIDATORS_MAX; i++)
        buf_close(&join->sources[i].answer);
    buf_close(&join->answer);
    chain_free(join->chain);
    free(join);
}

void join_peer(struct join *join, int peer, bool is_there)
{
    if (peer >= 0 && (size_t)peer < join->genesis->validators.n && peer != join->self)
        join->sources[peer].is_there = is_there;
}

/* ---- manifests ---- */

/* str32 manifest || str32 certificate of its header || str16 next header || str32 its certificate
 */
struct manifest_parts {
    struct bytes manifest, certificate, next, next_certificate;
};

static int read_parts(struct bytes wire, struct manifest_parts *out)
{
    struct reader r = reader_of(wire);
    out->manifest = reader_str32(&r);
    out->certificate = reader_str32(&r);
    out->next = reader_str16(&r);
    out->next_certificate = reader_str32(&r);
    return reader_end(&r);
}

/* By the validators of the genesis, for this header. */
static int check_certified(const struct join *join, struct bytes header_wire,
                           const struct block_header *header, struct bytes wire)
{
    struct certificate certificate;
    struct hash hash;
    if (!hash_equal(&header->validators, &join->set))
        return SEALMQ_E_UNSUPPORTED;
    int error = certificate_decode(wire, &certificate);
    header_hash(header_wire, &hash);
    if (error == 0 &&
        (certificate.height != header->height || !hash_equal(&certificate.header, &hash)))
        error = SEALMQ_E_HASH;
    if (error == 0)
        error = certificate_verify(&certificate, COMMIT_LABEL, &join->genesis->validators,
                                   &join->genesis->hash);
    return error;
}

static int check_answer(const struct join *join, struct bytes wire, struct snapshot *snapshot,
                        struct block_header *next, struct join_certified *out)
{
    struct manifest_parts parts;
    int error = read_parts(wire, &parts);
    if (error == 0)
        error = snapshot_decode(parts.manifest, snapshot);
    if (error == 0 && !hash_equal(&snapshot->genesis, &join->genesis->hash))
        error = SEALMQ_E_NETWORK;
    if (error == 0)
        error = header_decode(parts.next, next);
    if (error == 0)
        error = snapshot_check_next(snapshot, next);
    if (error == 0)
        error = check_certified(join, parts.next, next, parts.next_certificate);
    if (error == 0)
        error = check_certified(join, snapshot->header_wire, &snapshot->header, parts.certificate);
    *out = (struct join_certified){parts.certificate, parts.next, parts.next_certificate};
    return error;
}

static int take_manifest(struct join *join, struct source *source, struct bytes wire,
                         uint64_t now_ms)
{
    struct snapshot snapshot;
    struct block_header next;
    struct join_certified certified;
    buf_reset(&source->answer);
    source->has_answered = true;
    if (wire.n == 0)
        return 0;
    int error = check_answer(join, wire, &snapshot, &next, &certified);
    if (error != 0)
        return error;
    buf_append_bytes(&source->answer, wire);
    source->height = snapshot.header.height;
    if (join->found_ms == 0)
        join->found_ms = now_ms;
    return buf_status(&source->answer);
}

static bool gives(const struct source *source, struct bytes answer)
{
    return !source->is_bad && source->is_there && source->answer.n != 0 &&
           bytes_equal(buf_bytes(&source->answer), answer);
}

static unsigned count_givers(const struct join *join, struct bytes answer)
{
    unsigned n = 0;
    for (size_t i = 0; i < VALIDATORS_MAX; i++)
        n += gives(&join->sources[i], answer);
    return n;
}

/* The one that most peers give, and of those the highest; NULL. */
static const struct source *best(const struct join *join)
{
    const struct source *found = NULL;
    unsigned most = 0;
    for (size_t i = 0; i < VALIDATORS_MAX; i++) {
        const struct source *source = &join->sources[i];
        unsigned n = source->answer.n == 0 ? 0 : count_givers(join, buf_bytes(&source->answer));
        if (n == 0 || source->is_bad || (found != NULL && n < most) ||
            (found != NULL && n == most && source->height <= found->height))
            continue;
        found = source;
        most = n;
    }
    return found;
}

static bool all_answered(const struct join *join)
{
    for (size_t i = 0; i < VALIDATORS_MAX; i++)
        if (join->sources[i].is_there && !join->sources[i].is_bad && !join->sources[i].has_answered)
            return false;
    return true;
}

/* Takes a manifest if it is time to. */
static void choose(struct join *join, uint64_t now_ms)
{
    const struct source *source = best(join);
    if (source == NULL) {
        if (now_ms - join->begun_ms >= GIVE_UP_MS)
            join->state = JOIN_NONE;
        return;
    }
    if (!all_answered(join) && now_ms - join->found_ms < LOOK_MS)
        return;
    drop_snapshot(join);
    buf_reset(&join->answer);
    buf_append_bytes(&join->answer, buf_bytes(&source->answer));
    if (buf_status(&join->answer) != 0)
        return; /* the next time */
    int error = check_answer(join, buf_bytes(&join->answer), &join->snapshot, &join->next,
                             &join->certified);
    ASSERT(error == 0); /* it was, when it came */
    error = chain_restore_begin(join->genesis, &join->snapshot, &join->restore);
    if (error == 0)
        join->state = JOIN_TAKING;
}

/* ---- chunks ---- */

static void blame(struct join *join, int peer)
{
    struct source *source = &join->sources[peer];
    source->is_bad = true;
    source->asked = 0;
    for (size_t i = 0; i < WINDOW; i++)
        if (join->slots[i].state == SLOT_ASKED && join->slots[i].peer == peer)
            join->slots[i].state = SLOT_FREE;
}

/* Nothing of what these peers gave was the state: they are asked for nothing any more. */
static void blame_givers(struct join *join)
{
    for (size_t i = 0; i < VALIDATORS_MAX; i++)
        if (join->sources[i].answer.n != 0 &&
            bytes_equal(buf_bytes(&join->sources[i].answer), buf_bytes(&join->answer)))
            blame(join, (int)i);
    drop_snapshot(join);
    join->state = JOIN_LOOKING;
}

static int finish(struct join *join)
{
    int error = chain_restore_end(join->restore, &join->next, &join->chain);
    if (error == SEALMQ_E_NOMEM)
        return error;
    if (error != 0) {
        blame_givers(join);
        return error;
    }
    join->state = JOIN_DONE;
    return 0;
}

/* Gives the chain what is here and next. */
static int feed(struct join *join)
{
    struct slot *slot;
    while (join->first < join->snapshot.chunk_count &&
           (slot = &join->slots[join->first % WINDOW])->state == SLOT_HERE) {
        int error = chain_restore_chunk(join->restore, buf_bytes(&slot->chunk));
        if (error != 0) {
            blame_givers(join);
            return error;
        }
        slot->state = SLOT_FREE;
        buf_close(&slot->chunk);
        join->first++;
    }
    return join->first == join->snapshot.chunk_count ? finish(join) : 0;
}

static int take_chunk(struct join *join, int peer, uint32_t at, struct bytes chunk)
{
    if (at < join->first || at - join->first >= WINDOW || at >= join->snapshot.chunk_count)
        return SEALMQ_E_STALE;
    struct slot *slot = &join->slots[at % WINDOW];
    if (slot->state != SLOT_ASKED || slot->peer != peer)
        return SEALMQ_E_STALE;
    int error = snapshot_check_chunk(&join->snapshot, at, chunk);
    if (error != 0)
        return error;
    buf_reset(&slot->chunk);
    buf_append_bytes(&slot->chunk, chunk);
    error = buf_status(&slot->chunk);
    if (error != 0) {
        buf_close(&slot->chunk);
        return error;
    }
    slot->state = SLOT_HERE;
    join->sources[peer].asked--;
    return feed(join);
}

static void drop_late(struct join *join, uint64_t now_ms)
{
    for (size_t i = 0; i < WINDOW; i++) {
        struct slot *slot = &join->slots[i];
        if (slot->state == SLOT_ASKED && now_ms - slot->asked_ms >= ANSWER_MS)
            blame(join, slot->peer);
    }
    if (join->state == JOIN_TAKING && count_givers(join, buf_bytes(&join->answer)) == 0) {
        drop_snapshot(join);
        join->state = JOIN_LOOKING;
    }
}

/* The giver that has least to do; -1. */
static int choose_giver(const struct join *join)
{
    int found = -1;
    for (size_t i = 0; i < VALIDATORS_MAX; i++) {
        const struct source *source = &join->sources[i];
        if (gives(source, buf_bytes(&join->answer)) && source->asked < PEER_CHUNKS &&
            (found < 0 || source->asked < join->sources[found].asked))
            found = (int)i;
    }
    return found;
}

static bool ask_chunk(struct join *join, uint64_t now_ms, int *peer, struct msg_ask *out)
{
    for (uint32_t at = join->first; at < join->snapshot.chunk_count && at - join->first < WINDOW;
         at++) {
        struct slot *slot = &join->slots[at % WINDOW];
        if (slot->state != SLOT_FREE)
            continue;
        *peer = choose_giver(join);
        if (*peer < 0)
            return false;
        slot->state = SLOT_ASKED;
        slot->peer = *peer;
        slot->asked_ms = now_ms;
        join->sources[*peer].asked++;
        *out =
            (struct msg_ask){.what = ASK_CHUNK, .height = join->snapshot.header.height, .at = at};
        return true;
    }
    return false;
}

/* ---- asking, and what comes ---- */

static bool ask_manifest(struct join *join, uint64_t now_ms, int *peer, struct msg_ask *out)
{
    for (size_t i = 0; i < VALIDATORS_MAX; i++) {
        struct source *source = &join->sources[i];
        if (!source->is_there || source->is_bad || source->answer.n != 0 ||
            (source->asked_ms != 0 && now_ms - source->asked_ms < ASK_AGAIN_MS))
            continue;
        source->asked_ms = now_ms;
        *peer = (int)i;
        *out = (struct msg_ask){.what = ASK_MANIFEST};
        return true;
    }
    return false;
}

bool join_next(struct join *join, uint64_t now_ms, int *peer, struct msg_ask *out)
{
    if (join->state == JOIN_TAKING)
        drop_late(join, now_ms);
    if (join->state == JOIN_LOOKING)
        choose(join, now_ms);
    if (join->state == JOIN_LOOKING)
        return ask_manifest(join, now_ms, peer, out);
    return join->state == JOIN_TAKING && ask_chunk(join, now_ms, peer, out);
}

int join_part(struct join *join, int peer, const struct msg_part *part, uint64_t now_ms)
{
    if (peer < 0 || (size_t)peer >= join->genesis->validators.n || peer == join->self ||
        join->sources[peer].is_bad)
        return SEALMQ_E_STALE;
    struct source *source = &join->sources[peer];
    int error = SEALMQ_E_STALE;
    if (part->what == ASK_MANIFEST && join->state == JOIN_LOOKING && source->asked_ms != 0)
        error = take_manifest(join, source, part->bytes, now_ms);
    else if (part->what == ASK_CHUNK && join->state == JOIN_TAKING &&
             part->height == join->snapshot.header.height)
        error = take_chunk(join, peer, part->at, part->bytes);
    if (error != 0 && error != SEALMQ_E_STALE && error != SEALMQ_E_NOMEM)
        blame(join, peer);
    return error;
}

enum join_state join_state(const struct join *join)
{
    return join->state;
}

void join_progress(const struct join *join, uint64_t *height, uint32_t *done, uint32_t *all)
{
    bool is_known = join->state == JOIN_TAKING || join->state == JOIN_DONE;
    *height = is_known ? join->snapshot.header.height : 0;
    *done = is_known ? join->first : 0;
    *all = is_known ? join->snapshot.chunk_count : 0;
}

struct chain *join_take(struct join *join, struct join_certified *out)
{
    ASSERT(join->state == JOIN_DONE && join->chain != NULL);
    struct chain *chain = join->chain;
    join->chain = NULL;
    *out = join->certified;
    return chain;
}
