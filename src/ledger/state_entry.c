#include "ledger/state_entry.h"

#include "base/assert.h"
#include "base/id.h"

void state_key_member(struct bytes id, struct buf *out)
{
    buf_append_cstr(out, "member/");
    buf_append_bytes(out, id);
}

void state_key_item(struct bytes gateway, uint32_t num, struct buf *out)
{
    buf_append_cstr(out, "item/");
    buf_append_bytes(out, gateway);
    buf_printf(out, "/%lu", (unsigned long)num);
}

void state_key_key(const struct public_key *key, struct buf *out)
{
    buf_append_cstr(out, "key/");
    for (size_t i = 0; i < PUBLIC_KEY_SIZE; i++)
        buf_printf(out, "%02x", key->b[i]);
}

bool state_key_read_digits(struct bytes digits, struct public_key *out)
{
    if (digits.n != 2 * PUBLIC_KEY_SIZE)
        return false;
    for (size_t i = 0; i < digits.n; i++) {
        uint8_t c = digits.p[i];
        uint8_t nibble = c >= '0' && c <= '9'   ? (uint8_t)(c - '0')
                         : c >= 'a' && c <= 'f' ? (uint8_t)(c - 'a' + 10)
                                                : 16;
        if (nibble == 16)
            return false;
        out->b[i / 2] = (uint8_t)(i % 2 == 0 ? nibble << 4 : out->b[i / 2] | nibble);
    }
    return true;
}

static bool role_is_known(uint8_t role)
{
    return role == MEMBER_GATEWAY || role == MEMBER_VALIDATOR;
}

/* Whether the member's keys follow one another in time, and status and heights agree. */
static bool member_is_consistent(const struct member_value *value)
{
    if ((value->status == MEMBER_REVOKED) != (value->revoked_height != 0))
        return false;
    uint64_t free_from = 0;
    for (size_t i = 0; i < value->key_count; i++) {
        const struct member_key *key = &value->keys[i];
        bool current = key->until == 0;
        if (key->from < free_from || (current && i + 1 != value->key_count) ||
            (!current && key->until < key->from))
            return false;
        free_from = key->until;
    }
    return true;
}

void member_value_encode(const struct member_value *value, struct buf *out)
{
    ASSERT(value->key_count >= 1 && value->key_count <= MEMBER_KEYS_MAX);
    ASSERT(member_is_consistent(value));
    buf_append_u8(out, (uint8_t)value->role);
    buf_append_u8(out, (uint8_t)value->status);
    buf_append_u64(out, value->revoked_height);
    buf_append_u8(out, (uint8_t)value->key_count);
    for (size_t i = 0; i < value->key_count; i++) {
        buf_append(out, value->keys[i].key.b, PUBLIC_KEY_SIZE);
        buf_append_u64(out, value->keys[i].from);
        buf_append_u64(out, value->keys[i].until);
    }
}

int member_value_decode(struct bytes wire, struct member_value *out)
{
    *out = (struct member_value){0};
    struct reader r = reader_of(wire);
    uint8_t role = reader_u8(&r);
    uint8_t status = reader_u8(&r);
    out->revoked_height = reader_u64(&r);
    out->key_count = reader_u8(&r);
    if (r.failed == 0 &&
        (!role_is_known(role) || (status != MEMBER_ACTIVE && status != MEMBER_REVOKED)))
        return SEALMQ_E_TYPE;
    if (out->key_count > MEMBER_KEYS_MAX)
        return SEALMQ_E_LIMIT;
    for (size_t i = 0; i < out->key_count; i++) {
        reader_copy(&r, out->keys[i].key.b, PUBLIC_KEY_SIZE);
        out->keys[i].from = reader_u64(&r);
        out->keys[i].until = reader_u64(&r);
    }
    int error = reader_end(&r);
    if (error != 0)
        return error;
    out->role = (enum member_role)role;
    out->status = (enum member_status)status;
    return out->key_count != 0 && member_is_consistent(out) ? 0 : SEALMQ_E_PARSE;
}

const struct public_key *member_value_key_at(const struct member_value *value, uint64_t height)
{
    if (value->status != MEMBER_ACTIVE)
        return NULL;
    for (size_t i = value->key_count; i > 0; i--) {
        const struct member_key *key = &value->keys[i - 1];
        if (key->from <= height && (key->until == 0 || height < key->until))
            return &key->key;
    }
    return NULL;
}

