/* sealmq verify: checks one proof file offline, and says in plain words what it proves. */
#include "cli/cli.h"

#include "base/json.h"
#include "base/text.h"
#include "store/file.h"
#include "verify/consistency.h"
#include "verify/verify.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>

#define ME              "verify"
#define POLICY_FILE_MAX (1024 * 1024)
#define GENESIS_COMMENT "# genesis "

static void print_help(void)
{
    puts("usage: sealmq verify --policy FILE [--json] [--since SEEN] PROOF\n"
         "\n"
         "Checks a proof against a policy: the keys that you trust, and how many of them must\n"
         "agree. Needs nothing else. Exit status 0 when it holds, 1 when it does not.\n"
         "\n"
         "      --policy FILE   the network's policy, from a source that you trust\n"
         "      --genesis HEX   the network's genesis hash, when the policy does not name it\n"
         "      --since SEEN    PROOF is a consistency proof: has the log only grown since the\n"
         "                      checkpoint in SEEN, a checkpoint or an earlier proof?\n"
         "      --json          as JSON\n"
         "      --help          this");
}

struct wish {
    const char *policy_path, *genesis_hex, *since_path, *proof_path;
    bool as_json;
    struct policy *policy;
    struct hash genesis;
    struct buf policy_text, since, proof;
    char why[512];
};

/* "# genesis <64 hexadecimal digits>" in the policy file. */
static int find_genesis(struct wish *wish)
{
    if (wish->genesis_hex != NULL)
        return hex_decode(bytes_str(wish->genesis_hex), wish->genesis.b, HASH_SIZE);
    const char *text = buf_cstr(&wish->policy_text);
    const char *at = text != NULL ? strstr(text, GENESIS_COMMENT) : NULL;
    if (at == NULL || (at != text && at[-1] != '\n'))
        return SEALMQ_E_NOTFOUND;
    at += strlen(GENESIS_COMMENT);
    return hex_decode(bytes_of(at, strcspn(at, "\r\n")), wish->genesis.b, HASH_SIZE);
}

static int read_all(struct wish *wish)
{
    char words[256];
    unsigned line = 0;
    int error = file_read(wish->policy_path, POLICY_FILE_MAX, &wish->policy_text, wish->why,
                          sizeof wish->why);
    if (error != 0)
        return error;
    error = policy_parse(buf_bytes(&wish->policy_text), &wish->policy, &line, words, sizeof words);
    if (error != 0) {
        snprintf(wish->why, sizeof wish->why, "%s:%u: %s", wish->policy_path, line, words);
        return error;
    }
    if (wish->since_path != NULL) {
        error =
            file_read(wish->since_path, PROOF_BYTES_MAX, &wish->since, wish->why, sizeof wish->why);
        return error != 0 ? error
                          : file_read(wish->proof_path, PROOF_BYTES_MAX, &wish->proof, wish->why,
                                      sizeof wish->why);
    }
    error = find_genesis(wish);
    if (error != 0) {
        snprintf(wish->why, sizeof wish->why,
                 "%s has no line '" GENESIS_COMMENT "<64 hexadecimal digits>'; give the hash with "
                 "--genesis",
                 wish->policy_path);
        return SEALMQ_E_CONFIG;
    }
    return file_read(wish->proof_path, PROOF_BYTES_MAX, &wish->proof, wish->why, sizeof wish->why);
}

static void print_reading(const struct verify_result *r)
{
    char time[RFC3339_MAX];
    rfc3339_format(r->time_us, time);
    printf("  %s, service %s, reported %s = %s%s%s at %s\n", r->device, r->service, r->name,
           r->value, r->unit[0] != '\0' ? " " : "", r->unit, time);
}

static void print_person(const struct verify_result *r)
{
    char time[RFC3339_MAX], attested[RFC3339_MAX];
    rfc3339_format(r->header.time_us, time);
    rfc3339_format((int64_t)r->attested.latest_s * 1000000, attested);
    printf("verified: this %s stands on the chain of network %s\n", proof_kind_name(r->kind),
           r->header.network);
    if (r->kind == PROOF_RECORD || r->kind == PROOF_ROW)
        print_reading(r);
    if (r->kind == PROOF_ROW)
        printf("  row %u of %u in report %llu on %s, acknowledged by %s\n", r->row_number + 1,
               r->rows, (unsigned long long)r->capture_number, r->topic, r->node);
    if (r->kind != PROOF_BLOCK && r->fingerprint[0] != '\0')
        printf("  signed by %s with key %s\n", r->sender, r->fingerprint);
    else if (r->kind != PROOF_BLOCK)
        printf("  request %llu of %s, whose signature the validators checked\n",
               (unsigned long long)r->request_number, r->sender);
    printf("  final in block %llu of %s, proposed by %s\n", (unsigned long long)r->header.height,
           time, r->header.proposer);
    printf("  attested at %s by %zu cosigners:\n", attested, r->attested.cosigner_count);
    for (size_t i = 0; i < r->attested.cosigner_count; i++)
        printf("    %s\n", r->attested.cosigners[i]);
}

