#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/link.h"

static int parse(const char *url, char *host, size_t host_size, uint16_t *port)
{
    return net_url_parse(bytes_str(url), host, host_size, port);
}

static void assert_parses(const char *url, const char *host, uint16_t port)
{
    char got[64];
    uint16_t got_port = 0;
    assert_int_equal(parse(url, got, sizeof(got), &got_port), 0);
    assert_string_equal(got, host);
    assert_int_equal(got_port, port);
}

static void assert_fails(const char *url, int error)
{
    char host[64];
    uint16_t port = 7;
    assert_int_equal(parse(url, host, sizeof(host), &port), error);
    assert_int_equal(port, 7);
}

static void host_and_port_are_split(void **state)
{
    (void)state;
    assert_parses("mqtt://127.0.0.1:2883", "127.0.0.1", 2883);
    assert_parses("mqtt://broker-1.example_x.org:1", "broker-1.example_x.org", 1);
    assert_parses("MQTT://Host:65535", "Host", 65535);
}

static void port_is_1883_when_left_out(void **state)
{
    (void)state;
    assert_parses("mqtt://localhost", "localhost", 1883);
    assert_parses("mqtt://[::1]", "::1", 1883);
}

static void ipv6_address_stands_in_brackets(void **state)
{
    (void)state;
    assert_parses("mqtt://[fe80::1]:99", "fe80::1", 99);
    assert_fails("mqtt://fe80::1", SEALMQ_E_PARSE);
    assert_fails("mqtt://[::1", SEALMQ_E_PARSE);
    assert_fails("mqtt://[]:1", SEALMQ_E_PARSE);
    assert_fails("mqtt://[::g]:1", SEALMQ_E_PARSE);
    assert_fails("mqtt://[::1]1", SEALMQ_E_PARSE);
}

static void transports_not_built_yet_are_told_from_nonsense(void **state)
{
    (void)state;
    assert_fails("mqtts://a:1", SEALMQ_E_UNSUPPORTED);
    assert_fails("ws://a:1", SEALMQ_E_UNSUPPORTED);
    assert_fails("wss://a:1", SEALMQ_E_UNSUPPORTED);
    assert_fails("http://a:1", SEALMQ_E_PARSE);
}

static void nonsense_is_refused(void **state)
{
    (void)state;
    static const char *const urls[] = {"",
                                       "mqtt",
                                       "mqtt:",
                                       "mqtt:/",
                                       "mqtt://",
                                       "mqtt://:1",
                                       "a:1",
                                       "://a:1",
                                       "mqtt://a:",
                                       "mqtt://a:0",
                                       "mqtt://a:x",
                                       "mqtt://a:65536",
                                       "mqtt://a:-1",
                                       "mqtt://a:+1",
                                       "mqtt://a:01",
                                       "mqtt://a b",
                                       "mqtt://a:1/",
                                       "mqtt://u@a:1",
                                       "mqtt://a:1:2",
                                       "mqtt://a\n:1",
                                       "mqtt://\xff",
                                       "mqtt://a:99999999999999999999",
                                       " mqtt://a",
                                       "mqtt ://a"};
    for (size_t i = 0; i < sizeof(urls) / sizeof(urls[0]); i++)
        assert_fails(urls[i], SEALMQ_E_PARSE);
    /* A zero byte ends nothing. */
    char host[64];
    uint16_t port;
    assert_int_equal(net_url_parse(BYTES_LIT("mqtt://a\0b:1"), host, sizeof(host), &port),
                     SEALMQ_E_PARSE);
    assert_int_equal(net_url_parse((struct bytes){0}, host, sizeof(host), &port), SEALMQ_E_PARSE);
}

static void host_that_does_not_fit_is_refused(void **state)
{
    (void)state;
    char host[5];
    uint16_t port = 0;
    assert_int_equal(parse("mqtt://abcd:1", host, sizeof(host), &port), 0);
    assert_int_equal(parse("mqtt://abcde:1", host, sizeof(host), &port), SEALMQ_E_LIMIT);
    assert_string_equal(host, "");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(host_and_port_are_split),
        cmocka_unit_test(port_is_1883_when_left_out),
        cmocka_unit_test(ipv6_address_stands_in_brackets),
        cmocka_unit_test(transports_not_built_yet_are_told_from_nonsense),
        cmocka_unit_test(nonsense_is_refused),
        cmocka_unit_test(host_that_does_not_fit_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
