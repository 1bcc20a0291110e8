/* Messages from publishers to subscribers.
 *
 *   fan-in   every publisher has its topic, one subscriber has "bench/+"
 *   fan-out  one publisher, and every subscriber has its topic
 *   pairs    subscriber n has publisher n's topic
 *
 * A message is under way until each of its subscribers has it and, at QoS 1 and 2, the publisher's
 * handshake is over. A publisher has at most `window` messages under way, whatever the QoS, so that
 * QoS 0 is answered for like the others and nobody is flooded. With a rate the load is open:
 * message k is due at start + k / rate, whether or not earlier ones have come, and its time counts
 * from when it was due, so a broker that makes the generator late does not hide what that cost. */
#include "load.h"

#include "loop.h"
#include "packets.h"
#include "process.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#define UNSENT_MAX    ((size_t)1024 * 1024)
#define IDS           65535
#define WINDOW_MAX    32768
#define TURN_LIMIT_NS 20000000

struct publisher {
    struct wire wire;
    uint32_t number;
    char topic[24];
    uint64_t next, oldest; /* messages [oldest, next) are under way */
    uint16_t *missing;     /* of message s at s % window: events it waits for */
};

struct subscriber {
    struct wire wire;
    uint32_t first_publisher, lane_count;
    struct lane *lanes; /* from first_publisher on */
};

struct flow {
    const struct load_options *options;
    struct load_result *result;
    struct loop loop;
    struct publisher *publishers;
    struct subscriber *subscribers;
    uint32_t fan; /* subscribers of a message */
    uint32_t window;
    uint32_t ready; /* clients that are connected, and have subscribed */
    uint64_t sent;  /* messages */
    uint64_t start_ns, last_progress_ns;
    bool is_sending, is_measuring, is_ending;
};

/* --- a message's way ----------------------------------------------------------------------- */

static void settle(struct flow *flow, struct publisher *publisher, uint64_t sequence)
{
    if (sequence < publisher->oldest || sequence >= publisher->next)
        return;
    uint16_t *missing = &publisher->missing[sequence % flow->window];
    if (*missing != 0)
        --*missing;
    while (publisher->oldest < publisher->next &&
           publisher->missing[publisher->oldest % flow->window] == 0)
        publisher->oldest++;
}

static void publish_one(struct flow *flow, struct publisher *publisher, uint64_t due_ns)
{
    const struct load_options *options = flow->options;
    struct publish publish = {
        .stamp = {STAMP_MAGIC, publisher->number, publisher->next, due_ns},
        .id = (uint16_t)(publisher->next % IDS + 1),
        .qos = options->qos,
    };
    publisher->missing[publisher->next % flow->window] =
        (uint16_t)(flow->fan + (options->qos != 0 ? 1 : 0));
    publisher->next++;
    flow->sent++;
    send_publish(&flow->loop, &publisher->wire, publisher->topic, &publish, options->size);
}

static bool may_publish(const struct flow *flow, const struct publisher *publisher)
{
    uint64_t most = flow->options->messages;
    return publisher->next - publisher->oldest < flow->window && publisher->wire.filler_left == 0 &&
           wire_unsent(&publisher->wire) < UNSENT_MAX && (most == 0 || publisher->next < most);
}

static void publish_by_window(struct flow *flow)
{
    for (uint32_t i = 0; i < flow->options->publishers; i++)
        while (may_publish(flow, &flow->publishers[i]))
            publish_one(flow, &flow->publishers[i], flow->loop.now_ns);
}

/* Nanoseconds until the next message is due, after those have been sent that are. */
static int64_t publish_by_rate(struct flow *flow)
{
    for (;;) {
        uint64_t due = flow->start_ns + (uint64_t)((double)flow->sent * 1e9 / flow->options->rate);
        if (due > flow->loop.now_ns)
            return (int64_t)(due - flow->loop.now_ns);
        struct publisher *publisher = &flow->publishers[flow->sent % flow->options->publishers];
        if (!may_publish(flow, publisher))
            return TURN_LIMIT_NS;
        publish_one(flow, publisher, due);
    }
}

