#include "unit/ledger/network.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ledger/merkle.h"

#include <stdio.h>
#include <stdlib.h>

static struct network network;

static int setup(void **state)
{
    (void)state;
    network_make(&network, 4, 2);
    return 0;
}

/* Decodes a copy that ends where its memory ends, so that reading on is seen. */
static int decode(struct bytes wire)
{
    uint8_t *copy = malloc(wire.n == 0 ? 1 : wire.n);
    assert_non_null(copy);
    if (wire.n != 0)
        memcpy(copy, wire.p, wire.n);
    struct request request;
    int error = request_decode(bytes_of(copy, wire.n), &request);
    free(copy);
    return error;
}

static void add_full_data(struct batch *batch)
{
    struct interval_leaf leaves[] = {leaf_of(3, LEAF_ACKNOWLEDGED), leaf_of(5, LEAF_DROPPED),
                                     leaf_of(10, LEAF_ACKNOWLEDGED), leaf_of(11, LEAF_DROPPED),
                                     leaf_of(12, LEAF_PENDING)};
    struct record records[] = {record_of("D1", 1, "36"), record_of("D1", 2, "6"),
                               record_of("D2", 3, "a/b/\xc3\xa4")};
    add_data(batch, &network, 7, 10, leaves, 5, records, 3);
}

static void add_one_of_each(struct batch *batch)
{
    add_full_data(batch);
    add_data(batch, &network, 8, 13, NULL, 0, NULL, 0);
    struct item items[] = {item_of(1, "D1", "temperature"), item_of(2, "D1", "humidity")};
    add_describe(batch, &network, 9, items, 2);
    add_register(batch, &network, 1, GATEWAY, &network.gateway);
    add_revoke(batch, &network, 2, GATEWAY);
}

static void data_is_read_as_it_was_made(void **state)
{
    (void)state;
    struct batch batch = {0};
    add_full_data(&batch);
    struct request request = batch_last(&batch);
    assert_int_equal(request.kind, REQUEST_DATA);
    assert_true(bytes_equal(request.sender, BYTES_LIT(GATEWAY)));
    assert_int_equal(request.number, 7);
    assert_int_equal(request.data.from, 10);
    assert_int_equal(request.data.to, 12);
    assert_int_equal(request.data.record_count, 3);
    assert_int_equal(request.data.leaf_count, 5);

    struct bytes list = request.data.records;
    struct bytes text;
    assert_true(request_records_next(&list, &text));
    assert_true(bytes_equal(text, BYTES_LIT(GATEWAY "/D1/1/20260101T000000Z/36")));
    assert_true(request_records_next(&list, &text));
    assert_true(request_records_next(&list, &text));
    assert_true(bytes_equal(text, BYTES_LIT(GATEWAY "/D2/3/20260101T000000Z/a/b/\xc3\xa4")));
    assert_false(request_records_next(&list, &text));

    list = request.data.leaves;
    struct interval_leaf leaf;
    static const uint64_t numbers[] = {3, 5, 10, 11, 12};
    for (size_t i = 0; i < 5; i++) {
        assert_true(request_leaves_next(&list, &leaf));
        assert_int_equal(leaf.n, numbers[i]);
        struct interval_leaf expected = leaf_of(numbers[i], leaf.status);
        assert_true(hash_equal(&leaf.report, &expected.report));
        assert_true(bytes_equal(leaf.node, expected.node));
    }
    assert_false(request_leaves_next(&list, &leaf));
    batch_close(&batch);
}

static void the_request_hash_covers_head_and_signatures(void **state)
{
    (void)state;
    struct batch batch = {0};
    add_full_data(&batch);
    struct request request = batch_last(&batch);
    struct hash hash;
    hash_leaf(request.leaf, &hash);
    assert_true(hash_equal(&hash, &request.hash));
    assert_int_equal(request.leaf.n, 4 + request.head.n + 1 + 1 + strlen(GATEWAY) + 64);

    struct bytes leaf;
    assert_int_equal(request_leaf_of(request.wire, &leaf), 0);
    assert_true(bytes_equal(leaf, request.leaf));
    struct request alone;
    assert_int_equal(request_decode_leaf(leaf, &alone), 0);
    assert_true(hash_equal(&alone.hash, &request.hash));
    assert_int_equal(alone.data.records.n, 0);
    assert_int_equal(alone.data.leaves.n, 0);
    assert_int_equal(request_decode_leaf(request.wire, &alone), SEALMQ_E_PARSE);
    batch_close(&batch);
}

