#include "broker/group.h"

#include "base/assert.h"
#include "broker/subtree.h"

#include <stdatomic.h>
#include <stdlib.h>

struct group_name *group_name_hold(struct group_name *name)
{
    if (name != NULL)
        atomic_fetch_add_explicit(&name->references, 1, memory_order_relaxed);
    return name;
}

void group_name_release(struct group_name *name)
{
    if (name != NULL && atomic_fetch_sub_explicit(&name->references, 1, memory_order_acq_rel) == 1)
        free(name);
}

static uint64_t name_hash(const struct subtree *tree, struct bytes name)
{
    return keyed_hash(&tree->levels.key, 2, name);
}

struct group *group_find(const struct subtree *tree, struct bytes name)
{
    struct table_link *link = table_find(&tree->groups, name_hash(tree, name));
    for (; link != NULL; link = table_find_next(link)) {
        struct group *group = CONTAINER_OF(link, struct group, link);
        if (bytes_equal(group_name_bytes(group->name), name))
            return group;
    }
    return NULL;
}

struct group *group_make(struct subtree *tree, struct bytes name, struct filter_node *node)
{
    struct group *group = group_find(tree, name);
    if (group != NULL)
        return group;
    size_t size = sizeof *group + tree->shards * sizeof(struct group_count);
    group = calloc(1, size);
    struct group_name *copy = malloc(sizeof *copy + name.n);
    if (group == NULL || copy == NULL) {
        free(group);
        free(copy);
        return NULL;
    }
    atomic_init(&copy->references, 1);
    copy->n = name.n;
    memcpy(copy->p, name.p, name.n);
    group->name = copy;
    group->node = node;
    group->next = node->groups;
    if (node->groups != NULL)
        node->groups->previous = group;
    node->groups = group;
    table_add(&tree->groups, &group->link, name_hash(tree, name));
    subtree_note_change(tree, node);
    return group;
}

void group_prune(struct subtree *tree, struct group *group)
{
    if (group->ring[RING_ONLINE] != NULL || group->ring[RING_OFFLINE] != NULL || group->shards != 0)
        return;
    if (group->previous != NULL)
        group->previous->next = group->next;
    else
        group->node->groups = group->next;
    if (group->next != NULL)
        group->next->previous = group->previous;
    table_remove(&tree->groups, &group->link);
    subtree_note_change(tree, group->node);
    group_name_release(group->name);
    free(group);
}

void group_add_member(struct group *group, struct subscription *member, enum group_ring ring)
{
    struct subscription *head = group->ring[ring];
    if (head == NULL) {
        member->next = member->previous = member;
        group->ring[ring] = member;
    } else {
        member->next = head;
        member->previous = head->previous;
        head->previous->next = member;
        head->previous = member;
    }
    group->ring_count[ring]++;
}

void group_remove_member(struct group *group, struct subscription *member, enum group_ring ring)
{
    ASSERT(group->ring_count[ring] != 0);
    group->ring_count[ring]--;
    member->previous->next = member->next;
    member->next->previous = member->previous;
    if (group->ring[ring] == member)
        group->ring[ring] = group->ring_count[ring] == 0 ? NULL : member->next;
    member->next = member->previous = NULL;
}

struct group_count group_own_count(const struct group *group)
{
    return (struct group_count){
        .members = group->ring_count[RING_ONLINE] + group->ring_count[RING_OFFLINE],
        .online = group->ring_count[RING_ONLINE],
    };
}
