/* The genesis as the JSON file that people read and copy to every node:
 *
 *   {"network": "plant",
 *    "created": "20260101T000000Z",
 *    "validators": [{"id": "broker/a", "key": "<base64>", "logKey": "<base64>",
 *                    "cosignerKey": "<base64>", "url": "mqtt://host:1883"}, ...],
 *    "admins": {"threshold": 1, "keys": [{"id": "admin/anna", "key": "<base64>"}, ...]},
 *    "parameters": {"difficulty": 0, "anchorIntervalMs": 60000}} */
#include "ledger/genesis.h"

#include "base/json.h"
#include "base/text.h"

#include <stdio.h>

/* A place in the file, for people: "validators[2]". */
struct place {
    const char *list; /* NULL: the top */
    size_t index;
    char *why;
    size_t why_size;
};

static int refuse(const struct place *place, int error, const char *message)
{
    if (place->why == NULL || place->why_size == 0)
        return error;
    if (place->list == NULL)
        snprintf(place->why, place->why_size, "%s", message);
    else if (place->index == SIZE_MAX)
        snprintf(place->why, place->why_size, "%s: %s", place->list, message);
    else
        snprintf(place->why, place->why_size, "%s[%zu]: %s", place->list, place->index, message);
    return error;
}

/* Refuses members whose names are not in the list (ended by NULL). */
static int check_members(const cJSON *object, const char *const *known, const struct place *place)
{
    if (!cJSON_IsObject(object))
        return refuse(place, SEALMQ_E_PARSE, "not an object");
    const cJSON *member;
    cJSON_ArrayForEach(member, object)
    {
        size_t i = 0;
        while (known[i] != NULL && strcmp(known[i], member->string) != 0)
            i++;
        if (known[i] == NULL) {
            char message[128];
            snprintf(message, sizeof(message), "member \"%.64s\" is not known", member->string);
            return refuse(place, SEALMQ_E_PARSE, message);
        }
    }
    return 0;
}

static int read_string(const cJSON *object, const char *name, char *out, size_t out_size,
                       const struct place *place)
{
    struct json_error error;
    const char *text;
    if (json_member_string(object, name, &text, &error) != 0)
        return refuse(place, SEALMQ_E_PARSE, error.message);
    if (bytes_to_cstr(bytes_str(text), out, out_size) != 0) {
        char message[128];
        snprintf(message, sizeof(message), "member \"%s\" is longer than %zu bytes", name,
                 out_size - 1);
        return refuse(place, SEALMQ_E_LIMIT, message);
    }
    return 0;
}

static int read_key(const cJSON *object, const char *name, struct public_key *out,
                    const struct place *place)
{
    struct json_error error;
    if (json_member_base64(object, name, out->b, PUBLIC_KEY_SIZE, &error) != 0)
        return refuse(place, SEALMQ_E_PARSE, error.message);
    return 0;
}

static int read_number(const cJSON *object, const char *name, uint64_t most, uint64_t *out,
                       const struct place *place)
{
    struct json_error error;
    if (json_member_u64(object, name, out, &error) != 0)
        return refuse(place, SEALMQ_E_PARSE, error.message);
    if (*out > most) {
        char message[128];
        snprintf(message, sizeof(message), "member \"%s\" must be at most %llu", name,
                 (unsigned long long)most);
        return refuse(place, SEALMQ_E_LIMIT, message);
    }
    return 0;
}

static int read_validators(const cJSON *root, struct genesis *out, struct place place)
{
    static const char *const known[] = {"id", "key", "logKey", "cosignerKey", "url", NULL};
    struct json_error error;
    const cJSON *list;
    if (json_member_array(root, "validators", &list, &error) != 0)
        return refuse(&place, SEALMQ_E_PARSE, error.message);
    place.list = "validators";
    const cJSON *entry;
    cJSON_ArrayForEach(entry, list)
    {
        place.index = out->validators.n;
        if (out->validators.n == VALIDATORS_MAX)
            return refuse(&place, SEALMQ_E_LIMIT, "too many");
        struct validator *v = &out->validators.v[out->validators.n++];
        int result = check_members(entry, known, &place);
        if (result == 0)
            result = read_string(entry, "id", v->id, sizeof(v->id), &place);
        if (result == 0)
            result = read_key(entry, "key", &v->key, &place);
        if (result == 0)
            result = read_key(entry, "logKey", &v->log_key, &place);
        if (result == 0)
            result = read_key(entry, "cosignerKey", &v->cosigner_key, &place);
        if (result == 0)
            result = read_string(entry, "url", v->url, sizeof(v->url), &place);
        if (result != 0)
            return result;
    }
    return 0;
}

static int read_admins(const cJSON *root, struct genesis *out, struct place place)
{
    static const char *const known[] = {"threshold", "keys", NULL};
    static const char *const known_admin[] = {"id", "key", NULL};
    struct json_error error;
    const cJSON *object, *list;
    if (json_member_object(root, "admins", &object, &error) != 0)
        return refuse(&place, SEALMQ_E_PARSE, error.message);
    place.list = "admins";
    place.index = SIZE_MAX;
    uint64_t threshold = 0;
    int result = check_members(object, known, &place);
    if (result == 0)
        result = read_number(object, "threshold", ADMINS_MAX, &threshold, &place);
    if (result != 0)
        return result;
    out->admin_threshold = (unsigned)threshold;
    if (json_member_array(object, "keys", &list, &error) != 0)
        return refuse(&place, SEALMQ_E_PARSE, error.message);
    place.list = "admins.keys";
    const cJSON *entry;
    cJSON_ArrayForEach(entry, list)
    {
        place.index = out->admin_count;
        if (out->admin_count == ADMINS_MAX)
            return refuse(&place, SEALMQ_E_LIMIT, "too many");
        struct genesis_admin *admin = &out->admins[out->admin_count++];
        result = check_members(entry, known_admin, &place);
        if (result == 0)
            result = read_string(entry, "id", admin->id, sizeof(admin->id), &place);
        if (result == 0)
            result = read_key(entry, "key", &admin->key, &place);
        if (result != 0)
            return result;
    }
    return 0;
}

