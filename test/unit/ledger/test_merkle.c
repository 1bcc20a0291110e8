/* Merkle trees against frozen vectors, and every tree of up to 64 leaves against the definition. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ledger/merkle.h"
#include "lib/vectors.h"

#define SIZE_MOST 64

static struct hash leaves[SIZE_MOST];

/* MTH of RFC 6962 section 2.1, word for word. */
static void definition_root(size_t from, size_t to, struct hash *out)
{
    size_t n = to - from;
    if (n == 0) {
        hash_sha256((struct bytes){NULL, 0}, out);
        return;
    }
    if (n == 1) {
        *out = leaves[from];
        return;
    }
    size_t k = 1;
    while (2 * k < n)
        k *= 2;
    struct hash left, right;
    definition_root(from, from + k, &left);
    definition_root(from + k, to, &right);
    hash_node(&left, &right, out);
}

/* PATH of RFC 6962 section 2.1.1. */
static void definition_path(size_t from, size_t to, size_t index, struct merkle_path *out)
{
    if (to - from == 1) {
        out->n = 0;
        return;
    }
    size_t k = 1;
    while (2 * k < to - from)
        k *= 2;
    if (index < k) {
        definition_path(from, from + k, index, out);
        definition_root(from + k, to, &out->hashes[out->n++]);
    } else {
        definition_path(from + k, to, index - k, out);
        definition_root(from, from + k, &out->hashes[out->n++]);
    }
}

/* SUBPROOF of RFC 6962 section 2.1.2. */
static void definition_consistency(size_t from, size_t to, size_t m, bool whole,
                                   struct merkle_path *out)
{
    if (m == to - from) {
        out->n = 0;
        if (!whole)
            definition_root(from, to, &out->hashes[out->n++]);
        return;
    }
    size_t k = 1;
    while (2 * k < to - from)
        k *= 2;
    if (m <= k) {
        definition_consistency(from, from + k, m, whole, out);
        definition_root(from + k, to, &out->hashes[out->n++]);
    } else {
        definition_consistency(from + k, to, m - k, false, out);
        definition_root(from, from + k, &out->hashes[out->n++]);
    }
}

static void assert_path_equal(const struct merkle_path *a, const struct merkle_path *b)
{
    assert_int_equal(a->n, b->n);
    assert_memory_equal(a->hashes, b->hashes, a->n * sizeof(struct hash));
}

static int setup(void **state)
{
    (void)state;
    for (size_t i = 0; i < SIZE_MOST; i++) {
        uint8_t b = (uint8_t)i;
        hash_leaf(bytes_of(&b, 1), &leaves[i]);
    }
    return 0;
}

static void the_frozen_roots_come_out(void **state)
{
    (void)state;
    cJSON *vectors = vectors_load("merkle.json");
    struct hash tree[64];
    size_t n = 0;
    const cJSON *entry;
    cJSON_ArrayForEach(entry, vector_array(vectors, "trees"))
    {
        if (n > 0) {
            struct buf leaf = vector_hex(entry, "leaf");
            hash_leaf(buf_bytes(&leaf), &tree[n - 1]);
            buf_close(&leaf);
        }
        struct hash want, root;
        vector_hex_exact(entry, "root", want.b, sizeof(want.b));
        merkle_root(tree, n, &root);
        assert_memory_equal(&root, &want, sizeof(root));
        n++;
    }
    assert_int_equal(n, 9);
    cJSON_ArrayForEach(entry, vector_array(vectors, "inclusion"))
    {
        struct merkle_path path;
        merkle_prove(tree, (size_t)vector_u64(entry, "size"), (size_t)vector_u64(entry, "index"),
                     &path);
        const cJSON *hashes = vector_array(entry, "path");
        assert_int_equal(cJSON_GetArraySize(hashes), path.n);
        size_t i = 0;
        const cJSON *hash;
        cJSON_ArrayForEach(hash, hashes)
        {
            struct buf want = hex_bytes(bytes_str(hash->valuestring));
            assert_memory_equal(want.p, path.hashes[i++].b, HASH_SIZE);
            buf_close(&want);
        }
    }
    cJSON_ArrayForEach(entry, vector_array(vectors, "consistency"))
    {
        struct merkle_path path;
        merkle_prove_consistency(tree, (size_t)vector_u64(entry, "to"),
                                 (size_t)vector_u64(entry, "from"), &path);
        const cJSON *hashes = vector_array(entry, "path");
        assert_int_equal(cJSON_GetArraySize(hashes), path.n);
        size_t i = 0;
        const cJSON *hash;
        cJSON_ArrayForEach(hash, hashes)
        {
            struct buf want = hex_bytes(bytes_str(hash->valuestring));
            assert_memory_equal(want.p, path.hashes[i++].b, HASH_SIZE);
            buf_close(&want);
        }
    }
    cJSON_Delete(vectors);
}

