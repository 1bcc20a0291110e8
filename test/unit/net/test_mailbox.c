#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "net/mailbox.h"

#include <sched.h>
#include <stdlib.h>

struct letter {
    struct mailbox_item item;
    unsigned sender, number;
};

static atomic_uint wakes;

static void wake(void *context)
{
    (void)context;
    atomic_fetch_add(&wakes, 1);
}

static struct letter *letter_new(unsigned sender, unsigned number)
{
    struct letter *letter = calloc(1, sizeof(*letter));
    assert_non_null(letter);
    letter->sender = sender;
    letter->number = number;
    return letter;
}

static void open_mailbox(struct mailbox *mailbox)
{
    atomic_store(&wakes, 0);
    mailbox_init(mailbox, wake, NULL);
    mailbox_open(mailbox);
}

static void items_come_out_in_the_order_of_posting(void **state)
{
    (void)state;
    struct mailbox mailbox;
    open_mailbox(&mailbox);
    assert_null(mailbox_take(&mailbox));
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(mailbox_post(&mailbox, &letter_new(0, i)->item), 0);
    assert_true(mailbox_has_items(&mailbox));
    struct mailbox_item *item = mailbox_take(&mailbox);
    for (unsigned i = 0; i < 5; i++) {
        struct letter *letter = (struct letter *)item;
        assert_int_equal(letter->number, i);
        item = item->next;
        free(letter);
    }
    assert_null(item);
    assert_false(mailbox_has_items(&mailbox));
    assert_null(mailbox_close(&mailbox));
    mailbox_destroy(&mailbox);
}

static void a_burst_wakes_a_resting_reader_once_and_a_busy_one_never(void **state)
{
    (void)state;
    struct mailbox mailbox;
    struct letter letters[4] = {0};
    open_mailbox(&mailbox);
    assert_int_equal(mailbox_post(&mailbox, &letters[0].item), 0);
    assert_int_equal(mailbox_post(&mailbox, &letters[1].item), 0);
    assert_int_equal(atomic_load(&wakes), 1);
    assert_non_null(mailbox_take(&mailbox));
    assert_int_equal(mailbox_post(&mailbox, &letters[2].item), 0);
    assert_int_equal(atomic_load(&wakes), 1);
    assert_false(mailbox_rest(&mailbox));
    assert_ptr_equal(mailbox_take(&mailbox), &letters[2].item);
    assert_true(mailbox_rest(&mailbox));
    assert_int_equal(mailbox_post(&mailbox, &letters[3].item), 0);
    assert_int_equal(atomic_load(&wakes), 2);
    assert_ptr_equal(mailbox_close(&mailbox), &letters[3].item);
    mailbox_destroy(&mailbox);
}

static void a_reader_that_has_risen_is_not_woken(void **state)
{
    (void)state;
    struct mailbox mailbox;
    struct letter letter = {0};
    open_mailbox(&mailbox);
    assert_true(mailbox_rest(&mailbox));
    mailbox_rise(&mailbox);
    mailbox_wake(&mailbox);
    assert_int_equal(mailbox_post(&mailbox, &letter.item), 0);
    assert_int_equal(atomic_load(&wakes), 0);
    assert_ptr_equal(mailbox_take(&mailbox), &letter.item);
    assert_true(mailbox_rest(&mailbox));
    mailbox_wake(&mailbox);
    assert_int_equal(atomic_load(&wakes), 1);
    assert_null(mailbox_close(&mailbox));
    assert_true(mailbox_rest(&mailbox));
    mailbox_wake(&mailbox);
    assert_int_equal(atomic_load(&wakes), 1);
    mailbox_destroy(&mailbox);
}

static void a_closed_mailbox_takes_nothing_and_wakes_nobody(void **state)
{
    (void)state;
    struct mailbox mailbox;
    struct letter letter = {0};
    atomic_store(&wakes, 0);
    mailbox_init(&mailbox, wake, NULL);
    assert_int_equal(mailbox_post(&mailbox, &letter.item), SEALMQ_E_CLOSED);
    mailbox_open(&mailbox);
    assert_null(mailbox_close(&mailbox));
    assert_int_equal(mailbox_post(&mailbox, &letter.item), SEALMQ_E_CLOSED);
    assert_null(mailbox_take(&mailbox));
    assert_int_equal(atomic_load(&wakes), 0);
    mailbox_destroy(&mailbox);
}

enum { SENDERS = 4, LETTERS = 20000 };

struct sender {
    struct mailbox *mailbox;
    unsigned index;
    unsigned refused;
};

static void *send_all(void *argument)
{
    struct sender *sender = argument;
    for (unsigned i = 0; i < LETTERS; i++) {
        struct letter *letter = letter_new(sender->index, i);
        if (mailbox_post(sender->mailbox, &letter->item) != 0) {
            sender->refused++;
            free(letter);
        }
    }
    return NULL;
}

/* Counts the letters of a list, checking each sender's order. */
static unsigned receive(struct mailbox_item *item, unsigned next[SENDERS])
{
    unsigned count = 0;
    while (item != NULL) {
        struct letter *letter = (struct letter *)item;
        item = item->next;
        assert_int_equal(letter->number, next[letter->sender]);
        next[letter->sender]++;
        count++;
        free(letter);
    }
    return count;
}

static void many_threads_lose_nothing_and_keep_their_order(void **state)
{
    (void)state;
    struct mailbox mailbox;
    pthread_t threads[SENDERS];
    struct sender senders[SENDERS];
    unsigned next[SENDERS] = {0}, received = 0;
    open_mailbox(&mailbox);
    for (unsigned i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){&mailbox, i, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, send_all, &senders[i]), 0);
    }
    while (received < SENDERS * LETTERS) {
        received += receive(mailbox_take(&mailbox), next);
        sched_yield();
    }
    for (unsigned i = 0; i < SENDERS; i++)
        pthread_join(threads[i], NULL);
    assert_null(mailbox_close(&mailbox));
    assert_true(atomic_load(&wakes) >= 1);
    mailbox_destroy(&mailbox);
}

static void closing_under_fire_loses_only_what_it_refuses(void **state)
{
    (void)state;
    struct mailbox mailbox;
    pthread_t threads[SENDERS];
    struct sender senders[SENDERS];
    unsigned next[SENDERS] = {0}, received = 0, refused = 0;
    open_mailbox(&mailbox);
    for (unsigned i = 0; i < SENDERS; i++) {
        senders[i] = (struct sender){&mailbox, i, 0};
        assert_int_equal(pthread_create(&threads[i], NULL, send_all, &senders[i]), 0);
    }
    while (received < LETTERS / 10)
        received += receive(mailbox_take(&mailbox), next);
    received += receive(mailbox_close(&mailbox), next);
    unsigned woken = atomic_load(&wakes);
    for (unsigned i = 0; i < SENDERS; i++) {
        pthread_join(threads[i], NULL);
        refused += senders[i].refused;
    }
    assert_int_equal(received + refused, SENDERS * LETTERS);
    assert_int_equal(atomic_load(&wakes), woken);
    mailbox_destroy(&mailbox);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(items_come_out_in_the_order_of_posting),
        cmocka_unit_test(a_burst_wakes_a_resting_reader_once_and_a_busy_one_never),
        cmocka_unit_test(a_reader_that_has_risen_is_not_woken),
        cmocka_unit_test(a_closed_mailbox_takes_nothing_and_wakes_nobody),
        cmocka_unit_test(many_threads_lose_nothing_and_keep_their_order),
        cmocka_unit_test(closing_under_fire_loses_only_what_it_refuses),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
