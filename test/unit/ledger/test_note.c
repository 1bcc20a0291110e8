/* Signed checkpoints: what is written is what the specifications say, and nothing else is read. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ledger/note.h"
#include "lib/vectors.h"

static cJSON *vectors;
static struct validator_set set;
static struct sign_key log_keys[4], cosigner_keys[4];
static struct checkpoint checkpoint;
static uint64_t time_s;

static int setup(void **state)
{
    (void)state;
    if (crypto_init() != 0)
        return -1;
    vectors = vectors_load("note.json");
    checkpoint_origin((const char *)vector_text(vectors, "network").p, checkpoint.origin);
    checkpoint.size = vector_u64(vectors, "size");
    vector_hex_exact(vectors, "root", checkpoint.root.b, HASH_SIZE);
    time_s = vector_u64(vectors, "time");
    const cJSON *entry;
    cJSON_ArrayForEach(entry, vector_array(vectors, "validators"))
    {
        struct validator *who = &set.v[set.n];
        uint8_t seed[SEED_SIZE];
        assert_int_equal(bytes_to_cstr(vector_text(entry, "id"), who->id, sizeof(who->id)), 0);
        vector_hex_exact(entry, "log_seed", seed, sizeof(seed));
        sign_key_from_seed(seed, &log_keys[set.n]);
        who->log_key = log_keys[set.n].public_key;
        vector_hex_exact(entry, "cosigner_seed", seed, sizeof(seed));
        sign_key_from_seed(seed, &cosigner_keys[set.n]);
        who->cosigner_key = cosigner_keys[set.n].public_key;
        set.n++;
    }
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    cJSON_Delete(vectors);
    return 0;
}

static const cJSON *validator_entry(size_t i)
{
    return cJSON_GetArrayItem(vector_array(vectors, "validators"), (int)i);
}

static void the_frozen_lines_come_out(void **state)
{
    (void)state;
    struct buf got = {0};
    checkpoint_format(&checkpoint, &got);
    assert_true(bytes_equal(buf_bytes(&got), vector_text(vectors, "text")));
    for (size_t i = 0; i < set.n; i++) {
        buf_reset(&got);
        checkpoint_sign(&checkpoint, &set.v[i], &log_keys[i], &cosigner_keys[i], time_s + i, &got);
        assert_int_equal(buf_status(&got), 0);
        assert_true(bytes_equal(buf_bytes(&got), vector_text(validator_entry(i), "lines")));
        assert_int_equal(checkpoint_verify_validator(&checkpoint, buf_bytes(&got), &set.v[i]), 0);
    }
    buf_close(&got);
}

static void the_frozen_keys_come_out(void **state)
{
    (void)state;
    for (size_t i = 0; i < set.n; i++) {
        struct buf got = {0}, name = {0};
        buf_printf(&name, "%s/%s", checkpoint.origin, set.v[i].id);
        note_vkey_format(bytes_str(checkpoint.origin), NOTE_ED25519, &set.v[i].log_key, &got);
        assert_true(bytes_equal(buf_bytes(&got), vector_text(validator_entry(i), "log_vkey")));
        buf_reset(&got);
        note_vkey_format(buf_bytes(&name), NOTE_COSIGNATURE, &set.v[i].cosigner_key, &got);
        assert_true(bytes_equal(buf_bytes(&got), vector_text(validator_entry(i), "cosigner_vkey")));
        buf_close(&got);
        buf_close(&name);
    }
}

static void a_note_is_taken_apart(void **state)
{
    (void)state;
    struct buf note = {0};
    checkpoint_format(&checkpoint, &note);
    struct checkpoint read;
    struct bytes text, lines;
    assert_int_equal(checkpoint_parse(buf_bytes(&note), &read, &text, &lines), 0);
    assert_int_equal(lines.n, 0);
    assert_int_equal(text.n, note.n);
    buf_append_u8(&note, '\n');
    assert_int_equal(checkpoint_parse(buf_bytes(&note), &read, &text, &lines), SEALMQ_E_PARSE);
    buf_append_bytes(&note, vector_text(validator_entry(0), "lines"));
    buf_append_bytes(&note, vector_text(vectors, "stranger"));
    assert_int_equal(checkpoint_parse(buf_bytes(&note), &read, &text, &lines), 0);
    assert_string_equal(read.origin, checkpoint.origin);
    assert_int_equal(read.size, checkpoint.size);
    assert_memory_equal(&read.root, &checkpoint.root, sizeof(read.root));
    assert_true(bytes_equal(text, vector_text(vectors, "text")));

    struct note_line line;
    uint8_t scratch[128];
    assert_true(note_lines_next(&lines, &line, scratch));
    assert_true(bytes_equal(line.name, BYTES_LIT("sealmq/plant")));
    assert_int_equal(line.signature.n, 64);
    assert_true(note_lines_next(&lines, &line, scratch));
    assert_true(bytes_equal(line.name, BYTES_LIT("sealmq/plant/broker/a")));
    assert_int_equal(line.signature.n, 72);
    assert_true(note_lines_next(&lines, &line, scratch));
    assert_true(bytes_equal(line.name, BYTES_LIT("witness.example/w1")));
    assert_int_equal(lines.n, 0);
    assert_false(note_lines_next(&lines, &line, scratch));
    buf_close(&note);
}

/* The example of the tlog-cosignature specification: its form, for the keys are not published. */
static void the_example_of_the_specification_is_read(void **state)
{
    (void)state;
    static const char example[] =
        "example.com/behind-the-sofa\n"
        "20852163\n"
        "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
        "\n"
        "\xe2\x80\x94 example.com/behind-the-sofa Az3grlgtzPICa5OS8npVmf1Myq/5IZniMp+"
        "ZJurmRDeOoRDe4URYN7u5/Zhcyv2q1gGzGku9nTo+zyWE+xeMcTOAYQ8=\n"
        "\xe2\x80\x94 witness.example.com/w1 jWbPPwAAAABkGFDLEZMHwSRaJNiIDoe9DYn/"
        "zXcrtPHeolMI5OWXEhZCB9dlrDJsX3b2oyin1nPZqhf5nNo0xUe+mbIUBkBIfZ+qnA==\n";
    struct checkpoint read;
    struct bytes text, lines;
    assert_int_equal(checkpoint_parse(BYTES_LIT(example), &read, &text, &lines), 0);
    assert_string_equal(read.origin, "example.com/behind-the-sofa");
    assert_int_equal(read.size, 20852163);
    struct note_line line;
    uint8_t scratch[128];
    assert_true(note_lines_next(&lines, &line, scratch));
    assert_memory_equal(line.key_id, "\x03\x3d\xe0\xae", 4);
    assert_int_equal(line.signature.n, 64);
    assert_true(note_lines_next(&lines, &line, scratch));
    struct reader r = reader_of(line.signature);
    assert_int_equal(reader_u64(&r), 1679315147);
    assert_int_equal(r.n, 64);
}

