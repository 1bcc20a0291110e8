#include "net/link.h"
#include "net/server.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#define LIMIT_MS 20000

/* --- a server that lets in whoever knows the password -------------------------------------- */

static struct net_worker *the_worker;

static int start_worker(void *context, struct net_worker *worker, void **worker_context)
{
    (void)context;
    the_worker = worker;
    *worker_context = worker;
    return 0;
}

static void authenticate(void *worker_context, const struct broker_auth_request *request)
{
    struct broker_grant grant = {.reason = MQTT_REASON_SUCCESS, .user_name = request->user_name};
    if (!request->has_password || !bytes_equal(request->password, BYTES_LIT("right"))) {
        grant.reason = MQTT_REASON_NOT_AUTHORIZED;
        grant.reason_string = "challenge 42";
    }
    net_worker_authenticated(worker_context, request->conn, &grant);
}

static bool authorize(void *worker_context, const struct broker_subject *subject,
                      enum broker_access access, struct bytes topic)
{
    (void)worker_context, (void)subject, (void)access;
    return !bytes_equal(topic, BYTES_LIT("forbidden"));
}

static struct net_server *serve(uint16_t port)
{
    struct net_listener listener = {.address = "127.0.0.1", .port = port};
    struct net_server_options options = {
        .workers = 1,
        .listeners = &listener,
        .listener_count = 1,
        .app = {.worker_start = start_worker, .authenticate = authenticate, .authorize = authorize},
    };
    struct net_server *server = NULL;
    char why[128];
    broker_limits_default(&options.limits);
    int e = net_server_new(&options, &server, why, sizeof(why));
    if (e != 0)
        fail_msg("%s", why);
    assert_int_equal(net_server_start(server), 0);
    return server;
}

/* --- a link and what happens to it --------------------------------------------------------- */

struct bench {
    uv_loop_t loop;
    uv_timer_t limit;
    struct net_link *link;
    const char *password;
    unsigned tries, connects, ends, messages, acks;
    bool frees_in_message, frees_in_disconnected, frees_in_connected, echoes;
    uint64_t last_ticket;
    uint8_t last_reason, last_ack;
    char last_words[128], last_topic[64];
    size_t last_size;
};

static int credentials(void *context, struct buf *user_name, struct buf *password)
{
    struct bench *bench = context;
    bench->tries++;
    if (bench->password == NULL)
        return SEALMQ_E_AGAIN;
    buf_append_cstr(user_name, "user");
    buf_append_cstr(password, bench->password);
    return 0;
}

static void free_link(struct bench *bench)
{
    net_link_free(bench->link);
    bench->link = NULL;
}

static void on_connected(void *context)
{
    struct bench *bench = context;
    bench->connects++;
    assert_true(net_link_is_connected(bench->link));
    if (bench->frees_in_connected)
        free_link(bench);
}

static void on_disconnected(void *context, uint8_t reason, const char *words)
{
    struct bench *bench = context;
    bench->ends++;
    bench->last_reason = reason;
    snprintf(bench->last_words, sizeof(bench->last_words), "%s", words);
    assert_false(net_link_is_connected(bench->link));
    if (bench->frees_in_disconnected)
        free_link(bench);
}

static void on_message(void *context, const struct net_link_message *message)
{
    struct bench *bench = context;
    bench->messages++;
    bench->last_size = message->payload.n;
    snprintf(bench->last_topic, sizeof(bench->last_topic), "%s", message->topic);
    if (bench->echoes)
        assert_int_equal(net_link_publish(bench->link, "echo", message->payload, 1, false, 77), 0);
    if (bench->frees_in_message)
        free_link(bench);
}

static void on_published(void *context, uint64_t ticket, uint8_t reason)
{
    struct bench *bench = context;
    bench->acks++;
    bench->last_ticket = ticket;
    bench->last_ack = reason;
}

static void on_limit(uv_timer_t *timer)
{
    (void)timer;
    fail_msg("it took too long");
}

