#include "unit/ledger/network.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ledger/mempool.h"
#include "ledger/snapshot.h"
#include "lib/failing_memory.h"

#include <stdio.h>

static struct network network;

static int setup(void **state)
{
    (void)state;
    network_make(&network, 4, 1);
    return 0;
}

/* One of each kind of change, large enough to make every array grow. */
static void fill_batch(struct batch *batch, const struct chain *chain)
{
    static struct item items[100];
    static char names[100][8];
    for (uint32_t i = 0; i < 100; i++) {
        snprintf(names[i], sizeof(names[i]), "n%u", (unsigned)i);
        items[i] = item_of(i + 1, "D1", names[i]);
    }
    add_describe(batch, &network, 1, items, 100);
    struct interval_leaf leaves[40];
    for (uint64_t n = 1; n <= 40; n++)
        leaves[n - 1] = leaf_of(n, n % 3 == 0 ? LEAF_PENDING : LEAF_ACKNOWLEDGED);
    struct record record = record_of("D1", 1, "36");
    add_data(batch, &network, 2, 1, leaves, 40, &record, 1);
    struct interval_leaf resolving[] = {leaf_of(3, LEAF_DROPPED), leaf_of(9, LEAF_ACKNOWLEDGED),
                                        leaf_of(41, LEAF_PENDING)};
    add_data(batch, &network, 3, 41, resolving, 3, NULL, 0);
    for (unsigned i = 0; i < 8; i++) {
        char id[24];
        struct sign_key key;
        network_key(30, i, &key);
        snprintf(id, sizeof(id), "devices/n%u", i);
        add_register(batch, &network, 2 + i, id, &key);
    }
    add_revoke(batch, &network, 10, GATEWAY);
    struct sign_key key;
    network_key(31, 0, &key);
    add_join(batch, &network, chain, 11, "broker/new", &key);
    add_configure(batch, &network, 12, CONFIGURE_PARAMETERS, bytes_of("\0\0\0\1\0", 5));
    struct admins_value admins = *chain_admins(chain);
    network_key(31, 1, &key);
    admins.admins[2].key = key.public_key;
    struct buf value = {0};
    admins_value_encode(&admins, &value);
    add_configure(batch, &network, 13, CONFIGURE_ADMINS, buf_bytes(&value));
    buf_close(&value);
}

static void a_block_that_memory_does_not_suffice_for_changes_nothing(void **state)
{
    (void)state;
    struct batch batch = {0};
    struct chain *reference = network_chain(&network);
    fill_batch(&batch, reference);
    struct buf wire = {0};
    make_block(reference, &batch, &wire);
    struct block block;
    assert_int_equal(block_decode(buf_bytes(&wire), &block), 0);
    assert_int_equal(chain_append(reference, &block), 0);
    struct hash after, root;
    chain_state_root(reference, &after);

    size_t failures = 0;
    for (size_t n = 1;; n++) {
        struct chain *chain = network_chain(&network);
        struct hash before;
        chain_state_root(chain, &before);
        memory_fail_at(n);
        int error = chain_append(chain, &block);
        bool failed = memory_has_failed();
        if (failed && error != 0) {
            failures++;
            assert_int_equal(error, SEALMQ_E_NOMEM);
            assert_int_equal(chain_height(chain), 1);
            assert_int_equal(chain_log(chain)->size, 2);
            chain_state_root(chain, &root);
            assert_true(hash_equal(&root, &before));
            uint64_t next;
            size_t pending;
            chain_history_next(chain, BYTES_LIT(GATEWAY), &next, &pending);
            assert_int_equal(next, 1);
            assert_int_equal(pending, 0);
            error = chain_append(chain, &block);
        }
        assert_int_equal(error, 0);
        chain_state_root(chain, &root);
        assert_true(hash_equal(&root, &after));
        chain_free(chain);
        if (!failed)
            break;
    }
    assert_true(failures > 50);
    buf_close(&wire);
    batch_close(&batch);
    chain_free(reference);
}

/* A selection goes on after a request failed: what is executed next must find the state untouched.
 */
static void a_request_that_memory_does_not_suffice_for_changes_nothing(void **state)
{
    (void)state;
    struct batch batch = {0};
    struct chain *chain = network_chain(&network);
    fill_batch(&batch, chain);
    for (size_t n = 1;; n++) {
        bool any_failed = false;
        chain_begin(chain);
        for (size_t i = 0; i < batch.n; i++) {
            struct request request;
            assert_int_equal(request_decode(buf_bytes(&batch.wires[i]), &request), 0);
            memory_fail_at(n);
            int error = chain_execute(chain, &request);
            bool failed = memory_has_failed();
            any_failed = any_failed || failed;
            if (error != 0) {
                assert_true(failed);
                assert_int_equal(error, SEALMQ_E_NOMEM);
                error = chain_execute(chain, &request);
            }
            assert_int_equal(error, 0);
        }
        chain_rollback(chain);
        if (!any_failed)
            break;
    }
    struct chain *plain = network_chain(&network);
    assert_int_equal(append_batch(chain, &batch), 0);
    fill_batch(&batch, plain);
    assert_int_equal(append_batch(plain, &batch), 0);
    assert_true(hash_equal(chain_tip_hash(chain), chain_tip_hash(plain)));
    struct hash x, y;
    chain_state_root(chain, &x);
    chain_state_root(plain, &y);
    assert_true(hash_equal(&x, &y));
    chain_free(chain);
    chain_free(plain);
}

