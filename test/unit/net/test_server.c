#include "served.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>

#include <arpa/inet.h>

static void what_cannot_be_bound_is_named(void **state)
{
    (void)state;
    struct net_server *server = serve_loopback(), *second = NULL;
    char why[128], expected[64];
    struct net_listener listeners[2] = {
        {.address = "127.0.0.1"}, {.address = "127.0.0.1", .port = net_server_port(server, 0)}};
    struct net_server_options options = options_of(listeners, 2);
    assert_int_equal(net_server_new(&options, &second, why, sizeof(why)), SEALMQ_E_IO);
    assert_null(second);
    snprintf(expected, sizeof(expected), "127.0.0.1:%u: Address already in use", listeners[1].port);
    assert_string_equal(why, expected);
    listeners[1].address = "localhost";
    assert_int_equal(net_server_new(&options, &second, why, sizeof(why)), SEALMQ_E_ARG);
    assert_string_equal(why, "localhost: not a numeric address");
    options.listener_count = 0;
    assert_int_equal(net_server_new(&options, &second, why, sizeof(why)), SEALMQ_E_ARG);
    options = options_of(listeners, 1);
    options.workers = 65;
    assert_int_equal(net_server_new(&options, &second, why, sizeof(why)), SEALMQ_E_ARG);
    net_server_free(server);
}

static void a_server_that_never_started_can_be_freed(void **state)
{
    (void)state;
    struct net_listener listener = {.address = "127.0.0.1"};
    struct net_server_options options = options_of(&listener, 1);
    struct net_server *server = NULL;
    char why[128];
    assert_int_equal(net_server_new(&options, &server, why, sizeof(why)), 0);
    assert_int_not_equal(net_server_port(server, 0), 0);
    assert_int_equal(net_server_port(server, 1), 0);
    assert_int_equal(net_server_workers(server), 2);
    net_server_stop(server, 1000);
    net_server_free(server);
    net_server_free(NULL);
}

static void a_worker_that_cannot_start_is_an_error_of_the_server(void **state)
{
    (void)state;
    struct net_listener listener = {.address = "127.0.0.1"};
    struct net_server_options options = options_of(&listener, 1);
    struct net_server *server = NULL;
    atomic_uint starts = 0;
    char why[128];
    options.workers = 3;
    options.app.context = &starts;
    assert_int_equal(net_server_new(&options, &server, why, sizeof(why)), 0);
    assert_int_equal(net_server_start(server), SEALMQ_E_FULL);
    assert_int_equal(net_server_start(server), SEALMQ_E_EXISTS);
    net_server_free(server);
}

static void a_message_reaches_subscribers_on_other_workers(void **state)
{
    (void)state;
    struct net_server *server = serve_loopback();
    char id[2][32];
    int fd[2];
    uint8_t value;
    for (unsigned i = 0; i < 2; i++) {
        id_for(i, 2, id[i], sizeof(id[i]));
        assert_ptr_equal(net_server_owner(server, bytes_str(id[i])), net_server_worker(server, i));
        fd[i] = dial_in(server, id[i]);
    }
    /* Again and again with new topics: each SUBACK must mean that the other worker knows. */
    for (unsigned round = 0; round < 200; round++) {
        char topic[32];
        snprintf(topic, sizeof(topic), "t/%u", round);
        subscribe(fd[round % 2], topic);
        publish(fd[1 - round % 2], topic, (uint8_t)round);
        assert_int_equal(hear(fd[round % 2], &value), MQTT_PUBLISH);
        assert_int_equal(value, (uint8_t)round);
    }
    struct broker_stats stats;
    net_server_stats(server, &stats);
    assert_int_equal(stats.connections, 2);
    assert_int_equal(stats.publishes_in_total, 200);
    close(fd[0]);
    close(fd[1]);
    net_server_free(server);
}

