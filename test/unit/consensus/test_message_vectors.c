/* The frozen consensus messages: each is read, its signature holds, and from what was read the same
 * bytes are made. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "consensus/message.h"
#include "lib/vectors.h"

#define NODES 4

static struct {
    cJSON *vectors;
    struct hash genesis, validators;
    struct sign_key keys[NODES];
} fixture;

static int setup(void **state)
{
    (void)state;
    if (crypto_init() != 0)
        return -1;
    fixture.vectors = vectors_load("consensus.json");
    vector_hex_exact(fixture.vectors, "genesis", fixture.genesis.b, HASH_SIZE);
    vector_hex_exact(fixture.vectors, "validators_hash", fixture.validators.b, HASH_SIZE);
    const cJSON *seeds = vector_array(fixture.vectors, "seeds");
    assert_int_equal(cJSON_GetArraySize(seeds), NODES);
    for (int i = 0; i < NODES; i++) {
        uint8_t seed[SEED_SIZE];
        const char *text = cJSON_GetStringValue(cJSON_GetArrayItem(seeds, i));
        assert_int_equal(hex_decode(bytes_str(text), seed, sizeof(seed)), 0);
        sign_key_from_seed(seed, &fixture.keys[i]);
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    cJSON_Delete(fixture.vectors);
    return 0;
}

static void sign(enum pbft_message_kind kind, int sender, struct buf *fields, struct buf *out)
{
    message_sign(kind, sender, buf_bytes(fields), &fixture.keys[sender], &fixture.genesis,
                 &fixture.validators, out);
    buf_close(fields);
}

static void assert_signed(enum pbft_message_kind kind, const struct msg_signed *head)
{
    assert_in_range(head->sender, 0, NODES - 1);
    assert_int_equal(message_verify(kind, head, &fixture.keys[head->sender].public_key,
                                    &fixture.genesis, &fixture.validators),
                     0);
}

static int vote_again(enum pbft_message_kind kind, struct bytes wire, struct buf *out)
{
    struct msg_vote m;
    struct vote tuple = {.validators = fixture.validators};
    const char *label = kind == PBFT_MSG_COMMIT ? COMMIT_LABEL : PREPARE_LABEL;
    assert_int_equal(message_decode_vote(wire, kind, &m), 0);
    tuple.view = m.view;
    tuple.height = m.height;
    tuple.header = m.header;
    assert_int_equal(vote_verify(&fixture.keys[m.sender].public_key, label, &fixture.genesis,
                                 &tuple, &m.signature),
                     0);
    if (kind == PBFT_MSG_PRE_PREPARE) {
        struct block block;
        assert_int_equal(block_decode(m.block, &block), 0);
        assert_true(hash_equal(&block.hash, &m.header));
    }
    message_encode_vote(&m, kind, out);
    return m.sender;
}

static int checkpoint_again(struct bytes wire, struct buf *out)
{
    struct msg_checkpoint m;
    assert_int_equal(message_decode_checkpoint(wire, &m), 0);
    message_encode_checkpoint(&m, out);
    return m.sender;
}

static int view_change_again(struct bytes wire, struct buf *out)
{
    struct msg_view_change m;
    struct buf fields = {0};
    struct certificate certificate;
    assert_int_equal(message_decode_view_change(wire, &m), 0);
    assert_signed(PBFT_MSG_VIEW_CHANGE, &m.head);
    assert_int_equal(certificate_decode(m.tip_certificate, &certificate), 0);
    if (m.prepared)
        assert_int_equal(certificate_decode(m.prepared_certificate, &certificate), 0);
    message_fields_view_change(&m, &fields);
    sign(PBFT_MSG_VIEW_CHANGE, m.head.sender, &fields, out);
    buf_append_str32(out, m.block);
    return m.head.sender;
}

static int new_view_again(struct bytes wire, struct buf *out)
{
    static struct msg_new_view m;
    struct buf fields = {0};
    assert_int_equal(message_decode_new_view(wire, &m), 0);
    assert_signed(PBFT_MSG_NEW_VIEW, &m.head);
    for (size_t i = 0; i < m.n; i++)
        assert_signed(PBFT_MSG_VIEW_CHANGE, &m.view_changes[i].head);
    message_fields_new_view(&m, &fields);
    sign(PBFT_MSG_NEW_VIEW, m.head.sender, &fields, out);
    buf_append_str32(out, m.block);
    return m.head.sender;
}

/* The sender of a message that names it by its id: "broker/a" and on. */
static int sender_of(enum pbft_message_kind kind, const struct msg_signed *head, struct bytes id)
{
    assert_int_equal(head->sender, MESSAGE_NO_SENDER);
    assert_int_equal(id.n, 8);
    int sender = id.p[7] - 'a';
    assert_in_range(sender, 0, NODES - 1);
    assert_int_equal(message_verify(kind, head, &fixture.keys[sender].public_key, &fixture.genesis,
                                    &fixture.validators),
                     0);
    return sender;
}

