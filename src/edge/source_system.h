/* This machine's own sensors and counters, from /proc and /sys, as readings of one device:
 * services load, memory, network, disk, temperature, uptime. What the kernel does not show is left
 * out. */
#ifndef SEALMQ_EDGE_SOURCE_SYSTEM_H
#define SEALMQ_EDGE_SOURCE_SYSTEM_H

#include "edge/source.h"

#include <uv.h>

struct source_system;

struct source_system_options {
    uv_loop_t *loop;
    uint32_t interval_ms;
    const char *device; /* copied */
    source_take_fn take;
    void *context;
};

SEALMQ_MUST_CHECK int source_system_new(const struct source_system_options *options,
                                        struct source_system **out);
/* No reading follows; the memory goes when the loop has run once more. */
void source_system_free(struct source_system *source);

/* One sample. Rows borrow from the sample. */
struct system_sample {
    struct row *rows;
    size_t count, capacity;
    char (*texts)[80]; /* one for each row: name and value */
    const char *device;
    int64_t time_us;
};
/* Adds what stands in the texts of the files of that name; exported for tests. Lines that do not
 * read as expected are passed over. */
void system_read_loadavg(struct system_sample *sample, const char *text);
void system_read_meminfo(struct system_sample *sample, const char *text);
void system_read_netdev(struct system_sample *sample, const char *text);
void system_read_diskstats(struct system_sample *sample, const char *text);
void system_read_uptime(struct system_sample *sample, const char *text);
void system_sample_close(struct system_sample *sample);

#endif
