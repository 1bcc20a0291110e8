/* The parts of bench_subscriptions; each prints a table. */
#ifndef SEALMQ_BENCH_SUBSCRIPTIONS_H
#define SEALMQ_BENCH_SUBSCRIPTIONS_H

#include <stddef.h>

/* The subscription tree by itself (broker/subtree.h), beside a look at every filter. */
void bench_tree(size_t most);
/* A PUBLISH to a server with so many subscriptions: with its route remembered, and without. */
void bench_routes(size_t most);
/* A PUBLISH while others subscribe. */
void bench_churn(size_t subscriptions);
/* Connected sessions that do nothing. */
void bench_sessions(size_t count);

#endif
