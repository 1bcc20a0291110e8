/* PUBLISH from a client, and messages from inside. A client's message passes, in this order: topic
 * alias, limits, receive maximum, QoS 2 duplicates, the right to publish, the service above, and
 * then the routes. */
#include "broker/broker_int.h"

#include <stdlib.h>

bool publish_topic_is_within_limits(const struct broker *b, struct bytes topic)
{
    return topic.n <= b->limits.topic_bytes && level_count(topic) <= b->limits.topic_levels;
}

/* Zero characters are no part of MQTT's strings, but of UTF-8. */
static bool is_text(struct bytes payload)
{
    while (payload.n != 0) {
        const uint8_t *zero = memchr(payload.p, 0, payload.n);
        size_t n = zero == NULL ? payload.n : (size_t)(zero - payload.p);
        if (!mqtt_utf8_is_valid(bytes_of(payload.p, n)))
            return false;
        n += zero != NULL;
        payload = bytes_of(payload.p + n, payload.n - n);
    }
    return true;
}

bool publish_payload_is_as_said(struct mqtt_props props, struct bytes payload)
{
    struct mqtt_prop prop;
    return !mqtt_props_find(props, MQTT_PROP_PAYLOAD_FORMAT, &prop) || prop.number == 0 ||
           is_text(payload);
}

static bool is_forwarded(enum mqtt_property id)
{
    switch (id) {
    case MQTT_PROP_PAYLOAD_FORMAT:
    case MQTT_PROP_CONTENT_TYPE:
    case MQTT_PROP_RESPONSE_TOPIC:
    case MQTT_PROP_CORRELATION_DATA:
    case MQTT_PROP_USER_PROPERTY:
        return true;
    default:
        return false;
    }
}

/* The result borrows from `in` when everything is forwarded, else from b->props. */
int publish_forwarded_props(struct broker *b, struct mqtt_props in, struct bytes *props,
                            uint64_t *expires_ms)
{
    *props = in.wire;
    *expires_ms = TIMER_NEVER;
    if (in.wire.n == 0)
        return 0;
    struct mqtt_props rest = in;
    struct mqtt_prop prop;
    bool all = true;
    buf_reset(&b->props);
    for (struct bytes before = rest.wire; mqtt_props_next(&rest, &prop); before = rest.wire) {
        if (prop.id == MQTT_PROP_MESSAGE_EXPIRY)
            *expires_ms = b->now_ms + (uint64_t)prop.number * 1000;
        if (is_forwarded(prop.id))
            buf_append(&b->props, before.p, before.n - rest.wire.n);
        else
            all = false;
    }
    if (!all)
        *props = buf_bytes(&b->props);
    return buf_status(&b->props);
}

/* Sets *topic to the topic of a PUBLISH with an alias. False when the connection was ended. */
static bool resolve_alias(struct broker *b, struct conn *conn, const struct mqtt_publish *publish,
                          uint32_t alias, struct bytes *topic)
{
    if (alias == 0 || alias > b->limits.topic_aliases) {
        conn_end(b, conn, MQTT_REASON_TOPIC_ALIAS_INVALID, "topic alias out of range", CONN_TELL);
        return false;
    }
    struct bytes *known = conn->topic_aliases == NULL ? NULL : &conn->topic_aliases[alias - 1];
    if (publish->topic.n == 0) {
        if (known == NULL || known->n == 0) {
            conn_end(b, conn, MQTT_REASON_PROTOCOL_ERROR, "unknown topic alias", CONN_TELL);
            return false;
        }
        *topic = *known;
        return true;
    }
    if (known != NULL && bytes_equal(*known, publish->topic))
        return true;
    if (known == NULL) {
        conn->topic_aliases = calloc(b->limits.topic_aliases, sizeof *conn->topic_aliases);
        if (conn->topic_aliases != NULL)
            known = &conn->topic_aliases[alias - 1];
    }
    size_t alias_bytes = conn->alias_bytes + publish->topic.n - (known != NULL ? known->n : 0);
    if (alias_bytes > ALIAS_BYTES_MAX) {
        conn_end(b, conn, MQTT_REASON_QUOTA_EXCEEDED, "topic aliases for too long names",
                 CONN_TELL);
        return false;
    }
    uint8_t *copy = known == NULL ? NULL : malloc(publish->topic.n);
    if (copy == NULL) {
        conn_end(b, conn, MQTT_REASON_SERVER_BUSY, "out of memory", CONN_TELL);
        return false;
    }
    memcpy(copy, publish->topic.p, publish->topic.n);
    free((void *)(uintptr_t)known->p);
    *known = bytes_of(copy, publish->topic.n);
    conn->alias_bytes = (uint32_t)alias_bytes;
    return true;
}

