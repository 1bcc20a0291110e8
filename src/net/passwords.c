/* The table of users: read once, then only looked at. */
#include "net/passwords.h"

#include "base/text.h"
#include "crypto/password.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#define HASH_NONFATAL_OOM 1
#include <uthash.h>

#define HASH_PREFIX "$argon2id$"

struct passwords_user {
    UT_hash_handle hh;
    unsigned line;
    char hash[PASSWORD_HASH_MAX];
    size_t name_size;
    uint8_t name[]; /* name_size bytes */
};

struct passwords {
    atomic_uint references;
    struct passwords_user *users;
};

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

/* The shape of a hash. That its numbers are sound shows when it is used. */
static bool hash_is_plausible(struct bytes hash)
{
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
    if (!hash_is_plausible(hash)) {
        snprintf(why, why_size,
                 "%s:%u: what follows the colon is no Argon2id hash; make it with `sealmq passwd`",
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
    user = calloc(1, sizeof(*user) + name.n);
    if (user == NULL)
        return SEALMQ_E_NOMEM;
    user->line = number;
    user->name_size = name.n;
    memcpy(user->name, name.p, name.n);
    memcpy(user->hash, hash.p, hash.n);
    HASH_ADD_KEYPTR(hh, passwords->users, user->name, (unsigned)name.n, user);
    if (user->hh.tbl == NULL) {
        free(user);
        return SEALMQ_E_NOMEM;
    }
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
        if (line.n == 0 || line.p[0] == '#')
            continue;
        int e = parse_line(passwords, line, number, path, why, why_size);
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
