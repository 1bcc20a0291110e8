/* SUBSCRIBE and UNSUBSCRIBE. The SUBACK goes out before the retained messages that the subscription
 * brings; and the other shards learn of a new filter by the same turn's parcels. */
#include "broker/broker_int.h"

#include <stdlib.h>

/* What became of one filter; kept between its subscription and the sending of retained messages. */
enum { OUTCOME_NEW = 0x40 }; /* beside a granted QoS: the subscription was not there before */

/* Tells the other shards of a filter's first or last subscriber here, or how many a shared one has.
 */
static int announce(struct broker *b, struct bytes filter)
{
    if (b->shards == 1)
        return 0;
    return mqtt_filter_is_shared(filter)
               ? share_announce(b, filter)
               : parcel_put_filter(b, filter, subtree_count(&b->subtree, filter));
}

static uint8_t subscribe_one(struct broker *b, struct session *s, const struct mqtt_filter *f,
                             uint32_t id)
{
    /* Of a shared one, the filter itself is what may be read or not. */
    struct bytes filter = mqtt_filter_without_share(f->filter);
    if (!publish_topic_is_within_limits(b, filter) || f->filter.n - filter.n > SHARE_BYTES_MAX)
        return MQTT_REASON_TOPIC_FILTER_INVALID;
    struct broker_subject subject = session_subject(s);
    if (!b->host.authorize(b->host.context, &subject, BROKER_SUBSCRIBE, filter))
        return MQTT_REASON_NOT_AUTHORIZED;
    struct subscription_options options = {id, f->qos, f->no_local, f->retain_as_published};
    struct subtree_change change;
    if (subtree_subscribe(&b->subtree, &s->subscriber, f->filter, &options, &change) != 0)
        return MQTT_REASON_UNSPECIFIED_ERROR;
    struct budget *in_all = &b->budgets.subscriptions;
    budget_set(in_all, b->subtree.count);
    bool is_too_many = !change.existed && (s->subscriber.count > b->limits.subscriptions ||
                                           s->subscriber.filter_bytes > FILTER_BYTES_MAX ||
                                           !budget_has_room(in_all, 0, in_all->most));
    if (is_too_many || (change.is_boundary && announce(b, f->filter) != 0) ||
        storing_put_subscription(b, s, f->filter, &options) != 0) {
        subtree_unsubscribe(&b->subtree, &s->subscriber, f->filter, &change);
        return is_too_many ? MQTT_REASON_QUOTA_EXCEEDED : MQTT_REASON_UNSPECIFIED_ERROR;
    }
    return (uint8_t)(f->qos | (change.existed ? 0 : OUTCOME_NEW));
}

struct retained_sending {
    struct broker *broker;
    struct session *session;
    uint8_t qos;
    struct subscription_ids *ids;
};

static bool send_retained(void *context, struct broker_message *message)
{
    struct retained_sending *sending = context;
    struct broker *b = sending->broker;
    struct session *s = sending->session;
    struct broker_subject subject = session_subject(s);
    if (!b->host.authorize(b->host.context, &subject, BROKER_READ, message->view.topic))
        return true;
    struct publication p;
    publication_of(message, &p);
    struct delivery_terms terms = {
        .qos = sending->qos < p.view.qos ? sending->qos : p.view.qos,
        .retain = true,
        .is_stored = true,
        .ids = sending->ids,
    };
    (void)deliver(b, &p, s, &terms);
    publication_close(&p);
    /* A client that cannot take more must not make us walk on. */
    return s->conn->state == CONN_CONNECTED && deliver_queue_has_room(b, s, 0, true);
}

static void send_retained_for(struct broker *b, struct session *s, const struct mqtt_filter *f,
                              uint8_t outcome, struct subscription_ids *ids)
{
    bool is_new = (outcome & OUTCOME_NEW) != 0;
    /* Section 4.8.2: retained messages are not for shared subscriptions. */
    if (outcome >= 0x80 || f->retain_handling == 2 || (f->retain_handling == 1 && !is_new) ||
        mqtt_filter_is_shared(f->filter))
        return;
    struct retained_sending sending = {b, s, f->qos, ids};
    retained_match(&b->retained, f->filter, send_retained, &sending);
}

