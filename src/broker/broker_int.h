/* Inside of the broker: connections, sessions, and what the files of this folder call of each
 * other.
 *
 * Rules that hold everywhere:
 *  - Callbacks of the host may come back into the shard (broker_publish, broker_reply,
 *    broker_acknowledge). So no callback is made while a list or tree is being walked; the only
 *    exception is authorize(), which may not come back.
 *  - A connection is ended in two steps: conn_end() stops its input and lists it; when the
 * outermost call leaves the shard (broker_leave), the session is detached, the will published and
 * the host told. Its memory goes in broker_closed(), never earlier. A session's memory goes only in
 * the second step, in a take-over, or in a tick: never under the feet of a delivery.
 *  - What can fail for want of memory is done before anything has been changed, or is counted as a
 *    dropped delivery. */
#ifndef SEALMQ_BROKER_BROKER_INT_H
#define SEALMQ_BROKER_BROKER_INT_H

#include "base/assert.h"
#include "broker/alias.h"
#include "broker/broker.h"
#include "broker/budget.h"
#include "broker/gates.h"
#include "broker/group.h"
#include "broker/inflight.h"
#include "broker/keyed_hash.h"
#include "broker/message.h"
#include "broker/output.h"
#include "broker/queue.h"
#include "broker/retained.h"
#include "broker/storing.h"
#include "broker/subtree.h"
#include "broker/table.h"
#include "broker/tickets.h"
#include "broker/timer.h"

/* Limits that are nobody's business outside. */
#define CONNECT_BYTES_MAX     (256 * 1024) /* a CONNECT packet: its sender is not known yet */
#define APPLICANT_BYTES_MAX   (16 * 1024)  /* any packet of an applicant: a stranger, too */
#define CLIENT_ID_BYTES_MAX   1024
#define ALIAS_BYTES_MAX       (256 * 1024)  /* names that a connection has given aliases */
#define FILTER_BYTES_MAX      (1024 * 1024) /* filters of a session */
#define CONNECTIONS_REFUSED   64 /* above the limit, to be told so; more are closed at once */
#define OUTPUT_SMALL          (64 * 1024) /* unsent of one who keeps up */
#define SHARE_BYTES_MAX       256         /* of a shared filter, what stands before the filter */
#define OUTPUT_ALLOWANCE      (64 * 1024) /* answers above the output limit before input stops */
#define PAYLOAD_BY_REFERENCE  2048        /* payloads from this size on are not copied */
#define ROUTE_CACHE_BYTES     ((size_t)32 * 1024 * 1024)
#define ROUTE_CACHE_TOPIC_MAX 512
#define TOPIC_LEVELS_MAX      1024 /* matching recurses by level */
#define SHARDS_MAX            64

enum conn_state {
    CONN_NEW,
    CONN_AUTHENTICATING, /* the host has to answer */
    CONN_CHALLENGED,     /* the client has to, by AUTH */
    CONN_CONNECTED,
    CONN_ENDING
};

/* One network connection. Invariant: `session` is set exactly in CONN_CONNECTED, and in CONN_ENDING
 * until the connection is detached. */
struct conn {
    struct broker_conn name;
    void *host_data;
    struct session *session;
    struct conn *dirty_next, *dirty_previous;
    struct conn *ending_next;
    struct output output;
    struct timer timer; /* connect timeout, then keep alive */
    uint64_t last_input_ms;
    uint64_t taken_ms; /* when it last took something that it was slow to take */
    uint64_t paused_until_ms;
    uint64_t bytes_paid_us, messages_paid_us; /* see pace.c */
    struct tickets *tickets;                  /* PUBLISH packets that are not acknowledged */
    struct bytes *topic_aliases; /* limits.topic_aliases of them, or NULL; owned copies */
    uint32_t alias_bytes;        /* of these copies */
    uint32_t packet_bytes;       /* largest packet the client takes */
    struct auth *auth;           /* NULL: CONNECT named no authentication method */
    struct aliases *aliases;     /* towards the client; NULL: none yet */
    struct buf *connect;         /* the CONNECT packet while it is authenticated; or NULL */
    struct gates *gates;         /* NULL: nothing is held */
    uint64_t gate_epoch;         /* what its next answer has to wait for */
    const char *end_words;
    const char *peer; /* the host's */
    uint16_t unacked; /* QoS 1 and 2 PUBLISH packets from the client, on this connection */
    uint16_t window;  /* the same towards the client, at most */
    uint16_t keep_alive_s;
    uint16_t aliases_most; /* towards the client; 0: none */
    enum mqtt_version version;
    enum conn_state state;
    uint8_t end_reason;
    bool is_dirty, is_listed_ending, is_input_blocked;
    bool will_is_wanted; /* when it ends */
    bool has_left;       /* has sent DISCONNECT */
    bool is_announced;   /* to the host, as connected */
    bool no_problem_info;
    bool is_over_limit; /* of connections: to be refused */
    bool is_over_address_limit;
    uint32_t gated_at; /* place in the list of those with gates */
};

