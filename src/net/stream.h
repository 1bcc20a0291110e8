/* What stands between a socket and MQTT on connections that are not plain: from the socket upwards
 * a PROXY header, TLS, and WebSocket, each only where the listener has it. Plain connections have
 * no stream at all, and cost nothing.
 *
 * Reading: one read of the socket passes through all layers at once; nothing that has come waits
 * below but a record, a frame or a head that is not whole. So the socket being readable is the only
 * thing to wait for. Writing: what a layer has made and the socket has not taken waits in `out`,
 * and while something does, no more is taken from the shard; so it is bounded by one write, and by
 * NET_STREAM_OUT_MAX for answers (pong, key updates), beyond which reading pauses.
 *
 * A stream moves with its socket from worker to worker. */
#ifndef SEALMQ_NET_STREAM_H
#define SEALMQ_NET_STREAM_H

#include "net/tls_int.h"

struct net_bound;
struct net_connection;
struct net_worker;
struct websocket;

#define NET_STREAM_READ_BYTES (44 * 1024) /* with a record more it fits into NET_READ_BYTES */
#define NET_STREAM_OUT_MAX    (64 * 1024)

enum stream_state {
    STREAM_OPEN,
    STREAM_ENDED,  /* the peer has closed, in order or not; it gets nothing more */
    STREAM_REFUSED /* by us: it gets the answer that is in `out`, and nothing more */
};

struct net_stream {
    const struct net_bound *listener;
    enum stream_state state;
    bool wants_proxy_header; /* the first thing to come */
    bool wants_upgrade;      /* WebSocket is not agreed on yet */
    bool has_tls;
    bool is_behind_tls; /* the proxy's client spoke TLS with it */
    bool is_proxied;    /* the peer's address is one that a proxy has told */
    struct tls_session tls;
    struct websocket *ws;
    struct buf head;      /* a PROXY header or a request that is not whole */
    struct buf out;       /* for the socket */
    char *proxy_identity; /* a certificate's name that a trusted proxy has verified */
};

/* Whether connections of this listener have a stream. */
bool stream_is_needed(const struct net_bound *listener);
/* `tls` is referenced; NULL for none. */
SEALMQ_MUST_CHECK int stream_new(const struct net_bound *listener, struct net_tls *tls,
                                 struct net_stream **out);
void stream_free(struct net_stream *stream);

/* Reads the connection's socket once, and puts MQTT's bytes to worker->buffer, *n of them; they
 * count even when the state is not STREAM_OPEN any more. False when the socket has no more for now.
 */
bool stream_read(struct net_connection *c, size_t *n);
/* Takes from the pieces what it can, and sends it; call it only while nothing is pending. Returns
 * the bytes taken, or -1 when the connection is dead. */
ssize_t stream_write(struct net_connection *c, const struct broker_piece *pieces, size_t count);
/* Sends what waits. False when the connection is dead. */
SEALMQ_MUST_CHECK bool stream_push(struct net_connection *c);
static inline bool stream_is_pending(const struct net_stream *stream)
{
    return stream->out.n > 0;
}
/* Whether bytes are changed on their way. When they are not (a plain connection behind a proxy) the
 * socket is read and written without the stream, once the header has come. */
static inline bool stream_is_layered(const struct net_stream *stream)
{
    return stream != NULL && (stream->has_tls || stream->ws != NULL);
}
/* Says goodbye in all layers that are up; then no more may be written. */
void stream_end(struct net_connection *c);

/* Memory that it has, roughly, for the limit of unfinished handshakes. */
size_t stream_memory(const struct net_stream *stream);
/* What it waits for until a CONNECT can come, for the log. */
const char *stream_waits_for(const struct net_stream *stream);
/* Fills in what it knows of the peer. */
void stream_describe(const struct net_stream *stream, struct net_peer *peer);

#endif
