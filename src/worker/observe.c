/* What happens, as log lines, numbers and events. */
#include "core/cost.h"
#include "worker/custody_runner.h"
#include "worker/observe_inside.h"
#include "worker/reaper.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LAG_CHECK_MS = 100 };

/* ---- events ---- */

static void post(struct worker *worker, const char *topic, const struct envelope *envelope, struct bytes key,
                 const struct buffer *value)
{
    struct envelope_headers headers;
    struct kafka_header copies[ENVELOPE_HEADERS_MAX];
    envelope_write(envelope, &headers);
    for (size_t i = 0; i < headers.count; i++)
        copies[i] = (struct kafka_header){headers.items[i].name, headers.items[i].value};
    const struct kafka_record record = {.topic = topic,
                                        .key = key,
                                        .value = buffer_bytes(value),
                                        .headers = copies,
                                        .header_count = headers.count};
    kafka_sink_post(worker->sink, &record);
}

void observe_post(struct flight_runner *runner, const char *type, int64_t n, const struct buffer *value)
{
    struct worker *worker = runner->worker;
    struct arena arena;
    arena_init(&arena, 512);
    const struct envelope envelope = {
        .id = event_id(&runner->job, type, n, &arena),
        .source = event_source(worker->config->deployment, runner->job.tenant_id, &arena),
        .type = type,
        .subject = runner->job.job_id,
        .trace_parent = runner->job.from.trace_parent,
        .time_unix_ms = loop_unix_ms(worker->loop),
    };
    post(worker, worker->config->topics.results, &envelope,
         (struct bytes){runner->job.job_id, strlen(runner->job.job_id)}, value);
    arena_release(&arena);
}

/* ---- the life of a job ---- */

void observe_accepted(struct flight_runner *runner)
{
    struct observe *observe = runner->worker->observe;
    if (runner->job.from.hop == 0) { /* else it was, when it first came */
        observe->accepted++;
        histogram_add(&observe->queued_ms, runner->outcome.timing.queued_ms);
    }
    log_debug(&runner->worker->log, "job.accepted", JOB_FIELDS(runner),
              LOG_TEXT("topic", runner->job.from.topic), LOG_INT("partition", runner->job.from.partition),
              LOG_INT("offset", runner->job.from.offset));
}

void observe_hop(struct flight_runner *runner)
{
    runner->worker->observe->hops++;
    log_debug(&runner->worker->log, "job.parked", JOB_FIELDS(runner),
              LOG_INT("hop", runner->job.from.hop + 1), LOG_INT("delay_ms", runner->flight.delay_ms));
}

void observe_started(struct flight_runner *runner)
{
    struct worker *worker = runner->worker;
    struct observe *observe = worker->observe;
    observe->attempts++;
    histogram_add(&observe->create_ms, runner->outcome.timing.create_ms);
    if (runner->outcome.attempt_count == 0) /* later attempts have their own permit, and none of this wait */
        histogram_add(&observe->permit_wait_ms, runner->outcome.timing.permit_wait_ms);
    log_debug(&worker->log, "job.started", JOB_FIELDS(runner), LOG_INT("attempt", runner->flight.attempt),
              LOG_TEXT("sandbox", runner->custody->sandbox_id),
              LOG_TEXT("template", runner->plan.placement.entry->name));
    if (!worker->config->lifecycle_events)
        return;
    CLEANUP(buffer_release) struct buffer value = {0};
    const struct event_started started = {.worker_id = ledger_worker(worker->ledger),
                                          .sandbox_id = runner->custody->sandbox_id,
                                          .plan = &runner->plan,
                                          .attempt = runner->flight.attempt};
    event_started(&runner->job, &started, &value);
    observe_post(runner, EVENT_STARTED, runner->flight.attempt, &value);
}

void observe_retrying(struct flight_runner *runner, enum code code, bool is_counted)
{
    struct worker *worker = runner->worker;
    worker->observe->retries += is_counted;
    log_info(&worker->log, "job.retrying", JOB_FIELDS(runner), LOG_TEXT("code", code_name(code)),
             LOG_INT("attempt", runner->flight.attempt), LOG_BOOL("counts", is_counted),
             LOG_INT("delay_ms", runner->flight.delay_ms),
             LOG_TEXT("message", outcome_message(&runner->outcome)));
    if (!worker->config->lifecycle_events || !is_counted)
        return;
    CLEANUP(buffer_release) struct buffer value = {0};
    const struct event_retrying retrying = {.attempt = runner->flight.attempt,
                                            .max_attempts = runner->flight.max_attempts,
                                            .delay_ms = runner->flight.delay_ms,
                                            .code = code,
                                            .message = outcome_message(&runner->outcome)};
    event_retrying(&runner->job, &retrying, &value);
    observe_post(runner, EVENT_RETRYING, runner->flight.attempt, &value);
}

