#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "plant.h"

#include "node/historian.h"
#include "store/history.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>

#define WORKERS 2

/* A server without clients, whose workers take the answers. */
struct office {
    struct net_server *server;
    struct historian *historian;
    pthread_mutex_t lock;
    pthread_cond_t news;
    size_t answered;
    int errors[1000]; /* by capture number */
    bool is_on_its_worker[1000];
    struct hash recorded[1000];
};

/* done() has no other way to know where the answers go. */
static struct office *office;

static void allow_none(void *context, const struct broker_auth_request *request)
{
    (void)context;
    (void)request;
}

static bool deny(void *context, const struct broker_subject *subject, enum broker_access access,
                 struct bytes topic)
{
    (void)context;
    (void)subject;
    (void)access;
    (void)topic;
    return false;
}

static int remember_worker(void *context, struct net_worker *worker, void **worker_context)
{
    (void)context;
    *worker_context = worker;
    return 0;
}

static void done(void *worker_context, struct historian_job *job)
{
    uint64_t n = job->report.head.n;
    assert_true(n < 1000);
    pthread_mutex_lock(&office->lock);
    office->errors[n] = job->error;
    office->is_on_its_worker[n] = worker_context == job->worker;
    office->recorded[n] = job->recorded;
    office->answered++;
    pthread_cond_signal(&office->news);
    pthread_mutex_unlock(&office->lock);
    historian_job_free(job);
}

static void open_historian(void **state)
{
    char why[512];
    assert_int_equal(
        historian_new(
            &(struct historian_options){.path = folder_path(state, "history.db"), .done = done},
            &office->historian, why, sizeof why),
        0);
}

static int setup(void **state)
{
    if (folder_setup(state) != 0)
        return -1;
    office = calloc(1, sizeof *office);
    assert_non_null(office);
    pthread_mutex_init(&office->lock, NULL);
    pthread_cond_init(&office->news, NULL);
    const struct net_listener listener = {.address = "127.0.0.1", .port = 0};
    struct net_server_options options = {
        .workers = WORKERS,
        .listeners = &listener,
        .listener_count = 1,
        .app = {.context = office,
                .worker_start = remember_worker,
                .authenticate = allow_none,
                .authorize = deny},
    };
    char why[256];
    broker_limits_default(&options.limits);
    assert_int_equal(net_server_new(&options, &office->server, why, sizeof why), 0);
    assert_int_equal(net_server_start(office->server), 0);
    open_historian(state);
    return 0;
}

static int teardown(void **state)
{
    net_server_stop(office->server, 100);
    historian_free(office->historian);
    net_server_free(office->server);
    pthread_cond_destroy(&office->news);
    pthread_mutex_destroy(&office->lock);
    free(office);
    return folder_teardown(state);
}

static void wait_for(size_t count)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += 60;
    pthread_mutex_lock(&office->lock);
    while (office->answered < count)
        assert_int_equal(pthread_cond_timedwait(&office->news, &office->lock, &until), 0);
    pthread_mutex_unlock(&office->lock);
}

/* A report of one row with this number and value. */
static struct historian_job *job_of(uint64_t n, const char *value)
{
    const struct row row = {
        .device = BYTES_LIT("D1"),
        .service = BYTES_LIT("CS"),
        .name = BYTES_LIT("temperature"),
        .unit = BYTES_LIT("C"),
        .value = bytes_str(value),
        .type = DATATYPE_STRING,
        .time_us = 1000000,
    };
    struct device_report report = {
        .head = {.gateway = BYTES_LIT("plant-a/gw1"), .topic = BYTES_LIT("x"), .n = n, .rows = 1},
        .account = BYTES_LIT("account"),
        .rows = &row,
        .json = BYTES_LIT("{}"),
    };
    struct historian_job *job;
    assert_int_equal(report_hash_of(&report.head, report.rows, &report.hash), 0);
    assert_int_equal(historian_job_new(&report, &job), 0);
    job->worker = net_server_worker(office->server, (unsigned)(n % WORKERS));
    return job;
}

static void submit(uint64_t n, const char *value)
{
    assert_int_equal(historian_submit(office->historian, job_of(n, value)), 0);
}

static void a_job_holds_a_copy_of_its_own(void **state)
{
    (void)state;
    char device[] = "D1", value[] = "some value", json[] = "{}";
    const struct row rows[2] = {
        {.device = bytes_str(device), .value = bytes_str(value), .type = DATATYPE_STRING},
        {.device = bytes_str(device), .value = {0}, .type = DATATYPE_STRING},
    };
    const struct device_report report = {
        .head = {.gateway = BYTES_LIT("plant-a/gw1"), .n = 7, .rows = 2},
        .rows = rows,
        .json = bytes_str(json),
    };
    struct historian_job *job;
    assert_int_equal(historian_job_new(&report, &job), 0);
    memset(device, 'x', 2);
    memset(value, 'x', 10);
    memset(json, 'x', 2);
    assert_true(bytes_equal(job->report.rows[0].device, BYTES_LIT("D1")));
    assert_true(bytes_equal(job->report.rows[0].value, BYTES_LIT("some value")));
    assert_int_equal(job->report.rows[1].value.n, 0);
    assert_true(bytes_equal(job->report.json, BYTES_LIT("{}")));
    assert_int_equal(job->report.head.topic.n, 0);
    historian_job_free(job);
}

