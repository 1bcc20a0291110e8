/* What goes from shard to shard.
 *
 * A parcel is a batch of items in the order of their happening: messages, and filters for which the
 * sender has its first, or no more, subscribers. The sender gathers one for each other shard, and
 * the host carries it over; parcels of one shard arrive in their order.
 *
 * Each parcel also carries a floor: the value of the shared counter of retained messages when it
 * was closed. All changes that its sender makes later have a higher number; so a tombstone that is
 * not above the floors of all other shards can meet no older change any more and is dropped. A
 * shard that has kept tombstones owes the others its own floor, and sends it even in an empty
 * parcel. */
#include "broker/broker_int.h"

#include <stdlib.h>

enum item_kind { ITEM_MESSAGE, ITEM_FILTER_JOINS, ITEM_FILTER_LEAVES };

struct filter_text {
    size_t n;
    uint8_t p[];
};

struct item {
    enum item_kind kind;
    union {
        struct broker_message *message; /* a reference */
        struct filter_text *filter;     /* owned */
    };
};

struct broker_parcel {
    unsigned from;
    uint64_t floor;
    size_t count, capacity;
    struct item *items;
};

uint64_t parcel_other_shards(const struct broker *b)
{
    uint64_t all = b->shards == SHARDS_MAX ? UINT64_MAX : (UINT64_C(1) << b->shards) - 1;
    return all & ~(UINT64_C(1) << b->shard);
}

static int reserve(struct broker *b, struct outbox *outbox, size_t items)
{
    struct broker_parcel *parcel = outbox->parcel;
    if (parcel == NULL) {
        parcel = calloc(1, sizeof *parcel);
        if (parcel == NULL)
            return SEALMQ_E_NOMEM;
        parcel->from = b->shard;
        outbox->parcel = parcel;
    }
    if (parcel->count + items <= parcel->capacity)
        return 0;
    size_t capacity = parcel->capacity == 0 ? 16 : parcel->capacity * 2;
    struct item *list = realloc(parcel->items, capacity * sizeof *list);
    if (list == NULL)
        return SEALMQ_E_NOMEM;
    parcel->items = list;
    parcel->capacity = capacity;
    return 0;
}

int parcel_reserve(struct broker *b, uint64_t shards)
{
    int error = 0;
    for (; shards != 0 && error == 0; shards &= shards - 1)
        error = reserve(b, &b->outboxes[__builtin_ctzll(shards)], 1);
    return error;
}

static void put(struct broker *b, unsigned shard, struct item item)
{
    struct broker_parcel *parcel = b->outboxes[shard].parcel;
    ASSERT(parcel != NULL && parcel->count < parcel->capacity);
    parcel->items[parcel->count++] = item;
}

void parcel_put_message(struct broker *b, uint64_t shards, struct broker_message *message)
{
    for (; shards != 0; shards &= shards - 1) {
        struct item item = {.kind = ITEM_MESSAGE, .message = message_hold(message)};
        put(b, (unsigned)__builtin_ctzll(shards), item);
    }
}

int parcel_put_filter(struct broker *b, struct bytes filter, bool joins)
{
    uint64_t shards = parcel_other_shards(b);
    int error = parcel_reserve(b, shards);
    if (error != 0)
        return error;
    /* All copies are made before any is put, so that all shards learn of it or none. */
    struct filter_text *copies[SHARDS_MAX] = {0};
    unsigned count = 0;
    for (uint64_t rest = shards; rest != 0; rest &= rest - 1) {
        struct filter_text *copy = malloc(sizeof *copy + filter.n);
        if (copy == NULL) {
            while (count > 0)
                free(copies[--count]);
            return SEALMQ_E_NOMEM;
        }
        copy->n = filter.n;
        memcpy(copy->p, filter.p, filter.n);
        copies[count++] = copy;
    }
    for (uint64_t rest = shards; rest != 0; rest &= rest - 1) {
        struct item item = {.kind = joins ? ITEM_FILTER_JOINS : ITEM_FILTER_LEAVES,
                            .filter = copies[--count]};
        put(b, (unsigned)__builtin_ctzll(rest), item);
    }
    return 0;
}

