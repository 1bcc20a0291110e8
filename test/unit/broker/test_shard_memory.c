/* Out of memory at every single allocation of a conversation that uses everything: nothing leaks,
 * nothing breaks, and the server goes on serving as soon as there is memory again. */
#include "lib/failing_memory.h"
#include "world.h"

#define SHARDS  2
#define CLIENTS 5
#define STEPS   64

struct step {
    unsigned client;
    bool cuts;         /* the network goes, and comes back */
    uint64_t later_ms; /* time passes first */
    struct buf bytes;
};

static struct step steps[STEPS];
static size_t step_count;

static const char *const ids[CLIENTS] = {"c0", "c1", "c2", "c3", "c4"};

/* ---- the conversation, made once ---- */

static struct step *new_step(unsigned client)
{
    assert_true(step_count < STEPS);
    steps[step_count] = (struct step){.client = client};
    return &steps[step_count++];
}

static void say(unsigned client, const struct mqtt_packet *packet)
{
    struct step *step = new_step(client);
    mqtt_encode(packet, client % 2 == 0 ? MQTT_V5 : MQTT_V311, &step->bytes);
    assert_int_equal(buf_status(&step->bytes), 0);
}

static void say_connect(unsigned client, bool clean, bool with_will)
{
    static const uint8_t props[] = {MQTT_PROP_SESSION_EXPIRY,      0, 0, 0, 50,
                                    MQTT_PROP_TOPIC_ALIAS_MAXIMUM, 0, 9};
    static const uint8_t will_props[] = {MQTT_PROP_WILL_DELAY, 0, 0, 0, 5};
    struct mqtt_connect connect = connect_as(client % 2 == 0 ? MQTT_V5 : MQTT_V311, ids[client]);
    connect.clean_start = clean;
    connect.props.wire = bytes_of(props, sizeof props);
    connect.has_will = with_will;
    connect.will_topic = with_will ? BYTES_LIT("will/1") : (struct bytes){0};
    connect.will_retain = with_will;
    connect.will_props.wire = bytes_of(will_props, with_will ? sizeof will_props : 0);
    say(client, &(struct mqtt_packet){.type = MQTT_CONNECT, .connect = connect});
}

/* CONNECT with an authentication method, and what the client says to the challenge. */
static void say_connect_proving(unsigned client)
{
    struct buf props = {0};
    struct mqtt_connect connect = connect_as(MQTT_V5, ids[client]);
    mqtt_props_append_text(&props, MQTT_PROP_AUTH_METHOD, BYTES_LIT("m"));
    connect.props.wire = buf_bytes(&props);
    say(client, &(struct mqtt_packet){.type = MQTT_CONNECT, .connect = connect});
    struct mqtt_packet packet = {.type = MQTT_AUTH};
    packet.end = (struct mqtt_end){MQTT_REASON_CONTINUE_AUTHENTICATION, {buf_bytes(&props)}};
    say(client, &packet);
    packet.end.reason = MQTT_REASON_REAUTHENTICATE;
    say(client, &packet);
    buf_close(&props);
}

static void say_subscribe(unsigned client, const char *filter, uint8_t options)
{
    static const uint8_t id[] = {MQTT_PROP_SUBSCRIPTION_ID, 9};
    uint8_t list[64];
    size_t n = strlen(filter);
    list[0] = 0;
    list[1] = (uint8_t)n;
    memcpy(list + 2, filter, n);
    list[2 + n] = options;
    struct mqtt_packet packet = {.type = MQTT_SUBSCRIBE};
    packet.subscribe = (struct mqtt_subscribe){3, {bytes_of(id, sizeof id)}, bytes_of(list, n + 3)};
    say(client, &packet);
}

static void say_publish(unsigned client, const char *topic, size_t size, uint8_t qos,
                        uint16_t packet_id, bool retain)
{
    static uint8_t payload[5000];
    static const uint8_t props[] = {MQTT_PROP_TOPIC_ALIAS,
                                    0,
                                    2,
                                    MQTT_PROP_MESSAGE_EXPIRY,
                                    0,
                                    0,
                                    0,
                                    200,
                                    MQTT_PROP_CONTENT_TYPE,
                                    0,
                                    1,
                                    'x'};
    struct mqtt_packet packet = {.type = MQTT_PUBLISH};
    packet.publish = (struct mqtt_publish){
        .retain = retain,
        .qos = qos,
        .packet_id = packet_id,
        .topic = bytes_str(topic),
        .props = {bytes_of(props, sizeof props)},
        .payload = bytes_of(payload, size),
    };
    say(client, &packet);
}

