#include "framing/proxy_header.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#define SIGNATURE "\r\n\r\n\0\r\nQUIT\n"

static struct bytes header_of(struct buf *b, uint8_t command, uint8_t family, const void *body,
                              size_t n)
{
    buf_reset(b);
    buf_append(b, SIGNATURE, 12);
    buf_append_u8(b, command);
    buf_append_u8(b, family);
    buf_append_u16(b, (uint16_t)n);
    buf_append(b, body, n);
    return buf_bytes(b);
}

static const uint8_t ipv4[12] = {192, 0, 2, 7, 198, 51, 100, 1, 0x30, 0x39, 0x07, 0x5b};

static int parse(struct bytes in, struct proxy_header *out, size_t *consumed)
{
    struct proxy_header other;
    size_t size;
    int e = proxy_header_parse(in, out, consumed);
    /* What is whole and right is also found at every cut, and nothing else. */
    for (size_t n = 0; e == 0 && n < *consumed; n++)
        assert_int_equal(proxy_header_parse(bytes_of(in.p, n), &other, &size), SEALMQ_E_AGAIN);
    return e;
}

static void the_source_of_ipv4_is_found(void **state)
{
    (void)state;
    struct buf b = {0};
    struct proxy_header h;
    size_t n;
    (void)header_of(&b, 0x21, 0x11, ipv4, sizeof(ipv4));
    buf_append_cstr(&b, "what the client says");
    assert_int_equal(parse(buf_bytes(&b), &h, &n), 0);
    assert_int_equal(n, 28);
    assert_int_equal(h.source, PROXY_SOURCE_IPV4);
    assert_memory_equal(h.address, ipv4, 4);
    assert_int_equal(h.port, 12345);
    assert_false(h.is_encrypted);
    assert_false(h.has_certificate);
    buf_close(&b);
}

static void the_source_of_ipv6_is_found(void **state)
{
    (void)state;
    uint8_t body[36] = {0x20, 0x01, 0x0d, 0xb8, [15] = 9, [31] = 1, [32] = 1, [33] = 2};
    struct buf b = {0};
    struct proxy_header h;
    size_t n;
    assert_int_equal(parse(header_of(&b, 0x21, 0x21, body, sizeof(body)), &h, &n), 0);
    assert_int_equal(h.source, PROXY_SOURCE_IPV6);
    assert_memory_equal(h.address, body, 16);
    assert_int_equal(h.port, 0x0102);
    buf_close(&b);
}

static void the_source_of_a_unix_socket_is_found(void **state)
{
    (void)state;
    uint8_t body[216] = "/run/a.sock";
    struct buf b = {0};
    struct proxy_header h;
    size_t n;
    assert_int_equal(parse(header_of(&b, 0x21, 0x31, body, sizeof(body)), &h, &n), 0);
    assert_int_equal(h.source, PROXY_SOURCE_UNIX);
    assert_true(bytes_equal(h.path, bytes_str("/run/a.sock")));
    memset(body, 'x', sizeof(body)); /* all of it, without a final zero */
    assert_int_equal(parse(header_of(&b, 0x21, 0x31, body, sizeof(body)), &h, &n), 0);
    assert_int_equal(h.path.n, 108);
    buf_close(&b);
}

static void local_and_unknown_sources_are_the_connection_itself(void **state)
{
    (void)state;
    static const uint8_t commands[][2] = {{0x20, 0x00}, {0x20, 0x11}, {0x21, 0x00}};
    struct buf b = {0};
    struct proxy_header h;
    size_t n;
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(parse(header_of(&b, commands[i][0], commands[i][1], "ignored", 7), &h, &n),
                         0);
        assert_int_equal(h.source, PROXY_SOURCE_SELF);
        assert_int_equal(n, 23);
    }
    buf_close(&b);
}

static struct bytes with_ssl(struct buf *b, uint8_t client, uint32_t verify, const char *cn)
{
    struct buf body = {0};
    buf_append(&body, ipv4, sizeof(ipv4));
    buf_append_u8(&body, 0x01); /* ALPN, passed over */
    buf_append_str16(&body, bytes_str("mqtt"));
    buf_append_u8(&body, 0x20);
    buf_append_u16(&body, (uint16_t)(5 + 3 + 7 + (cn != NULL ? 3 + strlen(cn) : 0)));
    buf_append_u8(&body, client);
    buf_append_u32(&body, verify);
    buf_append_u8(&body, 0x21);
    buf_append_str16(&body, bytes_str("TLSv1.3"));
    if (cn != NULL) {
        buf_append_u8(&body, 0x22);
        buf_append_str16(&body, bytes_str(cn));
    }
    struct bytes header = header_of(b, 0x21, 0x11, body.p, body.n);
    buf_close(&body);
    return header;
}

