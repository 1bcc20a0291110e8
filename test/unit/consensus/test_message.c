#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "consensus/message.h"

static struct sign_key key;
static struct hash genesis = {{1}}, validators = {{2}};

static void fill(void *out, size_t n, uint8_t first)
{
    for (size_t i = 0; i < n; i++)
        ((uint8_t *)out)[i] = (uint8_t)(first + i);
}

static int decode(enum pbft_message_kind kind, struct bytes b)
{
    static struct msg_new_view new_view;
    struct msg_vote vote;
    struct msg_view_change view_change;
    struct msg_status status;
    struct msg_fetch fetch;
    struct msg_checkpoint checkpoint;
    struct msg_blocks blocks;
    switch (kind) {
    case PBFT_MSG_PRE_PREPARE:
    case PBFT_MSG_PREPARE:
    case PBFT_MSG_COMMIT:
        return message_decode_vote(b, kind, &vote);
    case PBFT_MSG_VIEW_CHANGE:
        return message_decode_view_change(b, &view_change);
    case PBFT_MSG_NEW_VIEW:
        return message_decode_new_view(b, &new_view);
    case PBFT_MSG_STATUS:
        return message_decode_status(b, &status);
    case PBFT_MSG_FETCH:
        return message_decode_fetch(b, &fetch);
    case PBFT_MSG_CHECKPOINT:
        return message_decode_checkpoint(b, &checkpoint);
    default:
        return message_decode_blocks(b, &blocks);
    }
}

static void seal(enum pbft_message_kind kind, const struct buf *fields, struct buf *out)
{
    message_sign(kind, 3, buf_bytes(fields), &key, &genesis, &validators, out);
}

static void make_view_change(int sender, struct buf *signed_part)
{
    struct msg_view_change m = {.view = 9, .height = 41, .prepared = true};
    m.tip_certificate = BYTES_LIT("tip certificate");
    m.prepared_certificate = BYTES_LIT("prepared certificate");
    struct buf fields = {0};
    message_fields_view_change(&m, &fields);
    message_sign(PBFT_MSG_VIEW_CHANGE, sender, buf_bytes(&fields), &key, &genesis, &validators,
                 signed_part);
    buf_close(&fields);
}

/* One message of each kind, every field in use. */
static void make(enum pbft_message_kind kind, struct buf *out)
{
    struct buf fields = {0};
    switch (kind) {
    case PBFT_MSG_PRE_PREPARE:
    case PBFT_MSG_PREPARE:
    case PBFT_MSG_COMMIT: {
        struct msg_vote m = {.sender = 3, .view = 7, .height = 42, .block = BYTES_LIT("a block")};
        fill(m.header.b, HASH_SIZE, 10);
        fill(m.signature.b, SIGNATURE_SIZE, 50);
        message_encode_vote(&m, kind, out);
        break;
    }
    case PBFT_MSG_VIEW_CHANGE:
        make_view_change(3, out);
        buf_append_str32(out, BYTES_LIT("a block"));
        break;
    case PBFT_MSG_NEW_VIEW: {
        static struct msg_new_view m;
        struct buf parts[2] = {0};
        m = (struct msg_new_view){.view = 9, .n = 2, .again = true};
        for (int i = 0; i < 2; i++) {
            make_view_change(i, &parts[i]);
            m.view_changes[i].head.signed_part = buf_bytes(&parts[i]);
        }
        fill(m.vote.b, SIGNATURE_SIZE, 3);
        message_fields_new_view(&m, &fields);
        seal(kind, &fields, out);
        buf_append_str32(out, BYTES_LIT("a block"));
        buf_close(&parts[0]);
        buf_close(&parts[1]);
        break;
    }
    case PBFT_MSG_STATUS:
        message_fields_status(&(struct msg_status){.id = BYTES_LIT("broker/x"),
                                                   .height = 5,
                                                   .view = 6,
                                                   .stable_size = 4,
                                                   .keeps = 3,
                                                   .flags = STATUS_CHANGING},
                              &fields);
        seal(kind, &fields, out);
        break;
    case PBFT_MSG_FETCH:
        message_fields_fetch(
            &(struct msg_fetch){.id = BYTES_LIT("broker/x"), .from = 5, .count = 6, .wanted = true},
            &fields);
        seal(kind, &fields, out);
        break;
    case PBFT_MSG_CHECKPOINT:
        message_encode_checkpoint(
            &(struct msg_checkpoint){.sender = 3, .size = 6, .lines = BYTES_LIT("lines")}, out);
        break;
    default: {
        struct pbft_stored_block blocks[2] = {{BYTES_LIT("one"), BYTES_LIT("first")},
                                              {BYTES_LIT("two"), BYTES_LIT("second")}};
        message_encode_blocks(3, blocks, 2, out);
        break;
    }
    }
    assert_int_equal(buf_status(out), 0);
    buf_close(&fields);
}

#define KINDS_FROM PBFT_MSG_PRE_PREPARE
#define KINDS_TO   PBFT_MSG_BLOCKS

