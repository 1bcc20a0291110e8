#include "edge/runner.h"

#include "base/log.h"
#include "crypto/random.h"
#include "edge/runner_int.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define ME              "gateway"
#define SECOND_MS       1000
#define PATIENCE_MS     60000   /* without progress, before another node is tried */
#define PATIENCE_MAX_MS 3600000 /* doubled each time */
#define DRAIN_MS        3000
#define DRAIN_LOOK_MS   20
#define HANDSHAKE_MS    15000 /* a node that does not agree on a key for so long */

static struct gateway_now now_of(const struct runner *runner)
{
    struct timespec wall;
    struct gateway_now now = {.now_ms = uv_now(&runner->loop)};
    clock_gettime(CLOCK_REALTIME, &wall);
    now.wall_us = (int64_t)wall.tv_sec * 1000000 + wall.tv_nsec / 1000;
    random_bytes(now.random, sizeof now.random);
    return now;
}

/* Whether the core may be called. */
static bool core_is_well(const struct runner *runner)
{
    return runner->core != NULL && runner->store_error == 0;
}

/* ---- what comes of the core's calls ---- */

static void on_tick(uv_timer_t *timer);

static void arm(struct runner *runner, uint64_t deadline_ms)
{
    uint64_t now_ms = uv_now(&runner->loop);
    if (deadline_ms == UINT64_MAX)
        uv_timer_stop(&runner->tick);
    else
        uv_timer_start(&runner->tick, on_tick, deadline_ms > now_ms ? deadline_ms - now_ms : 0, 0);
}

/* The core's memory is no longer what its updates said. */
static void lose_core(struct runner *runner, int error)
{
    log_error(ME, "the gateway cannot go on (%s): it is loaded anew from its disk",
              sealmq_error_text(error));
    gateway_free(runner->core);
    runner->core = NULL;
    uv_timer_stop(&runner->tick);
    journal_forget_messages(runner->journal);
    uplink_restart(runner->uplink, false);
}

/* Takes an update, if it is one. */
static void take_update(struct runner *runner, int error, const struct gateway_update *update)
{
    if (error == 0)
        error = journal_add(runner->journal, update);
    if (error != 0) {
        lose_core(runner, error);
        return;
    }
    runner_log_notes(runner, update);
    arm(runner, update->deadline_ms);
}

static void on_tick(uv_timer_t *timer)
{
    struct runner *runner = timer->data;
    struct gateway_update update;
    struct gateway_now now = now_of(runner);
    if (core_is_well(runner))
        take_update(runner, gateway_tick(runner->core, &now, &update), &update);
}

/* ---- readings ---- */

/* As gateway_readings; SEALMQ_E_IO or _FULL while the disk fails, SEALMQ_E_CLOSED when the gateway
 * ends. Not durable yet. */
static int take_readings(struct runner *runner, const struct row *rows, size_t count)
{
    struct gateway_update update;
    struct gateway_now now = now_of(runner);
    if (runner->is_draining)
        return SEALMQ_E_CLOSED;
    if (!core_is_well(runner))
        return runner->store_error == SEALMQ_E_FULL ? SEALMQ_E_FULL : SEALMQ_E_IO;
    int error = gateway_readings(runner->core, rows, count, &now, &update);
    bool is_refusal = error == SEALMQ_E_FULL || error == SEALMQ_E_LIMIT || error == SEALMQ_E_TYPE ||
                      error == SEALMQ_E_PARSE;
    take_update(runner, is_refusal ? 0 : error, &update);
    if (error == 0 && runner->core == NULL)
        return SEALMQ_E_NOMEM;
    return error;
}

/* A parcel of another thread: answered at once when refused, else when it is durable. */
static void on_parcel(void *context, struct parcel *parcel)
{
    struct runner *runner = context;
    int error = take_readings(runner, parcel->rows, parcel->count);
    if (error != 0) {
        parcel->answer(parcel, error);
        return;
    }
    parcel->next = NULL;
    *runner->unanswered_end = parcel;
    runner->unanswered_end = &parcel->next;
}

static void answer_all(struct runner *runner, int error)
{
    while (runner->unanswered != NULL) {
        struct parcel *parcel = runner->unanswered;
        runner->unanswered = parcel->next;
        parcel->answer(parcel, error);
    }
    runner->unanswered_end = &runner->unanswered;
}

/* ---- the disk ---- */

static void send_one(void *context, const struct gateway_message *message)
{
    struct runner *runner = context;
    uplink_send(runner->uplink, message);
}

static void store_failed(struct runner *runner, int error)
{
    if (runner->store_error != error)
        log_error(ME, "%s cannot be written: %s; readings are refused until it can",
                  runner->config->data, sealmq_error_text(error));
    runner->store_error = error;
    uv_timer_stop(&runner->tick);
}

