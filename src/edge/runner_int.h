/* Inside the runner. */
#ifndef SEALMQ_EDGE_RUNNER_INT_H
#define SEALMQ_EDGE_RUNNER_INT_H

#include "config/gateway_config.h"
#include "edge/runner.h"
#include "edge/source_mqtt.h"
#include "edge/source_system.h"
#include "edge/turn.h"
#include "net/link.h"

#include <stdatomic.h>
#include <uv.h>

/* A node to connect to. */
struct runner_node {
    char id[ID_MAX + 1];
    char host[256];
    uint16_t port;
};

struct runner {
    struct gateway_config *config;
    char config_path[PATH_SIZE];
    char status_path[PATH_SIZE]; /* "": none */
    struct genesis genesis;
    struct policy *policy;
    struct sign_key key;
    struct gateway_policy *policies;
    struct runner_node *nodes;
    size_t node_count, node; /* the one in use */

    uv_loop_t loop;
    bool has_loop;
    uv_timer_t deadline, status_timer, end_timer, retry_timer;
    uv_signal_t on_term, on_int;
    struct gateway *gateway;
    struct outbox *outbox;
    struct net_link *link;
    struct source_system *systems[GATEWAY_SOURCES_MAX];
    struct source_mqtt *listeners[GATEWAY_SOURCES_MAX];
    size_t system_count, listener_count;
    struct turn turn;
    unsigned failures; /* of connecting, since the last success */
    bool is_ending, is_over;
    int error; /* why the loop had to end */
};

/* runner_open.c */
SEALMQ_MUST_CHECK int runner_read_files(struct runner *runner, char *why, size_t why_size);

/* runner_link.c */
SEALMQ_MUST_CHECK int runner_connect(struct runner *runner);

/* runner.c */
void runner_now(struct gateway_now *now);
/* Makes an update true: durable, sent, logged; sets the timer. */
void runner_apply(struct runner *runner, const struct gateway_update *update, int error);

#endif
