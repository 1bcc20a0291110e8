#include "serve/token_keys.h"

#include "base/id.h"
#include "base/text.h"

#include <stdio.h>
#include <stdlib.h>

struct entry {
    char id[ID_MAX + 1];
    struct public_key key;
};

struct token_keys {
    struct entry *entries; /* sorted by id when parsing is done */
    size_t count, capacity;
};

static int compare_ids(const void *a, const void *b)
{
    const struct entry *x = a;
    const struct entry *y = b;
    return strcmp(x->id, y->id);
}

static struct bytes take_word(struct bytes *rest)
{
    size_t start = 0;
    while (start < rest->n && strchr(" \t\r", rest->p[start]) != NULL)
        start++;
    size_t end = start;
    while (end < rest->n && strchr(" \t\r", rest->p[end]) == NULL)
        end++;
    struct bytes word = bytes_of(rest->p + start, end - start);
    *rest = bytes_of(rest->p + end, rest->n - end);
    return word;
}

static int add(struct token_keys *keys, const struct entry *entry)
{
    if (keys->count == keys->capacity) {
        size_t capacity = keys->capacity == 0 ? 16 : keys->capacity * 2;
        struct entry *entries = reallocarray(keys->entries, capacity, sizeof *entries);
        if (entries == NULL)
            return SEALMQ_E_NOMEM;
        keys->entries = entries;
        keys->capacity = capacity;
    }
    keys->entries[keys->count++] = *entry;
    return 0;
}

/* NULL, or what is wrong with the line. */
static const char *parse_line(struct bytes line, struct entry *out, bool *is_empty)
{
    struct bytes id = take_word(&line), key = take_word(&line), more = take_word(&line);
    *is_empty = id.n == 0 || id.p[0] == '#';
    if (*is_empty)
        return NULL;
    if (!id_is_valid(id) || bytes_to_cstr(id, out->id, sizeof out->id) != 0)
        return "a line begins with an id, such as plant/alice";
    if (base64_decode_exact(key, out->key.b, sizeof out->key.b) != 0 || more.n != 0)
        return "after the id comes its public key in base64, as in the .pub file of the key";
    return NULL;
}

static int parse(struct token_keys *keys, struct bytes text, const char *path, char *why,
                 size_t why_size)
{
    for (unsigned line = 1; text.n != 0; line++) {
        const uint8_t *end = memchr(text.p, '\n', text.n);
        size_t n = end == NULL ? text.n : (size_t)(end - text.p);
        struct entry entry = {0};
        bool is_empty;
        const char *wrong = parse_line(bytes_of(text.p, n), &entry, &is_empty);
        if (wrong == NULL && !is_empty && keys->count == TOKEN_KEYS_MAX)
            wrong = "too many keys";
        if (wrong != NULL) {
            snprintf(why, why_size, "%s:%u: %s", path, line, wrong);
            return SEALMQ_E_CONFIG;
        }
        if (!is_empty && add(keys, &entry) != 0)
            return SEALMQ_E_NOMEM;
        n += end != NULL;
        text = bytes_of(text.p + n, text.n - n);
    }
    if (keys->count != 0)
        qsort(keys->entries, keys->count, sizeof *keys->entries, compare_ids);
    for (size_t i = 1; i < keys->count; i++) {
        if (strcmp(keys->entries[i - 1].id, keys->entries[i].id) == 0) {
            snprintf(why, why_size, "%s: %s is there twice; leave one key", path,
                     keys->entries[i].id);
            return SEALMQ_E_CONFIG;
        }
    }
    return 0;
}

int token_keys_parse(struct bytes text, const char *path, struct token_keys **out, char *why,
                     size_t why_size)
{
    struct token_keys *keys = calloc(1, sizeof *keys);
    *out = NULL;
    if (keys == NULL)
        return SEALMQ_E_NOMEM;
    int error = parse(keys, text, path, why, why_size);
    if (error != 0) {
        token_keys_free(keys);
        return error;
    }
    *out = keys;
    return 0;
}

void token_keys_free(struct token_keys *keys)
{
    if (keys == NULL)
        return;
    free(keys->entries);
    free(keys);
}

const struct public_key *token_keys_find(const struct token_keys *keys, const char *id)
{
    struct entry wanted = {0};
    if (keys->count == 0 || bytes_to_cstr(bytes_str(id), wanted.id, sizeof wanted.id) != 0)
        return NULL;
    const struct entry *found =
        bsearch(&wanted, keys->entries, keys->count, sizeof wanted, compare_ids);
    return found == NULL ? NULL : &found->key;
}
