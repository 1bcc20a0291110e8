#include "crypto/scram.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>

/* RFC 7677 section 3 */
#define NONCE  "%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
#define BOTH   "rOprNGfwEbeRWgbNEkqO" NONCE
#define FIRST  "n,,n=user,r=rOprNGfwEbeRWgbNEkqO"
#define ANSWER "r=" BOTH ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
#define PROOF  "p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
#define FINAL  "c=biws,r=" BOTH "," PROOF
#define LAST   "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="

static struct scram_verifier verifier_of(const char *password)
{
    struct scram_verifier verifier;
    uint8_t salt[16];
    assert_int_equal(base64_decode_exact(BYTES_LIT("W22ZaJ0SNY7soEsUEjb6gQ=="), salt, sizeof salt),
                     0);
    assert_int_equal(
        scram_verifier_make(bytes_str(password), bytes_of(salt, sizeof salt), 4096, &verifier), 0);
    return verifier;
}

static struct scram *begin(const char *first, const char *password, bool is_known)
{
    const struct scram_verifier verifier = verifier_of(password);
    struct scram_client_first parsed;
    struct scram *scram;
    struct buf answer = {0};
    assert_int_equal(scram_client_first_parse(bytes_str(first), &parsed), 0);
    assert_int_equal(scram_new(&parsed, &verifier, is_known, BYTES_LIT(NONCE), &scram, &answer), 0);
    assert_true(bytes_equal(buf_bytes(&answer), BYTES_LIT(ANSWER)));
    buf_close(&answer);
    return scram;
}

static int finish(const char *first, const char *password, bool is_known, struct bytes final)
{
    struct scram *scram = begin(first, password, is_known);
    struct buf last = {0};
    int e = scram_finish(scram, final, &last);
    if (e == 0)
        assert_true(last.n > 2);
    else
        assert_int_equal(last.n, 0);
    buf_close(&last);
    scram_free(scram);
    return e;
}

static void the_conversation_of_the_rfc_ends_as_it_says(void **state)
{
    (void)state;
    struct scram *scram = begin(FIRST, "pencil", true);
    struct buf last = {0};
    assert_int_equal(scram_finish(scram, BYTES_LIT(FINAL), &last), 0);
    assert_true(bytes_equal(buf_bytes(&last), BYTES_LIT(LAST)));
    /* A proof counts once. */
    assert_int_equal(scram_finish(scram, BYTES_LIT(FINAL), &last), SEALMQ_E_EXISTS);
    buf_close(&last);
    scram_free(scram);
}

static void wrong_passwords_and_unknown_users_are_denied_alike(void **state)
{
    (void)state;
    assert_int_equal(finish(FIRST, "Pencil", true, BYTES_LIT(FINAL)), SEALMQ_E_DENIED);
    assert_int_equal(finish(FIRST, "pencil", false, BYTES_LIT(FINAL)), SEALMQ_E_DENIED);
}

static void every_flipped_bit_of_the_last_message_is_refused(void **state)
{
    (void)state;
    char final[] = FINAL;
    for (size_t i = 0; i < (sizeof final - 1) * 8; i++) {
        final[i / 8] = (char)(final[i / 8] ^ (1 << i % 8));
        int e = finish(FIRST, "pencil", true, bytes_of(final, sizeof final - 1));
        assert_true(e == SEALMQ_E_PARSE || e == SEALMQ_E_DENIED);
        final[i / 8] = (char)(final[i / 8] ^ (1 << i % 8));
    }
    for (size_t n = 0; n < sizeof final - 1; n++)
        assert_int_equal(finish(FIRST, "pencil", true, bytes_of(final, n)), SEALMQ_E_PARSE);
}

