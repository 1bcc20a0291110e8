/* From accepting to a whole CONNECT: its client id tells which worker owns the connection, and the
 * socket goes there with all bytes that were read.
 *
 * What is no CONNECT, or a malformed one, is given to this worker's own shard, which knows how to
 * answer and counts it. */
#include "net/net_int.h"

#include "base/log.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

void handshake_begin(struct net_worker *worker, int fd, uint32_t listener, const char *peer)
{
    const struct broker_limits *limits = &worker->server->limits;
    if (worker->is_stopping || worker->handshake_count >= limits->connections) {
        close(fd);
        return;
    }
    struct net_connection *c = connection_new(worker, fd, listener, peer, NET_HANDSHAKE);
    if (c == NULL)
        return;
    c->deadline_ms = uv_now(&worker->loop) + limits->connect_timeout_ms;
    connection_watch(c);
}

static size_t connect_bytes_max(const struct net_worker *worker)
{
    uint32_t most = worker->server->limits.packet_bytes;
    return most < NET_CONNECT_BYTES_MAX ? most : NET_CONNECT_BYTES_MAX;
}

/* Counts what the connection holds by now; whether it may go on. */
static bool handshake_has_room(struct net_connection *c)
{
    size_t more = c->rest.capacity - c->handshake_bytes;
    c->handshake_bytes += more;
    return atomic_fetch_add(&c->worker->server->handshake_bytes, more) + more <=
           NET_HANDSHAKE_BYTES_MAX;
}

/* Gives the connection to the worker `to`. */
static void handshake_finish(struct net_connection *c, unsigned to)
{
    struct net_worker *worker = c->worker;
    if (to == worker->index) {
        connection_serve(c);
        return;
    }
    struct net_item *item = calloc(1, sizeof(*item));
    if (item == NULL) {
        connection_destroy(c);
        return;
    }
    item->kind = NET_ITEM_SOCKET;
    item->socket.bytes = c->rest;
    c->rest = (struct buf){0};
    item->socket.listener = c->listener;
    memcpy(item->socket.peer, c->peer, sizeof(c->peer));
    item->socket.fd = connection_release(c);
    if (worker_post(&worker->server->workers[to], item) != 0) {
        close(item->socket.fd);
        buf_close(&item->socket.bytes);
        free(item);
    }
}

/* Looks at what has come so far. */
static void handshake_examine(struct net_connection *c)
{
    struct net_worker *worker = c->worker;
    struct bytes in = buf_bytes(&c->rest);
    size_t size = 0;
    int e = in.p[0] >> 4 == MQTT_CONNECT ? mqtt_frame(in, &size) : SEALMQ_E_PROTOCOL;
    if ((e == 0 || e == SEALMQ_E_AGAIN) && size > connect_bytes_max(worker)) {
        log_info(NET_LOG, "%s: CONNECT of %zu bytes is too large", c->peer, size);
        connection_destroy(c);
        return;
    }
    if (e == SEALMQ_E_AGAIN) {
        if (!handshake_has_room(c)) {
            log_debug(NET_LOG, "%s: too many unfinished CONNECTs", c->peer);
            connection_destroy(c);
        }
        return;
    }
    struct mqtt_packet packet;
    uint8_t reason;
    unsigned to = worker->index;
    if (e == 0)
        e = mqtt_decode(bytes_of(in.p, size), MQTT_V5, true, &packet, &reason);
    /* Without a client id the shard makes one that is its own. */
    if (e == 0 && packet.type == MQTT_CONNECT && packet.connect.client_id.n > 0)
        to = broker_shard_of(packet.connect.client_id, worker->server->worker_count);
    handshake_finish(c, to);
}

void handshake_on_readable(struct net_connection *c)
{
    struct net_worker *worker = c->worker;
    ssize_t n = recv(c->fd, worker->buffer, NET_READ_BYTES, 0);
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n > 0)
        buf_append(&c->rest, worker->buffer, (size_t)n);
    if (n <= 0 || buf_status(&c->rest) != 0) {
        connection_destroy(c);
        return;
    }
    handshake_examine(c);
}

void handshake_expire(struct net_worker *worker, uint64_t now_ms)
{
    struct net_connection *c;
    while ((c = worker->lists[NET_HANDSHAKE]) != NULL && c->deadline_ms <= now_ms) {
        log_info(NET_LOG, "%s: no CONNECT in time", c->peer);
        connection_destroy(c);
    }
}
