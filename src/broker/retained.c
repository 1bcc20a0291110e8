#include "broker/retained.h"

#include "base/assert.h"

#include <stdlib.h>

static struct retained_node *node_of(const struct level *level)
{
    return CONTAINER_OF((struct level *)level, struct retained_node, level);
}

static bool node_is_empty(const struct level *level)
{
    return node_of(level)->message == NULL && node_of(level)->order == 0;
}

int retained_init(struct retained *retained, struct hash_key key, struct timers *timers)
{
    *retained = (struct retained){.timers = timers};
    return levels_init(&retained->levels, key, sizeof(struct retained_node));
}

static bool is_tombstone(const struct retained_node *node)
{
    return node->message == NULL && node->order != 0;
}

static void bury(struct retained *retained, struct retained_node *node)
{
    node->newer = NULL;
    node->older = retained->tombstone_newest;
    if (node->older != NULL)
        node->older->newer = node;
    else
        retained->tombstone_oldest = node;
    retained->tombstone_newest = node;
    retained->tombstone_count++;
}

static void unbury(struct retained *retained, struct retained_node *node)
{
    if (node->older != NULL)
        node->older->newer = node->newer;
    else
        retained->tombstone_oldest = node->newer;
    if (node->newer != NULL)
        node->newer->older = node->older;
    else
        retained->tombstone_newest = node->older;
    node->older = node->newer = NULL;
    retained->tombstone_count--;
}

/* Takes the message out of a node; its order stays. */
static void clear_message(struct retained *retained, struct retained_node *node)
{
    if (node->message == NULL)
        return;
    if (node->message->view.expires_ms != TIMER_NEVER) {
        timer_clear(retained->timers, &node->timer);
        timers_release(retained->timers);
    }
    retained->count--;
    retained->bytes -= message_size(&node->message->view);
    message_release(node->message);
    node->message = NULL;
}

static void remove_node(struct retained *retained, struct retained_node *node)
{
    node->order = 0;
    levels_prune(&retained->levels, &node->level, node_is_empty);
}

void retained_close(struct retained *retained)
{
    if (retained->levels.root == NULL)
        return;
    /* The tree is taken apart from its leaves; pruning may go up any way from there. */
    while (retained->levels.root->first_child != NULL) {
        struct level *level = retained->levels.root;
        while (level->first_child != NULL)
            level = level->first_child;
        clear_message(retained, node_of(level));
        remove_node(retained, node_of(level));
    }
    levels_close(&retained->levels);
}

const struct broker_message *retained_find(const struct retained *retained, struct bytes topic)
{
    const struct level *level = levels_find(&retained->levels, topic);
    return level == NULL ? NULL : node_of(level)->message;
}

static int store(struct retained *retained, struct publication *publication)
{
    const struct message_view *view = &publication->view;
    struct level *level = NULL;
    int error = levels_make(&retained->levels, view->topic, &level);
    if (error != 0)
        return error;
    struct retained_node *node = node_of(level);
    if (view->retained_order <= node->order)
        return 0;
    bool expires = view->expires_ms != TIMER_NEVER;
    if (expires) {
        error = timers_reserve(retained->timers);
        if (error != 0) {
            levels_prune(&retained->levels, level, node_is_empty);
            return error;
        }
    }
    if (is_tombstone(node))
        unbury(retained, node);
    clear_message(retained, node);
    node->message = message_hold(publication->owned);
    node->order = view->retained_order;
    retained->count++;
    retained->bytes += message_size(&node->message->view);
    if (expires) {
        node->timer.kind = TIMER_RETAINED;
        timer_set(retained->timers, &node->timer, view->expires_ms);
    }
    return 0;
}

static int erase(struct retained *retained, const struct message_view *view, bool keep_tombstone)
{
    struct level *level = levels_find(&retained->levels, view->topic);
    if (level == NULL) {
        if (!keep_tombstone)
            return 0;
        int error = levels_make(&retained->levels, view->topic, &level);
        if (error != 0)
            return error;
    }
    struct retained_node *node = node_of(level);
    if (view->retained_order <= node->order)
        return 0;
    if (is_tombstone(node))
        unbury(retained, node);
    clear_message(retained, node);
    if (keep_tombstone) {
        node->order = view->retained_order;
        bury(retained, node);
    } else {
        remove_node(retained, node);
    }
    return 0;
}

int retained_apply(struct retained *retained, struct publication *publication, bool keep_tombstone)
{
    if (publication->view.payload.n == 0)
        return erase(retained, &publication->view, keep_tombstone);
    ASSERT(publication->owned != NULL);
    return store(retained, publication);
}

void retained_forget_below(struct retained *retained, uint64_t order)
{
    /* Tombstones are made in nearly the order of their numbers; one that is newer holds up those
     * behind it for a while, which does no harm. */
    while (retained->tombstone_oldest != NULL && retained->tombstone_oldest->order <= order) {
        struct retained_node *node = retained->tombstone_oldest;
        unbury(retained, node);
        remove_node(retained, node);
    }
}

void retained_expired(struct retained *retained, struct retained_node *node, bool keep_tombstone)
{
    clear_message(retained, node);
    if (keep_tombstone)
        bury(retained, node);
    else
        remove_node(retained, node);
}

struct match {
    const struct retained *retained;
    retained_visit visit;
    void *context;
};

static bool visit_node(const struct match *match, const struct level *level)
{
    struct broker_message *message = node_of(level)->message;
    return message == NULL || match->visit(match->context, message);
}

/* The node and all below it, without recursion: `level` is the top. */
static bool visit_all(const struct match *match, const struct level *top)
{
    const struct level *at = top;
    for (;;) {
        if (!visit_node(match, at))
            return false;
        if (at->first_child != NULL) {
            at = at->first_child;
            continue;
        }
        while (at != top && at->next_sibling == NULL)
            at = at->parent;
        if (at == top)
            return true;
        at = at->next_sibling;
    }
}

static bool is_dollar(const struct level *level)
{
    return level->text.n != 0 && level->text.p[0] == '$';
}

/* Visits what the levels left in `walk` match below `level`. As deep as the filter. */
static bool match_below(const struct match *match, const struct level *level,
                        struct level_walk walk)
{
    struct bytes text;
    if (!level_walk_next(&walk, &text))
        return visit_node(match, level);
    const struct levels *levels = &match->retained->levels;
    bool at_root = level == levels->root;
    if (bytes_equal(text, BYTES_LIT("#"))) {
        if (!at_root)
            return visit_all(match, level);
        for (const struct level *c = level->first_child; c != NULL; c = c->next_sibling) {
            if (!is_dollar(c) && !visit_all(match, c))
                return false;
        }
        return true;
    }
    if (bytes_equal(text, BYTES_LIT("+"))) {
        for (const struct level *c = level->first_child; c != NULL; c = c->next_sibling) {
            if (!(at_root && is_dollar(c)) && !match_below(match, c, walk))
                return false;
        }
        return true;
    }
    const struct level *child = levels_child(levels, level, text);
    return child == NULL || match_below(match, child, walk);
}

void retained_match(const struct retained *retained, struct bytes filter, retained_visit visit,
                    void *context)
{
    struct match match = {retained, visit, context};
    (void)match_below(&match, retained->levels.root, level_walk_of(filter));
}