void item_value_encode(const struct item *item, struct buf *out)
{
    buf_append_str8(out, item->device);
    buf_append_str8(out, item->service);
    buf_append_str8(out, item->name);
    buf_append_u8(out, (uint8_t)item->type);
    buf_append_str8(out, item->unit);
}

int item_value_decode(struct bytes wire, struct item *out)
{
    *out = (struct item){0};
    struct reader r = reader_of(wire);
    out->device = reader_str8(&r);
    out->service = reader_str8(&r);
    out->name = reader_str8(&r);
    uint8_t type = reader_u8(&r);
    out->unit = reader_str8(&r);
    int error = reader_end(&r);
    if (error != 0)
        return error;
    if (datatype_name((enum datatype)type) == NULL)
        return SEALMQ_E_TYPE;
    out->type = (enum datatype)type;
    if (out->unit.n > UNIT_MAX_BYTES)
        return SEALMQ_E_LIMIT;
    bool named = item_name_is_valid(out->device) && item_name_is_valid(out->service) &&
                 item_name_is_valid(out->name);
    return named && datatype_check(DATATYPE_STRING, out->unit) == 0 ? 0 : SEALMQ_E_PARSE;
}

void admins_value_encode(const struct admins_value *value, struct buf *out)
{
    ASSERT(value->n <= ADMINS_MAX && value->threshold <= value->n);
    buf_append_u8(out, (uint8_t)value->threshold);
    buf_append_u8(out, (uint8_t)value->n);
    for (size_t i = 0; i < value->n; i++) {
        buf_append_str8(out, bytes_str(value->admins[i].id));
        buf_append(out, value->admins[i].key.b, PUBLIC_KEY_SIZE);
    }
}

int admins_value_decode(struct bytes wire, struct admins_value *out)
{
    *out = (struct admins_value){0};
    struct reader r = reader_of(wire);
    out->threshold = reader_u8(&r);
    out->n = reader_u8(&r);
    if (out->n > ADMINS_MAX)
        return SEALMQ_E_LIMIT;
    for (size_t i = 0; i < out->n; i++) {
        reader_cstr8(&r, out->admins[i].id, sizeof(out->admins[i].id));
        reader_copy(&r, out->admins[i].key.b, PUBLIC_KEY_SIZE);
    }
    int error = reader_end(&r);
    if (error != 0)
        return error;
    if (out->threshold == 0 || out->threshold > out->n)
        return SEALMQ_E_PARSE;
    static const struct public_key none;
    for (size_t i = 0; i < out->n; i++) {
        struct bytes id = bytes_str(out->admins[i].id);
        if (!id_is_valid(id) || !bytes_starts_with(id, BYTES_LIT("admin/")) ||
            memcmp(&out->admins[i].key, &none, sizeof(none)) == 0 ||
            (i > 0 && bytes_compare(bytes_str(out->admins[i - 1].id), id) >= 0))
            return SEALMQ_E_PARSE;
        for (size_t j = 0; j < i; j++)
            if (memcmp(&out->admins[j].key, &out->admins[i].key, sizeof(none)) == 0)
                return SEALMQ_E_EXISTS;
    }
    return 0;
}

void key_value_encode(enum key_use use, struct bytes id, struct buf *out)
{
    buf_append_u8(out, (uint8_t)use);
    buf_append_str8(out, id);
}

int key_value_decode(struct bytes wire, enum key_use *use, struct bytes *id)
{
    struct reader r = reader_of(wire);
    uint8_t value = reader_u8(&r);
    *id = reader_str8(&r);
    int error = reader_end(&r);
    if (error != 0)
        return error;
    *use = (enum key_use)value;
    if (value != KEY_OF_LOG && value != KEY_OF_COSIGNER && value != KEY_OF_ADMIN)
        return SEALMQ_E_TYPE;
    bool is_admin = bytes_starts_with(*id, BYTES_LIT("admin/"));
    return id_is_valid(*id) && is_admin == (value == KEY_OF_ADMIN) ? 0 : SEALMQ_E_PARSE;
}

const struct public_key *admins_value_key(const struct admins_value *value, struct bytes id)
{
    for (size_t i = 0; i < value->n; i++)
        if (bytes_equal(bytes_str(value->admins[i].id), id))
            return &value->admins[i].key;
    return NULL;
}
