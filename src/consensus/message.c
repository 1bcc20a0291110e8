#include "consensus/message.h"

#include "base/assert.h"
#include "base/id.h"

#define NO_SENDER_BYTE 255

/* What STATUS and FETCH sign in place of a set's hash. */
static const struct hash no_set = {{0}};

static bool is_of_a_member(enum pbft_message_kind kind)
{
    return kind == PBFT_MSG_STATUS || kind == PBFT_MSG_FETCH;
}

static const char *const topics[] = {
    [PBFT_MSG_REQUEST] = "request",       [PBFT_MSG_PRE_PREPARE] = "pre-prepare",
    [PBFT_MSG_PREPARE] = "prepare",       [PBFT_MSG_COMMIT] = "commit",
    [PBFT_MSG_CHECKPOINT] = "checkpoint", [PBFT_MSG_VIEW_CHANGE] = "view-change",
    [PBFT_MSG_NEW_VIEW] = "new-view",     [PBFT_MSG_STATUS] = "sync/status",
    [PBFT_MSG_FETCH] = "sync/fetch",      [PBFT_MSG_BLOCKS] = "sync/blocks",
    [PBFT_MSG_ASK] = "sync/ask",          [PBFT_MSG_PART] = "sync/part",
};
#define TOPICS (sizeof(topics) / sizeof(topics[0]))

const char *pbft_message_topic(enum pbft_message_kind kind)
{
    return (size_t)kind < TOPICS ? topics[kind] : NULL;
}

int pbft_message_kind_of(struct bytes topic_suffix, enum pbft_message_kind *out)
{
    for (size_t i = 1; i < TOPICS; i++) {
        if (bytes_equal(topic_suffix, bytes_str(topics[i]))) {
            *out = (enum pbft_message_kind)i;
            return 0;
        }
    }
    return SEALMQ_E_NOTFOUND;
}

static const char *label_of(enum pbft_message_kind kind)
{
    switch (kind) {
    case PBFT_MSG_VIEW_CHANGE:
        return VIEW_CHANGE_LABEL;
    case PBFT_MSG_NEW_VIEW:
        return NEW_VIEW_LABEL;
    case PBFT_MSG_STATUS:
        return STATUS_LABEL;
    case PBFT_MSG_ASK:
        return ASK_LABEL;
    default:
        ASSERT(kind == PBFT_MSG_FETCH);
        return FETCH_LABEL;
    }
}

/* Version, kind, sender: what every message but REQUEST begins with. */
static int read_head(struct reader *r, enum pbft_message_kind kind)
{
    if (reader_u8(r) != PBFT_VERSION)
        reader_fail(r, SEALMQ_E_VERSION);
    if (reader_u8(r) != (uint8_t)kind)
        reader_fail(r, SEALMQ_E_PARSE);
    uint8_t sender = reader_u8(r);
    if ((is_of_a_member(kind) || kind == PBFT_MSG_BLOCKS) && sender == NO_SENDER_BYTE)
        return MESSAGE_NO_SENDER;
    if (is_of_a_member(kind))
        reader_fail(r, SEALMQ_E_PARSE);
    if (sender >= VALIDATORS_MAX)
        reader_fail(r, SEALMQ_E_LIMIT);
    return sender;
}

static struct bytes read_id(struct reader *r)
{
    struct bytes id = reader_str8(r);
    if (r->failed == 0 && !id_is_valid(id))
        reader_fail(r, SEALMQ_E_PARSE);
    return id;
}

static void append_head(enum pbft_message_kind kind, int sender, struct buf *out)
{
    ASSERT(sender >= MESSAGE_NO_SENDER && sender < VALIDATORS_MAX);
    buf_append_u8(out, PBFT_VERSION);
    buf_append_u8(out, (uint8_t)kind);
    buf_append_u8(out, sender == MESSAGE_NO_SENDER ? NO_SENDER_BYTE : (uint8_t)sender);
}

/* Views and heights stay where adding one, and storing them as signed, cannot go wrong. */
static void check_number(struct reader *r, uint64_t number)
{
    if (number >= INT64_MAX)
        reader_fail(r, SEALMQ_E_LIMIT);
}

static bool read_bool(struct reader *r)
{
    uint8_t v = reader_u8(r);
    if (v > 1)
        reader_fail(r, SEALMQ_E_PARSE);
    return v == 1;
}

