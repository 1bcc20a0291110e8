#include "unit/ledger/network.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct network network;

static int setup(void **state)
{
    (void)state;
    network_make(&network, 7, 1); /* f = 2, quorum 5 */
    return 0;
}

/* Signed by the first `n` validators. */
static struct certificate make(size_t n, const char *label)
{
    struct certificate c = {.view = 3, .height = 9, .n = n};
    memset(c.header.b, 0x5a, HASH_SIZE);
    struct vote vote = {.view = c.view, .height = c.height, .header = c.header};
    validator_set_hash(&network.genesis.validators, &vote.validators);
    for (size_t i = 0; i < n; i++) {
        c.votes[i].validator = (uint8_t)i;
        vote_sign(&network.validators[i], label, &network.genesis.hash, &vote,
                  &c.votes[i].signature);
    }
    return c;
}

static int verify(const struct certificate *c)
{
    return certificate_verify(c, COMMIT_LABEL, &network.genesis.validators, &network.genesis.hash);
}

static void a_quorum_of_votes_is_a_certificate(void **state)
{
    (void)state;
    for (size_t n = 0; n <= 7; n++) {
        struct certificate c = make(n, COMMIT_LABEL);
        assert_int_equal(verify(&c), n >= 5 ? 0 : SEALMQ_E_COUNT);
    }
}

static void quorums_are_pbfts(void **state)
{
    (void)state;
    static const size_t quorums[] = {0, 1, 2, 2, 3, 4, 4, 5, 6, 6, 7};
    for (size_t n = 1; n <= 10; n++)
        assert_int_equal(validators_quorum(n), quorums[n]);
    /* Any two quorums share one that is honest, and the honest alone make one. */
    for (size_t n = 1; n <= VALIDATORS_MAX; n++) {
        assert_true(2 * validators_quorum(n) >= n + validators_f(n) + 1);
        assert_true(validators_quorum(n) <= n - validators_f(n));
    }
}

static void one_invalid_vote_spoils_it(void **state)
{
    (void)state;
    struct certificate c = make(6, COMMIT_LABEL);
    c.votes[5].signature.b[3] ^= 1;
    assert_int_equal(verify(&c), SEALMQ_E_SIGNATURE);
    c = make(6, COMMIT_LABEL);
    c.votes[5].signature = c.votes[4].signature;
    assert_int_equal(verify(&c), SEALMQ_E_SIGNATURE);
}

static void nobody_counts_twice(void **state)
{
    (void)state;
    struct certificate c = make(5, COMMIT_LABEL);
    c.votes[4] = c.votes[3];
    assert_int_equal(verify(&c), SEALMQ_E_COUNT);
    c = make(5, COMMIT_LABEL);
    struct certificate swapped = c;
    swapped.votes[0] = c.votes[1];
    swapped.votes[1] = c.votes[0];
    assert_int_equal(verify(&swapped), SEALMQ_E_COUNT);
}

static void strangers_have_no_vote(void **state)
{
    (void)state;
    struct certificate c = make(5, COMMIT_LABEL);
    c.votes[4].validator = 7;
    assert_int_equal(verify(&c), SEALMQ_E_UNKNOWN);
    c.n = VALIDATORS_MAX;
    assert_int_equal(verify(&c), SEALMQ_E_COUNT);
}

static void votes_hold_for_what_they_name_only(void **state)
{
    (void)state;
    struct certificate c = make(5, PREPARE_LABEL);
    assert_int_equal(verify(&c), SEALMQ_E_SIGNATURE);
    c = make(5, COMMIT_LABEL);
    c.view++;
    assert_int_equal(verify(&c), SEALMQ_E_SIGNATURE);
    c = make(5, COMMIT_LABEL);
    c.height++;
    assert_int_equal(verify(&c), SEALMQ_E_SIGNATURE);
    c = make(5, COMMIT_LABEL);
    c.header.b[0] ^= 1;
    assert_int_equal(verify(&c), SEALMQ_E_SIGNATURE);
    c = make(5, COMMIT_LABEL);
    struct validator_set other = network.genesis.validators;
    other.v[6].url[0] = 'M';
    assert_int_equal(certificate_verify(&c, COMMIT_LABEL, &other, &network.genesis.hash),
                     SEALMQ_E_SIGNATURE);
    struct hash genesis = {{1}};
    assert_int_equal(certificate_verify(&c, COMMIT_LABEL, &network.genesis.validators, &genesis),
                     SEALMQ_E_SIGNATURE);
}

static void certificates_are_read_as_they_were_written(void **state)
{
    (void)state;
    struct certificate c = make(6, COMMIT_LABEL);
    struct buf wire = {0}, again = {0};
    certificate_encode(&c, &wire);
    assert_int_equal(wire.n, 8 + 8 + 32 + 1 + 6 * 65);
    static struct certificate back;
    assert_int_equal(certificate_decode(buf_bytes(&wire), &back), 0);
    assert_int_equal(verify(&back), 0);
    certificate_encode(&back, &again);
    assert_true(bytes_equal(buf_bytes(&wire), buf_bytes(&again)));

    for (size_t n = 0; n < wire.n; n++) {
        assert_int_not_equal(certificate_decode(bytes_of(wire.p, n), &back), 0);
        assert_int_equal(back.n, 0);
    }
    wire.p[48 + 1 + 65] = 0; /* the second vote's index */
    assert_int_equal(certificate_decode(buf_bytes(&wire), &back), SEALMQ_E_PARSE);
    wire.p[48] = VALIDATORS_MAX + 1;
    assert_int_equal(certificate_decode(buf_bytes(&wire), &back), SEALMQ_E_LIMIT);
    buf_close(&wire);
    buf_close(&again);
}

static void empty_certificates_are_read_but_never_hold(void **state)
{
    (void)state;
    struct certificate c = make(0, COMMIT_LABEL);
    struct buf wire = {0};
    certificate_encode(&c, &wire);
    assert_int_equal(certificate_decode(buf_bytes(&wire), &c), 0);
    assert_int_equal(verify(&c), SEALMQ_E_COUNT);
    struct validator_set nobody = {.n = 0};
    assert_int_equal(certificate_verify(&c, COMMIT_LABEL, &nobody, &network.genesis.hash),
                     SEALMQ_E_COUNT);
    buf_close(&wire);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_quorum_of_votes_is_a_certificate),
        cmocka_unit_test(quorums_are_pbfts),
        cmocka_unit_test(one_invalid_vote_spoils_it),
        cmocka_unit_test(nobody_counts_twice),
        cmocka_unit_test(strangers_have_no_vote),
        cmocka_unit_test(votes_hold_for_what_they_name_only),
        cmocka_unit_test(certificates_are_read_as_they_were_written),
        cmocka_unit_test(empty_certificates_are_read_but_never_hold),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
