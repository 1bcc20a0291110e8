/* The header of the PROXY protocol, version 2: what a load balancer says before the first byte of a
 * client about where that client is (haproxy.org, "The PROXY protocol", section 2.2). Version 1,
 * the one in text, is refused. */
#ifndef SEALMQ_FRAMING_PROXY_HEADER_H
#define SEALMQ_FRAMING_PROXY_HEADER_H

#include "base/bytes.h"

/* The largest header taken: addresses, and more options than a load balancer sends. */
#define PROXY_HEADER_MAX 4096

enum proxy_source {
    PROXY_SOURCE_SELF, /* the connection's own address holds: a health check, or not known */
    PROXY_SOURCE_IPV4,
    PROXY_SOURCE_IPV6,
    PROXY_SOURCE_UNIX
};

struct proxy_header {
    enum proxy_source source;
    uint8_t address[16];      /* IPv4: the first four */
    uint16_t port;            /* of the client */
    struct bytes path;        /* of the client's Unix socket, often empty; in the input */
    bool is_encrypted;        /* the client speaks TLS with the proxy */
    bool has_certificate;     /* and has shown a certificate that the proxy has verified */
    struct bytes common_name; /* of that; in the input; empty when it is not told */
};

/* Reads the header that `in` begins with; its size is given in *consumed. SEALMQ_E_AGAIN: it is not
 * whole yet, and so far right. SEALMQ_E_PROTOCOL: this is no such header; SEALMQ_E_VERSION: version
 * 1, or one after 2; SEALMQ_E_LIMIT: larger than PROXY_HEADER_MAX; SEALMQ_E_PARSE: malformed. */
SEALMQ_MUST_CHECK int proxy_header_parse(struct bytes in, struct proxy_header *out,
                                         size_t *consumed);

#endif