int message_decode_vote(struct bytes b, enum pbft_message_kind kind, struct msg_vote *out)
{
    struct reader r = reader_of(b);
    *out = (struct msg_vote){0};
    out->sender = read_head(&r, kind);
    out->view = reader_u64(&r);
    out->height = reader_u64(&r);
    reader_copy(&r, out->header.b, HASH_SIZE);
    reader_copy(&r, out->signature.b, SIGNATURE_SIZE);
    if (kind == PBFT_MSG_PRE_PREPARE)
        out->block = reader_str32(&r);
    check_number(&r, out->view);
    check_number(&r, out->height);
    if (out->height == 0)
        reader_fail(&r, SEALMQ_E_PARSE);
    return reader_end(&r);
}

void message_encode_vote(const struct msg_vote *m, enum pbft_message_kind kind, struct buf *out)
{
    append_head(kind, m->sender, out);
    buf_append_u64(out, m->view);
    buf_append_u64(out, m->height);
    buf_append(out, m->header.b, HASH_SIZE);
    buf_append(out, m->signature.b, SIGNATURE_SIZE);
    if (kind == PBFT_MSG_PRE_PREPARE)
        buf_append_str32(out, m->block);
}

static void read_signed(struct reader *r, enum pbft_message_kind kind, struct msg_signed *out)
{
    const uint8_t *start = r->p;
    size_t before = r->n;
    out->sender = read_head(r, kind);
    out->fields = reader_str32(r);
    out->covered = bytes_of(start, before - r->n);
    reader_copy(r, out->signature.b, SIGNATURE_SIZE);
    out->signed_part = bytes_of(start, before - r->n);
}

void message_sign(enum pbft_message_kind kind, int sender, struct bytes fields,
                  const struct sign_key *key, const struct hash *genesis,
                  const struct hash *validators, struct buf *out)
{
    size_t start = out->n;
    append_head(kind, is_of_a_member(kind) ? MESSAGE_NO_SENDER : sender, out);
    buf_append_str32(out, fields);
    if (buf_status(out) != 0)
        return;
    struct hash digests[2] = {is_of_a_member(kind) ? no_set : *validators};
    hash_sha256(bytes_of(out->p + start, out->n - start), &digests[1]);
    struct signature signature;
    sign_message(key, label_of(kind), genesis, bytes_of(digests, sizeof(digests)), &signature);
    buf_append(out, signature.b, SIGNATURE_SIZE);
}

int message_verify(enum pbft_message_kind kind, const struct msg_signed *head,
                   const struct public_key *key, const struct hash *genesis,
                   const struct hash *validators)
{
    struct hash digests[2] = {is_of_a_member(kind) ? no_set : *validators};
    hash_sha256(head->covered, &digests[1]);
    return sign_verify(key, label_of(kind), genesis, bytes_of(digests, sizeof(digests)),
                       &head->signature);
}

static int decode_view_change_fields(struct msg_view_change *out)
{
    struct reader r = reader_of(out->head.fields);
    out->view = reader_u64(&r);
    out->height = reader_u64(&r);
    out->tip_certificate = reader_str32(&r);
    out->prepared = read_bool(&r);
    if (out->prepared)
        out->prepared_certificate = reader_str32(&r);
    if (out->view == 0 || (out->height == 0) != (out->tip_certificate.n == 0))
        reader_fail(&r, SEALMQ_E_PARSE);
    check_number(&r, out->view);
    check_number(&r, out->height);
    return reader_end(&r);
}

void message_fields_view_change(const struct msg_view_change *m, struct buf *out)
{
    buf_append_u64(out, m->view);
    buf_append_u64(out, m->height);
    buf_append_str32(out, m->tip_certificate);
    buf_append_u8(out, m->prepared);
    if (m->prepared)
        buf_append_str32(out, m->prepared_certificate);
}

int message_decode_view_change(struct bytes b, struct msg_view_change *out)
{
    struct reader r = reader_of(b);
    *out = (struct msg_view_change){0};
    read_signed(&r, PBFT_MSG_VIEW_CHANGE, &out->head);
    out->block = reader_str32(&r);
    int error = reader_end(&r);
    if (error == 0)
        error = decode_view_change_fields(out);
    if (error == 0 && out->block.n != 0 && !out->prepared)
        error = SEALMQ_E_PARSE;
    return error;
}

