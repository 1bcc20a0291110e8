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
    network_make(&network, 4, 2);
    return 0;
}

static void it_starts_with_the_genesis_block(void **state)
{
    (void)state;
    struct chain *chain;
    assert_int_equal(chain_new(&network.genesis, &chain), 0);
    assert_int_equal(chain_height(chain), 0);
    assert_true(hash_equal(&chain_genesis(chain)->hash, &network.genesis.hash));

    struct hash root;
    chain_state_root(chain, &root);
    struct buf wire = {0};
    genesis_block(&network.genesis, &root, &wire);
    struct block block;
    assert_int_equal(block_decode(buf_bytes(&wire), &block), 0);
    assert_true(hash_equal(&block.hash, chain_tip_hash(chain)));
    assert_true(hash_equal(&block.header.parent, &network.genesis.hash));
    assert_true(hash_equal(&block.header.state_root, &root));
    assert_int_equal(block.header.height, 0);
    assert_int_equal(block.header.time_us, NETWORK_CREATED_US);
    assert_string_equal(block.header.proposer, "");
    buf_close(&wire);

    assert_int_equal(chain_log(chain)->size, 1);
    struct hash log_root, leaf;
    chain_log_root(chain, &log_root);
    struct buf head = {0};
    header_encode(chain_tip(chain), &head);
    hash_leaf(buf_bytes(&head), &leaf);
    assert_true(hash_equal(&log_root, &leaf));
    buf_close(&head);
    chain_free(chain);
}

static void validators_are_members_from_the_start(void **state)
{
    (void)state;
    struct chain *chain;
    assert_int_equal(chain_new(&network.genesis, &chain), 0);
    struct member member;
    assert_int_equal(chain_member(chain, BYTES_LIT("broker/002"), &member), 0);
    assert_string_equal(member.id, "broker/002");
    assert_int_equal(member.role, MEMBER_VALIDATOR);
    assert_int_equal(member.status, MEMBER_ACTIVE);
    assert_memory_equal(member.key.b, network.validators[2].public_key.b, PUBLIC_KEY_SIZE);
    assert_int_equal(chain_member(chain, BYTES_LIT(GATEWAY), &member), SEALMQ_E_NOTFOUND);
    chain_free(chain);
}

static void a_genesis_without_validators_makes_no_chain(void **state)
{
    (void)state;
    struct genesis genesis = network.genesis;
    genesis.validators.n = 0;
    struct chain *chain;
    assert_int_equal(chain_new(&genesis, &chain), SEALMQ_E_ARG);
    assert_null(chain);
    chain_free(NULL);
}

static void the_next_header_follows_from_the_chain(void **state)
{
    (void)state;
    struct chain *chain = network_chain(&network);
    struct block_header header;
    chain_next_header(chain, &header);
    assert_string_equal(header.network, "plant");
    assert_int_equal(header.height, 2);
    assert_true(hash_equal(&header.parent, chain_tip_hash(chain)));
    struct hash root;
    chain_log_root(chain, &root);
    assert_true(hash_equal(&header.log_root, &root));
    chain_state_root(chain, &root);
    assert_true(hash_equal(&header.state_root, &root));
    assert_false(hash_equal(&header.state_root, &chain_tip(chain)->state_root));
    chain_free(chain);
}

static void count_member(void *context, const struct member *member)
{
    size_t *counts = context;
    counts[member->role == MEMBER_VALIDATOR ? 0 : 1]++;
}

static void what_blocks_did_can_be_asked(void **state)
{
    (void)state;
    struct chain *chain = network_chain(&network);
    struct member member;
    assert_int_equal(chain_member(chain, BYTES_LIT(GATEWAY), &member), 0);
    assert_int_equal(member.since_height, 2);
    assert_int_equal(member.revoked_height, 0);
    size_t counts[2] = {0};
    chain_members_each(chain, count_member, counts);
    assert_int_equal(counts[0], 4);
    assert_int_equal(counts[1], 1);

    struct batch batch = {0};
    struct item items[] = {item_of(1, "D1", "t"), item_of(7, "D1", "h")};
    add_describe(&batch, &network, 1, items, 2);
    struct interval_leaf leaves[] = {leaf_of(1, LEAF_ACKNOWLEDGED), leaf_of(2, LEAF_PENDING),
                                     leaf_of(3, LEAF_PENDING)};
    struct record record = record_of("D1", 7, "0.5");
    add_data(&batch, &network, 3, 1, leaves, 3, &record, 1);
    assert_int_equal(append_batch(chain, &batch), 0);

    struct item item;
    assert_int_equal(chain_item(chain, BYTES_LIT(GATEWAY), 7, &item), 0);
    assert_true(bytes_equal(item.name, BYTES_LIT("h")));
    assert_true(bytes_equal(item.unit, items[1].unit));
    assert_int_equal(item.type, DATATYPE_DOUBLE);
    assert_int_equal(chain_item(chain, BYTES_LIT(GATEWAY), 2, &item), SEALMQ_E_NOTFOUND);
    assert_int_equal(chain_item(chain, BYTES_LIT("d/x"), 1, &item), SEALMQ_E_NOTFOUND);

    uint64_t next;
    size_t pending;
    chain_history_next(chain, BYTES_LIT(GATEWAY), &next, &pending);
    assert_int_equal(next, 4);
    assert_int_equal(pending, 2);
    chain_history_next(chain, BYTES_LIT("d/x"), &next, &pending);
    assert_int_equal(next, 1);
    assert_int_equal(pending, 0);

    assert_int_equal(chain_request_next(chain, BYTES_LIT(GATEWAY)), 2);
    assert_true(chain_request_used(chain, BYTES_LIT(GATEWAY), 1));
    assert_false(chain_request_used(chain, BYTES_LIT(GATEWAY), 2));
    assert_true(chain_request_used(chain, BYTES_LIT(GATEWAY), 3));
    assert_false(chain_request_used(chain, BYTES_LIT(GATEWAY), 4));
    assert_false(chain_request_used(chain, BYTES_LIT(GATEWAY), 3 + 64));
    assert_false(chain_request_used(chain, BYTES_LIT(GATEWAY), UINT64_MAX));
    assert_int_equal(chain_request_next(chain, BYTES_LIT("d/x")), 1);
    assert_true(chain_request_used(chain, BYTES_LIT("d/x"), 0));
    assert_int_equal(chain_changed_height(chain, BYTES_LIT(GATEWAY)), 2);
    assert_int_equal(chain_changed_height(chain, BYTES_LIT("admin/a")), 1);
    assert_int_equal(chain_changed_height(chain, BYTES_LIT("broker/000")), 0);
    chain_free(chain);
}