/* The core rested, and what came meanwhile was not heard: the conversation begins anew. */
static void store_recovered(struct runner *runner)
{
    struct gateway_update update;
    struct gateway_now now = now_of(runner);
    log_info(ME, "%s can be written again", runner->config->data);
    runner->store_error = 0;
    journal_forget_messages(runner->journal);
    if (runner->core == NULL)
        return;
    gateway_disconnected(runner->core);
    uplink_restart(runner->uplink, false);
    take_update(runner, gateway_tick(runner->core, &now, &update), &update);
}

/* Makes durable what waits, and lets go what waited for that. */
static void settle(struct runner *runner)
{
    if (journal_has_writes(runner->journal)) {
        int error = journal_commit(runner->journal);
        if (error != 0) {
            store_failed(runner, error);
            return;
        }
    }
    if (runner->store_error != 0)
        store_recovered(runner);
    journal_send(runner->journal, send_one, runner);
    answer_all(runner, 0);
}

static void on_settle(uv_prepare_t *prepare)
{
    struct runner *runner = prepare->data;
    if (runner->store_error == 0)
        settle(runner);
}

static void remake_core(struct runner *runner)
{
    struct gateway_update update;
    struct gateway_now now = now_of(runner);
    int error = runner_make_core(runner);
    if (error != 0) {
        log_error(ME, "%s cannot be loaded: %s", runner->config->data, sealmq_error_text(error));
        return;
    }
    log_info(ME, "loaded anew");
    uplink_restart(runner->uplink, false);
    take_update(runner, gateway_tick(runner->core, &now, &update), &update);
}

/* ---- the connection ---- */

static void on_connected(void *context, const char *node)
{
    struct runner *runner = context;
    struct gateway_update update;
    struct gateway_now now = now_of(runner);
    if (!core_is_well(runner))
        return;
    int error = gateway_connected(runner->core, bytes_str(node), &now, &update);
    if (error == SEALMQ_E_UNKNOWN) {
        log_error(ME, "node %s is not in the genesis: correct `nodes` in %s", node,
                  runner->config_path);
        uplink_restart(runner->uplink, true);
        error = 0;
    }
    take_update(runner, error, &update);
    runner->moved_ms = now.now_ms;
}

static void on_disconnected(void *context)
{
    struct runner *runner = context;
    if (runner->core != NULL)
        gateway_disconnected(runner->core);
}

static void on_message(void *context, struct bytes topic, struct bytes payload)
{
    struct runner *runner = context;
    struct gateway_update update;
    struct gateway_now now = now_of(runner);
    if (core_is_well(runner))
        take_update(runner, gateway_message(runner->core, topic, payload, &now, &update), &update);
}

/* A node that is connected but gets nothing done is left for the next one. */
static void watch(struct runner *runner, const struct gateway_stats *stats)
{
    uint64_t now_ms = uv_now(&runner->loop);
    uint64_t count = stats->reports_acknowledged_total + stats->reports_refused_total;
    bool waits = stats->outbox_reports != 0;
    /* With nothing but a receipt to wait for, that is what counts. */
    if (!waits) {
        count = stats->receipts_total;
        waits = stats->requests_waiting != 0;
    }
    const char *node = uplink_node_id(runner->uplink);
    bool is_waiting_for_approval = strcmp(stats->state, "unregistered") == 0;
    if (count != runner->moved_count || !waits || node == NULL || is_waiting_for_approval) {
        if (count != runner->moved_count)
            runner->patience_ms = PATIENCE_MS;
        runner->moved_count = count;
        runner->moved_ms = now_ms;
        return;
    }
    bool is_handshake = strcmp(stats->state, "handshake") == 0;
    uint64_t patience_ms = is_handshake ? HANDSHAKE_MS : runner->patience_ms;
    if (uplink_node_count(runner->uplink) == 1 || now_ms - runner->moved_ms < patience_ms)
        return;
    log_warn(ME, "node %s gets nothing done for %llu s: trying the next one", node,
             (unsigned long long)(patience_ms / 1000));
    if (!is_handshake && runner->patience_ms < PATIENCE_MAX_MS)
        runner->patience_ms *= 2;
    runner->moved_ms = now_ms;
    gateway_disconnected(runner->core);
    uplink_restart(runner->uplink, true);
}

static void on_second(uv_timer_t *timer)
{
    struct runner *runner = timer->data;
    struct gateway_stats stats;
    if (runner->store_error != 0)
        settle(runner);
    if (runner->core == NULL && !journal_has_writes(runner->journal))
        remake_core(runner);
    if (core_is_well(runner)) {
        gateway_stats_get(runner->core, &stats);
        watch(runner, &stats);
    }
    runner_write_status(runner);
}

