/* zstd at level 1 with the dictionary of typical reports. One for each thread. */
#ifndef SEALMQ_DEVICE_COMPRESSOR_H
#define SEALMQ_DEVICE_COMPRESSOR_H

#include "device/envelope.h"

/* Appends one frame that carries its content size. SEALMQ_E_NOMEM, SEALMQ_E_LIMIT. */
SEALMQ_MUST_CHECK int compressor_pack(struct compressor *compressor, struct bytes plain,
                                      struct buf *out);
/* Appends the content of exactly one frame. SEALMQ_E_PARSE, SEALMQ_E_LIMIT (content size over
 * `most`, told from the frame's header before anything is allocated), SEALMQ_E_NOMEM. */
SEALMQ_MUST_CHECK int compressor_unpack(struct compressor *compressor, struct bytes frame,
                                        size_t most, struct buf *out);

#endif
