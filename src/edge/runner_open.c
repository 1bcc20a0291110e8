/* What the configuration names, read and checked. */
#include "edge/runner_int.h"

#include "base/id.h"
#include "store/file.h"
#include "store/keyfile.h"

#include <stdio.h>
#include <stdlib.h>

#define TEXT_FILE_MAX       (1024 * 1024)
#define PERIODIC_DEFAULT_MS 10000

static int read_text(const struct runner *runner, const char *name, char path[PATH_SIZE],
                     struct buf *text, char *why, size_t why_size)
{
    int error = file_beside(runner->config_path, name, path);
    if (error != 0) {
        snprintf(why, why_size, "%s: the path %s is too long", runner->config_path, name);
        return error;
    }
    return file_read(path, TEXT_FILE_MAX, text, why, why_size);
}

static int read_genesis(struct runner *runner, char *why, size_t why_size)
{
    char path[PATH_SIZE], words[256];
    struct buf text = {0};
    int error = read_text(runner, runner->config->genesis, path, &text, why, why_size);
    if (error == 0) {
        error = genesis_parse(buf_bytes(&text), &runner->genesis, words, sizeof words);
        if (error != 0)
            snprintf(why, why_size, "%s: %s", path, words);
    }
    buf_close(&text);
    return error;
}

static int read_policy(struct runner *runner, char *why, size_t why_size)
{
    char path[PATH_SIZE], words[256];
    unsigned line = 0;
    struct buf text = {0};
    int error = read_text(runner, runner->config->policy, path, &text, why, why_size);
    if (error == 0) {
        error = policy_parse(buf_bytes(&text), &runner->policy, &line, words, sizeof words);
        if (error != 0)
            snprintf(why, why_size, "%s:%u: %s", path, line, words);
    }
    buf_close(&text);
    return error;
}

static int read_key(struct runner *runner, char *why, size_t why_size)
{
    char path[PATH_SIZE], id[ID_MAX + 1];
    int error = file_beside(runner->config_path, runner->config->key, path);
    if (error == 0)
        error = keyfile_read(path, id, &runner->key, why, why_size);
    if (error == 0 && strcmp(id, runner->config->id) != 0) {
        snprintf(why, why_size, "%s: the key is of %s, but the configuration is for %s", path, id,
                 runner->config->id);
        error = SEALMQ_E_CONFIG;
    }
    return error;
}

static int add_node(struct runner *runner, const char *id, const char *url, char *why,
                    size_t why_size)
{
    struct runner_node *node = &runner->nodes[runner->node_count];
    if (validator_set_find(&runner->genesis.validators, bytes_str(id)) < 0) {
        snprintf(why, why_size, "%s: nodes: the genesis has no node %s", runner->config_path, id);
        return SEALMQ_E_CONFIG;
    }
    int error = net_url_parse(bytes_str(url), node->host, sizeof node->host, &node->port);
    if (error != 0) {
        snprintf(why, why_size, "%s: nodes: \"%s\" is no address like mqtt://127.0.0.1:1883: %s",
                 runner->config_path, url, sealmq_error_text(error));
        return SEALMQ_E_CONFIG;
    }
    snprintf(node->id, sizeof node->id, "%s", id);
    runner->node_count++;
    return 0;
}

static int choose_nodes(struct runner *runner, char *why, size_t why_size)
{
    const struct gateway_config *config = runner->config;
    const struct validator_set *set = &runner->genesis.validators;
    size_t count = config->nodes_count != 0 ? config->nodes_count : set->n;
    runner->nodes = calloc(count, sizeof *runner->nodes);
    if (runner->nodes == NULL)
        return SEALMQ_E_NOMEM;
    int error = 0;
    for (size_t i = 0; error == 0 && i < count; i++)
        error = config->nodes_count != 0
                    ? add_node(runner, config->nodes[i].id, config->nodes[i].url, why, why_size)
                    : add_node(runner, set->v[i].id, set->v[i].url, why, why_size);
    return error;
}

static int take_policies(struct runner *runner)
{
    const struct gateway_config *config = runner->config;
    size_t count = config->policies_count != 0 ? config->policies_count : 1;
    runner->policies = calloc(count, sizeof *runner->policies);
    if (runner->policies == NULL)
        return SEALMQ_E_NOMEM;
    if (config->policies_count == 0)
        runner->policies[0] = (struct gateway_policy){
            .pattern = "*", .periodic = true, .interval_ms = PERIODIC_DEFAULT_MS};
    for (size_t i = 0; i < config->policies_count; i++) {
        const struct gateway_rule *rule = &config->policies[i];
        struct gateway_policy *policy = &runner->policies[i];
        snprintf(policy->pattern, sizeof policy->pattern, "%s", rule->pattern);
        policy->periodic = rule->periodic != 0;
        policy->interval_ms = rule->periodic;
        policy->on_change = rule->on_change;
        policy->threshold = rule->threshold;
        policy->threshold_is_percent = rule->is_percent;
    }
    return 0;
}

static int load_entry(void *context, int kind, uint64_t key, struct bytes value)
{
    return gateway_load(context, (enum gateway_table)kind, key, value);
}

static int open_outbox(struct runner *runner, char *why, size_t why_size)
{
    char folder[PATH_SIZE], path[PATH_SIZE + 16], owner[ID_MAX + NETWORK_MAX + 2];
    int error = file_beside(runner->config_path, runner->config->data, folder);
    if (error == 0)
        error = folder_make(folder, why, why_size);
    if (error != 0)
        return error;
    snprintf(path, sizeof path, "%s/gateway.db", folder);
    snprintf(owner, sizeof owner, "%s %s", runner->config->id, runner->genesis.network);
    error = outbox_open(path, owner, &runner->outbox, why, why_size);
    if (error == 0) {
        error = outbox_each(runner->outbox, load_entry, runner->gateway);
        if (error == 0)
            error = gateway_loaded(runner->gateway);
        if (error != 0)
            snprintf(why, why_size,
                     "%s: what is kept there cannot be used (%s); move it away to start anew with "
                     "another id",
                     path, sealmq_error_text(error));
    }
    return error;
}

int runner_read_files(struct runner *runner, char *why, size_t why_size)
{
    const struct gateway_config *config = runner->config;
    int error = read_genesis(runner, why, why_size);
    if (error == 0)
        error = read_policy(runner, why, why_size);
    if (error == 0)
        error = read_key(runner, why, why_size);
    if (error == 0)
        error = choose_nodes(runner, why, why_size);
    if (error == 0)
        error = take_policies(runner);
    if (error == 0 && config->status != NULL)
        error = file_beside(runner->config_path, config->status, runner->status_path);
    if (error == 0)
        error = gateway_new(
            &(struct gateway_options){
                .id = config->id,
                .key = &runner->key,
                .genesis = &runner->genesis,
                .policy = runner->policy,
                .topic = config->report_topic,
                .report_interval_ms = config->report_interval,
                .anchor_interval_ms = config->anchor_interval,
                .policies = runner->policies,
                .policy_count = config->policies_count != 0 ? config->policies_count : 1,
            },
            &runner->gateway);
    if (error == 0)
        error = open_outbox(runner, why, why_size);
    return error;
}
