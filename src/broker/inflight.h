/* The QoS 1 and 2 state machines of one session, and nothing else.
 *
 * Towards the client (struct inflight), one slot per message that was sent and not completed:
 *
 *     QoS 1:  (sent) AWAIT_PUBACK --PUBACK--> done
 *     QoS 2:  (sent) AWAIT_PUBREC --PUBREC--> AWAIT_PUBCOMP --PUBCOMP--> done
 *                                `--PUBREC with an error--> done
 *
 * On a new connection what is left is sent again, in the order of sending: PUBLISH with DUP for the
 * first two states, PUBREL for AWAIT_PUBCOMP.
 *
 * From the client (struct packet_ids), the identifiers of QoS 2 messages that were taken and not
 * yet released by PUBREL; a PUBLISH with one of them is the same message again. QoS 1 needs no
 * memory. */
#ifndef SEALMQ_BROKER_INFLIGHT_H
#define SEALMQ_BROKER_INFLIGHT_H

#include "base/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct broker_message;
struct group_name;
struct subscription_ids;

enum inflight_state { INFLIGHT_FREE, AWAIT_PUBACK, AWAIT_PUBREC, AWAIT_PUBCOMP };

/* One message on its way; also what waits in a session's queue. */
struct delivery {
    struct broker_message *message; /* a reference; NULL in AWAIT_PUBCOMP */
    struct subscription_ids *ids;   /* a reference, or NULL */
    struct group_name *group;       /* of a shared subscription: a reference; else NULL */
    uint64_t sequence;              /* in the session's durable queue; 0: not durable */
    uint32_t state_op;              /* where the journal had it last, cut; see durable.c */
    uint8_t qos;
    bool retain;
    bool is_stored; /* from the store of retained messages */
};

struct inflight_slot {
    struct delivery delivery;
    uint32_t next, previous; /* slot number + 1, in the order of sending; 0: none */
    uint16_t packet_id;
    uint8_t state;
    bool is_unsent; /* not yet sent again on this connection */
};

struct inflight {
    struct inflight_slot *slots; /* slot of packet identifier i: i & (size - 1) */
    uint32_t size;               /* 0 or a power of two */
    uint32_t count;
    uint64_t bytes; /* of their messages */
    uint32_t first, last;
    uint32_t unsent_first, unsent_count; /* to be sent again; always the newest ones */
    uint16_t last_id;
};

/* Releases what a delivery holds; `context` is what stands behind it in the call. */
typedef void (*inflight_release)(void *context, struct delivery *delivery);

void inflight_close(struct inflight *inflight, inflight_release release, void *context);
/* Takes the delivery and gives it a packet identifier. SEALMQ_E_NOMEM; SEALMQ_E_LIMIT when all
 * identifiers are in use; then the delivery stays the caller's. */
SEALMQ_MUST_CHECK int inflight_add(struct inflight *inflight, const struct delivery *delivery,
                                   uint16_t *packet_id);
/* Takes back the newest, which could not be sent; the delivery is the caller's again. */
void inflight_take_back(struct inflight *inflight, uint16_t packet_id);

/* The slot of an identifier that is in use, or NULL. */
struct inflight_slot *inflight_find(struct inflight *inflight, uint16_t packet_id);
/* Puts back what an earlier run had sent; in the order of sending. SEALMQ_E_NOMEM,
 * SEALMQ_E_EXISTS: the delivery stays the caller's. */
SEALMQ_MUST_CHECK int inflight_restore(struct inflight *inflight, const struct delivery *delivery,
                                       uint16_t packet_id, enum inflight_state state);

/* An acknowledgement came. SEALMQ_E_NOTFOUND: the identifier is not in use; SEALMQ_E_PROTOCOL: it
 * is in a state which this acknowledgement does not answer. */
SEALMQ_MUST_CHECK int inflight_puback(struct inflight *inflight, uint16_t packet_id,
                                      inflight_release release, void *context);
SEALMQ_MUST_CHECK int inflight_pubrec(struct inflight *inflight, uint16_t packet_id, bool is_error,
                                      inflight_release release, void *context);
SEALMQ_MUST_CHECK int inflight_pubcomp(struct inflight *inflight, uint16_t packet_id,
                                       inflight_release release, void *context);

/* What is in flight, in the order of sending; NULL at the end. */
const struct inflight_slot *inflight_first(const struct inflight *inflight);
const struct inflight_slot *inflight_next(const struct inflight *inflight,
                                          const struct inflight_slot *slot);

/* A new connection: everything is to be sent again before anything new is added. */
void inflight_restart(struct inflight *inflight);
/* The next to be sent again, NULL when all are; and that it was. */
struct inflight_slot *inflight_unsent(struct inflight *inflight);
void inflight_resent(struct inflight *inflight, struct inflight_slot *slot);
/* Gives one up. */
void inflight_drop(struct inflight *inflight, struct inflight_slot *slot, inflight_release release,
                   void *context);
/* How many the client has received on this connection and not completed. */
static inline uint32_t inflight_sent_count(const struct inflight *inflight)
{
    return inflight->count - inflight->unsent_count;
}

/* A set of packet identifiers; zero-initialised is empty. */
struct packet_ids {
    uint16_t *slots; /* open addressing; 0 is free */
    uint32_t size;
    uint32_t count;
};

void packet_ids_close(struct packet_ids *ids);
/* SEALMQ_E_EXISTS, SEALMQ_E_NOMEM */
SEALMQ_MUST_CHECK int packet_ids_add(struct packet_ids *ids, uint16_t packet_id);
bool packet_ids_remove(struct packet_ids *ids, uint16_t packet_id);
bool packet_ids_has(const struct packet_ids *ids, uint16_t packet_id);

#endif
