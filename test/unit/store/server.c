#include "server.h"

#include <stdio.h>
#include <string.h>

struct server_shard {
    struct server *server;
    unsigned index;
};
static struct server_shard server_shards[SERVER_SHARDS_MAX];

static void host_authenticate(void *context, const struct broker_auth_request *request)
{
    struct server_shard *shard = context;
    struct broker_grant grant = {.reason = MQTT_REASON_SUCCESS};
    broker_authenticated(shard->server->shard[shard->index], request->conn, &grant,
                         shard->server->now_ms);
}

static bool host_authorize(void *context, const struct broker_subject *subject,
                           enum broker_access access, struct bytes topic)
{
    (void)context;
    (void)subject;
    (void)access;
    (void)topic;
    return true;
}

static enum broker_verdict host_publish(void *context, const struct broker_publish *in,
                                        uint64_t ticket, uint8_t *reason)
{
    struct server_shard *shard = context;
    (void)in;
    (void)reason;
    shard->server->ticket = ticket;
    return BROKER_DEFER;
}

void server_start(struct server *s, const char *path, unsigned shards)
{
    char why[256];
    s->shards = shards;
    s->retained_counter = 0;
    if (s->limits.packet_bytes == 0)
        broker_limits_default(&s->limits);
    if (session_store_open(path, false, &s->store, why, sizeof why) != 0)
        fail_msg("%s", why);
    for (unsigned i = 0; i < shards; i++) {
        server_shards[i] = (struct server_shard){s, i};
        struct broker_options options = {
            .durability = s->is_lazy ? BROKER_DURABLE_LAZY : BROKER_DURABLE_FULL,
            .host = {.context = &server_shards[i],
                     .authenticate = host_authenticate,
                     .authorize = host_authorize,
                     .publish = s->has_service ? host_publish : NULL},
            .limits = s->limits,
            .shard = i,
            .shards = shards,
            .retained_counter = &s->retained_counter,
            .seed = 7,
        };
        assert_int_equal(broker_new(&options, &s->shard[i]), 0);
        broker_set_wall_clock(s->shard[i], s->wall_ms, s->now_ms);
    }
    struct session_store_target target = {
        .shards = s->shard,
        .shard_count = shards,
        .wall_offset_ms = (int64_t)(s->wall_ms - s->now_ms),
        .now_ms = s->now_ms,
        .retained_counter = &s->retained_counter,
    };
    assert_int_equal(session_store_load(s->store, &target, &s->loaded), 0);
    server_carry_parcels(s);
    for (unsigned i = 0; s->is_direct && i < shards * shards; i++) {
        if (i / shards != i % shards)
            broker_direct_begin(s->shard[i / shards], s->shard[i % shards]);
    }
}

void server_crash(struct server *s)
{
    for (unsigned i = 0; i < s->shards; i++) {
        broker_journal_free(s->taken[i]);
        s->taken[i] = NULL;
        broker_free(s->shard[i]);
    }
    session_store_close(s->store);
}

bool server_carry(struct server *s, unsigned from, unsigned to)
{
    struct broker_parcel *parcels = broker_take_parcels(s->shard[from], to);
    broker_deliver_parcels(s->shard[to], parcels, s->now_ms);
    return parcels != NULL;
}

static bool carry_once(struct server *s)
{
    bool any = false;
    for (unsigned from = 0; from < s->shards; from++) {
        for (unsigned to = 0; to < s->shards; to++)
            any |= server_carry(s, from, to);
    }
    return any;
}

void server_carry_parcels(struct server *s)
{
    while (carry_once(s))
        continue;
}

bool server_take(struct server *s, unsigned mask)
{
    bool any = false;
    for (unsigned i = 0; i < s->shards; i++) {
        if ((mask >> i & 1) == 0 || s->taken[i] != NULL)
            continue;
        s->taken[i] = broker_take_journal(s->shard[i]);
        any |= s->taken[i] != NULL;
    }
    return any;
}

void server_commit(struct server *s, unsigned mask)
{
    struct broker_journal *journals[SERVER_SHARDS_MAX];
    size_t count = 0;
    for (unsigned i = 0; i < s->shards; i++) {
        if ((mask >> i & 1) != 0 && s->taken[i] != NULL)
            journals[count++] = s->taken[i];
    }
    if (count == 0)
        return;
    assert_int_equal(session_store_commit(s->store, journals, count), 0);
    s->commits++;
    for (unsigned i = 0; i < s->shards; i++) {
        if ((mask >> i & 1) == 0 || s->taken[i] == NULL)
            continue;
        struct broker_journal *journal = s->taken[i];
        s->taken[i] = NULL;
        broker_stored(s->shard[i], journal, s->now_ms);
    }
}

