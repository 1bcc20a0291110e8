#include "unit/ledger/network.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

static struct network network;
static char why[160];

static int setup(void **state)
{
    (void)state;
    network_make(&network, 4, 2);
    return 0;
}

static void the_hash_is_that_of_the_canonical_form(void **state)
{
    (void)state;
    struct buf form = {0};
    genesis_encode(&network.genesis, &form);
    struct hash hash;
    hash_sha256(buf_bytes(&form), &hash);
    assert_true(hash_equal(&hash, &network.genesis.hash));
    buf_close(&form);
}

static void the_order_in_which_members_are_named_does_not_matter(void **state)
{
    (void)state;
    struct genesis g = network.genesis;
    struct validator v = g.validators.v[0];
    g.validators.v[0] = g.validators.v[2];
    g.validators.v[2] = v;
    struct genesis_admin a = g.admins[0];
    g.admins[0] = g.admins[1];
    g.admins[1] = a;
    g.hash = (struct hash){{0}};
    assert_int_equal(genesis_seal(&g, why, sizeof(why)), 0);
    assert_true(hash_equal(&g.hash, &network.genesis.hash));
    assert_string_equal(g.validators.v[0].id, "broker/000");
    assert_string_equal(why, "");
}

static void seal_changed(struct genesis g, int expected)
{
    struct hash before = network.genesis.hash;
    memset(why, 'x', sizeof(why));
    assert_int_equal(genesis_seal(&g, why, sizeof(why)), expected);
    assert_non_null(memchr(why, 0, sizeof(why)));
    if (expected == 0)
        assert_false(hash_equal(&g.hash, &before));
    else
        assert_int_not_equal(why[0], '\0');
    assert_int_equal(genesis_seal(&g, NULL, 0), expected);
}

static void everything_is_part_of_the_hash(void **state)
{
    (void)state;
    struct genesis g = network.genesis;
    g.network[0] = 'q';
    seal_changed(g, 0);
    g = network.genesis;
    g.created_us++;
    seal_changed(g, 0);
    g = network.genesis;
    g.validators.n--;
    seal_changed(g, 0);
    g = network.genesis;
    g.validators.v[1].key.b[0] ^= 1;
    seal_changed(g, 0);
    g = network.genesis;
    g.validators.v[1].log_key.b[0] ^= 1;
    seal_changed(g, 0);
    g = network.genesis;
    g.validators.v[1].cosigner_key.b[0] ^= 1;
    seal_changed(g, 0);
    g = network.genesis;
    g.validators.v[1].url[0] = '\0';
    seal_changed(g, 0);
    g = network.genesis;
    g.validators.v[1].id[7] = '9';
    seal_changed(g, 0);
    g = network.genesis;
    g.admin_threshold = 3;
    seal_changed(g, 0);
    g = network.genesis;
    g.admins[2].key.b[0] ^= 1;
    seal_changed(g, 0);
    g = network.genesis;
    g.parameters.difficulty = 1;
    seal_changed(g, 0);
    g = network.genesis;
    g.parameters.anchor_interval_ms++;
    seal_changed(g, 0);
}

static void what_is_no_network_is_refused_in_words(void **state)
{
    (void)state;
    struct genesis g = network.genesis;
    memcpy(g.network, "Plant", 6);
    seal_changed(g, SEALMQ_E_PARSE);
    g = network.genesis;
    g.created_us = -1;
    seal_changed(g, SEALMQ_E_LIMIT);
    g.created_us = INT64_MAX;
    seal_changed(g, SEALMQ_E_LIMIT);
    g = network.genesis;
    g.validators.n = 0;
    seal_changed(g, SEALMQ_E_LIMIT);
    g.validators.n = VALIDATORS_MAX + 1;
    seal_changed(g, SEALMQ_E_LIMIT);
    g = network.genesis;
    g.admin_count = 0;
    seal_changed(g, SEALMQ_E_LIMIT);
    g.admin_count = ADMINS_MAX + 1;
    seal_changed(g, SEALMQ_E_LIMIT);
    g = network.genesis;
    g.admin_threshold = 0;
    seal_changed(g, SEALMQ_E_LIMIT);
    g.admin_threshold = 4;
    seal_changed(g, SEALMQ_E_LIMIT);
    g = network.genesis;
    g.parameters.difficulty = DIFFICULTY_MAX + 1;
    seal_changed(g, SEALMQ_E_LIMIT);
    g = network.genesis;
    g.parameters.anchor_interval_ms = 0;
    seal_changed(g, SEALMQ_E_LIMIT);
    g.parameters.anchor_interval_ms = ANCHOR_INTERVAL_MAX_MS + 1;
    seal_changed(g, SEALMQ_E_LIMIT);
}

