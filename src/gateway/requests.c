/* Requests to the chain: records, descriptions of new items, history intervals; one at a time, sent
 * again as it is until its receipt is there. Kept as their wire form.
 *
 *   nothing out -> new items?        DESCRIBE out   (records of new items wait for its receipt)
 *               -> records wait, or the anchor interval is over?   DATA out
 *
 * A stream of new items does not hold up the records of old ones: after a description they are
 * next. receipt that proves the request -> nothing out */
#include "gateway/gateway_int.h"
#include "verify/verify.h"

#include <stdlib.h>

#define DESCRIBE_ITEMS_MAX 1000

/* ---- records ---- */

/* An item's number stands for one type and unit for ever; a record that says another thing would be
 * refused by the chain, and everything behind it would wait. */
static bool is_as_described(struct gateway *gateway, struct gateway_item *item,
                            const struct row *row)
{
    if (datatype_check(item->type, row->value) == 0 &&
        bytes_equal(bytes_str(item->unit), row->unit))
        return true;
    if (!item->is_complained)
        gateway_update_note(gateway, GATEWAY_NOTE_ITEM_CHANGED, item->num, SEALMQ_E_TYPE,
                            item->key);
    item->is_complained = true;
    return false;
}

void records_add(struct gateway *gateway, const struct row *row)
{
    const struct gateway_policy *policy =
        policy_find(gateway->policies, gateway->options.policy_count, row);
    if (policy == NULL || (!policy->periodic && !policy->on_change))
        return;
    struct gateway_item *item = item_get(gateway, row);
    if (item == NULL) {
        gateway->stats.records_skipped_total++;
        return;
    }
    const struct policy_last last = {item->is_written ? item->written : NULL, item->written_us};
    if (!policy_wants(policy, row, &last))
        return;
    /* What cannot be written is in the history and covered by its interval all the same. */
    if (!is_as_described(gateway, item, row) || gateway->record_count == RECORDS_WAITING_MAX) {
        gateway->stats.records_skipped_total++;
        return;
    }
    struct gateway_record *record = malloc(sizeof *record + row->value.n + 1);
    int error = record == NULL ? SEALMQ_E_NOMEM : item_set_written(item, row->value, row->time_us);
    if (error != 0) {
        free(record);
        gateway_update_fail(gateway, error);
        return;
    }
    *record = (struct gateway_record){.item = item, .time_us = row->time_us};
    memcpy(record->value, row->value.p, row->value.n);
    record->value[row->value.n] = '\0';
    *gateway->records_end = record;
    gateway->records_end = &record->next;
    gateway->record_count++;
    gateway->records_ready += item->is_described;
    item->waiting++;
}

/* ---- making requests ---- */

static void request_out(struct gateway *gateway, struct buf *wire, const struct gateway_now *now)
{
    buf_close(&gateway->request.wire);
    gateway->request = (struct gateway_request){
        .number = gateway->next_request,
        .wire = *wire,
        .due_ms = now->now_ms,
    };
    *wire = (struct buf){0};
    gateway->next_request++;
    gateway->last_request_ms = now->now_ms;
    gateway->stats.requests_total++;
    gateway_update_meta(gateway, META_NEXT_REQUEST, gateway->next_request);
    gateway_update_write(gateway, GATEWAY_TABLE_REQUEST, gateway->request.number,
                         buf_bytes(&gateway->request.wire));
}

static void make_describe(struct gateway *gateway, const struct gateway_now *now)
{
    struct item *items = calloc(DESCRIBE_ITEMS_MAX, sizeof *items);
    if (items == NULL) {
        gateway_update_fail(gateway, SEALMQ_E_NOMEM);
        return;
    }
    size_t count = 0;
    for (const struct gateway_item *item = gateway->items;
         item != NULL && count < DESCRIBE_ITEMS_MAX; item = item->hh.next) {
        if (!item->is_described)
            items[count++] = (struct item){
                .num = item->num,
                .device = item->device,
                .service = item->service,
                .name = item->name,
                .unit = bytes_str(item->unit),
                .type = item->type,
            };
    }
    struct buf wire = {0};
    int error = request_make_describe(bytes_str(gateway->id), gateway->next_request, items, count,
                                      gateway->options.key, &gateway->genesis.hash, &wire);
    gateway->last_was_describe = true;
    if (error == 0)
        request_out(gateway, &wire, now);
    else
        gateway_update_fail(gateway, error);
    buf_close(&wire);
    free(items);
}

