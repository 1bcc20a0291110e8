/* Values of state entries: encoding and decoding are inverse, and damage is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ledger/state_entry.h"
#include "lib/vectors.h"

static struct member_value some_member(void)
{
    struct member_value value = {
        .role = MEMBER_GATEWAY,
        .status = MEMBER_ACTIVE,
        .key_count = 3,
        .keys = {{.from = 1, .until = 5}, {.from = 5, .until = 9}, {.from = 12, .until = 0}}};
    for (size_t i = 0; i < 3; i++)
        memset(value.keys[i].key.b, (int)(i + 1), PUBLIC_KEY_SIZE);
    return value;
}

static void the_frozen_values_come_out(void **state)
{
    (void)state;
    cJSON *vectors = vectors_load("state-entry.json");
    const cJSON *entry = NULL;

    struct member_value member = some_member();
    struct buf got = {0};
    member_value_encode(&member, &got);
    assert_int_equal(json_member_object(vectors, "member", &entry, NULL), 0);
    struct buf want = vector_hex(entry, "value");
    assert_true(bytes_equal(buf_bytes(&got), buf_bytes(&want)));
    buf_reset(&got);
    buf_close(&want);
    state_key_member(BYTES_LIT("devices/iot"), &got);
    assert_true(bytes_equal(buf_bytes(&got), vector_text(entry, "key")));

    struct item item = {.device = BYTES_LIT("D3343134IE3B"),
                        .service = BYTES_LIT("CS"),
                        .name = BYTES_LIT("device_temperature"),
                        .unit = BYTES_LIT("\xc2\xb0"
                                          "C"),
                        .type = DATATYPE_DOUBLE};
    buf_reset(&got);
    item_value_encode(&item, &got);
    assert_int_equal(json_member_object(vectors, "item", &entry, NULL), 0);
    want = vector_hex(entry, "value");
    assert_true(bytes_equal(buf_bytes(&got), buf_bytes(&want)));
    buf_reset(&got);
    buf_close(&want);
    state_key_item(BYTES_LIT("devices/iot"), UINT32_MAX, &got);
    assert_true(bytes_equal(buf_bytes(&got), vector_text(entry, "key")));
    assert_in_range(got.n, 1, STATE_KEY_MAX);

    struct admins_value admins = {.threshold = 1, .n = 2};
    strcpy(admins.admins[0].id, "admin/ada");
    strcpy(admins.admins[1].id, "admin/zoe");
    memset(admins.admins[0].key.b, 7, PUBLIC_KEY_SIZE);
    memset(admins.admins[1].key.b, 8, PUBLIC_KEY_SIZE);
    buf_reset(&got);
    admins_value_encode(&admins, &got);
    assert_int_equal(json_member_object(vectors, "admins", &entry, NULL), 0);
    want = vector_hex(entry, "value");
    assert_true(bytes_equal(buf_bytes(&got), buf_bytes(&want)));
    buf_close(&want);

    struct admins_value read;
    assert_int_equal(admins_value_decode(buf_bytes(&got), &read), 0);
    assert_memory_equal(&read, &admins, sizeof(read));
    assert_memory_equal(admins_value_key(&read, BYTES_LIT("admin/zoe"))->b, admins.admins[1].key.b,
                        PUBLIC_KEY_SIZE);
    assert_null(admins_value_key(&read, BYTES_LIT("admin/ad")));

    struct public_key key;
    memset(key.b, 10, PUBLIC_KEY_SIZE);
    assert_int_equal(json_member_object(vectors, "key", &entry, NULL), 0);
    buf_reset(&got);
    state_key_key(&key, &got);
    assert_true(bytes_equal(buf_bytes(&got), vector_text(entry, "key")));
    buf_reset(&got);
    key_value_encode(KEY_OF_ADMIN, BYTES_LIT("admin/ada"), &got);
    want = vector_hex(entry, "value");
    assert_true(bytes_equal(buf_bytes(&got), buf_bytes(&want)));
    buf_close(&want);
    enum key_use use;
    struct bytes id;
    assert_int_equal(key_value_decode(buf_bytes(&got), &use, &id), 0);
    assert_int_equal(use, KEY_OF_ADMIN);
    assert_true(bytes_equal(id, BYTES_LIT("admin/ada")));
    buf_close(&got);
    cJSON_Delete(vectors);
}

static void a_members_key_is_the_one_of_the_height(void **state)
{
    (void)state;
    struct member_value value = some_member();
    static const struct {
        uint64_t height;
        int key; /* 0: none */
    } samples[] = {{0, 0}, {1, 1},  {4, 1},  {5, 2},         {8, 2},
                   {9, 0}, {11, 0}, {12, 3}, {UINT64_MAX, 3}};
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        const struct public_key *key = member_value_key_at(&value, samples[i].height);
        assert_int_equal(key == NULL ? 0 : key->b[0], samples[i].key);
    }
    value.status = MEMBER_REVOKED;
    value.revoked_height = 20;
    assert_null(member_value_key_at(&value, 12));
}

