/* What waits for the agreement thread, in two queues: what the other nodes say of the agreement
 * itself, and what clients want recorded, here or at another node. The first goes first; the second
 * has signatures to be checked, and is taken a few at a time.
 *
 * Bounded as a whole and for each source, so that neither one client nor one faulty node leaves no
 * room for the rest. What nodes say is taken from each of them in turn: one that floods waits
 * behind itself, and keeps nobody's votes from being heard.
 *
 * Without a lock: the caller has one. */
#ifndef SEALMQ_NODE_LETTERS_H
#define SEALMQ_NODE_LETTERS_H

#include "base/bytes.h"
#include "base/limits.h"
#include "consensus/pbft.h"
#include "node/tally.h"

#define LETTERS_ITEMS_MAX        65536 /* of nodes; of clients half as much, in bytes as well */
#define LETTERS_BYTES_MAX        (64 * 1024 * 1024)
/* A node takes at most half of the nodes' queue; the requests that it passes on, and one client's,
 * take at most this of the clients' queue. */
#define LETTERS_PASSED_ON_SHARE  4
#define LETTERS_CLIENT_ITEMS_MAX 256
#define LETTERS_CLIENT_BYTES_MAX (8 * 1024 * 1024)

enum letter_kind { LETTER_MESSAGE, LETTER_REQUEST, LETTER_ANNOUNCE };

/* One thing that waits, with its bytes behind it. */
struct letter {
    struct letter *next;
    enum letter_kind kind;
    enum pbft_message_kind message;
    int peer; /* validator index, or -1 */
    char client[ID_MAX + 1];
    size_t size;
    uint8_t bytes[];
};

struct letters_queue {
    struct letter *first, **last;
    struct tally all;
};

struct letters {
    struct letters_queue said[VALIDATORS_MAX + 1]; /* by validator; the last: by another */
    size_t turn;                                   /* whose is taken next, if there is one */
    struct tally all_said;
    struct letters_queue clients;
    struct tally passed_on[VALIDATORS_MAX];
    struct tallies client;
};

/* The seed is that of the clients' tallies. */
void letters_init(struct letters *letters, uint64_t seed);
/* Takes the letter over. SEALMQ_E_BUSY: not taken, a bound is reached. */
SEALMQ_MUST_CHECK int letters_put(struct letters *letters, struct letter *letter);
/* The next of the nodes, in turn, or of the clients; NULL when none waits. The caller frees it. */
struct letter *letters_take_node(struct letters *letters);
struct letter *letters_take_client(struct letters *letters);
void letters_close(struct letters *letters);

#endif
