/* One job's way through this worker: obeys core/flight.h. */
#include "worker/flight_runner.h"

#include "worker/custody_runner.h"
#include "worker/divert.h"
#include "worker/flight_acquire.h"
#include "worker/flight_attempt.h"
#include "worker/flight_park.h"
#include "worker/flight_publish.h"
#include "worker/intake.h"
#include "worker/observe.h"
#include "worker/provider.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    TEXTS_BYTES = 896
}; /* of a usual job beside its record: the plan, names, what its events are called */

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
    return state >= FLIGHT_ACQUIRING && state <= FLIGHT_PUBLISHING && state != FLIGHT_WAITING;
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
    flight_attempt_drop(runner);
    flight_attempt_let_sandbox_go(runner);
    let_idle_permit_go(runner);
    ledger_call_cancel(worker->ledger, &runner->ledger_call);
    ledger_call_cancel(worker->ledger, &runner->bind_call);
    kafka_place_cancel(&runner->place_call);
    loop_timer_stop(worker->loop, &runner->timer);
    gate_leave(&runner->gate);
    worker_leave_suspect(worker, runner);
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
    runner->place_call.arg = runner;
    runner->send.arg = runner;
    runner->received_ms = runner->queued_since_ms = runner->asked_ms = loop_now_ms(worker->loop);
    runner->first_partition = runner->first_offset = runner->create_mark = -1;
    arena_init(&runner->arena, message_bytes + TEXTS_BYTES);
    list_push_back(&worker->flights, &runner->link);
    worker->flight_count++;
    return runner;
}

/* What the topic's name says about the job. */
static void topic_rules(struct worker *worker, const char *topic, struct job_rules *rules)
{
    const struct config *config = worker->config;
    size_t prefix = strlen(config->topics.jobs_prefix);
    if (prefix > 0 && strncmp(topic, config->topics.jobs_prefix, prefix) == 0)
        rules->task_type = topic + prefix;
    for (size_t i = 0; i < config->tenants_by_topic.count; i++)
        if (strcmp(config->tenants_by_topic.items[i].name, topic) == 0)
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
    int64_t since_unix_ms = job_waits_since_unix_ms(&runner->job);
    runner->outcome.timing.queued_ms =
        since_unix_ms > 0 ? MAX(loop_unix_ms(loop_of(runner)) - since_unix_ms, 0) : 0;
}

static void set_up_entry(struct flight_runner *runner)
{
    runner->entry.tenant_id = runner->job.tenant_id;
    runner->entry.priority = runner->job.priority;
    runner->entry.weight = runner->has_plan ? runner->plan.tenant_weight : 1;
    runner->entry.bytes = runner->charged_bytes;
}

static void enter_queue(struct flight_runner *runner)
{
    queue_remove(runner->worker->queue, &runner->entry); /* where it was held until now */
    set_up_entry(runner);
    queue_push(runner->worker->queue, &runner->entry);
    worker_poke(runner->worker);
}

void flight_runner_begin(struct worker *worker, const struct kafka_message *message)
{
    struct header headers[64];
    size_t header_count = MIN(message->header_count, ARRAY_LENGTH(headers));
    for (size_t i = 0; i < header_count; i++)
        headers[i] = (struct header){message->headers[i].name, message->headers[i].value};
    bool is_copy = intake_kind_of(worker, message->topic) == INTAKE_COPY;
    struct hop hop = {0};
    if (is_copy)
        intake_read_hop(message, &hop);
    const struct job_record record = {.topic = message->topic,
                                      .partition = message->partition,
                                      .offset = message->offset,
                                      .timestamp_unix_ms = message->timestamp_unix_ms,
                                      .headers = headers,
                                      .header_count = header_count,
                                      .value = message->value,
                                      .hop = is_copy ? &hop : NULL};
    struct job_rules rules = {.cluster_id = kafka_source_cluster_id(worker->source),
                              .max_value_bytes = (size_t)worker->config->job_max_bytes,
                              .max_code_bytes = (size_t)worker->config->job_max_bytes,
                              .now_unix_ms = loop_unix_ms(worker->loop)};
    topic_rules(worker, hop.topic[0] != '\0' ? hop.topic : message->topic, &rules);

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
    flight_init(&runner->flight, runner->has_plan ? runner->plan.max_attempts : 1,
                worker->config->retry_max_crashes);
    flight_runner_charge(runner);
    observe_accepted(runner);
    if (code == CODE_NONE) {
        set_up_entry(runner);
        flight_park_begin(runner, message->was_pulled);
        return;
    }
    outcome_blame(&runner->outcome, code, "job", "%s", text);
    flight_runner_advance(runner, &(struct flight_event){.kind = FLIGHT_EVENT_BEGIN, .code = code});
}

