/* Rings that grow while they are in use: a session's queue, and the tickets of a connection. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "broker/message.h"
#include "broker/queue.h"
#include "broker/tickets.h"

static uint64_t random_state;

static uint32_t draw(uint32_t below)
{
    random_state = random_state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
    return (uint32_t)(random_state >> 33) % below;
}

static void release(void *context, struct delivery *delivery)
{
    (void)context;
    message_release(delivery->message);
}

static void queue_keeps_its_order_and_its_sums(void **state)
{
    (void)state;
    struct queue q = {0};
    uint64_t pushed = 0, popped = 0, qos0 = 0, live = 0, bytes = 0;
    random_state = 3;
    for (unsigned step = 0; step < 100000; step++) {
        /* Longer and longer, then shorter again. */
        bool push = draw(100) < (step % 20000 < 10000 ? 55u : 45u);
        if (push || q.count == 0) {
            struct publication p = {.view = {.topic = BYTES_LIT("topic"), .origin = pushed++}};
            assert_int_equal(publication_own(&p), 0);
            struct delivery d = {
                .message = p.owned, .qos = (uint8_t)draw(3), .is_stored = draw(2) == 0};
            assert_int_equal(queue_push(&q, &d), 0);
            qos0 += d.qos == 0;
            live += !d.is_stored;
            bytes += message_size(&p.view);
        } else {
            struct delivery d = queue_pop(&q);
            assert_int_equal(d.message->view.origin, popped++);
            qos0 -= d.qos == 0;
            live -= !d.is_stored;
            bytes -= message_size(&d.message->view);
            message_release(d.message);
        }
        assert_int_equal(q.count, pushed - popped);
        assert_int_equal(q.qos0_count, qos0);
        assert_int_equal(q.live.count, live);
        assert_int_equal(q.live.bytes + q.stored.bytes, bytes);
    }
    queue_close(&q, release, NULL);
}

static void tickets_leave_in_order_when_they_are_done(void **state)
{
    (void)state;
    struct tickets *t = NULL;
    static bool is_done[200000];
    uint64_t opened = 1, taken = 1;
    random_state = 4;
    for (unsigned step = 0; step < 200000; step++) {
        uint64_t number;
        if (draw(2) == 0 && opened < 200000) {
            assert_int_equal(tickets_open(&t, 1, (uint16_t)opened, &number), 0);
            assert_int_equal(number, opened++);
        } else if (opened > taken) {
            number = taken + draw((uint32_t)(opened - taken));
            assert_int_equal(tickets_complete(t, number, (uint8_t)number), !is_done[number]);
            is_done[number] = true;
            assert_false(tickets_complete(t, number, 0));
        }
        assert_false(tickets_complete(t, taken - 1, 0));
        assert_false(tickets_complete(t, opened, 0));
        struct ticket ticket;
        while (tickets_take_done(t, &ticket)) {
            assert_true(is_done[taken]);
            assert_int_equal(ticket.packet_id, (uint16_t)taken);
            assert_int_equal(ticket.reason, (uint8_t)taken);
            taken++;
        }
        assert_true(taken == opened || !is_done[taken]);
    }
    tickets_free(t);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(queue_keeps_its_order_and_its_sums),
        cmocka_unit_test(tickets_leave_in_order_when_they_are_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
