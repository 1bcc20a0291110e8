/* Verification when memory runs out at any one place: it says so, proves nothing, and keeps
 * nothing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "frozen.h"
#include "lib/failing_memory.h"

static void verification_without_memory_proves_nothing(void **state)
{
    static struct verify_result result;
    struct bytes text = frozen_proof(*state);
    size_t n = 1;
    for (;; n++) {
        memory_fail_at(n);
        int error = verify_proof(text, frozen.policy, &frozen.genesis, &result);
        if (!memory_has_failed()) {
            assert_int_equal(error, 0);
            break;
        }
        assert_int_equal(error, SEALMQ_E_NOMEM);
        assert_true(result.why[0] != '\0');
        assert_int_equal(result.header.height, 0);
        assert_string_equal(result.sender, "");
    }
    assert_true(n > 5);
}

static void a_policy_without_memory_is_none(void **state)
{
    (void)state;
    struct bytes text = vector_text(frozen.vectors, "policy");
    for (size_t n = 1;; n++) {
        struct policy *policy = NULL;
        unsigned line;
        char why[64];
        memory_fail_at(n);
        int error = policy_parse(text, &policy, &line, why, sizeof(why));
        bool failed = memory_has_failed();
        assert_int_equal(error, failed ? SEALMQ_E_NOMEM : 0);
        assert_true((policy == NULL) == failed);
        policy_free(policy);
        if (!failed)
            break;
        assert_string_equal(why, "out of memory");
    }
}

static void a_proof_without_memory_is_not_written(void **state)
{
    (void)state;
    struct proof proof;
    assert_int_equal(proof_parse(frozen_proof("row"), &proof), 0);
    for (size_t n = 1;; n++) {
        struct buf out = {0};
        memory_fail_at(n);
        int error = proof_format(&proof, &out);
        bool failed = memory_has_failed();
        assert_int_equal(error, failed ? SEALMQ_E_NOMEM : 0);
        assert_true((out.n == 0) == failed);
        buf_close(&out);
        if (!failed)
            break;
    }
    proof_close(&proof);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(verification_without_memory_proves_nothing, "block"),
        cmocka_unit_test_prestate(verification_without_memory_proves_nothing, "register"),
        cmocka_unit_test_prestate(verification_without_memory_proves_nothing, "record"),
        cmocka_unit_test_prestate(verification_without_memory_proves_nothing, "row"),
        cmocka_unit_test(a_policy_without_memory_is_none),
        cmocka_unit_test(a_proof_without_memory_is_not_written),
    };
    return cmocka_run_group_tests(tests, frozen_setup, frozen_teardown);
}
