/* Will messages (section 3.1.2.5): made from the CONNECT packet, kept in the session, published
 * when the connection ends otherwise than by a normal DISCONNECT and the delay has passed. The
 * right to publish is asked when that happens. Wills are not shown to the services: what a service
 * expects is said by a client that is there. So with services above only ordinary clients have
 * wills: what the network's own roles may publish is for the services alone, and a will must not
 * reach subscribers, or be retained, around them. */
#include "broker/broker_int.h"

/* A will waits from the beginning. */
int will_of_connect(struct broker *b, const struct mqtt_connect *connect, uint64_t origin,
                    struct broker_message **out, uint32_t *delay_s)
{
    *out = NULL;
    *delay_s = 0;
    if (!connect->has_will)
        return 0;
    struct publication will = {
        .view =
            {
                .topic = connect->will_topic,
                .payload = connect->will_payload,
                .origin = origin,
                .qos = connect->will_qos,
                .retain = connect->will_retain,
            },
    };
    uint64_t expires_ms;
    int error = publish_forwarded_props(b, connect->will_props, &will.view.props, &expires_ms);
    if (error != 0)
        return error;
    /* The expiry of a will counts from its publication; until then its length is kept here. */
    struct mqtt_prop prop;
    bool expires = mqtt_props_find(connect->will_props, MQTT_PROP_MESSAGE_EXPIRY, &prop);
    will.view.expires_ms = expires ? (uint64_t)prop.number * 1000 : TIMER_NEVER;
    if (mqtt_props_find(connect->will_props, MQTT_PROP_WILL_DELAY, &prop))
        *delay_s = prop.number;
    if (!waiting_has_room_to_queue(b, message_size(&will.view)))
        return SEALMQ_E_LIMIT;
    error = publication_own(&will);
    if (error == 0)
        message_wait(&b->budgets.waiting_bytes, will.owned);
    *out = will.owned;
    message_release(will.owned);
    return error;
}

void will_drop(struct broker *b, struct session *s)
{
    if (s->will != NULL)
        message_wait_no_more(&b->budgets.waiting_bytes, s->will);
    s->will = NULL;
    s->will_at_ms = TIMER_NEVER;
}

void will_publish(struct broker *b, struct session *s)
{
    struct broker_message *message = s->will;
    s->will = NULL;
    s->will_at_ms = TIMER_NEVER;
    if (message == NULL)
        return;
    struct broker_subject subject = session_subject(s);
    bool is_for_service = b->host.publish != NULL && s->role != BROKER_ROLE_ORDINARY;
    if (is_for_service ||
        !b->host.authorize(b->host.context, &subject, BROKER_WRITE, message->view.topic)) {
        STAT_ADD(b, publishes_denied_total, 1);
        message_wait_no_more(&b->budgets.waiting_bytes, message);
        return;
    }
    /* The journal may have the message too, so it is not changed: what must own it, copies it. */
    struct publication publication = {.view = message->view};
    if (publication.view.expires_ms != TIMER_NEVER)
        publication.view.expires_ms += b->now_ms;
    bool has_receivers;
    int error = route_publication(b, &publication, &has_receivers);
    if (error == SEALMQ_E_LIMIT)
        STAT_ADD(b, dropped_retained_full_total, 1);
    else if (error != 0)
        STAT_ADD(b, dropped_memory_total, 1);
    publication_close(&publication);
    message_wait_no_more(&b->budgets.waiting_bytes, message);
}