static void on_delivery(struct flow *flow, struct subscriber *subscriber,
                        const struct publish *publish, size_t size)
{
    struct tally *tally = &flow->result->tally;
    uint32_t lane = publish->stamp.publisher - subscriber->first_publisher;
    if (lane >= subscriber->lane_count || size != flow->options->size ||
        publish->qos != flow->options->qos ||
        publish->stamp.sequence >= flow->publishers[publish->stamp.publisher].next) {
        tally->strays++;
        return;
    }
    uint64_t from = subscriber->lanes[lane].expected;
    uint64_t settled = tally_arrival(tally, &subscriber->lanes[lane], publish->stamp.sequence);
    for (uint64_t i = 0; i < settled; i++)
        settle(flow, &flow->publishers[publish->stamp.publisher], from + i);
    if (flow->is_measuring && settled != 0 && flow->options->rate > 0)
        times_add(&flow->result->times, flow->loop.now_ns - publish->stamp.due_ns);
    flow->last_progress_ns = flow->loop.now_ns;
}

/* --- what arrives -------------------------------------------------------------------------- */

static void on_subscriber_packet(struct wire *wire, const struct packet *packet)
{
    struct flow *flow = wire->owner;
    struct subscriber *subscriber = (struct subscriber *)(void *)wire;
    struct publish publish;
    size_t size = 0;
    uint16_t id = 0;
    switch (packet->first >> 4) {
    case PACKET_CONNACK:
        if (packet->n < 2 || packet->body[1] != 0)
            give_up("a subscriber is refused");
        if (flow->options->shape == SHAPE_FAN_IN)
            send_subscribe(&flow->loop, wire, "bench/+", flow->options->qos);
        else
            send_subscribe(&flow->loop, wire, flow->publishers[subscriber->first_publisher].topic,
                           flow->options->qos);
        break;
    case PACKET_SUBACK:
        if (packet->n != 3 || packet->body[2] != flow->options->qos)
            give_up("a subscription is refused");
        flow->ready++;
        break;
    case PACKET_PUBLISH:
        if (!read_publish(packet, &publish, &size)) {
            flow->result->tally.strays++;
            break;
        }
        if (publish.qos != 0)
            send_ack(&flow->loop, wire, publish.qos == 1 ? PACKET_PUBACK : PACKET_PUBREC,
                     publish.id);
        on_delivery(flow, subscriber, &publish, size);
        break;
    case PACKET_PUBREL:
        if (read_id(packet, &id))
            send_ack(&flow->loop, wire, PACKET_PUBCOMP, id);
        break;
    default:
        give_up("a subscriber is sent a packet of type %d", packet->first >> 4);
    }
}

/* Which message has the identifier: those under way are fewer than there are identifiers. */
static void on_handshake_over(struct flow *flow, struct publisher *publisher, uint16_t id)
{
    uint64_t place = (uint64_t)(id - 1) + IDS - publisher->oldest % IDS;
    settle(flow, publisher, publisher->oldest + place % IDS);
    flow->last_progress_ns = flow->loop.now_ns;
}

static void on_publisher_packet(struct wire *wire, const struct packet *packet)
{
    struct flow *flow = wire->owner;
    struct publisher *publisher = (struct publisher *)(void *)wire;
    uint16_t id = 0;
    switch (packet->first >> 4) {
    case PACKET_CONNACK:
        if (packet->n < 2 || packet->body[1] != 0)
            give_up("a publisher is refused");
        flow->ready++;
        break;
    case PACKET_PUBREC:
        if (read_id(packet, &id))
            send_ack(&flow->loop, wire, PACKET_PUBREL, id);
        break;
    case PACKET_PUBACK:
    case PACKET_PUBCOMP:
        if (read_id(packet, &id))
            on_handshake_over(flow, publisher, id);
        break;
    default:
        give_up("a publisher is sent a packet of type %d", packet->first >> 4);
    }
}

