/* Requests from JSON. What is taken has a wire form that decodes, and that JSON written from it
 * leads back to. */
#include "ledger/request.h"

#include "base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buf wire = {0}, json = {0}, back = {0};
    char topic[TOPIC_MAX_BYTES + 1], topic_back[TOPIC_MAX_BYTES + 1];
    if (request_from_json(bytes_of(data, size), &wire, topic) != 0) {
        ASSERT(wire.n == 0 && topic[0] == '\0');
        buf_close(&wire);
        return 0;
    }
    struct request request;
    int error = request_decode(buf_bytes(&wire), &request);
    ASSERT(error == 0);
    ASSERT(request.kind == REQUEST_DATA || request.kind == REQUEST_DESCRIBE);
    error = request_to_json(buf_bytes(&wire), bytes_str(topic), 0, &json);
    ASSERT(error == 0);
    error = request_from_json(buf_bytes(&json), &back, topic_back);
    ASSERT(error == 0);
    ASSERT(bytes_equal(buf_bytes(&wire), buf_bytes(&back)));
    ASSERT(strcmp(topic, topic_back) == 0);
    buf_close(&wire);
    buf_close(&json);
    buf_close(&back);
    return 0;
}
