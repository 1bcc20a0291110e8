/* The rules (sim.h). A rule is checked where it would be broken first, so that the trace ends close
 * to the reason. */
#include "sim/sim_int.h"

#include <stdio.h>
#include <stdlib.h>

bool sim_grow(void *array, size_t n, size_t *capacity, size_t size)
{
    void **a = array;
    if (n < *capacity)
        return true;
    size_t more = *capacity == 0 ? 64 : 2 * *capacity;
    void *moved = realloc(*a, more * size);
    if (moved == NULL)
        return false;
    *a = moved;
    *capacity = more;
    return true;
}

/* A block became final at a replica. */
void sim_check_block(struct sim *sim, const struct sim_replica *replica,
                     const struct pbft_stored_block *stored)
{
    struct block block;
    if (replica->is_liar)
        return;
    if (block_decode(stored->block, &block) != 0) {
        sim_broken(sim, "validity", "replica %u stores a block that does not decode",
                   replica->index);
        return;
    }
    uint64_t height = block.header.height;
    if (height <= sim->agreed_count) {
        if (!hash_equal(&sim->agreed[height - 1], &block.hash))
            sim_broken(sim, "agreement", "replica %u has another block at height %llu",
                       replica->index, (unsigned long long)height);
        return;
    }
    if (height != sim->agreed_count + 1) {
        sim_broken(sim, "validity", "replica %u skips to height %llu", replica->index,
                   (unsigned long long)height);
        return;
    }
    int64_t latest_us = SIM_WALL_START_US + (int64_t)sim->now_us + SIM_SKEW_MAX_US +
                        (int64_t)sim->timing.time_ahead_ms * 1000;
    if (block.header.time_us > latest_us)
        sim_broken(sim, "validity", "the block at height %llu is from the future",
                   (unsigned long long)height);
    if (!sim_grow(&sim->agreed, sim->agreed_count, &sim->agreed_capacity, sizeof(*sim->agreed))) {
        sim->failed = SEALMQ_E_NOMEM;
        return;
    }
    sim->agreed[sim->agreed_count++] = block.hash;
    sim_sets_add(sim, &block, stored->certificate);
}

static void check_bound(struct sim *sim, const struct sim_replica *replica,
                        const struct msg_vote *m)
{
    const struct choice *choice = &replica->bound.choice;
    if (!replica->bound.set || replica->bound.view != m->view || m->height > choice->height)
        return;
    if (m->height < choice->height || (choice->again && !hash_equal(&choice->header, &m->header)))
        sim_broken(sim, "votes", "replica %u votes at height %llu beside what view %llu began with",
                   replica->index, (unsigned long long)m->height, (unsigned long long)m->view);
}

/* Another honest replica's vote of the same kind, view and height is for another block. */
static void mark_split(struct sim *sim, const struct sim_replica *replica, const struct msg_vote *m)
{
    for (unsigned i = 0; i < sim->n; i++) {
        const struct sim_replica *other = &sim->replicas[i];
        for (size_t k = 0; k < other->said_count && other != replica; k++) {
            const struct sim_said *said = &other->said[k];
            if (said->kind == PBFT_MSG_PREPARE && said->view == m->view &&
                said->height == m->height && !hash_equal(&said->header, &m->header)) {
                sim_mark(sim, SIM_MARK_SPLIT_VOTES);
                return;
            }
        }
    }
}

static void check_vote(struct sim *sim, struct sim_replica *replica, enum pbft_message_kind kind,
                       const struct msg_vote *m)
{
    /* Others' proposals are passed on; a PRE-PREPARE of one's own is a PREPARE. */
    if (sim_member_at(sim, m->height, m->sender) != replica)
        return;
    if (kind == PBFT_MSG_PRE_PREPARE)
        kind = PBFT_MSG_PREPARE;
    for (size_t i = 0; i < replica->said_count; i++) {
        const struct sim_said *said = &replica->said[i];
        if (said->kind != kind || said->view != m->view || said->height != m->height)
            continue;
        if (!hash_equal(&said->header, &m->header))
            sim_broken(sim, "votes", "replica %u votes twice in view %llu at height %llu",
                       replica->index, (unsigned long long)m->view, (unsigned long long)m->height);
        return; /* said again */
    }
    check_bound(sim, replica, m);
    if (kind == PBFT_MSG_PREPARE && sim->result->liars > 0)
        mark_split(sim, replica, m);
    if (m->view < replica->left_below)
        sim_broken(sim, "votes", "replica %u votes in view %llu, which it has left", replica->index,
                   (unsigned long long)m->view);
    if (!sim_grow(&replica->said, replica->said_count, &replica->said_capacity,
                  sizeof(*replica->said))) {
        sim->failed = SEALMQ_E_NOMEM;
        return;
    }
    replica->said[replica->said_count++] = (struct sim_said){kind, m->view, m->height, m->header};
}

