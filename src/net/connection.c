/* One connection on its worker: bytes from the socket to the shard and back.
 *
 * Reading: into the worker's buffer, straight from there to the shard; only what the shard does not
 * take is kept in `rest`, whose memory goes when it is empty, so that an idle connection costs
 * little more than its struct. Writing: once at the end of the turn, with one call for all that the
 * shard has collected; the socket is watched for room only while it is full.
 *
 * Closing: a close() with unread input makes TCP reset the connection, which may destroy a
 * DISCONNECT still on its way. So after the last output our side is shut down, and the socket is
 * closed when the peer has closed its own, has sent too much, or the time is up. */
#include "net/net_int.h"

#include "base/assert.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>
#include <utlist.h>

static void on_socket(uv_poll_t *poll, int status, int events);

struct net_connection *connection_new(struct net_worker *worker, int fd,
                                      const struct net_origin *peer, enum net_phase phase)
{
    struct net_connection *c = calloc(1, sizeof(*c));
    if (c == NULL || uv_poll_init(&worker->loop, &c->poll, fd) != 0) {
        free(c);
        origin_close_socket(worker->server, peer, fd);
        return NULL;
    }
    c->poll.data = c;
    c->worker = worker;
    c->fd = fd;
    c->phase = phase;
    c->peer = *peer;
    DL_APPEND(worker->lists[phase], c);
    if (phase == NET_HANDSHAKE)
        worker->handshake_count++;
    return c;
}

static void connection_leave_list(struct net_connection *c)
{
    DL_DELETE(c->worker->lists[c->phase], c);
    if (c->phase == NET_HANDSHAKE) {
        c->worker->handshake_count--;
        atomic_fetch_sub(&c->worker->server->handshake_bytes, c->handshake_bytes);
        c->handshake_bytes = 0;
    }
}

void connection_set_phase(struct net_connection *c, enum net_phase phase, uint64_t deadline_ms)
{
    connection_leave_list(c);
    c->phase = phase;
    c->deadline_ms = deadline_ms;
    DL_APPEND(c->worker->lists[phase], c);
}

/* The loop of a worker that another runs closes handles before the end of the turn, so the flush
 * list may still hold the connection. */
static void on_closed(uv_handle_t *handle)
{
    struct net_connection *c = handle->data;
    if (c->is_flushing)
        c->is_closed = true;
    else
        free(c);
}

int connection_release(struct net_connection *c, struct net_stream **stream)
{
    ASSERT(c->phase != NET_GONE);
    if (c->is_open) {
        c->is_open = false;
        broker_closed(c->worker->broker, c->name, uv_now(&c->worker->loop));
    }
    if (c->attached != NULL)
        c->attached->free(c->attached);
    c->attached = NULL;
    connection_leave_list(c);
    c->phase = NET_GONE;
    *stream = c->stream;
    c->stream = NULL;
    buf_close(&c->rest);
    uv_poll_stop(&c->poll);
    uv_close((uv_handle_t *)&c->poll, on_closed);
    return c->fd;
}

void connection_destroy(struct net_connection *c)
{
    struct net_stream *stream;
    int fd = connection_release(c, &stream);
    origin_close_socket(c->worker->server, &c->peer, fd);
    stream_free(stream);
}

static bool connection_wants_input(struct net_connection *c)
{
    if (c->stream != NULL && c->stream->out.n >= NET_STREAM_OUT_MAX)
        return false; /* answers that it does not take: no more of what causes them */
    switch (c->phase) {
    case NET_HANDSHAKE:
        return true;
    case NET_SERVING:
        return !c->is_input_unwanted && !c->has_input_ended &&
               broker_conn_wants_input(c->worker->broker, c->name);
    case NET_ENDING: /* to see the peer's end; not before our own is told */
        return !c->is_open;
    case NET_GONE:
        break;
    }
    return false;
}

void connection_watch(struct net_connection *c)
{
    if (c->phase == NET_GONE)
        return;
    int events = 0;
    if (connection_wants_input(c))
        events |= UV_READABLE;
    if (c->is_blocked)
        events |= UV_WRITABLE;
    if (events == c->events)
        return;
    c->events = (uint8_t)events;
    if (events == 0)
        uv_poll_stop(&c->poll);
    else if (uv_poll_start(&c->poll, events, on_socket) != 0)
        connection_destroy(c);
    crew_needs_run(c->worker);
}

