/* A value is stored as a number where its text can be made again from that number, byte by byte;
 * else as the text itself. "36" is an INTEGER and "36.0" a REAL; "36.00", "-0" and "1e3" are texts.
 * The locale must be "C", as it is in a program that does not ask for another. */
#include "store/history_int.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

void history_integer_text(int64_t v, char out[HISTORY_NUMBER_MAX])
{
    snprintf(out, HISTORY_NUMBER_MAX, "%lld", (long long)v);
}

/* The shortest digits that give the same number again, with a fraction or an exponent. */
void history_real_text(double v, char out[HISTORY_NUMBER_MAX])
{
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(out, HISTORY_NUMBER_MAX, "%.*g", digits, v);
        if (strtod(out, NULL) == v)
            break;
    }
    size_t n = strcspn(out, ".en"); /* n: not a number, infinite */
    if (out[n] == '\0' && n + 3 <= HISTORY_NUMBER_MAX)
        memcpy(out + n, ".0", 3);
}

static const char *skip_digits(const char *s)
{
    while (*s >= '0' && *s <= '9')
        s++;
    return s;
}

/* The digits of a whole number, no zero before others. NULL when there are none such. */
static const char *skip_whole(const char *s)
{
    const char *end = skip_digits(s);
    return end == s || (*s == '0' && end != s + 1) ? NULL : end;
}

/* As history_integer_text writes numbers, but perhaps too large. */
static bool is_whole(const char *s)
{
    const char *digits = s + (*s == '-');
    const char *end = skip_whole(digits);
    return end != NULL && *end == '\0' && strcmp(s, "-0") != 0;
}

/* As history_real_text surely writes numbers: 15 digits survive the way through a double, and those
 * from 0.0001 on are written without an exponent. A short way past the test by doing it. */
static bool is_plain(const char *s)
{
    const char *digits = s + (*s == '-');
    const char *point = skip_whole(digits);
    if (point == NULL || *point != '.')
        return false;
    const char *fraction = point + 1, *end = skip_digits(fraction);
    bool is_short = *end == '\0' && end - digits <= 16;
    bool has_no_idle_zero = end - fraction == 1 || (end > fraction && end[-1] != '0');
    return is_short && has_no_idle_zero && (*digits != '0' || strncmp(fraction, "0000", 4) != 0);
}

bool history_value_is_number(enum datatype type)
{
    return type == DATATYPE_INT || type == DATATYPE_DOUBLE;
}

bool history_real_is_kept(double v)
{
    return isfinite(v) && (v != 0 || !signbit(v));
}

void history_value_of(enum datatype type, struct bytes text, struct history_value *out)
{
    char copy[HISTORY_NUMBER_MAX], again[HISTORY_NUMBER_MAX];
    *out = (struct history_value){.type = SQLITE_TEXT, .text = text};
    if (!history_value_is_number(type) || text.n == 0 ||
        bytes_to_cstr(text, copy, sizeof(copy)) != 0)
        return;
    if (is_whole(copy)) {
        errno = 0;
        out->integer = strtoll(copy, NULL, 10);
        if (errno == 0)
            out->type = SQLITE_INTEGER;
        return;
    }
    out->real = strtod(copy, NULL);
    if (!history_real_is_kept(out->real))
        return;
    if (!is_plain(copy)) {
        history_real_text(out->real, again);
        if (strcmp(copy, again) != 0)
            return;
    }
    out->type = SQLITE_FLOAT;
}
