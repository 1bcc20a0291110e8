#include "store/network_files.h"

#include "store/file.h"

#include <stdio.h>

static const char *words_or(const char *words, int error)
{
    return words[0] != '\0' ? words : sealmq_error_text(error);
}

int genesis_file_read(const char *path, struct genesis *out, char *why, size_t why_size)
{
    char words[256] = "";
    struct buf text = {0};
    int error = file_read(path, GENESIS_BYTES_MAX, &text, why, why_size);
    if (error == 0) {
        error = genesis_parse(buf_bytes(&text), out, words, sizeof words);
        if (error != 0)
            snprintf(why, why_size, "%s: %s", path, words_or(words, error));
    }
    buf_close(&text);
    return error;
}

int policy_file_read(const char *path, struct policy **out, char *why, size_t why_size)
{
    char words[256] = "";
    unsigned line = 0;
    struct buf text = {0};
    int error = file_read(path, POLICY_BYTES_MAX, &text, why, why_size);
    if (error == 0) {
        error = policy_parse(buf_bytes(&text), out, &line, words, sizeof words);
        if (error != 0)
            snprintf(why, why_size, "%s:%u: %s", path, line, words_or(words, error));
    }
    buf_close(&text);
    return error;
}
