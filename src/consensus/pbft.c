/* The step function: an event in, the phases looked at until nothing changes any more, an update
 * out. Each phase lives in a file of its own and looks at the state as it is, so that the order in
 * which messages come does not matter. */
#include "consensus/pbft_int.h"

#include <stdlib.h>

void pbft_timing_default(struct pbft_timing *out)
{
    *out = (struct pbft_timing){.view_timeout_ms = 1000,
                                .view_timeout_max_ms = 30000,
                                .status_interval_ms = 500,
                                .resend_interval_ms = 500,
                                .time_ahead_ms = 60000,
                                .batch_ms = 0,
                                .nonce_tries_per_ms = 1000};
}

void peer_heard(struct pbft *p, int index)
{
    p->peers[index].heard = true;
    p->peers[index].heard_ms = p->now_ms;
}

void peer_claims_height(struct pbft *p, int index, uint64_t tip)
{
    if (tip > p->peers[index].height)
        p->peers[index].height = tip;
}

uint64_t peers_height(const struct pbft *p)
{
    uint64_t best = 0;
    for (size_t i = 0; i < p->n; i++) {
        uint64_t height = p->peers[i].height;
        if ((int)i == p->self || height <= best)
            continue;
        size_t others = 0;
        for (size_t j = 0; j < p->n; j++)
            others += (int)j != p->self && p->peers[j].height >= height;
        if (others >= p->f + 1)
            best = height;
    }
    return best;
}

int pbft_new(const struct pbft_options *options, struct pbft **out)
{
    *out = NULL;
    struct pbft *p = calloc(1, sizeof(*p));
    if (p == NULL)
        return SEALMQ_E_NOMEM;
    p->chain = options->chain;
    p->mempool = options->mempool;
    p->all_keys[0] = (struct pbft_keys){options->key, options->log_key, options->cosigner_key};
    if (options->next_keys != NULL)
        p->all_keys[1] = *options->next_keys;
    p->timing = options->timing;
    p->message_bytes_max =
        options->message_bytes_max != 0 ? options->message_bytes_max : 4u * 1024 * 1024;
    p->may_vote = options->may_vote;
    p->now_ms = options->now_ms != 0 ? options->now_ms : 1;
    p->self = -1;
    p->may_select = p->watch.look = p->checkpoint_due = true;
    int error = bytes_to_cstr(bytes_str(options->id), p->id, sizeof(p->id));
    if (error == 0 && (p->selected = calloc(BLOCK_REQUESTS_MAX, sizeof(*p->selected))) == NULL)
        error = SEALMQ_E_NOMEM;
    if (error == 0) {
        members_reload(p);
        error = p->failed;
    }
    if (error == 0) {
        buf_append_bytes(&p->tip_certificate, options->tip_certificate);
        error = buf_status(&p->tip_certificate);
    }
    if (error == 0)
        error = persist_load(p, options->slots);
    if (error != 0) {
        pbft_free(p);
        return error;
    }
    *out = p;
    return 0;
}

void pbft_free(struct pbft *p)
{
    if (p == NULL)
        return;
    struct proposal **const held[] = {&p->proposal,          &p->candidate,
                                      &p->buffered,          &p->prepared.proposal,
                                      &p->new_view.proposal, &p->view_change_block};
    for (size_t i = 0; i < sizeof(held) / sizeof(held[0]); i++)
        proposal_release(p, held[i]);
    update_close(p);
    fetch_close(p);
    members_close(p);
    buf_close(&p->tip_certificate);
    buf_close(&p->prepared.certificate);
    buf_close(&p->view_change);
    work_drop(p);
    buf_close(&p->new_view.wire);
    free(p->selected);
    free(p);
}

