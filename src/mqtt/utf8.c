/* MQTT's rule for strings: well-formed UTF-8 without U+0000 [MQTT-1.5.4-1], [MQTT-1.5.4-2]
 * ([MQTT-1.5.3-1], [MQTT-1.5.3-2] in 3.1.1).
 *
 * Control characters and non-characters, which the specification lets a receiver refuse, are
 * accepted: clients in the field send them, and nothing here depends on their absence. A byte order
 * mark is a character like any other [MQTT-1.5.4-3]. */
#include "mqtt/codec_int.h"

/* The length of the character that starts at p, with n bytes left; 0 when it is ill-formed. The
 * bounds of the second byte keep out overlong forms, surrogates and what is above U+10FFFF (Unicode
 * standard, table 3-7). */
static size_t character_size(const uint8_t *p, size_t n)
{
    uint8_t low = 0x80, high = 0xbf;
    size_t size;
    if (p[0] < 0x80)
        return p[0] != 0;
    if (p[0] < 0xc2 || p[0] > 0xf4)
        return 0;
    if (p[0] < 0xe0) {
        size = 2;
    } else if (p[0] < 0xf0) {
        size = 3;
        low = p[0] == 0xe0 ? 0xa0 : low;
        high = p[0] == 0xed ? 0x9f : high;
    } else {
        size = 4;
        low = p[0] == 0xf0 ? 0x90 : low;
        high = p[0] == 0xf4 ? 0x8f : high;
    }
    if (n < size || p[1] < low || p[1] > high)
        return 0;
    for (size_t i = 2; i < size; i++)
        if ((p[i] & 0xc0) != 0x80)
            return 0;
    return size;
}

bool mqtt_utf8_is_valid(struct bytes s)
{
    const uint8_t *p = s.p;
    size_t n = s.n;
    while (n != 0) {
        /* Eight bytes of 0x01 to 0x7f at once: in such a word no byte has its top bit set, and none
         * gets it when 1 is taken from each, as only 0 would borrow. */
        uint64_t word;
        if (n >= sizeof(word)) {
            memcpy(&word, p, sizeof(word));
            if (((word | (word - EACH_BYTE(0x01))) & EACH_BYTE(0x80)) == 0) {
                p += sizeof(word);
                n -= sizeof(word);
                continue;
            }
        }
        size_t size = character_size(p, n);
        if (size == 0)
            return false;
        p += size;
        n -= size;
    }
    return true;
}
