/* Block write requests: what members and operators ask the chain to record.
 *
 * On the wire (all numbers big-endian):
 *   request   = str32 head || signatures || beside
 *   head      = u8 version (1) || u8 kind || str8 sender || u64 number || body
 *   signatures= u8 count || count * (str8 signer || 64 bytes)
 * The signatures cover the head, with label REQUEST_LABEL and the genesis hash. The request's leaf
 * in its block is SHA-256(0x00 || str32 head || signatures); that is the *request hash*.
 *
 * Bodies and what travels beside them:
 *   DATA      u32 records || records root || u64 from || u64 to || u32 leaves || interval root
 *     beside: records * (str16 text) || leaves * (u64 n || u8 status || str8 node || 32 bytes)
 *     The history interval covers capture numbers from..to (empty when to == from - 1): first, in
 *     ascending order, leaves below `from` that resolve pending ones, then one for each number.
 *     A request may have no records.
 *   DESCRIBE  u16 items || items * (u32 num || str8 device || str8 service || str8 name ||
 *             u8 datatype || str8 unit)
 *   REGISTER  str8 id || u8 role || 32 bytes public key            (role gateway)
 *             the same || log key || cosigner key || str8 url || u64 height || log leaf || 64 bytes
 *                                                                 (role validator)
 *   REVOKE    str8 id || str8 reason
 *   ROTATE    str8 id || u8 role || 32 bytes public key || 64 bytes            (role gateway)
 *             str8 id || u8 role || 32 bytes public key || log key || cosigner key || str8 url ||
 *             64 bytes                                                         (role validator)
 *   CONFIGURE u8 what || parameters or admins, as in the canonical genesis
 * Items are in ascending order of num, and no two have device, service and name the same.
 * A sender of DATA and DESCRIBE is a member and signs alone, as is one that rotates its own key.
 * REGISTER, REVOKE, CONFIGURE, and ROTATE of somebody else's key, are sent by an admin
 * ("admin/<name>"), and need as many admins' signatures as the state demands, the sender's among
 * them, in ascending order of the signers' ids. Numbers are 1 to SEQUENCE_MAX.
 *
 * The 64 bytes that end a REGISTER of a validator and a ROTATE are the *proof*: the signature of
 * the new key, with JOIN_LABEL or ROTATE_LABEL and the genesis hash, over all of the body before
 * it. So nobody registers a key that nobody holds; and a joiner has seen the header whose leaf in
 * the log it names. */
#ifndef SEALMQ_LEDGER_REQUEST_H
#define SEALMQ_LEDGER_REQUEST_H

#include "base/limits.h"
#include "crypto/sign.h"
#include "ledger/genesis.h"
#include "ledger/record.h"
#include "ledger/row.h"

#define REQUEST_LABEL "sealmq/request/1"
#define JOIN_LABEL    "sealmq/join/1"
#define ROTATE_LABEL  "sealmq/rotate/1"

enum request_kind {
    REQUEST_DATA = 1,
    REQUEST_DESCRIBE,
    REQUEST_REGISTER,
    REQUEST_REVOKE,
    REQUEST_ROTATE,
    REQUEST_CONFIGURE
};
const char *request_kind_name(enum request_kind kind); /* "data", ... */

enum member_role { MEMBER_GATEWAY = 1, MEMBER_VALIDATOR = 2 };

enum configure_what { CONFIGURE_PARAMETERS = 1, CONFIGURE_ADMINS = 2 };

/* A member's new key, as REGISTER and ROTATE name it. */
struct member_claim {
    struct bytes id;
    enum member_role role;
    struct public_key key;
    /* of a validator only: */
    struct public_key log_key, cosigner_key;
    struct bytes url;
    /* of a validator that is registered: a header that it has seen */
    uint64_t height;
    struct hash leaf; /* of that header in the log */
    /* of ROTATE, and of a validator that is registered: */
    struct bytes proven; /* what the proof signs */
    struct signature proof;
};

enum leaf_status { LEAF_ACKNOWLEDGED = 1, LEAF_DROPPED, LEAF_PENDING };