/* ---- sources ---- */

static int take_system(void *context, const struct row *rows, size_t count)
{
    return take_readings(context, rows, count);
}

static int make_source(struct runner *runner, unsigned i, char *why, size_t why_size)
{
    const struct gateway_source *source = &runner->config->sources[i];
    char passwords[PATH_SIZE] = "";
    if (source->type == GATEWAY_SOURCE_SYSTEM) {
        const struct source_system_options options = {
            .loop = &runner->loop,
            .device = source->device,
            .interval_ms = source->interval,
            .take = take_system,
            .context = runner,
        };
        return source_system_new(&options, &runner->system[i]);
    }
    if (source->passwords != NULL) {
        int error = file_beside(runner->config_path, source->passwords, passwords);
        if (error != 0)
            return error;
    }
    const struct source_mqtt_options options = {
        .address = source->address != NULL ? source->address : "127.0.0.1",
        .port = source->port,
        .passwords_path = source->passwords != NULL ? passwords : NULL,
        .intake = runner->intake,
    };
    return source_mqtt_new(&options, &runner->mqtt[i], why, why_size);
}

static int start_sources(struct runner *runner)
{
    int error = 0;
    for (unsigned i = 0; error == 0 && i < GATEWAY_SOURCES_MAX; i++) {
        if (runner->mqtt[i] != NULL)
            error = source_mqtt_start(runner->mqtt[i]);
        if (runner->system[i] != NULL)
            source_system_start(runner->system[i]);
    }
    return error;
}

static void stop_sources(struct runner *runner)
{
    for (unsigned i = 0; i < GATEWAY_SOURCES_MAX; i++) {
        source_system_stop(runner->system[i]);
        source_mqtt_stop(runner->mqtt[i]);
    }
}

/* ---- start ---- */

static int start_uplink(struct runner *runner, char *why, size_t why_size)
{
    const struct gateway_config *config = runner->config;
    const struct validator_set *set = &runner->genesis.validators;
    size_t count = config->nodes_count != 0 ? config->nodes_count : set->n;
    struct uplink_node *nodes = calloc(count, sizeof *nodes);
    if (nodes == NULL)
        return SEALMQ_E_NOMEM;
    int error = 0;
    for (size_t i = 0; error == 0 && i < count; i++) {
        nodes[i] = config->nodes_count != 0
                       ? (struct uplink_node){config->nodes[i].id, config->nodes[i].url}
                       : (struct uplink_node){set->v[i].id, set->v[i].url};
        if (validator_set_find(set, bytes_str(nodes[i].id)) >= 0)
            continue;
        snprintf(why, why_size, "%s: nodes[%zu].id \"%s\" is no node of the genesis",
                 runner->config_path, i, nodes[i].id);
        error = SEALMQ_E_CONFIG;
    }
    const struct uplink_options options = {
        .loop = &runner->loop,
        .id = config->id,
        .network = runner->genesis.network,
        .key = &runner->key,
        .nodes = nodes,
        .node_count = count,
        .context = runner,
        .connected = on_connected,
        .disconnected = on_disconnected,
        .message = on_message,
    };
    if (error == 0)
        error = uplink_new(&options, &runner->uplink, why, why_size);
    free(nodes);
    return error;
}

static void on_signal(uv_signal_t *handle, int number);

static int make_loop(struct runner *runner)
{
    if (uv_loop_init(&runner->loop) != 0)
        return SEALMQ_E_NOMEM;
    runner->has_loop = true;
    uv_timer_init(&runner->loop, &runner->tick);
    uv_timer_init(&runner->loop, &runner->second);
    uv_timer_init(&runner->loop, &runner->drain);
    uv_prepare_init(&runner->loop, &runner->settle);
    uv_signal_init(&runner->loop, &runner->on_term);
    uv_signal_init(&runner->loop, &runner->on_int);
    uv_signal_init(&runner->loop, &runner->on_hup);
    runner->tick.data = runner->second.data = runner->drain.data = runner;
    runner->settle.data = runner->on_term.data = runner->on_int.data = runner->on_hup.data = runner;
    const struct intake_options intake = {
        .loop = &runner->loop, .context = runner, .take = on_parcel};
    return intake_new(&intake, &runner->intake);
}

