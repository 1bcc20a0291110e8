/* An MQTT listener of the gateway's own, for devices that have no key (see edge/readings.h for what
 * they publish). It takes messages and gives none: subscriptions are refused.
 *
 * QoS 1 and 2 are acknowledged when the readings are durable at the gateway. What cannot be taken
 * is refused with a reason code (MQTT 5); a client of 3.1.1, to which PUBACK can only say yes, is
 * disconnected when another try may help (outbox full, disk failing), so that it keeps the message,
 * and acknowledged when it would not (malformed). Wills are not readings. */
#ifndef SEALMQ_EDGE_SOURCE_MQTT_H
#define SEALMQ_EDGE_SOURCE_MQTT_H

#include "edge/intake.h"

struct source_mqtt;

struct source_mqtt_options {
    const char *address;        /* numeric */
    uint16_t port;              /* 0: any */
    const char *passwords_path; /* NULL: anonymous */
    struct intake *intake;      /* borrowed until source_mqtt_stop */
};

/* Reads the passwords and binds the listener. As net_server_new and passwords_parse. */
SEALMQ_MUST_CHECK int source_mqtt_new(const struct source_mqtt_options *options,
                                      struct source_mqtt **out, char *why, size_t why_size);
SEALMQ_MUST_CHECK int source_mqtt_start(struct source_mqtt *source);
/* Reads the passwords anew; the old ones stay when the new ones are bad. NULL is allowed. */
void source_mqtt_reload(struct source_mqtt *source);
/* Says goodbye to the clients and ends the thread: nothing is posted from here on. NULL is allowed,
 * below too. */
void source_mqtt_stop(struct source_mqtt *source);
/* After source_mqtt_stop, when all parcels have been answered. */
void source_mqtt_free(struct source_mqtt *source);

struct source_mqtt_stats {
    uint16_t port;
    uint64_t clients, messages_total, readings_total, refused_total;
};
void source_mqtt_stats_get(const struct source_mqtt *source, struct source_mqtt_stats *out);

#endif
