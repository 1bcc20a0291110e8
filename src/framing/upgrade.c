#include "framing/upgrade.h"

#include "base/text.h"
#include "crypto/hash.h"

#include <ctype.h>
#include <strings.h>

/* RFC 6455 section 1.3. */
#define ACCEPT_GUID "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
#define KEY_SIZE    16

/* The fields of a request that matter here. */
struct fields {
    unsigned hosts, keys, versions;
    bool has_upgrade, has_connection_upgrade, has_mqtt, has_body;
    bool is_version_13;
    struct bytes key;
};

static bool is_token_char(uint8_t c)
{
    return isalnum(c) || (c != '\0' && strchr("!#$%&'*+-.^_`|~", c) != NULL);
}

static bool equals_nocase(struct bytes a, const char *b)
{
    return a.n == strlen(b) && strncasecmp((const char *)a.p, b, a.n) == 0;
}

static struct bytes trim(struct bytes s)
{
    while (s.n > 0 && (s.p[0] == ' ' || s.p[0] == '\t'))
        s = bytes_of(s.p + 1, s.n - 1);
    while (s.n > 0 && (s.p[s.n - 1] == ' ' || s.p[s.n - 1] == '\t'))
        s.n--;
    return s;
}

/* Takes what stands before the first `end` from `rest`, and `end` too. False: there is none. */
static bool take_until(struct bytes *rest, uint8_t end, struct bytes *out)
{
    const uint8_t *at = rest->n > 0 ? memchr(rest->p, end, rest->n) : NULL;
    if (at == NULL)
        return false;
    *out = bytes_of(rest->p, (size_t)(at - rest->p));
    *rest = bytes_of(at + 1, rest->n - out->n - 1);
    return true;
}

/* Whether a list with commas has the word; names of subprotocols are exact, others are not. */
static bool list_has(struct bytes list, const char *word, bool is_exact)
{
    bool has = false;
    while (list.n > 0) {
        struct bytes one;
        if (!take_until(&list, ',', &one)) {
            one = list;
            list.n = 0;
        }
        one = trim(one);
        has = has || (is_exact ? bytes_equal(one, bytes_str(word)) : equals_nocase(one, word));
    }
    return has;
}

static void take_field(struct fields *fields, struct bytes name, struct bytes value)
{
    if (equals_nocase(name, "host")) {
        fields->hosts++;
    } else if (equals_nocase(name, "upgrade")) {
        fields->has_upgrade = fields->has_upgrade || list_has(value, "websocket", false);
    } else if (equals_nocase(name, "connection")) {
        fields->has_connection_upgrade =
            fields->has_connection_upgrade || list_has(value, "upgrade", false);
    } else if (equals_nocase(name, "sec-websocket-key")) {
        fields->keys++;
        fields->key = value;
    } else if (equals_nocase(name, "sec-websocket-version")) {
        fields->versions++;
        fields->is_version_13 = bytes_equal(value, bytes_str("13"));
    } else if (equals_nocase(name, "sec-websocket-protocol")) {
        fields->has_mqtt = fields->has_mqtt || list_has(value, "mqtt", true);
    } else if (equals_nocase(name, "transfer-encoding") ||
               (equals_nocase(name, "content-length") && !bytes_equal(value, bytes_str("0")))) {
        fields->has_body = true;
    }
}

/* One line without its end; false when it is malformed. */
static bool take_field_line(struct fields *fields, struct bytes line)
{
    struct bytes name;
    if (!take_until(&line, ':', &name) || name.n == 0)
        return false;
    for (size_t i = 0; i < name.n; i++) {
        if (!is_token_char(name.p[i]))
            return false;
    }
    for (size_t i = 0; i < line.n; i++) {
        if (line.p[i] != '\t' && (line.p[i] < ' ' || line.p[i] == 0x7f))
            return false;
    }
    take_field(fields, name, trim(line));
    return true;
}

static int outcome(struct upgrade *out, unsigned status, const char *words)
{
    out->status = status;
    out->words = words;
    return 0;
}

static void make_accept(struct bytes key, char out[UPGRADE_ACCEPT_SIZE])
{
    uint8_t digest[HASH_SHA1_SIZE];
    struct buf text = {0};
    buf_append_bytes(&text, key);
    buf_append_cstr(&text, ACCEPT_GUID);
    if (buf_status(&text) == 0) {
        hash_sha1(buf_bytes(&text), digest);
        buf_reset(&text);
        base64_append(&text, bytes_of(digest, sizeof(digest)));
    }
    if (buf_status(&text) != 0 || bytes_to_cstr(buf_bytes(&text), out, UPGRADE_ACCEPT_SIZE) != 0)
        out[0] = '\0';
    buf_close(&text);
}

