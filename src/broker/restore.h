/* Giving a new shard what was stored of an earlier run, before it serves anybody.
 *
 * For each session: broker_restore_session on the shard that owns its client id now, then the parts
 * of it. Retained messages go to every shard. Then the host carries the parcels between the shards
 * once, so that each knows the filters of the others. Nothing of this is journaled again, but what
 * time has done meanwhile is. */
#ifndef SEALMQ_BROKER_RESTORE_H
#define SEALMQ_BROKER_RESTORE_H

#include "broker/journal.h"

struct session;

/* Numbers that were used: the highest of a session (its lower 56 bits) and of a sequence. The
 * shared counter of retained messages is the host's to set. */
void broker_restore_begin(struct broker *broker, uint64_t session, uint64_t sequence);

/* A session as it was stored. `put` has wall clock times and is borrowed, but for its will. One
 * that was connected is disconnected now; one whose time is up must not be restored, but forgotten
 * by broker_restore_ended. SEALMQ_E_NOMEM, SEALMQ_E_EXISTS (its client id is there already). */
SEALMQ_MUST_CHECK int broker_restore_session(struct broker *broker, uint64_t number,
                                             const struct journal_session *put,
                                             struct session **out);
SEALMQ_MUST_CHECK int broker_restore_subscription(struct broker *broker, struct session *session,
                                                  struct bytes filter,
                                                  const struct subscription_options *options);
/* What was sent and not completed, in order of sequence numbers. Takes a reference of the message
 * (NULL in AWAIT_PUBCOMP). */
SEALMQ_MUST_CHECK int broker_restore_inflight(struct broker *broker, struct session *session,
                                              const struct journal_fetched *fetched,
                                              uint16_t packet_id, enum inflight_state state);
/* A QoS 2 message from the client was taken by this shard of so many. */
SEALMQ_MUST_CHECK int broker_restore_received(struct session *session, uint16_t packet_id,
                                              unsigned shard, unsigned shards);
/* What waits in its queue stays on disk. */
SEALMQ_MUST_CHECK int broker_restore_queue(struct broker *broker, struct session *session,
                                           bool is_stored, uint32_t messages, uint64_t bytes);
/* A retained message; its reference stays the caller's. */
SEALMQ_MUST_CHECK int broker_restore_retained(struct broker *broker,
                                              struct broker_message *message);
/* A session was stored whose time is up: it is removed from the store. */
SEALMQ_MUST_CHECK int broker_restore_ended(struct broker *broker, uint64_t number);

#endif
