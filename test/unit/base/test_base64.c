#include "base/text.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdlib.h>

/* RFC 4648 section 10. */
static const struct {
    const char *plain, *base64, *base64url;
} vectors[] = {
    {"", "", ""},
    {"f", "Zg==", "Zg"},
    {"fo", "Zm8=", "Zm8"},
    {"foo", "Zm9v", "Zm9v"},
    {"foob", "Zm9vYg==", "Zm9vYg"},
    {"fooba", "Zm9vYmE=", "Zm9vYmE"},
    {"foobar", "Zm9vYmFy", "Zm9vYmFy"},
    {"\xFB\xFF\xFE", "+//+", "-__-"},
};
#define VECTORS (sizeof(vectors) / sizeof(vectors[0]))

static void published_vectors_hold_both_ways(void **state)
{
    (void)state;
    for (size_t i = 0; i < VECTORS; i++) {
        struct buf b = {0};
        base64_append(&b, bytes_str(vectors[i].plain));
        assert_string_equal(buf_cstr(&b), vectors[i].base64);
        buf_reset(&b);
        base64url_append(&b, bytes_str(vectors[i].plain));
        assert_string_equal(buf_cstr(&b), vectors[i].base64url);
        buf_reset(&b);
        assert_int_equal(base64_decode(bytes_str(vectors[i].base64), &b), 0);
        assert_string_equal(buf_cstr(&b), vectors[i].plain);
        buf_reset(&b);
        assert_int_equal(base64url_decode(bytes_str(vectors[i].base64url), &b), 0);
        assert_string_equal(buf_cstr(&b), vectors[i].plain);
        buf_close(&b);
    }
}

static void all_bytes_at_all_lengths_come_back(void **state)
{
    (void)state;
    uint8_t plain[300], back[300];
    for (size_t i = 0; i < sizeof(plain); i++)
        plain[i] = (uint8_t)(i * 167 + 13);
    for (size_t n = 0; n <= sizeof(plain); n++) {
        struct buf text = {0}, url = {0}, out = {0};
        base64_append(&text, bytes_of(plain, n));
        base64url_append(&url, bytes_of(plain, n));
        buf_append_cstr(&out, "before");
        assert_int_equal(base64_decode(buf_bytes(&text), &out), 0);
        assert_int_equal(base64url_decode(buf_bytes(&url), &out), 0);
        assert_int_equal(out.n, 6 + 2 * n);
        assert_memory_equal(out.p + 6, plain, n);
        assert_memory_equal(out.p + 6 + n, plain, n);
        assert_int_equal(base64_decode_exact(buf_bytes(&text), back, n), 0);
        assert_memory_equal(back, plain, n);
        assert_int_equal(base64url_decode_exact(buf_bytes(&url), back, n), 0);
        assert_int_equal(base64_decode_exact(buf_bytes(&text), back, n + 1), SEALMQ_E_PARSE);
        if (n != 0)
            assert_int_equal(base64_decode_exact(buf_bytes(&text), back, n - 1), SEALMQ_E_PARSE);
        buf_close(&text);
        buf_close(&url);
        buf_close(&out);
    }
}

static void every_byte_string_has_one_base64_text(void **state)
{
    (void)state;
    const char *bad[] = {"Z",        "Zg",    "Zg=",    "Zg===", "Zh==", "Zm9=",     "Zm8",
                         "=",        "==",    "====",   "Z===",  "=Zg=", "Zg=v",     "Zm9v=",
                         "Zm9v====", " Zm9v", "Zm9v\n", "Zm 9",  "Zm-_", "Zg==Zg==", "Zm9\x80"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct buf out = {0};
        buf_append_cstr(&out, "x");
        if (base64_decode(bytes_str(bad[i]), &out) != SEALMQ_E_PARSE)
            fail_msg("\"%s\" was taken", bad[i]);
        assert_int_equal(out.n, 1);
        assert_int_equal(buf_status(&out), 0);
        buf_close(&out);
    }
}