static void every_small_tree_has_the_defined_root(void **state)
{
    (void)state;
    struct merkle_edge edge = {0};
    struct merkle_log log = {0};
    for (size_t n = 0; n <= SIZE_MOST; n++) {
        struct hash want, root;
        definition_root(0, n, &want);
        merkle_root(leaves, n, &root);
        assert_memory_equal(&root, &want, sizeof(root));
        merkle_edge_root(&edge, &root);
        assert_memory_equal(&root, &want, sizeof(root));
        for (size_t old = 0; old <= n; old++) {
            definition_root(0, old, &want);
            merkle_log_root(&log, old, &root);
            assert_memory_equal(&root, &want, sizeof(root));
        }
        if (n < SIZE_MOST) {
            merkle_edge_append(&edge, &leaves[n]);
            assert_int_equal(merkle_log_append(&log, &leaves[n]), 0);
        }
    }
    merkle_log_close(&log);
    assert_int_equal(log.size, 0);
}

static void every_inclusion_path_is_the_defined_one_and_verifies_only_where_it_belongs(void **state)
{
    (void)state;
    struct merkle_log log = {0};
    for (size_t i = 0; i < SIZE_MOST; i++)
        assert_int_equal(merkle_log_append(&log, &leaves[i]), 0);
    for (size_t n = 1; n <= SIZE_MOST; n++) {
        struct hash root;
        merkle_root(leaves, n, &root);
        for (size_t index = 0; index < n; index++) {
            struct merkle_path want, path;
            definition_path(0, n, index, &want);
            merkle_prove(leaves, n, index, &path);
            assert_path_equal(&path, &want);
            merkle_log_prove(&log, index, n, &path);
            assert_path_equal(&path, &want);
            assert_int_equal(merkle_verify(&leaves[index], index, n, &path, &root), 0);
            for (size_t other = 0; other < n; other++) {
                if (other == index)
                    continue;
                assert_int_not_equal(merkle_verify(&leaves[index], other, n, &path, &root), 0);
                assert_int_equal(merkle_verify(&leaves[other], index, n, &path, &root),
                                 SEALMQ_E_HASH);
            }
        }
    }
    merkle_log_close(&log);
}

static void every_consistency_proof_is_the_defined_one_and_verifies(void **state)
{
    (void)state;
    struct merkle_log log = {0};
    for (size_t i = 0; i < SIZE_MOST; i++)
        assert_int_equal(merkle_log_append(&log, &leaves[i]), 0);
    for (size_t n = 1; n <= SIZE_MOST; n++) {
        struct hash root_n;
        merkle_root(leaves, n, &root_n);
        for (size_t m = 1; m <= n; m++) {
            struct merkle_path want, path;
            struct hash root_m;
            merkle_root(leaves, m, &root_m);
            definition_consistency(0, n, m, true, &want);
            merkle_prove_consistency(leaves, n, m, &path);
            assert_path_equal(&path, &want);
            merkle_log_prove_consistency(&log, m, n, &path);
            assert_path_equal(&path, &want);
            assert_int_equal(merkle_verify_consistency(m, n, &root_m, &root_n, &path), 0);

            struct hash bad = root_m;
            bad.b[31] ^= 1;
            assert_int_equal(merkle_verify_consistency(m, n, &bad, &root_n, &path), SEALMQ_E_HASH);
            bad = root_n;
            bad.b[0] ^= 0x80;
            assert_int_equal(merkle_verify_consistency(m, n, &root_m, &bad, &path), SEALMQ_E_HASH);
            for (size_t i = 0; i < path.n; i++) {
                path.hashes[i].b[7] ^= 4;
                assert_int_equal(merkle_verify_consistency(m, n, &root_m, &root_n, &path),
                                 SEALMQ_E_HASH);
                path.hashes[i].b[7] ^= 4;
            }
        }
    }
    merkle_log_close(&log);
}

