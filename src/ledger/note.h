/* Signed notes, checkpoints and cosignatures in the C2SP formats (c2sp.org/signed-note,
 * tlog-checkpoint, tlog-cosignature), and policies (tlog-policy).
 *
 * The log of headers has the origin "sealmq/<network>". Every validator signs its checkpoints with
 * its log key (Ed25519, algorithm 0x01, key name = origin) and cosigns them with its cosigner key
 * (algorithm 0x04, key name = "<origin>/<validator id>"). */
#ifndef SEALMQ_LEDGER_NOTE_H
#define SEALMQ_LEDGER_NOTE_H

#include "ledger/genesis.h"

#define ORIGIN_MAX     (NETWORK_MAX + 8)
#define KEY_NAME_MAX   (ORIGIN_MAX + ID_MAX + 2)
#define NOTE_BYTES_MAX 65536

void checkpoint_origin(const char *network, char out[ORIGIN_MAX]);

struct checkpoint {
    char origin[ORIGIN_MAX];
    uint64_t size; /* number of headers: height + 1 */
    struct hash root;
};
/* The note's text, ending in a newline. */
void checkpoint_format(const struct checkpoint *checkpoint, struct buf *out);
/* Parses the text of a note (or a whole note). Borrowed *signatures is what follows the blank line.
 * Extension lines are refused. */
SEALMQ_MUST_CHECK int checkpoint_parse(struct bytes note, struct checkpoint *out,
                                       struct bytes *text, struct bytes *signatures);

/* One signature line of a note. */
struct note_line {
    struct bytes name;
    uint8_t key_id[4];
    struct bytes signature; /* decoded, without the key id; borrowed from `scratch` of the walk */
};
bool note_lines_next(struct bytes *signatures, struct note_line *out, uint8_t scratch[128]);
void note_key_id(struct bytes name, uint8_t algorithm, const struct public_key *key,
                 uint8_t out[4]);
/* "<name>+<hex key id>+<base64(algorithm || key)>" */
void note_vkey_format(struct bytes name, uint8_t algorithm, const struct public_key *key,
                      struct buf *out);

#define NOTE_ED25519     0x01
#define NOTE_COSIGNATURE 0x04

/* What a validator says of a checkpoint: two signature lines, appended. time_s: seconds of 1970. */
void checkpoint_sign(const struct checkpoint *checkpoint, const struct validator *who,
                     const struct sign_key *log_key, const struct sign_key *cosigner_key,
                     uint64_t time_s, struct buf *lines);
/* Whether `lines` hold a valid log signature and a valid cosignature of the checkpoint by `who`. */
SEALMQ_MUST_CHECK int checkpoint_verify_validator(const struct checkpoint *checkpoint,
                                                  struct bytes lines,
                                                  const struct validator *who);

/* A tlog-policy: the log's keys, witnesses, groups, and which group is the quorum. */
struct policy;
SEALMQ_MUST_CHECK int policy_parse(struct bytes text, struct policy **out, unsigned *line,
                                   char *why, size_t why_size);
void policy_free(struct policy *policy);
/* The policy of a validator set: each one's log key and cosigner, quorum q. */
SEALMQ_MUST_CHECK int policy_format(const char *network, const struct validator_set *set,
                                    struct buf *out);

/* Who signed, for people: names of the witnesses whose cosignatures are valid. */
struct policy_result {
    size_t cosigner_count;
    char cosigners[VALIDATORS_MAX][KEY_NAME_MAX];
    uint64_t earliest_s, latest_s; /* of the cosignatures' times */
};
/* Whether the note satisfies the policy: a log signature, and cosignatures that make the quorum.
 * SEALMQ_E_SIGNATURE, SEALMQ_E_COUNT (not enough), SEALMQ_E_NETWORK (another origin). `result`
 * may be NULL. */
SEALMQ_MUST_CHECK int policy_check_note(const struct policy *policy, struct bytes note,
                                        struct checkpoint *out, struct policy_result *result);

#endif
