/* The conversation of SCRAM-SHA-256: RFC 5802 sections 5 to 7, strictly by their grammar. */
#include "crypto/scram_int.h"

#include "base/text.h"
#include "crypto/seal.h"
#include "crypto/sign.h"

#include <stdlib.h>

struct scram {
    struct scram_verifier verifier;
    bool is_known, is_finished;
    size_t header_n, nonce_n, text_n;
    uint8_t text[]; /* the header, both nonces, then client-first-bare "," server-first "," */
};

static struct bytes header_of(const struct scram *scram)
{
    return bytes_of(scram->text, scram->header_n);
}

static struct bytes nonce_of(const struct scram *scram)
{
    return bytes_of(scram->text + scram->header_n, scram->nonce_n);
}

/* What both sides sign begins with this. */
static struct bytes signed_of(const struct scram *scram)
{
    size_t before = scram->header_n + scram->nonce_n;
    return bytes_of(scram->text + before, scram->text_n - before);
}

/* --- the grammar --------------------------------------------------------------------------- */

/* The next attribute, "x=value" with its comma behind it, or the last one; false when there is none
 * or it is none. A value is not empty and has no comma. */
static bool take_attribute(struct bytes *rest, char *name, struct bytes *value)
{
    const uint8_t *comma = rest->n == 0 ? NULL : memchr(rest->p, ',', rest->n);
    size_t n = comma == NULL ? rest->n : (size_t)(comma - rest->p);
    if (n < 3 || rest->p[1] != '=' || (comma != NULL && n + 1 == rest->n))
        return false;
    uint8_t letter = rest->p[0];
    if (!((letter >= 'a' && letter <= 'z') || (letter >= 'A' && letter <= 'Z')))
        return false;
    *name = (char)letter;
    *value = bytes_of(rest->p + 2, n - 2);
    *rest = comma == NULL ? (struct bytes){0} : bytes_of(comma + 1, rest->n - n - 1);
    return true;
}

static bool is_nonce(struct bytes text)
{
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < 0x21 || text.p[i] > 0x7e || text.p[i] == ',')
            return false;
    }
    return text.n != 0;
}

/* A name as it stands in a message: a comma is =2C, an equals sign =3D. */
static int decode_name(struct bytes text, char out[SCRAM_NAME_MAX + 1])
{
    size_t n = 0;
    for (size_t i = 0; i < text.n; i++) {
        struct bytes rest = bytes_of(text.p + i, text.n - i);
        uint8_t c = text.p[i];
        if (n == SCRAM_NAME_MAX)
            return SEALMQ_E_PARSE;
        if (c == '=') {
            if (bytes_starts_with(rest, BYTES_LIT("=2C")))
                c = ',';
            else if (!bytes_starts_with(rest, BYTES_LIT("=3D")))
                return SEALMQ_E_PARSE;
            i += 2;
        }
        out[n++] = (char)c;
    }
    out[n] = '\0';
    return n != 0 ? 0 : SEALMQ_E_PARSE;
}

/* gs2-header: the flag of channel binding, and whom the client wants to act as. */
static int take_header(struct bytes message, struct scram_client_first *out, struct bytes *acts_as)
{
    *acts_as = (struct bytes){0};
    if (message.n < 3)
        return SEALMQ_E_PARSE;
    if (message.p[0] == 'p' && message.p[1] == '=')
        return SEALMQ_E_UNSUPPORTED;
    if ((message.p[0] != 'n' && message.p[0] != 'y') || message.p[1] != ',')
        return SEALMQ_E_PARSE;
    const uint8_t *comma = memchr(message.p + 2, ',', message.n - 2);
    if (comma == NULL)
        return SEALMQ_E_PARSE;
    struct bytes part = bytes_of(message.p + 2, (size_t)(comma - message.p) - 2);
    if (part.n != 0) {
        if (part.n < 3 || !bytes_starts_with(part, BYTES_LIT("a=")))
            return SEALMQ_E_PARSE;
        *acts_as = bytes_of(part.p + 2, part.n - 2);
    }
    out->header = bytes_of(message.p, part.n + 3);
    out->bare = bytes_of(comma + 1, message.n - out->header.n);
    return 0;
}

/* Extensions that need not be known are passed over. */
static int pass_extensions(struct bytes rest)
{
    char name;
    struct bytes value;
    while (rest.n != 0) {
        if (!take_attribute(&rest, &name, &value))
            return SEALMQ_E_PARSE;
        if (name == 'm')
            return SEALMQ_E_UNSUPPORTED;
    }
    return 0;
}

int scram_client_first_parse(struct bytes message, struct scram_client_first *out)
{
    char letter, other[SCRAM_NAME_MAX + 1];
    struct bytes acts_as, rest, value;
    *out = (struct scram_client_first){0};
    if (message.n == 0 || message.n > SCRAM_MESSAGE_MAX || !utf8_is_valid(message) ||
        memchr(message.p, '\0', message.n) != NULL)
        return SEALMQ_E_PARSE;
    int e = take_header(message, out, &acts_as);
    if (e != 0)
        return e;
    rest = out->bare;
    if (!take_attribute(&rest, &letter, &value))
        return SEALMQ_E_PARSE;
    if (letter == 'm')
        return SEALMQ_E_UNSUPPORTED;
    if (letter != 'n' || decode_name(value, out->name) != 0 || rest.n == 0 ||
        !take_attribute(&rest, &letter, &out->nonce) || letter != 'r' || !is_nonce(out->nonce) ||
        out->nonce.n > SCRAM_NONCE_MAX)
        return SEALMQ_E_PARSE;
    e = pass_extensions(rest);
    if (e != 0 || acts_as.n == 0)
        return e;
    if (decode_name(acts_as, other) != 0)
        return SEALMQ_E_PARSE;
    return strcmp(other, out->name) == 0 ? 0 : SEALMQ_E_DENIED;
}

