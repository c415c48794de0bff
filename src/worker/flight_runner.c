/* One job's way through this worker: obeys core/flight.h. */
#include "worker/flight_runner.h"

#include "core/cost.h"
#include "worker/custody_runner.h"
#include "worker/divert.h"
#include "worker/flight_acquire.h"
#include "worker/flight_publish.h"
#include "worker/observe.h"
#include "worker/provider.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    BIND_AGAIN_MS = 1000,
    RUN_MARGIN_MS = 60000, /* a claim's `until` lies behind the run's clock and the collecting by this */
};

static void obey(struct flight_runner *runner, enum flight_state from, enum flight_order order);

void flight_runner_advance(struct flight_runner *runner, const struct flight_event *event)
{
    enum flight_state from = runner->flight.state;
    obey(runner, from, flight_advance(&runner->flight, event));
}

static void happen(struct flight_runner *runner, enum flight_event_kind kind)
{
    flight_runner_advance(runner, &(struct flight_event){.kind = kind});
}

static struct loop *loop_of(const struct flight_runner *runner)
{
    return runner->worker->loop;
}

/* ---- memory ---- */

void flight_runner_charge(struct flight_runner *runner)
{
    size_t bytes = sizeof *runner + runner->arena.bytes + outcome_memory(&runner->outcome) +
                   runner->raw.capacity + runner->value.capacity + runner->sealed.capacity;
    runner->worker->bytes += bytes - runner->charged_bytes;
    runner->charged_bytes = bytes;
}

/* The bind, asked for or to be asked again, is the attempt's as well. */
static void end_run(struct flight_runner *runner)
{
    if (!runner->run)
        return;
    ledger_call_cancel(runner->worker->ledger, &runner->bind_call);
    loop_timer_stop(loop_of(runner), &runner->timer);
    execution_runner_release(runner->run);
    loop_reap(loop_of(runner), TAKE(runner->run), free);
}

static void free_runner(void *object)
{
    struct flight_runner *runner = object;
    outcome_release(&runner->outcome);
    buffer_release(&runner->raw);
    buffer_release(&runner->value);
    buffer_release(&runner->sealed);
    arena_release(&runner->arena);
    free(runner);
}

static bool is_active(enum flight_state state)
{
    return state >= FLIGHT_ACQUIRING && state != FLIGHT_WAITING && state != FLIGHT_FINISHED;
}

static void let_sandbox_go(struct flight_runner *runner)
{
    struct custody_runner *custody = TAKE(runner->custody);
    if (runner->is_permit_lost)
        custody_runner_superseded(custody);
    else
        custody_runner_unwanted(custody);
}

/* Nothing was ever created under it. */
static void let_idle_permit_go(struct flight_runner *runner)
{
    if (runner->is_permit_idle)
        ledger_release(runner->worker->ledger, runner->permit, NULL, LEDGER_RELEASE_PERMIT);
    runner->is_permit_idle = false;
}

static void end(struct flight_runner *runner)
{
    struct worker *worker = runner->worker;
    end_run(runner);
    let_sandbox_go(runner);
    let_idle_permit_go(runner);
    ledger_call_cancel(worker->ledger, &runner->ledger_call);
    ledger_call_cancel(worker->ledger, &runner->bind_call);
    loop_timer_stop(worker->loop, &runner->timer);
    queue_remove(worker->queue, &runner->entry);
    link_remove(&runner->link);
    worker->flight_count--;
    worker->bytes -= runner->charged_bytes;
    loop_reap(worker->loop, runner, free_runner);
    worker_ended(worker);
}

/* ---- taking a record in ---- */

static struct flight_runner *new_runner(struct worker *worker, size_t message_bytes)
{
    struct flight_runner *runner = base_alloc(sizeof *runner);
    runner->worker = worker;
    runner->ledger_call.arg = runner;
    runner->bind_call.arg = runner;
    runner->send.arg = runner;
    runner->received_ms = runner->queued_since_ms = loop_now_ms(worker->loop);
    runner->first_partition = runner->first_offset = -1;
    arena_init(&runner->arena, message_bytes + 1024);
    list_push_back(&worker->flights, &runner->link);
    worker->flight_count++;
    return runner;
}

