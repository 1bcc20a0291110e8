/* sealmq sim: simulated networks, one for each seed, until a rule is broken. */
#include "cli/cli.h"

#include "crypto/sign.h"
#include "sim/sim.h"

#include <getopt.h>
#include <time.h>
#include <unistd.h>

#define ME "sim"

static void print_help(void)
{
    puts("usage: sealmq sim [--seeds N] [--first-seed S] [--nodes N] [--json] [--trace]\n"
         "\n"
         "Runs networks of consensus replicas in simulated time: messages are lost, delayed,\n"
         "doubled and damaged, links cut, replicas killed, and some lie. The seed decides\n"
         "everything, so that a run can be repeated. Exit status 1 when a rule was broken.\n"
         "\n"
         "  --seeds N       how many (100)\n"
         "  --first-seed S  the first one (1)\n"
         "  --nodes N       1 to 7 replicas in each (the seed decides)\n"
         "  --json          one JSON object as the result\n"
         "  --trace         tell what happens, on standard error; for a single seed\n"
         "  --help          this");
}

static const char *const liars[SIM_LIARS] = {"none", "silent", "two-faced", "forgetful",
                                             "garbling"};

struct totals {
    uint64_t runs, blocks, requests, view_changes, crashes, messages, lost, simulated_ms;
    uint64_t slowest_ms, slowest_seed; /* from healing to the end */
};

static void add(struct totals *totals, uint64_t seed, const struct sim_result *r)
{
    totals->runs++;
    totals->blocks += r->blocks;
    totals->requests += r->requests;
    totals->view_changes += r->view_changes;
    totals->crashes += r->crashes;
    totals->messages += r->messages;
    totals->lost += r->lost;
    totals->simulated_ms += r->simulated_ms;
    if (r->healed_ms >= totals->slowest_ms) {
        totals->slowest_ms = r->healed_ms;
        totals->slowest_seed = seed;
    }
}

#define U(x) ((unsigned long long)(x))

static void print_json(const struct totals *t, const struct sim_result *broken, uint64_t seed,
                       double seconds)
{
    printf("{\"held\":%s,\"seeds\":%llu,\"blocks\":%llu,\"requests\":%llu,\"view_changes\":%llu,"
           "\"crashes\":%llu,\"messages\":%llu,\"lost\":%llu,\"simulated_seconds\":%.1f,"
           "\"slowest_recovery_ms\":%llu,\"slowest_seed\":%llu,\"seconds\":%.1f",
           broken == NULL ? "true" : "false", U(t->runs), U(t->blocks), U(t->requests),
           U(t->view_changes), U(t->crashes), U(t->messages), U(t->lost),
           (double)t->simulated_ms / 1000, U(t->slowest_ms), U(t->slowest_seed), seconds);
    if (broken != NULL) /* no quotes in these words */
        printf(",\"failing_seed\":%llu,\"rule\":\"%s\",\"why\":\"%s\",\"nodes\":%u,"
               "\"liar\":\"%s\"",
               U(seed), broken->rule, broken->why, broken->nodes, liars[broken->liar]);
    puts("}");
}

static void print_text(const struct totals *t, const struct sim_result *broken, uint64_t seed,
                       double seconds)
{
    if (broken != NULL)
        printf("seed %llu breaks the rule \"%s\": %s (%u nodes, liars: %u %s)\n"
               "see it with: sealmq sim --first-seed %llu --seeds 1 --trace\n",
               U(seed), broken->rule, broken->why, broken->nodes, broken->liars,
               liars[broken->liar], U(seed));
    printf("%llu seeds, %s: %llu blocks with %llu requests, %llu view changes, %llu crashes, "
           "%llu messages (%llu lost), %.0f simulated seconds in %.1f; slowest to recover: seed "
           "%llu, %.1f s\n",
           U(t->runs), broken == NULL ? "all rules held" : "stopped", U(t->blocks), U(t->requests),
           U(t->view_changes), U(t->crashes), U(t->messages), U(t->lost),
           (double)t->simulated_ms / 1000, seconds, U(t->slowest_seed),
           (double)t->slowest_ms / 1000);
}

static void trace(void *context, const char *line)
{
    (void)context;
    fprintf(stderr, "%s\n", line);
}

static double now_s(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void show_progress(uint64_t done, uint64_t all)
{
    static double shown_s;
    double s = now_s();
    if (s - shown_s < 0.2 && done != all)
        return;
    shown_s = s;
    fprintf(stderr, "\r%llu of %llu seeds%s", U(done), U(all), done == all ? "\r\033[K" : "");
}

static int run(uint64_t first, uint64_t count, struct sim_options *options, bool is_json)
{
    struct totals totals = {0};
    struct sim_result result = {0};
    double start_s = now_s();
    bool shows_progress = options->trace == NULL && !is_json && isatty(STDERR_FILENO) != 0;
    for (uint64_t seed = first; seed - first < count; seed++) {
        options->seed = seed;
        int error = sim_run(options, &result);
        if (error != 0)
            return cli_fail(ME, cli_status_of(error), "seed %llu: %s", U(seed),
                            sealmq_error_text(error));
        add(&totals, seed, &result);
        if (shows_progress)
            show_progress(result.held ? seed - first + 1 : count, count);
        if (!result.held)
            break;
    }
    const struct sim_result *broken = result.held ? NULL : &result;
    (is_json ? print_json : print_text)(&totals, broken, options->seed, now_s() - start_s);
    return broken == NULL ? 0 : CLI_NO;
}

int cli_sim(int argc, char **argv)
{
    static const struct option known[] = {{"seeds", required_argument, NULL, 's'},
                                          {"first-seed", required_argument, NULL, 'f'},
                                          {"nodes", required_argument, NULL, 'n'},
                                          {"json", no_argument, NULL, 'j'},
                                          {"trace", no_argument, NULL, 't'},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
    uint64_t first = 1, count = 100, nodes = 0;
    struct sim_options options = {0};
    bool is_json = false;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":", known, NULL)) != -1;) {
        switch (c) {
        case 's':
            if (!cli_parse_number(optarg, 1, UINT32_MAX, &count))
                return cli_usage(ME, "--seeds takes a number from 1, not \"%s\"", optarg);
            break;
        case 'f':
            if (!cli_parse_number(optarg, 0, INT64_MAX, &first))
                return cli_usage(ME, "--first-seed takes a number, not \"%s\"", optarg);
            break;
        case 'n':
            if (!cli_parse_number(optarg, 1, 7, &nodes))
                return cli_usage(ME, "--nodes takes a number from 1 to 7, not \"%s\"", optarg);
            break;
        case 'j':
            is_json = true;
            break;
        case 't':
            options.trace = trace;
            break;
        case 'h':
            print_help();
            return 0;
        default:
            return cli_bad_option(ME, c, argv);
        }
    }
    if (optind != argc)
        return cli_usage(ME, "unexpected argument \"%s\"", argv[optind]);
    int error = crypto_init();
    if (error != 0)
        return cli_fail(ME, cli_status_of(error), "%s", sealmq_error_text(error));
    options.nodes = (unsigned)nodes;
    return run(first, count, &options, is_json);
}
