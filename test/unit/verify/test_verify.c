/* Offline verification: the frozen proofs, made by another program, show what they should; and no
 * change to one shows anything else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "frozen.h"

static struct verify_result result, wanted;

static int verify(struct bytes text)
{
    return verify_proof(text, frozen.policy, &frozen.genesis, &result);
}

static void verify_frozen(const char *name)
{
    if (verify(frozen_proof(name)) != 0)
        fail_msg("%s: %s", name, result.why);
    assert_string_equal(result.why, "");
    struct hash want;
    vector_hex_exact(frozen.vectors, "block_hash", want.b, HASH_SIZE);
    assert_memory_equal(&result.header_hash, &want, sizeof(want));
    assert_string_equal(result.header.network, "plant");
    assert_int_equal(result.header.height, 4);
    assert_string_equal(result.header.proposer, "broker/a");
    assert_int_equal(result.checkpoint.size, 6);
    assert_int_equal(result.attested.cosigner_count, 3);
    assert_string_equal(result.attested.cosigners[2], "sealmq/plant/broker/c");
    assert_int_equal(result.attested.earliest_s, 1594046912);
    assert_int_equal(result.attested.latest_s, 1594046914);
}

static void a_block_is_proven(void **state)
{
    (void)state;
    verify_frozen("block");
    assert_int_equal(result.kind, PROOF_BLOCK);
    assert_string_equal(result.sender, "");
    assert_string_equal(result.fingerprint, "");
}

static void assert_fingerprint(const char *seed_text)
{
    struct hash seed;
    struct sign_key key;
    char fingerprint[FINGERPRINT_MAX];
    hash_sha256(bytes_str(seed_text), &seed);
    sign_key_from_seed(seed.b, &key);
    public_key_fingerprint(&key.public_key, fingerprint);
    assert_string_equal(result.fingerprint, fingerprint);
}

static void requests_are_proven_with_their_senders_keys(void **state)
{
    (void)state;
    verify_frozen("data");
    assert_int_equal(result.kind, PROOF_REQUEST);
    assert_int_equal(result.request_kind, REQUEST_DATA);
    assert_string_equal(result.sender, "devices/iot");
    assert_int_equal(result.request_number, 8);
    assert_fingerprint("devices/iot");
    struct hash want;
    vector_hex_exact(frozen.vectors, "request_hash", want.b, HASH_SIZE);
    assert_memory_equal(&result.request, &want, sizeof(want));

    verify_frozen("describe");
    assert_int_equal(result.request_kind, REQUEST_DESCRIBE);
    assert_int_equal(result.request_number, 7);
    assert_fingerprint("devices/iot");

    verify_frozen("register");
    assert_int_equal(result.request_kind, REQUEST_REGISTER);
    assert_string_equal(result.sender, "admin/zoe");
    assert_fingerprint("admin/zoe");

    verify_frozen("receipt");
    assert_string_equal(result.sender, "devices/iot");
    assert_string_equal(result.fingerprint, "");
}

static void a_record_is_proven(void **state)
{
    (void)state;
    verify_frozen("record");
    assert_int_equal(result.kind, PROOF_RECORD);
    assert_fingerprint("devices/iot");
    assert_string_equal(result.device, "D3343134IE3B");
    assert_string_equal(result.service, "CS");
    assert_string_equal(result.name, "device_humidity");
    assert_string_equal(result.unit, "%");
    assert_string_equal(result.datatype, "double");
    assert_string_equal(result.value, "39");
    assert_int_equal(result.time_us, INT64_C(1594046913000000));
    assert_int_equal(result.item_num, 2);
    assert_string_equal(result.node, "");
}

static void a_row_is_proven(void **state)
{
    (void)state;
    verify_frozen("row");
    assert_int_equal(result.kind, PROOF_ROW);
    assert_fingerprint("devices/iot");
    assert_string_equal(result.device, "pump.2");
    assert_string_equal(result.service, "state");
    assert_string_equal(result.name, "text");
    assert_string_equal(result.unit, "");
    assert_string_equal(result.datatype, "string");
    assert_string_equal(result.value, "l\xc3\xa4uft / idle\n");
    assert_int_equal(result.time_us, INT64_C(1594046911000001));
    assert_int_equal(result.capture_number, 201);
    assert_string_equal(result.topic, "500001/400001/300002/RealTime");
    assert_int_equal(result.row_number, 3);
    assert_int_equal(result.rows, 5);
    assert_string_equal(result.node, "broker/a");
}

static void a_refusal_tells_nothing_but_why(int error)
{
    struct verify_result empty;
    assert_int_not_equal(error, 0);
    assert_true(result.why[0] != '\0' && memchr(result.why, '\0', sizeof(result.why)) != NULL);
    memset(result.why, 0, sizeof(result.why));
    memset(&empty, 0, sizeof(empty));
    assert_memory_equal(&result, &empty, sizeof(empty));
}

/* What a changed file shows: nothing, or the same as before. */
static void assert_fails_or_shows_the_same(struct bytes text)
{
    int error = verify(text);
    if (error == 0)
        assert_memory_equal(&result, &wanted, sizeof(wanted));
    else
        a_refusal_tells_nothing_but_why(error);
}

