/* The operator of the network that is measured: registers its gateways, several at a time. */
#include "chain_load.h"

#include <stdio.h>
#include <stdlib.h>

#define REGISTER_LIMIT_NS (60 * UINT64_C(1000000000))

struct admin {
    struct network *network;
    struct wire wire;
    char reply_topic[NETWORK_MAX + ID_MAX + 32], request_topic[NETWORK_MAX + 32];
    uint64_t sent, answered;
};

static void send_more(struct admin *admin)
{
    struct network *network = admin->network;
    while (admin->sent < network->client_count && admin->sent < admin->answered + WINDOW_MAX / 2) {
        const struct client *client = &network->clients[admin->sent];
        struct buf wire = {0};
        uint64_t number = ++admin->sent;
        int error = request_make_register(
            bytes_str(network->admin_id), number, bytes_str(client->id), MEMBER_GATEWAY,
            &client->key.public_key, &network->admin_key, &network->genesis.hash, &wire);
        if (error != 0)
            give_up("a registration: %s", sealmq_error_text(error));
        send_message(&network->loop, &admin->wire, admin->request_topic, (uint16_t)number,
                     buf_bytes(&wire));
        buf_close(&wire);
    }
}

static void on_packet(struct wire *wire, const struct packet *packet)
{
    struct admin *admin = wire->owner;
    struct message message;
    switch (packet->first >> 4) {
    case PACKET_CONNACK:
        if (packet->n < 2 || packet->body[1] != 0)
            give_up("the operator is not let in");
        send_subscribe(&admin->network->loop, wire, admin->reply_topic, 1);
        break;
    case PACKET_SUBACK:
        send_more(admin);
        break;
    case PACKET_PUBLISH:
        if (!read_message(packet, &message))
            give_up("the operator was sent what is no PUBLISH");
        if (message.id != 0)
            send_ack(&admin->network->loop, wire, PACKET_PUBACK, message.id);
        if (memmem(message.payload.p, message.payload.n, "\"height\"", 8) == NULL)
            give_up("a registration is refused: %.*s", (int)message.payload.n,
                    (const char *)message.payload.p);
        admin->answered++;
        send_more(admin);
        break;
    default:
        break;
    }
}

static void on_closed(struct wire *wire)
{
    (void)wire;
    give_up("the operator's connection is lost");
}

void admin_register(struct network *network)
{
    static const struct wire_reader reader = {on_packet, on_closed};
    static struct admin admin; /* the loop may still know its wire afterwards */
    struct buf token = {0};
    admin = (struct admin){.network = network, .wire = {.fd = -1, .reader = &reader}};
    admin.wire.owner = &admin;
    snprintf(admin.reply_topic, sizeof admin.reply_topic, "chain/%s/reply/%s",
             network->genesis.network, network->admin_id);
    snprintf(admin.request_topic, sizeof admin.request_topic, "chain/%s/request",
             network->genesis.network);
    if (!wire_open(&network->loop, &admin.wire, port_of(network, 0), 0))
        give_up("no connection to the first node");
    token_for(network, network->admin_id, &network->admin_key, 0, &token);
    send_log_in(&network->loop, &admin.wire, network->admin_id, buf_bytes(&token));
    buf_close(&token);
    uint64_t end_ns = clock_ns() + REGISTER_LIMIT_NS;
    while (admin.answered < network->client_count) {
        if (network->loop.now_ns > end_ns)
            give_up("%llu of %zu gateways are registered after a minute",
                    (unsigned long long)admin.answered, network->client_count);
        loop_turn(&network->loop, 100000000);
    }
    wire_close(&admin.wire);
}
