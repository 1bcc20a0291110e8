#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "crypto/password.h"
#include "net/passwords.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Right in form; nobody knows its password. */
#define HASH                                                                                       \
    "$argon2id$v=19$m=65536,t=2,p=1$c29tZXNhbHRzb21lc2FsdA$aGFzaGhhc2hoYXNoaGFzaGhhc2hoYXNo"

static struct passwords *parse_text(struct bytes text)
{
    struct passwords *passwords = NULL;
    char why[256];
    int e = passwords_parse(text, "file", &passwords, why, sizeof(why));
    if (e != 0)
        print_error("%s\n", why);
    assert_int_equal(e, 0);
    return passwords;
}

static void assert_refused(struct bytes text, const char *words)
{
    struct passwords *passwords = (struct passwords *)(uintptr_t)1;
    char why[256];
    assert_int_equal(passwords_parse(text, "file", &passwords, why, sizeof(why)), SEALMQ_E_CONFIG);
    assert_null(passwords);
    if (strstr(why, words) == NULL)
        fail_msg("'%s' does not say '%s'", why, words);
}

static void users_are_found_by_their_exact_name(void **state)
{
    (void)state;
    struct passwords *p =
        parse_text(BYTES_LIT("# people\n\nann:" HASH "\r\nbj\xc3\xb6rn x:" HASH "\nlast:" HASH));
    assert_int_equal(passwords_count(p), 3);
    assert_string_equal(passwords_find(p, BYTES_LIT("ann")), HASH);
    assert_non_null(passwords_find(p, BYTES_LIT("bj\xc3\xb6rn x")));
    assert_non_null(passwords_find(p, BYTES_LIT("last")));
    assert_null(passwords_find(p, BYTES_LIT("Ann")));
    assert_null(passwords_find(p, BYTES_LIT("an")));
    assert_null(passwords_find(p, BYTES_LIT("ann:")));
    assert_null(passwords_find(p, BYTES_LIT("# people")));
    assert_null(passwords_find(p, (struct bytes){0}));
    passwords_unref(p);
}

static void an_empty_file_knows_nobody(void **state)
{
    (void)state;
    struct passwords *p = parse_text((struct bytes){0});
    assert_int_equal(passwords_count(p), 0);
    assert_null(passwords_find(p, BYTES_LIT("ann")));
    passwords_unref(p);
    passwords_unref(parse_text(BYTES_LIT("\n\r\n#\n")));
}

static void a_bad_line_is_named_with_the_mend(void **state)
{
    (void)state;
    assert_refused(BYTES_LIT("ann:" HASH "\nbob\n"), "file:2: no colon");
    assert_refused(BYTES_LIT(":" HASH), "file:1: not a user name");
    assert_refused(BYTES_LIT("a\x01:" HASH), "file:1: not a user name");
    assert_refused(BYTES_LIT("a\xff:" HASH), "file:1: not a user name");
    assert_refused(BYTES_LIT("a\0b:" HASH), "file:1: not a user name");
    assert_refused(BYTES_LIT("ann:secret"), "file:1: what follows the colon is no Argon2id hash");
    assert_refused(BYTES_LIT("ann:$6$salt$hash"), "sealmq passwd");
    assert_refused(BYTES_LIT("ann:" HASH " "), "file:1: what follows");
    assert_refused(BYTES_LIT("ann:" HASH "\n\nann:" HASH), "file:3: this user stands in line 1");
}

static void a_name_of_more_than_255_bytes_is_refused(void **state)
{
    (void)state;
    char name[257];
    memset(name, 'n', sizeof(name));
    assert_true(passwords_name_is_valid(bytes_of(name, 255)));
    assert_false(passwords_name_is_valid(bytes_of(name, 256)));
    assert_false(passwords_name_is_valid(bytes_of(name, 0)));
    assert_false(passwords_name_is_valid(BYTES_LIT("#a")));
    assert_false(passwords_name_is_valid(BYTES_LIT("a:b")));
    assert_true(passwords_name_is_valid(BYTES_LIT("devices/iot")));
}

/* Under the address sanitizer: no read past the end, no leak, and never a crash. */
static void a_file_cut_or_flipped_anywhere_is_taken_or_refused(void **state)
{
    (void)state;
    static const char text[] = "# c\nann:" HASH "\nbob:" HASH "\n";
    char copy[sizeof(text)];
    char why[256];
    for (size_t n = 0; n < sizeof(text); n++) {
        struct passwords *p = NULL;
        char *exact = malloc(n + 1);
        memcpy(exact, text, n);
        if (passwords_parse(bytes_of(exact, n), "file", &p, why, sizeof(why)) == 0)
            passwords_unref(p);
        else
            assert_true(strncmp(why, "file:", 5) == 0);
        free(exact);
    }
    for (size_t i = 0; i + 1 < sizeof(text); i++) {
        struct passwords *p = NULL;
        memcpy(copy, text, sizeof(text));
        copy[i] = (char)(copy[i] ^ 0x80);
        if (passwords_parse(bytes_of(copy, sizeof(copy) - 1), "file", &p, why, sizeof(why)) == 0)
            passwords_unref(p);
    }
}

