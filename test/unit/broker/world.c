#include "world.h"

#include "base/assert.h"

static struct world_shard world_shards[WORLD_SHARDS_MAX];
static struct client *open_clients[4096];
static size_t open_client_count;

static void host_authenticate(void *context, const struct broker_auth_request *request)
{
    struct world_shard *shard = context;
    struct world *w = shard->world;
    w->last_auth = *request;
    if (!w->defers_authentication)
        broker_authenticated(w->shard[shard->index], request->conn, &w->grant, w->now_ms);
}

static bool host_authorize(void *context, const struct broker_subject *subject,
                           enum broker_access access, struct bytes topic)
{
    struct world_shard *shard = context;
    return shard->world->authorize == NULL || shard->world->authorize(subject, access, topic);
}

static enum broker_verdict host_publish(void *context, const struct broker_publish *in,
                                        uint64_t ticket, uint8_t *reason)
{
    struct world_shard *shard = context;
    struct world *w = shard->world;
    enum broker_verdict verdict = w->publish(w, in, ticket, reason);
    if (verdict == BROKER_DEFER && w->ticket_count < WORLD_LOG_MAX)
        w->tickets[w->ticket_count++] = ticket;
    return verdict;
}

static void host_connected(void *context, struct broker_conn conn,
                           const struct broker_subject *subject, const char *peer)
{
    struct world_shard *shard = context;
    (void)conn;
    (void)subject;
    (void)peer;
    shard->world->connected++;
}

static void host_disconnected(void *context, struct broker_conn conn,
                              const struct broker_subject *subject, const char *peer,
                              uint8_t reason, const char *words)
{
    struct world_shard *shard = context;
    (void)conn;
    (void)subject;
    (void)peer;
    (void)words;
    shard->world->disconnected++;
    shard->world->disconnect_reason = reason;
}

static bool host_auth_begin(void *context, const struct broker_auth_request *request)
{
    struct world_shard *shard = context;
    struct world *w = shard->world;
    return w->auth_begin(w, w->shard[shard->index], request);
}

static void host_auth_continue(void *context, const struct broker_auth_request *request)
{
    struct world_shard *shard = context;
    struct world *w = shard->world;
    w->auth_continue(w, w->shard[shard->index], request);
}

void world_init(struct world *w, unsigned shards)
{
    *w = (struct world){.shards = shards, .now_ms = 1000};
    broker_limits_default(&w->limits);
}

void world_start(struct world *w)
{
    for (unsigned i = 0; i < w->shards; i++) {
        world_shards[i] = (struct world_shard){w, i};
        struct broker_options options = {
            .host =
                {
                    .context = &world_shards[i],
                    .authenticate = host_authenticate,
                    .authorize = host_authorize,
                    .publish = w->publish == NULL ? NULL : host_publish,
                    .connected = host_connected,
                    .disconnected = host_disconnected,
                    .auth_begin = w->auth_begin == NULL ? NULL : host_auth_begin,
                    .auth_continue = w->auth_begin == NULL ? NULL : host_auth_continue,
                },
            .limits = w->limits,
            .shard = i,
            .shards = w->shards,
            .retained_counter = &w->retained_counter,
            .seed = 42,
            .response_prefix = w->response_prefix,
            .pools = &w->pools,
        };
        assert_int_equal(broker_new(&options, &w->shard[i]), 0);
    }
}

void world_close(struct world *w)
{
    for (unsigned i = 0; i < w->shards; i++)
        broker_free(w->shard[i]);
    open_client_count = 0;
}

struct broker *world_broker(struct world *w, const struct client *c)
{
    return w->shard[c->shard];
}

static void forget_open(struct client *c)
{
    for (size_t i = 0; i < open_client_count; i++) {
        if (open_clients[i] == c)
            open_clients[i--] = open_clients[--open_client_count];
    }
}

static void close_client(struct client *c)
{
    c->is_closed = true;
    forget_open(c);
    broker_closed(world_broker(c->world, c), c->conn, c->world->now_ms);
}

/* Gives the server what it has not taken yet. */
static bool push_input(struct client *c)
{
    if (c->is_closed || c->out.n == 0)
        return false;
    size_t consumed = 0;
    int error = broker_input(world_broker(c->world, c), c->conn, buf_bytes(&c->out),
                             c->world->now_ms, &consumed);
    assert_true(consumed <= c->out.n);
    buf_consume(&c->out, consumed);
    if (error == SEALMQ_E_CLOSED)
        buf_reset(&c->out);
    else
        assert_int_equal(error, 0);
    return consumed != 0;
}