/* What the topic's name says about the job. */
static void topic_rules(struct worker *worker, const struct kafka_message *message, struct job_rules *rules)
{
    const struct config *config = worker->config;
    size_t prefix = strlen(config->topics.jobs_prefix);
    if (prefix > 0 && strncmp(message->topic, config->topics.jobs_prefix, prefix) == 0)
        rules->task_type = message->topic + prefix;
    for (size_t i = 0; i < config->tenants_by_topic.count; i++)
        if (strcmp(config->tenants_by_topic.items[i].name, message->topic) == 0)
            rules->tenant_of_topic = config->tenants_by_topic.items[i].value;
}

static void set_up_outcome(struct flight_runner *runner)
{
    const struct output_limits *limits =
        runner->has_plan ? &runner->plan.outputs : &runner->worker->config->outputs;
    outcome_init(&runner->outcome, limits);
    if (runner->has_plan) {
        runner->outcome.step_count = runner->plan.step_count;
        runner->outcome.steps =
            ARENA_ARRAY(&runner->arena, struct step_report, MAX(1, runner->plan.step_count));
        for (size_t i = 0; i < runner->plan.step_count; i++)
            runner->outcome.steps[i] =
                (struct step_report){.name = runner->plan.steps[i].name, .exit_code = -1, .ms = -1};
    }
    runner->outcome.timing.queued_ms =
        runner->job.from.timestamp_unix_ms > 0
            ? MAX(loop_unix_ms(loop_of(runner)) - runner->job.from.timestamp_unix_ms, 0)
            : 0;
}

static void enter_queue(struct flight_runner *runner)
{
    runner->entry.tenant_id = runner->job.tenant_id;
    runner->entry.priority = runner->job.priority;
    runner->entry.weight = runner->has_plan ? runner->plan.tenant_weight : 1;
    runner->entry.bytes = runner->charged_bytes;
    queue_push(runner->worker->queue, &runner->entry);
    worker_poke(runner->worker);
}

void flight_runner_begin(struct worker *worker, const struct kafka_message *message)
{
    struct header headers[64];
    size_t header_count = MIN(message->header_count, ARRAY_LENGTH(headers));
    for (size_t i = 0; i < header_count; i++)
        headers[i] = (struct header){message->headers[i].name, message->headers[i].value};
    const struct job_record record = {.topic = message->topic,
                                      .partition = message->partition,
                                      .offset = message->offset,
                                      .timestamp_unix_ms = message->timestamp_unix_ms,
                                      .headers = headers,
                                      .header_count = header_count,
                                      .value = message->value};
    struct job_rules rules = {.cluster_id = kafka_source_cluster_id(worker->source),
                              .max_value_bytes = (size_t)worker->config->job_max_bytes,
                              .max_code_bytes = (size_t)worker->config->job_max_bytes,
                              .now_unix_ms = loop_unix_ms(worker->loop)};
    topic_rules(worker, message, &rules);

    struct flight_runner *runner = new_runner(worker, message->value.length);
    enum code code = CODE_NONE;
    const char *text = "";
    enum job_verdict verdict = job_decode(&record, &rules, &runner->arena, &runner->job, &code, &text);
    if (verdict == JOB_UNREADABLE) {
        divert_record(worker, message, code_name(code), text);
        end(runner);
        return;
    }
    record_pack(headers, header_count, message->value, &runner->raw);
    if (verdict == JOB_ACCEPTED) {
        code = plan_compile(&runner->job, &worker->config->catalog, &worker->rules, &runner->arena,
                            &runner->plan, &text);
        runner->has_plan = code == CODE_NONE;
    }
    set_up_outcome(runner);
    flight_init(&runner->flight, runner->has_plan ? runner->plan.max_attempts : 1);
    flight_runner_charge(runner);
    observe_accepted(runner);
    if (code != CODE_NONE)
        outcome_blame(&runner->outcome, code, "job", "%s", text);
    flight_runner_advance(runner, &(struct flight_event){.kind = FLIGHT_EVENT_BEGIN, .code = code});
}

