/* Reading the files of a set of rules, and its life. */
#include "serve/rules_int.h"

#include "base/log.h"
#include "serve/paths.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define COMPONENT     "access"
#define ACL_BYTES_MAX ((size_t)16 * 1024 * 1024)

struct rules *rules_ref(struct rules *rules)
{
    atomic_fetch_add(&rules->references, 1);
    return rules;
}

void rules_unref(struct rules *rules)
{
    if (rules == NULL || atomic_fetch_sub(&rules->references, 1) != 1)
        return;
    acl_free(rules->acl);
    passwords_unref(rules->passwords);
    token_keys_free(rules->token_keys);
    free(rules->redirect);
    free(rules);
}

const struct acl *rules_acl(const struct rules *rules)
{
    return rules->acl;
}

struct passwords *rules_passwords(const struct rules *rules)
{
    return rules->passwords;
}

const char *rules_redirect(const struct rules *rules, uint8_t *reason)
{
    *reason = rules->redirect_reason;
    return rules->redirect;
}

bool rules_let_anonymous_in(const struct rules *rules, unsigned listener)
{
    return listener < rules->listener_count && rules->listeners[listener].lets_anonymous_in;
}

static int load_acl(const struct rules_options *options, struct acl **out, char *why,
                    size_t why_size)
{
    char path[PATH_SIZE], words[256] = "";
    struct buf text = {0};
    unsigned line = 0;
    if (options->config->acl == NULL)
        return acl_default_new(options->acl_default, options->network, out);
    int e = serve_path(options->config_path, options->config->acl, path);
    if (e == 0)
        e = file_read(path, ACL_BYTES_MAX, &text, why, why_size);
    if (e == 0) {
        e = acl_parse(buf_bytes(&text), options->network, out, &line, words, sizeof words);
        if (e != 0)
            snprintf(why, why_size, "%s:%u: %s", path, line,
                     words[0] != '\0' ? words : sealmq_error_text(e));
    }
    buf_close(&text);
    return e;
}

static int load_passwords(const struct rules_options *options, struct passwords **out, char *why,
                          size_t why_size)
{
    char path[PATH_SIZE];
    struct buf text = {0};
    struct stat status;
    *out = NULL;
    if (options->config->passwords == NULL)
        return 0;
    int e = serve_path(options->config_path, options->config->passwords, path);
    if (e == 0)
        e = file_read(path, PASSWORDS_FILE_MAX, &text, why, why_size);
    if (e == 0)
        e = passwords_parse(buf_bytes(&text), path, out, why, why_size);
    if (e == 0 && stat(path, &status) == 0 && (status.st_mode & (S_IRWXG | S_IRWXO)) != 0)
        log_warn(COMPONENT, "%s: others may read it; chmod 600 would keep the hashes to you", path);
    buf_wipe(&text);
    return e;
}

static int load_token_keys(const struct rules_options *options, struct rules *rules, char *why,
                           size_t why_size)
{
    const struct config_tokens *tokens = options->config->tokens;
    char path[PATH_SIZE];
    struct buf text = {0};
    if (tokens == NULL)
        return 0;
    const char *colon = strchr(tokens->audience, ':');
    if (colon == NULL)
        return SEALMQ_E_CONFIG;
    struct bytes network = bytes_of(tokens->audience, (size_t)(colon - tokens->audience));
    int e = bytes_to_cstr(network, rules->network, sizeof rules->network);
    if (e == 0)
        e = bytes_to_cstr(bytes_str(colon + 1), rules->node, sizeof rules->node);
    if (e == 0)
        e = serve_path(options->config_path, tokens->keys, path);
    if (e == 0)
        e = file_read(path, TOKEN_KEYS_FILE_MAX, &text, why, why_size);
    if (e == 0)
        e = token_keys_parse(buf_bytes(&text), path, &rules->token_keys, why, why_size);
    buf_close(&text);
    return e;
}

static void take_listeners(const struct broker_config *config, struct rules *rules)
{
    for (unsigned i = 0; i < config->listeners_count && i < CONFIG_LISTENERS_MAX; i++) {
        const struct config_listener *listener = &config->listeners[i];
        struct rules_listener *own = &rules->listeners[i];
        own->lets_anonymous_in = broker_config_lets_anonymous_in(config, listener);
        for (unsigned way = 0; way < RULES_WAYS; way++)
            own->takes[way] = listener_config_takes(listener, (enum config_way)way);
        rules->listener_count = i + 1;
    }
}

static int take_redirect(const struct broker_config *config, struct rules *rules)
{
    const struct config_redirect *redirect = config->redirect;
    if (redirect == NULL || redirect->when != CONFIG_REDIRECT_ALWAYS)
        return 0;
    rules->redirect = strdup(redirect->to);
    rules->redirect_reason = broker_config_redirect_reason(redirect);
    return rules->redirect == NULL ? SEALMQ_E_NOMEM : 0;
}

int rules_load(const struct rules_options *options, struct rules **out, char *why, size_t why_size)
{
    struct rules *rules = calloc(1, sizeof *rules);
    *out = NULL;
    why[0] = '\0';
    if (rules == NULL)
        return SEALMQ_E_NOMEM;
    atomic_init(&rules->references, 1);
    take_listeners(options->config, rules);
    int e = take_redirect(options->config, rules);
    if (e == 0)
        e = load_acl(options, &rules->acl, why, why_size);
    if (e == 0)
        e = load_passwords(options, &rules->passwords, why, why_size);
    if (e == 0)
        e = load_token_keys(options, rules, why, why_size);
    if (e != 0) {
        if (why[0] == '\0')
            snprintf(why, why_size, "%s", sealmq_error_text(e));
        rules_unref(rules);
        return e;
    }
    *out = rules;
    return 0;
}
