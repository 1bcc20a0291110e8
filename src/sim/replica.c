/* One replica: the host of a production core, which carries out its updates as the contract in
 * consensus/pbft.h says, and may die at every point of that. */
#include "sim/sim_int.h"

static uint64_t clock_ms(const struct sim *sim, const struct sim_replica *replica)
{
    return (sim->now_us - replica->clock_start_us) / 1000 + 1;
}

/* What a disk may do to a machine that has died: the store is gone, or a slot comes back torn. */
static bool damage_store(struct sim *sim, struct sim_replica *replica)
{
    if (sim->disk_faults == 0 || replica->life == 0 || replica->store.was_lost ||
        sim_random_below(&sim->random, 3) != 0)
        return false;
    /* Slots of one who has no votes at its height say nothing, and are not looked at. */
    if (sim_random_below(&sim->random, 2) == 0)
        return sim_is_validator(sim, replica->store.n + 1, replica) &&
               sim_store_tear(&replica->store, &sim->random);
    sim_trace(sim, "%u has lost its store", replica->index);
    sim->disk_faults--;
    sim_store_close(&replica->store);
    replica->store = (struct sim_store){.was_lost = true};
    replica->durable_height = 0;
    return false;
}

static int make_core(struct sim *sim, struct sim_replica *replica)
{
    struct pbft_keys next = {&replica->next_key, &replica->next_log_key,
                             &replica->next_cosigner_key};
    struct pbft_options options = {
        .chain = replica->chain,
        .mempool = replica->mempool,
        .id = replica->who.id,
        .key = &replica->key,
        .log_key = &replica->log_key,
        .cosigner_key = &replica->cosigner_key,
        .next_keys = sim->has_membership ? &next : NULL,
        .timing = sim->timing,
        .may_vote = !replica->store.was_lost,
        .message_bytes_max = 8192, /* so that catching up takes several messages */
        .now_ms = clock_ms(sim, replica),
    };
    for (size_t i = 0; i < PBFT_SLOTS; i++)
        options.slots[i] = buf_bytes(&replica->store.slots[i]);
    if (replica->store.n > 0)
        options.tip_certificate =
            buf_bytes(&replica->store.blocks[replica->store.n - 1].certificate);
    return pbft_new(&options, &replica->pbft);
}

/* A torn slot must be noticed. Who runs the machine then lets it follow without its votes. */
static int start_torn(struct sim *sim, struct sim_replica *replica)
{
    int error = make_core(sim, replica);
    if (error == SEALMQ_E_NOMEM)
        return error;
    if (error == 0)
        sim_broken(sim, "durability", "replica %u starts with a torn slot", replica->index);
    pbft_free(replica->pbft);
    replica->pbft = NULL;
    sim_mark(sim, SIM_MARK_SLOT_TORN);
    sim->disk_faults--;
    sim_store_drop_slots(&replica->store);
    replica->store.was_lost = true;
    return 0;
}

int sim_replica_start(struct sim *sim, struct sim_replica *replica)
{
    ASSERT(!replica->is_up);
    bool is_torn = damage_store(sim, replica);
    int error = sim_replay(&sim->genesis, &replica->store, &replica->chain);
    if (error != 0)
        return error;
    error = mempool_new(&replica->mempool);
    replica->life++;
    replica->clock_start_us = sim->now_us;
    replica->tick_us = 0;
    if (error == 0 && is_torn)
        error = start_torn(sim, replica);
    if (error == 0)
        error = make_core(sim, replica);
    replica->is_up = true;
    if (error != 0)
        return error;
    sim_marks_start(sim, replica);
    sim_check_restart(sim, replica);
    sim_trace(sim, "%u starts at height %zu", replica->index, replica->store.n);
    sim_put(sim, (struct sim_event){.at_us = sim->now_us,
                                    .kind = SIM_TICK,
                                    .to = replica->index,
                                    .life = replica->life});
    for (unsigned i = 0; i < sim->n; i++)
        if (sim->replicas[i].is_up && i != replica->index)
            sim_connected(sim, replica->index, i);
    return 0;
}

void sim_replica_stop(struct sim_replica *replica)
{
    pbft_free(replica->pbft);
    mempool_free(replica->mempool);
    chain_free(replica->chain);
    replica->pbft = NULL;
    replica->mempool = NULL;
    replica->chain = NULL;
    replica->is_up = false;
}

void sim_replica_close(struct sim_replica *replica)
{
    sim_replica_stop(replica);
    sim_store_close(&replica->store);
    buf_close(&replica->stale);
    buf_close(&replica->view_change);
}

void sim_replica_crash(struct sim *sim, struct sim_replica *replica, const char *when)
{
    sim_trace(sim, "%u crashes %s", replica->index, when);
    sim->result->crashes++;
    sim_replica_stop(replica);
    if (sim_random_below(&sim->random, 2) == 0) { /* the machine, not the process alone */
        sim_store_lose_unsynced(&replica->store);
        replica->durable_height = replica->store.n;
    }
    sim_marks_stop(sim);
    uint64_t most_us = sim_random_below(&sim->random, 2) == 0 ? 100000 : 4000000;
    uint64_t down_us = sim_random_between(&sim->random, 1000, most_us);
    sim_put(sim, (struct sim_event){
                     .at_us = sim->now_us + down_us, .kind = SIM_RESTART, .to = replica->index});
}

