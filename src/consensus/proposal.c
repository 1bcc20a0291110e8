/* Proposals: blocks on which votes are cast, shared by reference count. */
#include "consensus/pbft_int.h"

#include <stdlib.h>

int proposal_new(struct pbft *p, uint64_t view, uint64_t height, const struct hash *header,
                 const struct signature *vote, struct bytes block, struct proposal **out)
{
    *out = NULL;
    struct proposal *proposal = calloc(1, sizeof(*proposal));
    if (proposal == NULL)
        return p->failed = SEALMQ_E_NOMEM;
    *proposal = (struct proposal){.refs = 1, .view = view, .height = height, .header = *header};
    proposal->vote = *vote;

    struct msg_vote message = {.sender = primary_of(p, view), .view = view, .height = height};
    message.header = *header;
    message.signature = *vote;
    message.block = block;
    message_encode_vote(&message, PBFT_MSG_PRE_PREPARE, &proposal->wire);
    int error = buf_status(&proposal->wire);
    if (error != 0) {
        p->failed = SEALMQ_E_NOMEM;
    } else {
        size_t head = proposal->wire.n - block.n;
        error = block_decode(bytes_of(proposal->wire.p + head, block.n), &proposal->block);
        if (error == 0 &&
            (!hash_equal(&proposal->block.hash, header) || proposal->block.header.height != height))
            error = SEALMQ_E_HASH;
        if (error == SEALMQ_E_NOMEM)
            p->failed = SEALMQ_E_NOMEM;
    }
    if (error != 0) {
        buf_close(&proposal->wire);
        free(proposal);
        return error;
    }
    *out = proposal;
    return 0;
}

int proposal_check_requests(const struct proposal *proposal)
{
    struct bytes list = proposal->block.requests, wire;
    int error = 0;
    while (error == 0 && block_requests_next(&list, &wire)) {
        struct request request;
        error = request_decode(wire, &request);
    }
    return error;
}

struct proposal *proposal_keep(struct proposal *proposal)
{
    proposal->refs++;
    return proposal;
}

void proposal_release(struct pbft *p, struct proposal **slot)
{
    struct proposal *proposal = *slot;
    *slot = NULL;
    if (proposal == NULL || --proposal->refs > 0)
        return;
    proposal->next_dead = p->dead;
    p->dead = proposal;
}

struct proposal *proposal_held(struct pbft *p, const struct hash *header)
{
    struct proposal *const held[] = {p->proposal, p->prepared.proposal, p->new_view.proposal,
                                     p->view_change_block, p->candidate};
    for (size_t i = 0; i < sizeof(held) / sizeof(held[0]); i++)
        if (held[i] != NULL && hash_equal(&held[i]->header, header))
            return held[i];
    return NULL;
}
