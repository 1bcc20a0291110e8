/* Readings become reports: collected until the interval is over or enough are there, then captured
 * whole: number, hash, signature, outbox, leaf, and the records that the policies ask for. What
 * waits in the batch is kept too, as row_encode writes it, because readings are acknowledged. */
#include "device/report.h"
#include "gateway/gateway_int.h"

#include <stdlib.h>

/* What one row adds to a report besides its strings, at most: the members' names, and a service and
 * a device of its own. */
#define ROW_JSON_EXTRA  300
/* A batch of this size is captured at once; the row that makes it so may be as long as rows get. */
#define BATCH_BYTES_MAX (REPORT_BYTES_MAX / 2)

/* The length of a string in JSON, at most. */
static size_t escaped_size(struct bytes text)
{
    size_t n = text.n;
    for (size_t i = 0; i < text.n; i++) {
        uint8_t c = text.p[i];
        if (c < 0x20 || c == 0x7f)
            n += 5;
        else if (c == '"' || c == '\\')
            n++;
    }
    return n;
}

static size_t json_size(const struct row *row)
{
    return row->device.n + row->service.n + row->name.n + escaped_size(row->unit) +
           escaped_size(row->value) + ROW_JSON_EXTRA;
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

/* Takes a checked row into the batch. */
static int batch_add(struct gateway *gateway, const struct row *row, uint64_t arrival)
{
    if (gateway->batch_count == gateway->batch_capacity) {
        size_t more = gateway->batch_capacity == 0 ? 64 : gateway->batch_capacity * 2;
        struct batch_row *batch = realloc(gateway->batch, more * sizeof *batch);
        if (batch == NULL)
            return SEALMQ_E_NOMEM;
        gateway->batch = batch;
        gateway->batch_capacity = more;
    }
    int error = copy_row(row, &gateway->batch[gateway->batch_count]);
    if (error != 0)
        return error;
    gateway->batch[gateway->batch_count++].arrival = arrival;
    gateway->batch_bytes += json_size(row);
    return 0;
}

static bool batch_is_enough(const struct gateway *gateway)
{
    return gateway->batch_count >= gateway->options.report_rows_max ||
           gateway->batch_bytes >= BATCH_BYTES_MAX;
}

static int add_one(struct gateway *gateway, const struct row *row, const struct gateway_now *now)
{
    struct buf value = {0};
    row_encode(row, &value);
    int error = buf_status(&value);
    if (error == 0)
        error = batch_add(gateway, row, gateway->next_arrival);
    if (error == 0) {
        if (gateway->batch_count == 1)
            gateway->batch_since_ms = now->now_ms;
        gateway_update_write(gateway, GATEWAY_TABLE_BATCH, gateway->next_arrival++,
                             buf_bytes(&value));
    }
    buf_close(&value);
    return error;
}

int capture_add(struct gateway *gateway, const struct row *readings, size_t count,
                const struct gateway_now *now)
{
    for (size_t i = 0; i < count; i++) {
        int error = row_check(&readings[i]);
        if (error != 0)
            return error;
    }
    if (HASH_COUNT(gateway->outbox) >= gateway->options.outbox_reports_max ||
        gateway->outbox_bytes + gateway->batch_bytes >= gateway->options.outbox_bytes_max)
        return SEALMQ_E_FULL;
    for (size_t i = 0; i < count; i++) {
        int error = add_one(gateway, &readings[i], now);
        if (error != 0)
            return error;
        if (batch_is_enough(gateway))
            capture_now(gateway, now);
    }
    return 0;
}

int capture_load(struct gateway *gateway, uint64_t arrival, struct bytes value)
{
    struct reader r = reader_of(value);
    struct row row;
    int error = row_decode(&r, &row);
    if (error == 0)
        error = reader_end(&r);
    if (error != 0 || arrival > SEQUENCE_MAX || gateway->batch_count == REPORT_ROWS_MAX ||
        gateway->batch_bytes >= BATCH_BYTES_MAX)
        return SEALMQ_E_CORRUPT;
    if (arrival >= gateway->next_arrival)
        gateway->next_arrival = arrival + 1;
    return batch_add(gateway, &row, arrival);
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

void capture_now(struct gateway *gateway, const struct gateway_now *now)
{
    size_t count = gateway->batch_count;
    if (count == 0)
        return;
    struct row *rows = calloc(count, sizeof *rows);
    struct buf plain = {0};
    struct hash hash;
    if (rows == NULL) {
        gateway_update_fail(gateway, SEALMQ_E_NOMEM);
        return;
    }
    qsort(gateway->batch, count, sizeof *gateway->batch, by_device);
    for (size_t i = 0; i < count; i++) {
        rows[i] = gateway->batch[i].row;
        gateway_update_remove(gateway, GATEWAY_TABLE_BATCH, gateway->batch[i].arrival);
    }
    uint64_t n = gateway->next_capture;
    int error = make_report(gateway, rows, count, n, &plain, &hash);
    if (error == 0)
        error = outbox_put_report(gateway, n, &hash, buf_bytes(&plain));
    if (error == 0)
        error = leaf_add(gateway, n, &hash, now);
    if (error == 0) {
        gateway->next_capture = n + 1;
        gateway_update_meta(gateway, META_NEXT_CAPTURE, gateway->next_capture);
        gateway->stats.reports_total++;
        for (size_t i = 0; i < count; i++)
            records_add(gateway, &rows[i]);
    } else {
        gateway_update_fail(gateway, error);
    }
    capture_drop_batch(gateway);
    buf_close(&plain);
    free(rows);
}

void capture_tick(struct gateway *gateway, const struct gateway_now *now)
{
    if (batch_is_enough(gateway) ||
        now->now_ms - gateway->batch_since_ms >= gateway->options.report_interval_ms)
        capture_now(gateway, now);
}