void observe_sealed(struct flight_runner *runner)
{
    struct observe *observe = runner->worker->observe;
    const struct timing *timing = &runner->outcome.timing;
    if (timing->run_ms >= 0)
        histogram_add(&observe->run_ms, timing->run_ms);
    histogram_add(&observe->total_ms, timing->total_ms);
    observe->nano_usd += runner->outcome.nano_usd;
    observe->wasted_nano_usd += runner->outcome.wasted_nano_usd;
}

void observe_finished(struct flight_runner *runner)
{
    struct observe *observe = runner->worker->observe;
    enum code code = runner->flight.code;
    if (runner->is_found) { /* its owner counted it, or died before it could */
        log_info(&runner->worker->log, "job.published_for_another", JOB_FIELDS(runner));
        return;
    }
    observe->by_status[code_status(code)]++;
    observe->by_code[code]++;
    log_info(&runner->worker->log, "job.finished", JOB_FIELDS(runner),
             LOG_TEXT("status", status_name(code_status(code))),
             LOG_TEXT("code", code ? code_name(code) : NULL), LOG_INT("attempt", runner->flight.attempt),
             LOG_INT("total_ms", runner->outcome.timing.total_ms),
             LOG_INT("run_ms", runner->outcome.timing.run_ms),
             LOG_TEXT("message", code ? outcome_message(&runner->outcome) : NULL));
}

void observe_duplicate(struct flight_runner *runner)
{
    struct worker *worker = runner->worker;
    bool is_conflict = runner->flight.code == CODE_JOB_ID_CONFLICT;
    if (!is_conflict &&
        !runner->is_other_record) { /* the same record again, after a crash or a rebalance: no news */
        worker->observe->repeats++;
        return;
    }
    worker->observe->duplicates++;
    log_warn(&worker->log, "job.duplicate", JOB_FIELDS(runner), LOG_BOOL("conflict", is_conflict),
             LOG_TEXT("topic", runner->job.from.topic), LOG_INT("partition", runner->job.from.partition),
             LOG_INT("offset", runner->job.from.offset));
    CLEANUP(buffer_release) struct buffer value = {0};
    const struct event_duplicate duplicate = {.code = is_conflict ? CODE_JOB_ID_CONFLICT : CODE_NONE,
                                              .first_status = runner->first_status,
                                              .first_partition = runner->first_partition,
                                              .first_offset = runner->first_offset};
    event_duplicate(&runner->job, &duplicate, &value);
    observe_post(runner, EVENT_DUPLICATE, runner->job.from.offset, &value);
}

void observe_dropped(struct flight_runner *runner)
{
    log_debug(&runner->worker->log, "job.left_to_next_owner", JOB_FIELDS(runner),
              LOG_BOOL("held_claim", runner->flight.holds_claim));
}

/* Its run goes on here. */
void observe_adopted(struct flight_runner *runner)
{
    runner->worker->observe->adopted++;
    log_info(&runner->worker->log, "job.adopted", JOB_FIELDS(runner),
             LOG_TEXT("permit", runner->found_permit), LOG_TEXT("sandbox", runner->found_sandbox),
             LOG_INT("run_left_ms", runner->found_run_left_ms));
}

/* ... and elsewhere. */
void observe_handed_over(struct flight_runner *runner)
{
    log_info(&runner->worker->log, "job.handed_over", JOB_FIELDS(runner), LOG_TEXT("permit", runner->permit),
             LOG_TEXT("sandbox", runner->custody->sandbox_id));
}

/* What its owner left is killed, and it runs anew. */
void observe_taken_over(struct flight_runner *runner)
{
    log_info(&runner->worker->log, "job.taken_over", JOB_FIELDS(runner),
             LOG_TEXT("permit", runner->found_permit), LOG_TEXT("sandbox", runner->found_sandbox));
}

