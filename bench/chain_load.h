/* The load of a chain: gateways that log in, agree on session keys, send signed requests, and check
 * every receipt that they get. */
#ifndef SEALMQ_BENCH_CHAIN_LOAD_H
#define SEALMQ_BENCH_CHAIN_LOAD_H

#include "chain_packets.h"
#include "chain_receipts.h"
#include "device/envelope.h"
#include "device/handshake.h"
#include "ledger/genesis.h"
#include "ledger/request.h"
#include "tally.h"

#define GATEWAYS_MAX   1000
#define RECORDS_MAX    1000 /* of a request; and items of a gateway */
#define WINDOW_MAX     64   /* of the chain: numbers above the lowest unused one */
#define RESEND_NS      (3 * UINT64_C(1000000000)) /* as production gateways */
#define REQUESTS_AHEAD 4096 /* signed before a run, for each gateway, at most */

struct network;

/* A request that was signed and perhaps sent. */
struct ahead {
    struct buf json;
    struct hash hash;
    uint64_t due_ns, sent_ns; /* 0: not yet */
    uint64_t height;          /* of its receipt; 0: none yet */
    uint32_t records;
};

enum client_state { CLIENT_AWAY, CLIENT_CONNECTING, CLIENT_AGREEING, CLIENT_READY };

struct client {
    struct network *network;
    char id[ID_MAX + 1];
    char request_topic[NETWORK_MAX + 32], reply_topic[NETWORK_MAX + ID_MAX + 32];
    struct sign_key key;
    struct wire wire;
    enum client_state state;
    size_t node; /* connected to, or to be connected to */
    unsigned subscriptions;
    uint16_t packet_id;
    uint64_t retry_ns;
    /* key agreement */
    uint64_t handshake_number;
    struct x25519_pair fresh;
    uint8_t hello[HELLO_SIZE];
    struct session_keys keys;
    uint64_t up, hello_ns;
    /* requests: ring[number % REQUESTS_AHEAD], numbers lowest .. made - 1 */
    struct ahead *ring;
    uint64_t lowest; /* without a receipt */
    uint64_t next;   /* to be sent for the first time */
    uint64_t made;   /* to be signed next */
};

struct run {
    uint32_t records, window;
    size_t first, gateways; /* which ones take part */
    double rate;            /* requests a second in all; 0: as many as the window lets */
    double seconds, warm_seconds;
    uint32_t ahead; /* requests signed before, for each gateway */
    int pids[VALIDATORS_MAX];
    size_t pid_count;
};

struct outcome {
    uint64_t requests, records; /* with a receipt, while it was measured */
    uint64_t all_requests, all_records, all_sent;
    uint64_t lost, doubled, refused, bad, resent, reconnected, signed_late;
    uint64_t longest_gap_ns; /* without any receipt, while it was measured */
    uint64_t own_cpu_ns, cpu_ns[VALIDATORS_MAX];
    double seconds;
    struct times times;
};

struct network {
    struct loop loop;
    struct genesis genesis;
    struct receipts_checker receipts;
    struct compressor *compressor;
    struct buf scratch, plain;
    char admin_id[ID_MAX + 1];
    struct sign_key admin_key;
    struct client *clients;
    size_t client_count;
    /* of the run */
    const struct run *run;
    struct outcome *outcome;
    bool is_running; /* new requests are sent */
    uint64_t measure_ns, end_ns, last_receipt_ns;
    uint64_t outstanding;
};

/* chain_client.c */
void client_open(struct network *network, size_t index, struct client *client);
void client_connect(struct client *client);
/* Signs the next request. */
void client_make(struct client *client, uint32_t records);
void client_make_describe(struct client *client, uint32_t items);
/* Room in the window for one more; and sends it, signing it if none is ahead. */
bool client_has_room(const struct client *client);
void client_send(struct client *client, uint64_t due_ns);
/* What time brings: reconnecting, hellos, resending. */
void client_tick(struct client *client);
uint64_t client_outstanding(const struct client *client);
/* A request has its receipt: implemented by the run. */
void run_receipt(struct client *client, const struct ahead *request, uint64_t number);

/* A token with which `id` logs in at a node, appended; and the node's port. */
void token_for(const struct network *network, const char *id, const struct sign_key *key,
               size_t node, struct buf *out);
uint16_t port_of(const struct network *network, size_t node);

/* chain_admin.c: registers all clients. */
void admin_register(struct network *network);

#endif
