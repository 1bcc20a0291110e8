/* Log lines about what was refused, in a bounded amount: a stranger can cause them without end, and
 * must not fill the disk or hide what else happens. Every refusal is counted elsewhere, too. For
 * one thread each. */
#ifndef SEALMQ_NODE_REFUSALS_H
#define SEALMQ_NODE_REFUSALS_H

#include <stdint.h>

#define REFUSAL_LINES_MAX 100 /* in one second */

/* All zero to begin with. */
struct refusals {
    uint64_t second; /* the one that `lines` were written in */
    unsigned lines;
    uint64_t kept_back; /* since the last line that said how many */
};

/* A warning, or nothing when there were too many in this second; the first after that says how many
 * are missing. */
__attribute__((format(printf, 4, 5))) void refusals_log(struct refusals *refusals, uint64_t now_ms,
                                                        const char *component, const char *format,
                                                        ...);

#endif
