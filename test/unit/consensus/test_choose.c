#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include "consensus/choose.h"

#define CLAIMS 4

/* Small worlds: tips 5 or 6; nothing prepared, or in one of three views. What is prepared in a view
 * at a height is one block, as a quorum of PREPAREs makes sure. */
static struct view_change_claim claim_of(unsigned code)
{
    struct view_change_claim claim = {.height = 5 + code % 2};
    unsigned prepared = code / 2;
    if (prepared > 0) {
        claim.prepared = true;
        claim.prepared_view = prepared - 1;
        claim.prepared_header.b[0] = (uint8_t)claim.height;
        claim.prepared_header.b[1] = (uint8_t)prepared;
    }
    return claim;
}
#define CODES 8

static void choose(const struct view_change_claim *claims, size_t n, struct choice *out)
{
    assert_int_equal(pbft_choose(claims, n, out), 0);
}

static void every_set_of_claims_gives_the_highest_height_and_view(void **state)
{
    (void)state;
    for (unsigned world = 0; world < CODES * CODES * CODES * CODES; world++) {
        struct view_change_claim claims[CLAIMS];
        uint64_t tip = 0;
        for (unsigned i = 0, rest = world; i < CLAIMS; i++, rest /= CODES) {
            claims[i] = claim_of(rest % CODES);
            if (claims[i].height > tip)
                tip = claims[i].height;
        }
        struct choice choice;
        choose(claims, CLAIMS, &choice);
        assert_int_equal(choice.height, tip + 1);
        const struct view_change_claim *best = NULL;
        for (unsigned i = 0; i < CLAIMS; i++)
            if (claims[i].height == tip && claims[i].prepared &&
                (best == NULL || claims[i].prepared_view > best->prepared_view))
                best = &claims[i];
        assert_int_equal(choice.again, best != NULL);
        if (best != NULL) {
            assert_int_equal(choice.prepared_view, best->prepared_view);
            assert_true(hash_equal(&choice.header, &best->prepared_header));
        }
    }
}

static void the_order_of_claims_does_not_matter(void **state)
{
    (void)state;
    for (unsigned world = 0; world < CODES * CODES * CODES * CODES; world++) {
        struct view_change_claim claims[CLAIMS], turned[CLAIMS];
        struct choice a, b;
        for (unsigned i = 0, rest = world; i < CLAIMS; i++, rest /= CODES)
            claims[i] = claim_of(rest % CODES);
        choose(claims, CLAIMS, &a);
        for (unsigned shift = 1; shift < CLAIMS; shift++) {
            for (unsigned i = 0; i < CLAIMS; i++)
                turned[i] = claims[(i + shift) % CLAIMS];
            choose(turned, CLAIMS, &b);
            assert_memory_equal(&a, &b, sizeof(a));
        }
        for (unsigned i = 0; i < CLAIMS; i++)
            turned[i] = claims[CLAIMS - 1 - i];
        choose(turned, CLAIMS, &b);
        assert_memory_equal(&a, &b, sizeof(a));
    }
}

/* Four replicas, one of them a liar. Block B is committed at height 6 in view 1: a quorum of three
 * has it prepared (in view 1, or again in view 2) or final. Whatever the fourth has from view 0,
 * and whatever the liar hides, each quorum of three leads to B or beyond it. */
static void no_quorum_of_claims_forgets_a_committed_block(void **state)
{
    (void)state;
    struct hash b = {{'B'}}, older = {{'A'}};
    for (unsigned world = 0; world < 4 * 4 * 4 * 4; world++) {
        struct view_change_claim claims[CLAIMS];
        unsigned holders = 0;
        for (unsigned i = 0, rest = world; i < CLAIMS; i++, rest /= 4) {
            claims[i] = (struct view_change_claim){.height = 5};
            switch (rest % 4) {
            case 0: /* prepared in view 1 */
            case 1: /* and again in view 2 */
                claims[i].prepared = true;
                claims[i].prepared_view = 1 + rest % 4;
                claims[i].prepared_header = b;
                holders++;
                break;
            case 2: /* final */
                claims[i].height = 6;
                holders++;
                break;
            default: /* another block, of view 0 */
                claims[i].prepared = true;
                claims[i].prepared_header = older;
                break;
            }
        }
        if (holders < 3)
            continue;
        for (unsigned absent = 0; absent < CLAIMS; absent++) {
            for (unsigned liar = 0; liar < CLAIMS; liar++) {
                struct view_change_claim quorum[CLAIMS];
                size_t n = 0;
                unsigned honest_holders = 0;
                for (unsigned i = 0; i < CLAIMS; i++) {
                    if (i == absent)
                        continue;
                    quorum[n] = claims[i];
                    if (i == liar) /* certificates cannot be made up, but be kept back */
                        quorum[n] = (struct view_change_claim){.height = 5};
                    else if (claims[i].height == 6 || hash_equal(&claims[i].prepared_header, &b))
                        honest_holders++;
                    n++;
                }
                /* A quorum of three voted for B, so that one honest voter is always here. */
                assert_true(honest_holders >= 1);
                struct choice choice;
                choose(quorum, n, &choice);
                assert_true(choice.height >= 6);
                if (choice.height == 6) {
                    assert_true(choice.again);
                    assert_true(hash_equal(&choice.header, &b));
                }
            }
        }
    }
}

static void two_blocks_prepared_in_one_view_are_refused(void **state)
{
    (void)state;
    struct view_change_claim claims[2] = {claim_of(2), claim_of(2)};
    struct choice choice;
    claims[1].prepared_header.b[5] ^= 1;
    assert_int_equal(pbft_choose(claims, 2, &choice), SEALMQ_E_CONFLICT);
    claims[1].height++; /* then the first one's is of a height that is final */
    assert_int_equal(pbft_choose(claims, 2, &choice), 0);
}

static void nothing_is_chosen_where_nothing_was_prepared(void **state)
{
    (void)state;
    struct view_change_claim claim = {.height = 0};
    struct choice choice;
    choose(&claim, 1, &choice);
    assert_int_equal(choice.height, 1);
    assert_false(choice.again);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_set_of_claims_gives_the_highest_height_and_view),
        cmocka_unit_test(the_order_of_claims_does_not_matter),
        cmocka_unit_test(no_quorum_of_claims_forgets_a_committed_block),
        cmocka_unit_test(two_blocks_prepared_in_one_view_are_refused),
        cmocka_unit_test(nothing_is_chosen_where_nothing_was_prepared),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
