/* Requests on their way into the mempool: checked once, and answered when they are on the chain
 * already. */
#include "node/agreement_int.h"

#include <stdlib.h>

#define COMPONENT "agreement"

void agreement_refuse(struct agreement *agreement, const struct letter *letter, uint64_t number,
                      int error)
{
    struct bytes client = bytes_str(letter->client);
    agreement->shown.refused_total++;
    agreement_show_status(agreement); /* before the answer: whoever gets it may ask for counts */
    if (client.n == 0) {
        if (error == SEALMQ_E_SIGNATURE) /* nodes pass on what they have checked */
            agreement_blame(agreement, letter->peer, error, "a request that was passed on");
        return;
    }
    refusals_log(&agreement->refusals, agreement_now_ms(), COMPONENT,
                 "request %llu of %.*s is refused: %s", (unsigned long long)number, (int)client.n,
                 (const char *)client.p, sealmq_error_text(error));
    agreement->options.refused(agreement->options.context, client, number, error);
}

/* A request whose number was used: fine if this very request is on the chain, because its sender
 * lost the receipt; its receipt is made again. */
static int find_recorded(struct agreement *agreement, struct bytes client,
                         const struct request *request)
{
    uint64_t height;
    uint32_t index;
    struct buf wire = {0};
    struct block block;
    int error = block_store_find_request(agreement->store, request->sender, request->number,
                                         &height, &index);
    if (error == 0)
        error = block_store_get(agreement->store, height, &wire, NULL);
    if (error == 0)
        error = block_decode(buf_bytes(&wire), &block);
    if (error == 0)
        error = receipts_want(agreement->receipts, &request->hash, client);
    if (error == 0)
        error = receipts_block(agreement->receipts, &block);
    buf_close(&wire);
    if (error != 0)
        return error;
    agreement_hand_out_receipts(agreement);
    /* Another request has this number, then; this one can never be recorded. */
    if (receipts_forget_unrecorded(agreement->receipts, &request->hash))
        return SEALMQ_E_CONFLICT;
    return 0;
}

/* Into the mempool, and for a client the wish for a receipt. */
static int add(struct agreement *agreement, const struct letter *letter,
               const struct request *request)
{
    struct bytes client = bytes_str(letter->client);
    struct pbft_event event = {
        .now_ms = agreement_now_ms(),
        .wall_us = agreement_wall_us(),
    };
    if (client.n == 0) {
        event.kind = PBFT_EVENT_MESSAGE;
        event.message.kind = PBFT_MSG_REQUEST;
        event.message.bytes = request->wire;
        event.message.peer = letter->peer;
        (void)agreement_step(agreement, &event);
        return 0;
    }
    event.kind = PBFT_EVENT_REQUEST;
    event.request = request->wire;
    int error = receipts_want(agreement->receipts, &request->hash, client);
    if (error == 0)
        error = agreement_step(agreement, &event);
    if (error == SEALMQ_E_EXISTS) /* it waits already */
        error = 0;
    if (error == SEALMQ_E_REPLAY)
        error = find_recorded(agreement, client, request);
    else if (error != 0)
        (void)receipts_forget_unrecorded(agreement->receipts, &request->hash);
    return error;
}

void agreement_take_signed(struct agreement *agreement, struct letter *letter,
                           const struct request *request)
{
    int error = add(agreement, letter, request);
    if (error != 0)
        agreement_refuse(agreement, letter, request->number, error);
    free(letter);
}

/* Whether there is anything to be recorded: 0, or SEALMQ_E_EXISTS when the number was used. Whoever
 * sent it then gets the receipt of what is on the chain, or nothing, whatever was signed. */
static int look_up_used(struct agreement *agreement, const struct letter *letter,
                        const struct request *request)
{
    if (!chain_request_used(agreement->chain, request->sender, request->number))
        return 0;
    if (letter->client[0] == '\0')
        return SEALMQ_E_EXISTS;
    int error = find_recorded(agreement, bytes_str(letter->client), request);
    return error == 0 ? SEALMQ_E_EXISTS : error;
}

void agreement_take_request(struct agreement *agreement, struct letter *letter)
{
    struct request request = {0};
    int error = request_decode(bytes_of(letter->bytes, letter->size), &request);
    if (error != 0 && letter->client[0] == '\0')
        agreement_blame(agreement, letter->peer, error, "a request that was passed on");
    if (error == 0)
        error = look_up_used(agreement, letter, &request);
    if (error == 0 && !mempool_has(agreement->mempool, &request.hash))
        error = checks_ask(agreement, &request, false);
    if (error == SEALMQ_E_AGAIN) {
        error = checks_hold(agreement, letter, &request);
        if (error == 0)
            return;
    }
    if (error == 0) {
        agreement_take_signed(agreement, letter, &request);
        return;
    }
    if (error != SEALMQ_E_EXISTS)
        agreement_refuse(agreement, letter, request.number, error);
    free(letter);
}
