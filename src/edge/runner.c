#include "edge/runner.h"

#include "base/log.h"
#include "crypto/random.h"
#include "device/reply.h"
#include "edge/runner_int.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define COMPONENT              "gateway"
#define STATUS_INTERVAL_MS     1000
#define END_MS                 3000 /* for delivering, once told to end */
#define DISK_RETRY_S           1
#define DISK_LOG_EVERY         30 /* tries */
#define SYSTEM_INTERVAL_MS     1000
#define SYSTEM_DEVICE          "system"
#define DEFAULT_LISTEN_ADDRESS "127.0.0.1"

void runner_now(struct gateway_now *now)
{
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    now->now_ms = uv_hrtime() / 1000000;
    now->wall_us = (int64_t)wall.tv_sec * 1000000 + wall.tv_nsec / 1000;
    random_bytes(now->random, sizeof now->random);
}

/* ---- making updates true ---- */

static void take_note(const struct runner *runner, const struct gateway_note *note)
{
    unsigned long long n = note->n;
    switch (note->kind) {
    case GATEWAY_NOTE_UNREGISTERED:
        log_warn(COMPONENT, "not registered yet: waits for `sealmq device approve %s`, key %s",
                 runner->config->id, note->words);
        break;
    case GATEWAY_NOTE_READY:
        log_info(COMPONENT, "session key agreed with %s", note->words);
        break;
    case GATEWAY_NOTE_REFUSED:
        log_warn(COMPONENT, "report %llu was refused: %s (%s)", n, note->words,
                 device_code_name((uint16_t)note->error));
        break;
    case GATEWAY_NOTE_RECEIPT:
        log_info(COMPONENT, "receipt for request %llu (%s): final in block %llu", n, note->words,
                 (unsigned long long)note->height);
        break;
    case GATEWAY_NOTE_RECEIPT_BAD:
        log_error(COMPONENT, "a receipt for request %llu proves nothing: %s (%s)", n, note->words,
                  sealmq_error_text(note->error));
        break;
    case GATEWAY_NOTE_REQUEST_REFUSED:
        log_warn(COMPONENT, "request %llu was refused, and is tried again later: %s (%s)", n,
                 note->words, device_code_name((uint16_t)note->error));
        break;
    case GATEWAY_NOTE_OUTBOX_FULL:
        log_error(COMPONENT, "the outbox is full: readings are refused until reports are "
                             "delivered");
        break;
    case GATEWAY_NOTE_ITEM_CHANGED:
        log_warn(COMPONENT, "%s has changed its type or unit, and is not written to the chain",
                 note->words);
        break;
    case GATEWAY_NOTE_ITEMS_FULL:
        log_warn(COMPONENT, "too many data items: new ones are not written to the chain");
        break;
    case GATEWAY_NOTE_BAD_MESSAGE:
        log_warn(COMPONENT, "%s: %s", note->words, sealmq_error_text(note->error));
        break;
    }
}

static void end_loop(struct runner *runner, int error)
{
    runner->is_over = true;
    if (runner->error == 0)
        runner->error = error;
    uv_stop(&runner->loop);
}

/* A signal that comes while the disk is waited for. The loop does not run then, so ask the kernel.
 */
static bool is_told_to_end(void)
{
    sigset_t pending;
    return sigpending(&pending) == 0 &&
           (sigismember(&pending, SIGTERM) == 1 || sigismember(&pending, SIGINT) == 1);
}

/* Stores the turn, as often as it takes. */
static int store(struct runner *runner)
{
    for (unsigned tries = 0;; tries++) {
        int error = turn_store(&runner->turn, runner->outbox);
        if (error == 0) {
            if (tries != 0)
                log_info(COMPONENT, "gateway.db can be written again");
            return 0;
        }
        if (tries % DISK_LOG_EVERY == 0)
            log_error(COMPONENT,
                      "gateway.db cannot be written (%s); readings wait, and it is tried "
                      "every second",
                      sealmq_error_text(error));
        if (error == SEALMQ_E_NOMEM || error == SEALMQ_E_CORRUPT || runner->is_ending ||
            is_told_to_end())
            return error;
        nanosleep(&(struct timespec){.tv_sec = DISK_RETRY_S}, NULL);
    }
}

/* Writes first, then messages. */
static void end_turn(struct runner *runner)
{
    int error = store(runner);
    for (size_t i = 0; error == 0 && i < runner->turn.message_count; i++) {
        const struct gateway_message *message = &runner->turn.messages[i];
        if (runner->link == NULL || !net_link_is_connected(runner->link))
            break; /* the core sends again when there is a connection */
        int failed = net_link_publish(runner->link, (const char *)message->topic.p,
                                      message->payload, 1, false, 0);
        if (failed != 0)
            log_debug(COMPONENT, "a message was not sent: %s", sealmq_error_text(failed));
    }
    turn_reset(&runner->turn);
    if (error != 0)
        end_loop(runner, error);
}

static void on_deadline(uv_timer_t *timer)
{
    struct runner *runner = timer->data;
    struct gateway_now now;
    struct gateway_update update;
    runner_now(&now);
    int error = gateway_tick(runner->gateway, &now, &update);
    runner_apply(runner, &update, error);
}

