/* The subscriptions of a shard, and which filters other shards have subscribers for.
 *
 * One node per level of a filter (broker/levels.h); a node holds the subscriptions whose filter
 * ends there, the groups that share it, and a bit for each other shard that has one. Matching a
 * topic visits the nodes that the topic's levels can lead to, so its cost depends on the topic and
 * on the filters that match its beginning, not on how many subscriptions there are. */
#ifndef SEALMQ_BROKER_SUBTREE_H
#define SEALMQ_BROKER_SUBTREE_H

#include "broker/changes.h"
#include "broker/group.h"
#include "broker/levels.h"

struct subscription_options {
    uint32_t id; /* subscription identifier; 0: none */
    uint8_t qos;
    bool no_local;
    bool retain_as_published;
};

/* One who subscribes; part of a session. Zero-initialised has no subscriptions. */
struct subscriber {
    struct subscription *first;
    uint32_t count;
    uint32_t shared_count; /* of them, shared subscriptions */
    uint32_t filter_bytes; /* length of all filters; not kept by subtree_drop_one */
    bool is_durable;       /* set before it subscribes */
    bool is_online;        /* in which ring of a group it stands (broker/group.h) */
    uint32_t target;       /* for the one who collects targets (broker/route.c) */
};

struct subscription {
    struct table_link by_subscriber;
    struct subscriber *subscriber;
    struct filter_node *node;
    struct group *group;                            /* of a shared subscription, or NULL */
    struct subscription *next, *previous;           /* of the same filter, or the ring */
    struct subscription *next_held, *previous_held; /* of the same subscriber */
    struct subscription_options options;
};

struct filter_node {
    struct level level;
    struct subscription *first; /* those that are not shared */
    struct group *groups;
    uint64_t shards;         /* other shards that have subscribers for this filter */
    uint64_t durable_shards; /* of them, those that have durable ones */
    uint32_t durable_count;  /* of those that are not shared */
};

struct subtree {
    struct levels levels;
    struct table by_subscriber; /* subscriptions by (node or group, subscriber) */
    struct table groups;        /* by name */
    unsigned shards;
    uint64_t count;
    uint64_t shared_count;   /* of them */
    struct changes changes;  /* of what is found for which topics */
    uint64_t shards_for_all; /* other shards of which not all filters could be noted */
};

SEALMQ_MUST_CHECK int subtree_init(struct subtree *tree, struct hash_key key, unsigned shards);
/* Subscriptions must have been removed before. */
void subtree_close(struct subtree *tree);

/* What a change has done. */
struct subtree_change {
    bool existed;     /* the subscription was there before */
    bool is_boundary; /* the first of this shard for the filter came, or the last one went, or the
                         first or last durable one; of a shared filter: the number of members has
                         changed */
};

/* Adds a subscription or changes its options. SEALMQ_E_NOMEM: nothing has changed. */
SEALMQ_MUST_CHECK int subtree_subscribe(struct subtree *tree, struct subscriber *subscriber,
                                        struct bytes filter,
                                        const struct subscription_options *options,
                                        struct subtree_change *change);
void subtree_unsubscribe(struct subtree *tree, struct subscriber *subscriber, struct bytes filter,
                         struct subtree_change *change);
/* Removes one subscription that the subscriber holds; false when it has none left. If that is a
 * boundary, appends the filter to `boundary`, else leaves it empty. */
bool subtree_drop_one(struct subtree *tree, struct subscriber *subscriber, struct buf *boundary);

/* What a filter that is not shared has here: `online` stands for durable subscribers. */
struct group_count subtree_count(const struct subtree *tree, struct bytes filter);
/* Another shard has subscribers for a filter, or no more. */
SEALMQ_MUST_CHECK int subtree_shard_joins(struct subtree *tree, struct bytes filter, unsigned shard,
                                          bool is_durable);
void subtree_shard_leaves(struct subtree *tree, struct bytes filter, unsigned shard);
/* Another shard has so many members of a group. */
SEALMQ_MUST_CHECK int subtree_shard_shares(struct subtree *tree, struct bytes filter,
                                           unsigned shard, struct group_count count);
/* A subscriber is connected now, or not any more: moves its shared subscriptions to the other
 * rings. */
void subtree_set_online(struct subscriber *subscriber, bool is_online);

/* Notes a change of what is found at `node`, or for all topics: whoever watches them sees it. */
void subtree_note_change(struct subtree *tree, const struct filter_node *node);
void subtree_note_change_of_all(struct subtree *tree);
/* Watches, from now on, what concerns the topic. */
void subtree_watch(const struct subtree *tree, struct bytes topic, struct change_watch *watch);

/* Calls `visit` for each node with a filter that matches the topic; `visit` must not change the
 * tree. Stops at the first that does not return 0, and returns that. */
typedef int (*subtree_visit)(void *context, const struct filter_node *node);
SEALMQ_MUST_CHECK int subtree_match(const struct subtree *tree, struct bytes topic,
                                    subtree_visit visit, void *context);

#endif
