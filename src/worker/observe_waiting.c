/* Why a job waits, as a log line and an event. */
#include "core/limit.h"
#include "worker/observe_inside.h"

#include <string.h>

/* The class that others keep places of the global limit for; NULL: none. */
static const char *reserved_for(const struct flight_runner *runner)
{
    struct limit limit;
    for (size_t i = 0; runner->has_plan && i < runner->plan.limit_count; i++)
        if (limit_parse(runner->plan.limits[i].name, &limit) && limit.kind == LIMIT_RESERVE &&
            strcmp(limit.of, priority_name(runner->job.priority)) != 0)
            return limit.of;
    return NULL;
}

/* A tenant and a class always have a limit in the ledger; one that was not configured is as wide as the
 * whole, and when it is full, so is the whole. */
static struct limit_denial denial_of(const struct flight_runner *runner, const struct ledger_acquired *answer,
                                     struct arena *arena)
{
    const struct places *places = &runner->worker->observe->places;
    struct limit_answer denied = {.key = answer->limit, .used = answer->used, .open = answer->max};
    struct limit limit;
    if (limit_parse(answer->limit, &limit) && (limit.kind == LIMIT_TENANT || limit.kind == LIMIT_CLASS) &&
        places_max(places, answer->limit) < 0) {
        denied.key = LIMIT_KEY_GLOBAL;
    } else {
        denied.max = places_max(places, LIMIT_KEY_GLOBAL);
        denied.reserved_for = reserved_for(runner);
    }
    return limit_explain(&denied, arena);
}

enum { WAITING_EVENT_EVERY_MS = 10000, WAITING_DOUBLINGS = 5 };

/* ---- reasons ---- */

static struct event_waiting waiting_because(const char *reason, const char *message)
{
    return (struct event_waiting){
        .reason = reason, .message = message, .used = -1, .max = -1, .reserved = -1, .retry_ms = -1};
}

static struct event_waiting waiting_for(const struct flight_runner *runner,
                                        const struct ledger_acquired *answer, struct arena *arena)
{
    if (answer->verdict == LEDGER_NOT_READY)
        return waiting_because("limiter_not_ready", answer->why);
    if (answer->verdict == LEDGER_ELSEWHERE)
        return waiting_because("elsewhere", arena_printf(arena, "the worker %s has this job", answer->owner));
    struct limit_denial denial = denial_of(runner, answer, arena);
    struct event_waiting waiting = waiting_because("limit", denial.message);
    waiting.limit = denial.limit;
    waiting.used = denial.used;
    waiting.max = denial.max;
    waiting.reserved = denial.reserved;
    waiting.retry_ms = answer->retry_ms;
    return waiting;
}

/* Nobody asked the ledger for it yet. No reason: it is about to be asked for. */
static struct event_waiting waiting_unasked(const struct flight_runner *runner,
                                            const struct ledger_acquired *answer, struct arena *arena)
{
    (void)answer;
    const struct worker *worker = runner->worker;
    const char *redis = worker_part_why(worker, PART_REDIS), *e2b = worker_part_why(worker, PART_E2B);
    if (*redis)
        return waiting_because("limiter_not_ready", redis);
    if (*e2b)
        return waiting_because("e2b", e2b);
    if (runner->entry.aside) {
        const char *limit = limit_name(runner->denied_by, arena);
        struct event_waiting waiting = waiting_because(
            "limit", arena_printf(arena, "others that wait for the limit %s ask before it", limit));
        waiting.limit = limit;
        return waiting;
    }
    if (worker->active_count >= (size_t)worker->config->max_in_flight)
        return waiting_because("worker_full",
                               arena_printf(arena, "this worker runs %lld jobs, as many as it may",
                                            (long long)worker->config->max_in_flight));
    return waiting_because(NULL, NULL);
}

/* ---- telling ---- */

static void post_waiting(struct flight_runner *runner, const struct event_waiting *waiting)
{
    struct worker *worker = runner->worker;
    CLEANUP(buffer_release) struct buffer value = {0};
    event_waiting(&runner->job, waiting, &value);
    runner->waiting_notes++;
    /* Numbered by the record's age, not by our own notes: another worker's events of this job follow on. */
    int64_t since = runner->job.from.timestamp_unix_ms;
    int64_t age_ms = since > 0 ? loop_unix_ms(worker->loop) - since : waiting->waited_ms;
    observe_post(runner, EVENT_WAITING, age_ms / WAITING_EVENT_EVERY_MS, &value);
}

