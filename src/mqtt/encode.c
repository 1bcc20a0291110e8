/* Encoding packets.
 *
 * The layout of each packet is written down once, as calls that put fields into a writer. It runs
 * twice: first with a writer that only counts, which gives the remaining length, then with one that
 * writes into room of exactly that size. So a length can never disagree with what follows it. */
#include "base/assert.h"
#include "mqtt/codec_int.h"

struct writer {
    uint8_t *p; /* NULL: only count */
    size_t n;   /* bytes put so far */
    bool is_too_long;
};

static inline void put(struct writer *w, const void *p, size_t n)
{
    if (w->p != NULL && n != 0)
        memcpy(w->p + w->n, p, n);
    w->n += n;
}

static inline void put_bytes(struct writer *w, struct bytes b)
{
    put(w, b.p, b.n);
}

static inline void put_u8(struct writer *w, uint8_t v)
{
    put(w, &v, 1);
}

static inline void put_u16(struct writer *w, uint16_t v)
{
    uint8_t b[2] = {(uint8_t)(v >> 8), (uint8_t)v};
    put(w, b, sizeof(b));
}

static inline void put_varint(struct writer *w, size_t v)
{
    if (v > MQTT_REMAINING_LENGTH_MAX) {
        w->is_too_long = true;
        return;
    }
    for (; v >= 0x80; v >>= 7)
        put_u8(w, (uint8_t)(v | 0x80));
    put_u8(w, (uint8_t)v);
}

/* A string or binary data with its length. */
static inline void put_binary(struct writer *w, struct bytes b)
{
    if (b.n > UINT16_MAX) {
        w->is_too_long = true;
        return;
    }
    put_u16(w, (uint16_t)b.n);
    put_bytes(w, b);
}

static inline void put_props(struct writer *w, struct mqtt_props props, bool is_v5)
{
    if (!is_v5)
        return;
    put_varint(w, props.wire.n);
    put_bytes(w, props.wire);
}

static void put_connect(struct writer *w, const struct mqtt_connect *c, bool is_v5)
{
    bool has_will = c->has_will;
    unsigned flags = (unsigned)c->clean_start << 1 | (unsigned)has_will << 2 |
                     (unsigned)c->has_password << 6 | (unsigned)c->has_user_name << 7;
    if (has_will)
        flags |= (unsigned)c->will_qos << 3 | (unsigned)c->will_retain << 5;
    put_binary(w, BYTES_LIT("MQTT"));
    put_u8(w, is_v5 ? MQTT_V5 : MQTT_V311);
    put_u8(w, (uint8_t)flags);
    put_u16(w, c->keep_alive_s);
    put_props(w, c->props, is_v5);
    put_binary(w, c->client_id);
    if (has_will) {
        put_props(w, c->will_props, is_v5);
        put_binary(w, c->will_topic);
        put_binary(w, c->will_payload);
    }
    if (c->has_user_name)
        put_binary(w, c->user_name);
    if (c->has_password)
        put_binary(w, c->password);
}

static void put_connack(struct writer *w, const struct mqtt_connack *c, bool is_v5)
{
    bool is_reason_of_v5 = !is_v5 && c->reason >= MQTT_REASON_UNSPECIFIED_ERROR;
    put_u8(w, c->session_present);
    put_u8(w, is_reason_of_v5 ? mqtt_connect_return_code(c->reason) : c->reason);
    put_props(w, c->props, is_v5);
}

static inline void put_publish(struct writer *w, const struct mqtt_publish *m, bool is_v5)
{
    put_binary(w, m->topic);
    if (m->qos != 0)
        put_u16(w, m->packet_id);
    put_props(w, m->props, is_v5);
    put_bytes(w, m->payload);
}

static void put_ack(struct writer *w, const struct mqtt_ack *a, bool is_v5)
{
    put_u16(w, a->packet_id);
    if (!is_v5 || (a->reason == MQTT_REASON_SUCCESS && a->props.wire.n == 0))
        return;
    put_u8(w, a->reason);
    if (a->props.wire.n != 0)
        put_props(w, a->props, is_v5);
}

