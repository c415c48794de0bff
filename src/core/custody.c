/* The keeping of one sandbox under one permit. */
#include "core/custody.h"

#include <assert.h>

enum {
    LOOK_FIRST_MS = 1000,
    LOOK_MOST_MS = 15000,
    KILL_FIRST_MS = 500,
    KILL_MOST_MS = 15000,
    EXTEND_AGAIN_MS = 2000,
    STALE_MS = 30000, /* what E2B may take to carry an extension out, 85 s at most, must fit behind it into
                         the slack */
};

static int64_t doubled(int64_t first_ms, unsigned tries, int64_t most_ms)
{
    return tries < 16 ? MIN(first_ms << tries, most_ms) : most_ms;
}

/* The one writer of the state. */
static void enter(struct custody *custody, enum custody_state state)
{
    assert(state >= custody->state);
    custody->state = state;
    custody->tries = 0;
    custody->deadline_ms = INT64_MAX;
}

static enum custody_order over(struct custody *custody, enum custody_order order)
{
    enter(custody, CUSTODY_GONE);
    return order;
}

static enum custody_order kill(struct custody *custody)
{
    enter(custody, CUSTODY_KILLING);
    return CUSTODY_ORDER_KILL;
}

static enum custody_order doubt(struct custody *custody, int64_t now_ms)
{
    enter(custody, CUSTODY_DOUBTFUL);
    custody->deadline_ms = now_ms + LOOK_FIRST_MS;
    return CUSTODY_ORDER_WAIT;
}

static enum custody_order look(struct custody *custody, int64_t now_ms)
{
    custody->look_ms = now_ms;
    return CUSTODY_ORDER_LOOK;
}

void custody_init(struct custody *custody, const struct custody_times *times, int64_t now_ms)
{
    assert(times->live_ms > 0 && times->slack_ms > 0);
    *custody = (struct custody){
        .times = *times, .deadline_ms = INT64_MAX, .init_ms = now_ms, .ends_ms = now_ms + times->live_ms};
}

enum custody_order custody_init_left(struct custody *custody, const struct custody_times *times,
                                     bool is_known, int64_t now_ms)
{
    custody_init(custody, times, now_ms);
    custody->is_unwanted = true;
    if (is_known)
        return kill(custody);
    enter(custody, CUSTODY_DOUBTFUL);
    return look(custody, now_ms);
}

int64_t custody_horizon_ms(const struct custody_times *times)
{
    return times->live_ms + times->slack_ms + (times->is_rolling ? times->lead_ms : 0);
}

static enum custody_order extend_permit(struct custody *custody, int64_t now_ms)
{
    custody->asked_ms = now_ms;
    return CUSTODY_ORDER_EXTEND_PERMIT;
}

/* It lives for no longer than from now: its owner gave it no more at any time. */
enum custody_order custody_init_adopted(struct custody *custody, const struct custody_times *times,
                                        int64_t now_ms)
{
    custody_init(custody, times, now_ms);
    enter(custody, CUSTODY_LIVE);
    return extend_permit(custody, now_ms);
}

static enum custody_order on_created(struct custody *custody, int64_t now_ms)
{
    custody->ends_ms = now_ms + custody->times.live_ms; /* E2B's clock for it began earlier */
    if (custody->is_unwanted)
        return kill(custody);
    enter(custody, CUSTODY_LIVE);
    if (custody->times.is_rolling)
        custody->deadline_ms = now_ms + custody->times.live_ms / 3;
    return CUSTODY_ORDER_WAIT;
}

static enum custody_order on_absent(struct custody *custody, int64_t now_ms)
{
    if (custody->look_ms - custody->init_ms >= custody->times.doubt_ends_ms)
        return over(custody, CUSTODY_ORDER_RELEASE);
    custody->deadline_ms = now_ms + doubled(LOOK_FIRST_MS, ++custody->tries, LOOK_MOST_MS);
    return CUSTODY_ORDER_WAIT;
}

/* After its own end and the slack behind it nothing of it can be left: the permit's horizon settles the
 * rest. */
static bool is_hopeless(const struct custody *custody, int64_t now_ms)
{
    return now_ms >= custody->ends_ms + custody->times.slack_ms;
}

