/* Catch-up: every block has its commit certificate, so that any peer can give it and none needs to
 * be trusted. Ranges of blocks are asked of several peers at once, in a window above the tip; what
 * comes is checked on arrival, and waits until the blocks before it are here. Who does not answer
 * in time or gives what does not hold is put aside for a while, longer each time, and its range is
 * asked of another. It goes on in every state, in a view change too. (PBFT section 4.6 and 5.3
 * transfer the state for the same purpose.)
 *
 *   NONE --ask--> ASKED --answer that holds--> HELD --blocks before it are final--> NONE
 *                   |
 *                   +-- time-out, or an answer that does not hold --> NONE, and the peer aside
 *
 * Memory: FETCH_RANGES messages, and new ones are asked for only while those held have fewer bytes
 * than FETCH_HELD_BYTES. */
#include "consensus/pbft_int.h"
#include "ledger/snapshot.h"

static void take_held(struct pbft *p);

static void send_fetch(struct pbft *p, int to, const struct msg_fetch *m)
{
    struct buf fields = {0}, wire = {0};
    struct msg_fetch named = *m;
    named.id = bytes_str(p->id);
    message_fields_fetch(&named, &fields);
    message_sign(PBFT_MSG_FETCH, MESSAGE_NO_SENDER, buf_bytes(&fields), p->key, genesis_hash(p),
                 &p->validators, &wire);
    if (buf_status(&fields) != 0)
        p->failed = SEALMQ_E_NOMEM;
    buf_close(&fields);
    update_send_buf(p, PBFT_MSG_FETCH, to, &wire);
}

static void note_behind(struct pbft *p)
{
    uint64_t target = peers_height(p);
    if (p->noted_behind == 0 && target > tip_height(p) + 1) {
        p->noted_behind = target;
        update_note(p, PBFT_NOTE_BEHIND, -1, 0, target, NULL);
    } else if (p->noted_behind != 0 && target <= tip_height(p)) {
        p->noted_behind = 0;
        update_note(p, PBFT_NOTE_CAUGHT_UP, -1, 0, tip_height(p), NULL);
    }
}

static uint64_t highest_claim(const struct pbft *p)
{
    uint64_t highest = 0;
    for (size_t i = 0; i < p->n; i++)
        if ((int)i != p->self && p->peers[i].height > highest)
            highest = p->peers[i].height;
    return highest;
}

/* One block behind is what everyone is for a moment: its COMMITs may be on their way. */
static uint64_t fetch_from_ms(const struct pbft *p)
{
    return highest_claim(p) > tip_height(p) + 1
               ? p->behind_since_ms
               : p->behind_since_ms + p->timing.resend_interval_ms / 2;
}

/* ---- peers ---- */

/* Doubled with each failure of this peer: large blocks take their time on a slow link. */
static uint64_t fetch_timeout_ms(const struct pbft *p, int peer)
{
    uint32_t failures = p->peers[peer].fetch_failures;
    return (2 * (uint64_t)p->timing.resend_interval_ms) << (failures < 4 ? failures : 4);
}

static void put_aside(struct pbft *p, int peer)
{
    p->peers[peer].fetch_after_ms = p->now_ms + 4 * fetch_timeout_ms(p, peer);
    p->peers[peer].fetch_failures++;
}

static unsigned asked_of(const struct pbft *p, int peer)
{
    unsigned n = 0;
    for (size_t i = 0; i < FETCH_RANGES; i++)
        n += p->ranges[i].state == FETCH_ASKED && p->ranges[i].peer == peer;
    return n;
}

/* The next one in turn that claims to have the block and may be asked for more; -1. */
static int choose_peer(const struct pbft *p, uint64_t height)
{
    for (size_t k = 1; k <= p->n; k++) {
        size_t i = ((size_t)p->fetch_peer + k) % p->n;
        if ((int)i != p->self && p->peers[i].height >= height && p->peers[i].keeps <= height &&
            p->peers[i].fetch_after_ms <= p->now_ms && asked_of(p, (int)i) < FETCH_PEER)
            return (int)i;
    }
    return -1;
}

/* ---- the window ---- */

static void drop(struct fetch_range *range)
{
    range->state = FETCH_NONE;
    buf_close(&range->message);
}

void fetch_reset(struct pbft *p)
{
    for (size_t i = 0; i < FETCH_RANGES; i++) {
        if (p->ranges[i].state == FETCH_ASKED)
            drop(&p->ranges[i]);
        p->ranges[i].peer = -1; /* of those held nobody is to blame any more */
    }
}

void fetch_close(struct pbft *p)
{
    for (size_t i = 0; i < FETCH_RANGES; i++)
        drop(&p->ranges[i]);
}