static void malformed_notes_are_refused(void **state)
{
    (void)state;
#define ROOT  "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=\n"
#define TEXT  "sealmq/plant\n5\n" ROOT
#define LINE  "\xe2\x80\x94 a/b AQIDBAU=\n"
#define START "\xe2\x80\x94 "
    static const char *const bad[] = {
        "",
        "\n",
        "sealmq/plant\n",
        "sealmq/plant\n5\n",
        "sealmq/plant\n5\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=", /* no newline */
        "\n5\n" ROOT,                                                    /* no origin */
        "sealmq/plant\n05\n" ROOT,
        "sealmq/plant\n+5\n" ROOT,
        "sealmq/plant\n-5\n" ROOT,
        "sealmq/plant\n\n" ROOT,
        "sealmq/plant\n0x5\n" ROOT,
        "sealmq/plant\n5 \n" ROOT,
        "sealmq/plant\n5\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I\n",
        "sealmq/plant\n5\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2J=\n", /* spare bits */
        "sealmq/plant\n5\nCsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxqw==\n", /* 31 bytes */
        "sealmq/plant\r\n5\n" ROOT,
        "sealmq/pl\tant\n5\n" ROOT,
        "sealmq/pl\xff"
        "ant\n5\n" ROOT,
        TEXT "extension\n" LINE,
        TEXT "extension\n",
        TEXT "extension\n\n" LINE,
        TEXT "\n",
        TEXT "\n\n" LINE,
        TEXT "\n" LINE "\n",
        TEXT "\n" LINE "\n" LINE,
        TEXT LINE,
        TEXT "\nhello\n",
        TEXT "\n- a/b AQIDBAU=\n",
        TEXT "\n" START "AQIDBAU=\n",  /* no name */
        TEXT "\n" START " AQIDBAU=\n", /* an empty name */
        TEXT "\n" START "a/b\n",       /* no signature */
        TEXT "\n" START "a/b \n",
        TEXT "\n" START "a/b AQIDBA==\n", /* a key id and no more */
        TEXT "\n" START "a/b AQIDBAU\n",
        TEXT "\n" START "a/b AQIDBAU=\r\n",
        TEXT "\n" START "a/b  AQIDBAU=\n", /* two spaces */
        TEXT "\n" START "a/b AQIDBAU= \n",
        TEXT "\n" START "a/b AQIDBAV=\n", /* spare bits */
        TEXT "\n" START "a+b AQIDBAU=\n",
        TEXT "\n" START "a\xc2\xa0"
             "b AQIDBAU=\n", /* no-break space */
        TEXT "\n" START "a\xe2\x80\x83"
             "b AQIDBAU=\n", /* em space */
        TEXT "\n" START "a\xe3\x80\x80"
             "b AQIDBAU=\n", /* ideographic space */
        TEXT "\n" START "a/b AQIDBAU=",
        TEXT "\n" LINE "x",
    };
    struct checkpoint read;
    struct bytes text, lines;
    assert_int_equal(checkpoint_parse(BYTES_LIT(TEXT), &read, &text, &lines), 0);
    assert_int_equal(checkpoint_parse(BYTES_LIT(TEXT "\n" LINE), &read, &text, &lines), 0);
    assert_int_equal(checkpoint_parse(BYTES_LIT(TEXT "\n" LINE LINE), &read, &text, &lines), 0);
    assert_int_equal(checkpoint_parse(BYTES_LIT("sealmq/plant\n0\n" ROOT), &read, &text, &lines),
                     0);
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        int error = checkpoint_parse(bytes_str(bad[i]), &read, &text, &lines);
        if (error != SEALMQ_E_PARSE)
            fail_msg("%zu: %d for %s", i, error, bad[i]);
        assert_int_equal(read.size, 0);
    }
    assert_int_equal(checkpoint_parse(BYTES_LIT("sealmq/pl\0nt\n5\n" ROOT), &read, &text, &lines),
                     SEALMQ_E_PARSE);
    assert_int_equal(checkpoint_parse(BYTES_LIT("sealmq/0123456789012345678901234567890123456789\n"
                                                "5\n" ROOT),
                                      &read, &text, &lines),
                     SEALMQ_E_LIMIT);
    assert_int_not_equal(checkpoint_parse(BYTES_LIT("sealmq/plant\n18446744073709551616\n" ROOT),
                                          &read, &text, &lines),
                         0);
    struct buf large = {0};
    buf_append_cstr(&large, TEXT "\n");
    while (large.n <= NOTE_BYTES_MAX)
        buf_append_cstr(&large, LINE);
    assert_int_equal(checkpoint_parse(buf_bytes(&large), &read, &text, &lines), SEALMQ_E_LIMIT);
    buf_close(&large);
}

