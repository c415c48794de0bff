/* Calls and clients, here: beginning, deadline, answers, end. */
#include "fakes/e2b/inside.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void free_operation(void *object)
{
    struct e2b_operation *operation = object;
    LIST_EACH(&operation->letters, link)
    letter_free(LIST_OBJECT(link, struct letter, link));
    free(operation);
}

static struct e2b_call *operation_end(struct e2b_operation *operation)
{
    struct loop *loop = operation->client->loop;
    struct e2b_call *call = TAKE(operation->call);
    assert(call && call->operation == operation);
    call->operation = NULL;
    if (operation->handle)
        operation->handle->active--;
    if (operation->request)
        request_leave(TAKE(operation->request));
    virtual_arrive_cancel(loop, &operation->arrival);
    loop_timer_stop(loop, &operation->deadline);
    link_remove(&operation->link);
    loop_reap(loop, operation, free_operation);
    return call;
}

static void fail(struct e2b_operation *operation, const struct e2b_error *error)
{
    const struct e2b_operation copy = *operation;
    struct e2b_call *call = operation_end(operation);
    switch (copy.kind) {
    case E2B_WORLD_CREATE:
    case E2B_WORLD_CONNECT:
        copy.on.sandbox(call, error, NULL);
        return;
    case E2B_WORLD_LIST:
        copy.on.page(call, error, NULL);
        return;
    case E2B_WORLD_INSPECT:
        copy.on.info(call, error, NULL);
        return;
    case E2B_WORLD_CODE:
        copy.on.code(call, error, NULL);
        return;
    case E2B_WORLD_PROCESS:
        copy.on.exit(call, error, NULL);
        return;
    case E2B_WORLD_STAT:
        copy.on.file(call, error, NULL);
        return;
    case E2B_WORLD_FILES:
        copy.on.files(call, error, NULL);
        return;
    case E2B_WORLD_KEEP:
    case E2B_WORLD_KILL:
    case E2B_WORLD_WRITE:
    case E2B_WORLD_READ:
        copy.on.done(call, error);
        return;
    case E2B_WORLD_ANY:
    case E2B_WORLD_CALL_COUNT:
        break;
    }
    assert(!"every kind of call is handled above");
}

static void fail_kind(struct e2b_operation *operation, enum e2b_error_kind kind, const char *message)
{
    struct e2b_error error = {.kind = kind, .undecided = kind == E2B_ERROR_TIMEOUT};
    (void)snprintf(error.message, sizeof error.message, "%s", message);
    fail(operation, &error);
}

/* ---- letters ---- */

static struct e2b_sandbox *new_handle(struct e2b_client *client, const char *id)
{
    struct e2b_sandbox *handle = base_alloc(sizeof *handle);
    handle->client = client;
    (void)snprintf(handle->id, sizeof handle->id, "%s", id);
    return handle;
}

static void hear_output(struct e2b_operation *operation, const struct e2b_output *output)
{
    operation->output(operation->call, output);
    if (operation->call && operation->cut_after > 0 && ++operation->events >= operation->cut_after)
        fail_kind(operation, E2B_ERROR_BROKEN, "the stream was cut");
}

static void hear(struct e2b_operation *operation, const struct letter *letter)
{
    const struct e2b_operation copy = *operation;
    switch (letter->kind) {
    case LETTER_ERROR:
        fail(operation, &letter->is.error);
        return;
    case LETTER_DONE:
        copy.on.done(operation_end(operation), NULL);
        return;
    case LETTER_SANDBOX:
        copy.on.sandbox(operation_end(operation), NULL, new_handle(copy.client, letter->is.sandbox));
        return;
    case LETTER_PAGE:
        copy.on.page(operation_end(operation), NULL, &letter->is.page);
        return;
    case LETTER_INFO:
        copy.on.info(operation_end(operation), NULL, &letter->is.info);
        return;
    case LETTER_BYTES:
        operation->bytes(operation->call, letter->is.bytes);
        return;
    case LETTER_FILE:
        copy.on.file(operation_end(operation), NULL, &letter->is.file);
        return;
    case LETTER_FILES:
        copy.on.files(operation_end(operation), NULL, &letter->is.files);
        return;
    case LETTER_OUTPUT:
        hear_output(operation, &letter->is.output);
        return;
    case LETTER_CODE:
        copy.on.code(operation_end(operation), NULL,
                     letter->is.exception.name ? &letter->is.exception : NULL);
        return;
    case LETTER_EXIT:
        copy.on.exit(operation_end(operation), NULL, &(struct e2b_exit){0});
        return;
    }
}

