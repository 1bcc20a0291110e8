/* sealmq node: a node of a network, from its configuration file. */
#include "cli/cli.h"

#include "base/log.h"
#include "cli/end_signals.h"
#include "crypto/sign.h"
#include "node/node.h"

#include <getopt.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define ME       "node"
#define DRAIN_MS 5000

static void print_help(void)
{
    puts(
        "usage: sealmq node -c FILE [-v]\n"
        "\n"
        "Runs a node: an MQTT server that verifies sealed reports, keeps their history and\n"
        "agrees with the other nodes on the chain. `sealmq init` makes the files it needs.\n"
        "\n"
        "  -c, --config FILE  its configuration (YAML; docs/operations/node.md)\n"
        "      --test-config  read everything, say whether it is fine, and end\n"
        "      --vote-again   vote, though its blocks.db was lost once: only when the other nodes\n"
        "                     are honest and have agreed on new blocks since (docs/operations)\n"
        "  -v, --verbose      log more\n"
        "      --help         this\n"
        "\n"
        "SIGHUP reads the password and ACL files again, SIGTERM and SIGINT end the node after\n"
        "what was accepted is stored.");
}

/* The signal that ends it otherwise, too: one way out for all. */
static void end_on_failure(void *context)
{
    (void)context;
    kill(getpid(), SIGTERM);
}

static void reload(void *context)
{
    node_reload(context);
}

static int run(const struct node_options *options, bool only_test)
{
    struct node *node;
    char why[512];
    if (crypto_init() != 0)
        return cli_fail(ME, EX_OSERR, "the cryptographic library cannot be used");
    end_signals_block();
    int error = node_new(options, &node, why, sizeof why);
    if (error != 0)
        return cli_fail(ME, cli_status_of(error), "%s", why);
    if (only_test) {
        printf("%s: fine: node %s of network %s\n", options->config_path, node_id(node),
               node_network(node));
        node_free(node, 0);
        return 0;
    }
    error = node_start(node);
    if (error == 0) {
        log_info(ME, "node %s of network %s listens on port %u", node_id(node), node_network(node),
                 node_port(node));
        log_info(ME, "ending on %s", strsignal(end_signals_wait(reload, node)));
        error = node_failure(node);
    }
    node_free(node, DRAIN_MS);
    return error == 0 ? 0 : cli_fail(ME, cli_status_of(error), "%s", sealmq_error_text(error));
}

int cli_node(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'}, {"test-config", no_argument, NULL, 't'},
        {"vote-again", no_argument, NULL, 'a'},   {"verbose", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0},
    };
    struct node_options wanted = {.failed = end_on_failure};
    bool only_test = false, is_verbose = false;
    int option;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":c:v", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            wanted.config_path = optarg;
            break;
        case 'a':
            wanted.vote_again = true;
            break;
        case 't':
            only_test = true;
            break;
        case 'v':
            is_verbose = true;
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
    if (wanted.config_path == NULL)
        return cli_usage(ME, "which node? Give its configuration with -c FILE");
    cli_log_to_stderr(is_verbose);
    return run(&wanted, only_test);
}
