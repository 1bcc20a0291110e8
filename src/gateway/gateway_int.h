/* Inside the gateway: its state, and what the files share. One idea each:
 *   gateway.c   making, loading, the public calls          capture.c  readings become reports
 *   update.c    writes, messages, notes of one call        items.c    numbers of data items
 *   session.c   key agreement, sealing, hints              policy.c   what is written to the chain
 *   outbox.c    reports on their way, answers              leaves.c   what intervals will say
 *   requests.c  requests and their receipts
 *
 * What is in memory is what is on disk plus the batch; every change of it adds the write that makes
 * it so. When memory runs out in the middle of a call, the two differ: the call returns
 * SEALMQ_E_NOMEM, and the host must give the gateway up and load it anew. */
#ifndef SEALMQ_GATEWAY_GATEWAY_INT_H
#define SEALMQ_GATEWAY_GATEWAY_INT_H

#include "device/envelope.h"
#include "device/handshake.h"
#include "device/reply.h"
#include "gateway/gateway.h"
#include "gateway/policy.h"
#include "ledger/request.h"

/* A HASH_ADD that finds no memory leaves hh.tbl NULL instead of ending the program. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#define REPORT_INTERVAL_MS  1000
#define REPORT_ROWS_DEFAULT 1000
#define OUTBOX_REPORTS_MAX  100000
#define OUTBOX_BYTES_MAX    ((size_t)64 * 1024 * 1024)
#define REPORT_WINDOW       16    /* reports sent and not answered */
#define REPORT_RESEND_MS    10000 /* unanswered for so long: sent again */
#define REPORT_BACKOFF_MS   2000  /* refused for the time being: sent again after this */
#define HELLO_RETRY_MS      3000  /* doubled with every try that is not answered */
#define HELLO_RETRY_MAX_MS  24000
#define RENEW_LEAST_MS      4000 /* between two key agreements, whatever the clocks say */
#define SESSION_LIFE_MAX_S  (7 * 86400)
#define ANNOUNCE_RETRY_MS   10000
#define REQUEST_RESEND_MS   3000
#define REQUEST_SPACING_MS  1000 /* between two requests, unless an interval is due */
#define RECEIPTS_KEPT       1000
#define ITEMS_MAX           GATEWAY_ITEMS_MAX
#define RECORDS_WAITING_MAX 65536

enum gateway_state { GATEWAY_OFFLINE, GATEWAY_HANDSHAKE, GATEWAY_UNREGISTERED, GATEWAY_READY };

enum gateway_meta { META_NEXT_CAPTURE = 1, META_HANDSHAKE, META_NEXT_REQUEST, META_COVERED };

/* A data item: its key is the three names joined by slashes. */
struct gateway_item {
    char *key;
    uint32_t num;
    struct bytes device, service, name; /* in key */
    enum datatype type;
    char unit[UNIT_MAX_BYTES + 1];
    bool is_described;  /* final on the chain */
    bool is_complained; /* a reading that the description does not fit was noted */
    size_t waiting;     /* records of it that wait for a request */
    bool is_written;    /* the two below are set */
    int64_t written_us;
    char *written; /* the value last written, or waiting to be */
    UT_hash_handle hh;
};

/* A report that has no final answer yet. */
struct gateway_report {
    uint64_t n;
    struct hash hash;
    struct bytes plain; /* owned: n, signature, JSON, as sealed */
    bool is_sent;
    uint64_t due_ms;   /* when to send it (again) */
    UT_hash_handle hh; /* in order of n */
};

/* What the history interval will say of a capture number. */
struct gateway_leaf {
    uint64_t n;
    enum leaf_status status; /* PENDING: not settled yet */
    bool is_on_chain;        /* an interval said pending */
    struct hash hash;
    char node[ID_MAX + 1];
    uint64_t since_ms; /* when it was captured, or first looked at after loading; 0: not yet */
    UT_hash_handle hh; /* in order of n */
};

