/* What waits in a session: a ring of deliveries that grows by doubling, first in, first out. Its
 * limits are its user's. */
#ifndef SEALMQ_BROKER_QUEUE_H
#define SEALMQ_BROKER_QUEUE_H

#include "broker/inflight.h"

struct queue {
    struct delivery *ring;
    uint32_t size; /* 0 or a power of two */
    uint32_t head;
    uint32_t count;
    uint32_t qos0_count; /* of them */
    struct queue_load {
        uint32_t count;
        uint64_t bytes;
    } live, stored; /* by is_stored */
};

/* Takes the delivery. SEALMQ_E_NOMEM: it stays the caller's. */
SEALMQ_MUST_CHECK int queue_push(struct queue *queue, const struct delivery *delivery);
/* The oldest, which stays the queue's; the queue must not be empty. */
const struct delivery *queue_first(const struct queue *queue);
/* Takes the oldest out; what it holds is the caller's. */
struct delivery queue_pop(struct queue *queue);
void queue_close(struct queue *queue, inflight_release release, void *context);

#endif
