/* The state tree. Leaves and branches live in two arrays and name each other by 32-bit references,
 * which costs 108 bytes an entry. The arrays only grow, so that a change can be undone without
 * memory: see statetree_set.
 *
 * Invariants: a tree of n > 0 entries has n leaves and n - 1 branches. Bit positions rise on every
 * way from the root downwards. A branch whose hash is stale has only stale branches above it. */
#include "ledger/statetree.h"

#include "base/assert.h"

#include <stdlib.h>

/* A reference: the index of a leaf, or of a branch with this bit. */
#define REF_BRANCH   UINT32_C(0x80000000)
#define REF_NONE     UINT32_C(0xffffffff)
#define ENTRIES_MAX  UINT32_C(0x40000000)
#define CAPACITY_MIN 64

struct leaf {
    struct hash key;  /* SHA-256 of the key; when free, the next free leaf is in `hash` */
    struct hash hash; /* of the leaf */
};

struct branch {
    uint32_t child[2];
    struct hash hash;
    uint8_t bit;
    bool stale; /* `hash` is to be computed again */
};

struct statetree {
    struct leaf *leaves;
    struct branch *branches;
    uint32_t capacity; /* of each array */
    uint32_t entries;
    uint32_t leaves_used, branches_used; /* from the front of the arrays, freed ones included */
    uint32_t free_leaf, free_branch;     /* lists of freed ones */
    uint32_t root;                       /* reference */
};

int statetree_new(struct statetree **out)
{
    struct statetree *tree = calloc(1, sizeof(*tree));
    if (tree == NULL)
        return SEALMQ_E_NOMEM;
    tree->free_leaf = tree->free_branch = tree->root = REF_NONE;
    *out = tree;
    return 0;
}

void statetree_free(struct statetree *tree)
{
    if (tree == NULL)
        return;
    free(tree->leaves);
    free(tree->branches);
    free(tree);
}

static bool is_branch(uint32_t ref)
{
    return (ref & REF_BRANCH) != 0;
}

static struct branch *branch_at(const struct statetree *tree, uint32_t ref)
{
    return &tree->branches[ref & ~REF_BRANCH];
}

static unsigned hash_bit(const struct hash *h, unsigned bit)
{
    return (unsigned)(h->b[bit / 8] >> (7 - bit % 8)) & 1;
}

/* The first bit in which the two differ; 256 when they are equal. */
static unsigned first_difference(const struct hash *a, const struct hash *b)
{
    for (unsigned i = 0; i < HASH_SIZE; i++) {
        unsigned difference = (unsigned)(a->b[i] ^ b->b[i]);
        if (difference != 0)
            return 8 * i + (unsigned)__builtin_clz(difference) - 24;
    }
    return 256;
}

static void leaf_hash(const struct hash *key, struct bytes value, struct hash *out)
{
    static const uint8_t prefix = 0;
    struct hash value_hash;
    hash_sha256(value, &value_hash);
    struct hasher h;
    hasher_init(&h);
    hasher_update(&h, bytes_of(&prefix, 1));
    hasher_update(&h, hash_bytes(key));
    hasher_update(&h, hash_bytes(&value_hash));
    hasher_final(&h, out);
}

static void branch_hash(uint8_t bit, const struct hash *left, const struct hash *right,
                        struct hash *out)
{
    const uint8_t prefix[2] = {1, bit};
    struct hasher h;
    hasher_init(&h);
    hasher_update(&h, bytes_of(prefix, sizeof(prefix)));
    hasher_update(&h, hash_bytes(left));
    hasher_update(&h, hash_bytes(right));
    hasher_final(&h, out);
}

int statetree_reserve(struct statetree *tree, size_t n)
{
    if (tree->capacity - tree->entries >= n)
        return 0;
    if (n > ENTRIES_MAX - tree->entries)
        return SEALMQ_E_LIMIT;
    uint32_t capacity = tree->capacity == 0 ? CAPACITY_MIN : tree->capacity;
    while (capacity - tree->entries < n)
        capacity *= 2; /* a power of two, and so ENTRIES_MAX at most */
    struct leaf *leaves = reallocarray(tree->leaves, capacity, sizeof(*leaves));
    if (leaves == NULL)
        return SEALMQ_E_NOMEM;
    tree->leaves = leaves;
    struct branch *branches = reallocarray(tree->branches, capacity, sizeof(*branches));
    if (branches == NULL)
        return SEALMQ_E_NOMEM;
    tree->branches = branches;
    tree->capacity = capacity;
    return 0;
}

