/* Which readings are written to the chain. */
#include "world.h"

#include "gateway/policy.h"

#include <stdio.h>

static struct row row_of(enum datatype type, const char *value, int64_t time_ms)
{
    return (struct row){
        .device = BYTES_LIT("D1"),
        .service = BYTES_LIT("CS"),
        .name = BYTES_LIT("t"),
        .value = bytes_str(value),
        .type = type,
        .time_us = time_ms * 1000,
    };
}

static const struct gateway_policy *found(const char *pattern, const char *device,
                                          const char *service, const char *name)
{
    static struct gateway_policy policy;
    struct row row = {bytes_str(device), bytes_str(service), bytes_str(name), .unit = {0}};
    snprintf(policy.pattern, sizeof policy.pattern, "%s", pattern);
    return policy_find(&policy, 1, &row);
}

static void patterns_are_names_or_stars(void **state)
{
    (void)state;
    assert_non_null(found("*/*/*", "D1", "CS", "t"));
    assert_non_null(found("D1/CS/t", "D1", "CS", "t"));
    assert_non_null(found("*/CS/*", "D1", "CS", "t"));
    assert_null(found("D2/*/*", "D1", "CS", "t"));
    assert_null(found("*/*/temperature", "D1", "CS", "t"));
    assert_null(found("D/*/*", "D1", "CS", "t"));
    assert_null(found("D12/*/*", "D1", "CS", "t"));
    assert_null(found("D*/*/*", "D1", "CS", "t")); /* a star is a whole name */
}

static void a_short_pattern_leaves_the_rest_open(void **state)
{
    (void)state;
    assert_non_null(found("*", "D1", "CS", "t"));
    assert_non_null(found("D1", "D1", "CS", "t"));
    assert_non_null(found("*/CS", "D1", "CS", "t"));
    assert_null(found("D2", "D1", "CS", "t"));
    assert_null(found("D1/XY", "D1", "CS", "t"));
}

static void the_first_that_fits_counts(void **state)
{
    (void)state;
    const struct gateway_policy policies[] = {
        {.pattern = "D2/*/*"}, {.pattern = "D1/*/*"}, {.pattern = "*/*/*"}};
    struct row row = row_of(DATATYPE_INT, "1", 0);
    assert_ptr_equal(policy_find(policies, 3, &row), &policies[1]);
    assert_ptr_equal(policy_find(policies, 1, &row), NULL);
    assert_ptr_equal(policy_find(NULL, 0, &row), NULL);
}

static bool wants(struct gateway_policy policy, enum datatype type, const char *before,
                  int64_t before_ms, const char *value, int64_t time_ms)
{
    struct row row = row_of(type, value, time_ms);
    const struct policy_last last = {before, before_ms * 1000};
    return policy_wants(&policy, &row, &last);
}

static void periodic_writes_once_in_its_interval(void **state)
{
    (void)state;
    struct gateway_policy policy = {.periodic = true, .interval_ms = 10000};
    assert_true(wants(policy, DATATYPE_DOUBLE, NULL, 0, "1", 0));
    assert_false(wants(policy, DATATYPE_DOUBLE, "1", 50000, "2", 50000));
    assert_false(wants(policy, DATATYPE_DOUBLE, "1", 50000, "2", 59999));
    assert_true(wants(policy, DATATYPE_DOUBLE, "1", 50000, "1", 60000));
    /* A clock that was ahead does not silence the item until then. */
    assert_false(wants(policy, DATATYPE_DOUBLE, "1", 50000, "2", 40001));
    assert_true(wants(policy, DATATYPE_DOUBLE, "1", 50000, "2", 40000));
}

static void change_writes_what_moved_by_the_threshold(void **state)
{
    (void)state;
    struct gateway_policy policy = {.on_change = true, .threshold = 0.5};
    assert_true(wants(policy, DATATYPE_DOUBLE, NULL, 0, "20", 0));
    assert_false(wants(policy, DATATYPE_DOUBLE, "20", 0, "20", 999999));
    assert_false(wants(policy, DATATYPE_DOUBLE, "20", 0, "20.4", 1));
    assert_true(wants(policy, DATATYPE_DOUBLE, "20", 0, "20.5", 1));
    assert_true(wants(policy, DATATYPE_DOUBLE, "20", 0, "19.5", 1));
    assert_true(wants(policy, DATATYPE_INT, "-1", 0, "0", 1));
    policy.threshold = 0;
    assert_false(wants(policy, DATATYPE_DOUBLE, "20", 0, "20.0", 1));
    assert_true(wants(policy, DATATYPE_DOUBLE, "20", 0, "20.0001", 1));
}

static void a_percentage_is_of_the_last_written_value(void **state)
{
    (void)state;
    struct gateway_policy policy = {
        .on_change = true, .threshold = 10, .threshold_is_percent = true};
    assert_false(wants(policy, DATATYPE_DOUBLE, "-200", 0, "-219", 1));
    assert_true(wants(policy, DATATYPE_DOUBLE, "-200", 0, "-220", 1));
    assert_true(wants(policy, DATATYPE_DOUBLE, "0", 0, "0.001", 1)); /* any change from zero */
    assert_false(wants(policy, DATATYPE_DOUBLE, "0", 0, "0", 1));
}

static void every_change_of_a_bool_or_string_is_written(void **state)
{
    (void)state;
    struct gateway_policy policy = {.on_change = true, .threshold = 1000};
    assert_true(wants(policy, DATATYPE_BOOL, "true", 0, "false", 1));
    assert_false(wants(policy, DATATYPE_BOOL, "true", 0, "true", 1));
    assert_true(wants(policy, DATATYPE_STRING, "a", 0, "b", 1));
    assert_false(wants(policy, DATATYPE_STRING, "a", 0, "a", 1));
}

static void both_write_when_either_asks(void **state)
{
    (void)state;
    struct gateway_policy policy = {
        .periodic = true, .interval_ms = 10000, .on_change = true, .threshold = 5};
    assert_true(wants(policy, DATATYPE_DOUBLE, "1", 0, "1", 10000));
    assert_true(wants(policy, DATATYPE_DOUBLE, "1", 0, "6", 1));
    assert_false(wants(policy, DATATYPE_DOUBLE, "1", 0, "5", 1));
    struct gateway_policy none = {.interval_ms = 1};
    assert_false(wants(none, DATATYPE_DOUBLE, NULL, 0, "5", 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(patterns_are_names_or_stars),
        cmocka_unit_test(a_short_pattern_leaves_the_rest_open),
        cmocka_unit_test(the_first_that_fits_counts),
        cmocka_unit_test(periodic_writes_once_in_its_interval),
        cmocka_unit_test(change_writes_what_moved_by_the_threshold),
        cmocka_unit_test(a_percentage_is_of_the_last_written_value),
        cmocka_unit_test(every_change_of_a_bool_or_string_is_written),
        cmocka_unit_test(both_write_when_either_asks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
