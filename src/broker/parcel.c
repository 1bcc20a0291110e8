/* What goes from shard to shard.
 *
 * A parcel is a batch of items in the order of their happening: messages, and filters for which the
 * sender has its first, or no more, subscribers; of shared filters, how many. The sender gathers
 * one for each other shard, and the host carries it over; parcels of one shard arrive in their
 * order.
 *
 * Items stand one behind the other in blocks of memory. A small message is copied into the parcel:
 * that costs less than an allocation that one thread makes and another frees, and than counting
 * references on a cache line that two processors write. Large and retained ones, of which there
 * shall be one copy only, go by reference.
 *
 * Each parcel also carries a floor: the value of the shared counter of retained messages when it
 * was closed. All changes that its sender makes later have a higher number; so a tombstone that is
 * not above the floors of all other shards can meet no older change any more and is dropped. A
 * shard that has kept tombstones owes the others its own floor, and sends it even in an empty
 * parcel. */
#include "broker/broker_int.h"

#include <stdalign.h>
#include <stdlib.h>

/* Blocks of a parcel, with what malloc adds: most parcels are small; those that are not are large.
 */
#define BLOCK_FIRST  496
#define BLOCK_OTHERS 16368

enum item_kind {
    ITEM_MESSAGE, /* struct broker_message *, a reference */
    ITEM_COPY,    /* struct copy */
    ITEM_GROUP,   /* struct group_order: the next message is for the group, and for nobody else */
    ITEM_FILTER,  /* struct group_count, and the filter's text */
    ITEM_PAUSE,   /* struct pause */
};

struct group_order {
    struct group_name *name; /* a reference */
    struct share_way way;
};

struct item {
    enum item_kind kind;
    uint32_t size; /* of what follows, without what fills it up to the next item */
};

/* A small message; the bytes that it points to follow. */
struct copy {
    uint64_t topic_hash;
    struct message_view view;
};

/* To pause a client of the other shard. */
struct pause {
    struct broker_conn publisher;
    unsigned ms;
};

struct block {
    struct block *next;
    size_t used, capacity; /* of `bytes` */
    alignas(max_align_t) uint8_t bytes[];
};

struct broker_parcel {
    max_align_t host_room; /* BROKER_PARCEL_HOST_BYTES of it are promised */
    unsigned from;
    uint64_t floor;
    struct parcel_word word; /* see storing.c */
    size_t count;            /* of items */
    uint64_t bytes;          /* of them, in passing_bytes */
    struct block *first, *last;
};

_Static_assert(offsetof(struct broker_parcel, from) >= BROKER_PARCEL_HOST_BYTES,
               "the host's room comes first");

uint64_t parcel_other_shards(const struct broker *b)
{
    uint64_t all = b->shards == SHARDS_MAX ? UINT64_MAX : (UINT64_C(1) << b->shards) - 1;
    return all & ~(UINT64_C(1) << b->shard);
}

static size_t item_space(size_t size)
{
    size_t whole = sizeof(struct item) + size;
    return (whole + alignof(max_align_t) - 1) & ~(alignof(max_align_t) - 1);
}

static int add_block(struct broker_parcel *parcel, size_t space)
{
    size_t capacity = (parcel->last == NULL ? BLOCK_FIRST : BLOCK_OTHERS) - sizeof(struct block);
    if (capacity < space)
        capacity = space;
    struct block *block = malloc(sizeof *block + capacity);
    if (block == NULL)
        return SEALMQ_E_NOMEM;
    *block = (struct block){.capacity = capacity};
    if (parcel->last != NULL)
        parcel->last->next = block;
    else
        parcel->first = block;
    parcel->last = block;
    return 0;
}

static int reserve_parcel(struct broker *b, struct outbox *outbox)
{
    if (outbox->parcel != NULL)
        return 0;
    outbox->parcel = calloc(1, sizeof *outbox->parcel);
    if (outbox->parcel == NULL)
        return SEALMQ_E_NOMEM;
    outbox->parcel->from = b->shard;
    return 0;
}

