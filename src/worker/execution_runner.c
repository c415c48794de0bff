/* One attempt's run: obeys core/execution.h. */
#include "worker/execution_runner.h"

#include "core/outcome.h"
#include "worker/context.h"
#include "worker/flight_runner.h"
#include "worker/provider.h"

#include <assert.h>
#include <stdlib.h>

enum {
    LATE_MS = 100,
    HELD_MAX_MS = 60000,
    LATE_MAX_MS = 30000, /* with looks after stops it stays within CUSTODY_CLAIM_MARGIN_MS */
};

static void advance(struct execution_runner *run, enum execution_event_kind kind, enum code code);
static void set_timer(struct execution_runner *run);

static struct loop *loop_of(const struct execution_runner *run)
{
    return run->flight->worker->loop;
}

/* ---- what steps use ---- */

const struct step_kind *step_kind_of(enum step_verb verb)
{
    switch (verb) {
    case STEP_PUT_FILES:
        return &step_put_files;
    case STEP_RUN_CODE:
        return &step_code;
    case STEP_RUN_PROCESS:
        return &step_process;
    case STEP_GET_FILES:
        return &step_get_files;
    }
    return NULL;
}

struct worker *step_worker(const struct step_run *step)
{
    return step->run->flight->worker;
}

struct e2b_sandbox *step_sandbox(const struct step_run *step)
{
    return step->run->sandbox;
}

struct e2b_call *step_call(const struct step_run *step)
{
    return &step->run->call;
}

struct outcome *step_outcome(const struct step_run *step)
{
    return &step->run->flight->outcome;
}

struct step_report *step_report(const struct step_run *step)
{
    return &step_outcome(step)->steps[step->step - step->run->execution.plan->steps];
}

const struct job *step_job(const struct step_run *step)
{
    return &step->run->flight->job;
}

const char *step_permit(const struct step_run *step)
{
    return step->run->flight->permit;
}

int64_t step_remaining_ms(const struct step_run *step)
{
    return MAX(step->run->execution.deadline_ms - loop_now_ms(loop_of(step->run)), 1);
}

bool step_is_cancelled(const struct step_run *step)
{
    return step->run->execution.verdict == CODE_CANCELLED;
}

void step_ended(struct step_run *step, enum code code)
{
    advance(step->run, EXECUTION_EVENT_STEP_ENDED, code);
}

void step_broken(struct step_run *step, const struct e2b_error *error)
{
    struct execution_runner *run = step->run;
    provider_note(run->flight->worker->provider, error);
    execution_runner_blame(run, error);
    enum code code = provider_call_code(error);
    bool is_gone = error->kind == E2B_ERROR_GONE;
    advance(run, is_gone ? EXECUTION_EVENT_SANDBOX_GONE : EXECUTION_EVENT_STEP_BROKEN, code);
}

/* ---- orders ---- */

static void on_nothing_to_stop(void *arg)
{
    advance(arg, EXECUTION_EVENT_STEP_ENDED, CODE_NONE);
}

/* A step that still waits for its start has nothing to stop. */
static void stop_step(void *arg)
{
    struct execution_runner *run = arg;
    if (run->is_step_active) {
        step_kind_of(run->step.step->verb)->stop(&run->step);
        return;
    }
    loop_timer_stop(loop_of(run), &run->start_timer);
    run->waits_for_bind = false;
    loop_defer(loop_of(run), &run->stopped, on_nothing_to_stop, run);
}

static void drop_step(struct execution_runner *run)
{
    loop_timer_stop(loop_of(run), &run->start_timer);
    loop_defer_cancel(loop_of(run), &run->stopped);
    gate_leave(&run->act);
    run->waits_for_bind = false;
    if (!run->is_step_active)
        return;
    run->is_step_active = false;
    e2b_call_cancel(&run->call);
    step_kind_of(run->step.step->verb)->drop(&run->step);
    run->step.state = NULL;
}

/* Whoever takes the claim over must find the sandbox in which a process runs, or in which may have begun what
 * must not begin twice: no start before that is written. */
