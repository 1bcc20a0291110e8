/* Families of metrics in Prometheus' text format 0.0.4. */
#ifndef SEALMQ_MONITOR_METRICS_H
#define SEALMQ_MONITOR_METRICS_H

#include "net/server.h"

#define METRICS_CONTENT_TYPE "text/plain; version=0.0.4; charset=utf-8"

/* HELP and TYPE of a family: "counter" or "gauge". The words of `help` are plain: no backslash, no
 * line end. */
void metrics_family(struct buf *out, const char *name, const char *type, const char *help);
/* A sample. `label` NULL: without; `value_of_label` is escaped. */
void metrics_sample(struct buf *out, const char *name, const char *label,
                    const char *value_of_label, double value);
/* A family with one sample and no label. */
void metrics_one(struct buf *out, const char *name, const char *type, const char *help,
                 double value);

/* The process, under the names that Prometheus' clients use. `started_s`: Unix time. */
void metrics_append_process(struct buf *out, double started_s);
/* Resident memory now, and the most there has been. */
void metrics_process_memory(uint64_t *bytes, uint64_t *max_bytes);

#endif
