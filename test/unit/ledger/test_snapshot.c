#include "unit/ledger/network.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ledger/snapshot.h"

#include <stdio.h>
#include <stdlib.h>

#define CHUNKS_KEPT 64

/* A snapshot in memory. */
struct taken {
    struct buf manifest;
    struct buf chunks[CHUNKS_KEPT];
    uint32_t n;
};

static struct network network;

static int setup(void **state)
{
    (void)state;
    network_make(&network, 4, 1);
    return 0;
}

static int keep_chunk(void *context, uint32_t at, struct bytes chunk)
{
    struct taken *taken = context;
    assert_int_equal(at, taken->n);
    assert_true(at < CHUNKS_KEPT);
    buf_append_bytes(&taken->chunks[taken->n++], chunk);
    return 0;
}

static void take(const struct chain *chain, struct taken *out)
{
    *out = (struct taken){0};
    assert_int_equal(snapshot_make(chain, keep_chunk, out, &out->manifest), 0);
}

static void taken_close(struct taken *taken)
{
    buf_close(&taken->manifest);
    for (uint32_t i = 0; i < CHUNKS_KEPT; i++)
        buf_close(&taken->chunks[i]);
}

static int restore(const struct taken *taken, const struct block_header *next, struct chain **out)
{
    struct snapshot snapshot;
    struct chain_restore *work;
    *out = NULL;
    int error = snapshot_decode(buf_bytes(&taken->manifest), &snapshot);
    if (error == 0)
        error = chain_restore_begin(&network.genesis, &snapshot, &work);
    if (error != 0)
        return error;
    for (uint32_t i = 0; i < taken->n && error == 0; i++)
        error = chain_restore_chunk(work, buf_bytes(&taken->chunks[i]));
    if (error == 0)
        error = chain_restore_end(work, next, out);
    chain_restore_free(work);
    return error;
}

/* Described in requests 1 and, if they are many, 10 and up. */
static void add_items(struct batch *batch, size_t count)
{
    struct item *items = calloc(count, sizeof(*items));
    char(*names)[24] = calloc(count, sizeof(*names));
    assert_non_null(items);
    assert_non_null(names);
    for (size_t i = 0; i < count; i++) {
        snprintf(names[i], sizeof(names[i]), "n%zu", i);
        items[i] = item_of((uint32_t)(i + 1), "D1", names[i]);
    }
    uint64_t number = 1;
    for (size_t i = 0; i < count; i += REQUEST_ITEMS_MAX) {
        size_t left = count - i;
        add_describe(batch, &network, number, &items[i],
                     left < REQUEST_ITEMS_MAX ? left : REQUEST_ITEMS_MAX);
        number = number == 1 ? 10 : number + 1;
    }
    free(items);
    free(names);
}

/* Another set than the genesis's, of whom one has left and one has other keys, and other rules; by
 * admin/b. */
static void govern(struct chain *chain)
{
    struct batch batch = {0};
    struct sign_key keys[3];
    for (unsigned i = 0; i < 3; i++)
        network_key(60, i, &keys[i]);
    add_join(&batch, &network, chain, 20, "broker/n1", &keys[0]);
    assert_int_equal(append_batch(chain, &batch), 0);
    add_rotate(&batch, &network, 1, "broker/002", MEMBER_VALIDATOR, &keys[1],
               &network.validators[2]);
    add_configure(&batch, &network, 21, CONFIGURE_PARAMETERS, bytes_of("\0\0\0\1\0", 5));
    assert_int_equal(append_batch(chain, &batch), 0);
    add_revoke(&batch, &network, 22, "broker/n1");
    struct admins_value admins = *chain_admins(chain);
    admins.admins[2].key = keys[2].public_key;
    struct buf value = {0};
    admins_value_encode(&admins, &value);
    add_configure(&batch, &network, 23, CONFIGURE_ADMINS, buf_bytes(&value));
    assert_int_equal(append_batch(chain, &batch), 0);
    buf_close(&value);
}

/* Everything that a state can hold: items, a history with pending numbers, a window with gaps, and
 * members that came and went. */
static struct chain *full_chain(size_t item_count)
{
    struct chain *chain = network_chain(&network);
    struct batch batch = {0};
    add_items(&batch, item_count);
    struct interval_leaf leaves[40];
    for (uint64_t n = 1; n <= 40; n++)
        leaves[n - 1] = leaf_of(n, n % 3 == 0 ? LEAF_PENDING : LEAF_ACKNOWLEDGED);
    struct record record = record_of("D1", 1, "36");
    add_data(&batch, &network, 2, 1, leaves, 40, &record, 1);
    add_data(&batch, &network, 7, 41, NULL, 0, &record, 1);
    struct sign_key keys[3];
    for (unsigned i = 0; i < 3; i++) {
        char id[24];
        network_key(30, i, &keys[i]);
        snprintf(id, sizeof(id), "devices/n%u", i);
        add_register(&batch, &network, 2 + i, id, &keys[i]);
    }
    assert_int_equal(append_batch(chain, &batch), 0);
    add_revoke(&batch, &network, 5, "devices/n1");
    assert_int_equal(append_batch(chain, &batch), 0);
    govern(chain);
    return chain;
}

