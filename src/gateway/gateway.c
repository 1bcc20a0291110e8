#include "gateway/gateway.h"

#include "base/assert.h"
#include "base/id.h"
#include "gateway/gateway_int.h"

#include <stdio.h>
#include <stdlib.h>

static size_t or_default(size_t value, size_t otherwise)
{
    return value != 0 ? value : otherwise;
}

static int copy_options(struct gateway *gateway, const struct gateway_options *options)
{
    gateway->options = *options;
    gateway->genesis = *options->genesis;
    gateway->options.genesis = &gateway->genesis;
    int error = bytes_to_cstr(bytes_str(options->id), gateway->id, sizeof gateway->id);
    if (error == 0)
        error = bytes_to_cstr(bytes_str(options->topic != NULL ? options->topic : "report"),
                              gateway->topic, sizeof gateway->topic);
    if (error != 0)
        return error;
    struct gateway_options *mine = &gateway->options;
    mine->report_interval_ms = (uint32_t)or_default(mine->report_interval_ms, REPORT_INTERVAL_MS);
    mine->report_rows_max = (uint32_t)or_default(mine->report_rows_max, REPORT_ROWS_DEFAULT);
    if (mine->report_rows_max > REPORT_ROWS_MAX)
        mine->report_rows_max = REPORT_ROWS_MAX;
    mine->anchor_interval_ms = (uint32_t)or_default(mine->anchor_interval_ms,
                                                    gateway->genesis.parameters.anchor_interval_ms);
    mine->outbox_reports_max = or_default(mine->outbox_reports_max, OUTBOX_REPORTS_MAX);
    mine->outbox_bytes_max = or_default(mine->outbox_bytes_max, OUTBOX_BYTES_MAX);
    if (options->policy_count == 0)
        return 0;
    gateway->policies = calloc(options->policy_count, sizeof *gateway->policies);
    if (gateway->policies == NULL)
        return SEALMQ_E_NOMEM;
    memcpy(gateway->policies, options->policies, options->policy_count * sizeof *gateway->policies);
    return 0;
}

int gateway_new(const struct gateway_options *options, struct gateway **out)
{
    if (!id_is_valid(bytes_str(options->id)))
        return SEALMQ_E_ARG;
    struct gateway *gateway = calloc(1, sizeof *gateway);
    if (gateway == NULL)
        return SEALMQ_E_NOMEM;
    gateway->next_capture = gateway->next_request = gateway->covered = 1;
    gateway->next_item = 1;
    gateway->records_end = &gateway->records;
    int error = copy_options(gateway, options);
    if (error == 0)
        error = compressor_new(&gateway->compressor);
    if (error != 0) {
        gateway_free(gateway);
        return error;
    }
    *out = gateway;
    return 0;
}

void gateway_free(struct gateway *gateway)
{
    if (gateway == NULL)
        return;
    session_drop(gateway);
    capture_drop_batch(gateway);
    free(gateway->batch);
    outbox_free(gateway);
    leaves_free(gateway);
    requests_free(gateway);
    items_free(gateway);
    gateway_update_close(gateway);
    compressor_free(gateway->compressor);
    free(gateway->policies);
    free(gateway);
}

static int load_meta(struct gateway *gateway, uint64_t key, struct bytes value)
{
    struct reader r = reader_of(value);
    uint64_t number = reader_u64(&r);
    if (reader_end(&r) != 0)
        return SEALMQ_E_CORRUPT;
    switch (key) {
    case META_NEXT_CAPTURE:
        gateway->next_capture = number;
        return 0;
    case META_HANDSHAKE:
        gateway->handshake_number = number;
        return 0;
    case META_NEXT_REQUEST:
        gateway->next_request = number;
        return 0;
    case META_COVERED:
        gateway->covered = number;
        return 0;
    default:
        return SEALMQ_E_CORRUPT;
    }
}

