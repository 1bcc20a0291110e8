/* Requests as JSON: reading. The wire form decides: what is read here is put together as a wire
 * form and decoded, so that there is one place that knows what a request may be. Members that are
 * not known are passed over, since nothing signs them. */
#include "ledger/request.h"

#include "base/id.h"
#include "base/json.h"
#include "base/text.h"
#include "ledger/merkle.h"

#define REQUEST_VERSION 1
#define MSG_MAX_BYTES   256
#define EXACT_MAX       (UINT64_C(1) << 53) /* from here on numbers are written as strings */

/* What has been found so far; the JSON value stays alive meanwhile. */
struct reading {
    struct bytes sender;
    const char *topic; /* NULL: not seen */
    bool is_signed;
    struct signature signature;
    struct buf beside;
    uint32_t records;
    struct merkle_edge record_edge;
};

/* Every place that names the sender must name the same one; likewise sign and topic. */
static int take_sender(struct reading *reading, struct bytes sender)
{
    if (reading->sender.n != 0 && !bytes_equal(reading->sender, sender))
        return SEALMQ_E_PARSE;
    reading->sender = sender;
    return 0;
}

static int take_topic(struct reading *reading, const char *topic)
{
    if (reading->topic != NULL && strcmp(reading->topic, topic) != 0)
        return SEALMQ_E_PARSE;
    if (strlen(topic) > TOPIC_MAX_BYTES)
        return SEALMQ_E_LIMIT;
    if (strpbrk(topic, "+#") != NULL)
        return SEALMQ_E_PARSE;
    reading->topic = topic;
    return 0;
}

static int take_sign(struct reading *reading, const cJSON *object)
{
    struct signature signature;
    int error = json_member_base64(object, "sign", signature.b, SIGNATURE_SIZE, NULL);
    if (error != 0)
        return error;
    if (reading->is_signed && memcmp(signature.b, reading->signature.b, SIGNATURE_SIZE) != 0)
        return SEALMQ_E_PARSE;
    reading->signature = signature;
    reading->is_signed = true;
    return 0;
}

static int take_topic_and_sign(struct reading *reading, const cJSON *object)
{
    const char *topic;
    int error = json_member_string(object, "topic", &topic, NULL);
    if (error == 0)
        error = take_topic(reading, topic);
    return error == 0 ? take_sign(reading, object) : error;
}

static int read_record(struct reading *reading, const cJSON *value, struct bytes device)
{
    if (!cJSON_IsString(value))
        return SEALMQ_E_PARSE;
    if (reading->records == REQUEST_RECORDS_MAX)
        return SEALMQ_E_LIMIT;
    struct bytes text = bytes_str(value->valuestring);
    struct record record;
    int error = record_parse(text, &record);
    if (error == 0 && !bytes_equal(record.device, device))
        error = SEALMQ_E_PARSE;
    if (error == 0)
        error = take_sender(reading, record.gateway);
    if (error != 0)
        return error;
    struct hash leaf;
    hash_leaf(text, &leaf);
    merkle_edge_append(&reading->record_edge, &leaf);
    reading->records++;
    buf_append_str16(&reading->beside, text);
    return buf_status(&reading->beside);
}

/* code, count, msg, serviceId, eventtime: what people look at, and nothing signs. */
static int check_service_form(const cJSON *service, size_t data_count)
{
    uint64_t code, count;
    const char *msg, *id, *eventtime;
    int64_t time_us;
    int error = json_member_u64(service, "code", &code, NULL);
    if (error == 0)
        error = json_member_u64(service, "count", &count, NULL);
    if (error == 0)
        error = json_member_string(service, "msg", &msg, NULL);
    if (error == 0)
        error = json_member_string(service, "serviceId", &id, NULL);
    if (error == 0)
        error = json_member_string(service, "eventtime", &eventtime, NULL);
    if (error != 0)
        return error;
    if (code != 200 || (id[0] != '\0' && !item_name_is_valid(bytes_str(id))))
        return SEALMQ_E_PARSE;
    if (strlen(msg) > MSG_MAX_BYTES)
        return SEALMQ_E_LIMIT;
    if (count != data_count)
        return SEALMQ_E_COUNT;
    return eventtime_parse(bytes_str(eventtime), &time_us);
}

static int read_service(struct reading *reading, const cJSON *service, struct bytes device)
{
    const cJSON *data;
    int error = json_member_array(service, "data", &data, NULL);
    size_t count = 0;
    const cJSON *value;
    if (error == 0)
        cJSON_ArrayForEach(value, data)
        {
            error = read_record(reading, value, device);
            if (error != 0)
                return error;
            count++;
        }
    if (error == 0)
        error = check_service_form(service, count);
    return error == 0 ? take_topic_and_sign(reading, service) : error;
}

