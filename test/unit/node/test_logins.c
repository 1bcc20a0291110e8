#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "plant.h"

#include "crypto/token.h"
#include "node/logins.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define STARTED_S 1000000
#define NOW_S     (STARTED_S + 1000)

struct door {
    struct registry *registry;
    struct logins *logins;
    struct sign_key gateway, node, ourselves, admin, revoked, stranger;
    unsigned next_jti;
    /* the answer to the last question */
    enum broker_role role;
    int error;
};

static void add(struct door *door, const char *id, enum registry_kind kind,
                const struct sign_key *key, bool is_revoked)
{
    struct registry_entry entry = {
        .kind = kind, .key = key->public_key, .is_revoked = is_revoked, .validator = -1};
    snprintf(entry.id, sizeof entry.id, "%s", id);
    assert_int_equal(registry_set(door->registry, &entry), 0);
}

static int setup(void **state)
{
    struct door *door = calloc(1, sizeof *door);
    assert_non_null(door);
    assert_int_equal(crypto_init(), 0);
    assert_int_equal(registry_new(&door->registry), 0);
    assert_int_equal(logins_new(
                         &(struct logins_options){
                             .registry = door->registry,
                             .network = "plant",
                             .node = "node/a",
                             .started_s = STARTED_S,
                         },
                         &door->logins),
                     0);
    door->gateway = key_of(1);
    door->node = key_of(2);
    door->ourselves = key_of(6);
    door->admin = key_of(3);
    door->revoked = key_of(4);
    door->stranger = key_of(5);
    add(door, "plant-a/gw1", REGISTRY_GATEWAY, &door->gateway, false);
    add(door, "node/b", REGISTRY_VALIDATOR, &door->node, false);
    add(door, "node/a", REGISTRY_VALIDATOR, &door->ourselves, false);
    add(door, "admin/ops", REGISTRY_ADMIN, &door->admin, false);
    add(door, "plant-a/old", REGISTRY_GATEWAY, &door->revoked, true);
    *state = door;
    return 0;
}

static int teardown(void **state)
{
    struct door *door = *state;
    logins_free(door->logins);
    registry_free(door->registry);
    free(door);
    return 0;
}

static struct token token_of(struct door *door, const char *id)
{
    struct token token = {.network = "plant", .node = "node/a", .iat = NOW_S, .exp = NOW_S + 60};
    snprintf(token.iss, sizeof token.iss, "%s", id);
    snprintf(token.jti, sizeof token.jti, "jti-%016u", door->next_jti++);
    return token;
}

static enum login_answer ask_as(struct door *door, const char *id, struct bytes user_name,
                                struct bytes password, int64_t now_s)
{
    const struct broker_auth_request request = {
        .client_id = bytes_str(id),
        .has_user_name = true,
        .has_password = password.p != NULL,
        .user_name = user_name,
        .password = password,
        .peer = "127.0.0.1:1",
    };
    door->role = BROKER_ROLE_ORDINARY;
    return logins_ask(door->logins, &request, now_s, &door->role, &door->error);
}

static enum login_answer ask(struct door *door, const char *id, struct bytes password,
                             int64_t now_s)
{
    return ask_as(door, id, bytes_str(id), password, now_s);
}

/* Asks with a token, signed by `key`. */
static enum login_answer show(struct door *door, const char *id, const struct token *token,
                              const struct sign_key *key)
{
    struct buf text = {0};
    assert_int_equal(token_make(token, key, &text), 0);
    enum login_answer answer = ask(door, id, buf_bytes(&text), NOW_S);
    buf_close(&text);
    return answer;
}

static void assert_refused(struct door *door, const char *id, const struct token *token,
                           const struct sign_key *key, int error)
{
    assert_int_equal(show(door, id, token, key), LOGIN_REFUSED);
    assert_int_equal(door->error, error);
}

