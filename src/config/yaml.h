/* YAML files read by a schema (libcyaml), with errors for people. */
#ifndef SEALMQ_CONFIG_YAML_H
#define SEALMQ_CONFIG_YAML_H

#include "base/error.h"

#include <cyaml/cyaml.h>
#include <stddef.h>

/* The words for yes and no, for CYAML_FIELD_ENUM with CYAML_FLAG_STRICT on a bool: libcyaml's own
 * bool takes every word that it does not know for true. */
#define CONFIG_BOOL_WORDS 4
extern const cyaml_strval_t config_bool_words[CONFIG_BOOL_WORDS];

/* For checks that a schema cannot make. */
struct config_source {
    const char *path; /* of the file; NULL: it was said on the command line */
    char *why;
    size_t why_size;
};

/* Writes "path:line: words" for a place such as "listeners[0].port" (yaml_lines.h). Returns
 * SEALMQ_E_CONFIG. */
__attribute__((format(printf, 3, 4))) int config_refuse(const struct config_source *source,
                                                        const char *place, const char *format, ...);

/* Reads `path` (at most 1 MiB) by the schema of a mapping behind a pointer. SEALMQ_E_NOTFOUND, _IO,
 * _CONFIG with "path:line: words" in `why`. Free with config_yaml_free. */
SEALMQ_MUST_CHECK int config_yaml_read(const char *path, const cyaml_schema_value_t *schema,
                                       void **out, char *why, size_t why_size);
void config_yaml_free(const cyaml_schema_value_t *schema, void *data);

#endif