static enum custody_order on_look_failed(struct custody *custody, int64_t now_ms)
{
    if (is_hopeless(custody, now_ms))
        return over(custody, CUSTODY_ORDER_FORGET);
    custody->deadline_ms = now_ms + doubled(LOOK_FIRST_MS, ++custody->tries, LOOK_MOST_MS);
    return CUSTODY_ORDER_WAIT;
}

static enum custody_order on_kill_failed(struct custody *custody, int64_t now_ms)
{
    if (is_hopeless(custody, now_ms))
        return over(custody, CUSTODY_ORDER_FORGET);
    custody->deadline_ms = now_ms + doubled(KILL_FIRST_MS, custody->tries++, KILL_MOST_MS);
    return CUSTODY_ORDER_WAIT;
}

static enum custody_order on_deadline(struct custody *custody, int64_t now_ms)
{
    custody->deadline_ms = INT64_MAX;
    if (custody->state == CUSTODY_DOUBTFUL)
        return look(custody, now_ms);
    return custody->state == CUSTODY_KILLING ? CUSTODY_ORDER_KILL : extend_permit(custody, now_ms);
}

static void note_cover(struct custody *custody, int64_t asked_ms)
{
    custody->covered_ms = MAX(custody->covered_ms, asked_ms + custody_horizon_ms(&custody->times));
}

static enum custody_order extend_sandbox(struct custody *custody, int64_t now_ms)
{
    custody->ends_ms =
        now_ms + custody->times.live_ms; /* what is asked for may come to be even without an answer */
    return CUSTODY_ORDER_EXTEND_SANDBOX;
}

/* The horizon counts from the asking: who was stopped meanwhile asks anew. */
static enum custody_order on_permit_extended(struct custody *custody, int64_t now_ms)
{
    note_cover(custody, custody->asked_ms);
    int64_t needed_ms = now_ms + custody->times.live_ms + custody->times.slack_ms;
    if (custody->covered_ms + STALE_MS < needed_ms)
        return extend_permit(custody, now_ms);
    return extend_sandbox(custody, now_ms);
}

static enum custody_order extend_again(struct custody *custody, int64_t now_ms)
{
    if (custody->state == CUSTODY_HANDING) /* with what it has */
        return CUSTODY_ORDER_YIELD;
    custody->deadline_ms = now_ms + EXTEND_AGAIN_MS;
    return CUSTODY_ORDER_WAIT;
}

/* The ledger is away: the sandbox is kept alive as long as the permit is sure to outlive it. */
static enum custody_order on_permit_not_extended(struct custody *custody, int64_t now_ms)
{
    bool is_covered = custody->covered_ms >= now_ms + custody->times.live_ms + custody->times.slack_ms;
    if (is_covered)
        return extend_sandbox(custody, now_ms);
    return extend_again(custody, now_ms);
}

static enum custody_order on_sandbox_extended(struct custody *custody, int64_t now_ms)
{
    custody->ends_ms = now_ms + custody->times.live_ms;
    if (custody->state == CUSTODY_HANDING)
        return CUSTODY_ORDER_YIELD;
    if (custody->times.is_rolling)
        custody->deadline_ms = now_ms + custody->times.live_ms / 3;
    return CUSTODY_ORDER_WAIT;
}

static enum custody_order on_hand_over(struct custody *custody, int64_t now_ms)
{
    enter(custody, CUSTODY_HANDING);
    return extend_permit(custody, now_ms);
}

static enum custody_order on_unwanted(struct custody *custody)
{
    custody->is_unwanted = true;
    bool is_live = custody->state == CUSTODY_LIVE || custody->state == CUSTODY_HANDING;
    return is_live ? kill(custody) : CUSTODY_ORDER_WAIT;
}

