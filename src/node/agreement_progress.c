/* How fast this node catches up: said in the log now and then, and shown in its status. */
#include "base/log.h"
#include "node/agreement_int.h"

#define COMPONENT "agreement"
#define LOG_MS    2000

static double per_second(uint64_t count, uint64_t ms)
{
    return ms == 0 ? 0 : (double)count * 1000 / (double)ms;
}

static uint64_t since(uint64_t start_ms)
{
    uint64_t now_ms = agreement_now_ms();
    return now_ms > start_ms ? now_ms - start_ms : 1;
}

void progress_begin(struct agreement *agreement, uint64_t target)
{
    struct agreement_progress *progress = &agreement->progress;
    *progress = (struct agreement_progress){.is_running = true};
    progress->begun_ms = progress->logged_ms = agreement_now_ms();
    agreement->shown.catch_up.target = target;
    log_info(COMPONENT, "behind: fetching blocks up to %llu", (unsigned long long)target);
}

static void show(struct agreement *agreement, uint64_t blocks, uint64_t bytes, uint64_t ms)
{
    agreement->shown.catch_up.blocks_per_s = per_second(blocks, ms);
    agreement->shown.catch_up.bytes_per_s = per_second(bytes, ms);
}

/* What another node sent before this one had begun to fetch. */
static void note_few(struct agreement *agreement, const struct pbft_update *update)
{
    if (update->block_count < 2)
        return;
    agreement->shown.fetched_blocks_total += update->block_count;
    log_info(COMPONENT, "fetched %zu blocks from other nodes, up to block %llu",
             update->block_count, (unsigned long long)chain_height(agreement->chain));
}

void progress_blocks(struct agreement *agreement, const struct pbft_update *update)
{
    struct agreement_progress *progress = &agreement->progress;
    struct agreement_status *shown = &agreement->shown;
    if (!progress->is_running) {
        note_few(agreement, update);
        return;
    }
    for (size_t i = 0; i < update->block_count; i++)
        progress->bytes += update->blocks[i].block.n + update->blocks[i].certificate.n;
    progress->blocks += update->block_count;
    shown->fetched_blocks_total += update->block_count;
    uint64_t ms = since(progress->logged_ms);
    if (ms < LOG_MS)
        return;
    struct pbft_status pbft;
    pbft_status_get(agreement->pbft, &pbft);
    shown->catch_up.target = pbft.peers_height;
    show(agreement, progress->blocks - progress->logged_blocks,
         progress->bytes - progress->logged_bytes, ms);
    progress->logged_ms += ms;
    progress->logged_blocks = progress->blocks;
    progress->logged_bytes = progress->bytes;
    log_info(COMPONENT, "catching up: block %llu of %llu, %.0f blocks/s, %.2f MB/s",
             (unsigned long long)pbft.height, (unsigned long long)pbft.peers_height,
             shown->catch_up.blocks_per_s, shown->catch_up.bytes_per_s / 1e6);
}

void progress_end(struct agreement *agreement, uint64_t height)
{
    struct agreement_progress *progress = &agreement->progress;
    uint64_t ms = since(progress->begun_ms);
    if (progress->is_running)
        log_info(COMPONENT,
                 "caught up at block %llu: fetched %llu blocks from other nodes in %.1f s, %.0f "
                 "blocks/s, %.2f MB/s",
                 (unsigned long long)height, (unsigned long long)progress->blocks,
                 (double)ms / 1000, per_second(progress->blocks, ms),
                 per_second(progress->bytes, ms) / 1e6);
    *progress = (struct agreement_progress){0};
    agreement->shown.catch_up.target = 0;
    show(agreement, 0, 0, 1);
}
