/* sealmq sim: simulated networks, one for each seed, until a rule is broken. */
#include "cli/cli.h"
#include "cli/sim_runs.h"

#include "crypto/sign.h"

#include <getopt.h>
#include <time.h>
#include <unistd.h>

#define ME "sim"

/* So many seeds must have met all marks. */
#define MARKS_SEEDS 10000

static void print_help(void)
{
    puts(
        "usage: sealmq sim [--seeds N] [--first-seed S] [--jobs N] [--nodes N] [--marks] [--json]\n"
        "                  [--trace]\n"
        "\n"
        "Runs networks of consensus replicas in simulated time: messages are lost, delayed,\n"
        "doubled, damaged and repeated, links cut, replicas killed, disks torn, and some lie. The\n"
        "seed decides everything, so that a run can be repeated. Exit status 1 when a rule was\n"
        "broken, or when not all marks (situations that the test is about) were met by 10000 "
        "seeds\n"
        "or more.\n"
        "\n"
        "  --seeds N       how many (100)\n"
        "  --first-seed S  the first one (1)\n"
        "  --jobs N        processes that share them, 1 to 64 (1)\n"
        "  --nodes N       1 to 7 replicas in each (the seed decides)\n"
        "  --marks         all marks must be met, however few the seeds\n"
        "  --json          one JSON object as the result\n"
        "  --trace         tell what happens, on standard error; for a single seed\n"
        "  --help          this");
}

#define U(x) ((unsigned long long)(x))

struct summary {
    const struct sim_totals *totals;
    double seconds, hours_per_minute; /* of a cluster, in a minute here */
    bool needs_marks;
};

static size_t missed_marks(const struct sim_totals *t)
{
    size_t missed = 0;
    for (int i = 0; i < SIM_MARKS_COUNT; i++)
        missed += t->marks[i] == 0;
    return missed;
}

static void print_json(const struct summary *s)
{
    const struct sim_totals *t = s->totals;
    printf("{\"held\":%s,\"seeds\":%llu,\"blocks\":%llu,\"requests\":%llu,\"view_changes\":%llu,"
           "\"crashes\":%llu,\"messages\":%llu,\"lost\":%llu,\"simulated_seconds\":%.1f,"
           "\"slowest_recovery_ms\":%llu,\"slowest_seed\":%llu,\"seconds\":%.1f,"
           "\"simulated_hours_per_minute\":%.1f,\"marks_missed\":%zu,\"marks\":{",
           t->is_broken ? "false" : "true", U(t->runs), U(t->blocks), U(t->requests),
           U(t->view_changes), U(t->crashes), U(t->messages), U(t->lost),
           (double)t->simulated_ms / 1000, U(t->slowest_ms), U(t->slowest_seed), s->seconds,
           s->hours_per_minute, missed_marks(t));
    for (int i = 0; i < SIM_MARKS_COUNT; i++)
        printf("%s\"%s\":%llu", i == 0 ? "" : ",", sim_mark_words((enum sim_mark)i),
               U(t->marks[i]));
    printf("}");
    if (t->is_broken) /* no quotes in these words */
        printf(",\"failing_seed\":%llu,\"rule\":\"%s\",\"why\":\"%s\",\"nodes\":%u,\"liars\":%u",
               U(t->broken_seed), t->broken.rule, t->broken.why, t->broken.nodes, t->broken.liars);
    puts("}");
}

static void print_broken(uint64_t seed, const struct sim_result *broken)
{
    printf("seed %llu breaks the rule \"%s\": %s (%u nodes, %u of them liars", U(seed),
           broken->rule, broken->why, broken->nodes, broken->liars);
    for (int i = 0; i < SIM_LIES_COUNT; i++)
        if (((broken->lies >> i) & 1) != 0)
            printf("; %s", sim_lie_words((enum sim_lie)i));
    printf(")\nsee it with: sealmq sim --first-seed %llu --seeds 1 --trace\n", U(seed));
}

