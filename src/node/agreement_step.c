/* One event to the core, and all that follows from it: durable first, then sent, then acted on. */
#include "base/assert.h"
#include "base/log.h"
#include "node/agreement_int.h"

#include <stdio.h>
#include <time.h>

#define COMPONENT      "agreement"
#define DISK_RETRY_S   1
#define DISK_LOG_EVERY 30 /* tries */
#define UNSYNCED_MS    400
#define HEAD_MS        100 /* between two heads that are published */

uint64_t agreement_now_ms(void)
{
    return uv_hrtime() / 1000000;
}

int64_t agreement_wall_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

static const char *validator_name(const struct agreement *agreement, int validator)
{
    const char *id = pbft_peer_id(agreement->pbft, validator);
    return id != NULL ? id : "?";
}

/* ---- step 1 of the contract: durable ---- */

static bool is_at_snapshot(const struct agreement *agreement, const struct pbft_update *update)
{
    return update->block_count != 0 && chain_height(agreement->chain) % SNAPSHOT_INTERVAL == 0;
}

static int put_all(struct agreement *agreement, const struct pbft_update *update,
                   uint64_t checkpoint_size)
{
    int error = 0;
    for (size_t i = 0; error == 0 && i < update->block_count; i++)
        error = block_store_put_block(agreement->store, update->blocks[i].block,
                                      update->blocks[i].certificate);
    /* The core ends its step at such a height, so that this is the state after that very block. */
    if (error == 0 && is_at_snapshot(agreement, update))
        error = block_store_put_snapshot(agreement->store, agreement->chain);
    if (error == 0 && update->checkpoint.n != 0)
        error = block_store_put_checkpoint(agreement->store, checkpoint_size, update->checkpoint);
    for (size_t i = 0; error == 0 && i < update->write_count; i++)
        error = block_store_put_slot(agreement->store, (int)update->writes[i].slot,
                                     update->writes[i].bytes);
    return error;
}

/* Of the log of headers only the newest part stays in memory; paths of older ones are read. */
static void forget_log(struct agreement *agreement)
{
    uint64_t height = chain_height(agreement->chain);
    pthread_rwlock_wrlock(&agreement->chain_lock);
    chain_forget_log(agreement->chain, height - SNAPSHOT_INTERVAL + 1);
    pthread_rwlock_unlock(&agreement->chain_lock);
}

static int persist_once(struct agreement *agreement, const struct pbft_update *update,
                        uint64_t checkpoint_size)
{
    bool is_lazy = !update->must_be_durable && !is_at_snapshot(agreement, update);
    int error =
        is_lazy ? block_store_begin_lazy(agreement->store) : block_store_begin(agreement->store);
    if (error != 0)
        return error;
    error = put_all(agreement, update, checkpoint_size);
    if (error == 0)
        error = block_store_commit(agreement->store);
    if (error != 0)
        block_store_rollback(agreement->store);
    else if (!is_lazy)
        agreement->unsynced_ms = 0;
    else if (agreement->unsynced_ms == 0)
        agreement->unsynced_ms = agreement_now_ms();
    return error;
}

/* What waits for the next durable write does not wait for ever, where none comes. */
static void sync_in_time(struct agreement *agreement)
{
    if (agreement->unsynced_ms == 0 || agreement_now_ms() - agreement->unsynced_ms < UNSYNCED_MS)
        return;
    int error = block_store_sync(agreement->store);
    if (error == 0)
        agreement->unsynced_ms = 0;
    else
        log_warn(COMPONENT, "the block store cannot be synced: %s", sealmq_error_text(error));
}

/* Returns when it is written, and durable where it must be; with an error only when the node is
 * stopping. */
static int persist(struct agreement *agreement, const struct pbft_update *update)
{
    if (update->write_count == 0 && update->block_count == 0 && update->checkpoint.n == 0)
        return 0;
    uint64_t checkpoint_size = 0;
    if (update->checkpoint.n != 0) {
        struct checkpoint checkpoint;
        struct bytes text, lines;
        int error = checkpoint_parse(update->checkpoint, &checkpoint, &text, &lines);
        ASSERT(error == 0); /* the core made it */
        checkpoint_size = checkpoint.size;
    }
    for (unsigned tries = 0;; tries++) {
        int error = persist_once(agreement, update, checkpoint_size);
        if (error == 0) {
            if (is_at_snapshot(agreement, update))
                forget_log(agreement);
            if (tries != 0)
                log_info(COMPONENT, "the block store can be written again; the chain goes on");
            agreement->shown.disk_waiting = false;
            return 0;
        }
        if (tries % DISK_LOG_EVERY == 0)
            log_error(COMPONENT,
                      "the block store cannot be written (%s); the chain waits for this node's "
                      "disk, and tries every second",
                      sealmq_error_text(error));
        agreement->shown.disk_waiting = true;
        agreement_show_status(agreement);
        if (atomic_load(&agreement->is_stopping))
            return error;
        nanosleep(&(struct timespec){.tv_sec = DISK_RETRY_S}, NULL);
    }
}

