/* The key agreement: both sides come to the same keys, and nothing that was changed on the way, or
 * meant for somebody else, is taken. */
#include "keys.h"

#include "device/handshake.h"

struct agreement {
    struct hash genesis;
    struct handshake_parties parties;
    struct sign_key gateway, node;
    struct x25519_pair gateway_fresh, node_fresh;
    uint8_t hello[HELLO_SIZE], answer[ANSWER_SIZE];
    struct session_keys gateway_keys, node_keys;
};

static void agreement_init(struct agreement *a)
{
    memset(a, 0, sizeof *a);
    a->genesis = hash_of("genesis");
    a->parties = (struct handshake_parties){bytes_str(GATEWAY), bytes_str(NODE), &a->genesis};
    a->gateway = key_of(1);
    a->node = key_of(2);
    a->gateway_fresh = pair_of(3);
    a->node_fresh = pair_of(4);
    handshake_hello(&a->parties, &a->gateway, 7, &a->gateway_fresh, a->hello);
}

static int answer(struct agreement *a, struct bytes hello, uint64_t *number)
{
    return handshake_answer(&a->parties, hello, &a->gateway.public_key, &a->node, &a->node_fresh,
                            0xabcdef01, 1800000000, number, a->answer, &a->node_keys);
}

static int finish(struct agreement *a, struct bytes ans)
{
    return handshake_finish(&a->parties, a->hello, &a->gateway_fresh, ans, &a->node.public_key,
                            &a->gateway_keys);
}

static void agree(struct agreement *a)
{
    uint64_t number = 0;
    agreement_init(a);
    assert_int_equal(answer(a, bytes_of(a->hello, HELLO_SIZE), &number), 0);
    assert_int_equal(number, 7);
    assert_int_equal(finish(a, bytes_of(a->answer, ANSWER_SIZE)), 0);
}

static void both_sides_have_the_same_keys_one_for_each_direction(void **state)
{
    (void)state;
    struct agreement a;
    agree(&a);
    assert_int_equal(a.gateway_keys.key_id, 0xabcdef01);
    assert_int_equal(a.gateway_keys.expires_s, 1800000000);
    assert_int_equal(a.node_keys.key_id, 0xabcdef01);
    assert_memory_equal(a.gateway_keys.up.b, a.node_keys.up.b, SEAL_KEY_SIZE);
    assert_memory_equal(a.gateway_keys.down.b, a.node_keys.down.b, SEAL_KEY_SIZE);
    assert_memory_not_equal(a.gateway_keys.up.b, a.gateway_keys.down.b, SEAL_KEY_SIZE);
}

/* HKDF over the shared secret with the hash of both messages, put together here by hand. */
static void the_keys_come_from_all_that_was_said(void **state)
{
    (void)state;
    struct agreement a;
    uint8_t shared[32], both[HELLO_SIZE + ANSWER_SIZE], want[SEAL_KEY_SIZE];
    struct hash salt;
    agree(&a);
    assert_int_equal(x25519_agree(&a.gateway_fresh, a.node_fresh.public_key, shared), 0);
    memcpy(both, a.hello, HELLO_SIZE);
    memcpy(both + HELLO_SIZE, a.answer, ANSWER_SIZE);
    hash_sha256(bytes_of(both, sizeof both), &salt);
    hkdf_sha256(hash_bytes(&salt), bytes_of(shared, sizeof shared),
                BYTES_LIT("sealmq/session/1/up"), want, sizeof want);
    assert_memory_equal(a.node_keys.up.b, want, sizeof want);
    hkdf_sha256(hash_bytes(&salt), bytes_of(shared, sizeof shared),
                BYTES_LIT("sealmq/session/1/down"), want, sizeof want);
    assert_memory_equal(a.node_keys.down.b, want, sizeof want);
}

static void other_fresh_keys_give_other_session_keys(void **state)
{
    (void)state;
    struct agreement a, b;
    uint64_t number;
    agree(&a);
    agreement_init(&b);
    b.node_fresh = pair_of(5);
    assert_int_equal(answer(&b, bytes_of(b.hello, HELLO_SIZE), &number), 0);
    assert_memory_not_equal(a.node_keys.up.b, b.node_keys.up.b, SEAL_KEY_SIZE);
}

static void a_hello_of_any_other_length_is_refused(void **state)
{
    (void)state;
    struct agreement a;
    uint64_t number;
    agreement_init(&a);
    for (size_t n = 0; n < HELLO_SIZE; n++)
        assert_int_equal(answer(&a, bytes_of(a.hello, n), &number), SEALMQ_E_SHORT);
    uint8_t longer[HELLO_SIZE + 1] = {0};
    memcpy(longer, a.hello, HELLO_SIZE);
    assert_int_equal(answer(&a, bytes_of(longer, sizeof longer), &number), SEALMQ_E_PARSE);
}

static void no_changed_bit_of_a_hello_is_taken(void **state)
{
    (void)state;
    struct agreement a;
    uint64_t number;
    agreement_init(&a);
    for (size_t i = 0; i < HELLO_SIZE * 8; i++) {
        uint8_t hello[HELLO_SIZE];
        memcpy(hello, a.hello, sizeof hello);
        hello[i / 8] ^= (uint8_t)(1 << i % 8);
        int want = i < 8 ? SEALMQ_E_VERSION : SEALMQ_E_SIGNATURE;
        assert_int_equal(answer(&a, bytes_of(hello, sizeof hello), &number), want);
    }
}

