/* libmicrohttpd driven from outside through its epoll descriptor. Its own timeout begins anew with
 * every byte, so that a slow sender could stay for hours: a connection therefore has a deadline
 * from its opening, at which its socket is shut down. */
#include "http/server.h"

#include "base/assert.h"

#include <arpa/inet.h>
#include <errno.h>
#include <microhttpd.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define BACKLOG 64

struct open_connection {
    int fd; /* -1: none */
    int64_t deadline_ms;
};

struct http_server {
    struct MHD_Daemon *daemon;
    int epoll_fd;
    uint16_t port;
    struct http_route routes[HTTP_ROUTES_MAX];
    size_t route_count;
    bool has_closed; /* a connection, in this run */
    struct open_connection connections[HTTP_CONNECTIONS_MAX];
};

union address {
    struct sockaddr any;
    struct sockaddr_in v4;
    struct sockaddr_in6 v6;
};

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static bool address_parse(const char *text, uint16_t port, union address *out, socklen_t *size)
{
    *out = (union address){0};
    if (inet_pton(AF_INET, text, &out->v4.sin_addr) == 1) {
        out->v4.sin_family = AF_INET;
        out->v4.sin_port = htons(port);
        *size = sizeof out->v4;
        return true;
    }
    if (inet_pton(AF_INET6, text, &out->v6.sin6_addr) == 1) {
        out->v6.sin6_family = AF_INET6;
        out->v6.sin6_port = htons(port);
        *size = sizeof out->v6;
        return true;
    }
    return false;
}

bool http_address_split(const char *text, char *address, size_t address_size, uint16_t *port)
{
    const char *colon = strrchr(text, ':');
    size_t n = colon == NULL ? 0 : (size_t)(colon - text);
    bool is_bracketed = n >= 2 && text[0] == '[' && text[n - 1] == ']';
    union address parsed;
    socklen_t size;
    char *end = NULL;
    if (is_bracketed) {
        text++;
        n -= 2;
    }
    address[0] = '\0';
    if (n == 0 || n >= address_size || colon[1] < '0' || colon[1] > '9')
        return false;
    errno = 0;
    unsigned long number = strtoul(colon + 1, &end, 10);
    memcpy(address, text, n);
    address[n] = '\0';
    bool is_v6 = strchr(address, ':') != NULL;
    if (errno != 0 || *end != '\0' || number > UINT16_MAX || is_v6 != is_bracketed ||
        !address_parse(address, 0, &parsed, &size)) {
        address[0] = '\0';
        return false;
    }
    *port = (uint16_t)number;
    return true;
}

bool http_address_is_loopback(const char *address)
{
    union address parsed;
    socklen_t size;
    if (!address_parse(address, 0, &parsed, &size))
        return false;
    if (parsed.any.sa_family == AF_INET)
        return ntohl(parsed.v4.sin_addr.s_addr) >> 24 == 127;
    return IN6_IS_ADDR_LOOPBACK(&parsed.v6.sin6_addr);
}

/* A path is compared as it was sent: nothing that a client needs is written with escapes. */
static size_t keep_escapes(void *context, struct MHD_Connection *connection, char *path)
{
    (void)context;
    (void)connection;
    return strlen(path);
}

/* --- answers ------------------------------------------------------------------------------- */

static enum MHD_Result send_answer(struct MHD_Connection *connection, struct http_answer *answer)
{
    if (buf_status(&answer->body) != 0) {
        buf_close(&answer->body);
        *answer = (struct http_answer){.status = 500, .content_type = answer->content_type};
        buf_append_cstr(&answer->body, "out of memory\n");
    }
    /* The response takes the memory. */
    struct MHD_Response *response =
        MHD_create_response_from_buffer(answer->body.n, answer->body.p, MHD_RESPMEM_MUST_FREE);
    if (response == NULL) {
        buf_close(&answer->body);
        return MHD_NO;
    }
    enum MHD_Result result = MHD_YES;
    result &= MHD_add_response_header(response, "Content-Type", answer->content_type);
    result &= MHD_add_response_header(response, "Cache-Control", "no-store");
    result &= MHD_add_response_header(response, "X-Content-Type-Options", "nosniff");
    result &= MHD_add_response_header(response, "Connection", "close");
    if (answer->status == 405)
        result &= MHD_add_response_header(response, "Allow", "GET, HEAD");
    if (result == MHD_YES)
        result = MHD_queue_response(connection, answer->status, response);
    MHD_destroy_response(response);
    return result;
}

