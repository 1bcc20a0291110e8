#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/checker.h"

#include <semaphore.h>
#include <stdlib.h>
#include <string.h>

static const struct hash genesis = {.b = "a network"};

/* Requests of one gateway, and a checker that says when something is done. */
struct bench {
    struct checker *checker;
    struct sign_key key, other;
    struct buf wire[64];
    struct request request[64];
    sem_t done;
};

static void on_done(void *context)
{
    struct bench *bench = context;
    sem_post(&bench->done);
}

static int setup(void **state)
{
    struct bench *bench = calloc(1, sizeof *bench);
    assert_non_null(bench);
    assert_int_equal(crypto_init(), 0);
    sem_init(&bench->done, 0, 0);
    sign_key_from_seed((const uint8_t[SEED_SIZE]){1}, &bench->key);
    sign_key_from_seed((const uint8_t[SEED_SIZE]){2}, &bench->other);
    for (uint64_t i = 0; i < 64; i++) {
        const struct request_data data = {
            .sender = BYTES_LIT("plant/gw"), .number = i + 1, .from = 1, .to = 0};
        assert_int_equal(request_make_data(&data, &bench->key, &genesis, &bench->wire[i]), 0);
        assert_int_equal(request_decode(buf_bytes(&bench->wire[i]), &bench->request[i]), 0);
    }
    const struct checker_options options = {
        .threads = 2, .genesis = &genesis, .context = bench, .done = on_done};
    assert_int_equal(checker_new(&options, &bench->checker), 0);
    *state = bench;
    return 0;
}

static int teardown(void **state)
{
    struct bench *bench = *state;
    checker_free(bench->checker);
    for (size_t i = 0; i < 64; i++)
        buf_close(&bench->wire[i]);
    sem_destroy(&bench->done);
    free(bench);
    return 0;
}

static int ask(struct bench *bench, size_t i, const struct sign_key *key)
{
    return checker_ask(bench->checker, &bench->request[i], &key->public_key, i % 2 == 0);
}

static struct check_result next(struct bench *bench)
{
    struct check_result result;
    while (!checker_next(bench->checker, &result))
        sem_wait(&bench->done);
    return result;
}

static void a_good_signature_is_found_good_and_remembered(void **state)
{
    struct bench *bench = *state;
    assert_int_equal(ask(bench, 0, &bench->key), SEALMQ_E_AGAIN);
    assert_int_equal(checker_count(bench->checker), 1);
    struct check_result result = next(bench);
    assert_int_equal(result.error, 0);
    assert_true(hash_equal(&result.subject.request, &bench->request[0].hash));
    assert_int_equal(checker_count(bench->checker), 0);
    assert_int_equal(ask(bench, 0, &bench->key), 0);
    assert_false(checker_next(bench->checker, &result));
}

static void a_signature_of_another_key_is_refused_and_not_remembered(void **state)
{
    struct bench *bench = *state;
    for (int round = 0; round < 2; round++) {
        assert_int_equal(ask(bench, 0, &bench->other), SEALMQ_E_AGAIN);
        assert_int_equal(next(bench).error, SEALMQ_E_SIGNATURE);
    }
}

/* What was good under one key says nothing of another: the sender's key may have been replaced. */
static void what_is_remembered_is_of_that_key_alone(void **state)
{
    struct bench *bench = *state;
    assert_int_equal(ask(bench, 0, &bench->key), SEALMQ_E_AGAIN);
    assert_int_equal(next(bench).error, 0);
    assert_int_equal(ask(bench, 0, &bench->other), SEALMQ_E_AGAIN);
    struct check_result result = next(bench);
    assert_int_equal(result.error, SEALMQ_E_SIGNATURE);
    assert_memory_equal(result.subject.key.b, bench->other.public_key.b, PUBLIC_KEY_SIZE);
}

static void a_changed_head_is_refused(void **state)
{
    struct bench *bench = *state;
    struct request *request = &bench->request[0];
    uint8_t *head = (uint8_t *)(uintptr_t)request->head.p;
    for (size_t i = 0; i < request->head.n; i++) {
        head[i] ^= 1;
        assert_int_equal(ask(bench, 0, &bench->key), SEALMQ_E_AGAIN);
        head[i] ^= 1;
        assert_int_equal(next(bench).error, SEALMQ_E_SIGNATURE);
    }
}

static void each_is_told_once_however_often_it_was_asked_for(void **state)
{
    struct bench *bench = *state;
    bool told[64] = {false};
    for (size_t i = 0; i < 64; i++)
        for (int times = 0; times < 3; times++) {
            /* Told of at once, when it was checked meanwhile, only after checker_next. */
            assert_int_equal(ask(bench, i, &bench->key), SEALMQ_E_AGAIN);
        }
    assert_int_equal(checker_count(bench->checker), 64);
    for (size_t n = 0; n < 64; n++) {
        struct check_result result = next(bench);
        assert_int_equal(result.error, 0);
        for (size_t i = 0; i < 64; i++) {
            if (!hash_equal(&result.subject.request, &bench->request[i].hash))
                continue;
            assert_false(told[i]);
            told[i] = true;
        }
    }
    for (size_t i = 0; i < 64; i++)
        assert_true(told[i]);
    assert_int_equal(checker_count(bench->checker), 0);
}

static void it_ends_with_checks_under_way(void **state)
{
    struct bench *bench = *state;
    for (size_t i = 0; i < 64; i++)
        assert_int_equal(ask(bench, i, &bench->key), SEALMQ_E_AGAIN);
    /* teardown frees it */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_good_signature_is_found_good_and_remembered, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(a_signature_of_another_key_is_refused_and_not_remembered,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(what_is_remembered_is_of_that_key_alone, setup, teardown),
        cmocka_unit_test_setup_teardown(a_changed_head_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(each_is_told_once_however_often_it_was_asked_for, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(it_ends_with_checks_under_way, setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
