#include "broker/queue.h"

#include "base/assert.h"
#include "broker/group.h"
#include "broker/message.h"

#include <stdlib.h>

#define QUEUE_MIN 8

static int queue_grow(struct queue *queue)
{
    if (queue->size > UINT32_MAX / 4)
        return SEALMQ_E_NOMEM;
    uint32_t size = queue->size == 0 ? QUEUE_MIN : queue->size * 2;
    struct delivery *ring = malloc(size * sizeof *ring);
    if (ring == NULL)
        return SEALMQ_E_NOMEM;
    for (uint32_t i = 0; i < queue->count; i++)
        ring[i] = queue->ring[(queue->head + i) & (queue->size - 1)];
    free(queue->ring);
    queue->ring = ring;
    queue->size = size;
    queue->head = 0;
    return 0;
}

static struct queue_load *load_of(struct queue *queue, const struct delivery *delivery)
{
    return delivery->is_stored ? &queue->stored : &queue->live;
}

int queue_push(struct queue *queue, const struct delivery *delivery)
{
    if (queue->count == queue->size) {
        int error = queue_grow(queue);
        if (error != 0)
            return error;
    }
    queue->ring[(queue->head + queue->count) & (queue->size - 1)] = *delivery;
    queue->count++;
    queue->qos0_count += delivery->qos == 0;
    struct queue_load *load = load_of(queue, delivery);
    load->count++;
    load->bytes += message_size(&delivery->message->view);
    return 0;
}

const struct delivery *queue_first(const struct queue *queue)
{
    ASSERT(queue->count > 0);
    return &queue->ring[queue->head];
}

struct delivery queue_pop(struct queue *queue)
{
    struct delivery first = *queue_first(queue);
    queue->head = (queue->head + 1) & (queue->size - 1);
    queue->count--;
    queue->qos0_count -= first.qos == 0;
    struct queue_load *load = load_of(queue, &first);
    load->count--;
    load->bytes -= message_size(&first.message->view);
    if (queue->count == 0 && queue->size > QUEUE_MIN) {
        /* A long queue is the exception: an idle session keeps none. */
        free(queue->ring);
        *queue = (struct queue){0};
    }
    return first;
}

void queue_close(struct queue *queue, inflight_release release, void *context)
{
    while (queue->count > 0) {
        struct delivery delivery = queue_pop(queue);
        release(context, &delivery);
    }
    free(queue->ring);
    *queue = (struct queue){0};
}