/* A QoS 2 message from the client that an earlier run has taken, on some of its shards at least. */
struct partial {
    struct partial *next;
    struct message_taken by;
    uint16_t packet_id;
};

/* What of a queue is on disk only; see spill.c. */
struct spill {
    struct queue_load live, stored; /* by is_stored */
    uint64_t after;                 /* the sequence number before the first of it */
    bool is_fetching;
};

/* The state that the protocol keeps for a client id. */
struct session {
    struct table_link by_id;
    struct subscriber subscriber;
    struct conn *conn; /* NULL while offline */
    struct inflight inflight;
    struct queue queue;
    struct spill *spill;        /* behind the queue; NULL: nothing */
    struct partial *partial;    /* QoS 2 messages of an earlier run, see restore.c; or NULL */
    struct packet_ids received; /* QoS 2 messages from the client, until PUBREL */
    struct timer timer;         /* the earlier of the two below, while offline */
    struct broker_message *will;
    uint64_t will_at_ms;                           /* while offline; TIMER_NEVER: no will pending */
    uint64_t expires_at_ms;                        /* while offline; TIMER_NEVER: stays */
    uint64_t number;                               /* never used twice, on any shard */
    struct session *offline_older, *offline_newer; /* while offline */
    uint32_t will_delay_s;
    uint32_t expiry_s; /* 0: ends with its connection; UINT32_MAX: stays */
    enum broker_role role;
    bool is_anonymous;
    uint16_t client_id_n;
    uint32_t user_name_n;
    uint8_t text[]; /* client id, user name */
};

/* One receiver of a topic. */
struct target {
    struct session *session;
    struct subscription_ids *ids;
    uint8_t qos;
    bool retain_as_published;
    bool has_no_local;
};

struct targets {
    const struct target *list;
    uint32_t count;
    uint64_t shards; /* others that have subscribers */
    struct group *const *groups;
    uint32_t group_count;
    uint64_t durable_shards; /* others that have durable subscribers */
};

struct route;

struct route_cache {
    struct table routes; /* by topic */
    struct route *oldest, *newest;
    size_t bytes;
    struct target *building;
    uint32_t building_count, building_capacity;
    struct group **groups; /* the same for groups */
    uint32_t group_count, group_capacity;
};

struct conn_slot {
    struct conn *conn; /* NULL: free */
    uint32_t generation;
    uint32_t next_free; /* index + 1 */
};

/* The limits "in all". What has a gauge or a count of its own is set from that. */
struct budgets {
    struct budget connections, sessions, subscriptions, queued_messages, waiting_bytes;
    struct budget passing_bytes;
    uint64_t overhead_bytes; /* in waiting_bytes: places in queues and windows */
    uint64_t spilled_messages;
};

/* Of the receivers of one publication: how full the fullest is that publishers should wait for, and
 * whether there is one that has room. */
struct pressure {
    unsigned percent;
    bool has_relief;
};

struct connect_slot;

/* What waits for one other shard. */
struct outbox {
    struct broker_parcel *parcel;
    struct broker *direct; /* that shard, while it may be called; see direct.c */
    bool owes_floor;       /* see parcel.c */
    bool wants_word;       /* see storing.c */
};

