/* Whether two decoded packets say the same, field by field. For tests: what a field that encoding
 * lost would hide from a comparison of bytes. */
#ifndef SEALMQ_TEST_MQTT_PACKET_EQUAL_H
#define SEALMQ_TEST_MQTT_PACKET_EQUAL_H

#include "mqtt/packet.h"

static inline bool mqtt_props_equal(struct mqtt_props a, struct mqtt_props b)
{
    return bytes_equal(a.wire, b.wire);
}

static inline bool mqtt_connect_equal(const struct mqtt_connect *a, const struct mqtt_connect *b)
{
    return a->version == b->version && a->clean_start == b->clean_start &&
           a->keep_alive_s == b->keep_alive_s && bytes_equal(a->client_id, b->client_id) &&
           mqtt_props_equal(a->props, b->props) && a->has_will == b->has_will &&
           a->will_qos == b->will_qos && a->will_retain == b->will_retain &&
           mqtt_props_equal(a->will_props, b->will_props) &&
           bytes_equal(a->will_topic, b->will_topic) &&
           bytes_equal(a->will_payload, b->will_payload) && a->has_user_name == b->has_user_name &&
           a->has_password == b->has_password && bytes_equal(a->user_name, b->user_name) &&
           bytes_equal(a->password, b->password);
}

static inline bool mqtt_publish_equal(const struct mqtt_publish *a, const struct mqtt_publish *b)
{
    return a->dup == b->dup && a->retain == b->retain && a->qos == b->qos &&
           a->packet_id == b->packet_id && bytes_equal(a->topic, b->topic) &&
           mqtt_props_equal(a->props, b->props) && bytes_equal(a->payload, b->payload);
}

static inline bool mqtt_packet_equal(const struct mqtt_packet *a, const struct mqtt_packet *b)
{
    if (a->type != b->type)
        return false;
    switch (a->type) {
    case MQTT_CONNECT:
        return mqtt_connect_equal(&a->connect, &b->connect);
    case MQTT_CONNACK:
        return a->connack.session_present == b->connack.session_present &&
               a->connack.reason == b->connack.reason &&
               mqtt_props_equal(a->connack.props, b->connack.props);
    case MQTT_PUBLISH:
        return mqtt_publish_equal(&a->publish, &b->publish);
    case MQTT_PUBACK:
    case MQTT_PUBREC:
    case MQTT_PUBREL:
    case MQTT_PUBCOMP:
        return a->ack.packet_id == b->ack.packet_id && a->ack.reason == b->ack.reason &&
               mqtt_props_equal(a->ack.props, b->ack.props);
    case MQTT_SUBSCRIBE:
        return a->subscribe.packet_id == b->subscribe.packet_id &&
               mqtt_props_equal(a->subscribe.props, b->subscribe.props) &&
               bytes_equal(a->subscribe.filters, b->subscribe.filters);
    case MQTT_UNSUBSCRIBE:
        return a->unsubscribe.packet_id == b->unsubscribe.packet_id &&
               mqtt_props_equal(a->unsubscribe.props, b->unsubscribe.props) &&
               bytes_equal(a->unsubscribe.filters, b->unsubscribe.filters);
    case MQTT_SUBACK:
    case MQTT_UNSUBACK:
        return a->suback.packet_id == b->suback.packet_id &&
               mqtt_props_equal(a->suback.props, b->suback.props) &&
               bytes_equal(a->suback.codes, b->suback.codes);
    case MQTT_PINGREQ:
    case MQTT_PINGRESP:
        return true;
    case MQTT_DISCONNECT:
    case MQTT_AUTH:
        return a->end.reason == b->end.reason && mqtt_props_equal(a->end.props, b->end.props);
    }
    return false;
}

#endif
