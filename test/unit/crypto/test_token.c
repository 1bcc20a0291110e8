#include "crypto/token.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "unit/crypto/vector.h"

#include <stdlib.h>

#define NOW 1700000000

static struct sign_key key, other_key;

static int start(void **state)
{
    (void)state;
    uint8_t seed[SEED_SIZE] = {1}, other_seed[SEED_SIZE] = {2};
    if (crypto_init() != 0)
        return -1;
    sign_key_from_seed(seed, &key);
    sign_key_from_seed(other_seed, &other_key);
    return 0;
}

static struct token usual(void)
{
    return (struct token){.iss = "gateway/a",
                          .network = "plant",
                          .node = "broker/1",
                          .iat = NOW,
                          .exp = NOW + 60,
                          .jti = "abcdefghij_-0123"};
}

static void assert_same(const struct token *a, const struct token *b)
{
    assert_string_equal(a->iss, b->iss);
    assert_string_equal(a->network, b->network);
    assert_string_equal(a->node, b->node);
    assert_string_equal(a->jti, b->jti);
    assert_true(a->iat == b->iat && a->exp == b->exp);
    assert_int_equal(a->has_key, b->has_key);
    assert_memory_equal(a->key.b, b->key.b, PUBLIC_KEY_SIZE);
}

static int verify(struct bytes text, int64_t now_s)
{
    struct token out;
    uint8_t *copy = malloc(text.n == 0 ? 1 : text.n);
    if (text.n != 0)
        memcpy(copy, text.p, text.n);
    int error =
        token_verify(bytes_of(copy, text.n), &key.public_key, "plant", "broker/1", now_s, &out);
    if (error != 0) {
        static const struct token nothing;
        assert_same(&out, &nothing);
    }
    free(copy);
    return error;
}

static int verify_token(const struct token *token, int64_t now_s)
{
    struct buf text = {0};
    assert_int_equal(token_make(token, &key, &text), 0);
    int error = verify(buf_bytes(&text), now_s);
    buf_close(&text);
    return error;
}

/* A token with this header and these claims, whatever they are, rightly signed. */
static struct buf sign_json(const char *header, const char *claims)
{
    struct buf text = {0};
    struct signature s;
    base64url_append(&text, bytes_str(header));
    buf_append_u8(&text, '.');
    base64url_append(&text, bytes_str(claims));
    sign_raw(&key, buf_bytes(&text), &s);
    buf_append_u8(&text, '.');
    base64url_append(&text, bytes_of(s.b, sizeof(s.b)));
    assert_int_equal(buf_status(&text), 0);
    return text;
}

static int verify_json(const char *header, const char *claims)
{
    struct buf text = sign_json(header, claims);
    int error = verify(buf_bytes(&text), NOW);
    buf_close(&text);
    return error;
}

#define HEADER "{\"alg\":\"EdDSA\",\"typ\":\"JWT\"}"
#define CLAIMS(iss, aud, iat, exp, jti)                                                            \
    "{\"iss\":" iss ",\"aud\":" aud ",\"iat\":" iat ",\"exp\":" exp ",\"jti\":" jti "}"
#define GOOD                                                                                       \
    CLAIMS("\"gateway/a\"", "\"plant:broker/1\"", "1700000000", "1700000060",                      \
           "\"abcdefghij_-0123\"")

static void a_token_says_what_it_was_made_of(void **state)
{
    (void)state;
    struct token made = usual(), parsed, verified;
    struct buf text = {0};
    buf_append_cstr(&text, "before");
    assert_int_equal(token_make(&made, &key, &text), 0);
    buf_consume(&text, 6);
    assert_int_equal(token_parse(buf_bytes(&text), &parsed), 0);
    assert_same(&parsed, &made);
    assert_int_equal(
        token_verify(buf_bytes(&text), &key.public_key, "plant", "broker/1", NOW, &verified), 0);
    assert_same(&verified, &made);
    struct buf same = sign_json(HEADER, GOOD);
    assert_true(bytes_equal(buf_bytes(&same), buf_bytes(&text)));
    buf_close(&same);
    buf_close(&text);
}

