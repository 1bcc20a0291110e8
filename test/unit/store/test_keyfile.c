#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "folder.h"
#include "store/keyfile.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#define ID     "plant-a/gw1"
#define SEED64 "AQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQEBAQE="
#define SECRET "sealmq-secret-key-1\nid: " ID "\nseed: " SEED64 "\n"

static uint8_t seed[SEED_SIZE];

static int setup(void **state)
{
    memset(seed, 1, sizeof(seed));
    return folder_setup(state);
}

static void assert_is(const char *path, const char *want)
{
    struct buf text = get_file(path);
    assert_string_equal(buf_cstr(&text), want);
    buf_close(&text);
}

static void a_secret_key_is_written_as_described_and_read_again(void **state)
{
    const char *path = folder_path(state, "key");
    char id[ID_MAX + 1], why[256];
    struct sign_key key, want;
    struct stat status;
    assert_int_equal(keyfile_write(path, ID, seed, why, sizeof(why)), 0);
    assert_is(path, SECRET);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_equal(keyfile_read(path, id, &key, why, sizeof(why)), 0);
    assert_string_equal(id, ID);
    sign_key_from_seed(seed, &want);
    assert_memory_equal(&key, &want, sizeof(key));
}

static void a_public_key_is_written_as_described_and_read_again(void **state)
{
    const char *path = folder_path(state, "key.pub");
    char id[ID_MAX + 1], why[256];
    struct public_key key = {{0}}, got;
    struct stat status;
    assert_int_equal(keyfile_write_public(path, ID, &key, why, sizeof(why)), 0);
    assert_is(path, "sealmq-public-key-1\nid: " ID
                    "\nkey: AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n");
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0644);
    assert_int_equal(keyfile_read_public(path, id, &got, why, sizeof(why)), 0);
    assert_string_equal(id, ID);
    assert_memory_equal(&got, &key, sizeof(key));
}

static void a_key_is_never_overwritten(void **state)
{
    const char *path = folder_path(state, "key");
    char why[256];
    struct public_key key = {{0}};
    put_file(path, BYTES_LIT("precious"), 0600);
    assert_int_equal(keyfile_write(path, ID, seed, why, sizeof(why)), SEALMQ_E_EXISTS);
    assert_int_equal(keyfile_write_public(path, ID, &key, why, sizeof(why)), SEALMQ_E_EXISTS);
    assert_is(path, "precious");
}

static void a_bad_id_is_not_written(void **state)
{
    const char *path = folder_path(state, "key");
    char why[256];
    assert_int_equal(keyfile_write(path, "no-slash", seed, why, sizeof(why)), SEALMQ_E_ARG);
    assert_int_equal(keyfile_write(path, "a/b\nseed: x", seed, why, sizeof(why)), SEALMQ_E_ARG);
    assert_int_not_equal(access(path, F_OK), 0);
}

static void a_secret_key_that_others_may_read_is_refused_with_the_mend(void **state)
{
    const char *path = folder_path(state, "key");
    char id[ID_MAX + 1], why[256];
    struct sign_key key;
    const unsigned open_modes[] = {0640, 0604, 0601, 0660, 0777};
    for (size_t i = 0; i < sizeof(open_modes) / sizeof(open_modes[0]); i++) {
        put_file(path, BYTES_LIT(SECRET), open_modes[i]);
        assert_int_equal(keyfile_read(path, id, &key, why, sizeof(why)), SEALMQ_E_DENIED);
        assert_non_null(strstr(why, "chmod 600"));
    }
    put_file(path, BYTES_LIT(SECRET), 0400);
    assert_int_equal(keyfile_read(path, id, &key, why, sizeof(why)), 0);
}

static int read_text(void **state, struct bytes text, char why[256])
{
    const char *path = folder_path(state, "key");
    char id[ID_MAX + 1];
    struct sign_key key;
    put_file(path, text, 0600);
    int error = keyfile_read(path, id, &key, why, 256);
    if (error != 0 && strstr(why, path) == NULL)
        fail_msg("'%s' does not name the file", why);
    return error;
}

static void anything_else_is_refused_with_the_line(void **state)
{
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"", "first line"},
        {"sealmq-public-key-1\nid: " ID "\nkey: " SEED64 "\n", "secret key"},
        {"sealmq-secret-key-2\nid: " ID "\nseed: " SEED64 "\n", "first line"},
        {" " SECRET, "first line"},
        {"sealmq-secret-key-1\nid:" ID "\nseed: " SEED64 "\n", ":2:"},
        {"sealmq-secret-key-1\nid: \nseed: " SEED64 "\n", ":2:"},
        {"sealmq-secret-key-1\nid: a\nseed: " SEED64 "\n", ":2:"},
        {"sealmq-secret-key-1\nseed: " SEED64 "\nid: " ID "\n", ":2:"},
        {"sealmq-secret-key-1\nid: " ID "\nseed: " SEED64 "x\n", ":3:"},
        {"sealmq-secret-key-1\nid: " ID "\nseed: AAAA\n", ":3:"},
        {"sealmq-secret-key-1\nid: " ID "\nkey: " SEED64 "\n", ":3:"},
        {SECRET "\n", ":3:"},
        {SECRET "comment: x\n", ":3:"},
    };
    char why[256];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(read_text(state, bytes_str(cases[i].text), why), SEALMQ_E_PARSE);
        if (strstr(why, cases[i].words) == NULL)
            fail_msg("'%s' does not say '%s'", why, cases[i].words);
    }
    static char long_text[2000];
    memset(long_text, 'x', sizeof(long_text));
    assert_int_equal(read_text(state, bytes_of(long_text, sizeof(long_text)), why), SEALMQ_E_PARSE);
}

static void a_file_cut_anywhere_is_refused_but_for_its_last_newline(void **state)
{
    char why[256];
    struct bytes whole = BYTES_LIT(SECRET);
    for (size_t n = 0; n < whole.n; n++)
        assert_int_equal(read_text(state, bytes_of(whole.p, n), why),
                         n == whole.n - 1 ? 0 : SEALMQ_E_PARSE);
}

static void line_ends_of_other_systems_are_understood(void **state)
{
    char why[256];
    assert_int_equal(
        read_text(state, BYTES_LIT("sealmq-secret-key-1\r\nid: " ID "\r\nseed: " SEED64 "\r\n"),
                  why),
        0);
}

static void a_missing_file_is_not_found(void **state)
{
    char id[ID_MAX + 1], why[256];
    struct sign_key key;
    struct public_key public_key;
    const char *path = folder_path(state, "absent");
    assert_int_equal(keyfile_read(path, id, &key, why, sizeof(why)), SEALMQ_E_NOTFOUND);
    assert_non_null(strstr(why, path));
    assert_int_equal(keyfile_read_public(path, id, &public_key, why, sizeof(why)),
                     SEALMQ_E_NOTFOUND);
    assert_int_equal(keyfile_read(*state, id, &key, why, sizeof(why)), SEALMQ_E_IO);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, setup, folder_teardown)
    const struct CMUnitTest tests[] = {
        T(a_secret_key_is_written_as_described_and_read_again),
        T(a_public_key_is_written_as_described_and_read_again),
        T(a_key_is_never_overwritten),
        T(a_bad_id_is_not_written),
        T(a_secret_key_that_others_may_read_is_refused_with_the_mend),
        T(anything_else_is_refused_with_the_line),
        T(a_file_cut_anywhere_is_refused_but_for_its_last_newline),
        T(line_ends_of_other_systems_are_understood),
        T(a_missing_file_is_not_found),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
