/* A server of one shard without a network, and its clients as packets: what the broker's own work
 * costs. */
#ifndef SEALMQ_BENCH_SHARD_H
#define SEALMQ_BENCH_SHARD_H

#include "broker/broker.h"

struct shard {
    struct broker *broker;
    uint64_t now_ms;
    struct buf packet;
    _Atomic uint64_t retained_counter;
};

/* Limits are the defaults, but for the counts of connections, sessions and subscriptions. */
void shard_open(struct shard *shard);
/* Also ends what is connected. */
void shard_close(struct shard *shard);

/* A client connects and is let in; its session outlives the connection. */
struct broker_conn shard_connect(struct shard *shard, uint32_t number);
void shard_disconnect(struct shard *shard, struct broker_conn conn);
/* `count` filters in one packet, QoS 0. */
void shard_subscribe(struct shard *shard, struct broker_conn conn, const struct bytes *filters,
                     size_t count);
void shard_unsubscribe(struct shard *shard, struct broker_conn conn, struct bytes filter);
/* QoS 0, 16 bytes. */
void shard_publish(struct shard *shard, struct broker_conn conn, struct bytes topic);

/* Time on a processor of this process, and memory that it has taken from the heap. */
uint64_t cpu_ns(void);
uint64_t heap_bytes(void);

#endif