/* For the password "pencil": what RFC 7677 section 3 goes by. */
#define SCRAM                                                                                      \
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"    \
    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
#define SCRAM_COSTLY                                                                               \
    "SCRAM-SHA-256$9999:W22ZaJ0SNY7soEsUEjb6gQ==$WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:"    \
    "wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
#define SECRET "#decoy-secret AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"

static void lines_for_scram_stand_beside_the_others(void **state)
{
    (void)state;
    struct scram_verifier verifier;
    bool is_known = false;
    struct passwords *p = parse_text(BYTES_LIT("ann:" SCRAM "\nbob:" HASH "\n"));
    assert_string_equal(passwords_find(p, BYTES_LIT("ann")), SCRAM);
    assert_true(passwords_has_scram(p));
    assert_false(passwords_has_secret(p));
    assert_int_equal(passwords_scram(p, BYTES_LIT("ann"), &verifier, &is_known), 0);
    assert_true(is_known);
    assert_int_equal(scram_verifier_check(&verifier, BYTES_LIT("pencil")), 0);
    passwords_unref(p);
    p = parse_text(BYTES_LIT("bob:" HASH "\n"));
    assert_false(passwords_has_scram(p));
    assert_int_equal(passwords_scram(p, BYTES_LIT("bob"), &verifier, &is_known), SEALMQ_E_NOTFOUND);
    passwords_unref(p);
}

/* Of Argon2id there is nothing that SCRAM could go by, so such a user is as good as absent. */
static void who_is_not_there_looks_like_a_user_and_always_the_same(void **state)
{
    (void)state;
    struct scram_verifier first, again, other;
    bool is_known = true;
    for (unsigned i = 0; i < 2; i++) {
        struct passwords *p = parse_text(BYTES_LIT(SECRET "ann:" SCRAM "\nbob:" HASH "\n"));
        assert_true(passwords_has_secret(p));
        assert_int_equal(passwords_scram(p, BYTES_LIT("eve"), &again, &is_known), 0);
        assert_false(is_known);
        assert_int_equal(passwords_scram(p, BYTES_LIT("bob"), &other, &is_known), 0);
        assert_false(is_known);
        if (i == 0)
            first = again;
        passwords_unref(p);
    }
    assert_memory_equal(&first, &again, sizeof first);
    assert_memory_not_equal(first.salt, other.salt, 16);
    assert_int_equal(first.iterations, 4096);
    assert_int_equal(first.salt_n, 16);
}

/* In the proportion of the lines: a number that only some users have tells nothing. */
static void decoys_cost_what_users_cost(void **state)
{
    (void)state;
    unsigned costly = 0, argon2 = 0;
    struct passwords *p =
        parse_text(BYTES_LIT(SECRET "ann:" SCRAM "\nbob:" SCRAM_COSTLY "\ncy:" HASH "\n"));
    for (unsigned i = 0; i < 1000; i++) {
        struct scram_verifier verifier;
        bool is_known;
        char name[16];
        snprintf(name, sizeof(name), "eve%u", i);
        assert_int_equal(passwords_scram(p, bytes_str(name), &verifier, &is_known), 0);
        costly += verifier.iterations == 9999;
        argon2 += strcmp(passwords_decoy(p, bytes_str(name)), HASH) == 0;
    }
    assert_in_range(costly, 400, 600);
    assert_in_range(argon2, 250, 420);
    passwords_unref(p);
    p = parse_text((struct bytes){0});
    assert_null(passwords_decoy(p, BYTES_LIT("eve")));
    passwords_unref(p);
}

static void a_secret_out_of_form_or_a_second_one_is_refused(void **state)
{
    (void)state;
    assert_refused(BYTES_LIT("#decoy-secret AAECAw==\n"), "file:1: not a secret");
    assert_refused(BYTES_LIT("#decoy-secret \n"), "file:1: not a secret");
    assert_refused(BYTES_LIT(SECRET SECRET), "file:2: not a secret, or the second one");
    passwords_unref(parse_text(BYTES_LIT("# decoy-secret\n#decoy-secrets\n")));
}

struct answers {
    unsigned count;
    bool is_right[8];
    uint32_t index[8];
};

