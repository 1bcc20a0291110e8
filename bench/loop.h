/* Connections of the load generator: one thread, one epoll set, big reads, and what a turn of the
 * loop has to say to a connection in one write.
 *
 * A wire carries MQTT packets without knowing what they mean. Its reader is given whole packets; of
 * one that is longer than LOOP_WHOLE_MAX it gets the beginning, after the last byte has come, and
 * the rest is thrown away without being copied. */
#ifndef SEALMQ_BENCH_LOOP_H
#define SEALMQ_BENCH_LOOP_H

#include "give_up.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define LOOP_WHOLE_MAX ((size_t)64 * 1024)
#define LOOP_HEAD_MAX  512 /* of a longer packet */

struct wire;

struct packet {
    uint8_t first;       /* type and flags */
    const uint8_t *body; /* behind the fixed header; borrowed */
    size_t n;            /* bytes at `body` */
    size_t total;        /* bytes that the body had; more than n when it was long */
};

struct wire_reader {
    void (*packet)(struct wire *wire, const struct packet *packet);
    /* The peer has closed, or broken the protocol. The wire is closed already. */
    void (*closed)(struct wire *wire);
};

struct wire {
    int fd; /* -1: closed */
    const struct wire_reader *reader;
    void *owner;
    uint8_t *out;
    size_t out_n, out_sent, out_capacity;
    size_t filler_left; /* bytes of filler that follow `out` */
    uint8_t *held;      /* the beginning of a packet whose rest has not come */
    size_t held_n, held_capacity;
    size_t skip; /* bytes of a long packet still to come */
    size_t long_total;
    uint8_t long_first;
    bool is_dirty, waits_for_room;
    struct wire *dirty_next;
};

struct loop {
    int epoll;
    struct wire *dirty;
    uint8_t *buffer;
    uint64_t now_ns;
};

void loop_open(struct loop *loop);
void loop_close(struct loop *loop);

/* Connects `wire` to 127.0.0.1:port from one of many loopback addresses, chosen by `number`: one
 * address alone has 28,000 ports. False: no connection. */
bool wire_open(struct loop *loop, struct wire *wire, uint16_t port, uint32_t number);
/* Frees what it holds, too. */
void wire_close(struct wire *wire);
/* The same, but the peer sees a reset. */
void wire_abort(struct wire *wire);

/* Room for n bytes at the end of what is to be sent; the caller fills it. */
uint8_t *wire_extend(struct loop *loop, struct wire *wire, size_t n);
/* Sends n bytes of filler behind what has been appended; until they are gone nothing more may be
 * appended. */
void wire_append_filler(struct wire *wire, size_t n);
static inline size_t wire_unsent(const struct wire *wire)
{
    return wire->out_n - wire->out_sent + wire->filler_left;
}

/* Sends what is to be sent, waits at most timeout_ns (negative: without limit) for something to
 * happen, and serves it. */
void loop_turn(struct loop *loop, int64_t timeout_ns);

uint64_t clock_ns(void);

#endif
