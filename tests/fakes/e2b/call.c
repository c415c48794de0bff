/* Calls and clients: beginning, deadline, fault, end. */
#include "fakes/e2b/inside.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void free_operation(void *object)
{
    struct e2b_operation *operation = object;
    for (size_t i = 0; i < operation->count; i++) {
        free(operation->paths[i]);
        buffer_release(&operation->contents[i]);
    }
    free(operation->paths);
    free(operation->contents);
    free(operation->text);
    free(operation->id);
    free(operation->mark);
    free(operation);
}

struct e2b_call *operation_end(struct e2b_operation *operation)
{
    struct loop *loop = operation->client->world->loop;
    struct e2b_call *call = TAKE(operation->call);
    assert(call && call->operation == operation);
    call->operation = NULL;
    if (operation->handle)
        operation->handle->active--;
    /* The interpreter notices a leaving caller. */
    if (operation->program && operation->program->owner == operation) {
        operation->program->owner = NULL;
        program_stop(operation->program, 2);
    }
    loop_timer_stop(loop, &operation->answer);
    loop_timer_stop(loop, &operation->deadline);
    link_remove(&operation->link);
    loop_reap(loop, operation, free_operation);
    return call;
}

void operation_fail(struct e2b_operation *operation, const struct e2b_error *error)
{
    enum e2b_world_call kind = operation->kind;
    struct e2b_operation copy = *operation;
    struct e2b_error said = *error;
    struct e2b_call *call = operation_end(operation);
    if (said.message[0] == '\0')
        (void)snprintf(said.message, sizeof said.message, "the test says so (%s)", e2b_world_call_name(kind));
    switch (kind) {
    case E2B_WORLD_CREATE:
    case E2B_WORLD_CONNECT:
        copy.on.sandbox(call, &said, NULL);
        return;
    case E2B_WORLD_LIST:
        copy.on.page(call, &said, NULL);
        return;
    case E2B_WORLD_INSPECT:
        copy.on.info(call, &said, NULL);
        return;
    case E2B_WORLD_CODE:
        copy.on.code(call, &said, NULL);
        return;
    case E2B_WORLD_PROCESS:
        copy.on.exit(call, &said, NULL);
        return;
    case E2B_WORLD_STAT:
        copy.on.file(call, &said, NULL);
        return;
    case E2B_WORLD_FILES:
        copy.on.files(call, &said, NULL);
        return;
    case E2B_WORLD_KEEP:
    case E2B_WORLD_KILL:
    case E2B_WORLD_WRITE:
    case E2B_WORLD_READ:
        copy.on.done(call, &said);
        return;
    case E2B_WORLD_ANY:
    case E2B_WORLD_CALL_COUNT:
        break;
    }
    assert(!"every kind of call is handled above");
}

void operation_fail_kind(struct e2b_operation *operation, enum e2b_error_kind kind, const char *message)
{
    struct e2b_error error = {.kind = kind};
    (void)snprintf(error.message, sizeof error.message, "%s", message);
    operation_fail(operation, &error);
}

struct place *operation_place(struct e2b_operation *operation)
{
    struct e2b_world *world = operation->client->world;
    struct place *place = place_find(world, operation->handle ? operation->handle->id : operation->id);
    if (!place)
        operation_fail_kind(operation, E2B_ERROR_GONE, "the sandbox is gone");
    return place;
}

static void on_deadline(void *arg)
{
    struct e2b_operation *operation = arg;
    struct e2b_error error = {.kind = E2B_ERROR_TIMEOUT, .undecided = true};
    (void)snprintf(error.message, sizeof error.message, "no answer in time");
    operation_fail(operation, &error);
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
    struct e2b_operation *operation = base_alloc(sizeof *operation);
    operation->client = client;
    operation->handle = handle;
    operation->call = call;
    operation->kind = kind;
    call->operation = operation;
    if (handle)
        handle->active++;
    list_push_back(&world->operations, &operation->link);
    world->calls[kind]++;
    world->calls[E2B_WORLD_ANY]++;
    if (kind != E2B_WORLD_CREATE) /* its job is not known yet */
        operation->is_faulty = e2b_world_take_fault(world, kind, job_of(operation), &operation->fault);
    int64_t timeout_ms = call->timeout_ms != 0 ? call->timeout_ms : default_timeout_ms;
    if (timeout_ms > 0)
        loop_timer_start(world->loop, &operation->deadline, timeout_ms, on_deadline, operation);
    if (kind != E2B_WORLD_CREATE)
        e2b_world_tell(world, kind, job_of(operation), /* is_done= */ false);
    return operation;
}

/* What a call does when nobody hears of it any more. */
static void perform_unheard(struct e2b_operation *operation)
{
    struct e2b_world *world = operation->client->world;
    struct place *place = place_find(world, operation->handle ? operation->handle->id
                                            : operation->id   ? operation->id
                                                              : "");
    if (!place)
        return;
    if (operation->kind == E2B_WORLD_KILL)
        place_end(place);
    else if (operation->kind == E2B_WORLD_KEEP)
        place_set_end(place, operation->live_ms);
    for (size_t i = 0; operation->kind == E2B_WORLD_WRITE && i < operation->count; i++)
        place_write(place, operation->paths[i], buffer_bytes(&operation->contents[i]));
}

static void on_answer(void *arg)
{
    struct e2b_operation *operation = arg;
    const struct e2b_world_fault *fault = &operation->fault;
    bool fails = operation->is_faulty && (fault->is_silent || fault->error.kind != 0);
    if (fails && fault->is_done)
        perform_unheard(operation);
    if (!fails)
        operation->perform(operation);
    else if (!fault->is_silent)
        operation_fail(operation, &fault->error);
}

void operation_run(struct e2b_operation *operation, void (*perform)(struct e2b_operation *operation))
{
    struct e2b_world *world = operation->client->world;
    operation->perform = perform;
    loop_timer_start(world->loop, &operation->answer, world->delay_ms[operation->kind], on_answer, operation);
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
    (void)loop;
    struct e2b_client *client = base_alloc(sizeof *client);
    client->world = e2b_world_at(options->api_url);
    list_push_back(&client->world->clients, &client->link);
    return client;
}

static struct e2b_operation *find_operation(const struct e2b_client *client)
{
    LIST_EACH(&client->world->operations, link)
    {
        struct e2b_operation *operation = LIST_OBJECT(link, struct e2b_operation, link);
        if (operation->client == client)
            return operation;
    }
    return NULL;
}

static void on_closing(void *arg)
{
    struct e2b_client *client = arg;
    for (struct e2b_operation *operation; (operation = find_operation(client));)
        operation_fail_kind(operation, E2B_ERROR_CLOSED, "the client was closed");
    link_remove(&client->link);
    client->closed(client->closed_arg);
    loop_reap(client->world->loop, client, free);
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
    loop_timer_start(client->world->loop, &client->closing, 1, on_closing, client);
}