void observe_cancel(struct worker *worker, const char *job, bool is_late)
{
    worker->observe->cancels++;
    log_info(&worker->log, "job.cancel_asked", LOG_TEXT("job", job), LOG_BOOL("late", is_late));
}

void observe_diverted(struct worker *worker, const char *topic, int32_t partition, int64_t offset,
                      const char *code, const char *message)
{
    worker->observe->diverted++;
    log_warn(&worker->log, "record.to_dlq", LOG_TEXT("topic", topic), LOG_INT("partition", partition),
             LOG_INT("offset", offset), LOG_TEXT("code", code), LOG_TEXT("message", message));
}

/* ---- the life of a sandbox ---- */

static void post_reaped(const struct custody_runner *custody, int64_t age_ms, int64_t nano_usd)
{
    struct worker *worker = custody->worker;
    const struct reaped *reaped = custody->reaped;
    const char *subject = custody->sandbox_id, *key = reaped->job ? reaped->job : subject;
    CLEANUP(buffer_release) struct buffer value = {0};
    const struct event_reaped event = {.worker_id = ledger_worker(worker->ledger),
                                       .sandbox_id = custody->sandbox_id,
                                       .permit = custody->permit,
                                       .job_id = reaped->job,
                                       .tenant_id = reaped->tenant,
                                       .template_name = reaped->template_name,
                                       .template_id = reaped->template_id,
                                       .reason = reaped->reason,
                                       .age_ms = age_ms,
                                       .nano_usd = nano_usd,
                                       .cpu_milli = reaped->priced.cpu_milli,
                                       .memory_mb = reaped->priced.memory_mb,
                                       .price_version = worker->config->catalog.price_version};
    struct arena arena;
    arena_init(&arena, 256);
    const struct envelope envelope = {
        .id = arena_printf(&arena, "%s:reaped", subject),
        .source = event_source(worker->config->deployment, reaped->tenant, &arena),
        .type = EVENT_REAPED,
        .subject = subject,
        .time_unix_ms = loop_unix_ms(worker->loop),
    };
    event_reaped(&event, &value);
    post(worker, worker->config->topics.results, &envelope, (struct bytes){key, strlen(key)}, &value);
    arena_release(&arena);
}

/* Nobody had a right to it any more, and it is dead. */
static void observe_reaped(const struct custody_runner *custody)
{
    struct worker *worker = custody->worker;
    const struct reaped *reaped = custody->reaped;
    int64_t age_ms = reaped->age_ms + loop_now_ms(worker->loop) - reaped->noted_ms;
    int64_t nano_usd = cost_nano_usd(&reaped->priced, age_ms);
    worker->observe->reaped++;
    log_warn(&worker->log, "sandbox.reaped", LOG_TEXT("sandbox", custody->sandbox_id),
             LOG_TEXT("permit", custody->permit), LOG_TEXT("job", custody->job),
             LOG_TEXT("reason", reaped->reason), LOG_INT("age_ms", age_ms), LOG_INT("nano_usd", nano_usd));
    post_reaped(custody, age_ms, nano_usd);
}

void observe_permit_freed(struct worker *worker, const struct ledger_permit *permit)
{
    worker->observe->freed++;
    log_info(&worker->log, "permit.freed", LOG_TEXT("permit", permit->permit), LOG_TEXT("job", permit->job),
             LOG_TEXT("worker", permit->worker), LOG_TEXT("sandbox", permit->sandbox),
             LOG_INT("age_ms", permit->age_ms));
}

