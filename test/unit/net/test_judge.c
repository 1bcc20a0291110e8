#include "net/judge.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define WINDOW_NS UINT64_C(50000000)
#define SECOND    20 /* windows */

/* What a window is like, if not said otherwise: one thread with two loops, which is busy. */
struct load {
    uint64_t rate; /* packets a second */
    uint64_t turn_us;
    uint32_t duty;
    bool is_apart, can_join;
};

static const struct load busy = {.rate = 1000000, .turn_us = 500, .duty = 980};
static const struct load late = {.rate = 1000000, .turn_us = 20000, .duty = 980};

struct court {
    struct judge judge;
    uint64_t now_ns;
};

static enum judgement see(struct court *court, const struct load *load)
{
    court->now_ns += WINDOW_NS;
    struct judge_window window = {
        .now_ns = court->now_ns,
        .length_ns = WINDOW_NS,
        .work = load->rate / SECOND,
        .turns = WINDOW_NS / (load->turn_us * 1000),
        .duty = load->duty,
        .can_part = !load->is_apart,
        .can_join = load->can_join,
    };
    return judge_see(&court->judge, &window);
}

/* Windows until it says something, which must be `expected`; 0: nothing within an hour. */
static unsigned until(struct court *court, const struct load *load, enum judgement expected)
{
    for (unsigned count = 1; count <= 3600 * SECOND; count++) {
        enum judgement said = see(court, load);
        if (said == JUDGE_STAY)
            continue;
        assert_int_equal(said, expected);
        return count;
    }
    return 0;
}

/* A trial under this load; what is said in its end. */
static enum judgement trial(struct court *court, struct load load)
{
    enum judgement said = JUDGE_STAY;
    load.is_apart = true;
    for (unsigned i = 0; i < 10 && court->judge.is_trial; i++)
        said = see(court, &load);
    assert_false(court->judge.is_trial);
    return said;
}

static struct load times(struct load load, unsigned thousandths)
{
    load.rate = load.rate * thousandths / 1000;
    return load;
}

static void a_thread_with_time_to_spare_is_left_alone(void **state)
{
    (void)state;
    struct court court = {0};
    struct load load = busy;
    load.duty = JUDGE_DUTY_FULL;
    assert_int_equal(until(&court, &load, JUDGE_PART), 0);
    load = busy;
    load.is_apart = true; /* it runs its own loop only */
    assert_int_equal(until(&court, &load, JUDGE_PART), 0);
}

static void a_busy_thread_parts_after_a_second_and_a_late_one_sooner(void **state)
{
    (void)state;
    struct court court = {0}, other = {0};
    unsigned patient = until(&court, &busy, JUDGE_PART);
    assert_int_equal(patient, SECOND);
    assert_int_equal(until(&other, &late, JUDGE_PART), 4);
}

static void a_pause_begins_the_count_anew(void **state)
{
    (void)state;
    struct court court = {0};
    struct load calm = busy;
    calm.duty = 500;
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(see(&court, i % SECOND == SECOND - 1 ? &calm : &busy), JUDGE_STAY);
}

static void a_thread_that_brings_much_stays(void **state)
{
    (void)state;
    struct court court = {0};
    (void)until(&court, &busy, JUDGE_PART);
    assert_int_equal(trial(&court, times(busy, 1310)), JUDGE_STAY);
    struct load apart = times(busy, 1310);
    apart.is_apart = true;
    assert_int_equal(until(&court, &apart, JUDGE_TAKE_BACK), 0);
}

static void a_thread_that_brings_little_is_taken_back(void **state)
{
    (void)state;
    struct court court = {0};
    (void)until(&court, &busy, JUDGE_PART);
    assert_int_equal(trial(&court, times(busy, 1290)), JUDGE_TAKE_BACK);
}

static void what_settles_at_the_start_of_a_trial_does_not_count(void **state)
{
    (void)state;
    struct court court = {0};
    struct load burst = times(busy, 5000);
    burst.is_apart = true;
    (void)until(&court, &busy, JUDGE_PART);
    assert_int_equal(see(&court, &burst), JUDGE_STAY);
    assert_int_equal(trial(&court, busy), JUDGE_TAKE_BACK);
}