static void every_byte_string_has_one_base64url_text(void **state)
{
    (void)state;
    const char *bad[] = {"Z", "Zg==", "Zh", "Zm9", "Zm+/", "Zm9vY", "Zg=", " Zm8", "Zm8\n", "Zg."};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct buf out = {0};
        if (base64url_decode(bytes_str(bad[i]), &out) != SEALMQ_E_PARSE)
            fail_msg("\"%s\" was taken", bad[i]);
        assert_int_equal(out.n, 0);
        buf_close(&out);
    }
}

static void exactly_the_alphabet_is_taken(void **state)
{
    (void)state;
    const char *letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    for (int c = 0; c < 256; c++) {
        const uint8_t text[4] = {(uint8_t)c, 'A', 'A', 'A'};
        bool letter = c != 0 && strchr(letters, c) != NULL;
        uint8_t out[3];
        int standard = base64_decode_exact(bytes_of(text, 4), out, 3);
        int url = base64url_decode_exact(bytes_of(text, 4), out, 3);
        assert_int_equal(standard == 0, letter || c == '+' || c == '/');
        assert_int_equal(url == 0, letter || c == '-' || c == '_');
    }
}

static void decoding_stops_at_the_buffers_limit(void **state)
{
    (void)state;
    struct buf out = {.limit = 3};
    assert_int_equal(base64_decode(BYTES_LIT("Zm9v"), &out), 0);
    assert_int_equal(base64_decode(BYTES_LIT("Zg=="), &out), SEALMQ_E_LIMIT);
    assert_int_equal(out.n, 3);
    buf_close(&out);
}

static void hex_comes_back_in_either_case(void **state)
{
    (void)state;
    uint8_t all[256], back[256];
    char text[513];
    for (size_t i = 0; i < sizeof(all); i++)
        all[i] = (uint8_t)i;
    hex_encode(bytes_of(all, sizeof(all)), text);
    assert_int_equal(strlen(text), 512);
    assert_memory_equal(text + 2 * 0xAB, "ab", 2);
    assert_int_equal(hex_decode(bytes_str(text), back, sizeof(back)), 0);
    assert_memory_equal(all, back, sizeof(all));
    assert_int_equal(hex_decode(BYTES_LIT("aBfF"), back, 2), 0);
    assert_int_equal(back[0], 0xAB);
    assert_int_equal(back[1], 0xFF);
    hex_encode((struct bytes){0}, text);
    assert_string_equal(text, "");
}

static void hex_refuses_other_lengths_and_digits(void **state)
{
    (void)state;
    uint8_t out[4];
    assert_int_equal(hex_decode(BYTES_LIT("aabb"), out, 1), SEALMQ_E_PARSE);
    assert_int_equal(hex_decode(BYTES_LIT("aabb"), out, 3), SEALMQ_E_PARSE);
    assert_int_equal(hex_decode(BYTES_LIT("aab"), out, 1), SEALMQ_E_PARSE);
    assert_int_equal(hex_decode(BYTES_LIT(""), out, 0), 0);
    for (int c = 0; c < 256; c++) {
        const uint8_t text[2] = {'0', (uint8_t)c};
        bool digit = c != 0 && strchr("0123456789abcdefABCDEF", c) != NULL;
        assert_int_equal(hex_decode(bytes_of(text, 2), out, 1), digit ? 0 : SEALMQ_E_PARSE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_vectors_hold_both_ways),
        cmocka_unit_test(all_bytes_at_all_lengths_come_back),
        cmocka_unit_test(every_byte_string_has_one_base64_text),
        cmocka_unit_test(every_byte_string_has_one_base64url_text),
        cmocka_unit_test(exactly_the_alphabet_is_taken),
        cmocka_unit_test(decoding_stops_at_the_buffers_limit),
        cmocka_unit_test(hex_comes_back_in_either_case),
        cmocka_unit_test(hex_refuses_other_lengths_and_digits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
