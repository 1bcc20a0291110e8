/* Who runs whose loop: as many threads as the load needs.
 *
 * Two threads that are half busy cost more than one that is busy: each drains its sockets sooner,
 * so each read, write and turn carries fewer messages, and what goes from one to the other changes
 * processors. So a worker whose thread has little to do hands its loop to the first worker's
 * thread, and gets it back as soon as that one has much to do. A runner and those it runs for are a
 * crew. Shards, connections and loops stay what they are; only the thread changes, and at any time
 * exactly one runs a loop.
 *
 *     RUNS ITSELF --asked (NET_ITEM_PARK)--> loop stopped --NET_ITEM_ADOPT--> RUN BY THE FIRST
 *          ^                                                                       |
 *          `------------------------ released (semaphore) -------------------------'
 *
 * The runner's loop watches the descriptor of the other's loop and a timer for its deadlines, and
 * runs it without waiting when there is something. A turn is that of the whole crew: what its
 * members have for each other is delivered before any output is written.
 *
 * The runner holds the locks of its crew while it is awake. It waits for them only when it rises, in
 * the order of the workers' numbers; in all other places locks are only tried, so nobody waits in a
 * circle. */
#include "net/net_int.h"

#include "base/assert.h"

#include <sched.h>
#include <stdlib.h>
#include <time.h>

#define WINDOW_NS    (UINT64_C(50) * 1000 * 1000)
#define DUTY_FULL    900 /* a runner that is busier gives a loop back */
#define DUTY_SPARE   800 /* two that are less busy together become one */
#define CALM_WINDOWS 4
#define DUTY_LIFE_MS 200 /* who has not measured for so long has slept */

static uint64_t thread_cpu_ns(void)
{
    struct timespec t;
    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) != 0)
        return 0;
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

int crew_init(struct net_worker *worker)
{
    struct crew *crew = &worker->crew;
    atomic_init(&crew->runner, worker);
    crew->timer_due_ms = UINT64_MAX;
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
    /* Before anything is delivered past its mailbox: there may be older parcels of ours in it. */
    worker_drain_mailbox(worker);
}

/* Gives the first of those who want it, and follow `before`, its loop back. */
static void release(struct net_worker *before)
{
    struct net_worker *worker = before->crew.next;
    struct crew *crew = &worker->crew;
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
            release(w);
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
    struct net_item *item = calloc(1, sizeof *item);
    worker->crew.is_parking = false;
    if (item == NULL)
        return;
    item->kind = NET_ITEM_ADOPT;
    item->adopted = worker;
    worker_rise(worker);
    if (!mailbox_rest(&worker->mailbox))
        uv_async_send(&worker->wake);
    worker->crew.is_awake = false;
    pthread_mutex_unlock(&worker->lock);
    if (worker_post(&worker->server->workers[0], item) != 0)
        free(item);
    else
        uv_sem_wait(&worker->crew.released);
}

void crew_run(struct net_worker *worker)
{
    worker->crew.window_start_ns = uv_hrtime();
    worker->crew.window_cpu_ns = thread_cpu_ns();
    while (!worker->is_finished) {
        worker_rise(worker);
        uv_run(&worker->loop, UV_RUN_DEFAULT);
        if (worker->crew.is_parking && !worker->is_finished)
            park(worker);
    }
    worker_rise(worker);
    release_all(worker, false);
}

/* --- how many threads ---------------------------------------------------------------------- */

static uint32_t duty_of(const struct net_worker *worker, uint64_t now_ms)
{
    uint64_t at_ms = atomic_load_explicit(&worker->crew.duty_at_ms, memory_order_relaxed);
    if (at_ms + DUTY_LIFE_MS < now_ms)
        return 0;
    return atomic_load_explicit(&worker->crew.duty, memory_order_relaxed);
}

/* One that runs itself and could be run by the first, NULL when there is none. */
static struct net_worker *find_spare(struct net_worker *first, uint32_t duty, uint64_t now_ms)
{
    struct net_server *server = first->server;
    for (unsigned i = 1; i < server->worker_count; i++) {
        struct net_worker *worker = &server->workers[i];
        if (crew_is_runner(worker) && !worker->crew.is_asked &&
            duty + duty_of(worker, now_ms) < DUTY_SPARE)
            return worker;
    }
    return NULL;
}

void crew_ask(struct net_worker *worker)
{
    struct net_item *item = calloc(1, sizeof *item);
    if (item == NULL)
        return;
    item->kind = NET_ITEM_PARK;
    if (worker_post(worker, item) != 0)
        free(item);
    else
        worker->crew.is_asked = true;
}

static void decide(struct net_worker *first, uint32_t duty, uint64_t now_ms)
{
    if (first->is_stopping)
        return;
    struct net_worker *spare = duty < DUTY_SPARE ? find_spare(first, duty, now_ms) : NULL;
    first->crew.calm_windows = spare != NULL ? first->crew.calm_windows + 1 : 0;
    if (duty > DUTY_FULL && first->crew.next != NULL) {
        first->crew.next->crew.wants_release = true;
    } else if (first->crew.calm_windows >= CALM_WINDOWS) {
        first->crew.calm_windows = 0;
        crew_ask(spare);
    }
}

static void measure(struct net_worker *runner)
{
    struct crew *crew = &runner->crew;
    uint64_t now_ns = uv_hrtime();
    if (now_ns - crew->window_start_ns < WINDOW_NS)
        return;
    uint64_t cpu_ns = thread_cpu_ns();
    uint64_t now_ms = now_ns / 1000000;
    uint32_t duty =
        (uint32_t)((cpu_ns - crew->window_cpu_ns) * 1000 / (now_ns - crew->window_start_ns));
    crew->window_start_ns = now_ns;
    crew->window_cpu_ns = cpu_ns;
    atomic_store_explicit(&crew->duty, duty, memory_order_relaxed);
    atomic_store_explicit(&crew->duty_at_ms, now_ms, memory_order_relaxed);
    if (runner->index == 0 && !runner->server->is_spread)
        decide(runner, duty, now_ms);
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
    measure(runner);
    release_all(runner, true);
    bool has_run = run_changed(runner);
    if (!rest_all(runner) || has_run) {
        drain_all(runner);
        crew_end_turn(runner);
        for (struct net_worker *w = runner; w != NULL; w = w->crew.next) {
            if (!mailbox_rest(&w->mailbox) || (w != runner && w->crew.needs_run))
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
