/* Random traffic between clients that keep their sessions, over networks that are cut at any time
 * and shards whose parcels take their time. In the end every subscriber must have every message
 * that was published: at QoS 2 exactly once, at QoS 1 at least once, and those of one publisher and
 * QoS in order. */
#include "world.h"

#define SHARDS      3
#define PUBLISHERS  3
#define SUBSCRIBERS 3
#define MESSAGES    60 /* of one publisher at one QoS */
#define WINDOW      6

static uint64_t random_state;

static uint32_t draw(uint32_t below)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(random_state >> 33) % below;
}

/* A message that its publisher has not completed. */
struct pending {
    uint16_t packet_id; /* 0: free */
    uint8_t qos;
    bool is_received; /* PUBREC came */
    unsigned number;
};

struct publisher {
    struct client client;
    char id[32];
    bool is_up;
    unsigned next[3]; /* number of the next message, by QoS */
    uint16_t last_id;
    struct pending pending[WINDOW];
};

struct subscriber_model {
    struct client client;
    char id[32];
    bool is_up;
    bool holds[65536]; /* packet identifiers of QoS 2 messages before PUBREL */
    unsigned got[PUBLISHERS][3];
    unsigned twice; /* QoS 1 messages that came again */
};

static struct publisher publishers[PUBLISHERS];
static struct subscriber_model subscribers[SUBSCRIBERS];

static struct mqtt_connect lasting(const char *id, uint8_t receive_maximum)
{
    static uint8_t props[8] = {MQTT_PROP_SESSION_EXPIRY,  0, 0, 14, 16,
                               MQTT_PROP_RECEIVE_MAXIMUM, 0};
    props[7] = receive_maximum;
    struct mqtt_connect connect = connect_as(MQTT_V5, id);
    connect.clean_start = false;
    connect.keep_alive_s = 0;
    connect.props.wire = bytes_of(props, sizeof props);
    return connect;
}

static void publish_one(struct publisher *p, size_t who, const struct pending *m, bool dup)
{
    char topic[32], payload[32];
    snprintf(topic, sizeof topic, "t/%zu/%u", who, m->qos);
    snprintf(payload, sizeof payload, "%u", m->number);
    struct mqtt_packet packet = {.type = MQTT_PUBLISH};
    packet.publish = (struct mqtt_publish){
        .dup = dup,
        .qos = m->qos,
        .packet_id = m->packet_id,
        .topic = bytes_str(topic),
        .payload = bytes_str(payload),
    };
    client_send(&p->client, &packet);
}

/* Everything pending again, oldest first: in the order of packet identifiers. */
static void publisher_up(struct world *w, struct publisher *p, size_t who)
{
    struct mqtt_connect connect = lasting(p->id, 10);
    (void)client_connect(&p->client, w, &connect);
    p->is_up = true;
    for (uint16_t id = 1; id <= p->last_id; id++) {
        for (size_t i = 0; i < WINDOW; i++) {
            struct pending *m = &p->pending[i];
            if (m->packet_id != id)
                continue;
            if (m->is_received)
                client_ack(&p->client, MQTT_PUBREL, id, 0);
            else
                publish_one(p, who, m, true);
        }
    }
}

static void publisher_step(struct publisher *p, size_t who)
{
    uint8_t qos = (uint8_t)(1 + draw(2));
    if (p->next[qos] == MESSAGES)
        qos = (uint8_t)(3 - qos);
    for (size_t i = 0; i < WINDOW && p->next[qos] < MESSAGES; i++) {
        struct pending *m = &p->pending[i];
        if (m->packet_id != 0)
            continue;
        *m = (struct pending){++p->last_id, qos, false, p->next[qos]++};
        publish_one(p, who, m, false);
        return;
    }
}

static struct pending *pending_of(struct publisher *p, uint16_t packet_id)
{
    for (size_t i = 0; i < WINDOW; i++) {
        if (p->pending[i].packet_id == packet_id)
            return &p->pending[i];
    }
    fail_msg("acknowledgement of %u, which is not pending", packet_id);
    return NULL;
}

