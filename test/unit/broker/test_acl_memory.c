/* Out of memory at every allocation of making an ACL: refused, and nothing leaks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/acl.h"
#include "lib/failing_memory.h"

static void acl_is_made_whole_or_not_at_all(void **state)
{
    (void)state;
    struct bytes text = BYTES_LIT("topic a\nuser b\ntopic c\ntopic d\ntopic e\ntopic f\ntopic g\n"
                                  "pattern x/%c\nuser h\ntopic #\n");
    for (size_t n = 1;; n++) {
        struct acl *acl = NULL;
        unsigned line;
        char why[64];
        memory_fail_at(n);
        int error = acl_parse(text, "plant", &acl, &line, why, sizeof why);
        bool failed = memory_has_failed();
        assert_int_equal(error, failed ? SEALMQ_E_NOMEM : 0);
        assert_true((acl == NULL) == failed);
        acl_free(acl);
        if (!failed) {
            assert_true(n > 5);
            break;
        }
    }
    struct acl *acl = NULL;
    memory_fail_at(1);
    assert_int_equal(acl_default_new(ACL_DEFAULT_READ_VERIFIED, "plant", &acl), SEALMQ_E_NOMEM);
    assert_null(acl);
    assert_int_equal(acl_default_new(ACL_DEFAULT_READ_VERIFIED,
                                     "a-name-that-is-longer-than-a-network's-name-may-be", &acl),
                     SEALMQ_E_ARG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(acl_is_made_whole_or_not_at_all)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