/* ---- step 3: new blocks, checkpoints, notes ---- */

static void take_block(struct agreement *agreement, struct bytes wire)
{
    struct block block;
    int error = block_decode(wire, &block);
    ASSERT(error == 0); /* the core checked it */
    struct bytes list = block.requests, request_wire;
    uint64_t records = 0;
    while (block_requests_next(&list, &request_wire)) {
        struct request request;
        struct bytes leaf;
        error = request_leaf_of(request_wire, &leaf);
        if (error == 0) /* what travels beside it is not needed here */
            error = request_decode_leaf(leaf, &request);
        ASSERT(error == 0);
        if (request.kind == REQUEST_DATA)
            records += request.data.record_count;
        else
            members_took(agreement, &request);
    }
    agreement->shown.requests_total += block.request_count;
    agreement->shown.records_total += records;
    error = receipts_block(agreement->receipts, &block);
    if (error != 0)
        log_error(COMPONENT, "receipts of block %llu are lost to this node's clients: %s",
                  (unsigned long long)block.header.height, sealmq_error_text(error));
    log_debug(COMPONENT, "block %llu is final: %u requests, %llu records, proposed by %s",
              (unsigned long long)block.header.height, block.request_count,
              (unsigned long long)records, block.header.proposer);
}

static void hand_out(void *context, const struct receipt *receipt)
{
    struct agreement *agreement = context;
    agreement->shown.receipts_total++;
    agreement->options.receipt(agreement->options.context, receipt);
}

static int prove_header(void *context, uint64_t height, uint64_t size, struct merkle_path *out)
{
    struct agreement *agreement = context;
    const struct merkle_log *log = chain_log(agreement->chain);
    if (height < log->base)
        return block_store_prove_log(agreement->store, height, size, out, NULL);
    merkle_log_prove(log, height, size, out);
    return 0;
}

/* Gives receipts for all that the newest checkpoint covers. */
void agreement_hand_out_receipts(struct agreement *agreement)
{
    if (agreement->checkpoint_size == 0)
        return;
    const struct receipts_log log = {prove_header, agreement};
    int error = receipts_checkpoint(agreement->receipts, &log, agreement->checkpoint_size,
                                    buf_bytes(&agreement->checkpoint), hand_out, agreement);
    if (error != 0)
        log_error(COMPONENT, "receipts wait: %s", sealmq_error_text(error));
}

static void on_head(uv_timer_t *timer)
{
    agreement_publish_head(timer->data);
}

/* At once, or when the last one is long enough ago: who reads heads does not need each, and a
 * retained message has to be kept on disk. */
static void publish_head_soon(struct agreement *agreement)
{
    uint64_t since_ms = agreement_now_ms() - agreement->head_ms;
    if (since_ms >= HEAD_MS)
        agreement_publish_head(agreement);
    else if (!uv_is_active((uv_handle_t *)&agreement->head))
        uv_timer_start(&agreement->head, on_head, HEAD_MS - since_ms, 0);
}

void agreement_publish_head(struct agreement *agreement)
{
    if (agreement->checkpoint_size == 0)
        return;
    agreement->head_ms = agreement_now_ms();
    char topic[NETWORK_MAX + 16];
    snprintf(topic, sizeof topic, "%shead", agreement->topic_prefix);
    agreement->options.publish(agreement->options.context, topic, buf_bytes(&agreement->checkpoint),
                               true);
}

static void take_checkpoint(struct agreement *agreement, struct bytes note)
{
    struct checkpoint checkpoint;
    struct bytes text, lines;
    int error = checkpoint_parse(note, &checkpoint, &text, &lines);
    ASSERT(error == 0);
    pthread_rwlock_wrlock(&agreement->chain_lock);
    buf_reset(&agreement->checkpoint);
    buf_append_bytes(&agreement->checkpoint, note);
    bool is_there = buf_status(&agreement->checkpoint) == 0;
    agreement->checkpoint_size = is_there ? checkpoint.size : 0;
    pthread_rwlock_unlock(&agreement->chain_lock);
    if (!is_there)
        return;
    agreement_show_status(agreement); /* whoever gets a receipt may ask for the height */
    agreement_hand_out_receipts(agreement);
    publish_head_soon(agreement);
}

void agreement_blame(struct agreement *agreement, int validator, int error, const char *words)
{
    const char *who = validator_name(agreement, validator);
    agreement->shown.bad_messages_total++;
    pthread_mutex_lock(&agreement->lock);
    offences_count(&agreement->offences, validator >= 0 ? who : "", error);
    pthread_mutex_unlock(&agreement->lock);
    refusals_log(&agreement->refusals, agreement_now_ms(), COMPONENT,
                 "refused a message from %s: %s (%s)", who, sealmq_error_text(error), words);
}

