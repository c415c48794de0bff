/* Jobs that are not to be run yet. */
#include "worker/flight_park.h"

#include "worker/flight_publish.h"
#include "worker/intake.h"
#include "worker/observe.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

enum {
    HELD_MOST_MS = 30000, /* in memory; for longer it is parked */
    MOVED_AGAIN_MS = 1000,
    HEADERS_MAX = 64, /* of a record; what it had more was not taken in */
};

/* ---- whether it waits ---- */

static int64_t due_unix_ms(const struct flight_runner *runner)
{
    return MAX(runner->job.not_before_unix_ms, runner->job.from.not_before_unix_ms);
}

int64_t flight_park_due_ms(const struct flight_runner *runner)
{
    return MAX(due_unix_ms(runner) - loop_unix_ms(runner->worker->loop), 0);
}

bool flight_park_is_queued(const struct flight_runner *runner)
{
    return runner->flight.state == FLIGHT_QUEUED && runner->entry.tenant;
}

bool flight_park_is_unheard(const struct flight_runner *runner)
{
    return runner->was_pulled && runner->heard_epoch != ledger_epoch(runner->worker->ledger);
}

/* A suspect that waits behind another stays where it is: its claim is on the way back, and its turn near. */
bool flight_park_may_defer(const struct flight_runner *runner)
{
    return flight_park_is_queued(runner) && runner->raw.length > 0 && !runner->was_pulled &&
           !runner->has_begun && !runner->is_suspect;
}

static void set_out(struct flight_runner *runner, enum flight_event_kind kind, enum code code)
{
    flight_runner_advance(runner,
                          &(struct flight_event){.kind = kind, .code = code, .park_ms = runner->park_ms});
}

void flight_park_defer(struct flight_runner *runner)
{
    queue_remove(runner->worker->queue, &runner->entry);
    ledger_call_cancel(runner->worker->ledger, &runner->ledger_call);
    loop_timer_stop(runner->worker->loop, &runner->timer);
    runner->park_ms = MAX(flight_park_due_ms(runner), CROWD_HOP_MS);
    runner->park_reason = PARK_TENANT_SHARE;
    set_out(runner, FLIGHT_EVENT_TURN, flight_runner_overdue(runner));
}

/* ---- what its claim says ---- */

static void note_done(struct flight_runner *runner, const struct ledger_claim *claim)
{
    runner->first_status = arena_strdup(&runner->arena, claim->status);
    runner->first_partition = claim->partition;
    runner->first_offset = claim->offset;
    runner->is_other_record = strcmp(claim->origin, runner->job.from.origin) != 0;
}

/* Somebody has it, or left it: that one's run is to be followed, or its verdict published, in time. */
static bool is_taken_up(struct flight_runner *runner, const struct ledger_claim *claim)
{
    runner->heard_epoch = ledger_epoch(runner->worker->ledger);
    if (strcmp(claim->state, "running") != 0 && strcmp(claim->state, "sealed") != 0)
        return false;
    runner->was_pulled = true;
    runner->heard_epoch = 0; /* until it is asked for, which is heard of */
    if (!worker_may_take_up(runner->worker))
        return false;
    flight_runner_take_up(runner);
    return true;
}

/* Returns: false when it is to wait on. */
static bool is_told(struct flight_runner *runner, const struct ledger_claim *claim)
{
    bool is_parked = strcmp(claim->state, "parked") == 0;
    bool is_free = is_parked || strcmp(claim->state, "idle") == 0 || strcmp(claim->state, "none") == 0;
    struct flight_event event = {.kind = FLIGHT_EVENT_COUNT};
    if (strcmp(claim->state, "done") == 0) {
        note_done(runner, claim);
        event.kind = FLIGHT_EVENT_FOUND_DONE;
    } else if (is_parked && claim->hop > runner->job.from.hop) {
        event.kind = FLIGHT_EVENT_STALE;
    } else if (claim->is_cancelled && is_free) {
        outcome_blame(&runner->outcome, CODE_CANCELLED, "queue", "the job was cancelled before it ran");
        event.kind = FLIGHT_EVENT_FOUND_CANCELLED;
    } else {
        return is_taken_up(runner, claim);
    }
    flight_runner_advance(runner, &event);
    return true;
}

