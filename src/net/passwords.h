/* Log-in by user name and password: a table of hashes, and checking against it without holding up
 * a worker.
 *
 * The text has one `name:hash` a line, the hash as crypto/password.h or crypto/scram.h writes it;
 * empty lines and lines that begin with # are skipped, but for one "#decoy-secret <base64>", which
 * decides what those are shown who ask for users that are not there. A table never changes after it
 * was made and may be asked from any thread; to reload means to make a new one. */
#ifndef SEALMQ_NET_PASSWORDS_H
#define SEALMQ_NET_PASSWORDS_H

#include "base/bytes.h"
#include "broker/broker.h"
#include "crypto/scram.h"

#include <uv.h>

#define PASSWORDS_NAME_MAX  255
#define PASSWORDS_USERS_MAX 1000000
#define PASSWORDS_FILE_MAX  ((size_t)256 * 1024 * 1024)

#define PASSWORDS_SECRET_PREFIX "#decoy-secret "

struct passwords;

/* `path` is for the words in `why` ("passwords:3: no hash after the colon; ..."). SEALMQ_E_CONFIG,
 * SEALMQ_E_NOMEM. */
SEALMQ_MUST_CHECK int passwords_parse(struct bytes text, const char *path, struct passwords **out,
                                      char *why, size_t why_size);
/* Counted references: one from passwords_parse, freed with the last. NULL is allowed. */
struct passwords *passwords_ref(struct passwords *passwords);
void passwords_unref(struct passwords *passwords);

size_t passwords_count(const struct passwords *passwords);
/* The hash of a user, borrowed from the table; NULL when there is none. */
const char *passwords_find(const struct passwords *passwords, struct bytes name);
/* What the password of a user who is not there is compared with, so that the time does not tell who
 * is known: the hash of some user, for each name always of the same. NULL: there are no users. */
const char *passwords_decoy(const struct passwords *passwords, struct bytes name);
/* Whether anybody can log in with SCRAM; whether the text says a secret. */
bool passwords_has_scram(const struct passwords *passwords);
bool passwords_has_secret(const struct passwords *passwords);
/* What a log-in with SCRAM goes by. With *is_known false it is a decoy, which looks like the others
 * and must not succeed. SEALMQ_E_NOTFOUND: nobody can log in so. */
SEALMQ_MUST_CHECK int passwords_scram(const struct passwords *passwords, struct bytes name,
                                      struct scram_verifier *out, bool *is_known);
/* Whether `name` may stand in a password file: 1 to 255 bytes of UTF-8 without control characters
 * and colons, not beginning with #. */
bool passwords_name_is_valid(struct bytes name);

/* Checks on libuv's thread pool. One checker for each loop; all calls and `answer` on its thread.
 * Hashes are slow by design, so what waits is bounded: beyond, clients are told to come later. */
struct password_checker;

/* The answer for `conn`, always from the loop, never from inside password_checker_check. */
typedef void (*password_answer)(void *context, struct broker_conn conn, struct bytes name,
                                bool is_right);

SEALMQ_MUST_CHECK int password_checker_new(uv_loop_t *loop, unsigned waiting_max,
                                           password_answer answer, void *context,
                                           struct password_checker **out);
/* Takes a reference to the table and copies the rest. An unknown name costs as much time as a known
 * one. SEALMQ_E_BUSY when too many wait, SEALMQ_E_NOMEM. */
SEALMQ_MUST_CHECK int password_checker_check(struct password_checker *checker,
                                             struct passwords *passwords, struct broker_conn conn,
                                             struct bytes name, struct bytes password);
/* No answer follows. What is under way ends by itself while the loop runs on. */
void password_checker_free(struct password_checker *checker);

#endif
