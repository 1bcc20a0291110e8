/* Consistency proofs as text. There is one form of each: what parses is written again as the same
 * bytes. */
#include "ledger/consistency.h"

#include "base/text.h"
#include "ledger/note_int.h"

#define FIRST_WORD BYTES_LIT("old ")

bool consistency_is_file(struct bytes text)
{
    return bytes_starts_with(text, FIRST_WORD);
}

int consistency_parse(struct bytes text, struct consistency *out)
{
    *out = (struct consistency){0};
    if (text.n > CONSISTENCY_BYTES_MAX)
        return SEALMQ_E_LIMIT;
    struct consistency read = {0};
    struct bytes line, body, lines;
    if (!consistency_is_file(text) || !note_take_line(&text, &line))
        return SEALMQ_E_PARSE;
    line = bytes_of(line.p + FIRST_WORD.n, line.n - FIRST_WORD.n);
    int error = u64_parse(line, &read.old_size);
    if (error == 0)
        error = note_read_path(&text, &read.path);
    if (error == 0)
        error = checkpoint_parse(text, &read.checkpoint, &body, &lines);
    if (error == 0 && (read.old_size == 0 || read.old_size > read.checkpoint.size))
        error = SEALMQ_E_PARSE;
    if (error != 0)
        return error;
    read.note = text;
    *out = read;
    return 0;
}

int consistency_format(const struct consistency *proof, struct buf *out)
{
    buf_append_bytes(out, FIRST_WORD);
    buf_printf(out, "%llu\n", (unsigned long long)proof->old_size);
    note_append_path(&proof->path, out);
    buf_append_bytes(out, proof->note);
    return buf_status(out);
}