/* ---- orders ---- */

static void on_timer(void *arg);

/* Until it is due it does not run, but a verdict is sealed, and another's run is looked after. */
static void set_timer(struct flight_runner *runner)
{
    const struct flight *flight = &runner->flight;
    bool is_to_run =
        flight->refusal == CODE_NONE && (flight->state == FLIGHT_QUEUED || flight->next == FLIGHT_QUEUED);
    int64_t due_ms = is_to_run ? flight_park_due_ms(runner) : 0, delay_ms = flight->delay_ms;
    delay_ms = due_ms > 0 ? MAX(delay_ms, due_ms) : random_jitter_ms(runner->worker->random, delay_ms);
    loop_timer_start(loop_of(runner), &runner->timer, delay_ms, on_timer, runner);
}

static void on_timer(void *arg)
{
    struct flight_runner *runner = arg;
    const struct flight *flight = &runner->flight;
    if (flight->state == FLIGHT_WAITING && flight->next == FLIGHT_ACQUIRING &&
        worker_is_overfull(runner->worker))
        set_timer(runner); /* what it finds may be one more */
    else if (flight->state == FLIGHT_WAITING)
        happen(runner, FLIGHT_EVENT_WAKE);
    else if (flight->state == FLIGHT_QUEUED && runner->entry.aside)
        queue_free_limit(runner->worker->queue, runner->denied_by, 1); /* the oldest of them asks again */
    worker_poke(runner->worker);
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
    if (runner->run) /* else it was told when it should have been parked */
        observe_retrying(runner, runner->outcome.code, !runner->flight.is_uncounted);
    give_claim_back(runner, runner->flight.is_uncounted);
    worker_leave_suspect(runner->worker, runner);
    flight_attempt_let_sandbox_go(runner);
    flight_attempt_drop(runner);
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
    worker_leave_suspect(runner->worker, runner);
    flight_attempt_let_sandbox_go(runner);
    flight_attempt_drop(runner);
    outcome_clear_attempt(&runner->outcome);
    buffer_clear(&runner->sealed);
    buffer_clear(&runner->value);
}

/* Nothing is started before bind names the sandbox: a claim that names none has run no process, nor a job
 * that must not begin twice. Such an attempt does not count. */
static void give_found_claim_back(struct flight_runner *runner)
{
    bool is_unstarted = runner->found_sandbox[0] == '\0' && flight_attempt_leaves_a_trace(runner);
    ledger_release(runner->worker->ledger, runner->found_permit, runner->job.key,
                   LEDGER_RELEASE_CLAIM | (is_unstarted ? LEDGER_UNCOUNT : 0));
}

static void clear(struct flight_runner *runner)
{
    struct worker *worker = runner->worker;
    observe_taken_over(runner);
    if (runner->flight.holds_claim) { /* to be sealed under it; the permit is the custody's */
        base_copy_text(runner->permit, sizeof runner->permit, runner->found_permit);
        runner->is_permit_given = true;
    } else {
        give_found_claim_back(runner);
    }
    custody_runner_clear(worker, runner->found_permit, runner->found_sandbox, runner->job.key);
    if (runner->flight.state == FLIGHT_FINISHED)
        end(runner);
    else if (runner->flight.state == FLIGHT_WAITING)
        set_timer(runner);
    else
        flight_park_line_up(runner);
}

