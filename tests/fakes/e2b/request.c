/* What E2B does with a call. */
#include "fakes/e2b/inside.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { BACK_MS = 2 }; /* of a call's delay: the way of its answer */

static void free_request(void *object)
{
    struct e2b_request *request = object;
    for (size_t i = 0; i < request->count; i++) {
        free(request->paths[i]);
        buffer_release(&request->contents[i]);
    }
    free(request->paths);
    free(request->contents);
    free(request->text);
    free(request->id);
    free(request->why);
    free(request->sandbox);
    free(request->mark);
    free(request);
}

struct e2b_request *request_new(struct e2b_world *world, struct e2b_operation *operation,
                                enum e2b_world_call kind)
{
    struct e2b_request *request = base_alloc(sizeof *request);
    request->world = world;
    request->operation = operation;
    request->client = operation->client->loop;
    request->kind = kind;
    list_push_back(&world->requests, &request->link);
    return request;
}

void request_end(struct e2b_request *request)
{
    if (!link_is_on_list(&request->link))
        return;
    if (request->operation)
        request->operation->request = NULL;
    request->operation = NULL;
    virtual_arrive_cancel(request->world->loop, &request->timer);
    link_remove(&request->follow);
    link_remove(&request->link);
    struct program *program = TAKE(request->program);
    /* The interpreter notices a leaving caller. */
    if (program && program->owner == request) {
        program->owner = NULL;
        program_stop(program, 2);
    }
    loop_reap(request->world->loop, request, free_request);
}

void request_leave(struct e2b_request *request)
{
    request->operation = NULL;
    if (request->program)
        request_end(request);
}

/* ---- letters ---- */

struct letter *letter_new(enum letter_kind kind)
{
    struct letter *letter = base_alloc(sizeof *letter);
    letter->kind = kind;
    arena_init(&letter->arena, 256);
    return letter;
}

void letter_free(struct letter *letter)
{
    link_remove(&letter->link);
    arena_release(&letter->arena);
    free(letter);
}

static int64_t back_ms(const struct e2b_world *world, enum e2b_world_call kind)
{
    return MIN(BACK_MS, world->delay_ms[kind] / 2);
}

void request_post(struct e2b_request *request, struct letter *letter)
{
    if (!request->operation || request->is_mute) {
        letter_free(letter);
        return;
    }
    letter->due_ms = loop_boot_ms(request->world->loop) + back_ms(request->world, request->kind);
    operation_receive(request->operation, letter);
}

void request_answer(struct e2b_request *request, struct letter *letter)
{
    request_post(request, letter);
    if (!request->is_mute)
        request_end(request);
}

void request_done(struct e2b_request *request)
{
    request_answer(request, letter_new(LETTER_DONE));
}

void request_fail(struct e2b_request *request, enum e2b_error_kind kind, const char *message)
{
    struct letter *letter = letter_new(LETTER_ERROR);
    letter->is.error.kind = kind;
    (void)snprintf(letter->is.error.message, sizeof letter->is.error.message, "%s", message);
    request_answer(request, letter);
}

struct place *request_place(struct e2b_request *request)
{
    struct place *place = place_find(request->world, request->sandbox ? request->sandbox : request->id);
    if (!place)
        request_fail(request, E2B_ERROR_GONE, "the sandbox is gone");
    return place;
}

/* ---- its turn ---- */

static void say_fault(struct e2b_request *request)
{
    struct letter *letter = letter_new(LETTER_ERROR);
    letter->is.error = request->fault.error;
    if (letter->is.error.message[0] == '\0')
        (void)snprintf(letter->is.error.message, sizeof letter->is.error.message, "the test says so (%s)",
                       e2b_world_call_name(request->kind));
    request_post(request, letter);
}

/* Nobody hears of it. */
static void perform_mute(void *arg)
{
    struct e2b_request *request = arg;
    request->is_mute = true;
    request->perform(request);
    request_end(request);
}

static void let_go(struct e2b_request *request)
{
    if (request->operation)
        request->operation->request = NULL;
    request->operation = NULL;
}

static void tell_fault(const struct e2b_request *request)
{
    const struct e2b_world_eye *eye = request->world->eye;
    if (!eye || !eye->on_fault)
        return;
    const char *id = request->sandbox ? request->sandbox : request->id ? request->id : "";
    const struct place *place = place_find(request->world, id);
    const char *job = place ? place->job : "";
    for (size_t i = 0; request->kind == E2B_WORLD_CREATE && i + 1 < request->count; i += 2)
        if (strcmp(request->paths[i], "job") == 0)
            job = request->paths[i + 1];
    eye->on_fault(eye->arg, request->kind, job);
}

static void on_turn(void *arg)
{
    struct e2b_request *request = arg;
    const struct e2b_world_fault *fault = &request->fault;
    if (request->is_faulty)
        tell_fault(request);
    bool fails = request->is_faulty && (fault->is_silent || fault->error.kind != 0);
    if (!fails) {
        request->perform(request);
        if (!request->operation && link_is_on_list(&request->link))
            request_end(request); /* it left before */
        return;
    }
    if (!fault->is_silent)
        say_fault(request);
    let_go(request);
    int64_t late_ms = request->sent_ms + fault->late_ms - loop_boot_ms(request->world->loop);
    if (fault->late_ms > 0)
        virtual_arrive(request->world->loop, &request->timer, late_ms, perform_mute, request);
    else if (fault->is_done)
        perform_mute(request);
    else
        request_end(request);
}

void request_send(struct e2b_request *request, void (*perform)(struct e2b_request *request))
{
    struct e2b_world *world = request->world;
    int64_t delay_ms = e2b_world_delay_of(world, request->kind) - back_ms(world, request->kind);
    request->perform = perform;
    request->sent_ms = loop_boot_ms(world->loop);
    virtual_arrive(world->loop, &request->timer, MAX(delay_ms, 1), on_turn, request);
}