static int load_receipt(struct gateway *gateway, uint64_t number)
{
    if (gateway->receipts_from == 0 || number < gateway->receipts_from)
        gateway->receipts_from = number;
    if (number > gateway->receipts_to)
        gateway->receipts_to = number;
    return 0;
}

int gateway_load(struct gateway *gateway, enum gateway_table table, uint64_t key,
                 struct bytes value)
{
    ASSERT(!gateway->is_loaded);
    switch (table) {
    case GATEWAY_TABLE_META:
        return load_meta(gateway, key, value);
    case GATEWAY_TABLE_ITEM:
        return item_load(gateway, key, value);
    case GATEWAY_TABLE_OUTBOX:
        return gateway_outbox_load(gateway, key, value);
    case GATEWAY_TABLE_LEAF:
        return leaf_load(gateway, key, value);
    case GATEWAY_TABLE_REQUEST:
        return requests_load(gateway, key, value);
    case GATEWAY_TABLE_RECEIPT:
        return load_receipt(gateway, key);
    case GATEWAY_TABLE_BATCH:
        return capture_load(gateway, key, value);
    }
    return SEALMQ_E_CORRUPT;
}

/* What must hold between the tables. */
int gateway_loaded(struct gateway *gateway)
{
    gateway_outbox_loaded(gateway);
    if (gateway->covered == 0 || gateway->covered > gateway->next_capture ||
        gateway->next_capture > SEQUENCE_MAX || gateway->next_request == 0 ||
        gateway->next_request > SEQUENCE_MAX || gateway->request.number >= gateway->next_request ||
        gateway->receipts_to >= gateway->next_request ||
        gateway->receipts_to - gateway->receipts_from > RECEIPTS_KEPT || !leaves_are_whole(gateway))
        return SEALMQ_E_CORRUPT;
    gateway->is_loaded = true;
    return 0;
}

/* What time and circumstances ask for: done after every event. */
static int finish(struct gateway *gateway, const struct gateway_now *now,
                  struct gateway_update *update)
{
    capture_tick(gateway, now);
    session_tick(gateway, now);
    outbox_tick(gateway, now);
    requests_tick(gateway, now);
    return gateway_update_end(gateway, update);
}

int gateway_reading(struct gateway *gateway, const struct row *reading,
                    const struct gateway_now *now, struct gateway_update *update)
{
    return gateway_readings(gateway, reading, 1, now, update);
}

int gateway_readings(struct gateway *gateway, const struct row *readings, size_t count,
                     const struct gateway_now *now, struct gateway_update *update)
{
    ASSERT(gateway->is_loaded);
    gateway_update_begin(gateway);
    int error = capture_add(gateway, readings, count, now);
    if (error == 0) {
        gateway->stats.readings_total += count;
    } else {
        gateway->stats.readings_refused_total += count;
        if (error == SEALMQ_E_FULL)
            gateway_update_note(gateway, GATEWAY_NOTE_OUTBOX_FULL, 0, error, "");
    }
    int failed = finish(gateway, now, update);
    return failed != 0 ? failed : error;
}

int gateway_connected(struct gateway *gateway, struct bytes node, const struct gateway_now *now,
                      struct gateway_update *update)
{
    ASSERT(gateway->is_loaded);
    gateway_update_begin(gateway);
    const struct validator_set *set = &gateway->genesis.validators;
    int index = validator_set_find(set, node);
    if (index < 0) {
        int failed = gateway_update_end(gateway, update);
        return failed != 0 ? failed : SEALMQ_E_UNKNOWN;
    }
    memcpy(gateway->node, set->v[index].id, sizeof gateway->node);
    gateway->node_key = set->v[index].key;
    session_start(gateway, now);
    return finish(gateway, now, update);
}

void gateway_disconnected(struct gateway *gateway)
{
    session_drop(gateway);
}

int gateway_flush(struct gateway *gateway, const struct gateway_now *now,
                  struct gateway_update *update)
{
    ASSERT(gateway->is_loaded);
    gateway_update_begin(gateway);
    capture_now(gateway, now);
    return finish(gateway, now, update);
}

