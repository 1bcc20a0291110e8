/* Gateways' configurations: what is read, and with which words the rest is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "config/gateway_config.h"
#include "unit/store/folder.h"

#include <stdio.h>

#define HEAD                                                                                       \
    "id: plant-a/gw1\nkey: gateway.key\ngenesis: ../genesis.json\npolicy: policy\ndata: data\n"
#define SOURCES "sources:\n  - type: system\n"

static struct gateway_config *config;
static char why[512];

static int read_config(void **state, const char *text)
{
    const char *path = folder_path(state, "gateway.yaml");
    put_file(path, bytes_str(text), 0600);
    why[0] = '\0';
    config = NULL;
    return gateway_config_read(path, &config, why, sizeof why);
}

static void refused(void **state, const char *text, const char *said)
{
    if (read_config(state, text) != SEALMQ_E_CONFIG)
        fail_msg("taken: %s", text);
    if (strstr(why, said) == NULL || strstr(why, "gateway.yaml") == NULL)
        fail_msg("\"%s\" does not say \"%s\" of the file", why, said);
}

static void taken(void **state, const char *text)
{
    if (read_config(state, text) != 0)
        fail_msg("%s", why);
}

static void the_least_that_is_needed(void **state)
{
    taken(state, HEAD SOURCES);
    assert_string_equal(config->id, "plant-a/gw1");
    assert_string_equal(config->key, "gateway.key");
    assert_int_equal(config->nodes_count, 0);
    assert_null(config->report_topic);
    assert_int_equal(config->report_interval, 1000);
    assert_int_equal(config->anchor_interval, 0);
    assert_int_equal(config->policies_count, 0);
    assert_int_equal(config->sources_count, 1);
    assert_int_equal(config->sources[0].type, GATEWAY_SOURCE_SYSTEM);
    gateway_config_free(config);
}

static void all_of_it(void **state)
{
    taken(state, HEAD "nodes:\n"
                      "  - id: node/b\n"
                      "    url: mqtt://127.0.0.1:18831\n"
                      "  - id: node/a\n"
                      "    url: mqtt://[::1]:18830\n"
                      "report_topic: 500001/400001/300002/RealTime\n"
                      "report_interval: 2000\n"
                      "anchor_interval: 60000\n"
                      "status: status.json\n"
                      "sources:\n"
                      "  - type: system\n"
                      "    interval: 5000\n"
                      "    device: box-1\n"
                      "  - type: mqtt\n"
                      "    address: 127.0.0.1\n"
                      "    port: 1884\n"
                      "    anonymous: true\n"
                      "  - type: mqtt\n"
                      "    address: 0.0.0.0\n"
                      "    port: 1885\n"
                      "    passwords: passwords\n"
                      "policies:\n"
                      "  - pattern: \"pump-1/*/temperature\"\n"
                      "    change: \"0.5\"\n"
                      "  - pattern: pump-1\n"
                      "    change: 10%\n"
                      "    periodic: 60000\n"
                      "  - pattern: \"*\"\n");
    assert_int_equal(config->nodes_count, 2);
    assert_string_equal(config->nodes[1].url, "mqtt://[::1]:18830");
    assert_int_equal(config->sources_count, 3);
    assert_int_equal(config->sources[1].port, 1884);
    assert_string_equal(config->sources[2].passwords, "passwords");
    const struct gateway_rule *rules = config->policies;
    assert_true(rules[0].on_change && !rules[0].is_percent && rules[0].threshold == 0.5);
    assert_true(rules[1].on_change && rules[1].is_percent && rules[1].threshold == 10);
    assert_int_equal(rules[1].periodic, 60000);
    assert_true(!rules[2].on_change && rules[2].periodic == 0);
    gateway_config_free(config);
}

static void what_is_missing_or_unknown_is_named(void **state)
{
    refused(state, "", "");
    refused(state, "id: plant-a/gw1\n", "");
    refused(state, HEAD, "sources");
    refused(state, HEAD SOURCES "colour: red\n", "colour");
    refused(state, HEAD "sources:\n  - type: serial\n", "type");
    refused(state, HEAD SOURCES "report_interval: soon\n", "report_interval");
    refused(state, "id: [\n", "");
    assert_int_equal(gateway_config_read(folder_path(state, "none"), &config, why, sizeof why),
                     SEALMQ_E_NOTFOUND);
}

