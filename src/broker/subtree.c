#include "broker/subtree.h"

#include "base/assert.h"
#include "mqtt/packet.h"

#include <stdlib.h>

static struct filter_node *filter_node_of(const struct level *level)
{
    return CONTAINER_OF((struct level *)level, struct filter_node, level);
}

static bool node_is_empty(const struct level *level)
{
    const struct filter_node *node = filter_node_of(level);
    return node->first == NULL && node->shards == 0 && node->groups == NULL;
}

int subtree_init(struct subtree *tree, struct hash_key key, unsigned shards)
{
    *tree = (struct subtree){.shards = shards};
    int error = table_init(&tree->by_subscriber);
    if (error == 0)
        error = table_init(&tree->groups);
    if (error == 0)
        error = changes_init(&tree->changes);
    if (error == 0)
        error = levels_init(&tree->levels, key, sizeof(struct filter_node));
    if (error != 0) {
        table_close(&tree->by_subscriber);
        table_close(&tree->groups);
        changes_close(&tree->changes);
    }
    return error;
}

void subtree_close(struct subtree *tree)
{
    ASSERT(tree->count == 0);
    size_t bucket = 0;
    struct table_link *link;
    /* What is left are groups of other shards' members. */
    while (tree->groups.buckets != NULL &&
           (link = table_take_any(&tree->groups, &bucket)) != NULL) {
        struct group *group = CONTAINER_OF(link, struct group, link);
        group_name_release(group->name);
        free(group);
    }
    levels_close(&tree->levels);
    table_close(&tree->by_subscriber);
    table_close(&tree->groups);
    changes_close(&tree->changes);
}

/* The node at which a filter's beginning ends: the last one before a wildcard, as far as it counts
 * (broker/changes.h). */
static const struct level *beginning_of(const struct subtree *tree, const struct filter_node *node)
{
    const struct level *end = &node->level;
    size_t depth = 0;
    for (const struct level *at = end; at != tree->levels.root; at = at->parent) {
        depth++;
        if (at == at->parent->plus || at == at->parent->hash) {
            end = at->parent;
            depth = 0;
        }
    }
    for (; depth > CHANGES_DEPTH; depth--)
        end = end->parent;
    return end;
}

void subtree_note_change(struct subtree *tree, const struct filter_node *node)
{
    changes_note(&tree->changes, beginning_of(tree, node)->link.hash);
}

void subtree_note_change_of_all(struct subtree *tree)
{
    changes_note(&tree->changes, LEVELS_ROOT_HASH);
}

void subtree_watch(const struct subtree *tree, struct bytes topic, struct change_watch *watch)
{
    struct level_walk walk = level_walk_of(topic);
    struct bytes text;
    uint64_t hash = LEVELS_ROOT_HASH;
    change_watch_start(watch, &tree->changes);
    for (size_t i = 0; i < CHANGES_DEPTH && level_walk_next(&walk, &text); i++) {
        hash = levels_hash(&tree->levels, hash, text);
        change_watch_add(watch, &tree->changes, hash);
    }
}

/* Pointers are no keys from outside; they only need spreading. */
static uint64_t pair_hash(const void *holder, const struct subscriber *subscriber)
{
    uint64_t x = (uint64_t)(uintptr_t)holder * UINT64_C(0x9e3779b97f4a7c15);
    x ^= (uint64_t)(uintptr_t)subscriber * UINT64_C(0xd6e8feb86659fd93);
    return x ^ x >> 29;
}

/* What a subscription stands in: its node, or its group. */
static const void *holder_of(const struct filter_node *node, const struct group *group)
{
    return group != NULL ? (const void *)group : (const void *)node;
}

static struct subscription *find(const struct subtree *tree, const void *holder,
                                 const struct subscriber *subscriber)
{
    struct table_link *link = table_find(&tree->by_subscriber, pair_hash(holder, subscriber));
    for (; link != NULL; link = table_find_next(link)) {
        struct subscription *s = CONTAINER_OF(link, struct subscription, by_subscriber);
        if (holder_of(s->node, s->group) == holder && s->subscriber == subscriber)
            return s;
    }
    return NULL;
}

static enum group_ring ring_of(const struct subscriber *subscriber)
{
    return subscriber->is_online ? RING_ONLINE : RING_OFFLINE;
}

static void link_subscription(struct subtree *tree, struct subscription *s)
{
    struct filter_node *node = s->node;
    struct subscriber *subscriber = s->subscriber;
    if (s->group != NULL) {
        group_add_member(s->group, s, ring_of(subscriber));
        subscriber->shared_count++;
        tree->shared_count++;
    } else {
        s->next = node->first;
        if (node->first != NULL)
            node->first->previous = s;
        node->first = s;
        node->durable_count += subscriber->is_durable;
    }

    s->next_held = subscriber->first;
    if (subscriber->first != NULL)
        subscriber->first->previous_held = s;
    subscriber->first = s;
    subscriber->count++;

    table_add(&tree->by_subscriber, &s->by_subscriber,
              pair_hash(holder_of(node, s->group), subscriber));
    tree->count++;
}

