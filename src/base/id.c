#include "base/id.h"

enum char_class { CHAR_WORD = 1, CHAR_NETWORK = 2, CHAR_ITEM = 4 };

/* The classes that `c` belongs to; locale plays no part, as it would with isalnum(). */
static unsigned char_classes(uint8_t c)
{
    if ((c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-')
        return CHAR_WORD | CHAR_NETWORK | CHAR_ITEM;
    if ((c >= 'A' && c <= 'Z') || c == '_')
        return CHAR_WORD | CHAR_ITEM;
    return c == '.' ? CHAR_ITEM : 0;
}

static bool is_word_of(struct bytes s, size_t most, enum char_class char_class)
{
    if (s.n == 0 || s.n > most)
        return false;
    for (size_t i = 0; i < s.n; i++)
        if ((char_classes(s.p[i]) & char_class) == 0)
            return false;
    return true;
}

bool id_is_valid(struct bytes id)
{
    const uint8_t *slash = id.n == 0 ? NULL : memchr(id.p, '/', id.n);
    if (slash == NULL)
        return false;
    size_t first = (size_t)(slash - id.p);
    return is_word_of(bytes_of(id.p, first), ID_WORD_MAX, CHAR_WORD) &&
           is_word_of(bytes_of(slash + 1, id.n - first - 1), ID_WORD_MAX, CHAR_WORD);
}

bool network_name_is_valid(struct bytes name)
{
    return is_word_of(name, NETWORK_MAX, CHAR_NETWORK);
}

bool item_name_is_valid(struct bytes name)
{
    return is_word_of(name, NAME_MAX_BYTES, CHAR_ITEM);
}