static int judge_fields(const struct fields *fields, struct upgrade *out)
{
    uint8_t key[KEY_SIZE];
    if (fields->hosts != 1)
        return outcome(out, 400, "one Host field is needed");
    if (fields->has_body)
        return outcome(out, 400, "a request with a body");
    if (!fields->has_upgrade || !fields->has_connection_upgrade)
        return outcome(out, 426, "only WebSocket is served here");
    if (fields->versions != 1 || !fields->is_version_13)
        return outcome(out, 426, "only version 13 of WebSocket is served here");
    if (fields->keys != 1 || base64_decode_exact(fields->key, key, sizeof(key)) != 0)
        return outcome(out, 400, "Sec-WebSocket-Key is missing or wrong");
    if (!fields->has_mqtt)
        return outcome(out, 400, "the subprotocol mqtt is needed");
    make_accept(fields->key, out->accept);
    if (out->accept[0] == '\0')
        return outcome(out, 503, "out of memory");
    return outcome(out, 101, "");
}

/* "GET /mqtt HTTP/1.1"; out->status stays 0 when it is that. */
static int judge_request_line(struct bytes line, const char *path, struct upgrade *out)
{
    struct bytes method, target, resource;
    if (!take_until(&line, ' ', &method) || !take_until(&line, ' ', &target) || target.n == 0)
        return outcome(out, 400, "a malformed request line");
    for (size_t i = 0; i < target.n; i++) {
        if (target.p[i] <= ' ' || target.p[i] >= 0x7f)
            return outcome(out, 400, "a malformed request line");
    }
    if (!bytes_equal(line, bytes_str("HTTP/1.1")))
        return outcome(out, 505, "only HTTP/1.1 is served here");
    if (!bytes_equal(method, bytes_str("GET")))
        return outcome(out, 405, "only GET is served here");
    if (!take_until(&target, '?', &resource))
        resource = target;
    if (path != NULL && !bytes_equal(resource, bytes_str(path)))
        return outcome(out, 404, "nothing is served under this path");
    return 0;
}

/* A line that ends with CR LF. E_AGAIN: not whole; E_PARSE: a bare CR or LF. */
static int take_line(struct bytes *rest, struct bytes *line)
{
    if (!take_until(rest, '\n', line))
        return SEALMQ_E_AGAIN;
    if (line->n == 0 || line->p[line->n - 1] != '\r')
        return SEALMQ_E_PARSE;
    line->n--;
    return line->n > 0 && memchr(line->p, '\r', line->n) != NULL ? SEALMQ_E_PARSE : 0;
}

int upgrade_examine(struct bytes in, const char *path, struct upgrade *out, size_t *consumed)
{
    struct bytes rest = in, line;
    struct fields fields = {0};
    *out = (struct upgrade){0};
    *consumed = 0;
    if (in.n > 0 && !isupper(in.p[0])) /* MQTT without WebSocket, or TLS: say so at once */
        return outcome(out, 400, "this is not HTTP");
    if (rest.n > UPGRADE_HEAD_MAX)
        rest.n = UPGRADE_HEAD_MAX;
    int e = take_line(&rest, &line);
    if (e == 0)
        e = judge_request_line(line, path, out);
    if (out->status != 0)
        return e;
    for (unsigned count = 0; e == 0; count++) {
        e = take_line(&rest, &line);
        if (e == 0 && line.n == 0) {
            e = judge_fields(&fields, out);
            *consumed = out->status == 101 ? (size_t)(rest.p - in.p) : 0;
            return e;
        }
        if (e == 0 && count == UPGRADE_FIELDS_MAX)
            return outcome(out, 431, "too many fields");
        if (e == 0 && !take_field_line(&fields, line))
            e = SEALMQ_E_PARSE;
    }
    if (e == SEALMQ_E_PARSE)
        return outcome(out, 400, "a malformed request");
    return in.n >= UPGRADE_HEAD_MAX ? outcome(out, 431, "the request is too large")
                                    : SEALMQ_E_AGAIN;
}

static const char *reason_phrase(unsigned status)
{
    switch (status) {
    case 400:
        return "Bad Request";
    case 404:
        return "Not Found";
    case 405:
        return "Method Not Allowed";
    case 426:
        return "Upgrade Required";
    case 431:
        return "Request Header Fields Too Large";
    case 505:
        return "HTTP Version Not Supported";
    default:
        return "Service Unavailable";
    }
}

void upgrade_append_answer(const struct upgrade *upgrade, struct buf *out)
{
    if (upgrade->status == 101) {
        buf_printf(out,
                   "HTTP/1.1 101 Switching Protocols\r\n"
                   "Upgrade: websocket\r\n"
                   "Connection: Upgrade\r\n"
                   "Sec-WebSocket-Accept: %s\r\n"
                   "Sec-WebSocket-Protocol: mqtt\r\n\r\n",
                   upgrade->accept);
        return;
    }
    buf_printf(out, "HTTP/1.1 %u %s\r\n", upgrade->status, reason_phrase(upgrade->status));
    if (upgrade->status == 405)
        buf_append_cstr(out, "Allow: GET\r\n");
    if (upgrade->status == 426)
        buf_append_cstr(out, "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n");
    buf_printf(out,
               "Connection: %sclose\r\n"
               "Content-Type: text/plain; charset=utf-8\r\n"
               "Content-Length: %zu\r\n\r\n%s\n",
               upgrade->status == 426 ? "upgrade, " : "", strlen(upgrade->words) + 1,
               upgrade->words);
}
