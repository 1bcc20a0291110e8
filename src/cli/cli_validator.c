/* sealmq validator: who agrees on the chain, and by which keys. */
#include "cli/admin.h"
#include "cli/cli.h"

#include "base/id.h"
#include "base/json.h"
#include "base/text.h"
#include "crypto/random.h"
#include "crypto/seal.h"
#include "ledger/request.h"
#include "store/blocks.h"
#include "store/file.h"
#include "store/keyfile.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#define ME                 "validator"
#define REQUEST_FILE_BYTES (64 * 1024)

static void print_help(void)
{
    puts("usage: sealmq validator init [OPTIONS] ID FOLDER\n"
         "       sealmq validator admit [OPTIONS] KEYFILE\n"
         "       sealmq validator add [OPTIONS] ID URL\n"
         "       sealmq validator remove [OPTIONS] ID\n"
         "       sealmq validator rotate [OPTIONS] ID URL KEYFILE\n"
         "       sealmq validator sign [OPTIONS] FILE\n"
         "       sealmq validator submit [OPTIONS] FILE\n"
         "\n"
         "init makes the folder of a new node: its key and an empty store of blocks. admit makes\n"
         "that key a member's: the node can then be started, and follows the chain.\n"
         "add makes a node a validator that is running at URL and has the chain: it is asked to "
         "say\n"
         "so itself. remove ends its membership. rotate gives a validator the key in KEYFILE, "
         "which\n"
         "stands beside its old one as <key>.next by then.\n"
         "Where several admins must sign: --out FILE writes the request instead of sending it, "
         "each\n"
         "of the others signs that file, and submit sends it. It is the first one's to number.\n"
         "\n" ADMIN_HELP "      --out FILE      write the request to a file\n"
         "      --reason WORDS  why it is removed\n"
         "      --help          this");
}

struct wish {
    const char *out, *reason;
    char why[512];
};

/* Sends the request and says in which block it is. */
static int submit(struct admin *admin, struct wish *wish, struct bytes wire)
{
    struct buf answer = {0};
    cJSON *json = NULL;
    uint64_t height;
    int error = admin_ask(admin, "request", wire, &answer, wish->why, sizeof wish->why);
    if (error == 0)
        error = json_parse(buf_bytes(&answer), &json, NULL);
    if (error == 0 && json_member_u64(json, "height", &height, NULL) != 0) {
        const char *words = "";
        (void)!json_member_string(json, "words", &words, NULL);
        snprintf(wish->why, sizeof wish->why, "the network refused: %s", words);
        error = SEALMQ_E_DENIED;
    }
    if (error == 0)
        printf("done in block %llu, and holds from the next one on\n", (unsigned long long)height);
    cJSON_Delete(json);
    buf_close(&answer);
    return error;
}

static int write_or_submit(struct admin *admin, struct wish *wish, const struct buf *wire)
{
    int error = buf_status(wire);
    if (error != 0)
        return error;
    return wish->out == NULL
               ? submit(admin, wish, buf_bytes(wire))
               : file_write(wish->out, buf_bytes(wire), 0644, true, wish->why, sizeof wish->why);
}

/* What the node says that is to become a validator. */
static int ask_to_join(const struct admin *admin, struct wish *wish, const char *id,
                       const char *url, struct buf *join)
{
    struct admin there = *admin;
    struct buf question = {0}, answer = {0};
    cJSON *json = NULL;
    const char *words = NULL;
    there.node = id;
    there.url = url;
    buf_append_cstr(&question, "{\"query\":\"join\",\"url\":");
    json_append_string(&question, bytes_str(url));
    buf_append_u8(&question, '}');
    int error = buf_status(&question);
    if (error == 0)
        error =
            admin_ask(&there, "query", buf_bytes(&question), &answer, wish->why, sizeof wish->why);
    if (error == 0)
        error = json_parse(buf_bytes(&answer), &json, NULL);
    if (error == 0 && json_member_string(json, "join", &words, NULL) != 0) {
        snprintf(wish->why, sizeof wish->why, "%s cannot say that it is there: %.*s", id,
                 (int)answer.n, (const char *)answer.p);
        error = SEALMQ_E_PARSE;
    }
    if (error == 0)
        error = base64_decode(bytes_str(words), join);
    cJSON_Delete(json);
    buf_close(&question);
    buf_close(&answer);
    sign_key_wipe(&there.key);
    return error;
}

