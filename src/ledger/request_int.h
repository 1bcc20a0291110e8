/* The inside of requests. For src/ledger/request_*.c only. */
#ifndef SEALMQ_LEDGER_REQUEST_INT_H
#define SEALMQ_LEDGER_REQUEST_INT_H

#include "ledger/request.h"

#define REQUEST_VERSION 1

/* request_decode.c: an id of any kind; a bad one marks the reader. */
void request_read_id(struct reader *r, struct bytes *out);

/* request_govern.c: the body of REGISTER, REVOKE, ROTATE or CONFIGURE, whichever out->kind is. */
void request_read_governing_body(struct reader *r, struct request *out);

/* request_make.c: a head without its body; and a whole request, of which both buffers are freed. */
void request_begin_head(struct buf *head, enum request_kind kind, struct bytes sender,
                        uint64_t number);
SEALMQ_MUST_CHECK int request_finish(struct buf *head, struct buf *beside, struct bytes sender,
                                     const struct sign_key *key, const struct hash *genesis,
                                     struct buf *out);

#endif