/* A record that a policy asked for. */
struct gateway_record {
    struct gateway_record *next;
    struct gateway_item *item;
    int64_t time_us;
    char value[];
};

/* The request that waits for its receipt: at most one at a time. */
struct gateway_request {
    uint64_t number;
    struct buf wire; /* empty: none */
    bool is_sent;
    uint64_t due_ms;
};

/* One reading in the batch: `row` borrows from `bytes`. */
struct batch_row {
    struct row row;
    uint8_t *bytes;
    uint64_t arrival;
};

struct owned {
    struct owned *next;
    uint8_t bytes[];
};

struct update_builder {
    struct gateway_write *writes;
    struct gateway_message *messages;
    struct gateway_note *notes;
    size_t write_count, write_capacity;
    size_t message_count, message_capacity;
    size_t note_count, note_capacity;
    struct owned *owned;
    int error; /* the first */
};

struct gateway {
    struct gateway_options options;
    char id[ID_MAX + 1];
    char topic[TOPIC_MAX_BYTES + 1];
    struct genesis genesis;
    struct gateway_policy *policies;
    struct compressor *compressor;
    bool is_loaded;

    enum gateway_state state;
    char node[ID_MAX + 1];
    struct public_key node_key;
    uint64_t handshake_number; /* the last one used */
    bool hello_is_out;
    uint8_t hello[HELLO_SIZE];
    struct x25519_pair fresh;
    uint64_t hello_ms, hello_wait_ms; /* when the last one was sent, and how long to wait then */
    uint64_t hello_due_ms, announce_due_ms, renew_ms;
    bool has_session, has_old_session;
    struct session_keys keys, old_keys; /* the old one opens answers that were on their way */
    uint64_t up, down, old_down;        /* message counters under the keys */

    struct batch_row *batch;
    size_t batch_count, batch_capacity;
    size_t batch_bytes; /* most that it takes as JSON */
    uint64_t batch_since_ms, next_arrival;

    uint64_t next_capture;
    struct gateway_report *outbox;
    size_t outbox_bytes;
    struct gateway_leaf *leaves;
    uint64_t covered; /* the next capture number that an interval will begin with */

    struct gateway_item *items;
    uint32_t next_item;
    size_t undescribed;
    struct gateway_record *records, **records_end;
    size_t record_count, records_ready; /* all, and those of described items */
    bool is_items_full;                 /* noted */

    struct gateway_request request;
    uint64_t next_request;
    bool has_begun;                         /* the two below are set */
    uint64_t last_request_ms, last_data_ms; /* when the last ones were made */
    bool last_was_describe;
    uint64_t receipts_from, receipts_to; /* request numbers of the receipts kept */

    struct gateway_stats stats;
    struct update_builder update;
};

/* update.c */
void gateway_update_begin(struct gateway *gateway);
/* Copies of the bytes, valid as long as the update; empty and an error noted when out of memory. */
struct bytes gateway_update_copy(struct gateway *gateway, struct bytes bytes);
void gateway_update_write(struct gateway *gateway, enum gateway_table table, uint64_t key,
                          struct bytes value);
void gateway_update_remove(struct gateway *gateway, enum gateway_table table, uint64_t key);
void gateway_update_meta(struct gateway *gateway, enum gateway_meta key, uint64_t value);
void gateway_update_message(struct gateway *gateway, struct bytes topic, struct bytes payload);
void gateway_update_note(struct gateway *gateway, enum gateway_note_kind kind, uint64_t n,
                         int error, const char *words);
void gateway_update_fail(struct gateway *gateway, int error);
SEALMQ_MUST_CHECK int gateway_update_end(struct gateway *gateway, struct gateway_update *out);
void gateway_update_close(struct gateway *gateway);

