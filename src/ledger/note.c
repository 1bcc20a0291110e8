/* Signed notes: key names, key ids, and signature lines (c2sp.org/signed-note), and the two kinds
 * of signatures that are used here: plain Ed25519, and cosignatures with a time
 * (c2sp.org/tlog-cosignature). */
#include "ledger/note.h"

#include "base/assert.h"
#include "base/text.h"
#include "ledger/note_int.h"

#define KEY_ID_SIZE      4
#define COSIGNATURE_SIZE (8 + SIGNATURE_SIZE)

/* The Unicode property White_Space above ASCII; `c` is one well-formed UTF-8 character. */
static bool is_wide_space(struct bytes c)
{
    static const char *const spaces[] = {
        "\xc2\x85",     "\xc2\xa0",     "\xe1\x9a\x80", "\xe2\x80\xa8",
        "\xe2\x80\xa9", "\xe2\x80\xaf", "\xe2\x81\x9f", "\xe3\x80\x80",
    };
    for (size_t i = 0; i < sizeof(spaces) / sizeof(spaces[0]); i++)
        if (bytes_equal(c, bytes_str(spaces[i])))
            return true;
    /* U+2000 to U+200A */
    return c.n == 3 && c.p[0] == 0xe2 && c.p[1] == 0x80 && c.p[2] >= 0x80 && c.p[2] <= 0x8a;
}

bool note_key_name_is_valid(struct bytes name)
{
    if (name.n == 0)
        return false;
    for (size_t i = 0; i < name.n;) {
        struct bytes rest = bytes_of(name.p + i, name.n - i);
        size_t n = utf8_next(rest);
        if (n == 0 || rest.p[0] <= ' ' || rest.p[0] == '+' || is_wide_space(bytes_of(rest.p, n)))
            return false;
        i += n;
    }
    return true;
}

void note_key_id(struct bytes name, uint8_t algorithm, const struct public_key *key, uint8_t out[4])
{
    struct hasher h;
    struct hash hash;
    hasher_init(&h);
    hasher_update(&h, name);
    hasher_update(&h, BYTES_LIT("\n"));
    hasher_update(&h, bytes_of(&algorithm, 1));
    hasher_update(&h, bytes_of(key->b, PUBLIC_KEY_SIZE));
    hasher_final(&h, &hash);
    memcpy(out, hash.b, KEY_ID_SIZE);
}

void note_key_init(struct note_key *out, struct bytes name, uint8_t algorithm,
                   const struct public_key *key)
{
    ASSERT(note_key_name_is_valid(name) && name.n < sizeof(out->name));
    *out = (struct note_key){.algorithm = algorithm, .key = *key};
    memcpy(out->name, name.p, name.n);
    note_key_id(name, algorithm, key, out->id);
}

void note_vkey_format(struct bytes name, uint8_t algorithm, const struct public_key *key,
                      struct buf *out)
{
    uint8_t id[KEY_ID_SIZE], tagged[1 + PUBLIC_KEY_SIZE];
    char hex[2 * KEY_ID_SIZE + 1];
    note_key_id(name, algorithm, key, id);
    hex_encode(bytes_of(id, sizeof(id)), hex);
    tagged[0] = algorithm;
    memcpy(&tagged[1], key->b, PUBLIC_KEY_SIZE);
    buf_append_bytes(out, name);
    buf_printf(out, "+%s+", hex);
    base64_append(out, bytes_of(tagged, sizeof(tagged)));
}

/* Takes what stands before the next `separator`, and that; false when there is none. */
static bool take_until(struct bytes *text, char separator, struct bytes *out)
{
    const uint8_t *p = text->n == 0 ? NULL : memchr(text->p, separator, text->n);
    if (p == NULL)
        return false;
    *out = bytes_of(text->p, (size_t)(p - text->p));
    *text = bytes_of(p + 1, text->n - out->n - 1);
    return true;
}

bool note_take_line(struct bytes *text, struct bytes *line)
{
    return take_until(text, '\n', line);
}

int note_read_path(struct bytes *text, struct merkle_path *out)
{
    out->n = 0;
    for (;;) {
        struct bytes line;
        if (!note_take_line(text, &line))
            return SEALMQ_E_PARSE;
        if (line.n == 0)
            return 0;
        if (out->n == MERKLE_PATH_MAX)
            return SEALMQ_E_LIMIT;
        int error = base64_decode_exact(line, out->hashes[out->n].b, HASH_SIZE);
        if (error != 0)
            return error;
        out->n++;
    }
}

void note_append_path(const struct merkle_path *path, struct buf *out)
{
    for (size_t i = 0; i < path->n; i++) {
        base64_append(out, hash_bytes(&path->hashes[i]));
        buf_append_u8(out, '\n');
    }
    buf_append_u8(out, '\n');
}

int note_vkey_parse(struct bytes vkey, struct note_key *out)
{
    struct bytes name, hex, rest = vkey; /* base64 may have a plus of its own */
    uint8_t id[KEY_ID_SIZE], tagged[1 + PUBLIC_KEY_SIZE];
    struct public_key key;
    if (!take_until(&rest, '+', &name) || !take_until(&rest, '+', &hex) ||
        !note_key_name_is_valid(name) || hex_decode(hex, id, sizeof(id)) != 0)
        return SEALMQ_E_PARSE;
    if (name.n >= sizeof(out->name))
        return SEALMQ_E_LIMIT;
    if (base64_decode_exact(rest, tagged, sizeof(tagged)) != 0) {
        /* Either no base64, or another algorithm's key. The first four digits tell which. */
        uint8_t start[3];
        bool other = rest.n > 4 && base64_decode_exact(bytes_of(rest.p, 4), start, 3) == 0 &&
                     start[0] != NOTE_ED25519 && start[0] != NOTE_COSIGNATURE;
        return other ? SEALMQ_E_UNSUPPORTED : SEALMQ_E_PARSE;
    }
    if (tagged[0] != NOTE_ED25519 && tagged[0] != NOTE_COSIGNATURE)
        return SEALMQ_E_UNSUPPORTED;
    memcpy(key.b, &tagged[1], PUBLIC_KEY_SIZE);
    note_key_init(out, name, tagged[0], &key);
    return memcmp(out->id, id, KEY_ID_SIZE) == 0 ? 0 : SEALMQ_E_HASH;
}

