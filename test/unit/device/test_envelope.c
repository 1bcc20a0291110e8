/* Sealed messages, and what is in the frames inside them. */
#include "keys.h"

#include "device/compressor.h"

static struct compressor *compressor;
static const struct seal_key key = {{1, 2, 3}};
static const struct bytes topic = {(const uint8_t *)"plant-a/gw1/RealTime", 20};
static const struct bytes plain = {(const uint8_t *)"{\"devices\":[{\"deviceId\":\"D1\"}]}", 31};

static int setup(void **state)
{
    int error = keys_setup(state);
    return error != 0 ? error : compressor_new(&compressor);
}

static int teardown(void **state)
{
    (void)state;
    compressor_free(compressor);
    return 0;
}

static struct buf sealed_with(uint8_t flags, struct bytes text)
{
    struct buf out = {0};
    const struct envelope_header header = {.flags = flags, .key_id = 77, .counter = 5};
    assert_int_equal(envelope_seal(compressor, &header, &key, topic, text, &out), 0);
    return out;
}

static int open_sealed(struct bytes envelope, struct buf *out)
{
    return envelope_open(compressor, envelope, &key, topic, out);
}

static void what_is_sealed_opens(void **state)
{
    (void)state;
    for (uint8_t flags = 0; flags <= ENVELOPE_ZSTD; flags++) {
        struct buf sealed = sealed_with(flags, plain), opened = {0};
        struct envelope_header header;
        assert_int_equal(envelope_peek(buf_bytes(&sealed), &header), 0);
        assert_int_equal(header.flags, flags);
        assert_int_equal(header.key_id, 77);
        assert_int_equal(header.counter, 5);
        assert_int_equal(open_sealed(buf_bytes(&sealed), &opened), 0);
        assert_true(bytes_equal(buf_bytes(&opened), plain));
        if (flags == 0)
            assert_int_equal(sealed.n, ENVELOPE_HEADER + plain.n + SEAL_TAG_SIZE);
        buf_close(&sealed);
        buf_close(&opened);
    }
}

/* The form byte by byte, put together here by hand. */
static void the_form_is_as_described(void **state)
{
    (void)state;
    static const uint8_t header[] = {1, 0, 0, 0, 0, 77, 0, 0, 0, 0, 0, 0, 0, 5};
    static const uint8_t nonce[SEAL_NONCE_SIZE] = {[11] = 5};
    struct buf sealed = sealed_with(0, plain), additional = {0}, want = {0};
    buf_append(&want, header, sizeof header);
    buf_append(&additional, header, sizeof header);
    buf_append_bytes(&additional, topic);
    assert_int_equal(seal_encrypt(&key, nonce, buf_bytes(&additional), plain, &want), 0);
    assert_true(bytes_equal(buf_bytes(&sealed), buf_bytes(&want)));
    buf_close(&sealed);
    buf_close(&additional);
    buf_close(&want);
}

static void nothing_at_all_can_be_sealed_too(void **state)
{
    (void)state;
    for (uint8_t flags = 0; flags <= ENVELOPE_ZSTD; flags++) {
        struct buf sealed = sealed_with(flags, (struct bytes){0}), opened = {0};
        assert_int_equal(open_sealed(buf_bytes(&sealed), &opened), 0);
        assert_int_equal(opened.n, 0);
        buf_close(&sealed);
        buf_close(&opened);
    }
}