static void on_closed(struct wire *wire)
{
    struct flow *flow = wire->owner;
    if (!flow->is_ending)
        flow->result->broken++;
}

static const struct wire_reader subscriber_reader = {on_subscriber_packet, on_closed};
static const struct wire_reader publisher_reader = {on_publisher_packet, on_closed};

/* --- a run --------------------------------------------------------------------------------- */

static void *zeroed(size_t count, size_t size)
{
    void *memory = calloc(count, size);
    if (memory == NULL)
        give_up("out of memory");
    return memory;
}

static void open_wire(struct flow *flow, struct wire *wire, const struct wire_reader *reader,
                      const char *kind, uint32_t number)
{
    char id[32];
    snprintf(id, sizeof id, "bench-%s-%u", kind, number);
    wire->reader = reader;
    wire->owner = flow;
    if (!wire_open(&flow->loop, wire, flow->options->port, 0))
        give_up("cannot connect to port %u", flow->options->port);
    send_connect(&flow->loop, wire, id);
}

static void until_ready(struct flow *flow, uint32_t clients)
{
    uint64_t end = clock_ns() + UINT64_C(10000000000);
    while (flow->ready < clients) {
        loop_turn(&flow->loop, TURN_LIMIT_NS);
        if (flow->result->broken != 0 || flow->loop.now_ns > end)
            give_up("%u of %u clients are ready", flow->ready, clients);
    }
}

static void open_clients(struct flow *flow)
{
    const struct load_options *options = flow->options;
    for (uint32_t i = 0; i < options->publishers; i++) {
        struct publisher *publisher = &flow->publishers[i];
        publisher->number = i;
        publisher->missing = zeroed(flow->window, sizeof *publisher->missing);
        snprintf(publisher->topic, sizeof publisher->topic, "bench/%03u", i);
    }
    for (uint32_t i = 0; i < options->subscribers; i++) {
        struct subscriber *subscriber = &flow->subscribers[i];
        bool is_pair = options->shape == SHAPE_PAIRS;
        subscriber->first_publisher = is_pair ? i : 0;
        subscriber->lane_count = is_pair ? 1 : options->publishers;
        subscriber->lanes = zeroed(subscriber->lane_count, sizeof *subscriber->lanes);
        open_wire(flow, &subscriber->wire, &subscriber_reader, "sub", i);
    }
    until_ready(flow, options->subscribers);
    for (uint32_t i = 0; i < options->publishers; i++)
        open_wire(flow, &flow->publishers[i].wire, &publisher_reader, "pub", i);
    until_ready(flow, options->subscribers + options->publishers);
}

static bool is_all_settled(const struct flow *flow)
{
    for (uint32_t i = 0; i < flow->options->publishers; i++) {
        const struct publisher *publisher = &flow->publishers[i];
        if (publisher->oldest != publisher->next ||
            (flow->is_sending &&
             (flow->options->messages == 0 || publisher->next < flow->options->messages)))
            return false;
    }
    return true;
}

/* Turns until `end_ns`, or until all has come, or until nothing comes any more. */
static void run_until(struct flow *flow, uint64_t end_ns)
{
    uint64_t stall_ns = (uint64_t)(flow->options->stall_seconds * 1e9);
    flow->last_progress_ns = flow->loop.now_ns;
    while (flow->loop.now_ns < end_ns && flow->result->broken == 0 && !is_all_settled(flow)) {
        int64_t timeout_ns = TURN_LIMIT_NS;
        if (flow->is_sending && flow->options->rate > 0) {
            timeout_ns = publish_by_rate(flow);
            /* Waking up for each message would be late by the time that takes. */
            if (timeout_ns < TURN_LIMIT_NS)
                timeout_ns = 0;
        } else if (flow->is_sending) {
            publish_by_window(flow);
        }
        loop_turn(&flow->loop, timeout_ns);
        if (flow->loop.now_ns - flow->last_progress_ns > stall_ns) {
            flow->result->has_stalled = true;
            return;
        }
    }
}