static void put_suback(struct writer *w, const struct mqtt_packet *packet, bool is_v5)
{
    const struct mqtt_suback *s = &packet->suback;
    put_u16(w, s->packet_id);
    put_props(w, s->props, is_v5);
    if (is_v5) {
        put_bytes(w, s->codes);
    } else if (packet->type == MQTT_SUBACK) {
        for (size_t i = 0; i < s->codes.n; i++) /* 3.1.1 knows one failure */
            put_u8(w, s->codes.p[i] < MQTT_REASON_UNSPECIFIED_ERROR
                          ? s->codes.p[i]
                          : MQTT_REASON_UNSPECIFIED_ERROR);
    }
}

static void put_end(struct writer *w, const struct mqtt_packet *packet, bool is_v5)
{
    const struct mqtt_end *e = &packet->end;
    bool has_props = e->props.wire.n != 0;
    if (!is_v5 || (e->reason == MQTT_REASON_SUCCESS && !has_props))
        return;
    put_u8(w, e->reason);
    if (has_props || packet->type == MQTT_AUTH)
        put_props(w, e->props, is_v5);
}

static void put_body(struct writer *w, const struct mqtt_packet *packet, bool is_v5)
{
    switch (packet->type) {
    case MQTT_CONNECT:
        put_connect(w, &packet->connect, is_v5);
        break;
    case MQTT_CONNACK:
        put_connack(w, &packet->connack, is_v5);
        break;
    case MQTT_PUBLISH:
        put_publish(w, &packet->publish, is_v5);
        break;
    case MQTT_PUBACK:
    case MQTT_PUBREC:
    case MQTT_PUBREL:
    case MQTT_PUBCOMP:
        put_ack(w, &packet->ack, is_v5);
        break;
    case MQTT_SUBSCRIBE:
        put_u16(w, packet->subscribe.packet_id);
        put_props(w, packet->subscribe.props, is_v5);
        put_bytes(w, packet->subscribe.filters);
        break;
    case MQTT_UNSUBSCRIBE:
        put_u16(w, packet->unsubscribe.packet_id);
        put_props(w, packet->unsubscribe.props, is_v5);
        put_bytes(w, packet->unsubscribe.filters);
        break;
    case MQTT_SUBACK:
    case MQTT_UNSUBACK:
        put_suback(w, packet, is_v5);
        break;
    case MQTT_PINGREQ:
    case MQTT_PINGRESP:
        break;
    case MQTT_DISCONNECT:
    case MQTT_AUTH:
        put_end(w, packet, is_v5);
        break;
    }
}

static uint8_t fixed_flags(const struct mqtt_packet *packet)
{
    const struct mqtt_publish *m = &packet->publish;
    switch (packet->type) {
    case MQTT_PUBLISH:
        return (uint8_t)((unsigned)m->dup << 3 | (unsigned)m->qos << 1 | (unsigned)m->retain);
    case MQTT_PUBREL:
    case MQTT_SUBSCRIBE:
    case MQTT_UNSUBSCRIBE:
        return 2;
    default:
        return 0;
    }
}

void mqtt_encode(const struct mqtt_packet *packet, enum mqtt_version version, struct buf *out)
{
    if (packet->type == MQTT_CONNECT)
        version = packet->connect.version;
    bool is_v5 = version == MQTT_V5;
    ASSERT(packet->type >= MQTT_CONNECT && packet->type <= (is_v5 ? MQTT_AUTH : MQTT_DISCONNECT));
    ASSERT(packet->type != MQTT_PUBLISH || packet->publish.qos <= 2);

    struct writer size = {0};
    put_body(&size, packet, is_v5);
    if (size.is_too_long || size.n > MQTT_REMAINING_LENGTH_MAX) {
        if (out->failed == 0)
            out->failed = SEALMQ_E_LIMIT;
        return;
    }
    uint8_t *p = buf_extend(out, 1 + mqtt_varint_size((uint32_t)size.n) + size.n);
    if (p == NULL)
        return;
    struct writer w = {.p = p};
    put_u8(&w, (uint8_t)((unsigned)packet->type << 4 | fixed_flags(packet)));
    put_varint(&w, size.n);
    size_t head = w.n;
    put_body(&w, packet, is_v5);
    ASSERT(w.n == head + size.n);
}