/* A verdict that no run brought. */
static void blame_verdict(struct flight_runner *runner)
{
    enum code code = runner->flight.code;
    if (runner->outcome.code == code)
        return;
    runner->outcome.code = CODE_NONE;
    if (code == CODE_CANCELLED)
        outcome_blame(&runner->outcome, code, "queue", "the job was cancelled before it ran");
    else
        outcome_blame(&runner->outcome, code, "", "%s", code_hint(code));
}

static void seal(struct flight_runner *runner)
{
    struct timing *timing = &runner->outcome.timing;
    if (runner->sealed.length == 0) {
        blame_verdict(runner);
        timing->finished_unix_ms = loop_unix_ms(loop_of(runner));
        timing->total_ms = timing->queued_ms + loop_now_ms(loop_of(runner)) - runner->received_ms;
        observe_sealed(runner);
    }
    queue_remove(runner->worker->queue, &runner->entry);              /* cancelled while it was queued */
    ledger_call_cancel(runner->worker->ledger, &runner->ledger_call); /* ... and asked about its claim */
    flight_attempt_drop(runner);
    /* Should this worker die before the ledger is back, the sandbox is all that tells of the run. */
    if (ledger_state(runner->worker->ledger) != LEDGER_READY && !flight_attempt_leaves_a_trace(runner))
        flight_attempt_let_sandbox_go(runner);
    flight_publish_seal(runner);
}

/* Whoever was stopped since the ledger sealed this may wake into another ledger, which knows nothing of
 * it. */
static bool is_forgotten(struct flight_runner *runner)
{
    if (runner->flight.is_unsealed || runner->sealed_epoch == ledger_epoch(runner->worker->ledger))
        return false;
    happen(runner, FLIGHT_EVENT_FORGOTTEN);
    return true;
}

static void publish_now(void *arg)
{
    struct flight_runner *runner = arg;
    if (is_forgotten(runner))
        return;
    if (!runner->flight.is_unsealed)
        buffer_release(&runner->sealed); /* the ledger has it now */
    flight_publish_result(runner, false);
}

static void publish(struct flight_runner *runner)
{
    let_idle_permit_go(runner);
    flight_attempt_let_sandbox_go(runner);
    if (runner->flight.is_unsealed)
        publish_now(runner); /* there is no lease to be had: that is why */
    else
        gate_pass(runner->worker, &runner->gate, publish_now, runner);
}

static void publish_small_now(void *arg)
{
    struct flight_runner *runner = arg;
    if (!is_forgotten(runner))
        flight_publish_result(runner, /* is_small= */ true);
}

static void publish_small(struct flight_runner *runner)
{
    if (runner->flight.is_unsealed)
        publish_small_now(runner);
    else
        gate_pass(runner->worker, &runner->gate, publish_small_now, runner);
}

/* Nobody needs any more what its owner may have left alive. The permit is not ours: it ends by its
 * horizon. */
static void publish_found_now(void *arg)
{
    struct flight_runner *runner = arg;
    if (!is_forgotten(runner))
        flight_publish_found(runner);
}

