/* Whole files: reading with a cap, replacing atomically. */
#ifndef SEALMQ_STORE_FILE_H
#define SEALMQ_STORE_FILE_H

#include "base/bytes.h"

#define PATH_SIZE 4096

/* Appends the file's content. SEALMQ_E_NOTFOUND, _LIMIT (longer than `most`), _IO; `why` (may be
 * NULL) names the path. */
SEALMQ_MUST_CHECK int file_read(const char *path, size_t most, struct buf *out, char *why,
                                size_t why_size);
/* Writes beside, syncs, renames over (syncing the folder): the path holds the old or the new
 * content at any time. `mode` e.g. 0644. With `exclusive`, SEALMQ_E_EXISTS when the path is there.
 */
SEALMQ_MUST_CHECK int file_write(const char *path, struct bytes content, unsigned mode,
                                 bool exclusive, char *why, size_t why_size);
/* `path` taken relative to the folder of `base_file` unless it is absolute. SEALMQ_E_LIMIT. */
SEALMQ_MUST_CHECK int file_beside(const char *base_file, const char *path, char out[PATH_SIZE]);
/* mkdir -p with mode 0750 for what is made. */
SEALMQ_MUST_CHECK int folder_make(const char *path, char *why, size_t why_size);

#endif
