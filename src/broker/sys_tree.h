/* The $SYS tree: what a server says of itself, with the names and forms that monitoring for
 * Mosquitto reads (docs/operations/metrics.md). Made from counters and the time; publishing it,
 * retained, is its user's business.
 *
 * Loads are exponentially weighted moving averages of a count per minute, over 1, 5 and 15 minutes:
 * with each update, after t seconds, load = rate + exp(-t / span) * (load - rate). */
#ifndef SEALMQ_BROKER_SYS_TREE_H
#define SEALMQ_BROKER_SYS_TREE_H

#include "broker/stats.h"

#define SYS_TREE_LOADS      9
#define SYS_TREE_TOPICS_MAX 64
#define SYS_TREE_VALUE_MAX  32

struct sys_tree {
    char version[64];
    bool has_begun;
    uint64_t begun_ms, updated_ms;
    uint64_t clients_maximum;
    uint64_t counts[SYS_TREE_LOADS]; /* as of the last update */
    double loads[SYS_TREE_LOADS][3];
    char shown[SYS_TREE_TOPICS_MAX][SYS_TREE_VALUE_MAX]; /* as last said, by topic */
};

struct sys_input {
    struct broker_stats stats;
    uint64_t now_ms;       /* monotonic */
    uint64_t memory_bytes; /* of the process, now and at most */
    uint64_t memory_max_bytes;
};

/* Is told of each topic whose value has changed since it was last told; both are borrowed. */
typedef void (*sys_tree_show)(void *context, struct bytes topic, struct bytes payload);

/* `version` is copied, as far as it fits. */
void sys_tree_init(struct sys_tree *tree, const char *version);
/* The first update begins the uptime and shows everything. */
void sys_tree_update(struct sys_tree *tree, const struct sys_input *input, sys_tree_show show,
                     void *context);
/* The next update shows everything again: something that was shown got lost. */
void sys_tree_forget(struct sys_tree *tree);

/* Whether a topic or filter begins with "$SYS/", or is "$SYS". */
bool sys_tree_has(struct bytes topic);

#endif
