#include "node/refusals.h"

#include "base/log.h"

#include <stdarg.h>
#include <stdio.h>

#define LINE_SIZE 768 /* the log cuts longer ones */

void refusals_log(struct refusals *refusals, uint64_t now_ms, const char *component,
                  const char *format, ...)
{
    if (now_ms / 1000 != refusals->second) {
        refusals->second = now_ms / 1000;
        refusals->lines = 0;
    }
    if (refusals->lines >= REFUSAL_LINES_MAX) {
        refusals->kept_back++;
        return;
    }
    refusals->lines++;
    if (refusals->kept_back != 0) {
        log_warn(component, "%llu refusals before this one are not shown",
                 (unsigned long long)refusals->kept_back);
        refusals->kept_back = 0;
    }
    char line[LINE_SIZE];
    va_list args;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    log_warn(component, "%s", line);
}