/* The header of the block that follows, of which the snapshot is made true. */
static struct block_header next_of(struct chain *chain)
{
    struct block_header next;
    chain_next_header(chain, &next);
    return next;
}

static void assert_same_chain(struct chain *a, struct chain *b)
{
    struct hash root_a, root_b;
    assert_int_equal(chain_height(a), chain_height(b));
    assert_true(hash_equal(chain_tip_hash(a), chain_tip_hash(b)));
    chain_state_root(a, &root_a);
    chain_state_root(b, &root_b);
    assert_true(hash_equal(&root_a, &root_b));
    chain_log_root(a, &root_a);
    chain_log_root(b, &root_b);
    assert_true(hash_equal(&root_a, &root_b));
}

/* Appends the same requests to both, and expects the same of both. */
static void append_both(struct chain *a, struct chain *b, struct batch *batch, int want)
{
    struct buf wire = {0};
    struct block block;
    make_block(a, batch, &wire);
    assert_int_equal(block_decode(buf_bytes(&wire), &block), 0);
    assert_int_equal(chain_append(a, &block), want);
    assert_int_equal(chain_append(b, &block), want);
    assert_same_chain(a, b);
    buf_close(&wire);
    batch_close(batch);
    *batch = (struct batch){0};
}

static void a_chain_goes_on_from_a_snapshot_as_if_it_had_all_blocks(void **state)
{
    (void)state;
    struct chain *chain = full_chain(100), *back;
    struct block_header next = next_of(chain);
    struct taken taken;
    take(chain, &taken);
    assert_int_equal(restore(&taken, &next, &back), 0);
    assert_same_chain(chain, back);
    assert_int_equal(chain_request_next(back, BYTES_LIT(GATEWAY)), 3);
    assert_true(chain_request_used(back, BYTES_LIT(GATEWAY), 7));
    uint64_t covered;
    size_t pending;
    chain_history_next(back, BYTES_LIT(GATEWAY), &covered, &pending);
    assert_int_equal(covered, 41);
    assert_int_equal(pending, 13);
    struct item item;
    assert_int_equal(chain_item(back, BYTES_LIT(GATEWAY), 77, &item), 0);
    assert_true(bytes_equal(item.name, BYTES_LIT("n76")));

    struct batch batch = {0};
    struct interval_leaf resolving[] = {leaf_of(3, LEAF_DROPPED), leaf_of(41, LEAF_PENDING)};
    add_data(&batch, &network, 3, 41, resolving, 2, NULL, 0);
    append_both(chain, back, &batch, 0);
    add_data(&batch, &network, 7, 42, NULL, 0, NULL, 0);
    append_both(chain, back, &batch, SEALMQ_E_REPLAY);
    struct sign_key key;
    network_key(30, 1, &key); /* of devices/n1, revoked: it never returns */
    add_register(&batch, &network, 6, "devices/n9", &key);
    append_both(chain, back, &batch, SEALMQ_E_CONFLICT);
    network_key(30, 9, &key);
    add_register(&batch, &network, 6, "devices/n1", &key);
    append_both(chain, back, &batch, 0);

    /* Whoever has left has the keys for ever; a joiner may name a header of before. */
    struct validator old = network_validator("broker/n1", &network.other);
    network_key(60, 0, &key);
    old.log_key = network_validator("broker/n1", &key).log_key;
    for (int good = 0; good < 2; good++) {
        struct buf join = {0};
        struct hash leaf;
        if (good == 1)
            old = network_validator("broker/n1", &network.other);
        merkle_log_leaf(chain_log(chain), 1, &leaf);
        assert_int_equal(
            request_make_join(&old, 1, &leaf, &network.other, &network.genesis.hash, &join), 0);
        assert_int_equal(request_make_register_validator(BYTES_LIT("admin/a"), 24, buf_bytes(&join),
                                                         &network.admins[0], &network.genesis.hash,
                                                         batch_add(&batch)),
                         0);
        append_both(chain, back, &batch, good == 1 ? 0 : SEALMQ_E_CONFLICT);
        buf_close(&join);
    }
    assert_int_equal(chain_validators(back)->n, 5);
    assert_int_equal(chain_parameters(back)->anchor_interval_ms, 256);
    taken_close(&taken);
    chain_free(chain);
    chain_free(back);
}