static struct fetch_range *range_of(struct pbft *p, uint64_t height)
{
    for (size_t i = 0; i < FETCH_RANGES; i++) {
        struct fetch_range *range = &p->ranges[i];
        if (range->state != FETCH_NONE && height >= range->from &&
            height - range->from < range->count)
            return range;
    }
    return NULL;
}

static struct fetch_range *free_range(struct pbft *p)
{
    for (size_t i = 0; i < FETCH_RANGES; i++)
        if (p->ranges[i].state == FETCH_NONE)
            return &p->ranges[i];
    return NULL;
}

static size_t held_bytes(const struct pbft *p)
{
    size_t n = 0;
    for (size_t i = 0; i < FETCH_RANGES; i++)
        n += p->ranges[i].message.n;
    return n;
}

/* The lowest run of blocks above the tip that is in no range; none has blocks behind `end`. */
static void find_gap(struct pbft *p, uint64_t *from, uint64_t *count)
{
    const struct fetch_range *range;
    uint64_t at = next_height(p);
    while ((range = range_of(p, at)) != NULL)
        at = range->from + range->count;
    *from = at;
    for (*count = 1; *count < FETCH_BLOCKS && range_of(p, at + *count) == NULL;)
        ++*count;
}

static bool ask_next(struct pbft *p)
{
    uint64_t from, count;
    struct fetch_range *range = free_range(p);
    find_gap(p, &from, &count);
    if (range == NULL || from - next_height(p) >= (uint64_t)FETCH_RANGES * FETCH_BLOCKS ||
        (from != next_height(p) && held_bytes(p) >= FETCH_HELD_BYTES))
        return false;
    int peer = choose_peer(p, from);
    if (peer < 0)
        return false;
    uint64_t left = p->peers[peer].height - from + 1;
    range->state = FETCH_ASKED;
    range->from = from;
    range->count = count < left ? count : left;
    range->peer = p->fetch_peer = peer;
    range->asked_ms = p->now_ms;
    send_fetch(p, peer, &(struct msg_fetch){.from = from, .count = (uint16_t)range->count});
    return p->failed == 0;
}

static void drop_late(struct pbft *p)
{
    for (size_t i = 0; i < FETCH_RANGES; i++) {
        struct fetch_range *range = &p->ranges[i];
        if (range->state != FETCH_ASKED)
            continue;
        if (range->from + range->count <= next_height(p)) {
            drop(range); /* final by other ways */
        } else if (p->now_ms - range->asked_ms >= fetch_timeout_ms(p, range->peer)) {
            drop(range);
            if (p->peers[range->peer].fetch_after_ms <= p->now_ms)
                put_aside(p, range->peer);
        }
    }
}

void fetch_check(struct pbft *p)
{
    if (p->key == NULL || p->is_held)
        return; /* nobody would answer; or the host is at it */
    note_behind(p);
    drop_late(p);
    take_held(p);
    if (highest_claim(p) <= tip_height(p)) {
        p->behind = false;
        return;
    }
    if (!p->behind) {
        p->behind = true;
        p->behind_since_ms = p->now_ms;
    }
    if (p->now_ms >= fetch_from_ms(p))
        while (ask_next(p)) {
        }
}

uint64_t fetch_deadline_ms(struct pbft *p)
{
    uint64_t deadline_ms = UINT64_MAX, from, count;
    const struct fetch_range *next = range_of(p, next_height(p));
    if (next != NULL && next->state == FETCH_HELD)
        return p->now_ms; /* there was more than one step takes */
    if (!p->behind || p->is_held)
        return UINT64_MAX;
    for (size_t i = 0; i < FETCH_RANGES; i++) {
        const struct fetch_range *range = &p->ranges[i];
        if (range->state != FETCH_ASKED)
            continue;
        uint64_t at_ms = range->asked_ms + fetch_timeout_ms(p, range->peer);
        if (at_ms < deadline_ms)
            deadline_ms = at_ms;
    }
    find_gap(p, &from, &count);
    if (next == NULL && choose_peer(p, from) >= 0 && fetch_from_ms(p) < deadline_ms)
        deadline_ms = fetch_from_ms(p);
    return deadline_ms;
}

/* As the primary to be: a block that a VIEW-CHANGE proves prepared, from one who says so. Those who
 * say so are asked in turn, one for each block in a round. */
void fetch_prepared_block(struct pbft *p, const struct hash *header, bool is_new_round)
{
    if (is_new_round)
        p->block_asked_round++;
    for (size_t k = 0; k < p->n; k++) {
        size_t i = (p->block_asked_round + k) % p->n;
        const struct kept_view_change *kept = &p->peers[i].view_change;
        if ((int)i == p->self || !kept->set || !kept->claim.prepared ||
            !hash_equal(&kept->claim.prepared_header, header))
            continue;
        p->block_asked_ms = p->now_ms;
        send_fetch(p, (int)i, &(struct msg_fetch){.wanted = true, .header = *header});
        return;
    }
}

