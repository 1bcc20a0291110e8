#include "base/error.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <string.h>

#define X(name, number, text) SEALMQ_E_##name,
static const int all[] = {SEALMQ_ERRORS(X)};
#undef X

static void every_error_has_words_and_a_name_of_its_own(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        assert_true(all[i] < 0);
        assert_string_not_equal(sealmq_error_text(all[i]), "unknown error");
        for (size_t j = 0; j < i; j++) {
            assert_int_not_equal(all[i], all[j]);
            assert_string_not_equal(sealmq_error_name(all[i]), sealmq_error_name(all[j]));
            assert_string_not_equal(sealmq_error_text(all[i]), sealmq_error_text(all[j]));
        }
    }
    assert_string_equal(sealmq_error_name(SEALMQ_E_SIGNATURE), "SIGNATURE");
    assert_string_equal(sealmq_error_text(0), "success");
    assert_string_equal(sealmq_error_name(0), "OK");
}

static void a_number_that_is_no_error_still_has_words(void **state)
{
    (void)state;
    assert_string_equal(sealmq_error_text(1), "unknown error");
    assert_string_equal(sealmq_error_text(-100000), "unknown error");
    assert_string_equal(sealmq_error_name(-100000), "?");
}

static void the_peers_faults_lie_between_parse_and_limit(void **state)
{
    (void)state;
    const int peers[] = {SEALMQ_E_SHORT, SEALMQ_E_SIGNATURE, SEALMQ_E_REPLAY, SEALMQ_E_NETWORK};
    for (size_t i = 0; i < sizeof(peers) / sizeof(peers[0]); i++)
        assert_true(peers[i] <= SEALMQ_E_PARSE && peers[i] >= SEALMQ_E_LIMIT);
    assert_true(SEALMQ_E_NOMEM > SEALMQ_E_PARSE);
    assert_true(SEALMQ_E_AGAIN < SEALMQ_E_LIMIT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_error_has_words_and_a_name_of_its_own),
        cmocka_unit_test(a_number_that_is_no_error_still_has_words),
        cmocka_unit_test(the_peers_faults_lie_between_parse_and_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
