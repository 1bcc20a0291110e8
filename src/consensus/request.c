/* REQUEST (PBFT section 4.1): what clients want to have in a block. Who gets one from a client
 * tells all others, so that they watch the primary too; what waits is told again to a primary that
 * does not propose it, and to a new one; and to all by who waits for them to leave a view, because
 * those who were away when it came know no reason to. */
#include "consensus/pbft_int.h"

int request_event(struct pbft *p, struct bytes wire, bool from_client)
{
    int error = mempool_add(p->mempool, p->chain, wire, p->now_ms);
    if (error == SEALMQ_E_NOMEM)
        p->failed = error;
    if (error != 0)
        return error;
    p->watch.look = true;
    p->may_select = true;
    p->again = true;
    if (from_client)
        update_send_copy(p, PBFT_MSG_REQUEST, -1, wire);
    return 0;
}

struct reforward {
    struct pbft *p;
    int to;
    size_t count, bytes;
};

static void send_one(void *context, struct bytes wire)
{
    struct reforward *r = context;
    if (r->count >= REFORWARD_COUNT || (r->count > 0 && r->bytes + wire.n > REFORWARD_BYTES))
        return;
    r->count++;
    r->bytes += wire.n;
    update_send_copy(r->p, PBFT_MSG_REQUEST, r->to, wire);
}

void request_reforward(struct pbft *p)
{
    if (p->n == 0 || primary_of(p, p->view) == p->self)
        return;
    struct reforward r = {.p = p, .to = primary_of(p, p->view)};
    p->reforward_ms = p->now_ms;
    mempool_each(p->mempool, send_one, &r);
}

void request_retell(struct pbft *p)
{
    struct reforward r = {.p = p, .to = -1};
    mempool_each(p->mempool, send_one, &r);
}
