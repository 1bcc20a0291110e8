/* How fast clients may be: their input is paused, never refused, when they are over a rate, when
 * those they publish to cannot follow, and when what is on its way to other shards has grown too
 * much. Only connects of one client id over their rate are refused. docs/adr/019-limits.md has the
 * rules and why they are so.
 *
 * A rate is kept as one number, the time at which all that was taken will have been paid for; a
 * client may be ahead of it by one second. */
#include "broker/broker_int.h"

#include <stdlib.h>

#define PRESSURE_BEGINS  75  /* percent of a receiver's limits */
#define PAUSE_LEAST_MS   5   /* at that */
#define PAUSE_MOST_MS    100 /* at all of them */
#define PAUSE_PASSING_MS 2
#define CONNECT_SLOTS    8192 /* a power of two */

struct connect_slot {
    uint64_t hash;
    uint64_t paid_us;
};

/* Pays for `n` at `rate` a second; the microseconds for which the payer is over its rate. */
static uint64_t pay(uint64_t *paid_us, uint64_t now_us, uint64_t n, uint64_t rate)
{
    uint64_t ahead_us = now_us > 1000000 ? now_us - 1000000 : 0;
    if (*paid_us < ahead_us)
        *paid_us = ahead_us;
    *paid_us += n * 1000000 / rate;
    return *paid_us > now_us ? *paid_us - now_us : 0;
}

void pace_pause(struct broker *b, struct conn *conn, uint64_t ms)
{
    if (conn->state != CONN_CONNECTED || b->now_ms + ms <= conn->paused_until_ms)
        return;
    conn->paused_until_ms = b->now_ms + ms;
    conn->is_input_blocked = true;
    if (conn->paused_until_ms < timer_time(&b->timers, &conn->timer))
        timer_set(&b->timers, &conn->timer, conn->paused_until_ms);
    conn_mark_dirty(b, conn);
}

void pace_input(struct broker *b, struct conn *conn, size_t bytes, bool is_publish)
{
    const struct broker_limits *l = &b->limits;
    const struct budget *passing = &b->budgets.passing_bytes;
    uint64_t over_us = 0;
    if (l->bytes_per_second != 0)
        over_us = pay(&conn->bytes_paid_us, b->now_ms * 1000, bytes, l->bytes_per_second);
    if (l->messages_per_second != 0 && is_publish) {
        uint64_t us = pay(&conn->messages_paid_us, b->now_ms * 1000, 1, l->messages_per_second);
        over_us = us > over_us ? us : over_us;
    }
    if (over_us != 0) {
        STAT_ADD(b, inputs_paused_rate_total, 1);
        pace_pause(b, conn, (over_us + 999) / 1000);
    }
    if (b->shards > 1 && !budget_has_room(passing, 0, passing->most)) {
        STAT_ADD(b, inputs_paused_passing_total, 1);
        pace_pause(b, conn, PAUSE_PASSING_MS);
    }
}

static uint64_t percent(uint64_t part, uint64_t whole)
{
    return whole == 0 ? 100 : part * 100 / whole;
}

void pace_see_receiver(struct broker *b, const struct session *s, bool was_sent)
{
    const struct broker_limits *l = &b->limits;
    const struct conn *conn = s->conn;
    if (conn == NULL || conn->state != CONN_CONNECTED)
        return; /* nobody waits for who is not there */
    if (was_sent && conn->output.bytes < l->output_bytes / 2) {
        b->pressure.has_relief = true;
        return;
    }
    uint64_t full = percent(conn->output.bytes, l->output_bytes);
    struct queue_load load = deliver_queue_load(s, false);
    uint64_t messages = percent(load.count, l->queued_messages);
    uint64_t bytes = percent(load.bytes, l->queued_bytes);
    if (!was_sent) {
        full = messages > full ? messages : full;
        full = bytes > full ? bytes : full;
    }
    if (full < PRESSURE_BEGINS)
        b->pressure.has_relief = true;
    else if (conn->taken_ms + l->slow_publishers_ms > b->now_ms && full > b->pressure.percent)
        b->pressure.percent = full < 100 ? (unsigned)full : 100;
}

void pace_begin(struct broker *b)
{
    b->pressure.percent = 0;
    b->pressure.has_relief = false;
}

unsigned pace_pressure_ms(const struct broker *b)
{
    unsigned over = b->pressure.percent;
    if (b->pressure.has_relief || over < PRESSURE_BEGINS)
        return 0;
    return PAUSE_LEAST_MS +
           (PAUSE_MOST_MS - PAUSE_LEAST_MS) * (over - PRESSURE_BEGINS) / (100 - PRESSURE_BEGINS);
}

void pace_publisher(struct broker *b, struct broker_conn publisher, unsigned ms)
{
    struct conn *conn = conn_get(b, publisher);
    if (ms == 0 || conn == NULL)
        return;
    STAT_ADD(b, inputs_paused_receivers_total, 1);
    pace_pause(b, conn, ms < PAUSE_MOST_MS ? ms : PAUSE_MOST_MS);
}

int pace_init(struct broker *b)
{
    if (b->limits.connects_per_second == 0)
        return 0;
    b->connect_slots = calloc(CONNECT_SLOTS, sizeof *b->connect_slots);
    return b->connect_slots == NULL ? SEALMQ_E_NOMEM : 0;
}

void pace_close(struct broker *b)
{
    free(b->connect_slots);
}

/* Ids share a slot in pairs of places; of two that are there the one that was refused least lately
 * makes room. So an id may be forgotten too early, and never pays for another one. */
bool pace_connect(struct broker *b, struct bytes client_id)
{
    if (b->connect_slots == NULL)
        return true;
    uint64_t hash = keyed_hash(&b->key, 2, client_id);
    struct connect_slot *pair = &b->connect_slots[hash & (CONNECT_SLOTS - 2)];
    struct connect_slot *slot = pair[0].hash == hash ? &pair[0] : &pair[1];
    if (slot->hash != hash) {
        slot = pair[0].paid_us < pair[1].paid_us ? &pair[0] : &pair[1];
        *slot = (struct connect_slot){.hash = hash};
    }
    uint64_t before = slot->paid_us;
    if (pay(&slot->paid_us, b->now_ms * 1000, 1, b->limits.connects_per_second) == 0)
        return true;
    slot->paid_us = before; /* those refused are not paid for */
    return false;
}
