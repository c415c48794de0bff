/* Claim and permit. */
#include "worker/flight_acquire.h"

#include "core/limit.h"
#include "worker/custody_runner.h"
#include "worker/flight_park.h"
#include "worker/flight_publish.h"
#include "worker/observe.h"
#include "worker/provider.h"

#include <assert.h>
#include <string.h>

static void answer_is(struct flight_runner *runner, enum flight_event_kind kind)
{
    flight_runner_advance(runner, &(struct flight_event){.kind = kind});
}

static void note_found(struct flight_runner *runner, const struct ledger_acquired *answer)
{
    base_copy_text(runner->found_permit, sizeof runner->found_permit, answer->permit);
    base_copy_text(runner->found_sandbox, sizeof runner->found_sandbox, answer->sandbox);
    runner->found_run_left_ms = answer->run_until_ms;
    if (answer->verdict == LEDGER_DONE) {
        runner->first_status = arena_strdup(&runner->arena, answer->status);
        runner->first_partition = answer->partition;
        runner->first_offset = answer->offset;
        runner->is_other_record = strcmp(answer->origin, runner->job.from.origin) != 0;
    }
    if (answer->verdict == LEDGER_SEALED) {
        buffer_clear(&runner->sealed);
        buffer_append(&runner->sealed, answer->record.data, answer->record.length);
        if (!runner->found_place || strcmp(runner->found_place, answer->place) != 0)
            runner->found_place = arena_strdup(&runner->arena, answer->place);
    }
}

static void on_denied(struct flight_runner *runner, const struct ledger_acquired *answer)
{
    if (!runner->denied_by || strcmp(runner->denied_by, answer->limit) != 0)
        runner->denied_by = arena_strdup(&runner->arena, answer->limit);
    observe_waiting(runner, answer);
    struct worker *worker = runner->worker;
    flight_runner_advance(runner,
                          &(struct flight_event){.kind = FLIGHT_EVENT_DENIED, .retry_ms = answer->retry_ms});
    worker_take_early_turn(worker, answer->limit);
}

/* A grant means that there may be more room: the next that waits for each of these limits asks again. */
static void free_others(struct flight_runner *runner)
{
    for (size_t i = 0; runner->has_plan && i < runner->plan.limit_count; i++)
        queue_free_limit(runner->worker->queue, runner->plan.limits[i].name, 1);
    queue_free_limit(runner->worker->queue, LIMIT_KEY_CREATE_RATE, 1);
    worker_poke(runner->worker);
}

/* It came for what another left, and that one has given it back: it begins when its turn comes. */
static bool is_early(const struct flight_runner *runner)
{
    const struct worker *worker = runner->worker;
    return !runner->is_in_turn && (worker->active_count > (size_t)worker->config->max_in_flight ||
                                   !provider_is_usable(worker->provider) || flight_park_due_ms(runner) > 0);
}

static void on_granted(struct flight_runner *runner, const struct ledger_acquired *answer)
{
    bool has_begun_elsewhere = answer->has_begun && runner->job.never_after_start;
    runner->is_permit_idle = true;
    runner->granted_ms = loop_now_ms(runner->worker->loop);
    runner->wait_ms = answer->wait_ms;
    if (runner->outcome.timing.permit_wait_ms < 0)
        runner->outcome.timing.permit_wait_ms = runner->granted_ms - runner->received_ms;
    free_others(runner);
    runner->crashes = answer->crashes;
    runner->is_suspect = answer->crashes > 0;
    flight_runner_advance(
        runner,
        &(struct flight_event){.kind = FLIGHT_EVENT_GRANTED,
                               .attempt = answer->attempt,
                               .crashes = answer->crashes,
                               .is_busy = worker_is_suspect_busy(runner->worker, runner),
                               .is_early = is_early(runner),
                               .is_final = has_begun_elsewhere || flight_runner_has_begun_for_good(runner)});
}

/* Its process goes on by itself, and it is exactly what this worker would have started. */
static bool can_attach(const struct flight_runner *runner, const struct ledger_acquired *answer)
{
    char digest[PLAN_DIGEST_SIZE] = "";
    if (runner->has_plan)
        plan_digest_text(&runner->plan, digest);
    return runner->has_plan && runner->plan.run_mode == RUN_MODE_PROCESS && answer->sandbox[0] != '\0' &&
           strcmp(answer->mode, run_mode_name(RUN_MODE_PROCESS)) == 0 && strcmp(answer->plan, digest) == 0;
}

static void on_adopt(struct flight_runner *runner, const struct ledger_acquired *answer)
{
    runner->crashes = answer->crashes;
    runner->is_suspect = answer->crashes > 1;
    flight_runner_advance(
        runner,
        &(struct flight_event){.kind = FLIGHT_EVENT_ADOPT,
                               .attempt = answer->attempt,
                               .crashes = answer->crashes,
                               .is_busy = worker_is_suspect_busy(runner->worker, runner),
                               .can_attach = can_attach(runner, answer),
                               .is_final = runner->job.never_after_start && answer->sandbox[0] != '\0'});
}