/* Room for one item of that size. */
static int reserve(struct broker *b, struct outbox *outbox, size_t size)
{
    int error = reserve_parcel(b, outbox);
    if (error != 0)
        return error;
    const struct block *last = outbox->parcel->last;
    size_t space = item_space(size);
    return last != NULL && last->capacity - last->used >= space ? 0
                                                                : add_block(outbox->parcel, space);
}

static int reserve_all(struct broker *b, uint64_t shards, size_t size)
{
    int error = 0;
    for (; shards != 0 && error == 0; shards &= shards - 1)
        error = reserve(b, &b->outboxes[__builtin_ctzll(shards)], size);
    return error;
}

static void charge(struct broker *b, unsigned shard, size_t bytes)
{
    b->outboxes[shard].parcel->bytes += bytes;
    budget_take(&b->budgets.passing_bytes, bytes);
}

/* Where to write what the item holds. */
static void *put(struct broker *b, unsigned shard, enum item_kind kind, size_t size)
{
    ASSERT(b->outboxes[shard].parcel != NULL);
    struct block *block = b->outboxes[shard].parcel->last;
    ASSERT(block != NULL && block->capacity - block->used >= item_space(size));
    struct item *item = (struct item *)(void *)(block->bytes + block->used);
    *item = (struct item){kind, (uint32_t)size};
    block->used += item_space(size);
    b->outboxes[shard].parcel->count++;
    charge(b, shard, item_space(size));
    return item + 1;
}

static bool is_copied(const struct message_view *view)
{
    return !view->retain && view->payload.n < PAYLOAD_BY_REFERENCE;
}

static size_t copy_size(const struct message_view *view)
{
    return sizeof(struct copy) + view->topic.n + view->props.n + view->payload.n;
}

int parcel_reserve(struct broker *b, uint64_t shards, struct publication *p)
{
    if (shards == 0)
        return 0;
    if (is_copied(&p->view))
        return reserve_all(b, shards, copy_size(&p->view));
    int error = reserve_all(b, shards, sizeof p->owned);
    /* A retained one is owned when its number is known. */
    return error != 0 || p->view.retain ? error : publication_own(p);
}

static struct bytes put_part(uint8_t **to, struct bytes part)
{
    struct bytes copy = bytes_of(*to, part.n);
    if (part.n != 0)
        memcpy(*to, part.p, part.n);
    *to += part.n;
    return copy;
}

static void put_copy(struct broker *b, unsigned shard, const struct publication *p)
{
    struct copy *copy = put(b, shard, ITEM_COPY, copy_size(&p->view));
    uint8_t *to = (uint8_t *)(copy + 1);
    *copy = (struct copy){p->topic_hash, p->view};
    copy->view.topic = put_part(&to, p->view.topic);
    copy->view.props = put_part(&to, p->view.props);
    copy->view.payload = put_part(&to, p->view.payload);
}

void parcel_put_message(struct broker *b, uint64_t shards, const struct publication *p)
{
    for (; shards != 0; shards &= shards - 1) {
        unsigned shard = (unsigned)__builtin_ctzll(shards);
        if (is_copied(&p->view)) {
            put_copy(b, shard, p);
        } else {
            struct broker_message *message = message_hold(p->owned);
            charge(b, shard, message_size(&message->view));
            memcpy(put(b, shard, ITEM_MESSAGE, sizeof message), &message, sizeof message);
        }
    }
}

int parcel_put_shared(struct broker *b, unsigned shard, struct publication *p,
                      struct group_name *name, const struct share_way *way)
{
    uint64_t bit = UINT64_C(1) << shard;
    int error = is_copied(&p->view) ? 0 : publication_own(p);
    size_t message_bytes = is_copied(&p->view) ? copy_size(&p->view) : sizeof p->owned;
    /* One room for the two, so that both or none are put. */
    if (error == 0)
        error = reserve_all(b, bit, item_space(sizeof(struct group_order)) + message_bytes);
    if (error != 0)
        return error;
    struct group_order order = {group_name_hold(name), *way};
    memcpy(put(b, shard, ITEM_GROUP, sizeof order), &order, sizeof order);
    parcel_put_message(b, bit, p);
    return 0;
}

