/* Who is let in by a token, and what the memory of used tokens does when it is full. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "crypto/token.h"
#include "node/logins.h"

#include <stdio.h>

#define NOW 1800000000

struct side {
    struct registry *registry;
    struct logins *logins;
    struct sign_key member, stranger;
    unsigned tokens; /* made so far */
    enum broker_role role;
    int error;
};

static struct sign_key key_of(uint8_t byte)
{
    uint8_t seed[SEED_SIZE];
    struct sign_key key;
    memset(seed, byte, sizeof seed);
    sign_key_from_seed(seed, &key);
    return key;
}

static void side_init(struct side *s, size_t tokens_max)
{
    memset(s, 0, sizeof *s);
    s->member = key_of(1);
    s->stranger = key_of(2);
    assert_int_equal(registry_new(&s->registry), 0);
    const struct registry_entry entry = {
        .id = "plant-a/gw1",
        .kind = REGISTRY_GATEWAY,
        .key = s->member.public_key,
        .validator = -1,
    };
    assert_int_equal(registry_set(s->registry, &entry), 0);
    assert_int_equal(logins_new(
                         &(struct logins_options){
                             .registry = s->registry,
                             .network = "plant",
                             .node = "node/a",
                             .started_s = NOW - 100,
                             .tokens_max = tokens_max,
                         },
                         &s->logins),
                     0);
}

static void side_close(struct side *s)
{
    logins_free(s->logins);
    registry_free(s->registry);
}

static void make_token(struct side *s, const char *id, const struct sign_key *key, struct buf *out)
{
    struct token token = {
        .network = "plant", .node = "node/a", .iat = NOW, .exp = NOW + 60, .has_key = true};
    snprintf(token.iss, sizeof token.iss, "%s", id);
    snprintf(token.jti, sizeof token.jti, "token-number-%06u", ++s->tokens);
    token.key = key->public_key;
    assert_int_equal(token_make(&token, key, out), 0);
}

static enum login_answer ask_with(struct side *s, const char *id, struct bytes password,
                                  int64_t now_s)
{
    const struct broker_auth_request request = {
        .client_id = bytes_str(id),
        .has_user_name = true,
        .has_password = true,
        .user_name = bytes_str(id),
        .password = password,
        .peer = "127.0.0.1:1",
    };
    return logins_ask(s->logins, &request, now_s, &s->role, &s->error);
}

static enum login_answer ask(struct side *s, const char *id, const struct sign_key *key)
{
    struct buf token = {0};
    make_token(s, id, key, &token);
    enum login_answer answer = ask_with(s, id, buf_bytes(&token), NOW);
    buf_close(&token);
    return answer;
}

static void a_registered_key_makes_a_member_and_another_key_nobody(void **state)
{
    (void)state;
    struct side s;
    side_init(&s, 0);
    assert_int_equal(ask(&s, "plant-a/gw1", &s.member), LOGIN_GRANTED);
    assert_int_equal(s.role, BROKER_ROLE_MEMBER);
    assert_int_equal(ask(&s, "plant-a/gw1", &s.stranger), LOGIN_REFUSED);
    assert_int_equal(s.error, SEALMQ_E_SIGNATURE);
    assert_int_equal(ask(&s, "plant-a/gw2", &s.stranger), LOGIN_GRANTED);
    assert_int_equal(s.role, BROKER_ROLE_APPLICANT);
    assert_int_equal(ask_with(&s, "plant-a/gw1", BYTES_LIT("a word"), NOW), LOGIN_REFUSED);
    assert_int_equal(ask_with(&s, "plant-a/gw2", BYTES_LIT("a word"), NOW), LOGIN_OTHER);
    side_close(&s);
}

static void a_token_is_for_one_id_and_one_use(void **state)
{
    (void)state;
    struct side s;
    struct buf token = {0};
    side_init(&s, 0);
    make_token(&s, "plant-a/gw1", &s.member, &token);
    assert_int_equal(ask_with(&s, "plant-a/gw2", buf_bytes(&token), NOW), LOGIN_REFUSED);
    assert_int_equal(s.error, SEALMQ_E_DENIED);
    assert_int_equal(ask_with(&s, "plant-a/gw1", buf_bytes(&token), NOW), LOGIN_GRANTED);
    assert_int_equal(ask_with(&s, "plant-a/gw1", buf_bytes(&token), NOW), LOGIN_REFUSED);
    assert_int_equal(s.error, SEALMQ_E_REPLAY);
    buf_close(&token);
    side_close(&s);
}

static void strangers_cannot_take_all_places_for_used_tokens(void **state)
{
    (void)state;
    struct side s;
    char id[32];
    side_init(&s, 8);
    for (unsigned i = 0; i < 20; i++) {
        snprintf(id, sizeof id, "flood/id%u", i);
        enum login_answer answer = ask(&s, id, &s.stranger);
        assert_int_equal(answer, i < 4 ? LOGIN_GRANTED : LOGIN_REFUSED);
        assert_int_equal(s.error, i < 4 ? 0 : SEALMQ_E_BUSY);
    }
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(ask(&s, "plant-a/gw1", &s.member), LOGIN_GRANTED);
    assert_int_equal(ask(&s, "plant-a/gw1", &s.member), LOGIN_REFUSED);
    assert_int_equal(s.error, SEALMQ_E_BUSY);
    side_close(&s);
}

static int setup(void **state)
{
    (void)state;
    return crypto_init();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_registered_key_makes_a_member_and_another_key_nobody),
        cmocka_unit_test(a_token_is_for_one_id_and_one_use),
        cmocka_unit_test(strangers_cannot_take_all_places_for_used_tokens),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
