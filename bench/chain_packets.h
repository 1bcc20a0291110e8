/* The packets of MQTT 3.1.1 that gateways and operators need beside those of packets.h. */
#ifndef SEALMQ_BENCH_CHAIN_PACKETS_H
#define SEALMQ_BENCH_CHAIN_PACKETS_H

#include "base/bytes.h"
#include "packets.h"

void send_log_in(struct loop *loop, struct wire *wire, const char *client_id,
                 struct bytes password);
/* At QoS 1. */
void send_message(struct loop *loop, struct wire *wire, const char *topic, uint16_t id,
                  struct bytes payload);

struct message {
    struct bytes topic, payload; /* borrowed */
    uint16_t id;                 /* 0 at QoS 0 */
};
/* False: malformed, or longer than the loop gives whole. */
bool read_message(const struct packet *packet, struct message *out);

#endif
