#include "broker/alias.h"

#include "base/assert.h"

#include <stdlib.h>

struct alias_slot {
    uint64_t hash;
    uint64_t rival; /* hash of the topic that would have liked this slot last */
    uint8_t *topic; /* owned; NULL: free */
    uint16_t topic_n;
    bool is_sent;
};

struct aliases {
    uint16_t size;
    struct alias_slot slots[];
};

static struct aliases *aliases_new(uint16_t size)
{
    struct aliases *table = calloc(1, sizeof *table + size * sizeof(struct alias_slot));
    if (table != NULL)
        table->size = size;
    return table;
}

void aliases_free(struct aliases *table)
{
    for (size_t i = 0; table != NULL && i < table->size; i++)
        free(table->slots[i].topic);
    free(table);
}

/* The topic's slot, or the first free one, or the one that it would take from another. */
static struct alias_slot *find(struct aliases *table, uint64_t hash, struct bytes topic)
{
    ASSERT(table->size != 0);
    for (size_t i = 0; i < table->size; i++) {
        struct alias_slot *slot = &table->slots[i];
        if (slot->topic == NULL ||
            (slot->hash == hash && bytes_equal(bytes_of(slot->topic, slot->topic_n), topic)))
            return slot;
    }
    return &table->slots[(hash >> 32) % table->size];
}

struct alias aliases_choose(struct aliases **table, uint16_t most, uint64_t hash,
                            struct bytes topic)
{
    struct alias none = {0};
    if (topic.n < ALIAS_TOPIC_BYTES_MIN || topic.n > ALIAS_TOPIC_BYTES_MAX || most == 0)
        return none;
    ASSERT(most <= ALIASES_MAX);
    if (*table == NULL)
        *table = aliases_new(most);
    if (*table == NULL)
        return none;
    struct alias_slot *slot = find(*table, hash, topic);
    struct alias alias = {.number = (uint16_t)(slot - (*table)->slots + 1)};
    if (slot->topic != NULL && slot->hash == hash &&
        bytes_equal(bytes_of(slot->topic, slot->topic_n), topic)) {
        alias.is_known = slot->is_sent;
        return alias;
    }
    if (slot->topic != NULL && slot->rival != hash) {
        slot->rival = hash;
        return none;
    }
    uint8_t *copy = malloc(topic.n);
    if (copy == NULL)
        return none;
    memcpy(copy, topic.p, topic.n);
    free(slot->topic);
    *slot = (struct alias_slot){.hash = hash, .topic = copy, .topic_n = (uint16_t)topic.n};
    return alias;
}

void aliases_sent(struct aliases *table, uint16_t number)
{
    ASSERT(table != NULL && number != 0 && number <= table->size);
    table->slots[number - 1].is_sent = true;
}