static void a_connect_in_pieces_with_more_behind_it_loses_nothing(void **state)
{
    (void)state;
    struct net_server *server = serve_loopback();
    char id[2][32];
    for (unsigned worker = 0; worker < 2; worker++) {
        id_for(worker, 2, id[0], sizeof(id[0]));
        id_for(1 - worker, 2, id[1], sizeof(id[1]));
        int listener = dial_in(server, id[1]);
        subscribe(listener, "deep/#");
        struct mqtt_packet connect = {
            .type = MQTT_CONNECT,
            .connect = {.version = MQTT_V5, .clean_start = true, .client_id = bytes_str(id[0])}};
        struct mqtt_packet message = {
            .type = MQTT_PUBLISH,
            .publish = {.topic = BYTES_LIT("deep/x"), .payload = BYTES_LIT("!")}};
        struct buf out = {0};
        mqtt_encode(&connect, MQTT_V5, &out);
        mqtt_encode(&message, MQTT_V5, &out);
        int fd = dial(net_server_port(server, 0));
        for (size_t i = 0; i < out.n; i++) {
            assert_int_equal(send(fd, out.p + i, 1, MSG_NOSIGNAL), 1);
            if (i % 5 == 0)
                usleep(500);
        }
        uint8_t value;
        assert_int_equal(hear(listener, &value), MQTT_PUBLISH);
        assert_int_equal(value, '!');
        buf_close(&out);
        close(fd);
        close(listener);
    }
    net_server_free(server);
}

static void assert_closed_without_a_word(int fd)
{
    uint8_t byte;
    ssize_t n = recv(fd, &byte, 1, 0);
    assert_true(n == 0 || (n < 0 && errno == ECONNRESET));
    close(fd);
}

static void a_silent_or_endless_handshake_is_cut(void **state)
{
    (void)state;
    struct net_listener listener = {.address = "127.0.0.1"};
    struct net_server_options options = options_of(&listener, 1);
    options.limits.connect_timeout_ms = 300;
    struct net_server *server = serve(&options);
    uint16_t port = net_server_port(server, 0);

    int silent = dial(port), slow = dial(port), large = dial(port);
    assert_int_equal(send(slow, "\x10", 1, MSG_NOSIGNAL), 1);
    assert_int_equal(send(large, "\x10\xff\xff\x7f", 4, MSG_NOSIGNAL), 4); /* 2 MiB to come */
    assert_closed_without_a_word(large);
    assert_closed_without_a_word(silent);
    assert_closed_without_a_word(slow);

    close(dial_in(server, "others-are-not-disturbed"));
    net_server_free(server);
}

static void what_is_no_connect_is_refused_and_counted(void **state)
{
    (void)state;
    struct net_server *server = serve_loopback();
    int fd = dial(net_server_port(server, 0));
    assert_int_equal(send(fd, "GET / HTTP/1.1\r\n\r\n", 18, MSG_NOSIGNAL), 18);
    assert_closed_without_a_word(fd);
    struct broker_stats stats = {0};
    for (int i = 0; i < 1000 && stats.packets_malformed_total == 0; i++) {
        usleep(5000);
        net_server_stats(server, &stats);
    }
    assert_int_equal(stats.packets_malformed_total, 1);
    net_server_free(server);
}

static void connections_above_their_rate_wait(void **state)
{
    (void)state;
    struct net_listener listener = {.address = "127.0.0.1"};
    struct net_server_options options = options_of(&listener, 1);
    options.limits.accepts_per_second = 10;
    struct net_server *server = serve(&options);
    uint64_t start_ns = uv_hrtime();
    for (int i = 0; i < 15; i++)
        close(dial_in(server, "again"));
    /* Ten may come at once, the others not faster than the rate; and none is refused. */
    assert_true(uv_hrtime() - start_ns >= 400 * UINT64_C(1000000));
    struct broker_stats stats = {0};
    net_server_stats(server, &stats);
    assert_true(stats.accepts_paused_total > 0);
    net_server_free(server);
}

