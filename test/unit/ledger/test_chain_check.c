#include "unit/ledger/network.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

static struct network network;

struct fixture {
    struct chain *chain;
    struct batch batch;
};

static int setup(void **state)
{
    (void)state;
    network_make(&network, 4, 2);
    return 0;
}

static int make_chain(void **state)
{
    static struct fixture fixture;
    fixture = (struct fixture){.chain = network_chain(&network)};
    *state = &fixture;
    return 0;
}

static int free_chain(void **state)
{
    struct fixture *f = *state;
    batch_close(&f->batch);
    chain_free(f->chain);
    return 0;
}

/* Whether the chain's state would take the last request of the batch. */
static int check_last(struct fixture *f)
{
    struct request request = batch_last(&f->batch);
    return chain_check_request(f->chain, &request);
}

/* The same for a request that is made only for the question. */
static int check_and_forget(struct fixture *f)
{
    int error = check_last(f);
    buf_close(&f->batch.wires[--f->batch.n]);
    return error;
}

/* --- numbers --- */

static int check_number(struct fixture *f, uint64_t number)
{
    add_data(&f->batch, &network, number, 1, NULL, 0, NULL, 0);
    return check_and_forget(f);
}

static void numbers_are_used_once_and_within_the_window(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(check_number(f, 1), 0);
    assert_int_equal(check_number(f, REQUEST_WINDOW), 0);
    assert_int_equal(check_number(f, REQUEST_WINDOW + 1), SEALMQ_E_LIMIT);
    assert_int_equal(check_number(f, SEQUENCE_MAX), SEALMQ_E_LIMIT);

    add_data(&f->batch, &network, 1, 1, NULL, 0, NULL, 0);
    add_data(&f->batch, &network, 3, 1, NULL, 0, NULL, 0);
    add_data(&f->batch, &network, REQUEST_WINDOW, 1, NULL, 0, NULL, 0);
    assert_int_equal(append_batch(f->chain, &f->batch), 0);
    assert_int_equal(check_number(f, 1), SEALMQ_E_REPLAY);
    assert_int_equal(check_number(f, 2), 0);
    assert_int_equal(check_number(f, 3), SEALMQ_E_REPLAY);
    assert_int_equal(check_number(f, REQUEST_WINDOW), SEALMQ_E_REPLAY);
    assert_int_equal(check_number(f, REQUEST_WINDOW + 1), 0);
    assert_int_equal(check_number(f, REQUEST_WINDOW + 2), SEALMQ_E_LIMIT);
}

static void a_filled_gap_moves_the_window_past_all_used(void **state)
{
    struct fixture *f = *state;
    for (uint64_t n = REQUEST_WINDOW; n >= 2; n--) {
        add_data(&f->batch, &network, n, 1, NULL, 0, NULL, 0);
        assert_int_equal(append_batch(f->chain, &f->batch), 0);
        assert_int_equal(chain_request_next(f->chain, BYTES_LIT(GATEWAY)), 1);
    }
    add_data(&f->batch, &network, 1, 1, NULL, 0, NULL, 0);
    assert_int_equal(append_batch(f->chain, &f->batch), 0);
    assert_int_equal(chain_request_next(f->chain, BYTES_LIT(GATEWAY)), REQUEST_WINDOW + 1);
    for (uint64_t n = 1; n <= REQUEST_WINDOW; n++)
        assert_int_equal(check_number(f, n), SEALMQ_E_REPLAY);
    assert_int_equal(check_number(f, REQUEST_WINDOW + 1), 0);
}

static void a_request_twice_in_a_block_spoils_it(void **state)
{
    struct fixture *f = *state;
    add_data(&f->batch, &network, 1, 1, NULL, 0, NULL, 0);
    add_data(&f->batch, &network, 1, 1, NULL, 0, NULL, 0);
    assert_int_equal(append_batch(f->chain, &f->batch), SEALMQ_E_REPLAY);
    assert_int_equal(chain_height(f->chain), 1);
}

