/* sim_seeds FIRST COUNT: runs that many seeds, or as many as a minute of processor time allows, and
 * each of the first ones twice to see that a seed decides everything. Ends with 1 at the first
 * broken rule. */
#include "crypto/sign.h"
#include "sim/sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define LIMIT_S 60
#define TWICE   5

static int run(uint64_t seed, struct sim_result *result)
{
    struct sim_options options = {.seed = seed};
    int error = sim_run(&options, result);
    if (error != 0) {
        printf("seed %llu: %s\n", (unsigned long long)seed, sealmq_error_text(error));
        return 1;
    }
    if (!result->held) {
        printf("seed %llu breaks the rule \"%s\": %s\n", (unsigned long long)seed, result->rule,
               result->why);
        return 1;
    }
    return 0;
}

int main(int argc, char **argv)
{
    if (argc != 3 || crypto_init() != 0)
        return 2;
    uint64_t first = strtoull(argv[1], NULL, 10);
    uint64_t count = strtoull(argv[2], NULL, 10);
    uint64_t blocks = 0, view_changes = 0, crashes = 0, done = 0;
    bool met[SIM_MARKS_COUNT] = {false};
    clock_t limit = LIMIT_S * (clock_t)CLOCKS_PER_SEC;
    for (; done < count && clock() < limit; done++) {
        struct sim_result result, again;
        if (run(first + done, &result) != 0)
            return 1;
        if (done < TWICE) {
            if (run(first + done, &again) != 0)
                return 1;
            if (memcmp(&result, &again, sizeof(result)) != 0) {
                printf("seed %llu does not run the same way twice\n",
                       (unsigned long long)(first + done));
                return 1;
            }
        }
        blocks += result.blocks;
        view_changes += result.view_changes;
        crashes += result.crashes;
        for (int i = 0; i < SIM_MARKS_COUNT; i++)
            met[i] = met[i] || result.marks[i] != 0;
    }
    printf("%llu seeds: %llu blocks, %llu view changes, %llu crashes\n", (unsigned long long)done,
           (unsigned long long)blocks, (unsigned long long)view_changes,
           (unsigned long long)crashes);
    for (int i = 0; i < SIM_MARKS_COUNT; i++)
        if (!met[i])
            printf("not met by so few: %s\n", sim_mark_words((enum sim_mark)i));
    return 0;
}