static void send_message(struct sim *sim, struct sim_replica *replica,
                         const struct pbft_message *message, struct sim_payload *payload,
                         unsigned to)
{
    if (replica->is_liar) {
        sim_lie(sim, replica, message, to);
        return;
    }
    payload->refs++;
    sim_send(sim, replica->index, to, payload);
}

/* The replica that the core calls so; NULL: nobody any more. */
static const struct sim_replica *replica_of(const struct sim *sim,
                                            const struct sim_replica *replica, int peer)
{
    const char *id = pbft_peer_id(replica->pbft, peer);
    for (unsigned i = 0; i < sim->n && id != NULL; i++)
        if (strcmp(sim->replicas[i].who.id, id) == 0)
            return &sim->replicas[i];
    return NULL;
}

static void send_messages(struct sim *sim, struct sim_replica *replica,
                          const struct pbft_update *update, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        const struct pbft_message *message = &update->messages[i];
        struct sim_payload *payload;
        if (!replica->is_liar)
            sim_check_message(sim, replica, message);
        if (sim_payload_new(message->kind, message->bytes, &payload) != 0) {
            sim->failed = SEALMQ_E_NOMEM;
            return;
        }
        const struct sim_replica *only = replica_of(sim, replica, message->to);
        if (only != NULL)
            send_message(sim, replica, message, payload, only->index);
        for (unsigned to = 0; to < sim->n && message->to < 0; to++)
            if (to != replica->index && sim_peer_index(replica, &sim->replicas[to]) >= 0)
                send_message(sim, replica, message, payload, to);
        sim_payload_release(payload);
    }
}

/* What the host's own threads would do: check every signature, then say so. */
static void verify(struct sim *sim, struct sim_replica *replica, const struct pbft_update *update)
{
    struct block block;
    bool valid = block_decode(update->verify_block, &block) == 0;
    struct bytes list = valid ? block.requests : (struct bytes){0};
    struct bytes wire;
    while (valid && block_requests_next(&list, &wire)) {
        struct request request;
        valid = request_decode(wire, &request) == 0 &&
                chain_check_signatures(replica->chain, &request) == 0;
    }
    uint64_t at_us = sim->now_us + sim_random_below(&sim->random, 5000);
    sim_put(sim, (struct sim_event){.at_us = at_us,
                                    .kind = SIM_VERIFIED,
                                    .to = replica->index,
                                    .life = replica->life,
                                    .header = update->verify_header,
                                    .valid = valid});
}

static void trace_notes(struct sim *sim, const struct sim_replica *replica,
                        const struct pbft_update *update)
{
    for (size_t i = 0; i < update->note_count; i++) {
        const struct pbft_note *note = &update->notes[i];
        static const char *const kinds[] = {
            [PBFT_NOTE_VIEW_CHANGE] = "view change", [PBFT_NOTE_NEW_VIEW] = "new view",
            [PBFT_NOTE_REFUSED] = "refused",         [PBFT_NOTE_MISBEHAVIOUR] = "misbehaviour",
            [PBFT_NOTE_BEHIND] = "behind",           [PBFT_NOTE_CAUGHT_UP] = "caught up",
            [PBFT_NOTE_REQUEST_DROPPED] = "dropped",
        };
        if (note->kind == PBFT_NOTE_VIEW_CHANGE)
            sim->result->view_changes++;
        if (!replica->is_liar)
            sim_check_note(sim, replica, note);
        sim_trace(sim, "%u notes: %s, of %d, %s, %llu %s", replica->index, kinds[note->kind],
                  note->peer, sealmq_error_name(note->error), (unsigned long long)note->value,
                  note->words != NULL ? note->words : "");
    }
}

static bool persist(struct sim *sim, struct sim_replica *replica, const struct pbft_update *update)
{
    int error = sim_store_apply(&replica->store, update);
    if (error != 0) {
        sim->failed = error;
        return false;
    }
    for (size_t i = 0; i < update->block_count; i++)
        sim_check_block(sim, replica, &update->blocks[i]);
    if (update->block_count > 0)
        sim_trace(sim, "%u has height %zu", replica->index, replica->store.n);
    replica->durable_height = replica->store.n;
    if (update->checkpoint.n != 0)
        sim_clients_receipt(sim, replica, update->checkpoint);
    return true;
}

