/* Access rules: the text of an ACL, the network's roles, and what a subscription may ask for. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/acl.h"
#include "broker/filter_sets.h"

#include <stdio.h>

static struct acl *parse(const char *text, const char *network)
{
    struct acl *acl = NULL;
    unsigned line = 0;
    char why[100] = "";
    assert_int_equal(acl_parse(bytes_str(text), network, &acl, &line, why, sizeof why), 0);
    return acl;
}

static struct broker_subject subject(enum broker_role role, const char *id, const char *user)
{
    return (struct broker_subject){
        .role = role,
        .client_id = bytes_str(id),
        .user_name = bytes_str(user),
        .is_anonymous = user[0] == '\0',
    };
}

static bool may(const struct acl *acl, const struct broker_subject *s, enum broker_access access,
                const char *topic)
{
    return acl_allows(acl, s, access, bytes_str(topic));
}

static const char text[] = "# a comment\n"
                           "topic read public/#\n"
                           "\n"
                           "user alice smith\r\n"
                           "topic home/#\n"
                           "topic deny home/safe/#\n"
                           "  topic write only/write\n"
                           "user bob\n"
                           "topic readwrite bob's topic with spaces\n"
                           "topic read\n"
                           "pattern readwrite clients/%c/#\n"
                           "pattern read users/%u\n"
                           "user alice smith\n"
                           "topic read late";

static void lines_before_a_user_are_for_anonymous_clients(void **state)
{
    (void)state;
    struct acl *acl = parse(text, NULL);
    struct broker_subject nobody = subject(BROKER_ROLE_ORDINARY, "x", "");
    struct broker_subject alice = subject(BROKER_ROLE_ORDINARY, "x", "alice smith");
    assert_true(may(acl, &nobody, BROKER_READ, "public/a"));
    assert_false(may(acl, &nobody, BROKER_WRITE, "public/a"));
    assert_false(may(acl, &nobody, BROKER_READ, "home/a"));
    assert_false(may(acl, &alice, BROKER_READ, "public/a"));
    acl_free(acl);
}

static void users_have_their_own_topics_and_deny_outweighs(void **state)
{
    (void)state;
    struct acl *acl = parse(text, NULL);
    struct broker_subject alice = subject(BROKER_ROLE_ORDINARY, "x", "alice smith");
    struct broker_subject bob = subject(BROKER_ROLE_ORDINARY, "x", "bob");
    struct broker_subject other = subject(BROKER_ROLE_ORDINARY, "x", "carol");
    assert_true(may(acl, &alice, BROKER_READ, "home/kitchen"));
    assert_true(may(acl, &alice, BROKER_WRITE, "home/kitchen"));
    assert_false(may(acl, &alice, BROKER_READ, "home/safe/1"));
    assert_false(may(acl, &alice, BROKER_WRITE, "home/safe"));
    assert_true(may(acl, &alice, BROKER_WRITE, "only/write"));
    assert_false(may(acl, &alice, BROKER_READ, "only/write"));
    assert_true(may(acl, &alice, BROKER_READ, "late"));
    assert_false(may(acl, &alice, BROKER_READ, "read"));
    assert_true(may(acl, &bob, BROKER_READ, "bob's topic with spaces"));
    assert_true(may(acl, &bob, BROKER_WRITE, "read"));
    assert_false(may(acl, &bob, BROKER_READ, "home/kitchen"));
    assert_false(may(acl, &other, BROKER_READ, "home/kitchen"));
    acl_free(acl);
}

static void patterns_are_for_everyone_by_name(void **state)
{
    (void)state;
    struct acl *acl = parse(text, NULL);
    struct broker_subject bob = subject(BROKER_ROLE_ORDINARY, "dev1", "bob");
    struct broker_subject nobody = subject(BROKER_ROLE_ORDINARY, "dev2", "");
    struct broker_subject sly = subject(BROKER_ROLE_ORDINARY, "+", "#");
    assert_true(may(acl, &bob, BROKER_WRITE, "clients/dev1/x"));
    assert_false(may(acl, &bob, BROKER_WRITE, "clients/dev2/x"));
    assert_true(may(acl, &nobody, BROKER_WRITE, "clients/dev2/x"));
    assert_true(may(acl, &bob, BROKER_READ, "users/bob"));
    assert_false(may(acl, &nobody, BROKER_READ, "users/"));
    assert_false(may(acl, &sly, BROKER_WRITE, "clients/dev2/x"));
    assert_false(may(acl, &sly, BROKER_READ, "users/bob"));
    acl_free(acl);
    /* A denial by pattern holds also for those who cannot be named in it. */
    acl = parse("pattern deny secret/%c/#\npattern read #\n", NULL);
    assert_false(may(acl, &sly, BROKER_READ, "secret/dev1/x"));
    assert_true(may(acl, &bob, BROKER_READ, "secret/dev2/x"));
    assert_false(may(acl, &bob, BROKER_READ, "secret/dev1/x"));
    acl_free(acl);
}

