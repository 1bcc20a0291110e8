/* What /healthz says of a server that is not well: the parts, the program's own words, and workers
 * that do not answer. */
#include "monitor/monitor.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <arpa/inet.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* --- a server for nobody, and its monitor --------------------------------------------------- */

static void refuse(void *worker_context, const struct broker_auth_request *request)
{
    (void)worker_context;
    (void)request;
}

static bool deny(void *worker_context, const struct broker_subject *subject,
                 enum broker_access access, struct bytes topic)
{
    (void)worker_context;
    (void)subject;
    (void)access;
    (void)topic;
    return false;
}

struct rig {
    struct net_server *server;
    struct health health;
    struct health_part *storage, *history;
    struct monitor *monitor;
    _Atomic(const char *) trouble; /* the program's own, or NULL */
    sem_t is_held, may_go_on;
};

static void append_trouble(void *context, struct buf *out)
{
    struct rig *rig = context;
    if (rig->trouble != NULL)
        buf_append_cstr(out, rig->trouble);
}

static int setup(void **state)
{
    struct rig *rig = calloc(1, sizeof *rig);
    char why[256];
    assert_non_null(rig);
    sem_init(&rig->is_held, 0, 0);
    sem_init(&rig->may_go_on, 0, 0);
    const struct net_listener listener = {.address = "127.0.0.1"};
    struct net_server_options options = {
        .workers = 2,
        .is_spread = true, /* a worker that is held up holds up no other */
        .listeners = &listener,
        .listener_count = 1,
        .app = {.authenticate = refuse, .authorize = deny},
    };
    broker_limits_default(&options.limits);
    assert_int_equal(net_server_new(&options, &rig->server, why, sizeof why), 0);
    rig->storage = health_add(&rig->health, "storage");
    rig->history = health_add(&rig->health, "history");
    const struct monitor_options watch = {
        .address = "127.0.0.1",
        .version = "1",
        .server = rig->server,
        .health = &rig->health,
        .context = rig,
        .append_troubles = append_trouble,
    };
    assert_int_equal(monitor_new(&watch, &rig->monitor, why, sizeof why), 0);
    assert_int_equal(net_server_start(rig->server), 0);
    assert_int_equal(monitor_start(rig->monitor), 0);
    *state = rig;
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;
    monitor_free(rig->monitor);
    net_server_free(rig->server);
    sem_destroy(&rig->is_held);
    sem_destroy(&rig->may_go_on);
    free(rig);
    return 0;
}

/* Asks for /healthz: it must be answered with the status, and the body. */
static void assert_healthz(const struct rig *rig, int status, const char *body)
{
    static const char request[] = "GET /healthz HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    struct sockaddr_in address = {
        .sin_family = AF_INET,
        .sin_port = htons(monitor_port(rig->monitor)),
        .sin_addr.s_addr = htonl(INADDR_LOOPBACK),
    };
    char got[4096], first[32];
    size_t n = 0;
    ssize_t more;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, (const struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(write(fd, request, sizeof request - 1), sizeof request - 1);
    while (n < sizeof got - 1 && (more = read(fd, got + n, sizeof got - 1 - n)) > 0)
        n += (size_t)more;
    got[n] = '\0';
    close(fd);
    snprintf(first, sizeof first, "HTTP/1.1 %d ", status);
    const char *end = strstr(got, "\r\n\r\n");
    if (strncmp(got, first, strlen(first)) != 0 || end == NULL || strcmp(end + 4, body) != 0)
        fail_msg("not %d with \"%s\" but: %s", status, body, got);
}

/* --- the cases ------------------------------------------------------------------------------- */

static void each_part_in_trouble_is_named_until_it_is_over(void **state)
{
    struct rig *rig = *state;
    assert_healthz(rig, 200, "ok\n");
    health_set(rig->history, "cannot be written");
    assert_healthz(rig, 503, "history: cannot be written\n");
    health_set(rig->storage, "is full");
    assert_healthz(rig, 503, "storage: is full\nhistory: cannot be written\n");
    health_set(rig->history, NULL);
    assert_healthz(rig, 503, "storage: is full\n");
    health_set(rig->storage, NULL);
    assert_healthz(rig, 200, "ok\n");
}

static void the_programs_own_troubles_count(void **state)
{
    struct rig *rig = *state;
    rig->trouble = "chain: no quorum\n";
    assert_healthz(rig, 503, "chain: no quorum\n");
    rig->trouble = NULL;
    assert_healthz(rig, 200, "ok\n");
}

static void hold(void *worker_context, void *argument)
{
    struct rig *rig = argument;
    (void)worker_context;
    sem_post(&rig->is_held);
    sem_wait(&rig->may_go_on);
}

static void a_worker_that_does_not_answer_is_named(void **state)
{
    struct rig *rig = *state;
    assert_int_equal(net_worker_post(net_server_worker(rig->server, 1), hold, rig), 0);
    sem_wait(&rig->is_held);
    assert_healthz(rig, 503, "worker 1: no answer for 1000 ms\n");
    sem_post(&rig->may_go_on);
    assert_healthz(rig, 200, "ok\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
#define WITH_A_SERVER(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
        WITH_A_SERVER(each_part_in_trouble_is_named_until_it_is_over),
        WITH_A_SERVER(the_programs_own_troubles_count),
        WITH_A_SERVER(a_worker_that_does_not_answer_is_named),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