void fetch_receive(struct pbft *p, struct bytes bytes)
{
    struct msg_fetch m;
    int error = message_decode_fetch(bytes, &m);
    int who = error == 0 ? member_verify(p, PBFT_MSG_FETCH, &m.head, m.id) : error;
    if (who < 0) {
        update_note(p, PBFT_NOTE_REFUSED, -1, who, 0, "fetch");
        return;
    }
    if (bytes_equal(m.id, bytes_str(p->id)))
        return;
    struct peer *peer = peer_at(p, who);
    uint64_t interval_ms = p->timing.resend_interval_ms / 2;
    if (m.wanted && who < VALIDATORS_MAX && p->changing && p->prepared.set &&
        hash_equal(&p->prepared.proposal->header, &m.header) &&
        is_due(p, peer->block_sent_ms, large_interval_ms(p, p->prepared.proposal->wire.n))) {
        peer->block_sent_ms = p->now_ms;
        view_change_send(p, who, true);
    }
    /* Who goes forward is served at once; the same again only now and then, and others before it a
     * few times, for the asker may have lost who was to give them. */
    if (m.count == 0 || m.from > tip_height(p))
        return;
    if (is_due(p, peer->served_ms, interval_ms))
        peer->served_back = 0;
    else if (m.from == peer->served_from ||
             (m.from < peer->served_from && peer->served_back++ >= SERVED_BACK))
        return;
    uint64_t left = tip_height(p) - m.from + 1;
    uint64_t count = m.count < FETCH_BLOCKS ? m.count : FETCH_BLOCKS;
    peer->served_ms = p->now_ms;
    peer->served_from = m.from;
    p->serve_peer = who;
    p->serve_from = m.from;
    p->serve_count = (size_t)(left < count ? left : count);
}

void blocks_serve(struct pbft *p, int peer, const struct pbft_stored_block *blocks, size_t n)
{
    if (pbft_peer_id(p, peer) == NULL)
        return;
    size_t total = 0, count = 0;
    while (count < n && count < FETCH_BLOCKS) {
        size_t size = blocks[count].block.n + blocks[count].certificate.n + 8;
        if (count > 0 && total + size > p->message_bytes_max)
            break;
        total += size;
        count++;
    }
    if (count == 0)
        return;
    struct buf wire = {0};
    message_encode_blocks(p->self < 0 ? MESSAGE_NO_SENDER : p->self, blocks, count, &wire);
    update_send_buf(p, PBFT_MSG_BLOCKS, peer, &wire);
}

/* ---- what comes ---- */

static int check_certificate(const struct pbft *p, const struct certificate *certificate)
{
    return certificate_verify(certificate, COMMIT_LABEL, chain_validators(p->chain),
                              genesis_hash(p));
}

/* One certified block of the next height. 0, SEALMQ_E_EXISTS when we have it. */
static int take_block(struct pbft *p, const struct pbft_stored_block *stored, bool is_checked)
{
    struct certificate certificate;
    int error = certificate_decode(stored->certificate, &certificate);
    if (error != 0)
        return error;
    if (certificate.height <= tip_height(p))
        return SEALMQ_E_EXISTS;
    if (certificate.height != next_height(p) || certificate.view >= INT64_MAX)
        return SEALMQ_E_CONFLICT;
    if (!is_checked)
        error = check_certificate(p, &certificate);
    if (error != 0)
        return error;
    struct bytes wire = update_copy(p, stored->block);
    struct bytes certificate_wire = update_copy(p, stored->certificate);
    if (p->failed != 0)
        return p->failed;
    struct block block;
    error = block_decode(wire, &block);
    if (error == 0 && !hash_equal(&block.hash, &certificate.header))
        error = SEALMQ_E_HASH;
    if (error == 0)
        error = commit_block(p, &block, certificate_wire, certificate.view);
    return error;
}

/* The host takes a snapshot of the state after the last block of a step. */
static bool is_step_full(const struct pbft *p)
{
    return p->block_count >= FETCH_STEP ||
           (p->block_count != 0 && tip_height(p) % SNAPSHOT_INTERVAL == 0);
}

/* Takes blocks of the list in order, as far as the step has room. */
static int take_list(struct pbft *p, struct bytes list, bool is_checked)
{
    struct pbft_stored_block stored;
    int error = 0;
    while (error == 0 && p->failed == 0 && !is_step_full(p) &&
           message_blocks_next(&list, &stored)) {
        error = take_block(p, &stored, is_checked);
        if (error == SEALMQ_E_EXISTS)
            error = 0;
    }
    return error;
}

