/* Numbers with something behind them ("10k"): libcyaml takes what they begin with for the number.
 */
#ifndef SEALMQ_CONFIG_YAML_NUMBERS_H
#define SEALMQ_CONFIG_YAML_NUMBERS_H

#include "base/bytes.h"

#include <cyaml/cyaml.h>

/* The line of the first value that the schema reads as a number and that is none, and the value
 * itself, cut to `size`; 0: all are numbers. For a text that libcyaml has read by the same schema.
 */
unsigned yaml_line_of_bad_number(struct bytes text, const cyaml_schema_value_t *schema, char *value,
                                 size_t size);

#endif