/* --- intervals --- */

static void intervals_join_on_to_one_another(void **state)
{
    struct fixture *f = *state;
    add_interval(&f->batch, &network, 1, 2, 3);
    assert_int_equal(check_and_forget(f), SEALMQ_E_AGAIN);
    add_interval(&f->batch, &network, 1, 1, 3);
    assert_int_equal(append_batch(f->chain, &f->batch), 0);
    add_interval(&f->batch, &network, 2, 1, 3);
    assert_int_equal(check_and_forget(f), SEALMQ_E_STALE);
    add_interval(&f->batch, &network, 2, 3, 4);
    assert_int_equal(check_and_forget(f), SEALMQ_E_STALE);
    add_interval(&f->batch, &network, 2, 5, 6);
    assert_int_equal(check_and_forget(f), SEALMQ_E_AGAIN);
    add_interval(&f->batch, &network, 2, 4, 6);
    assert_int_equal(check_and_forget(f), 0);
    add_interval(&f->batch, &network, 2, 4, 3);
    assert_int_equal(check_and_forget(f), 0);
    /* Several in one block. */
    add_interval(&f->batch, &network, 2, 4, 6);
    add_interval(&f->batch, &network, 3, 7, 6);
    add_interval(&f->batch, &network, 4, 7, 9);
    assert_int_equal(append_batch(f->chain, &f->batch), 0);
}

static void only_pending_leaves_can_be_resolved_and_once(void **state)
{
    struct fixture *f = *state;
    struct interval_leaf first[] = {leaf_of(1, LEAF_PENDING), leaf_of(2, LEAF_ACKNOWLEDGED),
                                    leaf_of(3, LEAF_DROPPED), leaf_of(4, LEAF_PENDING),
                                    leaf_of(5, LEAF_PENDING)};
    add_data(&f->batch, &network, 1, 1, first, 5, NULL, 0);
    assert_int_equal(append_batch(f->chain, &f->batch), 0);
    uint64_t next;
    size_t pending;
    chain_history_next(f->chain, BYTES_LIT(GATEWAY), &next, &pending);
    assert_int_equal(pending, 3);

    for (uint64_t n = 2; n <= 3; n++) {
        struct interval_leaf leaf = leaf_of(n, LEAF_ACKNOWLEDGED);
        add_data(&f->batch, &network, 2, 6, &leaf, 1, NULL, 0);
        assert_int_equal(check_and_forget(f), SEALMQ_E_CONFLICT);
    }
    struct interval_leaf one_is_not[] = {leaf_of(1, LEAF_DROPPED), leaf_of(2, LEAF_DROPPED),
                                         leaf_of(4, LEAF_DROPPED)};
    add_data(&f->batch, &network, 2, 6, one_is_not, 3, NULL, 0);
    assert_int_equal(check_and_forget(f), SEALMQ_E_CONFLICT);

    struct interval_leaf second[] = {leaf_of(1, LEAF_ACKNOWLEDGED), leaf_of(5, LEAF_DROPPED),
                                     leaf_of(6, LEAF_PENDING)};
    add_data(&f->batch, &network, 2, 6, second, 3, NULL, 0);
    struct interval_leaf third[] = {leaf_of(4, LEAF_ACKNOWLEDGED), leaf_of(6, LEAF_ACKNOWLEDGED)};
    add_data(&f->batch, &network, 3, 7, third, 2, NULL, 0);
    assert_int_equal(append_batch(f->chain, &f->batch), 0);
    chain_history_next(f->chain, BYTES_LIT(GATEWAY), &next, &pending);
    assert_int_equal(next, 7);
    assert_int_equal(pending, 0);
    add_data(&f->batch, &network, 4, 7, third, 1, NULL, 0);
    assert_int_equal(check_and_forget(f), SEALMQ_E_CONFLICT);
}

