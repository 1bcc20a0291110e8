/* The table of votes: a few of each validator and kind. What an honest replica votes for never
 * falls in (height, view), so its newest votes are the ones that matter; a liar's votes only push
 * each other out. */
#include "consensus/pbft_int.h"

void vote_tuple(const struct pbft *p, uint64_t view, uint64_t height, const struct hash *header,
                struct vote *out)
{
    *out = (struct vote){.validators = p->validators, .view = view, .height = height};
    out->header = *header;
}

const char *vote_label(enum vote_kind kind)
{
    return kind == VOTE_PREPARE ? PREPARE_LABEL : COMMIT_LABEL;
}

static enum pbft_message_kind message_kind(enum vote_kind kind)
{
    return kind == VOTE_PREPARE ? PBFT_MSG_PREPARE : PBFT_MSG_COMMIT;
}

static bool is_before(const struct kept_vote *a, const struct kept_vote *b)
{
    return a->height < b->height || (a->height == b->height && a->view < b->view);
}

int vote_put(struct pbft *p, enum vote_kind kind, int who, const struct kept_vote *vote)
{
    struct kept_vote *kept = p->peers[who].votes[kind];
    struct kept_vote *place = NULL, *oldest = NULL, *newest = NULL;
    for (size_t i = 0; i < VOTES_KEPT; i++) {
        struct kept_vote *k = &kept[i];
        if (!k->set) {
            place = k;
            continue;
        }
        if (k->height == vote->height && k->view == vote->view)
            return hash_equal(&k->header, &vote->header) ? SEALMQ_E_EXISTS : SEALMQ_E_CONFLICT;
        if (oldest == NULL || is_before(k, oldest))
            oldest = k;
        if (newest == NULL || !is_before(k, newest))
            newest = k;
    }
    bool is_current = vote->height == next_height(p) && vote->view == p->view;
    if (place == NULL && is_before(oldest, vote))
        place = oldest;
    if (place == NULL && is_current)
        place = newest;
    if (place == NULL)
        return SEALMQ_E_LIMIT;
    *place = *vote;
    place->set = true;
    p->again = true;
    return 0;
}

bool vote_find(const struct pbft *p, enum vote_kind kind, int who, uint64_t view, uint64_t height,
               struct kept_vote *out)
{
    for (size_t i = 0; i < VOTES_KEPT; i++) {
        const struct kept_vote *k = &p->peers[who].votes[kind][i];
        if (k->set && k->view == view && k->height == height) {
            *out = *k;
            return true;
        }
    }
    return false;
}

size_t vote_count(const struct pbft *p, enum vote_kind kind, uint64_t view, uint64_t height,
                  const struct hash *header)
{
    size_t count = 0;
    struct kept_vote vote;
    for (size_t i = 0; i < p->n; i++)
        if (vote_find(p, kind, (int)i, view, height, &vote) && hash_equal(&vote.header, header))
            count++;
    return count;
}

void vote_certificate(const struct pbft *p, enum vote_kind kind, uint64_t view, uint64_t height,
                      const struct hash *header, int must, struct certificate *out)
{
    out->view = view;
    out->height = height;
    out->header = *header;
    out->n = 0;
    bool has_must = must < 0;
    for (size_t i = 0; i < p->n && out->n < p->q; i++) {
        struct kept_vote vote;
        if (!vote_find(p, kind, (int)i, view, height, &vote) || !hash_equal(&vote.header, header))
            continue;
        if ((int)i == must)
            has_must = true;
        else if (!has_must && out->n == p->q - 1)
            continue; /* the last place is kept free */
        out->votes[out->n].validator = (uint8_t)i;
        out->votes[out->n].signature = vote.signature;
        out->n++;
    }
    ASSERT(out->n == p->q && has_must);
}

void vote_cast(struct pbft *p, enum vote_kind kind, uint64_t view, uint64_t height,
               const struct hash *header)
{
    ASSERT(p->votes && !p->changing && view == p->view && height == next_height(p));
    struct vote tuple;
    vote_tuple(p, view, height, header, &tuple);
    struct kept_vote vote = {.view = view, .height = height, .header = *header};
    vote_sign(p->key, vote_label(kind), genesis_hash(p), &tuple, &vote.signature);
    int error = vote_put(p, kind, p->self, &vote);
    ASSERT(error == 0 || error == SEALMQ_E_EXISTS);
    vote_resend(p, kind, -1);
    p->resend_ms = p->now_ms;
}

void vote_resend(struct pbft *p, enum vote_kind kind, int to)
{
    struct kept_vote vote;
    if (!p->votes || !vote_find(p, kind, p->self, p->view, next_height(p), &vote))
        return;
    struct msg_vote message = {.sender = p->self, .view = vote.view, .height = vote.height};
    message.header = vote.header;
    message.signature = vote.signature;
    struct buf wire = {0};
    message_encode_vote(&message, message_kind(kind), &wire);
    update_send_buf(p, message_kind(kind), to, &wire);
}

void vote_receive(struct pbft *p, enum vote_kind kind, struct bytes bytes)
{
    struct msg_vote m;
    int error = message_decode_vote(bytes, message_kind(kind), &m);
    if (error == 0 && (size_t)m.sender >= p->n)
        error = SEALMQ_E_UNKNOWN;
    if (error != 0) {
        update_note(p, PBFT_NOTE_REFUSED, -1, error, 0, "vote");
        return;
    }
    if (m.sender == p->self || m.height <= tip_height(p))
        return; /* late, which is no fault */
    struct kept_vote known;
    if (vote_find(p, kind, m.sender, m.view, m.height, &known) &&
        hash_equal(&known.header, &m.header))
        return; /* sent again: not worth another verification */

    struct vote tuple;
    vote_tuple(p, m.view, m.height, &m.header, &tuple);
    error = vote_verify(&validator_at(p, m.sender)->key, vote_label(kind), genesis_hash(p), &tuple,
                        &m.signature);
    if (error != 0) {
        update_note(p, PBFT_NOTE_REFUSED, m.sender, error, m.height, "vote");
        return;
    }
    peer_heard(p, m.sender);
    peer_claims_height(p, m.sender, m.height - 1);
    uint64_t oldest_view = p->proposal != NULL ? p->proposal->view : p->view;
    if (m.height > next_height(p) + 1 || m.view < oldest_view)
        return;
    struct kept_vote vote = {.view = m.view, .height = m.height, .header = m.header};
    vote.signature = m.signature;
    if (vote_put(p, kind, m.sender, &vote) == SEALMQ_E_CONFLICT)
        update_note(p, PBFT_NOTE_MISBEHAVIOUR, m.sender, SEALMQ_E_CONFLICT, m.height,
                    "two votes for one height and view");
}

void vote_prune(struct pbft *p)
{
    for (size_t i = 0; i < p->n; i++)
        for (size_t kind = 0; kind < VOTE_KINDS; kind++)
            for (size_t k = 0; k < VOTES_KEPT; k++)
                if (p->peers[i].votes[kind][k].height <= tip_height(p))
                    p->peers[i].votes[kind][k].set = false;
}
