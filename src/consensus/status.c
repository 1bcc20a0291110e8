/* STATUS: where a replica is, now and then and when a link comes up. Whoever sees from it that the
 * sender lacks something it has, sends that; so a lost message costs time and nothing else. (PBFT
 * section 5.2, status messages.) What is sent so is limited for each peer. */
#include "consensus/pbft_int.h"

/* The key by which `to` can know us: who has not got the block that exchanged it knows the one
 * before, and may not get that block if it does not believe us that we have it. */
static const struct sign_key *key_for(struct pbft *p, int to)
{
    struct member us;
    const struct peer *peer = to >= 0 ? peer_at(p, to) : NULL;
    bool is_behind = peer != NULL && peer->heard &&
                     chain_member(p->chain, bytes_str(p->id), &us) == 0 &&
                     peer->height + 1 < us.since_height;
    return is_behind && p->key == p->all_keys[1].key ? p->all_keys[0].key : p->key;
}

void status_send(struct pbft *p, int to)
{
    const struct sign_key *key = key_for(p, to);
    if (key == NULL)
        return;
    struct msg_status m = {.id = bytes_str(p->id), .height = tip_height(p), .view = p->view};
    m.stable_size = p->stable_size;
    m.keeps = p->keeps;
    if (p->changing)
        m.flags |= STATUS_CHANGING;
    if (p->proposal != NULL && p->proposal->view == p->view)
        m.flags |= STATUS_PROPOSAL;
    if (!p->votes)
        m.flags |= STATUS_FOLLOWS;
    if (to >= 0)
        peer_at(p, to)->status_sent_ms = p->now_ms;
    struct buf fields = {0}, wire = {0};
    message_fields_status(&m, &fields);
    message_sign(PBFT_MSG_STATUS, MESSAGE_NO_SENDER, buf_bytes(&fields), key, genesis_hash(p),
                 &p->validators, &wire);
    if (buf_status(&fields) != 0)
        p->failed = SEALMQ_E_NOMEM;
    buf_close(&fields);
    update_send_buf(p, PBFT_MSG_STATUS, to, &wire);
}

/* The primary has the block to give; the others only when it does not seem to. */
static void heal_proposal(struct pbft *p, int who)
{
    struct peer *peer = &p->peers[who];
    uint64_t interval_ms = large_interval_ms(p, p->proposal->wire.n);
    if (!is_primary(p) &&
        (!p->watch.running || p->now_ms - p->watch.since_ms < p->timing.resend_interval_ms))
        return;
    if (!is_due(p, peer->block_sent_ms, interval_ms))
        return;
    peer->block_sent_ms = p->now_ms;
    update_send(p, PBFT_MSG_PRE_PREPARE, who, buf_bytes(&p->proposal->wire));
}

static void heal(struct pbft *p, int who, const struct msg_status *m)
{
    struct peer *peer = peer_at(p, who);
    if (!is_due(p, peer->healed_ms, p->timing.resend_interval_ms / 2))
        return;
    peer->healed_ms = p->now_ms;

    bool is_changing = (m->flags & STATUS_CHANGING) != 0;
    if (m->height < tip_height(p) && is_due(p, peer->status_sent_ms, p->timing.resend_interval_ms))
        status_send(p, who);
    if (m->stable_size < p->checkpoint_size && m->height + 1 >= p->checkpoint_size)
        checkpoint_resend(p, who);
    if (who >= VALIDATORS_MAX)
        return; /* it takes what is certified, and no part */
    if (!p->changing && (m->view < p->view || (m->view == p->view && is_changing)))
        new_view_heal(p, who);
    if (m->height == tip_height(p) && m->view == p->view && !is_changing && !p->changing &&
        p->proposal != NULL && p->proposal->view == p->view) {
        if ((m->flags & STATUS_PROPOSAL) == 0)
            heal_proposal(p, who);
        vote_resend(p, VOTE_PREPARE, who);
        vote_resend(p, VOTE_COMMIT, who);
    }
}

void status_receive(struct pbft *p, struct bytes bytes)
{
    struct msg_status m;
    int error = message_decode_status(bytes, &m);
    int who = error == 0 ? member_verify(p, PBFT_MSG_STATUS, &m.head, m.id) : error;
    if (who < 0) {
        update_note(p, PBFT_NOTE_REFUSED, -1, who, 0, "status");
        return;
    }
    if (bytes_equal(m.id, bytes_str(p->id)))
        return;
    peer_at(p, who)->height = m.height;
    peer_at(p, who)->keeps = m.keeps;
    heal(p, who, &m);
}
