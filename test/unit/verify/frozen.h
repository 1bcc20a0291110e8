/* The frozen proofs and what they are verified with: a fixture of the tests of this folder. Include
 * after cmocka.h. */
#ifndef SEALMQ_TEST_VERIFY_FROZEN_H
#define SEALMQ_TEST_VERIFY_FROZEN_H

#include "lib/vectors.h"
#include "verify/verify.h"

struct frozen {
    cJSON *vectors;
    const cJSON *proofs;
    struct policy *policy;
    struct hash genesis;
};
extern struct frozen frozen;

/* For cmocka_run_group_tests. */
int frozen_setup(void **state);
int frozen_teardown(void **state);

/* The text of the proof of that name. */
struct bytes frozen_proof(const char *name);
struct policy *parse_policy(struct bytes text);

#endif