/* What it has committed to at the height above the tip it names must be in there. */
static void check_view_change(struct sim *sim, struct sim_replica *replica,
                              const struct msg_view_change *m)
{
    struct certificate c = {0};
    if (m->prepared && certificate_decode(m->prepared_certificate, &c) != 0) {
        sim_broken(sim, "validity", "replica %u sends a malformed certificate", replica->index);
        return;
    }
    for (size_t i = 0; i < replica->said_count; i++) {
        const struct sim_said *said = &replica->said[i];
        if (said->kind != PBFT_MSG_COMMIT || said->view >= m->view || said->height <= m->height)
            continue;
        if (said->height > m->height + 1 || !m->prepared || c.view < said->view ||
            (c.view == said->view && !hash_equal(&c.header, &said->header)))
            sim_broken(
                sim, "votes", "replica %u hides from view %llu that it committed to height %llu",
                replica->index, (unsigned long long)m->view, (unsigned long long)said->height);
    }
    if (m->view > replica->left_below)
        replica->left_below = m->view;
}

/* Its own VIEW-CHANGE in there may be one that it died before sending. */
static void check_new_view(struct sim *sim, struct sim_replica *replica, struct bytes bytes)
{
    struct msg_new_view m;
    struct choice choice;
    if (message_decode_new_view(bytes, &m) != 0 || sim_choice_of(&m, &choice) != 0)
        sim_broken(sim, "validity", "replica %u sends a malformed new view", replica->index);
    else if (sim_member_at(sim, choice.height, m.head.sender) == replica &&
             m.view > replica->left_below)
        replica->left_below = m.view;
}

/* In its own name: others' words are passed on. The sender stands behind version and kind. */
static bool is_promise(const struct sim_replica *replica, const struct pbft_message *message)
{
    enum pbft_message_kind kind = message->kind;
    bool is_own = message->bytes.n > 2 && message->bytes.p[2] == sim_peer_index(replica, replica);
    return is_own &&
           (kind == PBFT_MSG_PREPARE || kind == PBFT_MSG_COMMIT || kind == PBFT_MSG_VIEW_CHANGE ||
            kind == PBFT_MSG_NEW_VIEW || kind == PBFT_MSG_CHECKPOINT);
}

/* An honest replica sends a message. */
void sim_check_message(struct sim *sim, struct sim_replica *replica,
                       const struct pbft_message *message)
{
    struct msg_vote vote;
    struct msg_view_change change;
    if (replica->store.was_lost && is_promise(replica, message))
        sim_broken(sim, "votes", "replica %u votes, though its votes were lost", replica->index);
    switch (message->kind) {
    case PBFT_MSG_PRE_PREPARE:
    case PBFT_MSG_PREPARE:
    case PBFT_MSG_COMMIT:
        if (message_decode_vote(message->bytes, message->kind, &vote) != 0)
            sim_broken(sim, "validity", "replica %u sends a malformed vote", replica->index);
        else
            check_vote(sim, replica, message->kind, &vote);
        break;
    case PBFT_MSG_VIEW_CHANGE:
        if (message_decode_view_change(message->bytes, &change) != 0)
            sim_broken(sim, "validity", "replica %u sends a malformed view change", replica->index);
        else
            check_view_change(sim, replica, &change);
        break;
    case PBFT_MSG_NEW_VIEW:
        check_new_view(sim, replica, message->bytes);
        break;
    default:
        break;
    }
}

bool sim_find_new_view(const struct pbft_event *event, const struct pbft_update *update,
                       struct msg_new_view *out)
{
    if (event->kind == PBFT_EVENT_MESSAGE && event->message.kind == PBFT_MSG_NEW_VIEW)
        return message_decode_new_view(event->message.bytes, out) == 0;
    for (size_t i = 0; i < update->message_count; i++)
        if (update->messages[i].kind == PBFT_MSG_NEW_VIEW)
            return message_decode_new_view(update->messages[i].bytes, out) == 0;
    return false;
}

