#include "crypto/password.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/text.h"
#include "crypto/sign.h"

#include <sodium.h>

static const uint8_t salt[PASSWORD_SALT_SIZE] = "0123456789abcdef";

/* Cheap ones, made with libsodium itself for the password "pw". */
static void make_cheap(char out[crypto_pwhash_STRBYTES])
{
    assert_int_equal(crypto_pwhash_argon2id_str(out, "pw", 2, 1, 8192), 0);
}

static void only_the_password_itself_is_right(void **state)
{
    (void)state;
    char hash[PASSWORD_HASH_MAX];
    assert_int_equal(password_hash(BYTES_LIT("correct horse"), salt, hash), 0);
    assert_non_null(strstr(hash, "$argon2id$v=19$m=65536,t=3,p=1$"));
    assert_int_equal(password_verify(hash, BYTES_LIT("correct horse")), 0);
    assert_int_equal(password_verify(hash, BYTES_LIT("correct horsf")), SEALMQ_E_DENIED);
    assert_int_equal(password_verify(hash, (struct bytes){0}), SEALMQ_E_DENIED);
}

static void hashes_of_libsodium_are_read_and_ours_by_it(void **state)
{
    (void)state;
    char hash[PASSWORD_HASH_MAX];
    make_cheap(hash);
    assert_int_equal(password_verify(hash, BYTES_LIT("pw")), 0);
    assert_int_equal(password_verify(hash, BYTES_LIT("pW")), SEALMQ_E_DENIED);
    assert_int_equal(password_hash(BYTES_LIT("pw"), salt, hash), 0);
    assert_int_equal(crypto_pwhash_str_verify(hash, "pw", 2), 0);
}

static void a_password_may_hold_any_bytes_or_none(void **state)
{
    (void)state;
    char hash[PASSWORD_HASH_MAX];
    assert_int_equal(crypto_pwhash_argon2id_str(hash, "a\0b", 3, 1, 8192), 0);
    assert_int_equal(password_verify(hash, BYTES_LIT("a\0b")), 0);
    assert_int_equal(password_verify(hash, BYTES_LIT("a")), SEALMQ_E_DENIED);
    assert_int_equal(crypto_pwhash_argon2id_str(hash, "", 0, 1, 8192), 0);
    assert_int_equal(password_verify(hash, (struct bytes){0}), 0);
}

static void the_salt_decides_the_hash(void **state)
{
    (void)state;
    const uint8_t other[PASSWORD_SALT_SIZE] = "0123456789abcdeg";
    char a[PASSWORD_HASH_MAX], b[PASSWORD_HASH_MAX], c[PASSWORD_HASH_MAX];
    assert_int_equal(password_hash(BYTES_LIT("pw"), salt, a), 0);
    assert_int_equal(password_hash(BYTES_LIT("pw"), salt, b), 0);
    assert_int_equal(password_hash(BYTES_LIT("pw"), other, c), 0);
    assert_string_equal(a, b);
    assert_string_not_equal(a, c);
}

#define SALT "MDEyMzQ1Njc4OWFiY2RlZg"
#define KEY  "pZyPgND0WGV0JcklFtaDaV1E/cCL1TereMjwLywParg"

