#include "base/json.h"

#include "base/json_scan.h"
#include "base/text.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* Largest integer below which no two whole numbers share a double (RFC 7493 section 2.2). */
#define EXACT_MAX ((UINT64_C(1) << 53) - 1)

__attribute__((format(printf, 3, 4))) static int fail(struct json_error *error, size_t offset,
                                                      const char *format, ...)
{
    if (error != NULL) {
        va_list args;
        va_start(args, format);
        error->offset = offset;
        vsnprintf(error->message, sizeof(error->message), format, args);
        va_end(args);
    }
    return SEALMQ_E_PARSE;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Sorted, because a peer chooses how many members there are: comparing each with each would let
 * one large object hold up the thread. */
static int check_members(const cJSON *object, struct json_error *error)
{
    size_t n = 0;
    const cJSON *member;
    cJSON_ArrayForEach(member, object) n++;
    if (n < 2)
        return 0;
    const char *few[32];
    const char **names = few;
    if (n > sizeof(few) / sizeof(few[0]) && (names = malloc(n * sizeof(*names))) == NULL)
        return SEALMQ_E_NOMEM;
    n = 0;
    cJSON_ArrayForEach(member, object) names[n++] = member->string;
    qsort(names, n, sizeof(*names), compare_names);
    int result = 0;
    for (size_t i = 1; i < n && result == 0; i++)
        if (strcmp(names[i - 1], names[i]) == 0)
            result = fail(error, 0, "member \"%.64s\" appears twice", names[i]);
    if (names != few)
        free(names);
    return result;
}

/* What the grammar does not say. The recursion is as deep as the text, which json_scan bounded. */
static int check_tree(const cJSON *value, struct json_error *error)
{
    if (cJSON_IsNumber(value) && !isfinite(value->valuedouble))
        return fail(error, 0, "number out of range");
    int result = cJSON_IsObject(value) ? check_members(value, error) : 0;
    for (const cJSON *child = value->child; child != NULL && result == 0; child = child->next)
        result = check_tree(child, error);
    return result;
}

int json_parse(struct bytes text, cJSON **out, struct json_error *error)
{
    *out = NULL;
    if (error != NULL)
        *error = (struct json_error){0};
    if (!utf8_is_valid(text))
        return fail(error, 0, "not UTF-8");
    size_t offset;
    const char *reason;
    if (!json_scan(text, &offset, &reason))
        return fail(error, offset, "%s at byte %zu", reason, offset);
    cJSON *root = cJSON_ParseWithLengthOpts((const char *)text.p, text.n, NULL, false);
    if (root == NULL)
        return SEALMQ_E_NOMEM;
    int result = check_tree(root, error);
    if (result != 0) {
        cJSON_Delete(root);
        return result;
    }
    *out = root;
    return 0;
}

/* The member, or NULL with `error` filled. */
static const cJSON *find(const cJSON *object, const char *name, struct json_error *error)
{
    const cJSON *member =
        cJSON_IsObject(object) ? cJSON_GetObjectItemCaseSensitive(object, name) : NULL;
    if (member == NULL)
        (void)fail(error, 0, "member \"%.64s\" is missing", name);
    return member;
}

/* The same for a member of one type; `type` are the words for it. */
static const cJSON *find_typed(const cJSON *object, const char *name,
                               cJSON_bool (*is_type)(const cJSON *), const char *type,
                               struct json_error *error)
{
    const cJSON *member = find(object, name, error);
    if (member == NULL || is_type(member))
        return member;
    (void)fail(error, 0, "member \"%.64s\" is not %s", name, type);
    return NULL;
}

int json_member_string(const cJSON *object, const char *name, const char **out,
                       struct json_error *error)
{
    const cJSON *member = find_typed(object, name, cJSON_IsString, "a string", error);
    *out = member == NULL ? NULL : member->valuestring;
    return member == NULL ? SEALMQ_E_PARSE : 0;
}

int json_member_u64(const cJSON *object, const char *name, uint64_t *out, struct json_error *error)
{
    *out = 0;
    const cJSON *member = find(object, name, error);
    if (member == NULL)
        return SEALMQ_E_PARSE;
    if (cJSON_IsString(member)) {
        if (u64_parse(bytes_str(member->valuestring), out) != 0)
            return fail(error, 0, "member \"%.64s\" is not a whole number in range", name);
        return 0;
    }
    if (!cJSON_IsNumber(member))
        return fail(error, 0, "member \"%.64s\" is not a number", name);
    double v = member->valuedouble;
    if (!(v >= 0 && v <= (double)EXACT_MAX && v == floor(v)))
        return fail(error, 0, "member \"%.64s\" is not a whole number in range", name);
    *out = (uint64_t)v;
    return 0;
}

int json_member_array(const cJSON *object, const char *name, const cJSON **out,
                      struct json_error *error)
{
    *out = find_typed(object, name, cJSON_IsArray, "an array", error);
    return *out == NULL ? SEALMQ_E_PARSE : 0;
}

int json_member_object(const cJSON *object, const char *name, const cJSON **out,
                       struct json_error *error)
{
    *out = find_typed(object, name, cJSON_IsObject, "an object", error);
    return *out == NULL ? SEALMQ_E_PARSE : 0;
}

int json_member_base64(const cJSON *object, const char *name, uint8_t *out, size_t size,
                       struct json_error *error)
{
    const cJSON *member = find_typed(object, name, cJSON_IsString, "a string", error);
    if (member == NULL)
        return SEALMQ_E_PARSE;
    if (base64_decode_exact(bytes_str(member->valuestring), out, size) != 0)
        return fail(error, 0, "member \"%.64s\" is not %zu bytes in base64", name, size);
    return 0;
}

/* Length of the character at the start of `s` that may stand in a literal as it is, else 0. */
static size_t plain_character(struct bytes s)
{
    if (s.p[0] < 0x20 || s.p[0] == '"' || s.p[0] == '\\')
        return 0;
    return utf8_next(s);
}

static void append_escaped(struct buf *out, uint8_t c)
{
    static const char letters[] = "\b\f\n\r\t\"\\";
    static const char escapes[] = "bfnrt\"\\";
    const char *letter = c == 0 ? NULL : strchr(letters, c);
    if (letter != NULL)
        buf_printf(out, "\\%c", escapes[letter - letters]);
    else if (c < 0x20)
        buf_printf(out, "\\u%04x", c);
    else
        buf_append_cstr(out, "\\ufffd");
}

void json_append_string(struct buf *out, struct bytes s)
{
    buf_append_u8(out, '"');
    while (s.n != 0) {
        size_t run = 0;
        for (size_t n; run < s.n && (n = plain_character(bytes_of(s.p + run, s.n - run))) != 0;)
            run += n;
        buf_append(out, s.p, run);
        if (run < s.n)
            append_escaped(out, s.p[run++]);
        s = bytes_of(s.p + run, s.n - run);
    }
    buf_append_u8(out, '"');
}
