/* A small HTTP server for answers that machines read: a few fixed paths, GET and HEAD, one request
 * for each connection.
 *
 * It has no thread: its user waits until http_server_fd is readable or http_server_timeout_ms has
 * passed, and calls http_server_run. Everything is called on one thread.
 *
 * Limits: HTTP_CONNECTIONS_MAX connections; HTTP_REQUEST_BYTES_MAX for a request, which has no
 * body; a connection is cut HTTP_CONNECTION_MS after it was opened, whatever it does.
 *
 * Answers of its own: 404 for other paths, 405 for other methods, 413 for a body, and what
 * libmicrohttpd says of requests that are none (400, 414, 431, 505). */
#ifndef SEALMQ_HTTP_SERVER_H
#define SEALMQ_HTTP_SERVER_H

#include "base/bytes.h"

#define HTTP_CONNECTIONS_MAX   32
#define HTTP_REQUEST_BYTES_MAX 8192
#define HTTP_CONNECTION_MS     10000
#define HTTP_ROUTES_MAX        8

struct http_answer {
    unsigned status;          /* 200 to begin with */
    const char *content_type; /* static; "text/plain; charset=utf-8" to begin with */
    struct buf body;          /* a buffer that failed is answered with 500 */
};

struct http_route {
    const char *path; /* "/metrics"; static */
    void (*answer)(void *context, struct http_answer *out);
    void *context;
};

struct http_options {
    const char *address;             /* numeric, "127.0.0.1" or "::1" */
    uint16_t port;                   /* 0: any free one */
    const struct http_route *routes; /* copied */
    size_t route_count;
};

struct http_server;

/* Binds and listens. SEALMQ_E_ARG, SEALMQ_E_IO, SEALMQ_E_NOMEM, with words in `why`
 * ("127.0.0.1:9883: address already in use"). */
SEALMQ_MUST_CHECK int http_server_new(const struct http_options *options, struct http_server **out,
                                      char *why, size_t why_size);
void http_server_free(struct http_server *server);
uint16_t http_server_port(const struct http_server *server);
/* Takes "127.0.0.1:9883" or "[::1]:9883" apart; false when it is neither, or does not fit. */
bool http_address_split(const char *text, char *address, size_t address_size, uint16_t *port);
/* Whether the address is of this machine alone. */
bool http_address_is_loopback(const char *address);

int http_server_fd(const struct http_server *server);
/* At most this long; -1: as long as it likes. */
int http_server_timeout_ms(struct http_server *server);
void http_server_run(struct http_server *server);

#endif
