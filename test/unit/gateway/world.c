#include "world.h"

#include "base/json.h"
#include "device/announce.h"
#include "ledger/proof.h"

#include <stdio.h>
#include <stdlib.h>

int world_setup(void **state)
{
    (void)state;
    return crypto_init();
}

static struct sign_key key_of(uint8_t seed)
{
    uint8_t bytes[SEED_SIZE];
    struct sign_key key;
    memset(bytes, seed, sizeof bytes);
    sign_key_from_seed(bytes, &key);
    return key;
}

/* ---- making it ---- */

static void make_genesis(struct world *w)
{
    struct genesis *genesis = &w->genesis;
    w->node_key = key_of(1);
    w->admin_key = key_of(2);
    w->gateway_key = key_of(3);
    sign_key_derive(&w->node_key, LOG_KEY_PURPOSE, &w->log_key);
    sign_key_derive(&w->node_key, COSIGNER_KEY_PURPOSE, &w->cosigner_key);
    snprintf(genesis->network, sizeof genesis->network, "plant");
    genesis->created_us = WALL_START - 1000000;
    genesis->parameters.anchor_interval_ms = 60000;
    genesis->validators.n = 1;
    struct validator *v = &genesis->validators.v[0];
    snprintf(v->id, sizeof v->id, NODE);
    snprintf(v->url, sizeof v->url, "mqtt://127.0.0.1:1");
    v->key = w->node_key.public_key;
    v->log_key = w->log_key.public_key;
    v->cosigner_key = w->cosigner_key.public_key;
    genesis->admin_count = genesis->admin_threshold = 1;
    snprintf(genesis->admins[0].id, sizeof genesis->admins[0].id, "admin/a");
    genesis->admins[0].key = w->admin_key.public_key;
    assert_int_equal(genesis_seal(genesis, NULL, 0), 0);
    struct buf text = {0};
    unsigned line;
    assert_int_equal(policy_format("plant", &genesis->validators, &text), 0);
    assert_int_equal(policy_parse(buf_bytes(&text), &w->policy, &line, NULL, 0), 0);
    buf_close(&text);
}

static void service_start(struct world *w)
{
    const struct device_service_options options = {
        .network = "plant",
        .genesis = w->genesis.hash,
        .node = NODE,
        .key = &w->node_key,
        .session_life_s = 1000,
    };
    assert_int_equal(device_service_new(&options, &w->service), 0);
}

void world_init(struct world *w)
{
    memset(w, 0, sizeof *w);
    make_genesis(w);
    w->now.now_ms = 1000000;
    w->now.wall_us = WALL_START;
    service_start(w);
    assert_int_equal(chain_new(&w->genesis, &w->chain), 0);
    w->policies[0] =
        (struct gateway_policy){.pattern = "*/*/*", .periodic = true, .interval_ms = 10000};
    w->options = (struct gateway_options){
        .id = GATEWAY,
        .key = &w->gateway_key,
        .genesis = &w->genesis,
        .policy = w->policy,
        .policies = w->policies,
        .policy_count = 1,
    };
}

static void load_all(struct world *w)
{
    for (const struct entry *entry = w->disk; entry != NULL; entry = entry->next)
        assert_int_equal(
            gateway_load(w->gateway, entry->table, entry->key, buf_bytes(&entry->value)), 0);
    assert_int_equal(gateway_loaded(w->gateway), 0);
}

void world_start(struct world *w)
{
    assert_int_equal(gateway_new(&w->options, &w->gateway), 0);
    load_all(w);
    w->deadline_ms = 0;
}

void world_ready(struct world *w)
{
    world_init(w);
    world_register(w);
    world_start(w);
    world_connect(w);
    world_deliver(w);
    assert_string_equal(world_stats(w).state, "ready");
}

static void entry_free(struct entry *entry)
{
    buf_close(&entry->value);
    free(entry);
}