static void one_signature_verifies_under_its_key_only(void **state)
{
    (void)state;
    struct batch batch = {0};
    add_full_data(&batch);
    struct request request = batch_last(&batch);
    struct bytes list = request.signatures;
    struct bytes signer;
    struct signature signature;
    assert_true(request_signatures_next(&list, &signer, &signature));
    assert_true(bytes_equal(signer, BYTES_LIT(GATEWAY)));
    const struct hash *genesis = &network.genesis.hash;
    assert_int_equal(request_verify(&request, &network.gateway.public_key, genesis, &signature), 0);
    assert_int_equal(request_verify(&request, &network.other.public_key, genesis, &signature),
                     SEALMQ_E_SIGNATURE);
    struct hash another = {{1}};
    assert_int_equal(request_verify(&request, &network.gateway.public_key, &another, &signature),
                     SEALMQ_E_SIGNATURE);
    batch_close(&batch);
}

static void an_input_that_ends_early_is_refused(void **state)
{
    (void)state;
    struct batch batch = {0};
    add_one_of_each(&batch);
    for (size_t i = 0; i < batch.n; i++) {
        assert_int_equal(decode(buf_bytes(&batch.wires[i])), 0);
        for (size_t n = 0; n < batch.wires[i].n; n++)
            assert_int_not_equal(decode(bytes_of(batch.wires[i].p, n)), 0);
        buf_append_u8(&batch.wires[i], 0);
        assert_int_equal(decode(buf_bytes(&batch.wires[i])), SEALMQ_E_PARSE);
    }
    batch_close(&batch);
}

/* Whatever still decodes after a flip is another request: nothing is ignored but what the
 * signatures cover and this decoder does not check, and that changes the hash. */
static void every_byte_counts(void **state)
{
    (void)state;
    struct batch batch = {0};
    add_one_of_each(&batch);
    for (size_t i = 0; i < batch.n; i++) {
        struct buf *wire = &batch.wires[i];
        struct request request;
        assert_int_equal(request_decode(buf_bytes(wire), &request), 0);
        struct hash hash = request.hash;
        for (size_t at = 0; at < wire->n; at++) {
            for (unsigned bit = 0; bit < 8; bit++) {
                wire->p[at] ^= (uint8_t)(1u << bit);
                if (request_decode(buf_bytes(wire), &request) == 0)
                    assert_false(hash_equal(&request.hash, &hash));
                wire->p[at] ^= (uint8_t)(1u << bit);
            }
        }
    }
    batch_close(&batch);
}

/* --- requests put together by hand, to be wrong in one thing --- */

struct parts {
    struct buf head, beside;
    struct bytes signer;
    unsigned signatures;
};

static void parts_begin(struct parts *parts, uint8_t kind, const char *sender, uint64_t number)
{
    *parts = (struct parts){.signer = bytes_str(sender), .signatures = 1};
    buf_append_u8(&parts->head, 1);
    buf_append_u8(&parts->head, kind);
    buf_append_str8(&parts->head, bytes_str(sender));
    buf_append_u64(&parts->head, number);
}

static int parts_decode(struct parts *parts)
{
    struct buf wire = {0};
    buf_append_str32(&wire, buf_bytes(&parts->head));
    buf_append_u8(&wire, (uint8_t)parts->signatures);
    for (unsigned i = 0; i < parts->signatures; i++) {
        buf_append_str8(&wire, parts->signer);
        memset(buf_extend(&wire, SIGNATURE_SIZE), 1, SIGNATURE_SIZE);
    }
    buf_append_bytes(&wire, buf_bytes(&parts->beside));
    int error = decode(buf_bytes(&wire));
    buf_close(&wire);
    buf_close(&parts->head);
    buf_close(&parts->beside);
    return error;
}

static int decode_revoke(uint8_t version, uint8_t kind, const char *sender, uint64_t number,
                         const char *id, struct bytes reason)
{
    struct parts parts;
    parts_begin(&parts, kind, sender, number);
    parts.head.p[0] = version;
    buf_append_str8(&parts.head, bytes_str(id));
    buf_append_str8(&parts.head, reason);
    return parts_decode(&parts);
}

