#include "unit/ledger/network.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ledger/merkle.h"

#include <stdlib.h>

static struct network network;
static struct batch batch;
static struct buf wire; /* a block of the batch */

static int setup(void **state)
{
    (void)state;
    network_make(&network, 4, 2);
    struct chain *chain = network_chain(&network);
    add_interval(&batch, &network, 1, 1, 3);
    add_revoke(&batch, &network, 2, GATEWAY);
    add_interval(&batch, &network, 2, 4, 4);
    make_block(chain, &batch, &wire);
    chain_free(chain);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    buf_close(&wire);
    batch_close(&batch);
    return 0;
}

/* Decodes a copy that ends where its memory ends, so that reading on is seen. */
static int decode(struct bytes b)
{
    uint8_t *copy = malloc(b.n == 0 ? 1 : b.n);
    assert_non_null(copy);
    if (b.n != 0)
        memcpy(copy, b.p, b.n);
    struct block block;
    int error = block_decode(bytes_of(copy, b.n), &block);
    free(copy);
    return error;
}

static void a_block_holds_its_requests_in_order(void **state)
{
    (void)state;
    struct block block;
    assert_int_equal(block_decode(buf_bytes(&wire), &block), 0);
    assert_int_equal(block.request_count, 3);
    assert_int_equal(block.header.requests, 3);
    struct bytes list = block.requests;
    struct bytes request;
    for (size_t i = 0; i < 3; i++) {
        assert_true(block_requests_next(&list, &request));
        assert_true(bytes_equal(request, buf_bytes(&batch.wires[i])));
    }
    assert_false(block_requests_next(&list, &request));
    struct hash hash;
    hash_sha256(block.header_wire, &hash);
    assert_true(hash_equal(&hash, &block.hash));
}

static void the_requests_root_is_over_the_request_hashes(void **state)
{
    (void)state;
    struct block block;
    assert_int_equal(block_decode(buf_bytes(&wire), &block), 0);
    struct hash hashes[3], root;
    for (size_t i = 0; i < 3; i++) {
        struct request request;
        assert_int_equal(request_decode(buf_bytes(&batch.wires[i]), &request), 0);
        hashes[i] = request.hash;
    }
    merkle_root(hashes, 3, &root);
    assert_true(hash_equal(&root, &block.header.requests_root));
    struct merkle_path path;
    merkle_prove(hashes, 3, 1, &path);
    assert_int_equal(merkle_verify(&hashes[1], 1, 3, &path, &block.header.requests_root), 0);
}

static void an_input_that_ends_early_is_refused(void **state)
{
    (void)state;
    for (size_t n = 0; n < wire.n; n++)
        assert_int_not_equal(decode(bytes_of(wire.p, n)), 0);
    struct buf longer = {0};
    buf_append_bytes(&longer, buf_bytes(&wire));
    buf_append_u8(&longer, 0);
    assert_int_equal(decode(buf_bytes(&longer)), SEALMQ_E_PARSE);
    buf_close(&longer);
}

/* The header commits to each request's head and signatures, and those to what travels beside; what
 * lies beside is left to request_decode. */
static void every_byte_counts(void **state)
{
    (void)state;
    struct block block;
    assert_int_equal(block_decode(buf_bytes(&wire), &block), 0);
    struct hash hash = block.hash;
    for (size_t at = 0; at < wire.n; at++) {
        wire.p[at] ^= 1;
        if (block_decode(buf_bytes(&wire), &block) == 0 && hash_equal(&block.hash, &hash)) {
            bool all_fine = true;
            struct bytes list = block.requests;
            struct bytes one;
            while (block_requests_next(&list, &one)) {
                struct request request;
                all_fine = all_fine && request_decode(one, &request) == 0;
            }
            assert_false(all_fine);
        }
        wire.p[at] ^= 1;
    }
}

static void header_and_body_must_agree(void **state)
{
    (void)state;
    struct block block;
    assert_int_equal(block_decode(buf_bytes(&wire), &block), 0);
    size_t count_at = 2 + block.header_wire.n + 3;
    assert_int_equal(wire.p[count_at], 3);
    wire.p[count_at] = 2;
    assert_int_equal(decode(buf_bytes(&wire)), SEALMQ_E_COUNT);
    wire.p[count_at] = 3;
    size_t root_at = 2 + 2 + 1 + strlen("plant") + 8 + HASH_SIZE;
    wire.p[root_at] ^= 1;
    assert_int_equal(decode(buf_bytes(&wire)), SEALMQ_E_HASH);
    wire.p[root_at] ^= 1;
    assert_int_equal(decode(buf_bytes(&wire)), 0);
}

static void a_block_is_bounded(void **state)
{
    (void)state;
    struct block block;
    assert_int_equal(block_decode(buf_bytes(&wire), &block), 0);
    static struct bytes many[BLOCK_REQUESTS_MAX + 1];
    struct bytes one = buf_bytes(&batch.wires[2]);
    for (size_t i = 0; i <= BLOCK_REQUESTS_MAX; i++)
        many[i] = one;
    struct buf out = {0};
    struct block_header header = block.header;
    assert_int_equal(block_encode(&header, many, BLOCK_REQUESTS_MAX, &out), 0);
    assert_int_equal(header.requests, BLOCK_REQUESTS_MAX);
    assert_int_equal(decode(buf_bytes(&out)), 0);
    size_t n = out.n;
    assert_int_equal(block_encode(&header, many, BLOCK_REQUESTS_MAX + 1, &out), SEALMQ_E_LIMIT);
    assert_int_equal(out.n, n);
    buf_close(&out);

    /* Three of nearly 4 MiB are more than a block takes; they are framed well enough. */
    struct buf large = {0};
    buf_append_bytes(&large, one);
    memset(buf_extend(&large, REQUEST_BYTES_MAX - one.n), 0, REQUEST_BYTES_MAX - one.n);
    struct bytes larger[3] = {buf_bytes(&large), buf_bytes(&large), buf_bytes(&large)};
    assert_int_equal(block_encode(&header, larger, 1, &out), 0);
    assert_int_equal(decode(buf_bytes(&out)), 0);
    assert_int_equal(block_encode(&header, larger, 2, &out), SEALMQ_E_LIMIT);
    buf_append_u8(&large, 0);
    larger[0] = buf_bytes(&large);
    assert_int_equal(block_encode(&header, larger, 1, &out), SEALMQ_E_LIMIT);
    buf_close(&large);
    buf_close(&out);
}

static void what_would_not_decode_is_not_encoded(void **state)
{
    (void)state;
    struct block_header header = {.network = "plant", .height = 1, .proposer = "nobody"};
    struct buf out = {0};
    assert_int_equal(block_encode(&header, NULL, 0, &out), SEALMQ_E_PARSE);
    assert_int_equal(out.n, 0);
    memcpy(header.proposer, "broker/000", sizeof("broker/000"));
    struct bytes rubbish = BYTES_LIT("rubbish");
    assert_int_equal(block_encode(&header, &rubbish, 1, &out), SEALMQ_E_SHORT);
    assert_int_equal(out.n, 0);
    buf_close(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_holds_its_requests_in_order),
        cmocka_unit_test(the_requests_root_is_over_the_request_hashes),
        cmocka_unit_test(an_input_that_ends_early_is_refused),
        cmocka_unit_test(every_byte_counts),
        cmocka_unit_test(header_and_body_must_agree),
        cmocka_unit_test(a_block_is_bounded),
        cmocka_unit_test(what_would_not_decode_is_not_encoded),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
