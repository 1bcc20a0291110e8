/* sealmq passwd: one user of a password file. The file is replaced as a whole, so that a server
 * that reads it at the same moment finds the old or the new one, and two calls at once take turns.
 */
#include "cli/cli.h"

#include "base/text.h"
#include "crypto/password.h"
#include "crypto/random.h"
#include "crypto/scram.h"
#include "net/passwords.h"
#include "store/file.h"

#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <termios.h>
#include <unistd.h>

#define ME "passwd"

#define PASSWORD_BYTES_MAX 65535 /* what MQTT can carry */

static void print_help(void)
{
    puts("usage: sealmq passwd FILE USER [-b PASSWORD] [--scram [--iterations N]] [-D]\n"
         "\n"
         "Adds a user to a password file, or changes the password. The file is made when it is\n"
         "not there. The password is asked for on a terminal, or read as the first line of\n"
         "standard input. A running server takes the change on SIGHUP.\n"
         "\n"
         "  -b, --password PASSWORD  take it from here (others may see it in the process list)\n"
         "      --scram              make a line for SCRAM-SHA-256: the user can log in without\n"
         "                           sending the password, and with it as well. The password has\n"
         "                           to be printable ASCII\n"
         "      --iterations N       what guessing costs, and what a log-in costs the client:\n"
         "                           4096 to 2000000 (default: 100000)\n"
         "  -D, --delete             remove the user; exit status 1 when there is none\n"
         "      --help               this");
}

/* The path without symbolic links, so that replacing it does not replace a link. */
static int resolve(const char *path, char out[PATH_SIZE])
{
    char *real = realpath(path, NULL);
    const char *chosen = real != NULL ? real : path;
    size_t n = strlen(chosen);
    bool fits = n < PATH_SIZE;
    if (fits)
        memcpy(out, chosen, n + 1);
    free(real);
    return fits ? 0 : SEALMQ_E_LIMIT;
}

/* Opens and locks the file that is at `path` now. It may be replaced while we wait for the lock:
 * then the lock is on a file that nobody will read again. */
static int open_locked(const char *path)
{
    for (;;) {
        struct stat opened, current;
        int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        if (fd < 0)
            return -1;
        if (flock(fd, LOCK_EX) != 0 || fstat(fd, &opened) != 0) {
            close(fd);
            return -1;
        }
        if (stat(path, &current) == 0 && opened.st_ino == current.st_ino &&
            opened.st_dev == current.st_dev)
            return fd;
        close(fd);
    }
}

static struct termios terminal_before;

/* Ctrl-C while the terminal does not echo. */
static void restore_terminal_and_end(int number)
{
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &terminal_before);
    raise(number); /* with its default action again, see SA_RESETHAND */
}

static void catch_end(void)
{
    struct sigaction action = {.sa_handler = restore_terminal_and_end,
                               .sa_flags = (int)SA_RESETHAND};
    static const int numbers[] = {SIGINT, SIGTERM, SIGHUP, SIGQUIT};
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        sigaction(numbers[i], &action, NULL);
}

static int read_hidden_line(const char *prompt, struct buf *out)
{
    struct termios quiet;
    bool is_terminal = isatty(STDIN_FILENO) && tcgetattr(STDIN_FILENO, &terminal_before) == 0;
    if (is_terminal) {
        quiet = terminal_before;
        quiet.c_lflag &= ~(tcflag_t)(ECHO);
        quiet.c_lflag |= ECHONL;
        fputs(prompt, stderr);
        fflush(stderr);
        catch_end();
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &quiet);
    }
    uint8_t byte;
    ssize_t n;
    while ((n = read(STDIN_FILENO, &byte, 1)) == 1 && byte != '\n' && out->n <= PASSWORD_BYTES_MAX)
        buf_append_u8(out, byte);
    if (is_terminal)
        tcsetattr(STDIN_FILENO, TCSAFLUSH, &terminal_before);
    return n < 0 ? SEALMQ_E_IO : buf_status(out);
}

