/* How the parts of a program say that they cannot do their work: the storage thread that cannot
 * write, say. What reads it (/healthz) needs no lock, and neither does who sets it. */
#ifndef SEALMQ_BASE_HEALTH_H
#define SEALMQ_BASE_HEALTH_H

#include <stdatomic.h>

#define HEALTH_PARTS_MAX 16

/* One that says how it is. From any thread. */
struct health_part {
    const char *name;              /* static */
    _Atomic(const char *) trouble; /* static words; NULL: it is well */
};

/* Zero-initialised is empty. */
struct health {
    struct health_part parts[HEALTH_PARTS_MAX];
    unsigned count;
};

/* Before any thread reads it. The name is static ("storage"); the part is valid as long as
 * `health`. There are at most HEALTH_PARTS_MAX. */
struct health_part *health_add(struct health *health, const char *name);
/* `trouble` is static ("cannot write"), or NULL when it is over. `part` may be NULL, for who is not
 * watched. From any thread. */
void health_set(struct health_part *part, const char *trouble);
/* The words of a part, or NULL. From any thread. */
const char *health_trouble(struct health_part *part);

#endif