/* Every entry proves against the root that the next header carries, and with nothing but the bytes
 * that docs/spec/state.md says. */
static void state_entries_prove_against_the_next_header(void **state)
{
    (void)state;
    struct chain *chain = network_chain(&network);
    struct batch batch = {0};
    struct item items[] = {item_of(1, "D1", "t"), item_of(7, "D1", "h")};
    add_describe(&batch, &network, 2, items, 2);
    struct interval_leaf leaf = leaf_of(1, LEAF_PENDING);
    add_data(&batch, &network, 3, 1, &leaf, 1, NULL, 0);
    assert_int_equal(append_batch(chain, &batch), 0);
    struct block_header header;
    chain_next_header(chain, &header);

    static const char *const keys[] = {
        "validators",         "parameters",      "admins",
        "member/broker/000",  "member/" GATEWAY, "item/" GATEWAY "/1",
        "item/" GATEWAY "/7", "window/" GATEWAY, "window/admin/a",
        "history/" GATEWAY};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        struct buf value = {0};
        struct statetree_path path;
        assert_int_equal(chain_prove_state(chain, bytes_str(keys[i]), &value, &path), 0);
        assert_int_equal(
            statetree_verify(bytes_str(keys[i]), buf_bytes(&value), &path, &header.state_root), 0);
        value.p[0] ^= 1;
        assert_int_equal(
            statetree_verify(bytes_str(keys[i]), buf_bytes(&value), &path, &header.state_root),
            SEALMQ_E_HASH);
        buf_close(&value);
    }

    struct buf value = {0};
    struct statetree_path path;
    static const uint8_t window[16] = {0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 3};
    assert_int_equal(chain_prove_state(chain, BYTES_LIT("window/" GATEWAY), &value, &path), 0);
    assert_true(bytes_equal(buf_bytes(&value), bytes_of(window, sizeof(window))));
    buf_reset(&value);
    static const uint8_t history[20] = {0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 1};
    assert_int_equal(chain_prove_state(chain, BYTES_LIT("history/" GATEWAY), &value, &path), 0);
    assert_true(bytes_equal(buf_bytes(&value), bytes_of(history, sizeof(history))));
    buf_close(&value);
    chain_free(chain);
}

static void what_is_not_in_the_state_has_no_proof(void **state)
{
    (void)state;
    struct chain *chain = network_chain(&network);
    static const char *const keys[] = {"",
                                       "member/",
                                       "member/d/x",
                                       "item/" GATEWAY "/1",
                                       "item/" GATEWAY "/01",
                                       "item/x",
                                       "window/" GATEWAY,
                                       "history/" GATEWAY,
                                       "nothing"};
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        struct buf value = {0};
        struct statetree_path path;
        assert_int_equal(chain_prove_state(chain, bytes_str(keys[i]), &value, &path),
                         SEALMQ_E_NOTFOUND);
        assert_int_equal(value.n, 0);
        buf_close(&value);
    }
    chain_free(chain);
}

static void the_same_blocks_make_the_same_chain(void **state)
{
    (void)state;
    struct chain *a = network_chain(&network);
    struct chain *b = network_chain(&network);
    for (unsigned i = 0; i < 20; i++) {
        struct batch batch = {0};
        add_interval(&batch, &network, i + 1, 3 * i + 1, 3 * i + 3);
        struct buf wire = {0};
        make_block(a, &batch, &wire);
        struct block block;
        assert_int_equal(block_decode(buf_bytes(&wire), &block), 0);
        assert_int_equal(chain_append(a, &block), 0);
        assert_int_equal(chain_append(b, &block), 0);
        assert_true(hash_equal(chain_tip_hash(a), chain_tip_hash(b)));
        struct hash x, y;
        chain_state_root(a, &x);
        chain_state_root(b, &y);
        assert_true(hash_equal(&x, &y));
        chain_log_root(a, &x);
        chain_log_root(b, &y);
        assert_true(hash_equal(&x, &y));
        buf_close(&wire);
        batch_close(&batch);
    }
    assert_int_equal(chain_height(a), 21);
    assert_int_equal(chain_log(a)->size, 22);
    chain_free(a);
    chain_free(b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_starts_with_the_genesis_block),
        cmocka_unit_test(validators_are_members_from_the_start),
        cmocka_unit_test(a_genesis_without_validators_makes_no_chain),
        cmocka_unit_test(the_next_header_follows_from_the_chain),
        cmocka_unit_test(what_blocks_did_can_be_asked),
        cmocka_unit_test(state_entries_prove_against_the_next_header),
        cmocka_unit_test(what_is_not_in_the_state_has_no_proof),
        cmocka_unit_test(the_same_blocks_make_the_same_chain),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
