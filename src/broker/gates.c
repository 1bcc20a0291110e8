#include "broker/gates.h"

#include "base/assert.h"

#include <stdlib.h>
#include <string.h>

#define GATES_MIN 4

static int make_room(struct gates **gates)
{
    struct gates *g = *gates;
    if (g != NULL && g->first + g->count < g->capacity)
        return 0;
    if (g != NULL && g->first > 0) {
        memmove(g->list, g->list + g->first, g->count * sizeof g->list[0]);
        g->first = 0;
        return 0;
    }
    uint32_t capacity = g == NULL ? GATES_MIN : g->capacity * 2;
    struct gates *bigger = realloc(g, sizeof *bigger + capacity * sizeof(struct gate));
    if (bigger == NULL)
        return SEALMQ_E_NOMEM;
    if (g == NULL)
        *bigger = (struct gates){0};
    bigger->capacity = capacity;
    *gates = bigger;
    return 0;
}

int gates_add(struct gates **gates, uint64_t epoch, uint64_t unsent)
{
    struct gates *g = *gates;
    if (g != NULL && g->list[g->first + g->count - 1].epoch >= epoch)
        return 0;
    int error = make_room(gates);
    if (error != 0)
        return error;
    g = *gates;
    ASSERT(unsent >= g->span);
    g->list[g->first + g->count++] = (struct gate){epoch, unsent - g->span};
    g->span = unsent;
    return 0;
}

bool gates_open(struct gates **gates, uint64_t completed)
{
    struct gates *g = *gates;
    if (g == NULL || g->list[g->first].epoch > completed)
        return false;
    /* What stood before the gates that open stands before the next one now. */
    uint64_t before = 0;
    while (g->count > 0 && g->list[g->first].epoch <= completed) {
        before += g->list[g->first].before;
        g->first++;
        g->count--;
    }
    if (g->count == 0) {
        free(g);
        *gates = NULL;
    } else {
        g->list[g->first].before += before;
    }
    return true;
}

void gates_written(struct gates *gates, uint64_t n)
{
    ASSERT(n <= gates_visible(gates));
    gates->list[gates->first].before -= n;
    gates->span -= n;
}
