#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "consensus/join.h"
#include "unit/ledger/network.h"

#include <stdio.h>
#include <stdlib.h>

#define CHUNKS_KEPT 64
#define SELF        3

/* Three validators with a snapshot, and one that begins. */
struct scene {
    struct network network;
    struct chain *chain;
    struct buf answer; /* of an honest one to the question for a manifest */
    struct buf chunks[CHUNKS_KEPT];
    uint32_t chunk_count;
    struct join *join;
    uint64_t now_ms;
    unsigned asked[4], chunks_of[4];
    /* What is given instead of an answer; false: nothing. */
    bool (*twist)(struct scene *scene, int peer, struct msg_part *part);
    struct buf twisted;
};

static int keep_chunk(void *context, uint32_t at, struct bytes chunk)
{
    struct scene *scene = context;
    assert_true(at < CHUNKS_KEPT);
    buf_append_bytes(&scene->chunks[at], chunk);
    scene->chunk_count = at + 1;
    return 0;
}

static void add_items(struct scene *scene, size_t count)
{
    struct batch batch = {0};
    struct item *items = calloc(count, sizeof(*items));
    char(*names)[24] = calloc(count, sizeof(*names));
    assert_non_null(items);
    assert_non_null(names);
    for (size_t i = 0; i < count; i++) {
        snprintf(names[i], sizeof(names[i]), "n%zu", i);
        items[i] = item_of((uint32_t)(i + 1), "D1", names[i]);
    }
    uint64_t number = 1;
    for (size_t i = 0; i < count; i += REQUEST_ITEMS_MAX) {
        size_t left = count - i;
        add_describe(&batch, &scene->network, number++, &items[i],
                     left < REQUEST_ITEMS_MAX ? left : REQUEST_ITEMS_MAX);
    }
    assert_int_equal(append_batch(scene->chain, &batch), 0);
    free(items);
    free(names);
}

static void certify(const struct scene *scene, const struct block_header *header,
                    const struct hash *hash, struct buf *out)
{
    const struct validator_set *set = &scene->network.genesis.validators;
    struct certificate certificate = {
        .view = 1, .height = header->height, .header = *hash, .n = validators_quorum(set->n)};
    struct vote vote = {.view = 1, .height = header->height, .header = *hash};
    validator_set_hash(set, &vote.validators);
    for (size_t i = 0; i < certificate.n; i++) {
        certificate.votes[i].validator = (uint8_t)i;
        vote_sign(&scene->network.validators[i], COMMIT_LABEL, &scene->network.genesis.hash, &vote,
                  &certificate.votes[i].signature);
    }
    certificate_encode(&certificate, out);
}

/* manifest || certificate || next header || its certificate */
static void make_answer(struct scene *scene)
{
    struct buf manifest = {0}, certificate = {0}, next = {0}, next_certificate = {0};
    struct block_header header;
    struct hash hash;
    assert_int_equal(snapshot_make(scene->chain, keep_chunk, scene, &manifest), 0);
    certify(scene, chain_tip(scene->chain), chain_tip_hash(scene->chain), &certificate);
    chain_next_header(scene->chain, &header);
    header.time_us = chain_tip(scene->chain)->time_us + 1;
    snprintf(header.proposer, sizeof(header.proposer), "%s",
             scene->network.genesis.validators.v[0].id);
    header_encode(&header, &next);
    header_hash(buf_bytes(&next), &hash);
    certify(scene, &header, &hash, &next_certificate);
    buf_append_str32(&scene->answer, buf_bytes(&manifest));
    buf_append_str32(&scene->answer, buf_bytes(&certificate));
    buf_append_str16(&scene->answer, buf_bytes(&next));
    buf_append_str32(&scene->answer, buf_bytes(&next_certificate));
    buf_close(&manifest);
    buf_close(&certificate);
    buf_close(&next);
    buf_close(&next_certificate);
}

static struct scene *scene_new(size_t items)
{
    struct scene *scene = calloc(1, sizeof(*scene));
    assert_non_null(scene);
    network_make(&scene->network, 4, 1);
    scene->chain = network_chain(&scene->network);
    add_items(scene, items);
    make_answer(scene);
    scene->now_ms = 1000;
    assert_int_equal(join_new(&scene->network.genesis, SELF, scene->now_ms, &scene->join), 0);
    for (int i = 0; i < 4; i++)
        join_peer(scene->join, i, true);
    return scene;
}

