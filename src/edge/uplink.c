#include "edge/uplink.h"

#include "base/log.h"
#include "base/text.h"
#include "crypto/random.h"
#include "crypto/token.h"
#include "net/link.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ME           "uplink"
#define TOKEN_LIFE_S 60
#define HOST_SIZE    (URL_MAX_BYTES + 1)
#define KEEP_ALIVE_S 15
#define PAUSE_MIN_MS 500
#define PAUSE_MAX_MS 15000
#define NEXT_NODE_MS 20 /* within a round */

struct target {
    char id[ID_MAX + 1];
    char host[HOST_SIZE];
    uint16_t port;
};

struct uplink {
    struct uplink_options options;
    char id[ID_MAX + 1], network[NETWORK_MAX + 1];
    struct target *targets;
    size_t current; /* the one that is or was tried last */
    struct net_link *link;
    uv_timer_t timer; /* until the next node is tried */
    bool is_connected;
    bool is_restarting; /* the end that the link will tell of was our wish */
    unsigned failures;  /* tries in a row, not counting those of the link between rounds */
    bool is_freed;
};

static const struct target *current(const struct uplink *uplink)
{
    return &uplink->targets[uplink->current];
}

/* ---- log-in ---- */

static int on_credentials(void *context, struct buf *user_name, struct buf *password)
{
    const struct uplink *uplink = context;
    int64_t now_s = (int64_t)time(NULL);
    /* The own key goes along always: whether the node knows it is the node's to find out. */
    struct token token = {
        .iat = now_s,
        .exp = now_s + TOKEN_LIFE_S,
        .has_key = true,
        .key = uplink->options.key->public_key,
    };
    snprintf(token.iss, sizeof token.iss, "%s", uplink->id);
    snprintf(token.network, sizeof token.network, "%s", uplink->network);
    snprintf(token.node, sizeof token.node, "%s", current(uplink)->id);
    uint8_t random[TOKEN_JTI_RANDOM];
    random_bytes(random, sizeof random);
    int error = token_jti_make(random, token.jti);
    if (error == 0)
        error = token_make(&token, uplink->options.key, password);
    buf_append_cstr(user_name, uplink->id);
    return error != 0 ? error : buf_status(user_name);
}

/* ---- the connection ---- */

static int subscribe(struct uplink *uplink)
{
    char filter[ID_MAX + NETWORK_MAX + 32];
    snprintf(filter, sizeof filter, "%s/#", uplink->id);
    int error = net_link_subscribe(uplink->link, filter, 1);
    if (error != 0)
        return error;
    snprintf(filter, sizeof filter, "chain/%s/reply/%s", uplink->network, uplink->id);
    return net_link_subscribe(uplink->link, filter, 1);
}

static void on_connected(void *context)
{
    struct uplink *uplink = context;
    int error = subscribe(uplink);
    if (error != 0) {
        log_warn(ME, "cannot subscribe at node %s: %s", current(uplink)->id,
                 sealmq_error_text(error));
        net_link_restart(uplink->link, NULL, 0);
        return;
    }
    uv_timer_stop(&uplink->timer);
    uplink->is_connected = true;
    log_info(ME, "connected to node %s at %s:%u", current(uplink)->id, current(uplink)->host,
             current(uplink)->port);
    uplink->options.connected(uplink->options.context, current(uplink)->id);
}

/* After a failure: at once within a round, with growing pauses between rounds. */
static uint64_t pause_ms(const struct uplink *uplink)
{
    unsigned round = uplink->failures / (unsigned)uplink->options.node_count;
    if (uplink->failures % uplink->options.node_count != 0)
        return NEXT_NODE_MS;
    uint64_t ms = PAUSE_MIN_MS;
    while (--round > 0 && ms < PAUSE_MAX_MS)
        ms *= 2;
    return ms < PAUSE_MAX_MS ? ms : PAUSE_MAX_MS;
}

static void try_next(struct uplink *uplink)
{
    uplink->current = (uplink->current + 1) % uplink->options.node_count;
    net_link_restart(uplink->link, current(uplink)->host, current(uplink)->port);
}

static void on_timer(uv_timer_t *timer)
{
    struct uplink *uplink = timer->data;
    if (!uplink->is_connected)
        try_next(uplink);
}

