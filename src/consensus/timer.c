/* What happens because time passes (PBFT sections 4.5.2 and 4.4 for the view timer).
 *
 *   watch          from when something waits to become a block until the next block; the view's
 *                  primary is left when it runs out, after view_timeout_ms doubled for each view
 *                  left since the last block, and the time that the block's difficulty may take. A
 * request that stays behind while blocks are made counts on over blocks, with FAIRNESS_FACTOR times
 * the time. change_timer   from when a quorum is in this view change or beyond; then on to the next
 * view resend         own votes, VIEW-CHANGE, checkpoint lines status, fetch, reforward
 *
 * The watch stands still while this replica does not hear from a quorum, since nobody could follow
 * it into a new view; and while it is behind, since then others are making blocks. */
#include "consensus/pbft_int.h"

static bool has_proposal(const struct pbft *p)
{
    return p->proposal != NULL && p->proposal->view == p->view;
}

static uint64_t view_timeout_ms(const struct pbft *p)
{
    uint64_t timeout_ms = p->timing.view_timeout_ms;
    for (uint32_t i = 0; i < p->attempts && timeout_ms < p->timing.view_timeout_max_ms; i++)
        timeout_ms *= 2;
    return timeout_ms < p->timing.view_timeout_max_ms ? timeout_ms : p->timing.view_timeout_max_ms;
}

/* The same with what the proposer may need for the block's difficulty. */
static uint64_t block_timeout_ms(const struct pbft *p)
{
    return view_timeout_ms(p) + work_allowance_ms(p);
}

static bool hears_quorum(const struct pbft *p)
{
    uint64_t window_ms = (uint64_t)p->timing.status_interval_ms * 3 / 2;
    size_t count = p->self >= 0;
    for (size_t i = 0; i < p->n; i++)
        if ((int)i != p->self && p->peers[i].heard && p->now_ms - p->peers[i].heard_ms <= window_ms)
            count++;
    return count >= p->q;
}

static bool stands_still(const struct pbft *p)
{
    return !hears_quorum(p) || peers_height(p) > tip_height(p);
}

void timer_progress(struct pbft *p)
{
    p->attempts = 0;
    p->suspect = false;
    p->watch.running = false;
    p->watch.look = true;
    p->may_select = true;
    p->had_block = true;
    p->last_block_ms = p->now_ms;
}

/* The oldest request that could be in the next block. */
static bool find_request(struct pbft *p, struct hash *out)
{
    struct bytes wire;
    struct request request;
    size_t count = 0;
    if (mempool_count(p->mempool) == 0)
        return false;
    int error = mempool_select(p->mempool, p->chain, BLOCK_BYTES_MAX, 1, &wire, &count);
    if (error == SEALMQ_E_NOMEM)
        p->failed = error;
    if (error != 0 || count == 0 || request_decode(wire, &request) != 0)
        return false;
    *out = request.hash;
    return true;
}

static void watch_request(struct pbft *p, const struct hash *request)
{
    p->watch.request_set = true;
    p->watch.request = *request;
    p->watch.request_since_ms = p->now_ms;
}

static void watch_update(struct pbft *p)
{
    if (!p->votes || p->changing) {
        p->watch.running = false;
        return;
    }
    if (p->watch.request_set && !mempool_has(p->mempool, &p->watch.request)) {
        p->watch.request_set = false;
        p->watch.look = true;
    }
    if (!p->watch.request_set && p->watch.look) {
        struct hash request;
        p->watch.look = false;
        if (find_request(p, &request))
            watch_request(p, &request);
    }
    bool waits = has_proposal(p) || p->candidate != NULL || p->suspect || p->watch.request_set;
    if (waits && !p->watch.running)
        p->watch.since_ms = p->now_ms;
    p->watch.running = waits;
}

static void watch_check(struct pbft *p)
{
    if (!p->watch.running)
        return;
    if (stands_still(p)) {
        p->watch.since_ms = p->watch.request_since_ms = p->now_ms;
        return;
    }
    uint64_t timeout_ms = block_timeout_ms(p);
    bool is_slow = p->now_ms - p->watch.since_ms >= timeout_ms;
    bool is_unfair = p->watch.request_set &&
                     p->now_ms - p->watch.request_since_ms >= FAIRNESS_FACTOR * timeout_ms;
    if (!is_slow && !is_unfair)
        return;
    /* Nobody is to blame for a request that nobody could put into a block. */
    if (p->watch.request_set) {
        struct hash request;
        if (!find_request(p, &request)) {
            p->watch.request_set = false;
            is_unfair = false;
        } else if (!hash_equal(&request, &p->watch.request)) {
            watch_request(p, &request);
            is_unfair = false;
        }
    }
    bool waits = has_proposal(p) || p->candidate != NULL || p->suspect || p->watch.request_set;
    if (waits && (is_slow || is_unfair))
        view_change_start(p, p->view + 1);
}