static uint64_t own_cpu_ns(void)
{
    struct timespec t;
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * UINT64_C(1000000000) + (uint64_t)t.tv_nsec;
}

static void measure(struct flow *flow)
{
    const struct load_options *options = flow->options;
    struct load_result *result = flow->result;
    flow->is_measuring = true;
    uint64_t sent = flow->sent, deliveries = result->tally.deliveries, own = own_cpu_ns();
    uint64_t cpu = process_cpu_ns(options->pid), from = clock_ns();
    uint64_t length =
        options->messages != 0 ? UINT64_C(600000000000) : (uint64_t)(options->seconds * 1e9);
    run_until(flow, from + length);
    result->cpu_ns = process_cpu_ns(options->pid) - cpu;
    result->seconds = (double)(clock_ns() - from) / 1e9;
    result->own_cpu_ns = own_cpu_ns() - own;
    result->messages = flow->sent - sent;
    result->deliveries = result->tally.deliveries - deliveries;
    result->resident_after = process_resident_bytes(options->pid);
    flow->is_measuring = false;
}

/* A moment more, for what comes twice, and to part in peace. */
static void end(struct flow *flow)
{
    const struct load_options *options = flow->options;
    uint64_t grace = clock_ns() + UINT64_C(20000000);
    while (flow->loop.now_ns < grace)
        loop_turn(&flow->loop, 5000000);
    flow->is_ending = true;
    for (uint32_t i = 0; i < options->subscribers; i++) {
        struct subscriber *subscriber = &flow->subscribers[i];
        for (uint32_t lane = 0; lane < subscriber->lane_count; lane++)
            tally_end(&flow->result->tally, &subscriber->lanes[lane],
                      flow->publishers[subscriber->first_publisher + lane].next);
        if (subscriber->wire.fd >= 0)
            send_disconnect(&flow->loop, &subscriber->wire);
    }
    for (uint32_t i = 0; i < options->publishers; i++)
        if (flow->publishers[i].wire.fd >= 0 && wire_unsent(&flow->publishers[i].wire) == 0)
            send_disconnect(&flow->loop, &flow->publishers[i].wire);
    loop_turn(&flow->loop, 0);
    for (uint32_t i = 0; i < options->subscribers; i++) {
        wire_close(&flow->subscribers[i].wire);
        free(flow->subscribers[i].lanes);
    }
    for (uint32_t i = 0; i < options->publishers; i++) {
        wire_close(&flow->publishers[i].wire);
        free(flow->publishers[i].missing);
    }
}

void load_flow(const struct load_options *options, struct load_result *result)
{
    struct flow flow = {
        .options = options,
        .result = result,
        .publishers = zeroed(options->publishers, sizeof(struct publisher)),
        .subscribers = zeroed(options->subscribers, sizeof(struct subscriber)),
        .fan = options->shape == SHAPE_FAN_OUT ? options->subscribers : 1,
        .window = options->window == 0 ? WINDOW_MAX : options->window,
    };
    loop_open(&flow.loop);
    open_clients(&flow);
    result->resident_before = process_resident_bytes(options->pid);
    flow.start_ns = clock_ns();
    flow.is_sending = true;
    if (options->messages == 0)
        run_until(&flow, flow.start_ns + (uint64_t)(options->warm_seconds * 1e9));
    if (!result->has_stalled)
        measure(&flow);
    flow.is_sending = false;
    if (!result->has_stalled)
        run_until(&flow, UINT64_MAX);
    end(&flow);
    loop_close(&flow.loop);
    free(flow.publishers);
    free(flow.subscribers);
}
