/* The steps of a verification, one function each, in the order of verify.h. A step either holds or
 * says why not; nothing is told to the caller unless all of them hold. */
#include "verify/verify.h"

#include "base/assert.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

struct verification {
    struct proof proof;
    const struct policy *policy;
    const struct hash *genesis;
    /* filled by the steps */
    struct checkpoint checkpoint;
    struct policy_result attested;
    bool has_sender, has_item;
    struct member_value member; /* of the sender, when a member */
    struct admins_value admins; /* when the sender is an admin */
    const struct public_key *sender_key;
    struct item item; /* of the record */
    char why[160];
};

__attribute__((format(printf, 3, 4))) static int refuse(struct verification *v, int error,
                                                        const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(v->why, sizeof(v->why), format, arguments);
    va_end(arguments);
    return error;
}

/* The same with the error's own words after a colon. */
static int refuse_for(struct verification *v, int error, const char *what)
{
    return refuse(v, error, "%s: %s", what, sealmq_error_text(error));
}

static int check_note(struct verification *v)
{
    int error = policy_check_note(v->policy, v->proof.note, &v->checkpoint, &v->attested);
    switch (error) {
    case 0:
        return 0;
    case SEALMQ_E_NETWORK:
        return refuse(v, error, "the checkpoint is of a log that the policy does not name");
    case SEALMQ_E_SIGNATURE:
        return refuse(v, error,
                      "the checkpoint is not signed by a log of the policy, or a "
                      "signature on it does not verify");
    case SEALMQ_E_COUNT:
        return refuse(v, error, "the checkpoint has too few cosignatures for the policy's quorum");
    default:
        return refuse_for(v, error, "the checkpoint");
    }
}

static int check_header(struct verification *v)
{
    const struct proof *proof = &v->proof;
    char origin[ORIGIN_MAX];
    checkpoint_origin(proof->header.network, origin);
    if (strcmp(origin, v->checkpoint.origin) != 0)
        return refuse(v, SEALMQ_E_NETWORK, "the block is of network %s, the checkpoint of %s",
                      proof->header.network, v->checkpoint.origin);
    if (proof->header.height != proof->log_index)
        return refuse(v, SEALMQ_E_CONFLICT, "the block's height is not its place in the log");
    struct hash leaf;
    hash_leaf(proof->header_wire, &leaf);
    int error = merkle_verify(&leaf, proof->log_index, v->checkpoint.size, &proof->log_path,
                              &v->checkpoint.root);
    return error == 0 ? 0 : refuse_for(v, error, "the block is not in the checkpoint's log");
}

static int check_request(struct verification *v)
{
    const struct proof *proof = &v->proof;
    int error = merkle_verify(&proof->request.hash, proof->request_index, proof->header.requests,
                              &proof->request_path, &proof->header.requests_root);
    return error == 0 ? 0 : refuse_for(v, error, "the request is not in the block");
}

static bool sender_is_admin(const struct verification *v)
{
    return !request_is_by_member(&v->proof.request);
}

/* Whether `key` is the state key that the request's sender or the record's item must have. */
static int match_entry(const struct verification *v, struct bytes key, bool *is_sender,
                       bool *is_item)
{
    const struct proof *proof = &v->proof;
    struct buf sender = {0}, item = {0};
    if (sender_is_admin(v))
        buf_append_bytes(&sender, STATE_KEY_ADMINS);
    else
        state_key_member(proof->request.sender, &sender);
    state_key_item(proof->request.sender, proof->record.num, &item);
    int error = buf_status(&sender) != 0 ? buf_status(&sender) : buf_status(&item);
    *is_sender = error == 0 && bytes_equal(key, buf_bytes(&sender));
    *is_item = error == 0 && proof->kind == PROOF_RECORD && bytes_equal(key, buf_bytes(&item));
    buf_close(&sender);
    buf_close(&item);
    return error;
}

static int check_entry(struct verification *v, const struct proof_state_entry *entry)
{
    bool is_sender, is_item;
    int error = match_entry(v, entry->key, &is_sender, &is_item);
    if (error != 0)
        return refuse_for(v, error, "a state entry");
    if ((is_sender && v->has_sender) || (is_item && v->has_item) || (!is_sender && !is_item))
        return refuse(v, SEALMQ_E_CONFLICT, "a state entry has nothing to do with the request");
    const char *what = is_sender ? "the sender's state entry" : "the item's state entry";
    error = statetree_verify(entry->key, entry->value, &entry->path, &v->proof.header.state_root);
    if (error != 0)
        return refuse_for(v, error, what);
    if (is_item)
        error = item_value_decode(entry->value, &v->item);
    else if (sender_is_admin(v))
        error = admins_value_decode(entry->value, &v->admins);
    else
        error = member_value_decode(entry->value, &v->member);
    v->has_sender = v->has_sender || is_sender;
    v->has_item = v->has_item || is_item;
    return error == 0 ? 0 : refuse_for(v, error, what);
}

