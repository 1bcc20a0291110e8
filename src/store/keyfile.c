/* Key files: three lines, read strictly, because a key that is almost right is wrong. */
#include "store/keyfile.h"

#include "base/id.h"
#include "base/text.h"
#include "crypto/seal.h"
#include "store/file.h"
#include "store/store_int.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEYFILE_BYTES_MAX 512
#define KEY_BYTES         32
_Static_assert(SEED_SIZE == KEY_BYTES && PUBLIC_KEY_SIZE == KEY_BYTES, "both are written alike");

/* What differs between the two kinds of files. */
struct form {
    const char *title, *field, *called;
};
static const struct form secret_form = {"sealmq-secret-key-1", "seed: ", "secret key"};
static const struct form public_form = {"sealmq-public-key-1", "key: ", "public key"};

/* Takes the next line off the front of `text`, without its end. */
static struct bytes take_line(struct bytes *text)
{
    const uint8_t *end = text->n == 0 ? NULL : memchr(text->p, '\n', text->n);
    struct bytes line = {text->p, end == NULL ? text->n : (size_t)(end - text->p)};
    size_t used = line.n + (end != NULL);
    text->p += used;
    text->n -= used;
    if (line.n > 0 && line.p[line.n - 1] == '\r')
        line.n--;
    return line;
}

/* The line's rest after `name`. */
static int take_field(struct bytes *text, const char *name, struct bytes *value)
{
    struct bytes line = take_line(text), prefix = bytes_str(name);
    if (!bytes_starts_with(line, prefix))
        return SEALMQ_E_PARSE;
    *value = bytes_of(line.p + prefix.n, line.n - prefix.n);
    return 0;
}

static int parse(struct bytes text, const struct form *form, const char *path, char *id,
                 uint8_t *key, char *why, size_t why_size)
{
    struct bytes value;
    if (!bytes_equal(take_line(&text), bytes_str(form->title))) {
        store_why(why, why_size, "%s is not a %s file: its first line is not \"%s\"", path,
                  form->called, form->title);
        return SEALMQ_E_PARSE;
    }
    if (take_field(&text, "id: ", &value) != 0 || !id_is_valid(value) ||
        bytes_to_cstr(value, id, ID_MAX + 1) != 0) {
        store_why(why, why_size, "%s:2: must be \"id: \" and an id such as plant-a/gw1", path);
        return SEALMQ_E_PARSE;
    }
    if (take_field(&text, form->field, &value) != 0 ||
        base64_decode_exact(value, key, KEY_BYTES) != 0 || text.n != 0) {
        store_why(why, why_size, "%s:3: must be \"%s\" and %d bytes in base64, and the last line",
                  path, form->field, KEY_BYTES);
        return SEALMQ_E_PARSE;
    }
    return 0;
}

/* Reads and parses an open file; whatever was read is wiped. */
static int read_form(int fd, const char *path, const struct form *form, char *id, uint8_t *key,
                     char *why, size_t why_size)
{
    struct buf text = {0};
    int error = store_read_open(fd, path, KEYFILE_BYTES_MAX, &text, why, why_size);
    if (error == 0)
        error = parse(buf_bytes(&text), form, path, id, key, why, why_size);
    else if (error == SEALMQ_E_LIMIT)
        error = SEALMQ_E_PARSE;
    buf_wipe(&text);
    return error;
}

static int open_file(const char *path, int *out, char *why, size_t why_size)
{
    *out = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (*out >= 0)
        return 0;
    int number = errno;
    store_why(why, why_size, "%s: cannot be read: %s", path, strerror(number));
    return store_errno_error(number);
}

/* The mode is asked of the open file: the path could be another's a moment later. */
static int check_private(int fd, const char *path, char *why, size_t why_size)
{
    struct stat status;
    if (fstat(fd, &status) != 0) {
        store_why(why, why_size, "%s: cannot be read: %s", path, strerror(errno));
        return SEALMQ_E_IO;
    }
    if ((status.st_mode & 077) == 0)
        return 0;
    store_why(why, why_size,
              "%s: others than its owner may use this secret key (mode %03o): chmod 600 %s", path,
              (unsigned)status.st_mode & 0777, path);
    return SEALMQ_E_DENIED;
}

int keyfile_read(const char *path, char id[ID_MAX + 1], struct sign_key *out, char *why,
                 size_t why_size)
{
    int fd;
    uint8_t seed[SEED_SIZE];
    int error = open_file(path, &fd, why, why_size);
    if (error != 0)
        return error;
    error = check_private(fd, path, why, why_size);
    if (error == 0)
        error = read_form(fd, path, &secret_form, id, seed, why, why_size);
    if (error == 0)
        sign_key_from_seed(seed, out);
    secret_wipe(seed, sizeof(seed));
    close(fd);
    return error;
}

int keyfile_read_public(const char *path, char id[ID_MAX + 1], struct public_key *out, char *why,
                        size_t why_size)
{
    int fd;
    int error = open_file(path, &fd, why, why_size);
    if (error != 0)
        return error;
    error = read_form(fd, path, &public_form, id, out->b, why, why_size);
    close(fd);
    return error;
}

static int write_form(const char *path, const struct form *form, const char *id, const uint8_t *key,
                      unsigned mode, char *why, size_t why_size)
{
    if (!id_is_valid(bytes_str(id))) {
        store_why(why, why_size, "\"%s\" is not an id: two words with a slash between", id);
        return SEALMQ_E_ARG;
    }
    struct buf text = {0};
    if (buf_extend(&text, KEYFILE_BYTES_MAX) != NULL)
        buf_reset(&text); /* room at once: a buffer that grows leaves copies behind */
    buf_printf(&text, "%s\nid: %s\n%s", form->title, id, form->field);
    base64_append(&text, bytes_of(key, KEY_BYTES));
    buf_append_u8(&text, '\n');
    int error = buf_status(&text);
    if (error == 0)
        error = file_write(path, buf_bytes(&text), mode, true, why, why_size);
    else
        store_why(why, why_size, "%s: %s", path, sealmq_error_text(error));
    buf_wipe(&text);
    return error;
}

int keyfile_write(const char *path, const char *id, const uint8_t seed[SEED_SIZE], char *why,
                  size_t why_size)
{
    return write_form(path, &secret_form, id, seed, 0600, why, why_size);
}

int keyfile_write_public(const char *path, const char *id, const struct public_key *key, char *why,
                         size_t why_size)
{
    return write_form(path, &public_form, id, key->b, 0644, why, why_size);
}