static int read_parameters(const cJSON *root, struct genesis *out, struct place place)
{
    static const char *const known[] = {"difficulty", "anchorIntervalMs", NULL};
    struct json_error error;
    const cJSON *object;
    if (json_member_object(root, "parameters", &object, &error) != 0)
        return refuse(&place, SEALMQ_E_PARSE, error.message);
    place.list = "parameters";
    place.index = SIZE_MAX;
    uint64_t difficulty = 0, interval = 0;
    int result = check_members(object, known, &place);
    if (result == 0)
        result = read_number(object, "difficulty", DIFFICULTY_MAX, &difficulty, &place);
    if (result == 0)
        result = read_number(object, "anchorIntervalMs", ANCHOR_INTERVAL_MAX_MS, &interval, &place);
    out->parameters.difficulty = (uint8_t)difficulty;
    out->parameters.anchor_interval_ms = (uint32_t)interval;
    return result;
}

static int read_genesis(const cJSON *root, struct genesis *out, const struct place *place)
{
    static const char *const known[] = {"network", "created",    "validators",
                                        "admins",  "parameters", NULL};
    char created[EVENTTIME_MAX];
    int result = check_members(root, known, place);
    if (result == 0)
        result = read_string(root, "network", out->network, sizeof(out->network), place);
    if (result == 0)
        result = read_string(root, "created", created, sizeof(created), place);
    if (result == 0 && eventtime_parse(bytes_str(created), &out->created_us) != 0)
        result = refuse(place, SEALMQ_E_PARSE, "member \"created\" is not like 20260101T000000Z");
    if (result == 0)
        result = read_validators(root, out, *place);
    if (result == 0)
        result = read_admins(root, out, *place);
    if (result == 0)
        result = read_parameters(root, out, *place);
    return result;
}

int genesis_parse(struct bytes json, struct genesis *out, char *why, size_t why_size)
{
    *out = (struct genesis){0};
    struct place top = {.why = why, .why_size = why_size};
    struct json_error error;
    cJSON *root;
    int result = json_parse(json, &root, &error);
    if (result != 0)
        return refuse(&top, result,
                      result == SEALMQ_E_PARSE ? error.message : sealmq_error_text(result));
    result = read_genesis(root, out, &top);
    cJSON_Delete(root);
    return result != 0 ? result : genesis_seal(out, why, why_size);
}

/* --- writing --- */

static void write_key(struct buf *out, const char *name, const struct public_key *key)
{
    buf_printf(out, "\"%s\": \"", name);
    base64_append(out, bytes_of(key->b, PUBLIC_KEY_SIZE));
    buf_append_cstr(out, "\"");
}

static void write_string(struct buf *out, const char *name, const char *value)
{
    buf_printf(out, "\"%s\": ", name);
    json_append_string(out, bytes_str(value));
}

int genesis_format(const struct genesis *genesis, struct buf *json)
{
    char created[EVENTTIME_MAX];
    eventtime_format(genesis->created_us, created);
    buf_append_cstr(json, "{\n  ");
    write_string(json, "network", genesis->network);
    buf_append_cstr(json, ",\n  ");
    write_string(json, "created", created);
    buf_append_cstr(json, ",\n  \"validators\": [");
    for (size_t i = 0; i < genesis->validators.n; i++) {
        const struct validator *v = &genesis->validators.v[i];
        buf_append_cstr(json, i == 0 ? "\n    {" : ",\n    {");
        write_string(json, "id", v->id);
        buf_append_cstr(json, ",\n     ");
        write_string(json, "url", v->url);
        buf_append_cstr(json, ",\n     ");
        write_key(json, "key", &v->key);
        buf_append_cstr(json, ",\n     ");
        write_key(json, "logKey", &v->log_key);
        buf_append_cstr(json, ",\n     ");
        write_key(json, "cosignerKey", &v->cosigner_key);
        buf_append_cstr(json, "}");
    }
    buf_printf(json, "\n  ],\n  \"admins\": {\n    \"threshold\": %u,\n    \"keys\": [",
               genesis->admin_threshold);
    for (size_t i = 0; i < genesis->admin_count; i++) {
        buf_append_cstr(json, i == 0 ? "\n      {" : ",\n      {");
        write_string(json, "id", genesis->admins[i].id);
        buf_append_cstr(json, ", ");
        write_key(json, "key", &genesis->admins[i].key);
        buf_append_cstr(json, "}");
    }
    buf_printf(
        json,
        "\n    ]\n  },\n  \"parameters\": {\"difficulty\": %u, \"anchorIntervalMs\": %lu}\n}\n",
        genesis->parameters.difficulty, (unsigned long)genesis->parameters.anchor_interval_ms);
    return buf_status(json);
}
