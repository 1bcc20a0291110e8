#include "net/keeper.h"

#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#define AHEAD_S       86400
#define TOO_LONG_S    60 /* only when something hangs */
#define JOURNALS_MANY 3

static _Atomic int wall_clock_ahead_s;

/* In the place of the C library's, for the whole program: what is read from the wall clock may be
 * ahead of it, as if somebody had set it back right afterwards. */
int clock_gettime(clockid_t clock, struct timespec *out)
{
    int rc = (int)syscall(SYS_clock_gettime, clock, out);
    if (clock == CLOCK_REALTIME)
        out->tv_sec += wall_clock_ahead_s;
    return rc;
}

struct rig {
    char folder[64];
    struct broker *shard;
    struct keeper *keeper;
    _Atomic uint64_t retained_counter;
    sem_t stored;
};

static void on_stored(void *context, unsigned shard)
{
    struct rig *rig = context;
    assert_int_equal(shard, 0);
    sem_post(&rig->stored);
}

/* Nobody comes in this test. */
static void host_authenticate(void *context, const struct broker_auth_request *request)
{
    (void)context;
    (void)request;
}

static bool host_authorize(void *context, const struct broker_subject *subject,
                           enum broker_access access, struct bytes topic)
{
    (void)context;
    (void)subject;
    (void)access;
    (void)topic;
    return false;
}

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);
    assert_non_null(rig);
    snprintf(rig->folder, sizeof rig->folder, "/tmp/sealmq-keeper-XXXXXX");
    assert_non_null(mkdtemp(rig->folder));
    assert_int_equal(sem_init(&rig->stored, 0, 0), 0);
    struct broker_options options = {
        .durability = BROKER_DURABLE_LAZY,
        .host = {.authenticate = host_authenticate, .authorize = host_authorize},
        .shards = 1,
        .retained_counter = &rig->retained_counter,
        .seed = 7,
    };
    broker_limits_default(&options.limits);
    assert_int_equal(broker_new(&options, &rig->shard), 0);
    const struct keeper_options how = {
        .folder = rig->folder,
        .is_lazy = true,
        .shards = 1,
        .stored = on_stored,
        .context = rig,
    };
    char why[256];
    assert_int_equal(keeper_new(&how, &rig->keeper, why, sizeof why), 0);
    assert_int_equal(
        keeper_load(rig->keeper, &rig->shard, 0, &rig->retained_counter, why, sizeof why), 0);
    assert_int_equal(keeper_start(rig->keeper), 0);
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;
    char command[128];
    keeper_finish(rig->keeper, &rig->shard, 0);
    keeper_free(rig->keeper);
    broker_free(rig->shard);
    sem_destroy(&rig->stored);
    snprintf(command, sizeof command, "rm -rf '%s'", rig->folder);
    int rc = system(command);
    free(rig);
    return rc;
}

/* Makes something to be stored, and has it stored. */
static void store_something(struct rig *rig)
{
    struct broker_outgoing message = {
        .topic = bytes_str("a"), .payload = bytes_str("b"), .qos = 1, .retain = true};
    struct timespec until;
    assert_int_equal(broker_publish(rig->shard, &message, 0), 0);
    struct broker_journal *journal = broker_take_journal(rig->shard);
    assert_non_null(journal);
    keeper_submit(rig->keeper, 0, journal);
    clock_gettime(CLOCK_MONOTONIC, &until);
    until.tv_sec += TOO_LONG_S;
    if (sem_clockwait(&rig->stored, CLOCK_MONOTONIC, &until) != 0)
        fail_msg("what was submitted is not stored");
    journal = keeper_take_stored(rig->keeper, 0);
    assert_non_null(journal);
    broker_stored(rig->shard, journal, 0);
}

static void a_wall_clock_that_is_set_back_does_not_stall_a_lazy_keeper(void **state)
{
    struct rig *rig = *state;
    wall_clock_ahead_s = AHEAD_S;
    for (int i = 0; i < JOURNALS_MANY; i++)
        store_something(rig);
    wall_clock_ahead_s = 0;
    assert_int_equal(keeper_commits(rig->keeper), JOURNALS_MANY);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_wall_clock_that_is_set_back_does_not_stall_a_lazy_keeper,
                                        setup, teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
