/* sealmq audit: a history database against the chain. */
#include "cli/chain_files.h"
#include "cli/cli.h"

#include "base/json.h"
#include "base/text.h"
#include "ledger/note.h"
#include "store/audit.h"
#include "store/file.h"

#include <getopt.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ME             "audit"
#define FINDINGS_SHOWN 20
#define ROWS_SHOWN     5
#define ROWS_LISTED    1000 /* of one finding, in JSON */
#define PROGRESS_EVERY 4096

static void print_help(void)
{
    puts("usage: sealmq audit [OPTIONS]\n"
         "\n"
         "Compares a node's history database with its chain, report by report, after checking the\n"
         "chain itself from the genesis. Exit status 0 when all is as it was signed, 1 when not.\n"
         "\n" CHAIN_FILES_HELP "      --history FILE  another history database\n"
         "      --node ID       whose history it is (node/a)\n"
         "      --gateway ID    this gateway's reports only\n"
         "      --checkpoint FILE\n"
         "                      a signed checkpoint that the chain must contain\n"
         "      --json          one JSON object\n"
         "      --help          this\n"
         "\n"
         "docs/operations/audit.md says what each verdict means and what to do.");
}

struct findings {
    bool as_json, shows_progress;
    size_t shown, all;
    struct buf json;
};

struct wish {
    struct chain_files files;
    const char *node, *gateway, *checkpoint;
    struct buf note; /* what is in the file `checkpoint` */
    struct findings findings;
    char why[512];
};

static void hex_of(const struct hash *hash, char hex[2 * HASH_SIZE + 1])
{
    hex_encode(hash_bytes(hash), hex);
}

static void person_row(const struct history_stored_row *row)
{
    char time[RFC3339_MAX];
    rfc3339_format(row->row.time_us, time);
    printf("    row %u: %.*s/%.*s/%.*s = %.*s %.*s at %s\n", row->number, (int)row->row.device.n,
           (const char *)row->row.device.p, (int)row->row.service.n,
           (const char *)row->row.service.p, (int)row->row.name.n, (const char *)row->row.name.p,
           (int)row->row.value.n, (const char *)row->row.value.p, (int)row->row.unit.n,
           (const char *)row->row.unit.p, time);
}

static void person_located(const struct audit_finding *finding, const struct audit_row *row)
{
    if (row->state == AUDIT_ROW_MISSING) {
        printf("    row %u: is missing\n", row->number);
        return;
    }
    person_row(row->stored);
    if (row->state == AUDIT_ROW_SURPLUS)
        puts("           is surplus: the report was signed without it");
    else if (finding->is_as_signed)
        puts("           was signed so, but is stored in a form that no node writes");
    else
        puts("           was signed with another value, unit, time or item");
}

static void person_rows(const struct audit_finding *finding)
{
    size_t of = finding->located_count != 0 ? finding->located_count : finding->row_count;
    size_t shown = of < ROWS_SHOWN ? of : ROWS_SHOWN;
    if (finding->located_count == 0 && finding->is_as_signed)
        puts("    its rows are as signed: what is kept about the report was changed");
    else if (finding->located_count == 0 && finding->verdict == AUDIT_MODIFIED &&
             finding->row_count != 0)
        puts("    which of its rows was changed cannot be told:");
    for (size_t i = 0; i < shown; i++) {
        if (finding->located_count != 0)
            person_located(finding, &finding->located[i]);
        else
            person_row(&finding->rows[i]);
    }
    if (of > shown)
        printf("    ... and %zu rows more\n", of - shown);
}

static void person_finding(const struct audit_finding *finding)
{
    char hex[2 * HASH_SIZE + 1];
    printf("%s: report %llu of %.*s", audit_verdict_name(finding->verdict),
           (unsigned long long)finding->n, (int)finding->gateway.n,
           (const char *)finding->gateway.p);
    if (finding->row >= 0)
        printf(", row %lld", (long long)finding->row);
    else if (finding->located_count != 0)
        printf(", %zu rows", finding->located_count);
    puts("");
    if (finding->height != 0) {
        hex_of(&finding->expected, hex);
        printf("    block %llu says  %s\n", (unsigned long long)finding->height, hex);
    }
    if (finding->row_count != 0) {
        hex_of(&finding->stored, hex);
        printf("    its rows hash to %s\n", hex);
    }
    person_rows(finding);
}

