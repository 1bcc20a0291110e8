/* What others may ask of the log of headers, from any thread. */
#include "node/agreement_int.h"

static int prove(const struct agreement *agreement, uint64_t from, uint64_t to,
                 struct log_growth *out)
{
    const struct merkle_log *log = chain_log(agreement->chain);
    out->to = to != 0 ? to : agreement->checkpoint_size;
    if (out->to == 0)
        return SEALMQ_E_AGAIN; /* no checkpoint has a quorum yet */
    if (from == 0 || from > out->to)
        return SEALMQ_E_ARG;
    if (out->to > log->size || from < log->base)
        return SEALMQ_E_NOTFOUND;
    merkle_log_prove_consistency(log, from, out->to, &out->path);
    merkle_log_root(log, out->to, &out->root);
    if (out->to == agreement->checkpoint_size)
        buf_append_bytes(&out->note, buf_bytes(&agreement->checkpoint));
    return buf_status(&out->note);
}

int agreement_log_growth(struct agreement *agreement, uint64_t from, uint64_t to,
                         struct log_growth *out)
{
    *out = (struct log_growth){.from = from};
    pthread_rwlock_rdlock(&agreement->chain_lock);
    int error = prove(agreement, from, to, out);
    pthread_rwlock_unlock(&agreement->chain_lock);
    if (error != 0)
        log_growth_close(out);
    return error;
}

void log_growth_close(struct log_growth *growth)
{
    buf_close(&growth->note);
}
