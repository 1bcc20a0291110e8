#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "folder.h"
#include "store/file.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

static void assert_says(const char *why, const char *words)
{
    if (strstr(why, words) == NULL)
        fail_msg("'%s' does not say '%s'", why, words);
}

static void a_file_is_appended_whole(void **state)
{
    static uint8_t content[200000];
    for (size_t i = 0; i < sizeof(content); i++)
        content[i] = (uint8_t)(i * 31);
    const char *path = folder_path(state, "a");
    const size_t sizes[] = {0, 1, 65535, 65536, 65537, sizeof(content)};
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        put_file(path, bytes_of(content, sizes[i]), 0600);
        struct buf out = {0};
        buf_append_cstr(&out, "before");
        assert_int_equal(file_read(path, SIZE_MAX, &out, NULL, 0), 0);
        assert_int_equal(out.n, 6 + sizes[i]);
        assert_memory_equal(out.p + 6, content, sizes[i]);
        buf_close(&out);
    }
}

static void a_file_may_have_as_much_as_allowed_and_not_a_byte_more(void **state)
{
    const char *path = folder_path(state, "a");
    char why[256];
    struct buf out = {0};
    put_file(path, BYTES_LIT("12345"), 0600);
    assert_int_equal(file_read(path, 5, &out, why, sizeof(why)), 0);
    buf_reset(&out);
    assert_int_equal(file_read(path, 4, &out, why, sizeof(why)), SEALMQ_E_LIMIT);
    assert_int_equal(out.n, 0);
    assert_says(why, path);
    assert_int_equal(file_read(path, 0, &out, why, sizeof(why)), SEALMQ_E_LIMIT);
    put_file(path, (struct bytes){0}, 0600);
    assert_int_equal(file_read(path, 0, &out, why, sizeof(why)), 0);
    buf_close(&out);
}

static void a_pipe_without_a_size_is_read_to_its_end(void **state)
{
    (void)state;
    int ends[2];
    char path[64];
    struct buf out = {0};
    assert_int_equal(pipe(ends), 0);
    assert_int_equal(write(ends[1], "hello", 5), 5);
    close(ends[1]);
    snprintf(path, sizeof(path), "/proc/self/fd/%d", ends[0]);
    assert_int_equal(file_read(path, 100, &out, NULL, 0), 0);
    assert_string_equal(buf_cstr(&out), "hello");
    close(ends[0]);
    buf_close(&out);
}

static void what_cannot_be_read_is_named(void **state)
{
    struct buf out = {0};
    char why[256];
    const char *path = folder_path(state, "absent");
    assert_int_equal(file_read(path, 10, &out, why, sizeof(why)), SEALMQ_E_NOTFOUND);
    assert_says(why, path);
    assert_int_equal(file_read(*state, 10, &out, why, sizeof(why)), SEALMQ_E_IO);
    assert_says(why, "folder");
    out.limit = 2;
    put_file(path, BYTES_LIT("12345"), 0600);
    assert_int_equal(file_read(path, 10, &out, why, sizeof(why)), SEALMQ_E_LIMIT);
    assert_int_equal(out.n, 0);
    buf_close(&out);
}

static void writing_replaces_the_whole_file_and_leaves_nothing_beside(void **state)
{
    const char *path = folder_path(state, "a");
    struct stat status;
    put_file(path, BYTES_LIT("a longer content before"), 0600);
    assert_int_equal(file_write(path, BYTES_LIT("new"), 0644, false, NULL, 0), 0);
    struct buf now = get_file(path);
    assert_string_equal(buf_cstr(&now), "new");
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0644);
    buf_close(&now);
    assert_int_equal(file_write(path, (struct bytes){0}, 0600, false, NULL, 0), 0);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_size, 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    /* the folder holds this one file: else it could not be removed */
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(*state), 0);
    assert_int_equal(mkdir(*state, 0700), 0);
}

static void exclusive_writing_keeps_what_is_there(void **state)
{
    const char *path = folder_path(state, "a");
    char why[256];
    assert_int_equal(file_write(path, BYTES_LIT("first"), 0600, true, why, sizeof(why)), 0);
    assert_int_equal(file_write(path, BYTES_LIT("second"), 0600, true, why, sizeof(why)),
                     SEALMQ_E_EXISTS);
    assert_says(why, path);
    struct buf now = get_file(path);
    assert_string_equal(buf_cstr(&now), "first");
    buf_close(&now);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(*state), 0);
    assert_int_equal(mkdir(*state, 0700), 0);
}

