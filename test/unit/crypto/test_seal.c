#include "crypto/seal.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/crypto/vector.h"

#include "crypto/sign.h"

#include <stdlib.h>

/* RFC 5869, tests 1 to 3 of appendix A. */
static void published_hkdf_vectors_hold(void **state)
{
    (void)state;
    static const struct {
        const char *key, *salt, *info, *out;
    } vectors[] = {
        {"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "000102030405060708090a0b0c",
         "f0f1f2f3f4f5f6f7f8f9",
         "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865"},
        {"000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f202122232425262728292a2b2"
         "c2d"
         "2e2f303132333435363738393a3b3c3d3e3f404142434445464748494a4b4c4d4e4f",
         "606162636465666768696a6b6c6d6e6f707172737475767778797a7b7c7d7e7f808182838485868788898a8b8"
         "c8d"
         "8e8f909192939495969798999a9b9c9d9e9fa0a1a2a3a4a5a6a7a8a9aaabacadaeaf",
         "b0b1b2b3b4b5b6b7b8b9babbbcbdbebfc0c1c2c3c4c5c6c7c8c9cacbcccdcecfd0d1d2d3d4d5d6d7d8d9dadbd"
         "cdd"
         "dedfe0e1e2e3e4e5e6e7e8e9eaebecedeeeff0f1f2f3f4f5f6f7f8f9fafbfcfdfeff",
         "b11e398dc80327a1c8e7f78c596a49344f012eda2d4efad8a050cc4c19afa97c59045a99cac7827271cb41c65"
         "e59"
         "0e09da3275600c2f09b8367793a9aca3db71cc30c58179ec3e87c14c01d5c1f3434f1d87"},
        {"0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b0b", "", "",
         "8da4e775a563c18f715f802a063c5a31b8a11f5c5ee1879ec3454e5f3c738d2d9d201395faa4b61a96c8"},
    };
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        struct vector key = vector_of(vectors[i].key), salt = vector_of(vectors[i].salt),
                      info = vector_of(vectors[i].info);
        uint8_t out[VECTOR_MAX];
        size_t n = strlen(vectors[i].out) / 2;
        hkdf_sha256(vector_bytes(&salt), vector_bytes(&key), vector_bytes(&info), out, n);
        assert_hex(out, n, vectors[i].out);
    }
}

static void a_shorter_hkdf_output_begins_the_longer(void **state)
{
    (void)state;
    static uint8_t longest[255 * 32], out[255 * 32];
    hkdf_sha256((struct bytes){0}, BYTES_LIT("key"), BYTES_LIT("info"), longest, sizeof(longest));
    const size_t sizes[] = {0, 1, 31, 32, 33, 64, 65, 255 * 32 - 1};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        memset(out, 0, sizeof(out));
        hkdf_sha256((struct bytes){0}, BYTES_LIT("key"), BYTES_LIT("info"), out, sizes[i]);
        assert_memory_equal(out, longest, sizes[i]);
        assert_int_equal(out[sizes[i]], 0);
    }
}