static int add(struct admin *admin, struct wish *wish, char **arguments)
{
    struct buf join = {0}, wire = {0};
    uint64_t number;
    int error = ask_to_join(admin, wish, arguments[0], arguments[1], &join);
    if (error == 0)
        error = admin_request_number(admin, &number, wish->why, sizeof wish->why);
    if (error == 0)
        error = request_make_register_validator(bytes_str(admin->id), number, buf_bytes(&join),
                                                &admin->key, &admin->genesis.hash, &wire);
    if (error == 0)
        error = write_or_submit(admin, wish, &wire);
    buf_close(&join);
    buf_close(&wire);
    return error;
}

static int admit(struct admin *admin, struct wish *wish, char **arguments)
{
    struct sign_key key = {0};
    struct buf wire = {0};
    uint64_t number;
    char id[ID_MAX + 1];
    int error = keyfile_read(arguments[0], id, &key, wish->why, sizeof wish->why);
    if (error == 0)
        error = admin_request_number(admin, &number, wish->why, sizeof wish->why);
    if (error == 0)
        error = request_make_register(bytes_str(admin->id), number, bytes_str(id), MEMBER_GATEWAY,
                                      &key.public_key, &admin->key, &admin->genesis.hash, &wire);
    if (error == 0)
        error = write_or_submit(admin, wish, &wire);
    sign_key_wipe(&key);
    buf_close(&wire);
    return error;
}

static int remove_one(struct admin *admin, struct wish *wish, char **arguments)
{
    struct buf wire = {0};
    uint64_t number;
    int error = admin_request_number(admin, &number, wish->why, sizeof wish->why);
    if (error == 0)
        error = request_make_revoke(bytes_str(admin->id), number, bytes_str(arguments[0]),
                                    bytes_str(wish->reason != NULL ? wish->reason : ""),
                                    &admin->key, &admin->genesis.hash, &wire);
    if (error == 0)
        error = write_or_submit(admin, wish, &wire);
    buf_close(&wire);
    return error;
}

static int rotate(struct admin *admin, struct wish *wish, char **arguments)
{
    struct validator validator = {0};
    struct sign_key key = {0}, derived;
    struct buf wire = {0};
    uint64_t number;
    char id[ID_MAX + 1];
    int error = keyfile_read(arguments[2], id, &key, wish->why, sizeof wish->why);
    if (error == 0 && strcmp(id, arguments[0]) != 0) {
        snprintf(wish->why, sizeof wish->why, "%s is a key of %s", arguments[2], id);
        error = SEALMQ_E_ARG;
    }
    if (error == 0)
        error = bytes_to_cstr(bytes_str(arguments[0]), validator.id, sizeof validator.id);
    if (error == 0)
        error = bytes_to_cstr(bytes_str(arguments[1]), validator.url, sizeof validator.url);
    validator.key = key.public_key;
    sign_key_derive(&key, LOG_KEY_PURPOSE, &derived);
    validator.log_key = derived.public_key;
    sign_key_derive(&key, COSIGNER_KEY_PURPOSE, &derived);
    validator.cosigner_key = derived.public_key;
    if (error == 0)
        error = admin_request_number(admin, &number, wish->why, sizeof wish->why);
    if (error == 0)
        error = request_make_rotate(bytes_str(admin->id), number, bytes_str(arguments[0]),
                                    &validator, &key, &admin->key, &admin->genesis.hash, &wire);
    if (error == 0)
        error = write_or_submit(admin, wish, &wire);
    sign_key_wipe(&derived);
    sign_key_wipe(&key);
    buf_close(&wire);
    return error;
}