/* Gives the shard `in`; returns how much of it the shard is done with. */
static size_t connection_feed(struct net_connection *c, struct bytes in)
{
    size_t consumed = 0;
    int e = broker_input(c->worker->broker, c->name, in, uv_now(&c->worker->loop), &consumed);
    if (e != 0) {
        c->is_input_unwanted = true;
        worker_flush_later(c->worker, c);
        return in.n;
    }
    ASSERT(consumed <= in.n);
    return consumed;
}

static void connection_feed_rest(struct net_connection *c)
{
    size_t consumed = connection_feed(c, buf_bytes(&c->rest));
    buf_consume(&c->rest, consumed);
    if (c->rest.n == 0) {
        buf_close(&c->rest);
    } else if (c->rest.capacity > NET_READ_BYTES && c->rest.n < c->rest.capacity / 8) {
        struct buf small = {0};
        buf_append_bytes(&small, buf_bytes(&c->rest));
        if (buf_status(&small) == 0) {
            buf_close(&c->rest);
            c->rest = small;
        } else {
            buf_close(&small);
        }
    }
}

/* After what a stream has read was taken: has it ended, or something to say? */
static void connection_after_stream(struct net_connection *c)
{
    if (c->stream->state == STREAM_REFUSED) {
        connection_linger(c);
        return;
    }
    if (c->stream->state == STREAM_ENDED)
        c->has_input_ended = true;
    if (c->has_input_ended || stream_is_pending(c->stream))
        worker_flush_later(c->worker, c);
}

void connection_serve(struct net_connection *c)
{
    struct net_worker *worker = c->worker;
    if (c->phase != NET_SERVING)
        connection_set_phase(c, NET_SERVING, 0);
    if (broker_open(worker->broker, c, c->peer.text, uv_now(&worker->loop), &c->name) != 0) {
        connection_destroy(c);
        return;
    }
    c->is_open = true;
    if (c->peer.is_one_too_many)
        broker_refuse_connect(worker->broker, c->name);
    connection_feed_rest(c);
    if (c->stream != NULL)
        connection_after_stream(c);
    connection_watch(c);
}

void connection_resume(struct net_connection *c)
{
    if (c->phase == NET_SERVING && c->rest.n > 0 && connection_wants_input(c)) {
        worker_drain_mailbox(c->worker);
        if (c->phase == NET_SERVING)
            connection_feed_rest(c);
    }
}

/* Gives the shard what was read behind what it has not taken yet. */
static void connection_take(struct net_connection *c, struct bytes in)
{
    if (c->rest.n > 0) {
        buf_append_bytes(&c->rest, in);
        if (buf_status(&c->rest) == 0)
            connection_feed_rest(c);
    } else {
        size_t consumed = connection_feed(c, in);
        buf_append(&c->rest, in.p + consumed, in.n - consumed);
    }
    if (buf_status(&c->rest) != 0)
        connection_destroy(c);
}

/* One read, given to the shard. False when there is nothing more to read for now. */
static bool connection_read_once(struct net_connection *c)
{
    struct net_worker *worker = c->worker;
    size_t held = c->rest.n;
    uint8_t *into = held > 0 ? buf_extend(&c->rest, NET_READ_BYTES) : worker->buffer;
    if (into == NULL) {
        connection_destroy(c);
        return false;
    }
    ssize_t n = recv(c->fd, into, NET_READ_BYTES, 0);
    int error_number = errno;
    if (held > 0)
        c->rest.n = held + (n > 0 ? (size_t)n : 0);
    if (n < 0 && error_number == EINTR)
        return true;
    if (n < 0 && error_number == EAGAIN)
        return false;
    if (n <= 0) { /* what it still gets may be written if it has closed its side only */
        c->has_input_ended = true;
        worker_flush_later(worker, c);
        return false;
    }
    worker_drain_mailbox(worker);
    if (c->phase != NET_SERVING)
        return false;
    if (held > 0)
        connection_feed_rest(c);
    else
        connection_take(c, bytes_of(into, (size_t)n));
    return n == NET_READ_BYTES;
}

