#include "packets.h"

#include <string.h>

/* From this size on the filler of a payload is written from one place, not copied. */
#define BIG_PAYLOAD ((size_t)32 * 1024)

static uint8_t *put_u16(uint8_t *p, size_t value)
{
    p[0] = (uint8_t)(value >> 8);
    p[1] = (uint8_t)value;
    return p + 2;
}

static uint8_t *put_text(uint8_t *p, const char *text, size_t n)
{
    p = put_u16(p, n);
    memcpy(p, text, n);
    return p + n;
}

static size_t length_size(size_t value)
{
    return value < 128 ? 1 : value < 16384 ? 2 : value < 2097152 ? 3 : 4;
}

static uint8_t *put_length(uint8_t *p, size_t value)
{
    for (; value >= 128; value >>= 7)
        *p++ = (uint8_t)(value | 0x80);
    *p++ = (uint8_t)value;
    return p;
}

/* Room for a packet whose body has `body` bytes, of which the last `later` are not yet appended. */
static uint8_t *begin(struct loop *loop, struct wire *wire, uint8_t first, size_t body,
                      size_t later)
{
    uint8_t *p = wire_extend(loop, wire, 1 + length_size(body) + body - later);
    *p++ = first;
    return put_length(p, body);
}

void send_connect(struct loop *loop, struct wire *wire, const char *client_id)
{
    static const uint8_t head[] = {0, 4, 'M', 'Q', 'T', 'T', 4, 2 /* clean session */, 0, 0};
    size_t n = strlen(client_id);
    uint8_t *p = begin(loop, wire, 0x10, sizeof head + 2 + n, 0);
    memcpy(p, head, sizeof head);
    put_text(p + sizeof head, client_id, n);
}

void send_subscribe(struct loop *loop, struct wire *wire, const char *filter, uint8_t qos)
{
    size_t n = strlen(filter);
    uint8_t *p = put_u16(begin(loop, wire, 0x82, 2 + 2 + n + 1, 0), 1);
    *put_text(p, filter, n) = qos;
}

void send_publish(struct loop *loop, struct wire *wire, const char *topic,
                  const struct publish *publish, size_t size)
{
    size_t topic_n = strlen(topic);
    size_t id_n = publish->qos == 0 ? 0 : 2;
    size_t later = size >= BIG_PAYLOAD ? size - sizeof publish->stamp : 0;
    uint8_t *p =
        begin(loop, wire, (uint8_t)(0x30 | publish->qos << 1), 2 + topic_n + id_n + size, later);
    p = put_text(p, topic, topic_n);
    if (id_n != 0)
        p = put_u16(p, publish->id);
    memcpy(p, &publish->stamp, sizeof publish->stamp);
    if (later != 0)
        wire_append_filler(wire, later);
    else
        memset(p + sizeof publish->stamp, 'x', size - sizeof publish->stamp);
}

void send_ack(struct loop *loop, struct wire *wire, uint8_t type, uint16_t id)
{
    uint8_t flags = type == PACKET_PUBREL ? 2 : 0;
    put_u16(begin(loop, wire, (uint8_t)(type << 4 | flags), 2, 0), id);
}

void send_pingreq(struct loop *loop, struct wire *wire)
{
    begin(loop, wire, 0xc0, 0, 0);
}

void send_disconnect(struct loop *loop, struct wire *wire)
{
    begin(loop, wire, 0xe0, 0, 0);
}

static uint16_t get_u16(const uint8_t *p)
{
    return (uint16_t)((unsigned)p[0] << 8 | p[1]);
}

bool read_id(const struct packet *packet, uint16_t *id)
{
    if (packet->n < 2)
        return false;
    *id = get_u16(packet->body);
    return true;
}

bool read_publish(const struct packet *packet, struct publish *out, size_t *size)
{
    uint16_t topic_n = 0;
    out->qos = (packet->first >> 1) & 3;
    size_t id_n = out->qos == 0 ? 0 : 2;
    if (!read_id(packet, &topic_n))
        return false;
    size_t head = (size_t)2 + topic_n + id_n;
    if (packet->n < head + sizeof out->stamp)
        return false;
    const uint8_t *id = packet->body + 2 + topic_n;
    out->id = id_n == 0 ? 0 : get_u16(id);
    memcpy(&out->stamp, packet->body + head, sizeof out->stamp);
    *size = packet->total - head;
    return out->stamp.magic == STAMP_MAGIC;
}
