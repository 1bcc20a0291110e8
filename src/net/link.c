/* An outbound connection: libmosquitto's socket watched by the loop.
 *
 * States, each try from the beginning with a new libmosquitto client:
 *
 *   WAITING --timer--> CONNECTING --CONNACK--> CONNECTED
 *      ^                   |                       |
 *      +------ ended ------+---------- ended ------+
 *
 * Invariants:
 *  1. `mosq` and `socket` exist together, in CONNECTING and CONNECTED, and only there.
 *  2. libmosquitto is told that its user has threads of his own, so that mosquitto_publish() only
 *     queues. All reading and writing takes place in mosquitto_loop_*(), called by us from the
 * loop; so libmosquitto calls back from there only.
 *  3. While `depth` is not 0 a callback or libmosquitto is on the stack, and neither `mosq` nor the
 *     link is destroyed; what happened meanwhile (`has_ended`, `is_freed`) is done when it is 0.
 *  4. We poll a duplicate of the socket, since libmosquitto closes its own without telling first.
 */
#include "net/link.h"
#include "base/assert.h"
#include "base/log.h"
#include "crypto/random.h"
#include "mqtt/reason.h"

#include <errno.h>
#include <fcntl.h>
#include <mosquitto.h>
#include <mqtt_protocol.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#define LOG_PART "link"

#define RETRY_MIN_MS            100
#define RETRY_MAX_MS            5000
#define STEADY_MS               5000 /* a connection that lasted so long starts the waits anew */
#define CONNECT_TIMEOUT_MS      10000
#define TICK_MS                 1000 /* libmosquitto looks at keep alive in seconds */
#define KEEP_ALIVE_DEFAULT_S    30
#define KEEP_ALIVE_MIN_S        5 /* libmosquitto refuses less */
#define OUTGOING_BYTES_DEFAULT  ((size_t)64 * 1024 * 1024)
#define OUTGOING_COUNT_MAX      32768 /* half of the packet identifiers, so that none is used twice */
#define OUTGOING_OVERHEAD_BYTES 256   /* what libmosquitto and we spend on a message besides */
#define READS_PER_TURN          64
#define SESSION_EXPIRY_S        86400

enum link_state { LINK_WAITING, LINK_CONNECTING, LINK_CONNECTED };

/* A message that libmosquitto has. QoS 0 is kept here until it is written, QoS 1 until PUBACK. */
struct link_sent {
    UT_hash_handle hh;
    int mid;
    uint8_t qos;
    uint64_t ticket;
    size_t bytes;
};

/* Lives until its handle is closed, which may be after the link has another one. */
struct link_socket {
    uv_poll_t poll;
    int fd;
    int events;
    bool is_established; /* TCP has connected */
    struct net_link *link;
};

struct net_link {
    struct net_link_options options; /* with strings of our own */
    char *host, *client_id;
    enum link_state state;
    struct mosquitto *mosq;
    struct link_socket *socket;
    uv_timer_t timer;     /* the next try; or, while there is a client, its tick */
    uv_prepare_t prepare; /* active when something was queued in this turn */
    unsigned open_handles;

    unsigned depth;
    bool is_freed;
    bool has_ended;
    bool wants_restart;
    uint8_t end_reason;
    char *end_words; /* NULL: the text of the reason */

    uint64_t since_ms; /* of the state */
    unsigned failures; /* tries in a row that did not last */
    struct link_sent *sent;
    size_t sent_count, sent_bytes;
};

static void on_timer(uv_timer_t *timer);

static void library_init(void)
{
    ASSERT(mosquitto_lib_init() == MOSQ_ERR_SUCCESS);
}

static uint64_t link_now(const struct net_link *link)
{
    return uv_now(link->options.loop);
}

/* Notes that the connection is over; the first reason counts. `words` is copied, may be NULL. */
static void link_set_ended(struct net_link *link, uint8_t reason, const char *words)
{
    if (link->has_ended)
        return;
    link->has_ended = true;
    link->end_reason = reason;
    free(link->end_words);
    link->end_words = words != NULL ? strdup(words) : NULL;
}

