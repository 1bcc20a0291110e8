/* The MQTT server with its sockets: workers, each a thread with its own libuv loop, its shard of
 * the broker (broker/broker.h) and its own connections.
 *
 * Life of a connection: accepted on any worker; its bytes are gathered there until the CONNECT
 * packet is whole (or the time is up); then the socket and the bytes move to the worker that owns
 * the client id, which serves it from then on. Sockets are watched with uv_poll, read until they
 * would block or a budget is used up, and written once per loop turn with one writev.
 *
 * Threads: net_server_new/start/stop/free are for the owner's thread; net_worker_post is for any
 * thread; everything else says where it is called. */
#ifndef SEALMQ_NET_SERVER_H
#define SEALMQ_NET_SERVER_H

#include "base/health.h"
#include "broker/broker.h"
#include "net/tls.h"

#include <uv.h>

struct net_server;
struct net_worker;

/* Where clients come in, and how. All is copied, `tls` referenced. Zero and NULL are the plain
 * thing: TCP, no TLS, no WebSocket, no PROXY header. */
struct net_listener {
    const char *address;           /* numeric, "127.0.0.1" or "::"; NULL with a unix_path */
    uint16_t port;                 /* 0: any free one, see net_server_port */
    const char *name;              /* for logs and metrics; NULL: made from address and port */
    const char *unix_path;         /* a Unix socket, instead of address and port */
    unsigned unix_mode;            /* of that file; 0: NET_UNIX_MODE_DEFAULT */
    bool is_websocket;             /* MQTT in WebSocket frames; with `tls`, inside of it */
    const char *websocket_path;    /* what clients must ask for; NULL: anything */
    bool takes_proxy_protocol;     /* each connection must begin with a PROXY header, version 2 */
    bool trusts_proxy_certificate; /* the common name that the header tells is the identity, unless
                                    * there is TLS here */
    struct net_tls *tls;           /* NULL: none */
    uint32_t connections;          /* most at a time; 0: as many as the server's limit allows */
};
#define NET_UNIX_MODE_DEFAULT 0660

/* How a peer's identity was shown. */
enum net_identity { NET_IDENTITY_NONE, NET_IDENTITY_CERTIFICATE, NET_IDENTITY_PSK };

/* Who is at the other end of a connection, as far as the transport knows. */
struct net_peer {
    const char *text;       /* its address; behind a proxy, the one that the proxy tells */
    unsigned listener;      /* index in net_server_options */
    bool is_encrypted;      /* by TLS, here or, as it says, at the proxy */
    bool is_local_socket;   /* came by a Unix socket, and not through a proxy */
    uint32_t uid;           /* of the process at the other end of a Unix socket */
    enum net_identity kind; /* of `identity` */
    struct bytes identity;  /* verified name of the certificate, or of the pre-shared key; valid
                             * UTF-8 without control characters, at most NET_IDENTITY_MAX bytes */
};
#define NET_IDENTITY_MAX 1024

/* What the program above does with connections and messages. `worker_context` is what worker_start
 * gave. All are called on the worker's thread, but authorize: that may also be another worker's,
 * while this one sleeps (net/visit.c), never two at a time. */
struct net_app {
    void *context;
    /* Once on each worker's thread before it serves. May be NULL; then worker_context is context.
     */
    int (*worker_start)(void *context, struct net_worker *worker, void **worker_context);
    void (*worker_stop)(void *worker_context);
    /* As in struct broker_host, with the worker's context. `authenticate` answers with
     * net_worker_authenticated(), at once or later from the same worker. */
    void (*authenticate)(void *worker_context, const struct broker_auth_request *request);
    /* Enhanced authentication, both or none of the two; the answers are net_worker_auth_challenge()
     * and net_worker_authenticated(). */
    bool (*auth_begin)(void *worker_context, const struct broker_auth_request *request);
    void (*auth_continue)(void *worker_context, const struct broker_auth_request *request);
    bool (*authorize)(void *worker_context, const struct broker_subject *subject,
                      enum broker_access access, struct bytes topic);
    enum broker_verdict (*publish)(void *worker_context, const struct broker_publish *in,
                                   uint64_t ticket, uint8_t *reason);
    void (*connected)(void *worker_context, struct broker_conn conn,
                      const struct broker_subject *subject, const char *peer);
    void (*disconnected)(void *worker_context, struct broker_conn conn,
                         const struct broker_subject *subject, const char *peer, uint8_t reason,
                         const char *words);
};

/* What is kept of persistent sessions and retained messages, and when. */
enum net_durability {
    NET_DURABILITY_FULL, /* what is acknowledged is synced to the disk */
    NET_DURABILITY_LAZY, /* it is written soon after; nothing waits for it */
};