/* After statetree_reserve(). */
static uint32_t leaf_take(struct statetree *tree, const struct hash *key, const struct hash *hash)
{
    uint32_t ref = tree->free_leaf;
    if (ref == REF_NONE)
        ref = tree->leaves_used++;
    else
        memcpy(&tree->free_leaf, tree->leaves[ref].hash.b, sizeof(uint32_t));
    tree->leaves[ref] = (struct leaf){*key, *hash};
    return ref;
}

static void leaf_give(struct statetree *tree, uint32_t ref)
{
    memcpy(tree->leaves[ref].hash.b, &tree->free_leaf, sizeof(uint32_t));
    tree->free_leaf = ref;
}

/* After statetree_reserve(). */
static uint32_t branch_take(struct statetree *tree)
{
    uint32_t ref = tree->free_branch;
    if (ref == REF_NONE)
        ref = tree->branches_used++ | REF_BRANCH;
    else
        tree->free_branch = branch_at(tree, ref)->child[0];
    return ref;
}

static void branch_give(struct statetree *tree, uint32_t ref)
{
    branch_at(tree, ref)->child[0] = tree->free_branch;
    tree->free_branch = ref;
}

/* The one leaf that can hold `key`. The tree is not empty. */
static struct leaf *leaf_near(const struct statetree *tree, const struct hash *key)
{
    uint32_t ref = tree->root;
    while (is_branch(ref)) {
        const struct branch *branch = branch_at(tree, ref);
        ref = branch->child[hash_bit(key, branch->bit)];
    }
    return &tree->leaves[ref];
}

/* Where the reference to what lies on the way of `key` below all branches of a position less than
 * `bit` is kept; the branches on the way become stale. */
static uint32_t *descend_stale(struct statetree *tree, const struct hash *key, unsigned bit)
{
    uint32_t *at = &tree->root;
    while (is_branch(*at) && branch_at(tree, *at)->bit < bit) {
        struct branch *branch = branch_at(tree, *at);
        branch->stale = true;
        at = &branch->child[hash_bit(key, branch->bit)];
    }
    return at;
}

int statetree_set(struct statetree *tree, struct bytes key, struct bytes value)
{
    struct hash key_hash, hash;
    hash_sha256(key, &key_hash);
    leaf_hash(&key_hash, value, &hash);

    unsigned bit = 256;
    if (tree->entries != 0) {
        struct leaf *near = leaf_near(tree, &key_hash);
        bit = first_difference(&near->key, &key_hash);
        if (bit == 256) {
            if (!hash_equal(&near->hash, &hash)) {
                (void)descend_stale(tree, &key_hash, 256);
                near->hash = hash;
            }
            return 0;
        }
    }
    int error = statetree_reserve(tree, 1);
    if (error != 0)
        return error;
    uint32_t leaf = leaf_take(tree, &key_hash, &hash);
    tree->entries++;
    if (tree->entries == 1) {
        tree->root = leaf;
        return 0;
    }
    uint32_t ref = branch_take(tree);
    uint32_t *at = descend_stale(tree, &key_hash, bit);
    struct branch *branch = branch_at(tree, ref);
    unsigned side = hash_bit(&key_hash, bit);
    branch->child[side] = leaf;
    branch->child[1 - side] = *at;
    branch->bit = (uint8_t)bit;
    branch->stale = true;
    *at = ref;
    return 0;
}

void statetree_remove(struct statetree *tree, struct bytes key)
{
    if (tree->entries == 0)
        return;
    struct hash key_hash;
    hash_sha256(key, &key_hash);
    struct leaf *leaf = leaf_near(tree, &key_hash);
    if (!hash_equal(&leaf->key, &key_hash))
        return;

    /* The branch above the leaf gives its place to its other child. */
    uint32_t *above = NULL;
    uint32_t *at = &tree->root;
    while (is_branch(*at)) {
        struct branch *branch = branch_at(tree, *at);
        branch->stale = true;
        above = at;
        at = &branch->child[hash_bit(&key_hash, branch->bit)];
    }
    leaf_give(tree, *at);
    tree->entries--;
    if (above == NULL) {
        tree->root = REF_NONE;
        return;
    }
    uint32_t branch = *above;
    *above = branch_at(tree, branch)->child[at == &branch_at(tree, branch)->child[0] ? 1 : 0];
    branch_give(tree, branch);
}

