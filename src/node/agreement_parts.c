/* What other nodes ask for to begin with: snapshots of the state, and headers. */
#include "node/agreement_int.h"

#define SECOND_MS 1000

/* So many answers in a second for each node: an answer costs more than the question. */
static bool may_serve(struct agreement *agreement, int peer)
{
    struct agreement_served *served = &agreement->served[peer];
    uint64_t now_ms = agreement_now_ms();
    if (now_ms - served->since_ms >= SECOND_MS)
        *served = (struct agreement_served){.since_ms = now_ms};
    return served->n++ < PARTS_A_SECOND;
}

static int append_header(struct agreement *agreement, uint64_t height, struct buf *header,
                         struct buf *certificate)
{
    buf_reset(header);
    buf_reset(certificate);
    return block_store_get_header(agreement->store, height, header, certificate);
}

/* The newest snapshot that a header follows, with what certifies it; nothing when there is none. */
static int append_manifest(struct agreement *agreement, uint64_t *height, struct buf *out)
{
    uint64_t tip = chain_height(agreement->chain);
    struct buf manifest = {0}, header = {0}, certificate = {0};
    int error = tip == 0 ? SEALMQ_E_NOTFOUND
                         : block_store_get_snapshot(agreement->store, tip - 1, height, &manifest);
    if (error == 0)
        error = append_header(agreement, *height, &header, &certificate);
    if (error == 0) {
        buf_append_str32(out, buf_bytes(&manifest));
        buf_append_str32(out, buf_bytes(&certificate));
        error = append_header(agreement, *height + 1, &header, &certificate);
    }
    if (error == 0) {
        buf_append_str16(out, buf_bytes(&header));
        buf_append_str32(out, buf_bytes(&certificate));
    }
    buf_close(&manifest);
    buf_close(&header);
    buf_close(&certificate);
    if (error != SEALMQ_E_NOTFOUND)
        return error;
    buf_reset(out);
    return 0;
}

/* From this height downwards, as many as are here. */
static int append_headers(struct agreement *agreement, uint64_t height, uint32_t count,
                          struct buf *out)
{
    struct buf header = {0}, certificate = {0};
    int error = 0;
    for (uint32_t i = 0; i < count && i < PART_HEADERS_MAX && height > i && error == 0; i++) {
        error = append_header(agreement, height - i, &header, &certificate);
        if (error == 0) {
            buf_append_str16(out, buf_bytes(&header));
            buf_append_str32(out, buf_bytes(&certificate));
        }
    }
    buf_close(&header);
    buf_close(&certificate);
    return error == SEALMQ_E_NOTFOUND ? 0 : error;
}

static int check_ask(const struct agreement *agreement, struct bytes bytes, struct msg_ask *ask)
{
    const struct validator_set *set = chain_validators(agreement->chain);
    struct hash hash;
    int error = message_decode_ask(bytes, ask);
    if (error == 0 && (size_t)ask->head.sender >= set->n)
        error = SEALMQ_E_UNKNOWN;
    if (error != 0)
        return error;
    /* Who begins knows the validators of the genesis. */
    validator_set_hash(set, &hash);
    return message_verify(PBFT_MSG_ASK, &ask->head, &set->v[ask->head.sender].key,
                          &agreement->options.genesis->hash, &hash);
}

void agreement_take_ask(struct agreement *agreement, struct bytes bytes)
{
    struct msg_ask ask;
    struct buf content = {0}, wire = {0};
    int error = check_ask(agreement, bytes, &ask);
    if (error == 0 && !may_serve(agreement, ask.head.sender))
        error = SEALMQ_E_BUSY;
    if (error == 0 && ask.what == ASK_MANIFEST)
        error = append_manifest(agreement, &ask.height, &content);
    else if (error == 0 && ask.what == ASK_CHUNK)
        error = block_store_get_chunk(agreement->store, ask.height, ask.at, &content);
    else if (error == 0)
        error = append_headers(agreement, ask.height, ask.at, &content);
    if (error == 0)
        error = buf_status(&content);
    if (error == 0) {
        struct msg_part part = {.what = ask.what, .height = ask.height, .at = ask.at};
        part.bytes = buf_bytes(&content);
        part.sender = validator_set_find(chain_validators(agreement->chain),
                                         bytes_str(agreement->options.id));
        if (part.sender >= 0) {
            message_encode_part(&part, &wire);
            error = buf_status(&wire);
            if (error == 0)
                peers_send(agreement, ask.head.sender, pbft_message_topic(PBFT_MSG_PART),
                           buf_bytes(&wire));
        }
    }
    if (error != 0)
        refusals_log(&agreement->refusals, agreement_now_ms(), "agreement",
                     "another node's question for a part of the chain is not answered: %s",
                     sealmq_error_text(error));
    buf_close(&content);
    buf_close(&wire);
}