static void on_acquired(struct ledger_call *call, const struct error *error,
                        const struct ledger_acquired *answer)
{
    struct flight_runner *runner = call->arg;
    if (error) {
        /* It may have been granted: given back before it is asked for anew, under a new permit. */
        if (runner->was_asked)
            ledger_release(runner->worker->ledger, runner->permit, runner->job.key,
                           LEDGER_RELEASE_PERMIT | LEDGER_RELEASE_CLAIM | LEDGER_UNCOUNT);
        answer_is(runner, FLIGHT_EVENT_NOT_NOW);
        return;
    }
    note_found(runner, answer);
    switch (answer->verdict) {
    case LEDGER_GRANTED:
        on_granted(runner, answer);
        return;
    case LEDGER_DENIED:
        on_denied(runner, answer);
        return;
    case LEDGER_NOT_READY:
        observe_waiting(runner, answer);
        flight_runner_advance(
            runner, &(struct flight_event){.kind = FLIGHT_EVENT_NOT_NOW, .retry_ms = answer->retry_ms});
        return;
    case LEDGER_ELSEWHERE:
        observe_waiting(runner, answer);
        answer_is(runner, FLIGHT_EVENT_ELSEWHERE);
        return;
    case LEDGER_ADOPT:
        on_adopt(runner, answer);
        return;
    case LEDGER_SEALED:
        flight_runner_advance(runner, &(struct flight_event){.kind = FLIGHT_EVENT_FOUND_SEALED,
                                                             .is_copy = flight_publish_is_copy(runner)});
        return;
    case LEDGER_DONE:
        answer_is(runner, FLIGHT_EVENT_FOUND_DONE);
        return;
    case LEDGER_STALE:
        answer_is(runner, FLIGHT_EVENT_STALE);
        return;
    case LEDGER_CANCELLED:
        outcome_blame(&runner->outcome, CODE_CANCELLED, "queue", "the job was cancelled before it ran");
        answer_is(runner, FLIGHT_EVENT_FOUND_CANCELLED);
        return;
    case LEDGER_CONFLICT:
        outcome_blame(&runner->outcome, CODE_JOB_ID_CONFLICT, "job",
                      "a job with the id '%s' and another payload exists already", runner->job.job_id);
        answer_is(runner, FLIGHT_EVENT_CONFLICT);
        return;
    }
}

/* A job that is refused takes the claim only to seal it: under the limits it would have had, or the global
 * one. */
static size_t limits_of(const struct flight_runner *runner, struct ledger_limit *limits, size_t max)
{
    if (!runner->has_plan) {
        limits[0] = (struct ledger_limit){LIMIT_KEY_GLOBAL, runner->worker->config->limit_global};
        return 1;
    }
    assert(runner->plan.limit_count <= max);
    for (size_t i = 0; i < MIN(runner->plan.limit_count, max); i++)
        limits[i] = (struct ledger_limit){runner->plan.limits[i].name, runner->plan.limits[i].max};
    return runner->plan.limit_count;
}

void flight_acquire(struct flight_runner *runner)
{
    struct worker *worker = runner->worker;
    struct ledger_limit limits[8];
    bool is_refused = runner->flight.refusal != CODE_NONE;
    int64_t live_ms = runner->has_plan ? custody_runner_times(&runner->plan).live_ms : 0;
    random_uuid(worker->random, runner->permit);
    runner->is_permit_given = runner->is_giving_way = false;
    const struct ledger_acquire ask = {
        .job = runner->job.key,
        .payload = runner->job.from.payload,
        .origin = runner->job.from.origin,
        .hop = runner->job.from.hop,
        .place = flight_publish_place(runner),
        .tenant = runner->job.tenant_id,
        .weight = runner->has_plan ? runner->plan.tenant_weight : 1,
        .permit = runner->permit,
        .horizon_ms = LEDGER_GRANT_MS + LEDGER_CREATE_MS + LEDGER_LATE_CREATE_MS + live_ms + LEDGER_SLACK_MS,
        .until_ms = LEDGER_UNBOUND_MS,
        .create_milli_per_s = is_refused ? 0 : worker->config->create_milli_per_s,
        .create_burst = worker->config->create_burst,
        .limits = limits,
        .limit_count = limits_of(runner, limits, ARRAY_LENGTH(limits)),
    };
    runner->was_asked = ledger_state(worker->ledger) != LEDGER_CONNECTING; /* else nothing is sent */
    runner->acquire_boot_ms = loop_boot_ms(worker->loop);
    ledger_acquire(worker->ledger, &runner->ledger_call, &ask, on_acquired);
}
