/* One attempt: sandbox, bind, run, books. */
#include "worker/flight_attempt.h"

#include "core/cost.h"
#include "worker/custody_runner.h"
#include "worker/flight_runner.h"
#include "worker/observe.h"
#include "worker/provider.h"

#include <stdlib.h>
#include <string.h>

enum {
    BIND_AGAIN_MS = 1000,
    LATE_LOOK_MS = 10000, /* for whoever attaches when the run's time is over: its own clock has ended it, in
                             time or not, and its record says how */
};

static struct loop *loop_of(const struct flight_runner *runner)
{
    return runner->worker->loop;
}

/* ---- beginning and dropping ---- */

static void begin(struct flight_runner *runner, bool is_adopted)
{
    if (!flight_may_park(&runner->flight))
        buffer_release(&runner->raw); /* from here on no answer sends the record to the DLQ */
    runner->is_bound = false;
    runner->is_permit_given = true;
    runner->is_permit_idle = false;
    runner->is_permit_lost = false; /* of an earlier attempt, that is */
    runner->is_attached = is_adopted;
    runner->is_proven = false;
    runner->run = base_alloc(sizeof *runner->run);
    execution_runner_init(runner->run, runner, &runner->plan);
    runner->retry_after_ms = 0;
    runner->run_began_ms = runner->collect_began_ms = 0;
    *outcome_attempt(&runner->outcome) =
        (struct attempt_report){.n = runner->flight.attempt, .is_adopted = is_adopted};
}

void flight_attempt_execute(struct flight_runner *runner)
{
    begin(runner, /* is_adopted= */ false);
    runner->custody = custody_runner_create(runner->worker, runner, runner->permit, runner->wait_ms,
                                            runner->acquire_boot_ms + LEDGER_GRANT_MS);
    flight_runner_charge(runner);
}

int64_t flight_attempt_found_ran_ms(const struct flight_runner *runner)
{
    return MAX(runner->plan.main_ms - runner->found_run_left_ms, 0);
}

/* Its code has begun, as far as anybody can know. */
void flight_attempt_attach(struct flight_runner *runner)
{
    outcome_clear_attempt(&runner->outcome);
    observe_adopted(runner);
    worker_enter_suspect(runner->worker, runner);
    begin(runner, /* is_adopted= */ true);
    runner->has_begun = true;
    runner->granted_ms = loop_now_ms(loop_of(runner));
    base_copy_text(runner->permit, sizeof runner->permit, runner->found_permit);
    runner->custody = custody_runner_adopt(runner->worker, runner, runner->permit, runner->found_sandbox,
                                           flight_attempt_found_ran_ms(runner));
    flight_runner_charge(runner);
}

/* The bind, asked for or to be asked again, is the attempt's as well. */
void flight_attempt_drop(struct flight_runner *runner)
{
    if (!runner->run)
        return;
    ledger_call_cancel(runner->worker->ledger, &runner->bind_call);
    loop_timer_stop(loop_of(runner), &runner->timer);
    execution_runner_release(runner->run);
    loop_reap(loop_of(runner), TAKE(runner->run), free);
}

void flight_attempt_let_sandbox_go(struct flight_runner *runner)
{
    struct custody_runner *custody = TAKE(runner->custody);
    if (runner->is_permit_lost)
        custody_runner_superseded(custody);
    else
        custody_runner_unwanted(custody);
}

const char *flight_attempt_last_sandbox(const struct flight_runner *runner)
{
    const struct outcome *outcome = &runner->outcome;
    return outcome->attempt_count > 0 ? outcome->attempts[outcome->attempt_count - 1].sandbox_id : "";
}

bool flight_attempt_leaves_a_trace(const struct flight_runner *runner)
{
    return runner->has_plan && (runner->plan.run_mode == RUN_MODE_PROCESS || runner->job.never_after_start);
}

/* ---- bind ---- */

static void bind_claim(void *arg);

/* Nobody died of following it for a whole lease: that its last owner died was not its doing. */
static void prove(void *arg)
{
    struct flight_runner *runner = arg;
    runner->is_proven = true;
    bind_claim(runner);
}

static void note_bound(struct flight_runner *runner)
{
    runner->is_bound = true;
    if (runner->custody)
        custody_runner_bound(runner->custody, runner->bind_asked_ms);
    if (runner->is_proven) {
        runner->crashes = MAX(runner->crashes - 1, 0);
        worker_leave_suspect(runner->worker, runner);
    } else if (runner->is_attached) {
        loop_timer_start(loop_of(runner), &runner->timer, LEDGER_LEASE_MS, prove, runner);
    }
    if (runner->run)
        execution_runner_bound(runner->run);
}

