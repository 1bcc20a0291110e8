#include "monitor/metrics.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

void metrics_family(struct buf *out, const char *name, const char *type, const char *help)
{
    buf_printf(out, "# HELP %s %s\n# TYPE %s %s\n", name, help, name, type);
}

static void append_escaped(struct buf *out, const char *text)
{
    for (; *text != '\0'; text++) {
        if (*text == '\\' || *text == '"')
            buf_append_u8(out, '\\');
        if (*text == '\n')
            buf_append_cstr(out, "\\n");
        else
            buf_append_u8(out, (uint8_t)*text);
    }
}

/* Whole numbers are written whole, as far as a double holds them. */
static void append_number(struct buf *out, double value)
{
    if (value >= 0 && value < 9007199254740992.0 && value == (double)(uint64_t)value)
        buf_printf(out, "%llu", (unsigned long long)value);
    else
        buf_printf(out, "%.13g", value);
}

void metrics_sample(struct buf *out, const char *name, const char *label,
                    const char *value_of_label, double value)
{
    buf_append_cstr(out, name);
    if (label != NULL) {
        buf_printf(out, "{%s=\"", label);
        append_escaped(out, value_of_label);
        buf_append_cstr(out, "\"}");
    }
    buf_append_u8(out, ' ');
    append_number(out, value);
    buf_append_u8(out, '\n');
}

void metrics_one(struct buf *out, const char *name, const char *type, const char *help,
                 double value)
{
    metrics_family(out, name, type, help);
    metrics_sample(out, name, NULL, NULL, value);
}

/* The first two numbers of /proc/self/statm are pages: of address space, and resident. */
static bool read_pages(unsigned long pages[2])
{
    char line[128];
    char *rest = line;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL)
        return false;
    bool is_read = fgets(line, sizeof line, file) != NULL;
    fclose(file);
    for (int i = 0; is_read && i < 2; i++) {
        const char *from = rest;
        errno = 0;
        pages[i] = strtoul(from, &rest, 10);
        is_read = rest != from && errno == 0;
    }
    return is_read;
}

void metrics_process_memory(uint64_t *bytes, uint64_t *max_bytes)
{
    unsigned long pages[2];
    struct rusage usage;
    *bytes = read_pages(pages) ? (uint64_t)pages[1] * (uint64_t)sysconf(_SC_PAGESIZE) : 0;
    *max_bytes = *bytes;
    if (getrusage(RUSAGE_SELF, &usage) == 0 && (uint64_t)usage.ru_maxrss * 1024 > *max_bytes)
        *max_bytes = (uint64_t)usage.ru_maxrss * 1024;
}

static unsigned count_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    unsigned count = 0;
    if (folder == NULL)
        return 0;
    for (const struct dirent *entry; (entry = readdir(folder)) != NULL;)
        count += entry->d_name[0] != '.';
    closedir(folder);
    return count - 1; /* not the one that reads the folder */
}

static double seconds_of(struct timeval t)
{
    return (double)t.tv_sec + (double)t.tv_usec / 1e6;
}

void metrics_append_process(struct buf *out, double started_s)
{
    struct rusage usage;
    struct rlimit limit;
    unsigned long pages[2];
    if (getrusage(RUSAGE_SELF, &usage) == 0)
        metrics_one(out, "process_cpu_seconds_total", "counter",
                    "Processor time of the process, user and system.",
                    seconds_of(usage.ru_utime) + seconds_of(usage.ru_stime));
    if (read_pages(pages)) {
        double page = (double)sysconf(_SC_PAGESIZE);
        metrics_one(out, "process_resident_memory_bytes", "gauge", "Resident memory.",
                    (double)pages[1] * page);
        metrics_one(out, "process_virtual_memory_bytes", "gauge", "Address space.",
                    (double)pages[0] * page);
    }
    metrics_one(out, "process_open_fds", "gauge", "Open file descriptors.", count_descriptors());
    if (getrlimit(RLIMIT_NOFILE, &limit) == 0)
        metrics_one(out, "process_max_fds", "gauge", "Most file descriptors that may be open.",
                    (double)limit.rlim_cur);
    metrics_one(out, "process_start_time_seconds", "gauge", "Unix time of the start.", started_s);
}
