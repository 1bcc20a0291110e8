/* How many connections there are from each source address: an IPv4 address, or the 64 bits of an
 * IPv6 one that a single site has. Of a server; from any thread. */
#ifndef SEALMQ_NET_SOURCES_H
#define SEALMQ_NET_SOURCES_H

#include "broker/keyed_hash.h"
#include "broker/table.h"

#include <netinet/in.h>
#include <pthread.h>

/* Above the limit, so many of an address are told why they are not let in; the others are not worth
 * a handshake. */
#define SOURCES_TOLD_MOST 8

union net_address {
    struct sockaddr any;
    struct sockaddr_in in;
    struct sockaddr_in6 in6;
    struct sockaddr_storage storage;
};

struct source; /* an address with connections */

struct sources {
    uint32_t most; /* connections of one; 0: any, and nothing is counted */
    pthread_mutex_t lock;
    struct hash_key key;
    struct table table;
};

enum source_verdict {
    SOURCE_WELCOME,
    SOURCE_FULL,   /* above the limit: to be refused in the protocol */
    SOURCE_FLOODS, /* far above it, or there is no memory: to be closed; is not counted */
};

SEALMQ_MUST_CHECK int sources_init(struct sources *sources, uint32_t most, uint64_t seed);
/* Of one that was initialised or is zero. Those that have not left are void. */
void sources_close(struct sources *sources);
/* Counts a connection. *out is to be given back by sources_leave; NULL when it is not counted. */
SEALMQ_MUST_CHECK enum source_verdict
sources_enter(struct sources *sources, const union net_address *address, struct source **out);
void sources_leave(struct sources *sources, struct source *source); /* NULL is fine */

#endif
