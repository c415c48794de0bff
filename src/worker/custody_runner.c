/* One sandbox under one permit: obeys core/custody.h. */
#include "worker/custody_runner.h"

#include "worker/flight_runner.h"
#include "worker/observe.h"
#include "worker/provider.h"
#include "worker/reaper.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    KEEP_TIMEOUT_MS = 10000,
    DOUBT_ENDS_MS = 120000, /* after a create was asked for */
    SANDBOX_ENV_MAX = 64    /* as many as a job may name */
};

_Static_assert(DOUBT_ENDS_MS > LEDGER_GRANT_MS + LEDGER_CREATE_MS + LEDGER_LATE_CREATE_MS,
               "a create that is sent late and carried out late is still looked for");

static void advance(struct custody_runner *runner, enum custody_event_kind kind,
                    const struct e2b_error *error);

/* ---- life cycle ---- */

static void free_runner(void *object)
{
    struct custody_runner *runner = object;
    e2b_sandbox_free(runner->sandbox);
    reaped_free(runner->reaped);
    free(runner->job);
    free(runner->tenant);
    free(runner->limits);
    free(runner);
}

static struct custody_runner *new_runner(struct worker *worker, const char *permit, const char *job)
{
    struct custody_runner *runner = base_alloc(sizeof *runner);
    runner->worker = worker;
    runner->call.arg = runner;
    runner->ledger_call.arg = runner;
    runner->began_ms = loop_now_ms(worker->loop);
    runner->job = base_strdup(job);
    base_copy_text(runner->permit, sizeof runner->permit, permit);
    list_push_back(&worker->custodies, &runner->link);
    worker->custody_count++;
    return runner;
}

static void drop_calls(struct custody_runner *runner)
{
    e2b_call_cancel(&runner->call);
    if (runner->worker->ledger)
        ledger_call_cancel(runner->worker->ledger, &runner->ledger_call);
    gate_leave(&runner->gate);
    loop_timer_stop(runner->worker->loop, &runner->timer);
}

static void end(struct custody_runner *runner, bool is_released)
{
    struct worker *worker = runner->worker;
    drop_calls(runner);
    if (runner->is_sent)
        provider_withdraw(worker->provider);
    if (is_released && worker->ledger)
        ledger_release(worker->ledger, runner->permit, NULL, LEDGER_RELEASE_PERMIT);
    link_remove(&runner->link);
    worker->custody_count--;
    loop_reap(worker->loop, runner, free_runner);
    worker_ended(worker);
}

/* ---- the calls ---- */

/* The flight hears of it last: it does not hold our pointer any more then. */
static void lose_create(struct custody_runner *runner, enum custody_event_kind kind,
                        const struct e2b_error *error)
{
    struct flight_runner *flight = TAKE(runner->flight);
    struct worker *worker = runner->worker;
    struct e2b_error copy = *error;
    advance(runner, kind, &copy);
    if (flight)
        flight_runner_on_sandbox(flight, &copy);
    worker_ended(worker); /* a drain does not wait for what is in doubt */
}

static void on_created(struct e2b_call *call, const struct e2b_error *error, struct e2b_sandbox *sandbox)
{
    struct custody_runner *runner = call->arg;
    struct flight_runner *flight = runner->flight;
    runner->is_sent = false;
    provider_note_create(runner->worker->provider, error);
    if (!error) {
        runner->sandbox = sandbox;
        runner->created_ms = loop_now_ms(runner->worker->loop);
        base_copy_text(runner->sandbox_id, sizeof runner->sandbox_id, e2b_sandbox_id(sandbox));
        advance(runner, CUSTODY_EVENT_CREATED, NULL);
        if (flight)
            flight_runner_on_sandbox(flight, NULL);
        return;
    }
    lose_create(runner, error->undecided ? CUSTODY_EVENT_UNANSWERED : CUSTODY_EVENT_REFUSED, error);
}

