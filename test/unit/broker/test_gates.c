#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/gates.h"

static void what_stands_before_a_gate_is_visible(void **state)
{
    (void)state;
    struct gates *gates = NULL;
    assert_int_equal(gates_add(&gates, 3, 10), 0);
    assert_int_equal(gates_visible(gates), 10);
    gates_written(gates, 4);
    assert_int_equal(gates_visible(gates), 6);
    assert_false(gates_open(&gates, 2));
    assert_true(gates_open(&gates, 3));
    assert_null(gates);
}

static void one_epoch_has_one_gate(void **state)
{
    (void)state;
    struct gates *gates = NULL;
    assert_int_equal(gates_add(&gates, 3, 0), 0);
    assert_int_equal(gates_add(&gates, 3, 100), 0);
    assert_int_equal(gates_add(&gates, 2, 200), 0);
    assert_int_equal(gates->count, 1);
    assert_int_equal(gates_visible(gates), 0);
    assert_true(gates_open(&gates, 3));
    assert_null(gates);
}

static void gates_open_in_their_order(void **state)
{
    (void)state;
    struct gates *gates = NULL;
    for (uint64_t i = 0; i < 1000; i++)
        assert_int_equal(gates_add(&gates, i + 1, i * 7), 0);
    for (uint64_t i = 1; i < 1000; i += 3) {
        assert_true(gates_open(&gates, i));
        assert_int_equal(gates_visible(gates), i * 7);
    }
    gates_written(gates, 70);
    assert_int_equal(gates_add(&gates, 2000, 999 * 7), 0);
    assert_true(gates_open(&gates, 1000));
    assert_int_equal(gates_visible(gates), 999 * 7);
    assert_true(gates_open(&gates, 2000));
    assert_null(gates);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_stands_before_a_gate_is_visible),
        cmocka_unit_test(one_epoch_has_one_gate),
        cmocka_unit_test(gates_open_in_their_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
