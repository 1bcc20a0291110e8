#include "edge/intake.h"

#include <stdlib.h>

#define BYTES_MAX_DEFAULT ((size_t)16 * 1024 * 1024)

struct intake {
    struct intake_options options;
    struct mailbox mailbox;
    uv_async_t async;
    atomic_size_t bytes; /* waiting */
};

static void wake(void *context)
{
    struct intake *intake = context;
    uv_async_send(&intake->async);
}

static void on_async(uv_async_t *async)
{
    intake_drain(async->data);
}

int intake_new(const struct intake_options *options, struct intake **out)
{
    struct intake *intake = calloc(1, sizeof *intake);
    if (intake == NULL)
        return SEALMQ_E_NOMEM;
    intake->options = *options;
    if (intake->options.bytes_max == 0)
        intake->options.bytes_max = BYTES_MAX_DEFAULT;
    atomic_init(&intake->bytes, 0);
    if (uv_async_init(options->loop, &intake->async, on_async) != 0) {
        free(intake);
        return SEALMQ_E_IO;
    }
    intake->async.data = intake;
    mailbox_init(&intake->mailbox, wake, intake);
    mailbox_open(&intake->mailbox);
    *out = intake;
    return 0;
}

int intake_post(struct intake *intake, struct parcel *parcel)
{
    /* The limit may be passed by one parcel of each posting thread: it is there to bound. */
    if (atomic_load(&intake->bytes) >= intake->options.bytes_max)
        return SEALMQ_E_FULL;
    size_t size = parcel->size;
    atomic_fetch_add(&intake->bytes, size);
    int error = mailbox_post(&intake->mailbox, &parcel->item);
    if (error != 0)
        atomic_fetch_sub(&intake->bytes, size);
    return error;
}

void intake_drain(struct intake *intake)
{
    struct mailbox_item *item = mailbox_take(&intake->mailbox);
    while (item != NULL) {
        struct parcel *parcel = (struct parcel *)(void *)item;
        item = item->next;
        atomic_fetch_sub(&intake->bytes, parcel->size);
        intake->options.take(intake->options.context, parcel);
    }
    if (!mailbox_rest(&intake->mailbox))
        uv_async_send(&intake->async);
}

static void on_closed(uv_handle_t *handle)
{
    struct intake *intake = handle->data;
    mailbox_destroy(&intake->mailbox);
    free(intake);
}

void intake_free(struct intake *intake)
{
    if (intake == NULL)
        return;
    struct mailbox_item *item = mailbox_close(&intake->mailbox);
    while (item != NULL) {
        struct parcel *parcel = (struct parcel *)(void *)item;
        item = item->next;
        parcel->answer(parcel, SEALMQ_E_CLOSED);
    }
    uv_close((uv_handle_t *)&intake->async, on_closed);
}