/* Takes described records off the queue into `records`; their items' state goes to disk. */
static size_t take_records(struct gateway *gateway, struct record *records,
                           struct gateway_record **taken)
{
    size_t count = 0, bytes = 0;
    struct gateway_record **at = &gateway->records;
    while (*at != NULL && count < REQUEST_RECORDS_MAX && bytes < REQUEST_BYTES_MAX / 4) {
        struct gateway_record *record = *at;
        if (!record->item->is_described) {
            at = &record->next;
            continue;
        }
        *at = record->next;
        gateway->record_count--;
        gateway->records_ready--;
        record->item->waiting--;
        record->next = *taken;
        *taken = record;
        records[count++] = (struct record){
            .gateway = bytes_str(gateway->id),
            .device = record->item->device,
            .num = record->item->num,
            .time_us = record->time_us,
            .value = bytes_str(record->value),
        };
        bytes += 512 + strlen(record->value);
        item_save(gateway, record->item);
    }
    while (*at != NULL)
        at = &(*at)->next;
    gateway->records_end = at;
    return count;
}

static void make_data(struct gateway *gateway, const struct gateway_now *now)
{
    struct gateway_record *taken = NULL;
    struct record *records = calloc(REQUEST_RECORDS_MAX, sizeof *records);
    if (records == NULL) {
        gateway_update_fail(gateway, SEALMQ_E_NOMEM);
        return;
    }
    size_t leaf_count;
    uint64_t to;
    struct interval_leaf *leaves = leaves_collect(gateway, now, &leaf_count, &to);
    const struct request_data data = {
        .sender = bytes_str(gateway->id),
        .number = gateway->next_request,
        .records = records,
        .record_count = take_records(gateway, records, &taken),
        .from = gateway->covered,
        .to = to,
        .leaves = leaves,
        .leaf_count = leaf_count,
    };
    struct buf wire = {0};
    int error = request_make_data(&data, gateway->options.key, &gateway->genesis.hash, &wire);
    if (error == 0) {
        gateway->last_was_describe = false;
        gateway->last_data_ms = now->now_ms;
        gateway->stats.records_total += data.record_count;
        request_out(gateway, &wire, now);
        leaves_taken(gateway, leaves, leaf_count);
        gateway->covered = to + 1;
        gateway_update_meta(gateway, META_COVERED, gateway->covered);
    } else {
        gateway_update_fail(gateway, error);
    }
    buf_close(&wire);
    while (taken != NULL) {
        struct gateway_record *next = taken->next;
        free(taken);
        taken = next;
    }
    free(leaves);
    free(records);
}

/* Between two requests; not so long that intervals, which may be more frequent, leave no room. */
static uint64_t spacing(const struct gateway *gateway)
{
    uint32_t anchor_ms = gateway->options.anchor_interval_ms;
    return anchor_ms < REQUEST_SPACING_MS ? anchor_ms : REQUEST_SPACING_MS;
}

static void make_next(struct gateway *gateway, const struct gateway_now *now)
{
    if (!gateway->has_begun) {
        gateway->has_begun = true;
        gateway->last_data_ms = now->now_ms; /* the anchor interval begins */
        gateway->last_request_ms = now->now_ms - spacing(gateway);
    }
    bool may = now->now_ms - gateway->last_request_ms >= spacing(gateway);
    bool has_records = gateway->records_ready != 0;
    bool is_due = now->now_ms - gateway->last_data_ms >= gateway->options.anchor_interval_ms;
    bool is_records_turn = gateway->last_was_describe && (has_records || is_due);
    if (may && gateway->undescribed != 0 && !is_records_turn)
        make_describe(gateway, now);
    else if ((may && has_records) || is_due)
        make_data(gateway, now);
}

static void send(struct gateway *gateway, const struct gateway_now *now)
{
    char topic[NETWORK_MAX + 32];
    struct buf json = {0}, reply = {0}, name = {0};
    buf_printf(&reply, "chain/%s/reply/%s", gateway->genesis.network, gateway->id);
    buf_printf(&name, "chain/%s/request", gateway->genesis.network);
    int error =
        request_to_json(buf_bytes(&gateway->request.wire), buf_bytes(&reply), now->wall_us, &json);
    if (error == 0)
        error = bytes_to_cstr(buf_bytes(&name), topic, sizeof topic);
    if (error == 0)
        session_send(gateway, bytes_str(topic), buf_bytes(&json), true);
    else
        gateway_update_fail(gateway, error);
    buf_close(&json);
    buf_close(&reply);
    buf_close(&name);
    gateway->request.is_sent = true;
    gateway->request.due_ms = now->now_ms + REQUEST_RESEND_MS;
}

void requests_tick(struct gateway *gateway, const struct gateway_now *now)
{
    if (gateway->state != GATEWAY_READY)
        return;
    if (gateway->request.wire.n == 0)
        make_next(gateway, now);
    if (gateway->request.wire.n != 0 &&
        (!gateway->request.is_sent || now->now_ms >= gateway->request.due_ms))
        send(gateway, now);
}

void requests_resend(struct gateway *gateway)
{
    gateway->request.is_sent = false;
}

