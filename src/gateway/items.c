/* Data items and their numbers, which are for ever. Kept as
 *   u8 version (1) || u8 flags (1: described, 2: written) || u8 datatype || str8 device ||
 *   str8 service || str8 name || str8 unit || i64 written at (us) || str16 value written */
#include "base/id.h"
#include "gateway/gateway_int.h"

#include <stdlib.h>

#define ITEM_VERSION   1
#define ITEM_DESCRIBED 0x01
#define ITEM_WRITTEN   0x02
#define KEY_MAX        (3 * (NAME_MAX_BYTES + 1))

/* "device/service/name"; names hold no slash. */
static size_t make_key(const struct row *row, char key[KEY_MAX])
{
    char *p = key;
    p = mempcpy(p, row->device.p, row->device.n);
    *p++ = '/';
    p = mempcpy(p, row->service.p, row->service.n);
    *p++ = '/';
    p = mempcpy(p, row->name.p, row->name.n);
    *p = '\0';
    return (size_t)(p - key);
}

static struct gateway_item *item_new(const struct row *row, uint32_t num)
{
    char key[KEY_MAX];
    size_t n = make_key(row, key);
    struct gateway_item *item = calloc(1, sizeof *item);
    if (item == NULL || (item->key = malloc(n + 1)) == NULL) {
        free(item);
        return NULL;
    }
    memcpy(item->key, key, n + 1);
    const uint8_t *p = (const uint8_t *)item->key;
    item->device = bytes_of(p, row->device.n);
    item->service = bytes_of(p + row->device.n + 1, row->service.n);
    item->name = bytes_of(p + row->device.n + row->service.n + 2, row->name.n);
    item->type = row->type;
    item->num = num;
    if (bytes_to_cstr(row->unit, item->unit, sizeof item->unit) != 0)
        item->unit[0] = '\0';
    return item;
}

struct gateway_item *item_find(struct gateway *gateway, const struct row *row)
{
    char key[KEY_MAX];
    size_t n = make_key(row, key);
    struct gateway_item *item = NULL;
    HASH_FIND(hh, gateway->items, key, n, item);
    return item;
}

static void item_free(struct gateway_item *item)
{
    free(item->key);
    free(item->written);
    free(item);
}

/* Takes the item; SEALMQ_E_NOMEM: it is gone. */
static int item_add(struct gateway *gateway, struct gateway_item *item)
{
    HASH_ADD_KEYPTR(hh, gateway->items, item->key, strlen(item->key), item);
    if (item->hh.tbl == NULL) {
        item_free(item);
        return SEALMQ_E_NOMEM;
    }
    if (!item->is_described)
        gateway->undescribed++;
    if (item->num >= gateway->next_item)
        gateway->next_item = item->num + 1;
    return 0;
}

struct gateway_item *item_get(struct gateway *gateway, const struct row *row)
{
    struct gateway_item *item = item_find(gateway, row);
    if (item != NULL)
        return item;
    if (HASH_COUNT(gateway->items) >= ITEMS_MAX) {
        if (!gateway->is_items_full)
            gateway_update_note(gateway, GATEWAY_NOTE_ITEMS_FULL, ITEMS_MAX, SEALMQ_E_FULL, "");
        gateway->is_items_full = true;
        return NULL;
    }
    item = item_new(row, gateway->next_item);
    if (item == NULL || item_add(gateway, item) != 0) {
        gateway_update_fail(gateway, SEALMQ_E_NOMEM);
        return NULL;
    }
    item_save(gateway, item);
    return item;
}

int item_set_written(struct gateway_item *item, struct bytes value, int64_t time_us)
{
    char *copy = malloc(value.n + 1);
    if (copy == NULL)
        return SEALMQ_E_NOMEM;
    int error = bytes_to_cstr(value, copy, value.n + 1);
    if (error != 0) {
        free(copy);
        return error;
    }
    free(item->written);
    item->written = copy;
    item->written_us = time_us;
    item->is_written = true;
    return 0;
}

void item_save(struct gateway *gateway, const struct gateway_item *item)
{
    struct buf value = {0};
    /* A record that waits in memory is not written yet: after a restart the next reading is. */
    bool is_written = item->is_written && item->waiting == 0;
    buf_append_u8(&value, ITEM_VERSION);
    buf_append_u8(&value, (uint8_t)((item->is_described ? ITEM_DESCRIBED : 0) |
                                    (is_written ? ITEM_WRITTEN : 0)));
    buf_append_u8(&value, (uint8_t)item->type);
    buf_append_str8(&value, item->device);
    buf_append_str8(&value, item->service);
    buf_append_str8(&value, item->name);
    buf_append_str8(&value, bytes_str(item->unit));
    buf_append_u64(&value, is_written ? (uint64_t)item->written_us : 0);
    buf_append_str16(&value, is_written ? bytes_str(item->written) : (struct bytes){0});
    if (buf_status(&value) == 0)
        gateway_update_write(gateway, GATEWAY_TABLE_ITEM, item->num, buf_bytes(&value));
    else
        gateway_update_fail(gateway, buf_status(&value));
    buf_close(&value);
}

int item_load(struct gateway *gateway, uint64_t num, struct bytes value)
{
    struct reader r = reader_of(value);
    if (reader_u8(&r) != ITEM_VERSION)
        reader_fail(&r, SEALMQ_E_VERSION);
    uint8_t flags = reader_u8(&r);
    uint8_t type = reader_u8(&r);
    struct row row = {.type = (enum datatype)type};
    row.device = reader_str8(&r);
    row.service = reader_str8(&r);
    row.name = reader_str8(&r);
    row.unit = reader_str8(&r);
    int64_t written_us = (int64_t)reader_u64(&r);
    struct bytes written = reader_str16(&r);
    if (reader_end(&r) != 0 || num == 0 || num > UINT32_MAX - 1 ||
        datatype_name(row.type) == NULL || !item_name_is_valid(row.device) ||
        !item_name_is_valid(row.service) || !item_name_is_valid(row.name) ||
        row.unit.n > UNIT_MAX_BYTES || datatype_check(DATATYPE_STRING, written) != 0 ||
        item_find(gateway, &row) != NULL)
        return SEALMQ_E_CORRUPT;
    struct gateway_item *item = item_new(&row, (uint32_t)num);
    if (item == NULL)
        return SEALMQ_E_NOMEM;
    item->is_described = (flags & ITEM_DESCRIBED) != 0;
    if (item_add(gateway, item) != 0)
        return SEALMQ_E_NOMEM;
    return (flags & ITEM_WRITTEN) != 0 ? item_set_written(item, written, written_us) : 0;
}

void items_free(struct gateway *gateway)
{
    struct gateway_item *item, *next;
    HASH_ITER (hh, gateway->items, item, next) {
        HASH_DEL(gateway->items, item);
        item_free(item);
    }
}
