/* Inside of the MQTT server: a server has workers, a worker has connections.
 *
 * A turn of a worker's loop: timers, then sockets and the mailbox, and at its end (crew_end_turn,
 * before the loop waits and after it has handled its events) parcels are posted to the other
 * workers and only then output is written. So a client that reads a SUBACK can rely on every other
 * worker having its subscription in the mailbox, which each drains before it gives its shard bytes
 * that it read later (broker/broker.h).
 *
 * While a worker sleeps in its loop, others may visit it: visit.c. */
#ifndef SEALMQ_NET_NET_INT_H
#define SEALMQ_NET_NET_INT_H

#include "net/judge.h"
#include "net/keeper.h"
#include "net/mailbox.h"
#include "net/server.h"
#include "net/sources.h"
#include "net/stream.h"
#include "net/unix_socket.h"

#include <pthread.h>
#include <sys/socket.h>

#define NET_LOG "net"

#define NET_WORKERS_MAX         64
#define NET_WORKERS_DEFAULT_MAX 16
#define NET_READ_BYTES          65536 /* one read */
#define NET_READS_PER_TURN      4     /* of one connection */
#define NET_WRITE_PIECES        64
#define NET_WRITE_TURN_BYTES    (1024 * 1024) /* of one connection */
#define NET_ACCEPTS_PER_TURN    64
#define NET_ACCEPT_PAUSE_MS     100
#define NET_BACKLOG             1024
/* A CONNECT with its largest client id, will, user name and password that anybody has a use for. */
#define NET_CONNECT_BYTES_MAX   (128 * 1024)
/* All handshakes and CONNECTs together that are not whole yet, on all workers: anyone may begin
 * one. Some 2,900 with TLS. */
#define NET_HANDSHAKE_BYTES_MAX (128 * 1024 * 1024)
/* Closing: for what is still to be written, and then for the peer to close its side. */
#define NET_END_TIMEOUT_MS      5000
#define NET_LINGER_BYTES        (256 * 1024)
#define NET_LINGER_STOP_MS      250                    /* the same while the server stops */
#define NET_PEER_MAX            (INET6_ADDRSTRLEN + 9) /* "[address]:port" */
#define NET_LISTENER_NAME_MAX   128
#define NET_WEBSOCKET_PATH_MAX  1024

/* Where a connection comes from. */
struct net_origin {
    uint32_t listener;
    uint32_t uid;          /* of a local socket */
    bool is_local_socket;  /* a Unix one */
    bool is_one_too_many;  /* from its address: to be refused */
    struct source *source; /* that counts it, or NULL */
    char text[NET_PEER_MAX];
};

/* HANDSHAKE -> SERVING -> ENDING -> GONE, and from each straight to GONE. In SERVING the shard
 * knows the connection; in ENDING it does until its last output is written (is_open). */
enum net_phase { NET_HANDSHAKE, NET_SERVING, NET_ENDING, NET_GONE };

struct net_connection {
    uv_poll_t poll;
    struct net_worker *worker;
    struct net_connection *prev, *next; /* in the worker's list of this phase */
    struct net_connection *next_flush;
    struct broker_conn name; /* when is_open */
    struct buf rest;         /* read, but not taken by the shard yet; no memory when empty */
    uint64_t deadline_ms;    /* in HANDSHAKE and ENDING */
    union {
        size_t discarded_bytes; /* in ENDING; 0 before */
        size_t handshake_bytes; /* in HANDSHAKE: what this one has of the server's; 0 after */
    };
    int fd;
    uint8_t events;                  /* that the loop watches for */
    uint8_t phase;                   /* an enum net_phase */
    bool is_open;                    /* in the shard */
    bool is_flushing;                /* in the worker's flush list */
    bool is_closed;                  /* and free when it leaves that list */
    bool is_blocked;                 /* the socket takes no more for now */
    bool has_input_ended;            /* the peer has closed its side */
    bool is_input_unwanted;          /* the shard wants no more, ever */
    bool is_output_shut;             /* the peer was told that there is no more */
    struct net_stream *stream;       /* NULL: plain */
    struct net_attachment *attached; /* of the program above, or NULL */
    struct net_origin peer;
};

