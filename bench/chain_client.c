/* One gateway: connection, key agreement, sealed requests, receipts. What it promises is less than
 * a production gateway (nothing is on disk), what it sends is the same; but it may have several
 * requests under way. It goes to the next node when its own is lost. */
#include "chain_load.h"

#include "crypto/random.h"
#include "crypto/token.h"
#include "device/reply.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define RETRY_NS UINT64_C(50000000)

static struct ahead *at(const struct client *client, uint64_t number)
{
    return &client->ring[number % REQUESTS_AHEAD];
}

static void must(int error, const char *what)
{
    if (error != 0)
        give_up("%s: %s", what, sealmq_error_text(error));
}

/* --- signing ------------------------------------------------------------------------------- */

static void keep(struct client *client, const struct buf *wire, uint32_t records)
{
    struct ahead *ahead = at(client, client->made++);
    struct request request;
    must(request_decode(buf_bytes(wire), &request), "a request of our own");
    ahead->hash = request.hash;
    ahead->records = records;
    ahead->due_ns = ahead->sent_ns = ahead->height = 0;
    buf_reset(&ahead->json);
    must(request_to_json(buf_bytes(wire), bytes_str(client->reply_topic),
                         (int64_t)time(NULL) * 1000000, &ahead->json),
         "a request as JSON");
}

void client_make_describe(struct client *client, uint32_t items)
{
    struct item item[RECORDS_MAX];
    char names[RECORDS_MAX][16];
    struct buf wire = {0};
    for (uint32_t i = 0; i < items; i++) {
        snprintf(names[i], sizeof names[i], "item%u", i + 1);
        item[i] = (struct item){.num = i + 1,
                                .device = BYTES_LIT("press-7"),
                                .service = BYTES_LIT("plc"),
                                .name = bytes_str(names[i]),
                                .type = DATATYPE_DOUBLE,
                                .unit = BYTES_LIT("bar")};
    }
    must(request_make_describe(bytes_str(client->id), client->made, item, items, &client->key,
                               &client->network->genesis.hash, &wire),
         "a description");
    keep(client, &wire, 0);
    buf_close(&wire);
}

void client_make(struct client *client, uint32_t records)
{
    static struct record list[RECORDS_MAX];
    static char values[RECORDS_MAX][24];
    struct buf wire = {0};
    int64_t time_us = (int64_t)time(NULL) * 1000000;
    for (uint32_t i = 0; i < records; i++) {
        int n = snprintf(values[i], sizeof values[i], "%llu.%u",
                         (unsigned long long)(client->made % 100000), i % 10);
        list[i] = (struct record){.gateway = bytes_str(client->id),
                                  .device = BYTES_LIT("press-7"),
                                  .num = i + 1,
                                  .time_us = time_us,
                                  .value = bytes_of(values[i], (size_t)n)};
    }
    const struct request_data data = {
        .sender = bytes_str(client->id),
        .number = client->made,
        .records = list,
        .record_count = records,
        .from = 1, /* no history in this load: empty intervals */
        .to = 0,
    };
    must(request_make_data(&data, &client->key, &client->network->genesis.hash, &wire),
         "a request");
    keep(client, &wire, records);
    buf_close(&wire);
}

/* --- sending ------------------------------------------------------------------------------- */

static uint16_t packet_id(struct client *client)
{
    if (++client->packet_id == 0)
        client->packet_id = 1;
    return client->packet_id;
}

static void send_sealed(struct client *client, struct ahead *ahead)
{
    struct network *network = client->network;
    const struct envelope_header header = {.key_id = client->keys.key_id, .counter = ++client->up};
    buf_reset(&network->scratch);
    must(envelope_seal(network->compressor, &header, &client->keys.up,
                       bytes_str(client->request_topic), buf_bytes(&ahead->json),
                       &network->scratch),
         "sealing a request");
    send_message(&network->loop, &client->wire, client->request_topic, packet_id(client),
                 buf_bytes(&network->scratch));
    ahead->sent_ns = network->loop.now_ns;
}

uint64_t client_outstanding(const struct client *client)
{
    uint64_t count = 0;
    for (uint64_t n = client->lowest; n < client->next; n++)
        count += at(client, n)->height == 0;
    return count;
}

