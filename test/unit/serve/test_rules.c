#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "../store/folder.h"
#include "serve/rules.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define NOW 1700000000

/* Two listeners: 0 takes every way and lets nobody in without, 1 takes certificates only but lets
 * anonymous clients in. */
static struct rules *rules_of(void **state, const char *more)
{
    struct broker_config *config;
    struct rules *rules;
    char why[1024], text[2048];
    const char *path = folder_path(state, "broker.yaml");
    snprintf(text, sizeof text,
             "listeners:\n  - {address: 127.0.0.1, port: 1, anonymous: no}\n"
             "  - address: 127.0.0.1\n    port: 2\n    anonymous: yes\n    log_in: [certificate]\n"
             "    tls: {cert: c, key: k, ca: a, identity: common_name}\n%s",
             more);
    put_file(path, bytes_str(text), 0644);
    if (broker_config_read(path, &config, why, sizeof why) != 0)
        fail_msg("%s", why);
    const struct rules_options options = {.config = config, .config_path = path};
    if (rules_load(&options, &rules, why, sizeof why) != 0)
        fail_msg("%s", why);
    broker_config_free(config);
    return rules;
}

static struct rules_answer ask(struct rules *rules, unsigned listener, enum net_identity kind,
                               const char *identity, const char *user, const char *password)
{
    struct rules_answer answer;
    const struct net_peer peer = {
        .listener = listener,
        .kind = kind,
        .identity = identity != NULL ? bytes_str(identity) : (struct bytes){0},
    };
    const struct broker_auth_request request = {
        .client_id = BYTES_LIT("c"),
        .has_user_name = user != NULL,
        .user_name = user != NULL ? bytes_str(user) : (struct bytes){0},
        .has_password = password != NULL,
        .password = password != NULL ? bytes_str(password) : (struct bytes){0},
    };
    rules_decide(rules, &peer, &request, NULL, NOW, &answer);
    return answer;
}

static void assert_in(const struct rules_answer *answer, const char *name)
{
    assert_int_equal(answer->verdict, RULES_LET_IN);
    assert_true(bytes_equal(answer->user_name, bytes_str(name)));
}

static void assert_refused(const struct rules_answer *answer, uint8_t reason)
{
    assert_int_equal(answer->verdict, RULES_REFUSE);
    assert_int_equal(answer->reason, reason);
    assert_non_null(answer->words);
}

static void the_name_of_a_certificate_is_the_user_and_no_other(void **state)
{
    struct rules *rules = rules_of(state, "");
    struct rules_answer answer;
    answer = ask(rules, 1, NET_IDENTITY_CERTIFICATE, "ann", NULL, NULL);
    assert_in(&answer, "ann");
    answer = ask(rules, 1, NET_IDENTITY_CERTIFICATE, "ann", "ann", "whatever");
    assert_in(&answer, "ann");
    answer = ask(rules, 1, NET_IDENTITY_CERTIFICATE, "ann", "", NULL);
    assert_in(&answer, "ann");
    answer = ask(rules, 1, NET_IDENTITY_CERTIFICATE, "ann", "eve", NULL);
    assert_refused(&answer, MQTT_REASON_BAD_USER_NAME_OR_PASSWORD);
    answer = ask(rules, 1, NET_IDENTITY_CERTIFICATE, "ann", "Ann", NULL);
    assert_refused(&answer, MQTT_REASON_BAD_USER_NAME_OR_PASSWORD);
    answer = ask(rules, 0, NET_IDENTITY_PSK, "pump", NULL, NULL);
    assert_in(&answer, "pump");
    /* A listener that does not take keys does not see one. */
    answer = ask(rules, 1, NET_IDENTITY_PSK, "pump", NULL, NULL);
    assert_in(&answer, "");
    rules_unref(rules);
}

