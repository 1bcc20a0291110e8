/* What the broker's lookup of subscriptions costs, without a network; see docs/benchmarks.md.
 *
 * Status 2: nothing could be measured, or the tree and the naive matcher disagree. */
#include "subscriptions.h"

#include "give_up.h"

#include <getopt.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char help[] =
    "usage: bench_subscriptions [--quick] [--most N] [PART]...\n"
    "\n"
    "  PART       tree, routes, churn, sessions; all of them when none is named\n"
    "  --most N   subscriptions, and sessions; 1000000\n"
    "  --quick    the same as --most 100000\n";

struct part {
    const char *name;
    void (*run)(size_t most);
};
static const struct part parts[] = {
    {"tree", bench_tree},
    {"routes", bench_routes},
    {"churn", bench_churn},
    {"sessions", bench_sessions},
};
#define PARTS (sizeof parts / sizeof parts[0])

static size_t count_of(const char *text)
{
    char *end;
    unsigned long n = strtoul(text, &end, 10);
    if (*end != '\0' || n < 1000 || n > 10000000)
        give_up("--most %s: give a number, 1000 to 10000000", text);
    return n;
}

static void run_part(const char *name, size_t most)
{
    for (size_t i = 0; i < PARTS; i++) {
        if (strcmp(parts[i].name, name) == 0) {
            parts[i].run(most);
            fflush(stdout);
            return;
        }
    }
    give_up("%s: no such part; --help names them", name);
}

int main(int argc, char **argv)
{
    static const struct option options[] = {
        {"quick", no_argument, NULL, 'q'},
        {"most", required_argument, NULL, 'm'},
        {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0},
    };
    size_t most = 1000000;
    int option;
    while ((option = getopt_long(argc, argv, "", options, NULL)) != -1) {
        if (option == 'h') {
            fputs(help, stdout);
            return 0;
        }
        if (option == '?')
            return 2;
        most = option == 'q' ? 100000 : count_of(optarg);
    }
    for (int i = optind; i < argc; i++)
        run_part(argv[i], most);
    for (size_t i = 0; i < PARTS && optind == argc; i++)
        run_part(parts[i].name, most);
    return 0;
}
