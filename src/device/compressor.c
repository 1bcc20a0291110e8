#include "device/compressor.h"

#include <stdlib.h>
#include <zstd.h>

#define LEVEL          1
#define WINDOW_LOG_MAX 23 /* 8 MiB: what the largest report needs */

/* The dictionary is raw content: text like that of reports, in report_dictionary.txt. It is part of
 * the format (ENVELOPE_ZSTD): another text is another flag. */
__asm__(".pushsection .rodata\n"
        ".global sealmq_report_dictionary, sealmq_report_dictionary_end\n"
        "sealmq_report_dictionary:\n"
        ".incbin \"" REPORT_DICTIONARY "\"\n"
        "sealmq_report_dictionary_end:\n"
        ".byte 0\n"
        ".popsection\n");
extern const uint8_t sealmq_report_dictionary[], sealmq_report_dictionary_end[];

struct compressor {
    ZSTD_CCtx *pack;
    ZSTD_DCtx *unpack;
    ZSTD_CDict *pack_dictionary;
    ZSTD_DDict *unpack_dictionary;
};

int compressor_new(struct compressor **out)
{
    size_t n = (size_t)(sealmq_report_dictionary_end - sealmq_report_dictionary);
    struct compressor *compressor = calloc(1, sizeof *compressor);
    if (compressor == NULL)
        return SEALMQ_E_NOMEM;
    compressor->pack = ZSTD_createCCtx();
    compressor->unpack = ZSTD_createDCtx();
    compressor->pack_dictionary = ZSTD_createCDict(sealmq_report_dictionary, n, LEVEL);
    compressor->unpack_dictionary = ZSTD_createDDict(sealmq_report_dictionary, n);
    if (compressor->pack == NULL || compressor->unpack == NULL ||
        compressor->pack_dictionary == NULL || compressor->unpack_dictionary == NULL ||
        ZSTD_isError(
            ZSTD_DCtx_setParameter(compressor->unpack, ZSTD_d_windowLogMax, WINDOW_LOG_MAX))) {
        compressor_free(compressor);
        return SEALMQ_E_NOMEM;
    }
    *out = compressor;
    return 0;
}

void compressor_free(struct compressor *compressor)
{
    if (compressor == NULL)
        return;
    ZSTD_freeCCtx(compressor->pack);
    ZSTD_freeDCtx(compressor->unpack);
    ZSTD_freeCDict(compressor->pack_dictionary);
    ZSTD_freeDDict(compressor->unpack_dictionary);
    free(compressor);
}

int compressor_pack(struct compressor *compressor, struct bytes plain, struct buf *out)
{
    size_t start = out->n, bound = ZSTD_compressBound(plain.n);
    uint8_t *place = buf_extend(out, bound);
    if (place == NULL)
        return buf_status(out);
    size_t n = ZSTD_compress_usingCDict(compressor->pack, place, bound, plain.p, plain.n,
                                        compressor->pack_dictionary);
    out->n = ZSTD_isError(n) ? start : start + n;
    return ZSTD_isError(n) ? SEALMQ_E_NOMEM : 0;
}

int compressor_unpack(struct compressor *compressor, struct bytes frame, size_t most,
                      struct buf *out)
{
    unsigned long long size = ZSTD_getFrameContentSize(frame.p, frame.n);
    if (size == ZSTD_CONTENTSIZE_UNKNOWN || size == ZSTD_CONTENTSIZE_ERROR)
        return SEALMQ_E_PARSE;
    if (size > most)
        return SEALMQ_E_LIMIT;
    size_t frame_size = ZSTD_findFrameCompressedSize(frame.p, frame.n);
    if (ZSTD_isError(frame_size) || frame_size != frame.n)
        return SEALMQ_E_PARSE;
    size_t start = out->n;
    uint8_t *place = buf_extend(out, (size_t)size + 1); /* never NULL when size is 0 */
    if (place == NULL)
        return buf_status(out);
    size_t n = ZSTD_decompress_usingDDict(compressor->unpack, place, (size_t)size, frame.p, frame.n,
                                          compressor->unpack_dictionary);
    bool is_whole = !ZSTD_isError(n) && n == size;
    out->n = is_whole ? start + n : start;
    return is_whole ? 0 : SEALMQ_E_PARSE;
}
