/* The control plane: what goes over the wire, the road back to v1, creates that may not be sent twice. */
#include "base/clock.h"
#include "world.h"

#include <stdio.h>

static void create(struct world *world, const struct e2b_sandbox_options *options)
{
    START(world, e2b_sandbox_create(world->client, &world->call, options, world_on_sandbox));
}

static void creates_with_everything(void **state)
{
    (void)state;
    struct world *world = world_new(NULL);
    const struct e2b_pair metadata[] = {{"permit", "p\"1"}, {"b", "2"}}, env[] = {{"A", "x\ny"}};
    const char *const allow[] = {"*.pypi.org"};
    world->answers[0] = server_says(201, NULL, world_handle);
    create(world, &(struct e2b_sandbox_options){
                      .template_id = "ns/base",
                      .idempotency_key = "key-1",
                      .live_ms = 1500,
                      .metadata = {.items = metadata, .count = 2},
                      .env = {.items = env, .count = 1},
                      .network = &(struct e2b_network){.allow = allow, .allow_count = 1},
                      .send_before_boot_ms = clock_boot_ms() + 60000,
                  });
    world_wait(world, "sandbox ");
    assert_text(e2b_sandbox_id(world->sandbox), "isandbox1");
    assert_non_null(strstr(world->heads[0], "\r\nIdempotency-Key: key-1\r\n"));
    assert_text(world->bodies[0].data,
                "{\"templateID\":\"ns/base\",\"timeout\":2,\"autoPause\":false,"
                "\"metadata\":{\"permit\":\"p\\\"1\",\"b\":\"2\"},\"envVars\":{\"A\":\"x\\ny\"},"
                "\"network\":{\"allowOut\":[\"*.pypi.org\"],\"denyOut\":[\"0.0.0.0/0\"]}}");
    world_free(world);
}

static void falls_back_to_v1_and_remembers(void **state)
{
    (void)state;
    struct world *world = world_new(NULL);
    world->answers[0] =
        server_says(404, NULL, "{\"code\":404,\"message\":\"no matching operation was found\"}");
    world->answers[1] = server_says(201, NULL, world_handle);
    world->answers[2] = server_says(201, NULL, world_handle);
    create(world, &(struct e2b_sandbox_options){.template_id = "base"});
    world_wait(world, "sandbox ");
    assert_non_null(strstr(world->heads[1], "POST /sandboxes HTTP/1.1\r\n"));
    assert_text(world->bodies[1].data,
                "{\"templateID\":\"base\",\"timeout\":300,\"autoPause\":false,\"secure\":true}");
    e2b_sandbox_free(TAKE(world->sandbox));
    buffer_clear(&world->story);
    create(world, &(struct e2b_sandbox_options){.template_id = "base"});
    world_wait(world, "sandbox ");
    assert_non_null(strstr(world->heads[2], "POST /sandboxes HTTP/1.1\r\n"));
    world_free(world);
}

static void a_missing_template_is_no_missing_path(void **state)
{
    (void)state;
    struct world *world = world_new(NULL);
    world->answers[0] = server_says(404, NULL, "{\"code\":404,\"message\":\"template 'nope' not found\"}");
    create(world, &(struct e2b_sandbox_options){.template_id = "nope"});
    world_wait(world, "sandbox!3 ");
    assert_int_equal(world->asked, 1);
    assert_text(world->error.message, "template 'nope' not found");
    world_free(world);
}

static void a_create_that_is_too_late_is_never_sent(void **state)
{
    (void)state;
    struct world *world = world_new(NULL);
    create(world,
           &(struct e2b_sandbox_options){.template_id = "base", .send_before_boot_ms = clock_boot_ms() - 1});
    world_wait(world, "sandbox!14 ");
    assert_int_equal(world->asked, 0);
    world_free(world);
}

/* The first call leaves an open connection. It dies the moment the next request arrives on it: what was sent
 * there may have been done, so it must not be sent again. */
