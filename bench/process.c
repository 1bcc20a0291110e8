#include "process.h"

#include "loop.h"

#include <dirent.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

static uint64_t thread_cpu_ns(int pid, const char *thread)
{
    char path[64];
    uint64_t ns = 0;
    snprintf(path, sizeof path, "/proc/%d/task/%.20s/schedstat", pid, thread);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return 0;
    if (fscanf(file, "%" SCNu64, &ns) != 1)
        ns = 0;
    fclose(file);
    return ns;
}

uint64_t process_cpu_ns(int pid)
{
    char path[64];
    uint64_t ns = 0;
    if (pid == 0)
        return 0;
    snprintf(path, sizeof path, "/proc/%d/task", pid);
    DIR *threads = opendir(path);
    if (threads == NULL)
        give_up("process %d is gone", pid);
    const struct dirent *entry;
    while ((entry = readdir(threads)) != NULL)
        if (entry->d_name[0] != '.')
            ns += thread_cpu_ns(pid, entry->d_name);
    closedir(threads);
    return ns;
}

uint64_t process_resident_bytes(int pid)
{
    char path[64];
    uint64_t pages = 0;
    if (pid == 0)
        return 0;
    snprintf(path, sizeof path, "/proc/%d/statm", pid);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        give_up("process %d is gone", pid);
    if (fscanf(file, "%*u %" SCNu64, &pages) != 1)
        pages = 0;
    fclose(file);
    return pages * (uint64_t)sysconf(_SC_PAGESIZE);
}