static void on_answer(void *context, struct broker_conn conn, struct bytes name, bool is_right)
{
    struct answers *answers = context;
    assert_true(bytes_equal(name, BYTES_LIT("ann")) || bytes_equal(name, BYTES_LIT("eve")));
    answers->index[answers->count] = conn.index;
    answers->is_right[answers->count++] = is_right;
}

static struct passwords *make_ann(const char *password)
{
    static const uint8_t salt[PASSWORD_SALT_SIZE] = "0123456789abcde";
    char hash[PASSWORD_HASH_MAX], line[PASSWORD_HASH_MAX + 8];
    assert_int_equal(password_hash(bytes_str(password), salt, hash), 0);
    snprintf(line, sizeof(line), "ann:%s\n", hash);
    return parse_text(bytes_str(line));
}

static void only_the_right_password_of_a_known_user_is_right(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct answers answers = {0};
    struct password_checker *checker = NULL;
    struct passwords *p = make_ann("secret");
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(password_checker_new(&loop, 3, on_answer, &answers, &checker), 0);
    assert_int_equal(password_checker_check(checker, p, (struct broker_conn){1, 1},
                                            BYTES_LIT("ann"), BYTES_LIT("secret")),
                     0);
    assert_int_equal(password_checker_check(checker, p, (struct broker_conn){2, 1},
                                            BYTES_LIT("ann"), BYTES_LIT("Secret")),
                     0);
    assert_int_equal(password_checker_check(checker, p, (struct broker_conn){3, 1},
                                            BYTES_LIT("eve"), BYTES_LIT("secret")),
                     0);
    assert_int_equal(password_checker_check(checker, p, (struct broker_conn){4, 1},
                                            BYTES_LIT("ann"), BYTES_LIT("secret")),
                     SEALMQ_E_BUSY);
    assert_int_equal(answers.count, 0); /* never from inside */
    passwords_unref(p);                 /* they hold their own */
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(answers.count, 3);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(answers.is_right[i], answers.index[i] == 1);
    password_checker_free(checker);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void a_line_for_scram_takes_the_password_too(void **state)
{
    (void)state;
    static const char *const passwords[] = {"pencil", "Pencil", ""};
    uv_loop_t loop;
    struct answers answers = {0};
    struct password_checker *checker = NULL;
    struct passwords *p = parse_text(BYTES_LIT("ann:" SCRAM "\n"));
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(password_checker_new(&loop, 4, on_answer, &answers, &checker), 0);
    for (uint32_t i = 0; i < 3; i++)
        assert_int_equal(password_checker_check(checker, p, (struct broker_conn){i, 1},
                                                BYTES_LIT("ann"), bytes_str(passwords[i])),
                         0);
    assert_int_equal(password_checker_check(checker, p, (struct broker_conn){3, 1},
                                            BYTES_LIT("eve"), BYTES_LIT("pencil")),
                     0);
    passwords_unref(p);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(answers.count, 4);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(answers.is_right[i], answers.index[i] == 0);
    password_checker_free(checker);
    assert_int_equal(uv_loop_close(&loop), 0);
}

static void nobody_is_answered_after_the_checker_was_freed(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct answers answers = {0};
    struct password_checker *checker = NULL;
    struct passwords *p = make_ann("secret");
    assert_int_equal(uv_loop_init(&loop), 0);
    assert_int_equal(password_checker_new(&loop, 3, on_answer, &answers, &checker), 0);
    for (uint32_t i = 0; i < 2; i++)
        assert_int_equal(password_checker_check(checker, p, (struct broker_conn){i, 1},
                                                BYTES_LIT("ann"), BYTES_LIT("secret")),
                         0);
    password_checker_free(checker);
    passwords_unref(p);
    uv_run(&loop, UV_RUN_DEFAULT);
    assert_int_equal(answers.count, 0);
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(users_are_found_by_their_exact_name),
        cmocka_unit_test(an_empty_file_knows_nobody),
        cmocka_unit_test(a_bad_line_is_named_with_the_mend),
        cmocka_unit_test(a_name_of_more_than_255_bytes_is_refused),
        cmocka_unit_test(a_file_cut_or_flipped_anywhere_is_taken_or_refused),
        cmocka_unit_test(lines_for_scram_stand_beside_the_others),
        cmocka_unit_test(who_is_not_there_looks_like_a_user_and_always_the_same),
        cmocka_unit_test(decoys_cost_what_users_cost),
        cmocka_unit_test(a_secret_out_of_form_or_a_second_one_is_refused),
        cmocka_unit_test(a_line_for_scram_takes_the_password_too),
        cmocka_unit_test(only_the_right_password_of_a_known_user_is_right),
        cmocka_unit_test(nobody_is_answered_after_the_checker_was_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
