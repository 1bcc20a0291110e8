/* What the MQTT server keeps: SQLite file sessions.db with the tables
 *
 *   sessions(number, client, user, ...)       persistent sessions, with their wills
 *   subscriptions(session, filter, ...)
 *   queue(session, sequence, state, ...)      messages that wait or were sent; small ones stand
 * here messages(id, uses, message)               larger ones, once for all queues of one commit
 *   received(session, packet_id, shard, ...)  QoS 2 messages from clients, until PUBREL
 *   retained(topic, message, ...)
 *
 * Journals (broker/journal.h) go in, several in one commit; a new server's shards are filled from
 * it. Times are of the wall clock. One thread at a time. */
#ifndef SEALMQ_STORE_SESSION_STORE_H
#define SEALMQ_STORE_SESSION_STORE_H

#include "broker/journal.h"

struct session_store;

/* Makes the file if it is missing, and locks it. As db_open. */
SEALMQ_MUST_CHECK int session_store_open(const char *path, bool is_synchronous,
                                         struct session_store **out, char *why, size_t why_size);
void session_store_close(struct session_store *store);

/* Stores all operations of the journals, which are of different shards, or nothing; then fills in
 * the pages that they ask for. SEALMQ_E_FULL, _IO, _CORRUPT, _NOMEM: may be called again. */
SEALMQ_MUST_CHECK int session_store_commit(struct session_store *store,
                                           struct broker_journal *const *journals, size_t count);

/* The shards to fill. `wall_offset_ms` is wall clock less their clock, `now_ms` of their clock.
 * They must be new and durable. */
struct session_store_target {
    struct broker *const *shards;
    unsigned shard_count;
    int64_t wall_offset_ms;
    uint64_t now_ms;
    _Atomic uint64_t *retained_counter;
};
struct session_store_loaded {
    uint64_t sessions, ended, subscriptions, queued, inflight, retained;
};
/* SEALMQ_E_CORRUPT, _IO, _NOMEM: the shards are not to be used. */
SEALMQ_MUST_CHECK int session_store_load(struct session_store *store,
                                         const struct session_store_target *target,
                                         struct session_store_loaded *loaded);

#endif