struct interval_leaf {
    uint64_t n;
    enum leaf_status status;
    struct bytes node; /* who acknowledged; empty unless ACKNOWLEDGED */
    struct hash report;
};

struct item {
    uint32_t num;
    struct bytes device, service, name, unit;
    enum datatype type;
};

/* A decoded request: a view that borrows from the wire bytes. Counted lists are checked when
 * decoded and walked with the iterators below. */
struct request {
    struct bytes wire; /* all of it */
    struct bytes leaf; /* str32 head || signatures: what is hashed */
    struct bytes head;
    struct hash hash; /* the request hash */
    enum request_kind kind;
    struct bytes sender;
    uint64_t number; /* 1 and up */
    uint8_t signature_count;
    struct bytes signatures; /* walk with request_signatures_next */
    union {
        struct {
            uint32_t record_count, leaf_count;
            struct hash records_root, interval_root;
            uint64_t from, to;
            struct bytes records; /* beside; walk with request_records_next */
            struct bytes leaves;  /* beside; walk with request_leaves_next */
        } data;
        struct {
            uint16_t item_count;
            struct bytes items;
        } describe;
        struct member_claim register_, rotate;
        struct {
            struct bytes id, reason;
        } revoke;
        struct {
            enum configure_what what;
            struct bytes value; /* canonical: genesis_parameters_decode, admins_value_decode */
        } configure;
    };
};

/* Walking a checked list: false at its end. */
bool request_signatures_next(struct bytes *list, struct bytes *signer, struct signature *out);
bool request_records_next(struct bytes *list, struct bytes *text);
bool request_leaves_next(struct bytes *list, struct interval_leaf *out);
bool request_items_next(struct bytes *list, struct item *out);

/* Decodes and checks all that can be told from the request alone, the roots of what travels beside
 * it included: syntax, limits, order of leaves, records' gateway equal to the sender, names. Not:
 * signatures and what the state knows. `wire` is borrowed by *out. SEALMQ_E_PARSE, _SHORT,
 * _VERSION, _LIMIT, _HASH (a root), _COUNT, _TYPE. */
SEALMQ_MUST_CHECK int request_decode(struct bytes wire, struct request *out);
/* The same for the leaf form alone, where nothing travels beside (proofs): `wire`, `records` and
 * `leaves` are empty in *out, and their roots are unchecked claims. */
SEALMQ_MUST_CHECK int request_decode_leaf(struct bytes leaf, struct request *out);
/* The leaf form that a wire form starts with; checks no more than its framing. */
SEALMQ_MUST_CHECK int request_leaf_of(struct bytes wire, struct bytes *leaf);

/* One leaf of a history interval: u64 n || u8 status || str8 node || 32 bytes. Its hash in the
 * interval's tree is that of an RFC 6962 leaf. */
void interval_leaf_encode(const struct interval_leaf *leaf, struct buf *out);
/* The node is borrowed. Syntax alone; a bad one marks the reader. */
void interval_leaf_read(struct reader *r, struct interval_leaf *out);

/* Whether the sender is a member that signs alone, and not an admin with others. */
bool request_is_by_member(const struct request *request);

/* Checks one signature of the request. */
SEALMQ_MUST_CHECK int request_verify(const struct request *request, const struct public_key *key,
                                     const struct hash *genesis, const struct signature *signature);

/* Whether the new key's own signature is in the request, where its kind demands one: 0 or
 * SEALMQ_E_SIGNATURE. */
SEALMQ_MUST_CHECK int request_verify_proof(const struct request *request,
                                           const struct hash *genesis);

/* Making requests. The results are whole wire forms with one signature, appended to `out`; what
 * would not decode is refused with the error that decoding it gives, and `out` left as it was.
 * Items may be given in any order. */
struct request_data {
    struct bytes sender;
    uint64_t number;
    const struct record *records;
    size_t record_count;
    uint64_t from, to;
    const struct interval_leaf *leaves;
    size_t leaf_count;
};
SEALMQ_MUST_CHECK int request_make_data(const struct request_data *data, const struct sign_key *key,
                                        const struct hash *genesis, struct buf *out);