static int read_devices(struct reading *reading, const cJSON *root)
{
    const cJSON *devices, *device;
    int error = json_member_array(root, "devices", &devices, NULL);
    if (error != 0)
        return error;
    cJSON_ArrayForEach(device, devices)
    {
        const char *id;
        const cJSON *services, *service;
        error = json_member_string(device, "deviceId", &id, NULL);
        if (error == 0)
            error = json_member_array(device, "services", &services, NULL);
        if (error != 0)
            return error;
        cJSON_ArrayForEach(service, services)
        {
            error = read_service(reading, service, bytes_str(id));
            if (error != 0)
                return error;
        }
    }
    return 0;
}

/* "sender", "topic" and "sign" at the top: each may be left out where records tell. */
static int read_top(struct reading *reading, const cJSON *root)
{
    const cJSON *sender = cJSON_GetObjectItemCaseSensitive(root, "sender");
    const cJSON *topic = cJSON_GetObjectItemCaseSensitive(root, "topic");
    int error = 0;
    if (sender != NULL)
        error = cJSON_IsString(sender) ? take_sender(reading, bytes_str(sender->valuestring))
                                       : SEALMQ_E_PARSE;
    if (error == 0 && topic != NULL)
        error = cJSON_IsString(topic) ? take_topic(reading, topic->valuestring) : SEALMQ_E_PARSE;
    if (error == 0 && cJSON_GetObjectItemCaseSensitive(root, "sign") != NULL)
        error = take_sign(reading, root);
    if (error == 0 && (reading->sender.n == 0 || !reading->is_signed))
        error = SEALMQ_E_PARSE;
    return error;
}

/* A whole number, or from 2^53 on its digits as a string. */
static int read_u64(const cJSON *value, uint64_t *out)
{
    if (cJSON_IsString(value))
        return u64_parse(bytes_str(value->valuestring), out);
    if (!cJSON_IsNumber(value))
        return SEALMQ_E_PARSE;
    double d = value->valuedouble;
    if (!(d >= 0) || d >= (double)EXACT_MAX)
        return SEALMQ_E_PARSE;
    *out = (uint64_t)d;
    return (double)*out == d ? 0 : SEALMQ_E_PARSE;
}

/* [n, "a" or "d" or "p", node, hash] */
static int read_leaf(const cJSON *value, struct interval_leaf *out)
{
    if (!cJSON_IsArray(value))
        return SEALMQ_E_PARSE;
    const cJSON *n = value->child;
    const cJSON *status = n == NULL ? NULL : n->next;
    const cJSON *node = status == NULL ? NULL : status->next;
    const cJSON *hash = node == NULL ? NULL : node->next;
    if (hash == NULL || hash->next != NULL || !cJSON_IsString(status) || !cJSON_IsString(node) ||
        !cJSON_IsString(hash))
        return SEALMQ_E_PARSE;
    const char *letter = status->valuestring;
    if (strcmp(letter, "a") == 0)
        out->status = LEAF_ACKNOWLEDGED;
    else if (strcmp(letter, "d") == 0)
        out->status = LEAF_DROPPED;
    else if (strcmp(letter, "p") == 0)
        out->status = LEAF_PENDING;
    else
        return SEALMQ_E_TYPE;
    out->node = bytes_str(node->valuestring);
    int error = read_u64(n, &out->n);
    if (error != 0)
        return error;
    return base64_decode_exact(bytes_str(hash->valuestring), out->report.b, HASH_SIZE);
}

static int read_data_body(struct reading *reading, const cJSON *root, struct buf *head)
{
    const cJSON *interval, *leaves, *value;
    uint64_t from, to;
    struct hash root_hash;
    int error = json_member_object(root, "interval", &interval, NULL);
    if (error == 0)
        error = json_member_u64(interval, "from", &from, NULL);
    if (error == 0)
        error = json_member_u64(interval, "to", &to, NULL);
    if (error == 0)
        error = json_member_base64(interval, "root", root_hash.b, HASH_SIZE, NULL);
    if (error == 0)
        error = json_member_array(interval, "leaves", &leaves, NULL);
    if (error != 0)
        return error;
    uint32_t count = 0;
    cJSON_ArrayForEach(value, leaves)
    {
        struct interval_leaf leaf;
        error = count == REQUEST_LEAVES_MAX ? SEALMQ_E_LIMIT : read_leaf(value, &leaf);
        if (error != 0)
            return error;
        interval_leaf_encode(&leaf, &reading->beside);
        count++;
    }
    struct hash records_root;
    merkle_edge_root(&reading->record_edge, &records_root);
    buf_append_u32(head, reading->records);
    buf_append(head, records_root.b, HASH_SIZE);
    buf_append_u64(head, from);
    buf_append_u64(head, to);
    buf_append_u32(head, count);
    buf_append(head, root_hash.b, HASH_SIZE);
    return 0;
}

