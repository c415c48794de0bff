/* The contract of slots: done once, never from inside start, slot idle again; cancel is silence; close is
 * heard by all. */
#include "e2b/e2b.h"
#include "server.h"
#include "test.h"

#include <stdio.h>

struct world {
    uv_loop_t uv;
    struct server *server;
    struct e2b_client *client;
    struct e2b_sandbox *sandbox;
    struct e2b_call call;
    struct buffer story; /* what the callbacks saw */
    struct server_answer answers[16];
    char heads[16][600];
    char bodies[16][600];
    int asked;
    bool in_start;
    bool is_closed;
    struct e2b_error error;
};

static struct server_answer on_request(void *arg, const struct server_request *request)
{
    struct world *world = arg;
    assert_true(world->asked < 16);
    snprintf(world->heads[world->asked], sizeof world->heads[0], "%s", request->head);
    snprintf(world->bodies[world->asked], sizeof world->bodies[0], "%.*s", (int)request->body.length,
             (const char *)request->body.data);
    struct server_answer answer = world->answers[world->asked];
    if (!answer.bytes.data && answer.then != SERVER_HANGS && answer.then != SERVER_RESETS)
        fail_msg("request %d was not expected: %s", world->asked, request->head);
    world->asked++;
    return answer;
}

static void on_closed(void *arg)
{
    struct world *world = arg;
    world->is_closed = true;
    e2b_sandbox_free(world->sandbox);
    world->sandbox = NULL;
    if (world->server)
        server_close(world->server);
}

static struct world *world_new(void)
{
    struct world *world = base_alloc(sizeof *world);
    uv_loop_init(&world->uv);
    world->server = server_new(&world->uv, on_request, world);
    world->client =
        e2b_client_new(&world->uv, &(struct e2b_client_options){.api_key = "e2b_key",
                                                                .api_url = server_url(world->server),
                                                                .sandbox_url = server_url(world->server)});
    world->call.arg = world;
    return world;
}

static void world_free(struct world *world)
{
    e2b_client_close(world->client, on_closed, world);
    uv_run(&world->uv, UV_RUN_DEFAULT);
    assert_true(world->is_closed);
    assert_int_equal(uv_loop_close(&world->uv), 0);
    buffer_release(&world->story);
    free(world);
}

static void run_until(struct world *world, const char *story)
{
    for (int i = 0; i < 20000 && !(world->story.data && strstr(world->story.data, story)); i++)
        uv_run(&world->uv, UV_RUN_ONCE);
    if (!world->story.data || !strstr(world->story.data, story))
        fail_msg("waited for '%s', got '%s'", story, world->story.data ? world->story.data : "");
}

static void note(struct e2b_call *call, const char *what, const struct e2b_error *error)
{
    struct world *world = call->arg;
    assert_false(world->in_start);
    assert_false(e2b_call_is_active(call));
    buffer_append_text(&world->story, what);
    if (error) {
        world->error = *error;
        buffer_append_format(&world->story, "!%d", (int)error->kind);
    }
    buffer_append_byte(&world->story, ' ');
}

#define START(world, statement)                                                                              \
    do {                                                                                                     \
        (world)->in_start = true;                                                                            \
        statement;                                                                                           \
        (world)->in_start = false;                                                                           \
    } while (0)

static const char handle[] =
    "{\"templateID\":\"t\",\"sandboxID\":\"isandbox1\",\"clientID\":\"c\",\"envdVersion\":\"0.6.0\","
    "\"envdAccessToken\":\"token1\",\"domain\":null}";
static const char ran[] = "{\"type\": \"number_of_executions\", \"execution_count\": 1}\n"
                          "{\"type\": \"stdout\", \"text\": \"hi\\n\"}\n"
                          "{\"type\": \"end_of_execution\"}\n";

static void on_killed(struct e2b_call *call, const struct e2b_error *error)
{
    note(call, "killed", error);
}

static void on_ran(struct e2b_call *call, const struct e2b_error *error,
                   const struct e2b_exception *exception)
{
    struct world *world = call->arg;
    note(call, exception ? "raised" : "ran", error);
    START(world, e2b_sandbox_kill(world->client, call, e2b_sandbox_id(world->sandbox), on_killed));
}

static void on_output(struct e2b_call *call, const struct e2b_output *output)
{
    struct world *world = call->arg;
    assert_true(e2b_call_is_active(call));
    buffer_append_format(&world->story, "o%d:%.*s ", (int)output->kind, (int)output->bytes.length,
                         (const char *)output->bytes.data);
}

static void on_created(struct e2b_call *call, const struct e2b_error *error, struct e2b_sandbox *sandbox)
{
    struct world *world = call->arg;
    note(call, "created", error);
    world->sandbox = sandbox;
    if (sandbox)
        START(world,
              e2b_code_run(sandbox, call, &(struct e2b_code){.text = "print('hi')"}, on_output, on_ran));
}

static void create(struct world *world)
{
    START(world, e2b_sandbox_create(world->client, &world->call,
                                    &(struct e2b_sandbox_options){.template_id = "base"}, on_created));
    assert_true(e2b_call_is_active(&world->call));
}

static void chains_create_run_kill_in_one_slot(void **state)
{
    (void)state;
    struct world *world = world_new();
    world->answers[0] = server_says(201, NULL, handle);
    world->answers[1] = server_says(200, NULL, ran);
    world->answers[2] = server_says(204, NULL, "");
    create(world);
    run_until(world, "killed");
    assert_text(world->story.data, "created o0: o1:hi\n ran killed ");
    assert_non_null(strstr(world->heads[0], "POST /v2/sandboxes HTTP/1.1\r\n"));
    assert_non_null(strstr(world->heads[0], "\r\nX-API-KEY: e2b_key\r\n"));
    assert_null(strstr(world->heads[0], "Expect"));
    assert_non_null(strstr(world->heads[1], "POST /execute HTTP/1.1\r\n"));
    assert_non_null(strstr(world->heads[1], "\r\nE2b-Sandbox-Id: isandbox1\r\n"));
    assert_non_null(strstr(world->heads[1], "\r\nE2b-Sandbox-Port: 49999\r\n"));
    assert_non_null(strstr(world->heads[1], "\r\nX-Access-Token: token1\r\n"));
    assert_non_null(strstr(world->heads[2], "DELETE /sandboxes/isandbox1 HTTP/1.1\r\n"));
    assert_text(world->bodies[1], "{\"code\":\"print('hi')\"}");
    world_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(chains_create_run_kill_in_one_slot),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