/* E2B went out of use since the job's turn came: nothing is sent. */
static void refuse_create(struct custody_runner *runner)
{
    struct e2b_error error = {.kind = E2B_ERROR_CAPACITY};
    base_copy_text(error.message, sizeof error.message, provider_why(runner->worker->provider));
    lose_create(runner, CUSTODY_EVENT_REFUSED, &error);
}

static void send_create(void *arg)
{
    struct custody_runner *runner = arg;
    struct worker *worker = runner->worker;
    const struct plan *plan = runner->plan;
    char attempt[INT_TEXT_SIZE], run_ms[INT_TEXT_SIZE], digest[PLAN_DIGEST_SIZE];
    runner->is_sent = provider_admit(worker->provider);
    if (!runner->is_sent) {
        refuse_create(runner);
        return;
    }
    (void)base_int_text(runner->attempt, attempt);
    (void)base_int_text(plan->main_ms, run_ms);
    plan_digest_text(plan, digest);
    /* The first three find it; the others say what it is for to whoever must rebuild the ledger. */
    const struct e2b_pair metadata[] = {
        {"svc", "e2b-worker"},
        {"ledger", worker->config->ledger},
        {"permit", runner->permit},
        {"deployment", worker->config->deployment},
        {"tenant", runner->tenant},
        {"job", runner->job},
        {"limits", runner->limits},
        {"template", plan->placement.entry->name},
        {"mode", run_mode_name(plan->run_mode)},
        {"plan", digest},
        {"attempt", attempt},
        {"run_ms", run_ms},
    };
    struct e2b_pair env[SANDBOX_ENV_MAX];
    assert(plan->sandbox_env.count <= ARRAY_LENGTH(env));
    for (size_t i = 0; i < plan->sandbox_env.count; i++)
        env[i] = (struct e2b_pair){plan->sandbox_env.items[i].name, plan->sandbox_env.items[i].value};
    struct e2b_sandbox_options options = {
        .template_id = plan->placement.entry->template_id,
        .idempotency_key = runner->permit,
        .live_ms = runner->custody.times.live_ms,
        .metadata = {metadata, ARRAY_LENGTH(metadata)},
        .env = {env, plan->sandbox_env.count},
        .send_before_boot_ms = runner->send_before_boot_ms,
    };
    runner->call.timeout_ms = LEDGER_CREATE_MS;
    e2b_sandbox_create(worker->e2b, &runner->call, &options, on_created);
}

/* A page of sandboxes with our permit: there is one or none. */
static void on_looked(struct e2b_call *call, const struct e2b_error *error,
                      const struct e2b_sandbox_page *page)
{
    struct custody_runner *runner = call->arg;
    provider_note_list(runner->worker->provider, error);
    if (error) {
        advance(runner, CUSTODY_EVENT_LOOK_FAILED, error);
        return;
    }
    if (page->count > 0)
        base_copy_text(runner->sandbox_id, sizeof runner->sandbox_id, page->items[0].id);
    advance(runner, page->count > 0 ? CUSTODY_EVENT_FOUND : CUSTODY_EVENT_ABSENT, NULL);
}

static void look(struct custody_runner *runner)
{
    const struct e2b_pair metadata[] = {{"permit", runner->permit}};
    struct e2b_sandbox_filter filter = {.metadata = {metadata, 1}, .with_paused = true};
    runner->call.timeout_ms = 0;
    e2b_sandbox_list(runner->worker->e2b, &runner->call, &filter, on_looked);
}

static void on_kept(struct e2b_call *call, const struct e2b_error *error)
{
    struct custody_runner *runner = call->arg;
    if (error && error->kind == E2B_ERROR_GONE && runner->flight)
        flight_runner_on_gone(
            runner->flight); /* its end makes the sandbox unwanted: it still holds our pointer */
    else if (error && error->kind == E2B_ERROR_GONE && runner->custody.state != CUSTODY_HANDING)
        advance(runner, CUSTODY_EVENT_UNWANTED, error);
    else
        advance(runner, error ? CUSTODY_EVENT_SANDBOX_NOT_EXTENDED : CUSTODY_EVENT_SANDBOX_EXTENDED, error);
}

