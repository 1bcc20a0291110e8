#include "framing/upgrade.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>

/* The example of RFC 6455, section 1.3. */
#define KEY    "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
#define ACCEPT "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
#define LINE   "GET /mqtt HTTP/1.1\r\n"
#define HOST   "Host: example.org\r\n"
#define ASK    "Upgrade: websocket\r\nConnection: Upgrade\r\n"
#define V13    "Sec-WebSocket-Version: 13\r\n"
#define MQTT   "Sec-WebSocket-Protocol: mqtt\r\n"
#define END    "\r\n"

static struct upgrade examined;
static size_t consumed;

static unsigned status_of(const char *request)
{
    assert_int_equal(upgrade_examine(bytes_str(request), "/mqtt", &examined, &consumed), 0);
    return examined.status;
}

static void a_request_for_mqtt_is_granted(void **state)
{
    (void)state;
    const char *request = LINE HOST ASK KEY V13 MQTT END "first frame";
    assert_int_equal(status_of(request), 101);
    assert_int_equal(consumed, strlen(request) - strlen("first frame"));
    assert_string_equal(examined.accept, ACCEPT);
    struct buf answer = {0};
    upgrade_append_answer(&examined, &answer);
    assert_int_equal(buf_status(&answer), 0);
    assert_string_equal(buf_cstr(&answer), "HTTP/1.1 101 Switching Protocols\r\n"
                                           "Upgrade: websocket\r\n"
                                           "Connection: Upgrade\r\n"
                                           "Sec-WebSocket-Accept: " ACCEPT "\r\n"
                                           "Sec-WebSocket-Protocol: mqtt\r\n\r\n");
    buf_close(&answer);
}

static void a_request_may_come_in_any_pieces(void **state)
{
    (void)state;
    const char *request = LINE HOST ASK KEY V13 MQTT END;
    for (size_t n = 0; n < strlen(request); n++)
        assert_int_equal(upgrade_examine(bytes_of(request, n), "/mqtt", &examined, &consumed),
                         SEALMQ_E_AGAIN);
}

static void case_lists_queries_and_other_fields_do_not_matter(void **state)
{
    (void)state;
    assert_int_equal(
        status_of("GET /mqtt?a=b HTTP/1.1\r\nhOST:x\r\nUPGRADE:h2c ,WebSocket\r\n"
                  "connection:keep-alive,\tUPGRADE \r\nCookie: a=b; c=\"d\"\r\n" KEY V13
                  "Sec-WebSocket-Protocol: mqttv3.1, mqtt\r\nEmpty:\r\n"
                  "Content-Length: 0\r\n" END),
        101);
    assert_int_equal(status_of(LINE HOST "Upgrade: websocket\r\nConnection: close\r\n"
                                         "Connection: upgrade\r\nSec-WebSocket-Protocol: chat\r\n"
                                         "Sec-WebSocket-Protocol: mqtt\r\n" KEY V13 END),
                     101);
}

static void other_requests_get_the_status_that_fits(void **state)
{
    (void)state;
    static const struct {
        unsigned status;
        const char *request;
    } cases[] = {
        {404, "GET / HTTP/1.1\r\n" HOST ASK KEY V13 MQTT END},
        {404, "GET /mqttx HTTP/1.1\r\n" HOST END},
        {404, "GET http://h/mqtt HTTP/1.1\r\n" HOST END},
        {405, "POST /mqtt HTTP/1.1\r\n" HOST END},
        {505, "GET /mqtt HTTP/1.0\r\n" HOST END},
        {505, "GET /mqtt HTTP/2.0\r\n" HOST END},
        {426, LINE HOST END},
        {426, LINE HOST "Connection: Upgrade\r\n" KEY V13 MQTT END},
        {426, LINE HOST "Upgrade: websocket\r\n" KEY V13 MQTT END},
        {426, LINE HOST ASK KEY MQTT END},
        {426, LINE HOST ASK KEY MQTT "Sec-WebSocket-Version: 8\r\n" END},
        {426, LINE HOST ASK KEY MQTT V13 V13 END},
        {400, LINE ASK KEY V13 MQTT END},
        {400, LINE HOST HOST ASK KEY V13 MQTT END},
        {400, LINE HOST ASK V13 MQTT END},
        {400, LINE HOST ASK KEY KEY V13 MQTT END},
        {400, LINE HOST ASK V13 MQTT "Sec-WebSocket-Key: c2hvcnQ=\r\n" END},
        {400, LINE HOST ASK V13 MQTT "Sec-WebSocket-Key: !!!!!!!!!!!!!!!!!!!!!!!!\r\n" END},
        {400, LINE HOST ASK KEY V13 END},
        {400, LINE HOST ASK KEY V13 "Sec-WebSocket-Protocol: MQTT\r\n" END},
        {400, LINE HOST ASK KEY V13 "Sec-WebSocket-Protocol: mqttv3.1\r\n" END},
        {400, LINE HOST ASK KEY V13 MQTT "Content-Length: 5\r\n" END},
        {400, LINE HOST ASK KEY V13 MQTT "Transfer-Encoding: chunked\r\n" END},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct buf answer = {0};
        char begin[32];
        assert_int_equal(status_of(cases[i].request), cases[i].status);
        upgrade_append_answer(&examined, &answer);
        snprintf(begin, sizeof(begin), "HTTP/1.1 %u ", cases[i].status);
        assert_true(bytes_starts_with(buf_bytes(&answer), bytes_str(begin)));
        assert_non_null(strstr(buf_cstr(&answer), "close\r\n"));
        buf_close(&answer);
    }
}