/* "a/b" must not be heard in what belongs to "a". */
static void a_name_with_levels_gains_nothing_by_a_pattern(void **state)
{
    (void)state;
    struct acl *acl = parse("pattern write clients/%c/#\npattern read users/%u\n"
                            "pattern deny open/%c/#\npattern read open/#\n",
                            NULL);
    struct broker_subject a = subject(BROKER_ROLE_ORDINARY, "a", "a");
    struct broker_subject below = subject(BROKER_ROLE_ORDINARY, "a/b", "a/b");
    struct broker_subject nobody = subject(BROKER_ROLE_ORDINARY, "c", "");
    assert_true(may(acl, &a, BROKER_WRITE, "clients/a/b/x"));
    assert_false(may(acl, &below, BROKER_WRITE, "clients/a/b/x"));
    assert_false(may(acl, &below, BROKER_READ, "users/a/b"));
    /* A denial is meant for it all the same, and for no other topic. */
    assert_false(may(acl, &below, BROKER_READ, "open/a/b/x"));
    assert_true(may(acl, &below, BROKER_READ, "open/a/c"));
    assert_true(may(acl, &nobody, BROKER_READ, "open/x"));
    acl_free(acl);
    /* Who has no name is in no pattern by name, be it a grant or a denial. */
    acl = parse("topic read open/#\npattern deny open/%u\n", NULL);
    struct broker_subject anonymous = subject(BROKER_ROLE_ORDINARY, "c", "");
    anonymous.is_anonymous = true;
    assert_true(may(acl, &anonymous, BROKER_READ, "open/x"));
    acl_free(acl);
}

static void subscription_is_allowed_when_something_can_be_read(void **state)
{
    (void)state;
    struct acl *acl = parse(text, NULL);
    struct broker_subject alice = subject(BROKER_ROLE_ORDINARY, "x", "alice smith");
    assert_true(may(acl, &alice, BROKER_SUBSCRIBE, "#"));
    assert_true(may(acl, &alice, BROKER_SUBSCRIBE, "+/kitchen"));
    assert_true(may(acl, &alice, BROKER_SUBSCRIBE, "home/#"));
    assert_false(may(acl, &alice, BROKER_SUBSCRIBE, "home/safe/+"));
    assert_false(may(acl, &alice, BROKER_SUBSCRIBE, "office/#"));
    assert_false(may(acl, &alice, BROKER_SUBSCRIBE, "only/write"));
    assert_false(may(acl, &alice, BROKER_SUBSCRIBE, "$SYS/#"));
    acl_free(acl);
}

static void defaults_without_a_text(void **state)
{
    (void)state;
    struct acl *acl = NULL;
    struct broker_subject any = subject(BROKER_ROLE_ORDINARY, "x", "");
    assert_int_equal(acl_default_new(ACL_DEFAULT_ALL_BUT_DOLLAR, NULL, &acl), 0);
    assert_true(may(acl, &any, BROKER_WRITE, "chain/plant/x"));
    assert_true(may(acl, &any, BROKER_SUBSCRIBE, "#"));
    assert_true(may(acl, &any, BROKER_READ, "$SYS/x"));
    assert_true(may(acl, &any, BROKER_SUBSCRIBE, "$SYS/#"));
    assert_false(may(acl, &any, BROKER_WRITE, "$SYS/x"));
    assert_false(may(acl, &any, BROKER_READ, "$SYSTEM/x"));
    acl_free(acl);
    assert_int_equal(acl_default_new(ACL_DEFAULT_READ_VERIFIED, "plant", &acl), 0);
    assert_true(may(acl, &any, BROKER_READ, "verified/a/b/c"));
    assert_true(may(acl, &any, BROKER_SUBSCRIBE, "verified/#"));
    assert_true(may(acl, &any, BROKER_SUBSCRIBE, "#"));
    assert_false(may(acl, &any, BROKER_WRITE, "verified/a/b/c"));
    assert_false(may(acl, &any, BROKER_READ, "chain/plant/head"));
    assert_false(may(acl, &any, BROKER_SUBSCRIBE, "chain/#"));
    acl_free(acl);
}