/* ---- the attempt ---- */

static struct attempt_report *this_attempt(struct flight_runner *runner)
{
    struct outcome *outcome = &runner->outcome;
    return &outcome->attempts[MIN(outcome->attempt_count, OUTCOME_ATTEMPTS_MAX - 1)];
}

static void execute(struct flight_runner *runner)
{
    buffer_release(&runner->raw); /* from here on no answer sends the record to the DLQ */
    runner->is_bound = false;
    runner->is_permit_given = true;
    runner->is_permit_idle = false;
    runner->is_permit_lost = false; /* of an earlier attempt, that is */
    runner->run = base_alloc(sizeof *runner->run);
    execution_runner_init(runner->run, runner, &runner->plan);
    runner->retry_after_ms = 0;
    runner->run_began_ms = runner->collect_began_ms = 0;
    *this_attempt(runner) = (struct attempt_report){.n = runner->flight.attempt};
    runner->custody = custody_runner_create(runner->worker, runner, runner->permit, runner->wait_ms,
                                            runner->acquire_boot_ms + LEDGER_GRANT_MS);
    flight_runner_charge(runner);
}

static void bind_claim(void *arg);

static void on_bound(struct ledger_call *call, const struct error *error, enum ledger_answer answer)
{
    struct flight_runner *runner = call->arg;
    if (error || answer == LEDGER_NOT_NOW) {
        loop_timer_start(loop_of(runner), &runner->timer, BIND_AGAIN_MS, bind_claim, runner);
        return;
    }
    if (answer == LEDGER_OK) {
        runner->is_bound = true;
        if (runner->run)
            execution_runner_bound(runner->run);
        return;
    }
    runner->is_permit_lost = answer == LEDGER_SUPERSEDED_PERMIT;
    flight_runner_superseded(runner);
}

static void bind_claim(void *arg)
{
    struct flight_runner *runner = arg;
    const struct plan *plan = &runner->plan;
    char digest[17];
    (void)snprintf(digest, sizeof digest, "%016llx", (unsigned long long)plan->digest);
    const struct ledger_bind bind = {
        .job = runner->job.key,
        .permit = runner->permit,
        .sandbox = runner->custody->sandbox_id,
        .mode = run_mode_name(plan->run_mode),
        .plan = digest,
        .horizon_ms = runner->custody->horizon_ms,
        .until_ms = plan->main_ms + plan->final_ms + RUN_MARGIN_MS,
        .run_until_ms = plan->main_ms,
    };
    ledger_bind(runner->worker->ledger, &runner->bind_call, &bind, on_bound);
}

/* What the refused or unanswered create means is the attempt's verdict. */
static void blame_create(struct flight_runner *runner, const struct e2b_error *error, enum code code)
{
    struct outcome *outcome = &runner->outcome;
    outcome_blame(outcome, code, "create", "%s", error->message);
    outcome->provider_status = error->http_status;
    (void)snprintf(outcome->provider_code, sizeof outcome->provider_code, "%s", error->code);
}

void flight_runner_on_sandbox(struct flight_runner *runner, const struct e2b_error *error)
{
    struct timing *timing = &runner->outcome.timing;
    if (error)
        runner->custody = NULL;
    if (!runner->run)
        return; /* cancelled meanwhile: the verdict is being sealed, then the sandbox is let go */
    if (error) {
        enum code code = provider_create_code(error);
        blame_create(runner, error, code);
        runner->retry_after_ms = error->retry_after_ms;
        execution_runner_gone(runner->run, code);
        return;
    }
    timing->create_ms = runner->custody->created_ms - runner->granted_ms;
    if (timing->started_unix_ms < 0)
        timing->started_unix_ms = loop_unix_ms(loop_of(runner));
    (void)snprintf(this_attempt(runner)->sandbox_id, sizeof this_attempt(runner)->sandbox_id, "%s",
                   runner->custody->sandbox_id);
    bind_claim(runner);
    observe_started(runner);
    execution_runner_start(runner->run, runner->custody->sandbox);
}

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
            timing->prepare_ms = now_ms - runner->custody->created_ms;
            runner->run_began_ms = now_ms;
        }
    }
    if (from <= EXECUTION_STOPPING && to > EXECUTION_STOPPING && runner->run_began_ms > 0) {
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
    struct attempt_report *report = this_attempt(runner);
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
    outcome->attempt_count = MIN(outcome->attempt_count + 1, OUTCOME_ATTEMPTS_MAX);
}