uint64_t requests_deadline(const struct gateway *gateway)
{
    if (gateway->request.wire.n != 0)
        return gateway->request.is_sent ? gateway->request.due_ms : 0;
    if (!gateway->has_begun)
        return 0;
    uint64_t due = gateway->last_data_ms + gateway->options.anchor_interval_ms;
    uint64_t soon = gateway->last_request_ms + spacing(gateway);
    bool is_soon = gateway->undescribed != 0 || gateway->records_ready != 0;
    return is_soon && soon < due ? soon : due;
}

/* ---- answers ---- */

/* Whether the proof shows this very request, under the network's policy. */
static int check_receipt(const struct gateway *gateway, struct bytes text,
                         const struct request *request, uint64_t *height)
{
    struct verify_result *result = calloc(1, sizeof *result);
    struct proof *proof = calloc(1, sizeof *proof);
    int error = result == NULL || proof == NULL ? SEALMQ_E_NOMEM : 0;
    if (error == 0)
        error = verify_proof(text, gateway->options.policy, &gateway->genesis.hash, result);
    if (error == 0) {
        error = proof_parse(text, proof);
        if (error == 0 &&
            (proof->kind != PROOF_REQUEST || !bytes_equal(proof->request.leaf, request->leaf)))
            error = SEALMQ_E_HASH;
        *height = result->header.height;
        proof_close(proof);
    }
    free(proof);
    free(result);
    return error;
}

static void described(struct gateway *gateway, const struct request *request)
{
    struct bytes list = request->describe.items;
    struct item item;
    while (request_items_next(&list, &item)) {
        const struct row row = {.device = item.device, .service = item.service, .name = item.name};
        struct gateway_item *known = item_find(gateway, &row);
        if (known == NULL || known->is_described)
            continue;
        known->is_described = true;
        gateway->undescribed--;
        gateway->records_ready += known->waiting;
        item_save(gateway, known);
    }
}

static void keep_receipt(struct gateway *gateway, uint64_t number, struct bytes proof)
{
    gateway_update_write(gateway, GATEWAY_TABLE_RECEIPT, number, proof);
    if (gateway->receipts_from == 0)
        gateway->receipts_from = number;
    gateway->receipts_to = number;
    while (gateway->receipts_to - gateway->receipts_from >= RECEIPTS_KEPT)
        gateway_update_remove(gateway, GATEWAY_TABLE_RECEIPT, gateway->receipts_from++);
}

void requests_receipt(struct gateway *gateway, const struct reply *reply)
{
    struct request request;
    uint64_t height = 0;
    if (gateway->request.wire.n == 0 || reply->n != gateway->request.number)
        return; /* a repetition */
    int error = request_decode(buf_bytes(&gateway->request.wire), &request);
    if (error == 0)
        error = check_receipt(gateway, reply->proof, &request, &height);
    if (error != 0) {
        gateway->stats.bad_messages_total++;
        gateway_update_note(gateway, GATEWAY_NOTE_RECEIPT_BAD, reply->n, error,
                            "the receipt does not prove the request");
        return;
    }
    if (request.kind == REQUEST_DESCRIBE)
        described(gateway, &request);
    gateway->stats.receipts_total++;
    gateway_update_remove(gateway, GATEWAY_TABLE_REQUEST, gateway->request.number);
    keep_receipt(gateway, gateway->request.number, reply->proof);
    gateway_update_note(gateway, GATEWAY_NOTE_RECEIPT, reply->n, 0,
                        request_kind_name(request.kind));
    if (gateway->update.error == 0)
        gateway->update.notes[gateway->update.note_count - 1].height = height;
    buf_close(&gateway->request.wire);
    gateway->request = (struct gateway_request){0};
}

void requests_refused(struct gateway *gateway, const struct reply *reply,
                      const struct gateway_now *now)
{
    if (gateway->request.wire.n == 0 || reply->n != gateway->request.number)
        return;
    /* The same bytes go out again, later: nothing else would be as safe, because the request may
     * yet be executed. What stands in its way (a revoked key, a foreign store) an operator sees. */
    gateway->request.due_ms =
        now->now_ms +
        (device_code_is_final(reply->code) ? 10 * REQUEST_RESEND_MS : REQUEST_RESEND_MS);
    gateway_update_note(gateway, GATEWAY_NOTE_REQUEST_REFUSED, reply->n, (int)reply->code,
                        device_code_words(reply->code));
}

int requests_load(struct gateway *gateway, uint64_t number, struct bytes wire)
{
    struct request request;
    if (gateway->request.wire.n != 0 || request_decode(wire, &request) != 0 ||
        request.number != number || !bytes_equal(request.sender, bytes_str(gateway->id)))
        return SEALMQ_E_CORRUPT;
    gateway->request.number = number;
    buf_append_bytes(&gateway->request.wire, wire);
    return buf_status(&gateway->request.wire);
}

void requests_free(struct gateway *gateway)
{
    buf_close(&gateway->request.wire);
    while (gateway->records != NULL) {
        struct gateway_record *next = gateway->records->next;
        free(gateway->records);
        gateway->records = next;
    }
}
