/* A log of leaves with all of its complete subtrees: level k holds size >> k hashes, so that a log
 * of n leaves takes less than 2 n hashes of memory. */
#include "ledger/merkle.h"

#include "base/assert.h"
#include "ledger/merkle_int.h"

#include <stdlib.h>

#define LEVEL_CAPACITY_MIN 64

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

int merkle_log_append(struct merkle_log *log, const struct hash *leaf)
{
    uint64_t size = log->size + 1;
    /* The new leaf completes one subtree on each level up to the number of its trailing zeros. */
    unsigned top = (unsigned)__builtin_ctzll(size);
    for (unsigned level = 0; level <= top; level++) {
        int error = level_reserve(log, level, log->size >> level);
        if (error != 0)
            return error;
    }
    log->levels[0][log->size] = *leaf;
    for (unsigned level = 1; level <= top; level++) {
        uint64_t at = log->size >> level;
        const struct hash *below = &log->levels[level - 1][2 * at];
        hash_node(&below[0], &below[1], &log->levels[level][at]);
    }
    log->size = size;
    return 0;
}

void merkle_log_close(struct merkle_log *log)
{
    for (size_t level = 0; level < 64; level++)
        free(log->levels[level]);
    *log = (struct merkle_log){0};
}

/* The last complete subtree of the range from..*to, which must not be empty; it is cut off. */
static const struct hash *take_last_subtree(const struct merkle_log *log, uint64_t from,
                                            uint64_t *to)
{
    ASSERT(from < *to);
    unsigned level = (unsigned)__builtin_ctzll(*to - from);
    *to -= UINT64_C(1) << level;
    return &log->levels[level][*to >> level];
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

void merkle_log_root(const struct merkle_log *log, uint64_t size, struct hash *out)
{
    ASSERT(size <= log->size);
    if (size == 0)
        merkle_empty_root(out);
    else
        range_root(log, 0, size, out);
}

void merkle_log_prove(const struct merkle_log *log, uint64_t index, uint64_t size,
                      struct merkle_path *out)
{
    ASSERT(size <= log->size);
    struct merkle_source source = {range_root, log};
    merkle_source_prove(&source, size, index, out);
}

void merkle_log_prove_consistency(const struct merkle_log *log, uint64_t m, uint64_t n,
                                  struct merkle_path *out)
{
    ASSERT(n <= log->size);
    struct merkle_source source = {range_root, log};
    merkle_source_prove_consistency(&source, n, m, out);
}
