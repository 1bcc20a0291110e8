#include "loop.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define READ_BYTES   ((size_t)512 * 1024)
#define FILLER_BYTES ((size_t)1024 * 1024)
#define EVENTS       256
#define ADDRESSES    16 /* 127.0.0.1 and so on */

#ifndef IP_BIND_ADDRESS_NO_PORT
#define IP_BIND_ADDRESS_NO_PORT 24
#endif

static uint8_t filler[FILLER_BYTES];

uint64_t clock_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

void loop_open(struct loop *loop)
{
    *loop = (struct loop){.epoll = epoll_create1(EPOLL_CLOEXEC), .buffer = malloc(READ_BYTES)};
    if (loop->epoll < 0 || loop->buffer == NULL)
        give_up("cannot make an event loop");
    memset(filler, 'x', sizeof filler);
    prctl(PR_SET_TIMERSLACK, 1UL);
    loop->now_ns = clock_ns();
}

void loop_close(struct loop *loop)
{
    close(loop->epoll);
    free(loop->buffer);
}

/* --- opening and closing ------------------------------------------------------------------- */

static bool connect_from(int fd, uint16_t port, uint32_t number)
{
    const int on = 1;
    struct sockaddr_in from = {.sin_family = AF_INET,
                               .sin_addr.s_addr = htonl(INADDR_LOOPBACK + number % ADDRESSES)};
    struct sockaddr_in to = {
        .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK), .sin_port = htons(port)};
    setsockopt(fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&from, sizeof from) != 0)
        return false;
    return connect(fd, (struct sockaddr *)&to, sizeof to) == 0 || errno == EINPROGRESS;
}

bool wire_open(struct loop *loop, struct wire *wire, uint16_t port, uint32_t number)
{
    wire->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (wire->fd < 0)
        return false;
    struct epoll_event event = {.events = EPOLLIN, .data.ptr = wire};
    if (!connect_from(wire->fd, port, number) ||
        epoll_ctl(loop->epoll, EPOLL_CTL_ADD, wire->fd, &event) != 0) {
        close(wire->fd);
        wire->fd = -1;
        return false;
    }
    return true;
}

void wire_close(struct wire *wire)
{
    if (wire->fd >= 0)
        close(wire->fd);
    free(wire->out);
    free(wire->held);
    /* It may still be in the list of dirty wires, which leaves it out by its fd. */
    *wire = (struct wire){.fd = -1,
                          .reader = wire->reader,
                          .owner = wire->owner,
                          .is_dirty = wire->is_dirty,
                          .dirty_next = wire->dirty_next};
}