static void stopping_tells_clients_why(void **state)
{
    (void)state;
    struct net_server *server = serve_loopback();
    char id[32];
    int fd[2];
    for (unsigned i = 0; i < 2; i++) {
        id_for(i, 2, id, sizeof(id));
        fd[i] = dial_in(server, id);
    }
    int half = dial(net_server_port(server, 0)); /* in the middle of its handshake */
    net_server_stop(server, 2000);
    for (unsigned i = 0; i < 2; i++) {
        uint8_t reason = 0;
        assert_int_equal(hear(fd[i], &reason), MQTT_DISCONNECT);
        assert_int_equal(reason, MQTT_REASON_SERVER_SHUTTING_DOWN);
        assert_int_equal(hear(fd[i], &reason), 0);
        close(fd[i]);
    }
    close(half);
    net_server_stop(server, 2000); /* does nothing */
    net_server_free(server);
}

static uint64_t clock_ms(void)
{
    return uv_hrtime() / 1000000;
}

static void a_client_that_reads_nothing_holds_up_stopping_for_the_drain_time_at_most(void **state)
{
    (void)state;
    struct net_server *server = serve_loopback();
    int sink = dial_in(server, "sink"), source = dial_in(server, "source");
    static uint8_t large[200000];
    subscribe(sink, "big");
    struct mqtt_packet message = {
        .type = MQTT_PUBLISH,
        .publish = {.topic = BYTES_LIT("big"), .payload = bytes_of(large, sizeof(large))}};
    struct buf out = {0};
    mqtt_encode(&message, MQTT_V5, &out);
    for (int i = 0; i < 100; i++) { /* 20 MB, more than sockets buffer */
        for (size_t sent = 0; sent < out.n;) {
            ssize_t n = send(source, out.p + sent, out.n - sent, MSG_NOSIGNAL);
            assert_true(n > 0);
            sent += (size_t)n;
        }
    }
    buf_close(&out);
    uint64_t before = clock_ms();
    net_server_stop(server, 700);
    assert_true(clock_ms() - before < 5000);
    close(sink);
    close(source);
    net_server_free(server);
}

struct order {
    unsigned next;
    atomic_uint done;
    atomic_bool is_taking; /* loops change threads, but one at a time runs them */
};

struct step {
    struct order *order;
    unsigned number;
};

static void take_step(void *worker_context, void *arg)
{
    struct step *step = arg;
    struct order *order = step->order;
    struct net_worker **worker = worker_context;
    assert_ptr_equal(*worker, workers_of_context[1]);
    assert_false(atomic_exchange(&order->is_taking, true));
    assert_int_equal(step->number, order->next);
    order->next++;
    atomic_store(&order->is_taking, false);
    atomic_fetch_add(&order->done, 1);
    free(step);
}

static void posted_calls_run_on_the_worker_in_order_or_not_at_all(void **state)
{
    (void)state;
    struct net_server *server = serve_loopback();
    struct net_worker *worker = net_server_worker(server, 1);
    struct order order = {0};
    unsigned posted = 0;
    for (; posted < 10000; posted++) {
        struct step *step = malloc(sizeof(*step));
        *step = (struct step){&order, posted};
        assert_int_equal(net_worker_post(worker, take_step, step), 0);
    }
    net_server_stop(server, 100);
    assert_int_equal(atomic_load(&order.done), posted);
    assert_int_equal(net_worker_post(worker, take_step, NULL), SEALMQ_E_CLOSED);
    net_server_free(server);
}

/* The processor time of this process so far. */
static uint64_t used_ms(void)
{
    struct rusage usage;
    getrusage(RUSAGE_SELF, &usage);
    return (uint64_t)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000 +
           (uint64_t)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1000;
}

