#include "world.h"

#include <stdio.h>

const char world_handle[] =
    "{\"templateID\":\"t\",\"sandboxID\":\"isandbox1\",\"clientID\":\"c\",\"envdVersion\":\"0.6.0\","
    "\"envdAccessToken\":\"token1\",\"domain\":null}";

static struct server_answer on_request(void *arg, const struct server_request *request)
{
    struct world *world = arg;
    assert_true(world->asked < WORLD_ANSWERS);
    int n = world->asked++;
    world->heads[n] = base_strdup(request->head);
    buffer_append(&world->bodies[n], request->body.data, request->body.length);
    struct server_answer answer = world->answers[n];
    if (!answer.bytes.data && answer.then != SERVER_HANGS && answer.then != SERVER_RESETS)
        fail_msg("request %d was not expected: %s", n, request->head);
    return answer;
}

struct world *world_new(const struct e2b_client_options *options)
{
    struct world *world = base_alloc(sizeof *world);
    struct e2b_client_options mine = options ? *options : (struct e2b_client_options){0};
    uv_loop_init(&world->uv);
    world->server = server_new(&world->uv, on_request, world);
    mine.api_key = mine.api_key ? mine.api_key : "e2b_key";
    mine.api_url = mine.api_url ? mine.api_url : server_url(world->server);
    mine.sandbox_url = mine.sandbox_url ? mine.sandbox_url : server_url(world->server);
    world->client = e2b_client_new(&world->uv, &mine);
    world->call.arg = world;
    world->is_patient = true;
    return world;
}

static void forget(struct world *world)
{
    for (int i = 0; i < world->asked; i++) {
        free(world->heads[i]);
        buffer_release(&world->bodies[i]);
    }
    memset(world->answers, 0, sizeof world->answers);
    world->asked = 0;
    buffer_clear(&world->story);
}

static void on_closed(void *arg)
{
    struct world *world = arg;
    world->is_closed = true;
    e2b_sandbox_free(world->sandbox);
    world->sandbox = NULL;
    server_close(world->server);
}

void world_close(struct world *world)
{
    world->is_closing = true;
    e2b_client_close(world->client, on_closed, world);
}

void world_free(struct world *world)
{
    if (!world->is_closing)
        world_close(world);
    uv_run(&world->uv, UV_RUN_DEFAULT);
    assert_true(world->is_closed);
    assert_int_equal(uv_loop_close(&world->uv), 0);
    forget(world);
    buffer_release(&world->story);
    free(world);
}

void world_open(struct world *world)
{
    forget(world);
    world->answers[0] = server_says(200, NULL, world_handle);
    START(world, e2b_sandbox_open(world->client, &world->call, "isandbox1", world_on_sandbox));
    world_wait(world, "sandbox");
    assert_non_null(world->sandbox);
    forget(world);
}

static bool has(const struct world *world, const char *text)
{
    return world->story.data && strstr(world->story.data, text);
}

static void on_timer(uv_timer_t *timer)
{
    uv_close((uv_handle_t *)timer, NULL);
}

void world_run_ms(struct world *world, int ms)
{
    uv_timer_t timer;
    uv_timer_init(&world->uv, &timer);
    uv_timer_start(&timer, on_timer, (uint64_t)ms, 0);
    while (!uv_is_closing((uv_handle_t *)&timer))
        uv_run(&world->uv, UV_RUN_ONCE);
    uv_run(&world->uv, UV_RUN_NOWAIT);
}

void world_wait(struct world *world, const char *text)
{
    for (int i = 0; i < 1000 && !has(world, text); i++)
        world_run_ms(world, i < 20 ? 1 : 20);
    if (!has(world, text))
        fail_msg("waited for '%s', got '%s'", text, world->story.data ? world->story.data : "");
}

void world_note(struct e2b_call *call, const char *what, const struct e2b_error *error)
{
    struct world *world = call->arg;
    assert_false(world->in_start);
    assert_false(e2b_call_is_active(call));
    buffer_append_text(&world->story, what);
    if (error) {
        world->error = *error;
        buffer_append_format(&world->story, "!%d%s", (int)error->kind, error->undecided ? "?" : "");
    }
    buffer_append_byte(&world->story, ' ');
}

void world_on_done(struct e2b_call *call, const struct e2b_error *error)
{
    world_note(call, "done", error);
}

void world_on_output(struct e2b_call *call, const struct e2b_output *output)
{
    struct world *world = call->arg;
    static const char *const names[] = {"start", "out", "err", "result"};
    assert_true(e2b_call_is_active(call));
    buffer_append_format(&world->story, "%s:%.*s ", names[output->kind], (int)output->bytes.length,
                         output->bytes.length > 0 ? (const char *)output->bytes.data : "");
}

void world_on_code(struct e2b_call *call, const struct e2b_error *error,
                   const struct e2b_exception *exception)
{
    world_note(call, exception ? "raised" : "ran", error);
}

void world_on_exit(struct e2b_call *call, const struct e2b_error *error, const struct e2b_exit *exit)
{
    char what[48];
    snprintf(what, sizeof what, exit ? "exit:%d/%d" : "exit", exit ? exit->code : 0, exit ? exit->signal : 0);
    world_note(call, what, error);
}

void world_on_sandbox(struct e2b_call *call, const struct e2b_error *error, struct e2b_sandbox *sandbox)
{
    struct world *world = call->arg;
    world_note(call, "sandbox", error);
    assert_null(world->sandbox);
    world->sandbox = sandbox;
}