static void the_genesis_state_can_be_a_snapshot(void **state)
{
    (void)state;
    struct chain *chain, *back;
    assert_int_equal(chain_new(&network.genesis, &chain), 0);
    struct block_header next = next_of(chain);
    struct taken taken;
    take(chain, &taken);
    assert_int_equal(restore(&taken, &next, &back), 0);
    assert_same_chain(chain, back);
    taken_close(&taken);
    chain_free(chain);
    chain_free(back);
}

static void a_snapshot_of_a_restored_chain_is_the_same_bytes(void **state)
{
    (void)state;
    struct chain *chain = full_chain(8000), *back; /* several chunks */
    struct block_header next = next_of(chain);
    struct taken taken, again;
    take(chain, &taken);
    assert_true(taken.n > 1);
    assert_int_equal(restore(&taken, &next, &back), 0);
    take(back, &again);
    assert_int_equal(again.n, taken.n);
    assert_true(bytes_equal(buf_bytes(&again.manifest), buf_bytes(&taken.manifest)));
    for (uint32_t i = 0; i < taken.n; i++) {
        assert_true(taken.chunks[i].n <= SNAPSHOT_CHUNK_BYTES);
        assert_true(bytes_equal(buf_bytes(&again.chunks[i]), buf_bytes(&taken.chunks[i])));
    }
    taken_close(&taken);
    taken_close(&again);
    chain_free(chain);
    chain_free(back);
}

static void nothing_else_passes_for_a_snapshot_of_the_next_header(void **state)
{
    (void)state;
    struct chain *chain = full_chain(3), *back;
    const struct block_header next = next_of(chain);
    struct taken taken;
    take(chain, &taken);
    struct block_header other = next;
    other.height++;
    assert_int_equal(restore(&taken, &other, &back), SEALMQ_E_HASH);
    other = next;
    other.parent.b[0] ^= 1;
    assert_int_equal(restore(&taken, &other, &back), SEALMQ_E_HASH);
    other = next;
    other.log_root.b[0] ^= 1;
    assert_int_equal(restore(&taken, &other, &back), SEALMQ_E_HASH);
    other = next;
    other.state_root.b[0] ^= 1;
    assert_int_equal(restore(&taken, &other, &back), SEALMQ_E_HASH);

    for (size_t i = 0; i < taken.manifest.n; i++) {
        taken.manifest.p[i] ^= 1;
        assert_int_not_equal(restore(&taken, &next, &back), 0);
        assert_null(back);
        taken.manifest.p[i] ^= 1;
    }
    uint8_t last = taken.manifest.p[--taken.manifest.n];
    assert_int_equal(restore(&taken, &next, &back), SEALMQ_E_SHORT);
    taken.manifest.n++;
    assert_int_equal(taken.manifest.p[taken.manifest.n - 1], last);
    taken.n--;
    assert_int_equal(restore(&taken, &next, &back), SEALMQ_E_COUNT);
    taken.n++;
    taken_close(&taken);
    chain_free(chain);
}

/* A manifest that fits the chunk, whatever that is. */
static void name_chunk(struct taken *taken)
{
    struct hash hash;
    hash_sha256(buf_bytes(&taken->chunks[0]), &hash);
    memcpy(taken->manifest.p + taken->manifest.n - HASH_SIZE, hash.b, HASH_SIZE);
}

static void a_changed_entry_is_noticed_by_the_state_root(void **state)
{
    (void)state;
    struct chain *chain = full_chain(3), *back;
    const struct block_header next = next_of(chain);
    struct taken taken;
    take(chain, &taken);
    assert_int_equal(taken.n, 1);
    for (size_t i = 0; i < taken.chunks[0].n; i++) {
        taken.chunks[0].p[i] ^= 1;
        name_chunk(&taken);
        assert_int_not_equal(restore(&taken, &next, &back), 0);
        assert_null(back);
        taken.chunks[0].p[i] ^= 1;
    }
    name_chunk(&taken);
    assert_int_equal(restore(&taken, &next, &back), 0);
    chain_free(back);
    size_t size = taken.chunks[0].n;
    for (taken.chunks[0].n = 0; taken.chunks[0].n < size; taken.chunks[0].n++) {
        name_chunk(&taken);
        assert_int_not_equal(restore(&taken, &next, &back), 0);
    }
    taken_close(&taken);
    chain_free(chain);
}

/* One entry alone, which no state has: refused as it is read. */
#define KEY_DIGITS_LESS_ONE "123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define KEY_DIGITS          "0" KEY_DIGITS_LESS_ONE

