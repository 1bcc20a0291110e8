/* An outbound MQTT 5.0 connection on a libuv loop, through libmosquitto: gateway to node, node to
 * node. Keeps itself connected, waiting 0.1 to 5 s (doubling, with jitter) between tries, and asks
 * for fresh credentials before each try, because log-in tokens are for one use.
 *
 * Nothing outlives a connection: libmosquitto would send unacknowledged messages again after a
 * reconnect, but those who use a link keep what matters durably and know better what is still worth
 * sending. So each try starts from nothing, and a connection that ends takes its tickets with it:
 * after disconnected(), what was published before and not reported by published() is to be taken
 * for lost (it may or may not have arrived).
 *
 * All on the loop's thread. Callbacks come from the loop only, never from inside net_link_new,
 * _publish, _subscribe, _restart or _free; they may call any of these functions. Host names are
 * resolved on the loop's thread: give numeric addresses where the loop must not wait. */
#ifndef SEALMQ_NET_LINK_H
#define SEALMQ_NET_LINK_H

#include "base/bytes.h"

#include <uv.h>

struct net_link;

struct net_link_message {
    const char *topic;
    struct bytes payload;
    uint8_t qos;
    bool retain;
};

struct net_link_options {
    uv_loop_t *loop;
    const char *host; /* copied, like all strings here */
    uint16_t port;
    const char *client_id;
    uint16_t keep_alive_s;       /* 0: 30; at least 5 */
    bool clean_start;            /* false: the server keeps the session for a day */
    size_t outgoing_bytes_limit; /* queued while not connected or slow; 0: 64 MiB */
    void *context;
    /* Fills user name and password for the next try; non-zero return: try again later. */
    int (*credentials)(void *context, struct buf *user_name, struct buf *password);
    void (*connected)(void *context); /* subscribe here */
    /* A try failed, or the connection ended. reason: MQTT reason of a refused or ended connection,
     * 0 for a network error; words: the server's Reason String if it sent one, else ours */
    void (*disconnected)(void *context, uint8_t reason, const char *words);
    void (*message)(void *context, const struct net_link_message *message);
    /* A QoS 1 publish was acknowledged; reason is the PUBACK's. May be NULL. */
    void (*published)(void *context, uint64_t ticket, uint8_t reason);
};

SEALMQ_MUST_CHECK int net_link_new(const struct net_link_options *options, struct net_link **out);
/* Ends the connection; no callback follows. The memory goes when the loop has run once more. NULL
 * is allowed. */
void net_link_free(struct net_link *link);
bool net_link_is_connected(const struct net_link *link);
/* SEALMQ_E_AGAIN when not connected, SEALMQ_E_FULL over the outgoing limit, SEALMQ_E_LIMIT when it
 * can never be sent (larger than that limit or than what the server takes), SEALMQ_E_ARG (not a
 * topic name). At QoS 1 `ticket` comes back in published(); 0 wants no answer. */
SEALMQ_MUST_CHECK int net_link_publish(struct net_link *link, const char *topic,
                                       struct bytes payload, uint8_t qos, bool retain,
                                       uint64_t ticket);
/* SEALMQ_E_AGAIN when not connected. A refusal by the server is logged. */
SEALMQ_MUST_CHECK int net_link_subscribe(struct net_link *link, const char *filter, uint8_t qos);
/* Drops the connection and connects anew at once (other credentials, another host with non-NULL):
 * from the loop's next turn, with disconnected() first if it was connected. */
void net_link_restart(struct net_link *link, const char *host, uint16_t port);

/* Splits "mqtt://host:port" (port default 1883; an IPv6 address in brackets). SEALMQ_E_PARSE,
 * SEALMQ_E_UNSUPPORTED (mqtts, ws, wss), SEALMQ_E_LIMIT (host does not fit). */
SEALMQ_MUST_CHECK int net_url_parse(struct bytes url, char *host, size_t host_size, uint16_t *port);

#endif