static void malformed_requests_are_refused(void **state)
{
    (void)state;
    static const char *const requests[] = {
        "GET\r\n",
        "GET /mqtt\r\n",
        "GET  /mqtt HTTP/1.1\r\n",
        "GET /mq\x01tt HTTP/1.1\r\n",
        LINE "Host example.org\r\n" END,
        LINE ": x\r\n" END,
        LINE "Host : x\r\n" END,
        LINE " Host: x\r\n" END,
        LINE HOST " folded\r\n" END,
        LINE HOST "A: b\rc\r\n" END,
        LINE HOST "A: b\nB: c\r\n" END,
        LINE HOST "A: b\x01\r\n" END,
        LINE HOST "A: b\x7f\r\n" END,
        "GET /mqtt HTTP/1.1\n" HOST,
    };
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++)
        assert_int_equal(status_of(requests[i]), 400);
    const char zero[] = LINE HOST "A: \0b\r\n" END;
    assert_int_equal(
        upgrade_examine(bytes_of(zero, sizeof(zero) - 1), "/mqtt", &examined, &consumed), 0);
    assert_int_equal(examined.status, 400);
}

static void what_is_not_http_is_known_by_its_first_byte(void **state)
{
    (void)state;
    assert_int_equal(status_of("\x10\x0c"), 400);
    assert_int_equal(status_of("\x16\x03\x01"), 400);
}

static void size_and_number_of_fields_are_limited(void **state)
{
    (void)state;
    struct buf b = {0};
    buf_append_cstr(&b, LINE HOST ASK KEY V13 MQTT "Cookie: ");
    while (b.n < UPGRADE_HEAD_MAX - 4)
        buf_append_u8(&b, 'c');
    buf_append_cstr(&b, "\r\n\r\n");
    assert_int_equal(upgrade_examine(buf_bytes(&b), "/mqtt", &examined, &consumed), 0);
    assert_int_equal(examined.status, 101);
    b.n -= 4;
    buf_append_cstr(&b, "c\r\n\r\n");
    assert_int_equal(upgrade_examine(buf_bytes(&b), "/mqtt", &examined, &consumed), 0);
    assert_int_equal(examined.status, 431);

    buf_reset(&b);
    buf_append_cstr(&b, LINE);
    for (int i = 0; i < UPGRADE_FIELDS_MAX; i++)
        buf_append_cstr(&b, "A: b\r\n");
    size_t n = b.n;
    buf_append_cstr(&b, "\r\n");
    assert_int_equal(upgrade_examine(buf_bytes(&b), "/mqtt", &examined, &consumed), 0);
    assert_int_equal(examined.status, 400); /* for want of a host */
    b.n = n;
    buf_append_cstr(&b, "A: b\r\n\r\n");
    assert_int_equal(upgrade_examine(buf_bytes(&b), "/mqtt", &examined, &consumed), 0);
    assert_int_equal(examined.status, 431);
    buf_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_for_mqtt_is_granted),
        cmocka_unit_test(a_request_may_come_in_any_pieces),
        cmocka_unit_test(case_lists_queries_and_other_fields_do_not_matter),
        cmocka_unit_test(other_requests_get_the_status_that_fits),
        cmocka_unit_test(malformed_requests_are_refused),
        cmocka_unit_test(what_is_not_http_is_known_by_its_first_byte),
        cmocka_unit_test(size_and_number_of_fields_are_limited),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
