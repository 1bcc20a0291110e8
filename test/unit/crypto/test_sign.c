#include "crypto/sign.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/crypto/vector.h"

#include "crypto/seal.h"

#include <stdlib.h>

static const struct hash genesis = {{1, 2, 3}};

static struct sign_key key_of(uint8_t first)
{
    uint8_t seed[SEED_SIZE] = {first};
    struct sign_key key;
    sign_key_from_seed(seed, &key);
    return key;
}

/* RFC 8032 section 7.1, tests 1 to 3. */
static const struct {
    const char *seed, *public_key, *message, *signature;
} vectors[] = {
    {"9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
     "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
     "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b"
     "46bd25bf5f0595bbe24655141438e7a100b"},
    {"4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
     "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
     "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11"
     "d8c387b2eaeb4302aeeb00d291612bb0c00"},
    {"c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
     "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
     "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc"
     "6594a7c15e9716ed28dc027beceea1ec40a"},
};

static void published_vectors_hold(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        struct vector seed = vector_of(vectors[i].seed), message = vector_of(vectors[i].message);
        struct sign_key key;
        struct signature signature;
        sign_key_from_seed(seed.b, &key);
        assert_hex(key.public_key.b, PUBLIC_KEY_SIZE, vectors[i].public_key);
        sign_raw(&key, vector_bytes(&message), &signature);
        assert_hex(signature.b, SIGNATURE_SIZE, vectors[i].signature);
        assert_int_equal(sign_verify_raw(&key.public_key, vector_bytes(&message), &signature), 0);
    }
}

static void what_is_signed_is_label_zero_genesis_message(void **state)
{
    (void)state;
    struct sign_key key = key_of(1);
    const size_t sizes[] = {0, 1, 32, 463, 464, 465, 466, 467, 468, 511, 512, 513, 100000};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        uint8_t *message = malloc(sizes[i] + 1);
        memset(message, 'm', sizes[i] + 1);
        struct bytes m = bytes_of(message, sizes[i]);
        struct buf text = {0};
        buf_append_cstr(&text, "sealmq/test/1");
        buf_append_u8(&text, 0);
        buf_append_bytes(&text, hash_bytes(&genesis));
        buf_append_bytes(&text, m);
        struct signature want, signature;
        sign_raw(&key, buf_bytes(&text), &want);
        sign_message(&key, "sealmq/test/1", &genesis, m, &signature);
        assert_memory_equal(want.b, signature.b, SIGNATURE_SIZE);
        assert_int_equal(sign_verify(&key.public_key, "sealmq/test/1", &genesis, m, &signature), 0);
        buf_close(&text);
        free(message);
    }
}

static void a_signature_is_for_one_kind_network_message_and_key(void **state)
{
    (void)state;
    struct sign_key key = key_of(1), other = key_of(2);
    struct hash other_genesis = {{1, 2, 4}};
    struct bytes m = BYTES_LIT("message");
    struct signature s;
    sign_message(&key, "sealmq/a/1", &genesis, m, &s);
    assert_int_equal(sign_verify(&key.public_key, "sealmq/a/1", &genesis, m, &s), 0);
    assert_int_equal(sign_verify(&key.public_key, "sealmq/a/2", &genesis, m, &s),
                     SEALMQ_E_SIGNATURE);
    assert_int_equal(sign_verify(&key.public_key, "sealmq/a/1", &other_genesis, m, &s),
                     SEALMQ_E_SIGNATURE);
    assert_int_equal(sign_verify(&key.public_key, "sealmq/a/1", &genesis, BYTES_LIT("messagf"), &s),
                     SEALMQ_E_SIGNATURE);
    assert_int_equal(sign_verify(&key.public_key, "sealmq/a/1", &genesis, (struct bytes){0}, &s),
                     SEALMQ_E_SIGNATURE);
    assert_int_equal(sign_verify(&other.public_key, "sealmq/a/1", &genesis, m, &s),
                     SEALMQ_E_SIGNATURE);
    assert_int_equal(sign_verify_raw(&key.public_key, m, &s), SEALMQ_E_SIGNATURE);
}

static void no_bytes_can_be_signed(void **state)
{
    (void)state;
    struct sign_key key = key_of(1);
    struct signature s;
    sign_raw(&key, (struct bytes){0}, &s);
    assert_int_equal(sign_verify_raw(&key.public_key, (struct bytes){0}, &s), 0);
    sign_message(&key, "sealmq/a/1", &genesis, (struct bytes){0}, &s);
    assert_int_equal(sign_verify(&key.public_key, "sealmq/a/1", &genesis, (struct bytes){0}, &s),
                     0);
}

static void any_bit_of_a_signature_counts(void **state)
{
    (void)state;
    struct sign_key key = key_of(1);
    struct signature s;
    sign_raw(&key, BYTES_LIT("m"), &s);
    for (size_t bit = 0; bit < 8 * SIGNATURE_SIZE; bit++) {
        s.b[bit / 8] ^= (uint8_t)(1u << bit % 8);
        assert_int_equal(sign_verify_raw(&key.public_key, BYTES_LIT("m"), &s), SEALMQ_E_SIGNATURE);
        s.b[bit / 8] ^= (uint8_t)(1u << bit % 8);
    }
    assert_int_equal(sign_verify_raw(&key.public_key, BYTES_LIT("m"), &s), 0);
}