/* The same for a connection with a stream. */
static bool connection_read_stream(struct net_connection *c)
{
    struct net_worker *worker = c->worker;
    size_t n = 0;
    bool has_more = stream_read(c, &n);
    if (n > 0) {
        worker_drain_mailbox(worker);
        if (c->phase == NET_SERVING)
            connection_take(c, bytes_of(worker->buffer, n));
    }
    if (c->phase == NET_SERVING)
        connection_after_stream(c);
    return has_more && c->phase == NET_SERVING;
}

static void connection_on_readable(struct net_connection *c)
{
    for (int i = 0; i < NET_READS_PER_TURN; i++) {
        if (c->phase != NET_SERVING || !connection_wants_input(c))
            break;
        if (!(stream_is_layered(c->stream) ? connection_read_stream(c) : connection_read_once(c)))
            break;
    }
    connection_watch(c);
}

/* Reads what nobody wants any more, until the peer has closed. */
static void connection_discard(struct net_connection *c)
{
    for (int i = 0; i < NET_READS_PER_TURN; i++) {
        ssize_t n = recv(c->fd, c->worker->buffer, NET_READ_BYTES, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR))
            break;
        if (n > 0)
            c->discarded_bytes += (size_t)n;
        if (n <= 0 || c->discarded_bytes > NET_LINGER_BYTES) {
            connection_destroy(c);
            return;
        }
    }
    connection_watch(c);
}

static void on_socket(uv_poll_t *poll, int status, int events)
{
    struct net_connection *c = poll->data;
    worker_rise(c->worker);
    if (status < 0) { /* the loop has stopped watching; a read tells what it is */
        c->events = 0;
        c->is_blocked = false;
        events = UV_READABLE | UV_WRITABLE;
    }
    if ((events & UV_WRITABLE) != 0) {
        c->is_blocked = false;
        if (c->is_open || c->stream != NULL)
            worker_flush_later(c->worker, c);
    }
    if ((events & UV_READABLE) == 0)
        return;
    if (c->phase == NET_HANDSHAKE)
        handshake_on_readable(c);
    else if (c->phase == NET_SERVING)
        connection_on_readable(c);
    else if (c->phase == NET_ENDING && !c->is_open)
        connection_discard(c);
}

/* --- output -------------------------------------------------------------------------------- */

/* Sends the pieces; the number of bytes taken, or -1 when the connection is dead. */
static ssize_t connection_send(struct net_connection *c, const struct broker_piece *pieces,
                               size_t count)
{
    struct iovec parts[NET_WRITE_PIECES];
    for (size_t i = 0; i < count; i++)
        parts[i] =
            (struct iovec){.iov_base = (void *)(uintptr_t)pieces[i].p, .iov_len = pieces[i].n};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
    ssize_t n;
    do {
        n = sendmsg(c->fd, &message, MSG_NOSIGNAL);
    } while (n < 0 && errno == EINTR);
    return n < 0 && errno == EAGAIN ? 0 : n;
}

/* Shuts our side down, when all output has gone. */
static void connection_shut(struct net_connection *c)
{
    if (c->is_output_shut || (c->stream != NULL && stream_is_pending(c->stream))) {
        connection_watch(c);
        return;
    }
    c->is_output_shut = true;
    if (shutdown(c->fd, SHUT_WR) != 0)
        connection_destroy(c);
    else
        connection_discard(c);
}

void connection_linger(struct net_connection *c)
{
    struct net_worker *worker = c->worker;
    uint64_t now = uv_now(&worker->loop);
    if (c->is_open) {
        /* After a DISCONNECT nothing is unread that could make of our end a reset. */
        if (c->stream == NULL && broker_conn_has_left(worker->broker, c->name))
            c->has_input_ended = true;
        c->is_open = false;
        broker_closed(worker->broker, c->name, now);
    }
    buf_close(&c->rest);
    if (c->stream != NULL) {
        stream_end(c);
        if (!stream_push(c))
            c->has_input_ended = true;
        c->is_blocked = stream_is_pending(c->stream);
    }
    if (c->has_input_ended) {
        connection_destroy(c);
        return;
    }
    if (worker->is_stopping)
        connection_set_phase(c, NET_ENDING, now + NET_LINGER_STOP_MS);
    else if (c->phase != NET_ENDING)
        connection_set_phase(c, NET_ENDING, now + NET_END_TIMEOUT_MS);
    connection_shut(c);
}

