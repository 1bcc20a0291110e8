/* Log lines. A line has a level, a component and words; where it goes and when it was is the
 * business of the sink that the program sets. Pure code does not log: it returns events. */
#ifndef SEALMQ_BASE_LOG_H
#define SEALMQ_BASE_LOG_H

enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };

/* Called from any thread; must not keep `text`. */
typedef void (*log_sink)(void *context, enum log_level level, const char *component,
                         const char *text);

/* Before any thread starts. Without a sink, lines are dropped. */
void log_set_sink(log_sink sink, void *context, enum log_level most);

/* printf-like; control characters from peers are escaped as \xHH before they reach the sink. */
__attribute__((format(printf, 3, 4))) void log_line(enum log_level level, const char *component,
                                                    const char *format, ...);

#define log_error(...) log_line(LOG_ERROR, __VA_ARGS__)
#define log_warn(...)  log_line(LOG_WARN, __VA_ARGS__)
#define log_info(...)  log_line(LOG_INFO, __VA_ARGS__)
#define log_debug(...) log_line(LOG_DEBUG, __VA_ARGS__)

#endif
