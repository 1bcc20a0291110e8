#include "node/node_int.h"

#include "base/log.h"
#include "serve/listeners.h"
#include "serve/settings.h"
#include "store/keyfile.h"
#include "store/network_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define COMPONENT             "node"
#define PASSWORDS_WAITING_MAX 64   /* for each worker; more clients are told to come later */
#define STRANGERS_MAX         4096 /* ids that are no members, known to a worker */

int64_t node_wall_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    return (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000;
}

const char *node_id(const struct node *node)
{
    return node->config->id;
}

const char *node_network(const struct node *node)
{
    return node->genesis.network;
}

uint16_t node_port(const struct node *node)
{
    return net_server_port(node->server, 0);
}

int node_failure(const struct node *node)
{
    return atomic_load(&node->failure);
}

void node_fail(void *context, int error)
{
    struct node *node = context;
    int none = 0;
    if (atomic_compare_exchange_strong(&node->failure, &none, error))
        node->failed(node->failed_context);
}

/* ---- passwords, ACL, certificates ---- */

static int read_access(const struct node *node, struct rules **out, char *why, size_t why_size)
{
    const struct rules_options options = {
        .config = &node->config->broker,
        .config_path = node->config_path,
        .acl_default = ACL_DEFAULT_READ_VERIFIED,
        .network = node->genesis.network,
    };
    return rules_load(&options, out, why, why_size);
}

static void take_access(struct node *node, struct rules *rules)
{
    pthread_rwlock_wrlock(&node->access_lock);
    struct rules *old = node->rules;
    node->rules = rules;
    pthread_rwlock_unlock(&node->access_lock);
    rules_unref(old);
}

struct rules *node_rules(struct node *node)
{
    pthread_rwlock_rdlock(&node->access_lock);
    struct rules *rules = rules_ref(node->rules);
    pthread_rwlock_unlock(&node->access_lock);
    return rules;
}

/* On each worker: its shard asks again what it remembers of the old rules. */
static void on_access_changed(void *worker_context, void *arg)
{
    struct node_worker *worker = worker_context;
    (void)arg;
    broker_access_changed(net_worker_broker(worker->net));
}

void node_reload(struct node *node)
{
    char why[1024] = "";
    struct rules *rules;
    struct serve_listeners listeners = {0};
    int error = read_access(node, &rules, why, sizeof why);
    if (error == 0) {
        error = serve_listeners_load(&node->config->broker, node->config_path, &listeners, why,
                                     sizeof why);
        if (error != 0)
            rules_unref(rules);
    }
    if (error != 0) {
        log_error(COMPONENT, "passwords, ACL and certificates stay as they were: %s",
                  why[0] != '\0' ? why : sealmq_error_text(error));
        return;
    }
    take_access(node, rules);
    for (unsigned i = 0; i < listeners.count; i++) {
        if (listeners.at[i].tls != NULL &&
            net_server_set_tls(node->server, i, listeners.at[i].tls) != 0)
            log_error(COMPONENT, "listeners[%u] keeps its certificate", i);
    }
    serve_listeners_close(&listeners);
    for (unsigned i = 0; i < net_server_workers(node->server); i++) /* a stopped one needs none */
        (void)!net_worker_post(net_server_worker(node->server, i), on_access_changed, NULL);
    log_info(COMPONENT, "passwords, ACL and certificates were read again");
}

/* ---- workers ---- */

static void worker_free(struct node_worker *worker)
{
    password_checker_free(worker->checker);
    logins_free(worker->logins);
    device_service_free(worker->devices);
    pthread_mutex_destroy(&worker->stats_lock);
    free(worker);
}

struct member_walk {
    struct node_worker *worker;
    int error;
};

static void add_member(void *context, const struct registry_entry *entry)
{
    struct member_walk *walk = context;
    const struct node *node = walk->worker->node;
    struct bytes id = bytes_str(entry->id);
    /* With this node's own id reports the gateway that shares its machine and key. */
    bool reports = entry->kind == REGISTRY_GATEWAY || bytes_equal(id, bytes_str(node->config->id));
    if (walk->error != 0 || !reports || entry->is_revoked ||
        net_server_owner(node->server, id) != walk->worker->net)
        return;
    walk->error = device_service_member(walk->worker->devices, id, &entry->key);
}

