/* The QoS state machines by themselves, against a plain model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/inflight.h"

#include <stdlib.h>
#include <string.h>

static uint64_t random_state;
static unsigned released;

static uint32_t draw(uint32_t below)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(random_state >> 33) % below;
}

static void release(void *context, struct delivery *delivery)
{
    (void)context;
    *delivery = (struct delivery){0};
    released++;
}

static uint16_t add(struct inflight *f, uint8_t qos)
{
    struct delivery delivery = {.qos = qos};
    uint16_t id = 0;
    assert_int_equal(inflight_add(f, &delivery, &id), 0);
    assert_int_not_equal(id, 0);
    return id;
}

static void qos_1_is_done_by_puback(void **state)
{
    (void)state;
    struct inflight f = {0};
    uint16_t id = add(&f, 1);
    assert_int_equal(inflight_pubrec(&f, id, false, release, NULL), SEALMQ_E_PROTOCOL);
    assert_int_equal(inflight_pubcomp(&f, id, release, NULL), SEALMQ_E_PROTOCOL);
    assert_int_equal(inflight_puback(&f, id, release, NULL), 0);
    assert_int_equal(inflight_puback(&f, id, release, NULL), SEALMQ_E_NOTFOUND);
    assert_int_equal(f.count, 0);
    inflight_close(&f, release, NULL);
}

static void qos_2_is_done_by_pubrec_and_pubcomp(void **state)
{
    (void)state;
    struct inflight f = {0};
    uint16_t id = add(&f, 2);
    assert_int_equal(inflight_puback(&f, id, release, NULL), SEALMQ_E_PROTOCOL);
    assert_int_equal(inflight_pubcomp(&f, id, release, NULL), SEALMQ_E_PROTOCOL);
    assert_int_equal(inflight_pubrec(&f, id, false, release, NULL), 0);
    assert_int_equal(inflight_pubrec(&f, id, false, release, NULL), 0);
    assert_int_equal(inflight_pubrec(&f, id, true, release, NULL), SEALMQ_E_PROTOCOL);
    assert_int_equal(inflight_puback(&f, id, release, NULL), SEALMQ_E_PROTOCOL);
    assert_int_equal(inflight_pubcomp(&f, id, release, NULL), 0);
    assert_int_equal(inflight_pubcomp(&f, id, release, NULL), SEALMQ_E_NOTFOUND);
    id = add(&f, 2);
    assert_int_equal(inflight_pubrec(&f, id, true, release, NULL), 0);
    assert_int_equal(f.count, 0);
    inflight_close(&f, release, NULL);
}

static void all_65535_identifiers_can_be_in_use(void **state)
{
    (void)state;
    struct inflight f = {0};
    static bool is_used[65536];
    memset(is_used, 0, sizeof is_used);
    for (unsigned i = 0; i < 65535; i++) {
        uint16_t id = add(&f, 1);
        assert_false(is_used[id]);
        is_used[id] = true;
    }
    struct delivery delivery = {.qos = 1};
    uint16_t id;
    assert_int_equal(inflight_add(&f, &delivery, &id), SEALMQ_E_LIMIT);
    assert_int_equal(inflight_puback(&f, 4711, release, NULL), 0);
    assert_int_equal(add(&f, 1), 4711);
    released = 0;
    inflight_close(&f, release, NULL);
    assert_int_equal(released, 65535);
}

/* Random traffic with reconnections; the model is the list of identifiers in the order of sending.
 */
static void order_of_sending_is_kept(void **state)
{
    (void)state;
    for (uint64_t seed = 1; seed <= 30; seed++) {
        struct inflight f = {0};
        uint16_t model[400];
        size_t count = 0;
        random_state = seed;
        for (unsigned step = 0; step < 4000; step++) {
            if (draw(100) == 0) {
                /* A reconnection: all come again, in order; some complete meanwhile. */
                inflight_restart(&f);
                assert_int_equal(inflight_sent_count(&f), 0);
                size_t at = 0;
                struct inflight_slot *slot;
                while ((slot = inflight_unsent(&f)) != NULL) {
                    assert_int_equal(slot->packet_id, model[at]);
                    if (draw(4) == 0) {
                        size_t victim = draw((uint32_t)count);
                        assert_int_equal(inflight_puback(&f, model[victim], release, NULL), 0);
                        memmove(&model[victim], &model[victim + 1],
                                (count - victim - 1) * sizeof model[0]);
                        count--;
                        at -= victim < at;
                        continue;
                    }
                    inflight_resent(&f, slot);
                    at++;
                    assert_int_equal(inflight_sent_count(&f), at);
                }
                assert_int_equal(at, count);
            } else if (count == 0 || (count < 400 && draw(2) == 0)) {
                model[count++] = add(&f, 1);
            } else {
                size_t victim = draw(3) == 0 ? draw((uint32_t)count) : 0;
                assert_int_equal(inflight_puback(&f, model[victim], release, NULL), 0);
                memmove(&model[victim], &model[victim + 1], (count - victim - 1) * sizeof model[0]);
                count--;
            }
            assert_int_equal(f.count, count);
        }
        inflight_close(&f, release, NULL);
    }
}

static void packet_ids_are_a_set(void **state)
{
    (void)state;
    struct packet_ids ids = {0};
    static bool model[65536];
    memset(model, 0, sizeof model);
    random_state = 99;
    for (unsigned step = 0; step < 200000; step++) {
        /* Near each other and far apart, so that chains form and break. */
        uint16_t id = (uint16_t)(1 + (draw(2) == 0 ? draw(64) * 1024 : draw(200)));
        if (draw(2) == 0) {
            assert_int_equal(packet_ids_add(&ids, id), model[id] ? SEALMQ_E_EXISTS : 0);
            model[id] = true;
        } else {
            assert_int_equal(packet_ids_remove(&ids, id), model[id]);
            model[id] = false;
        }
        assert_int_equal(packet_ids_has(&ids, id), model[id]);
    }
    uint32_t count = 0;
    for (uint32_t id = 1; id < 65536; id++) {
        assert_int_equal(packet_ids_has(&ids, (uint16_t)id), model[id]);
        count += model[id];
    }
    assert_int_equal(ids.count, count);
    for (uint32_t id = 1; id < 65536; id++) {
        if (!model[id])
            assert_int_equal(packet_ids_add(&ids, (uint16_t)id), 0);
    }
    assert_int_equal(ids.count, 65535);
    packet_ids_close(&ids);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(qos_1_is_done_by_puback),
        cmocka_unit_test(qos_2_is_done_by_pubrec_and_pubcomp),
        cmocka_unit_test(all_65535_identifiers_can_be_in_use),
        cmocka_unit_test(order_of_sending_is_kept),
        cmocka_unit_test(packet_ids_are_a_set),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
