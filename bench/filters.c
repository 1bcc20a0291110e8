#include "filters.h"

#include "give_up.h"

#include <stdio.h>

static const char *const items[] = {"temperature", "pressure", "state", "alarm",
                                    "speed",       "energy",   "count", "command"};
enum { PLANT_FILTERS = 5000, LINES = 20, DEVICES = 25, ITEMS = 8, TEXT_MAX = 128 };

uint32_t draw(uint64_t *state, uint32_t below)
{
    *state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)((*state >> 32) * below >> 32);
}

struct bytes texts_at(const struct texts *texts, size_t i)
{
    const uint32_t *ends = (const uint32_t *)(const void *)texts->ends.p;
    uint32_t begin = i == 0 ? 0 : ends[i - 1];
    return bytes_of(texts->bytes.p + begin, ends[i] - begin);
}

void texts_close(struct texts *texts)
{
    buf_close(&texts->bytes);
    buf_close(&texts->ends);
    *texts = (struct texts){0};
}

static void texts_add(struct texts *texts, const char *text)
{
    buf_append_cstr(&texts->bytes, text);
    uint32_t end = (uint32_t)texts->bytes.n;
    buf_append(&texts->ends, &end, sizeof end);
    texts->count++;
    if (buf_status(&texts->bytes) != 0 || buf_status(&texts->ends) != 0)
        give_up("out of memory");
}

struct place {
    uint32_t plant, line, device;
    const char *item;
};

static struct place draw_place(uint64_t *state, size_t filters)
{
    uint32_t plants = (uint32_t)(filters / PLANT_FILTERS);
    struct place place;
    place.plant = draw(state, plants == 0 ? 1 : plants);
    place.line = draw(state, LINES);
    place.device = draw(state, DEVICES);
    place.item = items[draw(state, ITEMS)];
    return place;
}

static void draw_plant_filter(uint64_t *state, size_t filters, size_t number, char *out)
{
    struct place at = draw_place(state, filters);
    uint32_t kind = draw(state, 10000);
    /* Whoever records everything is there once, however large the system. */
    if (number == 0)
        snprintf(out, TEXT_MAX, "#");
    else if (number == FILTERS_PER_SUBSCRIBER)
        snprintf(out, TEXT_MAX, "+/+/+/%s", at.item);
    else if (kind < 8400)
        snprintf(out, TEXT_MAX, "plant%u/line%u/device%u/%s", at.plant, at.line, at.device,
                 at.item);
    else if (kind < 9600)
        snprintf(out, TEXT_MAX, "plant%u/line%u/device%u/#", at.plant, at.line, at.device);
    else if (kind < 9940)
        snprintf(out, TEXT_MAX, "plant%u/line%u/+/%s", at.plant, at.line, at.item);
    else if (kind < 9980)
        snprintf(out, TEXT_MAX, "plant%u/line%u/#", at.plant, at.line);
    else if (kind < 9996)
        snprintf(out, TEXT_MAX, "plant%u/+/+/%s", at.plant, at.item);
    else
        snprintf(out, TEXT_MAX, "plant%u/#", at.plant);
}

static unsigned plus_levels(enum mix mix)
{
    return mix == MIX_PLUS_7 ? 7 : 16;
}

static void draw_plus_filter(uint64_t *state, enum mix mix, size_t filters, char *out)
{
    size_t n = 0;
    for (unsigned i = 0; i < plus_levels(mix); i++) {
        out[n++] = draw(state, 2) == 0 ? '+' : 'x';
        out[n++] = '/';
    }
    snprintf(out + n, TEXT_MAX - n, "name%u", draw(state, (uint32_t)filters));
}

static bool is_among(const struct texts *texts, size_t from, const char *text)
{
    for (size_t i = from; i < texts->count; i++) {
        if (bytes_equal(texts_at(texts, i), bytes_str(text)))
            return true;
    }
    return false;
}

void make_filters(enum mix mix, size_t count, struct texts *out)
{
    uint64_t state = 1;
    char text[TEXT_MAX];
    *out = (struct texts){0};
    while (out->count < count) {
        if (mix == MIX_PLANTS)
            draw_plant_filter(&state, count, out->count, text);
        else
            draw_plus_filter(&state, mix, count, text);
        if (!is_among(out, out->count - out->count % FILTERS_PER_SUBSCRIBER, text))
            texts_add(out, text);
    }
}

void make_topics(enum mix mix, size_t filters, size_t count, struct texts *out)
{
    uint64_t state = 2;
    char text[TEXT_MAX];
    *out = (struct texts){0};
    while (out->count < count) {
        if (mix == MIX_PLANTS) {
            struct place at = draw_place(&state, filters);
            snprintf(text, sizeof text, "plant%u/line%u/device%u/%s", at.plant, at.line, at.device,
                     at.item);
        } else {
            size_t n = 0;
            for (unsigned i = 0; i < plus_levels(mix); i++) {
                text[n++] = 'x';
                text[n++] = '/';
            }
            snprintf(text + n, sizeof text - n, "name%u", draw(&state, (uint32_t)filters));
        }
        texts_add(out, text);
    }
}
