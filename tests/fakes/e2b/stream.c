/* Code and processes: their programs, and who listens to them. */
#include "fakes/e2b/inside.h"

#include <stdlib.h>
#include <string.h>

enum { CODE_TIMEOUT_MS = 300000, PROCESS_TIMEOUT_MS = 60000 };

static void say(struct e2b_request *request, enum e2b_output_kind kind, struct bytes bytes)
{
    struct letter *letter = letter_new(LETTER_OUTPUT);
    const void *data = bytes.length > 0 ? arena_copy(&letter->arena, bytes.data, bytes.length) : "";
    letter->is.output = (struct e2b_output){.kind = kind, .bytes = {data, bytes.length}, .pid = 1};
    request_post(request, letter);
}

static void say_rest(struct e2b_request *request, enum e2b_output_kind kind, const struct buffer *all,
                     size_t *at)
{
    size_t from = *at;
    if (from >= all->length)
        return;
    *at = all->length;
    say(request, kind, (struct bytes){all->data + from, all->length - from});
}

/* It has ended by itself: nobody is to stop it. */
static struct program *let_go(struct e2b_request *request)
{
    struct program *program = TAKE(request->program);
    link_remove(&request->follow);
    program->owner = NULL;
    return program;
}

static void end_code(struct e2b_request *request)
{
    const struct program *program = let_go(request);
    struct letter *letter = letter_new(LETTER_CODE);
    struct arena *arena = &letter->arena;
    if (program->name)
        letter->is.exception = (struct e2b_exception){arena_strdup(arena, program->name),
                                                      arena_strdup(arena, program->value), "Traceback"};
    else if (program->exit_code)
        letter->is.exception = (struct e2b_exception){"SystemExit", "1", ""};
    request_answer(request, letter);
}

/* As step.sh reports. */
static void end_process(struct e2b_request *request)
{
    const struct program *program = let_go(request);
    CLEANUP(buffer_release) struct buffer report = {0};
    const char *how = program->stopped ? program->stopped : program->signal ? "signal" : "exit";
    int number = program->stopped ? 0 : program->signal ? program->signal : program->exit_code;
    buffer_append_format(&report, "%s %s %d 7 1024 0 0 %zu %zu\n", request->mark, how, number,
                         program->out.length, program->err.length);
    say(request, E2B_OUTPUT_STDERR, buffer_bytes(&report));
    request_answer(request, letter_new(LETTER_EXIT));
}

static void follow(struct e2b_request *request)
{
    struct program *program = request->program;
    say_rest(request, E2B_OUTPUT_STDOUT, &program->out, &request->out_at);
    say_rest(request, E2B_OUTPUT_STDERR, &program->err, &request->err_at);
    if (program->is_cut)
        request_fail(request, E2B_ERROR_BROKEN, "the stream was cut");
    else if (program->has_ended && request->kind == E2B_WORLD_CODE)
        end_code(request);
    else if (program->has_ended)
        end_process(request);
}

void program_tell(struct program *program)
{
    LIST_EACH(&program->followers, link)
    follow(LIST_OBJECT(link, struct e2b_request, follow));
    program->is_cut = false;
}

static void on_gone(void *arg)
{
    request_fail(arg, E2B_ERROR_GONE, "the sandbox is gone");
}

void program_tell_gone(struct program *program)
{
    LIST_EACH(&program->followers, link)
    {
        struct e2b_request *request = LIST_OBJECT(link, struct e2b_request, follow);
        struct e2b_world *world = request->world;
        (void)let_go(request);
        virtual_arrive(world->loop, &request->timer, world->delay_ms[E2B_WORLD_ANY], on_gone, request);
    }
}

/* ---- code ---- */

static void attach(struct e2b_request *request, struct program *program)
{
    request->program = program;
    list_push_back(&program->followers, &request->follow);
    say(request, E2B_OUTPUT_STARTED, (struct bytes){"", 0});
    const struct e2b_world_eye *eye = request->world->eye;
    if (eye && eye->on_attached && request->operation)
        eye->on_attached(eye->arg, program->place, program->text, request->operation->client->loop);
}

static void do_code(struct e2b_request *request)
{
    struct place *place = request_place(request);
    if (!place)
        return;
    struct program *program = program_new(place, request->text);
    program->owner = request;
    program_start(program);
    attach(request, program);
}

