/* The table of users: read once, then only looked at. */
#include "net/passwords.h"

#include "base/text.h"
#include "crypto/hash.h"
#include "crypto/password.h"
#include "crypto/random.h"
#include "crypto/seal.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#define HASH_PREFIX "$argon2id$"

struct passwords_user {
    UT_hash_handle hh;
    unsigned line;
    const char *hash; /* behind the name */
    size_t name_size;
    uint8_t name[]; /* name_size bytes */
};

/* Users by number, in the order of their lines. */
struct passwords_row {
    const struct passwords_user **users;
    size_t count, capacity;
};

struct passwords {
    atomic_uint references;
    struct passwords_user *users;
    struct passwords_row all, with_scram;
    bool has_secret;
    uint8_t secret[SCRAM_SECRET_SIZE]; /* when has_secret; else the process's */
};

/* For files without a secret: what it decides changes with a restart, and nothing else. */
static uint8_t process_secret[SCRAM_SECRET_SIZE];

static void make_process_secret(void)
{
    random_bytes(process_secret, sizeof process_secret);
}

static const uint8_t *secret_of(const struct passwords *passwords)
{
    static uv_once_t once = UV_ONCE_INIT;
    if (passwords->has_secret)
        return passwords->secret;
    uv_once(&once, make_process_secret);
    return process_secret;
}

bool passwords_name_is_valid(struct bytes name)
{
    if (name.n == 0 || name.n > PASSWORDS_NAME_MAX || name.p[0] == '#' || !utf8_is_valid(name))
        return false;
    for (size_t i = 0; i < name.n; i++) {
        if (name.p[i] < ' ' || name.p[i] == 0x7f || name.p[i] == ':')
            return false;
    }
    return true;
}

static struct passwords_user *user_find(const struct passwords *passwords, struct bytes name)
{
    struct passwords_user *user = NULL;
    if (name.n > 0 && name.n <= PASSWORDS_NAME_MAX)
        HASH_FIND(hh, passwords->users, name.p, (unsigned)name.n, user);
    return user;
}

