#include "store/audit_locate.h"

#include <stdlib.h>

#define FIRST_CAPACITY 16

struct search {
    uint32_t want;      /* how many rows the report has */
    struct bytes marks; /* one for each, where they are looked at */
    bool has_signed_hash;
    struct audit_located *out;
};

static int locate(struct search *search, uint32_t number, enum audit_row_state state,
                  const struct history_stored_row *stored)
{
    struct audit_located *out = search->out;
    if (out->n == out->capacity) {
        size_t capacity = out->capacity == 0 ? FIRST_CAPACITY : 2 * out->capacity;
        struct audit_row *v = reallocarray(out->v, capacity, sizeof(*v));
        if (v == NULL)
            return SEALMQ_E_NOMEM;
        out->v = v;
        out->capacity = capacity;
    }
    out->v[out->n++] = (struct audit_row){.number = number, .state = state, .stored = stored};
    return 0;
}

/* Whether the row, whose number is one of the report's, is as its mark says. */
static bool has_its_mark(const struct search *search, const struct history_stored_row *row)
{
    struct hash leaf;
    if (row->is_damaged)
        return false;
    if (search->has_signed_hash)
        return true;
    return row_leaf(&row->row, &leaf) == 0 &&
           memcmp(leaf.b, search->marks.p + (size_t)row->number * HISTORY_MARK_SIZE,
                  HISTORY_MARK_SIZE) == 0;
}

/* All rows of one number that the report has. One is right or was changed, the others are too many.
 */
static int locate_among(struct search *search, const struct history_stored_row *rows, size_t count)
{
    size_t own = 0;
    while (own < count && !has_its_mark(search, &rows[own]))
        own++;
    bool is_right = own < count;
    if (!is_right)
        own = 0;
    int error = 0;
    for (size_t i = 0; error == 0 && i < count; i++) {
        if (i != own)
            error = locate(search, rows[i].number, AUDIT_ROW_SURPLUS, &rows[i]);
        else if (!is_right)
            error = locate(search, rows[i].number, AUDIT_ROW_CHANGED, &rows[i]);
    }
    return error;
}

static int locate_missing(struct search *search, uint32_t from, uint32_t to)
{
    int error = 0;
    for (uint32_t number = from; error == 0 && number < to; number++)
        error = locate(search, number, AUDIT_ROW_MISSING, NULL);
    return error;
}

static int locate_by_marks(struct search *search, const struct history_stored_row *rows,
                           size_t count)
{
    uint32_t next = 0; /* all numbers before it are done */
    int error = 0;
    for (size_t i = 0, end; error == 0 && i < count; i = end) {
        uint32_t number = rows[i].number;
        for (end = i + 1; end < count && rows[end].number == number;)
            end++;
        if (number < search->want) {
            error = locate_missing(search, next, number);
            if (error == 0)
                error = locate_among(search, &rows[i], end - i);
            next = number + 1;
            continue;
        }
        error = locate_missing(search, next, search->want);
        next = search->want;
        for (size_t k = i; error == 0 && k < end; k++)
            error = locate(search, number, AUDIT_ROW_SURPLUS, &rows[k]);
    }
    return error == 0 ? locate_missing(search, next, search->want) : error;
}

static int locate_damaged(struct search *search, const struct history_stored_row *rows,
                          size_t count)
{
    int error = 0;
    for (size_t i = 0; error == 0 && i < count; i++)
        if (rows[i].is_damaged)
            error = locate(search, rows[i].number, AUDIT_ROW_CHANGED, &rows[i]);
    return error;
}

int audit_locate(const struct history_stored *stored, const struct history_stored_row *rows,
                 size_t row_count, bool has_signed_hash, struct audit_located *out)
{
    out->n = 0;
    struct search search = {.want = stored->head.rows,
                            .marks = stored->marks,
                            .has_signed_hash = has_signed_hash,
                            .out = out};
    /* Either of them may have been changed, but hardly both alike. The signed hash is over the
     * number of rows, too. */
    bool are_for_all =
        search.want <= REPORT_ROWS_MAX && search.marks.n == (size_t)search.want * HISTORY_MARK_SIZE;
    return has_signed_hash || are_for_all ? locate_by_marks(&search, rows, row_count)
                                          : locate_damaged(&search, rows, row_count);
}

void audit_located_close(struct audit_located *located)
{
    free(located->v);
    *located = (struct audit_located){0};
}
