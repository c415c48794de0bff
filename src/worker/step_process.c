/* run_process: start-or-attach. One call starts the program in the sandbox or, when it was started before, by
 * this worker or another, follows it from where we are; so a broken stream is simply asked for again. The
 * wrapper that does so is step.sh; the record of a step is the folder .e2b-worker/<permit>.<step> in the home
 * directory, which is where the files API puts relative paths, and which the sandbox's user owns. The code is
 * there already, so there is no other folder to be made first. */
#include "core/outcome.h"
#include "worker/context.h"
#include "worker/process_record.h"
#include "worker/step.h"
#include "worker/words.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    REPORT_BYTES = 160,           /* at most, of the wrapper's report: so much of stderr is held back */
    EXCEPTION_BYTES = 256 * 1024, /* room in the results file beyond the results */
    UNATTENDED_MS = 3000,         /* by which the program's own clock outlasts the worker's */
    KILLED_CHILD = 128 + SIGKILL, /* a shell's exit code when what it ran last was killed */
    AFTER_MS = 10000,             /* by which the call does: for the stop, and the last output */
};

struct process_state {
    struct step_run *step;
    struct e2b_call stop_call;
    struct task ended;
    char *record;                /* the record's path, below the home directory */
    char mark[RANDOM_UUID_SIZE]; /* of the report */
    struct buffer held;          /* of stderr: the report may begin in it */
    struct buffer results;
    struct process_report report;
    bool is_started, is_stopping;
};

static struct process_state *state_of(struct e2b_call *call)
{
    struct step_run *step = call->arg;
    return step->state;
}

static void break_step(struct step_run *step, const char *message)
{
    struct e2b_error error = {.kind = E2B_ERROR_BROKEN};
    base_copy_text(error.message, sizeof error.message, message);
    step_broken(step, &error);
}

/* ---- The end ---- */

static enum code judge_exit(struct step_run *step, int exit_code)
{
    const struct process_state *state = step->state;
    struct outcome *outcome = step_outcome(step);
    outcome->exit_code = step_report(step)->exit_code = exit_code;
    if (exit_code == 0)
        return CODE_NONE;
    if (exit_code == KILLED_CHILD && state->report.saw_oom) {
        outcome_blame(outcome, CODE_OUT_OF_MEMORY, step->step->name,
                      "memory ran out, and the kernel killed what the program ran (exit code %d)", exit_code);
        return CODE_OUT_OF_MEMORY;
    }
    if (!outcome->user_name) {
        outcome_blame(outcome, step->step->on_failure, step->step->name,
                      "the program ended with exit code %d", exit_code);
        return step->step->on_failure;
    }
    enum code code = step_exception_code(outcome->user_name, outcome->user_value);
    outcome_blame(outcome, code, step->step->name, "%s: %s", outcome->user_name, outcome->user_value);
    return code;
}

static enum code judge_kill(struct step_run *step, int number, bool is_lost)
{
    const struct process_state *state = step->state;
    struct outcome *outcome = step_outcome(step);
    const char *stage = step->step->name;
    outcome->signal = number;
    if (number == SIGKILL && state->report.saw_oom) {
        outcome_blame(outcome, CODE_OUT_OF_MEMORY, stage,
                      "memory ran out, and the kernel killed the program (signal %d)", number);
        return CODE_OUT_OF_MEMORY;
    }
    outcome_blame(outcome, CODE_SIGNALED, stage,
                  is_lost ? "the program and its runner were killed from outside (signal %d)"
                          : "the program was ended by signal %d",
                  number);
    return CODE_SIGNALED;
}

static void add_usage(struct usage *usage, const struct process_report *report)
{
    if (report->cpu_ms >= 0)
        usage->cpu_ms = MAX(usage->cpu_ms, 0) + report->cpu_ms;
    usage->peak_memory_bytes = MAX(usage->peak_memory_bytes, report->peak_bytes);
    if (usage->cpu_ms >= 0 || usage->peak_memory_bytes >= 0)
        usage->source = "sandbox";
}

/* We were sent the first half of what the capture keeps and the last: what lay between was only counted. */
static void count_unsent(struct step_run *step)
{
    const struct process_state *state = step->state;
    const struct process_report *printed = &state->report;
    const struct step_report *sent = step_report(step);
    capture_skip(&step_outcome(step)->out, MAX(printed->out_bytes - sent->out_bytes, 0));
    capture_skip(&step_outcome(step)->err, MAX(printed->err_bytes - sent->err_bytes, 0));
}

static int64_t half(const struct capture *capture)
{
    return (capture->limit_bytes + 1) / 2;
}