static void on_asked(struct ledger_call *call, const struct error *error, const struct ledger_claim *claim)
{
    struct flight_runner *runner = call->arg;
    if (!error)
        (void)is_told(runner, claim);
}

void flight_park_ask(struct flight_runner *runner)
{
    runner->asked_ms = loop_now_ms(runner->worker->loop);
    if (!runner->ledger_call.request)
        ledger_peek(runner->worker->ledger, &runner->ledger_call, runner->job.key, on_asked);
}

/* ---- beginning ---- */

static void on_due(void *arg);

static void hold(struct flight_runner *runner, int64_t ms)
{
    if (!runner->entry.is_held)
        queue_hold(runner->worker->queue, &runner->entry);
    loop_timer_start(runner->worker->loop, &runner->timer, ms, on_due, runner);
}

static void wait_on(struct flight_runner *runner)
{
    if (runner->park_ms > 0 && runner->park_ms <= HELD_MOST_MS) {
        hold(runner, runner->park_ms);
        return;
    }
    queue_remove(runner->worker->queue, &runner->entry);
    ledger_call_cancel(runner->worker->ledger, &runner->ledger_call); /* asked while it was held */
    set_out(runner, FLIGHT_EVENT_BEGIN, CODE_NONE);
}

/* Without an answer a copy waits on: it will ask again. What may be running is asked about first. */
static void on_asked_first(struct ledger_call *call, const struct error *error,
                           const struct ledger_claim *claim)
{
    struct flight_runner *runner = call->arg;
    if (!error && is_told(runner, claim))
        return;
    if (flight_park_is_unheard(runner))
        hold(runner, MIN(runner->park_ms, HELD_MOST_MS));
    else
        wait_on(runner);
}

static void wait_or_ask(struct flight_runner *runner)
{
    if (runner->job.from.hop > 0 || runner->was_pulled)
        ledger_peek(runner->worker->ledger, &runner->ledger_call, runner->job.key, on_asked_first);
    else
        wait_on(runner);
}

/* By the clock on the wall, which may have been set. */
static void on_due(void *arg)
{
    struct flight_runner *runner = arg;
    if (runner->flight.state != FLIGHT_QUEUED)
        return; /* cancelled */
    runner->park_ms = flight_park_due_ms(runner);
    if (flight_park_is_unheard(runner) && runner->park_ms > 0)
        hold(runner, MIN(runner->park_ms, HELD_MOST_MS));
    else
        wait_on(runner);
}

void flight_park_line_up(struct flight_runner *runner)
{
    runner->park_ms = flight_park_due_ms(runner);
    runner->park_reason = PARK_NOT_BEFORE;
    wait_on(runner);
}

void flight_park_begin(struct flight_runner *runner, bool was_pulled)
{
    struct worker *worker = runner->worker;
    runner->was_pulled = was_pulled;
    runner->park_ms = flight_park_due_ms(runner);
    runner->park_reason = PARK_NOT_BEFORE;
    /* One that was pulled before may be running: it is not sent away before its claim was asked for. */
    if (!was_pulled && !crowd_has_room(&worker->intake.crowd, worker->queue, runner->job.tenant_id,
                                       runner->job.priority, loop_now_ms(worker->loop))) {
        runner->park_ms = MAX(runner->park_ms, CROWD_HOP_MS);
        runner->park_reason = PARK_TENANT_SHARE;
    }
    enum code code = runner->park_ms > 0 ? flight_runner_overdue(runner) : CODE_NONE;
    if (code != CODE_NONE || runner->park_ms == 0)
        set_out(runner, FLIGHT_EVENT_BEGIN, code);
    else
        wait_or_ask(runner);
}

/* ---- the copy ---- */

static void tell_moved(void *arg);

static void on_moved(struct ledger_call *call, const struct error *error, enum ledger_answer answer)
{
    struct flight_runner *runner = call->arg;
    if (error || answer != LEDGER_OK)
        loop_timer_start(runner->worker->loop, &runner->timer, MOVED_AGAIN_MS, tell_moved, runner);
    else
        flight_runner_advance(runner, &(struct flight_event){.kind = FLIGHT_EVENT_DELIVERED});
}

