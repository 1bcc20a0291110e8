/* Timers fire in order, however they are set, moved and cleared. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/timer.h"

#include <stdbool.h>

#define TIMERS 500

static uint64_t random_state;

static uint32_t draw(uint32_t below)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(random_state >> 33) % below;
}

static uint64_t earliest(const uint64_t *at)
{
    uint64_t first = TIMER_NEVER;
    for (unsigned i = 0; i < TIMERS; i++)
        first = at[i] < first ? at[i] : first;
    return first;
}

static void heap_agrees_with_a_list(void **state)
{
    (void)state;
    struct timers timers = {0};
    static struct timer timer[TIMERS];
    static uint64_t at[TIMERS];
    uint64_t now = 0;
    random_state = 5;
    for (unsigned i = 0; i < TIMERS; i++) {
        assert_int_equal(timers_reserve(&timers), 0);
        at[i] = TIMER_NEVER;
    }
    for (unsigned step = 0; step < 50000; step++) {
        unsigned i = draw(TIMERS);
        if (draw(4) == 0) {
            timer_clear(&timers, &timer[i]);
            at[i] = TIMER_NEVER;
        } else {
            at[i] = now + draw(10000);
            timer_set(&timers, &timer[i], at[i]);
        }
        assert_true(timers_deadline(&timers) == earliest(at));
        if (draw(3) == 0) {
            now += draw(200);
            struct timer *due;
            while ((due = timers_next_due(&timers, now)) != NULL) {
                unsigned k = (unsigned)(due - timer);
                assert_true(at[k] == earliest(at) && at[k] <= now);
                assert_int_equal(due->position, 0);
                at[k] = TIMER_NEVER;
            }
            assert_true(earliest(at) > now);
        }
    }
    for (unsigned i = 0; i < TIMERS; i++) {
        timer_set(&timers, &timer[i], TIMER_NEVER);
        timers_release(&timers);
    }
    assert_int_equal(timers.count, 0);
    timers_close(&timers);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(heap_agrees_with_a_list)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