static const struct http_route *find_route(const struct http_server *server, const char *path)
{
    for (size_t i = 0; i < server->route_count; i++) {
        if (strcmp(server->routes[i].path, path) == 0)
            return &server->routes[i];
    }
    return NULL;
}

static bool has_body(struct MHD_Connection *connection)
{
    const char *length = MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Content-Length");
    const char *coding =
        MHD_lookup_connection_value(connection, MHD_HEADER_KIND, "Transfer-Encoding");
    return coding != NULL || (length != NULL && strspn(length, "0") != strlen(length));
}

static void refuse(struct http_answer *answer, unsigned status, const char *words)
{
    answer->status = status;
    buf_append_cstr(&answer->body, words);
}

/* Called when the head of a request is there; answered at once, since no request has a body. */
static enum MHD_Result on_request(void *context, struct MHD_Connection *connection,
                                  const char *path, const char *method, const char *version,
                                  const char *upload, size_t *upload_size, void **request)
{
    struct http_server *server = context;
    struct http_answer answer = {.status = 200, .content_type = "text/plain; charset=utf-8"};
    const struct http_route *route = find_route(server, path);
    (void)version;
    (void)upload;
    (void)upload_size;
    (void)request;
    if (strcmp(method, "GET") != 0 && strcmp(method, "HEAD") != 0)
        refuse(&answer, 405, "only GET and HEAD\n");
    else if (has_body(connection))
        refuse(&answer, 413, "a request has no body here\n");
    else if (route == NULL)
        refuse(&answer, 404, "not found\n");
    else
        route->answer(route->context, &answer);
    return send_answer(connection, &answer);
}

/* --- deadlines ----------------------------------------------------------------------------- */

static void on_connection(void *context, struct MHD_Connection *connection, void **slot,
                          enum MHD_ConnectionNotificationCode code)
{
    struct http_server *server = context;
    if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
        server->has_closed = true;
        struct open_connection *open = *slot;
        if (open != NULL)
            open->fd = -1;
        return;
    }
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(connection, MHD_CONNECTION_INFO_CONNECTION_FD);
    for (size_t i = 0; info != NULL && i < HTTP_CONNECTIONS_MAX; i++) {
        struct open_connection *open = &server->connections[i];
        if (open->fd != -1)
            continue;
        *open = (struct open_connection){info->connect_fd, now_ms() + HTTP_CONNECTION_MS};
        *slot = open;
        return;
    }
    /* There are as many slots as connections are let in. */
    ASSERT(info == NULL);
}

/* What is shut down is readable at its end, and the next run closes it. */
static void cut_overdue(struct http_server *server)
{
    int64_t now = now_ms();
    for (size_t i = 0; i < HTTP_CONNECTIONS_MAX; i++) {
        struct open_connection *open = &server->connections[i];
        if (open->fd != -1 && open->deadline_ms <= now) {
            (void)shutdown(open->fd, SHUT_RDWR);
            open->deadline_ms = INT64_MAX;
        }
    }
}

int http_server_timeout_ms(struct http_server *server)
{
    MHD_UNSIGNED_LONG_LONG theirs;
    int64_t left = MHD_get_timeout(server->daemon, &theirs) == MHD_YES && theirs < INT32_MAX
                       ? (int64_t)theirs
                       : INT64_MAX;
    int64_t now = now_ms();
    for (size_t i = 0; i < HTTP_CONNECTIONS_MAX; i++) {
        const struct open_connection *open = &server->connections[i];
        if (open->fd == -1 || open->deadline_ms == INT64_MAX)
            continue;
        int64_t own = open->deadline_ms > now ? open->deadline_ms - now : 0;
        left = own < left ? own : left;
    }
    return left == INT64_MAX ? -1 : (int)left;
}

void http_server_run(struct http_server *server)
{
    cut_overdue(server);
    /* At its limit, libmicrohttpd stops to listen, and begins again only in the run after the one
     * that has closed a connection: nothing else would call for that run. */
    do {
        server->has_closed = false;
        (void)MHD_run(server->daemon);
    } while (server->has_closed);
}

int http_server_fd(const struct http_server *server)
{
    return server->epoll_fd;
}