enum net_item_kind {
    NET_ITEM_PARCELS,
    NET_ITEM_SOCKET,
    NET_ITEM_CALL,
    NET_ITEM_SERVE,
    NET_ITEM_STORED, /* part of the worker */
    NET_ITEM_PARK,   /* hand the loop over to the first worker; part of the worker */
    NET_ITEM_ADOPT,  /* the first worker: run that loop; part of that one */
    NET_ITEM_STOP
};

/* What comes through a worker's mailbox. In NET_ITEM_PARCELS it is the room at the head of the
 * parcels, and ends before the union. */
struct net_item {
    struct mailbox_item item;
    enum net_item_kind kind;
    union {
        struct {
            int fd;
            struct buf bytes;
            struct net_stream *stream;
            struct net_origin peer;
        } socket;
        struct {
            void (*fn)(void *worker_context, void *arg);
            void *arg;
        } call;
        struct net_worker *adopted;
        unsigned drain_ms;
    };
};

/* Who runs whose loop. Of the thread that runs it, but `runner`, which others may look at. */
struct crew {
    _Atomic(struct net_worker *) runner; /* the worker itself, or the server's first */
    struct net_worker *next;             /* the crew of a runner: itself first, then whom it runs */
    bool is_awake;                       /* of a runner: it holds the locks of its crew */
    bool needs_run;                      /* the loop has news that only running it registers */
    bool is_parking;                     /* its thread is to hand the loop over */
    bool wants_release;                  /* its thread is to have the loop back */
    bool is_asked;                       /* of one whose `park` or `adopt` is on its way */
    bool is_on_trial;                    /* has its loop back for a trial; of the first's thread */
    bool is_linked;                      /* poll and timer are handles of the first's loop */
    uv_poll_t poll;                      /* the loop's own descriptor, in the runner's loop */
    uv_timer_t timer;
    uint64_t timer_due_ms; /* UINT64_MAX: not set */
    uv_sem_t released;
    struct net_item park, adopt;
    struct judge judge; /* of the first worker */
    uint64_t window_start_ns, window_cpu_ns, window_turns;
    uint64_t counted;      /* packets of the shard; of the first's thread */
    _Atomic uint32_t duty; /* processor time of the last window, in thousandths */
    _Atomic uint64_t duty_at_ms;
};

struct net_worker {
    struct net_server *server;
    unsigned index;
    /* Whoever works with the shard and its connections holds this: the thread that runs the loop,
     * but while it sleeps there, or a visitor (visit.c). */
    pthread_mutex_t lock;
    struct crew crew; /* crew.c */
    struct broker *broker;
    struct mailbox mailbox;
    struct net_item stored; /* posted when the keeper has stored its journal */
    void *app_context;

    pthread_t thread;
    uv_sem_t started;
    int start_error;

    uv_loop_t loop;
    uv_async_t wake;
    uv_timer_t timer;
    uv_prepare_t prepare;
    uv_check_t check;
    uv_poll_t *listeners;   /* one for each of the server's */
    uint64_t timer_due_ms;  /* UINT64_MAX: not set */
    uint64_t accept_due_ms; /* accepting pauses until then; UINT64_MAX: it does not */

    /* Oldest first; deadlines of a list are in order, since they are the same span from now. */
    struct net_connection *lists[NET_GONE];
    size_t handshake_count;
    struct net_connection *flush_first, **flush_tail;
    uint8_t *buffer;       /* NET_READ_BYTES */
    uint8_t *raw;          /* NET_STREAM_READ_BYTES, for streams: as it came, or as it goes */
    struct buf encrypted;  /* for streams: what OpenSSL makes of one write */
    struct net_peer asked; /* what net_worker_peer gave last */

    bool is_accepting, is_stopping, is_finished;
    uint64_t stop_due_ms;
    _Atomic uint64_t turns; /* written by this worker only */
};

