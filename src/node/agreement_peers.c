/* The links to the other nodes' brokers. A node speaks on its own links and listens on its own
 * broker, so that each direction has one connection. */
#include "base/log.h"
#include "crypto/random.h"
#include "crypto/token.h"
#include "node/agreement_int.h"

#include <stdio.h>

#define COMPONENT         "agreement"
#define TOKEN_LIFE_S      60
#define LINK_QUEUE_BYTES  (64 * 1024 * 1024)
#define LINK_KEEP_ALIVE_S 10

static const struct validator *peer_validator(const struct peer *peer)
{
    return &peer->agreement->options.genesis->validators.v[peer->validator];
}

static int peer_credentials(void *context, struct buf *user_name, struct buf *password)
{
    struct peer *peer = context;
    const struct agreement_options *options = &peer->agreement->options;
    uint8_t random[TOKEN_JTI_RANDOM];
    random_bytes(random, sizeof random);
    int64_t now_s = agreement_wall_us() / 1000000;
    struct token token = {.iat = now_s, .exp = now_s + TOKEN_LIFE_S};
    snprintf(token.iss, sizeof token.iss, "%s", options->id);
    snprintf(token.network, sizeof token.network, "%s", options->genesis->network);
    snprintf(token.node, sizeof token.node, "%s", peer_validator(peer)->id);
    int error = token_jti_make(random, token.jti);
    if (error != 0)
        return error;
    buf_append_cstr(user_name, options->id);
    return token_make(&token, options->key, password);
}

static void peer_connected(void *context)
{
    struct peer *peer = context;
    log_info(COMPONENT, "connected to %s", peer_validator(peer)->id);
    agreement_peer_connected(peer->agreement, peer->validator);
}

static void peer_disconnected(void *context, uint8_t reason, const char *words)
{
    struct peer *peer = context;
    log_debug(COMPONENT, "no connection to %s: %s (reason 0x%02x)", peer_validator(peer)->id, words,
              reason);
    agreement_show_status(peer->agreement);
}

int peers_start(struct agreement *agreement)
{
    const struct validator_set *set = &agreement->options.genesis->validators;
    for (size_t i = 0; i < set->n; i++) {
        if (strcmp(set->v[i].id, agreement->options.id) == 0)
            continue;
        struct peer *peer = &agreement->peers[agreement->peer_count];
        *peer = (struct peer){.agreement = agreement, .validator = (int)i};
        char host[256];
        uint16_t port;
        int error = net_url_parse(bytes_str(set->v[i].url), host, sizeof host, &port);
        if (error != 0) {
            log_error(COMPONENT, "%s has the URL \"%s\" in the genesis: %s", set->v[i].id,
                      set->v[i].url, sealmq_error_text(error));
            return error;
        }
        const struct net_link_options options = {
            .loop = &agreement->loop,
            .host = host,
            .port = port,
            .client_id = agreement->options.id,
            .keep_alive_s = LINK_KEEP_ALIVE_S,
            .clean_start = true,
            .outgoing_bytes_limit = LINK_QUEUE_BYTES,
            .context = peer,
            .credentials = peer_credentials,
            .connected = peer_connected,
            .disconnected = peer_disconnected,
        };
        error = net_link_new(&options, &peer->link);
        if (error != 0)
            return error;
        agreement->peer_count++;
    }
    return 0;
}

void peers_stop(struct agreement *agreement)
{
    for (size_t i = 0; i < agreement->peer_count; i++)
        net_link_free(agreement->peers[i].link);
    agreement->peer_count = 0;
}

void peers_send(struct agreement *agreement, int to, const char *suffix, struct bytes bytes)
{
    char topic[NETWORK_MAX + 64];
    snprintf(topic, sizeof topic, "%s%s", agreement->topic_prefix, suffix);
    for (size_t i = 0; i < agreement->peer_count; i++) {
        struct peer *peer = &agreement->peers[i];
        if ((to >= 0 && peer->validator != to) || !net_link_is_connected(peer->link))
            continue;
        /* QoS 0: what gets lost with a connection, the core sends again. */
        int error = net_link_publish(peer->link, topic, bytes, 0, false, 0);
        if (error != 0)
            log_debug(COMPONENT, "%s to %s was not sent: %s", suffix, peer_validator(peer)->id,
                      sealmq_error_text(error));
    }
}
