/* Rows and report hashes against frozen vectors and limits. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "ledger/merkle.h"
#include "ledger/row.h"
#include "lib/vectors.h"

static const char long_text[VALUE_MAX_BYTES + 2] = {[0 ... VALUE_MAX_BYTES] = 'x'};

static struct bytes text_of(size_t n)
{
    return bytes_of(long_text, n);
}

static struct row good_row(void)
{
    return (struct row){.device = BYTES_LIT("D3343134IE3B"),
                        .service = BYTES_LIT("CS"),
                        .name = BYTES_LIT("device_temperature"),
                        .unit = BYTES_LIT("\xc2\xb0"
                                          "C"),
                        .value = BYTES_LIT("36"),
                        .type = DATATYPE_DOUBLE,
                        .time_us = INT64_C(1594046911000000)};
}

static struct row vector_row(const cJSON *entry)
{
    struct row row = {.device = vector_text(entry, "device"),
                      .service = vector_text(entry, "service"),
                      .name = vector_text(entry, "name"),
                      .unit = vector_text(entry, "unit"),
                      .value = vector_text(entry, "value"),
                      .time_us = (int64_t)vector_u64(entry, "time_us")};
    assert_int_equal(datatype_parse(vector_text(entry, "datatype"), &row.type), 0);
    return row;
}

static void assert_is_hex(struct bytes got, const cJSON *entry, const char *member)
{
    struct buf want = vector_hex(entry, member);
    assert_true(bytes_equal(got, buf_bytes(&want)));
    buf_close(&want);
}

static void the_frozen_report_hash_comes_out(void **state)
{
    (void)state;
    cJSON *vectors = vectors_load("report-hash.json");
    struct hash leaves[16];
    struct report_head head = {.gateway = vector_text(vectors, "gateway"),
                               .topic = vector_text(vectors, "topic"),
                               .n = vector_u64(vectors, "n"),
                               .rows = (uint32_t)vector_u64(vectors, "count")};
    assert_int_equal(report_head_leaf(&head, &leaves[0]), 0);
    assert_is_hex(hash_bytes(&leaves[0]), vectors, "head_leaf");
    size_t n = 1;
    const cJSON *entry;
    cJSON_ArrayForEach(entry, vector_array(vectors, "rows"))
    {
        struct row row = vector_row(entry);
        assert_int_equal(row_check(&row), 0);
        struct buf wire = {0};
        row_encode(&row, &wire);
        assert_is_hex(buf_bytes(&wire), entry, "row");
        assert_int_equal(row_leaf(&row, &leaves[n]), 0);
        assert_is_hex(hash_bytes(&leaves[n]), entry, "leaf");
        struct hash hash;
        hash_leaf(buf_bytes(&wire), &hash);
        assert_memory_equal(&hash, &leaves[n], sizeof(hash));

        struct reader r = reader_of(buf_bytes(&wire));
        struct row read;
        assert_int_equal(row_decode(&r, &read), 0);
        assert_int_equal(reader_end(&r), 0);
        assert_true(bytes_equal(read.device, row.device) && bytes_equal(read.unit, row.unit) &&
                    bytes_equal(read.service, row.service) && bytes_equal(read.name, row.name) &&
                    bytes_equal(read.value, row.value));
        assert_true(read.type == row.type && read.time_us == row.time_us);
        for (size_t cut = 0; cut < wire.n; cut++) {
            r = reader_of(bytes_of(wire.p, cut));
            assert_int_not_equal(row_decode(&r, &read), 0);
        }
        buf_close(&wire);
        n++;
    }
    assert_int_equal(n, head.rows + 1);
    struct hash report;
    report_hash(leaves, n, &report);
    assert_is_hex(hash_bytes(&report), vectors, "report_hash");

    struct hash genesis;
    uint8_t seed[SEED_SIZE];
    vector_hex_exact(vectors, "genesis", genesis.b, sizeof(genesis.b));
    vector_hex_exact(vectors, "seed", seed, sizeof(seed));
    struct sign_key key;
    sign_key_from_seed(seed, &key);
    assert_is_hex(bytes_of(key.public_key.b, PUBLIC_KEY_SIZE), vectors, "public_key");
    struct signature signature;
    report_sign(&key, &genesis, &report, &signature);
    assert_is_hex(bytes_of(signature.b, SIGNATURE_SIZE), vectors, "signature");
    assert_int_equal(report_verify(&key.public_key, &genesis, &report, &signature), 0);
    genesis.b[0] ^= 1;
    assert_int_equal(report_verify(&key.public_key, &genesis, &report, &signature),
                     SEALMQ_E_SIGNATURE);
    cJSON_Delete(vectors);
}

static void every_field_changes_the_leaf(void **state)
{
    (void)state;
    struct row rows[9];
    for (size_t i = 0; i < 9; i++)
        rows[i] = good_row();
    rows[1].device = BYTES_LIT("D3343134IE3C");
    rows[2].service = BYTES_LIT("CT");
    rows[3].name = BYTES_LIT("device_humidity");
    rows[4].unit = BYTES_LIT("K");
    rows[5].value = BYTES_LIT("36.0");
    rows[6].type = DATATYPE_STRING;
    rows[7].time_us++;
    /* The same bytes one after another, cut in another place. */
    rows[8].service = BYTES_LIT("CSd");
    rows[8].name = BYTES_LIT("evice_temperature");
    struct hash leaves[9];
    for (size_t i = 0; i < 9; i++) {
        assert_int_equal(row_leaf(&rows[i], &leaves[i]), 0);
        for (size_t j = 0; j < i; j++)
            assert_memory_not_equal(&leaves[i], &leaves[j], sizeof(struct hash));
    }
}

