/* Questions on chain/<network>/query: {"query":"status"}, {"query":"devices"},
 * {"query":"request-number"}, {"query":"consistency"}. The answer goes to the asking client, on its
 * Response Topic (with its Correlation Data) or else on chain/<network>/reply/<id>.
 * docs/spec/queries.md */
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "node/node_int.h"

#include <stdio.h>
#include <stdlib.h>

#define COMPONENT       "query"
#define QUERY_BYTES_MAX 1024

static void append_hash(struct buf *json, const char *name, struct bytes bytes)
{
    buf_printf(json, "\"%s\":\"", name);
    base64_append(json, bytes);
    buf_append_u8(json, '"');
}

void node_device_stats(const struct node *node, struct device_service_stats *sum,
                       uint64_t *logins_refused)
{
    *sum = (struct device_service_stats){0};
    *logins_refused = 0;
    for (unsigned i = 0; i < net_server_workers(node->server); i++) {
        struct node_worker *worker = node->workers[i];
        if (worker == NULL)
            continue;
        pthread_mutex_lock(&worker->stats_lock);
        struct device_service_stats s = worker->stats;
        pthread_mutex_unlock(&worker->stats_lock);
        sum->handshakes_total += s.handshakes_total;
        sum->handshakes_refused_total += s.handshakes_refused_total;
        sum->reports_accepted_total += s.reports_accepted_total;
        sum->rows_accepted_total += s.rows_accepted_total;
        sum->reports_refused_signature_total += s.reports_refused_signature_total;
        sum->reports_refused_replay_total += s.reports_refused_replay_total;
        sum->reports_refused_malformed_total += s.reports_refused_malformed_total;
        sum->reports_refused_other_total += s.reports_refused_other_total;
        sum->hints_total += s.hints_total;
        sum->requests_total += s.requests_total;
        sum->requests_refused_total += s.requests_refused_total;
        *logins_refused += atomic_load(&worker->logins_refused);
    }
}

static unsigned long long ull(uint64_t v)
{
    return v;
}

static void status_keeping(const struct node *node, const struct agreement_status *s,
                           struct buf *json)
{
    buf_printf(json,
               ",\"role\":\"%s\",\"lowest_block\":%llu,\"prune_refused\":%s,\"full_nodes\":%u,"
               "\"few_full_nodes\":%s",
               node->config->role == CONFIG_ROLE_LIGHT ? "light" : "full", ull(s->keeps),
               s->is_prune_refused ? "true" : "false", s->full_nodes,
               s->is_few_full ? "true" : "false");
    if (s->catch_up.target != 0)
        buf_printf(json,
                   ",\"catch_up\":{\"target\":%llu,\"blocks_per_second\":%.0f,"
                   "\"bytes_per_second\":%.0f}",
                   ull(s->catch_up.target), s->catch_up.blocks_per_s, s->catch_up.bytes_per_s);
}

static void status_chain(const struct node *node, struct buf *json)
{
    struct agreement_status s;
    agreement_status_get(node->agreement, &s);
    size_t quorum = validators_quorum(s.validators);
    buf_printf(json,
               "\"chain\":{\"height\":%llu,\"view\":%llu,\"state\":\"%s\",\"primary\":\"%s\","
               "\"votes\":%s,\"waiting_for_peers\":%s,\"waiting_for_disk\":%s,"
               "\"checkpoint_height\":%llu,\"peers_height\":%llu,\"waiting_requests\":%zu,"
               "\"requests\":%llu,\"records\":%llu,\"receipts\":%llu,\"refused\":%llu,"
               "\"dropped\":%llu,\"bad_messages\":%llu,\"view_changes\":%llu,",
               ull(s.pbft.height), ull(s.pbft.view), s.pbft.state, s.primary,
               s.pbft.votes ? "true" : "false", s.peers_connected + 1 < quorum ? "true" : "false",
               s.disk_waiting ? "true" : "false", ull(s.pbft.stable_checkpoint),
               ull(s.pbft.peers_height), s.pbft.waiting_requests, ull(s.requests_total),
               ull(s.records_total), ull(s.receipts_total), ull(s.refused_total),
               ull(s.dropped_total), ull(s.bad_messages_total), ull(s.view_changes_total));
    append_hash(json, "tip", hash_bytes(&s.tip));
    status_keeping(node, &s, json);
    buf_append_cstr(json, ",\"peers\":[");
    for (unsigned i = 0; i < s.peer_count; i++)
        buf_printf(json, "%s{\"id\":\"%s\",\"connected\":%s}", i == 0 ? "" : ",", s.peers[i].id,
                   s.peers[i].is_connected ? "true" : "false");
    buf_append_cstr(json, "]},");
}

