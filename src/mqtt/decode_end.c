/* DISCONNECT and AUTH (sections 3.14 and 3.15). */
#include "mqtt/codec_int.h"

static int decode_disconnect(struct decode *d, struct mqtt_end *out)
{
    uint64_t seen;
    /* Section 3.14.2.1: nothing at all is a normal disconnection; 3.1.1 knows only that. */
    if (d->in.n == 0)
        return 0;
    if (!d->is_v5 || !take_u8(&d->in, &out->reason))
        return refuse_malformed(d);
    /* Section 3.14.2.2.1: the reason code may stand alone. */
    return d->in.n == 0 ? 0 : mqtt_decode_props(d, MQTT_DISCONNECT, &out->props, &seen);
}

static int decode_auth(struct decode *d, struct mqtt_end *out)
{
    uint64_t seen;
    /* Section 3.15.2.1: nothing at all is a success; a reason code never stands alone. */
    if (d->in.n == 0)
        return 0;
    if (!take_u8(&d->in, &out->reason))
        return refuse_malformed(d);
    int error = mqtt_decode_props(d, MQTT_AUTH, &out->props, &seen);
    if (error != 0)
        return error;
    /* Section 3.15.2.2.2 */
    return SEEN(seen, MQTT_PROP_AUTH_METHOD) ? 0 : refuse(d, MQTT_REASON_PROTOCOL_ERROR);
}

int mqtt_decode_end(struct decode *d, struct mqtt_end *out)
{
    *out = (struct mqtt_end){.reason = MQTT_REASON_SUCCESS};
    int error = d->type == MQTT_AUTH ? decode_auth(d, out) : decode_disconnect(d, out);
    if (error != 0)
        return error;
    if (d->in.n != 0)
        return refuse_malformed(d);
    /* [MQTT-3.14.2-1], [MQTT-3.15.2-1]: also by who may send it. */
    if (!mqtt_reason_is_allowed(out->reason, decode_place(d, d->type)))
        return refuse(d, MQTT_REASON_PROTOCOL_ERROR);
    return 0;
}