void e2b_code_run(struct e2b_sandbox *sandbox, struct e2b_call *call, const struct e2b_code *code,
                  e2b_output_fn output, e2b_code_fn done)
{
    struct e2b_operation *operation =
        operation_begin(sandbox->client, sandbox, call, E2B_WORLD_CODE, CODE_TIMEOUT_MS);
    operation->request->text = base_strdup(code->text);
    operation->output = output;
    operation->on.code = done;
    operation_run(operation, do_code);
}

/* ---- processes ---- */

static void on_limit(void *arg)
{
    struct program *program = arg;
    program->stopped = "timeout";
    program_stop(program, 9);
    program_tell(program);
}

/* The program's source is the word that names a file. */
static struct program *begin_process(struct e2b_request *request, struct place *place)
{
    const struct stored_file *source = NULL;
    for (size_t i = 0; i < request->count && !source; i++)
        source = place_file(place, request->paths[i]);
    struct bytes text = source ? buffer_bytes(&source->content) : (struct bytes){"exit 127", 8};
    CLEANUP(base_freep) char *copy = base_strndup(text.data, text.length);
    struct program *program = program_new(place, copy);
    free(program->record);
    program->record = base_strdup(request->id);
    if (request->live_ms > 0)
        loop_timer_start(place->world->loop, &program->limit, request->live_ms, on_limit, program);
    program_start(program);
    return program;
}

static void do_step(struct e2b_request *request)
{
    struct place *place = request_place(request);
    if (!place)
        return;
    struct program *program = program_find(place, request->id);
    attach(request, program ? program : begin_process(request, place));
    follow(request);
}

static void do_stop(struct e2b_request *request)
{
    struct place *place = request_place(request);
    struct program *program = place ? program_find(place, request->id) : NULL;
    if (!place)
        return;
    if (program) {
        if (!program->has_ended)
            program->stopped = strcmp(request->why, "cancel") == 0 ? "cancel" : "timeout";
        program_stop(program, 15);
        program_tell(program);
    }
    request_answer(request, letter_new(LETTER_EXIT));
}

static void do_other(struct e2b_request *request)
{
    if (request_place(request))
        request_answer(request, letter_new(LETTER_EXIT));
}

enum { WORD_HOW = 3, WORD_RECORD, WORD_LIMIT, WORD_OUT, WORD_ERR, WORD_MARK = WORD_ERR + 3 };

static void keep_words(struct e2b_request *request, const char *const *argv, size_t count)
{
    request->id = base_strdup(argv[WORD_RECORD]);
    request->live_ms = atoll(argv[WORD_LIMIT]);
    request->out_at = (size_t)atoll(argv[WORD_OUT]);
    request->err_at = (size_t)atoll(argv[WORD_ERR]);
    request->mark = base_strdup(argv[WORD_MARK]);
    request->count = count;
    request->paths = base_alloc(sizeof *request->paths * count);
    request->contents = base_alloc(sizeof *request->contents * count);
    for (size_t i = 0; i < count; i++)
        request->paths[i] = base_strdup(argv[i]);
}

/* bash -c THIS step DIR LIMIT OUT_FROM ERR_FROM OUT_KEEP ERR_KEEP MARK CPU CWD INPUT -- program args
 * bash -c THIS stop DIR WHY; whatever else is run ends well at once. */
void e2b_process_start(struct e2b_sandbox *sandbox, struct e2b_call *call,
                       const struct e2b_process_options *options, e2b_output_fn output, e2b_exit_fn done)
{
    struct e2b_operation *operation =
        operation_begin(sandbox->client, sandbox, call, E2B_WORLD_PROCESS, PROCESS_TIMEOUT_MS);
    struct e2b_request *request = operation->request;
    size_t count = 0;
    operation->output = output;
    operation->on.exit = done;
    while (options->argv[count])
        count++;
    const char *how = count > WORD_HOW ? options->argv[WORD_HOW] : "";
    if (strcmp(how, "stop") == 0 && count > WORD_RECORD + 1) {
        request->id = base_strdup(options->argv[WORD_RECORD]);
        request->why = base_strdup(options->argv[WORD_RECORD + 1]);
        operation_run(operation, do_stop);
    } else if (strcmp(how, "step") == 0 && count > WORD_MARK) {
        keep_words(request, options->argv, count);
        operation_run(operation, do_step);
    } else {
        operation_run(operation, do_other);
    }
}
