/* sealmq device: the gateways that a network knows, and what an operator decides about them. */
#include "cli/admin.h"
#include "cli/cli.h"

#include "base/id.h"
#include "base/json.h"
#include "ledger/request.h"

#include <getopt.h>
#include <string.h>

#define ME "device"

static void print_help(void)
{
    puts(
        "usage: sealmq device list [OPTIONS]\n"
        "       sealmq device approve [OPTIONS] ID\n"
        "       sealmq device revoke [OPTIONS] ID\n"
        "\n"
        "list shows the gateways that are registered on the chain (active, revoked) and those\n"
        "that have announced themselves and wait (pending), with the fingerprints of their keys.\n"
        "An id that was announced with different keys is contested: it is listed with each of\n"
        "them, and approved only with the fingerprint that its own machine shows.\n"
        "approve registers a pending gateway's key, revoke ends it; both are written to the chain\n"
        "under the operator's key, and hold on every node from the next block on.\n"
        "\n" ADMIN_HELP "      --fingerprint F approve only the key with this fingerprint\n"
        "      --reason WORDS  why it is revoked\n"
        "      --json          as JSON\n"
        "      --help          this");
}

struct wish {
    const char *id, *fingerprint, *reason;
    bool as_json;
    char why[512];
};

static const char *text_of(const cJSON *object, const char *name)
{
    const cJSON *member = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsString(member) ? member->valuestring : "";
}

static int ask_devices(struct admin *admin, struct wish *wish, struct buf *answer, cJSON **json,
                       const cJSON **devices)
{
    struct json_error words = {0};
    *json = NULL;
    int error = admin_ask(admin, "query", BYTES_LIT("{\"query\":\"devices\"}"), answer, wish->why,
                          sizeof wish->why);
    if (error != 0)
        return error;
    error = json_parse(buf_bytes(answer), json, &words);
    if (error == 0)
        error = json_member_array(*json, "devices", devices, &words);
    if (error != 0)
        snprintf(wish->why, sizeof wish->why, "the node's answer cannot be read: %s",
                 words.message);
    return error;
}

static int list(struct admin *admin, struct wish *wish)
{
    struct buf answer = {0};
    cJSON *json;
    const cJSON *devices = NULL, *device;
    int error = ask_devices(admin, wish, &answer, &json, &devices);
    if (error == 0 && wish->as_json) {
        printf("%.*s\n", (int)answer.n, (const char *)answer.p);
    } else if (error == 0) {
        if (devices->child == NULL)
            puts("no gateway is registered, and none waits");
        cJSON_ArrayForEach(device, devices)
        {
            printf("%-9s %-32s %s\n", text_of(device, "status"), text_of(device, "id"),
                   text_of(device, "fingerprint"));
        }
    }
    cJSON_Delete(json);
    buf_close(&answer);
    return error;
}

static bool is_waiting(const cJSON *device)
{
    return strcmp(text_of(device, "status"), "pending") == 0 ||
           strcmp(text_of(device, "status"), "contested") == 0;
}

/* Which of what the node lists under the id is meant: among keys that wait, the one that bears the
 * fingerprint asked for; where there are several, nothing else tells the right one. */
static int choose(const cJSON *devices, struct wish *wish, const cJSON **chosen)
{
    const cJSON *device, *found = NULL, *match = NULL;
    size_t waiting = 0;
    cJSON_ArrayForEach(device, devices)
    {
        if (strcmp(text_of(device, "id"), wish->id) != 0)
            continue;
        found = device;
        if (!is_waiting(device))
            continue;
        waiting++;
        if (wish->fingerprint == NULL ||
            strcmp(wish->fingerprint, text_of(device, "fingerprint")) == 0)
            match = device;
    }
    if (found == NULL) {
        snprintf(wish->why, sizeof wish->why,
                 "%s has not announced itself to this node: start it first, and look at "
                 "`sealmq device list`",
                 wish->id);
        return SEALMQ_E_NOTFOUND;
    }
    if (strcmp(text_of(found, "status"), "active") == 0) {
        snprintf(wish->why, sizeof wish->why, "%s is registered already, key %s", wish->id,
                 text_of(found, "fingerprint"));
        return SEALMQ_E_EXISTS;
    }
    if (waiting == 0) {
        snprintf(wish->why, sizeof wish->why, "%s is revoked, and has not announced a key since",
                 wish->id);
        return SEALMQ_E_REVOKED;
    }
    if (wish->fingerprint == NULL && waiting > 1) {
        snprintf(wish->why, sizeof wish->why,
                 "%s was announced with %zu different keys: say which one is right with "
                 "--fingerprint",
                 wish->id, waiting);
        return SEALMQ_E_DENIED;
    }
    if (match == NULL) {
        snprintf(wish->why, sizeof wish->why, "%s has announced key %s, not %s", wish->id,
                 text_of(found, "fingerprint"), wish->fingerprint);
        return SEALMQ_E_DENIED;
    }
    *chosen = match;
    return 0;
}

