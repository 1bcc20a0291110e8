/* Where a message goes. Ordinary messages are routed by the broker; those on a gateway's own topics
 * and on the chain's topics are for the services, and never reach subscribers as they are. */
#include "base/log.h"
#include "node/node_int.h"

#define COMPONENT "node"

/* "<client id>/..." */
static bool is_own_topic(const struct broker_publish *in)
{
    return in->topic.n > in->client_id.n + 1 && bytes_starts_with(in->topic, in->client_id) &&
           in->topic.p[in->client_id.n] == '/';
}

static enum broker_verdict refuse(uint8_t code, uint8_t *reason)
{
    *reason = code;
    return BROKER_TAKEN;
}

static enum broker_verdict consensus_message(struct node_worker *worker,
                                             const struct broker_publish *in, struct bytes suffix,
                                             uint8_t *reason)
{
    struct node *node = worker->node;
    enum pbft_message_kind kind;
    struct registry_entry entry;
    if (pbft_message_kind_of(suffix, &kind) != 0)
        return refuse(MQTT_REASON_TOPIC_NAME_INVALID, reason);
    /* Validators come and go while they are connected. Who is none may say where it is, and ask. */
    bool is_known = registry_find(node->registry, in->client_id, &entry) == 0 && !entry.is_revoked;
    int peer = is_known ? entry.validator : -1;
    if (!is_known || (peer < 0 && kind != PBFT_MSG_STATUS && kind != PBFT_MSG_FETCH)) {
        refusals_log(&worker->refusals, net_worker_now_ms(worker->net), "login",
                     "refused gateway \"%.*s\" to publish on \"%.*s\"", node_shown(in->client_id),
                     (const char *)in->client_id.p, node_shown(in->topic),
                     (const char *)in->topic.p);
        return refuse(MQTT_REASON_NOT_AUTHORIZED, reason);
    }
    int error = agreement_message(node->agreement, kind, peer, in->payload);
    if (error != 0) {
        atomic_fetch_add(&node->messages_dropped, 1);
        refusals_log(&worker->refusals, net_worker_now_ms(worker->net), COMPONENT,
                     "a message of %.*s is dropped, because too many of its wait: %s",
                     node_shown(in->client_id), (const char *)in->client_id.p,
                     sealmq_error_text(error));
    }
    return refuse(error == 0 ? MQTT_REASON_SUCCESS : MQTT_REASON_SERVER_BUSY, reason);
}

/* A request in its binary form, as operators' tools send it: signed, so it needs no sealing. */
static enum broker_verdict admin_request(struct node_worker *worker,
                                         const struct broker_publish *in, uint8_t *reason)
{
    int error = agreement_request(worker->node->agreement, in->client_id, in->payload);
    return refuse(error == 0 ? MQTT_REASON_SUCCESS : MQTT_REASON_SERVER_BUSY, reason);
}

/* Now, whatever it was when it logged in. With our own id comes the gateway on our machine. */
static bool is_validator(struct node_worker *worker, struct bytes id)
{
    struct registry_entry entry;
    return !bytes_equal(id, bytes_str(worker->node->config->id)) &&
           registry_find(worker->node->registry, id, &entry) == 0 && entry.validator >= 0;
}

static enum broker_verdict chain_topic(struct node_worker *worker, const struct broker_publish *in,
                                       uint64_t ticket, uint8_t *reason)
{
    size_t prefix = strlen(worker->node->chain_prefix);
    struct bytes suffix = bytes_of(in->topic.p + prefix, in->topic.n - prefix);
    if (bytes_equal(suffix, BYTES_LIT("announce")))
        return node_announced(worker, in, reason);
    switch (in->role) {
    case BROKER_ROLE_VALIDATOR:
        return consensus_message(worker, in, suffix, reason);
    case BROKER_ROLE_MEMBER:
        if (bytes_equal(suffix, BYTES_LIT("request")) && !is_validator(worker, in->client_id))
            return node_device_message(worker, in, ticket, reason);
        if (bytes_equal(suffix, BYTES_LIT("query")))
            break;
        return consensus_message(worker, in, suffix, reason);
    case BROKER_ROLE_ADMIN:
        if (bytes_equal(suffix, BYTES_LIT("request")))
            return admin_request(worker, in, reason);
        if (bytes_equal(suffix, BYTES_LIT("query")))
            return node_query(worker, in, reason);
        break;
    case BROKER_ROLE_APPLICANT:
    case BROKER_ROLE_ORDINARY:
        break;
    }
    return refuse(MQTT_REASON_NOT_AUTHORIZED, reason);
}

enum broker_verdict node_publish(void *worker_context, const struct broker_publish *in,
                                 uint64_t ticket, uint8_t *reason)
{
    struct node_worker *worker = worker_context;
    if (bytes_starts_with(in->topic, bytes_str(worker->node->chain_prefix)))
        return chain_topic(worker, in, ticket, reason);
    if (in->role == BROKER_ROLE_MEMBER || in->role == BROKER_ROLE_APPLICANT)
        return is_own_topic(in) ? node_device_message(worker, in, ticket, reason)
                                : refuse(MQTT_REASON_NOT_AUTHORIZED, reason);
    /* What stands on these topics was verified; nobody else may write there. */
    if (bytes_starts_with(in->topic, BYTES_LIT("verified/")) ||
        bytes_starts_with(in->topic, BYTES_LIT("chain/")))
        return refuse(MQTT_REASON_NOT_AUTHORIZED, reason);
    return BROKER_ROUTE;
}
