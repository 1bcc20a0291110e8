/* What devices without a key publish, as readings. By topic and payload:
 *
 *   D/NAME            a bare number, true, false, or text     item NAME of service "data"
 *   D/SERVICE/NAME    the same                                item NAME of SERVICE
 *   D, D/SERVICE      {"temperature":21.5,"ok":true,...}      an item for each member
 *   any               {"devices":[...]}, a report             what it says, with its own times
 *
 * D is the device id. Numbers become doubles, so that an item's type does not depend on whether a
 * value happens to be whole; what is no JSON number, bool or quoted string is taken for text as it
 * is. Members that are null are left out: no reading. */
#ifndef SEALMQ_EDGE_READINGS_H
#define SEALMQ_EDGE_READINGS_H

#include "device/report.h"

#define READINGS_SERVICE "data"

/* Rows are checked (row_check) and borrow from what this owns; it does not borrow from the message.
 */
struct readings {
    struct row *rows;
    size_t count;
    size_t size;          /* memory that it takes, about */
    struct report report; /* owns rows and json when the message was a report */
    cJSON *json;
    uint8_t *text; /* topic and payload, copied */
};

/* `now_us` is the time of readings that do not bring their own. SEALMQ_E_PARSE, _TYPE, _COUNT,
 * _LIMIT, _NOMEM; `why` has words for the log. */
SEALMQ_MUST_CHECK int readings_parse(struct bytes topic, struct bytes payload, int64_t now_us,
                                     struct readings *out, char *why, size_t why_size);
void readings_close(struct readings *readings);

#endif