static void publish_found(struct flight_runner *runner)
{
    if (runner->found_permit[0] != '\0')
        custody_runner_clear(runner->worker, runner->found_permit, runner->found_sandbox, runner->job.key);
    runner->sealed_epoch = ledger_epoch(runner->worker->ledger);
    gate_pass(runner->worker, &runner->gate, publish_found_now, runner);
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

/* The claim waits behind the suspect that runs here, or for a turn of its own. A run is nobody's meanwhile,
 * its sandbox kept by the way for as long as it lives at once. */
static void return_claim(struct flight_runner *runner, bool is_run)
{
    if (is_run)
        custody_runner_hand_over(custody_runner_adopt(runner->worker, runner, runner->found_permit,
                                                      runner->found_sandbox,
                                                      flight_attempt_found_ran_ms(runner)));
    else
        give_claim_back(runner, /* is_uncounted= */ true);
    if (!runner->is_suspect || !worker_is_suspect_busy(runner->worker, runner)) {
        flight_park_line_up(runner);
        return;
    }
    observe_suspect(runner);
    runner->denied_by = WORKER_SUSPECT_LIMIT;
    queue_set_aside(runner->worker->queue, &runner->entry, runner->denied_by);
}

/* Of an attempt that failed, or of one that shall not begin yet: the sandbox goes, the claim is parked once
 * the copy is in Kafka. */
static void park(struct flight_runner *runner)
{
    if (runner->run)
        observe_retrying(runner, runner->outcome.code, !runner->flight.is_uncounted);
    else
        observe_parked(runner);
    worker_leave_suspect(runner->worker, runner);
    flight_attempt_let_sandbox_go(runner);
    flight_attempt_drop(runner);
    flight_publish_parked(runner);
}

static void hand_over(struct flight_runner *runner)
{
    observe_handed_over(runner);
    custody_runner_hand_over(TAKE(runner->custody));
    end(runner);
}

static void finish_parked(struct flight_runner *runner)
{
    ledger_park(runner->worker->ledger, runner->flight.holds_claim ? runner->permit : "", runner->job.key,
                runner->job.from.hop + 1, runner->flight.delay_ms);
    observe_hop(runner);
    finish(runner);
}

/* Whoever owns the offset publishes it, from what the ledger keeps. */
static void leave_sealed(struct flight_runner *runner)
{
    observe_dropped(runner);
    ledger_leave_sealed(runner->worker->ledger, runner->job.key, FLIGHT_SEALED_UNTIL_MS);
    end(runner);
}

static void drop(struct flight_runner *runner)
{
    observe_dropped(runner);
    if (runner->flight.holds_claim || runner->flight.may_hold_claim)
        give_claim_back(runner, runner->flight.is_uncounted);
    else if (!custody_runner_find(runner->worker, runner->found_permit))
        ledger_let_go(runner->worker->ledger, runner->found_permit); /* a run that was found on the way out */
    end(runner);
}

static void finish_from(struct flight_runner *runner, enum flight_state from)
{
    if (from == FLIGHT_PUBLISHING)
        finish_published(runner);
    else if (from == FLIGHT_PARKING)
        finish_parked(runner);
    else
        finish(runner); /* stale: a later copy answers for the job */
}

static void fall_asleep(struct flight_runner *runner)
{
    if (runner->flight.next == FLIGHT_ACQUIRING && runner->flight.refusal == CODE_NONE)
        forget_attempt(runner); /* a refusal stays what it is, whoever had the claim */
    set_timer(runner);
}

static void acquire(struct flight_runner *runner, enum flight_state from)
{
    let_idle_permit_go(runner);
    if (from == FLIGHT_WAITING)
        runner->is_in_turn = false;
    flight_acquire(runner);
}

static void set_aside(struct flight_runner *runner)
{
    if (runner->entry.sequence == 0) { /* held, then asked for out of turn: now it stands in line */
        enter_queue(runner);
        return;
    }
    queue_set_aside(runner->worker->queue, &runner->entry, runner->denied_by);
    if (strcmp(runner->denied_by, LIMIT_KEY_CREATE_RATE) == 0)
        set_timer(runner); /* when it will have room is known; who waits at another is polled by the worker */
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
        set_aside(runner);
        return;
    case FLIGHT_ORDER_SLEEP:
        fall_asleep(runner);
        return;
    case FLIGHT_ORDER_ASK_PLACE:
        flight_publish_ask_place(runner);
        return;
    case FLIGHT_ORDER_ACQUIRE:
        acquire(runner, from);
        return;
    case FLIGHT_ORDER_EXECUTE:
        worker_enter_suspect(runner->worker, runner);
        flight_attempt_execute(runner);
        return;
    case FLIGHT_ORDER_ATTACH:
        flight_attempt_attach(runner);
        return;
    case FLIGHT_ORDER_RETURN:
    case FLIGHT_ORDER_RETURN_RUN:
        return_claim(runner, order == FLIGHT_ORDER_RETURN_RUN);
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
        publish_small(runner);
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
        finish_from(runner, from);
        return;
    case FLIGHT_ORDER_NOTE_DUPLICATE:
        observe_duplicate(runner);
        finish(runner);
        return;
    case FLIGHT_ORDER_PARK:
        park(runner);
        return;
    case FLIGHT_ORDER_DROP:
        drop(runner);
        return;
    case FLIGHT_ORDER_HAND_OVER:
        hand_over(runner);
        return;
    case FLIGHT_ORDER_LEAVE_SEALED:
        leave_sealed(runner);
        return;
    }
}

