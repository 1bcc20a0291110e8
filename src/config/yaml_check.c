#include "config/yaml_check.h"

#include "config/yaml_lines.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* What is looked at: a value, and the key it belongs to. */
struct place {
    yaml_document_t *document;
    const yaml_node_t *node;
    const char *name; /* "" for the whole */
    struct yaml_fault *fault;
};

__attribute__((format(printf, 3, 4))) static bool
refuse(const struct place *at, const yaml_node_t *node, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(at->fault->words, sizeof at->fault->words, format, arguments);
    va_end(arguments);
    at->fault->line = (unsigned)node->start_mark.line + 1;
    return false;
}

/* "a, b, c", with dots when there is no room for all. */
struct names {
    char text[320];
    size_t n;
};

static void names_add(struct names *names, const char *name)
{
    size_t room = sizeof names->text - names->n;
    int n = snprintf(names->text + names->n, room, "%s%s", names->n == 0 ? "" : ", ", name);
    if (n > 0 && (size_t)n + sizeof ", ..." < room)
        names->n += (size_t)n;
    else
        snprintf(names->text + names->n, room, ", ...");
}

static const char *text_of(const yaml_node_t *scalar)
{
    return (const char *)scalar->data.scalar.value;
}

/* ---- values ---- */

/* In any base that C knows, as libcyaml does. */
static bool check_number(const struct place *at, const cyaml_schema_value_t *schema)
{
    const char *text = text_of(at->node);
    uint64_t most = UINT64_MAX >> (64 - 8 * (schema->data_size < 8 ? schema->data_size : 8));
    char *end = NULL;
    errno = 0;
    unsigned long long number = strtoull(text, &end, 0);
    if (end == text || *end != '\0')
        return refuse(at, at->node, "%s: \"%.64s\" is no number; write digits only, such as 10000",
                      at->name, text);
    if (strchr(text, '-') != NULL)
        return refuse(at, at->node, "%s is %.64s, it must not be negative", at->name, text);
    if (errno == ERANGE || number > most)
        return refuse(at, at->node, "%s is %.64s, at most %llu is possible", at->name, text,
                      (unsigned long long)most);
    return true;
}

static bool check_text(const struct place *at, const cyaml_schema_value_t *schema)
{
    size_t n = at->node->data.scalar.length;
    if (n == 0 && schema->string.min != 0)
        return refuse(at, at->node, "%s is empty; say what it is, or leave the line out", at->name);
    if (n < schema->string.min)
        return refuse(at, at->node, "%s \"%.64s\" is too short, at least %u characters", at->name,
                      text_of(at->node), schema->string.min);
    if (n > schema->string.max)
        return refuse(at, at->node, "%s is %zu bytes long, at most %u are possible", at->name, n,
                      schema->string.max);
    if (strlen(text_of(at->node)) != n)
        return refuse(at, at->node, "%s has a NUL character in it; take it out", at->name);
    return true;
}

static bool check_word(const struct place *at, const cyaml_schema_value_t *schema)
{
    struct names names = {.n = 0};
    for (uint32_t i = 0; i < schema->enumeration.count; i++) {
        if (strcmp(schema->enumeration.strings[i].str, text_of(at->node)) == 0)
            return true;
        names_add(&names, schema->enumeration.strings[i].str);
    }
    return refuse(at, at->node, "%s is \"%.64s\", it must be one of: %s", at->name,
                  text_of(at->node), names.text);
}

static bool check_scalar(const struct place *at, const cyaml_schema_value_t *schema)
{
    bool is_scalar = at->node->type == YAML_SCALAR_NODE;
    switch (schema->type) {
    case CYAML_UINT:
        return is_scalar ? check_number(at, schema)
                         : refuse(at, at->node, "%s must be a number, such as 10000", at->name);
    case CYAML_STRING:
        return is_scalar ? check_text(at, schema)
                         : refuse(at, at->node, "%s must be a single text", at->name);
    case CYAML_ENUM:
        return is_scalar ? check_word(at, schema)
                         : refuse(at, at->node, "%s must be a single word", at->name);
    default:
        return true;
    }
}

/* ---- what holds values ---- */

static bool check_value(const struct place *at, const cyaml_schema_value_t *schema);

static const cyaml_schema_field_t *field_of(const cyaml_schema_value_t *mapping, const char *key)
{
    for (const cyaml_schema_field_t *f = mapping->mapping.fields; f->key != NULL; f++) {
        if (strcmp(f->key, key) == 0)
            return f;
    }
    return NULL;
}

