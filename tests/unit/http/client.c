#include "http/client.h"

#include "base/buffer.h"
#include "base/clock.h"
#include "e2b/server.h"
#include "loop/on_uv.h"
#include "test.h"

#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

struct world {
    uv_loop_t uv;
    struct loop *loop;
    struct http_client *client;
    struct server *server;
    struct server_answer answer;
    int asked, connections;
    bool in_start;
    struct http_exchange *exchange;
    struct buffer story, head; /* head: of the last request */
};

static struct server_answer on_request(void *arg, const struct server_request *request)
{
    struct world *world = arg;
    world->asked++;
    buffer_clear(&world->head);
    buffer_append_text(&world->head, request->head);
    world->connections = MAX(world->connections, request->connection);
    return world->answer;
}

static void on_pool_closed(void *arg)
{
    struct world *world = arg;
    server_close(world->server);
    loop_free(world->loop, NULL, NULL);
}

static void on_nothing(void *arg)
{
    (void)arg;
}

static struct world *world_new(const struct http_client_options *options)
{
    struct world *world = base_alloc(sizeof *world);
    uv_loop_init(&world->uv);
    world->loop = loop_new_on(&world->uv);
    world->server = server_new(&world->uv, on_request, world);
    world->client = http_client_new(world->loop, options);
    return world;
}

static void world_free(struct world *world)
{
    http_client_close(world->client, on_pool_closed, world);
    uv_run(&world->uv, UV_RUN_DEFAULT);
    assert_int_equal(uv_loop_close(&world->uv), 0);
    buffer_release(&world->story);
    buffer_release(&world->head);
    free(world);
}

static void on_done(void *arg, const struct error *error, const struct http_response *response)
{
    struct world *world = arg;
    const char *kind = response->status ? http_response_header(response, "x-kind") : NULL;
    assert_false(world->in_start);
    buffer_append_format(&world->story, "[%d %s%s%.*s %s]", response->status, error ? "failed " : "",
                         response->was_sent ? "sent " : "", (int)response->body.length,
                         response->body.length > 0 ? (const char *)response->body.data : "",
                         kind ? kind : "-");
    if (error)
        buffer_append_format(&world->story, "%ld", error->code);
}

static void on_bytes(void *arg, struct bytes bytes)
{
    struct world *world = arg;
    buffer_append_format(&world->story, "<%.*s>", (int)bytes.length, (const char *)bytes.data);
    http_exchange_pause(world->exchange);
}

static void start(struct world *world, const struct http_request *request)
{
    struct http_request mine = *request;
    mine.url = mine.url ? mine.url : server_url(world->server);
    mine.max_body_bytes = mine.max_body_bytes ? mine.max_body_bytes : 1000;
    mine.done = on_done;
    mine.arg = world;
    world->in_start = true;
    world->exchange = http_start(world->client, &mine);
    world->in_start = false;
}

static void on_alarm(uv_timer_t *alarm)
{
    (void)alarm;
}

static void run_until(struct world *world, const char *text)
{
    uv_timer_t alarm; /* keeps the loop turning */
    uv_timer_init(&world->uv, &alarm);
    for (int i = 0; i < 2000 && !(world->story.data && strstr(world->story.data, text)); i++) {
        uv_timer_start(&alarm, on_alarm, 2, 0);
        uv_run(&world->uv, UV_RUN_ONCE);
    }
    uv_close((uv_handle_t *)&alarm, NULL);
    uv_run(&world->uv, UV_RUN_NOWAIT);
    if (!world->story.data || !strstr(world->story.data, text))
        fail_msg("waited for %s, got %s", text, world->story.data ? world->story.data : "");
}

static void answers_with_headers_and_keeps_the_connection(void **state)
{
    (void)state;
    struct world *world = world_new(&(struct http_client_options){0});
    for (int i = 1; i <= 3; i++) {
        world->answer = server_says(404, "X-Kind: sort\r\n", "body");
        start(world, &(struct http_request){.timeout_ms = 5000});
        run_until(world, "[404 sent body sort]");
        buffer_clear(&world->story);
    }
    assert_int_equal(world->asked, 3);
    assert_int_equal(world->connections, 1);
    assert_int_equal(http_client_connections(world->client), 1);
    world_free(world);
}

