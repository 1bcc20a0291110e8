/* The node's side of the device protocol, against a gateway made of the same parts by hand: what is
 * accepted, what is refused, and what is said about it. */
#include "keys.h"

#include "device/announce.h"
#include "device/envelope.h"
#include "device/handshake.h"
#include "device/reply.h"
#include "device/service.h"

#include <stdio.h>

#define WALL_US INT64_C(1800000000000000)
#define TOPIC   GATEWAY "/line1/RealTime"

struct side {
    struct device_service *service;
    struct compressor *compressor;
    struct hash genesis;
    struct sign_key gateway, node;
    uint64_t now_ms, number, up, down;
    int64_t wall_us;
    uint8_t random;
    struct session_keys keys;
    struct device_output out;
};

static void side_init(struct side *s)
{
    memset(s, 0, sizeof *s);
    s->genesis = hash_of("genesis");
    s->gateway = key_of(1);
    s->node = key_of(2);
    s->now_ms = 100000;
    s->wall_us = WALL_US;
    const struct device_service_options options = {
        .network = "plant",
        .genesis = s->genesis,
        .node = NODE,
        .key = &s->node,
        .session_life_s = 100,
        .gateways_max = 4,
    };
    assert_int_equal(device_service_new(&options, &s->service), 0);
    assert_int_equal(compressor_new(&s->compressor), 0);
    assert_int_equal(device_service_member(s->service, BYTES_LIT(GATEWAY), &s->gateway.public_key),
                     0);
}

static void side_close(struct side *s)
{
    device_service_free(s->service);
    compressor_free(s->compressor);
}

static void input_as(struct side *s, const char *id, const char *topic, struct bytes payload)
{
    struct device_input in = {
        .id = bytes_str(id),
        .account = BYTES_LIT("account"),
        .topic = bytes_str(topic),
        .payload = payload,
        .now_ms = s->now_ms,
        .wall_us = s->wall_us,
    };
    memset(in.random, ++s->random, sizeof in.random);
    device_service_input(s->service, &in, &s->out);
}

static void input(struct side *s, const char *topic, struct bytes payload)
{
    input_as(s, GATEWAY, topic, payload);
}

static void assert_reply(const struct side *s, const char *topic)
{
    assert_int_equal(s->out.reply_count, 1);
    if (!bytes_equal(s->out.replies[0].topic, bytes_str(topic)))
        fail_msg("reply on %.*s", (int)s->out.replies[0].topic.n,
                 (const char *)s->out.replies[0].topic.p);
}

/* Agrees on a key; false when the node did not answer with one. */
static bool hello(struct side *s, const struct sign_key *key, uint64_t number)
{
    uint8_t message[HELLO_SIZE];
    struct x25519_pair fresh = pair_of((uint8_t)number);
    const struct handshake_parties parties = {BYTES_LIT(GATEWAY), BYTES_LIT(NODE), &s->genesis};
    handshake_hello(&parties, key, number, &fresh, message);
    input(s, GATEWAY "/key", bytes_of(message, sizeof message));
    if (s->out.error != 0)
        return false;
    assert_reply(s, GATEWAY "/key/success");
    assert_int_equal(handshake_finish(&parties, message, &fresh, s->out.replies[0].payload,
                                      &s->node.public_key, &s->keys),
                     0);
    s->up = s->down = 0;
    return true;
}

static struct buf seal(struct side *s, const char *topic, struct bytes plain, uint64_t counter)
{
    struct buf out = {0};
    const struct envelope_header header = {
        .flags = ENVELOPE_ZSTD, .key_id = s->keys.key_id, .counter = counter};
    assert_int_equal(
        envelope_seal(s->compressor, &header, &s->keys.up, bytes_str(topic), plain, &out), 0);
    return out;
}

static void send_sealed(struct side *s, const char *topic, struct bytes plain)
{
    struct buf sealed = seal(s, topic, plain, ++s->up);
    input(s, topic, buf_bytes(&sealed));
    buf_close(&sealed);
}

