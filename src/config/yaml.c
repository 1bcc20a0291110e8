#include "config/yaml.h"

#include "config/yaml_lines.h"
#include "config/yaml_numbers.h"
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

/* The line that libcyaml's words are about; 0: it cannot be told. */
static unsigned line_of_complaint(struct bytes text, const struct yaml_log *log)
{
    static const char unexpected[] = "Unexpected key: ";
    unsigned line = yaml_line_of_damage(text);
    const char *at = strstr(log->text, "(line: ");
    if (line != 0)
        return line;
    if (at != NULL)
        line = (unsigned)strtoul(at + strlen("(line: "), NULL, 10);
    /* It names the place before a key that it does not know. */
    const char *key = strstr(log->text, unexpected);
    if (key != NULL) {
        char name[128];
        key += strlen(unexpected);
        snprintf(name, sizeof name, "%.*s", (int)strcspn(key, ";"), key);
        unsigned exact = yaml_line_of_key(text, name, line);
        if (exact != 0)
            line = exact;
    }
    return line;
}

int config_refuse(const struct config_source *source, const char *place, const char *format, ...)
{
    char words[512];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(words, sizeof words, format, arguments);
    va_end(arguments);
    if (source->path == NULL) {
        snprintf(source->why, source->why_size, "%s", words);
        return SEALMQ_E_CONFIG;
    }
    struct buf text = {0};
    unsigned line = 0;
    if (file_read(source->path, YAML_FILE_MAX, &text, NULL, 0) == 0)
        line = yaml_line_of(buf_bytes(&text), place);
    buf_close(&text);
    if (line != 0)
        snprintf(source->why, source->why_size, "%s:%u: %s", source->path, line, words);
    else
        snprintf(source->why, source->why_size, "%s: %s", source->path, words);
    return SEALMQ_E_CONFIG;
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
    if (result == CYAML_OK && *out != NULL) {
        char value[64];
        unsigned bad = yaml_line_of_bad_number(buf_bytes(&text), schema, value, sizeof value);
        buf_close(&text);
        if (bad == 0)
            return 0;
        config_yaml_free(schema, *out);
        *out = NULL;
        snprintf(why, why_size, "%s:%u: \"%s\" is no number; write digits only, such as 10000",
                 path, bad, value);
        return SEALMQ_E_CONFIG;
    }
    unsigned line = line_of_complaint(buf_bytes(&text), &log);
    buf_close(&text);
    if (result == CYAML_ERR_OOM) {
        snprintf(why, why_size, "%s: out of memory", path);
        return SEALMQ_E_NOMEM;
    }
    char at[16] = "";
    if (line != 0)
        snprintf(at, sizeof at, ":%u", line);
    snprintf(why, why_size, "%s%s: %s%s%s", path, at,
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
