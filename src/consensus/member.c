/* Who takes part: the set of validators of the height, and the members beside it who follow.
 *
 * The set changes with blocks. What was kept of messages is of a height and of a set, so it goes
 * with them; what a validator that stays is like as a peer stays too, under its new index. Members
 * who follow are known only while they ask, a few at a time. */
#include "consensus/pbft_int.h"

#include <stdlib.h>

static bool is_key(const struct sign_key *key, const struct public_key *wanted)
{
    return key != NULL && memcmp(&key->public_key, wanted, sizeof(*wanted)) == 0;
}

/* A node whose key is being exchanged has two for a while: the chain says which one counts. */
static void choose_keys(struct pbft *p)
{
    struct public_key ours;
    size_t chosen = 0;
    bool is_known = chain_member_keys(p->chain, bytes_str(p->id), &ours, 1) == 1;
    if (is_known && is_key(p->all_keys[1].key, &ours))
        chosen = 1;
    p->key = p->all_keys[chosen].key;
    p->log_key = p->all_keys[chosen].log_key;
    p->cosigner_key = p->all_keys[chosen].cosigner_key;
}

/* --- a new set --- */

static void free_peers(struct peer *peers, size_t n)
{
    for (size_t i = 0; i < n && peers != NULL; i++)
        buf_close(&peers[i].view_change.signed_part);
    free(peers);
}

/* What is known of the link to it, and how far it is. */
static void keep_peer(const struct peer *from, struct peer *to)
{
    to->height = from->height;
    to->keeps = from->keeps;
    to->heard = from->heard;
    to->heard_ms = from->heard_ms;
    to->healed_ms = from->healed_ms;
    to->served_ms = from->served_ms;
    to->served_from = from->served_from;
    to->status_sent_ms = from->status_sent_ms;
    to->served_back = from->served_back;
    to->fetch_after_ms = from->fetch_after_ms;
    to->fetch_failures = from->fetch_failures;
}

static int follower_find(const struct pbft *p, struct bytes id)
{
    for (size_t i = 0; i < PBFT_FOLLOWERS_MAX; i++)
        if (id.n != 0 && bytes_equal(bytes_str(p->followers[i].id), id))
            return (int)i;
    return -1;
}

/* Messages of this step for validators of the set before: to the same ones under their new index,
 * and to nobody where they have left. */
static void readdress(struct pbft *p, const int *index_now)
{
    size_t kept = 0;
    for (size_t i = 0; i < p->message_count; i++) {
        struct pbft_message m = p->messages[i];
        if (m.to >= 0 && m.to < VALIDATORS_MAX)
            m.to = index_now[m.to];
        else if (m.to < 0)
            m.to = VALIDATORS_MAX + PBFT_FOLLOWERS_MAX; /* all: not to be taken for one who left */
        if (m.to < 0)
            continue;
        if (m.to == VALIDATORS_MAX + PBFT_FOLLOWERS_MAX)
            m.to = -1;
        p->messages[kept++] = m;
    }
    p->message_count = kept;
    if (p->serve_count != 0 && p->serve_peer < VALIDATORS_MAX) {
        p->serve_peer = index_now[p->serve_peer];
        if (p->serve_peer < 0)
            p->serve_count = 0;
    }
}

static void take_over(struct pbft *p, const struct validator_set *set, struct peer *peers)
{
    int index_now[VALIDATORS_MAX];
    for (size_t i = 0; i < p->n; i++) {
        index_now[i] = validator_set_find(set, bytes_str(p->set.v[i].id));
        if (index_now[i] >= 0)
            keep_peer(&p->peers[i], &peers[index_now[i]]);
    }
    if (p->peers != NULL)
        readdress(p, index_now);
    for (size_t i = 0; i < set->n; i++) {
        int follower = follower_find(p, bytes_str(set->v[i].id));
        if (follower < 0)
            continue;
        keep_peer(&p->followers[follower].peer, &peers[i]);
        p->followers[follower] = (struct follower){0};
    }
}

