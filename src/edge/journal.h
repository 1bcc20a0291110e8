/* What a gateway's updates ask for, on its way: writes until they are durable, messages until they
 * may be sent. Several updates go to the disk in one transaction, which is what makes a thousand
 * readings a second affordable on a disk that syncs a hundred times.
 *
 * A commit that fails leaves everything waiting: the gateway's memory is ahead of the disk then,
 * and no further update may be made before a later commit has succeeded. */
#ifndef SEALMQ_EDGE_JOURNAL_H
#define SEALMQ_EDGE_JOURNAL_H

#include "gateway/gateway.h"

struct journal;

/* Opens or makes the file at `path` (store/outbox.h). As outbox_open. */
SEALMQ_MUST_CHECK int journal_open(const char *path, const char *owner, struct journal **out,
                                   char *why, size_t why_size);
/* What was not committed is lost. NULL is allowed. */
void journal_close(struct journal *journal);

/* Gives everything on disk to a new gateway, gateway_loaded included. Nothing may be waiting. */
SEALMQ_MUST_CHECK int journal_load(struct journal *journal, struct gateway *gateway);

/* Copies an update, all or nothing. SEALMQ_E_NOMEM. */
SEALMQ_MUST_CHECK int journal_add(struct journal *journal, const struct gateway_update *update);
/* Whether something waits to be durable. */
bool journal_has_writes(const struct journal *journal);
/* Makes all that waits durable. SEALMQ_E_FULL, _IO, _CORRUPT, _BUSY, _NOMEM: it waits still. */
SEALMQ_MUST_CHECK int journal_commit(struct journal *journal);
/* Hands out the messages of durable updates, in order, and forgets them. */
void journal_send(struct journal *journal,
                  void (*send)(void *context, const struct gateway_message *message),
                  void *context);
/* Forgets all messages: the connection that they were for has gone. */
void journal_forget_messages(struct journal *journal);

#endif
