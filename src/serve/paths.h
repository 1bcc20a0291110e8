/* Paths that a configuration names. */
#ifndef SEALMQ_SERVE_PATHS_H
#define SEALMQ_SERVE_PATHS_H

#include "store/file.h"

/* `path` as the configuration file means it; as it is when there is no such file. SEALMQ_E_LIMIT.
 */
SEALMQ_MUST_CHECK static inline int serve_path(const char *config_path, const char *path,
                                               char out[PATH_SIZE])
{
    return config_path != NULL ? file_beside(config_path, path, out)
                               : bytes_to_cstr(bytes_str(path), out, PATH_SIZE);
}

#endif
