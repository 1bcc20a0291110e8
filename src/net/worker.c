/* A worker: a thread, its loop, and its shard.
 *
 * The end of a turn comes twice in each iteration of the loop: in the check phase, after sockets
 * and mailbox, and in the prepare phase, after timers. Whatever happened in between is on the
 * shard's list of dirty connections or in the flush list. */
#include "net/net_int.h"

#include "base/assert.h"
#include "base/log.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

/* --- the shard's host ---------------------------------------------------------------------- */

static void host_authenticate(void *context, const struct broker_auth_request *request)
{
    struct net_worker *worker = context;
    worker->server->app.authenticate(worker->app_context, request);
}

static bool host_auth_begin(void *context, const struct broker_auth_request *request)
{
    struct net_worker *worker = context;
    return worker->server->app.auth_begin(worker->app_context, request);
}

static void host_auth_continue(void *context, const struct broker_auth_request *request)
{
    struct net_worker *worker = context;
    worker->server->app.auth_continue(worker->app_context, request);
}

static bool host_authorize(void *context, const struct broker_subject *subject,
                           enum broker_access access, struct bytes topic)
{
    struct net_worker *worker = context;
    return worker->server->app.authorize(worker->app_context, subject, access, topic);
}

static enum broker_verdict host_publish(void *context, const struct broker_publish *in,
                                        uint64_t ticket, uint8_t *reason)
{
    struct net_worker *worker = context;
    return worker->server->app.publish(worker->app_context, in, ticket, reason);
}

static void host_connected(void *context, struct broker_conn conn,
                           const struct broker_subject *subject, const char *peer)
{
    struct net_worker *worker = context;
    worker->server->app.connected(worker->app_context, conn, subject, peer);
}

static void host_disconnected(void *context, struct broker_conn conn,
                              const struct broker_subject *subject, const char *peer,
                              uint8_t reason, const char *words)
{
    struct net_worker *worker = context;
    worker->server->app.disconnected(worker->app_context, conn, subject, peer, reason, words);
}

/* --- the end of a turn --------------------------------------------------------------------- */

void worker_flush_later(struct net_worker *worker, struct net_connection *c)
{
    if (c->is_flushing)
        return;
    c->is_flushing = true;
    c->next_flush = NULL;
    *worker->flush_tail = c;
    worker->flush_tail = &c->next_flush;
}

void worker_gather_dirty(struct net_worker *worker)
{
    struct broker_conn name;
    while (broker_next_dirty(worker->broker, &name)) {
        struct net_connection *c = broker_conn_data(worker->broker, name);
        if (c == NULL)
            continue;
        worker_flush_later(worker, c);
        connection_resume(c);
    }
}

_Static_assert(offsetof(struct net_item, kind) + sizeof(enum net_item_kind) <=
                   BROKER_PARCEL_HOST_BYTES,
               "what comes before the union fits at the head of a parcel");

bool worker_post_parcels(struct net_worker *worker)
{
    struct net_server *server = worker->server;
    bool is_delivered = false;
    for (unsigned i = 0; i < server->worker_count; i++) {
        struct net_worker *to = &server->workers[i];
        struct broker_parcel *parcels =
            to == worker ? NULL : broker_take_parcels(worker->broker, to->index);
        if (parcels == NULL)
            continue;
        if (crew_is_same(worker, to)) {
            broker_deliver_parcels(to->broker, parcels, uv_now(&worker->loop));
            is_delivered = true;
            continue;
        }
        if (worker_visit(to, parcels, uv_now(&worker->loop)))
            continue;
        struct net_item *item = (struct net_item *)(void *)parcels;
        item->kind = NET_ITEM_PARCELS;
        if (worker_post(to, item) != 0) /* that worker has stopped */
            server_keep_late(server, to->index, parcels);
    }
    return is_delivered;
}

void worker_flush(struct net_worker *worker)
{
    struct net_connection *c = worker->flush_first;
    worker->flush_first = NULL;
    worker->flush_tail = &worker->flush_first;
    while (c != NULL) {
        struct net_connection *next = c->next_flush;
        c->is_flushing = false;
        if (c->is_closed)
            free(c);
        else
            connection_flush(c);
        c = next;
    }
}