static void a_create_cut_off_on_a_reused_connection_is_not_repeated(void **state)
{
    (void)state;
    struct world *world = world_new(NULL);
    world_open(world);
    e2b_sandbox_free(TAKE(world->sandbox));
    world->answers[0] = (struct server_answer){.then = SERVER_RESETS};
    create(world, &(struct e2b_sandbox_options){.template_id = "base"});
    world_wait(world, "sandbox!13? ");
    world_run_ms(world, 20);
    assert_int_equal(world->asked, 1);
    world_free(world);
}

static void a_kill_cut_off_on_a_reused_connection_is_repeated(void **state)
{
    (void)state;
    struct world *world = world_new(NULL);
    world_open(world);
    world->answers[0] = (struct server_answer){.then = SERVER_RESETS};
    world->answers[1] = server_says(204, NULL, "");
    START(world, e2b_sandbox_kill(world->client, &world->call, "i1", world_on_done));
    world_wait(world, "done ");
    assert_int_equal(world->asked, 2);
    world_free(world);
}

static void a_refused_connection_is_decided(void **state)
{
    (void)state;
    struct world *world = world_new(&(struct e2b_client_options){.api_url = "http://127.0.0.1:1"});
    create(world, &(struct e2b_sandbox_options){.template_id = "base"});
    world_wait(world, "sandbox!13 ");
    assert_int_equal(world->error.http_status, 0);
    world_free(world);
}

static void an_unanswered_create_is_undecided(void **state)
{
    (void)state;
    struct world *world = world_new(NULL);
    world->answers[0] = (struct server_answer){.then = SERVER_HANGS};
    world->call.timeout_ms = 50;
    create(world, &(struct e2b_sandbox_options){.template_id = "base"});
    world_wait(world, "sandbox!11? ");
    world_free(world);
}

static void an_answer_that_makes_no_sense_is_undecided(void **state)
{
    (void)state;
    struct world *world = world_new(NULL);
    world->answers[0] = server_says(201, NULL, "{\"sandboxID\":\"i/../x\"}");
    create(world, &(struct e2b_sandbox_options){.template_id = "base"});
    world_wait(world, "sandbox!13? ");
    world_free(world);
}

static void tells_the_two_kinds_of_too_many_apart(void **state)
{
    (void)state;
    struct world *world = world_new(NULL);
    world->answers[0] = server_says(429, NULL,
                                    "{\"code\":429,\"message\":\"you have reached the maximum number of "
                                    "concurrent E2B sandboxes (20). Up\"}");
    create(world, &(struct e2b_sandbox_options){.template_id = "base"});
    world_wait(world, "sandbox!6 ");
    world->answers[1] =
        server_says(429, "Retry-After: 7\r\n", "{\"code\":429,\"message\":\"Rate limit exceeded\"}");
    create(world, &(struct e2b_sandbox_options){.template_id = "base"});
    world_wait(world, "sandbox!5 ");
    assert_int_equal(world->error.retry_after_ms, 7000);
    world_free(world);
}

static void on_page(struct e2b_call *call, const struct e2b_error *error, const struct e2b_sandbox_page *page)
{
    struct world *world = call->arg;
    if (page)
        buffer_append_format(&world->story, "%zu %s %lld %lld ", page->count, page->next ? page->next : "-",
                             (long long)page->total_running, (long long)page->items[0].remaining_ms);
    world_note(call, "page", error);
}

static void lists_by_metadata_encoded_twice(void **state)
{
    (void)state;
    struct world *world = world_new(NULL);
    const struct e2b_pair metadata[] = {{"a b", "1&2"}, {"c", "d"}};
    world->answers[0] =
        server_says(200, "X-Next-Token: n/1\r\nX-Total-Running: 7\r\nDate: Sat, 21 Nov 2026 05:00:00 GMT\r\n",
                    "[{\"sandboxID\":\"i1\",\"templateID\":\"t\",\"startedAt\":\"2026-11-21T04:59:00Z\","
                    "\"endAt\":\"2026-11-21T05:01:00Z\",\"state\":\"running\"}]");
    START(world, e2b_sandbox_list(world->client, &world->call,
                                  &(struct e2b_sandbox_filter){.metadata = {.items = metadata, .count = 2},
                                                               .with_paused = true,
                                                               .limit = 50,
                                                               .next = "x/y"},
                                  on_page));
    world_wait(world, "page ");
    assert_text(world->story.data, "1 n/1 7 60000 page ");
    assert_non_null(strstr(world->heads[0], "GET /v2/sandboxes?limit=50&state=running,paused&metadata="
                                            "a%2520b%3D1%25262%26c%3Dd&nextToken=x%2Fy HTTP/1.1\r\n"));
    world_free(world);
}

