/* How many threads: each measures itself, and the first one acts on what the judge (judge.h) says
 * of it. */
#include "net/net_int.h"

#include <time.h>

#define WINDOW_NS    (UINT64_C(50) * 1000 * 1000)
#define DUTY_LIFE_MS 200 /* who has not measured for so long has slept */

static uint64_t thread_cpu_ns(void)
{
    struct timespec t;
    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t) != 0)
        return 0;
    return (uint64_t)t.tv_sec * 1000000000 + (uint64_t)t.tv_nsec;
}

void crew_size_start(struct net_worker *worker)
{
    worker->crew.window_start_ns = uv_hrtime();
    worker->crew.window_cpu_ns = thread_cpu_ns();
}

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
            duty + duty_of(worker, now_ms) < JUDGE_DUTY_SPARE)
            return worker;
    }
    return NULL;
}

/* Gives the later half of the crew their loops back. Half, because the loops of a few among many
 * would bring too little to be told from chance. */
static void part(struct net_worker *first)
{
    unsigned count = 0;
    for (struct net_worker *w = first; w != NULL; w = w->crew.next)
        count++;
    unsigned staying = (count + 1) / 2;
    for (struct net_worker *w = first; w != NULL; w = w->crew.next) {
        w->crew.is_on_trial = staying == 0;
        w->crew.wants_release = staying == 0;
        staying -= staying != 0;
    }
}

static void take_back(struct net_server *server)
{
    for (unsigned i = 1; i < server->worker_count; i++) {
        struct net_worker *worker = &server->workers[i];
        if (worker->crew.is_on_trial && crew_is_runner(worker))
            crew_ask(worker);
        worker->crew.is_on_trial = false;
    }
}

/* By how much a counter has grown since the last time. */
static uint64_t growth(uint64_t *before, uint64_t now)
{
    uint64_t grown = now - *before;
    *before = now;
    return grown;
}

/* Of the shards that the first runs, or ran before the trial. */
static uint64_t count_work(const struct net_worker *first)
{
    struct net_server *server = first->server;
    uint64_t work = 0;
    for (unsigned i = 0; i < server->worker_count; i++) {
        struct net_worker *worker = &server->workers[i];
        uint64_t grown = growth(&worker->crew.counted, broker_packet_count(worker->broker));
        if (crew_is_same(worker, first) || worker->crew.is_on_trial)
            work += grown;
    }
    return work;
}

static void decide(struct net_worker *first, struct judge_window *window)
{
    struct crew *crew = &first->crew;
    struct net_worker *spare = find_spare(first, window->duty, window->now_ns / 1000000);
    uint64_t turns = atomic_load_explicit(&first->turns, memory_order_relaxed);
    window->work = count_work(first);
    window->turns = growth(&crew->window_turns, turns);
    window->can_part = crew->next != NULL;
    window->can_join = spare != NULL;
    switch (judge_see(&crew->judge, window)) {
    case JUDGE_PART:
        part(first);
        break;
    case JUDGE_TAKE_BACK:
        take_back(first->server);
        break;
    case JUDGE_JOIN:
        crew_ask(spare);
        break;
    case JUDGE_STAY:
        break;
    }
}

void crew_measure(struct net_worker *runner)
{
    struct crew *crew = &runner->crew;
    struct judge_window window = {.now_ns = uv_hrtime()};
    window.length_ns = window.now_ns - crew->window_start_ns;
    if (window.length_ns < WINDOW_NS)
        return;
    crew->window_start_ns = window.now_ns;
    window.duty =
        (uint32_t)(growth(&crew->window_cpu_ns, thread_cpu_ns()) * 1000 / window.length_ns);
    atomic_store_explicit(&crew->duty, window.duty, memory_order_relaxed);
    atomic_store_explicit(&crew->duty_at_ms, window.now_ns / 1000000, memory_order_relaxed);
    if (runner->index == 0 && !runner->server->is_spread && !runner->is_stopping)
        decide(runner, &window);
}
