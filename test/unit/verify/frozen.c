#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "frozen.h"

struct frozen frozen;

struct policy *parse_policy(struct bytes text)
{
    struct policy *out = NULL;
    unsigned line = 0;
    char why[128];
    if (policy_parse(text, &out, &line, why, sizeof(why)) != 0)
        fail_msg("line %u: %s", line, why);
    return out;
}

int frozen_setup(void **state)
{
    (void)state;
    if (crypto_init() != 0)
        return -1;
    frozen.vectors = vectors_load("proof.json");
    frozen.policy = parse_policy(vector_text(frozen.vectors, "policy"));
    vector_hex_exact(frozen.vectors, "genesis", frozen.genesis.b, HASH_SIZE);
    return json_member_object(frozen.vectors, "proofs", &frozen.proofs, NULL);
}

int frozen_teardown(void **state)
{
    (void)state;
    policy_free(frozen.policy);
    cJSON_Delete(frozen.vectors);
    return 0;
}

struct bytes frozen_proof(const char *name)
{
    return vector_text(frozen.proofs, name);
}
