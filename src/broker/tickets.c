#include "broker/tickets.h"

#include <stdlib.h>

#define TICKETS_MIN 8

void tickets_free(struct tickets *tickets)
{
    if (tickets != NULL)
        free(tickets->ring);
    free(tickets);
}

static int tickets_grow(struct tickets *tickets)
{
    if (tickets->size > UINT32_MAX / 4)
        return SEALMQ_E_NOMEM;
    uint32_t size = tickets->size == 0 ? TICKETS_MIN : tickets->size * 2;
    struct ticket *ring = malloc(size * sizeof *ring);
    if (ring == NULL)
        return SEALMQ_E_NOMEM;
    for (uint32_t i = 0; i < tickets->count; i++)
        ring[i] = tickets->ring[(tickets->head + i) & (tickets->size - 1)];
    free(tickets->ring);
    tickets->ring = ring;
    tickets->size = size;
    tickets->head = 0;
    return 0;
}

int tickets_open(struct tickets **made, uint8_t qos, uint16_t packet_id, uint64_t *number)
{
    if (*made == NULL) {
        *made = calloc(1, sizeof **made);
        if (*made == NULL)
            return SEALMQ_E_NOMEM;
        (*made)->first = 1;
    }
    struct tickets *tickets = *made;
    if (tickets->count == tickets->size) {
        int error = tickets_grow(tickets);
        if (error != 0)
            return error;
    }
    *number = tickets->first + tickets->count;
    tickets->ring[(tickets->head + tickets->count) & (tickets->size - 1)] =
        (struct ticket){.packet_id = packet_id, .qos = qos};
    tickets->count++;
    return 0;
}

bool tickets_complete(struct tickets *tickets, uint64_t number, uint8_t reason)
{
    if (tickets == NULL || number < tickets->first || number - tickets->first >= tickets->count)
        return false;
    uint32_t index = (uint32_t)(number - tickets->first);
    struct ticket *ticket = &tickets->ring[(tickets->head + index) & (tickets->size - 1)];
    if (ticket->is_done)
        return false;
    ticket->is_done = true;
    ticket->reason = reason;
    return true;
}

bool tickets_take(struct tickets *tickets, struct ticket *out)
{
    if (tickets_count(tickets) == 0)
        return false;
    *out = tickets->ring[tickets->head];
    tickets->head = (tickets->head + 1) & (tickets->size - 1);
    tickets->count--;
    tickets->first++;
    return true;
}

bool tickets_take_done(struct tickets *tickets, struct ticket *out)
{
    if (tickets_count(tickets) == 0 || !tickets->ring[tickets->head].is_done)
        return false;
    return tickets_take(tickets, out);
}
