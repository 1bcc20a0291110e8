/* A durable server for tests: shards with a real store, whose host does each thing only when it is
 * told, and which can crash. And clients of 3.1.1 with persistent sessions. */
#ifndef SEALMQ_TEST_STORE_SERVER_H
#define SEALMQ_TEST_STORE_SERVER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/broker.h"
#include "store/session_store.h"

#include <stdlib.h>

#define SERVER_SHARDS_MAX 4

struct server {
    struct broker *shard[SERVER_SHARDS_MAX];
    struct broker_journal *taken[SERVER_SHARDS_MAX];
    unsigned shards;
    uint64_t now_ms, wall_ms;
    _Atomic uint64_t retained_counter;
    struct session_store *store;
    struct broker_limits limits;
    struct session_store_loaded loaded;
    unsigned commits; /* that had anything to write */
    bool is_lazy;
    bool is_direct;   /* the shards call each other where they may */
    bool has_service; /* that defers every message, as `ticket` */
    uint64_t ticket;
};

/* Opens the store at `path` and fills `shards` shards from it. */
void server_start(struct server *s, const char *path, unsigned shards);
/* All that is not committed is gone. Clients must be forgotten before. */
void server_crash(struct server *s);
/* One shard's parcel for another one; false when there was none. */
bool server_carry(struct server *s, unsigned from, unsigned to);
void server_carry_parcels(struct server *s);
/* Takes the journals of the shards in `mask`; false when there was none. */
bool server_take(struct server *s, unsigned mask);
/* Commits what is taken of the shards in `mask`, and tells them. */
void server_commit(struct server *s, unsigned mask);
/* Until nothing moves any more. */
void server_settle(struct server *s);

struct peer {
    struct server *server;
    const char *id;
    unsigned shard;
    struct broker_conn conn;
    bool is_open;
    struct buf in;
    size_t at;
};

void peer_open(struct peer *p, struct server *s, const char *id);
void peer_connect(struct peer *p, struct server *s, const char *id, bool clean);
void peer_close(struct peer *p);  /* cuts */
void peer_forget(struct peer *p); /* the server has crashed, or the test ends */
void peer_send(struct peer *p, const struct mqtt_packet *packet);
/* Takes what the server shows; false when the next packet is not whole. */
bool peer_receive(struct peer *p, struct mqtt_packet *out);
void peer_expect(struct peer *p, enum mqtt_type type, struct mqtt_packet *out);
void peer_expect_nothing(struct peer *p);
void peer_subscribe(struct peer *p, const char *filter, uint8_t options);
void peer_publish(struct peer *p, const char *topic, const char *payload, uint8_t qos,
                  uint16_t packet_id, bool retain, bool dup);
void peer_ack(struct peer *p, enum mqtt_type type, uint16_t packet_id);

/* An id that belongs to a shard of so many. */
const char *peer_id(unsigned shard, unsigned shards, const char *name, char out[32]);

#endif