static void entries_that_no_state_has_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *key;
        struct bytes value;
        int error;
    } cases[] = {
        {"", {0}, SEALMQ_E_PARSE},
        {"other", {0}, SEALMQ_E_PARSE},
        {"member", {0}, SEALMQ_E_PARSE},
        {"member/x", {0}, SEALMQ_E_PARSE},
        {"member/devices/iot", {0}, SEALMQ_E_SHORT},
        {"window/devices/iot",
         {(const uint8_t *)"\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 16},
         SEALMQ_E_PARSE},
        {"window/devices/iot",
         {(const uint8_t *)"\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\0\0", 17},
         SEALMQ_E_PARSE},
        {"history/devices/iot", {(const uint8_t *)"\0\0\0\0\0\0\0\1\0\0\0\0", 12}, SEALMQ_E_PARSE},
        {"history/devices/iot",
         {(const uint8_t *)"\0\0\0\0\0\0\0\2\0\0\x10\1", 12},
         SEALMQ_E_LIMIT},
        {"history/devices/iot",
         {(const uint8_t *)"\0\0\0\0\0\0\0\2\0\0\0\1\0\0\0\0\0\0\0\2", 20},
         SEALMQ_E_PARSE},
        {"item/devices/iot/01", {(const uint8_t *)"\1D\1s\1n\1\0", 8}, SEALMQ_E_PARSE},
        {"item/devices/iot/4294967296", {(const uint8_t *)"\1D\1s\1n\1\0", 8}, SEALMQ_E_PARSE},
        {"item/devices/1", {(const uint8_t *)"\1D\1s\1n\1\0", 8}, SEALMQ_E_PARSE},
        {"item/devices/iot/1", {(const uint8_t *)"\1D\1s\1n\7\0", 8}, SEALMQ_E_TYPE},
        {"admins", {0}, SEALMQ_E_SHORT},
        {"validators", {0}, SEALMQ_E_SHORT},
        {"validators", {(const uint8_t *)"\0", 1}, SEALMQ_E_LIMIT},
        {"parameters", {0}, SEALMQ_E_SHORT},
        {"parameters", {(const uint8_t *)"\0\0\0\0\0", 5}, SEALMQ_E_LIMIT},
        {"key/", {0}, SEALMQ_E_PARSE},
        {"key/" KEY_DIGITS, {0}, SEALMQ_E_SHORT},
        {"key/" KEY_DIGITS, {(const uint8_t *)"\1\3d/x", 5}, SEALMQ_E_TYPE},
        {"key/" KEY_DIGITS, {(const uint8_t *)"\4\3d/x", 5}, SEALMQ_E_PARSE},
        {"key/A" KEY_DIGITS_LESS_ONE, {(const uint8_t *)"\2\3d/x", 5}, SEALMQ_E_PARSE},
    };
    struct chain *chain = network_chain(&network), *back;
    const struct block_header next = next_of(chain);
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct taken taken;
        take(chain, &taken);
        buf_reset(&taken.chunks[0]);
        buf_append_str16(&taken.chunks[0], bytes_str(cases[i].key));
        buf_append_str32(&taken.chunks[0], cases[i].value);
        name_chunk(&taken);
        assert_int_equal(restore(&taken, &next, &back), cases[i].error);
        taken_close(&taken);
    }
    chain_free(chain);
}

static void entries_out_of_order_are_refused(void **state)
{
    (void)state;
    struct chain *chain = network_chain(&network), *back;
    const struct block_header next = next_of(chain);
    struct taken taken;
    take(chain, &taken);
    struct buf one = {0};
    buf_append_str16(&one, BYTES_LIT("window/devices/iot"));
    buf_append_str32(&one, bytes_of("\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\0", 16));
    buf_reset(&taken.chunks[0]);
    buf_append_bytes(&taken.chunks[0], buf_bytes(&one));
    buf_append_bytes(&taken.chunks[0], buf_bytes(&one));
    name_chunk(&taken);
    assert_int_equal(restore(&taken, &next, &back), SEALMQ_E_PARSE);
    buf_close(&one);
    taken_close(&taken);
    chain_free(chain);
}

static void a_snapshot_of_another_network_is_refused(void **state)
{
    (void)state;
    struct network other;
    struct chain *chain, *back;
    network_make(&other, 7, 1);
    assert_int_equal(chain_new(&other.genesis, &chain), 0);
    const struct block_header next = next_of(chain);
    struct taken taken;
    take(chain, &taken);
    assert_int_equal(restore(&taken, &next, &back), SEALMQ_E_NETWORK);
    taken_close(&taken);
    chain_free(chain);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_chain_goes_on_from_a_snapshot_as_if_it_had_all_blocks),
        cmocka_unit_test(the_genesis_state_can_be_a_snapshot),
        cmocka_unit_test(a_snapshot_of_a_restored_chain_is_the_same_bytes),
        cmocka_unit_test(nothing_else_passes_for_a_snapshot_of_the_next_header),
        cmocka_unit_test(a_changed_entry_is_noticed_by_the_state_root),
        cmocka_unit_test(entries_that_no_state_has_are_refused),
        cmocka_unit_test(entries_out_of_order_are_refused),
        cmocka_unit_test(a_snapshot_of_another_network_is_refused),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
