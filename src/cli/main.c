/* sealmq: finds the subcommand and runs it. */
#include "cli/cli.h"

#include "base/text.h"

#include <getopt.h>
#include <stdarg.h>
#include <string.h>

struct command {
    const char *name;
    const char *help;
    int (*run)(int argc, char **argv);
};

static const struct command commands[] = {
#define X(name, help) {#name, help, cli_##name},
    CLI_COMMANDS(X)
#undef X
};
#define COMMANDS (sizeof(commands) / sizeof(commands[0]))

static void print_help(FILE *out)
{
    fputs("SealMQ, an MQTT server whose telemetry can be proven.\n\n"
          "usage: sealmq COMMAND [OPTIONS]\n\n",
          out);
    for (size_t i = 0; i < COMMANDS; i++)
        fprintf(out, "  %-10s %s\n", commands[i].name, commands[i].help);
    fputs("\n`sealmq COMMAND --help` explains one. `sealmq --version` says which this is.\n", out);
}

static const struct command *find_command(const char *name)
{
    for (size_t i = 0; i < COMMANDS; i++) {
        if (strcmp(commands[i].name, name) == 0)
            return &commands[i];
    }
    return NULL;
}

/* How many letters must be added, removed or changed to make one word of the other. */
static size_t edit_distance(const char *a, const char *b)
{
    enum { LONGEST = 32 };
    size_t n = strlen(a), m = strlen(b);
    size_t row[LONGEST + 1];
    if (n > LONGEST || m > LONGEST)
        return LONGEST;
    for (size_t j = 0; j <= m; j++)
        row[j] = j;
    for (size_t i = 1; i <= n; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= m; j++) {
            size_t best = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < best)
                best = row[j] + 1;
            if (row[j - 1] + 1 < best)
                best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[m];
}

static int unknown_command(const char *name)
{
    const struct command *nearest = NULL;
    size_t least = 3;
    for (size_t i = 0; i < COMMANDS; i++) {
        size_t distance = edit_distance(name, commands[i].name);
        if (distance < least) {
            least = distance;
            nearest = &commands[i];
        }
    }
    fprintf(stderr, "sealmq: there is no command '%s'", name);
    if (nearest != NULL)
        fprintf(stderr, "; did you mean '%s'?", nearest->name);
    fputs("\nTry 'sealmq --help'.\n", stderr);
    return CLI_USAGE;
}

int main(int argc, char **argv)
{
    if (argc < 2) {
        print_help(stderr);
        return CLI_USAGE;
    }
    const char *name = argv[1];
    if (strcmp(name, "--version") == 0) {
        printf("sealmq %s\n", SEALMQ_VERSION);
        return 0;
    }
    bool wants_help = strcmp(name, "--help") == 0 || strcmp(name, "help") == 0;
    if (wants_help && argc < 3) {
        print_help(stdout);
        return 0;
    }
    const struct command *command = find_command(wants_help ? argv[2] : name);
    if (command == NULL)
        return unknown_command(wants_help ? argv[2] : name);
    if (wants_help) {
        char help[] = "--help";
        char *help_argv[] = {argv[2], help, NULL};
        return command->run(2, help_argv);
    }
    return command->run(argc - 1, argv + 1);
}

/* --- what subcommands share ---------------------------------------------------------------- */

static void say(const char *command, const char *format, va_list arguments)
{
    fprintf(stderr, "sealmq %s: ", command);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
}

int cli_usage(const char *command, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(command, format, arguments);
    va_end(arguments);
    fprintf(stderr, "Try 'sealmq %s --help'.\n", command);
    return CLI_USAGE;
}

int cli_fail(const char *command, int status, const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    say(command, format, arguments);
    va_end(arguments);
    return status;
}

int cli_fail_with(const char *command, int error, const char *why)
{
    return cli_fail(command, cli_status_of(error), "%s",
                    why[0] != '\0' ? why : sealmq_error_text(error));
}

int cli_bad_option(const char *command, int returned, char **argv)
{
    const char *word = argv[optind - 1];
    bool is_long = strncmp(word, "--", 2) == 0;
    char letter[3] = {'-', (char)optopt, '\0'};
    const char *option = is_long || optopt == 0 ? word : letter;
    if (returned == ':')
        return cli_usage(command, "option '%s' needs a value", option);
    if (is_long && optopt != 0)
        return cli_usage(command, "option '%s' takes no value", option);
    return cli_usage(command, "unknown option '%s'", option);
}

int cli_status_of(int error)
{
    switch (error) {
    case 0:
        return 0;
    case SEALMQ_E_NOTFOUND:
        return EX_NOINPUT;
    case SEALMQ_E_CONFIG:
        return EX_CONFIG;
    case SEALMQ_E_DENIED:
        return EX_NOPERM;
    case SEALMQ_E_NOMEM:
        return EX_OSERR;
    case SEALMQ_E_IO:
    case SEALMQ_E_FULL:
        return EX_IOERR;
    case SEALMQ_E_AGAIN:
    case SEALMQ_E_BUSY:
    case SEALMQ_E_TIMEOUT:
        return EX_TEMPFAIL;
    case SEALMQ_E_ARG:
        return CLI_USAGE;
    default:
        return EX_DATAERR;
    }
}

bool cli_parse_number(const char *text, uint64_t least, uint64_t most, uint64_t *out)
{
    uint64_t number = 0;
    if (u64_parse(bytes_str(text), &number) != 0 || number < least || number > most)
        return false;
    *out = number;
    return true;
}
