/* Groups of shared subscriptions (5.0 section 4.8.2): those who have subscribed to the same
 * $share/<name>/<filter>, of which each message goes to one.
 *
 * A shard has a group as long as it, or another shard that has told it, has members of it. Its own
 * members stand in two rings, by whether they are connected; the head of a ring is whose turn is
 * next. Of the other shards only the numbers are known. */
#ifndef SEALMQ_BROKER_GROUP_H
#define SEALMQ_BROKER_GROUP_H

#include "base/bytes.h"
#include "broker/table.h"

struct filter_node;
struct subscription;
struct subtree;

/* The whole text of a group's filter, $share/ included; shared by all that has to do with the
 * group, messages on their way to other shards included. */
struct group_name {
    _Atomic uint32_t references;
    size_t n;
    uint8_t p[];
};

struct group_count {
    uint32_t members;
    uint32_t online; /* of them */
};

enum group_ring { RING_OFFLINE, RING_ONLINE };

struct group {
    struct table_link link; /* by name */
    struct group_name *name;
    struct filter_node *node;
    struct group *next, *previous; /* of the same filter */
    struct subscription *ring[2];  /* circular, by enum group_ring; NULL when empty */
    uint32_t ring_count[2];
    uint32_t turn;               /* counts the messages, to go round the shards */
    uint64_t shards;             /* others that have members */
    struct group_count others[]; /* for each shard */
};

struct group_name *group_name_hold(struct group_name *name);
void group_name_release(struct group_name *name); /* both allow NULL */
static inline struct bytes group_name_bytes(const struct group_name *name)
{
    return bytes_of(name->p, name->n);
}

/* The group with this name; NULL when there is none. */
struct group *group_find(const struct subtree *tree, struct bytes name);
/* The same, made at `node` when it is missing; the caller puts something into it, or calls
 * group_prune. NULL: no memory. */
struct group *group_make(struct subtree *tree, struct bytes name, struct filter_node *node);
/* Frees the group if it has no members anywhere. */
void group_prune(struct subtree *tree, struct group *group);

/* A member comes into the ring of those that are, or are not, connected, to be served last; and
 * goes. */
void group_add_member(struct group *group, struct subscription *member, enum group_ring ring);
void group_remove_member(struct group *group, struct subscription *member, enum group_ring ring);
/* This shard's members. */
struct group_count group_own_count(const struct group *group);

#endif