static bool send_suback(struct broker *b, struct conn *conn, const struct mqtt_subscribe *subscribe,
                        const struct buf *outcomes, struct buf *codes)
{
    const char *words = NULL;
    for (size_t i = 0; i < outcomes->n; i++) {
        uint8_t code = outcomes->p[i];
        if (code >= 0x80) {
            /* One string for all: what was wrong with the first that was refused. */
            words = words == NULL ? mqtt_reason_text(code) : words;
            code = conn->version == MQTT_V5 ? code : 0x80;
        } else {
            code &= (uint8_t)~OUTCOME_NEW;
        }
        buf_append_u8(codes, code);
    }
    if (buf_status(codes) != 0) {
        conn_end(b, conn, MQTT_REASON_SERVER_BUSY, "out of memory", CONN_TELL);
        return false;
    }
    struct mqtt_packet packet = {
        .type = MQTT_SUBACK,
        .suback = {.packet_id = subscribe->packet_id, .codes = buf_bytes(codes)},
    };
    return storing_hold(b, conn) && conn_send_words(b, conn, &packet, &packet.suback.props, words);
}

void subscribe_input(struct broker *b, struct conn *conn, const struct mqtt_subscribe *subscribe)
{
    struct session *s = conn->session;
    struct subscription_ids *ids = NULL;
    struct mqtt_prop prop;
    uint32_t id = 0;
    if (mqtt_props_find(subscribe->props, MQTT_PROP_SUBSCRIPTION_ID, &prop))
        id = prop.number;
    struct buf outcomes = {0};
    struct buf codes = {0};
    struct mqtt_filter f;
    bool goes_on = id == 0 || subscription_ids_add(&ids, id) == 0;
    for (struct bytes rest = subscribe->filters; goes_on && mqtt_filters_next(&rest, &f);) {
        buf_append_u8(&outcomes, subscribe_one(b, s, &f, id));
        goes_on = buf_status(&outcomes) == 0;
    }
    if (!goes_on) {
        conn_end(b, conn, MQTT_REASON_SERVER_BUSY, "out of memory", CONN_TELL);
    } else if (send_suback(b, conn, subscribe, &outcomes, &codes)) {
        size_t i = 0;
        for (struct bytes rest = subscribe->filters; i < outcomes.n && mqtt_filters_next(&rest, &f);
             i++)
            send_retained_for(b, s, &f, outcomes.p[i], ids);
    }
    subscription_ids_release(ids);
    buf_close(&outcomes);
    buf_close(&codes);
}

int subscription_restore(struct broker *b, struct session *s, struct bytes filter,
                         const struct subscription_options *options)
{
    struct subtree_change change;
    int error = subtree_subscribe(&b->subtree, &s->subscriber, filter, options, &change);
    return error == 0 && change.is_boundary ? announce(b, filter) : error;
}

/* Tells the other shards that nobody here wants a filter any more. Without memory for that they go
 * on sending what nobody here wants, which costs time and nothing else; what is for a group is
 * passed on. */
static void leave_filter(struct broker *b, struct bytes filter)
{
    (void)!announce(b, filter);
}

void unsubscribe_input(struct broker *b, struct conn *conn,
                       const struct mqtt_unsubscribe *unsubscribe)
{
    struct buf codes = {0};
    struct bytes filter;
    bool is_short = false;
    for (struct bytes rest = unsubscribe->filters; mqtt_topics_next(&rest, &filter);) {
        struct subtree_change change;
        /* What was not there needs no removing on disk either, but asking first costs more. */
        if (storing_put_subscription(b, conn->session, filter, NULL) != 0) {
            is_short = true;
            break;
        }
        subtree_unsubscribe(&b->subtree, &conn->session->subscriber, filter, &change);
        if (change.is_boundary)
            leave_filter(b, filter);
        buf_append_u8(&codes,
                      change.existed ? MQTT_REASON_SUCCESS : MQTT_REASON_NO_SUBSCRIPTION_EXISTED);
    }
    if (is_short || buf_status(&codes) != 0) {
        conn_end(b, conn, MQTT_REASON_SERVER_BUSY, "out of memory", CONN_TELL);
    } else {
        struct mqtt_packet packet = {
            .type = MQTT_UNSUBACK,
            .suback = {.packet_id = unsubscribe->packet_id, .codes = buf_bytes(&codes)},
        };
        (void)(storing_hold(b, conn) && conn_send(b, conn, &packet));
    }
    buf_close(&codes);
}

void unsubscribe_all(struct broker *b, struct session *s)
{
    struct buf boundary = {0};
    while (subtree_drop_one(&b->subtree, &s->subscriber, &boundary)) {
        if (boundary.n != 0)
            leave_filter(b, buf_bytes(&boundary));
    }
    buf_close(&boundary);
}
