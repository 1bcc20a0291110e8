/* Numbers as text, and UTF-8. Hexadecimal and base64 are in base64.c, times in eventtime.c. */
#include "base/text.h"

int u64_parse(struct bytes text, uint64_t *out)
{
    *out = 0;
    if (text.n == 0 || (text.n > 1 && text.p[0] == '0'))
        return SEALMQ_E_PARSE;
    for (size_t i = 0; i < text.n; i++)
        if (text.p[i] < '0' || text.p[i] > '9')
            return SEALMQ_E_PARSE;
    uint64_t v = 0;
    for (size_t i = 0; i < text.n; i++)
        if (__builtin_mul_overflow(v, UINT64_C(10), &v) ||
            __builtin_add_overflow(v, (uint64_t)(text.p[i] - '0'), &v))
            return SEALMQ_E_LIMIT;
    *out = v;
    return 0;
}

static bool is_continuation(uint8_t c)
{
    return (c & 0xC0) == 0x80;
}

/* RFC 3629 section 4. The bounds of the second byte are what refuses longer forms than needed
 * (E0, F0), surrogates (ED) and code points above U+10FFFF (F4). */
size_t utf8_next(struct bytes s)
{
    if (s.n == 0)
        return 0;
    uint8_t c = s.p[0];
    if (c < 0x80)
        return 1;
    if (c < 0xC2 || c > 0xF4)
        return 0;
    size_t n = c < 0xE0 ? 2 : c < 0xF0 ? 3 : 4;
    if (s.n < n)
        return 0;
    uint8_t low = c == 0xE0 ? 0xA0 : c == 0xF0 ? 0x90 : 0x80;
    uint8_t high = c == 0xED ? 0x9F : c == 0xF4 ? 0x8F : 0xBF;
    if (s.p[1] < low || s.p[1] > high)
        return 0;
    for (size_t i = 2; i < n; i++)
        if (!is_continuation(s.p[i]))
            return 0;
    return n;
}

bool utf8_is_valid(struct bytes s)
{
    while (s.n != 0) {
        /* Most text is ASCII: eight bytes at a time while it is. */
        uint64_t eight;
        while (s.n >= sizeof(eight)) {
            memcpy(&eight, s.p, sizeof(eight));
            if ((eight & UINT64_C(0x8080808080808080)) != 0)
                break;
            s = bytes_of(s.p + sizeof(eight), s.n - sizeof(eight));
        }
        if (s.n == 0)
            break;
        size_t n = utf8_next(s);
        if (n == 0)
            return false;
        s = bytes_of(s.p + n, s.n - n);
    }
    return true;
}