static struct row row_of(const char *value)
{
    return (struct row){
        .device = BYTES_LIT("D1"),
        .service = BYTES_LIT("CS"),
        .name = BYTES_LIT("t"),
        .unit = BYTES_LIT(""),
        .value = bytes_str(value),
        .type = DATATYPE_DOUBLE,
        .time_us = 1000000,
    };
}

/* n, signature, JSON of a report with one row. */
static struct buf report_plain(const struct side *s, const char *below, uint64_t n,
                               const char *value, struct hash *hash)
{
    struct buf plain = {0};
    struct row row = row_of(value);
    struct signature signature;
    const struct report_head head = {
        .gateway = BYTES_LIT(GATEWAY), .topic = bytes_str(below), .n = n, .rows = 1};
    assert_int_equal(report_hash_of(&head, &row, hash), 0);
    report_sign(&s->gateway, &s->genesis, hash, &signature);
    buf_append_u64(&plain, n);
    buf_append(&plain, signature.b, SIGNATURE_SIZE);
    assert_int_equal(report_format(&row, 1, &plain), 0);
    return plain;
}

static struct hash send_report(struct side *s, uint64_t n, const char *value)
{
    struct hash hash;
    struct buf plain = report_plain(s, "line1/RealTime", n, value, &hash);
    send_sealed(s, TOPIC, buf_bytes(&plain));
    buf_close(&plain);
    return hash;
}

/* Opens the one reply. `storage` is the caller's to close. */
static struct reply opened(struct side *s, struct buf *storage)
{
    struct envelope_header header;
    struct reply reply;
    const struct device_message *message = &s->out.replies[0];
    assert_int_equal(s->out.reply_count, 1);
    assert_int_equal(envelope_peek(message->payload, &header), 0);
    assert_int_equal(header.key_id, s->keys.key_id);
    assert_true(header.counter > s->down);
    s->down = header.counter;
    assert_int_equal(
        envelope_open(s->compressor, message->payload, &s->keys.down, message->topic, storage), 0);
    assert_int_equal(reply_decode(buf_bytes(storage), &reply), 0);
    return reply;
}

static void stored(struct side *s, uint64_t n, struct hash hash, int error)
{
    device_service_stored(s->service,
                          &(struct device_stored){
                              .id = BYTES_LIT(GATEWAY),
                              .topic = BYTES_LIT("line1/RealTime"),
                              .n = n,
                              .rows = 1,
                              .hash = hash,
                              .error = error,
                              .now_ms = s->now_ms,
                          },
                          &s->out);
}

static void assert_answered(struct side *s, const char *topic, enum reply_kind kind, uint64_t n,
                            uint16_t code)
{
    struct buf storage = {0};
    assert_reply(s, topic);
    struct reply reply = opened(s, &storage);
    assert_int_equal(reply.kind, kind);
    assert_int_equal(reply.n, n);
    assert_int_equal(reply.code, code);
    buf_close(&storage);
}

/* ---- tests ---- */

static void a_stranger_gets_a_hint_once_a_second(void **state)
{
    (void)state;
    struct side s;
    side_init(&s);
    for (int second = 0; second < 3; second++) {
        input_as(&s, "plant-a/gw2", "plant-a/gw2/key", BYTES_LIT("anything"));
        assert_int_equal(s.out.error, SEALMQ_E_UNKNOWN);
        assert_reply(&s, "plant-a/gw2/unauth");
        s.now_ms += 999;
        input_as(&s, "plant-a/gw2", "plant-a/gw2/RealTime", BYTES_LIT("anything"));
        assert_int_equal(s.out.reply_count, 0);
        assert_false(s.out.has_report);
        s.now_ms += 1;
    }
    side_close(&s);
}

