/* From the configuration to the parts of a gateway that do not run by themselves. */
#include "edge/runner_int.h"
#include "store/keyfile.h"
#include "store/network_files.h"

#include <stdio.h>
#include <stdlib.h>

#define PERIODIC_DEFAULT_MS 10000
#define DATABASE            "gateway.db"

struct setup {
    struct runner *runner;
    char *why;
    size_t why_size;
};

static int beside(const struct setup *setup, const char *path, char out[PATH_SIZE])
{
    int error = file_beside(setup->runner->config_path, path, out);
    if (error != 0)
        snprintf(setup->why, setup->why_size, "%s: the path is too long", path);
    return error;
}

static int read_key(const struct setup *setup)
{
    struct runner *runner = setup->runner;
    char path[PATH_SIZE], id[ID_MAX + 1];
    int error = beside(setup, runner->config->key, path);
    if (error == 0)
        error = keyfile_read(path, id, &runner->key, setup->why, setup->why_size);
    if (error == 0 && strcmp(id, runner->config->id) != 0) {
        snprintf(setup->why, setup->why_size, "%s is the key of %s, but `id` in %s is %s", path, id,
                 runner->config_path, runner->config->id);
        error = SEALMQ_E_CONFIG;
    }
    return error;
}

static int read_genesis(const struct setup *setup)
{
    char path[PATH_SIZE];
    int error = beside(setup, setup->runner->config->genesis, path);
    if (error != 0)
        return error;
    return genesis_file_read(path, &setup->runner->genesis, setup->why, setup->why_size);
}

static int read_policy(const struct setup *setup)
{
    char path[PATH_SIZE];
    int error = beside(setup, setup->runner->config->policy, path);
    if (error != 0)
        return error;
    return policy_file_read(path, &setup->runner->policy, setup->why, setup->why_size);
}

/* What is written to the chain; without rules, everything every ten seconds. */
static int read_rules(const struct setup *setup)
{
    struct runner *runner = setup->runner;
    const struct gateway_config *config = runner->config;
    size_t count = config->policies_count != 0 ? config->policies_count : 1;
    runner->policies = calloc(count, sizeof *runner->policies);
    if (runner->policies == NULL)
        return SEALMQ_E_NOMEM;
    runner->policy_count = count;
    for (unsigned i = 0; i < config->policies_count; i++) {
        const struct gateway_rule *rule = &config->policies[i];
        struct gateway_policy *policy = &runner->policies[i];
        snprintf(policy->pattern, sizeof policy->pattern, "%s", rule->pattern);
        policy->periodic = rule->periodic != 0;
        policy->interval_ms = rule->periodic;
        policy->on_change = rule->on_change;
        policy->threshold = rule->threshold;
        policy->threshold_is_percent = rule->is_percent;
    }
    if (config->policies_count == 0) {
        uint32_t longest = config->report_interval < PERIODIC_DEFAULT_MS
                               ? PERIODIC_DEFAULT_MS
                               : config->report_interval + 1;
        runner->policies[0] =
            (struct gateway_policy){.pattern = "*", .periodic = true, .interval_ms = longest};
    }
    return 0;
}

int runner_make_core(struct runner *runner)
{
    const struct gateway_config *config = runner->config;
    const struct gateway_options options = {
        .id = config->id,
        .key = &runner->key,
        .genesis = &runner->genesis,
        .policy = runner->policy,
        .topic = config->report_topic,
        .report_interval_ms = config->report_interval,
        .anchor_interval_ms = config->anchor_interval,
        .policies = runner->policies,
        .policy_count = runner->policy_count,
    };
    struct gateway *core = NULL;
    int error = gateway_new(&options, &core);
    if (error == 0)
        error = journal_load(runner->journal, core);
    if (error != 0) {
        gateway_free(core);
        return error;
    }
    runner->core = core;
    return 0;
}

static int open_journal(const struct setup *setup)
{
    struct runner *runner = setup->runner;
    char folder[PATH_SIZE], path[PATH_SIZE + sizeof DATABASE + 1];
    char owner[ID_MAX + NETWORK_MAX + 8];
    int error = beside(setup, runner->config->data, folder);
    if (error == 0)
        error = folder_make(folder, setup->why, setup->why_size);
    if (error != 0)
        return error;
    snprintf(path, sizeof path, "%s/" DATABASE, folder);
    snprintf(owner, sizeof owner, "%s of %s", runner->config->id, runner->genesis.network);
    error = journal_open(path, owner, &runner->journal, setup->why, setup->why_size);
    if (error != 0)
        return error;
    error = runner_make_core(runner);
    if (error != 0)
        snprintf(setup->why, setup->why_size,
                 "%s: %s. With another file, the gateway needs a new key and approval, because its "
                 "numbers begin anew",
                 path, sealmq_error_text(error));
    return error;
}

int runner_setup(struct runner *runner, const char *config_path, char *why, size_t why_size)
{
    const struct setup setup = {runner, why, why_size};
    int error =
        bytes_to_cstr(bytes_str(config_path), runner->config_path, sizeof runner->config_path);
    if (error == 0)
        error = gateway_config_read(config_path, &runner->config, why, why_size);
    if (error == 0)
        error = read_key(&setup);
    if (error == 0)
        error = read_genesis(&setup);
    if (error == 0)
        error = read_policy(&setup);
    if (error == 0)
        error = read_rules(&setup);
    if (error == 0 && runner->config->status != NULL)
        error = beside(&setup, runner->config->status, runner->status_path);
    if (error == 0)
        error = open_journal(&setup);
    return error;
}

void runner_teardown(struct runner *runner)
{
    gateway_free(runner->core);
    journal_close(runner->journal);
    policy_free(runner->policy);
    free(runner->policies);
    gateway_config_free(runner->config);
    sign_key_wipe(&runner->key);
}