bool custody_accepts(enum custody_state state, enum custody_event_kind kind)
{
    switch (kind) {
    case CUSTODY_EVENT_CREATED:
    case CUSTODY_EVENT_REFUSED:
    case CUSTODY_EVENT_UNANSWERED:
        return state == CUSTODY_CREATING;
    case CUSTODY_EVENT_FOUND:
    case CUSTODY_EVENT_ABSENT:
    case CUSTODY_EVENT_LOOK_FAILED:
        return state == CUSTODY_DOUBTFUL;
    case CUSTODY_EVENT_BOUND:
        return state == CUSTODY_LIVE || state == CUSTODY_HANDING || state == CUSTODY_KILLING;
    case CUSTODY_EVENT_PERMIT_EXTENDED:
    case CUSTODY_EVENT_PERMIT_NOT_EXTENDED:
    case CUSTODY_EVENT_SANDBOX_EXTENDED:
    case CUSTODY_EVENT_SANDBOX_NOT_EXTENDED:
        return state == CUSTODY_LIVE || state == CUSTODY_HANDING;
    case CUSTODY_EVENT_HAND_OVER:
        return state == CUSTODY_LIVE;
    case CUSTODY_EVENT_YIELDED:
    case CUSTODY_EVENT_NOT_YIELDED:
        return state == CUSTODY_HANDING;
    case CUSTODY_EVENT_KILLED:
    case CUSTODY_EVENT_KILL_FAILED:
        return state == CUSTODY_KILLING;
    case CUSTODY_EVENT_DEADLINE:
        return state == CUSTODY_DOUBTFUL || state == CUSTODY_LIVE || state == CUSTODY_KILLING;
    case CUSTODY_EVENT_UNWANTED:
    case CUSTODY_EVENT_SUPERSEDED:
        return state != CUSTODY_GONE;
    case CUSTODY_EVENT_COUNT:
        break;
    }
    return false;
}

enum custody_order custody_advance(struct custody *custody, const struct custody_event *event)
{
    assert(custody_accepts(custody->state, event->kind));
    int64_t now_ms = event->now_ms;
    switch (event->kind) {
    case CUSTODY_EVENT_CREATED:
        return on_created(custody, now_ms);
    case CUSTODY_EVENT_REFUSED:
        return over(custody, CUSTODY_ORDER_RELEASE);
    case CUSTODY_EVENT_UNANSWERED:
        custody->is_unwanted = true;
        return doubt(custody, now_ms);
    case CUSTODY_EVENT_FOUND:
        return kill(custody);
    case CUSTODY_EVENT_ABSENT:
        return on_absent(custody, now_ms);
    case CUSTODY_EVENT_LOOK_FAILED:
        return on_look_failed(custody, now_ms);
    case CUSTODY_EVENT_DEADLINE:
        return on_deadline(custody, now_ms);
    case CUSTODY_EVENT_PERMIT_EXTENDED:
        return on_permit_extended(custody, now_ms);
    case CUSTODY_EVENT_SANDBOX_EXTENDED:
        return on_sandbox_extended(custody, now_ms);
    case CUSTODY_EVENT_BOUND:
        note_cover(custody, event->asked_ms);
        return CUSTODY_ORDER_WAIT;
    case CUSTODY_EVENT_PERMIT_NOT_EXTENDED:
        return on_permit_not_extended(custody, now_ms);
    case CUSTODY_EVENT_SANDBOX_NOT_EXTENDED:
        return extend_again(custody, now_ms);
    case CUSTODY_EVENT_HAND_OVER:
        return on_hand_over(custody, now_ms);
    case CUSTODY_EVENT_YIELDED:
    case CUSTODY_EVENT_NOT_YIELDED:
        return over(custody, CUSTODY_ORDER_FORGET);
    case CUSTODY_EVENT_KILLED:
        return over(custody, CUSTODY_ORDER_RELEASE);
    case CUSTODY_EVENT_UNWANTED:
        return on_unwanted(custody);
    case CUSTODY_EVENT_KILL_FAILED:
        return on_kill_failed(custody, now_ms);
    case CUSTODY_EVENT_SUPERSEDED:
        return over(custody, CUSTODY_ORDER_FORGET);
    case CUSTODY_EVENT_COUNT:
        break;
    }
    assert(!"every event is handled above");
    return CUSTODY_ORDER_WAIT;
}

const char *custody_state_name(enum custody_state state)
{
    static const char *const names[CUSTODY_STATE_COUNT] = {"creating", "doubtful", "live",
                                                           "handing",  "killing",  "gone"};
    assert(state < CUSTODY_STATE_COUNT);
    return names[state];
}