static int ask_password(struct buf *out)
{
    int e = read_hidden_line("Password: ", out);
    if (e != 0)
        return cli_fail(ME, EX_IOERR, "cannot read the password: %s", sealmq_error_text(e));
    if (out->n == 0)
        return cli_usage(ME, "the password is empty");
    if (!isatty(STDIN_FILENO))
        return 0;
    struct buf again = {0};
    e = read_hidden_line("Again: ", &again);
    bool is_same = e == 0 && bytes_equal(buf_bytes(out), buf_bytes(&again));
    buf_wipe(&again);
    return is_same ? 0 : cli_fail(ME, EX_DATAERR, "the two passwords differ; nothing was changed");
}

/* Copies all lines but the user's. */
static bool copy_others(struct bytes text, struct bytes user, struct buf *out)
{
    bool was_there = false;
    while (text.n > 0) {
        const uint8_t *end = memchr(text.p, '\n', text.n);
        size_t size = end != NULL ? (size_t)(end - text.p) + 1 : text.n;
        struct bytes line = bytes_of(text.p, size);
        text = bytes_of(text.p + size, text.n - size);
        if (line.n > user.n && line.p[user.n] == ':' && bytes_starts_with(line, user)) {
            was_there = true;
            continue;
        }
        buf_append_bytes(out, line);
        if (end == NULL)
            buf_append_u8(out, '\n');
    }
    return was_there;
}

/* What is to be written of a user. */
struct entry {
    struct bytes user;
    struct buf password;
    bool is_scram;
    uint32_t iterations;
};

/* The line that makes users who are not there look like those who are, if the file has none yet. */
static void append_secret(struct buf *out)
{
    uint8_t secret[SCRAM_SECRET_SIZE];
    random_bytes(secret, sizeof(secret));
    buf_append_cstr(out, PASSWORDS_SECRET_PREFIX);
    base64_append(out, bytes_of(secret, sizeof(secret)));
    buf_append_u8(out, '\n');
}

static int append_scram(struct buf *out, const struct entry *entry)
{
    uint8_t salt[SCRAM_SALT_SIZE];
    struct scram_verifier verifier;
    random_bytes(salt, sizeof(salt));
    int e = scram_verifier_make(buf_bytes(&entry->password), bytes_of(salt, sizeof(salt)),
                                entry->iterations, &verifier);
    if (e == 0)
        scram_verifier_append(&verifier, out);
    return e;
}

static int append_argon2(struct buf *out, const struct entry *entry)
{
    uint8_t salt[PASSWORD_SALT_SIZE];
    char hash[PASSWORD_HASH_MAX];
    random_bytes(salt, sizeof(salt));
    int e = password_hash(buf_bytes(&entry->password), salt, hash);
    if (e == 0)
        buf_append_cstr(out, hash);
    return e;
}

static int append_user(struct buf *out, const struct entry *entry)
{
    buf_append_bytes(out, entry->user);
    buf_append_u8(out, ':');
    int e = entry->is_scram ? append_scram(out, entry) : append_argon2(out, entry);
    buf_append_u8(out, '\n');
    return e == 0 ? buf_status(out) : e;
}

/* Without a password: remove. */
static int change_file(const char *path, const struct entry *entry)
{
    const bool is_delete = entry->password.n == 0;
    char why[512] = "";
    struct buf before = {0}, after = {0};
    struct passwords *table = NULL;
    int status = 0;
    if (is_delete && access(path, F_OK) != 0)
        return cli_fail(ME, EX_NOINPUT, "%s: %s", path, strerror(errno));
    int lock = open_locked(path);
    if (lock < 0)
        return cli_fail(ME, EX_CANTCREAT, "%s: %s", path, strerror(errno));

    int e = file_read(path, PASSWORDS_FILE_MAX, &before, why, sizeof(why));
    /* What is not understood is not rewritten. */
    if (e == 0)
        e = passwords_parse(buf_bytes(&before), path, &table, why, sizeof(why));
    if (e != 0) {
        status = cli_fail(ME, cli_status_of(e), "%s", why[0] != '\0' ? why : sealmq_error_text(e));
        goto done;
    }
    if (entry->is_scram && !passwords_has_secret(table))
        append_secret(&after);
    bool was_there = copy_others(buf_bytes(&before), entry->user, &after);
    if (is_delete && !was_there) {
        status = cli_fail(ME, CLI_NO, "%s: there is no user %.*s", path, (int)entry->user.n,
                          entry->user.p);
        goto done;
    }
    e = is_delete ? buf_status(&after) : append_user(&after, entry);
    if (e == 0)
        e = file_write(path, buf_bytes(&after), 0600, false, why, sizeof(why));
    if (e != 0)
        status = cli_fail(ME, e == SEALMQ_E_IO ? EX_CANTCREAT : cli_status_of(e), "%s",
                          why[0] != '\0' ? why : sealmq_error_text(e));
done:
    passwords_unref(table);
    buf_wipe(&before);
    buf_wipe(&after);
    close(lock);
    return status;
}

