#include "device/reply.h"

#define REPLY_VERSION 1

const char *device_code_words(uint16_t code)
{
    switch (code) {
#define X(name, number, final, words)                                                              \
    case number:                                                                                   \
        return words;
        DEVICE_CODES(X)
#undef X
    default:
        return "unknown code";
    }
}

const char *device_code_name(uint16_t code)
{
    switch (code) {
#define X(name, number, final, words)                                                              \
    case number:                                                                                   \
        return #name;
        DEVICE_CODES(X)
#undef X
    default:
        return "?";
    }
}

bool device_code_is_final(uint16_t code)
{
    switch (code) {
#define X(name, number, final, words)                                                              \
    case number:                                                                                   \
        return final;
        DEVICE_CODES(X)
#undef X
    default:
        return false;
    }
}

uint16_t device_code_of(int error)
{
    switch (error) {
    case 0:
        return DEVICE_CODE_OK;
    case SEALMQ_E_EXISTS:
        return DEVICE_CODE_STORED_BEFORE;
    case SEALMQ_E_PARSE:
    case SEALMQ_E_SHORT:
    case SEALMQ_E_PROTOCOL:
    case SEALMQ_E_ARG:
    case SEALMQ_E_HASH:     /* a request's root is not that of what it lists */
    case SEALMQ_E_NOTFOUND: /* a record of an item that the chain does not know */
        return DEVICE_CODE_MALFORMED;
    case SEALMQ_E_SIGNATURE:
        return DEVICE_CODE_SIGNATURE;
    case SEALMQ_E_COUNT:
        return DEVICE_CODE_COUNT;
    case SEALMQ_E_TYPE:
        return DEVICE_CODE_TYPE;
    case SEALMQ_E_LIMIT:
        return DEVICE_CODE_LIMIT;
    case SEALMQ_E_CONFLICT:
        return DEVICE_CODE_CONFLICT;
    case SEALMQ_E_UNKNOWN:
        return DEVICE_CODE_UNKNOWN;
    case SEALMQ_E_REVOKED:
        return DEVICE_CODE_REVOKED;
    case SEALMQ_E_REPLAY:
        return DEVICE_CODE_REPLAY;
    case SEALMQ_E_UNSUPPORTED:
    case SEALMQ_E_VERSION:
        return DEVICE_CODE_UNSUPPORTED;
    case SEALMQ_E_DENIED:
    case SEALMQ_E_NETWORK:
        return DEVICE_CODE_DENIED;
    case SEALMQ_E_STALE:
        return DEVICE_CODE_STALE;
    case SEALMQ_E_CRYPTO:
    case SEALMQ_E_EXPIRED:
        return DEVICE_CODE_KEY;
    case SEALMQ_E_IO:
    case SEALMQ_E_FULL:
    case SEALMQ_E_CORRUPT:
        return DEVICE_CODE_STORAGE;
    case SEALMQ_E_NOMEM:
    case SEALMQ_E_BUSY:
    case SEALMQ_E_AGAIN:
    case SEALMQ_E_CLOSED:
    case SEALMQ_E_TIMEOUT:
        return DEVICE_CODE_BUSY;
    default: /* not the message's fault, or not known to be: a final answer would lose a report */
        return DEVICE_CODE_BUSY;
    }
}

const char *reply_topic_level(enum reply_kind kind)
{
    switch (kind) {
    case REPLY_DATAS:
        return "datas";
    case REPLY_SUCCESS:
        return "success";
    default:
        return "error";
    }
}

static bool is_of_report(enum reply_kind kind)
{
    return kind == REPLY_DATAS || kind == REPLY_SUCCESS || kind == REPLY_ERROR;
}

int reply_encode(const struct reply *reply, struct buf *out)
{
    buf_append_u8(out, REPLY_VERSION);
    buf_append_u8(out, (uint8_t)reply->kind);
    buf_append_u64(out, reply->n);
    if (is_of_report(reply->kind))
        buf_append_bytes(out, hash_bytes(&reply->report));
    buf_append_u16(out, reply->code);
    buf_append_str16(out, reply->words);
    if (reply->kind == REPLY_RECEIPT)
        buf_append_bytes(out, reply->proof);
    return buf_status(out);
}

int reply_decode(struct bytes plain, struct reply *out)
{
    struct reader r = reader_of(plain);
    *out = (struct reply){0};
    if (reader_u8(&r) != REPLY_VERSION)
        reader_fail(&r, SEALMQ_E_VERSION);
    uint8_t kind = reader_u8(&r);
    if (kind < REPLY_DATAS || kind > REPLY_REQUEST_REFUSED)
        reader_fail(&r, SEALMQ_E_PARSE);
    out->kind = (enum reply_kind)kind;
    out->n = reader_u64(&r);
    if (is_of_report(out->kind))
        reader_copy(&r, out->report.b, HASH_SIZE);
    out->code = reader_u16(&r);
    out->words = reader_str16(&r);
    if (out->kind == REPLY_RECEIPT)
        out->proof = reader_bytes(&r, r.n);
    return reader_end(&r);
}

int hint_format(uint16_t code, struct buf *out)
{
    buf_printf(out, "{\"code\":\"%s\",\"words\":\"%s\"}", device_code_name(code),
               device_code_words(code));
    return buf_status(out);
}
