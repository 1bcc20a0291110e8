/* A tree of topic levels: the shape under the subscription tree (where paths are filters) and under
 * the retained messages (where they are topics).
 *
 *     (root) -- "plant" -- "line1" -- "+"
 *            |          `- "#"
 *            `- "+" ----- "temperature"
 *
 * All nodes are in one hash table by (parent, text), so a step downwards costs the same however
 * many children a node has. The wildcards' children are also reached by pointer, and all children
 * are linked for walking. A node belongs to its user, who embeds `struct level` as the first
 * member; it stays until its user has nothing in it and it has no children (levels_prune). */
#ifndef SEALMQ_BROKER_LEVELS_H
#define SEALMQ_BROKER_LEVELS_H

#include "broker/keyed_hash.h"
#include "broker/table.h"

struct level {
    struct table_link link;
    struct level *parent;
    struct level *first_child;
    struct level *next_sibling, *previous_sibling;
    struct level *plus, *hash; /* the children "+" and "#", or NULL */
    struct bytes text;         /* stands behind the node */
};

struct levels {
    struct table nodes;
    struct hash_key key;
    size_t node_size;
    struct level *root;
};

/* Walks the levels of a topic or filter: "a//b" has three. */
struct level_walk {
    struct bytes rest;
    bool at_end;
};
static inline struct level_walk level_walk_of(struct bytes path)
{
    return (struct level_walk){path, false};
}
bool level_walk_next(struct level_walk *walk, struct bytes *text);
size_t level_count(struct bytes path);

/* `node_size` is the size of the user's node; new nodes are zeroed. */
SEALMQ_MUST_CHECK int levels_init(struct levels *levels, struct hash_key key, size_t node_size);
/* Frees all nodes; what the user keeps in them must be gone. */
void levels_close(struct levels *levels);

/* The child of `parent` with this text, or NULL. */
struct level *levels_child(const struct levels *levels, const struct level *parent,
                           struct bytes text);
/* The same, where levels_hash(levels, parent's hash, text) is known. */
struct level *levels_child_of_hash(const struct levels *levels, const struct level *parent,
                                   struct bytes text, uint64_t hash);
/* The node at `path`, or NULL. */
struct level *levels_find(const struct levels *levels, struct bytes path);
/* The node at `path`, made where it is missing. SEALMQ_E_NOMEM: nothing has changed. The caller
 * puts something into it, or prunes it. */
SEALMQ_MUST_CHECK int levels_make(struct levels *levels, struct bytes path, struct level **out);
/* Removes `node` and then its parents as long as they have no children and is_empty says so. */
void levels_prune(struct levels *levels, struct level *node,
                  bool (*is_empty)(const struct level *node));
/* Hashes of paths: LEVELS_ROOT_HASH is that of no levels, levels_hash that of one level more. A
 * node has the hash of its path in link.hash. */
#define LEVELS_ROOT_HASH UINT64_C(0)
uint64_t levels_hash(const struct levels *levels, uint64_t parent_hash, struct bytes text);
/* Those of a path's beginnings, up to so many levels. */
#define LEVEL_HASHES_MOST 8
struct level_hashes {
    uint64_t hash[LEVEL_HASHES_MOST]; /* of one level, of two, ... */
    size_t count;
};
/* Works them out, and has the memory brought near in which the nodes of the path are found: of a
 * large tree little is in the processor's caches, and what is asked for at once comes at once. */
void levels_approach(const struct levels *levels, struct bytes path, struct level_hashes *out);
/* Appends the path of `node`. */
void levels_append_path(const struct levels *levels, const struct level *node, struct buf *out);

#endif