static void json_row(struct buf *json, const struct history_stored_row *row, bool is_first)
{
    char time[RFC3339_MAX];
    rfc3339_format(row->row.time_us, time);
    buf_printf(json, "%s{\"row\":%u,\"time\":\"%s\",\"device\":", is_first ? "" : ",", row->number,
               time);
    json_append_string(json, row->row.device);
    buf_append_cstr(json, ",\"service\":");
    json_append_string(json, row->row.service);
    buf_append_cstr(json, ",\"name\":");
    json_append_string(json, row->row.name);
    buf_append_cstr(json, ",\"unit\":");
    json_append_string(json, row->row.unit);
    buf_append_cstr(json, ",\"value\":");
    json_append_string(json, row->row.value);
    buf_append_u8(json, '}');
}

/* The rows that offend, as far as they are stored; all, where it cannot be told. */
static void json_rows(struct buf *json, const struct audit_finding *finding)
{
    bool is_first = true;
    if (finding->located_count == 0) {
        for (size_t i = 0; i < finding->row_count && i < ROWS_LISTED; i++)
            json_row(json, &finding->rows[i], i == 0);
        return;
    }
    for (size_t i = 0; i < finding->located_count && i < ROWS_LISTED; i++) {
        if (finding->located[i].stored == NULL)
            continue;
        json_row(json, finding->located[i].stored, is_first);
        is_first = false;
    }
}

/* Numbers; each once, though more than one row may be stored under it. */
static void json_located(struct buf *json, const struct audit_finding *finding)
{
    const struct audit_row *located = finding->located;
    for (size_t i = 0; i < finding->located_count && i < ROWS_LISTED; i++)
        if (i == 0 || located[i].number != located[i - 1].number)
            buf_printf(json, "%s%u", i == 0 ? "" : ",", located[i].number);
}

static void json_finding(struct buf *json, const struct audit_finding *finding, bool is_first)
{
    char stored[2 * HASH_SIZE + 1], expected[2 * HASH_SIZE + 1];
    hex_of(&finding->stored, stored);
    hex_of(&finding->expected, expected);
    buf_printf(json,
               "%s{\"verdict\":\"%s\",\"gateway\":\"%.*s\",\"report\":%llu,\"row\":%lld,"
               "\"height\":%llu,\"stored\":\"%s\",\"expected\":\"%s\",\"located\":[",
               is_first ? "" : ",", audit_verdict_name(finding->verdict), (int)finding->gateway.n,
               (const char *)finding->gateway.p, (unsigned long long)finding->n,
               (long long)finding->row, (unsigned long long)finding->height, stored, expected);
    json_located(json, finding);
    buf_printf(json, "],\"located_count\":%zu,\"row_count\":%zu,\"rows\":[", finding->located_count,
               finding->row_count);
    json_rows(json, finding);
    buf_append_cstr(json, "]}");
}

static void on_finding(void *context, const struct audit_finding *finding)
{
    struct findings *findings = context;
    if (findings->all++ >= FINDINGS_SHOWN)
        return;
    if (findings->as_json)
        json_finding(&findings->json, finding, findings->shown == 0);
    else
        person_finding(finding);
    findings->shown++;
}

static void on_progress(void *context, uint64_t reports)
{
    struct findings *findings = context;
    if (findings->shows_progress && reports % PROGRESS_EVERY == 0)
        fprintf(stderr, "\r%llu reports", (unsigned long long)reports);
}