static void end(struct step_run *step)
{
    struct process_state *state = step->state;
    struct outcome *outcome = step_outcome(step);
    const struct process_report *report = &state->report;
    count_unsent(step);
    add_usage(&outcome->usage, report);
    if (state->is_stopping) { /* how it ended was our own doing */
        step_ended(step, CODE_NONE);
        return;
    }
    enum code code = CODE_NONE;
    switch (report->end) {
    case PROCESS_EXITED:
        code = judge_exit(step, report->number);
        break;
    case PROCESS_SIGNALED:
        code = judge_kill(step, report->number, /* is_lost= */ false);
        break;
    case PROCESS_LOST:
        code = judge_kill(step, SIGKILL, /* is_lost= */ true);
        break;
    case PROCESS_TIMED_OUT:
        code = step->step->on_timeout;
        break;
    case PROCESS_CANCELLED:
        code = CODE_CANCELLED;
        break;
    case PROCESS_UNSTARTED:
        break_step(step, "the program was never started in the sandbox");
        return;
    }
    step_ended(step, code);
}

/* ---- Results ---- */

static size_t results_max(const struct step_run *step)
{
    return (size_t)step_outcome(step)->result_limit_bytes + EXCEPTION_BYTES;
}

static void end_later(void *arg)
{
    struct process_state *state = arg;
    process_results_read(buffer_bytes(&state->results), step_outcome(state->step));
    end(state->step);
}

static void on_results_bytes(struct e2b_call *call, struct e2b_bytes bytes)
{
    struct process_state *state = state_of(call);
    size_t room = results_max(state->step) - state->results.length;
    buffer_append(&state->results, bytes.data, MIN(bytes.length, room));
    if (bytes.length <= room)
        return;
    outcome_warn(step_outcome(state->step),
                 "the results file is larger than its driver ever makes it: it was cut");
    e2b_call_cancel(call);
    loop_defer(step_worker(state->step)->loop, &state->ended, end_later, state);
}

static void on_results_read(struct e2b_call *call, const struct e2b_error *error)
{
    struct process_state *state = state_of(call);
    if (error && error->kind != E2B_ERROR_NOT_FOUND && error->kind != E2B_ERROR_INVALID) {
        step_broken(state->step, error);
        return;
    }
    end_later(state);
}

static void read_results(struct step_run *step)
{
    struct process_state *state = step->state;
    CLEANUP(base_freep) char *path = base_printf("%s/results", state->record);
    step_call(step)->timeout_ms = step_remaining_ms(step);
    e2b_file_read(step_sandbox(step), step_call(step), path, on_results_bytes, on_results_read);
}

/* ---- Output ---- */

/* The first `length` of the held bytes are the program's. What is still held when a stream breaks counts as
 * never read. */
static void add_held(struct step_run *step, size_t length)
{
    struct process_state *state = step->state;
    step_report(step)->err_bytes += (int64_t)length;
    capture_append(&step_outcome(step)->err, (struct bytes){state->held.data, length});
    buffer_drop_front(&state->held, length);
}

static void on_output(struct e2b_call *call, const struct e2b_output *output)
{
    struct process_state *state = state_of(call);
    switch (output->kind) {
    case E2B_OUTPUT_STARTED:
    case E2B_OUTPUT_RESULT:
        return;
    case E2B_OUTPUT_STDOUT:
        step_report(state->step)->out_bytes += (int64_t)output->bytes.length;
        capture_append(&step_outcome(state->step)->out,
                       (struct bytes){output->bytes.data, output->bytes.length});
        return;
    case E2B_OUTPUT_STDERR:
        buffer_append(&state->held, output->bytes.data, output->bytes.length);
        if (state->held.length > REPORT_BYTES)
            add_held(state->step, state->held.length - REPORT_BYTES);
        return;
    }
}

static void on_exited(struct e2b_call *call, const struct e2b_error *error, const struct e2b_exit *result)
{
    struct process_state *state = state_of(call);
    struct step_run *step = state->step;
    if (error) {
        step_broken(step, error);
        return;
    }
    size_t own;
    if (!process_report_parse(buffer_bytes(&state->held), state->mark, &state->report, &own)) {
        char message[sizeof((struct e2b_error){0}).message];
        (void)snprintf(message, sizeof message,
                       "the step's wrapper ended without a report (exit code %d, signal %d)", result->code,
                       result->signal);
        break_step(step, message);
        return;
    }
    add_held(step, own);
    if (state->report.has_results && step->step->as.process->has_rich_results)
        read_results(step);
    else
        end(step);
}

/* ---- Start ---- */

/* step.sh says what these are. */
static void add_wrapper(struct step_run *step, struct words *words)
{
    const struct process_spec *spec = step->step->as.process;
    const struct process_state *state = step->state;
    const struct outcome *outcome = step_outcome(step);
    const struct step_report *report = step_report(step);
    CLEANUP(base_freep) char *input = base_printf("%s.in", state->record);
    words_add(words, "/bin/bash");
    words_add(words, "-c");
    words_add(words, process_wrapper);
    words_add(words, "step");
    words_add(words, state->record);
    words_add_number(words, step_remaining_ms(step) + UNATTENDED_MS);
    words_add_number(words, report->out_bytes);
    words_add_number(words, report->err_bytes);
    words_add_number(words, half(&outcome->out));
    words_add_number(words, half(&outcome->err));
    words_add(words, state->mark);
    words_add_number(words, spec->cpu_percent);
    words_add(words, spec->cwd ? spec->cwd : "");
    words_add(words, spec->input ? input : "");
    words_add(words, "--");
}