static void trials_in_vain_become_rare(void **state)
{
    (void)state;
    struct court court = {0};
    unsigned before = 0, count = 0;
    (void)until(&court, &busy, JUDGE_PART);
    for (unsigned i = 0; i < 7; i++) {
        assert_int_equal(trial(&court, busy), JUDGE_TAKE_BACK);
        count = until(&court, &busy, JUDGE_PART);
        assert_true(i == 0 || i == 6 || count == 2 * before);
        before = count;
    }
    assert_int_equal(count, 60 * SECOND);
    assert_int_equal(trial(&court, busy), JUDGE_TAKE_BACK);
    assert_int_equal(until(&court, &busy, JUDGE_PART), 60 * SECOND);
}

static void another_load_is_tried_at_once(void **state)
{
    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct court court = {0};
        struct load load = i == 0 ? times(busy, 1600) : i == 1 ? times(busy, 600) : late;
        (void)until(&court, &busy, JUDGE_PART);
        for (unsigned round = 0; round < 6; round++) {
            assert_int_equal(trial(&court, busy), JUDGE_TAKE_BACK);
            if (round < 5)
                (void)until(&court, &busy, JUDGE_PART);
        }
        assert_true(until(&court, &load, JUDGE_PART) <= SECOND);
        /* And the wait after it is a short one again. */
        assert_int_equal(trial(&court, load), JUDGE_TAKE_BACK);
        assert_int_equal(until(&court, &load, JUDGE_PART), SECOND);
    }
}

static void a_late_thread_is_helped_when_its_turns_become_short_by_it(void **state)
{
    (void)state;
    struct court court = {0}, slower = {0}, still_late = {0};
    (void)until(&court, &late, JUDGE_PART);
    assert_int_equal(trial(&court, busy), JUDGE_STAY);
    (void)until(&slower, &late, JUDGE_PART);
    assert_int_equal(trial(&slower, times(busy, 950)), JUDGE_TAKE_BACK);
    (void)until(&still_late, &late, JUDGE_PART);
    assert_int_equal(trial(&still_late, late), JUDGE_TAKE_BACK);
}

static void who_has_little_to_do_joins_when_it_lasts(void **state)
{
    (void)state;
    struct court court = {0};
    struct load calm = {.rate = 1000, .turn_us = 500, .duty = 300, .is_apart = true};
    assert_int_equal(until(&court, &calm, JUDGE_JOIN), 0);
    calm.can_join = true;
    assert_int_equal(until(&court, &calm, JUDGE_JOIN), 4);
    assert_int_equal(until(&court, &calm, JUDGE_JOIN), 4);
    struct load other = calm;
    other.can_join = false;
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(see(&court, i % 4 == 3 ? &other : &calm), JUDGE_STAY);
}

static void what_is_no_packets_pays_for_no_thread(void **state)
{
    (void)state;
    struct court court = {0};
    struct load none = busy;
    none.rate = 0;
    (void)until(&court, &none, JUDGE_PART);
    assert_int_equal(trial(&court, none), JUDGE_TAKE_BACK);
    assert_int_equal(until(&court, &none, JUDGE_PART), SECOND);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_thread_with_time_to_spare_is_left_alone),
        cmocka_unit_test(a_busy_thread_parts_after_a_second_and_a_late_one_sooner),
        cmocka_unit_test(a_pause_begins_the_count_anew),
        cmocka_unit_test(a_thread_that_brings_much_stays),
        cmocka_unit_test(a_thread_that_brings_little_is_taken_back),
        cmocka_unit_test(what_settles_at_the_start_of_a_trial_does_not_count),
        cmocka_unit_test(trials_in_vain_become_rare),
        cmocka_unit_test(another_load_is_tried_at_once),
        cmocka_unit_test(a_late_thread_is_helped_when_its_turns_become_short_by_it),
        cmocka_unit_test(who_has_little_to_do_joins_when_it_lasts),
        cmocka_unit_test(what_is_no_packets_pays_for_no_thread),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