static void receive(struct pbft *p, enum pbft_message_kind kind, struct bytes bytes, int peer)
{
    switch (kind) {
    case PBFT_MSG_REQUEST: {
        int error = request_event(p, bytes, false);
        if (error != 0 && error != SEALMQ_E_EXISTS && error != SEALMQ_E_REPLAY)
            update_note(p, PBFT_NOTE_REFUSED, peer, error, 0, "request");
        break;
    }
    case PBFT_MSG_PRE_PREPARE:
        pre_prepare_receive(p, bytes);
        break;
    case PBFT_MSG_PREPARE:
        vote_receive(p, VOTE_PREPARE, bytes);
        break;
    case PBFT_MSG_COMMIT:
        vote_receive(p, VOTE_COMMIT, bytes);
        break;
    case PBFT_MSG_CHECKPOINT:
        checkpoint_receive(p, bytes);
        break;
    case PBFT_MSG_VIEW_CHANGE:
        view_change_receive(p, bytes);
        break;
    case PBFT_MSG_NEW_VIEW:
        new_view_receive(p, bytes);
        break;
    case PBFT_MSG_STATUS:
        status_receive(p, bytes);
        break;
    case PBFT_MSG_FETCH:
        fetch_receive(p, bytes);
        break;
    case PBFT_MSG_BLOCKS:
        blocks_receive(p, bytes, peer);
        break;
    default:
        update_note(p, PBFT_NOTE_REFUSED, peer, SEALMQ_E_TYPE, 0, "kind of message");
        break;
    }
}

static void look_at_phases(struct pbft *p)
{
    do {
        p->again = false;
        new_view_resume(p);
        pre_prepare_resume(p);
        propose(p);
        prepare_check(p);
        commit_check(p);
        view_change_check(p);
        new_view_check(p);
    } while (p->again && p->failed == 0);
}

static int take_event(struct pbft *p, const struct pbft_event *event)
{
    switch (event->kind) {
    case PBFT_EVENT_MESSAGE:
        receive(p, event->message.kind, event->message.bytes, event->message.peer);
        return 0;
    case PBFT_EVENT_REQUEST:
        return request_event(p, event->request, true);
    case PBFT_EVENT_VERIFIED:
        pre_prepare_verified(p, &event->verified.header, event->verified.valid);
        return 0;
    case PBFT_EVENT_SERVED:
        blocks_serve(p, event->served.peer, event->served.blocks, event->served.n);
        return 0;
    case PBFT_EVENT_CONNECTED:
        if (event->peer >= 0 && (size_t)event->peer < p->n)
            status_send(p, event->peer);
        return 0;
    case PBFT_EVENT_TICK:
        return 0;
    }
    return SEALMQ_E_ARG;
}

int pbft_step(struct pbft *p, const struct pbft_event *event, struct pbft_update *update)
{
    update_begin(p);
    if (event->now_ms > p->now_ms)
        p->now_ms = event->now_ms;
    p->wall_us = event->wall_us;
    p->proposed_this_step = false;
    p->work.may_try = event->kind == PBFT_EVENT_TICK;
    int error = p->failed;
    if (p->failed == 0)
        error = take_event(p, event);
    if (p->failed == 0)
        look_at_phases(p);
    if (p->failed == 0)
        timer_check(p);
    if (p->failed == 0 && p->again)
        look_at_phases(p);
    if (p->failed == 0) {
        checkpoint_sign_tip(p);
        checkpoint_check(p);
        timer_update(p);
    }
    update_end(p, update);
    return p->failed != 0 ? p->failed : error;
}

void pbft_keep(struct pbft *p, uint64_t lowest)
{
    p->keeps = lowest;
}

void pbft_hold(struct pbft *p, bool is_held)
{
    p->is_held = is_held;
}

static void show_peers(const struct pbft *p, struct pbft_status *out)
{
    uint64_t window_ms = (uint64_t)p->timing.status_interval_ms * STATUS_MISSED;
    out->peer_count = p->n;
    for (size_t i = 0; i < p->n; i++) {
        const struct peer *peer = &p->peers[i];
        out->peers[i].height = peer->height;
        out->peers[i].keeps = peer->keeps;
        out->peers[i].is_heard =
            (int)i != p->self && peer->heard && p->now_ms - peer->heard_ms <= window_ms;
    }
}

void pbft_status_get(const struct pbft *p, struct pbft_status *out)
{
    *out = (struct pbft_status){.height = tip_height(p), .view = p->view, .votes = p->votes};
    out->primary = primary_of(p, p->view);
    out->stable_checkpoint = p->stable_size == 0 ? 0 : p->stable_size - 1;
    out->peers_height = peers_height(p);
    out->waiting_requests = mempool_count(p->mempool);
    show_peers(p, out);
    if (!p->votes)
        out->state = "following";
    else if (p->changing)
        out->state = "changing";
    else if (p->proposal == NULL || p->proposal->view != p->view)
        out->state = "idle";
    else
        out->state = p->prepared.set && p->prepared.view == p->view ? "prepared" : "proposed";
}
