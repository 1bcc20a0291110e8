/* The queue of events: a binary heap by time, then by order of putting in. */
#include "sim/sim_int.h"

#include <stdlib.h>

void sim_payload_release(struct sim_payload *payload)
{
    if (payload != NULL && --payload->refs == 0)
        free(payload);
}

static bool is_before(const struct sim_event *a, const struct sim_event *b)
{
    return a->at_us < b->at_us || (a->at_us == b->at_us && a->order < b->order);
}

static void swap(struct sim_event *a, struct sim_event *b)
{
    struct sim_event t = *a;
    *a = *b;
    *b = t;
}

int sim_queue_put(struct sim_queue *queue, struct sim_event event)
{
    if (queue->n == queue->capacity) {
        size_t capacity = queue->capacity == 0 ? 256 : 2 * queue->capacity;
        struct sim_event *heap = realloc(queue->heap, capacity * sizeof(*heap));
        if (heap == NULL) {
            sim_payload_release(event.payload);
            return SEALMQ_E_NOMEM;
        }
        queue->heap = heap;
        queue->capacity = capacity;
    }
    event.order = queue->order++;
    size_t i = queue->n++;
    queue->heap[i] = event;
    while (i > 0 && is_before(&queue->heap[i], &queue->heap[(i - 1) / 2])) {
        swap(&queue->heap[i], &queue->heap[(i - 1) / 2]);
        i = (i - 1) / 2;
    }
    return 0;
}

bool sim_queue_take(struct sim_queue *queue, struct sim_event *out)
{
    if (queue->n == 0)
        return false;
    *out = queue->heap[0];
    queue->heap[0] = queue->heap[--queue->n];
    for (size_t i = 0;;) {
        size_t least = i;
        for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < queue->n; child++)
            if (is_before(&queue->heap[child], &queue->heap[least]))
                least = child;
        if (least == i)
            return true;
        swap(&queue->heap[i], &queue->heap[least]);
        i = least;
    }
}

void sim_queue_close(struct sim_queue *queue)
{
    for (size_t i = 0; i < queue->n; i++)
        sim_payload_release(queue->heap[i].payload);
    free(queue->heap);
}
