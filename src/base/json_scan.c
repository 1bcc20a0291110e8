/* One pass over the text without recursion and without memory. What passes is JSON that cJSON reads
 * in the one way that RFC 8259 allows, so that after it cJSON can only fail for want of memory.
 *
 *   state            expects                          then
 *   VALUE            a value                          AFTER, or into a container
 *   FIRST_VALUE      a value or ']'  (just after '[') the same
 *   NAME             a member's name and ':'          VALUE
 *   FIRST_NAME       a name or '}'   (just after '{') VALUE or AFTER
 *   AFTER            ',' or the container's end;      VALUE, NAME or AFTER
 *                    outside of all: the text's end
 */
#include "base/json_scan.h"

#include "base/limits.h"
#include "base/text.h"

/* Releases of cJSON copy a number into 64 bytes and drop what does not fit. */
#define NUMBER_MAX_BYTES 63

enum state { VALUE, FIRST_VALUE, NAME, FIRST_NAME, AFTER };

struct scan {
    struct bytes text;
    size_t at;
    enum state state;
    size_t values;
    size_t depth;
    bool in_object[JSON_DEPTH_MAX]; /* kind of each open container, outermost first */
    const char *reason;             /* why it is refused; NULL as long as it is not */
};

static bool refuse(struct scan *s, const char *reason)
{
    s->reason = reason;
    return false;
}

/* The next byte, or -1 at the end. */
static int peek(const struct scan *s)
{
    return s->at < s->text.n ? s->text.p[s->at] : -1;
}

static bool take(struct scan *s, char c)
{
    if (peek(s) != c)
        return false;
    s->at++;
    return true;
}

static void skip_space(struct scan *s)
{
    for (int c = peek(s); c == ' ' || c == '\t' || c == '\n' || c == '\r'; c = peek(s))
        s->at++;
}

static bool is_digit(int c)
{
    return c >= '0' && c <= '9';
}

/* At least one digit. */
static bool scan_digits(struct scan *s)
{
    if (!is_digit(peek(s)))
        return refuse(s, "not a number");
    while (is_digit(peek(s)))
        s->at++;
    return true;
}

static bool scan_number(struct scan *s)
{
    size_t start = s->at;
    (void)take(s, '-');
    if (take(s, '0')) {
        if (is_digit(peek(s)))
            return refuse(s, "number with a leading zero");
    } else if (!scan_digits(s)) {
        return false;
    }
    if (take(s, '.') && !scan_digits(s))
        return false;
    if (take(s, 'e') || take(s, 'E')) {
        if (!take(s, '+'))
            (void)take(s, '-');
        if (!scan_digits(s))
            return false;
    }
    if (s->at - start > NUMBER_MAX_BYTES)
        return refuse(s, "number too long");
    return true;
}

static bool scan_word(struct scan *s, struct bytes word)
{
    if (!bytes_starts_with(bytes_of(s->text.p + s->at, s->text.n - s->at), word))
        return refuse(s, "not a value");
    s->at += word.n;
    return true;
}

/* The four digits of \uXXXX. */
static bool scan_code_unit(struct scan *s, unsigned *out)
{
    uint8_t unit[2];
    if (s->text.n - s->at < 4 || hex_decode(bytes_of(s->text.p + s->at, 4), unit, 2) != 0)
        return refuse(s, "\\u needs four hexadecimal digits");
    s->at += 4;
    *out = (unsigned)unit[0] << 8 | unit[1];
    return true;
}

/* What follows a backslash. */
static bool scan_escape(struct scan *s)
{
    int c = peek(s);
    if (c < 0 || c == 0 || strchr("\"\\/bfnrtu", c) == NULL)
        return refuse(s, "unknown escape");
    s->at++;
    if (c != 'u')
        return true;
    unsigned unit;
    if (!scan_code_unit(s, &unit))
        return false;
    if (unit == 0) /* the end of a C string for whoever reads it */
        return refuse(s, "NUL in a string");
    if (unit < 0xD800 || unit > 0xDFFF)
        return true;
    if (unit > 0xDBFF || !take(s, '\\') || !take(s, 'u'))
        return refuse(s, "half a surrogate pair");
    if (!scan_code_unit(s, &unit))
        return false;
    if (unit < 0xDC00 || unit > 0xDFFF)
        return refuse(s, "half a surrogate pair");
    return true;
}

static bool scan_string(struct scan *s)
{
    s->at++; /* the quote */
    for (;;) {
        int c = peek(s);
        if (c < 0)
            return refuse(s, "string without end");
        if (c < 0x20)
            return refuse(s, "control character in a string");
        s->at++;
        if (c == '"')
            return true;
        if (c == '\\' && !scan_escape(s))
            return false;
    }
}

static bool open_container(struct scan *s, bool is_object)
{
    if (s->depth == JSON_DEPTH_MAX)
        return refuse(s, "nested too deep");
    s->at++;
    s->in_object[s->depth++] = is_object;
    s->state = is_object ? FIRST_NAME : FIRST_VALUE;
    return true;
}

static bool close_container(struct scan *s)
{
    s->depth--;
    s->state = AFTER;
    return true;
}

static bool scan_value(struct scan *s)
{
    if (s->values == JSON_VALUES_MAX)
        return refuse(s, "too many values");
    s->values++;
    s->state = AFTER;
    switch (peek(s)) {
    case '{':
        return open_container(s, true);
    case '[':
        return open_container(s, false);
    case '"':
        return scan_string(s);
    case 't':
        return scan_word(s, BYTES_LIT("true"));
    case 'f':
        return scan_word(s, BYTES_LIT("false"));
    case 'n':
        return scan_word(s, BYTES_LIT("null"));
    case -1:
        return refuse(s, "ends too early");
    default:
        return is_digit(peek(s)) || peek(s) == '-' ? scan_number(s) : refuse(s, "not a value");
    }
}

static bool scan_name(struct scan *s)
{
    if (peek(s) != '"')
        return refuse(s, "a member's name must be a string");
    if (!scan_string(s))
        return false;
    skip_space(s);
    if (!take(s, ':'))
        return refuse(s, "':' is missing");
    s->state = VALUE;
    return true;
}

static bool scan_after(struct scan *s)
{
    bool in_object = s->in_object[s->depth - 1];
    if (take(s, ',')) {
        s->state = in_object ? NAME : VALUE;
        return true;
    }
    if (take(s, in_object ? '}' : ']'))
        return close_container(s);
    return refuse(s, in_object ? "',' or '}' is missing" : "',' or ']' is missing");
}

static bool scan_step(struct scan *s)
{
    switch (s->state) {
    case FIRST_VALUE:
        return take(s, ']') ? close_container(s) : scan_value(s);
    case FIRST_NAME:
        return take(s, '}') ? close_container(s) : scan_name(s);
    case NAME:
        return scan_name(s);
    case AFTER:
        return scan_after(s);
    case VALUE:
    default:
        return scan_value(s);
    }
}

bool json_scan(struct bytes text, size_t *offset, const char **reason)
{
    struct scan s = {.text = text, .state = VALUE};
    bool good = true;
    do {
        skip_space(&s);
        good = scan_step(&s);
    } while (good && !(s.state == AFTER && s.depth == 0));
    skip_space(&s);
    if (good && s.at != text.n)
        good = refuse(&s, "bytes after the value");
    *offset = good ? 0 : s.at;
    *reason = s.reason;
    return good;
}
