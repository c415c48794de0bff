/* Code and processes: their programs, and who listens to them. */
#include "fakes/e2b/inside.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

enum { CODE_TIMEOUT_MS = 300000, PROCESS_TIMEOUT_MS = 60000 };

/* Returns: false when the call is over: it was cancelled by who listens, or the stream broke. */
static bool tell(struct e2b_operation *operation, enum e2b_output_kind kind, struct bytes bytes)
{
    const struct e2b_output output = {.kind = kind, .bytes = {bytes.data, bytes.length}, .pid = 1};
    operation->output(operation->call, &output);
    if (!operation->call)
        return false;
    int cut_after = operation->is_faulty ? operation->fault.cut_after : 0;
    if (cut_after == 0 || ++operation->events < cut_after)
        return true;
    operation_fail_kind(operation, E2B_ERROR_BROKEN, "the stream was cut");
    return false;
}

static bool tell_rest(struct e2b_operation *operation, enum e2b_output_kind kind, const struct buffer *all,
                      size_t *at)
{
    size_t from = *at;
    if (from >= all->length)
        return true;
    *at = all->length;
    /* A copy: the program may go with its sandbox meanwhile. */
    CLEANUP(buffer_release) struct buffer copy = {0};
    buffer_append(&copy, all->data + from, all->length - from);
    return tell(operation, kind, buffer_bytes(&copy));
}

static void end_code(struct e2b_operation *operation)
{
    struct program *program = operation->program;
    const struct e2b_exception exception = {program->name ? program->name : "",
                                            program->value ? program->value : "", "Traceback"};
    struct e2b_exception exit = {"SystemExit", program->exit_code ? "1" : "0", ""};
    e2b_code_fn done = operation->on.code;
    operation->program = NULL;
    program->owner = NULL;
    const struct e2b_exception *told = program->name ? &exception : program->exit_code ? &exit : NULL;
    done(operation_end(operation), NULL, told);
}

/* As step.sh reports. */
static void end_process(struct e2b_operation *operation)
{
    struct program *program = operation->program;
    CLEANUP(buffer_release) struct buffer report = {0};
    const char *how = program->is_timed_out ? "timeout" : program->signal ? "signal" : "exit";
    int number = program->is_timed_out ? 0 : program->signal ? program->signal : program->exit_code;
    buffer_append_format(&report, "%s %s %d 7 1024 0 0 %zu %zu\n", operation->mark, how, number,
                         program->out.length, program->err.length);
    if (!tell(operation, E2B_OUTPUT_STDERR, buffer_bytes(&report)))
        return;
    e2b_exit_fn done = operation->on.exit;
    operation->program = NULL;
    done(operation_end(operation), NULL, &(struct e2b_exit){0});
}

static void follow(struct e2b_operation *operation)
{
    struct program *program = operation->program;
    if (!tell_rest(operation, E2B_OUTPUT_STDOUT, &program->out, &operation->out_at) ||
        !tell_rest(operation, E2B_OUTPUT_STDERR, &program->err, &operation->err_at))
        return;
    if (program->is_cut)
        operation_fail_kind(operation, E2B_ERROR_BROKEN, "the stream was cut");
    else if (program->has_ended && operation->kind == E2B_WORLD_CODE)
        end_code(operation);
    else if (program->has_ended)
        end_process(operation);
}

static bool has_news(const struct e2b_operation *operation, const struct program *program)
{
    return operation->program == program &&
           (operation->out_at < program->out.length || operation->err_at < program->err.length ||
            program->is_cut || program->has_ended);
}

/* From the start each time: what one hears may end the call of another. */
static struct e2b_operation *find_follower(const struct program *program)
{
    LIST_EACH(&program->place->world->operations, link)
    {
        struct e2b_operation *operation = LIST_OBJECT(link, struct e2b_operation, link);
        if (has_news(operation, program))
            return operation;
    }
    return NULL;
}

void program_tell(struct program *program)
{
    for (struct e2b_operation *follower; (follower = find_follower(program));)
        follow(follower);
    program->is_cut = false;
}

/* ---- code ---- */

static void answer_code(struct e2b_operation *operation)
{
    struct place *place = operation_place(operation);
    if (!place)
        return;
    operation->program = program_new(place, operation->text);
    operation->program->owner = operation;
    program_start(operation->program);
    (void)tell(operation, E2B_OUTPUT_STARTED, (struct bytes){"", 0});
}

