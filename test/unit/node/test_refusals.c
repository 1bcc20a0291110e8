#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/log.h"
#include "node/refusals.h"

#include <stdio.h>
#include <string.h>

static size_t lines;
static char last[2048], before_last[2048];

static void take_line(void *context, enum log_level level, const char *component, const char *text)
{
    (void)context;
    assert_int_equal(level, LOG_WARN);
    assert_string_equal(component, "login");
    lines++;
    memcpy(before_last, last, sizeof last);
    snprintf(last, sizeof last, "%s", text);
}

static void a_line_is_written_as_it_is(void **state)
{
    (void)state;
    struct refusals refusals = {0};
    lines = 0;
    refusals_log(&refusals, 5, "login", "refused %s: %d", "you", 7);
    assert_int_equal(lines, 1);
    assert_string_equal(last, "refused you: 7");
}

static void a_flood_is_kept_back_and_counted(void **state)
{
    (void)state;
    struct refusals refusals = {0};
    lines = 0;
    for (int i = 0; i < REFUSAL_LINES_MAX + 1234; i++)
        refusals_log(&refusals, 10999, "login", "refused %d", i);
    assert_int_equal(lines, REFUSAL_LINES_MAX);
    refusals_log(&refusals, 11000, "login", "refused again");
    assert_int_equal(lines, REFUSAL_LINES_MAX + 2);
    assert_string_equal(before_last, "1234 refusals before this one are not shown");
    assert_string_equal(last, "refused again");
    assert_int_equal(refusals.kept_back, 0);
    refusals_log(&refusals, 11001, "login", "refused still");
    assert_int_equal(lines, REFUSAL_LINES_MAX + 3);
}

static void long_lines_are_cut(void **state)
{
    (void)state;
    struct refusals refusals = {0};
    char words[4000];
    memset(words, 'x', sizeof words - 1);
    words[sizeof words - 1] = '\0';
    refusals_log(&refusals, 1, "login", "%s", words);
    assert_true(strlen(last) < 1024);
}

int main(void)
{
    log_set_sink(take_line, NULL, LOG_DEBUG);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_written_as_it_is),
        cmocka_unit_test(a_flood_is_kept_back_and_counted),
        cmocka_unit_test(long_lines_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
