/* Reports as JSON: what a gateway uploads and what is republished (design, "Report").
 *
 * {"devices":[{"deviceId":"D1","services":[{"code":200,"count":1,"msg":"...","topic":"",
 *   "serviceId":"CS","data":[{"name":"t","datatype":"double","val":"36","unit":"C","comment":""}],
 *   "eventtime":"20200706T144831Z"}]}]} */
#ifndef SEALMQ_DEVICE_REPORT_H
#define SEALMQ_DEVICE_REPORT_H

#include "base/json.h"
#include "ledger/row.h"

/* A parsed report. Rows borrow from `json`. Zero-initialised is empty. */
struct report {
    cJSON *json;      /* owned */
    struct row *rows; /* owned */
    size_t n;
};

/* Parses and checks the whole report: names, datatypes, values (a JSON string, number or bool is
 * taken for "val" and kept as its text), count, eventtime, limits. Unknown members are ignored.
 * SEALMQ_E_PARSE, _COUNT, _TYPE, _LIMIT, _NOMEM; `why` names the place:
 * "devices[0].services[1].count is 3, data has 2 items". */
SEALMQ_MUST_CHECK int report_parse(struct bytes json, struct report *out, char *why,
                                   size_t why_size);
void report_close(struct report *report);

/* Writes rows as a report: consecutive rows of one device, service and time share a service entry,
 * so that report_parse gives the same rows in the same order. */
SEALMQ_MUST_CHECK int report_format(const struct row *rows, size_t n, struct buf *out);

/* The report hash of rows under a head (head->rows must be n). SEALMQ_E_NOMEM. */
SEALMQ_MUST_CHECK int report_hash_of(const struct report_head *head, const struct row *rows,
                                     struct hash *out);

#endif
