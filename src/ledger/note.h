/* Signed notes, checkpoints and cosignatures in the C2SP formats (c2sp.org/signed-note,
 * tlog-checkpoint, tlog-cosignature), and policies (tlog-policy).
 *
 * The log of headers has the origin "sealmq/<network>". Every validator signs its checkpoints with
 * its log key (Ed25519, algorithm 0x01, key name = origin) and cosigns them with its cosigner key
 * (algorithm 0x04, key name = "<origin>/<validator id>"). */
#ifndef SEALMQ_LEDGER_NOTE_H
#define SEALMQ_LEDGER_NOTE_H

#include "ledger/genesis.h"

#define ORIGIN_MAX       (NETWORK_MAX + 8)
#define KEY_NAME_MAX     (ORIGIN_MAX + ID_MAX + 2)
/* A note with two lines of each validator of the largest set fits. */
#define NOTE_BYTES_MAX   65536
#define POLICY_BYTES_MAX (256 * 1024)

/* `network` must be a valid name. */
void checkpoint_origin(const char *network, char out[ORIGIN_MAX]);

struct checkpoint {
    char origin[ORIGIN_MAX];
    uint64_t size; /* number of headers: height + 1 */
    struct hash root;
};
/* The note's text, ending in a newline. */
void checkpoint_format(const struct checkpoint *checkpoint, struct buf *out);
/* Parses the text of a note (or a whole note, whose signature lines must be well-formed). Borrowed
 * *signatures is what follows the blank line; empty when that is missing too. Extension lines are
 * refused. SEALMQ_E_PARSE, _LIMIT (note or origin too long). */
SEALMQ_MUST_CHECK int checkpoint_parse(struct bytes note, struct checkpoint *out,
                                       struct bytes *text, struct bytes *signatures);

/* One signature line of a note: "— <name> <base64 of key id || signature>". */
struct note_line {
    struct bytes name;
    uint8_t key_id[4];
    struct bytes signature; /* without the key id; borrowed from `scratch` of the walk. Empty when
                               it is longer than any signature that is used here */
};
/* The next line, taken off the front. False at the end, and at a malformed line, which is then
 * still there. */
bool note_lines_next(struct bytes *signatures, struct note_line *out, uint8_t scratch[128]);
void note_key_id(struct bytes name, uint8_t algorithm, const struct public_key *key,
                 uint8_t out[4]);
/* "<name>+<hex key id>+<base64(algorithm || key)>", appended. */
void note_vkey_format(struct bytes name, uint8_t algorithm, const struct public_key *key,
                      struct buf *out);

#define NOTE_ED25519     0x01
#define NOTE_COSIGNATURE 0x04

/* What a validator says of a checkpoint: two signature lines, appended. The keys must be the
 * validator's; time_s are seconds since 1970, at most INT64_MAX. A cosignature signs
 * "cosignature/v1\ntime <time_s>\n" || text, and is u64 time || 64 bytes. */
void checkpoint_sign(const struct checkpoint *checkpoint, const struct validator *who,
                     const struct sign_key *log_key, const struct sign_key *cosigner_key,
                     uint64_t time_s, struct buf *lines);
/* Whether `lines` hold a valid log signature and a valid cosignature of the checkpoint by `who`,
 * and none that is not valid. Lines of others are ignored. SEALMQ_E_SIGNATURE, _PARSE, _LIMIT,
 * _NOMEM. */
SEALMQ_MUST_CHECK int checkpoint_verify_validator(const struct checkpoint *checkpoint,
                                                  struct bytes lines, const struct validator *who);

/* A tlog-policy: the log's keys, witnesses, groups, and which group is the quorum. */
struct policy;
/* `text` is copied. On an error *line is the line's number (from 1; 0 when none is to blame) and
 * `why` has words. SEALMQ_E_PARSE, _LIMIT, _TYPE, _UNSUPPORTED (algorithm), _HASH (key id),
 * _EXISTS, _NOTFOUND, _CONFLICT, _NOMEM. */
SEALMQ_MUST_CHECK int policy_parse(struct bytes text, struct policy **out, unsigned *line,
                                   char *why, size_t why_size);
void policy_free(struct policy *policy);
/* The policy of a validator set, appended: each one's log key and cosigner, quorum q. SEALMQ_E_ARG
 * for no network name or an empty set. */
SEALMQ_MUST_CHECK int policy_format(const char *network, const struct validator_set *set,
                                    struct buf *out);

/* Who signed, for people: names of the witnesses whose cosignatures are valid. */
struct policy_result {
    size_t cosigner_count;
    char cosigners[VALIDATORS_MAX][KEY_NAME_MAX];
    uint64_t earliest_s, latest_s; /* of the cosignatures' times */
};
/* Whether the note satisfies the policy: a signature by a log of the policy whose name is the
 * checkpoint's origin, and cosignatures that make the quorum. Lines of unknown keys are ignored, a
 * line of a known key that does not verify refuses the note. SEALMQ_E_SIGNATURE, SEALMQ_E_COUNT
 * (not enough), SEALMQ_E_NETWORK (another origin), and those of checkpoint_parse. `result` may be
 * NULL. */
SEALMQ_MUST_CHECK int policy_check_note(const struct policy *policy, struct bytes note,
                                        struct checkpoint *out, struct policy_result *result);

#endif
