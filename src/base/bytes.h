/* Borrowed byte strings, and a growing buffer that owns its bytes. */
#ifndef SEALMQ_BASE_BYTES_H
#define SEALMQ_BASE_BYTES_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

/* Borrowed bytes: valid for as long as whoever made it says. `p` may be NULL when `n` is 0. */
struct bytes {
    const uint8_t *p;
    size_t n;
};

static inline struct bytes bytes_of(const void *p, size_t n)
{
    return (struct bytes){(const uint8_t *)p, n};
}

/* The bytes of a C string without its final zero. */
static inline struct bytes bytes_str(const char *s)
{
    return (struct bytes){(const uint8_t *)s, strlen(s)};
}

#define BYTES_LIT(s) ((struct bytes){(const uint8_t *)(s), sizeof(s) - 1})

static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

static inline bool bytes_starts_with(struct bytes a, struct bytes prefix)
{
    return a.n >= prefix.n && (prefix.n == 0 || memcmp(a.p, prefix.p, prefix.n) == 0);
}

/* Orders like memcmp, a prefix before what it begins. */
int bytes_compare(struct bytes a, struct bytes b);

/* Copies `b` into `out` (capacity `out_size`) as a C string. SEALMQ_E_LIMIT when it does not fit,
 * SEALMQ_E_PARSE when it holds a zero byte; `out` is then "". */
SEALMQ_MUST_CHECK int bytes_to_cstr(struct bytes b, char *out, size_t out_size);

/* A growing buffer. Zero-initialised is empty and ready; `limit` 0 means no limit. After a failed
 * append the buffer is `failed` and stays so: append as often as is handy, check once at the end
 * with buf_status(). */
struct buf {
    uint8_t *p;
    size_t n;        /* bytes in use */
    size_t capacity; /* bytes allocated */
    size_t limit;    /* most bytes it may hold; 0: none */
    int failed;      /* 0, SEALMQ_E_NOMEM or SEALMQ_E_LIMIT */
};

void buf_close(struct buf *b); /* frees, and makes it empty again */
/* The same, but overwrites the bytes first: for secrets. A buffer that grows leaves copies behind,
 * so make room for a secret at once. */
void buf_wipe(struct buf *b);
void buf_reset(struct buf *b); /* length 0, no failure; keeps the memory */
static inline struct bytes buf_bytes(const struct buf *b)
{
    return (struct bytes){b->p, b->n};
}
/* 0, or the error of the first append that failed. */
SEALMQ_MUST_CHECK static inline int buf_status(const struct buf *b)
{
    return b->failed;
}

/* Room for `n` more bytes at the end, uninitialised, counted in; NULL on failure. */
uint8_t *buf_extend(struct buf *b, size_t n);
void buf_append(struct buf *b, const void *p, size_t n);
static inline void buf_append_bytes(struct buf *b, struct bytes s)
{
    buf_append(b, s.p, s.n);
}
void buf_append_cstr(struct buf *b, const char *s);
void buf_append_u8(struct buf *b, uint8_t v);
void buf_append_u16(struct buf *b, uint16_t v); /* big-endian, as all numbers here */
void buf_append_u32(struct buf *b, uint32_t v);
void buf_append_u64(struct buf *b, uint64_t v);
/* A string with its length before it, in 1, 2 or 4 bytes; too long for that: SEALMQ_E_LIMIT. */
void buf_append_str8(struct buf *b, struct bytes s);
void buf_append_str16(struct buf *b, struct bytes s);
void buf_append_str32(struct buf *b, struct bytes s);
__attribute__((format(printf, 2, 3))) void buf_printf(struct buf *b, const char *format, ...);
/* Removes the first `n` bytes (n <= b->n). */
void buf_consume(struct buf *b, size_t n);
/* Adds a zero byte after the end, not counted in, so that b->p reads as a C string. NULL on
 * failure. Valid until the next change. */
const char *buf_cstr(struct buf *b);

/* A reader over borrowed bytes with a sticky error: read as often as is handy, check once with
 * reader_status() or reader_end(). After an error all reads give zeros and empty strings. */
struct reader {
    const uint8_t *p;
    size_t n; /* bytes left */
    int failed;
};

static inline struct reader reader_of(struct bytes b)
{
    return (struct reader){b.p, b.n, 0};
}
uint8_t reader_u8(struct reader *r);
uint16_t reader_u16(struct reader *r);
uint32_t reader_u32(struct reader *r);
uint64_t reader_u64(struct reader *r);
struct bytes reader_bytes(struct reader *r, size_t n); /* borrowed from the input */
void reader_copy(struct reader *r, void *out, size_t n);
struct bytes reader_str8(struct reader *r);
struct bytes reader_str16(struct reader *r);
struct bytes reader_str32(struct reader *r);
/* str8 copied into a C string of capacity out_size; fails as bytes_to_cstr does. */
void reader_cstr8(struct reader *r, char *out, size_t out_size);
/* Marks the input as bad, unless it is already marked. */
void reader_fail(struct reader *r, int error);
/* 0, or the first error. */
SEALMQ_MUST_CHECK static inline int reader_status(const struct reader *r)
{
    return r->failed;
}
/* 0 when all was read and no error occurred; SEALMQ_E_PARSE when bytes are left over. */
SEALMQ_MUST_CHECK int reader_end(const struct reader *r);

#endif
