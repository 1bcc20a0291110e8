#include "unit/ledger/network.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

static struct network network;
static struct buf text; /* the network's genesis */
static struct genesis out;
static char why[160];

static int setup(void **state)
{
    (void)state;
    network_make(&network, 4, 2);
    return genesis_format(&network.genesis, &text);
}

static int teardown(void **state)
{
    (void)state;
    buf_close(&text);
    return 0;
}

static void a_genesis_is_read_as_it_was_written(void **state)
{
    (void)state;
    assert_int_equal(genesis_parse(buf_bytes(&text), &out, why, sizeof(why)), 0);
    assert_true(hash_equal(&out.hash, &network.genesis.hash));
    assert_memory_equal(&out.parameters, &network.genesis.parameters, sizeof(out.parameters));
    assert_string_equal(out.validators.v[3].url, network.genesis.validators.v[3].url);
    struct buf again = {0};
    assert_int_equal(genesis_format(&out, &again), 0);
    assert_true(bytes_equal(buf_bytes(&again), buf_bytes(&text)));
    buf_close(&again);
}

/* The text with its first `from` replaced. */
static int parse_with(const char *from, const char *to)
{
    const char *all = buf_cstr(&text);
    const char *at = strstr(all, from);
    assert_non_null(at);
    struct buf changed = {0};
    buf_append(&changed, all, (size_t)(at - all));
    buf_append_cstr(&changed, to);
    buf_append_cstr(&changed, at + strlen(from));
    int error = genesis_parse(buf_bytes(&changed), &out, why, sizeof(why));
    assert_int_equal(genesis_parse(buf_bytes(&changed), &out, NULL, 0), error);
    buf_close(&changed);
    return error;
}

static void what_is_wrong_is_named(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to;
        int error;
        const char *named;
    } cases[] = {
        {"{", "", SEALMQ_E_PARSE, ""},
        {"\"network\": \"plant\"", "\"network\": 5", SEALMQ_E_PARSE, "network"},
        {"\"network\": \"plant\",", "", SEALMQ_E_PARSE, "network"},
        {"plant", "PLANT", SEALMQ_E_PARSE, "network"},
        {"plant", "a-name-that-is-longer-than-thirty-two", SEALMQ_E_LIMIT, "network"},
        {"20260101T000000Z", "2026-01-01", SEALMQ_E_PARSE, "created"},
        {"\"network\"", "\"colour\": 1, \"network\"", SEALMQ_E_PARSE, "colour"},
        {"\"id\": \"broker/000\"", "\"id\": \"broker\"", SEALMQ_E_PARSE, "broker"},
        {"\"id\": \"broker/000\"", "\"id\": \"broker/001\"", SEALMQ_E_EXISTS, "broker/001"},
        {"\"id\": \"broker/000\",", "", SEALMQ_E_PARSE, "validators[0]"},
        {"\"logKey\"", "\"logkey\"", SEALMQ_E_PARSE, "validators[0]"},
        {"\"key\": \"", "\"key\": \"A", SEALMQ_E_PARSE, "key"},
        {"mqtt://127.0.0.1:18831", "ftp://x", SEALMQ_E_PARSE, "broker/001"},
        {"\"threshold\": 2", "\"threshold\": 4", SEALMQ_E_LIMIT, "threshold"},
        {"\"threshold\": 2", "\"threshold\": 400", SEALMQ_E_LIMIT, "threshold"},
        {"\"threshold\": 2", "\"threshold\": 1.5", SEALMQ_E_PARSE, "threshold"},
        {"\"admin/a\"", "\"boss/a\"", SEALMQ_E_PARSE, "boss/a"},
        {"\"difficulty\": 0", "\"difficulty\": 99", SEALMQ_E_LIMIT, "difficulty"},
        {"\"difficulty\": 0", "\"difficulty\": -1", SEALMQ_E_PARSE, "difficulty"},
        {"\"anchorIntervalMs\": 60000", "\"anchorIntervalMs\": 0", SEALMQ_E_LIMIT, "anchor"},
        {"\"parameters\": {", "\"parameters\": {\"x\": 1,", SEALMQ_E_PARSE, "\"x\""},
        {"\"validators\": [", "\"validators\": [5,", SEALMQ_E_PARSE, "validators[0]"},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        why[0] = '\0';
        int error = parse_with(cases[i].from, cases[i].to);
        if (error != cases[i].error || strstr(why, cases[i].named) == NULL || why[0] == '\0')
            fail_msg("%s -> %s: %s, \"%s\"", cases[i].from, cases[i].to, sealmq_error_name(error),
                     why);
    }
}

static void white_space_and_order_do_not_matter(void **state)
{
    (void)state;
    assert_int_equal(parse_with("\"network\": \"plant\",\n", "\"network\":\"plant\","), 0);
    assert_true(hash_equal(&out.hash, &network.genesis.hash));
}

static void a_text_that_ends_early_is_refused(void **state)
{
    (void)state;
    for (size_t n = 0; n + 2 < text.n; n++) {
        uint8_t *copy = malloc(n + 1);
        assert_non_null(copy);
        memcpy(copy, text.p, n);
        assert_int_not_equal(genesis_parse(bytes_of(copy, n), &out, why, sizeof(why)), 0);
        free(copy);
    }
}

static void too_many_validators_or_admins_are_refused(void **state)
{
    (void)state;
    struct buf many = {0};
    buf_append_cstr(&many, "{\"network\":\"p\",\"created\":\"20260101T000000Z\",\"validators\":[");
    for (int i = 0; i <= VALIDATORS_MAX; i++)
        buf_printf(&many,
                   "%s{\"id\":\"b/%d\",\"key\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\","
                   "\"logKey\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\","
                   "\"cosignerKey\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\","
                   "\"url\":\"\"}",
                   i == 0 ? "" : ",", i);
    buf_append_cstr(&many, "],\"admins\":{\"threshold\":1,\"keys\":[]},\"parameters\":{}}");
    assert_int_equal(genesis_parse(buf_bytes(&many), &out, why, sizeof(why)), SEALMQ_E_LIMIT);
    assert_non_null(strstr(why, "validators"));
    buf_close(&many);
}

static void the_largest_network_is_read_back(void **state)
{
    (void)state;
    static struct network large;
    network_make(&large, VALIDATORS_MAX, 3);
    struct buf json = {0};
    assert_int_equal(genesis_format(&large.genesis, &json), 0);
    assert_int_equal(genesis_parse(buf_bytes(&json), &out, why, sizeof(why)), 0);
    assert_true(hash_equal(&out.hash, &large.genesis.hash));
    buf_close(&json);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_genesis_is_read_as_it_was_written),
        cmocka_unit_test(what_is_wrong_is_named),
        cmocka_unit_test(white_space_and_order_do_not_matter),
        cmocka_unit_test(a_text_that_ends_early_is_refused),
        cmocka_unit_test(too_many_validators_or_admins_are_refused),
        cmocka_unit_test(the_largest_network_is_read_back),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