static void link_set_ended_library(struct net_link *link, int rc, int error_number)
{
    if (rc >= 0x80)
        link_set_ended(link, (uint8_t)rc, NULL);
    else if (rc == MOSQ_ERR_SUCCESS)
        link_set_ended(link, 0, "closed by the server");
    else if (rc == MOSQ_ERR_ERRNO)
        link_set_ended(link, 0, strerror(error_number));
    else if (rc == MOSQ_ERR_EAI)
        link_set_ended(link, 0, "host name does not resolve");
    else
        link_set_ended(link, 0, mosquitto_strerror(rc));
}

static void sent_forget(struct net_link *link, struct link_sent *sent)
{
    HASH_DEL(link->sent, sent);
    link->sent_count--;
    link->sent_bytes -= sent->bytes;
    free(sent);
}

static void on_socket_closed(uv_handle_t *handle)
{
    free(handle->data);
}

/* Ends the client and its socket, saying goodbye if that is possible without waiting. */
static void link_drop_client(struct net_link *link)
{
    struct link_socket *socket = link->socket;
    if (link->mosq != NULL) {
        if (link->state == LINK_CONNECTED && !link->has_ended) {
            link->has_ended = true; /* so that its last callback finds nothing to do */
            if (mosquitto_disconnect_v5(link->mosq, MQTT_REASON_SUCCESS, NULL) == MOSQ_ERR_SUCCESS)
                (void)mosquitto_loop_write(link->mosq, 1);
        }
        mosquitto_destroy(link->mosq);
        link->mosq = NULL;
    }
    if (socket != NULL) {
        link->socket = NULL;
        socket->link = NULL;
        uv_poll_stop(&socket->poll);
        close(socket->fd);
        uv_close((uv_handle_t *)&socket->poll, on_socket_closed);
    }
    uv_prepare_stop(&link->prepare);
    while (link->sent != NULL)
        sent_forget(link, link->sent);
    link->state = LINK_WAITING;
    link->has_ended = false;
}

static void on_link_handle_closed(uv_handle_t *handle)
{
    struct net_link *link = handle->data;
    if (--link->open_handles > 0)
        return;
    free(link->end_words);
    free(link->host);
    free(link->client_id);
    free(link);
}

static void link_destroy(struct net_link *link)
{
    link_drop_client(link);
    uv_close((uv_handle_t *)&link->timer, on_link_handle_closed);
    uv_close((uv_handle_t *)&link->prepare, on_link_handle_closed);
}

static void link_schedule_try(struct net_link *link)
{
    uint64_t wait_ms = 0;
    if (!link->wants_restart) {
        unsigned shift = link->failures < 6 ? link->failures : 6;
        wait_ms = (uint64_t)RETRY_MIN_MS << shift;
        if (wait_ms > RETRY_MAX_MS)
            wait_ms = RETRY_MAX_MS;
        /* So that those who lost the same server do not come back in step. */
        wait_ms = wait_ms / 2 + random_u64() % (wait_ms / 2 + 1);
        link->failures++;
    }
    uv_timer_start(&link->timer, on_timer, wait_ms, 0);
}

/* After anything that may have ended the connection or freed the link. */
static void link_settle(struct net_link *link)
{
    if (link->depth > 0)
        return;
    if (link->is_freed) {
        link_destroy(link);
        return;
    }
    if (!link->has_ended)
        return;
    if (link->state == LINK_CONNECTED && link_now(link) - link->since_ms >= STEADY_MS)
        link->failures = 0;
    link_drop_client(link);
    link_schedule_try(link);

    char *words = link->end_words;
    link->end_words = NULL;
    uint8_t reason = link->end_reason;
    if (link->options.disconnected != NULL) {
        link->depth++;
        link->options.disconnected(link->options.context, reason,
                                   words != NULL ? words : mqtt_reason_text(reason));
        link->depth--;
    }
    free(words);
    if (link->is_freed)
        link_destroy(link);
}

/* --- libmosquitto's callbacks -------------------------------------------------------------- */

static void on_connect(struct mosquitto *mosq, void *object, int rc, int flags,
                       const mosquitto_property *props)
{
    (void)mosq;
    (void)flags;
    struct net_link *link = object;
    if (link->is_freed || link->has_ended)
        return;
    if (rc != 0) {
        char *words = NULL;
        (void)mosquitto_property_read_string(props, MQTT_PROP_REASON_STRING, &words, false);
        link_set_ended(link, (uint8_t)rc, words);
        free(words);
        return;
    }
    link->state = LINK_CONNECTED;
    link->since_ms = link_now(link);
    if (link->options.connected != NULL)
        link->options.connected(link->options.context);
}

