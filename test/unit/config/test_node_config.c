#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../store/folder.h"
#include "config/node_config.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LEAST                                                                                      \
    "id: node/a\ngenesis: genesis.json\nkey: node.key\ndata: data\n"                               \
    "listeners:\n  - address: 127.0.0.1\n    port: 1883\n"

/* Reads `text` as a file; `why` gets the words. */
static int read_text(void **state, const char *text, struct node_config **out, char why[512])
{
    const char *path = folder_path(state, "node.yaml");
    put_file(path, bytes_str(text), 0644);
    why[0] = '\0';
    return node_config_read(path, out, why, 512);
}

static void assert_refused(void **state, const char *text, const char *words)
{
    struct node_config *config;
    char why[512];
    assert_int_equal(read_text(state, text, &config, why), SEALMQ_E_CONFIG);
    assert_non_null(strstr(why, "node.yaml"));
    if (strstr(why, words) == NULL)
        fail_msg("\"%s\" does not say \"%s\"", why, words);
}

static void what_must_be_there_is_enough(void **state)
{
    struct node_config *config;
    char why[512];
    assert_int_equal(read_text(state, LEAST, &config, why), 0);
    assert_string_equal(config->id, "node/a");
    assert_string_equal(config->genesis, "genesis.json");
    assert_string_equal(config->key, "node.key");
    assert_string_equal(config->data, "data");
    assert_int_equal(config->broker.listeners_count, 1);
    assert_string_equal(config->broker.listeners[0].address, "127.0.0.1");
    assert_int_equal(*config->broker.listeners[0].port, 1883);
    assert_null(config->broker.passwords);
    assert_null(config->broker.acl);
    assert_int_equal(config->broker.anonymous, CONFIG_NO);
    assert_int_equal(config->broker.workers, 0);
    assert_int_equal(config->session_life, 0);
    assert_int_equal(config->view_timeout, 0);
    assert_int_equal(config->role, CONFIG_ROLE_FULL);
    assert_int_equal(config->retain.blocks, 0);
    node_config_free(config);
}

static void what_is_kept_can_be_said(void **state)
{
    struct node_config *config;
    char why[512];
    assert_int_equal(
        read_text(state, LEAST "retain:\n  days: 30\n  blocks: 5\n  megabytes: 7\n", &config, why),
        0);
    assert_int_equal(config->role, CONFIG_ROLE_FULL);
    assert_int_equal(config->retain.days, 30);
    assert_int_equal(config->retain.blocks, 5);
    assert_int_equal(config->retain.megabytes, 7);
    node_config_free(config);
    assert_int_equal(read_text(state, LEAST "role: light\n", &config, why), 0);
    assert_int_equal(config->role, CONFIG_ROLE_LIGHT);
    assert_int_equal(config->retain.blocks, CONFIG_LIGHT_BLOCKS);
    node_config_free(config);
    assert_int_equal(read_text(state, LEAST "role: light\nretain:\n  days: 3\n", &config, why), 0);
    assert_int_equal(config->retain.blocks, 0);
    assert_int_equal(config->retain.days, 3);
    node_config_free(config);
    assert_refused(state, LEAST "role: heavy\n", "role");
    assert_refused(state, LEAST "retain:\n  days: 36501\n", "days");
    assert_refused(state, LEAST "retain:\n  weeks: 3\n", "weeks");
}

