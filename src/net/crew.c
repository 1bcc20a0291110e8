/* Who runs whose loop: as many threads as the load needs.
 *
 * Two threads that are half busy cost more than one that is busy: each drains its sockets sooner,
 * so each read, write and turn carries fewer messages, and what goes from one to the other changes
 * processors. So all workers begin by handing their loops to the first worker's thread; they get
 * them back when that brings more messages per second, and hand them over again when they have
 * little to do (crew_size.c). A runner and those it runs for are a crew. Shards, connections and
 * loops stay what they are; only the thread changes, and at any time exactly one runs a loop.
 *
 *     RUNS ITSELF --asked (NET_ITEM_PARK)--> loop stopped --NET_ITEM_ADOPT--> RUN BY THE FIRST
 *          ^                                                                       |
 *          `------------------------ released (semaphore) -------------------------'
 *
 * The runner's loop watches the descriptor of the other's loop and a timer for its deadlines, and
 * runs it without waiting when there is something. A turn is that of the whole crew: what its
 * members have for each other is delivered before any output is written.
 *
 * The runner holds the locks of its crew while it is awake. It waits for them only when it rises,
 * in the order of the workers' numbers; in all other places locks are only tried, so nobody waits
 * in a circle. */
#include "net/net_int.h"

#include "base/assert.h"

#include <sched.h>

int crew_init(struct net_worker *worker)
{
    struct crew *crew = &worker->crew;
    atomic_init(&crew->runner, worker);
    crew->timer_due_ms = UINT64_MAX;
    crew->park.kind = NET_ITEM_PARK;
    crew->adopt.kind = NET_ITEM_ADOPT;
    crew->adopt.adopted = worker;
    /* All begin as one, so nobody need be asked before the first has them. */
    crew->is_parking = crew->is_asked = worker->index != 0 && !worker->server->is_spread;
    if (uv_sem_init(&crew->released, 0) != 0)
        return SEALMQ_E_IO;
    ASSERT(pthread_mutex_init(&worker->lock, NULL) == 0);
    return 0;
}

void crew_close(struct net_worker *worker)
{
    uv_sem_destroy(&worker->crew.released);
    pthread_mutex_destroy(&worker->lock);
}

static struct net_worker *runner_of(const struct net_worker *worker)
{
    return atomic_load_explicit(&worker->crew.runner, memory_order_relaxed);
}

bool crew_is_same(const struct net_worker *a, const struct net_worker *b)
{
    return runner_of(a) == runner_of(b);
}

bool crew_is_runner(const struct net_worker *worker)
{
    return runner_of(worker) == worker;
}

void worker_rise(struct net_worker *worker)
{
    struct net_worker *runner = runner_of(worker);
    if (runner->crew.is_awake)
        return;
    runner->crew.is_awake = true;
    for (struct net_worker *w = runner; w != NULL; w = w->crew.next) {
        mailbox_rise(&w->mailbox);
        pthread_mutex_lock(&w->lock);
        if (w != runner)
            uv_update_time(&w->loop);
    }
}

/* --- a turn -------------------------------------------------------------------------------- */

/* What the members have for others goes out before what was caused by it is written: see net_int.h.
 */
static void deliver_all(struct net_worker *runner)
{
    bool is_delivered;
    do {
        is_delivered = false;
        for (struct net_worker *w = runner; w != NULL; w = w->crew.next) {
            worker_store(w);
            worker_gather_dirty(w);
            is_delivered |= worker_post_parcels(w);
        }
    } while (is_delivered);
}

void crew_end_turn(struct net_worker *runner)
{
    bool is_written;
    do {
        deliver_all(runner);
        is_written = false;
        for (struct net_worker *w = runner; w != NULL; w = w->crew.next) {
            is_written |= w->flush_first != NULL;
            worker_flush(w);
        }
    } while (is_written);
    for (struct net_worker *w = runner; w != NULL; w = w->crew.next) {
        worker_finish_stop(w);
        worker_set_timer(w);
    }
}