static void every_report_is_stored_and_answered_on_its_worker(void **state)
{
    for (uint64_t n = 1; n < 1000; n++)
        submit(n, "v");
    wait_for(999);
    for (uint64_t n = 1; n < 1000; n++) {
        assert_int_equal(office->errors[n], 0);
        assert_true(office->is_on_its_worker[n]);
    }
    struct historian_stats stats;
    historian_stats_get(office->historian, &stats);
    assert_int_equal(stats.reports, 999);
    assert_int_equal(stats.rows, 999);
    assert_int_equal(stats.waiting, 0);
    assert_int_equal(stats.failures_total, 0);
    assert_true(stats.batches_total >= 1 && stats.batches_total <= 999);
    struct history *history;
    char why[256];
    uint64_t reports, rows;
    assert_int_equal(
        history_open(folder_path(state, "history.db"), HISTORY_READ, &history, why, sizeof why), 0);
    assert_int_equal(history_totals(history, &reports, &rows), 0);
    assert_int_equal(reports, 999);
    history_close(history);
}

static void the_same_again_is_told_from_another(void **state)
{
    (void)state;
    submit(1, "first");
    wait_for(1);
    submit(1, "first");
    wait_for(2);
    assert_int_equal(office->errors[1], SEALMQ_E_EXISTS);
    struct historian_job *job = job_of(1, "first");
    struct hash first = job->report.hash;
    historian_job_free(job);
    submit(1, "second");
    wait_for(3);
    assert_int_equal(office->errors[1], SEALMQ_E_CONFLICT);
    assert_true(hash_equal(&office->recorded[1], &first));
    struct historian_stats stats;
    historian_stats_get(office->historian, &stats);
    assert_int_equal(stats.reports, 1);
    assert_int_equal(stats.conflicts_total, 1);
}

static void what_waits_is_stored_before_the_end_and_answers_to_nobody_are_dropped(void **state)
{
    for (uint64_t n = 1; n <= 250; n++)
        submit(n, "v");
    net_server_stop(office->server, 0);
    size_t answered = office->answered;
    for (uint64_t n = 251; n <= 500; n++)
        submit(n, "v");
    historian_free(office->historian);
    assert_true(answered <= 250);
    assert_int_equal(office->answered, answered);
    open_historian(state);
    struct historian_stats stats;
    historian_stats_get(office->historian, &stats);
    assert_int_equal(stats.reports, 500);
}

static void a_queue_that_is_full_refuses(void **state)
{
    (void)state;
    /* More than fits, before any of it can be stored. */
    char *value = malloc(VALUE_MAX_BYTES);
    assert_non_null(value);
    memset(value, 'v', VALUE_MAX_BYTES - 1);
    value[VALUE_MAX_BYTES - 1] = '\0';
    struct historian_job *job = job_of(1, value);
    job->size_bytes = HISTORIAN_BYTES_MAX + 1;
    assert_int_equal(historian_submit(office->historian, job), SEALMQ_E_BUSY);
    historian_job_free(job);
    submit(2, value);
    wait_for(1);
    assert_int_equal(office->errors[2], 0);
    free(value);
}

static void set_file_limit(rlim_t bytes)
{
    struct rlimit limit;
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = bytes;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

static void a_full_disk_refuses_reports_until_there_is_room(void **state)
{
    (void)state;
    submit(1, "v");
    wait_for(1);
    set_file_limit(1);
    submit(2, "v");
    wait_for(2);
    set_file_limit(RLIM_INFINITY);
    assert_true(office->errors[2] == SEALMQ_E_FULL || office->errors[2] == SEALMQ_E_IO);
    submit(2, "v");
    wait_for(3);
    assert_int_equal(office->errors[2], 0);
    struct historian_stats stats;
    historian_stats_get(office->historian, &stats);
    assert_int_equal(stats.reports, 2);
    assert_int_equal(stats.failures_total, 1);
}

static void a_file_that_is_no_history_is_named(void **state)
{
    char why[512], path[512];
    struct historian *historian;
    snprintf(path, sizeof path, "%s", folder_path(state, "other.db"));
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    for (int i = 0; i < 1000; i++)
        fputs("garbage ", file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(historian_new(&(struct historian_options){.path = path, .done = done},
                                   &historian, why, sizeof why),
                     SEALMQ_E_CORRUPT);
    assert_non_null(strstr(why, "other.db"));
}

int main(void)
{
    signal(SIGXFSZ, SIG_IGN);
#define WITH_OFFICE(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        WITH_OFFICE(a_job_holds_a_copy_of_its_own),
        WITH_OFFICE(every_report_is_stored_and_answered_on_its_worker),
        WITH_OFFICE(the_same_again_is_told_from_another),
        WITH_OFFICE(what_waits_is_stored_before_the_end_and_answers_to_nobody_are_dropped),
        WITH_OFFICE(a_queue_that_is_full_refuses),
        WITH_OFFICE(a_full_disk_refuses_reports_until_there_is_room),
        WITH_OFFICE(a_file_that_is_no_history_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