static void expect_one_agent(const struct world *world)
{
    const char *agent = strstr(world->head.data, "User-Agent: ");
    assert_non_null(agent);
    assert_int_equal(strncmp(agent, "User-Agent: tester/1\r\n", strlen("User-Agent: tester/1\r\n")), 0);
    assert_null(strstr(agent + 1, "User-Agent"));
}

static void names_its_agent_once_and_never_asks_for_leave(void **state)
{
    (void)state;
    static char large[3 << 20];
    const struct bytes body = {large, sizeof large}, halves[] = {{large, 40000}, {large, 40000}};
    const struct http_request requests[] = {{.timeout_ms = 5000},
                                            {.method = HTTP_POST, .pieces = &body, .piece_count = 1},
                                            {.method = HTTP_POST, .pieces = halves, .piece_count = 2}};
    struct world *world = world_new(&(struct http_client_options){.user_agent = "tester/1"});
    world->answer = server_says(404, "X-Kind: sort\r\n", "body");
    for (size_t i = 0; i < ARRAY_LENGTH(requests); i++) {
        start(world, &requests[i]);
        run_until(world, "[404 sent body sort]");
        buffer_clear(&world->story);
        expect_one_agent(world);
        assert_null(strstr(world->head.data, "Expect"));
    }
    world_free(world);
}

/* Nothing of an earlier URL in the same handle helps out. */
static void a_url_without_a_host_is_none(void **state)
{
    (void)state;
    struct world *world = world_new(&(struct http_client_options){0});
    world->answer = server_says(404, "X-Kind: sort\r\n", "body");
    start(world, &(struct http_request){.timeout_ms = 5000});
    run_until(world, "[404 sent body sort]");
    start(world, &(struct http_request){.url = "/relative", .timeout_ms = 5000});
    run_until(world, "[0 failed  -]1");
    assert_int_equal(world->asked, 1);
    world_free(world);
}

/* The server is the proxy: a name that no resolver knows leads to it. */
static void goes_through_the_proxy_of_the_environment(void **state)
{
    (void)state;
    static const char *const names[] = {"http_proxy", "all_proxy", "ALL_PROXY"};
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        struct world *world = world_new(&(struct http_client_options){0});
        http_client_close(world->client, on_nothing, world);
        setenv(names[i], server_url(world->server), /* overwrite= */ 1);
        world->client = http_client_new(world->loop, &(struct http_client_options){.user_agent = "tester/1"});
        world->answer = server_says(404, "X-Kind: sort\r\n", "body");
        start(world, &(struct http_request){.url = "http://nowhere.invalid/x", .timeout_ms = 5000});
        run_until(world, "[404 sent body sort]");
        expect_one_agent(world);
        unsetenv(names[i]);
        world_free(world);
    }
}

/* Some let nobody through who does not say what it is. */
static void a_proxy_is_told_the_agent_before_a_tunnel(void **state)
{
    (void)state;
    struct world *world = world_new(&(struct http_client_options){0});
    http_client_close(world->client, on_nothing, world);
    setenv("https_proxy", server_url(world->server), /* overwrite= */ 1);
    world->client = http_client_new(world->loop, &(struct http_client_options){.user_agent = "tester/1"});
    world->answer = server_says(403, "X-Kind: sort\r\n", "body");
    start(world, &(struct http_request){.url = "https://nowhere.invalid/x", .timeout_ms = 5000});
    run_until(world, "[0 failed  -]2");
    assert_int_equal(strncmp(world->head.data, "CONNECT ", strlen("CONNECT ")), 0);
    expect_one_agent(world);
    unsetenv("https_proxy");
    world_free(world);
}

static void follows_no_redirect(void **state)
{
    (void)state;
    struct world *world = world_new(&(struct http_client_options){0});
    world->answer = server_says(302, "Location: /other\r\n", "");
    start(world, &(struct http_request){.timeout_ms = 5000});
    run_until(world, "[302 sent  -]");
    assert_int_equal(world->asked, 1);
    world_free(world);
}

static void speaks_http_only(void **state)
{
    (void)state;
    struct world *world = world_new(&(struct http_client_options){0});
    start(world, &(struct http_request){.url = "file:///etc/passwd", .timeout_ms = 5000});
    run_until(world, "[0 failed  -]1");
    start(world, &(struct http_request){.url = "no url at all", .timeout_ms = 5000});
    world_free(world);
}

