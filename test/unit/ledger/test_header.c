#include "ledger/block.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

static struct block_header example(void)
{
    struct block_header h = {.network = "plant",
                             .height = 7,
                             .time_us = 1,
                             .view = 3,
                             .proposer = "broker/a",
                             .requests = 2,
                             .difficulty = 4,
                             .nonce = 99};
    for (uint8_t i = 0; i < HASH_SIZE; i++) {
        h.parent.b[i] = i;
        h.requests_root.b[i] = (uint8_t)(i + 1);
        h.log_root.b[i] = (uint8_t)(i + 2);
        h.state_root.b[i] = (uint8_t)(i + 3);
        h.validators.b[i] = (uint8_t)(i + 4);
        h.next_validators.b[i] = (uint8_t)(i + 5);
    }
    return h;
}

static int decode_changed(struct block_header header)
{
    struct buf wire = {0};
    header_encode(&header, &wire);
    struct block_header out;
    int error = header_decode(buf_bytes(&wire), &out);
    buf_close(&wire);
    return error;
}

static void a_header_is_read_as_it_was_written(void **state)
{
    (void)state;
    struct block_header h = example(), back;
    struct buf wire = {0}, again = {0};
    header_encode(&h, &wire);
    assert_int_equal(wire.n, 2 + 6 + 8 + 6 * 32 + 8 + 8 + 9 + 4 + 1 + 8);
    assert_int_equal(header_decode(buf_bytes(&wire), &back), 0);
    header_encode(&back, &again);
    assert_true(bytes_equal(buf_bytes(&wire), buf_bytes(&again)));
    assert_string_equal(back.network, "plant");
    assert_string_equal(back.proposer, "broker/a");
    assert_int_equal(back.height, 7);
    assert_int_equal(back.nonce, 99);
    assert_true(hash_equal(&back.next_validators, &h.next_validators));
    buf_close(&wire);
    buf_close(&again);
}

static void a_cut_or_longer_header_is_refused(void **state)
{
    (void)state;
    struct block_header h = example(), out;
    struct buf wire = {0};
    header_encode(&h, &wire);
    for (size_t n = 0; n < wire.n; n++)
        assert_int_not_equal(header_decode(bytes_of(wire.p, n), &out), 0);
    buf_append_u8(&wire, 0);
    assert_int_equal(header_decode(buf_bytes(&wire), &out), SEALMQ_E_PARSE);
    while (wire.n <= HEADER_MAX)
        buf_append_u8(&wire, 0);
    assert_int_equal(header_decode(buf_bytes(&wire), &out), SEALMQ_E_LIMIT);
    buf_close(&wire);
}

static void every_flipped_bit_makes_another_header_or_none(void **state)
{
    (void)state;
    struct block_header h = example(), out;
    struct buf wire = {0};
    header_encode(&h, &wire);
    for (size_t at = 0; at < wire.n; at++)
        for (unsigned bit = 0; bit < 8; bit++) {
            wire.p[at] ^= (uint8_t)(1u << bit);
            if (header_decode(buf_bytes(&wire), &out) == 0) {
                struct buf again = {0};
                header_encode(&out, &again);
                assert_true(bytes_equal(buf_bytes(&wire), buf_bytes(&again)));
                buf_close(&again);
            }
            wire.p[at] ^= (uint8_t)(1u << bit);
        }
    buf_close(&wire);
}

static void fields_out_of_range_are_refused(void **state)
{
    (void)state;
    struct block_header h = example();
    assert_int_equal(decode_changed(h), 0);
    memcpy(h.network, "Plant", 6);
    assert_int_equal(decode_changed(h), SEALMQ_E_PARSE);
    h = example();
    h.network[0] = '\0';
    assert_int_equal(decode_changed(h), SEALMQ_E_PARSE);
    h = example();
    h.proposer[0] = '\0';
    assert_int_equal(decode_changed(h), SEALMQ_E_PARSE);
    h.height = 0;
    assert_int_equal(decode_changed(h), 0);
    h = example();
    h.height = 0;
    assert_int_equal(decode_changed(h), SEALMQ_E_PARSE);
    h = example();
    h.time_us = -1;
    assert_int_equal(decode_changed(h), SEALMQ_E_PARSE);
    h = example();
    h.requests = BLOCK_REQUESTS_MAX + 1;
    assert_int_equal(decode_changed(h), SEALMQ_E_LIMIT);
    h = example();
    h.height = UINT64_MAX;
    assert_int_equal(decode_changed(h), SEALMQ_E_LIMIT);

    struct buf wire = {0};
    struct block_header out;
    h = example();
    header_encode(&h, &wire);
    wire.p[1] = 2;
    assert_int_equal(header_decode(buf_bytes(&wire), &out), SEALMQ_E_VERSION);
    buf_close(&wire);
}

static void difficulty_counts_leading_zero_bits(void **state)
{
    (void)state;
    struct hash hash = {{0}};
    assert_true(header_meets_difficulty(&hash, 255));
    hash.b[2] = 0x10; /* 19 zero bits */
    for (unsigned bits = 0; bits < 256; bits++)
        assert_int_equal(header_meets_difficulty(&hash, (uint8_t)bits), bits <= 19);
    hash.b[0] = 0x80;
    assert_true(header_meets_difficulty(&hash, 0));
    assert_false(header_meets_difficulty(&hash, 1));
}

static void the_nonce_that_is_found_meets_the_difficulty(void **state)
{
    (void)state;
    struct block_header h = example(), out;
    struct buf wire = {0};
    struct hash hash;
    h.difficulty = 11;
    header_encode(&h, &wire);
    uint64_t nonce = 5, tries = 0;
    while (!header_find_nonce(wire.p, wire.n, 11, &nonce, 100)) {
        tries += 100;
        assert_int_equal(nonce, 5 + tries);
        assert_in_range(tries, 0, 100000);
    }
    header_hash(buf_bytes(&wire), &hash);
    assert_true(header_meets_difficulty(&hash, 11));
    assert_int_equal(header_decode(buf_bytes(&wire), &out), 0);
    assert_int_equal(out.nonce, nonce - 1); /* nothing but the nonce has changed */
    out.nonce = h.nonce;
    assert_memory_equal(&out, &h, sizeof(h));

    nonce = UINT64_MAX; /* and on from 0 */
    assert_false(header_find_nonce(wire.p, wire.n, 255, &nonce, 2));
    assert_int_equal(nonce, 1);
    assert_int_equal(header_decode(buf_bytes(&wire), &out), 0);
    assert_int_equal(out.nonce, 0);
    assert_true(header_find_nonce(wire.p, wire.n, 0, &nonce, 1));
    assert_int_equal(nonce, 2);
    assert_false(header_find_nonce(wire.p, wire.n, 0, &nonce, 0));
    buf_close(&wire);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_header_is_read_as_it_was_written),
        cmocka_unit_test(a_cut_or_longer_header_is_refused),
        cmocka_unit_test(every_flipped_bit_makes_another_header_or_none),
        cmocka_unit_test(fields_out_of_range_are_refused),
        cmocka_unit_test(difficulty_counts_leading_zero_bits),
        cmocka_unit_test(the_nonce_that_is_found_meets_the_difficulty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