/* The run that is to be followed. What it took before us is part of its time, and of its cost. */
static void on_connected(struct e2b_call *call, const struct e2b_error *error, struct e2b_sandbox *sandbox)
{
    struct custody_runner *runner = call->arg;
    struct flight_runner *flight = runner->flight;
    if (!error) {
        runner->sandbox = sandbox;
        runner->created_ms = loop_now_ms(runner->worker->loop) - runner->run_ran_ms;
        advance(runner, CUSTODY_EVENT_SANDBOX_EXTENDED, NULL);
        if (flight)
            flight_runner_on_sandbox(flight, NULL);
        return;
    }
    provider_note(runner->worker->provider, error);
    bool is_gone = error->kind == E2B_ERROR_GONE || error->kind == E2B_ERROR_NOT_FOUND;
    if (!is_gone || runner->custody.state == CUSTODY_HANDING) { /* whoever has it next finds it gone */
        advance(runner, CUSTODY_EVENT_SANDBOX_NOT_EXTENDED, error);
        return;
    }
    struct e2b_error copy = *error;
    copy.kind = E2B_ERROR_GONE;
    runner->flight = NULL;
    advance(runner, CUSTODY_EVENT_UNWANTED, error);
    if (flight)
        flight_runner_on_sandbox(flight, &copy);
}

static void extend_sandbox(struct custody_runner *runner)
{
    struct worker *worker = runner->worker;
    int64_t live_ms = runner->custody.times.live_ms;
    runner->call.timeout_ms = KEEP_TIMEOUT_MS;
    if (runner->sandbox || !runner->is_adopted)
        e2b_sandbox_keep(worker->e2b, &runner->call, runner->sandbox_id, live_ms, on_kept);
    else
        e2b_sandbox_connect(worker->e2b, &runner->call, runner->sandbox_id, live_ms, on_connected);
}

static void on_permit_extended(struct ledger_call *call, const struct error *error, enum ledger_answer answer)
{
    struct custody_runner *runner = call->arg;
    if (error || answer == LEDGER_NOT_NOW)
        advance(runner, CUSTODY_EVENT_PERMIT_NOT_EXTENDED, NULL);
    else if (answer == LEDGER_OK)
        advance(runner, CUSTODY_EVENT_PERMIT_EXTENDED, NULL);
    else
        custody_runner_on_lost(runner, answer == LEDGER_SUPERSEDED_PERMIT ? LEDGER_LOST_TO_OTHER
                                                                          : LEDGER_LOST_FOR_GOOD);
}

static void on_yielded(struct ledger_call *call, const struct error *error, enum ledger_answer answer)
{
    struct custody_runner *runner = call->arg;
    if (!error && answer == LEDGER_SUPERSEDED) /* the claim is another's, under another permit */
        advance(runner, CUSTODY_EVENT_UNWANTED, NULL);
    else
        advance(runner, error || answer == LEDGER_NOT_NOW ? CUSTODY_EVENT_NOT_YIELDED : CUSTODY_EVENT_YIELDED,
                NULL);
}

static void on_killed(struct e2b_call *call, const struct e2b_error *error)
{
    struct custody_runner *runner = call->arg;
    if (error)
        provider_note(runner->worker->provider, error);
    advance(runner, error ? CUSTODY_EVENT_KILL_FAILED : CUSTODY_EVENT_KILLED, error);
}

static void kill_sandbox(void *arg)
{
    struct custody_runner *runner = arg;
    if (runner->kill_asked_ms == 0)
        runner->kill_asked_ms = loop_now_ms(runner->worker->loop);
    runner->call.timeout_ms = 0;
    e2b_sandbox_kill(runner->worker->e2b, &runner->call, runner->sandbox_id, on_killed);
}

/* ---- orders ---- */

static void on_timer(void *arg)
{
    advance(arg, CUSTODY_EVENT_DEADLINE, NULL);
}

static void set_timer(struct custody_runner *runner)
{
    struct loop *loop = runner->worker->loop;
    if (runner->custody.deadline_ms == INT64_MAX)
        loop_timer_stop(loop, &runner->timer);
    else
        loop_timer_start(loop, &runner->timer, runner->custody.deadline_ms - loop_now_ms(loop), on_timer,
                         runner);
}

