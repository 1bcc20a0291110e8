#include "monitor/sys_publisher.h"

#include "base/log.h"
#include "broker/sys_tree.h"
#include "monitor/metrics.h"

#include <stdatomic.h>
#include <stdlib.h>

/* What the publisher and a batch on its way share; goes with the last of them. */
struct shared {
    atomic_uint references;
    atomic_bool has_failed; /* something was not published */
};

struct sys_publisher {
    struct net_server *server;
    struct shared *shared;
    struct sys_tree tree;
};

/* What the worker is to publish: topic and payload, each with its length before it. */
struct batch {
    struct net_worker *worker;
    struct shared *shared;
    struct buf messages;
};

static void release(struct shared *shared)
{
    if (atomic_fetch_sub(&shared->references, 1) == 1)
        free(shared);
}

static void batch_free(struct batch *batch)
{
    release(batch->shared);
    buf_close(&batch->messages);
    free(batch);
}

static void append(void *context, struct bytes topic, struct bytes payload)
{
    struct buf *messages = context;
    buf_append_str16(messages, topic);
    buf_append_str16(messages, payload);
}

/* On the worker. */
static void publish(void *worker_context, void *argument)
{
    struct batch *batch = argument;
    struct reader rest = reader_of(buf_bytes(&batch->messages));
    (void)worker_context;
    while (rest.n != 0) {
        struct broker_outgoing message = {.retain = true};
        message.topic = reader_str16(&rest);
        message.payload = reader_str16(&rest);
        if (broker_publish(net_worker_broker(batch->worker), &message,
                           net_worker_now_ms(batch->worker)) != 0)
            atomic_store(&batch->shared->has_failed, true);
    }
    batch_free(batch);
}

/* Takes `messages`. */
static int hand_over(struct sys_publisher *publisher, struct buf *messages)
{
    int error = buf_status(messages);
    struct batch *batch = error == 0 ? calloc(1, sizeof *batch) : NULL;
    if (batch == NULL) {
        buf_close(messages);
        return SEALMQ_E_NOMEM;
    }
    *batch = (struct batch){net_server_worker(publisher->server, 0), publisher->shared, *messages};
    atomic_fetch_add(&publisher->shared->references, 1);
    error = net_worker_post(batch->worker, publish, batch);
    if (error != 0)
        batch_free(batch);
    return error;
}

void sys_publisher_update(struct sys_publisher *publisher, uint64_t now_ms)
{
    struct sys_input input = {.now_ms = now_ms};
    struct buf messages = {0};
    if (atomic_load(&publisher->shared->references) != 1)
        return;
    if (atomic_exchange(&publisher->shared->has_failed, false))
        sys_tree_forget(&publisher->tree);
    net_server_stats(publisher->server, &input.stats);
    metrics_process_memory(&input.memory_bytes, &input.memory_max_bytes);
    sys_tree_update(&publisher->tree, &input, append, &messages);
    if (hand_over(publisher, &messages) != 0)
        atomic_store(&publisher->shared->has_failed, true);
}

int sys_publisher_new(struct net_server *server, const char *version, struct sys_publisher **out)
{
    *out = NULL;
    struct sys_publisher *publisher = calloc(1, sizeof *publisher);
    struct shared *shared = calloc(1, sizeof *shared);
    if (publisher == NULL || shared == NULL) {
        free(publisher);
        free(shared);
        return SEALMQ_E_NOMEM;
    }
    atomic_init(&shared->references, 1);
    publisher->server = server;
    publisher->shared = shared;
    sys_tree_init(&publisher->tree, version);
    *out = publisher;
    return 0;
}

void sys_publisher_free(struct sys_publisher *publisher)
{
    if (publisher == NULL)
        return;
    release(publisher->shared);
    free(publisher);
}
