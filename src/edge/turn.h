/* One turn of the runner: what any number of updates of the core want, made durable in one
 * transaction, then sent. Values and payloads are copied, because an update ends with the next
 * call of the core. */
#ifndef SEALMQ_EDGE_TURN_H
#define SEALMQ_EDGE_TURN_H

#include "gateway/gateway.h"
#include "store/outbox.h"

struct turn {
    struct gateway_write *writes;
    size_t write_count, write_capacity;
    struct gateway_message *messages;
    size_t message_count, message_capacity;
};

/* SEALMQ_E_NOMEM. */
SEALMQ_MUST_CHECK int turn_add(struct turn *turn, const struct gateway_update *update);
/* One attempt: all writes in one transaction. */
SEALMQ_MUST_CHECK int turn_store(const struct turn *turn, struct outbox *outbox);
/* Empties it; keeps the lists' memory. */
void turn_reset(struct turn *turn);
void turn_close(struct turn *turn);

#endif