static bool refuse_key(const struct place *at, const yaml_node_t *key,
                       const cyaml_schema_value_t *mapping)
{
    struct names names = {.n = 0};
    for (const cyaml_schema_field_t *f = mapping->mapping.fields; f->key != NULL; f++)
        names_add(&names, f->key);
    return refuse(at, key, "\"%.64s\" is not known %s%s; known are: %s", text_of(key),
                  at->name[0] != '\0' ? "in " : "here", at->name, names.text);
}

/* Whether the key stands in the mapping before `pair`, or (NULL) anywhere. */
static bool has_key(const struct place *at, const char *name, const yaml_node_pair_t *pair)
{
    const yaml_node_t *mapping = at->node;
    if (pair == NULL)
        pair = mapping->data.mapping.pairs.top;
    for (const yaml_node_pair_t *p = mapping->data.mapping.pairs.start; p < pair; p++) {
        const yaml_node_t *key = yaml_document_get_node(at->document, p->key);
        if (key->type == YAML_SCALAR_NODE && strcmp(text_of(key), name) == 0)
            return true;
    }
    return false;
}

static bool check_pair(const struct place *at, const cyaml_schema_value_t *schema,
                       const yaml_node_pair_t *pair)
{
    const yaml_node_t *key = yaml_document_get_node(at->document, pair->key);
    if (key->type != YAML_SCALAR_NODE)
        return refuse(at, key, "a key must be a single word");
    const cyaml_schema_field_t *field = field_of(schema, text_of(key));
    if (field == NULL)
        return refuse_key(at, key, schema);
    if (has_key(at, field->key, pair))
        return refuse(at, key, "%s is said twice; take one of the lines out", field->key);
    const struct place below = {at->document, yaml_document_get_node(at->document, pair->value),
                                field->key, at->fault};
    return check_value(&below, &field->value);
}

static bool check_mapping(const struct place *at, const cyaml_schema_value_t *schema)
{
    if (at->node->type != YAML_MAPPING_NODE)
        return at->name[0] != '\0'
                   ? refuse(at, at->node, "%s must have lines of `key: value` below it", at->name)
                   : refuse(at, at->node, "the file must have lines of `key: value`");
    for (const yaml_node_pair_t *p = at->node->data.mapping.pairs.start;
         p < at->node->data.mapping.pairs.top; p++) {
        if (!check_pair(at, schema, p))
            return false;
    }
    for (const cyaml_schema_field_t *f = schema->mapping.fields; f->key != NULL; f++) {
        if ((f->value.flags & CYAML_FLAG_OPTIONAL) == 0 && !has_key(at, f->key, NULL))
            return refuse(at, at->node, "%s is missing%s%s", f->key,
                          at->name[0] != '\0' ? " in " : "", at->name);
    }
    return true;
}

static bool check_list(const struct place *at, const cyaml_schema_value_t *schema)
{
    const yaml_node_t *list = at->node;
    if (list->type != YAML_SEQUENCE_NODE)
        return refuse(at, list, "%s must be a list, its entries beginning with `- `", at->name);
    const yaml_node_item_t *first = list->data.sequence.items.start;
    size_t count = (size_t)(list->data.sequence.items.top - first);
    if (count < schema->sequence.min)
        return refuse(at, list, "%s has %zu entries, it must have at least %u", at->name, count,
                      schema->sequence.min);
    if (count > schema->sequence.max)
        return refuse(at, list, "%s has %zu entries, at most %u are possible", at->name, count,
                      schema->sequence.max);
    for (size_t i = 0; i < count; i++) {
        const struct place below = {at->document, yaml_document_get_node(at->document, first[i]),
                                    at->name, at->fault};
        if (!check_value(&below, schema->sequence.entry))
            return false;
    }
    return true;
}

/* As deep as the schema, whatever the text. */
static bool check_value(const struct place *at, const cyaml_schema_value_t *schema)
{
    if (schema->type == CYAML_MAPPING)
        return check_mapping(at, schema);
    if (schema->type == CYAML_SEQUENCE)
        return check_list(at, schema);
    return check_scalar(at, schema);
}

bool yaml_check(struct bytes text, const cyaml_schema_value_t *schema, struct yaml_fault *fault)
{
    yaml_document_t document;
    const char *problem;
    *fault = (struct yaml_fault){0};
    if (!yaml_lines_load(text, &document, &fault->line, &problem)) {
        snprintf(fault->words, sizeof fault->words, "cannot be read as YAML: %s", problem);
        return false;
    }
    const struct place whole = {&document, yaml_document_get_root_node(&document), "", fault};
    bool is_good = whole.node != NULL && check_value(&whole, schema);
    if (whole.node == NULL)
        snprintf(fault->words, sizeof fault->words, "the file is empty");
    yaml_document_delete(&document);
    return is_good;
}
