/* Times as text. The calendar is the proleptic Gregorian one in UTC without leap seconds, computed
 * here: libc's functions bring time zones, locales and a 64-bit range that no format of ours has.
 */
#include "base/text.h"

#define YEAR_MIN    1970
#define YEAR_MAX    9999
#define SECOND_US   INT64_C(1000000)
#define DAY_S       INT64_C(86400)
/* 9999-12-31T23:59:59.999999Z */
#define TIME_MAX_US (INT64_C(253402300800) * SECOND_US - 1)

static bool is_leap(int year)
{
    return (year % 4 == 0 && year % 100 != 0) || year % 400 == 0;
}

static int days_of_month(int year, int month)
{
    static const int days[12] = {31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
    return month == 2 && is_leap(year) ? 29 : days[month - 1];
}

/* Days from 1970-01-01 to the first day of `year`. */
static int64_t days_before_year(int year)
{
    int y = year - 1;
    int leaps = (y / 4 - y / 100 + y / 400) - (1969 / 4 - 1969 / 100 + 1969 / 400);
    return INT64_C(365) * (year - YEAR_MIN) + leaps;
}

struct calendar {
    int year, month, day, hour, minute, second, microsecond;
};

static int64_t calendar_to_us(const struct calendar *c)
{
    int64_t days = days_before_year(c->year) + c->day - 1;
    for (int month = 1; month < c->month; month++)
        days += days_of_month(c->year, month);
    int64_t seconds = days * DAY_S + c->hour * 3600 + c->minute * 60 + c->second;
    return seconds * SECOND_US + c->microsecond;
}

static struct calendar calendar_from_us(int64_t us)
{
    us = us < 0 ? 0 : us > TIME_MAX_US ? TIME_MAX_US : us;
    struct calendar c = {.microsecond = (int)(us % SECOND_US)};
    int64_t seconds = us / SECOND_US;
    int of_day = (int)(seconds % DAY_S);
    c.hour = of_day / 3600;
    c.minute = of_day / 60 % 60;
    c.second = of_day % 60;

    int days = (int)(seconds / DAY_S);
    c.year = YEAR_MIN + days / 365; /* never too early, and at most six years too late */
    while (days_before_year(c.year) > days)
        c.year--;
    days -= (int)days_before_year(c.year);
    for (c.month = 1; days >= days_of_month(c.year, c.month); c.month++)
        days -= days_of_month(c.year, c.month);
    c.day = days + 1;
    return c;
}

/* Reads `n` digits at *p; -1 when one is none. */
static int read_digits(const uint8_t **p, size_t n)
{
    int v = 0;
    for (size_t i = 0; i < n; i++, ++*p) {
        if (**p < '0' || **p > '9')
            return -1;
        v = v * 10 + (**p - '0');
    }
    return v;
}

int eventtime_parse(struct bytes text, int64_t *out_us)
{
    /* yyyymmddThhmmssZ, or with '.' and 1 to 6 digits before the Z. */
    const size_t plain = 16;
    *out_us = 0;
    if (text.n != plain && (text.n < plain + 2 || text.n > plain + 7))
        return SEALMQ_E_PARSE;
    const uint8_t *p = text.p;
    struct calendar c = {0};
    if ((c.year = read_digits(&p, 4)) < YEAR_MIN)
        return SEALMQ_E_PARSE;
    if ((c.month = read_digits(&p, 2)) < 1 || c.month > 12)
        return SEALMQ_E_PARSE;
    if ((c.day = read_digits(&p, 2)) < 1 || c.day > days_of_month(c.year, c.month))
        return SEALMQ_E_PARSE;
    if (*p++ != 'T')
        return SEALMQ_E_PARSE;
    if ((c.hour = read_digits(&p, 2)) < 0 || c.hour > 23)
        return SEALMQ_E_PARSE;
    if ((c.minute = read_digits(&p, 2)) < 0 || c.minute > 59)
        return SEALMQ_E_PARSE;
    if ((c.second = read_digits(&p, 2)) < 0 || c.second > 59)
        return SEALMQ_E_PARSE;
    if (text.n != plain) {
        size_t digits = text.n - plain - 1;
        if (*p++ != '.' || (c.microsecond = read_digits(&p, digits)) < 0)
            return SEALMQ_E_PARSE;
        for (; digits < 6; digits++)
            c.microsecond *= 10;
    }
    if (*p != 'Z')
        return SEALMQ_E_PARSE;
    *out_us = calendar_to_us(&c);
    return 0;
}

/* Writes `v` with exactly `n` digits and returns the place after them. */
static char *put_digits(char *p, int v, size_t n)
{
    for (size_t i = n; i-- > 0; v /= 10)
        p[i] = (char)('0' + v % 10);
    return p + n;
}

/* ".25Z", or "Z" when there is no fraction. */
static void put_fraction(char *p, int microsecond)
{
    if (microsecond != 0) {
        *p++ = '.';
        p = put_digits(p, microsecond, 6);
        while (p[-1] == '0')
            p--;
    }
    *p++ = 'Z';
    *p = '\0';
}

void eventtime_format(int64_t us, char out[EVENTTIME_MAX])
{
    struct calendar c = calendar_from_us(us);
    char *p = put_digits(out, c.year, 4);
    p = put_digits(p, c.month, 2);
    p = put_digits(p, c.day, 2);
    *p++ = 'T';
    p = put_digits(p, c.hour, 2);
    p = put_digits(p, c.minute, 2);
    p = put_digits(p, c.second, 2);
    put_fraction(p, c.microsecond);
}

void rfc3339_format(int64_t us, char out[RFC3339_MAX])
{
    struct calendar c = calendar_from_us(us);
    char *p = put_digits(out, c.year, 4);
    *p++ = '-';
    p = put_digits(p, c.month, 2);
    *p++ = '-';
    p = put_digits(p, c.day, 2);
    *p++ = 'T';
    p = put_digits(p, c.hour, 2);
    *p++ = ':';
    p = put_digits(p, c.minute, 2);
    *p++ = ':';
    p = put_digits(p, c.second, 2);
    put_fraction(p, c.microsecond);
}