static void heads_must_be_of_a_known_form(void **state)
{
    (void)state;
    struct bytes why = BYTES_LIT("why");
    assert_int_equal(decode_revoke(1, 4, "admin/a", 1, "d/x", why), 0);
    assert_int_equal(decode_revoke(2, 4, "admin/a", 1, "d/x", why), SEALMQ_E_VERSION);
    assert_int_equal(decode_revoke(1, 0, "admin/a", 1, "d/x", why), SEALMQ_E_TYPE);
    assert_int_equal(decode_revoke(1, 7, "admin/a", 1, "d/x", why), SEALMQ_E_TYPE);
    assert_int_equal(decode_revoke(1, 4, "admin", 1, "d/x", why), SEALMQ_E_PARSE);
    assert_int_equal(decode_revoke(1, 4, "admin/a/b", 1, "d/x", why), SEALMQ_E_PARSE);
    assert_int_equal(decode_revoke(1, 4, "admin/a", 0, "d/x", why), SEALMQ_E_PARSE);
    assert_int_equal(decode_revoke(1, 4, "admin/a", SEQUENCE_MAX, "d/x", why), 0);
    assert_int_equal(decode_revoke(1, 4, "admin/a", (uint64_t)SEQUENCE_MAX + 1, "d/x", why),
                     SEALMQ_E_LIMIT);
    assert_int_equal(decode_revoke(1, 4, "admin/a", 1, "x", why), SEALMQ_E_PARSE);
    assert_int_equal(decode_revoke(1, 4, "admin/a", 1, "admin/b", why), SEALMQ_E_PARSE);
    assert_int_equal(decode_revoke(1, 4, "admin/a", 1, "d/x", BYTES_LIT("\xff")), SEALMQ_E_PARSE);
    assert_int_equal(decode_revoke(1, 4, "admin/a", 1, "d/x", bytes_of("a\0b", 3)), SEALMQ_E_PARSE);
    assert_int_equal(decode_revoke(1, 4, "admin/a", 1, "d/x", BYTES_LIT("")), 0);
}

static void members_have_a_known_role(void **state)
{
    (void)state;
    for (unsigned role = 0; role < 256; role++) {
        struct parts parts;
        parts_begin(&parts, REQUEST_REGISTER, "admin/a", 1);
        buf_append_str8(&parts.head, BYTES_LIT("d/x"));
        buf_append_u8(&parts.head, (uint8_t)role);
        memset(buf_extend(&parts.head, PUBLIC_KEY_SIZE), 1, PUBLIC_KEY_SIZE);
        assert_int_equal(parts_decode(&parts), role == MEMBER_GATEWAY     ? 0
                                               : role == MEMBER_VALIDATOR ? SEALMQ_E_SHORT
                                                                          : SEALMQ_E_TYPE);
    }
}

static int decode_signed(const char *const *signers, uint8_t count, uint8_t kind)
{
    struct batch batch = {0};
    if (kind == REQUEST_DATA)
        add_interval(&batch, &network, 1, 1, 0);
    else
        add_revoke(&batch, &network, 1, GATEWAY);
    struct request request = batch_last(&batch);
    struct buf wire = {0};
    buf_append_str32(&wire, request.head);
    buf_append_u8(&wire, count);
    for (uint8_t i = 0; i < count; i++) {
        buf_append_str8(&wire, bytes_str(signers[i]));
        memset(buf_extend(&wire, SIGNATURE_SIZE), 1, SIGNATURE_SIZE);
    }
    int error = decode(buf_bytes(&wire));
    buf_close(&wire);
    batch_close(&batch);
    return error;
}

static void signers_ascend_and_include_the_sender(void **state)
{
    (void)state;
    assert_int_equal(decode_signed((const char *[]){"admin/a", "admin/b"}, 2, REQUEST_REVOKE), 0);
    assert_int_equal(decode_signed((const char *[]){"admin/b", "admin/a"}, 2, REQUEST_REVOKE),
                     SEALMQ_E_PARSE);
    assert_int_equal(decode_signed((const char *[]){"admin/a", "admin/a"}, 2, REQUEST_REVOKE),
                     SEALMQ_E_PARSE);
    assert_int_equal(decode_signed((const char *[]){"admin/b", "admin/c"}, 2, REQUEST_REVOKE),
                     SEALMQ_E_COUNT);
    assert_int_equal(decode_signed((const char *[]){"admin"}, 1, REQUEST_REVOKE), SEALMQ_E_PARSE);
    assert_int_equal(decode_signed(NULL, 0, REQUEST_REVOKE), SEALMQ_E_COUNT);
    assert_int_equal(decode_signed((const char *[]){GATEWAY}, 1, REQUEST_DATA), 0);
    assert_int_equal(decode_signed(NULL, 0, REQUEST_DATA), SEALMQ_E_COUNT);
    assert_int_equal(decode_signed((const char *[]){"devices/other"}, 1, REQUEST_DATA),
                     SEALMQ_E_COUNT);
    assert_int_equal(decode_signed((const char *[]){GATEWAY, "devices/other"}, 2, REQUEST_DATA),
                     SEALMQ_E_COUNT);

    char names[ADMINS_MAX + 1][ID_MAX + 1];
    const char *signers[ADMINS_MAX + 1];
    for (size_t i = 0; i <= ADMINS_MAX; i++) {
        snprintf(names[i], sizeof(names[i]), i == 0 ? "admin/a" : "admin/b%02zu", i);
        signers[i] = names[i];
    }
    assert_int_equal(decode_signed(signers, ADMINS_MAX, REQUEST_REVOKE), 0);
    assert_int_equal(decode_signed(signers, ADMINS_MAX + 1, REQUEST_REVOKE), SEALMQ_E_LIMIT);
}

