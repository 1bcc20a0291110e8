/* The packets of MQTT 3.1.1 that a load needs, written by hand: the generator must cost less than
 * any broker, and must not share a broker's mistakes. */
#ifndef SEALMQ_BENCH_PACKETS_H
#define SEALMQ_BENCH_PACKETS_H

#include "loop.h"

enum {
    PACKET_CONNACK = 2,
    PACKET_PUBLISH = 3,
    PACKET_PUBACK = 4,
    PACKET_PUBREC = 5,
    PACKET_PUBREL = 6,
    PACKET_PUBCOMP = 7,
    PACKET_SUBACK = 9,
    PACKET_PINGRESP = 13,
};

/* What each payload begins with; the rest is filler. */
struct stamp {
    uint32_t magic;
    uint32_t publisher;
    uint64_t sequence;
    uint64_t due_ns; /* when it had to be sent */
};
#define STAMP_MAGIC UINT32_C(0x4c4f4144)

struct publish {
    struct stamp stamp;
    uint16_t id; /* QoS 1 and 2 */
    uint8_t qos;
};

void send_connect(struct loop *loop, struct wire *wire, const char *client_id);
void send_subscribe(struct loop *loop, struct wire *wire, const char *filter, uint8_t qos);
void send_publish(struct loop *loop, struct wire *wire, const char *topic,
                  const struct publish *publish, size_t size);
/* PUBACK, PUBREC, PUBREL, PUBCOMP */
void send_ack(struct loop *loop, struct wire *wire, uint8_t type, uint16_t id);
void send_pingreq(struct loop *loop, struct wire *wire);
void send_disconnect(struct loop *loop, struct wire *wire);

/* False: not one of ours, or cut. `size` is that of the payload. */
bool read_publish(const struct packet *packet, struct publish *out, size_t *size);
/* The identifier that an acknowledgement begins with. */
bool read_id(const struct packet *packet, uint16_t *id);

#endif
