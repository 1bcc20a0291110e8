#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../store/folder.h"
#include "config/broker_config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int read_text(void **state, const char *text, struct broker_config **out, char why[1024])
{
    const char *path = folder_path(state, "broker.yaml");
    put_file(path, bytes_str(text), 0644);
    why[0] = '\0';
    return broker_config_read(path, out, why, 1024);
}

/* It is refused, with the words, and where: "broker.yaml:LINE:" (0: without a line). */
static void assert_refused(void **state, const char *text, unsigned line, const char *words)
{
    struct broker_config *config;
    char why[1024], place[64];
    if (line != 0)
        snprintf(place, sizeof place, "broker.yaml:%u: ", line);
    else
        snprintf(place, sizeof place, "broker.yaml: ");
    assert_int_equal(read_text(state, text, &config, why), SEALMQ_E_CONFIG);
    if (strstr(why, place) == NULL || strstr(why, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\" and \"%s\"", why, place, words);
}

#define EVERYTHING                                                                                 \
    "listeners:\n"                                                                                 \
    "  - name: devices\n    address: 0.0.0.0\n    port: 8883\n    connections: 1000\n"             \
    "    proxy_protocol: yes\n    anonymous: no\n    log_in: [password, certificate, psk]\n"       \
    "    tls:\n      cert: c.pem\n      key: c.key\n      ca: ca.pem\n      crl: ca.crl\n"         \
    "      min_version: \"1.3\"\n      ciphers: HIGH\n      ciphersuites: "                        \
    "TLS_AES_128_GCM_SHA256\n"                                                                     \
    "      require_certificate: no\n      identity: common_name\n      psk_file: psk\n"            \
    "      psk_hint: hint\n      sni:\n        - {name: b.example, cert: b.pem, key: b.key}\n"     \
    "  - unix: /run/mqtt.sock\n    mode: \"0600\"\n"                                               \
    "  - {address: \"::1\", port: 9001, transport: websocket, path: /ws}\n"                        \
    "anonymous: yes\npasswords: p\nacl: a\n"                                                       \
    "tokens:\n  keys: operators\n  audience: plant:broker/a\n"                                     \
    "limits:\n  packet_bytes: 2048\n  overflow: drop_old\n  evicts_sessions: yes\n"                \
    "persistence:\n  folder: state\n  durability: lazy\n"                                          \
    "metrics:\n  address: 127.0.0.1\n  port: 9464\nworkers: 3\nsys_interval: 0\n"

static void everything_can_be_said(void **state)
{
    struct broker_config *config;
    char why[1024];
    assert_int_equal(read_text(state, EVERYTHING, &config, why), 0);
    assert_int_equal(config->listeners_count, 3);
    const struct config_listener *first = &config->listeners[0];
    assert_string_equal(first->name, "devices");
    assert_int_equal(*first->port, 8883);
    assert_int_equal(first->connections, 1000);
    assert_int_equal(first->proxy_protocol, CONFIG_YES);
    assert_int_equal(first->anonymous, CONFIG_NO);
    assert_true(listener_config_takes(first, CONFIG_PSK));
    assert_false(listener_config_takes(first, CONFIG_TOKEN));
    assert_string_equal(first->tls->crl, "ca.crl");
    assert_int_equal(first->tls->min_version, CONFIG_TLS_1_3);
    assert_int_equal(first->tls->identity, CONFIG_IDENTITY_COMMON_NAME);
    assert_string_equal(first->tls->sni[0].name, "b.example");
    assert_int_equal(listener_config_mode(&config->listeners[1]), 0600);
    assert_true(listener_config_is_local(&config->listeners[1]));
    assert_int_equal(config->listeners[2].transport, CONFIG_WEBSOCKET);
    assert_string_equal(config->listeners[2].path, "/ws");
    assert_true(listener_config_takes(&config->listeners[2], CONFIG_TOKEN));
    assert_int_equal(config->anonymous, CONFIG_YES);
    assert_string_equal(config->tokens->audience, "plant:broker/a");
    assert_string_equal(config->persistence.folder, "state");
    assert_int_equal(config->persistence.durability, CONFIG_DURABLE_LAZY);
    assert_int_equal(config->metrics->port, 9464);
    assert_int_equal(config->workers, 3);
    assert_int_equal(*config->sys_interval, 0);
    struct broker_limits limits;
    const struct config_source source = {NULL, why, sizeof why};
    broker_limits_default(&limits);
    assert_int_equal(broker_config_limits(config, &source, &limits), 0);
    assert_int_equal(limits.packet_bytes, 2048);
    assert_int_equal(limits.overflow, BROKER_DROP_OLD);
    assert_true(limits.evicts_sessions);
    broker_config_free(config);
}

/* Printed, read and printed again it is the same: nothing is lost on the way. */
static void what_is_printed_can_be_read(void **state)
{
    struct broker_config *config;
    char why[1024];
    struct buf first = {0}, second = {0};
    struct broker_limits limits;
    const struct config_source source = {NULL, why, sizeof why};
    assert_int_equal(read_text(state, EVERYTHING, &config, why), 0);
    broker_limits_default(&limits);
    assert_int_equal(broker_config_limits(config, &source, &limits), 0);
    assert_int_equal(broker_config_print(config, &limits, &first), 0);
    broker_config_free(config);
    buf_append_u8(&first, '\0');
    assert_int_equal(buf_status(&first), 0);
    if (read_text(state, (const char *)first.p, &config, why) != 0)
        fail_msg("%s", why);
    broker_limits_default(&limits);
    assert_int_equal(broker_config_limits(config, &source, &limits), 0);
    assert_int_equal(broker_config_print(config, &limits, &second), 0);
    buf_append_u8(&second, '\0');
    assert_int_equal(buf_status(&second), 0);
    assert_string_equal((const char *)first.p, (const char *)second.p);
    broker_config_free(config);
    buf_close(&first);
    buf_close(&second);
}

static void wrong_lines_are_named(void **state)
{
    static const struct {
        const char *text;
        unsigned line;
        const char *words;
    } cases[] = {
        {"anonymous: yes\nlimits:\n  queued_messages: 10k\n", 3, "\"10k\" is no number"},
        {"anonymous: yes\nlisteners:\n  - address: 127.0.0.1\n    port: 1883x\n", 4, "1883x"},
        {"workers: 1\ncolour: red\n", 2, "colour"},
        {"workers: many\n", 1, "many"},
        {"workers: 65\n", 1, "at most 64"},
        {"acl: a\nanonymous: perhaps\n", 2, "anonymous"},
        {"sys_interval: 86401\n", 1, "86400"},
        {"acl: a\nlimits:\n  inflight: 10\n  packet_bytes: 1\n", 4, "1024 to 268435455"},
        {"limits:\n  inflight: 65536\n", 2, "1 to 65535"},
        {"limits:\n  inflight: -1\n", 2, "-1"},
        {"limits:\n  overflow: maybe\n", 2, "maybe"},
        {"limits:\n  bananas: 1\n", 2, "bananas"},
        {"metrics:\n  address: localhost\n  port: 1\n", 2, "numeric"},
        {"persistence:\n  folder: x\n  durability: some\n", 3, "some"},
        {"tokens:\n  keys: k\n  audience: nobody\n", 3, "plant:broker/a"},
        {"listeners:\n  - {address: localhost, port: 1}\n", 2, "numeric"},
        {"listeners:\n  - {address: 127.0.0.1}\n", 2, "port is missing"},
        {"listeners:\n  - address: 127.0.0.1\n    port: 1\n  - port: 2\n", 4, "address and port"},
        {"listeners:\n  - unix: /s\n    port: 2\n", 3, "has none"},
        {"listeners:\n  - unix: /s\n    mode: \"9\"\n", 3, "octal"},
        {"listeners:\n  - {address: 127.0.0.1, port: 1, mode: \"0600\"}\n", 2, "Unix socket"},
        {"listeners:\n  - {address: 127.0.0.1, port: 70000}\n", 2, "70000"},
        {"listeners:\n  - {address: 127.0.0.1, port: 1, transport: udp}\n", 2, "udp"},
        {"listeners:\n  - {address: 127.0.0.1, port: 1, path: /x}\n", 2, "websocket"},
        {"listeners:\n  - {address: 127.0.0.1, port: 1, proxy_certificate: yes}\n", 2,
         "needs proxy_protocol"},
        {"listeners:\n  - {address: 127.0.0.1, port: 1, log_in: [smile]}\n", 2, "smile"},
        {"listeners:\n  - {address: 127.0.0.1, port: 1, log_in: [psk]}\n", 2, "psk_file"},
        {"listeners:\n  - {address: 127.0.0.1, port: 1, log_in: [certificate]}\n", 2, "identity"},
        {"listeners:\n  - address: ::1\n    port: 1\n    tls:\n      key: k\n", 4, "cert"},
        {"listeners:\n  - address: ::1\n    port: 1\n    tls: {cert: c}\n", 4, "together"},
        {"listeners:\n  - address: ::1\n    port: 1\n    tls: {cert: c, key: k, identity: "
         "subject}\n",
         4, "ca is missing"},
        {"listeners:\n  - address: ::1\n    port: 1\n    tls: {cert: c, key: k, crl: r}\n", 4,
         "ca"},
        {"acl: a\n\tb: [\n", 2, "tab"},
        {"acl: a\npasswords: \"\xff\"\n", 2, "YAML"},
        {"", 0, "is empty"},
        {"- acl\n", 1, "lines of `key: value`"},
        {"colour: red\n", 1, "\"colour\" is not known here; known are: listeners, anonymous"},
        {"limits:\n  bananas: 1\n", 2, "not known in limits; known are: packet_bytes"},
        {"acl: a\nworkers: 1\nacl: b\n", 3, "acl is said twice"},
        {"acl: a\nlimits:\nworkers: 1\n", 2, "limits must have lines"},
        {"acl: a\nlimits: [1]\n", 2, "limits must have lines"},
        {"acl: [a]\n", 1, "acl must be a single text"},
        {"acl:\n", 1, "acl is empty"},
        {"[a, b]: c\n", 1, "a key must be"},
        {"workers: [1]\n", 1, "workers must be a number"},
        {"workers: -1\n", 1, "must not be negative"},
        {"workers: 99999999999\n", 1, "at most 4294967295"},
        {"limits:\n  queued_bytes: 99999999999999999999\n", 2, "at most"},
        {"anonymous: {a: b}\n", 1, "anonymous must be a single word"},
        {"listeners: 1883\n", 1, "listeners must be a list"},
        {"listeners: []\n", 1, "at least 1"},
        {"listeners:\n  - 1883\n", 2, "listeners must have lines"},
        {"listeners:\n  - {address: \"::1\", port: 1, transport: udp}\n", 2,
         "transport is \"udp\", it must be one of: tcp, websocket"},
        {"listeners:\n  - {address: \"::1\", port: 70000}\n", 2, "port is 70000, at most 65535"},
        {"persistence:\n  durability: full\n", 2, "folder is missing in persistence"},
        {"response_information: \"a\\0b\"\n", 1, "NUL"},
        {"listeners:\n  - {address: 127.0.0.1, port: 1}\n  - {address: 127.0.0.1, port: 1}\n", 3,
         "listeners[0] and listeners[1] would listen in the same place"},
        {"listeners:\n  - {address: 0.0.0.0, port: 1}\n  - {address: \"::\", port: 1}\n"
         "  - {address: 127.0.0.1, port: 1}\n",
         4, "listeners[0] and listeners[2]"},
        {"listeners:\n  - {address: \"::1\", port: 1}\n  - {address: \"0:0::1\", port: 1}\n", 3,
         "another address, port or unix path"},
        {"listeners:\n  - {unix: /s}\n  - {unix: /t}\n  - unix: /s\n", 4,
         "listeners[0] and listeners[2]"},
        {"listeners: [{address: 0.0.0.0, port: 9464}]\nmetrics:\n  port: 9464\n", 3,
         "which is that of listeners[0]"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_refused(state, cases[i].text, cases[i].line, cases[i].words);
}

static void listeners_that_do_not_meet_stand_beside_each_other(void **state)
{
    struct broker_config *config;
    char why[1024];
    if (read_text(state,
                  "listeners:\n"
                  "  - {address: 0.0.0.0, port: 1}\n  - {address: \"::\", port: 1}\n"
                  "  - {address: 127.0.0.1, port: 2}\n  - {address: 127.0.0.2, port: 2}\n"
                  "  - {address: 127.0.0.1, port: 0}\n  - {address: 127.0.0.1, port: 0}\n"
                  "  - {unix: /s}\n  - {unix: /t}\n"
                  "metrics: {address: 127.0.0.3, port: 2}\n",
                  &config, why) != 0)
        fail_msg("%s", why);
    broker_config_free(config);
}

static void anonymous_is_off_but_on_this_machine_without_log_in(void **state)
{
    static const struct {
        const char *text;
        bool is_allowed;
    } cases[] = {
        {"listeners: [{address: 127.0.0.1, port: 1}]\n", true},
        {"listeners: [{address: \"::1\", port: 1}]\n", true},
        {"listeners: [{unix: /s}]\n", true},
        {"listeners: [{address: 0.0.0.0, port: 1}]\n", false},
        {"listeners: [{address: 10.0.0.1, port: 1}]\nanonymous: yes\n", true},
        {"listeners: [{address: 127.0.0.1, port: 1}]\npasswords: p\n", false},
        {"listeners: [{address: 127.0.0.1, port: 1, log_in: [token]}]\npasswords: p\n", true},
        {"listeners: [{address: 127.0.0.1, port: 1}]\nanonymous: no\n", false},
        {"listeners: [{address: 127.0.0.1, port: 1, proxy_protocol: yes}]\n", false},
        {"listeners: [{address: 127.0.0.1, port: 1, proxy_protocol: yes, proxy_certificate: "
         "yes}]\n",
         false},
        {"listeners: [{address: 0.0.0.0, port: 1, anonymous: yes}]\nanonymous: no\n", true},
        {"listeners: [{unix: /s}]\ntokens: {keys: k, audience: \"n:a/b\"}\n", false},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct broker_config *config;
        char why[1024];
        if (read_text(state, cases[i].text, &config, why) != 0)
            fail_msg("%s", why);
        assert_int_equal(broker_config_lets_anonymous_in(config, &config->listeners[0]),
                         cases[i].is_allowed);
        broker_config_free(config);
    }
}

static void a_file_that_is_missing_is_named(void **state)
{
    struct broker_config *config;
    char why[512];
    assert_int_equal(broker_config_read(folder_path(state, "none.yaml"), &config, why, sizeof why),
                     SEALMQ_E_NOTFOUND);
    assert_non_null(strstr(why, "none.yaml"));
}

/* The file that is installed as an example is right as it is. */
static void the_sample_is_right(void **state)
{
    struct broker_config *config;
    char why[1024];
    (void)state;
    if (broker_config_read(TEST_SOURCE "/../packaging/broker.yaml", &config, why, sizeof why) != 0)
        fail_msg("%s", why);
    assert_true(config->listeners_count >= 1);
    broker_config_free(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(everything_can_be_said, folder_setup, folder_teardown),
        cmocka_unit_test_setup_teardown(what_is_printed_can_be_read, folder_setup, folder_teardown),
        cmocka_unit_test_setup_teardown(wrong_lines_are_named, folder_setup, folder_teardown),
        cmocka_unit_test_setup_teardown(listeners_that_do_not_meet_stand_beside_each_other,
                                        folder_setup, folder_teardown),
        cmocka_unit_test_setup_teardown(anonymous_is_off_but_on_this_machine_without_log_in,
                                        folder_setup, folder_teardown),
        cmocka_unit_test_setup_teardown(a_file_that_is_missing_is_named, folder_setup,
                                        folder_teardown),
        cmocka_unit_test(the_sample_is_right),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
