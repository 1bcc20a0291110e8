#include "edge/machine.h"

#include "base/id.h"
#include "store/file.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define FILE_BYTES_MAX ((size_t)1024 * 1024)
#define FOLDER_MOST    256 /* entries looked at in one folder of /sys */

/* ---- rows ---- */

/* A name of letters, digits and _ . - from whatever the kernel calls it. */
static void clean(char *name)
{
    for (; *name != '\0'; name++) {
        if (!isalnum((unsigned char)*name) && *name != '_' && *name != '-' && *name != '.')
            *name = '_';
    }
}

static void add(struct machine *machine, const char *service, const char *name, const char *unit,
                enum datatype type, const char *value)
{
    struct bytes name_bytes = bytes_str(name), value_bytes = bytes_str(value);
    if (machine->count == MACHINE_ROWS_MAX || !item_name_is_valid(name_bytes) ||
        datatype_check(type, value_bytes) != 0)
        return;
    /* Offsets for now: the buffer may move as long as it grows. */
    machine->places[machine->count][0] = machine->text.n;
    buf_append_bytes(&machine->text, name_bytes);
    machine->places[machine->count][1] = machine->text.n;
    buf_append_bytes(&machine->text, value_bytes);
    machine->rows[machine->count++] = (struct row){
        .service = bytes_str(service),
        .unit = bytes_str(unit),
        .name = {NULL, name_bytes.n},
        .value = {NULL, value_bytes.n},
        .type = type,
    };
}

static void add_number(struct machine *machine, const char *service, const char *name,
                       const char *unit, unsigned long long value)
{
    char text[24];
    snprintf(text, sizeof text, "%llu", value);
    add(machine, service, name, unit, DATATYPE_INT, text);
}

/* ---- files ---- */

/* The file's text, ending in a zero; NULL when there is none. Valid until the next one is read. */
static const char *slurp(struct machine *machine, const char *root, const char *path)
{
    char whole[PATH_SIZE];
    int n = snprintf(whole, sizeof whole, "%s%s", root, path);
    buf_reset(&machine->file);
    if (n < 0 || (size_t)n >= sizeof whole ||
        file_read(whole, FILE_BYTES_MAX, &machine->file, NULL, 0) != 0)
        return NULL;
    return buf_cstr(&machine->file);
}

/* Takes the next line off the text; false at the end. */
static bool next_line(const char **text, char *line, size_t size)
{
    if (**text == '\0')
        return false;
    size_t n = strcspn(*text, "\n"), copied = n < size ? n : size - 1;
    memcpy(line, *text, copied);
    line[copied] = '\0';
    *text += n + ((*text)[n] == '\n');
    return true;
}

static void read_load(struct machine *machine, const char *root)
{
    char one[32], five[32], fifteen[32];
    unsigned running, processes;
    const char *text = slurp(machine, root, "/proc/loadavg");
    if (text == NULL)
        return;
    int n = sscanf(text, "%31s %31s %31s %u/%u", one, five, fifteen, &running, &processes);
    if (n < 3)
        return;
    add(machine, "load", "load_1", "", DATATYPE_DOUBLE, one);
    add(machine, "load", "load_5", "", DATATYPE_DOUBLE, five);
    add(machine, "load", "load_15", "", DATATYPE_DOUBLE, fifteen);
    if (n == 5) {
        add_number(machine, "load", "running", "", running);
        add_number(machine, "load", "processes", "", processes);
    }
}

static void read_memory(struct machine *machine, const char *root)
{
    static const char *const wanted[][2] = {
        {"MemTotal:", "total"},       {"MemAvailable:", "available"}, {"MemFree:", "free"},
        {"SwapTotal:", "swap_total"}, {"SwapFree:", "swap_free"},
    };
    char line[256], label[64];
    unsigned long long kib;
    const char *text = slurp(machine, root, "/proc/meminfo");
    while (text != NULL && next_line(&text, line, sizeof line)) {
        if (sscanf(line, "%63s %llu kB", label, &kib) != 2)
            continue;
        for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
            if (strcmp(label, wanted[i][0]) == 0)
                add_number(machine, "memory", wanted[i][1], "bytes", kib * 1024);
        }
    }
}

