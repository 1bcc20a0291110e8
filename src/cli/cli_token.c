/* sealmq token: a log-in token, so that any MQTT client can log in as an id that has a key. */
#include "cli/cli.h"

#include "base/id.h"
#include "crypto/random.h"
#include "crypto/token.h"
#include "store/keyfile.h"

#include <getopt.h>
#include <time.h>

#define ME "token"

static void print_help(void)
{
    puts("usage: sealmq token -k FILE --network NAME [--node ID] [--life SECONDS]\n"
         "\n"
         "Prints a signed log-in token for the id of the key. It is the password of one log-in:\n"
         "client id = the id, user name = the id.\n"
         "\n"
         "  -k, --key FILE      the id's secret key\n"
         "      --network NAME  the network it is for\n"
         "      --node ID       the node it is for (any)\n"
         "      --life SECONDS  how long it is valid (60; at most 300)\n"
         "      --with-key      for an id that is not registered yet: the token shows the public\n"
         "                      key\n"
         "      --help          this");
}

static int make(const char *path, const char *network, const char *node, uint64_t life,
                bool with_key)
{
    char why[512];
    struct token token = {.iat = (int64_t)time(NULL), .has_key = with_key};
    struct sign_key key;
    struct buf text = {0};
    uint8_t random[TOKEN_JTI_RANDOM];
    int error = keyfile_read(path, token.iss, &key, why, sizeof why);
    if (error != 0)
        return cli_fail(ME, cli_status_of(error), "%s", why);
    token.exp = token.iat + (int64_t)life;
    token.key = key.public_key;
    snprintf(token.network, sizeof token.network, "%s", network);
    snprintf(token.node, sizeof token.node, "%s", node);
    random_bytes(random, sizeof random);
    error = token_jti_make(random, token.jti);
    if (error == 0)
        error = token_make(&token, &key, &text);
    if (error == 0)
        printf("%.*s\n", (int)text.n, (const char *)text.p);
    sign_key_wipe(&key);
    buf_close(&text);
    return error == 0 ? 0 : cli_fail(ME, cli_status_of(error), "%s", sealmq_error_text(error));
}

int cli_token(int argc, char **argv)
{
    static const struct option options[] = {
        {"key", required_argument, NULL, 'k'},
        {"network", required_argument, NULL, 'N'},
        {"node", required_argument, NULL, 'n'},
        {"life", required_argument, NULL, 'l'},
        {"with-key", no_argument, NULL, 'w'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    const char *path = NULL, *network = NULL, *node = "*";
    uint64_t life = 60;
    bool with_key = false;
    int option;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":k:", options, NULL)) != -1) {
        switch (option) {
        case 'k':
            path = optarg;
            break;
        case 'N':
            network = optarg;
            break;
        case 'n':
            node = optarg;
            break;
        case 'l':
            if (!cli_parse_number(optarg, 1, TOKEN_LIFE_MAX_S, &life))
                return cli_usage(ME, "--life must be 1 to %d seconds, not '%s'", TOKEN_LIFE_MAX_S,
                                 optarg);
            break;
        case 'w':
            with_key = true;
            break;
        case 'h':
            print_help();
            return 0;
        default:
            return cli_bad_option(ME, option, argv);
        }
    }
    if (optind < argc)
        return cli_usage(ME, "unexpected argument '%s'", argv[optind]);
    if (path == NULL || network == NULL)
        return cli_usage(ME, "give the key with -k FILE and the network with --network NAME");
    if (!network_name_is_valid(bytes_str(network)))
        return cli_usage(ME, "'%s' is no network name", network);
    if (crypto_init() != 0)
        return cli_fail(ME, EX_OSERR, "the cryptographic library cannot be used");
    return make(path, network, node, life, with_key);
}
