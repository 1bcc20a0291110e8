/* sim_broken                    with each rule broken in turn: the simulator must see it
 * sim_broken RULE               with that one broken
 * sim_broken RULE FIRST COUNT   which of these seeds see it: the first few
 *
 * The seed that is written beside a rule in broken_rules.cmake is tried first. Any change to
 * consensus or simulator gives each seed another story, so that it may not see it any more: then
 * the first SEEDS_MAX are tried, and the one that sees it is printed, to be written there. */
#include "broken_rules.h"

#include "crypto/sign.h"
#include "sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define SEEDS_MAX 10000
#define ENOUGH    5

enum broken_rule broken_rule;

static const struct {
    const char *name;
    uint64_t seed;
    const char *words;
} rules[] = {{NULL, 0, NULL},
#define X(name, seed, words) {#name, seed, words},
             BROKEN_RULES(X)
#undef X
};
#define RULES (sizeof(rules) / sizeof(rules[0]))

/* 1: a rule of the simulator was broken; 0: none was; -1: out of memory. */
static int sees(uint64_t seed, struct sim_result *result)
{
    struct sim_options options = {.seed = seed};
    int error = sim_run(&options, result);
    if (error != 0)
        printf("seed %llu: %s\n", (unsigned long long)seed, sealmq_error_text(error));
    return error != 0 ? -1 : !result->held;
}

static int check_rule(size_t rule)
{
    struct sim_result result;
    uint64_t seed = rules[rule].seed;
    broken_rule = (enum broken_rule)rule;
    int seen = sees(seed, &result);
    bool is_new = seen == 0;
    for (seed = is_new ? 1 : seed; seen == 0 && seed <= SEEDS_MAX; seed += seen == 0)
        seen = sees(seed, &result);
    broken_rule = BROKEN_NONE;
    if (seen <= 0) {
        printf("%s: %d seeds do not see that %s\n", rules[rule].name, SEEDS_MAX, rules[rule].words);
        return 1;
    }
    printf("%-22s seed %llu: %s: %s%s\n", rules[rule].name, (unsigned long long)seed, result.rule,
           result.why, is_new ? " (another seed than broken_rules.cmake says)" : "");
    /* What is seen is not there when nothing is broken. */
    if (sees(seed, &result) != 0) {
        printf("seed %llu breaks a rule by itself\n", (unsigned long long)seed);
        return 1;
    }
    return 0;
}

static int search(size_t rule, uint64_t first, uint64_t count)
{
    struct sim_result result;
    uint64_t found = 0, seed = first;
    broken_rule = (enum broken_rule)rule;
    for (; seed - first < count && found < ENOUGH; seed++) {
        int seen = sees(seed, &result);
        if (seen < 0)
            return 2;
        if (seen == 0)
            continue;
        if (found++ < 5)
            printf("seed %llu: %s: %s\n", (unsigned long long)seed, result.rule, result.why);
    }
    printf("%llu of %llu seeds see that %s\n", (unsigned long long)found, (unsigned long long)count,
           rules[rule].words);
    return found > 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    if (crypto_init() != 0 || (argc != 1 && argc != 2 && argc != 4))
        return 2;
    setvbuf(stdout, NULL, _IOLBF, 0);
    int failed = 0;
    for (size_t rule = 1; rule < RULES; rule++) {
        if (argc == 1)
            failed |= check_rule(rule);
        else if (strcmp(argv[1], rules[rule].name) == 0)
            return argc == 2
                       ? check_rule(rule)
                       : search(rule, strtoull(argv[2], NULL, 10), strtoull(argv[3], NULL, 10));
    }
    if (argc != 1) {
        printf("no such rule: %s\n", argv[1]);
        return 2;
    }
    return failed;
}
