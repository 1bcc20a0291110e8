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

/* Counts what the connection holds by now; whether it may go on. */
static bool handshake_has_room(struct net_connection *c)
{
    size_t held = c->rest.capacity + (c->stream != NULL ? stream_memory(c->stream) : 0);
    size_t before = c->handshake_bytes;
    c->handshake_bytes = held;
    /* Unsigned arithmetic: a difference below zero is one, too. */
    return atomic_fetch_add(&c->worker->server->handshake_bytes, held - before) + (held - before) <=
           NET_HANDSHAKE_BYTES_MAX;
}

static struct net_stream *handshake_stream(struct net_server *server, uint32_t listener)
{
    struct net_bound *bound = &server->listeners[listener];
    struct net_stream *stream = NULL;
    struct net_tls *tls = NULL;
    if (bound->has_tls) {
        pthread_mutex_lock(&server->tls_lock);
        tls = net_tls_ref(bound->tls);
        pthread_mutex_unlock(&server->tls_lock);
    }
    if (stream_new(bound, tls, &stream) != 0)
        stream = NULL;
    net_tls_unref(tls);
    return stream;
}

void handshake_begin(struct net_worker *worker, int fd, const struct net_origin *peer)
{
    struct net_server *server = worker->server;
    if (worker->is_stopping || worker->handshake_count >= server->limits.connections) {
        origin_close_socket(server, peer, fd);
        return;
    }
    struct net_connection *c = connection_new(worker, fd, peer, NET_HANDSHAKE);
    if (c == NULL)
        return;
    c->deadline_ms = uv_now(&worker->loop) + server->limits.connect_timeout_ms;
    if (stream_is_needed(&server->listeners[peer->listener])) {
        c->stream = handshake_stream(server, peer->listener);
        if (c->stream == NULL || !handshake_has_room(c)) {
            log_debug(NET_LOG, "%s: too many unfinished handshakes", c->peer.text);
            connection_destroy(c);
            return;
        }
    }
    connection_watch(c);
}

static size_t connect_bytes_max(const struct net_worker *worker)
{
    uint32_t most = worker->server->limits.packet_bytes;
    return most < NET_CONNECT_BYTES_MAX ? most : NET_CONNECT_BYTES_MAX;
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
    item->socket.peer = c->peer;
    item->socket.fd = connection_release(c, &item->socket.stream);
    if (worker_post(&worker->server->workers[to], item) != 0) {
        origin_close_socket(worker->server, &item->socket.peer, item->socket.fd);
        stream_free(item->socket.stream);
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
        log_info(NET_LOG, "%s: CONNECT of %zu bytes is too large", c->peer.text, size);
        connection_destroy(c);
        return;
    }
    if (e == SEALMQ_E_AGAIN) {
        if (!handshake_has_room(c)) {
            log_debug(NET_LOG, "%s: too many unfinished CONNECTs", c->peer.text);
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

/* The same for a connection with a stream. */
static void handshake_on_stream(struct net_connection *c)
{
    size_t n = 0;
    (void)stream_read(c, &n); /* the socket tells when there is more */
    if (n > 0)
        buf_append(&c->rest, c->worker->buffer, n);
    if (buf_status(&c->rest) != 0 || !handshake_has_room(c)) {
        log_debug(NET_LOG, "%s: too many unfinished handshakes", c->peer.text);
        connection_destroy(c);
        return;
    }
    worker_flush_later(c->worker, c);
    if (n > 0) /* looks whether the stream has ended once the CONNECT is served */
        handshake_examine(c);
    if (c->phase != NET_HANDSHAKE)
        return;
    if (c->stream->state == STREAM_REFUSED)
        connection_linger(c);
    else if (c->stream->state == STREAM_ENDED)
        connection_destroy(c);
    else
        connection_watch(c);
}

void handshake_on_readable(struct net_connection *c)
{
    struct net_worker *worker = c->worker;
    if (c->stream != NULL) {
        handshake_on_stream(c);
        return;
    }
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
        log_info(NET_LOG, "%s: no %s in time", c->peer.text,
                 c->stream != NULL ? stream_waits_for(c->stream) : "CONNECT");
        connection_destroy(c);
    }
}
