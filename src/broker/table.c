/* Chains in an array of buckets that doubles when there are more entries than buckets. */
#include "broker/table.h"

#include "base/assert.h"

#include <stdlib.h>

#define TABLE_BUCKETS_MIN 16

int table_init(struct table *table)
{
    *table = (struct table){.mask = TABLE_BUCKETS_MIN - 1};
    table->buckets = calloc(TABLE_BUCKETS_MIN, sizeof(struct table_link *));
    return table->buckets == NULL ? SEALMQ_E_NOMEM : 0;
}

void table_close(struct table *table)
{
    free(table->buckets);
    *table = (struct table){0};
}

static void table_grow(struct table *table)
{
    size_t size = (table->mask + 1) * 2;
    struct table_link **buckets = calloc(size, sizeof(struct table_link *));
    if (buckets == NULL)
        return;
    for (size_t i = 0; i <= table->mask; i++) {
        struct table_link *link = table->buckets[i];
        while (link != NULL) {
            struct table_link *next = link->next;
            struct table_link **bucket = &buckets[link->hash & (size - 1)];
            link->next = *bucket;
            *bucket = link;
            link = next;
        }
    }
    free(table->buckets);
    table->buckets = buckets;
    table->mask = size - 1;
}

void table_add(struct table *table, struct table_link *link, uint64_t hash)
{
    if (table->count > table->mask)
        table_grow(table);
    struct table_link **bucket = &table->buckets[hash & table->mask];
    link->hash = hash;
    link->next = *bucket;
    *bucket = link;
    table->count++;
}

void table_remove(struct table *table, struct table_link *link)
{
    struct table_link **at = &table->buckets[link->hash & table->mask];
    while (*at != link) {
        ASSERT(*at != NULL);
        at = &(*at)->next;
    }
    *at = link->next;
    table->count--;
}

struct table_link *table_take_any(struct table *table, size_t *bucket)
{
    for (; *bucket <= table->mask; ++*bucket) {
        struct table_link *link = table->buckets[*bucket];
        if (link != NULL) {
            table->buckets[*bucket] = link->next;
            table->count--;
            return link;
        }
    }
    return NULL;
}
