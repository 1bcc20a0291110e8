/* The two files that say what a network is and whom to trust in it. */
#ifndef SEALMQ_STORE_NETWORK_FILES_H
#define SEALMQ_STORE_NETWORK_FILES_H

#include "ledger/genesis.h"
#include "ledger/note.h"

#define GENESIS_BYTES_MAX (1024 * 1024)

/* What file_read says, or what genesis_parse says, with the path and the words in `why`. */
SEALMQ_MUST_CHECK int genesis_file_read(const char *path, struct genesis *out, char *why,
                                        size_t why_size);
/* The same with policy_parse, and the line. The policy is freed with policy_free. */
SEALMQ_MUST_CHECK int policy_file_read(const char *path, struct policy **out, char *why,
                                       size_t why_size);

#endif
