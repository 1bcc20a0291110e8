/* Keys that sign notes, and how one signature line is verified. Inside src/ledger only. */
#ifndef SEALMQ_LEDGER_NOTE_INT_H
#define SEALMQ_LEDGER_NOTE_INT_H

#include "ledger/merkle.h"
#include "ledger/note.h"

/* "— ", with which every signature line starts. */
#define NOTE_LINE_START BYTES_LIT("\xe2\x80\x94 ")

/* Takes a line, without its newline; false when none ends here. */
bool note_take_line(struct bytes *text, struct bytes *line);
/* A path as lines of base64, up to and with the empty line after them. SEALMQ_E_PARSE, _LIMIT. */
SEALMQ_MUST_CHECK int note_read_path(struct bytes *text, struct merkle_path *out);
void note_append_path(const struct merkle_path *path, struct buf *out);

struct note_key {
    char name[KEY_NAME_MAX];
    uint8_t algorithm; /* NOTE_ED25519 or NOTE_COSIGNATURE */
    uint8_t id[4];
    struct public_key key;
};

/* `name` must be a valid name of less than KEY_NAME_MAX bytes. */
void note_key_init(struct note_key *out, struct bytes name, uint8_t algorithm,
                   const struct public_key *key);
/* The two keys of a validator. The log's name is its origin. */
void note_key_of_log(struct note_key *out, const char *origin, const struct validator *who);
void note_key_of_cosigner(struct note_key *out, const char *origin, const struct validator *who);
/* Reads "<name>+<hex key id>+<base64>". SEALMQ_E_PARSE, _LIMIT (name too long), _UNSUPPORTED
 * (another algorithm), _HASH (the key id is not the key's). */
SEALMQ_MUST_CHECK int note_vkey_parse(struct bytes vkey, struct note_key *out);

/* Not empty, UTF-8, no Unicode space, no control character, no plus. */
bool note_key_name_is_valid(struct bytes name);

/* Whether the line says that it is this key's. */
bool note_line_is_by(const struct note_line *line, const struct note_key *key);
/* Verifies a line that is by the key. *time_s is the cosignature's time, or 0 for the other
 * algorithm. SEALMQ_E_SIGNATURE, SEALMQ_E_NOMEM. */
SEALMQ_MUST_CHECK int note_line_verify(const struct note_line *line, const struct note_key *key,
                                       struct bytes text, uint64_t *time_s);
/* Appends the line with which the secret key signs `text`. time_s counts for cosignatures only. */
void note_line_sign(const struct note_key *key, const struct sign_key *secret, struct bytes text,
                    uint64_t time_s, struct buf *lines);

#endif