static int worker_start(void *context, struct net_worker *net, void **worker_context)
{
    struct node *node = context;
    struct node_worker *worker = calloc(1, sizeof *worker);
    if (worker == NULL)
        return SEALMQ_E_NOMEM;
    worker->node = node;
    worker->net = net;
    pthread_mutex_init(&worker->stats_lock, NULL);
    int error = logins_new(
        &(struct logins_options){
            .registry = node->registry,
            .network = node->genesis.network,
            .node = node->config->id,
            .started_s = node->started_us / 1000000,
        },
        &worker->logins);
    if (error == 0)
        error = device_service_new(
            &(struct device_service_options){
                .network = node->genesis.network,
                .genesis = node->genesis.hash,
                .node = node->config->id,
                .key = &node->key,
                .session_life_s = node->config->session_life,
                .gateways_max = MEMBERS_MAX + STRANGERS_MAX, /* one worker may own all */
            },
            &worker->devices);
    if (error == 0)
        error = password_checker_new(net_worker_loop(net), PASSWORDS_WAITING_MAX,
                                     node_password_checked, worker, &worker->checker);
    /* Members that come after this walk are posted to this worker, which takes posts later. */
    struct member_walk walk = {.worker = worker, .error = error};
    registry_each(node->registry, add_member, &walk);
    if (walk.error != 0) {
        worker_free(worker);
        return walk.error;
    }
    uv_timer_init(net_worker_loop(net), &worker->members_timer); /* cannot fail */
    worker->members_timer.data = worker;
    node->workers[net_worker_index(net)] = worker;
    *worker_context = worker;
    return 0;
}

static void worker_stop(void *worker_context)
{
    struct node_worker *worker = worker_context;
    password_checker_free(worker->checker);
    worker->checker = NULL;
    uv_close((uv_handle_t *)&worker->members_timer, NULL); /* done before the loop ends */
}

/* ---- messages from other threads ---- */

struct posted {
    bool retain;
    bool to_client;
    char client[ID_MAX + 1];
    size_t topic_size, payload_size;
    uint8_t bytes[];
};

static void on_posted(void *worker_context, void *arg)
{
    struct node_worker *worker = worker_context;
    struct posted *posted = arg;
    struct broker *broker = net_worker_broker(worker->net);
    struct broker_conn conn;
    const struct broker_outgoing message = {
        .topic = bytes_of(posted->bytes, posted->topic_size),
        .payload = bytes_of(posted->bytes + posted->topic_size, posted->payload_size),
        .qos = 1,
        .retain = posted->retain,
    };
    int error = 0;
    if (!posted->to_client)
        error = broker_publish(broker, &message, net_worker_now_ms(worker->net));
    else if (broker_find(broker, bytes_str(posted->client), &conn) == 0)
        error = broker_reply(broker, conn, &message, net_worker_now_ms(worker->net));
    if (error != 0)
        log_warn(COMPONENT, "%.*s could not be published: %s", (int)message.topic.n,
                 (const char *)message.topic.p, sealmq_error_text(error));
    free(posted);
}

static struct posted *posted_new(struct bytes topic, struct bytes payload)
{
    struct posted *posted = calloc(1, sizeof *posted + topic.n + payload.n);
    if (posted == NULL)
        return NULL;
    posted->topic_size = topic.n;
    posted->payload_size = payload.n;
    memcpy(posted->bytes, topic.p, topic.n);
    if (payload.n != 0)
        memcpy(posted->bytes + topic.n, payload.p, payload.n);
    return posted;
}

void node_broadcast(void *context, const char *topic, struct bytes payload, bool retain)
{
    struct node *node = context;
    struct posted *posted = posted_new(bytes_str(topic), payload);
    if (posted == NULL)
        return;
    posted->retain = retain;
    /* Always the same worker, so that later ones overwrite earlier ones. */
    if (net_worker_post(net_server_worker(node->server, 0), on_posted, posted) != 0)
        free(posted);
}

void node_send(struct node *node, struct bytes client, struct bytes topic, struct bytes payload)
{
    struct posted *posted = posted_new(topic, payload);
    if (posted == NULL)
        return;
    posted->to_client = true;
    if (bytes_to_cstr(client, posted->client, sizeof posted->client) != 0 ||
        net_worker_post(net_server_owner(node->server, client), on_posted, posted) != 0)
        free(posted);
}

