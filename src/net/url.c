/* Addresses of MQTT servers as people write them. */
#include "base/text.h"
#include "net/link.h"

#include <strings.h>

#define MQTT_PORT_DEFAULT 1883

static bool scheme_is(struct bytes scheme, const char *name)
{
    return scheme.n == strlen(name) && strncasecmp((const char *)scheme.p, name, scheme.n) == 0;
}

static bool host_char_is_valid(uint8_t c, bool in_brackets)
{
    if ((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F') || c == '.')
        return true;
    if (in_brackets)
        return c == ':';
    return (c >= 'g' && c <= 'z') || (c >= 'G' && c <= 'Z') || c == '-' || c == '_';
}

int net_url_parse(struct bytes url, char *host, size_t host_size, uint16_t *port)
{
    const uint8_t *separator = url.n > 0 ? memmem(url.p, url.n, "://", 3) : NULL;
    if (separator == NULL)
        return SEALMQ_E_PARSE;
    struct bytes scheme = bytes_of(url.p, (size_t)(separator - url.p));
    struct bytes rest = bytes_of(separator + 3, url.n - scheme.n - 3);
    if (scheme_is(scheme, "mqtts") || scheme_is(scheme, "ws") || scheme_is(scheme, "wss"))
        return SEALMQ_E_UNSUPPORTED;
    if (!scheme_is(scheme, "mqtt"))
        return SEALMQ_E_PARSE;

    bool in_brackets = rest.n > 0 && rest.p[0] == '[';
    if (in_brackets)
        rest = bytes_of(rest.p + 1, rest.n - 1);
    size_t n = 0;
    while (n < rest.n && host_char_is_valid(rest.p[n], in_brackets))
        n++;
    struct bytes name = bytes_of(rest.p, n);
    if (name.n == 0)
        return SEALMQ_E_PARSE;
    rest = bytes_of(rest.p + n, rest.n - n);
    if (in_brackets) {
        if (rest.n == 0 || rest.p[0] != ']')
            return SEALMQ_E_PARSE;
        rest = bytes_of(rest.p + 1, rest.n - 1);
    }

    uint64_t number = MQTT_PORT_DEFAULT;
    if (rest.n > 0) {
        if (rest.p[0] != ':' || u64_parse(bytes_of(rest.p + 1, rest.n - 1), &number) != 0 ||
            number == 0 || number > UINT16_MAX)
            return SEALMQ_E_PARSE;
    }
    int e = bytes_to_cstr(name, host, host_size);
    if (e != 0)
        return e;
    *port = (uint16_t)number;
    return 0;
}
