#include "unit/ledger/network.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct network network;
static struct validator joiner;

static int setup(void **state)
{
    (void)state;
    network_make(&network, 4, 1);
    joiner = network_validator("broker/new", &network.other);
    return 0;
}

static int decode(struct bytes wire, struct request *out)
{
    return request_decode(wire, out);
}

static struct hash leaf_hash_of(uint8_t byte)
{
    struct hash hash;
    memset(hash.b, byte, HASH_SIZE);
    return hash;
}

static void make_join(struct buf *out)
{
    struct hash leaf = leaf_hash_of(7);
    assert_int_equal(
        request_make_join(&joiner, 12, &leaf, &network.other, &network.genesis.hash, out), 0);
}

static void what_a_joiner_says_is_read_again(void **state)
{
    (void)state;
    struct buf join = {0}, wire = {0};
    make_join(&join);
    struct member_claim claim;
    assert_int_equal(request_read_join(buf_bytes(&join), &network.genesis.hash, &claim), 0);
    assert_true(bytes_equal(claim.id, BYTES_LIT("broker/new")));
    assert_int_equal(claim.role, MEMBER_VALIDATOR);
    assert_int_equal(claim.height, 12);
    assert_true(bytes_equal(claim.url, bytes_str(joiner.url)));
    assert_memory_equal(&claim.cosigner_key, &joiner.cosigner_key, sizeof(claim.cosigner_key));

    assert_int_equal(request_make_register_validator(BYTES_LIT("admin/a"), 3, buf_bytes(&join),
                                                     &network.admins[0], &network.genesis.hash,
                                                     &wire),
                     0);
    struct request request;
    assert_int_equal(decode(buf_bytes(&wire), &request), 0);
    assert_int_equal(request.kind, REQUEST_REGISTER);
    assert_int_equal(request.register_.height, 12);
    assert_false(request_is_by_member(&request));
    assert_int_equal(request_verify_proof(&request, &network.genesis.hash), 0);
    struct hash other = leaf_hash_of(1);
    assert_int_equal(request_verify_proof(&request, &other), SEALMQ_E_SIGNATURE);
    buf_close(&join);
    buf_close(&wire);
}

static void what_a_joiner_says_cannot_be_changed(void **state)
{
    (void)state;
    struct buf join = {0};
    make_join(&join);
    struct member_claim claim;
    for (size_t i = 0; i < join.n; i++) {
        join.p[i] ^= 1;
        assert_int_not_equal(request_read_join(buf_bytes(&join), &network.genesis.hash, &claim), 0);
        join.p[i] ^= 1;
        assert_int_not_equal(request_read_join(bytes_of(join.p, i), &network.genesis.hash, &claim),
                             0);
    }
    buf_append_u8(&join, 0);
    assert_int_not_equal(request_read_join(buf_bytes(&join), &network.genesis.hash, &claim), 0);
    buf_close(&join);
}

static void a_joiner_has_three_keys_and_an_address(void **state)
{
    (void)state;
    struct hash leaf = leaf_hash_of(7);
    struct buf out = {0};
    struct validator bad[6];
    for (size_t i = 0; i < 6; i++)
        bad[i] = joiner;
    bad[0].log_key = bad[0].key;
    bad[1].cosigner_key = bad[1].key;
    bad[2].cosigner_key = bad[2].log_key;
    memset(&bad[3].log_key, 0, sizeof(bad[3].log_key));
    memcpy(bad[4].url, "http://x", 9);
    memcpy(bad[5].id, "admin/x", 8);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(
            request_make_join(&bad[i], 1, &leaf, &network.other, &network.genesis.hash, &out),
            SEALMQ_E_PARSE);
        assert_int_equal(out.n, 0);
    }
    assert_int_equal(request_make_join(&joiner, (uint64_t)SEQUENCE_MAX + 1, &leaf, &network.other,
                                       &network.genesis.hash, &out),
                     SEALMQ_E_LIMIT);
    buf_close(&out);
}