static void unlink_from_node(struct subscription *s)
{
    if (s->previous != NULL)
        s->previous->next = s->next;
    else
        s->node->first = s->next;
    if (s->next != NULL)
        s->next->previous = s->previous;
    s->node->durable_count -= s->subscriber->is_durable;
}

/* Whether coming or going of this subscriber, the others counted, is news for the other shards. */
static bool is_boundary(const struct filter_node *node, const struct group *group,
                        const struct subscriber *subscriber)
{
    return group != NULL || node->first == NULL ||
           (subscriber->is_durable && node->durable_count == 0);
}

/* Unlinks and frees a subscription; its node and its group stay. */
static void remove_subscription(struct subtree *tree, struct subscription *s)
{
    if (s->group != NULL) {
        group_remove_member(s->group, s, ring_of(s->subscriber));
        s->subscriber->shared_count--;
        tree->shared_count--;
    } else {
        unlink_from_node(s);
    }

    if (s->previous_held != NULL)
        s->previous_held->next_held = s->next_held;
    else
        s->subscriber->first = s->next_held;
    if (s->next_held != NULL)
        s->next_held->previous_held = s->previous_held;
    s->subscriber->count--;

    table_remove(&tree->by_subscriber, &s->by_subscriber);
    tree->count--;
    subtree_note_change(tree, s->node);
    free(s);
}

static void prune(struct subtree *tree, struct filter_node *node, struct group *group)
{
    if (group != NULL)
        group_prune(tree, group);
    levels_prune(&tree->levels, &node->level, node_is_empty);
}

/* The node of a filter and, for a shared one, the group, made where they are missing. */
static int make_holder(struct subtree *tree, struct bytes filter, struct filter_node **node,
                       struct group **group)
{
    struct level *level = NULL;
    *group = NULL;
    int error = levels_make(&tree->levels, mqtt_filter_without_share(filter), &level);
    if (error != 0)
        return error;
    *node = filter_node_of(level);
    if (!mqtt_filter_is_shared(filter))
        return 0;
    *group = group_make(tree, filter, *node);
    if (*group != NULL)
        return 0;
    levels_prune(&tree->levels, level, node_is_empty);
    return SEALMQ_E_NOMEM;
}

int subtree_subscribe(struct subtree *tree, struct subscriber *subscriber, struct bytes filter,
                      const struct subscription_options *options, struct subtree_change *change)
{
    *change = (struct subtree_change){0};
    struct filter_node *node;
    struct group *group;
    int error = make_holder(tree, filter, &node, &group);
    if (error != 0)
        return error;
    struct subscription *s = find(tree, holder_of(node, group), subscriber);
    if (s != NULL) {
        change->existed = true;
    } else {
        s = calloc(1, sizeof *s);
        if (s == NULL) {
            prune(tree, node, group);
            return SEALMQ_E_NOMEM;
        }
        change->is_boundary = is_boundary(node, group, subscriber);
        s->node = node;
        s->group = group;
        s->subscriber = subscriber;
        link_subscription(tree, s);
        subscriber->filter_bytes += (uint32_t)filter.n;
    }
    s->options = *options;
    subtree_note_change(tree, node);
    return 0;
}

void subtree_unsubscribe(struct subtree *tree, struct subscriber *subscriber, struct bytes filter,
                         struct subtree_change *change)
{
    *change = (struct subtree_change){0};
    struct group *group = NULL;
    struct filter_node *node = NULL;
    if (mqtt_filter_is_shared(filter)) {
        group = group_find(tree, filter);
        node = group == NULL ? NULL : group->node;
    } else {
        struct level *level = levels_find(&tree->levels, filter);
        node = level == NULL ? NULL : filter_node_of(level);
    }
    struct subscription *s = node == NULL ? NULL : find(tree, holder_of(node, group), subscriber);
    if (s == NULL)
        return;
    change->existed = true;
    subscriber->filter_bytes -= (uint32_t)filter.n;
    remove_subscription(tree, s);
    change->is_boundary = is_boundary(node, group, subscriber);
    prune(tree, node, group);
}

bool subtree_drop_one(struct subtree *tree, struct subscriber *subscriber, struct buf *boundary)
{
    buf_reset(boundary);
    struct subscription *s = subscriber->first;
    if (s == NULL)
        return false;
    struct filter_node *node = s->node;
    struct group *group = s->group;
    remove_subscription(tree, s);
    if (group != NULL)
        buf_append_bytes(boundary, group_name_bytes(group->name));
    else if (is_boundary(node, group, subscriber))
        levels_append_path(&tree->levels, &node->level, boundary);
    prune(tree, node, group);
    return true;
}