/* RFC 8037 appendix A.4: the signature of a JWS, which is what token_make puts together. */
static void the_published_jws_comes_out(void **state)
{
    (void)state;
    struct vector seed =
        vector_of("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60");
    struct sign_key published;
    struct signature s;
    struct buf text = {0};
    sign_key_from_seed(seed.b, &published);
    base64url_append(&text, BYTES_LIT("{\"alg\":\"EdDSA\"}"));
    buf_append_u8(&text, '.');
    base64url_append(&text, BYTES_LIT("Example of Ed25519 signing"));
    assert_string_equal(buf_cstr(&text),
                        "eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc");
    sign_raw(&published, buf_bytes(&text), &s);
    buf_reset(&text);
    base64url_append(&text, bytes_of(s.b, sizeof(s.b)));
    assert_string_equal(buf_cstr(&text),
                        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylG"
                        "jg5BhVsPt9g7sVvpAr_MuM0KAg");
    buf_close(&text);
}

static void a_token_is_valid_from_issue_to_expiry(void **state)
{
    (void)state;
    struct token t = usual();
    assert_int_equal(verify_token(&t, NOW), 0);
    assert_int_equal(verify_token(&t, NOW + 59), 0);
    assert_int_equal(verify_token(&t, NOW + 60), SEALMQ_E_EXPIRED);
    assert_int_equal(verify_token(&t, INT64_MAX), SEALMQ_E_EXPIRED);
    assert_int_equal(verify_token(&t, NOW - TOKEN_SKEW_S), 0);
    assert_int_equal(verify_token(&t, NOW - TOKEN_SKEW_S - 1), SEALMQ_E_EXPIRED);
    assert_int_equal(verify_token(&t, 0), SEALMQ_E_EXPIRED);
    assert_int_equal(verify_token(&t, INT64_MIN), SEALMQ_E_EXPIRED);
}

static void a_token_lives_five_minutes_at_most(void **state)
{
    (void)state;
    struct token t = usual();
    t.exp = NOW + TOKEN_LIFE_MAX_S;
    assert_int_equal(verify_token(&t, NOW), 0);
    t.exp++;
    assert_int_equal(verify_token(&t, NOW), SEALMQ_E_EXPIRED);
    t.exp = (INT64_C(1) << 53) - 1;
    assert_int_equal(verify_token(&t, NOW), SEALMQ_E_EXPIRED);
    t.exp = t.iat;
    assert_int_equal(verify_token(&t, NOW), SEALMQ_E_EXPIRED);
}

static void a_token_is_for_one_network_and_node(void **state)
{
    (void)state;
    struct token t = usual();
    strcpy(t.network, "plant2");
    assert_int_equal(verify_token(&t, NOW), SEALMQ_E_NETWORK);
    strcpy(t.network, "plan");
    assert_int_equal(verify_token(&t, NOW), SEALMQ_E_NETWORK);
    t = usual();
    strcpy(t.node, "broker/2");
    assert_int_equal(verify_token(&t, NOW), SEALMQ_E_NETWORK);
    strcpy(t.node, "*");
    assert_int_equal(verify_token(&t, NOW), 0);
}

static void only_the_issuers_key_signs(void **state)
{
    (void)state;
    struct token t = usual();
    struct buf text = {0};
    assert_int_equal(token_make(&t, &other_key, &text), 0);
    assert_int_equal(verify(buf_bytes(&text), NOW), SEALMQ_E_SIGNATURE);
    buf_close(&text);
}

/* The answer to a forger tells nothing about times and networks. */
static void the_signature_is_checked_before_the_claims(void **state)
{
    (void)state;
    struct token t = usual();
    strcpy(t.network, "elsewhere");
    struct buf text = {0};
    assert_int_equal(token_make(&t, &other_key, &text), 0);
    assert_int_equal(verify(buf_bytes(&text), NOW + 1000), SEALMQ_E_SIGNATURE);
    buf_close(&text);
}

static void any_changed_character_is_seen(void **state)
{
    (void)state;
    struct token t = usual();
    struct buf text = {0};
    assert_int_equal(token_make(&t, &key, &text), 0);
    for (size_t i = 0; i < text.n; i++) {
        uint8_t was = text.p[i];
        for (unsigned bit = 0; bit < 8; bit++) {
            text.p[i] = (uint8_t)(was ^ 1u << bit);
            int error = verify(buf_bytes(&text), NOW);
            assert_true(error == SEALMQ_E_PARSE || error == SEALMQ_E_SIGNATURE);
        }
        text.p[i] = was;
    }
    assert_int_equal(verify(buf_bytes(&text), NOW), 0);
    buf_close(&text);
}