static void silence_ends_it_and_a_pause_is_no_silence(void **state)
{
    (void)state;
    struct world *world = world_new(&(struct http_client_options){0});
    static const char half[] = "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nhalf";
    world->answer =
        (struct server_answer){.bytes = {.data = half, .length = sizeof half - 1}, .then = SERVER_HANGS};
    start(world, &(struct http_request){.timeout_ms = 5000, .idle_ms = 60});
    run_until(world, "[200 failed sent half -]6");
    buffer_clear(&world->story);
    start(world, &(struct http_request){.timeout_ms = 300, .idle_ms = 60, .on_bytes = on_bytes});
    run_until(world, "7");
    assert_text(world->story.data, "<half>[200 failed sent  -]7");
    world_free(world);
}

static void a_pause_holds_and_a_resume_lets_go(void **state)
{
    (void)state;
    struct world *world = world_new(&(struct http_client_options){0});
    static const char whole[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nab";
    world->answer = (struct server_answer){
        .bytes = {.data = whole, .length = sizeof whole - 1}, .split = SPLIT_BYTES, .then = SERVER_KEEPS};
    start(world, &(struct http_request){.timeout_ms = 5000, .on_bytes = on_bytes});
    run_until(world, "<a>");
    int64_t until_ms = clock_monotonic_ms() + 50;
    while (clock_monotonic_ms() < until_ms)
        uv_run(&world->uv, UV_RUN_NOWAIT);
    assert_text(world->story.data, "<a>");
    http_exchange_resume(world->exchange);
    run_until(world, "[200 sent  -]");
    assert_text(world->story.data, "<a><b>[200 sent  -]");
    world_free(world);
}

static void a_connection_that_cannot_be_opened_is_tried_three_times(void **state)
{
    (void)state;
    struct world *world = world_new(&(struct http_client_options){0});
    start(world, &(struct http_request){.url = "http://127.0.0.1:1/", .timeout_ms = 5000});
    run_until(world, "[0 failed  -]2");
    assert_int_equal(http_client_connections(world->client), 3);
    start(world, &(struct http_request){.url = "http://127.0.0.1:1/", .timeout_ms = 150});
    buffer_clear(&world->story);
    run_until(world, "[0 failed  -]2"); /* a second try fits into the deadline, a third does not */
    assert_int_equal(http_client_connections(world->client), 5);
    world_free(world);
}

static void limits_connections_only_while_they_are_shared(void **state)
{
    (void)state;
    for (int always = 0; always < 2; always++) {
        struct world *world =
            world_new(&(struct http_client_options){.max_connections = 1, .is_always_limited = always != 0});
        world->answer = server_says(200, NULL, "first");
        start(world, &(struct http_request){.timeout_ms = 5000});
        run_until(world, "first");
        world->answer = (struct server_answer){.then = SERVER_HANGS};
        for (int i = 0; i < 3; i++)
            start(world, &(struct http_request){.timeout_ms = 100});
        run_until(world, "7");
        assert_int_equal(world->connections, always ? 1 : 3);
        world_free(world);
    }
}

/* The next one takes the connection that a cancelled one had occupied. */
static void waits_for_a_free_connection(void **state)
{
    (void)state;
    struct world *world =
        world_new(&(struct http_client_options){.max_connections = 1, .is_always_limited = true});
    world->answer = server_says(201, "X-Kind: old\r\n", "first"); /* what every handle has seen */
    for (int i = 0; i < 4; i++)
        start(world, &(struct http_request){0});
    run_until(world, "[201 sent first old][201 sent first old][201 sent first old][201 sent first old]");
    world->answer = (struct server_answer){.then = SERVER_HANGS};
    start(world, &(struct http_request){0});
    struct http_exchange *occupant = world->exchange;
    start(world, &(struct http_request){0});
    struct http_exchange *gives_up = world->exchange;
    start(world, &(struct http_request){0});
    start(world, &(struct http_request){.timeout_ms = 50});
    run_until(world, "[0 failed  -]7"); /* it was never sent */
    assert_int_equal(world->asked, 5);
    world->answer = server_says(200, NULL, "next");
    http_exchange_cancel(gives_up);
    http_exchange_cancel(occupant);
    run_until(world, "next");
    assert_int_equal(world->asked, 6);
    assert_int_equal(http_client_connections(world->client), 2); /* the cancelled one took its own along */
    world_free(world);
}

/* A connection at rest is watched; that its server closes it is no reason to turn and turn. */
static void rests_when_an_idle_connection_is_closed(void **state)
{
    (void)state;
    struct world *world = world_new(&(struct http_client_options){0});
    uv_timer_t alarm;
    int turns = 0;
    world->answer = server_says(200, NULL, "first");
    world->answer.then = SERVER_CLOSES;
    start(world, &(struct http_request){0});
    run_until(world, "first");
    uv_timer_init(&world->uv, &alarm);
    uv_timer_start(&alarm, on_alarm, 100, 0);
    for (; uv_is_active((uv_handle_t *)&alarm); turns++)
        uv_run(&world->uv, UV_RUN_ONCE);
    assert_in_range(turns, 1, 20);
    uv_close((uv_handle_t *)&alarm, NULL);
    world->answer = server_says(200, NULL, "second");
    start(world, &(struct http_request){0});
    run_until(world, "second");
    assert_int_equal(world->connections, 2);
    world_free(world);
}

/* Returns: the port of a listener that nobody ever accepts from; *ret_fd is to be closed. */
static int listen_deaf(int *ret_fd)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    *ret_fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(*ret_fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(*ret_fd, 128), 0);
    assert_int_equal(getsockname(*ret_fd, (struct sockaddr *)&address, &size), 0);
    return ntohs(address.sin_port);
}

