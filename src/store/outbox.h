/* What a gateway keeps on disk: SQLite file gateway.db,
 *   entries(kind INTEGER, key INTEGER, value BLOB, PRIMARY KEY(kind, key)) WITHOUT ROWID
 * where kind is an enum gateway_table. Durable after commit. */
#ifndef SEALMQ_STORE_OUTBOX_H
#define SEALMQ_STORE_OUTBOX_H

#include "base/bytes.h"

struct outbox;

/* `owner` (the gateway's id and network) is written into a new file and compared in an old one:
 * SEALMQ_E_CONFLICT when it belongs to another. */
SEALMQ_MUST_CHECK int outbox_open(const char *path, const char *owner, struct outbox **out,
                                  char *why, size_t why_size);
void outbox_close(struct outbox *outbox);
SEALMQ_MUST_CHECK int outbox_begin(struct outbox *outbox);
SEALMQ_MUST_CHECK int outbox_put(struct outbox *outbox, int kind, uint64_t key, struct bytes value);
SEALMQ_MUST_CHECK int outbox_remove(struct outbox *outbox, int kind, uint64_t key);
SEALMQ_MUST_CHECK int outbox_commit(struct outbox *outbox);
void outbox_rollback(struct outbox *outbox);
SEALMQ_MUST_CHECK int
outbox_each(struct outbox *outbox,
            int (*fn)(void *context, int kind, uint64_t key, struct bytes value), void *context);

#endif
