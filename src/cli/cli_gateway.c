/* sealmq gateway: a gateway, from its configuration file. */
#include "cli/cli.h"

#include "base/log.h"
#include "crypto/sign.h"
#include "edge/runner.h"

#include <getopt.h>
#include <signal.h>

#define ME "gateway"

static void print_help(void)
{
    puts(
        "usage: sealmq gateway -c FILE [-v]\n"
        "\n"
        "Runs a gateway: collects readings of this machine and of devices, signs and seals them,\n"
        "and delivers them to a node; what is to be written to the chain, it writes.\n"
        "`sealmq keygen` makes its key; the first time, an operator approves it with\n"
        "`sealmq device approve`.\n"
        "\n"
        "  -c, --config FILE  its configuration (YAML; docs/operations/gateway.md)\n"
        "      --test-config  read everything, say whether it is fine, and end\n"
        "  -v, --verbose      log more\n"
        "      --help         this\n"
        "\n"
        "SIGHUP reads the devices' passwords again. SIGTERM and SIGINT end it after what was read\n"
        "is captured and, within 3 s, delivered; the rest is kept and delivered after the next\n"
        "start.");
}

static int run(const char *path, bool only_test)
{
    struct runner *runner;
    char why[512];
    if (crypto_init() != 0)
        return cli_fail(ME, EX_OSERR, "the cryptographic library cannot be used");
    signal(SIGPIPE, SIG_IGN);
    signal(SIGXFSZ, SIG_IGN); /* a file over its limit is an error like a full disk */
    int error = runner_new(path, &runner, why, sizeof why);
    if (error != 0)
        return cli_fail(ME, cli_status_of(error), "%s", why);
    if (only_test) {
        printf("%s: fine: gateway %s\n", path, runner_id(runner));
    } else {
        log_info(ME, "gateway %s", runner_id(runner));
        error = runner_run(runner);
    }
    runner_free(runner);
    return error == 0 ? 0 : cli_fail(ME, cli_status_of(error), "%s", sealmq_error_text(error));
}

int cli_gateway(int argc, char **argv)
{
    static const struct option options[] = {
        {"config", required_argument, NULL, 'c'},
        {"test-config", no_argument, NULL, 't'},
        {"verbose", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    const char *path = NULL;
    bool only_test = false, is_verbose = false;
    int option;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":c:v", options, NULL)) != -1) {
        switch (option) {
        case 'c':
            path = optarg;
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
    if (path == NULL)
        return cli_usage(ME, "which gateway? Give its configuration with -c FILE");
    cli_log_to_stderr(is_verbose);
    return run(path, only_test);
}