/* A listener; but for `tls` and the count it does not change. */
struct net_bound {
    int fd;
    uint16_t port;
    bool is_websocket, takes_proxy_protocol, trusts_proxy_certificate;
    bool has_tls;
    struct net_tls *tls;  /* under the server's tls_lock */
    char *websocket_path; /* NULL: any */
    char *unix_path;      /* or NULL */
    struct unix_socket unix_socket;
    uint32_t connections_max; /* 0: no limit of its own */
    atomic_uint connections;  /* accepted and not closed */
    char name[NET_LISTENER_NAME_MAX];
};

/* A parcel that came too late for its worker; it is delivered when all threads have ended. */
struct net_late {
    struct net_late *next;
    unsigned to;
    struct broker_parcel *parcels;
};

struct net_server {
    struct net_app app;
    struct broker_limits limits;
    struct net_bound *listeners;
    size_t listener_count;
    struct net_worker *workers;
    unsigned worker_count;
    bool is_spread;
    uint64_t seed; /* of all shards */
    _Atomic uint64_t retained_counter;
    struct broker_pools pools;
    struct sources sources;
    struct keeper *keeper; /* NULL: nothing is stored */
    enum broker_durability durability;
    pthread_mutex_t late_lock;
    struct net_late *late; /* parcels for workers that had stopped, newest first */
    _Atomic uint64_t accept_logged_ms;
    _Atomic size_t handshake_bytes; /* memory of unfinished handshakes and CONNECTs */
    pthread_mutex_t tls_lock;
    _Atomic uint64_t accept_paid_us; /* see accept_wait_ms */
    uint8_t stop_reason;             /* set before the stop is posted */
    const char *stop_reference;      /* or NULL */
    bool was_started;
    bool is_running; /* threads exist */
};

/* worker.c */
SEALMQ_MUST_CHECK int worker_init(struct net_worker *worker, struct net_server *server,
                                  unsigned index, const char *response_prefix);
void worker_close(struct net_worker *worker);
SEALMQ_MUST_CHECK int worker_start(struct net_worker *worker);
SEALMQ_MUST_CHECK int worker_post(struct net_worker *worker, struct net_item *item);
/* First in everything that the loop calls while it looks at descriptors: keeps visitors away until
 * the worker sleeps again. */
void worker_rise(struct net_worker *worker);
/* Makes the worker take a turn. From any thread. */
void worker_wake(struct net_worker *worker);
/* Takes in what waits in the mailbox. Never from inside the shard. */
void worker_drain_mailbox(struct net_worker *worker);
/* Lists the connection for connection_flush() at the end of the turn. */
void worker_flush_later(struct net_worker *worker, struct net_connection *c);

/* server.c: keeps a parcel for the end, if anything is stored; else frees it. */
void server_keep_late(struct net_server *server, unsigned to, struct broker_parcel *parcels);
/* The same by one who holds late_lock. */
void server_keep_late_locked(struct net_server *server, unsigned to, struct broker_parcel *parcels);
/* The end of a worker's turn, in steps: */
void worker_gather_dirty(struct net_worker *worker);
void worker_flush(struct net_worker *worker);
/* Hands over what the shard has for others. Whether a worker of the same crew got something. */
bool worker_post_parcels(struct net_worker *worker);
void worker_set_timer(struct net_worker *worker);
void worker_finish_stop(struct net_worker *worker);
/* Gives the keeper what has come together since the journal before it was stored. */
void worker_store(struct net_worker *worker);