static void a_nonce_of_another_conversation_is_refused(void **state)
{
    (void)state;
    const char *const wrong[] = {
        "c=biws,r=rOprNGfwEbeRWgbNEkqO," PROOF, /* the client's alone */
        "c=biws,r=" BOTH "x," PROOF,
        "c=biws,r=rOprNGfwEbeRWgbNEkqp" NONCE "," PROOF,
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(finish(FIRST, "pencil", true, bytes_str(wrong[i])), SEALMQ_E_PARSE);
}

/* Who changes "y" to "n" on the way, or puts another header there, is found out at the end. */
static void a_header_changed_on_the_way_is_refused(void **state)
{
    (void)state;
    assert_int_equal(finish(FIRST, "pencil", true, BYTES_LIT("c=eSws,r=" BOTH "," PROOF)),
                     SEALMQ_E_PARSE);
    assert_int_equal(finish("y,,n=user,r=rOprNGfwEbeRWgbNEkqO", "pencil", true, BYTES_LIT(FINAL)),
                     SEALMQ_E_PARSE);
    assert_int_equal(
        finish("n,a=user,n=user,r=rOprNGfwEbeRWgbNEkqO", "pencil", true, BYTES_LIT(FINAL)),
        SEALMQ_E_PARSE);
}

static void messages_out_of_form_are_refused(void **state)
{
    (void)state;
    const char *const finals[] = {
        "",
        "r=" BOTH ",c=biws," PROOF,
        "c=biws,r=" BOTH,
        "c=biws,r=" BOTH ",",
        "c=biws,r=" BOTH "," PROOF ",",
        "c=biws,r=" BOTH "," PROOF ",x=1",
        "c=biws,r=" BOTH "," PROOF "," PROOF,
        "c=biws,r=" BOTH ",p=",
        "c=biws,r=" BOTH ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVR=",
        "c=biws,r=" BOTH ",m=1," PROOF,
        "c=biws,r=" BOTH ",1=1," PROOF,
        "c=,r=" BOTH "," PROOF,
        ",c=biws,r=" BOTH "," PROOF,
        "c=biws,r=" BOTH ",\xff=1," PROOF,
    };
    for (size_t i = 0; i < sizeof finals / sizeof finals[0]; i++)
        assert_int_equal(finish(FIRST, "pencil", true, bytes_str(finals[i])), SEALMQ_E_PARSE);
}

static int parse(const char *text, struct scram_client_first *out)
{
    return scram_client_first_parse(bytes_str(text), out);
}

static void first_messages_are_read_by_the_grammar(void **state)
{
    (void)state;
    struct scram_client_first first;
    assert_int_equal(parse("n,,n=a=2Cb=3Dc,r=x", &first), 0);
    assert_string_equal(first.name, "a,b=c");
    assert_int_equal(parse("y,a=a=3D,n=a=3D,r=x,z=more,Z=a=b", &first), 0);
    assert_true(bytes_equal(first.header, BYTES_LIT("y,a=a=3D,")));
    assert_true(bytes_equal(first.nonce, BYTES_LIT("x")));
    assert_int_equal(parse("n,a=root,n=user,r=x", &first), SEALMQ_E_DENIED);
    assert_int_equal(parse("p=tls-unique,,n=user,r=x", &first), SEALMQ_E_UNSUPPORTED);
    assert_int_equal(parse("n,,m=1,n=user,r=x", &first), SEALMQ_E_UNSUPPORTED);
    assert_int_equal(parse("n,,n=user,r=x,m=1", &first), SEALMQ_E_UNSUPPORTED);
    const char *const wrong[] = {
        "",
        "n",
        "n,",
        "n,,",
        "n=user,r=x",
        "x,,n=user,r=x",
        "N,,n=user,r=x",
        "n,user,n=user,r=x",
        "n,a=,n=user,r=x",
        "n,,n=user",
        "n,,n=user,",
        "n,,n=,r=x",
        "n,,n=us=er,r=x",
        "n,,n=us=2c,r=x",
        "n,,n=user=2,r=x",
        "n,,n=user,r=",
        "n,,n=user,r=a b",
        "n,,n=user,r=a\x7f",
        "n,,n=user,r=\xc3\xa4",
        "n,,n=user,r=x,",
        "n,,n=user,r=x,y",
        "n,,n=user,r=x,1=y",
        "n,,r=x,n=user",
        "n,,n=us\xff,r=x",
    };
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        assert_int_equal(parse(wrong[i], &first), SEALMQ_E_PARSE);
    assert_int_equal(scram_client_first_parse(BYTES_LIT("n,,n=u\0r,r=x"), &first), SEALMQ_E_PARSE);
}

static void names_and_nonces_have_their_limits(void **state)
{
    (void)state;
    struct scram_client_first first;
    char text[SCRAM_MESSAGE_MAX + 64], name[SCRAM_NAME_MAX + 2], nonce[SCRAM_NONCE_MAX + 2];
    for (int over = 0; over < 2; over++) {
        snprintf(name, sizeof name, "%0*d", SCRAM_NAME_MAX + over, 0);
        snprintf(text, sizeof text, "n,,n=%s,r=x", name);
        assert_int_equal(parse(text, &first), over ? SEALMQ_E_PARSE : 0);
        snprintf(nonce, sizeof nonce, "%0*d", SCRAM_NONCE_MAX + over, 0);
        snprintf(text, sizeof text, "n,,n=u,r=%s", nonce);
        assert_int_equal(parse(text, &first), over ? SEALMQ_E_PARSE : 0);
        snprintf(text, sizeof text, "n,,n=u,r=x,z=%0*d", SCRAM_MESSAGE_MAX - 13 + over, 0);
        assert_int_equal(strlen(text), SCRAM_MESSAGE_MAX + over);
        assert_int_equal(parse(text, &first), over ? SEALMQ_E_PARSE : 0);
    }
}

static void a_verifier_is_the_same_after_its_text(void **state)
{
    (void)state;
    const struct scram_verifier verifier = verifier_of("pencil");
    struct scram_verifier again;
    struct buf text = {0};
    scram_verifier_append(&verifier, &text);
    assert_true(bytes_starts_with(buf_bytes(&text),
                                  BYTES_LIT("SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$")));
    assert_int_equal(scram_verifier_parse(buf_bytes(&text), &again), 0);
    assert_memory_equal(&again, &verifier, sizeof verifier);
    assert_int_equal(scram_verifier_check(&again, BYTES_LIT("pencil")), 0);
    assert_int_equal(scram_verifier_check(&again, BYTES_LIT("pencik")), SEALMQ_E_DENIED);
    assert_int_equal(scram_verifier_check(&again, (struct bytes){0}), SEALMQ_E_DENIED);
    for (size_t n = 0; n < text.n; n++)
        assert_int_equal(scram_verifier_parse(bytes_of(text.p, n), &again), SEALMQ_E_PARSE);
    buf_append_u8(&text, ' ');
    assert_int_equal(scram_verifier_parse(buf_bytes(&text), &again), SEALMQ_E_PARSE);
    buf_close(&text);
}

#define KEYS                                                                                       \
    "$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="

static void numbers_of_a_verifier_have_their_range(void **state)
{
    (void)state;
    struct scram_verifier out;
    char text[512];
    const struct {
        const char *iterations, *salt;
        int error;
    } cases[] = {
        {"4096", "MTIzNDU2Nzg=", 0},
        {"2000000", "MTIzNDU2Nzg=", 0},
        {"4095", "MTIzNDU2Nzg=", SEALMQ_E_PARSE},
        {"2000001", "MTIzNDU2Nzg=", SEALMQ_E_PARSE},
        {"99999999999999999999999", "MTIzNDU2Nzg=", SEALMQ_E_PARSE},
        {"-4096", "MTIzNDU2Nzg=", SEALMQ_E_PARSE},
        {"", "MTIzNDU2Nzg=", SEALMQ_E_PARSE},
        {"4096", "MTIzNDU2Nw==", SEALMQ_E_PARSE}, /* seven bytes */
        {"4096", "", SEALMQ_E_PARSE},
        {"4096", "MTIzNDU2Nzg", SEALMQ_E_PARSE},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        snprintf(text, sizeof text, "SCRAM-SHA-256$%s:%s" KEYS, cases[i].iterations, cases[i].salt);
        assert_int_equal(scram_verifier_parse(bytes_str(text), &out), cases[i].error);
    }
    const struct bytes salt = BYTES_LIT("12345678");
    assert_int_equal(scram_verifier_make(salt, salt, 4095, &out), SEALMQ_E_ARG);
    assert_int_equal(scram_verifier_make(salt, salt, 2000001, &out), SEALMQ_E_ARG);
    assert_int_equal(scram_verifier_make(salt, BYTES_LIT("1234567"), 4096, &out), SEALMQ_E_ARG);
}

static void a_decoy_is_always_the_same_for_a_name_and_for_no_other(void **state)
{
    (void)state;
    const struct scram_verifier like = verifier_of("pencil");
    static const uint8_t secret[SCRAM_SECRET_SIZE] = "a secret of the server";
    static const uint8_t other[SCRAM_SECRET_SIZE] = "another";
    struct scram_verifier a, again, b, c;
    scram_verifier_decoy(&like, secret, BYTES_LIT("eve"), &a);
    scram_verifier_decoy(&like, secret, BYTES_LIT("eve"), &again);
    scram_verifier_decoy(&like, secret, BYTES_LIT("evf"), &b);
    scram_verifier_decoy(&like, other, BYTES_LIT("eve"), &c);
    assert_memory_equal(&a, &again, sizeof a);
    assert_int_equal(a.iterations, 4096);
    assert_int_equal(a.salt_n, 16);
    assert_memory_not_equal(a.salt, b.salt, 16);
    assert_memory_not_equal(a.salt, c.salt, 16);
    assert_memory_not_equal(a.salt, like.salt, 16);
    assert_memory_not_equal(&a.stored_key, &like.stored_key, HASH_SIZE);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_conversation_of_the_rfc_ends_as_it_says),
        cmocka_unit_test(wrong_passwords_and_unknown_users_are_denied_alike),
        cmocka_unit_test(every_flipped_bit_of_the_last_message_is_refused),
        cmocka_unit_test(a_nonce_of_another_conversation_is_refused),
        cmocka_unit_test(a_header_changed_on_the_way_is_refused),
        cmocka_unit_test(messages_out_of_form_are_refused),
        cmocka_unit_test(first_messages_are_read_by_the_grammar),
        cmocka_unit_test(names_and_nonces_have_their_limits),
        cmocka_unit_test(a_verifier_is_the_same_after_its_text),
        cmocka_unit_test(numbers_of_a_verifier_have_their_range),
        cmocka_unit_test(a_decoy_is_always_the_same_for_a_name_and_for_no_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