static void strangers_do_not_fill_the_table_for_members(void **state)
{
    (void)state;
    struct side s;
    side_init(&s);
    char id[32], topic[64];
    for (int i = 0; i < 20; i++) {
        snprintf(id, sizeof id, "plant-x/gw%d", i);
        snprintf(topic, sizeof topic, "%s/key", id);
        input_as(&s, id, topic, BYTES_LIT(""));
        assert_int_equal(s.out.error, SEALMQ_E_UNKNOWN);
    }
    for (int i = 0; i < 3; i++) {
        snprintf(id, sizeof id, "plant-m/gw%d", i);
        assert_int_equal(device_service_member(s.service, bytes_str(id), &s.node.public_key), 0);
    }
    assert_int_equal(device_service_member(s.service, BYTES_LIT("plant-m/gw9"), &s.node.public_key),
                     SEALMQ_E_LIMIT);
    input_as(&s, "plant-x/gw1", "plant-x/gw1/key", BYTES_LIT(""));
    assert_int_equal(s.out.error, SEALMQ_E_LIMIT);
    assert_true(hello(&s, &s.gateway, 1));
    side_close(&s);
}

static void a_report_goes_to_be_stored_and_is_answered_when_it_is(void **state)
{
    (void)state;
    struct side s;
    side_init(&s);
    assert_true(hello(&s, &s.gateway, 1));
    struct hash hash = send_report(&s, 5, "36.5");
    assert_int_equal(s.out.error, 0);
    assert_int_equal(s.out.reply_count, 0);
    assert_true(s.out.has_report);
    const struct device_report *report = &s.out.report;
    assert_int_equal(report->head.n, 5);
    assert_int_equal(report->head.rows, 1);
    assert_true(bytes_equal(report->head.gateway, BYTES_LIT(GATEWAY)));
    assert_true(bytes_equal(report->head.topic, BYTES_LIT("line1/RealTime")));
    assert_true(bytes_equal(report->account, BYTES_LIT("account")));
    assert_true(bytes_equal(report->rows[0].value, BYTES_LIT("36.5")));
    assert_true(hash_equal(&report->hash, &hash));
    assert_int_equal(
        report_verify(&s.gateway.public_key, &s.genesis, &report->hash, &report->signature), 0);
    stored(&s, 5, hash, 0);
    struct buf storage = {0};
    struct reply reply = opened(&s, &storage);
    assert_reply(&s, TOPIC "/datas");
    assert_int_equal(reply.kind, REPLY_DATAS);
    assert_true(hash_equal(&reply.report, &hash));
    buf_close(&storage);
    hash = send_report(&s, 6, "36.6");
    stored(&s, 6, hash, 0);
    assert_answered(&s, TOPIC "/success", REPLY_SUCCESS, 6, DEVICE_CODE_OK);
    stored(&s, 6, hash, SEALMQ_E_EXISTS);
    assert_answered(&s, TOPIC "/success", REPLY_SUCCESS, 6, DEVICE_CODE_STORED_BEFORE);
    stored(&s, 6, hash, SEALMQ_E_FULL);
    assert_answered(&s, TOPIC "/error", REPLY_ERROR, 6, DEVICE_CODE_STORAGE);
    struct device_service_stats stats;
    device_service_stats_get(s.service, &stats);
    assert_int_equal(stats.reports_accepted_total, 2);
    assert_int_equal(stats.rows_accepted_total, 2);
    assert_int_equal(stats.handshakes_total, 1);
    side_close(&s);
}

static void a_conflict_names_what_is_recorded(void **state)
{
    (void)state;
    struct side s;
    side_init(&s);
    assert_true(hello(&s, &s.gateway, 1));
    struct hash hash = send_report(&s, 5, "36.5"), recorded = hash_of("another report");
    device_service_stored(s.service,
                          &(struct device_stored){
                              .id = BYTES_LIT(GATEWAY),
                              .topic = BYTES_LIT("line1/RealTime"),
                              .n = 5,
                              .rows = 1,
                              .hash = hash,
                              .error = SEALMQ_E_CONFLICT,
                              .recorded = &recorded,
                          },
                          &s.out);
    struct buf storage = {0};
    struct reply reply = opened(&s, &storage);
    assert_int_equal(reply.code, DEVICE_CODE_CONFLICT);
    assert_true(hash_equal(&reply.report, &recorded));
    buf_close(&storage);
    side_close(&s);
}

