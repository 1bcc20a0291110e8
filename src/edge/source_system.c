#include "edge/source_system.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#define COMPONENT  "system"
#define ROWS_MAX   1024
#define FILE_MAX   (256 * 1024)
#define NAME_SPACE 48 /* of a text: the rest is for the value */

struct source_system {
    struct source_system_options options;
    char device[NAME_MAX_BYTES + 1];
    uv_timer_t timer;
    char *text; /* FILE_MAX */
};

/* ---- rows ---- */

static bool grow(struct system_sample *sample)
{
    size_t capacity = sample->capacity == 0 ? 64 : sample->capacity * 2;
    struct row *rows = realloc(sample->rows, capacity * sizeof *rows);
    if (rows != NULL)
        sample->rows = rows;
    char(*texts)[80] = realloc(sample->texts, capacity * sizeof *texts);
    if (texts != NULL)
        sample->texts = texts;
    if (rows == NULL || texts == NULL)
        return false;
    sample->capacity = capacity;
    return true;
}

/* A name of the kernel's with what our names must not hold replaced. */
static void clean(char *name)
{
    for (; *name != '\0'; name++) {
        if (!isalnum((unsigned char)*name) && *name != '_' && *name != '.' && *name != '-')
            *name = '_';
    }
}

/* Service and unit are static strings. Name and value are put into the row's text; the pointers
 * into it are set at the end, when the texts move no more. */
__attribute__((format(printf, 6, 7))) static void add(struct system_sample *sample,
                                                      const char *service, const char *unit,
                                                      enum datatype type, const char *name,
                                                      const char *format, ...)
{
    if (sample->count == ROWS_MAX || (sample->count == sample->capacity && !grow(sample)))
        return;
    char *text = sample->texts[sample->count];
    snprintf(text, NAME_SPACE, "%s", name);
    clean(text);
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text + NAME_SPACE, sizeof *sample->texts - NAME_SPACE, format, args);
    va_end(args);
    if (text[0] == '\0' || n <= 0 || (size_t)n >= sizeof *sample->texts - NAME_SPACE)
        return;
    sample->rows[sample->count++] = (struct row){
        .device = bytes_str(sample->device),
        .service = bytes_str(service),
        .unit = bytes_str(unit),
        .type = type,
        .time_us = sample->time_us,
    };
}

static void finish(struct system_sample *sample)
{
    for (size_t i = 0; i < sample->count; i++) {
        sample->rows[i].name = bytes_str(sample->texts[i]);
        sample->rows[i].value = bytes_str(sample->texts[i] + NAME_SPACE);
    }
}

void system_sample_close(struct system_sample *sample)
{
    free(sample->rows);
    free(sample->texts);
    *sample = (struct system_sample){0};
}

/* ---- files ---- */

/* The start of the next line, or NULL. */
static const char *next_line(const char *line)
{
    const char *end = strchr(line, '\n');
    return end != NULL && end[1] != '\0' ? end + 1 : NULL;
}

void system_read_loadavg(struct system_sample *sample, const char *text)
{
    static const char *const names[] = {"load_1", "load_5", "load_15"};
    char loads[3][16];
    if (sscanf(text, "%15[0-9.] %15[0-9.] %15[0-9.]", loads[0], loads[1], loads[2]) != 3)
        return;
    for (size_t i = 0; i < 3; i++)
        add(sample, "load", "", DATATYPE_DOUBLE, names[i], "%s", loads[i]);
    finish(sample);
}

void system_read_meminfo(struct system_sample *sample, const char *text)
{
    static const struct {
        const char *label, *name;
    } wanted[] = {
        {"MemTotal:", "total"},       {"MemFree:", "free"},       {"MemAvailable:", "available"},
        {"SwapTotal:", "swap_total"}, {"SwapFree:", "swap_free"},
    };
    for (const char *line = text; line != NULL; line = next_line(line)) {
        char label[32];
        uint64_t kib;
        if (sscanf(line, "%31s %" SCNu64 " kB", label, &kib) != 2)
            continue;
        for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
            if (strcmp(label, wanted[i].label) == 0)
                add(sample, "memory", "bytes", DATATYPE_INT, wanted[i].name, "%" PRIu64,
                    kib * 1024);
        }
    }
    finish(sample);
}