static void on_disconnect(struct mosquitto *mosq, void *object, int rc,
                          const mosquitto_property *props)
{
    int error_number = errno;
    (void)mosq;
    struct net_link *link = object;
    char *words = NULL;
    if (rc >= 0x80)
        (void)mosquitto_property_read_string(props, MQTT_PROP_REASON_STRING, &words, false);
    if (words != NULL)
        link_set_ended(link, (uint8_t)rc, words);
    else
        link_set_ended_library(link, rc, error_number);
    free(words);
}

static void on_message(struct mosquitto *mosq, void *object, const struct mosquitto_message *in,
                       const mosquitto_property *props)
{
    (void)mosq;
    (void)props;
    struct net_link *link = object;
    if (link->is_freed || link->has_ended || link->options.message == NULL)
        return;
    struct net_link_message message = {
        .topic = in->topic,
        .payload = bytes_of(in->payload, in->payloadlen > 0 ? (size_t)in->payloadlen : 0),
        .qos = (uint8_t)in->qos,
        .retain = in->retain,
    };
    link->options.message(link->options.context, &message);
}

static void on_publish(struct mosquitto *mosq, void *object, int mid, int reason,
                       const mosquitto_property *props)
{
    (void)mosq;
    (void)props;
    struct net_link *link = object;
    struct link_sent *sent;
    if (link->is_freed || link->has_ended)
        return;
    HASH_FIND_INT(link->sent, &mid, sent);
    if (sent == NULL)
        return;
    uint64_t ticket = sent->ticket;
    uint8_t qos = sent->qos;
    sent_forget(link, sent);
    if (qos > 0 && ticket != 0 && link->options.published != NULL)
        link->options.published(link->options.context, ticket, (uint8_t)reason);
}

static void on_subscribe(struct mosquitto *mosq, void *object, int mid, int count,
                         const int *granted, const mosquitto_property *props)
{
    (void)mosq;
    (void)mid;
    (void)props;
    struct net_link *link = object;
    for (int i = 0; i < count; i++) {
        if (granted[i] >= 0x80)
            log_warn(LOG_PART, "%s: %s:%u refused a subscription: %s", link->client_id, link->host,
                     link->options.port, mqtt_reason_text((uint8_t)granted[i]));
    }
}

/* --- the socket on the loop ---------------------------------------------------------------- */

static void on_socket(uv_poll_t *poll, int status, int events);

static void link_watch(struct net_link *link)
{
    struct link_socket *socket = link->socket;
    if (socket == NULL || link->has_ended || link->is_freed)
        return;
    int events = UV_READABLE;
    if (!socket->is_established || mosquitto_want_write(link->mosq))
        events |= UV_WRITABLE;
    if (events == socket->events)
        return;
    socket->events = events;
    if (uv_poll_start(&socket->poll, events, on_socket) != 0)
        link_set_ended(link, 0, "cannot watch the socket");
}

static void link_write(struct net_link *link)
{
    if (link->has_ended || link->is_freed)
        return;
    if (link->state == LINK_CONNECTED && !mosquitto_want_write(link->mosq))
        return;
    link->depth++;
    int rc = mosquitto_loop_write(link->mosq, 1);
    if (rc != MOSQ_ERR_SUCCESS)
        link_set_ended_library(link, rc, errno);
    link->depth--;
}

static void link_read(struct net_link *link)
{
    link->depth++;
    for (int i = 0; i < READS_PER_TURN && !link->has_ended && !link->is_freed; i++) {
        int rc = mosquitto_loop_read(link->mosq, 1);
        if (rc != MOSQ_ERR_SUCCESS)
            link_set_ended_library(link, rc, errno);
        int waiting = 0;
        if (ioctl(link->socket->fd, FIONREAD, &waiting) != 0 || waiting == 0)
            break;
    }
    link->depth--;
}