static void no_changed_bit_opens(void **state)
{
    (void)state;
    struct buf sealed = sealed_with(ENVELOPE_ZSTD, plain), opened = {0};
    for (size_t i = 0; i < sealed.n * 8; i++) {
        sealed.p[i / 8] ^= (uint8_t)(1 << i % 8);
        int error = open_sealed(buf_bytes(&sealed), &opened);
        if (i / 8 == 0)
            assert_int_equal(error, SEALMQ_E_VERSION);
        else if (i / 8 == 1 && i % 8 != 0)
            assert_int_equal(error, SEALMQ_E_UNSUPPORTED);
        else
            assert_int_equal(error, SEALMQ_E_CRYPTO);
        assert_int_equal(opened.n, 0);
        sealed.p[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    for (size_t n = 0; n < sealed.n; n++) {
        int error = open_sealed(bytes_of(sealed.p, n), &opened);
        assert_int_equal(error,
                         n < ENVELOPE_HEADER + SEAL_TAG_SIZE ? SEALMQ_E_SHORT : SEALMQ_E_CRYPTO);
    }
    buf_close(&sealed);
    buf_close(&opened);
}

static void another_topic_or_key_does_not_open(void **state)
{
    (void)state;
    struct buf sealed = sealed_with(0, plain), opened = {0};
    const struct seal_key other = {{1, 2, 4}};
    assert_int_equal(envelope_open(compressor, buf_bytes(&sealed), &key,
                                   BYTES_LIT("plant-a/gw2/RealTime"), &opened),
                     SEALMQ_E_CRYPTO);
    assert_int_equal(envelope_open(compressor, buf_bytes(&sealed), &other, topic, &opened),
                     SEALMQ_E_CRYPTO);
    buf_close(&sealed);
    buf_close(&opened);
}

static void too_much_is_neither_sealed_nor_opened(void **state)
{
    (void)state;
    struct buf big = {0}, out = {0};
    const struct envelope_header header = {.flags = ENVELOPE_ZSTD, .key_id = 1, .counter = 1};
    uint8_t *p = buf_extend(&big, ENVELOPE_PLAIN_MAX + 1);
    assert_non_null(p);
    memset(p, 'a', big.n);
    assert_int_equal(envelope_seal(compressor, &header, &key, topic, buf_bytes(&big), &out),
                     SEALMQ_E_LIMIT);
    assert_int_equal(out.n, 0);
    big.n--;
    assert_int_equal(envelope_seal(compressor, &header, &key, topic, buf_bytes(&big), &out), 0);
    assert_true(out.n < 8192);
    struct buf opened = {0};
    assert_int_equal(open_sealed(buf_bytes(&out), &opened), 0);
    assert_int_equal(opened.n, ENVELOPE_PLAIN_MAX);

    /* A small message that says that it is large: refused before anything is allocated for it. */
    struct buf frame = {0};
    big.n++;
    assert_int_equal(compressor_pack(compressor, buf_bytes(&big), &frame), 0);
    buf_close(&opened);
    assert_int_equal(compressor_unpack(compressor, buf_bytes(&frame), ENVELOPE_PLAIN_MAX, &opened),
                     SEALMQ_E_LIMIT);
    assert_int_equal(opened.capacity, 0);
    buf_close(&big);
    buf_close(&out);
    buf_close(&frame);
}

static void a_frame_is_exactly_one_and_says_its_size(void **state)
{
    (void)state;
    struct buf frame = {0}, out = {0};
    assert_int_equal(compressor_pack(compressor, plain, &frame), 0);
    for (size_t n = 0; n < frame.n; n++) {
        assert_int_equal(compressor_unpack(compressor, bytes_of(frame.p, n), 1000, &out),
                         SEALMQ_E_PARSE);
        assert_int_equal(out.n, 0);
    }
    size_t one = frame.n;
    assert_int_equal(compressor_pack(compressor, plain, &frame), 0);
    assert_int_equal(compressor_unpack(compressor, buf_bytes(&frame), 1000, &out), SEALMQ_E_PARSE);
    frame.n = one;
    static const uint8_t skippable[] = {0x50, 0x2a, 0x4d, 0x18, 0, 0, 0, 0};
    buf_append(&frame, skippable, sizeof skippable);
    assert_int_equal(compressor_unpack(compressor, buf_bytes(&frame), 1000, &out), SEALMQ_E_PARSE);
    frame.n = one;
    assert_int_equal(compressor_unpack(compressor, buf_bytes(&frame), 1000, &out), 0);
    assert_true(bytes_equal(buf_bytes(&out), plain));
    assert_int_equal(compressor_unpack(compressor, buf_bytes(&frame), plain.n - 1, &out),
                     SEALMQ_E_LIMIT);
    /* "hi" in a frame without content size, from the format's description. */
    static const uint8_t sizeless[] = {0x28, 0xb5, 0x2f, 0xfd, 0x00, 0x58,
                                       0x11, 0x00, 0x00, 'h',  'i'};
    assert_int_equal(compressor_unpack(compressor, bytes_of(sizeless, sizeof sizeless), 1000, &out),
                     SEALMQ_E_PARSE);
    assert_int_equal(compressor_unpack(compressor, BYTES_LIT("no frame at all"), 1000, &out),
                     SEALMQ_E_PARSE);
    buf_close(&frame);
    buf_close(&out);
}

/* What decompresses to something else would be found by the signature inside; what matters here is
 * that nothing is read or written out of bounds, and nothing is left behind after an error. */
static void a_damaged_frame_does_no_damage(void **state)
{
    (void)state;
    struct buf frame = {0}, out = {0}, text = {0};
    for (int i = 0; i < 40; i++)
        buf_printf(&text, "{\"name\":\"device_temperature\",\"val\":\"%d\"},", i * i);
    assert_int_equal(compressor_pack(compressor, buf_bytes(&text), &frame), 0);
    for (size_t i = 0; i < frame.n * 8; i++) {
        frame.p[i / 8] ^= (uint8_t)(1 << i % 8);
        buf_reset(&out);
        int error = compressor_unpack(compressor, buf_bytes(&frame), 65536, &out);
        assert_true(error == 0 || error == SEALMQ_E_PARSE || error == SEALMQ_E_LIMIT);
        if (error != 0)
            assert_int_equal(out.n, 0);
        frame.p[i / 8] ^= (uint8_t)(1 << i % 8);
    }
    buf_close(&frame);
    buf_close(&out);
    buf_close(&text);
}

static void the_dictionary_pays_for_small_reports(void **state)
{
    (void)state;
    static const char report[] =
        "{\"devices\":[{\"deviceId\":\"D3343134IE3B\",\"services\":[{\"code\":200,\"count\":2,"
        "\"msg\":\"information reported successfully\",\"topic\":\"\",\"serviceId\":\"CS\","
        "\"data\":[{\"name\":\"device_temperature\",\"datatype\":\"double\",\"val\":\"36\","
        "\"unit\":\"\xc2\xb0"
        "C\",\"comment\":\"temperature\"},{\"name\":\"device_humidity\",\"datatype\":\"double\","
        "\"val\":\"6\",\"unit\":\"%\",\"comment\":\"humidity\"}],"
        "\"eventtime\":\"20200706T144831Z\"}]}]}";
    struct buf frame = {0};
    assert_int_equal(compressor_pack(compressor, BYTES_LIT(report), &frame), 0);
    assert_in_range(frame.n, 1, sizeof report / 3);
    buf_close(&frame);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_sealed_opens),
        cmocka_unit_test(the_form_is_as_described),
        cmocka_unit_test(nothing_at_all_can_be_sealed_too),
        cmocka_unit_test(no_changed_bit_opens),
        cmocka_unit_test(another_topic_or_key_does_not_open),
        cmocka_unit_test(too_much_is_neither_sealed_nor_opened),
        cmocka_unit_test(a_frame_is_exactly_one_and_says_its_size),
        cmocka_unit_test(a_damaged_frame_does_no_damage),
        cmocka_unit_test(the_dictionary_pays_for_small_reports),
    };
    return cmocka_run_group_tests(tests, setup, teardown);
}