static void print_text(const struct summary *s)
{
    const struct sim_totals *t = s->totals;
    if (t->is_broken)
        print_broken(t->broken_seed, &t->broken);
    puts("    seeds  with liars of this kind");
    for (int i = 0; i < SIM_LIES_COUNT; i++)
        printf("%9llu  %s\n", U(t->lied[i]), sim_lie_words((enum sim_lie)i));
    puts("    seeds  in which it occurred");
    for (int i = 0; i < SIM_MARKS_COUNT; i++)
        printf("%9llu  %s\n", U(t->marks[i]), sim_mark_words((enum sim_mark)i));
    printf("%llu seeds, %s: %llu blocks with %llu requests, %llu view changes, %llu crashes, "
           "%llu messages (%llu lost); slowest to recover: seed %llu, %.1f s\n",
           U(t->runs), t->is_broken ? "stopped" : "all rules held", U(t->blocks), U(t->requests),
           U(t->view_changes), U(t->crashes), U(t->messages), U(t->lost), U(t->slowest_seed),
           (double)t->slowest_ms / 1000);
    printf("%.1f cluster hours simulated in %.1f s: %.1f hours a minute\n",
           (double)t->simulated_ms / 3600000, s->seconds, s->hours_per_minute);
    size_t missed = missed_marks(t);
    if (missed > 0 && !t->is_broken)
        printf("%zu of %d marks were not met%s\n", missed, (int)SIM_MARKS_COUNT,
               s->needs_marks ? "" : ", which so few seeds need not");
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

struct wish {
    struct sim_options options;
    uint64_t first, count, jobs;
    bool needs_marks, is_json;
};

static int run(const struct wish *wish)
{
    struct sim_totals totals;
    double start_s = now_s();
    bool shows_progress =
        wish->options.trace == NULL && !wish->is_json && isatty(STDERR_FILENO) != 0;
    int error = sim_runs(&wish->options, wish->first, wish->count, (unsigned)wish->jobs,
                         shows_progress ? show_progress : NULL, &totals);
    if (error != 0)
        return cli_fail(ME, cli_status_of(error), "after %llu seeds: %s", U(totals.runs),
                        sealmq_error_text(error));
    struct summary summary = {.totals = &totals, .seconds = now_s() - start_s};
    summary.needs_marks = wish->needs_marks || wish->count >= MARKS_SEEDS;
    summary.hours_per_minute =
        (double)totals.simulated_ms / 3600000 / (summary.seconds > 0 ? summary.seconds / 60 : 1);
    (wish->is_json ? print_json : print_text)(&summary);
    bool is_fine = !totals.is_broken && !(summary.needs_marks && missed_marks(&totals) > 0);
    return is_fine ? 0 : CLI_NO;
}

int cli_sim(int argc, char **argv)
{
    static const struct option known[] = {{"seeds", required_argument, NULL, 's'},
                                          {"first-seed", required_argument, NULL, 'f'},
                                          {"jobs", required_argument, NULL, 'p'},
                                          {"nodes", required_argument, NULL, 'n'},
                                          {"marks", no_argument, NULL, 'm'},
                                          {"json", no_argument, NULL, 'j'},
                                          {"trace", no_argument, NULL, 't'},
                                          {"help", no_argument, NULL, 'h'},
                                          {0}};
    struct wish wish = {.first = 1, .count = 100, .jobs = 1};
    uint64_t nodes = 0;
    opterr = 0;
    for (int c; (c = getopt_long(argc, argv, ":", known, NULL)) != -1;) {
        switch (c) {
        case 's':
            if (!cli_parse_number(optarg, 1, UINT32_MAX, &wish.count))
                return cli_usage(ME, "--seeds takes a number from 1, not \"%s\"", optarg);
            break;
        case 'f':
            if (!cli_parse_number(optarg, 0, INT64_MAX, &wish.first))
                return cli_usage(ME, "--first-seed takes a number, not \"%s\"", optarg);
            break;
        case 'p':
            if (!cli_parse_number(optarg, 1, SIM_JOBS_MAX, &wish.jobs))
                return cli_usage(ME, "--jobs takes a number from 1 to %d, not \"%s\"", SIM_JOBS_MAX,
                                 optarg);
            break;
        case 'n':
            if (!cli_parse_number(optarg, 1, 7, &nodes))
                return cli_usage(ME, "--nodes takes a number from 1 to 7, not \"%s\"", optarg);
            break;
        case 'm':
            wish.needs_marks = true;
            break;
        case 'j':
            wish.is_json = true;
            break;
        case 't':
            wish.options.trace = trace;
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
    wish.options.nodes = (unsigned)nodes;
    return run(&wish);
}