static void keeps_pauses_and_connects(void **state)
{
    (void)state;
    struct world *world = world_new(NULL);
    world->answers[0] = server_says(204, NULL, "");
    world->answers[1] = server_says(409, NULL, "{\"code\":409,\"message\":\"already paused\"}");
    world->answers[2] = server_says(201, NULL, world_handle);
    world->answers[3] = server_says(404, NULL, "{\"code\":404,\"message\":\"x\"}");
    START(world, e2b_sandbox_keep(world->client, &world->call, "i/1", 9001, world_on_done));
    world_wait(world, "done ");
    assert_non_null(strstr(world->heads[0], "POST /sandboxes/i%2F1/timeout HTTP/1.1\r\n"));
    assert_text(world->bodies[0].data, "{\"timeout\":10}");
    START(world, e2b_sandbox_pause(world->client, &world->call, "i1", world_on_done));
    world_wait(world, "done!4 ");
    START(world, e2b_sandbox_connect(world->client, &world->call, "i1", 0, world_on_sandbox));
    world_wait(world, "sandbox ");
    assert_text(world->bodies[2].data, "{\"timeout\":300}");
    START(world, e2b_sandbox_keep(world->client, &world->call, "i1", 1, world_on_done));
    world_wait(world, "done!8 ");
    world_free(world);
}

static void an_answer_over_the_bound_is_not_read(void **state)
{
    (void)state;
    struct world *world = world_new(&(struct e2b_client_options){.max_answer_bytes = 20});
    world->answers[0] = server_says(200, NULL, world_handle);
    START(world, e2b_sandbox_open(world->client, &world->call, "i1", world_on_sandbox));
    world_wait(world, "sandbox!12");
    world_free(world);
}

static void several_files_go_in_one_request(void **state)
{
    (void)state;
    struct world *world = world_new(NULL);
    world_open(world);
    char *large = base_alloc(100000);
    memset(large, 'x', 100000);
    const struct e2b_file files[] = {{.path = "a\"b.txt", .content = {.data = "one", .length = 3}},
                                     {.path = "d/large", .content = {.data = large, .length = 100000}},
                                     {.path = "empty"}};
    world->answers[0] = server_says(200, NULL, "[]");
    START(world, e2b_files_write(world->sandbox, &world->call, files, 3, world_on_done));
    world_wait(world, "done ");
    assert_int_equal(world->asked, 1);
    assert_non_null(strstr(world->heads[0], "POST /files HTTP/1.1\r\n"));
    assert_non_null(strstr(world->heads[0], "\r\nContent-Type: multipart/form-data; boundary="));
    assert_non_null(strstr(world->bodies[0].data, "filename=\"a\\\"b.txt\"\r\n"));
    assert_non_null(strstr(world->bodies[0].data, "\r\n\r\none\r\n--"));
    assert_true(world->bodies[0].length > 100000);
    free(large);
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(creates_with_everything),
        cmocka_unit_test(falls_back_to_v1_and_remembers),
        cmocka_unit_test(a_missing_template_is_no_missing_path),
        cmocka_unit_test(a_create_that_is_too_late_is_never_sent),
        cmocka_unit_test(a_create_cut_off_on_a_reused_connection_is_not_repeated),
        cmocka_unit_test(a_kill_cut_off_on_a_reused_connection_is_repeated),
        cmocka_unit_test(a_refused_connection_is_decided),
        cmocka_unit_test(an_unanswered_create_is_undecided),
        cmocka_unit_test(an_answer_that_makes_no_sense_is_undecided),
        cmocka_unit_test(tells_the_two_kinds_of_too_many_apart),
        cmocka_unit_test(lists_by_metadata_encoded_twice),
        cmocka_unit_test(keeps_pauses_and_connects),
        cmocka_unit_test(an_answer_over_the_bound_is_not_read),
        cmocka_unit_test(several_files_go_in_one_request),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
