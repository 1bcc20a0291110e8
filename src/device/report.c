#include "device/report.h"

#include "base/id.h"
#include "base/text.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* Where in a report the parser is, for the words of an error. */
struct place {
    size_t device, service, item;
    int depth; /* 1: device, 2: service, 3: item */
    char *why;
    size_t why_size;
};

__attribute__((format(printf, 3, 4))) static int refuse(const struct place *place, int error,
                                                        const char *format, ...)
{
    char words[160];
    va_list args;
    va_start(args, format);
    vsnprintf(words, sizeof words, format, args);
    va_end(args);
    if (place->depth == 3)
        snprintf(place->why, place->why_size, "devices[%zu].services[%zu].data[%zu]: %s",
                 place->device, place->service, place->item, words);
    else if (place->depth == 2)
        snprintf(place->why, place->why_size, "devices[%zu].services[%zu]: %s", place->device,
                 place->service, words);
    else if (place->depth == 1)
        snprintf(place->why, place->why_size, "devices[%zu]: %s", place->device, words);
    else
        snprintf(place->why, place->why_size, "%s", words);
    return error;
}

/* A member that is a name of the given kind. */
static int read_name(const cJSON *object, const char *member, const struct place *place,
                     struct bytes *out)
{
    const char *text;
    struct json_error words = {0};
    int error = json_member_string(object, member, &text, &words);
    if (error != 0)
        return refuse(place, error, "%s", words.message);
    *out = bytes_str(text);
    if (!item_name_is_valid(*out))
        return refuse(place, SEALMQ_E_PARSE,
                      "%s must be 1 to %d letters, digits and _ . - characters", member,
                      NAME_MAX_BYTES);
    return 0;
}

/* "val" as text: a string as it is; a number or bool becomes the string that shows it. */
static int read_value(cJSON *item, const struct place *place, struct bytes *out)
{
    cJSON *val = cJSON_GetObjectItemCaseSensitive(item, "val");
    if (val == NULL)
        return refuse(place, SEALMQ_E_PARSE, "member \"val\" is missing");
    if (cJSON_IsNumber(val) || cJSON_IsBool(val)) {
        char *text = cJSON_PrintUnformatted(val);
        cJSON *string = text != NULL ? cJSON_CreateString(text) : NULL;
        cJSON_free(text);
        if (string == NULL)
            return refuse(place, SEALMQ_E_NOMEM, "out of memory");
        if (!cJSON_ReplaceItemInObjectCaseSensitive(item, "val", string)) {
            cJSON_Delete(string);
            return refuse(place, SEALMQ_E_NOMEM, "out of memory");
        }
        val = string;
    }
    if (!cJSON_IsString(val))
        return refuse(place, SEALMQ_E_TYPE, "val must be a string, a number, true or false");
    *out = bytes_str(val->valuestring);
    return 0;
}

static int read_item(cJSON *item, const struct place *place, struct row *row)
{
    const char *text;
    struct json_error words = {0};
    int error = read_name(item, "name", place, &row->name);
    if (error != 0)
        return error;
    error = json_member_string(item, "datatype", &text, &words);
    if (error != 0)
        return refuse(place, error, "%s", words.message);
    if (datatype_parse(bytes_str(text), &row->type) != 0)
        return refuse(place, SEALMQ_E_TYPE, "datatype must be int, double, bool or string");
    error = read_value(item, place, &row->value);
    if (error != 0)
        return error;
    error = datatype_check(row->type, row->value);
    if (error != 0)
        return refuse(place, error, "val \"%.40s\" is no value of datatype %s",
                      (const char *)row->value.p, datatype_name(row->type));
    row->unit = BYTES_LIT("");
    if (cJSON_GetObjectItemCaseSensitive(item, "unit") != NULL) {
        error = json_member_string(item, "unit", &text, &words);
        if (error != 0)
            return refuse(place, error, "%s", words.message);
        row->unit = bytes_str(text);
        if (row->unit.n > UNIT_MAX_BYTES)
            return refuse(place, SEALMQ_E_LIMIT, "unit is longer than %d bytes", UNIT_MAX_BYTES);
    }
    return 0;
}

static int add_row(struct report *report, size_t *capacity, const struct row *row)
{
    if (report->n == *capacity) {
        size_t more = *capacity == 0 ? 16 : *capacity * 2;
        struct row *rows = realloc(report->rows, more * sizeof *rows);
        if (rows == NULL)
            return SEALMQ_E_NOMEM;
        report->rows = rows;
        *capacity = more;
    }
    report->rows[report->n++] = *row;
    return 0;
}

static int read_service(const cJSON *service, struct place *place, struct bytes device,
                        struct report *report, size_t *capacity)
{
    struct row row = {.device = device};
    struct json_error words = {0};
    const char *time;
    const cJSON *data;
    uint64_t count;
    place->depth = 2;
    int error = read_name(service, "serviceId", place, &row.service);
    if (error != 0)
        return error;
    error = json_member_string(service, "eventtime", &time, &words);
    if (error == 0)
        error = json_member_u64(service, "count", &count, &words);
    if (error == 0)
        error = json_member_array(service, "data", &data, &words);
    if (error != 0)
        return refuse(place, error, "%s", words.message);
    if (eventtime_parse(bytes_str(time), &row.time_us) != 0)
        return refuse(place, SEALMQ_E_PARSE, "eventtime \"%.40s\" is not UTC like 20200706T144831Z",
                      time);
    size_t n = (size_t)cJSON_GetArraySize(data);
    if (n != count)
        return refuse(place, SEALMQ_E_COUNT, "count is %llu, data has %zu items",
                      (unsigned long long)count, n);
    place->depth = 3;
    place->item = 0;
    for (cJSON *item = data->child; item != NULL; item = item->next, place->item++) {
        if (report->n == REPORT_ROWS_MAX)
            return refuse(place, SEALMQ_E_LIMIT, "a report has at most %d rows", REPORT_ROWS_MAX);
        error = read_item(item, place, &row);
        if (error == 0)
            error = add_row(report, capacity, &row);
        if (error != 0)
            return error;
    }
    return 0;
}