static bool next_packet(struct client *c, struct mqtt_packet *packet)
{
    struct bytes rest = bytes_of(c->in.p + c->at, c->in.n - c->at);
    size_t size;
    uint8_t reason;
    if (mqtt_frame(rest, &size) != 0)
        return false;
    assert_int_equal(mqtt_decode(bytes_of(rest.p, size), c->version, false, packet, &reason), 0);
    c->at += size;
    return true;
}

static void publisher_read(struct publisher *p)
{
    struct mqtt_packet packet;
    while (p->is_up && next_packet(&p->client, &packet)) {
        assert_true(packet.ack.reason < 0x80 || packet.type == MQTT_PUBCOMP);
        struct pending *m = pending_of(p, packet.ack.packet_id);
        switch (packet.type) {
        case MQTT_PUBREC:
            m->is_received = true;
            client_ack(&p->client, MQTT_PUBREL, packet.ack.packet_id, 0);
            break;
        case MQTT_PUBACK:
        case MQTT_PUBCOMP:
            *m = (struct pending){0};
            break;
        default:
            fail_msg("a publisher got packet type %d", packet.type);
        }
    }
}

static void subscriber_up(struct world *w, struct subscriber_model *s)
{
    struct mqtt_connect connect = lasting(s->id, (uint8_t)(1 + draw(10)));
    (void)client_connect(&s->client, w, &connect);
    s->is_up = true;
}

static void take(struct subscriber_model *s, const struct mqtt_publish *p)
{
    unsigned who, qos, number;
    char text[64];
    assert_int_equal(bytes_to_cstr(p->topic, text, sizeof text), 0);
    assert_int_equal(sscanf(text, "t/%u/%u", &who, &qos), 2);
    assert_int_equal(bytes_to_cstr(p->payload, text, sizeof text), 0);
    assert_int_equal(sscanf(text, "%u", &number), 1);
    unsigned *got = &s->got[who][qos];
    if (number == *got)
        ++*got;
    else if (number < *got && qos == 1)
        s->twice++;
    else
        fail_msg("publisher %u at QoS %u: %u after %u", who, qos, number, *got);
}

static void subscriber_read(struct subscriber_model *s)
{
    struct mqtt_packet packet;
    while (s->is_up && next_packet(&s->client, &packet)) {
        uint16_t id = packet.ack.packet_id;
        if (packet.type == MQTT_PUBREL) {
            s->holds[id] = false;
            client_ack(&s->client, MQTT_PUBCOMP, id, 0);
            continue;
        }
        assert_int_equal(packet.type, MQTT_PUBLISH);
        id = packet.publish.packet_id;
        if (packet.publish.qos == 1) {
            take(s, &packet.publish);
            client_ack(&s->client, MQTT_PUBACK, id, 0);
        } else {
            if (!s->holds[id])
                take(s, &packet.publish);
            s->holds[id] = true;
            client_ack(&s->client, MQTT_PUBREC, id, 0);
        }
        /* Now and then it goes before it has read all that was sent. */
        if (draw(40) == 0)
            break;
    }
}

static void cut(struct client *c, bool *is_up)
{
    if (*is_up)
        client_close(c);
    *is_up = false;
}

static void step(struct world *w)
{
    size_t i = draw(PUBLISHERS);
    size_t k = draw(SUBSCRIBERS);
    w->holds_parcels = draw(3) == 0;
    switch (draw(12)) {
    case 0:
        cut(&publishers[i].client, &publishers[i].is_up);
        break;
    case 1:
        cut(&subscribers[k].client, &subscribers[k].is_up);
        break;
    case 2:
        if (subscribers[k].is_up && subscribers[k].client.is_stuck)
            client_unstick(&subscribers[k].client);
        else
            subscribers[k].client.is_stuck = subscribers[k].is_up;
        break;
    case 3:
    case 4:
        publisher_read(&publishers[i]);
        break;
    case 5:
    case 6:
        subscriber_read(&subscribers[k]);
        break;
    case 7:
        world_advance(w, draw(1000));
        break;
    default:
        if (!publishers[i].is_up)
            publisher_up(w, &publishers[i], i);
        if (!subscribers[k].is_up)
            subscriber_up(w, &subscribers[k]);
        publisher_step(&publishers[i], i);
        break;
    }
}