void world_close(struct world *w)
{
    gateway_free(w->gateway);
    device_service_free(w->service);
    chain_free(w->chain);
    policy_free(w->policy);
    world_lose(w);
    while (w->disk != NULL) {
        struct entry *next = w->disk->next;
        entry_free(w->disk);
        w->disk = next;
    }
    while (w->history != NULL) {
        struct stored *next = w->history->next;
        buf_close(&w->history->json);
        free(w->history);
        w->history = next;
    }
    for (size_t i = 0; i < w->request_count; i++)
        buf_close(&w->requests[i]);
    for (size_t i = 0; i < WORLD_RECEIPTS; i++)
        buf_close(&w->receipts[i].proof);
}

/* ---- the disk ---- */

struct entry *disk_find(const struct world *w, enum gateway_table table, uint64_t key)
{
    for (struct entry *entry = w->disk; entry != NULL; entry = entry->next) {
        if (entry->table == table && entry->key == key)
            return entry;
    }
    return NULL;
}

size_t disk_count(const struct world *w, enum gateway_table table)
{
    size_t n = 0;
    for (const struct entry *entry = w->disk; entry != NULL; entry = entry->next)
        n += entry->table == table;
    return n;
}

void disk_put(struct world *w, enum gateway_table table, uint64_t key, struct bytes value)
{
    struct entry *entry = disk_find(w, table, key);
    if (entry == NULL) {
        entry = calloc(1, sizeof *entry);
        assert_non_null(entry);
        entry->table = table;
        entry->key = key;
        entry->next = w->disk;
        w->disk = entry;
    }
    buf_reset(&entry->value);
    buf_append_bytes(&entry->value, value);
}

void disk_remove(struct world *w, enum gateway_table table, uint64_t key)
{
    for (struct entry **at = &w->disk; *at != NULL; at = &(*at)->next) {
        if ((*at)->table == table && (*at)->key == key) {
            struct entry *entry = *at;
            *at = entry->next;
            entry_free(entry);
            return;
        }
    }
}

/* ---- what the gateway does ---- */

void world_apply(struct world *w, const struct gateway_update *update)
{
    for (size_t i = 0; i < update->write_count; i++) {
        const struct gateway_write *write = &update->writes[i];
        if (write->remove)
            disk_remove(w, write->table, write->key);
        else
            disk_put(w, write->table, write->key, write->value);
    }
    for (size_t i = 0; i < update->message_count; i++) {
        struct message *message = calloc(1, sizeof *message), **at = &w->to_node;
        assert_non_null(message);
        buf_append_bytes(&message->topic, update->messages[i].topic);
        buf_append_bytes(&message->payload, update->messages[i].payload);
        while (*at != NULL)
            at = &(*at)->next;
        *at = message;
    }
    for (size_t i = 0; i < update->note_count; i++) {
        const struct gateway_note *note = &update->notes[i];
        w->notes[note->kind]++;
        w->last[note->kind] = *note;
        snprintf(w->words[note->kind], sizeof w->words[0], "%s", note->words);
    }
    w->deadline_ms = update->deadline_ms;
}

/* Fresh randomness for the next call. */
static const struct gateway_now *now(struct world *w)
{
    for (size_t i = 0; i < sizeof w->now.random; i++) {
        if (++w->now.random[i] != 0)
            break;
    }
    return &w->now;
}

void world_tick(struct world *w)
{
    struct gateway_update update;
    assert_int_equal(gateway_tick(w->gateway, now(w), &update), 0);
    world_apply(w, &update);
}

void world_flush(struct world *w)
{
    struct gateway_update update;
    assert_int_equal(gateway_flush(w->gateway, now(w), &update), 0);
    world_apply(w, &update);
}

int world_reading(struct world *w, const char *name, enum datatype type, const char *value)
{
    struct gateway_update update;
    const struct row row = {
        .device = BYTES_LIT("D1"),
        .service = BYTES_LIT("CS"),
        .name = bytes_str(name),
        .unit = BYTES_LIT("C"),
        .value = bytes_str(value),
        .type = type,
        .time_us = w->now.wall_us,
    };
    int error = gateway_reading(w->gateway, &row, now(w), &update);
    world_apply(w, &update);
    return error;
}

void world_read(struct world *w, const char *name, const char *value)
{
    assert_int_equal(world_reading(w, name, DATATYPE_DOUBLE, value), 0);
}

void world_connect(struct world *w)
{
    struct gateway_update update;
    w->is_connected = true;
    assert_int_equal(gateway_connected(w->gateway, BYTES_LIT(NODE), now(w), &update), 0);
    world_apply(w, &update);
}

