/* Values are kept as the text in which they came; here is what text is a value of which type. No
 * locale plays a part, and no binary floating point: every member must come to the same answer. */
#include "ledger/row.h"

#include "base/limits.h"
#include "base/text.h"

static const char *const names[] = {
    [DATATYPE_INT] = "int",
    [DATATYPE_DOUBLE] = "double",
    [DATATYPE_BOOL] = "bool",
    [DATATYPE_STRING] = "string",
};

const char *datatype_name(enum datatype type)
{
    return (unsigned)type < sizeof(names) / sizeof(names[0]) ? names[type] : NULL;
}

int datatype_parse(struct bytes name, enum datatype *out)
{
    for (unsigned type = DATATYPE_INT; type <= DATATYPE_STRING; type++) {
        if (bytes_equal(name, bytes_str(names[type]))) {
            *out = (enum datatype)type;
            return 0;
        }
    }
    return SEALMQ_E_TYPE;
}

static bool is_digit(uint8_t c)
{
    return c >= '0' && c <= '9';
}

/* Removes the digits at the front and returns them. */
static struct bytes take_digits(struct bytes *text)
{
    struct bytes digits = {text->p, 0};
    while (digits.n < text->n && is_digit(text->p[digits.n]))
        digits.n++;
    text->p += digits.n;
    text->n -= digits.n;
    return digits;
}

static bool take(struct bytes *text, char c)
{
    if (text->n == 0 || text->p[0] != (uint8_t)c)
        return false;
    text->p++;
    text->n--;
    return true;
}

static bool is_int(struct bytes text)
{
    bool negative = take(&text, '-');
    struct bytes digits = take_digits(&text);
    if (digits.n == 0 || text.n != 0)
        return false;
    uint64_t most = (uint64_t)INT64_MAX + (negative ? 1 : 0);
    uint64_t v = 0;
    for (size_t i = 0; i < digits.n; i++) {
        uint64_t digit = (uint64_t)(digits.p[i] - '0');
        if (v > (most - digit) / 10)
            return false;
        v = 10 * v + digit;
    }
    return true;
}

/* A number as its significant digits: 0.d1 d2 d3... * 10^exponent, d1 not 0. */
struct decimal {
    struct bytes whole, fraction;
    int64_t exponent;
};

/* The i-th of whole and fraction together; 0 past their end. */
static unsigned digit_at(const struct decimal *d, size_t i)
{
    if (i < d->whole.n)
        return (unsigned)(d->whole.p[i] - '0');
    i -= d->whole.n;
    return i < d->fraction.n ? (unsigned)(d->fraction.p[i] - '0') : 0;
}

/* Whether the magnitude is less than 1.7976931348623158e308. The largest double is just below that,
 * and what is less than it but more than the largest double rounds to the largest double. */
static bool is_finite(const struct decimal *d)
{
    static const char bound[] = "17976931348623158";
    enum { BOUND_EXPONENT = 309 };
    size_t digits = d->whole.n + d->fraction.n;
    size_t zeros = 0; /* at the front */
    while (zeros < digits && digit_at(d, zeros) == 0)
        zeros++;
    if (zeros == digits)
        return true;
    int64_t exponent = d->exponent + (int64_t)d->whole.n - (int64_t)zeros;
    if (exponent != BOUND_EXPONENT)
        return exponent < BOUND_EXPONENT;
    for (size_t i = 0; i < sizeof(bound) - 1; i++) {
        unsigned most = (unsigned)(bound[i] - '0');
        unsigned digit = digit_at(d, zeros + i);
        if (digit != most)
            return digit < most;
    }
    return false;
}

/* RFC 8259 section 6. */
static bool is_double(struct bytes text)
{
    enum { EXPONENT_MOST = 1000000 }; /* more than any text's digits can make up for */
    struct decimal d = {0};
    (void)take(&text, '-');
    d.whole = take_digits(&text);
    if (d.whole.n == 0 || (d.whole.n > 1 && d.whole.p[0] == '0'))
        return false;
    if (take(&text, '.')) {
        d.fraction = take_digits(&text);
        if (d.fraction.n == 0)
            return false;
    }
    if (take(&text, 'e') || take(&text, 'E')) {
        bool negative = take(&text, '-');
        if (!negative)
            (void)take(&text, '+');
        struct bytes digits = take_digits(&text);
        if (digits.n == 0)
            return false;
        for (size_t i = 0; i < digits.n && d.exponent < EXPONENT_MOST; i++)
            d.exponent = 10 * d.exponent + (digits.p[i] - '0');
        if (negative)
            d.exponent = -d.exponent;
    }
    return text.n == 0 && is_finite(&d);
}

static bool is_string(struct bytes text)
{
    return (text.n == 0 || memchr(text.p, 0, text.n) == NULL) && utf8_is_valid(text);
}

int datatype_check(enum datatype type, struct bytes value)
{
    if (value.n > VALUE_MAX_BYTES)
        return SEALMQ_E_LIMIT;
    bool fits = false;
    switch (type) {
    case DATATYPE_INT:
        fits = is_int(value);
        break;
    case DATATYPE_DOUBLE:
        fits = is_double(value);
        break;
    case DATATYPE_BOOL:
        fits = bytes_equal(value, BYTES_LIT("true")) || bytes_equal(value, BYTES_LIT("false"));
        break;
    case DATATYPE_STRING:
        fits = is_string(value);
        break;
    }
    return fits ? 0 : SEALMQ_E_TYPE;
}