/* While TCP connects, the socket's own error says more than what libmosquitto would make of it. */
static bool link_check_established(struct link_socket *socket, int events)
{
    int error = 0;
    socklen_t size = sizeof(error);
    if (getsockopt(socket->fd, SOL_SOCKET, SO_ERROR, &error, &size) != 0)
        error = errno;
    if (error != 0)
        link_set_ended(socket->link, 0, strerror(error));
    socket->is_established = error == 0 && (events & UV_WRITABLE) != 0;
    return socket->is_established;
}

static void on_socket(uv_poll_t *poll, int status, int events)
{
    struct link_socket *socket = poll->data;
    struct net_link *link = socket->link;
    if (status < 0) { /* an error on the socket, which the next read will name */
        events = UV_READABLE;
        socket->events = 0;
    }
    if (socket->is_established || link_check_established(socket, events)) {
        if ((events & UV_READABLE) != 0)
            link_read(link);
        link_write(link);
        link_watch(link);
    }
    link_settle(link);
}

/* Once at the end of a turn in which something was queued. */
static void on_prepare(uv_prepare_t *prepare)
{
    struct net_link *link = prepare->data;
    uv_prepare_stop(prepare);
    if (link->mosq == NULL)
        return;
    link_write(link);
    link_watch(link);
    link_settle(link);
}

/* --- tries --------------------------------------------------------------------------------- */

/* libmosquitto 2.0 takes properties of CONNECT only in its blocking call, and keeps them for later
 * ones. With a port that it refuses that call ends after keeping them. Should another version not
 * keep them, the session ends with the connection, which costs those above a subscription that they
 * make anyhow in connected(). */
static void link_keep_session(struct net_link *link)
{
    mosquitto_property *props = NULL;
    if (mosquitto_property_add_int32(&props, MQTT_PROP_SESSION_EXPIRY_INTERVAL, SESSION_EXPIRY_S) ==
        MOSQ_ERR_SUCCESS)
        (void)mosquitto_connect_bind_v5(link->mosq, link->host, -1, KEEP_ALIVE_DEFAULT_S, NULL,
                                        props);
    mosquitto_property_free_all(&props);
}

static int link_set_credentials(struct net_link *link, struct buf *user_name, struct buf *password)
{
    if (link->options.credentials == NULL)
        return MOSQ_ERR_SUCCESS;
    link->depth++;
    int refused = link->options.credentials(link->options.context, user_name, password);
    link->depth--;
    if (refused != 0)
        return MOSQ_ERR_AUTH;
    const char *user = user_name->n > 0 ? buf_cstr(user_name) : NULL;
    const char *pass = password->n > 0 ? buf_cstr(password) : NULL;
    if (buf_status(user_name) != 0 || buf_status(password) != 0)
        return MOSQ_ERR_NOMEM;
    return mosquitto_username_pw_set(link->mosq, user, pass);
}

static int link_make_client(struct net_link *link)
{
    link->mosq = mosquitto_new(link->client_id, link->options.clean_start, link);
    if (link->mosq == NULL)
        return errno == ENOMEM ? MOSQ_ERR_NOMEM : MOSQ_ERR_INVAL;
    int rc = mosquitto_int_option(link->mosq, MOSQ_OPT_PROTOCOL_VERSION, MQTT_PROTOCOL_V5);
    if (rc == MOSQ_ERR_SUCCESS)
        rc = mosquitto_int_option(link->mosq, MOSQ_OPT_TCP_NODELAY, 1);
    /* The server's Receive Maximum bounds it; without one the protocol's own default holds. */
    if (rc == MOSQ_ERR_SUCCESS)
        rc = mosquitto_int_option(link->mosq, MOSQ_OPT_SEND_MAXIMUM, UINT16_MAX);
    if (rc == MOSQ_ERR_SUCCESS)
        rc = mosquitto_threaded_set(link->mosq, true); /* invariant 2 */
    mosquitto_connect_v5_callback_set(link->mosq, on_connect);
    mosquitto_disconnect_v5_callback_set(link->mosq, on_disconnect);
    mosquitto_message_v5_callback_set(link->mosq, on_message);
    mosquitto_publish_v5_callback_set(link->mosq, on_publish);
    mosquitto_subscribe_v5_callback_set(link->mosq, on_subscribe);
    return rc;
}