static void obey(struct custody_runner *runner, enum custody_order order)
{
    switch (order) {
    case CUSTODY_ORDER_WAIT:
        set_timer(runner);
        return;
    case CUSTODY_ORDER_LOOK:
        set_timer(runner);
        look(runner);
        return;
    case CUSTODY_ORDER_EXTEND_PERMIT:
        drop_calls(runner);
        set_timer(runner);
        ledger_extend(runner->worker->ledger, &runner->ledger_call, runner->permit,
                      custody_horizon_ms(&runner->custody.times), on_permit_extended);
        return;
    case CUSTODY_ORDER_EXTEND_SANDBOX:
        extend_sandbox(runner);
        return;
    case CUSTODY_ORDER_YIELD:
        ledger_yield(runner->worker->ledger, &runner->ledger_call, runner->job, runner->permit,
                     runner->until_ms, on_yielded);
        return;
    case CUSTODY_ORDER_KILL:
        drop_calls(runner); /* an extension under way must not come after the kill's answer */
        gate_pass(runner->worker, &runner->gate, kill_sandbox, runner);
        return;
    case CUSTODY_ORDER_RELEASE:
        end(runner, true);
        return;
    case CUSTODY_ORDER_FORGET:
        end(runner, false);
        return;
    }
}

static void advance(struct custody_runner *runner, enum custody_event_kind kind,
                    const struct e2b_error *error)
{
    enum custody_state from = runner->custody.state;
    const struct custody_event event = {.kind = kind, .now_ms = loop_now_ms(runner->worker->loop)};
    enum custody_order order = custody_advance(&runner->custody, &event);
    observe_custody(runner, from, order, error);
    obey(runner, order);
}

/* ---- use ---- */

struct custody_times custody_runner_times(const struct plan *plan)
{
    int64_t needed_ms = plan->main_ms + plan->final_ms + LEDGER_CREATE_MS;
    return (struct custody_times){.live_ms = MIN(needed_ms, LEDGER_LIVE_MS),
                                  .is_rolling = needed_ms > LEDGER_LIVE_MS,
                                  .slack_ms = LEDGER_SLACK_MS,
                                  .lead_ms = LEDGER_LEAD_MS,
                                  .doubt_ends_ms = DOUBT_ENDS_MS};
}

/* What is the flight's and must outlive it. */
static void take_over_names(struct custody_runner *runner, struct flight_runner *flight)
{
    const struct plan *plan = &flight->plan;
    struct buffer limits = {0};
    for (size_t i = 0; i < plan->limit_count; i++) {
        if (strncmp(plan->limits[i].name, "r:", 2) == 0)
            continue;
        if (limits.length > 0)
            buffer_append_byte(&limits, ' ');
        buffer_append_text(&limits, plan->limits[i].name);
    }
    runner->flight = flight;
    runner->plan = plan;
    runner->tenant = base_strdup(flight->job.tenant_id);
    runner->limits = buffer_take(&limits);
    runner->attempt = flight->flight.attempt;
    runner->until_ms = plan->main_ms + plan->final_ms + CUSTODY_CLAIM_MARGIN_MS;
}

struct custody_runner *custody_runner_create(struct worker *worker, struct flight_runner *flight,
                                             const char *permit, int64_t wait_ms, int64_t send_before_boot_ms)
{
    struct custody_runner *runner = new_runner(worker, permit, flight->job.key);
    struct custody_times times = custody_runner_times(&flight->plan);
    custody_init(&runner->custody, &times, runner->began_ms);
    take_over_names(runner, flight);
    runner->send_before_boot_ms = send_before_boot_ms;
    if (wait_ms > 0 || !provider_has_room(worker->provider)) /* a refusal never comes from inside */
        loop_timer_start(worker->loop, &runner->timer, wait_ms, send_create, runner);
    else
        send_create(runner);
    return runner;
}

