#include "ledger/record.h"

#include "base/assert.h"
#include "base/id.h"
#include "ledger/row.h"

/* Whether the record has a text that record_parse() takes. */
static int record_check(const struct record *record)
{
    if (record->value.n > VALUE_MAX_BYTES)
        return SEALMQ_E_LIMIT;
    if (!id_is_valid(record->gateway) || !item_name_is_valid(record->device) || record->num == 0 ||
        record->time_us < 0 || record->time_us > EVENTTIME_LAST_US)
        return SEALMQ_E_PARSE;
    return datatype_check(DATATYPE_STRING, record->value) == 0 ? 0 : SEALMQ_E_PARSE;
}

void record_format(const struct record *record, struct buf *out)
{
    char time[EVENTTIME_MAX];
    eventtime_format(record->time_us, time);
    buf_append_bytes(out, record->gateway);
    buf_append_u8(out, '/');
    buf_append_bytes(out, record->device);
    buf_printf(out, "/%lu/%s/", (unsigned long)record->num, time);
    buf_append_bytes(out, record->value);
}

/* Takes what stands before the next slash, and the slash; false when there is none. */
static bool take_word(struct bytes *text, struct bytes *word)
{
    const uint8_t *slash = text->n == 0 ? NULL : memchr(text->p, '/', text->n);
    if (slash == NULL)
        return false;
    *word = bytes_of(text->p, (size_t)(slash - text->p));
    *text = bytes_of(slash + 1, text->n - word->n - 1);
    return true;
}

/* Only the one way in which eventtime_format() writes the time: all fields have a fixed width, but
 * for the fraction, which does not end in a zero. */
static bool parse_time(struct bytes text, int64_t *out)
{
    const size_t without_fraction = sizeof("20200706T144831Z") - 1;
    return eventtime_parse(text, out) == 0 &&
           (text.n == without_fraction || text.p[text.n - 2] != '0');
}

/* Everything but the time, which is given as text. */
static int split(struct bytes text, struct record *out, struct bytes *time)
{
    struct bytes first, second, num, rest = text;
    if (!take_word(&rest, &first) || !take_word(&rest, &second) ||
        !take_word(&rest, &out->device) || !take_word(&rest, &num) || !take_word(&rest, time))
        return SEALMQ_E_PARSE;
    out->gateway = bytes_of(text.p, first.n + 1 + second.n);
    out->value = rest;
    uint64_t number;
    if (u64_parse(num, &number) != 0 || number > UINT32_MAX)
        return SEALMQ_E_PARSE;
    out->num = (uint32_t)number;
    return 0;
}

int record_parse(struct bytes text, struct record *out)
{
    *out = (struct record){0};
    if (text.n > RECORD_TEXT_MAX)
        return SEALMQ_E_LIMIT;
    struct record record;
    struct bytes time;
    int error = split(text, &record, &time);
    if (error == 0 && !parse_time(time, &record.time_us))
        error = SEALMQ_E_PARSE;
    if (error == 0)
        error = record_check(&record);
    if (error == 0)
        *out = record;
    return error;
}

void record_split(struct bytes text, struct record *out)
{
    struct bytes time;
    *out = (struct record){0};
    int error = split(text, out, &time);
    ASSERT(error == 0);
}

int record_leaf(const struct record *record, struct hash *out)
{
    int error = record_check(record);
    if (error != 0)
        return error;
    struct buf text = {0};
    record_format(record, &text);
    error = buf_status(&text);
    if (error == 0)
        hash_leaf(buf_bytes(&text), out);
    buf_close(&text);
    return error;
}
