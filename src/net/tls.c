/* TLS of the listeners. */
#include "net/tls.h"

#include <stdio.h>

int net_tls_new(const struct net_tls_options *options, struct net_tls **out, char *why,
                size_t why_size)
{
    (void)options;
    *out = NULL;
    snprintf(why, why_size, "this build has no TLS");
    return SEALMQ_E_UNSUPPORTED;
}

struct net_tls *net_tls_ref(struct net_tls *tls)
{
    return tls;
}

void net_tls_unref(struct net_tls *tls)
{
    (void)tls;
}