/* Whatever decodes must encode to the same bytes. */
static void assert_decodes_canonically(struct bytes wire)
{
    struct member_value member;
    struct admins_value admins;
    struct item item;
    struct buf again = {0};
    if (member_value_decode(wire, &member) == 0) {
        member_value_encode(&member, &again);
        assert_true(bytes_equal(buf_bytes(&again), wire));
    }
    buf_reset(&again);
    if (item_value_decode(wire, &item) == 0) {
        item_value_encode(&item, &again);
        assert_true(bytes_equal(buf_bytes(&again), wire));
    }
    buf_reset(&again);
    if (admins_value_decode(wire, &admins) == 0) {
        admins_value_encode(&admins, &again);
        assert_true(bytes_equal(buf_bytes(&again), wire));
    }
    buf_close(&again);
}

static void damaged_values_are_refused_or_other_values(void **state)
{
    (void)state;
    cJSON *vectors = vectors_load("state-entry.json");
    static const char *const members[] = {"member", "item", "admins"};
    for (size_t m = 0; m < 3; m++) {
        const cJSON *entry = NULL;
        assert_int_equal(json_member_object(vectors, members[m], &entry, NULL), 0);
        struct buf wire = vector_hex(entry, "value");
        for (size_t i = 0; i < wire.n; i++) {
            for (unsigned bit = 0; bit < 8; bit++) {
                wire.p[i] ^= (uint8_t)(1u << bit);
                assert_decodes_canonically(buf_bytes(&wire));
                wire.p[i] ^= (uint8_t)(1u << bit);
            }
            struct bytes cut = bytes_of(wire.p, i);
            struct member_value member;
            struct admins_value admins;
            struct item item;
            assert_int_not_equal(member_value_decode(cut, &member), 0);
            assert_int_not_equal(item_value_decode(cut, &item), 0);
            assert_int_not_equal(admins_value_decode(cut, &admins), 0);
        }
        buf_append_u8(&wire, 0);
        struct member_value member;
        struct admins_value admins;
        struct item item;
        assert_int_not_equal(member_value_decode(buf_bytes(&wire), &member), 0);
        assert_int_not_equal(item_value_decode(buf_bytes(&wire), &item), 0);
        assert_int_not_equal(admins_value_decode(buf_bytes(&wire), &admins), 0);
        buf_close(&wire);
    }
    cJSON_Delete(vectors);
}

static void put_member(struct buf *out, uint8_t role, uint8_t status, uint64_t revoked,
                       uint8_t keys)
{
    buf_reset(out);
    buf_append_u8(out, role);
    buf_append_u8(out, status);
    buf_append_u64(out, revoked);
    buf_append_u8(out, keys);
    for (unsigned i = 0; i < keys; i++) {
        (void)memset(buf_extend(out, PUBLIC_KEY_SIZE), 1, PUBLIC_KEY_SIZE);
        buf_append_u64(out, i);
        buf_append_u64(out, i + 1U == keys ? 0 : i + 1);
    }
}

