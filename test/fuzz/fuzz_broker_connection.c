/* Two connections to a server, from their first byte to their last, under any input.
 *
 * The first byte: 1 two shards instead of one, 2 log-ins are answered later, 4 a service defers
 * what is published below "d". Then commands, each a byte of which the two highest bits say: 00, 01
 * the next (low bits + 1) bytes go to the first or the second connection 10      the next 2 bytes
 * are a length; as many bytes go to the first connection 11      the low bits are an action, see
 * act() What must hold: the server lives, it takes what it says it takes, and all that it sends is
 * valid packets of the version that the client asked for. */
#include "base/assert.h"
#include "broker/broker.h"

#include <stdlib.h>

#define CONNECTIONS 2
#define TICKETS     64

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

struct peer {
    unsigned index;
    unsigned shard;
    struct broker_conn conn;
    bool is_open, is_stuck, awaits_login;
    bool knows_alias[UINT8_MAX + 1];
    enum mqtt_version version; /* 0 until it is known */
    struct buf in;             /* not yet taken by the server */
    struct buf out;            /* not yet checked */
    uint64_t tickets[TICKETS];
    size_t ticket_count;
};

struct server {
    struct broker *shard[2];
    unsigned shards;
    unsigned flags;
    uint64_t now_ms;
    _Atomic uint64_t retained_counter;
    struct peer peer[CONNECTIONS];
};

static struct server server;

static void answer_login(struct peer *peer, uint8_t reason)
{
    struct broker_grant grant = {.reason = reason, .user_name = BYTES_LIT("u")};
    peer->awaits_login = false;
    broker_authenticated(server.shard[peer->shard], peer->conn, &grant, server.now_ms);
}

static void authenticate(void *context, const struct broker_auth_request *request)
{
    struct peer *peer = broker_conn_data(*(struct broker **)context, request->conn);
    peer->version = request->version;
    ASSERT(mqtt_utf8_is_valid(request->client_id) && request->client_id.n != 0);
    ASSERT(broker_shard_of(request->client_id, server.shards) == peer->shard);
    peer->awaits_login = true;
    if ((server.flags & 2) == 0)
        answer_login(peer, 0);
}

/* The method "m": what the client says is what becomes of it. */
static void answer_auth(struct peer *peer, const struct broker_auth_request *request)
{
    struct broker *b = server.shard[peer->shard];
    struct bytes data = request->auth_data;
    ASSERT(request->version == MQTT_V5 && bytes_equal(request->auth_method, BYTES_LIT("m")));
    ASSERT(broker_conn_data(b, request->conn) == peer);
    if (data.n == 0 || data.p[0] == 'c')
        ASSERT(broker_auth_challenge(b, request->conn, data, server.now_ms) == 0);
    else if (data.p[0] != 'l')
        answer_login(peer, data.p[0] == 'y' ? 0 : MQTT_REASON_NOT_AUTHORIZED);
}

static bool auth_begin(void *context, const struct broker_auth_request *request)
{
    struct peer *peer = broker_conn_data(*(struct broker **)context, request->conn);
    peer->version = request->version;
    ASSERT(request->auth_method.n != 0);
    if (!bytes_equal(request->auth_method, BYTES_LIT("m")))
        return false;
    peer->awaits_login = true;
    answer_auth(peer, request);
    return true;
}

static void auth_continue(void *context, const struct broker_auth_request *request)
{
    answer_auth(broker_conn_data(*(struct broker **)context, request->conn), request);
}

static bool authorize(void *context, const struct broker_subject *subject,
                      enum broker_access access, struct bytes topic)
{
    (void)context;
    (void)subject;
    ASSERT(access == BROKER_SUBSCRIBE ? mqtt_filter_is_valid(topic) : mqtt_topic_is_valid(topic));
    return topic.p[0] != 'n';
}

static enum broker_verdict publish(void *context, const struct broker_publish *in, uint64_t ticket,
                                   uint8_t *reason)
{
    struct peer *peer = broker_conn_data(*(struct broker **)context, in->conn);
    *reason = 0;
    ASSERT(mqtt_topic_is_valid(in->topic));
    if ((server.flags & 4) == 0 || in->topic.p[0] != 'd' || peer->ticket_count == TICKETS)
        return BROKER_ROUTE;
    peer->tickets[peer->ticket_count++] = ticket;
    return BROKER_DEFER;
}