static bool needs_bind(const struct execution_runner *run, const struct step *step)
{
    return step->verb == STEP_RUN_PROCESS ||
           (step->verb == STEP_RUN_CODE && run->flight->job.never_after_start);
}

static bool runs_code(const struct step *step)
{
    return step->verb == STEP_RUN_PROCESS || step->verb == STEP_RUN_CODE;
}

/* What a step waits for its bind or at the gate is not its time. The bind moved the claim's end; of the gate
 * the claim knows nothing, so that code which waited there for long begins anew. Returns: false when it does.
 */
static bool may_start_late(struct execution_runner *run)
{
    struct flight_runner *flight = run->flight;
    int64_t now_ms = loop_now_ms(loop_of(run));
    int64_t late_ms = now_ms - run->execution.start_at_ms, gate_ms = now_ms - run->at_gate_ms;
    if (run->execution.state != EXECUTION_RUNNING || run->execution.tries > 0 || late_ms < LATE_MS)
        return true;
    if (gate_ms > LATE_MAX_MS && !flight->has_begun) {
        outcome_blame(&flight->outcome, CODE_LIMITER_NOT_READY, "start",
                      "this worker had no valid lease for %lld ms", (long long)gate_ms);
        advance(run, EXECUTION_EVENT_SANDBOX_GONE, CODE_LIMITER_NOT_READY);
        return false;
    }
    execution_delay(&run->execution, late_ms - gate_ms + MIN(gate_ms, LATE_MAX_MS));
    set_timer(run);
    return true;
}

static void start_now(void *arg)
{
    struct execution_runner *run = arg;
    const struct step *step = &run->execution.plan->steps[run->execution.step];
    if (!may_start_late(run))
        return;
    if (runs_code(step))
        run->flight->has_begun = true;
    run->step = (struct step_run){.run = run, .step = step};
    run->call.arg = &run->step;
    run->call.timeout_ms = 0;
    run->is_step_active = true;
    run->started_boot_ms = loop_boot_ms(loop_of(run));
    step_kind_of(run->step.step->verb)->start(&run->step);
}

static void start_step(void *arg)
{
    struct execution_runner *run = arg;
    const struct step *step = &run->execution.plan->steps[run->execution.step];
    run->waits_for_bind = needs_bind(run, step) && !run->flight->is_bound;
    if (run->waits_for_bind)
        return;
    run->at_gate_ms = loop_now_ms(loop_of(run));
    if (step->verb == STEP_GET_FILES) /* it only reads */
        start_now(run);
    else
        gate_pass(run->flight->worker, &run->act, start_now, run);
}

/* A pause of this process may have begun between the decision to start and the sending of it: then the run
 * has had so much less time than its clock says. Returns: whether that was so, and is made up for. */
static bool was_held_back(struct execution_runner *run)
{
    int64_t pause_ms = gate_paused_after_ms(run->flight->worker, run->started_boot_ms);
    run->started_boot_ms = 0;
    if (run->execution.state != EXECUTION_RUNNING || pause_ms == 0)
        return false;
    if (pause_ms > HELD_MAX_MS) {
        outcome_blame(&run->flight->outcome, CODE_STREAM_BROKEN, "start",
                      "this worker was stopped for %lld ms as the run began", (long long)pause_ms);
        advance(run, EXECUTION_EVENT_SANDBOX_GONE, CODE_STREAM_BROKEN);
    } else {
        execution_delay(&run->execution, pause_ms);
        set_timer(run);
    }
    return true;
}

/* A process that was not allowed to start is no slow program: the job waits for the ledger. */
static void out_of_time(void *arg)
{
    struct execution_runner *run = arg;
    if (run->waits_for_bind) {
        outcome_blame(&run->flight->outcome, CODE_LIMITER_NOT_READY, "bind",
                      "the ledger did not answer in time");
        advance(run, EXECUTION_EVENT_SANDBOX_GONE, CODE_LIMITER_NOT_READY);
    } else if (!was_held_back(run)) {
        advance(run, EXECUTION_EVENT_DEADLINE, CODE_NONE);
    }
}

