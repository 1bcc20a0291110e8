/* The MQTT server without I/O: sessions, subscriptions, retained messages, queues.
 *
 * A server is one or more shards. A shard is owned by one thread and shares nothing with the others
 * but immutable, reference-counted messages. Every client id belongs to exactly one shard
 * (broker_shard_of), so that take-over, session state and ordering are the business of one thread;
 * the host brings a connection to the right shard after it has seen the CONNECT packet.
 *
 * What a shard has for the others (messages they have subscribers for, changes of interest,
 * retained messages) it puts into parcels, one list for each other shard, which the host carries
 * over in batches (broker_take_parcels, broker_deliver_parcels). The host must deliver what waits
 * in a shard's mailbox before it gives the shard bytes that it read afterwards; so whoever has seen
 * a SUBACK can rely on the subscription on every shard.
 *
 * The host drives a shard by its connections' bytes and by the time; the shard answers by appending
 * to connections' outputs and listing the connections that have something to be written
 * (broker_next_dirty). Nothing here blocks, reads clocks or makes randomness. Times are
 * milliseconds of a monotonic clock. */
#ifndef SEALMQ_BROKER_BROKER_H
#define SEALMQ_BROKER_BROKER_H

#include "base/bytes.h"
#include "broker/stats.h"
#include "mqtt/packet.h"

#include <stdatomic.h>

struct broker;         /* one shard */
struct broker_parcel;  /* a list of things for another shard */
struct broker_message; /* one application message, immutable, reference-counted across threads */

/* A connection as the host and the services name it; stays valid as a name after the connection has
 * gone (calls with it then do nothing or give SEALMQ_E_CLOSED). Zero is no connection. */
struct broker_conn {
    uint32_t index;
    uint32_t generation;
};

/* What becomes of a QoS 1 or 2 message when the queue of its receiver is full. */
enum broker_overflow {
    BROKER_DROP_NEW,   /* it is lost to this receiver */
    BROKER_DROP_OLD,   /* the oldest that wait are lost instead */
    BROKER_DISCONNECT, /* it is lost, and the receiver, if connected, is cut off with 0x97 */
};

/* Limits, each with a default (broker_limits_default). A limit of 0 means none where it says so.
 * "In all" is for all shards together. docs/adr/019-limits.md says how they work together. */
struct broker_limits {
    uint32_t packet_bytes;            /* largest packet taken from a client */
    uint32_t connections;             /* in all */
    uint32_t connections_per_address; /* of one source; the host's to count; 0: any */
    uint32_t sessions;                /* in all, connected or not */
    uint64_t subscriptions_all;       /* in all */
    uint32_t subscriptions;           /* per session */
    uint32_t topic_levels;            /* of a topic or filter */
    uint32_t topic_bytes;             /* of a topic or filter */
    uint16_t receive_maximum;         /* QoS 1 and 2 messages a client may have unacknowledged */
    uint16_t inflight;                /* the same towards a client, unless it asks for less */
    uint64_t inflight_bytes;          /* the same in bytes; one message always goes */
    uint16_t topic_aliases;           /* a client may use */
    uint16_t topic_aliases_sent;      /* to a client, of those that it allows; at most 64 count */
    uint32_t queued_messages;         /* waiting in one session */
    uint64_t queued_bytes;            /* the same in bytes */
    uint64_t queued_messages_all;     /* waiting in all sessions */
    uint64_t waiting_bytes; /* in all: memory of what is unsent, unacknowledged or queued; a message
                               that many wait for counts once */
    uint64_t passing_bytes; /* in all: on the way between shards; publishers are paused above */
    enum broker_overflow overflow;
    uint64_t bytes_per_second;    /* from one client, which is slowed; 0: any */
    uint32_t messages_per_second; /* PUBLISH packets from one client, which is slowed; 0: any */
    uint32_t accepts_per_second;  /* connections in all; more wait in the system's queue; 0: any */
    uint32_t connects_per_second; /* of one client id; 0: any */
    uint32_t slow_publishers_ms;  /* a receiver that is full slows those who publish to it for so
                                     long  after it has last taken something; 0: never */
    bool evicts_sessions; /* at `sessions`: end the one that is offline for longest, else refuse */
    uint32_t memory_messages;   /* of a queue that is on disk as well; the rest is on disk only */
    uint64_t memory_bytes;      /* the same in bytes */
    uint64_t unstored_bytes;    /* of a shard: publishers wait while so much is to be stored */
    uint64_t output_bytes;      /* unsent of one connection: QoS 0 is dropped, QoS 1 and 2 wait */
    uint32_t retained_messages; /* in all */
    uint64_t retained_bytes;    /* the same in bytes */
    uint32_t session_expiry_max_s; /* longer wishes are shortened to this */
    uint16_t keep_alive_max_s;     /* 0: any */
    uint32_t connect_timeout_ms;   /* from opening to a complete CONNECT and its authentication */
};
void broker_limits_default(struct broker_limits *out);