static void pending_leaves_are_bounded(void **state)
{
    struct fixture *f = *state;
    static struct interval_leaf leaves[PENDING_MAX + 1];
    for (size_t i = 0; i <= PENDING_MAX; i++)
        leaves[i] = leaf_of(i + 1, LEAF_PENDING);
    add_data(&f->batch, &network, 1, 1, leaves, PENDING_MAX + 1, NULL, 0);
    assert_int_equal(check_and_forget(f), SEALMQ_E_LIMIT);
    add_data(&f->batch, &network, 1, 1, leaves, PENDING_MAX, NULL, 0);
    assert_int_equal(append_batch(f->chain, &f->batch), 0);
    add_data(&f->batch, &network, 2, PENDING_MAX + 1, &leaves[PENDING_MAX], 1, NULL, 0);
    assert_int_equal(check_and_forget(f), SEALMQ_E_LIMIT);
    struct interval_leaf swap[] = {leaf_of(17, LEAF_DROPPED), leaves[PENDING_MAX]};
    add_data(&f->batch, &network, 2, PENDING_MAX + 1, swap, 2, NULL, 0);
    assert_int_equal(append_batch(f->chain, &f->batch), 0);
    uint64_t next;
    size_t pending;
    chain_history_next(f->chain, BYTES_LIT(GATEWAY), &next, &pending);
    assert_int_equal(pending, PENDING_MAX);
}

/* --- items and records --- */

static int check_record(struct fixture *f, struct record record)
{
    add_data(&f->batch, &network, 5, 1, NULL, 0, &record, 1);
    return check_and_forget(f);
}

static void records_are_of_described_items_and_fit_them(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(check_record(f, record_of("D1", 1, "36")), SEALMQ_E_NOTFOUND);
    struct item items[] = {item_of(1, "D1", "t"), item_of(2, "D2", "t")};
    items[1].type = DATATYPE_BOOL;
    add_describe(&f->batch, &network, 1, items, 2);
    assert_int_equal(append_batch(f->chain, &f->batch), 0);
    assert_int_equal(check_record(f, record_of("D1", 1, "36")), 0);
    assert_int_equal(check_record(f, record_of("D1", 1, "warm")), SEALMQ_E_TYPE);
    assert_int_equal(check_record(f, record_of("D2", 1, "36")), SEALMQ_E_CONFLICT);
    assert_int_equal(check_record(f, record_of("D2", 2, "true")), 0);
    assert_int_equal(check_record(f, record_of("D2", 2, "1")), SEALMQ_E_TYPE);
    assert_int_equal(check_record(f, record_of("D2", 3, "1")), SEALMQ_E_NOTFOUND);
}

static void items_may_be_described_earlier_in_the_same_block(void **state)
{
    struct fixture *f = *state;
    struct item item = item_of(1, "D1", "t");
    struct record record = record_of("D1", 1, "36");
    add_data(&f->batch, &network, 2, 1, NULL, 0, &record, 1);
    add_describe(&f->batch, &network, 1, &item, 1);
    assert_int_equal(append_batch(f->chain, &f->batch), SEALMQ_E_NOTFOUND);
    add_describe(&f->batch, &network, 1, &item, 1);
    add_data(&f->batch, &network, 2, 1, NULL, 0, &record, 1);
    assert_int_equal(append_batch(f->chain, &f->batch), 0);
}

static int check_item(struct fixture *f, struct item item)
{
    add_describe(&f->batch, &network, 9, &item, 1);
    return check_and_forget(f);
}

