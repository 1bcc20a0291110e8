/* Catch-up: every block has its commit certificate, so that any peer can give it and none needs to
 * be trusted. One FETCH is under way at a time; a peer that does not answer is left alone for a
 * while. It goes on in every state, in a view change too. (PBFT section 4.6 and 5.3 transfer the
 * state for the same purpose.) */
#include "consensus/pbft_int.h"
#include "ledger/snapshot.h"

/* Doubled with each that was not answered: large blocks take their time on a slow link. */
static uint64_t fetch_timeout_ms(const struct pbft *p)
{
    uint32_t doublings = p->fetch_failures < 4 ? p->fetch_failures : 4;
    return (2 * (uint64_t)p->timing.resend_interval_ms) << doublings;
}

static void send_fetch(struct pbft *p, int to, const struct msg_fetch *m)
{
    struct buf fields = {0}, wire = {0};
    message_fields_fetch(m, &fields);
    message_sign(PBFT_MSG_FETCH, p->self, buf_bytes(&fields), p->key, genesis_hash(p),
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

/* The next one in turn that claims more than we have; -1. */
static int choose_peer(const struct pbft *p)
{
    for (size_t k = 1; k <= p->n; k++) {
        size_t i = ((size_t)p->fetch_peer + k) % p->n;
        if ((int)i != p->self && p->peers[i].height > tip_height(p) &&
            p->peers[i].fetch_after_ms <= p->now_ms)
            return (int)i;
    }
    return -1;
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

void fetch_check(struct pbft *p)
{
    if (p->self < 0)
        return;
    note_behind(p);
    if (highest_claim(p) <= tip_height(p)) {
        p->behind = p->fetching = false;
        return;
    }
    if (!p->behind) {
        p->behind = true;
        p->behind_since_ms = p->now_ms;
    }
    if (p->fetching && p->now_ms - p->fetch_ms >= fetch_timeout_ms(p)) {
        p->fetching = false;
        p->peers[p->fetch_peer].fetch_after_ms = p->now_ms + 4 * fetch_timeout_ms(p);
        p->fetch_failures++;
    }
    if (p->fetching || p->now_ms < fetch_from_ms(p))
        return;
    int peer = choose_peer(p);
    if (peer < 0)
        return;
    p->fetching = true;
    p->fetch_peer = peer;
    p->fetch_ms = p->now_ms;
    send_fetch(p, peer, &(struct msg_fetch){.from = next_height(p), .count = FETCH_BLOCKS});
}

uint64_t fetch_deadline_ms(const struct pbft *p)
{
    if (!p->behind)
        return UINT64_MAX;
    if (p->fetching)
        return p->fetch_ms + fetch_timeout_ms(p);
    return choose_peer(p) >= 0 ? fetch_from_ms(p) : UINT64_MAX;
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
    if (error == 0 && (size_t)m.head.sender >= p->n)
        error = SEALMQ_E_UNKNOWN;
    if (error == 0)
        error = message_verify(PBFT_MSG_FETCH, &m.head, &validator_at(p, m.head.sender)->key,
                               genesis_hash(p), &p->validators);
    if (error != 0) {
        update_note(p, PBFT_NOTE_REFUSED, -1, error, 0, "fetch");
        return;
    }
    if (m.head.sender == p->self)
        return;
    struct peer *peer = &p->peers[m.head.sender];
    uint64_t interval_ms = p->timing.resend_interval_ms / 2;
    peer_heard(p, m.head.sender);
    if (m.wanted && p->changing && p->prepared.set &&
        hash_equal(&p->prepared.proposal->header, &m.header) &&
        is_due(p, peer->block_sent_ms, large_interval_ms(p, p->prepared.proposal->wire.n))) {
        peer->block_sent_ms = p->now_ms;
        view_change_send(p, m.head.sender, true);
    }
    /* Who goes forward is served at once; the same again only now and then. */
    if (m.count == 0 || m.from > tip_height(p) ||
        (m.from <= peer->served_from && !is_due(p, peer->served_ms, interval_ms)))
        return;
    uint64_t left = tip_height(p) - m.from + 1;
    uint64_t count = m.count < FETCH_BLOCKS ? m.count : FETCH_BLOCKS;
    peer->served_ms = p->now_ms;
    peer->served_from = m.from;
    p->serve_peer = m.head.sender;
    p->serve_from = m.from;
    p->serve_count = (size_t)(left < count ? left : count);
}

void blocks_serve(struct pbft *p, int peer, const struct pbft_stored_block *blocks, size_t n)
{
    if (p->self < 0 || peer < 0 || (size_t)peer >= p->n)
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
    message_encode_blocks(p->self, blocks, count, &wire);
    update_send_buf(p, PBFT_MSG_BLOCKS, peer, &wire);
}

/* One certified block of the next height. 0, SEALMQ_E_EXISTS when we have it. */
static int take_block(struct pbft *p, const struct pbft_stored_block *stored)
{
    struct certificate certificate;
    int error = certificate_decode(stored->certificate, &certificate);
    if (error != 0)
        return error;
    if (certificate.height <= tip_height(p))
        return SEALMQ_E_EXISTS;
    if (certificate.height != next_height(p) || certificate.view >= INT64_MAX)
        return SEALMQ_E_CONFLICT;
    error =
        certificate_verify(&certificate, COMMIT_LABEL, chain_validators(p->chain), genesis_hash(p));
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

void blocks_receive(struct pbft *p, struct bytes bytes)
{
    struct msg_blocks m;
    int error = message_decode_blocks(bytes, &m);
    uint64_t before = tip_height(p);
    struct pbft_stored_block stored;
    while (error == 0 && p->failed == 0 && message_blocks_next(&m.list, &stored)) {
        error = take_block(p, &stored);
        if (error == SEALMQ_E_EXISTS)
            error = 0;
        else if (error == 0 && tip_height(p) % SNAPSHOT_INTERVAL == 0)
            break; /* the host takes one of the state after this very block */
    }
    if (error != 0)
        update_note(p, PBFT_NOTE_REFUSED, -1, error, next_height(p), "block to catch up with");
    if (tip_height(p) > before) {
        p->fetching = false;
        p->fetch_failures = 0;
        p->behind_since_ms = p->now_ms;
        fetch_check(p);
    }
}