/* Who a connected client is. Set by the host's authentication. */
enum broker_role {
    BROKER_ROLE_ORDINARY,  /* governed by the ACL */
    BROKER_ROLE_MEMBER,    /* an id with a registered key: its own id's topics only, see acl.h */
    BROKER_ROLE_APPLICANT, /* an unknown id with a self-signed token: announce, key, and hints */
    BROKER_ROLE_VALIDATOR, /* a node of the network: the chain's topics */
    BROKER_ROLE_ADMIN,     /* an operator's key: queries and chain requests */
};

/* A client that asks to connect. All bytes are borrowed for the duration of the call. */
struct broker_auth_request {
    struct broker_conn conn;
    enum mqtt_version version;
    struct bytes client_id; /* as assigned, when the client sent none */
    bool has_user_name, has_password;
    struct bytes user_name, password;
    const char *peer;         /* where it comes from, for the log */
    struct bytes auth_method; /* of enhanced authentication; empty: none */
    struct bytes auth_data;   /* what has come with the last packet; may be empty */
    bool is_again;            /* the client is let in already, and proves itself anew */
};

struct broker_grant {
    uint8_t reason;            /* an mqtt_reason; MQTT_REASON_SUCCESS lets it in */
    const char *reason_string; /* for people, or NULL; copied */
    enum broker_role role;
    struct bytes user_name;       /* for the ACL; copied */
    const char *server_reference; /* with USE_ANOTHER_SERVER and SERVER_MOVED, where to go (5.0
                                     section 4.11), or NULL; borrowed */
    struct bytes auth_data;       /* the last word of enhanced authentication, or empty; borrowed */
};

enum broker_access { BROKER_READ, BROKER_WRITE, BROKER_SUBSCRIBE };

/* What authorization is asked. */
struct broker_subject {
    enum broker_role role;
    struct bytes client_id;
    struct bytes user_name;
    bool is_anonymous;
};

/* A PUBLISH that a service looks at before it is routed. Borrowed for the call. */
struct broker_publish {
    struct broker_conn conn;
    struct bytes client_id;
    struct bytes user_name;
    enum broker_role role;
    enum mqtt_version version;
    struct bytes topic; /* alias resolved */
    struct bytes payload;
    struct mqtt_props props;
    uint8_t qos;
    bool retain;
};

enum broker_verdict {
    BROKER_ROUTE, /* not for the service: route as usual */
    BROKER_TAKEN, /* the service has it; acknowledge now with *reason */
    BROKER_DEFER, /* the service has it and will call broker_acknowledge() with *ticket */
};

/* The host's side. All are called on the shard's thread (authorize during a visit on the visitor's,
 * see broker_visit_begin), from inside the calls below. authenticate,
 * auth_begin and auth_continue may call broker_authenticated, the latter two broker_auth_challenge;
 * all but authorize may call broker_publish, broker_reply and broker_acknowledge. They call no
 * other function of this header but broker_conn_data and broker_find. */
