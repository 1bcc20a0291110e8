#include "broker/inflight.h"

#include "base/assert.h"
#include "broker/message.h"

#include <stdlib.h>

#define INFLIGHT_SLOTS_MIN  8
#define INFLIGHT_SLOTS_KEPT 16 /* as many stay allocated when nothing is in flight */
#define INFLIGHT_SLOTS_MAX  65536
#define PACKET_IDS_MIN      8

static struct inflight_slot *slot_at(struct inflight *inflight, uint32_t number)
{
    return number == 0 ? NULL : &inflight->slots[number - 1];
}

static uint64_t size_of(const struct delivery *delivery)
{
    return delivery->message == NULL ? 0 : message_size(&delivery->message->view);
}

void inflight_close(struct inflight *inflight, inflight_release release, void *context)
{
    for (uint32_t i = 0; i < inflight->size; i++) {
        if (inflight->slots[i].state != INFLIGHT_FREE)
            release(context, &inflight->slots[i].delivery);
    }
    free(inflight->slots);
    *inflight = (struct inflight){0};
}

/* Doubles the slots. Identifiers that differ modulo the old size differ modulo the new one. */
static int inflight_grow(struct inflight *inflight)
{
    if (inflight->size == INFLIGHT_SLOTS_MAX)
        return SEALMQ_E_LIMIT;
    uint32_t size = inflight->size == 0 ? INFLIGHT_SLOTS_MIN : inflight->size * 2;
    struct inflight_slot *slots = calloc(size, sizeof *slots);
    if (slots == NULL)
        return SEALMQ_E_NOMEM;
    uint32_t previous = 0;
    uint32_t first = 0;
    for (struct inflight_slot *old = slot_at(inflight, inflight->first); old != NULL;
         old = slot_at(inflight, old->next)) {
        uint32_t index = old->packet_id & (size - 1);
        slots[index] = *old;
        slots[index].previous = previous;
        slots[index].next = 0;
        if (previous != 0)
            slots[previous - 1].next = index + 1;
        else
            first = index + 1;
        previous = index + 1;
    }
    free(inflight->slots);
    inflight->slots = slots;
    inflight->size = size;
    inflight->first = first;
    inflight->last = previous;
    return 0;
}

/* Fills a free slot, as the newest. */
static void use_slot(struct inflight *inflight, struct inflight_slot *slot,
                     const struct delivery *delivery, uint16_t packet_id, enum inflight_state state)
{
    uint32_t number = (uint32_t)(slot - inflight->slots) + 1;
    *slot = (struct inflight_slot){
        .delivery = *delivery,
        .previous = inflight->last,
        .packet_id = packet_id,
        .state = (uint8_t)state,
    };
    if (inflight->last != 0)
        slot_at(inflight, inflight->last)->next = number;
    else
        inflight->first = number;
    inflight->last = number;
    inflight->count++;
    inflight->bytes += size_of(delivery);
    inflight->last_id = packet_id;
}

int inflight_add(struct inflight *inflight, const struct delivery *delivery, uint16_t *packet_id)
{
    ASSERT(inflight->unsent_count == 0);
    /* One slot of the largest table is that of identifier 0, which does not exist. */
    if (inflight->count >= INFLIGHT_SLOTS_MAX - 1)
        return SEALMQ_E_LIMIT;
    if (inflight->count == inflight->size) {
        int error = inflight_grow(inflight);
        if (error != 0)
            return error;
    }
    uint16_t id = inflight->last_id;
    struct inflight_slot *slot;
    do {
        id = id == UINT16_MAX ? 1 : (uint16_t)(id + 1);
        slot = &inflight->slots[id & (inflight->size - 1)];
    } while (slot->state != INFLIGHT_FREE);
    use_slot(inflight, slot, delivery, id, delivery->qos == 1 ? AWAIT_PUBACK : AWAIT_PUBREC);
    *packet_id = id;
    return 0;
}