/* A DATA request with these leaves and what it says of them; roots are right. */
static int decode_leaves(uint64_t from, uint64_t to, const struct interval_leaf *leaves, size_t n)
{
    struct parts parts;
    parts_begin(&parts, REQUEST_DATA, GATEWAY, 1);
    struct merkle_edge edge = {0};
    struct hash empty, root;
    merkle_edge_root(&edge, &empty);
    for (size_t i = 0; i < n; i++) {
        size_t start = parts.beside.n;
        interval_leaf_encode(&leaves[i], &parts.beside);
        struct hash hash;
        hash_leaf(bytes_of(parts.beside.p + start, parts.beside.n - start), &hash);
        merkle_edge_append(&edge, &hash);
    }
    merkle_edge_root(&edge, &root);
    buf_append_u32(&parts.head, 0);
    buf_append(&parts.head, empty.b, HASH_SIZE);
    buf_append_u64(&parts.head, from);
    buf_append_u64(&parts.head, to);
    buf_append_u32(&parts.head, (uint32_t)n);
    buf_append(&parts.head, root.b, HASH_SIZE);
    return parts_decode(&parts);
}

static void intervals_have_one_leaf_for_each_number(void **state)
{
    (void)state;
    struct interval_leaf l[] = {leaf_of(1, LEAF_ACKNOWLEDGED), leaf_of(2, LEAF_DROPPED),
                                leaf_of(3, LEAF_PENDING), leaf_of(4, LEAF_ACKNOWLEDGED)};
    assert_int_equal(decode_leaves(1, 4, l, 4), 0);
    assert_int_equal(decode_leaves(1, 3, l, 3), 0);
    assert_int_equal(decode_leaves(1, 4, l, 3), SEALMQ_E_COUNT);
    assert_int_equal(decode_leaves(1, 2, l, 3), SEALMQ_E_PARSE);
    assert_int_equal(decode_leaves(2, 4, l, 4), 0);              /* 1 resolves */
    assert_int_equal(decode_leaves(3, 4, l, 4), 0);              /* 1 and 2 resolve */
    assert_int_equal(decode_leaves(4, 4, l, 4), SEALMQ_E_PARSE); /* 3 would be pending again */
    assert_int_equal(decode_leaves(1, 3, l + 1, 3), SEALMQ_E_PARSE);
    assert_int_equal(decode_leaves(5, 4, l, 2), 0); /* empty, but resolving */
    assert_int_equal(decode_leaves(5, 4, NULL, 0), 0);
    assert_int_equal(decode_leaves(5, 3, NULL, 0), SEALMQ_E_PARSE);
    assert_int_equal(decode_leaves(0, 0, NULL, 0), SEALMQ_E_PARSE);
    assert_int_equal(decode_leaves(1, UINT64_MAX, NULL, 0), SEALMQ_E_LIMIT);
    assert_int_equal(decode_leaves(UINT64_MAX, UINT64_MAX, l, 1), SEALMQ_E_LIMIT);

    struct interval_leaf twice[] = {l[0], l[0], l[2]};
    assert_int_equal(decode_leaves(3, 3, twice, 3), SEALMQ_E_PARSE);
    struct interval_leaf falling[] = {l[1], l[0], l[2]};
    assert_int_equal(decode_leaves(3, 3, falling, 3), SEALMQ_E_PARSE);
    struct interval_leaf gap[] = {l[0], l[2]};
    assert_int_equal(decode_leaves(1, 2, gap, 2), SEALMQ_E_PARSE);
    struct interval_leaf late[] = {l[0], l[3]};
    assert_int_equal(decode_leaves(3, 3, late, 2), SEALMQ_E_PARSE);
}