struct client_final {
    struct bytes binding, nonce, without_proof;
    struct hash proof;
};

/* c=..., r=..., then extensions, and p=... at the end. */
static int parse_client_final(struct bytes message, struct client_final *out)
{
    char letter;
    struct bytes rest = message, value;
    if (message.n == 0 || message.n > SCRAM_MESSAGE_MAX || !utf8_is_valid(message) ||
        memchr(message.p, '\0', message.n) != NULL)
        return SEALMQ_E_PARSE;
    if (!take_attribute(&rest, &letter, &out->binding) || letter != 'c' ||
        !take_attribute(&rest, &letter, &out->nonce) || letter != 'r')
        return SEALMQ_E_PARSE;
    do {
        out->without_proof = bytes_of(message.p, message.n - rest.n);
        if (!take_attribute(&rest, &letter, &value) || (letter == 'p') != (rest.n == 0) ||
            letter == 'm')
            return SEALMQ_E_PARSE;
    } while (letter != 'p');
    out->without_proof.n--; /* not the comma */
    return base64_decode_exact(value, out->proof.b, HASH_SIZE);
}

/* --- the conversation ---------------------------------------------------------------------- */

int scram_new(const struct scram_client_first *first, const struct scram_verifier *verifier,
              bool is_known, struct bytes nonce, struct scram **out, struct buf *server_first)
{
    struct buf both = {0}, text = {0}, answer = {0};
    *out = NULL;
    if (!is_nonce(nonce))
        return SEALMQ_E_ARG;
    buf_append_bytes(&both, first->nonce);
    buf_append_bytes(&both, nonce);
    buf_append_cstr(&answer, "r=");
    buf_append_bytes(&answer, buf_bytes(&both));
    buf_append_cstr(&answer, ",s=");
    base64_append(&answer, bytes_of(verifier->salt, verifier->salt_n));
    buf_printf(&answer, ",i=%u", verifier->iterations);
    buf_append_bytes(&text, first->header);
    buf_append_bytes(&text, buf_bytes(&both));
    buf_append_bytes(&text, first->bare);
    buf_append_u8(&text, ',');
    buf_append_bytes(&text, buf_bytes(&answer));
    buf_append_u8(&text, ',');
    bool is_whole = buf_status(&both) == 0 && buf_status(&answer) == 0 && buf_status(&text) == 0;
    struct scram *scram = is_whole ? malloc(sizeof *scram + text.n) : NULL;
    if (scram != NULL) {
        *scram = (struct scram){.verifier = *verifier,
                                .is_known = is_known,
                                .header_n = first->header.n,
                                .nonce_n = both.n,
                                .text_n = text.n};
        memcpy(scram->text, text.p, text.n);
        buf_append_bytes(server_first, buf_bytes(&answer));
    }
    buf_close(&both);
    buf_close(&text);
    buf_close(&answer);
    *out = scram;
    return scram == NULL ? SEALMQ_E_NOMEM : buf_status(server_first);
}

/* Whether the client has repeated its own header: somebody on the way may have changed the first
 * message, to make both sides do without channel binding. */
static int check_binding(const struct scram *scram, struct bytes binding)
{
    struct buf header = {.limit = SCRAM_MESSAGE_MAX};
    int e = base64_decode(binding, &header);
    if (e == 0 && !bytes_equal(buf_bytes(&header), header_of(scram)))
        e = SEALMQ_E_PARSE;
    buf_close(&header);
    return e;
}

/* ClientKey is the proof and the client's signature, and its hash is the StoredKey. */
static bool is_proved(const struct scram *scram, const struct client_final *final)
{
    struct hash key, stored_key;
    scram_hmac(hash_bytes(&scram->verifier.stored_key), signed_of(scram), final->without_proof,
               &key);
    for (size_t i = 0; i < HASH_SIZE; i++)
        key.b[i] ^= final->proof.b[i];
    hash_sha256(hash_bytes(&key), &stored_key);
    bool is_equal = secret_equal(hash_bytes(&stored_key), hash_bytes(&scram->verifier.stored_key));
    secret_wipe(&key, sizeof key);
    return is_equal && scram->is_known;
}

int scram_finish(struct scram *scram, struct bytes client_final, struct buf *server_final)
{
    struct client_final final;
    struct hash signature;
    if (scram->is_finished)
        return SEALMQ_E_EXISTS;
    scram->is_finished = true;
    int e = parse_client_final(client_final, &final);
    if (e == 0)
        e = check_binding(scram, final.binding);
    if (e == 0 && !bytes_equal(final.nonce, nonce_of(scram)))
        e = SEALMQ_E_PARSE;
    if (e == 0 && !is_proved(scram, &final))
        e = SEALMQ_E_DENIED;
    if (e != 0)
        return e;
    scram_hmac(hash_bytes(&scram->verifier.server_key), signed_of(scram), final.without_proof,
               &signature);
    buf_append_cstr(server_final, "v=");
    base64_append(server_final, hash_bytes(&signature));
    return buf_status(server_final);
}

void scram_free(struct scram *scram)
{
    if (scram == NULL)
        return;
    secret_wipe(&scram->verifier, sizeof scram->verifier);
    free(scram);
}