/* Of the set before, and of no use to the next one: a view goes on over heights without its
 * NEW-VIEW, and checkpoints of sizes up to here need not have a quorum of their own. */
static void forget_set(struct pbft *p)
{
    proposal_release(p, &p->buffered);
    proposal_release(p, &p->view_change_block);
    proposal_release(p, &p->new_view.proposal);
    p->new_view.set = false;
    buf_reset(&p->new_view.wire);
    p->checkpoint_size = 0;
    fetch_reset(p);
    p->fetch_peer = 0;
}

void members_reload(struct pbft *p)
{
    const struct validator_set *set = chain_validators(p->chain);
    choose_keys(p);
    if (p->peers == NULL || !hash_equal(chain_validators_hash(p->chain), &p->validators)) {
        ASSERT(set->n >= 1 && set->n <= VALIDATORS_MAX);
        struct peer *peers = calloc(set->n, sizeof(*peers));
        if (peers == NULL) {
            p->failed = SEALMQ_E_NOMEM;
            return;
        }
        take_over(p, set, peers);
        free_peers(p->peers, p->n);
        p->peers = peers;
        forget_set(p);
        p->set_from = tip_height(p) + 1;
        p->set = *set;
        p->n = set->n;
        p->f = validators_f(set->n);
        p->q = validators_quorum(set->n);
        p->validators = *chain_validators_hash(p->chain);
    }
    p->self = validator_set_find(set, bytes_str(p->id));
    if (p->self >= 0 && !is_key(p->key, &set->v[p->self].key))
        p->self = -1; /* somebody else's by now, or always */
    p->votes = p->may_vote && p->self >= 0;
    if (!p->votes)
        p->watch.running = p->change_timer.running = false;
}

void members_close(struct pbft *p)
{
    free_peers(p->peers, p->n);
    p->peers = NULL;
}

/* --- members who follow --- */

/* Its place; the one that was heard longest ago makes room. */
static int follower_place(struct pbft *p, struct bytes id)
{
    int found = follower_find(p, id);
    if (found >= 0)
        return found;
    size_t oldest = 0;
    for (size_t i = 1; i < PBFT_FOLLOWERS_MAX; i++)
        if (p->followers[i].peer.heard_ms < p->followers[oldest].peer.heard_ms)
            oldest = i;
    p->followers[oldest] = (struct follower){0};
    int error = bytes_to_cstr(id, p->followers[oldest].id, sizeof(p->followers[oldest].id));
    ASSERT(error == 0); /* it was decoded as an id */
    return (int)oldest;
}

int member_verify(struct pbft *p, enum pbft_message_kind kind, const struct msg_signed *head,
                  struct bytes id)
{
    /* Who is behind may not know of its newest key yet, or we of its. */
    struct public_key keys[2];
    size_t n = chain_member_keys(p->chain, id, keys, 2);
    int error = SEALMQ_E_UNKNOWN;
    for (size_t i = 0; i < n; i++) {
        error = message_verify(kind, head, &keys[i], genesis_hash(p), &p->validators);
        if (error == 0)
            break;
    }
    if (error != 0)
        return error;
    int index = validator_set_find(chain_validators(p->chain), id);
    if (index < 0)
        index = VALIDATORS_MAX + follower_place(p, id);
    struct peer *peer = peer_at(p, index);
    peer->heard = true;
    peer->heard_ms = p->now_ms;
    return index;
}

const char *pbft_peer_id(const struct pbft *p, int peer)
{
    if (peer < 0)
        return NULL;
    if (peer < VALIDATORS_MAX)
        return (size_t)peer < p->n ? p->set.v[peer].id : NULL;
    size_t at = (size_t)peer - VALIDATORS_MAX;
    return at < PBFT_FOLLOWERS_MAX && p->followers[at].id[0] != '\0' ? p->followers[at].id : NULL;
}