static void member_stays_below_its_own_id(void **state)
{
    (void)state;
    struct acl *acl = parse("topic #\nuser devices/iot\ntopic #\n", "plant");
    struct broker_subject m = subject(BROKER_ROLE_MEMBER, "devices/iot", "devices/iot");
    assert_true(may(acl, &m, BROKER_WRITE, "devices/iot/RealTime"));
    assert_true(may(acl, &m, BROKER_WRITE, "devices/iot/500001/RealTime"));
    assert_true(may(acl, &m, BROKER_READ, "devices/iot/key/success"));
    assert_true(may(acl, &m, BROKER_SUBSCRIBE, "devices/iot/#"));
    assert_false(may(acl, &m, BROKER_WRITE, "devices/iot"));
    assert_false(may(acl, &m, BROKER_WRITE, "devices/iot2/x"));
    assert_false(may(acl, &m, BROKER_WRITE, "devices/other/x"));
    assert_false(may(acl, &m, BROKER_READ, "devices/other/x"));
    assert_false(may(acl, &m, BROKER_SUBSCRIBE, "devices/other/#"));
    assert_true(may(acl, &m, BROKER_WRITE, "chain/plant/request"));
    /* It may have become a validator since it logged in: the node looks. */
    assert_true(may(acl, &m, BROKER_WRITE, "chain/plant/prepare"));
    assert_true(may(acl, &m, BROKER_WRITE, "chain/plant/sync/fetch"));
    assert_false(may(acl, &m, BROKER_WRITE, "chain/plant/nodes"));
    assert_false(may(acl, &m, BROKER_WRITE, "chain/plant/query"));
    assert_false(may(acl, &m, BROKER_WRITE, "chain/other/request"));
    assert_true(may(acl, &m, BROKER_READ, "chain/plant/reply/devices/iot"));
    assert_false(may(acl, &m, BROKER_READ, "chain/plant/reply/devices/other"));
    assert_true(may(acl, &m, BROKER_READ, "chain/plant/nodes"));
    assert_true(may(acl, &m, BROKER_READ, "chain/plant/head"));
    assert_false(may(acl, &m, BROKER_READ, "chain/plant/commit"));
    assert_true(may(acl, &m, BROKER_READ, "verified/devices/other/x"));
    assert_false(may(acl, &m, BROKER_WRITE, "verified/devices/iot/x"));
    acl_free(acl);
}

static void id_that_is_named_like_the_chain_gains_nothing(void **state)
{
    (void)state;
    struct acl *acl = NULL;
    assert_int_equal(acl_default_new(ACL_DEFAULT_READ_VERIFIED, "plant", &acl), 0);
    struct broker_subject m = subject(BROKER_ROLE_MEMBER, "chain/plant", "");
    assert_false(may(acl, &m, BROKER_WRITE, "chain/plant/nodes"));
    m = subject(BROKER_ROLE_MEMBER, "verified/plant", "");
    assert_false(may(acl, &m, BROKER_WRITE, "verified/plant/x"));
    m = subject(BROKER_ROLE_MEMBER, "+/+", "");
    assert_false(may(acl, &m, BROKER_WRITE, "a/b/c"));
    m = subject(BROKER_ROLE_APPLICANT, "chain/plant", "");
    assert_false(may(acl, &m, BROKER_READ, "chain/plant/commit"));
    acl_free(acl);
}

static void applicant_reaches_announce_key_and_its_hints(void **state)
{
    (void)state;
    struct acl *acl = NULL;
    assert_int_equal(acl_default_new(ACL_DEFAULT_READ_VERIFIED, "plant", &acl), 0);
    struct broker_subject a = subject(BROKER_ROLE_APPLICANT, "devices/new", "devices/new");
    assert_true(may(acl, &a, BROKER_WRITE, "chain/plant/announce"));
    assert_true(may(acl, &a, BROKER_WRITE, "devices/new/key"));
    assert_true(may(acl, &a, BROKER_SUBSCRIBE, "devices/new/unauth"));
    assert_false(may(acl, &a, BROKER_WRITE, "devices/new/RealTime"));
    assert_false(may(acl, &a, BROKER_WRITE, "chain/plant/request"));
    assert_false(may(acl, &a, BROKER_READ, "verified/x"));
    acl_free(acl);
}

static void validator_has_the_chain_and_admin_reads_what_is_not_sealed(void **state)
{
    (void)state;
    struct acl *acl = NULL;
    assert_int_equal(acl_default_new(ACL_DEFAULT_READ_VERIFIED, "plant", &acl), 0);
    struct broker_subject v = subject(BROKER_ROLE_VALIDATOR, "broker/a", "broker/a");
    assert_true(may(acl, &v, BROKER_WRITE, "chain/plant/pre-prepare"));
    assert_true(may(acl, &v, BROKER_SUBSCRIBE, "chain/plant/#"));
    assert_false(may(acl, &v, BROKER_WRITE, "chain/other/commit"));
    assert_false(may(acl, &v, BROKER_WRITE, "devices/iot/RealTime"));
    struct broker_subject admin = subject(BROKER_ROLE_ADMIN, "ops/eve", "ops/eve");
    assert_true(may(acl, &admin, BROKER_WRITE, "chain/plant/request"));
    assert_true(may(acl, &admin, BROKER_WRITE, "chain/plant/query"));
    assert_false(may(acl, &admin, BROKER_WRITE, "chain/plant/commit"));
    assert_true(may(acl, &admin, BROKER_READ, "chain/plant/commit"));
    assert_true(may(acl, &admin, BROKER_READ, "verified/devices/iot/x"));
    assert_true(may(acl, &admin, BROKER_READ, "ops/eve/x"));
    assert_false(may(acl, &admin, BROKER_READ, "devices/iot/RealTime"));
    assert_true(may(acl, &admin, BROKER_SUBSCRIBE, "#"));
    assert_true(may(acl, &admin, BROKER_SUBSCRIBE, "chain/plant/#"));
    assert_false(may(acl, &admin, BROKER_SUBSCRIBE, "devices/iot/#"));
    acl_free(acl);
}

