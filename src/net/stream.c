#include "net/stream.h"

#include "base/assert.h"
#include "base/log.h"
#include "base/text.h"
#include "framing/proxy_header.h"
#include "framing/upgrade.h"
#include "framing/websocket.h"
#include "net/net_int.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>

/* Of OpenSSL for a connection whose handshake goes on (resident, measured with 1,000 that stop
 * after ClientHello: 40 KiB for TLS 1.2, 42 KiB for TLS 1.3; most are buffers, which go when it is
 * done, so that 15 KiB are left), and of wslay. */
#define TLS_HANDSHAKE_BYTES (44 * 1024)
#define WEBSOCKET_BYTES     (5 * 1024)
#define FRAMED_AT_ONCE      (NET_STREAM_READ_BYTES / 2 - WEBSOCKET_HEAD_MAX) /* MQTT's bytes */

_Static_assert(NET_STREAM_READ_BYTES + TLS_RECORD_MAX <= NET_READ_BYTES,
               "what one read of the socket holds must fit into the worker's buffer");
_Static_assert(WEBSOCKET_OUTPUT_ROOM(FRAMED_AT_ONCE) <= NET_STREAM_READ_BYTES, "in one buffer");
_Static_assert(PROXY_HEADER_MAX <= NET_STREAM_READ_BYTES, "a header is in one read or gathered");

bool stream_is_needed(const struct net_bound *listener)
{
    return listener->has_tls || listener->is_websocket || listener->takes_proxy_protocol;
}

int stream_new(const struct net_bound *listener, struct net_tls *tls, struct net_stream **out)
{
    *out = NULL;
    struct net_stream *stream = calloc(1, sizeof(*stream));
    if (stream == NULL)
        return SEALMQ_E_NOMEM;
    stream->listener = listener;
    stream->wants_proxy_header = listener->takes_proxy_protocol;
    stream->wants_upgrade = listener->is_websocket;
    if (tls != NULL) {
        if (tls_session_init(&stream->tls, tls, listener->is_websocket) != 0) {
            free(stream);
            return SEALMQ_E_NOMEM;
        }
        stream->has_tls = true;
    }
    *out = stream;
    return 0;
}

void stream_free(struct net_stream *stream)
{
    if (stream == NULL)
        return;
    if (stream->has_tls)
        tls_session_close(&stream->tls);
    websocket_free(stream->ws);
    buf_close(&stream->head);
    buf_close(&stream->out);
    free(stream->proxy_identity);
    free(stream);
}

size_t stream_memory(const struct net_stream *stream)
{
    return sizeof(*stream) + stream->head.capacity + stream->out.capacity +
           (stream->has_tls ? TLS_HANDSHAKE_BYTES : 0) +
           (stream->listener->is_websocket ? WEBSOCKET_BYTES : 0);
}

const char *stream_waits_for(const struct net_stream *stream)
{
    if (stream->wants_proxy_header)
        return "PROXY header";
    if (stream->has_tls && !stream->tls.is_established)
        return "TLS handshake";
    return stream->wants_upgrade ? "WebSocket request" : "CONNECT";
}

void stream_describe(const struct net_stream *stream, struct net_peer *peer)
{
    peer->is_encrypted = stream->has_tls || stream->is_behind_tls;
    if (stream->is_proxied)
        peer->is_local_socket = false;
    if (stream->has_tls) {
        peer->kind = stream->tls.kind;
        if (stream->tls.identity != NULL)
            peer->identity = bytes_str(stream->tls.identity);
    } else if (stream->proxy_identity != NULL) {
        peer->kind = NET_IDENTITY_CERTIFICATE;
        peer->identity = bytes_str(stream->proxy_identity);
    }
}

/* --- towards the peer ---------------------------------------------------------------------- */

/* Lets the bytes through TLS, if it is there, to `out`. */
static int emit(struct net_stream *stream, struct bytes bytes)
{
    if (bytes.n == 0)
        return 0;
    if (stream->has_tls)
        return tls_session_write(&stream->tls, bytes, &stream->out);
    buf_append_bytes(&stream->out, bytes);
    return buf_status(&stream->out);
}

static ssize_t send_bytes(int fd, const void *p, size_t n)
{
    ssize_t sent;
    do {
        sent = send(fd, p, n, MSG_NOSIGNAL);
    } while (sent < 0 && errno == EINTR);
    return sent < 0 && errno == EAGAIN ? 0 : sent;
}

bool stream_push(struct net_connection *c)
{
    struct buf *out = &c->stream->out;
    if (out->n == 0)
        return buf_status(out) == 0;
    ssize_t n = send_bytes(c->fd, out->p, out->n);
    if (n < 0 || buf_status(out) != 0)
        return false;
    buf_consume(out, (size_t)n);
    if (out->n == 0)
        buf_close(out);
    return true;
}

/* Gathers the first bytes of the pieces, `n` at most; returns how many they are. */
static size_t gather(uint8_t *to, size_t n, const struct broker_piece *pieces, size_t count)
{
    size_t total = 0;
    for (size_t i = 0; i < count && total < n; i++) {
        size_t size = pieces[i].n < n - total ? pieces[i].n : n - total;
        memcpy(to + total, pieces[i].p, size);
        total += size;
    }
    return total;
}

