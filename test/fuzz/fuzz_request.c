/* Requests from their wire form. What decodes is canonical: written again from the decoded fields
 * it is the same to the byte. */
#include "ledger/request.h"
#include "ledger/state_entry.h"

#include "base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void put_data(const struct request *request, struct buf *head, struct buf *beside)
{
    buf_append_u32(head, request->data.record_count);
    buf_append(head, request->data.records_root.b, HASH_SIZE);
    buf_append_u64(head, request->data.from);
    buf_append_u64(head, request->data.to);
    buf_append_u32(head, request->data.leaf_count);
    buf_append(head, request->data.interval_root.b, HASH_SIZE);

    struct bytes list = request->data.records;
    struct bytes text;
    while (request_records_next(&list, &text)) {
        struct record record;
        int error = record_parse(text, &record);
        ASSERT(error == 0);
        struct buf again = {0};
        record_format(&record, &again);
        ASSERT(bytes_equal(buf_bytes(&again), text));
        buf_append_str16(beside, text);
        buf_close(&again);
    }
    list = request->data.leaves;
    struct interval_leaf leaf;
    while (request_leaves_next(&list, &leaf))
        interval_leaf_encode(&leaf, beside);
}

static void put_items(const struct request *request, struct buf *head)
{
    buf_append_u16(head, request->describe.item_count);
    struct bytes list = request->describe.items;
    struct item item;
    while (request_items_next(&list, &item)) {
        buf_append_u32(head, item.num);
        buf_append_str8(head, item.device);
        buf_append_str8(head, item.service);
        buf_append_str8(head, item.name);
        buf_append_u8(head, (uint8_t)item.type);
        buf_append_str8(head, item.unit);
    }
}

static void put_claim(const struct request *request, const struct member_claim *claim,
                      struct buf *head)
{
    buf_append_str8(head, claim->id);
    buf_append_u8(head, (uint8_t)claim->role);
    buf_append(head, claim->key.b, PUBLIC_KEY_SIZE);
    bool is_validator = claim->role == MEMBER_VALIDATOR;
    if (is_validator) {
        buf_append(head, claim->log_key.b, PUBLIC_KEY_SIZE);
        buf_append(head, claim->cosigner_key.b, PUBLIC_KEY_SIZE);
        buf_append_str8(head, claim->url);
    }
    if (is_validator && request->kind == REQUEST_REGISTER) {
        buf_append_u64(head, claim->height);
        buf_append(head, claim->leaf.b, HASH_SIZE);
    }
    if (is_validator || request->kind == REQUEST_ROTATE)
        buf_append(head, claim->proof.b, SIGNATURE_SIZE);
}

static void put_configuration(const struct request *request, struct buf *head)
{
    buf_append_u8(head, (uint8_t)request->configure.what);
    struct genesis_parameters parameters;
    struct admins_value admins;
    int error;
    if (request->configure.what == CONFIGURE_PARAMETERS) {
        error = genesis_parameters_decode(request->configure.value, &parameters);
        genesis_parameters_encode(&parameters, head);
    } else {
        error = admins_value_decode(request->configure.value, &admins);
        admins_value_encode(&admins, head);
    }
    ASSERT(error == 0);
}

static void put_again(const struct request *request, struct buf *out)
{
    struct buf head = {0}, beside = {0};
    buf_append_u8(&head, 1);
    buf_append_u8(&head, (uint8_t)request->kind);
    buf_append_str8(&head, request->sender);
    buf_append_u64(&head, request->number);
    switch (request->kind) {
    case REQUEST_DATA:
        put_data(request, &head, &beside);
        break;
    case REQUEST_DESCRIBE:
        put_items(request, &head);
        break;
    case REQUEST_REGISTER:
        put_claim(request, &request->register_, &head);
        break;
    case REQUEST_ROTATE:
        put_claim(request, &request->rotate, &head);
        break;
    case REQUEST_CONFIGURE:
        put_configuration(request, &head);
        break;
    case REQUEST_REVOKE:
        buf_append_str8(&head, request->revoke.id);
        buf_append_str8(&head, request->revoke.reason);
        break;
    }
    buf_append_str32(out, buf_bytes(&head));
    buf_append_u8(out, request->signature_count);
    struct bytes list = request->signatures;
    struct bytes signer;
    struct signature signature;
    while (request_signatures_next(&list, &signer, &signature)) {
        buf_append_str8(out, signer);
        buf_append(out, signature.b, SIGNATURE_SIZE);
    }
    buf_append_bytes(out, buf_bytes(&beside));
    buf_close(&head);
    buf_close(&beside);
}

static void through_json(const struct request *request)
{
    struct buf json = {0}, back = {0};
    int error = request_to_json(request->wire, BYTES_LIT("reply/to"), 0, &json);
    bool has_json = request->kind == REQUEST_DATA || request->kind == REQUEST_DESCRIBE;
    ASSERT(error == (has_json ? 0 : SEALMQ_E_TYPE));
    if (has_json) {
        error = request_from_json(buf_bytes(&json), &back, NULL);
        ASSERT(error == 0);
        ASSERT(bytes_equal(buf_bytes(&back), request->wire));
    }
    buf_close(&json);
    buf_close(&back);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes wire = bytes_of(data, size);
    struct bytes leaf;
    int framed = request_leaf_of(wire, &leaf);
    struct request request, alone;
    if (request_decode(wire, &request) != 0) {
        (void)!request_decode_leaf(wire, &alone);
        return 0;
    }
    ASSERT(framed == 0 && bytes_equal(leaf, request.leaf));
    int error = request_decode_leaf(leaf, &alone);
    ASSERT(error == 0 && hash_equal(&alone.hash, &request.hash));
    struct buf again = {0};
    put_again(&request, &again);
    ASSERT(bytes_equal(buf_bytes(&again), wire));
    buf_close(&again);
    through_json(&request);
    return 0;
}