/* session.c */
void session_start(struct gateway *gateway, const struct gateway_now *now);
void session_drop(struct gateway *gateway);
void session_tick(struct gateway *gateway, const struct gateway_now *now);
void session_answer(struct gateway *gateway, struct bytes answer, const struct gateway_now *now);
void session_refused(struct gateway *gateway, struct bytes fail, const struct gateway_now *now);
void session_hint_unauth(struct gateway *gateway, const struct gateway_now *now);
void session_hint_forbidden(struct gateway *gateway, const struct gateway_now *now);
/* Seals and adds the message. Only when READY. */
void session_send(struct gateway *gateway, struct bytes topic, struct bytes plain, bool compress);
/* Opens a sealed message into *plain. */
SEALMQ_MUST_CHECK int session_open(struct gateway *gateway, struct bytes topic,
                                   struct bytes payload, struct buf *plain);

/* capture.c */
SEALMQ_MUST_CHECK int capture_add(struct gateway *gateway, const struct row *readings, size_t count,
                                  const struct gateway_now *now);
void capture_tick(struct gateway *gateway, const struct gateway_now *now);
void capture_now(struct gateway *gateway, const struct gateway_now *now);
SEALMQ_MUST_CHECK int capture_load(struct gateway *gateway, uint64_t arrival, struct bytes value);
void capture_drop_batch(struct gateway *gateway);

/* outbox.c */
SEALMQ_MUST_CHECK int outbox_put_report(struct gateway *gateway, uint64_t n,
                                        const struct hash *hash, struct bytes plain);
SEALMQ_MUST_CHECK int gateway_outbox_load(struct gateway *gateway, uint64_t n, struct bytes value);
void gateway_outbox_loaded(struct gateway *gateway); /* puts it in order */
void outbox_tick(struct gateway *gateway, const struct gateway_now *now);
void outbox_resend_all(struct gateway *gateway); /* under a new session key */
void outbox_answered(struct gateway *gateway, const struct reply *reply,
                     const struct gateway_now *now);
void outbox_free(struct gateway *gateway);
uint64_t outbox_deadline(const struct gateway *gateway);

/* items.c */
/* The row's item, made if need be. NULL: no room, or out of memory (noted). */
struct gateway_item *item_get(struct gateway *gateway, const struct row *row);
/* NULL: there is none. */
struct gateway_item *item_find(struct gateway *gateway, const struct row *row);
void item_save(struct gateway *gateway, const struct gateway_item *item);
SEALMQ_MUST_CHECK int item_set_written(struct gateway_item *item, struct bytes value,
                                       int64_t time_us);
SEALMQ_MUST_CHECK int item_load(struct gateway *gateway, uint64_t num, struct bytes value);
void items_free(struct gateway *gateway);

/* requests.c */
void records_add(struct gateway *gateway, const struct row *row);
void requests_tick(struct gateway *gateway, const struct gateway_now *now);
void requests_resend(struct gateway *gateway);
void requests_receipt(struct gateway *gateway, const struct reply *reply);
void requests_refused(struct gateway *gateway, const struct reply *reply,
                      const struct gateway_now *now);
SEALMQ_MUST_CHECK int requests_load(struct gateway *gateway, uint64_t number, struct bytes wire);
void requests_free(struct gateway *gateway);
uint64_t requests_deadline(const struct gateway *gateway);

/* leaves.c: what intervals will say */
SEALMQ_MUST_CHECK int leaf_add(struct gateway *gateway, uint64_t n, const struct hash *hash,
                               const struct gateway_now *now);
void leaf_settle(struct gateway *gateway, uint64_t n, enum leaf_status status, const char *node);
/* The leaves of the next interval, an array that is the caller's to free; *to is its end. NULL with
 * *count 0 when there is nothing, or when out of memory (noted). */
struct interval_leaf *leaves_collect(struct gateway *gateway, const struct gateway_now *now,
                                     size_t *count, uint64_t *to);
/* They are in a request now. */
void leaves_taken(struct gateway *gateway, const struct interval_leaf *leaves, size_t count);
SEALMQ_MUST_CHECK int leaf_load(struct gateway *gateway, uint64_t n, struct bytes value);
/* Whether there is one for each capture number that no interval covers yet, and for each report. */
bool leaves_are_whole(const struct gateway *gateway);
void leaves_free(struct gateway *gateway);

#endif
