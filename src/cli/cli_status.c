/* sealmq status: how a node is, as an operator wants to know it. */
#include "cli/admin.h"
#include "cli/cli.h"

#include "base/json.h"

#include <getopt.h>

#define ME "status"

static void print_help(void)
{
    puts("usage: sealmq status [OPTIONS]\n"
         "\n"
         "Asks a node how it is: its chain, its peers, its history, its gateways.\n"
         "\n" ADMIN_HELP "      --all           all validators, a line each\n"
         "      --json          as JSON\n"
         "      --help          this");
}

static double number_of(const cJSON *object, const char *name)
{
    const cJSON *member = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsNumber(member) ? member->valuedouble : 0;
}

static const char *text_of(const cJSON *object, const char *name)
{
    const cJSON *member = cJSON_GetObjectItemCaseSensitive(object, name);
    return cJSON_IsString(member) ? member->valuestring : "";
}

static bool is_true(const cJSON *object, const char *name)
{
    return cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(object, name));
}

static const char *plight(const cJSON *chain)
{
    if (is_true(chain, "waiting_for_disk"))
        return "waits for its disk";
    if (is_true(chain, "waiting_for_peers"))
        return "waits for other nodes";
    return is_true(chain, "votes") ? "votes" : "follows without voting";
}

/* Who keeps what, and how far this node is when it catches up. */
static void print_keeping(const cJSON *chain)
{
    const cJSON *catch_up = cJSON_GetObjectItemCaseSensitive(chain, "catch_up");
    printf("keeps    blocks from %.0f on (%s), %.0f full nodes reachable%s%s\n",
           number_of(chain, "lowest_block"), text_of(chain, "role"), number_of(chain, "full_nodes"),
           is_true(chain, "few_full_nodes") ? ": too few, keep at least three" : "",
           is_true(chain, "prune_refused")
               ? "; older blocks stay, since fewer than two other nodes keep them"
               : "");
    if (cJSON_IsObject(catch_up))
        printf("catch-up to block %.0f, %.0f blocks/s, %.2f MB/s\n", number_of(catch_up, "target"),
               number_of(catch_up, "blocks_per_second"),
               number_of(catch_up, "bytes_per_second") / 1e6);
}

static void print_person(const cJSON *status)
{
    const cJSON *chain = cJSON_GetObjectItemCaseSensitive(status, "chain");
    const cJSON *history = cJSON_GetObjectItemCaseSensitive(status, "history");
    const cJSON *devices = cJSON_GetObjectItemCaseSensitive(status, "devices");
    const cJSON *mqtt = cJSON_GetObjectItemCaseSensitive(status, "mqtt");
    printf("%s of network %s, sealmq %s, up since %s\n", text_of(status, "id"),
           text_of(status, "network"), text_of(status, "version"), text_of(status, "started"));
    printf("chain    height %.0f, view %.0f, primary %s, %s; checkpoint at %.0f; %.0f requests, "
           "%.0f records, %.0f waiting\n",
           number_of(chain, "height"), number_of(chain, "view"), text_of(chain, "primary"),
           plight(chain), number_of(chain, "checkpoint_height"), number_of(chain, "requests"),
           number_of(chain, "records"), number_of(chain, "waiting_requests"));
    print_keeping(chain);
    printf("peers   ");
    const cJSON *peer;
    cJSON_ArrayForEach(peer, cJSON_GetObjectItemCaseSensitive(chain, "peers"))
    {
        printf(" %s%s", text_of(peer, "id"), is_true(peer, "connected") ? "" : " (unreachable)");
    }
    printf("\nhistory  %.0f reports, %.0f rows, %.0f waiting, %.0f failures\n",
           number_of(history, "reports"), number_of(history, "rows"), number_of(history, "waiting"),
           number_of(history, "failures"));
    printf("devices  %.0f reports accepted, %.0f refused\n", number_of(devices, "reports_accepted"),
           number_of(devices, "reports_bad_signature") + number_of(devices, "reports_replayed") +
               number_of(devices, "reports_malformed") + number_of(devices, "reports_refused"));
    printf("mqtt     %.0f connections, %.0f log-ins refused\n", number_of(mqtt, "connections"),
           number_of(mqtt, "logins_refused"));
}

static void print_line(const cJSON *status)
{
    const cJSON *chain = cJSON_GetObjectItemCaseSensitive(status, "chain");
    const cJSON *history = cJSON_GetObjectItemCaseSensitive(status, "history");
    printf("%-10s height %-8.0f from %-8.0f view %-4.0f reports %-8.0f rows %-8.0f %s\n",
           text_of(status, "id"), number_of(chain, "height"), number_of(chain, "lowest_block"),
           number_of(chain, "view"), number_of(history, "reports"), number_of(history, "rows"),
           plight(chain));
}

static int ask_one(struct admin *admin, bool as_json, bool as_line, char *why, size_t why_size)
{
    struct buf answer = {0};
    cJSON *json = NULL;
    int error =
        admin_ask(admin, "query", BYTES_LIT("{\"query\":\"status\"}"), &answer, why, why_size);
    if (error == 0)
        error = json_parse(buf_bytes(&answer), &json, NULL);
    if (error == 0 && as_json)
        printf("%.*s\n", (int)answer.n, (const char *)answer.p);
    else if (error == 0 && as_line)
        print_line(json);
    else if (error == 0)
        print_person(json);
    cJSON_Delete(json);
    buf_close(&answer);
    return error;
}

static int ask_all(struct admin *admin, bool as_json)
{
    int status = 0;
    char why[512];
    struct validator_set set;
    if (admin_validators(admin, &set, why, sizeof why) != 0)
        set = admin->genesis.validators; /* each says below why it does not answer */
    for (size_t i = 0; i < set.n; i++) {
        admin->node = set.v[i].id;
        admin->url = set.v[i].url;
        int error = ask_one(admin, as_json, true, why, sizeof why);
        if (error != 0) {
            status = CLI_NO;
            if (as_json)
                printf("{\"id\":\"%s\",\"error\":\"%s\"}\n", admin->node, sealmq_error_name(error));
            else
                printf("%-10s unreachable: %s\n", admin->node, why);
        }
    }
    admin->node = admin->url = NULL; /* they lay in the set */
    return status;
}

int cli_status(int argc, char **argv)
{
    static const struct option options[] = {
        ADMIN_OPTIONS,
        {"all", no_argument, NULL, 'a'},
        {"json", no_argument, NULL, 'j'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    struct admin admin = {0};
    bool as_json = false, all = false;
    char why[512];
    int option;
    opterr = 0;
    while ((option = getopt_long(argc, argv, ":d:", options, NULL)) != -1) {
        if (option == 'h') {
            print_help();
            return 0;
        }
        if (option == 'j')
            as_json = true;
        else if (option == 'a')
            all = true;
        else if (!admin_option(&admin, option, optarg))
            return cli_bad_option(ME, option, argv);
    }
    if (optind < argc)
        return cli_usage(ME, "unexpected argument '%s'", argv[optind]);
    int error = admin_open(&admin, why, sizeof why);
    int status = 0;
    if (error == 0 && all)
        status = ask_all(&admin, as_json);
    else if (error == 0)
        error = ask_one(&admin, as_json, false, why, sizeof why);
    admin_close(&admin);
    return error == 0 ? status : cli_fail(ME, cli_status_of(error), "%s", why);
}