void agreement_offences_get(struct agreement *agreement, struct offences *out)
{
    pthread_mutex_lock(&agreement->lock);
    *out = agreement->offences;
    pthread_mutex_unlock(&agreement->lock);
}

/* `via`: the validator whose link brought what the note is about, or -1. What cannot be read, or
 * was not signed by who it names, is that one's doing. */
static void take_note(struct agreement *agreement, const struct pbft_note *note, int via)
{
    const char *peer = validator_name(agreement, note->peer);
    const char *words = note->words != NULL ? note->words : "";
    unsigned long long value = note->value;
    switch (note->kind) {
    case PBFT_NOTE_VIEW_CHANGE:
        agreement->shown.view_changes_total++;
        log_warn(COMPONENT, "the primary is too slow or gone: changing to view %llu %s", value,
                 words);
        break;
    case PBFT_NOTE_NEW_VIEW:
        log_info(COMPONENT, "view %llu has begun", value);
        break;
    case PBFT_NOTE_REFUSED:
        agreement_blame(agreement, note->peer >= 0 ? note->peer : via, note->error, words);
        break;
    case PBFT_NOTE_MISBEHAVIOUR:
        log_error(COMPONENT, "%s has signed two things that cannot both be honest: %s", peer,
                  words);
        break;
    case PBFT_NOTE_BEHIND:
        progress_begin(agreement, value);
        break;
    case PBFT_NOTE_CAUGHT_UP:
        progress_end(agreement, value);
        break;
    case PBFT_NOTE_REQUEST_DROPPED:
        agreement->shown.dropped_total++;
        log_warn(COMPONENT, "a waiting request can never be executed: %s (%s)",
                 sealmq_error_text(note->error), words);
        break;
    }
}

/* ---- the step ---- */

static void on_deadline(uv_timer_t *timer)
{
    agreement_tick(timer->data);
}

static void set_deadline(struct agreement *agreement, uint64_t deadline_ms)
{
    if (deadline_ms == UINT64_MAX) {
        uv_timer_stop(&agreement->deadline);
        return;
    }
    uint64_t now = agreement_now_ms();
    uv_update_time(&agreement->loop);
    uv_timer_start(&agreement->deadline, on_deadline, deadline_ms > now ? deadline_ms - now : 0, 0);
}

void agreement_fail(struct agreement *agreement, const char *what, int error)
{
    if (agreement->is_broken)
        return;
    agreement->is_broken = true;
    log_error(COMPONENT, "%s (%s): this node ends, and begins again from what is stored", what,
              sealmq_error_text(error));
    agreement->options.failed(agreement->options.context, error);
}

int agreement_step_once(struct agreement *agreement, const struct pbft_event *event)
{
    struct pbft_update update = {0};
    int via = event->kind == PBFT_EVENT_MESSAGE ? event->message.peer : -1;
    if (agreement->is_broken)
        return SEALMQ_E_CLOSED;
    pthread_rwlock_wrlock(&agreement->chain_lock);
    int error = pbft_step(agreement->pbft, event, &update);
    pthread_rwlock_unlock(&agreement->chain_lock);
    if (error == SEALMQ_E_NOMEM) {
        agreement_fail(agreement, "a step of the agreement stopped half-way", error);
        return SEALMQ_E_CLOSED;
    }
    if (persist(agreement, &update) != 0)
        return SEALMQ_E_CLOSED; /* stopping: what is not durable must not be said */
    sync_in_time(agreement);
    for (size_t i = 0; i < update.message_count; i++) {
        const struct pbft_message *message = &update.messages[i];
        peers_send(agreement, message->to, pbft_message_topic(message->kind), message->bytes);
    }
    progress_blocks(agreement, &update);
    for (size_t i = 0; i < update.block_count; i++)
        take_block(agreement, update.blocks[i].block);
    members_follow_set(agreement);
    if (update.checkpoint.n != 0)
        take_checkpoint(agreement, update.checkpoint);
    for (size_t i = 0; i < update.note_count; i++)
        take_note(agreement, &update.notes[i], via);
    set_deadline(agreement, update.deadline_ms);
    answers_collect(agreement, &update);
    return error;
}

int agreement_step(struct agreement *agreement, const struct pbft_event *event)
{
    int result = agreement_step_once(agreement, event);
    answers_give(agreement);
    agreement_keep_check(agreement);
    agreement_show_status(agreement);
    agreement_join_check(agreement);
    return result;
}

void agreement_tick(struct agreement *agreement)
{
    peers_sweep(agreement);
    (void)agreement_step(agreement, &(struct pbft_event){
                                        .kind = PBFT_EVENT_TICK,
                                        .now_ms = agreement_now_ms(),
                                        .wall_us = agreement_wall_us(),
                                    });
}
