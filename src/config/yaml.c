#include "config/yaml.h"

#include "store/file.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define YAML_FILE_MAX (1024 * 1024)

const cyaml_strval_t config_bool_words[CONFIG_BOOL_WORDS] = {
    {"false", 0},
    {"true", 1},
    {"no", 0},
    {"yes", 1},
};

/* libcyaml tells what is wrong through its log: the first error line has the reason, those after it
 * where it is ("in mapping field: listeners (line: 4, column: 3)"). */
struct yaml_log {
    char text[512];
    size_t n;
};

static void yaml_log_line(cyaml_log_t level, void *context, const char *format, va_list args)
{
    struct yaml_log *log = context;
    if (level < CYAML_LOG_ERROR || log->n + 2 >= sizeof log->text)
        return;
    char line[256];
    if (vsnprintf(line, sizeof line, format, args) < 0)
        return;
    const char *start = line;
    if (strncmp(start, "Load: ", 6) == 0)
        start += 6;
    if (strncmp(start, "Backtrace:", 10) == 0)
        return;
    while (*start == ' ')
        start++;
    size_t n = strcspn(start, "\n");
    if (log->n != 0 && log->n + 2 < sizeof log->text) {
        log->text[log->n++] = ';';
        log->text[log->n++] = ' ';
    }
    size_t room = sizeof log->text - 1 - log->n;
    if (n > room)
        n = room;
    memcpy(log->text + log->n, start, n);
    log->n += n;
    log->text[log->n] = '\0';
}

int config_yaml_read(const char *path, const cyaml_schema_value_t *schema, void **out, char *why,
                     size_t why_size)
{
    struct buf text = {0};
    int error = file_read(path, YAML_FILE_MAX, &text, why, why_size);
    if (error != 0) {
        buf_close(&text);
        return error;
    }
    struct yaml_log log = {.n = 0};
    const cyaml_config_t config = {
        .log_fn = yaml_log_line,
        .log_ctx = &log,
        .log_level = CYAML_LOG_ERROR,
        .mem_fn = cyaml_mem,
        .flags = CYAML_CFG_DEFAULT,
    };
    *out = NULL;
    cyaml_err_t result = cyaml_load_data(text.p, text.n, &config, schema, out, NULL);
    buf_close(&text);
    if (result == CYAML_OK && *out != NULL)
        return 0;
    if (result == CYAML_ERR_OOM) {
        snprintf(why, why_size, "%s: out of memory", path);
        return SEALMQ_E_NOMEM;
    }
    snprintf(why, why_size, "%s: %s%s%s", path,
             result == CYAML_OK ? "empty" : cyaml_strerror(result), log.n != 0 ? ": " : "",
             log.text);
    return SEALMQ_E_CONFIG;
}

void config_yaml_free(const cyaml_schema_value_t *schema, void *data)
{
    const cyaml_config_t config = {.mem_fn = cyaml_mem, .flags = CYAML_CFG_DEFAULT};
    if (data != NULL)
        cyaml_free(&config, schema, data, 0);
}
