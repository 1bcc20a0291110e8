/* What this node keeps of the chain, and whether enough nodes keep it: pruning, which two others
 * must make up for, and the warning when few full nodes are reachable. */
#include "base/log.h"
#include "node/agreement_int.h"

#define COMPONENT         "agreement"
#define PRUNE_EVERY_MS    5000
#define PRUNE_BODIES      512 /* in one transaction */
#define FULL_NODES_WANTED 3
#define OTHERS_WANTED     2
#define SETTLE_MS         5000 /* the number of full nodes is low for so long before it is said */

/* Other nodes that were heard of late and keep all bodies from `height` on. */
static unsigned others_keep(const struct agreement *agreement, uint64_t height)
{
    const struct pbft_status *pbft = &agreement->shown.pbft;
    unsigned n = 0;
    for (size_t i = 0; i < pbft->peer_count; i++)
        n += pbft->peers[i].is_heard && pbft->peers[i].keeps <= height;
    return n;
}

static void count_full_nodes(struct agreement *agreement)
{
    struct agreement_keep *keep = &agreement->keep;
    struct agreement_status *shown = &agreement->shown;
    uint64_t now_ms = agreement_now_ms();
    shown->full_nodes = others_keep(agreement, 1) + (shown->keeps <= 1);
    bool is_low = shown->full_nodes < FULL_NODES_WANTED;
    if (!is_low)
        keep->low_since_ms = 0;
    else if (keep->low_since_ms == 0)
        keep->low_since_ms = now_ms;
    is_low = is_low && now_ms - keep->low_since_ms >= SETTLE_MS;
    if (is_low == shown->is_few_full)
        return;
    shown->is_few_full = is_low;
    if (is_low)
        log_warn(
            COMPONENT,
            "%u full nodes are reachable, this one included; below %u, what a disk or two lose "
            "may be lost for all",
            shown->full_nodes, FULL_NODES_WANTED);
    else
        log_info(COMPONENT, "%u full nodes are reachable again", shown->full_nodes);
}

static void set_refused(struct agreement *agreement, bool is_refused, uint64_t from)
{
    if (is_refused == agreement->shown.is_prune_refused)
        return;
    agreement->shown.is_prune_refused = is_refused;
    if (is_refused)
        log_warn(
            COMPONENT,
            "blocks below %llu are kept although `retain` says otherwise: %u other nodes that are "
            "reachable keep them, and %u have to",
            (unsigned long long)from, others_keep(agreement, agreement->shown.keeps),
            OTHERS_WANTED);
    else
        log_info(COMPONENT, "enough other nodes keep old blocks: they are no longer kept here");
}

static int prune_some(struct agreement *agreement, uint64_t from, uint64_t *lowest)
{
    int error = block_store_begin(agreement->store);
    if (error != 0)
        return error;
    error = block_store_prune(agreement->store, from, PRUNE_BODIES, lowest);
    if (error == 0)
        error = block_store_commit(agreement->store);
    if (error != 0)
        block_store_rollback(agreement->store);
    return error;
}

static void show_keeps(struct agreement *agreement, uint64_t lowest)
{
    agreement->shown.keeps = lowest;
    pbft_keep(agreement->pbft, lowest);
}

static int prune(struct agreement *agreement)
{
    uint64_t lowest, from;
    int error = block_store_prune_from(agreement->store, &agreement->options.retain,
                                       agreement_wall_us(), &lowest, &from);
    if (error != 0)
        return error;
    bool is_wanted = from > lowest;
    bool is_refused = is_wanted && others_keep(agreement, lowest) < OTHERS_WANTED;
    set_refused(agreement, is_refused, from);
    if (is_wanted && !is_refused) {
        uint64_t before = lowest;
        error = prune_some(agreement, from, &lowest);
        if (error == 0 && lowest == from)
            log_info(COMPONENT, "bodies of blocks %llu to %llu are no longer kept here",
                     (unsigned long long)before, (unsigned long long)lowest - 1);
        agreement->keep.is_unfinished = error == 0 && lowest < from;
    }
    show_keeps(agreement, lowest);
    return error;
}

void agreement_keep_check(struct agreement *agreement)
{
    struct agreement_keep *keep = &agreement->keep;
    const struct block_store_retain *retain = &agreement->options.retain;
    uint64_t now_ms = agreement_now_ms();
    count_full_nodes(agreement);
    bool is_limited = retain->blocks != 0 || retain->bytes != 0 || retain->age_us != 0;
    if (!is_limited ||
        (!keep->is_unfinished && keep->pruned_ms != 0 && now_ms - keep->pruned_ms < PRUNE_EVERY_MS))
        return;
    keep->pruned_ms = now_ms;
    keep->is_unfinished = false;
    int error = prune(agreement);
    if (error != 0)
        log_error(COMPONENT, "old blocks cannot be removed: %s", sealmq_error_text(error));
}

int agreement_keep_start(struct agreement *agreement)
{
    uint64_t header, body;
    int error = block_store_lowest(agreement->store, &header, &body);
    if (error != 0)
        return error;
    show_keeps(agreement, body);
    agreement->join.headers_from = header;
    return 0;
}