int message_decode_new_view(struct bytes b, struct msg_new_view *out)
{
    struct reader r = reader_of(b);
    memset(out, 0, sizeof(*out));
    read_signed(&r, PBFT_MSG_NEW_VIEW, &out->head);
    out->block = reader_str32(&r);
    int error = reader_end(&r);
    if (error != 0)
        return error;

    r = reader_of(out->head.fields);
    out->view = reader_u64(&r);
    out->n = reader_u8(&r);
    if (out->view == 0 || out->n == 0)
        reader_fail(&r, SEALMQ_E_PARSE);
    if (out->n > VALIDATORS_MAX)
        reader_fail(&r, SEALMQ_E_LIMIT);
    for (size_t i = 0; i < out->n && reader_status(&r) == 0; i++) {
        struct msg_view_change *vc = &out->view_changes[i];
        struct reader part = reader_of(reader_str32(&r));
        read_signed(&part, PBFT_MSG_VIEW_CHANGE, &vc->head);
        error = reader_end(&part);
        if (error == 0)
            error = decode_view_change_fields(vc);
        if (error != 0)
            reader_fail(&r, error);
        if (vc->view != out->view || (i > 0 && vc->head.sender <= vc[-1].head.sender))
            reader_fail(&r, SEALMQ_E_PARSE);
    }
    out->again = read_bool(&r);
    if (out->again)
        reader_copy(&r, out->vote.b, SIGNATURE_SIZE);
    if (out->again != (out->block.n != 0))
        reader_fail(&r, SEALMQ_E_PARSE);
    return reader_end(&r);
}

void message_fields_new_view(const struct msg_new_view *m, struct buf *out)
{
    buf_append_u64(out, m->view);
    buf_append_u8(out, (uint8_t)m->n);
    for (size_t i = 0; i < m->n; i++)
        buf_append_str32(out, m->view_changes[i].head.signed_part);
    buf_append_u8(out, m->again);
    if (m->again)
        buf_append(out, m->vote.b, SIGNATURE_SIZE);
}

int message_decode_status(struct bytes b, struct msg_status *out)
{
    struct reader r = reader_of(b);
    *out = (struct msg_status){0};
    read_signed(&r, PBFT_MSG_STATUS, &out->head);
    int error = reader_end(&r);
    if (error != 0)
        return error;
    r = reader_of(out->head.fields);
    out->id = read_id(&r);
    out->height = reader_u64(&r);
    out->view = reader_u64(&r);
    out->flags = reader_u8(&r);
    out->stable_size = reader_u64(&r);
    out->keeps = reader_u64(&r);
    check_number(&r, out->height);
    check_number(&r, out->view);
    check_number(&r, out->stable_size);
    check_number(&r, out->keeps);
    if (out->flags > (STATUS_CHANGING | STATUS_PROPOSAL | STATUS_FOLLOWS))
        reader_fail(&r, SEALMQ_E_PARSE);
    return reader_end(&r);
}

void message_fields_status(const struct msg_status *m, struct buf *out)
{
    buf_append_str8(out, m->id);
    buf_append_u64(out, m->height);
    buf_append_u64(out, m->view);
    buf_append_u8(out, m->flags);
    buf_append_u64(out, m->stable_size);
    buf_append_u64(out, m->keeps);
}

int message_decode_fetch(struct bytes b, struct msg_fetch *out)
{
    struct reader r = reader_of(b);
    *out = (struct msg_fetch){0};
    read_signed(&r, PBFT_MSG_FETCH, &out->head);
    int error = reader_end(&r);
    if (error != 0)
        return error;
    r = reader_of(out->head.fields);
    out->id = read_id(&r);
    out->from = reader_u64(&r);
    out->count = reader_u16(&r);
    out->wanted = read_bool(&r);
    if (out->wanted)
        reader_copy(&r, out->header.b, HASH_SIZE);
    check_number(&r, out->from);
    if (out->count != 0 && out->from == 0)
        reader_fail(&r, SEALMQ_E_PARSE); /* everyone has the genesis */
    return reader_end(&r);
}