int inflight_restore(struct inflight *inflight, const struct delivery *delivery, uint16_t packet_id,
                     enum inflight_state state)
{
    if (packet_id == 0 || inflight_find(inflight, packet_id) != NULL)
        return SEALMQ_E_EXISTS;
    while (inflight->size == 0 ||
           inflight->slots[packet_id & (inflight->size - 1)].state != INFLIGHT_FREE) {
        int error = inflight_grow(inflight);
        if (error != 0)
            return error;
    }
    use_slot(inflight, &inflight->slots[packet_id & (inflight->size - 1)], delivery, packet_id,
             state);
    return 0;
}

static void remove_slot(struct inflight *inflight, struct inflight_slot *slot)
{
    if (slot->is_unsent)
        inflight_resent(inflight, slot);
    if (slot->previous != 0)
        slot_at(inflight, slot->previous)->next = slot->next;
    else
        inflight->first = slot->next;
    if (slot->next != 0)
        slot_at(inflight, slot->next)->previous = slot->previous;
    else
        inflight->last = slot->previous;
    *slot = (struct inflight_slot){0};
    inflight->count--;
    if (inflight->count == 0 && inflight->size > INFLIGHT_SLOTS_KEPT) {
        free(inflight->slots);
        inflight->slots = NULL;
        inflight->size = 0;
    }
}

struct inflight_slot *inflight_find(struct inflight *inflight, uint16_t packet_id)
{
    if (inflight->size == 0)
        return NULL;
    struct inflight_slot *slot = &inflight->slots[packet_id & (inflight->size - 1)];
    return slot->state != INFLIGHT_FREE && slot->packet_id == packet_id ? slot : NULL;
}

void inflight_take_back(struct inflight *inflight, uint16_t packet_id)
{
    struct inflight_slot *slot = inflight_find(inflight, packet_id);
    ASSERT(slot != NULL);
    inflight->bytes -= size_of(&slot->delivery);
    remove_slot(inflight, slot);
}

static void let_go(struct inflight *inflight, struct inflight_slot *slot, inflight_release release,
                   void *context)
{
    inflight->bytes -= size_of(&slot->delivery);
    release(context, &slot->delivery);
}

/* Removes the slot of an identifier that is in the state `expected`. */
static int complete(struct inflight *inflight, uint16_t packet_id, enum inflight_state expected,
                    inflight_release release, void *context)
{
    struct inflight_slot *slot = inflight_find(inflight, packet_id);
    if (slot == NULL)
        return SEALMQ_E_NOTFOUND;
    if (slot->state != expected)
        return SEALMQ_E_PROTOCOL;
    let_go(inflight, slot, release, context);
    remove_slot(inflight, slot);
    return 0;
}

int inflight_puback(struct inflight *inflight, uint16_t packet_id, inflight_release release,
                    void *context)
{
    return complete(inflight, packet_id, AWAIT_PUBACK, release, context);
}

int inflight_pubrec(struct inflight *inflight, uint16_t packet_id, bool is_error,
                    inflight_release release, void *context)
{
    struct inflight_slot *slot = inflight_find(inflight, packet_id);
    if (slot == NULL)
        return SEALMQ_E_NOTFOUND;
    /* A second PUBREC, after one was answered, is answered again. */
    if (slot->state == AWAIT_PUBCOMP && !is_error)
        return 0;
    if (slot->state != AWAIT_PUBREC)
        return SEALMQ_E_PROTOCOL;
    if (is_error)
        return complete(inflight, packet_id, AWAIT_PUBREC, release, context);
    struct delivery kept = {.sequence = slot->delivery.sequence,
                            .state_op = slot->delivery.state_op,
                            .qos = slot->delivery.qos};
    let_go(inflight, slot, release, context);
    slot->delivery = kept;
    slot->state = AWAIT_PUBCOMP;
    return 0;
}

int inflight_pubcomp(struct inflight *inflight, uint16_t packet_id, inflight_release release,
                     void *context)
{
    return complete(inflight, packet_id, AWAIT_PUBCOMP, release, context);
}

const struct inflight_slot *inflight_first(const struct inflight *inflight)
{
    return inflight->first == 0 ? NULL : &inflight->slots[inflight->first - 1];
}