static void each_listener_has_its_own_ways(void **state)
{
    put_file(folder_path(state, "p"), BYTES_LIT("# nobody yet\n"), 0600);
    struct rules *rules = rules_of(state, "passwords: p\n");
    struct rules_answer answer;
    answer = ask(rules, 0, NET_IDENTITY_NONE, NULL, "ann", "secret");
    assert_int_equal(answer.verdict, RULES_CHECK_PASSWORD);
    answer = ask(rules, 0, NET_IDENTITY_NONE, NULL, "ann", NULL);
    assert_int_equal(answer.verdict, RULES_CHECK_PASSWORD);
    answer = ask(rules, 0, NET_IDENTITY_NONE, NULL, NULL, NULL);
    assert_refused(&answer, MQTT_REASON_NOT_AUTHORIZED);
    /* A name that nothing proves is nobody's. */
    answer = ask(rules, 1, NET_IDENTITY_NONE, NULL, "ann", "secret");
    assert_in(&answer, "");
    /* A listener that the rules do not know lets nobody in. */
    answer = ask(rules, 2, NET_IDENTITY_CERTIFICATE, "ann", NULL, NULL);
    assert_refused(&answer, MQTT_REASON_NOT_AUTHORIZED);
    rules_unref(rules);
}

static void keys_of_tokens_are_read_by_line(void **state)
{
    static const struct {
        const char *text, *words;
    } cases[] = {
        {"plant/ann\n", "operators:1: "},
        {"\n# c\nann AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n", "operators:3: "},
        {"plant/ann AAAA\n", "operators:1: "},
        {"plant/ann AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA= x\n", "operators:1: "},
        {"plant/ann AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"
         "plant/ann AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n",
         "twice"},
    };
    struct config_tokens tokens = {.keys = (char[]){"operators"},
                                   .audience = (char[]){"plant:a/b"}};
    struct broker_config config = {.tokens = &tokens};
    const struct rules_options options = {.config = &config,
                                          .config_path = folder_path(state, "broker.yaml")};
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct rules *rules;
        char why[1024];
        put_file(folder_path(state, "operators"), bytes_str(cases[i].text), 0600);
        assert_int_equal(rules_load(&options, &rules, why, sizeof why), SEALMQ_E_CONFIG);
        assert_null(rules);
        if (strstr(why, cases[i].words) == NULL)
            fail_msg("\"%s\" does not say \"%s\"", why, cases[i].words);
    }
}

static struct token token_numbered(char number, int64_t issued_s)
{
    struct token token = {.iat = issued_s, .exp = issued_s + 60};
    memset(token.jti, 'a', 20);
    token.jti[0] = number;
    return token;
}

static void a_token_is_used_once_and_remembered_until_it_expires(void **state)
{
    struct used_tokens *used;
    (void)state;
    assert_int_equal(used_tokens_new(NOW, 2, &used), 0);
    struct token first = token_numbered('1', NOW), second = token_numbered('2', NOW + 10);
    struct token third = token_numbered('3', NOW + 20), old = token_numbered('4', NOW - 1);
    assert_int_equal(used_tokens_use(used, &old, NOW), SEALMQ_E_REPLAY);
    assert_int_equal(used_tokens_use(used, &first, NOW), 0);
    assert_int_equal(used_tokens_use(used, &first, NOW), SEALMQ_E_REPLAY);
    assert_int_equal(used_tokens_use(used, &second, NOW + 10), 0);
    assert_int_equal(used_tokens_use(used, &third, NOW + 20), SEALMQ_E_BUSY);
    assert_int_equal(used_tokens_use(used, &first, NOW + 60), SEALMQ_E_REPLAY);
    assert_int_equal(used_tokens_use(used, &third, NOW + 61), 0);
    used_tokens_free(used);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_name_of_a_certificate_is_the_user_and_no_other,
                                        folder_setup, folder_teardown),
        cmocka_unit_test_setup_teardown(each_listener_has_its_own_ways, folder_setup,
                                        folder_teardown),
        cmocka_unit_test_setup_teardown(keys_of_tokens_are_read_by_line, folder_setup,
                                        folder_teardown),
        cmocka_unit_test(a_token_is_used_once_and_remembered_until_it_expires),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
