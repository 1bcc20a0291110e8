#include "device/announce.h"

#include "base/id.h"
#include "base/json.h"
#include "base/text.h"

/* str8 id || key */
#define SIGNED_MAX (1 + ID_MAX + PUBLIC_KEY_SIZE)

static struct bytes signed_part(const char *id, const struct public_key *key,
                                uint8_t place[SIGNED_MAX])
{
    size_t n = strlen(id);
    place[0] = (uint8_t)n;
    memcpy(place + 1, id, n);
    memcpy(place + 1 + n, key->b, PUBLIC_KEY_SIZE);
    return bytes_of(place, 1 + n + PUBLIC_KEY_SIZE);
}

int announce_format(const char *id, const struct sign_key *key, const struct hash *genesis,
                    struct buf *out)
{
    if (!id_is_valid(bytes_str(id)))
        return SEALMQ_E_ARG;
    uint8_t place[SIGNED_MAX];
    struct signature signature;
    sign_message(key, ANNOUNCE_LABEL, genesis, signed_part(id, &key->public_key, place),
                 &signature);
    buf_printf(out, "{\"id\":\"%s\",\"key\":\"", id);
    base64_append(out, bytes_of(key->public_key.b, PUBLIC_KEY_SIZE));
    buf_append_cstr(out, "\",\"sign\":\"");
    base64_append(out, bytes_of(signature.b, SIGNATURE_SIZE));
    buf_append_cstr(out, "\"}");
    return buf_status(out);
}

static int read_members(const cJSON *json, char id[ID_MAX + 1], struct public_key *key,
                        struct signature *signature)
{
    const char *text;
    int error = json_member_string(json, "id", &text, NULL);
    if (error == 0 && !id_is_valid(bytes_str(text)))
        error = SEALMQ_E_PARSE;
    if (error == 0)
        error = bytes_to_cstr(bytes_str(text), id, ID_MAX + 1);
    if (error == 0)
        error = json_member_base64(json, "key", key->b, PUBLIC_KEY_SIZE, NULL);
    if (error == 0)
        error = json_member_base64(json, "sign", signature->b, SIGNATURE_SIZE, NULL);
    return error;
}

int announce_parse(struct bytes json, const struct hash *genesis, char id[ID_MAX + 1],
                   struct public_key *key)
{
    if (json.n > ANNOUNCE_BYTES_MAX)
        return SEALMQ_E_LIMIT;
    cJSON *object;
    struct signature signature;
    int error = json_parse(json, &object, NULL);
    if (error != 0)
        return error;
    error = read_members(object, id, key, &signature);
    cJSON_Delete(object);
    if (error != 0)
        return error;
    uint8_t place[SIGNED_MAX];
    return sign_verify(key, ANNOUNCE_LABEL, genesis, signed_part(id, key, place), &signature);
}
