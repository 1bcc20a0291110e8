/* The update that a step gives back: collected while the phases run, valid until the next step.
 *
 * Small things are copied into chunks; blocks are referred to where they lie, and a proposal that
 * is released lives on until the next step begins. */
#include "consensus/pbft_int.h"

#include <stdlib.h>

#define CHUNK_BYTES 16384

struct update_chunk {
    struct update_chunk *next;
    size_t n, capacity;
    uint8_t bytes[];
};

static void free_chunks(struct pbft *p)
{
    /* One ordinary chunk is kept: most steps need no more. */
    while (p->chunks != NULL && (p->chunks->next != NULL || p->chunks->capacity > CHUNK_BYTES)) {
        struct update_chunk *chunk = p->chunks;
        p->chunks = chunk->next;
        free(chunk);
    }
    if (p->chunks != NULL)
        p->chunks->n = 0;
}

static void free_dead(struct pbft *p)
{
    while (p->dead != NULL) {
        struct proposal *proposal = p->dead;
        p->dead = proposal->next_dead;
        buf_close(&proposal->wire);
        free(proposal);
    }
}

void update_begin(struct pbft *p)
{
    free_chunks(p);
    free_dead(p);
    p->message_count = p->block_count = p->note_count = 0;
    p->checkpoint = (struct bytes){0};
    p->to_verify = NULL;
    p->serve_count = 0;
}

void update_close(struct pbft *p)
{
    free_chunks(p);
    free(p->chunks);
    p->chunks = NULL;
    free_dead(p);
    free(p->messages);
    free(p->blocks);
    free(p->notes);
}

void update_end(struct pbft *p, struct pbft_update *update)
{
    *update = (struct pbft_update){.deadline_ms = UINT64_MAX};
    if (p->failed != 0)
        return;
    for (size_t slot = 1; slot < PBFT_SLOTS; slot++)
        update->must_be_durable = update->must_be_durable || p->dirty[slot];
    persist_collect(p);
    size_t writes = 0;
    for (size_t slot = 1; slot < PBFT_SLOTS; slot++) {
        if (!p->dirty[slot])
            continue;
        p->dirty[slot] = false;
        if (writes + 1 != slot)
            p->writes[writes] = p->writes[slot - 1];
        writes++;
    }
    uint64_t deadline_ms = timer_deadline_ms(p);
    if (p->failed != 0)
        return;
    update->writes = p->writes;
    update->write_count = writes;
    update->blocks = p->blocks;
    update->block_count = p->block_count;
    update->checkpoint = p->checkpoint;
    update->messages = p->messages;
    update->message_count = p->message_count;
    if (p->to_verify != NULL) {
        update->verify_block = p->to_verify->block.wire;
        update->verify_header = p->to_verify->header;
    }
    update->serve.peer = p->serve_peer;
    update->serve.from = p->serve_from;
    update->serve.count = p->serve_count;
    update->notes = p->notes;
    update->note_count = p->note_count;
    update->deadline_ms = deadline_ms;
}

struct bytes update_copy(struct pbft *p, struct bytes bytes)
{
    if (bytes.n == 0 || p->failed != 0)
        return (struct bytes){0};
    if (p->chunks == NULL || p->chunks->capacity - p->chunks->n < bytes.n) {
        size_t capacity = bytes.n > CHUNK_BYTES ? bytes.n : CHUNK_BYTES;
        struct update_chunk *chunk = malloc(sizeof(*chunk) + capacity);
        if (chunk == NULL) {
            p->failed = SEALMQ_E_NOMEM;
            return (struct bytes){0};
        }
        *chunk = (struct update_chunk){.next = p->chunks, .capacity = capacity};
        p->chunks = chunk;
    }
    uint8_t *place = p->chunks->bytes + p->chunks->n;
    memcpy(place, bytes.p, bytes.n);
    p->chunks->n += bytes.n;
    return bytes_of(place, bytes.n);
}

/* One more element of `size` bytes in an array; NULL when there is no memory. */
static void *grow(struct pbft *p, void *array, size_t *count, size_t *capacity, size_t size)
{
    void **a = array;
    if (p->failed != 0)
        return NULL;
    if (*count == *capacity) {
        size_t more = *capacity == 0 ? 16 : *capacity * 2;
        void *moved = realloc(*a, more * size);
        if (moved == NULL) {
            p->failed = SEALMQ_E_NOMEM;
            return NULL;
        }
        *a = moved;
        *capacity = more;
    }
    return (uint8_t *)*a + (*count)++ * size;
}

void update_send(struct pbft *p, enum pbft_message_kind kind, int to, struct bytes bytes)
{
    bool nobody = to < 0 ? p->n == 1 && p->self == 0 : to == p->self;
    if (nobody)
        return;
    struct pbft_message *m =
        grow(p, &p->messages, &p->message_count, &p->message_capacity, sizeof(*m));
    if (m != NULL)
        *m = (struct pbft_message){kind, to, bytes};
}

void update_send_copy(struct pbft *p, enum pbft_message_kind kind, int to, struct bytes bytes)
{
    update_send(p, kind, to, update_copy(p, bytes));
}

void update_send_buf(struct pbft *p, enum pbft_message_kind kind, int to, struct buf *buf)
{
    if (buf_status(buf) != 0)
        p->failed = SEALMQ_E_NOMEM;
    update_send_copy(p, kind, to, buf_bytes(buf));
    buf_close(buf);
}

void update_block(struct pbft *p, struct bytes block, struct bytes certificate)
{
    struct pbft_stored_block *b =
        grow(p, &p->blocks, &p->block_count, &p->block_capacity, sizeof(*b));
    if (b != NULL)
        *b = (struct pbft_stored_block){block, certificate};
}

void update_note(struct pbft *p, enum pbft_note_kind kind, int peer, int error, uint64_t value,
                 const char *words)
{
    struct pbft_note *note = grow(p, &p->notes, &p->note_count, &p->note_capacity, sizeof(*note));
    if (note != NULL)
        *note = (struct pbft_note){kind, peer, error, value, words};
}

void update_dirty(struct pbft *p, enum pbft_slot slot)
{
    if (p->may_vote)
        p->dirty[slot] = true;
}
