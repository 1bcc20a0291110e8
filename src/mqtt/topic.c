/* Topic names and topic filters: what is valid, and what matches (section 4.7 of both versions,
 * shared subscriptions: 5.0 section 4.8.2). */
#include "mqtt/codec_int.h"

#define TOPIC_SIZE_MAX 65535u /* [MQTT-4.7.3-3] */
#define SHARE_PREFIX   BYTES_LIT("$share/")

/* Whether one of the eight bytes of `word` is `byte`: taking 1 from a byte that has become 0 is
 * what sets a top bit that was not set before. */
static inline bool word_has(uint64_t word, uint8_t byte)
{
    word ^= EACH_BYTE(byte);
    return ((word - EACH_BYTE(0x01)) & ~word & EACH_BYTE(0x80)) != 0;
}

bool mqtt_topic_is_valid(struct bytes topic)
{
    /* [MQTT-4.7.3-1]: at least one character. [MQTT-4.7.0-1] ([MQTT-4.7.1-1] in 3.1.1) and
     * [MQTT-3.3.2-2]: no wildcards. */
    if (topic.n == 0 || topic.n > TOPIC_SIZE_MAX)
        return false;
    uint64_t word;
    size_t i = 0;
    for (; i + sizeof(word) <= topic.n; i += sizeof(word)) {
        memcpy(&word, topic.p + i, sizeof(word));
        if (word_has(word, '+') || word_has(word, '#'))
            return false;
    }
    for (; i < topic.n; i++)
        if (topic.p[i] == '+' || topic.p[i] == '#')
            return false;
    return true;
}

/* A filter without the prefix of a shared subscription. */
static bool plain_filter_is_valid(struct bytes filter)
{
    if (filter.n == 0)
        return false;
    for (size_t i = 0; i < filter.n; i++) {
        if (filter.p[i] != '+' && filter.p[i] != '#')
            continue;
        bool is_last = i + 1 == filter.n;
        /* A wildcard fills a whole level, # the last one: [MQTT-4.7.1-1], [MQTT-4.7.1-2] (in 3.1.1
         * [MQTT-4.7.1-2], [MQTT-4.7.1-3]). */
        if (i != 0 && filter.p[i - 1] != '/')
            return false;
        if (!is_last && (filter.p[i] == '#' || filter.p[i + 1] != '/'))
            return false;
    }
    return true;
}

/* Splits $share/<name>/<filter>. False when `filter` is no shared subscription; true with an empty
 * *rest when it begins as one and is not well-formed [MQTT-4.8.2-1], [MQTT-4.8.2-2]. */
static bool split_shared(struct bytes filter, struct bytes *rest)
{
    if (!bytes_starts_with(filter, SHARE_PREFIX))
        return false;
    *rest = (struct bytes){0};
    for (size_t i = SHARE_PREFIX.n; i < filter.n; i++) {
        if (filter.p[i] == '+' || filter.p[i] == '#')
            break;
        if (filter.p[i] != '/')
            continue;
        if (i > SHARE_PREFIX.n)
            *rest = bytes_of(filter.p + i + 1, filter.n - i - 1);
        break;
    }
    return true;
}

bool mqtt_filter_is_shared(struct bytes filter)
{
    return bytes_starts_with(filter, SHARE_PREFIX);
}

struct bytes mqtt_filter_without_share(struct bytes filter)
{
    struct bytes rest;
    return split_shared(filter, &rest) ? rest : filter;
}

bool mqtt_filter_is_valid(struct bytes filter)
{
    if (filter.n > TOPIC_SIZE_MAX)
        return false;
    struct bytes rest;
    return plain_filter_is_valid(split_shared(filter, &rest) ? rest : filter);
}

/* Takes the first level off; *more tells whether a slash, and so another level, follows. */
static struct bytes take_level(struct bytes *list, bool *more)
{
    const uint8_t *slash = list->n == 0 ? NULL : memchr(list->p, '/', list->n);
    struct bytes level = *list;
    *more = slash != NULL;
    if (slash != NULL) {
        level.n = (size_t)(slash - list->p);
        *list = bytes_of(slash + 1, list->n - level.n - 1);
    }
    return level;
}

bool mqtt_filter_matches(struct bytes filter, struct bytes topic)
{
    struct bytes rest;
    if (split_shared(filter, &rest))
        filter = rest;
    if (filter.n == 0 || topic.n == 0)
        return false;
    /* [MQTT-4.7.2-1] */
    if (topic.p[0] == '$' && (filter.p[0] == '+' || filter.p[0] == '#'))
        return false;
    bool more_filter = true, more_topic = true;
    while (more_filter) {
        struct bytes want = take_level(&filter, &more_filter);
        /* # takes all further levels and also none: a/# matches a. */
        if (bytes_equal(want, BYTES_LIT("#")))
            return true;
        if (!more_topic)
            return false;
        struct bytes have = take_level(&topic, &more_topic);
        if (!bytes_equal(want, BYTES_LIT("+")) && !bytes_equal(want, have))
            return false;
    }
    return !more_topic;
}
