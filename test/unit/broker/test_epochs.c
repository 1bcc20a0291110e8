#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/epochs.h"

static void an_epoch_needs_its_journal_and_all_shards(void **state)
{
    (void)state;
    struct epochs e;
    uint64_t confirmed[EPOCHS_SHARDS_MAX] = {0};
    epochs_init(&e);
    assert_int_equal(epochs_newest(&e), 0);
    epochs_need_journal(&e, 5, 100);
    epochs_need_parcel(&e, 63, 7, 10);
    assert_int_equal(epochs_newest(&e), 1);
    assert_false(epochs_complete(&e, 5, confirmed)); /* it is still open */
    epochs_cut(&e);
    assert_int_equal(epochs_newest(&e), 1);
    assert_false(epochs_complete(&e, 4, confirmed));
    assert_false(epochs_complete(&e, 5, confirmed));
    confirmed[63] = 6;
    assert_false(epochs_complete(&e, 5, confirmed));
    confirmed[63] = 7;
    assert_true(epochs_complete(&e, 5, confirmed));
    assert_int_equal(e.completed, 1);
    assert_int_equal(e.waiting_bytes, 0);
    assert_int_equal(epochs_newest(&e), 0);
}

static void an_epoch_without_needs_does_not_end(void **state)
{
    (void)state;
    struct epochs e;
    epochs_init(&e);
    epochs_cut(&e);
    assert_int_equal(e.open.number, 1);
    assert_int_equal(e.count, 0);
}

static void more_epochs_than_there_is_room_for_are_put_together(void **state)
{
    (void)state;
    struct epochs e;
    uint64_t confirmed[EPOCHS_SHARDS_MAX] = {0};
    enum { MANY = 3 * EPOCHS_CLOSED_MAX };
    epochs_init(&e);
    for (uint64_t i = 1; i <= MANY; i++) {
        epochs_need_journal(&e, i, 1);
        epochs_need_parcel(&e, (unsigned)(i % 2), i, 1);
        epochs_cut(&e);
    }
    assert_int_equal(e.waiting_bytes, 2 * MANY);
    confirmed[0] = MANY;
    confirmed[1] = MANY - 2;
    assert_true(epochs_complete(&e, MANY, confirmed));
    assert_int_equal(e.completed, EPOCHS_CLOSED_MAX - 1);
    assert_false(epochs_complete(&e, MANY, confirmed));
    confirmed[1] = MANY - 1;
    assert_true(epochs_complete(&e, MANY, confirmed));
    assert_int_equal(e.completed, MANY);
    assert_int_equal(e.waiting_bytes, 0);
    /* The ring is as new. */
    epochs_need_journal(&e, MANY + 1, 1);
    epochs_cut(&e);
    assert_true(epochs_complete(&e, MANY + 1, confirmed));
}

static void a_widened_epoch_needs_what_the_open_one_does(void **state)
{
    (void)state;
    struct epochs e;
    uint64_t confirmed[EPOCHS_SHARDS_MAX] = {[1] = 3, [2] = 8};
    epochs_init(&e);
    epochs_need_journal(&e, 1, 10);
    epochs_need_parcel(&e, 1, 3, 10);
    epochs_cut(&e);
    epochs_need_journal(&e, 2, 10);
    epochs_need_parcel(&e, 2, 9, 10);
    epochs_widen(&e);
    assert_false(epochs_complete(&e, 1, confirmed)); /* its own needs are met */
    confirmed[2] = 9;
    assert_false(epochs_complete(&e, 1, confirmed));
    assert_true(epochs_complete(&e, 2, confirmed));
    assert_int_equal(e.completed, 1);
    assert_int_equal(e.waiting_bytes, 20);
    epochs_cut(&e);
    assert_true(epochs_complete(&e, 2, confirmed));
    assert_int_equal(e.waiting_bytes, 0);
    epochs_widen(&e); /* nothing is closed */
    assert_int_equal(epochs_newest(&e), 0);
}

static void widening_is_not_lost_when_epochs_are_put_together(void **state)
{
    (void)state;
    struct epochs e;
    uint64_t confirmed[EPOCHS_SHARDS_MAX] = {[4] = 19, [5] = 9};
    epochs_init(&e);
    epochs_need_journal(&e, 1, 0);
    epochs_cut(&e);
    epochs_need_parcel(&e, 4, 20, 0);
    epochs_widen(&e);
    e.open.shards = 0; /* the need is the widened one's alone */
    for (uint64_t i = 2; i <= 2 * EPOCHS_CLOSED_MAX; i++) {
        epochs_need_parcel(&e, 5, 10, 0);
        epochs_need_parcel(&e, 4, 1, 0);
        epochs_cut(&e);
    }
    assert_false(epochs_complete(&e, 1, confirmed));
    confirmed[4] = 20;
    assert_true(epochs_complete(&e, 1, confirmed));
    assert_int_equal(e.completed, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_epoch_needs_its_journal_and_all_shards),
        cmocka_unit_test(an_epoch_without_needs_does_not_end),
        cmocka_unit_test(more_epochs_than_there_is_room_for_are_put_together),
        cmocka_unit_test(a_widened_epoch_needs_what_the_open_one_does),
        cmocka_unit_test(widening_is_not_lost_when_epochs_are_put_together),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
