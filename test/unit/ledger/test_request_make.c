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
    network_make(&network, 4, 3);
    return 0;
}

static int make_data(struct request_data data, struct buf *out)
{
    data.sender = BYTES_LIT(GATEWAY);
    return request_make_data(&data, &network.gateway, &network.genesis.hash, out);
}

static void an_empty_request_fills_a_number(void **state)
{
    (void)state;
    struct buf out = {0};
    assert_int_equal(make_data((struct request_data){.number = 5, .from = 9, .to = 8}, &out), 0);
    struct request request;
    assert_int_equal(request_decode(buf_bytes(&out), &request), 0);
    assert_int_equal(request.data.record_count, 0);
    assert_int_equal(request.data.leaf_count, 0);
    assert_int_equal(request.number, 5);
    buf_close(&out);
}

static void results_are_appended(void **state)
{
    (void)state;
    struct buf out = {0};
    buf_append_cstr(&out, "before");
    assert_int_equal(make_data((struct request_data){.number = 5, .from = 9, .to = 8}, &out), 0);
    assert_memory_equal(out.p, "before", 6);
    struct request request;
    assert_int_equal(request_decode(bytes_of(out.p + 6, out.n - 6), &request), 0);
    buf_close(&out);
}

static void what_would_not_decode_is_not_made(void **state)
{
    (void)state;
    struct buf out = {0};
    buf_append_cstr(&out, "before");
    struct interval_leaf leaf = leaf_of(4, LEAF_ACKNOWLEDGED);
    const struct hash *genesis = &network.genesis.hash;
    const struct sign_key *key = &network.gateway;
    assert_int_equal(make_data((struct request_data){.number = 0, .from = 1, .to = 0}, &out),
                     SEALMQ_E_PARSE);
    assert_int_equal(make_data((struct request_data){.number = 1, .from = 0, .to = 0}, &out),
                     SEALMQ_E_PARSE);
    assert_int_equal(make_data((struct request_data){.number = 1, .from = 4, .to = 5}, &out),
                     SEALMQ_E_COUNT);
    assert_int_equal(make_data(
                         (struct request_data){
                             .number = 1, .from = 3, .to = 3, .leaves = &leaf, .leaf_count = 1},
                         &out),
                     SEALMQ_E_PARSE);
    assert_int_equal(make_data((struct request_data){.number = 1,
                                                     .from = 1,
                                                     .to = 0,
                                                     .record_count = REQUEST_RECORDS_MAX + 1},
                               &out),
                     SEALMQ_E_LIMIT);
    assert_int_equal(request_make_describe(BYTES_LIT("nobody"), 1, NULL, 0, key, genesis, &out),
                     SEALMQ_E_PARSE);
    assert_int_equal(request_make_describe(BYTES_LIT(GATEWAY), 1, NULL, REQUEST_ITEMS_MAX + 1, key,
                                           genesis, &out),
                     SEALMQ_E_LIMIT);
    assert_int_equal(request_make_register(BYTES_LIT("admin/a"), 1, BYTES_LIT("admin/b"),
                                           MEMBER_GATEWAY, &key->public_key, key, genesis, &out),
                     SEALMQ_E_PARSE);
    char reason[256];
    memset(reason, 'r', sizeof(reason));
    assert_int_equal(request_make_revoke(BYTES_LIT("admin/a"), 1, BYTES_LIT("d/x"),
                                         bytes_of(reason, 255), key, genesis, &out),
                     0);
    out.n = 6;
    assert_int_equal(request_make_revoke(BYTES_LIT("admin/a"), 1, BYTES_LIT("d/x"),
                                         bytes_of(reason, 256), key, genesis, &out),
                     SEALMQ_E_LIMIT);
    assert_int_equal(out.n, 6);
    buf_close(&out);
}

static void items_may_be_given_in_any_order(void **state)
{
    (void)state;
    struct item items[] = {item_of(3, "D", "c"), item_of(1, "D", "a"), item_of(2, "D", "b")};
    struct batch batch = {0};
    add_describe(&batch, &network, 1, items, 3);
    struct request request = batch_last(&batch);
    struct bytes list = request.describe.items;
    struct item item;
    for (uint32_t num = 1; request_items_next(&list, &item); num++)
        assert_int_equal(item.num, num);
    batch_close(&batch);
}

static void admins_may_sign_in_any_order(void **state)
{
    (void)state;
    static const unsigned orders[][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2},
                                         {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    struct chain *chain = network_chain(&network);
    for (size_t i = 0; i < 6; i++) {
        struct buf wire = {0};
        unsigned first = orders[i][0];
        struct bytes sender = bytes_str(network.genesis.admins[first].id);
        assert_int_equal(request_make_revoke(sender, 7, BYTES_LIT(GATEWAY), BYTES_LIT("x"),
                                             &network.admins[first], &network.genesis.hash, &wire),
                         0);
        for (size_t k = 1; k < 3; k++) {
            unsigned who = orders[i][k];
            struct bytes id = bytes_str(network.genesis.admins[who].id);
            struct buf more = {0};
            assert_int_equal(request_cosign(buf_bytes(&wire), id, &network.admins[who],
                                            &network.genesis.hash, &more),
                             0);
            buf_close(&wire);
            wire = more;
            size_t n = wire.n;
            assert_int_equal(request_cosign(buf_bytes(&wire), id, &network.admins[who],
                                            &network.genesis.hash, &wire),
                             SEALMQ_E_EXISTS);
            assert_int_equal(wire.n, n);
        }
        struct request request;
        assert_int_equal(request_decode(buf_bytes(&wire), &request), 0);
        assert_int_equal(request.signature_count, 3);
        assert_true(bytes_equal(request.sender, sender));
        assert_int_equal(chain_check_signatures(chain, &request), 0);
        buf_close(&wire);
    }
    chain_free(chain);
}

static void what_members_send_is_not_cosigned(void **state)
{
    (void)state;
    struct batch batch = {0};
    add_interval(&batch, &network, 1, 1, 1);
    struct buf more = {0};
    assert_int_equal(request_cosign(buf_bytes(&batch.wires[0]), BYTES_LIT("admin/a"),
                                    &network.admins[0], &network.genesis.hash, &more),
                     SEALMQ_E_TYPE);
    assert_int_equal(request_cosign(BYTES_LIT("x"), BYTES_LIT("admin/a"), &network.admins[0],
                                    &network.genesis.hash, &more),
                     SEALMQ_E_SHORT);
    assert_int_equal(more.n, 0);
    batch_close(&batch);
}

static void the_largest_interval_fits(void **state)
{
    (void)state;
    static struct interval_leaf leaves[REQUEST_LEAVES_MAX];
    for (size_t i = 0; i < REQUEST_LEAVES_MAX; i++)
        leaves[i] = leaf_of(i + 1, LEAF_DROPPED);
    struct buf out = {0};
    assert_int_equal(make_data((struct request_data){.number = 1,
                                                     .from = 1,
                                                     .to = REQUEST_LEAVES_MAX,
                                                     .leaves = leaves,
                                                     .leaf_count = REQUEST_LEAVES_MAX},
                               &out),
                     0);
    assert_true(out.n <= REQUEST_BYTES_MAX);
    buf_close(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_empty_request_fills_a_number),
        cmocka_unit_test(results_are_appended),
        cmocka_unit_test(what_would_not_decode_is_not_made),
        cmocka_unit_test(items_may_be_given_in_any_order),
        cmocka_unit_test(admins_may_sign_in_any_order),
        cmocka_unit_test(what_members_send_is_not_cosigned),
        cmocka_unit_test(the_largest_interval_fits),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
