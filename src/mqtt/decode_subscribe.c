/* SUBSCRIBE, UNSUBSCRIBE and their answers SUBACK, UNSUBACK (sections 3.8 to 3.11), and the walk
 * over the filters of the former two. */
#include "mqtt/codec_int.h"

enum option_bits {
    OPTION_QOS = 0x03,
    OPTION_NO_LOCAL = 0x04,
    OPTION_RETAIN_AS_PUBLISHED = 0x08,
    OPTION_RETAIN_HANDLING = 0x30,
    OPTION_RESERVED = 0xc0,
    OPTION_RESERVED_V311 = 0xfc,
};

static bool take_filter(struct bytes *list, struct bytes *filter, uint8_t *options)
{
    return take_binary(list, filter) && take_u8(list, options);
}

bool mqtt_filters_next(struct bytes *list, struct mqtt_filter *out)
{
    uint8_t options;
    if (list->n == 0 || !take_filter(list, &out->filter, &options))
        return false;
    out->qos = options & OPTION_QOS;
    out->no_local = (options & OPTION_NO_LOCAL) != 0;
    out->retain_as_published = (options & OPTION_RETAIN_AS_PUBLISHED) != 0;
    out->retain_handling = (uint8_t)((options & OPTION_RETAIN_HANDLING) >> 4);
    return true;
}

bool mqtt_topics_next(struct bytes *list, struct bytes *out)
{
    return list->n != 0 && take_binary(list, out);
}

/* What SUBSCRIBE and UNSUBSCRIBE begin with. */
static int take_head(struct decode *d, uint16_t *packet_id, struct mqtt_props *props)
{
    uint64_t seen;
    if (!take_u16(&d->in, packet_id))
        return refuse_malformed(d);
    /* [MQTT-2.2.1-3]; 3.1.1: [MQTT-2.3.1-1] */
    if (*packet_id == 0)
        return refuse(d, MQTT_REASON_PROTOCOL_ERROR);
    return mqtt_decode_props(d, d->type, props, &seen);
}

static int check_filter(struct decode *d, struct bytes filter)
{
    if (!mqtt_utf8_is_valid(filter)) /* [MQTT-3.8.3-1], [MQTT-3.10.3-1] */
        return refuse_malformed(d);
    if (!mqtt_filter_is_valid(filter))
        return refuse(d, MQTT_REASON_TOPIC_FILTER_INVALID);
    return 0;
}

static int check_options(struct decode *d, uint8_t options, struct bytes filter)
{
    if (!d->is_v5) /* [MQTT-3-8.3-4] of 3.1.1 */
        return (options & OPTION_RESERVED_V311) != 0 || (options & OPTION_QOS) == 3
                   ? refuse_malformed(d)
                   : 0;
    if ((options & OPTION_RESERVED) != 0) /* [MQTT-3.8.3-5] */
        return refuse_malformed(d);
    /* Section 3.8.3.1 */
    if ((options & OPTION_QOS) == 3 || (options & OPTION_RETAIN_HANDLING) == OPTION_RETAIN_HANDLING)
        return refuse(d, MQTT_REASON_PROTOCOL_ERROR);
    /* [MQTT-3.8.3-4] */
    if ((options & OPTION_NO_LOCAL) != 0 && mqtt_filter_is_shared(filter))
        return refuse(d, MQTT_REASON_PROTOCOL_ERROR);
    return 0;
}

int mqtt_decode_subscribe(struct decode *d, struct mqtt_subscribe *out)
{
    int error = take_head(d, &out->packet_id, &out->props);
    if (error != 0)
        return error;
    if (d->in.n == 0) /* [MQTT-3.8.3-2]; 3.1.1: [MQTT-3.8.3-3] */
        return refuse(d, MQTT_REASON_PROTOCOL_ERROR);
    out->filters = d->in;
    while (d->in.n != 0) {
        struct bytes filter;
        uint8_t options;
        if (!take_filter(&d->in, &filter, &options))
            return refuse_malformed(d);
        error = check_filter(d, filter);
        if (error == 0)
            error = check_options(d, options, filter);
        if (error != 0)
            return error;
    }
    return 0;
}

int mqtt_decode_unsubscribe(struct decode *d, struct mqtt_unsubscribe *out)
{
    int error = take_head(d, &out->packet_id, &out->props);
    if (error != 0)
        return error;
    if (d->in.n == 0) /* [MQTT-3.10.3-2] */
        return refuse(d, MQTT_REASON_PROTOCOL_ERROR);
    out->filters = d->in;
    while (d->in.n != 0) {
        struct bytes filter;
        if (!take_binary(&d->in, &filter))
            return refuse_malformed(d);
        error = check_filter(d, filter);
        if (error != 0)
            return error;
    }
    return 0;
}

/* [MQTT-3.9.3-2] in both versions, and [MQTT-3.11.3-2]. */
static bool suback_code_is_known(const struct decode *d, uint8_t code)
{
    if (d->is_v5)
        return mqtt_reason_is_allowed(code, decode_place(d, d->type));
    return code <= 2 || code == MQTT_REASON_UNSPECIFIED_ERROR;
}

int mqtt_decode_suback(struct decode *d, struct mqtt_suback *out)
{
    int error = take_head(d, &out->packet_id, &out->props);
    if (error != 0)
        return error;
    out->codes = d->in;
    if (d->type == MQTT_UNSUBACK && !d->is_v5)
        return d->in.n == 0 ? 0 : refuse_malformed(d);
    /* One for each filter [MQTT-3.8.4-6], [MQTT-3.11.3-1], of which there is at least one. */
    if (out->codes.n == 0)
        return refuse(d, MQTT_REASON_PROTOCOL_ERROR);
    for (size_t i = 0; i < out->codes.n; i++)
        if (!suback_code_is_known(d, out->codes.p[i]))
            return refuse(d, MQTT_REASON_PROTOCOL_ERROR);
    return 0;
}