static void ids_are_of_their_kind_and_there_once(void **state)
{
    (void)state;
    struct genesis g = network.genesis;
    memcpy(g.validators.v[1].id, g.validators.v[0].id, sizeof(g.validators.v[0].id));
    seal_changed(g, SEALMQ_E_EXISTS);
    g = network.genesis;
    memcpy(g.validators.v[1].id, "broker", 7);
    seal_changed(g, SEALMQ_E_PARSE);
    memcpy(g.validators.v[1].id, "admin/x", 8);
    seal_changed(g, SEALMQ_E_PARSE);
    g = network.genesis;
    memcpy(g.admins[1].id, "admin/a", 8);
    seal_changed(g, SEALMQ_E_EXISTS);
    memcpy(g.admins[1].id, "broker/x", 9);
    seal_changed(g, SEALMQ_E_PARSE);
}

static void keys_are_there_and_have_one_owner(void **state)
{
    (void)state;
    struct genesis g = network.genesis;
    g.validators.v[1].key = g.validators.v[0].key;
    seal_changed(g, SEALMQ_E_EXISTS);
    g = network.genesis;
    g.validators.v[1].log_key = g.validators.v[1].key;
    seal_changed(g, SEALMQ_E_EXISTS);
    g = network.genesis;
    g.admins[0].key = g.validators.v[3].cosigner_key;
    seal_changed(g, SEALMQ_E_EXISTS);
    g = network.genesis;
    memset(g.validators.v[1].cosigner_key.b, 0, PUBLIC_KEY_SIZE);
    seal_changed(g, SEALMQ_E_PARSE);
}

static void urls_are_empty_or_of_mqtt(void **state)
{
    (void)state;
    static const struct {
        const char *url;
        int error;
    } cases[] = {{"mqtt://host:1", 0},
                 {"mqtts://host", 0},
                 {"", 0},
                 {"mqtt://", SEALMQ_E_PARSE},
                 {"http://host", SEALMQ_E_PARSE},
                 {"host:1883", SEALMQ_E_PARSE},
                 {"mqtt://a b", SEALMQ_E_PARSE},
                 {"mqtt://a\n", SEALMQ_E_PARSE},
                 {"mqtt://\"", SEALMQ_E_PARSE}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct genesis g = network.genesis;
        snprintf(g.validators.v[0].url, sizeof(g.validators.v[0].url), "%s", cases[i].url);
        seal_changed(g, cases[i].error);
    }
}

static void validators_are_found_by_id(void **state)
{
    (void)state;
    const struct validator_set *set = &network.genesis.validators;
    for (size_t i = 0; i < set->n; i++)
        assert_int_equal(validator_set_find(set, bytes_str(set->v[i].id)), i);
    assert_int_equal(validator_set_find(set, BYTES_LIT("broker/00")), -1);
    assert_int_equal(validator_set_find(set, BYTES_LIT("broker/0000")), -1);
    assert_int_equal(validator_set_find(set, BYTES_LIT("")), -1);
    struct validator_set nobody = {.n = 0};
    assert_int_equal(validator_set_find(&nobody, BYTES_LIT("broker/000")), -1);
}

static void the_hash_of_a_set_covers_its_form(void **state)
{
    (void)state;
    struct buf form = {0};
    buf_append(&form, "sealmq/validators/1", 20);
    validator_set_encode(&network.genesis.validators, &form);
    struct hash expected, hash;
    hash_sha256(buf_bytes(&form), &expected);
    validator_set_hash(&network.genesis.validators, &hash);
    assert_true(hash_equal(&hash, &expected));
    buf_close(&form);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_hash_is_that_of_the_canonical_form),
        cmocka_unit_test(the_order_in_which_members_are_named_does_not_matter),
        cmocka_unit_test(everything_is_part_of_the_hash),
        cmocka_unit_test(what_is_no_network_is_refused_in_words),
        cmocka_unit_test(ids_are_of_their_kind_and_there_once),
        cmocka_unit_test(keys_are_there_and_have_one_owner),
        cmocka_unit_test(urls_are_empty_or_of_mqtt),
        cmocka_unit_test(validators_are_found_by_id),
        cmocka_unit_test(the_hash_of_a_set_covers_its_form),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
