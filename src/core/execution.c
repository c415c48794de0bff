/* One attempt's walk through a plan. */
#include "core/execution.h"

#include <assert.h>

enum {
    TRIES_MAX = 3,
    BACKOFF_MS = 200,
    STOP_GRACE_MS = 5000,
    LOOK_MS = 10000, /* who wakes from a stop has read by then what was waiting */
    LOOKS_MAX = 3,   /* or who stumbles on and on would never time anything out */
};

void execution_init(struct execution *execution, const struct plan *plan)
{
    *execution = (struct execution){.plan = plan, .main_ms = plan->main_ms, .deadline_ms = INT64_MAX};
}

static const struct step *step_of(const struct execution *execution)
{
    return &execution->plan->steps[execution->step];
}

/* The one writer of the state. */
static void enter(struct execution *execution, enum execution_state state)
{
    assert(state >= execution->state);
    execution->state = state;
}

static enum execution_order end(struct execution *execution)
{
    enter(execution, EXECUTION_ENDED);
    execution->deadline_ms = INT64_MAX;
    return EXECUTION_ORDER_END;
}

static enum execution_order start_step(struct execution *execution, size_t step, int64_t now_ms)
{
    const struct plan *plan = execution->plan;
    if (step >= plan->step_count)
        return end(execution);
    enum execution_state section = step < plan->final_from ? EXECUTION_RUNNING : EXECUTION_COLLECTING;
    if (section != execution->state) {
        enter(execution, section);
        execution->section_until_ms =
            now_ms + (section == EXECUTION_RUNNING ? execution->main_ms : plan->final_ms);
    }
    execution->step = step;
    execution->tries = 0;
    execution->start_at_ms = now_ms;
    execution->deadline_ms = MIN(now_ms + step_of(execution)->timeout_ms, execution->section_until_ms);
    assert(execution->deadline_ms > now_ms);
    return EXECUTION_ORDER_START;
}

static void blame(struct execution *execution, enum code code)
{
    if (execution->verdict != CODE_NONE)
        return; /* the first cause wins */
    execution->verdict = code;
    execution->verdict_step = execution->step;
}

/* Neither stands in for a verdict: another attempt will bring one. */
static bool is_repeated(enum code code)
{
    return code_is_retried(code) || code_waits(code);
}

/* The main steps are over, well or not. An attempt that will be repeated collects nothing: the next brings
 * better files. */
static enum execution_order collect(struct execution *execution, size_t from, int64_t now_ms)
{
    if (is_repeated(execution->verdict))
        return end(execution);
    return start_step(execution, MAX(from, execution->plan->final_from), now_ms);
}

static enum execution_order stop(struct execution *execution, enum code code, int64_t now_ms)
{
    blame(execution, code);
    enter(execution, EXECUTION_STOPPING);
    execution->deadline_ms = now_ms + STOP_GRACE_MS;
    return EXECUTION_ORDER_STOP;
}

/* The deadline passed while nobody here could look, or just after: how the run ended may lie in a socket or
 * in the sandbox, unread, and its start may only now have been sent. It gets a moment to be told, and the
 * time back. However short before the end of the stop the deadline was: the run may have ended at its
 * beginning. */
static bool looks_once_more(struct execution *execution, const struct execution_event *event)
{
    int64_t late_ms = event->now_ms - execution->deadline_ms;
    if (execution->state != EXECUTION_RUNNING || late_ms < 0 || event->awake_ms >= LOOK_MS ||
        execution->looks == LOOKS_MAX)
        return false;
    execution->looks++;
    execution->deadline_ms = event->now_ms + LOOK_MS - event->awake_ms;
    execution->section_until_ms = MAX(execution->section_until_ms + late_ms, execution->deadline_ms);
    return true;
}

/* A main step's failure is the verdict; a final step's is only a note on its own report. A failure of the
 * infrastructure is never forgiven: what would follow stands on nothing. A section whose budget is used up
 * starts nothing more. */
static enum execution_order step_over(struct execution *execution, enum code failure,
                                      const struct execution_event *event)
{
    size_t next = execution->step + 1;
    int64_t now_ms = event->now_ms;
    (void)looks_once_more(execution, event);
    bool is_used_up = now_ms >= execution->section_until_ms;
    if (execution->state == EXECUTION_COLLECTING)
        return is_used_up ? end(execution) : start_step(execution, next, now_ms);
    bool is_forgiven =
        step_of(execution)->continue_on_failure && !is_repeated(failure) && failure != CODE_CANCELLED;
    if (failure != CODE_NONE && !is_forgiven)
        blame(execution, failure);
    else if (next < execution->plan->final_from && !is_used_up)
        return start_step(execution, next, now_ms);
    else if (next < execution->plan->final_from) {
        execution->step = next;
        blame(execution, step_of(execution)->on_timeout);
    }
    return collect(execution, /* from= */ 0, now_ms);
}

/* An adopted run may stand anywhere, also behind a main step that failed; its clock goes on. */
static enum execution_order on_sandbox_ready(struct execution *execution, const struct execution_event *event)
{
    execution->verdict = event->code;
    if (event->main_left_ms > 0)
        execution->main_ms = MIN(event->main_left_ms, execution->main_ms);
    if (event->code != CODE_NONE || event->first_step >= execution->plan->final_from)
        return collect(execution, event->first_step, event->now_ms);
    return start_step(execution, event->first_step, event->now_ms);
}

