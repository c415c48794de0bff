#include "http/server.h"
#include "base/buffer.h"
#include "loop/on_uv.h"
#include "test.h"

#include <arpa/inet.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

/* A server, and one raw client in the same loop: what it sends is `request`, what it got is `answer`. */
struct bench {
    struct loop *loop;
    struct http_server *server;
    http_exchange_fn handler;
    struct http_exchange *exchange;
    int client;
    struct watch *watch;
    struct timer timer, limit;
    struct buffer answer;
    char seen[256];
    int left_count, room_count, writes;
    const char *until; /* the loop stops when this stands in the answer; NULL: at its end */
};

static void on_limit(void *arg)
{
    (void)arg;
    fail_msg("the test waited too long");
}

static void on_handled(void *arg, struct http_exchange *exchange)
{
    struct bench *bench = arg;
    bench->exchange = exchange;
    bench->handler(bench, exchange);
}

static void on_client(void *arg, int events, int error)
{
    (void)events;
    (void)error;
    struct bench *bench = arg;
    char data[65536];
    ssize_t length = recv(bench->client, data, sizeof data, MSG_DONTWAIT);
    if (length > 0)
        buffer_append(&bench->answer, data, (size_t)length);
    if (length == 0 || (bench->until && bench->answer.data && strstr(bench->answer.data, bench->until)))
        loop_stop(bench->loop);
}

static int setup(void **state)
{
    struct bench *bench = base_alloc(sizeof *bench);
    struct error error;
    bench->loop = loop_new();
    struct http_server_options options = {.listen = "127.0.0.1:0",
                                          .max_body_bytes = 1000,
                                          .max_buffered_bytes = 100000,
                                          .handler = on_handled,
                                          .arg = bench};
    bench->server = http_server_new(bench->loop, &options, &error);
    assert_non_null(bench->server);
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)http_server_port(bench->server)),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    bench->client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(bench->client, (struct sockaddr *)&address, sizeof address), 0);
    bench->watch = loop_watch_new(bench->loop, bench->client, on_client, bench);
    watch_set(bench->watch, WATCH_READ);
    loop_timer_start(bench->loop, &bench->limit, 20000, on_limit, bench);
    *state = bench;
    return 0;
}

static int teardown(void **state)
{
    struct bench *bench = *state;
    if (bench->watch)
        watch_close(bench->watch);
    (void)close(bench->client);
    loop_timer_stop(bench->loop, &bench->timer);
    loop_timer_stop(bench->loop, &bench->limit);
    http_server_free(bench->server);
    loop_free(bench->loop, NULL, NULL);
    buffer_release(&bench->answer);
    free(bench);
    return 0;
}

static void ask(struct bench *bench, http_exchange_fn handler, const char *request, const char *until)
{
    bench->handler = handler;
    bench->until = until;
    assert_int_equal(send(bench->client, request, strlen(request), 0), strlen(request));
    loop_run(bench->loop);
}

static void reply_ok(struct http_exchange *exchange)
{
    http_exchange_set_header(exchange, "X-Test", "yes");
    http_exchange_reply(exchange, 200, (struct bytes){"ok", 2});
}

static void note_request(void *arg, struct http_exchange *exchange)
{
    struct bench *bench = arg;
    struct bytes body = http_exchange_body(exchange);
    (void)snprintf(bench->seen, sizeof bench->seen, "%s|%s|%s|%s|%.*s", http_exchange_method(exchange),
                   http_exchange_path(exchange), http_exchange_query(exchange, "q"),
                   http_exchange_header(exchange, "x-thing"), (int)body.length, (const char *)body.data);
    reply_ok(exchange);
}

static void a_request_arrives_whole_and_decoded(void **state)
{
    struct bench *bench = *state;
    ask(bench, note_request,
        "POST /a%20b?q=1%262 HTTP/1.1\r\nHost: x\r\nX-Thing: t\r\nContent-Length: 5\r\nConnection: "
        "close\r\n\r\nhello",
        NULL);
    assert_text(bench->seen, "POST|/a b|1&2|t|hello");
    assert_non_null(strstr(bench->answer.data, "200 OK"));
    assert_non_null(strstr(bench->answer.data, "X-Test: yes"));
}

