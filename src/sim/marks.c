/* Marks: situations that a run of many seeds must have met. They are read off what honest replicas
 * are given and give back. */
#include "sim/sim_int.h"

#define FAR_VIEWS 5

const char *sim_mark_words(enum sim_mark mark)
{
    static const char *const words[] = {
#define X(name, text) text,
        SIM_MARKS(X)
#undef X
    };
    return words[mark];
}

void sim_mark(struct sim *sim, enum sim_mark mark)
{
    sim->result->marks[mark]++;
}

static bool is_changing(const struct sim_replica *replica)
{
    return strcmp(replica->status.state, "changing") == 0;
}

static bool is_of(const struct pbft_event *event, enum pbft_message_kind kind)
{
    return event->kind == PBFT_EVENT_MESSAGE && event->message.kind == kind;
}

static void mark_refused(struct sim *sim, const struct pbft_event *event,
                         const struct pbft_note *note)
{
    if (note->error == SEALMQ_E_SIGNATURE)
        sim_mark(sim, SIM_MARK_BAD_SIGNATURE);
    if (is_of(event, PBFT_MSG_VIEW_CHANGE))
        sim_mark(sim, SIM_MARK_BAD_VIEW_CHANGE);
    else if (is_of(event, PBFT_MSG_NEW_VIEW))
        sim_mark(sim, SIM_MARK_BAD_NEW_VIEW);
    else if (is_of(event, PBFT_MSG_BLOCKS))
        sim_mark(sim, SIM_MARK_BAD_BLOCK);
    else if (is_of(event, PBFT_MSG_CHECKPOINT))
        sim_mark(sim, SIM_MARK_BAD_CHECKPOINT);
    else if (is_of(event, PBFT_MSG_PRE_PREPARE) || event->kind == PBFT_EVENT_VERIFIED)
        sim_mark(sim, SIM_MARK_BAD_PROPOSAL);
}

static void mark_choice(struct sim *sim, const struct sim_replica *replica, uint64_t view,
                        const struct choice *choice)
{
    if (choice->height > replica->status.height + 1)
        sim_mark(sim, SIM_MARK_NEW_VIEW_ABOVE);
    if (!choice->again)
        return;
    sim_mark(sim, SIM_MARK_REPROPOSED);
    if (choice->height <= sim->agreed_count && replica->store.n < choice->height &&
        hash_equal(&sim->agreed[choice->height - 1], &choice->header))
        sim_mark(sim, SIM_MARK_FINAL_REPROPOSED);
    if (choice->prepared_view == sim->reproposed.view &&
        hash_equal(&choice->header, &sim->reproposed.header))
        sim_mark(sim, SIM_MARK_REPROPOSED_TWICE);
    sim->reproposed = (struct sim_said){.view = view, .header = choice->header};
}

static void mark_entered(struct sim *sim, struct sim_replica *replica,
                         const struct pbft_event *event, const struct pbft_update *update,
                         uint64_t view)
{
    struct msg_new_view m;
    struct choice choice;
    if (!sim_find_new_view(event, update, &m) || m.view != view)
        sim_mark(sim, SIM_MARK_VIEW_BY_CERTIFICATE);
    else if (sim_choice_of(&m, &choice) == 0)
        mark_choice(sim, replica, view, &choice);
    if (sim->replicas[replica->entered_view % sim->n].is_liar &&
        !sim->replicas[view % sim->n].is_liar)
        sim_mark(sim, SIM_MARK_LIAR_REPLACED);
    if (replica->status.waiting_requests > 0)
        sim_mark(sim, SIM_MARK_CHANGED_WAITING);
    if (view >= replica->block_view + FAR_VIEWS)
        sim_mark(sim, SIM_MARK_FAR_VIEWS);
    if (sim_changes_set(sim, replica->status.height))
        sim_mark(sim, SIM_MARK_SET_AND_VIEW);
    replica->entered_view = view;
}

static void mark_blocks(struct sim *sim, struct sim_replica *replica,
                        const struct pbft_event *event, const struct pbft_update *update)
{
    if (is_changing(replica) && is_of(event, PBFT_MSG_BLOCKS))
        sim_mark(sim, SIM_MARK_CAUGHT_UP_CHANGING);
    for (size_t i = 0; i < update->block_count; i++) {
        struct block block;
        if (block_decode(update->blocks[i].block, &block) != 0)
            continue;
        if (is_of(event, PBFT_MSG_BLOCKS) && sim_changes_set(sim, block.header.height))
            sim_mark(sim, SIM_MARK_CAUGHT_UP_SETS);
        for (size_t k = 0; k < replica->said_count; k++) {
            const struct sim_said *said = &replica->said[k];
            if (said->kind == PBFT_MSG_COMMIT && said->height == block.header.height &&
                !hash_equal(&said->header, &block.hash)) {
                sim_mark(sim, SIM_MARK_PREPARED_DROPPED);
                break;
            }
        }
    }
}

