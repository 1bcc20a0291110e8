/* Threads that run each other's loops, and what is on its way between workers meanwhile. */
#include "served.h"

#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>

/* The worker finds its socket readable (since before the SUBACK) and its mailbox full in the same
 * turn, the socket first: it must take in the mailbox before what it reads. */
static void a_suback_holds_for_a_worker_that_is_busy_at_that_moment(void **state)
{
    (void)state;
    static const struct net_listener listener = {.address = "127.0.0.1"};
    struct net_server_options options = options_of(&listener, 1);
    options.is_spread = true; /* a thread that is held cannot run the other's loop */
    struct net_server *server = serve(&options);
    char id[32];
    int fd[2];
    uint8_t value;
    for (unsigned i = 0; i < 2; i++) {
        id_for(i, 2, id, sizeof(id));
        fd[i] = dial_in(server, id);
    }
    strcat(id, "-holds");
    while (broker_shard_of(bytes_str(id), 2) != 1)
        strcat(id, "+");
    int holder = dial_in(server, id);
    for (unsigned round = 0; round < 20; round++) {
        char topic[32];
        struct mqtt_packet ping = {.type = MQTT_PINGREQ};
        snprintf(topic, sizeof(topic), "t/%u", round);
        atomic_store(&hold, 0);
        publish(holder, "hold", 0);
        while (atomic_load(&hold) != 1)
            usleep(1000);
        say(fd[1], &ping);
        subscribe(fd[0], topic);
        publish(fd[1], topic, (uint8_t)round);
        atomic_store(&hold, 2);
        assert_int_equal(hear(fd[0], &value), MQTT_PUBLISH);
        assert_int_equal(value, (uint8_t)round);
        assert_int_equal(hear(fd[1], &value), MQTT_PINGRESP);
    }
    close(holder);
    close(fd[0]);
    close(fd[1]);
    net_server_free(server);
}

static void join(void *worker_context, void *arg)
{
    (void)worker_context;
    struct net_worker *worker = arg;
    if (crew_is_runner(worker) && !worker->crew.is_asked)
        crew_ask(worker);
}

static void part(void *worker_context, void *arg)
{
    (void)worker_context;
    struct net_worker *worker = arg;
    if (!crew_is_runner(worker))
        crew_want_release(worker);
}

/* Each way, while the second worker's loop goes from thread to thread. */
static void threads_may_change_at_any_time(void **state)
{
    (void)state;
    struct net_server *server = serve_loopback();
    struct net_worker *first = net_server_worker(server, 0);
    struct net_worker *second = net_server_worker(server, 1);
    char id[32];
    int fd[2];
    uint8_t value;
    for (unsigned i = 0; i < 2; i++) {
        id_for(i, 2, id, sizeof(id));
        fd[i] = dial_in(server, id);
        subscribe(fd[i], i == 0 ? "a" : "b");
    }
    for (unsigned round = 0; round < 3000; round++) {
        if (round % 7 == 0)
            assert_int_equal(net_worker_post(first, round % 2 == 0 ? join : part, second), 0);
        publish(fd[1], "a", (uint8_t)round);
        publish(fd[0], "b", (uint8_t)(round + 1));
        assert_int_equal(hear(fd[0], &value), MQTT_PUBLISH);
        assert_int_equal(value, (uint8_t)round);
        assert_int_equal(hear(fd[1], &value), MQTT_PUBLISH);
        assert_int_equal(value, (uint8_t)(round + 1));
    }
    /* New connections and the end of the server find it in either state. */
    id_for(1, 2, id, sizeof(id));
    close(fd[1]);
    fd[1] = dial_in(server, id);
    close(fd[0]);
    close(fd[1]);
    net_server_free(server);
}

static struct net_server *serve_spread(unsigned workers, const char *state_folder)
{
    static const struct net_listener listener = {.address = "127.0.0.1"};
    struct net_server_options options = options_of(&listener, 1);
    options.workers = workers;
    options.is_spread = true; /* loops move when the test says so */
    options.state_folder = state_folder;
    return serve(&options);
}

static void wait_until_crew(struct net_worker *a, struct net_worker *b, bool is_same)
{
    while (crew_is_same(a, b) != is_same)
        usleep(1000);
}

static void wait_for_items(struct net_worker *worker)
{
    while (!mailbox_has_items(&worker->mailbox))
        usleep(1000);
}

static void hold_worker(int holder)
{
    atomic_store(&hold, 0);
    publish(holder, "hold", 0);
    while (atomic_load(&hold) != 1)
        usleep(1000);
}

/* While the first two are one and busy, the third posts to the second, and then becomes part of
 * them with more to read. */
