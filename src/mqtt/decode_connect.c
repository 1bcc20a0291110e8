/* CONNECT and CONNACK (sections 3.1 and 3.2). Where the numbers of the two versions differ, the
 * statement of 3.1.1 is named second. */
#include "mqtt/codec_int.h"

enum connect_flag {
    FLAG_RESERVED = 0x01,
    FLAG_CLEAN_START = 0x02,
    FLAG_WILL = 0x04,
    FLAG_WILL_QOS = 0x18,
    FLAG_WILL_RETAIN = 0x20,
    FLAG_PASSWORD = 0x40,
    FLAG_USER_NAME = 0x80,
};

/* Protocol name and level. On a name or level that is not spoken here, out->version is the nearest
 * that is, in which the answer is to be made. */
static int take_version(struct decode *d, struct mqtt_connect *out)
{
    struct bytes name;
    uint8_t level;
    if (!take_binary(&d->in, &name) || !take_u8(&d->in, &level))
        return refuse_malformed(d);
    /* The top bit is not part of the level: some bridges set it, and come again without it when
     * they are told, in the form of the level below, that it is not spoken here. */
    out->version = (level & 0x7f) >= MQTT_V5 ? MQTT_V5 : MQTT_V311;
    d->is_v5 = out->version == MQTT_V5;
    bool is_mqtt = bytes_equal(name, BYTES_LIT("MQTT"));
    /* [MQTT-3.1.2-1]. Another protocol has no use for an answer in 3.1.1 [MQTT-3.1.4-1]; but
     * clients of 3.1, which had a name of its own, understand one. */
    if (!is_mqtt && !d->is_v5 && !bytes_equal(name, BYTES_LIT("MQIsdp")))
        return refuse_malformed(d);
    if (!is_mqtt || (level != MQTT_V311 && level != MQTT_V5)) { /* [MQTT-3.1.2-2] */
        d->reason = MQTT_REASON_UNSUPPORTED_PROTOCOL_VERSION;
        return SEALMQ_E_VERSION;
    }
    if (d->has_long_form && d->is_v5) /* [MQTT-1.5.5-1], which could not be told before */
        return refuse_malformed(d);
    return 0;
}

static int take_flags(struct decode *d, struct mqtt_connect *out)
{
    uint8_t flags;
    if (!take_u8(&d->in, &flags) || !take_u16(&d->in, &out->keep_alive_s))
        return refuse_malformed(d);
    out->clean_start = (flags & FLAG_CLEAN_START) != 0;
    out->has_will = (flags & FLAG_WILL) != 0;
    out->will_qos = (uint8_t)((flags & FLAG_WILL_QOS) >> 3);
    out->will_retain = (flags & FLAG_WILL_RETAIN) != 0;
    out->has_user_name = (flags & FLAG_USER_NAME) != 0;
    out->has_password = (flags & FLAG_PASSWORD) != 0;
    if ((flags & FLAG_RESERVED) != 0) /* [MQTT-3.1.2-3] */
        return refuse_malformed(d);
    if (out->will_qos > 2) /* [MQTT-3.1.2-12], [MQTT-3.1.2-14] */
        return refuse_malformed(d);
    /* [MQTT-3.1.2-11] and [MQTT-3.1.2-13], [MQTT-3.1.2-13] and [MQTT-3.1.2-15] */
    if (!out->has_will && (out->will_qos != 0 || out->will_retain))
        return refuse_malformed(d);
    /* 5.0 allows a password without a user name, 3.1.1 does not: [MQTT-3.1.2-22]. */
    if (!d->is_v5 && out->has_password && !out->has_user_name)
        return refuse_malformed(d);
    return 0;
}

static int take_will(struct decode *d, struct mqtt_connect *out)
{
    uint64_t seen;
    int error = mqtt_decode_props(d, MQTT_WILL, &out->will_props, &seen);
    if (error != 0)
        return error;
    if (!take_string(&d->in, &out->will_topic) || /* [MQTT-3.1.3-11], [MQTT-3.1.3-10] */
        !take_binary(&d->in, &out->will_payload))
        return refuse_malformed(d);
    if (!mqtt_topic_is_valid(out->will_topic))
        return refuse(d, MQTT_REASON_TOPIC_NAME_INVALID);
    return 0;
}

int mqtt_decode_connect(struct decode *d, struct mqtt_connect *out)
{
    uint64_t seen;
    *out = (struct mqtt_connect){0};
    int error = take_version(d, out);
    if (error == 0)
        error = take_flags(d, out);
    if (error == 0)
        error = mqtt_decode_props(d, MQTT_CONNECT, &out->props, &seen);
    if (error != 0)
        return error;
    /* Section 3.1.2.11.10 */
    if (SEEN(seen, MQTT_PROP_AUTH_DATA) && !SEEN(seen, MQTT_PROP_AUTH_METHOD))
        return refuse(d, MQTT_REASON_PROTOCOL_ERROR);

    /* [MQTT-3.1.3-1]: in this order. */
    if (!take_string(&d->in, &out->client_id)) /* [MQTT-3.1.3-3], [MQTT-3.1.3-4] */
        return refuse_malformed(d);
    if (out->has_will) {
        error = take_will(d, out);
        if (error != 0)
            return error;
    }
    if (out->has_user_name &&
        !take_string(&d->in, &out->user_name)) /* [MQTT-3.1.3-12], [MQTT-3.1.3-11] */
        return refuse_malformed(d);
    if (out->has_password && !take_binary(&d->in, &out->password))
        return refuse_malformed(d);
    if (d->in.n != 0)
        return refuse_malformed(d);
    /* 3.1.1: without a session to keep, the client may leave its name to the server, else not:
     * [MQTT-3.1.3-7], [MQTT-3.1.3-8]. */
    if (!d->is_v5 && out->client_id.n == 0 && !out->clean_start)
        return refuse(d, MQTT_REASON_CLIENT_IDENTIFIER_NOT_VALID);
    return 0;
}

int mqtt_decode_connack(struct decode *d, struct mqtt_connack *out)
{
    uint8_t flags;
    uint64_t seen;
    if (!take_u8(&d->in, &flags) || !take_u8(&d->in, &out->reason))
        return refuse_malformed(d);
    int error = mqtt_decode_props(d, MQTT_CONNACK, &out->props, &seen);
    if (error != 0)
        return error;
    if ((flags & ~1u) != 0 || d->in.n != 0) /* [MQTT-3.2.2-1] */
        return refuse_malformed(d);
    out->session_present = flags != 0;
    bool is_known = d->is_v5 ? mqtt_reason_is_allowed(out->reason, decode_place(d, MQTT_CONNACK))
                             : out->reason <= 5; /* [MQTT-3.2.2-8], table 3.1 */
    if (!is_known)
        return refuse(d, MQTT_REASON_PROTOCOL_ERROR);
    if (out->session_present && out->reason != 0) /* [MQTT-3.2.2-6], [MQTT-3.2.2-4] */
        return refuse(d, MQTT_REASON_PROTOCOL_ERROR);
    return 0;
}
