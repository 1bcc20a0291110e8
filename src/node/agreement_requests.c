/* Requests on their way into the mempool: checked once, and answered when they are on the chain
 * already. */
#include "node/agreement_int.h"

#define COMPONENT "agreement"

static void refuse(struct agreement *agreement, struct bytes client, uint64_t number, int error)
{
    agreement->shown.refused_total++;
    agreement_show_status(agreement); /* before the answer: whoever gets it may ask for counts */
    if (client.n == 0)
        return;
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

static int take_signed(struct agreement *agreement, struct bytes client, int peer,
                       const struct request *request)
{
    struct pbft_event event = {
        .now_ms = agreement_now_ms(),
        .wall_us = agreement_wall_us(),
    };
    if (client.n == 0) {
        event.kind = PBFT_EVENT_MESSAGE;
        event.message.kind = PBFT_MSG_REQUEST;
        event.message.bytes = request->wire;
        event.message.peer = peer;
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

void agreement_take_request(struct agreement *agreement, struct bytes client, int peer,
                            struct bytes wire)
{
    struct request request;
    int error = request_decode(wire, &request);
    if (error != 0) {
        refuse(agreement, client, 0, error);
        if (client.n == 0)
            agreement_blame(agreement, peer, error, "a request that was passed on");
        return;
    }
    if (!mempool_has(agreement->mempool, &request.hash))
        error = chain_check_signatures(agreement->chain, &request);
    if (error == 0)
        error = take_signed(agreement, client, peer, &request);
    if (error != 0)
        refuse(agreement, client, request.number, error);
    /* Nodes pass on what they have checked. */
    if (error == SEALMQ_E_SIGNATURE && client.n == 0)
        agreement_blame(agreement, peer, error, "a request that was passed on");
}