/* The shape of a hash. That the numbers of Argon2id's are sound shows when it is used. */
static bool hash_is_plausible(struct bytes hash, bool *is_scram)
{
    struct scram_verifier verifier;
    *is_scram = scram_verifier_parse(hash, &verifier) == 0;
    if (*is_scram)
        return true;
    if (hash.n >= PASSWORD_HASH_MAX || !bytes_starts_with(hash, BYTES_LIT(HASH_PREFIX)))
        return false;
    unsigned parts = 0;
    for (size_t i = 0; i < hash.n; i++) {
        uint8_t c = hash.p[i];
        bool is_base64 = (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') ||
                         (c >= 'A' && c <= 'Z') || c == '+' || c == '/';
        if (c == '$')
            parts++;
        else if (!is_base64 && c != '=' && c != ',')
            return false;
    }
    return parts == 5; /* $argon2id$v=..$m=..,t=..,p=..$salt$hash */
}

static bool row_reserve(struct passwords_row *row)
{
    if (row->count < row->capacity)
        return true;
    size_t capacity = row->capacity == 0 ? 16 : row->capacity * 2;
    const struct passwords_user **users = reallocarray(row->users, capacity, sizeof *row->users);
    if (users == NULL)
        return false;
    row->users = users;
    row->capacity = capacity;
    return true;
}

static int add_user(struct passwords *passwords, struct bytes name, struct bytes hash,
                    bool is_scram, unsigned line)
{
    struct passwords_user *user = calloc(1, sizeof(*user) + name.n + hash.n + 1);
    if (user == NULL || !row_reserve(&passwords->all) || !row_reserve(&passwords->with_scram)) {
        free(user);
        return SEALMQ_E_NOMEM;
    }
    user->line = line;
    user->name_size = name.n;
    user->hash = (const char *)user->name + name.n;
    memcpy(user->name, name.p, name.n);
    memcpy(user->name + name.n, hash.p, hash.n);
    HASH_ADD_KEYPTR(hh, passwords->users, user->name, (unsigned)name.n, user);
    if (user->hh.tbl == NULL) {
        free(user);
        return SEALMQ_E_NOMEM;
    }
    passwords->all.users[passwords->all.count++] = user;
    if (is_scram)
        passwords->with_scram.users[passwords->with_scram.count++] = user;
    return 0;
}

static int parse_line(struct passwords *passwords, struct bytes line, unsigned number,
                      const char *path, char *why, size_t why_size)
{
    const uint8_t *colon = memchr(line.p, ':', line.n);
    if (colon == NULL) {
        snprintf(why, why_size, "%s:%u: no colon; a line is name:hash, see `sealmq passwd`", path,
                 number);
        return SEALMQ_E_CONFIG;
    }
    struct bytes name = bytes_of(line.p, (size_t)(colon - line.p));
    struct bytes hash = bytes_of(colon + 1, line.n - name.n - 1);
    if (!passwords_name_is_valid(name)) {
        snprintf(why, why_size, "%s:%u: not a user name: 1 to 255 bytes of UTF-8 without colons",
                 path, number);
        return SEALMQ_E_CONFIG;
    }
    bool is_scram;
    if (!hash_is_plausible(hash, &is_scram)) {
        snprintf(why, why_size,
                 "%s:%u: what follows the colon is no Argon2id hash and nothing for SCRAM-SHA-256; "
                 "make it with `sealmq passwd`",
                 path, number);
        return SEALMQ_E_CONFIG;
    }
    struct passwords_user *user = user_find(passwords, name);
    if (user != NULL) {
        snprintf(why, why_size, "%s:%u: this user stands in line %u already; remove one of them",
                 path, number, user->line);
        return SEALMQ_E_CONFIG;
    }
    if (HASH_COUNT(passwords->users) >= PASSWORDS_USERS_MAX) {
        snprintf(why, why_size, "%s:%u: more than %d users", path, number, PASSWORDS_USERS_MAX);
        return SEALMQ_E_CONFIG;
    }
    return add_user(passwords, name, hash, is_scram, number);
}

/* "#decoy-secret <base64>"; other comments mean nothing. */
static int parse_comment(struct passwords *passwords, struct bytes line, unsigned number,
                         const char *path, char *why, size_t why_size)
{
    const struct bytes prefix = BYTES_LIT(PASSWORDS_SECRET_PREFIX);
    if (!bytes_starts_with(line, prefix))
        return 0;
    if (passwords->has_secret ||
        base64_decode_exact(bytes_of(line.p + prefix.n, line.n - prefix.n), passwords->secret,
                            sizeof passwords->secret) != 0) {
        snprintf(why, why_size,
                 "%s:%u: not a secret, or the second one; remove the line: `sealmq passwd --scram` "
                 "makes another",
                 path, number);
        return SEALMQ_E_CONFIG;
    }
    passwords->has_secret = true;
    return 0;
}

int passwords_parse(struct bytes text, const char *path, struct passwords **out, char *why,
                    size_t why_size)
{
    *out = NULL;
    if (why_size > 0)
        why[0] = '\0';
    struct passwords *passwords = calloc(1, sizeof(*passwords));
    if (passwords == NULL)
        return SEALMQ_E_NOMEM;
    atomic_init(&passwords->references, 1);
    unsigned number = 0;
    while (text.n > 0) {
        const uint8_t *end = memchr(text.p, '\n', text.n);
        struct bytes line = bytes_of(text.p, end != NULL ? (size_t)(end - text.p) : text.n);
        size_t taken = line.n + (end != NULL);
        text = bytes_of(text.p + taken, text.n - taken);
        number++;
        if (line.n > 0 && line.p[line.n - 1] == '\r')
            line.n--;
        if (line.n == 0)
            continue;
        int e = (line.p[0] == '#' ? parse_comment : parse_line)(passwords, line, number, path, why,
                                                                why_size);
        if (e != 0) {
            passwords_unref(passwords);
            return e;
        }
    }
    *out = passwords;
    return 0;
}

struct passwords *passwords_ref(struct passwords *passwords)
{
    if (passwords != NULL)
        atomic_fetch_add(&passwords->references, 1);
    return passwords;
}

void passwords_unref(struct passwords *passwords)
{
    if (passwords == NULL || atomic_fetch_sub(&passwords->references, 1) != 1)
        return;
    while (passwords->users != NULL) {
        struct passwords_user *user = passwords->users;
        HASH_DEL(passwords->users, user);
        free(user);
    }
    free(passwords->all.users);
    free(passwords->with_scram.users);
    secret_wipe(passwords->secret, sizeof passwords->secret);
    free(passwords);
}

size_t passwords_count(const struct passwords *passwords)
{
    return HASH_COUNT(passwords->users);
}

const char *passwords_find(const struct passwords *passwords, struct bytes name)
{
    struct passwords_user *user = user_find(passwords, name);
    return user != NULL ? user->hash : NULL;
}

/* One of them, the same for a name as long as the file stays the same. */
static const char *pick(const struct passwords *passwords, const struct passwords_row *row,
                        struct bytes name)
{
    struct hasher hasher;
    struct hash hash;
    uint64_t number;
    if (row->count == 0)
        return NULL;
    hasher_init(&hasher);
    hasher_update(&hasher, bytes_of(secret_of(passwords), SCRAM_SECRET_SIZE));
    hasher_update(&hasher, name);
    hasher_final(&hasher, &hash);
    memcpy(&number, hash.b, sizeof number);
    return row->users[number % row->count]->hash;
}

const char *passwords_decoy(const struct passwords *passwords, struct bytes name)
{
    return pick(passwords, &passwords->all, name);
}

bool passwords_has_scram(const struct passwords *passwords)
{
    return passwords->with_scram.count != 0;
}

bool passwords_has_secret(const struct passwords *passwords)
{
    return passwords->has_secret;
}

int passwords_scram(const struct passwords *passwords, struct bytes name,
                    struct scram_verifier *out, bool *is_known)
{
    struct scram_verifier like, real;
    const char *text = pick(passwords, &passwords->with_scram, name);
    const char *hash = passwords_find(passwords, name);
    *is_known = false;
    if (text == NULL || scram_verifier_parse(bytes_str(text), &like) != 0)
        return SEALMQ_E_NOTFOUND;
    /* In any case, so that the time does not tell. */
    scram_verifier_decoy(&like, secret_of(passwords), name, out);
    *is_known =
        scram_verifier_parse(bytes_str(hash != NULL ? hash : text), &real) == 0 && hash != NULL;
    if (*is_known)
        *out = real;
    secret_wipe(&real, sizeof real);
    return 0;
}