static void every_kind_of_key_gets_its_role(void **state)
{
    struct door *door = *state;
    const struct {
        const char *id;
        const struct sign_key *key;
        enum broker_role role;
    } cases[] = {
        {"plant-a/gw1", &door->gateway, BROKER_ROLE_MEMBER},
        {"node/b", &door->node, BROKER_ROLE_VALIDATOR},
        {"node/a", &door->ourselves, BROKER_ROLE_MEMBER}, /* the gateway on our machine */
        {"admin/ops", &door->admin, BROKER_ROLE_ADMIN},
    };
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        struct token token = token_of(door, cases[i].id);
        assert_int_equal(show(door, cases[i].id, &token, cases[i].key), LOGIN_GRANTED);
        assert_int_equal(door->role, cases[i].role);
        assert_int_equal(door->error, 0);
    }
}

static void a_token_is_used_once(void **state)
{
    struct door *door = *state;
    struct token token = token_of(door, "plant-a/gw1");
    assert_int_equal(show(door, "plant-a/gw1", &token, &door->gateway), LOGIN_GRANTED);
    assert_refused(door, "plant-a/gw1", &token, &door->gateway, SEALMQ_E_REPLAY);
    /* Only what verified is remembered: a forger cannot spend somebody's token. */
    token = token_of(door, "plant-a/gw1");
    assert_refused(door, "plant-a/gw1", &token, &door->stranger, SEALMQ_E_SIGNATURE);
    assert_int_equal(show(door, "plant-a/gw1", &token, &door->gateway), LOGIN_GRANTED);
}

static void tokens_older_than_the_start_are_refused(void **state)
{
    struct door *door = *state;
    struct token token = token_of(door, "plant-a/gw1");
    struct buf text = {0};
    token.iat = STARTED_S - 1;
    token.exp = STARTED_S + 60;
    assert_int_equal(token_make(&token, &door->gateway, &text), 0);
    assert_int_equal(ask(door, "plant-a/gw1", buf_bytes(&text), STARTED_S + 1), LOGIN_REFUSED);
    assert_int_equal(door->error, SEALMQ_E_REPLAY);
    buf_close(&text);
}

static void claims_that_do_not_fit_are_refused(void **state)
{
    struct door *door = *state;
    struct token token = token_of(door, "plant-a/gw1");
    assert_refused(door, "plant-a/gw2", &token, &door->gateway, SEALMQ_E_DENIED);
    snprintf(token.network, sizeof token.network, "other");
    assert_refused(door, "plant-a/gw1", &token, &door->gateway, SEALMQ_E_NETWORK);
    token = token_of(door, "plant-a/gw1");
    snprintf(token.node, sizeof token.node, "node/b");
    assert_refused(door, "plant-a/gw1", &token, &door->gateway, SEALMQ_E_NETWORK);
    token = token_of(door, "plant-a/gw1");
    token.iat = NOW_S - 100;
    token.exp = NOW_S - 1;
    assert_refused(door, "plant-a/gw1", &token, &door->gateway, SEALMQ_E_EXPIRED);
    token = token_of(door, "plant-a/gw1");
    token.exp = NOW_S + TOKEN_LIFE_MAX_S + 1;
    assert_refused(door, "plant-a/gw1", &token, &door->gateway, SEALMQ_E_EXPIRED);
    token = token_of(door, "plant-a/gw1");
    assert_refused(door, "plant-a/gw1", &token, &door->node, SEALMQ_E_SIGNATURE);
    snprintf(token.node, sizeof token.node, "*");
    assert_int_equal(show(door, "plant-a/gw1", &token, &door->gateway), LOGIN_GRANTED);
}

static void a_stranger_becomes_an_applicant_by_its_own_key_alone(void **state)
{
    struct door *door = *state;
    struct token token = token_of(door, "plant-a/new");
    assert_refused(door, "plant-a/new", &token, &door->stranger, SEALMQ_E_UNKNOWN);
    token.has_key = true;
    token.key = door->stranger.public_key;
    assert_int_equal(show(door, "plant-a/new", &token, &door->stranger), LOGIN_GRANTED);
    assert_int_equal(door->role, BROKER_ROLE_APPLICANT);
    token = token_of(door, "plant-a/new");
    token.has_key = true;
    token.key = door->gateway.public_key; /* shows a key that it does not hold */
    assert_refused(door, "plant-a/new", &token, &door->stranger, SEALMQ_E_SIGNATURE);
}