static enum execution_order on_step_ended(struct execution *execution, const struct execution_event *event)
{
    if (execution->state == EXECUTION_STOPPING)
        return collect(execution, /* from= */ 0, event->now_ms);
    return step_over(execution, event->code, event);
}

static enum execution_order on_deadline(struct execution *execution, const struct execution_event *event)
{
    if (looks_once_more(execution, event))
        return EXECUTION_ORDER_WAIT;
    if (execution->state == EXECUTION_RUNNING)
        return stop(execution, step_of(execution)->on_timeout, event->now_ms);
    if (execution->state == EXECUTION_STOPPING) /* it did not comply; the kill of the sandbox will do */
        return collect(execution, /* from= */ 0, event->now_ms);
    return step_over(execution, step_of(execution)->on_timeout, event);
}

/* Files are overwritten with the same bytes, and a process that runs already, or has ended, answers from its
 * record in the sandbox; only the interpreter's code may not be sent twice. */
static enum execution_order on_step_broken(struct execution *execution, const struct execution_event *event)
{
    assert(event->code != CODE_NONE); /* or it would pass for done */
    if (execution->state == EXECUTION_STOPPING)
        return collect(execution, /* from= */ 0, event->now_ms);
    if (step_of(execution)->verb != STEP_RUN_CODE && ++execution->tries < TRIES_MAX) {
        bool is_look = looks_once_more(execution, event);
        if (event->now_ms >= execution->deadline_ms)
            return on_deadline(execution, event);
        execution->start_at_ms = event->now_ms + (BACKOFF_MS << execution->tries);
        if (is_look) { /* it shall not be over before it begins */
            execution->deadline_ms = MAX(execution->deadline_ms, execution->start_at_ms + LOOK_MS / 2);
            execution->section_until_ms = MAX(execution->section_until_ms, execution->deadline_ms);
        }
        return EXECUTION_ORDER_START;
    }
    return step_over(execution, event->code, event);
}

static enum execution_order on_cancel(struct execution *execution, int64_t now_ms)
{
    if (execution->state == EXECUTION_RUNNING)
        return stop(execution, CODE_CANCELLED, now_ms);
    if (execution->state == EXECUTION_STOPPING || execution->verdict == CODE_CANCELLED)
        return EXECUTION_ORDER_WAIT; /* the ledger says it again until it has the verdict */
    if (execution->state == EXECUTION_WAITING)
        blame(execution, CODE_CANCELLED);
    return end(execution); /* final steps are cut short, the verdict stands */
}

static enum execution_order on_sandbox_gone(struct execution *execution, enum code why)
{
    assert(why != CODE_NONE); /* or the job would pass for done */
    if (execution->state != EXECUTION_COLLECTING)
        blame(execution, why);
    return end(execution);
}

void execution_delay(struct execution *execution, int64_t ms)
{
    assert(execution->state == EXECUTION_RUNNING && ms >= 0);
    execution->deadline_ms += ms;
    execution->section_until_ms += ms;
}

bool execution_accepts(enum execution_state state, enum execution_event_kind kind)
{
    switch (kind) {
    case EXECUTION_EVENT_SANDBOX_READY:
        return state == EXECUTION_WAITING;
    case EXECUTION_EVENT_STEP_ENDED:
    case EXECUTION_EVENT_STEP_BROKEN:
    case EXECUTION_EVENT_DEADLINE:
        return state == EXECUTION_RUNNING || state == EXECUTION_STOPPING || state == EXECUTION_COLLECTING;
    case EXECUTION_EVENT_SANDBOX_GONE:
    case EXECUTION_EVENT_CANCEL:
    case EXECUTION_EVENT_LEAVE:
        return state < EXECUTION_ENDED;
    case EXECUTION_EVENT_COUNT:
        break;
    }
    return false;
}

enum execution_order execution_advance(struct execution *execution, const struct execution_event *event)
{
    assert(execution_accepts(execution->state, event->kind));
    switch (event->kind) {
    case EXECUTION_EVENT_SANDBOX_READY:
        return on_sandbox_ready(execution, event);
    case EXECUTION_EVENT_STEP_ENDED:
        return on_step_ended(execution, event);
    case EXECUTION_EVENT_STEP_BROKEN:
        return on_step_broken(execution, event);
    case EXECUTION_EVENT_DEADLINE:
        return on_deadline(execution, event);
    case EXECUTION_EVENT_CANCEL:
        return on_cancel(execution, event->now_ms);
    case EXECUTION_EVENT_SANDBOX_GONE:
        return on_sandbox_gone(execution, event->code);
    case EXECUTION_EVENT_LEAVE:
        execution->has_left = true;
        return end(execution);
    case EXECUTION_EVENT_COUNT:
        break;
    }
    assert(!"every event is handled above");
    return EXECUTION_ORDER_WAIT;
}

const char *execution_state_name(enum execution_state state)
{
    static const char *const names[EXECUTION_STATE_COUNT] = {"waiting", "running", "stopping", "collecting",
                                                             "ended"};
    assert(state < EXECUTION_STATE_COUNT);
    return names[state];
}
