/* The status file: JSON for operators and their tools, replaced whole so that a reader never sees
 * half of one. It is not synced: after a crash of the machine nobody asks for the last second. */
#include "base/json.h"
#include "base/log.h"
#include "base/text.h"
#include "edge/runner_int.h"

#include <fcntl.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static void put_string(struct buf *out, const char *name, const char *value)
{
    buf_printf(out, "\"%s\":", name);
    if (value != NULL)
        json_append_string(out, bytes_str(value));
    else
        buf_append_cstr(out, "null");
    buf_append_u8(out, ',');
}

static void put_number(struct buf *out, const char *name, uint64_t value)
{
    buf_printf(out, "\"%s\":%llu,", name, (unsigned long long)value);
}

static void close_object(struct buf *out)
{
    if (out->n != 0 && out->p[out->n - 1] == ',')
        out->n--;
    buf_append_u8(out, '}');
}

static void put_sources(struct buf *out, const struct runner *runner)
{
    buf_append_cstr(out, "\"sources\":[");
    for (unsigned i = 0; i < runner->config->sources_count; i++) {
        buf_append_cstr(out, i == 0 ? "{" : ",{");
        if (runner->mqtt[i] != NULL) {
            struct source_mqtt_stats stats;
            source_mqtt_stats_get(runner->mqtt[i], &stats);
            put_string(out, "type", "mqtt");
            put_number(out, "port", stats.port);
            put_number(out, "clients", stats.clients);
            put_number(out, "messages", stats.messages_total);
            put_number(out, "readings", stats.readings_total);
            put_number(out, "refused", stats.refused_total);
        } else if (runner->system[i] != NULL) {
            put_string(out, "type", "system");
            put_string(out, "device", source_system_device(runner->system[i]));
            put_number(out, "readings", source_system_readings(runner->system[i]));
        }
        close_object(out);
    }
    buf_append_u8(out, ']');
}

static void format(const struct runner *runner, struct buf *out)
{
    struct gateway_stats stats = {.state = "lost"};
    struct timespec wall;
    char when[RFC3339_MAX];
    if (runner->core != NULL)
        gateway_stats_get(runner->core, &stats);
    clock_gettime(CLOCK_REALTIME, &wall);
    rfc3339_format((int64_t)wall.tv_sec * 1000000, when);
    buf_append_u8(out, '{');
    put_string(out, "id", runner->config->id);
    put_string(out, "network", runner->genesis.network);
    put_string(out, "time", when);
    put_number(out, "pid", (uint64_t)getpid());
    put_string(out, "state", stats.state);
    put_string(out, "node", runner->uplink != NULL ? uplink_node_id(runner->uplink) : NULL);
    put_string(out, "disk",
               runner->store_error != 0 ? sealmq_error_text(runner->store_error) : "good");
    put_number(out, "readings", stats.readings_total);
    put_number(out, "readings_refused", stats.readings_refused_total);
    put_number(out, "reports", stats.reports_total);
    put_number(out, "acknowledged", stats.reports_acknowledged_total);
    put_number(out, "reports_refused", stats.reports_refused_total);
    put_number(out, "outbox", stats.outbox_reports);
    put_number(out, "outbox_bytes", stats.outbox_bytes);
    put_number(out, "records", stats.records_total);
    put_number(out, "records_skipped", stats.records_skipped_total);
    put_number(out, "requests", stats.requests_total);
    put_number(out, "receipts", stats.receipts_total);
    put_number(out, "requests_waiting", stats.requests_waiting);
    put_number(out, "height", runner->height);
    put_number(out, "bad_messages", stats.bad_messages_total);
    put_sources(out, runner);
    buf_append_cstr(out, "}\n");
}

static bool replace(const char *path, struct bytes content)
{
    char beside[PATH_SIZE + 8];
    snprintf(beside, sizeof beside, "%s.new", path);
    int fd = open(beside, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0)
        return false;
    bool is_written = write(fd, content.p, content.n) == (ssize_t)content.n;
    is_written = close(fd) == 0 && is_written;
    if (is_written && rename(beside, path) == 0)
        return true;
    unlink(beside);
    return false;
}

void runner_write_status(struct runner *runner)
{
    if (runner->status_path[0] == '\0')
        return;
    struct buf text = {0};
    format(runner, &text);
    bool is_good = buf_status(&text) == 0 && replace(runner->status_path, buf_bytes(&text));
    if (!is_good && !runner->status_is_bad)
        log_warn("gateway", "%s cannot be written", runner->status_path);
    runner->status_is_bad = !is_good;
    buf_close(&text);
}
