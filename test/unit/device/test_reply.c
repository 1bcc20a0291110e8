/* Sealed answers and their reason codes. */
#include "keys.h"

#include "base/json.h"
#include "device/reply.h"

static struct reply example(enum reply_kind kind)
{
    struct reply reply = {.kind = kind, .n = 42, .code = 21, .words = BYTES_LIT("why")};
    if (kind == REPLY_RECEIPT)
        reply.proof = BYTES_LIT("c2sp.org/tlog-proof@v1\n");
    else if (kind != REPLY_REQUEST_REFUSED)
        reply.report = hash_of("report");
    return reply;
}

static void every_kind_comes_back_as_it_was(void **state)
{
    (void)state;
    for (unsigned kind = REPLY_DATAS; kind <= REPLY_REQUEST_REFUSED; kind++) {
        struct reply in = example((enum reply_kind)kind), out;
        struct buf wire = {0};
        assert_int_equal(reply_encode(&in, &wire), 0);
        assert_int_equal(reply_decode(buf_bytes(&wire), &out), 0);
        assert_int_equal(out.kind, in.kind);
        assert_int_equal(out.n, 42);
        assert_int_equal(out.code, 21);
        assert_true(bytes_equal(out.words, in.words));
        assert_true(bytes_equal(out.proof, in.proof));
        assert_true(hash_equal(&out.report, &in.report));
        buf_close(&wire);
    }
}

static void what_is_cut_or_longer_is_refused(void **state)
{
    (void)state;
    for (unsigned kind = REPLY_DATAS; kind <= REPLY_REQUEST_REFUSED; kind++) {
        struct reply in = example((enum reply_kind)kind), out;
        struct buf wire = {0};
        in.proof = (struct bytes){0};
        assert_int_equal(reply_encode(&in, &wire), 0);
        for (size_t n = 0; n < wire.n; n++)
            assert_int_not_equal(reply_decode(bytes_of(wire.p, n), &out), 0);
        buf_append_u8(&wire, 0);
        if (kind != REPLY_RECEIPT)
            assert_int_equal(reply_decode(buf_bytes(&wire), &out), SEALMQ_E_PARSE);
        wire.p[0] = 2;
        assert_int_equal(reply_decode(buf_bytes(&wire), &out), SEALMQ_E_VERSION);
        buf_close(&wire);
    }
}

static void an_unknown_kind_is_refused(void **state)
{
    (void)state;
    struct reply in = example(REPLY_SUCCESS), out;
    struct buf wire = {0};
    assert_int_equal(reply_encode(&in, &wire), 0);
    for (unsigned kind = 0; kind < 256; kind++) {
        wire.p[1] = (uint8_t)kind;
        if (kind < REPLY_DATAS || kind > REPLY_REQUEST_REFUSED)
            assert_int_equal(reply_decode(buf_bytes(&wire), &out), SEALMQ_E_PARSE);
    }
    buf_close(&wire);
}

static void codes_have_names_words_and_finality(void **state)
{
    (void)state;
    assert_string_equal(device_code_name(DEVICE_CODE_CONFLICT), "CONFLICT");
    assert_string_equal(device_code_words(DEVICE_CODE_UNKNOWN), "not registered");
    assert_string_equal(device_code_name(999), "?");
    assert_string_equal(device_code_words(999), "unknown code");
    assert_true(device_code_is_final(DEVICE_CODE_SIGNATURE));
    assert_false(device_code_is_final(DEVICE_CODE_BUSY));
    assert_false(device_code_is_final(DEVICE_CODE_STORAGE));
    assert_false(device_code_is_final(DEVICE_CODE_KEY));
    assert_false(device_code_is_final(999)); /* a newer node may mean anything by it */
}

/* Every error of the list has a code, and what may pass by itself is never final: a report would be
 * dropped for a full disk. */
static void errors_that_may_pass_are_not_final(void **state)
{
    (void)state;
    static const int passing[] = {SEALMQ_E_NOMEM,  SEALMQ_E_AGAIN,   SEALMQ_E_BUSY,
                                  SEALMQ_E_IO,     SEALMQ_E_FULL,    SEALMQ_E_CORRUPT,
                                  SEALMQ_E_CLOSED, SEALMQ_E_TIMEOUT, SEALMQ_E_EXPIRED,
                                  SEALMQ_E_CRYPTO, SEALMQ_E_CONFIG,  -1000};
    for (size_t i = 0; i < sizeof passing / sizeof passing[0]; i++)
        assert_false(device_code_is_final(device_code_of(passing[i])));
    static const int final[] = {SEALMQ_E_SIGNATURE, SEALMQ_E_COUNT,    SEALMQ_E_TYPE,
                                SEALMQ_E_LIMIT,     SEALMQ_E_CONFLICT, SEALMQ_E_PARSE,
                                SEALMQ_E_SHORT,     SEALMQ_E_REPLAY,   SEALMQ_E_DENIED,
                                SEALMQ_E_HASH,      SEALMQ_E_NOTFOUND, SEALMQ_E_PROTOCOL};
    for (size_t i = 0; i < sizeof final / sizeof final[0]; i++)
        assert_true(device_code_is_final(device_code_of(final[i])));
    for (int error = -31; error <= 0; error++)
        assert_string_not_equal(device_code_name(device_code_of(error)), "?");
}

static void the_last_level_says_what_became_of_it(void **state)
{
    (void)state;
    assert_string_equal(reply_topic_level(REPLY_DATAS), "datas");
    assert_string_equal(reply_topic_level(REPLY_SUCCESS), "success");
    assert_string_equal(reply_topic_level(REPLY_ERROR), "error");
}

static void a_hint_is_json(void **state)
{
    (void)state;
    struct buf out = {0};
    cJSON *json;
    const char *text;
    assert_int_equal(hint_format(DEVICE_CODE_KEY, &out), 0);
    assert_int_equal(json_parse(buf_bytes(&out), &json, NULL), 0);
    assert_int_equal(json_member_string(json, "code", &text, NULL), 0);
    assert_string_equal(text, "KEY");
    cJSON_Delete(json);
    buf_close(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_comes_back_as_it_was),
        cmocka_unit_test(what_is_cut_or_longer_is_refused),
        cmocka_unit_test(an_unknown_kind_is_refused),
        cmocka_unit_test(codes_have_names_words_and_finality),
        cmocka_unit_test(errors_that_may_pass_are_not_final),
        cmocka_unit_test(the_last_level_says_what_became_of_it),
        cmocka_unit_test(a_hint_is_json),
    };
    return cmocka_run_group_tests(tests, keys_setup, NULL);
}
