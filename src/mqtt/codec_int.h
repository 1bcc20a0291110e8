/* Inside of the codec: taking fields off the front of borrowed bytes, and what the files of this
 * folder share.
 *
 * All take_ functions return false, and leave the rest undefined, when the bytes end too early or
 * the field is ill-formed; the caller then refuses the whole packet. They are inline because a
 * PUBLISH is decoded for every message that passes through the server. */
#ifndef SEALMQ_MQTT_CODEC_INT_H
#define SEALMQ_MQTT_CODEC_INT_H

#include "mqtt/packet.h"

/* Where a property or reason code may stand: one bit per packet type, the low half for what the
 * server sends, the high half for what the client sends. Bit 0 of either half stands for the will
 * properties inside CONNECT. */
#define MQTT_WILL       0
#define BY_SERVER(type) (UINT32_C(1) << (type))
#define BY_CLIENT(type) (UINT32_C(1) << (16 + (type)))
#define BY_BOTH(type)   (BY_SERVER(type) | BY_CLIENT(type))

/* A word of eight equal bytes, to look at eight characters at once. */
#define EACH_BYTE(byte) (UINT64_C(0x0101010101010101) * (byte))

/* What the decoder of one packet type is given: the bytes after the fixed header, its flags, the
 * connection's version, the direction, and where to say why the packet is refused. */
struct decode {
    struct bytes in;
    uint8_t type;
    uint8_t flags;
    bool is_v5;
    bool has_long_form; /* the remaining length takes more bytes than necessary */
    bool from_client;
    uint8_t reason;
};

/* MQTT 5.0 section 4.13: a packet that cannot be parsed is malformed, one that can be parsed but
 * says what it may not say is a protocol error. */
static inline int refuse_malformed(struct decode *d)
{
    d->reason = MQTT_REASON_MALFORMED_PACKET;
    return SEALMQ_E_PARSE;
}

static inline int refuse(struct decode *d, enum mqtt_reason reason)
{
    d->reason = (uint8_t)reason;
    return SEALMQ_E_PROTOCOL;
}

static inline uint32_t decode_place(const struct decode *d, unsigned type)
{
    return d->from_client ? BY_CLIENT(type) : BY_SERVER(type);
}

static inline bool take_bytes(struct bytes *in, size_t n, struct bytes *out)
{
    if (in->n < n)
        return false;
    *out = bytes_of(in->p, n);
    if (n != 0) {
        in->p += n;
        in->n -= n;
    }
    return true;
}

static inline bool take_u8(struct bytes *in, uint8_t *out)
{
    struct bytes b;
    if (!take_bytes(in, 1, &b))
        return false;
    *out = b.p[0];
    return true;
}

static inline bool take_u16(struct bytes *in, uint16_t *out)
{
    struct bytes b;
    if (!take_bytes(in, 2, &b))
        return false;
    *out = (uint16_t)(b.p[0] << 8 | b.p[1]);
    return true;
}

static inline bool take_u32(struct bytes *in, uint32_t *out)
{
    struct bytes b;
    if (!take_bytes(in, 4, &b))
        return false;
    *out = (uint32_t)b.p[0] << 24 | (uint32_t)b.p[1] << 16 | (uint32_t)b.p[2] << 8 | b.p[3];
    return true;
}

/* Binary data: two bytes of length, then the data (5.0 section 1.5.6). */
static inline bool take_binary(struct bytes *in, struct bytes *out)
{
    uint16_t n;
    return take_u16(in, &n) && take_bytes(in, n, out);
}

/* A UTF-8 encoded string (5.0 section 1.5.4, 3.1.1 section 1.5.3). */
static inline bool take_string(struct bytes *in, struct bytes *out)
{
    return take_binary(in, out) && mqtt_utf8_is_valid(*out);
}

/* A variable byte integer in its shortest form [MQTT-1.5.5-1]. */
static inline bool take_varint(struct bytes *in, uint32_t *out)
{
    uint32_t v = 0;
    for (unsigned i = 0; i < 4 && i < in->n; i++) {
        uint8_t b = in->p[i];
        v |= (uint32_t)(b & 0x7f) << (7 * i);
        if ((b & 0x80) != 0)
            continue;
        if (b == 0 && i != 0)
            return false;
        in->p += i + 1;
        in->n -= i + 1;
        *out = v;
        return true;
    }
    return false;
}

/* Takes the property list of a 5.0 packet of type `owner` (or MQTT_WILL) and checks it whole. The
 * properties that occur are set in *seen, one bit for each identifier. An empty list, and nothing
 * taken, in 3.1.1. */
SEALMQ_MUST_CHECK int mqtt_decode_props(struct decode *d, unsigned owner, struct mqtt_props *out,
                                        uint64_t *seen);
#define SEEN(seen, id) (((seen) >> (id)&1) != 0)

/* Whether a packet of this type and direction may carry this reason code in 5.0 (`place` as made by
 * decode_place). */
bool mqtt_reason_is_allowed(uint8_t reason, uint32_t place);

SEALMQ_MUST_CHECK int mqtt_decode_connect(struct decode *d, struct mqtt_connect *out);
SEALMQ_MUST_CHECK int mqtt_decode_connack(struct decode *d, struct mqtt_connack *out);
SEALMQ_MUST_CHECK int mqtt_decode_publish(struct decode *d, struct mqtt_publish *out);
SEALMQ_MUST_CHECK int mqtt_decode_ack(struct decode *d, struct mqtt_ack *out);
SEALMQ_MUST_CHECK int mqtt_decode_subscribe(struct decode *d, struct mqtt_subscribe *out);
SEALMQ_MUST_CHECK int mqtt_decode_unsubscribe(struct decode *d, struct mqtt_unsubscribe *out);
SEALMQ_MUST_CHECK int mqtt_decode_suback(struct decode *d, struct mqtt_suback *out);
SEALMQ_MUST_CHECK int mqtt_decode_end(struct decode *d, struct mqtt_end *out);

#endif
