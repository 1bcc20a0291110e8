/* Decoding one packet: the fixed header, and which decoder takes the rest. */
#include "mqtt/codec_int.h"

struct type_rule {
    uint8_t flags; /* what the reserved flags must be [MQTT-2.1.3-1] (3.1.1: [MQTT-2.2.2-1]) */
    uint32_t in_v311, in_v5;
};

static const struct type_rule type_rules[16] = {
    [MQTT_CONNECT] = {0, BY_CLIENT(0), BY_CLIENT(0)},
    [MQTT_CONNACK] = {0, BY_SERVER(0), BY_SERVER(0)},
    [MQTT_PUBLISH] = {0, BY_BOTH(0), BY_BOTH(0)}, /* has no reserved flags */
    [MQTT_PUBACK] = {0, BY_BOTH(0), BY_BOTH(0)},
    [MQTT_PUBREC] = {0, BY_BOTH(0), BY_BOTH(0)},
    [MQTT_PUBREL] = {2, BY_BOTH(0), BY_BOTH(0)}, /* [MQTT-3.6.1-1] */
    [MQTT_PUBCOMP] = {0, BY_BOTH(0), BY_BOTH(0)},
    [MQTT_SUBSCRIBE] = {2, BY_CLIENT(0), BY_CLIENT(0)}, /* [MQTT-3.8.1-1] */
    [MQTT_SUBACK] = {0, BY_SERVER(0), BY_SERVER(0)},
    [MQTT_UNSUBSCRIBE] = {2, BY_CLIENT(0), BY_CLIENT(0)}, /* [MQTT-3.10.1-1] */
    [MQTT_UNSUBACK] = {0, BY_SERVER(0), BY_SERVER(0)},
    [MQTT_PINGREQ] = {0, BY_CLIENT(0), BY_CLIENT(0)},
    [MQTT_PINGRESP] = {0, BY_SERVER(0), BY_SERVER(0)},
    [MQTT_DISCONNECT] = {0, BY_CLIENT(0), BY_BOTH(0)}, /* [MQTT-3.14.1-1] */
    [MQTT_AUTH] = {0, 0, BY_BOTH(0)},                  /* [MQTT-3.15.1-1] */
};

/* Takes the fixed header off and checks what it says. */
static int take_fixed_header(struct decode *d)
{
    struct bytes packet = d->in;
    size_t size;
    if (packet.n == 0)
        return refuse_malformed(d);
    d->type = packet.p[0] >> 4;
    d->flags = packet.p[0] & 0x0f;
    const struct type_rule *rule = &type_rules[d->type];
    if (mqtt_frame(packet, &size) != 0 || size != packet.n)
        return refuse_malformed(d);

    size_t head = 2;
    while ((packet.p[head - 1] & 0x80) != 0)
        head++;
    d->in = bytes_of(packet.p + head, packet.n - head);
    d->has_long_form = head > 2 && packet.p[head - 1] == 0;
    if (d->has_long_form && d->is_v5) /* [MQTT-1.5.5-1] */
        return refuse_malformed(d);

    uint32_t senders = d->is_v5 ? rule->in_v5 : rule->in_v311;
    if (senders == 0) /* a reserved type */
        return refuse_malformed(d);
    if ((senders & decode_place(d, 0)) == 0)
        return refuse(d, MQTT_REASON_PROTOCOL_ERROR);
    if (d->type != MQTT_PUBLISH && d->flags != rule->flags)
        return refuse_malformed(d);
    return 0;
}

static int decode_empty(struct decode *d)
{
    return d->in.n == 0 ? 0 : refuse_malformed(d);
}

static int decode_body(struct decode *d, struct mqtt_packet *out)
{
    switch (out->type) {
    case MQTT_CONNECT:
        return mqtt_decode_connect(d, &out->connect);
    case MQTT_CONNACK:
        return mqtt_decode_connack(d, &out->connack);
    case MQTT_PUBLISH:
        return mqtt_decode_publish(d, &out->publish);
    case MQTT_PUBACK:
    case MQTT_PUBREC:
    case MQTT_PUBREL:
    case MQTT_PUBCOMP:
        return mqtt_decode_ack(d, &out->ack);
    case MQTT_SUBSCRIBE:
        return mqtt_decode_subscribe(d, &out->subscribe);
    case MQTT_UNSUBSCRIBE:
        return mqtt_decode_unsubscribe(d, &out->unsubscribe);
    case MQTT_SUBACK:
    case MQTT_UNSUBACK:
        return mqtt_decode_suback(d, &out->suback);
    case MQTT_PINGREQ:
    case MQTT_PINGRESP:
        return decode_empty(d);
    case MQTT_DISCONNECT:
    case MQTT_AUTH:
        return mqtt_decode_end(d, &out->end);
    }
    return refuse_malformed(d);
}

int mqtt_decode(struct bytes packet, enum mqtt_version version, bool from_client,
                struct mqtt_packet *out, uint8_t *reason)
{
    struct decode d = {.in = packet, .is_v5 = version == MQTT_V5, .from_client = from_client};
    bool is_connect = packet.n != 0 && packet.p[0] >> 4 == MQTT_CONNECT;
    if (is_connect) {
        d.is_v5 = false; /* until the packet says so */
        out->connect.version = (enum mqtt_version)0;
    }
    int error = take_fixed_header(&d);
    out->type = (enum mqtt_type)d.type;
    if (error == 0)
        error = decode_body(&d, out);
    *reason = d.reason;
    return error;
}