static void everything_can_be_said(void **state)
{
    struct node_config *config;
    char why[512];
    assert_int_equal(read_text(state,
                               "# a comment\nid: broker/a\ngenesis: /etc/g.json\nkey: k\ndata: d\n"
                               "listeners:\n  - {address: \"::1\", port: 1884}\n"
                               "  - {address: 127.0.0.2, port: 0}\n"
                               "passwords: p\nacl: a\nanonymous: true\nworkers: 16\n"
                               "session_life: 604800\nview_timeout: 600000\n"
                               "limits: {inflight: 3}\nsys_interval: 5\n",
                               &config, why),
                     0);
    assert_int_equal(config->broker.listeners_count, 2);
    assert_string_equal(config->broker.listeners[0].address, "::1");
    assert_string_equal(config->broker.passwords, "p");
    assert_string_equal(config->broker.acl, "a");
    assert_int_equal(config->broker.anonymous, CONFIG_YES);
    assert_int_equal(config->broker.workers, 16);
    assert_int_equal(*config->broker.limits.inflight, 3);
    assert_int_equal(*config->broker.sys_interval, 5);
    assert_int_equal(config->session_life, 604800);
    assert_int_equal(config->view_timeout, 600000);
    node_config_free(config);
}

static void what_is_missing_is_named(void **state)
{
    static const char *const members[] = {"id", "genesis", "key", "data", "listeners"};
    static const char *const lines[] = {
        "id: node/a\n",
        "genesis: g\n",
        "key: k\n",
        "data: d\n",
        "listeners:\n  - address: 127.0.0.1\n    port: 1883\n",
    };
    for (size_t missing = 0; missing < 5; missing++) {
        char text[256] = "";
        for (size_t i = 0; i < 5; i++) {
            if (i != missing)
                strcat(text, lines[i]);
        }
        assert_refused(state, text, members[missing]);
    }
    assert_refused(state, "", "node.yaml");
}

static void what_is_not_known_is_refused(void **state)
{
    assert_refused(state, LEAST "colour: red\n", "colour");
    assert_refused(state, LEAST "    colour: red\n", "colour"); /* in the listener */
    assert_refused(state, LEAST "workers: many\n", "workers");
    assert_refused(state, LEAST "anonymous: perhaps\n", "anonymous");
    assert_refused(state, LEAST "id: node/b\n", "id");
}

static void values_out_of_range_are_refused(void **state)
{
    assert_refused(state, LEAST "limits: {inflight: 0}\n", "node.yaml:8: limits.inflight");
    assert_refused(state, LEAST "tokens: {keys: k, audience: \"n:a/b\"}\n", "tokens");
    assert_refused(state,
                   LEAST "    anonymous: yes\n  - {address: 0.0.0.0, port: 1}\nanonymous: yes\n",
                   "listeners[1]");
    assert_refused(state, LEAST "workers: 17\n", "workers");
    assert_refused(state, LEAST "session_life: 9\n", "session_life");
    assert_refused(state, LEAST "session_life: 604801\n", "session_life");
    assert_refused(state, LEAST "view_timeout: 49\n", "view_timeout");
    assert_refused(state, LEAST "view_timeout: 600001\n", "view_timeout");
    assert_refused(state, LEAST "view_timeout: -1\n", "view_timeout");
    assert_refused(state, LEAST "view_timeout: 99999999999\n", "view_timeout");
}

static void ids_and_addresses_have_their_forms(void **state)
{
    static const char *const ids[] = {"node", "node/", "/a", "node/a/b", "no de/a", "node/a#"};
    char text[512];
    for (size_t i = 0; i < sizeof ids / sizeof ids[0]; i++) {
        snprintf(text, sizeof text, "id: \"%s\"\n%s", ids[i], &LEAST[strlen("id: node/a\n")]);
        assert_refused(state, text, i == 2 ? "node.yaml" : ids[i]);
    }
    static const char *const addresses[] = {"localhost", "1.2.3", "127.0.0.1:1883", "::g", "*"};
    for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++) {
        snprintf(text, sizeof text,
                 "id: node/a\ngenesis: g\nkey: k\ndata: d\nlisteners:\n  - address: \"%s\"\n"
                 "    port: 1883\n",
                 addresses[i]);
        assert_refused(state, text, "listeners[0].address");
    }
    assert_refused(state,
                   "id: node/a\ngenesis: g\nkey: k\ndata: d\nlisteners:\n"
                   "  - {address: 127.0.0.1, port: 65536}\n",
                   "port");
    assert_refused(state, "id: node/a\ngenesis: g\nkey: k\ndata: d\nlisteners: []\n", "listeners");
}

