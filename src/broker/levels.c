#include "broker/levels.h"

#include "base/assert.h"

#include <stdlib.h>

bool level_walk_next(struct level_walk *walk, struct bytes *text)
{
    if (walk->at_end)
        return false;
    const uint8_t *slash = walk->rest.n == 0 ? NULL : memchr(walk->rest.p, '/', walk->rest.n);
    if (slash == NULL) {
        *text = walk->rest;
        walk->at_end = true;
        return true;
    }
    *text = bytes_of(walk->rest.p, (size_t)(slash - walk->rest.p));
    walk->rest = bytes_of(slash + 1, walk->rest.n - text->n - 1);
    return true;
}

size_t level_count(struct bytes path)
{
    size_t count = 1;
    for (size_t i = 0; i < path.n; i++)
        count += path.p[i] == '/';
    return count;
}

static struct level *level_new(const struct levels *levels, struct bytes text)
{
    struct level *node = calloc(1, levels->node_size + text.n);
    if (node == NULL)
        return NULL;
    uint8_t *copy = (uint8_t *)node + levels->node_size;
    if (text.n != 0)
        memcpy(copy, text.p, text.n);
    node->text = bytes_of(copy, text.n);
    return node;
}

int levels_init(struct levels *levels, struct hash_key key, size_t node_size)
{
    *levels = (struct levels){.key = key, .node_size = node_size};
    levels->root = level_new(levels, (struct bytes){0});
    if (levels->root == NULL)
        return SEALMQ_E_NOMEM;
    levels->root->link.hash = LEVELS_ROOT_HASH;
    int error = table_init(&levels->nodes);
    if (error != 0) {
        free(levels->root);
        levels->root = NULL;
    }
    return error;
}

void levels_close(struct levels *levels)
{
    if (levels->nodes.buckets != NULL) {
        size_t bucket = 0;
        struct table_link *link;
        while ((link = table_take_any(&levels->nodes, &bucket)) != NULL)
            free(CONTAINER_OF(link, struct level, link));
    }
    table_close(&levels->nodes);
    free(levels->root);
    levels->root = NULL;
}

static bool is_char(struct bytes text, char c)
{
    return text.n == 1 && text.p[0] == (uint8_t)c;
}

uint64_t levels_hash(const struct levels *levels, uint64_t parent_hash, struct bytes text)
{
    return keyed_hash(&levels->key, parent_hash, text);
}

struct level *levels_child_of_hash(const struct levels *levels, const struct level *parent,
                                   struct bytes text, uint64_t hash)
{
    struct table_link *link = table_find(&levels->nodes, hash);
    for (; link != NULL; link = table_find_next(link)) {
        struct level *node = CONTAINER_OF(link, struct level, link);
        if (node->parent == parent && bytes_equal(node->text, text))
            return node;
    }
    return NULL;
}

struct level *levels_child(const struct levels *levels, const struct level *parent,
                           struct bytes text)
{
    if (parent->first_child == NULL)
        return NULL;
    return levels_child_of_hash(levels, parent, text, levels_hash(levels, parent->link.hash, text));
}

void levels_approach(const struct levels *levels, struct bytes path, struct level_hashes *out)
{
    struct level_walk walk = level_walk_of(path);
    struct bytes text;
    uint64_t hash = LEVELS_ROOT_HASH;
    out->count = 0;
    while (out->count < LEVEL_HASHES_MOST && level_walk_next(&walk, &text)) {
        hash = levels_hash(levels, hash, text);
        out->hash[out->count++] = hash;
        __builtin_prefetch(table_bucket(&levels->nodes, hash));
    }
    for (size_t i = 0; i < out->count; i++)
        __builtin_prefetch(*table_bucket(&levels->nodes, out->hash[i]));
}

struct level *levels_find(const struct levels *levels, struct bytes path)
{
    struct level *node = levels->root;
    struct level_walk walk = level_walk_of(path);
    struct bytes text;
    while (node != NULL && level_walk_next(&walk, &text))
        node = levels_child(levels, node, text);
    return node;
}

static struct level *add_child(struct levels *levels, struct level *parent, struct bytes text,
                               uint64_t hash)
{
    struct level *node = level_new(levels, text);
    if (node == NULL)
        return NULL;
    node->parent = parent;
    node->next_sibling = parent->first_child;
    if (parent->first_child != NULL)
        parent->first_child->previous_sibling = node;
    parent->first_child = node;
    if (is_char(text, '+'))
        parent->plus = node;
    else if (is_char(text, '#'))
        parent->hash = node;
    table_add(&levels->nodes, &node->link, hash);
    return node;
}

static void remove_leaf(struct levels *levels, struct level *node)
{
    struct level *parent = node->parent;
    ASSERT(node->first_child == NULL && parent != NULL);
    if (node->previous_sibling != NULL)
        node->previous_sibling->next_sibling = node->next_sibling;
    else
        parent->first_child = node->next_sibling;
    if (node->next_sibling != NULL)
        node->next_sibling->previous_sibling = node->previous_sibling;
    if (parent->plus == node)
        parent->plus = NULL;
    if (parent->hash == node)
        parent->hash = NULL;
    table_remove(&levels->nodes, &node->link);
    free(node);
}

int levels_make(struct levels *levels, struct bytes path, struct level **out)
{
    struct level *node = levels->root;
    struct level *first_new = NULL;
    struct level_walk walk = level_walk_of(path);
    struct bytes text;
    while (level_walk_next(&walk, &text)) {
        uint64_t hash = levels_hash(levels, node->link.hash, text);
        struct level *child = levels_child_of_hash(levels, node, text, hash);
        if (child == NULL) {
            child = add_child(levels, node, text, hash);
            if (child == NULL)
                goto fail;
            if (first_new == NULL)
                first_new = child;
        }
        node = child;
    }
    *out = node;
    return 0;
fail:
    /* The new nodes are a chain that ends at `node`. */
    while (first_new != NULL) {
        struct level *parent = node->parent;
        bool was_first = node == first_new;
        remove_leaf(levels, node);
        if (was_first)
            break;
        node = parent;
    }
    return SEALMQ_E_NOMEM;
}

void levels_prune(struct levels *levels, struct level *node,
                  bool (*is_empty)(const struct level *node))
{
    while (node != levels->root && node->first_child == NULL && is_empty(node)) {
        struct level *parent = node->parent;
        remove_leaf(levels, node);
        node = parent;
    }
}

void levels_append_path(const struct levels *levels, const struct level *node, struct buf *out)
{
    size_t size = 0;
    for (const struct level *at = node; at != levels->root; at = at->parent)
        size += at->text.n + 1;
    if (size == 0)
        return;
    /* Filled from the end: the tree is walked upwards. */
    uint8_t *end = buf_extend(out, size - 1);
    if (end == NULL)
        return;
    end += size - 1;
    for (const struct level *at = node; at != levels->root; at = at->parent) {
        end -= at->text.n;
        if (at->text.n != 0)
            memcpy(end, at->text.p, at->text.n);
        if (at->parent != levels->root)
            *--end = '/';
    }
}