static void on_arrival(void *arg)
{
    struct e2b_operation *operation = arg;
    struct loop *loop = operation->client->loop;
    while (operation->call && !list_is_empty(&operation->letters)) {
        struct letter *letter = LIST_OBJECT(operation->letters.next, struct letter, link);
        int64_t wait_ms = letter->due_ms - loop_boot_ms(operation->client->world->loop);
        if (wait_ms > 0) {
            virtual_arrive(loop, &operation->arrival, wait_ms, on_arrival, operation);
            return;
        }
        link_remove(&letter->link);
        hear(operation, letter);
        letter_free(letter);
    }
}

void operation_receive(struct e2b_operation *operation, struct letter *letter)
{
    list_push_back(&operation->letters, &letter->link);
    if (!timer_is_active(&operation->arrival))
        virtual_arrive(operation->client->loop, &operation->arrival,
                       letter->due_ms - loop_boot_ms(operation->client->world->loop), on_arrival, operation);
}

/* ---- beginning ---- */

static void on_deadline(void *arg)
{
    fail_kind(arg, E2B_ERROR_TIMEOUT, "no answer in time");
}

static const char *job_of(const struct e2b_operation *operation)
{
    const struct place *place =
        operation->handle ? place_find(operation->client->world, operation->handle->id) : NULL;
    return place ? place->job : "";
}

struct e2b_operation *operation_begin(struct e2b_client *client, struct e2b_sandbox *handle,
                                      struct e2b_call *call, enum e2b_world_call kind,
                                      int64_t default_timeout_ms)
{
    struct e2b_world *world = client->world;
    assert(!call->operation && !client->closed);
    virtual_place(client->loop);
    struct e2b_operation *operation = base_alloc(sizeof *operation);
    operation->client = client;
    operation->handle = handle;
    operation->call = call;
    operation->kind = kind;
    operation->request = request_new(world, operation, kind);
    list_init(&operation->letters);
    call->operation = operation;
    if (handle) {
        handle->active++;
        operation->request->sandbox = base_strdup(handle->id);
    }
    list_push_back(&client->operations, &operation->link);
    world->calls[kind]++;
    world->calls[E2B_WORLD_ANY]++;
    int64_t timeout_ms = call->timeout_ms != 0 ? call->timeout_ms : default_timeout_ms;
    if (timeout_ms > 0)
        loop_timer_start(client->loop, &operation->deadline, timeout_ms, on_deadline, operation);
    if (kind == E2B_WORLD_CREATE) /* its job is not known yet */
        return operation;
    struct e2b_request *request = operation->request;
    request->is_faulty = e2b_world_take_fault(world, kind, job_of(operation), &request->fault);
    operation->cut_after = request->is_faulty ? request->fault.cut_after : 0;
    e2b_world_tell(world, kind, job_of(operation), /* is_done= */ false);
    return operation;
}

void operation_run(struct e2b_operation *operation, void (*perform)(struct e2b_request *request))
{
    request_send(operation->request, perform);
    virtual_place(operation->client->loop);
}

/* ---- calls, as everybody may use them ---- */

bool e2b_call_is_active(const struct e2b_call *call)
{
    return call->operation != NULL;
}

void e2b_call_cancel(struct e2b_call *call)
{
    if (call->operation)
        (void)operation_end(call->operation);
}

void e2b_call_pause(struct e2b_call *call)
{
    (void)call;
}

void e2b_call_resume(struct e2b_call *call)
{
    (void)call;
}

/* ---- clients ---- */

struct e2b_client *e2b_client_new(struct uv_loop_s *loop, const struct e2b_client_options *options)
{
    struct e2b_client *client = base_alloc(sizeof *client);
    client->world = e2b_world_at(options->api_url);
    client->loop = loop ? (struct loop *)loop : client->world->loop;
    list_init(&client->operations);
    list_push_back(&client->world->clients, &client->link);
    return client;
}

static void on_closing(void *arg)
{
    struct e2b_client *client = arg;
    while (!list_is_empty(&client->operations))
        fail_kind(LIST_OBJECT(client->operations.next, struct e2b_operation, link), E2B_ERROR_CLOSED,
                  "the client was closed");
    link_remove(&client->link);
    client->closed(client->closed_arg);
    loop_reap(client->loop, client, free);
}

static void ignore(void *arg)
{
    (void)arg;
}

void e2b_client_close(struct e2b_client *client, e2b_closed_fn closed, void *arg)
{
    assert(!client->closed);
    client->closed = closed ? closed : ignore;
    client->closed_arg = arg;
    loop_timer_start(client->loop, &client->closing, 1, on_closing, client);
}

void e2b_world_kill(struct e2b_world *world, struct loop *loop)
{
    LIST_EACH(&world->clients, link)
    {
        struct e2b_client *client = LIST_OBJECT(link, struct e2b_client, link);
        if (client->loop == loop)
            link_remove(&client->link);
    }
    LIST_EACH(&world->requests, link)
    {
        struct e2b_request *request = LIST_OBJECT(link, struct e2b_request, link);
        if (!request->operation || request->operation->client->loop != loop)
            continue;
        request->operation->request = NULL;
        request_leave(request);
    }
}