/* The machine decides, the sentence is ours. */
static void blame_run(struct flight_runner *runner)
{
    const struct execution *execution = &runner->run->execution;
    const struct e2b_error *cause = &runner->run->cause;
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
    else if (cause->kind != 0)
        outcome_blame(outcome, code, step->name, "%s", cause->message);
    else
        outcome_blame(outcome, code, step->name, "step '%s' failed", step->name);
    if (cause->kind != 0) {
        outcome->provider_status = cause->http_status;
        (void)snprintf(outcome->provider_code, sizeof outcome->provider_code, "%s", cause->code);
    }
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

/* The verdict that stands is the execution's: what a step noted on the way to a forgiven or final failure
 * does not. */
void flight_runner_on_run_ended(struct flight_runner *runner)
{
    struct execution *execution = &runner->run->execution;
    bool has_begun = runner->job.never_after_start && runner->run_began_ms > 0;
    if (execution->has_left && has_begun) {
        /* Whoever had it next would begin it a second time. */
        end_for_good(runner);
        return;
    }
    if (execution->has_left) {
        account(runner, CODE_NONE);
        happen(runner, FLIGHT_EVENT_LEFT);
        return;
    }
    if (runner->outcome.code != execution->verdict)
        runner->outcome.code = CODE_NONE;
    blame_run(runner);
    account(runner, execution->verdict);
    flight_runner_advance(runner, &(struct flight_event){.kind = FLIGHT_EVENT_ENDED,
                                                         .code = execution->verdict,
                                                         .retry_ms = runner->retry_after_ms,
                                                         .is_final = has_begun});
}

/* ---- orders ---- */

static void on_timer(void *arg)
{
    struct flight_runner *runner = arg;
    if (runner->flight.state == FLIGHT_WAITING)
        happen(runner, FLIGHT_EVENT_WAKE);
    else if (runner->flight.state == FLIGHT_QUEUED && runner->entry.aside)
        queue_free_limit(runner->worker->queue, runner->denied_by,
                         1); /* the poll: the oldest of them asks again */
    worker_poke(runner->worker);
}

static void set_timer(struct flight_runner *runner)
{
    int64_t delay_ms = random_jitter_ms(runner->worker->random, runner->flight.delay_ms);
    loop_timer_start(loop_of(runner), &runner->timer, delay_ms, on_timer, runner);
}

static void give_claim_back(struct flight_runner *runner, bool is_uncounted)
{
    /* The custody keeps the permit until its sandbox is dead; without one nothing was made and it goes back
     * at once. */
    int what = LEDGER_RELEASE_CLAIM | (is_uncounted ? LEDGER_UNCOUNT : 0) |
               (runner->is_permit_given ? 0 : LEDGER_RELEASE_PERMIT);
    runner->is_permit_idle = false;
    ledger_release(runner->worker->ledger, runner->permit, runner->job.key, what);
}

static void give_back(struct flight_runner *runner)
{
    observe_retrying(runner, runner->outcome.code, !runner->flight.is_uncounted);
    give_claim_back(runner, runner->flight.is_uncounted);
    let_sandbox_go(runner);
    end_run(runner);
    outcome_clear_attempt(&runner->outcome);
    if (runner->flight.is_uncounted && runner->outcome.attempt_count > 0)
        runner->outcome.attempt_count--; /* waiting is no attempt */
    runner->queued_since_ms = loop_now_ms(loop_of(runner));
    runner->waiting_notes = 0;
    set_timer(runner);
    flight_runner_charge(runner);
}

/* Superseded while it ran, or at the seal: what we have is worth nothing any more. */
static void forget_attempt(struct flight_runner *runner)
{
    let_sandbox_go(runner);
    end_run(runner);
    outcome_clear_attempt(&runner->outcome);
    buffer_clear(&runner->sealed);
    buffer_clear(&runner->value);
}

static void clear(struct flight_runner *runner)
{
    struct worker *worker = runner->worker;
    observe_adopted(runner);
    ledger_release(worker->ledger, runner->found_permit, runner->job.key, LEDGER_RELEASE_CLAIM);
    custody_runner_clear(worker, runner->found_permit, runner->found_sandbox, runner->job.key);
    if (runner->flight.state == FLIGHT_FINISHED)
        end(runner);
    else if (runner->flight.state == FLIGHT_WAITING)
        set_timer(runner);
    else
        enter_queue(runner);
}

static void seal(struct flight_runner *runner)
{
    struct timing *timing = &runner->outcome.timing;
    if (runner->sealed.length == 0) {
        if (runner->outcome.code != runner->flight.code)
            outcome_blame(&runner->outcome, runner->flight.code, "", "%s", code_hint(runner->flight.code));
        timing->finished_unix_ms = loop_unix_ms(loop_of(runner));
        timing->total_ms = timing->queued_ms + loop_now_ms(loop_of(runner)) - runner->received_ms;
        observe_sealed(runner);
    }
    end_run(runner);
    /* A new ledger waits until no sandbox lives, and this seal for the ledger: one of them must let go first.
     */
    if (ledger_state(runner->worker->ledger) != LEDGER_READY)
        let_sandbox_go(runner);
    flight_publish_seal(runner);
}

static void publish(struct flight_runner *runner)
{
    let_idle_permit_go(runner);
    let_sandbox_go(runner);
    buffer_release(&runner->sealed); /* the ledger has it now */
    flight_publish_result(runner, false);
}

/* Nobody needs any more what its owner may have left alive. The permit is not ours: it ends by its horizon.
 */
static void publish_found(struct flight_runner *runner)
{
    if (runner->found_permit[0] != '\0')
        custody_runner_clear(runner->worker, runner->found_permit, runner->found_sandbox, runner->job.key);
    flight_publish_found(runner);
}

static void finish(struct flight_runner *runner)
{
    struct worker *worker = runner->worker;
    const struct provenance *from = &runner->job.from;
    if (worker->source)
        kafka_source_finish(worker->source, from->topic, from->partition, from->offset);
    end(runner);
}

static void finish_published(struct flight_runner *runner)
{
    bool is_result = runner->flight.code != CODE_JOB_ID_CONFLICT;
    if (is_result) {
        const char *status = runner->is_found ? "" : status_name(code_status(runner->flight.code));
        ledger_done(runner->worker->ledger, runner->job.key, status, runner->first_partition,
                    runner->first_offset, LEDGER_DONE_MS);
        observe_finished(runner);
    }
    finish(runner);
}

static void drop(struct flight_runner *runner)
{
    observe_dropped(runner);
    if (runner->flight.holds_claim || runner->flight.may_hold_claim)
        give_claim_back(runner, runner->flight.is_uncounted);
    end(runner);
}

static void obey(struct flight_runner *runner, enum flight_state from, enum flight_order order)
{
    worker_count_active(runner->worker, &runner->is_counted, is_active(runner->flight.state));
    switch (order) {
    case FLIGHT_ORDER_WAIT:
        return;
    case FLIGHT_ORDER_ENQUEUE:
        enter_queue(runner);
        return;
    case FLIGHT_ORDER_SET_ASIDE:
        queue_set_aside(runner->worker->queue, &runner->entry, runner->denied_by);
        set_timer(runner);
        return;
    case FLIGHT_ORDER_SLEEP:
        if (runner->flight.next == FLIGHT_ACQUIRING && runner->flight.refusal == CODE_NONE)
            forget_attempt(runner); /* a refusal stays what it is, whoever had the claim */
        set_timer(runner);
        return;
    case FLIGHT_ORDER_ACQUIRE:
        let_idle_permit_go(runner);
        flight_acquire(runner);
        return;
    case FLIGHT_ORDER_EXECUTE:
        execute(runner);
        return;
    case FLIGHT_ORDER_CLEAR:
        clear(runner);
        return;
    case FLIGHT_ORDER_GIVE_BACK:
        give_back(runner);
        return;
    case FLIGHT_ORDER_SEAL:
        seal(runner);
        return;
    case FLIGHT_ORDER_PUBLISH:
        publish(runner);
        return;
    case FLIGHT_ORDER_PUBLISH_SMALL:
        flight_publish_result(runner, true);
        return;
    case FLIGHT_ORDER_PUBLISH_FOUND:
        publish_found(runner);
        return;
    case FLIGHT_ORDER_DIVERT:
        flight_publish_divert(runner, /* with_value= */ true);
        return;
    case FLIGHT_ORDER_DIVERT_SMALL:
        flight_publish_divert(runner, /* with_value= */ false);
        return;
    case FLIGHT_ORDER_FINISH:
        if (from == FLIGHT_PUBLISHING)
            finish_published(runner);
        else
            finish(runner); /* stale: a later copy answers for the job */
        return;
    case FLIGHT_ORDER_NOTE_DUPLICATE:
        observe_duplicate(runner);
        finish(runner);
        return;
    case FLIGHT_ORDER_DROP:
        drop(runner);
        return;
    }
}

/* ---- use ---- */

static enum code overdue(const struct flight_runner *runner)
{
    const struct job *job = &runner->job;
    int64_t now_unix_ms = loop_unix_ms(loop_of(runner));
    if (job->expires_unix_ms >= 0 && now_unix_ms >= job->expires_unix_ms)
        return CODE_JOB_EXPIRED;
    int64_t since = job->from.timestamp_unix_ms;
    if (since > 0 && now_unix_ms - since >= runner->worker->config->queue_timeout_ms)
        return CODE_QUEUE_TIMEOUT;
    return CODE_NONE;
}

void flight_runner_turn(struct flight_runner *runner)
{
    loop_timer_stop(loop_of(runner), &runner->timer);
    enum code code = overdue(runner);
    if (code == CODE_JOB_EXPIRED)
        outcome_blame(&runner->outcome, code, "queue",
                      "the job's expires_at had passed before it could start");
    else if (code == CODE_QUEUE_TIMEOUT)
        outcome_blame(&runner->outcome, code, "queue", "the job waited longer than queue.timeout_ms (%lld)",
                      (long long)runner->worker->config->queue_timeout_ms);
    flight_runner_advance(runner, &(struct flight_event){.kind = FLIGHT_EVENT_TURN, .code = code});
}

void flight_runner_wake(struct flight_runner *runner)
{
    if (runner->flight.state != FLIGHT_WAITING)
        return;
    loop_timer_stop(loop_of(runner), &runner->timer);
    happen(runner, FLIGHT_EVENT_WAKE);
}

void flight_runner_leave(struct flight_runner *runner)
{
    happen(runner, FLIGHT_EVENT_LEAVE);
}

void flight_runner_give_up(struct flight_runner *runner)
{
    if (runner->flight.state == FLIGHT_EXECUTING && runner->run)
        execution_runner_leave(runner->run);
}

void flight_runner_cancel(struct flight_runner *runner)
{
    if (runner->flight.state == FLIGHT_EXECUTING && runner->run)
        execution_runner_cancel(runner->run);
}

void flight_runner_superseded(struct flight_runner *runner)
{
    if (runner->flight.state == FLIGHT_EXECUTING)
        happen(runner, FLIGHT_EVENT_SUPERSEDED);
}

void flight_runner_on_gone(struct flight_runner *runner)
{
    if (runner->run)
        execution_runner_gone(runner->run, CODE_SANDBOX_LOST);
}

void flight_runner_on_lost(struct flight_runner *runner)
{
    runner->is_permit_lost = true;
    flight_runner_superseded(runner);
}
