/* What a session costs: connected, idle sessions with one subscription each in the pure core, and
 * the memory of each. Usage: bench_sessions [COUNT [SHARDS]] */
#include "broker/broker.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define SHARDS_MOST 64

static struct broker *shards[SHARDS_MOST];
static const uint64_t now_ms = 1000;

static void authenticate(void *context, const struct broker_auth_request *request)
{
    struct broker_grant grant = {.role = BROKER_ROLE_ORDINARY};
    struct broker **shard = context;
    broker_authenticated(*shard, request->conn, &grant, now_ms);
}

static bool authorize(void *context, const struct broker_subject *subject,
                      enum broker_access access, struct bytes topic)
{
    (void)context, (void)subject, (void)access, (void)topic;
    return true;
}

static void fail(const char *what)
{
    fprintf(stderr, "sessions: %s\n", what);
    exit(1);
}

/* Takes what the shard has written; false when it wants the connection closed. */
static bool take_output(struct broker *b, struct broker_conn conn)
{
    struct broker_piece piece;
    bool closing = false;
    while (broker_output(b, conn, &piece, 1, &closing) != 0)
        broker_output_written(b, conn, piece.n);
    return !closing;
}

static void send_packet(struct broker *b, struct broker_conn conn, const struct mqtt_packet *packet)
{
    struct buf out = {0};
    size_t consumed = 0;
    mqtt_encode(packet, MQTT_V5, &out);
    if (buf_status(&out) != 0 || broker_input(b, conn, buf_bytes(&out), now_ms, &consumed) != 0 ||
        consumed != out.n || !take_output(b, conn))
        fail("a client was refused");
    buf_close(&out);
}

static void exchange_parcels(unsigned count)
{
    for (unsigned from = 0; from < count; from++) {
        for (unsigned to = 0; to < count; to++)
            broker_deliver_parcels(shards[to], broker_take_parcels(shards[from], to), now_ms);
    }
}

static void join(unsigned number, unsigned count)
{
    char id[32], topic[40];
    struct broker_conn conn, dirty;
    snprintf(id, sizeof id, "client-%07u", number);
    snprintf(topic, sizeof topic, "devices/%u/%u", number / 1000, number % 1000);
    struct broker *b = shards[broker_shard_of(bytes_str(id), count)];
    if (broker_open(b, NULL, "127.0.0.1:12345", now_ms, &conn) != 0)
        fail("no connection");
    struct mqtt_packet packet = {.type = MQTT_CONNECT};
    packet.connect = (struct mqtt_connect){
        .version = MQTT_V5, .client_id = bytes_str(id), .clean_start = true, .keep_alive_s = 60};
    send_packet(b, conn, &packet);
    struct buf filter = {0};
    buf_append_str16(&filter, bytes_str(topic));
    buf_append_u8(&filter, 1);
    packet = (struct mqtt_packet){.type = MQTT_SUBSCRIBE};
    packet.subscribe = (struct mqtt_subscribe){.packet_id = 1, .filters = buf_bytes(&filter)};
    send_packet(b, conn, &packet);
    buf_close(&filter);
    while (broker_next_dirty(b, &dirty))
        continue;
}

static size_t heap_bytes(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static double seconds(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static unsigned number_of(const char *text, unsigned most)
{
    unsigned long n = strtoul(text, NULL, 10);
    if (n == 0 || n > most)
        fail("usage: bench_sessions [COUNT [SHARDS]]");
    return (unsigned)n;
}

int main(int argc, char **argv)
{
    unsigned sessions = argc > 1 ? number_of(argv[1], 100000000) : 1000000;
    unsigned count = argc > 2 ? number_of(argv[2], SHARDS_MOST) : 2;
    static _Atomic uint64_t retained_counter;
    static struct broker_pools pools;
    struct broker_options options = {.host = {.authenticate = authenticate, .authorize = authorize},
                                     .shards = count,
                                     .retained_counter = &retained_counter,
                                     .pools = &pools,
                                     .seed = 1};
    broker_limits_default(&options.limits);
    options.limits.connections = options.limits.sessions = sessions;
    options.limits.subscriptions_all = 2 * (uint64_t)sessions;
    for (unsigned i = 0; i < count; i++) {
        options.shard = i;
        options.host.context = &shards[i];
        if (broker_new(&options, &shards[i]) != 0)
            fail("out of memory");
    }
    size_t before = heap_bytes();
    double start = seconds();
    for (unsigned i = 0; i < sessions; i++) {
        join(i, count);
        if (i % 1000 == 999)
            exchange_parcels(count);
    }
    exchange_parcels(count);
    double took = seconds() - start;
    size_t after = heap_bytes();
    struct broker_stats sum = {0};
    for (unsigned i = 0; i < count; i++) {
        struct broker_stats stats;
        broker_stats_get(shards[i], &stats);
        broker_stats_add(&sum, &stats);
    }
    printf("%llu sessions connected, %llu subscriptions, on %u shards\n",
           (unsigned long long)sum.sessions_online, (unsigned long long)sum.subscriptions, count);
    printf("%.0f bytes each, with connection, subscription and what other shards know of it\n",
           (double)(after - before) / sessions);
    printf("%.2f microseconds each to connect and subscribe\n", took * 1e6 / sessions);
    for (unsigned i = 0; i < count; i++)
        broker_free(shards[i]);
    return sum.sessions_online == sessions && sum.subscriptions == sessions ? 0 : 1;
}
