#include "edge/readings.h"

#include "base/id.h"
#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#define LEVELS_MAX      3
#define PARSED_PER_BYTE 8 /* what JSON takes when parsed, about */

struct place {
    struct bytes topic;
    struct bytes levels[LEVELS_MAX];
    size_t count;
    int64_t now_us;
    char *why;
    size_t why_size;
};

__attribute__((format(printf, 3, 4))) static int refuse(const struct place *place, int error,
                                                        const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vsnprintf(place->why, place->why_size, format, args);
    va_end(args);
    return error;
}

static int split_topic(struct place *place)
{
    struct bytes topic = place->topic;
    place->count = 0;
    for (;;) {
        const uint8_t *slash = topic.n != 0 ? memchr(topic.p, '/', topic.n) : NULL;
        size_t n = slash != NULL ? (size_t)(slash - topic.p) : topic.n;
        struct bytes level = bytes_of(topic.p, n);
        if (place->count == LEVELS_MAX)
            return refuse(place, SEALMQ_E_PARSE, "a topic has at most device/service/item");
        if (!item_name_is_valid(level))
            return refuse(place, SEALMQ_E_PARSE,
                          "level %zu of the topic must be 1 to %d letters, digits and _ . -",
                          place->count + 1, NAME_MAX_BYTES);
        place->levels[place->count++] = level;
        if (slash == NULL)
            return 0;
        topic = bytes_of(slash + 1, topic.n - n - 1);
    }
}

