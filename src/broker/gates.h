/* Output of one connection that is not to be seen yet: marks in the stream of its bytes, each with
 * the epoch that must be complete before what stands behind it may leave. */
#ifndef SEALMQ_BROKER_GATES_H
#define SEALMQ_BROKER_GATES_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct gate {
    uint64_t epoch;
    uint64_t before; /* bytes between the gate before it (or what was written) and it */
};

/* A queue of gates; made when there is one to be added, freed by gates_open with the last. */
struct gates {
    uint32_t count, capacity, first;
    uint64_t span; /* the sum of `before` */
    struct gate list[];
};

/* A gate behind all `unsent` bytes of the output. None is added when the newest waits for this
 * epoch already. SEALMQ_E_NOMEM */
SEALMQ_MUST_CHECK int gates_add(struct gates **gates, uint64_t epoch, uint64_t unsent);
/* Removes those whose epoch is complete. True when there were any. */
bool gates_open(struct gates **gates, uint64_t completed);
/* How many bytes stand before the first gate. */
static inline uint64_t gates_visible(const struct gates *gates)
{
    return gates->list[gates->first].before;
}
/* `n` bytes before the first gate were written. */
void gates_written(struct gates *gates, uint64_t n);

#endif