static void what_was_encoded_is_decoded(void **state)
{
    (void)state;
    struct buf b = {0};
    struct msg_vote vote;
    make(PBFT_MSG_PRE_PREPARE, &b);
    assert_int_equal(message_decode_vote(buf_bytes(&b), PBFT_MSG_PRE_PREPARE, &vote), 0);
    assert_int_equal(vote.sender, 3);
    assert_int_equal(vote.view, 7);
    assert_int_equal(vote.height, 42);
    assert_int_equal(vote.header.b[31], 41);
    assert_int_equal(vote.signature.b[0], 50);
    assert_true(bytes_equal(vote.block, BYTES_LIT("a block")));

    struct msg_view_change change;
    buf_reset(&b);
    make(PBFT_MSG_VIEW_CHANGE, &b);
    assert_int_equal(message_decode_view_change(buf_bytes(&b), &change), 0);
    assert_int_equal(change.view, 9);
    assert_int_equal(change.height, 41);
    assert_true(bytes_equal(change.tip_certificate, BYTES_LIT("tip certificate")));
    assert_true(bytes_equal(change.prepared_certificate, BYTES_LIT("prepared certificate")));
    assert_true(bytes_equal(change.block, BYTES_LIT("a block")));

    static struct msg_new_view view;
    buf_reset(&b);
    make(PBFT_MSG_NEW_VIEW, &b);
    assert_int_equal(message_decode_new_view(buf_bytes(&b), &view), 0);
    assert_int_equal(view.n, 2);
    assert_true(view.again);
    assert_int_equal(view.view_changes[1].head.sender, 1);
    assert_int_equal(view.view_changes[1].height, 41);

    struct msg_blocks blocks;
    struct pbft_stored_block stored;
    buf_reset(&b);
    make(PBFT_MSG_BLOCKS, &b);
    assert_int_equal(message_decode_blocks(buf_bytes(&b), &blocks), 0);
    assert_true(message_blocks_next(&blocks.list, &stored));
    assert_true(message_blocks_next(&blocks.list, &stored));
    assert_true(bytes_equal(stored.certificate, BYTES_LIT("second")));
    assert_false(message_blocks_next(&blocks.list, &stored));
    buf_close(&b);
}

static void every_shorter_and_every_longer_message_is_refused(void **state)
{
    (void)state;
    for (int kind = KINDS_FROM; kind <= KINDS_TO; kind++) {
        struct buf b = {0};
        make((enum pbft_message_kind)kind, &b);
        assert_int_equal(decode((enum pbft_message_kind)kind, buf_bytes(&b)), 0);
        for (size_t n = 0; n < b.n; n++)
            assert_int_not_equal(decode((enum pbft_message_kind)kind, bytes_of(b.p, n)), 0);
        buf_append_u8(&b, 0);
        assert_int_not_equal(decode((enum pbft_message_kind)kind, buf_bytes(&b)), 0);
        buf_close(&b);
    }
}

static void every_changed_byte_is_refused_or_harmless(void **state)
{
    (void)state;
    for (int kind = KINDS_FROM; kind <= KINDS_TO; kind++) {
        struct buf b = {0};
        make((enum pbft_message_kind)kind, &b);
        for (size_t i = 0; i < b.n; i++) {
            uint8_t was = b.p[i];
            for (unsigned v = 0; v < 256; v++) {
                b.p[i] = (uint8_t)v;
                (void)decode((enum pbft_message_kind)kind, buf_bytes(&b));
            }
            b.p[i] = was;
        }
        for (int other = KINDS_FROM; other <= KINDS_TO; other++)
            if (other != kind)
                assert_int_not_equal(decode((enum pbft_message_kind)other, buf_bytes(&b)), 0);
        b.p[0]++;
        assert_int_equal(decode((enum pbft_message_kind)kind, buf_bytes(&b)), SEALMQ_E_VERSION);
        b.p[0]--;
        b.p[2] = VALIDATORS_MAX;
        bool is_by_id = kind == PBFT_MSG_STATUS || kind == PBFT_MSG_FETCH;
        assert_int_equal(decode((enum pbft_message_kind)kind, buf_bytes(&b)),
                         is_by_id ? SEALMQ_E_PARSE : SEALMQ_E_LIMIT);
        b.p[2] = 255; /* in no set */
        bool may_be = is_by_id || kind == PBFT_MSG_BLOCKS;
        assert_int_equal(decode((enum pbft_message_kind)kind, buf_bytes(&b)),
                         may_be ? 0 : SEALMQ_E_LIMIT);
        buf_close(&b);
    }
}

static void numbers_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    struct buf b = {0};
    struct msg_vote vote = {.view = INT64_MAX, .height = 1};
    message_encode_vote(&vote, PBFT_MSG_COMMIT, &b);
    assert_int_equal(message_decode_vote(buf_bytes(&b), PBFT_MSG_COMMIT, &vote), SEALMQ_E_LIMIT);
    buf_reset(&b);
    vote = (struct msg_vote){.height = UINT64_MAX};
    message_encode_vote(&vote, PBFT_MSG_COMMIT, &b);
    assert_int_equal(message_decode_vote(buf_bytes(&b), PBFT_MSG_COMMIT, &vote), SEALMQ_E_LIMIT);
    buf_reset(&b);
    vote = (struct msg_vote){.height = 0};
    message_encode_vote(&vote, PBFT_MSG_COMMIT, &b);
    assert_int_equal(message_decode_vote(buf_bytes(&b), PBFT_MSG_COMMIT, &vote), SEALMQ_E_PARSE);
    buf_close(&b);
}