/* What SASLprep, which clients may do to a password or not, leaves as it is. */
static bool is_printable_ascii(struct bytes text)
{
    for (size_t i = 0; i < text.n; i++) {
        if (text.p[i] < ' ' || text.p[i] > '~')
            return false;
    }
    return true;
}

/* From the option, a terminal or standard input. */
static int take_password(const char *given, struct entry *entry)
{
    int status = 0;
    if (given != NULL)
        buf_append_cstr(&entry->password, given);
    else
        status = ask_password(&entry->password);
    if (status == 0 && (buf_status(&entry->password) != 0 || entry->password.n == 0))
        status = cli_usage(ME, "the password is empty or too long");
    if (status == 0 && entry->is_scram && !is_printable_ascii(buf_bytes(&entry->password)))
        status = cli_usage(ME, "with --scram a password is printable ASCII: clients would make "
                               "different things of other characters");
    return status;
}

static int check_iterations(const char *text, uint32_t *out)
{
    uint64_t count;
    if (u64_parse(bytes_str(text), &count) != 0 || count < SCRAM_ITERATIONS_MIN ||
        count > SCRAM_ITERATIONS_MAX)
        return cli_usage(ME, "--iterations takes a number from %d to %d", SCRAM_ITERATIONS_MIN,
                         SCRAM_ITERATIONS_MAX);
    *out = (uint32_t)count;
    return 0;
}

int cli_passwd(int argc, char **argv)
{
    static const struct option options[] = {
        {"password", required_argument, NULL, 'b'}, {"delete", no_argument, NULL, 'D'},
        {"scram", no_argument, NULL, 'S'},          {"iterations", required_argument, NULL, 'I'},
        {"help", no_argument, NULL, 'H'},           {NULL, 0, NULL, 0},
    };
    const char *given = NULL, *iterations = NULL;
    struct entry entry = {.password = {.limit = PASSWORD_BYTES_MAX},
                          .iterations = SCRAM_ITERATIONS_DEFAULT};
    bool is_delete = false;
    int option;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":b:D", options, NULL)) != -1) {
        switch (option) {
        case 'b':
            given = optarg;
            break;
        case 'D':
            is_delete = true;
            break;
        case 'S':
            entry.is_scram = true;
            break;
        case 'I':
            iterations = optarg;
            break;
        case 'H':
            print_help();
            return 0;
        default:
            return cli_bad_option(ME, option, argv);
        }
    }
    if (argc - optind != 2)
        return cli_usage(ME, argc - optind < 2 ? "give a FILE and a USER" : "too many arguments");
    if (is_delete && (given != NULL || entry.is_scram))
        return cli_usage(ME, "%s and -D exclude each other", given != NULL ? "-b" : "--scram");
    if (iterations != NULL && !entry.is_scram)
        return cli_usage(ME, "--iterations goes with --scram");
    if (iterations != NULL && check_iterations(iterations, &entry.iterations) != 0)
        return CLI_USAGE;
    entry.user = bytes_str(argv[optind + 1]);
    if (!passwords_name_is_valid(entry.user))
        return cli_usage(ME, "not a user name: 1 to %d bytes of UTF-8, no colon, no # in front",
                         PASSWORDS_NAME_MAX);
    char path[PATH_SIZE];
    if (resolve(argv[optind], path) != 0)
        return cli_usage(ME, "the path is too long");
    int status = is_delete ? 0 : take_password(given, &entry);
    if (status == 0)
        status = change_file(path, &entry);
    buf_wipe(&entry.password);
    return status;
}