const struct inflight_slot *inflight_next(const struct inflight *inflight,
                                          const struct inflight_slot *slot)
{
    return slot->next == 0 ? NULL : &inflight->slots[slot->next - 1];
}

void inflight_restart(struct inflight *inflight)
{
    inflight->unsent_first = inflight->first;
    inflight->unsent_count = inflight->count;
    for (struct inflight_slot *slot = slot_at(inflight, inflight->first); slot != NULL;
         slot = slot_at(inflight, slot->next))
        slot->is_unsent = true;
}

struct inflight_slot *inflight_unsent(struct inflight *inflight)
{
    return slot_at(inflight, inflight->unsent_first);
}

void inflight_resent(struct inflight *inflight, struct inflight_slot *slot)
{
    ASSERT(slot->is_unsent);
    slot->is_unsent = false;
    inflight->unsent_count--;
    if (slot_at(inflight, inflight->unsent_first) == slot)
        inflight->unsent_first = slot->next;
}

void inflight_drop(struct inflight *inflight, struct inflight_slot *slot, inflight_release release,
                   void *context)
{
    let_go(inflight, slot, release, context);
    remove_slot(inflight, slot);
}

void packet_ids_close(struct packet_ids *ids)
{
    free(ids->slots);
    *ids = (struct packet_ids){0};
}

static uint32_t home(const struct packet_ids *ids, uint16_t packet_id)
{
    return (packet_id * UINT32_C(0x9e3779b1) >> 15) & (ids->size - 1);
}

/* Where the identifier is, or the free slot where it would be. */
static uint32_t probe(const struct packet_ids *ids, uint16_t packet_id)
{
    uint32_t i = home(ids, packet_id);
    while (ids->slots[i] != 0 && ids->slots[i] != packet_id)
        i = (i + 1) & (ids->size - 1);
    return i;
}

bool packet_ids_has(const struct packet_ids *ids, uint16_t packet_id)
{
    return ids->count != 0 && ids->slots[probe(ids, packet_id)] == packet_id;
}

static int packet_ids_grow(struct packet_ids *ids)
{
    struct packet_ids bigger = {.size = ids->size == 0 ? PACKET_IDS_MIN : ids->size * 2};
    bigger.slots = calloc(bigger.size, sizeof *bigger.slots);
    if (bigger.slots == NULL)
        return SEALMQ_E_NOMEM;
    for (uint32_t i = 0; i < ids->size; i++) {
        if (ids->slots[i] != 0)
            bigger.slots[probe(&bigger, ids->slots[i])] = ids->slots[i];
    }
    bigger.count = ids->count;
    free(ids->slots);
    *ids = bigger;
    return 0;
}

int packet_ids_add(struct packet_ids *ids, uint16_t packet_id)
{
    ASSERT(packet_id != 0);
    if (packet_ids_has(ids, packet_id))
        return SEALMQ_E_EXISTS;
    if ((ids->count + 1) * 2 > ids->size) {
        int error = packet_ids_grow(ids);
        if (error != 0)
            return error;
    }
    ids->slots[probe(ids, packet_id)] = packet_id;
    ids->count++;
    return 0;
}

bool packet_ids_remove(struct packet_ids *ids, uint16_t packet_id)
{
    if (!packet_ids_has(ids, packet_id))
        return false;
    uint32_t mask = ids->size - 1;
    uint32_t hole = probe(ids, packet_id);
    /* Entries behind the hole move up, unless that would put them before their home. */
    for (uint32_t i = (hole + 1) & mask; ids->slots[i] != 0; i = (i + 1) & mask) {
        uint32_t distance = (i - home(ids, ids->slots[i])) & mask;
        if (distance >= ((i - hole) & mask)) {
            ids->slots[hole] = ids->slots[i];
            hole = i;
        }
    }
    ids->slots[hole] = 0;
    ids->count--;
    if (ids->count == 0 && ids->size > PACKET_IDS_MIN * 4)
        packet_ids_close(ids);
    return true;
}