static int sign(struct admin *admin, struct wish *wish, char **arguments)
{
    struct buf wire = {0}, more = {0};
    int error = file_read(arguments[0], REQUEST_FILE_BYTES, &wire, wish->why, sizeof wish->why);
    if (error == 0)
        error = request_cosign(buf_bytes(&wire), bytes_str(admin->id), &admin->key,
                               &admin->genesis.hash, &more);
    if (error == 0)
        error =
            file_write(arguments[0], buf_bytes(&more), 0644, false, wish->why, sizeof wish->why);
    buf_close(&wire);
    buf_close(&more);
    return error;
}

static int submit_file(struct admin *admin, struct wish *wish, char **arguments)
{
    struct buf wire = {0};
    int error = file_read(arguments[0], REQUEST_FILE_BYTES, &wire, wish->why, sizeof wish->why);
    if (error == 0)
        error = submit(admin, wish, buf_bytes(&wire));
    buf_close(&wire);
    return error;
}

/* A key, and a store that knows that nothing was ever signed with it. */
static int init(struct admin *admin, struct wish *wish, char **arguments)
{
    char path[PATH_SIZE];
    uint8_t seed[SEED_SIZE];
    struct block_store *store = NULL;
    int error = folder_make(arguments[1], wish->why, sizeof wish->why);
    snprintf(path, sizeof path, "%s/node.key", arguments[1]);
    random_bytes(seed, sizeof seed);
    if (error == 0)
        error = keyfile_write(path, arguments[0], seed, wish->why, sizeof wish->why);
    secret_wipe(seed, sizeof seed);
    snprintf(path, sizeof path, "%s/data", arguments[1]);
    if (error == 0)
        error = folder_make(path, wish->why, sizeof wish->why);
    if (error == 0)
        error = block_store_open(path, BLOCK_STORE_CREATE, &admin->genesis.hash, &store, wish->why,
                                 sizeof wish->why);
    block_store_close(store);
    if (error == 0)
        printf("%s: node.key of %s, data\n", arguments[1], arguments[0]);
    return error;
}

static const struct verb {
    const char *name;
    int arguments;
    bool is_of_id;
    int (*run)(struct admin *admin, struct wish *wish, char **arguments);
} verbs[] = {
    {"init", 2, true, init},          {"admit", 1, false, admit},  {"add", 2, true, add},
    {"remove", 1, true, remove_one},  {"rotate", 3, true, rotate}, {"sign", 1, false, sign},
    {"submit", 1, false, submit_file}};

static int run(struct admin *admin, struct wish *wish, const struct verb *verb, char **arguments)
{
    int error = admin_open(admin, wish->why, sizeof wish->why);
    if (error == 0)
        error = verb->run(admin, wish, arguments);
    admin_close(admin);
    return error == 0 ? 0 : cli_fail_with(ME, error, wish->why);
}

int cli_validator(int argc, char **argv)
{
    static const struct option options[] = {
        ADMIN_OPTIONS,
        {"out", required_argument, NULL, 'o'},
        {"reason", required_argument, NULL, 'r'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct admin admin = {0};
    struct wish wish = {0};
    int option;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":d:", options, NULL)) != -1) {
        if (option == 'h') {
            print_help();
            return 0;
        }
        if (option == 'o')
            wish.out = optarg;
        else if (option == 'r')
            wish.reason = optarg;
        else if (!admin_option(&admin, option, optarg))
            return cli_bad_option(ME, option, argv);
    }
    if (optind == argc)
        return cli_usage(ME,
                         "what is to be done? init, admit, add, remove, rotate, sign or submit");
    const char *name = argv[optind++];
    for (size_t i = 0; i < sizeof verbs / sizeof verbs[0]; i++) {
        if (strcmp(verbs[i].name, name) != 0)
            continue;
        if (argc - optind != verbs[i].arguments)
            return cli_usage(ME, "%s takes %d argument%s", name, verbs[i].arguments,
                             verbs[i].arguments == 1 ? "" : "s");
        if (verbs[i].is_of_id && !id_is_valid(bytes_str(argv[optind])))
            return cli_usage(ME, "'%s' is no id", argv[optind]);
        return run(&admin, &wish, &verbs[i], argv + optind);
    }
    return cli_usage(ME, "there is no '%s' here; init, admit, add, remove, rotate, sign or submit",
                     name);
}
