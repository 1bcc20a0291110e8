/* Inside a node: what its parts share. */
#ifndef SEALMQ_NODE_NODE_INT_H
#define SEALMQ_NODE_NODE_INT_H

#include "broker/acl.h"
#include "device/service.h"
#include "monitor/monitor.h"
#include "net/passwords.h"
#include "net/server.h"
#include "node/agreement.h"
#include "node/historian.h"
#include "node/logins.h"
#include "node/node.h"
#include "node/refusals.h"
#include "node/registry.h"
#include "serve/rules.h"

#include <pthread.h>
#include <stdatomic.h>

#define NODE_WORKERS_MAX 16
#define NODE_PACKET_BYTES                                                                          \
    (16 * 1024 * 1024) /* a block of the largest size, and its certificate, fit */

struct node {
    struct node_config *config;
    char config_path[PATH_SIZE];
    struct genesis genesis;
    struct sign_key key;
    struct sign_key next_key; /* beside it, in "<key>.next": this node's once the chain says so */
    bool has_next_key;
    int64_t started_us;
    char chain_prefix[NETWORK_MAX + 8]; /* "chain/<network>/" */

    struct registry *registry;
    struct historian *historian;
    struct agreement *agreement;
    struct net_server *server;
    struct monitor *monitor;

    /* Replaced whole on reload; readers hold the lock while they ask. */
    pthread_rwlock_t access_lock;
    struct rules *rules;

    struct node_worker *workers[NODE_WORKERS_MAX];

    void *failed_context;
    void (*failed)(void *context);
    _Atomic uint64_t messages_dropped; /* of other nodes, because too many of theirs waited */
    _Atomic int failure;               /* the first error that this node cannot live with */
};

/* What one worker's thread has of a node. */
struct node_worker {
    struct node *node;
    struct net_worker *net;
    struct logins *logins;
    struct password_checker *checker;
    struct device_service *devices;
    struct refusals refusals;
    /* On the first worker: runs when the list of members has changed; when it was last published.
     */
    uv_timer_t members_timer;
    uint64_t members_ms;
    /* read by others for the status */
    _Atomic uint64_t logins_refused;
    pthread_mutex_t stats_lock;
    struct device_service_stats stats; /* as of the last report or tick, under the lock */
};

int64_t node_wall_us(void);
/* The rules in force: a reference of the caller's. From any thread. */
struct rules *node_rules(struct node *node);

/* For the log: as much of what a client named as is shown. The result is for "%.*s". */
#define NODE_SHOWN_BYTES 256
static inline int node_shown(struct bytes words)
{
    return (int)(words.n < NODE_SHOWN_BYTES ? words.n : NODE_SHOWN_BYTES);
}

/* node_logins.c: struct net_app's authenticate, auth_begin and so on */
void node_authenticate(void *worker_context, const struct broker_auth_request *request);
bool node_auth_begin(void *worker_context, const struct broker_auth_request *request);
void node_auth_continue(void *worker_context, const struct broker_auth_request *request);
void node_password_checked(void *worker_context, struct broker_conn conn, struct bytes name,
                           bool is_right);
bool node_authorize(void *worker_context, const struct broker_subject *subject,
                    enum broker_access access, struct bytes topic);
void node_connected(void *worker_context, struct broker_conn conn,
                    const struct broker_subject *subject, const char *peer);
void node_disconnected(void *worker_context, struct broker_conn conn,
                       const struct broker_subject *subject, const char *peer, uint8_t reason,
                       const char *words);

/* node_publish.c: struct net_app's publish, the fork in the road for every message */
enum broker_verdict node_publish(void *worker_context, const struct broker_publish *in,
                                 uint64_t ticket, uint8_t *reason);

/* node_reports.c: gateways' topics */
enum broker_verdict node_device_message(struct node_worker *worker, const struct broker_publish *in,
                                        uint64_t ticket, uint8_t *reason);
void node_report_stored(void *worker_context, struct historian_job *job);
/* From the agreement thread. */
void node_member_changed(void *context, const struct member *member);
void node_receipt(void *context, const struct receipt *receipt);
void node_request_refused(void *context, struct bytes client, uint64_t number, int error);

/* node_announce.c: ids that want to be registered; the list of those that are */
enum broker_verdict node_announced(struct node_worker *worker, const struct broker_publish *in,
                                   uint8_t *reason);
void node_publish_members(struct node *node);
/* The same soon, once for all changes until then: the list is as long as the network is large. */
void node_members_changed(struct node *node);

/* node_queries.c: chain/<network>/query */
enum broker_verdict node_query(struct node_worker *worker, const struct broker_publish *in,
                               uint8_t *reason);

/* The sum over the workers, each as of its last report or tick. From any thread. */
void node_device_stats(const struct node *node, struct device_service_stats *sum,
                       uint64_t *logins_refused);

/* node_metrics.c: struct monitor_options' functions */
void node_append_metrics(void *context, struct buf *out);
void node_append_troubles(void *context, struct buf *out);

/* This node cannot go on as it is: its process is to end, and to begin again. From any thread. */
void node_fail(void *context, int error);
/* Publishes on all of this node's shards; from any thread; copies. */
void node_broadcast(void *context, const char *topic, struct bytes payload, bool retain);
/* Sends to the client if it is connected here; from any thread; copies. */
void node_send(struct node *node, struct bytes client, struct bytes topic, struct bytes payload);

#endif
