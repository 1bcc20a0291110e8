/* The node's side of the device protocol, for the gateways that one worker owns: key agreement,
 * sealed reports, replies, sealed requests. Without I/O: messages in, an output out.
 *
 * For each gateway:
 *   UNKNOWN   no active key registered: everything is answered with the hint G/unauth
 *   KEYLESS   registered, no session key: reports are answered with the hint G/forbidden
 *   KEYED     session key agreed: reports are opened; the key before it stays valid until the new
 *             one is first used
 * A report that was opened and verified is handed to the host to be stored; when it is durable (or
 * was refused) the host says so with device_service_stored, and only then the sealed answer and the
 * republished plain report come out.
 *
 * Topics here are whole ("plant-a/gw1/key"); reason codes of the sealed answers are in
 * device/reply.h. Hints are limited to one for each gateway in HINT_INTERVAL_MS. */
#ifndef SEALMQ_DEVICE_SERVICE_H
#define SEALMQ_DEVICE_SERVICE_H

#include "crypto/sign.h"
#include "device/report.h"
#include "ledger/request.h"

struct device_service;

struct device_service_options {
    const char *network;
    struct hash genesis;
    const char *node;           /* our id */
    const struct sign_key *key; /* ours; borrowed until free */
    uint32_t session_life_s;    /* 0: 86,400 */
    size_t gateways_max;        /* states kept; 0: 20,000 */
};

SEALMQ_MUST_CHECK int device_service_new(const struct device_service_options *options,
                                         struct device_service **out);
void device_service_free(struct device_service *service); /* wipes all keys */

/* Tells of a member: key NULL when it is unknown or revoked (its session key is wiped). */
SEALMQ_MUST_CHECK int device_service_member(struct device_service *service, struct bytes id,
                                            const struct public_key *key);

/* A PUBLISH of gateway `id`, authenticated as such by the broker. */
struct device_input {
    struct bytes id;
    struct bytes account; /* user name it logged in with */
    struct bytes topic, payload;
    uint64_t now_ms; /* monotonic */
    int64_t wall_us;
    uint8_t random[64]; /* fresh: ephemeral key and key id */
};

struct device_message {
    struct bytes topic, payload;
};

/* A verified report. */
struct device_report {
    struct report_head head;
    struct hash hash;
    struct signature signature;
    struct bytes account;
    const struct row *rows;
    struct bytes json; /* plain, as it came: only what `rows` holds of it is signed */
};

/* What comes of one input or answer; all borrowed from the service until its next call, except
 * where it says otherwise. */
struct device_output {
    int error;       /* 0, or why the input was refused: for counters and the log */
    const char *why; /* words for the log, or "" */
    struct device_message replies[2]; /* to the gateway itself */
    size_t reply_count;
    bool has_report; /* store `report`; answer with device_service_stored */
    struct device_report report;
    bool has_request; /* a block write request, signature NOT yet checked: wire form */
    struct bytes request;
};

void device_service_input(struct device_service *service, const struct device_input *input,
                          struct device_output *out);

/* What the host must keep of a report until it is stored. */
struct device_stored {
    struct bytes id;    /* gateway */
    struct bytes topic; /* below the id */
    uint64_t n;
    uint32_t rows;
    struct hash hash;
    int error;                   /* 0 durable now; SEALMQ_E_EXISTS durable before; else refused */
    const struct hash *recorded; /* with SEALMQ_E_CONFLICT: what is there */
    uint64_t now_ms;
};
/* Makes the sealed answer (`replies`); the republishing of the plain report is the host's, with
 * error 0 only. No reply when the session key has gone meanwhile (the gateway sends again). */
void device_service_stored(struct device_service *service, const struct device_stored *stored,
                           struct device_output *out);

/* Seals a receipt (a proof file) for a gateway: reply on chain/<network>/reply/<id>. SEALMQ_E_AGAIN
 * without a session key. */
SEALMQ_MUST_CHECK int device_service_receipt(struct device_service *service, struct bytes id,
                                             uint64_t request_number, struct bytes proof,
                                             struct device_output *out);
/* The same when a request was refused for good. */
SEALMQ_MUST_CHECK int device_service_request_refused(struct device_service *service,
                                                     struct bytes id, uint64_t request_number,
                                                     int error, struct device_output *out);

struct device_service_stats {
    uint64_t handshakes_total, handshakes_refused_total;
    uint64_t reports_accepted_total, rows_accepted_total;
    uint64_t reports_refused_signature_total, reports_refused_replay_total;
    uint64_t reports_refused_malformed_total, reports_refused_other_total;
    uint64_t hints_total, requests_total, requests_refused_total;
};
void device_service_stats_get(const struct device_service *service,
                              struct device_service_stats *out);

#endif