static void ids_and_topics_are_checked(void **state)
{
    refused(state, "id: gw1\nkey: k\ngenesis: g\npolicy: p\ndata: d\n" SOURCES, "two words");
    refused(state, HEAD SOURCES "nodes:\n  - id: nowhere\n    url: mqtt://127.0.0.1\n",
            "nodes[0].id \"nowhere\"");
    static const char *const bad[] = {"key",      "key/x",  "update/a", "a/datas", "success",
                                      "\"a//b\"", "\"a/\"", "\"a/+\"",  "\"#\"",   "forbidden/x"};
    char text[512];
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        snprintf(text, sizeof text, HEAD SOURCES "report_topic: %s\n", bad[i]);
        refused(state, text, "report_topic");
    }
    static const char *const good[] = {"report", "x/key", "datas/x", "500001/400001/RealTime"};
    for (size_t i = 0; i < sizeof good / sizeof good[0]; i++) {
        snprintf(text, sizeof text, HEAD SOURCES "report_topic: %s\n", good[i]);
        taken(state, text);
        gateway_config_free(config);
    }
}

static void sources_are_checked(void **state)
{
    refused(state, HEAD "sources: []\n", "sources");
    refused(state, HEAD "sources:\n  - type: system\n    interval: 50\n",
            "gateway.yaml:8: sources[0].interval is 50 ms, it must be 100 to 86400000");
    refused(state, HEAD "sources:\n  - type: system\n    device: my box\n", "sources[0].device");
    refused(state, HEAD "sources:\n  - type: mqtt\n    port: 1884\n", "anonymous: true");
    refused(state,
            HEAD "sources:\n  - type: mqtt\n    port: 1884\n    anonymous: true\n"
                 "    passwords: p\n",
            "either");
    refused(state,
            HEAD "sources:\n  - type: mqtt\n    port: 1884\n    anonymous: true\n"
                 "    address: 0.0.0.0\n",
            "not on loopback");
    refused(state,
            HEAD "sources:\n  - type: mqtt\n    port: 1884\n    anonymous: true\n"
                 "    address: localhost\n",
            "numeric");
    refused(state, HEAD "sources:\n  - type: mqtt\n    port: 70000\n    anonymous: true\n", "port");
    refused(state,
            HEAD "sources:\n  - type: mqtt\n    port: 1884\n    anonymous: yes\n"
                 "  - type: mqtt\n    address: 0.0.0.0\n    port: 1884\n    passwords: p\n",
            "gateway.yaml:10: sources[1] would listen where sources[0] does");
    /* A word that is neither yes nor no opens nothing. */
    refused(state, HEAD "sources:\n  - type: mqtt\n    port: 1884\n    anonymous: of\n",
            "anonymous");
    taken(state, HEAD "sources:\n  - type: mqtt\n    port: 1884\n    anonymous: yes\n");
    assert_true(config->sources[0].anonymous);
    gateway_config_free(config);
}

static void policies_are_checked(void **state)
{
    refused(state, HEAD SOURCES "policies:\n  - pattern: a/b/c/d\n", "policies[0].pattern");
    refused(state, HEAD SOURCES "policies:\n  - pattern: \"pump*\"\n", "a name or *");
    refused(state, HEAD SOURCES "policies:\n  - pattern: \"a/\"\n", "policies[0].pattern");
    refused(state, HEAD SOURCES "policies:\n  - pattern: \"*\"\n    change: much\n",
            "policies[0].change");
    refused(state, HEAD SOURCES "policies:\n  - pattern: \"*\"\n    change: \"-1\"\n", "change");
    refused(state, HEAD SOURCES "policies:\n  - pattern: \"*\"\n    change: \"1%%\"\n", "change");
    refused(state, HEAD SOURCES "policies:\n  - pattern: \"*\"\n    change: inf\n", "change");
}

/* Written each time, an item would be on the chain as often as in the history. */
static void periodic_writing_is_less_frequent_than_reports(void **state)
{
    refused(state, HEAD SOURCES "policies:\n  - pattern: \"*\"\n    periodic: 1000\n",
            "policies[0].periodic is 1000 ms; it must be longer than the report interval, 1000 ms");
    refused(state,
            HEAD SOURCES "report_interval: 5000\npolicies:\n  - pattern: \"*\"\n"
                         "    periodic: 5000\n",
            "longer than the report interval");
    taken(state, HEAD SOURCES "policies:\n  - pattern: \"*\"\n    periodic: 1001\n");
    gateway_config_free(config);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_setup, folder_teardown)
        IN_A_FOLDER(the_least_that_is_needed),
        IN_A_FOLDER(all_of_it),
        IN_A_FOLDER(what_is_missing_or_unknown_is_named),
        IN_A_FOLDER(ids_and_topics_are_checked),
        IN_A_FOLDER(sources_are_checked),
        IN_A_FOLDER(policies_are_checked),
        IN_A_FOLDER(periodic_writing_is_less_frequent_than_reports),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
