/* What is to be written to one connection: a list of chunks. Small packets are appended to chunks
 * of memory, which come from and go back to the shard's pool, so that an idle connection holds
 * none; large payloads stand in the list as references to their message. */
#ifndef SEALMQ_BROKER_OUTPUT_H
#define SEALMQ_BROKER_OUTPUT_H

#include "broker/broker.h"

struct output_chunk;

struct output {
    struct output_chunk *first, *last;
    uint64_t bytes; /* not yet written */
};

/* Free chunks of two sizes: a small one to begin with, a large one for those who have more. */
struct output_pool {
    struct output_chunk *free[2];
    uint32_t count[2];
    struct budget *waiting; /* where the memory of what is not written counts */
};

void output_pool_close(struct output_pool *pool);
/* Drops all that is not written. */
void output_close(struct output_pool *pool, struct output *output);

/* Room for `size` bytes in one piece, NULL when there is no memory. Nothing is appended until
 * output_commit, so a packet is written whole or not at all. */
SEALMQ_MUST_CHECK uint8_t *output_room(struct output_pool *pool, struct output *output,
                                       size_t size);
void output_commit(struct output *output, size_t size);
/* The same, followed by the payload of a message by reference: room for the head, then commit. */
SEALMQ_MUST_CHECK uint8_t *output_room_before(struct output_pool *pool, struct output *output,
                                              size_t size, struct broker_message *message);
void output_commit_before(struct output *output, size_t size);

size_t output_pieces(const struct output *output, struct broker_piece *pieces, size_t most);
void output_written(struct output_pool *pool, struct output *output, size_t size);

#endif
