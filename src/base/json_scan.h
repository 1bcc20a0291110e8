/* The grammar of RFC 8259, checked before cJSON sees the text. Inside src/base only. */
#ifndef SEALMQ_BASE_JSON_SCAN_H
#define SEALMQ_BASE_JSON_SCAN_H

#include "base/bytes.h"

/* Whether `text` is one JSON value within the limits of json.h. If not, *offset and *reason say
 * where and why; the reason has static storage. */
bool json_scan(struct bytes text, size_t *offset, const char **reason);

#endif
