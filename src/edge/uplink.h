/* A gateway's connection to its network: one node at a time, the next one when that fails. The
 * nodes are tried in the order given; after a round without success with growing pauses (0.5 to
 * 15 s). Every try logs in with a fresh token. */
#ifndef SEALMQ_EDGE_UPLINK_H
#define SEALMQ_EDGE_UPLINK_H

#include "crypto/sign.h"
#include "gateway/gateway.h"

#include <uv.h>

struct uplink;

struct uplink_node {
    const char *id, *url; /* copied */
};

struct uplink_options {
    uv_loop_t *loop;
    const char *id, *network;   /* copied */
    const struct sign_key *key; /* borrowed until free */
    const struct uplink_node *nodes;
    size_t node_count; /* 1 and up */
    void *context;
    /* Subscribed to <id>/# and the reply topic: `node` may be spoken to. */
    void (*connected)(void *context, const char *node);
    void (*disconnected)(void *context);
    void (*message)(void *context, struct bytes topic, struct bytes payload);
};

/* Connects from the loop's next turn on. SEALMQ_E_CONFIG with words in `why` (a node's URL),
 * SEALMQ_E_NOMEM. */
SEALMQ_MUST_CHECK int uplink_new(const struct uplink_options *options, struct uplink **out,
                                 char *why, size_t why_size);
/* No callback follows. NULL is allowed. The memory goes when the loop has run once more. */
void uplink_free(struct uplink *uplink);
/* Drops the message when there is no connection, or too much waits: the gateway sends it again. */
void uplink_send(struct uplink *uplink, const struct gateway_message *message);
/* Begins anew with the same node, or with the next one. Not connected from here on: disconnected()
 * is not called for it. */
void uplink_restart(struct uplink *uplink, bool next_node);
/* The node that is connected; NULL: none. */
const char *uplink_node_id(const struct uplink *uplink);
size_t uplink_node_count(const struct uplink *uplink);

#endif
