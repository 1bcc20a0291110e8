/* sealmq init: the files of a new network: keys, genesis, policy, a folder for each node with its
 * configuration and an empty block store, and an operator's key. */
#include "cli/cli.h"

#include "base/id.h"
#include "base/text.h"
#include "config/address.h"
#include "crypto/random.h"
#include "crypto/seal.h"
#include "ledger/note.h"
#include "store/blocks.h"
#include "store/file.h"
#include "store/keyfile.h"

#include <getopt.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define ME                      "init"
#define NODES_MAX               26
#define ANCHOR_INTERVAL_DEFAULT 10000

struct plan {
    const char *folder, *network, *admin;
    const char *hosts[NODES_MAX]; /* one for all, or one for each node */
    unsigned host_count;
    unsigned nodes;
    char ids[NODES_MAX][ID_MAX + 1];
    uint16_t port;
    uint32_t anchor_interval_ms;
    uint8_t difficulty;
    struct genesis genesis;
    char why[512];
};

static void print_help(void)
{
    puts(
        "usage: sealmq init -d FOLDER [OPTIONS]\n"
        "\n"
        "Makes a network: FOLDER gets genesis.json (what the network is), policy (whom a verifier\n"
        "trusts), admin.key (the operator's; keep it away from the nodes), and for each node a\n"
        "folder node-a, node-b, ... with node.yaml, node.key and data. Nothing is overwritten.\n"
        "\n"
        "  -d, --dir FOLDER        where; it is made\n"
        "  -n, --nodes N           how many nodes (4; 1 to 26)\n"
        "      --network NAME      lower-case letters, digits and - (plant)\n"
        "      --host ADDRESS      numeric address that the nodes listen on (127.0.0.1); given\n"
        "                          once for each node, in order, it puts them on machines of\n"
        "                          their own, all at the same port\n"
        "      --id LETTER=ID      that node's id instead of node/LETTER; the key of a gateway, "
        "say,\n"
        "                          whose machine has a vote\n"
        "      --port PORT         port of the first node, the others follow (18830)\n"
        "      --admin NAME        the operator's name (ops)\n"
        "      --anchor-interval MS  longest time until a report is covered by the chain (10000)\n"
        "      --difficulty BITS   work for each block: leading zero bits of its hash (0; none is\n"
        "                          needed for agreement, 20 is about a second)\n"
        "      --help              this\n"
        "\n"
        "For nodes on several machines, make the network on one, with each one's address, and\n"
        "carry genesis.json, policy and each node's folder to its machine. Do not change the\n"
        "genesis afterwards: its hash is part of everything that is signed.");
}

static const char *host_of(const struct plan *plan, unsigned i)
{
    if (plan->host_count == 0)
        return "127.0.0.1";
    return plan->hosts[plan->host_count == 1 ? 0 : i];
}

static unsigned port_of(const struct plan *plan, unsigned i)
{
    return plan->host_count > 1 ? plan->port : plan->port + i;
}

static int path_of(const struct plan *plan, const char *name, char out[PATH_SIZE])
{
    int n = snprintf(out, PATH_SIZE, "%s/%s", plan->folder, name);
    return n > 0 && n < PATH_SIZE ? 0 : SEALMQ_E_LIMIT;
}

static int write_file(struct plan *plan, const char *name, struct bytes content)
{
    char path[PATH_SIZE];
    int error = path_of(plan, name, path);
    if (error != 0)
        return error;
    return file_write(path, content, 0644, true, plan->why, sizeof plan->why);
}

/* A key file, and the key's public part. */
static int make_key(struct plan *plan, const char *name, const char *id, struct sign_key *key)
{
    char path[PATH_SIZE];
    uint8_t seed[SEED_SIZE];
    int error = path_of(plan, name, path);
    if (error != 0)
        return error;
    random_bytes(seed, sizeof seed);
    error = keyfile_write(path, id, seed, plan->why, sizeof plan->why);
    sign_key_from_seed(seed, key);
    secret_wipe(seed, sizeof seed);
    return error;
}

