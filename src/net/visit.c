/* Visits: parcels delivered to a worker that sleeps, by the worker that has them.
 *
 * To wake a thread for one message costs several times what the message itself costs: a write, a
 * switch to the other thread, a read, a turn of its loop. A worker that sleeps holds nothing; so
 * whoever has a few items for it takes its lock, delivers them to its shard and writes the output,
 * and the sleeper never knows. A worker that is awake is not visited: what comes through its
 * mailbox costs no wake-up then, and the two work side by side.
 *
 * A visitor touches the shard, and the sockets by writing to them, but never the sleeper's loop:
 * what needs the loop (a socket that is full, an earlier deadline, a connection to be closed) or
 * the owner's voice (parcels of its own, news for the program above) wakes the owner.
 *
 * The order of what goes from one worker to another stays: a mailbox that is not empty is not
 * overtaken, and of one that is empty everything has been delivered, since the owner sleeps. */
#include "net/net_int.h"

/* More than this is worth a second thread. */
#define VISIT_ITEMS_MAX  32
#define VISIT_WRITES_MAX 16

/* Writes what the visit has caused. Whether the owner is needed. */
static bool write_output(struct net_worker *worker)
{
    struct broker_conn name;
    bool needs_owner = false;
    for (unsigned writes = 0; broker_next_dirty(worker->broker, &name);) {
        struct net_connection *c = broker_conn_data(worker->broker, name);
        if (c == NULL || c->is_flushing)
            continue;
        if (writes < VISIT_WRITES_MAX && connection_flush_as_visitor(c)) {
            writes++;
            continue;
        }
        worker_flush_later(worker, c);
        needs_owner = true;
    }
    return needs_owner;
}

bool worker_visit(struct net_worker *worker, struct broker_parcel *parcels, uint64_t now_ms)
{
    if (broker_parcel_count(parcels) > VISIT_ITEMS_MAX || pthread_mutex_trylock(&worker->lock) != 0)
        return false;
    bool is_possible = !worker->is_stopping && !mailbox_has_items(&worker->mailbox);
    bool needs_owner = false;
    if (is_possible) {
        broker_visit_begin(worker->broker);
        broker_deliver_parcels(worker->broker, parcels, now_ms);
        needs_owner = write_output(worker);
        needs_owner |= broker_visit_end(worker->broker);
        needs_owner |= broker_deadline(worker->broker) < worker->timer_due_ms;
    }
    pthread_mutex_unlock(&worker->lock);
    if (needs_owner)
        worker_wake(worker);
    return is_possible;
}