static void a_certificate_counts_only_when_the_proxy_has_verified_it(void **state)
{
    (void)state;
    struct buf b = {0};
    struct proxy_header h;
    size_t n;
    assert_int_equal(parse(with_ssl(&b, 0x03, 0, "pump-7"), &h, &n), 0);
    assert_true(h.is_encrypted && h.has_certificate);
    assert_true(bytes_equal(h.common_name, bytes_str("pump-7")));
    assert_int_equal(parse(with_ssl(&b, 0x05, 0, "pump-7"), &h, &n), 0);
    assert_true(h.has_certificate);
    assert_int_equal(parse(with_ssl(&b, 0x03, 0, NULL), &h, &n), 0);
    assert_true(h.has_certificate && h.common_name.n == 0);
    assert_int_equal(parse(with_ssl(&b, 0x03, 1, "pump-7"), &h, &n), 0); /* not verified */
    assert_true(h.is_encrypted && !h.has_certificate && h.common_name.n == 0);
    assert_int_equal(parse(with_ssl(&b, 0x01, 0, "pump-7"), &h, &n), 0); /* none shown */
    assert_true(!h.has_certificate && h.common_name.n == 0);
    assert_int_equal(parse(with_ssl(&b, 0x02, 0, "pump-7"), &h, &n), 0); /* without TLS */
    assert_true(!h.has_certificate && h.common_name.n == 0);
    buf_close(&b);
}

static void malformed_headers_are_refused(void **state)
{
    (void)state;
    struct buf b = {0};
    struct proxy_header h;
    size_t n;
    uint8_t body[300] = {0};
    assert_int_equal(parse(header_of(&b, 0x22, 0x11, ipv4, 12), &h, &n), SEALMQ_E_PARSE);
    assert_int_equal(parse(header_of(&b, 0x21, 0x12, ipv4, 12), &h, &n), SEALMQ_E_PARSE); /* UDP */
    assert_int_equal(parse(header_of(&b, 0x21, 0x41, ipv4, 12), &h, &n), SEALMQ_E_PARSE);
    assert_int_equal(parse(header_of(&b, 0x21, 0x11, ipv4, 11), &h, &n), SEALMQ_E_PARSE);
    assert_int_equal(parse(header_of(&b, 0x21, 0x21, body, 35), &h, &n), SEALMQ_E_PARSE);
    assert_int_equal(parse(header_of(&b, 0x21, 0x31, body, 215), &h, &n), SEALMQ_E_PARSE);
    /* Options that end too early, outside and inside of the one about TLS; and two of those. */
    memcpy(body, ipv4, 12);
    body[12] = 4;
    body[14] = 5;
    assert_int_equal(parse(header_of(&b, 0x21, 0x11, body, 19), &h, &n), SEALMQ_E_PARSE);
    assert_int_equal(parse(header_of(&b, 0x21, 0x11, body, 14), &h, &n), SEALMQ_E_PARSE);
    body[12] = 0x20;
    body[14] = 4;
    assert_int_equal(parse(header_of(&b, 0x21, 0x11, body, 19), &h, &n), SEALMQ_E_PARSE);
    body[14] = 5;
    body[20] = 0x20;
    body[22] = 5;
    assert_int_equal(parse(header_of(&b, 0x21, 0x11, body, 20), &h, &n), 0);
    assert_int_equal(parse(header_of(&b, 0x21, 0x11, body, 28), &h, &n), SEALMQ_E_PARSE);
    buf_close(&b);
}

static void what_is_no_header_is_known_by_its_first_bytes(void **state)
{
    (void)state;
    struct proxy_header h;
    size_t n;
    assert_int_equal(parse(bytes_str("\x10\x0c"), &h, &n), SEALMQ_E_PROTOCOL);
    assert_int_equal(parse(bytes_str("\r\n\r\nX"), &h, &n), SEALMQ_E_PROTOCOL);
    assert_int_equal(parse(bytes_str("PROXY TCP4 192.0.2.7 "), &h, &n), SEALMQ_E_VERSION);
    assert_int_equal(parse(bytes_of(SIGNATURE "\x31", 13), &h, &n), SEALMQ_E_VERSION);
    assert_int_equal(parse(bytes_of(SIGNATURE "\x11", 13), &h, &n), SEALMQ_E_VERSION);
}

static void a_header_may_be_as_large_as_the_limit(void **state)
{
    (void)state;
    struct buf b = {0};
    struct proxy_header h;
    size_t n;
    static uint8_t body[PROXY_HEADER_MAX];
    assert_int_equal(
        proxy_header_parse(header_of(&b, 0x20, 0, body, PROXY_HEADER_MAX - 16), &h, &n), 0);
    assert_int_equal(
        proxy_header_parse(header_of(&b, 0x20, 0, body, PROXY_HEADER_MAX - 15), &h, &n),
        SEALMQ_E_LIMIT);
    /* Known before it has come. */
    assert_int_equal(proxy_header_parse(bytes_of(b.p, 16), &h, &n), SEALMQ_E_LIMIT);
    buf_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_source_of_ipv4_is_found),
        cmocka_unit_test(the_source_of_ipv6_is_found),
        cmocka_unit_test(the_source_of_a_unix_socket_is_found),
        cmocka_unit_test(local_and_unknown_sources_are_the_connection_itself),
        cmocka_unit_test(a_certificate_counts_only_when_the_proxy_has_verified_it),
        cmocka_unit_test(malformed_headers_are_refused),
        cmocka_unit_test(what_is_no_header_is_known_by_its_first_bytes),
        cmocka_unit_test(a_header_may_be_as_large_as_the_limit),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