void server_settle(struct server *s)
{
    for (bool moved = true; moved;) {
        moved = carry_once(s);
        moved |= server_take(s, ~0u);
        server_commit(s, ~0u);
    }
}

void peer_open(struct peer *p, struct server *s, const char *id)
{
    p->server = s;
    p->id = id;
    p->shard = broker_shard_of(bytes_str(id), s->shards);
    assert_int_equal(broker_open(s->shard[p->shard], p, "127.0.0.1:1", s->now_ms, &p->conn), 0);
    p->is_open = true;
    buf_reset(&p->in);
    p->at = 0;
}

void peer_forget(struct peer *p)
{
    p->is_open = false;
    buf_close(&p->in);
    p->at = 0;
}

void peer_close(struct peer *p)
{
    if (p->is_open)
        broker_closed(p->server->shard[p->shard], p->conn, p->server->now_ms);
    peer_forget(p);
}

void peer_send(struct peer *p, const struct mqtt_packet *packet)
{
    struct buf bytes = {0};
    size_t consumed = 0;
    mqtt_encode(packet, MQTT_V311, &bytes);
    assert_int_equal(buf_status(&bytes), 0);
    int error = broker_input(p->server->shard[p->shard], p->conn, buf_bytes(&bytes),
                             p->server->now_ms, &consumed);
    assert_int_equal(error, 0);
    assert_int_equal(consumed, bytes.n);
    buf_close(&bytes);
}

static void pull(struct peer *p)
{
    struct broker *b = p->server->shard[p->shard];
    struct broker_piece pieces[4];
    bool closing = false;
    size_t count;
    while ((count = broker_output(b, p->conn, pieces, 4, &closing)) != 0) {
        size_t n = 0;
        for (size_t i = 0; i < count; i++) {
            buf_append(&p->in, pieces[i].p, pieces[i].n);
            n += pieces[i].n;
        }
        broker_output_written(b, p->conn, n);
    }
    assert_false(closing);
}

bool peer_receive(struct peer *p, struct mqtt_packet *out)
{
    pull(p);
    struct bytes rest = bytes_of(p->in.p + p->at, p->in.n - p->at);
    size_t size = 0;
    uint8_t reason;
    if (rest.n == 0 || mqtt_frame(rest, &size) != 0)
        return false;
    assert_int_equal(mqtt_decode(bytes_of(rest.p, size), MQTT_V311, false, out, &reason), 0);
    p->at += size;
    return true;
}

void peer_expect(struct peer *p, enum mqtt_type type, struct mqtt_packet *out)
{
    struct mqtt_packet packet;
    assert_true(peer_receive(p, &packet));
    assert_int_equal(packet.type, type);
    if (out != NULL)
        *out = packet;
}

void peer_expect_nothing(struct peer *p)
{
    struct mqtt_packet packet;
    assert_false(peer_receive(p, &packet));
}

void peer_connect(struct peer *p, struct server *s, const char *id, bool clean)
{
    struct mqtt_packet packet = {.type = MQTT_CONNECT};
    packet.connect = (struct mqtt_connect){
        .version = MQTT_V311, .clean_start = clean, .client_id = bytes_str(id)};
    peer_open(p, s, id);
    peer_send(p, &packet);
}

void peer_subscribe(struct peer *p, const char *filter, uint8_t options)
{
    struct buf list = {0};
    buf_append_str16(&list, bytes_str(filter));
    buf_append_u8(&list, options);
    struct mqtt_packet packet = {.type = MQTT_SUBSCRIBE};
    packet.subscribe = (struct mqtt_subscribe){.packet_id = 9, .filters = buf_bytes(&list)};
    peer_send(p, &packet);
    buf_close(&list);
}

void peer_publish(struct peer *p, const char *topic, const char *payload, uint8_t qos,
                  uint16_t packet_id, bool retain, bool dup)
{
    struct mqtt_packet packet = {.type = MQTT_PUBLISH};
    packet.publish = (struct mqtt_publish){.dup = dup,
                                           .retain = retain,
                                           .qos = qos,
                                           .packet_id = packet_id,
                                           .topic = bytes_str(topic),
                                           .payload = bytes_str(payload)};
    peer_send(p, &packet);
}

void peer_ack(struct peer *p, enum mqtt_type type, uint16_t packet_id)
{
    peer_send(p, &(struct mqtt_packet){.type = type, .ack = {.packet_id = packet_id}});
}

const char *peer_id(unsigned shard, unsigned shards, const char *name, char out[32])
{
    for (unsigned i = 0;; i++) {
        snprintf(out, 32, "%s-%u", name, i);
        if (broker_shard_of(bytes_str(out), shards) == shard)
            return out;
    }
}