static void on_bound(struct ledger_call *call, const struct error *error, enum ledger_answer answer)
{
    struct flight_runner *runner = call->arg;
    if (error || answer == LEDGER_NOT_NOW) {
        loop_timer_start(loop_of(runner), &runner->timer, BIND_AGAIN_MS, bind_claim, runner);
        return;
    }
    if (answer == LEDGER_OK) {
        note_bound(runner);
        return;
    }
    runner->is_permit_lost = answer == LEDGER_SUPERSEDED_PERMIT;
    flight_runner_superseded(runner);
}

static void bind_claim(void *arg)
{
    struct flight_runner *runner = arg;
    const struct plan *plan = &runner->plan;
    const struct custody_runner *custody = runner->custody;
    char digest[PLAN_DIGEST_SIZE];
    plan_digest_text(plan, digest);
    runner->bind_asked_ms = loop_now_ms(loop_of(runner));
    int64_t ran_ms = runner->is_attached ? runner->bind_asked_ms - custody->created_ms : 0;
    const struct ledger_bind bind = {
        .job = runner->job.key,
        .permit = runner->permit,
        .sandbox = custody->sandbox_id,
        .mode = run_mode_name(plan->run_mode),
        .plan = digest,
        .horizon_ms = custody_horizon_ms(&custody->custody.times),
        .until_ms = custody->until_ms - ran_ms,
        .run_until_ms = MAX(plan->main_ms - ran_ms, 1),
        .is_adoption = runner->is_proven,
    };
    ledger_bind(runner->worker->ledger, &runner->bind_call, &bind, on_bound);
}

/* ---- the sandbox ---- */

/* What the refused or unanswered create means is the attempt's verdict. */
static void blame_create(struct flight_runner *runner, const struct e2b_error *error, enum code code)
{
    outcome_blame(&runner->outcome, code, "create", "%s", error->message);
    outcome_blame_provider(&runner->outcome, error->http_status, error->code);
}

static void lose_create(struct flight_runner *runner, const struct e2b_error *error)
{
    enum code code = provider_create_code(runner->worker->provider, error, &runner->create_mark);
    blame_create(runner, error, code);
    runner->retry_after_ms = error->retry_after_ms;
    execution_runner_gone(runner->run, code);
}

void flight_runner_on_sandbox(struct flight_runner *runner, const struct e2b_error *error)
{
    struct timing *timing = &runner->outcome.timing;
    if (error)
        runner->custody = NULL;
    if (!runner->run)
        return; /* cancelled meanwhile: the verdict is being sealed, then the sandbox is let go */
    if (error) {
        lose_create(runner, error);
        return;
    }
    const struct custody_runner *custody = runner->custody;
    int64_t now_ms = loop_now_ms(loop_of(runner));
    runner->create_mark = -1;
    timing->create_ms = runner->is_attached ? 0 : custody->created_ms - runner->granted_ms;
    if (timing->started_unix_ms < 0)
        timing->started_unix_ms = loop_unix_ms(loop_of(runner)) - (now_ms - custody->created_ms);
    struct attempt_report *report = outcome_attempt(&runner->outcome);
    base_copy_text(report->sandbox_id, sizeof report->sandbox_id, custody->sandbox_id);
    bind_claim(runner);
    if (runner->is_attached) {
        execution_runner_resume(runner->run, custody->sandbox,
                                MAX(runner->plan.main_ms - (now_ms - custody->created_ms), LATE_LOOK_MS));
        return;
    }
    observe_started(runner);
    execution_runner_start(runner->run, custody->sandbox);
}

/* ---- the run ---- */

void flight_runner_note_stage(struct flight_runner *runner, enum execution_state from,
                              enum execution_state to, bool is_new_step)
{
    struct timing *timing = &runner->outcome.timing;
    const struct execution *execution = &runner->run->execution;
    int64_t now_ms = loop_now_ms(loop_of(runner));
    if (to == EXECUTION_RUNNING && is_new_step) {
        enum step_verb verb = runner->plan.steps[execution->step].verb;
        bool is_run = verb == STEP_RUN_CODE || verb == STEP_RUN_PROCESS;
        if (is_run && timing->prepare_ms < 0) {
            timing->prepare_ms = runner->is_attached ? 0 : now_ms - runner->custody->created_ms;
            runner->run_began_ms = runner->is_attached ? runner->custody->created_ms : now_ms;
        }
    }
    if (from <= EXECUTION_STOPPING && to > EXECUTION_STOPPING && runner->run_began_ms != 0) {
        timing->run_ms = now_ms - runner->run_began_ms;
        runner->collect_began_ms = now_ms;
    }
    if (to == EXECUTION_ENDED && runner->collect_began_ms > 0)
        timing->collect_ms = now_ms - runner->collect_began_ms;
    flight_runner_charge(runner); /* what the step brought */
}

