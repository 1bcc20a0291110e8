/* Messages for groups on several shards: what was acknowledged is with a member, whatever shard had
 * to be asked first, and whenever the server crashes. */
#include "folder.h"
#include "server.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SHARDS 3
#define HOME   0 /* the publisher's */
#define FIRST  1 /* where the member has gone that the home still counts on */
#define SECOND 2

struct fixture {
    struct server server;
    char path[512];
    struct peer publisher;
    char id[SHARDS][32]; /* of a member on each shard */
    char publisher_id[32];
};

static void begin(void **state, struct fixture *f)
{
    f->server.now_ms = 1000;
    f->server.wall_ms = 1700000000000;
    snprintf(f->path, sizeof f->path, "%s", folder_path(state, "sessions.db"));
    for (unsigned i = 0; i < SHARDS; i++)
        (void)peer_id(i, SHARDS, "member", f->id[i]);
    (void)peer_id(HOME, SHARDS, "publisher", f->publisher_id);
    server_start(&f->server, f->path, SHARDS);
}

static void come(struct fixture *f, struct peer *p, const char *id, bool clean)
{
    peer_connect(p, &f->server, id, clean);
    server_settle(&f->server);
    peer_expect(p, MQTT_CONNACK, NULL);
}

static void crash(struct fixture *f)
{
    peer_forget(&f->publisher);
    server_crash(&f->server);
    f->server.now_ms = 5;
    server_start(&f->server, f->path, SHARDS);
}

static void end(struct fixture *f)
{
    peer_close(&f->publisher);
    server_crash(&f->server);
}

/* A member with a session that is not connected. */
static void add_member(struct fixture *f, unsigned shard)
{
    struct peer p = {0};
    come(f, &p, f->id[shard], false);
    peer_subscribe(&p, "$share/g/x", 2);
    server_settle(&f->server);
    peer_expect(&p, MQTT_SUBACK, NULL);
    peer_close(&p);
    server_settle(&f->server);
}

static void unsubscribe(struct peer *p)
{
    struct buf list = {0};
    buf_append_str16(&list, bytes_str("$share/g/x"));
    struct mqtt_packet packet = {.type = MQTT_UNSUBSCRIBE};
    packet.unsubscribe = (struct mqtt_unsubscribe){.packet_id = 3, .filters = buf_bytes(&list)};
    peer_send(p, &packet);
    buf_close(&list);
}

/* The member leaves the group, which is stored; only its shard knows. */
static void member_leaves_quietly(struct fixture *f, struct peer *p, unsigned shard)
{
    peer_connect(p, &f->server, f->id[shard], false);
    unsubscribe(p);
    assert_true(server_take(&f->server, 1u << shard));
    server_commit(&f->server, 1u << shard);
    peer_expect(p, MQTT_CONNACK, NULL);
    peer_expect(p, MQTT_UNSUBACK, NULL);
}

static void store(struct fixture *f, unsigned shard)
{
    assert_true(server_take(&f->server, 1u << shard));
    server_commit(&f->server, 1u << shard);
}

/* The shard has stored all that it was sent, and the home is told. */
static void word_of(struct fixture *f, unsigned shard)
{
    if (server_take(&f->server, 1u << shard))
        server_commit(&f->server, 1u << shard);
    (void)server_carry(&f->server, shard, HOME);
}

/* How many messages `payload` the member has that comes back. */
static unsigned received(struct fixture *f, const char *id, const char *payload)
{
    struct peer p = {0};
    struct mqtt_packet packet;
    unsigned count = 0;
    come(f, &p, id, false);
    for (;;) {
        server_settle(&f->server);
        if (!peer_receive(&p, &packet))
            break;
        if (packet.type == MQTT_PUBREL) {
            peer_ack(&p, MQTT_PUBCOMP, packet.ack.packet_id);
            continue;
        }
        assert_int_equal(packet.type, MQTT_PUBLISH);
        count += bytes_equal(packet.publish.payload, bytes_str(payload));
        peer_ack(&p, packet.publish.qos == 1 ? MQTT_PUBACK : MQTT_PUBREC, packet.publish.packet_id);
    }
    peer_close(&p);
    server_settle(&f->server);
    return count;
}

/* The home sends the message to FIRST, from where it has come back when this returns; nothing of
 * it is stored. */