/* ---- messages ---- */

/* "<prefix><rest>": the rest; empty when the topic is another. */
static struct bytes behind(struct bytes topic, const char *prefix)
{
    size_t n = strlen(prefix);
    if (topic.n <= n || !bytes_starts_with(topic, bytes_str(prefix)))
        return (struct bytes){0};
    return bytes_of(topic.p + n, topic.n - n);
}

static bool ends_with_answer(struct bytes below)
{
    static const char *const levels[] = {"/datas", "/success", "/error"};
    for (size_t i = 0; i < sizeof levels / sizeof levels[0]; i++) {
        size_t n = strlen(levels[i]);
        if (below.n > n && memcmp(below.p + below.n - n, levels[i], n) == 0)
            return true;
    }
    return false;
}

static void take_sealed(struct gateway *gateway, struct bytes topic, struct bytes payload,
                        const struct gateway_now *now)
{
    struct buf plain = {0};
    struct reply reply;
    int error = session_open(gateway, topic, payload, &plain);
    if (error == 0)
        error = reply_decode(buf_bytes(&plain), &reply);
    if (error != 0) {
        gateway->stats.bad_messages_total++;
        gateway_update_note(gateway, GATEWAY_NOTE_BAD_MESSAGE, 0, error,
                            "an answer that does not open");
    } else if (reply.kind == REPLY_RECEIPT) {
        requests_receipt(gateway, &reply);
    } else if (reply.kind == REPLY_REQUEST_REFUSED) {
        requests_refused(gateway, &reply, now);
    } else {
        outbox_answered(gateway, &reply, now);
    }
    buf_close(&plain);
}

static void take_message(struct gateway *gateway, struct bytes topic, struct bytes payload,
                         const struct gateway_now *now)
{
    char prefix[ID_MAX + NETWORK_MAX + 32];
    snprintf(prefix, sizeof prefix, "chain/%s/reply/", gateway->genesis.network);
    if (bytes_equal(behind(topic, prefix), bytes_str(gateway->id))) {
        take_sealed(gateway, topic, payload, now);
        return;
    }
    snprintf(prefix, sizeof prefix, "%s/", gateway->id);
    struct bytes below = behind(topic, prefix);
    if (bytes_equal(below, BYTES_LIT("key/success")))
        session_answer(gateway, payload, now);
    else if (bytes_equal(below, BYTES_LIT("key/fail")))
        session_refused(gateway, payload, now);
    else if (bytes_equal(below, BYTES_LIT("unauth")))
        session_hint_unauth(gateway, now);
    else if (bytes_equal(below, BYTES_LIT("forbidden")))
        session_hint_forbidden(gateway, now);
    else if (ends_with_answer(below))
        take_sealed(gateway, topic, payload, now);
}

int gateway_message(struct gateway *gateway, struct bytes topic, struct bytes payload,
                    const struct gateway_now *now, struct gateway_update *update)
{
    ASSERT(gateway->is_loaded);
    gateway_update_begin(gateway);
    if (gateway->state != GATEWAY_OFFLINE)
        take_message(gateway, topic, payload, now);
    return finish(gateway, now, update);
}

int gateway_tick(struct gateway *gateway, const struct gateway_now *now,
                 struct gateway_update *update)
{
    ASSERT(gateway->is_loaded);
    gateway_update_begin(gateway);
    return finish(gateway, now, update);
}

void gateway_stats_get(const struct gateway *gateway, struct gateway_stats *out)
{
    static const char *const names[] = {"offline", "handshake", "unregistered", "ready"};
    *out = gateway->stats;
    out->state = names[gateway->state];
    out->outbox_reports = HASH_COUNT(gateway->outbox);
    out->outbox_bytes = gateway->outbox_bytes;
    out->requests_waiting = gateway->request.wire.n != 0;
}
