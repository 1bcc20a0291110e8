#include "base/bytes.h"

#include "base/assert.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

int bytes_compare(struct bytes a, struct bytes b)
{
    size_t n = a.n < b.n ? a.n : b.n;
    int c = n == 0 ? 0 : memcmp(a.p, b.p, n);
    if (c != 0)
        return c;
    return a.n < b.n ? -1 : a.n > b.n;
}

int bytes_to_cstr(struct bytes b, char *out, size_t out_size)
{
    out[0] = '\0';
    if (b.n >= out_size)
        return SEALMQ_E_LIMIT;
    if (b.n != 0 && memchr(b.p, 0, b.n) != NULL)
        return SEALMQ_E_PARSE;
    if (b.n != 0)
        memcpy(out, b.p, b.n);
    out[b.n] = '\0';
    return 0;
}

void buf_close(struct buf *b)
{
    free(b->p);
    *b = (struct buf){.limit = b->limit};
}

void buf_wipe(struct buf *b)
{
    if (b->p != NULL)
        explicit_bzero(b->p, b->capacity);
    buf_close(b);
}

void buf_reset(struct buf *b)
{
    b->n = 0;
    b->failed = 0;
}

/* Makes room for `n` more bytes, and for `spare` bytes behind them that the limit does not count.
 * There is always some memory afterwards, so that a pointer to no bytes is a pointer too. */
static bool buf_reserve(struct buf *b, size_t n, size_t spare)
{
    if (b->failed != 0)
        return false;
    if (n > SIZE_MAX - spare - b->n || (b->limit != 0 && b->n + n > b->limit)) {
        b->failed = SEALMQ_E_LIMIT;
        return false;
    }
    size_t want = b->n + n + spare;
    if (want <= b->capacity && b->p != NULL)
        return true;
    size_t capacity = b->capacity < 64 ? 64 : b->capacity;
    while (capacity < want)
        capacity = capacity > SIZE_MAX / 2 ? want : capacity * 2;
    uint8_t *p = realloc(b->p, capacity);
    if (p == NULL) {
        b->failed = SEALMQ_E_NOMEM;
        return false;
    }
    b->p = p;
    b->capacity = capacity;
    return true;
}

uint8_t *buf_extend(struct buf *b, size_t n)
{
    if (!buf_reserve(b, n, 0))
        return NULL;
    uint8_t *p = b->p + b->n;
    b->n += n;
    return p;
}

void buf_append(struct buf *b, const void *p, size_t n)
{
    if (n == 0 || !buf_reserve(b, n, 0))
        return;
    memcpy(b->p + b->n, p, n);
    b->n += n;
}

void buf_append_cstr(struct buf *b, const char *s)
{
    buf_append(b, s, strlen(s));
}

/* The `size` low bytes of v, most significant first. */
static void append_number(struct buf *b, uint64_t v, size_t size)
{
    uint8_t *p = buf_extend(b, size);
    if (p == NULL)
        return;
    for (size_t i = size; i-- > 0; v >>= 8)
        p[i] = (uint8_t)v;
}

void buf_append_u8(struct buf *b, uint8_t v)
{
    append_number(b, v, 1);
}

void buf_append_u16(struct buf *b, uint16_t v)
{
    append_number(b, v, 2);
}

void buf_append_u32(struct buf *b, uint32_t v)
{
    append_number(b, v, 4);
}

void buf_append_u64(struct buf *b, uint64_t v)
{
    append_number(b, v, 8);
}

static void append_string(struct buf *b, struct bytes s, size_t size)
{
    if (s.n > (UINT64_C(1) << (8 * size)) - 1) {
        if (b->failed == 0)
            b->failed = SEALMQ_E_LIMIT;
        return;
    }
    append_number(b, s.n, size);
    buf_append_bytes(b, s);
}

void buf_append_str8(struct buf *b, struct bytes s)
{
    append_string(b, s, 1);
}

void buf_append_str16(struct buf *b, struct bytes s)
{
    append_string(b, s, 2);
}

void buf_append_str32(struct buf *b, struct bytes s)
{
    append_string(b, s, 4);
}

void buf_printf(struct buf *b, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    int n = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (n < 0 && b->failed == 0)
        b->failed = SEALMQ_E_NOMEM;
    if (n < 0 || !buf_reserve(b, (size_t)n, 1))
        return;
    va_start(args, format);
    vsnprintf((char *)b->p + b->n, (size_t)n + 1, format, args);
    va_end(args);
    b->n += (size_t)n;
}

void buf_consume(struct buf *b, size_t n)
{
    ASSERT(n <= b->n);
    if (n == 0)
        return;
    memmove(b->p, b->p + n, b->n - n);
    b->n -= n;
}

const char *buf_cstr(struct buf *b)
{
    if (!buf_reserve(b, 0, 1))
        return NULL;
    b->p[b->n] = '\0';
    return (const char *)b->p;
}

void reader_fail(struct reader *r, int error)
{
    if (r->failed == 0)
        r->failed = error;
    r->n = 0;
}

struct bytes reader_bytes(struct reader *r, size_t n)
{
    if (r->failed != 0 || n > r->n) {
        reader_fail(r, SEALMQ_E_SHORT);
        return (struct bytes){0};
    }
    struct bytes b = {r->p, n};
    r->p = n == 0 ? r->p : r->p + n;
    r->n -= n;
    return b;
}

static uint64_t read_number(struct reader *r, size_t size)
{
    struct bytes b = reader_bytes(r, size);
    uint64_t v = 0;
    for (size_t i = 0; i < b.n; i++)
        v = v << 8 | b.p[i];
    return v;
}

uint8_t reader_u8(struct reader *r)
{
    return (uint8_t)read_number(r, 1);
}

uint16_t reader_u16(struct reader *r)
{
    return (uint16_t)read_number(r, 2);
}

uint32_t reader_u32(struct reader *r)
{
    return (uint32_t)read_number(r, 4);
}

uint64_t reader_u64(struct reader *r)
{
    return read_number(r, 8);
}

void reader_copy(struct reader *r, void *out, size_t n)
{
    struct bytes b = reader_bytes(r, n);
    if (b.n == n && n != 0)
        memcpy(out, b.p, n);
    else
        memset(out, 0, n);
}

struct bytes reader_str8(struct reader *r)
{
    return reader_bytes(r, reader_u8(r));
}

struct bytes reader_str16(struct reader *r)
{
    return reader_bytes(r, reader_u16(r));
}

struct bytes reader_str32(struct reader *r)
{
    return reader_bytes(r, reader_u32(r));
}

void reader_cstr8(struct reader *r, char *out, size_t out_size)
{
    int error = bytes_to_cstr(reader_str8(r), out, out_size);
    if (error != 0)
        reader_fail(r, error);
}

int reader_end(const struct reader *r)
{
    if (r->failed != 0)
        return r->failed;
    return r->n == 0 ? 0 : SEALMQ_E_PARSE;
}
