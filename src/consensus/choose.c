/* The choice of a new view (PBFT section 4.4).
 *
 * Why it keeps agreement: let block B be final at height h by COMMITs of view v. A quorum signed
 * them, so of the quorum of VIEW-CHANGEs for any later view at least one is by an honest replica
 * that signed COMMIT before it left v. Either B is final there, and the claim's height is h or
 * more; or its prepared certificate is for B at view v or later (by induction over the views
 * between: no other block could be prepared at h in them). The highest height wins over all
 * prepared certificates below it, and at the same height the highest view. */
#include "consensus/choose.h"

#include "base/assert.h"

int pbft_choose(const struct view_change_claim *claims, size_t n, struct choice *out)
{
    ASSERT(n >= 1);
    *out = (struct choice){0};

    uint64_t tip = 0;
    for (size_t i = 0; i < n; i++)
        if (claims[i].height > tip)
            tip = claims[i].height;
    out->height = tip + 1;

    for (size_t i = 0; i < n; i++) {
        const struct view_change_claim *claim = &claims[i];
        if (claim->height != tip || !claim->prepared)
            continue;
        if (out->again && claim->prepared_view < out->prepared_view)
            continue;
        out->again = true;
        out->prepared_view = claim->prepared_view;
        out->header = claim->prepared_header;
    }
    for (size_t i = 0; i < n && out->again; i++)
        if (claims[i].height == tip && claims[i].prepared &&
            claims[i].prepared_view == out->prepared_view &&
            !hash_equal(&claims[i].prepared_header, &out->header))
            return SEALMQ_E_CONFLICT;
    return 0;
}
