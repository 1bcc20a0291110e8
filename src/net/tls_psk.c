/* Pre-shared keys: lines "identity:key in hexadecimal digits", as Mosquitto has them. */
#include "net/tls_int.h"

#include "base/log.h"
#include "base/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <uthash.h>

#define PSK_FILE_MAX        (16 * 1024 * 1024)
#define PSK_BYTES_ADVISABLE 16 /* fewer can be tried out */

struct tls_psk {
    UT_hash_handle hh;
    size_t key_size;
    uint8_t key[TLS_PSK_MAX];
    size_t identity_size;
    char identity[];
};

struct tls_psks {
    struct tls_psk *table;
};

void tls_psks_free(struct tls_psks *psks)
{
    struct tls_psk *psk, *next;
    if (psks == NULL)
        return;
    HASH_ITER (hh, psks->table, psk, next) {
        HASH_DEL(psks->table, psk);
        explicit_bzero(psk->key, sizeof(psk->key));
        free(psk);
    }
    free(psks);
}

struct bytes tls_psks_find(const struct tls_psks *psks, struct bytes identity)
{
    struct tls_psk *psk;
    HASH_FIND(hh, psks->table, identity.p, identity.n, psk);
    return psk != NULL ? bytes_of(psk->key, psk->key_size) : (struct bytes){0};
}

static bool identity_is_valid(struct bytes identity)
{
    if (identity.n == 0 || identity.n > NET_IDENTITY_MAX || !utf8_is_valid(identity))
        return false;
    for (size_t i = 0; i < identity.n; i++) {
        if (identity.p[i] < ' ' || identity.p[i] == 0x7f)
            return false;
    }
    return true;
}

/* Words about what is wrong with the line, or NULL. */
static const char *add_line(struct tls_psks *psks, const char *path, unsigned number,
                            struct bytes line)
{
    const uint8_t *colon = memchr(line.p, ':', line.n);
    if (colon == NULL)
        return "no ':' between identity and key";
    struct bytes identity = bytes_of(line.p, (size_t)(colon - line.p));
    struct bytes key = bytes_of(colon + 1, line.n - identity.n - 1);
    if (!identity_is_valid(identity))
        return "the identity is empty, too long or not printable";
    if (key.n == 0 || key.n % 2 != 0 || key.n / 2 > TLS_PSK_MAX)
        return "the key must be 2 to 128 hexadecimal digits, an even number";
    if (tls_psks_find(psks, identity).n != 0)
        return "this identity has a key already";
    struct tls_psk *psk = calloc(1, sizeof(*psk) + identity.n);
    if (psk == NULL)
        return "out of memory";
    psk->key_size = key.n / 2;
    psk->identity_size = identity.n;
    memcpy(psk->identity, identity.p, identity.n);
    if (hex_decode(key, psk->key, psk->key_size) != 0) {
        free(psk);
        return "the key has other than hexadecimal digits";
    }
    if (psk->key_size < PSK_BYTES_ADVISABLE)
        log_warn("tls", "%s:%u: a key of fewer than %d bytes can be guessed", path, number,
                 PSK_BYTES_ADVISABLE);
    HASH_ADD_KEYPTR(hh, psks->table, psk->identity, psk->identity_size, psk);
    return NULL;
}

static int parse(struct tls_psks *psks, const char *path, FILE *file, char *why, size_t why_size)
{
    char *text = NULL;
    size_t capacity = 0;
    ssize_t n;
    const char *wrong = NULL;
    unsigned number = 0;
    size_t total = 0;
    while (wrong == NULL && (n = getline(&text, &capacity, file)) >= 0) {
        number++;
        total += (size_t)n;
        while (n > 0 && (text[n - 1] == '\n' || text[n - 1] == '\r'))
            n--;
        if (total > PSK_FILE_MAX)
            wrong = "the file is too large";
        else if (n > 0 && text[0] != '#')
            wrong = add_line(psks, path, number, bytes_of(text, (size_t)n));
    }
    if (text != NULL)
        explicit_bzero(text, capacity);
    free(text);
    if (wrong == NULL)
        return 0;
    snprintf(why, why_size, "%s:%u: %s", path, number, wrong);
    return SEALMQ_E_CONFIG;
}

int tls_psks_load(const char *path, struct tls_psks **out, char *why, size_t why_size)
{
    *out = NULL;
    struct tls_psks *psks = calloc(1, sizeof(*psks));
    if (psks == NULL)
        return SEALMQ_E_NOMEM;
    FILE *file = fopen(path, "re");
    if (file == NULL) {
        snprintf(why, why_size, "%s: %s", path, strerror(errno));
        tls_psks_free(psks);
        return SEALMQ_E_IO;
    }
    int e = parse(psks, path, file, why, why_size);
    if (e == 0 && ferror(file)) {
        snprintf(why, why_size, "%s: cannot be read", path);
        e = SEALMQ_E_IO;
    }
    if (e == 0 && psks->table == NULL) {
        snprintf(why, why_size, "%s: holds no key", path);
        e = SEALMQ_E_CONFIG;
    }
    (void)fclose(file);
    if (e != 0) {
        tls_psks_free(psks);
        return e;
    }
    *out = psks;
    return 0;
}