bool client_has_room(const struct client *client)
{
    uint32_t window = client->network->run->window;
    return client->state == CLIENT_READY && client->next < client->lowest + WINDOW_MAX &&
           (client->next < client->lowest + window || client_outstanding(client) < window);
}

void client_send(struct client *client, uint64_t due_ns)
{
    struct network *network = client->network;
    if (client->next == client->made) {
        client_make(client, network->run->records);
        network->outcome->signed_late++;
    }
    struct ahead *ahead = at(client, client->next++);
    ahead->due_ns = due_ns;
    network->outstanding++;
    network->outcome->all_sent++;
    send_sealed(client, ahead);
}

static void resend(struct client *client, uint64_t older_than_ns)
{
    for (uint64_t n = client->lowest; n < client->next; n++) {
        struct ahead *ahead = at(client, n);
        if (ahead->height != 0 || ahead->sent_ns > older_than_ns)
            continue;
        client->network->outcome->resent++;
        send_sealed(client, ahead);
    }
}

/* --- connection ---------------------------------------------------------------------------- */

static void send_hello(struct client *client)
{
    const struct handshake_parties parties = {
        .gateway = bytes_str(client->id),
        .node = bytes_str(client->network->genesis.validators.v[client->node].id),
        .genesis = &client->network->genesis.hash,
    };
    uint8_t secret[X25519_SIZE];
    char topic[ID_MAX + 8];
    random_bytes(secret, sizeof secret);
    x25519_pair_from_secret(secret, &client->fresh);
    handshake_hello(&parties, &client->key, ++client->handshake_number, &client->fresh,
                    client->hello);
    snprintf(topic, sizeof topic, "%s/key", client->id);
    send_message(&client->network->loop, &client->wire, topic, packet_id(client),
                 bytes_of(client->hello, sizeof client->hello));
    client->hello_ns = client->network->loop.now_ns;
}

static void take_answer(struct client *client, struct bytes answer)
{
    const struct validator *node = &client->network->genesis.validators.v[client->node];
    const struct handshake_parties parties = {
        .gateway = bytes_str(client->id),
        .node = bytes_str(node->id),
        .genesis = &client->network->genesis.hash,
    };
    if (handshake_finish(&parties, client->hello, &client->fresh, answer, &node->key,
                         &client->keys) != 0)
        return;
    client->state = CLIENT_READY;
    client->up = 0;
    resend(client, UINT64_MAX);
}

static void take_receipt(struct client *client, const struct reply *reply)
{
    struct network *network = client->network;
    if (reply->n < client->lowest || reply->n >= client->next)
        return; /* of one that has its receipt: it was sent again meanwhile */
    struct ahead *ahead = at(client, reply->n);
    uint64_t height;
    if (receipts_check(&network->receipts, reply->proof, &ahead->hash, &height) != 0) {
        network->outcome->bad++;
        return;
    }
    if (ahead->height != 0) {
        network->outcome->doubled += ahead->height != height;
        return;
    }
    ahead->height = height;
    network->outstanding--;
    run_receipt(client, ahead, reply->n);
    while (client->lowest < client->next && at(client, client->lowest)->height != 0)
        client->lowest++;
}

static void take_sealed(struct client *client, const struct message *message)
{
    struct network *network = client->network;
    struct reply reply;
    buf_reset(&network->plain);
    int error = client->state != CLIENT_READY
                    ? SEALMQ_E_AGAIN
                    : envelope_open(network->compressor, message->payload, &client->keys.down,
                                    message->topic, &network->plain);
    if (error == 0)
        error = reply_decode(buf_bytes(&network->plain), &reply);
    if (error != 0)
        network->outcome->bad++;
    else if (reply.kind == REPLY_RECEIPT)
        take_receipt(client, &reply);
    else
        network->outcome->refused++;
}

static void take_message(struct client *client, const struct packet *packet)
{
    struct message message;
    char key_topic[ID_MAX + 16];
    if (!read_message(packet, &message))
        give_up("%s was sent what is no PUBLISH", client->id);
    if (message.id != 0)
        send_ack(&client->network->loop, &client->wire, PACKET_PUBACK, message.id);
    snprintf(key_topic, sizeof key_topic, "%s/key/success", client->id);
    if (bytes_equal(message.topic, bytes_str(client->reply_topic)))
        take_sealed(client, &message);
    else if (bytes_equal(message.topic, bytes_str(key_topic)) && client->state == CLIENT_AGREEING)
        take_answer(client, message.payload);
}