void world_disconnect(struct world *w)
{
    w->is_connected = false;
    gateway_disconnected(w->gateway);
    world_lose(w);
}

void world_restart(struct world *w)
{
    world_lose(w);
    w->is_connected = false;
    gateway_free(w->gateway);
    world_start(w);
}

void world_say(struct world *w, const char *topic, struct bytes payload)
{
    struct gateway_update update;
    assert_int_equal(gateway_message(w->gateway, bytes_str(topic), payload, now(w), &update), 0);
    world_apply(w, &update);
}

struct gateway_stats world_stats(const struct world *w)
{
    struct gateway_stats stats;
    gateway_stats_get(w->gateway, &stats);
    return stats;
}

/* ---- what the node does ---- */

static void register_with_service(struct world *w)
{
    struct member member;
    if (chain_member(w->chain, BYTES_LIT(GATEWAY), &member) == 0 && member.status == MEMBER_ACTIVE)
        assert_int_equal(device_service_member(w->service, BYTES_LIT(GATEWAY), &member.key), 0);
}

void world_restart_node(struct world *w)
{
    device_service_free(w->service);
    service_start(w);
    register_with_service(w);
}

static void reply_all(struct world *w, const struct device_output *out)
{
    char topic[512];
    for (size_t i = 0; i < out->reply_count; i++) {
        assert_int_equal(bytes_to_cstr(out->replies[i].topic, topic, sizeof topic), 0);
        if (!w->is_mute && w->is_connected)
            world_say(w, topic, out->replies[i].payload);
    }
}

const struct stored *history_find(const struct world *w, uint64_t n)
{
    for (const struct stored *stored = w->history; stored != NULL; stored = stored->next) {
        if (stored->n == n)
            return stored;
    }
    return NULL;
}

size_t history_count(const struct world *w)
{
    size_t n = 0;
    for (const struct stored *stored = w->history; stored != NULL; stored = stored->next)
        n++;
    return n;
}

size_t history_has(const struct world *w, const char *name, const char *value)
{
    size_t n = 0;
    for (const struct stored *stored = w->history; stored != NULL; stored = stored->next) {
        struct report report;
        char why[128];
        assert_int_equal(report_parse(buf_bytes(&stored->json), &report, why, sizeof why), 0);
        for (size_t i = 0; i < report.n; i++)
            n += bytes_equal(report.rows[i].name, bytes_str(name)) &&
                 bytes_equal(report.rows[i].value, bytes_str(value));
        report_close(&report);
    }
    return n;
}

static int store(struct world *w, const struct device_report *report, struct hash *recorded)
{
    const struct stored *known = history_find(w, report->head.n);
    w->reports_seen++;
    if (known != NULL) {
        *recorded = known->hash;
        return hash_equal(&known->hash, &report->hash) ? SEALMQ_E_EXISTS : SEALMQ_E_CONFLICT;
    }
    if (w->store_error != 0)
        return w->store_error;
    struct stored *stored = calloc(1, sizeof *stored);
    assert_non_null(stored);
    stored->n = report->head.n;
    stored->hash = report->hash;
    stored->rows = report->head.rows;
    buf_append_bytes(&stored->json, report->json);
    stored->next = w->history;
    w->history = stored;
    return 0;
}

static void take_report(struct world *w, const struct device_report *report)
{
    struct hash recorded;
    struct buf topic = {0};
    buf_append_bytes(&topic, report->head.topic);
    struct device_stored answer = {
        .id = BYTES_LIT(GATEWAY),
        .topic = buf_bytes(&topic),
        .n = report->head.n,
        .rows = report->head.rows,
        .hash = report->hash,
        .error = store(w, report, &recorded),
        .now_ms = w->now.now_ms,
    };
    if (answer.error == SEALMQ_E_CONFLICT)
        answer.recorded = &recorded;
    struct device_output out;
    device_service_stored(w->service, &answer, &out);
    reply_all(w, &out);
    buf_close(&topic);
}

static void send_receipt(struct world *w, uint64_t number)
{
    struct device_output out;
    if (device_service_receipt(w->service, BYTES_LIT(GATEWAY), number,
                               buf_bytes(&w->receipts[number].proof), &out) == 0)
        reply_all(w, &out);
}