static void items_are_defined_once_and_for_ever(void **state)
{
    struct fixture *f = *state;
    struct item item = item_of(5, "D1", "t");
    add_describe(&f->batch, &network, 1, &item, 1);
    add_describe(&f->batch, &network, 2, &item, 1);
    assert_int_equal(append_batch(f->chain, &f->batch), 0);
    assert_int_equal(check_item(f, item), 0);

    struct item changed = item;
    changed.type = DATATYPE_INT;
    assert_int_equal(check_item(f, changed), SEALMQ_E_CONFLICT);
    changed = item;
    changed.unit = BYTES_LIT("K");
    assert_int_equal(check_item(f, changed), SEALMQ_E_CONFLICT);
    changed = item;
    changed.name = BYTES_LIT("u");
    assert_int_equal(check_item(f, changed), SEALMQ_E_CONFLICT);
    changed = item;
    changed.num = 6;
    assert_int_equal(check_item(f, changed), SEALMQ_E_CONFLICT);
    changed.service = BYTES_LIT("CT");
    assert_int_equal(check_item(f, changed), 0);
}

static void items_of_one_gateway_are_not_anothers(void **state)
{
    struct fixture *f = *state;
    struct item item = item_of(5, "D1", "t");
    add_describe(&f->batch, &network, 1, &item, 1);
    assert_int_equal(append_batch(f->chain, &f->batch), 0);
    struct item other = item_of(5, "D9", "x");
    assert_int_equal(request_make_describe(BYTES_LIT("broker/000"), 1, &other, 1,
                                           &network.validators[0], &network.genesis.hash,
                                           batch_add(&f->batch)),
                     0);
    assert_int_equal(append_batch(f->chain, &f->batch), 0);
    struct item found;
    assert_int_equal(chain_item(f->chain, BYTES_LIT("broker/000"), 5, &found), 0);
    assert_true(bytes_equal(found.device, BYTES_LIT("D9")));
}

static void items_of_a_gateway_are_bounded(void **state)
{
    struct fixture *f = *state;
    static struct item items[REQUEST_ITEMS_MAX];
    static char names[REQUEST_ITEMS_MAX][16];
    uint32_t num = 1;
    uint64_t number = 1;
    while (num <= GATEWAY_ITEMS_MAX) {
        for (size_t i = 0; i < REQUEST_ITEMS_MAX; i++, num++) {
            snprintf(names[i], sizeof(names[i]), "n%u", (unsigned)(num * 7919 % 65537));
            items[i] = item_of(num, "D1", names[i]);
        }
        add_describe(&f->batch, &network, number++, items, REQUEST_ITEMS_MAX);
        assert_int_equal(append_batch(f->chain, &f->batch), 0);
    }
    add_describe(&f->batch, &network, number, items, REQUEST_ITEMS_MAX);
    assert_int_equal(check_and_forget(f), 0); /* nothing new */
    struct item more = item_of(GATEWAY_ITEMS_MAX + 1, "D1", "more");
    add_describe(&f->batch, &network, number, &more, 1);
    assert_int_equal(check_and_forget(f), SEALMQ_E_FULL);
}

/* --- senders --- */

static int make_data_of(struct fixture *f, const char *sender, const struct sign_key *key)
{
    struct request_data data = {.sender = bytes_str(sender), .number = 1, .from = 1, .to = 0};
    return request_make_data(&data, key, &network.genesis.hash, batch_add(&f->batch));
}

static int check_signatures_and_forget(struct fixture *f)
{
    struct request request = batch_last(&f->batch);
    int error = chain_check_signatures(f->chain, &request);
    buf_close(&f->batch.wires[--f->batch.n]);
    return error;
}

static void data_is_sent_by_members_only(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *sender;
        int error;
    } cases[] = {{GATEWAY, 0},
                 {"broker/001", 0},
                 {"devices/other", SEALMQ_E_UNKNOWN},
                 {"admin/a", SEALMQ_E_DENIED},
                 {"admin/z", SEALMQ_E_UNKNOWN}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(make_data_of(f, cases[i].sender, &network.other), 0);
        assert_int_equal(check_last(f), cases[i].error);
        assert_int_equal(check_signatures_and_forget(f),
                         cases[i].error == 0 ? SEALMQ_E_SIGNATURE : cases[i].error);
    }
    assert_int_equal(make_data_of(f, GATEWAY, &network.gateway), 0);
    assert_int_equal(check_signatures_and_forget(f), 0);
    assert_int_equal(make_data_of(f, "broker/001", &network.validators[1]), 0);
    assert_int_equal(check_signatures_and_forget(f), 0);
    assert_int_equal(make_data_of(f, "broker/001", &network.validators[0]), 0);
    assert_int_equal(check_signatures_and_forget(f), SEALMQ_E_SIGNATURE);
}