static void without_descriptors_it_waits_instead_of_spinning(void **state)
{
    (void)state;
    struct net_server *server = serve_loopback();
    uint16_t port = net_server_port(server, 0);
    int early = dial_in(server, "early");
    int late = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(late >= 0);
    struct rlimit before, low;
    getrlimit(RLIMIT_NOFILE, &before);
    low = before;
    low.rlim_cur = (rlim_t)late + 1;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &low), 0);
    int held[64], count = 0; /* what is free below */
    while (count < 64 && (held[count] = dup(early)) >= 0)
        count++;

    struct sockaddr_in address = {
        .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval limit = {.tv_sec = 20};
    setsockopt(late, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    assert_int_equal(connect(late, (const struct sockaddr *)&address, sizeof(address)), 0);
    say_connect(late, "late");
    uint64_t used = used_ms();
    usleep(600000);
    used = used_ms() - used;
    setrlimit(RLIMIT_NOFILE, &before);
    while (count > 0)
        close(held[--count]);
    assert_true(used < 300);

    uint8_t reason = 0xff;
    assert_int_equal(hear(late, &reason), MQTT_CONNACK); /* it had stayed in the queue */
    assert_int_equal(reason, 0);
    close(late);
    close(early);
    net_server_free(server);
}

static void say_with_method(int fd, enum mqtt_type type)
{
    struct buf props = {0};
    mqtt_props_append_text(&props, MQTT_PROP_AUTH_METHOD, BYTES_LIT("m"));
    mqtt_props_append_text(&props, MQTT_PROP_AUTH_DATA, BYTES_LIT("me"));
    struct mqtt_packet packet = {.type = type};
    if (type == MQTT_CONNECT)
        packet.connect = (struct mqtt_connect){.version = MQTT_V5,
                                               .clean_start = true,
                                               .client_id = BYTES_LIT("a"),
                                               .props = {buf_bytes(&props)}};
    else
        packet.end = (struct mqtt_end){MQTT_REASON_CONTINUE_AUTHENTICATION, {buf_bytes(&props)}};
    say(fd, &packet);
    buf_close(&props);
}

static void a_program_can_challenge_its_clients(void **state)
{
    (void)state;
    static const struct net_listener listener = {.address = "127.0.0.1"};
    struct net_server_options options = options_of(&listener, 1);
    uint8_t reason = 0xff;
    options.app.auth_begin = challenge;
    options.app.auth_continue = let_in;
    struct net_server *server = serve(&options);
    int fd = dial(net_server_port(server, 0));
    say_with_method(fd, MQTT_CONNECT);
    assert_int_equal(hear(fd, &reason), MQTT_AUTH);
    say_with_method(fd, MQTT_AUTH);
    assert_int_equal(hear(fd, &reason), MQTT_CONNACK);
    assert_int_equal(reason, 0);
    subscribe(fd, "x");
    close(fd);
    net_server_stop(server, 1000);
    net_server_free(server);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_cannot_be_bound_is_named),
        cmocka_unit_test(a_server_that_never_started_can_be_freed),
        cmocka_unit_test(a_worker_that_cannot_start_is_an_error_of_the_server),
        cmocka_unit_test(a_message_reaches_subscribers_on_other_workers),
        cmocka_unit_test(a_connect_in_pieces_with_more_behind_it_loses_nothing),
        cmocka_unit_test(a_silent_or_endless_handshake_is_cut),
        cmocka_unit_test(what_is_no_connect_is_refused_and_counted),
        cmocka_unit_test(connections_above_their_rate_wait),
        cmocka_unit_test(stopping_tells_clients_why),
        cmocka_unit_test(a_client_that_reads_nothing_holds_up_stopping_for_the_drain_time_at_most),
        cmocka_unit_test(posted_calls_run_on_the_worker_in_order_or_not_at_all),
        cmocka_unit_test(a_program_can_challenge_its_clients),
        cmocka_unit_test(without_descriptors_it_waits_instead_of_spinning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
