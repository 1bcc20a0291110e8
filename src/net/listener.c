/* Listening sockets, and accepting.
 *
 * One socket for each address, watched by every worker. SO_REUSEPORT, with a socket for each
 * worker, would spare the needless wake-ups when a connection comes; but it lets a second server of
 * the same user bind the same port and take half of the connections without anybody noticing, and
 * loses what waits in a queue when a worker ends. A connection moves to the worker of its client id
 * anyway, so who accepts it matters little. */
#include "net/net_int.h"

#include "base/log.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union address {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_storage storage;
};

static int address_parse(const char *text, uint16_t port, union address *out, socklen_t *size)
{
    *out = (union address){0};
    if (inet_pton(AF_INET, text, &out->in.sin_addr) == 1) {
        out->in.sin_family = AF_INET;
        out->in.sin_port = htons(port);
        *size = sizeof(out->in);
        return 0;
    }
    if (inet_pton(AF_INET6, text, &out->in6.sin6_addr) == 1) {
        out->in6.sin6_family = AF_INET6;
        out->in6.sin6_port = htons(port);
        *size = sizeof(out->in6);
        return 0;
    }
    return SEALMQ_E_ARG;
}

static void address_format(const union address *address, char out[NET_PEER_MAX])
{
    char host[INET6_ADDRSTRLEN] = "?";
    if (address->any.sa_family == AF_INET) {
        inet_ntop(AF_INET, &address->in.sin_addr, host, sizeof(host));
        snprintf(out, NET_PEER_MAX, "%s:%u", host, ntohs(address->in.sin_port));
    } else if (address->any.sa_family == AF_INET6) {
        inet_ntop(AF_INET6, &address->in6.sin6_addr, host, sizeof(host));
        snprintf(out, NET_PEER_MAX, "[%s]:%u", host, ntohs(address->in6.sin6_port));
    } else {
        snprintf(out, NET_PEER_MAX, "?");
    }
}

int listener_bind(const struct net_listener *where, struct net_bound *out, char *why,
                  size_t why_size)
{
    union address address;
    socklen_t size = 0;
    int on = 1;
    *out = (struct net_bound){.fd = -1};
    if (where->address == NULL ||
        address_parse(where->address, where->port, &address, &size) != 0) {
        snprintf(why, why_size, "%s: not a numeric address",
                 where->address != NULL ? where->address : "");
        return SEALMQ_E_ARG;
    }
    char name[NET_PEER_MAX];
    address_format(&address, name);
    int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0)
        goto failed;
    if (setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0)
        goto failed;
    /* "::" means IPv6 alone, so that "0.0.0.0" can be bound beside it. */
    if (address.any.sa_family == AF_INET6 &&
        setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof(on)) != 0)
        goto failed;
    if (bind(fd, &address.any, size) != 0 || listen(fd, NET_BACKLOG) != 0)
        goto failed;
    size = sizeof(address);
    if (getsockname(fd, &address.any, &size) != 0)
        goto failed;
    out->fd = fd;
    out->port =
        ntohs(address.any.sa_family == AF_INET ? address.in.sin_port : address.in6.sin6_port);
    return 0;
failed:
    snprintf(why, why_size, "%s: %s", name, strerror(errno));
    if (fd >= 0)
        close(fd);
    return SEALMQ_E_IO;
}

/* Out of descriptors or memory: those that wait stay in the queue, and we come back a little later
 * instead of being woken for them again and again. */
static void accept_pause(struct net_worker *worker, int error_number)
{
    struct net_server *server = worker->server;
    uint64_t now = uv_now(&worker->loop);
    for (size_t i = 0; i < server->listener_count; i++)
        uv_poll_stop(&worker->listeners[i]);
    worker->accept_due_ms = now + NET_ACCEPT_PAUSE_MS;
    uint64_t logged = atomic_load(&server->accept_logged_ms);
    if ((logged == 0 || now >= logged + 1000) &&
        atomic_compare_exchange_strong(&server->accept_logged_ms, &logged, now))
        log_error(NET_LOG, "cannot accept connections: %s", strerror(error_number));
}

static void on_acceptable(uv_poll_t *poll, int status, int events)
{
    (void)events;
    struct net_worker *worker = poll->data;
    worker_rise(worker);
    size_t i = (size_t)(poll - worker->listeners);
    if (status < 0) {
        accept_pause(worker, -status);
        return;
    }
    for (int n = 0; n < NET_ACCEPTS_PER_TURN; n++) {
        union address address = {0};
        socklen_t size = sizeof(address);
        int fd = accept4(worker->server->listeners[i].fd, &address.any, &size,
                         SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd < 0) {
            if (errno == EINTR || errno == ECONNABORTED)
                continue;
            if (errno != EAGAIN)
                accept_pause(worker, errno);
            return;
        }
        int on = 1;
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
        /* For clients without a keep alive whose machine is gone. */
        (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
        char peer[NET_PEER_MAX];
        address_format(&address, peer);
        handshake_begin(worker, fd, (uint32_t)i, peer);
    }
}

void listeners_open(struct net_worker *worker)
{
    worker->accept_due_ms = UINT64_MAX;
    worker->is_accepting = true;
    for (size_t i = 0; i < worker->server->listener_count; i++) {
        if (uv_poll_start(&worker->listeners[i], UV_READABLE, on_acceptable) != 0)
            accept_pause(worker, ENOMEM);
    }
}

void listeners_resume(struct net_worker *worker)
{
    if (worker->is_accepting && uv_now(&worker->loop) >= worker->accept_due_ms)
        listeners_open(worker);
}

void listeners_close(struct net_worker *worker)
{
    worker->is_accepting = false;
    worker->accept_due_ms = UINT64_MAX;
    for (size_t i = 0; i < worker->server->listener_count; i++)
        uv_poll_stop(&worker->listeners[i]);
}
