/* What devices publish: a topic, a zero byte, a payload. Whatever is taken can be in a report. */
#include "base/assert.h"
#include "edge/readings.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const uint8_t *zero = size != 0 ? memchr(data, 0, size) : NULL;
    if (zero == NULL)
        return 0;
    size_t n = (size_t)(zero - data);
    struct readings readings;
    char why[128] = "";
    int error = readings_parse(bytes_of(data, n), bytes_of(zero + 1, size - n - 1), 1, &readings,
                               why, sizeof why);
    if (error != 0) {
        ASSERT(why[0] != '\0');
        return 0;
    }
    ASSERT(readings.count != 0 && readings.size >= size - 1);
    for (size_t i = 0; i < readings.count; i++)
        ASSERT(row_check(&readings.rows[i]) == 0);
    readings_close(&readings);
    return 0;
}