struct broker_host {
    void *context;
    /* A CONNECT is complete: the host must call broker_authenticated() now or later. The client's
     * further input waits until then. */
    void (*authenticate)(void *context, const struct broker_auth_request *request);
    /* Whether `subject` may access `topic`. For BROKER_SUBSCRIBE it is a filter, and the question
     * is whether it can match anything that the subject may read; BROKER_READ is then asked for
     * each topic (and the answer remembered until broker_access_changed). */
    bool (*authorize)(void *context, const struct broker_subject *subject,
                      enum broker_access access, struct bytes topic);
    /* The seam to the services above; NULL when there are none. */
    enum broker_verdict (*publish)(void *context, const struct broker_publish *in, uint64_t ticket,
                                   uint8_t *reason);
    /* A client has come or gone, for logs and services; `reason` as MQTT reason. May be NULL. */
    void (*connected)(void *context, struct broker_conn conn, const struct broker_subject *subject,
                      const char *peer);
    void (*disconnected)(void *context, struct broker_conn conn,
                         const struct broker_subject *subject, const char *peer, uint8_t reason,
                         const char *words);
    /* Enhanced authentication (5.0 section 4.12); NULL: there is no method. A client asks to be
     * authenticated by request->auth_method, in CONNECT or (is_again) later. False: there is no
     * such method. Else the host answers, now or later, with broker_auth_challenge() or, at the
     * end, with broker_authenticated(); to the client's next answer, which auth_continue shows,
     * likewise. On a connection that is let in already, the client goes on working meanwhile. */
    bool (*auth_begin)(void *context, const struct broker_auth_request *request);
    void (*auth_continue)(void *context, const struct broker_auth_request *request);
};

/* What the shards of a server use of the limits "in all" (broker/budget.h). */
struct broker_pools {
    _Atomic uint64_t connections, sessions, subscriptions, queued_messages, waiting_bytes;
    _Atomic uint64_t passing_bytes;
};

/* What becomes of durable sessions and retained messages (broker/journal.h). */
enum broker_durability {
    BROKER_NOT_DURABLE,  /* they live in memory */
    BROKER_DURABLE_LAZY, /* they are stored when the host gets to it; nobody waits */
    BROKER_DURABLE_FULL, /* what is acknowledged is stored */
};

struct broker_options {
    enum broker_durability durability; /* the same for all shards */
    struct broker_host host;           /* copied */
    struct broker_limits limits;
    unsigned shard, shards;             /* this one's index, and how many there are (1 to 64) */
    _Atomic uint64_t *retained_counter; /* one for all shards: orders retained messages */
    uint64_t seed; /* random, one for all shards: makes assigned client ids and hash keys */
    const char *response_prefix; /* a client that asks is told to have its answers below this and
                                    its id (5.0 section 3.2.2.3.14); NULL: nothing; copied */
    struct broker_pools *pools;  /* one for all shards, zero at first; NULL: this one's own */
};

SEALMQ_MUST_CHECK int broker_new(const struct broker_options *options, struct broker **out);
void broker_free(struct broker *broker);

/* The shard that owns a client id. Same answer on every shard and in every run. */
unsigned broker_shard_of(struct bytes client_id, unsigned shards);

/* A new connection. `host_data` comes back from broker_conn_data; `peer` is borrowed until
 * broker_closed. SEALMQ_E_LIMIT: close it. */
SEALMQ_MUST_CHECK int broker_open(struct broker *broker, void *host_data, const char *peer,
                                  uint64_t now_ms, struct broker_conn *out);
/* Right after broker_open: there are too many from where this one comes, so its CONNECT is answered
 * with 0x97. */
void broker_refuse_connect(struct broker *broker, struct broker_conn conn);
void *broker_conn_data(struct broker *broker, struct broker_conn conn);
/* The client id that waits to be authenticated, borrowed until then; empty when none does. */
struct bytes broker_conn_applying_id(struct broker *broker, struct broker_conn conn);