struct broker {
    struct broker_host host;
    struct broker_limits limits;
    unsigned shard, shards;
    _Atomic uint64_t *retained_counter;
    struct hash_key key;
    uint64_t now_ms;
    unsigned depth; /* of calls from the host and back */
    bool is_visited, is_leaving;
    uint64_t direct_shards, entered_shards; /* see direct.c */

    struct conn_slot *slots;
    uint32_t slot_count, slot_capacity, free_slot;
    struct conn *dirty_first, *dirty_last;
    struct conn *ending_first, *ending_last;

    struct timers timers;
    struct broker_pools own_pools;
    struct budgets budgets;
    struct pressure pressure;
    struct connect_slot *connect_slots; /* NULL: no limit */
    struct table sessions;
    struct session *offline_oldest, *offline_newest;
    struct subtree subtree;
    struct retained retained;
    struct route_cache routes;
    struct output_pool pool;
    struct storing *storing; /* NULL: nothing is stored */
    struct outbox outboxes[SHARDS_MAX];
    const struct group_order *group_order; /* of the parcel item before; see parcel.c */
    uint64_t shard_floors[SHARDS_MAX];     /* see parcel.c */
    struct buf scratch;                    /* for one packet or filter, never across a callback */
    struct buf props;                      /* for the properties that a message forwards */
    struct buf answer_props;               /* for those of our own packets */
    char *response_prefix;                 /* "": none */
    uint64_t next_session, next_assigned;
    _Atomic uint64_t counts[BROKER_COUNTS]; /* struct broker_counts, word by word */
};

/* Counting. Only the shard's thread writes, so an addition needs no lock; readers on other threads
 * see whole numbers. `name` is a field of struct broker_counts. */
#define STAT_WORD(name)      (offsetof(struct broker_counts, name) / sizeof(uint64_t))
#define STAT_ADD(b, name, n) stat_add((b), STAT_WORD(name), (n))
#define STAT_SUB(b, name, n) stat_add((b), STAT_WORD(name), -(uint64_t)(n))
#define STAT_SET(b, name, n)                                                                       \
    atomic_store_explicit(&(b)->counts[STAT_WORD(name)], (n), memory_order_relaxed)
#define STAT_GET(b, name)           atomic_load_explicit(&(b)->counts[STAT_WORD(name)], memory_order_relaxed)
/* One of an array, or of fields that stand one behind the other. */
#define STAT_ADD_AT(b, name, at, n) stat_add((b), STAT_WORD(name) + (at), (n))

static inline void stat_add(struct broker *b, size_t word, uint64_t n)
{
    uint64_t before = atomic_load_explicit(&b->counts[word], memory_order_relaxed);
    atomic_store_explicit(&b->counts[word], before + n, memory_order_relaxed);
}

/* broker.c */
void broker_enter(struct broker *b, uint64_t now_ms); /* 0: no time has passed */
void broker_leave(struct broker *b);

/* limits.c */
void budgets_init(struct broker *b, struct broker_pools *pools);
void budgets_close(struct broker *b);
/* Brings the budgets up to date with what there is; at the end of every call from the host. */
void budgets_settle(struct broker *b);
/* Whether what is to wait for long, as in a queue, may take `bytes` more of waiting_bytes: the last
 * quarter is for those who keep up. */
bool waiting_has_room_to_queue(const struct broker *b, size_t bytes);
/* The same for what goes to a client whose unsent bytes are `unsent`; at QoS 0, a backlog may take
 * half. */
bool waiting_has_room_to_send(const struct broker *b, uint8_t qos, uint64_t unsent);

/* pace.c */
SEALMQ_MUST_CHECK int pace_init(struct broker *b);
void pace_close(struct broker *b);
/* Reads nothing from the client for `ms` from now. */
void pace_pause(struct broker *b, struct conn *conn, uint64_t ms);
/* A packet of a connected client was handled. */
void pace_input(struct broker *b, struct conn *conn, size_t bytes, bool is_publish);
/* Around the deliveries of one publication: each receiver is looked at; then, for how long its
 * publisher should pause. */
