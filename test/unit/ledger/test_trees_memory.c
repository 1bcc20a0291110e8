/* Trees and signatures when memory runs out at any one place: what fails has changed nothing, and
 * what was there can be had back. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ledger/merkle.h"
#include "ledger/note.h"
#include "ledger/statetree.h"
#include "lib/failing_memory.h"

#include <stdio.h>

static struct bytes key_of(size_t i, char out[16])
{
    (void)snprintf(out, 16, "key %zu", i);
    return bytes_str(out);
}

static void a_state_tree_without_memory_stays_as_it_was(void **state)
{
    (void)state;
    for (size_t n = 1; n <= 3; n++) {
        struct statetree *tree = NULL;
        memory_fail_at(n);
        if (statetree_new(&tree) != 0) {
            assert_true(memory_has_failed());
            assert_null(tree);
            continue;
        }
        for (size_t i = 0; i < 200; i++) {
            char key[16];
            struct hash before, after;
            statetree_root(tree, &before);
            if (statetree_set(tree, key_of(i, key), BYTES_LIT("v")) == 0)
                continue;
            statetree_root(tree, &after);
            assert_memory_equal(&before, &after, sizeof(before));
            assert_int_equal(statetree_set(tree, bytes_str(key), BYTES_LIT("v")), 0);
        }
        assert_true(memory_has_failed() || n == 3);
        statetree_free(tree);
    }
}

static void changes_of_a_state_tree_can_be_undone_without_memory(void **state)
{
    (void)state;
    struct statetree *tree = NULL;
    char key[16];
    struct hash before, after;
    assert_int_equal(statetree_new(&tree), 0);
    for (size_t i = 0; i < 128; i++) /* as many as the arrays hold: the next one needs memory */
        assert_int_equal(statetree_set(tree, key_of(i, key), BYTES_LIT("v")), 0);
    statetree_root(tree, &before);
    for (size_t i = 0; i < 128; i += 3)
        statetree_remove(tree, key_of(i, key));
    for (size_t i = 0; i < 128; i += 3) {
        memory_fail_at(1);
        assert_int_equal(statetree_set(tree, key_of(i, key), BYTES_LIT("v")), 0);
        assert_false(memory_has_failed());
    }
    statetree_root(tree, &after);
    assert_memory_equal(&before, &after, sizeof(before));
    memory_fail_at(1);
    assert_int_equal(statetree_set(tree, key_of(128, key), BYTES_LIT("v")), SEALMQ_E_NOMEM);
    assert_true(memory_has_failed());
    statetree_free(tree);
}

static void a_log_without_memory_stays_as_it_was(void **state)
{
    (void)state;
    for (size_t n = 1; n < 40; n++) {
        struct merkle_log log = {0};
        struct merkle_edge edge = {0};
        memory_fail_at(n);
        for (size_t i = 0; i < 300; i++) {
            struct hash leaf, want, root;
            hash_leaf(bytes_of(&i, sizeof(i)), &leaf);
            merkle_edge_append(&edge, &leaf);
            int error = merkle_log_append(&log, &leaf);
            if (error != 0) {
                assert_int_equal(error, SEALMQ_E_NOMEM);
                assert_int_equal(log.size, i);
                assert_int_equal(merkle_log_append(&log, &leaf), 0);
            }
            merkle_edge_root(&edge, &want);
            merkle_log_root(&log, i + 1, &root);
            assert_memory_equal(&root, &want, sizeof(root));
        }
        (void)memory_has_failed();
        merkle_log_close(&log);
    }
}

static void a_checkpoint_without_memory_is_not_signed(void **state)
{
    (void)state;
    struct validator who = {.id = "broker/a"};
    struct sign_key log_key, cosigner_key;
    uint8_t seed[SEED_SIZE] = {1};
    sign_key_from_seed(seed, &log_key);
    seed[0] = 2;
    sign_key_from_seed(seed, &cosigner_key);
    who.log_key = log_key.public_key;
    who.cosigner_key = cosigner_key.public_key;
    struct checkpoint checkpoint = {.origin = "sealmq/plant", .size = 1};
    for (size_t n = 1;; n++) {
        struct buf lines = {0};
        memory_fail_at(n);
        checkpoint_sign(&checkpoint, &who, &log_key, &cosigner_key, 5, &lines);
        bool failed = memory_has_failed();
        assert_int_equal(buf_status(&lines), failed ? SEALMQ_E_NOMEM : 0);
        if (!failed) {
            for (size_t k = 1;; k++) {
                memory_fail_at(k);
                int error = checkpoint_verify_validator(&checkpoint, buf_bytes(&lines), &who);
                failed = memory_has_failed();
                assert_int_equal(error, failed ? SEALMQ_E_NOMEM : 0);
                if (!failed)
                    break;
            }
            buf_close(&lines);
            return;
        }
        buf_close(&lines);
    }
}

static int setup(void **state)
{
    (void)state;
    return crypto_init();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_state_tree_without_memory_stays_as_it_was),
        cmocka_unit_test(changes_of_a_state_tree_can_be_undone_without_memory),
        cmocka_unit_test(a_log_without_memory_stays_as_it_was),
        cmocka_unit_test(a_checkpoint_without_memory_is_not_signed),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