static void a_signature_of_another_kind_is_skipped_whatever_its_length(void **state)
{
    (void)state;
    struct buf lines = {0};
    buf_append_bytes(&lines, vector_text(vectors, "long_stranger"));
    buf_append_bytes(&lines, vector_text(validator_entry(0), "lines"));
    assert_int_equal(checkpoint_verify_validator(&checkpoint, buf_bytes(&lines), &set.v[0]), 0);
    struct bytes walk = buf_bytes(&lines);
    struct note_line line;
    uint8_t scratch[128];
    assert_true(note_lines_next(&walk, &line, scratch));
    assert_true(bytes_equal(line.name, BYTES_LIT("witness.example/w2")));
    assert_int_equal(line.signature.n, 0);
    /* but it has to be base64 all along */
    for (size_t i = 30; i + 1 < vector_text(vectors, "long_stranger").n; i += 7) {
        uint8_t kept = lines.p[i];
        lines.p[i] = '*';
        walk = buf_bytes(&lines);
        assert_false(note_lines_next(&walk, &line, scratch));
        lines.p[i] = kept;
    }
    buf_close(&lines);
}

static void a_validator_must_have_signed_both_ways(void **state)
{
    (void)state;
    struct bytes lines = vector_text(validator_entry(0), "lines");
    const uint8_t *newline = memchr(lines.p, '\n', lines.n);
    size_t first = (size_t)(newline + 1 - lines.p);
    struct bytes log_line = bytes_of(lines.p, first);
    struct bytes cosignature = bytes_of(lines.p + first, lines.n - first);
    assert_int_equal(checkpoint_verify_validator(&checkpoint, lines, &set.v[0]), 0);
    assert_int_equal(checkpoint_verify_validator(&checkpoint, log_line, &set.v[0]),
                     SEALMQ_E_SIGNATURE);
    assert_int_equal(checkpoint_verify_validator(&checkpoint, cosignature, &set.v[0]),
                     SEALMQ_E_SIGNATURE);
    assert_int_equal(checkpoint_verify_validator(&checkpoint, (struct bytes){0}, &set.v[0]),
                     SEALMQ_E_SIGNATURE);
    assert_int_equal(checkpoint_verify_validator(&checkpoint, lines, &set.v[1]),
                     SEALMQ_E_SIGNATURE);
    struct buf both = {0};
    buf_append_bytes(&both, cosignature);
    buf_append_bytes(&both, vector_text(vectors, "stranger"));
    buf_append_bytes(&both, log_line);
    buf_append_bytes(&both, log_line);
    assert_int_equal(checkpoint_verify_validator(&checkpoint, buf_bytes(&both), &set.v[0]), 0);
    buf_append_u8(&both, 'x');
    assert_int_equal(checkpoint_verify_validator(&checkpoint, buf_bytes(&both), &set.v[0]),
                     SEALMQ_E_PARSE);
    buf_close(&both);
}

