#include "base/log.h"

#include "base/text.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>

/* Longer lines are cut, so that no peer decides how much is written. */
#define LINE_MAX_BYTES 1024

/* Set once before the first thread starts, only read afterwards: no lock. */
static struct {
    log_sink sink;
    void *context;
    enum log_level most;
} target;

void log_set_sink(log_sink sink, void *context, enum log_level most)
{
    target.sink = sink;
    target.context = context;
    target.most = most;
}

/* Length of the printable character that `s` starts with; 0 when it starts with a control character
 * (C0, DEL, and C1, which some terminals obey) or with what is not UTF-8. */
static size_t printable(struct bytes s)
{
    size_t n = utf8_next(s);
    if (n == 1 && (s.p[0] < 0x20 || s.p[0] == 0x7F))
        return 0;
    if (n == 2 && s.p[0] == 0xC2 && s.p[1] < 0xA0)
        return 0;
    return n;
}

/* Copies `s` with escapes as a C string; what does not fit is left out, whole characters only. */
static void escape(struct bytes s, char *out, size_t out_size)
{
    static const char digits[] = "0123456789abcdef";
    char *end = out + out_size - 1;
    while (s.n != 0) {
        size_t n = printable(s);
        if (n != 0) {
            if ((size_t)(end - out) < n)
                break;
            memcpy(out, s.p, n);
            out += n;
        } else {
            if (end - out < 4)
                break;
            *out++ = '\\';
            *out++ = 'x';
            *out++ = digits[s.p[0] >> 4];
            *out++ = digits[s.p[0] & 15];
            n = 1;
        }
        s = bytes_of(s.p + n, s.n - n);
    }
    *out = '\0';
}

void log_line(enum log_level level, const char *component, const char *format, ...)
{
    if (target.sink == NULL || level > target.most)
        return;
    int saved = errno;
    char raw[LINE_MAX_BYTES];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(raw, sizeof(raw), format, args);
    va_end(args);
    if (n >= 0) {
        char text[2 * LINE_MAX_BYTES];
        size_t length = (size_t)n < sizeof(raw) ? (size_t)n : sizeof(raw) - 1;
        escape(bytes_of(raw, length), text, sizeof(text));
        target.sink(target.context, level, component, text);
    }
    errno = saved;
}