/* After a stop of this worker the step's end may lie in a socket, unread: nothing is judged before the lease
 * is. */
static void on_deadline(void *arg)
{
    struct execution_runner *run = arg;
    gate_pass(run->flight->worker, &run->late, out_of_time, run);
}

static void set_timer(struct execution_runner *run)
{
    gate_leave(&run->late);
    struct loop *loop = loop_of(run);
    if (run->execution.deadline_ms == INT64_MAX)
        loop_timer_stop(loop, &run->timer);
    else
        loop_timer_start(loop, &run->timer, run->execution.deadline_ms - loop_now_ms(loop), on_deadline, run);
}

static void on_ended(void *arg)
{
    struct execution_runner *run = arg;
    flight_runner_on_run_ended(run->flight);
}

static void obey(struct execution_runner *run, enum execution_order order)
{
    struct loop *loop = loop_of(run);
    set_timer(run);
    switch (order) {
    case EXECUTION_ORDER_WAIT:
        return;
    case EXECUTION_ORDER_START:
        drop_step(run);
        if (run->execution.start_at_ms > loop_now_ms(loop))
            loop_timer_start(loop, &run->start_timer, run->execution.start_at_ms - loop_now_ms(loop),
                             start_step, run);
        else
            start_step(run);
        return;
    case EXECUTION_ORDER_STOP:
        gate_leave(&run->act); /* a start that did not come to be */
        gate_pass(run->flight->worker, &run->act, stop_step, run);
        return;
    case EXECUTION_ORDER_END:
        drop_step(run);
        loop_defer(loop, &run->ended, on_ended, run);
        return;
    }
}

/* How long each step took, and how it ended, goes into its report. */
static void report_step(struct execution_runner *run, size_t step, enum code code)
{
    struct outcome *outcome = &run->flight->outcome;
    if (step >= outcome->step_count)
        return;
    outcome->steps[step].code = code;
    enum step_verb verb = run->execution.plan->steps[step].verb;
    if (verb == STEP_RUN_CODE || verb == STEP_RUN_PROCESS)
        outcome->steps[step].exit_code = outcome->exit_code;
    outcome->steps[step].ms = loop_now_ms(loop_of(run)) - run->step_began_ms;
}

/* A final step's failure changes no verdict, so a warning has to tell of it. */
static void warn_of_final_step(struct execution_runner *run, size_t step, enum code code)
{
    struct outcome *outcome = &run->flight->outcome;
    const struct step *failed = &run->execution.plan->steps[step];
    bool is_over = run->execution.step != step || run->execution.state == EXECUTION_ENDED;
    if (!is_over || code == CODE_NONE || code == CODE_CANCELLED || step >= outcome->step_count)
        return;
    outcome->steps[step].code = failed->on_failure;
    outcome_warn(outcome, "%s: step '%s': %s", code_name(failed->on_failure), failed->name,
                 run->cause ? run->cause->message : code_name(code));
}

static void note_times(struct execution_runner *run, enum execution_state before, size_t step_before)
{
    struct execution *execution = &run->execution;
    int64_t now_ms = loop_now_ms(loop_of(run));
    bool is_new_step = execution->step != step_before || before == EXECUTION_WAITING;
    if (is_new_step)
        run->step_began_ms = now_ms;
    flight_runner_note_stage(run->flight, before, execution->state, is_new_step);
}

static void advance(struct execution_runner *run, enum execution_event_kind kind, enum code code)
{
    struct execution *execution = &run->execution;
    if (!execution_accepts(execution->state, kind))
        return; /* the run ended in this very turn */
    enum execution_state before = execution->state;
    size_t step = execution->step;
    if (before == EXECUTION_RUNNING || before == EXECUTION_COLLECTING)
        report_step(run, step,
                    kind == EXECUTION_EVENT_DEADLINE ? execution->plan->steps[step].on_timeout : code);
    bool is_ready = kind == EXECUTION_EVENT_SANDBOX_READY;
    const struct execution_event event = {.kind = kind,
                                          .now_ms = loop_now_ms(loop_of(run)),
                                          .awake_ms = gate_awake_ms(run->flight->worker),
                                          .code = code,
                                          .first_step = is_ready ? run->first_step : 0,
                                          .main_left_ms = run->main_left_ms};
    enum execution_order order = execution_advance(execution, &event);
    if (before == EXECUTION_COLLECTING)
        warn_of_final_step(run, step,
                           kind == EXECUTION_EVENT_DEADLINE ? execution->plan->steps[step].on_timeout : code);
    note_times(run, before, step);
    obey(run, order);
}