struct group_count subtree_count(const struct subtree *tree, struct bytes filter)
{
    const struct level *level = levels_find(&tree->levels, filter);
    struct group_count count = {0};
    if (level != NULL) {
        const struct filter_node *node = filter_node_of(level);
        count.members = node->first != NULL;
        count.online = node->durable_count != 0;
    }
    return count;
}

int subtree_shard_joins(struct subtree *tree, struct bytes filter, unsigned shard, bool is_durable)
{
    struct level *level = NULL;
    int error = levels_make(&tree->levels, filter, &level);
    if (error != 0)
        return error;
    struct filter_node *node = filter_node_of(level);
    uint64_t bit = UINT64_C(1) << shard;
    node->shards |= bit;
    node->durable_shards = is_durable ? node->durable_shards | bit : node->durable_shards & ~bit;
    subtree_note_change(tree, node);
    return 0;
}

void subtree_shard_leaves(struct subtree *tree, struct bytes filter, unsigned shard)
{
    struct level *level = levels_find(&tree->levels, filter);
    if (level == NULL)
        return;
    filter_node_of(level)->shards &= ~(UINT64_C(1) << shard);
    filter_node_of(level)->durable_shards &= ~(UINT64_C(1) << shard);
    subtree_note_change(tree, filter_node_of(level));
    levels_prune(&tree->levels, level, node_is_empty);
}

int subtree_shard_shares(struct subtree *tree, struct bytes filter, unsigned shard,
                         struct group_count count)
{
    ASSERT(shard < tree->shards);
    struct filter_node *node;
    struct group *group;
    int error = make_holder(tree, filter, &node, &group);
    if (error != 0)
        return error;
    ASSERT(group != NULL); /* the filter is a shared one */
    uint64_t bit = UINT64_C(1) << shard;
    group->others[shard] = count;
    group->shards = count.members != 0 ? group->shards | bit : group->shards & ~bit;
    prune(tree, node, group);
    return 0;
}

void subtree_set_online(struct subscriber *subscriber, bool is_online)
{
    if (subscriber->is_online == is_online)
        return;
    for (struct subscription *s = subscriber->shared_count == 0 ? NULL : subscriber->first;
         s != NULL; s = s->next_held) {
        if (s->group == NULL)
            continue;
        group_remove_member(s->group, s, ring_of(subscriber));
        group_add_member(s->group, s, is_online ? RING_ONLINE : RING_OFFLINE);
    }
    subscriber->is_online = is_online;
}

struct match {
    const struct subtree *tree;
    subtree_visit visit;
    void *context;
    struct level_hashes hashes; /* of the topic's beginnings */
};

static int visit_node(const struct match *match, const struct level *level)
{
    return node_is_empty(level) ? 0 : match->visit(match->context, filter_node_of(level));
}

static bool has_wildcards_only(const struct level *level)
{
    const struct level *child = level->first_child;
    while (child != NULL && (child == level->plus || child == level->hash))
        child = child->next_sibling;
    return child == NULL;
}

/* The child of `level`, which is `depth` levels down, with this text. */
static const struct level *child_of(const struct match *match, const struct level *level,
                                    struct bytes text, size_t depth)
{
    const struct levels *levels = &match->tree->levels;
    const struct level_hashes *known = &match->hashes;
    if (has_wildcards_only(level))
        return NULL;
    if (depth >= known->count)
        return levels_child(levels, level, text);
    uint64_t own = depth == 0 ? LEVELS_ROOT_HASH : known->hash[depth - 1];
    if (level->link.hash != own)
        return levels_child(levels, level, text);
    return levels_child_of_hash(levels, level, text, known->hash[depth]);
}

/* Visits what matches the levels left in `walk` below `level`, which is `depth` levels down. As
 * deep as the deepest filter. */
static int match_below(const struct match *match, const struct level *level, struct level_walk walk,
                       size_t depth, bool wildcards)
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
        child_of(match, level, text, depth),
        wildcards ? level->plus : NULL,
    };
    for (size_t i = 0; i < 2 && error == 0; i++) {
        if (next[i] == NULL)
            continue;
        if (walk.at_end)
            error = visit_node(match, next[i]);
        if (error == 0)
            error = match_below(match, next[i], walk, depth + 1, true);
    }
    return error;
}

int subtree_match(const struct subtree *tree, struct bytes topic, subtree_visit visit,
                  void *context)
{
    struct match match = {.tree = tree, .visit = visit, .context = context};
    levels_approach(&tree->levels, topic, &match.hashes);
    /* A wildcard in the first level does not match topics that begin with '$' (section 4.7.2). */
    bool is_dollar = topic.n != 0 && topic.p[0] == '$';
    return match_below(&match, tree->levels.root, level_walk_of(topic), 0, !is_dollar);
}