static void bench_open(struct bench *bench, uint16_t port, const char *password, size_t limit)
{
    *bench = (struct bench){.password = password};
    assert_int_equal(uv_loop_init(&bench->loop), 0);
    uv_timer_init(&bench->loop, &bench->limit);
    uv_timer_start(&bench->limit, on_limit, LIMIT_MS, 0);
    struct net_link_options options = {
        .loop = &bench->loop,
        .host = "127.0.0.1",
        .port = port,
        .client_id = "link/test",
        .clean_start = true,
        .outgoing_bytes_limit = limit,
        .context = bench,
        .credentials = credentials,
        .connected = on_connected,
        .disconnected = on_disconnected,
        .message = on_message,
        .published = on_published,
    };
    assert_int_equal(net_link_new(&options, &bench->link), 0);
}

static void bench_close(struct bench *bench)
{
    free_link(bench);
    uv_close((uv_handle_t *)&bench->limit, NULL);
    uv_run(&bench->loop, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&bench->loop), 0);
}

#define RUN_UNTIL(bench, condition)                                                                \
    do {                                                                                           \
        while (!(condition))                                                                       \
            uv_run(&(bench)->loop, UV_RUN_ONCE);                                                   \
    } while (0)

/* --- tests --------------------------------------------------------------------------------- */

static void publishes_are_acknowledged_by_their_tickets(void **state)
{
    (void)state;
    struct net_server *server = serve(0);
    struct bench b;
    static uint8_t large[300000];
    bench_open(&b, net_server_port(server, 0), "right", 0);
    assert_int_equal(net_link_publish(b.link, "t", BYTES_LIT("x"), 1, false, 1), SEALMQ_E_AGAIN);
    assert_int_equal(net_link_subscribe(b.link, "t", 1), SEALMQ_E_AGAIN);
    RUN_UNTIL(&b, b.connects == 1);
    assert_int_equal(net_link_subscribe(b.link, "t", 1), 0);
    assert_int_equal(net_link_publish(b.link, "t", BYTES_LIT("x"), 1, false, 11), 0);
    assert_int_equal(b.acks, 0); /* never from inside */
    RUN_UNTIL(&b, b.acks == 1 && b.messages == 1);
    assert_int_equal(b.last_ticket, 11);
    assert_int_equal(b.last_ack, 0);
    assert_string_equal(b.last_topic, "t");
    assert_int_equal(net_link_publish(b.link, "t", bytes_of(large, sizeof(large)), 0, false, 12),
                     0);
    assert_int_equal(net_link_publish(b.link, "t", (struct bytes){0}, 1, false, 0), 0);
    RUN_UNTIL(&b, b.messages == 3);
    assert_int_equal(b.last_size, 0);
    assert_int_equal(net_link_publish(b.link, "forbidden", BYTES_LIT("x"), 1, false, 13), 0);
    RUN_UNTIL(&b, b.acks == 2);
    assert_int_equal(b.last_ticket, 13);
    assert_int_equal(b.last_ack, MQTT_REASON_NOT_AUTHORIZED);
    assert_int_equal(net_link_publish(b.link, "a/#", BYTES_LIT("x"), 1, false, 1), SEALMQ_E_ARG);
    assert_int_equal(net_link_publish(b.link, "t", BYTES_LIT("x"), 2, false, 1), SEALMQ_E_ARG);
    bench_close(&b);
    net_server_free(server);
}

static void many_messages_all_get_their_answer(void **state)
{
    (void)state;
    struct net_server *server = serve(0);
    struct bench b;
    bench_open(&b, net_server_port(server, 0), "right", 0);
    RUN_UNTIL(&b, b.connects == 1);
    assert_int_equal(net_link_subscribe(b.link, "m/#", 1), 0);
    for (uint64_t i = 1; i <= 500; i++)
        assert_int_equal(net_link_publish(b.link, "m/x", BYTES_LIT("0123456789"), 1, false, i), 0);
    RUN_UNTIL(&b, b.acks == 500 && b.messages == 500);
    assert_int_equal(b.last_ticket, 500);
    bench_close(&b);
    net_server_free(server);
}