static int make_register(struct fixture *f, const char *sender, const char *id,
                         enum member_role role, const struct sign_key *of)
{
    return request_make_register(bytes_str(sender), 9, bytes_str(id), role, &of->public_key,
                                 &network.admins[0], &network.genesis.hash, batch_add(&f->batch));
}

static int check_register(struct fixture *f, const char *sender, const char *id,
                          const struct sign_key *of)
{
    assert_int_equal(make_register(f, sender, id, MEMBER_GATEWAY, of), 0);
    return check_and_forget(f);
}

static void members_are_registered_by_admins_only(void **state)
{
    struct fixture *f = *state;
    const struct sign_key *key = &network.other;
    assert_int_equal(check_register(f, "admin/b", "devices/new", key), 0);
    assert_int_equal(check_register(f, "admin/z", "devices/new", key), SEALMQ_E_UNKNOWN);
    assert_int_equal(check_register(f, GATEWAY, "devices/new", key), SEALMQ_E_DENIED);
    assert_int_equal(check_register(f, "broker/000", "devices/new", key), SEALMQ_E_DENIED);
}

static void as_many_admins_must_sign_as_the_genesis_says(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(make_register(f, "admin/a", "devices/new", MEMBER_GATEWAY, &network.other), 0);
    assert_int_equal(check_signatures_and_forget(f), SEALMQ_E_DENIED);
    add_register(&f->batch, &network, 9, "devices/new", &network.other);
    assert_int_equal(check_signatures_and_forget(f), 0);

    /* The second signature is one of a stranger, or of the right admin by another key. */
    static const struct {
        const char *signer;
        unsigned key;
        int error;
    } cases[] = {{"admin/b", 1, 0},
                 {"admin/z", 1, SEALMQ_E_UNKNOWN},
                 {"admin/b", 2, SEALMQ_E_SIGNATURE},
                 {"broker/000", 1, SEALMQ_E_UNKNOWN}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf alone = {0};
        assert_int_equal(request_make_register(BYTES_LIT("admin/a"), 9, BYTES_LIT("devices/new"),
                                               MEMBER_GATEWAY, &network.other.public_key,
                                               &network.admins[0], &network.genesis.hash, &alone),
                         0);
        assert_int_equal(request_cosign(buf_bytes(&alone), bytes_str(cases[i].signer),
                                        &network.admins[cases[i].key], &network.genesis.hash,
                                        batch_add(&f->batch)),
                         0);
        assert_int_equal(check_signatures_and_forget(f), cases[i].error);
        buf_close(&alone);
    }
}

static void ids_and_keys_have_one_owner(void **state)
{
    struct fixture *f = *state;
    const char *a = "admin/a";
    assert_int_equal(check_register(f, a, GATEWAY, &network.gateway), SEALMQ_E_EXISTS);
    assert_int_equal(check_register(f, a, GATEWAY, &network.other), SEALMQ_E_CONFLICT);
    assert_int_equal(check_register(f, a, "devices/new", &network.gateway), SEALMQ_E_CONFLICT);
    assert_int_equal(check_register(f, a, "devices/new", &network.validators[3]),
                     SEALMQ_E_CONFLICT);
    assert_int_equal(check_register(f, a, "devices/new", &network.admins[2]), SEALMQ_E_CONFLICT);
    struct sign_key derived;
    sign_key_derive(&network.validators[3], LOG_KEY_PURPOSE, &derived);
    assert_int_equal(check_register(f, a, "devices/new", &derived), SEALMQ_E_CONFLICT);
    assert_int_equal(check_register(f, a, "broker/000", &network.other), SEALMQ_E_CONFLICT);
    assert_int_equal(check_register(f, a, "devices/new", &network.other), 0);
}