static void publish_in_vain(struct fixture *f, const char *payload, uint8_t qos, bool retain)
{
    peer_publish(&f->publisher, "x", payload, qos, 7, retain, false);
    assert_true(server_carry(&f->server, HOME, FIRST));
    assert_true(server_carry(&f->server, FIRST, HOME));
}

static void message_that_comes_home_is_acknowledged_when_the_next_shard_has_it(void **state)
{
    static char large[3000];
    memset(large, 'l', sizeof large - 1);
    for (unsigned variant = 0; variant < 6; variant++) {
        struct fixture f = {0};
        struct peer leaving = {0};
        uint8_t qos = (uint8_t)(1 + variant % 2);
        enum mqtt_type ack = qos == 1 ? MQTT_PUBACK : MQTT_PUBREC;
        const char *payload = variant / 2 == 1 ? large : "small";
        begin(state, &f);
        add_member(&f, FIRST);
        add_member(&f, SECOND);
        come(&f, &f.publisher, f.publisher_id, false);
        member_leaves_quietly(&f, &leaving, FIRST);
        publish_in_vain(&f, payload, qos, variant / 2 == 2);
        if (server_take(&f.server, 1u << HOME))
            server_commit(&f.server, 1u << HOME);
        word_of(&f, FIRST);
        peer_expect_nothing(&f.publisher);
        assert_true(server_carry(&f.server, HOME, SECOND));
        (void)server_carry(&f.server, SECOND, HOME);
        peer_expect_nothing(&f.publisher);
        store(&f, SECOND);
        assert_true(server_carry(&f.server, SECOND, HOME));
        if (variant / 2 == 2) /* the shard that keeps what is retained at x has its say, too */
            server_settle(&f.server);
        peer_expect(&f.publisher, ack, NULL);
        peer_forget(&leaving);
        crash(&f);
        assert_int_equal(received(&f, f.id[SECOND], payload), 1);
        end(&f);
        unlink(f.path);
    }
}

static void message_that_comes_home_to_a_member_there_waits_for_its_journal(void **state)
{
    for (uint8_t qos = 1; qos <= 2; qos++) {
        struct fixture f = {0};
        struct peer leaving = {0};
        begin(state, &f);
        add_member(&f, HOME);
        add_member(&f, FIRST);
        come(&f, &f.publisher, f.publisher_id, false);
        /* The home's own turn. */
        peer_publish(&f.publisher, "x", "before", 1, 6, false, false);
        server_settle(&f.server);
        peer_expect(&f.publisher, MQTT_PUBACK, NULL);
        member_leaves_quietly(&f, &leaving, FIRST);
        peer_publish(&f.publisher, "x", "m", qos, 7, false, false);
        assert_true(server_carry(&f.server, HOME, FIRST));
        /* What the home has of it by now is stored before it comes home. */
        if (server_take(&f.server, 1u << HOME))
            server_commit(&f.server, 1u << HOME);
        assert_true(server_carry(&f.server, FIRST, HOME));
        word_of(&f, FIRST);
        peer_expect_nothing(&f.publisher);
        store(&f, HOME);
        peer_expect(&f.publisher, qos == 1 ? MQTT_PUBACK : MQTT_PUBREC, NULL);
        peer_forget(&leaving);
        crash(&f);
        assert_int_equal(received(&f, f.id[HOME], "m"), 1);
        end(&f);
        unlink(f.path);
    }
}

static void message_that_nobody_can_take_is_acknowledged_when_all_have_been_asked(void **state)
{
    struct fixture f = {0};
    struct peer leaving = {0}, also = {0};
    begin(state, &f);
    add_member(&f, FIRST);
    add_member(&f, SECOND);
    come(&f, &f.publisher, f.publisher_id, false);
    member_leaves_quietly(&f, &leaving, FIRST);
    peer_connect(&also, &f.server, f.id[SECOND], false);
    unsubscribe(&also);
    store(&f, SECOND);
    publish_in_vain(&f, "m", 1, false);
    peer_expect_nothing(&f.publisher);
    assert_true(server_carry(&f.server, HOME, SECOND));
    peer_expect_nothing(&f.publisher);
    server_settle(&f.server);
    peer_expect(&f.publisher, MQTT_PUBACK, NULL);
    peer_close(&leaving);
    peer_close(&also);
    end(&f);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, folder_setup, folder_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(message_that_comes_home_is_acknowledged_when_the_next_shard_has_it),
        TEST(message_that_comes_home_to_a_member_there_waits_for_its_journal),
        TEST(message_that_nobody_can_take_is_acknowledged_when_all_have_been_asked),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