static int link_watch_new(struct net_link *link)
{
    /* Not F_DUPFD_CLOEXEC, which the thread sanitizer does not see: it would take the new
     * descriptor for an older one of the same number. */
    int fd = dup(mosquitto_socket(link->mosq));
    if (fd < 0)
        return MOSQ_ERR_ERRNO;
    (void)fcntl(fd, F_SETFD, FD_CLOEXEC);
    struct link_socket *socket = calloc(1, sizeof(*socket));
    if (socket == NULL || uv_poll_init(link->options.loop, &socket->poll, fd) != 0) {
        free(socket);
        close(fd);
        return MOSQ_ERR_NOMEM;
    }
    socket->poll.data = socket;
    socket->fd = fd;
    socket->link = link;
    link->socket = socket;
    link_watch(link);
    return MOSQ_ERR_SUCCESS;
}

static void link_try(struct net_link *link)
{
    struct buf user_name = {0}, password = {0};
    link->depth++;
    link->state = LINK_CONNECTING;
    link->since_ms = link_now(link);
    int rc = link_make_client(link);
    if (rc == MOSQ_ERR_SUCCESS)
        rc = link_set_credentials(link, &user_name, &password);
    if (rc == MOSQ_ERR_AUTH) {
        link_set_ended(link, 0, "no credentials yet");
        goto done;
    }
    if (rc == MOSQ_ERR_SUCCESS && !link->is_freed) {
        if (!link->options.clean_start)
            link_keep_session(link);
        rc = mosquitto_connect_async(link->mosq, link->host, link->options.port,
                                     link->options.keep_alive_s);
        if (rc == MOSQ_ERR_SUCCESS)
            rc = link_watch_new(link);
    }
    if (rc != MOSQ_ERR_SUCCESS)
        link_set_ended_library(link, rc, errno);
    uv_timer_start(&link->timer, on_timer, link->wants_restart ? 0 : TICK_MS, TICK_MS);
done:
    buf_wipe(&user_name);
    buf_wipe(&password);
    link->depth--;
    link_settle(link);
}

static void link_tick(struct net_link *link)
{
    if (link->state == LINK_CONNECTING && link_now(link) - link->since_ms >= CONNECT_TIMEOUT_MS) {
        link_set_ended(link, 0, "no answer in time");
    } else {
        link->depth++;
        int rc = mosquitto_loop_misc(link->mosq);
        if (rc != MOSQ_ERR_SUCCESS)
            link_set_ended_library(link, rc, errno);
        link->depth--;
        if (link->socket->is_established)
            link_write(link);
        link_watch(link);
    }
    link_settle(link);
}

static void on_timer(uv_timer_t *timer)
{
    struct net_link *link = timer->data;
    if (link->wants_restart && link->mosq != NULL) {
        bool was_connected = link->state == LINK_CONNECTED;
        link->failures = 0;
        link_drop_client(link);
        if (was_connected) {
            link_set_ended(link, 0, "restarted");
            link_settle(link); /* comes back here, without a client */
            return;
        }
    }
    link->wants_restart = false;
    if (link->mosq == NULL)
        link_try(link);
    else
        link_tick(link);
}

/* --- outside ------------------------------------------------------------------------------- */

int net_link_new(const struct net_link_options *options, struct net_link **out)
{
    static uv_once_t library_once = UV_ONCE_INIT;
    uv_once(&library_once, library_init);

    *out = NULL;
    if (options->loop == NULL || options->host == NULL || options->client_id == NULL ||
        options->port == 0)
        return SEALMQ_E_ARG;
    struct net_link *link = calloc(1, sizeof(*link));
    if (link == NULL)
        return SEALMQ_E_NOMEM;
    link->options = *options;
    link->host = strdup(options->host);
    link->client_id = strdup(options->client_id);
    if (link->host == NULL || link->client_id == NULL) {
        free(link->host);
        free(link->client_id);
        free(link);
        return SEALMQ_E_NOMEM;
    }
    link->options.host = link->options.client_id = NULL; /* the caller's: not ours to keep */
    if (link->options.keep_alive_s == 0)
        link->options.keep_alive_s = KEEP_ALIVE_DEFAULT_S;
    if (link->options.keep_alive_s < KEEP_ALIVE_MIN_S)
        link->options.keep_alive_s = KEEP_ALIVE_MIN_S;
    if (link->options.outgoing_bytes_limit == 0)
        link->options.outgoing_bytes_limit = OUTGOING_BYTES_DEFAULT;
    uv_timer_init(options->loop, &link->timer);
    uv_prepare_init(options->loop, &link->prepare);
    link->timer.data = link->prepare.data = link;
    link->open_handles = 2;
    uv_timer_start(&link->timer, on_timer, 0, 0);
    *out = link;
    return 0;
}