/* ---- use ---- */

enum code flight_runner_overdue(struct flight_runner *runner)
{
    const struct job *job = &runner->job;
    int64_t now_unix_ms = loop_unix_ms(loop_of(runner)), since = job_waits_since_unix_ms(job);
    int64_t timeout_ms = runner->worker->config->queue_timeout_ms;
    if (job->expires_unix_ms >= 0 && now_unix_ms >= job->expires_unix_ms) {
        outcome_blame(&runner->outcome, CODE_JOB_EXPIRED, "queue",
                      "the job's expires_at had passed before it could start");
        return CODE_JOB_EXPIRED;
    }
    if (since > 0 && now_unix_ms - since >= timeout_ms) {
        outcome_blame(&runner->outcome, CODE_QUEUE_TIMEOUT, "queue",
                      "the job waited longer than queue.timeout_ms (%lld)", (long long)timeout_ms);
        return CODE_QUEUE_TIMEOUT;
    }
    return CODE_NONE;
}

static void take_turn(struct flight_runner *runner, bool is_in_turn)
{
    runner->is_in_turn = is_in_turn;
    loop_timer_stop(loop_of(runner), &runner->timer);
    ledger_call_cancel(runner->worker->ledger, &runner->ledger_call);
    runner->asked_ms = loop_now_ms(loop_of(runner));
    enum code code = flight_runner_overdue(runner);
    flight_runner_advance(runner, &(struct flight_event){.kind = FLIGHT_EVENT_TURN, .code = code});
}

void flight_runner_turn(struct flight_runner *runner)
{
    take_turn(runner, true);
}

void flight_runner_take_up(struct flight_runner *runner)
{
    queue_remove(runner->worker->queue, &runner->entry);
    take_turn(runner, false);
}

void flight_runner_wake(struct flight_runner *runner)
{
    if (runner->flight.state != FLIGHT_WAITING || runner->is_giving_way)
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
    if (runner->flight.state == FLIGHT_EXECUTING) {
        if (runner->run)
            execution_runner_cancel(runner->run);
        return;
    }
    happen(runner, FLIGHT_EVENT_CANCEL);
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

/* A sandbox that is counted nowhere must go, and the attempt with it. Whose the claim is, is not said: giving
 * it back does nothing where it is another's. */
void flight_runner_on_lost(struct flight_runner *runner, enum ledger_loss loss)
{
    if (loss == LEDGER_LOST_TO_OTHER) {
        runner->is_permit_lost = true;
        flight_runner_superseded(runner);
    } else if (runner->run) {
        struct e2b_error error = {.kind = E2B_ERROR_GONE};
        (void)snprintf(error.message, sizeof error.message,
                       "the ledger lost the permit of sandbox %s, so it may not live any more",
                       runner->custody ? runner->custody->sandbox_id : "");
        execution_runner_blame(runner->run, &error);
        flight_runner_on_gone(runner);
    }
}

bool flight_runner_has_begun_for_good(const struct flight_runner *runner)
{
    return runner->has_begun && runner->job.never_after_start;
}