struct broker_parcel *broker_take_parcels(struct broker *b, unsigned to)
{
    if (to >= b->shards || to == b->shard)
        return NULL;
    struct outbox *outbox = &b->outboxes[to];
    if (outbox->owes_floor && outbox->parcel == NULL)
        (void)reserve(b, outbox, 0); /* no memory: the next parcel will bring it */
    struct broker_parcel *parcel = outbox->parcel;
    if (parcel == NULL || (parcel->count == 0 && !outbox->owes_floor))
        return NULL;
    parcel->floor = atomic_load_explicit(b->retained_counter, memory_order_relaxed);
    outbox->parcel = NULL;
    outbox->owes_floor = false;
    return parcel;
}

static void free_parcel(struct broker_parcel *parcel)
{
    for (size_t i = 0; i < parcel->count; i++) {
        if (parcel->items[i].kind == ITEM_MESSAGE)
            message_release(parcel->items[i].message);
        else
            free(parcel->items[i].filter);
    }
    free(parcel->items);
    free(parcel);
}

void broker_parcels_free(struct broker_parcel *parcels)
{
    if (parcels != NULL)
        free_parcel(parcels);
}

void parcel_close(struct broker *b)
{
    for (unsigned i = 0; i < b->shards; i++)
        broker_parcels_free(b->outboxes[i].parcel);
}

static void owe_floors(struct broker *b)
{
    for (uint64_t rest = parcel_other_shards(b); rest != 0; rest &= rest - 1)
        b->outboxes[__builtin_ctzll(rest)].owes_floor = true;
}

/* Below and at this number, all changes of retained messages have arrived. */
static uint64_t lowest_floor(const struct broker *b)
{
    uint64_t lowest = UINT64_MAX;
    for (uint64_t rest = parcel_other_shards(b); rest != 0; rest &= rest - 1) {
        uint64_t floor = b->shard_floors[__builtin_ctzll(rest)];
        lowest = floor < lowest ? floor : lowest;
    }
    return lowest;
}

void parcel_retained_expired(struct broker *b, struct retained_node *node)
{
    bool keep_tombstone = node->order > lowest_floor(b);
    retained_expired(&b->retained, node, keep_tombstone);
    if (keep_tombstone)
        owe_floors(b);
}

static void receive_message(struct broker *b, struct broker_message *message)
{
    struct publication p;
    publication_of(message, &p);
    int error = 0;
    if (p.view.retain) {
        error = retained_apply(&b->retained, &p, true);
        if (p.view.payload.n == 0)
            owe_floors(b);
    }
    if (route_local(b, &p) != 0 || error != 0)
        STAT_ADD(b, dropped_memory_total, 1);
    publication_close(&p);
}

static void receive(struct broker *b, unsigned from, const struct item *item)
{
    struct bytes filter;
    switch (item->kind) {
    case ITEM_MESSAGE:
        receive_message(b, item->message);
        break;
    case ITEM_FILTER_JOINS:
        filter = bytes_of(item->filter->p, item->filter->n);
        /* Without memory to note the filter, its shard is sent everything from now on. */
        if (subtree_shard_joins(&b->subtree, filter, from) != 0) {
            b->subtree.shards_for_all |= UINT64_C(1) << from;
            b->subtree.generation++;
        }
        break;
    case ITEM_FILTER_LEAVES:
        filter = bytes_of(item->filter->p, item->filter->n);
        subtree_shard_leaves(&b->subtree, filter, from);
        break;
    }
}

static void raise_floor(struct broker *b, unsigned from, uint64_t floor)
{
    if (floor > b->shard_floors[from])
        b->shard_floors[from] = floor;
    if (b->retained.tombstone_count != 0)
        retained_forget_below(&b->retained, lowest_floor(b));
}

void broker_deliver_parcels(struct broker *b, struct broker_parcel *parcels, uint64_t now_ms)
{
    if (parcels == NULL)
        return;
    broker_enter(b, now_ms);
    for (size_t i = 0; i < parcels->count; i++)
        receive(b, parcels->from, &parcels->items[i]);
    raise_floor(b, parcels->from, parcels->floor);
    free_parcel(parcels);
    broker_leave(b);
}