void e2b_code_run(struct e2b_sandbox *sandbox, struct e2b_call *call, const struct e2b_code *code,
                  e2b_output_fn output, e2b_code_fn done)
{
    struct e2b_operation *operation =
        operation_begin(sandbox->client, sandbox, call, E2B_WORLD_CODE, CODE_TIMEOUT_MS);
    operation->text = base_strdup(code->text);
    operation->output = output;
    operation->on.code = done;
    operation_run(operation, answer_code);
}

/* ---- processes ---- */

static void end_at_once(struct e2b_operation *operation)
{
    e2b_exit_fn done = operation->on.exit;
    done(operation_end(operation), NULL, &(struct e2b_exit){0});
}

static void on_limit(void *arg)
{
    struct program *program = arg;
    program->is_timed_out = true;
    program_stop(program, 9);
    program_tell(program);
}

/* The program's source is the word that names a file. */
static struct program *begin_process(struct e2b_operation *operation, struct place *place)
{
    const struct stored_file *source = NULL;
    for (size_t i = 0; i < operation->count && !source; i++)
        source = place_file(place, operation->paths[i]);
    struct bytes text = source ? buffer_bytes(&source->content) : (struct bytes){"exit 127", 8};
    CLEANUP(base_freep) char *copy = base_strndup(text.data, text.length);
    struct program *program = program_new(place, copy);
    free(program->record);
    program->record = base_strdup(operation->id);
    if (operation->live_ms > 0)
        loop_timer_start(place->world->loop, &program->limit, operation->live_ms, on_limit, program);
    program_start(program);
    return program;
}

static void answer_step(struct e2b_operation *operation)
{
    struct place *place = operation_place(operation);
    if (!place)
        return;
    struct program *program = program_find(place, operation->id);
    operation->program = program ? program : begin_process(operation, place);
    if (tell(operation, E2B_OUTPUT_STARTED, (struct bytes){"", 0}))
        follow(operation);
}

static void answer_stop(struct e2b_operation *operation)
{
    struct place *place = operation_place(operation);
    struct program *program = place ? program_find(place, operation->id) : NULL;
    if (!place)
        return;
    end_at_once(operation);
    if (!program)
        return;
    program_stop(program, 15);
    program_tell(program);
}

static void answer_other(struct e2b_operation *operation)
{
    if (operation_place(operation))
        end_at_once(operation);
}

enum { WORD_HOW = 3, WORD_RECORD, WORD_LIMIT, WORD_OUT, WORD_ERR, WORD_MARK = WORD_ERR + 3 };

static void keep_words(struct e2b_operation *operation, const char *const *argv, size_t count)
{
    operation->id = base_strdup(argv[WORD_RECORD]);
    operation->live_ms = atoll(argv[WORD_LIMIT]);
    operation->out_at = (size_t)atoll(argv[WORD_OUT]);
    operation->err_at = (size_t)atoll(argv[WORD_ERR]);
    operation->mark = base_strdup(argv[WORD_MARK]);
    operation->count = count;
    operation->paths = base_alloc(sizeof *operation->paths * count);
    operation->contents = base_alloc(sizeof *operation->contents * count);
    for (size_t i = 0; i < count; i++)
        operation->paths[i] = base_strdup(argv[i]);
}

/* bash -c THIS step DIR LIMIT OUT_FROM ERR_FROM OUT_KEEP ERR_KEEP MARK CPU CWD INPUT -- program args
 * bash -c THIS stop DIR; whatever else is run ends well at once. */
void e2b_process_start(struct e2b_sandbox *sandbox, struct e2b_call *call,
                       const struct e2b_process_options *options, e2b_output_fn output, e2b_exit_fn done)
{
    struct e2b_operation *operation =
        operation_begin(sandbox->client, sandbox, call, E2B_WORLD_PROCESS, PROCESS_TIMEOUT_MS);
    size_t count = 0;
    operation->output = output;
    operation->on.exit = done;
    while (options->argv[count])
        count++;
    const char *how = count > WORD_HOW ? options->argv[WORD_HOW] : "";
    if (strcmp(how, "stop") == 0 && count > WORD_RECORD) {
        operation->id = base_strdup(options->argv[WORD_RECORD]);
        operation_run(operation, answer_stop);
    } else if (strcmp(how, "step") == 0 && count > WORD_MARK) {
        keep_words(operation, options->argv, count);
        operation_run(operation, answer_step);
    } else {
        operation_run(operation, answer_other);
    }
}