/* An alias stands for a topic only after it has come with one, on this connection. */
static void check_alias(struct peer *peer, const struct mqtt_publish *publish)
{
    struct mqtt_prop alias;
    if (!mqtt_props_find(publish->props, MQTT_PROP_TOPIC_ALIAS, &alias)) {
        ASSERT(publish->topic.n != 0);
        return;
    }
    ASSERT(alias.number != 0 && alias.number <= UINT8_MAX);
    ASSERT(publish->topic.n != 0 || peer->knows_alias[alias.number]);
    peer->knows_alias[alias.number] = true;
}

static void check_output(struct peer *peer)
{
    size_t size;
    while (mqtt_frame(buf_bytes(&peer->out), &size) == 0) {
        struct bytes bytes = bytes_of(peer->out.p, size);
        struct mqtt_packet packet;
        uint8_t reason;
        bool is_v311 = mqtt_decode(bytes, MQTT_V311, false, &packet, &reason) == 0;
        bool is_v5 = mqtt_decode(bytes, MQTT_V5, false, &packet, &reason) == 0;
        /* A client that was refused before its log-in has told its version to nobody here. */
        ASSERT(peer->version == MQTT_V5 ? is_v5 : is_v311 || (peer->version != MQTT_V311 && is_v5));
        if (peer->version == MQTT_V5 && packet.type == MQTT_PUBLISH)
            check_alias(peer, &packet.publish);
        buf_consume(&peer->out, size);
    }
}

static void open_peer(struct peer *peer)
{
    struct broker *b = server.shard[peer->shard];
    peer->version = (enum mqtt_version)0;
    peer->is_open = broker_open(b, peer, "fuzz", server.now_ms, &peer->conn) == 0;
    peer->is_stuck = peer->awaits_login = false;
    memset(peer->knows_alias, 0, sizeof peer->knows_alias);
    peer->ticket_count = 0;
}

static void close_peer(struct peer *peer)
{
    if (peer->is_open)
        broker_closed(server.shard[peer->shard], peer->conn, server.now_ms);
    peer->is_open = false;
    buf_reset(&peer->in);
    buf_reset(&peer->out);
}

static void push(struct peer *peer)
{
    size_t consumed;
    if (!peer->is_open || peer->in.n == 0)
        return;
    /* The server must not read beyond what it is given. */
    uint8_t *exact = malloc(peer->in.n);
    ASSERT(exact != NULL);
    memcpy(exact, peer->in.p, peer->in.n);
    int error = broker_input(server.shard[peer->shard], peer->conn, bytes_of(exact, peer->in.n),
                             server.now_ms, &consumed);
    free(exact);
    ASSERT(consumed <= peer->in.n);
    buf_consume(&peer->in, consumed);
    ASSERT(error == 0 || error == SEALMQ_E_CLOSED);
    if (error != 0)
        buf_reset(&peer->in);
}

static void pull(struct peer *peer)
{
    struct broker *b = server.shard[peer->shard];
    struct broker_piece pieces[3];
    bool is_closing = false;
    size_t count;
    if (!peer->is_open || peer->is_stuck)
        return;
    while ((count = broker_output(b, peer->conn, pieces, 3, &is_closing)) != 0) {
        size_t n = 0;
        for (size_t i = 0; i < count; i++) {
            ASSERT(pieces[i].n != 0);
            buf_append(&peer->out, pieces[i].p, pieces[i].n);
            n += pieces[i].n;
        }
        broker_output_written(b, peer->conn, n);
    }
    check_output(peer);
    ASSERT(peer->out.n == 0 || !is_closing);
    if (is_closing)
        close_peer(peer);
}

static void turn(void)
{
    for (unsigned round = 0; round < 4; round++) {
        if (server.shards == 2) {
            for (unsigned from = 0; from < 2; from++)
                broker_deliver_parcels(server.shard[1 - from],
                                       broker_take_parcels(server.shard[from], 1 - from),
                                       server.now_ms);
        }
        for (unsigned i = 0; i < server.shards; i++) {
            struct broker_conn conn;
            while (broker_next_dirty(server.shard[i], &conn)) {
                struct peer *peer = broker_conn_data(server.shard[i], conn);
                ASSERT(peer != NULL);
                pull(peer);
                push(peer);
            }
        }
    }
}