static void anonymous_clients_are_for_loopback_only(void **state)
{
    static const char *const addresses[] = {"0.0.0.0", "10.0.0.1", "::", "::ffff:127.0.0.1"};
    for (size_t i = 0; i < sizeof addresses / sizeof addresses[0]; i++) {
        char text[512];
        snprintf(text, sizeof text, "%s  - address: \"%s\"\n    port: 1884\nanonymous: true\n",
                 LEAST, addresses[i]);
        assert_refused(state, text, "listeners[1]");
    }
}

static void too_many_listeners_are_refused(void **state)
{
    struct node_config *config;
    char text[1024] = LEAST, why[512];
    for (int i = 1; i < CONFIG_LISTENERS_MAX; i++)
        strcat(text, "  - {address: 127.0.0.1, port: 0}\n");
    assert_int_equal(read_text(state, text, &config, why), 0);
    assert_int_equal(config->broker.listeners_count, CONFIG_LISTENERS_MAX);
    node_config_free(config);
    strcat(text, "  - {address: 127.0.0.1, port: 1}\n");
    assert_refused(state, text, "listeners");
}

static void what_is_no_yaml_is_refused(void **state)
{
    assert_refused(state, "id: [node/a\n", "node.yaml");
    assert_refused(state, "- a\n- b\n", "node.yaml");
    assert_refused(state, "just words", "node.yaml");
    assert_refused(state, "id: *nowhere\n", "node.yaml");
    assert_refused(state, "a: &a [*a, *a]\n", "node.yaml");
}

/* Whatever is cut or changed: no crash, no leak, and either a configuration or words. */
static void no_damage_goes_unnoticed_or_crashes(void **state)
{
    struct node_config *config;
    char text[] = LEAST "workers: 2\n", why[512];
    size_t n = sizeof text - 1;
    for (size_t cut = 0; cut < n; cut++) {
        char whole = text[cut];
        text[cut] = '\0';
        if (read_text(state, text, &config, why) == 0)
            node_config_free(config);
        else
            assert_true(why[0] != '\0');
        text[cut] = whole;
    }
    for (size_t at = 0; at < n; at++) {
        for (int bit = 0; bit < 8; bit++) {
            char whole = text[at];
            text[at] = (char)(whole ^ (1 << bit));
            if (text[at] != '\0') {
                if (read_text(state, text, &config, why) == 0)
                    node_config_free(config);
                else
                    assert_true(why[0] != '\0');
            }
            text[at] = whole;
        }
    }
}

static void a_file_that_is_not_there_is_named(void **state)
{
    struct node_config *config;
    char why[512];
    assert_int_equal(node_config_read(folder_path(state, "nowhere.yaml"), &config, why, sizeof why),
                     SEALMQ_E_NOTFOUND);
    assert_non_null(strstr(why, "nowhere.yaml"));
}

int main(void)
{
#define IN_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_setup, folder_teardown)
    const struct CMUnitTest tests[] = {
        IN_FOLDER(what_must_be_there_is_enough),
        IN_FOLDER(what_is_kept_can_be_said),
        IN_FOLDER(everything_can_be_said),
        IN_FOLDER(what_is_missing_is_named),
        IN_FOLDER(what_is_not_known_is_refused),
        IN_FOLDER(values_out_of_range_are_refused),
        IN_FOLDER(ids_and_addresses_have_their_forms),
        IN_FOLDER(anonymous_clients_are_for_loopback_only),
        IN_FOLDER(too_many_listeners_are_refused),
        IN_FOLDER(what_is_no_yaml_is_refused),
        IN_FOLDER(no_damage_goes_unnoticed_or_crashes),
        IN_FOLDER(a_file_that_is_not_there_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
