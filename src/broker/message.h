/* Application messages. A message's parts are kept as they stand in a PUBLISH packet, so that
 * encoding it for a receiver is writing a small head and copying, or pointing to, the rest: that is
 * the same for both protocol versions and all QoS.
 *
 * A publication is a message on its way through the broker: at first it borrows its bytes from the
 * packet that it came in; only when somebody has to keep it (a queue, another shard, a large
 * payload in an output) is it copied, once, into a broker_message that all share. */
#ifndef SEALMQ_BROKER_MESSAGE_H
#define SEALMQ_BROKER_MESSAGE_H

#include "broker/broker.h"

/* Which shards of an earlier run have a message already, as bits, of how many there were. */
struct message_taken {
    uint64_t shards;
    uint8_t count;
};

struct message_view {
    struct bytes topic;
    struct bytes props; /* those that are forwarded, without message expiry */
    struct bytes payload;
    uint64_t expires_ms;          /* TIMER_NEVER: does not expire */
    uint64_t origin;              /* number of the session that published it; 0: none */
    struct broker_conn publisher; /* to be paused by a shard that cannot follow; or none */
    uint64_t retained_order;      /* of a retained message: the later wins */
    struct message_taken taken;   /* of one that is sent again after a restart; else zero */
    uint16_t origin_id;           /* packet identifier, at QoS 2 from a durable session; else 0 */
    uint8_t qos;
    bool retain; /* as published */
};

struct broker_message {
    _Atomic uint64_t references; /* the upper half: those of message_wait */
    struct message_view view;
    uint8_t bytes[]; /* topic, props, payload */
};

struct publication {
    struct message_view view;
    struct broker_message *owned; /* a reference, or NULL while borrowed */
    uint64_t topic_hash;          /* 0: not asked for yet */
};

/* Subscription identifiers that go with a delivery; of one shard, so counted without atomics. */
struct subscription_ids {
    uint32_t references;
    uint32_t count;
    uint32_t id[];
};

/* Makes the publication own its bytes. SEALMQ_E_NOMEM */
SEALMQ_MUST_CHECK int publication_own(struct publication *publication);
/* A publication of a message that exists; takes a reference. */
void publication_of(struct broker_message *message, struct publication *out);
void publication_close(struct publication *publication);

struct broker_message *message_hold(struct broker_message *message);
void message_release(struct broker_message *message); /* NULL is allowed */
/* A reference, and giving it up, of one who makes the message wait: a queue, a window, an output, a
 * parcel. The message's memory counts in `budget` while it has any such, once. */
struct budget;
void message_wait(struct budget *budget, struct broker_message *message);
void message_wait_no_more(struct budget *budget, struct broker_message *message);
/* What it takes in memory. */
size_t message_size(const struct message_view *view);

struct subscription_ids *subscription_ids_hold(struct subscription_ids *ids);
void subscription_ids_release(struct subscription_ids *ids); /* both allow NULL */
/* Adds an identifier to a list that nobody else holds. SEALMQ_E_NOMEM: it is as before. */
SEALMQ_MUST_CHECK int subscription_ids_add(struct subscription_ids **ids, uint32_t id);

#endif