static void scene_free(struct scene *scene)
{
    join_free(scene->join);
    chain_free(scene->chain);
    buf_close(&scene->answer);
    buf_close(&scene->twisted);
    for (size_t i = 0; i < CHUNKS_KEPT; i++)
        buf_close(&scene->chunks[i]);
    free(scene);
}

/* Answers everything that is asked, in the order of asking, until nothing is asked any more. */
static void answer_all(struct scene *scene)
{
    struct msg_ask ask;
    int peer;
    while (join_next(scene->join, scene->now_ms, &peer, &ask)) {
        assert_in_range(peer, 0, 2);
        scene->asked[peer]++;
        struct msg_part part = {
            .sender = peer, .what = ask.what, .height = ask.height, .at = ask.at};
        if (ask.what == ASK_MANIFEST) {
            part.height = chain_height(scene->chain);
            part.bytes = buf_bytes(&scene->answer);
        } else {
            assert_int_equal(ask.what, ASK_CHUNK);
            assert_true(ask.at < scene->chunk_count);
            part.bytes = buf_bytes(&scene->chunks[ask.at]);
            scene->chunks_of[peer]++;
        }
        if (scene->twist == NULL || scene->twist(scene, peer, &part))
            assert_int_not_equal(join_part(scene->join, peer, &part, scene->now_ms),
                                 SEALMQ_E_NOMEM);
    }
}

static void run(struct scene *scene, uint64_t ms)
{
    for (uint64_t end_ms = scene->now_ms + ms; scene->now_ms < end_ms;) {
        answer_all(scene);
        scene->now_ms += JOIN_STEP_MS;
    }
}

static void assert_joined(struct scene *scene)
{
    struct join_certified certified;
    struct hash a, b;
    assert_int_equal(join_state(scene->join), JOIN_DONE);
    struct chain *chain = join_take(scene->join, &certified);
    assert_true(hash_equal(chain_tip_hash(chain), chain_tip_hash(scene->chain)));
    chain_state_root(chain, &a);
    chain_state_root(scene->chain, &b);
    assert_true(hash_equal(&a, &b));
    assert_true(certified.certificate.n != 0 && certified.next.n != 0 &&
                certified.next_certificate.n != 0);
    chain_free(chain);
}

static void chunks_come_from_all_who_have_the_snapshot(void **state)
{
    (void)state;
    struct scene *scene = scene_new(12000);
    assert_true(scene->chunk_count >= 3);
    run(scene, 4000);
    assert_joined(scene);
    unsigned all = 0;
    for (int i = 0; i < 3; i++)
        all += scene->chunks_of[i];
    assert_int_equal(all, scene->chunk_count); /* none asked twice */
    scene_free(scene);
}

static bool silent_1(struct scene *scene, int peer, struct msg_part *part)
{
    (void)scene;
    return peer != 1 || part->what == ASK_MANIFEST;
}

static void a_silent_peer_s_chunks_are_asked_of_others(void **state)
{
    (void)state;
    struct scene *scene = scene_new(12000);
    scene->twist = silent_1;
    run(scene, 8000);
    assert_joined(scene);
    scene_free(scene);
}

static bool other_chunks_of_1(struct scene *scene, int peer, struct msg_part *part)
{
    if (peer != 1 || part->what != ASK_CHUNK)
        return true;
    buf_reset(&scene->twisted);
    buf_append_bytes(&scene->twisted, part->bytes);
    scene->twisted.p[scene->twisted.n / 2] ^= 1;
    part->bytes = buf_bytes(&scene->twisted);
    return true;
}

static void a_chunk_that_is_not_the_named_one_costs_its_giver_its_place(void **state)
{
    (void)state;
    struct scene *scene = scene_new(12000);
    scene->twist = other_chunks_of_1;
    run(scene, 4000);
    assert_joined(scene);
    assert_true(scene->chunks_of[1] <= 1);
    scene_free(scene);
}

/* A manifest whose header and log are right, and whose chunk is another state's: its giver lies
 * about everything else, and in two of them together is in the majority. */
