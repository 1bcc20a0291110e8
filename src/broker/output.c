#include "broker/output.h"

#include "base/assert.h"
#include "broker/budget.h"
#include "broker/message.h"

#include <stdlib.h>

enum chunk_kind { CHUNK_SMALL, CHUNK_LARGE, CHUNK_UNPOOLED };

struct output_chunk {
    struct output_chunk *next;
    struct broker_message *message; /* whose payload this is; a reference; NULL: own bytes */
    const uint8_t *p;
    size_t begin, end, capacity;
    enum chunk_kind kind;
    uint8_t bytes[];
};

static const size_t chunk_size[2] = {512, 16384};
/* Free chunks kept: half a MiB and one MiB. */
static const uint32_t chunk_kept[2] = {1024, 64};

static struct output_chunk *chunk_new(struct output_pool *pool, enum chunk_kind kind, size_t size)
{
    struct output_chunk *chunk;
    if (kind != CHUNK_UNPOOLED && pool->free[kind] != NULL) {
        chunk = pool->free[kind];
        pool->free[kind] = chunk->next;
        pool->count[kind]--;
        chunk->next = NULL;
        chunk->begin = chunk->end = 0;
        budget_take(pool->waiting, chunk_size[kind]);
        return chunk;
    }
    size_t whole = kind == CHUNK_UNPOOLED ? sizeof *chunk + size : chunk_size[kind];
    if (whole < size)
        return NULL;
    chunk = malloc(whole);
    if (chunk == NULL)
        return NULL;
    *chunk = (struct output_chunk){
        .p = chunk->bytes,
        .capacity = whole - sizeof *chunk,
        .kind = kind,
    };
    budget_take(pool->waiting, whole);
    return chunk;
}

static void chunk_free(struct output_pool *pool, struct output_chunk *chunk)
{
    if (chunk->message != NULL) { /* its capacity is the message's memory */
        message_wait_no_more(pool->waiting, chunk->message);
        budget_give(pool->waiting, sizeof *chunk);
    } else {
        budget_give(pool->waiting, sizeof *chunk + chunk->capacity);
    }
    if (chunk->kind == CHUNK_UNPOOLED || pool->count[chunk->kind] == chunk_kept[chunk->kind]) {
        free(chunk);
        return;
    }
    chunk->next = pool->free[chunk->kind];
    pool->free[chunk->kind] = chunk;
    pool->count[chunk->kind]++;
}

void output_pool_close(struct output_pool *pool)
{
    for (size_t kind = 0; kind < 2; kind++) {
        while (pool->free[kind] != NULL) {
            struct output_chunk *chunk = pool->free[kind];
            pool->free[kind] = chunk->next;
            free(chunk);
        }
    }
    *pool = (struct output_pool){0};
}

static void drop_first(struct output_pool *pool, struct output *output)
{
    struct output_chunk *chunk = output->first;
    output->first = chunk->next;
    if (output->first == NULL)
        output->last = NULL;
    chunk_free(pool, chunk);
}

void output_close(struct output_pool *pool, struct output *output)
{
    while (output->first != NULL)
        drop_first(pool, output);
    *output = (struct output){0};
}

static void append(struct output *output, struct output_chunk *chunk)
{
    if (output->last != NULL)
        output->last->next = chunk;
    else
        output->first = chunk;
    output->last = chunk;
}

uint8_t *output_room(struct output_pool *pool, struct output *output, size_t size)
{
    struct output_chunk *last = output->last;
    if (last == NULL || last->message != NULL || last->capacity - last->end < size) {
        enum chunk_kind kind = CHUNK_UNPOOLED;
        if (last == NULL && size <= chunk_size[CHUNK_SMALL] - sizeof *last)
            kind = CHUNK_SMALL;
        else if (size <= chunk_size[CHUNK_LARGE] - sizeof *last)
            kind = CHUNK_LARGE;
        last = chunk_new(pool, kind, size);
        if (last == NULL)
            return NULL;
        append(output, last);
    }
    return last->bytes + last->end;
}

void output_commit(struct output *output, size_t size)
{
    ASSERT(output->last->capacity - output->last->end >= size);
    output->last->end += size;
    output->bytes += size;
}

/* The reference is linked behind the head's chunk at once, with no bytes yet. */
uint8_t *output_room_before(struct output_pool *pool, struct output *output, size_t size,
                            struct broker_message *message)
{
    struct output_chunk *reference = chunk_new(pool, CHUNK_UNPOOLED, 0);
    if (reference == NULL)
        return NULL;
    uint8_t *room = output_room(pool, output, size);
    if (room == NULL) {
        chunk_free(pool, reference);
        return NULL;
    }
    message_wait(pool->waiting, message);
    reference->message = message;
    reference->p = message->view.payload.p;
    reference->capacity = message->view.payload.n;
    output->last->next = reference;
    return room;
}

void output_commit_before(struct output *output, size_t size)
{
    output_commit(output, size);
    struct output_chunk *reference = output->last->next;
    reference->end = reference->capacity;
    output->bytes += reference->end;
    output->last = reference;
}

size_t output_pieces(const struct output *output, struct broker_piece *pieces, size_t most)
{
    size_t count = 0;
    for (const struct output_chunk *c = output->first; c != NULL && count < most; c = c->next) {
        if (c->begin < c->end)
            pieces[count++] = (struct broker_piece){c->p + c->begin, c->end - c->begin};
    }
    return count;
}

void output_written(struct output_pool *pool, struct output *output, size_t size)
{
    ASSERT(size <= output->bytes);
    output->bytes -= size;
    while (output->first != NULL) {
        struct output_chunk *chunk = output->first;
        size_t n = chunk->end - chunk->begin;
        if (size < n) {
            chunk->begin += size;
            return;
        }
        size -= n;
        drop_first(pool, output);
    }
}
