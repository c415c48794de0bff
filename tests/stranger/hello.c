/* A stranger's program: it knows the installed header and libuv, nothing else. */
#include <e2b/e2b.h>
#include <stdio.h>
#include <uv.h>

struct hello {
    struct e2b_client *client;
    struct e2b_sandbox *sandbox;
    struct e2b_call call;
    int status;
};

static void on_end(struct e2b_call *call, const struct e2b_error *error)
{
    struct hello *hello = call->arg;
    if (error) {
        fprintf(stderr, "hello: %s\n", error->message);
        hello->status = 1;
    }
    e2b_client_close(hello->client, NULL, NULL);
}

static void on_ran(struct e2b_call *call, const struct e2b_error *error, const struct e2b_exception *raised)
{
    struct hello *hello = call->arg;
    if (error || raised) {
        fprintf(stderr, "hello: %s\n", error ? error->message : raised->traceback);
        hello->status = 1;
    }
    e2b_sandbox_kill(hello->client, call, e2b_sandbox_id(hello->sandbox), on_end);
    e2b_sandbox_free(hello->sandbox);
}

static void on_created(struct e2b_call *call, const struct e2b_error *error, struct e2b_sandbox *sandbox)
{
    ((struct hello *)call->arg)->sandbox = sandbox;
    if (error)
        on_end(call, error);
    else
        e2b_code_run(sandbox, call, &(struct e2b_code){.text = "print('hello')"}, e2b_output_print, on_ran);
}

int main(void)
{
    struct hello hello = {.client = e2b_client_new(uv_default_loop(), NULL), .call.arg = &hello};
    e2b_sandbox_create(hello.client, &hello.call, NULL, on_created);
    uv_run(uv_default_loop(), UV_RUN_DEFAULT);
    return hello.status;
}