static void refuse_blocks(struct pbft *p, int peer, int error)
{
    update_note(p, PBFT_NOTE_REFUSED, peer, error, next_height(p), "block to catch up with");
    if (peer >= 0 && (size_t)peer < p->n && peer != p->self)
        put_aside(p, peer);
}

/* What is held and follows on the tip. */
static void take_held(struct pbft *p)
{
    struct fetch_range *range;
    while (p->failed == 0 && !is_step_full(p) && (range = range_of(p, next_height(p))) != NULL &&
           range->state == FETCH_HELD) {
        struct msg_blocks m;
        uint64_t before = tip_height(p);
        bool is_checked = hash_equal(&range->set, &p->validators);
        int error = message_decode_blocks(buf_bytes(&range->message), &m);
        ASSERT(error == 0); /* it was, when it came */
        error = take_list(p, m.list, is_checked);
        if (error != 0 && p->failed == 0)
            refuse_blocks(p, range->peer, error);
        if (error != 0 || next_height(p) >= range->from + range->count || tip_height(p) == before)
            drop(range);
    }
}

/* Whether the list is a run of `count` blocks from `from` on, each certified by the validators as
 * they are. Blocks for which there are others by then are checked when it is their turn. */
static int check_list(const struct pbft *p, struct bytes list, uint64_t from, uint64_t *count)
{
    struct pbft_stored_block stored;
    struct hash parent = {{0}};
    for (*count = 0; message_blocks_next(&list, &stored); ++*count) {
        struct certificate certificate;
        struct block block;
        int error = certificate_decode(stored.certificate, &certificate);
        if (error == 0)
            error = block_decode(stored.block, &block);
        if (error != 0)
            return error;
        if (certificate.height != from + *count || block.header.height != certificate.height)
            return SEALMQ_E_CONFLICT;
        if (!hash_equal(&block.hash, &certificate.header) ||
            (*count != 0 && !hash_equal(&block.header.parent, &parent)))
            return SEALMQ_E_HASH;
        parent = block.hash;
        if (hash_equal(&block.header.validators, &p->validators))
            error = check_certificate(p, &certificate);
        if (error != 0)
            return error;
    }
    return 0;
}

static bool all_of_set(const struct pbft *p, struct bytes list)
{
    struct pbft_stored_block stored;
    struct block block;
    while (message_blocks_next(&list, &stored))
        if (block_decode(stored.block, &block) != 0 ||
            !hash_equal(&block.header.validators, &p->validators))
            return false;
    return true;
}

static void hold(struct pbft *p, struct fetch_range *range, struct bytes bytes,
                 const struct msg_blocks *m, uint64_t count)
{
    buf_append_bytes(&range->message, bytes);
    if (buf_status(&range->message) != 0)
        p->failed = SEALMQ_E_NOMEM;
    range->state = FETCH_HELD;
    range->count = count;
    range->set = all_of_set(p, m->list) ? p->validators : (struct hash){{0}};
    p->peers[range->peer].fetch_failures = 0;
}

static int first_height(struct bytes list, uint64_t *height)
{
    struct pbft_stored_block stored;
    struct certificate certificate;
    if (!message_blocks_next(&list, &stored))
        return SEALMQ_E_COUNT;
    int error = certificate_decode(stored.certificate, &certificate);
    *height = certificate.height;
    return error;
}

/* The answer to what was asked of this peer. */
static struct fetch_range *asked_range(struct pbft *p, uint64_t from, int peer)
{
    struct fetch_range *range = range_of(p, from);
    return range != NULL && range->state == FETCH_ASKED && range->from == from &&
                   range->peer == peer
               ? range
               : NULL;
}

void blocks_receive(struct pbft *p, struct bytes bytes, int peer)
{
    struct msg_blocks m;
    uint64_t from = 0, count = 0, before = tip_height(p);
    int error = message_decode_blocks(bytes, &m);
    if (error == 0)
        error = first_height(m.list, &from);
    if (error == 0 && peer < 0)
        peer = m.sender;
    struct fetch_range *range = error == 0 ? asked_range(p, from, peer) : NULL;
    if (range != NULL) {
        error = check_list(p, m.list, from, &count);
        if (error == 0 && count > range->count)
            error = SEALMQ_E_COUNT;
        if (error == 0)
            hold(p, range, bytes, &m, count);
        else
            drop(range);
    } else if (error == 0 && from <= next_height(p)) {
        error = take_list(p, m.list, false); /* not asked for, and as good */
    }
    if (error != 0 && p->failed == 0)
        refuse_blocks(p, peer, error);
    take_held(p);
    if (tip_height(p) > before)
        p->behind_since_ms = p->now_ms;
    fetch_check(p);
}