static void status_rest(const struct node *node, struct buf *json)
{
    struct historian_stats h;
    historian_stats_get(node->historian, &h);
    struct device_service_stats d;
    uint64_t logins_refused;
    node_device_stats(node, &d, &logins_refused);
    struct broker_stats b;
    net_server_stats(node->server, &b);
    buf_printf(json,
               "\"history\":{\"reports\":%llu,\"rows\":%llu,\"waiting\":%llu,\"failures\":%llu,"
               "\"conflicts\":%llu},",
               ull(h.reports), ull(h.rows), ull(h.waiting), ull(h.failures_total),
               ull(h.conflicts_total));
    buf_printf(json,
               "\"devices\":{\"handshakes\":%llu,\"handshakes_refused\":%llu,"
               "\"reports_accepted\":%llu,\"rows_accepted\":%llu,\"reports_bad_signature\":%llu,"
               "\"reports_replayed\":%llu,\"reports_malformed\":%llu,\"reports_refused\":%llu,"
               "\"hints\":%llu,\"requests\":%llu,\"requests_refused\":%llu},",
               ull(d.handshakes_total), ull(d.handshakes_refused_total),
               ull(d.reports_accepted_total), ull(d.rows_accepted_total),
               ull(d.reports_refused_signature_total), ull(d.reports_refused_replay_total),
               ull(d.reports_refused_malformed_total), ull(d.reports_refused_other_total),
               ull(d.hints_total), ull(d.requests_total), ull(d.requests_refused_total));
    buf_printf(json,
               "\"mqtt\":{\"connections\":%llu,\"connections_total\":%llu,\"sessions\":%llu,"
               "\"subscriptions\":%llu,\"retained\":%llu,\"publishes_in\":%llu,"
               "\"publishes_out\":%llu,\"malformed\":%llu,\"denied\":%llu,"
               "\"logins_refused\":%llu}",
               ull(b.connections), ull(b.connections_total), ull(b.sessions), ull(b.subscriptions),
               ull(b.retained), ull(b.publishes_in_total), ull(b.publishes_out_total),
               ull(b.packets_malformed_total), ull(b.publishes_denied_total), ull(logins_refused));
}

static void answer_status(struct node *node, struct buf *json)
{
    char since[RFC3339_MAX];
    rfc3339_format(node->started_us, since);
    buf_printf(json, "{\"id\":\"%s\",\"network\":\"%s\",\"version\":\"%s\",\"started\":\"%s\",",
               node->config->id, node->genesis.network, SEALMQ_VERSION, since);
    status_chain(node, json);
    status_rest(node, json);
    buf_append_u8(json, '}');
}

static void append_device(struct buf *json, const char *id, const char *status,
                          const struct public_key *key)
{
    char fingerprint[FINGERPRINT_MAX];
    public_key_fingerprint(key, fingerprint);
    buf_printf(json, "%s{\"id\":\"%s\",\"status\":\"%s\",\"fingerprint\":\"%s\",",
               json->p[json->n - 1] == '[' ? "" : ",", id, status, fingerprint);
    append_hash(json, "key", bytes_of(key->b, PUBLIC_KEY_SIZE));
    buf_append_u8(json, '}');
}

static void append_registered(void *context, const struct registry_entry *entry)
{
    if (entry->kind == REGISTRY_GATEWAY)
        append_device(context, entry->id, entry->is_revoked ? "revoked" : "active", &entry->key);
}

static int answer_devices(struct node *node, struct buf *json)
{
    struct registry_pending *pending;
    size_t n;
    int error = registry_pending_list(node->registry, &pending, &n);
    if (error != 0)
        return error;
    buf_append_cstr(json, "{\"devices\":[");
    registry_each(node->registry, append_registered, json);
    for (size_t i = 0; i < n; i++)
        append_device(json, pending[i].id, pending[i].is_contested ? "contested" : "pending",
                      &pending[i].key);
    buf_append_cstr(json, "]}");
    free(pending);
    return 0;
}

/* {"query":"consistency","from":5,"to":9}; without "to": up to the newest checkpoint. */
static int answer_consistency(struct node *node, const cJSON *object, struct buf *json)
{
    uint64_t from, to = 0;
    int error = json_member_u64(object, "from", &from, NULL);
    if (error == 0 && cJSON_GetObjectItemCaseSensitive(object, "to") != NULL)
        error = json_member_u64(object, "to", &to, NULL);
    if (error == 0 && cJSON_GetObjectItemCaseSensitive(object, "to") != NULL && to == 0)
        error = SEALMQ_E_ARG;
    struct log_growth growth;
    if (error == 0)
        error = agreement_log_growth(node->agreement, from, to, &growth);
    if (error != 0)
        return error;
    buf_printf(json, "{\"from\":%llu,\"to\":%llu,", ull(growth.from), ull(growth.to));
    append_hash(json, "root", hash_bytes(&growth.root));
    buf_append_cstr(json, ",\"path\":[");
    for (size_t i = 0; i < growth.path.n; i++) {
        buf_append_cstr(json, i == 0 ? "\"" : ",\"");
        base64_append(json, hash_bytes(&growth.path.hashes[i]));
        buf_append_u8(json, '"');
    }
    buf_append_u8(json, ']');
    if (growth.note.n != 0) {
        buf_append_cstr(json, ",\"checkpoint\":");
        json_append_string(json, buf_bytes(&growth.note));
    }
    buf_append_u8(json, '}');
    log_growth_close(&growth);
    return 0;
}

