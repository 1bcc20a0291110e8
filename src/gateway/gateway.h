/* The gateway without I/O: readings in; captured reports, sealed messages and signed requests out.
 *
 *   readings -> batch (durable) -> report (capture number, hash, signature; durable) -> sealed
 *            -> node
 *            -> write policy -> records -> request (number; durable) -> sealed -> node -> receipt
 *   answers  -> outbox entry cleared, leaf of the history interval -> next request
 *
 * Contract with the host, as with PBFT: for every update first make all of `writes` durable in one
 * atomic step, in their order, then send `messages`. Several updates in a row may be made durable
 * together, in one step that has all of their writes. A reading is safe, and may be acknowledged to
 * who gave it, when the writes of its update are durable. What is loaded at the start is what was
 * written: the last value for each (table, key).
 *
 * States towards the node: OFFLINE (no connection), UNREGISTERED (hint unauth: announced, waits for
 * approval), HANDSHAKE (key sent), READY. Replies that do not verify are ignored and counted. */
#ifndef SEALMQ_GATEWAY_GATEWAY_H
#define SEALMQ_GATEWAY_GATEWAY_H

#include "crypto/sign.h"
#include "ledger/genesis.h"
#include "ledger/note.h"
#include "ledger/row.h"

struct gateway;

/* When an item is written to the chain. */
struct gateway_policy {
    /* "device/service/name", each a name or "*"; the first that fits counts */
    char pattern[3 * (NAME_MAX_BYTES + 1)];
    bool periodic, on_change;
    uint32_t interval_ms;      /* periodic: at most once in this time */
    double threshold;          /* on_change: |value - last written| >= threshold */
    bool threshold_is_percent; /* of the last written value */
};

struct gateway_options {
    const char *id;
    const struct sign_key *key;    /* borrowed until free */
    const struct genesis *genesis; /* copied */
    const struct policy *policy;   /* borrowed: receipts are checked against it */
    const char *topic;             /* of reports, below the id; "report" if NULL */
    uint32_t report_interval_ms;   /* a report at least this often when there are readings; 1000 */
    uint32_t report_rows_max;      /* captured at once when this many wait; 1000 */
    uint32_t anchor_interval_ms;   /* a request at least this often; 0: the genesis's */
    const struct gateway_policy *policies; /* copied */
    size_t policy_count;
    size_t outbox_reports_max,
        outbox_bytes_max; /* 0: 100,000 and 64 MiB; full: readings are refused */
};

/* What is kept on disk. */
enum gateway_table {
    /* key: which counter (captures, handshakes, requests, coverage) */
    GATEWAY_TABLE_META = 1,
    /* key: item number; value: its names, and the value last written */
    GATEWAY_TABLE_ITEM,
    /* key: capture number; value: report not yet acknowledged */
    GATEWAY_TABLE_OUTBOX,
    /* key: capture number; value: leaf that no request has said for good */
    GATEWAY_TABLE_LEAF,
    /* key: request number; value: request without receipt */
    GATEWAY_TABLE_REQUEST,
    /* key: request number; value: receipt (proof file); the newest 1000 */
    GATEWAY_TABLE_RECEIPT,
    /* key: order of arrival; value: reading not yet captured */
    GATEWAY_TABLE_BATCH,
};

struct gateway_write {
    enum gateway_table table;
    uint64_t key;
    struct bytes value;
    bool remove;
};

struct gateway_message {
    struct bytes topic, payload; /* QoS 1 */
};

