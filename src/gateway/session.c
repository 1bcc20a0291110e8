/* The gateway towards its node: key agreement, renewal, sealing, and what it makes of hints. */
#include "device/announce.h"
#include "gateway/gateway_int.h"

#include <stdio.h>

#define RENEW_PERCENT 80 /* of a session key's life */

static struct handshake_parties parties(const struct gateway *gateway)
{
    return (struct handshake_parties){
        .gateway = bytes_str(gateway->id),
        .node = bytes_str(gateway->node),
        .genesis = &gateway->genesis.hash,
    };
}

static void send_below_id(struct gateway *gateway, const char *below, struct bytes payload)
{
    char topic[ID_MAX + 32];
    snprintf(topic, sizeof topic, "%s/%s", gateway->id, below);
    gateway_update_message(gateway, bytes_str(topic), payload);
}

static void send_hello(struct gateway *gateway, const struct gateway_now *now)
{
    struct handshake_parties who = parties(gateway);
    x25519_pair_wipe(&gateway->fresh);
    x25519_pair_from_secret(now->random, &gateway->fresh);
    gateway->handshake_number++;
    gateway_update_meta(gateway, META_HANDSHAKE, gateway->handshake_number);
    handshake_hello(&who, gateway->options.key, gateway->handshake_number, &gateway->fresh,
                    gateway->hello);
    gateway->hello_is_out = true;
    gateway->hello_ms = now->now_ms;
    gateway->hello_due_ms = now->now_ms + gateway->hello_wait_ms;
    /* A node that is slow to answer would otherwise be asked anew, and its answer to the last
     * question thrown away, for ever. */
    gateway->hello_wait_ms *= 2;
    if (gateway->hello_wait_ms > HELLO_RETRY_MAX_MS)
        gateway->hello_wait_ms = HELLO_RETRY_MAX_MS;
    send_below_id(gateway, "key", bytes_of(gateway->hello, HELLO_SIZE));
}

void session_start(struct gateway *gateway, const struct gateway_now *now)
{
    session_drop(gateway);
    gateway->state = GATEWAY_HANDSHAKE;
    gateway->hello_wait_ms = HELLO_RETRY_MS;
    send_hello(gateway, now);
}

void session_drop(struct gateway *gateway)
{
    secret_wipe(&gateway->keys, sizeof gateway->keys);
    secret_wipe(&gateway->old_keys, sizeof gateway->old_keys);
    x25519_pair_wipe(&gateway->fresh);
    gateway->has_session = gateway->has_old_session = false;
    gateway->hello_is_out = false;
    gateway->state = GATEWAY_OFFLINE;
}

static void announce(struct gateway *gateway, const struct gateway_now *now)
{
    char topic[NETWORK_MAX + 32];
    struct buf payload = {0};
    snprintf(topic, sizeof topic, "chain/%s/announce", gateway->genesis.network);
    int error =
        announce_format(gateway->id, gateway->options.key, &gateway->genesis.hash, &payload);
    if (error == 0)
        gateway_update_message(gateway, bytes_str(topic), buf_bytes(&payload));
    else
        gateway_update_fail(gateway, error);
    buf_close(&payload);
    gateway->announce_due_ms = now->now_ms + ANNOUNCE_RETRY_MS;
}

void session_tick(struct gateway *gateway, const struct gateway_now *now)
{
    switch (gateway->state) {
    case GATEWAY_OFFLINE:
        break;
    case GATEWAY_UNREGISTERED:
        if (now->now_ms >= gateway->announce_due_ms)
            announce(gateway, now);
        if (now->now_ms >= gateway->hello_due_ms)
            send_hello(gateway, now);
        break;
    case GATEWAY_HANDSHAKE:
        if (now->now_ms >= gateway->hello_due_ms)
            send_hello(gateway, now);
        break;
    case GATEWAY_READY:
        if (gateway->hello_is_out ? now->now_ms >= gateway->hello_due_ms
                                  : now->now_ms >= gateway->renew_ms)
            send_hello(gateway, now);
        break;
    }
}

/* When to agree on the next key: in time, but not all the time where the clocks differ. */
static uint64_t renewal_after_ms(uint64_t expires_s, int64_t wall_us)
{
    uint64_t now_s = (uint64_t)(wall_us / 1000000);
    uint64_t life_s = expires_s > now_s ? expires_s - now_s : 0;
    if (life_s > SESSION_LIFE_MAX_S)
        life_s = SESSION_LIFE_MAX_S;
    uint64_t after_ms = life_s * 10 * RENEW_PERCENT;
    return after_ms < RENEW_LEAST_MS ? RENEW_LEAST_MS : after_ms;
}

