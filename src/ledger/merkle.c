/* Roots, paths and their verification. A tree of n leaves is cut at the largest power of two below
 * n, left part first, down to single leaves; all below follows from that. */
#include "ledger/merkle.h"

#include "base/assert.h"
#include "ledger/merkle_int.h"

void merkle_empty_root(struct hash *out)
{
    hash_sha256((struct bytes){NULL, 0}, out);
}

static unsigned bit_count(uint64_t v)
{
    return (unsigned)__builtin_popcountll(v);
}

/* Position of the highest set bit plus one; 0 for 0. */
static unsigned bit_length(uint64_t v)
{
    return v == 0 ? 0 : 64 - (unsigned)__builtin_clzll(v);
}

/* Where a tree of n >= 2 leaves is cut. */
static uint64_t split(uint64_t n)
{
    ASSERT(n >= 2);
    return UINT64_C(1) << (bit_length(n - 1) - 1);
}

void merkle_edge_append(struct merkle_edge *edge, const struct hash *leaf)
{
    ASSERT(edge->size < UINT64_MAX);
    struct hash carry = *leaf;
    unsigned n = bit_count(edge->size);
    for (uint64_t size = edge->size; (size & 1) != 0; size >>= 1)
        hash_node(&edge->nodes[--n], &carry, &carry);
    edge->nodes[n] = carry;
    edge->size++;
}

void merkle_edge_root(const struct merkle_edge *edge, struct hash *out)
{
    if (edge->size == 0) {
        merkle_empty_root(out);
        return;
    }
    unsigned n = bit_count(edge->size);
    struct hash root = edge->nodes[--n];
    while (n > 0)
        hash_node(&edge->nodes[--n], &root, &root);
    *out = root;
}

void merkle_root(const struct hash *leaves, size_t n, struct hash *out)
{
    struct merkle_edge edge;
    edge.size = 0;
    for (size_t i = 0; i < n; i++)
        merkle_edge_append(&edge, &leaves[i]);
    merkle_edge_root(&edge, out);
}

static void path_append(struct merkle_path *path, const struct merkle_source *source, uint64_t from,
                        uint64_t to)
{
    ASSERT(path->n < MERKLE_PATH_MAX);
    source->root(source->leaves, from, to, &path->hashes[path->n++]);
}

/* Siblings are found from the root downwards, but named from the leaf upwards. */
static void path_reverse(struct merkle_path *path)
{
    for (size_t i = 0, j = path->n; i + 1 < j; i++) {
        struct hash swapped = path->hashes[i];
        path->hashes[i] = path->hashes[--j];
        path->hashes[j] = swapped;
    }
}

void merkle_source_prove(const struct merkle_source *source, uint64_t n, uint64_t index,
                         struct merkle_path *out)
{
    ASSERT(index < n);
    out->n = 0;
    uint64_t from = 0, to = n;
    while (to - from > 1) {
        uint64_t middle = from + split(to - from);
        if (index < middle) {
            path_append(out, source, middle, to);
            to = middle;
        } else {
            path_append(out, source, from, middle);
            from = middle;
        }
    }
    path_reverse(out);
}

void merkle_source_prove_consistency(const struct merkle_source *source, uint64_t n, uint64_t m,
                                     struct merkle_path *out)
{
    ASSERT(m > 0 && m <= n);
    out->n = 0;
    uint64_t from = 0, to = n;
    while (m != to) {
        uint64_t middle = from + split(to - from);
        if (m <= middle) {
            path_append(out, source, middle, to);
            to = middle;
        } else {
            path_append(out, source, from, middle);
            from = middle;
        }
    }
    /* What is left is a subtree of both trees. It is the whole old tree when nothing was cut off on
     * its left, and then the verifier knows it already. */
    if (from != 0)
        path_append(out, source, from, to);
    path_reverse(out);
}

static void array_root(const void *leaves, uint64_t from, uint64_t to, struct hash *out)
{
    merkle_root((const struct hash *)leaves + from, (size_t)(to - from), out);
}

void merkle_prove(const struct hash *leaves, size_t n, size_t index, struct merkle_path *out)
{
    struct merkle_source source = {array_root, leaves};
    merkle_source_prove(&source, n, index, out);
}

void merkle_prove_consistency(const struct hash *leaves, size_t n, size_t m,
                              struct merkle_path *out)
{
    struct merkle_source source = {array_root, leaves};
    merkle_source_prove_consistency(&source, n, m, out);
}

/* Length of the path of leaf `index` in a tree whose last leaf is `last`: one for every level on
 * which the two are in different subtrees, and above those one for every left sibling. */
static size_t path_length(uint64_t index, uint64_t last)
{
    unsigned inner = bit_length(index ^ last);
    return inner + (inner == 64 ? 0 : bit_count(index >> inner));
}

int merkle_verify(const struct hash *leaf, uint64_t index, uint64_t size,
                  const struct merkle_path *path, const struct hash *root)
{
    if (index >= size || path->n != path_length(index, size - 1))
        return SEALMQ_E_PARSE;
    /* RFC 9162 section 2.1.3.2. The length was checked, so the levels end with the path. */
    uint64_t at = index, last = size - 1;
    struct hash hash = *leaf;
    for (size_t i = 0; i < path->n; i++) {
        if ((at & 1) != 0 || at == last) {
            hash_node(&path->hashes[i], &hash, &hash);
            while ((at & 1) == 0 && at != 0) {
                at >>= 1;
                last >>= 1;
            }
        } else {
            hash_node(&hash, &path->hashes[i], &hash);
        }
        at >>= 1;
        last >>= 1;
    }
    return hash_equal(&hash, root) ? 0 : SEALMQ_E_HASH;
}

int merkle_verify_consistency(uint64_t m, uint64_t n, const struct hash *root_m,
                              const struct hash *root_n, const struct merkle_path *path)
{
    if (m == 0 || m > n)
        return SEALMQ_E_PARSE;
    if (m == n) {
        if (path->n != 0)
            return SEALMQ_E_PARSE;
        return hash_equal(root_m, root_n) ? 0 : SEALMQ_E_HASH;
    }
    /* RFC 9162 section 2.1.4.2: both roots are built from the largest subtree that ends at m. It is
     * the old tree itself when m is a power of two; else it is the first hash of the path. */
    unsigned shift = (unsigned)__builtin_ctzll(m);
    uint64_t at = (m - 1) >> shift, last = (n - 1) >> shift;
    size_t given = (m & (m - 1)) == 0 ? 0 : 1;
    if (path->n > MERKLE_PATH_MAX || path->n != given + path_length(at, last))
        return SEALMQ_E_PARSE;
    struct hash old = given == 0 ? *root_m : path->hashes[0];
    struct hash new = old;
    for (size_t i = given; i < path->n; i++) {
        if ((at & 1) != 0 || at == last) {
            hash_node(&path->hashes[i], &old, &old);
            hash_node(&path->hashes[i], &new, &new);
            while ((at & 1) == 0 && at != 0) {
                at >>= 1;
                last >>= 1;
            }
        } else {
            hash_node(&new, &path->hashes[i], &new);
        }
        at >>= 1;
        last >>= 1;
    }
    return hash_equal(&old, root_m) && hash_equal(&new, root_n) ? 0 : SEALMQ_E_HASH;
}
