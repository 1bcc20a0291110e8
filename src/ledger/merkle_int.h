/* How paths through a Merkle tree are found, whatever holds its leaves. Inside src/ledger only. */
#ifndef SEALMQ_LEDGER_MERKLE_INT_H
#define SEALMQ_LEDGER_MERKLE_INT_H

#include "ledger/merkle.h"

/* Leaves that can tell the root of the subtree over any of the ranges that RFC 6962 cuts a tree
 * into: from < to, and `from` a multiple of the smallest power of two that is >= to - from. */
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

/* The root of the empty tree. */
void merkle_empty_root(struct hash *out);

#endif