static bool other_state_of_0_and_1(struct scene *scene, int peer, struct msg_part *part)
{
    if (peer == 2)
        return true;
    struct hash hash;
    buf_reset(&scene->twisted);
    if (part->what == ASK_CHUNK) {
        buf_append_bytes(&scene->twisted, part->bytes);
        scene->twisted.p[scene->twisted.n - 1] ^= 1;
    } else {
        struct buf chunk = {0};
        buf_append_bytes(&chunk, buf_bytes(&scene->chunks[0]));
        chunk.p[chunk.n - 1] ^= 1;
        hash_sha256(buf_bytes(&chunk), &hash);
        buf_append_bytes(&scene->twisted, part->bytes);
        struct reader r = reader_of(buf_bytes(&scene->twisted));
        struct bytes manifest = reader_str32(&r);
        memcpy((uint8_t *)(uintptr_t)manifest.p + manifest.n - HASH_SIZE, hash.b, HASH_SIZE);
        buf_close(&chunk);
    }
    part->bytes = buf_bytes(&scene->twisted);
    return true;
}

static void a_state_that_is_not_the_certified_one_is_found_at_the_end(void **state)
{
    (void)state;
    struct scene *scene = scene_new(10); /* one chunk */
    assert_int_equal(scene->chunk_count, 1);
    scene->twist = other_state_of_0_and_1;
    run(scene, 8000);
    assert_joined(scene);
    assert_int_equal(scene->chunks_of[2], 1);
    scene_free(scene);
}

static bool flipped;
static size_t flip_at;
static bool flipped_manifests(struct scene *scene, int peer, struct msg_part *part)
{
    (void)peer;
    buf_reset(&scene->twisted);
    buf_append_bytes(&scene->twisted, part->bytes);
    if (part->what == ASK_MANIFEST && flip_at < scene->twisted.n) {
        scene->twisted.p[flip_at] ^= 1;
        flipped = true;
    }
    part->bytes = buf_bytes(&scene->twisted);
    return true;
}

static void no_byte_of_a_manifest_can_be_another(void **state)
{
    (void)state;
    for (flip_at = 0;; flip_at += 7) {
        struct scene *scene = scene_new(3);
        flipped = false;
        scene->twist = flipped_manifests;
        run(scene, 12000);
        if (flipped)
            assert_int_equal(join_state(scene->join), JOIN_NONE);
        else
            assert_joined(scene);
        scene_free(scene);
        if (!flipped)
            break;
    }
    assert_true(flip_at > 500);
}

static bool nothing(struct scene *scene, int peer, struct msg_part *part)
{
    (void)scene;
    (void)peer;
    part->bytes = (struct bytes){0};
    return true;
}

static void without_a_snapshot_the_chain_is_fetched_from_its_beginning(void **state)
{
    (void)state;
    struct scene *scene = scene_new(3);
    scene->twist = nothing;
    run(scene, 9000);
    assert_int_equal(join_state(scene->join), JOIN_LOOKING);
    run(scene, 3000);
    assert_int_equal(join_state(scene->join), JOIN_NONE);
    scene_free(scene);
}

static void what_was_not_asked_for_is_not_taken(void **state)
{
    (void)state;
    struct scene *scene = scene_new(3);
    struct msg_part part = {.what = ASK_MANIFEST, .bytes = buf_bytes(&scene->answer)};
    assert_int_equal(join_part(scene->join, 1, &part, scene->now_ms), SEALMQ_E_STALE);
    assert_int_equal(join_part(scene->join, SELF, &part, scene->now_ms), SEALMQ_E_STALE);
    assert_int_equal(join_part(scene->join, -1, &part, scene->now_ms), SEALMQ_E_STALE);
    assert_int_equal(join_part(scene->join, 4, &part, scene->now_ms), SEALMQ_E_STALE);
    part.what = ASK_CHUNK;
    assert_int_equal(join_part(scene->join, 1, &part, scene->now_ms), SEALMQ_E_STALE);
    run(scene, 3000);
    assert_joined(scene);
    scene_free(scene);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chunks_come_from_all_who_have_the_snapshot),
        cmocka_unit_test(a_silent_peer_s_chunks_are_asked_of_others),
        cmocka_unit_test(a_chunk_that_is_not_the_named_one_costs_its_giver_its_place),
        cmocka_unit_test(a_state_that_is_not_the_certified_one_is_found_at_the_end),
        cmocka_unit_test(no_byte_of_a_manifest_can_be_another),
        cmocka_unit_test(without_a_snapshot_the_chain_is_fetched_from_its_beginning),
        cmocka_unit_test(what_was_not_asked_for_is_not_taken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
