/* The state tree against a recomputation from its definition, and its paths against damage. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ledger/statetree.h"
#include "lib/vectors.h"

#define KEYS 200

/* What the tree should hold: for each number, 0 for nothing, or which value. */
static unsigned model[KEYS];

static struct bytes key_of(size_t i, char out[32])
{
    (void)snprintf(out, 32, "member/gateway/%zu", i);
    return bytes_str(out);
}

static struct bytes value_of(unsigned version, char out[32])
{
    (void)snprintf(out, 32, "value %u", version);
    return bytes_str(out);
}

/* xorshift: tests repeat. */
static uint64_t seed = 88172645463325252;
static uint64_t next_random(void)
{
    seed ^= seed << 13;
    seed ^= seed >> 7;
    seed ^= seed << 17;
    return seed;
}

struct entry {
    struct hash key, value;
};

static unsigned bit_of(const struct hash *h, unsigned bit)
{
    return (unsigned)(h->b[bit / 8] >> (7 - bit % 8)) & 1;
}

static void hash_parts(struct buf *parts, struct hash *out)
{
    assert_int_equal(buf_status(parts), 0);
    hash_sha256(buf_bytes(parts), out);
    buf_close(parts);
}

/* The root of sorted entries that agree in all bits before `bit`. */
static void naive_root(const struct entry *entries, size_t n, unsigned bit, struct hash *out)
{
    struct buf parts = {0};
    if (n == 0) {
        *out = (struct hash){{0}};
        return;
    }
    if (n == 1) {
        buf_append_u8(&parts, 0);
        buf_append_bytes(&parts, hash_bytes(&entries[0].key));
        buf_append_bytes(&parts, hash_bytes(&entries[0].value));
        hash_parts(&parts, out);
        return;
    }
    size_t left = 0;
    while (left < n && bit_of(&entries[left].key, bit) == 0)
        left++;
    if (left == 0 || left == n) {
        naive_root(entries, n, bit + 1, out);
        return;
    }
    struct hash l, r;
    naive_root(entries, left, bit + 1, &l);
    naive_root(entries + left, n - left, bit + 1, &r);
    buf_append_u8(&parts, 1);
    buf_append_u8(&parts, (uint8_t)bit);
    buf_append_bytes(&parts, hash_bytes(&l));
    buf_append_bytes(&parts, hash_bytes(&r));
    hash_parts(&parts, out);
}

static int compare_entries(const void *a, const void *b)
{
    return memcmp(((const struct entry *)a)->key.b, ((const struct entry *)b)->key.b, HASH_SIZE);
}

static void model_root(struct hash *out)
{
    struct entry entries[KEYS];
    size_t n = 0;
    for (size_t i = 0; i < KEYS; i++) {
        if (model[i] == 0)
            continue;
        char key[32], value[32];
        hash_sha256(key_of(i, key), &entries[n].key);
        hash_sha256(value_of(model[i], value), &entries[n].value);
        n++;
    }
    qsort(entries, n, sizeof(entries[0]), compare_entries);
    naive_root(entries, n, 0, out);
}

static void assert_root_is_the_models(struct statetree *tree)
{
    struct hash want, got;
    model_root(&want);
    statetree_root(tree, &got);
    assert_memory_equal(&got, &want, sizeof(got));
}

static void assert_proofs_hold(struct statetree *tree)
{
    struct hash root;
    statetree_root(tree, &root);
    for (size_t i = 0; i < KEYS; i++) {
        char key[32], value[32];
        struct statetree_path path;
        int error = statetree_prove(tree, key_of(i, key), &path);
        assert_int_equal(error, model[i] == 0 ? SEALMQ_E_NOTFOUND : 0);
        if (error != 0)
            continue;
        assert_int_equal(statetree_verify(bytes_str(key), value_of(model[i], value), &path, &root),
                         0);
        assert_int_equal(
            statetree_verify(bytes_str(key), value_of(model[i] + 1, value), &path, &root),
            SEALMQ_E_HASH);
    }
}

static void set(struct statetree *tree, size_t i, unsigned version)
{
    char key[32], value[32];
    assert_int_equal(statetree_set(tree, key_of(i, key), value_of(version, value)), 0);
    model[i] = version;
}