static uint64_t earliest(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static void on_timer(uv_timer_t *timer);

void worker_set_timer(struct net_worker *worker)
{
    uint64_t due = earliest(broker_deadline(worker->broker), worker->accept_due_ms);
    for (int phase = NET_HANDSHAKE; phase < NET_GONE; phase++) {
        struct net_connection *c = worker->lists[phase];
        if (phase != NET_SERVING && c != NULL)
            due = earliest(due, c->deadline_ms);
    }
    if (worker->is_stopping) /* deadlines are not in order then: look often, it is short */
        due = earliest(due, uv_now(&worker->loop) + NET_LINGER_STOP_MS / 5);
    if (due == worker->timer_due_ms)
        return;
    worker->timer_due_ms = due;
    uint64_t now = uv_now(&worker->loop);
    if (due == UINT64_MAX)
        uv_timer_stop(&worker->timer);
    else
        uv_timer_start(&worker->timer, on_timer, due > now ? due - now : 0, 0);
}

void worker_store(struct net_worker *worker)
{
    struct keeper *keeper = worker->server->keeper;
    if (keeper == NULL)
        return;
    broker_set_wall_clock(worker->broker, keeper_wall_ms(), uv_now(&worker->loop));
    struct broker_journal *journal = broker_take_journal(worker->broker);
    if (journal != NULL)
        keeper_submit(keeper, worker->index, journal);
}

static void worker_take_stored(struct net_worker *worker)
{
    struct broker_journal *journal = keeper_take_stored(worker->server->keeper, worker->index);
    if (journal != NULL)
        broker_stored(worker->broker, journal, uv_now(&worker->loop));
}

void worker_finish_stop(struct net_worker *worker)
{
    if (worker->is_stopping && !worker->is_finished &&
        ((worker->lists[NET_SERVING] == NULL && worker->lists[NET_ENDING] == NULL) ||
         uv_now(&worker->loop) >= worker->stop_due_ms)) {
        worker->is_finished = true;
        uv_stop(&worker->loop);
    }
}

/* --- the loop's callbacks ------------------------------------------------------------------ */

static void on_timer(uv_timer_t *timer)
{
    struct net_worker *worker = timer->data;
    uint64_t now = uv_now(&worker->loop);
    worker_rise(worker);
    worker->timer_due_ms = UINT64_MAX;
    if (broker_deadline(worker->broker) <= now)
        broker_tick(worker->broker, now);
    handshake_expire(worker, now);
    connection_expire(worker, now);
    listeners_resume(worker);
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct net_worker *worker = prepare->data;
    if (!crew_is_runner(worker))
        return;
    worker_rise(worker);
    crew_end_turn(worker);
    crew_rest(worker);
}

static void on_check(uv_check_t *check)
{
    struct net_worker *worker = check->data;
    uint64_t turns = atomic_load_explicit(&worker->turns, memory_order_relaxed);
    atomic_store_explicit(&worker->turns, turns + 1, memory_order_relaxed);
    if (!crew_is_runner(worker))
        return;
    worker_rise(worker);
    worker_drain_mailbox(worker);
    crew_end_turn(worker);
}

static void on_wake(uv_async_t *wake)
{
    worker_rise(wake->data);
    worker_drain_mailbox(wake->data);
}

/* --- the mailbox --------------------------------------------------------------------------- */

static void wake_worker(void *context)
{
    struct net_worker *worker = context;
    uv_async_send(&worker->wake);
}

void worker_wake(struct net_worker *worker)
{
    mailbox_wake(&worker->mailbox);
}

int worker_post(struct net_worker *worker, struct net_item *item)
{
    return mailbox_post(&worker->mailbox, &item->item);
}

static void worker_begin_stop(struct net_worker *worker, unsigned drain_ms)
{
    const struct net_server *server = worker->server;
    uint64_t now = uv_now(&worker->loop);
    if (worker->is_stopping)
        return;
    worker->is_stopping = true;
    worker->stop_due_ms = now + drain_ms;
    crew_want_release(worker);
    listeners_close(worker);
    while (worker->lists[NET_HANDSHAKE] != NULL)
        connection_destroy(worker->lists[NET_HANDSHAKE]);
    for (struct net_connection *c = worker->lists[NET_SERVING]; c != NULL; c = c->next) {
        if (server->stop_reference != NULL)
            broker_disconnect_to(worker->broker, c->name, server->stop_reason,
                                 "server shutting down", server->stop_reference, now);
        else
            broker_disconnect(worker->broker, c->name, MQTT_REASON_SERVER_SHUTTING_DOWN,
                              "server shutting down", now);
    }
}

static void worker_adopt(struct net_worker *worker, struct net_item *item)
{
    struct net_connection *c = NULL;
    if (worker->is_stopping)
        listener_close_socket(&worker->server->listeners[item->socket.peer.listener],
                              item->socket.fd);
    else
        c = connection_new(worker, item->socket.fd, &item->socket.peer, NET_SERVING);
    if (c == NULL) {
        stream_free(item->socket.stream);
        buf_close(&item->socket.bytes);
        return;
    }
    c->stream = item->socket.stream;
    c->rest = item->socket.bytes;
    connection_serve(c);
}

static struct broker_parcel *parcels_of(struct net_item *item)
{
    return (struct broker_parcel *)(void *)item;
}

/* Frees the item. */
static void worker_take(struct net_worker *worker, struct net_item *item)
{
    switch (item->kind) {
    case NET_ITEM_PARCELS:
        broker_deliver_parcels(worker->broker, parcels_of(item), uv_now(&worker->loop));
        return; /* the item was part of them */
    case NET_ITEM_SOCKET:
        worker_adopt(worker, item);
        break;
    case NET_ITEM_CALL:
        item->call.fn(worker->app_context, item->call.arg);
        break;
    case NET_ITEM_SERVE:
        listeners_open(worker);
        break;
    case NET_ITEM_STORED:
        worker_take_stored(worker);
        return; /* the item is the worker's */
    case NET_ITEM_PARK:
        crew_asked(worker);
        return; /* the worker's, too */
    case NET_ITEM_ADOPT:
        crew_adopt(worker, item->adopted);
        return; /* the other worker's */
    case NET_ITEM_STOP:
        worker_begin_stop(worker, item->drain_ms);
        break;
    }
    free(item);
}

/* Items are taken in the order of posting; what one of them posts is for the next time. */
static void worker_take_all(struct net_worker *worker, struct mailbox_item *all)
{
    while (all != NULL) {
        struct net_item *item = (struct net_item *)all;
        all = all->next;
        worker_take(worker, item);
    }
}

void worker_drain_mailbox(struct net_worker *worker)
{
    worker_take_all(worker, mailbox_take(&worker->mailbox));
}

/* --- the thread ---------------------------------------------------------------------------- */

/* Closes the mailbox, and keeps the parcels that are in it; the rest, in its order. Those who find
 * it closed keep theirs behind them. */
static struct mailbox_item *worker_close_mailbox(struct net_worker *worker)
{
    struct net_server *server = worker->server;
    struct mailbox_item *rest = NULL;
    struct mailbox_item **tail = &rest;
    pthread_mutex_lock(&server->late_lock);
    struct mailbox_item *all = mailbox_close(&worker->mailbox);
    while (all != NULL) {
        struct net_item *item = (struct net_item *)all;
        all = all->next;
        if (item->kind == NET_ITEM_PARCELS) {
            server_keep_late_locked(server, worker->index, parcels_of(item));
            continue;
        }
        item->item.next = NULL;
        *tail = &item->item;
        tail = &item->item.next;
    }
    pthread_mutex_unlock(&server->late_lock);
    return rest;
}

/* What was posted before the mailbox closed: calls are still made, as promised. */
static void worker_take_last(struct net_worker *worker)
{
    struct mailbox_item *all = worker_close_mailbox(worker);
    while (all != NULL) {
        struct net_item *item = (struct net_item *)all;
        all = all->next;
        if (item->kind == NET_ITEM_STORED)
            continue; /* see keeper_finish */
        if (item->kind != NET_ITEM_CALL || worker->start_error == 0)
            worker_take(worker, item);
        else
            free(item);
    }
}

static void worker_destroy_connections(struct net_worker *worker)
{
    for (int phase = NET_HANDSHAKE; phase < NET_GONE; phase++) {
        while (worker->lists[phase] != NULL)
            connection_destroy(worker->lists[phase]);
    }
    worker_flush(worker); /* which does nothing for these, but empties the list */
}

static void worker_close_handles(struct net_worker *worker)
{
    uv_close((uv_handle_t *)&worker->wake, NULL);
    uv_close((uv_handle_t *)&worker->timer, NULL);
    uv_close((uv_handle_t *)&worker->prepare, NULL);
    uv_close((uv_handle_t *)&worker->check, NULL);
    crew_close_handles(worker);
    for (size_t i = 0; i < worker->server->listener_count; i++)
        uv_close((uv_handle_t *)&worker->listeners[i], NULL);
}

static void *worker_main(void *argument)
{
    struct net_worker *worker = argument;
    struct net_app *app = &worker->server->app;
    char name[16];
    snprintf(name, sizeof(name), "sealmq-io-%u", worker->index % 1000);
    pthread_setname_np(pthread_self(), name);

    uv_update_time(&worker->loop);
    worker_rise(worker);
    worker->app_context = app->context;
    if (app->worker_start != NULL)
        worker->start_error = app->worker_start(app->context, worker, &worker->app_context);
    int error = worker->start_error;
    uv_sem_post(&worker->started);
    if (error == 0)
        crew_run(worker);

    worker_rise(worker);
    worker->is_stopping = true;
    worker_destroy_connections(worker);
    worker_take_last(worker);
    if (error == 0 && app->worker_stop != NULL)
        app->worker_stop(worker->app_context);
    worker_close_handles(worker);
    /* Ends when the handles are closed, ours and what the program above had on this loop. The loop
     * may have been told to stop once more than it was run. */
    while (uv_run(&worker->loop, UV_RUN_DEFAULT) != 0)
        continue;
    worker->crew.is_awake = false;
    pthread_mutex_unlock(&worker->lock);
    return NULL;
}

/* Signals are for the thread that asks for them. */
static int start_thread(struct net_worker *worker)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int rc = pthread_create(&worker->thread, NULL, worker_main, worker);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return rc == 0 ? 0 : SEALMQ_E_IO;
}

