#include "framing/proxy_header.h"

#define SIGNATURE_SIZE 12
#define FIXED_SIZE     16 /* signature, version and command, family, length */

#define COMMAND_LOCAL 0
#define COMMAND_PROXY 1

#define FAMILY_UNSPECIFIED 0
#define FAMILY_INET        1
#define FAMILY_INET6       2
#define FAMILY_UNIX        3
#define TRANSPORT_ANY      0
#define TRANSPORT_STREAM   1

#define UNIX_PATH_SIZE 108

#define OPTION_SSL           0x20
#define OPTION_SSL_CN        0x22
#define SSL_CLIENT_ENCRYPTED 0x01
#define SSL_CLIENT_CERT_CONN 0x02 /* a certificate on this connection */
#define SSL_CLIENT_CERT_SESS 0x04 /* or on the session that it resumes */

static const uint8_t signature[SIGNATURE_SIZE] = {0x0d, 0x0a, 0x0d, 0x0a, 0x00, 0x0d,
                                                  0x0a, 0x51, 0x55, 0x49, 0x54, 0x0a};

/* What is not a header of version 2 shall be known by its first bytes, not by the time it takes. */
static int check_signature(struct bytes in)
{
    static const char version_1[] = "PROXY ";
    size_t n = in.n < SIGNATURE_SIZE ? in.n : SIGNATURE_SIZE;
    if (n == 0 || memcmp(in.p, signature, n) == 0)
        return 0;
    return bytes_starts_with(in, bytes_str(version_1)) ? SEALMQ_E_VERSION : SEALMQ_E_PROTOCOL;
}

/* Options inside of the one about TLS. */
static void read_ssl(struct bytes value, struct proxy_header *out, int *failed)
{
    struct reader r = reader_of(value);
    uint8_t client = reader_u8(&r);
    uint32_t verify = reader_u32(&r);
    struct bytes common_name = {0};
    while (reader_status(&r) == 0 && r.n > 0) {
        uint8_t type = reader_u8(&r);
        struct bytes part = reader_str16(&r);
        if (type == OPTION_SSL_CN)
            common_name = part;
    }
    *failed = reader_status(&r);
    if (*failed != 0)
        return;
    out->is_encrypted = (client & SSL_CLIENT_ENCRYPTED) != 0;
    out->has_certificate = out->is_encrypted && verify == 0 &&
                           (client & (SSL_CLIENT_CERT_CONN | SSL_CLIENT_CERT_SESS)) != 0;
    if (out->has_certificate)
        out->common_name = common_name;
}

static int read_options(struct reader *r, struct proxy_header *out)
{
    bool has_ssl = false;
    while (reader_status(r) == 0 && r->n > 0) {
        int failed = 0;
        uint8_t type = reader_u8(r);
        struct bytes value = reader_str16(r);
        if (reader_status(r) != 0)
            break;
        if (type != OPTION_SSL)
            continue;
        if (has_ssl) /* which of the two would be the client's? */
            return SEALMQ_E_PARSE;
        has_ssl = true;
        read_ssl(value, out, &failed);
        if (failed != 0)
            return SEALMQ_E_PARSE;
    }
    return reader_status(r) != 0 ? SEALMQ_E_PARSE : 0;
}

/* Source address and port; the destination's are passed over. */
static int read_addresses(struct reader *r, uint8_t family, struct proxy_header *out)
{
    switch (family) {
    case FAMILY_INET:
        out->source = PROXY_SOURCE_IPV4;
        reader_copy(r, out->address, 4);
        (void)reader_bytes(r, 4);
        break;
    case FAMILY_INET6:
        out->source = PROXY_SOURCE_IPV6;
        reader_copy(r, out->address, 16);
        (void)reader_bytes(r, 16);
        break;
    case FAMILY_UNIX:
        out->source = PROXY_SOURCE_UNIX;
        out->path = reader_bytes(r, UNIX_PATH_SIZE);
        (void)reader_bytes(r, UNIX_PATH_SIZE);
        if (reader_status(r) != 0)
            return SEALMQ_E_PARSE;
        out->path.n = strnlen((const char *)out->path.p, out->path.n);
        return 0;
    default:
        return SEALMQ_E_PARSE;
    }
    out->port = reader_u16(r);
    (void)reader_u16(r);
    return reader_status(r) != 0 ? SEALMQ_E_PARSE : 0;
}

static int read_body(struct bytes body, uint8_t command, uint8_t family, struct proxy_header *out)
{
    struct reader r = reader_of(body);
    if (command == COMMAND_LOCAL) /* whatever else is there is to be ignored */
        return 0;
    if (command != COMMAND_PROXY)
        return SEALMQ_E_PARSE;
    if (family == (FAMILY_UNSPECIFIED << 4 | TRANSPORT_ANY))
        return 0;
    if ((family & 0x0f) != TRANSPORT_STREAM)
        return SEALMQ_E_PARSE;
    int e = read_addresses(&r, family >> 4, out);
    return e != 0 ? e : read_options(&r, out);
}

int proxy_header_parse(struct bytes in, struct proxy_header *out, size_t *consumed)
{
    *out = (struct proxy_header){0};
    *consumed = 0;
    int e = check_signature(in);
    if (e != 0)
        return e;
    if (in.n > SIGNATURE_SIZE && in.p[SIGNATURE_SIZE] >> 4 != 2)
        return SEALMQ_E_VERSION;
    if (in.n < FIXED_SIZE)
        return SEALMQ_E_AGAIN;
    struct reader r = reader_of(bytes_of(in.p + SIGNATURE_SIZE, in.n - SIGNATURE_SIZE));
    uint8_t command = reader_u8(&r) & 0x0f;
    uint8_t family = reader_u8(&r);
    size_t size = reader_u16(&r);
    if (FIXED_SIZE + size > PROXY_HEADER_MAX)
        return SEALMQ_E_LIMIT;
    if (r.n < size)
        return SEALMQ_E_AGAIN;
    e = read_body(reader_bytes(&r, size), command, family, out);
    if (e != 0) {
        *out = (struct proxy_header){0};
        return e;
    }
    *consumed = FIXED_SIZE + size;
    return 0;
}
