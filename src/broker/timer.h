/* Deadlines of a shard: a binary heap of the timers that are set. A timer is part of what it
 * belongs to and costs nothing while nothing is due. Room in the heap is reserved when the owner is
 * made (timers_reserve), so that setting a timer never fails. */
#ifndef SEALMQ_BROKER_TIMER_H
#define SEALMQ_BROKER_TIMER_H

#include "base/error.h"

#include <stddef.h>
#include <stdint.h>

#define TIMER_NEVER UINT64_MAX

enum timer_kind { TIMER_CONNECTION, TIMER_SESSION, TIMER_RETAINED };

struct timer {
    uint32_t position; /* in the heap, counted from 1; 0 when not set */
    enum timer_kind kind;
};

struct timer_entry {
    uint64_t at_ms;
    struct timer *timer;
};

struct timers {
    struct timer_entry *heap;
    uint32_t count;    /* timers that are set */
    uint32_t owners;   /* timers that may be set */
    uint32_t capacity; /* at least `owners` */
};

void timers_close(struct timers *timers);
/* Room for one more timer, and giving it back; the timer must not be set then. */
SEALMQ_MUST_CHECK int timers_reserve(struct timers *timers);
void timers_release(struct timers *timers);

/* Sets, or moves, a timer. TIMER_NEVER clears it. */
void timer_set(struct timers *timers, struct timer *timer, uint64_t at_ms);
void timer_clear(struct timers *timers, struct timer *timer);

/* When it will be due; TIMER_NEVER when it is not set. */
static inline uint64_t timer_time(const struct timers *timers, const struct timer *timer)
{
    return timer->position == 0 ? TIMER_NEVER : timers->heap[timer->position - 1].at_ms;
}

/* When the first timer is due; TIMER_NEVER when none is set. */
uint64_t timers_deadline(const struct timers *timers);
/* Clears and returns one timer that is due at `now_ms`; NULL when there is none. */
struct timer *timers_next_due(struct timers *timers, uint64_t now_ms);

#endif
