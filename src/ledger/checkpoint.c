/* Checkpoints of the log of headers (c2sp.org/tlog-checkpoint): three lines, and what validators
 * say of them. */
#include "ledger/note.h"

#include "base/assert.h"
#include "base/text.h"
#include "ledger/note_int.h"

#include <stdio.h>

void checkpoint_origin(const char *network, char out[ORIGIN_MAX])
{
    int n = snprintf(out, ORIGIN_MAX, "sealmq/%s", network);
    ASSERT(n > 0 && n < ORIGIN_MAX);
}

void checkpoint_format(const struct checkpoint *checkpoint, struct buf *out)
{
    buf_printf(out, "%s\n%llu\n", checkpoint->origin, (unsigned long long)checkpoint->size);
    base64_append(out, hash_bytes(&checkpoint->root));
    buf_append_u8(out, '\n');
}

/* UTF-8, and no control characters but newlines. */
static bool is_note_text(struct bytes note)
{
    for (size_t i = 0; i < note.n; i++)
        if (note.p[i] < ' ' && note.p[i] != '\n')
            return false;
    return utf8_is_valid(note);
}

/* One or more signature lines and nothing else. */
static bool are_signature_lines(struct bytes lines)
{
    struct note_line line;
    uint8_t scratch[128];
    if (lines.n == 0)
        return false;
    while (lines.n != 0)
        if (!note_lines_next(&lines, &line, scratch))
            return false;
    return true;
}

int checkpoint_parse(struct bytes note, struct checkpoint *out, struct bytes *text,
                     struct bytes *signatures)
{
    *out = (struct checkpoint){0};
    *text = *signatures = bytes_of(NULL, 0);
    if (note.n > NOTE_BYTES_MAX)
        return SEALMQ_E_LIMIT;
    struct bytes rest = note, origin, size, root, empty;
    struct checkpoint read = {0};
    if (!is_note_text(note) || !note_take_line(&rest, &origin) || !note_take_line(&rest, &size) ||
        !note_take_line(&rest, &root))
        return SEALMQ_E_PARSE;
    struct bytes body = bytes_of(note.p, note.n - rest.n);
    /* What follows at once must be the blank line: another line would be an extension. */
    if (rest.n != 0 &&
        (!note_take_line(&rest, &empty) || empty.n != 0 || !are_signature_lines(rest)))
        return SEALMQ_E_PARSE;
    if (origin.n >= sizeof(read.origin))
        return SEALMQ_E_LIMIT;
    if (origin.n == 0 || bytes_to_cstr(origin, read.origin, sizeof(read.origin)) != 0 ||
        u64_parse(size, &read.size) != 0 || base64_decode_exact(root, read.root.b, HASH_SIZE) != 0)
        return SEALMQ_E_PARSE;
    *out = read;
    *text = body;
    *signatures = rest;
    return 0;
}

void note_key_of_log(struct note_key *out, const char *origin, const struct validator *who)
{
    note_key_init(out, bytes_str(origin), NOTE_ED25519, &who->log_key);
}

void note_key_of_cosigner(struct note_key *out, const char *origin, const struct validator *who)
{
    char name[KEY_NAME_MAX];
    int n = snprintf(name, sizeof(name), "%s/%s", origin, who->id);
    ASSERT(n > 0 && (size_t)n < sizeof(name));
    note_key_init(out, bytes_str(name), NOTE_COSIGNATURE, &who->cosigner_key);
}

void checkpoint_sign(const struct checkpoint *checkpoint, const struct validator *who,
                     const struct sign_key *log_key, const struct sign_key *cosigner_key,
                     uint64_t time_s, struct buf *lines)
{
    struct note_key key;
    struct buf text = {0};
    checkpoint_format(checkpoint, &text);
    int error = buf_status(&text);
    if (error == 0) {
        note_key_of_log(&key, checkpoint->origin, who);
        note_line_sign(&key, log_key, buf_bytes(&text), 0, lines);
        note_key_of_cosigner(&key, checkpoint->origin, who);
        note_line_sign(&key, cosigner_key, buf_bytes(&text), time_s, lines);
    } else if (lines->failed == 0) {
        lines->failed = error;
    }
    buf_close(&text);
}

int checkpoint_verify_validator(const struct checkpoint *checkpoint, struct bytes lines,
                                const struct validator *who)
{
    struct note_key keys[2];
    bool signed_by[2] = {false, false};
    if (lines.n > NOTE_BYTES_MAX)
        return SEALMQ_E_LIMIT;
    note_key_of_log(&keys[0], checkpoint->origin, who);
    note_key_of_cosigner(&keys[1], checkpoint->origin, who);
    struct buf text = {0};
    checkpoint_format(checkpoint, &text);
    int error = buf_status(&text);
    while (error == 0 && lines.n != 0) {
        struct note_line line;
        uint8_t scratch[128];
        if (!note_lines_next(&lines, &line, scratch)) {
            error = SEALMQ_E_PARSE;
            break;
        }
        for (size_t i = 0; i < 2 && error == 0; i++) {
            uint64_t time_s;
            if (note_line_is_by(&line, &keys[i])) {
                error = note_line_verify(&line, &keys[i], buf_bytes(&text), &time_s);
                signed_by[i] = error == 0;
            }
        }
    }
    buf_close(&text);
    if (error == 0 && !(signed_by[0] && signed_by[1]))
        error = SEALMQ_E_SIGNATURE;
    return error;
}