static void the_owner_of_a_replaced_file_stays(void **state)
{
    if (geteuid() != 0)
        skip();
    const char *path = folder_path(state, "a");
    struct stat status;
    put_file(path, BYTES_LIT("x"), 0600);
    assert_int_equal(chown(path, 65534, 65534), 0);
    assert_int_equal(file_write(path, BYTES_LIT("y"), 0600, false, NULL, 0), 0);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_uid, 65534);
    assert_int_equal(status.st_gid, 65534);
}

static void a_full_disk_leaves_the_old_content(void **state)
{
    static uint8_t big[100000];
    const char *path = folder_path(state, "a");
    char why[256];
    struct rlimit old, small;
    put_file(path, BYTES_LIT("old"), 0600);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
    small = (struct rlimit){50000, old.rlim_max};
    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    int error = file_write(path, bytes_of(big, sizeof(big)), 0600, false, why, sizeof(why));
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
    assert_int_equal(error, SEALMQ_E_FULL);
    assert_says(why, path);
    struct buf now = get_file(path);
    assert_string_equal(buf_cstr(&now), "old");
    buf_close(&now);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(rmdir(*state), 0);
    assert_int_equal(mkdir(*state, 0700), 0);
}

static void what_cannot_be_written_is_named(void **state)
{
    char why[256];
    static char long_path[PATH_SIZE + 10];
    const char *path = folder_path(state, "absent/a");
    assert_int_equal(file_write(path, BYTES_LIT("x"), 0600, false, why, sizeof(why)),
                     SEALMQ_E_NOTFOUND);
    assert_says(why, path);
    memset(long_path, 'a', sizeof(long_path) - 1);
    assert_int_equal(file_write(long_path, BYTES_LIT("x"), 0600, false, why, sizeof(why)),
                     SEALMQ_E_LIMIT);
}

static void a_path_is_taken_relative_to_the_file_that_names_it(void **state)
{
    (void)state;
    static const struct {
        const char *base, *path, *want;
    } cases[] = {
        {"/etc/sealmq/node.yaml", "key", "/etc/sealmq/key"},
        {"/etc/sealmq/node.yaml", "/var/key", "/var/key"},
        {"node.yaml", "key", "key"},
        {"./node.yaml", "../key", "./../key"},
        {"/node.yaml", "key", "/key"},
        {"conf/node.yaml", "", "conf/"},
    };
    char out[PATH_SIZE];
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(file_beside(cases[i].base, cases[i].path, out), 0);
        assert_string_equal(out, cases[i].want);
    }
    static char long_name[PATH_SIZE];
    memset(long_name, 'a', PATH_SIZE - 1);
    assert_int_equal(file_beside("x", long_name, out), 0);
    assert_int_equal(file_beside("/x", long_name, out), SEALMQ_E_LIMIT);
    assert_string_equal(out, "");
}

static void folders_are_made_with_all_above_them(void **state)
{
    char why[256];
    struct stat status;
    const char *path = folder_path(state, "a//b/c/");
    mode_t mask = umask(022);
    assert_int_equal(folder_make(path, why, sizeof(why)), 0);
    umask(mask);
    assert_int_equal(folder_make(path, why, sizeof(why)), 0);
    assert_int_equal(stat(path, &status), 0);
    assert_true(S_ISDIR(status.st_mode));
    assert_int_equal(status.st_mode & 0777, 0750);
    assert_int_equal(folder_make("/", why, sizeof(why)), 0);
    assert_int_equal(folder_make("", why, sizeof(why)), SEALMQ_E_LIMIT);
    put_file(folder_path(state, "file"), BYTES_LIT("x"), 0600);
    assert_int_equal(folder_make(folder_path(state, "file"), why, sizeof(why)), SEALMQ_E_IO);
    assert_says(why, "not a folder");
    assert_int_equal(folder_make(folder_path(state, "file/below"), why, sizeof(why)), SEALMQ_E_IO);
}

int main(void)
{
#define T(name) cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)
    const struct CMUnitTest tests[] = {
        T(a_file_is_appended_whole),
        T(a_file_may_have_as_much_as_allowed_and_not_a_byte_more),
        T(a_pipe_without_a_size_is_read_to_its_end),
        T(what_cannot_be_read_is_named),
        T(writing_replaces_the_whole_file_and_leaves_nothing_beside),
        T(exclusive_writing_keeps_what_is_there),
        T(the_owner_of_a_replaced_file_stays),
        T(a_full_disk_leaves_the_old_content),
        T(what_cannot_be_written_is_named),
        T(a_path_is_taken_relative_to_the_file_that_names_it),
        T(folders_are_made_with_all_above_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
