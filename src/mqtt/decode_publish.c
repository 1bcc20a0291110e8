/* PUBLISH and its answers PUBACK, PUBREC, PUBREL, PUBCOMP (sections 3.3 to 3.7). */
#include "mqtt/codec_int.h"

enum publish_flag { FLAG_RETAIN = 0x01, FLAG_QOS = 0x06, FLAG_DUP = 0x08 };

int mqtt_decode_publish(struct decode *d, struct mqtt_publish *out)
{
    out->dup = (d->flags & FLAG_DUP) != 0;
    out->qos = (uint8_t)((d->flags & FLAG_QOS) >> 1);
    out->retain = (d->flags & FLAG_RETAIN) != 0;
    out->packet_id = 0;
    if (out->qos > 2) /* [MQTT-3.3.1-4] */
        return refuse_malformed(d);
    if (out->qos == 0 && out->dup) /* [MQTT-3.3.1-2] */
        return refuse_malformed(d);
    if (!take_string(&d->in, &out->topic)) /* [MQTT-3.3.2-1] */
        return refuse_malformed(d);
    if (out->qos != 0) { /* [MQTT-2.2.1-2], [MQTT-2.3.1-5] */
        if (!take_u16(&d->in, &out->packet_id))
            return refuse_malformed(d);
        /* [MQTT-2.2.1-3], [MQTT-2.2.1-4]; 3.1.1: [MQTT-2.3.1-1] */
        if (out->packet_id == 0)
            return refuse(d, MQTT_REASON_PROTOCOL_ERROR);
    }
    uint64_t seen;
    int error = mqtt_decode_props(d, MQTT_PUBLISH, &out->props, &seen);
    if (error != 0)
        return error;
    if (out->topic.n == 0 && d->is_v5) {
        /* Section 3.3.2.1: a topic alias may stand for it. */
        if (!SEEN(seen, MQTT_PROP_TOPIC_ALIAS))
            return refuse(d, MQTT_REASON_PROTOCOL_ERROR);
    } else if (!mqtt_topic_is_valid(out->topic)) { /* [MQTT-3.3.2-2], [MQTT-4.7.3-1] */
        return refuse(d, MQTT_REASON_TOPIC_NAME_INVALID);
    }
    out->payload = d->in;
    return 0;
}

int mqtt_decode_ack(struct decode *d, struct mqtt_ack *out)
{
    uint64_t seen;
    out->reason = MQTT_REASON_SUCCESS;
    out->props = (struct mqtt_props){0};
    if (!take_u16(&d->in, &out->packet_id))
        return refuse_malformed(d);
    if (out->packet_id == 0)
        return refuse(d, MQTT_REASON_PROTOCOL_ERROR);
    if (!d->is_v5)
        return d->in.n == 0 ? 0 : refuse_malformed(d);
    /* Sections 3.4.2.1 and 3.4.2.2.1, and the same for the others: a success without properties may
     * end here, one without properties after the reason code. */
    if (d->in.n == 0)
        return 0;
    if (!take_u8(&d->in, &out->reason))
        return refuse_malformed(d);
    if (d->in.n != 0) {
        int error = mqtt_decode_props(d, d->type, &out->props, &seen);
        if (error != 0)
            return error;
    }
    if (d->in.n != 0)
        return refuse_malformed(d);
    /* [MQTT-3.4.2-1], [MQTT-3.5.2-1], [MQTT-3.6.2-1], [MQTT-3.7.2-1] */
    if (!mqtt_reason_is_allowed(out->reason, decode_place(d, d->type)))
        return refuse(d, MQTT_REASON_PROTOCOL_ERROR);
    return 0;
}