void pace_begin(struct broker *b);
void pace_see_receiver(struct broker *b, const struct session *s, bool was_sent);
unsigned pace_pressure_ms(const struct broker *b);
void pace_publisher(struct broker *b, struct broker_conn publisher, unsigned ms);
/* Whether a client id may connect once more now. */
bool pace_connect(struct broker *b, struct bytes client_id);

/* connection.c */
struct conn *conn_get(const struct broker *b, struct broker_conn name);
void conn_mark_dirty(struct broker *b, struct conn *conn);
/* Appends an encoded packet. False: no memory, and the connection is ending. */
bool conn_send(struct broker *b, struct conn *conn, const struct mqtt_packet *packet);
/* The same with a reason string, in 5.0, unless the packet gets too large for the client by it.
 * *props are those of `packet`, and stand in b->answer_props or are empty. Packets other than
 * CONNACK and DISCONNECT go without when the client has asked for that [MQTT-3.1.2-29]. */
bool conn_send_words(struct broker *b, struct conn *conn, struct mqtt_packet *packet,
                     struct mqtt_props *props, const char *words);
bool conn_output_is_full(const struct broker *b, const struct conn *conn);
/* May have been blocked: lists it if it can take input now. */
void conn_unblock(struct broker *b, struct conn *conn);
/* Ends a connection (once); a DISCONNECT goes out where the protocol has one and `tell` says so.
 * `words` are static. */
enum conn_tell { CONN_SILENT, CONN_TELL };
void conn_end(struct broker *b, struct conn *conn, uint8_t reason, const char *words,
              enum conn_tell tell);
/* The same with the name of another server for the client to go to, or NULL. */
void conn_end_to(struct broker *b, struct conn *conn, uint8_t reason, const char *words,
                 const char *reference, enum conn_tell tell);
/* The second step for one connection, or for all that are listed. */
void conn_detach(struct broker *b, struct conn *conn);
void conn_detach_listed(struct broker *b);
void conn_timer(struct broker *b, struct conn *conn);
void conn_free_all(struct broker *b);

/* input.c */
bool conn_is_open_for_input(const struct broker *b, const struct conn *conn);
/* The largest packet taken from a client of this role. */
uint32_t packet_bytes_max(const struct broker *b, enum broker_role role);

/* connect.c */
void connect_input(struct broker *b, struct conn *conn, struct bytes bytes);
void connect_forget_packet(struct conn *conn);
/* Refuses a client that is not let in yet. */
void connect_refuse(struct broker *b, struct conn *conn, uint8_t reason, const char *words);
/* What the host is shown of a client that is being authenticated; borrows from the connection. */
void connect_request(struct conn *conn, struct broker_auth_request *out);

/* auth.c */
/* A CONNECT has named a method: begins with it, or refuses. */
void auth_connect(struct broker *b, struct conn *conn, const struct broker_auth_request *request);
/* An AUTH packet, in CONN_CHALLENGED or CONN_CONNECTED. */
void auth_input(struct broker *b, struct conn *conn, const struct mqtt_end *auth);
/* The host's answer to a re-authentication. */
void auth_done_again(struct broker *b, struct conn *conn, const struct broker_grant *grant);
/* The method, empty when there is none. */
struct bytes auth_method(const struct conn *conn);
void auth_free(struct conn *conn);

/* session.c */
struct bytes session_client_id(const struct session *s);
struct bytes session_user_name(const struct session *s);
struct broker_subject session_subject(const struct session *s);
struct session *session_find(const struct broker *b, struct bytes client_id);
SEALMQ_MUST_CHECK int session_new(struct broker *b, struct bytes client_id, struct bytes user_name,
                                  struct session **out);
/* It is the newest of those that are offline. */
void session_enter_offline(struct broker *b, struct session *s);
/* Takes out what an earlier run has noted of a packet identifier; false when there is nothing. */
bool session_take_partial(struct session *s, uint16_t packet_id, struct message_taken *out);
/* Ends an offline session: publishes a pending will, and frees it. */
void session_end(struct broker *b, struct session *s);
/* The connection has gone: ends the session, or sets its times. */
void session_detach(struct broker *b, struct session *s, bool will_is_wanted);
/* The other way: a connection takes it on. Drops a will that was not due. */
void session_resume(struct broker *b, struct session *s);
void session_timer(struct broker *b, struct session *s);
void session_free_all(struct broker *b);