static void no_changed_bit_of_an_answer_is_taken(void **state)
{
    (void)state;
    struct agreement a;
    agree(&a);
    for (size_t n = 0; n < ANSWER_SIZE; n++)
        assert_int_equal(finish(&a, bytes_of(a.answer, n)), SEALMQ_E_SHORT);
    for (size_t i = 0; i < ANSWER_SIZE * 8; i++) {
        uint8_t changed[ANSWER_SIZE];
        memcpy(changed, a.answer, sizeof changed);
        changed[i / 8] ^= (uint8_t)(1 << i % 8);
        int want = i < 8 ? SEALMQ_E_VERSION : SEALMQ_E_SIGNATURE;
        assert_int_equal(finish(&a, bytes_of(changed, sizeof changed)), want);
    }
}

static void a_hello_is_for_one_node_one_gateway_and_one_network(void **state)
{
    (void)state;
    struct agreement a;
    uint64_t number;
    struct bytes hello = {a.hello, HELLO_SIZE};
    struct hash other = hash_of("another genesis");
    agreement_init(&a);
    a.parties.node = BYTES_LIT("broker/b");
    assert_int_equal(answer(&a, hello, &number), SEALMQ_E_SIGNATURE);
    agreement_init(&a);
    a.parties.gateway = BYTES_LIT("plant-a/gw2");
    assert_int_equal(answer(&a, hello, &number), SEALMQ_E_SIGNATURE);
    agreement_init(&a);
    a.parties.genesis = &other;
    assert_int_equal(answer(&a, hello, &number), SEALMQ_E_SIGNATURE);
    agreement_init(&a);
    a.gateway = key_of(9);
    assert_int_equal(answer(&a, hello, &number), SEALMQ_E_SIGNATURE);
    assert_int_equal(number, 7); /* known all the same, for the answer that says no */
}

static void an_answer_is_to_one_hello(void **state)
{
    (void)state;
    struct agreement a;
    agree(&a);
    handshake_hello(&a.parties, &a.gateway, 8, &a.gateway_fresh, a.hello);
    assert_int_equal(finish(&a, bytes_of(a.answer, ANSWER_SIZE)), SEALMQ_E_SIGNATURE);
}

static void an_answer_of_another_node_is_refused(void **state)
{
    (void)state;
    struct agreement a;
    agree(&a);
    a.node = key_of(9);
    assert_int_equal(finish(&a, bytes_of(a.answer, ANSWER_SIZE)), SEALMQ_E_SIGNATURE);
}

static void a_fresh_key_of_small_order_is_refused(void **state)
{
    (void)state;
    struct agreement a;
    uint64_t number;
    agreement_init(&a);
    memset(a.gateway_fresh.public_key, 0, X25519_SIZE);
    handshake_hello(&a.parties, &a.gateway, 7, &a.gateway_fresh, a.hello);
    assert_int_equal(answer(&a, bytes_of(a.hello, HELLO_SIZE), &number), SEALMQ_E_CRYPTO);
    agreement_init(&a);
    memset(a.node_fresh.public_key, 0, X25519_SIZE);
    assert_int_equal(answer(&a, bytes_of(a.hello, HELLO_SIZE), &number), 0);
    assert_int_equal(finish(&a, bytes_of(a.answer, ANSWER_SIZE)), SEALMQ_E_CRYPTO);
}

static void a_fail_names_number_and_code(void **state)
{
    (void)state;
    uint8_t fail[FAIL_SIZE];
    uint64_t number;
    uint16_t code;
    handshake_fail(UINT64_C(0x0102030405060708), 24, fail);
    assert_int_equal(handshake_fail_parse(bytes_of(fail, FAIL_SIZE), &number, &code), 0);
    assert_int_equal(number, UINT64_C(0x0102030405060708));
    assert_int_equal(code, 24);
    for (size_t n = 0; n < FAIL_SIZE; n++)
        assert_int_equal(handshake_fail_parse(bytes_of(fail, n), &number, &code), SEALMQ_E_SHORT);
    fail[0] = 2;
    assert_int_equal(handshake_fail_parse(bytes_of(fail, FAIL_SIZE), &number, &code),
                     SEALMQ_E_VERSION);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(both_sides_have_the_same_keys_one_for_each_direction),
        cmocka_unit_test(the_keys_come_from_all_that_was_said),
        cmocka_unit_test(other_fresh_keys_give_other_session_keys),
        cmocka_unit_test(a_hello_of_any_other_length_is_refused),
        cmocka_unit_test(no_changed_bit_of_a_hello_is_taken),
        cmocka_unit_test(no_changed_bit_of_an_answer_is_taken),
        cmocka_unit_test(a_hello_is_for_one_node_one_gateway_and_one_network),
        cmocka_unit_test(an_answer_is_to_one_hello),
        cmocka_unit_test(an_answer_of_another_node_is_refused),
        cmocka_unit_test(a_fresh_key_of_small_order_is_refused),
        cmocka_unit_test(a_fail_names_number_and_code),
    };
    return cmocka_run_group_tests(tests, keys_setup, NULL);
}
