/* Log lines on standard error, one write each, so that lines of several threads do not mix. */
#include "cli/cli.h"

#include "base/log.h"
#include "base/text.h"

#include <time.h>
#include <unistd.h>

static void write_line(void *context, enum log_level level, const char *component, const char *text)
{
    static const char *const names[] = {"error", "warn", "info", "debug"};
    (void)context;
    struct timespec now;
    char when[RFC3339_MAX];
    char line[4096];
    clock_gettime(CLOCK_REALTIME, &now);
    /* Whole milliseconds, written by hand so that all lines have the same width. */
    rfc3339_format((int64_t)now.tv_sec * 1000000, when);
    when[19] = '\0';
    int n = snprintf(line, sizeof(line), "%s.%03ldZ %-5s %s: %s\n", when, now.tv_nsec / 1000000,
                     names[level], component, text);
    if (n < 0)
        return;
    if ((size_t)n >= sizeof(line)) {
        n = (int)sizeof(line) - 1;
        line[n - 1] = '\n';
    }
    /* When nobody reads standard error there is no better place to complain. */
    if (write(STDERR_FILENO, line, (size_t)n) < 0)
        return;
}

void cli_log_to_stderr(bool is_verbose)
{
    log_set_sink(write_line, NULL, is_verbose ? LOG_DEBUG : LOG_INFO);
}