/* will.c */
SEALMQ_MUST_CHECK int will_of_connect(struct broker *b, const struct mqtt_connect *connect,
                                      uint64_t origin, struct broker_message **out,
                                      uint32_t *delay_s);
void will_drop(struct broker *b, struct session *s);
void will_publish(struct broker *b, struct session *s);

/* publish.c */
void publish_input(struct broker *b, struct conn *conn, const struct mqtt_publish *publish);
/* Those properties of a message that go on to the receivers. */
SEALMQ_MUST_CHECK int publish_forwarded_props(struct broker *b, struct mqtt_props in,
                                              struct bytes *props, uint64_t *expires_ms);
bool publish_topic_is_within_limits(const struct broker *b, struct bytes topic);
/* False when the properties call the payload UTF-8 and it is not (5.0 section 3.3.2.3.2). */
bool publish_payload_is_as_said(struct mqtt_props props, struct bytes payload);

/* acknowledge.c */
void acknowledge(struct broker *b, struct conn *conn, uint8_t qos, uint16_t packet_id,
                 uint8_t reason);
void acknowledge_done(struct broker *b, struct conn *conn);
void ack_input(struct broker *b, struct conn *conn, enum mqtt_type type,
               const struct mqtt_ack *ack);

/* subscribe.c */
void subscribe_input(struct broker *b, struct conn *conn, const struct mqtt_subscribe *subscribe);
void unsubscribe_input(struct broker *b, struct conn *conn,
                       const struct mqtt_unsubscribe *unsubscribe);
/* A subscription of an earlier run. SEALMQ_E_NOMEM */
SEALMQ_MUST_CHECK int subscription_restore(struct broker *b, struct session *s, struct bytes filter,
                                           const struct subscription_options *options);
void unsubscribe_all(struct broker *b, struct session *s);

/* The same on every shard. */
static inline uint64_t publication_topic_hash(const struct broker *b, struct publication *p)
{
    if (p->topic_hash == 0)
        p->topic_hash = keyed_hash(&b->key, 1, p->view.topic);
    return p->topic_hash;
}

/* route.c */
SEALMQ_MUST_CHECK int route_cache_init(struct route_cache *cache);
void route_cache_close(struct route_cache *cache);
SEALMQ_MUST_CHECK int route_find(struct broker *b, struct publication *publication,
                                 struct targets *out);
/* Sends a publication to whom it concerns, on all shards. SEALMQ_E_NOMEM, SEALMQ_E_LIMIT (no more
 * retained messages): nobody got it. */
SEALMQ_MUST_CHECK int route_publication(struct broker *b, struct publication *publication,
                                        bool *has_receivers);
/* To this shard's subscribers only. */
SEALMQ_MUST_CHECK int route_local(struct broker *b, struct publication *publication);

/* deliver.c */
struct delivery_terms {
    uint8_t qos;
    bool retain;
    bool may_queue; /* also at QoS 0 */
    bool is_stored; /* from the store of retained messages, for a new subscription */
    struct subscription_ids *ids;
    struct group_name *group; /* the group whose message it is, or NULL */
    uint64_t sequence;        /* of one that has waited in a durable queue */
    uint32_t state_op;
};
/* Counts a message that was lost because of `error`. */
void deliver_count_dropped(struct broker *b, int error);
/* Whether a message would go to the client at once. */
bool deliver_is_ready(const struct broker *b, const struct session *s, uint8_t qos, size_t bytes);
/* False when it was dropped. */
bool deliver(struct broker *b, struct publication *publication, struct session *s,
             const struct delivery_terms *terms);
/* What waits in a session, on disk too. */
struct queue_load deliver_queue_load(const struct session *s, bool is_stored);
/* Whether a session's queue takes another message. What a subscription brings from the store of
 * retained messages is counted by itself: it is bounded by the store's own limits. */
bool deliver_queue_has_room(const struct broker *b, const struct session *s, size_t bytes,
                            bool is_stored);
/* Gives up what a delivery in a queue or window holds; an inflight_release, with
 * budgets.waiting_bytes.
 */