static void print_totals(const struct wish *wish, const struct audit_totals *totals)
{
    const struct findings *findings = &wish->findings;
    if (findings->as_json) {
        printf("{\"clean\":%s,\"node\":\"%s\",\"blocks\":%llu,\"reports\":{",
               audit_is_clean(totals) ? "true" : "false", wish->node,
               (unsigned long long)totals->blocks);
        for (int i = 0; i < AUDIT_VERDICTS; i++)
            printf("%s\"%s\":%llu", i == 0 ? "" : ",", audit_verdict_name((enum audit_verdict)i),
                   (unsigned long long)totals->reports[i]);
        printf("},\"rows\":{");
        for (int i = 0; i < AUDIT_VERDICTS; i++)
            printf("%s\"%s\":%llu", i == 0 ? "" : ",", audit_verdict_name((enum audit_verdict)i),
                   (unsigned long long)totals->rows[i]);
        printf("},\"findings\":[%.*s]}\n", (int)findings->json.n,
               findings->json.n != 0 ? (const char *)findings->json.p : "");
        return;
    }
    if (findings->all > findings->shown)
        printf("... and %zu findings more\n", findings->all - findings->shown);
    printf("%s: %llu blocks checked\n", wish->node, (unsigned long long)totals->blocks);
    for (int i = 0; i < AUDIT_VERDICTS; i++) {
        if (totals->reports[i] != 0 || i == AUDIT_VERIFIED)
            printf("  %-12s %10llu reports %12llu rows\n",
                   audit_verdict_name((enum audit_verdict)i),
                   (unsigned long long)totals->reports[i], (unsigned long long)totals->rows[i]);
    }
    puts(audit_is_clean(totals) ? "the history is what was signed"
                                : "THE HISTORY IS NOT WHAT WAS SIGNED");
}

static int open_all(struct wish *wish)
{
    int error = chain_files_genesis(&wish->files, wish->why, sizeof wish->why);
    if (error == 0)
        error = chain_files_blocks(&wish->files, wish->why, sizeof wish->why);
    if (error == 0)
        error = chain_files_history(&wish->files, wish->why, sizeof wish->why);
    if (error == 0 && wish->checkpoint != NULL)
        error =
            file_read(wish->checkpoint, NOTE_BYTES_MAX, &wish->note, wish->why, sizeof wish->why);
    return error;
}

static int run(struct wish *wish)
{
    struct audit_totals totals = {0};
    int error = open_all(wish);
    if (error == 0) {
        const struct audit_options options = {
            .node = wish->node,
            .gateway = wish->gateway != NULL ? bytes_str(wish->gateway) : (struct bytes){0},
            .checkpoint = buf_bytes(&wish->note),
            .context = &wish->findings,
            .finding = on_finding,
            .progress = on_progress,
        };
        error = audit_run(wish->files.history, wish->files.blocks, &wish->files.genesis, &options,
                          &totals, wish->why, sizeof wish->why);
        if (wish->findings.shows_progress)
            fputs("\r\033[K", stderr);
    }
    if (error == 0)
        print_totals(wish, &totals);
    buf_close(&wish->findings.json);
    buf_close(&wish->note);
    chain_files_close(&wish->files);
    if (error != 0)
        return cli_fail_with(ME, error, wish->why);
    return audit_is_clean(&totals) ? 0 : CLI_NO;
}

int cli_audit(int argc, char **argv)
{
    static const struct option options[] = {
        CHAIN_FILES_OPTIONS,
        {"history", required_argument, NULL, 'H'},
        {"node", required_argument, NULL, 'n'},
        {"gateway", required_argument, NULL, 'g'},
        {"checkpoint", required_argument, NULL, 'c'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct wish wish = {.node = "node/a"};
    int option;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":d:", options, NULL)) != -1) {
        if (option == 'h') {
            print_help();
            return 0;
        }
        if (option == 'j')
            wish.findings.as_json = true;
        else if (option == 'n')
            wish.node = optarg;
        else if (option == 'g')
            wish.gateway = optarg;
        else if (option == 'c')
            wish.checkpoint = optarg;
        else if (!chain_files_option(&wish.files, option, optarg))
            return cli_bad_option(ME, option, argv);
    }
    if (optind < argc)
        return cli_usage(ME, "unexpected argument '%s'", argv[optind]);
    if (crypto_init() != 0)
        return cli_fail(ME, EX_OSERR, "the cryptographic library cannot be used");
    wish.findings.shows_progress = !wish.findings.as_json && isatty(STDERR_FILENO) == 1;
    return run(&wish);
}