/* To those whose PREPARE for it we have not seen. */
static void resend_proposal(struct pbft *p)
{
    uint64_t interval_ms = large_interval_ms(p, p->proposal->wire.n);
    for (size_t i = 0; i < p->n; i++) {
        struct kept_vote vote;
        struct peer *peer = &p->peers[i];
        if ((int)i == p->self || !is_due(p, peer->block_sent_ms, interval_ms) ||
            vote_find(p, VOTE_PREPARE, (int)i, p->view, p->proposal->height, &vote))
            continue;
        peer->block_sent_ms = p->now_ms;
        update_send(p, PBFT_MSG_PRE_PREPARE, (int)i, buf_bytes(&p->proposal->wire));
    }
}

static bool has_to_resend(const struct pbft *p)
{
    return p->votes && (p->changing || has_proposal(p) || p->checkpoint_size > p->stable_size);
}

static void resend_check(struct pbft *p)
{
    if (!has_to_resend(p) || !is_due(p, p->resend_ms, p->timing.resend_interval_ms))
        return;
    p->resend_ms = p->now_ms;
    if (p->changing) {
        view_change_send(p, -1, false);
        request_retell(p);
    } else if (has_proposal(p)) {
        vote_resend(p, VOTE_PREPARE, -1);
        vote_resend(p, VOTE_COMMIT, -1);
        if (is_primary(p))
            resend_proposal(p);
    }
    if (p->checkpoint_size > p->stable_size)
        checkpoint_resend(p, -1);
}

/* The primary may never have heard of what waits. */
static uint64_t reforward_at_ms(const struct pbft *p)
{
    if (!p->watch.running || !p->watch.request_set || has_proposal(p) || is_primary(p))
        return UINT64_MAX;
    uint64_t first_ms = p->watch.since_ms + p->timing.view_timeout_ms / 2;
    uint64_t next_ms = p->reforward_ms + p->timing.resend_interval_ms;
    return first_ms > next_ms ? first_ms : next_ms;
}

void timer_check(struct pbft *p)
{
    if (p->key != NULL && is_due(p, p->status_ms, p->timing.status_interval_ms)) {
        p->status_ms = p->now_ms;
        status_send(p, -1);
    }
    resend_check(p);
    if (reforward_at_ms(p) <= p->now_ms)
        request_reforward(p);
    fetch_check(p);
    if (!p->votes || p->failed != 0)
        return;
    if (!p->changing)
        watch_check(p);
    else if (p->change_timer.running && p->now_ms - p->change_timer.since_ms >= view_timeout_ms(p))
        view_change_start(p, p->view + 1);
}

void timer_update(struct pbft *p)
{
    if (p->failed != 0)
        return;
    watch_update(p);
    if (!p->changing || !p->votes) {
        p->change_timer.running = false;
    } else if (!p->change_timer.running && view_change_count(p, p->view) >= p->q) {
        p->change_timer.running = true;
        p->change_timer.since_ms = p->now_ms;
    }
}

static void sooner(uint64_t *deadline_ms, uint64_t at_ms)
{
    if (at_ms < *deadline_ms)
        *deadline_ms = at_ms;
}

uint64_t timer_deadline_ms(struct pbft *p)
{
    uint64_t deadline_ms = UINT64_MAX;
    if (p->key != NULL)
        sooner(&deadline_ms, p->status_ms + p->timing.status_interval_ms);
    if (has_to_resend(p))
        sooner(&deadline_ms, p->resend_ms + p->timing.resend_interval_ms);
    if (p->watch.running && !stands_still(p)) {
        sooner(&deadline_ms, p->watch.since_ms + block_timeout_ms(p));
        if (p->watch.request_set)
            sooner(&deadline_ms, p->watch.request_since_ms + FAIRNESS_FACTOR * block_timeout_ms(p));
    }
    if (p->changing && p->change_timer.running)
        sooner(&deadline_ms, p->change_timer.since_ms + view_timeout_ms(p));
    sooner(&deadline_ms, reforward_at_ms(p));
    sooner(&deadline_ms, fetch_deadline_ms(p));
    sooner(&deadline_ms, propose_deadline_ms(p));
    return deadline_ms > p->now_ms ? deadline_ms : p->now_ms;
}