enum gateway_note_kind {
    GATEWAY_NOTE_UNREGISTERED, /* waiting for an operator: words = fingerprint */
    GATEWAY_NOTE_READY,        /* session key agreed */
    GATEWAY_NOTE_REFUSED,      /* a report was refused: n, error = code (device/reply.h), words */
    GATEWAY_NOTE_RECEIPT,      /* n = request number, height */
    GATEWAY_NOTE_RECEIPT_BAD,  /* a receipt that does not prove what it should */
    GATEWAY_NOTE_REQUEST_REFUSED, /* n, error = code, words */
    GATEWAY_NOTE_OUTBOX_FULL,
    GATEWAY_NOTE_ITEM_CHANGED, /* an item's type or unit is no longer as described: not written to
                                  the chain; words = device/service/name; once for each item */
    GATEWAY_NOTE_ITEMS_FULL,   /* no more items can be described: new ones are not written; once */
    GATEWAY_NOTE_BAD_MESSAGE,  /* something did not open or verify */
};
struct gateway_note {
    enum gateway_note_kind kind;
    uint64_t n, height;
    int error;
    const char *words;
};

/* Borrowed until the next call. */
struct gateway_update {
    const struct gateway_write *writes;
    size_t write_count;
    const struct gateway_message *messages;
    size_t message_count;
    const struct gateway_note *notes;
    size_t note_count;
    uint64_t deadline_ms; /* call gateway_tick then; UINT64_MAX: never */
};

SEALMQ_MUST_CHECK int gateway_new(const struct gateway_options *options, struct gateway **out);
void gateway_free(struct gateway *gateway);
/* Before the first other call: everything that is on disk, in any order; then gateway_loaded.
 * SEALMQ_E_CORRUPT. */
SEALMQ_MUST_CHECK int gateway_load(struct gateway *gateway, enum gateway_table table, uint64_t key,
                                   struct bytes value);
SEALMQ_MUST_CHECK int gateway_loaded(struct gateway *gateway);

/* Now, and fresh randomness: given with every call. */
struct gateway_now {
    uint64_t now_ms; /* monotonic */
    int64_t wall_us;
    uint8_t random[64];
};

/* One reading; copied. What row_check says (SEALMQ_E_TYPE, _LIMIT, _PARSE: names, time);
 * SEALMQ_E_FULL: outbox full. Nothing is taken then, but the update counts all the same. */
SEALMQ_MUST_CHECK int gateway_reading(struct gateway *gateway, const struct row *reading,
                                      const struct gateway_now *now, struct gateway_update *update);
/* The same with several: all or none are taken. */
SEALMQ_MUST_CHECK int gateway_readings(struct gateway *gateway, const struct row *readings,
                                       size_t count, const struct gateway_now *now,
                                       struct gateway_update *update);
/* The connection to node `node` (its id and key are in the genesis) is up. */
SEALMQ_MUST_CHECK int gateway_connected(struct gateway *gateway, struct bytes node,
                                        const struct gateway_now *now,
                                        struct gateway_update *update);
void gateway_disconnected(struct gateway *gateway);
/* The topics to subscribe to on connecting: <id>/#, chain/<network>/reply/<id>. */
SEALMQ_MUST_CHECK int gateway_message(struct gateway *gateway, struct bytes topic,
                                      struct bytes payload, const struct gateway_now *now,
                                      struct gateway_update *update);
SEALMQ_MUST_CHECK int gateway_tick(struct gateway *gateway, const struct gateway_now *now,
                                   struct gateway_update *update);
/* Captures what waits in the batch at once: before the program ends. */
SEALMQ_MUST_CHECK int gateway_flush(struct gateway *gateway, const struct gateway_now *now,
                                    struct gateway_update *update);

struct gateway_stats {
    const char *state; /* "offline", ... */
    uint64_t readings_total, readings_refused_total, reports_total, reports_acknowledged_total;
    uint64_t reports_refused_total, records_total, requests_total, receipts_total;
    uint64_t records_skipped_total; /* a policy asked for them, but they could not be written */
    uint64_t outbox_reports, outbox_bytes, bad_messages_total;
    uint64_t requests_waiting; /* for their receipts: 0 or 1 */
};
void gateway_stats_get(const struct gateway *gateway, struct gateway_stats *out);

#endif