/* Sends what the stream has waiting; false when the connection has gone over it. */
static bool connection_push(struct net_connection *c)
{
    if (!stream_push(c)) {
        connection_destroy(c);
        return false;
    }
    c->is_blocked = stream_is_pending(c->stream);
    return true;
}

/* The same when the shard does not know it yet, or any more: only the stream may have output. */
static void connection_flush_unserved(struct net_connection *c)
{
    if (c->phase == NET_GONE || c->stream == NULL || !connection_push(c))
        return;
    if (c->phase == NET_ENDING)
        connection_shut(c);
    else
        connection_watch(c);
}

void connection_flush(struct net_connection *c)
{
    struct net_worker *worker = c->worker;
    struct broker_piece pieces[NET_WRITE_PIECES];
    bool is_closing = false;
    bool is_done = false;
    size_t total = 0;
    if (!c->is_open) {
        connection_flush_unserved(c);
        return;
    }
    bool is_layered = stream_is_layered(c->stream);
    if (is_layered && !connection_push(c))
        return;
    for (;;) {
        size_t count =
            broker_output(worker->broker, c->name, pieces, NET_WRITE_PIECES, &is_closing);
        is_done = count == 0;
        if (is_done || c->is_blocked)
            break;
        size_t want = 0;
        for (size_t i = 0; i < count; i++)
            want += pieces[i].n;
        ssize_t n = is_layered ? stream_write(c, pieces, count) : connection_send(c, pieces, count);
        if (n < 0) {
            connection_destroy(c);
            return;
        }
        if (n > 0)
            broker_output_written(worker->broker, c->name, (size_t)n);
        total += (size_t)n;
        /* After a lot, let the others have their turn: the loop comes back at once. */
        c->is_blocked = total >= NET_WRITE_TURN_BYTES ||
                        (is_layered ? stream_is_pending(c->stream) : (size_t)n < want);
    }
    bool is_held = broker_output_is_held(worker->broker, c->name);
    if (is_done && is_closing && !is_held && !(is_layered && stream_is_pending(c->stream))) {
        connection_linger(c);
        return;
    }
    if (c->has_input_ended && !is_held) {
        connection_destroy(c);
        return;
    }
    if (is_closing && c->phase == NET_SERVING)
        connection_set_phase(c, NET_ENDING, uv_now(&worker->loop) + NET_END_TIMEOUT_MS);
    connection_watch(c);
}

bool connection_flush_as_visitor(struct net_connection *c)
{
    struct broker *broker = c->worker->broker;
    struct broker_piece pieces[NET_WRITE_PIECES];
    bool is_closing = false;
    size_t count, total = 0;
    bool is_layered = stream_is_layered(c->stream);
    if (c->phase != NET_SERVING || !c->is_open || c->is_blocked || c->has_input_ended ||
        (is_layered && stream_is_pending(c->stream)))
        return false;
    while ((count = broker_output(broker, c->name, pieces, NET_WRITE_PIECES, &is_closing)) != 0) {
        size_t want = 0;
        for (size_t i = 0; i < count; i++)
            want += pieces[i].n;
        ssize_t n = is_layered ? stream_write(c, pieces, count) : connection_send(c, pieces, count);
        bool is_stuck = is_layered ? stream_is_pending(c->stream) : n < (ssize_t)want;
        if (n > 0)
            broker_output_written(broker, c->name, (size_t)n);
        total += n > 0 ? (size_t)n : 0;
        if (n < 0 || is_stuck || total >= NET_WRITE_TURN_BYTES)
            return false; /* the owner's next attempt finds what is wrong */
    }
    int events = connection_wants_input(c) ? UV_READABLE : 0;
    return !is_closing && events == c->events && (c->rest.n == 0 || events == 0);
}

void connection_expire(struct net_worker *worker, uint64_t now_ms)
{
    struct net_connection *next;
    for (struct net_connection *c = worker->lists[NET_ENDING]; c != NULL; c = next) {
        next = c->next;
        if (c->deadline_ms <= now_ms)
            connection_destroy(c);
        else if (!worker->is_stopping) /* else deadlines are not in order */
            break;
    }
}
