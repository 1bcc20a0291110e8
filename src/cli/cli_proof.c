/* sealmq proof: one reading, record or block as a file that anyone can check. */
#include "cli/chain_files.h"
#include "cli/cli.h"

#include "base/id.h"
#include "base/text.h"
#include "store/file.h"
#include "store/prove.h"

#include <getopt.h>
#include <limits.h>
#include <string.h>

#define ME "proof"

static void print_help(void)
{
    puts("usage: sealmq proof [OPTIONS] -o FILE WHAT\n"
         "\n"
         "Writes a proof (.tlog-proof) of one of\n"
         "  row GATEWAY N ROW    a row of the history: row ROW (from 0) of report N of GATEWAY\n"
         "  record H R I         record I of request R of block H (all but H from 0; see\n"
         "                       `sealmq block H`)\n"
         "  record newest        the newest record that a checkpoint covers\n"
         "  block H              a block\n"
         "\n"
         "The proof holds everything but the policy: `sealmq verify --policy FILE PROOF` needs no\n"
         "node, no network and no database.\n"
         "\n"
         "  consistency SIZE     that the log of blocks has only grown since it had SIZE blocks, "
         "the\n"
         "                       genesis block among them. Check it with a checkpoint or proof of\n"
         "                       that size: `sealmq verify --policy FILE --since SEEN PROOF`\n"
         "\n" CHAIN_FILES_HELP "  -o, --out FILE      where it goes; nothing is overwritten\n"
         "      --help          this");
}

struct wish {
    struct chain_files files;
    const char *out;
    char **words; /* WHAT */
    int count;
    char why[512];
};

static bool number_at(const struct wish *wish, int i, uint64_t most, uint64_t *out)
{
    return cli_parse_number(wish->words[i], 0, most, out);
}

static int make_row(struct wish *wish, struct buf *proof)
{
    uint64_t n, row;
    if (wish->count != 4 || !id_is_valid(bytes_str(wish->words[1])) ||
        !number_at(wish, 2, UINT64_MAX, &n) || !number_at(wish, 3, UINT32_MAX, &row))
        return SEALMQ_E_ARG;
    int error = chain_files_history(&wish->files, wish->why, sizeof wish->why);
    if (error != 0)
        return error;
    return prove_row(wish->files.blocks, wish->files.history, &wish->files.genesis,
                     bytes_str(wish->words[1]), n, (uint32_t)row, proof, wish->why,
                     sizeof wish->why);
}

static int make_record(struct wish *wish, struct buf *proof)
{
    uint64_t height, request, record;
    if (wish->count == 2 && strcmp(wish->words[1], "newest") == 0) {
        uint32_t request_index, record_index;
        int error = prove_find_newest_record(wish->files.blocks, &height, &request_index,
                                             &record_index, wish->why, sizeof wish->why);
        if (error != 0)
            return error;
        return prove_record(wish->files.blocks, &wish->files.genesis, height, request_index,
                            record_index, proof, wish->why, sizeof wish->why);
    }
    if (wish->count != 4 || !number_at(wish, 1, UINT64_MAX, &height) ||
        !number_at(wish, 2, UINT32_MAX, &request) || !number_at(wish, 3, UINT32_MAX, &record))
        return SEALMQ_E_ARG;
    return prove_record(wish->files.blocks, &wish->files.genesis, height, (uint32_t)request,
                        (uint32_t)record, proof, wish->why, sizeof wish->why);
}

static int make_block(struct wish *wish, struct buf *proof)
{
    uint64_t height;
    if (wish->count != 2 || !number_at(wish, 1, UINT64_MAX, &height))
        return SEALMQ_E_ARG;
    return prove_block(wish->files.blocks, &wish->files.genesis, height, proof, wish->why,
                       sizeof wish->why);
}

static int make_consistency(struct wish *wish, struct buf *proof)
{
    uint64_t size;
    if (wish->count != 2 || !number_at(wish, 1, UINT64_MAX, &size))
        return SEALMQ_E_ARG;
    return prove_consistency(wish->files.blocks, size, proof, wish->why, sizeof wish->why);
}

static int make(struct wish *wish, struct buf *proof)
{
    static const struct {
        const char *name;
        int (*make)(struct wish *wish, struct buf *proof);
    } kinds[] = {{"row", make_row},
                 {"record", make_record},
                 {"block", make_block},
                 {"consistency", make_consistency}};
    int error = chain_files_genesis(&wish->files, wish->why, sizeof wish->why);
    if (error == 0)
        error = chain_files_blocks(&wish->files, wish->why, sizeof wish->why);
    if (error != 0)
        return error;
    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++) {
        if (strcmp(wish->words[0], kinds[i].name) == 0)
            return kinds[i].make(wish, proof);
    }
    return SEALMQ_E_ARG;
}

static int run(struct wish *wish)
{
    struct buf proof = {0};
    int error = make(wish, &proof);
    if (error == 0)
        error = file_write(wish->out, buf_bytes(&proof), 0644, true, wish->why, sizeof wish->why);
    if (error == 0)
        printf("%s: %zu bytes; check it with: sealmq verify --policy POLICY %s\n", wish->out,
               proof.n, wish->out);
    buf_close(&proof);
    chain_files_close(&wish->files);
    if (error == SEALMQ_E_ARG && wish->why[0] == '\0')
        return cli_usage(ME,
                         "what is to be proven? row GATEWAY N ROW, record H R I, record newest, "
                         "block H, or consistency SIZE");
    return error == 0 ? 0 : cli_fail_with(ME, error, wish->why);
}

int cli_proof(int argc, char **argv)
{
    static const struct option options[] = {
        CHAIN_FILES_OPTIONS,
        {"out", required_argument, NULL, 'o'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct wish wish = {0};
    int option;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":d:o:", options, NULL)) != -1) {
        if (option == 'h') {
            print_help();
            return 0;
        }
        if (option == 'o')
            wish.out = optarg;
        else if (!chain_files_option(&wish.files, option, optarg))
            return cli_bad_option(ME, option, argv);
    }
    wish.words = argv + optind;
    wish.count = argc - optind;
    if (wish.out == NULL)
        return cli_usage(ME, "where to? Give a file with -o FILE");
    if (wish.count == 0)
        return cli_usage(ME, "what is to be proven? row, record or block");
    if (crypto_init() != 0)
        return cli_fail(ME, EX_OSERR, "the cryptographic library cannot be used");
    return run(&wish);
}
