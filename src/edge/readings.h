/* What a device without a key publishes, as readings:
 *
 *   <device>/<name>      a bare number, true, false, or a string of text
 *   <device>/<service>   a JSON object of readings: {"temperature":21.5,"ok":true,"mode":"auto"}
 *   <device>             the same, service "data"
 *   anything             a report (docs/spec/device.md): a JSON object with "devices"
 *
 * A bare value is of service "data"; a number written without point and exponent is an int, another
 * number a double. Times are those of arrival, except in reports, which carry their own. */
#ifndef SEALMQ_EDGE_READINGS_H
#define SEALMQ_EDGE_READINGS_H

#include "device/report.h"

/* Parsed readings. Rows borrow from topic, payload and `report`. */
struct readings {
    struct row *rows; /* owned, unless they are the report's */
    size_t count;
    struct report report; /* also holds the JSON of an object of readings */
    struct row one;
};

/* SEALMQ_E_PARSE, _TYPE, _LIMIT, _COUNT, _NOMEM, with words in `why`. */
SEALMQ_MUST_CHECK int readings_parse(struct bytes topic, struct bytes payload, int64_t now_us,
                                     struct readings *out, char *why, size_t why_size);
void readings_close(struct readings *readings);

#endif
