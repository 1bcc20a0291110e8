#include "served.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>

/* --- an app that lets everybody in --------------------------------------------------------- */

struct net_worker *workers_of_context[8];

static int start_worker(void *context, struct net_worker *worker, void **worker_context)
{
    atomic_uint *starts = context;
    if (starts != NULL && atomic_fetch_add(starts, 1) == 1)
        return SEALMQ_E_FULL; /* the second one */
    workers_of_context[net_worker_index(worker)] = worker;
    *worker_context = &workers_of_context[net_worker_index(worker)];
    return 0;
}

void let_in(void *worker_context, const struct broker_auth_request *request)
{
    struct net_worker **worker = worker_context;
    struct broker_grant grant = {.reason = MQTT_REASON_SUCCESS, .role = BROKER_ROLE_ORDINARY};
    net_worker_authenticated(*worker, request->conn, &grant);
}

bool challenge(void *worker_context, const struct broker_auth_request *request)
{
    struct net_worker **worker = worker_context;
    return bytes_equal(request->auth_method, BYTES_LIT("m")) &&
           net_worker_auth_challenge(*worker, request->conn, BYTES_LIT("who?")) == 0;
}

atomic_uint hold;

static bool allow(void *worker_context, const struct broker_subject *subject,
                  enum broker_access access, struct bytes topic)
{
    (void)worker_context, (void)subject;
    if (access == BROKER_WRITE && bytes_equal(topic, BYTES_LIT("hold"))) {
        atomic_store(&hold, 1);
        while (atomic_load(&hold) != 2)
            usleep(1000);
    }
    return true;
}

struct net_server_options options_of(const struct net_listener *listeners, size_t count)
{
    struct net_server_options options = {
        .workers = 2,
        .listeners = listeners,
        .listener_count = count,
        .app = {.worker_start = start_worker, .authenticate = let_in, .authorize = allow},
    };
    broker_limits_default(&options.limits);
    return options;
}

struct net_server *serve(const struct net_server_options *options)
{
    struct net_server *server = NULL;
    char why[128];
    assert_int_equal(net_server_new(options, &server, why, sizeof(why)), 0);
    assert_int_equal(net_server_start(server), 0);
    return server;
}

struct net_server *serve_loopback(void)
{
    static const struct net_listener listener = {.address = "127.0.0.1"};
    struct net_server_options options = options_of(&listener, 1);
    return serve(&options);
}

/* --- a client of few words ----------------------------------------------------------------- */

int dial(uint16_t port)
{
    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct timeval limit = {.tv_sec = 20};
    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof(address)), 0);
    return fd;
}

void say(int fd, const struct mqtt_packet *packet)
{
    struct buf out = {0};
    mqtt_encode(packet, MQTT_V5, &out);
    assert_int_equal(buf_status(&out), 0);
    assert_int_equal(send(fd, out.p, out.n, MSG_NOSIGNAL), (ssize_t)out.n);
    buf_close(&out);
}

void say_connect(int fd, const char *id)
{
    struct mqtt_packet packet = {
        .type = MQTT_CONNECT,
        .connect = {.version = MQTT_V5, .clean_start = true, .client_id = bytes_str(id)}};
    say(fd, &packet);
}

int hear(int fd, uint8_t *value)
{
    uint8_t in[256];
    size_t n = 0, size = 0;
    while (n < 2 || mqtt_frame(bytes_of(in, n), &size) != 0) {
        ssize_t got = recv(fd, in + n, 1, 0);
        if (got == 0 && n == 0)
            return 0;
        assert_int_equal(got, 1);
        n++;
        assert_true(n < sizeof(in));
    }
    struct mqtt_packet packet;
    uint8_t reason;
    assert_int_equal(mqtt_decode(bytes_of(in, size), MQTT_V5, false, &packet, &reason), 0);
    *value = 0;
    if (packet.type == MQTT_CONNACK)
        *value = packet.connack.reason;
    else if (packet.type == MQTT_DISCONNECT)
        *value = packet.end.reason;
    else if (packet.type == MQTT_PUBLISH && packet.publish.payload.n > 0)
        *value = packet.publish.payload.p[0];
    else if (packet.type == MQTT_SUBACK)
        *value = packet.suback.codes.p[0];
    return (int)packet.type;
}

int dial_in(struct net_server *server, const char *id)
{
    uint8_t reason = 0xff;
    int fd = dial(net_server_port(server, 0));
    say_connect(fd, id);
    assert_int_equal(hear(fd, &reason), MQTT_CONNACK);
    assert_int_equal(reason, 0);
    return fd;
}

void subscribe(int fd, const char *filter)
{
    struct buf filters = {0};
    uint8_t code = 0xff;
    buf_append_str16(&filters, bytes_str(filter));
    buf_append_u8(&filters, 0);
    struct mqtt_packet packet = {.type = MQTT_SUBSCRIBE,
                                 .subscribe = {.packet_id = 1, .filters = buf_bytes(&filters)}};
    say(fd, &packet);
    buf_close(&filters);
    assert_int_equal(hear(fd, &code), MQTT_SUBACK);
    assert_int_equal(code, 0);
}

void publish(int fd, const char *topic, uint8_t payload)
{
    struct mqtt_packet packet = {
        .type = MQTT_PUBLISH,
        .publish = {.topic = bytes_str(topic), .payload = bytes_of(&payload, 1)}};
    say(fd, &packet);
}

void id_for(unsigned worker, unsigned workers, char *out, size_t size)
{
    for (unsigned i = 0;; i++) {
        snprintf(out, size, "client-%u", i);
        if (broker_shard_of(bytes_str(out), workers) == worker)
            return;
    }
}