static void pull_output(struct client *c)
{
    struct broker *b = world_broker(c->world, c);
    struct broker_piece pieces[3];
    bool closing = false;
    size_t count;
    while (!c->is_stuck && (count = broker_output(b, c->conn, pieces, 3, &closing)) != 0) {
        size_t n = 0;
        for (size_t i = 0; i < count; i++) {
            buf_append(&c->in, pieces[i].p, pieces[i].n);
            n += pieces[i].n;
        }
        broker_output_written(b, c->conn, n);
    }
    (void)broker_output(b, c->conn, pieces, 1, &closing);
    if (closing)
        close_client(c);
}

static bool carry_parcels(struct world *w)
{
    bool any = false;
    for (unsigned from = 0; from < w->shards && !w->holds_parcels; from++) {
        for (unsigned to = 0; to < w->shards; to++) {
            struct broker_parcel *parcels = broker_take_parcels(w->shard[from], to);
            if (parcels == NULL)
                continue;
            any = true;
            broker_deliver_parcels(w->shard[to], parcels, w->now_ms);
        }
    }
    return any;
}

void world_turn(struct world *w)
{
    bool moved = true;
    while (moved) {
        moved = carry_parcels(w);
        for (unsigned i = 0; i < w->shards; i++) {
            struct broker_conn conn;
            while (broker_next_dirty(w->shard[i], &conn)) {
                struct client *c = broker_conn_data(w->shard[i], conn);
                moved = true;
                if (c != NULL && !c->is_closed) {
                    pull_output(c);
                    (void)push_input(c);
                }
            }
        }
    }
}

void world_set_direct(struct world *w, bool is_direct)
{
    bool holds_parcels = w->holds_parcels;
    w->holds_parcels = false;
    world_turn(w);
    w->holds_parcels = holds_parcels;
    for (unsigned i = 0; w->is_direct != is_direct && i < w->shards * w->shards; i++) {
        struct broker *from = w->shard[i / w->shards], *to = w->shard[i % w->shards];
        if (from != to)
            (is_direct ? broker_direct_begin : broker_direct_end)(from, to);
    }
    w->is_direct = is_direct;
}

void world_advance(struct world *w, uint64_t ms)
{
    uint64_t end = w->now_ms + ms;
    for (;;) {
        uint64_t next = UINT64_MAX;
        for (unsigned i = 0; i < w->shards; i++) {
            uint64_t at = broker_deadline(w->shard[i]);
            next = at < next ? at : next;
        }
        if (next > end)
            break;
        w->now_ms = next > w->now_ms ? next : w->now_ms;
        for (unsigned i = 0; i < w->shards; i++)
            broker_tick(w->shard[i], w->now_ms);
        world_turn(w);
    }
    w->now_ms = end;
}

void client_open(struct client *c, struct world *w, unsigned shard, enum mqtt_version version)
{
    *c = (struct client){.world = w, .shard = shard, .version = version};
    assert_int_equal(broker_open(w->shard[shard], c, "127.0.0.1:4711", w->now_ms, &c->conn), 0);
    assert_true(open_client_count < sizeof open_clients / sizeof open_clients[0]);
    open_clients[open_client_count++] = c;
}

void client_cut(struct client *c)
{
    if (!c->is_closed)
        close_client(c);
    world_turn(c->world);
}

void client_unstick(struct client *c)
{
    c->is_stuck = false;
    if (!c->is_closed)
        pull_output(c);
    world_turn(c->world);
}

void client_close(struct client *c)
{
    if (c->world == NULL)
        return;
    client_cut(c);
    buf_close(&c->in);
    buf_close(&c->out);
    c->world = NULL;
}

void client_send_bytes(struct client *c, struct bytes bytes)
{
    buf_append_bytes(&c->out, bytes);
    assert_int_equal(buf_status(&c->out), 0);
    (void)push_input(c);
    world_turn(c->world);
}

void client_send(struct client *c, const struct mqtt_packet *packet)
{
    struct buf bytes = {0};
    mqtt_encode(packet, c->version, &bytes);
    assert_int_equal(buf_status(&bytes), 0);
    client_send_bytes(c, buf_bytes(&bytes));
    buf_close(&bytes);
}

struct mqtt_packet client_expect(struct client *c, enum mqtt_type type)
{
    world_turn(c->world);
    struct bytes rest = bytes_of(c->in.p + c->at, c->in.n - c->at);
    size_t size = 0;
    assert_int_equal(mqtt_frame(rest, &size), 0);
    struct mqtt_packet packet;
    uint8_t reason = 0;
    int error = mqtt_decode(bytes_of(rest.p, size), c->version, false, &packet, &reason);
    assert_int_equal(error, 0);
    assert_int_equal(packet.type, type);
    c->at += size;
    return packet;
}