static void a_signature_is_good_for_one_kind_network_and_validator_set_only(void **state)
{
    (void)state;
    struct buf fields = {0}, b = {0};
    struct msg_view_change m;
    struct hash other = {{9}};
    make(PBFT_MSG_VIEW_CHANGE, &b);
    assert_int_equal(message_decode_view_change(buf_bytes(&b), &m), 0);
    assert_int_equal(
        message_verify(PBFT_MSG_VIEW_CHANGE, &m.head, &key.public_key, &genesis, &validators), 0);
    assert_int_equal(
        message_verify(PBFT_MSG_NEW_VIEW, &m.head, &key.public_key, &genesis, &validators),
        SEALMQ_E_SIGNATURE);
    assert_int_equal(
        message_verify(PBFT_MSG_VIEW_CHANGE, &m.head, &key.public_key, &other, &validators),
        SEALMQ_E_SIGNATURE);
    assert_int_equal(
        message_verify(PBFT_MSG_VIEW_CHANGE, &m.head, &key.public_key, &genesis, &other),
        SEALMQ_E_SIGNATURE);
    size_t signed_bytes = m.head.signed_part.n;
    for (size_t i = 2; i < signed_bytes; i++) { /* version and kind are looked at before */
        b.p[i] ^= 1;
        if (message_decode_view_change(buf_bytes(&b), &m) == 0)
            assert_int_equal(message_verify(PBFT_MSG_VIEW_CHANGE, &m.head, &key.public_key,
                                            &genesis, &validators),
                             SEALMQ_E_SIGNATURE);
        b.p[i] ^= 1;
    }
    buf_close(&fields);
    buf_close(&b);
}

static void view_changes_of_a_new_view_ascend_and_are_of_its_view(void **state)
{
    (void)state;
    static struct msg_new_view m, decoded;
    struct buf parts[2] = {0}, fields = {0}, b = {0};
    make_view_change(1, &parts[0]);
    make_view_change(1, &parts[1]);
    m = (struct msg_new_view){.view = 9, .n = 2};
    for (int i = 0; i < 2; i++)
        m.view_changes[i].head.signed_part = buf_bytes(&parts[i]);
    message_fields_new_view(&m, &fields);
    seal(PBFT_MSG_NEW_VIEW, &fields, &b);
    buf_append_u32(&b, 0);
    assert_int_equal(message_decode_new_view(buf_bytes(&b), &decoded), SEALMQ_E_PARSE);

    buf_reset(&fields);
    buf_reset(&b);
    m.n = 1;
    m.view = 8;
    message_fields_new_view(&m, &fields);
    seal(PBFT_MSG_NEW_VIEW, &fields, &b);
    buf_append_u32(&b, 0);
    assert_int_equal(message_decode_new_view(buf_bytes(&b), &decoded), SEALMQ_E_PARSE);
    buf_close(&parts[0]);
    buf_close(&parts[1]);
    buf_close(&fields);
    buf_close(&b);
}

static void kinds_and_topics_go_both_ways(void **state)
{
    (void)state;
    enum pbft_message_kind found;
    for (int kind = PBFT_MSG_REQUEST; kind <= PBFT_MSG_BLOCKS; kind++) {
        const char *topic = pbft_message_topic((enum pbft_message_kind)kind);
        assert_non_null(topic);
        assert_int_equal(pbft_message_kind_of(bytes_str(topic), &found), 0);
        assert_int_equal(found, kind);
    }
    assert_null(pbft_message_topic((enum pbft_message_kind)0));
    assert_null(pbft_message_topic((enum pbft_message_kind)99));
    assert_int_equal(pbft_message_kind_of(BYTES_LIT("sync"), &found), SEALMQ_E_NOTFOUND);
    assert_int_equal(pbft_message_kind_of(BYTES_LIT(""), &found), SEALMQ_E_NOTFOUND);
}

static int setup(void **state)
{
    (void)state;
    uint8_t seed[SEED_SIZE] = {1};
    sign_key_from_seed(seed, &key);
    return crypto_init();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_encoded_is_decoded),
        cmocka_unit_test(every_shorter_and_every_longer_message_is_refused),
        cmocka_unit_test(every_changed_byte_is_refused_or_harmless),
        cmocka_unit_test(numbers_that_do_not_fit_are_refused),
        cmocka_unit_test(a_signature_is_good_for_one_kind_network_and_validator_set_only),
        cmocka_unit_test(view_changes_of_a_new_view_ascend_and_are_of_its_view),
        cmocka_unit_test(kinds_and_topics_go_both_ways),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