/* Closes the attempt's books. */
static void account(struct flight_runner *runner, enum code code)
{
    struct outcome *outcome = &runner->outcome;
    struct attempt_report *report = outcome_attempt(outcome);
    struct custody_runner *custody = runner->custody;
    report->code = code;
    if (custody && custody->created_ms > 0) {
        report->ms = loop_now_ms(loop_of(runner)) - custody->created_ms;
        report->nano_usd = cost_nano_usd(runner->plan.placement.entry, report->ms);
        outcome->sandbox_ms += report->ms;
        outcome->nano_usd += report->nano_usd;
        if (code_is_retried(code))
            outcome->wasted_nano_usd += report->nano_usd;
    }
    outcome_count_attempt(outcome);
}

/* The machine decides, the sentence is ours. */
static void blame_run(struct flight_runner *runner)
{
    const struct execution *execution = &runner->run->execution;
    const struct e2b_error *cause = runner->run->cause;
    struct outcome *outcome = &runner->outcome;
    enum code code = execution->verdict;
    const struct step *step = &runner->plan.steps[MIN(execution->verdict_step, runner->plan.step_count - 1)];
    if (code == CODE_NONE || outcome->code != CODE_NONE)
        return;
    if (code == CODE_CANCELLED)
        outcome_blame(outcome, code, step->name, "the job was cancelled while it ran");
    else if (code == CODE_RUN_TIMEOUT || code == CODE_STEP_TIMEOUT)
        outcome_blame(outcome, code, step->name, "step '%s' was not done within %lld ms", step->name,
                      (long long)step->timeout_ms);
    else if (cause)
        outcome_blame(outcome, code, step->name, "%s", cause->message);
    else
        outcome_blame(outcome, code, step->name, "step '%s' failed", step->name);
    if (cause)
        outcome_blame_provider(outcome, cause->http_status, cause->code);
}

/* Given up in the middle of a run that may not begin again. */
static void end_for_good(struct flight_runner *runner)
{
    runner->outcome.code = CODE_NONE;
    outcome_blame(&runner->outcome, CODE_INTERNAL, "run",
                  "the worker was stopped during the run, and the job must not begin a second time");
    account(runner, CODE_INTERNAL);
    flight_runner_advance(
        runner, &(struct flight_event){.kind = FLIGHT_EVENT_ENDED, .code = CODE_INTERNAL, .is_final = true});
}

/* A process goes on without us; whoever has the record next follows it. The claim that an adopter was given
 * names its sandbox. */
static bool can_hand_over(const struct flight_runner *runner)
{
    return runner->plan.run_mode == RUN_MODE_PROCESS && (runner->is_bound || runner->is_attached) &&
           runner->custody && runner->custody->custody.state == CUSTODY_LIVE;
}

static void leave_run(struct flight_runner *runner)
{
    if (can_hand_over(runner)) {
        flight_runner_advance(runner, &(struct flight_event){.kind = FLIGHT_EVENT_LEFT, .can_attach = true});
    } else if (flight_runner_has_begun_for_good(runner)) {
        end_for_good(runner); /* whoever had it next would begin it a second time */
    } else {
        account(runner, CODE_NONE);
        flight_runner_advance(runner, &(struct flight_event){.kind = FLIGHT_EVENT_LEFT});
    }
}

/* The verdict that stands is the execution's: what a step noted on the way to a forgiven or final failure
 * does not. */
void flight_runner_on_run_ended(struct flight_runner *runner)
{
    struct execution *execution = &runner->run->execution;
    if (execution->has_left) {
        leave_run(runner);
        return;
    }
    if (runner->outcome.code != execution->verdict)
        runner->outcome.code = CODE_NONE;
    blame_run(runner);
    account(runner, execution->verdict);
    flight_runner_advance(runner,
                          &(struct flight_event){.kind = FLIGHT_EVENT_ENDED,
                                                 .code = execution->verdict,
                                                 .retry_ms = runner->retry_after_ms,
                                                 .is_final = flight_runner_has_begun_for_good(runner)});
}
