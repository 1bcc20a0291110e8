/* What a node adds to /metrics and /healthz. On the monitor's thread. */
#include "monitor/metrics.h"
#include "node/node_int.h"

static void counter(struct buf *out, const char *name, const char *help, uint64_t value)
{
    metrics_one(out, name, "counter", help, (double)value);
}

static void gauge(struct buf *out, const char *name, const char *help, uint64_t value)
{
    metrics_one(out, name, "gauge", help, (double)value);
}

/* Families have samples, so those that can have none are left out. */
static void append_offences(const struct offences *offences, struct buf *out)
{
    static const char reasons[] = "sealmq_chain_messages_refused_total";
    static const char senders[] = "sealmq_chain_messages_refused_by_sender_total";
    if (offences->offender_count == 0)
        return;
    metrics_family(out, reasons, "counter", "Messages of other nodes refused, by reason.");
    for (int i = 0; i < OFFENCE_REASONS; i++)
        if (offences->by_reason[i] != 0)
            metrics_sample(out, reasons, "reason", sealmq_error_name(-i),
                           (double)offences->by_reason[i]);
    metrics_family(out, senders, "counter", "Messages of other nodes refused, by sender.");
    for (size_t i = 0; i <= OFFENDERS_MAX; i++)
        if (offences->offenders[i].total != 0)
            metrics_sample(out, senders, "sender", offences->offenders[i].id,
                           (double)offences->offenders[i].total);
}

static void append_keeping(const struct agreement_status *s, struct buf *out)
{
    gauge(out, "sealmq_chain_lowest_block", "Lowest block whose body is kept here.", s->keeps);
    gauge(out, "sealmq_chain_full_nodes", "Reachable nodes that keep all blocks, with this one.",
          s->full_nodes);
    gauge(out, "sealmq_chain_few_full_nodes", "Whether that are fewer than three.", s->is_few_full);
    gauge(out, "sealmq_chain_prune_refused",
          "Whether old blocks are kept because too few other nodes keep them.",
          s->is_prune_refused);
    counter(out, "sealmq_chain_fetched_blocks_total", "Blocks fetched from other nodes.",
            s->fetched_blocks_total);
    gauge(out, "sealmq_chain_catch_up_blocks_per_second", "Pace of catching up; 0 when not.",
          (uint64_t)s->catch_up.blocks_per_s);
    gauge(out, "sealmq_chain_catch_up_bytes_per_second", "Pace of catching up; 0 when not.",
          (uint64_t)s->catch_up.bytes_per_s);
}

static void append_chain(const struct agreement_status *s, const struct offences *offences,
                         uint64_t dropped, struct buf *out)
{
    gauge(out, "sealmq_chain_height", "Height of the newest block.", s->pbft.height);
    gauge(out, "sealmq_chain_peers_height", "Height that other nodes claim.", s->pbft.peers_height);
    gauge(out, "sealmq_chain_checkpoint_height", "Height of the newest checkpoint with a quorum.",
          s->pbft.stable_checkpoint);
    gauge(out, "sealmq_chain_view", "View of the agreement.", s->pbft.view);
    counter(out, "sealmq_chain_view_changes_total", "View changes.", s->view_changes_total);
    gauge(out, "sealmq_chain_votes", "Whether this node votes.", s->pbft.votes);
    gauge(out, "sealmq_chain_validators", "Nodes that agree on the chain.", s->validators);
    gauge(out, "sealmq_chain_peers_connected", "Other nodes with a connection.",
          s->peers_connected);
    gauge(out, "sealmq_chain_mempool_requests", "Requests that wait for a block.",
          s->pbft.waiting_requests);
    gauge(out, "sealmq_chain_requests", "Requests on the chain.", s->requests_total);
    gauge(out, "sealmq_chain_records", "Records on the chain.", s->records_total);
    counter(out, "sealmq_chain_receipts_total", "Receipts sent to gateways.", s->receipts_total);
    counter(out, "sealmq_chain_requests_refused_total", "Requests refused.", s->refused_total);
    counter(out, "sealmq_chain_requests_dropped_total", "Requests dropped for want of room.",
            s->dropped_total);
    counter(out, "sealmq_chain_bad_messages_total", "Messages of other nodes that were not valid.",
            s->bad_messages_total);
    counter(out, "sealmq_chain_messages_dropped_total",
            "Messages of other nodes dropped, because too many of theirs waited.", dropped);
    append_offences(offences, out);
    append_keeping(s, out);
    if (s->peer_count == 0)
        return; /* a family has samples */
    metrics_family(out, "sealmq_chain_peer_connected", "gauge", "Whether a node is connected.");
    for (unsigned i = 0; i < s->peer_count; i++)
        metrics_sample(out, "sealmq_chain_peer_connected", "peer", s->peers[i].id,
                       s->peers[i].is_connected);
}

