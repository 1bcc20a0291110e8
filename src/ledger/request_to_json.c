/* Requests as JSON: writing. See request_from_json.c for what is read back. */
#include "ledger/request.h"

#include "base/json.h"
#include "base/text.h"

#define MSG_SENT  "information reported successfully"
#define EXACT_MAX (UINT64_C(1) << 53) /* from here on numbers are written as strings */

static const char leaf_letters[] = {
    [LEAF_ACKNOWLEDGED] = 'a', [LEAF_DROPPED] = 'd', [LEAF_PENDING] = 'p'};

static void write_number(struct buf *out, uint64_t n)
{
    buf_printf(out, n < EXACT_MAX ? "%llu" : "\"%llu\"", (unsigned long long)n);
}

static void write_base64(struct buf *out, struct bytes b)
{
    buf_append_cstr(out, "\"");
    base64_append(out, b);
    buf_append_cstr(out, "\"");
}

/* What a JSON form carries besides the request's own content. */
struct envelope {
    struct bytes topic;
    struct signature signature;
    char eventtime[EVENTTIME_MAX];
};

static void write_service(struct buf *out, const struct envelope *envelope, size_t count,
                          const struct buf *data)
{
    buf_printf(out, "{\"code\":200,\"count\":%zu,\"msg\":\"" MSG_SENT "\",\"topic\":", count);
    json_append_string(out, envelope->topic);
    buf_append_cstr(out, ",\"serviceId\":\"\",\"sign\":");
    write_base64(out, bytes_of(envelope->signature.b, SIGNATURE_SIZE));
    buf_append_cstr(out, ",\"data\":[");
    buf_append_bytes(out, buf_bytes(data));
    buf_printf(out, "],\"eventtime\":\"%s\"}", envelope->eventtime);
}

/* One device with the records that follow one another; frees nothing. */
static void write_device(struct buf *out, const struct envelope *envelope, struct bytes device,
                         size_t count, const struct buf *data)
{
    if (data->failed != 0 && out->failed == 0)
        out->failed = data->failed;
    buf_append_cstr(out, "{\"deviceId\":");
    json_append_string(out, device);
    buf_append_cstr(out, ",\"services\":[");
    write_service(out, envelope, count, data);
    buf_append_cstr(out, "]}");
}

static void write_devices(struct buf *out, const struct request *request,
                          const struct envelope *envelope)
{
    struct buf data = {0};
    struct bytes device = {0};
    size_t count = 0;
    bool first = true;
    struct bytes list = request->data.records;
    struct bytes text;
    while (request_records_next(&list, &text)) {
        struct record record;
        int error = record_parse(text, &record);
        if (error != 0 && out->failed == 0)
            out->failed = error;
        if (count != 0 && !bytes_equal(record.device, device)) {
            buf_append_cstr(out, first ? "" : ",");
            write_device(out, envelope, device, count, &data);
            first = false;
            buf_reset(&data);
            count = 0;
        }
        device = record.device;
        buf_append_cstr(&data, count++ == 0 ? "" : ",");
        json_append_string(&data, text);
    }
    if (count != 0) {
        buf_append_cstr(out, first ? "" : ",");
        write_device(out, envelope, device, count, &data);
    }
    buf_close(&data);
}

static void write_interval(struct buf *out, const struct request *request)
{
    buf_append_cstr(out, ",\"interval\":{\"from\":");
    write_number(out, request->data.from);
    buf_append_cstr(out, ",\"to\":");
    write_number(out, request->data.to);
    buf_append_cstr(out, ",\"root\":");
    write_base64(out, hash_bytes(&request->data.interval_root));
    buf_append_cstr(out, ",\"leaves\":[");
    struct bytes list = request->data.leaves;
    struct interval_leaf leaf;
    for (bool first = true; request_leaves_next(&list, &leaf); first = false) {
        buf_append_cstr(out, first ? "[" : ",[");
        write_number(out, leaf.n);
        buf_printf(out, ",\"%c\",", leaf_letters[leaf.status]);
        json_append_string(out, leaf.node);
        buf_append_cstr(out, ",");
        write_base64(out, hash_bytes(&leaf.report));
        buf_append_cstr(out, "]");
    }
    buf_append_cstr(out, "]}");
}

static void write_items(struct buf *out, const struct request *request)
{
    buf_append_cstr(out, ",\"items\":[");
    struct bytes list = request->describe.items;
    struct item item;
    for (bool first = true; request_items_next(&list, &item); first = false) {
        buf_printf(out, "%s{\"num\":%lu,\"deviceId\":", first ? "" : ",", (unsigned long)item.num);
        json_append_string(out, item.device);
        buf_append_cstr(out, ",\"serviceId\":");
        json_append_string(out, item.service);
        buf_append_cstr(out, ",\"name\":");
        json_append_string(out, item.name);
        buf_printf(out, ",\"datatype\":\"%s\",\"unit\":", datatype_name(item.type));
        json_append_string(out, item.unit);
        buf_append_cstr(out, "}");
    }
    buf_append_cstr(out, "]");
}

int request_to_json(struct bytes wire, struct bytes reply_topic, int64_t now_us, struct buf *out)
{
    struct request request;
    int error = request_decode(wire, &request);
    if (error != 0)
        return error;
    if (request.kind != REQUEST_DATA && request.kind != REQUEST_DESCRIBE)
        return SEALMQ_E_TYPE;
    struct envelope envelope = {.topic = reply_topic};
    eventtime_format(now_us, envelope.eventtime);
    struct bytes list = request.signatures;
    struct bytes signer;
    if (!request_signatures_next(&list, &signer, &envelope.signature))
        return SEALMQ_E_COUNT;

    size_t start = out->n;
    bool has_records = request.kind == REQUEST_DATA && request.data.record_count != 0;
    buf_append_cstr(out, "{\"devices\":[");
    if (has_records)
        write_devices(out, &request, &envelope);
    buf_append_cstr(out, "],\"request\":");
    write_number(out, request.number);
    if (!has_records) {
        buf_append_cstr(out, ",\"sender\":");
        json_append_string(out, request.sender);
        buf_append_cstr(out, ",\"topic\":");
        json_append_string(out, envelope.topic);
        buf_append_cstr(out, ",\"sign\":");
        write_base64(out, bytes_of(envelope.signature.b, SIGNATURE_SIZE));
    }
    if (request.kind == REQUEST_DATA)
        write_interval(out, &request);
    else
        write_items(out, &request);
    buf_append_cstr(out, "}");
    error = buf_status(out);
    if (error != 0)
        out->n = start;
    return error;
}