void net_link_free(struct net_link *link)
{
    if (link == NULL || link->is_freed)
        return;
    link->is_freed = true;
    if (link->depth == 0)
        link_destroy(link);
}

bool net_link_is_connected(const struct net_link *link)
{
    return link->state == LINK_CONNECTED && !link->has_ended && !link->wants_restart;
}

static int error_of_library(int rc)
{
    switch (rc) {
    case MOSQ_ERR_SUCCESS:
        return 0;
    case MOSQ_ERR_NOMEM:
        return SEALMQ_E_NOMEM;
    case MOSQ_ERR_NO_CONN:
    case MOSQ_ERR_CONN_LOST:
        return SEALMQ_E_AGAIN;
    case MOSQ_ERR_PAYLOAD_SIZE:
    case MOSQ_ERR_OVERSIZE_PACKET:
        return SEALMQ_E_LIMIT;
    case MOSQ_ERR_QOS_NOT_SUPPORTED:
    case MOSQ_ERR_RETAIN_NOT_SUPPORTED:
        return SEALMQ_E_UNSUPPORTED;
    case MOSQ_ERR_INVAL:
    case MOSQ_ERR_MALFORMED_UTF8:
        return SEALMQ_E_ARG;
    default:
        return SEALMQ_E_IO;
    }
}

int net_link_publish(struct net_link *link, const char *topic, struct bytes payload, uint8_t qos,
                     bool retain, uint64_t ticket)
{
    if (!net_link_is_connected(link))
        return SEALMQ_E_AGAIN;
    size_t limit = link->options.outgoing_bytes_limit;
    size_t bytes = OUTGOING_OVERHEAD_BYTES + strlen(topic);
    if (payload.n > MQTT_MAX_PAYLOAD || payload.n > limit || bytes > limit - payload.n)
        return SEALMQ_E_LIMIT;
    bytes += payload.n;
    if (bytes > limit - link->sent_bytes || link->sent_count >= OUTGOING_COUNT_MAX)
        return SEALMQ_E_FULL;
    if (qos > 1)
        return SEALMQ_E_ARG;

    struct link_sent *sent = calloc(1, sizeof(*sent));
    if (sent == NULL)
        return SEALMQ_E_NOMEM;
    int rc = mosquitto_publish_v5(link->mosq, &sent->mid, topic, (int)payload.n, payload.p, qos,
                                  retain, NULL);
    if (rc != MOSQ_ERR_SUCCESS) {
        free(sent);
        return error_of_library(rc);
    }
    struct link_sent *older;
    HASH_FIND_INT(link->sent, &sent->mid, older);
    if (older != NULL) /* 65,535 others passed one that waits: it has lost its answer */
        sent_forget(link, older);
    sent->qos = qos;
    sent->ticket = ticket;
    sent->bytes = bytes;
    HASH_ADD_INT(link->sent, mid, sent);
    if (sent->hh.tbl == NULL) { /* it is on its way, and its answer will find nobody */
        free(sent);
        return SEALMQ_E_NOMEM;
    }
    link->sent_count++;
    link->sent_bytes += bytes;
    uv_prepare_start(&link->prepare, on_prepare);
    return 0;
}

int net_link_subscribe(struct net_link *link, const char *filter, uint8_t qos)
{
    if (!net_link_is_connected(link))
        return SEALMQ_E_AGAIN;
    int rc = mosquitto_subscribe_v5(link->mosq, NULL, filter, qos, 0, NULL);
    if (rc == MOSQ_ERR_SUCCESS)
        uv_prepare_start(&link->prepare, on_prepare);
    return error_of_library(rc);
}

void net_link_restart(struct net_link *link, const char *host, uint16_t port)
{
    if (link->is_freed)
        return;
    if (host != NULL) {
        char *copy = strdup(host);
        if (copy != NULL) {
            free(link->host);
            link->host = copy;
            link->options.port = port;
        }
    }
    link->wants_restart = true;
    uv_timer_start(&link->timer, on_timer, 0, 0);
}