int parcel_put_filter(struct broker *b, struct bytes filter, struct group_count count)
{
    uint64_t shards = parcel_other_shards(b);
    /* All shards learn of it, or none. */
    int error = reserve_all(b, shards, sizeof count + filter.n);
    if (error != 0)
        return error;
    for (; shards != 0; shards &= shards - 1) {
        unsigned shard = (unsigned)__builtin_ctzll(shards);
        uint8_t *to = put(b, shard, ITEM_FILTER, sizeof count + filter.n);
        memcpy(to, &count, sizeof count);
        memcpy(to + sizeof count, filter.p, filter.n);
    }
    return 0;
}

bool parcel_is_empty(const struct broker *b, unsigned to)
{
    const struct broker_parcel *parcel = b->outboxes[to].parcel;
    return parcel == NULL || parcel->count == 0;
}

bool parcel_is_waiting(const struct broker *b)
{
    for (unsigned i = 0; i < b->shards; i++) {
        const struct outbox *outbox = &b->outboxes[i];
        if (outbox->owes_floor || storing_owes_word(b, i) || !parcel_is_empty(b, i))
            return true;
    }
    return false;
}

size_t broker_parcel_count(const struct broker_parcel *parcels)
{
    return parcels->count;
}

struct broker_parcel *broker_take_parcels(struct broker *b, unsigned to)
{
    if (to >= b->shards || to == b->shard)
        return NULL;
    struct outbox *outbox = &b->outboxes[to];
    bool owes_any = outbox->owes_floor || storing_owes_word(b, to);
    if (owes_any && outbox->parcel == NULL)
        (void)reserve_parcel(b, outbox); /* no memory: the next parcel will bring it */
    struct broker_parcel *parcel = outbox->parcel;
    if (parcel == NULL || (parcel->count == 0 && !owes_any))
        return NULL;
    storing_close_parcel(b, to, &parcel->word);
    parcel->floor = atomic_load_explicit(b->retained_counter, memory_order_relaxed);
    outbox->parcel = NULL;
    outbox->owes_floor = false;
    return parcel;
}

static struct broker_message *message_of(const struct item *item)
{
    struct broker_message *message;
    memcpy(&message, item + 1, sizeof message);
    return message;
}

/* Calls `visit` for each item, in their order. */
static void for_each_item(struct broker_parcel *parcel,
                          void (*visit)(struct broker *b, unsigned from, const struct item *item),
                          struct broker *b)
{
    for (const struct block *block = parcel->first; block != NULL; block = block->next) {
        for (size_t at = 0; at < block->used;) {
            const struct item *item = (const struct item *)(const void *)(block->bytes + at);
            visit(b, parcel->from, item);
            at += item_space(item->size);
        }
    }
}

static void drop_item(struct broker *b, unsigned from, const struct item *item)
{
    (void)b;
    (void)from;
    if (item->kind == ITEM_MESSAGE)
        message_release(message_of(item));
    else if (item->kind == ITEM_GROUP)
        group_name_release(((const struct group_order *)(const void *)(item + 1))->name);
}

static void free_parcel(struct broker_parcel *parcel)
{
    for_each_item(parcel, drop_item, NULL);
    while (parcel->first != NULL) {
        struct block *block = parcel->first;
        parcel->first = block->next;
        free(block);
    }
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
    storing_retained_expired(b, node->message);
    retained_expired(&b->retained, node, keep_tombstone);
    if (keep_tombstone)
        owe_floors(b);
}

