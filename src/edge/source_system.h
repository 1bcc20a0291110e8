/* This machine's own readings, every interval, as one device: see edge/machine.h for which. */
#ifndef SEALMQ_EDGE_SOURCE_SYSTEM_H
#define SEALMQ_EDGE_SOURCE_SYSTEM_H

#include "ledger/row.h"

#include <uv.h>

struct source_system;

struct source_system_options {
    uv_loop_t *loop;
    const char *device;   /* copied; NULL: "system" */
    uint32_t interval_ms; /* 0: 1000 */
    /* Takes the readings of one round, or says why not. */
    int (*take)(void *context, const struct row *rows, size_t count);
    void *context;
};

SEALMQ_MUST_CHECK int source_system_new(const struct source_system_options *options,
                                        struct source_system **out);
/* NULL is allowed for the source, in the next two too. */
void source_system_start(struct source_system *source);
void source_system_stop(struct source_system *source);
/* The loop must run once more for the memory to go. */
void source_system_free(struct source_system *source);

const char *source_system_device(const struct source_system *source);
uint64_t source_system_readings(const struct source_system *source); /* that were taken */

#endif
