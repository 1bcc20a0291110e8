/* Whether a request may be executed on the state as it is, and whether those signed it that must.
 *
 * The errors tell what can still change: see chain_error_may_pass(). A request that an honest
 * sender made and that arrives too early is refused with one of those; all others are final, for
 * numbers are used once, intervals only grow, and items are described for ever. */
#include "ledger/chain_int.h"

/* --- who --- */

/* A member that sends. */
static int check_member_sender(const struct chain *chain, struct bytes id,
                               const struct public_key **key)
{
    const struct chain_member *member = chain_find_member(chain, id);
    if (member == NULL)
        return chain_find_admin(chain, id) != NULL ? SEALMQ_E_DENIED : SEALMQ_E_UNKNOWN;
    *key = member_key_at(&member->value, chain_next_height(chain));
    if (*key != NULL)
        return 0;
    /* Registered by an earlier request of this very block, for the first time. */
    bool is_new =
        member->value.key_count == 1 && member->value.keys[0].from > chain_next_height(chain);
    return is_new ? SEALMQ_E_UNKNOWN : SEALMQ_E_REVOKED;
}

static int check_admin_sender(const struct chain *chain, struct bytes id)
{
    if (chain_find_admin(chain, id) != NULL)
        return 0;
    return chain_find_member(chain, id) != NULL ? SEALMQ_E_DENIED : SEALMQ_E_UNKNOWN;
}

static int check_admin_signatures(const struct chain *chain, const struct request *request)
{
    int error = check_admin_sender(chain, request->sender);
    if (error != 0)
        return error;
    /* Signers are distinct by the request's form. */
    if (request->signature_count < chain->rules.admins.threshold)
        return SEALMQ_E_DENIED;
    struct bytes list = request->signatures;
    struct bytes signer;
    struct signature signature;
    while (request_signatures_next(&list, &signer, &signature)) {
        const struct genesis_admin *admin = chain_find_admin(chain, signer);
        if (admin == NULL)
            return SEALMQ_E_UNKNOWN;
        error = request_verify(request, &admin->key, &chain->genesis.hash, &signature);
        if (error != 0)
            return error;
    }
    return request_verify_proof(request, &chain->genesis.hash);
}

int chain_signer_key(const struct chain *chain, const struct request *request,
                     struct public_key *out)
{
    if (request->kind != REQUEST_DATA && request->kind != REQUEST_DESCRIBE)
        return SEALMQ_E_TYPE;
    const struct public_key *key;
    int error = check_member_sender(chain, request->sender, &key);
    if (error == 0)
        *out = *key;
    return error;
}

int chain_check_signatures(const struct chain *chain, const struct request *request)
{
    if (!request_is_by_member(request))
        return check_admin_signatures(chain, request);
    const struct public_key *key;
    int error = check_member_sender(chain, request->sender, &key);
    if (error != 0)
        return error;
    struct bytes list = request->signatures;
    struct bytes signer;
    struct signature signature;
    if (!request_signatures_next(&list, &signer, &signature))
        return SEALMQ_E_SIGNATURE;
    error = request_verify(request, key, &chain->genesis.hash, &signature);
    return error == 0 ? request_verify_proof(request, &chain->genesis.hash) : error;
}

/* --- what --- */

/* A sender that has not sent yet. */
static const struct chain_sender no_sender = {.lowest = 1, .next = 1};

static int check_number(const struct chain_sender *sender, uint64_t number)
{
    if (sender_number_is_used(sender, number))
        return SEALMQ_E_REPLAY;
    return number - sender->lowest < REQUEST_WINDOW ? 0 : SEALMQ_E_LIMIT;
}

/* The leaves below the interval must be pending; both lists ascend. */
static int check_interval(const struct chain_sender *sender, const struct request *request)
{
    if (request->data.from != sender->next)
        return request->data.from < sender->next ? SEALMQ_E_STALE : SEALMQ_E_AGAIN;
    size_t at = 0;
    size_t resolved = 0;
    size_t added = 0;
    struct bytes list = request->data.leaves;
    struct interval_leaf leaf;
    while (request_leaves_next(&list, &leaf)) {
        if (leaf.n >= request->data.from) {
            added += leaf.status == LEAF_PENDING;
            continue;
        }
        while (at < sender->pending_count && sender->pending[at] < leaf.n)
            at++;
        if (at == sender->pending_count || sender->pending[at] != leaf.n)
            return SEALMQ_E_CONFLICT;
        resolved++;
    }
    return sender->pending_count - resolved + added <= PENDING_MAX ? 0 : SEALMQ_E_LIMIT;
}

static int check_records(const struct chain_sender *sender, const struct request *request)
{
    struct bytes list = request->data.records;
    struct bytes text;
    while (request_records_next(&list, &text)) {
        struct record record;
        record_split(text, &record); /* decoding the request has checked it */
        const struct chain_item *item = sender_find_item(sender, record.num);
        if (item == NULL)
            return SEALMQ_E_NOTFOUND;
        if (!bytes_equal(item->item.device, record.device))
            return SEALMQ_E_CONFLICT;
        int error = datatype_check(item->item.type, record.value);
        if (error != 0)
            return error;
    }
    return 0;
}

static bool items_equal(const struct item *a, const struct item *b)
{
    return a->num == b->num && a->type == b->type && bytes_equal(a->device, b->device) &&
           bytes_equal(a->service, b->service) && bytes_equal(a->name, b->name) &&
           bytes_equal(a->unit, b->unit);
}

/* Items of one request are distinct by its form, so each can be held against the state alone. */
static int check_items(const struct chain_sender *sender, const struct request *request)
{
    size_t added = 0;
    struct bytes list = request->describe.items;
    struct item item;
    while (request_items_next(&list, &item)) {
        const struct chain_item *known = sender_find_item(sender, item.num);
        if (known != NULL ? !items_equal(&known->item, &item)
                          : sender_find_name(sender, &item) != NULL)
            return SEALMQ_E_CONFLICT;
        added += known == NULL;
    }
    return sender->item_count + added <= GATEWAY_ITEMS_MAX ? 0 : SEALMQ_E_FULL;
}

int chain_check_request(const struct chain *chain, const struct request *request)
{
    const struct public_key *key;
    int error = request_is_by_member(request) ? check_member_sender(chain, request->sender, &key)
                                              : check_admin_sender(chain, request->sender);
    if (error != 0)
        return error;
    const struct chain_sender *sender = chain_find_sender(chain, request->sender);
    if (sender == NULL)
        sender = &no_sender;
    error = check_number(sender, request->number);
    if (error != 0)
        return error;
    switch (request->kind) {
    case REQUEST_DATA:
        error = check_interval(sender, request);
        return error != 0 ? error : check_records(sender, request);
    case REQUEST_DESCRIBE:
        return check_items(sender, request);
    case REQUEST_REGISTER:
    case REQUEST_REVOKE:
    case REQUEST_ROTATE:
    case REQUEST_CONFIGURE:
        return govern_check(chain, request);
    }
    return SEALMQ_E_TYPE;
}