static int make_validator(struct plan *plan, unsigned i)
{
    struct validator *validator = &plan->genesis.validators.v[i];
    struct sign_key key, derived;
    char name[64], folder[PATH_SIZE];
    memcpy(validator->id, plan->ids[i], sizeof validator->id);
    const char *host = host_of(plan, i);
    bool is_v6 = strchr(host, ':') != NULL;
    snprintf(validator->url, sizeof validator->url, "mqtt://%s%s%s:%u", is_v6 ? "[" : "", host,
             is_v6 ? "]" : "", port_of(plan, i));
    snprintf(name, sizeof name, "node-%c/data", (char)('a' + i));
    int error = path_of(plan, name, folder);
    if (error == 0)
        error = folder_make(folder, plan->why, sizeof plan->why);
    if (error != 0)
        return error;
    snprintf(name, sizeof name, "node-%c/node.key", (char)('a' + i));
    error = make_key(plan, name, validator->id, &key);
    validator->key = key.public_key;
    sign_key_derive(&key, LOG_KEY_PURPOSE, &derived);
    validator->log_key = derived.public_key;
    sign_key_derive(&key, COSIGNER_KEY_PURPOSE, &derived);
    validator->cosigner_key = derived.public_key;
    sign_key_wipe(&derived);
    sign_key_wipe(&key);
    return error;
}

static int make_genesis(struct plan *plan)
{
    struct genesis *genesis = &plan->genesis;
    struct sign_key admin;
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    snprintf(genesis->network, sizeof genesis->network, "%s", plan->network);
    genesis->created_us = (int64_t)now.tv_sec * 1000000;
    genesis->parameters.anchor_interval_ms = plan->anchor_interval_ms;
    genesis->parameters.difficulty = plan->difficulty;
    genesis->validators.n = plan->nodes;
    genesis->admin_count = 1;
    genesis->admin_threshold = 1;
    snprintf(genesis->admins[0].id, sizeof genesis->admins[0].id, "admin/%s", plan->admin);
    int error = make_key(plan, "admin.key", genesis->admins[0].id, &admin);
    genesis->admins[0].key = admin.public_key;
    sign_key_wipe(&admin);
    for (unsigned i = 0; error == 0 && i < plan->nodes; i++)
        error = make_validator(plan, i);
    return error != 0 ? error : genesis_seal(genesis, plan->why, sizeof plan->why);
}

static int write_network(struct plan *plan)
{
    struct buf text = {0};
    int error = genesis_format(&plan->genesis, &text);
    if (error == 0)
        error = write_file(plan, "genesis.json", buf_bytes(&text));
    buf_reset(&text);
    char genesis[2 * HASH_SIZE + 1];
    hex_encode(hash_bytes(&plan->genesis.hash), genesis);
    buf_printf(&text, "# genesis %s\n", genesis);
    if (error == 0)
        error = policy_format(plan->genesis.network, &plan->genesis.validators, &text);
    if (error == 0)
        error = write_file(plan, "policy", buf_bytes(&text));
    buf_close(&text);
    return error;
}

static int write_node(struct plan *plan, unsigned i)
{
    char name[64], folder[PATH_SIZE];
    char letter = (char)('a' + i);
    struct buf yaml = {0};
    struct block_store *store;
    buf_printf(
        &yaml,
        "# Node %c of network %s: sealmq node -c node.yaml\n"
        "id: %s\n"
        "genesis: ../genesis.json\n"
        "key: node.key\n"
        "data: data\n"
        "listeners:\n"
        "  - address: %s\n"
        "    port: %u\n"
        "# Log-in by password, for ordinary MQTT clients (sealmq passwd ../passwords NAME):\n"
        "# passwords: ../passwords\n",
        letter, plan->network, plan->ids[i], host_of(plan, i), port_of(plan, i));
    snprintf(name, sizeof name, "node-%c/node.yaml", letter);
    int error = buf_status(&yaml);
    if (error == 0)
        error = write_file(plan, name, buf_bytes(&yaml));
    buf_close(&yaml);
    snprintf(name, sizeof name, "node-%c/data", letter);
    if (error == 0)
        error = path_of(plan, name, folder);
    if (error == 0)
        error = block_store_open(folder, BLOCK_STORE_CREATE, &plan->genesis.hash, &store, plan->why,
                                 sizeof plan->why);
    if (error == 0)
        block_store_close(store);
    return error;
}