/* Without memory the publisher goes on, and more is lost to those who cannot follow. */
static void put_pause(struct broker *b, unsigned to, struct broker_conn publisher, unsigned ms)
{
    struct pause pause = {publisher, ms};
    if (ms != 0 && reserve(b, &b->outboxes[to], sizeof pause) == 0)
        memcpy(put(b, to, ITEM_PAUSE, sizeof pause), &pause, sizeof pause);
}

void parcel_receive_message(struct broker *b, struct publication *p)
{
    uint64_t note;
    pace_begin(b);
    int error = storing_note(b, p, &note);
    if (error != 0) {
        STAT_ADD(b, dropped_memory_total, 1);
        return;
    }
    if (p->view.retain) {
        error = storing_retained(b, p);
        if (error == 0)
            error = retained_apply(&b->retained, p, true);
        if (p->view.payload.n == 0)
            owe_floors(b);
    }
    if (route_local(b, p) != 0 || error != 0)
        STAT_ADD(b, dropped_memory_total, 1);
    storing_note_end(b, note);
}

static void receive_for_group(struct broker *b, struct publication *p)
{
    const struct group_order *order = b->group_order;
    uint64_t note = 0;
    b->group_order = NULL;
    /* A note is for messages whose publisher waits: others may come after PUBREL. What comes home
     * has been noted there when it was published. */
    bool is_noted = order->way.home != b->shard && !order->way.is_handed_over;
    if (is_noted && storing_note(b, p, &note) != 0) {
        STAT_ADD(b, dropped_memory_total, 1);
        return;
    }
    share_receive(b, p, order->name, &order->way);
    storing_note_end(b, note);
}

static void receive_message(struct broker *b, unsigned from, struct publication *p)
{
    if (b->group_order != NULL) {
        receive_for_group(b, p);
    } else {
        parcel_receive_message(b, p);
        if (p->view.publisher.generation != 0)
            put_pause(b, from, p->view.publisher, pace_pressure_ms(b));
    }
    publication_close(p);
}

static void receive_filter(struct broker *b, unsigned from, const struct item *item)
{
    struct group_count count;
    memcpy(&count, item + 1, sizeof count);
    struct bytes filter =
        bytes_of((const uint8_t *)(item + 1) + sizeof count, item->size - sizeof count);
    if (mqtt_filter_is_shared(filter)) {
        /* Without memory for a group, what is published here does not reach its members there. */
        if (subtree_shard_shares(&b->subtree, filter, from, count) != 0)
            STAT_ADD(b, dropped_memory_total, 1);
    } else if (count.members == 0) {
        subtree_shard_leaves(&b->subtree, filter, from);
    } else if (subtree_shard_joins(&b->subtree, filter, from, count.online != 0) != 0) {
        /* Without memory to note the filter, its shard is sent everything from now on. */
        b->subtree.shards_for_all |= UINT64_C(1) << from;
        subtree_note_change_of_all(&b->subtree);
    }
}

static void receive(struct broker *b, unsigned from, const struct item *item)
{
    struct publication p = {0};
    const struct copy *copy;
    struct pause pause;
    switch (item->kind) {
    case ITEM_MESSAGE:
        publication_of(message_of(item), &p);
        receive_message(b, from, &p);
        break;
    case ITEM_COPY:
        copy = (const struct copy *)(const void *)(item + 1);
        p = (struct publication){.view = copy->view, .topic_hash = copy->topic_hash};
        receive_message(b, from, &p);
        break;
    case ITEM_GROUP:
        b->group_order = (const struct group_order *)(const void *)(item + 1);
        break;
    case ITEM_FILTER:
        receive_filter(b, from, item);
        break;
    case ITEM_PAUSE:
        memcpy(&pause, item + 1, sizeof pause);
        pace_publisher(b, pause.publisher, pause.ms);
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
    uint64_t position = storing_position(b);
    for_each_item(parcels, receive, b);
    raise_floor(b, parcels->from, parcels->floor);
    budget_give(&b->budgets.passing_bytes, parcels->bytes);
    storing_parcel_received(b, parcels->from, &parcels->word, position);
    free_parcel(parcels);
    broker_leave(b);
}