static void lengths_over_the_limits_have_no_leaf(void **state)
{
    (void)state;
    struct hash leaf;
    struct row row = good_row();
    row.device = text_of(NAME_MAX_BYTES);
    row.service = text_of(NAME_MAX_BYTES);
    row.name = text_of(NAME_MAX_BYTES);
    row.unit = text_of(UNIT_MAX_BYTES);
    row.value = text_of(VALUE_MAX_BYTES);
    row.type = DATATYPE_STRING;
    assert_int_equal(row_leaf(&row, &leaf), 0);
    assert_int_equal(row_check(&row), 0);
    struct bytes *fields[] = {&row.device, &row.service, &row.name, &row.unit, &row.value};
    for (size_t i = 0; i < 5; i++) {
        fields[i]->n++;
        assert_int_equal(row_leaf(&row, &leaf), SEALMQ_E_LIMIT);
        assert_int_equal(row_check(&row), SEALMQ_E_LIMIT);
        fields[i]->n--;
    }
    row.type = (enum datatype)5;
    assert_int_equal(row_leaf(&row, &leaf), SEALMQ_E_TYPE);
    row.type = (enum datatype)0;
    assert_int_equal(row_leaf(&row, &leaf), SEALMQ_E_TYPE);

    struct report_head head = {text_of(ID_MAX), text_of(TOPIC_MAX_BYTES), UINT64_MAX,
                               REPORT_ROWS_MAX};
    assert_int_equal(report_head_leaf(&head, &leaf), 0);
    head.rows++;
    assert_int_equal(report_head_leaf(&head, &leaf), SEALMQ_E_LIMIT);
    head.rows--;
    head.topic.n++;
    assert_int_equal(report_head_leaf(&head, &leaf), SEALMQ_E_LIMIT);
    head.topic.n--;
    head.gateway.n++;
    assert_int_equal(report_head_leaf(&head, &leaf), SEALMQ_E_LIMIT);
}

static void a_row_that_no_report_may_have_is_refused(void **state)
{
    (void)state;
    struct row row = good_row();
    assert_int_equal(row_check(&row), 0);
    row.value = BYTES_LIT("warm");
    assert_int_equal(row_check(&row), SEALMQ_E_TYPE);
    row = good_row();
    row.device = BYTES_LIT("a/b");
    assert_int_equal(row_check(&row), SEALMQ_E_PARSE);
    row = good_row();
    row.service = BYTES_LIT("");
    assert_int_equal(row_check(&row), SEALMQ_E_PARSE);
    row = good_row();
    row.name = BYTES_LIT("x y");
    assert_int_equal(row_check(&row), SEALMQ_E_PARSE);
    row = good_row();
    row.unit = BYTES_LIT("\xff");
    assert_int_equal(row_check(&row), SEALMQ_E_PARSE);
    row = good_row();
    row.time_us = -1;
    assert_int_equal(row_check(&row), SEALMQ_E_PARSE);
    row.time_us = EVENTTIME_LAST_US;
    assert_int_equal(row_check(&row), 0);
    row.time_us++;
    assert_int_equal(row_check(&row), SEALMQ_E_PARSE);
}

static int setup(void **state)
{
    (void)state;
    return crypto_init();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_frozen_report_hash_comes_out),
        cmocka_unit_test(every_field_changes_the_leaf),
        cmocka_unit_test(lengths_over_the_limits_have_no_leaf),
        cmocka_unit_test(a_row_that_no_report_may_have_is_refused),
    };
    return cmocka_run_group_tests(tests, setup, NULL);
}
