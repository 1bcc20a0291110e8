/* The order of acknowledgements. Each PUBLISH of a connection that a service looks at has a ticket,
 * a number that grows by one; acknowledgements may become known in any order and leave in the order
 * of the tickets. */
#ifndef SEALMQ_BROKER_TICKETS_H
#define SEALMQ_BROKER_TICKETS_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct ticket {
    uint16_t packet_id;
    uint8_t qos;
    uint8_t reason;
    bool is_done;
};

/* Made with the first ticket, and stays; most connections never have one. All functions take NULL
 * for none. */
struct tickets {
    struct ticket *ring;
    uint32_t size; /* 0 or a power of two */
    uint32_t head;
    uint32_t count;
    uint64_t first; /* the number of the oldest */
};

static inline uint32_t tickets_count(const struct tickets *tickets)
{
    return tickets == NULL ? 0 : tickets->count;
}
void tickets_free(struct tickets *tickets);
/* SEALMQ_E_NOMEM */
SEALMQ_MUST_CHECK int tickets_open(struct tickets **tickets, uint8_t qos, uint16_t packet_id,
                                   uint64_t *number);
/* False when the number is not open (never was, or is done already). */
bool tickets_complete(struct tickets *tickets, uint64_t number, uint8_t reason);
/* Takes the oldest out if it is done. */
bool tickets_take_done(struct tickets *tickets, struct ticket *out);
/* Takes the oldest out, done or not; false when there is none. */
bool tickets_take(struct tickets *tickets, struct ticket *out);

#endif
