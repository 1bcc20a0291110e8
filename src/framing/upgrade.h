/* The HTTP request by which a client asks for WebSocket (RFC 6455 section 4.2.1; syntax: RFC 9112),
 * and the answer. Only this is understood of HTTP. The request is read strictly: no folded lines,
 * no bare CR or LF, no body, each of the fields that count at most once. */
#ifndef SEALMQ_FRAMING_UPGRADE_H
#define SEALMQ_FRAMING_UPGRADE_H

#include "base/bytes.h"

#define UPGRADE_HEAD_MAX    8192 /* request line and fields; browsers send cookies */
#define UPGRADE_FIELDS_MAX  100
#define UPGRADE_ACCEPT_SIZE 29 /* 28 digits and a final zero */

struct upgrade {
    unsigned status;   /* 101: the connection is a WebSocket from here on; else 4xx or 5xx */
    const char *words; /* why, for people; static */
    char accept[UPGRADE_ACCEPT_SIZE];
};

/* Examines the request that `in` begins with, for the resource `path` (NULL: any; a query after it
 * is ignored) and the subprotocol "mqtt". 0: `out` holds the outcome, and with status 101 *consumed
 * is the size of the request; SEALMQ_E_AGAIN: it is not whole, and fine so far. */
SEALMQ_MUST_CHECK int upgrade_examine(struct bytes in, const char *path, struct upgrade *out,
                                      size_t *consumed);

/* Appends the answer. After a status other than 101 the connection is to be closed. */
void upgrade_append_answer(const struct upgrade *upgrade, struct buf *out);

#endif