static void a_key_in_the_token_opens_no_registered_id(void **state)
{
    struct door *door = *state;
    static const char *const ids[] = {"plant-a/gw1", "node/b", "admin/ops"};
    for (size_t i = 0; i < 3; i++) {
        struct token token = token_of(door, ids[i]);
        token.has_key = true;
        token.key = door->stranger.public_key;
        assert_refused(door, ids[i], &token, &door->stranger, SEALMQ_E_SIGNATURE);
    }
}

static void who_was_revoked_is_an_applicant_again(void **state)
{
    struct door *door = *state;
    struct token token = token_of(door, "plant-a/old");
    assert_int_equal(show(door, "plant-a/old", &token, &door->revoked), LOGIN_GRANTED);
    assert_int_equal(door->role, BROKER_ROLE_APPLICANT);
    token = token_of(door, "plant-a/old");
    token.has_key = true;
    token.key = door->stranger.public_key; /* a new one */
    assert_int_equal(show(door, "plant-a/old", &token, &door->stranger), LOGIN_GRANTED);
    assert_int_equal(door->role, BROKER_ROLE_APPLICANT);
}

static void what_is_no_token_is_for_the_password_file(void **state)
{
    struct door *door = *state;
    static const char *const passwords[] = {"", "secret", "a.b", "a.b.c", "..", "a.b.c.d"};
    for (size_t i = 0; i < sizeof passwords / sizeof passwords[0]; i++)
        assert_int_equal(ask(door, "anna-1", bytes_str(passwords[i]), NOW_S), LOGIN_OTHER);
    assert_int_equal(ask(door, "anna-1", (struct bytes){0}, NOW_S), LOGIN_OTHER);
    uint8_t *huge = calloc(1, 65535);
    assert_non_null(huge);
    huge[10] = huge[20] = '.';
    assert_int_equal(ask(door, "anna-1", bytes_of(huge, 65535), NOW_S), LOGIN_OTHER);
    free(huge);
}

static void an_id_with_a_key_needs_a_token(void **state)
{
    struct door *door = *state;
    static const char *const ids[] = {"plant-a/gw1", "node/b", "admin/ops"};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(ask(door, ids[i], BYTES_LIT("secret"), NOW_S), LOGIN_REFUSED);
        assert_int_equal(door->error, SEALMQ_E_DENIED);
        assert_int_equal(ask(door, ids[i], (struct bytes){0}, NOW_S), LOGIN_REFUSED);
    }
}

static void no_changed_token_gets_in(void **state)
{
    struct door *door = *state;
    struct token token = token_of(door, "plant-a/gw1");
    struct buf text = {0};
    assert_int_equal(token_make(&token, &door->gateway, &text), 0);
    for (size_t i = 0; i < text.n; i++) {
        uint8_t before = text.p[i];
        text.p[i] = (uint8_t)(before ^ 1);
        assert_int_not_equal(ask(door, "plant-a/gw1", buf_bytes(&text), NOW_S), LOGIN_GRANTED);
        text.p[i] = before;
    }
    for (size_t n = 0; n < text.n; n++)
        assert_int_not_equal(ask(door, "plant-a/gw1", bytes_of(text.p, n), NOW_S), LOGIN_GRANTED);
    assert_int_equal(ask(door, "plant-a/gw1", buf_bytes(&text), NOW_S), LOGIN_GRANTED);
    buf_close(&text);
}

