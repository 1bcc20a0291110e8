/* A memory changes how long a check takes, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "crypto/sign_memory.h"

#include <stdio.h>
#include <string.h>

static struct sign_key make_key(uint8_t fill)
{
    uint8_t seed[SEED_SIZE];
    struct sign_key key;
    memset(seed, fill, sizeof(seed));
    sign_key_from_seed(seed, &key);
    return key;
}

static void a_signature_is_checked_once(void **state)
{
    (void)state;
    struct sign_memory *memory;
    struct sign_key key = make_key(1);
    struct signature signature;
    uint64_t computed, remembered;
    sign_raw(&key, BYTES_LIT("word"), &signature);
    assert_int_equal(sign_memory_new(8, &memory), 0);
    assert_null(sign_memory_use(memory));
    for (int i = 0; i < 3; i++)
        assert_int_equal(sign_verify_raw(&key.public_key, BYTES_LIT("word"), &signature), 0);
    sign_memory_counts(memory, &computed, &remembered);
    assert_int_equal(computed, 1);
    assert_int_equal(remembered, 2);
    /* Without it everything is computed again. */
    assert_ptr_equal(sign_memory_use(NULL), memory);
    assert_int_equal(sign_verify_raw(&key.public_key, BYTES_LIT("word"), &signature), 0);
    sign_memory_counts(memory, &computed, &remembered);
    assert_int_equal(computed + remembered, 3);
    sign_memory_free(memory);
}

static void what_was_made_here_is_known_to_hold(void **state)
{
    (void)state;
    struct sign_memory *memory;
    struct sign_key key = make_key(2);
    struct signature signature;
    uint64_t computed, remembered;
    assert_int_equal(sign_memory_new(8, &memory), 0);
    sign_memory_use(memory);
    sign_raw(&key, BYTES_LIT("word"), &signature);
    assert_int_equal(sign_verify_raw(&key.public_key, BYTES_LIT("word"), &signature), 0);
    sign_memory_use(NULL);
    sign_memory_counts(memory, &computed, &remembered);
    assert_int_equal(computed, 0);
    /* and does hold */
    assert_int_equal(sign_verify_raw(&key.public_key, BYTES_LIT("word"), &signature), 0);
    sign_memory_free(memory);
}

/* Every bit of the signature, other words and another key: false the first time and the second. */
static void another_signature_is_not_taken_for_it(void **state)
{
    (void)state;
    struct sign_memory *memory;
    struct sign_key key = make_key(3), other = make_key(4);
    struct signature signature, bad;
    assert_int_equal(sign_memory_new(12, &memory), 0);
    sign_memory_use(memory);
    sign_raw(&key, BYTES_LIT("word"), &signature);
    for (int round = 0; round < 2; round++) {
        for (size_t bit = 0; bit < 8 * SIGNATURE_SIZE; bit++) {
            bad = signature;
            bad.b[bit / 8] ^= (uint8_t)(1u << (bit % 8));
            assert_int_equal(sign_verify_raw(&key.public_key, BYTES_LIT("word"), &bad),
                             SEALMQ_E_SIGNATURE);
        }
        assert_int_equal(sign_verify_raw(&key.public_key, BYTES_LIT("work"), &signature),
                         SEALMQ_E_SIGNATURE);
        assert_int_equal(sign_verify_raw(&other.public_key, BYTES_LIT("word"), &signature),
                         SEALMQ_E_SIGNATURE);
        assert_int_equal(sign_verify_raw(&key.public_key, BYTES_LIT("word"), &signature), 0);
    }
    sign_memory_use(NULL);
    sign_memory_free(memory);
}

/* A table of two has to forget, and asks again. */
static void what_is_forgotten_is_computed_again(void **state)
{
    (void)state;
    struct sign_memory *memory;
    struct sign_key key = make_key(5);
    struct signature signatures[16];
    char words[16][8];
    assert_int_equal(sign_memory_new(1, &memory), 0);
    sign_memory_use(memory);
    for (int i = 0; i < 16; i++) {
        snprintf(words[i], sizeof(words[i]), "word %d", i);
        sign_raw(&key, bytes_str(words[i]), &signatures[i]);
    }
    for (int i = 0; i < 16; i++) {
        assert_int_equal(sign_verify_raw(&key.public_key, bytes_str(words[i]), &signatures[i]), 0);
        assert_int_equal(
            sign_verify_raw(&key.public_key, bytes_str(words[i]), &signatures[(i + 1) % 16]),
            SEALMQ_E_SIGNATURE);
    }
    sign_memory_use(NULL);
    sign_memory_free(memory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_signature_is_checked_once),
        cmocka_unit_test(what_was_made_here_is_known_to_hold),
        cmocka_unit_test(another_signature_is_not_taken_for_it),
        cmocka_unit_test(what_is_forgotten_is_computed_again),
    };
    return crypto_init() == 0 ? cmocka_run_group_tests(tests, NULL, NULL) : 1;
}
