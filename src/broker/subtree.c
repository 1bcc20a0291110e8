#include "broker/subtree.h"

#include "base/assert.h"

#include <stdlib.h>

static struct filter_node *filter_node_of(const struct level *level)
{
    return CONTAINER_OF((struct level *)level, struct filter_node, level);
}

static bool node_is_empty(const struct level *level)
{
    const struct filter_node *node = filter_node_of(level);
    return node->first == NULL && node->shards == 0;
}

int subtree_init(struct subtree *tree, struct hash_key key)
{
    *tree = (struct subtree){.generation = 1};
    int error = table_init(&tree->by_subscriber);
    if (error != 0)
        return error;
    error = levels_init(&tree->levels, key, sizeof(struct filter_node));
    if (error != 0)
        table_close(&tree->by_subscriber);
    return error;
}

void subtree_close(struct subtree *tree)
{
    ASSERT(tree->count == 0);
    levels_close(&tree->levels);
    table_close(&tree->by_subscriber);
}

/* Pointers are no keys from outside; they only need spreading. */
static uint64_t pair_hash(const struct filter_node *node, const struct subscriber *subscriber)
{
    uint64_t x = (uint64_t)(uintptr_t)node * UINT64_C(0x9e3779b97f4a7c15);
    x ^= (uint64_t)(uintptr_t)subscriber * UINT64_C(0xd6e8feb86659fd93);
    return x ^ x >> 29;
}

static struct subscription *find(const struct subtree *tree, const struct filter_node *node,
                                 const struct subscriber *subscriber)
{
    struct table_link *link = table_find(&tree->by_subscriber, pair_hash(node, subscriber));
    for (; link != NULL; link = table_find_next(link)) {
        struct subscription *s = CONTAINER_OF(link, struct subscription, by_subscriber);
        if (s->node == node && s->subscriber == subscriber)
            return s;
    }
    return NULL;
}

static void link_subscription(struct subtree *tree, struct subscription *s)
{
    struct filter_node *node = s->node;
    s->next = node->first;
    if (node->first != NULL)
        node->first->previous = s;
    node->first = s;

    struct subscriber *subscriber = s->subscriber;
    s->next_held = subscriber->first;
    if (subscriber->first != NULL)
        subscriber->first->previous_held = s;
    subscriber->first = s;
    subscriber->count++;

    table_add(&tree->by_subscriber, &s->by_subscriber, pair_hash(node, subscriber));
    tree->count++;
}

/* Unlinks and frees a subscription; its node stays. */
static void remove_subscription(struct subtree *tree, struct subscription *s)
{
    if (s->previous != NULL)
        s->previous->next = s->next;
    else
        s->node->first = s->next;
    if (s->next != NULL)
        s->next->previous = s->previous;

    if (s->previous_held != NULL)
        s->previous_held->next_held = s->next_held;
    else
        s->subscriber->first = s->next_held;
    if (s->next_held != NULL)
        s->next_held->previous_held = s->previous_held;
    s->subscriber->count--;

    table_remove(&tree->by_subscriber, &s->by_subscriber);
    tree->count--;
    tree->generation++;
    free(s);
}

int subtree_subscribe(struct subtree *tree, struct subscriber *subscriber, struct bytes filter,
                      const struct subscription_options *options, struct subtree_change *change)
{
    *change = (struct subtree_change){0};
    struct level *level = NULL;
    int error = levels_make(&tree->levels, filter, &level);
    if (error != 0)
        return error;
    struct filter_node *node = filter_node_of(level);
    struct subscription *s = find(tree, node, subscriber);
    if (s != NULL) {
        change->existed = true;
    } else {
        s = calloc(1, sizeof *s);
        if (s == NULL) {
            levels_prune(&tree->levels, level, node_is_empty);
            return SEALMQ_E_NOMEM;
        }
        change->is_boundary = node->first == NULL;
        s->node = node;
        s->subscriber = subscriber;
        link_subscription(tree, s);
    }
    s->options = *options;
    tree->generation++;
    return 0;
}

void subtree_unsubscribe(struct subtree *tree, struct subscriber *subscriber, struct bytes filter,
                         struct subtree_change *change)
{
    *change = (struct subtree_change){0};
    struct level *level = levels_find(&tree->levels, filter);
    if (level == NULL)
        return;
    struct filter_node *node = filter_node_of(level);
    struct subscription *s = find(tree, node, subscriber);
    if (s == NULL)
        return;
    change->existed = true;
    remove_subscription(tree, s);
    change->is_boundary = node->first == NULL;
    levels_prune(&tree->levels, level, node_is_empty);
}

bool subtree_drop_one(struct subtree *tree, struct subscriber *subscriber, struct buf *boundary)
{
    buf_reset(boundary);
    struct subscription *s = subscriber->first;
    if (s == NULL)
        return false;
    struct filter_node *node = s->node;
    remove_subscription(tree, s);
    if (node->first == NULL)
        levels_append_path(&tree->levels, &node->level, boundary);
    levels_prune(&tree->levels, &node->level, node_is_empty);
    return true;
}

int subtree_shard_joins(struct subtree *tree, struct bytes filter, unsigned shard)
{
    struct level *level = NULL;
    int error = levels_make(&tree->levels, filter, &level);
    if (error != 0)
        return error;
    filter_node_of(level)->shards |= UINT64_C(1) << shard;
    tree->generation++;
    return 0;
}

void subtree_shard_leaves(struct subtree *tree, struct bytes filter, unsigned shard)
{
    struct level *level = levels_find(&tree->levels, filter);
    if (level == NULL)
        return;
    filter_node_of(level)->shards &= ~(UINT64_C(1) << shard);
    tree->generation++;
    levels_prune(&tree->levels, level, node_is_empty);
}

struct match {
    const struct subtree *tree;
    subtree_visit visit;
    void *context;
};

static int visit_node(const struct match *match, const struct level *level)
{
    return node_is_empty(level) ? 0 : match->visit(match->context, filter_node_of(level));
}

/* Visits what matches the levels left in `walk` below `level`. As deep as the deepest filter. */
static int match_below(const struct match *match, const struct level *level, struct level_walk walk,
                       bool wildcards)
{
    int error = 0;
    /* "#" also matches its parent: "a/#" matches "a". */
    if (wildcards && level->hash != NULL)
        error = visit_node(match, level->hash);
    struct bytes text;
    if (error != 0 || level->first_child == NULL)
        return error;
    if (!level_walk_next(&walk, &text))
        return 0;
    const struct level *next[2] = {
        levels_child(&match->tree->levels, level, text),
        wildcards ? level->plus : NULL,
    };
    for (size_t i = 0; i < 2 && error == 0; i++) {
        if (next[i] == NULL)
            continue;
        if (walk.at_end)
            error = visit_node(match, next[i]);
        if (error == 0)
            error = match_below(match, next[i], walk, true);
    }
    return error;
}

int subtree_match(const struct subtree *tree, struct bytes topic, subtree_visit visit,
                  void *context)
{
    struct match match = {tree, visit, context};
    /* A wildcard in the first level does not match topics that begin with '$' (section 4.7.2). */
    bool is_dollar = topic.n != 0 && topic.p[0] == '$';
    return match_below(&match, tree->levels.root, level_walk_of(topic), !is_dollar);
}
