/* Proof files: one text for each proof, and damage is refused without harm. Whether a proof proves
 * is tested with src/verify. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ledger/proof.h"
#include "lib/vectors.h"

static cJSON *vectors;
static const cJSON *proofs;

static int setup(void **state)
{
    (void)state;
    vectors = vectors_load("proof.json");
    return json_member_object(vectors, "proofs", &proofs, NULL);
}

static int teardown(void **state)
{
    (void)state;
    cJSON_Delete(vectors);
    return 0;
}

static void every_frozen_proof_is_read_and_written_again(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum proof_kind kind;
        enum request_kind request;
        size_t state;
    } samples[] = {
        {"block", PROOF_BLOCK, 0, 0},
        {"describe", PROOF_REQUEST, REQUEST_DESCRIBE, 1},
        {"data", PROOF_REQUEST, REQUEST_DATA, 1},
        {"receipt", PROOF_REQUEST, REQUEST_DATA, 0},
        {"register", PROOF_REQUEST, REQUEST_REGISTER, 1},
        {"record", PROOF_RECORD, REQUEST_DATA, 2},
        {"row", PROOF_ROW, REQUEST_DATA, 1},
    };
    for (size_t i = 0; i < sizeof(samples) / sizeof(samples[0]); i++) {
        struct bytes text = vector_text(proofs, samples[i].name);
        struct proof proof;
        assert_int_equal(proof_parse(text, &proof), 0);
        assert_int_equal(proof.kind, samples[i].kind);
        assert_int_equal(proof.request.kind, samples[i].request);
        assert_int_equal(proof.state_count, samples[i].state);
        assert_int_equal(proof.header.height, 4);
        assert_int_equal(proof.log_index, 4);
        struct buf again = {0};
        buf_append_cstr(&again, "before");
        assert_int_equal(proof_format(&proof, &again), 0);
        buf_consume(&again, 6);
        assert_true(bytes_equal(buf_bytes(&again), text));
        buf_close(&again);
        proof_close(&proof);
        assert_null(proof.state);
    }
}

static void the_parts_of_a_row_proof_are_where_they_belong(void **state)
{
    (void)state;
    struct proof proof;
    assert_int_equal(proof_parse(vector_text(proofs, "row"), &proof), 0);
    assert_true(bytes_equal(proof.request.sender, BYTES_LIT("devices/iot")));
    assert_int_equal(proof.request.number, 8);
    assert_int_equal(proof.request_index, 1);
    assert_int_equal(proof.sub_index, 2);
    assert_int_equal(proof.leaf.n, 201);
    assert_int_equal(proof.leaf.status, LEAF_ACKNOWLEDGED);
    assert_true(bytes_equal(proof.leaf.node, BYTES_LIT("broker/a")));
    assert_true(bytes_equal(proof.report.gateway, BYTES_LIT("devices/iot")));
    assert_true(bytes_equal(proof.report.topic, BYTES_LIT("500001/400001/300002/RealTime")));
    assert_int_equal(proof.report.n, 201);
    assert_int_equal(proof.report.rows, 5);
    assert_int_equal(proof.row_number, 3);
    assert_true(bytes_equal(proof.row.device, BYTES_LIT("pump.2")));
    assert_true(bytes_equal(proof.state[0].key, BYTES_LIT("member/devices/iot")));
    proof_close(&proof);
}

static void a_file_cut_short_is_no_proof(void **state)
{
    (void)state;
    struct bytes text = vector_text(proofs, "row");
    const uint8_t *note = memmem(text.p, text.n, "\n\nsealmq/plant\n", 15);
    assert_non_null(note);
    for (size_t n = 0; n < text.n; n++) {
        struct proof proof;
        int error = proof_parse(bytes_of(text.p, n), &proof);
        /* The note may lack its last lines; how many it needs is for the policy to say. */
        if (error == 0) {
            assert_true(text.p[n - 1] == '\n' && &text.p[n] > note);
            proof_close(&proof);
        }
        assert_null(proof.state);
        assert_null(proof.storage.p);
    }
}

/* The bytes of the extra line of a proof. */
static struct buf extra_of(struct bytes text, struct bytes *before, struct bytes *after)
{
    const uint8_t *start = (const uint8_t *)memmem(text.p, text.n, "\nextra ", 7) + 7;
    const uint8_t *end = memchr(start, '\n', text.n);
    struct buf extra = {0};
    assert_int_equal(base64_decode(bytes_of(start, (size_t)(end - start)), &extra), 0);
    *before = bytes_of(text.p, (size_t)(start - text.p));
    *after = bytes_of(end, text.n - (size_t)(end - text.p));
    return extra;
}

static int parse_with_extra(struct bytes before, struct bytes extra, struct bytes after,
                            struct proof *proof, struct buf *text)
{
    buf_reset(text);
    buf_append_bytes(text, before);
    base64_append(text, extra);
    buf_append_bytes(text, after);
    assert_int_equal(buf_status(text), 0);
    return proof_parse(buf_bytes(text), proof);
}