static void strangers_cannot_take_all_places_for_used_tokens(void **state)
{
    struct door *door = *state;
    char id[32];
    logins_free(door->logins);
    assert_int_equal(logins_new(
                         &(struct logins_options){
                             .registry = door->registry,
                             .network = "plant",
                             .node = "node/a",
                             .started_s = STARTED_S,
                             .tokens_max = 8,
                         },
                         &door->logins),
                     0);
    for (unsigned i = 0; i < 20; i++) {
        snprintf(id, sizeof id, "flood/id%u", i);
        struct token token = token_of(door, id);
        token.has_key = true;
        token.key = door->stranger.public_key;
        assert_int_equal(show(door, id, &token, &door->stranger),
                         i < 4 ? LOGIN_GRANTED : LOGIN_REFUSED);
        assert_int_equal(door->error, i < 4 ? 0 : SEALMQ_E_BUSY);
    }
    for (unsigned i = 0; i < 5; i++) {
        struct token token = token_of(door, "plant-a/gw1");
        assert_int_equal(show(door, "plant-a/gw1", &token, &door->gateway),
                         i < 4 ? LOGIN_GRANTED : LOGIN_REFUSED);
    }
    assert_int_equal(door->error, SEALMQ_E_BUSY);
}

static void used_tokens_are_forgotten_when_they_have_expired(void **state)
{
    struct door *door = *state;
    struct buf text = {0};
    /* More than are remembered, but never at once. */
    for (int i = 0; i < 50; i++) {
        struct token token = token_of(door, "plant-a/gw1");
        token.iat = NOW_S + i * 100;
        token.exp = token.iat + 60;
        buf_reset(&text);
        assert_int_equal(token_make(&token, &door->gateway, &text), 0);
        assert_int_equal(ask(door, "plant-a/gw1", buf_bytes(&text), token.iat), LOGIN_GRANTED);
        assert_int_equal(ask(door, "plant-a/gw1", buf_bytes(&text), token.iat + 59), LOGIN_REFUSED);
        assert_int_equal(door->error, SEALMQ_E_REPLAY);
        assert_int_equal(ask(door, "plant-a/gw1", buf_bytes(&text), token.iat + 60), LOGIN_REFUSED);
        assert_int_equal(door->error, SEALMQ_E_EXPIRED);
    }
    buf_close(&text);
}

/* It is kept with each report of the client. */
static void a_long_user_name_is_refused(void **state)
{
    struct door *door = *state;
    static const uint8_t name[LOGINS_USER_NAME_MAX + 1] = {'a'};
    for (size_t n = LOGINS_USER_NAME_MAX; n <= LOGINS_USER_NAME_MAX + 1; n++) {
        struct token token = token_of(door, "plant-a/gw1");
        struct buf text = {0};
        assert_int_equal(token_make(&token, &door->gateway, &text), 0);
        bool fits = n == LOGINS_USER_NAME_MAX;
        assert_int_equal(ask_as(door, "plant-a/gw1", bytes_of(name, n), buf_bytes(&text), NOW_S),
                         fits ? LOGIN_GRANTED : LOGIN_REFUSED);
        assert_int_equal(door->error, fits ? 0 : SEALMQ_E_LIMIT);
        buf_close(&text);
    }
}

int main(void)
{
#define WITH_DOOR(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_DOOR(every_kind_of_key_gets_its_role),
        WITH_DOOR(a_token_is_used_once),
        WITH_DOOR(a_long_user_name_is_refused),
        WITH_DOOR(tokens_older_than_the_start_are_refused),
        WITH_DOOR(claims_that_do_not_fit_are_refused),
        WITH_DOOR(a_stranger_becomes_an_applicant_by_its_own_key_alone),
        WITH_DOOR(a_key_in_the_token_opens_no_registered_id),
        WITH_DOOR(who_was_revoked_is_an_applicant_again),
        WITH_DOOR(what_is_no_token_is_for_the_password_file),
        WITH_DOOR(an_id_with_a_key_needs_a_token),
        WITH_DOOR(no_changed_token_gets_in),
        WITH_DOOR(strangers_cannot_take_all_places_for_used_tokens),
        WITH_DOOR(used_tokens_are_forgotten_when_they_have_expired),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