static void schedule_tick(struct sim *sim, struct sim_replica *replica, uint64_t deadline_ms)
{
    if (deadline_ms == UINT64_MAX)
        return;
    uint64_t at_us = replica->clock_start_us + (deadline_ms - 1) * 1000;
    if (at_us < sim->now_us + 100)
        at_us = sim->now_us + 100;
    if (replica->tick_us > sim->now_us && replica->tick_us <= at_us)
        return;
    replica->tick_us = at_us;
    sim_put(sim,
            (struct sim_event){
                .at_us = at_us, .kind = SIM_TICK, .to = replica->index, .life = replica->life});
}

static void carry_out(struct sim *sim, struct sim_replica *replica, const struct pbft_event *event,
                      const struct pbft_update *update)
{
    /* Where something is written, something is to be lost. */
    uint32_t chance = update->write_count > 0 ? 8 * sim->crash : sim->crash;
    for (size_t i = 0; i < update->write_count; i++)
        if (update->writes[i].slot == PBFT_SLOT_NEW_VIEW)
            chance = 30 * sim->crash;
    bool dies = !sim->is_healed && !replica->is_liar && sim_random_chance(&sim->random, chance);
    uint64_t point = dies ? sim_random_below(&sim->random, 3) : 3;
    trace_notes(sim, replica, update);
    if (point == 0) {
        sim_replica_crash(sim, replica, "before its writes");
        return;
    }
    if (!persist(sim, replica, update))
        return;
    sim_check_entered(sim, replica, event, update);
    if (point == 1) {
        sim_marks_crash(sim, update);
        sim_replica_crash(sim, replica, "after its writes");
        return;
    }
    size_t count = update->message_count;
    if (point == 2)
        count = (size_t)sim_random_below(&sim->random, count + 1);
    send_messages(sim, replica, update, count);
    if (point == 2) {
        sim_replica_crash(sim, replica, "while it sends");
        return;
    }
    sim_marks_step(sim, replica, event, update);
    if (update->verify_block.n != 0)
        verify(sim, replica, update);
    if (update->serve.count != 0)
        sim_put(sim, (struct sim_event){.at_us = sim->now_us + 200,
                                        .kind = SIM_SERVE,
                                        .to = replica->index,
                                        .from = (unsigned)update->serve.peer,
                                        .life = replica->life,
                                        .height = update->serve.from,
                                        .count = update->serve.count});
    schedule_tick(sim, replica, update->deadline_ms);
}

void sim_replica_step(struct sim *sim, struct sim_replica *replica, struct pbft_event *event)
{
    struct pbft_update update;
    event->now_ms = clock_ms(sim, replica);
    event->wall_us = SIM_WALL_START_US + (int64_t)sim->now_us + replica->wall_skew_us;
    sim->result->steps++;
    int error = pbft_step(replica->pbft, event, &update);
    if (error == SEALMQ_E_NOMEM) {
        sim->failed = error;
        return;
    }
    carry_out(sim, replica, event, &update);
}

static void serve(struct sim *sim, struct sim_replica *replica, const struct sim_event *event)
{
    struct pbft_stored_block blocks[64];
    size_t n = 0;
    for (uint64_t h = event->height; n < event->count && n < 64 && h <= replica->store.n;
         h++, n++) {
        const struct sim_stored *stored = &replica->store.blocks[h - 1];
        blocks[n].block = buf_bytes(&stored->block);
        blocks[n].certificate = buf_bytes(&stored->certificate);
    }
    struct pbft_event step = {.kind = PBFT_EVENT_SERVED};
    step.served.peer = (int)event->from;
    step.served.blocks = blocks;
    step.served.n = n;
    sim_replica_step(sim, replica, &step);
}

/* Requests' signatures are checked by the host before the core sees them. */
static bool may_pass(const struct sim_replica *replica, const struct sim_payload *payload)
{
    struct request request;
    return payload->kind != PBFT_MSG_REQUEST ||
           (request_decode(bytes_of(payload->bytes, payload->n), &request) == 0 &&
            chain_check_signatures(replica->chain, &request) == 0);
}

void sim_replica_event(struct sim *sim, const struct sim_event *event)
{
    struct sim_replica *replica = &sim->replicas[event->to];
    if (!replica->is_up || (event->kind != SIM_DELIVER && event->life != replica->life))
        return;
    struct pbft_event step = {.kind = PBFT_EVENT_TICK};
    switch (event->kind) {
    case SIM_SERVE:
        serve(sim, replica, event);
        return;
    case SIM_VERIFIED:
        step.kind = PBFT_EVENT_VERIFIED;
        step.verified.header = event->header;
        step.verified.valid = event->valid;
        break;
    case SIM_DELIVER:
        sim_liars_hear(sim, replica, event->payload);
        if (!may_pass(replica, event->payload))
            return;
        step.kind = PBFT_EVENT_MESSAGE;
        step.message.kind = event->payload->kind;
        step.message.bytes = bytes_of(event->payload->bytes, event->payload->n);
        step.message.peer = sim_peer_index(replica, &sim->replicas[event->from]);
        break;
    default:
        if (replica->tick_us == event->at_us)
            replica->tick_us = 0;
        break;
    }
    sim_replica_step(sim, replica, &step);
}