/* Bytes that were read. Takes whole packets; *consumed tells how many bytes it is done with: the
 * rest must be given again, with more behind it. Also stops (consuming less than all whole packets)
 * while authentication is under way or the client's output is over its limit; the connection is
 * listed dirty when it can go on (see broker_conn_wants_input). Returns 0; SEALMQ_E_CLOSED when
 * no more input is wanted because the connection is to be closed (write what is left first). */
SEALMQ_MUST_CHECK int broker_input(struct broker *broker, struct broker_conn conn, struct bytes in,
                                   uint64_t now_ms, size_t *consumed);
bool broker_conn_wants_input(struct broker *broker, struct broker_conn conn);

/* The peer or the network has ended the connection (publishes the will as the protocol says). After
 * this, the name is void. Must be called once for every opened connection, also after a close that
 * the shard asked for. */
void broker_closed(struct broker *broker, struct broker_conn conn, uint64_t now_ms);

void broker_authenticated(struct broker *broker, struct broker_conn conn,
                          const struct broker_grant *grant, uint64_t now_ms);
/* Sends AUTH with `data` (may be empty) and waits for the client's. SEALMQ_E_CLOSED: it is not the
 * host's turn on this connection (any more); SEALMQ_E_ARG: more than 65,535 bytes. */
SEALMQ_MUST_CHECK int broker_auth_challenge(struct broker *broker, struct broker_conn conn,
                                            struct bytes data, uint64_t now_ms);

/* Completes a deferred PUBLISH. Acknowledgements leave in the order of the PUBLISH packets, so one
 * that is early waits for those before it. */
void broker_acknowledge(struct broker *broker, struct broker_conn conn, uint64_t ticket,
                        uint8_t reason);

/* Messages from inside. */
struct broker_outgoing {
    struct bytes topic;
    struct bytes payload;
    struct bytes props; /* property list as made by mqtt_props_append, or empty */
    uint8_t qos;
    bool retain;
};
/* To all who have subscribed, on all shards. */
SEALMQ_MUST_CHECK int broker_publish(struct broker *broker, const struct broker_outgoing *message,
                                     uint64_t now_ms);
/* To one connected client, whether it has subscribed to the topic or not, at QoS min(qos, 1). */
SEALMQ_MUST_CHECK int broker_reply(struct broker *broker, struct broker_conn conn,
                                   const struct broker_outgoing *message, uint64_t now_ms);
/* The connection of a client of this shard; SEALMQ_E_NOTFOUND. */
SEALMQ_MUST_CHECK int broker_find(struct broker *broker, struct bytes client_id,
                                  struct broker_conn *out);
/* Sends DISCONNECT (5.0) with the reason and closes. */
void broker_disconnect(struct broker *broker, struct broker_conn conn, uint8_t reason,
                       const char *words, uint64_t now_ms);

/* The same for USE_ANOTHER_SERVER and SERVER_MOVED: `reference` names the server to go to (5.0
 * section 4.11), or is NULL. */
void broker_disconnect_to(struct broker *broker, struct broker_conn conn, uint8_t reason,
                          const char *words, const char *reference, uint64_t now_ms);

/* Keep alive, expiry, will delays. Call at or after broker_deadline (UINT64_MAX: nothing due). */
void broker_tick(struct broker *broker, uint64_t now_ms);
uint64_t broker_deadline(const struct broker *broker);

/* The next connection that has output, wants closing or can take input again; false when none is
 * left. A connection is listed once until it is taken from the list. */
bool broker_next_dirty(struct broker *broker, struct broker_conn *out);

/* What is to be written next: fills up to `most` pieces, valid until the next call for this shard;
 * returns how many. *closing tells whether to close once all output is written. */
struct broker_piece {
    const void *p;
    size_t n;
};
size_t broker_output(struct broker *broker, struct broker_conn conn, struct broker_piece *pieces,
                     size_t most, bool *closing);
