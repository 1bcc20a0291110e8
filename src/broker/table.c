/* Chains in an array of buckets, a quarter more of them than entries. */
#include "broker/table.h"

#include "base/assert.h"

#include <stdlib.h>

#define BUCKETS_MIN 16

int table_init(struct table *table)
{
    *table = (struct table){.size = BUCKETS_MIN, .mask = BUCKETS_MIN - 1, .capacity = BUCKETS_MIN};
    table->buckets = calloc(BUCKETS_MIN, sizeof(struct table_link *));
    return table->buckets == NULL ? SEALMQ_E_NOMEM : 0;
}

void table_close(struct table *table)
{
    free(table->buckets);
    *table = (struct table){0};
}

/* Room for one more bucket. What is not in use is not touched either. */
static bool reserve_bucket(struct table *table)
{
    if (table->size < table->capacity)
        return true;
    size_t capacity = table->capacity * 2;
    struct table_link **buckets = realloc(table->buckets, capacity * sizeof(struct table_link *));
    if (buckets == NULL)
        return false;
    table->buckets = buckets;
    table->capacity = capacity;
    return true;
}

/* Adds a bucket, and spreads over the two those entries that it has been one with. */
static bool split_bucket(struct table *table)
{
    if (!reserve_bucket(table))
        return false;
    if (table->size > table->mask)
        table->mask = table->mask * 2 + 1;
    size_t new = table->size++;
    struct table_link *link = table->buckets[new &(table->mask >> 1)];
    table->buckets[new &(table->mask >> 1)] = NULL;
    table->buckets[new] = NULL;
    while (link != NULL) {
        struct table_link *next = link->next;
        struct table_link **bucket = table_bucket(table, link->hash);
        link->next = *bucket;
        *bucket = link;
        link = next;
    }
    return true;
}

void table_add(struct table *table, struct table_link *link, uint64_t hash)
{
    for (unsigned i = 0; i < 2 && table->count >= table->size - table->size / 4; i++) {
        if (!split_bucket(table))
            break;
    }
    struct table_link **bucket = table_bucket(table, hash);
    link->hash = hash;
    link->next = *bucket;
    *bucket = link;
    table->count++;
}

void table_remove(struct table *table, struct table_link *link)
{
    struct table_link **at = table_bucket(table, link->hash);
    while (*at != link) {
        ASSERT(*at != NULL);
        at = &(*at)->next;
    }
    *at = link->next;
    table->count--;
}

struct table_link *table_take_any(struct table *table, size_t *bucket)
{
    for (; *bucket < table->size; ++*bucket) {
        struct table_link *link = table->buckets[*bucket];
        if (link != NULL) {
            table->buckets[*bucket] = link->next;
            table->count--;
            return link;
        }
    }
    return NULL;
}