static void on_disconnected(void *context, uint8_t reason, const char *words)
{
    struct uplink *uplink = context;
    bool was_connected = uplink->is_connected;
    if (uplink->is_restarting || uv_is_active((uv_handle_t *)&uplink->timer)) {
        uplink->is_restarting = false;
        return;
    }
    uplink->is_connected = false;
    uplink->failures = was_connected ? 0 : uplink->failures + 1;
    /* A round without success is worth a warning, a single node that is away is not. */
    bool is_round = uplink->failures != 0 && uplink->failures % uplink->options.node_count == 0;
    if (was_connected || is_round || reason != 0)
        log_warn(ME, "%s node %s at %s:%u: %s",
                 was_connected ? "the connection has ended to" : "no connection to",
                 current(uplink)->id, current(uplink)->host, current(uplink)->port, words);
    else
        log_debug(ME, "no connection to node %s: %s", current(uplink)->id, words);
    if (was_connected)
        uplink->options.disconnected(uplink->options.context);
    /* One that has just ended, and one that is the only one, is tried again by the link itself. */
    if (uplink->failures != 0 && uplink->options.node_count > 1)
        uv_timer_start(&uplink->timer, on_timer, pause_ms(uplink), 0);
}

static void on_message(void *context, const struct net_link_message *message)
{
    struct uplink *uplink = context;
    if (uplink->is_connected)
        uplink->options.message(uplink->options.context, bytes_str(message->topic),
                                message->payload);
}

/* ---- making ---- */

static int read_targets(struct uplink *uplink, const struct uplink_node *nodes, char *why,
                        size_t why_size)
{
    for (size_t i = 0; i < uplink->options.node_count; i++) {
        struct target *target = &uplink->targets[i];
        int error = bytes_to_cstr(bytes_str(nodes[i].id), target->id, sizeof target->id);
        if (error == 0)
            error = net_url_parse(bytes_str(nodes[i].url), target->host, sizeof target->host,
                                  &target->port);
        if (error != 0) {
            snprintf(why, why_size, "node %s: url \"%s\" must be like mqtt://127.0.0.1:1883 (%s)",
                     nodes[i].id, nodes[i].url, sealmq_error_text(error));
            return SEALMQ_E_CONFIG;
        }
    }
    return 0;
}

static int start(struct uplink *uplink)
{
    const struct net_link_options options = {
        .loop = uplink->options.loop,
        .host = current(uplink)->host,
        .port = current(uplink)->port,
        .client_id = uplink->id,
        .keep_alive_s = KEEP_ALIVE_S,
        .clean_start = true,
        .context = uplink,
        .credentials = on_credentials,
        .connected = on_connected,
        .disconnected = on_disconnected,
        .message = on_message,
    };
    return net_link_new(&options, &uplink->link);
}

int uplink_new(const struct uplink_options *options, struct uplink **out, char *why,
               size_t why_size)
{
    struct uplink *uplink = calloc(1, sizeof *uplink);
    if (uplink == NULL)
        return SEALMQ_E_NOMEM;
    uplink->options = *options;
    uplink->targets = calloc(options->node_count, sizeof *uplink->targets);
    snprintf(uplink->id, sizeof uplink->id, "%s", options->id);
    snprintf(uplink->network, sizeof uplink->network, "%s", options->network);
    int error = uplink->targets == NULL ? SEALMQ_E_NOMEM
                                        : read_targets(uplink, options->nodes, why, why_size);
    uplink->options.nodes = NULL;
    if (error == 0)
        error = start(uplink);
    if (error != 0) {
        free(uplink->targets);
        free(uplink);
        return error;
    }
    uv_timer_init(options->loop, &uplink->timer);
    uplink->timer.data = uplink;
    *out = uplink;
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    struct uplink *uplink = handle->data;
    free(uplink->targets);
    free(uplink);
}

void uplink_free(struct uplink *uplink)
{
    if (uplink == NULL || uplink->is_freed)
        return;
    uplink->is_freed = true;
    net_link_free(uplink->link);
    uv_close((uv_handle_t *)&uplink->timer, on_closed);
}

void uplink_send(struct uplink *uplink, const struct gateway_message *message)
{
    if (!uplink->is_connected)
        return;
    /* The journal puts a zero behind every topic. */
    const char *topic = (const char *)message->topic.p;
    int error = net_link_publish(uplink->link, topic, message->payload, 1, false, 0);
    if (error != 0)
        log_debug(ME, "a message on %s was not sent: %s", topic, sealmq_error_text(error));
}

void uplink_restart(struct uplink *uplink, bool next_node)
{
    uplink->is_restarting = uplink->is_connected;
    uplink->is_connected = false;
    uv_timer_stop(&uplink->timer);
    if (next_node)
        try_next(uplink);
    else
        net_link_restart(uplink->link, NULL, 0);
}

const char *uplink_node_id(const struct uplink *uplink)
{
    return uplink->is_connected ? current(uplink)->id : NULL;
}

size_t uplink_node_count(const struct uplink *uplink)
{
    return uplink->options.node_count;
}