/* The topic of a PUBLISH within the limits. False when it has been refused. */
static bool find_topic(struct broker *b, struct conn *conn, const struct mqtt_publish *publish,
                       struct bytes *topic)
{
    *topic = publish->topic;
    /* A name over the limit must not be remembered as an alias either. */
    if (!publish_topic_is_within_limits(b, *topic)) {
        conn_end(b, conn, MQTT_REASON_TOPIC_NAME_INVALID, "topic over a limit", CONN_TELL);
        return false;
    }
    struct mqtt_prop prop;
    if (publish->props.wire.n != 0 && mqtt_props_find(publish->props, MQTT_PROP_TOPIC_ALIAS, &prop))
        return resolve_alias(b, conn, publish, prop.number, topic);
    return true;
}

/* Durable before sent: what PUBREC answers for is known after a restart. */
static int take_packet_id(struct broker *b, struct session *s, uint16_t packet_id)
{
    int error = packet_ids_add(&s->received, packet_id);
    if (error == 0) {
        error = storing_received(b, s, packet_id, false);
        if (error != 0)
            (void)packet_ids_remove(&s->received, packet_id);
    }
    return error;
}

/* Accounts for a message with an acknowledgement. False when it goes no further. */
static bool admit(struct broker *b, struct conn *conn, const struct mqtt_publish *publish,
                  struct message_taken *taken)
{
    if (publish->qos == 2 && packet_ids_has(&conn->session->received, publish->packet_id)) {
        acknowledge(b, conn, 2, publish->packet_id, MQTT_REASON_SUCCESS);
        return false;
    }
    if (conn->version == MQTT_V5 && conn->unacked >= b->limits.receive_maximum) {
        conn_end(b, conn, MQTT_REASON_RECEIVE_MAXIMUM_EXCEEDED, "receive maximum exceeded",
                 CONN_TELL);
        return false;
    }
    if (publish->qos == 2 && take_packet_id(b, conn->session, publish->packet_id) != 0) {
        conn_end(b, conn, MQTT_REASON_SERVER_BUSY, "out of memory", CONN_TELL);
        return false;
    }
    if (publish->qos == 2)
        (void)session_take_partial(conn->session, publish->packet_id, taken);
    if (conn->unacked < UINT16_MAX)
        conn->unacked++;
    return true;
}

/* Routes a client's message; the reason to acknowledge it with. */
static uint8_t route(struct broker *b, struct conn *conn, const struct mqtt_publish *publish,
                     struct bytes topic, const struct message_taken *taken)
{
    struct publication publication = {
        .view =
            {
                .topic = topic,
                .payload = publish->payload,
                .origin = conn->session->number,
                .publisher = conn->name,
                .taken = *taken,
                .origin_id = conn->session->subscriber.is_durable && publish->qos == 2
                                 ? publish->packet_id
                                 : 0,
                .qos = publish->qos,
                .retain = publish->retain,
            },
    };
    bool has_receivers = false;
    uint64_t touches = storing_touches(b);
    int error = publish_forwarded_props(b, publish->props, &publication.view.props,
                                        &publication.view.expires_ms);
    pace_begin(b);
    if (error == 0)
        error = route_publication(b, &publication, &has_receivers);
    publication_close(&publication);
    storing_depend(b, conn, touches);
    pace_publisher(b, conn->name, pace_pressure_ms(b));
    if (error == 0)
        return has_receivers ? MQTT_REASON_SUCCESS : MQTT_REASON_NO_MATCHING_SUBSCRIBERS;
    if (error == SEALMQ_E_LIMIT) {
        STAT_ADD(b, dropped_retained_full_total, 1);
        return MQTT_REASON_QUOTA_EXCEEDED;
    }
    STAT_ADD(b, dropped_memory_total, 1);
    /* No memory: without an acknowledgement the client keeps the message and tries again. */
    if (publish->qos == 2 && packet_ids_remove(&conn->session->received, publish->packet_id))
        (void)!storing_received(b, conn->session, publish->packet_id, true);
    conn_end(b, conn, MQTT_REASON_SERVER_BUSY, "out of memory", CONN_TELL);
    return MQTT_REASON_SERVER_BUSY;
}

