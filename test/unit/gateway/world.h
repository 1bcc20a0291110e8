/* A gateway against a node made of the production parts: the device service, a history in memory,
 * and a chain of one validator. The disk keeps what the gateway's updates write; a restart loads it
 * again. Time stands still unless it is moved. Everything asserts that what it does succeeds. */
#ifndef TEST_GATEWAY_WORLD_H
#define TEST_GATEWAY_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "device/reply.h"
#include "device/service.h"
#include "gateway/gateway.h"
#include "ledger/chain.h"

#define GATEWAY        "plant-a/gw1"
#define NODE           "broker/a"
#define WORLD_RECEIPTS 1100
#define NOTE_KINDS     (GATEWAY_NOTE_BAD_MESSAGE + 1)
#define WALL_START     INT64_C(1800000000000000)
#define REPLY_TOPIC    "chain/plant/reply/" GATEWAY
#define REPORT_TOPIC   GATEWAY "/report"

/* One value on the gateway's disk, one message on its way to the node, ... */
struct entry {
    struct entry *next;
    enum gateway_table table;
    uint64_t key;
    struct buf value;
};

struct message {
    struct message *next;
    struct buf topic, payload;
};

/* A report as the node's history has it. */
struct stored {
    struct stored *next;
    uint64_t n;
    struct hash hash;
    uint32_t rows;
    struct buf json;
};

struct world {
    struct genesis genesis;
    struct sign_key node_key, log_key, cosigner_key, admin_key, gateway_key;
    struct policy *policy;
    struct gateway_policy policies[4];
    struct gateway_options options; /* may be changed before world_start */

    struct gateway *gateway; /* NULL: not running */
    struct entry *disk;
    struct message *to_node;
    uint64_t deadline_ms;
    struct gateway_now now;
    unsigned notes[NOTE_KINDS];
    struct gateway_note last[NOTE_KINDS]; /* words are not kept */
    char words[NOTE_KINDS][256];
    bool is_connected;

    struct device_service *service;
    struct chain *chain;
    struct stored *history;
    struct buf requests[64]; /* that wait for a block */
    size_t request_count;
    struct { /* of requests that are on the chain, by number */
        struct hash request;
        struct buf proof;
    } receipts[WORLD_RECEIPTS];
    uint64_t admin_number;
    unsigned announcements, hellos, reports_seen, requests_seen;
    int64_t node_ahead_us; /* the node's clock */
    int store_error;       /* what the history says to new reports */
    bool is_deaf;          /* messages to the node are lost */
    bool is_mute;          /* answers of the node are lost */
};

/* Group setup: crypto_init. */
int world_setup(void **state);

/* Makes all but the gateway; the gateway is not registered. */
void world_init(struct world *w);
void world_start(struct world *w); /* the gateway, from what is on disk */
void world_register(struct world *w);
void world_close(struct world *w);
/* init, register, start, connect, deliver. */
void world_ready(struct world *w);

void world_connect(struct world *w);
void world_disconnect(struct world *w);
/* Ends the gateway without a word and starts it anew, not connected. */
void world_restart(struct world *w);
/* Forgets all session keys, as a node that restarts does. */
void world_restart_node(struct world *w);

/* Messages both ways until there are none. */
void world_deliver(struct world *w);
/* Drops what is on its way to the node. */
void world_lose(struct world *w);
/* Lets time pass, ticking when the gateway asks for it, and delivers. */
void world_pass(struct world *w, uint64_t ms);
/* A block with the waiting requests, and their receipts. Requests that the chain refuses are
 * refused to the gateway. */
void world_block(struct world *w);

/* A reading of now: device "D1", service "CS". Gives gateway_reading's answer. */
int world_reading(struct world *w, const char *name, enum datatype type, const char *value);
/* Of double, and taken. */
void world_read(struct world *w, const char *name, const char *value);
void world_tick(struct world *w);
void world_flush(struct world *w);

/* Applies what a call gave: writes to disk, then messages and notes. */
void world_apply(struct world *w, const struct gateway_update *update);
/* Feeds a message to the gateway as if the node had sent it. */
void world_say(struct world *w, const char *topic, struct bytes payload);

struct gateway_stats world_stats(const struct world *w);
size_t disk_count(const struct world *w, enum gateway_table table);
struct entry *disk_find(const struct world *w, enum gateway_table table, uint64_t key);
void disk_put(struct world *w, enum gateway_table table, uint64_t key, struct bytes value);
void disk_remove(struct world *w, enum gateway_table table, uint64_t key);
size_t history_count(const struct world *w);
const struct stored *history_find(const struct world *w, uint64_t n);
/* Whether a value of D1/CS/<name> is in the history, and in how many reports. */
size_t history_has(const struct world *w, const char *name, const char *value);
/* The waiting request, decoded; it borrows from the world. */
struct request waiting_request(const struct world *w, size_t at);
/* The records of a request as "name-number=value" words, for comparing. */
void request_records(const struct request *request, char *out, size_t size);

#endif