/* The same in WebSocket's frames, at the beginning of worker->raw. */
static size_t gather_framed(struct net_connection *c, const struct broker_piece *pieces,
                            size_t count, struct bytes *framed)
{
    uint8_t *plain = c->worker->raw + NET_STREAM_READ_BYTES - FRAMED_AT_ONCE;
    size_t n = gather(plain, FRAMED_AT_ONCE, pieces, count), size;
    n = websocket_output(c->stream->ws, bytes_of(plain, n), c->worker->raw, &size);
    *framed = bytes_of(c->worker->raw, size);
    return n;
}

/* Encrypts into the worker's buffer, which is there anyway, and keeps only what does not leave. */
static bool write_encrypted(struct net_connection *c, struct bytes plain)
{
    struct net_stream *stream = c->stream;
    struct buf *scratch = &c->worker->encrypted;
    buf_reset(scratch);
    if (tls_session_write(&stream->tls, plain, scratch) != 0 || buf_status(scratch) != 0)
        return false;
    ssize_t n = send_bytes(c->fd, scratch->p, scratch->n);
    if (n < 0)
        return false;
    buf_append(&stream->out, scratch->p + n, scratch->n - (size_t)n);
    return buf_status(&stream->out) == 0;
}

ssize_t stream_write(struct net_connection *c, const struct broker_piece *pieces, size_t count)
{
    struct net_stream *stream = c->stream;
    struct bytes out;
    size_t n;
    ASSERT(!stream_is_pending(stream));
    if (stream->ws != NULL) {
        n = gather_framed(c, pieces, count, &out);
    } else {
        n = gather(c->worker->raw, NET_STREAM_READ_BYTES, pieces, count);
        out = bytes_of(c->worker->raw, n);
    }
    if (stream->has_tls)
        return write_encrypted(c, out) ? (ssize_t)n : -1;
    ssize_t sent = send_bytes(c->fd, out.p, out.n);
    if (sent < 0)
        return -1;
    buf_append(&stream->out, out.p + sent, out.n - (size_t)sent);
    return buf_status(&stream->out) == 0 ? (ssize_t)n : -1;
}

void stream_end(struct net_connection *c)
{
    struct net_stream *stream = c->stream;
    struct buf frame = {0};
    if (stream->ws != NULL && stream->state == STREAM_OPEN) {
        websocket_append_close(&frame, WEBSOCKET_CLOSE_NORMAL);
        if (buf_status(&frame) == 0)
            (void)emit(stream, buf_bytes(&frame)); /* the connection ends, one way or the other */
        buf_close(&frame);
    }
    if (stream->has_tls)
        tls_session_end(&stream->tls, &stream->out);
}

/* --- from the peer ------------------------------------------------------------------------- */

/* Strangers' noise: said once, since a connection that is refused is over. */
static void refuse(struct net_connection *c, const char *what, const char *words)
{
    log_info(NET_LOG, "%s: %s: %s", c->peer.text, what, words);
    c->stream->state = STREAM_REFUSED;
}

static void take_proxy_identity(struct net_stream *stream, const struct proxy_header *header)
{
    struct bytes name = header->common_name;
    if (!stream->listener->trusts_proxy_certificate || !header->has_certificate || name.n == 0 ||
        name.n > NET_IDENTITY_MAX || !utf8_is_valid(name))
        return;
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] < ' ' || name.p[i] == 0x7f)
            return;
    }
    stream->proxy_identity = strndup((const char *)name.p, name.n);
}

static void take_proxy_header(struct net_connection *c, const struct proxy_header *header)
{
    struct net_stream *stream = c->stream;
    union net_address address = {0};
    stream->is_behind_tls = header->is_encrypted;
    take_proxy_identity(stream, header);
    switch (header->source) {
    case PROXY_SOURCE_SELF:
        return;
    case PROXY_SOURCE_IPV4:
        address.in.sin_family = AF_INET;
        address.in.sin_port = htons(header->port);
        memcpy(&address.in.sin_addr, header->address, 4);
        break;
    case PROXY_SOURCE_IPV6:
        address.in6.sin6_family = AF_INET6;
        address.in6.sin6_port = htons(header->port);
        memcpy(&address.in6.sin6_addr, header->address, 16);
        break;
    case PROXY_SOURCE_UNIX:
        snprintf(c->peer.text, sizeof(c->peer.text), "unix:%.*s", (int)header->path.n,
                 (const char *)header->path.p);
        stream->is_proxied = true;
        return;
    }
    address_format(&address, c->peer.text);
    stream->is_proxied = true;
    if (!origin_enter_source(c->worker, &c->peer, &address))
        stream->state = STREAM_ENDED; /* it gets no answer */
}

