/* Where something stands in a YAML text, for errors. Reads the text once more: only when something
 * is wrong. Lines count from 1; 0: it cannot be told. */
#ifndef SEALMQ_CONFIG_YAML_LINES_H
#define SEALMQ_CONFIG_YAML_LINES_H

#include "base/bytes.h"

#include <stdbool.h>
#include <yaml.h>

/* Of a place such as "listeners[1].tls.cert"; where that is missing, of what it would be in. */
unsigned yaml_line_of(struct bytes text, const char *place);

/* Loads the first document, to be deleted. False when it is none: *damage is where (0: it cannot be
 * told) and *problem, a constant, why. */
bool yaml_lines_load(struct bytes text, yaml_document_t *document, unsigned *damage,
                     const char **problem);

#endif
