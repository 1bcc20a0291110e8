/* Frozen vectors from test/vectors/, for unit tests: a file as a JSON value, and its members as
 * bytes. A file or member that is missing or malformed fails the test. */
#ifndef SEALMQ_TEST_VECTORS_H
#define SEALMQ_TEST_VECTORS_H

#include "base/json.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>

static inline cJSON *vectors_load(const char *name)
{
    char path[512];
    int n = snprintf(path, sizeof(path), "%s/%s", TEST_VECTORS, name);
    assert_in_range(n, 1, sizeof(path) - 1);
    FILE *file = fopen(path, "rb");
    assert_non_null(file);
    struct buf text = {0};
    for (size_t got = 1; got != 0;) {
        uint8_t chunk[4096];
        got = fread(chunk, 1, sizeof(chunk), file);
        buf_append(&text, chunk, got);
    }
    assert_int_equal(ferror(file), 0);
    fclose(file);
    cJSON *json = NULL;
    struct json_error error = {0};
    if (json_parse(buf_bytes(&text), &json, &error) != 0)
        fail_msg("%s: %s at %zu", name, error.message, error.offset);
    buf_close(&text);
    return json;
}

static inline const cJSON *vector_array(const cJSON *object, const char *member)
{
    const cJSON *array = NULL;
    assert_int_equal(json_member_array(object, member, &array, NULL), 0);
    return array;
}

/* Borrowed. */
static inline struct bytes vector_text(const cJSON *object, const char *member)
{
    const char *text = NULL;
    assert_int_equal(json_member_string(object, member, &text, NULL), 0);
    return bytes_str(text);
}

static inline uint64_t vector_u64(const cJSON *object, const char *member)
{
    uint64_t v = 0;
    assert_int_equal(json_member_u64(object, member, &v, NULL), 0);
    return v;
}

/* Hexadecimal text as bytes, which the caller frees with buf_close. */
static inline struct buf hex_bytes(struct bytes text)
{
    struct buf out = {0};
    uint8_t *p = buf_extend(&out, text.n / 2);
    assert_true(text.n < 2 || p != NULL);
    assert_int_equal(hex_decode(text, p, text.n / 2), 0);
    return out;
}

static inline struct buf vector_hex(const cJSON *object, const char *member)
{
    return hex_bytes(vector_text(object, member));
}

/* Hexadecimal text of exactly `size` bytes. */
static inline void vector_hex_exact(const cJSON *object, const char *member, void *out, size_t size)
{
    assert_int_equal(hex_decode(vector_text(object, member), out, size), 0);
}

#endif
