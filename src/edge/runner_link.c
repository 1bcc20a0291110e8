/* The link to a node; to the next one when this one cannot be reached. */
#include "edge/runner_int.h"

#include "base/log.h"
#include "base/text.h"
#include "crypto/random.h"
#include "crypto/token.h"

#include <stdio.h>

#define COMPONENT      "gateway"
#define TOKEN_LIFE_S   60
#define FAILURES_MAX   2 /* in a row, then the next node's turn */
#define RETRY_PAUSE_MS 200

static int credentials(void *context, struct buf *user_name, struct buf *password)
{
    struct runner *runner = context;
    struct gateway_now now;
    runner_now(&now);
    struct buf jti = {0};
    base64url_append(&jti, bytes_of(now.random, 18));
    /* The token shows the key, so that a node that does not know this id yet can check it. */
    struct token token = {
        .iat = now.wall_us / 1000000,
        .has_key = true,
        .key = runner->key.public_key,
    };
    token.exp = token.iat + TOKEN_LIFE_S;
    snprintf(token.iss, sizeof token.iss, "%s", runner->config->id);
    snprintf(token.network, sizeof token.network, "%s", runner->genesis.network);
    snprintf(token.node, sizeof token.node, "%s", runner->nodes[runner->node].id);
    int error = bytes_to_cstr(buf_bytes(&jti), token.jti, sizeof token.jti);
    buf_close(&jti);
    if (error != 0)
        return error;
    buf_append_cstr(user_name, runner->config->id);
    return token_make(&token, &runner->key, password);
}

static void on_connected(void *context)
{
    struct runner *runner = context;
    char filter[ID_MAX + NETWORK_MAX + 32];
    runner->failures = 0;
    log_info(COMPONENT, "connected to %s", runner->nodes[runner->node].id);
    snprintf(filter, sizeof filter, "%s/#", runner->config->id);
    int error = net_link_subscribe(runner->link, filter, 1);
    snprintf(filter, sizeof filter, "chain/%s/reply/%s", runner->genesis.network,
             runner->config->id);
    if (error == 0)
        error = net_link_subscribe(runner->link, filter, 1);
    if (error != 0)
        log_warn(COMPONENT, "cannot subscribe: %s", sealmq_error_text(error));
    struct gateway_now now;
    struct gateway_update update;
    runner_now(&now);
    error = gateway_connected(runner->gateway, bytes_str(runner->nodes[runner->node].id), &now,
                              &update);
    runner_apply(runner, &update, error);
}

static void on_retry(uv_timer_t *timer)
{
    struct runner *runner = timer->data;
    net_link_free(runner->link);
    runner->link = NULL;
    int error = runner_connect(runner);
    if (error != 0) {
        log_error(COMPONENT, "no link can be made: %s", sealmq_error_text(error));
        uv_timer_start(&runner->retry_timer, on_retry, 1000, 0);
    }
}

static void on_disconnected(void *context, uint8_t reason, const char *words)
{
    struct runner *runner = context;
    bool was_connected = runner->failures == 0;
    gateway_disconnected(runner->gateway);
    runner->failures++;
    if (was_connected || reason != 0)
        log_warn(COMPONENT, "no connection to %s: %s", runner->nodes[runner->node].id, words);
    else
        log_debug(COMPONENT, "no connection to %s: %s", runner->nodes[runner->node].id, words);
    if (runner->failures % FAILURES_MAX == 0 && runner->node_count > 1 && !runner->is_ending) {
        runner->node = (runner->node + 1) % runner->node_count;
        log_info(COMPONENT, "trying %s", runner->nodes[runner->node].id);
        uv_timer_start(&runner->retry_timer, on_retry, RETRY_PAUSE_MS, 0);
    }
}

static void on_message(void *context, const struct net_link_message *message)
{
    struct runner *runner = context;
    struct gateway_now now;
    struct gateway_update update;
    runner_now(&now);
    int error = gateway_message(runner->gateway, bytes_str(message->topic), message->payload, &now,
                                &update);
    runner_apply(runner, &update, error);
}

int runner_connect(struct runner *runner)
{
    const struct runner_node *node = &runner->nodes[runner->node];
    return net_link_new(
        &(struct net_link_options){
            .loop = &runner->loop,
            .host = node->host,
            .port = node->port,
            .client_id = runner->config->id,
            .clean_start = true,
            .context = runner,
            .credentials = credentials,
            .connected = on_connected,
            .disconnected = on_disconnected,
            .message = on_message,
        },
        &runner->link);
}