/* crew.c */
SEALMQ_MUST_CHECK int crew_init(struct net_worker *worker);
void crew_close(struct net_worker *worker);
/* Runs the worker's loop until the worker is finished, on its own thread. */
void crew_run(struct net_worker *worker);
/* Handles of the first worker's loop. */
void crew_close_handles(struct net_worker *worker);
bool crew_is_same(const struct net_worker *a, const struct net_worker *b);
/* Whether the worker's own loop is the one that sleeps. */
bool crew_is_runner(const struct net_worker *worker);
void crew_end_turn(struct net_worker *runner);
void crew_rest(struct net_worker *runner);
/* The worker's thread is to take its loop back; from the thread that runs it now. */
void crew_want_release(struct net_worker *worker);
/* Asks a worker to hand its loop to the first; on the first's thread. Once is enough. */
void crew_ask(struct net_worker *worker);
/* The worker was asked. */
void crew_asked(struct net_worker *worker);
void crew_adopt(struct net_worker *runner, struct net_worker *worker);
/* A descriptor is watched in another way: its loop must be run before the thread sleeps. */
static inline void crew_needs_run(struct net_worker *worker)
{
    worker->crew.needs_run = true;
}

/* crew_size.c */
void crew_size_start(struct net_worker *worker);
/* Measures the thread, and changes their number if need be. Before the runner sleeps. */
void crew_measure(struct net_worker *runner);

/* visit.c */
/* Delivers parcels to a worker that sleeps, without waking it; false: they are still the caller's.
 * `now_ms` is the caller's. */
bool worker_visit(struct net_worker *worker, struct broker_parcel *parcels, uint64_t now_ms);

/* listener.c */
void address_format(const union net_address *address, char out[NET_PEER_MAX]);
/* Binds, and copies what the listener says. On an error nothing is left of it. */
SEALMQ_MUST_CHECK int listener_bind(const struct net_listener *where, struct net_bound *out,
                                    char *why, size_t why_size);
void listener_close(struct net_bound *listener);
/* Counts a connection that was accepted; false when the listener has as many as it may. */
SEALMQ_MUST_CHECK bool listener_admit(struct net_bound *listener);
/* Closes the socket of one that was admitted. */
void listener_close_socket(struct net_bound *listener, int fd);
/* The same, and the address that it came from has one less. */
void origin_close_socket(struct net_server *server, const struct net_origin *origin, int fd);
/* Counts it for its address; false: it is not even worth an answer. */
SEALMQ_MUST_CHECK bool origin_enter_source(struct net_worker *worker, struct net_origin *origin,
                                           const union net_address *address);
void listeners_open(struct net_worker *worker);   /* begins or goes on accepting */
void listeners_close(struct net_worker *worker);  /* ends it; handles go with the loop */
void listeners_resume(struct net_worker *worker); /* after a pause, when it is over */

/* handshake.c */
void handshake_begin(struct net_worker *worker, int fd, const struct net_origin *peer);
void handshake_on_readable(struct net_connection *c);
/* Cuts those whose time is up. */
void handshake_expire(struct net_worker *worker, uint64_t now_ms);

/* connection.c */
/* Takes over `fd`; NULL when it could not and has closed it. */
struct net_connection *connection_new(struct net_worker *worker, int fd,
                                      const struct net_origin *peer, enum net_phase phase);
/* Moves to another phase's list. */
void connection_set_phase(struct net_connection *c, enum net_phase phase, uint64_t deadline_ms);
/* Makes the connection known to the shard and gives it what was read so far (c->rest). */
void connection_serve(struct net_connection *c);
/* Gives the shard the rest again, if it can go on. */
void connection_resume(struct net_connection *c);
/* Writes what the shard has for it, and closes it when that is due. */
void connection_flush(struct net_connection *c);
/* The same for a visitor: true when all is written and nothing else is to be done. Leaves to the
 * owner what concerns its loop. */
bool connection_flush_as_visitor(struct net_connection *c);
/* Ends our side after the last output, and waits for the peer to end its own. */
void connection_linger(struct net_connection *c);
/* Closes the socket at once. The memory goes when the loop has closed the handle. */
void connection_destroy(struct net_connection *c);
/* The same, but leaves the socket open: it is the caller's, and so is the stream if there is one.
 */
int connection_release(struct net_connection *c, struct net_stream **stream);
void connection_watch(struct net_connection *c);
void connection_expire(struct net_worker *worker, uint64_t now_ms);

#endif
