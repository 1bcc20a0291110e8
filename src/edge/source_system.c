#include "edge/source_system.h"

#include "base/log.h"
#include "edge/machine.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define DEVICE_DEFAULT   "system"
#define INTERVAL_DEFAULT 1000

struct source_system {
    uv_timer_t timer;
    struct source_system_options options;
    char device[NAME_MAX_BYTES + 1];
    uint64_t readings;
    bool is_refused; /* the last round, and that was said */
    struct machine machine;
};

int source_system_new(const struct source_system_options *options, struct source_system **out)
{
    struct source_system *source = calloc(1, sizeof *source);
    if (source == NULL)
        return SEALMQ_E_NOMEM;
    snprintf(source->device, sizeof source->device, "%s",
             options->device != NULL ? options->device : DEVICE_DEFAULT);
    source->options = *options;
    source->options.device = source->device;
    if (source->options.interval_ms == 0)
        source->options.interval_ms = INTERVAL_DEFAULT;
    uv_timer_init(options->loop, &source->timer);
    source->timer.data = source;
    *out = source;
    return 0;
}

static void on_timer(uv_timer_t *timer)
{
    struct source_system *source = timer->data;
    struct timespec wall;
    clock_gettime(CLOCK_REALTIME, &wall);
    machine_read(&source->machine, "", bytes_str(source->device),
                 (int64_t)wall.tv_sec * 1000000 + wall.tv_nsec / 1000);
    if (source->machine.count == 0)
        return;
    int error =
        source->options.take(source->options.context, source->machine.rows, source->machine.count);
    if (error == 0)
        source->readings += source->machine.count;
    else if (!source->is_refused)
        log_warn("system", "readings of %s are not taken: %s", source->device,
                 sealmq_error_text(error));
    source->is_refused = error != 0;
}

void source_system_start(struct source_system *source)
{
    uv_timer_start(&source->timer, on_timer, 0, source->options.interval_ms);
}

void source_system_stop(struct source_system *source)
{
    if (source != NULL)
        uv_timer_stop(&source->timer);
}

static void on_closed(uv_handle_t *handle)
{
    struct source_system *source = handle->data;
    machine_close(&source->machine);
    free(source);
}

void source_system_free(struct source_system *source)
{
    if (source != NULL && !uv_is_closing((uv_handle_t *)&source->timer))
        uv_close((uv_handle_t *)&source->timer, on_closed);
}

const char *source_system_device(const struct source_system *source)
{
    return source->device;
}

uint64_t source_system_readings(const struct source_system *source)
{
    return source->readings;
}