/* --- members over time --- */

static void changes_of_members_take_effect_with_the_next_block(void **state)
{
    struct fixture *f = *state;
    struct sign_key key;
    network_key(9, 0, &key);
    add_register(&f->batch, &network, 2, "devices/new", &key);
    assert_int_equal(make_data_of(f, "devices/new", &key), 0);
    assert_int_equal(append_batch(f->chain, &f->batch), SEALMQ_E_UNKNOWN);
    add_register(&f->batch, &network, 2, "devices/new", &key);
    assert_int_equal(append_batch(f->chain, &f->batch), 0);
    assert_int_equal(make_data_of(f, "devices/new", &key), 0);
    assert_int_equal(check_last(f), 0);
    assert_int_equal(check_signatures_and_forget(f), 0);

    add_revoke(&f->batch, &network, 3, "devices/new");
    assert_int_equal(make_data_of(f, "devices/new", &key), 0);
    assert_int_equal(append_batch(f->chain, &f->batch), 0); /* still valid in that block */
    assert_int_equal(make_data_of(f, "devices/new", &key), 0);
    assert_int_equal(check_last(f), SEALMQ_E_REVOKED);
    assert_int_equal(check_signatures_and_forget(f), SEALMQ_E_REVOKED);

    struct member member;
    assert_int_equal(chain_member(f->chain, BYTES_LIT("devices/new"), &member), 0);
    assert_int_equal(member.status, MEMBER_REVOKED);
    assert_int_equal(member.since_height, 3);
    assert_int_equal(member.revoked_height, 3);
}

static void a_member_changes_once_in_a_block(void **state)
{
    struct fixture *f = *state;
    struct sign_key a, b;
    network_key(9, 0, &a);
    network_key(9, 1, &b);
    add_register(&f->batch, &network, 2, "devices/new", &a);
    add_revoke(&f->batch, &network, 3, "devices/new");
    assert_int_equal(append_batch(f->chain, &f->batch), SEALMQ_E_AGAIN);
    add_register(&f->batch, &network, 2, "devices/new", &a);
    add_register(&f->batch, &network, 3, "devices/new", &a);
    assert_int_equal(append_batch(f->chain, &f->batch), SEALMQ_E_EXISTS);
    add_register(&f->batch, &network, 2, "devices/new", &a);
    assert_int_equal(append_batch(f->chain, &f->batch), 0);
    add_revoke(&f->batch, &network, 3, "devices/new");
    add_register(&f->batch, &network, 4, "devices/new", &b);
    assert_int_equal(append_batch(f->chain, &f->batch), SEALMQ_E_AGAIN);
}

static void a_revoked_member_comes_back_with_a_new_key_only(void **state)
{
    struct fixture *f = *state;
    struct sign_key key;
    network_key(9, 0, &key);
    add_revoke(&f->batch, &network, 2, "devices/none");
    assert_int_equal(check_and_forget(f), SEALMQ_E_UNKNOWN);
    add_interval(&f->batch, &network, 1, 1, 3);
    add_revoke(&f->batch, &network, 2, GATEWAY);
    assert_int_equal(append_batch(f->chain, &f->batch), 0);
    add_revoke(&f->batch, &network, 3, GATEWAY);
    assert_int_equal(check_and_forget(f), SEALMQ_E_REVOKED);
    assert_int_equal(check_register(f, "admin/a", GATEWAY, &network.gateway), SEALMQ_E_CONFLICT);
    add_register(&f->batch, &network, 3, GATEWAY, &key);
    assert_int_equal(append_batch(f->chain, &f->batch), 0);

    assert_int_equal(make_data_of(f, GATEWAY, &network.gateway), 0);
    assert_int_equal(check_signatures_and_forget(f), SEALMQ_E_SIGNATURE);
    assert_int_equal(make_data_of(f, GATEWAY, &key), 0);
    assert_int_equal(check_signatures_and_forget(f), 0);
    /* Numbers and history go on. */
    assert_int_equal(chain_request_next(f->chain, BYTES_LIT(GATEWAY)), 2);
    uint64_t next;
    size_t pending;
    chain_history_next(f->chain, BYTES_LIT(GATEWAY), &next, &pending);
    assert_int_equal(next, 4);
    /* The old key is nobody's. */
    assert_int_equal(check_register(f, "admin/a", "devices/new", &network.gateway),
                     SEALMQ_E_CONFLICT);
}