static void add_of(struct machine *machine, const char *service, const char *of, const char *what,
                   const char *unit, unsigned long long value)
{
    char name[NAME_MAX_BYTES + 1];
    int n = snprintf(name, sizeof name, "%s.%s", of, what);
    if (n > 0 && (size_t)n < sizeof name)
        add_number(machine, service, name, unit, value);
}

static void read_network(struct machine *machine, const char *root)
{
    static const char *const names[] = {"rx_bytes", "rx_packets", "rx_errors", "rx_dropped",
                                        "tx_bytes", "tx_packets", "tx_errors", "tx_dropped"};
    char line[512], interface[48];
    unsigned long long v[8];
    const char *text = slurp(machine, root, "/proc/net/dev");
    while (text != NULL && next_line(&text, line, sizeof line)) {
        char *colon = strrchr(line, ':');
        if (colon == NULL)
            continue;
        *colon = '\0';
        if (sscanf(line, " %47s", interface) != 1 ||
            sscanf(colon + 1, "%llu %llu %llu %llu %*u %*u %*u %*u %llu %llu %llu %llu", &v[0],
                   &v[1], &v[2], &v[3], &v[4], &v[5], &v[6], &v[7]) != 8 ||
            strncmp(interface, "veth", 4) == 0)
            continue;
        clean(interface);
        for (size_t i = 0; i < 8; i++)
            add_of(machine, "network", interface, names[i], i % 4 == 0 ? "bytes" : "packets", v[i]);
    }
}

static bool is_whole_disk(const char *root, const char *disk)
{
    char path[PATH_SIZE];
    if (strncmp(disk, "loop", 4) == 0 || strncmp(disk, "ram", 3) == 0 ||
        strncmp(disk, "zram", 4) == 0 || strchr(disk, '/') != NULL)
        return false;
    int n = snprintf(path, sizeof path, "%s/sys/block/%s", root, disk);
    return n > 0 && (size_t)n < sizeof path && access(path, F_OK) == 0;
}

static void read_disks(struct machine *machine, const char *root)
{
    char line[512], disk[48];
    unsigned long long reads, sectors_read, writes, sectors_written;
    const char *text = slurp(machine, root, "/proc/diskstats");
    while (text != NULL && next_line(&text, line, sizeof line)) {
        if (sscanf(line, "%*u %*u %47s %llu %*u %llu %*u %llu %*u %llu", disk, &reads,
                   &sectors_read, &writes, &sectors_written) != 5 ||
            !is_whole_disk(root, disk))
            continue;
        clean(disk);
        add_of(machine, "disk", disk, "reads", "", reads);
        add_of(machine, "disk", disk, "read_bytes", "bytes", sectors_read * 512);
        add_of(machine, "disk", disk, "writes", "", writes);
        add_of(machine, "disk", disk, "written_bytes", "bytes", sectors_written * 512);
    }
}

static void read_uptime(struct machine *machine, const char *root)
{
    char seconds[32];
    const char *text = slurp(machine, root, "/proc/uptime");
    if (text != NULL && sscanf(text, "%31s", seconds) == 1)
        add(machine, "uptime", "uptime", "s", DATATYPE_DOUBLE, seconds);
}

/* ---- temperatures ---- */

/* The first word of a small file; false when there is none. */
static bool read_word(struct machine *machine, const char *root, const char *path, char word[48])
{
    const char *text = slurp(machine, root, path);
    return text != NULL && sscanf(text, "%47s", word) == 1;
}

/* A file with thousandths of a degree. */
static void add_temperature(struct machine *machine, const char *root, const char *path,
                            const char *name)
{
    char text[48], value[48];
    if (!read_word(machine, root, path, text) || datatype_check(DATATYPE_INT, bytes_str(text)) != 0)
        return;
    long long milli = strtoll(text, NULL, 10);
    if (milli < -300000 || milli > 10000000)
        return; /* a sensor that is not connected says such things */
    snprintf(value, sizeof value, "%s%lld.%03lld", milli < 0 ? "-" : "", llabs(milli) / 1000,
             llabs(milli) % 1000);
    add(machine, "temperature", name,
        "\xc2\xb0"
        "C",
        DATATYPE_DOUBLE, value);
}

