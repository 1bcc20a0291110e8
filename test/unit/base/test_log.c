#include "base/log.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "base/bytes.h"
#include "base/text.h"

#include <errno.h>

struct seen {
    int lines;
    enum log_level level;
    char component[32];
    char text[4096];
};

static void remember(void *context, enum log_level level, const char *component, const char *text)
{
    struct seen *seen = context;
    seen->lines++;
    seen->level = level;
    assert_true(strlen(component) < sizeof(seen->component));
    assert_true(strlen(text) < sizeof(seen->text));
    strcpy(seen->component, component);
    strcpy(seen->text, text);
    errno = EIO;
}

static struct seen seen;

static int set_sink(void **state)
{
    (void)state;
    seen = (struct seen){0};
    log_set_sink(remember, &seen, LOG_INFO);
    return 0;
}

static void a_line_reaches_the_sink_as_it_was_said(void **state)
{
    (void)state;
    log_warn("net", "%s:%d: %s", "peer", 7, "\xC3\xA4 \xE2\x82\xAC \"\\");
    assert_int_equal(seen.lines, 1);
    assert_int_equal(seen.level, LOG_WARN);
    assert_string_equal(seen.component, "net");
    assert_string_equal(seen.text, "peer:7: \xC3\xA4 \xE2\x82\xAC \"\\");
}

static void less_important_lines_are_dropped(void **state)
{
    (void)state;
    log_debug("net", "quiet");
    assert_int_equal(seen.lines, 0);
    log_info("net", "said");
    log_error("net", "said");
    assert_int_equal(seen.lines, 2);
}

static void without_a_sink_lines_are_dropped(void **state)
{
    (void)state;
    log_set_sink(NULL, NULL, LOG_DEBUG);
    log_error("net", "nobody hears");
    assert_int_equal(seen.lines, 0);
}

static void control_characters_cannot_reach_a_terminal(void **state)
{
    (void)state;
    log_info("net", "a\nb\r\x1B[2J\x7F\t");
    assert_string_equal(seen.text, "a\\x0ab\\x0d\\x1b[2J\\x7f\\x09");
    log_info("net", "\xC2\x9B"
                    "1m \xC2\xA0");
    assert_string_equal(seen.text, "\\xc2\\x9b1m \xC2\xA0");
    log_info("net", "\xFF\xC3");
    assert_string_equal(seen.text, "\\xff\\xc3");
}

static void a_long_line_is_cut_and_stays_text(void **state)
{
    (void)state;
    char text[8192];
    memset(text, 'a', sizeof(text));
    text[sizeof(text) - 1] = '\0';
    log_info("net", "%s", text);
    assert_int_equal(strlen(seen.text), 1023);
    memset(text, '\n', sizeof(text) - 1);
    log_info("net", "%s", text);
    assert_true(strlen(seen.text) < 2048);
    assert_int_equal(strlen(seen.text) % 4, 0);
    for (size_t i = 0; i + 2 < sizeof(text); i += 2)
        memcpy(text + i, "\xC3\xA4", 2);
    text[sizeof(text) - 2] = '\0';
    log_info("net", "x%s", text);
    assert_true(utf8_is_valid(bytes_str(seen.text)));
}

static void errno_survives_a_line(void **state)
{
    (void)state;
    errno = ENOENT;
    log_info("net", "x");
    assert_int_equal(errno, ENOENT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(a_line_reaches_the_sink_as_it_was_said, set_sink),
        cmocka_unit_test_setup(less_important_lines_are_dropped, set_sink),
        cmocka_unit_test_setup(without_a_sink_lines_are_dropped, set_sink),
        cmocka_unit_test_setup(control_characters_cannot_reach_a_terminal, set_sink),
        cmocka_unit_test_setup(a_long_line_is_cut_and_stays_text, set_sink),
        cmocka_unit_test_setup(errno_survives_a_line, set_sink),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
