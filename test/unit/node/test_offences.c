/* Refused messages are counted by reason and by sender, in bounded memory. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/offences.h"

#include <stdio.h>

static struct offences offences;

static void each_is_counted_by_reason_and_sender(void **state)
{
    (void)state;
    offences = (struct offences){0};
    for (int i = 0; i < 3; i++)
        offences_count(&offences, "node/b", SEALMQ_E_SIGNATURE);
    offences_count(&offences, "node/c", SEALMQ_E_PARSE);
    offences_count(&offences, "node/b", SEALMQ_E_PARSE);
    assert_int_equal(offences.by_reason[-SEALMQ_E_SIGNATURE], 3);
    assert_int_equal(offences.by_reason[-SEALMQ_E_PARSE], 2);
    assert_int_equal(offences.offender_count, 2);
    assert_string_equal(offences.offenders[0].id, "node/b");
    assert_int_equal(offences.offenders[0].total, 4);
    assert_string_equal(offences.offenders[1].id, "node/c");
    assert_int_equal(offences.offenders[1].total, 1);
}

static void who_is_not_known_is_counted_with_the_others(void **state)
{
    (void)state;
    offences = (struct offences){0};
    offences_count(&offences, "", SEALMQ_E_LIMIT);
    assert_int_equal(offences.offender_count, 1);
    assert_string_equal(offences.offenders[0].id, "others");
}

static void a_full_table_counts_on_and_knows_who_is_in_it(void **state)
{
    (void)state;
    char id[ID_MAX + 1];
    offences = (struct offences){0};
    for (int i = 0; i < OFFENDERS_MAX + 50; i++) {
        snprintf(id, sizeof id, "node/n%d", i);
        offences_count(&offences, id, SEALMQ_E_SHORT);
    }
    offences_count(&offences, "node/n7", SEALMQ_E_SHORT);
    assert_int_equal(offences.offender_count, OFFENDERS_MAX);
    assert_int_equal(offences.offenders[7].total, 2);
    assert_string_equal(offences.offenders[OFFENDERS_MAX].id, "others");
    assert_int_equal(offences.offenders[OFFENDERS_MAX].total, 50);
}

static void a_reason_that_is_no_error_is_counted_too(void **state)
{
    (void)state;
    offences = (struct offences){0};
    offences_count(&offences, "node/b", -100000);
    offences_count(&offences, "node/b", INT32_MIN);
    offences_count(&offences, "node/b", 5);
    assert_int_equal(offences.by_reason[OFFENCE_REASONS - 1], 2);
    assert_int_equal(offences.by_reason[0], 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_is_counted_by_reason_and_sender),
        cmocka_unit_test(who_is_not_known_is_counted_with_the_others),
        cmocka_unit_test(a_full_table_counts_on_and_knows_who_is_in_it),
        cmocka_unit_test(a_reason_that_is_no_error_is_counted_too),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