SEALMQ_MUST_CHECK int request_make_describe(struct bytes sender, uint64_t number,
                                            const struct item *items, size_t item_count,
                                            const struct sign_key *key, const struct hash *genesis,
                                            struct buf *out);
SEALMQ_MUST_CHECK int request_make_register(struct bytes sender, uint64_t number, struct bytes id,
                                            enum member_role role, const struct public_key *key_of,
                                            const struct sign_key *key, const struct hash *genesis,
                                            struct buf *out);
SEALMQ_MUST_CHECK int request_make_revoke(struct bytes sender, uint64_t number, struct bytes id,
                                          struct bytes reason, const struct sign_key *key,
                                          const struct hash *genesis, struct buf *out);
/* What a node says that is to become a validator: the body of its REGISTER, appended. `validator`
 * has its id, keys and URL; `key` is its own; `leaf` is that of the header at `height` in the log.
 */
SEALMQ_MUST_CHECK int request_make_join(const struct validator *validator, uint64_t height,
                                        const struct hash *leaf, const struct sign_key *key,
                                        const struct hash *genesis, struct buf *out);
/* Reads such a body again, and checks its proof. It borrows from `join`. */
SEALMQ_MUST_CHECK int request_read_join(struct bytes join, const struct hash *genesis,
                                        struct member_claim *out);
/* REGISTER of a validator with the body that it made itself. */
SEALMQ_MUST_CHECK int request_make_register_validator(struct bytes sender, uint64_t number,
                                                      struct bytes join, const struct sign_key *key,
                                                      const struct hash *genesis, struct buf *out);
/* A new key for a member: `validator` NULL for a gateway, whose id is then `id`; otherwise it has
 * the id, the new keys derived from `new_key`, and the URL. */
SEALMQ_MUST_CHECK int request_make_rotate(struct bytes sender, uint64_t number, struct bytes id,
                                          const struct validator *validator,
                                          const struct sign_key *new_key,
                                          const struct sign_key *key, const struct hash *genesis,
                                          struct buf *out);
SEALMQ_MUST_CHECK int request_make_configure(struct bytes sender, uint64_t number,
                                             enum configure_what what, struct bytes value,
                                             const struct sign_key *key, const struct hash *genesis,
                                             struct buf *out);
/* Appends to `out` an existing wire form with one more admin's signature. SEALMQ_E_EXISTS when the
 * signer has signed it already. */
SEALMQ_MUST_CHECK int request_cosign(struct bytes wire, struct bytes signer,
                                     const struct sign_key *key, const struct hash *genesis,
                                     struct buf *out);

/* The JSON form of DATA and DESCRIBE requests, as gateways send it to a node (design: "Block write
 * request", docs/spec/request.md): records as text, "sign", "topic", "request", "interval" with
 * "leaves"; DESCRIBE has "items" instead. A request without records names its "sender" itself, and
 * has "sign" and "topic" beside it. The number, signature and roots decide; code, count, msg and
 * eventtime are checked for form.
 *
 * request_to_json groups neighbouring records of one device, keeping their order, under one service
 * "" (which service an item belongs to is not in the wire form). `reply_topic` goes into "topic".
 * SEALMQ_E_TYPE for requests of admins, and what request_decode says.
 * request_from_json appends the wire form, unchanged by a way through JSON; on an error it appends
 * nothing. `reply_topic` (may be NULL) takes the reply topic ("" when there is none), capacity
 * TOPIC_MAX_BYTES + 1. SEALMQ_E_PARSE, _COUNT, _TYPE, _LIMIT, _HASH, as request_decode. */
SEALMQ_MUST_CHECK int request_to_json(struct bytes wire, struct bytes reply_topic, int64_t now_us,
                                      struct buf *out);
SEALMQ_MUST_CHECK int request_from_json(struct bytes json, struct buf *wire, char *reply_topic);

#endif