static void what_waits_is_limited(void **state)
{
    (void)state;
    struct net_server *server = serve(0);
    struct bench b;
    static uint8_t payload[4000];
    bench_open(&b, net_server_port(server, 0), "right", 10000);
    RUN_UNTIL(&b, b.connects == 1);
    struct bytes p = bytes_of(payload, sizeof(payload));
    assert_int_equal(net_link_publish(b.link, "t", bytes_of(payload, 0), 3, false, 1),
                     SEALMQ_E_ARG);
    assert_int_equal(net_link_publish(b.link, "t", p, 1, false, 1), 0);
    assert_int_equal(net_link_publish(b.link, "t", p, 0, false, 2), 0);
    assert_int_equal(net_link_publish(b.link, "t", p, 1, false, 3), SEALMQ_E_FULL);
    assert_int_equal(net_link_publish(b.link, "t", bytes_of(payload, 20000), 1, false, 3),
                     SEALMQ_E_LIMIT);
    RUN_UNTIL(&b, b.acks == 1);
    assert_int_equal(net_link_publish(b.link, "t", p, 1, false, 3), 0);
    RUN_UNTIL(&b, b.acks == 2);
    bench_close(&b);
    net_server_free(server);
}

static void a_refusal_gives_reason_and_words_and_is_tried_again_with_new_credentials(void **state)
{
    (void)state;
    struct net_server *server = serve(0);
    struct bench b;
    bench_open(&b, net_server_port(server, 0), "wrong", 0);
    RUN_UNTIL(&b, b.ends == 2);
    assert_int_equal(b.tries, 2);
    assert_int_equal(b.connects, 0);
    assert_int_equal(b.last_reason, MQTT_REASON_NOT_AUTHORIZED);
    assert_string_equal(b.last_words, "challenge 42");
    b.password = NULL; /* none yet: no connection is made */
    RUN_UNTIL(&b, b.ends == 3);
    assert_string_equal(b.last_words, "no credentials yet");
    assert_int_equal(b.last_reason, 0);
    b.password = "right";
    RUN_UNTIL(&b, b.connects == 1);
    bench_close(&b);
    net_server_free(server);
}

static void a_server_that_stops_and_comes_back_is_found_again(void **state)
{
    (void)state;
    struct net_server *server = serve(0);
    uint16_t port = net_server_port(server, 0);
    struct bench b;
    bench_open(&b, port, "right", 0);
    RUN_UNTIL(&b, b.connects == 1);
    net_server_free(server); /* with DISCONNECT: it has time for that without a drain */
    RUN_UNTIL(&b, b.ends == 1);
    assert_int_equal(net_link_publish(b.link, "t", BYTES_LIT("x"), 1, false, 1), SEALMQ_E_AGAIN);
    RUN_UNTIL(&b, b.ends == 2);
    assert_int_equal(b.last_reason, 0);
    assert_string_equal(b.last_words, "Connection refused");
    server = serve(port);
    RUN_UNTIL(&b, b.connects == 2);
    assert_int_equal(net_link_publish(b.link, "t", BYTES_LIT("x"), 1, false, 2), 0);
    RUN_UNTIL(&b, b.acks == 1);
    assert_int_equal(b.last_ticket, 2);
    bench_close(&b);
    net_server_free(server);
}

static void the_reason_of_a_disconnect_is_passed_on(void **state)
{
    (void)state;
    struct net_server *server = serve(0);
    struct bench first, second;
    bench_open(&first, net_server_port(server, 0), "right", 0);
    RUN_UNTIL(&first, first.connects == 1);
    bench_open(&second, net_server_port(server, 0), "right", 0); /* takes over the id */
    RUN_UNTIL(&second, second.connects == 1);
    RUN_UNTIL(&first, first.ends == 1);
    assert_int_equal(first.last_reason, MQTT_REASON_SESSION_TAKEN_OVER);
    bench_close(&first);
    bench_close(&second);
    net_server_free(server);
}

