/* A strict layer over cJSON for input from outside: bounded depth, nothing after the value, UTF-8
 * checked, no duplicate members, no NUL in strings; and for output, one compact writer. */
#ifndef SEALMQ_BASE_JSON_H
#define SEALMQ_BASE_JSON_H

#include "base/bytes.h"

#include <cjson/cJSON.h>

/* Where and why a text was refused, for a person. */
struct json_error {
    size_t offset;    /* byte offset of a syntax error, else 0 */
    char message[96]; /* e.g. "member \"count\" is missing" */
};

/* Parses the whole of `text`. On success *out is the caller's to free with cJSON_Delete.
 * SEALMQ_E_PARSE (not JSON by RFC 8259, a byte order mark, over JSON_DEPTH_MAX or JSON_VALUES_MAX,
 * duplicate member, half a surrogate pair, NUL in a string, a number longer than 63 digits or
 * beyond a double), SEALMQ_E_NOMEM; *out is then NULL. `error` may be NULL, here and below.
 *
 * Walk arrays with cJSON_ArrayForEach (cJSON_GetArrayItem starts at the front each time), and never
 * look members up with cJSON_GetObjectItem, which ignores case. */
SEALMQ_MUST_CHECK int json_parse(struct bytes text, cJSON **out, struct json_error *error);

/* Members of an object. The result is borrowed from `object`. SEALMQ_E_PARSE with `error` filled
 * when the member is missing or of another type, or `object` is no object. Integers must be whole
 * and in range: from 2^53 on, where a JSON number is no longer exact, they must be written as
 * strings of digits, which json_member_u64 takes as well. */
SEALMQ_MUST_CHECK int json_member_string(const cJSON *object, const char *name, const char **out,
                                         struct json_error *error);
SEALMQ_MUST_CHECK int json_member_u64(const cJSON *object, const char *name, uint64_t *out,
                                      struct json_error *error);
SEALMQ_MUST_CHECK int json_member_array(const cJSON *object, const char *name, const cJSON **out,
                                        struct json_error *error);
SEALMQ_MUST_CHECK int json_member_object(const cJSON *object, const char *name, const cJSON **out,
                                         struct json_error *error);
/* Exactly `size` bytes in standard base64. */
SEALMQ_MUST_CHECK int json_member_base64(const cJSON *object, const char *name, uint8_t *out,
                                         size_t size, struct json_error *error);

/* Appends a JSON string literal, quotes included, escaping what must be. Always valid JSON: bytes
 * of `s` that are not UTF-8 become U+FFFD. */
void json_append_string(struct buf *out, struct bytes s);

#endif