static void a_chain_that_memory_does_not_suffice_for_is_not_made(void **state)
{
    (void)state;
    for (size_t n = 1;; n++) {
        struct chain *chain;
        memory_fail_at(n);
        int error = chain_new(&network.genesis, &chain);
        bool failed = memory_has_failed();
        if (error != 0) {
            assert_true(failed);
            assert_int_equal(error, SEALMQ_E_NOMEM);
            assert_null(chain);
        }
        chain_free(chain);
        if (!failed)
            break;
        assert_true(n < 10000);
    }
}

static void requests_are_made_whole_or_not_at_all(void **state)
{
    (void)state;
    struct record record = record_of("D1", 1, "36");
    struct interval_leaf leaf = leaf_of(1, LEAF_ACKNOWLEDGED);
    struct request_data data = {.sender = BYTES_LIT(GATEWAY),
                                .number = 1,
                                .records = &record,
                                .record_count = 1,
                                .from = 1,
                                .to = 1,
                                .leaves = &leaf,
                                .leaf_count = 1};
    for (size_t n = 1;; n++) {
        struct buf wire = {0};
        memory_fail_at(n);
        int error = request_make_data(&data, &network.gateway, &network.genesis.hash, &wire);
        bool failed = memory_has_failed();
        assert_int_equal(error, failed ? SEALMQ_E_NOMEM : 0);
        assert_int_equal(wire.n != 0, !failed);
        buf_close(&wire);
        if (!failed)
            break;
    }
}

static void a_pool_that_has_no_memory_keeps_what_it_has(void **state)
{
    (void)state;
    struct batch batch = {0};
    for (uint64_t i = 1; i <= 40; i++)
        add_interval(&batch, &network, i, i, i);
    struct chain *chain = network_chain(&network);
    for (size_t n = 1;; n++) {
        struct mempool *pool;
        assert_int_equal(mempool_new(&pool), 0);
        size_t refused = 0;
        memory_fail_at(n);
        for (size_t i = 0; i < batch.n; i++) {
            int error = mempool_add(pool, chain, buf_bytes(&batch.wires[i]), i);
            assert_true(error == 0 || error == SEALMQ_E_NOMEM);
            refused += error != 0;
        }
        struct bytes chosen[64];
        size_t count;
        int error = mempool_select(pool, chain, BLOCK_BYTES_MAX, 64, chosen, &count);
        bool failed = memory_has_failed();
        assert_true(error == 0 || error == SEALMQ_E_NOMEM);
        assert_int_equal(mempool_count(pool), batch.n - refused);
        assert_true(refused <= 1);
        if (!failed) {
            assert_int_equal(error, 0);
            assert_int_equal(count, batch.n);
        }
        assert_int_equal(mempool_select(pool, chain, BLOCK_BYTES_MAX, 64, chosen, &count), 0);
        mempool_free(pool);
        if (!failed)
            break;
    }
    batch_close(&batch);
    chain_free(chain);
}

static int keep_chunk(void *context, uint32_t at, struct bytes chunk)
{
    struct buf *kept = context;
    assert_int_equal(at, 0);
    buf_reset(kept);
    buf_append_bytes(kept, chunk);
    return buf_status(kept);
}

static int restore(struct bytes manifest, struct bytes chunk, const struct block_header *next,
                   struct chain **out)
{
    struct snapshot snapshot;
    struct chain_restore *work;
    *out = NULL;
    int error = snapshot_decode(manifest, &snapshot);
    if (error == 0)
        error = chain_restore_begin(&network.genesis, &snapshot, &work);
    if (error != 0)
        return error;
    error = chain_restore_chunk(work, chunk);
    if (error == 0)
        error = chain_restore_end(work, next, out);
    chain_restore_free(work);
    return error;
}

static void a_snapshot_that_memory_does_not_suffice_for_is_made_and_taken_later(void **state)
{
    (void)state;
    struct batch batch = {0};
    struct chain *chain = network_chain(&network), *back;
    fill_batch(&batch, chain);
    assert_int_equal(append_batch(chain, &batch), 0);
    struct buf manifest = {0}, chunk = {0};
    int error;
    size_t failures = 0;
    for (size_t n = 1;; n++) {
        memory_fail_at(n);
        error = snapshot_make(chain, keep_chunk, &chunk, &manifest);
        if (!memory_has_failed())
            break;
        assert_int_equal(error, SEALMQ_E_NOMEM);
        buf_close(&manifest);
        buf_close(&chunk);
        failures++;
    }
    assert_int_equal(error, 0);
    assert_true(failures > 5);
    struct block_header next;
    chain_next_header(chain, &next);
    for (size_t n = 1;; n++) {
        memory_fail_at(n);
        error = restore(buf_bytes(&manifest), buf_bytes(&chunk), &next, &back);
        if (!memory_has_failed())
            break;
        assert_int_equal(error, SEALMQ_E_NOMEM);
        assert_null(back);
        failures++;
    }
    assert_int_equal(error, 0);
    assert_true(failures > 100);
    assert_true(hash_equal(chain_tip_hash(chain), chain_tip_hash(back)));
    chain_free(back);
    chain_free(chain);
    buf_close(&manifest);
    buf_close(&chunk);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_block_that_memory_does_not_suffice_for_changes_nothing),
        cmocka_unit_test(a_request_that_memory_does_not_suffice_for_changes_nothing),
        cmocka_unit_test(a_chain_that_memory_does_not_suffice_for_is_not_made),
        cmocka_unit_test(requests_are_made_whole_or_not_at_all),
        cmocka_unit_test(a_pool_that_has_no_memory_keeps_what_it_has),
        cmocka_unit_test(a_snapshot_that_memory_does_not_suffice_for_is_made_and_taken_later),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