static bool publisher_is_done(const struct publisher *p)
{
    for (size_t i = 0; i < WINDOW; i++) {
        if (p->pending[i].packet_id != 0)
            return false;
    }
    return p->next[1] == MESSAGES && p->next[2] == MESSAGES;
}

/* Everyone is there and reads, until nothing is left to be said. */
static void settle(struct world *w)
{
    w->holds_parcels = false;
    for (unsigned round = 0; round < 3000; round++) {
        for (size_t i = 0; i < PUBLISHERS; i++) {
            if (!publishers[i].is_up)
                publisher_up(w, &publishers[i], i);
            publisher_step(&publishers[i], i);
            publisher_read(&publishers[i]);
        }
        for (size_t i = 0; i < SUBSCRIBERS; i++) {
            if (subscribers[i].client.is_stuck)
                cut(&subscribers[i].client, &subscribers[i].is_up);
            if (!subscribers[i].is_up)
                subscriber_up(w, &subscribers[i]);
            subscriber_read(&subscribers[i]);
        }
    }
}

static void run(uint64_t seed, bool is_mixed)
{
    struct world w;
    random_state = seed;
    memset(publishers, 0, sizeof publishers);
    memset(subscribers, 0, sizeof subscribers);
    world_init(&w, SHARDS);
    w.limits.inflight = 4;
    w.limits.output_bytes = 400;
    world_start(&w);
    for (unsigned i = 0; i < SUBSCRIBERS; i++) {
        id_on_shard(i % SHARDS, SHARDS, i, subscribers[i].id);
        subscriber_up(&w, &subscribers[i]);
        client_subscribe(&subscribers[i].client, i == 0 ? "#" : "t/+/#", 2);
    }
    for (unsigned i = 0; i < PUBLISHERS; i++)
        id_on_shard(i % SHARDS, SHARDS, 100 + i, publishers[i].id);
    for (unsigned i = 0; i < 700; i++) {
        if (is_mixed && draw(5) == 0)
            world_set_direct(&w, draw(4) != 0);
        step(&w);
    }
    settle(&w);
    for (size_t i = 0; i < PUBLISHERS; i++)
        assert_true(publisher_is_done(&publishers[i]));
    for (size_t k = 0; k < SUBSCRIBERS; k++) {
        for (size_t i = 0; i < PUBLISHERS; i++) {
            for (size_t qos = 1; qos <= 2; qos++) {
                if (subscribers[k].got[i][qos] != MESSAGES)
                    fail_msg("seed %u: subscriber %zu has %u of publisher %zu at QoS %zu",
                             (unsigned)seed, k, subscribers[k].got[i][qos], i, qos);
            }
        }
    }
    for (size_t i = 0; i < PUBLISHERS; i++)
        cut(&publishers[i].client, &publishers[i].is_up);
    for (size_t i = 0; i < SUBSCRIBERS; i++)
        cut(&subscribers[i].client, &subscribers[i].is_up);
    world_close(&w);
}

static void nothing_acknowledged_is_lost_and_nothing_comes_out_of_order(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 25; seed++)
        run(seed, false);
}

static void the_same_holds_for_shards_that_one_thread_runs_at_times(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 25; seed++)
        run(seed, true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_acknowledged_is_lost_and_nothing_comes_out_of_order),
        cmocka_unit_test(the_same_holds_for_shards_that_one_thread_runs_at_times),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
