/* Readings become reports: collected until the interval is over or enough are there, then captured
 * whole: number, hash, signature, outbox, leaf, and the records that the policies ask for. */
#include "base/id.h"
#include "device/report.h"
#include "gateway/gateway_int.h"

#include <stdlib.h>

static int check(const struct row *row)
{
    if (!item_name_is_valid(row->device) || !item_name_is_valid(row->service) ||
        !item_name_is_valid(row->name) || row->time_us < 0)
        return SEALMQ_E_ARG;
    if (row->unit.n > UNIT_MAX_BYTES || row->value.n > VALUE_MAX_BYTES)
        return SEALMQ_E_LIMIT;
    return datatype_check(row->type, row->value);
}

static struct bytes put(uint8_t **at, struct bytes b)
{
    uint8_t *p = *at;
    if (b.n != 0)
        memcpy(p, b.p, b.n);
    *at += b.n;
    return bytes_of(p, b.n);
}

static int copy_row(const struct row *row, struct batch_row *out)
{
    size_t n = row->device.n + row->service.n + row->name.n + row->unit.n + row->value.n;
    out->bytes = malloc(n + 1);
    if (out->bytes == NULL)
        return SEALMQ_E_NOMEM;
    uint8_t *at = out->bytes;
    out->row = *row;
    out->row.device = put(&at, row->device);
    out->row.service = put(&at, row->service);
    out->row.name = put(&at, row->name);
    out->row.unit = put(&at, row->unit);
    out->row.value = put(&at, row->value);
    return 0;
}

int capture_add(struct gateway *gateway, const struct row *reading, const struct gateway_now *now)
{
    int error = check(reading);
    if (error != 0)
        return error;
    if (HASH_COUNT(gateway->outbox) >= gateway->options.outbox_reports_max ||
        gateway->outbox_bytes + gateway->batch_bytes >= gateway->options.outbox_bytes_max)
        return SEALMQ_E_FULL;
    if (gateway->batch_count == gateway->batch_capacity) {
        size_t more = gateway->batch_capacity == 0 ? 64 : gateway->batch_capacity * 2;
        struct batch_row *batch = realloc(gateway->batch, more * sizeof *batch);
        if (batch == NULL)
            return SEALMQ_E_NOMEM;
        gateway->batch = batch;
        gateway->batch_capacity = more;
    }
    error = copy_row(reading, &gateway->batch[gateway->batch_count]);
    if (error != 0)
        return error;
    gateway->batch[gateway->batch_count].arrival = gateway->batch_count;
    if (gateway->batch_count++ == 0)
        gateway->batch_since_ms = now->now_ms;
    gateway->batch_bytes += reading->value.n + 128;
    return 0;
}

void capture_drop_batch(struct gateway *gateway)
{
    for (size_t i = 0; i < gateway->batch_count; i++)
        free(gateway->batch[i].bytes);
    gateway->batch_count = 0;
    gateway->batch_bytes = 0;
}

/* Rows of one device and service together, as they came otherwise: a short report. */
static int by_device(const void *a, const void *b)
{
    const struct batch_row *x = a, *y = b;
    int order = bytes_compare(x->row.device, y->row.device);
    if (order == 0)
        order = bytes_compare(x->row.service, y->row.service);
    if (order == 0)
        order = x->row.time_us < y->row.time_us ? -1 : x->row.time_us > y->row.time_us;
    if (order == 0)
        order = x->arrival < y->arrival ? -1 : 1;
    return order;
}

/* n || signature || JSON, and the report hash. */
static int make_report(const struct gateway *gateway, const struct row *rows, size_t count,
                       uint64_t n, struct buf *plain, struct hash *hash)
{
    const struct report_head head = {
        .gateway = bytes_str(gateway->id),
        .topic = bytes_str(gateway->topic),
        .n = n,
        .rows = (uint32_t)count,
    };
    int error = report_hash_of(&head, rows, hash);
    if (error != 0)
        return error;
    struct signature signature;
    report_sign(gateway->options.key, &gateway->genesis.hash, hash, &signature);
    buf_append_u64(plain, n);
    buf_append(plain, signature.b, SIGNATURE_SIZE);
    return report_format(rows, count, plain);
}

static void capture(struct gateway *gateway, const struct gateway_now *now)
{
    size_t count = gateway->batch_count;
    struct row *rows = calloc(count, sizeof *rows);
    struct buf plain = {0};
    struct hash hash;
    if (rows == NULL) {
        update_fail(gateway, SEALMQ_E_NOMEM);
        return;
    }
    qsort(gateway->batch, count, sizeof *gateway->batch, by_device);
    for (size_t i = 0; i < count; i++)
        rows[i] = gateway->batch[i].row;
    uint64_t n = gateway->next_capture;
    int error = make_report(gateway, rows, count, n, &plain, &hash);
    if (error == 0)
        error = outbox_put_report(gateway, n, &hash, buf_bytes(&plain));
    if (error == 0)
        error = leaf_add(gateway, n, &hash, now);
    if (error == 0) {
        gateway->next_capture = n + 1;
        update_meta(gateway, META_NEXT_CAPTURE, gateway->next_capture);
        gateway->stats.reports_total++;
        for (size_t i = 0; i < count; i++)
            records_add(gateway, &rows[i]);
    } else {
        update_fail(gateway, error);
    }
    capture_drop_batch(gateway);
    buf_close(&plain);
    free(rows);
}

void capture_tick(struct gateway *gateway, const struct gateway_now *now)
{
    if (gateway->batch_count == 0)
        return;
    if (gateway->batch_count >= gateway->options.report_rows_max ||
        gateway->batch_bytes >= REPORT_BYTES_MAX / 4 ||
        now->now_ms - gateway->batch_since_ms >= gateway->options.report_interval_ms)
        capture(gateway, now);
}