static void reply_later(void *arg)
{
    struct bench *bench = arg;
    reply_ok(bench->exchange);
}

static void wait_then_reply(void *arg, struct http_exchange *exchange)
{
    (void)exchange;
    struct bench *bench = arg;
    loop_timer_start(bench->loop, &bench->timer, 20, reply_later, bench);
}

static void an_answer_may_come_later(void **state)
{
    struct bench *bench = *state;
    ask(bench, wait_then_reply, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "ok");
    ask(bench, wait_then_reply, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", NULL);
    assert_non_null(strstr(bench->answer.data, "ok"));
}

static void a_body_over_the_bound_is_refused(void **state)
{
    struct bench *bench = *state;
    struct buffer request = {0};
    buffer_append_format(&request,
                         "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2000\r\n\r\n%*s",
                         2000, "");
    ask(bench, note_request, request.data, NULL);
    assert_non_null(strstr(bench->answer.data, " 413 "));
    assert_text(bench->seen, "");
    buffer_release(&request);
}

static void write_second(void *arg)
{
    struct bench *bench = arg;
    (void)http_exchange_write(bench->exchange, (struct bytes){"second", 6});
    http_exchange_end(bench->exchange);
}

static void stream_two(void *arg, struct http_exchange *exchange)
{
    struct bench *bench = arg;
    http_exchange_start(exchange, 200, NULL, NULL);
    (void)http_exchange_write(exchange, (struct bytes){"first", 5});
    loop_timer_start(bench->loop, &bench->timer, 300, write_second, bench);
}

static void a_stream_sends_each_piece_when_it_is_written(void **state)
{
    struct bench *bench = *state;
    ask(bench, stream_two, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "first");
    assert_true(timer_is_active(&bench->timer)); /* the second is not written yet */
    bench->until = NULL;
    loop_run(bench->loop);
    assert_non_null(strstr(bench->answer.data, "6\r\nsecond\r\n0\r\n\r\n"));
}

static void stream_then_cut(void *arg, struct http_exchange *exchange)
{
    (void)arg;
    http_exchange_start(exchange, 200, NULL, NULL);
    (void)http_exchange_write(exchange, (struct bytes){"first", 5});
    http_exchange_cut(exchange);
}

static void a_cut_stream_has_its_bytes_but_no_end(void **state)
{
    struct bench *bench = *state;
    ask(bench, stream_then_cut, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", NULL);
    assert_non_null(strstr(bench->answer.data, "5\r\nfirst\r\n"));
    assert_null(strstr(bench->answer.data, "0\r\n\r\n"));
}

static void cut_at_once(void *arg, struct http_exchange *exchange)
{
    (void)arg;
    http_exchange_cut(exchange);
}

static void a_cut_before_any_answer_just_closes(void **state)
{
    struct bench *bench = *state;
    ask(bench, cut_at_once, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", NULL);
    assert_int_equal(bench->answer.length, 0);
}

static void on_left(void *arg, struct http_exchange *exchange)
{
    struct bench *bench = arg;
    bench->left_count++;
    assert_true(http_exchange_write(exchange, (struct bytes){"nobody", 6}));
    http_exchange_end(exchange);
    loop_stop(bench->loop);
}

static void leave(void *arg)
{
    struct bench *bench = arg;
    watch_close(bench->watch);
    bench->watch = NULL;
    (void)close(bench->client);
    bench->client = -1;
}

static void stream_and_wait(void *arg, struct http_exchange *exchange)
{
    struct bench *bench = arg;
    http_exchange_on_left(exchange, on_left, bench);
    http_exchange_start(exchange, 200, NULL, NULL);
    loop_timer_start(bench->loop, &bench->timer, 20, leave, bench);
}

static void a_client_that_leaves_is_noticed_at_once(void **state)
{
    struct bench *bench = *state;
    int64_t start_ms = loop_now_ms(bench->loop);
    ask(bench, stream_and_wait, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", NULL);
    assert_int_equal(bench->left_count, 1);
    assert_true(loop_now_ms(bench->loop) - start_ms < 5000);
}

static void on_left_later(void *arg, struct http_exchange *exchange)
{
    struct bench *bench = arg;
    bench->left_count++;
    http_exchange_reply(exchange, 200, (struct bytes){"late", 4});
    loop_stop(bench->loop);
}

static void never_answer(void *arg, struct http_exchange *exchange)
{
    struct bench *bench = arg;
    http_exchange_on_left(exchange, on_left_later, bench);
    loop_timer_start(bench->loop, &bench->timer, 20, leave, bench);
}

static void a_client_that_leaves_before_the_answer_is_noticed_too(void **state)
{
    struct bench *bench = *state;
    ask(bench, never_answer, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", NULL);
    assert_int_equal(bench->left_count, 1);
}

enum { PIECES = 200, PIECE_BYTES = 50000 };

static void write_pieces(void *arg, struct http_exchange *exchange)
{
    static const char piece[PIECE_BYTES] = {'x'};
    struct bench *bench = arg;
    bench->room_count++;
    while (bench->writes < PIECES) {
        bench->writes++;
        if (!http_exchange_write(exchange, (struct bytes){piece, sizeof piece}))
            return;
    }
    http_exchange_end(exchange);
}

static void stream_much(void *arg, struct http_exchange *exchange)
{
    http_exchange_start(exchange, 200, write_pieces, arg);
    write_pieces(arg, exchange);
}

static void a_fast_writer_is_held_back_by_a_slow_reader(void **state)
{
    struct bench *bench = *state;
    ask(bench, stream_much, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", NULL);
    assert_int_equal(bench->writes, PIECES);
    assert_true(bench->room_count > 10);
    assert_true(bench->answer.length > (size_t)PIECES * PIECE_BYTES);
}

static void bad_addresses_are_refused_with_a_reason(void **state)
{
    struct bench *bench = *state;
    static const char *const bad[] = {"",       "127.0.0.1", "localhost:80", "127.0.0.1:99999", "127.0.0.1:x",
                                      "[::1:80"};
    for (size_t i = 0; i < ARRAY_LENGTH(bad); i++) {
        struct http_server_options options = {.listen = bad[i], .handler = on_handled};
        struct error error = {0};
        assert_null(http_server_new(bench->loop, &options, &error));
        assert_int_equal(error.kind, ERROR_REJECTED);
    }
}

static void an_address_in_use_is_refused(void **state)
{
    struct bench *bench = *state;
    char listen[32];
    (void)snprintf(listen, sizeof listen, "127.0.0.1:%u", http_server_port(bench->server));
    struct http_server_options options = {.listen = listen, .handler = on_handled};
    struct error error = {0};
    assert_null(http_server_new(bench->loop, &options, &error));
    assert_non_null(strstr(error.text, "in use"));
}

static void forget_exchange(void *arg, struct http_exchange *exchange)
{
    struct bench *bench = arg;
    bench->left_count++;
    http_exchange_end(exchange);
}

static void hold(void *arg, struct http_exchange *exchange)
{
    struct bench *bench = arg;
    http_exchange_on_left(exchange, forget_exchange, bench);
    http_exchange_start(exchange, 200, NULL, NULL);
    (void)http_exchange_write(exchange, (struct bytes){"first", 5});
}

static void closing_the_server_tells_who_still_streams(void **state)
{
    struct bench *bench = *state;
    ask(bench, hold, "GET / HTTP/1.1\r\nHost: x\r\n\r\n", "first");
    http_server_free(bench->server);
    bench->server = NULL;
    assert_int_equal(bench->left_count, 1);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_request_arrives_whole_and_decoded),
        TEST(an_answer_may_come_later),
        TEST(a_body_over_the_bound_is_refused),
        TEST(a_stream_sends_each_piece_when_it_is_written),
        TEST(a_cut_stream_has_its_bytes_but_no_end),
        TEST(a_cut_before_any_answer_just_closes),
        TEST(a_client_that_leaves_is_noticed_at_once),
        TEST(a_client_that_leaves_before_the_answer_is_noticed_too),
        TEST(a_fast_writer_is_held_back_by_a_slow_reader),
        TEST(bad_addresses_are_refused_with_a_reason),
        TEST(an_address_in_use_is_refused),
        TEST(closing_the_server_tells_who_still_streams),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
