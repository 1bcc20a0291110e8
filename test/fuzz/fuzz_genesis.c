/* The genesis from JSON. What is taken is written so that it is read as the same network. */
#include "ledger/genesis.h"

#include "base/assert.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct genesis genesis, back;
    char why[160] = "";
    if (genesis_parse(bytes_of(data, size), &genesis, why, sizeof(why)) != 0) {
        ASSERT(why[0] != '\0' && memchr(why, 0, sizeof(why)) != NULL);
        return 0;
    }
    struct buf json = {0};
    int error = genesis_format(&genesis, &json);
    ASSERT(error == 0);
    error = genesis_parse(buf_bytes(&json), &back, why, sizeof(why));
    ASSERT(error == 0);
    ASSERT(hash_equal(&genesis.hash, &back.hash));
    buf_close(&json);
    return 0;
}