/* These must be refused before anything is hashed: some would take hours, others all memory. */
static void costs_and_texts_out_of_range_are_refused(void **state)
{
    (void)state;
    const char *bad[] = {
        "",
        "$",
        "pw",
        "$argon2id$",
        "$argon2id$v=19$m=262145,t=1,p=1$" SALT "$" KEY,
        "$argon2id$v=19$m=4294967295,t=1,p=1$" SALT "$" KEY,
        "$argon2id$v=19$m=18446744073709551616,t=1,p=1$" SALT "$" KEY,
        "$argon2id$v=19$m=8,t=11,p=1$" SALT "$" KEY,
        "$argon2id$v=19$m=8,t=4294967297,p=1$" SALT "$" KEY,
        "$argon2id$v=19$m=8,t=0,p=1$" SALT "$" KEY,
        "$argon2id$v=19$m=7,t=1,p=1$" SALT "$" KEY,
        "$argon2id$v=19$m=8,t=1,p=0$" SALT "$" KEY,
        "$argon2id$v=19$m=8,t=1,p=2$" SALT "$" KEY,
        "$argon2id$v=19$m=262144,t=1,p=17$" SALT "$" KEY,
        "$argon2id$v=19$m=08,t=1,p=1$" SALT "$" KEY,
        "$argon2id$v=19$m=-8,t=1,p=1$" SALT "$" KEY,
        "$argon2id$v=19$m= 8,t=1,p=1$" SALT "$" KEY,
        "$argon2id$v=19$m=,t=1,p=1$" SALT "$" KEY,
        "$argon2id$v=19$t=1,m=8,p=1$" SALT "$" KEY,
        "$argon2id$v=19$m=8,t=1,p=1,x=1$" SALT "$" KEY,
        "$argon2id$v=19$m=8,t=1$" SALT "$" KEY,
        "$argon2id$v=16$m=8,t=1,p=1$" SALT "$" KEY,
        "$argon2id$m=8,t=1,p=1$" SALT "$" KEY,
        "$argon2i$v=19$m=8,t=3,p=1$" SALT "$" KEY,
        "$argon2d$v=19$m=8,t=3,p=1$" SALT "$" KEY,
        "$2b$12$abcdefghijklmnopqrstuuABCDEFGHIJKLMNOPQRSTUVWXYZ01234",
        "$argon2id$v=19$m=8,t=1,p=1$" SALT,
        "$argon2id$v=19$m=8,t=1,p=1$" SALT "$",
        "$argon2id$v=19$m=8,t=1,p=1$$" KEY,
        "$argon2id$v=19$m=8,t=1,p=1$c2hvcnQ$" KEY,
        "$argon2id$v=19$m=8,t=1,p=1$" SALT "$c2hvcnQ",
        "$argon2id$v=19$m=8,t=1,p=1$" SALT "==$" KEY,
        "$argon2id$v=19$m=8,t=1,p=1$" SALT "$" KEY "=",
        "$argon2id$v=19$m=8,t=1,p=1$" SALT "$" KEY "$",
        "$argon2id$v=19$m=8,t=1,p=1$" SALT "$" KEY "\n",
        "$argon2id$v=19$m=8,t=1,p=1$" SALT "$" KEY " ",
        " $argon2id$v=19$m=8,t=1,p=1$" SALT "$" KEY,
        "$argon2id$v=19$m=8,t=1,p=1$" SALT "$" KEY KEY KEY KEY,
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (password_verify(bad[i], BYTES_LIT("pw")) != SEALMQ_E_PARSE)
            fail_msg("\"%s\" was taken", bad[i]);
    assert_int_equal(password_verify("$argon2id$v=19$m=8,t=1,p=1$" SALT "$" KEY, BYTES_LIT("pw")),
                     SEALMQ_E_DENIED);
}

static void a_hash_cut_anywhere_lets_nobody_in(void **state)
{
    (void)state;
    char hash[PASSWORD_HASH_MAX], cut[PASSWORD_HASH_MAX];
    make_cheap(hash);
    for (size_t n = 0; n < strlen(hash); n++) {
        memcpy(cut, hash, n);
        cut[n] = '\0';
        int error = password_verify(cut, BYTES_LIT("pw"));
        assert_true(error == SEALMQ_E_PARSE || error == SEALMQ_E_DENIED);
    }
}

static int start(void **state)
{
    (void)state;
    return crypto_init();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_the_password_itself_is_right),
        cmocka_unit_test(hashes_of_libsodium_are_read_and_ours_by_it),
        cmocka_unit_test(a_password_may_hold_any_bytes_or_none),
        cmocka_unit_test(the_salt_decides_the_hash),
        cmocka_unit_test(costs_and_texts_out_of_range_are_refused),
        cmocka_unit_test(a_hash_cut_anywhere_lets_nobody_in),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
