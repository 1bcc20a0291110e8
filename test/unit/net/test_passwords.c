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
        cmocka_unit_test(only_the_right_password_of_a_known_user_is_right),
        cmocka_unit_test(nobody_is_answered_after_the_checker_was_freed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