static int make_network(struct plan *plan)
{
    int error = folder_make(plan->folder, plan->why, sizeof plan->why);
    if (error == 0)
        error = make_genesis(plan);
    if (error == 0)
        error = write_network(plan);
    for (unsigned i = 0; error == 0 && i < plan->nodes; i++)
        error = write_node(plan, i);
    return error;
}

static void tell(const struct plan *plan)
{
    char fingerprint[FINGERPRINT_MAX];
    public_key_fingerprint(&plan->genesis.admins[0].key, fingerprint);
    printf("network %s: %u nodes, %zu of them may fail\n", plan->network, plan->nodes,
           validators_f(plan->nodes));
    for (unsigned i = 0; i < plan->nodes; i++) {
        const struct validator_set *set = &plan->genesis.validators; /* in order of ids */
        const struct validator *validator =
            &set->v[validator_set_find(set, bytes_str(plan->ids[i]))];
        printf("  %-8s %-28s sealmq node -c %s/node-%c/node.yaml\n", validator->id, validator->url,
               plan->folder, (char)('a' + i));
    }
    printf("operator %s, key %s in %s/admin.key\n", plan->genesis.admins[0].id, fingerprint,
           plan->folder);
}

static int check_plan(const struct plan *plan)
{
    char id[ID_MAX + 1];
    if (plan->folder == NULL)
        return cli_usage(ME, "where to? Give a folder with -d FOLDER");
    if (!network_name_is_valid(bytes_str(plan->network)))
        return cli_usage(ME, "'%s' is no network name: 1 to 32 lower-case letters, digits and -",
                         plan->network);
    if (snprintf(id, sizeof id, "admin/%s", plan->admin) >= (int)sizeof id ||
        !id_is_valid(bytes_str(id)))
        return cli_usage(ME, "'%s' is no name for an operator: letters, digits, _ and -",
                         plan->admin);
    if (plan->host_count > 1 && plan->host_count != plan->nodes)
        return cli_usage(ME, "--host is given %u times for %u nodes; give it once, or for each",
                         plan->host_count, plan->nodes);
    if (plan->port + plan->nodes > 65536)
        return cli_usage(ME, "%u nodes from port %u on do not fit", plan->nodes, plan->port);
    return 0;
}

/* "g=plant/gw7" */
static int take_id(struct plan *plan, const char *text)
{
    unsigned i = (unsigned char)text[0] - 'a';
    if (i >= NODES_MAX || text[1] != '=')
        return cli_usage(ME, "--id takes a node's letter and its id, like b=plant/gw7, not '%s'",
                         text);
    if (!id_is_valid(bytes_str(text + 2)) || strncmp(text + 2, "admin/", 6) == 0)
        return cli_usage(ME,
                         "'%s' is no node's id: two words of letters, digits, _ and - with a "
                         "slash between, the first not admin",
                         text + 2);
    snprintf(plan->ids[i], sizeof plan->ids[i], "%s", text + 2);
    return 0;
}

/* Those of the other nodes. */
static int complete_ids(struct plan *plan)
{
    for (unsigned i = 0; i < NODES_MAX; i++) {
        if (i >= plan->nodes && plan->ids[i][0] != '\0')
            return cli_usage(ME, "--id %c=%s: with %u nodes there is none of that letter",
                             (char)('a' + i), plan->ids[i], plan->nodes);
        if (plan->ids[i][0] == '\0')
            snprintf(plan->ids[i], sizeof plan->ids[i], "node/%c", (char)('a' + i));
    }
    for (unsigned i = 0; i < plan->nodes; i++) {
        for (unsigned k = 0; k < i; k++) {
            if (strcmp(plan->ids[i], plan->ids[k]) == 0)
                return cli_usage(ME, "two nodes have the id %s", plan->ids[i]);
        }
    }
    return 0;
}