static int worker_init_loop(struct net_worker *worker)
{
    struct net_server *server = worker->server;
    if (uv_loop_init(&worker->loop) != 0)
        return SEALMQ_E_IO;
    if (uv_async_init(&worker->loop, &worker->wake, on_wake) != 0) {
        ASSERT(uv_loop_close(&worker->loop) == 0);
        return SEALMQ_E_IO;
    }
    uv_timer_init(&worker->loop, &worker->timer);
    uv_prepare_init(&worker->loop, &worker->prepare);
    uv_check_init(&worker->loop, &worker->check);
    worker->wake.data = worker->timer.data = worker;
    worker->prepare.data = worker->check.data = worker;
    uv_prepare_start(&worker->prepare, on_prepare);
    uv_check_start(&worker->check, on_check);
    for (size_t i = 0; i < server->listener_count; i++) {
        /* Fails only for a descriptor that is no socket or that this loop watches already. */
        ASSERT(uv_poll_init(&worker->loop, &worker->listeners[i], server->listeners[i].fd) == 0);
        worker->listeners[i].data = worker;
    }
    return 0;
}

int worker_start(struct net_worker *worker)
{
    int e = worker_init_loop(worker);
    if (e != 0)
        return e;
    mailbox_open(&worker->mailbox);
    e = start_thread(worker);
    if (e != 0) {
        worker->is_stopping = true;
        worker->start_error = e; /* so that nothing is called */
        worker_take_last(worker);
        worker_close_handles(worker);
        uv_run(&worker->loop, UV_RUN_DEFAULT);
        (void)uv_loop_close(&worker->loop);
    }
    return e;
}