static void no_changed_byte_shows_anything_else(void **state)
{
    const char *name = *state;
    verify_frozen(name);
    wanted = result;
    struct buf text = {0};
    buf_append_bytes(&text, frozen_proof(name));
    for (size_t i = 0; i < text.n; i++) {
        uint8_t kept = text.p[i];
        text.p[i] ^= (uint8_t)(1u << i % 8);
        assert_fails_or_shows_the_same(buf_bytes(&text));
        text.p[i] = kept == 'A' ? 'B' : 'A';
        assert_fails_or_shows_the_same(buf_bytes(&text));
        text.p[i] = kept;
    }
    buf_close(&text);
}

/* The same for the binary part, where each bit counts: here nothing may pass at all. */
static void no_changed_bit_of_the_extra_line_verifies(void **state)
{
    struct bytes text = frozen_proof(*state);
    const uint8_t *start = (const uint8_t *)memmem(text.p, text.n, "\nextra ", 7) + 7;
    const uint8_t *end = memchr(start, '\n', text.n);
    struct buf extra = {0}, changed = {0};
    assert_int_equal(base64_decode(bytes_of(start, (size_t)(end - start)), &extra), 0);
    for (size_t i = 0; i < extra.n; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            extra.p[i] ^= (uint8_t)(1u << bit);
            buf_reset(&changed);
            buf_append(&changed, text.p, (size_t)(start - text.p));
            base64_append(&changed, buf_bytes(&extra));
            buf_append(&changed, end, text.n - (size_t)(end - text.p));
            int error = verify(buf_bytes(&changed));
            if (error == 0)
                fail_msg("bit %u of byte %zu", bit, i);
            a_refusal_tells_nothing_but_why(error);
            extra.p[i] ^= (uint8_t)(1u << bit);
        }
    }
    buf_close(&extra);
    buf_close(&changed);
}

static void another_networks_genesis_or_policy_is_noticed(void **state)
{
    (void)state;
    struct hash other = frozen.genesis;
    other.b[0] ^= 1;
    assert_int_equal(verify_proof(frozen_proof("row"), frozen.policy, &other, &result),
                     SEALMQ_E_SIGNATURE);
    a_refusal_tells_nothing_but_why(SEALMQ_E_SIGNATURE);
    /* A receipt shows no signature of the gateway, and so does not depend on the genesis. */
    assert_int_equal(verify_proof(frozen_proof("receipt"), frozen.policy, &other, &result), 0);

    struct bytes text = vector_text(frozen.vectors, "policy");
    struct buf changed = {0};
    buf_append_bytes(&changed, text);
    uint8_t *k = memmem(changed.p, changed.n, "validators 3 ", 13);
    k[11] = '4';
    struct policy *all = parse_policy(buf_bytes(&changed));
    assert_int_equal(verify_proof(frozen_proof("row"), all, &frozen.genesis, &result),
                     SEALMQ_E_COUNT);
    policy_free(all);
    buf_close(&changed);

    struct policy *none = parse_policy(BYTES_LIT("quorum none\n"));
    assert_int_equal(verify_proof(frozen_proof("row"), none, &frozen.genesis, &result),
                     SEALMQ_E_NETWORK);
    policy_free(none);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_is_proven),
        cmocka_unit_test(requests_are_proven_with_their_senders_keys),
        cmocka_unit_test(a_record_is_proven),
        cmocka_unit_test(a_row_is_proven),
        cmocka_unit_test_prestate(no_changed_byte_shows_anything_else, "register"),
        cmocka_unit_test_prestate(no_changed_byte_shows_anything_else, "record"),
        cmocka_unit_test_prestate(no_changed_bit_of_the_extra_line_verifies, "block"),
        cmocka_unit_test_prestate(no_changed_bit_of_the_extra_line_verifies, "row"),
        cmocka_unit_test(another_networks_genesis_or_policy_is_noticed),
    };
    return cmocka_run_group_tests(tests, frozen_setup, frozen_teardown);
}