static void node_send_member(void *context, const char *member, const char *topic,
                             struct bytes payload)
{
    node_send(context, bytes_str(member), bytes_str(topic), payload);
}

/* ---- start ---- */

static int read_genesis(struct node *node, char *why, size_t why_size)
{
    char path[PATH_SIZE];
    int error = file_beside(node->config_path, node->config->genesis, path);
    return error != 0 ? error : genesis_file_read(path, &node->genesis, why, why_size);
}

static int read_key(struct node *node, char *why, size_t why_size)
{
    char path[PATH_SIZE], id[ID_MAX + 1];
    int error = file_beside(node->config_path, node->config->key, path);
    if (error == 0)
        error = keyfile_read(path, id, &node->key, why, why_size);
    if (error != 0)
        return error;
    if (strcmp(id, node->config->id) != 0) {
        snprintf(why, why_size, "%s: the key is of %s, but the configuration is for %s", path, id,
                 node->config->id);
        return SEALMQ_E_CONFIG;
    }
    int n = snprintf(path + strlen(path), sizeof path - strlen(path), ".next");
    if (n != 5 || access(path, F_OK) != 0)
        return 0;
    error = keyfile_read(path, id, &node->next_key, why, why_size);
    if (error == 0 && strcmp(id, node->config->id) != 0) {
        snprintf(why, why_size, "%s: the key is of %s, but the configuration is for %s", path, id,
                 node->config->id);
        return SEALMQ_E_CONFIG;
    }
    node->has_next_key = error == 0;
    return error;
}

static struct block_store_retain retain_of(const struct config_retain *config)
{
    return (struct block_store_retain){
        .blocks = config->blocks,
        .bytes = config->megabytes * UINT64_C(1000000),
        .age_us = config->days * INT64_C(86400000000),
    };
}

/* What such a node does not keep it need not fetch either. */
static bool keeps_less_than_all(const struct node_config *config)
{
    return config->retain.blocks != 0 || config->retain.days != 0 || config->retain.megabytes != 0;
}

static int start_parts(struct node *node, bool vote_again, char *why, size_t why_size)
{
    char folder[PATH_SIZE], history[PATH_SIZE + 16];
    int error = file_beside(node->config_path, node->config->data, folder);
    if (error == 0)
        error = folder_make(folder, why, why_size);
    if (error != 0)
        return error;
    snprintf(history, sizeof history, "%s/history.db", folder);
    error = historian_new(&(struct historian_options){.path = history, .done = node_report_stored},
                          &node->historian, why, why_size);
    if (error == 0)
        error = agreement_new(
            &(struct agreement_options){
                .genesis = &node->genesis,
                .id = node->config->id,
                .key = &node->key,
                .next_key = node->has_next_key ? &node->next_key : NULL,
                .folder = folder,
                .registry = node->registry,
                .view_timeout_ms = node->config->view_timeout,
                .vote_again = vote_again,
                .retain = retain_of(&node->config->retain),
                .join = keeps_less_than_all(node->config),
                .context = node,
                .member = node_member_changed,
                .receipt = node_receipt,
                .refused = node_request_refused,
                .publish = node_broadcast,
                .send = node_send_member,
                .failed = node_fail,
            },
            &node->agreement, why, why_size);
    return error;
}

static int open_server(struct node *node, char *why, size_t why_size)
{
    struct serve_listeners listeners;
    struct net_server_options options = {
        .app =
            {
                .context = node,
                .worker_start = worker_start,
                .worker_stop = worker_stop,
                .authenticate = node_authenticate,
                .auth_begin = node_auth_begin,
                .auth_continue = node_auth_continue,
                .authorize = node_authorize,
                .publish = node_publish,
                .connected = node_connected,
                .disconnected = node_disconnected,
            },
    };
    const struct config_source source = {node->config_path, why, why_size};
    int error = serve_settings(&node->config->broker, &source, &options);
    if (error == 0)
        error = serve_listeners_load(&node->config->broker, node->config_path, &listeners, why,
                                     why_size);
    if (error != 0)
        return error;
    /* What the node's clients have been promised stands beside the chain, unless it is said. */
    char folder[PATH_SIZE];
    const struct config_persistence *kept = &node->config->broker.persistence;
    if (kept->durability != CONFIG_DURABLE_NONE) {
        error = file_beside(node->config_path,
                            kept->folder != NULL ? kept->folder : node->config->data, folder);
        options.state_folder = folder;
    }
    options.listeners = listeners.at;
    options.listener_count = listeners.count;
    if (options.limits.packet_bytes < NODE_PACKET_BYTES)
        options.limits.packet_bytes = NODE_PACKET_BYTES;
    if (error == 0)
        error = net_server_new(&options, &node->server, why, why_size);
    serve_listeners_close(&listeners);
    return error;
}

