/* Readings on their way from other threads to the gateway's loop: a bounded queue of parcels, each
 * the readings of one message, with an answer that goes back when they are durable or refused. */
#ifndef SEALMQ_EDGE_INTAKE_H
#define SEALMQ_EDGE_INTAKE_H

#include "ledger/row.h"
#include "net/mailbox.h"

#include <uv.h>

struct intake;

/* Embedded in what a source posts; `item` first. */
struct parcel {
    struct mailbox_item item;
    const struct row *rows; /* the source's, until the answer */
    size_t count;
    size_t size; /* bytes, about: for the limit */
    /* Called once, on the loop's thread; the parcel is the source's again. 0: the readings are
     * durable; SEALMQ_E_FULL, _IO, ...: not taken, again later; others: they never will be. */
    void (*answer)(struct parcel *parcel, int error);
    struct parcel *next; /* the taker's */
};

/* `take` gets the parcels on the loop's thread and must see to their answers. */
struct intake_options {
    uv_loop_t *loop;
    void *context;
    void (*take)(void *context, struct parcel *parcel);
    size_t bytes_max; /* waiting; 0: 16 MiB */
};
SEALMQ_MUST_CHECK int intake_new(const struct intake_options *options, struct intake **out);
/* From any thread. SEALMQ_E_FULL: too much waits; SEALMQ_E_CLOSED; the parcel is still the
 * caller's then. */
SEALMQ_MUST_CHECK int intake_post(struct intake *intake, struct parcel *parcel);
/* On the loop's thread: hands over what waits now. */
void intake_drain(struct intake *intake);
/* Nothing is taken from here on; what waits is answered with SEALMQ_E_CLOSED. The memory goes when
 * the loop has run once more; all threads that post must have ended. NULL is allowed. */
void intake_free(struct intake *intake);

#endif