/* RFC 7748 section 6.1. */
static void published_x25519_vector_holds(void **state)
{
    (void)state;
    struct vector a = vector_of("77076d0a7318a57d3c16c17251b26645df4c2f87ebc0992ab177fba51db92c2a");
    struct vector b = vector_of("5dab087e624a8a4b79e17f8b83800ee66f3bb1292618b6fd1c2f8b27ff88e0eb");
    struct x25519_pair alice, bob;
    uint8_t shared[32];
    x25519_pair_from_secret(a.b, &alice);
    x25519_pair_from_secret(b.b, &bob);
    assert_hex(alice.public_key, 32,
               "8520f0098930a754748b7ddcb43ef75a0dbf3a0d26381af4eba4a98eaa9b4e6a");
    assert_hex(bob.public_key, 32,
               "de9edb7d7b7dc1b4d35b61c2ece435373f8343c85b78674dadfc7e146f882b4f");
    assert_int_equal(x25519_agree(&alice, bob.public_key, shared), 0);
    assert_hex(shared, 32, "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
    assert_int_equal(x25519_agree(&bob, alice.public_key, shared), 0);
    assert_hex(shared, 32, "4a5d9d5ba4ce2de1728e3bf480350f25e07e21c947d19e3376f09b3c1e161742");
    x25519_pair_wipe(&alice);
    static const struct x25519_pair zero;
    assert_memory_equal(&alice, &zero, sizeof(zero));
}

static void keys_of_small_order_are_refused(void **state)
{
    (void)state;
    const char *points[] = {
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    };
    const uint8_t secret[32] = {8, 9};
    struct x25519_pair mine;
    x25519_pair_from_secret(secret, &mine);
    for (size_t i = 0; i < sizeof(points) / sizeof(points[0]); i++) {
        struct vector point = vector_of(points[i]);
        uint8_t shared[32] = {1};
        assert_int_equal(x25519_agree(&mine, point.b, shared), SEALMQ_E_CRYPTO);
        assert_int_equal(shared[0], 0);
    }
}

/* RFC 8439 section 2.8.2. */
static const char poem[] =
    "Ladies and Gentlemen of the class of '99: If I could offer you only one tip "
    "for the future, sunscreen would be it.";
static const char poem_key[] = "808182838485868788898a8b8c8d8e8f909192939495969798999a9b9c9d9e9f";
static const char poem_nonce[] = "070000004041424344454647";
static const char poem_additional[] = "50515253c0c1c2c3c4c5c6c7";
static const char poem_sealed[] =
    "d31a8d34648e60db7b86afbc53ef7ec2a4aded51296e08fea9e2b5a736ee62d63dbea45e8ca9671282fafb69da9272"
    "8b"
    "1a71de0a9e060b2905d6a5b67ecd3b3692ddbd7f2d778b8c9803aee328091b58fab324e4fad675945585808b4831d7"
    "bc"
    "3ff4def08e4b7a9de576d26586cec64b61161ae10b594f09e26a7e902ecbd0600691";

struct sealed_poem {
    struct seal_key key;
    struct vector nonce, additional, sealed;
};

static struct sealed_poem poem_of_rfc(void)
{
    struct sealed_poem p = {.nonce = vector_of(poem_nonce),
                            .additional = vector_of(poem_additional),
                            .sealed = vector_of(poem_sealed)};
    struct vector key = vector_of(poem_key);
    memcpy(p.key.b, key.b, sizeof(p.key.b));
    return p;
}

static int poem_open(const struct sealed_poem *p, struct buf *out)
{
    return seal_decrypt(&p->key, p->nonce.b, vector_bytes(&p->additional), vector_bytes(&p->sealed),
                        out);
}

static void published_aead_vector_holds_both_ways(void **state)
{
    (void)state;
    struct sealed_poem p = poem_of_rfc();
    struct buf sealed = {0}, plain = {0};
    buf_append_cstr(&sealed, "header");
    buf_append_cstr(&plain, "before");
    assert_int_equal(
        seal_encrypt(&p.key, p.nonce.b, vector_bytes(&p.additional), bytes_str(poem), &sealed), 0);
    assert_int_equal(sealed.n, 6 + strlen(poem) + SEAL_TAG_SIZE);
    assert_hex(sealed.p + 6, sealed.n - 6, poem_sealed);
    assert_int_equal(poem_open(&p, &plain), 0);
    assert_string_equal(buf_cstr(&plain) + 6, poem);
    buf_close(&sealed);
    buf_close(&plain);
}

static void a_text_without_bytes_can_be_sealed(void **state)
{
    (void)state;
    struct sealed_poem p = poem_of_rfc();
    struct buf sealed = {0}, plain = {0};
    struct bytes none = {0};
    assert_int_equal(seal_encrypt(&p.key, p.nonce.b, none, none, &sealed), 0);
    assert_int_equal(sealed.n, SEAL_TAG_SIZE);
    assert_int_equal(seal_decrypt(&p.key, p.nonce.b, none, buf_bytes(&sealed), &plain), 0);
    assert_int_equal(plain.n, 0);
    buf_close(&sealed);
    buf_close(&plain);
}

static void assert_refused(const struct sealed_poem *p)
{
    struct buf out = {0};
    buf_append_cstr(&out, "kept");
    assert_int_equal(poem_open(p, &out), SEALMQ_E_CRYPTO);
    assert_string_equal(buf_cstr(&out), "kept");
    buf_close(&out);
}

static void any_changed_bit_is_seen(void **state)
{
    (void)state;
    for (size_t i = 0; i < strlen(poem_sealed) / 2; i++) {
        struct sealed_poem p = poem_of_rfc();
        p.sealed.b[i] ^= (uint8_t)(1u << i % 8);
        assert_refused(&p);
    }
    for (size_t i = 0; i < SEAL_KEY_SIZE; i++) {
        struct sealed_poem p = poem_of_rfc();
        p.key.b[i] ^= 0x40;
        assert_refused(&p);
    }
    for (size_t i = 0; i < SEAL_NONCE_SIZE; i++) {
        struct sealed_poem p = poem_of_rfc();
        p.nonce.b[i] ^= 1;
        assert_refused(&p);
        p = poem_of_rfc();
        p.additional.b[i] ^= 1;
        assert_refused(&p);
    }
    struct sealed_poem p = poem_of_rfc();
    p.additional.n--;
    assert_refused(&p);
}

static void a_sealed_text_cut_anywhere_is_refused(void **state)
{
    (void)state;
    struct sealed_poem whole = poem_of_rfc();
    for (size_t n = 0; n < whole.sealed.n; n++) {
        uint8_t *cut = malloc(n == 0 ? 1 : n);
        memcpy(cut, whole.sealed.b, n);
        struct buf out = {0};
        assert_int_equal(seal_decrypt(&whole.key, whole.nonce.b, vector_bytes(&whole.additional),
                                      bytes_of(cut, n), &out),
                         n < SEAL_TAG_SIZE ? SEALMQ_E_SHORT : SEALMQ_E_CRYPTO);
        assert_int_equal(out.n, 0);
        buf_close(&out);
        free(cut);
    }
}

static void the_outputs_limit_holds_to_the_byte(void **state)
{
    (void)state;
    struct sealed_poem p = poem_of_rfc();
    struct buf out = {.limit = strlen(poem)};
    assert_int_equal(poem_open(&p, &out), 0);
    buf_close(&out);
    out.limit--;
    assert_int_equal(poem_open(&p, &out), SEALMQ_E_LIMIT);
    buf_close(&out);
    out.limit = strlen(poem) + SEAL_TAG_SIZE - 1;
    assert_int_equal(
        seal_encrypt(&p.key, p.nonce.b, vector_bytes(&p.additional), bytes_str(poem), &out),
        SEALMQ_E_LIMIT);
    buf_close(&out);
}

static int start(void **state)
{
    (void)state;
    return crypto_init();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_hkdf_vectors_hold),
        cmocka_unit_test(a_shorter_hkdf_output_begins_the_longer),
        cmocka_unit_test(published_x25519_vector_holds),
        cmocka_unit_test(keys_of_small_order_are_refused),
        cmocka_unit_test(published_aead_vector_holds_both_ways),
        cmocka_unit_test(a_text_without_bytes_can_be_sealed),
        cmocka_unit_test(any_changed_bit_is_seen),
        cmocka_unit_test(a_sealed_text_cut_anywhere_is_refused),
        cmocka_unit_test(the_outputs_limit_holds_to_the_byte),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