static int read_item(const cJSON *value, struct buf *head)
{
    uint64_t num;
    const char *device, *service, *name, *datatype, *unit;
    enum datatype type;
    int error = json_member_u64(value, "num", &num, NULL);
    if (error == 0)
        error = json_member_string(value, "deviceId", &device, NULL);
    if (error == 0)
        error = json_member_string(value, "serviceId", &service, NULL);
    if (error == 0)
        error = json_member_string(value, "name", &name, NULL);
    if (error == 0)
        error = json_member_string(value, "datatype", &datatype, NULL);
    if (error == 0)
        error = json_member_string(value, "unit", &unit, NULL);
    if (error == 0)
        error = datatype_parse(bytes_str(datatype), &type);
    if (error != 0)
        return error;
    if (num > UINT32_MAX)
        return SEALMQ_E_LIMIT;
    buf_append_u32(head, (uint32_t)num);
    buf_append_str8(head, bytes_str(device));
    buf_append_str8(head, bytes_str(service));
    buf_append_str8(head, bytes_str(name));
    buf_append_u8(head, (uint8_t)type);
    buf_append_str8(head, bytes_str(unit));
    return 0;
}

static int read_describe_body(const cJSON *items, struct buf *head)
{
    if (!cJSON_IsArray(items))
        return SEALMQ_E_PARSE;
    uint16_t count = 0;
    const cJSON *value;
    cJSON_ArrayForEach(value, items)
    {
        if (count++ == REQUEST_ITEMS_MAX)
            return SEALMQ_E_LIMIT;
    }
    buf_append_u16(head, count);
    cJSON_ArrayForEach(value, items)
    {
        int error = read_item(value, head);
        if (error != 0)
            return error;
    }
    return 0;
}

static int read_head(struct reading *reading, const cJSON *root, struct buf *head)
{
    const cJSON *items = cJSON_GetObjectItemCaseSensitive(root, "items");
    bool describes = items != NULL;
    uint64_t number;
    int error = json_member_u64(root, "request", &number, NULL);
    if (error == 0 && describes &&
        (reading->records != 0 || cJSON_GetObjectItemCaseSensitive(root, "interval") != NULL))
        error = SEALMQ_E_PARSE;
    if (error != 0)
        return error;
    buf_append_u8(head, REQUEST_VERSION);
    buf_append_u8(head, describes ? REQUEST_DESCRIBE : REQUEST_DATA);
    buf_append_str8(head, reading->sender);
    buf_append_u64(head, number);
    error = describes ? read_describe_body(items, head) : read_data_body(reading, root, head);
    return error == 0 ? buf_status(head) : error;
}

/* Appends the wire form and decodes it. */
static int put_together(const struct reading *reading, const struct buf *head, struct buf *wire)
{
    int error = buf_status(&reading->beside);
    if (error != 0)
        return error;
    size_t start = wire->n;
    buf_append_str32(wire, buf_bytes(head));
    buf_append_u8(wire, 1);
    buf_append_str8(wire, reading->sender);
    buf_append(wire, reading->signature.b, SIGNATURE_SIZE);
    buf_append_bytes(wire, buf_bytes(&reading->beside));
    error = buf_status(wire);
    struct request check;
    if (error == 0)
        error = request_decode(bytes_of(wire->p + start, wire->n - start), &check);
    if (error != 0)
        wire->n = start;
    return error;
}

int request_from_json(struct bytes json, struct buf *wire, char *reply_topic)
{
    if (reply_topic != NULL)
        reply_topic[0] = '\0';
    cJSON *root;
    int error = json_parse(json, &root, NULL);
    if (error != 0)
        return error;
    struct reading reading = {.beside = {.limit = REQUEST_BYTES_MAX}};
    struct buf head = {.limit = REQUEST_BYTES_MAX};
    error = read_devices(&reading, root);
    if (error == 0)
        error = read_top(&reading, root);
    if (error == 0)
        error = read_head(&reading, root, &head);
    if (error == 0)
        error = put_together(&reading, &head, wire);
    if (error == 0 && reply_topic != NULL && reading.topic != NULL)
        memcpy(reply_topic, reading.topic, strlen(reading.topic) + 1);
    buf_close(&head);
    buf_close(&reading.beside);
    cJSON_Delete(root);
    return error;
}
