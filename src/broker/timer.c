#include "broker/timer.h"

#include "base/assert.h"

#include <stdlib.h>

void timers_close(struct timers *timers)
{
    free(timers->heap);
    *timers = (struct timers){0};
}

int timers_reserve(struct timers *timers)
{
    if (timers->owners == timers->capacity) {
        if (timers->capacity > UINT32_MAX / 4)
            return SEALMQ_E_LIMIT;
        uint32_t capacity = timers->capacity == 0 ? 16 : timers->capacity * 2;
        struct timer_entry *heap = realloc(timers->heap, capacity * sizeof *heap);
        if (heap == NULL)
            return SEALMQ_E_NOMEM;
        timers->heap = heap;
        timers->capacity = capacity;
    }
    timers->owners++;
    return 0;
}

void timers_release(struct timers *timers)
{
    ASSERT(timers->owners > 0);
    timers->owners--;
    ASSERT(timers->count <= timers->owners);
}

static void place(struct timers *timers, uint32_t position, struct timer_entry entry)
{
    timers->heap[position - 1] = entry;
    entry.timer->position = position;
}

/* Puts `entry` at `position` or above it. */
static void sift_up(struct timers *timers, uint32_t position, struct timer_entry entry)
{
    while (position > 1) {
        struct timer_entry parent = timers->heap[position / 2 - 1];
        if (parent.at_ms <= entry.at_ms)
            break;
        place(timers, position, parent);
        position /= 2;
    }
    place(timers, position, entry);
}

/* Puts `entry` at `position` or below it. */
static void sift_down(struct timers *timers, uint32_t position, struct timer_entry entry)
{
    for (;;) {
        uint32_t child = position * 2;
        if (child > timers->count)
            break;
        if (child < timers->count && timers->heap[child].at_ms < timers->heap[child - 1].at_ms)
            child++;
        if (entry.at_ms <= timers->heap[child - 1].at_ms)
            break;
        place(timers, position, timers->heap[child - 1]);
        position = child;
    }
    place(timers, position, entry);
}

void timer_set(struct timers *timers, struct timer *timer, uint64_t at_ms)
{
    if (at_ms == TIMER_NEVER) {
        timer_clear(timers, timer);
        return;
    }
    struct timer_entry entry = {at_ms, timer};
    if (timer->position == 0) {
        ASSERT(timers->count < timers->owners);
        sift_up(timers, ++timers->count, entry);
    } else if (at_ms < timers->heap[timer->position - 1].at_ms) {
        sift_up(timers, timer->position, entry);
    } else {
        sift_down(timers, timer->position, entry);
    }
}

void timer_clear(struct timers *timers, struct timer *timer)
{
    uint32_t position = timer->position;
    if (position == 0)
        return;
    ASSERT(timers->heap[position - 1].timer == timer);
    timer->position = 0;
    struct timer_entry last = timers->heap[--timers->count];
    if (last.timer == timer)
        return;
    if (position > 1 && last.at_ms < timers->heap[position / 2 - 1].at_ms)
        sift_up(timers, position, last);
    else
        sift_down(timers, position, last);
}

uint64_t timers_deadline(const struct timers *timers)
{
    return timers->count == 0 ? TIMER_NEVER : timers->heap[0].at_ms;
}

struct timer *timers_next_due(struct timers *timers, uint64_t now_ms)
{
    if (timers->count == 0 || timers->heap[0].at_ms > now_ms)
        return NULL;
    struct timer *timer = timers->heap[0].timer;
    timer_clear(timers, timer);
    return timer;
}
