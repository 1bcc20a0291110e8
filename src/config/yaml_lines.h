/* Where something stands in a YAML text, for errors. Reads the text once more: only when something
 * is wrong. Lines count from 1; 0: it cannot be told. */
#ifndef SEALMQ_CONFIG_YAML_LINES_H
#define SEALMQ_CONFIG_YAML_LINES_H

#include "base/bytes.h"

/* Of a place such as "listeners[1].tls.cert"; where that is missing, of what it would be in. */
unsigned yaml_line_of(struct bytes text, const char *place);
/* Of the first key with that name from line `from` on, in any mapping. */
unsigned yaml_line_of_key(struct bytes text, const char *name, unsigned from);
/* Where the text ceases to be YAML; 0 when it does not. */
unsigned yaml_line_of_damage(struct bytes text);

#endif