static int check_state(struct verification *v)
{
    for (size_t i = 0; i < v->proof.state_count; i++) {
        int error = check_entry(v, &v->proof.state[i]);
        if (error != 0)
            return error;
    }
    if (!v->has_sender && v->proof.kind != PROOF_REQUEST)
        return refuse(v, SEALMQ_E_NOTFOUND, "the sender's state entry is missing");
    if (!v->has_item && v->proof.kind == PROOF_RECORD)
        return refuse(v, SEALMQ_E_NOTFOUND, "the item's state entry is missing");
    return 0;
}

static int check_signature(struct verification *v, const struct public_key *key,
                           const struct signature *signature)
{
    int error = request_verify(&v->proof.request, key, v->genesis, signature);
    return error == 0 ? 0 : refuse_for(v, error, "the request");
}

static int check_member_signature(struct verification *v)
{
    struct bytes list = v->proof.request.signatures, signer;
    struct signature signature;
    if (v->member.status != MEMBER_ACTIVE)
        return refuse(v, SEALMQ_E_REVOKED, "the sender was revoked before the block");
    v->sender_key = member_value_key_at(&v->member, v->proof.header.height);
    if (v->sender_key == NULL)
        return refuse(v, SEALMQ_E_UNKNOWN, "the sender had no key at the block's height");
    if (!request_signatures_next(&list, &signer, &signature) ||
        !bytes_equal(signer, v->proof.request.sender) || list.n != 0)
        return refuse(v, SEALMQ_E_SIGNATURE, "the request is not signed by its sender alone");
    return check_signature(v, v->sender_key, &signature);
}

static int check_admin_signatures(struct verification *v)
{
    struct bytes list = v->proof.request.signatures, signer;
    struct signature signature;
    unsigned count = 0;
    while (request_signatures_next(&list, &signer, &signature)) {
        const struct public_key *key = admins_value_key(&v->admins, signer);
        if (key == NULL)
            return refuse(v, SEALMQ_E_UNKNOWN, "the request is signed by one who is no admin");
        int error = check_signature(v, key, &signature);
        if (error != 0)
            return error;
        if (bytes_equal(signer, v->proof.request.sender))
            v->sender_key = key;
        count++;
    }
    if (v->sender_key == NULL)
        return refuse(v, SEALMQ_E_SIGNATURE, "the request is not signed by its sender");
    if (count < v->admins.threshold)
        return refuse(v, SEALMQ_E_DENIED, "the request has too few admins' signatures");
    return 0;
}

static int check_signatures(struct verification *v)
{
    if (!v->has_sender)
        return 0; /* kind REQUEST: check_state() */
    return sender_is_admin(v) ? check_admin_signatures(v) : check_member_signature(v);
}

static int check_record(struct verification *v)
{
    const struct proof *proof = &v->proof;
    const struct request *request = &proof->request;
    if (request->kind != REQUEST_DATA)
        return refuse(v, SEALMQ_E_TYPE, "the request is not one with records");
    if (!bytes_equal(proof->record.gateway, request->sender))
        return refuse(v, SEALMQ_E_CONFLICT, "the record is of another gateway than the request");
    struct hash leaf;
    hash_leaf(proof->record_text, &leaf);
    int error = merkle_verify(&leaf, proof->sub_index, request->data.record_count, &proof->sub_path,
                              &request->data.records_root);
    if (error != 0)
        return refuse_for(v, error, "the record is not in the request");
    if (!bytes_equal(proof->record.device, v->item.device))
        return refuse(v, SEALMQ_E_CONFLICT, "the item is of another device than the record");
    error = datatype_check(v->item.type, proof->record.value);
    return error == 0 ? 0 : refuse_for(v, error, "the record's value is not of the item's type");
}

static int check_report(struct verification *v)
{
    const struct proof *proof = &v->proof;
    const struct request *request = &proof->request;
    if (request->kind != REQUEST_DATA)
        return refuse(v, SEALMQ_E_TYPE, "the request is not one with a history interval");
    if (proof->leaf.status != LEAF_ACKNOWLEDGED)
        return refuse(v, SEALMQ_E_CONFLICT, "no node acknowledged the report");
    struct buf wire = {0};
    interval_leaf_encode(&proof->leaf, &wire);
    int error = buf_status(&wire);
    struct hash leaf;
    if (error == 0) {
        hash_leaf(buf_bytes(&wire), &leaf);
        error = merkle_verify(&leaf, proof->sub_index, request->data.leaf_count, &proof->sub_path,
                              &request->data.interval_root);
    }
    buf_close(&wire);
    return error == 0 ? 0 : refuse_for(v, error, "the report is not in the history interval");
}