static void on_packet(struct wire *wire, const struct packet *packet)
{
    struct client *client = wire->owner;
    char filter[ID_MAX + 8];
    switch (packet->first >> 4) {
    case PACKET_CONNACK:
        if (packet->n < 2 || packet->body[1] != 0)
            break; /* the node will close; then it is tried again */
        snprintf(filter, sizeof filter, "%s/#", client->id);
        send_subscribe(&client->network->loop, wire, filter, 1);
        send_subscribe(&client->network->loop, wire, client->reply_topic, 1);
        break;
    case PACKET_SUBACK:
        if (++client->subscriptions == 2) {
            client->state = CLIENT_AGREEING;
            send_hello(client);
        }
        break;
    case PACKET_PUBLISH:
        take_message(client, packet);
        break;
    default:
        break;
    }
}

static void on_closed(struct wire *wire)
{
    struct client *client = wire->owner;
    client->state = CLIENT_AWAY;
    client->node = (client->node + 1) % client->network->genesis.validators.n;
    client->retry_ns = client->network->loop.now_ns + RETRY_NS;
    if (client->network->outcome != NULL)
        client->network->outcome->reconnected++;
}

static const struct wire_reader client_reader = {on_packet, on_closed};

void token_for(const struct network *network, const char *id, const struct sign_key *key,
               size_t node, struct buf *out)
{
    uint8_t random[TOKEN_JTI_RANDOM];
    random_bytes(random, sizeof random);
    struct token token = {.iat = (int64_t)time(NULL)};
    token.exp = token.iat + 60;
    snprintf(token.iss, sizeof token.iss, "%s", id);
    snprintf(token.network, sizeof token.network, "%s", network->genesis.network);
    snprintf(token.node, sizeof token.node, "%s", network->genesis.validators.v[node].id);
    must(token_jti_make(random, token.jti), "a token");
    must(token_make(&token, key, out), "a token");
}

uint16_t port_of(const struct network *network, size_t node)
{
    const char *colon = strrchr(network->genesis.validators.v[node].url, ':');
    return (uint16_t)strtoul(colon + 1, NULL, 10);
}

void client_connect(struct client *client)
{
    struct network *network = client->network;
    struct buf token = {0};
    client->wire.reader = &client_reader;
    client->wire.owner = client;
    client->subscriptions = 0;
    client->retry_ns = network->loop.now_ns + RESEND_NS;
    if (!wire_open(&network->loop, &client->wire, port_of(network, client->node), 0))
        return;
    client->state = CLIENT_CONNECTING;
    token_for(network, client->id, &client->key, client->node, &token);
    send_log_in(&network->loop, &client->wire, client->id, buf_bytes(&token));
    buf_close(&token);
}

void client_open(struct network *network, size_t index, struct client *client)
{
    *client = (struct client){.network = network, .wire = {.fd = -1}};
    struct hash seed;
    snprintf(client->id, sizeof client->id, "bench/gw%zu", index);
    hash_sha256(bytes_str(client->id), &seed);
    sign_key_from_seed(seed.b, &client->key);
    snprintf(client->request_topic, sizeof client->request_topic, "chain/%s/request",
             network->genesis.network);
    snprintf(client->reply_topic, sizeof client->reply_topic, "chain/%s/reply/%s",
             network->genesis.network, client->id);
    client->node = index % network->genesis.validators.n;
    client->lowest = client->next = client->made = 1;
    client->ring = calloc(REQUESTS_AHEAD, sizeof *client->ring);
    if (client->ring == NULL)
        give_up("out of memory");
}

void client_tick(struct client *client)
{
    uint64_t now_ns = client->network->loop.now_ns;
    switch (client->state) {
    case CLIENT_AWAY:
        if (now_ns >= client->retry_ns)
            client_connect(client);
        break;
    case CLIENT_CONNECTING:
        if (now_ns >= client->retry_ns) {
            wire_close(&client->wire);
            on_closed(&client->wire);
        }
        break;
    case CLIENT_AGREEING:
        if (now_ns - client->hello_ns >= RESEND_NS)
            send_hello(client);
        break;
    case CLIENT_READY:
        if (now_ns > RESEND_NS)
            resend(client, now_ns - RESEND_NS);
        break;
    }
}
