#include "crypto/hash.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/crypto/vector.h"

#include <stdlib.h>

static void published_vectors_hold(void **state)
{
    (void)state;
    static const struct {
        const char *text, *hash;
    } vectors[] = {
        {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
        {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
        {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
         "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    };
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        struct hash h;
        hash_sha256(bytes_str(vectors[i].text), &h);
        assert_hex(h.b, sizeof(h.b), vectors[i].hash);
    }
}

static void a_million_bytes_in_any_pieces_hash_alike(void **state)
{
    (void)state;
    uint8_t as[1000];
    memset(as, 'a', sizeof(as));
    for (size_t piece = 1; piece <= sizeof(as); piece = piece * 3 + 1) {
        struct hasher hasher;
        struct hash h;
        hasher_init(&hasher);
        for (size_t left = 1000000; left != 0;) {
            size_t n = left < piece ? left : piece;
            hasher_update(&hasher, bytes_of(as, n));
            hasher_update(&hasher, (struct bytes){0});
            left -= n;
        }
        hasher_final(&hasher, &h);
        assert_hex(h.b, sizeof(h.b),
                   "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    }
}

/* From the definition: the hash of prefix and parts put together. */
static struct hash by_definition(uint8_t prefix, struct bytes a, struct bytes b)
{
    struct buf text = {0};
    struct hash h;
    buf_append_u8(&text, prefix);
    buf_append_bytes(&text, a);
    buf_append_bytes(&text, b);
    assert_int_equal(buf_status(&text), 0);
    hash_sha256(buf_bytes(&text), &h);
    buf_close(&text);
    return h;
}

static void leaves_are_those_of_rfc_6962(void **state)
{
    (void)state;
    struct hash h;
    hash_leaf((struct bytes){0}, &h);
    assert_hex(h.b, sizeof(h.b),
               "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d");
    uint8_t text[200];
    for (size_t i = 0; i < sizeof(text); i++)
        text[i] = (uint8_t)(i * 31);
    for (size_t n = 0; n <= sizeof(text); n++) {
        struct hash want = by_definition(0x00, bytes_of(text, n), (struct bytes){0});
        hash_leaf(bytes_of(text, n), &h);
        assert_true(hash_equal(&h, &want));
    }
}

static void nodes_are_those_of_rfc_6962(void **state)
{
    (void)state;
    struct hash left, right, node;
    hash_leaf((struct bytes){0}, &left);
    hash_leaf(BYTES_LIT("\0"), &right);
    hash_node(&left, &right, &node);
    assert_hex(node.b, sizeof(node.b),
               "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125");
    struct hash want = by_definition(0x01, hash_bytes(&right), hash_bytes(&left));
    hash_node(&right, &left, &node);
    assert_true(hash_equal(&node, &want));
}

static void a_node_may_replace_either_child(void **state)
{
    (void)state;
    struct hash left, right, want, out;
    hash_sha256(BYTES_LIT("l"), &left);
    hash_sha256(BYTES_LIT("r"), &right);
    hash_node(&left, &right, &want);
    out = left;
    hash_node(&out, &right, &out);
    assert_true(hash_equal(&out, &want));
    out = right;
    hash_node(&left, &out, &out);
    assert_true(hash_equal(&out, &want));
}

static void a_leaf_is_never_a_node(void **state)
{
    (void)state;
    struct hash left, right, node, leaf;
    hash_sha256(BYTES_LIT("l"), &left);
    hash_sha256(BYTES_LIT("r"), &right);
    uint8_t both[2 * HASH_SIZE];
    memcpy(both, left.b, HASH_SIZE);
    memcpy(both + HASH_SIZE, right.b, HASH_SIZE);
    hash_node(&left, &right, &node);
    hash_leaf(bytes_of(both, sizeof(both)), &leaf);
    assert_false(hash_equal(&node, &leaf));
}

static void only_zeros_are_zero(void **state)
{
    (void)state;
    struct hash h = {0};
    assert_true(hash_is_zero(&h));
    for (size_t i = 0; i < HASH_SIZE; i++) {
        h = (struct hash){0};
        h.b[i] = 0x80;
        assert_false(hash_is_zero(&h));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_vectors_hold),
        cmocka_unit_test(a_million_bytes_in_any_pieces_hash_alike),
        cmocka_unit_test(leaves_are_those_of_rfc_6962),
        cmocka_unit_test(nodes_are_those_of_rfc_6962),
        cmocka_unit_test(a_node_may_replace_either_child),
        cmocka_unit_test(a_leaf_is_never_a_node),
        cmocka_unit_test(only_zeros_are_zero),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
