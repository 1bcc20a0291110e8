/* Updates on their way to the disk: durable in order, sent after that, and kept when the disk says
 * no. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "edge/journal.h"
#include "store/outbox.h"
#include "unit/store/folder.h"

#include <signal.h>
#include <stdio.h>
#include <sys/resource.h>

static struct journal *open_journal(void **state)
{
    struct journal *journal = NULL;
    char why[256] = "";
    if (journal_open(folder_path(state, "gateway.db"), "me", &journal, why, sizeof why) != 0)
        fail_msg("%s", why);
    return journal;
}

static void add(struct journal *journal, uint64_t key, struct bytes value, const char *topic)
{
    const struct gateway_write write = {.table = GATEWAY_TABLE_BATCH, .key = key, .value = value};
    const struct gateway_message message = {.topic = bytes_str(topic), .payload = value};
    const struct gateway_update update = {
        .writes = &write,
        .write_count = 1,
        .messages = &message,
        .message_count = topic[0] != '\0',
    };
    assert_int_equal(journal_add(journal, &update), 0);
}

static char sent[256];

static void on_send(void *context, const struct gateway_message *message)
{
    size_t n = strlen(sent);
    assert_ptr_equal(context, sent);
    assert_int_equal(message->topic.p[message->topic.n], '\0');
    snprintf(sent + n, sizeof sent - n, "%s=%.*s ", (const char *)message->topic.p,
             (int)message->payload.n, (const char *)message->payload.p);
}

static const char *sent_now(struct journal *journal)
{
    sent[0] = '\0';
    journal_send(journal, on_send, sent);
    return sent;
}

static int64_t entries(void **state)
{
    return ask_sql(folder_path(state, "gateway.db"), "SELECT count(*) FROM entries");
}

static void messages_leave_after_their_writes_are_durable(void **state)
{
    struct journal *journal = open_journal(state);
    add(journal, 1, BYTES_LIT("one"), "t/1");
    add(journal, 2, BYTES_LIT("two"), "t/2");
    assert_true(journal_has_writes(journal));
    assert_string_equal(sent_now(journal), "");
    assert_int_equal(journal_commit(journal), 0);
    assert_false(journal_has_writes(journal));
    add(journal, 3, BYTES_LIT("three"), "t/3");
    assert_string_equal(sent_now(journal), "t/1=one t/2=two ");
    assert_string_equal(sent_now(journal), "");
    assert_int_equal(journal_commit(journal), 0);
    assert_string_equal(sent_now(journal), "t/3=three ");
    journal_close(journal);
    assert_int_equal(entries(state), 3);
}

static void the_last_write_of_a_key_counts(void **state)
{
    struct journal *journal = open_journal(state);
    const struct gateway_write writes[] = {
        {.table = GATEWAY_TABLE_BATCH, .key = 1, .value = BYTES_LIT("a")},
        {.table = GATEWAY_TABLE_BATCH, .key = 2, .value = BYTES_LIT("b")},
        {.table = GATEWAY_TABLE_BATCH, .key = 1, .remove = true},
        {.table = GATEWAY_TABLE_BATCH, .key = 2, .value = BYTES_LIT("c")},
        {.table = GATEWAY_TABLE_BATCH, .key = 9, .remove = true},
    };
    const struct gateway_update update = {.writes = writes, .write_count = 5};
    assert_int_equal(journal_add(journal, &update), 0);
    assert_int_equal(journal_commit(journal), 0);
    journal_close(journal);
    assert_int_equal(entries(state), 1);
    assert_int_equal(ask_sql(folder_path(state, "gateway.db"),
                             "SELECT count(*) FROM entries WHERE key = 2 AND value = x'63'"),
                     1);
}

static void an_update_without_anything_is_nothing(void **state)
{
    struct journal *journal = open_journal(state);
    const struct gateway_update update = {.writes = NULL};
    assert_int_equal(journal_add(journal, &update), 0);
    assert_false(journal_has_writes(journal));
    assert_int_equal(journal_commit(journal), 0);
    journal_close(journal);
}

static void messages_of_a_connection_that_has_gone_can_be_forgotten(void **state)
{
    struct journal *journal = open_journal(state);
    add(journal, 1, BYTES_LIT("one"), "t/1");
    journal_forget_messages(journal);
    add(journal, 2, BYTES_LIT("two"), "t/2");
    assert_int_equal(journal_commit(journal), 0);
    assert_string_equal(sent_now(journal), "t/2=two ");
    journal_close(journal);
    assert_int_equal(entries(state), 2);
}

static void what_is_not_committed_is_not_there(void **state)
{
    struct journal *journal = open_journal(state);
    add(journal, 1, BYTES_LIT("one"), "");
    assert_int_equal(journal_commit(journal), 0);
    add(journal, 2, BYTES_LIT("two"), "");
    journal_close(journal);
    assert_int_equal(entries(state), 1);
}

/* A disk that is full, played by the limit on the size of files. */
static void a_full_disk_keeps_everything_waiting(void **state)
{
    struct journal *journal = open_journal(state);
    struct rlimit before, limit;
    static uint8_t large[300000];
    add(journal, 1, BYTES_LIT("one"), "t/1");
    assert_int_equal(journal_commit(journal), 0);
    (void)sent_now(journal);

    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = before;
    limit.rlim_cur = 65536;
    add(journal, 2, BYTES_LIT("two"), "t/2");
    add(journal, 3, bytes_of(large, sizeof large), "");
    add(journal, 4, BYTES_LIT("four"), "t/4");
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    for (int i = 0; i < 3; i++) {
        int error = journal_commit(journal);
        if (error != SEALMQ_E_FULL && error != SEALMQ_E_IO) {
            (void)setrlimit(RLIMIT_FSIZE, &before);
            fail_msg("%s", sealmq_error_text(error));
        }
        assert_true(journal_has_writes(journal));
        assert_string_equal(sent_now(journal), "");
    }
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(journal_commit(journal), 0);
    assert_string_equal(sent_now(journal), "t/2=two t/4=four ");
    journal_close(journal);
    assert_int_equal(entries(state), 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define IN_A_FOLDER(test) cmocka_unit_test_setup_teardown(test, folder_setup, folder_teardown)
        IN_A_FOLDER(messages_leave_after_their_writes_are_durable),
        IN_A_FOLDER(the_last_write_of_a_key_counts),
        IN_A_FOLDER(an_update_without_anything_is_nothing),
        IN_A_FOLDER(messages_of_a_connection_that_has_gone_can_be_forgotten),
        IN_A_FOLDER(what_is_not_committed_is_not_there),
        IN_A_FOLDER(a_full_disk_keeps_everything_waiting),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