void wire_abort(struct wire *wire)
{
    const struct linger at_once = {.l_onoff = 1};
    if (wire->fd >= 0)
        setsockopt(wire->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    wire_close(wire);
}

static void lose(struct wire *wire)
{
    if (wire->fd < 0)
        return;
    wire_close(wire);
    wire->reader->closed(wire);
}

/* --- out ----------------------------------------------------------------------------------- */

static void *grown(void *memory, size_t *capacity, size_t least)
{
    size_t size = *capacity == 0 ? 256 : *capacity;
    while (size < least)
        size *= 2;
    memory = realloc(memory, size);
    if (memory == NULL)
        give_up("out of memory");
    *capacity = size;
    return memory;
}

uint8_t *wire_extend(struct loop *loop, struct wire *wire, size_t n)
{
    if (!wire->is_dirty) {
        wire->is_dirty = true;
        wire->dirty_next = loop->dirty;
        loop->dirty = wire;
    }
    if (wire->out_n + n > wire->out_capacity && wire->out_sent != 0) {
        wire->out_n -= wire->out_sent;
        memmove(wire->out, wire->out + wire->out_sent, wire->out_n);
        wire->out_sent = 0;
    }
    if (wire->out_n + n > wire->out_capacity)
        wire->out = grown(wire->out, &wire->out_capacity, wire->out_n + n);
    uint8_t *room = wire->out + wire->out_n;
    wire->out_n += n;
    return room;
}

void wire_append_filler(struct wire *wire, size_t n)
{
    wire->filler_left = n;
}

static void want_room(struct loop *loop, struct wire *wire, bool wanted)
{
    if (wire->waits_for_room == wanted)
        return;
    wire->waits_for_room = wanted;
    struct epoll_event event = {.events = EPOLLIN | (wanted ? (uint32_t)EPOLLOUT : 0),
                                .data.ptr = wire};
    epoll_ctl(loop->epoll, EPOLL_CTL_MOD, wire->fd, &event);
}

static void took(struct wire *wire, size_t n)
{
    size_t of_out = wire->out_n - wire->out_sent;
    if (of_out > n)
        of_out = n;
    wire->out_sent += of_out;
    wire->filler_left -= n - of_out;
    if (wire->out_sent == wire->out_n)
        wire->out_n = wire->out_sent = 0;
}

static void flush(struct loop *loop, struct wire *wire)
{
    while (wire_unsent(wire) != 0) {
        size_t of_filler = wire->filler_left < FILLER_BYTES ? wire->filler_left : FILLER_BYTES;
        struct iovec parts[2] = {
            {wire->out + wire->out_sent, wire->out_n - wire->out_sent},
            {filler, of_filler},
        };
        ssize_t n = of_filler == 0
                        ? send(wire->fd, parts[0].iov_base, parts[0].iov_len, MSG_NOSIGNAL)
                        : writev(wire->fd, parts, 2);
        if (n < 0 && (errno == EAGAIN || errno == ENOTCONN)) {
            want_room(loop, wire, true);
            return;
        }
        if (n < 0 && errno != EINTR) {
            lose(wire);
            return;
        }
        if (n > 0)
            took(wire, (size_t)n);
    }
    want_room(loop, wire, false);
}

static void flush_all(struct loop *loop)
{
    while (loop->dirty != NULL) {
        struct wire *wire = loop->dirty;
        loop->dirty = wire->dirty_next;
        wire->is_dirty = false;
        if (wire->fd >= 0 && !wire->waits_for_room)
            flush(loop, wire);
    }
}

/* --- in ------------------------------------------------------------------------------------ */

/* The fixed header: its length and the body's; 0 when it is not complete, -1 when it is none. */
static int fixed_header(const uint8_t *p, size_t n, size_t *body)
{
    size_t value = 0;
    for (unsigned i = 0; i < 4; i++) {
        if (n < 2 + i)
            return 0;
        value |= (size_t)(p[1 + i] & 0x7f) << (7 * i);
        if ((p[1 + i] & 0x80) == 0) {
            *body = value;
            return (int)(2 + i);
        }
    }
    return -1;
}

static void hold(struct wire *wire, const uint8_t *p, size_t n)
{
    if (n > wire->held_capacity)
        wire->held = grown(wire->held, &wire->held_capacity, n);
    if (n != 0)
        memmove(wire->held, p, n);
    wire->held_n = n;
}

/* The beginning of a long packet is there: keeps it, and skips the rest. */
static void begin_long(struct wire *wire, uint8_t first, const uint8_t *body, size_t n,
                       size_t total)
{
    wire->long_first = first;
    wire->long_total = total;
    wire->skip = total - n;
    hold(wire, body, n < LOOP_HEAD_MAX ? n : LOOP_HEAD_MAX);
}

static void end_long(struct wire *wire)
{
    struct packet packet = {wire->long_first, wire->held, wire->held_n, wire->long_total};
    wire->held_n = 0;
    wire->reader->packet(wire, &packet);
}

/* Gives away the packets in p[0..n), and holds what is left. */
static void take_packets(struct wire *wire, const uint8_t *p, size_t n)
{
    while (n != 0) {
        size_t body = 0;
        int header = fixed_header(p, n, &body);
        if (header < 0) {
            lose(wire);
            return;
        }
        size_t there = n - (size_t)header;
        if (header != 0 && body > LOOP_WHOLE_MAX && there >= LOOP_HEAD_MAX && there < body) {
            begin_long(wire, p[0], p + header, there, body);
            return;
        }
        if (header == 0 || there < body)
            break;
        struct packet packet = {p[0], p + header, body, body};
        wire->reader->packet(wire, &packet);
        if (wire->fd < 0)
            return;
        p += (size_t)header + body;
        n -= (size_t)header + body;
    }
    hold(wire, p, n);
}

static void take_skipped(struct wire *wire, ssize_t n)
{
    wire->skip -= (size_t)n;
    if (wire->skip == 0)
        end_long(wire);
}

static void receive(struct loop *loop, struct wire *wire)
{
    ssize_t n;
    if (wire->skip != 0) {
        n = recv(wire->fd, loop->buffer, wire->skip, MSG_TRUNC);
    } else {
        if (wire->held_n != 0)
            memcpy(loop->buffer, wire->held, wire->held_n);
        n = recv(wire->fd, loop->buffer + wire->held_n, READ_BYTES - wire->held_n, 0);
    }
    if (n < 0 && (errno == EAGAIN || errno == EINTR))
        return;
    if (n <= 0)
        lose(wire);
    else if (wire->skip != 0)
        take_skipped(wire, n);
    else
        take_packets(wire, loop->buffer, wire->held_n + (size_t)n);
}

void loop_turn(struct loop *loop, int64_t timeout_ns)
{
    struct epoll_event events[EVENTS];
    flush_all(loop);
    struct timespec timeout = {timeout_ns / 1000000000, timeout_ns % 1000000000};
    int n = epoll_pwait2(loop->epoll, events, EVENTS, timeout_ns < 0 ? NULL : &timeout, NULL);
    if (n < 0 && errno != EINTR)
        give_up("epoll: %s", strerror(errno));
    loop->now_ns = clock_ns();
    for (int i = 0; i < n; i++) {
        struct wire *wire = events[i].data.ptr;
        if (wire->fd >= 0 && (events[i].events & EPOLLOUT) != 0)
            flush(loop, wire);
        if (wire->fd >= 0 && (events[i].events & ~(uint32_t)EPOLLOUT) != 0)
            receive(loop, wire);
    }
}