static void append_history(const struct historian_stats *h, struct buf *out)
{
    gauge(out, "sealmq_history_reports", "Reports in the history.", h->reports);
    gauge(out, "sealmq_history_rows", "Rows in the history.", h->rows);
    gauge(out, "sealmq_history_waiting_reports", "Reports that wait to be stored.", h->waiting);
    counter(out, "sealmq_history_batches_total", "Group commits.", h->batches_total);
    counter(out, "sealmq_history_failures_total", "Group commits that failed.", h->failures_total);
    counter(out, "sealmq_history_conflicts_total",
            "Reports with the number of another report of their gateway.", h->conflicts_total);
}

static void append_devices(const struct device_service_stats *d, uint64_t logins_refused,
                           struct buf *out)
{
    counter(out, "sealmq_device_handshakes_total", "Session keys agreed.", d->handshakes_total);
    counter(out, "sealmq_device_handshakes_refused_total", "Key agreements refused.",
            d->handshakes_refused_total);
    counter(out, "sealmq_device_reports_total", "Reports accepted.", d->reports_accepted_total);
    counter(out, "sealmq_device_rows_total", "Rows of accepted reports.", d->rows_accepted_total);
    metrics_family(out, "sealmq_device_reports_refused_total", "counter",
                   "Reports refused, by reason.");
    static const char name[] = "sealmq_device_reports_refused_total";
    metrics_sample(out, name, "reason", "signature", (double)d->reports_refused_signature_total);
    metrics_sample(out, name, "reason", "replay", (double)d->reports_refused_replay_total);
    metrics_sample(out, name, "reason", "malformed", (double)d->reports_refused_malformed_total);
    metrics_sample(out, name, "reason", "other", (double)d->reports_refused_other_total);
    counter(out, "sealmq_device_hints_total", "Hints sent to gateways without a key.",
            d->hints_total);
    counter(out, "sealmq_device_requests_total", "Requests taken from gateways.",
            d->requests_total);
    counter(out, "sealmq_device_requests_refused_total", "Requests of gateways refused.",
            d->requests_refused_total);
    counter(out, "sealmq_logins_refused_total", "Log-ins refused.", logins_refused);
}

void node_append_metrics(void *context, struct buf *out)
{
    const struct node *node = context;
    struct agreement_status chain;
    struct offences offences;
    struct historian_stats history;
    struct device_service_stats devices;
    uint64_t logins_refused;
    agreement_status_get(node->agreement, &chain);
    agreement_offences_get(node->agreement, &offences);
    historian_stats_get(node->historian, &history);
    node_device_stats(node, &devices, &logins_refused);
    append_chain(&chain, &offences, atomic_load(&node->messages_dropped), out);
    append_history(&history, out);
    append_devices(&devices, logins_refused, out);
}

void node_append_troubles(void *context, struct buf *out)
{
    struct node *node = context;
    struct agreement_status chain;
    agreement_status_get(node->agreement, &chain);
    if (chain.disk_waiting)
        buf_append_cstr(out, "chain: cannot write, waits for its disk\n");
    if (net_server_store_is_failing(node->server))
        buf_append_cstr(out, "storage: sessions.db cannot be written\n");
    if (atomic_load(&node->failure) != 0)
        buf_append_cstr(out, "node: it cannot go on, and is ending\n");
}