static void what_cannot_be_sent_holds_up_others_for_a_moment_only(void **state)
{
    (void)state;
    enum { MANY = 40, MOST = 32, MOMENT_MS = 15, HALF_BYTES = 8 << 20 };
    struct world *world = world_new(&(struct http_client_options){0});
    int deaf;
    CLEANUP(base_freep) char *url = base_printf("http://127.0.0.1:%d", listen_deaf(&deaf));
    CLEANUP(base_freep) char *half = base_alloc(HALF_BYTES);
    struct bytes large[] = {{half, HALF_BYTES}, {half, HALF_BYTES}}, small[] = {{"sm", 2}, {"all", 3}};
    int64_t began_ms = clock_monotonic_ms();
    for (int i = 0; i < MANY; i++)
        start(world,
              &(struct http_request){.method = HTTP_POST, .url = url, .pieces = large, .piece_count = 2});
    for (int i = 0; i < 4; i++)
        uv_run(&world->uv, UV_RUN_NOWAIT);
    int64_t opened = http_client_connections(world->client);
    if (clock_monotonic_ms() - began_ms < MOMENT_MS)
        assert_int_equal(opened, MOST);
    world->answer = server_says(200, NULL, "heard");
    start(world, &(struct http_request){.method = HTTP_POST, .pieces = small, .piece_count = 2});
    run_until(world, "heard");
    assert_int_equal(http_client_connections(world->client), MANY + 1);
    world_free(world);
    close(deaf);
}

static void reads_dates(void **state)
{
    (void)state;
    int64_t unix_ms = 0;
    assert_true(http_date_parse("Sat, 21 Nov 2026 05:58:52 GMT", &unix_ms));
    assert_int_equal(unix_ms, INT64_C(1795240732000));
    assert_false(http_date_parse("yesterday", &unix_ms));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_with_headers_and_keeps_the_connection),
        cmocka_unit_test(names_its_agent_once_and_never_asks_for_leave),
        cmocka_unit_test(a_url_without_a_host_is_none),
        cmocka_unit_test(goes_through_the_proxy_of_the_environment),
        cmocka_unit_test(a_proxy_is_told_the_agent_before_a_tunnel),
        cmocka_unit_test(follows_no_redirect),
        cmocka_unit_test(speaks_http_only),
        cmocka_unit_test(silence_ends_it_and_a_pause_is_no_silence),
        cmocka_unit_test(a_pause_holds_and_a_resume_lets_go),
        cmocka_unit_test(a_connection_that_cannot_be_opened_is_tried_three_times),
        cmocka_unit_test(limits_connections_only_while_they_are_shared),
        cmocka_unit_test(waits_for_a_free_connection),
        cmocka_unit_test(rests_when_an_idle_connection_is_closed),
        cmocka_unit_test(what_cannot_be_sent_holds_up_others_for_a_moment_only),
        cmocka_unit_test(reads_dates),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