void session_answer(struct gateway *gateway, struct bytes answer, const struct gateway_now *now)
{
    struct handshake_parties who = parties(gateway);
    struct session_keys keys;
    if (!gateway->hello_is_out)
        return;
    int error =
        handshake_finish(&who, gateway->hello, &gateway->fresh, answer, &gateway->node_key, &keys);
    if (error != 0) {
        gateway->stats.bad_messages_total++;
        gateway_update_note(gateway, GATEWAY_NOTE_BAD_MESSAGE, gateway->handshake_number, error,
                            "the node's answer to the key agreement");
        return;
    }
    gateway->renew_ms = now->now_ms + renewal_after_ms(keys.expires_s, now->wall_us);
    gateway->hello_wait_ms = HELLO_RETRY_MS;
    gateway->has_old_session = gateway->has_session;
    gateway->old_keys = gateway->keys;
    gateway->old_down = gateway->down;
    gateway->keys = keys;
    secret_wipe(&keys, sizeof keys);
    x25519_pair_wipe(&gateway->fresh);
    gateway->has_session = true;
    gateway->hello_is_out = false;
    gateway->up = gateway->down = 0;
    if (gateway->state != GATEWAY_READY) {
        gateway->state = GATEWAY_READY;
        gateway_update_note(gateway, GATEWAY_NOTE_READY, gateway->handshake_number, 0,
                            gateway->node);
        outbox_resend_all(gateway);
        requests_resend(gateway);
    }
}

void session_refused(struct gateway *gateway, struct bytes fail, const struct gateway_now *now)
{
    uint64_t number;
    uint16_t code;
    if (!gateway->hello_is_out || handshake_fail_parse(fail, &number, &code) != 0 ||
        number != gateway->handshake_number)
        return;
    /* Not signed, so no more than a hint: try again as after silence, and no later for that,
     * however often it comes. */
    gateway_update_note(gateway, GATEWAY_NOTE_BAD_MESSAGE, number, 0, device_code_words(code));
    if (gateway->hello_due_ms > now->now_ms + HELLO_RETRY_MS)
        gateway->hello_due_ms = now->now_ms + HELLO_RETRY_MS;
}

void session_hint_unauth(struct gateway *gateway, const struct gateway_now *now)
{
    if (gateway->state != GATEWAY_HANDSHAKE)
        return; /* while a session key works, the node knows this gateway */
    char fingerprint[FINGERPRINT_MAX];
    public_key_fingerprint(&gateway->options.key->public_key, fingerprint);
    gateway->state = GATEWAY_UNREGISTERED;
    gateway_update_note(gateway, GATEWAY_NOTE_UNREGISTERED, 0, 0, fingerprint);
    announce(gateway, now);
}

void session_hint_forbidden(struct gateway *gateway, const struct gateway_now *now)
{
    if (gateway->state != GATEWAY_READY || gateway->hello_is_out ||
        now->now_ms - gateway->hello_ms < HELLO_RETRY_MS)
        return;
    /* The node may have lost the key, or its clock says that it has expired. A forged hint costs a
     * key agreement now and then, and nothing else: answers still open under the old key, and all
     * that has no answer is sent again under the new one. */
    gateway->state = GATEWAY_HANDSHAKE;
    send_hello(gateway, now);
}

void session_send(struct gateway *gateway, struct bytes topic, struct bytes plain, bool compress)
{
    if (gateway->state != GATEWAY_READY || !gateway->has_session)
        return;
    struct buf sealed = {0};
    const struct envelope_header header = {
        .flags = compress ? ENVELOPE_ZSTD : 0,
        .key_id = gateway->keys.key_id,
        .counter = ++gateway->up,
    };
    int error =
        envelope_seal(gateway->compressor, &header, &gateway->keys.up, topic, plain, &sealed);
    if (error == 0)
        gateway_update_message(gateway, topic, buf_bytes(&sealed));
    else
        gateway_update_fail(gateway, error);
    buf_close(&sealed);
}

int session_open(struct gateway *gateway, struct bytes topic, struct bytes payload,
                 struct buf *plain)
{
    struct envelope_header header;
    int error = envelope_peek(payload, &header);
    if (error != 0)
        return error;
    const struct seal_key *key = NULL;
    uint64_t *counter = NULL;
    if (gateway->has_session && header.key_id == gateway->keys.key_id) {
        key = &gateway->keys.down;
        counter = &gateway->down;
    } else if (gateway->has_old_session && header.key_id == gateway->old_keys.key_id) {
        key = &gateway->old_keys.down;
        counter = &gateway->old_down;
    } else {
        return SEALMQ_E_UNKNOWN;
    }
    error = envelope_open(gateway->compressor, payload, key, topic, plain);
    if (error == 0 && header.counter <= *counter)
        error = SEALMQ_E_REPLAY;
    if (error == 0)
        *counter = header.counter;
    return error;
}