/* With transactions a finished offset means a result, unless the ledger was told before that it moved on. */
static void tell_moved(void *arg)
{
    struct flight_runner *runner = arg;
    ledger_call_cancel(runner->worker->ledger, &runner->ledger_call); /* it asked about a job that waits */
    ledger_moved(runner->worker->ledger, &runner->ledger_call, runner->job.key, flight_publish_place(runner),
                 on_moved);
}

static void on_parked(struct kafka_send *send, const struct error *error, int32_t partition, int64_t offset)
{
    (void)partition, (void)offset;
    struct flight_runner *runner = send->arg;
    if (!error && *flight_publish_place(runner) != '\0') {
        tell_moved(runner);
        return;
    }
    flight_runner_advance(
        runner, &(struct flight_event){.kind = error ? FLIGHT_EVENT_TOO_LARGE : FLIGHT_EVENT_DELIVERED});
}

static void on_no_record(void *arg)
{
    flight_runner_advance(arg, &(struct flight_event){.kind = FLIGHT_EVENT_TOO_LARGE});
}

static struct hop next_hop(const struct flight_runner *runner, int64_t now_unix_ms)
{
    const struct job *job = &runner->job;
    bool is_early = runner->park_reason == PARK_NOT_BEFORE && due_unix_ms(runner) > now_unix_ms;
    struct hop hop = {
        .number = job->from.hop + 1,
        .not_before_unix_ms = is_early ? due_unix_ms(runner) : now_unix_ms + runner->flight.delay_ms,
        .first_seen_unix_ms = job->from.timestamp_unix_ms,
    };
    if (job->expires_unix_ms >= 0) /* it ends then, and is not to be waited for any longer */
        hop.not_before_unix_ms = MIN(hop.not_before_unix_ms, MAX(job->expires_unix_ms, now_unix_ms));
    base_copy_text(hop.job_id, sizeof hop.job_id, job->job_id);
    base_copy_text(hop.origin, sizeof hop.origin, job->from.origin);
    base_copy_text(hop.topic, sizeof hop.topic, job->from.first_topic);
    return hop;
}

static void send_copy(struct flight_runner *runner, const struct header *own, size_t own_count,
                      struct bytes value, struct arena *arena)
{
    struct worker *worker = runner->worker;
    int64_t now_unix_ms = loop_unix_ms(worker->loop), tier_ms;
    struct kafka_header headers[HEADERS_MAX + HOP_HEADERS_MAX];
    struct header *written;
    struct hop hop = next_hop(runner, now_unix_ms);
    const char *topic = intake_retry_topic(worker, hop.not_before_unix_ms - now_unix_ms, &tier_ms);
    hop.wake_unix_ms = MIN(hop.not_before_unix_ms, now_unix_ms + tier_ms);
    size_t count = hop_write(&hop, own, own_count, arena, &written);
    assert(count <= ARRAY_LENGTH(headers));
    for (size_t i = 0; i < count; i++)
        headers[i] = (struct kafka_header){written[i].name, written[i].value};
    const struct kafka_record record = {.topic = topic,
                                        .key = {runner->job.job_id, strlen(runner->job.job_id)},
                                        .value = value,
                                        .headers = headers,
                                        .header_count = count};
    kafka_sink_send(worker->sink, &runner->send, &record, on_parked);
}

void flight_publish_parked(struct flight_runner *runner)
{
    struct header own[HEADERS_MAX];
    struct bytes value;
    size_t count = 0;
    struct arena arena;
    arena_init(&arena, 1024);
    bool is_there = runner->raw.length > 0 && record_unpack(buffer_bytes(&runner->raw), own,
                                                            ARRAY_LENGTH(own), &arena, &count, &value, NULL);
    if (is_there)
        send_copy(runner, own, count, value, &arena);
    else
        loop_timer_start(runner->worker->loop, &runner->timer, 0, on_no_record, runner);
    arena_release(&arena);
}