static void a_loop_that_is_adopted_overtakes_nothing(void **state)
{
    (void)state;
    struct net_server *server = serve_spread(3, NULL);
    struct net_worker *worker[3];
    char id[32];
    int fd[3];
    uint8_t value;
    for (unsigned i = 0; i < 3; i++) {
        worker[i] = net_server_worker(server, i);
        id_for(i, 3, id, sizeof id);
        fd[i] = dial_in(server, id);
    }
    subscribe(fd[1], "t");
    assert_int_equal(net_worker_post(worker[0], join, worker[1]), 0);
    wait_until_crew(worker[0], worker[1], true);
    for (uint8_t round = 0; round < 10; round++) {
        hold_worker(fd[0]);
        publish(fd[2], "t", round);
        wait_for_items(worker[1]);
        crew_ask(worker[2]); /* as the first would, which is held */
        wait_for_items(worker[0]);
        publish(fd[2], "t", (uint8_t)(round + 100));
        atomic_store(&hold, 2);
        assert_int_equal(hear(fd[1], &value), MQTT_PUBLISH);
        assert_int_equal(value, round);
        assert_int_equal(hear(fd[1], &value), MQTT_PUBLISH);
        assert_int_equal(value, round + 100);
        assert_int_equal(net_worker_post(worker[0], part, worker[2]), 0);
        wait_until_crew(worker[0], worker[2], false);
    }
    for (unsigned i = 0; i < 3; i++)
        close(fd[i]);
    net_server_free(server);
}

/* --- at the end ---------------------------------------------------------------------------- */

static int dial_in_for_good(struct net_server *server, const char *id)
{
    struct buf props = {0};
    uint8_t reason = 0xff;
    mqtt_props_append_number(&props, MQTT_PROP_SESSION_EXPIRY, 3600);
    struct mqtt_packet packet = {
        .type = MQTT_CONNECT,
        .connect = {.version = MQTT_V5, .client_id = bytes_str(id), .props = {buf_bytes(&props)}}};
    int fd = dial(net_server_port(server, 0));
    say(fd, &packet);
    buf_close(&props);
    assert_int_equal(hear(fd, &reason), MQTT_CONNACK);
    assert_int_equal(reason, 0);
    return fd;
}

static void subscribe_for_good(int fd, const char *filter)
{
    struct buf filters = {0};
    uint8_t code = 0xff;
    buf_append_str16(&filters, bytes_str(filter));
    buf_append_u8(&filters, 1);
    struct mqtt_packet packet = {.type = MQTT_SUBSCRIBE,
                                 .subscribe = {.packet_id = 1, .filters = buf_bytes(&filters)}};
    say(fd, &packet);
    buf_close(&filters);
    assert_int_equal(hear(fd, &code), MQTT_SUBACK);
    assert_int_equal(code, 1);
}

static void *stop_server(void *server)
{
    net_server_stop(server, 5000);
    return NULL;
}

static int remove_entry(const char *path, const struct stat *status, int kind, struct FTW *where)
{
    (void)status, (void)kind, (void)where;
    return remove(path);
}

static void do_nothing(void *worker_context, void *arg)
{
    (void)worker_context, (void)arg;
}

/* The second worker has stopped when the first, which is held, routes what it had read before. */
static void what_comes_too_late_for_a_worker_is_there_after_a_restart(void **state)
{
    (void)state;
    char folder[] = "/tmp/sealmq-crew-XXXXXX", id[2][32];
    uint8_t value, payload = 'l';
    pthread_t stopping;
    assert_non_null(mkdtemp(folder));
    struct net_server *server = serve_spread(2, folder);
    for (unsigned i = 0; i < 2; i++)
        id_for(i, 2, id[i], sizeof id[i]);
    int receiver = dial_in_for_good(server, id[1]);
    subscribe_for_good(receiver, "t");
    close(receiver);
    int sender = dial_in(server, id[0]);
    struct mqtt_packet packets[] = {
        {.type = MQTT_PUBLISH, .publish = {.topic = BYTES_LIT("hold")}},
        {.type = MQTT_PUBLISH,
         .publish =
             {.topic = BYTES_LIT("t"), .qos = 1, .packet_id = 7, .payload = bytes_of(&payload, 1)}},
    };
    struct buf out = {0};
    mqtt_encode(&packets[0], MQTT_V5, &out);
    mqtt_encode(&packets[1], MQTT_V5, &out);
    atomic_store(&hold, 0);
    assert_int_equal(send(sender, out.p, out.n, MSG_NOSIGNAL), (ssize_t)out.n);
    buf_close(&out);
    while (atomic_load(&hold) != 1)
        usleep(1000);
    assert_int_equal(pthread_create(&stopping, NULL, stop_server, server), 0);
    while (net_worker_post(net_server_worker(server, 1), do_nothing, NULL) == 0)
        usleep(1000);
    atomic_store(&hold, 2);
    pthread_join(stopping, NULL);
    close(sender);
    net_server_free(server);

    server = serve_spread(2, folder);
    receiver = dial_in_for_good(server, id[1]);
    assert_int_equal(hear(receiver, &value), MQTT_PUBLISH);
    assert_int_equal(value, payload);
    close(receiver);
    net_server_free(server);
    nftw(folder, remove_entry, 8, FTW_DEPTH | FTW_PHYS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_suback_holds_for_a_worker_that_is_busy_at_that_moment),
        cmocka_unit_test(threads_may_change_at_any_time),
        cmocka_unit_test(a_loop_that_is_adopted_overtakes_nothing),
        cmocka_unit_test(what_comes_too_late_for_a_worker_is_there_after_a_restart),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
