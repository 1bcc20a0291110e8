#include "edge/readings.h"

#include "base/id.h"
#include "base/text.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

/* The levels of "<device>" or "<device>/<rest>". */
struct place {
    struct bytes device, rest;
};

static int split(struct bytes topic, struct place *out, char *why, size_t why_size)
{
    const uint8_t *slash = topic.n != 0 ? memchr(topic.p, '/', topic.n) : NULL;
    size_t n = slash != NULL ? (size_t)(slash - topic.p) : topic.n;
    out->device = bytes_of(topic.p, n);
    out->rest = slash != NULL ? bytes_of(slash + 1, topic.n - n - 1) : (struct bytes){0};
    if (item_name_is_valid(out->device) && (slash == NULL || item_name_is_valid(out->rest)))
        return 0;
    snprintf(why, why_size,
             "the topic must be <device>/<name> or <device>, of letters, digits and _ . -");
    return SEALMQ_E_PARSE;
}

static enum datatype type_of(struct bytes value)
{
    if (datatype_check(DATATYPE_BOOL, value) == 0)
        return DATATYPE_BOOL;
    if (datatype_check(DATATYPE_INT, value) == 0)
        return DATATYPE_INT;
    return datatype_check(DATATYPE_DOUBLE, value) == 0 ? DATATYPE_DOUBLE : DATATYPE_STRING;
}

static struct bytes trim(struct bytes b)
{
    while (b.n != 0 && isspace(b.p[0]))
        b = bytes_of(b.p + 1, b.n - 1);
    while (b.n != 0 && isspace(b.p[b.n - 1]))
        b.n--;
    return b;
}

static int check_row(const struct row *row, char *why, size_t why_size)
{
    int error = row_check(row);
    if (error != 0)
        snprintf(why, why_size, "%.*s: %s", (int)row->name.n, (const char *)row->name.p,
                 error == SEALMQ_E_LIMIT ? "the value is too long"
                                         : "the value must be a number, true, false or text");
    return error;
}

static int bare_value(const struct place *place, struct bytes payload, int64_t now_us,
                      struct readings *out, char *why, size_t why_size)
{
    if (place->rest.n == 0) {
        snprintf(why, why_size, "a bare value needs a topic <device>/<name>");
        return SEALMQ_E_PARSE;
    }
    struct bytes value = trim(payload);
    out->one = (struct row){
        .device = place->device,
        .service = BYTES_LIT("data"),
        .name = place->rest,
        .unit = BYTES_LIT(""),
        .value = value,
        .type = type_of(value),
        .time_us = now_us,
    };
    out->rows = &out->one;
    out->count = 1;
    return check_row(&out->one, why, why_size);
}

/* A member's value as text; a number or bool is replaced in the tree by the string that shows it.
 */
static int member_text(cJSON *object, cJSON **member, struct row *row)
{
    cJSON *item = *member;
    if (cJSON_IsString(item)) {
        row->type = DATATYPE_STRING;
        row->value = bytes_str(item->valuestring);
        return 0;
    }
    if (!cJSON_IsNumber(item) && !cJSON_IsBool(item))
        return SEALMQ_E_TYPE;
    char *text = cJSON_PrintUnformatted(item);
    cJSON *string = text != NULL ? cJSON_CreateString(text) : NULL;
    cJSON_free(text);
    if (string == NULL || (string->string = strdup(item->string)) == NULL) {
        cJSON_Delete(string);
        return SEALMQ_E_NOMEM;
    }
    if (!cJSON_ReplaceItemViaPointer(object, item, string)) {
        cJSON_Delete(string);
        return SEALMQ_E_NOMEM;
    }
    *member = string;
    row->value = bytes_str(string->valuestring);
    row->type = type_of(row->value);
    return 0;
}

static int object_of_readings(const struct place *place, int64_t now_us, struct readings *out,
                              char *why, size_t why_size)
{
    cJSON *object = out->report.json;
    size_t count = (size_t)cJSON_GetArraySize(object);
    if (count == 0 || count > REPORT_ROWS_MAX) {
        snprintf(why, why_size, "the object has %zu readings, it must have 1 to %d", count,
                 REPORT_ROWS_MAX);
        return SEALMQ_E_COUNT;
    }
    out->rows = calloc(count, sizeof *out->rows);
    if (out->rows == NULL)
        return SEALMQ_E_NOMEM;
    for (cJSON *member = object->child; member != NULL; member = member->next) {
        struct row *row = &out->rows[out->count];
        *row = (struct row){
            .device = place->device,
            .service = place->rest.n != 0 ? place->rest : BYTES_LIT("data"),
            .unit = BYTES_LIT(""),
            .time_us = now_us,
        };
        int error = member_text(object, &member, row);
        row->name = bytes_str(member->string);
        if (error == SEALMQ_E_TYPE)
            snprintf(why, why_size, "\"%.64s\" must be a number, true, false or a string",
                     member->string);
        if (error == 0)
            error = check_row(row, why, why_size);
        if (error != 0)
            return error;
        out->count++;
    }
    return 0;
}

static int parse(struct bytes topic, struct bytes payload, int64_t now_us, struct readings *out,
                 char *why, size_t why_size)
{
    struct bytes text = trim(payload);
    bool is_object = text.n != 0 && text.p[0] == '{';
    struct json_error words = {0};
    struct place place;
    if (is_object) {
        int error = json_parse(text, &out->report.json, &words);
        if (error != 0) {
            snprintf(why, why_size, "%s (byte %zu)", words.message, words.offset);
            return error;
        }
        if (cJSON_GetObjectItemCaseSensitive(out->report.json, "devices") != NULL) {
            report_close(&out->report);
            error = report_parse(text, &out->report, why, why_size);
            out->rows = out->report.rows;
            out->count = out->report.n;
            return error;
        }
    }
    int error = split(topic, &place, why, why_size);
    if (error != 0)
        return error;
    return is_object ? object_of_readings(&place, now_us, out, why, why_size)
                     : bare_value(&place, payload, now_us, out, why, why_size);
}

int readings_parse(struct bytes topic, struct bytes payload, int64_t now_us, struct readings *out,
                   char *why, size_t why_size)
{
    *out = (struct readings){0};
    why[0] = '\0';
    int error = parse(topic, payload, now_us, out, why, why_size);
    if (error != 0)
        readings_close(out);
    return error;
}

void readings_close(struct readings *readings)
{
    if (readings->rows != readings->report.rows && readings->rows != &readings->one)
        free(readings->rows);
    report_close(&readings->report);
    readings->rows = NULL;
    readings->count = 0;
}
