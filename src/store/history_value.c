/* A value is stored as a number where its text can be made again from that number, byte by byte;
 * else as the text itself. "36" is an INTEGER and "36.0" a REAL; "36.00", "-0" and "1e3" are texts.
 * The locale must be "C", as it is in a program that does not ask for another. */
#include "store/history_int.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

void history_integer_text(int64_t v, char out[HISTORY_NUMBER_MAX])
{
    snprintf(out, HISTORY_NUMBER_MAX, "%lld", (long long)v);
}

/* The shortest digits that give the same number again, with a fraction or an exponent. */
void history_real_text(double v, char out[HISTORY_NUMBER_MAX])
{
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(out, HISTORY_NUMBER_MAX, "%.*g", digits, v);
        if (strtod(out, NULL) == v)
            break;
    }
    if (out[strcspn(out, ".en")] == '\0') /* n: not a number, infinite */
        strcat(out, ".0");
}

void history_value_of(enum datatype type, struct bytes text, struct history_value *out)
{
    char copy[HISTORY_NUMBER_MAX], again[HISTORY_NUMBER_MAX];
    *out = (struct history_value){.type = SQLITE_TEXT, .text = text};
    if ((type != DATATYPE_INT && type != DATATYPE_DOUBLE) || text.n == 0 ||
        bytes_to_cstr(text, copy, sizeof(copy)) != 0)
        return;
    out->integer = strtoll(copy, NULL, 10);
    history_integer_text(out->integer, again);
    if (strcmp(copy, again) == 0) {
        out->type = SQLITE_INTEGER;
        return;
    }
    out->real = strtod(copy, NULL);
    /* Zero with a sign is left as text: not every tool keeps the sign. */
    if (!isfinite(out->real) || (out->real == 0 && signbit(out->real)))
        return;
    history_real_text(out->real, again);
    if (strcmp(copy, again) == 0)
        out->type = SQLITE_FLOAT;
}