struct net_server_options {
    const char *state_folder; /* where it is kept; NULL: in memory only */
    enum net_durability durability;
    struct health_part *storage; /* says when it cannot be written; borrowed, or NULL */
    unsigned workers;            /* 0: one for each processor, at most 16 */
    bool is_spread; /* each worker keeps a thread of its own, however little there is to do */
    const struct net_listener *listeners;
    size_t listener_count;
    struct broker_limits limits;
    const char *response_prefix; /* as in struct broker_options; valid until the server is made */
    struct net_app app;
};

/* Binds the listeners (so that errors show before anything runs), but serves nothing yet.
 * SEALMQ_E_IO with words in `why` ("127.0.0.1:1883: address already in use"), SEALMQ_E_ARG. */
SEALMQ_MUST_CHECK int net_server_new(const struct net_server_options *options,
                                     struct net_server **out, char *why, size_t why_size);
/* New connections of this listener use `tls` (referenced) from here on, those that exist keep what
 * they have. SEALMQ_E_ARG: the listener was made without TLS, or there is none of that number. On
 * the owner's thread, before or after the start. */
SEALMQ_MUST_CHECK int net_server_set_tls(struct net_server *server, size_t listener,
                                         struct net_tls *tls);
/* Once. When a worker_start fails, its error; then nothing runs and nothing was served. */
SEALMQ_MUST_CHECK int net_server_start(struct net_server *server);
/* What a listener is called, in logs: its name, or "127.0.0.1:1883", or the path of its socket. */
const char *net_server_listener_name(const struct net_server *server, size_t listener);
/* The port a listener is bound to; 0 for a Unix socket. */
uint16_t net_server_port(const struct net_server *server, size_t listener);
/* Where clients are told to go when serving ends: `reason` is USE_ANOTHER_SERVER or SERVER_MOVED,
 * `reference` (borrowed until net_server_free) names the servers, as in 5.0 section 4.11. */
void net_server_redirect_at_stop(struct net_server *server, uint8_t reason, const char *reference);
/* Ends serving: clients of 5.0 get DISCONNECT (server shutting down, or where to go), output is
 * written for at most `drain_ms`, threads are joined. */
void net_server_stop(struct net_server *server, unsigned drain_ms);
void net_server_free(struct net_server *server);

unsigned net_server_workers(const struct net_server *server);
struct net_worker *net_server_worker(struct net_server *server, unsigned index);
/* The worker that owns a client id. */
struct net_worker *net_server_owner(struct net_server *server, struct bytes client_id);
/* Sum over the workers' counters as they are now (broker_stats_get). From any thread. */
void net_server_stats(struct net_server *server, struct broker_stats *out);

/* What a worker has spent. Between net_server_start and net_server_stop, from any thread. */
struct net_worker_stats {
    uint64_t turns_total; /* of its loop */
    double cpu_seconds;
};
void net_server_worker_stats(struct net_server *server, unsigned index,
                             struct net_worker_stats *out);

/* Whether what is to be kept cannot be written at present. From any thread. */
bool net_server_store_is_failing(const struct net_server *server);

/* Runs fn(worker_context, arg) on the worker's thread, soon, in the order of posting from one
 * thread. From any thread. SEALMQ_E_CLOSED when the worker has stopped (fn will not run). */
SEALMQ_MUST_CHECK int net_worker_post(struct net_worker *worker,
                                      void (*fn)(void *worker_context, void *arg), void *arg);
unsigned net_worker_index(const struct net_worker *worker);

/* On the worker's own thread only: its loop, its shard, and the monotonic time of this turn. */
uv_loop_t *net_worker_loop(struct net_worker *worker);
struct broker *net_worker_broker(struct net_worker *worker);
uint64_t net_worker_now_ms(const struct net_worker *worker);
/* Who is on this connection, borrowed until the next call; NULL when it has gone. In authenticate()
 * and connected() it is there. */
const struct net_peer *net_worker_peer(struct net_worker *worker, struct broker_conn conn);
/* Something that the program keeps for a connection, freed when that goes: the begin of a struct of
 * its own. net_worker_attach takes it, and frees what was there before; NULL: nothing any more. It
 * is not for connections that move: from authenticate() or auth_begin() on. */
struct net_attachment {
    void (*free)(struct net_attachment *attachment);
};
void net_worker_attach(struct net_worker *worker, struct broker_conn conn,
                       struct net_attachment *attachment);
struct net_attachment *net_worker_attached(struct net_worker *worker, struct broker_conn conn);
void net_worker_authenticated(struct net_worker *worker, struct broker_conn conn,
                              const struct broker_grant *grant);
/* As broker_auth_challenge. */
SEALMQ_MUST_CHECK int net_worker_auth_challenge(struct net_worker *worker, struct broker_conn conn,
                                                struct bytes data);

#endif
