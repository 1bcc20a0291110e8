/* The limits of a server: what they are when nobody says anything, and the budgets of those that
 * all shards share. */
#include "broker/broker_int.h"

#define MIB (UINT64_C(1024) * 1024)

void broker_limits_default(struct broker_limits *out)
{
    *out = (struct broker_limits){
        .packet_bytes = 16 * 1024 * 1024, /* a block or a report of 8 MiB, and what is around it */
        .connections = 100000,
        .connections_per_address = 0, /* behind one address there may be a whole plant */
        .sessions = 1000000,
        .subscriptions_all = 10000000,
        .subscriptions = 1000,
        .topic_levels = 200,
        .topic_bytes = UINT16_MAX,
        .receive_maximum = 256,
        .inflight = 128,
        .inflight_bytes = 32 * MIB,
        .topic_aliases = 16,
        .topic_aliases_sent = 16,
        .queued_messages = 10000,
        .queued_bytes = 64 * MIB,
        .queued_messages_all = 10000000,
        .waiting_bytes = 1024 * MIB,
        .passing_bytes = 64 * MIB,
        .slow_publishers_ms = 1000,
        .memory_messages = 1000,
        .memory_bytes = MIB,
        .unstored_bytes = 64 * MIB,
        .output_bytes = 32 * MIB,
        .retained_messages = 1000000,
        .retained_bytes = 512 * MIB,
        .session_expiry_max_s = 7 * 24 * 3600,
        .keep_alive_max_s = 0,
        .connect_timeout_ms = 10000,
    };
}

/* Of small limits a shard keeps little for itself. */
static uint64_t step_of(uint64_t most, uint64_t step_max, unsigned shards)
{
    uint64_t step = most / (64 * (uint64_t)shards);
    if (step > step_max)
        step = step_max;
    return step == 0 ? 1 : step;
}

void budgets_init(struct broker *b, struct broker_pools *pools)
{
    const struct broker_limits *l = &b->limits;
    struct budgets *in_all = &b->budgets;
    if (pools == NULL)
        pools = &b->own_pools;
    budget_init(&in_all->connections, &pools->connections, l->connections, 1);
    budget_init(&in_all->sessions, &pools->sessions, l->sessions, 1);
    budget_init(&in_all->subscriptions, &pools->subscriptions, l->subscriptions_all,
                step_of(l->subscriptions_all, 1024, b->shards));
    budget_init(&in_all->queued_messages, &pools->queued_messages, l->queued_messages_all,
                step_of(l->queued_messages_all, 1024, b->shards));
    budget_init(&in_all->passing_bytes, &pools->passing_bytes, l->passing_bytes,
                step_of(l->passing_bytes, 65536, b->shards));
    budget_init(&in_all->waiting_bytes, &pools->waiting_bytes, l->waiting_bytes,
                step_of(l->waiting_bytes, MIB, b->shards));
}

void budgets_close(struct broker *b)
{
    budget_close(&b->budgets.connections);
    budget_close(&b->budgets.sessions);
    budget_close(&b->budgets.subscriptions);
    budget_close(&b->budgets.queued_messages);
    budget_close(&b->budgets.waiting_bytes);
    budget_close(&b->budgets.passing_bytes);
}

void budgets_settle(struct broker *b)
{
    struct budgets *in_all = &b->budgets;
    budget_set(&in_all->connections, STAT_GET(b, connections));
    budget_set(&in_all->sessions, b->sessions.count);
    budget_set(&in_all->subscriptions, b->subtree.count);
    budget_set(&in_all->queued_messages, STAT_GET(b, queued));
    uint64_t overhead = (STAT_GET(b, queued) - in_all->spilled_messages) * sizeof(struct delivery) +
                        STAT_GET(b, inflight) * sizeof(struct inflight_slot);
    if (overhead > in_all->overhead_bytes)
        budget_take(&in_all->waiting_bytes, overhead - in_all->overhead_bytes);
    else if (overhead < in_all->overhead_bytes)
        budget_give(&in_all->waiting_bytes, in_all->overhead_bytes - overhead);
    in_all->overhead_bytes = overhead;
    STAT_SET(b, passing_bytes, budget_sum(&in_all->passing_bytes));
    STAT_SET(b, waiting_bytes, budget_sum(&in_all->waiting_bytes));
}

bool waiting_has_room_to_queue(const struct broker *b, size_t bytes)
{
    const struct budget *waiting = &b->budgets.waiting_bytes;
    return budget_has_room(waiting, bytes, waiting->most - waiting->most / 4);
}

bool waiting_has_room_to_send(const struct broker *b, uint8_t qos, uint64_t unsent)
{
    const struct budget *waiting = &b->budgets.waiting_bytes;
    bool is_backlog = qos == 0 && unsent > OUTPUT_SMALL;
    return budget_has_room(waiting, 0, is_backlog ? waiting->most / 2 : waiting->most);
}