/* Shows the message to the service above, and routes it if the service does not want it. */
static void offer(struct broker *b, struct conn *conn, const struct mqtt_publish *publish,
                  struct bytes topic, const struct message_taken *taken)
{
    const struct session *s = conn->session;
    struct broker_publish in = {
        .conn = conn->name,
        .client_id = session_client_id(s),
        .user_name = session_user_name(s),
        .role = s->role,
        .version = conn->version,
        .topic = topic,
        .payload = publish->payload,
        .props = publish->props,
        .qos = publish->qos,
        .retain = publish->retain,
    };
    uint64_t ticket;
    if (tickets_open(&conn->tickets, publish->qos, publish->packet_id, &ticket) != 0) {
        conn_end(b, conn, MQTT_REASON_SERVER_BUSY, "out of memory", CONN_TELL);
        return;
    }
    uint8_t reason = MQTT_REASON_SUCCESS;
    enum broker_verdict verdict = b->host.publish(b->host.context, &in, ticket, &reason);
    if (conn->state != CONN_CONNECTED || verdict == BROKER_DEFER)
        return;
    if (verdict == BROKER_ROUTE)
        reason = route(b, conn, publish, topic, taken);
    else if (reason == MQTT_REASON_NOT_AUTHORIZED)
        STAT_ADD(b, publishes_denied_total, 1);
    if (conn->state == CONN_CONNECTED && tickets_complete(conn->tickets, ticket, reason))
        acknowledge_done(b, conn);
}

void publish_input(struct broker *b, struct conn *conn, const struct mqtt_publish *publish)
{
    struct bytes topic;
    STAT_ADD_AT(b, messages_in_qos0_total, publish->qos, 1);
    STAT_ADD(b, payload_bytes_in_total, publish->payload.n);
    if (!find_topic(b, conn, publish, &topic))
        return;
    struct message_taken taken = {0};
    if (publish->qos != 0 && !admit(b, conn, publish, &taken))
        return;
    struct broker_subject subject = session_subject(conn->session);
    if (!b->host.authorize(b->host.context, &subject, BROKER_WRITE, topic)) {
        STAT_ADD(b, publishes_denied_total, 1);
        acknowledge(b, conn, publish->qos, publish->packet_id, MQTT_REASON_NOT_AUTHORIZED);
        return;
    }
    if (publish->props.wire.n != 0 &&
        !publish_payload_is_as_said(publish->props, publish->payload)) {
        STAT_ADD(b, dropped_payload_format_total, 1);
        acknowledge(b, conn, publish->qos, publish->packet_id, MQTT_REASON_PAYLOAD_FORMAT_INVALID);
        return;
    }
    if (b->host.publish != NULL) {
        offer(b, conn, publish, topic, &taken);
        return;
    }
    uint8_t reason = route(b, conn, publish, topic, &taken);
    if (conn->state == CONN_CONNECTED)
        acknowledge(b, conn, publish->qos, publish->packet_id, reason);
}

/* A publication of what a service sends; borrows from it. */
static int publication_of_outgoing(struct broker *b, const struct broker_outgoing *message,
                                   struct publication *out)
{
    if (!mqtt_topic_is_valid(message->topic) || !publish_topic_is_within_limits(b, message->topic))
        return SEALMQ_E_ARG;
    *out = (struct publication){
        .view =
            {
                .topic = message->topic,
                .payload = message->payload,
                .qos = message->qos > 2 ? 2 : message->qos,
                .retain = message->retain,
            },
    };
    struct mqtt_props props = {message->props};
    return publish_forwarded_props(b, props, &out->view.props, &out->view.expires_ms);
}

int broker_publish(struct broker *b, const struct broker_outgoing *message, uint64_t now_ms)
{
    broker_enter(b, now_ms);
    struct publication publication = {0};
    bool has_receivers;
    int error = publication_of_outgoing(b, message, &publication);
    if (error == 0)
        error = route_publication(b, &publication, &has_receivers);
    publication_close(&publication);
    broker_leave(b);
    return error;
}

int broker_reply(struct broker *b, struct broker_conn conn_name,
                 const struct broker_outgoing *message, uint64_t now_ms)
{
    struct conn *conn = conn_get(b, conn_name);
    if (conn == NULL || conn->state != CONN_CONNECTED)
        return SEALMQ_E_CLOSED;
    broker_enter(b, now_ms);
    struct publication publication = {0};
    int error = publication_of_outgoing(b, message, &publication);
    struct delivery_terms terms = {.qos = message->qos > 1 ? 1 : message->qos, .may_queue = true};
    if (error == 0 && !deliver(b, &publication, conn->session, &terms))
        error = SEALMQ_E_FULL;
    publication_close(&publication);
    broker_leave(b);
    return error;
}
