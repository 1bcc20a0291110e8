/* The retained messages: a tree of topics. Every shard holds all of them (the messages themselves
 * are shared), so that a subscription finds them without asking anyone.
 *
 * Changes of one topic may reach a shard in any order; each has a number from a counter that all
 * shards share, and the highest wins everywhere. A deletion therefore leaves a mark with its number
 * (a tombstone), until no older change can be on its way any more; retained_forget_below() says
 * when that is. */
#ifndef SEALMQ_BROKER_RETAINED_H
#define SEALMQ_BROKER_RETAINED_H

#include "broker/levels.h"
#include "broker/message.h"
#include "broker/timer.h"

struct retained_node {
    struct level level;
    struct broker_message *message; /* a reference; NULL: a tombstone, or only a way to others */
    uint64_t order;                 /* of the last change; 0: none */
    struct timer timer;             /* expiry of the message */
    struct retained_node *older, *newer; /* tombstones, by order of their making */
};

struct retained {
    struct levels levels;
    struct timers *timers; /* the shard's */
    struct retained_node *tombstone_oldest, *tombstone_newest;
    uint64_t count; /* messages */
    uint64_t bytes; /* of them */
    uint64_t tombstone_count;
};

SEALMQ_MUST_CHECK int retained_init(struct retained *retained, struct hash_key key,
                                    struct timers *timers);
void retained_close(struct retained *retained);

/* The message for the topic, or NULL; borrowed. */
const struct broker_message *retained_find(const struct retained *retained, struct bytes topic);
/* Applies a change, if it is newer than what is known of its topic. An empty payload deletes, and
 * leaves a tombstone if `keep_tombstone`. `publication` owns its message, unless it deletes.
 * SEALMQ_E_NOMEM. */
SEALMQ_MUST_CHECK int retained_apply(struct retained *retained, struct publication *publication,
                                     bool keep_tombstone);
/* Removes the tombstones whose order is at most `order`. */
void retained_forget_below(struct retained *retained, uint64_t order);
/* The message of a node has expired. */
void retained_expired(struct retained *retained, struct retained_node *node, bool keep_tombstone);

/* Calls `visit` for each message whose topic matches the filter, until it returns false. `visit`
 * must not change retained messages. */
typedef bool (*retained_visit)(void *context, struct broker_message *message);
void retained_match(const struct retained *retained, struct bytes filter, retained_visit visit,
                    void *context);

#endif
