#include "chain_packets.h"

#include <string.h>

static size_t length_size(size_t value)
{
    return value < 128 ? 1 : value < 16384 ? 2 : value < 2097152 ? 3 : 4;
}

static uint8_t *begin(struct loop *loop, struct wire *wire, uint8_t first, size_t body)
{
    uint8_t *p = wire_extend(loop, wire, 1 + length_size(body) + body);
    *p++ = first;
    size_t value = body;
    for (; value >= 128; value >>= 7)
        *p++ = (uint8_t)(value | 0x80);
    *p++ = (uint8_t)value;
    return p;
}

static uint8_t *put_text(uint8_t *p, struct bytes text)
{
    p[0] = (uint8_t)(text.n >> 8);
    p[1] = (uint8_t)text.n;
    memcpy(p + 2, text.p, text.n);
    return p + 2 + text.n;
}

void send_log_in(struct loop *loop, struct wire *wire, const char *client_id, struct bytes password)
{
    enum { USER_NAME = 0x80, PASSWORD = 0x40, CLEAN_SESSION = 0x02 };
    static const uint8_t head[] = {
        0, 4, 'M', 'Q', 'T', 'T', 4, USER_NAME | PASSWORD | CLEAN_SESSION, 0, 0};
    struct bytes id = bytes_str(client_id);
    uint8_t *p = begin(loop, wire, 0x10, sizeof head + 2 * (2 + id.n) + 2 + password.n);
    memcpy(p, head, sizeof head);
    p = put_text(p + sizeof head, id);
    p = put_text(p, id);
    put_text(p, password);
}

void send_message(struct loop *loop, struct wire *wire, const char *topic, uint16_t id,
                  struct bytes payload)
{
    struct bytes name = bytes_str(topic);
    uint8_t *p = put_text(begin(loop, wire, 0x32, 2 + name.n + 2 + payload.n), name);
    p[0] = (uint8_t)(id >> 8);
    p[1] = (uint8_t)id;
    memcpy(p + 2, payload.p, payload.n);
}

bool read_message(const struct packet *packet, struct message *out)
{
    uint16_t topic_n;
    size_t id_n = (packet->first & 6) == 0 ? 0 : 2;
    if (packet->n != packet->total || !read_id(packet, &topic_n) ||
        packet->n < (size_t)2 + topic_n + id_n)
        return false;
    const uint8_t *p = packet->body + 2 + topic_n;
    out->topic = bytes_of(packet->body + 2, topic_n);
    out->id = id_n == 0 ? 0 : (uint16_t)((unsigned)p[0] << 8 | p[1]);
    out->payload = bytes_of(p + id_n, packet->n - 2 - topic_n - id_n);
    return true;
}