static void the_keys_of_a_member_are_remembered_and_bounded(void **state)
{
    struct fixture *f = *state;
    uint64_t number = 2;
    for (unsigned i = 1; i < MEMBER_KEYS_MAX; i++) {
        struct sign_key key;
        network_key(9, i, &key);
        add_revoke(&f->batch, &network, number++, GATEWAY);
        assert_int_equal(append_batch(f->chain, &f->batch), 0);
        add_register(&f->batch, &network, number++, GATEWAY, &key);
        assert_int_equal(append_batch(f->chain, &f->batch), 0);
    }
    add_revoke(&f->batch, &network, number++, GATEWAY);
    assert_int_equal(append_batch(f->chain, &f->batch), 0);
    add_register(&f->batch, &network, number, GATEWAY, &network.other);
    assert_int_equal(check_and_forget(f), SEALMQ_E_FULL);

    struct buf value = {0};
    struct statetree_path path;
    assert_int_equal(chain_prove_state(f->chain, BYTES_LIT("member/" GATEWAY), &value, &path), 0);
    struct member_value member;
    assert_int_equal(member_value_decode(buf_bytes(&value), &member), 0);
    assert_int_equal(member.key_count, MEMBER_KEYS_MAX);
    assert_memory_equal(member.keys[0].key.b, network.gateway.public_key.b, PUBLIC_KEY_SIZE);
    assert_int_equal(member.keys[0].from, 2);
    assert_int_equal(member.keys[0].until, 3); /* revoked at height 2, valid in it */
    assert_int_equal(member.keys[1].from, 4);
    buf_close(&value);
}

#define IN_A_CHAIN(test) cmocka_unit_test_setup_teardown(test, make_chain, free_chain)

int main(void)
{
    const struct CMUnitTest tests[] = {
        IN_A_CHAIN(numbers_are_used_once_and_within_the_window),
        IN_A_CHAIN(a_filled_gap_moves_the_window_past_all_used),
        IN_A_CHAIN(a_request_twice_in_a_block_spoils_it),
        IN_A_CHAIN(intervals_join_on_to_one_another),
        IN_A_CHAIN(only_pending_leaves_can_be_resolved_and_once),
        IN_A_CHAIN(pending_leaves_are_bounded),
        IN_A_CHAIN(records_are_of_described_items_and_fit_them),
        IN_A_CHAIN(items_may_be_described_earlier_in_the_same_block),
        IN_A_CHAIN(items_are_defined_once_and_for_ever),
        IN_A_CHAIN(items_of_one_gateway_are_not_anothers),
        IN_A_CHAIN(items_of_a_gateway_are_bounded),
        IN_A_CHAIN(data_is_sent_by_members_only),
        IN_A_CHAIN(members_are_registered_by_admins_only),
        IN_A_CHAIN(as_many_admins_must_sign_as_the_genesis_says),
        IN_A_CHAIN(ids_and_keys_have_one_owner),
        IN_A_CHAIN(changes_of_members_take_effect_with_the_next_block),
        IN_A_CHAIN(a_member_changes_once_in_a_block),
        IN_A_CHAIN(a_revoked_member_comes_back_with_a_new_key_only),
        IN_A_CHAIN(the_keys_of_a_member_are_remembered_and_bounded),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
