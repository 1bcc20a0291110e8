#include "config/yaml.h"

#include "config/yaml_check.h"
#include "config/yaml_lines.h"
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
    *out = NULL;
    struct yaml_fault fault;
    if (!yaml_check(buf_bytes(&text), schema, &fault)) {
        buf_close(&text);
        char at[16] = "";
        if (fault.line != 0)
            snprintf(at, sizeof at, ":%u", fault.line);
        snprintf(why, why_size, "%s%s: %s", path, at, fault.words);
        return SEALMQ_E_CONFIG;
    }
    const cyaml_config_t config = {.mem_fn = cyaml_mem, .flags = CYAML_CFG_DEFAULT};
    cyaml_err_t result = cyaml_load_data(text.p, text.n, &config, schema, out, NULL);
    buf_close(&text);
    if (result == CYAML_OK && *out != NULL)
        return 0;
    /* It has passed the check, so this is about the machine. */
    snprintf(why, why_size, "%s: cannot be read: %s", path, cyaml_strerror(result));
    return result == CYAML_ERR_OOM ? SEALMQ_E_NOMEM : SEALMQ_E_CONFIG;
}

void config_yaml_free(const cyaml_schema_value_t *schema, void *data)
{
    const cyaml_config_t config = {.mem_fn = cyaml_mem, .flags = CYAML_CFG_DEFAULT};
    if (data != NULL)
        cyaml_free(&config, schema, data, 0);
}
