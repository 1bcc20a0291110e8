/* Inside the device service: what is kept of one gateway. */
#ifndef SEALMQ_DEVICE_SERVICE_INT_H
#define SEALMQ_DEVICE_SERVICE_INT_H

#include "device/envelope.h"
#include "device/handshake.h"
#include "device/reply.h"
#include "device/service.h"

/* A failed HASH_ADD leaves hh.tbl NULL instead of ending the program. */
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#define HINT_INTERVAL_MS 1000
#define TOPICS_SEEN_MAX  256 /* for each key: beyond, "success" instead of a first "datas" */
#define SESSION_LIFE_S   86400
#define GATEWAYS_MAX     20000

/* One agreed key and its counters. key_id 0: none. */
struct session {
    struct session_keys keys;
    uint64_t up;   /* highest counter seen */
    uint64_t down; /* last counter used */
    size_t topics_seen;
    uint64_t topics[TOPICS_SEEN_MAX]; /* hashes of the topics that had their first report */
};

/* `current` is the key of the last message that opened; `next` the one agreed since, which becomes
 * current when a message opens with it. */
struct gateway_state {
    char id[ID_MAX + 1];
    bool is_member;
    struct public_key key;
    uint64_t handshake_number; /* highest that was accepted */
    struct session *current, *next;
    uint64_t hint_ms; /* when the last hint was sent; 0: never */
    UT_hash_handle hh;
};

struct device_service {
    struct device_service_options options;
    char node[ID_MAX + 1];
    char request_topic[NETWORK_MAX + 32]; /* chain/<network>/request */
    char reply_prefix[NETWORK_MAX + 32];  /* chain/<network>/reply/ */
    struct gateway_state *gateways;
    struct compressor *compressor;
    struct device_service_stats stats;
    /* what an output borrows from */
    struct report report;
    struct buf plain, topic[2], payload[2], request;
    char why[256];
};

/* service_reply.c: adds a reply to the output, sealed for the gateway under `session`. */
SEALMQ_MUST_CHECK int service_reply_sealed(struct device_service *service, struct session *session,
                                           struct bytes topic, const struct reply *reply,
                                           struct device_output *out);
/* The same as it is. */
SEALMQ_MUST_CHECK int service_reply_plain(struct device_service *service, struct bytes id,
                                          const char *level, struct bytes payload,
                                          struct device_output *out);
/* The answer to a report on `topic` (below the gateway's id). */
SEALMQ_MUST_CHECK int service_reply_report(struct device_service *service,
                                           struct gateway_state *gateway, struct bytes topic,
                                           uint64_t n, const struct hash *report, int error,
                                           struct device_output *out);

#endif
