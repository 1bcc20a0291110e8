/* Consistency proofs: files, and what they show. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "lib/vectors.h"
#include "verify/consistency.h"

#define LOG_SIZE 7

static cJSON *vectors;
static struct policy *policy;
static struct bytes since[LOG_SIZE + 1], file[LOG_SIZE + 1]; /* by the size that was seen */

static int setup(void **state)
{
    (void)state;
    unsigned line;
    char why[128];
    if (crypto_init() != 0)
        return -1;
    vectors = vectors_load("consistency.json");
    const cJSON *proof;
    size_t size = 0;
    cJSON_ArrayForEach(proof, vector_array(vectors, "proofs"))
    {
        size++;
        since[size] = vector_text(proof, "since");
        file[size] = vector_text(proof, "file");
    }
    assert_int_equal(size, LOG_SIZE);
    return policy_parse(vector_text(vectors, "policy"), &policy, &line, why, sizeof(why));
}

static int teardown(void **state)
{
    (void)state;
    policy_free(policy);
    cJSON_Delete(vectors);
    return 0;
}

static int verify(struct bytes seen, struct bytes proof)
{
    struct consistency_result result;
    int error = verify_consistency(seen, proof, policy, &result);
    assert_int_equal(error == 0, result.why[0] == '\0');
    assert_int_equal(result.now.size, error == 0 ? LOG_SIZE : 0);
    return error;
}

static void the_frozen_files_are_read_and_written_the_same(void **state)
{
    (void)state;
    for (size_t size = 1; size <= LOG_SIZE; size++) {
        struct consistency proof;
        struct buf again = {0};
        assert_true(consistency_is_file(file[size]));
        assert_int_equal(consistency_parse(file[size], &proof), 0);
        assert_int_equal(proof.old_size, size);
        assert_int_equal(proof.checkpoint.size, LOG_SIZE);
        assert_int_equal(consistency_format(&proof, &again), 0);
        assert_true(bytes_equal(buf_bytes(&again), file[size]));
        buf_close(&again);
    }
}

static void each_shows_that_the_log_has_only_grown(void **state)
{
    (void)state;
    for (size_t size = 1; size <= LOG_SIZE; size++) {
        struct consistency_result result;
        assert_int_equal(verify_consistency(since[size], file[size], policy, &result), 0);
        assert_int_equal(result.old.size, size);
        assert_int_equal(result.now.size, LOG_SIZE);
        assert_int_equal(result.attested.cosigner_count, 3);
        for (size_t other = 1; other <= LOG_SIZE; other++)
            assert_int_equal(verify(since[other], file[size]),
                             other == size ? 0 : SEALMQ_E_CONFLICT);
    }
}

static void what_was_seen_may_be_in_a_proof(void **state)
{
    (void)state;
    assert_int_equal(verify(file[3], file[LOG_SIZE]), 0); /* of the later checkpoint in it */
    assert_int_equal(verify(file[3], file[4]), SEALMQ_E_CONFLICT);
    cJSON *proofs = vectors_load("proof.json");
    struct bytes row = vector_text(cJSON_GetObjectItemCaseSensitive(proofs, "proofs"), "row");
    assert_int_equal(verify(row, file[6]), SEALMQ_E_HASH); /* size 6 of another log */
    assert_int_equal(verify(row, file[5]), SEALMQ_E_CONFLICT);
    cJSON_Delete(proofs);
}

static void a_log_with_another_past_is_noticed(void **state)
{
    (void)state;
    for (size_t size = 1; size <= LOG_SIZE; size++) {
        struct checkpoint seen;
        struct bytes text, lines;
        struct buf other = {0};
        assert_int_equal(checkpoint_parse(since[size], &seen, &text, &lines), 0);
        seen.root.b[31] ^= 1;
        checkpoint_format(&seen, &other);
        assert_int_equal(verify(buf_bytes(&other), file[size]), SEALMQ_E_HASH);
        buf_reset(&other);
        seen.root.b[31] ^= 1;
        seen.origin[0] = 'S';
        checkpoint_format(&seen, &other);
        assert_int_equal(verify(buf_bytes(&other), file[size]), SEALMQ_E_NETWORK);
        buf_close(&other);
    }
}

static void a_cut_file_is_refused_or_lacks_cosigners(void **state)
{
    (void)state;
    struct bytes whole = file[5];
    for (size_t n = 0; n < whole.n; n++) {
        int error = verify(since[5], bytes_of(whole.p, n));
        assert_int_not_equal(error, 0);
        assert_int_not_equal(error, SEALMQ_E_NOMEM);
    }
}

static void every_changed_bit_is_noticed(void **state)
{
    (void)state;
    struct buf changed = {0};
    buf_append_bytes(&changed, file[5]);
    for (size_t i = 0; i < 8 * changed.n; i++) {
        changed.p[i / 8] ^= (uint8_t)(1u << i % 8);
        assert_int_not_equal(verify(since[5], buf_bytes(&changed)), 0);
        changed.p[i / 8] ^= (uint8_t)(1u << i % 8);
    }
    buf_close(&changed);
}

static void malformed_files_are_refused(void **state)
{
    (void)state;
    static const char *const starts[] = {"old 0\n\n",
                                         "old 8\n\n",
                                         "old 05\n\n",
                                         "old -1\n\n",
                                         "old 5\n",
                                         "old  5\n\n",
                                         "old 5 \n\n",
                                         "Old 5\n\n",
                                         "old 5\nAA==\n\n",
                                         "old\n\n",
                                         "old 18446744073709551616\n\n"};
    struct consistency proof;
    struct bytes note = file[LOG_SIZE];
    assert_int_equal(consistency_parse(note, &proof), 0);
    note = proof.note;
    for (size_t i = 0; i < sizeof(starts) / sizeof(starts[0]); i++) {
        struct buf text = {0};
        buf_append_cstr(&text, starts[i]);
        buf_append_bytes(&text, note);
        assert_int_not_equal(consistency_parse(buf_bytes(&text), &proof), 0);
        buf_close(&text);
    }
}

static void a_path_of_more_than_64_hashes_and_a_long_file_are_refused(void **state)
{
    (void)state;
    struct consistency proof;
    struct buf text = {0};
    buf_append_cstr(&text, "old 5\n");
    for (size_t i = 0; i <= MERKLE_PATH_MAX; i++) {
        base64_append(&text, bytes_of("0123456789abcdef0123456789abcdef", HASH_SIZE));
        buf_append_u8(&text, '\n');
    }
    buf_append_cstr(&text, "\n");
    assert_int_equal(consistency_parse(buf_bytes(&text), &proof), SEALMQ_E_LIMIT);
    assert_non_null(buf_extend(&text, CONSISTENCY_BYTES_MAX));
    assert_int_equal(consistency_parse(buf_bytes(&text), &proof), SEALMQ_E_LIMIT);
    buf_close(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_frozen_files_are_read_and_written_the_same),
        cmocka_unit_test(each_shows_that_the_log_has_only_grown),
        cmocka_unit_test(what_was_seen_may_be_in_a_proof),
        cmocka_unit_test(a_log_with_another_past_is_noticed),
        cmocka_unit_test(a_cut_file_is_refused_or_lacks_cosigners),
        cmocka_unit_test(every_changed_bit_is_noticed),
        cmocka_unit_test(malformed_files_are_refused),
        cmocka_unit_test(a_path_of_more_than_64_hashes_and_a_long_file_are_refused),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
