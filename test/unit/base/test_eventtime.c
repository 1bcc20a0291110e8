#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <time.h>

#define SECOND_US INT64_C(1000000)
#define DAY_US    (INT64_C(86400) * SECOND_US)
#define LAST_US   (INT64_C(253402300800) * SECOND_US - 1)

static int64_t parse(const char *text)
{
    int64_t us = -1;
    assert_int_equal(eventtime_parse(bytes_str(text), &us), 0);
    return us;
}

static void known_times_hold_both_ways(void **state)
{
    (void)state;
    static const struct {
        int64_t us;
        const char *event, *rfc3339;
    } times[] = {
        {0, "19700101T000000Z", "1970-01-01T00:00:00Z"},
        {1, "19700101T000000.000001Z", "1970-01-01T00:00:00.000001Z"},
        {INT64_C(1594046911250000), "20200706T144831.25Z", "2020-07-06T14:48:31.25Z"},
        {INT64_C(951782400000000), "20000229T000000Z", "2000-02-29T00:00:00Z"},
        {INT64_C(4107542399000000), "21000228T235959Z", "2100-02-28T23:59:59Z"},
        {INT64_C(4107542400000000), "21000301T000000Z", "2100-03-01T00:00:00Z"},
        {LAST_US, "99991231T235959.999999Z", "9999-12-31T23:59:59.999999Z"},
    };
    for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
        char event[EVENTTIME_MAX], people[RFC3339_MAX];
        eventtime_format(times[i].us, event);
        rfc3339_format(times[i].us, people);
        assert_string_equal(event, times[i].event);
        assert_string_equal(people, times[i].rfc3339);
        assert_true(parse(times[i].event) == times[i].us);
    }
}

static void every_day_of_the_range_comes_back(void **state)
{
    (void)state;
    char text[EVENTTIME_MAX];
    for (int64_t us = 0; us <= LAST_US; us += DAY_US) {
        int64_t back;
        eventtime_format(us + us / DAY_US % 86400 * SECOND_US, text);
        assert_int_equal(eventtime_parse(bytes_str(text), &back), 0);
        assert_true(back == us + us / DAY_US % 86400 * SECOND_US);
    }
}

static void the_calendar_is_the_c_librarys(void **state)
{
    (void)state;
    for (int64_t s = 0; s <= LAST_US / SECOND_US; s += 86400 * 3 + 4567) {
        char ours[EVENTTIME_MAX], theirs[64];
        struct tm tm;
        time_t t = (time_t)s;
        gmtime_r(&t, &tm);
        strftime(theirs, sizeof(theirs), "%Y%m%dT%H%M%SZ", &tm);
        eventtime_format(s * SECOND_US, ours);
        assert_string_equal(ours, theirs);
    }
}

static void fractions_have_one_to_six_digits(void **state)
{
    (void)state;
    assert_true(parse("19700101T000000.1Z") == 100000);
    assert_true(parse("19700101T000000.12Z") == 120000);
    assert_true(parse("19700101T000000.123456Z") == 123456);
    assert_true(parse("19700101T000000.000000Z") == 0);
    assert_true(parse("19700101T000000.100Z") == 100000);
    int64_t us;
    assert_int_equal(eventtime_parse(BYTES_LIT("19700101T000000.Z"), &us), SEALMQ_E_PARSE);
    assert_int_equal(eventtime_parse(BYTES_LIT("19700101T000000.1234567Z"), &us), SEALMQ_E_PARSE);
}

static void the_canonical_form_has_no_trailing_zeros(void **state)
{
    (void)state;
    char text[EVENTTIME_MAX];
    eventtime_format(parse("20200706T144831.100Z"), text);
    assert_string_equal(text, "20200706T144831.1Z");
    eventtime_format(parse("20200706T144831.000Z"), text);
    assert_string_equal(text, "20200706T144831Z");
    eventtime_format(parse("20200706T144831.001Z"), text);
    assert_string_equal(text, "20200706T144831.001Z");
}