/* As the agreement does: a request that waits already is the same one; one that is on the chain
 * gets its receipt again. */
static void take_request(struct world *w, struct bytes wire)
{
    struct request request, waiting;
    w->requests_seen++;
    assert_int_equal(request_decode(wire, &request), 0);
    assert_int_equal(chain_check_signatures(w->chain, &request), 0);
    assert_in_range(request.number, 1, WORLD_RECEIPTS - 1);
    if (w->receipts[request.number].proof.n != 0) {
        assert_true(hash_equal(&w->receipts[request.number].request, &request.hash));
        send_receipt(w, request.number);
        return;
    }
    for (size_t i = 0; i < w->request_count; i++) {
        waiting = waiting_request(w, i);
        if (hash_equal(&waiting.hash, &request.hash))
            return;
    }
    assert_in_range(w->request_count, 0, 63);
    buf_append_bytes(&w->requests[w->request_count++], wire);
}

static void node_take(struct world *w, struct bytes topic, struct bytes payload)
{
    struct device_input in = {
        .id = BYTES_LIT(GATEWAY),
        .account = BYTES_LIT(GATEWAY),
        .topic = topic,
        .payload = payload,
        .now_ms = w->now.now_ms,
        .wall_us = w->now.wall_us + w->node_ahead_us,
    };
    memcpy(in.random, now(w)->random, sizeof in.random);
    in.random[63] = 0xaa;
    if (bytes_equal(topic, BYTES_LIT("chain/plant/announce"))) {
        char id[ID_MAX + 1];
        struct public_key key;
        assert_int_equal(announce_parse(payload, &w->genesis.hash, id, &key), 0);
        assert_string_equal(id, GATEWAY);
        w->announcements++;
        return;
    }
    w->hellos += bytes_equal(topic, BYTES_LIT(GATEWAY "/key"));
    struct device_output out;
    device_service_input(w->service, &in, &out);
    if (out.has_report) {
        take_report(w, &out.report);
        return;
    }
    if (out.has_request)
        take_request(w, out.request);
    reply_all(w, &out);
}

static struct message *take_message(struct world *w)
{
    struct message *message = w->to_node;
    if (message != NULL)
        w->to_node = message->next;
    return message;
}

static void message_free(struct message *message)
{
    buf_close(&message->topic);
    buf_close(&message->payload);
    free(message);
}

void world_deliver(struct world *w)
{
    struct message *message;
    while ((message = take_message(w)) != NULL) {
        if (!w->is_deaf && w->is_connected)
            node_take(w, buf_bytes(&message->topic), buf_bytes(&message->payload));
        message_free(message);
    }
}

void world_lose(struct world *w)
{
    struct message *message;
    while ((message = take_message(w)) != NULL)
        message_free(message);
}

void world_pass(struct world *w, uint64_t ms)
{
    uint64_t end = w->now.now_ms + ms;
    unsigned rounds = 0;
    world_deliver(w);
    for (;;) {
        uint64_t next = w->deadline_ms < end ? w->deadline_ms : end;
        if (next > w->now.now_ms) {
            w->now.wall_us += (int64_t)(next - w->now.now_ms) * 1000;
            w->now.now_ms = next;
            rounds = 0;
        }
        /* A gateway that asks to be called again and again at one time would spin. */
        assert_in_range(rounds++, 0, 50);
        world_tick(w);
        world_deliver(w);
        if (w->now.now_ms == end && w->deadline_ms > end)
            return;
    }
}

/* ---- the chain ---- */

struct request waiting_request(const struct world *w, size_t at)
{
    struct request request;
    assert_in_range(at, 0, w->request_count - 1);
    assert_int_equal(request_decode(buf_bytes(&w->requests[at]), &request), 0);
    return request;
}

void request_records(const struct request *request, char *out, size_t size)
{
    struct bytes list = request->data.records, text;
    size_t n = 0;
    out[0] = '\0';
    while (request_records_next(&list, &text)) {
        struct record record;
        assert_int_equal(record_parse(text, &record), 0);
        n += (size_t)snprintf(out + n, size - n, "%s%u=%.*s", n == 0 ? "" : " ", record.num,
                              (int)record.value.n, (const char *)record.value.p);
        assert_in_range(n, 1, size - 1);
    }
}

