/* Hexadecimal, base64 and base64url. Decoding is strict, so that every byte string has exactly one
 * text: what is hashed or compared as text cannot be written in a second way. */
#include "base/text.h"

void hex_encode(struct bytes b, char *out)
{
    static const char digits[] = "0123456789abcdef";
    for (size_t i = 0; i < b.n; i++) {
        *out++ = digits[b.p[i] >> 4];
        *out++ = digits[b.p[i] & 15];
    }
    *out = '\0';
}

/* -1 when `c` is no digit. */
static int hex_value(uint8_t c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    return -1;
}

int hex_decode(struct bytes text, uint8_t *out, size_t out_size)
{
    if (text.n % 2 != 0 || text.n / 2 != out_size)
        return SEALMQ_E_PARSE;
    for (size_t i = 0; i < out_size; i++) {
        int high = hex_value(text.p[2 * i]);
        int low = hex_value(text.p[2 * i + 1]);
        if (high < 0 || low < 0)
            return SEALMQ_E_PARSE;
        out[i] = (uint8_t)(high << 4 | low);
    }
    return 0;
}

static const char standard_digits[] =
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

static void append_digits(struct buf *out, struct bytes b, const char *digits, bool padded)
{
    if (b.n > SIZE_MAX / 2) {
        if (out->failed == 0)
            out->failed = SEALMQ_E_LIMIT;
        return;
    }
    size_t rest = b.n % 3;
    size_t n = b.n / 3 * 4 + (rest == 0 ? 0 : padded ? 4 : rest + 1);
    uint8_t *q = buf_extend(out, n);
    if (q == NULL)
        return;
    const uint8_t *p = b.p;
    for (size_t left = b.n; left >= 3; left -= 3, p += 3) {
        uint32_t v = (uint32_t)p[0] << 16 | (uint32_t)p[1] << 8 | p[2];
        for (unsigned shift = 24; shift != 0; *q++ = (uint8_t)digits[v >> shift & 63])
            shift -= 6;
    }
    if (rest == 0)
        return;
    uint32_t v = (uint32_t)p[0] << 16 | (rest == 2 ? (uint32_t)p[1] << 8 : 0);
    *q++ = (uint8_t)digits[v >> 18];
    *q++ = (uint8_t)digits[v >> 12 & 63];
    if (rest == 2)
        *q++ = (uint8_t)digits[v >> 6 & 63];
    else if (padded)
        *q++ = '=';
    if (padded)
        *q = '=';
}

void base64_append(struct buf *out, struct bytes b)
{
    append_digits(out, b, standard_digits, true);
}

void base64url_append(struct buf *out, struct bytes b)
{
    append_digits(out, b, url_digits, false);
}

/* -1 when `c` is no digit. */
static int base64_value(uint8_t c, const char *digits)
{
    if (c >= 'A' && c <= 'Z')
        return c - 'A';
    if (c >= 'a' && c <= 'z')
        return c - 'a' + 26;
    if (c >= '0' && c <= '9')
        return c - '0' + 52;
    if (c == (uint8_t)digits[62])
        return 62;
    return c == (uint8_t)digits[63] ? 63 : -1;
}

/* Removes the padding; false when it is not what the length asks for. */
static bool strip_padding(struct bytes *text)
{
    if (text->n % 4 != 0)
        return false;
    for (int i = 0; i < 2 && text->n != 0 && text->p[text->n - 1] == '='; i++)
        text->n--;
    return true;
}

/* How many bytes `n` digits without padding stand for; n % 4 is not 1. */
static size_t decoded_size(size_t n)
{
    return n / 4 * 3 + n % 4 * 3 / 4;
}

/* Decodes digits without padding to decoded_size(text.n) bytes at `out`. */
static int decode_digits(struct bytes text, const char *digits, uint8_t *out)
{
    uint32_t v = 0; /* bits not yet written; only the low `bits` of them count */
    unsigned bits = 0;
    for (size_t i = 0; i < text.n; i++) {
        int digit = base64_value(text.p[i], digits);
        if (digit < 0)
            return SEALMQ_E_PARSE;
        v = v << 6 | (uint32_t)digit;
        bits += 6;
        if (bits >= 8) {
            bits -= 8;
            *out++ = (uint8_t)(v >> bits);
        }
    }
    return (v & ((UINT32_C(1) << bits) - 1)) == 0 ? 0 : SEALMQ_E_PARSE;
}

/* Appends what unpadded `text` stands for, or nothing. */
static int append_decoded(struct bytes text, const char *digits, struct buf *out)
{
    if (text.n % 4 == 1)
        return SEALMQ_E_PARSE;
    size_t start = out->n;
    uint8_t *p = buf_extend(out, decoded_size(text.n));
    if (buf_status(out) != 0)
        return buf_status(out);
    int error = decode_digits(text, digits, p);
    if (error != 0)
        out->n = start;
    return error;
}

int base64_decode(struct bytes text, struct buf *out)
{
    if (!strip_padding(&text))
        return SEALMQ_E_PARSE;
    return append_decoded(text, standard_digits, out);
}

static int decode_exact(struct bytes text, const char *digits, uint8_t *out, size_t out_size)
{
    if (text.n % 4 == 1 || decoded_size(text.n) != out_size)
        return SEALMQ_E_PARSE;
    return decode_digits(text, digits, out);
}

int base64_decode_exact(struct bytes text, uint8_t *out, size_t out_size)
{
    if (!strip_padding(&text))
        return SEALMQ_E_PARSE;
    return decode_exact(text, standard_digits, out, out_size);
}

int base64url_decode(struct bytes text, struct buf *out)
{
    return append_decoded(text, url_digits, out);
}

int base64url_decode_exact(struct bytes text, uint8_t *out, size_t out_size)
{
    return decode_exact(text, url_digits, out, out_size);
}