static void a_rotation_is_sent_by_its_member_or_by_admins(void **state)
{
    (void)state;
    struct buf wire = {0}, more = {0};
    struct request request;
    assert_int_equal(request_make_rotate(BYTES_LIT(GATEWAY), 1, BYTES_LIT(GATEWAY), NULL,
                                         &network.other, &network.gateway, &network.genesis.hash,
                                         &wire),
                     0);
    assert_int_equal(decode(buf_bytes(&wire), &request), 0);
    assert_true(request_is_by_member(&request));
    assert_int_equal(request.rotate.role, MEMBER_GATEWAY);
    assert_int_equal(request_verify_proof(&request, &network.genesis.hash), 0);
    assert_int_equal(request_cosign(buf_bytes(&wire), BYTES_LIT("admin/a"), &network.admins[0],
                                    &network.genesis.hash, &more),
                     SEALMQ_E_TYPE);
    buf_reset(&wire);
    assert_int_equal(request_make_rotate(BYTES_LIT("admin/a"), 1, BYTES_LIT("broker/new"), &joiner,
                                         &network.other, &network.admins[0], &network.genesis.hash,
                                         &wire),
                     0);
    assert_int_equal(request_cosign(buf_bytes(&wire), BYTES_LIT("admin/b"), &network.admins[1],
                                    &network.genesis.hash, &more),
                     0);
    assert_int_equal(decode(buf_bytes(&more), &request), 0);
    assert_false(request_is_by_member(&request));
    assert_int_equal(request.signature_count, 2);
    assert_int_equal(request_verify_proof(&request, &network.genesis.hash), 0);
    assert_true(bytes_equal(request.rotate.url, bytes_str(joiner.url)));
    buf_close(&wire);
    buf_close(&more);
}

/* A value between the bytes of a whole request. */
static int decode_configure(uint8_t what, struct bytes value)
{
    struct buf wire = {0};
    int error = request_make_configure(BYTES_LIT("admin/a"), 1, (enum configure_what)what, value,
                                       &network.admins[0], &network.genesis.hash, &wire);
    buf_close(&wire);
    return error;
}

static void configurations_are_whole_and_within_limits(void **state)
{
    (void)state;
    struct buf value = {0};
    struct genesis_parameters parameters = network.genesis.parameters;
    genesis_parameters_encode(&parameters, &value);
    assert_int_equal(decode_configure(CONFIGURE_PARAMETERS, buf_bytes(&value)), 0);
    assert_int_equal(decode_configure(0, buf_bytes(&value)), SEALMQ_E_TYPE);
    assert_int_equal(decode_configure(3, buf_bytes(&value)), SEALMQ_E_TYPE);
    assert_int_not_equal(decode_configure(CONFIGURE_ADMINS, buf_bytes(&value)), 0);
    assert_int_equal(decode_configure(CONFIGURE_PARAMETERS, bytes_of(value.p, value.n - 1)),
                     SEALMQ_E_SHORT);
    buf_append_u8(&value, 0);
    assert_int_equal(decode_configure(CONFIGURE_PARAMETERS, buf_bytes(&value)), SEALMQ_E_PARSE);
    const struct genesis_parameters bad[] = {
        {DIFFICULTY_MAX + 1, 1000}, {0, 0}, {0, ANCHOR_INTERVAL_MAX_MS + 1}};
    for (size_t i = 0; i < 3; i++) {
        buf_reset(&value);
        genesis_parameters_encode(&bad[i], &value);
        assert_int_equal(decode_configure(CONFIGURE_PARAMETERS, buf_bytes(&value)), SEALMQ_E_LIMIT);
    }

    buf_reset(&value);
    genesis_admins_encode(&network.genesis, &value);
    assert_int_equal(decode_configure(CONFIGURE_ADMINS, buf_bytes(&value)), 0);
    value.p[0] = 4; /* more than there are */
    assert_int_equal(decode_configure(CONFIGURE_ADMINS, buf_bytes(&value)), SEALMQ_E_PARSE);
    value.p[0] = 0;
    assert_int_equal(decode_configure(CONFIGURE_ADMINS, buf_bytes(&value)), SEALMQ_E_PARSE);
    value.p[0] = 1;
    memcpy(value.p + 3, "other", 5); /* no admin's id */
    assert_int_equal(decode_configure(CONFIGURE_ADMINS, buf_bytes(&value)), SEALMQ_E_PARSE);
    memcpy(value.p + 3, "admin/z", 7); /* not in order */
    assert_int_equal(decode_configure(CONFIGURE_ADMINS, buf_bytes(&value)), SEALMQ_E_PARSE);
    memcpy(value.p + 3, "admin/a", 7);
    memcpy(value.p + 10, network.admins[1].public_key.b, PUBLIC_KEY_SIZE); /* one key twice */
    assert_int_equal(decode_configure(CONFIGURE_ADMINS, buf_bytes(&value)), SEALMQ_E_EXISTS);
    buf_close(&value);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_joiner_says_is_read_again),
        cmocka_unit_test(what_a_joiner_says_cannot_be_changed),
        cmocka_unit_test(a_joiner_has_three_keys_and_an_address),
        cmocka_unit_test(a_rotation_is_sent_by_its_member_or_by_admins),
        cmocka_unit_test(configurations_are_whole_and_within_limits),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