static void ordinary_client_cannot_write_what_others_rely_on(void **state)
{
    (void)state;
    struct acl *acl = parse("user op\ntopic #\n", "plant");
    struct broker_subject op = subject(BROKER_ROLE_ORDINARY, "x", "op");
    assert_true(may(acl, &op, BROKER_WRITE, "lights"));
    assert_true(may(acl, &op, BROKER_READ, "chain/plant/commit"));
    assert_false(may(acl, &op, BROKER_WRITE, "chain/plant/commit"));
    assert_false(may(acl, &op, BROKER_WRITE, "verified/a/b"));
    acl_free(acl);
}

static void bad_text_is_refused_with_its_line(void **state)
{
    (void)state;
    static const struct {
        const char *text;
        unsigned line;
    } bad[] = {
        {"topic", 1},
        {"\nuser\n", 2},
        {"user a\ntopic read a/#/b\n", 2},
        {"allow a\n", 1},
        {"pattern a+\n", 1},
        {"user u\ntopic dney a\n", 2},
        {"topic my room/#\n", 1},
        {"topic a\n\n\ntopics b", 4},
        {"topic \xff\xfe\n", 1},
        {"topic read b#", 1},
    };
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        struct acl *acl = NULL;
        unsigned line = 0;
        char why[100] = "";
        assert_int_equal(acl_parse(bytes_str(bad[i].text), NULL, &acl, &line, why, sizeof why),
                         SEALMQ_E_CONFIG);
        assert_int_equal(line, bad[i].line);
        assert_true(why[0] != '\0');
        assert_null(acl);
    }
}

static void filters_as_sets(void **state)
{
    (void)state;
    static const struct {
        const char *a, *b;
        bool overlap, a_covers_b, b_covers_a;
    } cases[] = {
        {"a", "a", true, true, true},
        {"a", "b", false, false, false},
        {"a/#", "a", true, true, false},
        {"a/#", "a/b/c", true, true, false},
        {"a/#", "#", true, false, true},
        {"+/b", "a/+", true, false, false},
        {"+", "a", true, true, false},
        {"+/+", "+", false, false, false},
        {"+", "#", true, false, true},
        {"a/b/#", "a", false, false, false},
        {"a/+/#", "a/#", true, false, true},
        {"a/+/#", "a", false, false, false},
        {"#", "$SYS/x", false, false, false},
        {"+/x", "$SYS/x", false, false, false},
        {"$SYS/#", "$SYS/x", true, true, false},
        {"a//b", "a/+/b", true, false, true},
        {"#", "#", true, true, true},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct bytes a = bytes_str(cases[i].a);
        struct bytes b = bytes_str(cases[i].b);
        assert_int_equal(filters_overlap(a, b), cases[i].overlap);
        assert_int_equal(filters_overlap(b, a), cases[i].overlap);
        assert_int_equal(filter_covers(a, b), cases[i].a_covers_b);
        assert_int_equal(filter_covers(b, a), cases[i].b_covers_a);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lines_before_a_user_are_for_anonymous_clients),
        cmocka_unit_test(users_have_their_own_topics_and_deny_outweighs),
        cmocka_unit_test(patterns_are_for_everyone_by_name),
        cmocka_unit_test(a_name_with_levels_gains_nothing_by_a_pattern),
        cmocka_unit_test(subscription_is_allowed_when_something_can_be_read),
        cmocka_unit_test(defaults_without_a_text),
        cmocka_unit_test(member_stays_below_its_own_id),
        cmocka_unit_test(id_that_is_named_like_the_chain_gains_nothing),
        cmocka_unit_test(applicant_reaches_announce_key_and_its_hints),
        cmocka_unit_test(validator_has_the_chain_and_admin_reads_what_is_not_sealed),
        cmocka_unit_test(ordinary_client_cannot_write_what_others_rely_on),
        cmocka_unit_test(bad_text_is_refused_with_its_line),
        cmocka_unit_test(filters_as_sets),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
