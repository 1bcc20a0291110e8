#include "shard.h"

#include "give_up.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

uint64_t cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

uint64_t heap_bytes(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static void authenticate(void *context, const struct broker_auth_request *request)
{
    const struct shard *shard = context;
    struct broker_grant grant = {.user_name = request->user_name};
    broker_authenticated(shard->broker, request->conn, &grant, shard->now_ms);
}

static bool authorize(void *context, const struct broker_subject *subject,
                      enum broker_access access, struct bytes topic)
{
    (void)context, (void)subject, (void)access, (void)topic;
    return true;
}

void shard_open(struct shard *shard)
{
    *shard = (struct shard){.now_ms = 1000};
    struct broker_options options = {
        .host = {.context = shard, .authenticate = authenticate, .authorize = authorize},
        .shards = 1,
        .retained_counter = &shard->retained_counter,
        .seed = 42,
    };
    broker_limits_default(&options.limits);
    options.limits.connections = options.limits.sessions = 10000000;
    if (broker_new(&options, &shard->broker) != 0)
        give_up("out of memory");
}

void shard_close(struct shard *shard)
{
    broker_free(shard->broker);
    buf_close(&shard->packet);
}

/* Throws away what the shard has to say, as a network that is fast. */
static void read_answers(struct shard *shard)
{
    struct broker_conn conn;
    while (broker_next_dirty(shard->broker, &conn)) {
        struct broker_piece pieces[8];
        bool closing = false;
        size_t count;
        while ((count = broker_output(shard->broker, conn, pieces, 8, &closing)) != 0) {
            size_t n = 0;
            for (size_t i = 0; i < count; i++)
                n += pieces[i].n;
            broker_output_written(shard->broker, conn, n);
        }
        if (closing)
            give_up("the server has ended a connection");
    }
}

static void give_packet(struct shard *shard, struct broker_conn conn)
{
    size_t consumed = 0;
    struct bytes packet = buf_bytes(&shard->packet);
    if (buf_status(&shard->packet) != 0 ||
        broker_input(shard->broker, conn, packet, shard->now_ms, &consumed) != 0 ||
        consumed != packet.n)
        give_up("the server refuses a packet");
    read_answers(shard);
}

static void encode(struct shard *shard, const struct mqtt_packet *packet)
{
    buf_reset(&shard->packet);
    mqtt_encode(packet, MQTT_V311, &shard->packet);
}

struct broker_conn shard_connect(struct shard *shard, uint32_t number)
{
    char id[32];
    struct broker_conn conn;
    snprintf(id, sizeof id, "client-%08u", number);
    if (broker_open(shard->broker, shard, "127.0.0.1:12345", shard->now_ms, &conn) != 0)
        give_up("the server takes no connection");
    encode(shard,
           &(struct mqtt_packet){
               .type = MQTT_CONNECT,
               .connect = {.version = MQTT_V311, .keep_alive_s = 60, .client_id = bytes_str(id)},
           });
    give_packet(shard, conn);
    return conn;
}

void shard_disconnect(struct shard *shard, struct broker_conn conn)
{
    broker_closed(shard->broker, conn, shard->now_ms);
}

void shard_subscribe(struct shard *shard, struct broker_conn conn, const struct bytes *filters,
                     size_t count)
{
    struct buf list = {0};
    for (size_t i = 0; i < count; i++) {
        buf_append_str16(&list, filters[i]);
        buf_append_u8(&list, 0);
    }
    encode(shard, &(struct mqtt_packet){
                      .type = MQTT_SUBSCRIBE,
                      .subscribe = {.packet_id = 1, .filters = buf_bytes(&list)},
                  });
    buf_close(&list);
    give_packet(shard, conn);
}

void shard_unsubscribe(struct shard *shard, struct broker_conn conn, struct bytes filter)
{
    struct buf list = {0};
    buf_append_str16(&list, filter);
    encode(shard, &(struct mqtt_packet){
                      .type = MQTT_UNSUBSCRIBE,
                      .unsubscribe = {.packet_id = 1, .filters = buf_bytes(&list)},
                  });
    buf_close(&list);
    give_packet(shard, conn);
}

void shard_publish(struct shard *shard, struct broker_conn conn, struct bytes topic)
{
    encode(shard, &(struct mqtt_packet){
                      .type = MQTT_PUBLISH,
                      .publish = {.topic = topic, .payload = BYTES_LIT("0123456789abcdef")},
                  });
    give_packet(shard, conn);
}