/* Whether there is output that must not leave yet, because what it says is not stored. */
bool broker_output_is_held(struct broker *broker, struct broker_conn conn);
/* Whether the client has ended the connection with a DISCONNECT, and so sends nothing any more. */
bool broker_conn_has_left(const struct broker *broker, struct broker_conn conn);
/* `n` bytes of it were written. */
void broker_output_written(struct broker *broker, struct broker_conn conn, size_t n);

/* After any call above, and before the output is written. Parcels for shard `to`, or NULL;
 * ownership moves to the caller, and by delivering to the other shard. broker_parcels_free is for
 * those that cannot be delivered any more. The first BROKER_PARCEL_HOST_BYTES of a parcel are the
 * host's while it has it, for the link of its mailbox: so the handing over cannot fail. */
#define BROKER_PARCEL_HOST_BYTES 16
struct broker_parcel *broker_take_parcels(struct broker *broker, unsigned to);
void broker_deliver_parcels(struct broker *broker, struct broker_parcel *parcels, uint64_t now_ms);
void broker_parcels_free(struct broker_parcel *parcels);
/* How many items it holds. */
size_t broker_parcel_count(const struct broker_parcel *parcels);

/* Shards that one thread runs: from here on `broker` gives messages for `other` to it at once,
 * where it can. While it is so, who calls `broker`, but in a visit, holds both; and what was taken
 * from `broker` for the other before must have been delivered. */
void broker_direct_begin(struct broker *broker, struct broker *other);
void broker_direct_end(struct broker *broker, struct broker *other);

/* A visit: between the two calls another thread than the owner's may deliver parcels, take the
 * dirty list and write output, if the host keeps the owner away meanwhile. Of the host's functions
 * only authorize() is called then. */
void broker_visit_begin(struct broker *broker);
/* Whether something is left that the owner must do in a turn: parcels to be taken, connections that
 * have ended. */
bool broker_visit_end(struct broker *broker);

/* Storing (broker/journal.h), for shards that are durable. What has come together since the last
 * time, or NULL; there is at most one journal at a time that is not stored. After the parcels of
 * the turn were taken or before, but not between two of them. */
struct broker_journal;
struct broker_journal *broker_take_journal(struct broker *broker);
/* It is stored, its pages are filled in. Takes it. */
void broker_stored(struct broker *broker, struct broker_journal *journal, uint64_t now_ms);
/* For one that will not be stored any more. On the shard's thread, or when it has ended. */
void broker_journal_free(struct broker_journal *journal);
/* What the wall clock shows at `now_ms`: times are stored by it. */
void broker_set_wall_clock(struct broker *broker, uint64_t wall_ms, uint64_t now_ms);

/* What authorize() answers has changed: answers that were remembered are asked for again. */
void broker_access_changed(struct broker *broker);

/* Other limits from here on, for what comes then: nobody is cut for having more. Those that clients
 * were told, that memory is laid out by or that all shards share stay as they are: packet_bytes,
 * receive_maximum, topic_aliases, topic_aliases_sent, topic_levels, connections,
 * connections_per_address, sessions,
 * subscriptions_all, queued_messages_all, waiting_bytes, passing_bytes, connects_per_second. */
void broker_change_limits(struct broker *broker, const struct broker_limits *limits);

/* Counters since the start, and gauges (broker/stats.h). From any thread: each number is right, but
 * they need not be of the same moment while the shard works. */
void broker_stats_get(const struct broker *broker, struct broker_stats *out);
/* Packets from and to clients since the start: how much was done. From any thread. */
uint64_t broker_packet_count(const struct broker *broker);
/* The host has paused accepting because of accepts_per_second. */
void broker_count_accept_pause(struct broker *broker);
/* The host refuses a connection, in the protocol or without words, because of
 * connections_per_address. */
void broker_count_address_refused(struct broker *broker);

#endif
