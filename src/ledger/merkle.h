/* Merkle trees as RFC 6962 section 2.1 / RFC 9162: SHA-256, leaves 0x00, nodes 0x01; the root of
 * the empty tree is SHA-256(""). */
#ifndef SEALMQ_LEDGER_MERKLE_H
#define SEALMQ_LEDGER_MERKLE_H

#include "crypto/hash.h"

#define MERKLE_PATH_MAX 64

struct merkle_path {
    size_t n;
    struct hash hashes[MERKLE_PATH_MAX]; /* from the leaf upwards */
};

/* Root over `n` leaf hashes (already hashed with 0x00). */
void merkle_root(const struct hash *leaves, size_t n, struct hash *out);
/* Inclusion path of leaf `index` among n (index < n). */
void merkle_prove(const struct hash *leaves, size_t n, size_t index, struct merkle_path *out);
/* 0 or SEALMQ_E_HASH; SEALMQ_E_PARSE when the path has a wrong length for (index, size). */
SEALMQ_MUST_CHECK int merkle_verify(const struct hash *leaf, uint64_t index, uint64_t size,
                                    const struct merkle_path *path, const struct hash *root);
/* Consistency proof between the trees of the first m and of all n leaves (0 < m <= n). */
void merkle_prove_consistency(const struct hash *leaves, size_t n, size_t m,
                              struct merkle_path *out);
SEALMQ_MUST_CHECK int merkle_verify_consistency(uint64_t m, uint64_t n, const struct hash *root_m,
                                                const struct hash *root_n,
                                                const struct merkle_path *path);

/* The right edge of a growing tree: enough to append leaves and to know the root. */
struct merkle_edge {
    uint64_t size;
    struct hash nodes[64]; /* one for each set bit of size, largest subtree first */
};
void merkle_edge_append(struct merkle_edge *edge, const struct hash *leaf);
void merkle_edge_root(const struct merkle_edge *edge, struct hash *out);

/* A log of leaf hashes in memory from which inclusion and consistency proofs can be made in
 * O(log^2 n): keeps the complete subtrees from `base` on, and the edge of what is before. Proofs
 * are of leaves, and between sizes, from the base on. Zero-initialised is empty, with base 0. */
struct merkle_log {
    struct hash *levels[64]; /* levels[k][i]: complete subtree first[k] + i of 2^k leaves */
    size_t capacity[64];
    uint64_t first[64];
    uint64_t size, base;
};
/* An empty log becomes one whose first edge->size leaves are known by their edge alone.
 * SEALMQ_E_NOMEM. */
SEALMQ_MUST_CHECK int merkle_log_begin(struct merkle_log *log, const struct merkle_edge *edge);
SEALMQ_MUST_CHECK int merkle_log_append(struct merkle_log *log, const struct hash *leaf);
void merkle_log_close(struct merkle_log *log);
/* The base becomes `base` (log->base <= base <= log->size): what only older leaves need goes. */
void merkle_log_forget(struct merkle_log *log, uint64_t base);
/* The leaf hash at `index` (log->base <= index < log->size). */
void merkle_log_leaf(const struct merkle_log *log, uint64_t index, struct hash *out);
/* The edge when the log had `size` leaves (log->base <= size <= log->size). */
void merkle_log_edge(const struct merkle_log *log, uint64_t size, struct merkle_edge *out);
/* The root when the log had `size` leaves (log->base <= size <= log->size). */
void merkle_log_root(const struct merkle_log *log, uint64_t size, struct hash *out);
/* log->base <= index < size <= log->size. */
void merkle_log_prove(const struct merkle_log *log, uint64_t index, uint64_t size,
                      struct merkle_path *out);
/* log->base <= m <= n <= log->size; m is not 0. */
void merkle_log_prove_consistency(const struct merkle_log *log, uint64_t m, uint64_t n,
                                  struct merkle_path *out);

/* Leaves, wherever they are, that can tell the root of the subtree over any of the ranges that RFC
 * 6962 cuts a tree into: from < to, and `from` a multiple of the smallest power of two that is
 * >= to - from. */
struct merkle_source {
    void (*root)(const void *leaves, uint64_t from, uint64_t to, struct hash *out);
    const void *leaves;
};
/* RFC 6962 section 2.1.1, PATH(index, D[n]); index < n. */
void merkle_source_prove(const struct merkle_source *source, uint64_t n, uint64_t index,
                         struct merkle_path *out);
/* RFC 6962 section 2.1.2, PROOF(m, D[n]); 0 < m <= n. */
void merkle_source_prove_consistency(const struct merkle_source *source, uint64_t n, uint64_t m,
                                     struct merkle_path *out);

#endif
