/* Inside of the session store: its statements, and messages as bytes. */
#ifndef SEALMQ_STORE_SESSION_STORE_INT_H
#define SEALMQ_STORE_SESSION_STORE_INT_H

#include "store/session_store.h"
#include "store/sqlite.h"

enum session_statement {
    PUT_SESSION,
    END_SESSION,
    END_SUBSCRIPTIONS,
    END_RECEIVED,
    USES_OF_SESSION,
    END_QUEUE,
    PUT_SUBSCRIPTION,
    REMOVE_SUBSCRIPTION,
    ADD_MESSAGE,
    ADD_TO_QUEUE,
    SENT,
    PUBREC_CAME,
    SHARED_OF,
    DONE,
    UNUSE_MESSAGE,
    DROP_UNUSED,
    RECEIVED,
    RELEASED,
    PUT_RETAINED,
    REMOVE_RETAINED,
    FETCH_PAGE,
    LOAD_HIGHEST,
    LOAD_SESSIONS,
    LOAD_SUBSCRIPTIONS,
    LOAD_WAITING,
    LOAD_INFLIGHT,
    LOAD_RECEIVED,
    LOAD_RETAINED,
    SESSION_STATEMENTS
};

struct shared_message {
    const struct broker_message *message;
    uint64_t id, uses;
};

struct session_store {
    sqlite3 *db;
    sqlite3_stmt *statements[SESSION_STATEMENTS];
    struct buf scratch, ids;
    /* Messages of the commit under way that stand in `messages`: a hash table by address. */
    struct shared_message *shared;
    size_t shared_count, shared_size;
};

/* A message as it is stored. Times become those of the wall clock, but for a will's, which is a
 * span. */
void stored_message_append(const struct message_view *view, int64_t wall_offset_ms, bool is_will,
                           struct buf *out);
/* SEALMQ_E_CORRUPT, SEALMQ_E_NOMEM */
SEALMQ_MUST_CHECK int stored_message_parse(struct bytes stored, int64_t wall_offset_ms,
                                           bool is_will, struct broker_message **out);
/* The columns of one message of a queue, from `at` on: sequence, qos, flags, ids, message. The
 * message is NULL where its column is. */
SEALMQ_MUST_CHECK int stored_delivery_read(sqlite3_stmt *row, int at, int64_t wall_offset_ms,
                                           struct journal_fetched *out);
void stored_delivery_close(struct journal_fetched *fetched);

enum { QUEUE_RETAIN = 1, QUEUE_STORED = 2 };

#endif
