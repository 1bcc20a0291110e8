/* Topic names, filters and UTF-8 against other ways of saying the same. The input is a filter, a
 * zero byte, and a topic. */
#include "mqtt/packet.h"

#include "base/assert.h"
#include "base/text.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Matching as the specification tells it, character by character and without regard to cost: the
 * inputs are short. */
static bool matches_slowly(struct bytes filter, struct bytes topic)
{
    if (filter.n == 0)
        return topic.n == 0;
    if (filter.p[0] == '#')
        return true;
    if (filter.p[0] == '+') {
        size_t level = 0;
        while (level < topic.n && topic.p[level] != '/')
            level++;
        filter = bytes_of(filter.p + 1, filter.n - 1);
        topic = bytes_of(topic.p + level, topic.n - level);
        return matches_slowly(filter, topic);
    }
    if (topic.n == 0)
        return bytes_equal(filter, BYTES_LIT("/#"));
    return filter.p[0] == topic.p[0] &&
           matches_slowly(bytes_of(filter.p + 1, filter.n - 1), bytes_of(topic.p + 1, topic.n - 1));
}

/* A filter is valid when each of its levels is. */
static bool is_valid_slowly(struct bytes filter)
{
    if (filter.n == 0)
        return false;
    size_t begin = 0;
    for (size_t i = 0; i <= filter.n; i++) {
        if (i < filter.n && filter.p[i] != '/')
            continue;
        struct bytes level = bytes_of(filter.p + begin, i - begin);
        bool has_plus = level.n != 0 && memchr(level.p, '+', level.n) != NULL;
        bool has_hash = level.n != 0 && memchr(level.p, '#', level.n) != NULL;
        if ((has_plus || has_hash) && level.n != 1)
            return false;
        if (has_hash && i != filter.n)
            return false;
        begin = i + 1;
    }
    return true;
}

static struct bytes copy_of(struct bytes b)
{
    uint8_t *p = malloc(b.n == 0 ? 1 : b.n);
    ASSERT(p != NULL);
    if (b.n != 0)
        memcpy(p, b.p, b.n);
    return bytes_of(p, b.n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size > 2000)
        return 0;
    struct bytes whole = copy_of(bytes_of(data, size));
    bool has_null = size != 0 && memchr(data, 0, size) != NULL;
    ASSERT(mqtt_utf8_is_valid(whole) == (utf8_is_valid(whole) && !has_null));
    free((void *)whole.p);

    const uint8_t *null = size == 0 ? NULL : memchr(data, 0, size);
    size_t at = null == NULL ? size : (size_t)(null - data);
    struct bytes filter = copy_of(bytes_of(data, at));
    struct bytes topic = {0};
    if (null != NULL)
        topic = bytes_of(null + 1, size - at - 1);
    topic = copy_of(topic);

    bool topic_is_valid = mqtt_topic_is_valid(topic);
    ASSERT(topic_is_valid == (topic.n != 0 && memchr(topic.p, '+', topic.n) == NULL &&
                              memchr(topic.p, '#', topic.n) == NULL));
    bool matches = mqtt_filter_matches(filter, topic);
    bool is_valid = mqtt_filter_is_valid(filter);
    if (!mqtt_filter_is_shared(filter)) {
        ASSERT(is_valid == is_valid_slowly(filter));
        if (is_valid && topic_is_valid) {
            bool is_hidden = topic.p[0] == '$' && (filter.p[0] == '+' || filter.p[0] == '#');
            ASSERT(matches == (!is_hidden && matches_slowly(filter, topic)));
        }
    } else if (is_valid) {
        const uint8_t *slash = memchr(filter.p + 7, '/', filter.n - 7);
        ASSERT(slash != NULL && slash != filter.p + 7);
        struct bytes rest = {slash + 1, filter.n - (size_t)(slash + 1 - filter.p)};
        ASSERT(matches == mqtt_filter_matches(rest, topic) || mqtt_filter_is_shared(rest));
    }
    free((void *)filter.p);
    free((void *)topic.p);
    return 0;
}
