/* The rules (sim.h). A rule is checked where it would be broken first, so that the trace ends close
 * to the reason. */
#include "sim/sim_int.h"

#include <stdio.h>
#include <stdlib.h>

static bool grow(void *array, size_t n, size_t *capacity, size_t size)
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
void sim_check_block(struct sim *sim, const struct sim_replica *replica, struct bytes wire)
{
    struct block block;
    if (replica->is_liar)
        return;
    if (block_decode(wire, &block) != 0) {
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
    if (!grow(&sim->agreed, sim->agreed_count, &sim->agreed_capacity, sizeof(*sim->agreed))) {
        sim->failed = SEALMQ_E_NOMEM;
        return;
    }
    sim->agreed[sim->agreed_count++] = block.hash;
}

static void check_vote(struct sim *sim, struct sim_replica *replica, enum pbft_message_kind kind,
                       const struct msg_vote *m)
{
    /* Others' proposals are passed on; a PRE-PREPARE of one's own is a PREPARE. */
    if (m->sender != (int)replica->index)
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
    if (m->view < replica->left_below)
        sim_broken(sim, "votes", "replica %u votes in view %llu, which it has left", replica->index,
                   (unsigned long long)m->view);
    if (!grow(&replica->said, replica->said_count, &replica->said_capacity,
              sizeof(*replica->said))) {
        sim->failed = SEALMQ_E_NOMEM;
        return;
    }
    replica->said[replica->said_count++] = (struct sim_said){kind, m->view, m->height, m->header};
}

/* An honest replica sends a message. */
void sim_check_message(struct sim *sim, struct sim_replica *replica,
                       const struct pbft_message *message)
{
    struct msg_vote vote;
    struct msg_view_change change;
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
        else if (change.view > replica->left_below)
            replica->left_below = change.view;
        break;
    default:
        break;
    }
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
        if (replica->is_liar)
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
    struct policy *policy = NULL;
    struct buf text = {0};
    unsigned line;
    char why[128];
    if (replica->store.checkpoint.n != 0) {
        struct checkpoint checkpoint;
        error = policy_format(sim->genesis.network, &sim->genesis.validators, &text);
        if (error == 0)
            error = policy_parse(buf_bytes(&text), &policy, &line, why, sizeof(why));
        if (error == 0)
            error =
                policy_check_note(policy, buf_bytes(&replica->store.checkpoint), &checkpoint, NULL);
        if (error != 0)
            sim_broken(sim, "validity",
                       "replica %u: the checkpoint does not satisfy the policy: %s", replica->index,
                       sealmq_error_text(error));
    }
    policy_free(policy);
    buf_close(&text);
}

void sim_check_stores(struct sim *sim)
{
    for (unsigned i = 0; i < sim->n; i++)
        if (!sim->replicas[i].is_liar)
            check_store(sim, &sim->replicas[i]);
}
