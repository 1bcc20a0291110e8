/* Whether a text is what a schema asks for, and if not, where and why, in words for whoever wrote
 * it. libcyaml's words name its own notions, and it takes what a number begins with ("10k") for the
 * number; so what this lets pass is all that libcyaml is given. */
#ifndef SEALMQ_CONFIG_YAML_CHECK_H
#define SEALMQ_CONFIG_YAML_CHECK_H

#include "base/bytes.h"

#include <cyaml/cyaml.h>
#include <stdbool.h>

struct yaml_fault {
    unsigned line; /* from 1; 0: it cannot be told */
    char words[512];
};

/* Looks for the first fault; false: there is one. `schema` is that of a mapping, of mappings,
 * lists, texts, strict enumerations and unsigned numbers. */
bool yaml_check(struct bytes text, const cyaml_schema_value_t *schema, struct yaml_fault *fault);

#endif