static int open_monitor(struct node *node, char *why, size_t why_size)
{
    const struct broker_config *config = &node->config->broker;
    struct monitor_options options = {
        .sys_interval_s =
            config->sys_interval != NULL ? *config->sys_interval : CONFIG_SYS_INTERVAL,
        .version = SEALMQ_VERSION,
        .server = node->server,
        .context = node,
        .append_metrics = node_append_metrics,
        .append_troubles = node_append_troubles,
    };
    if (config->metrics != NULL) {
        options.address =
            config->metrics->address != NULL ? config->metrics->address : CONFIG_METRICS_ADDRESS;
        options.port = config->metrics->port;
    }
    return monitor_new(&options, &node->monitor, why, why_size);
}

int node_new(const struct node_options *options, struct node **out, char *why, size_t why_size)
{
    const char *config_path = options->config_path;
    why[0] = '\0';
    struct node *node = calloc(1, sizeof *node);
    if (node == NULL)
        return SEALMQ_E_NOMEM;
    pthread_rwlock_init(&node->access_lock, NULL);
    node->started_us = node_wall_us();
    node->failed_context = options->context;
    node->failed = options->failed;
    int error = bytes_to_cstr(bytes_str(config_path), node->config_path, sizeof node->config_path);
    if (error == 0)
        error = node_config_read(config_path, &node->config, why, why_size);
    if (error == 0)
        error = read_genesis(node, why, why_size);
    if (error == 0)
        error = read_key(node, why, why_size);
    if (error == 0)
        error = read_access(node, &node->rules, why, why_size);
    if (error == 0)
        error = registry_new(&node->registry);
    if (error == 0) {
        snprintf(node->chain_prefix, sizeof node->chain_prefix, "chain/%s/", node->genesis.network);
        error = start_parts(node, options->vote_again, why, why_size);
    }
    if (error == 0)
        error = open_server(node, why, why_size);
    if (error == 0)
        error = open_monitor(node, why, why_size);
    if (error != 0) {
        if (why[0] == '\0')
            snprintf(why, why_size, "%s", sealmq_error_text(error));
        node_free(node, 0);
        return error;
    }
    *out = node;
    return 0;
}

int node_start(struct node *node)
{
    int error = net_server_start(node->server);
    if (error == 0)
        error = agreement_start(node->agreement);
    if (error == 0)
        error = monitor_start(node->monitor);
    if (error == 0 && monitor_port(node->monitor) != 0)
        log_info("node", "metrics on port %u, for everybody who reaches it",
                 monitor_port(node->monitor));
    if (error == 0)
        node_publish_members(node);
    return error;
}

void node_free(struct node *node, unsigned drain_ms)
{
    if (node == NULL)
        return;
    /* The server stops taking reports first; then what waits is stored. Its workers exist until
     * the threads that post to them have ended. */
    monitor_free(node->monitor);
    if (node->server != NULL)
        net_server_stop(node->server, drain_ms);
    historian_free(node->historian);
    agreement_free(node->agreement);
    net_server_free(node->server);
    for (unsigned i = 0; i < NODE_WORKERS_MAX; i++) {
        if (node->workers[i] != NULL)
            worker_free(node->workers[i]);
    }
    registry_free(node->registry);
    rules_unref(node->rules);
    pthread_rwlock_destroy(&node->access_lock);
    sign_key_wipe(&node->key);
    sign_key_wipe(&node->next_key);
    node_config_free(node->config);
    free(node);
}
