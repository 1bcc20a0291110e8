#include "cli/admin.h"

#include "cli/cli.h"

#include "base/json.h"
#include "base/text.h"
#include "crypto/random.h"
#include "crypto/token.h"
#include "mqtt/reason.h"
#include "net/link.h"
#include "store/file.h"
#include "store/keyfile.h"
#include "store/network_files.h"

#include <stdio.h>
#include <time.h>

#define TOKEN_LIFE_S    60
#define QUESTION_TICKET 1

bool admin_option(struct admin *admin, int option, const char *value)
{
    switch (option) {
    case 'd':
        admin->folder = value;
        return true;
    case 'G':
        admin->genesis_path = value;
        return true;
    case 'K':
        admin->key_path = value;
        return true;
    case 'N':
        admin->node = value;
        return true;
    case 'U':
        admin->url = value;
        return true;
    case 'T':
        admin->timeout = value;
        return true;
    default:
        return false;
    }
}

/* `given`, or `name` in the folder. */
static int choose_path(const struct admin *admin, const char *given, const char *name,
                       char out[PATH_SIZE])
{
    const char *folder = admin->folder != NULL ? admin->folder : ".";
    int n = given != NULL ? snprintf(out, PATH_SIZE, "%s", given)
                          : snprintf(out, PATH_SIZE, "%s/%s", folder, name);
    return n > 0 && n < PATH_SIZE ? 0 : SEALMQ_E_LIMIT;
}

int admin_open(struct admin *admin, char *why, size_t why_size)
{
    char path[PATH_SIZE];
    uint64_t seconds = ADMIN_TIMEOUT_S;
    why[0] = '\0';
    if (admin->timeout != NULL && !cli_parse_number(admin->timeout, 1, 3600, &seconds)) {
        snprintf(why, why_size, "--timeout must be 1 to 3600 s, not '%s'", admin->timeout);
        return SEALMQ_E_ARG;
    }
    admin->timeout_s = (unsigned)seconds;
    int error = crypto_init();
    if (error == 0)
        error = choose_path(admin, admin->genesis_path, "genesis.json", path);
    if (error == 0)
        error = genesis_file_read(path, &admin->genesis, why, why_size);
    if (error == 0)
        error = choose_path(admin, admin->key_path, "admin.key", path);
    if (error == 0)
        error = keyfile_read(path, admin->id, &admin->key, why, why_size);
    if (error != 0 && why[0] == '\0')
        snprintf(why, why_size, "%s", sealmq_error_text(error));
    return error;
}

void admin_close(struct admin *admin)
{
    sign_key_wipe(&admin->key);
}

/* ---- one conversation ---- */

struct conversation {
    struct admin *admin;
    const struct validator *node;
    struct validator elsewhere; /* what `node` points to when it is not in the genesis */
    const char *suffix;
    struct bytes payload;
    struct buf *answer;
    char *why;
    size_t why_size;
    struct net_link *link;
    bool was_connected;
    uv_loop_t loop;
    uv_timer_t timer;
    int result; /* SEALMQ_E_AGAIN while it goes on */
};

static void finish(struct conversation *talk, int result)
{
    if (talk->result != SEALMQ_E_AGAIN)
        return;
    talk->result = result;
    uv_stop(&talk->loop);
}

static int credentials(void *context, struct buf *user_name, struct buf *password)
{
    const struct conversation *talk = context;
    const struct admin *admin = talk->admin;
    uint8_t random[TOKEN_JTI_RANDOM];
    random_bytes(random, sizeof random);
    struct token token = {.iat = (int64_t)time(NULL)};
    token.exp = token.iat + TOKEN_LIFE_S;
    snprintf(token.iss, sizeof token.iss, "%s", admin->id);
    snprintf(token.network, sizeof token.network, "%s", admin->genesis.network);
    snprintf(token.node, sizeof token.node, "%s", talk->node->id);
    int error = token_jti_make(random, token.jti);
    if (error != 0)
        return error;
    buf_append_cstr(user_name, admin->id);
    return token_make(&token, &admin->key, password);
}

