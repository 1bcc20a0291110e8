#include "broker/epochs.h"

#include <string.h>

void epochs_init(struct epochs *epochs)
{
    memset(epochs, 0, sizeof *epochs);
    epochs->open.number = 1;
}

void epochs_need_journal(struct epochs *epochs, uint64_t number, uint64_t bytes)
{
    epochs->open.journal = number;
    epochs->open.bytes += bytes;
    epochs->waiting_bytes += bytes;
}

void epochs_need_parcel(struct epochs *epochs, unsigned shard, uint64_t number, uint64_t bytes)
{
    epochs->open.shards |= UINT64_C(1) << shard;
    epochs->open.parcel[shard] = number;
    epochs->open.bytes += bytes;
    epochs->waiting_bytes += bytes;
}

static bool needs_anything(const struct epoch *epoch)
{
    return epoch->journal != 0 || epoch->shards != 0;
}

/* Copies what is set only: the rest of the numbers is long and means nothing. A widened epoch may
 * need more than a later one. */
static void take_needs(struct epoch *to, const struct epoch *from)
{
    if (from->journal > to->journal)
        to->journal = from->journal;
    for (uint64_t rest = from->shards; rest != 0; rest &= rest - 1) {
        unsigned shard = (unsigned)__builtin_ctzll(rest);
        bool is_new = (to->shards >> shard & 1) == 0;
        if (is_new || from->parcel[shard] > to->parcel[shard])
            to->parcel[shard] = from->parcel[shard];
    }
    to->shards |= from->shards;
}

void epochs_cut(struct epochs *epochs)
{
    struct epoch *open = &epochs->open;
    if (!needs_anything(open))
        return;
    if (epochs->count < EPOCHS_CLOSED_MAX) /* a free one needs nothing, see epochs_complete */
        epochs->count++;
    unsigned last = (epochs->first + epochs->count - 1) % EPOCHS_CLOSED_MAX;
    take_needs(&epochs->closed[last], open);
    epochs->closed[last].number = open->number++;
    epochs->closed[last].bytes += open->bytes;
    open->journal = open->bytes = open->shards = 0;
}

void epochs_widen(struct epochs *epochs)
{
    if (epochs->count > 0)
        take_needs(&epochs->closed[epochs->first], &epochs->open);
}

static bool is_complete(const struct epoch *epoch, uint64_t stored, const uint64_t *confirmed)
{
    if (epoch->journal > stored)
        return false;
    for (uint64_t rest = epoch->shards; rest != 0; rest &= rest - 1) {
        unsigned shard = (unsigned)__builtin_ctzll(rest);
        if (epoch->parcel[shard] > confirmed[shard])
            return false;
    }
    return true;
}

bool epochs_complete(struct epochs *epochs, uint64_t stored, const uint64_t *confirmed)
{
    bool any = false;
    while (epochs->count > 0) {
        struct epoch *first = &epochs->closed[epochs->first];
        if (!is_complete(first, stored, confirmed))
            break;
        epochs->completed = first->number;
        epochs->waiting_bytes -= first->bytes;
        first->journal = first->bytes = first->shards = 0;
        epochs->first = (epochs->first + 1) % EPOCHS_CLOSED_MAX;
        epochs->count--;
        any = true;
    }
    return any;
}

uint64_t epochs_newest(const struct epochs *epochs)
{
    if (needs_anything(&epochs->open))
        return epochs->open.number;
    return epochs->open.number - 1 > epochs->completed ? epochs->open.number - 1 : 0;
}