static void months_and_leap_years_are_checked(void **state)
{
    (void)state;
    static const int last[] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    static const int years[] = {1970, 1972, 1999, 2000, 2023, 2024, 2100, 2400, 9996, 9999};
    for (size_t y = 0; y < sizeof(years) / sizeof(years[0]); y++) {
        int year = years[y];
        int leap = (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
        for (int month = 0; month <= 13; month++) {
            for (int day = 0; day <= 32; day++) {
                char text[64];
                int64_t us;
                snprintf(text, sizeof(text), "%04d%02d%02dT000000Z", year, month, day);
                int most = month < 1 || month > 12 ? 0
                           : month == 2            ? last[1] + leap
                                                   : last[month - 1];
                int want = day >= 1 && day <= most ? 0 : SEALMQ_E_PARSE;
                assert_int_equal(eventtime_parse(bytes_str(text), &us), want);
            }
        }
    }
}

static void what_is_no_time_is_refused(void **state)
{
    (void)state;
    const char *bad[] = {
        "",
        "Z",
        "19691231T235959Z",
        "00000101T000000Z",
        "20200706T240000Z",
        "20200706T146000Z",
        "20200706T144860Z", /* a leap second */
        "20200706t144831Z",
        "20200706T144831z",
        "20200706T144831",
        "20200706T144831+",
        "20200706T1448311",
        "20200706T144831,25Z",
        "20200706T144831.2 Z",
        "20200706T144831.-1Z",
        "20200706T144831.25ZZ",
        "2020-07-06T14:48:31Z",
        "20200706 144831Z",
        "+0200706T144831Z",
        " 0200706T144831Z",
        "100000706T144831Z",
        "20200706T144831.25+00",
    };
    int64_t us;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (eventtime_parse(bytes_str(bad[i]), &us) != SEALMQ_E_PARSE)
            fail_msg("\"%s\" was taken", bad[i]);
    assert_int_equal(eventtime_parse((struct bytes){0}, &us), SEALMQ_E_PARSE);
}

static void each_place_takes_only_what_belongs_there(void **state)
{
    (void)state;
    const char good[] = "20200706T144831.25Z";
    for (size_t at = 0; at < sizeof(good) - 1; at++) {
        for (int c = 0; c < 256; c++) {
            char text[sizeof(good)];
            memcpy(text, good, sizeof(good));
            text[at] = (char)c;
            bool digit = c >= '0' && c <= '9';
            bool same = text[at] == good[at];
            int64_t us;
            int error = eventtime_parse(bytes_of(text, sizeof(text) - 1), &us);
            if (same)
                assert_int_equal(error, 0);
            else if (!digit || good[at] < '0' || good[at] > '9')
                assert_int_equal(error, SEALMQ_E_PARSE);
        }
    }
}

static void times_out_of_range_are_clamped_when_written(void **state)
{
    (void)state;
    char text[EVENTTIME_MAX];
    eventtime_format(-1, text);
    assert_string_equal(text, "19700101T000000Z");
    eventtime_format(INT64_MIN, text);
    assert_string_equal(text, "19700101T000000Z");
    eventtime_format(LAST_US + 1, text);
    assert_string_equal(text, "99991231T235959.999999Z");
    eventtime_format(INT64_MAX, text);
    assert_string_equal(text, "99991231T235959.999999Z");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_times_hold_both_ways),
        cmocka_unit_test(every_day_of_the_range_comes_back),
        cmocka_unit_test(the_calendar_is_the_c_librarys),
        cmocka_unit_test(fractions_have_one_to_six_digits),
        cmocka_unit_test(the_canonical_form_has_no_trailing_zeros),
        cmocka_unit_test(months_and_leap_years_are_checked),
        cmocka_unit_test(what_is_no_time_is_refused),
        cmocka_unit_test(each_place_takes_only_what_belongs_there),
        cmocka_unit_test(times_out_of_range_are_clamped_when_written),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