void client_expect_nothing(struct client *c)
{
    world_turn(c->world);
    assert_int_equal(c->at, c->in.n);
}

void client_expect_closed(struct client *c)
{
    client_expect_nothing(c);
    assert_true(c->is_closed);
}

struct mqtt_connect connect_as(enum mqtt_version version, const char *client_id)
{
    return (struct mqtt_connect){
        .version = version,
        .clean_start = true,
        .keep_alive_s = 60,
        .client_id = bytes_str(client_id),
    };
}

struct mqtt_connack client_connect(struct client *c, struct world *w,
                                   const struct mqtt_connect *connect)
{
    client_open(c, w, broker_shard_of(connect->client_id, w->shards), connect->version);
    client_send(c, &(struct mqtt_packet){.type = MQTT_CONNECT, .connect = *connect});
    struct mqtt_packet packet = client_expect(c, MQTT_CONNACK);
    return packet.connack;
}

void client_join(struct client *c, struct world *w, enum mqtt_version version, const char *id)
{
    struct mqtt_connect connect = connect_as(version, id);
    assert_int_equal(client_connect(c, w, &connect).reason, 0);
}

static void append_filter(struct buf *list, const char *filter, uint8_t options)
{
    buf_append_str16(list, bytes_str(filter));
    buf_append_u8(list, options);
}

uint8_t client_subscribe_code(struct client *c, const char *filter, uint8_t options)
{
    struct buf list = {0};
    append_filter(&list, filter, options);
    struct mqtt_packet packet = {.type = MQTT_SUBSCRIBE};
    packet.subscribe = (struct mqtt_subscribe){.packet_id = 77, .filters = buf_bytes(&list)};
    client_send(c, &packet);
    buf_close(&list);
    struct mqtt_packet answer = client_expect(c, MQTT_SUBACK);
    assert_int_equal(answer.suback.packet_id, 77);
    assert_int_equal(answer.suback.codes.n, 1);
    return answer.suback.codes.p[0];
}

void client_subscribe(struct client *c, const char *filter, uint8_t qos)
{
    assert_int_equal(client_subscribe_code(c, filter, qos), qos & 3);
}

void client_publish_props(struct client *c, const char *topic, const char *payload, uint8_t qos,
                          uint16_t packet_id, struct bytes props)
{
    struct mqtt_packet packet = {.type = MQTT_PUBLISH};
    packet.publish = (struct mqtt_publish){
        .qos = qos,
        .packet_id = packet_id,
        .topic = bytes_str(topic),
        .props = {props},
        .payload = bytes_str(payload),
    };
    client_send(c, &packet);
}

void client_publish(struct client *c, const char *topic, const char *payload, uint8_t qos,
                    uint16_t packet_id, bool retain)
{
    struct mqtt_packet packet = {.type = MQTT_PUBLISH};
    packet.publish = (struct mqtt_publish){
        .retain = retain,
        .qos = qos,
        .packet_id = packet_id,
        .topic = bytes_str(topic),
        .payload = bytes_str(payload),
    };
    client_send(c, &packet);
}

void client_ack(struct client *c, enum mqtt_type type, uint16_t packet_id, uint8_t reason)
{
    struct mqtt_packet packet = {.type = type, .ack = {.packet_id = packet_id, .reason = reason}};
    client_send(c, &packet);
}

struct mqtt_publish client_expect_publish(struct client *c, const char *topic, const char *payload)
{
    struct mqtt_packet packet = client_expect(c, MQTT_PUBLISH);
    assert_int_equal(packet.publish.topic.n, strlen(topic));
    assert_memory_equal(packet.publish.topic.p, topic, strlen(topic));
    assert_int_equal(packet.publish.payload.n, strlen(payload));
    if (payload[0] != '\0')
        assert_memory_equal(packet.publish.payload.p, payload, strlen(payload));
    return packet.publish;
}

struct mqtt_ack client_expect_ack(struct client *c, enum mqtt_type type, uint16_t packet_id)
{
    struct mqtt_packet packet = client_expect(c, type);
    assert_int_equal(packet.ack.packet_id, packet_id);
    return packet.ack;
}

const char *id_on_shard(unsigned shard, unsigned shards, unsigned number, char out[32])
{
    for (unsigned i = 0;; i++) {
        snprintf(out, 32, "client-%u-%u", number, i);
        if (broker_shard_of(bytes_str(out), shards) == shard)
            return out;
    }
}
