/* Who a client is, from what its connection and its CONNECT show. */
#include "serve/rules_int.h"

static void refuse(struct rules_answer *out, uint8_t reason, const char *words)
{
    out->verdict = RULES_REFUSE;
    out->reason = reason;
    out->words = words;
}

/* A compact JWS has exactly two dots; a password that looks like one is taken for one only if its
 * claims can be read. */
static bool read_token(const struct broker_auth_request *request, struct token *claims)
{
    size_t dots = 0;
    if (!request->has_password || request->password.n > TOKEN_BYTES_MAX)
        return false;
    for (size_t i = 0; i < request->password.n; i++)
        dots += request->password.p[i] == '.';
    return dots == 2 && token_parse(request->password, claims) == 0;
}

static const char *token_words(int error)
{
    switch (error) {
    case SEALMQ_E_EXPIRED:
        return "the token is expired, lives too long, or is from the future: check the clock";
    case SEALMQ_E_REPLAY:
        return "the token was used before, or is older than this server's start: make a new one";
    case SEALMQ_E_NETWORK:
        return "the token is for another network or server";
    case SEALMQ_E_UNKNOWN:
        return "the token is of a key that this server does not list";
    case SEALMQ_E_BUSY:
        return "too many tokens were used lately: try again later";
    default:
        return "the token does not verify";
    }
}

static void decide_token(const struct rules *rules, const struct broker_auth_request *request,
                         const struct token *claims, struct used_tokens *used, int64_t now_s,
                         struct rules_answer *out)
{
    struct token token;
    const struct public_key *key = token_keys_find(rules->token_keys, claims->iss);
    if (request->has_user_name && request->user_name.n != 0 &&
        !bytes_equal(request->user_name, bytes_str(claims->iss))) {
        refuse(out, MQTT_REASON_BAD_USER_NAME_OR_PASSWORD,
               "the user name is not the id that the token is of");
        return;
    }
    int e = key == NULL
                ? SEALMQ_E_UNKNOWN
                : token_verify(request->password, key, rules->network, rules->node, now_s, &token);
    if (e == 0)
        e = used_tokens_use(used, &token, now_s);
    if (e != 0) {
        refuse(out,
               e == SEALMQ_E_BUSY ? MQTT_REASON_SERVER_BUSY : MQTT_REASON_BAD_USER_NAME_OR_PASSWORD,
               token_words(e));
        return;
    }
    memcpy(out->name, token.iss, sizeof out->name);
    out->verdict = RULES_LET_IN;
    out->user_name = bytes_str(out->name);
}

/* Whether the transport has shown who it is, in a way that counts on this listener. */
static bool has_identity(const struct rules_listener *listener, const struct net_peer *peer)
{
    switch (peer->kind) {
    case NET_IDENTITY_CERTIFICATE:
        return peer->identity.n != 0 && listener->takes[CONFIG_CERTIFICATE];
    case NET_IDENTITY_PSK:
        return peer->identity.n != 0 && listener->takes[CONFIG_PSK];
    case NET_IDENTITY_NONE:
        break;
    }
    return false;
}

void rules_decide(const struct rules *rules, const struct net_peer *peer,
                  const struct broker_auth_request *request, struct used_tokens *used,
                  int64_t now_s, struct rules_answer *out)
{
    struct token claims;
    *out = (struct rules_answer){.verdict = RULES_LET_IN};
    if (peer->listener >= rules->listener_count) {
        refuse(out, MQTT_REASON_NOT_AUTHORIZED, "this listener has no rules");
        return;
    }
    const struct rules_listener *listener = &rules->listeners[peer->listener];
    if (has_identity(listener, peer)) {
        if (request->has_user_name && request->user_name.n != 0 &&
            !bytes_equal(request->user_name, peer->identity))
            refuse(out, MQTT_REASON_BAD_USER_NAME_OR_PASSWORD,
                   "the user name is not that of the certificate or key; leave it out");
        out->user_name = peer->identity;
        return;
    }
    if (rules->token_keys != NULL && listener->takes[CONFIG_TOKEN] &&
        read_token(request, &claims)) {
        decide_token(rules, request, &claims, used, now_s, out);
        return;
    }
    if (request->has_user_name && rules->passwords != NULL && listener->takes[CONFIG_PASSWORD]) {
        out->verdict = RULES_CHECK_PASSWORD;
        return;
    }
    if (listener->lets_anonymous_in)
        return;
    if (request->has_user_name && request->has_password)
        refuse(out, MQTT_REASON_BAD_USER_NAME_OR_PASSWORD,
               rules->passwords == NULL ? "this server has no password file"
                                        : "this listener takes no passwords");
    else
        refuse(out, MQTT_REASON_NOT_AUTHORIZED,
               rules->passwords != NULL && listener->takes[CONFIG_PASSWORD]
                   ? "log in with user name and password; anonymous access is off"
                   : "no proof of who you are was given; anonymous access is off");
}

bool rules_take_scram(const struct rules *rules, const struct net_peer *peer)
{
    return peer->listener < rules->listener_count &&
           rules->listeners[peer->listener].takes[CONFIG_PASSWORD] && rules->passwords != NULL &&
           passwords_has_scram(rules->passwords);
}

const char *rules_scram_objection(const struct rules *rules, const struct net_peer *peer,
                                  const struct broker_auth_request *request, struct bytes user)
{
    if (peer->listener >= rules->listener_count)
        return "this listener has no rules";
    if (has_identity(&rules->listeners[peer->listener], peer) && !bytes_equal(user, peer->identity))
        return "the user is not that of the certificate or key";
    if (request->has_user_name && request->user_name.n != 0 &&
        !bytes_equal(user, request->user_name))
        return "the user name of CONNECT is another one; leave it out";
    return NULL;
}