/* Each byte of the binary part: whatever is still a proof has that one form. */
static void a_changed_extra_line_is_refused_or_another_proof(void **state)
{
    (void)state;
    static const char *const names[] = {"block", "describe", "register", "record", "row"};
    for (size_t k = 0; k < sizeof(names) / sizeof(names[0]); k++) {
        struct bytes before, after;
        struct buf text = {0}, again = {0};
        struct buf extra = extra_of(vector_text(proofs, names[k]), &before, &after);
        struct proof proof;
        for (size_t i = 0; i < extra.n; i++) {
            for (unsigned bit = 0; bit < 8; bit++) {
                extra.p[i] ^= (uint8_t)(1u << bit);
                if (parse_with_extra(before, buf_bytes(&extra), after, &proof, &text) == 0) {
                    buf_reset(&again);
                    assert_int_equal(proof_format(&proof, &again), 0);
                    assert_true(bytes_equal(buf_bytes(&again), buf_bytes(&text)));
                }
                proof_close(&proof);
                extra.p[i] ^= (uint8_t)(1u << bit);
            }
            assert_int_not_equal(
                parse_with_extra(before, bytes_of(extra.p, i), after, &proof, &text), 0);
        }
        buf_append_u8(&extra, 0);
        assert_int_not_equal(parse_with_extra(before, buf_bytes(&extra), after, &proof, &text), 0);
        buf_close(&extra);
        buf_close(&text);
        buf_close(&again);
    }
}

static void malformed_lines_are_refused(void **state)
{
    (void)state;
    static const struct {
        const char *from, *to;
    } changes[] = {
        {"c2sp.org/tlog-proof@v1\n", "c2sp.org/tlog-proof@v2\n"},
        {"c2sp.org/tlog-proof@v1\n", "c2sp.org/tlog-proof@v1\r\n"},
        {"c2sp.org/tlog-proof@v1\n", "\nc2sp.org/tlog-proof@v1\n"},
        {"\nextra ", "\nextra  "},
        {"\nextra ", "\nExtra "},
        {"\nextra ", "\nextra"},
        {"\nindex 4\n", "\nindex 04\n"},
        {"\nindex 4\n", "\nindex  4\n"},
        {"\nindex 4\n", "\nindex 4 \n"},
        {"\nindex 4\n", "\nindex -4\n"},
        {"\nindex 4\n", "\nindex 18446744073709551616\n"},
        {"\nindex 4\n", "\n"},
        {"\nindex 4\n", "\nindex 4\nAAAA\n"},
        {"\nindex 4\n", "\nindex 4\n\n"},
        {"\n\nsealmq/plant\n", "\nsealmq/plant\n"},
        {"\n\nsealmq/plant\n", "\n\n\nsealmq/plant\n"},
    };
    struct bytes good = vector_text(proofs, "data");
    struct proof proof;
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        const uint8_t *at = memmem(good.p, good.n, changes[i].from, strlen(changes[i].from));
        assert_non_null(at);
        struct buf text = {0};
        buf_append(&text, good.p, (size_t)(at - good.p));
        buf_append_cstr(&text, changes[i].to);
        at += strlen(changes[i].from);
        buf_append(&text, at, good.n - (size_t)(at - good.p));
        if (proof_parse(buf_bytes(&text), &proof) == 0)
            fail_msg("taken: change %zu", i);
        buf_close(&text);
    }
    /* a proof of the format, but without our part */
    assert_int_equal(proof_parse(BYTES_LIT("c2sp.org/tlog-proof@v1\nindex 0\n\nsealmq/plant\n1\n"
                                           "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"),
                                 &proof),
                     SEALMQ_E_PARSE);
}

static void limits_are_kept(void **state)
{
    (void)state;
    struct proof proof;
    struct buf text = {0};
    buf_append_cstr(&text, "c2sp.org/tlog-proof@v1\nextra AQE=\nindex 0\n");
    for (unsigned i = 0; i <= MERKLE_PATH_MAX; i++)
        buf_append_cstr(&text, "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n");
    buf_append_cstr(&text, "\nsealmq/plant\n1\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n");
    assert_int_equal(proof_parse(buf_bytes(&text), &proof), SEALMQ_E_LIMIT);
    buf_reset(&text);
    buf_append_cstr(&text, "c2sp.org/tlog-proof@v1\nextra ");
    uint8_t *p = buf_extend(&text, PROOF_BYTES_MAX);
    assert_non_null(p);
    memset(p, 'A', PROOF_BYTES_MAX);
    assert_int_equal(proof_parse(buf_bytes(&text), &proof), SEALMQ_E_LIMIT);
    /* what would be too long is not written */
    assert_int_equal(proof_parse(vector_text(proofs, "data"), &proof), 0);
    proof.note = bytes_of(text.p, text.n);
    struct buf out = {0};
    assert_int_equal(proof_format(&proof, &out), SEALMQ_E_LIMIT);
    assert_int_equal(out.n, 0);
    buf_close(&out);
    buf_close(&text);
    proof_close(&proof);
}

static void kinds_have_names(void **state)
{
    (void)state;
    assert_string_equal(proof_kind_name(PROOF_BLOCK), "block");
    assert_string_equal(proof_kind_name(PROOF_ROW), "row");
    assert_null(proof_kind_name((enum proof_kind)0));
    assert_null(proof_kind_name((enum proof_kind)5));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_frozen_proof_is_read_and_written_again),
        cmocka_unit_test(the_parts_of_a_row_proof_are_where_they_belong),
        cmocka_unit_test(a_file_cut_short_is_no_proof),
        cmocka_unit_test(a_changed_extra_line_is_refused_or_another_proof),
        cmocka_unit_test(malformed_lines_are_refused),
        cmocka_unit_test(limits_are_kept),
        cmocka_unit_test(kinds_have_names),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
