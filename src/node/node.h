/* A node: the MQTT server, the device service, the history and the agreement, joined. */
#ifndef SEALMQ_NODE_NODE_H
#define SEALMQ_NODE_NODE_H

#include "config/node_config.h"

struct node;

struct node_options {
    const char *config_path;
    bool vote_again; /* as in struct agreement_options */
    /* Something is lost that cannot be made up for while running: see node_failure. From any
     * thread, once or more; the node is to be freed soon, by another thread. */
    void *context;
    void (*failed)(void *context);
};

/* Reads everything the configuration names, opens the databases, binds the
 * listeners. Nothing runs yet. `why` says what is wrong, and where. */
SEALMQ_MUST_CHECK int node_new(const struct node_options *options, struct node **out, char *why,
                               size_t why_size);
SEALMQ_MUST_CHECK int node_start(struct node *node);
/* Why the node called `failed`; 0: it did not. From any thread. */
int node_failure(const struct node *node);
/* Reads the password and ACL files anew; the old ones stay in force when the new ones are bad. From
 * the thread that made the node. */
void node_reload(struct node *node);
/* Drains for at most drain_ms, stops all threads, and frees. */
void node_free(struct node *node, unsigned drain_ms);

const char *node_id(const struct node *node);
const char *node_network(const struct node *node);
uint16_t node_port(const struct node *node);

#endif
