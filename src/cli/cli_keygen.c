/* sealmq keygen: a key of its own for a gateway, a node or an operator. */
#include "cli/cli.h"

#include "base/id.h"
#include "base/text.h"
#include "crypto/random.h"
#include "crypto/seal.h"
#include "store/file.h"
#include "store/keyfile.h"

#include <getopt.h>
#include <stdlib.h>

#define ME "keygen"

static void print_help(void)
{
    puts("usage: sealmq keygen -o FILE ID\n"
         "       sealmq keygen --show FILE\n"
         "\n"
         "Makes an Ed25519 key for ID (two words with a slash between, such as plant-a/gw1) and\n"
         "writes it to FILE, readable by its owner only, and the public key to FILE.pub. Nothing\n"
         "is overwritten. Prints the fingerprint, by which an operator approves the key.\n"
         "\n"
         "  -o, --out FILE   where the secret key goes\n"
         "      --show FILE  print id, fingerprint and public key of an existing secret key\n"
         "      --json       as JSON\n"
         "      --help       this");
}

static void print_key(const char *id, const struct public_key *key, bool as_json)
{
    char fingerprint[FINGERPRINT_MAX];
    struct buf base64 = {0};
    public_key_fingerprint(key, fingerprint);
    base64_append(&base64, bytes_of(key->b, PUBLIC_KEY_SIZE));
    const char *text = buf_cstr(&base64);
    if (text == NULL)
        text = "";
    if (as_json)
        printf("{\"id\":\"%s\",\"fingerprint\":\"%s\",\"key\":\"%s\"}\n", id, fingerprint, text);
    else
        printf("id           %s\nfingerprint  %s\npublic key   %s\n", id, fingerprint, text);
    buf_close(&base64);
}

static int show(const char *path, bool as_json)
{
    char id[ID_MAX + 1], why[512];
    struct sign_key key;
    int error = keyfile_read(path, id, &key, why, sizeof why);
    if (error != 0)
        return cli_fail(ME, cli_status_of(error), "%s", why);
    print_key(id, &key.public_key, as_json);
    sign_key_wipe(&key);
    return 0;
}

static int make(const char *path, const char *id, bool as_json)
{
    char why[512], public_path[PATH_SIZE];
    uint8_t seed[SEED_SIZE];
    struct sign_key key;
    if (!id_is_valid(bytes_str(id)))
        return cli_usage(ME,
                         "'%s' is no id: it must be two words of letters, digits, _ and - with a "
                         "slash between, such as plant-a/gw1",
                         id);
    if (snprintf(public_path, sizeof public_path, "%s.pub", path) >= (int)sizeof public_path)
        return cli_usage(ME, "the path is too long");
    random_bytes(seed, sizeof seed);
    int error = keyfile_write(path, id, seed, why, sizeof why);
    if (error == 0) {
        sign_key_from_seed(seed, &key);
        error = keyfile_write_public(public_path, id, &key.public_key, why, sizeof why);
        if (error == 0)
            print_key(id, &key.public_key, as_json);
        sign_key_wipe(&key);
    }
    secret_wipe(seed, sizeof seed);
    return error == 0 ? 0 : cli_fail(ME, cli_status_of(error), "%s", why);
}

int cli_keygen(int argc, char **argv)
{
    static const struct option options[] = {
        {"out", required_argument, NULL, 'o'},
        {"show", required_argument, NULL, 's'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    const char *out = NULL, *shown = NULL;
    bool as_json = false;
    int option;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":o:", options, NULL)) != -1) {
        switch (option) {
        case 'o':
            out = optarg;
            break;
        case 's':
            shown = optarg;
            break;
        case 'j':
            as_json = true;
            break;
        case 'h':
            print_help();
            return 0;
        default:
            return cli_bad_option(ME, option, argv);
        }
    }
    if (crypto_init() != 0)
        return cli_fail(ME, EX_OSERR, "the cryptographic library cannot be used");
    if (shown != NULL && out == NULL && optind == argc)
        return show(shown, as_json);
    if (shown != NULL || out == NULL || argc - optind != 1)
        return cli_usage(ME, "give -o FILE and one ID, or --show FILE");
    return make(out, argv[optind], as_json);
}
