/* What a shard wants to be kept on disk: a list of operations in the order of their happening,
 * which the host takes and has stored as one commit (broker_take_journal, broker_stored).
 *
 * While a journal is open, an operation that undoes one before it takes it out again: a message
 * that its receiver has acknowledged before anybody came to store it is never written.
 *
 * Sessions are named by their number, messages in a session's queue by the session and a sequence
 * number. That number is the position of the operation which added the message, counted over all
 * journals of all runs; so it grows, and tells where the operation stands while its journal is
 * open. */
#ifndef SEALMQ_BROKER_JOURNAL_H
#define SEALMQ_BROKER_JOURNAL_H

#include "broker/inflight.h"
#include "broker/message.h"
#include "broker/subtree.h"

enum journal_kind {
    JOURNAL_VOID,                 /* undone */
    JOURNAL_SESSION_PUT,          /* put: made, or changed */
    JOURNAL_SESSION_END,          /* with all that it has */
    JOURNAL_SUBSCRIPTION_PUT,     /* subscription */
    JOURNAL_SUBSCRIPTION_REMOVED, /* subscription: the filter */
    JOURNAL_QUEUE_ADD,            /* sequence, message, ids, qos, retain, state, packet_id */
    JOURNAL_QUEUE_STATE,          /* sequence, state, packet_id: it was sent, or PUBREC came */
    JOURNAL_QUEUE_DONE,           /* sequence */
    JOURNAL_RECEIVED,             /* packet_id of a QoS 2 message that came from the client, of
                                     whatever shard, and was taken by this one */
    JOURNAL_RELEASED,             /* the same, by PUBREL */
    JOURNAL_RETAINED_PUT,         /* message */
    JOURNAL_RETAINED_REMOVED,     /* message: its topic */
    JOURNAL_FETCH,                /* page: is to be filled by whoever stores */
};

struct journal_session {
    struct broker_message *will; /* a reference, or NULL; its expiry is a span, see will.c */
    uint64_t will_at_ms;         /* while offline; TIMER_NEVER: not pending */
    uint64_t ends_at_ms;         /* while offline; TIMER_NEVER: stays */
    uint32_t will_delay_s;
    uint32_t expiry_s;
    uint8_t role; /* enum broker_role */
    bool is_anonymous, is_online;
    uint32_t client_id_n, user_name_n;
    uint8_t text[]; /* client id, user name */
};

struct journal_subscription {
    struct subscription_options options;
    uint32_t filter_n;
    uint8_t filter[];
};

/* Messages of a queue that were left on disk, asked for and answered. */
struct journal_page {
    uint64_t after; /* sequence number */
    uint16_t client_id_n;
    uint32_t messages; /* at most */
    uint64_t bytes;    /* at most, but for the first one */
    uint32_t count;    /* filled in, in order of their sequence numbers */
    struct journal_fetched {
        uint64_t sequence;
        struct broker_message *message; /* a reference; whoever fills it in makes it */
        uint32_t *ids;                  /* owned; NULL: none */
        uint32_t id_count;
        uint8_t qos;
        bool retain, is_stored;
    } * list; /* owned */
    uint8_t client_id[];
};

struct journal_op {
    uint64_t session;
    uint64_t sequence;
    struct broker_message *message; /* a reference, or NULL */
    union {
        struct journal_session *put;
        struct journal_subscription *subscription;
        struct subscription_ids *ids; /* a reference, or NULL */
        struct journal_page *page;
    };
    uint16_t packet_id;
    uint8_t kind;  /* enum journal_kind */
    uint8_t state; /* enum inflight_state; INFLIGHT_FREE: waits */
    uint8_t qos;
    bool retain, is_stored;
};

struct broker_journal {
    uint64_t number;        /* journals of a shard are counted from 1 in each run */
    uint64_t base;          /* position of the first operation */
    int64_t wall_offset_ms; /* wall clock less the clock of all times in here; set when taken */
    struct journal_op *ops;
    size_t count, capacity;
    size_t void_count;
    size_t bytes; /* of messages, about */
    unsigned shard, shards;
};

/* Room for `n` more, so that appending cannot fail. SEALMQ_E_NOMEM */
SEALMQ_MUST_CHECK int broker_journal_reserve(struct broker_journal *journal, size_t n);
/* Appends an operation, for which there must be room; what it holds is the journal's then. Returns
 * its position. */
uint64_t broker_journal_append(struct broker_journal *journal, const struct journal_op *op);
/* The operation at a position while its journal is open, else NULL. */
struct journal_op *broker_journal_at(struct broker_journal *journal, uint64_t position);
/* Takes an operation out. */
void broker_journal_void(struct broker_journal *journal, struct journal_op *op);
/* Takes the message out of an operation that keeps its place. */
void broker_journal_drop_message(struct broker_journal *journal, struct journal_op *op);
/* Releases all operations; on the thread of the shard. The next one begins behind them. */
void broker_journal_clear(struct broker_journal *journal);
void broker_journal_close(struct broker_journal *journal);

/* NULL: no memory. */
struct journal_page *journal_page_new(struct bytes client_id, uint64_t after, uint32_t messages,
                                      uint64_t bytes);
/* Empties a page that was filled in (for another try). */
void journal_page_reset(struct journal_page *page);

#endif