/* The PROXY header at the beginning of `in`; what is behind it is moved to the front. */
static void pass_proxy_header(struct net_connection *c, uint8_t *in, size_t *n)
{
    struct net_stream *stream = c->stream;
    struct proxy_header header;
    size_t consumed = 0, held = stream->head.n;
    buf_append(&stream->head, in, *n);
    if (buf_status(&stream->head) != 0) {
        stream->state = STREAM_ENDED;
        return;
    }
    int e = proxy_header_parse(buf_bytes(&stream->head), &header, &consumed);
    if (e == SEALMQ_E_AGAIN) {
        *n = 0;
        return;
    }
    if (e != 0) {
        refuse(c, "PROXY header refused", sealmq_error_text(e));
        *n = 0;
        return;
    }
    take_proxy_header(c, &header);
    stream->wants_proxy_header = false;
    if (stream->state != STREAM_OPEN) {
        *n = 0;
        return;
    }
    ASSERT(consumed > held || held == 0);
    *n -= consumed - held;
    memmove(in, in + (consumed - held), *n);
    buf_close(&stream->head);
}

/* The same with the request for WebSocket. */
static void pass_upgrade(struct net_connection *c, uint8_t *in, size_t *n)
{
    struct net_stream *stream = c->stream;
    struct upgrade upgrade;
    struct buf answer = {0};
    size_t consumed = 0, held = stream->head.n;
    buf_append(&stream->head, in, *n);
    if (buf_status(&stream->head) != 0) {
        stream->state = STREAM_ENDED;
        return;
    }
    int e = upgrade_examine(buf_bytes(&stream->head), stream->listener->websocket_path, &upgrade,
                            &consumed);
    if (e == SEALMQ_E_AGAIN) {
        *n = 0;
        return;
    }
    ASSERT(e == 0);
    if (upgrade.status == 101 && websocket_new(&stream->ws) != 0) {
        stream->state = STREAM_ENDED;
        *n = 0;
        return;
    }
    upgrade_append_answer(&upgrade, &answer);
    if (buf_status(&answer) != 0 || emit(stream, buf_bytes(&answer)) != 0)
        stream->state = STREAM_ENDED;
    buf_close(&answer);
    if (upgrade.status != 101) {
        refuse(c, "WebSocket request refused", upgrade.words);
        *n = 0;
        return;
    }
    stream->wants_upgrade = false;
    *n -= consumed - held;
    memmove(in, in + (consumed - held), *n);
    buf_close(&stream->head);
}

static void pass_frames(struct net_connection *c, uint8_t *in, size_t *n)
{
    struct net_stream *stream = c->stream;
    struct buf answer = {0};
    int e = websocket_input(stream->ws, bytes_of(in, *n), in, n, &answer);
    if (buf_status(&answer) != 0 || emit(stream, buf_bytes(&answer)) != 0)
        e = SEALMQ_E_IO;
    buf_close(&answer);
    if (e == SEALMQ_E_PROTOCOL)
        refuse(c, "WebSocket ended", websocket_words(stream->ws));
    else if (e != 0 && stream->state == STREAM_OPEN)
        stream->state = STREAM_ENDED;
}

static void pass_tls(struct net_connection *c, size_t *n)
{
    struct net_stream *stream = c->stream;
    char why[256] = "";
    bool was_established = stream->tls.is_established;
    int e = tls_session_read(&stream->tls, bytes_of(c->worker->raw, *n), c->worker->buffer,
                             NET_READ_BYTES, n, &stream->out, why, sizeof(why));
    if (e == SEALMQ_E_CLOSED)
        stream->state = STREAM_ENDED;
    else if (e != 0)
        refuse(c, was_established ? "TLS ended" : "TLS handshake failed", why);
    if (e == SEALMQ_E_DENIED)
        tls_session_end(&stream->tls, &stream->out);
}

/* What has come, *n bytes, through all layers; the result is in worker->buffer. */
static void pass(struct net_connection *c, size_t *n)
{
    struct net_stream *stream = c->stream;
    uint8_t *at = stream->has_tls ? c->worker->raw : c->worker->buffer;
    if (stream->wants_proxy_header)
        pass_proxy_header(c, at, n);
    if (stream->has_tls && *n > 0 && stream->state == STREAM_OPEN)
        pass_tls(c, n);
    /* Whatever was whole before the layer below ended counts, so this asks for bytes, not states.
     */
    if (stream->wants_upgrade && *n > 0 && stream->state != STREAM_REFUSED)
        pass_upgrade(c, c->worker->buffer, n);
    if (stream->ws != NULL && *n > 0 && stream->state != STREAM_REFUSED)
        pass_frames(c, c->worker->buffer, n);
}

bool stream_read(struct net_connection *c, size_t *n)
{
    struct net_stream *stream = c->stream;
    uint8_t *into = stream->has_tls ? c->worker->raw : c->worker->buffer;
    *n = 0;
    if (stream->state != STREAM_OPEN)
        return false;
    ssize_t got = recv(c->fd, into, NET_STREAM_READ_BYTES, 0);
    if (got < 0 && errno == EINTR)
        return true;
    if (got < 0 && errno == EAGAIN)
        return false;
    if (got <= 0) {
        stream->state = STREAM_ENDED;
        return false;
    }
    *n = (size_t)got;
    pass(c, n);
    return got == NET_STREAM_READ_BYTES && stream->state == STREAM_OPEN;
}