void system_read_netdev(struct system_sample *sample, const char *text)
{
    for (const char *line = text; line != NULL; line = next_line(line)) {
        char interface[20], name[48];
        uint64_t v[10];
        if (sscanf(line,
                   " %19[^:\n]: %" SCNu64 " %" SCNu64 " %" SCNu64 " %" SCNu64
                   " %*u %*u %*u %*u %" SCNu64 " %" SCNu64 " %" SCNu64,
                   interface, &v[0], &v[1], &v[2], &v[3], &v[4], &v[5], &v[6]) != 8)
            continue;
        const struct {
            const char *what, *unit;
            uint64_t value;
        } counters[] = {
            {"rx_bytes", "bytes", v[0]},     {"rx_packets", "packets", v[1]},
            {"rx_errors", "packets", v[2]},  {"tx_bytes", "bytes", v[4]},
            {"tx_packets", "packets", v[5]}, {"tx_errors", "packets", v[6]},
        };
        for (size_t i = 0; i < sizeof counters / sizeof counters[0]; i++) {
            snprintf(name, sizeof name, "%s.%s", interface, counters[i].what);
            add(sample, "network", counters[i].unit, DATATYPE_INT, name, "%" PRIu64,
                counters[i].value);
        }
    }
    finish(sample);
}

/* Whole disks, not their partitions, and none that are made of memory. */
static bool is_disk(const char *device)
{
    if (strncmp(device, "loop", 4) == 0 || strncmp(device, "ram", 3) == 0 ||
        strncmp(device, "zram", 4) == 0)
        return false;
    size_t n = strlen(device);
    bool ends_in_digit = n != 0 && isdigit((unsigned char)device[n - 1]);
    if (strncmp(device, "nvme", 4) == 0 || strncmp(device, "mmcblk", 6) == 0)
        return strchr(device + 4, 'p') == NULL;
    return !ends_in_digit || strncmp(device, "dm-", 3) == 0 || strncmp(device, "md", 2) == 0;
}

void system_read_diskstats(struct system_sample *sample, const char *text)
{
    for (const char *line = text; line != NULL; line = next_line(line)) {
        char device[32], name[48];
        uint64_t reads, sectors_read, writes, sectors_written;
        if (sscanf(line, " %*u %*u %31s %" SCNu64 " %*u %" SCNu64 " %*u %" SCNu64 " %*u %" SCNu64,
                   device, &reads, &sectors_read, &writes, &sectors_written) != 5 ||
            !is_disk(device))
            continue;
        const struct {
            const char *what, *unit;
            uint64_t value;
        } counters[] = {
            {"reads", "", reads},
            {"read_bytes", "bytes", sectors_read * 512},
            {"writes", "", writes},
            {"written_bytes", "bytes", sectors_written * 512},
        };
        for (size_t i = 0; i < sizeof counters / sizeof counters[0]; i++) {
            snprintf(name, sizeof name, "%.24s.%s", device, counters[i].what);
            add(sample, "disk", counters[i].unit, DATATYPE_INT, name, "%" PRIu64,
                counters[i].value);
        }
    }
    finish(sample);
}

void system_read_uptime(struct system_sample *sample, const char *text)
{
    char seconds[24];
    if (sscanf(text, "%23[0-9.]", seconds) == 1)
        add(sample, "uptime", "s", DATATYPE_DOUBLE, "uptime", "%s", seconds);
    finish(sample);
}