static void leaves_name_a_node_when_acknowledged_only(void **state)
{
    (void)state;
    struct interval_leaf leaf = leaf_of(1, LEAF_ACKNOWLEDGED);
    leaf.node = (struct bytes){0};
    assert_int_equal(decode_leaves(1, 1, &leaf, 1), SEALMQ_E_PARSE);
    leaf.node = BYTES_LIT("broker");
    assert_int_equal(decode_leaves(1, 1, &leaf, 1), SEALMQ_E_PARSE);
    leaf = leaf_of(1, LEAF_PENDING);
    leaf.node = BYTES_LIT("broker/000");
    assert_int_equal(decode_leaves(1, 1, &leaf, 1), SEALMQ_E_PARSE);
    leaf = leaf_of(1, LEAF_DROPPED);
    leaf.status = (enum leaf_status)0;
    assert_int_equal(decode_leaves(1, 1, &leaf, 1), SEALMQ_E_TYPE);
    leaf.status = (enum leaf_status)4;
    assert_int_equal(decode_leaves(1, 1, &leaf, 1), SEALMQ_E_TYPE);
}

static void roots_must_be_those_of_what_travels_beside(void **state)
{
    (void)state;
    struct batch batch = {0};
    add_full_data(&batch);
    struct request request = batch_last(&batch);
    size_t records_root = 4 + 2 + 1 + strlen(GATEWAY) + 8 + 4;
    size_t interval_root = records_root + HASH_SIZE + 8 + 8 + 4;
    uint8_t *p = batch.wires[0].p;
    assert_memory_equal(p + records_root, request.data.records_root.b, HASH_SIZE);
    assert_memory_equal(p + interval_root, request.data.interval_root.b, HASH_SIZE);
    p[records_root] ^= 1;
    assert_int_equal(decode(buf_bytes(&batch.wires[0])), SEALMQ_E_HASH);
    p[records_root] ^= 1;
    p[interval_root] ^= 1;
    assert_int_equal(decode(buf_bytes(&batch.wires[0])), SEALMQ_E_HASH);
    batch_close(&batch);
}

static int decode_items(const struct item *items, size_t n, uint16_t count)
{
    struct parts parts;
    parts_begin(&parts, REQUEST_DESCRIBE, GATEWAY, 1);
    buf_append_u16(&parts.head, count);
    for (size_t i = 0; i < n; i++) {
        buf_append_u32(&parts.head, items[i].num);
        buf_append_str8(&parts.head, items[i].device);
        buf_append_str8(&parts.head, items[i].service);
        buf_append_str8(&parts.head, items[i].name);
        buf_append_u8(&parts.head, (uint8_t)items[i].type);
        buf_append_str8(&parts.head, items[i].unit);
    }
    return parts_decode(&parts);
}

static void items_ascend_and_are_distinct(void **state)
{
    (void)state;
    struct item a = item_of(1, "D", "a"), b = item_of(2, "D", "b"), c = item_of(3, "E", "a");
    assert_int_equal(decode_items((struct item[]){a, b, c}, 3, 3), 0);
    assert_int_equal(decode_items((struct item[]){b, a}, 2, 2), SEALMQ_E_PARSE);
    assert_int_equal(decode_items((struct item[]){a, a}, 2, 2), SEALMQ_E_PARSE);
    struct item same = item_of(9, "D", "a");
    same.type = DATATYPE_INT;
    assert_int_equal(decode_items((struct item[]){a, b, c, same}, 4, 4), SEALMQ_E_PARSE);
    same.service = BYTES_LIT("other");
    assert_int_equal(decode_items((struct item[]){a, b, c, same}, 4, 4), 0);
    assert_int_equal(decode_items(NULL, 0, 0), SEALMQ_E_COUNT);
    assert_int_equal(decode_items(&a, 1, 2), SEALMQ_E_SHORT);
    assert_int_equal(decode_items((struct item[]){a, b}, 2, 1), SEALMQ_E_PARSE);
}