static void a_counter_is_used_once(void **state)
{
    (void)state;
    struct side s;
    struct hash hash;
    side_init(&s);
    assert_true(hello(&s, &s.gateway, 1));
    struct buf plain = report_plain(&s, "line1/RealTime", 1, "1", &hash);
    struct buf sealed = seal(&s, TOPIC, buf_bytes(&plain), 3);
    input(&s, TOPIC, buf_bytes(&sealed));
    assert_int_equal(s.out.error, 0);
    input(&s, TOPIC, buf_bytes(&sealed));
    assert_int_equal(s.out.error, SEALMQ_E_REPLAY);
    assert_false(s.out.has_report);
    /* The gateway is told, but the answer names no report: anyone could send a recorded one again.
     */
    struct buf storage = {0};
    assert_reply(&s, TOPIC "/error");
    struct reply reply = opened(&s, &storage);
    assert_int_equal(reply.code, DEVICE_CODE_REPLAY);
    assert_int_equal(reply.n, 0);
    buf_close(&storage);
    buf_close(&sealed);
    for (uint64_t counter = 0; counter <= 4; counter++) {
        sealed = seal(&s, TOPIC, buf_bytes(&plain), counter);
        input(&s, TOPIC, buf_bytes(&sealed));
        assert_int_equal(s.out.error, counter == 4 ? 0 : SEALMQ_E_REPLAY);
        buf_close(&sealed);
    }
    buf_close(&plain);
    struct device_service_stats stats;
    device_service_stats_get(s.service, &stats);
    assert_int_equal(stats.reports_refused_replay_total, 5);
    side_close(&s);
}

static void nothing_without_a_session_key_but_a_hint(void **state)
{
    (void)state;
    struct side s;
    side_init(&s);
    s.keys.key_id = 7;
    send_report(&s, 1, "1");
    assert_int_equal(s.out.error, SEALMQ_E_EXPIRED);
    assert_reply(&s, GATEWAY "/forbidden");
    assert_false(s.out.has_report);
    assert_true(hello(&s, &s.gateway, 1));
    s.now_ms += 1000;
    s.wall_us += INT64_C(100) * 1000000; /* the key's life */
    send_report(&s, 1, "1");
    assert_int_equal(s.out.error, SEALMQ_E_EXPIRED);
    assert_reply(&s, GATEWAY "/forbidden");
    side_close(&s);
}

static void the_old_key_works_until_the_new_one_is_used(void **state)
{
    (void)state;
    struct side s;
    side_init(&s);
    assert_true(hello(&s, &s.gateway, 1));
    send_report(&s, 1, "1");
    assert_true(s.out.has_report);
    struct session_keys old = s.keys;
    uint64_t old_up = s.up;
    assert_true(hello(&s, &s.gateway, 2));
    struct session_keys new = s.keys;
    s.keys = old;
    s.up = old_up;
    struct hash hash = send_report(&s, 2, "2");
    assert_true(s.out.has_report);
    s.down = 0;
    stored(&s, 2, hash, 0);
    struct buf storage = {0};
    (void)opened(&s, &storage); /* under the old key, which the gateway still has */
    buf_close(&storage);
    s.keys = new;
    s.up = s.down = 0;
    send_report(&s, 3, "3");
    assert_true(s.out.has_report);
    s.keys = old;
    s.up = old_up + 1;
    send_report(&s, 4, "4");
    assert_int_equal(s.out.error, SEALMQ_E_EXPIRED);
    side_close(&s);
}