/* The file's text, at most FILE_MAX - 1 bytes, ending in a zero; "" when it cannot be read. */
static const char *read_text(struct source_system *source, const char *path)
{
    size_t n = 0;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        ssize_t got;
        while (n < FILE_MAX - 1 && (got = read(fd, source->text + n, FILE_MAX - 1 - n)) > 0)
            n += (size_t)got;
        close(fd);
    }
    source->text[n] = '\0';
    return source->text;
}

/* temp*_input of each hwmon, temp of each thermal zone: thousandths of a degree. */
static void read_temperature(struct source_system *source, struct system_sample *sample,
                             const char *folder, const char *entry, const char *file)
{
    char path[512], name[40];
    long thousandths;
    snprintf(path, sizeof path, "%s/%s/%s", folder, entry, file);
    if (sscanf(read_text(source, path), "%ld", &thousandths) != 1 || thousandths < -273150 ||
        thousandths > 1000000)
        return;
    snprintf(name, sizeof name, "%.20s.%.16s", entry, file);
    add(sample, "temperature",
        "\xc2\xb0"
        "C",
        DATATYPE_DOUBLE, name, "%.3f", (double)thousandths / 1000);
}

static void read_temperatures(struct source_system *source, struct system_sample *sample)
{
    static const struct {
        const char *folder, *prefix;
    } places[] = {{"/sys/class/thermal", "thermal_zone"}, {"/sys/class/hwmon", "hwmon"}};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        DIR *folder = opendir(places[i].folder);
        const struct dirent *entry;
        while (folder != NULL && (entry = readdir(folder)) != NULL) {
            if (strncmp(entry->d_name, places[i].prefix, strlen(places[i].prefix)) != 0)
                continue;
            if (i == 0) {
                read_temperature(source, sample, places[i].folder, entry->d_name, "temp");
                continue;
            }
            for (int input = 1; input <= 8; input++) {
                char file[24];
                snprintf(file, sizeof file, "temp%d_input", input);
                read_temperature(source, sample, places[i].folder, entry->d_name, file);
            }
        }
        if (folder != NULL)
            closedir(folder);
    }
    finish(sample);
}

/* ---- the source ---- */

static void on_timer(uv_timer_t *timer)
{
    struct source_system *source = timer->data;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    struct system_sample sample = {
        .device = source->device,
        .time_us = (int64_t)now.tv_sec * 1000000 + now.tv_nsec / 1000000 * 1000,
    };
    system_read_loadavg(&sample, read_text(source, "/proc/loadavg"));
    system_read_meminfo(&sample, read_text(source, "/proc/meminfo"));
    system_read_netdev(&sample, read_text(source, "/proc/net/dev"));
    system_read_diskstats(&sample, read_text(source, "/proc/diskstats"));
    system_read_uptime(&sample, read_text(source, "/proc/uptime"));
    read_temperatures(source, &sample);
    if (sample.count != 0)
        (void)source->options.take(source->options.context, COMPONENT, sample.rows, sample.count);
    system_sample_close(&sample);
}

int source_system_new(const struct source_system_options *options, struct source_system **out)
{
    struct source_system *source = calloc(1, sizeof *source);
    if (source == NULL)
        return SEALMQ_E_NOMEM;
    source->options = *options;
    source->text = malloc(FILE_MAX);
    int error = bytes_to_cstr(bytes_str(options->device), source->device, sizeof source->device);
    if (source->text == NULL || error != 0) {
        free(source->text);
        free(source);
        return error != 0 ? error : SEALMQ_E_NOMEM;
    }
    uv_timer_init(options->loop, &source->timer);
    source->timer.data = source;
    uv_timer_start(&source->timer, on_timer, 0, options->interval_ms);
    *out = source;
    return 0;
}

static void on_closed(uv_handle_t *handle)
{
    struct source_system *source = handle->data;
    free(source->text);
    free(source);
}

void source_system_free(struct source_system *source)
{
    if (source != NULL)
        uv_close((uv_handle_t *)&source->timer, on_closed);
}
