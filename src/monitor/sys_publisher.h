/* Publishes what has changed in the $SYS tree, retained, at QoS 0, on the first worker. */
#ifndef SEALMQ_MONITOR_SYS_PUBLISHER_H
#define SEALMQ_MONITOR_SYS_PUBLISHER_H

#include "net/server.h"

struct sys_publisher;

SEALMQ_MUST_CHECK int sys_publisher_new(struct net_server *server, const char *version,
                                        struct sys_publisher **out);
/* What was handed to the worker is still published. */
void sys_publisher_free(struct sys_publisher *publisher);
/* Once every interval. A worker that has not yet published the last update gets no more. */
void sys_publisher_update(struct sys_publisher *publisher, uint64_t now_ms);

#endif