static void a_handshake_number_is_used_once(void **state)
{
    (void)state;
    struct side s;
    struct sign_key other = key_of(9);
    side_init(&s);
    assert_true(hello(&s, &s.gateway, 5));
    assert_false(hello(&s, &s.gateway, 5));
    assert_int_equal(s.out.error, SEALMQ_E_REPLAY);
    assert_reply(&s, GATEWAY "/key/fail");
    uint64_t number;
    uint16_t code;
    assert_int_equal(handshake_fail_parse(s.out.replies[0].payload, &number, &code), 0);
    assert_int_equal(number, 5);
    assert_int_equal(code, DEVICE_CODE_REPLAY);
    assert_false(hello(&s, &s.gateway, 4));
    /* A bad signature does not spend a number. */
    assert_false(hello(&s, &other, 1000));
    assert_int_equal(s.out.error, SEALMQ_E_SIGNATURE);
    assert_true(hello(&s, &s.gateway, 6));
    side_close(&s);
}

static void a_report_must_be_signed_by_its_gateway(void **state)
{
    (void)state;
    struct side s;
    struct hash hash;
    side_init(&s);
    assert_true(hello(&s, &s.gateway, 1));
    struct buf plain = report_plain(&s, "line1/RealTime", 5, "36", &hash);
    for (size_t i = 0; i < 8 + SIGNATURE_SIZE; i++) {
        plain.p[i] ^= 1;
        send_sealed(&s, TOPIC, buf_bytes(&plain));
        assert_int_equal(s.out.error, SEALMQ_E_SIGNATURE);
        assert_false(s.out.has_report);
        assert_reply(&s, TOPIC "/error");
        plain.p[i] ^= 1;
    }
    /* The signature covers the topic too. */
    const char *elsewhere = GATEWAY "/line2/RealTime";
    send_sealed(&s, elsewhere, buf_bytes(&plain));
    assert_int_equal(s.out.error, SEALMQ_E_SIGNATURE);
    struct device_service_stats stats;
    device_service_stats_get(s.service, &stats);
    assert_int_equal(stats.reports_refused_signature_total, 8 + SIGNATURE_SIZE + 1);
    buf_close(&plain);
    side_close(&s);
}

static void a_malformed_report_is_answered_with_a_reason(void **state)
{
    (void)state;
    struct side s;
    struct hash hash;
    side_init(&s);
    assert_true(hello(&s, &s.gateway, 1));
    struct buf plain = report_plain(&s, "line1/RealTime", 5, "36", &hash);
    for (size_t n = 0; n < plain.n; n += n < 80 ? 1 : 20) {
        send_sealed(&s, TOPIC, bytes_of(plain.p, n));
        assert_int_not_equal(s.out.error, 0);
        assert_answered(&s, TOPIC "/error", REPLY_ERROR, n < 8 ? 0 : 5, DEVICE_CODE_MALFORMED);
    }
    static const char wrong_count[] =
        "{\"devices\":[{\"deviceId\":\"D\",\"services\":[{\"serviceId\":\"CS\",\"eventtime\":"
        "\"20200706T144831Z\",\"count\":2,\"data\":[{\"name\":\"t\",\"datatype\":\"int\",\"val\":1}"
        "]}]}]}";
    plain.n = 8 + SIGNATURE_SIZE;
    buf_append_cstr(&plain, wrong_count);
    send_sealed(&s, TOPIC, buf_bytes(&plain));
    struct buf storage = {0};
    struct reply reply = opened(&s, &storage);
    assert_int_equal(reply.code, DEVICE_CODE_COUNT);
    assert_true(bytes_equal(reply.words,
                            BYTES_LIT("devices[0].services[0]: count is 2, data has 1 items")));
    buf_close(&storage);
    buf_close(&plain);
    side_close(&s);
}