/* ---- use ---- */

void execution_runner_init(struct execution_runner *run, struct flight_runner *flight,
                           const struct plan *plan)
{
    *run = (struct execution_runner){.flight = flight};
    execution_init(&run->execution, plan);
}

void execution_runner_release(struct execution_runner *run)
{
    drop_step(run);
    e2b_call_cancel(&run->call); /* a look for the record */
    gate_leave(&run->late);
    loop_timer_stop(loop_of(run), &run->timer);
    loop_defer_cancel(loop_of(run), &run->ended);
    free(TAKE(run->cause));
}

void execution_runner_start(struct execution_runner *run, struct e2b_sandbox *sandbox)
{
    run->sandbox = sandbox;
    advance(run, EXECUTION_EVENT_SANDBOX_READY, CODE_NONE);
}

/* ---- an adopted run ---- */

enum { LOOKS_MAX = 10, LOOK_AGAIN_MS = 500 };

static void look_for_record(void *arg);

/* Its first program has begun, and with it the sandbox's own memory of all that follows; or nothing has. */
static void on_record(struct e2b_call *call, const struct e2b_error *error, const struct e2b_file_info *file)
{
    (void)file;
    struct execution_runner *run = call->arg;
    if (error && error->kind == E2B_ERROR_GONE) {
        advance(run, EXECUTION_EVENT_SANDBOX_GONE, CODE_SANDBOX_LOST);
    } else if (error && error->kind != E2B_ERROR_NOT_FOUND) {
        execution_runner_blame(run, error);
        if (++run->looks < LOOKS_MAX)
            loop_timer_start(loop_of(run), &run->start_timer, LOOK_AGAIN_MS, look_for_record, run);
        else
            advance(run, EXECUTION_EVENT_SANDBOX_GONE, provider_call_code(error));
    } else {
        if (error)
            run->first_step = 0;
        advance(run, EXECUTION_EVENT_SANDBOX_READY, CODE_NONE);
    }
}

static void look_for_record(void *arg)
{
    struct execution_runner *run = arg;
    const struct step *step = &run->execution.plan->steps[run->first_step];
    CLEANUP(base_freep) char *record = step_process_record(run->flight->permit, step);
    run->call.arg = run;
    run->call.timeout_ms = 0;
    e2b_file_stat(run->sandbox, &run->call, record, on_record);
}

void execution_runner_resume(struct execution_runner *run, struct e2b_sandbox *sandbox, int64_t main_left_ms)
{
    const struct plan *plan = run->execution.plan;
    run->sandbox = sandbox;
    run->main_left_ms = main_left_ms;
    while (run->first_step < plan->final_from && plan->steps[run->first_step].verb != STEP_RUN_PROCESS)
        run->first_step++;
    assert(run->first_step < plan->final_from); /* the plan's mode is "process" */
    look_for_record(run);
}

void execution_runner_bound(struct execution_runner *run)
{
    if (run->waits_for_bind)
        start_step(run);
}

void execution_runner_blame(struct execution_runner *run, const struct e2b_error *error)
{
    if (!run->cause)
        run->cause = base_alloc(sizeof *run->cause);
    *run->cause = *error;
}

void execution_runner_gone(struct execution_runner *run, enum code code)
{
    advance(run, EXECUTION_EVENT_SANDBOX_GONE, code);
}

void execution_runner_cancel(struct execution_runner *run)
{
    advance(run, EXECUTION_EVENT_CANCEL, CODE_CANCELLED);
}

void execution_runner_leave(struct execution_runner *run)
{
    advance(run, EXECUTION_EVENT_LEAVE, CODE_NONE);
}
