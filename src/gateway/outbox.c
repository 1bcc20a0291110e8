/* Reports on their way. Kept as u8 version (1) || report hash || plain (n, signature, JSON). A
 * report leaves the outbox only by a sealed answer that names it. */
#include "gateway/gateway_int.h"

#include <stdlib.h>

#define OUTBOX_VERSION 1

static int add(struct gateway *gateway, uint64_t n, const struct hash *hash, struct bytes plain)
{
    struct gateway_report *report = malloc(sizeof *report);
    uint8_t *copy = malloc(plain.n + 1);
    if (report == NULL || copy == NULL) {
        free(report);
        free(copy);
        return SEALMQ_E_NOMEM;
    }
    memcpy(copy, plain.p, plain.n);
    *report = (struct gateway_report){.n = n, .hash = *hash, .plain = bytes_of(copy, plain.n)};
    HASH_ADD(hh, gateway->outbox, n, sizeof report->n, report);
    if (report->hh.tbl == NULL) {
        free(report);
        free(copy);
        return SEALMQ_E_NOMEM;
    }
    gateway->outbox_bytes += plain.n;
    return 0;
}

static void drop(struct gateway *gateway, struct gateway_report *report)
{
    HASH_DEL(gateway->outbox, report);
    gateway->outbox_bytes -= report->plain.n;
    free((void *)(uintptr_t)report->plain.p);
    free(report);
}

int outbox_put_report(struct gateway *gateway, uint64_t n, const struct hash *hash,
                      struct bytes plain)
{
    struct buf value = {0};
    buf_append_u8(&value, OUTBOX_VERSION);
    buf_append_bytes(&value, hash_bytes(hash));
    buf_append_bytes(&value, plain);
    int error = buf_status(&value);
    if (error == 0)
        error = add(gateway, n, hash, plain);
    if (error == 0)
        gateway_update_write(gateway, GATEWAY_TABLE_OUTBOX, n, buf_bytes(&value));
    buf_close(&value);
    return error;
}

static int by_n(const struct gateway_report *a, const struct gateway_report *b)
{
    return a->n < b->n ? -1 : a->n > b->n;
}

int gateway_outbox_load(struct gateway *gateway, uint64_t n, struct bytes value)
{
    struct reader r = reader_of(value);
    struct hash hash;
    if (reader_u8(&r) != OUTBOX_VERSION)
        reader_fail(&r, SEALMQ_E_VERSION);
    reader_copy(&r, hash.b, HASH_SIZE);
    struct bytes plain = reader_bytes(&r, r.n);
    struct reader inside = reader_of(plain);
    if (reader_end(&r) != 0 || plain.n < 8 + SIGNATURE_SIZE || reader_u64(&inside) != n)
        return SEALMQ_E_CORRUPT;
    return add(gateway, n, &hash, plain);
}

void gateway_outbox_loaded(struct gateway *gateway)
{
    HASH_SORT(gateway->outbox, by_n);
}

static void send(struct gateway *gateway, struct gateway_report *report,
                 const struct gateway_now *now)
{
    struct buf topic = {0};
    buf_printf(&topic, "%s/%s", gateway->id, gateway->topic);
    if (buf_status(&topic) == 0)
        session_send(gateway, buf_bytes(&topic), report->plain, true);
    else
        gateway_update_fail(gateway, buf_status(&topic));
    buf_close(&topic);
    report->is_sent = true;
    report->due_ms = now->now_ms + REPORT_RESEND_MS;
}

void outbox_tick(struct gateway *gateway, const struct gateway_now *now)
{
    if (gateway->state != GATEWAY_READY)
        return;
    size_t window = 0;
    struct gateway_report *report, *next;
    HASH_ITER (hh, gateway->outbox, report, next) {
        if (window++ == REPORT_WINDOW)
            break;
        if (!report->is_sent || now->now_ms >= report->due_ms)
            send(gateway, report, now);
    }
}

void outbox_resend_all(struct gateway *gateway)
{
    struct gateway_report *report, *next;
    HASH_ITER (hh, gateway->outbox, report, next)
        report->is_sent = false;
}

uint64_t outbox_deadline(const struct gateway *gateway)
{
    uint64_t deadline = UINT64_MAX;
    size_t window = 0;
    for (const struct gateway_report *report = gateway->outbox; report != NULL;
         report = report->hh.next) {
        if (window++ == REPORT_WINDOW)
            break;
        uint64_t due = report->is_sent ? report->due_ms : 0;
        deadline = due < deadline ? due : deadline;
    }
    return deadline;
}

static void settle(struct gateway *gateway, struct gateway_report *report, enum leaf_status status)
{
    leaf_settle(gateway, report->n, status, gateway->node);
    gateway_update_remove(gateway, GATEWAY_TABLE_OUTBOX, report->n);
    drop(gateway, report);
}

void outbox_answered(struct gateway *gateway, const struct reply *reply,
                     const struct gateway_now *now)
{
    struct gateway_report *report = NULL;
    HASH_FIND(hh, gateway->outbox, &reply->n, sizeof reply->n, report);
    if (report == NULL)
        return; /* answered before: the answer to a repetition */
    bool is_hash_right = hash_equal(&report->hash, &reply->report);
    if (reply->kind != REPLY_ERROR) {
        if (!is_hash_right) {
            gateway->stats.bad_messages_total++;
            gateway_update_note(gateway, GATEWAY_NOTE_BAD_MESSAGE, reply->n, SEALMQ_E_HASH,
                                "an answer that names another report hash");
            return;
        }
        gateway->stats.reports_acknowledged_total++;
        settle(gateway, report, LEAF_ACKNOWLEDGED);
        return;
    }
    char words[160];
    struct bytes said = reply->words;
    if (said.n >= sizeof words)
        said.n = sizeof words - 1;
    if (bytes_to_cstr(said, words, sizeof words) != 0)
        words[0] = '\0';
    gateway_update_note(gateway, GATEWAY_NOTE_REFUSED, reply->n, (int)reply->code, words);
    if (device_code_is_final(reply->code)) {
        gateway->stats.reports_refused_total++;
        settle(gateway, report, LEAF_DROPPED);
    } else {
        report->due_ms = now->now_ms + REPORT_BACKOFF_MS;
    }
}

void outbox_free(struct gateway *gateway)
{
    struct gateway_report *report, *next;
    HASH_ITER (hh, gateway->outbox, report, next)
        drop(gateway, report);
}