static void give(struct peer *peer, struct bytes bytes)
{
    if (!peer->is_open)
        open_peer(peer);
    buf_append_bytes(&peer->in, bytes);
    push(peer);
}

static void advance(uint64_t ms)
{
    server.now_ms += ms;
    for (unsigned i = 0; i < server.shards; i++) {
        broker_tick(server.shard[i], server.now_ms);
        ASSERT(broker_deadline(server.shard[i]) > server.now_ms);
    }
}

static void act(unsigned action)
{
    struct peer *peer = &server.peer[action & 1];
    struct broker *b = server.shard[peer->shard];
    struct broker_outgoing out = {
        .topic = BYTES_LIT("a/b"),
        .payload = BYTES_LIT("inside"),
        .qos = (uint8_t)(action >> 4),
        .retain = action % 3 == 0,
    };
    switch (action >> 1 & 7) {
    case 0:
        close_peer(peer);
        break;
    case 1:
        peer->is_stuck = !peer->is_stuck;
        break;
    case 2:
        advance(UINT64_C(1) << (action >> 4) * 6);
        break;
    case 3:
        if (peer->ticket_count != 0)
            broker_acknowledge(b, peer->conn, peer->tickets[--peer->ticket_count],
                               action >> 4 == 3 ? MQTT_REASON_QUOTA_EXCEEDED : 0);
        break;
    case 4:
        if (peer->awaits_login)
            answer_login(peer, action >> 4 == 3 ? MQTT_REASON_NOT_AUTHORIZED : 0);
        break;
    case 5:
        ASSERT(broker_publish(b, &out, server.now_ms) != SEALMQ_E_ARG);
        break;
    case 6:
        ASSERT(broker_reply(b, peer->conn, &out, server.now_ms) != SEALMQ_E_ARG);
        break;
    default:
        broker_disconnect(b, peer->conn, MQTT_REASON_ADMINISTRATIVE_ACTION, "words", server.now_ms);
        break;
    }
}

static void start(unsigned flags)
{
    server = (struct server){.flags = flags, .shards = 1 + (flags & 1), .now_ms = 1};
    for (unsigned i = 0; i < server.shards; i++) {
        struct broker_options options = {
            .host = {.context = &server.shard[i],
                     .authenticate = authenticate,
                     .authorize = authorize,
                     .publish = publish,
                     .auth_begin = auth_begin,
                     .auth_continue = auth_continue},
            .shard = i,
            .shards = server.shards,
            .retained_counter = &server.retained_counter,
            .seed = 1,
            .response_prefix = "r",
        };
        broker_limits_default(&options.limits);
        /* Small, so that a small input reaches them. */
        options.limits.packet_bytes = 4096;
        options.limits.output_bytes = 512;
        options.limits.queued_messages = 4;
        options.limits.queued_bytes = 1024;
        options.limits.receive_maximum = 3;
        options.limits.inflight = 2;
        options.limits.subscriptions = 4;
        options.limits.topic_levels = 6;
        options.limits.topic_bytes = 64;
        options.limits.retained_messages = 3;
        ASSERT(broker_new(&options, &server.shard[i]) == 0);
    }
    for (unsigned i = 0; i < CONNECTIONS; i++)
        server.peer[i] = (struct peer){.index = i, .shard = i % server.shards};
}

static void stop(void)
{
    for (unsigned i = 0; i < CONNECTIONS; i++) {
        close_peer(&server.peer[i]);
        buf_close(&server.peer[i].in);
        buf_close(&server.peer[i].out);
    }
    for (unsigned i = 0; i < server.shards; i++) {
        struct broker_stats stats;
        broker_stats_get(server.shard[i], &stats);
        ASSERT(stats.connections == 0);
        broker_free(server.shard[i]);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct reader r = reader_of(bytes_of(data, size));
    start(reader_u8(&r));
    while (reader_status(&r) == 0 && r.n != 0) {
        uint8_t command = reader_u8(&r);
        size_t n = (command & 63u) + 1;
        if (command >> 6 == 3) {
            act(command & 63);
        } else {
            if (command >> 6 == 2)
                n = reader_u16(&r);
            n = n < r.n ? n : r.n;
            give(&server.peer[command >> 6 & 1], reader_bytes(&r, n));
        }
        turn();
    }
    stop();
    return 0;
}