/* By env(1): nothing of the program's environment shall reach the wrapper itself. */
static void add_environment(const struct pair_list *env, struct words *words)
{
    if (env->count == 0)
        return;
    words_add(words, "env");
    words_add(words, "--");
    for (size_t i = 0; i < env->count; i++) {
        CLEANUP(base_freep) char *pair = base_printf("%s=%s", env->items[i].name, env->items[i].value);
        words_add(words, pair);
    }
}

/* A Python program's driver comes as text, which saves an upload. */
static void add_program(struct step_run *step, struct words *words)
{
    const struct process_spec *spec = step->step->as.process;
    for (size_t i = 0; i < spec->argv.count; i++) {
        const char *word = spec->argv.items[i];
        if (!spec->has_rich_results || strcmp(word, PLAN_DRIVER) != 0) {
            words_add(words, word);
            continue;
        }
        words_add(words, "-c");
        words_add(words, process_driver);
        words_add_number(words, step_outcome(step)->result_limit_bytes);
    }
}

static void start_program(struct step_run *step)
{
    struct process_state *state = step->state;
    CLEANUP(words_release) struct words words = {0};
    add_wrapper(step, &words);
    add_environment(&step->step->as.process->env, &words);
    add_program(step, &words);
    state->is_started = true;
    step_call(step)->timeout_ms = step_remaining_ms(step) + AFTER_MS;
    e2b_process_start(step_sandbox(step), step_call(step),
                      &(struct e2b_process_options){.argv = (const char *const *)words.items}, on_output,
                      on_exited);
}

static void on_input_written(struct e2b_call *call, const struct e2b_error *error)
{
    struct step_run *step = call->arg;
    if (error && error->kind == E2B_ERROR_DISK_FULL) {
        outcome_blame(step_outcome(step), CODE_DISK_FULL, step->step->name,
                      "stdin does not fit on the disk: %s", error->message);
        step_ended(step, CODE_DISK_FULL);
    } else if (error) {
        step_broken(step, error);
    } else {
        start_program(step);
    }
}

/* Next to the record, which only the wrapper makes; it moves the file into it, so that putting it once more
 * does not disturb a program that reads it already. */
static void put_input(struct step_run *step)
{
    const struct process_spec *spec = step->step->as.process;
    struct process_state *state = step->state;
    CLEANUP(base_freep) char *path = base_printf("%s.in", state->record);
    const struct e2b_file file = {.path = path, .content = {spec->input, spec->input_length}};
    step_call(step)->timeout_ms = step_remaining_ms(step);
    e2b_files_write(step_sandbox(step), step_call(step), &file, 1, on_input_written);
}

char *step_process_record(const char *permit, const struct step *step)
{
    return base_printf("%s/%s.%s", PLAN_STATE_DIR, permit, step->name);
}

static void start(struct step_run *step)
{
    struct process_state *state = base_alloc(sizeof *state);
    state->step = step;
    state->record = step_process_record(step_permit(step), step->step);
    random_uuid(step_worker(step)->random, state->mark);
    step->state = state;
    if (step->step->as.process->input)
        put_input(step);
    else
        start_program(step);
}

/* ---- Stop ---- */

static void ignore_output(struct e2b_call *call, const struct e2b_output *output)
{
    (void)call, (void)output;
}

/* The program's own end says whether it worked. */
static void ignore_exit(struct e2b_call *call, const struct e2b_error *error, const struct e2b_exit *result)
{
    (void)call, (void)error, (void)result;
}

static void on_stopped(void *arg)
{
    struct process_state *state = arg;
    step_ended(state->step, CODE_NONE);
}

static void stop(struct step_run *step)
{
    struct process_state *state = step->state;
    state->is_stopping = true;
    if (!state->is_started) {
        e2b_call_cancel(step_call(step));
        loop_defer(step_worker(step)->loop, &state->ended, on_stopped, state);
        return;
    }
    const char *why = step_is_cancelled(step) ? "cancel" : "timeout";
    const char *const argv[] = {"/bin/bash", "-c", process_wrapper, "stop", state->record, why, NULL};
    e2b_process_start(step_sandbox(step), &state->stop_call, &(struct e2b_process_options){.argv = argv},
                      ignore_output, ignore_exit);
}

static void drop(struct step_run *step)
{
    struct process_state *state = step->state;
    if (!state)
        return;
    e2b_call_cancel(&state->stop_call);
    loop_defer_cancel(step_worker(step)->loop, &state->ended);
    buffer_release(&state->held);
    buffer_release(&state->results);
    free(state->record);
    free(state);
}

const struct step_kind step_process = {.start = start, .stop = stop, .drop = drop};