/* Computes what is stale below `ref`; recursion is at most 256 deep, once for each bit. */
static const struct hash *node_hash(const struct statetree *tree, uint32_t ref)
{
    if (!is_branch(ref))
        return &tree->leaves[ref].hash;
    struct branch *branch = branch_at(tree, ref);
    if (branch->stale) {
        branch_hash(branch->bit, node_hash(tree, branch->child[0]),
                    node_hash(tree, branch->child[1]), &branch->hash);
        branch->stale = false;
    }
    return &branch->hash;
}

void statetree_root(struct statetree *tree, struct hash *out)
{
    if (tree->entries == 0)
        *out = (struct hash){{0}};
    else
        *out = *node_hash(tree, tree->root);
}

int statetree_prove(struct statetree *tree, struct bytes key, struct statetree_path *out)
{
    out->n = 0;
    if (tree->entries == 0)
        return SEALMQ_E_NOTFOUND;
    struct hash key_hash;
    hash_sha256(key, &key_hash);
    if (!hash_equal(&leaf_near(tree, &key_hash)->key, &key_hash))
        return SEALMQ_E_NOTFOUND;

    size_t n = 0;
    for (uint32_t ref = tree->root; is_branch(ref); n++)
        ref = branch_at(tree, ref)->child[hash_bit(&key_hash, branch_at(tree, ref)->bit)];
    ASSERT(n <= STATETREE_DEPTH_MAX);
    out->n = n;
    for (uint32_t ref = tree->root; is_branch(ref);) {
        const struct branch *branch = branch_at(tree, ref);
        unsigned side = hash_bit(&key_hash, branch->bit);
        n--;
        out->steps[n].bit = branch->bit;
        out->steps[n].sibling = *node_hash(tree, branch->child[1 - side]);
        ref = branch->child[side];
    }
    return 0;
}

int statetree_verify(struct bytes key, struct bytes value, const struct statetree_path *path,
                     const struct hash *root)
{
    if (path->n > STATETREE_DEPTH_MAX)
        return SEALMQ_E_PARSE;
    struct hash key_hash, hash;
    hash_sha256(key, &key_hash);
    leaf_hash(&key_hash, value, &hash);
    unsigned below = 256;
    for (size_t i = 0; i < path->n; i++) {
        uint8_t bit = path->steps[i].bit;
        const struct hash *sibling = &path->steps[i].sibling;
        if (bit >= below)
            return SEALMQ_E_PARSE;
        below = bit;
        if (hash_bit(&key_hash, bit) != 0)
            branch_hash(bit, sibling, &hash, &hash);
        else
            branch_hash(bit, &hash, sibling, &hash);
    }
    return hash_equal(&hash, root) ? 0 : SEALMQ_E_HASH;
}

void statetree_path_encode(const struct statetree_path *path, struct buf *out)
{
    ASSERT(path->n <= STATETREE_DEPTH_MAX);
    buf_append_u16(out, (uint16_t)path->n);
    for (size_t i = 0; i < path->n; i++) {
        buf_append_u8(out, path->steps[i].bit);
        buf_append_bytes(out, hash_bytes(&path->steps[i].sibling));
    }
}

int statetree_path_decode(struct reader *r, struct statetree_path *out)
{
    out->n = 0;
    size_t n = reader_u16(r);
    if (n > STATETREE_DEPTH_MAX)
        reader_fail(r, SEALMQ_E_LIMIT);
    unsigned below = 256;
    for (size_t i = 0; i < n && r->failed == 0; i++) {
        out->steps[i].bit = reader_u8(r);
        reader_copy(r, out->steps[i].sibling.b, HASH_SIZE);
        if (r->failed == 0 && out->steps[i].bit >= below)
            reader_fail(r, SEALMQ_E_PARSE);
        below = out->steps[i].bit;
    }
    if (r->failed == 0)
        out->n = n;
    return reader_status(r);
}