static int check_row(struct verification *v)
{
    const struct proof *proof = &v->proof;
    int error = check_report(v);
    if (error != 0)
        return error;
    struct hash leaf;
    uint64_t size = (uint64_t)proof->report.rows + 1;
    error = report_head_leaf(&proof->report, &leaf);
    if (error == 0)
        error = merkle_verify(&leaf, 0, size, &proof->head_path, &proof->leaf.report);
    if (error != 0)
        return refuse_for(v, error, "topic and number of rows are not the report's");
    error = row_leaf(&proof->row, &leaf);
    if (error == 0)
        error = merkle_verify(&leaf, (uint64_t)proof->row_number + 1, size, &proof->row_path,
                              &proof->leaf.report);
    return error == 0 ? 0 : refuse_for(v, error, "the row is not in the report");
}

static int check_all(struct verification *v)
{
    typedef int (*step)(struct verification *);
    static const step below_block[] = {check_request, check_state, check_signatures};
    int error = check_note(v);
    if (error == 0)
        error = check_header(v);
    if (v->proof.kind == PROOF_BLOCK)
        return error;
    for (size_t i = 0; error == 0 && i < sizeof(below_block) / sizeof(below_block[0]); i++)
        error = below_block[i](v);
    if (error == 0 && v->proof.kind == PROOF_RECORD)
        error = check_record(v);
    if (error == 0 && v->proof.kind == PROOF_ROW)
        error = check_row(v);
    return error;
}

/* --- telling --- */

/* The lengths were checked when the proof was parsed. */
static void tell_text(struct bytes text, char *out, size_t size)
{
    int error = bytes_to_cstr(text, out, size);
    ASSERT(error == 0);
}
#define TELL(text, out) tell_text((text), (out), sizeof(out))

static void tell_item(const struct item *item, struct verify_result *out)
{
    TELL(item->device, out->device);
    TELL(item->service, out->service);
    TELL(item->name, out->name);
    TELL(item->unit, out->unit);
    TELL(bytes_str(datatype_name(item->type)), out->datatype);
}

static void tell_request(const struct verification *v, struct verify_result *out)
{
    const struct request *request = &v->proof.request;
    out->request = request->hash;
    out->request_kind = request->kind;
    out->request_number = request->number;
    TELL(request->sender, out->sender);
    if (v->sender_key != NULL)
        public_key_fingerprint(v->sender_key, out->fingerprint);
}

static void tell_record(const struct verification *v, struct verify_result *out)
{
    const struct record *record = &v->proof.record;
    tell_item(&v->item, out);
    TELL(record->value, out->value);
    out->time_us = record->time_us;
    out->item_num = record->num;
}

static void tell_row(const struct verification *v, struct verify_result *out)
{
    const struct proof *proof = &v->proof;
    const struct row *row = &proof->row;
    struct item item = {.device = row->device,
                        .service = row->service,
                        .name = row->name,
                        .unit = row->unit,
                        .type = row->type};
    tell_item(&item, out);
    TELL(row->value, out->value);
    TELL(proof->report.topic, out->topic);
    TELL(proof->leaf.node, out->node);
    out->time_us = row->time_us;
    out->capture_number = proof->leaf.n;
    out->row_number = proof->row_number;
    out->rows = proof->report.rows;
}

static void tell(const struct verification *v, struct verify_result *out)
{
    out->kind = v->proof.kind;
    out->header = v->proof.header;
    header_hash(v->proof.header_wire, &out->header_hash);
    out->attested = v->attested;
    out->checkpoint = v->checkpoint;
    if (out->kind != PROOF_BLOCK)
        tell_request(v, out);
    if (out->kind == PROOF_RECORD)
        tell_record(v, out);
    if (out->kind == PROOF_ROW)
        tell_row(v, out);
}

int verify_proof(struct bytes proof, const struct policy *policy, const struct hash *genesis_hash,
                 struct verify_result *out)
{
    memset(out, 0, sizeof(*out)); /* padding too: results can be compared whole */
    struct verification *v = calloc(1, sizeof(*v));
    if (v == NULL) {
        (void)snprintf(out->why, sizeof(out->why), "%s", sealmq_error_text(SEALMQ_E_NOMEM));
        return SEALMQ_E_NOMEM;
    }
    v->policy = policy;
    v->genesis = genesis_hash;
    int error = proof_parse(proof, &v->proof);
    if (error != 0)
        error = refuse_for(v, error, "not a proof file of this system");
    else
        error = check_all(v);
    if (error == 0)
        tell(v, out);
    else
        memcpy(out->why, v->why, sizeof(out->why));
    proof_close(&v->proof);
    free(v);
    return error;
}