/* It votes itself. */
static void mark_voter(struct sim *sim, struct sim_replica *replica, const struct msg_vote *m)
{
    struct public_key key;
    if (sim_member_at(sim, m->height, m->sender) != replica)
        return;
    if (replica->index >= sim->genesis.validators.n)
        sim_mark(sim, SIM_MARK_JOINER_VOTED);
    if (chain_member_keys(replica->chain, bytes_str(replica->who.id), &key, 1) == 1 &&
        memcmp(&key, &replica->next_key.public_key, sizeof(key)) == 0)
        sim_mark(sim, SIM_MARK_NEW_KEY_VOTED);
}

static void mark_message(struct sim *sim, struct sim_replica *replica,
                         const struct pbft_message *message)
{
    struct msg_fetch fetch;
    struct msg_vote vote;
    enum pbft_message_kind kind = message->kind;
    if (kind == PBFT_MSG_FETCH && message_decode_fetch(message->bytes, &fetch) == 0 && fetch.wanted)
        sim_mark(sim, SIM_MARK_BLOCK_FETCHED);
    if (sim->has_membership && (kind == PBFT_MSG_PREPARE || kind == PBFT_MSG_COMMIT) &&
        message_decode_vote(message->bytes, kind, &vote) == 0)
        mark_voter(sim, replica, &vote);
}

void sim_marks_step(struct sim *sim, struct sim_replica *replica, const struct pbft_event *event,
                    const struct pbft_update *update)
{
    for (size_t i = 0; i < update->note_count && !replica->is_liar; i++) {
        const struct pbft_note *note = &update->notes[i];
        if (note->kind == PBFT_NOTE_REFUSED)
            mark_refused(sim, event, note);
        else if (note->kind == PBFT_NOTE_MISBEHAVIOUR)
            sim_mark(sim, SIM_MARK_EVIDENCE);
        else if (note->kind == PBFT_NOTE_NEW_VIEW)
            mark_entered(sim, replica, event, update, note->value);
    }
    for (size_t i = 0; i < update->message_count && !replica->is_liar; i++)
        mark_message(sim, replica, &update->messages[i]);
    if (update->block_count > 0 && !replica->is_liar)
        mark_blocks(sim, replica, event, update);
    bool did_vote = replica->status.votes;
    pbft_status_get(replica->pbft, &replica->status);
    if (did_vote && !replica->status.votes)
        sim_mark(sim, SIM_MARK_LEAVER_STOPPED);
    if (update->block_count > 0)
        replica->block_view = replica->status.view;
}

void sim_marks_start(struct sim *sim, struct sim_replica *replica)
{
    pbft_status_get(replica->pbft, &replica->status);
    replica->entered_view = replica->block_view = replica->status.view;
    if (replica->is_liar || replica->life == 1)
        return;
    if (is_changing(replica))
        sim_mark(sim, SIM_MARK_RESTART_CHANGING);
    else if (strcmp(replica->status.state, "prepared") == 0)
        sim_mark(sim, SIM_MARK_RESTART_PREPARED);
    if (replica->store.was_lost)
        sim_mark(sim, SIM_MARK_STORE_LOST);
}

void sim_marks_stop(struct sim *sim)
{
    for (unsigned i = 0; i < sim->n; i++)
        if (sim->replicas[i].is_up && !sim->replicas[i].is_liar)
            return;
    if (sim->n >= 4)
        sim_mark(sim, SIM_MARK_ALL_DOWN);
}

void sim_marks_crash(struct sim *sim, const struct pbft_update *update)
{
    bool votes = false, leaves = false;
    for (size_t i = 0; i < update->message_count; i++) {
        enum pbft_message_kind kind = update->messages[i].kind;
        votes = votes || kind == PBFT_MSG_PREPARE || kind == PBFT_MSG_COMMIT ||
                kind == PBFT_MSG_PRE_PREPARE;
        leaves = leaves || kind == PBFT_MSG_VIEW_CHANGE;
    }
    if (votes && update->write_count > 0)
        sim_mark(sim, SIM_MARK_CRASH_BEFORE_VOTE);
    if (leaves && update->write_count > 0)
        sim_mark(sim, SIM_MARK_CRASH_BEFORE_CHANGE);
    if (update->block_count > 0)
        sim_mark(sim, SIM_MARK_CRASH_BEFORE_CHECKPOINT);
}
