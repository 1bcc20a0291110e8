/* The PROXY header on any bytes: what is accepted is accepted at no cut before its end, and stays
 * inside of its input. */
#include "framing/proxy_header.h"

#include "base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool lies_in(struct bytes part, const uint8_t *data, size_t size)
{
    return part.n == 0 || (part.p >= data && part.n <= size && part.p + part.n <= data + size);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct proxy_header header, other;
    size_t consumed = 0, ignored;
    int e = proxy_header_parse(bytes_of(data, size), &header, &consumed);
    ASSERT(consumed <= size && consumed <= PROXY_HEADER_MAX);
    if (e != 0) {
        ASSERT(consumed == 0 && header.source == PROXY_SOURCE_SELF && !header.has_certificate);
        return 0;
    }
    ASSERT(lies_in(header.path, data, consumed) && lies_in(header.common_name, data, consumed));
    ASSERT(header.common_name.n == 0 || header.has_certificate);
    for (size_t n = 0; n < consumed; n++)
        ASSERT(proxy_header_parse(bytes_of(data, n), &other, &ignored) == SEALMQ_E_AGAIN);
    return 0;
}