static void reserved_and_foreign_topics_are_not_for_reports(void **state)
{
    (void)state;
    struct side s;
    side_init(&s);
    assert_true(hello(&s, &s.gateway, 1));
    static const char *const topics[] = {GATEWAY "/key/x",
                                         GATEWAY "/unauth",
                                         GATEWAY "/forbidden/x",
                                         GATEWAY "/update",
                                         GATEWAY "/line1/datas",
                                         GATEWAY "/line1/success",
                                         GATEWAY "/error",
                                         GATEWAY,
                                         GATEWAY "/",
                                         "plant-a/gw2/line1",
                                         "plant-a/gw11/line1",
                                         "chain/plant/announce",
                                         "chain/other/request"};
    for (size_t i = 0; i < sizeof topics / sizeof topics[0]; i++) {
        struct hash hash;
        struct buf plain = report_plain(&s, "x", 1, "1", &hash);
        send_sealed(&s, topics[i], buf_bytes(&plain));
        assert_int_equal(s.out.error, SEALMQ_E_DENIED);
        assert_false(s.out.has_report);
        buf_close(&plain);
    }
    side_close(&s);
}

/* Its answer could not be sent: the broker takes topics of 64 levels at most. */
static void a_topic_with_too_many_levels_is_not_for_reports(void **state)
{
    (void)state;
    struct side s;
    side_init(&s);
    assert_true(hello(&s, &s.gateway, 1));
    for (size_t levels = TOPIC_MAX_LEVELS; levels <= TOPIC_MAX_LEVELS + 1; levels++) {
        char topic[512] = GATEWAY;
        for (size_t i = 0; i < levels; i++)
            strcat(topic, "/x");
        struct hash hash;
        struct buf plain = report_plain(&s, topic + strlen(GATEWAY "/"), 1, "1", &hash);
        send_sealed(&s, topic, buf_bytes(&plain));
        bool fits = levels == TOPIC_MAX_LEVELS;
        assert_int_equal(s.out.error, fits ? 0 : SEALMQ_E_DENIED);
        assert_int_equal(s.out.has_report, fits);
        buf_close(&plain);
    }
    side_close(&s);
}

static struct buf request_json(const struct sign_key *key, const struct hash *genesis,
                               const char *sender)
{
    struct buf wire = {0}, json = {0};
    const struct request_data data = {.sender = bytes_str(sender), .number = 3, .from = 1, .to = 0};
    assert_int_equal(request_make_data(&data, key, genesis, &wire), 0);
    assert_int_equal(request_to_json(buf_bytes(&wire), BYTES_LIT("reply"), WALL_US, &json), 0);
    buf_close(&wire);
    return json;
}

static void requests_are_opened_and_handed_on(void **state)
{
    (void)state;
    struct side s;
    struct request request;
    side_init(&s);
    assert_true(hello(&s, &s.gateway, 1));
    struct buf json = request_json(&s.gateway, &s.genesis, GATEWAY);
    send_sealed(&s, "chain/plant/request", buf_bytes(&json));
    assert_int_equal(s.out.error, 0);
    assert_true(s.out.has_request);
    assert_int_equal(request_decode(s.out.request, &request), 0);
    assert_int_equal(request.number, 3);
    buf_close(&json);
    json = request_json(&s.gateway, &s.genesis, "plant-a/gw2");
    send_sealed(&s, "chain/plant/request", buf_bytes(&json));
    assert_int_equal(s.out.error, SEALMQ_E_DENIED);
    assert_false(s.out.has_request);
    send_sealed(&s, "chain/plant/request", bytes_of(json.p, json.n - 1));
    assert_int_equal(s.out.error, SEALMQ_E_PARSE);
    buf_close(&json);
    side_close(&s);
}

