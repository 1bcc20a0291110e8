/* Ids that want to be registered, and the retained list of those that are. */
#include "base/log.h"
#include "base/text.h"
#include "device/announce.h"
#include "node/node_int.h"

#include <stdio.h>

#define COMPONENT       "device"
#define MEMBERS_WAIT_MS 200

static int take(struct node *node, const struct broker_publish *in)
{
    struct registry_pending pending = {.since_us = node_wall_us()};
    int error = announce_parse(in->payload, &node->genesis.hash, pending.id, &pending.key);
    if (error != 0)
        return error;
    /* Other nodes pass on what was announced to them; everyone else speaks for itself. */
    bool is_passed_on = in->role == BROKER_ROLE_VALIDATOR;
    if (!is_passed_on && !bytes_equal(bytes_str(pending.id), in->client_id))
        return SEALMQ_E_DENIED;
    bool is_new;
    error = registry_announce(node->registry, &pending, is_passed_on, &is_new);
    if (error == SEALMQ_E_EXISTS)
        return 0; /* a registered gateway may say its key again */
    if (error != 0 || !is_new)
        return error;
    char fingerprint[FINGERPRINT_MAX];
    public_key_fingerprint(&pending.key, fingerprint);
    log_info(COMPONENT, "%s waits for approval, key %s (sealmq device approve %s --fingerprint %s)",
             pending.id, fingerprint, pending.id, fingerprint);
    return is_passed_on ? 0 : agreement_announce(node->agreement, in->payload);
}

enum broker_verdict node_announced(struct node_worker *worker, const struct broker_publish *in,
                                   uint8_t *reason)
{
    int error = take(worker->node, in);
    if (error != 0)
        refusals_log(&worker->refusals, net_worker_now_ms(worker->net), COMPONENT,
                     "refused an announcement of %.*s: %s", node_shown(in->client_id),
                     (const char *)in->client_id.p, sealmq_error_text(error));
    *reason = error == 0                    ? MQTT_REASON_SUCCESS
              : error == SEALMQ_E_DENIED    ? MQTT_REASON_NOT_AUTHORIZED
              : error == SEALMQ_E_SIGNATURE ? MQTT_REASON_NOT_AUTHORIZED
              : error == SEALMQ_E_BUSY      ? MQTT_REASON_QUOTA_EXCEEDED
              : error == SEALMQ_E_FULL      ? MQTT_REASON_QUOTA_EXCEEDED
              : error == SEALMQ_E_NOMEM     ? MQTT_REASON_QUOTA_EXCEEDED
                                            : MQTT_REASON_PAYLOAD_FORMAT_INVALID;
    return BROKER_TAKEN;
}

static void append_member(void *context, const struct registry_entry *entry)
{
    struct buf *json = context;
    if (entry->is_revoked || entry->kind == REGISTRY_ADMIN)
        return;
    buf_printf(json, "%s{\"id\":\"%s\",\"role\":\"%s\",\"key\":\"",
               json->p[json->n - 1] == '[' ? "" : ",", entry->id,
               entry->kind == REGISTRY_VALIDATOR ? "validator" : "gateway");
    base64_append(json, bytes_of(entry->key.b, PUBLIC_KEY_SIZE));
    buf_append_cstr(json, "\"}");
}

void node_publish_members(struct node *node)
{
    char topic[NETWORK_MAX + 16];
    snprintf(topic, sizeof topic, "%snodes", node->chain_prefix);
    struct buf json = {0};
    buf_printf(&json, "{\"network\":\"%s\",\"nodes\":[", node->genesis.network);
    registry_each(node->registry, append_member, &json);
    buf_append_cstr(&json, "]}");
    if (buf_status(&json) == 0)
        node_broadcast(node, topic, buf_bytes(&json), true);
    buf_close(&json);
}

static void on_members_due(uv_timer_t *timer)
{
    struct node_worker *worker = timer->data;
    worker->members_ms = net_worker_now_ms(worker->net);
    node_publish_members(worker->node);
}

static void on_members_changed(void *worker_context, void *arg)
{
    struct node_worker *worker = worker_context;
    (void)arg;
    if (uv_is_active((uv_handle_t *)&worker->members_timer))
        return;
    uint64_t now_ms = net_worker_now_ms(worker->net);
    uint64_t due_ms = worker->members_ms + MEMBERS_WAIT_MS;
    uv_timer_start(&worker->members_timer, on_members_due, due_ms > now_ms ? due_ms - now_ms : 0,
                   0);
}

void node_members_changed(struct node *node)
{
    struct net_worker *first = net_server_worker(node->server, 0);
    if (net_worker_post(first, on_members_changed, NULL) == SEALMQ_E_NOMEM)
        log_warn(COMPONENT, "the list of members is not published: out of memory");
}
