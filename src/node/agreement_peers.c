/* The links to the other nodes' brokers. A node speaks on its own links and listens on its own
 * broker, so that each direction has one connection. */
#include "base/log.h"
#include "crypto/random.h"
#include "crypto/token.h"
#include "mqtt/reason.h"
#include "node/agreement_int.h"

#include <stdio.h>

#define COMPONENT         "agreement"
#define TOKEN_LIFE_S      60
#define LINK_QUEUE_BYTES  (64 * 1024 * 1024)
#define LINK_KEEP_ALIVE_S 10
#define PEER_LEFT_MS      10000 /* a link outlives its validator by so much */

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
    snprintf(token.node, sizeof token.node, "%s", peer->id);
    int error = token_jti_make(random, token.jti);
    if (error != 0)
        return error;
    buf_append_cstr(user_name, options->id);
    const struct sign_key *key = agreement_key(peer->agreement);
    if (peer->knows_other_key && options->next_key != NULL)
        key = key == options->key ? options->next_key : options->key;
    return token_make(&token, key, password);
}

static void peer_connected(void *context)
{
    struct peer *peer = context;
    log_info(COMPONENT, "connected to %s", peer->id);
    agreement_peer_connected(peer->agreement, peer->validator);
}

static void peer_disconnected(void *context, uint8_t reason, const char *words)
{
    struct peer *peer = context;
    /* Whoever is behind the exchange of its own key cannot know of it without the link. */
    if (reason == MQTT_REASON_BAD_USER_NAME_OR_PASSWORD || reason == MQTT_REASON_NOT_AUTHORIZED)
        peer->knows_other_key = !peer->knows_other_key;
    log_debug(COMPONENT, "no connection to %s: %s (reason 0x%02x)", peer->id, words, reason);
    agreement_show_status(peer->agreement);
}

/* What a broker of a validator sends back to a member that follows. */
static void peer_message(void *context, const struct net_link_message *message)
{
    struct peer *peer = context;
    struct agreement *agreement = peer->agreement;
    struct bytes topic = bytes_str(message->topic), prefix = bytes_str(agreement->topic_prefix);
    enum pbft_message_kind kind;
    if (!bytes_starts_with(topic, prefix) ||
        pbft_message_kind_of(bytes_of(topic.p + prefix.n, topic.n - prefix.n), &kind) != 0 ||
        (kind != PBFT_MSG_STATUS && kind != PBFT_MSG_BLOCKS))
        return;
    (void)agreement_step(agreement, &(struct pbft_event){
                                        .kind = PBFT_EVENT_MESSAGE,
                                        .now_ms = agreement_now_ms(),
                                        .wall_us = agreement_wall_us(),
                                        .message = {kind, message->payload, peer->validator},
                                    });
}

static struct peer *free_place(struct agreement *agreement)
{
    for (size_t i = 0; i < agreement->peer_count; i++)
        if (agreement->peers[i].link == NULL)
            return &agreement->peers[i];
    size_t most = sizeof agreement->peers / sizeof agreement->peers[0];
    return agreement->peer_count < most ? &agreement->peers[agreement->peer_count++] : NULL;
}

static int connect_to(struct agreement *agreement, const struct validator *validator, int index)
{
    struct peer *peer = free_place(agreement);
    char host[256];
    uint16_t port;
    int error = net_url_parse(bytes_str(validator->url), host, sizeof host, &port);
    if (error == 0 && peer == NULL)
        error = SEALMQ_E_FULL;
    if (error != 0)
        return error;
    *peer = (struct peer){.agreement = agreement, .validator = index};
    memcpy(peer->id, validator->id, sizeof peer->id);
    memcpy(peer->url, validator->url, sizeof peer->url);
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
        .message = peer_message,
    };
    return net_link_new(&options, &peer->link);
}

static void leave(struct peer *peer)
{
    net_link_free(peer->link);
    peer->link = NULL;
    peer->validator = -1;
}

void peers_follow(struct agreement *agreement)
{
    const struct validator_set *set = chain_validators(agreement->chain);
    bool has_link[VALIDATORS_MAX] = {false};
    for (size_t i = 0; i < agreement->peer_count; i++) {
        struct peer *peer = &agreement->peers[i];
        if (peer->link == NULL)
            continue;
        int index = validator_set_find(set, bytes_str(peer->id));
        if (index >= 0 && strcmp(set->v[index].url, peer->url) == 0) {
            has_link[index] = true;
            peer->validator = index;
        } else if (index >= 0) {
            leave(peer); /* it is somewhere else now */
        } else if (peer->validator >= 0) {
            peer->validator = -1;
            peer->left_ms = agreement_now_ms() + PEER_LEFT_MS;
        }
    }
    for (size_t i = 0; i < set->n; i++) {
        if (has_link[i] || strcmp(set->v[i].id, agreement->options.id) == 0)
            continue;
        int error = connect_to(agreement, &set->v[i], (int)i);
        if (error != 0)
            log_error(COMPONENT, "no link to %s at \"%s\": %s", set->v[i].id, set->v[i].url,
                      sealmq_error_text(error));
    }
}

void peers_sweep(struct agreement *agreement)
{
    for (size_t i = 0; i < agreement->peer_count; i++) {
        struct peer *peer = &agreement->peers[i];
        if (peer->link != NULL && peer->validator < 0 && peer->left_ms <= agreement_now_ms())
            leave(peer);
    }
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
    if (to >= VALIDATORS_MAX) { /* one that follows: it is a client of ours */
        const char *id = pbft_peer_id(agreement->pbft, to);
        if (id != NULL && agreement->options.send != NULL)
            agreement->options.send(agreement->options.context, id, topic, bytes);
        return;
    }
    for (size_t i = 0; i < agreement->peer_count; i++) {
        struct peer *peer = &agreement->peers[i];
        if (peer->link == NULL || (to >= 0 && peer->validator != to) ||
            !net_link_is_connected(peer->link))
            continue;
        /* QoS 0: what gets lost with a connection, the core sends again. */
        int error = net_link_publish(peer->link, topic, bytes, 0, false, 0);
        if (error != 0)
            log_debug(COMPONENT, "%s to %s was not sent: %s", suffix, peer->id,
                      sealmq_error_text(error));
    }
}
