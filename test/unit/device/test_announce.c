/* Announcements: they show that the announcer holds the key, for one network, and nothing else. */
#include "keys.h"

#include "device/announce.h"

static struct buf announcement(const char *id, struct hash genesis)
{
    struct buf out = {0};
    struct sign_key key = key_of(1);
    assert_int_equal(announce_format(id, &key, &genesis, &out), 0);
    return out;
}

static int parse(struct bytes json, struct hash genesis)
{
    char id[ID_MAX + 1];
    struct public_key key;
    return announce_parse(json, &genesis, id, &key);
}

static void id_and_key_come_back(void **state)
{
    (void)state;
    struct hash genesis = hash_of("genesis");
    struct buf json = announcement(GATEWAY, genesis);
    char id[ID_MAX + 1];
    struct public_key key;
    struct sign_key want = key_of(1);
    assert_int_equal(announce_parse(buf_bytes(&json), &genesis, id, &key), 0);
    assert_string_equal(id, GATEWAY);
    assert_memory_equal(key.b, want.public_key.b, PUBLIC_KEY_SIZE);
    buf_close(&json);
}

static void the_longest_id_fits(void **state)
{
    (void)state;
    struct hash genesis = hash_of("genesis");
    char id[ID_MAX + 1];
    memset(id, 'a', ID_MAX);
    id[ID_WORD_MAX] = '/';
    id[ID_MAX] = '\0';
    struct buf json = announcement(id, genesis);
    assert_in_range(json.n, 1, ANNOUNCE_BYTES_MAX);
    assert_int_equal(parse(buf_bytes(&json), genesis), 0);
    buf_close(&json);
}

static void an_id_that_is_none_is_not_announced(void **state)
{
    (void)state;
    struct buf out = {0};
    struct hash genesis = hash_of("genesis");
    struct sign_key key = key_of(1);
    assert_int_equal(announce_format("no slash", &key, &genesis, &out), SEALMQ_E_ARG);
    assert_int_equal(out.n, 0);
}

static void another_network_does_not_take_it(void **state)
{
    (void)state;
    struct buf json = announcement(GATEWAY, hash_of("genesis"));
    assert_int_equal(parse(buf_bytes(&json), hash_of("other")), SEALMQ_E_SIGNATURE);
    buf_close(&json);
}

static void nothing_that_was_changed_is_taken(void **state)
{
    (void)state;
    struct hash genesis = hash_of("genesis");
    struct buf json = announcement(GATEWAY, genesis);
    for (size_t i = 0; i < json.n; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            json.p[i] ^= (uint8_t)(1 << bit);
            assert_int_not_equal(parse(buf_bytes(&json), genesis), 0);
            json.p[i] ^= (uint8_t)(1 << bit);
        }
        assert_int_not_equal(parse(bytes_of(json.p, i), genesis), 0);
    }
    buf_close(&json);
}

static void what_is_too_long_is_not_even_parsed(void **state)
{
    (void)state;
    struct buf json = announcement(GATEWAY, hash_of("genesis"));
    while (json.n <= ANNOUNCE_BYTES_MAX)
        buf_append_u8(&json, ' ');
    assert_int_equal(parse(buf_bytes(&json), hash_of("genesis")), SEALMQ_E_LIMIT);
    buf_close(&json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(id_and_key_come_back),
        cmocka_unit_test(the_longest_id_fits),
        cmocka_unit_test(an_id_that_is_none_is_not_announced),
        cmocka_unit_test(another_network_does_not_take_it),
        cmocka_unit_test(nothing_that_was_changed_is_taken),
        cmocka_unit_test(what_is_too_long_is_not_even_parsed),
    };
    return cmocka_run_group_tests(tests, keys_setup, NULL);
}