static void say_ack(unsigned client, enum mqtt_type type, uint16_t packet_id)
{
    say(client, &(struct mqtt_packet){.type = type, .ack = {.packet_id = packet_id}});
}

static void make_conversation(void)
{
    for (unsigned i = 0; i < CLIENTS; i++)
        say_connect(i, i == 4, i == 2);
    say_subscribe(0, "a/+/c", 2);
    say_subscribe(0, "a/#", 1);
    say_subscribe(1, "#", 1);
    say_subscribe(2, "will/#", 2);
    say_subscribe(3, "a/b/c", 2);
    say_subscribe(0, "$share/g/a/#", 1);
    say_subscribe(1, "$share/g/a/#", 1);
    say_subscribe(3, "$share/g/a/#", 2);
    say_publish(4, "a/b/c", 10, 0, 0, false);
    say_publish(4, "a/b/c", 10, 1, 1, true);
    say_publish(3, "a/b/c", 4000, 2, 2, false);
    say_ack(3, MQTT_PUBREL, 2);
    say_publish(4, "r/1", 3000, 1, 3, true);
    say_publish(4, "service/x", 10, 1, 4, false);
    say_publish(4, "defer/x", 10, 2, 5, false);
    say_ack(0, MQTT_PUBREC, 1);
    say_ack(0, MQTT_PUBCOMP, 1);
    say_ack(1, MQTT_PUBACK, 1);
    new_step(0)->cuts = true;
    new_step(1)->cuts = true;
    say_publish(4, "a/b/c", 10, 2, 6, false);
    say_publish(4, "a/x", 10, 1, 7, false);
    say_connect(0, false, false);
    say_connect(1, false, true);
    say_subscribe(4, "+/#", 0);
    say_publish(4, "a/y", 10, 1, 9, false);
    say_publish(4, "a/y", 3000, 1, 10, false);
    new_step(2)->cuts = true;
    new_step(4)->later_ms = 6000;
    say_publish(4, "r/1", 0, 1, 8, true);
    say_connect(2, false, false);
    new_step(3)->cuts = true;
    new_step(4)->later_ms = 60000;
    say_connect_proving(2);
    say_subscribe(2, "denied", 0);
    say(0, &(struct mqtt_packet){.type = MQTT_PINGREQ});
    say(1, &(struct mqtt_packet){.type = MQTT_DISCONNECT});
}

/* ---- a host without allocations of its own ---- */

struct party {
    struct broker_conn conn;
    bool is_open;
};

struct run {
    struct broker *shard[SHARDS];
    _Atomic uint64_t retained_counter;
    uint64_t now_ms;
    struct party party[CLIENTS];
};

static struct run run;
static enum broker_durability durability;

static unsigned shard_of(unsigned client)
{
    return broker_shard_of(bytes_str(ids[client]), SHARDS);
}

static void authenticate(void *context, const struct broker_auth_request *request)
{
    struct broker_grant grant = {.user_name = BYTES_LIT("user")};
    broker_authenticated(*(struct broker **)context, request->conn, &grant, run.now_ms);
}

static bool auth_begin(void *context, const struct broker_auth_request *request)
{
    (void)!broker_auth_challenge(*(struct broker **)context, request->conn, BYTES_LIT("prove it"),
                                 run.now_ms);
    return true;
}

static bool authorize(void *context, const struct broker_subject *subject,
                      enum broker_access access, struct bytes topic)
{
    (void)context;
    (void)subject;
    (void)access;
    return !bytes_equal(topic, BYTES_LIT("denied"));
}

static enum broker_verdict publish(void *context, const struct broker_publish *in, uint64_t ticket,
                                   uint8_t *reason)
{
    (void)reason;
    struct broker *b = *(struct broker **)context;
    struct broker_outgoing out = {
        .topic = BYTES_LIT("verified/x"), .payload = in->payload, .qos = 1, .retain = true};
    if (in->topic.p[0] == 's') {
        (void)!broker_publish(b, &out, run.now_ms);
        (void)!broker_reply(b, in->conn, &out, run.now_ms);
        return BROKER_TAKEN;
    }
    if (in->topic.p[0] == 'd') {
        broker_acknowledge(b, in->conn, ticket, 0);
        return BROKER_DEFER;
    }
    return BROKER_ROUTE;
}