/* The highest tip counts first, then the highest view in which a block was prepared above it. */
static bool is_stronger(const struct view_change_claim *a, const struct view_change_claim *b)
{
    if (a->height != b->height)
        return a->height > b->height;
    return a->prepared && (!b->prepared || a->prepared_view > b->prepared_view);
}

int sim_choice_of(const struct msg_new_view *m, struct choice *out)
{
    struct view_change_claim claims[VALIDATORS_MAX];
    for (size_t i = 0; i < m->n; i++) {
        const struct msg_view_change *change = &m->view_changes[i];
        struct certificate certificate;
        claims[i] = (struct view_change_claim){.height = change->height};
        claims[i].prepared = change->prepared;
        if (!change->prepared)
            continue;
        int error = certificate_decode(change->prepared_certificate, &certificate);
        if (error != 0)
            return error;
        claims[i].prepared_view = certificate.view;
        claims[i].prepared_header = certificate.header;
    }
    /* Not by the function of the core, for that may be wrong. */
    ASSERT(m->n >= 1);
    const struct view_change_claim *best = &claims[0];
    for (size_t i = 1; i < m->n; i++)
        if (is_stronger(&claims[i], best))
            best = &claims[i];
    *out = (struct choice){.height = best->height + 1, .again = best->prepared};
    out->prepared_view = best->prepared_view;
    out->header = best->prepared_header;
    return 0;
}

void sim_check_entered(struct sim *sim, struct sim_replica *replica, const struct pbft_event *event,
                       const struct pbft_update *update)
{
    struct msg_new_view m;
    struct choice choice;
    for (size_t i = 0; i < update->note_count && !replica->is_liar; i++) {
        if (update->notes[i].kind != PBFT_NOTE_NEW_VIEW)
            continue;
        replica->bound.set = false;
        if (!sim_find_new_view(event, update, &m) || m.view != update->notes[i].value)
            continue;
        if (sim_choice_of(&m, &choice) != 0)
            continue;
        if (m.n < validators_quorum(sim_set_at(sim, choice.height)->n))
            sim_broken(sim, "votes", "replica %u enters view %llu by %zu view changes",
                       replica->index, (unsigned long long)m.view, m.n);
        for (size_t k = 0; k < m.n; k++) {
            const struct sim_replica *sender =
                sim_member_at(sim, choice.height, m.view_changes[k].head.sender);
            if (sender == NULL)
                sim_broken(sim, "votes", "replica %u enters view %llu by a word of nobody",
                           replica->index, (unsigned long long)m.view);
            else if (sender != replica && !sender->is_liar && sender->left_below < m.view)
                sim_broken(sim, "votes", "replica %u enters view %llu by a word that %u never said",
                           replica->index, (unsigned long long)m.view, sender->index);
        }
        replica->bound.set = true;
        replica->bound.view = m.view;
        replica->bound.choice = choice;
    }
}

/* With no more than f liars nobody can be seen to break a rule but them, and nothing happens that
 * would take more. */
void sim_check_note(struct sim *sim, const struct sim_replica *replica,
                    const struct pbft_note *note)
{
    if (note->kind == PBFT_NOTE_MISBEHAVIOUR &&
        (note->peer < 0 || (unsigned)note->peer >= sim->n || !sim->replicas[note->peer].is_liar))
        sim_broken(sim, "evidence", "replica %u notes misbehaviour of %d: %s", replica->index,
                   note->peer, note->words);
}

void sim_check_restart(struct sim *sim, const struct sim_replica *replica)
{
    if (chain_height(replica->chain) < replica->durable_height)
        sim_broken(sim, "durability", "replica %u restarts at height %llu, but had %llu",
                   replica->index, (unsigned long long)chain_height(replica->chain),
                   (unsigned long long)replica->durable_height);
}

int sim_replay(const struct genesis *genesis, const struct sim_store *store, struct chain **out)
{
    int error = chain_new(genesis, out);
    if (error != 0)
        return error;
    for (size_t i = 0; i < store->n && error == 0; i++) {
        struct block block;
        struct certificate certificate;
        error = block_decode(buf_bytes(&store->blocks[i].block), &block);
        if (error == 0)
            error = certificate_decode(buf_bytes(&store->blocks[i].certificate), &certificate);
        if (error == 0)
            error = certificate_verify(&certificate, COMMIT_LABEL, chain_validators(*out),
                                       &genesis->hash);
        if (error == 0 && (certificate.height != i + 1 || block.header.height != i + 1 ||
                           !hash_equal(&certificate.header, &block.hash)))
            error = SEALMQ_E_CORRUPT;
        if (error == 0)
            error = chain_append(*out, &block);
    }
    if (error != 0) {
        chain_free(*out);
        *out = NULL;
    }
    return error;
}

