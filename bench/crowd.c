/* Connections as such: how many a second, what an idle one holds, and whether many that come and go
 * leave something behind. */
#include "load.h"

#include "loop.h"
#include "packets.h"
#include "process.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define OPENING_MAX  64 /* connections under way at a time; a broker's backlog has room for them */
#define TURN_NS      20000000
#define CHURN_TOPICS 1000
#define PATIENCE_NS  UINT64_C(10000000000)

enum phase { PHASE_CLOSED, PHASE_OPENING, PHASE_SUBSCRIBING, PHASE_OPEN, PHASE_LEAVING };

struct client {
    struct wire wire;
    uint32_t number;
    uint64_t started_ns;
    enum phase phase;
};

struct crowd {
    const struct load_options *options;
    struct load_result *result;
    struct loop loop;
    struct client *clients;
    uint32_t count;
    uint32_t opening, open, leaving;
    uint32_t pongs;
    uint32_t next_source;
    bool again;    /* a client that is gone comes back at once */
    bool is_churn; /* clients subscribe and publish */
    uint64_t random;
};

static void open_client(struct crowd *crowd, struct client *client)
{
    char id[32];
    snprintf(id, sizeof id, "crowd-%u", client->number);
    client->wire.owner = crowd;
    client->started_ns = crowd->loop.now_ns;
    if (!wire_open(&crowd->loop, &client->wire, crowd->options->port, crowd->next_source++))
        give_up("cannot connect to port %u", crowd->options->port);
    send_connect(&crowd->loop, &client->wire, id);
    client->phase = PHASE_OPENING;
    crowd->opening++;
}

static void set_phase(struct crowd *crowd, struct client *client, enum phase phase)
{
    crowd->opening -= client->phase == PHASE_OPENING || client->phase == PHASE_SUBSCRIBING;
    crowd->open -= client->phase == PHASE_OPEN;
    crowd->leaving -= client->phase == PHASE_LEAVING;
    client->phase = phase;
    crowd->opening += phase == PHASE_OPENING || phase == PHASE_SUBSCRIBING;
    crowd->open += phase == PHASE_OPEN;
    crowd->leaving += phase == PHASE_LEAVING;
}

static void churn_topic(const struct client *client, char topic[32])
{
    snprintf(topic, 32, "churn/%u", client->number % CHURN_TOPICS);
}

static void on_connack(struct crowd *crowd, struct client *client, const struct packet *packet)
{
    struct load_result *result = crowd->result;
    char topic[32];
    if (packet->n < 2 || packet->body[1] != 0) {
        result->refused++;
        return;
    }
    result->connects++;
    times_add(&result->times, crowd->loop.now_ns - client->started_ns);
    if (crowd->is_churn) {
        churn_topic(client, topic);
        send_subscribe(&crowd->loop, &client->wire, topic, 0);
        set_phase(crowd, client, PHASE_SUBSCRIBING);
    } else if (crowd->again) {
        send_disconnect(&crowd->loop, &client->wire);
        set_phase(crowd, client, PHASE_LEAVING);
    } else {
        set_phase(crowd, client, PHASE_OPEN);
    }
}

static void on_packet(struct wire *wire, const struct packet *packet)
{
    struct crowd *crowd = wire->owner;
    struct client *client = (struct client *)(void *)wire;
    char topic[32];
    switch (packet->first >> 4) {
    case PACKET_CONNACK:
        on_connack(crowd, client, packet);
        break;
    case PACKET_SUBACK: {
        const struct publish publish = {.stamp = {STAMP_MAGIC, client->number, 0, 0}};
        churn_topic(client, topic);
        send_publish(&crowd->loop, wire, topic, &publish, 64);
        set_phase(crowd, client, PHASE_OPEN);
        break;
    }
    case PACKET_PUBLISH:
        crowd->result->deliveries++;
        break;
    case PACKET_PINGRESP:
        crowd->pongs++;
        break;
    default:
        crowd->result->tally.strays++;
    }
}

