/* A stranger's program: it knows the installed header and libuv, nothing else. */
#include <e2b/e2b.h>
#include <stdio.h>
#include <stdlib.h>
#include <uv.h>

struct hello {
    struct e2b_client *client;
    struct e2b_sandbox *sandbox;
    struct e2b_call call;
    int status;
};

static void finish(struct hello *hello, const char *what, const struct e2b_error *error)
{
    if (error) {
        fprintf(stderr, "%s: %s\n", what, error->message);
        hello->status = 1;
    }
    e2b_sandbox_free(hello->sandbox);
    e2b_client_close(hello->client, NULL, NULL);
}

static void on_killed(struct e2b_call *call, const struct e2b_error *error)
{
    finish(call->arg, "kill", error);
}

static void on_output(struct e2b_call *call, const struct e2b_output *output)
{
    (void)call;
    if (output->kind == E2B_OUTPUT_STDOUT)
        fwrite(output->bytes.data, 1, output->bytes.length, stdout);
}

static void on_ran(struct e2b_call *call, const struct e2b_error *error,
                   const struct e2b_exception *exception)
{
    struct hello *hello = call->arg;
    if (error || exception) {
        fprintf(stderr, "run: %s\n", error ? error->message : exception->traceback);
        hello->status = 1;
    }
    e2b_sandbox_kill(hello->client, call, e2b_sandbox_id(hello->sandbox), on_killed);
}

static void on_created(struct e2b_call *call, const struct e2b_error *error, struct e2b_sandbox *sandbox)
{
    struct hello *hello = call->arg;
    hello->sandbox = sandbox;
    if (error)
        finish(hello, "create", error);
    else
        e2b_code_run(sandbox, call, &(struct e2b_code){.text = "print('hello')"}, on_output, on_ran);
}

int main(void)
{
    struct hello hello = {.call.arg = &hello};
    hello.client = e2b_client_new(uv_default_loop(),
                                  &(struct e2b_client_options){.api_key = getenv("E2B_API_KEY"),
                                                               .api_url = getenv("E2B_API_URL"),
                                                               .sandbox_url = getenv("E2B_SANDBOX_URL")});
    e2b_sandbox_create(hello.client, &hello.call,
                       &(struct e2b_sandbox_options){.template_id = "code-interpreter-v1", .live_ms = 60000},
                       on_created);
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    uv_loop_close(uv_default_loop());
    return hello.status;
}
