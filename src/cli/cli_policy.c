/* sealmq policy: the validators as a tlog-policy, of now or of a height. */
#include "cli/chain_files.h"
#include "cli/cli.h"

#include "base/text.h"
#include "ledger/note.h"

#include <getopt.h>

#define ME "policy"

static void print_help(void)
{
    puts(
        "usage: sealmq policy [OPTIONS] [SIZE]\n"
        "\n"
        "Writes the policy (c2sp.org/tlog-policy) by which checkpoints of SIZE headers are "
        "signed:\n"
        "of the validators who decide the block after them. Without SIZE, of those who decide the\n"
        "next block. Every block up to there is checked in a node's store, set after set, from "
        "the\n"
        "genesis or from a snapshot that its validators certified.\n"
        "\n" CHAIN_FILES_HELP "      --help          this");
}

static int print_policy(const struct chain *chain, uint64_t size)
{
    const struct genesis *genesis = chain_genesis(chain);
    char hex[2 * HASH_SIZE + 1];
    struct buf text = {0};
    hex_encode(hash_bytes(&genesis->hash), hex);
    buf_printf(&text, "# genesis %s\n# for checkpoints of size %llu\n", hex,
               (unsigned long long)size);
    int error = policy_format(genesis->network, chain_validators(chain), &text);
    if (error == 0)
        fwrite(text.p, 1, text.n, stdout);
    buf_close(&text);
    return error;
}

static int run(struct chain_files *files, const char *wanted, char *why, size_t why_size)
{
    struct chain *chain = NULL;
    uint64_t tip = 0, size = 0;
    int error = chain_files_genesis(files, why, why_size);
    if (error == 0)
        error = chain_files_blocks(files, why, why_size);
    if (error == 0)
        error = block_store_tip(files->blocks, &tip);
    size = tip + 1;
    if (error == 0 && wanted != NULL && !cli_parse_number(wanted, 1, tip + 1, &size)) {
        snprintf(why, why_size, "'%s' is no number of headers from 1 to %llu", wanted,
                 (unsigned long long)tip + 1);
        return SEALMQ_E_NOTFOUND;
    }
    if (error == 0)
        error = block_store_load_chain(files->blocks, &files->genesis, size - 1, &chain, NULL, NULL,
                                       why, why_size);
    if (error == 0)
        error = print_policy(chain, size);
    chain_free(chain);
    return error;
}

int cli_policy(int argc, char **argv)
{
    static const struct option options[] = {
        CHAIN_FILES_OPTIONS,
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct chain_files files = {0};
    char why[512] = "";
    int option;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":d:", options, NULL)) != -1) {
        if (option == 'h') {
            print_help();
            return 0;
        }
        if (!chain_files_option(&files, option, optarg))
            return cli_bad_option(ME, option, argv);
    }
    if (argc - optind > 1)
        return cli_usage(ME, "one SIZE at most");
    int error = crypto_init();
    if (error == 0)
        error = run(&files, argc == optind ? NULL : argv[optind], why, sizeof why);
    chain_files_close(&files);
    return error == 0 ? 0 : cli_fail_with(ME, error, why);
}