static void collect(struct runner *runner, const struct gateway_update *update)
{
    int error = turn_add(&runner->turn, update);
    for (size_t i = 0; i < update->note_count; i++)
        take_note(runner, &update->notes[i]);
    if (error != 0) {
        end_loop(runner, error);
        return;
    }
    if (update->deadline_ms == UINT64_MAX) {
        uv_timer_stop(&runner->deadline);
        return;
    }
    uint64_t now = uv_hrtime() / 1000000;
    uv_update_time(&runner->loop);
    uv_timer_start(&runner->deadline, on_deadline,
                   update->deadline_ms > now ? update->deadline_ms - now : 0, 0);
}

static bool is_delivered(const struct runner *runner)
{
    struct gateway_stats stats;
    gateway_stats_get(runner->gateway, &stats);
    return stats.outbox_reports == 0;
}

void runner_apply(struct runner *runner, const struct gateway_update *update, int error)
{
    if (runner->is_over)
        return;
    collect(runner, update);
    end_turn(runner);
    if (error == SEALMQ_E_NOMEM) {
        log_error(COMPONENT, "out of memory: ending, to be started anew from gateway.db");
        end_loop(runner, error);
    }
    if (runner->is_ending && is_delivered(runner))
        end_loop(runner, 0);
}

/* ---- sources ---- */

static int take(void *context, const char *who, const struct row *rows, size_t n)
{
    struct runner *runner = context;
    int first = runner->is_ending || runner->is_over ? SEALMQ_E_CLOSED : 0;
    for (size_t i = 0; first != SEALMQ_E_CLOSED && i < n; i++) {
        struct gateway_now now;
        struct gateway_update update;
        runner_now(&now);
        int error = gateway_reading(runner->gateway, &rows[i], &now, &update);
        collect(runner, &update);
        if (error == SEALMQ_E_NOMEM)
            end_loop(runner, error);
        if (error != 0 && error != SEALMQ_E_FULL)
            log_warn(COMPONENT, "a reading of %s is refused: %.*s/%.*s: %s", who,
                     (int)rows[i].device.n, (const char *)rows[i].device.p, (int)rows[i].name.n,
                     (const char *)rows[i].name.p, sealmq_error_text(error));
        if (error != 0 && first == 0)
            first = error;
        if (error == SEALMQ_E_FULL || error == SEALMQ_E_NOMEM)
            break;
    }
    end_turn(runner);
    return runner->is_over && first == 0 ? SEALMQ_E_CLOSED : first;
}

static int start_listener(struct runner *runner, const struct gateway_source *source, char *why,
                          size_t why_size)
{
    char passwords[PATH_SIZE];
    int error = 0;
    if (source->passwords != NULL)
        error = file_beside(runner->config_path, source->passwords, passwords);
    if (error != 0)
        return error;
    const char *address = source->address != NULL ? source->address : DEFAULT_LISTEN_ADDRESS;
    struct source_mqtt **place = &runner->listeners[runner->listener_count];
    error = source_mqtt_new(
        &(struct source_mqtt_options){
            .loop = &runner->loop,
            .address = address,
            .port = source->port,
            .passwords = source->passwords != NULL ? passwords : NULL,
            .take = take,
            .context = runner,
        },
        place, why, why_size);
    if (error != 0)
        return error;
    log_info(COMPONENT, "devices may publish to %s:%u", address, source_mqtt_port(*place));
    runner->listener_count++;
    return 0;
}

static int start_sources(struct runner *runner, char *why, size_t why_size)
{
    for (unsigned i = 0; i < runner->config->sources_count; i++) {
        const struct gateway_source *source = &runner->config->sources[i];
        int error;
        if (source->type == GATEWAY_SOURCE_MQTT) {
            error = start_listener(runner, source, why, why_size);
        } else {
            error = source_system_new(
                &(struct source_system_options){
                    .loop = &runner->loop,
                    .interval_ms = source->interval != 0 ? source->interval : SYSTEM_INTERVAL_MS,
                    .device = source->device != NULL ? source->device : SYSTEM_DEVICE,
                    .take = take,
                    .context = runner,
                },
                &runner->systems[runner->system_count]);
            runner->system_count += error == 0;
        }
        if (error != 0)
            return error;
    }
    return 0;
}

static void stop_sources(struct runner *runner)
{
    while (runner->listener_count != 0)
        source_mqtt_free(runner->listeners[--runner->listener_count]);
    while (runner->system_count != 0)
        source_system_free(runner->systems[--runner->system_count]);
}

/* ---- status ---- */