static void restart_connects_anew_and_says_so(void **state)
{
    (void)state;
    struct net_server *server = serve(0), *other = serve(0);
    struct bench b;
    bench_open(&b, net_server_port(server, 0), "right", 0);
    RUN_UNTIL(&b, b.connects == 1);
    assert_int_equal(net_link_publish(b.link, "t", BYTES_LIT("x"), 1, false, 5), 0);
    net_link_restart(b.link, NULL, 0);
    assert_int_equal(b.ends, 0); /* never from inside */
    assert_false(net_link_is_connected(b.link));
    RUN_UNTIL(&b, b.connects == 2);
    assert_int_equal(b.ends, 1);
    assert_string_equal(b.last_words, "restarted");
    net_server_free(server);
    net_link_restart(b.link, "127.0.0.1", net_server_port(other, 0));
    RUN_UNTIL(&b, b.connects == 3);
    bench_close(&b);
    net_server_free(other);
}

static void nobody_is_called_after_free_not_even_from_inside_a_callback(void **state)
{
    (void)state;
    struct net_server *server = serve(0);
    uint16_t port = net_server_port(server, 0);
    struct bench b;

    bench_open(&b, port, "right", 0);
    b.frees_in_connected = true;
    RUN_UNTIL(&b, b.link == NULL);
    bench_close(&b);
    assert_int_equal(b.connects + b.ends, 1);

    bench_open(&b, port, "right", 0);
    RUN_UNTIL(&b, b.connects == 1);
    b.frees_in_message = true;
    assert_int_equal(net_link_subscribe(b.link, "t", 1), 0);
    for (int i = 0; i < 10; i++)
        assert_int_equal(net_link_publish(b.link, "t", BYTES_LIT("x"), 1, false, 9), 0);
    RUN_UNTIL(&b, b.link == NULL);
    bench_close(&b);
    assert_int_equal(b.messages, 1);
    assert_int_equal(b.ends, 0);

    bench_open(&b, port, "wrong", 0);
    b.frees_in_disconnected = true;
    RUN_UNTIL(&b, b.link == NULL);
    bench_close(&b);
    assert_int_equal(b.tries, 1);

    bench_open(&b, port, "right", 0); /* before anything has happened */
    bench_close(&b);
    assert_int_equal(b.tries, 0);
    bench_open(&b, port, "right", 0); /* and in the middle of connecting */
    RUN_UNTIL(&b, b.tries == 1);
    bench_close(&b);
    assert_int_equal(b.connects + b.ends, 0);
    net_server_free(server);
}

static void a_message_can_be_answered_from_its_callback(void **state)
{
    (void)state;
    struct net_server *server = serve(0);
    struct bench b;
    bench_open(&b, net_server_port(server, 0), "right", 0);
    RUN_UNTIL(&b, b.connects == 1);
    b.echoes = true;
    assert_int_equal(net_link_subscribe(b.link, "ask", 0), 0);
    assert_int_equal(net_link_publish(b.link, "ask", BYTES_LIT("?"), 0, false, 0), 0);
    RUN_UNTIL(&b, b.acks == 1);
    assert_int_equal(b.last_ticket, 77);
    bench_close(&b);
    net_server_free(server);
}

static void options_that_cannot_work_are_refused(void **state)
{
    (void)state;
    uv_loop_t loop;
    struct net_link *link = (struct net_link *)(uintptr_t)1;
    assert_int_equal(uv_loop_init(&loop), 0);
    struct net_link_options options = {.loop = &loop, .host = "127.0.0.1", .client_id = "a/b"};
    assert_int_equal(net_link_new(&options, &link), SEALMQ_E_ARG);
    assert_null(link);
    net_link_free(NULL);
    assert_int_equal(uv_loop_close(&loop), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(publishes_are_acknowledged_by_their_tickets),
        cmocka_unit_test(many_messages_all_get_their_answer),
        cmocka_unit_test(what_waits_is_limited),
        cmocka_unit_test(a_refusal_gives_reason_and_words_and_is_tried_again_with_new_credentials),
        cmocka_unit_test(a_server_that_stops_and_comes_back_is_found_again),
        cmocka_unit_test(the_reason_of_a_disconnect_is_passed_on),
        cmocka_unit_test(restart_connects_anew_and_says_so),
        cmocka_unit_test(nobody_is_called_after_free_not_even_from_inside_a_callback),
        cmocka_unit_test(a_message_can_be_answered_from_its_callback),
        cmocka_unit_test(options_that_cannot_work_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
