/* sealmq block: what stands in a block. */
#include "cli/chain_files.h"
#include "cli/cli.h"

#include "base/json.h"
#include "base/text.h"
#include "store/prove.h"

#include <getopt.h>
#include <stdlib.h>

#define ME "block"

static void print_help(void)
{
    puts("usage: sealmq block [OPTIONS] [HEIGHT]\n"
         "\n"
         "Shows a block of a node's store: its header, who signed it, its requests and records.\n"
         "Without HEIGHT, the newest.\n"
         "\n" CHAIN_FILES_HELP "      --json          as JSON\n"
         "      --help          this");
}

static void print_hex(const char *label, const struct hash *hash)
{
    char hex[2 * HASH_SIZE + 1];
    hex_encode(hash_bytes(hash), hex);
    printf("  %-16s %s\n", label, hex);
}

static void json_hex(const char *name, const struct hash *hash)
{
    char hex[2 * HASH_SIZE + 1];
    hex_encode(hash_bytes(hash), hex);
    printf(",\"%s\":\"%s\"", name, hex);
}

#define U(x) ((unsigned long long)(x))

static void print_claim(const struct member_claim *claim)
{
    char fingerprint[FINGERPRINT_MAX];
    public_key_fingerprint(&claim->key, fingerprint);
    printf(", %.*s as %s, key %s\n", (int)claim->id.n, (const char *)claim->id.p,
           claim->role == MEMBER_VALIDATOR ? "validator" : "gateway", fingerprint);
}

static void print_configuration(const struct request *request)
{
    struct genesis_parameters parameters;
    struct admins_value admins;
    if (genesis_parameters_decode(request->configure.value, &parameters) == 0)
        printf(", difficulty %u, anchor interval %lu ms\n", parameters.difficulty,
               (unsigned long)parameters.anchor_interval_ms);
    else if (admins_value_decode(request->configure.value, &admins) == 0)
        printf(", %zu admins of whom %u sign\n", admins.n, admins.threshold);
}

static void print_request(const struct request *request, uint32_t index)
{
    printf("  request %u: %s %llu of %.*s", index, request_kind_name(request->kind),
           U(request->number), (int)request->sender.n, (const char *)request->sender.p);
    struct bytes list, text;
    struct item item;
    switch (request->kind) {
    case REQUEST_DATA:
        printf(", reports %llu to %llu in %u leaves\n", U(request->data.from), U(request->data.to),
               request->data.leaf_count);
        list = request->data.records;
        while (request_records_next(&list, &text))
            printf("    %.*s\n", (int)text.n, (const char *)text.p);
        break;
    case REQUEST_DESCRIBE:
        puts("");
        list = request->describe.items;
        while (request_items_next(&list, &item))
            printf("    %u is %.*s/%.*s/%.*s, %s, in \"%.*s\"\n", item.num, (int)item.device.n,
                   (const char *)item.device.p, (int)item.service.n, (const char *)item.service.p,
                   (int)item.name.n, (const char *)item.name.p, datatype_name(item.type),
                   (int)item.unit.n, (const char *)item.unit.p);
        break;
    case REQUEST_REGISTER:
    case REQUEST_ROTATE:
        print_claim(request->kind == REQUEST_ROTATE ? &request->rotate : &request->register_);
        break;
    case REQUEST_CONFIGURE:
        print_configuration(request);
        break;
    case REQUEST_REVOKE:
        printf(", %.*s\n", (int)request->revoke.id.n, (const char *)request->revoke.id.p);
        break;
    }
}

/* `set`: who decided the block, NULL when the store does not tell. */
static const char *voter_name(const struct validator_set *set, unsigned who)
{
    return set != NULL && who < set->n ? set->v[who].id : "?";
}

static void print_person(const struct validator_set *set, const struct block *block,
                         const struct certificate *certificate)
{
    const struct block_header *header = &block->header;
    char time[RFC3339_MAX];
    rfc3339_format(header->time_us, time);
    printf("block %llu of network %s, %s, proposed by %s in view %llu\n", U(header->height),
           header->network, time, header->proposer[0] != '\0' ? header->proposer : "the genesis",
           U(header->view));
    print_hex("header hash", &block->hash);
    print_hex("parent", &header->parent);
    print_hex("requests root", &header->requests_root);
    print_hex("log root", &header->log_root);
    print_hex("state root", &header->state_root);
    if (certificate->n != 0) {
        printf("  committed by    ");
        for (size_t i = 0; i < certificate->n; i++)
            printf(" %s", voter_name(set, certificate->votes[i].validator));
        if (set != NULL)
            printf(" (%zu are enough)\n", validators_quorum(set->n));
        else
            puts(" (of validators that this store does not know any more)");
    }
    struct bytes list = block->requests, wire;
    for (uint32_t i = 0; block_requests_next(&list, &wire); i++) {
        struct request request;
        if (request_decode(wire, &request) == 0)
            print_request(&request, i);
    }
}

