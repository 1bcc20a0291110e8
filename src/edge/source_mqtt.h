/* An MQTT listener for devices that have no key: what they publish becomes readings
 * (edge/readings.h). A PUBLISH at QoS 1 is acknowledged when its readings are durable in the
 * gateway; what cannot be taken is refused with a reason, logged with who and why, and counted.
 *
 * The listener's worker is a thread of its own; readings cross to the runner's loop through a
 * bounded mailbox, and the acknowledgements back. */
#ifndef SEALMQ_EDGE_SOURCE_MQTT_H
#define SEALMQ_EDGE_SOURCE_MQTT_H

#include "edge/source.h"

#include <uv.h>

#define SOURCE_MQTT_WAITING_MAX 10000              /* publishes between the threads */
#define SOURCE_MQTT_BYTES_MAX   (32 * 1024 * 1024) /* of their payloads */

struct source_mqtt;

struct source_mqtt_options {
    uv_loop_t *loop; /* the runner's */
    const char *address;
    uint16_t port;
    const char *passwords; /* a file's path, or NULL: anonymous */
    source_take_fn take;
    void *context;
};

/* Binds and serves. `why` says what is wrong. */
SEALMQ_MUST_CHECK int source_mqtt_new(const struct source_mqtt_options *options,
                                      struct source_mqtt **out, char *why, size_t why_size);
uint16_t source_mqtt_port(const struct source_mqtt *source);
/* Ends serving; what waited is not taken and not acknowledged. The memory goes when the loop has
 * run once more. */
void source_mqtt_free(struct source_mqtt *source);

#endif
