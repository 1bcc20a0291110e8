#include "device/service_int.h"

/* The topic's buffer and the payload's for one more reply; NULL when the output is full. */
static struct device_message *reply_place(struct device_output *out)
{
    size_t most = sizeof out->replies / sizeof out->replies[0];
    return out->reply_count < most ? &out->replies[out->reply_count] : NULL;
}

static int reply_add(struct device_service *service, struct device_output *out)
{
    size_t i = out->reply_count;
    int error = buf_status(&service->topic[i]);
    if (error == 0)
        error = buf_status(&service->payload[i]);
    if (error != 0)
        return error;
    out->replies[i].topic = buf_bytes(&service->topic[i]);
    out->replies[i].payload = buf_bytes(&service->payload[i]);
    out->reply_count++;
    return 0;
}

int service_reply_plain(struct device_service *service, struct bytes id, const char *level,
                        struct bytes payload, struct device_output *out)
{
    if (reply_place(out) == NULL)
        return SEALMQ_E_LIMIT;
    struct buf *topic = &service->topic[out->reply_count];
    buf_reset(topic);
    buf_append_bytes(topic, id);
    buf_append_u8(topic, '/');
    buf_append_cstr(topic, level);
    buf_reset(&service->payload[out->reply_count]);
    buf_append_bytes(&service->payload[out->reply_count], payload);
    return reply_add(service, out);
}

int service_reply_sealed(struct device_service *service, struct session *session,
                         struct bytes topic, const struct reply *reply, struct device_output *out)
{
    if (reply_place(out) == NULL)
        return SEALMQ_E_LIMIT;
    struct buf *name = &service->topic[out->reply_count];
    struct buf *payload = &service->payload[out->reply_count];
    buf_reset(name);
    buf_append_bytes(name, topic);
    buf_reset(payload);
    struct buf plain = {0};
    int error = reply_encode(reply, &plain);
    if (error == 0) {
        const struct envelope_header header = {
            .flags = reply->kind == REPLY_RECEIPT ? ENVELOPE_ZSTD : 0,
            .key_id = session->keys.key_id,
            .counter = ++session->down,
        };
        error = envelope_seal(service->compressor, &header, &session->keys.down, topic,
                              buf_bytes(&plain), payload);
    }
    buf_close(&plain);
    return error != 0 ? error : reply_add(service, out);
}

static uint64_t topic_mark(struct bytes topic)
{
    struct hash hash;
    uint64_t mark;
    hash_sha256(topic, &hash);
    memcpy(&mark, hash.b, sizeof mark);
    return mark;
}

/* Whether this is the first accepted report on the topic under this key; it is not, from then on.
 */
static bool is_first_on(struct session *session, struct bytes topic)
{
    uint64_t mark = topic_mark(topic);
    for (size_t i = 0; i < session->topics_seen; i++) {
        if (session->topics[i] == mark)
            return false;
    }
    if (session->topics_seen == TOPICS_SEEN_MAX)
        return false;
    session->topics[session->topics_seen++] = mark;
    return true;
}

int service_reply_report(struct device_service *service, struct gateway_state *gateway,
                         struct bytes topic, uint64_t n, const struct hash *report, int error,
                         struct device_output *out)
{
    struct reply reply = {
        .kind = REPLY_ERROR,
        .n = n,
        .report = *report,
        .code = device_code_of(error),
    };
    reply.words = bytes_str(device_code_words(reply.code));
    if (error != 0 && error != SEALMQ_E_EXISTS && service->why[0] != '\0')
        reply.words = bytes_str(service->why);
    if (error == 0 || error == SEALMQ_E_EXISTS)
        reply.kind = is_first_on(gateway->current, topic) ? REPLY_DATAS : REPLY_SUCCESS;
    struct buf name = {0};
    buf_append_cstr(&name, gateway->id);
    buf_append_u8(&name, '/');
    buf_append_bytes(&name, topic);
    buf_append_u8(&name, '/');
    buf_append_cstr(&name, reply_topic_level(reply.kind));
    int failed = buf_status(&name);
    if (failed == 0)
        failed = service_reply_sealed(service, gateway->current, buf_bytes(&name), &reply, out);
    buf_close(&name);
    return failed;
}
