/* The device protocol. The first byte says what the rest is: a zstd frame, an answer, an
 * announcement, a report, or what a gateway with a session key sealed as a report or a request. */
#include "base/assert.h"
#include "device/announce.h"
#include "device/compressor.h"
#include "device/handshake.h"
#include "device/reply.h"
#include "device/service.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define GATEWAY    "plant-a/gw1"
#define NODE       "broker/a"
#define FRAME_MOST 65536

/* A node with one gateway that has a session key. */
static struct {
    bool is_ready;
    struct device_service *service;
    struct compressor *compressor;
    struct sign_key gateway, node;
    struct hash genesis;
    struct session_keys keys;
    uint64_t counter;
} side;

static void give(const char *topic, struct bytes payload, struct device_output *out)
{
    const struct device_input in = {
        .id = BYTES_LIT(GATEWAY),
        .account = BYTES_LIT(GATEWAY),
        .topic = bytes_str(topic),
        .payload = payload,
        .now_ms = 1000000,
        .wall_us = INT64_C(1800000000000000),
        .random = {9},
    };
    device_service_input(side.service, &in, out);
}

static void make_side(void)
{
    static const uint8_t seeds[2][SEED_SIZE] = {{1}, {2}};
    static const uint8_t secret[X25519_SIZE] = {3};
    struct x25519_pair fresh;
    uint8_t hello[HELLO_SIZE];
    struct device_output out;
    ASSERT(crypto_init() == 0);
    sign_key_from_seed(seeds[0], &side.gateway);
    sign_key_from_seed(seeds[1], &side.node);
    hash_sha256(BYTES_LIT("genesis"), &side.genesis);
    const struct device_service_options options = {
        .network = "plant", .genesis = side.genesis, .node = NODE, .key = &side.node};
    ASSERT(device_service_new(&options, &side.service) == 0);
    ASSERT(compressor_new(&side.compressor) == 0);
    ASSERT(device_service_member(side.service, BYTES_LIT(GATEWAY), &side.gateway.public_key) == 0);
    const struct handshake_parties parties = {BYTES_LIT(GATEWAY), BYTES_LIT(NODE), &side.genesis};
    x25519_pair_from_secret(secret, &fresh);
    handshake_hello(&parties, &side.gateway, 1, &fresh, hello);
    give(GATEWAY "/key", bytes_of(hello, sizeof hello), &out);
    ASSERT(out.error == 0 && out.reply_count == 1);
    ASSERT(handshake_finish(&parties, hello, &fresh, out.replies[0].payload, &side.node.public_key,
                            &side.keys) == 0);
    side.is_ready = true;
}

/* What opens to less than it said would be a frame of another size. */
static void try_frame(struct bytes frame)
{
    struct buf plain = {0}, again = {0}, back = {0};
    if (compressor_unpack(side.compressor, frame, FRAME_MOST, &plain) == 0) {
        ASSERT(plain.n <= FRAME_MOST);
        ASSERT(compressor_pack(side.compressor, buf_bytes(&plain), &again) == 0);
        ASSERT(compressor_unpack(side.compressor, buf_bytes(&again), FRAME_MOST, &back) == 0);
        ASSERT(bytes_equal(buf_bytes(&plain), buf_bytes(&back)));
    } else {
        ASSERT(plain.n == 0);
    }
    buf_close(&plain);
    buf_close(&again);
    buf_close(&back);
}

/* An answer has one form. */
static void try_reply(struct bytes wire)
{
    struct reply reply;
    struct buf again = {0};
    if (reply_decode(wire, &reply) != 0)
        return;
    ASSERT(reply_encode(&reply, &again) == 0);
    ASSERT(bytes_equal(wire, buf_bytes(&again)));
    buf_close(&again);
}

static void try_announcement(struct bytes json)
{
    char id[ID_MAX + 1];
    struct public_key key;
    (void)(announce_parse(json, &side.genesis, id, &key) == 0);
}

/* What was read is written so that it reads the same, with the same hash. */
static void try_report(struct bytes json)
{
    struct report first, second;
    struct buf text = {0};
    struct hash a, b;
    char why[128] = "";
    if (report_parse(json, &first, why, sizeof why) != 0) {
        ASSERT(why[0] != '\0');
        return;
    }
    ASSERT(report_format(first.rows, first.n, &text) == 0);
    /* Written out it may be longer than a report can be. */
    if (text.n <= REPORT_BYTES_MAX) {
        ASSERT(report_parse(buf_bytes(&text), &second, why, sizeof why) == 0);
        const struct report_head head = {
            .gateway = BYTES_LIT(GATEWAY), .n = 1, .rows = (uint32_t)first.n};
        ASSERT(second.n == first.n);
        ASSERT(report_hash_of(&head, first.rows, &a) == 0);
        ASSERT(report_hash_of(&head, second.rows, &b) == 0);
        ASSERT(hash_equal(&a, &b));
        report_close(&second);
    }
    buf_close(&text);
    report_close(&first);
}

static void try_sealed(const char *topic, struct bytes plain)
{
    struct buf sealed = {0};
    struct device_output out;
    const struct envelope_header header = {.key_id = side.keys.key_id, .counter = ++side.counter};
    ASSERT(envelope_seal(side.compressor, &header, &side.keys.up, bytes_str(topic), plain,
                         &sealed) == 0);
    give(topic, buf_bytes(&sealed), &out);
    ASSERT(out.error == 0 ? out.has_report != out.has_request : !out.has_report);
    if (out.has_report)
        ASSERT(report_verify(&side.gateway.public_key, &side.genesis, &out.report.hash,
                             &out.report.signature) == 0);
    buf_close(&sealed);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (!side.is_ready)
        make_side();
    if (size == 0 || size > ENVELOPE_PLAIN_MAX)
        return 0;
    struct bytes rest = {data + 1, size - 1};
    switch (data[0]) {
    case 'f':
        try_frame(rest);
        break;
    case 'a':
        try_reply(rest);
        break;
    case 'n':
        try_announcement(rest);
        break;
    case 'r':
        try_report(rest);
        break;
    case 's':
        try_sealed(GATEWAY "/report", rest);
        break;
    case 'q':
        try_sealed("chain/plant/request", rest);
        break;
    default:
        break;
    }
    return 0;
}
