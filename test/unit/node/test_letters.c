/* What waits for the agreement thread is bounded for each source, and the nodes' words go first. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "node/letters.h"

#include <stdio.h>
#include <stdlib.h>

static struct letters letters;

static int put(enum letter_kind kind, enum pbft_message_kind message, int peer, const char *client,
               size_t size)
{
    struct letter *letter = calloc(1, sizeof *letter + size);
    assert_non_null(letter);
    letter->kind = kind;
    letter->message = message;
    letter->peer = peer;
    letter->size = size;
    snprintf(letter->client, sizeof letter->client, "%s", client);
    int error = letters_put(&letters, letter);
    if (error != 0)
        free(letter);
    return error;
}

static int put_request(const char *client, size_t size)
{
    return put(LETTER_REQUEST, PBFT_MSG_REQUEST, -1, client, size);
}

static size_t put_while_taken(enum letter_kind kind, enum pbft_message_kind message, int peer,
                              const char *client, size_t size)
{
    size_t n = 0;
    while (put(kind, message, peer, client, size) == 0)
        n++;
    return n;
}

static void a_client_has_a_bound_of_its_own(void **state)
{
    (void)state;
    letters_init(&letters, 1);
    assert_int_equal(put_while_taken(LETTER_REQUEST, PBFT_MSG_REQUEST, -1, "greedy", 10),
                     LETTERS_CLIENT_ITEMS_MAX);
    assert_int_equal(put_request("modest", 10), 0);
    free(letters_take_client(&letters));
    assert_int_equal(put_request("greedy", 10), 0);
    assert_int_equal(put_request("greedy", 10), SEALMQ_E_BUSY);
    letters_close(&letters);
    assert_int_equal(put_request("large", LETTERS_CLIENT_BYTES_MAX), 0);
    assert_int_equal(put_request("large", 1), SEALMQ_E_BUSY);
    letters_close(&letters);
}

static void clients_together_leave_room_for_the_nodes(void **state)
{
    (void)state;
    char client[32];
    letters_init(&letters, 1);
    size_t taken = 0;
    for (int i = 0; i < 1000; i++) {
        snprintf(client, sizeof client, "client-%d", i);
        taken += put_while_taken(LETTER_REQUEST, PBFT_MSG_REQUEST, -1, client, 1);
    }
    assert_int_equal(taken, LETTERS_ITEMS_MAX / 2);
    assert_int_equal(put(LETTER_MESSAGE, PBFT_MSG_REQUEST, 0, "", 1), SEALMQ_E_BUSY);
    assert_int_equal(put(LETTER_MESSAGE, PBFT_MSG_PREPARE, 0, "", 1), 0);
    letters_close(&letters);
    assert_int_equal(letters.clients.all.items + letters.clients.all.bytes, 0);
}

static void one_node_leaves_room_for_the_others(void **state)
{
    (void)state;
    letters_init(&letters, 1);
    assert_int_equal(put_while_taken(LETTER_MESSAGE, PBFT_MSG_PREPARE, 2, "", 1),
                     LETTERS_ITEMS_MAX / 2);
    assert_int_equal(put(LETTER_MESSAGE, PBFT_MSG_PREPARE, 1, "", 1), 0);
    assert_int_equal(put_while_taken(LETTER_MESSAGE, PBFT_MSG_REQUEST, 2, "", 1),
                     LETTERS_ITEMS_MAX / 2 / LETTERS_PASSED_ON_SHARE);
    assert_int_equal(put(LETTER_MESSAGE, PBFT_MSG_REQUEST, 1, "", 1), 0);
    assert_int_equal(put_request("own", 1), 0);
    letters_close(&letters);
}

static void a_node_that_floods_waits_behind_itself(void **state)
{
    (void)state;
    assert_int_equal(put_while_taken(LETTER_MESSAGE, PBFT_MSG_PREPARE, 3, "", 100),
                     LETTERS_ITEMS_MAX / 2);
    for (int peer = 0; peer < 3; peer++)
        assert_int_equal(put(LETTER_MESSAGE, PBFT_MSG_PREPARE, peer, "", 1), 0);
    assert_int_equal(put(LETTER_MESSAGE, PBFT_MSG_PREPARE, -1, "", 1), 0);
    size_t flood = 0, others = 0;
    for (int i = 0; i < 10; i++) {
        struct letter *letter = letters_take_node(&letters);
        assert_non_null(letter);
        *(letter->peer == 3 ? &flood : &others) += 1;
        free(letter);
    }
    assert_int_equal(others, 4); /* within two rounds, all that the others said */
    assert_int_equal(flood, 6);
    letters_close(&letters);
    assert_int_equal(letters.all_said.items + letters.all_said.bytes, 0);
}

static void each_queue_keeps_its_order(void **state)
{
    (void)state;
    letters_init(&letters, 1);
    for (size_t size = 1; size <= 6; size++)
        assert_int_equal(
            put(LETTER_MESSAGE, size % 2 == 0 ? PBFT_MSG_REQUEST : PBFT_MSG_COMMIT, 0, "", size),
            0);
    for (size_t size = 1; size <= 5; size += 2) {
        struct letter *letter = letters_take_node(&letters);
        assert_int_equal(letter->size, size);
        free(letter);
    }
    assert_null(letters_take_node(&letters));
    for (size_t size = 2; size <= 6; size += 2) {
        struct letter *letter = letters_take_client(&letters);
        assert_int_equal(letter->size, size);
        free(letter);
    }
    assert_null(letters_take_client(&letters));
    letters_close(&letters);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_client_has_a_bound_of_its_own),
        cmocka_unit_test(clients_together_leave_room_for_the_nodes),
        cmocka_unit_test(one_node_leaves_room_for_the_others),
        cmocka_unit_test(a_node_that_floods_waits_behind_itself),
        cmocka_unit_test(each_queue_keeps_its_order),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