static void run_once(struct net_worker *worker)
{
    worker->crew.needs_run = false;
    worker_rise(worker);
    uv_run(&worker->loop, UV_RUN_NOWAIT);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    run_once(poll->data);
}

static void on_timer(uv_timer_t *timer)
{
    struct net_worker *worker = timer->data;
    worker->crew.timer_due_ms = UINT64_MAX;
    run_once(worker);
}

/* The runner wakes up when the other loop would have. */
static void set_timer(struct net_worker *runner, struct net_worker *worker)
{
    struct crew *crew = &worker->crew;
    int timeout_ms = uv_backend_timeout(&worker->loop);
    uint64_t due_ms =
        timeout_ms < 0 ? UINT64_MAX : uv_now(&runner->loop) + (uint64_t)(unsigned)timeout_ms;
    if (due_ms == crew->timer_due_ms)
        return;
    crew->timer_due_ms = due_ms;
    if (timeout_ms < 0)
        uv_timer_stop(&crew->timer);
    else
        uv_timer_start(&crew->timer, on_timer, (uint64_t)(unsigned)timeout_ms, 0);
}

/* --- joining and leaving ------------------------------------------------------------------- */

static void link_handles(struct net_worker *runner, struct net_worker *worker)
{
    struct crew *crew = &worker->crew;
    if (crew->is_linked)
        return;
    if (uv_poll_init(&runner->loop, &crew->poll, uv_backend_fd(&worker->loop)) != 0)
        return;
    uv_timer_init(&runner->loop, &crew->timer);
    crew->poll.data = crew->timer.data = worker;
    crew->is_linked = true;
}

/* Messages between the worker and the others of the crew go from shard to shard at once; or not any
 * more. Before they begin to, what the shards have posted to each other is taken in: it is in the
 * mailboxes of the crew, but for the runner's, which holds nothing of this worker's any more. */
static void set_direct(struct net_worker *runner, struct net_worker *worker, bool is_direct)
{
    for (struct net_worker *w = runner->crew.next; is_direct && w != NULL; w = w->crew.next)
        worker_drain_mailbox(w);
    for (struct net_worker *w = runner; w != NULL; w = w->crew.next) {
        if (w == worker)
            continue;
        (is_direct ? broker_direct_begin : broker_direct_end)(w->broker, worker->broker);
        (is_direct ? broker_direct_begin : broker_direct_end)(worker->broker, w->broker);
    }
}

void crew_adopt(struct net_worker *runner, struct net_worker *worker)
{
    worker->crew.is_asked = false;
    if (!runner->is_stopping)
        link_handles(runner, worker);
    if (runner->is_stopping || !worker->crew.is_linked ||
        uv_poll_start(&worker->crew.poll, UV_READABLE, on_poll) != 0) {
        uv_sem_post(&worker->crew.released);
        return;
    }
    while (pthread_mutex_trylock(&worker->lock) != 0)
        sched_yield(); /* a visitor is there, and will soon have gone */
    mailbox_rise(&worker->mailbox);
    uv_update_time(&worker->loop);
    atomic_store_explicit(&worker->crew.runner, runner, memory_order_relaxed);
    struct net_worker *before = runner;
    while (before->crew.next != NULL && before->crew.next->index < worker->index)
        before = before->crew.next;
    worker->crew.next = before->crew.next;
    before->crew.next = worker;
    crew_needs_run(worker);
    set_direct(runner, worker, true);
}

/* Gives the one that follows `before` its loop back. */
static void release(struct net_worker *runner, struct net_worker *before)
{
    struct net_worker *worker = before->crew.next;
    struct crew *crew = &worker->crew;
    set_direct(runner, worker, false);
    before->crew.next = crew->next;
    crew->next = NULL;
    crew->wants_release = false;
    crew->timer_due_ms = UINT64_MAX;
    uv_poll_stop(&crew->poll);
    uv_timer_stop(&crew->timer);
    atomic_store_explicit(&crew->runner, worker, memory_order_relaxed);
    pthread_mutex_unlock(&worker->lock);
    uv_sem_post(&crew->released);
}

