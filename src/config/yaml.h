/* YAML files read by a schema (libcyaml), with errors for people. */
#ifndef SEALMQ_CONFIG_YAML_H
#define SEALMQ_CONFIG_YAML_H

#include "base/error.h"

#include <cyaml/cyaml.h>

/* The words for yes and no, for CYAML_FIELD_ENUM with CYAML_FLAG_STRICT on a bool: libcyaml's own
 * bool takes every word that it does not know for true. */
#define CONFIG_BOOL_WORDS 4
extern const cyaml_strval_t config_bool_words[CONFIG_BOOL_WORDS];

/* Reads `path` (at most 1 MiB) by the schema of a mapping behind a pointer. SEALMQ_E_NOTFOUND, _IO,
 * _CONFIG with "path:line:column: words" in `why`. Free with config_yaml_free. */
SEALMQ_MUST_CHECK int config_yaml_read(const char *path, const cyaml_schema_value_t *schema,
                                       void **out, char *why, size_t why_size);
void config_yaml_free(const cyaml_schema_value_t *schema, void *data);

#endif
