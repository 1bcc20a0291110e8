/* Where a gateway's readings come from. A source hands rows over on the runner's loop. */
#ifndef SEALMQ_EDGE_SOURCE_H
#define SEALMQ_EDGE_SOURCE_H

#include "ledger/row.h"

/* Takes readings; they are durable when it returns. Rows that cannot be taken are counted and
 * logged, and the first such error is returned; the others are taken all the same. SEALMQ_E_FULL:
 * the outbox is full; SEALMQ_E_CLOSED: the gateway is ending. */
typedef int (*source_take_fn)(void *context, const char *who, const struct row *rows, size_t n);

#endif