static void answer_validators(const struct node *node, struct buf *json)
{
    struct validator_set set;
    agreement_validators(node->agreement, &set);
    buf_append_cstr(json, "{\"validators\":[");
    for (size_t i = 0; i < set.n; i++) {
        buf_append_cstr(json, i == 0 ? "{\"id\":" : ",{\"id\":");
        json_append_string(json, bytes_str(set.v[i].id));
        buf_append_cstr(json, ",\"url\":");
        json_append_string(json, bytes_str(set.v[i].url));
        buf_append_u8(json, '}');
    }
    buf_append_cstr(json, "]}");
}

/* This node's own words, to be put into an admin's request. */
static int answer_join(struct node *node, const cJSON *object, struct buf *json)
{
    const char *url;
    struct buf join = {0};
    int error = json_member_string(object, "url", &url, NULL);
    if (error == 0)
        error = agreement_join(node->agreement, url, &join);
    if (error == 0) {
        buf_append_u8(json, '{');
        append_hash(json, "join", buf_bytes(&join));
        buf_append_u8(json, '}');
    }
    buf_close(&join);
    return error;
}

static int answer(struct node *node, const struct broker_publish *in, struct buf *json)
{
    if (in->payload.n > QUERY_BYTES_MAX)
        return SEALMQ_E_LIMIT;
    cJSON *object;
    const char *query;
    int error = json_parse(in->payload, &object, NULL);
    if (error != 0)
        return error;
    error = json_member_string(object, "query", &query, NULL);
    if (error == 0 && strcmp(query, "status") == 0)
        answer_status(node, json);
    else if (error == 0 && strcmp(query, "validators") == 0)
        answer_validators(node, json);
    else if (error == 0 && strcmp(query, "devices") == 0)
        error = answer_devices(node, json);
    else if (error == 0 && strcmp(query, "consistency") == 0)
        error = answer_consistency(node, object, json);
    else if (error == 0 && strcmp(query, "join") == 0)
        error = answer_join(node, object, json);
    else if (error == 0 && strcmp(query, "request-number") == 0)
        buf_printf(json, "{\"number\":%llu}",
                   ull(agreement_request_next(node->agreement, in->client_id)));
    else if (error == 0)
        error = SEALMQ_E_UNSUPPORTED;
    cJSON_Delete(object);
    return error != 0 ? error : buf_status(json);
}

static int reply(struct node_worker *worker, const struct broker_publish *in, struct bytes json)
{
    struct buf topic = {0}, props = {0};
    struct mqtt_prop prop;
    if (mqtt_props_find(in->props, MQTT_PROP_RESPONSE_TOPIC, &prop))
        buf_append_bytes(&topic, prop.text);
    else
        buf_printf(&topic, "%sreply/%.*s", worker->node->chain_prefix, (int)in->client_id.n,
                   (const char *)in->client_id.p);
    if (mqtt_props_find(in->props, MQTT_PROP_CORRELATION_DATA, &prop))
        mqtt_props_append(&props, &prop);
    int error = buf_status(&topic);
    if (error == 0)
        error = buf_status(&props);
    if (error == 0)
        error = broker_reply(net_worker_broker(worker->net), in->conn,
                             &(struct broker_outgoing){
                                 .topic = buf_bytes(&topic),
                                 .payload = json,
                                 .props = buf_bytes(&props),
                                 .qos = 1,
                             },
                             net_worker_now_ms(worker->net));
    buf_close(&topic);
    buf_close(&props);
    return error;
}

enum broker_verdict node_query(struct node_worker *worker, const struct broker_publish *in,
                               uint8_t *reason)
{
    struct buf json = {0};
    int error = answer(worker->node, in, &json);
    if (error != 0) {
        refusals_log(&worker->refusals, net_worker_now_ms(worker->net), COMPONENT,
                     "refused a query of %.*s: %s", node_shown(in->client_id),
                     (const char *)in->client_id.p, sealmq_error_text(error));
        buf_reset(&json);
        buf_printf(&json, "{\"error\":\"%s\",\"words\":\"%s\"}", sealmq_error_name(error),
                   sealmq_error_text(error));
    }
    error = buf_status(&json);
    if (error == 0)
        error = reply(worker, in, buf_bytes(&json));
    buf_close(&json);
    *reason = error == 0 ? MQTT_REASON_SUCCESS : MQTT_REASON_UNSPECIFIED_ERROR;
    return BROKER_TAKEN;
}
