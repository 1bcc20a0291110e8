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
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static int address_parse(const char *text, uint16_t port, union net_address *out, socklen_t *size)
{
    *out = (union net_address){0};
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

void address_format(const union net_address *address, char out[NET_PEER_MAX])
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

static int bind_tcp(const struct net_listener *where, struct net_bound *out, char *why,
                    size_t why_size)
{
    union net_address address;
    socklen_t size = 0;
    int on = 1;
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
    address_format(&address, out->name);
    return 0;
failed:
    snprintf(why, why_size, "%s: %s", name, strerror(errno));
    if (fd >= 0)
        close(fd);
    return SEALMQ_E_IO;
}

static int bind_unix(const struct net_listener *where, struct net_bound *out, char *why,
                     size_t why_size)
{
    if (where->address != NULL) {
        snprintf(why, why_size, "%s: give an address or a Unix socket, not both", where->unix_path);
        return SEALMQ_E_ARG;
    }
    unsigned mode = where->unix_mode != 0 ? where->unix_mode : NET_UNIX_MODE_DEFAULT;
    int e = unix_socket_bind(where->unix_path, mode, NET_BACKLOG, &out->unix_socket, &out->fd, why,
                             why_size);
    if (e != 0)
        return e;
    snprintf(out->name, sizeof(out->name), "%s", where->unix_path);
    out->unix_path = strdup(where->unix_path);
    if (out->unix_path == NULL) {
        unix_socket_remove(where->unix_path, &out->unix_socket);
        close(out->fd);
        out->fd = -1;
        return SEALMQ_E_NOMEM;
    }
    return 0;
}

int listener_bind(const struct net_listener *where, struct net_bound *out, char *why,
                  size_t why_size)
{
    const char *path = where->websocket_path;
    *out = (struct net_bound){.fd = -1,
                              .is_websocket = where->is_websocket,
                              .takes_proxy_protocol = where->takes_proxy_protocol,
                              .trusts_proxy_certificate = where->trusts_proxy_certificate,
                              .has_tls = where->tls != NULL,
                              .connections_max = where->connections};
    if (path != NULL && (path[0] != '/' || strlen(path) > NET_WEBSOCKET_PATH_MAX)) {
        snprintf(why, why_size,
                 "%s: the path of a WebSocket begins with /, and is no longer than %d", path,
                 NET_WEBSOCKET_PATH_MAX);
        return SEALMQ_E_ARG;
    }
    int e = where->unix_path != NULL ? bind_unix(where, out, why, why_size)
                                     : bind_tcp(where, out, why, why_size);
    if (e != 0)
        return e;
    if (where->name != NULL)
        snprintf(out->name, sizeof(out->name), "%s", where->name);
    if (where->tls != NULL)
        out->tls = net_tls_ref(where->tls);
    out->websocket_path = path == NULL ? NULL : strdup(path);
    if (path != NULL && out->websocket_path == NULL) {
        listener_close(out);
        return SEALMQ_E_NOMEM;
    }
    return 0;
}

bool listener_admit(struct net_bound *listener)
{
    if (atomic_fetch_add(&listener->connections, 1) < listener->connections_max ||
        listener->connections_max == 0)
        return true;
    atomic_fetch_sub(&listener->connections, 1);
    return false;
}

void listener_close_socket(struct net_bound *listener, int fd)
{
    close(fd);
    atomic_fetch_sub(&listener->connections, 1);
}

void origin_close_socket(struct net_server *server, const struct net_origin *origin, int fd)
{
    sources_leave(&server->sources, origin->source);
    listener_close_socket(&server->listeners[origin->listener], fd);
}

bool origin_enter_source(struct net_worker *worker, struct net_origin *origin,
                         const union net_address *address)
{
    enum source_verdict verdict = sources_enter(&worker->server->sources, address, &origin->source);
    if (verdict == SOURCE_WELCOME)
        return true;
    broker_count_address_refused(worker->broker);
    log_debug(NET_LOG, "%s: its address has as many connections as it may", origin->text);
    origin->is_one_too_many = true;
    return verdict == SOURCE_FULL;
}

void listener_close(struct net_bound *listener)
{
    if (listener->unix_path != NULL)
        unix_socket_remove(listener->unix_path, &listener->unix_socket);
    if (listener->fd >= 0)
        close(listener->fd);
    net_tls_unref(listener->tls);
    free(listener->unix_path);
    free(listener->websocket_path);
    *listener = (struct net_bound){.fd = -1};
}

static void accept_later(struct net_worker *worker, uint64_t ms)
{
    for (size_t i = 0; i < worker->server->listener_count; i++)
        uv_poll_stop(&worker->listeners[i]);
    worker->accept_due_ms = uv_now(&worker->loop) + ms;
}

/* Pays for one connection at the rate of all workers together, of which a second's worth may come
 * at once; 0, or for how long to wait instead. */
static uint64_t accept_wait_ms(struct net_worker *worker)
{
    struct net_server *server = worker->server;
    if (server->limits.accepts_per_second == 0)
        return 0;
    uint64_t now_us = uv_now(&worker->loop) * 1000;
    uint64_t ahead_us = now_us > 1000000 ? now_us - 1000000 : 0;
    uint64_t paid_us = atomic_load(&server->accept_paid_us);
    uint64_t next_us;
    do {
        next_us = paid_us > ahead_us ? paid_us : ahead_us;
        next_us += 1000000 / server->limits.accepts_per_second;
        if (next_us > now_us)
            return (next_us - now_us) / 1000 + 1;
    } while (!atomic_compare_exchange_weak(&server->accept_paid_us, &paid_us, next_us));
    return 0;
}

/* Out of descriptors or memory: those that wait stay in the queue, and we come back a little later
 * instead of being woken for them again and again. */
static void accept_pause(struct net_worker *worker, int error_number)
{
    struct net_server *server = worker->server;
    uint64_t now = uv_now(&worker->loop);
    accept_later(worker, NET_ACCEPT_PAUSE_MS);
    uint64_t logged = atomic_load(&server->accept_logged_ms);
    if ((logged == 0 || now >= logged + 1000) &&
        atomic_compare_exchange_strong(&server->accept_logged_ms, &logged, now))
        log_error(NET_LOG, "cannot accept connections: %s", strerror(error_number));
}

/* Says where it comes from, and sets the socket up. */
static void describe(int fd, const union net_address *address, const struct net_bound *listener,
                     struct net_origin *out)
{
    if (listener->unix_path != NULL) {
        out->is_local_socket = unix_socket_uid(fd, &out->uid) == 0;
        snprintf(out->text, sizeof(out->text), "unix:uid=%u", out->uid);
        return;
    }
    int on = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    /* For clients without a keep alive whose machine is gone. */
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on));
    address_format(address, out->text);
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
        uint64_t wait_ms = accept_wait_ms(worker);
        if (wait_ms != 0) {
            broker_count_accept_pause(worker->broker);
            accept_later(worker, wait_ms);
            return;
        }
        union net_address address = {0};
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
        struct net_bound *listener = &worker->server->listeners[i];
        struct net_origin peer = {.listener = (uint32_t)i};
        describe(fd, &address, listener, &peer);
        if (!listener_admit(listener)) {
            log_debug(NET_LOG, "%s: %s has as many connections as it may", peer.text,
                      listener->name);
            close(fd);
            continue;
        }
        /* Behind a proxy it is the address that the proxy tells. */
        if (listener->unix_path == NULL && !listener->takes_proxy_protocol &&
            !origin_enter_source(worker, &peer, &address)) {
            origin_close_socket(worker->server, &peer, fd);
            continue;
        }
        handshake_begin(worker, fd, &peer);
    }
}

void listeners_open(struct net_worker *worker)
{
    worker->accept_due_ms = UINT64_MAX;
    worker->is_accepting = true;
    for (size_t i = 0; i < worker->server->listener_count; i++) {
        crew_needs_run(worker);
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