static void on_connected(void *context)
{
    struct conversation *talk = context;
    const struct admin *admin = talk->admin;
    char topic[NETWORK_MAX + ID_MAX + 32];
    talk->was_connected = true;
    talk->why[0] = '\0';
    snprintf(topic, sizeof topic, "chain/%s/reply/%s", admin->genesis.network, admin->id);
    int error = net_link_subscribe(talk->link, topic, 1);
    snprintf(topic, sizeof topic, "chain/%s/%s", admin->genesis.network, talk->suffix);
    if (error == 0)
        error = net_link_publish(talk->link, topic, talk->payload, 1, false, QUESTION_TICKET);
    if (error != 0) {
        snprintf(talk->why, talk->why_size, "%s: %s", talk->node->id, sealmq_error_text(error));
        finish(talk, error);
    }
}

static void on_disconnected(void *context, uint8_t reason, const char *words)
{
    struct conversation *talk = context;
    snprintf(talk->why, talk->why_size, "%s (%s): %s", talk->node->id, talk->node->url, words);
    bool is_denied =
        reason == MQTT_REASON_NOT_AUTHORIZED || reason == MQTT_REASON_BAD_USER_NAME_OR_PASSWORD;
    if (is_denied)
        finish(talk, SEALMQ_E_DENIED);
    else if (!talk->was_connected) /* whoever asks can ask again, and knows whether it is worth it
                                    */
        finish(talk, SEALMQ_E_TIMEOUT);
}

/* A question that was refused gets no answer. */
static void on_published(void *context, uint64_t ticket, uint8_t reason)
{
    struct conversation *talk = context;
    if (ticket != QUESTION_TICKET || reason < 0x80)
        return;
    snprintf(talk->why, talk->why_size, "%s (%s): %s", talk->node->id, talk->node->url,
             mqtt_reason_text(reason));
    finish(talk, reason == MQTT_REASON_SERVER_BUSY ? SEALMQ_E_BUSY : SEALMQ_E_DENIED);
}

static void on_message(void *context, const struct net_link_message *message)
{
    struct conversation *talk = context;
    buf_append_bytes(talk->answer, message->payload);
    finish(talk, buf_status(talk->answer));
}

static void on_timeout(uv_timer_t *timer)
{
    struct conversation *talk = timer->data;
    if (talk->why[0] == '\0')
        snprintf(talk->why, talk->why_size, "%s (%s) has not answered for %u s", talk->node->id,
                 talk->node->url, talk->admin->timeout_s);
    finish(talk, SEALMQ_E_TIMEOUT);
}

/* One that is not in the genesis: the others know where it is. */
static int choose_newer_node(struct conversation *talk)
{
    struct admin others = *talk->admin;
    struct validator_set set;
    others.node = NULL;
    int error = admin_validators(&others, &set, talk->why, talk->why_size);
    sign_key_wipe(&others.key);
    if (error != 0)
        return error;
    for (size_t i = 0; i < set.n; i++) {
        if (strcmp(set.v[i].id, talk->admin->node) == 0) {
            talk->elsewhere = set.v[i];
            talk->node = &talk->elsewhere;
            return 0;
        }
    }
    snprintf(talk->why, talk->why_size,
             "neither the genesis nor the validators have a node %s: where is it (--url)?",
             talk->admin->node);
    return SEALMQ_E_NOTFOUND;
}

static int choose_node(struct conversation *talk)
{
    const struct admin *admin = talk->admin;
    const struct validator_set *set = &admin->genesis.validators;
    if (admin->url != NULL && admin->node == NULL) {
        snprintf(talk->why, talk->why_size, "--url needs --node as well");
        return SEALMQ_E_ARG;
    }
    if (admin->url != NULL) {
        int error =
            bytes_to_cstr(bytes_str(admin->node), talk->elsewhere.id, sizeof talk->elsewhere.id);
        if (error == 0)
            error = bytes_to_cstr(bytes_str(admin->url), talk->elsewhere.url,
                                  sizeof talk->elsewhere.url);
        talk->node = &talk->elsewhere;
        return error;
    }
    int index = admin->node != NULL ? validator_set_find(set, bytes_str(admin->node)) : 0;
    if (index < 0)
        return choose_newer_node(talk);
    talk->node = &set->v[index];
    return 0;
}

