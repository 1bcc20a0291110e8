#include "net/sources.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include <arpa/inet.h>

#define MOST 3

static struct sources sources;

static int setup(void **state)
{
    (void)state;
    return sources_init(&sources, MOST, 7);
}

static int teardown(void **state)
{
    (void)state;
    sources_close(&sources);
    return 0;
}

static enum source_verdict enter(const char *text, struct source **out)
{
    union net_address address = {0};
    if (inet_pton(AF_INET, text, &address.in.sin_addr) == 1) {
        address.in.sin_family = AF_INET;
    } else {
        assert_int_equal(inet_pton(AF_INET6, text, &address.in6.sin6_addr), 1);
        address.in6.sin6_family = AF_INET6;
    }
    return sources_enter(&sources, &address, out);
}

/* Up to the limit. */
static void fill(const char *text, struct source *of[MOST])
{
    for (int i = 0; i < MOST; i++)
        assert_int_equal(enter(text, &of[i]), SOURCE_WELCOME);
}

static void each_address_has_its_own_number(void **state)
{
    struct source *a[MOST], *b[MOST], *more;
    (void)state;
    fill("192.0.2.1", a);
    assert_int_equal(enter("192.0.2.1", &more), SOURCE_FULL);
    fill("192.0.2.2", b);
    sources_leave(&sources, more);
    assert_int_equal(enter("192.0.2.1", &more), SOURCE_FULL);
    sources_leave(&sources, more);
    sources_leave(&sources, a[0]);
    assert_int_equal(enter("192.0.2.1", &a[0]), SOURCE_WELCOME);
}

static void a_few_above_the_limit_are_told_and_more_are_not_counted(void **state)
{
    struct source *of[MOST], *told[SOURCES_TOLD_MOST], *more;
    (void)state;
    fill("192.0.2.1", of);
    for (int i = 0; i < SOURCES_TOLD_MOST; i++)
        assert_int_equal(enter("192.0.2.1", &told[i]), SOURCE_FULL);
    for (int i = 0; i < 2 * MOST; i++) {
        assert_int_equal(enter("192.0.2.1", &more), SOURCE_FLOODS);
        assert_null(more);
        sources_leave(&sources, more);
    }
    sources_leave(&sources, told[0]);
    assert_int_equal(enter("192.0.2.1", &told[0]), SOURCE_FULL);
}

static void the_addresses_of_one_site_are_one_address(void **state)
{
    struct source *of[MOST], *more;
    (void)state;
    fill("2001:db8:0:1::1", of);
    assert_int_equal(enter("2001:db8:0:1:ffff:ffff:ffff:ffff", &more), SOURCE_FULL);
    assert_int_equal(enter("2001:db8:0:2::1", &more), SOURCE_WELCOME);
    fill("192.0.2.1", of);
    assert_int_equal(enter("::ffff:192.0.2.1", &more), SOURCE_FULL);
    /* The same bytes in front, of another kind. */
    assert_int_equal(enter("c000:201::1", &more), SOURCE_WELCOME);
}

static void an_address_without_connections_takes_no_memory(void **state)
{
    (void)state;
    for (int i = 0; i < 1000; i++) {
        struct source *of[2];
        char text[32];
        snprintf(text, sizeof text, "10.0.%d.%d", i / 256, i % 256);
        assert_int_equal(enter(text, &of[0]), SOURCE_WELCOME);
        assert_int_equal(enter(text, &of[1]), SOURCE_WELCOME);
        assert_int_equal(sources.table.count, 1);
        sources_leave(&sources, of[0]);
        sources_leave(&sources, of[1]);
        assert_int_equal(sources.table.count, 0);
    }
}

static void without_a_limit_nothing_is_counted(void **state)
{
    struct source *source;
    (void)state;
    struct sources none;
    assert_int_equal(sources_init(&none, 0, 7), 0);
    union net_address address = {.in = {.sin_family = AF_INET}};
    for (int i = 0; i < 100; i++) {
        assert_int_equal(sources_enter(&none, &address, &source), SOURCE_WELCOME);
        assert_null(source);
        sources_leave(&none, source);
    }
    sources_close(&none);
}

static void what_has_no_address_is_not_counted(void **state)
{
    struct source *source;
    (void)state;
    union net_address address = {.any = {.sa_family = AF_UNIX}};
    for (int i = 0; i < 100; i++) {
        assert_int_equal(sources_enter(&sources, &address, &source), SOURCE_WELCOME);
        assert_null(source);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define WITH_A_LIMIT(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
        WITH_A_LIMIT(each_address_has_its_own_number),
        WITH_A_LIMIT(a_few_above_the_limit_are_told_and_more_are_not_counted),
        WITH_A_LIMIT(the_addresses_of_one_site_are_one_address),
        WITH_A_LIMIT(an_address_without_connections_takes_no_memory),
        WITH_A_LIMIT(without_a_limit_nothing_is_counted),
        WITH_A_LIMIT(what_has_no_address_is_not_counted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