bool sim_check_settled(struct sim *sim, char *what, size_t what_size)
{
    if (!sim_clients_served(sim)) {
        snprintf(what, what_size, "not all requests are executed");
        return false;
    }
    for (unsigned i = 0; i < sim->n; i++) {
        const struct sim_replica *replica = &sim->replicas[i];
        if (replica->is_liar || !sim_is_told(sim, replica))
            continue;
        if (!replica->is_up) {
            snprintf(what, what_size, "replica %u is down", i);
            return false;
        }
        struct pbft_status status;
        pbft_status_get(replica->pbft, &status);
        if (status.height != sim->agreed_count || status.stable_checkpoint != status.height) {
            snprintf(what, what_size,
                     "replica %u: height %llu of %zu, checkpoint %llu, view %llu, %s", i,
                     (unsigned long long)status.height, sim->agreed_count,
                     (unsigned long long)status.stable_checkpoint, (unsigned long long)status.view,
                     status.state);
            return false;
        }
    }
    return true;
}

/* Whether it is one that a client made, and how often it was seen. */
static bool count_request(struct sim *sim, struct bytes wire, uint8_t *seen)
{
    size_t at = 0;
    for (unsigned i = 0; i < sim->gateway_count; i++, at++)
        if (bytes_equal(wire, buf_bytes(&sim->registrations[i])))
            return ++seen[at] == 1;
    for (unsigned i = 0; i < sim->gateway_count; i++)
        for (unsigned k = 0; k < sim->gateways[i].total; k++, at++)
            if (bytes_equal(wire, buf_bytes(&sim->gateways[i].requests[k])))
                return ++seen[at] == 1;
    for (unsigned i = 0; i < sim->change_count; i++, at++)
        if (bytes_equal(wire, buf_bytes(&sim->changes[i].wire)))
            return ++seen[at] == 1;
    return false;
}

static void check_store(struct sim *sim, const struct sim_replica *replica)
{
    struct chain *chain = NULL;
    uint8_t seen[256] = {0};
    int error = sim_replay(&sim->genesis, &replica->store, &chain);
    if (error != 0)
        sim_broken(sim, "validity", "replica %u: the store does not replay: %s", replica->index,
                   sealmq_error_text(error));
    chain_free(chain);
    uint64_t requests = 0;
    for (size_t i = 0; i < replica->store.n; i++) {
        struct block block;
        if (block_decode(buf_bytes(&replica->store.blocks[i].block), &block) != 0)
            continue;
        if (block.request_count == 0)
            sim_broken(sim, "validity", "the block at height %zu is empty", i + 1);
        struct bytes list = block.requests, wire;
        for (; block_requests_next(&list, &wire); requests++)
            if (!count_request(sim, wire, seen))
                sim_broken(sim, "once", "height %zu has a request twice, or an unknown one", i + 1);
    }
    if (requests > sim->result->requests)
        sim->result->requests = requests;
    struct checkpoint checkpoint;
    if (replica->store.checkpoint.n != 0 &&
        sim_check_checkpoint(sim, buf_bytes(&replica->store.checkpoint), &checkpoint) != 0)
        sim_broken(sim, "validity", "replica %u: the checkpoint does not satisfy the policy",
                   replica->index);
}

void sim_check_stores(struct sim *sim)
{
    for (unsigned i = 0; i < sim->n; i++)
        if (!sim->replicas[i].is_liar)
            check_store(sim, &sim->replicas[i]);
}

/* Chains of honest replicas at the end. */
void sim_check_receipts(struct sim *sim)
{
    for (unsigned i = 0; i < sim->n; i++) {
        const struct sim_replica *replica = &sim->replicas[i];
        bool has_all = !replica->is_liar && replica->is_up && sim_is_told(sim, replica);
        for (size_t k = 0; k < sim->receipt_count && has_all; k++) {
            const struct sim_receipt *receipt = &sim->receipts[k];
            struct hash root = {0};
            if (receipt->size <= chain_height(replica->chain) + 1)
                merkle_log_root(chain_log(replica->chain), receipt->size, &root);
            if (!hash_equal(&root, &receipt->root))
                sim_broken(sim, "receipts",
                           "replica %u does not have what a receipt of size %llu "
                           "says",
                           i, (unsigned long long)receipt->size);
        }
    }
}