/* --- made and freed on the owner's thread -------------------------------------------------- */

int worker_init(struct net_worker *worker, struct net_server *server, unsigned index,
                const char *response_prefix)
{
    const struct net_app *app = &server->app;
    worker->server = server;
    worker->index = index;
    worker->stored.kind = NET_ITEM_STORED;
    worker->flush_tail = &worker->flush_first;
    worker->timer_due_ms = worker->accept_due_ms = UINT64_MAX;
    mailbox_init(&worker->mailbox, wake_worker, worker);
    ASSERT(crew_init(worker) == 0);
    ASSERT(uv_sem_init(&worker->started, 0) == 0);
    worker->buffer = malloc(NET_READ_BYTES);
    worker->raw = malloc(NET_STREAM_READ_BYTES);
    worker->listeners = calloc(server->listener_count, sizeof(*worker->listeners));
    if (worker->buffer == NULL || worker->raw == NULL || worker->listeners == NULL)
        return SEALMQ_E_NOMEM;
    struct broker_options options = {
        .host = {.context = worker,
                 .authenticate = host_authenticate,
                 .authorize = host_authorize,
                 .publish = app->publish != NULL ? host_publish : NULL,
                 .connected = app->connected != NULL ? host_connected : NULL,
                 .disconnected = app->disconnected != NULL ? host_disconnected : NULL,
                 .auth_begin = app->auth_begin != NULL ? host_auth_begin : NULL,
                 .auth_continue = app->auth_continue != NULL ? host_auth_continue : NULL},
        .limits = server->limits,
        .shard = index,
        .shards = server->worker_count,
        .retained_counter = &server->retained_counter,
        .seed = server->seed,
        .pools = &server->pools,
        .durability = server->durability,
        .response_prefix = response_prefix,
    };
    return broker_new(&options, &worker->broker);
}

