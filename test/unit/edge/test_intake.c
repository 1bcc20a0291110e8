/* Readings from other threads to a loop: all of them, in each thread's order, and not too many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "edge/intake.h"

#include <pthread.h>
#include <stdlib.h>

#define THREADS 4
#define EACH    2000

struct test_parcel {
    struct parcel parcel;
    unsigned thread, number;
};

struct world {
    uv_loop_t loop;
    struct intake *intake;
    unsigned next[THREADS]; /* expected of each thread */
    unsigned taken, answered;
    int last_error;
};

static struct world *the_world;

static void on_answer(struct parcel *parcel, int error)
{
    the_world->answered++;
    the_world->last_error = error;
    free(parcel);
}

static void on_take(void *context, struct parcel *parcel)
{
    struct world *w = context;
    const struct test_parcel *mine = (const struct test_parcel *)(const void *)parcel;
    assert_int_equal(mine->number, w->next[mine->thread]++);
    w->taken++;
    parcel->answer(parcel, 0);
}

static void world_init(struct world *w, size_t bytes_max)
{
    *w = (struct world){.taken = 0};
    the_world = w;
    assert_int_equal(uv_loop_init(&w->loop), 0);
    const struct intake_options options = {
        .loop = &w->loop, .context = w, .take = on_take, .bytes_max = bytes_max};
    assert_int_equal(intake_new(&options, &w->intake), 0);
}

static void world_close(struct world *w)
{
    intake_free(w->intake);
    uv_run(&w->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&w->loop), 0);
}

static struct test_parcel *parcel_new(unsigned thread, unsigned number, size_t size)
{
    struct test_parcel *parcel = calloc(1, sizeof *parcel);
    if (parcel == NULL)
        abort();
    parcel->thread = thread;
    parcel->number = number;
    parcel->parcel.size = size;
    parcel->parcel.answer = on_answer;
    return parcel;
}

static void *post_many(void *context)
{
    unsigned thread = *(const unsigned *)context;
    for (unsigned i = 0; i < EACH; i++) {
        struct test_parcel *parcel = parcel_new(thread, i, 100);
        while (intake_post(the_world->intake, &parcel->parcel) != 0)
            sched_yield();
    }
    return NULL;
}

static void what_many_threads_post_is_taken_in_order(void **state)
{
    (void)state;
    struct world w;
    pthread_t threads[THREADS];
    unsigned numbers[THREADS];
    world_init(&w, 10000); /* full now and then */
    for (unsigned i = 0; i < THREADS; i++) {
        numbers[i] = i;
        assert_int_equal(pthread_create(&threads[i], NULL, post_many, &numbers[i]), 0);
    }
    while (w.taken < THREADS * EACH)
        uv_run(&w.loop, UV_RUN_ONCE);
    for (unsigned i = 0; i < THREADS; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(w.answered, THREADS * EACH);
    world_close(&w);
}

static void what_is_too_much_stays_with_its_sender(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 250);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(intake_post(w.intake, &parcel_new(0, i, 100)->parcel), 0);
    struct test_parcel *parcel = parcel_new(0, 3, 100);
    assert_int_equal(intake_post(w.intake, &parcel->parcel), SEALMQ_E_FULL);
    intake_drain(w.intake);
    assert_int_equal(w.taken, 3);
    assert_int_equal(intake_post(w.intake, &parcel->parcel), 0);
    intake_drain(w.intake);
    assert_int_equal(w.taken, 4);
    world_close(&w);
}

static void what_waits_at_the_end_is_answered(void **state)
{
    (void)state;
    struct world w;
    world_init(&w, 0);
    assert_int_equal(intake_post(w.intake, &parcel_new(0, 0, 100)->parcel), 0);
    world_close(&w);
    assert_int_equal(w.taken, 0);
    assert_int_equal(w.answered, 1);
    assert_int_equal(w.last_error, SEALMQ_E_CLOSED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_many_threads_post_is_taken_in_order),
        cmocka_unit_test(what_is_too_much_stays_with_its_sender),
        cmocka_unit_test(what_waits_at_the_end_is_answered),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