static void on_closed(struct wire *wire)
{
    struct crowd *crowd = wire->owner;
    struct client *client = (struct client *)(void *)wire;
    crowd->result->broken += client->phase != PHASE_LEAVING;
    set_phase(crowd, client, PHASE_CLOSED);
    if (crowd->again)
        open_client(crowd, client);
}

static const struct wire_reader crowd_reader = {on_packet, on_closed};

static void crowd_init(struct crowd *crowd, const struct load_options *options,
                       struct load_result *result)
{
    *crowd = (struct crowd){.options = options,
                            .result = result,
                            .count = options->connections,
                            .random = UINT64_C(0x853c49e6748fea9b)};
    loop_open(&crowd->loop);
    crowd->clients = calloc(crowd->count, sizeof *crowd->clients);
    if (crowd->clients == NULL)
        give_up("out of memory");
    for (uint32_t i = 0; i < crowd->count; i++) {
        crowd->clients[i].number = i;
        crowd->clients[i].wire.fd = -1;
        crowd->clients[i].wire.reader = &crowd_reader;
    }
    result->resident_before = process_resident_bytes(options->pid);
}

static void crowd_close(struct crowd *crowd)
{
    for (uint32_t i = 0; i < crowd->count; i++)
        wire_abort(&crowd->clients[i].wire);
    loop_turn(&crowd->loop, 0);
    loop_close(&crowd->loop);
    free(crowd->clients);
}

/* --- connections a second ------------------------------------------------------------------ */

static void turn_until(struct crowd *crowd, uint64_t end_ns)
{
    while (crowd->loop.now_ns < end_ns)
        loop_turn(&crowd->loop, TURN_NS);
}

void load_connects(const struct load_options *options, struct load_result *result)
{
    struct crowd crowd;
    crowd_init(&crowd, options, result);
    crowd.again = true;
    for (uint32_t i = 0; i < crowd.count; i++)
        open_client(&crowd, &crowd.clients[i]);
    turn_until(&crowd, clock_ns() + (uint64_t)(options->warm_seconds * 1e9));
    uint64_t before = result->connects, from = clock_ns(), cpu = process_cpu_ns(options->pid);
    turn_until(&crowd, from + (uint64_t)(options->seconds * 1e9));
    result->cpu_ns = process_cpu_ns(options->pid) - cpu;
    result->seconds = (double)(clock_ns() - from) / 1e9;
    result->connects -= before;
    result->resident_after = process_resident_bytes(options->pid);
    crowd.again = false;
    crowd_close(&crowd);
}

/* --- idle connections ---------------------------------------------------------------------- */

static void fill(struct crowd *crowd)
{
    uint64_t last_ns = clock_ns();
    uint32_t next = 0, open = 0;
    while (crowd->open < crowd->count && crowd->result->refused + crowd->result->broken == 0) {
        while (next < crowd->count && crowd->opening < OPENING_MAX)
            open_client(crowd, &crowd->clients[next++]);
        loop_turn(&crowd->loop, TURN_NS);
        if (crowd->open != open)
            last_ns = crowd->loop.now_ns;
        else if (crowd->loop.now_ns - last_ns > PATIENCE_NS)
            break;
        open = crowd->open;
    }
    if (crowd->open < crowd->count)
        give_up("%u of %u connections are open, %u refused, %u broken", crowd->open, crowd->count,
                (unsigned)crowd->result->refused, (unsigned)crowd->result->broken);
}