struct custody_runner *custody_runner_adopt(struct worker *worker, struct flight_runner *flight,
                                            const char *permit, const char *sandbox_id, int64_t run_ran_ms)
{
    struct custody_runner *runner = new_runner(worker, permit, flight->job.key);
    struct custody_times times = custody_runner_times(&flight->plan);
    take_over_names(runner, flight);
    runner->is_adopted = true;
    runner->run_ran_ms = run_ran_ms;
    base_copy_text(runner->sandbox_id, sizeof runner->sandbox_id, sandbox_id);
    obey(runner, custody_init_adopted(&runner->custody, &times, runner->began_ms));
    return runner;
}

void custody_runner_reap(struct worker *worker, const char *permit, const char *sandbox_id, const char *job,
                         struct reaped *reaped)
{
    struct custody_runner *runner = new_runner(worker, permit, job);
    const struct custody_times times = {
        .live_ms = LEDGER_LIVE_MS, .slack_ms = LEDGER_SLACK_MS, .doubt_ends_ms = DOUBT_ENDS_MS};
    runner->reaped = reaped;
    base_copy_text(runner->sandbox_id, sizeof runner->sandbox_id, sandbox_id);
    obey(runner, custody_init_left(&runner->custody, &times, sandbox_id[0] != '\0', runner->began_ms));
}

void custody_runner_clear(struct worker *worker, const char *permit, const char *sandbox_id, const char *job)
{
    custody_runner_reap(worker, permit, sandbox_id, job, NULL);
}

void custody_runner_unwanted(struct custody_runner *runner)
{
    if (!runner)
        return;
    runner->flight = NULL;
    /* A create that waits for its booked moment was not sent: nothing is there to be killed. */
    if (runner->custody.state == CUSTODY_CREATING && timer_is_active(&runner->timer)) {
        loop_timer_stop(runner->worker->loop, &runner->timer);
        advance(runner, CUSTODY_EVENT_REFUSED, NULL);
        return;
    }
    advance(runner, CUSTODY_EVENT_UNWANTED, NULL);
}

void custody_runner_superseded(struct custody_runner *runner)
{
    if (!runner)
        return;
    runner->flight = NULL;
    advance(runner, CUSTODY_EVENT_SUPERSEDED, NULL);
}

void custody_runner_bound(struct custody_runner *runner, int64_t asked_ms)
{
    const struct custody_event event = {
        .kind = CUSTODY_EVENT_BOUND, .now_ms = loop_now_ms(runner->worker->loop), .asked_ms = asked_ms};
    if (custody_accepts(runner->custody.state, event.kind))
        (void)custody_advance(&runner->custody, &event);
}

void custody_runner_hand_over(struct custody_runner *runner)
{
    const struct flight_runner *flight = TAKE(runner->flight);
    const struct provenance *from = &flight->job.from;
    struct handed_run *handed = &runner->handed;
    base_copy_text(handed->payload, sizeof handed->payload, from->payload);
    base_copy_text(handed->origin, sizeof handed->origin, from->origin);
    plan_digest_text(&flight->plan, handed->plan);
    handed->hop = from->hop;
    handed->crashes = flight->crashes;
    handed->main_ms = flight->plan.main_ms;
    advance(runner, CUSTODY_EVENT_HAND_OVER, NULL);
}

void custody_runner_on_lost(struct custody_runner *runner, enum ledger_loss loss)
{
    if (runner->flight)
        flight_runner_on_lost(runner->flight, loss); /* it lets us go, as it must be */
    else if (loss == LEDGER_LOST_TO_OTHER)
        advance(runner, CUSTODY_EVENT_SUPERSEDED, NULL);
    else
        advance(runner, CUSTODY_EVENT_UNWANTED, NULL);
}

void custody_runner_abandon(struct custody_runner *runner)
{
    end(runner, false);
}

struct custody_runner *custody_runner_find(const struct worker *worker, const char *permit)
{
    LIST_EACH(&worker->custodies, link)
    {
        struct custody_runner *runner = LIST_OBJECT(link, struct custody_runner, link);
        if (strcmp(runner->permit, permit) == 0)
            return runner;
    }
    return NULL;
}