static void items_have_names_types_and_short_units(void **state)
{
    (void)state;
    struct item item = item_of(0, "D", "a");
    assert_int_equal(decode_items(&item, 1, 1), SEALMQ_E_PARSE);
    item = item_of(1, "D/E", "a");
    assert_int_equal(decode_items(&item, 1, 1), SEALMQ_E_PARSE);
    item = item_of(1, "D", "");
    assert_int_equal(decode_items(&item, 1, 1), SEALMQ_E_PARSE);
    item = item_of(1, "D", "a");
    item.service = (struct bytes){0};
    assert_int_equal(decode_items(&item, 1, 1), SEALMQ_E_PARSE);
    item = item_of(1, "D", "a");
    item.type = (enum datatype)5;
    assert_int_equal(decode_items(&item, 1, 1), SEALMQ_E_TYPE);
    item = item_of(1, "D", "a");
    item.unit = BYTES_LIT("\x80");
    assert_int_equal(decode_items(&item, 1, 1), SEALMQ_E_PARSE);
    char unit[UNIT_MAX_BYTES + 1];
    memset(unit, 'u', sizeof(unit));
    item.unit = bytes_of(unit, UNIT_MAX_BYTES);
    assert_int_equal(decode_items(&item, 1, 1), 0);
    item.unit = bytes_of(unit, UNIT_MAX_BYTES + 1);
    assert_int_equal(decode_items(&item, 1, 1), SEALMQ_E_LIMIT);
}

static void counts_over_the_limits_are_refused_before_any_work(void **state)
{
    (void)state;
    struct hash root = {{0}};
    for (int which = 0; which < 2; which++) {
        struct parts parts;
        parts_begin(&parts, REQUEST_DATA, GATEWAY, 1);
        buf_append_u32(&parts.head, which == 0 ? REQUEST_RECORDS_MAX + 1 : 0);
        buf_append(&parts.head, root.b, HASH_SIZE);
        buf_append_u64(&parts.head, 1);
        buf_append_u64(&parts.head, 0);
        buf_append_u32(&parts.head, which == 1 ? REQUEST_LEAVES_MAX + 1 : 0);
        buf_append(&parts.head, root.b, HASH_SIZE);
        assert_int_equal(parts_decode(&parts), SEALMQ_E_LIMIT);
    }
    assert_int_equal(decode_items(NULL, 0, REQUEST_ITEMS_MAX + 1), SEALMQ_E_LIMIT);
    uint8_t *large = calloc(1, REQUEST_BYTES_MAX + 1);
    assert_non_null(large);
    struct request request;
    assert_int_equal(request_decode(bytes_of(large, REQUEST_BYTES_MAX + 1), &request),
                     SEALMQ_E_LIMIT);
    free(large);
}

static void records_must_be_the_senders(void **state)
{
    (void)state;
    struct record record = record_of("D1", 1, "36");
    record.gateway = BYTES_LIT("devices/other");
    struct request_data data = {.sender = BYTES_LIT(GATEWAY),
                                .number = 1,
                                .records = &record,
                                .record_count = 1,
                                .from = 1,
                                .to = 0};
    struct buf out = {0};
    assert_int_equal(request_make_data(&data, &network.gateway, &network.genesis.hash, &out),
                     SEALMQ_E_PARSE);
    assert_int_equal(out.n, 0);
    buf_close(&out);
}

static void kinds_have_names(void **state)
{
    (void)state;
    assert_string_equal(request_kind_name(REQUEST_DATA), "data");
    assert_string_equal(request_kind_name(REQUEST_DESCRIBE), "describe");
    assert_string_equal(request_kind_name(REQUEST_REGISTER), "register");
    assert_string_equal(request_kind_name(REQUEST_REVOKE), "revoke");
    assert_string_equal(request_kind_name((enum request_kind)9), "?");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(data_is_read_as_it_was_made),
        cmocka_unit_test(the_request_hash_covers_head_and_signatures),
        cmocka_unit_test(one_signature_verifies_under_its_key_only),
        cmocka_unit_test(an_input_that_ends_early_is_refused),
        cmocka_unit_test(every_byte_counts),
        cmocka_unit_test(heads_must_be_of_a_known_form),
        cmocka_unit_test(members_have_a_known_role),
        cmocka_unit_test(signers_ascend_and_include_the_sender),
        cmocka_unit_test(intervals_have_one_leaf_for_each_number),
        cmocka_unit_test(leaves_name_a_node_when_acknowledged_only),
        cmocka_unit_test(roots_must_be_those_of_what_travels_beside),
        cmocka_unit_test(items_ascend_and_are_distinct),
        cmocka_unit_test(items_have_names_types_and_short_units),
        cmocka_unit_test(counts_over_the_limits_are_refused_before_any_work),
        cmocka_unit_test(records_must_be_the_senders),
        cmocka_unit_test(kinds_have_names),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
