#include "crypto/random.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "crypto/sign.h"

static void random_bytes_fill_the_place_and_no_more(void **state)
{
    (void)state;
    uint8_t seen[40] = {0};
    for (int round = 0; round < 64; round++) { /* 2^-505 that one byte stays 0 by chance */
        uint8_t b[40] = {0};
        random_bytes(b + 4, 32);
        for (size_t i = 0; i < sizeof(b); i++)
            seen[i] |= b[i];
    }
    for (size_t i = 0; i < sizeof(seen); i++)
        assert_int_equal(seen[i] != 0, i >= 4 && i < 36);
    random_bytes(seen, 0);
}

static void random_numbers_use_all_bits(void **state)
{
    (void)state;
    uint64_t ones = 0, zeros = 0;
    for (int round = 0; round < 256; round++) {
        uint64_t v = random_u64();
        ones |= v;
        zeros |= ~v;
    }
    assert_true(ones == UINT64_MAX && zeros == UINT64_MAX);
}

static int start(void **state)
{
    (void)state;
    return crypto_init();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_bytes_fill_the_place_and_no_more),
        cmocka_unit_test(random_numbers_use_all_bits),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
