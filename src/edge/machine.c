#include "edge/machine.h"

#include "base/id.h"
#include "base/text.h"
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

/* A whole number of the kernel's, `factor` times. */
static void add_counter(struct machine *machine, const char *service, const char *name,
                        const char *unit, const char *word, unsigned factor)
{
    char text[24];
    uint64_t value;
    if (u64_parse(bytes_str(word), &value) != 0 || value > INT64_MAX / factor)
        return;
    snprintf(text, sizeof text, "%llu", (unsigned long long)value * factor);
    add(machine, service, name, unit, DATATYPE_INT, text);
}

/* The same, called "<of>.<what>". */
static void add_counter_of(struct machine *machine, const char *service, const char *of,
                           const char *what, const char *unit, const char *word, unsigned factor)
{
    char name[NAME_MAX_BYTES + 1];
    int n = snprintf(name, sizeof name, "%s.%s", of, what);
    if (n > 0 && (size_t)n < sizeof name)
        add_counter(machine, service, name, unit, word, factor);
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

/* The line's words, at most `most` of them; the line is cut up. */
static size_t split(char *line, char *words[], size_t most)
{
    static const char spaces[] = " \t\r\n";
    size_t n = 0;
    for (char *p = line + strspn(line, spaces); *p != '\0' && n < most; p += strspn(p, spaces)) {
        words[n++] = p;
        p += strcspn(p, spaces);
        if (*p != '\0')
            *p++ = '\0';
    }
    return n;
}

static void read_load(struct machine *machine, const char *root)
{
    static const char *const names[] = {"load_1", "load_5", "load_15"};
    char line[256], *words[4];
    const char *text = slurp(machine, root, "/proc/loadavg");
    if (text == NULL || !next_line(&text, line, sizeof line))
        return;
    size_t n = split(line, words, 4);
    for (size_t i = 0; i < 3 && i < n; i++)
        add(machine, "load", names[i], "", DATATYPE_DOUBLE, words[i]);
    char *slash = n == 4 ? strchr(words[3], '/') : NULL;
    if (slash == NULL)
        return;
    *slash = '\0';
    add_counter(machine, "load", "running", "", words[3], 1);
    add_counter(machine, "load", "processes", "", slash + 1, 1);
}

static void read_memory(struct machine *machine, const char *root)
{
    static const char *const wanted[][2] = {
        {"MemTotal:", "total"},       {"MemAvailable:", "available"}, {"MemFree:", "free"},
        {"SwapTotal:", "swap_total"}, {"SwapFree:", "swap_free"},
    };
    char line[256], *words[3];
    const char *text = slurp(machine, root, "/proc/meminfo");
    while (text != NULL && next_line(&text, line, sizeof line)) {
        if (split(line, words, 3) != 3 || strcmp(words[2], "kB") != 0)
            continue;
        for (size_t i = 0; i < sizeof wanted / sizeof wanted[0]; i++) {
            if (strcmp(words[0], wanted[i][0]) == 0)
                add_counter(machine, "memory", wanted[i][1], "bytes", words[1], 1024);
        }
    }
}

static void read_network(struct machine *machine, const char *root)
{
    static const struct {
        const char *name, *unit;
        size_t column;
    } counters[] = {
        {"rx_bytes", "bytes", 0},     {"rx_packets", "packets", 1},  {"rx_errors", "packets", 2},
        {"rx_dropped", "packets", 3}, {"tx_bytes", "bytes", 8},      {"tx_packets", "packets", 9},
        {"tx_errors", "packets", 10}, {"tx_dropped", "packets", 11},
    };
    enum { COLUMNS = 12 };
    char line[512], *words[COLUMNS], *interface;
    const char *text = slurp(machine, root, "/proc/net/dev");
    while (text != NULL && next_line(&text, line, sizeof line)) {
        char *colon = strrchr(line, ':');
        if (colon == NULL)
            continue;
        *colon = '\0';
        if (split(line, &interface, 1) != 1 || split(colon + 1, words, COLUMNS) != COLUMNS ||
            strncmp(interface, "veth", 4) == 0)
            continue;
        clean(interface);
        for (size_t i = 0; i < sizeof counters / sizeof counters[0]; i++)
            add_counter_of(machine, "network", interface, counters[i].name, counters[i].unit,
                           words[counters[i].column], 1);
    }
}

static bool is_whole_disk(const char *root, const char *disk)
{
    static const char *const memory[] = {"loop", "ram", "zram"};
    char path[PATH_SIZE];
    for (size_t i = 0; i < sizeof memory / sizeof memory[0]; i++) {
        if (strncmp(disk, memory[i], strlen(memory[i])) == 0)
            return false;
    }
    int n = snprintf(path, sizeof path, "%s/sys/block/%s", root, disk);
    return strchr(disk, '/') == NULL && n > 0 && (size_t)n < sizeof path && access(path, F_OK) == 0;
}

static void read_disks(struct machine *machine, const char *root)
{
    enum { DISK = 2, READS, SECTORS_READ = 5, WRITES = 7, SECTORS_WRITTEN = 9, COLUMNS };
    enum { SECTOR_BYTES = 512 }; /* here, whatever the disk's own are */
    char line[512], *words[COLUMNS];
    const char *text = slurp(machine, root, "/proc/diskstats");
    while (text != NULL && next_line(&text, line, sizeof line)) {
        if (split(line, words, COLUMNS) != COLUMNS || !is_whole_disk(root, words[DISK]))
            continue;
        clean(words[DISK]);
        add_counter_of(machine, "disk", words[DISK], "reads", "", words[READS], 1);
        add_counter_of(machine, "disk", words[DISK], "read_bytes", "bytes", words[SECTORS_READ],
                       SECTOR_BYTES);
        add_counter_of(machine, "disk", words[DISK], "writes", "", words[WRITES], 1);
        add_counter_of(machine, "disk", words[DISK], "written_bytes", "bytes",
                       words[SECTORS_WRITTEN], SECTOR_BYTES);
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