void worker_close(struct net_worker *worker)
{
    if (worker->broker != NULL)
        broker_free(worker->broker);
    free(worker->buffer);
    free(worker->raw);
    buf_close(&worker->encrypted);
    free(worker->listeners);
    mailbox_destroy(&worker->mailbox);
    crew_close(worker);
    uv_sem_destroy(&worker->started);
}

/* --- for the program above ----------------------------------------------------------------- */

int net_worker_post(struct net_worker *worker, void (*fn)(void *worker_context, void *arg),
                    void *arg)
{
    struct net_item *item = calloc(1, sizeof(*item));
    if (item == NULL)
        return SEALMQ_E_NOMEM;
    item->kind = NET_ITEM_CALL;
    item->call.fn = fn;
    item->call.arg = arg;
    int e = worker_post(worker, item);
    if (e != 0)
        free(item);
    return e;
}

unsigned net_worker_index(const struct net_worker *worker)
{
    return worker->index;
}

uv_loop_t *net_worker_loop(struct net_worker *worker)
{
    return &worker->loop;
}

struct broker *net_worker_broker(struct net_worker *worker)
{
    worker_rise(worker);
    return worker->broker;
}

uint64_t net_worker_now_ms(const struct net_worker *worker)
{
    return uv_now(&worker->loop);
}

const struct net_peer *net_worker_peer(struct net_worker *worker, struct broker_conn conn)
{
    const struct net_connection *c = broker_conn_data(worker->broker, conn);
    if (c == NULL)
        return NULL;
    worker->asked = (struct net_peer){.text = c->peer.text,
                                      .listener = c->peer.listener,
                                      .is_local_socket = c->peer.is_local_socket,
                                      .uid = c->peer.uid};
    if (c->stream != NULL)
        stream_describe(c->stream, &worker->asked);
    return &worker->asked;
}

void net_worker_attach(struct net_worker *worker, struct broker_conn conn,
                       struct net_attachment *attachment)
{
    struct net_connection *c = broker_conn_data(worker->broker, conn);
    struct net_attachment *before = attachment;
    if (c != NULL) {
        before = c->attached;
        c->attached = attachment;
    }
    if (before != NULL)
        before->free(before);
}

struct net_attachment *net_worker_attached(struct net_worker *worker, struct broker_conn conn)
{
    const struct net_connection *c = broker_conn_data(worker->broker, conn);
    return c == NULL ? NULL : c->attached;
}

void net_worker_authenticated(struct net_worker *worker, struct broker_conn conn,
                              const struct broker_grant *grant)
{
    worker_rise(worker);
    broker_authenticated(worker->broker, conn, grant, uv_now(&worker->loop));
}

int net_worker_auth_challenge(struct net_worker *worker, struct broker_conn conn, struct bytes data)
{
    worker_rise(worker);
    return broker_auth_challenge(worker->broker, conn, data, uv_now(&worker->loop));
}