static int start(void)
{
    run = (struct run){.now_ms = 1};
    int error = 0;
    for (unsigned i = 0; i < SHARDS && error == 0; i++) {
        struct broker_options options = {
            .host = {.context = &run.shard[i],
                     .authenticate = authenticate,
                     .authorize = authorize,
                     .publish = publish,
                     .auth_begin = auth_begin,
                     .auth_continue = authenticate},
            .shard = i,
            .shards = SHARDS,
            .retained_counter = &run.retained_counter,
            .seed = 1,
        };
        options.durability = durability;
        broker_limits_default(&options.limits);
        options.limits.memory_messages = 1;
        error = broker_new(&options, &run.shard[i]);
    }
    return error;
}

static void close_party(struct party *party, unsigned shard)
{
    if (party->is_open)
        broker_closed(run.shard[shard], party->conn, run.now_ms);
    party->is_open = false;
}

/* A store that takes everything, and finds nothing. */
static void store(struct broker *b)
{
    struct broker_journal *journal = broker_take_journal(b);
    if (journal != NULL)
        broker_stored(b, journal, run.now_ms);
}

static void pump(void)
{
    for (unsigned round = 0; round < 3; round++) {
        for (unsigned from = 0; from < SHARDS; from++)
            broker_deliver_parcels(run.shard[1 - from],
                                   broker_take_parcels(run.shard[from], 1 - from), run.now_ms);
        for (unsigned i = 0; i < SHARDS; i++) {
            struct broker_conn conn;
            store(run.shard[i]);
            while (broker_next_dirty(run.shard[i], &conn)) {
                struct broker_piece piece;
                bool closing;
                while (broker_output(run.shard[i], conn, &piece, 1, &closing) != 0)
                    broker_output_written(run.shard[i], conn, piece.n);
                if (closing && !broker_output_is_held(run.shard[i], conn))
                    close_party(broker_conn_data(run.shard[i], conn), i);
            }
        }
    }
}

static void take_step(const struct step *step)
{
    struct party *party = &run.party[step->client];
    unsigned shard = shard_of(step->client);
    struct broker *b = run.shard[shard];
    if (step->later_ms != 0) {
        run.now_ms += step->later_ms;
        for (unsigned i = 0; i < SHARDS; i++)
            broker_tick(run.shard[i], run.now_ms);
        pump();
    }
    if (step->cuts)
        close_party(party, shard);
    if (step->bytes.n != 0 && !party->is_open)
        party->is_open = broker_open(b, party, "peer", run.now_ms, &party->conn) == 0;
    size_t consumed;
    if (party->is_open && step->bytes.n != 0)
        (void)!broker_input(b, party->conn, buf_bytes(&step->bytes), run.now_ms, &consumed);
    pump();
}

static void finish(void)
{
    for (unsigned i = 0; i < CLIENTS; i++)
        close_party(&run.party[i], shard_of(i));
    for (unsigned i = 0; i < SHARDS; i++)
        broker_free(run.shard[i]);
}

static void play(void)
{
    for (size_t i = 0; i < step_count; i++)
        take_step(&steps[i]);
}

static uint64_t sum_out(void)
{
    uint64_t sum = 0;
    for (unsigned i = 0; i < SHARDS; i++) {
        struct broker_stats stats;
        broker_stats_get(run.shard[i], &stats);
        sum += stats.publishes_out_total;
    }
    return sum;
}

static void fail_everywhere(void)
{
    assert_int_equal(start(), 0);
    play();
    uint64_t whole = sum_out();
    assert_true(whole > 15);
    finish();
    size_t n = 0;
    bool failed = true;
    while (failed) {
        memory_fail_at(++n);
        int error = start();
        if (error != 0) {
            assert_int_equal(error, SEALMQ_E_NOMEM);
            failed = memory_has_failed();
            assert_true(failed);
            finish();
            continue;
        }
        play();
        failed = memory_has_failed();
        /* There is memory again: everyone connects anew and everything works. */
        for (unsigned i = 0; i < CLIENTS; i++)
            close_party(&run.party[i], shard_of(i));
        uint64_t before = sum_out();
        play();
        assert_true(sum_out() - before >= whole);
        finish();
    }
    assert_true(n > 100);
    for (size_t i = 0; i < step_count; i++)
        buf_close(&steps[i].bytes);
    step_count = 0;
}

static void server_survives_every_failed_allocation(void **state)
{
    (void)state;
    make_conversation();
    fail_everywhere();
}

static void durable_server_survives_every_failed_allocation(void **state)
{
    (void)state;
    durability = BROKER_DURABLE_FULL;
    make_conversation();
    fail_everywhere();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(server_survives_every_failed_allocation),
        cmocka_unit_test(durable_server_survives_every_failed_allocation),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