static void receipts_and_refusals_are_sealed_on_the_reply_topic(void **state)
{
    (void)state;
    struct side s;
    side_init(&s);
    assert_int_equal(
        device_service_receipt(s.service, BYTES_LIT(GATEWAY), 3, BYTES_LIT("proof"), &s.out),
        SEALMQ_E_AGAIN);
    assert_true(hello(&s, &s.gateway, 1));
    send_report(&s, 1, "1"); /* the new key is in use from here */
    assert_int_equal(
        device_service_receipt(s.service, BYTES_LIT(GATEWAY), 3, BYTES_LIT("proof"), &s.out), 0);
    struct buf storage = {0};
    assert_reply(&s, "chain/plant/reply/" GATEWAY);
    struct reply reply = opened(&s, &storage);
    assert_int_equal(reply.kind, REPLY_RECEIPT);
    assert_int_equal(reply.n, 3);
    assert_true(bytes_equal(reply.proof, BYTES_LIT("proof")));
    buf_close(&storage);
    assert_int_equal(
        device_service_request_refused(s.service, BYTES_LIT(GATEWAY), 4, SEALMQ_E_CONFLICT, &s.out),
        0);
    reply = opened(&s, &storage);
    assert_int_equal(reply.kind, REPLY_REQUEST_REFUSED);
    assert_int_equal(reply.code, DEVICE_CODE_CONFLICT);
    buf_close(&storage);
    side_close(&s);
}

static void a_revoked_gateway_is_a_stranger(void **state)
{
    (void)state;
    struct side s;
    side_init(&s);
    assert_true(hello(&s, &s.gateway, 1));
    struct hash hash = send_report(&s, 1, "1");
    assert_int_equal(device_service_member(s.service, BYTES_LIT(GATEWAY), NULL), 0);
    stored(&s, 1, hash, 0); /* no key to answer with */
    assert_int_equal(s.out.reply_count, 0);
    send_report(&s, 2, "1");
    assert_int_equal(s.out.error, SEALMQ_E_UNKNOWN);
    assert_reply(&s, GATEWAY "/unauth");
    struct sign_key other = key_of(9);
    assert_int_equal(device_service_member(s.service, BYTES_LIT(GATEWAY), &other.public_key), 0);
    assert_false(hello(&s, &s.gateway, 2));
    assert_true(hello(&s, &other, 1));
    side_close(&s);
}

static void noise_is_refused(void **state)
{
    (void)state;
    struct side s;
    side_init(&s);
    assert_true(hello(&s, &s.gateway, 1));
    struct hash hash;
    struct buf plain = report_plain(&s, "line1/RealTime", 1, "1", &hash);
    struct buf sealed = seal(&s, TOPIC, buf_bytes(&plain), 1);
    for (size_t n = 0; n < sealed.n; n++) {
        input(&s, TOPIC, bytes_of(sealed.p, n));
        assert_int_not_equal(s.out.error, 0);
        input(&s, GATEWAY "/key", bytes_of(sealed.p, n));
        assert_int_not_equal(s.out.error, 0);
        input(&s, "chain/plant/request", bytes_of(sealed.p, n));
        assert_int_not_equal(s.out.error, 0);
    }
    input(&s, TOPIC, buf_bytes(&sealed));
    assert_int_equal(s.out.error, 0);
    buf_close(&sealed);
    buf_close(&plain);
    side_close(&s);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stranger_gets_a_hint_once_a_second),
        cmocka_unit_test(strangers_do_not_fill_the_table_for_members),
        cmocka_unit_test(a_report_goes_to_be_stored_and_is_answered_when_it_is),
        cmocka_unit_test(a_conflict_names_what_is_recorded),
        cmocka_unit_test(a_counter_is_used_once),
        cmocka_unit_test(nothing_without_a_session_key_but_a_hint),
        cmocka_unit_test(the_old_key_works_until_the_new_one_is_used),
        cmocka_unit_test(a_handshake_number_is_used_once),
        cmocka_unit_test(a_report_must_be_signed_by_its_gateway),
        cmocka_unit_test(a_malformed_report_is_answered_with_a_reason),
        cmocka_unit_test(reserved_and_foreign_topics_are_not_for_reports),
        cmocka_unit_test(a_topic_with_too_many_levels_is_not_for_reports),
        cmocka_unit_test(requests_are_opened_and_handed_on),
        cmocka_unit_test(receipts_and_refusals_are_sealed_on_the_reply_topic),
        cmocka_unit_test(a_revoked_gateway_is_a_stranger),
        cmocka_unit_test(noise_is_refused),
    };
    return cmocka_run_group_tests(tests, keys_setup, NULL);
}