static void on_status(uv_timer_t *timer)
{
    struct runner *runner = timer->data;
    struct gateway_stats s;
    struct buf json = {0};
    char why[256];
    gateway_stats_get(runner->gateway, &s);
    buf_printf(&json,
               "{\"id\":\"%s\",\"state\":\"%s\",\"node\":\"%s\",\"readings\":%llu,"
               "\"readings_refused\":%llu,\"reports\":%llu,\"acknowledged\":%llu,"
               "\"reports_refused\":%llu,\"records\":%llu,\"requests\":%llu,\"receipts\":%llu,"
               "\"outbox\":%llu,\"bad_messages\":%llu}\n",
               runner->config->id, s.state, runner->nodes[runner->node].id,
               (unsigned long long)s.readings_total, (unsigned long long)s.readings_refused_total,
               (unsigned long long)s.reports_total,
               (unsigned long long)s.reports_acknowledged_total,
               (unsigned long long)s.reports_refused_total, (unsigned long long)s.records_total,
               (unsigned long long)s.requests_total, (unsigned long long)s.receipts_total,
               (unsigned long long)s.outbox_reports, (unsigned long long)s.bad_messages_total);
    int error = buf_status(&json);
    if (error == 0)
        error = file_write(runner->status_path, buf_bytes(&json), 0644, false, why, sizeof why);
    if (error != 0)
        log_debug(COMPONENT, "the status file is not written: %s", sealmq_error_text(error));
    buf_close(&json);
}

/* ---- start and end ---- */

static void on_end_timer(uv_timer_t *timer)
{
    end_loop(timer->data, 0);
}

static void on_signal(uv_signal_t *handle, int number)
{
    struct runner *runner = handle->data;
    if (runner->is_ending) {
        end_loop(runner, 0);
        return;
    }
    log_info(COMPONENT, "ending on %s", strsignal(number));
    stop_sources(runner);
    runner->is_ending = true;
    uv_timer_start(&runner->end_timer, on_end_timer, END_MS, 0);
    struct gateway_now now;
    struct gateway_update update;
    runner_now(&now);
    int error = gateway_flush(runner->gateway, &now, &update);
    runner_apply(runner, &update, error);
}

static int start_loop(struct runner *runner)
{
    if (uv_loop_init(&runner->loop) != 0)
        return SEALMQ_E_NOMEM;
    runner->has_loop = true;
    uv_timer_t *timers[] = {&runner->deadline, &runner->status_timer, &runner->end_timer,
                            &runner->retry_timer};
    for (size_t i = 0; i < sizeof timers / sizeof timers[0]; i++) {
        uv_timer_init(&runner->loop, timers[i]);
        timers[i]->data = runner;
    }
    uv_signal_init(&runner->loop, &runner->on_term);
    uv_signal_init(&runner->loop, &runner->on_int);
    runner->on_term.data = runner->on_int.data = runner;
    uv_signal_start(&runner->on_term, on_signal, SIGTERM);
    uv_signal_start(&runner->on_int, on_signal, SIGINT);
    return 0;
}

int runner_new(const char *config_path, struct runner **out, char *why, size_t why_size)
{
    why[0] = '\0';
    struct runner *runner = calloc(1, sizeof *runner);
    if (runner == NULL)
        return SEALMQ_E_NOMEM;
    int error =
        bytes_to_cstr(bytes_str(config_path), runner->config_path, sizeof runner->config_path);
    if (error == 0)
        error = gateway_config_read(config_path, &runner->config, why, why_size);
    if (error == 0)
        error = runner_read_files(runner, why, why_size);
    if (error == 0)
        error = start_loop(runner);
    if (error == 0)
        error = start_sources(runner, why, why_size);
    if (error == 0)
        error = runner_connect(runner);
    if (error != 0) {
        if (why[0] == '\0')
            snprintf(why, why_size, "%s", sealmq_error_text(error));
        runner_free(runner);
        return error;
    }
    *out = runner;
    return 0;
}

int runner_run(struct runner *runner)
{
    if (runner->status_path[0] != '\0')
        uv_timer_start(&runner->status_timer, on_status, 0, STATUS_INTERVAL_MS);
    on_deadline(&runner->deadline);
    while (!runner->is_over)
        uv_run(&runner->loop, UV_RUN_DEFAULT);
    if (runner->status_path[0] != '\0')
        on_status(&runner->status_timer);
    struct gateway_stats stats;
    gateway_stats_get(runner->gateway, &stats);
    if (stats.outbox_reports != 0)
        log_info(COMPONENT, "%llu reports are kept, and will be delivered after the next start",
                 (unsigned long long)stats.outbox_reports);
    return runner->error;
}

static void close_loop(struct runner *runner)
{
    uv_handle_t *handles[] = {
        (uv_handle_t *)&runner->deadline,  (uv_handle_t *)&runner->status_timer,
        (uv_handle_t *)&runner->end_timer, (uv_handle_t *)&runner->retry_timer,
        (uv_handle_t *)&runner->on_term,   (uv_handle_t *)&runner->on_int,
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
    runner->is_over = true;
    stop_sources(runner);
    net_link_free(runner->link);
    if (runner->has_loop)
        close_loop(runner);
    gateway_free(runner->gateway);
    outbox_close(runner->outbox);
    turn_close(&runner->turn);
    policy_free(runner->policy);
    sign_key_wipe(&runner->key);
    free(runner->nodes);
    free(runner->policies);
    gateway_config_free(runner->config);
    free(runner);
}

const char *runner_id(const struct runner *runner)
{
    return runner->config->id;
}