static void inconsistent_members_are_refused(void **state)
{
    (void)state;
    struct buf wire = {0};
    struct member_value value;
    put_member(&wire, 1, 1, 0, MEMBER_KEYS_MAX);
    assert_int_equal(member_value_decode(buf_bytes(&wire), &value), 0);
    put_member(&wire, 1, 1, 0, MEMBER_KEYS_MAX + 1);
    assert_int_equal(member_value_decode(buf_bytes(&wire), &value), SEALMQ_E_LIMIT);
    put_member(&wire, 1, 1, 0, 0);
    assert_int_equal(member_value_decode(buf_bytes(&wire), &value), SEALMQ_E_PARSE);
    put_member(&wire, 3, 1, 0, 1);
    assert_int_equal(member_value_decode(buf_bytes(&wire), &value), SEALMQ_E_TYPE);
    put_member(&wire, 1, 3, 0, 1);
    assert_int_equal(member_value_decode(buf_bytes(&wire), &value), SEALMQ_E_TYPE);
    put_member(&wire, 1, 2, 0, 1);
    assert_int_equal(member_value_decode(buf_bytes(&wire), &value), SEALMQ_E_PARSE);
    put_member(&wire, 1, 1, 7, 1);
    assert_int_equal(member_value_decode(buf_bytes(&wire), &value), SEALMQ_E_PARSE);
    put_member(&wire, 2, 2, 7, 1);
    assert_int_equal(member_value_decode(buf_bytes(&wire), &value), 0);
    put_member(&wire, 1, 1, 0, 2);
    wire.p[wire.n - 8 - 1] = 0; /* the second key starts before the first has ended */
    assert_int_equal(member_value_decode(buf_bytes(&wire), &value), SEALMQ_E_PARSE);
    buf_close(&wire);
}

static void admins_are_each_there_once(void **state)
{
    (void)state;
    struct buf wire = {0};
    struct admins_value value;
    buf_append_u8(&wire, 1);
    buf_append_u8(&wire, 2);
    for (unsigned i = 0; i < 2; i++) {
        buf_append_str8(&wire, BYTES_LIT("admin/a"));
        (void)memset(buf_extend(&wire, PUBLIC_KEY_SIZE), 1, PUBLIC_KEY_SIZE);
    }
    assert_int_equal(admins_value_decode(buf_bytes(&wire), &value), SEALMQ_E_PARSE);
    wire.p[2 + 7] = 'b';
    assert_int_equal(admins_value_decode(buf_bytes(&wire), &value), SEALMQ_E_PARSE); /* b, a */
    wire.p[2 + 7] = 'a';
    wire.p[2 + 8 + PUBLIC_KEY_SIZE + 7] = 'b';
    assert_int_equal(admins_value_decode(buf_bytes(&wire), &value), SEALMQ_E_EXISTS); /* one key */
    wire.p[2 + 8] = 2;
    assert_int_equal(admins_value_decode(buf_bytes(&wire), &value), 0);
    wire.p[2 + 1] = 'b';
    assert_int_equal(admins_value_decode(buf_bytes(&wire), &value), SEALMQ_E_PARSE); /* no admin */
    wire.p[2 + 1] = 'a';
    wire.p[0] = 3; /* more signatures than admins */
    assert_int_equal(admins_value_decode(buf_bytes(&wire), &value), SEALMQ_E_PARSE);
    wire.p[0] = 0;
    assert_int_equal(admins_value_decode(buf_bytes(&wire), &value), SEALMQ_E_PARSE);
    wire.p[1] = ADMINS_MAX + 1;
    assert_int_equal(admins_value_decode(buf_bytes(&wire), &value), SEALMQ_E_LIMIT);
    buf_close(&wire);
}

static void keys_have_a_use_and_an_owner(void **state)
{
    (void)state;
    for (unsigned use = 0; use < 256; use++) {
        struct buf member = {0}, admin = {0}, nobody = {0};
        key_value_encode((enum key_use)use, BYTES_LIT("d/x"), &member);
        key_value_encode((enum key_use)use, BYTES_LIT("admin/x"), &admin);
        key_value_encode((enum key_use)use, BYTES_LIT("x"), &nobody);
        bool is_derived = use == KEY_OF_LOG || use == KEY_OF_COSIGNER;
        enum key_use read;
        struct bytes id;
        assert_int_equal(key_value_decode(buf_bytes(&member), &read, &id) == 0, is_derived);
        assert_int_equal(key_value_decode(buf_bytes(&admin), &read, &id) == 0, use == KEY_OF_ADMIN);
        assert_int_not_equal(key_value_decode(buf_bytes(&nobody), &read, &id), 0);
        assert_int_not_equal(key_value_decode(bytes_of(member.p, member.n - 1), &read, &id), 0);
        buf_close(&member);
        buf_close(&admin);
        buf_close(&nobody);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_frozen_values_come_out),
        cmocka_unit_test(a_members_key_is_the_one_of_the_height),
        cmocka_unit_test(damaged_values_are_refused_or_other_values),
        cmocka_unit_test(inconsistent_members_are_refused),
        cmocka_unit_test(admins_are_each_there_once),
        cmocka_unit_test(keys_have_a_use_and_an_owner),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