static void removed(struct statetree *tree, size_t i)
{
    char key[32];
    statetree_remove(tree, key_of(i, key));
    model[i] = 0;
}

static int clear_model(void **state)
{
    (void)state;
    memset(model, 0, sizeof(model));
    return 0;
}

static struct statetree *new_tree(void)
{
    struct statetree *tree = NULL;
    assert_int_equal(statetree_new(&tree), 0);
    return tree;
}

static void the_empty_map_has_the_zero_root_and_proves_nothing(void **state)
{
    (void)state;
    struct statetree *tree = new_tree();
    struct hash root;
    statetree_root(tree, &root);
    assert_true(hash_is_zero(&root));
    struct statetree_path path;
    assert_int_equal(statetree_prove(tree, BYTES_LIT("admins"), &path), SEALMQ_E_NOTFOUND);
    statetree_remove(tree, BYTES_LIT("admins"));
    set(tree, 3, 1);
    assert_root_is_the_models(tree);
    removed(tree, 3);
    assert_root_is_the_models(tree);
    statetree_free(tree);
    statetree_free(NULL);
}

static void the_root_is_the_defined_one_after_any_order_of_changes(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 20; round++) {
        memset(model, 0, sizeof(model));
        struct statetree *tree = new_tree();
        for (unsigned step = 1; step <= 600; step++) {
            size_t i = (size_t)(next_random() % (round < 5 ? 6 : KEYS));
            if (next_random() % 3 == 0)
                removed(tree, i);
            else
                set(tree, i, step % 7 + 1);
            if (next_random() % 4 == 0)
                assert_root_is_the_models(tree);
        }
        assert_root_is_the_models(tree);
        assert_proofs_hold(tree);
        for (size_t i = 0; i < KEYS; i++)
            removed(tree, i);
        assert_root_is_the_models(tree);
        statetree_free(tree);
    }
}

static void the_root_does_not_tell_the_history(void **state)
{
    (void)state;
    struct statetree *one = new_tree(), *other = new_tree();
    for (size_t i = 0; i < KEYS; i++) {
        set(one, i, 1);
        set(other, KEYS - 1 - i, 2);
    }
    for (size_t i = 0; i < KEYS; i++)
        set(other, i, 1);
    set(other, 17, 5);
    removed(other, 17);
    set(other, 17, 1);
    struct hash a, b;
    statetree_root(one, &a);
    statetree_root(other, &b);
    assert_memory_equal(&a, &b, sizeof(a));
    statetree_free(one);
    statetree_free(other);
}

static void every_flipped_bit_of_a_path_is_noticed(void **state)
{
    (void)state;
    struct statetree *tree = new_tree();
    for (size_t i = 0; i < 50; i++)
        set(tree, i, 1);
    struct hash root;
    statetree_root(tree, &root);
    char key[32];
    struct statetree_path path;
    assert_int_equal(statetree_prove(tree, key_of(11, key), &path), 0);
    assert_true(path.n >= 3);
    struct buf wire = {0};
    statetree_path_encode(&path, &wire);
    assert_int_equal(wire.n, 2 + path.n * 33);
    for (size_t bit = 0; bit < wire.n * 8; bit++) {
        wire.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
        struct reader r = reader_of(buf_bytes(&wire));
        struct statetree_path changed;
        int error = statetree_path_decode(&r, &changed);
        if (error == 0)
            error = reader_end(&r);
        if (error == 0)
            error = statetree_verify(bytes_str(key), BYTES_LIT("value 1"), &changed, &root);
        assert_int_not_equal(error, 0);
        wire.p[bit / 8] ^= (uint8_t)(1 << bit % 8);
    }
    for (size_t n = 0; n < wire.n; n++) {
        struct reader r = reader_of(bytes_of(wire.p, n));
        assert_int_equal(statetree_path_decode(&r, &path), SEALMQ_E_SHORT);
    }
    struct reader r = reader_of(buf_bytes(&wire));
    assert_int_equal(statetree_path_decode(&r, &path), 0);
    assert_int_equal(reader_end(&r), 0);
    assert_int_equal(statetree_verify(bytes_str(key), BYTES_LIT("value 1"), &path, &root), 0);
    buf_close(&wire);
    statetree_free(tree);
}