/* --- made and freed ------------------------------------------------------------------------ */

static int bind_socket(const struct http_options *options, int *out, uint16_t *port, char *why,
                       size_t why_size)
{
    union address address;
    socklen_t size = 0;
    int on = 1;
    if (options->address == NULL ||
        !address_parse(options->address, options->port, &address, &size)) {
        snprintf(why, why_size, "%s: not a numeric address",
                 options->address != NULL ? options->address : "");
        return SEALMQ_E_ARG;
    }
    int fd = socket(address.any.sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    bool is_bound = fd >= 0 && setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on) == 0;
    if (is_bound && address.any.sa_family == AF_INET6)
        is_bound = setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on) == 0;
    is_bound = is_bound && bind(fd, &address.any, size) == 0 && listen(fd, BACKLOG) == 0 &&
               getsockname(fd, &address.any, &size) == 0;
    if (!is_bound) {
        bool is_v6 = address.any.sa_family == AF_INET6;
        snprintf(why, why_size, "%s%s%s:%u: %s", is_v6 ? "[" : "", options->address,
                 is_v6 ? "]" : "", options->port, strerror(errno));
        if (fd >= 0)
            close(fd);
        return SEALMQ_E_IO;
    }
    *out = fd;
    *port = ntohs(address.any.sa_family == AF_INET ? address.v4.sin_port : address.v6.sin6_port);
    return 0;
}

static int start_daemon(struct http_server *server, int fd)
{
    struct MHD_OptionItem options[] = {
        {MHD_OPTION_CONNECTION_LIMIT, HTTP_CONNECTIONS_MAX, NULL},
        {MHD_OPTION_CONNECTION_TIMEOUT, HTTP_CONNECTION_MS / 1000, NULL},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, HTTP_REQUEST_BYTES_MAX, NULL},
        {MHD_OPTION_CONNECTION_MEMORY_INCREMENT, 1024, NULL},
        {MHD_OPTION_STRICT_FOR_CLIENT, 1, NULL},
        {MHD_OPTION_LISTEN_SOCKET, fd, NULL}, /* taken */
        {MHD_OPTION_END, 0, NULL},
    };
    server->daemon =
        MHD_start_daemon(MHD_USE_EPOLL, 0, NULL, NULL, on_request, server, MHD_OPTION_ARRAY,
                         options, MHD_OPTION_NOTIFY_CONNECTION, on_connection, server,
                         MHD_OPTION_UNESCAPE_CALLBACK, keep_escapes, NULL, MHD_OPTION_END);
    if (server->daemon == NULL)
        return SEALMQ_E_NOMEM;
    const union MHD_DaemonInfo *info =
        MHD_get_daemon_info(server->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    if (info == NULL || info->epoll_fd < 0)
        return SEALMQ_E_IO;
    server->epoll_fd = info->epoll_fd;
    return 0;
}

int http_server_new(const struct http_options *options, struct http_server **out, char *why,
                    size_t why_size)
{
    *out = NULL;
    if (why_size > 0)
        why[0] = '\0';
    ASSERT(options->route_count <= HTTP_ROUTES_MAX);
    struct http_server *server = calloc(1, sizeof *server);
    if (server == NULL) {
        snprintf(why, why_size, "%s", sealmq_error_text(SEALMQ_E_NOMEM));
        return SEALMQ_E_NOMEM;
    }
    for (size_t i = 0; i < HTTP_CONNECTIONS_MAX; i++)
        server->connections[i].fd = -1;
    memcpy(server->routes, options->routes, options->route_count * sizeof *options->routes);
    server->route_count = options->route_count;
    int fd = -1;
    int error = bind_socket(options, &fd, &server->port, why, why_size);
    if (error == 0) {
        error = start_daemon(server, fd);
        if (error != 0 && server->daemon == NULL)
            close(fd);
        if (error != 0)
            snprintf(why, why_size, "the HTTP server does not start");
    }
    if (error != 0) {
        http_server_free(server);
        return error;
    }
    *out = server;
    return 0;
}

void http_server_free(struct http_server *server)
{
    if (server == NULL)
        return;
    if (server->daemon != NULL)
        MHD_stop_daemon(server->daemon);
    free(server);
}

uint16_t http_server_port(const struct http_server *server)
{
    return server->port;
}