static void a_token_cut_anywhere_or_with_more_is_refused(void **state)
{
    (void)state;
    struct token t = usual();
    struct buf text = {0};
    assert_int_equal(token_make(&t, &key, &text), 0);
    for (size_t n = 0; n < text.n; n++)
        assert_int_equal(verify(bytes_of(text.p, n), NOW), SEALMQ_E_PARSE);
    const char *tails[] = {".", "=", "A", " ", "\n", ".e30", "AA"};
    size_t n = text.n;
    for (size_t i = 0; i < sizeof(tails) / sizeof(tails[0]); i++) {
        buf_append_cstr(&text, tails[i]);
        assert_int_equal(verify(buf_bytes(&text), NOW), SEALMQ_E_PARSE);
        text.n = n;
    }
    buf_close(&text);
}

static void a_token_does_not_choose_how_it_is_checked(void **state)
{
    (void)state;
    assert_int_equal(verify_json(HEADER, GOOD), 0);
    assert_int_equal(verify_json("{\"alg\":\"EdDSA\"}", GOOD), 0);
    assert_int_equal(verify_json("{\"typ\":\"jwt\",\"kid\":\"x\",\"alg\":\"EdDSA\"}", GOOD), 0);
    const char *bad[] = {
        "{}",
        "{\"alg\":\"none\"}",
        "{\"alg\":\"HS256\",\"typ\":\"JWT\"}",
        "{\"alg\":\"eddsa\"}",
        "{\"alg\":\"ES256\"}",
        "{\"alg\":null}",
        "{\"alg\":[\"EdDSA\"]}",
        "{\"ALG\":\"EdDSA\"}",
        "{\"alg\":\"none\",\"alg\":\"EdDSA\"}",
        "{\"alg\":\"EdDSA\",\"typ\":\"JWE\"}",
        "{\"alg\":\"EdDSA\",\"typ\":1}",
        "{\"alg\":\"EdDSA\",\"crit\":[\"exp\"],\"exp\":1}",
        "{\"alg\":\"EdDSA\",\"b64\":false,\"crit\":[\"b64\"]}",
        "[\"EdDSA\"]",
        "\"EdDSA\"",
        "{\"alg\":\"EdDSA\"} ,",
        "",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (verify_json(bad[i], GOOD) != SEALMQ_E_PARSE)
            fail_msg("%s was taken", bad[i]);
}

#define ISS "\"gateway/a\""
#define AUD "\"plant:broker/1\""
#define IAT "1700000000"
#define EXP "1700000060"
#define JTI "\"abcdefghij_-0123\""

static void malformed_claims_are_refused_though_signed(void **state)
{
    (void)state;
    const char *bad[] = {
        "",
        "{}",
        "[]",
        "null",
        CLAIMS("\"gateway\"", AUD, IAT, EXP, JTI),
        CLAIMS("\"gateway/a/b\"", AUD, IAT, EXP, JTI),
        CLAIMS("\"gate way/a\"", AUD, IAT, EXP, JTI),
        CLAIMS("\"\"", AUD, IAT, EXP, JTI),
        CLAIMS("7", AUD, IAT, EXP, JTI),
        CLAIMS("null", AUD, IAT, EXP, JTI),
        CLAIMS("\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa/a\"", AUD, IAT,
               EXP, JTI),
        CLAIMS(ISS, "\"plant\"", IAT, EXP, JTI),
        CLAIMS(ISS, "\"plant:\"", IAT, EXP, JTI),
        CLAIMS(ISS, "\":broker/1\"", IAT, EXP, JTI),
        CLAIMS(ISS, "\"plant:broker\"", IAT, EXP, JTI),
        CLAIMS(ISS, "\"plant:**\"", IAT, EXP, JTI),
        CLAIMS(ISS, "\"*:*\"", IAT, EXP, JTI),
        CLAIMS(ISS, "\"Plant:broker/1\"", IAT, EXP, JTI),
        CLAIMS(ISS, "\"plant:broker/1:x\"", IAT, EXP, JTI),
        CLAIMS(ISS, "[\"plant:broker/1\"]", IAT, EXP, JTI),
        CLAIMS(ISS, "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa:*\"", IAT, EXP, JTI),
        CLAIMS(ISS, AUD, "\"1700000000\"", EXP, JTI),
        CLAIMS(ISS, AUD, "-1", EXP, JTI),
        CLAIMS(ISS, AUD, "1700000000.5", EXP, JTI),
        CLAIMS(ISS, AUD, "1e300", EXP, JTI),
        CLAIMS(ISS, AUD, IAT, "\"1700000060\"", JTI),
        CLAIMS(ISS, AUD, IAT, "1699999999", JTI),
        CLAIMS(ISS, AUD, IAT, "9007199254740992", JTI),
        CLAIMS(ISS, AUD, IAT, "null", JTI),
        CLAIMS(ISS, AUD, IAT, EXP, "\"abcdefghij_-012\""),
        CLAIMS(ISS, AUD, IAT, EXP, "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\""),
        CLAIMS(ISS, AUD, IAT, EXP, "\"abcdefghij+/0123\""),
        CLAIMS(ISS, AUD, IAT, EXP, "\"abcdefghij\\u000a01234\""),
        CLAIMS(ISS, AUD, IAT, EXP, "1234567890123456"),
        "{\"iss\":" ISS ",\"aud\":" AUD ",\"iat\":" IAT ",\"exp\":" EXP "}",
        "{\"iss\":" ISS ",\"aud\":" AUD ",\"iat\":" IAT ",\"jti\":" JTI "}",
        "{\"iss\":" ISS ",\"aud\":" AUD ",\"exp\":" EXP ",\"jti\":" JTI "}",
        "{\"iss\":" ISS ",\"iat\":" IAT ",\"exp\":" EXP ",\"jti\":" JTI "}",
        "{\"aud\":" AUD ",\"iat\":" IAT ",\"exp\":" EXP ",\"jti\":" JTI "}",
        "{\"iss\":" ISS ",\"iss\":\"gateway/b\",\"aud\":" AUD ",\"iat\":" IAT ",\"exp\":" EXP
        ",\"jti\":" JTI "}",
        GOOD GOOD,
        GOOD "x",
    };
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (verify_json(HEADER, bad[i]) != SEALMQ_E_PARSE)
            fail_msg("%s was taken", bad[i]);
}

static void optional_and_unknown_claims_are_understood(void **state)
{
    (void)state;
    const char *head =
        "{\"iss\":" ISS ",\"aud\":" AUD ",\"iat\":" IAT ",\"exp\":" EXP ",\"jti\":" JTI;
    struct {
        const char *tail;
        int error;
    } cases[] = {
        {",\"sub\":{\"x\":[1]}}", 0},
        {",\"nbf\":1700000000}", 0},
        {",\"nbf\":1700000030}", 0},
        {",\"nbf\":1700000031}", SEALMQ_E_EXPIRED},
        {",\"nbf\":\"soon\"}", SEALMQ_E_PARSE},
        {",\"key\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}", 0},
        {",\"key\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\"}", SEALMQ_E_PARSE},
        {",\"key\":\"AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA\"}", SEALMQ_E_PARSE},
        {",\"key\":\"\"}", SEALMQ_E_PARSE},
        {",\"key\":null}", SEALMQ_E_PARSE},
        {",\"key\":{}}", SEALMQ_E_PARSE},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf claims = {0};
        buf_printf(&claims, "%s%s", head, cases[i].tail);
        assert_int_equal(verify_json(HEADER, buf_cstr(&claims)), cases[i].error);
        buf_close(&claims);
    }
    /* An early nbf does not excuse an iat of tomorrow. */
    assert_int_equal(verify_json(HEADER, "{\"nbf\":1,\"iss\":" ISS ",\"aud\":" AUD
                                         ",\"iat\":1700000050,\"exp\":" EXP ",\"jti\":" JTI "}"),
                     SEALMQ_E_EXPIRED);
}

static void a_token_may_carry_its_issuers_key(void **state)
{
    (void)state;
    struct token made = usual(), out, verified;
    made.has_key = true;
    made.key = key.public_key;
    struct buf text = {0};
    assert_int_equal(token_make(&made, &key, &text), 0);
    assert_int_equal(token_parse(buf_bytes(&text), &out), 0);
    assert_true(out.has_key);
    assert_memory_equal(out.key.b, key.public_key.b, PUBLIC_KEY_SIZE);
    assert_int_equal(token_verify(buf_bytes(&text), &out.key, "plant", "broker/1", NOW, &verified),
                     0);
    buf_close(&text);
    /* Someone else's key in it proves nothing: it is not the one that signed. */
    made.key = other_key.public_key;
    assert_int_equal(token_make(&made, &key, &text), 0);
    assert_int_equal(token_parse(buf_bytes(&text), &out), 0);
    assert_int_equal(token_verify(buf_bytes(&text), &out.key, "plant", "broker/1", NOW, &verified),
                     SEALMQ_E_SIGNATURE);
    buf_close(&text);
}

static void a_token_over_the_limit_is_not_looked_at(void **state)
{
    (void)state;
    struct buf claims = {0};
    buf_append_cstr(&claims, GOOD);
    claims.n--;
    buf_printf(&claims, ",\"x\":\"%0*d\"}", 600, 0);
    struct buf text = sign_json(HEADER, buf_cstr(&claims));
    assert_true(text.n > TOKEN_BYTES_MAX);
    assert_int_equal(verify(buf_bytes(&text), NOW), SEALMQ_E_PARSE);
    buf_close(&text);
    buf_close(&claims);
    assert_int_equal(verify((struct bytes){0}, NOW), SEALMQ_E_PARSE);
}

static void a_token_of_the_longest_members_fits(void **state)
{
    (void)state;
    struct token t = usual();
    memset(t.iss, 'i', ID_MAX);
    t.iss[ID_WORD_MAX] = '/';
    memset(t.node, 'n', ID_MAX);
    t.node[ID_WORD_MAX] = '/';
    memset(t.network, 'w', NETWORK_MAX);
    memset(t.jti, 'j', TOKEN_JTI_MAX);
    t.has_key = true;
    memset(t.key.b, 0xFF, sizeof(t.key.b));
    t.iat = (INT64_C(1) << 53) - 61;
    t.exp = (INT64_C(1) << 53) - 1;
    struct buf text = {0};
    struct token out;
    assert_int_equal(token_make(&t, &key, &text), 0);
    assert_true(text.n <= TOKEN_BYTES_MAX);
    assert_int_equal(
        token_verify(buf_bytes(&text), &key.public_key, t.network, t.node, t.iat, &out), 0);
    assert_same(&out, &t);
    buf_close(&text);
}

static void what_would_be_refused_is_not_made(void **state)
{
    (void)state;
    struct token t[10];
    for (size_t i = 0; i < 10; i++)
        t[i] = usual();
    strcpy(t[0].iss, "gateway");
    strcpy(t[1].iss, "a\"/b");
    strcpy(t[2].network, "");
    strcpy(t[3].network, "a:b");
    strcpy(t[4].node, "");
    strcpy(t[5].node, "**");
    strcpy(t[6].jti, "short");
    strcpy(t[7].jti, "abcdefghij\"},{\"x");
    t[8].iat = -1;
    t[9].exp = t[9].iat - 1;
    for (size_t i = 0; i < 10; i++) {
        struct buf text = {0};
        assert_int_equal(token_make(&t[i], &key, &text), SEALMQ_E_ARG);
        assert_int_equal(text.n, 0);
        buf_close(&text);
    }
    struct buf small = {.limit = 100};
    assert_int_equal(token_make(&(struct token){.iss = "a/b",
                                                .network = "n",
                                                .node = "*",
                                                .iat = 1,
                                                .exp = 2,
                                                .jti = "abcdefghij_-0123"},
                                &key, &small),
                     SEALMQ_E_LIMIT);
    buf_close(&small);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_token_says_what_it_was_made_of),
        cmocka_unit_test(the_published_jws_comes_out),
        cmocka_unit_test(a_token_is_valid_from_issue_to_expiry),
        cmocka_unit_test(a_token_lives_five_minutes_at_most),
        cmocka_unit_test(a_token_is_for_one_network_and_node),
        cmocka_unit_test(only_the_issuers_key_signs),
        cmocka_unit_test(the_signature_is_checked_before_the_claims),
        cmocka_unit_test(any_changed_character_is_seen),
        cmocka_unit_test(a_token_cut_anywhere_or_with_more_is_refused),
        cmocka_unit_test(a_token_does_not_choose_how_it_is_checked),
        cmocka_unit_test(malformed_claims_are_refused_though_signed),
        cmocka_unit_test(optional_and_unknown_claims_are_understood),
        cmocka_unit_test(a_token_may_carry_its_issuers_key),
        cmocka_unit_test(a_token_over_the_limit_is_not_looked_at),
        cmocka_unit_test(a_token_of_the_longest_members_fits),
        cmocka_unit_test(what_would_be_refused_is_not_made),
    };
    return cmocka_run_group_tests(tests, start, NULL);
}