static void a_path_cannot_be_longer_than_the_hash_has_bits(void **state)
{
    (void)state;
    static uint8_t wire[2 + 257 * 33];
    wire[0] = 1;
    wire[1] = 1;
    struct reader r = reader_of(bytes_of(wire, sizeof(wire)));
    struct statetree_path path;
    assert_int_equal(statetree_path_decode(&r, &path), SEALMQ_E_LIMIT);
    assert_int_equal(path.n, 0);
    struct hash root = {{0}};
    path.n = 257;
    assert_int_equal(statetree_verify(BYTES_LIT("k"), BYTES_LIT("v"), &path, &root),
                     SEALMQ_E_PARSE);
}

static void a_path_whose_bits_do_not_fall_is_malformed(void **state)
{
    (void)state;
    struct statetree_path path = {.n = 2};
    path.steps[0].bit = 4;
    path.steps[1].bit = 4;
    struct hash root = {{0}};
    assert_int_equal(statetree_verify(BYTES_LIT("k"), BYTES_LIT("v"), &path, &root),
                     SEALMQ_E_PARSE);
    struct buf wire = {0};
    statetree_path_encode(&path, &wire);
    struct reader r = reader_of(buf_bytes(&wire));
    assert_int_equal(statetree_path_decode(&r, &path), SEALMQ_E_PARSE);
    buf_close(&wire);
}

static void a_branch_cannot_be_passed_off_as_a_leaf(void **state)
{
    (void)state;
    /* With one entry the root is its leaf: a path of no steps proves exactly that entry. */
    struct statetree *tree = new_tree();
    set(tree, 1, 1);
    struct hash root;
    statetree_root(tree, &root);
    struct statetree_path path = {0};
    char key[32];
    assert_int_equal(statetree_verify(key_of(1, key), BYTES_LIT("value 1"), &path, &root), 0);
    set(tree, 2, 1);
    statetree_root(tree, &root);
    assert_int_equal(statetree_verify(key_of(1, key), BYTES_LIT("value 1"), &path, &root),
                     SEALMQ_E_HASH);
    statetree_free(tree);
}

static void the_frozen_root_comes_out(void **state)
{
    (void)state;
    cJSON *vectors = vectors_load("statetree.json");
    struct statetree *tree = new_tree();
    const cJSON *step;
    size_t steps = 0;
    cJSON_ArrayForEach(step, vector_array(vectors, "steps"))
    {
        struct bytes op = vector_text(step, "op");
        if (bytes_equal(op, BYTES_LIT("set"))) {
            struct buf value = vector_hex(step, "value");
            assert_int_equal(statetree_set(tree, vector_text(step, "key"), buf_bytes(&value)), 0);
            buf_close(&value);
        } else {
            statetree_remove(tree, vector_text(step, "key"));
        }
        struct hash want, got;
        vector_hex_exact(step, "root", want.b, sizeof(want.b));
        statetree_root(tree, &got);
        assert_memory_equal(&got, &want, sizeof(got));
        steps++;
    }
    assert_true(steps >= 6);
    const cJSON *proof;
    cJSON_ArrayForEach(proof, vector_array(vectors, "proofs"))
    {
        struct statetree_path path;
        assert_int_equal(statetree_prove(tree, vector_text(proof, "key"), &path), 0);
        struct buf got = {0}, want = vector_hex(proof, "path");
        statetree_path_encode(&path, &got);
        assert_true(bytes_equal(buf_bytes(&got), buf_bytes(&want)));
        buf_close(&got);
        buf_close(&want);
    }
    statetree_free(tree);
    cJSON_Delete(vectors);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(the_empty_map_has_the_zero_root_and_proves_nothing, clear_model),
        cmocka_unit_test_setup(the_root_is_the_defined_one_after_any_order_of_changes, clear_model),
        cmocka_unit_test_setup(the_root_does_not_tell_the_history, clear_model),
        cmocka_unit_test_setup(every_flipped_bit_of_a_path_is_noticed, clear_model),
        cmocka_unit_test_setup(a_path_cannot_be_longer_than_the_hash_has_bits, clear_model),
        cmocka_unit_test_setup(a_path_whose_bits_do_not_fall_is_malformed, clear_model),
        cmocka_unit_test_setup(a_branch_cannot_be_passed_off_as_a_leaf, clear_model),
        cmocka_unit_test_setup(the_frozen_root_comes_out, clear_model),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