/* The size that base64 of `text` decodes to, if it is base64. */
static size_t base64_size(struct bytes text)
{
    size_t padding = 0;
    while (padding < 2 && padding < text.n && text.p[text.n - 1 - padding] == '=')
        padding++;
    return text.n / 4 * 3 >= padding ? text.n / 4 * 3 - padding : 0;
}

/* Whether it is base64, of whatever length; it is decoded piece by piece for that. The front of
 * what it decodes to is left in `front`. */
static bool check_long_base64(struct bytes text, uint8_t front[KEY_ID_SIZE])
{
    enum { DIGITS = 64, SIZE = DIGITS / 4 * 3 };
    uint8_t piece[SIZE];
    for (bool at_front = true; text.n > DIGITS; at_front = false) {
        if (base64_decode_exact(bytes_of(text.p, DIGITS), piece, SIZE) != 0)
            return false;
        if (at_front)
            memcpy(front, piece, KEY_ID_SIZE);
        text = bytes_of(text.p + DIGITS, text.n - DIGITS);
    }
    return base64_decode_exact(text, piece, base64_size(text)) == 0;
}

bool note_lines_next(struct bytes *signatures, struct note_line *out, uint8_t scratch[128])
{
    enum { SCRATCH = 128 };
    struct bytes rest = *signatures, line, name;
    *out = (struct note_line){0};
    if (!take_until(&rest, '\n', &line) || !bytes_starts_with(line, NOTE_LINE_START))
        return false;
    line = bytes_of(line.p + NOTE_LINE_START.n, line.n - NOTE_LINE_START.n);
    if (!take_until(&line, ' ', &name) || !note_key_name_is_valid(name))
        return false;
    size_t size = base64_size(line);
    if (size <= KEY_ID_SIZE)
        return false;
    if (size <= SCRATCH) {
        if (base64_decode_exact(line, scratch, size) != 0)
            return false;
        memcpy(out->key_id, scratch, KEY_ID_SIZE);
        out->signature = bytes_of(scratch + KEY_ID_SIZE, size - KEY_ID_SIZE);
    } else if (!check_long_base64(line, out->key_id)) {
        return false;
    }
    out->name = name;
    *signatures = rest;
    return true;
}

bool note_line_is_by(const struct note_line *line, const struct note_key *key)
{
    return memcmp(line->key_id, key->id, KEY_ID_SIZE) == 0 &&
           bytes_equal(line->name, bytes_str(key->name));
}

/* What a cosigner signs, in place of the text alone. */
static void append_cosigned(struct buf *out, uint64_t time_s, struct bytes text)
{
    buf_printf(out, "cosignature/v1\ntime %llu\n", (unsigned long long)time_s);
    buf_append_bytes(out, text);
}

int note_line_verify(const struct note_line *line, const struct note_key *key, struct bytes text,
                     uint64_t *time_s)
{
    struct signature signature;
    *time_s = 0;
    if (key->algorithm == NOTE_ED25519) {
        if (line->signature.n != SIGNATURE_SIZE)
            return SEALMQ_E_SIGNATURE;
        memcpy(signature.b, line->signature.p, SIGNATURE_SIZE);
        return sign_verify_raw(&key->key, text, &signature);
    }
    if (line->signature.n != COSIGNATURE_SIZE)
        return SEALMQ_E_SIGNATURE;
    struct reader r = reader_of(line->signature);
    uint64_t time = reader_u64(&r);
    reader_copy(&r, signature.b, SIGNATURE_SIZE);
    if (time > INT64_MAX)
        return SEALMQ_E_SIGNATURE;
    struct buf message = {0};
    append_cosigned(&message, time, text);
    int error = buf_status(&message);
    if (error == 0)
        error = sign_verify_raw(&key->key, buf_bytes(&message), &signature);
    buf_close(&message);
    if (error == 0)
        *time_s = time;
    return error;
}

void note_line_sign(const struct note_key *key, const struct sign_key *secret, struct bytes text,
                    uint64_t time_s, struct buf *lines)
{
    ASSERT(memcmp(key->key.b, secret->public_key.b, PUBLIC_KEY_SIZE) == 0);
    ASSERT(time_s <= INT64_MAX);
    struct buf message = {0}, tagged = {0};
    struct signature signature;
    buf_append(&tagged, key->id, KEY_ID_SIZE);
    if (key->algorithm == NOTE_COSIGNATURE) {
        append_cosigned(&message, time_s, text);
        buf_append_u64(&tagged, time_s);
    } else {
        buf_append_bytes(&message, text);
    }
    int error = buf_status(&message);
    if (error == 0) {
        sign_raw(secret, buf_bytes(&message), &signature);
        buf_append(&tagged, signature.b, SIGNATURE_SIZE);
        error = buf_status(&tagged);
    }
    if (error == 0) {
        buf_append_bytes(lines, NOTE_LINE_START);
        buf_append_cstr(lines, key->name);
        buf_append_u8(lines, ' ');
        base64_append(lines, buf_bytes(&tagged));
        buf_append_u8(lines, '\n');
    } else if (lines->failed == 0) {
        lines->failed = error;
    }
    buf_close(&message);
    buf_close(&tagged);
}
