/* Checks signatures of requests on threads of its own, each once, however often the request comes
 * and in whatever company: a request that was found good is remembered with the key that it was
 * good under.
 *
 * All functions are the owner's thread's. */
#ifndef SEALMQ_NODE_CHECKER_H
#define SEALMQ_NODE_CHECKER_H

#include "ledger/request.h"

#define CHECKER_THREADS_MAX 4
#define CHECKER_REMEMBERED  8192 /* a newer one may take the place of an older one */

struct checker;

struct checker_options {
    unsigned threads;           /* 0: one for each processor, at most CHECKER_THREADS_MAX */
    const struct hash *genesis; /* borrowed until free */
    void *context;
    /* From any of the threads: checker_next will have something. */
    void (*done)(void *context);
};

SEALMQ_MUST_CHECK int checker_new(const struct checker_options *options, struct checker **out);
void checker_free(struct checker *checker); /* waits for what is being checked */

/* A request of a member, which bears one signature, and the key that it must be of. 0: it is good,
 * as found before. SEALMQ_E_AGAIN: it is being checked, checker_next will tell; `is_urgent` puts it
 * before what is not. SEALMQ_E_SIGNATURE (it has none), SEALMQ_E_NOMEM. */
SEALMQ_MUST_CHECK int checker_ask(struct checker *checker, const struct request *request,
                                  const struct public_key *key, bool is_urgent);
/* How many are being checked. */
size_t checker_count(const struct checker *checker);

/* What is checked: a request, named by its hash, and the key that it must be signed with. */
struct check_subject {
    struct hash request;
    struct public_key key;
};
_Static_assert(sizeof(struct check_subject) == HASH_SIZE + PUBLIC_KEY_SIZE, "compared as bytes");

struct check_result {
    struct check_subject subject;
    int error; /* 0; SEALMQ_E_SIGNATURE; SEALMQ_E_NOMEM */
};
/* False: nothing more at present. */
bool checker_next(struct checker *checker, struct check_result *out);

#endif