static void json_text(const char *name, const char *value)
{
    struct buf text = {0};
    json_append_string(&text, bytes_str(value));
    printf(",\"%s\":%.*s", name, (int)text.n, (const char *)text.p);
    buf_close(&text);
}

static void print_cosigners(const struct policy_result *attested)
{
    printf(",\"cosigners\":[");
    for (size_t i = 0; i < attested->cosigner_count; i++)
        printf("%s\"%s\"", i == 0 ? "" : ",", attested->cosigners[i]);
    puts("]}");
}

static void print_json(const struct verify_result *r)
{
    char time[RFC3339_MAX];
    rfc3339_format(r->header.time_us, time);
    printf("{\"verified\":true,\"kind\":\"%s\",\"network\":\"%s\",\"height\":%llu,"
           "\"block_time\":\"%s\"",
           proof_kind_name(r->kind), r->header.network, (unsigned long long)r->header.height, time);
    if (r->kind != PROOF_BLOCK) {
        json_text("sender", r->sender);
        printf(",\"request\":%llu", (unsigned long long)r->request_number);
        json_text("key", r->fingerprint);
    }
    if (r->kind == PROOF_RECORD || r->kind == PROOF_ROW) {
        rfc3339_format(r->time_us, time);
        json_text("device", r->device);
        json_text("service", r->service);
        json_text("name", r->name);
        json_text("datatype", r->datatype);
        json_text("value", r->value);
        json_text("unit", r->unit);
        json_text("time", time);
    }
    if (r->kind == PROOF_ROW) {
        printf(",\"report\":%llu", (unsigned long long)r->capture_number);
        json_text("node", r->node);
    }
    print_cosigners(&r->attested);
}

/* Both kinds of proofs: what is said when one does not hold. */
static void print_refused(const struct wish *wish, int error, const char *why)
{
    if (wish->as_json) {
        printf("{\"verified\":false,\"error\":\"%s\"", sealmq_error_name(error));
        json_text("why", why);
        puts("}");
    } else {
        printf("NOT verified: %s: %s (%s)\n", wish->proof_path, why, sealmq_error_text(error));
    }
}

static int check_consistency(const struct wish *wish)
{
    struct consistency_result *r = calloc(1, sizeof *r);
    if (r == NULL)
        return cli_fail(ME, EX_OSERR, "out of memory");
    int error =
        verify_consistency(buf_bytes(&wish->since), buf_bytes(&wish->proof), wish->policy, r);
    if (error != 0) {
        print_refused(wish, error, r->why);
    } else if (wish->as_json) {
        printf("{\"verified\":true,\"kind\":\"consistency\",\"origin\":\"%s\",\"from\":%llu,"
               "\"to\":%llu",
               r->now.origin, (unsigned long long)r->old.size, (unsigned long long)r->now.size);
        print_cosigners(&r->attested);
    } else {
        printf("verified: the log %s of %llu blocks has grown to %llu, and nothing that was there "
               "has changed\n  attested by %zu cosigners\n",
               r->now.origin, (unsigned long long)r->old.size, (unsigned long long)r->now.size,
               r->attested.cosigner_count);
    }
    free(r);
    return error == 0 ? 0 : CLI_NO;
}

static int check_proof(const struct wish *wish)
{
    struct verify_result *result = calloc(1, sizeof *result);
    if (result == NULL)
        return cli_fail(ME, EX_OSERR, "out of memory");
    int error = verify_proof(buf_bytes(&wish->proof), wish->policy, &wish->genesis, result);
    if (error != 0)
        print_refused(wish, error, result->why);
    else if (wish->as_json)
        print_json(result);
    else
        print_person(result);
    free(result);
    return error == 0 ? 0 : CLI_NO;
}

static int run(struct wish *wish)
{
    int status;
    int error = read_all(wish);
    if (error != 0)
        status = cli_fail_with(ME, error, wish->why);
    else
        status = wish->since_path != NULL ? check_consistency(wish) : check_proof(wish);
    policy_free(wish->policy);
    buf_close(&wish->policy_text);
    buf_close(&wish->since);
    buf_close(&wish->proof);
    return status;
}

int cli_verify(int argc, char **argv)
{
    static const struct option options[] = {
        {"policy", required_argument, NULL, 'p'}, {"genesis", required_argument, NULL, 'g'},
        {"since", required_argument, NULL, 's'},  {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},         {NULL, 0, NULL, 0},
    };
    struct wish wish = {0};
    int option;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":p:", options, NULL)) != -1) {
        switch (option) {
        case 'p':
            wish.policy_path = optarg;
            break;
        case 'g':
            wish.genesis_hex = optarg;
            break;
        case 's':
            wish.since_path = optarg;
            break;
        case 'j':
            wish.as_json = true;
            break;
        case 'h':
            print_help();
            return 0;
        default:
            return cli_bad_option(ME, option, argv);
        }
    }
    if (wish.policy_path == NULL)
        return cli_usage(ME, "whom do you trust? Give the network's policy with --policy FILE");
    if (argc - optind != 1)
        return cli_usage(ME, "give one proof file");
    wish.proof_path = argv[optind];
    if (crypto_init() != 0)
        return cli_fail(ME, EX_OSERR, "the cryptographic library cannot be used");
    return run(&wish);
}