void delivery_release(void *waiting_bytes, struct delivery *delivery);
/* The oldest that waits in a session; what it holds is the caller's. */
struct delivery deliver_take_first(struct broker *b, struct session *s);
/* Sends what waits, as far as the client's window and the output allow. */
void deliver_waiting(struct broker *b, struct session *s);

/* share.c */
/* The way of a message for a group between the shards. */
struct share_way {
    uint64_t except;     /* shards that have nobody to give it to */
    uint8_t home;        /* the shard that chooses, and waits */
    uint8_t declines;    /* how often it was sent home for somebody better */
    bool is_refused;     /* there are members who take no more */
    bool is_handed_over; /* a session that has ended had it: its publisher waits no more */
};
/* Gives a message to one member of the group, on whatever shard; this one is its home. False when
 * no member may have it. */
bool share_send(struct broker *b, struct publication *publication, struct group *group);
/* Whether a message that is sent again after a restart is with a member for sure. */
bool share_has_already(const struct broker *b, const struct group *group,
                       const struct message_taken *taken);
/* A message came from another shard: from its home, or home. */
void share_receive(struct broker *b, struct publication *publication, struct group_name *name,
                   const struct share_way *way);
/* Tells the other shards how many members a shared filter has here. SEALMQ_E_NOMEM */
SEALMQ_MUST_CHECK int share_announce(struct broker *b, struct bytes filter);
/* A session has a connection now, or none any more. */
void share_set_online(struct broker *b, struct session *s, bool is_online);
/* Empties the queue of a session that ends; what it holds for groups goes to other members. */
void share_hand_over(struct broker *b, struct session *s);

/* parcel.c */
/* Room for a publication in the outboxes of `shards`, so that the putting cannot fail, and the
 * ownership that it takes; a retained one the caller makes own its bytes. */
SEALMQ_MUST_CHECK int parcel_reserve(struct broker *b, uint64_t shards,
                                     struct publication *publication);
void parcel_put_message(struct broker *b, uint64_t shards, const struct publication *publication);
/* A message for a member of a group on one shard. SEALMQ_E_NOMEM */
SEALMQ_MUST_CHECK int parcel_put_shared(struct broker *b, unsigned shard,
                                        struct publication *publication, struct group_name *name,
                                        const struct share_way *way);
/* So many subscribers has a filter here; of one that is not shared, one stands for any number, and
 * `online` for durable ones. */
SEALMQ_MUST_CHECK int parcel_put_filter(struct broker *b, struct bytes filter,
                                        struct group_count count);
uint64_t parcel_other_shards(const struct broker *b);
/* Whether nothing waits for that shard. */
bool parcel_is_empty(const struct broker *b, unsigned to);
/* Whether another shard is to be sent something. */
bool parcel_is_waiting(const struct broker *b);
/* A message that another shard has published comes to this one's subscribers. */
void parcel_receive_message(struct broker *b, struct publication *publication);
/* A retained message has expired here, as it does on all shards. */
void parcel_retained_expired(struct broker *b, struct retained_node *node);
void parcel_close(struct broker *b);

/* direct.c */
/* Those of `shards` to which a message may go at once, past nothing. */
uint64_t direct_shards(const struct broker *b, uint64_t shards);
/* To subscribers on these. A publisher that should wait for them pauses. */
void direct_deliver(struct broker *b, uint64_t shards, struct publication *publication);
/* The outermost call has been left: leaves those that were entered. */
void direct_leave(struct broker *b);

/* storing.c; without a store all of them do nothing, and succeed */
SEALMQ_MUST_CHECK int storing_init(struct broker *b, enum broker_durability durability);
void storing_close(struct broker *b);
/* Whether so much is not stored yet that publishers have to wait. */
bool storing_is_full(const struct broker *b);
/* Whether there is a journal to be taken. */
bool storing_is_waiting(const struct broker *b);
/* Room for operations, so that those below which return nothing cannot fail. */
SEALMQ_MUST_CHECK int storing_reserve(struct broker *b, size_t operations);
/* What `conn` (or NULL) is answered next depends on operations of this epoch. */
void storing_touch(struct broker *b, struct conn *conn);
/* The same, after the fact: if anything has had to be stored since storing_touches. */
uint64_t storing_touches(const struct broker *b);
void storing_depend(struct broker *b, struct conn *conn, uint64_t touches_before);
/* It depends on all that is not stored yet. */
void storing_wait_for_all(struct broker *b, struct conn *conn);
/* What is appended to the output from here on is not shown before the epochs that it depends on are
 * complete. False: no memory, and the connection is ending. */