int cli_init(int argc, char **argv)
{
    static const struct option options[] = {
        {"dir", required_argument, NULL, 'd'},
        {"nodes", required_argument, NULL, 'n'},
        {"network", required_argument, NULL, 'N'},
        {"host", required_argument, NULL, 'H'},
        {"id", required_argument, NULL, 'I'},
        {"port", required_argument, NULL, 'P'},
        {"admin", required_argument, NULL, 'A'},
        {"anchor-interval", required_argument, NULL, 'a'},
        {"difficulty", required_argument, NULL, 'D'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct plan *plan = calloc(1, sizeof *plan);
    uint64_t number;
    int option, status = 0;
    if (plan == NULL)
        return cli_fail(ME, EX_OSERR, "out of memory");
    plan->network = "plant";
    plan->admin = "ops";
    plan->nodes = 4;
    plan->port = 18830;
    plan->anchor_interval_ms = ANCHOR_INTERVAL_DEFAULT;
    opterr = 0;
    while (status == 0 && (option = getopt_long(argc, argv, ":d:n:", options, NULL)) != -1) {
        switch (option) {
        case 'd':
            plan->folder = optarg;
            break;
        case 'n':
            if (!cli_parse_number(optarg, 1, NODES_MAX, &number))
                status = cli_usage(ME, "--nodes must be 1 to %d, not '%s'", NODES_MAX, optarg);
            else
                plan->nodes = (unsigned)number;
            break;
        case 'N':
            plan->network = optarg;
            break;
        case 'H':
            if (!address_is_numeric(optarg))
                status = cli_usage(ME, "--host must be a numeric address, not '%s'", optarg);
            else if (plan->host_count == NODES_MAX)
                status = cli_usage(ME, "--host can be given %d times at most", NODES_MAX);
            else
                plan->hosts[plan->host_count++] = optarg;
            break;
        case 'I':
            status = take_id(plan, optarg);
            break;
        case 'P':
            if (!cli_parse_number(optarg, 1, 65535, &number))
                status = cli_usage(ME, "--port must be 1 to 65535, not '%s'", optarg);
            else
                plan->port = (uint16_t)number;
            break;
        case 'A':
            plan->admin = optarg;
            break;
        case 'a':
            if (!cli_parse_number(optarg, 100, 86400000, &number))
                status =
                    cli_usage(ME, "--anchor-interval must be 100 to 86400000 ms, not '%s'", optarg);
            else
                plan->anchor_interval_ms = (uint32_t)number;
            break;
        case 'D':
            if (!cli_parse_number(optarg, 0, DIFFICULTY_MAX, &number))
                status =
                    cli_usage(ME, "--difficulty must be 0 to %d, not '%s'", DIFFICULTY_MAX, optarg);
            else
                plan->difficulty = (uint8_t)number;
            break;
        case 'h':
            print_help();
            free(plan);
            return 0;
        default:
            status = cli_bad_option(ME, option, argv);
        }
    }
    if (status == 0 && optind < argc)
        status = cli_usage(ME, "unexpected argument '%s'", argv[optind]);
    if (status == 0)
        status = check_plan(plan);
    if (status == 0)
        status = complete_ids(plan);
    if (status == 0 && crypto_init() != 0)
        status = cli_fail(ME, EX_OSERR, "the cryptographic library cannot be used");
    if (status == 0) {
        int error = make_network(plan);
        if (error != 0)
            status = cli_fail_with(ME, error, plan->why);
        else
            tell(plan);
    }
    free(plan);
    return status;
}