/* At once, after 10 s, 30 s, 70 s ... and every 5 min at last: a queue of thousands that waits for an hour
 * shall not fill a topic. */
static int64_t due_ms(int64_t notes)
{
    int64_t doublings = MIN(notes, WAITING_DOUBLINGS);
    int64_t rare = notes - doublings;
    return WAITING_EVENT_EVERY_MS * ((1 << doublings) - 1 + rare * (1 << WAITING_DOUBLINGS));
}

static void tell_waiting(struct flight_runner *runner, const struct event_waiting *waiting, bool is_due)
{
    log_debug(&runner->worker->log, "job.waiting", JOB_FIELDS(runner), LOG_TEXT("reason", waiting->reason),
              LOG_TEXT("limit", waiting->limit), LOG_INT("used", waiting->used), LOG_INT("max", waiting->max),
              LOG_TEXT("message", waiting->message), LOG_INT("waited_ms", waiting->waited_ms));
    if (is_due)
        post_waiting(runner, waiting);
}

static void note_waiting(struct flight_runner *runner,
                         struct event_waiting (*explain)(const struct flight_runner *runner,
                                                         const struct ledger_acquired *answer,
                                                         struct arena *arena),
                         const struct ledger_acquired *answer)
{
    struct worker *worker = runner->worker;
    int64_t waited_ms = loop_now_ms(worker->loop) - runner->queued_since_ms;
    bool is_due = worker->config->lifecycle_events && waited_ms >= due_ms(runner->waiting_notes);
    if (!is_due && !log_is_on(&worker->log, LOG_LEVEL_DEBUG))
        return;
    struct arena arena;
    arena_init(&arena, 512);
    struct event_waiting waiting = explain(runner, answer, &arena);
    waiting.waited_ms = waited_ms;
    if (waiting.reason)
        tell_waiting(runner, &waiting, is_due);
    arena_release(&arena);
}

void observe_waiting(struct flight_runner *runner, const struct ledger_acquired *answer)
{
    note_waiting(runner, waiting_for, answer);
}

static struct event_waiting waiting_as_suspect(const struct flight_runner *runner,
                                               const struct ledger_acquired *answer, struct arena *arena)
{
    (void)answer;
    return waiting_because(
        "suspect",
        arena_printf(arena,
                     "its worker died over it (%lld times): such jobs run one at a time on each worker",
                     (long long)runner->crashes));
}

void observe_suspect(struct flight_runner *runner)
{
    note_waiting(runner, waiting_as_suspect, NULL);
}

static struct event_waiting waiting_as_parked(const struct flight_runner *runner,
                                              const struct ledger_acquired *answer, struct arena *arena)
{
    (void)answer;
    struct event_waiting waiting =
        runner->park_reason == PARK_NOT_BEFORE
            ? waiting_because("not_before", "it is not to start yet")
            : waiting_because(
                  "tenant_share",
                  arena_printf(arena,
                               "other jobs of its tenant fill the tenant's share of this worker's "
                               "queue; it comes back in %lld s",
                               (long long)runner->flight.delay_ms / 1000));
    waiting.retry_ms = runner->flight.delay_ms;
    return waiting;
}

void observe_parked(struct flight_runner *runner)
{
    note_waiting(runner, waiting_as_parked, NULL);
}

/* Most of a long queue never ask: those before them would hear the same. */
void observe_queue(struct worker *worker)
{
    if (!worker->config->lifecycle_events || queue_count(worker->queue) == 0)
        return;
    LIST_EACH(&worker->flights, link)
    {
        struct flight_runner *runner = LIST_OBJECT(link, struct flight_runner, link);
        if (runner->flight.state != FLIGHT_QUEUED || runner->entry.is_held)
            continue;
        if (runner->is_suspect && worker_is_suspect_busy(worker, runner))
            observe_suspect(runner);
        else
            note_waiting(runner, waiting_unasked, NULL);
    }
}