SEALMQ_MUST_CHECK bool storing_hold(struct broker *b, struct conn *conn);
void storing_forget(struct broker *b, struct conn *conn); /* before its memory goes */

/* Operations. For sessions that are not durable they do nothing. */
SEALMQ_MUST_CHECK int storing_put_session(struct broker *b, const struct session *s,
                                          bool is_online);
void storing_end_session(struct broker *b, const struct session *s);
SEALMQ_MUST_CHECK int storing_forget_session(struct broker *b, uint64_t number);
/* `options` NULL: it was removed. */
SEALMQ_MUST_CHECK int storing_put_subscription(struct broker *b, const struct session *s,
                                               struct bytes filter,
                                               const struct subscription_options *options);
/* A message for a durable session, with room reserved: gives it its sequence number. */
void storing_add(struct broker *b, const struct session *s, struct delivery *delivery);
/* It was sent, or PUBREC came; with room reserved. */
void storing_set_state(struct broker *b, const struct session *s, struct delivery *delivery,
                       uint16_t packet_id, enum inflight_state state);
/* The client has it, or it was given up. */
void storing_done(struct broker *b, const struct session *s, const struct delivery *delivery);
/* A QoS 2 message from the client was taken or released. */
SEALMQ_MUST_CHECK int storing_received(struct broker *b, const struct session *s,
                                       uint16_t packet_id, bool is_released);
/* A QoS 2 message that another shard has taken from a durable client is going to be routed here,
 * and was; if nothing of it had to be stored, the note is not either. */
SEALMQ_MUST_CHECK int storing_note(struct broker *b, const struct publication *p, uint64_t *note);
void storing_note_end(struct broker *b, uint64_t note);
void storing_fetch(struct broker *b, const struct session *s, struct journal_page *page);
/* The shard that stores the retained messages of a topic; false when they are not stored. */
bool storing_keeps_retained(const struct broker *b, struct bytes topic, unsigned *owner);
/* A retained message is going to be applied; if this shard is to store it, it does. */
SEALMQ_MUST_CHECK int storing_retained(struct broker *b, struct publication *p);
void storing_retained_expired(struct broker *b, struct broker_message *message);

/* What parcels say about each other. */
struct parcel_word {
    uint64_t number;  /* of this parcel */
    uint64_t durable; /* the other's parcels up to this one are stored */
    bool wants_word;  /* somebody waits for this parcel's being stored */
};
/* Answers wait for what was just put into the outboxes of `shards`. */
void storing_wait_for_shards(struct broker *b, uint64_t shards, size_t bytes);
/* What was sent off in an epoch that is not complete has come back, and since storing_touches was
 * dealt with in the open one: who waits for the former waits for the latter, too. */
void storing_widen(struct broker *b, uint64_t touches_before);
bool storing_owes_word(const struct broker *b, unsigned shard);
void storing_close_parcel(struct broker *b, unsigned to, struct parcel_word *word);
uint64_t storing_position(const struct broker *b);
void storing_parcel_received(struct broker *b, unsigned from, const struct parcel_word *word,
                             uint64_t position_before);

/* spill.c */
/* Whether the next message of a queue is to be stored only. */
bool spill_is_due(const struct broker *b, const struct session *s);
SEALMQ_MUST_CHECK int spill_begin(struct session *s, uint64_t first);
void spill_count(struct broker *b, struct session *s, bool is_stored, uint32_t messages,
                 uint64_t bytes);
void spill_drop(struct broker *b, struct session *s);
/* Asks for the next page when the client can soon take it. */
void spill_fetch(struct broker *b, struct session *s);
void spill_take_page(struct broker *b, struct session *s, struct journal_page *page);

#endif