static void release_all(struct net_worker *runner, bool only_who_want)
{
    for (struct net_worker *w = runner; w->crew.next != NULL;) {
        if (!only_who_want || w->crew.next->crew.wants_release)
            release(runner, w);
        else
            w = w->crew.next;
    }
}

void crew_want_release(struct net_worker *worker)
{
    struct net_worker *runner = runner_of(worker);
    if (runner != worker) {
        worker->crew.wants_release = true;
        return;
    }
    for (struct net_worker *w = worker->crew.next; w != NULL; w = w->crew.next)
        w->crew.wants_release = true;
}

void crew_close_handles(struct net_worker *worker)
{
    struct net_server *server = worker->server;
    for (unsigned i = 1; worker->index == 0 && i < server->worker_count; i++) {
        struct crew *crew = &server->workers[i].crew;
        if (crew->is_linked) {
            uv_close((uv_handle_t *)&crew->poll, NULL);
            uv_close((uv_handle_t *)&crew->timer, NULL);
        }
    }
}

/* The loop has been stopped for it: hands the worker over, and returns when it is back. */
static void park(struct net_worker *worker)
{
    worker->crew.is_parking = false;
    worker_rise(worker);
    if (!mailbox_rest(&worker->mailbox))
        uv_async_send(&worker->wake);
    worker->crew.is_awake = false;
    pthread_mutex_unlock(&worker->lock);
    if (worker_post(&worker->server->workers[0], &worker->crew.adopt) == 0)
        uv_sem_wait(&worker->crew.released);
}

void crew_ask(struct net_worker *worker)
{
    if (!worker->crew.is_asked)
        worker->crew.is_asked = worker_post(worker, &worker->crew.park) == 0;
}

void crew_asked(struct net_worker *worker)
{
    if (worker->is_stopping || !crew_is_runner(worker))
        return;
    worker->crew.is_parking = true;
    uv_stop(&worker->loop);
}

void crew_run(struct net_worker *worker)
{
    crew_size_start(worker);
    while (!worker->is_finished) {
        if (worker->crew.is_parking) {
            park(worker);
            continue; /* it may have finished while another ran it */
        }
        worker_rise(worker);
        uv_run(&worker->loop, UV_RUN_DEFAULT);
    }
    worker_rise(worker);
    release_all(worker, false);
}

/* --- before the thread sleeps -------------------------------------------------------------- */

static void drain_all(struct net_worker *runner)
{
    for (struct net_worker *w = runner; w != NULL; w = w->crew.next)
        worker_drain_mailbox(w);
}

static bool rest_all(struct net_worker *runner)
{
    bool all = true;
    for (struct net_worker *w = runner; w != NULL; w = w->crew.next)
        all &= mailbox_rest(&w->mailbox);
    return all;
}

/* Whether a loop had to be run. */
static bool run_changed(struct net_worker *runner)
{
    bool any = false;
    for (struct net_worker *w = runner->crew.next; w != NULL; w = w->crew.next) {
        if (w->crew.needs_run) {
            run_once(w);
            any = true;
        }
    }
    return any;
}

/* What came meanwhile is taken once; under a storm the loop goes round without sleeping, so that
 * sockets have their turn. */
void crew_rest(struct net_worker *runner)
{
    crew_measure(runner);
    release_all(runner, true);
    bool has_run = run_changed(runner);
    if (!rest_all(runner) || has_run) {
        drain_all(runner);
        crew_end_turn(runner);
        for (struct net_worker *w = runner; w != NULL; w = w->crew.next) {
            bool is_due = w != runner && (w->crew.needs_run || w->crew.wants_release);
            if (!mailbox_rest(&w->mailbox) || is_due)
                uv_async_send(&w->wake);
        }
    }
    runner->crew.is_awake = false;
    for (struct net_worker *w = runner; w != NULL; w = w->crew.next) {
        if (w != runner)
            set_timer(runner, w);
        pthread_mutex_unlock(&w->lock);
    }
}
