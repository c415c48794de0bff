/* run_code: the interpreter. It dies with its stream, so it is started once and stopped by closing the
 * connection. */
#include "core/outcome.h"
#include "worker/context.h"
#include "worker/step.h"

#include <stdlib.h>
#include <string.h>

/* Our own deadline comes first, and waits for the gate: a worker that was stopped is not to be overtaken by
 * the call's, which knows nothing of that. */
enum { BACKUP_MS = 600000 };

struct code_state {
    struct task stopped;
    struct step_run *step;
};

static void on_output(struct e2b_call *call, const struct e2b_output *output)
{
    struct step_run *step = call->arg;
    struct outcome *outcome = step_outcome(step);
    struct bytes bytes = {output->bytes.data, output->bytes.length};
    switch (output->kind) {
    case E2B_OUTPUT_STARTED:
        return;
    case E2B_OUTPUT_STDOUT:
        capture_append(&outcome->out, bytes);
        return;
    case E2B_OUTPUT_STDERR:
        capture_append(&outcome->err, bytes);
        return;
    case E2B_OUTPUT_RESULT:
        outcome_add_result(outcome, bytes);
        return;
    }
}

static bool is_one_of(const char *name, const char *const *names)
{
    for (; *names; names++)
        if (strcmp(name, *names) == 0)
            return true;
    return false;
}

/* "3" -> 3; what is no number is 1, as Python's own interpreter exits for sys.exit("text"). */
static int exit_code_of(const char *value)
{
    char *end;
    long code = strtol(value, &end, 10);
    if (value[0] == '\0' || strcmp(value, "None") == 0)
        return 0;
    return *end == '\0' ? (int)(code & 0xff) : 1;
}

enum code step_exception_code(const char *name, const char *value)
{
    static const char *const syntax[] = {"SyntaxError", "IndentationError", "TabError", NULL};
    if (is_one_of(name, syntax))
        return CODE_SYNTAX_ERROR;
    if (strstr(name, "MemoryError")) /* numpy has one of its own */
        return CODE_OUT_OF_MEMORY;
    if (strstr(value, "No space left on device"))
        return CODE_DISK_FULL;
    return CODE_RUNTIME_ERROR;
}

/* What the end means. The names that the server itself makes up are not the user's. */
static enum code judge(struct outcome *outcome, const struct e2b_exception *exception, const char *stage)
{
    static const char *const server[] = {"UnexpectedEndOfExecution", "WebSocketError", "ExecutionAborted",
                                         NULL};
    const char *name = exception->name, *value = exception->value;
    if (is_one_of(name, server)) {
        outcome_blame(outcome, CODE_STREAM_BROKEN, stage, "the interpreter gave the run up: %s %s", name,
                      value);
        return CODE_STREAM_BROKEN;
    }
    outcome_set_exception(outcome, name, value, exception->traceback);
    if (strcmp(name, "SystemExit") == 0 || (name[0] == '\0' && value[0] >= '0' && value[0] <= '9')) {
        outcome->exit_code = exit_code_of(value);
        if (outcome->exit_code == 0)
            return CODE_NONE;
        outcome_blame(outcome, CODE_NONZERO_EXIT, stage, "the program ended with exit code %d",
                      outcome->exit_code);
        return CODE_NONZERO_EXIT;
    }
    enum code code = CODE_RUNTIME_ERROR;
    if (strcmp(name, "ContextRestarting") == 0) {
        outcome_blame(outcome, code, stage,
                      "the interpreter's process died: out of memory, or the code ended it");
        return code;
    }
    code = step_exception_code(name, value);
    outcome_blame(outcome, code, stage, "%s: %s", name[0] ? name : "error", value);
    return code;
}

static void on_ran(struct e2b_call *call, const struct e2b_error *error,
                   const struct e2b_exception *exception)
{
    struct step_run *step = call->arg;
    struct outcome *outcome = step_outcome(step);
    if (error && error->kind == E2B_ERROR_TIMEOUT) {
        step_ended(step, step->step->on_timeout);
        return;
    }
    if (error) {
        step_broken(step, error);
        return;
    }
    if (!exception) {
        outcome->exit_code = 0;
        step_ended(step, CODE_NONE);
        return;
    }
    step_ended(step, judge(outcome, exception, step->step->name));
}

static void start(struct step_run *step)
{
    const struct code_spec *spec = step->step->as.code;
    struct code_state *state = base_alloc(sizeof *state);
    state->step = step;
    step->state = state;
    step_call(step)->timeout_ms = step_remaining_ms(step) + BACKUP_MS;
    e2b_code_run(step_sandbox(step), step_call(step),
                 &(struct e2b_code){.text = spec->text, .language = spec->language}, on_output, on_ran);
}

static void on_stopped(void *arg)
{
    struct code_state *state = arg;
    step_ended(state->step, CODE_NONE);
}

/* The closed connection interrupts the kernel; nothing more is heard of it. */
static void stop(struct step_run *step)
{
    struct code_state *state = step->state;
    e2b_call_cancel(step_call(step));
    loop_defer(step_worker(step)->loop, &state->stopped, on_stopped, state);
}

static void drop(struct step_run *step)
{
    struct code_state *state = step->state;
    if (!state)
        return;
    loop_defer_cancel(step_worker(step)->loop, &state->stopped);
    free(state);
}

const struct step_kind step_code = {.start = start, .stop = stop, .drop = drop};