static void a_signature_is_of_one_checkpoint(void **state)
{
    (void)state;
    struct bytes lines = vector_text(validator_entry(0), "lines");
    struct checkpoint other = checkpoint;
    other.size++;
    assert_int_equal(checkpoint_verify_validator(&other, lines, &set.v[0]), SEALMQ_E_SIGNATURE);
    other = checkpoint;
    other.root.b[5] ^= 1;
    assert_int_equal(checkpoint_verify_validator(&other, lines, &set.v[0]), SEALMQ_E_SIGNATURE);
    other = checkpoint;
    checkpoint_origin("plants", other.origin);
    assert_int_equal(checkpoint_verify_validator(&other, lines, &set.v[0]), SEALMQ_E_SIGNATURE);
}

static void every_changed_byte_of_the_lines_is_noticed(void **state)
{
    (void)state;
    struct buf lines = {0};
    buf_append_bytes(&lines, vector_text(validator_entry(0), "lines"));
    for (size_t i = 0; i < lines.n; i++) {
        for (unsigned bit = 0; bit < 8; bit++) {
            lines.p[i] ^= (uint8_t)(1u << bit);
            assert_int_not_equal(
                checkpoint_verify_validator(&checkpoint, buf_bytes(&lines), &set.v[0]), 0);
            lines.p[i] ^= (uint8_t)(1u << bit);
        }
        if (i + 1 < lines.n)
            assert_int_not_equal(
                checkpoint_verify_validator(&checkpoint, bytes_of(lines.p, i), &set.v[0]), 0);
    }
    buf_close(&lines);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_frozen_lines_come_out),
        cmocka_unit_test(the_frozen_keys_come_out),
        cmocka_unit_test(a_note_is_taken_apart),
        cmocka_unit_test(the_example_of_the_specification_is_read),
        cmocka_unit_test(malformed_notes_are_refused),
        cmocka_unit_test(a_signature_of_another_kind_is_skipped_whatever_its_length),
        cmocka_unit_test(a_validator_must_have_signed_both_ways),
        cmocka_unit_test(a_signature_is_of_one_checkpoint),
        cmocka_unit_test(every_changed_byte_of_the_lines_is_noticed),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