static bool is_space(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

static struct bytes trimmed(struct bytes text)
{
    while (text.n != 0 && is_space(text.p[0]))
        text = bytes_of(text.p + 1, text.n - 1);
    while (text.n != 0 && is_space(text.p[text.n - 1]))
        text.n--;
    return text;
}

static struct row row_at(const struct place *place)
{
    return (struct row){
        .device = place->levels[0],
        .service = BYTES_LIT(READINGS_SERVICE),
        .unit = BYTES_LIT(""),
        .time_us = place->now_us,
    };
}

static int add(struct readings *out, const struct place *place, const struct row *row)
{
    int error = row_check(row);
    if (error != 0)
        return refuse(place, error, "\"%.*s\" is %s", (int)row->name.n, (const char *)row->name.p,
                      error == SEALMQ_E_LIMIT  ? "longer than a name or value may be"
                      : error == SEALMQ_E_TYPE ? "no value that can be kept"
                                               : "no name: letters, digits and _ . - only");
    out->rows[out->count++] = *row;
    return 0;
}

static int room_for(struct readings *out, size_t rows, const struct place *place)
{
    if (rows > REPORT_ROWS_MAX)
        return refuse(place, SEALMQ_E_LIMIT, "at most %d readings in one message", REPORT_ROWS_MAX);
    out->rows = calloc(rows + 1, sizeof *out->rows);
    out->size += rows * sizeof *out->rows;
    return out->rows != NULL ? 0 : refuse(place, SEALMQ_E_NOMEM, "out of memory");
}

/* ---- a bare value ---- */

/* A quoted string, as JSON has it. */
static int read_quoted(struct readings *out, struct bytes text, const struct place *place,
                       struct bytes *value)
{
    struct json_error words = {0};
    int error = json_parse(text, &out->json, &words);
    if (error != 0)
        return refuse(place, error, "%s", words.message);
    if (!cJSON_IsString(out->json))
        return refuse(place, SEALMQ_E_PARSE, "not a string");
    *value = bytes_str(out->json->valuestring);
    return 0;
}

static int read_bare(struct readings *out, struct bytes text, struct place *place)
{
    int error = split_topic(place);
    if (error != 0)
        return error;
    if (place->count == 1)
        return refuse(place, SEALMQ_E_PARSE,
                      "a bare value needs a name: publish it on DEVICE/NAME, or a JSON object on "
                      "DEVICE");
    struct row row = row_at(place);
    row.name = place->levels[place->count - 1];
    if (place->count == 3)
        row.service = place->levels[1];
    row.value = text;
    if (datatype_check(DATATYPE_DOUBLE, text) == 0) {
        row.type = DATATYPE_DOUBLE;
    } else if (datatype_check(DATATYPE_BOOL, text) == 0) {
        row.type = DATATYPE_BOOL;
    } else {
        row.type = DATATYPE_STRING;
        if (text.p[0] == '"')
            error = read_quoted(out, text, place, &row.value);
        else if (text.p[0] == '[')
            error = refuse(place, SEALMQ_E_TYPE, "an array is no reading");
    }
    if (error == 0)
        error = room_for(out, 1, place);
    return error != 0 ? error : add(out, place, &row);
}

/* ---- an object ---- */

/* The number's text, kept in the array `texts`. */
static const cJSON *print_number(cJSON *texts, const cJSON *member)
{
    char *text = cJSON_PrintUnformatted(member);
    cJSON *string = text != NULL ? cJSON_CreateString(text) : NULL;
    cJSON_free(text);
    if (string == NULL)
        return NULL;
    if (!cJSON_AddItemToArray(texts, string)) {
        cJSON_Delete(string);
        return NULL;
    }
    return string;
}

static int read_member(struct readings *out, const cJSON *member, cJSON *texts,
                       const struct place *place)
{
    struct row row = row_at(place);
    if (place->count == 2)
        row.service = place->levels[1];
    row.name = bytes_str(member->string);
    if (cJSON_IsNumber(member)) {
        const cJSON *text = print_number(texts, member);
        if (text == NULL)
            return refuse(place, SEALMQ_E_NOMEM, "out of memory");
        row.type = DATATYPE_DOUBLE;
        row.value = bytes_str(text->valuestring);
    } else if (cJSON_IsBool(member)) {
        row.type = DATATYPE_BOOL;
        row.value = cJSON_IsTrue(member) ? BYTES_LIT("true") : BYTES_LIT("false");
    } else if (cJSON_IsString(member)) {
        row.type = DATATYPE_STRING;
        row.value = bytes_str(member->valuestring);
    } else if (cJSON_IsNull(member)) {
        return 0;
    } else {
        return refuse(place, SEALMQ_E_TYPE, "\"%.64s\" must be a number, true, false or a string",
                      member->string);
    }
    return add(out, place, &row);
}

/* Rows borrow from `json` and from texts of numbers, which are kept with it: *json becomes the
 * array [object, text, text, ...]. */
static int read_members(struct readings *out, struct place *place)
{
    int error = split_topic(place);
    if (error != 0)
        return error;
    cJSON *object = out->json, *all = cJSON_CreateArray();
    if (all == NULL || !cJSON_AddItemToArray(all, object)) {
        cJSON_Delete(all);
        return refuse(place, SEALMQ_E_NOMEM, "out of memory");
    }
    out->json = all;
    if (place->count > 2)
        return refuse(place, SEALMQ_E_PARSE, "an object is published on DEVICE or DEVICE/SERVICE");
    size_t members = 0;
    for (const cJSON *member = object->child; member != NULL; member = member->next)
        members++;
    error = room_for(out, members, place);
    for (const cJSON *member = object->child; error == 0 && member != NULL; member = member->next)
        error = read_member(out, member, all, place);
    if (error == 0 && out->count == 0)
        error = refuse(place, SEALMQ_E_COUNT, "the object has no readings");
    return error;
}

static int read_object(struct readings *out, struct bytes text, struct place *place)
{
    struct json_error words = {0};
    int error = json_parse(text, &out->json, &words);
    if (error != 0)
        return refuse(place, error, "%s (byte %zu)", words.message, words.offset);
    out->size += text.n * PARSED_PER_BYTE;
    if (!cJSON_IsArray(cJSON_GetObjectItemCaseSensitive(out->json, "devices")))
        return read_members(out, place);
    cJSON_Delete(out->json);
    out->json = NULL;
    error = report_parse(text, &out->report, place->why, place->why_size);
    if (error != 0)
        return error;
    out->rows = out->report.rows;
    out->count = out->report.n;
    out->size += out->count * sizeof *out->rows;
    for (size_t i = 0; i < out->count; i++) {
        error = row_check(&out->rows[i]);
        if (error != 0)
            return refuse(place, error, "reading %zu: %s", i, sealmq_error_text(error));
    }
    return 0;
}

int readings_parse(struct bytes topic, struct bytes payload, int64_t now_us, struct readings *out,
                   char *why, size_t why_size)
{
    struct place place = {.now_us = now_us, .why = why, .why_size = why_size};
    *out = (struct readings){0};
    if (payload.n > REPORT_BYTES_MAX)
        return refuse(&place, SEALMQ_E_LIMIT, "a message has at most %d bytes", REPORT_BYTES_MAX);
    out->text = malloc(topic.n + payload.n + 1);
    if (out->text == NULL)
        return refuse(&place, SEALMQ_E_NOMEM, "out of memory");
    out->size = sizeof *out + topic.n + payload.n;
    memcpy(out->text, topic.p, topic.n);
    if (payload.n != 0)
        memcpy(out->text + topic.n, payload.p, payload.n);
    place.topic = bytes_of(out->text, topic.n);
    struct bytes text = trimmed(bytes_of(out->text + topic.n, payload.n));
    int error;
    if (text.n == 0)
        error = refuse(&place, SEALMQ_E_PARSE, "the message is empty");
    else if (text.p[0] == '{')
        error = read_object(out, text, &place);
    else
        error = read_bare(out, text, &place);
    if (error != 0)
        readings_close(out);
    return error;
}

void readings_close(struct readings *readings)
{
    if (readings->report.rows == NULL)
        free(readings->rows);
    report_close(&readings->report);
    cJSON_Delete(readings->json);
    free(readings->text);
    *readings = (struct readings){0};
}