/* The announced key of a pending gateway. */
static int find_pending(struct admin *admin, struct wish *wish, struct public_key *key)
{
    struct buf answer = {0};
    cJSON *json;
    const cJSON *devices = NULL, *chosen = NULL;
    int error = ask_devices(admin, wish, &answer, &json, &devices);
    if (error == 0)
        error = choose(devices, wish, &chosen);
    if (error == 0 && json_member_base64(chosen, "key", key->b, PUBLIC_KEY_SIZE, NULL) != 0) {
        error = SEALMQ_E_PARSE;
        snprintf(wish->why, sizeof wish->why, "the node's answer cannot be read");
    }
    cJSON_Delete(json);
    buf_close(&answer);
    return error;
}

/* The fingerprint in the answer is the node's word; what counts is the key's own. */
static int check_fingerprint(struct wish *wish, const struct public_key *key)
{
    char fingerprint[FINGERPRINT_MAX];
    public_key_fingerprint(key, fingerprint);
    if (wish->fingerprint == NULL || strcmp(wish->fingerprint, fingerprint) == 0)
        return 0;
    snprintf(wish->why, sizeof wish->why, "the node gives key %s for %s", fingerprint, wish->id);
    return SEALMQ_E_DENIED;
}

/* Sends the request and says in which block it is. */
static int submit(struct admin *admin, struct wish *wish, struct bytes wire, const char *done)
{
    struct buf answer = {0};
    cJSON *json = NULL;
    uint64_t height;
    int error = admin_ask(admin, "request", wire, &answer, wish->why, sizeof wish->why);
    if (error == 0)
        error = json_parse(buf_bytes(&answer), &json, NULL);
    if (error == 0 && json_member_u64(json, "height", &height, NULL) != 0) {
        snprintf(wish->why, sizeof wish->why, "the network refused: %s", text_of(json, "words"));
        error = SEALMQ_E_DENIED;
    }
    if (error == 0 && wish->as_json)
        printf("{\"id\":\"%s\",\"%s\":true,\"height\":%llu}\n", wish->id, done,
               (unsigned long long)height);
    else if (error == 0)
        printf("%s is %s since block %llu\n", wish->id, done, (unsigned long long)height);
    cJSON_Delete(json);
    buf_close(&answer);
    return error;
}

static int approve(struct admin *admin, struct wish *wish)
{
    struct public_key key;
    struct buf wire = {0};
    uint64_t number;
    int error = find_pending(admin, wish, &key);
    if (error == 0)
        error = check_fingerprint(wish, &key);
    if (error == 0)
        error = admin_request_number(admin, &number, wish->why, sizeof wish->why);
    if (error == 0)
        error =
            request_make_register(bytes_str(admin->id), number, bytes_str(wish->id), MEMBER_GATEWAY,
                                  &key, &admin->key, &admin->genesis.hash, &wire);
    if (error == 0) {
        char fingerprint[FINGERPRINT_MAX];
        public_key_fingerprint(&key, fingerprint);
        if (!wish->as_json)
            printf("approving %s, key %s\n", wish->id, fingerprint);
        error = submit(admin, wish, buf_bytes(&wire), "registered");
    }
    buf_close(&wire);
    return error;
}

static int revoke(struct admin *admin, struct wish *wish)
{
    struct buf wire = {0};
    uint64_t number;
    const char *reason = wish->reason != NULL ? wish->reason : "";
    int error = admin_request_number(admin, &number, wish->why, sizeof wish->why);
    if (error == 0)
        error = request_make_revoke(bytes_str(admin->id), number, bytes_str(wish->id),
                                    bytes_str(reason), &admin->key, &admin->genesis.hash, &wire);
    if (error == 0)
        error = submit(admin, wish, buf_bytes(&wire), "revoked");
    buf_close(&wire);
    return error;
}

static int run(struct admin *admin, struct wish *wish, const char *verb)
{
    wish->why[0] = '\0';
    int error = admin_open(admin, wish->why, sizeof wish->why);
    if (error == 0 && strcmp(verb, "list") == 0)
        error = list(admin, wish);
    else if (error == 0 && strcmp(verb, "approve") == 0)
        error = approve(admin, wish);
    else if (error == 0)
        error = revoke(admin, wish);
    admin_close(admin);
    return error == 0 ? 0 : cli_fail_with(ME, error, wish->why);
}

int cli_device(int argc, char **argv)
{
    static const struct option options[] = {
        ADMIN_OPTIONS,
        {"fingerprint", required_argument, NULL, 'f'},
        {"reason", required_argument, NULL, 'r'},
        {"json", no_argument, NULL, 'j'},
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
        if (option == 'j')
            wish.as_json = true;
        else if (option == 'f')
            wish.fingerprint = optarg;
        else if (option == 'r')
            wish.reason = optarg;
        else if (!admin_option(&admin, option, optarg))
            return cli_bad_option(ME, option, argv);
    }
    if (optind == argc)
        return cli_usage(ME, "what is to be done? list, approve or revoke");
    const char *verb = argv[optind++];
    bool is_list = strcmp(verb, "list") == 0;
    if (!is_list && strcmp(verb, "approve") != 0 && strcmp(verb, "revoke") != 0)
        return cli_usage(ME, "there is no '%s' here; list, approve or revoke", verb);
    if (argc - optind != (is_list ? 0 : 1))
        return cli_usage(ME, "%s takes %s", verb, is_list ? "no argument" : "one id");
    wish.id = is_list ? NULL : argv[optind];
    if (wish.id != NULL && !id_is_valid(bytes_str(wish.id)))
        return cli_usage(ME, "'%s' is no id", wish.id);
    return run(&admin, &wish, verb);
}