int runner_new(const char *config_path, struct runner **out, char *why, size_t why_size)
{
    struct runner *runner = calloc(1, sizeof *runner);
    why[0] = '\0';
    if (runner == NULL)
        return SEALMQ_E_NOMEM;
    runner->unanswered_end = &runner->unanswered;
    runner->patience_ms = PATIENCE_MS;
    int error = make_loop(runner);
    if (error == 0)
        error = runner_setup(runner, config_path, why, why_size);
    for (unsigned i = 0; error == 0 && i < runner->config->sources_count; i++)
        error = make_source(runner, i, why, why_size);
    if (error == 0)
        error = start_uplink(runner, why, why_size);
    if (error != 0) {
        if (why[0] == '\0')
            snprintf(why, why_size, "%s: %s", config_path, sealmq_error_text(error));
        runner_free(runner);
        return error;
    }
    *out = runner;
    return 0;
}

/* ---- the end ---- */

/* Takes what waits in the intake, captures it, and makes it durable. */
static void take_all(struct runner *runner)
{
    struct gateway_update update;
    uv_update_time(&runner->loop);
    struct gateway_now now = now_of(runner);
    intake_drain(runner->intake);
    if (core_is_well(runner))
        take_update(runner, gateway_flush(runner->core, &now, &update), &update);
    settle(runner);
}

static uint64_t undelivered(const struct runner *runner)
{
    struct gateway_stats stats = {.outbox_reports = 0};
    if (runner->core != NULL)
        gateway_stats_get(runner->core, &stats);
    return stats.outbox_reports;
}

static void on_drain(uv_timer_t *timer)
{
    struct runner *runner = timer->data;
    if (undelivered(runner) == 0 || !core_is_well(runner) ||
        uplink_node_id(runner->uplink) == NULL || uv_now(&runner->loop) >= runner->drain_until_ms)
        uv_stop(&runner->loop);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct runner *runner = handle->data;
    if (number == SIGHUP) {
        for (unsigned i = 0; i < GATEWAY_SOURCES_MAX; i++)
            source_mqtt_reload(runner->mqtt[i]);
        return;
    }
    if (runner->is_draining) {
        uv_stop(&runner->loop);
        return;
    }
    log_info(ME, "ending on %s", strsignal(number));
    take_all(runner); /* so that the devices get their answers while they are still connected */
    stop_sources(runner);
    take_all(runner);
    runner->is_draining = true;
    runner->drain_until_ms = uv_now(&runner->loop) + DRAIN_MS;
    uv_timer_start(&runner->drain, on_drain, 0, DRAIN_LOOK_MS);
}

int runner_run(struct runner *runner)
{
    uv_update_time(&runner->loop);
    runner->moved_ms = uv_now(&runner->loop);
    uv_timer_start(&runner->tick, on_tick, 0, 0);
    uv_timer_start(&runner->second, on_second, SECOND_MS, SECOND_MS);
    uv_prepare_start(&runner->settle, on_settle);
    uv_signal_start(&runner->on_term, on_signal, SIGTERM);
    uv_signal_start(&runner->on_int, on_signal, SIGINT);
    uv_signal_start(&runner->on_hup, on_signal, SIGHUP);
    int error = start_sources(runner);
    if (error != 0) {
        log_error(ME, "a source cannot be started: %s", sealmq_error_text(error));
        return error;
    }
    runner_write_status(runner);
    uv_run(&runner->loop, UV_RUN_DEFAULT);
    if (undelivered(runner) != 0)
        log_info(ME, "%llu reports are not delivered yet; they stay in %s until the next start",
                 (unsigned long long)undelivered(runner), runner->config->data);
    runner_write_status(runner);
    return 0;
}

static void close_loop(struct runner *runner)
{
    uv_handle_t *handles[] = {
        (uv_handle_t *)&runner->tick,    (uv_handle_t *)&runner->second,
        (uv_handle_t *)&runner->drain,   (uv_handle_t *)&runner->settle,
        (uv_handle_t *)&runner->on_term, (uv_handle_t *)&runner->on_int,
        (uv_handle_t *)&runner->on_hup,
    };
    for (size_t i = 0; i < sizeof handles / sizeof handles[0]; i++)
        uv_close(handles[i], NULL);
    uv_run(&runner->loop, UV_RUN_DEFAULT);
    uv_loop_close(&runner->loop);
}

void runner_free(struct runner *runner)
{
    if (runner == NULL)
        return;
    stop_sources(runner);
    answer_all(runner, SEALMQ_E_CLOSED);
    intake_free(runner->intake);
    for (unsigned i = 0; i < GATEWAY_SOURCES_MAX; i++) {
        source_system_free(runner->system[i]);
        source_mqtt_free(runner->mqtt[i]);
    }
    uplink_free(runner->uplink);
    if (runner->has_loop)
        close_loop(runner);
    runner_teardown(runner);
    free(runner);
}

const char *runner_id(const struct runner *runner)
{
    return runner->config->id;
}