void observe_custody(struct custody_runner *custody, enum custody_state from, enum custody_order order,
                     const struct e2b_error *error)
{
    struct observe *observe = custody->worker->observe;
    const struct log *log = &custody->worker->log;
    enum custody_state to = custody->custody.state;
    if (from == CUSTODY_CREATING && to != CUSTODY_CREATING) {
        observe->creates++;
        observe->create_failures += error != NULL;
        if (error)
            log_warn(log, "sandbox.create_failed", LOG_TEXT("job", custody->job),
                     LOG_TEXT("permit", custody->permit), LOG_INT("http_status", error->http_status),
                     LOG_BOOL("undecided", error->undecided), LOG_TEXT("message", error->message));
    }
    observe->doubts += to == CUSTODY_DOUBTFUL && from != CUSTODY_DOUBTFUL;
    if (from == CUSTODY_KILLING && to == CUSTODY_KILLING && error) {
        observe->kill_failures++;
        log_warn(log, "sandbox.kill_failed", LOG_TEXT("sandbox", custody->sandbox_id),
                 LOG_TEXT("message", error->message));
    }
    if (from == CUSTODY_LIVE && to == CUSTODY_LIVE && error)
        log_warn(log, "sandbox.extend_failed", LOG_TEXT("sandbox", custody->sandbox_id),
                 LOG_TEXT("message", error->message));
    if (from == CUSTODY_KILLING && order == CUSTODY_ORDER_RELEASE) { /* not left to another, nor given up */
        int64_t kill_ms = loop_now_ms(custody->worker->loop) - custody->kill_asked_ms;
        observe->kills++;
        histogram_add(&observe->kill_ms, kill_ms);
        if (custody->reaped)
            observe_reaped(custody);
        log_debug(log, "sandbox.killed", LOG_TEXT("sandbox", custody->sandbox_id),
                  LOG_TEXT("job", custody->job), LOG_INT("kill_ms", kill_ms));
    }
}

/* ---- the worker ---- */

void observe_state(struct worker *worker, enum part part, bool is_usable, const char *why)
{
    if (is_usable)
        log_info(&worker->log, "part.ready", LOG_TEXT("part", part_name(part)));
    else
        log_warn(&worker->log, "part.not_ready", LOG_TEXT("part", part_name(part)), LOG_TEXT("why", why));
}

static void post_stats(struct observe *observe)
{
    struct worker *worker = observe->worker;
    CLEANUP(buffer_release) struct buffer value = {0};
    char id[160];
    const char *worker_id = ledger_worker(worker->ledger);
    int64_t now_unix_ms = loop_unix_ms(worker->loop);
    worker_stats(worker, &value);
    struct arena arena;
    arena_init(&arena, 256);
    (void)snprintf(id, sizeof id, "%s:%lld", worker_id, (long long)now_unix_ms);
    const struct envelope envelope = {.id = id,
                                      .source = event_source(worker->config->deployment, NULL, &arena),
                                      .type = EVENT_STATS,
                                      .subject = worker_id,
                                      .time_unix_ms = now_unix_ms};
    post(worker, worker->config->topics.stats, &envelope, (struct bytes){worker_id, strlen(worker_id)},
         &value);
    arena_release(&arena);
}

static void on_stats_due(void *arg)
{
    struct observe *observe = arg;
    post_stats(observe);
    places_look(&observe->places);
    observe->loop_lag_max_ms = 0;
    loop_timer_start(observe->worker->loop, &observe->stats_timer, observe->worker->config->stats_interval_ms,
                     on_stats_due, observe);
}

/* How late the loop is: a timer of known length, against the clock. */
static void on_lag_check(void *arg)
{
    struct observe *observe = arg;
    int64_t now_ms = loop_now_ms(observe->worker->loop);
    int64_t lag_ms = MAX(now_ms - observe->lag_checked_ms - LAG_CHECK_MS, 0);
    observe->loop_lag_max_ms = MAX(observe->loop_lag_max_ms, lag_ms);
    histogram_add(&observe->loop_lag_ms, lag_ms);
    observe->lag_checked_ms = now_ms;
    loop_timer_start(observe->worker->loop, &observe->lag_timer, LAG_CHECK_MS, on_lag_check, observe);
}

struct observe *observe_new(struct worker *worker)
{
    struct observe *observe = base_alloc(sizeof *observe);
    observe->worker = worker;
    places_init(&observe->places, worker);
    observe->started_unix_ms = loop_unix_ms(worker->loop);
    observe->lag_checked_ms = loop_now_ms(worker->loop);
    loop_timer_start(worker->loop, &observe->lag_timer, LAG_CHECK_MS, on_lag_check, observe);
    loop_timer_start(worker->loop, &observe->stats_timer, worker->config->stats_interval_ms, on_stats_due,
                     observe);
    return observe;
}

void observe_free(struct observe *observe)
{
    if (!observe)
        return;
    post_stats(observe); /* the last word of this worker: what it did is complete now */
    loop_timer_stop(observe->worker->loop, &observe->lag_timer);
    loop_timer_stop(observe->worker->loop, &observe->stats_timer);
    places_release(&observe->places);
    free(observe);
}