static int status_again(struct bytes wire, struct buf *out)
{
    struct msg_status m;
    struct buf fields = {0};
    assert_int_equal(message_decode_status(wire, &m), 0);
    int sender = sender_of(PBFT_MSG_STATUS, &m.head, m.id);
    message_fields_status(&m, &fields);
    sign(PBFT_MSG_STATUS, sender, &fields, out);
    return sender;
}

static int fetch_again(struct bytes wire, struct buf *out)
{
    struct msg_fetch m;
    struct buf fields = {0};
    assert_int_equal(message_decode_fetch(wire, &m), 0);
    int sender = sender_of(PBFT_MSG_FETCH, &m.head, m.id);
    message_fields_fetch(&m, &fields);
    sign(PBFT_MSG_FETCH, sender, &fields, out);
    return sender;
}

static int blocks_again(struct bytes wire, struct buf *out)
{
    struct msg_blocks m;
    struct pbft_stored_block blocks[4];
    size_t n = 0;
    assert_int_equal(message_decode_blocks(wire, &m), 0);
    assert_in_range(m.n, 1, 4);
    while (n < m.n && message_blocks_next(&m.list, &blocks[n])) {
        struct block block;
        struct certificate certificate;
        assert_int_equal(block_decode(blocks[n].block, &block), 0);
        assert_int_equal(certificate_decode(blocks[n].certificate, &certificate), 0);
        assert_true(hash_equal(&block.hash, &certificate.header));
        n++;
    }
    assert_int_equal(n, m.n);
    message_encode_blocks(m.sender, blocks, n, out);
    return m.sender;
}

static int read_and_make_again(enum pbft_message_kind kind, struct bytes wire, struct buf *out)
{
    switch (kind) {
    case PBFT_MSG_REQUEST:
        buf_append_bytes(out, wire);
        return -1;
    case PBFT_MSG_PRE_PREPARE:
    case PBFT_MSG_PREPARE:
    case PBFT_MSG_COMMIT:
        return vote_again(kind, wire, out);
    case PBFT_MSG_CHECKPOINT:
        return checkpoint_again(wire, out);
    case PBFT_MSG_VIEW_CHANGE:
        return view_change_again(wire, out);
    case PBFT_MSG_NEW_VIEW:
        return new_view_again(wire, out);
    case PBFT_MSG_STATUS:
        return status_again(wire, out);
    case PBFT_MSG_FETCH:
        return fetch_again(wire, out);
    default:
        assert_int_equal(kind, PBFT_MSG_BLOCKS);
        return blocks_again(wire, out);
    }
}

static void every_frozen_message_is_read_and_made_again(void **state)
{
    (void)state;
    unsigned seen = 0;
    const cJSON *message;
    cJSON_ArrayForEach(message, vector_array(fixture.vectors, "messages"))
    {
        enum pbft_message_kind kind;
        struct buf wire = vector_hex(message, "wire"), again = {0};
        assert_int_equal(pbft_message_kind_of(vector_text(message, "topic"), &kind), 0);
        assert_int_equal(kind, vector_u64(message, "kind"));
        int sender = read_and_make_again(kind, buf_bytes(&wire), &again);
        assert_int_equal(buf_status(&again), 0);
        assert_true(bytes_equal(buf_bytes(&again), buf_bytes(&wire)));
        if (kind != PBFT_MSG_REQUEST)
            assert_int_equal(sender, vector_u64(message, "sender"));
        seen |= 1u << kind;
        buf_close(&wire);
        buf_close(&again);
    }
    assert_int_equal(seen, (1u << (PBFT_MSG_BLOCKS + 1)) - 2); /* each kind that there is */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_frozen_message_is_read_and_made_again),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