void message_fields_fetch(const struct msg_fetch *m, struct buf *out)
{
    buf_append_str8(out, m->id);
    buf_append_u64(out, m->from);
    buf_append_u16(out, m->count);
    buf_append_u8(out, m->wanted);
    if (m->wanted)
        buf_append(out, m->header.b, HASH_SIZE);
}

int message_decode_checkpoint(struct bytes b, struct msg_checkpoint *out)
{
    struct reader r = reader_of(b);
    *out = (struct msg_checkpoint){0};
    out->sender = read_head(&r, PBFT_MSG_CHECKPOINT);
    out->size = reader_u64(&r);
    reader_copy(&r, out->root.b, HASH_SIZE);
    out->lines = reader_str16(&r);
    check_number(&r, out->size);
    if (out->lines.n > CHECKPOINT_LINES_MAX)
        reader_fail(&r, SEALMQ_E_LIMIT);
    return reader_end(&r);
}

void message_encode_checkpoint(const struct msg_checkpoint *m, struct buf *out)
{
    append_head(PBFT_MSG_CHECKPOINT, m->sender, out);
    buf_append_u64(out, m->size);
    buf_append(out, m->root.b, HASH_SIZE);
    buf_append_str16(out, m->lines);
}

int message_decode_blocks(struct bytes b, struct msg_blocks *out)
{
    struct reader r = reader_of(b);
    *out = (struct msg_blocks){0};
    out->sender = read_head(&r, PBFT_MSG_BLOCKS);
    out->n = reader_u16(&r);
    if (reader_status(&r) != 0)
        return reader_status(&r);
    out->list = bytes_of(r.p, r.n);
    for (size_t i = 0; i < out->n; i++) {
        (void)reader_str32(&r);
        (void)reader_str32(&r);
    }
    return reader_end(&r);
}

bool message_blocks_next(struct bytes *list, struct pbft_stored_block *out)
{
    struct reader r = reader_of(*list);
    out->block = reader_str32(&r);
    out->certificate = reader_str32(&r);
    if (reader_status(&r) != 0)
        return false;
    *list = bytes_of(r.p, r.n);
    return true;
}

void message_encode_blocks(int sender, const struct pbft_stored_block *blocks, size_t n,
                           struct buf *out)
{
    append_head(PBFT_MSG_BLOCKS, sender, out);
    buf_append_u16(out, (uint16_t)n);
    for (size_t i = 0; i < n; i++) {
        buf_append_str32(out, blocks[i].block);
        buf_append_str32(out, blocks[i].certificate);
    }
}

/* What, height and at: the same in question and answer. */
static void read_what(struct reader *r, enum ask_what *what, uint64_t *height, uint32_t *at)
{
    uint8_t v = reader_u8(r);
    *height = reader_u64(r);
    *at = reader_u32(r);
    check_number(r, *height);
    if (v < ASK_MANIFEST || v > ASK_HEADERS)
        reader_fail(r, SEALMQ_E_PARSE);
    *what = (enum ask_what)v;
}

int message_decode_ask(struct bytes b, struct msg_ask *out)
{
    struct reader r = reader_of(b);
    *out = (struct msg_ask){.what = ASK_MANIFEST};
    read_signed(&r, PBFT_MSG_ASK, &out->head);
    int error = reader_end(&r);
    if (error != 0)
        return error;
    r = reader_of(out->head.fields);
    read_what(&r, &out->what, &out->height, &out->at);
    return reader_end(&r);
}

void message_fields_ask(const struct msg_ask *m, struct buf *out)
{
    buf_append_u8(out, (uint8_t)m->what);
    buf_append_u64(out, m->height);
    buf_append_u32(out, m->at);
}

int message_decode_part(struct bytes b, struct msg_part *out)
{
    struct reader r = reader_of(b);
    *out = (struct msg_part){.what = ASK_MANIFEST};
    out->sender = read_head(&r, PBFT_MSG_PART);
    read_what(&r, &out->what, &out->height, &out->at);
    out->bytes = reader_str32(&r);
    return reader_end(&r);
}

void message_encode_part(const struct msg_part *m, struct buf *out)
{
    append_head(PBFT_MSG_PART, m->sender, out);
    buf_append_u8(out, (uint8_t)m->what);
    buf_append_u64(out, m->height);
    buf_append_u32(out, m->at);
    buf_append_str32(out, m->bytes);
}