static int by_name(const struct dirent **a, const struct dirent **b)
{
    return versionsort(a, b);
}

static int is_visible(const struct dirent *entry)
{
    return entry->d_name[0] != '.';
}

/* Calls fn for the entries of a folder whose names begin with `prefix`, in order. */
static void each_entry(struct machine *machine, const char *root, const char *folder,
                       const char *prefix,
                       void (*fn)(struct machine *machine, const char *root, const char *folder,
                                  const char *name))
{
    char path[PATH_SIZE];
    struct dirent **entries;
    int n = snprintf(path, sizeof path, "%s%s", root, folder);
    if (n < 0 || (size_t)n >= sizeof path)
        return;
    int count = scandir(path, &entries, is_visible, by_name);
    for (int i = 0; i < count; i++) {
        if (i < FOLDER_MOST && strncmp(entries[i]->d_name, prefix, strlen(prefix)) == 0)
            fn(machine, root, folder, entries[i]->d_name);
        free(entries[i]);
    }
    if (count >= 0)
        free(entries);
}

static void read_zone(struct machine *machine, const char *root, const char *folder,
                      const char *zone)
{
    char path[512], type[48], name[NAME_MAX_BYTES + 1];
    snprintf(path, sizeof path, "%s/%s/type", folder, zone);
    if (!read_word(machine, root, path, type))
        return;
    clean(type);
    /* Several zones may have one type: the zone's number tells them apart. */
    snprintf(name, sizeof name, "%s.%s", type, zone);
    snprintf(path, sizeof path, "%s/%s/temp", folder, zone);
    add_temperature(machine, root, path, name);
}

static void read_input(struct machine *machine, const char *root, const char *folder,
                       const char *file)
{
    char path[512], chip[48], label[48], input[16], name[NAME_MAX_BYTES + 1];
    size_t n = strcspn(file, "_");
    if (strcmp(file + n, "_input") != 0 || n >= sizeof input)
        return;
    snprintf(input, sizeof input, "%.*s", (int)n, file);
    snprintf(path, sizeof path, "%s/name", folder);
    if (!read_word(machine, root, path, chip))
        return;
    snprintf(path, sizeof path, "%s/%s_label", folder, input);
    if (!read_word(machine, root, path, label))
        label[0] = '\0';
    snprintf(name, sizeof name, "%.24s.%.12s%s%.20s", chip, input, label[0] != '\0' ? "." : "",
             label);
    clean(name);
    snprintf(path, sizeof path, "%s/%s", folder, file);
    add_temperature(machine, root, path, name);
}

static void read_chip(struct machine *machine, const char *root, const char *folder,
                      const char *chip)
{
    char path[256];
    int n = snprintf(path, sizeof path, "%s/%s", folder, chip);
    if (n > 0 && (size_t)n < sizeof path)
        each_entry(machine, root, path, "temp", read_input);
}

/* ---- all ---- */

void machine_read(struct machine *machine, const char *root, struct bytes device, int64_t now_us)
{
    machine->count = 0;
    buf_reset(&machine->text);
    read_load(machine, root);
    read_memory(machine, root);
    read_network(machine, root);
    read_disks(machine, root);
    read_uptime(machine, root);
    each_entry(machine, root, "/sys/class/thermal", "thermal_zone", read_zone);
    each_entry(machine, root, "/sys/class/hwmon", "hwmon", read_chip);
    if (buf_status(&machine->text) != 0)
        machine->count = 0; /* no memory: nothing this time */
    for (size_t i = 0; i < machine->count; i++) {
        struct row *row = &machine->rows[i];
        row->device = device;
        row->time_us = now_us;
        row->name.p = machine->text.p + machine->places[i][0];
        row->value.p = machine->text.p + machine->places[i][1];
    }
}

void machine_close(struct machine *machine)
{
    buf_close(&machine->text);
    buf_close(&machine->file);
}