static void a_path_of_a_wrong_length_is_malformed(void **state)
{
    (void)state;
    for (size_t n = 1; n <= SIZE_MOST; n += 3) {
        struct hash root;
        merkle_root(leaves, n, &root);
        for (size_t index = 0; index < n; index++) {
            struct merkle_path path;
            merkle_prove(leaves, n, index, &path);
            size_t right = path.n;
            memset(&path.hashes[right], 0, sizeof(struct hash) * (MERKLE_PATH_MAX - right));
            for (size_t wrong = 0; wrong <= MERKLE_PATH_MAX + 1; wrong++) {
                path.n = wrong;
                if (wrong != right)
                    assert_int_equal(merkle_verify(&leaves[index], index, n, &path, &root),
                                     SEALMQ_E_PARSE);
            }
        }
        for (size_t m = 1; m <= n; m++) {
            struct merkle_path path;
            struct hash root_m;
            merkle_root(leaves, m, &root_m);
            merkle_prove_consistency(leaves, n, m, &path);
            size_t right = path.n;
            memset(&path.hashes[right], 0, sizeof(struct hash) * (MERKLE_PATH_MAX - right));
            for (size_t wrong = 0; wrong <= MERKLE_PATH_MAX + 1; wrong++) {
                path.n = wrong;
                if (wrong != right)
                    assert_int_equal(merkle_verify_consistency(m, n, &root_m, &root, &path),
                                     SEALMQ_E_PARSE);
            }
        }
    }
}

static void every_flipped_bit_of_a_path_is_noticed(void **state)
{
    (void)state;
    const size_t n = 37;
    struct hash root;
    merkle_root(leaves, n, &root);
    for (size_t index = 0; index < n; index += 4) {
        struct merkle_path path;
        merkle_prove(leaves, n, index, &path);
        for (size_t bit = 0; bit < path.n * HASH_SIZE * 8; bit++) {
            uint8_t *byte = &path.hashes[bit / 256].b[bit / 8 % HASH_SIZE];
            *byte ^= (uint8_t)(1 << bit % 8);
            assert_int_equal(merkle_verify(&leaves[index], index, n, &path, &root), SEALMQ_E_HASH);
            *byte ^= (uint8_t)(1 << bit % 8);
        }
    }
}

static void positions_outside_of_the_tree_are_refused(void **state)
{
    (void)state;
    struct merkle_path path = {0};
    struct hash root = leaves[0];
    assert_int_equal(merkle_verify(&leaves[0], 0, 1, &path, &root), 0);
    assert_int_equal(merkle_verify(&leaves[0], 0, 0, &path, &root), SEALMQ_E_PARSE);
    assert_int_equal(merkle_verify(&leaves[0], 1, 1, &path, &root), SEALMQ_E_PARSE);
    assert_int_equal(merkle_verify(&leaves[0], UINT64_MAX, UINT64_MAX, &path, &root),
                     SEALMQ_E_PARSE);
    assert_int_equal(merkle_verify_consistency(0, 0, &root, &root, &path), SEALMQ_E_PARSE);
    assert_int_equal(merkle_verify_consistency(0, 1, &root, &root, &path), SEALMQ_E_PARSE);
    assert_int_equal(merkle_verify_consistency(2, 1, &root, &root, &path), SEALMQ_E_PARSE);
    assert_int_equal(merkle_verify_consistency(1, 1, &root, &leaves[1], &path), SEALMQ_E_HASH);
    assert_int_equal(merkle_verify_consistency(UINT64_MAX, UINT64_MAX, &root, &root, &path), 0);
}

/* Sizes near 2^64: no shift or count may go wrong, whatever the answer's hashes. */
static void the_largest_sizes_are_refused_without_harm(void **state)
{
    (void)state;
    struct merkle_path path = {0};
    const uint64_t edges[] = {
        1, 2, 3, UINT64_C(1) << 63, (UINT64_C(1) << 63) + 1, UINT64_MAX - 1, UINT64_MAX};
    const size_t count = sizeof(edges) / sizeof(edges[0]);
    for (size_t i = 0; i < count; i++) {
        for (size_t j = 0; j < count; j++) {
            for (path.n = 0; path.n <= MERKLE_PATH_MAX; path.n++) {
                struct hash root = {{1}};
                assert_int_not_equal(
                    merkle_verify(&leaves[0], edges[i] - 1, edges[j], &path, &root), 0);
                struct hash other = {{2}};
                assert_int_not_equal(
                    merkle_verify_consistency(edges[i], edges[j], &root, &other, &path), 0);
            }
        }
    }
}