static void json_request(const struct request *request)
{
    struct buf text = {0};
    struct bytes list, record;
    printf("{\"kind\":\"%s\",\"sender\":\"%.*s\",\"number\":%llu", request_kind_name(request->kind),
           (int)request->sender.n, (const char *)request->sender.p, U(request->number));
    if (request->kind == REQUEST_DATA) {
        printf(",\"from\":%llu,\"to\":%llu,\"leaves\":%u,\"records\":[", U(request->data.from),
               U(request->data.to), request->data.leaf_count);
        list = request->data.records;
        for (bool first = true; request_records_next(&list, &record); first = false) {
            buf_reset(&text);
            json_append_string(&text, record);
            printf("%s%.*s", first ? "" : ",", (int)text.n, (const char *)text.p);
        }
        putchar(']');
    }
    json_hex("hash", &request->hash);
    putchar('}');
    buf_close(&text);
}

static void print_json(const struct validator_set *set, const struct block *block,
                       const struct certificate *certificate)
{
    const struct block_header *header = &block->header;
    char time[RFC3339_MAX];
    rfc3339_format(header->time_us, time);
    printf("{\"height\":%llu,\"network\":\"%s\",\"time\":\"%s\",\"proposer\":\"%s\",\"view\":%llu",
           U(header->height), header->network, time, header->proposer, U(header->view));
    json_hex("hash", &block->hash);
    json_hex("parent", &header->parent);
    json_hex("requests_root", &header->requests_root);
    json_hex("log_root", &header->log_root);
    json_hex("state_root", &header->state_root);
    printf(",\"committed_by\":[");
    for (size_t i = 0; i < certificate->n; i++)
        printf("%s\"%s\"", i == 0 ? "" : ",", voter_name(set, certificate->votes[i].validator));
    printf("],\"requests\":[");
    struct bytes list = block->requests, wire;
    for (bool first = true; block_requests_next(&list, &wire); first = false) {
        struct request request;
        if (!first)
            putchar(',');
        if (request_decode(wire, &request) == 0)
            json_request(&request);
        else
            printf("null");
    }
    puts("]}");
}

/* Certificates name voters by their places in the set that decided the block. *chain, to be freed,
 * is what the answer lies in, unless that is the genesis. NULL: nothing here leads to that state.
 */
static const struct validator_set *set_of(struct chain_files *files,
                                          const struct block_header *header, struct chain **chain)
{
    char why[512];
    struct hash hash;
    *chain = NULL;
    validator_set_hash(&files->genesis.validators, &hash);
    if (hash_equal(&hash, &header->validators))
        return &files->genesis.validators;
    if (header->height == 0 ||
        block_store_load_chain(files->blocks, &files->genesis, header->height - 1, chain, NULL,
                               NULL, why, sizeof why) != 0)
        return NULL;
    return hash_equal(chain_validators_hash(*chain), &header->validators) ? chain_validators(*chain)
                                                                          : NULL;
}

static void print(struct chain_files *files, const struct block *block,
                  const struct certificate *certificate, bool as_json)
{
    struct chain *chain;
    const struct validator_set *set = set_of(files, &block->header, &chain);
    if (as_json)
        print_json(set, block, certificate);
    else
        print_person(set, block, certificate);
    chain_free(chain);
}

static int show(struct chain_files *files, const char *wanted, bool as_json, char *why,
                size_t why_size)
{
    struct buf wire = {0}, certificate_wire = {0};
    struct block block;
    struct certificate *certificate = calloc(1, sizeof *certificate);
    uint64_t height = 0;
    int error = certificate != NULL ? 0 : SEALMQ_E_NOMEM;
    if (error == 0)
        error = block_store_tip(files->blocks, &height);
    if (error == 0 && wanted != NULL && !cli_parse_number(wanted, 0, height, &height)) {
        snprintf(why, why_size, "'%s' is no height between 0 and the newest, %llu", wanted,
                 U(height));
        error = SEALMQ_E_NOTFOUND;
    }
    if (error == 0)
        error = prove_read_block(files->blocks, &files->genesis, height, &wire, &certificate_wire);
    if (error == 0)
        error = block_decode(buf_bytes(&wire), &block);
    if (error == 0 && certificate_wire.n != 0)
        error = certificate_decode(buf_bytes(&certificate_wire), certificate);
    if (error == 0)
        print(files, &block, certificate, as_json);
    buf_close(&wire);
    buf_close(&certificate_wire);
    free(certificate);
    return error;
}

int cli_block(int argc, char **argv)
{
    static const struct option options[] = {
        CHAIN_FILES_OPTIONS,
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct chain_files files = {0};
    bool as_json = false;
    char why[512] = "";
    int option;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":d:", options, NULL)) != -1) {
        if (option == 'h') {
            print_help();
            return 0;
        }
        if (option == 'j')
            as_json = true;
        else if (!chain_files_option(&files, option, optarg))
            return cli_bad_option(ME, option, argv);
    }
    if (argc - optind > 1)
        return cli_usage(ME, "unexpected argument '%s'", argv[optind + 1]);
    int error = chain_files_genesis(&files, why, sizeof why);
    if (error == 0)
        error = chain_files_blocks(&files, why, sizeof why);
    if (error == 0)
        error = show(&files, argv[optind], as_json, why, sizeof why);
    chain_files_close(&files);
    return error == 0 ? 0 : cli_fail_with(ME, error, why);
}
