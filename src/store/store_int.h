/* The inside of src/store: words for people, and reading from an open file. */
#ifndef SEALMQ_STORE_INT_H
#define SEALMQ_STORE_INT_H

#include "base/bytes.h"

#include <stdarg.h>
#include <stdio.h>

/* Writes words into `why`, cut where they do not fit; `why` may be NULL. */
__attribute__((format(printf, 3, 4))) static inline void store_why(char *why, size_t why_size,
                                                                   const char *format, ...)
{
    if (why == NULL || why_size == 0)
        return;
    va_list args;
    va_start(args, format);
    vsnprintf(why, why_size, format, args);
    va_end(args);
}

/* file_read from a descriptor that stays the caller's; `path` is for the words only. The buffer is
 * made large enough at once where the size is known, so that no copies of a secret stay behind. */
SEALMQ_MUST_CHECK int store_read_open(int fd, const char *path, size_t most, struct buf *out,
                                      char *why, size_t why_size);
/* The error that an errno of a file operation stands for. */
int store_errno_error(int number);

#endif