static void append_block(struct world *w, const struct bytes *wires, size_t n, struct buf *wire,
                         struct block *block)
{
    struct block_header header;
    chain_next_header(w->chain, &header);
    header.time_us = chain_tip(w->chain)->time_us + 1000000;
    header.view = header.height;
    snprintf(header.proposer, sizeof header.proposer, NODE);
    assert_int_equal(block_encode(&header, wires, n, wire), 0);
    assert_int_equal(block_decode(buf_bytes(wire), block), 0);
    assert_int_equal(chain_append(w->chain, block), 0);
}

void world_register(struct world *w)
{
    struct buf wire = {0}, block_wire = {0};
    struct block block;
    assert_int_equal(request_make_register(BYTES_LIT("admin/a"), ++w->admin_number,
                                           BYTES_LIT(GATEWAY), MEMBER_GATEWAY,
                                           &w->gateway_key.public_key, &w->admin_key,
                                           &w->genesis.hash, &wire),
                     0);
    struct bytes one = buf_bytes(&wire);
    append_block(w, &one, 1, &block_wire, &block);
    register_with_service(w);
    buf_close(&wire);
    buf_close(&block_wire);
}

static void make_note(struct world *w, struct buf *note)
{
    struct checkpoint checkpoint = {.size = chain_height(w->chain) + 1};
    checkpoint_origin("plant", checkpoint.origin);
    chain_log_root(w->chain, &checkpoint.root);
    checkpoint_format(&checkpoint, note);
    buf_append_u8(note, '\n');
    checkpoint_sign(&checkpoint, &w->genesis.validators.v[0], &w->log_key, &w->cosigner_key,
                    (uint64_t)(w->now.wall_us / 1000000), note);
    assert_int_equal(buf_status(note), 0);
}

/* The receipt of request `at` of the block. */
static void make_receipt(struct world *w, const struct block *block, const struct hash *leaves,
                         uint32_t at, const struct request *request)
{
    struct buf note = {0};
    make_note(w, &note);
    struct proof proof = {
        .kind = PROOF_REQUEST,
        .header_wire = block->header_wire,
        .header = block->header,
        .log_index = block->header.height,
        .note = buf_bytes(&note),
        .request = {.leaf = request->leaf},
        .request_index = at,
    };
    merkle_prove(leaves, block->request_count, at, &proof.request_path);
    merkle_log_prove(chain_log(w->chain), block->header.height, block->header.height + 1,
                     &proof.log_path);
    w->receipts[request->number].request = request->hash;
    assert_int_equal(proof_format(&proof, &w->receipts[request->number].proof), 0);
    buf_close(&note);
}

void world_block(struct world *w)
{
    struct bytes wires[64];
    struct hash leaves[64];
    struct buf taken[64] = {0}, block_wire = {0};
    uint32_t n = 0;
    chain_begin(w->chain);
    for (size_t i = 0; i < w->request_count; i++) {
        struct request request = waiting_request(w, i);
        int error = chain_execute(w->chain, &request);
        if (error == 0) {
            leaves[n] = request.hash;
            taken[n++] = w->requests[i];
            w->requests[i] = (struct buf){0};
            continue;
        }
        struct device_output out;
        if (device_service_request_refused(w->service, request.sender, request.number, error,
                                           &out) == 0)
            reply_all(w, &out);
        buf_close(&w->requests[i]);
    }
    w->request_count = 0;
    chain_rollback(w->chain);
    for (uint32_t i = 0; i < n; i++)
        wires[i] = buf_bytes(&taken[i]);
    struct block block;
    append_block(w, wires, n, &block_wire, &block);
    for (uint32_t i = 0; i < n; i++) {
        struct request request;
        assert_int_equal(request_decode(wires[i], &request), 0);
        make_receipt(w, &block, leaves, i, &request);
        send_receipt(w, request.number);
    }
    for (uint32_t i = 0; i < n; i++)
        buf_close(&taken[i]);
    buf_close(&block_wire);
    world_deliver(w);
}
