/* A hash table of things that carry their own link: 16 bytes an entry, and adding never fails. What
 * the keys are is the caller's business: it walks the entries of one hash and compares.
 *
 *     for (link = table_find(t, hash); link != NULL; link = table_find_next(link))
 *         if (same_key(thing_of(link), key)) ...
 *
 * Hashes must be keyed (broker/keyed_hash.h) where keys come from outside. */
#ifndef SEALMQ_BROKER_TABLE_H
#define SEALMQ_BROKER_TABLE_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct table_link {
    struct table_link *next;
    uint64_t hash;
};

/* Grows by a bucket at a time, so that no addition takes long (W. Litwin, "Linear hashing", 1980):
 * the entries of one of `size` buckets are spread over it and a new one at the end. */
struct table {
    struct table_link **buckets;
    size_t size; /* buckets that are in use */
    size_t mask; /* 2^n - 1, such that size is above half of 2^n and at most 2^n */
    size_t capacity;
    size_t count;
};

/* SEALMQ_E_NOMEM */
SEALMQ_MUST_CHECK int table_init(struct table *table);
/* Frees the buckets, not the entries. */
void table_close(struct table *table);
/* When there is no memory for more buckets the table becomes slower instead. */
void table_add(struct table *table, struct table_link *link, uint64_t hash);
void table_remove(struct table *table, struct table_link *link);

static inline struct table_link **table_bucket(const struct table *table, uint64_t hash)
{
    size_t i = hash & table->mask;
    return &table->buckets[i < table->size ? i : i & (table->mask >> 1)];
}

/* The first entry with this hash, or NULL. */
static inline struct table_link *table_find(const struct table *table, uint64_t hash)
{
    struct table_link *link = *table_bucket(table, hash);
    while (link != NULL && link->hash != hash)
        link = link->next;
    return link;
}

/* The next entry with the same hash. */
static inline struct table_link *table_find_next(const struct table_link *link)
{
    uint64_t hash = link->hash;
    struct table_link *next = link->next;
    while (next != NULL && next->hash != hash)
        next = next->next;
    return next;
}

/* Takes any entry out; NULL when the table is empty. For taking a table apart. */
struct table_link *table_take_any(struct table *table, size_t *bucket);

#define CONTAINER_OF(pointer, type, member)                                                        \
    ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

#endif