/* S + L verifies where S is not checked to be below the order L: a second signature that nobody
 * with the key has made. */
static void the_second_form_of_a_signature_is_refused(void **state)
{
    (void)state;
    struct vector order =
        vector_of("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010");
    struct sign_key key = key_of(1);
    struct signature s;
    sign_raw(&key, BYTES_LIT("m"), &s);
    unsigned carry = 0;
    for (size_t i = 0; i < 32; i++) {
        carry += (unsigned)s.b[32 + i] + order.b[i];
        s.b[32 + i] = (uint8_t)carry;
        carry >>= 8;
    }
    assert_int_equal(carry, 0);
    assert_int_equal(sign_verify_raw(&key.public_key, BYTES_LIT("m"), &s), SEALMQ_E_SIGNATURE);
}

/* With a key of small order and R the same point, S = 0 would verify for many messages. */
static void keys_of_small_order_sign_nothing(void **state)
{
    (void)state;
    const char *points[] = {
        "0100000000000000000000000000000000000000000000000000000000000000",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0000000000000000000000000000000000000000000000000000000000000080",
        "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
        "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    };
    for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
        struct vector point = vector_of(points[i]);
        struct public_key key;
        struct signature s = {0};
        memcpy(key.b, point.b, sizeof(key.b));
        memcpy(s.b, point.b, sizeof(key.b));
        for (uint8_t m = 0; m < 32; m++)
            assert_int_equal(sign_verify_raw(&key, bytes_of(&m, 1), &s), SEALMQ_E_SIGNATURE);
    }
}

static void a_derived_key_is_the_hkdf_of_the_seed(void **state)
{
    (void)state;
    struct sign_key root = key_of(7), derived, again, want;
    uint8_t seed[SEED_SIZE];
    hkdf_sha256((struct bytes){0}, bytes_of(root.secret, SEED_SIZE), BYTES_LIT("sealmq/log-key/1"),
                seed, sizeof(seed));
    sign_key_from_seed(seed, &want);
    sign_key_derive(&root, "sealmq/log-key/1", &derived);
    assert_memory_equal(&derived, &want, sizeof(want));
    sign_key_derive(&root, "sealmq/cosigner-key/1", &again);
    assert_memory_not_equal(derived.public_key.b, again.public_key.b, PUBLIC_KEY_SIZE);
    assert_memory_not_equal(derived.public_key.b, root.public_key.b, PUBLIC_KEY_SIZE);
    /* In place. */
    sign_key_derive(&root, "sealmq/log-key/1", &root);
    assert_memory_equal(&root, &want, sizeof(want));
}

static void a_wiped_key_is_gone(void **state)
{
    (void)state;
    struct sign_key key = key_of(1);
    static const struct sign_key zero;
    sign_key_wipe(&key);
    assert_memory_equal(&key, &zero, sizeof(key));
}

static void a_fingerprint_is_the_hash_of_the_key(void **state)
{
    (void)state;
    struct public_key key = {{0}};
    char text[FINGERPRINT_MAX];
    public_key_fingerprint(&key, text);
    assert_string_equal(text, "SHA256:Zmh6rfhivXdsj8GLjp+OIAiXFIVu4jOzkCpZHQ1fKSU");
}

static void secrets_are_equal_in_all_bytes_or_not(void **state)
{
    (void)state;
    assert_true(secret_equal(BYTES_LIT("abc"), BYTES_LIT("abc")));
    assert_false(secret_equal(BYTES_LIT("abc"), BYTES_LIT("abd")));
    assert_false(secret_equal(BYTES_LIT("abc"), BYTES_LIT("bbc")));
    assert_false(secret_equal(BYTES_LIT("abc"), BYTES_LIT("ab")));
    assert_false(secret_equal((struct bytes){0}, BYTES_LIT("a")));
    assert_true(secret_equal((struct bytes){0}, (struct bytes){0}));
}

static int start(void **state)
{
    (void)state;
    return crypto_init();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_vectors_hold),
        cmocka_unit_test(what_is_signed_is_label_zero_genesis_message),
        cmocka_unit_test(a_signature_is_for_one_kind_network_message_and_key),
        cmocka_unit_test(no_bytes_can_be_signed),
        cmocka_unit_test(any_bit_of_a_signature_counts),
        cmocka_unit_test(the_second_form_of_a_signature_is_refused),
        cmocka_unit_test(keys_of_small_order_sign_nothing),
        cmocka_unit_test(a_derived_key_is_the_hkdf_of_the_seed),
        cmocka_unit_test(a_wiped_key_is_gone),
        cmocka_unit_test(a_fingerprint_is_the_hash_of_the_key),
        cmocka_unit_test(secrets_are_equal_in_all_bytes_or_not),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
