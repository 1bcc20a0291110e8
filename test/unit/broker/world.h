/* A server for tests: some shards with a host that carries parcels and bytes as the network layer
 * does, and clients that speak in packets. */
#ifndef SEALMQ_TEST_BROKER_WORLD_H
#define SEALMQ_TEST_BROKER_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/broker.h"

#include <stdio.h>
#include <stdlib.h>

#define WORLD_SHARDS_MAX 64
#define WORLD_LOG_MAX    64

struct client;

struct world {
    struct broker *shard[WORLD_SHARDS_MAX];
    unsigned shards;
    uint64_t now_ms;
    _Atomic uint64_t retained_counter;
    struct broker_pools pools;
    struct broker_limits limits;
    bool holds_parcels; /* world_turn leaves them where they are */
    bool is_direct;     /* see world_set_direct */

    /* What the host answers; tests set these before they connect. */
    bool defers_authentication;
    struct broker_grant grant;
    const char *response_prefix;
    bool (*auth_begin)(struct world *w, struct broker *b,
                       const struct broker_auth_request *request);
    void (*auth_continue)(struct world *w, struct broker *b,
                          const struct broker_auth_request *request);
    struct broker_auth_request last_auth; /* without its borrowed bytes */
    bool (*authorize)(const struct broker_subject *subject, enum broker_access access,
                      struct bytes topic);
    enum broker_verdict (*publish)(struct world *w, const struct broker_publish *in,
                                   uint64_t ticket, uint8_t *reason);
    uint64_t tickets[WORLD_LOG_MAX];
    size_t ticket_count;
    unsigned connected, disconnected;
    uint8_t disconnect_reason;
    void *data;
};

struct world_shard {
    struct world *world;
    unsigned index;
};

struct client {
    struct world *world;
    unsigned shard;
    struct broker_conn conn;
    enum mqtt_version version;
    struct buf in;  /* what the server sent */
    size_t at;      /* read so far */
    struct buf out; /* what the server has not taken yet */
    bool is_closed;
    bool is_stuck; /* does not read */
};

void world_init(struct world *w, unsigned shards);
/* Makes the shards; between the two, limits and answers are set. */
void world_start(struct world *w);
void world_close(struct world *w);
/* Whether the shards call each other where they may. Carries the parcels first. */
void world_set_direct(struct world *w, bool is_direct);
/* Carries parcels and bytes until nothing moves any more. */
void world_turn(struct world *w);
void world_advance(struct world *w, uint64_t ms);
struct broker *world_broker(struct world *w, const struct client *c);

void client_open(struct client *c, struct world *w, unsigned shard, enum mqtt_version version);
/* The network goes away. */
void client_cut(struct client *c);
/* It reads again, as the network finds out. */
void client_unstick(struct client *c);
/* Cuts if it is still open, and frees. */
void client_close(struct client *c);
void client_send(struct client *c, const struct mqtt_packet *packet);
void client_send_bytes(struct client *c, struct bytes bytes);
/* The next packet, which must be there and of this type; borrows from c->in. */
struct mqtt_packet client_expect(struct client *c, enum mqtt_type type);
/* Nothing more was sent. */
void client_expect_nothing(struct client *c);
void client_expect_closed(struct client *c);

/* Whole steps. */
struct mqtt_connect connect_as(enum mqtt_version version, const char *client_id);
/* Opens on the right shard, connects and expects to be let in; gives the CONNACK. */
struct mqtt_connack client_connect(struct client *c, struct world *w,
                                   const struct mqtt_connect *connect);
void client_join(struct client *c, struct world *w, enum mqtt_version version, const char *id);
void client_subscribe(struct client *c, const char *filter, uint8_t qos);
uint8_t client_subscribe_code(struct client *c, const char *filter, uint8_t qos);
void client_publish(struct client *c, const char *topic, const char *payload, uint8_t qos,
                    uint16_t packet_id, bool retain);
void client_publish_props(struct client *c, const char *topic, const char *payload, uint8_t qos,
                          uint16_t packet_id, struct bytes props);
void client_ack(struct client *c, enum mqtt_type type, uint16_t packet_id, uint8_t reason);
/* A PUBLISH with this topic and payload comes next. */
struct mqtt_publish client_expect_publish(struct client *c, const char *topic, const char *payload);
struct mqtt_ack client_expect_ack(struct client *c, enum mqtt_type type, uint16_t packet_id);

/* An id that belongs to a shard. */
const char *id_on_shard(unsigned shard, unsigned shards, unsigned number, char out[32]);

#endif
