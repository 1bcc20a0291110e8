/* What can be measured, and what came out. */
#ifndef SEALMQ_BENCH_LOAD_H
#define SEALMQ_BENCH_LOAD_H

#include "tally.h"

#include <stddef.h>

enum load_mode { LOAD_FLOW, LOAD_CONNECTS, LOAD_IDLE, LOAD_CHURN };
enum load_shape { SHAPE_PAIRS, SHAPE_FAN_IN, SHAPE_FAN_OUT };

struct load_options {
    enum load_mode mode;
    enum load_shape shape;
    uint16_t port;
    int pid; /* of the broker, or 0: no processor time, no memory */
    uint32_t publishers, subscribers;
    uint8_t qos;
    size_t size;
    uint32_t window;      /* messages of a publisher that are under way; 0: none is waited for */
    double rate;          /* messages a second in all; 0: as many as the window lets */
    uint64_t messages;    /* of each publisher, then end; 0: `seconds` */
    double seconds;       /* measured */
    double warm_seconds;  /* before that */
    double stall_seconds; /* nothing comes for so long: what is missing is lost */
    uint32_t connections; /* idle, churn: how many; connects: how many at a time */
};

struct load_result {
    double seconds;
    uint64_t messages, deliveries; /* while it was measured */
    uint64_t cpu_ns;               /* the broker's, meanwhile */
    uint64_t own_cpu_ns;           /* the generator's */
    struct tally tally;            /* of the whole run */
    bool has_stalled;
    uint64_t connects, refused, broken;
    uint64_t resident_before, resident_after, resident_peak;
    struct times times; /* deliveries that had a rate; connects */
};

/* Each fills *result, and gives up when the broker cannot be reached. */
void load_flow(const struct load_options *options, struct load_result *result);
void load_connects(const struct load_options *options, struct load_result *result);
void load_idle(const struct load_options *options, struct load_result *result);
void load_churn(const struct load_options *options, struct load_result *result);

#endif
