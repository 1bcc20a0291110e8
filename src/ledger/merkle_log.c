/* A log of leaves with its complete subtrees: level k holds those of 2^k leaves, so that n leaves
 * take less than 2 n hashes of memory. Of the leaves before the base only the edge is kept, the
 * subtrees that the binary form of the base names; a subtree across the base is complete of itself
 * once its right half is, for its left half is of the edge. */
#include "ledger/merkle.h"

#include "base/assert.h"
#include "ledger/merkle_int.h"

#include <stdlib.h>

#define LEVELS             64
#define LEVEL_CAPACITY_MIN 64

/* The first subtree of a level that a log with this base keeps. */
static uint64_t first_of(uint64_t base, unsigned level)
{
    uint64_t at = base >> level;
    return (at & 1) != 0 ? at - 1 : at;
}

/* Room for one more hash on a level that holds `used`. */
static int level_reserve(struct merkle_log *log, unsigned level, uint64_t used)
{
    if (used < log->capacity[level])
        return 0;
    size_t capacity = log->capacity[level] == 0 ? LEVEL_CAPACITY_MIN : 2 * log->capacity[level];
    struct hash *hashes = reallocarray(log->levels[level], capacity, sizeof(struct hash));
    if (hashes == NULL)
        return SEALMQ_E_NOMEM;
    log->levels[level] = hashes;
    log->capacity[level] = capacity;
    return 0;
}

static struct hash *subtree(const struct merkle_log *log, unsigned level, uint64_t at)
{
    ASSERT(at >= log->first[level]);
    return &log->levels[level][at - log->first[level]];
}

int merkle_log_begin(struct merkle_log *log, const struct merkle_edge *edge)
{
    ASSERT(log->size == 0);
    for (unsigned level = 0; level < LEVELS; level++) {
        int error = (edge->size >> level & 1) != 0 ? level_reserve(log, level, 0) : 0;
        if (error != 0)
            return error;
    }
    size_t node = 0;
    for (unsigned level = LEVELS; level-- > 0;) {
        log->first[level] = first_of(edge->size, level);
        if ((edge->size >> level & 1) != 0)
            log->levels[level][0] = edge->nodes[node++];
    }
    log->size = log->base = edge->size;
    return 0;
}

int merkle_log_append(struct merkle_log *log, const struct hash *leaf)
{
    uint64_t size = log->size + 1;
    /* The new leaf completes one subtree on each level up to the number of its trailing zeros. */
    unsigned top = (unsigned)__builtin_ctzll(size);
    for (unsigned level = 0; level <= top; level++) {
        int error = level_reserve(log, level, (log->size >> level) - log->first[level]);
        if (error != 0)
            return error;
    }
    *subtree(log, 0, log->size) = *leaf;
    for (unsigned level = 1; level <= top; level++) {
        uint64_t at = log->size >> level;
        hash_node(subtree(log, level - 1, 2 * at), subtree(log, level - 1, 2 * at + 1),
                  subtree(log, level, at));
    }
    log->size = size;
    return 0;
}

void merkle_log_leaf(const struct merkle_log *log, uint64_t index, struct hash *out)
{
    ASSERT(index >= log->base && index < log->size);
    *out = log->levels[0][index - log->first[0]];
}

void merkle_log_close(struct merkle_log *log)
{
    for (size_t level = 0; level < LEVELS; level++)
        free(log->levels[level]);
    *log = (struct merkle_log){0};
}

void merkle_log_forget(struct merkle_log *log, uint64_t base)
{
    ASSERT(base >= log->base && base <= log->size);
    for (unsigned level = 0; level < LEVELS; level++) {
        uint64_t first = first_of(base, level), end = log->size >> level;
        if (first > log->first[level] && end > first)
            memmove(log->levels[level], subtree(log, level, first),
                    (size_t)(end - first) * sizeof(struct hash));
        log->first[level] = first;
    }
    log->base = base;
}

/* The last complete subtree of the range from..*to, which must not be empty; it is cut off. */
static const struct hash *take_last_subtree(const struct merkle_log *log, uint64_t from,
                                            uint64_t *to)
{
    ASSERT(from < *to);
    unsigned level = (unsigned)__builtin_ctzll(*to - from);
    *to -= UINT64_C(1) << level;
    return subtree(log, level, *to >> level);
}

/* The range is a row of complete subtrees, each smaller than the one before it. */
static void range_root(const void *leaves, uint64_t from, uint64_t to, struct hash *out)
{
    const struct merkle_log *log = leaves;
    struct hash root = *take_last_subtree(log, from, &to);
    while (to > from)
        hash_node(take_last_subtree(log, from, &to), &root, &root);
    *out = root;
}

void merkle_log_edge(const struct merkle_log *log, uint64_t size, struct merkle_edge *out)
{
    ASSERT(size >= log->base && size <= log->size);
    *out = (struct merkle_edge){.size = size};
    size_t node = 0;
    for (unsigned level = LEVELS; level-- > 0;)
        if ((size >> level & 1) != 0)
            out->nodes[node++] = *subtree(log, level, (size >> level) - 1);
}

void merkle_log_root(const struct merkle_log *log, uint64_t size, struct hash *out)
{
    ASSERT(size >= log->base && size <= log->size);
    if (size == 0)
        merkle_empty_root(out);
    else
        range_root(log, 0, size, out);
}

void merkle_log_prove(const struct merkle_log *log, uint64_t index, uint64_t size,
                      struct merkle_path *out)
{
    ASSERT(index >= log->base && size <= log->size);
    struct merkle_source source = {range_root, log};
    merkle_source_prove(&source, size, index, out);
}

void merkle_log_prove_consistency(const struct merkle_log *log, uint64_t m, uint64_t n,
                                  struct merkle_path *out)
{
    ASSERT(m >= log->base && n <= log->size);
    struct merkle_source source = {range_root, log};
    merkle_source_prove_consistency(&source, n, m, out);
}