static int read_devices(const cJSON *devices, struct place *place, struct report *report)
{
    size_t capacity = 0;
    const cJSON *device, *service, *services;
    cJSON_ArrayForEach(device, devices)
    {
        struct json_error words = {0};
        struct bytes id;
        place->depth = 1;
        place->service = 0;
        int error = read_name(device, "deviceId", place, &id);
        if (error != 0)
            return error;
        error = json_member_array(device, "services", &services, &words);
        if (error != 0)
            return refuse(place, error, "%s", words.message);
        cJSON_ArrayForEach(service, services)
        {
            error = read_service(service, place, id, report, &capacity);
            if (error != 0)
                return error;
            place->service++;
        }
        place->device++;
    }
    place->depth = 0;
    return report->n != 0 ? 0 : refuse(place, SEALMQ_E_COUNT, "the report has no rows");
}

int report_parse(struct bytes json, struct report *out, char *why, size_t why_size)
{
    struct place place = {.why = why, .why_size = why_size};
    struct json_error words = {0};
    const cJSON *devices;
    *out = (struct report){0};
    if (json.n > REPORT_BYTES_MAX)
        return refuse(&place, SEALMQ_E_LIMIT, "a report has at most %d bytes", REPORT_BYTES_MAX);
    int error = json_parse(json, &out->json, &words);
    if (error != 0)
        return refuse(&place, error, "%s (byte %zu)", words.message, words.offset);
    error = json_member_array(out->json, "devices", &devices, &words);
    if (error != 0)
        error = refuse(&place, error, "%s", words.message);
    else
        error = read_devices(devices, &place, out);
    if (error != 0)
        report_close(out);
    return error;
}

void report_close(struct report *report)
{
    cJSON_Delete(report->json);
    free(report->rows);
    *report = (struct report){0};
}

/* How many rows from `rows` on share device, service and time. */
static size_t same_service(const struct row *rows, size_t n)
{
    size_t i = 1;
    while (i < n && bytes_equal(rows[i].device, rows[0].device) &&
           bytes_equal(rows[i].service, rows[0].service) && rows[i].time_us == rows[0].time_us)
        i++;
    return i;
}

static void format_string(struct buf *out, const char *member, struct bytes value)
{
    buf_printf(out, "\"%s\":", member);
    json_append_string(out, value);
}

static void format_service(const struct row *rows, size_t n, struct buf *out)
{
    char time[EVENTTIME_MAX];
    eventtime_format(rows[0].time_us, time);
    buf_printf(out,
               "{\"code\":200,\"count\":%zu,\"msg\":\"information reported successfully\","
               "\"topic\":\"\",",
               n);
    format_string(out, "serviceId", rows[0].service);
    buf_append_cstr(out, ",\"data\":[");
    for (size_t i = 0; i < n; i++) {
        buf_append_cstr(out, i == 0 ? "{" : ",{");
        format_string(out, "name", rows[i].name);
        buf_printf(out, ",\"datatype\":\"%s\",", datatype_name(rows[i].type));
        format_string(out, "val", rows[i].value);
        buf_append_u8(out, ',');
        format_string(out, "unit", rows[i].unit);
        buf_append_cstr(out, ",\"comment\":\"\"}");
    }
    buf_printf(out, "],\"eventtime\":\"%s\"}", time);
}

int report_format(const struct row *rows, size_t n, struct buf *out)
{
    buf_append_cstr(out, "{\"devices\":[");
    for (size_t i = 0; i < n;) {
        bool is_same_device = i != 0 && bytes_equal(rows[i].device, rows[i - 1].device);
        if (!is_same_device) {
            buf_append_cstr(out, i == 0 ? "{" : "]},{");
            format_string(out, "deviceId", rows[i].device);
            buf_append_cstr(out, ",\"services\":[");
        } else {
            buf_append_u8(out, ',');
        }
        size_t same = same_service(rows + i, n - i);
        format_service(rows + i, same, out);
        i += same;
    }
    buf_append_cstr(out, n == 0 ? "]}" : "]}]}");
    return buf_status(out);
}

int report_hash_of(const struct report_head *head, const struct row *rows, struct hash *out)
{
    struct hash *leaves = malloc((head->rows + (size_t)1) * sizeof *leaves);
    if (leaves == NULL)
        return SEALMQ_E_NOMEM;
    int error = report_head_leaf(head, &leaves[0]);
    for (size_t i = 0; error == 0 && i < head->rows; i++)
        error = row_leaf(&rows[i], &leaves[i + 1]);
    if (error == 0)
        report_hash(leaves, head->rows + (size_t)1, out);
    free(leaves);
    return error;
}