static void a_log_proves_what_a_large_tree_holds(void **state)
{
    (void)state;
    enum { LARGE = 5000 };
    struct hash *large = calloc(LARGE, sizeof(*large));
    assert_non_null(large);
    struct merkle_log log = {0};
    for (size_t i = 0; i < LARGE; i++) {
        hash_leaf(bytes_of(&i, sizeof(i)), &large[i]);
        assert_int_equal(merkle_log_append(&log, &large[i]), 0);
    }
    const size_t sizes[] = {1, 2, 1023, 1024, 1025, 4096, 4999, 5000};
    for (size_t s = 0; s < sizeof(sizes) / sizeof(sizes[0]); s++) {
        struct hash root;
        merkle_root(large, sizes[s], &root);
        for (size_t index = 0; index < sizes[s]; index += 97) {
            struct merkle_path path;
            merkle_log_prove(&log, index, sizes[s], &path);
            assert_int_equal(merkle_verify(&large[index], index, sizes[s], &path, &root), 0);
        }
        for (size_t old = 1; old <= sizes[s]; old += 211) {
            struct merkle_path path;
            struct hash root_old;
            merkle_log_root(&log, old, &root_old);
            merkle_log_prove_consistency(&log, old, sizes[s], &path);
            assert_int_equal(merkle_verify_consistency(old, sizes[s], &root_old, &root, &path), 0);
        }
    }
    merkle_log_close(&log);
    free(large);
}

/* Roots, paths and consistency proofs of a log that has forgotten what is before its base. */
static void assert_knows_all_from(const struct merkle_log *log, size_t base)
{
    assert_int_equal(log->base, base);
    for (size_t n = base; n <= log->size; n++) {
        struct hash want, root;
        struct merkle_edge want_edge = {0}, edge;
        struct merkle_path want_path, path;
        merkle_root(leaves, n, &want);
        merkle_log_root(log, n, &root);
        assert_memory_equal(&root, &want, sizeof(root));
        for (size_t i = 0; i < n; i++)
            merkle_edge_append(&want_edge, &leaves[i]);
        merkle_log_edge(log, n, &edge);
        assert_int_equal(edge.size, n);
        merkle_edge_root(&edge, &root);
        assert_memory_equal(&root, &want, sizeof(root));
        assert_memory_equal(edge.nodes, want_edge.nodes,
                            (size_t)__builtin_popcountll(n) * HASH_SIZE);
        for (size_t index = base; index < n; index++) {
            merkle_prove(leaves, n, index, &want_path);
            merkle_log_prove(log, index, n, &path);
            assert_path_equal(&path, &want_path);
        }
        for (size_t m = base == 0 ? 1 : base; m <= n; m++) {
            merkle_prove_consistency(leaves, n, m, &want_path);
            merkle_log_prove_consistency(log, m, n, &path);
            assert_path_equal(&path, &want_path);
        }
    }
}

static void a_log_goes_on_from_its_edge(void **state)
{
    (void)state;
    for (size_t base = 0; base <= SIZE_MOST; base++) {
        struct merkle_edge edge = {0};
        struct merkle_log log = {0};
        for (size_t i = 0; i < base; i++)
            merkle_edge_append(&edge, &leaves[i]);
        assert_int_equal(merkle_log_begin(&log, &edge), 0);
        for (size_t i = base; i < SIZE_MOST; i++)
            assert_int_equal(merkle_log_append(&log, &leaves[i]), 0);
        assert_knows_all_from(&log, base);
        merkle_log_close(&log);
    }
}

static void a_log_forgets_what_only_older_leaves_need(void **state)
{
    (void)state;
    for (size_t step = 1; step < SIZE_MOST; step += 3) {
        struct merkle_log log = {0};
        size_t base = 0;
        for (size_t i = 0; i < SIZE_MOST; i++) {
            assert_int_equal(merkle_log_append(&log, &leaves[i]), 0);
            if (i % 5 == 0 && base + step <= i + 1) {
                base += step;
                merkle_log_forget(&log, base);
            }
        }
        assert_knows_all_from(&log, base);
        merkle_log_forget(&log, log.size);
        assert_knows_all_from(&log, SIZE_MOST);
        merkle_log_close(&log);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_frozen_roots_come_out),
        cmocka_unit_test(every_small_tree_has_the_defined_root),
        cmocka_unit_test(
            every_inclusion_path_is_the_defined_one_and_verifies_only_where_it_belongs),
        cmocka_unit_test(every_consistency_proof_is_the_defined_one_and_verifies),
        cmocka_unit_test(a_path_of_a_wrong_length_is_malformed),
        cmocka_unit_test(every_flipped_bit_of_a_path_is_noticed),
        cmocka_unit_test(positions_outside_of_the_tree_are_refused),
        cmocka_unit_test(the_largest_sizes_are_refused_without_harm),
        cmocka_unit_test(a_log_proves_what_a_large_tree_holds),
        cmocka_unit_test(a_log_goes_on_from_its_edge),
        cmocka_unit_test(a_log_forgets_what_only_older_leaves_need),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