static int converse(struct conversation *talk)
{
    char host[256];
    uint16_t port;
    int error = net_url_parse(bytes_str(talk->node->url), host, sizeof host, &port);
    if (error != 0)
        return error;
    const struct net_link_options options = {
        .loop = &talk->loop,
        .host = host,
        .port = port,
        .client_id = talk->admin->id,
        .clean_start = true,
        .context = talk,
        .credentials = credentials,
        .connected = on_connected,
        .disconnected = on_disconnected,
        .message = on_message,
        .published = on_published,
    };
    uv_timer_init(&talk->loop, &talk->timer);
    talk->timer.data = talk;
    uv_timer_start(&talk->timer, on_timeout, talk->admin->timeout_s * UINT64_C(1000), 0);
    error = net_link_new(&options, &talk->link);
    if (error == 0) {
        uv_run(&talk->loop, UV_RUN_DEFAULT);
        error = talk->result;
        net_link_free(talk->link);
    }
    uv_close((uv_handle_t *)&talk->timer, NULL);
    uv_run(&talk->loop, UV_RUN_DEFAULT);
    return error;
}

int admin_ask(struct admin *admin, const char *suffix, struct bytes payload, struct buf *answer,
              char *why, size_t why_size)
{
    struct conversation talk = {
        .admin = admin,
        .suffix = suffix,
        .payload = payload,
        .answer = answer,
        .why = why,
        .why_size = why_size,
        .result = SEALMQ_E_AGAIN,
    };
    why[0] = '\0';
    int error = choose_node(&talk);
    if (error == 0 && uv_loop_init(&talk.loop) != 0)
        error = SEALMQ_E_NOMEM;
    else if (error == 0) {
        error = converse(&talk);
        uv_loop_close(&talk.loop);
    }
    if (error != 0 && why[0] == '\0')
        snprintf(why, why_size, "%s", sealmq_error_text(error));
    return error;
}

static int read_validators(struct bytes answer, struct validator_set *out)
{
    cJSON *json = NULL;
    const cJSON *each;
    *out = (struct validator_set){0};
    int error = json_parse(answer, &json, NULL);
    cJSON_ArrayForEach(each, cJSON_GetObjectItemCaseSensitive(json, "validators"))
    {
        const char *id = NULL, *url = NULL;
        struct validator *validator = &out->v[out->n];
        if (error == 0 && out->n == VALIDATORS_MAX)
            error = SEALMQ_E_LIMIT;
        if (error == 0)
            error = json_member_string(each, "id", &id, NULL);
        if (error == 0)
            error = json_member_string(each, "url", &url, NULL);
        if (error == 0)
            error = bytes_to_cstr(bytes_str(id), validator->id, sizeof validator->id);
        if (error == 0)
            error = bytes_to_cstr(bytes_str(url), validator->url, sizeof validator->url);
        if (error != 0)
            break;
        out->n++;
    }
    cJSON_Delete(json);
    return error == 0 && out->n == 0 ? SEALMQ_E_PARSE : error;
}

int admin_validators(struct admin *admin, struct validator_set *out, char *why, size_t why_size)
{
    struct admin there = *admin;
    int error = SEALMQ_E_NOTFOUND;
    for (size_t i = 0; i < admin->genesis.validators.n && error != 0; i++) {
        struct buf answer = {0};
        if (admin->node == NULL)
            there.node = admin->genesis.validators.v[i].id;
        error = admin_ask(&there, "query", BYTES_LIT("{\"query\":\"validators\"}"), &answer, why,
                          why_size);
        if (error == 0)
            error = read_validators(buf_bytes(&answer), out);
        buf_close(&answer);
        if (admin->node != NULL)
            break;
    }
    sign_key_wipe(&there.key);
    return error;
}

int admin_request_number(struct admin *admin, uint64_t *number, char *why, size_t why_size)
{
    struct buf answer = {0};
    cJSON *json = NULL;
    struct json_error words = {0};
    int error = admin_ask(admin, "query", BYTES_LIT("{\"query\":\"request-number\"}"), &answer, why,
                          why_size);
    if (error == 0) {
        error = json_parse(buf_bytes(&answer), &json, &words);
        if (error == 0)
            error = json_member_u64(json, "number", number, &words);
        if (error != 0)
            snprintf(why, why_size, "the node's answer cannot be read: %s", words.message);
    }
    cJSON_Delete(json);
    buf_close(&answer);
    return error;
}
