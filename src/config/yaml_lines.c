#include "config/yaml_lines.h"

#include <stdlib.h>
#include <string.h>

/* Where it ceases to be YAML. Of bytes that are no characters, libyaml tells the offset only. */
static unsigned line_of_damage(const yaml_parser_t *parser, struct bytes text)
{
    unsigned line = 1;
    if (parser->error != YAML_READER_ERROR)
        return (unsigned)parser->problem_mark.line + 1;
    for (size_t i = 0; i < text.n && i < parser->problem_offset; i++)
        line += text.p[i] == '\n';
    return line;
}

bool yaml_lines_load(struct bytes text, yaml_document_t *document, unsigned *damage,
                     const char **problem)
{
    yaml_parser_t parser;
    *damage = 0;
    *problem = "out of memory";
    if (!yaml_parser_initialize(&parser))
        return false;
    yaml_parser_set_input_string(&parser, text.p, text.n);
    bool is_loaded = yaml_parser_load(&parser, document) != 0;
    if (!is_loaded && parser.problem != NULL) {
        *damage = line_of_damage(&parser, text);
        *problem = parser.problem; /* one of libyaml's own, which stay */
    }
    yaml_parser_delete(&parser);
    return is_loaded;
}

static unsigned line_of_node(const yaml_node_t *node)
{
    return (unsigned)node->start_mark.line + 1;
}

static bool is_called(const yaml_node_t *key, const char *name, size_t n)
{
    return key != NULL && key->type == YAML_SCALAR_NODE && key->data.scalar.length == n &&
           memcmp(key->data.scalar.value, name, n) == 0;
}

/* The value of a member; *line becomes that of its key. */
static yaml_node_t *member_of(yaml_document_t *document, const yaml_node_t *mapping,
                              const char *name, size_t n, unsigned *line)
{
    if (mapping->type != YAML_MAPPING_NODE)
        return NULL;
    for (yaml_node_pair_t *pair = mapping->data.mapping.pairs.start;
         pair < mapping->data.mapping.pairs.top; pair++) {
        const yaml_node_t *key = yaml_document_get_node(document, pair->key);
        if (!is_called(key, name, n))
            continue;
        *line = line_of_node(key);
        return yaml_document_get_node(document, pair->value);
    }
    return NULL;
}

static yaml_node_t *entry_of(yaml_document_t *document, const yaml_node_t *sequence,
                             unsigned long index, unsigned *line)
{
    if (sequence->type != YAML_SEQUENCE_NODE)
        return NULL;
    const yaml_node_item_t *first = sequence->data.sequence.items.start;
    if (index >= (unsigned long)(sequence->data.sequence.items.top - first))
        return NULL;
    yaml_node_t *entry = yaml_document_get_node(document, first[index]);
    if (entry != NULL)
        *line = line_of_node(entry);
    return entry;
}

unsigned yaml_line_of(struct bytes text, const char *place)
{
    yaml_document_t document;
    unsigned line;
    const char *problem;
    if (!yaml_lines_load(text, &document, &line, &problem))
        return line;
    yaml_node_t *node = yaml_document_get_root_node(&document);
    if (node != NULL)
        line = line_of_node(node);
    while (node != NULL && *place != '\0') {
        if (*place == '[') {
            char *end;
            node = entry_of(&document, node, strtoul(place + 1, &end, 10), &line);
            place = *end == ']' ? end + 1 : end;
        } else {
            place += *place == '.';
            size_t n = strcspn(place, ".[");
            node = member_of(&document, node, place, n, &line);
            place += n;
        }
    }
    yaml_document_delete(&document);
    return line;
}
