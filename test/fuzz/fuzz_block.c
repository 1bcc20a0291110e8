/* Blocks from their wire form, and certificates. What decodes encodes to the same bytes. */
#include "ledger/block.h"

#include "base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_block(struct bytes wire)
{
    struct block block;
    if (block_decode(wire, &block) != 0)
        return;
    static struct bytes requests[BLOCK_REQUESTS_MAX];
    size_t n = 0;
    struct bytes list = block.requests;
    while (block_requests_next(&list, &requests[n])) {
        struct request request;
        (void)!request_decode(requests[n], &request);
        n++;
    }
    ASSERT(n == block.request_count);
    struct block_header header = block.header;
    struct buf again = {0};
    int error = block_encode(&header, requests, n, &again);
    ASSERT(error == 0);
    ASSERT(bytes_equal(buf_bytes(&again), wire));
    buf_close(&again);
}

static void check_header(struct bytes wire)
{
    struct block_header header;
    if (header_decode(wire, &header) != 0)
        return;
    struct buf again = {0};
    header_encode(&header, &again);
    ASSERT(bytes_equal(buf_bytes(&again), wire));
    buf_close(&again);
}

static void check_certificate(struct bytes wire)
{
    static struct certificate certificate;
    if (certificate_decode(wire, &certificate) != 0) {
        ASSERT(certificate.n == 0);
        return;
    }
    struct buf again = {0};
    certificate_encode(&certificate, &again);
    ASSERT(bytes_equal(buf_bytes(&again), wire));
    buf_close(&again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes wire = bytes_of(data, size);
    check_block(wire);
    check_header(wire);
    check_certificate(wire);
    return 0;
}