void load_idle(const struct load_options *options, struct load_result *result)
{
    struct crowd crowd;
    crowd_init(&crowd, options, result);
    uint64_t from = clock_ns(), cpu = process_cpu_ns(options->pid);
    fill(&crowd);
    result->seconds = (double)(clock_ns() - from) / 1e9;
    turn_until(&crowd, clock_ns() + (uint64_t)(options->seconds * 1e9));
    result->cpu_ns = process_cpu_ns(options->pid) - cpu;
    result->resident_after = process_resident_bytes(options->pid);
    for (uint32_t i = 0; i < crowd.count; i++)
        if (crowd.clients[i].wire.fd >= 0)
            send_pingreq(&crowd.loop, &crowd.clients[i].wire);
    uint64_t end = clock_ns() + PATIENCE_NS;
    while (crowd.pongs + result->broken < crowd.count && crowd.loop.now_ns < end)
        loop_turn(&crowd.loop, TURN_NS);
    result->broken = crowd.count - crowd.pongs;
    crowd_close(&crowd);
}

/* --- churn --------------------------------------------------------------------------------- */

static uint32_t any(struct crowd *crowd, uint32_t below)
{
    crowd->random = crowd->random * UINT64_C(6364136223846793005) + 1442695040888963407;
    return (uint32_t)((crowd->random >> 33) % below);
}

/* One client goes, by DISCONNECT, by breaking the line, or by a second one with its name. */
static void replace_one(struct crowd *crowd)
{
    struct client *client = &crowd->clients[any(crowd, crowd->count)];
    if (client->phase != PHASE_OPEN)
        return;
    switch (any(crowd, 3)) {
    case 0:
        send_disconnect(&crowd->loop, &client->wire);
        set_phase(crowd, client, PHASE_LEAVING);
        break;
    case 1:
        wire_abort(&client->wire);
        set_phase(crowd, client, PHASE_CLOSED);
        open_client(crowd, client);
        break;
    default: {
        /* The old line stays open until the broker ends it: another slot's connection takes the
         * name, and the two numbers change places. */
        struct client *heir = &crowd->clients[any(crowd, crowd->count)];
        if (heir == client || heir->phase != PHASE_OPEN)
            return;
        wire_abort(&heir->wire);
        set_phase(crowd, heir, PHASE_CLOSED);
        uint32_t number = heir->number;
        heir->number = client->number;
        client->number = number;
        set_phase(crowd, client, PHASE_LEAVING);
        open_client(crowd, heir);
    }
    }
}

static void churn_for(struct crowd *crowd, double seconds)
{
    const struct load_options *options = crowd->options;
    crowd->loop.now_ns = clock_ns();
    uint64_t from = crowd->loop.now_ns, done = 0;
    uint64_t end = from + (uint64_t)(seconds * 1e9);
    while (crowd->loop.now_ns < end) {
        uint64_t due = (uint64_t)((double)(crowd->loop.now_ns - from) * 1e-9 * options->rate);
        for (; done < due && crowd->opening < OPENING_MAX; done++)
            replace_one(crowd);
        done = due;
        loop_turn(&crowd->loop, 2000000);
        if (due % 256 == 0) {
            uint64_t now = process_resident_bytes(options->pid);
            if (now > crowd->result->resident_peak)
                crowd->result->resident_peak = now;
        }
    }
}

void load_churn(const struct load_options *options, struct load_result *result)
{
    struct crowd crowd;
    crowd_init(&crowd, options, result);
    crowd.is_churn = true;
    fill(&crowd);
    crowd.again = true;
    churn_for(&crowd, options->warm_seconds);
    uint64_t from = clock_ns(), cpu = process_cpu_ns(options->pid), before = result->connects;
    result->resident_before = process_resident_bytes(options->pid);
    churn_for(&crowd, options->seconds);
    result->seconds = (double)(clock_ns() - from) / 1e9;
    result->cpu_ns = process_cpu_ns(options->pid) - cpu;
    result->connects -= before;
    /* Whoever has gone, or has been replaced, must be let go. */
    uint64_t end = clock_ns() + PATIENCE_NS;
    while (crowd.open < crowd.count && crowd.loop.now_ns < end)
        loop_turn(&crowd.loop, TURN_NS);
    result->broken += crowd.count - crowd.open;
    turn_until(&crowd, clock_ns() + UINT64_C(500000000));
    result->resident_after = process_resident_bytes(options->pid);
    crowd.again = false;
    crowd_close(&crowd);
}
