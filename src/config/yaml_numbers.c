#include "config/yaml_numbers.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

/* As libcyaml does, in any base that C knows. */
static bool is_number(const char *text, cyaml_type_e type)
{
    char *end = NULL;
    errno = 0;
    if (type == CYAML_FLOAT)
        (void)strtod(text, &end);
    else if (type == CYAML_INT)
        (void)strtoll(text, &end, 0);
    else
        (void)strtoull(text, &end, 0);
    return errno == 0 && end != text && *end == '\0';
}

static const cyaml_schema_value_t *schema_of_key(const cyaml_schema_value_t *mapping,
                                                 const char *key)
{
    for (const cyaml_schema_field_t *f = mapping->mapping.fields; f->key != NULL; f++) {
        if (strcmp(f->key, key) == 0)
            return &f->value;
    }
    return NULL;
}

/* As deep as the schema. */
static const yaml_node_t *find_bad(yaml_document_t *document, const yaml_node_t *node,
                                   const cyaml_schema_value_t *schema)
{
    if (node == NULL || schema == NULL)
        return NULL;
    const yaml_node_t *bad = NULL;
    bool is_mapping = node->type == YAML_MAPPING_NODE && schema->type == CYAML_MAPPING;
    bool is_sequence = node->type == YAML_SEQUENCE_NODE && schema->type == CYAML_SEQUENCE;
    if (is_mapping) {
        const yaml_node_pair_t *p = node->data.mapping.pairs.start;
        for (; bad == NULL && p < node->data.mapping.pairs.top; p++) {
            const yaml_node_t *key = yaml_document_get_node(document, p->key);
            if (key != NULL && key->type == YAML_SCALAR_NODE)
                bad = find_bad(document, yaml_document_get_node(document, p->value),
                               schema_of_key(schema, (const char *)key->data.scalar.value));
        }
    } else if (is_sequence) {
        const yaml_node_item_t *item = node->data.sequence.items.start;
        for (; bad == NULL && item < node->data.sequence.items.top; item++)
            bad =
                find_bad(document, yaml_document_get_node(document, *item), schema->sequence.entry);
    } else if (node->type == YAML_SCALAR_NODE &&
               (schema->type == CYAML_INT || schema->type == CYAML_UINT ||
                schema->type == CYAML_FLOAT) &&
               !is_number((const char *)node->data.scalar.value, schema->type)) {
        bad = node;
    }
    return bad;
}

unsigned yaml_line_of_bad_number(struct bytes text, const cyaml_schema_value_t *schema, char *value,
                                 size_t size)
{
    yaml_parser_t parser;
    yaml_document_t document;
    unsigned line = 0;
    if (!yaml_parser_initialize(&parser))
        return 0;
    yaml_parser_set_input_string(&parser, text.p, text.n);
    if (yaml_parser_load(&parser, &document)) {
        const yaml_node_t *bad =
            find_bad(&document, yaml_document_get_root_node(&document), schema);
        if (bad != NULL) {
            line = (unsigned)bad->start_mark.line + 1;
            snprintf(value, size, "%s", (const char *)bad->data.scalar.value);
        }
        yaml_document_delete(&document);
    }
    yaml_parser_delete(&parser);
    return line;
}
